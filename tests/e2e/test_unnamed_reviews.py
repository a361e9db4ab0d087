# SPDX-License-Identifier: Apache-2.0
"""Connections that nothing reads are held until people decide where they may go; nothing leaves before."""
import contextlib
import socket
import subprocess
import threading
import time

import pytest
from conftest import Psql, make_config
from harness.daemon import readable
from harness.reviews import decide, pending, state_of, wait_for_pending
from harness.waiting import wait_for

READ = {"name": "read", "resources": ["egress"], "operations": ["read"], "objects": ["public.customers"], "allow": {}}
ASK = {"name": "elsewhere", "resources": ["egress"], "operations": ["connect"], "review": {"by": "net", "within": "10m", "grant": "30m"}}
REVIEWERS = {"net": {"local_users": ["root"]}}
# Says what it is given, and prints all that comes back, or how it ended.
TALK = """
import socket, sys, time
try:
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
    print("connected", flush=True)
except ConnectionResetError:
    # A refusal may be as fast as connect() is.
    print("connected\\nreset", flush=True)
    sys.exit()
if len(sys.argv) > 2:
    s.sendall(sys.argv[2].encode())
try:
    print(s.recv(100).decode() or "end", flush=True)
except ConnectionResetError:
    print("reset", flush=True)
"""


class Echo:
    """A server of a protocol of its own; knows who came and what was said."""

    def __init__(self, greeting=b""):
        self.accepted, self.said, self.greeting = 0, b"", greeting
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.server.accept()
                self.accepted += 1
                threading.Thread(target=self.answer, args=(peer,), daemon=True).start()

    def answer(self, peer):
        with peer, contextlib.suppress(OSError):
            if self.greeting:
                peer.send(self.greeting)
            data = peer.recv(100)
            self.said += data
            peer.send(data)

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


@pytest.fixture
def echo():
    made = []

    def make(greeting=b""):
        made.append(Echo(greeting))
        return made[-1]

    yield make
    for e in made:
        e.close()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    from harness import daemon as daemons
    config = {**make_config(1), "loopback": "egress", "egress": "review", "reviewers": REVIEWERS}
    d = daemons.Daemon(tmp_path_factory.mktemp("unnamed"), config, [READ, ASK])
    yield d
    d.close()


@pytest.fixture
def talk(daemon):
    made = []

    def make(port, *words, by=daemon):
        p = by.popen("/usr/bin/python3", "-c", TALK, port, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        made.append(p)
        assert p.stdout.readline() == "connected\n"
        return p

    yield make
    for p in made:
        p.kill()
        p.wait()
    for grant in daemon.json("grants", "list"):
        daemon.wayleave("grants", "revoke", grant["id"])
    wait_for_pending(daemon, 0)


def line(process, timeout=15):
    assert readable(process.stdout, timeout), "no answer"
    return process.stdout.readline().strip()


def newest(daemon):
    return max(daemon.json("sessions", "list"), key=lambda s: s["start"])


def test_nothing_leaves_before_it_is_approved(daemon, echo, talk):
    server = echo()
    p = talk(server.port, "hello")
    (review,) = wait_for_pending(daemon)
    assert not readable(p.stdout, 0.5) and server.accepted == 0
    assert (review["resource"], review["protocol"], review["rule"], review["agent"]) == ("egress", "tcp", "elsewhere", "demo")
    assert review["operations"] == ["connect"] and review["objects"] == [f"127.0.0.1:{server.port}"] == [review["text"]]
    decide(daemon, "approve", review)
    assert line(p) == "hello" and server.accepted == 1 and server.said == b"hello"
    # What went through stands there a moment after it went.
    wait_for(lambda: newest(daemon)["bytes_to_server"] == 5, what="the session's count")
    session = newest(daemon)
    assert (session["resource"], session["protocol"]) == ("egress", "tcp")
    shown = daemon.wayleave("sessions", "show", session["id"]).stdout
    assert review["id"] in shown and "review approved" in shown and "relayed unread" in shown, shown
    # Once: the next connection is another review.
    again = talk(server.port, "hello")
    (other,) = wait_for_pending(daemon)
    assert other["id"] != review["id"]
    decide(daemon, "deny", other, "--reason", "once was enough")
    assert line(again) == "reset" and server.accepted == 1


def test_a_denial_is_a_reset_with_its_reason_recorded(daemon, echo, talk):
    server = echo()
    p = talk(server.port, "hello")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "deny", review, "--reason", "not there")
    assert line(p) == "reset" and server.accepted == 0
    shown = daemon.wayleave("sessions", "show", newest(daemon)["id"]).stdout
    assert "not there" in shown and review["id"] in shown and "denied by root" in shown, shown


def test_who_closes_waits_no_more(daemon, echo, talk):
    server = echo()
    p = talk(server.port, "hello")
    (review,) = wait_for_pending(daemon)
    p.kill()
    wait_for_pending(daemon, 0)
    assert state_of(daemon, review) == "cancelled" and server.accepted == 0


def test_who_closes_at_once_asks_nobody(daemon, echo):
    server = echo()
    code = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1]))).close()"
    before = len(daemon.json("reviews", "list"))
    assert daemon.run("/usr/bin/python3", "-c", code, server.port).returncode == 0
    wait_for(lambda: newest(daemon)["end"])
    assert len(daemon.json("reviews", "list")) == before and server.accepted == 0


