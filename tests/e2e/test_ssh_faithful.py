# SPDX-License-Identifier: Apache-2.0
"""What SSH can do beside running a command, as without us."""
import os
import pathlib
import re
import subprocess
import time

import pytest
from harness import memory, ssh
from harness.records import records_of
from harness.ssh_gate import OPTIONS, daemon, ended, gate, run, server, shell  # noqa: F401
from harness.terminal import read_until, resize
from harness.waiting import wait_for

RULES = [{"name": "all", "resources": ["box"], "operations": ["exec", "shell", "agent_forward", "remote_forward"], "allow": {}}]
SETTINGS = ["RekeyLimit 1M", "X11Forwarding yes", "MaxSessions 100"]


def test_the_host_may_want_new_keys(daemon, server):
    data = os.urandom(4 << 20)
    done = run(daemon, server, "cat", stdin=None, input=data, text=False)
    assert done.returncode == 0 and done.stdout == data


def test_both_may_want_new_keys(daemon, server):
    data = os.urandom(4 << 20)
    done = run(daemon, server, "cat", stdin=None, input=data, text=False, options=["-o", "RekeyLimit=1M"])
    assert done.returncode == 0 and done.stdout == data


def test_compressed(daemon, server):
    """Both ways, and as much is the same with new keys."""
    data = os.urandom(600000).hex()
    done = run(daemon, server, "cat", stdin=None, input=data, options=["-C", "-v", "-o", "RekeyLimit=100K"])
    assert done.returncode == 0 and done.stdout == data
    used = re.findall(r"kex: (?:server->client|client->server) cipher: .* compression: (\S+)", done.stderr)
    assert len(used) >= 4 and set(used) == {"zlib@openssh.com"}, used


def test_the_end_of_input_is_no_end_of_output(daemon, server):
    done = run(daemon, server, "sh -c 'cat >/dev/null; echo after'", stdin=None, input="x" * 100000)
    assert (done.returncode, done.stdout) == (0, "after\n")


def test_the_end_of_output_is_no_end_of_input(daemon, server, tmp_path):
    process = daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", f"exec >&- 2>&-; cat > {tmp_path}/got; exit 9",
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.read() == b""
    process.stdin.write(b"later\n")
    process.stdin.close()
    assert process.wait(30) == 9 and (tmp_path / "got").read_text() == "later\n"
    process.stdout.close()


def test_an_agent_that_reads_slowly_costs_no_memory(daemon, server):
    with daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", "yes", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
        most = 0
        for _ in range(60):
            os.read(client.stdout.fileno(), 65536)
            time.sleep(0.02)
            most = max([most, *(memory.own([pid]) for pid in daemon.ssh_sessions())])
        client.kill()
    assert 0 < most < 16 << 10  # KiB


BOTH = "i=0; while [ $i -lt 100 ]; do head -c 200000 /dev/zero; echo x >&2; i=$((i+1)); done"


def test_an_agent_that_reads_late_costs_no_memory_and_gets_both_streams(daemon, server):
    """What comes in one of them has the library give room for more in the other."""
    with daemon.popen("ssh", *OPTIONS, "-p", str(server.port), "root@127.0.0.1", BOTH, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                      stderr=subprocess.PIPE) as client:
        wait_for(daemon.ssh_sessions)
        time.sleep(1.5)
        assert 0 < memory.own(daemon.ssh_sessions()) < 16 << 10  # KiB
        output, errors = client.communicate(timeout=60)
    assert client.returncode == 0 and errors == b"x\n" * 100 and output == bytes(20000000)


def test_a_quiet_connection_is_kept_alive(daemon, server):
    """Each second the client asks whether somebody is there, and gives up after the first that is not answered."""
    done = run(daemon, server, "sleep 4; echo still", options=["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1"])
    assert (done.returncode, done.stdout) == (0, "still\n")


