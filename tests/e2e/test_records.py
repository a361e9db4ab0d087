# SPDX-License-Identifier: Apache-2.0
"""What is recorded, how it is shown, that passwords are not in it, and that nobody changes it unnoticed."""
import json
import os
import pathlib
import shutil
import subprocess
import time

import pytest
from conftest import RULES, Psql, make_config
from harness.records import recorded_actions
from harness.shell import Shell

SECRET = "Tr0ub4dor-and-3"


def url(server, **more):
    parts = {"host": "127.0.0.1", "port": server.port, "dbname": "shop", "user": "app", **more}
    return " ".join(f"{k}={v}" for k, v in parts.items())


@pytest.fixture
def daemon(server, make_daemon):
    return make_daemon(make_config(server.port, workers=1), RULES)


def has_attribute(file):
    return "a" in subprocess.run(["lsattr", file], check=True, capture_output=True, text=True).stdout.split()[0]


def test_the_audit_log_is_append_only_where_that_is_said(server, daemon, make_daemon, tmp_path):
    assert not any(map(has_attribute, (daemon.state / "audit").glob("*.0*")))
    probe = tmp_path / "probe"
    probe.touch()
    if subprocess.run(["chattr", "+a", probe], capture_output=True).returncode:
        pytest.skip("the file system has no append-only attribute")
    subprocess.run(["chattr", "-a", probe], check=True)
    d = make_daemon(make_config(server.port, workers=1, audit={"append_only": True}), RULES)
    try:
        assert Psql(d, server).rows("select 1") == ["1"]
        files = list((d.state / "audit").glob("*.0*"))
        assert len(files) == 3 and all(map(has_attribute, files)), files
        for file in files:
            with pytest.raises(PermissionError):
                os.truncate(file, 0)
            with pytest.raises(PermissionError):
                file.unlink()
        assert not any(map(has_attribute, (d.state / "recordings").glob("*.0*")))
    finally:
        subprocess.run(["chattr", "-R", "-a", d.state], check=True)


def ended(daemon, count=1):
    deadline = time.monotonic() + 5
    while True:
        sessions = daemon.json("sessions", "list")
        if len([s for s in sessions if s["state"] == "ended"]) >= count:
            return sessions
        assert time.monotonic() < deadline, sessions
        time.sleep(0.1)


def show(daemon, session):
    return daemon.wayleave("sessions", "show", session["id"]).stdout


def test_a_session_from_its_login_to_its_end(daemon, server):
    done = Psql(daemon, server)("select id, ssn from customers where id < 3", "delete from orders", options=("-v", "ON_ERROR_STOP=0"))
    assert "denied" in done.stderr
    session = ended(daemon)[0]
    assert (session["agent"], session["resource"], session["protocol"], session["user"], session["database"]) == ("demo", "shop", "postgres", "app", "shop")
    assert session["exe"].endswith("/psql") and session["pid"] and session["start"] <= session["end"]
    assert session["actions"] == 3 and session["denied"] == 1, "connect, select, delete"
    records = daemon.json("sessions", "show", session["id"])["records"]
    actions = [r for r in records if r["record"] == "action"]
    assert [(a["text"], a["verdict"]) for a in actions[1:]] == [("select id, ssn from customers where id < 3", "allow"), ("delete from orders", "deny")]
    assert actions[1]["rules"] == ["read"]
    results = [r for r in records if r["record"] == "result"]
    assert results[0]["rows"] == 2 and results[0]["tag"] == "SELECT 2"
    text = show(daemon, session)
    assert text.count("login: user app, database shop") == 1 and "facts of the session" not in text
    assert "deny" in text and "no rule allows delete on public.orders" in text
    listed = daemon.wayleave("sessions", "list").stdout
    assert session["id"] in listed and "demo" in listed
    assert daemon.json("sessions", "list", "--agent", "other") == []
    assert daemon.json("sessions", "list", "--active") == []
    # The bytes of either side: of two sessions that differ in a text alone, which comes back. To the server there are our own lookups too.
    for count, letters in enumerate((0, 100000), start=2):
        Psql(daemon, server)(f"select '{'x' * letters}'")
        ended(daemon, count)
    more, less = daemon.json("sessions", "list")[:2]
    assert 100 < less["bytes_to_agent"] < 10000 and more["bytes_to_agent"] - less["bytes_to_agent"] == 100000
    assert 100 < less["bytes_to_server"] < 10000 and abs(more["bytes_to_server"] - less["bytes_to_server"] - 100000) < 10000


