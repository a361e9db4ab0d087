# SPDX-License-Identifier: Apache-2.0
"""Disks that are full or broken: what can't be recorded is not forwarded, the agent is told, and it works again afterwards."""
import collections
import contextlib
import errno
import json
import os
import pathlib
import resource
import signal
import subprocess
import threading
import time

import pytest
from conftest import RULES, Psql, make_config
from harness import daemon as daemons
from harness import faulty
from harness.records import assert_verified, audit, records_of, recorded_actions, recorded_texts
from harness.shell import Shell
from harness.waiting import wait_for

VERBOSE = ("-v", "VERBOSITY=verbose")
REFUSED = "58030: wayleave: denied: it could not be recorded ({})"


def url(server):
    return f"host=127.0.0.1 port={server.port} dbname=shop user=app"


@contextlib.contextmanager
def daemon_on(disk, server, tmp_path, workers=1, mode="enforce"):
    """A daemon whose state is on that disk."""
    d = daemons.Daemon(tmp_path / "wayleave", {**make_config(server.port, workers=workers, mode=mode), "state_dir": str(disk / "state")}, RULES)
    d.state = disk / "state"
    try:
        yield d
    finally:
        d.close()


@contextlib.contextmanager
def small_disk(folder, size):
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "wayleave-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def disk(tmp_path):
    d = faulty.Disk(tmp_path / "faulty")
    yield d
    d.close()


def fill(file):
    with contextlib.suppress(OSError), open(file, "wb", buffering=0) as f:
        while f.write(b"\0" * 4096):
            pass


def assert_refused_everything(daemon, server, why):
    """Also who comes now; and the daemon says so."""
    new = Psql(daemon, server)("select 'new session'", options=VERBOSE)
    assert new.returncode != 0, new.stdout
    assert f"could not be recorded ({why})" in new.stderr or f"the start could not be recorded: {why}" in new.stderr, new.stderr
    assert "new session" not in server.executed()
    wait_for(lambda: why in daemon.status().get("recording_problem", ""), what="the problem in the status")
    assert f"agents are refused everything: {why}" in daemon.text()


def wait_for_recovery(daemon, server):
    wait_for(lambda: Psql(daemon, server)("select 'again'").stdout.strip() == "again", timeout=40, what="recovery")
    wait_for(lambda: "recording_problem" not in daemon.status(), what="a status without a problem")
    assert "select 'again'" in recorded_texts(daemon)


def assert_told(daemon, text, why):
    """The action is there and marked as refused, in the audit log too; or it is nowhere, and the audit log says that records were lost."""
    gaps = [r for r in audit(daemon) if r["record"] == "gap"]
    assert gaps and all(why in str(g) or os.strerror(g["errno"]) == why for g in gaps), gaps
    for session in daemon.json("sessions", "list"):
        actions = [a for a in records_of(daemon, session) if a.get("text") == text]
        if actions:
            shown = daemon.wayleave("sessions", "show", session["id"]).stdout
            assert f"#{actions[0]['action']} was refused, not forwarded" in shown, shown
            return
    assert any(g.get("dropped") for g in gaps), gaps


def test_a_full_disk_stops_everything_and_is_overcome(server, tmp_path):
    with small_disk(tmp_path / "disk", "48m") as disk, daemon_on(disk, server, tmp_path) as d:
        shell = Shell(d, url(server), options=VERBOSE)
        assert shell.ask("select 'works'") == "works"
        fill(disk / "filler")
        before = len(server.executed())
        for i in range(40):  # the page that the file ends in still takes some
            refused = shell.ask(f"select 'full-{i}' || '{'x' * 2000}'")
            if "could not be recorded" in refused:
                break
        assert REFUSED.format("No space left on device") in refused, refused
        assert f"full-{i}" not in server.executed()[before:]
        assert_refused_everything(d, server, "No space left on device")
        (disk / "filler").unlink()
        wait_for_recovery(d, server)
        assert i == 0 or any(t.startswith(f"select 'full-{i - 1}'") for t in recorded_texts(d))
        assert_told(d, f"select 'full-{i}' || '{'x' * 2000}';", "No space left on device")
        assert_verified(d)
        shell.close()


