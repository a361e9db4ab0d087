# SPDX-License-Identifier: Apache-2.0
"""Servers of HTTP/2, frame by frame, in TLS: how what they say ends for the agent."""
import base64
import gzip
import json
import random
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib

import pytest
from conftest import make_config
from harness import certificates
from harness import daemon as daemons
from harness.listener import Listener

PYTHON = "/usr/bin/python3"
RULES = [{"name": "read", "operations": ["read"], "allow": {"mask": [{"detect": ["email"], "with": "redact"}]}}]
HEADERS, DATA, SETTINGS, GOAWAY = 1, 0, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind, flags, stream, content=b""):
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content


def field(name, value):
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def large():
    """Text of more than is taken of a server while the agent reads nothing, which leaves little to say when that is reached; and what
    it is in gzip, less than a stream's window."""
    r, block = random.Random(1), 12_000
    text = b"".join((base64.b64encode(r.randbytes(33)) + b"\n") * (block // 45) for _ in range(((32 << 20) + (600 << 10)) // block))
    return text, gzip.compress(text, mtime=0)


class Server(Listener):
    """Answers each request with text in gzip, of which the last bytes, the end of the stream and of TLS come in one write."""

    def __init__(self, folder):
        self.ca = certificates.make_authority(folder, "server CA")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*certificates.make_leaf(folder, "server"))
        self.context.set_alpn_protocols(["h2"])
        self.text, self.coded = large()
        self.said = threading.Event()
        super().__init__()

    def serve(self, peer):
        came, leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(came, leaves, server_side=True)

        def until(step):
            while True:
                try:
                    done = step()
                    peer.sendall(leaves.read())
                    return done
                except ssl.SSLWantReadError:
                    peer.sendall(leaves.read())
                    came.write(peer.recv(65536) or b"")
        with peer:
            until(tls.do_handshake)
            seen = b""
            while b"\x82" not in seen:  # :method GET, in its HEADERS
                seen += until(lambda: tls.read(65536))
            head = b"\x88" + field(b"content-type", b"text/plain") + field(b"content-encoding", b"gzip")
            tls.write(frame(SETTINGS, 0, 0) + frame(SETTINGS, ACK, 0) + frame(HEADERS, END_HEADERS, 1, head))
            most = len(self.coded) - 8000
            for at in range(0, most, 16000):
                tls.write(frame(DATA, 0, 1, self.coded[at:min(at + 16000, most)]))
            peer.sendall(leaves.read())
            time.sleep(0.5)  # until all of that was read
            last = self.coded[most:]
            tls.write(b"".join(frame(DATA, 0, 1, last[at:at + 200]) for at in range(0, len(last), 200))
                      + frame(DATA, END_STREAM, 1) + frame(GOAWAY, 0, 0, struct.pack(">II", 1, 0)))
            try:
                tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            peer.sendall(leaves.read())
            peer.shutdown(socket.SHUT_WR)
            self.said.set()
            while peer.recv(65536):
                pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = Server(tmp_path_factory.mktemp("server"))
    yield s
    s.close()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), {
        **make_config(1), "workers": 1, "resources": [
            {"name": "server", "protocol": "http", "hosts": [f"127.0.0.1:{server.port}"], "tls": {"ca_file": str(server.ca)}}]}, RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


# Asks, takes nothing until it is told to, and says how much came, its sum, and how its stream ended.
CLIENT = """
import json, socket, ssl, struct, sys, zlib
def frame(kind, flags, stream, content=b""):
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content
port, ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.set_alpn_protocols(["h2"])
s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port)), timeout=30), server_hostname="127.0.0.1")
authority = f"127.0.0.1:{port}".encode()
s.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0) + frame(4, 1, 0)
          + frame(1, 5, 1, b"\\x82\\x87\\x84\\x41" + bytes([len(authority)]) + authority))
print("asked", flush=True)
sys.stdin.readline()
opens = struct.pack(">I", 1 << 30)
s.sendall(frame(8, 0, 0, opens) + frame(8, 0, 1, opens))
seen, length, total, end = b"", 0, 0, None
while end is None:
    data = s.recv(1 << 16)
    if not data:
        break
    seen += data
    while end is None and len(seen) >= 9 and len(seen) >= 9 + int.from_bytes(seen[:3], "big"):
        size, kind, flags = int.from_bytes(seen[:3], "big"), seen[3], seen[4]
        if kind == 0:
            length, total = length + size, zlib.crc32(seen[9:9 + size], total)
        end = "reset" if kind == 3 else "whole" if kind < 2 and flags & 1 else None
        seen = seen[9 + size:]
print(json.dumps([length, total, end]))
"""


def test_what_a_server_says_last_waits_for_a_slow_agent(daemon, server):
    """More than is taken of it came while the agent read nothing, and its end with it: none of it is lost."""
    with daemon.popen(PYTHON, "-c", CLIENT, server.port, daemon.folder / "host-ca.pem", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                      text=True) as p:
        assert p.stdout.readline() == "asked\n"
        assert server.said.wait(20)
        time.sleep(0.5)
        out, _ = p.communicate("\n", timeout=30)
    assert json.loads(out) == [len(server.text), zlib.crc32(server.text), "whole"]
