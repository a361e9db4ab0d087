# SPDX-License-Identifier: Apache-2.0
#
# An agent's connections, however they are made, reach the worker with the right origin and look as if
# they had reached what was dialled (bypasses B2 to B5).
import json
import os
import pathlib
import re

import pytest

from conftest import BUILD, HOST4, HOST6, REFUSED_PORT, SERVER4, SERVER6, SILENT_PORT, text_of

DESTINATIONS = [
    (SERVER4, SERVER4, HOST4),
    (SERVER6, SERVER6, HOST6),
    (f"::ffff:{SERVER4}", SERVER4, f"::ffff:{HOST4}"),
]


@pytest.mark.parametrize("dialled, address, source", DESTINATIONS)
def test_origin_and_disguise(host, dialled, address, source):
    daemon, agent = host.govern()
    process = agent.start(f"""
        os.setuid(1234)
        result = attempt({dialled!r}, port=8443)
        result["pid"] = os.getpid()
        result["start"] = open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]
        result["exe"] = os.path.realpath(sys.executable)
        threading.Timer(0, lambda: (sys.stdin.read(), os._exit(0))).start()
    """)
    answer = json.loads(process.stdout.readline())
    assert answer["data"] == "ping"
    assert answer["peer"] == [dialled, 8443]
    assert answer["own"][0] == source
    session = daemon.session(address, 8443, upstream=text_of(address, 8443))
    assert session["agent"] == agent.name
    assert (session["pid"], session["uid"]) == (answer["pid"], 1234)
    assert session["cgroup"] == agent.id_of_cgroup()
    assert session["exe"] == answer["exe"]
    ticks = os.sysconf("SC_CLK_TCK")
    assert session["process_start"] * ticks // 10**9 == int(answer["start"])
    process.communicate()


