# SPDX-License-Identifier: Apache-2.0
#
# It fails closed: without a daemon, without a hook, with full maps, against squatters, for sockets
# that the hooks would not see (bypasses B6, B10, B14 to B18, B27, B28). Every test ends with the
# check that the world saw nothing (conftest.host).
import ctypes
import json
import os
import signal
import struct
import subprocess
import time

import pytest

from conftest import BUILD, HOST4, LAYOUT, PYTHON, SERVER4, SERVER6, SERVER_PORT, Network, sh, wait_until

ALL = [SERVER4, SERVER6, f"::ffff:{SERVER4}"]


def attempts(agent, addresses=ALL, **options):
    return agent.python(f"result = [attempt(a) for a in {addresses!r}]", **options)


def errors(agent, addresses=ALL, **options):
    return [answer.get("error") for answer in attempts(agent, addresses, **options)]


def test_selftest(host):
    """It was done before "ready", over IPv4 and IPv6, and its scratch agent is gone again."""
    daemon, agent = host.govern()
    assert not (daemon.cgroup / "selftest").exists()
    assert daemon.no_session()
    assert daemon.counts(agent)["redirected"] == 0


def test_selftest_fails(host, network):
    """Where origins don't arrive the daemon does not come up: here a rule of somebody else rejects
    what goes to the listener."""
    network.add_rules(network.host, """
        table inet foreign {
            chain output {
                type filter hook output priority 0;
                oif "lo" tcp dport 600-1023 reject with tcp reset
            }
        }""")
    try:
        daemon = host.start(host.agent(), wait=False)
        assert daemon.process.wait(timeout=30) == 1
        assert "self-test" in daemon.text() and "ready" not in daemon.text()
    finally:
        network.in_host("nft", "delete", "table", "inet", "foreign")


# A program of somebody else's that has getsockopt(2) refuse what the origin's option is: struct bpf_sockopt.level is at 24.
NO_ORIGIN = struct.pack("<BBhiBBhiBBhiBBhiBBhi", 0xB7, 0, 0, 1, 0x61, 0x12, 24, 0, 0x55, 0x02, 1, 0x57790000, 0xB7, 0, 0, 0, 0x95, 0, 0, 0)
CGROUP_SOCKOPT, CGROUP_GETSOCKOPT, ALLOW_MULTI = 25, 21, 2


def test_selftest_without_origins(host):
    """Connections arrive, and nobody can say whose they are."""
    daemon, _ = host.govern()
    daemon.stop()
    before = daemon.text().count("ready:")
    bpf = Bpf(daemon.pins / LAYOUT / "maps/settings")
    code, text = ctypes.create_string_buffer(NO_ORIGIN), ctypes.create_string_buffer(b"GPL")
    program = bpf.call(5, struct.pack("IIQQIIQII16sII", CGROUP_SOCKOPT, 5, ctypes.addressof(code), ctypes.addressof(text), 0, 0, 0, 0, 0,
                                      b"", 0, CGROUP_GETSOCKOPT))
    folder = os.open(daemon.cgroup, os.O_RDONLY)
    target = struct.pack("IIII", folder, program, CGROUP_GETSOCKOPT, ALLOW_MULTI)
    bpf.call(8, target)  # BPF_PROG_ATTACH
    try:
        daemon.start(wait=False)
        assert daemon.process.wait(timeout=60) == 1
        assert "the self-test failed: origins do not arrive" in daemon.text() and daemon.text().count("ready:") == before
    finally:
        bpf.call(9, target[:12])  # BPF_PROG_DETACH
        os.close(folder)
        os.close(program)
    daemon.start()


def test_killed_daemon(host):
    daemon, agent = host.govern()
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"
    daemon.kill()
    assert errors(agent) == ["ECONNREFUSED"] * 3


