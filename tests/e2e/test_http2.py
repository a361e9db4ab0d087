# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 through an agent, with real clients and real servers."""
import json
import os
import subprocess
import time

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness.tls_server import TlsServer
from harness.waiting import wait_for

RULES = [
    {"name": "read", "resources": ["clear", "secure", "old"], "operations": ["read"], "objects": ["/v1/**"], "allow": {}},
    {"name": "upload", "resources": ["clear", "secure"], "operations": ["POST"], "objects": ["/v1/**"], "allow": {}},
    {"name": "puts need a person", "operations": ["PUT"], "review": {"by": "dba"}},
    {"name": "no deletes", "operations": ["DELETE"], "deny": {"message": "never"}},
]
PYTHON = "/usr/bin/python3"


def config(web, mute=None, **more):
    return {**make_config(1), "workers": 1, "loopback": "egress", "reviewers": {"dba": {"local_users": ["root"]}},
            "resources": [
                {"name": "clear", "protocol": "http", "hosts": [f"127.0.0.1:{web.h2c_port}"]},
                {"name": "secure", "protocol": "http", "hosts": [f"127.0.0.1:{web.h2_port}", f"localhost:{web.h2_port}"], "tls": {"ca_file": str(web.ca)}},
                {"name": "old", "protocol": "http", "hosts": [f"127.0.0.1:{p}" for p in (web.tls_port, *([mute.port] if mute else []))],
                 "tls": {"ca_file": str(web.ca)}}], **more}


def start(tmp_path_factory, web, rules, mute=None):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config(web, mute), rules)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    return d


@pytest.fixture(scope="module")
def mute(web):
    """A server that answers no offer of protocols."""
    pem = web.folder / "mute.pem"
    pem.write_text("".join((web.folder / f"server.{end}").read_text() for end in ("pem", "key")))
    s = TlsServer(pem)
    yield s
    s.close()


@pytest.fixture(scope="module")
def daemon(web, mute, tmp_path_factory):
    d = start(tmp_path_factory, web, RULES, mute)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


@pytest.fixture(scope="module", params=["clear", "TLS"])
def place(request, web):
    if request.param == "TLS":
        return f"https://127.0.0.1:{web.h2_port}"
    return f"http://127.0.0.1:{web.h2c_port}"


def words(daemon, url):
    how = ["--http2"] if url.startswith("https") else ["--http2-prior-knowledge"]
    return ["curl", "-sS", *how, "--cacert", daemon.folder / "host-ca.pem"]


def curl(daemon, url, *more, **keywords):
    done = daemon.run(*words(daemon, url), *more, url, **keywords)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(daemon, url, *more):
    body, _, line = curl(daemon, url, *more, "-w", "\\n%{http_code} %{http_version} %{content_type}").rpartition("\n")
    code, version, kind = line.split()
    assert (version, kind) == ("2", "application/json")
    return int(code), json.loads(body)


def test_what_is_allowed_passes(daemon, place):
    assert curl(daemon, f"{place}/v1/hello", "-w", "%{http_version}") == "hello\n2"
    assert curl(daemon, f"{place}/v1/echo?a=b", "-d", "x=1") == "POST /v1/echo?a=b"


def test_the_server_decides_which_protocol_it_is(daemon, web):
    """The agent offers both, and gets what the server has."""
    for port, version in ((web.h2_port, "2"), (web.tls_port, "1.1")):
        assert curl(daemon, f"https://127.0.0.1:{port}/v1/hello", "-w", "%{http_version}") == "hello\n" + version
    assert daemon.run("curl", "-sS", "--http1.1", "--cacert", daemon.folder / "host-ca.pem", "-w", "%{http_version}",
                      f"https://127.0.0.1:{web.h2_port}/v1/hello").stdout == "hello\n1.1"


