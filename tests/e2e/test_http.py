# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 through an agent, with real clients and a real server."""
import json
import os
import re
import subprocess
import time

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness.ports import free_port
from harness.records import recorded_actions, records_of
from harness.waiting import wait_for

RULES = [
    {"name": "read", "resources": ["api", "secure"], "operations": ["read"], "objects": ["/v1/**"], "allow": {}},
    {"name": "upload", "resources": ["api", "secure"], "operations": ["POST"], "objects": ["/v1/**"], "allow": {}},
    {"name": "puts need a person", "operations": ["PUT"], "review": {"by": "dba"}},
    {"name": "patches need a person", "operations": ["PATCH"], "objects": ["/v1/echo"], "review": {"by": "dba", "grant": "10m"}},
    {"name": "no deletes", "operations": ["DELETE"], "deny": {"message": "never"}},
    {"name": "secret", "objects": ["/v1/secret/**"], "deny": {}},
]
PYTHON = "/usr/bin/python3"


def config(web, **more):
    return {**make_config(1), "workers": 1, "loopback": "egress", "reviewers": {"dba": {"local_users": ["root"]}},
            "resources": [
                {"name": "api", "protocol": "http", "hosts": [f"127.0.0.1:{web.port}", f"[::1]:{web.port}"]},
                {"name": "secure", "protocol": "http", "hosts": [f"127.0.0.1:{web.tls_port}"],
                 "tls": {"ca_file": str(web.ca)}}], **more}


