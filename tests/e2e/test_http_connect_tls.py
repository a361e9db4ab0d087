# SPDX-License-Identifier: Apache-2.0
"""Connections that an agent has a forward proxy make which it speaks to in TLS, in HTTP/1.1 or on streams of HTTP/2: each is judged
where it leads, in a session of its own."""
import hashlib
import json
import pathlib
import shlex
import socket
import struct
import subprocess

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import proxies
from harness.ports import listening
from harness.waiting import wait_for

PYTHON = "/usr/bin/python3"
CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"
RULES = [
    {"name": "the proxies", "resources": ["proxy", "faithful"], "operations": ["connect"], "objects": ["localhost:*", "127.0.0.1:*", "192.0.2.1:*"],
     "allow": {}},
    {"name": "read", "resources": ["secure"], "operations": ["read"], "objects": ["/v1/**"], "allow": {}},
    {"name": "no deletes", "resources": ["secure"], "operations": ["DELETE"], "deny": {"message": "never"}},
    {"name": "orders", "resources": ["shop"], "operations": ["read"], "objects": ["public.orders"], "allow": {}},
    {"name": "asked", "resources": ["shop"], "operations": ["update"], "objects": ["public.orders"], "review": {"by": "dba"}},
    {"name": "tcp", "resources": ["other", "second"], "allow": {}},
]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    p = proxies.Proxy(tmp_path_factory.mktemp("proxy"))
    yield p
    p.stop()


@pytest.fixture(scope="module")
def front(proxy, tmp_path_factory):
    f = proxies.Front(tmp_path_factory.mktemp("front"), proxy)
    yield f
    f.stop()


@pytest.fixture(scope="module")
def faithful(tmp_path_factory):
    f = proxies.Faithful(tmp_path_factory.mktemp("faithful"))
    yield f
    f.stop()


@pytest.fixture(scope="module")
def other():
    """A server of a protocol of its own, which answers at the end, or drops who says so: its port, and for each connection what it
    heard, and whether the agent reset it."""
    def talk(peer, ended):
        heard = b""
        try:
            while data := peer.recv(65536):
                heard += data
                if heard == b"drop":
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
            peer.sendall(b"%d bytes\n" % len(heard))
            ended.append((heard, False))
        except ConnectionResetError:
            ended.append((heard, True))
    with listening(talk) as where:
        yield where


@pytest.fixture(scope="module")
def daemon(web, server, front, faithful, other, tmp_path_factory):
    resources = [
        {"name": "proxy", "protocol": "http", "hosts": [f"127.0.0.1:{front.port}"], "tls": {"ca_file": str(front.ca)}},
        {"name": "faithful", "protocol": "http", "hosts": [f"127.0.0.1:{faithful.port}"], "tls": {"ca_file": str(faithful.ca)}},
        {"name": "secure", "protocol": "http", "hosts": [f"localhost:{web.h2_port}", f"localhost:{web.tls_port}"],
         "tls": {"ca_file": str(web.ca)}},
        {"name": "shop", "protocol": "postgres", "hosts": [f"127.0.0.1:{server.port}"]},
        # Two names of one address, of which no rule lets anything be at the first.
        {"name": "shut", "protocol": "tcp", "hosts": [f"shut.test:{web.port}"]},
        {"name": "second", "protocol": "tcp", "hosts": [f"second.test:{web.port}"]},
        {"name": "other", "protocol": "tcp", "hosts": [f"127.0.0.1:{other[0]}"]}]
    folder = tmp_path_factory.mktemp("wayleave")
    names = folder / "hosts"
    names.write_text("127.0.0.1 localhost shut.test second.test\n")
    alone = ["unshare", "-m", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(names)]
    d = daemons.Daemon(folder, {
        **make_config(server.port), "workers": 1, "reviewers": {"dba": {"local_users": ["root"]}}, "resources": resources}, RULES, wrapper=alone)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def relayed(daemon, front, place, *command):
    """The words of a command whose connections to PORT are streams of one connection with the proxy."""
    return ["node", CLIENTS / "http2_relay.mjs", front.url, daemon.folder / "host-ca.pem", place, *command]


def psql(*words):
    return ["psql", "-X", "-tA", *words, "host=127.0.0.1 port=PORT user=app dbname=shop sslmode=disable"]


def sql(daemon, front, server, text):
    return daemon.run(*relayed(daemon, front, f"127.0.0.1:{server.port}", *psql("-c", text)))


def sessions(daemon, resource):
    """Of a resource, the last first."""
    return sorted((s for s in daemon.json("sessions", "list") if s["resource"] == resource), key=lambda s: s["start"], reverse=True)


def shown(daemon, session):
    return daemon.wayleave("sessions", "show", session["id"]).stdout


