# SPDX-License-Identifier: Apache-2.0
#
# It fails closed: without a daemon, without a hook, with full maps, against squatters, for sockets
# that the hooks would not see (bypasses B6, B10, B14 to B18, B27, B28). Every test ends with the
# check that the world saw nothing (conftest.host).
import json
import os
import pathlib
import subprocess
import time

import pytest

from conftest import CGROUPS, HOST4, PYTHON, SERVER4, SERVER6, SERVER_PORT, WORLD4, Network, sh

ALL = [SERVER4, SERVER6, f"::ffff:{SERVER4}"]


def attempts(agent, addresses=ALL, **options):
    return agent.python(f"result = [attempt(a) for a in {addresses!r}]", **options)


def errors(agent, addresses=ALL, **options):
    return [answer.get("error") for answer in attempts(agent, addresses, **options)]


def test_selftest(host):
    daemon = host.start("--selftest")
    result = daemon.expect("selftest")
    assert result["error"] == 0, result["text"]
    # The scratch agent is gone again.
    assert daemon.counts(0xffffffff)["pending"] is None
    assert not (CGROUPS / f"wayleave_{host.instance}/selftest").exists()


def test_killed_daemon(host):
    daemon, agent = host.govern()
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"
    daemon.kill()
    assert errors(agent) == ["ECONNREFUSED"] * 3


