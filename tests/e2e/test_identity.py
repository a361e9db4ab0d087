# SPDX-License-Identifier: Apache-2.0
"""Agents that act for somebody: who that is comes from tokens, and rules ask for it."""
import concurrent.futures
import hashlib
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading
import time

import pytest
from conftest import Psql, make_config
from harness import issuer as issuers
from harness import postgres
from harness.shell import Shell
from harness.waiting import wait_for

RULES = [
    {"name": "the bots may read", "groups": ["ai-agents"], "operations": ["read"], "objects": ["public.orders"], "allow": {}},
    {"name": "ann may read secrets", "principals": ["ann@acme.com"], "operations": ["read"], "objects": ["public.secrets"], "allow": {}},
]
COUNT = "select count(*) from orders where id <= 20"  # others add more
SECRETS = "select count(*) from secrets"


@pytest.fixture
def issuer(tmp_path):
    made = issuers.Issuer(tmp_path / "issuer")
    yield made
    made.stop()


class Place:
    """A daemon whose agent "demo" has an identity; "other" has none."""

    def __init__(self, make_daemon, server, issuer, folder, token=None, issuer_options=None, **identity):
        self.issuer, self.server = issuer, server
        self.tokens = folder / "tokens"
        self.tokens.mkdir()
        self.file = self.tokens / "token"
        if token:
            self.file.write_text(token)
        config = make_config(server.port, workers=1)
        config["issuers"] = {"idp": {"url": issuer.url, "audience": issuers.AUDIENCE, "ca_file": str(issuer.ca), **(issuer_options or {})}}
        config["agents"][0]["identity"] = {"issuer": "idp", **({"token_file": str(self.file)} if "client_id" not in identity else {}), **identity}
        self.daemon = make_daemon(config, RULES)
        self.psql = Psql(self.daemon, server)

    def swap(self, token):
        new = self.tokens / "new"
        new.write_text(token)
        new.rename(self.file)

    def ends(self, issuer):
        """What it has is rotated to a token that ends: a while from now, so that the daemon has read it by then."""
        self.swap(issuer.token(groups=["ai-agents"], exp=int(time.time()) - 54))
        self.becomes("ended")

    def agent(self, name="demo"):
        return next(a for a in self.daemon.json("agents", "list") if a["name"] == name)

    def becomes(self, identity, **members):
        def look():
            agent = self.agent()
            return agent["identity"] == identity and all(agent[n] == v for n, v in members.items()) and agent
        return wait_for(look, 40, f"identity {identity} {members}")

    def shell(self):
        return Shell(self.daemon, f"host=127.0.0.1 port={self.server.port} dbname=shop user=app")


@pytest.fixture
def make_place(make_daemon, server, issuer, tmp_path):
    def make(token=None, **options):
        return Place(make_daemon, server, issuer, tmp_path, token, **options)
    return make


