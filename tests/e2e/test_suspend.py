# SPDX-License-Identifier: Apache-2.0
"""Suspending an agent is a brake: it stops what is under way and all that would follow, whatever the mode and
the protocol."""
import contextlib
import http.server
import subprocess
import threading

import pytest
from conftest import Psql, make_config
from harness import daemon as daemons
from harness import ports
from harness import ssh as sshd
from harness.ports import listening
from harness.shell import Shell
from harness.waiting import wait_for

RULES = [{"name": "all", "resources": ["shop", "raw", "api", "box"], "operations": ["*"], "allow": {}}]
COUNT = "select 10 + 10"
SUSPENDED = "this agent is suspended"
PYTHON = "/usr/bin/python3"
# Says what it got, byte by byte, until the connection ends.
READER = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(sys.argv[2].encode())
try:
    while (got := s.recv(100)):
        sys.stdout.write(got.decode())
        sys.stdout.flush()
except OSError:
    pass
"""
KEEPS = """
import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
for line in sys.stdin:
    c.request("GET", "/")
    a = c.getresponse()
    print(a.status, a.read().decode().strip(), flush=True)
"""


class Slow(http.server.BaseHTTPRequestHandler):
    """/slow answers a part at a time, while `flows` is set; everything else at once."""

    protocol_version = "HTTP/1.1"
    flows = threading.Event()

    def do_GET(self):
        if self.path == "/slow":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not self.flows.wait(0.05):
                    self.wfile.write(b"5\r\npart\n\r\n")
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def web():
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    s.daemon_threads = True
    threading.Thread(target=s.serve_forever, daemon=True).start()
    yield s
    Slow.flows.set()
    s.shutdown()
    s.server_close()


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    s = sshd.Server(tmp_path_factory.mktemp("sshd"), host_keys=("ed25519",))
    yield s
    s.stop()


@pytest.fixture(scope="module")
def echo():
    """Ports of what sends back what comes: what a resource names, and what none does."""
    with listening(ports.echo) as (named, _), listening(ports.echo) as (unnamed, _):
        yield named, unnamed


@pytest.fixture(scope="module", params=["enforce", "observe"])
def daemon(request, server, web, box, echo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suspend")
    (folder / "known").write_text(box.known())
    config = make_config(server.port, mode=request.param, workers=1, egress="allow", loopback="egress")
    config["resources"] += [
        {"name": "raw", "protocol": "tcp", "hosts": [f"127.0.0.1:{echo[0]}"]},
        {"name": "api", "protocol": "http", "hosts": [f"127.0.0.1:{web.server_port}"]},
        {"name": "box", "protocol": "ssh", "hosts": [f"127.0.0.1:{box.port}"], "host_keys": str(folder / "known"),
         "credentials": {"user": "root", "key_file": str(box.user_key)}}]
    # What no resource names is judged by this one too, before it is relayed.
    rules = RULES + [{"name": "unnamed", "resources": ["egress"], "operations": ["connect"], "allow": {}}]
    d = daemons.Daemon(folder / "d", config, rules)
    yield d
    d.close()


class Brake:
    def __init__(self, daemon):
        self.daemon = daemon

    def __enter__(self):
        done = self.daemon.wayleave("agents", "suspend", "demo")
        assert done.returncode == 0, done.stderr

    def __exit__(self, *_):
        assert self.daemon.wayleave("agents", "resume", "demo").returncode == 0


@pytest.fixture
def popen(daemon):
    made = []

    def start(*words, **options):
        made.append(daemon.popen(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()
        for file in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                file.close()


def reasons(daemon):
    return [s["reason"] for s in daemon.json("sessions", "list") if s["end"]]


def running(server):
    return server.sql("select count(*) from pg_stat_activity where query like 'select pg_sleep(600)%' and state = 'active'", "shop")


def test_postgres(daemon, server):
    where = f"host=127.0.0.1 port={server.port} dbname=shop user=app"
    idle, busy, listening = (Shell(daemon, where) for _ in range(3))
    assert idle.ask(COUNT) == "20"
    assert listening.ask("listen news; select 1") == "1"
    busy.send("select pg_sleep(600);")
    wait_for(lambda: running(server) == "1", what="the statement")
    with Brake(daemon):
        assert SUSPENDED in busy.read_until("never", 20)
        assert SUSPENDED in idle.ask(COUNT)
        assert SUSPENDED in Psql(daemon, server).error(COUNT)
        server.sql("notify news, 'of the day'", "shop")
        assert "of the day" not in listening.ask("select 1")
    wait_for(lambda: running(server) == "0", what="its end in the server")
    # A session that had nothing under way lives on.
    assert idle.ask(COUNT) == "20"
    assert "of the day" not in listening.ask("select 1")
    server.sql("notify news, 'of tomorrow'", "shop")
    assert "of tomorrow" in listening.ask("select 1")
    for shell in (idle, busy, listening):
        shell.close()


@pytest.mark.parametrize("place", [0, 1], ids=["named", "unnamed"])
def test_what_is_relayed_unread(daemon, echo, popen, place):
    client = popen(PYTHON, "-c", READER, echo[place], "x\n")
    assert client.stdout.readline() == "x\n"
    with Brake(daemon):
        assert client.stdout.read() == ""
        refused = daemon.run(PYTHON, "-c", READER, echo[place], "x\n")
        assert refused.stdout == ""
    assert "suspended" in reasons(daemon)
    client = popen(PYTHON, "-c", READER, echo[place], "y\n")
    assert client.stdout.readline() == "y\n"


def test_a_place_whose_protocol_is_not_known_yet(daemon, echo, popen):
    """Nothing was said: what is said later does not become a relay."""
    code = READER.replace("s.sendall", "print('connected', flush=True); sys.stdin.readline(); s.sendall")
    client = popen(PYTHON, "-c", code, echo[1], "x\n")
    assert client.stdout.readline() == "connected\n"
    wait_for(lambda: any(not s["end"] for s in daemon.json("sessions", "list")), what="the session")
    with Brake(daemon):
        with contextlib.suppress(OSError):
            client.stdin.write("go\n")
            client.stdin.close()
        assert client.stdout.read() == ""


def test_http(daemon, web, popen):
    Slow.flows.clear()
    request = "GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    busy = popen(PYTHON, "-c", READER, web.server_port, request)
    idle = popen(PYTHON, "-c", KEEPS, web.server_port)
    idle.stdin.write("\n")
    idle.stdin.flush()
    assert idle.stdout.readline() == "200 ok\n"
    while busy.stdout.readline() != "part\n":
        pass
    with Brake(daemon):
        busy.stdout.read()  # to its end
        idle.stdin.write("\n")
        idle.stdin.flush()
        line = idle.stdout.readline()
        assert line.startswith("403 ") and SUSPENDED in line
    idle.stdin.write("\n")
    idle.stdin.flush()
    assert idle.stdout.readline() == "200 ok\n"
    Slow.flows.set()


def test_ssh(daemon, box, popen, tmp_path):
    control = ["-o", "BatchMode=yes", "-o", f"ControlPath={tmp_path}/c", "-p", str(box.port), "root@127.0.0.1"]
    running = popen("ssh", "-o", "BatchMode=yes", "-p", str(box.port), "root@127.0.0.1", "echo begun; sleep 600")
    master = popen("ssh", "-M", "-N", *control)
    assert running.stdout.readline() == "begun\n"
    wait_for(lambda: (tmp_path / "c").exists())
    with Brake(daemon):
        assert running.wait(20) != 0
        denied = daemon.run("ssh", *control, "echo unseen", stdin=subprocess.DEVNULL)
        assert denied.returncode == 126 and denied.stdout == "" and SUSPENDED in denied.stderr
    done = daemon.run("ssh", *control, "echo seen", stdin=subprocess.DEVNULL)
    assert done.stdout == "seen\n", done.stderr
    master.terminate()
