# SPDX-License-Identifier: Apache-2.0
"""tests/corpus/http with real servers, nginx and Node: what they serve is what was judged, and of what could be read in two ways
nothing reaches them."""
import codecs
import json
import re
import subprocess

import pytest
from conftest import ROOT, make_config
from harness import daemon as daemons
from harness import nginx
from harness.ports import free_port
from harness.waiting import wait_for

CORPUS = ROOT / "corpus" / "http"
SECRET = "nobody is to see this\n"
RULES = [{"name": "all", "operations": ["read", "POST"], "allow": {}},
         {"name": "not this", "objects": ["/admin/**"], "deny": {}}]
# What a program makes of the target, in each way that Node has; as files, which it would serve, are found.
NODE = """
const path = require("path"), url = require("url");
const ways = [target => new URL(target, "http://127.0.0.1").pathname, target => url.parse(target).pathname,
              target => target.split("?")[0]];
const served = target => ways.map(way => { try { return path.posix.normalize(decodeURIComponent(way(target))); } catch { return null; } });
require("http").createServer((request, response) => response.end(JSON.stringify(served(request.url)))).listen(+process.argv[1], "127.0.0.1");
"""
# Sends each of the texts over a connection of its own, and prints all that comes back.
CLIENT = """
import json, socket, sys
def ask(text):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as peer:
        said = b""
        try:
            peer.sendall(text.encode("latin-1"))
            peer.shutdown(socket.SHUT_WR) if sys.argv[2] == "ends" else None
            while data := peer.recv(65536):
                said += data
        except ConnectionError:
            pass
        return said.decode("latin-1")
print(json.dumps([ask(text) for text in json.load(sys.stdin)]))
"""


def lines(name):
    return [line for line in (CORPUS / name).read_text().splitlines() if line and line[0] != "#"]


def unescaped(text):
    return codecs.decode(text, "unicode_escape")


class Servers:
    def __init__(self, folder):
        self.nginx = nginx.Nginx(folder, more="location / { add_header X-Served $uri always; }")
        self.root = self.nginx.folder / "root"
        for name, text in (("admin/s", SECRET), ("public/x", "x\n")):
            (self.root / name).parent.mkdir()
            (self.root / name).write_text(text)
        self.node_port = free_port()
        self.node = subprocess.Popen(["node", "-e", NODE, str(self.node_port)])
        wait_for(lambda: not ask_directly(self.node_port, ["/"]) == [""])

    def stop(self):
        self.nginx.stop()
        self.node.terminate()
        self.node.wait(10)


def request(port, target):
    return f"GET {target.replace('HOST', f'127.0.0.1:{port}')} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"


def ask_directly(port, targets):
    done = subprocess.run(["/usr/bin/python3", "-c", CLIENT, str(port), "stays"], input=json.dumps([request(port, t) for t in targets]),
                          capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout) if done.returncode == 0 else [""]


def parts(answer):
    head, _, body = answer.partition("\r\n\r\n")
    words = head.split(" ", 2)
    return (int(words[1]) if len(words) > 1 else 0), head, body


def served_by_nginx(answer):
    """Whether it is the file, and the resource as nginx names it."""
    _, head, body = parts(answer)
    named = [line.split(": ", 1)[1] for line in head.splitlines() if line.startswith("X-Served: ")]
    return [n.encode("latin-1").decode(errors="replace") for n in named] + (["/admin/s"] if SECRET in body else [])


def served_by_node(answer):
    status, _, body = parts(answer)
    return [path for path in json.loads(body.encode("latin-1")) if path] if status == 200 else []


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    s = Servers(tmp_path_factory.mktemp("servers") / "nginx")
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(servers, tmp_path_factory):
    config = {**make_config(1), "workers": 1, "loopback": "egress", "resources": [
        {"name": "nginx", "protocol": "http", "hosts": [f"127.0.0.1:{servers.nginx.port}"]},
        {"name": "node", "protocol": "http", "hosts": [f"127.0.0.1:{servers.node_port}"]}]}
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), config, RULES)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


@pytest.fixture(params=["nginx", "node"])
def place(request, servers):
    """Its port, and what it has served in an answer."""
    return (servers.nginx.port, served_by_nginx) if request.param == "nginx" else (servers.node_port, served_by_node)


