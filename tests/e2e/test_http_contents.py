# SPDX-License-Identifier: Apache-2.0
"""Contents of HTTP as servers and clients send them: in codings, as forms and tables, binary; and what was masked, in requests."""
import gzip
import json
import os
import subprocess
import zlib

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import nginx
from harness.waiting import wait_for

PEOPLE = {"people": [{"ssn": f"{n:09}", "name": f"n{n}", "mail": f"n{n}@acme.com"} for n in range(3000)]}
MASKED = {"people": [{"ssn": "[masked]", "name": f"n{n}", "mail": "[masked]"} for n in range(3000)]}
IMAGE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 50 + b" ann@acme.com " + bytes(1000)
# A model's words, as its API streams them.
WORDS = ["My", " mail", " is", " a", "nn@", "ac", "me", ".com", ",", " the", " card", " 4111", " 1111", " 1111", " 1111", ".", " api", "_key", "=", "abc",
         "def", "123", " and", " that", " is", " all", "."]
FORM = "multipart/form-data; boundary=x"
# Servers that answer in a coding whatever they are asked for, and one that does as it is asked.
SERVER = """
    location /v1/always/ { gzip_static always; default_type application/json; }
    location /v1/deflate/ { default_type application/json; add_header Content-Encoding deflate; }
    location /v1/br/ { default_type application/json; add_header Content-Encoding br; }
    location /v1/zstd/ { default_type application/json; add_header Content-Encoding zstd; }
    location /v1/both/ { default_type application/json; add_header Content-Encoding "br, gzip"; }
    location /v1/cut/ { default_type application/json; add_header Content-Encoding gzip; }
    location /v1/asked/ { gzip on; gzip_min_length 1; gzip_types application/json; default_type application/json; }
    location /v1/form/ { default_type application/x-www-form-urlencoded; }
    location /v1/events/ { default_type text/event-stream; }
    location /v1/csv/ { default_type text/csv; }
    location /v1/parts/ { default_type "multipart/form-data; boundary=x"; }
    location /v1/files/ { default_type application/octet-stream; }
    location /v1/strict/ { default_type application/octet-stream; }
    location /v1/graphql { rewrite ^ /v1/take last; }
    location /v1/kept { rewrite ^ /v1/take last; }
"""
MASKS = [{"detect": ["email", "credit_card", "secret"], "with": "redact"}, {"json": ["$.people[*].ssn"], "with": "redact"}]
RULES = [
    {"name": "read", "operations": ["read"], "objects": [f"/v1/{name}/**" for name in (
        "always", "deflate", "br", "zstd", "both", "cut", "asked", "form", "csv", "parts", "events")], "allow": {"mask": MASKS}},
    {"name": "files", "operations": ["read"], "objects": ["/v1/files/**"],
     "allow": {"mask": [{"detect": ["email"], "with": "redact", "binary": "pass"}]}},
    {"name": "strict", "operations": ["read"], "objects": ["/v1/strict/**"],
     "allow": {"mask": [{"detect": ["email"], "with": "redact", "binary": "refuse"}]}},
    {"name": "lists", "operations": ["POST"], "objects": ["/v1/take"], "body": {"$.method": ["list"]}, "allow": {}},
    {"name": "drops", "operations": ["POST"], "objects": ["/v1/take"], "body": {"$.method": ["drop"]}, "review": {"by": "dba"}},
    {"name": "write", "operations": ["POST", "PUT", "PATCH"], "objects": ["/v1/kept"], "allow": {}},
    {"name": "talk", "operations": ["POST"], "objects": ["/v1/drop"], "allow": {"masked_values": "pass"}},
    {"name": "GraphQL", "operations": ["POST"], "objects": ["/v1/graphql"], "allow": {}},
    {"name": "no removals", "operations": ["POST"], "objects": ["/v1/graphql"], "body": {"$.operationName": ["Remove*"]}, "deny": {}},
]


def brotli(data):
    code = 'process.stdout.write(require("zlib").brotliCompressSync(require("fs").readFileSync(0)))'
    return subprocess.run(["node", "-e", code], input=data, capture_output=True, check=True).stdout


def zstd(data):
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


