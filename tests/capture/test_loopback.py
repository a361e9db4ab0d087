# SPDX-License-Identifier: Apache-2.0
#
# Destinations on this host: own listeners, somebody else's, named ones (bypasses B3, B30).
import json
import subprocess
import time

import pytest

from conftest import HOST4, HOST6, PYTHON, Network
from test_closed import socket_in

FORMS4 = ["127.0.0.1", "127.1.2.3", "0.0.0.0", "::ffff:127.0.0.1", "::ffff:0.0.0.0", HOST4]
FORMS6 = ["::1", "::", HOST6]


def dial(agent, addresses, port=7000):
    answers = agent.python(f"result = [attempt(a, port={port}) for a in {addresses!r}]")
    return [a.get("data") or a["error"] for a in answers]


@pytest.fixture
def servers():
    started = []
    yield started
    for server in started:
        server.kill()
        server.wait()


@pytest.mark.parametrize("bind, forms", [("0.0.0.0", FORMS4), ("::", FORMS4 + FORMS6)])
def test_own_listener(host, servers, bind, forms):
    daemon, agent = host.govern("own")
    servers.append(socket_in(host, bind, 7000, agent))
    assert dial(agent, forms) == ["own"] * len(forms)
    assert daemon.no_session()
    assert daemon.counts(agent)["direct"] == len(forms)


@pytest.mark.parametrize("bind, forms", [("0.0.0.0", FORMS4), ("::", FORMS4 + FORMS6)])
def test_foreign_listener(host, servers, bind, forms):
    daemon, agent = host.govern("own")
    servers.append(socket_in(host, bind, 7000))
    assert dial(agent, forms) == ["ECONNREFUSED"] * len(forms)
    told = daemon.refusals()
    assert told and told[0]["subject"] == agent.name
    assert "somebody else" in told[0]["detail"] and "port 7000" in told[0]["detail"]


def test_other_agents_listener(host, servers):
    one, two = host.agent("one"), host.agent("two")
    daemon = host.start(one, two)
    servers.append(socket_in(host, "127.0.0.1", 7000, two))
    assert dial(one, ["127.0.0.1"]) == ["ECONNREFUSED"]
    assert dial(two, ["127.0.0.1"]) == ["own"]
    assert daemon.refusals()[0]["subject"] == "one"


def test_nobody_there_tells_nothing(host):
    daemon, agent = host.govern("own")
    assert dial(agent, FORMS4 + FORMS6) == ["ECONNREFUSED"] * 9
    assert daemon.refusals() == []


# A listener on a port that others of the same user may share (SO_REUSEPORT), which says whose it is.
SHARED = """
import os, socket, sys, threading
os.setgroups([]); os.setgid(1234); os.setuid(1234)
def share(address, word):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind((address, 7010))
    s.listen(64)
    def serve():
        while True:
            c = s.accept()[0]
            c.send(word)
            c.close()
    threading.Thread(target=serve, daemon=True).start()
"""


# What becomes of connecting there, from a port of one's own where one is given.
DIAL_SHARED = """
def dial(address, port=0):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(0.1)
    try:
        if port:
            s.bind((address, port))
        s.connect((address, 7010))
        said = s.recv(9).decode()
        s.recv(9)
        return said
    except socket.timeout:
        return "timeout"
    except OSError as e:
        return errno.errorcode[e.errno]
    finally:
        s.close()
"""