def ask(daemon, port, texts, how="stays"):
    done = daemon.run("/usr/bin/python3", "-c", CLIENT, port, how, input=json.dumps(texts), timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_judged(path):
    """As rules write a path of which nothing is encoded."""
    for byte in "%?#\\":
        path = path.replace(byte, f"%{ord(byte):02X}")
    return path


def without_slash(path):
    """Node's normalize() takes the one behind a dot segment away, which others leave."""
    return path.rstrip("/")


def test_what_is_served_is_among_what_is_judged(place):
    """No daemon: what tests/unit/test_http_path.c compares our reading with is how servers read."""
    port, served = place
    rows = [line.split("\t") for line in lines("paths")]
    rows = [(path, readings) for path, *readings in rows if not readings[0].startswith("-")]
    wrong, seen = [], 0
    for (path, readings), answer in zip(rows, ask_directly(port, [path for path, _ in rows]), strict=True):
        resources = served(answer)
        seen += bool(resources)
        wrong += [(path, r) for r in resources if without_slash(as_judged(r)) not in map(without_slash, readings)]
    assert not wrong
    assert seen > 0.8 * len(rows)


def test_a_denied_resource_has_no_other_spelling(daemon, servers, place):
    port, served = place
    rows = [line.split(" ", 1) for line in lines("admin")]
    targets = [unescaped(target) for _, target in rows]
    directly = ask_directly(port, targets)
    got_there = [t for t, a in zip(targets, directly, strict=True) if any(r.startswith("/admin/") for r in served(a))]
    assert len(got_there) > 15, "there is something to be got round"
    before = servers.nginx.accesses()
    wrong = []
    refused = [t for t, (verdict, _) in zip(targets, rows, strict=True) if verdict == "no"]
    for target, answer in zip(refused, ask(daemon, port, [request(port, t) for t in refused]), strict=True):
        status, _, body = parts(answer)
        if status not in (400, 403, 421) or '"message": "wayleave: ' not in body:
            wrong.append((target, answer))
    assert not wrong
    assert servers.nginx.accesses() == before, "nothing was asked of it"
    others = [t for t, (verdict, _) in zip(targets, rows, strict=True) if verdict == "yes"]
    for target, answer in zip(others, ask(daemon, port, [request(port, t) for t in others]), strict=True):
        assert parts(answer)[0] in (200, 404), (target, answer)
        assert not any(r == "/admin" or r.startswith("/admin/") for r in served(answer)), (target, answer)


def placed(text, port):
    return text.replace("Host: h\r\n", f"Host: 127.0.0.1:{port}\r\n").replace("http://h/", f"http://127.0.0.1:{port}/")


def smuggled(port):
    return f"GET /v1/smuggled HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"


def test_nothing_is_smuggled(daemon, servers):
    """What is refused ends the connection, and neither it nor what stands behind it reaches nginx."""
    port, before = servers.nginx.port, servers.nginx.accesses()
    rows = [(line[:3], placed(unescaped(line[4:]), port)) for line in lines("requests")]
    answers = ask(daemon, port, [text + smuggled(port) for _, text in rows])
    wrong = [(wanted, text, answer) for (wanted, text), answer in zip(rows, answers, strict=True)
             if not answer.startswith(f"HTTP/1.1 {wanted} ") or len(re.findall(r"^HTTP/1.1 \d", answer, re.M)) != 1]
    assert not wrong
    assert servers.nginx.accesses() == before


def test_a_body_is_a_body(daemon, servers):
    """Whatever stands in it, to whatever length and in whatever chunks: one request here is one there."""
    port = servers.nginx.port
    head = f"POST /v1/take?%d HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    body = smuggled(port)
    chunked = "Transfer-Encoding:%schunked%s\r\n\r\n"
    bodies = [f"Content-Length: {len(body)}\r\n\r\n{body}", f"Content-Length:\t000{len(body)} \r\n\r\n{body}"]
    bodies += [chunked % blanks + f"{len(body):x}\r\n{body}\r\n0\r\n\r\n" for blanks in ((" ", ""), ("", ""), ("\t", "\t"), (" \t ", "  "))]
    bodies += [chunked % (" ", "") + f"{len(body):08X};a=b;c=\"\\\"0\"\r\n{body}\r\n000\r\n{trailer}\r\n"
               for trailer in ("", "X-A: b\r\n", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Host: other\r\n", "Connection: close\r\n")]
    bodies += ["TRANSFER-ENCODING: ChUnKeD\r\n\r\n" + "".join(f"1\r\n{c}\r\n" for c in body) + "0\r\n\r\n"]
    last = f"GET /v1/echo?last HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    before = len(servers.nginx.accesses().splitlines())
    answer, = ask(daemon, port, ["".join(head % i + b for i, b in enumerate(bodies)) + last])
    assert answer.count("HTTP/1.1 200 ") == len(bodies) + 1 and answer.endswith("GET /v1/echo?last"), answer
    # Those that it asks of itself, to have read the body, are no matter here.
    asked = [line.split('"')[1] for line in servers.nginx.accesses().splitlines()[before:] if "/v1/drop" not in line]
    assert asked == [f"POST /v1/take?{i} HTTP/1.1" for i in range(len(bodies))] + ["GET /v1/echo?last HTTP/1.1"]