def test_rules_ask_for_groups_and_principals(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents", "others"]))
    assert place.psql.rows(COUNT) == ["20"]
    assert "no rule allows select on public.secrets" in place.psql.error("select * from secrets")
    agent = place.agent()
    assert agent["principal"] == "bot@acme.com" and agent["groups"] == ["ai-agents", "others"] and agent["state"] == "active"
    assert agent["expires"] and not agent["problem"]
    assert place.agent("other")["identity"] == "none"
    other = Psql(place.daemon, place.server, agent="other")
    assert "denied" in other.error(COUNT)
    session = next(s for s in place.daemon.json("sessions", "list") if s["agent"] == "demo")
    assert session["principal"] == "bot@acme.com" and session["groups"] == ["ai-agents", "others"]
    assert "bot@acme.com" in place.daemon.wayleave("audit", "export").stdout
    [state] = place.daemon.status()["issuers"]
    assert state["state"] == "ok" and state["keys"] == 1


def test_a_new_token_holds_at_once_in_sessions_that_are_open(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents"]))
    shell = place.shell()
    assert shell.ask(COUNT) == "20"
    place.swap(issuer.token(groups=["fired"]))
    place.becomes("known", groups=["fired"])
    assert "no rule allows select" in shell.ask(COUNT)
    place.swap(issuer.token("ann@acme.com"))
    place.becomes("known", principal="ann@acme.com")
    assert shell.ask("select value from secrets") == "top secret"
    # The same token in another file.
    elsewhere = place.tokens / "elsewhere"
    elsewhere.write_text(place.file.read_text())
    place.daemon.config["agents"][0]["identity"]["token_file"] = str(elsewhere)
    place.daemon.write_config()
    place.daemon.reload()
    assert shell.ask("select value from secrets") == "top secret"
    shell.close()
    [session] = [s for s in place.daemon.json("sessions", "list") if s["agent"] == "demo"]
    assert session["principal"] == "ann@acme.com"


def test_flows_are_judged_anew_only_for_somebody_else(make_place, issuer):
    """The kernel lets a flow pass that was judged under the generation of the policy in force."""
    place = make_place(issuer.token(groups=["ai-agents"]))
    place.daemon.config["egress"] = "allow"
    place.daemon.write_config()
    place.daemon.reload()
    place.becomes("known")
    before, expires = place.daemon.status()["generation"], place.agent()["expires"]
    place.swap(issuer.token(groups=["ai-agents"], exp=int(time.time()) + 5000))
    wait_for(lambda: place.agent()["expires"] != expires, what="the next token")
    assert place.daemon.status()["generation"] == before
    place.swap(issuer.token(groups=["fired"]))
    place.becomes("known", groups=["fired"])
    wait_for(lambda: place.daemon.status()["generation"] > before, what="another generation")


def test_the_servers_logs_follow_the_token(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents"]))
    place.daemon.config["resources"][0]["application_name"] = "identity"
    place.daemon.write_config()
    place.daemon.write_rules(RULES + [{"name": "names", "operations": ["select"], "allow": {}}])
    place.daemon.reload()
    shell = place.shell()
    assert shell.ask("show application_name") == "wayleave:demo:bot@acme.com psql"
    place.swap(issuer.token("ann@acme.com"))
    place.becomes("known", principal="ann@acme.com")
    shell.ask("select 1")
    assert shell.ask("show application_name") == "wayleave:demo:ann@acme.com psql"
    shell.close()


def test_a_folder_that_is_swapped_behind_a_link(make_place, issuer):
    """As Kubernetes projects tokens: token → ..data/token, ..data → a folder with a time in its name."""
    place = make_place(issuer.token(groups=["fired"]))
    for name, groups in (("..1", ["ai-agents"]), ("..2", ["fired"])):
        (place.tokens / name).mkdir()
        (place.tokens / name / "token").write_text(issuer.token(groups=groups))
    os.symlink("..1", place.tokens / "..data")
    os.symlink("..data/token", place.tokens / "new")
    os.rename(place.tokens / "new", place.file)
    place.becomes("known", groups=["ai-agents"])
    assert place.psql.rows(COUNT) == ["20"]
    os.symlink("..2", place.tokens / "..tmp")
    os.rename(place.tokens / "..tmp", place.tokens / "..data")
    place.becomes("known", groups=["fired"])
    assert "no rule allows" in place.psql.error(COUNT)


def test_an_action_waits_for_a_fresh_token(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents"]))
    shell = place.shell()
    assert shell.ask(COUNT) == "20"
    place.ends(issuer)
    threading.Timer(2, lambda: place.swap(issuer.token(groups=["ai-agents"]))).start()
    before = time.monotonic()
    assert shell.ask(COUNT) == "20"
    assert 1 < time.monotonic() - before < 28
    assert shell.ask("select 1") == "1"
    shell.close()


def test_who_waits_for_an_identity_goes_on_when_none_is_asked_for(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents"]))
    place.ends(issuer)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(place.psql.rows, COUNT)
        wait_for(lambda: any(s["agent"] == "demo" for s in place.daemon.json("sessions", "list")), what="its session")
        place.daemon.config["mode"] = "observe"
        place.daemon.write_config()
        place.daemon.reload()
        # By itself it would go on half a minute after it began.
        assert answer.result(timeout=20) == ["20"]


def test_without_one_it_is_refused_and_the_session_lives(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents"]))
    shell = place.shell()
    assert shell.ask(COUNT) == "20"
    place.ends(issuer)
    before = time.monotonic()
    answer = shell.ask(COUNT, timeout=60)
    assert "wayleave: denied: the token of this agent has expired" in answer
    assert 25 < time.monotonic() - before < 45
    place.swap(issuer.token(groups=["ai-agents"]))
    place.becomes("known")
    assert shell.ask(COUNT) == "20"
    shell.close()


def test_requests_wait_for_a_fresh_token_too(make_place, issuer, tmp_path):
    """HTTP: on a connection that is kept, and on a new one."""
    class Hello(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            issuers.send(self, {"hello": self.path})

        def log_message(self, *_):
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    place = make_place(issuer.token(groups=["ai-agents"]))
    place.daemon.config["resources"].append({"name": "web", "protocol": "http", "hosts": [f"127.0.0.1:{web.server_port}"]})
    place.daemon.write_config()
    place.daemon.write_rules([{"name": "get", "groups": ["ai-agents"], "resources": ["web"], "operations": ["read"], "allow": {}}])
    place.daemon.reload()
    code = f"""
import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", {web.server_port})
for line in sys.stdin:
    c.request("GET", "/" + line.strip())
    r = c.getresponse()
    print(r.status, repr(r.read()), flush=True)
"""
    client = place.daemon.popen("/usr/bin/python3", "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(path):
        client.stdin.write(path + "\n")
        client.stdin.flush()
        return client.stdout.readline()

    assert ask("one").startswith("200")
    place.ends(issuer)
    threading.Timer(2, lambda: place.swap(issuer.token(groups=["ai-agents"]))).start()
    before = time.monotonic()
    assert ask("two").startswith("200")
    assert time.monotonic() - before > 1
    place.swap(issuer.token(aud="other"))
    place.becomes("refused")
    assert ask("three").startswith("403")
    place.swap(issuer.token(groups=["ai-agents"]))
    place.becomes("known")
    assert ask("four").startswith("200")
    client.stdin.close()
    client.wait(10)
    client.stdout.close()
    web.shutdown()
    web.server_close()


REFUSED = {
    "another audience": (lambda i: i.token(aud="other"), "another audience"),
    "another issuer": (lambda i: i.token(iss="https://evil.example"), "another issuer"),
    "no token": (lambda i: "hello", "no signed JSON Web Token"),
    "of a key that is not published": (lambda i: i.token(key=issuers.Key("unknown")), "does not publish"),
    "another's signature": (lambda i: i.token(key=issuers.Key("first")), "signature is wrong"),
    "not yet valid": (lambda i: i.token(nbf=int(time.time()) + 1000), "not valid yet"),
    "too many bytes": (lambda i: "x" * 20000, "too long"),
}


def test_tokens_that_are_refused(make_place, issuer):
    place = make_place(issuer.token())
    place.becomes("known")
    for make, why in REFUSED.values():
        place.swap(make(issuer))
        agent = place.becomes("refused")
        assert why in agent["problem"], agent
        error = place.psql.error(COUNT)
        assert "wayleave: denied: " in error and why in error
        assert not agent["principal"]
        place.swap(issuer.token())
        place.becomes("known")
    place.file.unlink()
    place.becomes("refused")
    error = place.psql.error(COUNT)
    assert "can't be read" in error and "No such file" in error
    os.mkfifo(place.file)
    wait_for(lambda: "it is no file" in place.agent()["problem"], what="the pipe")


def test_a_token_of_another_client_is_refused(make_place, issuer):
    place = make_place(issuer.token(azp="other-agent"), client="demo-agent")
    assert "another client" in place.becomes("refused")["problem"]
    place.swap(issuer.token(azp="demo-agent", groups=["ai-agents"]))
    place.becomes("known")
    assert place.psql.rows(COUNT) == ["20"]
    # A link to another agent's file.
    others = place.tokens / "others"
    others.write_text(issuer.token(azp="other-agent", groups=["ai-agents"]))
    (place.tokens / "link").symlink_to(others)
    (place.tokens / "link").rename(place.file)
    assert "another client" in place.becomes("refused")["problem"]


def test_a_file_that_is_written_in_place(make_place, issuer):
    """What is written of it so far is no token; when all of it is there, it is one."""
    place = make_place()
    place.becomes("refused")
    token = issuer.token(groups=["ai-agents"])
    with place.file.open("w") as file:
        file.write(token[:len(token) // 2])
        file.flush()
        wait_for(lambda: "no signed JSON Web Token" in place.agent()["problem"] or "signature" in place.agent()["problem"], 40, "a half of it")
        assert "denied" in place.psql.error(COUNT)
        file.write(token[len(token) // 2:])
    place.becomes("known")
    assert place.psql.rows(COUNT) == ["20"]
    place.file.chmod(0o644)
    place.daemon.wait_for("is open to every user (mode 0644)")
    assert token not in place.daemon.text()
    for file in place.daemon.state.rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes(), file


def test_keys_that_are_rotated_are_fetched(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents"]))
    assert place.psql.rows(COUNT) == ["20"]
    issuer.key = issuers.Key("second", "ES256")
    issuer.keys = [issuer.key.public()]
    place.swap(issuer.token("rotated", groups=["ai-agents"]))
    wait_for(lambda: place.agent()["principal"] == "rotated", 40, "the new key")
    assert place.psql.rows(COUNT) == ["20"]
    # Tokens with names of keys that nobody has don't make us ask for each.
    before = issuer.requests.count("/keys")
    for i in range(5):
        place.swap(issuer.token(key=issuers.Key(f"none{i}", "ES256")))
        time.sleep(0.3)
    assert issuer.requests.count("/keys") - before <= 1


def test_keys_survive_a_restart_without_the_issuer(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents"]))
    place.becomes("known")
    place.daemon.stop()
    issuer.stop()
    place.daemon.start()
    assert place.psql.rows(COUNT) == ["20"]
    wait_for(lambda: place.daemon.status()["issuers"][0]["state"] == "failing", what="the failure")
    [state] = place.daemon.status()["issuers"]
    assert state["why"] and state["since"]
    kept = place.daemon.state / "issuers" / "idp.keys"
    assert kept.stat().st_mode & 0o077 == 0
    # Too old they are no keys, and everything that needs them is refused.
    place.daemon.stop()
    kept.write_bytes((int(time.time()) - 25 * 3600).to_bytes(8, "little") + kept.read_bytes()[8:])
    place.daemon.start()
    agent = place.becomes("refused")
    assert "issuer idp can't be reached since" in agent["problem"]
    error = place.psql.error(COUNT)
    assert "issuer idp can't be reached since" in error
    issuer.again()
    place.becomes("known")
    assert place.psql.rows(COUNT) == ["20"]


def huge(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(2 << 30))
    handler.end_headers()
    try:
        for _ in range(2 << 30 >> 16):
            handler.wfile.write(b" " * (1 << 16))
    except OSError:
        pass


def redirect(handler):
    issuers.send(handler, {}, 302, [("Location", "/realm/other")])


DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"
MISCHIEF = {
    "2 GB of discovery": (DISCOVERY, huge, "discovery document"),
    "2 GB of keys": (KEYS, huge, "its keys"),
    "redirected discovery": (DISCOVERY, redirect, "redirections are not followed"),
    "redirected keys": (KEYS, redirect, "redirections are not followed"),
    "garbage": (KEYS, lambda h: issuers.send(h, b"\xff\x00<html>"), "UTF-8"),
    "a thousand keys": (KEYS, lambda h: issuers.send(h, {"keys": [{"kty": "RSA"}] * 1000}), "at most 100"),
    "symmetric keys": (KEYS, lambda h: issuers.send(h, {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}), "no key in it can be used"),
    "another's discovery": (DISCOVERY, lambda h: issuers.send(h, {"issuer": "https://evil.example", "jwks_uri": "https://evil.example/k"}),
                            "another issuer"),
    "keys in clear": (DISCOVERY, lambda h: issuers.send(h, {"issuer": f"https://{h.headers['Host']}/realm", "jwks_uri": "http://localhost/k"}),
                      "https://"),
    "an error": (KEYS, lambda h: issuers.send(h, {}, 500), "HTTP status 500"),
}


def test_an_issuer_that_misbehaves(make_place, issuer):
    """What it answers is no key; the agent is refused everything, and nothing else is in the way."""
    place = make_place(issuer.token(groups=["ai-agents"]))
    place.becomes("known")
    kept = place.daemon.state / "issuers" / "idp.keys"
    for path, act, why in MISCHIEF.values():
        place.daemon.stop()
        kept.unlink(missing_ok=True)
        issuer.behave = {path: act}
        place.daemon.start()
        agent = place.becomes("refused")
        assert why in agent["problem"], agent
        assert why in place.psql.error(COUNT)
        assert not kept.exists() and "/other" not in issuer.requests
    issuer.behave = {}
    wait_for(lambda: place.agent()["identity"] == "known", 30, "an issuer that is mended")
    assert place.psql.rows(COUNT) == ["20"]


def test_an_issuer_that_hangs_and_one_with_another_certificate(make_place, issuer, make_daemon, server, tmp_path):
    release = threading.Event()
    issuer.behave = {KEYS: lambda h: release.wait(60)}
    place = make_place(issuer.token(groups=["ai-agents"]))
    assert place.agent()["identity"] == "awaited"
    before = time.monotonic()
    error = place.psql.error(COUNT, timeout=60)
    assert "issuer idp can't be reached since" in error and time.monotonic() - before < 30
    release.set()
    issuer.behave = {}
    # A certificate by an authority that is not the issuer's.
    place.daemon.stop()
    (place.daemon.state / "issuers" / "idp.keys").unlink(missing_ok=True)
    del place.daemon.config["issuers"]["idp"]["ca_file"]
    place.daemon.write_config()
    place.daemon.start()
    assert "certificate" in place.becomes("refused")["problem"]


def test_suspended_at_once_and_across_restarts(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents"]))
    shell = place.shell()
    assert shell.ask(COUNT) == "20"
    done = place.daemon.wayleave("agents", "suspend", "demo")
    assert done.returncode == 0, done.stderr
    assert "wayleave: denied: this agent is suspended" in shell.ask(COUNT)
    assert "this agent is suspended" in place.psql.error(COUNT)
    assert place.agent()["state"] == "suspended"
    place.daemon.stop()
    place.daemon.start()
    assert "this agent is suspended" in place.psql.error(COUNT)
    assert place.daemon.wayleave("agents", "resume", "demo").returncode == 0
    assert place.psql.rows(COUNT) == ["20"]
    shell.close()
    log = place.daemon.wayleave("audit", "export").stdout
    assert "suspended by user 0" in log and "resumed by user 0" in log
    for words in (("suspend", "nobody"), ("resume", "nobody")):
        done = place.daemon.wayleave("agents", *words)
        assert done.returncode == 1 and 'no agent "nobody"' in done.stderr
    assert place.daemon.wayleave("agents", "suspend").returncode == 2
    text = place.daemon.wayleave("agents").stdout
    assert "demo" in text and "bot@acme.com" in text


def test_agents_without_identity_are_suspended_too(make_place, issuer):
    place = make_place(issuer.token())
    place.daemon.write_rules([{"name": "all", "operations": ["*"], "allow": {}}])
    place.daemon.reload()
    other = Psql(place.daemon, place.server, agent="other")
    assert other.rows(COUNT) == ["20"]
    # What is relayed unread has no further action to refuse, so the connection ends.
    listener = socket.create_server(("127.0.0.1", 0))
    place.daemon.config["resources"].append({"name": "raw", "protocol": "tcp", "hosts": [f"127.0.0.1:{listener.getsockname()[1]}"]})
    place.daemon.write_config()
    place.daemon.reload()
    code = f"import socket; s = socket.create_connection({listener.getsockname()!r}); s.send(b'x'); s.recv(1)"
    client = place.daemon.popen("/usr/bin/python3", "-c", code, agent="other", stderr=subprocess.DEVNULL)
    listener.settimeout(20)
    server_end = listener.accept()[0]
    assert server_end.recv(1) == b"x"
    place.daemon.wayleave("agents", "suspend", "other")
    client.wait(20)
    server_end.close()
    listener.close()
    assert "this agent is suspended" in other.error(COUNT)
    assert place.psql.rows(COUNT) == ["20"]


def test_tokens_that_the_daemon_asks_for(make_place, issuer, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a secret: with % & characters\n")
    secret.chmod(0o600)
    issuer.clients["demo client"] = "a secret: with % & characters"
    issuer.lifetime = 6
    place = make_place(client_id="demo client", client_secret_file=str(secret))
    place.daemon.write_rules([{"name": "robots", "groups": ["robots"], "operations": ["read"], "allow": {}}])
    place.daemon.reload()
    assert place.psql.rows(COUNT) == ["20"]
    assert place.agent()["principal"] == "demo client"
    wait_for(lambda: issuer.requests.count("/token") >= 2, what="the next token before the end of this one")
    assert place.psql.rows(COUNT) == ["20"]
    assert "a secret" not in place.daemon.text()
    for file in place.daemon.state.rglob("*"):
        assert not file.is_file() or b"a secret: with" not in file.read_bytes(), file
    issuer.clients.clear()
    place.daemon.stop()
    place.daemon.start()
    assert "gives this agent no token: HTTP status 401, invalid_client" in place.becomes("refused")["problem"]


def test_rules_ask_for_programs(make_place, issuer, tmp_path):
    place = make_place(issuer.token())
    real = postgres.BINARIES / "psql"
    copy = tmp_path / "psql"
    shutil.copy(real, copy)
    place.daemon.write_rules([{"name": "psql", "exe": [str(real)], "operations": ["read"], "allow": {}}])
    place.daemon.reload()
    where = f"host=127.0.0.1 port={place.server.port} dbname=shop user=app"
    done = place.daemon.run(real, "-X", "-A", "-t", "-c", COUNT, where)
    assert done.stdout.strip() == "20", done.stderr
    # By the same name elsewhere, and as what another program's arguments say.
    done = place.daemon.run(copy, "-X", "-A", "-t", "-c", COUNT, where)
    assert "denied" in done.stderr and not done.stdout.strip()
    code = f"import psycopg2; psycopg2.connect({where!r})"
    done = place.daemon.run("bash", "-c", f"exec -a {real} /usr/bin/python3 -c \"{code}\"")
    assert "denied" in done.stderr
    # A process with mounts of its own shows any path for its program: that one is not known here.
    over = f"mount --bind /usr/bin/python3 {real} && exec {real} -c \"{code}\""
    done = place.daemon.run("unshare", "-Urm", "bash", "-c", over)
    assert done.returncode != 0 and ("denied" in done.stderr or "unshare" in done.stderr), done.stderr
    explained = place.daemon.json("policy", "explain", "--agent", "demo", "--resource", "shop", "--exe", str(real), COUNT)
    assert explained["verdict"] == "allow"
    explained = place.daemon.json("policy", "explain", "--agent", "demo", "--resource", "shop", COUNT)
    assert explained["verdict"] == "deny" and "exe" in explained["unknown"]


def test_rules_ask_for_programs_by_their_hash(make_place, issuer, tmp_path):
    place = make_place(issuer.token())
    real, python = postgres.BINARIES / "psql", pathlib.Path("/usr/bin/python3").resolve()
    hashes = [f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}" for file in (real, python)]
    place.daemon.write_rules([{"name": "this psql", "exe": hashes[:1], "operations": ["read"], "objects": ["public.orders"], "allow": {}},
                              {"name": "this python", "exe": hashes[1:], "operations": ["read"], "objects": ["public.secrets"], "allow": {}}])
    place.daemon.reload()
    where = f"host=127.0.0.1 port={place.server.port} dbname=shop user=app"
    ask = ["-X", "-A", "-t", "-c", COUNT, where]

    def allowed(*command):
        done = place.daemon.run(*command)
        assert done.stdout.strip() == "20" or "denied" in done.stderr, done
        return done.stdout.strip() == "20"

    # Wherever it stands and whatever it is called; but not with another byte.
    same, changed = tmp_path / "anything", tmp_path / "psql"
    shutil.copy(real, same)
    changed.write_bytes(real.read_bytes() + b" ")
    changed.chmod(0o755)
    assert allowed(real, *ask) and allowed(same, *ask) and not allowed(changed, *ask)
    # A file without a name, and one that is in memory alone.
    gone = f"cp {real} {tmp_path}/gone && exec 9<{tmp_path}/gone && rm {tmp_path}/gone && exec /proc/self/fd/9 \"$@\""
    assert allowed("bash", "-c", gone, "bash", *ask)
    memory = (f"import os; fd = os.memfd_create('x'); os.write(fd, open({str(real)!r}, 'rb').read()); "
              f"os.execve('/proc/self/fd/%d' % fd, {[str(real), *ask]!r}, os.environ)")
    assert allowed("/usr/bin/python3", "-c", memory)
    # What runs counts, not what the name leads to by now.
    code = ("import os, shutil, sys, psycopg2; shutil.copy(sys.argv[2], sys.argv[1] + '.new'); os.rename(sys.argv[1] + '.new', sys.argv[1]); "
            f"c = psycopg2.connect({where!r}).cursor(); c.execute({SECRETS!r}); print(c.fetchone()[0])")
    other = tmp_path / "other"
    other.write_bytes(python.read_bytes() + b" ")
    for content, swapped, good in ((python, other, True), (other, python, False)):
        started = tmp_path / "started"
        shutil.copy(content, started)
        started.chmod(0o755)
        done = place.daemon.run("env", "PYTHONHOME=/usr", started, "-c", code, started, swapped)
        assert started.read_bytes() == swapped.read_bytes()
        assert done.stdout.strip().isdigit() == good and (good or "denied" in done.stderr), done
    # A script is its interpreter.
    script = tmp_path / "script"
    script.write_text("#!/usr/bin/python3\nimport psycopg2\n"
                      f"c = psycopg2.connect({where!r}).cursor()\nc.execute({SECRETS!r})\nprint(c.fetchone()[0])\n")
    script.chmod(0o755)
    done = place.daemon.run(script)
    assert done.returncode == 0 and done.stdout.strip().isdigit(), done
    explained = place.daemon.json("policy", "explain", "--agent", "demo", "--resource", "shop", "--exe", hashes[0], COUNT)
    assert explained["verdict"] == "allow"
    explained = place.daemon.json("policy", "explain", "--agent", "demo", "--resource", "shop", "--exe", str(real), COUNT)
    assert explained["verdict"] == "deny" and "exe" in explained["unknown"]


def test_in_observe_nothing_is_refused_for_want_of_a_token(make_place, issuer):
    place = make_place()
    place.daemon.config["mode"] = "observe"
    place.daemon.write_config()
    place.daemon.reload()
    assert place.psql.rows(COUNT) == ["20"]


def test_reviews_show_who_asks(make_place, issuer):
    place = make_place(issuer.token(groups=["ai-agents"]))
    place.daemon.config["reviewers"] = {"dba": {"local_users": ["root"]}}
    place.daemon.write_config()
    place.daemon.write_rules(RULES + [{"name": "ask", "groups": ["ai-agents"], "operations": ["write"], "review": {"by": "dba"}}])
    place.daemon.reload()
    shell = place.shell()
    shell.send("delete from orders where id = 20;")
    [review] = wait_for(lambda: place.daemon.json("reviews", "list"), what="a review")
    assert review["principal"] == "bot@acme.com" and review["principal_groups"] == ["ai-agents"]
    assert "ai-agents" in place.daemon.wayleave("reviews", "show", review["id"]).stdout
    place.daemon.wayleave("reviews", "deny", review["id"], "--reason", "no")
    shell.read_until("denied by", 10)
    shell.close()
    assert json.dumps(review)
