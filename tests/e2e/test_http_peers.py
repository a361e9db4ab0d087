# SPDX-License-Identifier: Apache-2.0
"""Servers that answer oddly, break off, or are slow, and agents that are: what an agent sees is what it would see directly, or a
refusal, and never something cut short that looks whole."""
import contextlib
import json
import queue
import socket
import subprocess
import threading
import time

import pytest
from conftest import make_config
from harness import certificates
from harness import daemon as daemons
from harness.odd_server import Odd
from harness.waiting import wait_for

PYTHON = "/usr/bin/python3"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HELLO = b"Content-Length: 5\r\n\r\nhello"
# What the agent gets is what it would get directly.
FAITHFUL = {
    "until-the-end": (OK + b"\r\nhello", "close"),
    "until-a-reset": (OK + b"\r\nhello", "reset"),
    "until-a-cut": (OK + b"\r\nhello", "cut"),
    "much-until-a-reset": (OK + b"\r\n" + b"x" * 20_000, "reset"),
    "too-little": (OK + b"Content-Length: 9\r\n\r\nhello", "close"),
    "too-little-reset": (OK + b"Content-Length: 9\r\n\r\nhello", "reset"),
    "too-much": (OK + HELLO + b" and more", "close"),
    "chunks": (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", "close"),
    "chunks-without-an-end": (CHUNKED + b"5\r\nhello\r\n", "close"),
    "half-a-chunk": (CHUNKED + b"9\r\nhello", "close"),
    "half-a-chunk-reset": (CHUNKED + b"9\r\nhello", "reset"),
    "no-content": (b"HTTP/1.1 204 No Content\r\n\r\n", "open"),
    "no-content-with-some": (b"HTTP/1.1 204 No Content\r\n" + HELLO, "close"),
    "not-modified-with-some": (b"HTTP/1.1 304 Not Modified\r\n" + HELLO, "close"),
    "an-old-server": (b"HTTP/1.0 200 OK\r\nServer: old\r\n\r\nhello", "close"),
    "an-old-server-that-keeps": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + HELLO, "open"),
    "early-hints": (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + HELLO, "open"),
    "no-phrase": (b"HTTP/1.1 200 \r\n" + HELLO, "open"),
    "a-phrase-in-latin-1": (b"HTTP/1.1 200 \xe9t\xe9\r\n" + HELLO, "open"),
    "a-field-in-latin-1": (OK + b"X-Name: \xe9t\xe9\r\n" + HELLO, "open"),
    "an-empty-field": (OK + b"X-Empty:\r\n" + HELLO, "open"),
    "an-unknown-status": (b"HTTP/1.1 299 Whatever\r\n" + HELLO, "open"),
    "nothing": (b"", "close"),
}
MUCH = {
    "much-and-no-more": (OK + b"Connection: close\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000, "close"),
    "much-until-the-end": (OK + b"\r\n" + b"x" * 3_000_000, "close"),
    "much-and-a-reset": (OK + b"\r\n" + b"x" * 1_000_000, "reset"),
    "much-and-a-cut": (OK + b"\r\n" + b"x" * 3_000_000, "cut"),
    "much-and-nothing-said-of-it": (OK + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1_000_000, "close"),
}
# What two readers could read differently is no answer, nor what is no HTTP, or too much of it.
REFUSED = {
    "line-feeds": (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "close"),
    "a-folded-field": (OK + b"X: a\r\n b\r\n" + HELLO, "close"),
    "two-lengths": (OK + b"Content-Length: 5\r\n" + HELLO, "close"),
    "length-and-chunks": (OK + b"Transfer-Encoding: chunked\r\n" + HELLO, "close"),
    "another-coding": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "close"),
    "a-length-that-is-none": (OK + b"Content-Length: +5\r\n\r\nhello", "close"),
    "no-colon": (OK + b"X\r\n" + HELLO, "close"),
    "a-blank-before-the-colon": (OK + b"X : a\r\n" + HELLO, "close"),
    "a-nul": (OK + b"X: a\0b\r\n" + HELLO, "close"),
    "another-protocol": (b"ICY 200 OK\r\n" + HELLO, "close"),
    "no-head-at-all": (b"hello", "close"),
    "half-a-head": (OK + b"Content-Le", "close"),
    "many-fields": (OK + b"X: a\r\n" * 200 + HELLO, "close"),
    "a-long-field": (OK + b"X: " + b"a" * 70_000 + b"\r\n" + HELLO, "close"),
    "an-upgrade-that-nobody-asked-for": (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "close"),
}
# For each path: the status, the content, and whether its end was one in order, as a strict client sees them. A path that is empty asks
# nothing, and says how the connection ended.
CLIENT = """
import http.client, json, socket, ssl, sys
port, ca, paths = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
context = ssl.create_default_context(cafile=ca) if ca else None
if context:
    context.options &= ~0x80  # SSL_OP_IGNORE_UNEXPECTED_EOF, which Python sets
def fetch(path):
    peer = socket.create_connection(("127.0.0.1", port), timeout=20)
    if context:
        peer = context.wrap_socket(peer, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
    with peer:
        peer.sendall(f"GET /{path} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n".encode())
        answer = http.client.HTTPResponse(peer, method="GET")
        content = b""
        try:
            answer.begin()
            while data := answer.read1(16384) if answer.length is None else answer.read(16384):
                content += data
            whole = not answer.length
        except http.client.IncompleteRead as e:
            content, whole = content + e.partial, False
        except (OSError, http.client.HTTPException):
            whole = False
        return [getattr(answer, "status", None), content.decode(), whole]
print(json.dumps([fetch(path) for path in paths]))
"""
RELAYED = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as peer:
    peer.sendall(f"GET /{sys.argv[2]} HTTP/1.1\\r\\n\\r\\n".encode())
    said, ended = b"", "in order"
    try:
        while data := peer.recv(65536):
            said += data
    except ConnectionResetError:
        ended = "reset"
    print(len(said), ended)
