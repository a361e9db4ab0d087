# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 through an agent, with real clients and a real server."""
import json
import os
import pathlib
import subprocess
import time

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import nginx
from harness.ports import free_port
from harness.waiting import wait_for

RULES = [
    {"name": "read", "resources": ["api", "secure"], "operations": ["read"], "objects": ["/v1/**"], "allow": {}},
    {"name": "upload", "resources": ["api", "secure"], "operations": ["POST"], "objects": ["/v1/**"], "allow": {}},
    {"name": "puts need a person", "operations": ["PUT"], "review": {"by": "dba"}},
    {"name": "no deletes", "operations": ["DELETE"], "deny": {"message": "never"}},
    {"name": "secret", "objects": ["/v1/secret/**"], "deny": {}},
]
PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    s = nginx.Nginx(tmp_path_factory.mktemp("nginx") / "server")
    yield s
    s.stop()


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
        daemon.wayleave("reviews", "deny", review["id"], "--reason", "not today")
        body = json.loads(p.stdout.read())
    assert (body["error"], body["review"]) == ("review_denied", review["id"])
    assert "not today" in body["message"]


def test_it_is_recorded(daemon, web):
    curl(daemon, "-H", "Authorization: Bearer topsecret", f"http://127.0.0.1:{web.port}/v1/hello?recorded")
    session = daemon.json("sessions", "list")[0]
    assert (session["resource"], session["protocol"]) == ("api", "http")
    shown = daemon.wayleave("sessions", "show", session["id"]).stdout
    assert "/v1/hello?recorded" in shown and "200 OK" in shown and "topsecret" not in shown


def test_a_server_that_is_not_there(make_daemon, web):
    dead = free_port()
    c = config(web)
    c["resources"][0]["hosts"] = [f"127.0.0.1:{dead}"]
    d = make_daemon(c, RULES)
    done = d.run("curl", "-sS", f"http://127.0.0.1:{dead}/v1/x")
    assert json.loads(done.stdout)["error"] == "upstream_unreachable"
    assert "refused" in done.stdout


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
