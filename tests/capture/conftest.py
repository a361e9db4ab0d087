# SPDX-License-Identifier: Apache-2.0
#
# What the capture tests run in: a "host" network namespace in which the daemon and its agents live,
# a "world" namespace behind a veth with a server that must never see an agent, and agents' cgroups.
# Everything is made here and removed again. Daemon is the only class that knows which program is
# the daemon.
import contextlib
import itertools
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WAYLEAVE_BUILD", ROOT / "build/release"))
PYTHON = "/usr/bin/python3"
PATIENCE = 10  # seconds for what takes milliseconds

HOST4, WORLD4, SERVER4 = "10.99.0.2", "10.99.0.1", "203.0.113.9"
HOST6, WORLD6, SERVER6 = "fd99::2", "fd99::1", "2001:db8::9"
SERVER_PORT = 5432

numbers = itertools.count(1)


def sh(*command, check=True):
    return subprocess.run(command, check=check, text=True, capture_output=True).stdout


def cgroup_root():
    for line in open("/proc/self/mountinfo"):
        left, right = line.split(" - ", 1)
        if right.startswith("cgroup2 "):
            return pathlib.Path(left.split()[4])
    raise RuntimeError("no cgroup2")


CGROUPS = cgroup_root()


class Network:
    """Two network namespaces joined by a veth."""

    def __init__(self):
        tag = f"{os.getpid()}"
        self.host, self.world = f"wlh{tag}", f"wlw{tag}"
        for name in (self.host, self.world):
            sh("ip", "netns", "add", name)
            self.in_namespace(name, "ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "wl0", "netns", self.host, "type", "veth", "peer", "name", "wl0",
           "netns", self.world)
        for name, v4, v6 in ((self.host, HOST4, HOST6), (self.world, WORLD4, WORLD6)):
            self.in_namespace(name, "ip", "addr", "add", f"{v4}/24", "dev", "wl0")
            self.in_namespace(name, "ip", "addr", "add", f"{v6}/64", "dev", "wl0", "nodad")
            self.in_namespace(name, "ip", "link", "set", "wl0", "up")
        self.in_namespace(self.world, "ip", "addr", "add", f"{SERVER4}/32", "dev", "lo")
        self.in_namespace(self.world, "ip", "addr", "add", f"{SERVER6}/128", "dev", "lo")
        # Ping sockets for everybody, as desktop distributions have it.
        self.in_host("sysctl", "-qw", "net.ipv4.ping_group_range=0 100000")
        self.reset_routes()
        self.server = subprocess.Popen(self.enter(self.world, PYTHON, "-c", SERVER),
                                       stdout=subprocess.PIPE, text=True)
        assert self.server.stdout.readline() == "ready\n"

    def reset_routes(self):
        self.in_host("ip", "route", "replace", "default", "via", WORLD4)
        self.in_host("ip", "-6", "route", "replace", "default", "via", WORLD6)

    @staticmethod
    def enter(namespace, *command):
        # Not "ip netns exec", which mounts another /sys.
        return ["nsenter", f"--net=/run/netns/{namespace}", *command]

    def in_namespace(self, namespace, *command, check=True):
        return sh(*self.enter(namespace, *command), check=check)

    def in_host(self, *command, check=True):
        return self.in_namespace(self.host, *command, check=check)

    def leaks(self):
        """Connections that the world's server has seen since the last call."""
        seen = []
        while select.select([self.server.stdout], [], [], 0.05)[0]:
            seen.append(self.server.stdout.readline().strip())
        return seen

    def close(self):
        self.server.kill()
        self.server.wait()
        for name in (self.host, self.world):
            sh("ip", "netns", "del", name, check=False)


SERVER = """
import socket, threading
s = socket.create_server(("::", 5432), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    c, a = s.accept()
    print(a[0], flush=True)
    c.send(b"world")
    c.close()
"""

PRELUDE = """
import ctypes, errno, json, os, select, socket, struct, sys, threading, time

def attempt(address, family=None, port=5432, timeout=5, keep=False, setup=None):
    # What became of one connection: the first bytes, or the name of the error.
    family = family or (socket.AF_INET6 if ":" in address else socket.AF_INET)
    s = socket.socket(family)
    s.settimeout(timeout)
    try:
        if setup:
            setup(s)
        s.connect((address, port))
        answer = {"peer": s.getpeername()[:2], "own": s.getsockname()[:2]}
        s.send(b"ping")
        answer["data"] = s.recv(100).decode()
    except socket.timeout:
        return {"error": "timeout"}
    except OSError as e:
        return {"error": errno.errorcode[e.errno]}
    if keep:
        kept.append(s)
    else:
        s.close()
    return answer

kept = []
result = None
"""