# What a handshake that offers these protocols comes to, and what is answered in HTTP/1.1 then.
ALPN = """
import socket, ssl, sys
port, authority, *offered = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
if offered:
    context.set_alpn_protocols(offered)
try:
    s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(port))), server_hostname="127.0.0.1")
except ssl.SSLError:
    sys.exit(print("refused"))
chosen = s.selected_alpn_protocol()
if chosen != "h2":
    s.sendall(b"GET /v1/hello HTTP/1.1\\r\\nHost: 127.0.0.1:" + port.encode() + b"\\r\\n\\r\\n")
    chosen = f"{chosen} {s.recv(12).decode()}"
print(chosen)
"""


# By what the server makes of offers: it speaks HTTP/2 too, HTTP/1.1 alone, or knows nothing of them.
CHOSEN = {
    "h2": {"": "None HTTP/1.1 200", "h2": "h2", "http/1.1": "http/1.1 HTTP/1.1 200", "h2 http/1.1": "h2", "http/1.1 h2": "h2"},
    "1.1": {"": "None HTTP/1.1 200", "http/1.1": "http/1.1 HTTP/1.1 200", "h2 http/1.1": "http/1.1 HTTP/1.1 200"},
    "none": {"": "None HTTP/1.1 200", "h2": "refused", "http/1.1": "http/1.1 HTTP/1.1 200", "h2 http/1.1": "http/1.1 HTTP/1.1 200"}}


@pytest.mark.parametrize("server,offered", [(server, offered) for server in CHOSEN for offered in CHOSEN[server]])
def test_what_an_offer_comes_to(daemon, web, mute, server, offered):
    port = {"h2": web.h2_port, "1.1": web.tls_port, "none": mute.port}[server]
    done = daemon.run(PYTHON, "-c", ALPN, port, daemon.folder / "host-ca.pem", *offered.split())
    assert done.stdout.strip() == CHOSEN[server][offered], done.stderr


def test_who_speaks_http_2_alone_is_told_of_a_server_that_does_not(daemon, web):
    """The server ends the handshake; the agent's comes about, so that the request has an answer that says why."""
    out = daemon.run("nghttp", "-v", f"https://127.0.0.1:{web.tls_port}/v1/hello").stdout
    assert ":status: 502" in out and "TLS handshake failed: tlsv1 alert no application protocol" in out, out


def test_a_denial_says_why(daemon, web, place):
    before = web.accesses()
    assert refusal(daemon, f"{place}/v1/hello", "-X", "DELETE") == (403, {
        "error": "denied_by_rule", "rule": "no deletes", "message": 'wayleave: denied by rule "no deletes": never',
        "review": None})
    code, body = refusal(daemon, f"{place}/v2/x", "-d", "x" * 100_000)
    assert (code, body["message"]) == (403, "wayleave: denied: no rule allows POST on /v2/x")
    assert web.accesses() == before


def test_a_denial_leaves_the_connection(daemon, web):
    place = f"https://127.0.0.1:{web.h2_port}"
    line = ["-o", "/dev/null", "-w", "%{http_code} %{num_connects}\\n"]
    again = ["--next", *words(daemon, place)[1:], *line]
    out = curl(daemon, f"{place}/v1/hello", *again, "-X", "DELETE", f"{place}/v1/hello", *again)
    assert out == "403 1\n200 0\n"


def test_a_name_that_means_another_place(daemon, web):
    code, body = refusal(daemon, f"https://localhost:{web.h2_port}/v1/hello", "-H", "Host: other.test")
    assert (code, body["error"]) == (421, "misdirected")


# One connection, made for localhost, and a stream for each of the names: clients use one again for other names of its certificate.
COALESCED = """
import json, socket, ssl, sys
import h2.config, h2.connection, h2.events
port, names = int(sys.argv[1]), json.loads(sys.argv[3])
context = ssl.create_default_context(cafile=sys.argv[2])
context.set_alpn_protocols(["h2"])
config = h2.config.H2Configuration(header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False)
with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20), server_hostname="localhost") as peer:
    c, statuses = h2.connection.H2Connection(config), {}
    c.initiate_connection()
    for i, name in enumerate(names):
        c.send_headers(2 * i + 1, [(":method", "GET"), (":scheme", "https"), (":authority", name), (":path", "/v1/hello")], end_stream=True)
    peer.sendall(c.data_to_send())
    while len(statuses) < len(names):
        data = peer.recv(65536)
        if not data:
            break
        for event in c.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                statuses[event.stream_id] = dict(event.headers)[":status"]
            elif isinstance(event, h2.events.StreamReset):
                statuses.setdefault(event.stream_id, "reset")
        peer.sendall(c.data_to_send())
print(json.dumps([statuses.get(2 * i + 1) for i in range(len(names))]))
"""
NAMES = {"localhost:%d": "200", "127.0.0.1:%d": "421", "api.test:%d": "421", "LOCALHOST.:%d": "200", "other.test": "421", "localhost:1": "421",
         "localhost..:%d": "400", "x@localhost:%d": "400", "l\xf6calhost:%d": "reset", "localhost": "200"}