def test_worker_needs_no_privilege(host):
    """The origin comes through all the same."""
    daemon, agent = host.govern()
    assert agent.python(f"result = attempt({SERVER4!r})")["data"] == "ping"
    status = pathlib.Path(f"/proc/{daemon.workers()[0]}/status").read_text()
    values = dict(re.findall(r"(\w+):\s+(\w+)", status))
    assert {values[n] for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")
    assert values["Uid"] != "0"
    daemon.session(SERVER4)


def test_cgroup_below(host):
    daemon, agent = host.govern()
    inner = agent.path / "inner"
    inner.mkdir()
    answer = agent.python(f"""
        open({str(inner)!r} + "/cgroup.procs", "w").write("0")
        result = attempt({SERVER4!r})
    """)
    assert answer["data"] == "ping"
    session = daemon.session(SERVER4)
    assert (session["agent"], session["cgroup"]) == (agent.name, inner.stat().st_ino)


def test_other_user(host):
    daemon, agent = host.govern()
    agent.python(f"os.setuid(1234); result = attempt({SERVER4!r})")
    assert daemon.session(SERVER4)["uid"] == 1234


def test_non_blocking(host):
    daemon, agent = host.govern()
    assert agent.python(f"""
        s = socket.socket()
        s.setblocking(False)
        first = s.connect_ex(({SERVER4!r}, 5432))
        select.select([], [s], [], 5)
        result = [errno.errorcode[first], s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
                  s.getpeername()]
    """) == ["EINPROGRESS", 0, [SERVER4, 5432]]
    daemon.session(SERVER4)


@pytest.mark.parametrize("address", [SERVER4, SERVER6])
def test_fast_open(host, address):
    daemon, agent = host.govern()
    answer = agent.python(f"""
        MSG_FASTOPEN, TCP_FASTOPEN_CONNECT = 0x20000000, 30
        family = socket.AF_INET6 if ":" in {address!r} else socket.AF_INET
        a = socket.socket(family)
        a.sendto(b"ping", MSG_FASTOPEN, ({address!r}, 5432))
        b = socket.socket(family)
        b.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        b.connect(({address!r}, 5433))
        b.send(b"pong")
        result = [a.recv(4).decode(), a.getpeername()[0], b.recv(4).decode(), b.getpeername()[0]]
    """)
    assert answer == ["ping", address, "pong", address]
    daemon.session(address, 5432)
    daemon.session(address, 5433)


@pytest.mark.parametrize("mode", ["plain", "sqpoll", "async", "fixed", "fast_open"])
def test_io_uring(host, mode):
    daemon, agent = host.govern()
    for dialled, address, _ in DESTINATIONS:
        process = agent.popen(str(BUILD / "tests/capture_dial"), "uring", mode, dialled, "5432")
        assert process.stdout.readline() == f"{dialled} 5432\n"
        session = daemon.session(address)
        assert session["pid"] == process.pid
        assert os.path.basename(session["exe"]) == "capture_dial"
        process.communicate()
        assert process.returncode == 0


def test_many_at_once(host):
    """Every connection of many threads of many processes has its own origin."""
    daemon, agent = host.govern(workers=4)
    processes = [agent.start(f"""
        def dial(n):
            port = 10000 + {i} * 100 + n
            address = [{SERVER4!r}, {SERVER6!r}, "::ffff:{SERVER4}"][n % 3]
            answers[port] = attempt(address, port=port, keep=True)
        answers = {{}}
        threads = [threading.Thread(target=dial, args=(n,)) for n in range(40)]
        for t in threads: t.start()
        for t in threads: t.join()
        result = [os.getpid(), answers]
    """) for i in range(10)]
    results = [json.loads(p.communicate(timeout=60)[0]) for p in processes]
    assert len(results) == 10
    for pid, answers in results:
        assert len(answers) == 40
        for port, answer in answers.items():
            assert answer.get("data") == "ping", answer
            dialled = answer["peer"][0].replace("::ffff:", "")
            assert daemon.session(dialled, int(port))["pid"] == pid
    assert daemon.counts(agent)["pending"] == 0
    # Round robin.
    served = [w["sessions"] for w in daemon.status()["workers"]]
    assert len(served) == 4


def test_two_in_a_row_on_one_socket(host):
    """A socket that failed, was disconnected and used again never shows an older origin."""
    daemon, agent = host.govern("direct")
    answer = agent.python(f"""
        AF_UNSPEC = struct.pack("=H14x", socket.AF_UNSPEC)
        libc = ctypes.CDLL(None, use_errno=True)
        server = socket.create_server(("127.0.0.1", 0))
        s = socket.socket()
        seen = []
        for address, port in (({SERVER4!r}, 1001), ({SERVER4!r}, 1002), server.getsockname(),
                              ("203.0.113.77", 1003)):
            s.connect((address, port))
            seen.append(s.getpeername())
            libc.connect(s.fileno(), AF_UNSPEC, 16)
        result = [seen, server.getsockname()]
    """)
    seen, server = answer
    assert seen == [[SERVER4, 1001], [SERVER4, 1002], server, ["203.0.113.77", 1003]]
    for port in (1001, 1002, 1003):
        daemon.session(SERVER4 if port < 1003 else "203.0.113.77", port)
    assert daemon.counts(agent)["pending"] == 0


def test_same_source_port_again(host):
    """The same 4-tuple, used again at once, gets its own origin (bypass B17)."""
    daemon, agent = host.govern()
    answer = agent.python(f"""
        result = []
        for port in (2001, 2002, 2003):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.bind(("127.0.0.1", 28888))
            s.connect(({SERVER4!r}, port))
            s.send(b"x"); s.recv(1)
            result.append(s.getsockname())
            s.close()
    """)
    # What the agent bound itself stays as it is.
    assert answer == [["127.0.0.1", 28888]] * 3
    for port in (2001, 2002, 2003):
        daemon.session(SERVER4, port)
    assert daemon.no_session()


def test_bound_device_and_addrform(host):
    daemon, agent = host.govern()
    answer = agent.python(f"""
        a = attempt({SERVER4!r}, port=3001, setup=lambda s: s.setsockopt(
            socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wl0"))
        b = socket.socket(socket.AF_INET6)
        b.connect(("::ffff:{SERVER4}", 3002))
        IPV6_ADDRFORM = 1
        b.setsockopt(socket.IPPROTO_IPV6, IPV6_ADDRFORM, socket.AF_INET)
        result = [a["data"], socket.socket(fileno=os.dup(b.fileno())).getpeername()]
    """)
    assert answer == ["ping", [SERVER4, 3002]]
    daemon.session(SERVER4, 3001)
    daemon.session(SERVER4, 3002)


def test_peername_by_socket_option(host):
    _, agent = host.govern()
    assert agent.python(f"""
        s = socket.create_connection(({SERVER4!r}, 5432))
        SO_PEERNAME = 28
        raw = s.getsockopt(socket.SOL_SOCKET, SO_PEERNAME, 16)
        result = [socket.inet_ntoa(raw[4:8]), struct.unpack("!H", raw[2:4])[0]]
    """) == [SERVER4, 5432]


def test_agents_do_not_mix(host):
    one, two = host.agent("one"), host.agent("two")
    daemon = host.start(one, two)
    for agent, port in ((one, 4001), (two, 4002)):
        agent.python(f"result = attempt({SERVER4!r}, port={port})")
        assert daemon.session(SERVER4, port)["agent"] == agent.name
    assert daemon.counts(one)["accepted"] == daemon.counts(two)["accepted"] == 1


@pytest.mark.parametrize("address", [SERVER4, SERVER6])
def test_upstream_refuses(host, address):
    """The handshake with the worker is done by then: a reset before any byte."""
    daemon, agent = host.govern()
    assert agent.python(f"result = attempt({address!r}, port={REFUSED_PORT})") == {"error": "ECONNRESET"}
    session = daemon.session(address, REFUSED_PORT)
    assert session["reason"] == "upstream_unreachable", session


def test_upstream_is_silent(host):
    """Reset when the time is over, and no sooner."""
    daemon, agent = host.govern()
    assert agent.python(f"""
        before = time.monotonic()
        answer = attempt({SERVER4!r}, port={SILENT_PORT}, timeout=30)
        result = [answer, 9 < time.monotonic() - before < 15]
    """) == [{"error": "ECONNRESET"}, True]
    assert daemon.session(SERVER4, SILENT_PORT)["reason"] == "upstream_unreachable"


def test_zone(host, network):
    """A link-local address with its zone is no way past either."""
    _, agent = host.govern()
    shown = json.loads(network.in_namespace(network.world, "ip", "-j", "-6", "addr", "show", "dev", "wl0"))
    address = next(a["local"] for a in shown[0]["addr_info"] if a["scope"] == "link")
    answer = agent.python(f"""
        zone = socket.if_nametoindex("wl0")
        s = socket.socket(socket.AF_INET6)
        s.settimeout(5)
        try:
            s.connect(({address!r}, 5432, 0, zone))
            s.send(b"ping")
            result = s.recv(4).decode()
        except OSError as e:
            result = errno.errorcode[e.errno]
    """)
    assert answer in ("ping", "ECONNRESET", "ENETUNREACH"), answer


def test_rest_of_the_host_is_untouched(host, network):
    host.govern()
    out = network.in_host("/usr/bin/python3", "-c", f"""
import socket
s = socket.create_connection(("{SERVER4}", 5432), 5)
s.send(b"ping")
print(s.recv(5).decode(), s.getpeername()[0])
""")
    assert out.split() == ["ping", SERVER4]
    assert network.leaks() > 0  # this one was meant to
