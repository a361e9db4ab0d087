# SPDX-License-Identifier: Apache-2.0
"""Clients other than OpenSSH's, ways to log in, and what we offer to hosts."""
import json
import os
import pathlib
import stat
import subprocess
import tempfile

import pytest
from harness import ssh
from harness.ssh_gate import OPTIONS, ended, fingerprints, gate, run, server  # noqa: F401
from harness.records import records_of

CLIENTS = pathlib.Path(__file__).with_name("clients")
RULES = [
    {"name": "asked", "resources": ["box"], "operations": ["exec"], "objects": ["touch *"], "review": {"by": "ops", "within": "2s"}},
    {"name": "never", "resources": ["box"], "operations": ["exec"], "objects": ["reboot *"], "deny": {}},
    {"name": "kept", "resources": ["box"], "operations": ["sftp_remove"], "objects": ["*/there"], "deny": {}},
    {"name": "as nobody", "operations": ["connect"], "objects": ["nobody@127.0.0.1"], "deny": {"message": "not as nobody"}},
    {"name": "all", "operations": ["exec", "subsystem", "read", "write"], "allow": {}}]
# What OpenSSH's own client refuses, too.
WEAK = ["KexAlgorithms diffie-hellman-group14-sha1", "Ciphers aes256-cbc", "MACs hmac-md5"]


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    s = ssh.Server(tmp_path_factory.mktemp("strict"), settings=["LogLevel DEBUG3"], host_keys=["ed25519"])
    yield s
    s.stop()


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    servers = {words: ssh.Server(tmp_path_factory.mktemp("weak"), settings=[words, *([] if "Ciphers" in words else ["Ciphers aes256-ctr"])],
                                 host_keys=["ed25519"]) for words in WEAK}
    yield servers
    for s in servers.values():
        s.stop()


@pytest.fixture(scope="module")
def daemon(server, strict, weak, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ssh")

    def change(config):
        config["agents"][1]["known_hosts"] = "user"
        config["resources"].append({"name": "barred", "protocol": "ssh", "hosts": ["127.0.0.1:1"], "host_keys": str(folder / "known"),
                                    "credentials": {"user": "nobody", "key_file": str(server.user_key)}})
        for number, s in enumerate([strict, *weak.values()]):
            known = folder / f"known{number}"
            known.write_text(s.known())
            config["resources"].append({"name": f"other{number}", "protocol": "ssh", "hosts": [f"127.0.0.1:{s.port}"], "host_keys": str(known),
                                        "credentials": {"user": "root", "key_file": str(s.user_key)}})

    with gate(folder, server, RULES, change=change) as d:
        yield d


def test_dropbears_client(daemon, server):
    """It asks for no method first, and has lists of algorithms of its own."""
    data = os.urandom(1 << 20)
    words = ["dbclient", "-y", "-y", "-p", server.port, "root@127.0.0.1"]
    done = daemon.run(*words, "cat; exit 6", text=False, stdin=None, input=data)
    assert (done.returncode, done.stdout) == (6, data), done.stderr
    denied = daemon.run(*words, "reboot now", stdin=subprocess.DEVNULL)
    assert denied.returncode == 126 and "wayleave: denied" in denied.stderr, denied


PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ping:
    - copy: {src: FOLDER/from, dest: FOLDER/to, mode: "0640"}
    - command: wc -c FOLDER/to
      register: counted
    - debug: {var: counted.stdout}
"""


def test_ansible(daemon, server, tmp_path):
    """As it is by default: one connection, which it keeps (ControlPersist) and compresses."""
    (tmp_path / "from").write_bytes(os.urandom(100000))
    book = tmp_path / "book.yaml"
    book.write_text(PLAYBOOK.replace("FOLDER", str(tmp_path)))
    before = len(daemon.json("sessions", "list"))
    # Its sockets' paths may not be long.
    with tempfile.TemporaryDirectory() as home:
        settings = {"HOME": home, "ANSIBLE_LOCAL_TEMP": str(tmp_path / "local"), "ANSIBLE_REMOTE_TEMP": str(tmp_path / "remote"),
                    "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{home}/cp", "ANSIBLE_NOCOLOR": "1", "LANG": "C.UTF-8"}
        done = daemon.run("env", *(f"{name}={value}" for name, value in settings.items()), "ansible-playbook", "-i", "127.0.0.1,", "-u", "root",
                          "-e", f"ansible_port={server.port} ansible_python_interpreter=/usr/bin/python3", book, stdin=subprocess.DEVNULL, timeout=120)
        (control,) = pathlib.Path(home, "cp").iterdir()
        assert daemon.run("ssh", "-O", "exit", "-o", f"ControlPath={control}", "any").returncode == 0
    assert done.returncode == 0 and "100000" in done.stdout, done.stdout[-2000:] + done.stderr[-1000:]
    assert (tmp_path / "to").read_bytes() == (tmp_path / "from").read_bytes() and (tmp_path / "to").stat().st_mode & 0o777 == 0o640
    assert len(daemon.json("sessions", "list")) == before + 1
    assert len([a for a in records_of(daemon, ended(daemon)) if a["pairs"][0]["operation"] == "exec"]) > 5


def test_ssh2_of_node(daemon, server, tmp_path):
    """Commands, files and a terminal by the library that most programs for Node use."""
    (tmp_path / "there").write_bytes(os.urandom(300000))
    done = daemon.run("node", CLIENTS / "ssh2.js", server.port, ",".join(fingerprints(daemon, server)), tmp_path, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout)
    assert (seen["exec"]["out"], seen["exec"]["status"]) == ("through", 3) and "/there/is/none" in seen["exec"]["err"]
    assert seen["denied"]["status"] == 126 and "wayleave: denied" in seen["denied"]["err"]
    assert seen["killed"]["signal"] == "SIGTERM"
    assert seen["terminal"]["out"].startswith("/dev/pts/") and "33 99" in seen["terminal"]["out"]
    assert seen["list"] == ["back", "there", "to"]
    assert len({(tmp_path / name).read_bytes() for name in seen["list"]}) == 1
    assert seen["removed"]["code"] == 3 and "wayleave" in seen["removed"]["message"], seen  # SSH_FX_PERMISSION_DENIED


SSHFS = """
mount --bind "$3" /dev/fuse
mounted=$(mktemp -d)
trap 'fusermount3 -u -z $mounted; kill $!; wait; rmdir $mounted' EXIT
sshfs -f -o BatchMode=yes,StrictHostKeyChecking=yes,port=$1 root@127.0.0.1:$2 $mounted &
for i in $(seq 200); do [ -e $mounted/there ] && break; kill -0 $! || exit 1; sleep 0.05; done
cat $mounted/there
echo new >$mounted/new && cat $mounted/new
rm $mounted/there
"""


@pytest.fixture
def fuse():
    """The device, with the mode that udev gives it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = pathlib.Path(folder) / "fuse"
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(10, 229))
        path.chmod(0o666)
        yield path


