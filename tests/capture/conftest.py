# SPDX-License-Identifier: Apache-2.0
#
# What the capture tests run in: a "host" network namespace in which wayleaved and its agents live, a
# "world" namespace behind a veth with a server that answers on every port and sees every packet that
# did not come from wayleaved, and agents' cgroups. Everything is made here and removed again.
import contextlib
import hashlib
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from harness import daemon as daemons  # noqa: E402

BUILD = daemons.BUILD.parent
PYTHON = "/usr/bin/python3"
PATIENCE = 30  # seconds for what takes milliseconds

HOST4, WORLD4, SERVER4 = "10.99.0.2", "10.99.0.1", "203.0.113.9"
HOST6, WORLD6, SERVER6 = "fd99::2", "fd99::1", "2001:db8::9"
SERVER_PORT, REFUSED_PORT, SILENT_PORT = 5432, 1, 2
NAMES_PORT = 53  # of name servers; nobody else of the world answers there
OWN_PORT = 3  # of servers that a test starts itself in the world; no other test's
WORLD = ["203.0.113.0/24:*", "[2001:db8::/32]:*"]

LAYOUT = re.search(r'CAPTURE_LAYOUT "(\w+)"', (daemons.ROOT / "bpf/shared.h").read_text())[1]

numbers = itertools.count(1)


def sh(*command, check=True):
    return subprocess.run(command, check=check, text=True, capture_output=True).stdout


