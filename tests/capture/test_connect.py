# SPDX-License-Identifier: Apache-2.0
#
# An agent's connections, however they are made, reach the worker with the right origin and look as if
# they had reached what was dialled (bypasses B2 to B5).
import json
import os
import pathlib

import pytest

from conftest import BUILD, HOST4, HOST6, SERVER4, SERVER6

DESTINATIONS = [
    (SERVER4, SERVER4, f"::ffff:{SERVER4}", HOST4),
    (SERVER6, SERVER6, SERVER6, HOST6),
    (f"::ffff:{SERVER4}", f"::ffff:{SERVER4}", f"::ffff:{SERVER4}", f"::ffff:{HOST4}"),
]


@pytest.mark.parametrize("dialled, shown, address, source", DESTINATIONS)
def test_origin_and_disguise(host, dialled, shown, address, source):
    daemon, agent = host.govern()
    answer = agent.python(f"""
        result = attempt({dialled!r}, port=8443)
        result["pid"] = os.getpid()
        result["start"] = open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19]
        exe = os.stat("/proc/self/exe")
        result["exe"] = [exe.st_ino, os.major(exe.st_dev), os.minor(exe.st_dev)]
    """)
    assert answer["data"] == "ping"
    assert answer["peer"] == [shown, 8443]
    assert answer["own"][0] == source
    origin = daemon.expect("origin")
    assert origin["agent"] == agent.id
    assert (origin["address"], origin["port"]) == (address, 8443)
    assert origin["local"] == 0
    assert origin["family"] == (10 if ":" in dialled else 2)
    assert origin["pid"] == answer["pid"]
    assert origin["uid"] == 0
    assert origin["cgroup"] == agent.id_of_cgroup()
    ticks = os.sysconf("SC_CLK_TCK")
    assert origin["start_time"] * ticks // 10**9 == int(answer["start"])
    assert answer["exe"] == [origin["exe_inode"], origin["exe_device"] >> 20,
                             origin["exe_device"] & 0xfffff]
    assert bytes.fromhex(origin["command"]) == b"python3"


def test_worker_needs_no_privilege(host):
    # The test daemon's workers run as nobody; the origin came through all the same.
    daemon, agent = host.govern()
    assert agent.python(f"result = attempt({SERVER4!r})")["data"] == "ping"
    children = pathlib.Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children")
    worker = children.read_text().split()[0]
    status = pathlib.Path(f"/proc/{worker}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    daemon.expect("origin")


def test_cgroup_below(host):
    daemon, agent = host.govern()
    inner = agent.path / "inner"
    inner.mkdir()
    answer = agent.python(f"""
        open({str(inner)!r} + "/cgroup.procs", "w").write("0")
        result = attempt({SERVER4!r})
    """)
    assert answer["data"] == "ping"
    origin = daemon.expect("origin")
    assert (origin["agent"], origin["cgroup"]) == (agent.id, inner.stat().st_ino)


def test_other_user(host):
    daemon, agent = host.govern()
    agent.python(f"os.setuid(1234); result = attempt({SERVER4!r})")
    assert daemon.expect("origin")["uid"] == 1234


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
    daemon.expect("origin", address=f"::ffff:{SERVER4}")


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
    daemon.expect("origin", port=5432)
    daemon.expect("origin", port=5433)


@pytest.mark.parametrize("mode", ["plain", "sqpoll", "async"])
def test_io_uring(host, mode):
    daemon, agent = host.govern()
    process = agent.popen(str(BUILD / "tests/capture_dial"), "uring", mode, SERVER4, "5432")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert out == f"{SERVER4} 5432\n"
    origin = daemon.expect("origin")
    assert origin["pid"] == process.pid
    assert bytes.fromhex(origin["command"]) == b"capture_dial"
    assert origin["exe_inode"] == (BUILD / "tests/capture_dial").stat().st_ino


def test_many_at_once(host):
    """Every connection of many threads of many processes has its own origin."""
    daemon, agent = host.govern("own", "deny", "--workers", "4")
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
    workers = set()
    for pid, answers in results:
        assert len(answers) == 40
        for port, answer in answers.items():
            assert answer.get("data") == "ping", answer
            origin = daemon.expect("origin", port=int(port))
            assert origin["pid"] == pid
            assert answer["peer"][0] == origin["address"].replace("::ffff:", "") or \
                answer["peer"][0] == origin["address"]
            workers.add(origin["worker"])
    assert workers == {0, 1, 2, 3}
    assert daemon.counts(agent.id)["pending"] == 0


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
        assert daemon.expect("origin")["port"] == port
    assert daemon.counts(agent.id)["pending"] == 0


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
    assert [daemon.expect("origin")["port"] for _ in range(3)] == [2001, 2002, 2003]


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
    assert daemon.expect("origin", port=3001)["interface"] != 0
    assert daemon.expect("origin", port=3002)["interface"] == 0


def test_peername_by_socket_option(host):
    _, agent = host.govern()
    assert agent.python(f"""
        s = socket.create_connection(({SERVER4!r}, 5432))
        SO_PEERNAME = 28
        raw = s.getsockopt(socket.SOL_SOCKET, SO_PEERNAME, 16)
        result = [socket.inet_ntoa(raw[4:8]), struct.unpack("!H", raw[2:4])[0]]
    """) == [SERVER4, 5432]


def test_agents_do_not_mix(host):
    one, two = host.agent(7, "one"), host.agent(8, "two")
    daemon = host.start("--agent", host.option(one), "--agent", host.option(two))
    for agent, port in ((one, 4001), (two, 4002)):
        agent.python(f"result = attempt({SERVER4!r}, port={port})")
        assert daemon.expect("origin", port=port)["agent"] == agent.id
    assert daemon.counts(7)["accepted"] == daemon.counts(8)["accepted"] == 1


def test_rest_of_the_host_is_untouched(host, network):
    host.govern()
    out = network.in_host("/usr/bin/python3", "-c", f"""
import socket
s = socket.create_connection(("{SERVER4}", 5432), 5)
print(s.recv(5).decode(), s.getpeername()[0])
""")
    assert out.split() == ["world", SERVER4]
    assert network.leaks() == [f"::ffff:{HOST4}"]  # this one was meant to
