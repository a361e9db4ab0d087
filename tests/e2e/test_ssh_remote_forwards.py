# SPDX-License-Identifier: Apache-2.0
"""What the host listens on for an agent (ssh -R), and the connections that come of it."""
import contextlib
import os
import pathlib
import re
import select
import socket
import subprocess
import threading
import time

import pytest
from harness.places import echo, page  # noqa: F401
from harness.ports import free_port
from harness.records import assert_verified, records_of
from harness.ssh_gate import OPTIONS, ended, gate, last, pending, run, server  # noqa: F401
from harness.waiting import wait_for

PORTS = {name: free_port() for name in ("fixed", "asked", "denied", "refused", "taken", "shut")}


@pytest.fixture(scope="module")
def daemon(server, page, tmp_path_factory):
    rules = [
        {"name": "listening", "resources": ["box"], "operations": ["remote_forward"],
         "objects": [f"localhost:{port}" for port in (PORTS["fixed"], PORTS["taken"], PORTS["shut"], 0)], "allow": {}},
        {"name": "asked", "resources": ["box"], "operations": ["remote_forward"], "objects": [f"localhost:{PORTS['asked']}"],
         "review": {"by": "ops", "within": "1m"}},
        {"name": "never", "resources": ["box"], "operations": ["remote_forward"], "objects": [f"localhost:{PORTS['denied']}"],
         "deny": {"message": "not that one"}},
        {"name": "nobody", "resources": ["box"], "operations": ["remote_connection"], "objects": [f"localhost:{PORTS['shut']}"], "deny": {}},
        {"name": "pages", "resources": ["page"], "operations": ["read"], "objects": ["/open/**"], "allow": {}},
        {"name": "commands", "resources": ["box"], "operations": ["exec"], "allow": {}}]
    def change(config):
        config["loopback"] = "direct"
        config["resources"].append({"name": "page", "protocol": "http", "hosts": [f"127.0.0.1:{page.server_port}"]})

    with gate(tmp_path_factory.mktemp("ssh"), server, rules, change=change) as d:
        yield d


def listens(port):
    return f":{port:04X} 00000000:0000 0A" in pathlib.Path("/proc/net/tcp").read_text()


def words(server, port, target, *options):
    return ["ssh", *options, *OPTIONS, "-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{port}:127.0.0.1:{target}", "-p", str(server.port),
            "root@127.0.0.1"]


@contextlib.contextmanager
def listening(daemon, server, target, port=PORTS["fixed"], options=()):
    process = daemon.popen(*words(server, port, target, *options), stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(port), what="ssh -R")
        yield process
    finally:
        process.terminate()
        process.wait(20)
        # The host needs no longer than its session, which may outlive the agent's.
        wait_for(lambda: not listens(port))


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def everything(s):
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := s.recv(65536):
            parts.append(part)
    return b"".join(parts)


def exchange(port, data):
    """What comes back of it, to the end."""
    with connect(port) as s:
        def send():
            with contextlib.suppress(OSError):
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        got = everything(s)
        sender.join(20)
    return got