def test_squatter(host):
    """Whoever takes the port after a kill, root included, gets nobody's connection."""
    daemon, agent = host.govern()
    daemon.kill()
    squatter = subprocess.Popen(Network.enter(host.network.host, PYTHON, "-c", f"""
import socket, sys
a = socket.create_server(("127.0.0.1", {daemon.port}))
b = socket.create_server(("::1", {daemon.port}), family=socket.AF_INET6)
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
    daemon.kill()
    assert agent.python(f"""
        os.setuid(1234)
        try:
            socket.create_server(("127.0.0.1", {daemon.port}))
            result = "bound"
        except OSError as e:
            result = errno.errorcode[e.errno]
    """) == "EACCES"


@pytest.mark.parametrize("program, addresses", [
    ("steer_connect4", [SERVER4]), ("steer_connect6", [SERVER6, f"::ffff:{SERVER4}"])])
def test_detached_hook(host, program, addresses):
    """Without the hook the rules reject what would leave, and what goes to loopback."""
    daemon, agent = host.govern("direct")
    pin = pathlib.Path(f"/sys/fs/bpf/wayleave/{host.instance}/v1/links/{agent.id:08x}/{program}")
    local = "127.0.0.1" if program == "steer_connect4" else "::1"
    server = socket_in(host, local, 7777)
    assert attempts(agent, addresses)[0]["data"] == "ping"
    assert agent.python(f"result = attempt({local!r}, port=7777)")["data"] == "own"
    pin.unlink()
    assert errors(agent, addresses) == ["ECONNREFUSED"] * len(addresses)
    assert agent.python(f"result = attempt({local!r}, port=7777)") == {"error": "ECONNREFUSED"}
    server.kill()
    # The next reload puts it back.
    assert daemon.reload(host.option(agent, "direct"))["error"] == 0
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


def test_dialling_the_listener(host):
    """The listener is no open relay: neither for strangers nor for the agent itself."""
    daemon, agent = host.govern("direct")
    out = host.network.in_host(PYTHON, "-c", f"""
import socket
s = socket.create_connection(("127.0.0.1", {daemon.port}), 5)
print(len(s.recv(10)))
""")
    assert out == "0\n"
    daemon.expect("no-origin")
    assert agent.python(f'result = [attempt(a, port={daemon.port}) for a in ("127.0.0.1", "::1", '
                        '"0.0.0.0", "::ffff:127.0.0.1")]') == [{"error": "ECONNREFUSED"}] * 4
    assert daemon.none("origin")


def test_sockets_of_other_kinds(host):
    _, agent = host.govern()
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
        *["EPROTONOSUPPORT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EPROTONOSUPPORT",
          "EPROTONOSUPPORT", "EPROTONOSUPPORT", "EPROTONOSUPPORT", "EPROTONOSUPPORT", None, None],
    ] * 2


def test_quota(host):
    daemon, agent = host.govern("own", "deny", "--quota", "20", "--no-accept")
    # Nobody accepts, but the handshake takes a connection over; a full backlog is what keeps some
    # waiting, and sockets that were prepared and not sent off count as well.
    answer = agent.python(f"""
        TCP_FASTOPEN_CONNECT = 30
        def errno_of(s, address):
            try:
                s.connect((address, 5432))
                return None
            except OSError as e:
                return errno.errorcode[e.errno]
        # An address that bind() allows and connect() can't route back from: it never gets a SYN out.
        held = []
        result = []
        for n in range(30):
            s = socket.socket()
            s.setsockopt(socket.IPPROTO_IP, 15, 1)      # IP_FREEBIND
            s.bind(("198.51.100.1", 0))
            result.append(errno_of(s, {SERVER4!r}))
            # Again and again, it is one connection.
            for again in range(5):
                errno_of(s, {SERVER4!r})
            held.append(s)
        for s in held:
            s.close()
        s = socket.socket()
        result.append(errno_of(s, {SERVER4!r}))
    """)
    assert answer[20:30] == ["ENOBUFS"] * 10
    assert "ENOBUFS" not in answer[:20] and None not in answer[:20]
    assert answer[30] is None
    counts = daemon.counts(agent.id)
    assert (counts["quota"], counts["pending"]) == (60, 0)
    daemon.expect("quota")


def test_quota_is_given_back(host):
    """Whatever way a connection ends before it is accepted, nothing stays counted."""
    daemon, agent = host.govern("own", "deny", "--quota", "50")
    agent.python(f"""
        for n in range(300):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((({SERVER4!r}), 5432))
            if n % 3 == 0:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
    """)
    deadline = time.monotonic() + 5
    while daemon.counts(agent.id)["pending"] and time.monotonic() < deadline:
        time.sleep(0.1)
    counts = daemon.counts(agent.id)
    assert counts["pending"] == 0
    assert counts["quota"] == 0


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
    daemon, agent = host.govern("own", "deny", "--no-accept")
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
    waiting = daemon.counts(agent.id)["pending"]
    assert waiting > 20
    process.communicate("\n")
    assert daemon.counts(agent.id)["pending"] == 0
    assert daemon.counts()["pending"] == 0
    daemon.process.stdin.write("accept\n")
    daemon.process.stdin.flush()
    for _ in range(30 - waiting):
        daemon.expect("origin")
    out = host.network.in_host(PYTHON, "-c", f"""
import socket
for port in range(28800, 28830):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", port))
    s.connect(("127.0.0.1", {daemon.port}))
    print(len(s.recv(10)))
""")
    assert out.split() == ["0"] * 30
    assert daemon.none("origin")


def test_older_socket(host):
    """A socket from before the process entered the cgroup is not seen by the hooks: the launcher
    must close it. This documents why (bypass B10)."""
    _, agent = host.govern()
    outside = subprocess.run(Network.enter(host.network.host, PYTHON, "-c", f"""
import socket
s = socket.socket()
open("{agent.path}/cgroup.procs", "w").write("0")
s.connect(("{SERVER4}", {SERVER_PORT}))
print(s.recv(5).decode())
"""), capture_output=True, text=True)
    assert outside.stdout == "world\n"
    assert host.network.leaks() != []


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
        daemon.expect("origin", address=f"::ffff:{SERVER4}")
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
    assert daemon.counts(agent.id)["other_network"] == 3


def test_this_hosts_address_elsewhere(host):
    """What is this host here is another one in another network namespace."""
    daemon, agent = host.govern("direct")
    assert agent.python(f"""
        assert ctypes.CDLL(None).unshare(0x40000000) == 0
        os.system("ip link set lo up; ip link add d0 type dummy; ip link set d0 up; "
                  "ip addr add 10.99.0.77/24 dev d0")
        result = attempt({HOST4!r}, timeout=1)
    """) == {"error": "ENETUNREACH"}
    counts = daemon.counts(agent.id)
    assert (counts["direct"], counts["other_network"]) == (0, 1)


def test_restart_has_no_gap(host):
    """Connections in a loop while the daemon dies and another takes over: turned or refused."""
    daemon, agent = host.govern("own", "deny", "--port", "611")
    process = agent.start(f"""
        until = time.monotonic() + 4
        result = {{}}
        while time.monotonic() < until:
            answer = attempt({SERVER4!r})
            key = answer.get("data") or answer.get("error")
            result[key] = result.get(key, 0) + 1
    """)
    time.sleep(0.7)
    daemon.kill()
    again = host.start("--agent", host.option(agent), "--port", "611")
    time.sleep(0.7)
    again.kill()
    host.start("--agent", host.option(agent))  # another port
    out, err = process.communicate(timeout=30)
    answers = json.loads(out)
    assert set(answers) <= {"ping", "ECONNREFUSED", "ECONNRESET"}, answers
    assert answers["ping"] > 20 and answers["ECONNREFUSED"] > 0
    # Counters go on.
    assert host.daemons[-1].counts(agent.id)["accepted"] > 20


def test_two_instances(host):
    one, two = host.agent(7, "one"), host.agent(7, "two")
    first = host.start("--agent", host.option(one))
    second = host.start("--agent", host.option(two), instance=host.instance + "b")
    assert first.port != second.port
    for agent, daemon in ((one, first), (two, second)):
        assert attempts(agent, [SERVER4])[0]["data"] == "ping"
        assert daemon.expect("origin")["cgroup"] == agent.id_of_cgroup()
    first.kill()
    assert errors(one, [SERVER4]) == ["ECONNREFUSED"]
    assert attempts(two, [SERVER4])[0]["data"] == "ping"


def test_instance_is_locked(host):
    host.govern()
    second = host.start(wait=False)
    assert second.process.wait(timeout=10) == 1


def test_teardown_leaves_nothing(host, network):
    daemon, agent = host.govern()
    attempts(agent)
    daemon.kill()
    daemon.teardown(network, host.instance)
    assert not pathlib.Path(f"/sys/fs/bpf/wayleave/{host.instance}").exists()
    assert host.instance not in network.in_host("nft", "list", "tables")
    assert not agent.path.exists()
    assert not (CGROUPS / f"wayleave_{host.instance}").exists()
    assert host.instance not in sh("/usr/sbin/bpftool", "link", "show")


def test_teardown_keeps_foreign_cgroups(host, network):
    agent = host.agent()
    agent.path.mkdir(parents=True)
    daemon = host.start("--agent", host.option(agent))
    daemon.kill()
    daemon.teardown(network, host.instance)
    assert agent.path.exists()


def test_flushed_rules_come_back(host, network):
    _, agent = host.govern()
    network.in_host("nft", "flush", "ruleset")
    time.sleep(0.5)
    assert f"wayleave_{host.instance}" in network.in_host("nft", "list", "tables")
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"


def test_removed_agent_stays_governed(host):
    """A reload without the agent does not set its processes free."""
    daemon, agent = host.govern()
    process = agent.popen(PYTHON, "-i", "-c", "import socket")
    assert daemon.reload()["error"] == 0
    process.stdin.write(f"import socket; s = socket.create_connection(('{SERVER4}', 5432), 3); "
                        "n = s.send(b'ping'); print(s.recv(9).decode(), flush=True)\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ping\n"  # the worker's echo, not the world
    process.kill()
    process.wait()
    assert daemon.reload()["error"] == 0
    assert not agent.path.exists()


def test_recreated_cgroup(host):
    daemon, agent = host.govern()
    agent.path.rmdir()
    place = daemon.ask(f"prepare {agent.id}", "place")
    assert place["path"] == str(agent.path)
    assert place["cgroup"] == agent.id_of_cgroup()
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"
    # The rules know the new one too.
    pin = f"/sys/fs/bpf/wayleave/{host.instance}/v1/links/{agent.id:08x}/steer_connect4"
    os.unlink(pin)
    assert errors(agent, [SERVER4]) == ["ECONNREFUSED"]


@pytest.mark.parametrize("path, why", [
    ("{a}/inner", "inside"), ("wayleave_{i}/workers", "own"), ("wayleave_{i}", "own"),
    ("../x", "no path"), ("a//b", "no path"), ('a"b', "no path"), ("/a", "no path")])
def test_impossible_cgroups(host, path, why):
    daemon, agent = host.govern()
    path = path.format(a=agent.cgroup, i=host.instance)
    answer = daemon.reload(host.option(agent), f"9:{path}:own:deny")
    assert answer["error"] == -22
    assert why in answer["text"]
    assert attempts(agent, [SERVER4])[0]["data"] == "ping"


def test_moved_agent(host):
    daemon, agent = host.govern()
    other = host.agent(agent.id, "other")
    process = agent.popen("sleep", "60")
    assert "former cgroup" in daemon.reload(host.option(other))["text"]
    process.kill()
    process.wait()
    assert daemon.reload(host.option(other))["error"] == 0
    assert attempts(other, [SERVER4])[0]["data"] == "ping"
    assert daemon.expect("origin")["cgroup"] == other.id_of_cgroup()
    assert not agent.path.exists()


def dial_in(network, timeout=2):
    """From the world to a server of an agent."""
    return network.in_namespace(network.world, PYTHON, "-c", f"""
import socket
try:
    s = socket.create_connection(("{HOST4}", 9999), {timeout})
    s.settimeout({timeout})
    print(s.recv(10).decode())
except OSError as e:
    print(type(e).__name__)
""").strip()


@pytest.mark.parametrize("listen, answer", [("deny", "ConnectionRefusedError"), ("listen", "own")])
def test_inbound(host, network, listen, answer):
    _, agent = host.govern("own", listen)
    server = socket_in(host, "0.0.0.0", 9999, agent)
    assert dial_in(network) == answer
    server.kill()
    server.wait()


def test_inbound_listener_cannot_dial_out(host):
    """`listen: allow` lets answers pass, not new connections, hook or not."""
    _, agent = host.govern("own", "listen")
    os.unlink(f"/sys/fs/bpf/wayleave/{host.instance}/v1/links/{agent.id:08x}/steer_connect4")
    assert errors(agent, [SERVER4]) == ["ECONNREFUSED"]


def test_find_agent(host):
    daemon, agent = host.govern()
    process = agent.popen("sleep", "60")
    assert daemon.ask(f"find {process.pid}", "found")["agent"] == agent.id
    assert daemon.ask(f"find {os.getpid()}", "found")["agent"] == 0
    assert daemon.ask("find 999999999", "found")["error"] < 0
    process.kill()
    process.wait()