"""
# Sends all before it reads anything of what comes back, which has another head, or the same.
MUCH_AHEAD = 32 << 20
ASKS = b"POST /v1/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n" % MUCH_AHEAD
ANSWERS = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH_AHEAD
AHEAD = f"""
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as peer:
    peer.sendall({ASKS!r})
    for _ in range({MUCH_AHEAD >> 20}):
        peer.sendall(bytes(1 << 20))
    got = 0
    while got < int(sys.argv[2]) and (data := peer.recv(1 << 20)):
        got += len(data)
    print(got)
"""
RULES = [
    {"name": "read", "resources": ["odd", "odd-tls", "web", "h2"], "operations": ["read"], "allow": {}},
    {"name": "masked", "resources": ["web", "h2"], "operations": ["GET"], "objects": ["/v1/masked*"],
     "allow": {"mask": [{"detect": ["email"], "with": "redact"}]}},
    {"name": "puts need a person", "operations": ["PUT"], "review": {"by": "dba"}},
    {"name": "relayed", "resources": ["relay", "echo-relay"], "allow": {}},
    {"name": "uploads", "resources": ["deaf", "echo"], "operations": ["POST"], "allow": {}},
]
REMOVED = {"name": "removed later", "resources": ["removed"], "operations": ["read"], "allow": {}}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    ca = certificates.make_authority(folder, "odd CA")
    answers = {**FAITHFUL, **REFUSED, **MUCH}
    servers = {"clear": Odd(answers), "TLS": Odd(answers, *certificates.make_leaf(folder, "odd")), "relay": Odd(answers),
               "removed": Odd(answers)}
    servers["TLS"].ca = ca
    yield servers
    for s in servers.values():
        s.stop()


@pytest.fixture(scope="module")
def deaf():
    """Connections to it come about, and are not read."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        yield s


