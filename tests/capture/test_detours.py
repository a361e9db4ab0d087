# SPDX-License-Identifier: Apache-2.0
"""Ways round by what a socket may ask of routing: source routes, and devices that lead elsewhere than the address does. As an
agent without any capability, on a host that forwards."""
import contextlib

import pytest
from conftest import HOST4, PYTHON, SERVER4, SERVER6, program, sh
from test_flows import PORT, echo  # noqa: F401
from test_network_rules import run

BARE = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
LISTENER = 7900  # where what went round would be seen


@pytest.fixture
def forwarding(network):
    """As a host of containers; and the world counts what comes from us at all."""
    with contextlib.ExitStack() as undo:
        for name in ("ipv4.ip_forward", "ipv6.conf.all.forwarding", "ipv4.conf.all.accept_source_route",
                     "ipv4.conf.lo.forwarding"):
            before = network.in_host("sysctl", "-n", f"net.{name}").strip()
            network.in_host("sysctl", "-qw", f"net.{name}=1")
            undo.callback(network.in_host, "sysctl", "-qw", f"net.{name}={before}")
        network.reset_routes()
        undo.callback(network.reset_routes)
        network.add_rules(network.world, """
            table inet detours {
                counter seen { }
                chain see {
                    type filter hook prerouting priority raw - 1;
                    iif "wl0" meta l4proto { tcp, udp } ip dscp != 5 counter name seen
                    iif "wl0" meta nfproto ipv6 ip6 nexthdr { 43, 17 } counter name seen
                    iif "wl0" meta nfproto ipv6 ip6 nexthdr 6 ip6 dscp != 5 counter name seen
                }
            }
        """)
        undo.callback(network.in_namespace, network.world, "nft", "delete", "table", "inet", "detours")
        yield


def seen(network):
    listed = network.in_namespace(network.world, "nft", "list", "counter", "inet", "detours", "seen")
    return int(listed.split("packets")[1].split()[0])


SEND = """
def name_of(e):
    return errno.errorcode.get(e.errno, str(e)) if e.errno else str(e)

def attempt_with(setup, kind, to, wait=1.0):
    s = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, kind)
    s.settimeout(wait)
    try:
        setup(s)
        s.connect(to)
        s.send(b"data that goes round")
        return s.recv(100).decode(errors="replace")
    except OSError as e:
        return name_of(e)

# RFC 791: loose, strict; the first hop, then what is dialled.
def source_route(kind, hop):
    return lambda s: s.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, bytes([1, kind, 7, 4]) + socket.inet_aton(hop))

LOOSE, STRICT = 131, 137
"""


def all_stopped(answers):
    print(sorted(set(answers)))
    return not [a for a in answers if a.startswith("echo")]


def ungoverned(network, code):
    """The same by somebody whom nobody governs: that what is tried leads out at all."""
    sh(*network.enter(network.host, PYTHON, "-c", program(SEND + code)))
    network.leaks()
    return seen(network)


def test_source_routes(host, network, echo, forwarding):
    """The kernel sends to the first hop, whatever was dialled: the worker, a listener of the agent's own, or this host."""
    daemon, agent = host.govern(egress="deny")
    assert all_stopped(run(agent, network.host, SEND + f"""
own = socket.create_server(("127.0.0.1", {LISTENER}))
there = socket.socket(type=socket.SOCK_DGRAM)
there.bind(("127.0.0.1", {LISTENER}))
result = []
for kind in (LOOSE, STRICT):
    for to in (({SERVER4!r}, {PORT}), ("127.0.0.1", {LISTENER}), ({HOST4!r}, {LISTENER})):
        for way in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            result.append(attempt_with(source_route(kind, {SERVER4!r}), way, to))
    # To this host first, which is asked to send it on.
    result.append(attempt_with(source_route(kind, "127.0.0.1"), socket.SOCK_DGRAM, ({SERVER4!r}, {PORT})))
    result.append(attempt_with(source_route(kind, {HOST4!r}), socket.SOCK_DGRAM, ({SERVER4!r}, {PORT})))
    """, words=BARE))
    assert seen(network) == 0
    assert ungoverned(network, f"""
attempt_with(source_route(LOOSE, {SERVER4!r}), socket.SOCK_STREAM, ("127.0.0.1", {LISTENER}), 0.1)
    """) >= 1