def test_sshfs(daemon, server, tmp_path, fuse):
    """An agent mounts in namespaces of its own: it has no other right to."""
    (tmp_path / "there").write_text("there\n")
    done = daemon.run("unshare", "-rm", "bash", "-c", SSHFS, "sshfs", server.port, tmp_path, fuse, stdin=subprocess.DEVNULL, timeout=60,
                      user="nobody", env={"HOME": "/"})
    assert done.stdout == "there\nnew\n" and "Permission denied" in done.stderr, done.stderr
    assert (tmp_path / "new").read_text() == "new\n" and (tmp_path / "there").exists()


PARAMIKO = """
import paramiko, sys
transport = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
transport.start_client()
if sys.argv[2] == "key":
    transport.auth_publickey("anybody", paramiko.Ed25519Key(filename=sys.argv[3]))
else:
    transport.auth_interactive("anybody", lambda title, text, asked: ["secret" for _ in asked])
channel = transport.open_session()
channel.exec_command("echo in")
sys.stdout.write(channel.makefile().read().decode())
transport.close()
"""


@pytest.mark.parametrize("way", ["key", "questions"])
def test_whatever_the_agent_logs_in_with(daemon, server, tmp_path, way):
    key = ssh.make_key(tmp_path / "unknown")
    done = daemon.run("/usr/bin/python3", "-c", PARAMIKO, server.port, way, key, stdin=subprocess.DEVNULL)
    assert done.stdout == "in\n", done.stderr[-1000:]
    assert ended(daemon)["user"] == "root"