@pytest.mark.parametrize("version", ["2", "1.1"])
def test_https_through_a_proxy_in_https(daemon, web, proxy, front, version):
    """TLS in TLS, in HTTP/1.1 with curl."""
    ca = daemon.folder / "host-ca.pem"
    place, made = f"https://localhost:{web.h2_port if version == '2' else web.tls_port}", len(proxy.asked())

    def curl(*words):
        return daemon.run("curl", "-sS", "-p", "-x", front.url, "--proxy-cacert", ca, "--cacert", ca, *words, f"{place}/v1/hello")
    done = curl("-w", " %{http_version} %{http_connect}")
    assert done.stdout == f"hello\n {version} 200", done.stderr
    assert len(proxy.asked()) == made + 1
    session = sessions(daemon, "secure")[0]
    outer = sessions(daemon, "proxy")[0]
    assert f"through the proxy of session {outer['id']}" in shown(daemon, session) and "/v1/hello" in shown(daemon, session)
    assert f"is session {session['id']}" in shown(daemon, outer) and "CONNECT localhost:" in shown(daemon, outer)
    once = web.accesses()
    assert json.loads(curl("-X", "DELETE").stdout)["rule"] == "no deletes"
    assert web.accesses() == once


def test_https_on_a_stream(daemon, web, front):
    done = daemon.run(*relayed(daemon, front, f"localhost:{web.h2_port}", "curl", "-sS", "-w", " %{http_version}", "--cacert",
                               daemon.folder / "host-ca.pem", "--connect-to", f"localhost:{web.h2_port}:127.0.0.1:PORT",
                               f"https://localhost:{web.h2_port}/v1/hello", f"https://localhost:{web.h2_port}/other"))
    assert done.stdout.startswith("hello\n 2"), done.stderr
    assert "no rule allows GET on /other" in done.stdout


def test_sql_on_a_stream(daemon, server, front):
    done = sql(daemon, front, server, "select count(*) from orders")
    assert (done.returncode, done.stdout.strip()) == (0, "20"), done.stderr
    session = sessions(daemon, "shop")[0]
    assert session["protocol"] == "postgres" and wait_for(lambda: sessions(daemon, "shop")[0].get("end"))
    assert "no rule allows select on public.secrets" in sql(daemon, front, server, "select * from secrets").stderr


def test_much_on_a_stream(daemon, server, front):
    """Both ways more than all windows hold."""
    done = daemon.run(*relayed(daemon, front, f"127.0.0.1:{server.port}", "sh", "-c", f"{shlex.join(psql('-f-'))} | md5sum"),
                      input=f"select length('{'x' * 900000}'), repeat('z', 3000000)")
    assert done.stdout.split()[0] == hashlib.md5(b"900000|" + b"z" * 3000000 + b"\n").hexdigest(), done.stderr


def test_places_that_are_not_allowed(daemon, server, proxy, front):
    """Neither by the proxy's rules, nor by those of where it leads: the proxy is not even asked."""
    made = len(proxy.asked())
    for place, why in (("other.test:443", "no rule allows CONNECT on other.test:443"), ("192.0.2.1:80", "egress is deny"),
                       (f"localhost:{server.port}", "the proxy looks up the name"), ("localhost:1", "own host")):
        done = daemon.run(*relayed(daemon, front, place, *psql("-c", "select 1")))
        assert done.returncode == 2 and f"403 {{" in done.stderr and why in done.stderr, done.stderr
    assert len(proxy.asked()) == made