def test_a_terminal_is_not_driven_by_what_agents_wrote(daemon, server):
    Psql(daemon, server)("select '\x1b[31mred\x07\u202e' as \"\x1b]0;title\x07\"")
    session = ended(daemon)[0]
    for words in (["show"], ["replay", "--speed", "0"], ["tail"]):
        done = daemon.wayleave("sessions", words[0], session["id"], *words[1:])
        assert done.returncode == 0 and "\x1b" not in done.stdout and "\x07" not in done.stdout and "\u202e" not in done.stdout, words


def test_replay_takes_its_time(daemon, server):
    shell = Shell(daemon, url(server))
    assert shell.ask("select 1") == "1"
    time.sleep(3)
    assert shell.ask("select 2") == "2"
    shell.close()
    session = ended(daemon)[0]
    for speed, least, most in [("0", 0, 2.5), ("10", 0.2, 2.7), ("1", 2.8, 12)]:
        started = time.monotonic()
        done = daemon.wayleave("sessions", "replay", session["id"], "--speed", speed)
        took = time.monotonic() - started
        assert done.returncode == 0 and "select 2" in done.stdout and least <= took <= most, (speed, took)


def test_tail_follows_and_kill_ends(daemon, server):
    shell = Shell(daemon, url(server))
    assert shell.ask("select 'one'") == "one"
    session = daemon.json("sessions", "list", "--active")[0]
    tail = subprocess.Popen([*map(str, [pathlib.Path(daemon.agent_command()[0]), "sessions", "tail", session["id"]])], env=daemon.environment,
                            stdout=subprocess.PIPE, text=True)
    assert shell.ask("select 'two'") == "two"
    assert daemon.wayleave("sessions", "kill", session["id"]).returncode == 0
    assert "the session was ended by an administrator" in shell.ask("select 'three'")
    out, _ = tail.communicate(timeout=10)
    assert "select 'one'" in out and "select 'two'" in out and "end: killed" in out
    again = daemon.wayleave("sessions", "kill", session["id"])
    assert again.returncode == 1 and "has ended already" in again.stderr
    notes = [json.loads(line) for line in daemon.wayleave("audit", "export").stdout.splitlines()]
    assert any(session["id"] in str(n) and "ended by user 0" in str(n.get("detail")) for n in notes)
    shell.close()


def test_rows_are_recorded_masked_and_only_where_policy_says_so(daemon, server):
    Psql(daemon, server).rows("select id, ssn, email from customers where id = 1")
    session = ended(daemon)[0]
    assert not [r for r in daemon.json("sessions", "show", session["id"])["records"] if r["record"] == "rows"]
    rules = json.loads(json.dumps(RULES))
    rules[0]["allow"]["record"] = "rows"
    daemon.write_rules(rules)
    daemon.wait_for("is in force")
    Psql(daemon, server).rows("select id, ssn, email from customers /*\n=#9> forged */ where id = 1")
    session = ended(daemon, 2)[0]
    rows = [r for r in daemon.json("sessions", "show", session["id"])["records"] if r["record"] == "rows"]
    assert len(rows) == 1 and rows[0]["values"][0][:2] == ["1", "[masked]"] and "[hash:" in rows[0]["values"][0][2], rows
    replay = daemon.wayleave("sessions", "replay", session["id"], "--speed", "0").stdout
    assert "[masked]" in replay and "101-45-6789" not in replay
    assert "\n| =#9> forged */" in replay, "a line of a text is marked as one"
    assert grep(daemon, "101-45-6789") == [] and grep(daemon, "user1@example.com") == []


def grep(daemon, text):
    found = subprocess.run(["grep", "-rlaF", text, daemon.state, daemon.log], capture_output=True, text=True)
    return found.stdout.split()