def wait_until(done, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


CGROUPS = daemons.cgroup_root()
# As nft wants it: relative to where cgroup2 usually is.
CGROUPS_OF_NFT = str(CGROUPS.relative_to("/sys/fs/cgroup")) if CGROUPS != pathlib.Path("/sys/fs/cgroup") else ""


def enter_cgroup(path):
    with open(path / "cgroup.procs", "w") as f:
        f.write("0")


def remove_cgroup(path):
    """With all that runs in it."""
    for inner in sorted({path, *path.glob("**/")}, reverse=True):
        (inner / "cgroup.kill").write_text("1")
        wait_until(lambda: "populated 0" in (inner / "cgroup.events").read_text())
        inner.rmdir()


# Echoes on every port, since the rules of the world lead all of them here.
SERVER = f"""
import asyncio, socket
async def echo(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
async def main():
    s = socket.create_server(("::", {SERVER_PORT}), family=socket.AF_INET6, dualstack_ipv6=True, backlog=4096)
    server = await asyncio.start_server(echo, sock=s)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

# A packet of wayleaved carries a mark that the world sees; what opens a connection without it, or is
# of a protocol that nobody governs, is a leak.
HOST_RULES = """
table inet marker {{
    chain out {{
        type filter hook output priority mangle;
        socket cgroupv2 level 1 "{cgroup}" ip dscp set 5
        socket cgroupv2 level 1 "{cgroup}" ip6 dscp set 5
    }}
}}
"""
WORLD_RULES = f"""
table inet world {{
    counter leaked {{ }}
    chain see {{
        type filter hook prerouting priority raw;
        iif != "wl0" accept
        meta l4proto {{ udp, icmp, icmpv6 }} accept
        meta l4proto tcp tcp flags & (syn | ack) != syn accept
        ip dscp 5 accept
        ip6 dscp 5 accept
        counter name leaked
    }}
    chain lead {{
        type nat hook prerouting priority dstnat;
        iif "wl0" tcp dport {SILENT_PORT} drop
        iif "wl0" tcp dport != {{ {REFUSED_PORT}, {OWN_PORT}, {NAMES_PORT} }} redirect to :{SERVER_PORT}
    }}
}}
"""


class Network:
    """Two network namespaces joined by a veth, and the cgroup in which daemons are started."""

    def __init__(self):
        tag = f"{os.getpid()}"
        self.host, self.world = f"wlh{tag}", f"wlw{tag}"
        self.daemons = CGROUPS / f"wld{tag}"
        self.server = None
        try:
            self.build()
        except BaseException:
            self.close()
            raise

    def build(self):
        self.daemons.mkdir()
        for name in (self.host, self.world):
            sh("ip", "netns", "add", name)
            self.in_namespace(name, "ip", "link", "set", "lo", "up")
        sh("ip", "link", "add", "wl0", "netns", self.host, "type", "veth", "peer", "name", "wl0",
           "netns", self.world)
        for name, v4, v6 in ((self.host, HOST4, HOST6), (self.world, WORLD4, WORLD6)):
            self.in_namespace(name, "ip", "addr", "add", f"{v4}/24", "dev", "wl0")
            self.in_namespace(name, "ip", "addr", "add", f"{v6}/64", "dev", "wl0", "nodad")
            self.in_namespace(name, "ip", "link", "set", "wl0", "up")
        self.in_namespace(self.world, "ip", "route", "add", "local", "203.0.113.0/24", "dev", "lo")
        self.in_namespace(self.world, "ip", "-6", "route", "add", "local", "2001:db8::/32", "dev", "lo")
        self.add_rules(self.host, HOST_RULES.format(cgroup=pathlib.Path(CGROUPS_OF_NFT, self.daemons.name)))
        self.add_rules(self.world, WORLD_RULES)
        # Ping sockets for everybody, as desktop distributions have it.
        self.in_host("sysctl", "-qw", "net.ipv4.ping_group_range=0 100000")
        self.reset_routes()
        self.server = subprocess.Popen(self.enter(self.world, PYTHON, "-c", SERVER),
                                       stdout=subprocess.PIPE, text=True)
        assert self.server.stdout.readline() == "ready\n"

    def add_rules(self, namespace, rules):
        done = subprocess.run(self.enter(namespace, "nft", "-f", "-"), input=rules, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr

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
        """What has reached the world without wayleaved since the last call."""
        reset = self.in_namespace(self.world, "nft", "reset", "counter", "inet", "world", "leaked")
        return int(re.search(r"packets (\d+)", reset)[1])

    def close(self):
        if self.server:
            self.server.kill()
            self.server.wait()
        for name in (self.host, self.world):
            sh("ip", "netns", "del", name, check=False)
        remove_cgroup(self.daemons)


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


def program(code):
    """Python that prints what it left in `result`."""
    return PRELUDE + textwrap.dedent(code) + "\nprint(json.dumps(result), flush=True)\n"


class Agent:
    """A cgroup in which commands are started inside before exec, without what the launcher does
    besides: what holds here holds by the hooks and rules alone."""

    def __init__(self, network, name, cgroup):
        self.network, self.name, self.cgroup = network, name, cgroup
        self.path = CGROUPS / cgroup

    @property
    def id(self):
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "big")

    def popen(self, *command, namespace=None, **options):
        inside = Network.enter(namespace or self.network.host, *command)
        return subprocess.Popen(inside, preexec_fn=lambda: enter_cgroup(self.path), text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                **options)

    def start(self, code, **options):
        return self.popen(PYTHON, "-c", program(code), **options)

    def python(self, code, **options):
        """Runs the code inside and returns what it left in `result`."""
        process = self.start(code, **options)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return json.loads(out.splitlines()[-1])

    def id_of_cgroup(self):
        return self.path.stat().st_ino


def text_of(address, port):
    """As sessions show what was dialled."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


METRICS = {"listen": "127.0.0.1:9464"}  # in the host's namespace, which is the test's own


class Daemon(daemons.Daemon):
    """wayleaved in the host's namespace; every agent of it may do everything."""

    def __init__(self, network, folder, config, wait=True, wrapper=()):
        self.network, self.seen, self.told = network, set(), 0
        super().__init__(folder, config, [{"name": "all", "operations": ["*"], "allow": {}}], check=False,
                         wrapper=[*Network.enter(network.host), *wrapper],
                         enter=lambda: enter_cgroup(network.daemons))
        self.instance = "i" + hashlib.sha256(str(self.state).encode()).hexdigest()[:8]
        self.pins = pathlib.Path(f"/sys/fs/bpf/wayleave/{self.instance}")
        self.cgroup = CGROUPS / f"wayleave_{self.instance}"
        self.start(wait)

    def cgroups(self):
        return []  # the tests' own: processes that never talk stay in them to the end

    def pin(self, agent, program):
        return self.pins / LAYOUT / f"links/{agent.id:08x}/{program}"

    @property
    def port(self):
        return self.status()["port"]

    # --- what was connected

    def session(self, address=None, port=SERVER_PORT, **values):
        """The next session that was not asked for yet, to this address, with these values."""
        if address:
            values["address"] = text_of(address, port)
        deadline = time.monotonic() + PATIENCE
        while True:
            sessions = self.json("sessions", "list")
            for s in reversed(sessions):
                if s["id"] not in self.seen and all(s[k] == v for k, v in values.items()):
                    self.seen.add(s["id"])
                    return s
            assert time.monotonic() < deadline, f"no session {values}, but {sessions[:5]}"
            time.sleep(0.05)

    def no_session(self, wait=0.2):
        """That no session comes that was not asked for."""
        time.sleep(wait)
        return not [s for s in self.json("sessions", "list") if s["id"] not in self.seen]

    def counts(self, agent):
        return next(a["connections"] for a in self.status()["agents"] if a["name"] == agent.name)

    def reason(self, name):
        return self.status()["reasons"].get(name, 0)

    def metric(self, name):
        """Of a daemon with METRICS; with its labels."""
        text = self.network.in_host(PYTHON, "-c", "import sys, urllib.request as r; "
                                    "print(r.urlopen(sys.argv[1], timeout=30).read().decode())",
                                    f"http://{METRICS['listen']}/")
        return int(re.search(rf"^wayleave_{re.escape(name)} (\d+)$", text, re.M)[1])

    def dropped(self, where):
        return self.metric(f'dropped_total{{where="{where}"}}')

    def refusals(self):
        """What the kernel refused and the audit log tells, since the last call."""
        exported = self.wayleave("--json", "audit", "export").stdout.splitlines()
        told = [r for r in map(json.loads, exported) if r["record"] == "host" and r["event"] == "refused"]
        new, self.told = told[self.told:], len(told)
        return new

    # --- its life

    def set_config(self, **values):
        """Reloads; returns why not, or None."""
        self.config.update(values)
        self.write_config()
        self.reload()
        return self.status().get("reload_problem")

    def kill(self):
        """SIGKILL to the monitor; the workers must not outlive it."""
        workers = self.workers()
        super().kill()
        wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}/status").exists() for pid in workers))

    @contextlib.contextmanager
    def paused(self):
        """A daemon that accepts nothing, though its listener stands."""
        workers = self.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        # The signal is the process's: a thread runs on until one that has it was scheduled.
        wait_until(lambda: all(file.read_text().rsplit(")", 1)[1].split()[0] == "T"
                               for pid in workers for file in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")))
        try:
            yield
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)


class Host:
    """What a test has: daemons and agents with names of their own."""

    def __init__(self, network):
        self.network = network
        self.number = next(numbers)
        self.name = f"wlt{os.getpid()}_{self.number}"
        # Short, for sockets' paths, and open to other users.
        self.folder = pathlib.Path("/tmp") / self.name
        self.folder.mkdir(mode=0o755)
        self.daemons = []

    def agent(self, name="a"):
        return Agent(self.network, name, f"{self.name}/{name}")

    @staticmethod
    def config_of(agent, listen="deny", **more):
        return {"name": agent.name, "cgroup": agent.cgroup, "listen": listen, **more}

    def start(self, *agents, loopback="own", wait=True, wrapper=(), resources=(), **config):
        """A daemon that governs agents (or the configuration of agents); `wrapper`: words before its command line."""
        agents = [a if isinstance(a, dict) else self.config_of(a) for a in agents]
        config = {"workers": 1, "egress": "allow", "loopback": loopback, "agents": agents,
                  "resources": [{"name": "world", "protocol": "tcp", "hosts": WORLD}, *resources], **config}
        daemon = Daemon(self.network, self.folder / f"d{len(self.daemons)}", config, wait, wrapper)
        self.daemons.append(daemon)
        return daemon

    def govern(self, loopback="own", listen="deny", **config):
        """One daemon with one agent."""
        agent = self.agent()
        return self.start(self.config_of(agent, listen), loopback=loopback, **config), agent

    def close(self):
        with contextlib.ExitStack() as last:
            last.callback(self.remove)
            for daemon in self.daemons:
                last.callback(daemon.close)

    def remove(self):
        if (CGROUPS / self.name).exists():
            remove_cgroup(CGROUPS / self.name)
        sh("rm", "-rf", str(self.folder))


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
    assert network.leaks() == 0, "a governed agent reached the world"


@pytest.fixture(scope="session")
def installed():
    """PREFIX/bin and PREFIX/libexec as `make install` leaves them, where every user may look."""
    prefix = pathlib.Path(f"/tmp/wli{os.getpid()}")
    try:
        for name, folder, mode in (("wayleave", "bin", 0o755), ("wayleave-launch", "libexec/wayleave", 0o4755)):
            (prefix / folder).mkdir(parents=True, mode=0o755)
            shutil.copy(BUILD / "bin" / name, prefix / folder)
            (prefix / folder / name).chmod(mode)
        yield prefix
    finally:
        sh("rm", "-rf", str(prefix))
