# SPDX-License-Identifier: Apache-2.0
"""Hosts that send what no server may: the session goes on or ends with a reason, and nobody else notices."""
import contextlib
import copy
import pathlib
import signal
import socketserver
import subprocess
import threading
import time

import pytest
from harness import daemon as daemons
from harness import ssh
from harness.records import records_of
from harness.ssh_gate import OPTIONS, config_for, ended, run
from harness.waiting import wait_for
from test_ssh import Asking

BROKE = "wayleave: the connection to the host broke"
# What comes of each of harness/ssh_server.py's misdeeds: the status, what the recording says of it, and on stderr.
MISDEEDS = {"stray": (3, "exit 3", ""), "again": (3, "exit 3", ""), "truncated": (3, "exit 3", ""), "asking": (3, "exit 3", ""),
            "twice": (3, "exit 3", ""), "late": (3, "exit 3", ""), "closed": (3, "exit 3", ""), "signal": (255, "signal SEGV", ""),
            "scribble": (255, "closed", BROKE)}
GREETING = b"SSH-2.0-host\r\n"
# What is said for an exchange of versions and keys.
GREETINGS = {"nothing": b"", "another protocol": b"220 hello\r\n", "an old one": b"SSH-1.5-host\r\n", "a long one": b"SSH-2.0-" + b"x" * 100000 + b"\r\n",
             "no line": b"x" * 100000, "lines before it": b"hello\r\n" * 20000, "bytes behind it": GREETING + bytes(range(256)) * 400,
             "an empty packet": GREETING + b"\0\0\0\0" * 100, "no end of a packet": GREETING + b"\0\0\x10\0\x04\x14" + b"x" * 100}


class Greeting(socketserver.ThreadingTCPServer):
    """Says `text`, slowly if it is so, and, unless it stays, ends the connection."""
    allow_reuse_address = daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), None)
        self.port, self.text, self.slowly, self.stays = self.server_address[1], b"", False, False
        self.calls = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        with contextlib.suppress(OSError):
            self.calls += 1
            for part in ([bytes([b]) for b in self.text] if self.slowly else [self.text]):
                request.sendall(part)
                time.sleep(0.02 if self.slowly else 0)
            while self.stays and request.recv(65536):
                pass


@pytest.fixture(scope="module")
def greeting():
    with Greeting() as g:
        yield g
        g.shutdown()


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    asked = Asking(tmp_path_factory.mktemp("host"), "password")
    asked.folder = pathlib.Path(asked.key).parent
    yield asked
    asked.stop()


@pytest.fixture(scope="module")
def daemon(host, greeting, tmp_path_factory):
    config = config_for(host, host.folder / "known", user="deploy", password_file=str(host.folder / "password"))
    config["resources"].append({**copy.deepcopy(config["resources"][0]), "name": "greeting", "hosts": [f"127.0.0.1:{greeting.port}"],
                                "host_keys": str(host.folder / "greeting.known")})
    (host.folder / "greeting.known").write_text("")
    d = daemons.Daemon(tmp_path_factory.mktemp("ssh"), config, [{"name": "all", "operations": ["*"], "allow": {}}])
    yield d
    d.close()
    assert "session was killed" not in d.text()


@pytest.mark.parametrize("deed", MISDEEDS)
def test_what_a_host_must_not_send(daemon, host, deed):
    code, tag, said = MISDEEDS[deed]
    done = run(daemon, host, deed)
    assert done.returncode == code, done
    # All of it, unless the connection broke.
    assert done.stdout == f"{deed}\n" or deed in ("late", "scribble"), done
    assert said in done.stderr and (said or not done.stderr), done
    session = ended(daemon)
    assert records_of(daemon, session, "result")[-1]["tag"] == tag
    wait_for(lambda: not daemon.ssh_sessions())


@pytest.mark.parametrize("options", [[], ["-R", "4242:127.0.0.1:9"]])
def test_a_host_that_connects_without_end(daemon, host, options):
    """To what it was asked to listen on; else nobody learns of it."""
    done = run(daemon, host, "connecting", options=["-o", "LogLevel=QUIET", *options])
    assert (done.returncode, done.stdout) == (3, "connecting\n"), done
    came = [a for a in records_of(daemon, ended(daemon)) if a["pairs"][0]["operation"] == "remote_connection"]
    assert {a["text"] for a in came} == ({"localhost:4242 from 127.0.0.1:23"} if options else set())
    wait_for(lambda: not daemon.ssh_sessions())


@pytest.mark.parametrize("what", GREETINGS)
def test_greetings_that_are_none(daemon, greeting, what):
    greeting.text = GREETINGS[what]
    done = run(daemon, greeting, "true")
    assert done.returncode == 126 and done.stdout == "" and done.stderr.startswith(f"wayleave: [127.0.0.1]:{greeting.port}: "), done
    assert done.stderr.count("\n") == 1 and len(done.stderr) < 600
    assert ended(daemon)["reason"] == "upstream_login"


@pytest.fixture
def authority(host):
    """Makes it the only one that knows who the greeting host is."""
    known = host.folder / "greeting.known"
    known.write_text(f"@cert-authority * {ssh.public(host.key)}\n")
    yield
    known.write_text("")


def test_who_is_asked_for_a_certificate_greets_so_too(daemon, greeting, authority):
    for what, greeting.text in GREETINGS.items():
        done = run(daemon, greeting, "true")
        assert done.returncode == 126 and done.stdout == "", (what, done)
        assert done.stderr.startswith(f"wayleave: [127.0.0.1]:{greeting.port} can't be asked for its certificate: "), (what, done)
        assert done.stderr.count("\n") == 1 and len(done.stderr) < 600
    assert ended(daemon)["reason"] == "upstream_login"


def test_who_waits_for_a_certificate_may_go(daemon, greeting, authority, monkeypatch):
    test_who_waits_for_a_slow_host_may_go(daemon, greeting, monkeypatch, GREETING)


@pytest.mark.parametrize("text", [b"", GREETING, GREETING + b"\0\0\x10\0\x04\x14"])
def test_who_waits_for_a_slow_host_may_go(daemon, greeting, monkeypatch, text):
    monkeypatch.setattr(greeting, "stays", True)
    monkeypatch.setattr(greeting, "slowly", True)
    greeting.text, before = text, greeting.calls
    client = daemon.popen("ssh", *OPTIONS, "-p", str(greeting.port), "root@127.0.0.1", "true", stdin=subprocess.DEVNULL)
    wait_for(lambda: greeting.calls > before)
    time.sleep(0.5)
    client.send_signal(signal.SIGKILL)
    client.wait(10)
    wait_for(lambda: not daemon.ssh_sessions(), 10)
    assert ended(daemon)["end"]
