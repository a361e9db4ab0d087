# SPDX-License-Identifier: Apache-2.0
#
# Destinations that no resource names: what is spoken there decides, not the port (bypass B2).

import pytest
from conftest import Psql, make_config
from harness import nginx, ports
from harness.ports import listening

READ = {"name": "read", "resources": ["egress"], "operations": ["read"], "objects": ["public.customers"], "allow": {}}
CONNECT = {"name": "connect", "resources": ["egress"], "operations": ["connect"], "allow": {}}

ECHO = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
s.send(sys.argv[2].encode())
print(s.recv(100).decode())
"""


def config(**more):
    named = make_config(1)
    return {**named, "loopback": "egress", **more}


@pytest.fixture
def echo():
    """A server of a protocol of its own."""
    with listening(ports.echo) as (port, _):
        yield port


def say(daemon, port, text):
    return daemon.run("/usr/bin/python3", "-c", ECHO, port, text)


@pytest.mark.parametrize("tls", ["disable", "prefer"])
def test_postgres_at_an_unnamed_place(make_daemon, server, tls):
    daemon = make_daemon(config(egress="allow"), [READ, CONNECT])
    psql = Psql(daemon, server)
    env = {"PGSSLMODE": tls}
    assert psql.rows("select count(*) from customers", env=env) == ["20"]
    assert "no rule allows select on public.secrets" in psql.error("select * from secrets", env=env)
    session = daemon.json("sessions", "list")[0]
    assert (session["resource"], session["protocol"]) == ("egress", "postgres")


def test_something_else_at_an_unnamed_place(make_daemon, echo):
    daemon = make_daemon(config(egress="allow"), [READ, CONNECT])
    assert say(daemon, echo, "hello").stdout == "hello\n"
    session = daemon.json("sessions", "list")[0]
    assert (session["resource"], session["protocol"], session["bytes_to_server"]) == ("egress", "tcp", 5)


def test_nothing_without_egress(make_daemon, server, echo):
    daemon = make_daemon(config(), [{**READ, "resources": ["shop"]}])
    assert Psql(daemon, server)("select 1").returncode != 0
    assert say(daemon, echo, "hello").stdout.strip() == ""
    sessions = daemon.json("sessions", "list")
    assert len(sessions) == 2 and {s["denied"] for s in sessions} == {1}, sessions


def test_server_that_speaks_first(make_daemon):
    """Its greeting is taken into account, and reaches the agent."""
    def greet(peer, _):
        peer.send(b"220 mail.example.com\r\n")
        peer.recv(100)
    daemon = make_daemon(config(egress="allow"), [CONNECT])
    code = "import socket, sys; print(socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10).recv(100))"
    with listening(greet) as (port, _):
        done = daemon.run("/usr/bin/python3", "-c", code, port)
    assert "220 mail" in done.stdout, done.stderr


TRICKLE = """
import socket, struct, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
body = struct.pack(">I", 196608) + b"user\\0app\\0database\\0shop\\0\\0"
query = b"select * from secrets\\0"
for byte in struct.pack(">I", len(body) + 4) + body + b"Q" + struct.pack(">I", len(query) + 4) + query:
    s.send(bytes([byte]))
    time.sleep(0.01)
seen = b""
while b"no rule allows" not in seen:
    data = s.recv(4096)
    if not data:
        break
    seen += data
print(seen)
"""


def test_trickled_bytes(make_daemon, server):
    """One byte at a time is no way past the answer."""
    daemon = make_daemon(config(egress="allow"), [READ, CONNECT])
    done = daemon.run("/usr/bin/python3", "-c", TRICKLE, server.port)
    assert "no rule allows select on public.secrets" in done.stdout and "top secret" not in done.stdout, done.stderr


@pytest.mark.parametrize("egress", ["allow", "review"])
def test_http_at_an_unnamed_place_is_judged_request_by_request(make_daemon, tmp_path, egress):
    """Also where the connection to the server is made late: what one engine has begun to read, no other goes on with unread."""
    web = nginx.Nginx(tmp_path / "nginx")
    d = make_daemon({**make_config(1), "workers": 1, "loopback": "egress", "egress": egress, "resources": [],
                     "reviewers": {"net": {"local_users": ["root"]}}},
                    [{"name": "hello", "resources": ["egress"], "operations": ["GET"], "objects": ["/v1/hello"], "allow": {}},
                     *([{"name": "ask", "resources": ["egress"], "operations": ["connect"], "review": {"by": "net", "within": "1m"}}]
                       if egress == "review" else [])])
    try:
        for _ in range(3):
            place = f"http://127.0.0.1:{web.port}"
            done = d.run("curl", "-sS", "-w", "%{http_code}\\n", "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null",
                         f"{place}/v1/hello", f"{place}/v1/none", f"{place}/v1/hello")
            assert done.stdout.split() == ["200", "403", "200"], done
            # The server's certificate is of an authority that nobody knows: nothing goes there, in clear least of all.
            done = d.run("curl", "-sk", "-w", "%{http_code}", "-o", "/dev/null", f"https://127.0.0.1:{web.tls_port}/v1/hello")
            assert done.stdout in ("502", "000"), done
        assert "/v1/none" not in web.accesses() and "400" not in web.accesses()
    finally:
        web.stop()