@pytest.mark.parametrize("below,error,mode", [
    ("", "EIO", "enforce"), ("", "EIO", "observe"), ("/audit/w-", "EIO", "enforce"), (".recording.", "EIO", "enforce"),
    ("", "EDQUOT", "enforce"), ("/audit/w-", "EROFS", "enforce")])
def test_an_io_error_stops_everything_and_is_overcome(disk, server, tmp_path, below, error, mode):
    """Of all files, of the audit log's, of the recording's alone; and where we only observe."""
    why = os.strerror(getattr(errno, error))
    with daemon_on(disk.path, server, tmp_path, mode=mode) as d:
        shell = Shell(d, url(server), options=VERBOSE)
        assert shell.ask("select 'works'") == "works"
        disk.fail("write", error, below)
        refused = shell.ask("select 'unrecorded'")
        assert REFUSED.format(why) in refused, refused
        assert "unrecorded" not in server.executed()
        assert_refused_everything(d, server, why)
        disk.heal()
        wait_for_recovery(d, server)
        assert "unrecorded" not in server.executed()
        assert_told(d, "select 'unrecorded';", why)
        assert_verified(d)
        shell.close()


WIRE = pathlib.Path(__file__).resolve().parent.parent / "harness" / "wire.py"
BEFORE, AFTER = (f"insert into orders (item) values ('disk-{when}')" for when in ("before", "after"))


def run(text):
    return [("P", "", text), ("B", "", ""), ("E", "")]


# What was done before the disk failed, and what is asked for then.
MIDWAY = {
    "extended": ([], [("batch", [*run(AFTER), ("S",)])]),
    "pipeline": ([], [("batch", [*run(AFTER), ("S",)] * 3 + [("Q", AFTER)])]),
    "transaction": ([("Q", "begin"), ("wait", "Z"), ("Q", BEFORE), ("wait", "Z")], [("batch", [("Q", AFTER), ("Q", "commit")])]),
    "batch": ([("batch", [*run(BEFORE), ("H",)]), ("wait", "C")], [("batch", [*run(AFTER), ("S",), *run(AFTER), ("S",)])]),
    "commit alone": ([("Q", "begin"), ("wait", "Z"), ("Q", BEFORE), ("wait", "Z")], [("batch", [*run("commit"), ("S",)])]),
    "copy": ([], [("Q", "copy orders (item) from stdin")]),
    "behind copy": ([("Q", "begin"), ("wait", "Z"), ("Q", "copy orders (item) from stdin"), ("wait", "G"), ("d", "disk-before\n")],
                    [("batch", [("c",), ("Q", AFTER), ("Q", "commit")])]),
    "bound": ([("batch", [("P", "again", AFTER), ("S",)]), ("wait", "Z")], [("batch", [("B", "", "again"), ("E", ""), ("S",)])]),
}