@pytest.fixture(scope="module")
def daemon(web, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config(web), RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


@pytest.fixture(scope="module", params=["plain", "TLS"])
def place(request, web):
    """Where the server is, as a URL, and whether it is in TLS."""
    if request.param == "TLS":
        return f"https://127.0.0.1:{web.tls_port}"
    return f"http://127.0.0.1:{web.port}"


def curl(daemon, *words, **keywords):
    done = daemon.run("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", *words, **keywords)
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(daemon, *words):
    return curl(daemon, "-o", "/dev/null", "-w", "%{http_code} %{num_connects}\\n", *words).split()


def refusal(daemon, *words):
    """The status and the parsed body of a response."""
    out = curl(daemon, "-w", "\\n%{http_code} %{content_type}", *words)
    body, _, line = out.rpartition("\n")
    code, kind = line.split()
    assert kind == "application/json"
    return int(code), json.loads(body)


def test_what_is_allowed_passes(daemon, place):
    assert curl(daemon, f"{place}/v1/hello") == "hello\n"
    assert curl(daemon, "-d", "x=1", f"{place}/v1/echo?a=b") == "POST /v1/echo?a=b"


def test_a_denial_says_why(daemon, place):
    assert refusal(daemon, "-X", "DELETE", f"{place}/v1/hello") == (403, {
        "error": "denied_by_rule", "rule": "no deletes", "message": 'wayleave: denied by rule "no deletes": never',
        "review": None})
    code, body = refusal(daemon, f"{place}/v2/x")
    assert (code, body["rule"]) == (403, None)
    assert body["message"] == "wayleave: denied: no rule allows GET on /v2/x"


def test_a_denial_leaves_the_connection(daemon, place):
    """One connection for all three requests; the second has a body that nobody wants."""
    out = curl(daemon, "-w", "%{http_code} %{num_connects}\\n", "-o", "/dev/null", f"{place}/v1/hello",
               "--next", "-s", "--cacert", daemon.folder / "host-ca.pem", "-X", "DELETE", "-d", "x" * 5000, "-w",
               "%{http_code} %{num_connects}\\n", "-o", "/dev/null", f"{place}/v1/hello",
               "--next", "-s", "--cacert", daemon.folder / "host-ca.pem", "-w", "%{http_code} %{num_connects}\\n", "-o",
               "/dev/null", f"{place}/v1/hello")
    assert out.split("\n")[:3] == ["200 1", "403 0", "200 0"]


@pytest.mark.parametrize("path", ["/v1/secret/x", "/v1/%73ecret/x", "/v1//secret/x", "/v1/a/../secret/x",
                                  "/v1/a%2F..%2Fsecret/x", "/v1/a/..;/secret/x", "/v1/%252e%252e/v1/secret/x"])
def test_a_path_is_judged_however_it_is_written(daemon, web, path):
    before = web.accesses()
    code, _ = refusal(daemon, "--path-as-is", f"http://127.0.0.1:{web.port}{path}")
    assert code == 403
    assert web.accesses() == before


def test_head_and_not_modified(daemon, place):
    out = curl(daemon, "-I", f"{place}/v1/hello")
    assert "Content-Length: 6" in out
    tag = next(line.split(" ", 1)[1].strip() for line in out.splitlines() if line.lower().startswith("etag"))
    assert status(daemon, "-H", f"If-None-Match: {tag}", f"{place}/v1/hello", f"{place}/v1/none", "-o", "/dev/null") == [
        "304", "1", "204", "0"]


def test_a_range(daemon, place):
    assert curl(daemon, "-r", "1-3", f"{place}/v1/hello") == "ell"


def test_old_clients(daemon, place):
    assert curl(daemon, "-0", f"{place}/v1/hello") == "hello\n"


def test_a_chunked_upload(daemon, place):
    data = os.urandom(3_000_000).hex()
    assert curl(daemon, "-H", "Transfer-Encoding: chunked", "-T", "-", "-X", "POST", f"{place}/v1/upload",
                input=data) == "got it"


def test_an_upload_that_expects(daemon, place):
    data = "x" * 2_000_000
    assert curl(daemon, "-H", "Expect: 100-continue", "--data-binary", "@-", f"{place}/v1/upload", input=data) == "got it"


def test_people_decide_about_the_whole_request(daemon, web, place):
    url = f"{place}/v1/echo?review"
    before = web.accesses().count("review")
    with daemon.popen("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "-T", "-", url, stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE, text=True) as p:
        p.stdin.write("the body")
        p.stdin.close()
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert (review["operations"], review["objects"]) == (["PUT"], ["/v1/echo"])
        shown = daemon.json("reviews", "show", review["id"])
        assert "the body" in json.dumps(shown) and "/v1/echo?review" in shown["text"]
        assert web.accesses().count("review") == before
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert p.stdout.read() == "PUT /v1/echo?review"


def test_people_refuse(daemon, place):
    with daemon.popen("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "-X", "PUT", f"{place}/v1/echo",
                      stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        daemon.wayleave("reviews", "deny", review["id"], "--reason", "not today " + 990 * "ü" + 9 * "\"")
        body = json.loads(p.stdout.read())
    assert (body["error"], body["review"]) == ("review_denied", review["id"])
    assert body["message"].endswith("not today " + 990 * "ü" + 9 * "\"")


def pending(daemon):
    return [r for r in daemon.json("reviews", "list") if r["state"] == "pending"]


def give_up(daemon, url):
    """A client that waits for as long as its review takes to appear, and no longer; returns the review."""
    with daemon.popen("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "-X", "PUT", "-d", "x", url,
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
        review = wait_for(lambda: pending(daemon))[0]
        p.kill()
    wait_for(lambda: [r for r in pending(daemon) if r["waiters"] == 0])
    return review["id"]


def test_a_client_that_gives_up_and_asks_again_finds_its_answer(daemon, web, place):
    url = f"{place}/v1/echo?gave-up"
    before = web.accesses().count("gave-up")
    review = give_up(daemon, url)
    assert daemon.wayleave("reviews", "approve", review).returncode == 0
    assert web.accesses().count("gave-up") == before, "nobody waited for it"
    assert curl(daemon, "-X", "PUT", "-d", "x", url) == "PUT /v1/echo?gave-up"
    again = give_up(daemon, url)
    assert again != review, "an approval is for one request"
    daemon.wayleave("reviews", "deny", again, "--reason", "once is enough")
    code, body = refusal(daemon, "-X", "PUT", "-d", "x", url)
    assert (code, body["error"], body["review"]) == (403, "review_denied", again)
    assert "once is enough" in body["message"]


def test_a_client_that_asks_again_joins_its_review(daemon, web, place):
    url = f"{place}/v1/echo?joined"
    before = web.accesses().count("joined")
    review = give_up(daemon, url)
    with daemon.popen("curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "-X", "PUT", "-d", "x", url,
                      stdout=subprocess.PIPE, text=True) as p:
        wait_for(lambda: [r for r in pending(daemon) if r["waiters"] == 1])
        assert [r["id"] for r in pending(daemon)] == [review]
        assert daemon.wayleave("reviews", "approve", review).returncode == 0
        assert p.stdout.read() == "PUT /v1/echo?joined"
    assert web.accesses().count("joined") == before + 1, "executed once"


# One connection: each line is a request, and its answer a line.
KEPT = """
import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for line in sys.stdin:
    c.request("PATCH", line.strip())
    port = c.sock.getsockname()[1]
    print(port, c.getresponse().read().decode().strip(), flush=True)
"""


def test_a_grant_covers_requests_until_it_is_revoked(daemon, web):
    with daemon.popen(PYTHON, "-c", KEPT, web.port, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        def send(path):
            p.stdin.write(path + "\n")
            p.stdin.flush()

        send("/v1/echo?one")
        review = wait_for(lambda: pending(daemon))[0]
        assert daemon.wayleave("reviews", "approve", review["id"], "--for", "11m").returncode == 1
        assert daemon.wayleave("reviews", "approve", review["id"], "--for", "5m").returncode == 0
        port, answer = p.stdout.readline().split(" ", 1)
        assert answer == "PATCH /v1/echo?one\n"
        (grant,) = daemon.json("grants", "list")
        assert (grant["operations"], grant["objects"], grant["resource"]) == (["PATCH"], ["/v1/echo"], "api")
        send("/v1/echo?two")
        assert p.stdout.readline() == f"{port} PATCH /v1/echo?two\n"
        # It is for one path of one resource.
        assert refusal(daemon, "-X", "PATCH", f"http://127.0.0.1:{web.port}/v1/hello")[0] == 403
        assert daemon.wayleave("grants", "revoke", grant["id"]).returncode == 0
        send("/v1/echo?three")
        review = wait_for(lambda: pending(daemon))[0]
        assert daemon.wayleave("reviews", "deny", review["id"], "--reason", "no more").returncode == 0
        answer = p.stdout.readline()
        assert answer.startswith(port + " ") and "no more" in answer, "on the same connection"
        p.stdin.close()
    assert "echo?three" not in web.accesses()


def test_it_is_recorded(daemon, web):
    curl(daemon, "-H", "Authorization: Bearer topsecret", f"http://127.0.0.1:{web.port}/v1/hello?recorded&password=hunter2x")
    session = daemon.json("sessions", "list")[0]
    assert (session["resource"], session["protocol"]) == ("api", "http")
    shown = daemon.wayleave("sessions", "show", session["id"]).stdout
    assert "/v1/hello?recorded" in shown and "200 OK" in shown
    assert "topsecret" not in shown and "hunter2x" not in shown


def test_a_server_that_is_not_there(make_daemon, web):
    dead = free_port()
    c = config(web)
    c["resources"][0]["hosts"] = [f"127.0.0.1:{dead}"]
    d = make_daemon(c, RULES)
    done = d.run("curl", "-sS", f"http://127.0.0.1:{dead}/v1/x")
    assert json.loads(done.stdout)["error"] == "upstream_unreachable"
    assert "refused" in done.stdout
    approved = []
    # The server that there is has been asked; of the other nobody says that it was.
    for port, version in ((web.tls_port, "--http1.1"), (dead, "--http1.1"), (dead, "--http2-prior-knowledge")):
        url = f"http{'s' if port == web.tls_port else ''}://127.0.0.1:{port}/v1/echo"
        with d.popen("curl", "-sSk", version, "-X", "PUT", url, stdout=subprocess.PIPE, text=True) as p:
            review = wait_for(lambda: pending(d))[0]["id"]
            assert d.wayleave("reviews", "approve", review).returncode == 0
            assert ("upstream_unreachable" in p.stdout.read()) == (port == dead)
        approved.append(review)
    wait_for(lambda: "ran" in d.json("reviews", "show", approved[-1])["sessions"][0])
    assert [d.json("reviews", "show", r)["sessions"][0].get("ran", "went on") for r in approved] == ["went on", False, False]
    assert "(the approval was not used)" in d.wayleave("reviews", "show", approved[1]).stdout


def test_a_server_whose_certificate_is_bad(make_daemon, web):
    """Not of the system's store: refused with the reason, never papered over."""
    c = config(web)
    del c["resources"][1]["tls"]
    d = make_daemon(c, RULES)
    done = d.run("curl", "-sSk", f"https://127.0.0.1:{web.tls_port}/v1/hello")
    body = json.loads(done.stdout)
    assert body["error"] == "upstream_tls"
    assert "certificate is not trusted" in body["message"]


URLLIB = """
import ssl, sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], context=ssl.create_default_context(cafile=sys.argv[2])).read().decode(), end="")
"""
REQUESTS = """
import requests, sys
s = requests.Session()
s.verify = sys.argv[2]
assert s.delete(sys.argv[1]).json()["rule"] == "no deletes"
print(s.get(sys.argv[1]).text, end="")
"""
HTTPX = """
import httpx, sys
with httpx.Client(verify=sys.argv[2]) as c:
    assert c.delete(sys.argv[1]).json()["rule"] == "no deletes"
    print(c.get(sys.argv[1]).text, end="")
"""


@pytest.mark.parametrize("script", [URLLIB, REQUESTS, HTTPX], ids=["urllib", "requests", "httpx"])
def test_python(daemon, place, script):
    ca = str(daemon.folder / "host-ca.pem")
    done = daemon.run(PYTHON, "-c", script, f"{place}/v1/hello", ca, env={"REQUESTS_CA_BUNDLE": ca, "SSL_CERT_FILE": ca})
    assert (done.stdout, done.returncode) == ("hello\n", 0), done.stderr


def test_node(daemon, place):
    script = f"fetch('{place}/v1/hello').then(r => r.text()).then(t => process.stdout.write(t))"
    done = daemon.run("node", "-e", script, env={"NODE_EXTRA_CA_CERTS": str(daemon.folder / "host-ca.pem")})
    assert (done.stdout, done.returncode) == ("hello\n", 0), done.stderr


RESUME = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
session = None
for _ in range(4):
    with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="localhost", session=session) as s:
        s.sendall(b"GET /v1/ssl HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
        print(s.session_reused, s.recv(4096).split(b"\\r\\n")[-1].decode())
        session = s.session
"""


def test_tls_sessions_are_resumed_on_both_sides(by_name, web):
    """nginx says what it thinks of the connection to it."""
    out = by_name.run(PYTHON, "-c", RESUME, web.tls_port, by_name.folder / "host-ca.pem").stdout.splitlines()
    assert [line.split()[0] for line in out] == ["False", "True", "True", "True"], out
    assert any(line.endswith(" r") for line in out[1:]), out


# --- places

def named(web, **tls):
    """One resource by a name, for both ports. In TLS each session has a handshake of its own with the server."""
    c = config(web)
    return {**c, "resources": [
        {"name": "api", "protocol": "http", "hosts": [f"localhost:{web.port}"]},
        {"name": "secure", "protocol": "http", "hosts": [f"localhost:{web.tls_port}"], "tls": tls or {"ca_file": str(web.ca)},
         "reuse": "off"}]}


@pytest.fixture(scope="module")
def by_name(web, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("named"), named(web), RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    d.close()


def test_a_name_is_the_resource(by_name, web):
    assert curl(by_name, f"http://localhost:{web.port}/v1/hello") == "hello\n"
    assert curl(by_name, f"https://localhost:{web.tls_port}/v1/hello") == "hello\n"


@pytest.mark.parametrize("host", ["other.test", "localhost:1", "10.0.0.1"])
def test_a_host_that_means_another_place(by_name, web, host):
    """Domain fronting: the place that was dialled is not what Host says."""
    before = web.accesses()
    for url in (f"http://localhost:{web.port}/v1/hello", f"https://localhost:{web.tls_port}/v1/hello"):
        code, body = refusal(by_name, "-H", f"Host: {host}", url)
        assert (code, body["error"]) == (421, "misdirected")
    assert web.accesses() == before


# Ways to write Host where localhost was dialled, %d for its port, and what each comes to.
HOSTS = {"localhost:%d": 200, "LOCALHOST:%d": 200, "localhost.:%d": 200, "LocalHost.:%d": 200, "localhost:0%d": 200, "localhost": 200,
         "localhost:1": 421, "localhost..:%d": 400, ".localhost:%d": 421, "localhost.test:%d": 421, "127.1:%d": 421, "2130706433:%d": 421,
         "0x7f000001:%d": 421, "xn--lcalhost-54a:%d": 421, "l\xf6calhost:%d": 400, "l\xc3\xb6calhost:%d": 400, "localhost%%2e:%d": 400,
         "localhost:%d:80": 400, "x@localhost:%d": 400, "localhost:%d, other": 400, "other, localhost:%d": 400, "[localhost]:%d": 400,
         "localhost:%d/x": 400, "http://localhost:%d": 400}
HOST_CLIENT = """
import json, socket, ssl, sys
port, ca, hosts = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
def status(host):
    peer = socket.create_connection(("127.0.0.1", port), timeout=20)
    if ca:
        peer = ssl.create_default_context(cafile=ca).wrap_socket(peer, server_hostname="localhost")
    with peer:
        peer.sendall(f"GET /v1/hello HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode("latin-1"))
        return int(peer.makefile("rb").readline().split()[1])
print(json.dumps([status(host) for host in hosts]))
"""


@pytest.mark.parametrize("tls", [False, True])
def test_a_host_in_any_spelling(by_name, web, tls):
    port, before = web.tls_port if tls else web.port, len(web.accesses().splitlines())
    hosts = [host.replace("%d", str(port)).replace("%%", "%") for host in HOSTS]
    out = by_name.run(PYTHON, "-c", HOST_CLIENT, port, by_name.folder / "host-ca.pem" if tls else "", json.dumps(hosts))
    assert out.returncode == 0, out.stderr
    assert dict(zip(HOSTS, json.loads(out.stdout), strict=True)) == HOSTS
    assert len(web.accesses().splitlines()) == before + list(HOSTS.values()).count(200)


def test_sni_that_means_another_place(by_name, web):
    code, body = refusal(by_name, "--connect-to", f"other.test:{web.tls_port}:localhost:{web.tls_port}",
                         f"https://other.test:{web.tls_port}/v1/hello")
    assert (code, body["error"]) == (421, "misdirected")


def test_an_address_where_a_name_is_meant(by_name, web):
    assert curl(by_name, f"http://127.0.0.1:{web.port}/v1/hello") == "hello\n"


def test_passthrough(make_daemon, web):
    """The server's own certificate reaches the agent; where to is judged, and the volume is recorded."""
    d = make_daemon(named(web, mode="passthrough"), RULES)
    url = f"https://localhost:{web.tls_port}/v1/hello"
    done = d.run("curl", "-sS", "--cacert", web.ca, url)
    assert done.stdout == "hello\n", done.stderr
    session = wait_for(lambda: [s for s in d.json("sessions", "list") if s["end"]])[0]
    assert (session["resource"], session["actions"]) == ("secure", 2)
    # A handshake, a request and its response, as they were.
    assert 500 < session["bytes_to_server"] < 2000 and 700 < session["bytes_to_agent"] < 8000, session
    assert "TLS for localhost, relayed unread" in d.wayleave("sessions", "show", session["id"]).stdout
    done = d.run("curl", "-sSk", "--connect-to", f"other.test:{web.tls_port}:localhost:{web.tls_port}",
                 f"https://other.test:{web.tls_port}/v1/hello")
    assert json.loads(done.stdout)["error"] == "misdirected", done.stderr


def test_passthrough_is_judged(make_daemon, web):
    d = make_daemon(named(web, mode="passthrough"), [
        {"name": "api", "resources": ["api"], "allow": {}},
        {"name": "unwanted", "resources": ["secure"], "operations": ["connect"], "deny": {}}])
    done = d.run("curl", "-sSk", f"https://localhost:{web.tls_port}/v1/hello")
    assert done.returncode != 0 and done.stdout == ""


# --- streams

def memory(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


@pytest.fixture
def large(web):
    """A sparse file of a gigabyte."""
    path = web.root / "large"
    with open(path, "wb") as f:
        f.truncate(1 << 30)
    yield "/v1/large"
    path.unlink()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_a_gigabyte_streams(daemon, web, large, tls):
    """In TLS a quarter of it: the same path, at the price of two ciphers."""
    worker = daemon.workers()[0]
    before = memory(worker)
    place = f"https://127.0.0.1:{web.tls_port}" if tls else f"http://127.0.0.1:{web.port}"
    most = ["-r", f"0-{(1 << 28) - 1}"] if tls else []
    out = curl(daemon, "-o", "/dev/null", "-w", "%{size_download}", *most, place + large, timeout=120)
    assert int(out) == (1 << 28 if tls else 1 << 30)
    assert memory(worker) - before < 32 << 10


def test_a_slow_reader_costs_bounded_memory(daemon, web, large):
    worker = daemon.workers()[0]
    before = memory(worker)
    with daemon.popen("curl", "-sS", "-o", "/dev/null", "--limit-rate", "50K", f"http://127.0.0.1:{web.port}{large}") as p:
        time.sleep(1.5)
        assert memory(worker) - before < 32 << 10
        p.terminate()


PIPELINE = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
paths = ["/v1/echo?1", "/v2/no", "/v1/echo?2", "/v1/secret/x", "/v1/echo?3"]
s.sendall("".join(f"GET {p} HTTP/1.1\\r\\nHost: 127.0.0.1:{sys.argv[1]}\\r\\n\\r\\n" for p in paths).encode())
s.shutdown(socket.SHUT_WR)
print(s.makefile().read())
"""


def test_a_pipeline(daemon, web):
    out = daemon.run(PYTHON, "-c", PIPELINE, web.port).stdout
    assert re.findall(r"HTTP/1\.1 (\d+) ", out) == ["200", "403", "200", "403", "200"], out
    assert [n for n in "123" if f"GET /v1/echo?{n}" in out] == list("123")


EVENTS = """
import socket, sys, threading, time
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    peer, _ = server.accept()
    peer.recv(4096)
    peer.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n")
    for i in range(20):
        data = f"data: {time.monotonic()}\\n\\n".encode()
        peer.sendall(b"%x\\r\\n%s\\r\\n" % (len(data), data))
        time.sleep(0.02)
    peer.sendall(b"0\\r\\n\\r\\n")
    peer.close()
"""
LISTENER = """
import sys, time, urllib.request
with urllib.request.urlopen(sys.argv[1]) as r:
    delays = [time.monotonic() - float(line[6:]) for line in r if line.startswith(b"data: ")]
print(len(delays), sorted(delays)[len(delays) // 2])
"""


@pytest.fixture
def events(make_daemon, web):
    port = free_port()
    c = config(web)
    c["resources"][0]["hosts"] = [f"127.0.0.1:{port}"]
    server = subprocess.Popen([PYTHON, "-c", EVENTS, str(port)])
    yield make_daemon(c, RULES), port
    server.kill()
    server.wait()


def test_events_are_not_held_back(events):
    d, port = events
    out = d.run(PYTHON, "-c", LISTENER, f"http://127.0.0.1:{port}/v1/events").stdout.split()
    assert int(out[0]) == 20
    assert float(out[1]) < 0.01


def test_an_unnamed_place(make_daemon, web):
    """Known by its first bytes, whatever the port; judged with the resource "egress"."""
    rules = [{"name": "anywhere", "resources": ["egress"], "operations": ["read"], "objects": ["/v1/**"], "allow": {}},
             {"name": "connect", "resources": ["egress"], "operations": ["connect"], "allow": {}}]
    d = make_daemon({**make_config(1), "loopback": "egress", "egress": "allow"}, rules)
    url = f"http://127.0.0.1:{web.port}"
    assert d.run("curl", "-sS", f"{url}/v1/hello").stdout == "hello\n"
    assert json.loads(d.run("curl", "-sS", f"{url}/v2/x").stdout)["error"] == "not_covered"
    sessions = d.json("sessions", "list")
    assert {(s["resource"], s["protocol"]) for s in sessions} == {("egress", "http")}


# --- masks

MASKED = [{"name": "read", "resources": ["api", "secure"], "operations": ["read"], "allow": {
    "mask": [{"detect": ["email", "credit_card"], "with": "redact"}, {"json": ["$.people[*].ssn"], "with": "redact"}]}},
    {"name": "puts need a person", "operations": ["PUT"], "review": {"by": "dba"}}]


@pytest.fixture(scope="module")
def masking(web, tmp_path_factory):
    (web.root / "customers.json").write_text('{"customers": [{"name": "ann", "mail": "ann@acme.com"}]}')
    (web.root / "large.txt").write_text("".join(f"line {i} of user{i}@example.com\n" for i in range(50_000)))
    d = daemons.Daemon(tmp_path_factory.mktemp("masking"), config(web), MASKED)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    d.close()


def test_json_is_masked(masking, place):
    """Also where the client asks for a coding, or for a part."""
    for more in ([], ["--compressed"], ["-r", "0-60"]):
        out = curl(masking, *more, f"{place}/v1/customers.json")
        assert json.loads(out) == {"customers": [{"name": "ann", "mail": "[masked]"}]}


def test_json_is_masked_by_path(masking, web, place):
    """What a path names is gone, whatever it was, and the rest is there; 3 MB pass in many reads."""
    people = [{"ssn": n, "name": f"n{n}", "mail": f"a{n}@acme.com"} for n in range(50_000)]
    (web.root / "people.json").write_text(json.dumps({"people": people, "ssn": "kept"}))
    out = json.loads(curl(masking, "--compressed", f"{place}/v1/people.json"))
    assert out == {"people": [{"ssn": "[masked]", "name": f"n{n}", "mail": "[masked]"} for n in range(50_000)], "ssn": "kept"}
    (web.root / "broken.json").write_text('{"people": [{"ssn": 123456789}],}')
    assert refusal(masking, f"{place}/v1/broken.json")[0] == 403


def test_text_is_masked(masking, place):
    out = curl(masking, f"{place}/v1/large.txt")
    assert out == "".join(f"line {i} of [masked]\n" for i in range(50_000))


def test_masked_content_has_no_validators(masking, place):
    head = curl(masking, "-D", "-", "-o", "/dev/null", f"{place}/v1/customers.json").lower()
    assert "etag" not in head and "content-length" not in head and "accept-ranges" not in head


def test_a_request_is_explained(daemon):
    def explain(text):
        return daemon.json("policy", "explain", "--agent", "demo", "--resource", "api", text)
    assert explain("GET /v1/a/../b?x=1")["objects"] == ["/v1/b"]
    x = explain("DELETE https://127.0.0.1/v1/a")
    assert (x["verdict"], x["rules"], x["operations"]) == ("deny", ["no deletes"], ["DELETE"])
    assert explain("GET /v1/x%2F..%2F..%2Fsecret")["verdict"] == "deny"
    assert explain("select 1")["verdict"] == "deny"


def test_masks_by_path_are_explained(masking):
    words = ["policy", "explain", "--agent", "demo", "--resource", "api", "GET /v1/a"]
    assert {"json": "$.people[*].ssn", "with": "redact"} in masking.json(*words)["masks"]
    assert "$.people[*].ssn: redact" in masking.wayleave(*words).stdout


RAW = """
import re, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"GET /v1/hello HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 1\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\n")
print(re.sub("Date: .*", "", b"".join(iter(lambda: s.recv(4096), b"")).decode()))
"""


def test_mode_observe_refuses_nothing(make_daemon, web):
    d = make_daemon({**config(web), "mode": "observe"}, RULES)
    url = f"http://127.0.0.1:{web.port}/v1/echo"
    assert d.run("curl", "-sS", "-X", "PATCH", url).stdout == "PATCH /v1/echo"
    assert d.run("curl", "-sS", "-X", "PUT", "-H", "Host: other.test", url).stdout == "PUT /v1/echo"
    # The recording says what would have been.
    d.run("curl", "-sS", "-X", "PUT", "-H", "X_Method_Override: DELETE", url)
    told = {(a["text"].split("\n")[0], a["verdict"], a["observed"], a.get("reason")) for a in recorded_actions(d)}
    assert {(f"PATCH {url}", "review", 1, None), (f"PUT {url}", "deny", 1, "protocol_violation")} <= told, told
    # A request that nobody can read goes on as it came, also the first of a connection.
    done = d.run(PYTHON, "-c", RAW, web.port)
    assert done.stdout.startswith("HTTP/1.1 "), done
    notes = [n for session in d.json("sessions", "list") for n in records_of(d, session, "note")]
    assert "relayed unread from here on" in [n.get("detail") for n in notes]
    assert done.stdout == subprocess.run([PYTHON, "-c", RAW, str(web.port)], capture_output=True, text=True).stdout
