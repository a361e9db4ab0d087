# SPDX-License-Identifier: Apache-2.0
"""SSH through the gate: OpenSSH's server and clients, unchanged, and what each action becomes."""
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest
from conftest import ROOT, make_config
from harness import daemon as daemons
from harness import ssh
from harness.ports import free_port
from harness.records import assert_verified, records_of
from harness.ssh_gate import OPTIONS, config_for, daemon, ended, last, pending, run, server, shell  # noqa: F401
from harness.terminal import read_until
from harness.waiting import wait_for

RULES = [
    {"name": "commands", "resources": ["box"], "operations": ["exec"],
     "objects": ["echo *", "cat", "cat *", "sleep *", "true", "sh *", "scp *", "rsync *", "dd *", "stty *", "kill *", "env"], "allow": {}},
    {"name": "recorded", "resources": ["box"], "operations": ["exec"], "objects": ["echo keep *", "printf *"], "allow": {"record": "rows"}},
    {"name": "shells", "resources": ["box"], "operations": ["shell", "subsystem", "git_fetch"], "allow": {}},
    {"name": "files", "resources": ["box"], "operations": ["read", "write"], "allow": {}},
    {"name": "names", "resources": ["box"], "operations": ["env"], "objects": ["WAYLEAVE_A=*"], "allow": {}},
    {"name": "no removing", "resources": ["box"], "operations": ["exec"], "objects": ["rm *"], "deny": {"message": "ask first"}},
    {"name": "masked", "resources": ["box"], "operations": ["subsystem"], "objects": ["raw"], "allow": {"mask": [{"detect": ["email"], "with": "redact"}]}},
    {"name": "asked", "resources": ["box"], "operations": ["exec"], "objects": ["touch *"], "review": {"by": "ops", "within": "1m", "grant": "10m"}},
]


# --- commands

def test_a_command_runs_as_without_us(daemon, server):
    done = run(daemon, server, "sh -c 'echo out; echo err >&2; exit 7'")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    session = ended(daemon)
    assert session["protocol"] == "ssh" and session["user"] == "root"
    action = records_of(daemon, session)[-1]
    assert action["text"] == "sh -c 'echo out; echo err >&2; exit 7'"
    assert records_of(daemon, session, "result")[-1]["tag"] == "exit 7"
    assert session["bytes_to_agent"] == 8


def test_the_agent_needs_no_key_and_sees_no_other_host_key(daemon, server):
    home = daemon.folder / "home"
    home.mkdir(exist_ok=True)
    keys = pathlib.Path(daemon.state / "keys")
    assert not daemon.run("ls", str(keys)).stdout
    scanned = daemon.run("ssh-keyscan", "-p", server.port, "127.0.0.1").stdout
    assert scanned.count("ssh-") + scanned.count("ecdsa-") >= 3
    for key in server.host_keys:
        assert ssh.public(key).split()[1] not in scanned


def test_the_host_own_known_hosts_stay_as_they_are(daemon, server):
    path = pathlib.Path("/etc/ssh/ssh_known_hosts")
    before = path.read_bytes() if path.exists() else None
    assert f"[127.0.0.1]:{server.port} ssh-ed25519" in daemon.run("cat", str(path)).stdout
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_denied_command_leaves_the_connection(daemon, server, tmp_path):
    control = ["-o", f"ControlPath={tmp_path}/c"]
    master = daemon.popen("ssh", *OPTIONS, *control, "-M", "-N", "-p", str(server.port), "root@127.0.0.1", stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: (tmp_path / "c").exists())
        denied = run(daemon, server, "rm -rf /nowhere", options=control)
        assert (denied.returncode, denied.stdout) == (126, "")
        assert denied.stderr == 'wayleave: denied by rule "no removing": ask first\n'
        uncovered = run(daemon, server, "reboot", options=control)
        assert uncovered.returncode == 126 and "no rule allows exec on reboot" in uncovered.stderr
        assert run(daemon, server, "echo still here", options=control).stdout == "still here\n"
    finally:
        master.terminate()
        master.wait(10)
    assert server.log.read_text().count("rm -rf") == 0