@pytest.fixture(scope="module")
def breaking(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("breaking")
    disk = faulty.Disk(folder / "faulty")
    with contextlib.closing(disk), daemon_on(disk.path, server, folder) as d:
        yield d, disk


@pytest.mark.parametrize("case", MIDWAY)
def test_midway_nothing_is_forwarded_and_the_server_undoes_the_rest(breaking, server, case):
    daemon, disk = breaking
    before, after = MIDWAY[case]
    executed = len(server.executed())
    process = daemon.popen("/usr/bin/python3", WIRE, "127.0.0.1", server.port, "app", "shop",
                           repr([*before, ("line", "now"), *after, ("eof",)]), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        with process:
            assert process.stdout.readline() == "now\n"
            disk.fail("write")
            process.stdin.write("\n")
            process.stdin.close()
            seen = json.loads(process.stdout.read())
    finally:
        disk.heal()
    told = seen[-1][1]
    assert seen[-1][0] == "E" and (told["S"], told["C"]) == ("FATAL", "58030"), seen
    assert told["M"] == "wayleave: denied: it could not be recorded (Input/output error)"
    assert any(m[0] == "G" for m in seen) == (case == "behind copy"), seen
    wait_for(lambda: server.sql("select count(*) from pg_stat_activity where usename = 'app'") == "0", what="the end of the server's session")
    assert "disk-after" not in server.executed()[executed:]
    assert server.sql("select count(*) from orders where item like 'disk-%'", "shop") == "0"
    wait_for_recovery(daemon, server)


def segments(daemon, pattern):
    return len(list(daemon.state.glob(pattern)))


@pytest.mark.parametrize("below,again", [("/audit/w-", "audit/w-*.audit.*"), (".recording.", "recordings/w-*.recording.*"),
                                         ("/audit/m-", "audit/m-*.audit.*"), ("/audit/host", "audit/host.checkpoints.*"), ("", "*/w-*.[ar]*.*")])
def test_what_could_not_be_synced_is_not_built_upon(disk, server, tmp_path, below, again):
    """Linux forgets that pages could not be written: the stream goes on in a new file."""
    with daemon_on(disk.path, server, tmp_path) as d:
        assert Psql(d, server).rows("select 'works'") == ["works"]
        before = segments(d, again)
        disk.fail("fsync", below=below)
        os.kill(d.workers()[0], signal.SIGKILL) if "host" in below else Psql(d, server)("select 'perhaps'")
        if below == "":
            wait_for(lambda: "Input/output error" in Psql(d, server)("select 'refused'").stderr, what="a refusal")
        else:
            wait_for(lambda: segments(d, again) > before, what="another file")
        disk.heal()
        wait_for_recovery(d, server)
        assert segments(d, again) > before
        assert_verified(d)


@pytest.mark.parametrize("below", ["", ".recording."])
def test_a_disk_that_syncs_nothing_is_not_filled_with_files(disk, server, tmp_path, below):
    with daemon_on(disk.path, server, tmp_path) as d:
        disk.fail("fsync", below=below)
        wait_for(lambda: "Input/output error" in Psql(d, server)("select 'refused'").stderr, what="a refusal")
        time.sleep(12)
        streams = collections.Counter(file.name.rpartition(".")[0] for file in d.state.glob("*/*.0*"))
        assert streams and max(streams.values()) <= 12, "a new file twice a second would be 24"


def test_a_limit_of_the_file_size_is_no_signal(server, make_daemon):
    """EFBIG comes with SIGXFSZ, which would end the worker."""
    most = 8 << 20
    d = make_daemon(make_config(server.port, workers=1), RULES, enter=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    workers = d.workers()
    for i in range(4):
        done = Psql(d, server)(input=f"\\set VERBOSITY verbose\nselect length('big-{i}{'x' * 3000000}');\n")
        if done.stderr:
            break
        assert done.stdout == "3000005\n"
    assert i == 2 and REFUSED.format("File too large") in done.stderr, (i, done.stderr[:300])
    assert f"big-{i}" not in server.executed()
    assert_refused_everything(d, server, "File too large")
    assert d.workers() == workers
    assert_verified(d)


STATEMENTS = 400


def test_a_disk_that_fills_while_many_sessions_run(server, tmp_path):
    """Whatever the server executed is in the recordings; what is in them and was not executed is marked."""
    with small_disk(tmp_path / "disk", "24m") as disk, daemon_on(disk, server, tmp_path, workers=2) as d:
        before = len(server.executed())

        def work(name):
            lines = "".join(f"select 'busy-{name}-{i}', '{'x' * 500}';\n" for i in range(STATEMENTS))
            d.run("psql", "-X", "-A", "-t", "-q", url(server), input=lines, timeout=60)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        for t in threads:
            t.start()
        wait_for(lambda: server.executed().count("busy-") > 200, what="statements")
        fill(disk / "filler")
        for t in threads:
            t.join()
        (disk / "filler").unlink()
        wait_for_recovery(d, server)
        seen = {line.split("'")[1] for line in server.executed()[before:].splitlines() if "select 'busy-" in line}
        assert 200 < len(seen) < 16 * STATEMENTS, "the disk was not full in time"
        actions = [a for a in recorded_actions(d) if a["text"].startswith("select 'busy-")]
        recorded = {a["text"].split("'")[1] for a in actions}
        assert seen <= recorded, sorted(seen - recorded)[:5]
        for session in d.json("sessions", "list"):
            shown = d.wayleave("sessions", "show", session["id"]).stdout
            for a in records_of(d, session):
                if a.get("text", "").startswith("select 'busy-") and a["text"].split("'")[1] not in seen:
                    assert f"#{a['action']} was refused, not forwarded" in shown, a
        assert_verified(d)