def test_what_the_server_skips_is_not_recorded_as_run(daemon, wire):
    insert = "insert into orders (customer, item, amount) values (1, 'skipped', 1)"
    seen = wire(("batch", [("P", "", "delete from secrets"), ("B", "", ""), ("E", ""), ("P", "", insert), ("B", "", ""),
                           ("E", ""), ("H",), ("S",)]), ("wait", "Z"), ("Q", "select 42"), ("wait", "Z"), daemon=daemon)
    assert [m[0] for m in seen if m[0] in "EZ"] == ["E", "Z", "Z"]
    ended(daemon)
    assert [(a["text"], a["verdict"]) for a in recorded_actions(daemon)][1:] == [("delete from secrets", "deny"), ("select 42", "allow")]


def test_passwords_are_nowhere(server, make_daemon):
    d = make_daemon(make_config(server.port), [{"name": "all", "operations": ["*"], "allow": {}}])
    psql = Psql(d, server)
    server.sql("drop role if exists hidden")
    for text in [f"alter role app password '{SECRET}'", f"alter user app with encrypted password '{SECRET}'", f"create role hidden login password '{SECRET}'",
                 f"alter role app password $${SECRET}$$", f"alter role app password E'{SECRET}'", f"ALTER ROLE nosuch PASSWORD '{SECRET}'"]:
        psql(text)
    d.run("psql", "-X", url(server, password=SECRET, user="nosuch"), "-c", "select 1")
    d.run("psql", "-X", f"postgresql://app:{SECRET}@127.0.0.1:{server.port}/nosuch", "-c", "select 1")
    psql(f"select 'postgresql://app:{SECRET}@db/x'")
    psql("prepare p as select 1; ", input=None)
    time.sleep(1)
    assert grep(d, SECRET) == []
    texts = [r["text"] for s in d.json("sessions", "list") for r in d.json("sessions", "show", s["id"])["records"] if r["record"] == "action" and r.get("text")]
    assert any("alter role app password" in t and "[hidden]" in t for t in texts), texts


# --- the audit log

@pytest.fixture(scope="module")
def history(server, tmp_path_factory):
    """A state folder with some history, of daemons that have ended."""
    from harness import daemon as daemons
    d = daemons.Daemon(tmp_path_factory.mktemp("history"), make_config(server.port, workers=1), RULES)
    for i in range(6):
        Psql(d, server)(f"select {i}", "delete from orders")
    for _ in range(2):
        d.stop()
        d.start()
        Psql(d, server)("select 1")
    d.stop()
    yield d
    d.close()


@pytest.fixture
def copy(history, tmp_path):
    """A copy to tamper with."""
    state = tmp_path / "state"
    shutil.copytree(history.state, state)

    def verify():
        done = history.wayleave("audit", "verify", "--recordings", "--state-dir", state)
        return done.returncode, done.stdout + done.stderr
    return state, verify


def largest(state, pattern):
    return max(state.glob(pattern), key=lambda p: p.stat().st_size)


def test_an_untouched_log_is_good(copy):
    status, text = copy[1]()
    assert status == 0, text


TAMPER = {
    "a byte flipped": lambda data: data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1:],
    "the end cut off": lambda data: data[:-40],
    "the middle removed": lambda data: data[:len(data) // 3] + data[len(data) // 2:],
    "something added": lambda data: data + data[-100:],
    "emptied": lambda data: b"",
    "zeroed": lambda data: data[:200] + bytes(len(data) - 200),
}


@pytest.mark.parametrize("pattern", ["audit/w-*.audit.*", "audit/m-*.audit.*", "audit/host.checkpoints.*", "recordings/*.recording.*"])
@pytest.mark.parametrize("how", TAMPER)
def test_tampering_is_named(copy, pattern, how):
    state, verify = copy
    file = largest(state, pattern)
    subprocess.run(["chattr", "-a", file], capture_output=True)
    file.write_bytes(TAMPER[how](file.read_bytes()))
    status, text = verify()
    first = file.with_suffix(".000002") if how == "emptied" and "checkpoints" in pattern else file  # what no longer follows it
    assert status == 1 and named(first, text), text


