# SPDX-License-Identifier: Apache-2.0
"""What the process of an SSH session could do if it was taken over: its sandbox tried from inside, and live ones as the kernel and
their memory show them."""
import contextlib
import os
import pathlib
import signal
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from harness import memory, ssh
from harness.ssh_gate import OPTIONS, gate, server  # noqa: F401
from harness.waiting import wait_for
from test_sandbox import PROBE, assert_powerless, status_of

RULES = [{"name": "commands", "operations": ["exec"], "allow": {}}]
# What it was given may be used, and no more had.
ALLOWED = ["append", "set-flags"]
KILLED = ["truncate", "allocate", "pwrite", "pwritev2", "duplicate", "exec", "fork", "ptrace", "read-memory", "kill", "signal-thread", "root",
          "namespace", "listen", "code", "bpf", "second-ring"]
# What its library tries in passing.
REFUSED = ["open", "read-link", "unix-socket", "netlink-socket", "udp-socket", "raw-socket", "tcp-socket", "connect"]


def probe(*what):
    return subprocess.run([PROBE, "session", *what], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)


def test_the_probe_knows_no_more_than_is_tried_here():
    assert sorted(probe().stdout.split()) == sorted(ALLOWED + KILLED + REFUSED)


@pytest.mark.parametrize("what", ALLOWED)
def test_what_a_session_was_given_works(what):
    done = probe(what)
    assert done.stdout == "allowed", (done.returncode, done.stderr)


@pytest.mark.parametrize("what", KILLED)
def test_system_calls_that_are_not_on_the_list_end_it(what):
    done = probe(what)
    assert done.returncode == -signal.SIGSYS and done.stdout == "", (done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("what", REFUSED)
def test_it_gets_no_file_and_no_socket(what):
    done = probe(what)
    assert done.stdout == "refused: EACCES", (done.returncode, done.stdout, done.stderr)


# --- live ones

@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("ca")


@pytest.fixture(scope="module")
def trusting(place):
    """A host that lets in who has a certificate."""
    s = ssh.Server(place / "sshd", settings=[f"TrustedUserCAKeys {place}/trusted"], host_keys=["ed25519"])
    s.allow()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, trusting, place, tmp_path_factory):
    (place / "known").write_text(trusting.known())

    def change(config):
        config["resources"].append({"name": "trusting", "protocol": "ssh", "hosts": [f"127.0.0.1:{trusting.port}"],
                                    "host_keys": str(place / "known"), "credentials": {"user": "root", "ca": True}})

    with gate(tmp_path_factory.mktemp("ssh"), server, RULES, change=change) as d:
        (place / "trusted").write_text(d.wayleave("ca", "show", "--ssh").stdout)
        yield d


@pytest.fixture(scope="module")
def live(daemon, server, trusting):
    """A process of each resource, in which a command runs."""
    with contextlib.ExitStack() as ends:
        for host in (server, trusting):
            p = ends.enter_context(daemon.popen("ssh", *OPTIONS, "-p", str(host.port), "root@127.0.0.1", "echo in; cat", stdin=subprocess.PIPE,
                                                stdout=subprocess.PIPE))
            ends.callback(p.terminate)
            assert p.stdout.readline() == b"in\n"
        found = daemon.ssh_sessions()
        assert len(found) == 2
        yield sorted(found)
    wait_for(lambda: not daemon.ssh_sessions())


def test_live_sessions_have_given_up_what_they_do_not_need(daemon, live):
    worker = status_of(daemon.workers()[0])
    for pid in live:
        assert [thread.name for thread in pathlib.Path(f"/proc/{pid}/task").iterdir()] == [str(pid)]
        assert_powerless(pid)
        assert status_of(pid)["Uid"] == worker["Uid"] and status_of(pid)["Gid"] == worker["Gid"]


def test_their_parent_has_no_privileges_either(daemon, live):
    """It has the host keys, and forks."""
    (parent,) = daemon.ssh_parents()
    status = status_of(parent)
    assert "0" not in status["Uid"].split() and int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1" and os.stat(f"/proc/{parent}/environ").st_uid == 0


def test_live_sessions_have_the_sockets_of_their_own_alone(daemon, live):
    seen = []
    for pid in live:
        targets = {int(entry.name): os.readlink(entry) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
        # Those that the daemon itself was started with.
        assert {targets.pop(0), targets.pop(1), targets.pop(2)} <= {"/dev/null", str(daemon.log)}
        assert all(target.startswith("socket:") for target in targets.values()), targets
        # The agent, the host, the worker, its way for further sockets, and what signs.
        assert len(targets) <= 5, targets
        seen.append(set(targets.values()))
    assert not seen[0] & seen[1]


def forms(path):
    """What of a private key of Ed25519 would be found in memory: its number, either way round, and its file."""
    text = path.read_bytes()
    load = serialization.load_ssh_private_key if b"OPENSSH" in text else serialization.load_pem_private_key
    number = load(text, None).private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    assert len(number) == 32
    lines = text.splitlines()
    # The first of OpenSSH's form is the same in every file.
    return {number, number[::-1], lines[2 if b"OPENSSH" in text else 1]}


def test_no_key_that_opens_a_host_is_in_their_memory_or_a_workers(daemon, server, live):
    secrets = forms(server.user_key) | forms(daemon.state / "ca/ssh_ca.key")
    shown = forms(daemon.state / "keys/ssh_host_ed25519.key")
    for pid in live:
        held = memory.holds(pid, *secrets, *shown)
        assert held & shown, "the search itself works: it signs as the host with that key"
        assert not held & secrets
    for pid in [*daemon.workers(), *daemon.ssh_parents()]:
        assert not memory.holds(pid, *secrets)
    for pid in daemon.workers():
        assert not memory.holds(pid, *shown)
