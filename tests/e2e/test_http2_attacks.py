# SPDX-License-Identifier: Apache-2.0
"""Attacks on HTTP/2 by an agent, frame by frame, with nghttpd behind: what reaches it, what they cost, and that others go on."""
import json
import os
import pathlib
import subprocess

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness.ports import free_port
from harness.waiting import wait_for

PYTHON = "/usr/bin/python3"
RULES = [{"name": "read", "operations": ["read"], "allow": {}}, {"name": "upload", "operations": ["POST"], "allow": {}},
         {"name": "people", "operations": ["PUT"], "review": {"by": "dba"}}]
# Sends frames, and says how the connection ended: the last error of a GOAWAY, and how many responses and resets there were.
ATTACK = """
import socket, struct, sys
def frame(kind, flags, stream, content=b""):
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content
authority = f"127.0.0.1:{sys.argv[1]}".encode()
def head(method=b"\\x82", more=b""):
    return method + b"\\x86\\x84\\x41" + bytes([len(authority)]) + authority + more
def rapid_resets():
    for i in range(5000):
        yield frame(1, 5, 2 * i + 1, head()) + frame(3, 0, 2 * i + 1, struct.pack(">I", 8))
def resets_by_us():
    for i in range(5000):
        yield frame(1, 4, 2 * i + 1, head(b"\\x83")) + frame(8, 0, 2 * i + 1, struct.pack(">I", 0x7fffffff))
def streams():
    for i in range(5000):
        yield frame(1, 5, 2 * i + 1, head())
def continuations():
    yield frame(1, 1, 1, head())
    for _ in range(100_000):
        yield frame(9, 0, 1, b"\\x00\\x01x\\x01y" * 100)
def hpack_bombs():
    for i in range(200):
        value = b"y" * 3900
        yield frame(1, 5, 2 * i + 1, head(more=b"\\x40\\x01x\\x7f\\xbd\\x1d" + value + b"\\xbe" * 12000))
    yield frame(6, 0, 0, b"the last")
def settings():
    for i in range(50_000):
        yield frame(4, 0, 0, struct.pack(">HI", 4, i % 2 * 65535))
def pings():
    for i in range(50_000):
        yield frame(6, 0, 0, b"12345678")
def zero_windows():
    yield frame(4, 0, 0, struct.pack(">HI", 4, 0))
    for i in range(100):
        yield frame(1, 5, 2 * i + 1, head().replace(b"\\x84", b"\\x44\\x06/large", 1))
    yield frame(6, 0, 0, b"the last")
def held_and_given_up():
    for i in range(300):
        yield frame(1, 5, 2 * i + 1, head(b"\\x42\\x03PUT")) + frame(3, 0, 2 * i + 1, struct.pack(">I", 8))
    yield frame(6, 0, 0, b"the last")
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(60)
ended, answers, resets, seen = None, 0, 0, b""
def read():
    global ended, answers, resets, seen
    data = s.recv(65536)
    seen += data
    while len(seen) >= 9 and len(seen) >= 9 + int.from_bytes(seen[:3], "big"):
        length, kind, flags = int.from_bytes(seen[:3], "big"), seen[3], seen[4]
        content, seen = seen[9:9 + length], seen[9 + length:]
        answers, resets = answers + (kind == 1), resets + (kind == 3)
        if kind == 7:
            ended = int.from_bytes(content[4:8], "big")
        if kind == 6 and flags & 1 and content == b"the last":
            return False
    return bool(data)
try:
    s.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0) + frame(4, 1, 0))
    for part in globals()[sys.argv[2]]():
        s.sendall(part)
    while read():
        pass
except (ConnectionError, BrokenPipeError):
    try:
        while read():
            pass
    except ConnectionError:
        pass
print(ended, answers, resets)
"""


class Server:
    """nghttpd, which says what it is asked."""

    def __init__(self, folder):
        self.folder, self.port = pathlib.Path(folder), free_port()
        (self.folder / "index.html").write_text("hello\n")
        (self.folder / "large").write_bytes(bytes(4 << 20))
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(["nghttpd", "-v", "--no-tls", "-a", "127.0.0.1", "-d", self.folder, str(self.port)], stdout=self.log,
                                        stderr=self.log)
        wait_for(lambda: b"listen" in (self.folder / "log").read_bytes())

    def asked(self):
        return (self.folder / "log").read_bytes().count(b":method: ")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.log.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("nghttpd"))
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), {
        **make_config(1), "workers": 1, "reviewers": {"dba": {"local_users": ["root"]}},
        "resources": [{"name": "web", "protocol": "http", "hosts": [f"127.0.0.1:{server.port}"]}]}, RULES)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def memory(daemon):
    text = pathlib.Path(f"/proc/{daemon.workers()[0]}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) << 10


def cpu(daemon):
    """Seconds that the worker has had of a processor."""
    fields = pathlib.Path(f"/proc/{daemon.workers()[0]}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# How it ends: the error that it is told, and how many requests may reach the server at most.
CALM, PROTOCOL = 11, 1


@pytest.mark.parametrize("attack,error,most", [
    ("rapid_resets", CALM, 600), ("resets_by_us", CALM, 600), ("streams", PROTOCOL, 5000), ("continuations", None, 1),
    ("hpack_bombs", None, 0), ("settings", CALM, 0), ("pings", CALM, 0), ("zero_windows", None, 100), ("held_and_given_up", None, 0)])
def test_an_attack(daemon, server, attack, error, most):
    worker, before, asked, busy = daemon.workers(), memory(daemon), server.asked(), cpu(daemon)
    with daemon.popen("nghttp", "-n", f"http://127.0.0.1:{server.port}/index.html", "-m", "3", stdout=subprocess.PIPE, text=True) as other:
        done = daemon.run(PYTHON, "-c", ATTACK, server.port, attack)
        assert other.wait(60) == 0
    assert done.returncode == 0, done.stderr
    ended, answers, resets = done.stdout.split()
    assert error is None or ended == str(error), done.stdout
    assert server.asked() - asked - 3 <= most
    assert memory(daemon) - before < 48 << 20
    assert cpu(daemon) - busy < 1
    assert daemon.workers() == worker
    out = daemon.run("nghttp", f"http://127.0.0.1:{server.port}/index.html").stdout
    assert out == "hello\n"


def test_nothing_waits_for_who_gave_up(daemon):
    """Behind held_and_given_up: the reviews stay until their deadline, as those of any client that gives up, but no session waits."""
    waiting = [r for r in daemon.json("reviews", "list") if r["state"] == "pending" and r["waiters"]]
    assert not waiting, json.dumps(waiting)[:500]


def test_many_at_a_time(daemon, server):
    out = daemon.run("h2load", "-n", "2000", "-c", "4", "-m", "50", f"http://127.0.0.1:{server.port}/index.html").stdout
    assert "2000 succeeded, 0 failed" in out and "status codes: 2000 2xx" in out, out