def named(file, text):
    """As broken, with its first broken record where there still is one."""
    return [line for line in text.splitlines() if line.startswith("BROKEN") and file.name in line]


def checkpoint_files(state):
    files = sorted(state.glob("audit/host.checkpoints.*"))
    assert len(files) == 3
    return files


def test_the_last_checkpoint_cut_off_is_named(copy):
    """By any number of bytes: the monitor that ended in order had signed its end."""
    state, verify = copy
    file = checkpoint_files(state)[-1]
    whole = file.read_bytes()
    for cut in (1, 40, 100, 300, len(whole) // 2):
        file.write_bytes(whole[:-cut])
        status, text = verify()
        lines = named(file, text)
        assert status == 1 and len(lines) == 1 and "cut off" in lines[0] and ", record " in lines[0], (cut, text)


def test_a_daemon_that_was_killed_is_no_tampering(history, tmp_path, server):
    """Also where its checkpoint is torn: the state folder says that its end was none in order."""
    state = tmp_path / "state"
    shutil.copytree(history.state, state)
    history.config["state_dir"] = str(state)
    history.write_config()
    history.start()
    Psql(history, server)("select 1")
    history.kill()
    file = max(state.glob("audit/host.checkpoints.*"))
    file.write_bytes(file.read_bytes()[:-20])
    done = history.wayleave("audit", "verify", "--state-dir", state)
    assert done.returncode == 0 and "is torn" in done.stdout and "ended in a crash" in done.stdout, done.stdout
    history.start()
    history.stop()
    done = history.wayleave("audit", "verify", "--recordings", "--state-dir", state)
    assert done.returncode == 0 and "BROKEN" not in done.stdout, done.stdout


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 1, 0)])
def test_checkpoints_in_another_order(copy, order):
    state, verify = copy
    files = checkpoint_files(state)
    contents = [f.read_bytes() for f in files]
    for file, source in zip(files, order):
        file.write_bytes(contents[source])
    status, text = verify()
    assert status == 1 and named(files[[i != n for i, n in enumerate(order)].index(True)], text), text


@pytest.mark.parametrize("with_key", [False, True])
def test_the_checkpoints_of_another_host(copy, server, tmp_path, with_key):
    from harness import daemon as daemons
    state, verify = copy
    other = daemons.Daemon(tmp_path / "other", make_config(server.port, workers=1), RULES)
    Psql(other, server)("select 1")
    other.close()
    for file in checkpoint_files(state):
        file.unlink()
    theirs = other.state / "audit" / "host.checkpoints.000001"
    shutil.copy(theirs, state / "audit")
    if with_key:
        shutil.copy(other.state / "audit" / "audit.pub", state / "audit")
    status, text = verify()
    assert status == 1, text
    if with_key:
        assert "no checkpoint knows of this monitor" in text, text
    else:
        assert any("record 1 " in line and "another key" in line for line in named(theirs, text)), text


@pytest.mark.parametrize("pattern", ["audit/w-*.audit.*", "audit/m-*.audit.*", "recordings/w-*.recording.*", "recordings/w-*.index.*",
                                     "audit/host.checkpoints.000001", "audit/host.checkpoints.000002", "audit/host.checkpoints.000003"])
def test_a_missing_file_is_named(copy, pattern):
    state, verify = copy
    file = largest(state, pattern)
    file.unlink()
    status, text = verify()
    lines = [line for line in text.splitlines() if line.startswith("BROKEN")]
    assert status == 1
    if "checkpoints" in pattern:  # nothing but its neighbours know of it
        assert any("host.checkpoints" in line and "does not follow" in line or "no checkpoint" in line or "cut off" in line for line in lines), text
    else:
        assert any(file.name.removesuffix(".zst") in line and "missing" in line for line in lines), text


def test_another_key_does_not_do(copy):
    state, verify = copy
    keys = state.parent / "keys"
    keys.mkdir()
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", keys / "k.pem"], check=True)
    subprocess.run(["openssl", "pkey", "-in", keys / "k.pem", "-pubout", "-out", state / "audit" / "audit.pub"], check=True)
    status, text = verify()
    assert status == 1, text