def test_squatter(host):
    """Whoever takes the port after a kill, root included, gets nobody's connection."""
    daemon, agent = host.govern()
    port = daemon.port
    daemon.kill()
    squatter = subprocess.Popen(Network.enter(host.network.host, PYTHON, "-c", f"""
import socket, sys
a = socket.create_server(("127.0.0.1", {port}))
b = socket.create_server(("::1", {port}), family=socket.AF_INET6)
print("ready", flush=True)
a.settimeout(2)
try:
    a.accept()
    print("got one")
except socket.timeout:
    print("nobody came")
"""), stdout=subprocess.PIPE, text=True)
    assert squatter.stdout.readline() == "ready\n"
    assert errors(agent) == ["ECONNREFUSED"] * 3
    assert squatter.communicate(timeout=10)[0] == "nobody came\n"


def test_agent_cannot_take_the_port(host):
    daemon, agent = host.govern()
    port = daemon.port
    daemon.kill()
    assert agent.python(f"""
        os.setuid(1234)
        try:
            socket.create_server(("127.0.0.1", {port}))
            result = "bound"
        except OSError as e:
            result = errno.errorcode[e.errno]
    """) == "EACCES"


@pytest.mark.parametrize("program, addresses", [
    ("steer_connect4", [SERVER4]), ("steer_connect6", [SERVER6, f"::ffff:{SERVER4}"])])
def test_detached_hook(host, program, addresses):
    """Without the hook the rules reject what would leave, and what goes to loopback."""
    daemon, agent = host.govern("direct")
    pin = daemon.pin(agent, program)
    local = "127.0.0.1" if program == "steer_connect4" else "::1"
    server = socket_in(host, local, 7777)
    assert attempts(agent, addresses)[0]["data"] == "ping"
    assert agent.python(f"result = attempt({local!r}, port=7777)")["data"] == "own"
    pin.unlink()
    assert errors(agent, addresses) == ["ECONNREFUSED"] * len(addresses)
    assert agent.python(f"result = attempt({local!r}, port=7777)") == {"error": "ECONNREFUSED"}
    server.kill()
    # The next reload puts it back.
    assert daemon.set_config() is None
    assert attempts(agent, addresses)[0]["data"] == "ping"


