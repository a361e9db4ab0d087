# SPDX-License-Identifier: Apache-2.0
"""Encrypted client hello: TLS has an outer name, and hides the one that is meant. What is judged is the place with the outer name; the
hidden one nobody here reads, and only a relay that is not read takes it to a server."""
import subprocess

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness.listener import Listener
from harness.waiting import wait_for

# A ClientHello for a name, or none, with an outer `encrypted_client_hello` (draft-ietf-tls-esni, 5) before its other extensions. Prints it,
# and then whether anything but an alert comes back.
HELLO = """
import socket, ssl, struct, sys
name, port = sys.argv[1], int(sys.argv[2])
context, out = ssl.create_default_context(), ssl.MemoryBIO()
context.check_hostname = False
try:
    context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name or None).do_handshake()
except ssl.SSLWantReadError:
    hello = out.read()[9:]
at = 34
for size in (1, 2, 1):  # session, ciphers, compression
    at += size + int.from_bytes(hello[at:at + size], "big")
body = b"\\0" + struct.pack(">HHBH", 1, 1, 7, 32) + b"k" * 32 + struct.pack(">H", 144) + b"p" * 144
added = struct.pack(">HH", 0xfe0d, len(body)) + body + hello[at + 2:]
hello = hello[:at] + struct.pack(">H", len(added)) + added
hello = b"\\1" + len(hello).to_bytes(3, "big") + hello
hello = b"\\x16\\3\\1" + struct.pack(">H", len(hello)) + hello
print(hello.hex())
s = socket.create_connection(("localhost", port), 20)
s.sendall(hello)
answer = s.recv(5)
print(answer[:1] not in (b"", b"\\x15"))
"""


class Recorder(Listener):
    """What came on each connection; it is answered as a server begins, and closed."""

    def __init__(self):
        self.seen = []
        super().__init__()

    def serve(self, connection):
        with connection:
            self.seen.append(connection.recv(65536))
            connection.sendall(b"\x16\3\3\0\1\2")


@pytest.fixture(scope="module")
def recorder():
    r = Recorder()
    yield r
    r.close()


@pytest.fixture(scope="module")
def daemon(web, recorder, tmp_path_factory):
    tls = {"read": (web.tls_port, {"ca_file": str(web.ca)}), "unread": (recorder.port, {"mode": "passthrough"})}
    d = daemons.Daemon(
        tmp_path_factory.mktemp("wayleave"),
        {**make_config(1), "workers": 1, "loopback": "egress",
         "resources": [{"name": name, "protocol": "http", "hosts": [f"localhost:{port}"], "tls": more} for name, (port, more) in tls.items()]},
        [{"name": "all", "resources": ["read", "unread"], "operations": ["*"], "allow": {}}])
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    d.close()


def hello(daemon, name, port):
    """The ClientHello, and whether it was answered."""
    done = daemon.run("/usr/bin/python3", "-c", HELLO, name, port)
    assert done.returncode == 0, done.stderr
    sent, answered = done.stdout.split()
    assert "fe0d" in sent
    return bytes.fromhex(sent), answered == "True"


@pytest.mark.parametrize("name, status", [("localhost", "200"), ("other.test", "421")])
def test_what_is_read_has_the_outer_name(daemon, web, name, status):
    """We answer as who knows nothing of it, and the name of the certificate, of SNI and of Host are one."""
    request = f"GET /v1/hello HTTP/1.1\r\nHost: {name}:{web.tls_port}\r\nConnection: close\r\n\r\n"
    done = daemon.popen("openssl", "s_client", "-quiet", "-verify_return_error", "-verify_hostname", name, "-servername", name,
                        "-serverinfo", 0xfe0d, "-CAfile", daemon.folder / "host-ca.pem", "-connect", f"localhost:{web.tls_port}",
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = done.communicate(request, timeout=30)
    assert out.startswith(f"HTTP/1.1 {status} "), (out, err)
    assert hello(daemon, name, web.tls_port)[1]


def test_what_is_not_read_goes_to_the_place_that_was_judged(daemon, recorder):
    sent, answered = hello(daemon, "localhost", recorder.port)
    assert answered
    wait_for(lambda: sent in recorder.seen, what="the hello at the server")
    # Without an outer name it is the place alone that is judged; with another place's the server sees nothing of it.
    sent, _ = hello(daemon, "", recorder.port)
    wait_for(lambda: sent in recorder.seen, what="the hello at the server")
    sent, _ = hello(daemon, "other.test", recorder.port)
    assert sent not in recorder.seen and len(recorder.seen) == 2