@contextlib.contextmanager
def serving(answer):
    """A port of the agent's, where `answer(connection)` is called for each."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        answer(connection)
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def connections(daemon, session):
    return [a for a in records_of(daemon, session) if a["pairs"][0]["operation"] == "remote_connection"]


def notes(daemon, session):
    return [(r["reason"], r.get("detail", "")) for r in records_of(daemon, session, "note")]


def test_bytes_pass_both_ways_to_each_end(daemon, server, echo):
    data = b"\0\0" + os.urandom(4 << 20)  # nothing begins so
    with listening(daemon, server, echo.port, options=["-o", "RekeyLimit=1M"]):
        assert exchange(PORTS["fixed"], data) == data + b"bye"
    session = ended(daemon)
    opened, came = records_of(daemon, session)[-2:]
    assert (opened["text"], opened["verdict"]) == (f"localhost:{PORTS['fixed']}", "allow")
    assert opened["pairs"][0]["operation"] == "remote_forward"
    assert re.fullmatch(rf"localhost:{PORTS['fixed']} from 127\.0\.0\.1:\d+", came["text"]) and came["verdict"] == "allow"
    assert [(p["operation"], p["object"]) for p in came["pairs"]] == [
        ("remote_connection", f"localhost:{PORTS['fixed']}"), ("remote_connection", "127.0.0.1")]
    assert session["bytes_to_agent"] == len(data) and session["bytes_to_server"] == len(data) + 3
    assert len(data) in [r.get("bytes") for r in records_of(daemon, session, "result")]
    assert_verified(daemon)


def test_the_agents_side_may_end_first(daemon, server):
    heard = []

    def answer(connection):
        connection.sendall(b"220 hello\r\n")
        connection.shutdown(socket.SHUT_WR)
        heard.append(everything(connection))

    data = os.urandom(1 << 20)
    with serving(answer) as target, listening(daemon, server, target), connect(PORTS["fixed"]) as s:
        assert everything(s) == b"220 hello\r\n"
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        wait_for(lambda: heard)
    assert heard == [data]


def test_dropbears_client(daemon, server, echo):
    """Another one that asks, and is connected to."""
    process = daemon.popen("dbclient", "-y", "-y", "-N", "-R", f"{PORTS['fixed']}:127.0.0.1:{echo.port}", "-p", str(server.port), "root@127.0.0.1",
                           stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: listens(PORTS["fixed"]), what="dbclient -R")
        data = b"\0" + os.urandom(1 << 20)
        assert exchange(PORTS["fixed"], data) == data + b"bye"
    finally:
        process.terminate()
        process.wait(20)
        wait_for(lambda: not listens(PORTS["fixed"]))


def test_many_at_a_time(daemon, server, echo):
    with listening(daemon, server, echo.port):
        sockets = [connect(PORTS["fixed"]) for _ in range(40)]
        for number, s in enumerate(sockets):
            s.sendall(b"\0%d" % number)
        for number, s in enumerate(sockets):
            assert s.recv(100) == b"\0%d" % number
        # Beyond what the host may open, they end at once; the others go on.
        more = [connect(PORTS["fixed"]) for _ in range(20)]
        assert sum(exchange_few(s) for s in more) <= 8
        for s in sockets:
            s.sendall(b"more")
            assert s.recv(100) == b"more"
        for s in sockets + more:
            s.close()
        wait_for(lambda: exchange(PORTS["fixed"], b"\0") == b"\0bye")


def exchange_few(s):
    with contextlib.suppress(OSError):
        s.sendall(b"\0x")
        return s.recv(100) == b"\0x"
    return False


@pytest.fixture
def master(daemon, server, tmp_path):
    """Options to share one connection."""
    control = ["-o", f"ControlPath={tmp_path}/c"]
    process = daemon.popen("ssh", *OPTIONS, *control, "-M", "-p", str(server.port), "root@127.0.0.1", "while :; do echo more; done",
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    taken = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(process.stdout.fileno(), 1 << 20), b"")])
    taken.start()
    wait_for(lambda: (tmp_path / "c").exists())
    yield control
    process.terminate()
    process.wait(20)
    taken.join(20)
    process.stdout.close()


def ask_master(daemon, server, control, what, forward):
    return daemon.run("ssh", *OPTIONS, *control, "-O", what, "-R", forward, "-p", str(server.port), "root@127.0.0.1", stdin=subprocess.DEVNULL)


def test_the_host_chooses_a_port_while_it_sends_something_else(daemon, server, echo, master):
    """And each is given back."""
    for _ in range(8):
        forward = f"0:127.0.0.1:{echo.port}"
        asked = ask_master(daemon, server, master, "forward", forward)
        assert asked.returncode == 0, asked.stderr
        port = int(asked.stdout)
        assert exchange(port, b"\0here") == b"\0herebye"
        assert ask_master(daemon, server, master, "cancel", forward).returncode == 0
        wait_for(lambda: not listens(port))
    assert {a["text"] for a in records_of(daemon, last(daemon)) if a["pairs"][0]["operation"] == "remote_forward"} == {"localhost:0"}


def test_one_is_given_back_and_had_again(daemon, server, echo, master):
    forward = f"{PORTS['fixed']}:127.0.0.1:{echo.port}"
    for _ in range(2):
        assert ask_master(daemon, server, master, "forward", forward).returncode == 0
        with connect(PORTS["fixed"]) as open_before:
            assert exchange(PORTS["fixed"], b"\0") == b"\0bye"
            open_before.sendall(b"\0a")
            assert open_before.recv(100) == b"\0a"
            assert ask_master(daemon, server, master, "cancel", forward).returncode == 0
            wait_for(lambda: not listens(PORTS["fixed"]))
            open_before.sendall(b"b")
            assert open_before.recv(100) == b"b"
    assert run(daemon, server, "echo meanwhile", options=master).stdout == "meanwhile\n"


def refused(daemon, server, port):
    done = daemon.run(*words(server, port, 1, "-v"), stdin=subprocess.DEVNULL)
    assert done.returncode == 255 and "remote port forwarding failed" in done.stderr, done
    action = records_of(daemon, ended(daemon))[-1]
    assert not listens(port)
    return action, done.stderr


@pytest.mark.parametrize("name,why", [("denied", 'denied by rule "never": not that one'), ("refused", "denied: no rule allows remote_forward on ")])
def test_what_no_rule_allows(daemon, server, name, why):
    action, said = refused(daemon, server, PORTS[name])
    assert action["verdict"] == "deny" and action["text"] == f"localhost:{PORTS[name]}"
    assert f"Remote: wayleave: {why}" in said


def test_a_socket_of_unix(daemon, server, tmp_path):
    """There is nothing that could ask for one."""
    done = daemon.run("ssh", *OPTIONS, "-N", "-o", "ExitOnForwardFailure=yes", "-R", f"{tmp_path}/s:127.0.0.1:1", "-p", server.port, "root@127.0.0.1",
                      stdin=subprocess.DEVNULL)
    assert done.returncode == 255 and "remote port forwarding failed" in done.stderr, done
    assert not (tmp_path / "s").exists()


def test_a_port_that_the_host_does_not_give(daemon, server):
    with socket.create_server(("127.0.0.1", PORTS["taken"])), socket.create_server(("::1", PORTS["taken"]), family=socket.AF_INET6):
        done = daemon.run(*words(server, PORTS["taken"], 1), stdin=subprocess.DEVNULL)
    assert done.returncode == 255 and "remote port forwarding failed" in done.stderr
    session = ended(daemon)
    assert records_of(daemon, session)[-1]["verdict"] == "allow"
    assert records_of(daemon, session, "result")[-1]["tag"] == "closed"


def test_one_waits_for_people(daemon, server, echo):
    """Longer than the agent waits for a sign of life; what comes behind it waits too, and is answered in its order."""
    alive = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2", "-R", f"{PORTS['fixed']}:127.0.0.1:{echo.port}"]
    process = daemon.popen(*words(server, PORTS["asked"], echo.port, *alive), stdin=subprocess.DEVNULL)
    review = pending(daemon)
    assert review["text"] == f"localhost:{PORTS['asked']}" and review["operations"] == ["remote_forward"]
    time.sleep(4)
    assert process.poll() is None and not listens(PORTS["asked"])
    assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    wait_for(lambda: listens(PORTS["asked"]) and listens(PORTS["fixed"]))
    assert exchange(PORTS["asked"], b"\0") == b"\0bye" and exchange(PORTS["fixed"], b"\0") == b"\0bye"
    process.terminate()
    process.wait(20)


def test_what_shares_its_connection_waits_with_it(daemon, server, echo, tmp_path):
    words = ["ssh", *OPTIONS, "-o", f"ControlPath={tmp_path}/c", "-p", str(server.port), "root@127.0.0.1"]
    with daemon.popen(*words, "-M", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as master:
        master.stdin.write(b"before\n")
        assert master.stdout.readline() == b"before\n"
        asking = daemon.popen(*words, "-O", "forward", "-R", f"{PORTS['asked']}:127.0.0.1:{echo.port}", stdin=subprocess.DEVNULL)
        review = pending(daemon)
        master.stdin.write(b"meanwhile\n")
        assert not select.select([master.stdout], [], [], 0.5)[0]
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
        assert master.stdout.readline() == b"meanwhile\n"
        assert asking.wait(20) == 0 and exchange(PORTS["asked"], b"\0") == b"\0bye"
        asking = daemon.popen(*words, "-O", "cancel", "-R", f"{PORTS['asked']}:127.0.0.1:{echo.port}", stdin=subprocess.DEVNULL)
        assert asking.wait(20) == 0
        master.stdin.close()
        assert master.wait(20) == 0


@pytest.mark.parametrize("how", ["denied", "left"])
def test_one_that_nobody_lets_through(daemon, server, how):
    process = daemon.popen(*words(server, PORTS["asked"], 1, "-v"), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    review = pending(daemon)
    if how == "denied":
        assert daemon.wayleave("reviews", "deny", review["id"], "--reason", "no").returncode == 0
        said = process.communicate(timeout=20)[1]
        assert said.index("wayleave: waiting for approval by ops") < said.index("wayleave: denied by root (") < said.index("forwarding failed")
    else:
        process.kill()
        process.communicate(timeout=20)
        wait_for(lambda: [r["state"] for r in daemon.json("reviews") if r["id"] == review["id"]] in (["cancelled"], []))
    assert not listens(PORTS["asked"])
    wait_for(lambda: not daemon.ssh_sessions())


def test_a_rule_refuses_connections(daemon, server, echo):
    before = echo.heard
    with listening(daemon, server, echo.port, PORTS["shut"]):
        assert exchange(PORTS["shut"], b"\0x") == b""
    assert echo.heard == before
    (came,) = connections(daemon, ended(daemon))
    assert came["verdict"] == "deny"


def test_what_is_asked_of_the_agent_passes_and_is_noted(daemon, server, echo):
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    with listening(daemon, server, echo.port):
        assert exchange(PORTS["fixed"], request) == request + b"bye"
    assert ("none", "in a remote forward: http") in notes(daemon, ended(daemon))


def test_where_the_agent_leads_it_is_judged_there(daemon, server, page):
    """It connects to that place itself."""
    with listening(daemon, server, page.server_port):
        asked = {path: subprocess.run(["curl", "-s", "-o", "-", "-w", " %{http_code}", f"http://127.0.0.1:{PORTS['fixed']}{path}",
                                       "-H", f"Host: 127.0.0.1:{page.server_port}"], capture_output=True, text=True, timeout=20).stdout
                 for path in ("/open/a", "/closed")}
    assert asked["/open/a"] == "a page 200" and asked["/closed"].endswith(" 403"), asked
    assert page.paths == ["/open/a"]


@pytest.mark.parametrize("said,name", [(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "http"), (b"\0\0\0\x08\x04\xd2\x16\x2f", "postgres"), (b"SSH-2.0-x\r\n", "ssh")])
def test_the_agent_does_not_ask_through_it(daemon, server, said, name):
    def answer(connection):
        connection.sendall(said)
        everything(connection)

    with serving(answer) as target, listening(daemon, server, target), connect(PORTS["fixed"]) as s:
        assert everything(s) == b""
    assert ("wrong_protocol", f"in a remote forward: {name}") in notes(daemon, ended(daemon))


def test_nobody_logs_in_through_it(daemon, server, echo):
    """Which side of it would be let in can't be told from the first bytes."""
    before = echo.heard
    with listening(daemon, server, echo.port):
        assert exchange(PORTS["fixed"], b"SSH-2.0-x\r\n") == b""
    assert echo.heard == before
    assert ("wrong_protocol", "in a remote forward: ssh") in notes(daemon, ended(daemon))