def test_a_key_of_the_host_that_a_user_pinned(daemon, server, tmp_path):
    pinned = tmp_path / "known"
    pinned.write_text(server.known())
    before = pinned.read_text()
    assert run(daemon, server, "echo in", options=["-o", f"UserKnownHostsFile={pinned}"]).stdout == "in\n"
    assert pinned.read_text() == before
    # And is the user's to remove.
    removed = daemon.run("ssh-keygen", "-R", f"[127.0.0.1]:{server.port}", "-f", pinned, stdin=subprocess.DEVNULL)
    assert removed.returncode == 0 and str(server.port) not in pinned.read_text()
    assert run(daemon, server, "echo in", options=["-o", f"UserKnownHostsFile={pinned}"]).stdout == "in\n"


@pytest.fixture
def home(tmp_path):
    """Of a user who has pinned the real host's key."""
    folder = tmp_path / "home" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    return folder


# What its makers recommend: hosts that the user's file does not know are refused.
KNOWN = """
import paramiko, sys
client = paramiko.SSHClient()
client.load_system_host_keys()
client.connect("127.0.0.1", int(sys.argv[1]), "anybody", "secret", allow_agent=False, look_for_keys=False)
print(client.exec_command("echo in")[1].read().decode(), end="")
client.close()
"""


@pytest.mark.parametrize("pinned", [True, False])
def test_a_library_that_reads_the_users_file_alone(daemon, server, home, pinned):
    """It knows us where the agent's `known_hosts` says so, also before a key of the real host that the user pinned."""
    if pinned:
        (home / "known_hosts").write_text(server.known())
    words = ["/usr/bin/python3", "-c", KNOWN, server.port]
    env = {"HOME": str(home.parent)}
    refused = daemon.run(*words, env=env, stdin=subprocess.DEVNULL)
    assert refused.returncode == 1 and ("not found in known_hosts" in refused.stderr or "BadHostKey" in refused.stderr)
    done = daemon.run(*words, env=env, agent="other", stdin=subprocess.DEVNULL)
    assert done.stdout == "in\n", done.stderr[-1000:]


def test_a_users_file_is_theirs_to_change(daemon, server, home):
    """By rename, and nothing of it is on disk; other files there are the real ones."""
    known, other = home / "known_hosts", home / "config"
    known.write_text("elsewhere.test ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILy0ACfZ4NmgPLzKJ5sJfAEmMqsnrsPPOLJ5aF0c4vQ1\n")
    other.write_text("# mine\n")
    known.chmod(0o600)
    before = known.read_bytes()
    script = f"""
grep -c '^.127.0.0.1.:{server.port} ' {known}; stat -c %a {known} {home}
ssh-keygen -q -R elsewhere.test -f {known}; ssh-keygen -q -R '[127.0.0.1]:{server.port}' -f {known}
grep -c . {known}; echo more >> {other}"""
    done = daemon.run("sh", "-c", script, env={"HOME": str(home.parent)}, agent="other", stdin=subprocess.DEVNULL)
    lines = done.stdout.split()
    assert int(lines[0]) >= 3 and lines[1:3] == ["600", "700"], (done.stdout, done.stderr)
    assert known.read_bytes() == before and other.read_text() == "# mine\nmore\n"
    assert sorted(home.iterdir()) == [other, known]


def test_a_review_that_nobody_answers(daemon, server, tmp_path):
    done = run(daemon, server, f"touch {tmp_path}/never")
    assert done.returncode == 126 and "waiting for approval" in done.stderr and not (tmp_path / "never").exists(), done
    assert records_of(daemon, ended(daemon))[-1]["verdict"] != "allow"


def test_the_exchange_with_the_host_is_strict(daemon, strict):
    assert run(daemon, strict, "echo in").stdout == "in\n"
    assert "kex-strict-c-v00@openssh.com" in strict.log.read_text()
    assert "will use strict KEX ordering" in strict.log.read_text()


def test_a_connection_that_is_denied_says_so(daemon, server):
    assert run(daemon, server, "echo in").returncode == 0
    done = daemon.run("ssh", *OPTIONS, "-p", "1", "root@127.0.0.1", "echo in", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (126, "") and done.stderr.startswith('wayleave: denied by rule "as nobody": not as nobody'), done
    action, = records_of(daemon, ended(daemon))
    assert action["verdict"] == "deny" and [(p["operation"], p["object"]) for p in action["pairs"]] == [("connect", "nobody@127.0.0.1")]


@pytest.mark.parametrize("words", WEAK)
def test_a_host_that_speaks_weak_algorithms_alone(daemon, weak, words):
    done = run(daemon, weak[words], "echo in")
    assert done.returncode == 126 and done.stdout == "" and "wayleave: " in done.stderr, done
