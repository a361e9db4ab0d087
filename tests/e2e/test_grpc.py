# SPDX-License-Identifier: Apache-2.0
"""gRPC through an agent, by the libraries that there are: the one in C, of Python, in TLS and in clear; grpc-js of Node and Go's in TLS. Each runs the
same calls (clients/grpc_calls.*)."""
import json
import os
import pathlib
import subprocess

import pytest
from conftest import make_config
from harness import certificates, golang
from harness import daemon as daemons
from harness.ports import free_port
from harness.waiting import wait_for

PYTHON = "/usr/bin/python3"
CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"
# google.rpc.Code
OK, CANCELLED, DEADLINE_EXCEEDED, PERMISSION_DENIED, FAILED_PRECONDITION, UNAVAILABLE = 0, 1, 4, 7, 9, 14
RULES = [
    {"name": "calls", "operations": ["POST"], "objects": ["/shop.Orders/*"], "allow": {}},
    {"name": "no deletes", "operations": ["POST"], "objects": ["/shop.Orders/Delete*"], "deny": {"message": "100 % never\u2026"}},
    {"name": "people", "operations": ["POST"], "objects": ["/shop.Orders/Asked*"], "review": {"by": "dba"}},
]
DENIED = [PERMISSION_DENIED, 'wayleave: denied by rule "no deletes": 100 % never\u2026']
ONE = [OK, "", "HELLO", "yes", "too", "00ff"]
# What lets a library tell of its pings, and what it says of one that was answered. Go's sends none more often than each ten seconds.
PINGS = {"python": ("http_keepalive", "Finish keepalive ping"), "node": ("keepalive", "Received ping response")}


def telling_of_pings(library):
    return {"GRPC_TRACE": PINGS[library][0], "GRPC_VERBOSITY": "DEBUG"} if library in PINGS else {}


def pings(library, log):
    """That were answered, as it says."""
    return log.read_text().count(PINGS[library][1])


class Server:
    """With a certificate of the authority in its folder."""

    def __init__(self, folder, ports):
        self.folder, self.ports = folder, ports
        ready = folder / f"ready-{ports['TLS']}"
        ready.unlink(missing_ok=True)
        self.log = folder / f"log-{ports['TLS']}"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([PYTHON, CLIENTS / "grpc_server.py", folder, *map(str, ports.values())], stderr=log,
                                            env={**os.environ, **telling_of_pings("python")})
        wait_for(ready.exists)

    def notes(self):
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grpc")
    certificates.make_authority(folder)
    certificates.make_leaf(folder, "server", ("localhost",))
    s = Server(folder, {"clear": free_port(), "TLS": free_port()})
    s.of_another = {"clear": free_port(), "TLS": free_port()}
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("wayleave"), {
        **make_config(1), "workers": 1, "reviewers": {"dba": {"local_users": ["root"]}},
        "resources": [{"name": "clear", "protocol": "http", "hosts": [f"127.0.0.1:{p['clear']}" for p in (server.ports, server.of_another)]},
                      {"name": "TLS", "protocol": "http", "hosts": [f"localhost:{p['TLS']}" for p in (server.ports, server.of_another)],
                       "tls": {"ca_file": str(server.folder / "ca.pem")}}]}, RULES)
    (d.folder / "host-ca.pem").write_text(d.wayleave("ca", "show").stdout)
    yield d
    assert d.process.poll() is None, d.text()[-2000:]
    d.close()


def command(library):
    if library == "go":
        return [golang.build(CLIENTS / "grpc_calls.go")]
    return {"python": [PYTHON, CLIENTS / "grpc_calls.py"], "node": ["node", CLIENTS / "grpc_calls.js"]}[library]


class Client:
    """A library in the agent, at one of the server's places."""

    def __init__(self, daemon, server, library, place):
        self.daemon, self.server, self.library, self.place = daemon, server, library, place
        ca = str(daemon.folder / "host-ca.pem") if place == "TLS" else ""
        self.words = [*command(library), f"{'localhost' if ca else '127.0.0.1'}:{server.ports[place]}", ca]

    def __call__(self, *calls):
        """What came of each call, all on one connection, and what the server noted meanwhile."""
        before = len(self.server.notes())
        done = self.daemon.run(*self.words, *calls, timeout=60)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], self.server.notes()[before:]


@pytest.fixture(params=["python clear", "python TLS", "node TLS", "go TLS"])
def client(request, daemon, server):
    return Client(daemon, server, *request.param.split())


def test_calls_of_all_four_kinds(client):
    said, noted = client("One", "Down", "Up", "Both", "Large")
    # Of Both, each answer comes before the next message is sent. Large: 5 MiB, there and back.
    assert said == [ONE, [OK, "", ["a", "b", "c"]], [OK, "", 200_004], [OK, "", ["eno", "owt", "eerht"], 0], [OK, "", True]]
    assert [n["call"] for n in noted] == ["One", "Down", "Up", "Both", "One"]
    assert len({n["peer"] for n in noted}) == 1
    shown = client.daemon.wayleave("sessions", "show", client.daemon.json("sessions", "list")[0]["id"]).stdout
    assert all(f"/shop.Orders/{n['call']}" in shown for n in noted), shown