@pytest.mark.parametrize("line", ["echo a; rm b", "echo a && rm b", "echo a | rm b", "echo a & rm b", "echo a\nrm b", "'rm' b", "r\\m b",
                                  "echo $(rm b)", "echo `rm b`", "echo a > /tmp/x", "(rm b)", "echo a; if true; then rm b; fi", "echo *", "echo ~"])
def test_an_allowed_beginning_covers_no_other_command(daemon, server, line):
    done = run(daemon, server, line)
    assert done.returncode == 126 and done.stdout == "" and done.stderr.startswith("wayleave: denied"), done


def test_quotes_do_not_hide_and_do_not_hinder(daemon, server):
    assert run(daemon, server, "echo 'a; rm b' \"c\"").stdout == "a; rm b c\n"


def test_input_ends_and_signals_pass(daemon, server):
    done = run(daemon, server, "cat", stdin=None, input="in\n")
    assert (done.returncode, done.stdout) == (0, "in\n")
    done = run(daemon, server, "sh -c 'kill -TERM $$'")
    assert done.returncode == 255
    wait_for(lambda: last(daemon)["end"])
    assert records_of(daemon, last(daemon), "result")[-1]["tag"] == "signal TERM"


def test_variables_are_actions(daemon, server):
    done = daemon.run("ssh", *OPTIONS, "-o", "SendEnv=WAYLEAVE_*", "-p", server.port, "root@127.0.0.1", "env",
                      env={"WAYLEAVE_A": "yes", "WAYLEAVE_B": "no"}, stdin=subprocess.DEVNULL)
    assert "WAYLEAVE_A=yes" in done.stdout and "WAYLEAVE_B" not in done.stdout
    wait_for(lambda: last(daemon)["end"])
    verdicts = {a["text"]: a["verdict"] for a in records_of(daemon, last(daemon)) if "=" in a["text"]}
    assert verdicts["WAYLEAVE_A=yes"] == "allow" and verdicts["WAYLEAVE_B=no"] == "deny"


@pytest.mark.parametrize("words", [["-W", "127.0.0.1:1"], ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "1:127.0.0.1:2"]])
def test_tunnels_are_refused_and_recorded(daemon, server, words):
    done = daemon.run("ssh", *OPTIONS, *words, "-p", server.port, "root@127.0.0.1", stdin=subprocess.DEVNULL)
    assert done.returncode == 255
    wait_for(lambda: last(daemon)["end"])
    assert last(daemon)["denied"] == 1