def test_a_connection_is_for_one_name(daemon, web):
    """Of which others are refused, by themselves, also where they are the resource's."""
    before = len(web.accesses().splitlines())
    names = [name.replace("%d", str(web.h2_port)) for name in NAMES]
    done = daemon.run(PYTHON, "-c", COALESCED, web.h2_port, daemon.folder / "host-ca.pem", json.dumps(names))
    assert done.returncode == 0, done.stderr
    assert dict(zip(NAMES, json.loads(done.stdout), strict=True)) == NAMES
    assert len(web.accesses().splitlines()) == before + list(NAMES.values()).count("200")


def test_bodies_stream_both_ways(daemon, web, place):
    (web.root / "large").write_bytes(os.urandom(1 << 20) * 16)
    out = daemon.run(*words(daemon, place), "-o", daemon.folder / "large", f"{place}/v1/large")
    assert out.returncode == 0, out.stderr
    assert (daemon.folder / "large").read_bytes() == (web.root / "large").read_bytes()
    data = os.urandom(1_500_000).hex()
    assert curl(daemon, f"{place}/v1/take", "--data-binary", "@-", input=data) == "got it"


def test_people_decide_and_others_go_on(daemon, web, place):
    """One stream waits for people; its connection goes on with others, and lives on after the answer."""
    before = web.accesses().count("review")
    with daemon.popen(*words(daemon, place), "--parallel", "--parallel-immediate", "-X", "PUT", "-d", "the body",
                      f"{place}/v1/echo?review", "--next", *words(daemon, place)[1:], f"{place}/v1/hello",
                      stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert (review["operations"], review["objects"]) == (["PUT"], ["/v1/echo"])
        assert p.stdout.readline() == "hello\n"
        assert "the body" in json.dumps(daemon.json("reviews", "show", review["id"]))
        assert web.accesses().count("review") == before
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert p.stdout.read() == "PUT /v1/echo?review"


# Asks for something that people decide, and counts the PINGs that come before the answer.
WAITING = """
import socket, struct, sys
def frame(kind, flags, stream, content=b""):
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content
def literal(name, value):
    return bytes([0x40 | name, len(value)]) + value
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0) + frame(4, 1, 0) + frame(1, 5, 1, b"\\x86" + literal(2, b"PUT")
          + literal(4, b"/v1/echo?waiting") + literal(1, b"127.0.0.1:" + sys.argv[1].encode())))
seen, pings = b"", 0
while True:
    seen += s.recv(65536) or sys.exit("closed")
    while len(seen) >= 9 and len(seen) >= 9 + int.from_bytes(seen[:3], "big"):
        length, kind, flags = int.from_bytes(seen[:3], "big"), seen[3], seen[4]
        content, seen = seen[9:9 + length], seen[9 + length:]
        if kind == 6 and not flags & 1:
            pings += 1
            s.sendall(frame(6, 1, 0, content))
        elif kind == 1:
            sys.exit(print(pings))
"""


def test_who_waits_is_pinged(daemon, web):
    """One a second, as of a review that takes long: what is between would take the connection for dead."""
    with daemon.popen(PYTHON, "-c", WAITING, web.h2c_port, stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        time.sleep(3)
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert int(p.stdout.read()) in range(2, 8)
    assert "waiting" in web.accesses()


def test_it_is_recorded(daemon, place):
    curl(daemon, f"{place}/v1/hello?recorded", "-H", "Authorization: Bearer topsecret")
    session = daemon.json("sessions", "list")[0]
    assert session["protocol"] == "http"
    shown = daemon.wayleave("sessions", "show", session["id"]).stdout
    assert "/v1/hello?recorded" in shown and "200" in shown
    assert "topsecret" not in shown


def test_a_server_whose_certificate_is_bad(make_daemon, web):
    c = config(web)
    for resource in c["resources"]:
        resource.pop("tls", None)
    d = make_daemon(c, RULES)
    done = d.run("curl", "-sSk", "--http2", f"https://127.0.0.1:{web.h2_port}/v1/hello")
    body = json.loads(done.stdout)
    assert body["error"] == "upstream_tls" and "certificate is not trusted" in body["message"]


HTTPX = """
import httpx, sys
with httpx.Client(http1=False, http2=True, verify=sys.argv[2]) as c:
    assert c.delete(sys.argv[1]).json()["rule"] == "no deletes"
    r = c.get(sys.argv[1])
    print(r.http_version, r.text, end="")
"""
NODE = """
const c = require("http2").connect(process.argv[1], {ca: require("fs").readFileSync(process.argv[2])});
const r = c.request({":path": "/v1/hello"});
let text = "";
r.setEncoding("utf8").on("data", d => text += d).on("end", () => { process.stdout.write("HTTP/2 " + text); c.close(); });
"""


def test_other_clients(daemon, web):
    """httpx and node, which offer nothing but HTTP/2."""
    place, ca = f"https://127.0.0.1:{web.h2_port}", str(daemon.folder / "host-ca.pem")
    done = daemon.run(PYTHON, "-c", HTTPX, f"{place}/v1/hello", ca)
    assert (done.stdout, done.returncode) == ("HTTP/2 hello\n", 0), done.stderr
    done = daemon.run("node", "-e", NODE, place, ca)
    assert (done.stdout, done.returncode) == ("HTTP/2 hello\n", 0), done.stderr


def test_many_at_a_time(daemon, web, place):
    out = daemon.run("h2load", "-n", "2000", "-c", "4", "-m", "50", f"{place}/v1/hello").stdout
    assert "2000 succeeded, 0 failed" in out and "status codes: 2000 2xx" in out, out


MASKED = [{"name": "read", "operations": ["read"], "objects": ["/v1/**"], "allow": {"mask": [{"detect": ["email"], "with": "redact"}]}},
          {"name": "by path alone", "operations": ["read"], "objects": ["/paths/**"], "allow": {"mask": [{"json": ["$.people[*].ssn"], "with": "redact"}]}}]


def test_content_is_masked(web, tmp_path_factory):
    (web.root / "customers.json").write_text('{"name": "ann", "mail": "ann@acme.com"}')
    (web.root / "large.txt").write_text("".join(f"line {i} of user{i}@example.com\n" for i in range(20_000)))
    paths = web.root.parent / "paths"
    paths.mkdir()
    (paths / "people.json").write_text('{"people": [{"ssn": "123-45-6789", "mail": "a@b.com"}]}')
    (paths / "broken.json").write_text('{"people": [{"ssn": "123-45-6789"}')
    d = start(tmp_path_factory, web, MASKED)
    place = f"https://127.0.0.1:{web.h2_port}"
    try:
        out = curl(d, f"{place}/v1/customers.json", "-D", "-", "--compressed", "-r", "0-10").lower()
        assert '{"name": "ann", "mail": "[masked]"}' in out and "content-length" not in out and "etag" not in out
        assert curl(d, f"{place}/v1/large.txt") == "".join(f"line {i} of [masked]\n" for i in range(20_000))
        # A rule that has nothing but paths masks what they name, and finds nothing else.
        for version in ("--http2", "--http1.1"):
            assert json.loads(curl(d, f"{place}/paths/people.json", version)) == {"people": [{"ssn": "[masked]", "mail": "a@b.com"}]}
            assert curl(d, f"{place}/paths/broken.json", version, "-o", "/dev/null", "-w", "%{http_code}") == "403"
    finally:
        d.close()
