# SPDX-License-Identifier: Apache-2.0
"""Several ways to log in at a host: one after the other, and none that the configuration does not have."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from conftest import ROOT
from harness import ssh
from harness.ports import free_port
from harness.ssh_gate import OPTIONS, ended, gate, run

RULES = [{"name": "all", "operations": ["exec"], "allow": {}}]
USER = "nobody"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("logins")


@pytest.fixture(scope="module")
def server(place):
    s = ssh.Server(place / "sshd", settings=[f"TrustedUserCAKeys {place}/trusted", "LogLevel VERBOSE"])
    yield s
    s.stop()


@pytest.fixture(scope="module")
def asking(place):
    """A host that lets in by its password alone, and says what was tried."""
    key, port = ssh.make_key(place / "asking"), free_port()
    process = subprocess.Popen(["/usr/bin/python3", ROOT / "harness/ssh_server.py", str(port), key, "root", "correct horse", "publickey,password"],
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == "listening\n"
    process.port = port
    (place / "asking.known").write_text(f"[127.0.0.1]:{port} {ssh.public(key)}\n")
    yield process
    process.kill()
    process.wait(10)
    process.stdout.close()


@pytest.fixture(scope="module")
def daemon(server, asking, place):
    for name, text in (("right", "correct horse\n"), ("wrong", "wrong\n")):
        (place / name).write_text(text)
        (place / name).chmod(0o600)
    shutil.copy(server.user_key, place / "key")

    def change(config):
        config["agents"][0]["users"] = [USER]
        config["resources"].append({"name": "asking", "protocol": "ssh", "hosts": [f"127.0.0.1:{asking.port}"], "host_keys": str(place / "asking.known"),
                                    "credentials": {"user": "root", "key_file": str(place / "key"), "password_file": str(place / "right")}})

    with gate(place, server, RULES, change=change, ca=True, key_file=str(place / "key"), agent=True) as d:
        yield d


@pytest.fixture(scope="module")
def home():
    """Of a user who has a key."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wayleave-home-"))
    (folder / ".ssh").mkdir()
    ssh.make_key(folder / ".ssh/id_ed25519")
    for path in (folder, folder / ".ssh", folder / ".ssh/id_ed25519"):
        shutil.chown(path, USER)
    yield folder
    shutil.rmtree(folder)


def login(daemon, server, home):
    return daemon.run("env", "-u", "SSH_AUTH_SOCK", f"HOME={home}", "ssh", *OPTIONS, "-p", server.port, "root@127.0.0.1", "echo in", user=USER,
                      stdin=subprocess.DEVNULL)


def accepted(server):
    """What the host let in last."""
    return [line for line in server.log.read_text().splitlines() if "Accepted publickey" in line][-1]


def fingerprint(key):
    return subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True).stdout.split()[1]


def test_certificate_key_and_the_agents_own_in_this_order(daemon, server, place, home):
    own = home / ".ssh/id_ed25519"
    authority = daemon.wayleave("ca", "show", "--ssh").stdout
    (place / "trusted").write_text(authority)
    server.allow(server.user_key, own)
    assert login(daemon, server, home).stdout == "in\n"
    assert "ED25519-CERT" in accepted(server)
    (place / "trusted").write_text(ssh.public(server.user_key) + "\n")
    assert login(daemon, server, home).stdout == "in\n"
    assert fingerprint(server.user_key) in accepted(server) and "CERT" not in accepted(server)
    server.allow(own)
    assert login(daemon, server, home).stdout == "in\n"
    assert fingerprint(own) in accepted(server)
    server.allow()
    done = login(daemon, server, home)
    assert done.returncode == 126 and "does not let root in" in done.stderr, done
    assert ended(daemon)["reason"] == "upstream_login"


def test_what_is_not_there_keeps_the_next_from_nothing(daemon, server, place, home):
    server.allow(home / ".ssh/id_ed25519")
    (place / "key").rename(place / "away")
    try:
        assert login(daemon, server, home).stdout == "in\n"
        assert str(place / "key") in daemon.text()
    finally:
        (place / "away").rename(place / "key")


def test_a_key_and_then_a_password(daemon, asking, place):
    done = run(daemon, asking, "echo in")
    assert (done.returncode, done.stdout) == (3, "echo in\n"), done.stderr
    assert [asking.stdout.readline() for _ in range(2)] == ["tried publickey\n", "tried password\n"]
    os.replace(place / "wrong", place / "right")
    done = run(daemon, asking, "echo in")
    assert done.returncode == 126 and "does not let root in" in done.stderr, done


def test_a_certificate_that_forces_a_command(server, place, tmp_path):
    with gate(tmp_path, server, RULES, ca=True, force_command="echo forced: $SSH_ORIGINAL_COMMAND") as d:
        (place / "trusted").write_text(d.wayleave("ca", "show", "--ssh").stdout)
        assert run(d, server, "echo in").stdout == "forced: echo in\n"
