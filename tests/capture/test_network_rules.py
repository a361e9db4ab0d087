# SPDX-License-Identifier: Apache-2.0
"""Datagrams of agents in network namespaces of their own, as in a container on a bridge: judged there as at home, where no
agent can change the rules."""
import contextlib
import json
import os
import signal
import subprocess

import pytest
from conftest import HOST4, HOST6, PYTHON, SERVER4, SERVER6, program, wait_until
from test_flows import BLAST, PLACE, PORT, RATE, assert_limited, echo, limited, talking  # noqa: F401
from test_names import (CONNECT, DATABASE, NAMED, ONLY_NAMED, RESOLVER4, Names, lookups, names,  # noqa: F401
                        resolv_conf, with_resolvers)
from test_networks import INNER4, container  # noqa: F401
from test_teardown import tear_down

# As a container's: root or not, it has no right over its network namespace.
CONTAINED = ["setpriv", "--bounding-set=-net_admin,-net_raw"]
WITH_RAW = ["setpriv", "--bounding-set=-net_admin"]  # as root in a container usually is
INITIAL = b"\xc3\x00\x00\x00\x01" + b"x" * 1195  # of QUIC


@pytest.fixture
def inside(network, container):
    """The container's namespace; the host forwards, and the world answers."""
    with contextlib.ExitStack() as undo:
        for name in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            network.in_host("sysctl", "-qw", f"net.{name}=1")
            undo.callback(network.in_host, "sysctl", "-qw", f"net.{name}=0")
        network.reset_routes()
        undo.callback(network.reset_routes)
        for family, prefix, gate in (("-4", "10.97.0.0/24", HOST4), ("-6", "fd97::/64", HOST6)):
            network.in_namespace(network.world, "ip", family, "route", "add", prefix, "via", gate)
            undo.callback(network.in_namespace, network.world, "ip", family, "route", "del", prefix, check=False)
        network.in_namespace(container, "sysctl", "-qw", "net.ipv4.ping_group_range=0 100000")
        yield container


def run(agent, namespace, code, words=CONTAINED):
    """What the code leaves in `result`."""
    process = agent.popen(*words, PYTHON, "-c", program(code), namespace=namespace)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def tables(network, namespace):
    return network.in_namespace(namespace, "nft", "list", "tables")


def test_flows(host, network, echo, inside):
    """What a resource names passes, the rest is refused with an error; each is recorded."""
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    assert run(agent, inside, talking(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        result = [talk({SERVER4!r}, {PORT}), talk({SERVER6!r}, {PORT}), talk("::ffff:{SERVER4}", {PORT}),
                  talk({SERVER4!r}, {PORT + 1}), talk({SERVER6!r}, 443, {INITIAL!r}), talk({SERVER4!r}, 53)]
        s.settimeout(10)
        s.sendto(b"x", ({SERVER4!r}, {PORT}))
        result.append(s.recv(100).decode())
    """)) == ["echo x"] * 3 + ["ECONNREFUSED"] * 3 + ["echo x"]
    session = daemon.session(SERVER4, PORT)
    assert (session["protocol"], session["resource"], session["agent"]) == ("udp", "place", agent.name)
    assert daemon.session(SERVER4, PORT + 1)["denied"] == 1
    # QUIC has TCP to fall back to, also where egress lets everything through.
    assert daemon.set_config(egress="allow") is None
    assert run(agent, inside, talking(f"""
        result = [talk({SERVER4!r}, {PORT + 1}), talk({SERVER6!r}, 443, {INITIAL!r}), talk({SERVER4!r}, 53)]
    """)) == ["echo x", "ECONNREFUSED", "ECONNREFUSED"]
    # Pings are judged too.
    assert run(agent, inside, f"""
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
        s.settimeout(10)
        s.connect(({SERVER4!r}, 0))
        s.send(b"\\x08\\0\\0\\0\\0\\0\\0\\1")
        result = s.recv(100)[-8]
    """) == 0
    # Somebody flushes the rules: they come again.
    network.in_namespace(inside, "nft", "flush", "ruleset")
    wait_until(lambda: f"wayleave_{daemon.instance}\n" in tables(network, inside))
    assert run(agent, inside, talking(f"result = talk({SERVER4!r}, {PORT})")) == "echo x"
    # The same where the table is left without what is in it.
    table = ("inet", f"wayleave_{daemon.instance}")
    there = subprocess.Popen(network.enter(inside, "sleep", "60"))  # the rules end with the last process
    try:
        assert run(agent, inside, talking(f"result = talk({SERVER4!r}, {PORT})")) == "echo x"
        network.in_namespace(inside, "nft", "flush", "chain", *table, "output")
        wait_until(lambda: "goto other" in network.in_namespace(inside, "nft", "list", "table", *table), patience=5)
        assert run(agent, inside, talking(f"result = talk({SERVER4!r}, {PORT})")) == "echo x"
    finally:
        there.kill()
        there.wait()


def test_bandwidth(host, network, echo, inside):
    agent = host.agent()
    host.start(limited(host.config_of(agent)), egress="deny", resources=[PLACE])
    assert_limited(run(agent, inside, BLAST + talking(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        assert talk({SERVER4!r}, {PORT}, s=s) == "echo x"
        result = blast(s, {RATE})
    """)))


