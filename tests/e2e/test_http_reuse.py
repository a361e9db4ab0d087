# SPDX-License-Identifier: Apache-2.0
"""A connection to a server that one session leaves is the next one's of the same agent, and nobody else's: nginx numbers its connections,
and the requests on each."""
import contextlib
import shutil
import socket
import subprocess
import threading
import time

import pytest
from conftest import make_config
from harness import certificates, nginx
from harness import daemon as daemons
from harness import issuer as issuers
from harness.ports import free_port
from harness.records import records_of
from harness.waiting import wait_for

RULES = [{"name": "read", "operations": ["read"], "allow": {}}, {"name": "post", "operations": ["POST"], "allow": {}}]
MORE = """
    location /v1/negotiate {{ add_header WWW-Authenticate Negotiate always; return 401 "$connection $connection_requests\n"; }}
    listen 127.0.0.2:{port}; listen 127.0.0.3:{port}; listen 127.0.0.4:{port};
"""
# Each line is a URL; what it answers is a line.
ASK = 'while read url; do curl -sS "$url"; done'


class Closing:
    """A server that answers the first request on a connection, `more` behind it, and closes it when the second comes; `asked`: of each,
    the methods."""

    def __init__(self):
        self.asked = []
        self.more = b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self.serve, args=(self.listener.accept()[0],), daemon=True).start()

    def serve(self, peer):
        asked = []
        self.asked.append(asked)
        with peer, contextlib.suppress(OSError):
            while data := peer.recv(65536):
                asked.append(data.split(b" ")[0].decode())
                if len(asked) == 2:
                    return
                peer.sendall(b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 6\r\n\r\nhello\n" + self.more)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    port = free_port()
    s = nginx.Nginx(tmp_path_factory.mktemp("nginx") / "server", more=MORE.format(port=port))
    s.other_port = port
    yield s
    s.stop()


@pytest.fixture(scope="module")
def closing():
    s = Closing()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    s = issuers.Issuer(tmp_path_factory.mktemp("issuer"))
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(web, closing, issuer, tmp_path_factory):
    config = make_config(1, workers=1, loopback="egress")
    folder = config["agents"][0]["cgroup"].rpartition("/")[0]
    config["agents"] += [{"name": "few", "cgroup": f"{folder}/few", "limits": {"sessions": 1}},
                         {"name": "acting", "cgroup": f"{folder}/acting", "identity": {"issuer": "idp"}}]
    config["issuers"] = {"idp": {"url": issuer.url, "audience": issuers.AUDIENCE, "ca_file": str(issuer.ca)}}
    ca = tmp_path_factory.mktemp("ca") / "ca.pem"
    shutil.copy(web.ca, ca)

    def resource(name, *hosts, **more):
        return {"name": name, "protocol": "http", "hosts": list(hosts), "reuse": "60s", **more}
    config["resources"] = [
        resource("api", f"127.0.0.1:{web.port}", f"127.0.0.3:{web.other_port}"),
        resource("secure", f"localhost:{web.tls_port}", f"localhost:{web.h2_port}", tls={"ca_file": str(ca)}),
        resource("off", f"127.0.0.2:{web.other_port}", reuse="off"),
        resource("short", f"127.0.0.4:{web.other_port}", reuse="1s"),
        resource("closing", f"127.0.0.1:{closing.port}")]
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config, RULES)
    d.ca = ca
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def ask(daemon, url, *words, **keywords):
    """The connection that nginx got it by, and which request it was there."""
    done = daemon.run("curl", "-sSk", *words, url, **keywords)
    assert done.returncode == 0, done.stderr
    number, requests = done.stdout.split()
    return number, int(requests)


@pytest.fixture(params=["plain", "TLS"])
def url(request, web):
    return f"https://localhost:{web.tls_port}/v1/connection" if request.param == "TLS" else f"http://127.0.0.1:{web.port}/v1/connection"


def fresh(daemon):
    """Nothing is kept that tests before have left."""
    daemon.reload()