def test_devices(host, network, echo, forwarding):
    """A datagram that is bound to loopback, and what loopback would forward. TCP gets to a worker all the same, whose own
    connection is not what is looked for here."""
    daemon, agent = host.govern(egress="deny")
    assert all_stopped(run(agent, network.host, SEND + f"""
import struct
lo = socket.if_nametoindex("lo")
ways = [lambda s: s.setsockopt(socket.SOL_SOCKET, 25, b"lo\\0"),  # SO_BINDTODEVICE
        lambda s: s.setsockopt(socket.IPPROTO_IP, 50, struct.pack("!I", lo)),  # IP_UNICAST_IF
        lambda s: s.setsockopt(socket.IPPROTO_IP, 32, socket.inet_aton("127.0.0.1"))]  # IP_MULTICAST_IF
ways6 = [lambda s: s.setsockopt(socket.SOL_SOCKET, 25, b"lo\\0"),
         lambda s: s.setsockopt(socket.IPPROTO_IPV6, 76, struct.pack("!I", lo))]  # IPV6_UNICAST_IF
result = [attempt_with(w, k, ({SERVER4!r}, {PORT})) for w in ways for k in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
result += [attempt_with(w, k, ({SERVER6!r}, {PORT})) for w in ways6 for k in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
# IP_PKTINFO, IPV6_PKTINFO: of one datagram.
for family, level, kind, data, to in (
        (socket.AF_INET, socket.IPPROTO_IP, 8, struct.pack("=I4s4s", lo, b"\\0" * 4, b"\\0" * 4), {SERVER4!r}),
        (socket.AF_INET6, socket.IPPROTO_IPV6, 50, b"\\0" * 16 + struct.pack("=I", lo), {SERVER6!r})):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(1)
    try:
        s.sendmsg([b"data that goes round"], [(level, kind, data)], 0, (to, {PORT}))
        result.append(s.recv(100).decode())
    except OSError as e:
        result.append(name_of(e))
    """, words=BARE))
    assert seen(network) == 0


def test_routing_headers(host, network, echo, forwarding):
    """IPv6's source routes: of mobility, and of segments."""
    daemon, agent = host.govern(egress="deny")
    made, answers = run(agent, network.host, SEND + f"""
hop = socket.inet_pton(socket.AF_INET6, {SERVER6!r})
own = socket.inet_pton(socket.AF_INET6, "::1")
mobile = bytes([0, 2, 2, 1, 0, 0, 0, 0]) + hop
segments = bytes([0, 4, 4, 1, 1, 0, 0, 0]) + own + hop
made, result = 0, []
for header in (mobile, segments):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for to in (("::1", {LISTENER}), ({SERVER6!r}, {PORT})):
            def setup(s):
                global made
                s.setsockopt(socket.IPPROTO_IPV6, 57, header)  # IPV6_RTHDR
                made += 1
            result.append(attempt_with(setup, kind, to))
result = [made, result]
    """, words=BARE)
    print(f"{made} routing headers were accepted by the kernel")
    assert all_stopped(answers)
    assert seen(network) == 0
    assert ungoverned(network, f"""
def setup(s):
    s.setsockopt(socket.IPPROTO_IPV6, 57, bytes([0, 4, 4, 1, 1, 0, 0, 0]) + b"\\0" * 15 + b"\\1"
                 + socket.inet_pton(socket.AF_INET6, {SERVER6!r}))
attempt_with(setup, socket.SOCK_DGRAM, ("::1", {LISTENER}), 0.1)
    """) >= (1 if made else 0)
