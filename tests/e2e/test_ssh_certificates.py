# SPDX-License-Identifier: Apache-2.0
"""Logins by certificates of the host's own authority, at a host that trusts it and nothing else."""
import re
import subprocess

import pytest
from harness import ssh
from harness.ssh_gate import ended, gate, run

RULES = [{"name": "all", "resources": ["box"], "operations": ["exec"], "allow": {}}]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("ca")


@pytest.fixture(scope="module")
def server(place):
    s = ssh.Server(place / "sshd", settings=[f"TrustedUserCAKeys {place}/trusted", "LogLevel VERBOSE"])
    s.allow()
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, place):
    with gate(place, server, RULES, ca=True) as d:
        yield d


def trust(place, *lines):
    (place / "trusted").write_text("".join(line + "\n" for line in lines))


def authority(daemon):
    done = daemon.wayleave("ca", "show", "--ssh")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_each_session_has_a_certificate_of_its_own(daemon, server, place):
    trust(place, authority(daemon))
    for _ in range(2):
        done = run(daemon, server, "echo in")
        assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    session = ended(daemon)
    said = re.findall(r"Accepted publickey for root .* ED25519-CERT \S+ ID (.*) \(serial (\d+)\)", server.log.read_text())
    assert said[-1][0] == f"wayleave agent=demo resource=box session={session['id']}"
    assert said[-1] != said[-2] and said[-1][1] != said[-2][1]


def test_the_authority_is_shown_and_kept(daemon, server, place):
    line = authority(daemon)
    assert daemon.json("ca", "show", "--ssh") == {"ssh_ca": line}
    assert (daemon.state / "ca/ssh_ca.pub").read_text().strip() == line
    key = daemon.state / "ca/ssh_ca.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert subprocess.run(["ssh-keygen", "-y", "-f", key], check=True, capture_output=True, text=True).stdout.split()[:2] == line.split()[:2]


def test_a_host_that_does_not_trust_it_lets_nobody_in(daemon, server, place):
    trust(place, ssh.public(server.user_key))
    done = run(daemon, server, "echo in")
    assert done.returncode == 126 and "does not let root in" in done.stderr
    trust(place, authority(daemon))
    assert run(daemon, server, "echo in").returncode == 0


@pytest.mark.parametrize("address, code", [("127.0.0.0/8", 0), ("10.9.8.7", 126)])
def test_where_it_may_come_from(server, place, tmp_path, address, code):
    with gate(tmp_path, server, RULES, ca=True, source_addresses=[address]) as d:
        trust(place, authority(d))
        done = run(d, server, "echo in")
        assert done.returncode == code, done.stderr
    if code:
        assert "not from a permitted source address" in server.log.read_text()