def test_a_connection_without_a_command(daemon, server):
    process = daemon.popen("ssh", *OPTIONS, "-N", "-v", "-p", str(server.port), "root@127.0.0.1", stdin=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: [s for s in daemon.json("sessions", "list") if not s["end"] and s["user"] == "root"])
        assert process.poll() is None
    finally:
        process.terminate()
        process.communicate(timeout=30)
    wait_for(lambda: all(s["end"] for s in daemon.json("sessions", "list")))


def test_a_terminal_changes_its_size(daemon, server):
    words = "stty size; trap 'stty size; exit 4' WINCH; echo ready; while :; do sleep 0.1; done"
    with shell(daemon, server, words, size=(30, 90)) as (process, main):
        assert b"30 90" in read_until(main, b"ready")
        resize(main, 41, 101)
        read_until(main, b"41 101")
        assert process.wait(30) == 4


def test_a_terminal_has_its_name(daemon, server):
    assert run(daemon, server, "echo $TERM", options=["-tt"], env={"TERM": "vt220"}).stdout == "vt220\n"


def test_many_commands_at_once_in_one_connection(daemon, server, tmp_path):
    """Each has its status, though the host tells it after the end of the output."""
    words = ["ssh", *OPTIONS, "-o", f"ControlPath={tmp_path}/c", "-p", str(server.port), "root@127.0.0.1"]
    master = daemon.popen(*words, "-M", "-N", stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: (tmp_path / "c").exists())
        many = [daemon.popen(*words, "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(40)]
        data = [os.urandom(100000) for _ in many]
        for process, bytes_of_it in zip(many, data):
            process.stdin.write(bytes_of_it[:1000])
            process.stdin.flush()
        # All run when the first is given the rest.
        assert all(process.stdout.read(1000) == bytes_of_it[:1000] for process, bytes_of_it in zip(many, data))
        for process, bytes_of_it in zip(many, data):
            rest, _ = process.communicate(bytes_of_it[1000:], timeout=60)
            assert (process.returncode, rest) == (0, bytes_of_it[1000:])
        # Such a client closes its channel when it has sent its last, and what it was sent has ended before.
        early = daemon.popen(*words, f"exec >&- 2>&-; touch {tmp_path}/silent; cat >/dev/null; exit 9", stdin=subprocess.PIPE)
        wait_for(lambda: (tmp_path / "silent").exists())
        time.sleep(0.3)
        early.communicate(b"later\n", timeout=30)
        assert early.returncode == 9
    finally:
        master.terminate()
        master.wait(10)


MANY = """
import paramiko, sys
t = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
t.connect(username="root", password="any")

def open_one():
    c = t.open_session()
    c.exec_command("cat")
    return c

def ask(c):
    c.sendall(b"there")
    return c.recv(5) == b"there"

def end(c):
    c.shutdown_write()
    return c.recv_exit_status()

channels = [open_one() for _ in range(64)]
print(all(ask(c) for c in channels))
for _ in range(2):
    try:
        open_one()
    except paramiko.ChannelException as e:
        print(e.code)
print(all(ask(c) for c in channels), end(channels.pop()))
channels[0].close()
channels.append(open_one())
print(all(ask(c) for c in channels[1:]), {end(c) for c in channels[1:]})
t.close()
"""


def test_one_channel_too_many(daemon, server):
    """It is refused as a server refuses one (1: administratively prohibited); the others live, and there is room when one has ended."""
    done = daemon.run("/usr/bin/python3", "-c", MANY, server.port, stdin=subprocess.DEVNULL, timeout=60)
    assert done.stdout == "True\n1\n1\nTrue 0\nTrue {0}\n", done.stderr[-2000:]


TOO_MUCH = """
import paramiko, sys
t = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
t.connect(username="root", password="any")
c = t.open_session()
c.exec_command("sleep 5")
m = paramiko.Message()
m.add_byte(bytes([94]))
m.add_int(c.remote_chanid)
m.add_string(b"x" * 32768)
try:
    for _ in range(1000):
        t._send_user_message(m)
except (OSError, EOFError):
    pass
t.join(20)
print(t.is_active())
"""


def test_an_agent_that_ignores_its_window_ends_its_session(daemon, server):
    done = daemon.run("/usr/bin/python3", "-c", TOO_MUCH, server.port, stdin=subprocess.DEVNULL, timeout=60)
    assert done.stdout == "False\n", done.stderr[-2000:]
    ended(daemon)
    wait_for(lambda: not daemon.ssh_sessions())


TOO_LITTLE = """
import paramiko, sys
t = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
t._sanitize_packet_size = lambda size: 10  # libssh sends empty ones of that size, and never all
t.connect(username="root", password="any")
c = t.open_session(max_packet_size=10)
c.exec_command("echo hello")
t.join(60)
print(t.is_active())
"""


def test_a_session_that_would_be_busy_for_ever_is_ended(daemon, server):
    done = daemon.run("/usr/bin/python3", "-c", TOO_LITTLE, server.port, stdin=subprocess.DEVNULL, timeout=90)
    assert done.stdout == "False\n", done.stderr[-2000:]
    daemon.wait_for("a session stayed in one step for 2 s of a processor's time, and was ended")
    wait_for(lambda: not daemon.ssh_sessions())


def test_the_agents_keys_and_screen_stay_with_it(daemon, server):
    """Nothing carries them, whatever a rule says; what runs does without."""
    words = ["ssh-agent", "ssh", *OPTIONS, "-A", "-Y", "-p", server.port]
    done = daemon.run(*words, "root@127.0.0.1", "env", env={"DISPLAY": "127.0.0.1:9"}, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and "HOME=" in done.stdout, done.stderr
    assert "SSH_AUTH_SOCK" not in done.stdout and "DISPLAY" not in done.stdout
    wanted = {a["text"]: (a["pairs"][0]["operation"], a["verdict"], a.get("reason")) for a in records_of(daemon, ended(daemon))}
    assert wanted["agent"] == ("agent_forward", "deny", "not_built")
    assert wanted["x11"] == ("remote_forward", "deny", "not_built")


# --- algorithms

def exchange(daemon, server, *options):
    """The client's account of it."""
    words = [word for option in ("LogLevel=DEBUG3", *options) for word in ("-o", option)]
    done = daemon.run("ssh", *words, *OPTIONS, "-p", server.port, "root@127.0.0.1", "true", stdin=subprocess.DEVNULL)
    return done.returncode, done.stderr


def test_the_exchange_is_strict(daemon, server):
    """Else who is in the way could drop messages unseen (CVE-2023-48795)."""
    code, said = exchange(daemon, server)
    assert code == 0 and "kex-strict-s-v00@openssh.com" in said, said[-2000:]
    assert "will use strict KEX ordering" in said


@pytest.mark.parametrize("weak", ["KexAlgorithms=diffie-hellman-group1-sha1", "KexAlgorithms=diffie-hellman-group14-sha1",
                                  "KexAlgorithms=diffie-hellman-group-exchange-sha1", "Ciphers=3des-cbc", "Ciphers=aes128-cbc",
                                  "Ciphers=aes256-cbc", "MACs=hmac-md5", "HostKeyAlgorithms=ssh-rsa", "HostKeyAlgorithms=ssh-dss"])
def test_weak_algorithms_are_not_spoken(daemon, server, weak):
    options = [weak] if weak.startswith("Ciphers") else [weak, "Ciphers=aes256-ctr"]
    code, said = exchange(daemon, server, *options)
    assert code == 255 and "Unable to negotiate" in said, said[-2000:]


@pytest.mark.parametrize("strong", ["KexAlgorithms=curve25519-sha256", "KexAlgorithms=ecdh-sha2-nistp521",
                                    "KexAlgorithms=diffie-hellman-group16-sha512", "Ciphers=chacha20-poly1305@openssh.com",
                                    "Ciphers=aes256-gcm@openssh.com", "HostKeyAlgorithms=rsa-sha2-512", "HostKeyAlgorithms=ecdsa-sha2-nistp256"])
def test_strong_ones_are(daemon, server, strong):
    code, said = exchange(daemon, server, strong)
    assert code == 0, said[-2000:]


def ciphers_of(said):
    return {line.split("cipher: ")[1].split()[0] for line in said.splitlines() if "cipher: " in line}


def processor_does_aes():
    return {"aes", "pclmulqdq"} <= set(pathlib.Path("/proc/cpuinfo").read_text().split())


@pytest.mark.parametrize("offered, taken", [
    (None, "aes128-gcm@openssh.com"), ("chacha20-poly1305@openssh.com,aes256-gcm@openssh.com", "aes256-gcm@openssh.com"),
    ("chacha20-poly1305@openssh.com,aes256-ctr", "chacha20-poly1305@openssh.com"), ("aes256-ctr,aes128-ctr", "aes256-ctr")])
def test_the_cipher_to_the_agent_is_one_that_processors_do(daemon, server, offered, taken):
    """Whatever stands first in its list, of which it has several."""
    code, said = exchange(daemon, server, *([f"Ciphers={offered}"] if offered else []))
    assert code == 0, said[-2000:]
    assert ciphers_of(said) == {taken if processor_does_aes() or not taken.endswith("-gcm@openssh.com") else "chacha20-poly1305@openssh.com"}


LATE = """
import socket, struct, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(b"SSH-2.0-OpenSSH_9.2p1\\r\\n")
time.sleep(0.5)
ciphers = b"chacha20-poly1305@openssh.com,aes128-gcm@openssh.com"
lists = [b"curve25519-sha256", b"ssh-ed25519", ciphers, ciphers, b"hmac-sha2-256", b"hmac-sha2-256", b"none", b"none", b"", b""]
payload = bytes([20]) + bytes(16) + b"".join(struct.pack(">I", len(names)) + names for names in lists) + bytes(5)
pad = 4 + -(len(payload) + 9) % 8
s.sendall(struct.pack(">IB", len(payload) + pad + 1, pad) + payload + bytes(pad))
f = s.makefile("rb")
f.readline()
size, pad = struct.unpack(">IB", f.read(5))
answer, offered = f.read(size - 1)[17:], []
for _ in range(4):
    length = int.from_bytes(answer[:4], "big")
    offered.append(answer[4:4 + length].decode())
    answer = answer[4 + length:]
print(*offered[2:])
"""


def test_a_busy_clients_list_is_waited_for(daemon, server):
    """OpenSSH's is on its way, however late: the ciphers are to be the same."""
    done = daemon.run("/usr/bin/python3", "-c", LATE, server.port, stdin=subprocess.DEVNULL, timeout=60)
    gcm = "aes128-gcm@openssh.com,aes256-gcm@openssh.com"
    to_server, to_client = done.stdout.split()
    assert to_server == to_client and (to_server == gcm) == processor_does_aes(), done.stdout + done.stderr[-2000:]


@pytest.mark.parametrize("offered, taken", [
    ("chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com", "aes128-gcm@openssh.com"),
    ("chacha20-poly1305@openssh.com,aes256-ctr", "chacha20-poly1305@openssh.com"), ("aes256-ctr", "aes256-ctr")])
def test_the_cipher_to_the_host_is_one_that_processors_do(tmp_path, offered, taken):
    if taken.startswith("aes128") and not processor_does_aes():
        taken = "chacha20-poly1305@openssh.com"
    host = ssh.Server(tmp_path / "sshd", settings=["LogLevel DEBUG1", f"Ciphers {offered}"])
    try:
        with gate(tmp_path, host, RULES) as d:
            assert run(d, host, "echo there").stdout == "there\n"
        assert ciphers_of(host.log.read_text()) == {taken}
    finally:
        host.stop()