def socket_in(host, address, port, agent=None):
    """A server on this host, outside any agent or inside one, that says "own"."""
    code = f"""
import socket
six = ":" in {address!r}
s = socket.create_server(({address!r}, {port}), dualstack_ipv6={address!r} == "::",
                         family=socket.AF_INET6 if six else socket.AF_INET)
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.send(b"own")
    c.close()
"""
    if agent:
        server = agent.popen(PYTHON, "-c", code)
    else:
        server = subprocess.Popen(Network.enter(host.network.host, PYTHON, "-c", code),
                                  stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    return server


def answers_of_listener(host, port, own_ports=(0,)):
    """How many bytes a stranger gets who dials the listener from each of own_ports."""
    out = host.network.in_host(PYTHON, "-c", f"""
import socket
for own in {list(own_ports)!r}:
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", own))
    s.connect(("127.0.0.1", {port}))
    try:
        print(len(s.recv(10)))
    except ConnectionResetError:
        print(0)
""")
    return [int(line) for line in out.split()]


def test_dialling_the_listener(host):
    """The listener is no open relay: neither for strangers nor for the agent itself."""
    daemon, agent = host.govern("direct")
    assert answers_of_listener(host, daemon.port) == [0]
    wait_until(lambda: daemon.reason("no_origin") == 1)
    assert agent.python(f'result = [attempt(a, port={daemon.port}) for a in ("127.0.0.1", "::1", '
                        '"0.0.0.0", "::ffff:127.0.0.1")]') == [{"error": "ECONNREFUSED"}] * 4
    assert daemon.no_session()


@pytest.mark.parametrize("egress, ping", [("deny", "EPROTONOSUPPORT"), ("allow", None)])
def test_sockets_of_other_kinds(host, egress, ping):
    """Ping sockets are there where what they ask is judged: test_echoes.py."""
    daemon, agent = host.govern(egress=egress)
    assert agent.python("""
        result = []
        for family in (socket.AF_INET, socket.AF_INET6):
            for kind, protocol in ((socket.SOCK_STREAM, 262), (socket.SOCK_STREAM, 132),
                                   (socket.SOCK_SEQPACKET, 132), (socket.SOCK_RAW, 6),
                                   (socket.SOCK_RAW, 255), (socket.SOCK_DGRAM, 1),
                                   (socket.SOCK_DGRAM, 58), (socket.SOCK_DGRAM, 136),
                                   (socket.SOCK_STREAM, 0), (socket.SOCK_DGRAM, 0)):
                try:
                    socket.socket(family, kind, protocol)
                    result.append(None)
                except OSError as e:
                    result.append(errno.errorcode[e.errno])
    """) == [
        # MPTCP, SCTP twice, raw twice, ping, ping6, UDP-Lite; then TCP and UDP.
        outcome for own, other in ((ping, "EPROTONOSUPPORT"), ("EPROTONOSUPPORT", ping))
        for outcome in ("EPROTONOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EPROTONOSUPPORT",
                        "EPROTONOSUPPORT", own, other, "EPROTONOSUPPORT", None, None)
    ]
    assert daemon.counts(agent)["protocol"] > 0


QUOTA = 4096  # CAPTURE_DEFAULT_QUOTA


def test_quota(host):
    daemon, agent = host.govern()
    answer = agent.python(f"""
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, ({QUOTA} + 100,) * 2)
        def errno_of(s, address):
            try:
                s.connect((address, 5432))
                return None
            except OSError as e:
                return errno.errorcode[e.errno]
        # An address that bind() allows and connect() can't route back from: it never gets a SYN out,
        # and stays prepared.
        held = []
        result = []
        for n in range({QUOTA} + 10):
            s = socket.socket()
            s.setsockopt(socket.IPPROTO_IP, 15, 1)      # IP_FREEBIND
            s.bind(("198.51.100.1", 0))
            result.append(errno_of(s, {SERVER4!r}))
            # Again and again, it is one connection.
            for again in range(2):
                errno_of(s, {SERVER4!r})
            held.append(s)
        for s in held:
            s.close()
        s = socket.socket()
        result.append(errno_of(s, {SERVER4!r}))
    """)
    assert answer[QUOTA:QUOTA + 10] == ["ENOBUFS"] * 10
    assert "ENOBUFS" not in answer[:QUOTA] and None not in answer[:QUOTA]
    assert answer[-1] is None
    counts = daemon.counts(agent)
    assert (counts["quota"], counts["pending"]) == (30, 0)
    assert "prepared but not accepted" in daemon.refusals()[0]["detail"]


# Holds as many prepared connections as it may, and says how many they are, until it is told to let go.
HOARD = f"""
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, ({QUOTA} + 100,) * 2)
    held, refused = [], 0
    while not refused and len(held) < {QUOTA}:
        s = socket.socket()
        s.setsockopt(socket.IPPROTO_IP, 15, 1)      # IP_FREEBIND, as in test_quota
        s.bind((ADDRESS, 0))
        refused = s.connect_ex(({SERVER4!r}, 5432)) == errno.ENOBUFS
        held += [] if refused else [s]
    print(len(held), flush=True)
    sys.stdin.readline()
"""
QUOTA_ALL = 32768 - 1024  # STEER_PENDING_MOST, and what capture.c leaves of it


def test_quota_of_all(host):
    """Who has used up their own share takes nothing from others, until what all agents share is used up; and all go on when it is given back."""
    agents = [host.agent(f"a{i}") for i in range(QUOTA_ALL // QUOTA + 2)]
    daemon = host.start(*agents)
    hoarders, counts = [], []
    for agent in agents[:-1]:
        assert attempts(agents[-1], [SERVER4])[0].get("data") == "ping", counts
        # A port of one address is another's no more.
        hoarders.append(agent.start(HOARD.replace("ADDRESS", f'"198.51.100.{len(counts) + 1}"')))
        counts.append(int(hoarders[-1].stdout.readline()))
    assert sum(counts) == QUOTA_ALL and max(counts) == QUOTA, counts
    assert errors(agents[-1]) == ["ENOBUFS"] * 3
    for hoarder in hoarders:
        hoarder.communicate("\n")
    assert [answer.get("data") for answer in attempts(agents[-1])] == ["ping"] * 3


PENDING_MOST = 32768  # of the map of those who connect


class Bpf:
    """bpf(2), as far as a map is filled by somebody else."""
    GET, UPDATE, DELETE = 7, 26, 27  # BPF_OBJ_GET, BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH

    def __init__(self, pin):
        self.libc = ctypes.CDLL(None, use_errno=True)
        path = ctypes.create_string_buffer(str(pin).encode())
        self.map = self.call(self.GET, struct.pack("QII", ctypes.addressof(path), 0, 0))

    def call(self, command, attributes):
        room = ctypes.create_string_buffer(attributes + bytes(128 - len(attributes)))
        result = self.libc.syscall(321, command, room, 128)
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    def change(self, command, keys, value=b""):
        room = [ctypes.create_string_buffer(b"".join(keys)), ctypes.create_string_buffer(value * len(keys))]
        self.call(command, struct.pack("QQQQIIQQ", 0, 0, *map(ctypes.addressof, room), len(keys), self.map, 0, 0))


def test_full_map(host):
    """Not even if there were more in it than is counted: who finds no room is refused, nothing of it passes, and what stands goes on."""
    daemon, agent = host.govern()
    other = agent.start(f"""
        s = socket.create_connection(({SERVER4!r}, 5432), 5)
        s.send(b"ping")
        print(s.recv(4).decode(), flush=True)
        sys.stdin.readline()
        s.send(b"pong")
        result = s.recv(4).decode()
    """)
    assert other.stdout.readline() == "ping\n"
    daemon.session(SERVER4)
    pending = Bpf(daemon.pins / LAYOUT / "maps/pending")
    keys = [struct.pack("Q40x", n) for n in range(PENDING_MOST)]
    pending.change(Bpf.UPDATE, keys, bytes(112))
    try:
        assert errors(agent) == ["ECONNREFUSED"] * 3
        assert daemon.no_session() and daemon.counts(agent)["origin_lost"] == 3
        out, err = other.communicate("\n", timeout=20)
        assert json.loads(out) == "pong", err
    finally:
        pending.change(Bpf.DELETE, keys)
    assert [answer.get("data") for answer in attempts(agent)] == ["ping"] * 3
    assert daemon.counts(agent)["pending"] == 0


def test_quota_is_given_back(host):
    """Whatever way a connection ends before it is accepted, nothing stays counted."""
    daemon, agent = host.govern()
    agent.python(f"""
        for n in range(300):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((({SERVER4!r}), 5432))
            if n % 3 == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
    """)
    wait_until(lambda: daemon.counts(agent)["pending"] == 0)
    assert daemon.counts(agent)["quota"] == 0


@pytest.fixture
def short_backlog(network):
    """A worker that doesn't keep up leaves connections waiting."""
    before = network.in_host("sysctl", "-n", "net.core.somaxconn").strip()
    network.in_host("sysctl", "-qw", "net.core.somaxconn=2")
    yield
    network.in_host("sysctl", "-qw", f"net.core.somaxconn={before}")


def test_dead_before_accepted(host, short_backlog):
    """An origin that nobody took dies with its socket: neither the quota nor the next connection from
    the same address and port has anything of it (bypass B17)."""
    daemon, agent = host.govern()
    with daemon.paused():
        process = agent.start(f"""
            held = []
            for port in range(28800, 28830):
                s = socket.socket()
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.bind(("127.0.0.1", port))
                s.setblocking(False)
                s.connect_ex(({SERVER4!r}, 5432))
                held.append(s)
            print("waiting", flush=True)
            sys.stdin.readline()
            for s in held:
                s.close()
        """)
        assert process.stdout.readline() == "waiting\n"
        waiting = daemon.counts(agent)["pending"]
        assert waiting > 20
        process.communicate("\n")
        assert daemon.counts(agent)["pending"] == 0
    for _ in range(30 - waiting):
        daemon.session(SERVER4)
    assert answers_of_listener(host, daemon.port, range(28800, 28830)) == [0] * 30
    assert daemon.no_session()


# Of a process outside of all agents: a socket of it, connected already or not, comes to be the agent's.
FROM_OUTSIDE = f"""
import os, socket, sys
connected, how, procs = sys.argv[1] == "connected", sys.argv[2], sys.argv[3]
def use(s):
    if not connected:
        s.connect(("{SERVER4}", {SERVER_PORT}))
    s.send(b"world")
    print(s.recv(5).decode())
s = socket.create_connection(("{SERVER4}", {SERVER_PORT})) if connected else socket.socket()
ours, theirs = socket.socketpair()
if how == "passed" and os.fork():
    socket.send_fds(ours, [b"x"], [s.fileno()])
    s.close()
    os.wait()
    sys.exit()
if how == "passed":
    s.close()
open(procs, "w").write("0")
if how == "passed":
    s = socket.socket(fileno=socket.recv_fds(theirs, 1, 1)[1][0])
use(s)
"""


@pytest.mark.parametrize("state", ["connected", "new"])
@pytest.mark.parametrize("how", ["moved", "passed"])
def test_sockets_from_outside(host, state, how):
    """Left open (bypass B10): hooks and rules go by the cgroup in which a socket was made. What a process had when it was moved into the
    agent's cgroup, and what somebody outside passes in, reaches the world; so the launcher closes what is inherited, and nobody who passes
    sockets may be where an agent can ask."""
    _, agent = host.govern()
    out = host.network.in_host(PYTHON, "-c", FROM_OUTSIDE, state, how, f"{agent.path}/cgroup.procs")
    assert out == "world\n"
    assert host.network.leaks() > 0


@pytest.mark.parametrize("address", [SERVER4, SERVER6, "127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_older_connection(host, address):
    """A connection of the cgroup from before it was governed does not go on (bypass B11)."""
    agent = host.agent()
    agent.path.mkdir(parents=True)
    inner = agent.path / "inner"
    inner.mkdir()
    server = echo_in(host)
    port = 7000 if address not in (SERVER4, SERVER6) else SERVER_PORT
    process = agent.start(f"""
        open({str(inner)!r} + "/cgroup.procs", "w").write("0")
        s = socket.create_connection(({address!r}, {port}))
        s.settimeout(5)
        s.send(b"ping")
        print(s.recv(4).decode(), flush=True)
        sys.stdin.readline()
        try:
            s.send(b"ping")
            result = s.recv(4).decode()
        except OSError as e:
            result = errno.errorcode[e.errno]
    """)
    untouched = connection_outside(host, port, address)
    assert process.stdout.readline() == "ping\n"
    host.start(agent)
    host.network.leaks()
    out, err = process.communicate("\n", timeout=20)
    assert json.loads(out) in ("ECONNABORTED", "ECONNRESET"), err
    # Somebody else's goes on.
    assert untouched.communicate("\n", timeout=20)[0] == "ping\n"
    host.network.leaks()
    server.kill()
    server.wait()


def echo_in(host):
    """A server of nobody's on this host."""
    server = subprocess.Popen(Network.enter(host.network.host, PYTHON, "-c", """
import socket, threading
def echo(c):
    while data := c.recv(9999):
        c.send(data)
s = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    threading.Thread(target=echo, args=(s.accept()[0],), daemon=True).start()
"""), stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    return server


def connection_outside(host, port, address):
    """A process outside of all agents, with a connection that it uses after a line on stdin."""
    process = subprocess.Popen(Network.enter(host.network.host, PYTHON, "-c", f"""
import socket, sys
s = socket.create_connection(({address!r}, {port}))
s.settimeout(5)
print("connected", flush=True)
sys.stdin.readline()
s.send(b"ping")
print(s.recv(4).decode(), flush=True)
"""), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "connected\n"
    return process


def test_no_route(host, network):
    daemon, agent = host.govern()
    network.in_host("ip", "-6", "route", "del", "default")
    network.in_host("ip", "route", "add", "unreachable", "198.51.100.0/24")
    network.in_host("ip", "route", "add", "prohibit", "198.51.101.0/24")
    try:
        time.sleep(0.5)
        assert errors(agent, [SERVER6, "198.51.100.1", "198.51.101.1", "224.0.0.1", "ff02::1",
                              "10.99.0.255", "255.255.255.255"]) == [
            "ENETUNREACH", "EHOSTUNREACH", "EACCES", "ENETUNREACH", "ENETUNREACH", "ENETUNREACH",
            "ENETUNREACH"]
        # A client with both addresses falls back.
        assert agent.python(f"""
            both = [(socket.AF_INET6, 1, 6, "", ({SERVER6!r}, 5432, 0, 0)),
                    (socket.AF_INET, 1, 6, "", ({SERVER4!r}, 5432))]
            socket.getaddrinfo = lambda *a, **k: both
            result = socket.create_connection(("db", 5432)).getpeername()
        """) == [SERVER4, 5432]
        daemon.session(SERVER4)
    finally:
        network.in_host("ip", "route", "del", "unreachable", "198.51.100.0/24")
        network.in_host("ip", "route", "del", "prohibit", "198.51.101.0/24")
        network.reset_routes()
    time.sleep(0.5)
    assert attempts(agent, [SERVER6, "198.51.100.1"])[0]["data"] == "ping"


def test_link_down(host, network):
    """The kernel doesn't tell of the routes that a link takes along."""
    _, agent = host.govern()
    try:
        network.in_host("ip", "link", "set", "wl0", "down")
        time.sleep(0.5)
        assert errors(agent, [SERVER4]) == ["ENETUNREACH"]
    finally:
        network.in_host("ip", "link", "set", "wl0", "up")
        network.in_host("ip", "addr", "replace", "fd99::2/64", "dev", "wl0", "nodad")
        network.reset_routes()
    time.sleep(0.5)
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"


def test_other_network_namespace(host):
    """An agent that makes a network namespace of its own finds no listener there (bypass B12)."""
    daemon, agent = host.govern()
    assert agent.python(f"""
        CLONE_NEWNET = 0x40000000
        libc = ctypes.CDLL(None, use_errno=True)
        inherited = socket.socket()
        assert libc.unshare(CLONE_NEWNET) == 0
        os.system("ip link set lo up")
        fake = socket.create_server(("127.0.0.1", {daemon.port}))
        result = [attempt(a).get("error") for a in {ALL!r} + ["127.0.0.1"]]
    """) == ["ENETUNREACH"] * 3 + ["ECONNREFUSED"]
    assert daemon.counts(agent)["other_network"] == 3
    # Several at once are told once.
    wait_until(lambda: any("another network namespace" in told["detail"] and told["subject"] == agent.name
                           for told in daemon.refusals()))


def test_this_hosts_address_elsewhere(host):
    """What is this host here is another one in another network namespace."""
    daemon, agent = host.govern("direct")
    assert agent.python(f"""
        assert ctypes.CDLL(None).unshare(0x40000000) == 0
        os.system("ip link set lo up; ip link add d0 type dummy; ip link set d0 up; "
                  "ip addr add 10.99.0.77/24 dev d0")
        result = attempt({HOST4!r}, timeout=1)
    """) == {"error": "ENETUNREACH"}
    counts = daemon.counts(agent)
    assert (counts["direct"], counts["other_network"]) == (0, 1)


def test_restart_has_no_gap(host):
    """Connections in a loop while the daemon dies and another takes over: turned or refused."""
    daemon, agent = host.govern(listen_port=611)
    process = agent.start(f"""
        result = {{}}
        reader = threading.Thread(target=sys.stdin.readline)
        reader.start()
        while reader.is_alive():
            answer = attempt({SERVER4!r})
            key = answer.get("error", answer.get("data"))
            result[key] = result.get(key, 0) + 1
    """)
    for port in (611, 612):
        time.sleep(0.5)
        daemon.kill()
        time.sleep(0.2)
        daemon.config["listen_port"] = port
        daemon.write_config()
        daemon.start()
    time.sleep(0.5)
    # Counters go on.
    assert daemon.counts(agent)["accepted"] > 20
    answers = json.loads(process.communicate("\n", timeout=30)[0])
    # "": its worker died while it had the connection.
    assert set(answers) <= {"ping", "ECONNREFUSED", "ECONNRESET", ""}, answers
    assert answers["ping"] > 20 and answers["ECONNREFUSED"] > 0


def test_worker_dies(host):
    """The listener is kept: what comes meanwhile waits for the next worker."""
    daemon, agent = host.govern()
    attempts(agent, [SERVER4])
    before = daemon.workers()
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: not os.path.exists(f"/proc/{before[0]}"))
    assert attempts(agent, [SERVER4])[0].get("data") == "ping", daemon.text()
    wait_until(lambda: daemon.workers() != before)
    assert daemon.status()["workers"][0]["failures"] == 1
    exported = daemon.wayleave("--json", "audit", "export").stdout
    assert "worker_gone" in exported


def test_two_daemons(host):
    one, two = host.agent("one"), host.agent("two")
    first, second = host.start(one), host.start(two)
    assert first.port != second.port
    for agent, daemon in ((one, first), (two, second)):
        assert attempts(agent, [SERVER4])[0]["data"] == "ping"
        assert daemon.session(SERVER4)["cgroup"] == agent.id_of_cgroup()
    first.kill()
    assert errors(one, [SERVER4]) == ["ECONNREFUSED"]
    assert attempts(two, [SERVER4])[0]["data"] == "ping"


def test_one_daemon_per_state_folder(host):
    daemon, agent = host.govern()
    second = subprocess.run(daemon.daemon_command(), capture_output=True, text=True, timeout=20)
    assert second.returncode == 1 and "another daemon has the instance" in second.stderr
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"


def test_programs_that_do_not_load(host):
    """Unix sockets are left alone where the kernel can't turn them, and for no other reason."""
    daemon, agent = host.govern()
    if not daemon.status()["unix_sockets"]:
        pytest.skip("this kernel can't turn Unix sockets (6.7)")
    daemon.stop()
    pin = daemon.pins / LAYOUT / "maps/unix_servers"
    pin.unlink()
    subprocess.run(["bpftool", "map", "create", pin, "type", "hash", "key", "4", "value", "4", "entries", "1", "name", "another"], check=True)
    with pytest.raises(RuntimeError, match="BPF object unix"):
        daemon.start()
    assert errors(agent, [SERVER4]) == ["ECONNREFUSED"]
    pin.unlink()
    daemon.start()
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"


def test_flushed_rules_come_back(host, network):
    daemon, agent = host.govern()
    network.in_host("nft", "delete", "table", "inet", f"wayleave_{daemon.instance}")
    wait_until(lambda: f"wayleave_{daemon.instance}" in network.in_host("nft", "list", "tables"))
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"


def test_removed_agent_stays_governed(host):
    """A reload without the agent does not set its processes free."""
    daemon, agent = host.govern()
    other = host.agent("other")
    process = agent.start(f"""
        for line in sys.stdin:
            print(attempt({SERVER4!r}).get("data"), flush=True)
    """)
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ping\n"
    assert daemon.set_config(agents=[host.config_of(other)]) is None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "None\n"
    process.kill()
    process.wait()
    assert daemon.set_config() is None
    assert not agent.path.exists()


def test_recreated_cgroup(host):
    """Who removes an agent's cgroup and makes it anew does not get rid of the hooks."""
    daemon, agent = host.govern()
    agent.path.rmdir()
    daemon.run("true", agent=agent.name)
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"
    # The rules know the new one too.
    daemon.pin(agent, "steer_connect4").unlink()
    assert errors(agent, [SERVER4]) == ["ECONNREFUSED"]


@pytest.mark.parametrize("path", ["{a}/inner", "wayleave_{i}/workers", "wayleave_{i}", "../x", "a//b", 'a"b', "/a"])
def test_impossible_cgroups(host, path):
    daemon, agent = host.govern()
    path = path.format(a=agent.cgroup, i=daemon.instance)
    more = {"name": "more", "cgroup": path}
    assert daemon.set_config(agents=[host.config_of(agent), more])
    assert "cgroup" in daemon.text()
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"
    assert daemon.set_config(agents=[host.config_of(agent)]) is None


def test_moved_agent(host):
    daemon, agent = host.govern()
    there = host.agent("there")
    moved = {"name": agent.name, "cgroup": there.cgroup}
    process = agent.popen("sleep", "60")
    assert "former cgroup" in daemon.set_config(agents=[moved])
    process.kill()
    process.wait()
    assert daemon.set_config(agents=[moved]) is None
    assert attempts(there, [SERVER4])[0]["data"] == "ping"
    assert daemon.session(SERVER4)["cgroup"] == there.id_of_cgroup()
    assert not agent.path.exists()


# --- the control socket (bypass B29) ---

@pytest.mark.parametrize("words, refused", [
    (["status"], False), (["sessions", "list"], True), (["audit", "verify"], True),
    (["run", "--", "true"], True), (["policy", "explain", "--agent", "a", "--resource", "world", "x"], True)])
def test_control_socket_from_inside(host, words, refused):
    """Also to root, and whatever it was asked before its process died (below)."""
    one, two = host.agent("one"), host.agent("two")
    daemon = host.start(one, two)
    command = [str(BUILD / "bin/wayleave"), "--socket", str(daemon.socket), *words]
    done = one.popen(*command)
    out, err = done.communicate(timeout=20)
    assert (done.returncode != 0) == refused, (out, err)
    if refused:
        assert "from inside an agent" in err
    else:
        # Of itself alone.
        assert "one" in out and "two" not in out and "worker" not in out


def process_with_number(number):
    """A process of root's that is outside; None: somebody else was faster, as happens where much runs."""
    with open("/proc/sys/kernel/ns_last_pid", "r+") as last:
        for _ in range(10):
            last.seek(0)
            last.write(str(number - 1))
            last.flush()
            process = subprocess.Popen(["sleep", "60"])
            if process.pid == number:
                return process
            process.kill()
            process.wait()
    return None


def test_control_socket_after_its_owner(host):
    """Who connected is known by its number, which is given again after its death: a socket that
    outlives the process that connected it is refused."""
    daemon, agent = host.govern()
    outlives = f"""
import os, socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.connect({str(daemon.socket)!r})
if os.fork():
    os._exit(0)
sys.stdin.readline()
s.send(struct.pack("=Ii", 1, 0))
print(struct.unpack("=Ii", s.recv(9999)[:8])[1], flush=True)
"""
    for _ in range(20):
        process = agent.popen(PYTHON, "-c", outlives)
        process.wait()
        if other := process_with_number(process.pid):
            break
        process.communicate("\n", timeout=10)
    assert other, "somebody else has the number"
    try:
        assert process.communicate("\n", timeout=10)[0] == "-1\n"
    finally:
        other.kill()
        other.wait()
