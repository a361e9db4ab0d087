# SPDX-License-Identifier: Apache-2.0
"""Connections that an agent has a forward proxy make: judged where they lead, as if it made them itself."""
import json
import socket
import struct
import subprocess
import threading

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness.ports import free_port, listening
from harness.proxies import Proxy
from harness.waiting import wait_for

PYTHON = "/usr/bin/python3"
RULES = [
    {"name": "the proxy", "resources": ["proxy"], "operations": ["connect"],
     "objects": ["localhost:*", "127.0.0.1:*", "192.0.2.1:*"], "allow": {}},
    {"name": "people say who goes by address", "resources": ["proxy"], "operations": ["connect"], "objects": ["[::1]:*"],
     "review": {"by": "dba"}},
    {"name": "read", "resources": ["secure"], "operations": ["read"], "objects": ["/v1/**"], "allow": {}},
    {"name": "no deletes", "resources": ["secure"], "operations": ["DELETE"], "deny": {"message": "never"}},
    {"name": "anything", "resources": ["lent"], "allow": {}},
    {"name": "orders", "resources": ["shop"], "operations": ["read"], "objects": ["public.orders"], "allow": {}},
]
# What a program without a proxy of its own is given: a listener of the agent's, which asks the proxy.
RELAY = """
import socket, subprocess, sys, threading
proxy, place, command = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
def pump(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
def carry(a):
    b = socket.create_connection(("127.0.0.1", proxy))
    b.sendall(f"CONNECT {place} HTTP/1.1\\r\\nHost: {place}\\r\\n\\r\\n".encode())
    head = b""
    while not head.endswith(b"\\r\\n\\r\\n"):
        head += b.recv(1) or sys.exit(head)
    threading.Thread(target=pump, args=(a, b), daemon=True).start()
    pump(b, a)
def serve():
    while True:
        threading.Thread(target=carry, args=(s.accept()[0],), daemon=True).start()
s = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run([w.replace("PORT", str(s.getsockname()[1])) for w in command]).returncode)
"""


TALK = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(f"CONNECT {sys.argv[2]} HTTP/1.1\\r\\nHost: {sys.argv[2]}\\r\\n\\r\\n".encode())
seen = b""
while b"\\r\\n\\r\\n" not in seen:
    seen += s.recv(100) or sys.exit(1)
s.sendall(bytes.fromhex(sys.argv[3]))
try:
    while sys.argv[4].encode() not in seen and (data := s.recv(4096)):
        seen += data
except ConnectionResetError:
    seen += b"RESET"
