# SPDX-License-Identifier: Apache-2.0
"""Rules that look into bodies: a JSON-RPC server as MCP has them, and what its agents may call."""
import http.server
import json
import subprocess
import threading

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness.waiting import wait_for


def called(name, body, **verdict):
    return {"name": name, "operations": ["POST"], "objects": ["/mcp", "/v1/echo"], "body": body, **verdict}


RULES = [
    called("lists", {"$.method": ["tools/list", "ping"]}, allow={}),
    called("reads", {"$.method": ["tools/call"], "$.params.name": ["get_*"]}, allow={}),
    called("deletes need a person", {"$.method": ["tools/call"], "$.params.name": ["delete_*"]}, review={"by": "dba"}),
    called("no dropping", {"$.method": ["tools/call"], "$.params.name": ["drop_*"]}, deny={"message": "never"}),
    {"name": "forms", "operations": ["POST"], "objects": ["/form"], "body": {"$.action": ["read"]}, "allow": {}},
    {"name": "names in GraphQL", "operations": ["POST"], "objects": ["/graphql"], "body": {"$.operationName": ["List*"]}, "allow": {}},
    {"name": "removals", "operations": ["POST"], "objects": ["/ask"], "body": {"$.do": ["remove"]}, "review": {"by": "dba", "grant": "1h"}},
]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append(body.decode())
        answer = b"null"
        if self.path == "/mcp":
            request = json.loads(body)
            each = [{"jsonrpc": "2.0", "id": r.get("id"), "result": r["method"]} for r in (request if isinstance(request, list) else [request])]
            answer = json.dumps(each if isinstance(request, list) else each[0]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    s.calls = []
    threading.Thread(target=s.serve_forever, daemon=True).start()
    yield s
    s.shutdown()
    s.server_close()


@pytest.fixture(scope="module")
def daemon(web, server, tmp_path_factory):
    config = {**make_config(1), "workers": 1, "loopback": "egress", "reviewers": {"dba": {"local_users": ["root"]}},
              "resources": [{"name": "mcp", "protocol": "http", "hosts": [f"127.0.0.1:{server.server_port}"]},
                            {"name": "h2", "protocol": "http", "hosts": [f"127.0.0.1:{web.h2_port}"], "tls": {"ca_file": str(web.ca)}}]}
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config, RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def call(method, name=None, number=1):
    request = {"jsonrpc": "2.0", "id": number, "method": method}
    return {**request, "params": {"name": name, "arguments": {}}} if name else request


def command(daemon, url, body, kind="application/json"):
    text = body if isinstance(body, str) else json.dumps(body)
    return ["curl", "-sS", "--cacert", daemon.folder / "host-ca.pem", "-w", "\\n%{http_code} %{http_version}", "-H", f"Content-Type: {kind}",
            "--data-binary", text, url]


def post(daemon, url, body, kind="application/json"):
    done = daemon.run(*command(daemon, url, body, kind))
    assert done.returncode == 0, done.stderr
    answer, _, line = done.stdout.rpartition("\n")
    return int(line.split()[0]), answer


@pytest.fixture
def mcp(server):
    server.calls.clear()
    return f"http://127.0.0.1:{server.server_port}/mcp"


def test_a_method_is_judged(daemon, server, mcp):
    code, answer = post(daemon, mcp, call("tools/list"))
    assert (code, json.loads(answer)["result"]) == (200, "tools/list")
    assert post(daemon, mcp, call("tools/call", "get_user"))[0] == 200
    assert len(server.calls) == 2
    code, answer = post(daemon, mcp, call("tools/call", "drop_user"))
    assert (code, json.loads(answer)["rule"]) == (403, "no dropping")
    code, answer = post(daemon, mcp, call("resources/read"))
    assert (code, json.loads(answer)["rule"]) == (403, None)
    assert len(server.calls) == 2


def test_each_message_of_a_batch_is_judged(daemon, server, mcp):
    code, answer = post(daemon, mcp, [call("ping", number=1), call("tools/call", "get_x", number=2)])
    assert code == 200 and [m["id"] for m in json.loads(answer)] == [1, 2]
    assert post(daemon, mcp, [call("ping"), call("tools/call", "drop_x")])[0] == 403
    assert post(daemon, mcp, [call("ping"), call("initialize")])[0] == 403
    assert len(server.calls) == 1


@pytest.mark.parametrize("body", [
    '{"method": "ping", "method": "tools/call", "params": {"name": "drop_x"}}', '{"Method": "ping"}', '{"method": "ping"} x',
    '{"method": "ping",}', '\ufeff{"method": "ping"}', '{"method": ["ping"]}', '{"method": "ping", "m\\u0065thod": "x"}', "[" * 200 + "]" * 200,
    json.dumps({"method": "ping", "pad": "x" * (1 << 20)})], ids=range(9))
def test_what_could_be_read_in_two_ways_is_not_allowed(daemon, server, mcp, tmp_path, body):
    (tmp_path / "body").write_text(body)
    code, answer = post(daemon, mcp, f"@{tmp_path}/body")
    assert code == 403 and server.calls == [], answer


def test_people_see_the_body_and_decide_about_it(daemon, server, mcp):
    body = call("tools/call", "delete_user")
    with daemon.popen(*command(daemon, mcp, body), stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert "delete_user" in json.dumps(daemon.json("reviews", "show", review["id"])) and server.calls == []
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert p.stdout.read().endswith("\n200 1.1")
    assert server.calls == [json.dumps(body)]


def test_a_grant_covers_no_body_that_may_say_something_else(daemon, server, mcp):
    place = mcp.replace("/mcp", "/ask")

    def ask(body, verdict, *options):
        with daemon.popen(*command(daemon, place, body), stdout=subprocess.PIPE, text=True) as p:
            review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
            assert server.calls == [], review
            done = daemon.wayleave("reviews", verdict, review["id"], *options)
            if done.returncode:
                p.kill()
            assert done.returncode == 0, done.stderr
            return daemon.json("reviews", "show", review["id"]), p.stdout.read()

    assert ask({"do": "remove"}, "approve", "--for", "1h")[1].endswith("\n200 1.1")
    assert post(daemon, place, {"do": "remove", "what": "more"})[0] == 200
    server.calls.clear()
    review, answer = ask('{"do": "remove", "DO": "reset"}', "deny", "--reason", "no")
    assert answer.endswith("\n403 1.1") and server.calls == []
    assert review["unknown"] == ["body"] and not review["grant_limit"]


def test_a_form_and_graphql(daemon, server):
    form = f"http://127.0.0.1:{server.server_port}/form"
    graphql = f"http://127.0.0.1:{server.server_port}/graphql"
    kind = "application/x-www-form-urlencoded"
    assert [post(daemon, form, text, kind)[0] for text in ("a=1&action=read", "action=%72ead", "action=write", "action=read&action=write")] == [200, 200, 403, 403]
    assert post(daemon, form, "action=read", "text/plain")[0] == 403
    assert post(daemon, graphql, {"operationName": "ListUsers", "query": "query ListUsers { users }"})[0] == 200
    assert post(daemon, graphql, {"query": "mutation { drop }"})[0] == 403


def test_the_same_over_http2(daemon, web):
    url = f"https://127.0.0.1:{web.h2_port}/v1/echo"
    before = web.accesses().count("/v1/echo")
    for body, status in ((call("ping"), "200 2"), (call("initialize"), "403 2"), ([call("ping"), call("tools/call", "drop_x")], "403 2")):
        assert daemon.run(*command(daemon, url, body)).stdout.endswith("\n" + status)
    wait_for(lambda: web.accesses().count("/v1/echo") == before + 1)
    with daemon.popen(*command(daemon, url, call("tools/call", "delete_x")), stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert p.stdout.read().endswith("\n200 2")


def test_recorded_bodies_are_judged_anew(daemon, mcp, tmp_path):
    def changes(rules):
        (tmp_path / "rules.yaml").write_text(json.dumps({"rules": rules}))
        done = daemon.wayleave("policy", "test", tmp_path / "rules.yaml", "--config", daemon.config_file, "--against", daemon.state)
        return done.returncode, done.stdout

    assert post(daemon, mcp, [call("ping"), call("tools/call", "get_recorded")])[0] == 200
    wait_for(lambda: "get_recorded" in json.dumps(daemon.json("sessions", "show", daemon.json("sessions", "list")[0]["id"])))
    assert changes(RULES)[0] == 0, changes(RULES)[1]
    code, text = changes([called("reads", rule["body"], deny={}) if rule["name"] == "reads" else rule for rule in RULES])
    assert code == 1 and "allow → deny" in text and "deny → " not in text


def test_explained(daemon):
    def explain(text):
        return json.loads(daemon.wayleave("policy", "explain", "--agent", daemon.config["agents"][0]["name"], "--resource", "mcp", "--json", text).stdout)

    head = "POST /mcp\n\n"
    assert explain(head + json.dumps(call("ping")))["verdict"] == "allow"
    assert explain(head + json.dumps([call("ping"), call("tools/call", "delete_x")]))["verdict"] == "review"
    assert explain("POST /mcp\ncontent-type: text/plain\n\n{}")["unknown"] == ["body"]
    assert (explain("POST /mcp")["unknown"], explain("POST /mcp")["verdict"]) == (["body"], "deny")