def test_a_servers_status_passes(client):
    """With its details, which are a trailer of bytes."""
    (said,), _ = client("Fail")
    assert said[:2] == [FAILED_PRECONDITION, "not today: 100% \u00fc"]
    assert said[2].startswith("0809") and b"StringValue" in bytes.fromhex(said[2]) and said[2].endswith(b"later".hex())


def test_deadlines_and_cancelled_calls(client):
    """The client's own to tell; the server is told of both, and the connection lives on."""
    said, noted = client("Slow", "Watch", "One")
    assert said == [[DEADLINE_EXCEEDED], [CANCELLED, "first"], ONE]
    assert 0 < noted[0]["waits"] <= 0.5
    assert len({n["peer"] for n in noted if "peer" in n}) == 1
    wait_for(lambda: {n["gone"]: n["after"] for n in client.server.notes() if "gone" in n} == {"Slow": True, "Watch": True})


def test_a_denial_is_a_status(client):
    """With its message, whatever the kind of call; and the connection lives on."""
    sessions = len(client.daemon.json("sessions", "list"))
    said, noted = client("One", "Delete", "DeleteUp", "DeleteBoth", "One")
    assert said == [ONE, DENIED, DENIED, DENIED, ONE]
    assert [n["call"] for n in noted] == ["One", "One"] and len({n["peer"] for n in noted}) == 1
    assert len(client.daemon.json("sessions", "list")) == sessions + 1


def test_many_denials_end_no_connection(client):
    """Libraries reset a call that is over before they have ended it."""
    said, noted = client("One", *["DeleteBoth"] * 600, "One")
    assert said == [ONE, *[DENIED] * 600, ONE]
    assert len(noted) == 2 and len({n["peer"] for n in noted}) == 1


def pending(daemon):
    return [r for r in daemon.json("reviews", "list") if r["state"] == "pending" and r["objects"] == ["/shop.Orders/Asked"]]


def wait_for_pings(client, log):
    """Of the client and the server, on connections over which nothing else passes."""
    ends = [("python", client.server.log), *([(client.library, log)] if client.library in PINGS else [])]
    before = [pings(*end) for end in ends]
    wait_for(lambda: all(pings(*end) > count for end, count in zip(ends, before)))


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_people_decide(client, decision, tmp_path):
    """Meanwhile pings are answered: whoever sends them would end its connection."""
    daemon, before, log = client.daemon, len(client.server.notes()), tmp_path / "log"
    with open(log, "w") as told, daemon.popen(*client.words, "One", "Asked", stdout=subprocess.PIPE, stderr=told, text=True,
                                              env=telling_of_pings(client.library)) as p:
        assert json.loads(p.stdout.readline()) == ONE
        review = wait_for(lambda: pending(daemon))[0]
        assert "    | a message, 5 bytes\n    | hello\n" in daemon.wayleave("reviews", "show", review["id"]).stdout
        if decision == "approve":
            wait_for_pings(client, log)
        assert len(client.server.notes()) == before + 1
        daemon.wayleave("reviews", decision, review["id"], *([] if decision == "approve" else ["--reason", "not now"]))
        said = json.loads(p.stdout.readline())
    noted = client.server.notes()[before:]
    if decision == "approve":
        assert said == ONE
        assert [n["call"] for n in noted] == ["One", "Asked"] and len({n["peer"] for n in noted}) == 1
    else:
        assert said[0] == PERMISSION_DENIED and "not now" in said[1], said
        assert len(noted) == 1


def test_people_decide_behind_the_deadline(client):
    """Who asks again gets what was approved, however long it waits now."""
    said, noted = client("Soon")
    assert (said, noted) == ([[DEADLINE_EXCEEDED]], [])
    review, = pending(client.daemon)
    assert client.daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    said, noted = client("Again")
    assert said == [[OK, "", "AGAIN", *ONE[3:]]]
    assert [n["call"] for n in noted] == ["Asked"] and not pending(client.daemon)


def test_what_people_can_not_be_shown(client):
    """Too much, and what has not ended yet."""
    said, noted = client("AskedLarge", "AskedBoth", "One")
    assert said[0][0] == PERMISSION_DENIED and "it needs approval, but" in said[0][1], said
    assert said[1:] == [[DEADLINE_EXCEEDED], ONE] and len(noted) == 1


def test_a_server_that_is_gone(client):
    """Midway, what it said stays; and the status is one that libraries try again."""
    server = Server(client.server.folder, client.server.of_another)
    of_it = Client(client.daemon, server, client.library, client.place)
    try:
        said, _ = of_it("One", "Break")
    finally:
        server.stop()
    assert said == [ONE, [UNAVAILABLE, "wayleave: the server closed the connection", ["first"]]]
    (said,), _ = of_it("One")
    assert said[0] == UNAVAILABLE and "wayleave: cannot reach" in said[1], said