def test_the_next_session_of_the_agent_goes_on_with_it(daemon, url):
    fresh(daemon)
    first, requests = ask(daemon, url)
    assert requests == 1
    assert [ask(daemon, url) for _ in range(3)] == [(first, 2), (first, 3), (first, 4)]
    # Of an agent that has one answer for its connection.
    assert ask(daemon, url, "-H", "Connection: close") == (first, 5)
    assert ask(daemon, url) == (first, 6)


def test_it_is_nobody_elses(daemon, url):
    fresh(daemon)
    first, _ = ask(daemon, url)
    other, requests = ask(daemon, url, agent="other")
    assert other != first and requests == 1
    assert ask(daemon, url) == (first, 2) and ask(daemon, url, agent="other") == (other, 2)
    user, requests = ask(daemon, url, user="nobody")
    assert user not in (first, other) and requests == 1


def test_it_is_no_other_principals(daemon, web, issuer, tmp_path):
    url = f"http://127.0.0.1:{web.port}/v1/connection"
    with contextlib.ExitStack() as stack:
        runs = {}
        for name in ("ann@acme.com", "bob@acme.com"):
            token = tmp_path / name
            token.write_text(issuer.token(name))
            token.chmod(0o600)
            runs[name] = stack.enter_context(daemon.popen("sh", "-c", ASK, agent="acting", token_file=token, text=True,
                                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE))

        def known():
            [agent] = [a for a in daemon.json("agents", "list") if a["name"] == "acting"]
            return {r["principal"] for r in agent["runs"]} == set(runs)
        wait_for(known, 40, "both runs")

        def say(name):
            runs[name].stdin.write(url + "\n")
            runs[name].stdin.flush()
            number, requests = runs[name].stdout.readline().split()
            return number, int(requests)
        ann, bob = say("ann@acme.com"), say("bob@acme.com")
        assert (ann[1], bob[1]) == (1, 1) and ann[0] != bob[0]
        assert say("ann@acme.com") == (ann[0], 2) and say("bob@acme.com") == (bob[0], 2)
        for run in runs.values():
            run.stdin.close()


def test_it_is_no_other_places(daemon, web):
    """The same server and resource at another address, and the other way round."""
    fresh(daemon)
    here, there = (f"http://{place}/v1/connection" for place in (f"127.0.0.1:{web.port}", f"127.0.0.3:{web.other_port}"))
    first, second = ask(daemon, here), ask(daemon, there)
    assert second[1] == 1 and second[0] != first[0]
    assert (ask(daemon, here), ask(daemon, there)) == ((first[0], 2), (second[0], 2))


def test_it_is_recorded(daemon, url):
    fresh(daemon)
    ask(daemon, url)
    made = daemon.json("sessions", "list")[0]
    ask(daemon, url)
    reused = wait_for(lambda: [s for s in daemon.json("sessions", "list") if s["start"] > made["start"]])[0]
    notes = [n.get("detail") for n in records_of(daemon, reused, "note")]
    assert f"goes on with the connection to the server of session {made['id']}" in notes


def test_what_may_not_be_sent_twice_has_a_connection_of_its_own(daemon, url):
    """And leaves it as well as others do."""
    fresh(daemon)
    first, _ = ask(daemon, url, "--http1.1")
    second = ask(daemon, url, "--http1.1", "-d", "x")
    assert second[1] == 1 and second[0] != first
    assert ask(daemon, url, "--http1.1") == (second[0], 2)


def test_who_proves_the_connection_leaves_none(daemon, web):
    fresh(daemon)
    url = f"http://127.0.0.1:{web.port}/v1/connection"
    for words in (["-H", "Authorization: Negotiate YII="], ["-H", "Authorization: NTLM TlRMTVNTUAAB"]):
        first, requests = ask(daemon, url, *words)
        assert requests == 1
        assert ask(daemon, url)[0] != first
        fresh(daemon)
    first, _ = ask(daemon, url.replace("connection", "negotiate"))
    assert ask(daemon, url)[0] != first