def test_a_dead_worker_and_a_dead_daemon(host, network, echo, inside):
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    ask = talking(f"result = talk({SERVER4!r}, {PORT}, timeout=2)")
    wait_until(lambda: run(agent, inside, ask) == "echo x")
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: run(agent, inside, ask) == "echo x")
    daemon.kill()
    assert run(agent, inside, ask) is None
    daemon.start()
    wait_until(lambda: run(agent, inside, ask) == "echo x")
    daemon.stop()
    # Nothing of ours stays there, and nothing leaves.
    assert "wayleave" not in tables(network, inside)
    assert run(agent, inside, ask) is None


def test_teardown(host, network, echo, inside):
    """What a daemon that was killed has left there goes with the rest, where somebody is there."""
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    wait_until(lambda: run(agent, inside, talking(f"result = talk({SERVER4!r}, {PORT}, timeout=2)")) == "echo x")
    daemon.kill()
    assert f"wayleave_{daemon.instance}" in tables(network, inside)
    there = subprocess.Popen(network.enter(inside, "sleep", "60"))
    try:
        status, said = tear_down(daemon)
        assert status == 0 and "in 1 other network namespaces" in said
        assert "wayleave" not in tables(network, inside)
    finally:
        there.kill()
        there.wait()


# Sends to a place that no resource names until datagrams are refused there for good, and counts what comes back.
FLOOD = f"""
    import time
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0)
    result, end, refused = 0, time.monotonic() + 30, False
    print("begun", flush=True)
    while time.monotonic() < end:
        for _ in range(0 if refused else 50):
            try:
                s.sendto(b"smuggled", ({SERVER4!r}, {PORT + 1}))
            except OSError as e:
                if e.errno == errno.ENETUNREACH and not refused:
                    refused, end = True, time.monotonic() + 0.5
        try:
            while s.recv(100):
                result += 1
        except OSError:
            pass
    assert refused
"""


@pytest.mark.parametrize("words, whose", [([], 0), (WITH_RAW, 0), ([], 1)], ids=["net_admin", "net_raw", "another_agent"])
def test_who_could_change_the_rules(host, network, echo, inside, words, whose):
    """With a right over the namespace nothing leaves, nor does it for anybody else there from then on; people are told."""
    agents = [host.agent("a"), host.agent("b")]
    daemon = host.start(*agents, egress="deny", resources=[PLACE])
    agent, other = agents[0], agents[whose]
    ask = talking(f"result = talk({SERVER4!r}, {PORT}, timeout=2)")
    wait_until(lambda: run(agent, inside, ask) == "echo x")
    floods = [agent.popen(*CONTAINED, PYTHON, "-c", program(FLOOD), namespace=inside) for _ in range(2)]
    assert [flood.stdout.readline() for flood in floods] == ["begun\n"] * 2
    assert run(other, inside, ask, words=words) == "ENETUNREACH"
    wait_until(lambda: run(agent, inside, ask) == "ENETUNREACH")
    # Nothing left unjudged while the rules were taken away.
    assert [json.loads(flood.communicate(timeout=60)[0].splitlines()[-1]) for flood in floods] == [0, 0]
    daemon.refusals()
    assert run(other, inside, ask, words=words) == "ENETUNREACH"
    told = daemon.refusals()
    assert told and all("another network namespace" in r["detail"] and f"UDP port {PORT}" in r["detail"] for r in told)


