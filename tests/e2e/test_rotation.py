# SPDX-License-Identifier: Apache-2.0
"""Recordings are cut into segments, compressed when finished, read as one, and deleted when they are too many, with a warning first."""
import concurrent.futures
import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import time

import pytest
from conftest import RULES, Psql, make_config
from harness.daemon import BUILD
from harness.records import assert_verified, audit, records_of
from harness.shell import Shell
from harness.waiting import wait_for

MOST = 1 << 20
SEGMENT = 64 << 10  # the least that a recording is cut at
ROUNDS = 5


@pytest.fixture
def daemon(server, make_daemon):
    config = make_config(server.port, workers=1)
    config["retention"] = {"days": 90, "max_bytes": MOST, "warn_at": "30%"}
    return make_daemon(config, RULES)


def segments(daemon, suffix=""):
    """Numbers of the recording's segments."""
    return sorted({int(re.search(r"\.recording\.(\d+)", file.name)[1]) for file in daemon.state.glob(f"recordings/*.recording.*{suffix}")})


def recorded_bytes(daemon):
    return sum(file.stat().st_size for file in daemon.state.glob("recordings/*.recording.*"))


def talk(daemon, server, name, count, text):
    lines = "".join(f"select '{name}-{i}', length('{text()}');\n" for i in range(count))
    done = Psql(daemon, server)(input=lines)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def noise(count=10000):
    """Characters that hardly get shorter."""
    return "".join(random.choices("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/", k=count))


def texts(daemon, session):
    """Of its statements, behind the connection itself."""
    return [r["text"] for r in records_of(daemon, session) if r.get("text")][1:]


def stop_compressor(daemon):
    """Stands still from now on; its pid."""
    children = pathlib.Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:  # it has little to do
        for pid in map(int, children.read_text().split()):
            with contextlib.suppress(OSError):
                if os.getpriority(os.PRIO_PROCESS, pid) == 10:
                    os.kill(pid, signal.SIGSTOP)
                    return pid
    raise TimeoutError("nothing compresses")


def test_who_compresses_ends_with_the_daemon(server, make_daemon):
    """It would keep the next one from starting."""
    config = make_config(server.port, workers=1)
    config["retention"] = {"days": 90, "max_bytes": 64 * MOST, "warn_at": "90%"}
    daemon = make_daemon(config, RULES)
    shell = Shell(daemon, f"host=127.0.0.1 port={server.port} dbname=shop user=app")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(stop_compressor, daemon)
        while not stopped.done():
            talk(daemon, server, "much", 20, lambda: noise(200000))
        pid = stopped.result()
    shell.close()
    daemon.stop()
    assert not pathlib.Path(f"/proc/{pid}").exists()
    daemon.start()
    wait_for(lambda: segments(daemon, ".zst") == segments(daemon), what="all finished segments compressed")
    assert_verified(daemon)


def test_a_recording_is_read_across_its_segments(daemon, server):
    shell = Shell(daemon, f"host=127.0.0.1 port={server.port} dbname=shop user=app")
    assert shell.ask("select 'first'") == "first"
    session = daemon.json("sessions", "list", "--active")[0]
    tail = subprocess.Popen([BUILD / "wayleave", "sessions", "tail", session["id"]], env=daemon.environment, stdout=subprocess.PIPE, text=True)
    for i in range(ROUNDS):  # fewer than retention would begin with, were nothing compressed in time
        talk(daemon, server, f"many-{i}", 8, lambda: "x" * 20000)
        assert shell.ask(f"select 'between-{i}'") == f"between-{i}"
        wait_for(lambda: len(segments(daemon)) > i + 1, what="another segment")
    last = segments(daemon)[-1]
    assert last > ROUNDS
    wait_for(lambda: segments(daemon, ".zst") == list(range(1, last)), what="all finished segments compressed")
    assert segments(daemon) == list(range(1, last + 1)), "none is there twice, none is gone"
    assert sum(f.stat().st_size for f in daemon.state.glob("recordings/*.zst")) < last * SEGMENT / 10
    assert shell.ask("select 'last'") == "last"
    expected = ["select 'first';", *[f"select 'between-{i}';" for i in range(ROUNDS)], "select 'last';"]
    assert texts(daemon, session) == expected, "across compressed segments and the open one"
    replay = daemon.wayleave("sessions", "replay", session["id"], "--speed", "0").stdout
    assert [line.split("> ")[1] for line in replay.splitlines() if "> select" in line] == expected
    listed = daemon.json("sessions", "list")
    assert len(listed) == ROUNDS + 1 and {s["state"] for s in listed} == {"active", "ended"}
    for other in listed:
        if other["state"] == "ended":
            assert len(texts(daemon, other)) == 8
    shell.close()
    out, _ = tail.communicate(timeout=20)
    assert all(t in out for t in expected) and "end: " in out, out[-500:]
    assert_verified(daemon)
    assert [r["event"] for r in audit(daemon) if r.get("event") == "compressed"], "each is noted"


def test_the_oldest_recordings_go_and_a_warning_comes_first(daemon, server):
    talk(daemon, server, "oldest", 3, noise)
    warning = wait_for_warning(daemon, server, "recordings use ")
    assert "of 1.0M; when the limit is reached" in warning and "the oldest are deleted" in warning
    assert "WARNING: recordings use" in daemon.wayleave("status").stdout and warning.split(" of ")[0] in daemon.text()
    assert segments(daemon)[0] == 1, "nothing was deleted yet"
    oldest = [s for s in daemon.json("sessions", "list") if "select 'oldest-0'" in str(texts(daemon, s))][0]
    warning = wait_for_warning(daemon, server, "recordings reached their limit of 1.0M")
    assert "before their 90 days are over" in warning
    left = segments(daemon)
    assert left[0] > 1 and left == list(range(left[0], left[-1] + 1)), "the oldest, and no other"
    assert recorded_bytes(daemon) < MOST + 4 * SEGMENT
    deleted = [r for r in audit(daemon) if r.get("event") == "deleted"]
    assert sorted(r["segment"] for r in deleted) == list(range(1, left[0]))
    assert oldest["id"] in [s["id"] for s in daemon.json("sessions", "list")], "who did something is still known"
    assert "is not there any more" in daemon.wayleave("sessions", "show", oldest["id"]).stdout
    assert_verified(daemon)


def wait_for_warning(daemon, server, text):
    for _ in range(40):
        talk(daemon, server, "more", 10, noise)
        try:
            return wait_for(lambda: text in daemon.status().get("retention_warning", "") and daemon.status()["retention_warning"], timeout=1)
        except TimeoutError:
            pass
    raise AssertionError(f"{daemon.status().get('retention_warning')!r} with {recorded_bytes(daemon)} bytes")
