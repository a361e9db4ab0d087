# SPDX-License-Identifier: Apache-2.0
"""Hosts that are known by their authority: who shows its certificate and has that key is let to, all others are refused with the reason."""
import contextlib
import itertools
import socket
import threading

import pytest
from harness import ssh
from harness.ssh_gate import ended, gate, run

RULES = [{"name": "commands", "resources": ["box", "named"], "operations": ["exec"], "objects": ["echo *"], "allow": {}}]
HOST = ["-h", "-n", "127.0.0.1,localhost"]
# By which each host's key is certified; CA and OTHER are authorities.
CERTIFIED = {
    "good": ["-s", "CA", *HOST],
    "again": ["-s", "CA", *HOST],
    "expired": ["-s", "CA", *HOST, "-V", "-2d:-1d"],
    "early": ["-s", "CA", *HOST, "-V", "+1d:+2d"],
    "misnamed": ["-s", "CA", "-h", "-n", "localhost.localdomain,127.0.0.2"],
    "unnamed": ["-s", "CA", "-h"],
    "user": ["-s", "CA", "-n", "127.0.0.1"],
    "stranger": ["-s", "OTHER", *HOST],
    "critical": ["-s", "CA", *HOST, "-O", "critical:verify-required"],
    "none": [],
    "ecdsa": ["-s", "CA", *HOST],
    "rsa": ["-s", "OTHER", *HOST],
}


class Switch:
    """Leads its clients to one port after the other, and begins anew."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.lead_to()
        threading.Thread(target=self.accept, daemon=True).start()

    def lead_to(self, *servers):
        self.clients, self.ports = 0, itertools.cycle([s.port for s in servers])

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.clients += 1
                server = socket.create_connection(("127.0.0.1", next(self.ports)))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self.copy, args=pair, daemon=True).start()

    @staticmethod
    def copy(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certified")


@pytest.fixture(scope="module")
def authorities(folder):
    return {name: ssh.make_key(folder / name, kind) for name, kind in (("CA", "ed25519"), ("OTHER", "ecdsa"))}


@pytest.fixture(scope="module")
def servers(folder, authorities):
    """By the same key the agent is let in, wherever that comes to it."""
    with contextlib.ExitStack() as all_of_them:
        found = {}
        for name, words in CERTIFIED.items():
            kind = name if name in ("ecdsa", "rsa") else "ed25519"
            found[name] = ssh.Server(folder / name, host_keys=[kind], certified=[authorities.get(word, word) for word in words])
            all_of_them.callback(found[name].stop)
            found[name].allow(found["good"].user_key)
        yield found


@pytest.fixture(scope="module")
def switch(servers):
    s = Switch()
    yield s
    s.listener.close()


@pytest.fixture(scope="module")
def named(servers):
    s = Switch()
    s.lead_to(servers["good"])
    yield s
    s.listener.close()


@pytest.fixture(scope="module")
def daemon(folder, servers, switch, named, authorities):
    def change(config):
        box = config["resources"][0]
        box["hosts"] = [f"127.0.0.1:{switch.port}"]
        config["resources"].append({**box, "name": "named", "hosts": [f"localhost:{named.port}"], "host_keys": str(folder / "named.known"),
                                    "credentials": dict(box["credentials"])})

    (folder / "named.known").write_text(f"@cert-authority [local*]:{named.port} {ssh.public(authorities['CA'])}\n")
    with gate(folder, servers["good"], RULES, change=change) as d:
        yield d


@pytest.fixture
def known(folder, authorities):
    """Writes host_keys, which each session reads."""
    def write(*more, authority="CA"):
        (folder / "known").write_text("".join(f"{line}\n" for line in (f"@cert-authority * {ssh.public(authorities[authority])}", *more)))
    write()
    return write


def refused(daemon, switch, words):
    done = run(daemon, switch, "echo in")
    assert done.returncode == 126 and not done.stdout and f"[127.0.0.1]:{switch.port}" in done.stderr and words in done.stderr, done
    assert ended(daemon)["reason"] == "upstream_login"


def test_its_certificate_makes_a_host_known(daemon, servers, switch, known):
    switch.lead_to(servers["good"])
    done = run(daemon, switch, "echo in")
    assert (done.returncode, done.stdout, done.stderr) == (0, "in\n", "")
    assert switch.clients == 2 and "the host's certificate was asked for" in servers["good"].log.read_text()


@pytest.mark.parametrize("kind, authority", [("ecdsa", "CA"), ("rsa", "OTHER")])
def test_keys_of_other_kinds_are_certified_too(daemon, servers, switch, known, kind, authority):
    switch.lead_to(servers[kind])
    known(authority=authority)
    assert run(daemon, switch, "echo in").stdout == "in\n"


def test_the_name_that_led_there_is_the_one_that_counts(daemon, named):
    assert run(daemon, named, "echo in", options=("-4", "-o", "Hostname=localhost")).stdout == "in\n"


@pytest.mark.parametrize("host, words", [
    ("expired", "has expired"), ("early", "is not valid yet"), ("misnamed", "does not name it"), ("unnamed", "does not name it"),
    ("user", "is not one of a host"), ("stranger", "is not signed by an authority that host_keys has"), ("critical", "has critical options")])
def test_a_certificate_that_is_not_believed(daemon, servers, switch, known, host, words):
    switch.lead_to(servers[host])
    refused(daemon, switch, words)
    assert switch.clients == 1


def test_a_host_without_a_certificate(daemon, servers, switch, known):
    switch.lead_to(servers["none"])
    refused(daemon, switch, "host_keys has an authority for")


def test_revoked_keys(daemon, servers, switch, known, authorities):
    switch.lead_to(servers["good"])
    known(f"@revoked * {ssh.public(authorities['CA'])}")
    refused(daemon, switch, "is signed by an authority that is revoked in host_keys")
    known(f"@revoked * {ssh.public(servers['good'].host_keys[0])}")
    refused(daemon, switch, "is revoked in host_keys")


@pytest.mark.parametrize("behind", ["again", "none"])
def test_whose_certificate_it_is_has_to_have_the_key(daemon, servers, switch, known, behind):
    """Anybody can show another host's certificate."""
    switch.lead_to(servers["good"], servers[behind])
    refused(daemon, switch, "is not the one that its certificate has")


def test_a_key_of_the_host_is_all_that_counts_where_there_is_one(daemon, servers, switch, known):
    switch.lead_to(servers["none"])
    known(f"[127.0.0.1]:{switch.port} {ssh.public(servers['none'].host_keys[0])}")
    assert run(daemon, switch, "echo in").stdout == "in\n" and switch.clients == 1
    switch.lead_to(servers["good"])
    refused(daemon, switch, "is not the one that host_keys has")