def dial_shared(host, bound, code):
    """What an agent got that shares a port with somebody else's server, by code that begins when both listen."""
    _, agent = host.govern()
    process = agent.start(f"""
        exec({SHARED!r})
        exec({DIAL_SHARED!r})
        share({bound!r}, b"own")
        print("ready", flush=True)
        sys.stdin.readline()
        result = []
""" + code)
    assert process.stdout.readline() == "ready\n"
    other = subprocess.Popen(Network.enter(host.network.host, PYTHON, "-c", f"{SHARED}\nshare({bound!r}, b'other')\n"
                                           "print('ready', flush=True)\nsys.stdin.readline()"),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "ready\n"
        return json.loads(process.communicate("\n", timeout=60)[0])
    finally:
        other.kill()
        other.communicate()


@pytest.fixture(params=[1, 2], ids=["", "cookies"])
def cookies(request, network):
    """With 2 a listener keeps nothing of a handshake: who gets the connection is chosen by its last packet."""
    network.in_host("sysctl", "-qw", f"net.ipv4.tcp_syncookies={request.param}")
    yield
    network.in_host("sysctl", "-qw", "net.ipv4.tcp_syncookies=1")


@pytest.mark.parametrize("bound, address", [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")])
def test_a_listener_that_is_shared(host, cookies, bound, address):
    """Of those on one port the kernel chooses by the connection's own port: the agent's are some of them, and it gets to no other."""
    # Which one the hook finds changes with their number; were the other the first, it could always be that one.
    said = dial_shared(host, bound, f"""
        for _ in range(6):
            share({bound!r}, b"own")
            result += [dial({address!r}) for _ in range(4)]
    """)
    assert "own" in said and "other" not in said, said


@pytest.mark.parametrize("bound, address", [("127.0.0.1", "127.0.0.1"), ("::1", "::1")])
def test_a_listener_that_is_shared_and_a_connection_that_has_ended(host, cookies, bound, address):
    """The kernel finds that one first (TIME_WAIT), and hands a new one from the same port to whoever is to have it by now."""
    said = dial_shared(host, bound, f"""
        for _ in range(5):
            share({bound!r}, b"own")
            result += [dial({address!r}, port) for port in range(20000, 20016)]
    """)
    assert "own" in said and "other" not in said, said


# Who of several on a port is found depends on addresses, and of the ports almost on the connection's own alone, which connect(2) does
# not know: at some addresses it always is somebody else, and all is refused.
ADDRESSES = [f"127.0.1.{n}" for n in range(1, 17)]
# The agent finds an address and a port from which its own listener is chosen, and leaves no TIME_WAIT there; then the last packet of a
# handshake waits, and meanwhile it closes that listener.
CLOSING = """
import struct
def dial(port, address):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.settimeout(0.2)
    s.bind((address, port))
    s.connect((address, 7012))
    return s
def listen(address):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind((address, 7012))
    s.listen(64)
    return s
"""


def test_a_listener_that_closes_before_a_handshake_with_cookies_ends(host, network):
    """Nothing remembers whose listener answered the SYN: somebody else's gets the connection, and nothing of what is sent."""
    _, agent = host.govern()
    process = agent.start(f"""
        exec({CLOSING!r})
        listeners = {{address: listen(address) for address in {ADDRESSES!r}}}
        print("ready", flush=True)
        sys.stdin.readline()
        for address, port in ((address, port) for address in listeners for port in range(22000, 22008)):
            try:
                dial(port, address).close()
                break
            except OSError:
                pass
        own = listeners[address]
        while True:
            own.settimeout(0.2)
            try:
                own.accept()[0].close()
            except OSError:
                break
        print(address, flush=True)
        sys.stdin.readline()
        s = dial(port, address)
        own.close()
        time.sleep(1.5)
        s.setblocking(False)
        try:
            result = s.send(b"bytes")
        except OSError as e:
            result = errno.errorcode[e.errno]
        print(json.dumps(result), flush=True)
        sys.stdin.readline()
    """)
    assert process.stdout.readline() == "ready\n"
    other = subprocess.Popen(Network.enter(host.network.host, PYTHON, "-c", f"""if True:
        import socket, sys
        exec({CLOSING!r})
        listeners = {{address: listen(address) for address in {ADDRESSES!r}}}
        print("ready", flush=True)
        s = listeners[sys.stdin.readline().strip()]
        s.settimeout(0.1)
        try:
            c = s.accept()[0]
            c.settimeout(0.1)
            print("accepted", flush=True)
            print(c.recv(100), flush=True)
        except OSError:
            pass
    """), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    network.in_host("sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
    try:
        assert other.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        address = process.stdout.readline()
        # Room for two packets, and for a third half a second later.
        network.in_host("tc", "qdisc", "add", "dev", "lo", "root", "tbf", "rate", "1kbit", "burst", "150", "limit", "10000")
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "5\n"
        network.in_host("tc", "qdisc", "change", "dev", "lo", "root", "tbf", "rate", "1mbit", "burst", "10000", "limit", "10000")
        time.sleep(0.5)
        assert other.communicate(address, timeout=30)[0] == "accepted\n"
    finally:
        network.in_host("tc", "qdisc", "del", "dev", "lo", "root", check=False)
        network.in_host("sysctl", "-qw", "net.ipv4.tcp_syncookies=1")
        for p in (process, other):
            p.kill()
            p.wait()


# What arrives at whom, where a connection opens with bytes (TCP fast open).
OPENING = """
import os, socket, sys, threading
def listen(address, port, shared):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
    s.setsockopt(socket.IPPROTO_TCP, 23, 64)  # TCP_FASTOPEN
    s.bind((address, port))
    s.listen(64)
    return s
def answer(s, word):
    def serve():
        while True:
            c = s.accept()[0]
            try:
                c.settimeout(3)
                c.sendall(word + b" " + c.recv(100))
                c.close()
            except OSError:
                pass
    threading.Thread(target=serve, daemon=True).start()
def opening(address, port, own=0):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(2)
    try:
        if own:
            s.bind((address, own))
        s.sendto(b"bytes", 0x20000000, (address, port))  # MSG_FASTOPEN
        early = s.getsockopt(socket.IPPROTO_TCP, 11, 104)[5] & 32  # TCP_INFO: TCPI_OPT_SYN_DATA
        return [s.recv(100).decode(), bool(early)]
    except OSError as e:
        return [type(e).__name__, False]
    finally:
        s.close()
"""
FAST_OPEN = 1 | 2 | 4 | 0x200  # both sides, without cookies


@pytest.fixture
def fast_open(network):
    network.in_host("sysctl", "-qw", f"net.ipv4.tcp_fastopen={FAST_OPEN}")
    yield
    network.in_host("sysctl", "-qw", "net.ipv4.tcp_fastopen=1")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_fast_open_to_an_own_listener(host, fast_open, address):
    """As without us: with the first packet."""
    _, agent = host.govern()
    assert agent.python(f"""
        exec({OPENING!r})
        answer(listen({address!r}, 7011, False), b"own")
        result = [opening({address!r}, 7011) for _ in range(3)]
    """) == [["own bytes", True]] * 3


def test_fast_open_where_the_listener_is_shared(host, fast_open):
    """The first packet carries nothing, since who gets it is not for sure; nobody else gets anything, also from where a
    connection has ended (TIME_WAIT), which is found instead of who listens."""
    _, agent = host.govern()
    process = agent.start(f"""
        exec({OPENING!r})
        for address in {ADDRESSES!r}:
            answer(listen(address, 7011, True), b"own")
        print("ready", flush=True)
        sys.stdin.readline()
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(16) as pool:
            result = [said for _ in range(2) for said in pool.map(lambda address: opening(address, 7011, 21000), {ADDRESSES!r})]
    """)
    assert process.stdout.readline() == "ready\n"
    other = subprocess.Popen(Network.enter(host.network.host, PYTHON, "-c", f"""if True:
        exec({OPENING!r})
        listeners = [listen(address, 7011, True) for address in {ADDRESSES!r}]
        print("ready", flush=True)
        sys.stdin.readline()
        for s in listeners:
            s.settimeout(0.1)
            try:
                while True:
                    c = s.accept()[0]
                    c.settimeout(0.1)
                    print(c.recv(100), flush=True)
            except OSError:
                pass
    """), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "ready\n"
        said = json.loads(process.communicate("\n", timeout=100)[0])
        words = {word for word, early in said}
        assert "own bytes" in words and words <= {"own bytes", "TimeoutError", "ConnectionResetError", "ConnectionRefusedError"}, said
        assert not any(early for _, early in said), said
        # Whatever waits there is empty.
        assert "bytes" not in other.communicate("\n", timeout=30)[0]
    finally:
        other.kill()
        other.wait()


def test_a_port_scan_is_told_slowly(host, servers):
    daemon, agent = host.govern("own")
    servers.append(socket_in(host, "127.0.0.1", 7000))
    agent.python("""
        for n in range(2000):
            attempt("127.0.0.1", port=7000)
    """)
    assert daemon.refusals()
    counts = daemon.counts(agent)
    assert counts["loopback"] == 2000
    assert counts["event_lost"] > 1000


def test_direct(host, servers):
    daemon, agent = host.govern("direct")
    servers.append(socket_in(host, "::", 7000))
    forms = FORMS4 + FORMS6
    assert dial(agent, forms) == ["own"] * len(forms)
    assert daemon.no_session()


def test_egress(host, servers):
    daemon, agent = host.govern("egress")
    servers.append(socket_in(host, "::", 7000))
    forms = FORMS4 + FORMS6
    assert dial(agent, forms) == ["own"] * len(forms)
    dialled = ["127.0.0.1", "127.1.2.3", "127.0.0.1", "127.0.0.1", "127.0.0.1", HOST4, "::1", "::1", HOST6]
    for address in dialled:
        assert daemon.session(address, 7000)["resource"] == "egress"
    assert daemon.counts(agent)["direct"] == 0


@pytest.mark.parametrize("loopback", ["own", "direct", "egress"])
def test_named_destinations(host, servers, loopback):
    """What a resource names goes to the worker in every mode; the rest follows the mode."""
    named = {"name": "named", "protocol": "tcp", "hosts": ["127.0.0.1:7000", "[fd99::/64]:*", "[::/0]:7001"]}
    daemon, agent = host.govern(loopback, resources=[named])
    servers.append(socket_in(host, "::", 7000))
    servers.append(socket_in(host, "::", 7001))
    for address, port in (("127.0.0.1", 7000), ("0.0.0.0", 7000), ("::ffff:127.0.0.1", 7000), (HOST6, 7000),
                          ("::1", 7001), (HOST6, 7001)):
        assert dial(agent, [address], port) == ["own"]
        assert daemon.session(resource="named")["address"].endswith(f":{port}")
    # ::/0 does not mean IPv4.
    unnamed = {"own": "ECONNREFUSED", "direct": "own", "egress": "own"}[loopback]
    assert dial(agent, ["127.0.0.1", HOST4], 7001) == [unnamed] * 2
    assert dial(agent, ["127.0.0.2", "::1"], 7000) == [unnamed] * 2
    seen = [s["resource"] for s in daemon.json("sessions", "list")]
    assert seen.count("egress") == (4 if loopback == "egress" else 0)


def test_socket_used_for_both(host, servers):
    """A socket that went to the worker and then to this host shows no older origin."""
    daemon, agent = host.govern("direct")
    servers.append(socket_in(host, "127.0.0.1", 7000))
    assert agent.python("""
        libc = ctypes.CDLL(None)
        s = socket.socket()
        result = []
        for address in (("203.0.113.9", 5432), ("127.0.0.1", 7000), ("203.0.113.10", 5432)):
            s.connect(address)
            result.append(s.getpeername()[0])
            libc.connect(s.fileno(), struct.pack("=H14x", 0), 16)
    """) == ["203.0.113.9", "127.0.0.1", "203.0.113.10"]


def test_prepared_and_never_sent(host, network, servers):
    """A connect that was put off (TCP_FASTOPEN_CONNECT) and then dropped leaves no origin behind."""
    daemon, agent = host.govern("direct")
    servers.append(socket_in(host, "127.0.0.1", 7000))
    NO_COOKIE = 5  # so that the client puts it off without having talked to the server before
    network.in_host("sysctl", "-qw", f"net.ipv4.tcp_fastopen={NO_COOKIE}")
    try:
        assert agent.python("""
            libc = ctypes.CDLL(None)
            s = socket.socket()
            s.setsockopt(socket.IPPROTO_TCP, 30, 1)
            s.connect(("203.0.113.9", 5432))
            libc.connect(s.fileno(), struct.pack("=H14x", 0), 16)
            s.setsockopt(socket.IPPROTO_TCP, 30, 0)
            s.connect(("127.0.0.1", 7000))
            result = [s.getpeername(), s.recv(3).decode()]
            time.sleep(0.2)
        """) == [["127.0.0.1", 7000], "own"]
    finally:
        network.in_host("sysctl", "-qw", "net.ipv4.tcp_fastopen=1")
    assert daemon.no_session()
    counts = daemon.counts(agent)
    assert (counts["redirected"], counts["accepted"], counts["pending"]) == (1, 0, 0)


def test_forged_mark(host, servers):
    """The mark by which the guard knows an approved connection can't be set without privilege."""
    _, agent = host.govern("own")
    assert agent.python("""
        os.setuid(1234)
        try:
            socket.socket().setsockopt(socket.SOL_SOCKET, 36, 0x57790001)
            result = "set"
        except OSError as e:
            result = errno.errorcode[e.errno]
    """) == "EPERM"