# An agent that asks without end, and closes behind what it sends.
ASKS = """
import paramiko, sys, threading
t = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
t.connect(username="root", password="any")
def serve(channel, origin, place):
    channel.recv(1)
    channel.sendall(b"x" * 300000)
    channel.close()
had = 0
port = t.request_port_forward("localhost", int(sys.argv[2]), lambda *words: threading.Thread(target=serve, args=words).start())
print(port, flush=True)
sys.stdin.readline()
for n in range(80):
    try:
        t.request_port_forward("localhost", 0)
        had += 1
    except paramiko.SSHException:
        pass
print(had, flush=True)
for n in range(3000):
    m = paramiko.Message()
    m.add_byte(bytes([80]))
    m.add_string("tcpip-forward" if n % 2 else "cancel-tcpip-forward")
    m.add_boolean(True)
    m.add_string("localhost")
    m.add_int(n % 70000)
    t._send_user_message(m)
c = t.open_session()
c.exec_command("echo still here")
print(c.recv(100).decode(), end="", flush=True)
"""


def test_an_agent_that_asks_for_many(daemon, server):
    process = daemon.popen("/usr/bin/python3", "-c", ASKS, str(server.port), str(PORTS["fixed"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    assert int(process.stdout.readline()) == PORTS["fixed"]
    assert exchange(PORTS["fixed"], b"\0") == b"x" * 300000
    out, errors = process.communicate("go\n", timeout=60)
    assert out == "63\nstill here\n", (out, errors[-2000:])
    wait_for(lambda: not daemon.ssh_sessions())