def test_what_waits_for_people_holds_up_no_other_stream(daemon, server, front):
    update, select = (shlex.join(psql("-c", text)) for text in ("update orders set item = item where id = 1", "select 7 * 6"))
    with daemon.popen(*relayed(daemon, front, f"127.0.0.1:{server.port}", "sh", "-c", f"{update} & sleep 1; {select}; wait"),
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "42\n"
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert (review["resource"], review["operations"]) == ("shop", ["update", "select"])
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert p.stdout.read() == "UPDATE 1\n", p.stderr.read()
    waits, asks = sessions(daemon, "shop")[:2][::-1]
    assert f"through the proxy of session {sessions(daemon, 'proxy')[0]['id']}" in shown(daemon, waits)
    assert shown(daemon, asks).count(sessions(daemon, "proxy")[0]["id"]) >= 1


# Asks twice, frame by frame, and says how either stream ended, the first with what it does once both stand.
TALK = """
import json, socket, ssl, sys, time
import h2.config, h2.connection, h2.events
port, ca, place, said, how = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.set_alpn_protocols(["h2"])
peer = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname="127.0.0.1")
c = h2.connection.H2Connection(h2.config.H2Configuration(validate_outbound_headers=False, header_encoding="utf-8"))
c.initiate_connection()
heard, ended, stands = {1: "", 3: ""}, {}, set()
def wait(done):
    while not done():
        peer.sendall(c.data_to_send())
        for event in c.receive_data(peer.recv(65536) or sys.exit("the connection ended")):
            if isinstance(event, h2.events.ResponseReceived):
                stands.add((event.stream_id, dict(event.headers)[":status"]))
            elif isinstance(event, h2.events.DataReceived):
                heard[event.stream_id] += event.data.decode()
            elif isinstance(event, h2.events.StreamEnded):
                ended.setdefault(event.stream_id, 0)
            elif isinstance(event, h2.events.StreamReset):
                ended.setdefault(event.stream_id, int(event.error_code))
for stream in (1, 3):
    c.send_headers(stream, [(":method", "CONNECT"), (":authority", place)])
wait(lambda: stands == {(1, "200"), (3, "200")})
c.send_data(1, said.encode(), end_stream=how == "end")
peer.sendall(c.data_to_send())
if how == "reset":
    time.sleep(0.3)
    c.reset_stream(1, 8)
    ended[1] = None
wait(lambda: 1 in ended)
c.send_data(3, b"beside", end_stream=True)
wait(lambda: 3 in ended)
print(json.dumps({"heard": heard[1], "code": ended[1], "beside": heard[3]}))
"""


def test_how_streams_end(daemon, faithful, other):
    """A half-close, a reset of either side: each is what it is without us, and the other stream goes on."""
    port, ended = other

    def talk(said, how):
        done = daemon.run(PYTHON, "-c", TALK, faithful.port, daemon.folder / "host-ca.pem", f"127.0.0.1:{port}", said, how)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    assert talk("hello", "end") == {"heard": "5 bytes\n", "code": 0, "beside": "6 bytes\n"}
    assert ended == [(b"hello", False), (b"beside", False)]
    assert talk("given up", "reset") == {"heard": "", "code": None, "beside": "6 bytes\n"}
    assert wait_for(lambda: (b"given up", True) in ended)
    assert talk("drop", "wait") == {"heard": "", "code": 10, "beside": "6 bytes\n"}
    faithful.last_words = b"z" * 60000
    assert talk("drop", "wait") == {"heard": "z" * 60000, "code": 10, "beside": "6 bytes\n"}
    wait_for(lambda: len([s for s in sessions(daemon, "other") if s.get("end")]) == 8)


def test_what_is_asked_for_is_not_what_the_session_is_of(daemon, faithful, web):
    seen = len(sessions(daemon, "faithful"))
    daemon.run(PYTHON, "-c", TALK, faithful.port, daemon.folder / "host-ca.pem", f"127.0.0.1:{web.port}", "hello", "end")
    wait_for(lambda: len([s for s in sessions(daemon, "second") if s.get("end")]) == 2)
    assert not sessions(daemon, "shut") and len(outer := sessions(daemon, "faithful")) == seen + 1
    assert "CONNECT 127.0.0.1:" in shown(daemon, outer[0])
    assert {r["resource"] for r in daemon.json("sessions", "show", outer[0]["id"])["records"] if "resource" in r} == {"faithful"}


ASK_TWICE = """
import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
for _ in range(2):
    c.request("GET", "/"); answer = c.getresponse(); answer.read(); print(answer.status, flush=True); sys.stdin.readline()
"""


def test_of_several_names_of_a_place_a_session_keeps_its_own(daemon, web):
    """When the rules come anew, too: the first name's would refuse it."""
    seen = len(sessions(daemon, "second"))
    p = daemon.popen(PYTHON, "-c", ASK_TWICE, web.port, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline().strip().isdigit()
        daemon.reload()
        print(file=p.stdin, flush=True)
        assert p.stdout.readline().strip().isdigit()
        assert len(sessions(daemon, "second")) == seen + 1
    finally:
        p.kill()
        p.wait()


@pytest.mark.parametrize("killed", ["shop", "proxy"])
def test_a_session_that_is_killed(daemon, front, server, killed):
    """That one alone, or all that it carries."""
    seen = [s["id"] for s in sessions(daemon, "shop")]
    with daemon.popen(*relayed(daemon, front, f"127.0.0.1:{server.port}", *psql("-c", "select 1", "-c", "update orders set item = item where id = 2")),
                      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "1\n"
        session = sessions(daemon, "shop")[0]
        assert session["id"] not in seen and not session.get("end") and not sessions(daemon, "proxy")[0].get("end")
        assert daemon.wayleave("sessions", "kill", sessions(daemon, killed)[0]["id"]).returncode == 0
        assert p.wait(30) != 0
    wait_for(lambda: all(s.get("end") for s in sessions(daemon, "shop") + sessions(daemon, "proxy")))


def test_mode_observe(make_daemon, web, server, front):
    """Nothing is refused, and all is recorded."""
    d = make_daemon({**make_config(server.port), "workers": 1, "mode": "observe", "loopback": "egress", "resources": [
        {"name": "proxy", "protocol": "http", "hosts": [f"127.0.0.1:{front.port}"], "tls": {"ca_file": str(front.ca)}}]}, [])
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    done = d.run(*relayed(d, front, f"localhost:{web.port}", "curl", "-sS", "--connect-to", f"localhost:{web.port}:127.0.0.1:PORT",
                          f"http://localhost:{web.port}/v1/hello"))
    assert done.stdout == "hello\n", done.stderr