def event(text):
    return b"data: %s\n\n" % json.dumps({"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}).encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = nginx.Nginx(tmp_path_factory.mktemp("nginx") / "server", more=SERVER)
    people = json.dumps(PEOPLE).encode()
    for name, data in (("always/people.gz", gzip.compress(people)), ("deflate/people", zlib.compress(people)),
                       ("br/people", brotli(people)), ("zstd/people", zstd(people)),
                       ("both/people", gzip.compress(brotli(people))), ("cut/people", gzip.compress(people)[:-9]), ("asked/people", people),
                       ("form/a", b"name=ann&mail=ann%40acme.com&card=4111+1111+1111+1111&password=hunter2%2Bhunter2&n=1"),
                       ("csv/a", b"name,mail,card\r\nann,ann@acme.com,4111-1111-1111-1111\r\n" * 5000),
                       ("events/model", b"".join(event(word) for word in WORDS) + b"data: [DONE]\n\n"),
                       ("parts/a", b'--x\r\nContent-Disposition: form-data; name="mail"\r\n\r\nann@acme.com\r\n--x--\r\n'),
                       ("files/image", IMAGE), ("strict/image", IMAGE), ("files/text", b"to ann@acme.com\n")):
        (s.root / name).parent.mkdir(exist_ok=True)
        (s.root / name).write_bytes(data)
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    config = {**make_config(1), "workers": 1, "loopback": "egress", "reviewers": {"dba": {"local_users": ["root"]}},
              "resources": [{"name": "api", "protocol": "http", "hosts": [f"127.0.0.1:{server.port}"]},
                            {"name": "h2", "protocol": "http", "hosts": [f"127.0.0.1:{server.h2_port}"], "tls": {"ca_file": str(server.ca)}}]}
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config, RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


@pytest.fixture(scope="module", params=["HTTP/1.1", "HTTP/2"])
def place(request, server):
    return f"http://127.0.0.1:{server.port}" if request.param == "HTTP/1.1" else f"https://127.0.0.1:{server.h2_port}"


def words(daemon, *more):
    return ["curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", *more]


def ask(daemon, *more):
    """Status, head in lower case, and content."""
    out = daemon.folder / "content"
    done = daemon.run(*words(daemon, "-D", "-", "-o", out, "-w", "%{http_code}", *more))
    head, _, code = done.stdout.lower().rpartition("\n")
    return (int(code) if done.returncode == 0 else f"curl {done.returncode}"), head, out.read_bytes() if out.exists() else b""


def test_what_a_model_says_is_masked_in_the_events_that_it_is_spread_over(daemon, place):
    code, _, content = ask(daemon, f"{place}/v1/events/model")
    events = content.decode().split("\n\n")
    assert code == 200 and events[-2:] == ["data: [DONE]", ""]
    said = [json.loads(e.removeprefix("data: "))["choices"][0]["delta"]["content"] for e in events[:-2]]
    assert "".join(said) == "My mail is [masked], the card [masked]. api_key=[masked] and that is all."
    assert len(said) == len(WORDS)
    kept = [0, 1, 2, 8, 9, 10, 22, 26]
    assert [said[i] for i in kept] == [WORDS[i] for i in kept]


@pytest.mark.parametrize("name", ["always", "deflate", "br", "zstd", "both"])
def test_what_comes_in_a_coding_is_masked(daemon, place, name):
    for more in ((), ("--compressed",)):
        code, head, content = ask(daemon, *more, f"{place}/v1/{name}/people")
        assert (code, json.loads(content)) == (200, MASKED)
        assert not [line for line in head.splitlines() if line.startswith(("content-encoding", "etag", "content-length", "accept-ranges"))], head
        assert "last-modified" in head
    code, head, _ = ask(daemon, "-I", f"{place}/v1/{name}/people")
    assert code == 200 and "content-encoding" not in head and "content-length" not in head and "etag" not in head


def test_what_a_signature_covers_is_asked_for_and_read(daemon, place, server):
    signed = "Authorization: AWS4-HMAC-SHA256 Credential=a, SignedHeaders=accept-encoding;host;range, Signature=b"
    url = f"{place}/v1/asked/people"
    code, head, content = ask(daemon, "-H", "Accept-Encoding: gzip", "-H", signed, url)
    assert (code, json.loads(content)) == (200, MASKED) and "content-encoding" not in head
    code, _, content = ask(daemon, "-H", "Accept-Encoding: gzip", "-H", 'Signature-Input: s=("accept-encoding");created=1', url)
    assert (code, json.loads(content)) == (200, MASKED)
    code, _, content = ask(daemon, "-r", "0-99", "-H", signed, url)
    assert code == 403 and "a part" in json.loads(content)["message"]
    assert ask(daemon, "-r", "0-99", url)[0] == 200  # nobody asks for a part


def test_what_is_cut_short_is_refused(daemon, place):
    code, _, content = ask(daemon, f"{place}/v1/cut/people")
    assert code == 403 and "coding can't be read" in json.loads(content)["message"] and b"acme" not in content


def test_forms_and_tables(daemon, place):
    assert ask(daemon, f"{place}/v1/form/a")[2] == b"name=ann&mail=%5Bmasked%5D&card=%5Bmasked%5D&password=%5Bmasked%5D&n=1"
    assert ask(daemon, f"{place}/v1/csv/a")[2] == b"name,mail,card\r\nann,[masked],[masked]\r\n" * 5000
    assert b"\r\n\r\n[masked]\r\n--x--" in ask(daemon, f"{place}/v1/parts/a")[2]


def test_binary_content_as_the_rule_says(daemon, place):
    assert ask(daemon, f"{place}/v1/files/image")[::2] == (200, IMAGE)
    assert ask(daemon, f"{place}/v1/files/text")[2] == b"to [masked]\n"
    code, _, content = ask(daemon, f"{place}/v1/strict/image")
    assert code == 403 and "binary" in json.loads(content)["message"]

    def recorded():
        shown = [json.dumps(daemon.json("sessions", "show", s["id"])) for s in daemon.json("sessions", "list")[:6]]
        return "binary, and passes unmasked" in "".join(shown) and "binary, which the rule refuses" in "".join(shown)

    wait_for(recorded)


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
def test_rules_look_into_requests_in_codings(daemon, place, tmp_path, name):
    code = {"gzip": gzip.compress, "br": brotli, "zstd": zstd}[name]
    url = f"{place}/v1/take"

    def body(method):
        file = tmp_path / f"{name}-{method}"
        file.write_bytes(code(json.dumps({"method": method}).encode()))
        return ["-H", "Content-Type: application/json", "-H", f"Content-Encoding: {name}", "--data-binary", f"@{file}", url]

    assert ask(daemon, *body("list"))[::2] == (200, b"got it")
    assert ask(daemon, *body("other"))[0] == 403
    with daemon.popen(*words(daemon, "-w", "\\n%{http_code}", *body("drop")), stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        shown = json.dumps(daemon.json("reviews", "show", review["id"]))
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert p.stdout.read().endswith("\n200")
    assert "drop" in shown and name in shown, shown


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_what_was_masked_is_not_written_back(daemon, place, server, tmp_path, method):
    (tmp_path / "gz").write_bytes(gzip.compress(b'{"ssn": "[masked]"}'))
    url, before = f"{place}/v1/kept", server.accesses().count("/v1/kept")
    for more in (("--json", '{"ssn": "[masked]"}', url), ("-d", "a=1&ssn=%5Bmasked%5D", url), (f"{url}?ssn=%5Bmasked%5D",),
                 ("--json", '{"hash": "[hash:0123456789abcdef]"}', url),
                 ("-H", "Content-Type: application/json", "-H", "Content-Encoding: gzip", "--data-binary", f"@{tmp_path}/gz", url)):
        code, _, content = ask(daemon, "-X", method, *more)
        assert (code, json.loads(content)["error"]) == (403, "mask_written_back"), more
    assert ask(daemon, "-X", method, "--json", '{"ssn": "masked"}', url)[0] == 200
    large = tmp_path / "large"
    large.write_bytes(os.urandom(3_000_000) + b"[masked]")
    assert ask(daemon, "-X", method, "-H", "Expect:", "--data-binary", f"@{large}", url)[0] != 200
    wait_for(lambda: server.accesses().count("/v1/kept") > before)


def test_who_talks_about_what_was_masked_may(daemon, place):
    assert ask(daemon, "--json", '{"said": "[masked]"}', f"{place}/v1/drop")[::2] == (200, b"got it")


def test_an_operation_of_graphql_without_a_name(daemon, place):
    def post(body):
        return ask(daemon, "--json", json.dumps(body), f"{place}/v1/graphql")[0]

    assert post({"operationName": "ListUsers", "query": "query ListUsers { a }"}) == 200
    assert post({"operationName": "RemoveUser", "query": "mutation RemoveUser { a }"}) == 403
    assert post({"query": "mutation RemoveUser { a }"}) == 403