print(seen.decode("latin-1"))
"""


def talk(daemon, proxy, place, said, until="never said"):
    """What comes back, up to the end or to a text, where `said` is sent behind a CONNECT."""
    done = daemon.run(PYTHON, "-c", TALK, proxy.port, place, said.hex(), until)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    p = Proxy(tmp_path_factory.mktemp("proxy"))
    p.lent = free_port()
    yield p
    p.stop()


def config(web, server, proxy, **more):
    secret = proxy.folder / "secret"
    secret.write_text("a secret")
    secret.chmod(0o600)
    return {**make_config(server.port), "workers": 1, "reviewers": {"dba": {"local_users": ["root"]}},
            "resources": [
                {"name": "proxy", "protocol": "http", "hosts": [f"127.0.0.1:{proxy.port}"]},
                {"name": "secure", "protocol": "http", "hosts": [f"localhost:{web.h2_port}", f"localhost:{web.tls_port}"],
                 "tls": {"ca_file": str(web.ca)}},
                {"name": "shop", "protocol": "postgres", "hosts": [f"127.0.0.1:{server.port}"]},
                {"name": "lent", "protocol": "postgres", "hosts": [f"127.0.0.1:{proxy.lent}"],
                 "credentials": {"user": "app", "password_file": str(secret)}}], **more}


@pytest.fixture(scope="module")
def daemon(web, server, proxy, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config(web, server, proxy), RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def curl(daemon, proxy, *words, url):
    return daemon.run("curl", "-sS", "-p", "-x", f"http://127.0.0.1:{proxy.port}", "--cacert", daemon.folder / "host-ca.pem", *words, url)


def actions(daemon, session):
    return daemon.wayleave("sessions", "show", session["id"]).stdout


@pytest.mark.parametrize("version", ["2", "1.1"])
def test_https_through_a_proxy(daemon, web, proxy, version):
    place = f"https://localhost:{web.h2_port if version == '2' else web.tls_port}"
    before, made = web.accesses(), len(proxy.asked())
    done = curl(daemon, proxy, "-w", " %{http_version} %{http_connect}", url=f"{place}/v1/hello")
    assert done.stdout == f"hello\n {version} 200", done.stderr
    assert len(proxy.asked()) == made + 1
    session = daemon.json("sessions", "list")[0]
    assert (session["resource"], session["protocol"]) == ("secure", "http")
    shown = actions(daemon, session)
    assert "CONNECT localhost:" in shown and "/v1/hello" in shown
    once = web.accesses()
    assert once != before
    done = curl(daemon, proxy, "-X", "DELETE", url=f"{place}/v1/hello")
    assert json.loads(done.stdout)["rule"] == "no deletes", done.stderr
    assert web.accesses() == once


def refused(done, status=403):
    return done.returncode == 56 and f"response {status}" in done.stderr


def test_a_place_that_is_not_allowed(daemon, web, proxy):
    """Neither by the proxy's rules, nor by those of where it leads: the proxy is not even asked."""
    made = len(proxy.asked())
    assert refused(curl(daemon, proxy, url=f"https://other.test:{web.h2_port}/"))
    assert refused(curl(daemon, proxy, url="http://192.0.2.1:80/v1/hello"))
    assert len(proxy.asked()) == made
    session = daemon.json("sessions", "list")[0]
    assert session["denied"] == 1 and "no resource names 192.0.2.1:80 and egress is deny" in actions(daemon, session)


def test_a_name_that_may_be_an_address(daemon, server, proxy):
    """What the proxy makes of a name, nobody knows here: not where it may be a resource that is named by an address."""
    told = talk(daemon, proxy, f"localhost:{server.port}", b"", until="}")
    assert told.startswith("HTTP/1.1 403 ") and "the proxy looks up the name" in told


def test_a_proxys_own_host(daemon, proxy):
    """What is on it is no more the agent's than what is on this one."""
    told = talk(daemon, proxy, "localhost:1", b"", until="}")
    assert told.startswith("HTTP/1.1 403 ") and "own host" in told
    assert daemon.json("sessions", "list")[0]["denied"] == 1


def test_sql_through_a_proxy(daemon, server, proxy):
    def sql(text):
        return daemon.run(PYTHON, "-c", RELAY, proxy.port, f"127.0.0.1:{server.port}", "psql", "-X", "-tA", "-c", text,
                          "host=127.0.0.1 port=PORT user=app dbname=shop sslmode=disable")
    done = sql("select count(*) from orders")
    assert done.stdout.strip() == "20", done.stderr
    session = next(s for s in daemon.json("sessions", "list") if s["protocol"] == "postgres")
    assert session["resource"] == "shop"
    assert "no rule allows select on public.secrets" in sql("select * from secrets").stderr


