# SPDX-License-Identifier: Apache-2.0
"""What is no agent's goes on over the wire while everything fails that can: not one connection and not one datagram of it is lost.
How fast it is tests/bench/direct measures."""
import contextlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import time

import pytest
from conftest import LAYOUT, PYTHON, SERVER4, SERVER_PORT, Network, wait_until
from test_closed import PENDING_MOST, Bpf, errors
from test_flows import PLACE, PORT, QUEUE, echo, fill_queue, queued, talking  # noqa: F401
from test_names import RESOLVER4, names, resolv_conf, with_resolvers  # noqa: F401
from test_networks import manager  # noqa: F401

# Dials again and again, keeps one connection, and sends datagrams; for each line, what was lost since the last, once it has done
# all of that some times.
TRAFFIC = f"""
import json, select, socket, sys
old = socket.create_connection(("{SERVER4}", {SERVER_PORT}), 5)
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.connect(("{SERVER4}", {PORT}))
datagrams.settimeout(5)
def new():
    with socket.create_connection(("{SERVER4}", {SERVER_PORT}), 5) as s:
        turn(s)
def turn(s):
    s.send(b"ping")
    assert s.recv(4) == b"ping"
def datagram():
    datagrams.send(b"ping")
    assert datagrams.recv(99) == b"echo ping"
ways = {{"new": new, "old": lambda: turn(old), "datagram": datagram}}
print("ready", flush=True)
turns, lost = 0, []
while True:
    for name, way in ways.items():
        try:
            way()
        except Exception as e:
            lost.append(f"{{name}}: {{e!r}}")
    turns += 1
    if turns > 5 and select.select([sys.stdin], [], [], 0)[0]:
        if not sys.stdin.readline():
            break
        print(json.dumps(lost), flush=True)
        turns = 0
"""


@pytest.fixture
def traffic(network, echo):  # noqa: F811
    process = subprocess.Popen(Network.enter(network.host, PYTHON, "-c", TRAFFIC), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"

    def passes(what):
        process.stdin.write("\n")
        process.stdin.flush()
        lost = json.loads(process.stdout.readline())
        assert not lost, (what, lost)
    yield passes
    process.stdin.close()
    process.wait()
    network.leaks()  # of this process


@contextlib.contextmanager
def small_disk(folder):
    folder.mkdir(parents=True, mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=0700", "wayleave-test", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_through_all_failures(host, traffic, manager):  # noqa: F811
    state = host.folder / "d0/state"
    with small_disk(state):
        daemon, agent = host.govern(wrapper=manager.wrapper)
        governed = f"result = attempt({SERVER4!r}, port=7200, timeout=3)"
        traffic("nothing but a daemon")
        assert agent.python(governed)["data"] == "ping"

        before = daemon.workers()
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: daemon.workers() not in (before, []))
        traffic("a worker was killed")

        assert daemon.set_config(egress="deny") is None
        daemon.write_rules([{"name": "none", "operations": ["*"], "deny": {"message": "no"}}])
        daemon.reload()
        traffic("the policy was replaced")

        filler = state / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            while file.write(bytes(65536)):
                pass
        assert agent.python(governed).get("data") != "ping"
        traffic("the disk is full")
        filler.unlink()

        daemon.kill()
        time.sleep(0.3)
        traffic("the monitor was killed")
        daemon.start()
        traffic("it was started again")

        daemon.write_rules([{"name": "all", "operations": ["*"], "allow": {}}])
        daemon.stop()
        time.sleep(0.3)
        traffic("it was stopped")
        daemon.start()
        traffic("another took over")
        wait_until(lambda: agent.python(governed).get("data") == "ping")

        daemon.close()
        host.daemons.remove(daemon)
        traffic("it was taken away")


def test_through_what_is_full_or_does_not_answer(host, network, traffic, names, tmp_path):  # noqa: F811
    """A map, the queue, descriptors, name servers."""
    names.file = tmp_path / "resolv.conf"
    names.file.write_text(f"nameserver {RESOLVER4}\noptions timeout:1 attempts:1\n")
    named = {"name": "named", "protocol": "tcp", "hosts": ["db.example:5432"]}
    with with_resolvers(names.file):
        daemon, agent = host.govern(egress="deny", resources=[PLACE, named])
    daemon.wait_for("db.example can't be resolved: ")
    traffic("no name server answers")
    ask = talking(f"result = [attempt({SERVER4!r}).get('data'), talk({SERVER4!r}, {PORT}, timeout=2)]")
    assert agent.python(ask) == ["ping", "echo x"]

    pending = Bpf(daemon.pins / LAYOUT / "maps/pending")
    keys = [struct.pack("Q40x", n) for n in range(PENDING_MOST)]
    pending.change(Bpf.UPDATE, keys, bytes(112))
    try:
        assert errors(agent, [SERVER4]) == ["ECONNREFUSED"]
        traffic("the map of those who connect is full")
    finally:
        pending.change(Bpf.DELETE, keys)

    with daemon.paused():
        fill_queue(agent, QUEUE + 200)
        assert queued(network)[1] > 0
        traffic("the queue is full")

    monitor, idle = daemon.process.pid, [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(20)]
    limits = resource.prlimit(monitor, resource.RLIMIT_NOFILE)
    resource.prlimit(monitor, resource.RLIMIT_NOFILE, (7, limits[1]))
    try:
        for one in idle:
            one.connect(str(daemon.socket))
        daemon.wait_for("who connects to the control socket has to wait: Too many open files")
        traffic("no descriptors")
    finally:
        for one in idle:
            one.close()
        resource.prlimit(monitor, resource.RLIMIT_NOFILE, limits)
    wait_until(lambda: agent.python(ask) == ["ping", "echo x"])