def test_a_listener_is_recorded_while_something_else_waits(daemon, server, tmp_path):
    process = daemon.popen("ssh", *OPTIONS, "-R", "1:127.0.0.1:2", "-p", str(server.port), "root@127.0.0.1", f"touch {tmp_path}/z",
                           stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    review = pending(daemon)
    session = last(daemon)
    assert wait_for(lambda: [a["verdict"] for a in records_of(daemon, session) if a["text"].endswith(":1")]) == ["deny"]
    assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    assert process.wait(15) == 0 and (tmp_path / "z").exists()


def test_what_waits_in_one_channel_keeps_no_other(daemon, server, tmp_path):
    control = ["-o", f"ControlPath={tmp_path}/c"]
    master = daemon.popen("ssh", *OPTIONS, *control, "-M", "-p", str(server.port), "root@127.0.0.1", f"touch {tmp_path}/w",
                          stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        review = pending(daemon)
        assert run(daemon, server, "echo meanwhile", options=control).stdout == "meanwhile\n"
        assert not (tmp_path / "w").exists()
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert master.wait(15) == 0 and (tmp_path / "w").exists()
    finally:
        master.kill()
        master.wait(10)


def test_what_can_not_be_masked_does_not_run(daemon, server):
    done = run(daemon, server, "raw", options=["-s"])
    assert done.returncode == 126 and "can't be masked" in done.stderr and done.stdout == ""


# --- files

def test_files_pass_unchanged(daemon, server, tmp_path):
    data = os.urandom(3 << 20)
    (tmp_path / "a").write_bytes(data)
    place = f"root@127.0.0.1:{tmp_path}"
    assert daemon.run("scp", "-q", *OPTIONS, "-P", server.port, tmp_path / "a", f"{place}/b").returncode == 0
    assert daemon.run("scp", "-O", "-q", *OPTIONS, "-P", server.port, f"{place}/b", tmp_path / "c").returncode == 0
    done = daemon.run("rsync", "-e", f"ssh {' '.join(OPTIONS)} -p {server.port}", f"{place}/c", tmp_path / "d")
    assert done.returncode == 0, done.stderr
    batch = f"get {tmp_path}/d {tmp_path}/e\nput {tmp_path}/e {tmp_path}/f\nls {tmp_path}\n"
    done = daemon.run("sftp", "-q", "-b", "-", *OPTIONS, "-P", server.port, "root@127.0.0.1", input=batch)
    assert done.returncode == 0, done.stderr
    done = daemon.run("rsync", "-e", f"ssh {' '.join(OPTIONS)} -p {server.port}", tmp_path / "d", f"{place}/g")
    assert done.returncode == 0, done.stderr
    for name in "bcdefg":
        assert (tmp_path / name).read_bytes() == data, name


def test_git_is_its_own_operation(daemon, server, tmp_path):
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "r"], check=True)
    environment = {"GIT_SSH_COMMAND": f"ssh {' '.join(OPTIONS)} -p {server.port}"}
    done = daemon.run("git", "clone", "-q", f"root@127.0.0.1:{tmp_path}/r", tmp_path / "w", env=environment)
    assert done.returncode == 0, done.stderr
    subprocess.run(["git", "-C", tmp_path / "w", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"],
                   check=True)
    done = daemon.run("git", "-C", tmp_path / "w", "push", "-q", "origin", "HEAD", env=environment)
    assert done.returncode != 0 and f"no rule allows git_push on {tmp_path}/r" in done.stderr


def test_much_passes_both_ways(daemon, server):
    size = 16 << 20
    done = run(daemon, server, f"dd if=/dev/zero bs=1M count={size >> 20} status=none", text=False)
    assert len(done.stdout) == size
    done = run(daemon, server, "cat", stdin=None, input=b"x" * size, text=False, options=["-o", "RekeyLimit=8M"])
    assert done.stdout == b"x" * size


# --- terminals

def test_a_shell_has_its_terminal_and_is_recorded(daemon, server):
    with shell(daemon, server) as (process, main):
        os.write(main, b"stty size; echo mark$((1+1)); exit 5\n")
        read_until(main, b"mark2")
        assert process.wait(10) == 5
    session = ended(daemon)
    kinds = {r["kind"] for r in records_of(daemon, session, "data")}
    assert kinds == {"window", "input", "output"}
    assert "mark2" in daemon.wayleave("sessions", "replay", session["id"], "--speed", "0").stdout
    cast = daemon.wayleave("sessions", "replay", session["id"], "--asciicast").stdout.splitlines()
    head, events = json.loads(cast[0]), [json.loads(line) for line in cast[1:]]
    assert head["version"] == 2 and any(kind == "o" and "mark2" in text for _, kind, text in events)
    assert "".join(text for _, kind, text in events if kind == "i") == "stty size; echo mark$((1+1)); exit 5\n"
    assert_verified(daemon)


def test_what_a_command_writes_is_recorded_where_a_rule_says_so(daemon, server):
    assert run(daemon, server, "printf 'a\\033]0;title\\007b\\n'").stdout == "a\033]0;title\007b\n"
    session = ended(daemon)
    assert [r["kind"] for r in records_of(daemon, session, "data")] == ["output"]
    replayed = daemon.wayleave("sessions", "replay", session["id"], "--speed", "0").stdout
    assert "\nab\n" in replayed and "\033" not in replayed
    assert run(daemon, server, "echo not kept").stdout == "not kept\n"
    session = ended(daemon)
    assert records_of(daemon, session, "data") == []


# --- reviews

def test_a_command_waits_for_people(daemon, server, tmp_path):
    made = tmp_path / "made"
    process = daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", f"touch {made}", stdin=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    review = pending(daemon)
    assert review["text"] == f"touch {made}" and not made.exists()
    assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    assert process.wait(15) == 0 and made.exists()
    assert f"wayleave: waiting for approval by ops (review {review['id']})" in process.stderr.read()


def test_variables_are_part_of_what_is_decided(daemon, server, tmp_path):
    """The words are the same, and what they do may hang on them."""
    clients = [daemon.popen("ssh", *OPTIONS, *more, "-p", str(server.port), "root@127.0.0.1", f"touch {tmp_path}/kept",
                              stdin=subprocess.DEVNULL) for more in ((), ("-o", "SetEnv=WAYLEAVE_A=x"), ("-o", "SetEnv=WAYLEAVE_A=y"))]
    found = wait_for(lambda: [r for r in [[r for r in daemon.json("reviews") if r["state"] == "pending"]] if len(r) == 3])[0]
    assert {daemon.json("reviews", "show", r["id"])["settings"] for r in found} == {"root", "root\nenv: WAYLEAVE_A=x", "root\nenv: WAYLEAVE_A=y"}
    for review in found:
        assert daemon.wayleave("reviews", "deny", review["id"], "--reason", "no").returncode == 0
    assert [p.wait(15) for p in clients] == [126] * 3


def test_a_refused_command_never_runs(daemon, server, tmp_path):
    process = daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", f"touch {tmp_path}/x", stdin=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    review = pending(daemon)
    assert daemon.wayleave("reviews", "deny", review["id"], "--reason", "not today").returncode == 0
    assert process.wait(15) == 126 and "not today" in process.stderr.read() and not (tmp_path / "x").exists()


def test_who_gives_up_waits_no_more(daemon, server, tmp_path):
    process = daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", f"touch {tmp_path}/y", stdin=subprocess.DEVNULL)
    review = pending(daemon)
    process.terminate()
    process.wait(10)
    wait_for(lambda: [r["state"] for r in daemon.json("reviews") if r["id"] == review["id"]] != ["pending"])
    assert not (tmp_path / "y").exists()


# --- who is who

def refused(server, tmp_path, known, **credentials):
    (tmp_path / "known").write_text(known)
    d = daemons.Daemon(tmp_path / "d", config_for(server, tmp_path / "known", **credentials), RULES)
    try:
        done = run(d, server, "true")
        session = wait_for(lambda: last(d)["end"] and last(d))
    finally:
        d.close()
    assert done.returncode == 126 and done.stdout == ""
    return done.stderr, session


def test_an_unknown_host_is_refused(server, tmp_path):
    errors, session = refused(server, tmp_path, "other " + ssh.public(server.host_keys[0]) + "\n")
    assert f"host_keys has no key of [127.0.0.1]:{server.port}" in errors
    assert session["reason"] == "upstream_login"


def test_a_changed_host_key_is_refused(server, tmp_path):
    other = ssh.make_key(tmp_path / "other")
    errors, _ = refused(server, tmp_path, f"[127.0.0.1]:{server.port} {ssh.public(other)}\n")
    assert "is not the one that host_keys has" in errors
    errors, _ = refused(server, tmp_path, server.known() + f"@revoked * {ssh.public(server.host_keys[0])}\n")
    assert "is revoked" in errors


def test_a_key_that_is_not_let_in(server, tmp_path):
    other = ssh.make_key(tmp_path / "mine")
    errors, _ = refused(server, tmp_path, server.known(), key_file=str(other))
    assert "does not let root in" in errors


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_other_kinds_log_in(server, tmp_path, kind):
    key = ssh.make_key(tmp_path / "key", kind, *(["-m", "PEM"] if kind == "ecdsa" else []))
    server.allow(server.user_key, key)
    (tmp_path / "known").write_text(server.known(server.host_keys[2]))
    d = daemons.Daemon(tmp_path / "d", config_for(server, tmp_path / "known", key_file=str(key)), RULES)
    try:
        assert run(d, server, "echo in").stdout == "in\n"
    finally:
        d.close()
        server.allow(server.user_key)


# --- other clients

PARAMIKO = """
import paramiko, sys
t = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
t.connect(username="root", password="whatever")
c = t.open_session()
c.exec_command("echo from paramiko")
print(c.makefile().read().decode(), end="")
f = paramiko.SFTPClient.from_transport(t)
f.putfo(__import__("io").BytesIO(b"x" * 100000), sys.argv[2])
print(f.stat(sys.argv[2]).st_size, c.recv_exit_status())
t.close()
"""


def test_paramiko(daemon, server, tmp_path):
    done = daemon.run("/usr/bin/python3", "-c", PARAMIKO, server.port, tmp_path / "p")
    assert done.stdout == "from paramiko\n100000 0\n", done.stderr


KEPT = """
import paramiko, sys
t = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
t.connect(username="root", password="whatever")
for line in sys.stdin:
    c = t.open_session()
    c.exec_command(line.strip())
    c.makefile().read()
    print(c.recv_exit_status(), flush=True)
t.close()
"""


def test_a_grant_covers_commands_until_it_is_revoked(daemon, server, tmp_path):
    """In the connection that is open, too."""
    with daemon.popen("/usr/bin/python3", "-c", KEPT, server.port, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        def send(name):
            p.stdin.write(f"touch {tmp_path}/{name}\n")
            p.stdin.flush()

        send("granted")
        assert daemon.wayleave("reviews", "approve", pending(daemon)["id"], "--for", "5m").returncode == 0
        assert p.stdout.readline() == "0\n"
        (grant,) = daemon.json("grants", "list")
        (tmp_path / "granted").unlink()
        send("granted")
        assert p.stdout.readline() == "0\n" and (tmp_path / "granted").exists()
        # Of another file nobody said anything.
        send("other")
        assert daemon.wayleave("reviews", "deny", pending(daemon)["id"], "--reason", "no").returncode == 0
        assert p.stdout.readline() == "126\n"
        (tmp_path / "granted").unlink()
        assert daemon.wayleave("grants", "revoke", grant["id"]).returncode == 0
        send("granted")
        assert daemon.wayleave("reviews", "deny", pending(daemon)["id"], "--reason", "no more").returncode == 0
        assert p.stdout.readline() == "126\n"
        p.stdin.close()
    assert list(tmp_path.iterdir()) == []


# --- ends

def test_many_sessions_at_once(daemon, server):
    results = []

    def one(i):
        results.append(run(daemon, server, f"echo {i}").stdout == f"{i}\n")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True] * 12


def running(daemon, text):
    """The session that runs this command now."""
    session = last(daemon)
    return session if session.get("id") and any(a["text"] == text for a in records_of(daemon, session)) else None


def test_a_killed_session_ends_its_process(daemon, server):
    before = daemon.ssh_sessions()
    process = daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", "sleep 60", stdin=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    session = wait_for(lambda: running(daemon, "sleep 60"))
    assert daemon.wayleave("sessions", "kill", session["id"]).returncode == 0
    assert process.wait(15) != 0
    wait_for(lambda: not daemon.ssh_sessions() - before)


def test_nothing_runs_without_a_worker(daemon, server):
    before = daemon.ssh_sessions()
    process = daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", "sleep 61", stdin=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    wait_for(lambda: running(daemon, "sleep 61"))
    for worker in daemon.workers():
        os.kill(worker, 9)
    assert process.wait(15) != 0
    wait_for(lambda: not daemon.ssh_sessions() - before)
    wait_for(lambda: run(daemon, server, "echo again").stdout == "again\n")


def test_the_process_is_started_again(daemon, server):
    (parent,) = wait_for(daemon.ssh_parents)
    os.kill(parent, 9)
    wait_for(lambda: run(daemon, server, "echo again").stdout == "again\n")


def test_a_place_that_no_resource_names_is_no_way_round(server, tmp_path):
    config = {**make_config(1), "egress": "allow", "loopback": "egress", "resources": []}
    d = daemons.Daemon(tmp_path / "d", config, [{"name": "all", "operations": ["*"], "allow": {}}])
    try:
        done = d.run("ssh", *OPTIONS, "-o", "UserKnownHostsFile=/dev/null", "-p", server.port, "root@127.0.0.1", "true")
        assert done.returncode == 255
        assert last(d)["reason"] == "wrong_protocol"
    finally:
        d.close()


# --- hosts that ask for a password, and hosts that misbehave

class Asking:
    def __init__(self, folder, ways):
        self.port = free_port()
        self.key = ssh.make_key(folder / "asking")
        (folder / "password").write_text("correct horse\n")
        os.chmod(folder / "password", 0o600)
        self.process = subprocess.Popen(["/usr/bin/python3", ROOT / "harness/ssh_server.py", str(self.port), self.key, "deploy",
                                         "correct horse", ways], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout.readline() == "listening\n"
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {ssh.public(self.key)}\n")

    def stop(self):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture(params=["password", "keyboard-interactive"])
def asking(request, tmp_path):
    asked = Asking(tmp_path, request.param)
    config = config_for(asked, tmp_path / "known", user="deploy", password_file=str(tmp_path / "password"))
    d = daemons.Daemon(tmp_path / "d", config, [{"name": "all", "operations": ["*"], "allow": {}}])
    yield d, asked
    d.close()
    asked.stop()


def test_a_password_is_used_where_the_host_wants_one(asking, tmp_path):
    daemon, asked = asking
    done = run(daemon, asked, "echo in")
    assert (done.returncode, done.stdout) == (3, "echo in\n"), done.stderr
    (tmp_path / "password").write_text("wrong\n")
    done = run(daemon, asked, "echo in")
    assert done.returncode == 126 and "does not let deploy in" in done.stderr and "wrong" not in done.stderr
    (tmp_path / "password").write_text("correct horse\n")
    assert run(daemon, asked, "echo in").returncode == 3
    found = subprocess.run(["grep", "-r", "-l", "-a", "correct horse", str(daemon.state), str(daemon.log)], capture_output=True, text=True)
    assert found.stdout == ""


def test_a_host_that_misbehaves_harms_itself_alone(tmp_path):
    asked = Asking(tmp_path, "password")
    config = config_for(asked, tmp_path / "known", user="deploy", password_file=str(tmp_path / "password"))
    d = daemons.Daemon(tmp_path / "d", config, [{"name": "all", "operations": ["*"], "allow": {}}])
    try:
        gone = run(d, asked, "vanish")
        assert gone.returncode == 126 and "wayleave: the connection to the host broke" in gone.stderr, gone
        hanging = d.popen("ssh", *OPTIONS, "-p", str(asked.port), "root@127.0.0.1", "hang", stdin=subprocess.DEVNULL)
        flooded = [d.popen("ssh", *OPTIONS, "-p", str(asked.port), "root@127.0.0.1", how, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
                   for how in ("flood", "flood its window", "flood both")]
        time.sleep(2)  # nobody reads: what is on its way stays bounded
        assert d.ssh_sessions()
        for pid in d.ssh_sessions():
            assert _resident(pid) < 40 << 20
        assert run(d, asked, "other").returncode == 3
        for process in (hanging, *flooded):
            process.terminate()
            process.wait(10)
        for process in flooded:
            process.stdout.close()
        wait_for(lambda: not d.ssh_sessions())
    finally:
        d.close()
        asked.stop()


def _resident(pid):
    return next(int(line.split()[1]) << 10 for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