def test_credentials_behind_a_proxy(daemon, proxy):
    """Not even a proof of them: the proxy would have a connection that is logged in."""
    body = struct.pack(">I", 196608) + b"user\0app\0database\0shop\0\0"
    heard = []

    def serve():
        peer, _ = server.accept()
        with peer:
            peer.recv(1000)
            peer.sendall(b"R" + struct.pack(">II", 12, 5) + b"salt")
            heard.append(peer.recv(1000))
    with socket.create_server(("127.0.0.1", proxy.lent)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        told = talk(daemon, proxy, f"127.0.0.1:{proxy.lent}", struct.pack(">I", len(body) + 4) + body, until="did not verify")
        thread.join(30)
    assert "somebody else made" in told and heard == [b""]


def test_people_decide_where_a_proxy_leads(daemon, proxy):
    server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    with daemon.popen("curl", "-sS", "-p", "-x", f"http://127.0.0.1:{proxy.port}", f"http://[::1]:{server.getsockname()[1]}/",
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert review["operations"] == ["CONNECT"]
        assert review["objects"] == [f"[::1]:{server.getsockname()[1]}"]
        assert daemon.wayleave("reviews", "deny", review["id"], "--reason", "no").returncode == 0
        assert "response 403" in p.stderr.read()
    server.close()


@pytest.fixture(scope="module")
def open_daemon(web, server, proxy, tmp_path_factory):
    """Where no resource names a place, what is spoken there decides."""
    rules = [{"name": "the proxy", "resources": ["proxy"], "operations": ["connect"], "allow": {}},
             {"name": "read", "resources": ["egress"], "operations": ["read"], "objects": ["/v1/**"], "allow": {}},
             {"name": "connect", "resources": ["egress"], "operations": ["connect"], "allow": {}}]
    c = config(web, server, proxy, egress="allow", loopback="egress")
    c["resources"] = c["resources"][:1]
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), c, rules)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def test_first_bytes_behind_a_proxy(open_daemon, web, proxy):
    done = curl_open(open_daemon, proxy, f"http://127.0.0.1:{web.port}/v1/hello")
    assert done.stdout == "hello\n", done.stderr
    done = curl_open(open_daemon, proxy, "-d", "x", f"http://127.0.0.1:{web.port}/v1/hello")
    assert json.loads(done.stdout)["error"] == "not_covered"
    session = open_daemon.json("sessions", "list")[0]
    assert (session["resource"], session["protocol"]) == ("egress", "http")


def curl_open(daemon, proxy, *words):
    return daemon.run("curl", "-sS", "-p", "-x", f"http://127.0.0.1:{proxy.port}", *words)


def test_sql_behind_a_proxy_at_an_unnamed_place(open_daemon, server, proxy):
    body = struct.pack(">I", 196608) + b"user\0app\0database\0shop\0\0"
    query = b"select * from secrets\0"
    told = talk(open_daemon, proxy, f"127.0.0.1:{server.port}",
                struct.pack(">I", len(body) + 4) + body + b"Q" + struct.pack(">I", len(query) + 4) + query,
                until="public.secrets")
    assert "no rule allows select on public.secrets" in told


@pytest.fixture(params=[b"220 ready\r\n", b""])
def other(request):
    """A server of a protocol of its own, which speaks first or not: its port, its greeting, and what it heard."""
    def answer(peer, heard):
        peer.sendall(request.param)
        heard.append(peer.recv(1000))
        peer.sendall(b"you said " + heard[-1])
    with listening(answer) as (port, heard):
        yield port, request.param.decode(), heard


def test_what_nobody_knows_is_relayed(open_daemon, proxy, other):
    port, greeting, _ = other
    told = talk(open_daemon, proxy, f"127.0.0.1:{port}", b"hello")
    assert told.partition("\n\n")[2].split() == [*greeting.split(), "you", "said", "hello"], told


@pytest.mark.parametrize("other", [b""], indirect=True)
def test_ssh_is_not_relayed(open_daemon, proxy, other):
    port, _, heard = other
    told = talk(open_daemon, proxy, f"127.0.0.1:{port}", b"SSH-2.0-OpenSSH_9.2\r\n")
    assert "RESET" in told and b"".join(heard) == b""


def test_mode_observe(make_daemon, web, server, proxy):
    """Nothing is refused, also what could not be judged."""
    d = make_daemon(config(web, server, proxy, mode="observe"), RULES)
    done = d.run("curl", "-sS", "-p", "-x", f"http://127.0.0.1:{proxy.port}", f"http://localhost:{web.port}/v1/hello")
    assert done.stdout == "hello\n", done.stderr
