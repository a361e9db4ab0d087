# SPDX-License-Identifier: Apache-2.0
"""Logins by the agent's own keys: read as the agent's user and nobody else, and used for this login alone."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest
from harness import ssh
from harness.ssh_gate import OPTIONS, ended, gate
from harness.waiting import wait_for

RULES = [{"name": "all", "resources": ["box"], "operations": ["exec"], "allow": {}}]
USER = "nobody"
IDS = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture(scope="module")
def place():
    """A folder of the user; pytest's own are root's alone."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wayleave-own-"))
    shutil.chown(folder, USER)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def keys(place):
    """Two that the host lets in, and one that needs a passphrase."""
    made = {name: ssh.make_key(place / name, kind) for name, kind in (("plain", "ed25519"), ("file", "ecdsa"), ("locked", "ed25519"))}
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret words", "-f", made["locked"]], check=True)
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory, keys):
    s = ssh.Server(tmp_path_factory.mktemp("sshd"), settings=["LogLevel VERBOSE"])
    s.allow(*keys.values())
    yield s
    s.stop()


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    with gate(tmp_path_factory.mktemp("ssh"), server, RULES, agent=True) as d:
        yield d


@pytest.fixture
def home(place):
    folder = pathlib.Path(tempfile.mkdtemp(dir=place))
    (folder / ".ssh").mkdir()
    for path in (folder, folder / ".ssh"):
        shutil.chown(path, USER)
    return folder


def put(key, home, name, user=USER):
    """A copy of the key as a file that ssh tries by itself."""
    copy = home / ".ssh" / name
    shutil.copy(key, copy)
    copy.chmod(0o600)
    shutil.chown(copy, user)
    return copy


@contextlib.contextmanager
def ssh_agent(path, *added):
    process = subprocess.Popen([*IDS, "ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    try:
        wait_for(path.exists, what="ssh-agent")
        for key in added:
            subprocess.run(["ssh-add", "-q", key], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(path)}, stdin=subprocess.DEVNULL)
        yield
    finally:
        process.terminate()
        process.wait(10)


def login(daemon, server, user=USER, options=(), **variables):
    words = [f"{name}={value}" for name, value in variables.items()]
    return daemon.run("env", "-u", "SSH_AUTH_SOCK", *words, "ssh", *OPTIONS, *options, "-p", server.port, "root@127.0.0.1", "echo in",
                      user=user, stdin=subprocess.DEVNULL)


def accepted(server):
    """The last key that the host let in."""
    return [line.split("SHA256:")[1].split()[0] for line in server.log.read_text().splitlines() if "Accepted publickey" in line][-1]


def fingerprint(key):
    words = subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True).stdout.split()
    return words[1].removeprefix("SHA256:")


def refused(done, *words):
    assert done.returncode == 126 and done.stdout == "", done
    for word in words:
        assert word in done.stderr, done.stderr


def test_by_its_ssh_agent(daemon, server, keys, home):
    with ssh_agent(home / "socket", keys["plain"]):
        done = login(daemon, server, HOME=home, SSH_AUTH_SOCK=home / "socket")
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    assert accepted(server) == fingerprint(keys["plain"])
    assert ended(daemon)["user"] == "root"


def test_by_a_key_file(daemon, server, keys, home):
    put(keys["file"], home, "id_ecdsa")
    done = login(daemon, server, HOME=home)
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    assert accepted(server) == fingerprint(keys["file"])


def test_where_the_ssh_agent_has_no_key_a_file_may(daemon, server, keys, home):
    put(keys["file"], home, "id_ecdsa")
    with ssh_agent(home / "socket"):
        assert login(daemon, server, HOME=home, SSH_AUTH_SOCK=home / "socket").stdout == "in\n"


def test_a_key_with_a_passphrase_is_of_no_use(daemon, server, keys, home):
    path = put(keys["locked"], home, "id_ed25519")
    refused(login(daemon, server, HOME=home), f"{path}: the private key has a passphrase")


def test_the_ssh_agent_is_dead(daemon, server, keys, home):
    dead = home / "socket"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(dead))
    listener.close()
    shutil.chown(dead, USER)
    refused(login(daemon, server, HOME=home, SSH_AUTH_SOCK=dead), f"{dead}: Connection refused")
    refused(login(daemon, server, HOME=home, SSH_AUTH_SOCK=home / "nowhere"), "No such file or directory")


def test_no_key_at_all(daemon, server, home):
    refused(login(daemon, server, HOME=home), "no SSH_AUTH_SOCK and no key in ~/.ssh")


@pytest.mark.parametrize("said", [b"\0\0\0\1\x05", b"\xff\xff\xff\xff", b"\0\0\0\5\x0c\xff\xff\xff\xff", b""])
def test_an_ssh_agent_that_is_none(daemon, server, home, said):
    path = home / "socket"

    def answer(listener):
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(said)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()
        thread = threading.Thread(target=answer, args=(listener,), daemon=True)
        thread.start()
        # The client would ask it too.
        done = login(daemon, server, options=["-o", "IdentityAgent=none"], HOME=home, SSH_AUTH_SOCK=path)
        thread.join(30)
    refused(done, f"{path}: ")
    assert "does not answer as an ssh-agent" in done.stderr or not said, done.stderr


def test_what_the_user_may_not_read_is_not_read(daemon, server, keys, home):
    path = put(keys["plain"], home, "id_ed25519", user="root")
    refused(login(daemon, server, HOME=home), f"{path}: Permission denied")
    path.unlink()
    with ssh_agent(home / "socket", keys["plain"]):
        shutil.chown(home / "socket", "root")
        (home / "socket").chmod(0o600)
        refused(login(daemon, server, HOME=home, SSH_AUTH_SOCK=home / "socket"), "Permission denied")


def test_what_is_no_file_is_not_waited_for(daemon, server, keys, home):
    os.mkfifo(home / ".ssh" / "id_ed25519")
    shutil.chown(home / ".ssh" / "id_ed25519", USER)
    put(keys["file"], home, "id_ecdsa")
    assert login(daemon, server, HOME=home).stdout == "in\n"


def test_root_has_no_key_of_its_own_here(daemon, server, keys, home):
    """The administrator's ssh-agent is root's too."""
    with ssh_agent(home / "socket", keys["plain"]):
        refused(login(daemon, server, user=None, HOME=home, SSH_AUTH_SOCK=home / "socket"), "run as root")


def test_keys_that_the_host_does_not_know(daemon, server, home, place):
    with ssh_agent(home / "socket", ssh.make_key(home / "other")):
        refused(login(daemon, server, HOME=home, SSH_AUTH_SOCK=home / "socket"), "does not let root in")


def test_nothing_of_it_stays(daemon, server, keys, home):
    with ssh_agent(home / "socket", keys["plain"]):
        assert login(daemon, server, HOME=home, SSH_AUTH_SOCK=home / "socket").stdout == "in\n"
    wait_for(lambda: not subprocess.run(["pgrep", "-P", str(daemon.process.pid), "-f", "own keys"], capture_output=True).stdout)