def test_a_server_that_speaks_first(daemon, echo, talk):
    """The agent says nothing, so people are asked about the connection before the server is."""
    server = echo(b"220 mail.example.com")
    p = talk(server.port)
    (review,) = wait_for_pending(daemon)
    assert server.accepted == 0
    decide(daemon, "approve", review)
    assert line(p) == "220 mail.example.com"


def test_what_is_spoken_is_never_relayed_unread(daemon, server, talk):
    """PostgreSQL needs no approval of its connection, and is judged; also where it came behind an approved silence."""
    psql = Psql(daemon, server)
    assert psql.rows("select count(*) from customers", env={"PGSSLMODE": "disable"}) == ["20"]
    assert "no rule allows select on public.secrets" in psql.error("select * from secrets")
    code = """
import socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
sys.stdin.readline()
body = struct.pack(">I", 196608) + b"user\\0app\\0database\\0shop\\0\\0"
query = b"select * from secrets\\0"
s.send(struct.pack(">I", len(body) + 4) + body + b"Q" + struct.pack(">I", len(query) + 4) + query)
seen = b""
while b"no rule allows" not in seen and b"top secret" not in seen:
    data = s.recv(4096)
    if not data:
        break
    seen += data
print(seen, flush=True)
"""
    for before in (True, False):
        p = daemon.popen("/usr/bin/python3", "-c", code, server.port, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        (review,) = wait_for_pending(daemon)
        if before:  # while it waits
            p.stdin.write("go\n")
            p.stdin.flush()
            time.sleep(0.2)
        decide(daemon, "approve", review)
        out = p.communicate(None if before else "go\n", timeout=15)[0]
        assert "no rule allows select on public.secrets" in out and "top secret" not in out


def test_a_grant_is_for_that_place_alone(daemon, echo, talk):
    server, other = echo(), echo()
    p = talk(server.port, "one")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "5m")
    assert line(p) == "one" and line(talk(server.port, "two")) == "two"
    p = talk(other.port, "three")
    (review,) = wait_for_pending(daemon)
    assert review["objects"] == [f"127.0.0.1:{other.port}"]
    decide(daemon, "deny", review, "--reason", "another place")
    assert line(p) == "reset" and other.accepted == 0


def test_alike_connections_share_a_review(daemon, echo, talk):
    server = echo()
    waiting = [talk(server.port, f"pool {i}") for i in range(3)]
    wait_for(lambda: [r["waiters"] for r in pending(daemon)] == [3])
    decide(daemon, "approve", pending(daemon)[0])
    assert [line(p) for p in waiting] == [f"pool {i}" for i in range(3)]


def test_the_rules_decide(make_daemon, echo, talk):
    """`egress: allow` with a rule that asks; nobody is asked about what a rule denies or none says who decides."""
    server = echo()
    config = {**make_config(1), "loopback": "egress", "egress": "allow", "reviewers": REVIEWERS}
    daemon = make_daemon(config, [{**ASK, "agents": ["demo"]}])
    p = talk(server.port, "hello", by=daemon)
    (review,) = wait_for_pending(daemon)
    # A reload judges it again: it is let go, and what people approved before stays.
    daemon.write_rules([{**ASK, "agents": ["other"]}])
    daemon.reload()
    assert line(p) == "hello"
    assert state_of(daemon, review) == "cancelled"

    def outcome():  # workers have a new policy soon after it was read
        line(talk(server.port, "hello", by=daemon))
        return daemon.wayleave("sessions", "show", newest(daemon)["id"]).stdout

    daemon.config["egress"] = "review"
    daemon.write_config()
    daemon.reload()
    wait_for(lambda: "no rule allows connect" in outcome())
    accepted = server.accepted
    daemon.write_rules([ASK, {"name": "never", "resources": ["egress"], "operations": ["connect"], "deny": {}}])
    daemon.reload()
    wait_for(lambda: 'denied by rule "never"' in outcome())
    assert pending(daemon) == [] and server.accepted == accepted


def test_a_named_place_that_nothing_reads(make_daemon, echo, talk):
    server = echo()
    config = {**make_config(1), "loopback": "egress", "reviewers": REVIEWERS}
    config["resources"].append({"name": "mail", "protocol": "tcp", "hosts": [f"127.0.0.1:{server.port}"]})
    daemon = make_daemon(config, [{**ASK, "resources": ["mail"]}])
    p = talk(server.port, "hello", by=daemon)
    (review,) = wait_for_pending(daemon)
    assert review["resource"] == "mail" and server.accepted == 0
    decide(daemon, "approve", review)
    assert line(p) == "hello"
    stays = talk(server.port, by=daemon)
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    wait_for(lambda: server.accepted == 2)
    daemon.reload()  # what people approved is not asked about again
    assert not readable(stays.stdout, 0.5) and pending(daemon) == []


def test_a_connection_whose_statements_could_be_asked_about_is_refused(make_daemon, server):
    daemon = make_daemon(make_config(server.port, reviewers=REVIEWERS), [{**ASK, "resources": ["shop"]}])
    assert "denied: it needs approval, but nobody can be asked about a connection" in Psql(daemon, server).error("select 1")
    assert newest(daemon)["denied"] == 1


def test_observed_it_is_relayed(make_daemon, echo, talk):
    server = echo()
    config = {**make_config(1), "mode": "observe", "loopback": "egress", "egress": "review", "reviewers": REVIEWERS}
    daemon = make_daemon(config, [ASK])
    assert line(talk(server.port, "hello", by=daemon)) == "hello"
    assert pending(daemon) == []
