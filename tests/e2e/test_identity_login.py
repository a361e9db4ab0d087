# SPDX-License-Identifier: Apache-2.0
"""People who log in by the device authorization grant, with node's oidc-provider; agents act on their behalf."""
import html.parser
import http.cookiejar
import json
import re
import ssl
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest
from conftest import make_config
from cryptography.hazmat.primitives.asymmetric import rsa
from harness import issuer as issuers
from harness.daemon import BUILD
from harness.shell import Shell
from harness.waiting import wait_for
from test_identity import COUNT, huge, redirect
from test_identity_provider import Provider, private_jwk

RULES = [{"name": "all may read", "operations": ["read"], "objects": ["public.orders"], "allow": {}},
         {"name": "ask", "operations": ["write"], "review": {"by": "dba", "grant": "30m"}}]


class Forms(html.parser.HTMLParser):
    """The first form of a page: where it goes, and what stands in it."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields = None, {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "form" and self.action is None:
            self.action = attributes.get("action")
        elif tag in ("input", "button") and attributes.get("name"):
            self.fields.setdefault(attributes["name"], attributes.get("value") or "")


class Browser:
    def __init__(self, ca):
        self.opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca)),
                                                  urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, url, data=None):
        try:
            with self.opener.open(url, data=data and urllib.parse.urlencode(data).encode(), timeout=20) as answer:
                return answer.url, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.url, error.read().decode()

    def log_in(self, url, name, refuse=False):
        """Fills in one form after the other, as a person would."""
        url, page = self.get(url)
        for _ in range(8):
            form = Forms(page)
            if form.action is None:
                return page
            fields = {n: v for n, v in form.fields.items() if n != "abort"}
            if refuse and "abort" in form.fields:
                return self.get(urllib.parse.urljoin(url, form.action), {**fields, "abort": "yes"})[1]
            if "login" in fields:
                fields.update(login=name, password="x")
            url, page = self.get(urllib.parse.urljoin(url, form.action), fields)
        raise RuntimeError(page)


class Login:
    """`wayleave login`, under way."""

    def __init__(self, daemon):
        self.process = subprocess.Popen([str(BUILD / "wayleave"), "--json", "login"], env=daemon.environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.said = ""
        for line in self.process.stderr:
            self.said += line
            if "same code" in line:
                break

    def place(self):
        return re.search(r"or open (\S+)", self.said)[1]

    def result(self):
        out, error = self.process.communicate(timeout=60)
        return self.process.returncode, json.loads(out) if out else None, self.said + error


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    made = Provider(tmp_path_factory.mktemp("login") / "provider", lifetime=6)
    made.start(private_jwk("first", rsa.generate_private_key(65537, 2048)))
    yield made
    made.stop()


@pytest.fixture
def daemon(provider, make_daemon, server):
    config = make_config(server.port, workers=1)
    config["issuers"] = {"idp": {"url": provider.url, "audience": issuers.AUDIENCE, "ca_file": str(provider.ca), "token_type": "at+jwt",
                                 "login": {"client_id": "login", "scope": "openid shop"}}}
    config["agents"][0]["identity"] = {"issuer": "idp", "client_id": "by-secret", "client_secret_file": str(provider.secret)}
    config["reviewers"] = {"dba": {"local_users": ["root"]}}
    config["people"] = [{"name": "ann", "local": "root", "principals": ["ann@acme.com"]}]
    return make_daemon(config, RULES)


def log_in(daemon, provider, name="ann@acme.com"):
    login = Login(daemon)
    Browser(provider.ca).log_in(login.place(), name)
    status, result, said = login.result()
    assert status == 0, said
    return result


def agent_of(daemon, name="demo"):
    return next(a for a in daemon.json("agents", "list") if a["name"] == name)


def shell_of(daemon, server, agent="demo"):
    return Shell(daemon, f"host=127.0.0.1 port={server.port} dbname=shop user=app", agent=agent)


def test_who_logs_in_is_who_it_is_on_behalf_of(daemon, provider, server):
    before = shell_of(daemon, server)
    assert before.ask(COUNT) == "20"
    result = log_in(daemon, provider)
    assert result["state"] == "known" and result["person"] == "ann@acme.com" and result["issuer"] == "idp"

    # The principal stays the agent's; what ran before, and runs of others, are on nobody's behalf.
    shell = shell_of(daemon, server)
    assert shell.ask(COUNT) == "20"
    agent = agent_of(daemon)
    [run] = agent["runs"]
    assert agent["principal"] == "by-secret" and not agent["on_behalf_of"]
    assert (run["principal"], run["on_behalf_of"], run["uid"], run["own_token"]) == ("by-secret", "ann@acme.com", 0, False)
    assert "on behalf of ann@acme.com" in daemon.wayleave("agents").stdout
    sessions = daemon.json("sessions", "list")
    assert {s.get("on_behalf_of") for s in sessions} == {None, "ann@acme.com"} and {s["principal"] for s in sessions} == {"by-secret"}
    assert "logged in as ann@acme.com of issuer idp" in daemon.wayleave("audit", "export").stdout

    # Ann is who asks: she can't approve, by whatever name she goes.
    shell.send("delete from orders where id = 20;")
    [review] = wait_for(lambda: daemon.json("reviews", "list"), what="a review")
    assert review["principal"] == "by-secret" and review["on_behalf_of"] == "ann@acme.com"
    assert "ann@acme.com" in daemon.wayleave("reviews", "show", review["id"]).stdout
    done = daemon.wayleave("reviews", "approve", review["id"])
    assert done.returncode == 1 and "nobody approves their own request" in done.stderr
    daemon.wayleave("reviews", "deny", review["id"], "--reason", "no")
    shell.read_until("denied by", 20)

    daemon.wayleave("logout")
    assert daemon.wayleave("logout").returncode == 1
    other = shell_of(daemon, server, agent="other")
    assert other.ask(COUNT) == "20"
    assert not agent_of(daemon, "other")["runs"]
    # What runs stays on behalf of who started it, also when the daemon starts anew.
    assert agent_of(daemon)["runs"][0]["on_behalf_of"] == "ann@acme.com"
    daemon.kill()
    daemon.start()
    assert agent_of(daemon)["runs"][0]["on_behalf_of"] == "ann@acme.com"
    for one in before, shell, other:
        one.close()


def test_a_login_is_refreshed(daemon, provider):
    first = log_in(daemon, provider, "bob@acme.com")
    wait_for(lambda: daemon.json("login", "show")["expires"] > first["expires"], 60, "a newer token")
    assert daemon.json("login", "show")["person"] == "bob@acme.com"


def test_who_refuses_is_nobody(daemon, provider):
    login = Login(daemon)
    Browser(provider.ca).log_in(login.place(), "ann@acme.com", refuse=True)
    status, _, said = login.result()
    assert status == 1 and "denied" in said
    assert daemon.run("true").returncode == 0
    assert not agent_of(daemon)["runs"]
    done = daemon.run(BUILD / "wayleave", "login")
    assert done.returncode == 1 and "from inside an agent" in done.stderr


def test_a_person_starts_a_command_with_a_token_of_its_own(daemon, provider, server, tmp_path):
    log_in(daemon, provider)
    token = tmp_path / "token"
    token.write_text("first")
    shell = Shell(daemon, f"host=127.0.0.1 port={server.port} dbname=shop user=app", agent="demo", token_file=token)
    for text, why in (("", "there is none"), ("a.b.c", "refused"), ("", "there is none"), ("second", "no signed JSON Web Token")):
        token.write_text(text)
        [run] = wait_for(lambda: [r for r in agent_of(daemon)["runs"] if why in r["problem"]], 20, f"a token of which is said: {why}")  # noqa: B023
        assert run["own_token"] and run["on_behalf_of"] == "ann@acme.com"
    shell.close()
    wait_for(lambda: not agent_of(daemon)["runs"], 40, "the end of the run")
    assert daemon.json("login", "show")["person"] == "ann@acme.com"


def code_for(issuer, **members):
    return {"device_code": "d", "user_code": "WDJB-MJHT", "verification_uri": f"{issuer.url}/enter", "interval": 1, **members}


def test_an_issuer_that_misbehaves(make_daemon, server, tmp_path):
    """Who logs in is told what is wrong, and nothing of it as it came. (tests/unit/test_broker_login.c has more.)"""
    issuer, release = issuers.Issuer(tmp_path / "issuer"), threading.Event()
    config = make_config(server.port, workers=1)
    config["issuers"] = {"idp": {"url": issuer.url, "audience": issuers.AUDIENCE, "ca_file": str(issuer.ca), "login": {"client_id": "login"}}}
    config["agents"][0]["identity"] = {"issuer": "idp", "client_id": "x", "client_secret_file": str(tmp_path / "secret")}
    (tmp_path / "secret").write_text("x")
    (tmp_path / "secret").chmod(0o600)
    daemon = make_daemon(config, RULES[:1])

    def expect(why, **behave):
        issuer.behave = {f"/{path}": act for path, act in behave.items()}
        done = daemon.wayleave("login", timeout=60)
        assert done.returncode == 1 and why in done.stderr, done
        assert "\x1b" not in done.stderr and done.stderr.isascii()

    expect("HTTP status 302", device=redirect)
    expect("writ", device=huge)
    expect("no JSON object", device=lambda h: issuers.send(h, b"\x1b[2J"))
    expect("user_code", device=lambda h: issuers.send(h, code_for(issuer, user_code="A\x1b[2JB")))
    expect("verification_uri", device=lambda h: issuers.send(h, code_for(issuer, verification_uri="http://localhost/enter")))
    expect("timed out", device=lambda h: release.wait(60))
    assert "/other" not in issuer.requests
    good = {"device": lambda h: issuers.send(h, code_for(issuer))}
    other = issuer.token("ann@acme.com", azp="another")
    expect("another client", **good, token=lambda h: issuers.send(h, {"access_token": other}))
    expect("nonce", **good, token=lambda h: issuers.send(h, {"access_token": "opaque", "id_token": issuer.token(aud="login", nonce="n")}))
    assert daemon.run("true").returncode == 0 and not agent_of(daemon)["runs"]
    release.set()
    issuer.behave = {f"/{path}": act for path, act in good.items()}
    mine = issuer.token("ann@acme.com", azp="login")
    issuer.behave["/token"] = lambda h: issuers.send(h, {"access_token": mine})
    done = daemon.wayleave("--json", "login", timeout=60)
    assert done.returncode == 0 and json.loads(done.stdout)["person"] == "ann@acme.com", done
    issuer.stop()