class Agent:
    """A cgroup in which commands are started as `wayleave run` does: inside before exec."""

    def __init__(self, network, number, cgroup):
        self.network, self.id, self.cgroup = network, number, cgroup
        self.path = CGROUPS / cgroup

    def popen(self, *command, namespace=None, **options):
        def enter():
            with open(self.path / "cgroup.procs", "w") as f:
                f.write("0")
        inside = Network.enter(namespace or self.network.host, *command)
        return subprocess.Popen(inside, preexec_fn=enter, text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def start(self, code, **options):
        code = PRELUDE + textwrap.dedent(code) + "\nprint(json.dumps(result), flush=True)\n"
        return self.popen(PYTHON, "-c", code, **options)

    def python(self, code, **options):
        """Runs the code inside and returns what it left in `result`."""
        process = self.start(code, **options)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return json.loads(out.splitlines()[-1])

    def id_of_cgroup(self):
        return self.path.stat().st_ino


class Daemon:
    """A running daemon of one instance."""

    program = BUILD / "tests/capture_daemon"

    def __init__(self, network, instance, *arguments, namespace=None):
        self.network, self.instance = network, instance
        self.lines, self.ended = [], False
        self.process = subprocess.Popen(
            Network.enter(namespace or network.host, str(self.program), instance, *arguments),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        # Always read, so that a worker never waits for us.
        self.arrived = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.arrived:
                self.lines.append(json.loads(line))
                self.arrived.notify_all()
        with self.arrived:
            self.ended = True
            self.arrived.notify_all()

    def take(self, event, values):
        for line in self.lines:
            if line["event"] == event and all(line[k] == v for k, v in values.items()):
                self.lines.remove(line)
                return line
        return None

    def expect(self, event, **values):
        """The first line not asked for yet that is this event, with these values."""
        deadline = time.monotonic() + PATIENCE
        with self.arrived:
            while True:
                line = self.take(event, values)
                if line:
                    return line
                left = deadline - time.monotonic()
                if left < 0 or self.ended:
                    break
                self.arrived.wait(left)
        raise AssertionError(f"no {event} {values} from the daemon, but {self.lines[-5:]}")

    def none(self, event, wait=0.2):
        """That no such event comes."""
        time.sleep(wait)
        with self.arrived:
            return not [line for line in self.lines if line["event"] == event]

    def ready(self):
        self.port = self.expect("ready")["port"]
        return self

    def ask(self, command, event):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.expect(event)

    def counts(self, agent=0):
        return self.ask(f"counts {agent}", "counts")

    def reload(self, *agents):
        return self.ask("agents " + " ".join(agents), "result")

    def kill(self):
        """As SIGKILL to the whole service."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """In order; a sanitizer's complaint shows in the status."""
        if self.process.poll() is None:
            self.process.stdin.write("quit\n")
            self.process.stdin.close()
            status = self.process.wait(timeout=PATIENCE)
            self.kill()
            assert status == 0

    @classmethod
    def teardown(cls, network, instance):
        sh(*Network.enter(network.host, str(cls.program), instance, "--teardown"))


class Host:
    """What a test has: daemons and agents with names of their own."""

    def __init__(self, network):
        self.network = network
        self.number = next(numbers)
        self.instance = f"t{os.getpid()}_{self.number}"
        self.folder = f"wlt{os.getpid()}_{self.number}"
        self.instances, self.daemons = set(), []

    def agent(self, number=7, name="a"):
        return Agent(self.network, number, f"{self.folder}/{name}")

    @staticmethod
    def option(agent, loopback="own", listen="deny"):
        return f"{agent.id}:{agent.cgroup}:{loopback}:{listen}"

    def start(self, *arguments, instance=None, wait=True, namespace=None):
        instance = instance or self.instance
        self.instances.add(instance)
        daemon = Daemon(self.network, instance, *arguments, namespace=namespace)
        self.daemons.append(daemon)
        return daemon.ready() if wait else daemon

    def govern(self, loopback="own", listen="deny", *arguments):
        """One daemon with one agent."""
        agent = self.agent()
        return self.start("--agent", self.option(agent, loopback, listen), *arguments), agent

    def close(self):
        for daemon in self.daemons:
            daemon.stop()
        for instance in self.instances:
            Daemon.teardown(self.network, instance)
        for path in sorted(CGROUPS.glob(f"{self.folder}*/**/"), reverse=True):
            self.remove(path)

    @staticmethod
    def remove(path):
        deadline = time.monotonic() + PATIENCE
        (path / "cgroup.kill").write_text("1")
        while "populated 1" in (path / "cgroup.events").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        path.rmdir()


def pytest_configure():
    if os.geteuid() != 0:
        sys.exit("tests/capture needs root")


@pytest.fixture(scope="session")
def network():
    mounted = subprocess.run(["mountpoint", "-q", "/sys/fs/bpf"]).returncode == 0
    n = Network()
    yield n
    n.close()
    if not mounted:
        sh("umount", "/sys/fs/bpf", check=False)


@pytest.fixture
def host(network):
    h = Host(network)
    network.leaks()
    yield h
    h.close()
    assert network.leaks() == [], "a governed agent reached the world"