def test_a_server_that_closes_it_just_then(daemon, closing):
    url = f"http://127.0.0.1:{closing.port}/v1/x"
    closing.asked.clear()
    for _ in range(3):
        done = daemon.run("curl", "-sS", url)
        assert (done.stdout, done.returncode) == ("hello\n", 0), done.stderr
    assert closing.asked == [["GET", "GET"], ["GET", "GET"], ["GET"]], "answered anew, each time"
    done = daemon.run("curl", "-sS", "-d", "x", url)
    assert (done.stdout, done.returncode) == ("hello\n", 0), done.stderr
    assert closing.asked[3] == ["POST"], "over none that it might be closing"


def test_http_2_is_chosen_as_ever(daemon, web):
    fresh(daemon)
    url = f"https://localhost:{web.h2_port}/v1/connection"
    words = ["-k", "-w", "%{http_version}"]
    for version in ("2", "1.1", "2", "1.1"):
        done = daemon.run("curl", "-sS", f"--http{version}", *words, url)
        assert done.stdout.endswith("\n" + version), done.stdout


def test_where_and_for_how_long(daemon, web):
    fresh(daemon)
    off, short = (f"http://{place}:{web.other_port}/v1/connection" for place in ("127.0.0.2", "127.0.0.4"))
    assert ask(daemon, off)[0] != ask(daemon, off)[0]
    first, _ = ask(daemon, short)
    time.sleep(1.2)
    assert ask(daemon, short)[0] != first


def test_a_server_that_says_more_than_it_was_asked(daemon, closing, monkeypatch):
    """What it says behind an answer would be the beginning of the next session's."""
    fresh(daemon)
    monkeypatch.setattr(closing, "more", b"HTTP/1.1 200 OK\r\nContent-Le")
    closing.asked.clear()
    for _ in range(2):
        done = daemon.run("curl", "-sS", "-H", "Connection: close", f"http://127.0.0.1:{closing.port}/v1/x")
        assert done.stdout == "hello\n", done
    assert closing.asked == [["GET"], ["GET"]]


def test_it_counts_among_what_an_agent_may_have(daemon, web):
    """One session: so there is one connection."""
    fresh(daemon)
    here, there = (f"http://{place}/v1/connection" for place in (f"127.0.0.1:{web.port}", f"127.0.0.3:{web.other_port}"))
    first, _ = ask(daemon, here, agent="few")
    assert ask(daemon, here, agent="few") == (first, 2)
    ask(daemon, there, agent="few")
    assert ask(daemon, here, agent="few")[0] != first


def test_another_configuration_ends_it(daemon, web, tmp_path):
    """Rules, and the CA by which the server was verified."""
    url = f"https://localhost:{web.tls_port}/v1/connection"
    fresh(daemon)
    first, _ = ask(daemon, url)
    daemon.write_rules([*RULES, {"name": "put", "operations": ["PUT"], "allow": {}}])
    daemon.reload()
    second, _ = ask(daemon, url)
    assert second != first
    good = daemon.ca.read_text()
    daemon.ca.write_text(certificates.make_authority(tmp_path, "another").read_text())
    daemon.reload()
    done = daemon.run("curl", "-sSk", url)
    assert "certificate is not trusted" in done.stdout, done.stdout
    daemon.ca.write_text(good)
    daemon.reload()
    assert ask(daemon, url)[1] == 1


def test_what_is_kept_is_closed(daemon, web):
    """As soon as nobody can have it any more."""
    url = f"http://127.0.0.1:{web.port}/v1/connection"
    fresh(daemon)
    ask(daemon, url)

    def open_there():
        return subprocess.run(["ss", "-Htn", "state", "established", f"( dport = :{web.port} )"], capture_output=True, text=True,
                              check=True).stdout
    wait_for(lambda: len(open_there().splitlines()) == 1, 5, "one that is kept")
    daemon.reload()
    wait_for(lambda: not open_there(), 5, "the end of what is kept")