class Echo:
    """Reads whatever comes, and sends it back as fast as that is read; `head`: instead of a request's."""

    def __init__(self, head=b""):
        self.head = head
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer = self.listener.accept()[0]
                pieces = queue.SimpleQueue()
                threading.Thread(target=self.read, args=(peer, pieces), daemon=True).start()
                threading.Thread(target=self.write, args=(peer, pieces), daemon=True).start()

    def read(self, peer, pieces):
        with contextlib.suppress(OSError):
            before, head = b"", self.head
            while head and (data := peer.recv(65536)):
                before += data
                if b"\r\n\r\n" in before:
                    pieces.put(head + before.partition(b"\r\n\r\n")[2])
                    break
            while data := peer.recv(65536):
                pieces.put(data)
        pieces.put(b"")

    def write(self, peer, pieces):
        with peer, contextlib.suppress(OSError):
            while data := pieces.get():
                peer.sendall(data)

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture(scope="module")
def echoes():
    servers = {"echo": Echo(ANSWERS), "echo-relay": Echo()}
    yield servers
    for s in servers.values():
        s.stop()


@pytest.fixture(scope="module")
def daemon(web, odd, deaf, echoes, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), {
        **make_config(1), "workers": 1, "loopback": "egress", "reviewers": {"dba": {"local_users": ["root"]}},
        "resources": [
            {"name": "odd", "protocol": "http", "hosts": [f"127.0.0.1:{odd['clear'].port}"]},
            {"name": "odd-tls", "protocol": "http", "hosts": [f"127.0.0.1:{odd['TLS'].port}"], "tls": {"ca_file": str(odd["TLS"].ca)}},
            {"name": "removed", "protocol": "http", "hosts": [f"127.0.0.1:{odd['removed'].port}"]},
            {"name": "relay", "protocol": "tcp", "hosts": [f"127.0.0.1:{odd['relay'].port}"]},
            {"name": "echo", "protocol": "http", "hosts": [f"127.0.0.1:{echoes['echo'].port}"]},
            {"name": "echo-relay", "protocol": "tcp", "hosts": [f"127.0.0.1:{echoes['echo-relay'].port}"]},
            {"name": "deaf", "protocol": "http", "hosts": [f"127.0.0.1:{deaf.getsockname()[1]}"]},
            {"name": "web", "protocol": "http", "hosts": [f"127.0.0.1:{web.port}"], "reuse": "60s"},
            {"name": "h2", "protocol": "http", "hosts": [f"127.0.0.1:{web.h2_port}"], "tls": {"ca_file": str(web.ca)}}]}, [*RULES, REMOVED])
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def fetch(daemon, odd, kind, paths, directly):
    ca = "" if kind == "clear" else str(odd[kind].ca if directly else daemon.folder / "host-ca.pem")
    command = [PYTHON, "-c", CLIENT, str(odd[kind].port), ca, json.dumps(list(paths))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60) if directly else daemon.run(*command, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(zip(paths, json.loads(done.stdout)))


@pytest.mark.parametrize("kind", ["clear", "TLS"])
def test_an_odd_server(daemon, odd, kind):
    directly, through = (fetch(daemon, odd, kind, FAITHFUL, d) for d in (True, False))
    assert through == directly
    whole = [path for path, (_, _, whole) in through.items() if whole]
    assert not {"until-a-reset", "chunks-without-an-end", "half-a-chunk", "too-little"} & set(whole) and "until-the-end" in whole
    assert ("until-a-cut" in whole) == (kind == "clear")


@pytest.mark.parametrize("kind", ["clear", "TLS"])
def test_a_server_that_cannot_be_understood(daemon, odd, kind):
    assert {path: status for path, (status, _, _) in fetch(daemon, odd, kind, REFUSED, False).items()} == dict.fromkeys(REFUSED, 502)


@pytest.mark.parametrize("path", ["until-the-end", "until-a-reset", "much-until-a-reset"])
def test_what_is_relayed_ends_as_it_does(daemon, odd, path):
    """Nobody but the end of a connection says that this was all of it."""
    command = [PYTHON, "-c", RELAYED, str(odd["relay"].port), path]
    directly = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    assert daemon.run(*command).stdout == directly
    assert directly.split(maxsplit=1)[1].strip() == ("in order" if path == "until-the-end" else "reset")


PAUSE = """
import json, socket, ssl, sys, time
def ask(port, ca, path):
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    peer.settimeout(20)
    peer.connect(("127.0.0.1", port))
    if ca:
        context = ssl.create_default_context(cafile=ca)
        context.options &= ~0x80  # SSL_OP_IGNORE_UNEXPECTED_EOF, which Python sets
        peer = context.wrap_socket(peer, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
    peer.sendall(f"GET /{path} HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n".encode())
    return peer, peer.recv(1000)
def rest(peer, said):
    try:
        while data := peer.recv(65536):
            said += data
        in_order = True
    except OSError:
        in_order = False
    return [said.count(b"x"), in_order]
peers = [ask(*which) for which in json.loads(sys.argv[1])]
time.sleep(3.2)
print(json.dumps([rest(*p) for p in peers]))
"""


def pausing(odd, ca, paths):
    """A program that begins to read each of those, and goes on later than a session that ends waits for its agent."""
    return [PYTHON, "-c", PAUSE, json.dumps([[odd[kind].port, kind == "TLS" and str(ca), path] for kind, path in paths])]


def test_who_reads_on_later_gets_all_of_it(daemon, odd):
    """As directly; but not an agent that is suspended meanwhile, nor of what is no resource any more."""
    paths = [(kind, path) for kind in ("clear", "TLS") for path in MUCH]
    before = {s["id"] for s in daemon.json("sessions", "list")}
    taken = {"stdout": subprocess.PIPE, "text": True}
    ended = [("clear", "much-and-no-more", "other"), ("removed", "much-and-no-more", "demo")]
    readers = [daemon.popen(*pausing(odd, None, [(kind, path)]), agent=agent, **taken) for kind, path, agent in ended]
    try:
        wait_for(lambda: len([s for s in daemon.json("sessions", "list") if s["id"] not in before and s["end"]]) == len(readers))
        assert daemon.wayleave("agents", "suspend", "other").returncode == 0
        daemon.config["resources"] = [r for r in daemon.config["resources"] if r["name"] != "removed"]
        daemon.write_rules(RULES)
        daemon.write_config()
        daemon.reload()
        with subprocess.Popen(pausing(odd, odd["TLS"].ca, paths), **taken) as directly:
            through = daemon.run(*pausing(odd, daemon.folder / "host-ca.pem", paths))
            directly = dict(zip(paths, json.loads(directly.communicate()[0])))
        for [[length, in_order]] in [json.loads(r.communicate(timeout=20)[0]) for r in readers]:
            assert length < 1_000_000 and not in_order
    finally:
        for r in readers:
            r.kill()
            r.communicate()
        daemon.wayleave("agents", "resume", "other")
    assert dict(zip(paths, json.loads(through.stdout))) == directly, through.stderr
    assert {length for length, _ in directly.values()} == {1_000_000, 3_000_000}
    assert {which for which, (_, in_order) in directly.items() if not in_order} == {
        ("clear", "much-and-a-reset"), ("TLS", "much-and-a-reset"), ("TLS", "much-and-a-cut")}
    wait_for(lambda: daemon.status()["sessions"] == 0)


HALF = """
import socket, sys
with socket.socket() as peer:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    peer.connect(("127.0.0.1", int(sys.argv[1])))
    peer.sendall(b"GET /much-and-no-more HTTP/1.1\\r\\nHost: 127.0.0.1:%d\\r\\n\\r\\n" % int(sys.argv[1]))
    length = len(peer.recv(1000))
    print("begun", flush=True)
    sys.stdin.readline()
    try:
        while data := peer.recv(65536):
            length += len(data)
        print(length, "in order")
    except ConnectionResetError:
        print(length, "reset")
"""


def test_who_never_reads_on_can_be_ended(daemon, odd):
    """Its session has ended long ago, is listed as one that keeps its connection, and is gone once it is killed."""
    with daemon.popen(PYTHON, "-c", HALF, odd["clear"].port, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout.readline() == "begun\n"
        session = wait_for(lambda: next((s for s in daemon.json("sessions", "list", "--active") if s["end"]), None))
        assert session["state"] == "unread" and session["reason"] in ("none", "upstream_closed") and daemon.status()["sessions"] == 1
        assert daemon.wayleave("sessions", "list").stdout.splitlines()[1].endswith("  unread")
        assert daemon.wayleave("sessions", "kill", session["id"]).returncode == 0
        wait_for(lambda: daemon.status()["sessions"] == 0)
        out, _ = reader.communicate("\n", timeout=20)
    length, ended = out.split(maxsplit=1)
    assert int(length) < 1_000_000 and ended == "reset\n"
    wait_for(lambda: not daemon.json("sessions", "list", "--active"))
    again = daemon.wayleave("sessions", "kill", session["id"])
    assert again.returncode == 1 and "has ended already" in again.stderr


LEAVE = """
import socket, struct, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as peer:
    peer.sendall(b"GET /no-content HTTP/1.1\\r\\n\\r\\n")
    peer.recv(4096)
    if sys.argv[2] == "reset":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
"""


@pytest.mark.parametrize("how", ["in order", "reset"])
def test_what_is_relayed_to_a_server_ends_as_it_does(daemon, odd, how):
    assert daemon.run(PYTHON, "-c", LEAVE, odd["relay"].port, how).returncode == 0
    wait_for(lambda: odd["relay"].ended)
    assert odd["relay"].ended.pop() == how


def test_connections_to_servers_are_no_other_agents(daemon, web):
    """nginx numbers them, and the requests on each: the agent's next session goes on with its own."""
    url = f"http://127.0.0.1:{web.port}/v1/connection"
    seen = {}
    for agent, first in (("demo", 1), ("other", 1), ("demo", 4)):
        done = daemon.run("curl", "-sS", url, url, url, agent=agent)
        numbers, requests = zip(*(line.split() for line in done.stdout.splitlines()))
        assert requests == tuple(str(first + i) for i in range(3)) and len(set(numbers)) == 1, done.stdout
        seen.setdefault(numbers[0], []).append(agent)
    assert sorted(seen.values()) == [["demo", "demo"], ["other"]]


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_more_than_people_can_be_shown(daemon, web, version):
    before = web.accesses()
    url = f"https://127.0.0.1:{web.h2_port}/v1/take?too-large"
    done = daemon.run("curl", "-sS", f"--http{version}", "--cacert", daemon.folder / "host-ca.pem", "-w", "\n%{http_code} %{http_version}", "-T",
                      "-", url, input="x" * ((1 << 20) + 100_000))
    body, _, line = done.stdout.rpartition("\n")
    body = json.loads(body)
    assert line == f"403 {version}" and sorted(body) == ["error", "message", "review", "rule"] and body["review"] is None, body
    assert "too large" in body["message"]
    assert not [r for r in daemon.json("reviews", "list") if r["state"] == "pending"] and web.accesses() == before


HELD = """
import select, socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as peer:
    peer.sendall(f"PUT /v1/echo HTTP/1.1\\r\\nHost: 127.0.0.1:{sys.argv[1]}\\r\\nContent-Length: 1\\r\\n\\r\\nx".encode())
    sys.stdin.readline()
    print(select.select([peer], [], [], 0)[0] and peer.recv(4096), flush=True)
    print(peer.recv(4096).split(b"\\r\\n")[0].decode(), flush=True)
"""


def test_nothing_is_said_while_people_decide(daemon, web):
    """Common clients take any interim response for the answer."""
    with daemon.popen(PYTHON, "-c", HELD, web.port, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        review = wait_for(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])[0]
        time.sleep(0.3)
        print(file=p.stdin, flush=True)
        assert p.stdout.readline() == "[]\n"
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert p.stdout.readline() == "HTTP/1.1 200 OK\n"


def test_who_gives_up_a_stream_and_asks_again_finds_the_answer(daemon, web):
    command = ["curl", "-sS", "--http2", "--cacert", daemon.folder / "host-ca.pem", "-X", "PUT", "-d", "x", "-w", " %{http_version}",
               f"https://127.0.0.1:{web.h2_port}/v1/echo?gave-up"]

    def pending():
        return [r for r in daemon.json("reviews", "list") if r["state"] == "pending"]
    with daemon.popen(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
        review = wait_for(pending)[0]
        p.kill()
    wait_for(lambda: [r for r in pending() if r["waiters"] == 0])
    assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    assert "gave-up" not in web.accesses(), "nobody waited for it"
    assert daemon.run(*command).stdout == "PUT /v1/echo?gave-up 2"
    assert web.accesses().count("gave-up") == 1 and not pending()


def test_an_offer_of_http2_in_clear_is_not_taken(daemon, web):
    done = daemon.run("curl", "-sS", "--http2", "-w", "%{http_version}", f"http://127.0.0.1:{web.port}/v1/hello")
    assert done.stdout == "hello\n1.1", done.stderr


# --- slow ones

def memory(daemon):
    with open(f"/proc/{daemon.workers()[0]}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def test_slow_readers_cost_bounded_memory(daemon, web):
    """Of a gigabyte each, in HTTP/1.1 and HTTP/2, masked and not, all at once."""
    for name in ("large", "masked"):
        with open(web.root / name, "wb") as f:
            f.truncate(1 << 30)
    before = memory(daemon)
    slow = ["curl", "-sS", "-o", "/dev/null", "--limit-rate", "50K", "--cacert", daemon.folder / "host-ca.pem"]
    readers = [daemon.popen(*slow, *more, stderr=subprocess.DEVNULL) for more in (
        [f"http://127.0.0.1:{web.port}/v1/large"], [f"http://127.0.0.1:{web.port}/v1/masked"],
        ["--http2", f"https://127.0.0.1:{web.h2_port}/v1/large"], ["--http2", f"https://127.0.0.1:{web.h2_port}/v1/masked"],
        ["--http2", "-Z", *[f"https://127.0.0.1:{web.h2_port}/v1/large?{i}" for i in range(8)]])]
    try:
        time.sleep(1.5)
        assert [r.poll() for r in readers] == [None] * 5
        assert memory(daemon) - before < 40 << 10
    finally:
        for r in readers:
            r.kill()
            r.communicate()
        (web.root / "large").unlink()
        (web.root / "masked").unlink()


def test_a_slow_server_costs_bounded_memory(daemon, deaf):
    """One that reads nothing of an upload that has no end."""
    before = memory(daemon)
    command = ["curl", "-sS", "-X", "POST", "-H", "Expect:", "-T", "/dev/zero", f"http://127.0.0.1:{deaf.getsockname()[1]}/v1/upload"]
    with daemon.popen(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as upload:
        try:
            time.sleep(1.5)
            assert upload.poll() is None
            assert memory(daemon) - before < 32 << 10
            deaf.settimeout(10)
            peer = deaf.accept()[0]
            assert peer.recv(4) == b"POST" and len(peer.recv(65536, socket.MSG_WAITALL)) == 65536
            peer.close()
        finally:
            upload.kill()


@pytest.mark.parametrize("name", ["echo", "echo-relay"])
def test_who_says_all_before_it_reads(daemon, echoes, name):
    """Of a request's body, and of what nobody reads: the server keeps it, as it would directly."""
    before = memory(daemon)
    expected = MUCH_AHEAD + len(echoes[name].head or ASKS)
    done = daemon.run(PYTHON, "-c", AHEAD, echoes[name].port, expected, timeout=60)
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")
    assert memory(daemon) - before < 32 << 10


SLOWLY = """
import socket, sys
peers = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(400)]
for byte in b"GET /v1/hello HTTP/1.1\\r\\nHost: a\\r\\nX-Slow: ":
    for p in peers:
        p.send(bytes([byte]))
print("there", flush=True)
sys.stdin.readline()
"""


def test_requests_that_never_end(daemon, web):
    """Four hundred, a byte at a time: they cost little, nothing of them is asked for, and others go on."""
    wait_for(lambda: daemon.status()["sessions"] == 0)
    before, asked = memory(daemon), web.accesses()
    with daemon.popen(PYTHON, "-c", SLOWLY, web.port, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert p.stdout.readline() == "there\n"
        wait_for(lambda: daemon.status()["sessions"] == 400)
        assert memory(daemon) - before < 32 << 10
        assert web.accesses() == asked
        done = daemon.run("curl", "-sS", "-m", "5", f"http://127.0.0.1:{web.port}/v1/hello")
        assert done.stdout == "hello\n", done.stderr
        p.communicate("\n", timeout=10)
    wait_for(lambda: daemon.status()["sessions"] == 0)
