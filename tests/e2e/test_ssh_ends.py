# SPDX-License-Identifier: Apache-2.0
"""Ends of SSH sessions, by either side and at each stage, and of what waits for people: nothing is left behind, the other side is told,
and the recording has it."""
import copy
import os
import signal
import subprocess

import pytest
from harness.daemon import children
from harness.records import records_of
from harness.ssh_gate import OPTIONS, daemon, ended, gate, last, pending, run, server  # noqa: F401
from harness.waiting import wait_for

DENIED = 126
BROKE = "wayleave: the connection to the host broke\n"
# Each is another channel's opening, or another request.
HELD = {"a channel": ["-W", "127.0.0.1:1"], "a command": ["root@127.0.0.1", "touch /nowhere/at/all"]}
EXPIRING = {"forward": ["-W", "127.0.0.1:2"], "exec": ["root@127.0.0.1", "rm /nowhere/at/all"], "shell": ["-tt", "root@127.0.0.1"],
            "subsystem": ["-s", "root@127.0.0.1", "sftp"]}
RULES = [
    {"name": "commands", "resources": ["box"], "operations": ["exec"], "objects": ["echo *", "yes", "cat", "true"], "allow": {}},
    {"name": "held", "resources": ["box"], "operations": ["exec", "forward"], "objects": ["touch *", "127.0.0.1:1"],
     "review": {"by": "ops", "within": "1m"}},
    {"name": "expiring", "resources": ["box"], "operations": ["exec", "forward"], "objects": ["rm *", "127.0.0.1:2"],
     "review": {"by": "ops", "within": "1s"}},
    {"name": "others", "resources": ["box"], "operations": ["shell", "subsystem"], "review": {"by": "ops", "within": "1s"}},
]


def descriptors(daemon):
    """How many each of the processes has that outlive a session."""
    return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in [daemon.process.pid, *daemon.workers(), *daemon.ssh_parents()]}


@pytest.fixture(scope="module")
def before(daemon, server):
    """What there was when no session was any more."""
    assert run(daemon, server, "true").returncode == 0
    wait_for(lambda: not daemon.ssh_sessions())
    return descriptors(daemon)


def start(daemon, server, *words, **more):
    if "root@127.0.0.1" not in words:
        words = (*words, "root@127.0.0.1")
    return daemon.popen("ssh", *OPTIONS, "-p", str(server.port), *words, **{"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **more})


def logged_in(daemon):
    return wait_for(lambda: not last(daemon)["end"] and last(daemon).get("user") == "root")


def idle(daemon, server):
    client = start(daemon, server, "-N")
    wait_for(daemon.ssh_sessions)
    logged_in(daemon)
    return client


def waiting(what):
    def begin(daemon, server):
        # Not at its end, where it would be over.
        client = start(daemon, server, *HELD[what], stdin=subprocess.PIPE)
        pending(daemon)
        return client
    return begin


def reading(daemon, server):
    client = start(daemon, server, "root@127.0.0.1", "yes", stdout=subprocess.PIPE)
    assert len(client.stdout.read(4 << 20)) == 4 << 20
    return client


def writing(daemon, server):
    with open("/dev/zero", "rb") as zeros:
        client = start(daemon, server, "root@127.0.0.1", "echo in; cat", stdin=zeros, stdout=subprocess.PIPE)
    assert client.stdout.read(3) == b"in\n"
    return client


STAGES = {"idle": idle, "a channel waits": waiting("a channel"), "a command waits": waiting("a command"), "output": reading, "input": writing}


def assert_nothing_left(daemon, server, before):
    session = ended(daemon)
    wait_for(lambda: not daemon.ssh_sessions(), what="the end of the session's process")
    wait_for(lambda: not children(server.process.pid, "sshd"), what="the end of the host's process")
    wait_for(lambda: descriptors(daemon) == before, what="the end of descriptors")
    wait_for(lambda: not [r for r in daemon.json("reviews") if r["state"] == "pending"], what="the end of reviews")
    return session


@pytest.mark.parametrize("stage", STAGES)
def test_the_agent_is_gone(daemon, server, before, stage):
    with STAGES[stage](daemon, server) as client:
        client.kill()
    session = assert_nothing_left(daemon, server, before)
    assert not session["reason"] or session["reason"] == "none", session


@pytest.mark.parametrize("stage", STAGES)
def test_the_host_is_gone(daemon, server, before, stage):
    with STAGES[stage](daemon, server) as client:
        for pid in children(server.process.pid, "sshd"):
            os.kill(pid, signal.SIGKILL)
        _, errors = client.communicate(timeout=30)
    assert client.returncode == (DENIED if stage == "a command waits" else 255)
    # With a channel there is somebody to tell.
    assert (BROKE in errors.decode()) == (stage in ("a command waits", "output", "input")), errors
    session = assert_nothing_left(daemon, server, before)
    assert session["reason"] == "upstream_closed", session


DIAL = "import socket, sys, time; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.sendall(sys.argv[2].encode()); print(flush=True); time.sleep(60)"


@pytest.mark.parametrize("said", ["", "SSH-2.0-agent\r\n"])
def test_an_agent_that_is_gone_before_it_has_said_who_it_is(daemon, server, before, said):
    with daemon.popen("/usr/bin/python3", "-c", DIAL, str(server.port), said, stdout=subprocess.PIPE) as client:
        client.stdout.readline()
        wait_for(daemon.ssh_sessions)
        client.kill()
    assert_nothing_left(daemon, server, before)


@pytest.mark.parametrize("operation", EXPIRING)
def test_nobody_decides(daemon, server, before, operation):
    with start(daemon, server, *EXPIRING[operation], stdin=subprocess.PIPE) as client:
        wait_for(lambda: client.poll() is not None)
        errors = client.stderr.read().decode()
    assert client.returncode == (255 if operation == "forward" else DENIED)
    assert "wayleave: denied: nobody decided in time" in errors or operation == "forward", errors
    session = assert_nothing_left(daemon, server, before)
    assert [r["outcome"] for r in records_of(daemon, session, "decision")] == ["expired"]
    assert [a["verdict"] for a in records_of(daemon, session) if a["pairs"][0]["operation"] == operation] == ["review"]


def scanned(daemon, server):
    """The keys by which agents know us."""
    lines = daemon.run("ssh-keyscan", "-p", server.port, "127.0.0.1").stdout.splitlines()
    return sorted(line for line in lines if not line.startswith("#"))


def test_another_daemon_has_the_same_keys_and_running_agents_learn_of_new_hosts(server, tmp_path):
    with gate(tmp_path, server, RULES) as d:
        keys = scanned(d, server)
        assert len(keys) == 3
        d.stop()
        d.start()
        assert scanned(d, server) == keys
        with d.popen("sh", "-c", "cat /etc/ssh/ssh_known_hosts; echo; read line; cat /etc/ssh/ssh_known_hosts", stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE, text=True) as shell:
            assert not [line for line in iter(shell.stdout.readline, "\n") if "new.test" in line]
            d.config["resources"].append({**copy.deepcopy(d.config["resources"][0]), "name": "new", "hosts": ["new.test:2022"]})
            d.write_config()
            d.wait_for("the new configuration is in force")
            shown, _ = shell.communicate("\n", timeout=20)
        assert {line.split(" ", 1)[1] for line in shown.splitlines() if "[new.test]:2022" in line} == {k.split(" ", 1)[1] for k in keys}