def test_a_namespace_of_its_own_making(host, network, echo):
    """It is the agent's to change."""
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    assert run(agent, network.host, talking(f"""
        libc = ctypes.CDLL(None, use_errno=True)
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        assert libc.prctl(4, 1) == 0  # PR_SET_DUMPABLE: /proc/self is its own
        assert libc.unshare(0x10000000 | 0x40000000) == 0  # CLONE_NEWUSER, CLONE_NEWNET
        open("/proc/self/setgroups", "w").write("deny")
        open("/proc/self/uid_map", "w").write("0 65534 1")
        assert os.system("ip link set lo up; ip link add d0 type veth peer name d1; ip link set d0 up; "
                         "ip addr add {SERVER4}/24 dev d1; ip addr add 203.0.113.1/24 dev d0; ip link set d1 up") == 0
        result = [talk("203.0.113.77", {PORT})]
    """), words=[]) == ["ENETUNREACH"]


# The first queries may come before the rules, and resolvers give up on an error at once.
PATIENT = """
    import time
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.getaddrinfo("db.example", 5432)
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
""" + CONNECT


def test_names(names, network, inside):
    """An answer makes a place of the resource, before the agent has it."""
    daemon, agent = names.govern([NAMED], ONLY_NAMED)
    names.serve(f"--host-record=db.example,{DATABASE}")
    with with_resolvers(names.file):
        assert run(agent, inside, f"result = attempt({DATABASE!r})")["error"]
        found, made = run(agent, inside, PATIENT % DATABASE)
    assert found == [DATABASE] and made["data"] == "ping"
    assert daemon.session(DATABASE, resource="named")["denied"] == 0
    wait_until(lambda: [s for s in lookups(daemon, agent) if s["actions"]])
    # A name that carries data does not leave.
    with with_resolvers(names.file):
        assert run(agent, inside, """
            try:
                socket.getaddrinfo("k5xg64tjnzqw2zlomqqgc3temfzgcy3ume3tqnzv.example", 80)
            except OSError:
                result = "refused"
        """) == "refused"
    wait_until(lambda: daemon.reason("limit") > 0)


def test_its_own_loopback_is_no_resolver_of_the_host(host, network, resolv_conf, inside, tmp_path):
    """Though the host's has the same address: what the agent's own name server says is not believed."""
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.53\noptions timeout:2 attempts:5\n")
    names = Names(host, network, file, tmp_path)
    daemon, agent = names.govern([NAMED], ONLY_NAMED)
    try:
        names.serve(f"--host-record=db.example,{DATABASE}", addresses=["127.0.0.53"], namespace=inside)
        with with_resolvers(file):
            found, made = run(agent, inside, PATIENT % DATABASE)
        assert found == [DATABASE] and made.get("data") != "ping"
    finally:
        names.stop()


# Asks the host's resolver, and answers itself on loopback with that one's address: by a socket of the kind that no hook
# sees, made while it could.
FORGERY = f"""
    def sum_of(data):
        words = struct.unpack("!%dH" % (len(data) // 2), data)
        total = sum(words)
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        return ~total & 0xffff

    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.bind(("lo", 0x0800))
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    question = b"\\x02db\\x07example\\0\\0\\x01\\0\\x01"
    answer = b"\\xc0\\x0c\\0\\x01\\0\\x01\\0\\0\\x0e\\x10\\0\\x04" + socket.inet_aton({DATABASE!r})
    got = []
    for ident in range(1, 4):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(({INNER4!r}, 0))
        s.settimeout(0.5)
        s.sendto(struct.pack("!HHHHHH", ident, 0x100, 1, 0, 0, 0) + question, ({RESOLVER4!r}, 53))
        time.sleep(0.3)
        said = struct.pack("!HHHHHH", ident, 0x8180, 1, 1, 0, 0) + question + answer
        said = struct.pack("!HHHH", 53, s.getsockname()[1], 8 + len(said), 0) + said
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(said), 1, 0, 64, 17, 0,
                           socket.inet_aton({RESOLVER4!r}), socket.inet_aton({INNER4!r}))
        head = head[:10] + struct.pack("!H", sum_of(head)) + head[12:]
        packets.send(b"\\0" * 12 + b"\\x08\\0" + head + said)
        try:
            got.append(s.recv(500).hex())
        except socket.timeout:
            pass
    result = [got, attempt({DATABASE!r})]
"""


def test_nobody_answers_itself_as_a_resolver(names, network, inside):
    daemon, agent = names.govern([NAMED], ONLY_NAMED)
    names.serve("--host-record=other.example,192.0.2.9")
    with with_resolvers(names.file):
        run(agent, inside, PATIENT.replace("db.example", "other.example") % DATABASE)
        names.stop()
        got, made = run(agent, inside, FORGERY, words=WITH_RAW)
    assert got == [] and made.get("data") != "ping"
