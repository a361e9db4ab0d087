# SPDX-License-Identifier: Apache-2.0
"""Flows of datagrams that policy judges: the first packet waits for a worker, what follows goes on in the kernel."""
import os
import re
import signal
import subprocess
import textwrap

import pytest
from conftest import HOST4, METRICS, PYTHON, SERVER4, SERVER6, WORLD, sh, text_of, wait_until
from test_datagrams import resolvers

PORT = 7001
# Answers from the address that was asked, on every address and a few ports of the world; to "many N" with N of a thousand bytes.
ECHO = """
import select, socket
sockets = []
for address in %r:
    for port in %r:
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(*((socket.IPPROTO_IPV6, 78) if ":" in address else (socket.IPPROTO_IP, 15)), 1)  # FREEBIND
        s.setsockopt(socket.SOL_SOCKET, 33, 1 << 20)  # SO_RCVBUFFORCE
        s.bind((address, port))
        sockets.append(s)
print("ready", flush=True)
while True:
    for s in select.select(sockets, [], [])[0]:
        data, peer = s.recvfrom(65536)
        for _ in range(int(data[5:]) if data.startswith(b"many ") else 1):
            s.sendto((b"echo " + data[:20]).ljust(1000 if data.startswith(b"many ") else 0), peer)
"""
PORTS = [PORT, PORT + 1, 443, 53]

# What becomes of datagrams on one socket: the answer, an error, or None. Sent again every second, as programs do: rules
# that are replaced drop what waits in the queue.
TALK = """
def talk(address, port, data=b"x", s=None, timeout=10):
    s = s or socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(min(timeout, 1))
    deadline = time.monotonic() + timeout
    try:
        s.connect((address, port))
        while True:
            try:
                s.send(data)
                return s.recv(100).decode()
            except socket.timeout:
                if time.monotonic() >= deadline:
                    return None
    except OSError as e:
        return errno.errorcode[e.errno]
"""


def talking(code):
    return TALK + textwrap.dedent(code)


PLACE = {"name": "place", "protocol": "udp", "hosts": [f"{SERVER4}:{PORT}", f"[{SERVER6}]:{PORT}", f"{SERVER4}:443"]}


@pytest.fixture(scope="module")
def echo(network):
    server = subprocess.Popen(network.enter(network.world, PYTHON, "-c", ECHO % ([SERVER4, SERVER6], PORTS)),
                              stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    yield
    server.kill()
    server.wait()


COUNTER = f"""
table inet queued {{
    counter came {{ }}
    chain see {{
        type filter hook prerouting priority raw;
        iif "wl0" udp dport {PORT} counter name came
    }}
}}
"""


@pytest.fixture
def came(network):
    """How many datagrams have come to the place."""
    network.add_rules(network.world, COUNTER)
    yield lambda: int(re.search(r"packets (\d+)", network.in_namespace(network.world, "nft", "list", "counter", "inet", "queued", "came"))[1])
    network.in_namespace(network.world, "nft", "delete", "table", "inet", "queued")


def allow(*resources):
    return [{"name": "known", "resources": list(resources), "operations": ["connect"], "allow": {}}]


# On a socket that has an answer already: how many of 400 datagrams of a thousand bytes leave, and of 300 come, each with how
# many there was time for at most; and how many of the former were answered.
BLAST = """
def blast(s, rate):
    try:
        s.setsockopt(socket.SOL_SOCKET, 33, 1 << 20)  # SO_RCVBUFFORCE
    except PermissionError:
        pass
    begin, left = time.monotonic(), 0
    for _ in range(400):
        try:
            left += s.send(b"y" * 1000) == 1000
        except PermissionError:
            pass
    left, most = left, 2 + (time.monotonic() - begin + 1) * rate / 1000
    time.sleep(1.2)
    s.settimeout(0.3)
    came = answers = 0
    try:
        while True:
            answers += len(s.recv(2000)) < 100
    except socket.timeout:
        pass
    time.sleep(1.2)
    begin = time.monotonic()
    s.send(b"many 300")
    try:
        while True:
            came += len(s.recv(2000)) == 1000
    except socket.timeout:
        pass
    return left, most, came, 2 + (time.monotonic() - begin + 1) * rate / 1000, answers
"""


def tracked(network, *names):
    """Entries of connection tracking with the mark of flows that were let pass."""
    return [line for line in network.in_host("cat", "/proc/net/nf_conntrack", check=False).splitlines()
            if all(n in line for n in names) and re.search(r"mark=15[0-2]\d{7}\b", line)]


def test_a_flow_is_its_agents_alone(host, network, echo):
    """Connection tracking keeps a flow when its socket is closed: whoever takes the port next is judged anew."""
    a, b = host.agent("a"), host.agent("b")
    daemon = host.start(a, b, egress="deny", resources=[PLACE])
    daemon.write_rules([{**allow("place")[0], "agents": [a.name]}])
    daemon.reload()
    code = talking(f"""
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("0.0.0.0", 45454))
        result = talk({SERVER4!r}, {PORT}, s=s)
    """)
    assert a.python(code) == "echo x"
    assert tracked(network, "sport=45454")
    assert b.python(code) == "ECONNREFUSED"
    assert a.python(code) == "echo x"


def test_a_resource_and_nothing_else(host, network, echo):
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    daemon.write_rules(allow("place", "world"))
    daemon.reload()
    assert agent.python(talking(f"""
        result = [talk({SERVER4!r}, {PORT}), talk({SERVER6!r}, {PORT}), talk({SERVER4!r}, {PORT + 1}),
                  talk("::ffff:{SERVER4}", {PORT})]
    """)) == ["echo x", "echo x", "ECONNREFUSED", "echo x"]
    session = daemon.session(SERVER4, PORT)
    assert (session["protocol"], session["resource"], session["agent"]) == ("udp", "place", agent.name)
    refused = daemon.session(SERVER4, PORT + 1)
    assert refused["resource"] == "egress" and refused["denied"] == 1
    # The world's TCP resource has these addresses and ports too, and says nothing of datagrams.
    assert agent.python(f"result = attempt({SERVER4!r}, port={PORT + 1})")["data"] == "ping"


# Of connection tracking, for whom the host's rules say so: what a helper expects of a flow is, to the kernel, part of it.
HELPERS = """
table inet helpers {
    ct helper tftp { type "tftp" protocol udp; l3proto ip; }
    ct helper sip { type "sip" protocol udp; l3proto ip; }
    chain choose {
        type filter hook output priority filter;
        udp dport 69 ct helper set "tftp"
        udp dport 5060 ct helper set "sip"
    }
}
"""
# A server whose answer says that its other port is to be talked with: TFTP's by coming from there.
OTHER_PORT = rf"""
import select, socket
asked, told, other = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3)]
for s, port in ((asked, 69), (told, 5060), (other, 7050)):
    s.setsockopt(socket.IPPROTO_IP, 15, 1)
    s.bind(({SERVER4!r}, port))
print("ready", flush=True)
while True:
    for s in select.select([asked, told, other], [], [])[0]:
        data, peer = s.recvfrom(9999)
        if s is asked:
            other.sendto(b"first", peer)
        elif s is told:
            body = b"v=0\r\nc=IN IP4 {SERVER4}\r\nm=audio 7050 RTP/AVP 0\r\n"
            s.sendto(b"SIP/2.0 200 OK\r\n" + data.split(b"\r\n", 1)[1].split(b"\r\n\r\n")[0].replace(b"Content-Length: 0", b"Content-Length: %d" % len(body))
                     + b"\r\n\r\n" + body, peer)
        else:
            s.sendto(b"echo " + data, peer)
"""
INVITE = "\r\n".join((f"INVITE sip:b@{SERVER4} SIP/2.0", f"Via: SIP/2.0/UDP {HOST4}:5060;branch=z9hG4bK1", "From: <sip:a@a>;tag=1", "To: <sip:b@b>",
                      "Call-ID: 1@a", "CSeq: 1 INVITE", "Content-Type: application/sdp", "Content-Length: 0", "", ""))


def test_what_connection_tracking_expects(host, network):
    """The kernel gives a flow that it expects the mark of the one that it expects it of: it is judged all the same."""
    server = subprocess.Popen(network.enter(network.world, PYTHON, "-c", OTHER_PORT), stdout=subprocess.PIPE, text=True)
    network.add_rules(network.host, HELPERS)
    try:
        assert server.stdout.readline() == "ready\n"
        daemon, agent = host.govern(egress="deny", resources=[{"name": "place", "protocol": "udp", "hosts": [f"{SERVER4}:69", f"{SERVER4}:5060"]}])
        daemon.write_rules(allow("place"))
        daemon.reload()
        tftp, sip = agent.python(f"""
            def ask(s, data, to, connected=True):
                s.settimeout(1)
                try:
                    if connected:
                        s.connect(to)
                        s.send(data)
                    else:
                        s.sendto(data, to)
                    return s.recv(2000).decode()
                except socket.timeout:
                    return None
                except OSError as e:
                    return errno.errorcode[e.errno]
            s = socket.socket(type=socket.SOCK_DGRAM)
            first = ask(s, b"\\0\\1file\\0octet\\0", ({SERVER4!r}, 69), connected=False)
            tftp = [first, ask(s, b"\\0\\4\\0\\1", ({SERVER4!r}, 7050))]
            s = socket.socket(type=socket.SOCK_DGRAM)
            s.bind(({HOST4!r}, 5060))
            answer = ask(s, {INVITE.encode()!r}, ({SERVER4!r}, 5060))
            sip = [answer.split("\\r\\n")[0] if answer else answer, ask(socket.socket(type=socket.SOCK_DGRAM), b"x", ({SERVER4!r}, 7050))]
            result = [tftp, sip]
        """)
        assert [tftp[0], sip[0]] == ["first", "SIP/2.0 200 OK"]
        # What the server began is not the agent's to answer; what the agent begins is judged.
        assert (tftp[1], sip[1]) == ("EPERM", "ECONNREFUSED")
        refused = daemon.session(SERVER4, 7050)
        assert refused["resource"] == "egress" and refused["denied"] == 1
    finally:
        server.kill()
        server.wait()
        network.in_host("nft", "delete", "table", "inet", "helpers")


def test_a_flow_goes_on_without_the_worker(host, network, echo):
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    process = agent.start(talking(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        print(talk({SERVER4!r}, {PORT}, s=s), flush=True)
        for line in sys.stdin:
            print(talk({SERVER4!r}, {PORT}, s=s if line == "old\\n" else None, timeout=2), flush=True)
    """))

    def ask(which):
        process.stdin.write(which + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()
    assert process.stdout.readline() == "echo x\n"
    with daemon.paused():
        assert ask("old") == "echo x"
        # Nobody answers for a new one.
        assert ask("new") == "None"
    assert ask("new") == "echo x"
    process.kill()
    process.wait()


def test_quic_and_other_resolvers(host, network, echo):
    """Where egress lets everything through, these are refused at once: QUIC has TCP to fall back to, names have the
    host's resolvers."""
    daemon, agent = host.govern()
    initial = b"\xc3\x00\x00\x00\x01" + b"x" * 1195
    assert agent.python(talking(f"""
        result = [talk({SERVER4!r}, {PORT}), talk({SERVER4!r}, 443), talk({SERVER6!r}, 443), talk({SERVER4!r}, 53),
                  talk({SERVER4!r}, {PORT + 1}, {initial!r})]
        # The same program, which falls back.
        result.append(attempt({SERVER4!r}, port=443).get("data"))
    """)) == ["echo x"] + ["ECONNREFUSED"] * 4 + ["ping"]
    assert daemon.session(SERVER4, 443)["denied"] == 0
    wait_until(lambda: daemon.reason("wrong_protocol") == 4)


def test_quic_where_a_resource_names_it(host, network, echo):
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    assert agent.python(talking(f"result = talk({SERVER4!r}, 443)")) == "echo x"


def test_a_new_policy_judges_what_flows_already(host, network, echo):
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    process = agent.start(talking(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        print(talk({SERVER4!r}, {PORT}, s=s), flush=True)
        sys.stdin.readline()
        while talk({SERVER4!r}, {PORT}, s=s) != "ECONNREFUSED":
            pass
    """))
    assert process.stdout.readline() == "echo x\n"
    daemon.write_rules([{"name": "no", "resources": ["place"], "deny": {}}])
    daemon.reload()
    out, err = process.communicate("\n", timeout=60)
    assert "Error" not in err


def review_rules():
    return [{"name": "ask", "resources": ["place"], "operations": ["connect"], "review": {"by": "ops", "within": "10m"}}]


@pytest.mark.parametrize("egress, resources, rules", [
    ("deny", [PLACE], review_rules()),
    ("review", [], [{"name": "ask", "resources": ["egress"], "operations": ["connect"], "review": {"by": "ops", "within": "10m"}}])])
def test_people_decide(host, network, echo, came, egress, resources, rules):
    """Dropped while they are asked; what is sent again after they said yes passes, once."""
    daemon, agent = host.govern(egress="deny", resources=resources, reviewers={"ops": {"local_users": ["root"]}})
    daemon.write_rules(rules)
    assert daemon.set_config(egress=egress) is None
    process = agent.start(talking(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        answer = None
        while answer is None:
            answer = talk({SERVER4!r}, {PORT}, s=s, timeout=0.2)
        print(answer, flush=True)
        result = [talk({SERVER4!r}, {PORT}, s=s, timeout=5), talk({SERVER4!r}, {PORT}, timeout=0.3)]
    """))
    wait_until(lambda: daemon.json("reviews", "list"))
    review, = daemon.json("reviews", "list")
    assert review["text"] == text_of(SERVER4, PORT) and review["state"] == "pending"
    # No process is known to have sent it.
    asked, = daemon.json("reviews", "show", review["id"])["sessions"]
    assert asked["pid"] is None and asked["uid"] is None
    assert came() == 0
    assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    assert process.stdout.readline() == "echo x\n"
    out, err = process.communicate(timeout=60)
    # The flow goes on; another one is another question.
    assert out.splitlines()[-1] == '["echo x", null]', err
    wait_until(lambda: [r for r in daemon.json("reviews", "list") if r["state"] == "pending"])
    again, = [r for r in daemon.json("reviews", "list") if r["state"] == "pending"]
    assert daemon.wayleave("reviews", "deny", again["id"], "--reason", "no").returncode == 0
    wait_until(lambda: agent.python(talking(f"result = talk({SERVER4!r}, {PORT}, timeout=0.3)")) == "ECONNREFUSED")


def test_a_dead_worker_and_a_dead_daemon(host, network, echo):
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    ask = talking(f"result = talk({SERVER4!r}, {PORT}, timeout=0.5)")
    assert agent.python(ask) == "echo x"
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: agent.python(ask) == "echo x")
    daemon.kill()
    assert agent.python(ask) is None
    daemon.start()
    wait_until(lambda: agent.python(ask) == "echo x")


def test_suspended(host, network, echo):
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    process = agent.start(talking(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        print(talk({SERVER4!r}, {PORT}, s=s), flush=True)
        sys.stdin.readline()
        while talk({SERVER4!r}, {PORT}, s=s) != "ECONNREFUSED":
            pass
        result = talk({SERVER4!r}, {PORT})
    """))
    assert process.stdout.readline() == "echo x\n"
    assert daemon.wayleave("agents", "suspend", agent.name).returncode == 0
    out, err = process.communicate("\n", timeout=60)
    assert out.splitlines()[-1] == '"ECONNREFUSED"', err


def test_a_flood_reaches_nobody(host, network, echo):
    """First packets beyond what is read are dropped; the worker serves others meanwhile."""
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    flood = agent.start(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        print("begun", flush=True)
        for i in range(200000):
            try:
                s.sendto(b"x", ({SERVER4!r}, 10000 + i % 50000))
            except OSError:
                pass
    """)
    assert flood.stdout.readline() == "begun\n"
    assert agent.python(f"result = attempt({SERVER4!r}, timeout=30)")["data"] == "ping"
    flood.communicate(timeout=60)
    wait_until(lambda: agent.python(talking(f"result = talk({SERVER4!r}, {PORT}, timeout=1)")) == "echo x")


QUEUE = 1024  # QUEUE_PACKETS_MOST
def queued(network):
    """Of the kernel's queues: packets that wait, and those that there was no room for (nfnetlink_queue's columns)."""
    rows = [list(map(int, line.split())) for line in network.in_host("cat", "/proc/net/netfilter/nfnetlink_queue").splitlines()]
    return sum(row[2] for row in rows), sum(row[5] + row[6] for row in rows)


def fill_queue(agent, count):
    """Slower than the rules' rate for first packets, over which they would be dropped before the queue."""
    agent.python(f"""
        for i in range({count}):
            s = socket.socket(type=socket.SOCK_DGRAM)
            s.sendto(b"x", ({SERVER4!r}, {PORT}))
            s.close()
            time.sleep(0.001)
    """)


def test_a_full_queue_refuses(host, network, echo, came):
    """Nobody reads, and the queue fills: what waits is not let through, and what there is no room for never is, though rules allow it."""
    daemon, agent = host.govern(egress="deny", resources=[PLACE], metrics=METRICS)
    refused = daemon.dropped("rules")
    assert agent.python(talking(f"result = talk({SERVER4!r}, {PORT + 1})")) == "ECONNREFUSED"
    assert daemon.dropped("rules") > refused
    sent = QUEUE + 200
    with daemon.paused():
        fill_queue(agent, sent)
        waiting, dropped = queued(network)
        assert (waiting + dropped, came()) == (sent, 0)
        assert dropped > 0
        assert daemon.dropped("queue_full") + daemon.dropped("queue_unread") == dropped
    wait_until(lambda: queued(network)[0] == 0)
    assert came() <= waiting
    wait_until(lambda: agent.python(talking(f"result = talk({SERVER4!r}, {PORT}, timeout=1)")) == "echo x")


def test_one_agent_leaves_room_for_others(host, network, echo):
    a, b = host.agent("a"), host.agent("b")
    daemon = host.start(a, b, egress="deny", resources=[PLACE])
    flood = a.start(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        print("begun", flush=True)
        while True:
            for port in range(10000, 60000):
                try:
                    s.sendto(b"x", ({SERVER4!r}, port))
                except OSError:
                    pass
                if port % 100 == 0:
                    time.sleep(0.05)
    """)
    try:
        assert flood.stdout.readline() == "begun\n"
        wait_until(lambda: daemon.reason("limit") > 0)
        assert b.python(talking(f"result = talk({SERVER4!r}, {PORT})")) == "echo x"
    finally:
        flood.kill()
        flood.wait()


def test_quic_at_a_place_that_is_known(host, network, echo):
    """Each flow shows what it is, also where others of another kind passed before."""
    daemon, agent = host.govern()
    initial = b"\xc3\x00\x00\x00\x01" + b"x" * 1195
    assert agent.python(talking(f"""
        result = [talk({SERVER4!r}, {PORT}), talk({SERVER4!r}, {PORT}), talk({SERVER4!r}, {PORT}, {initial!r})]
    """)) == ["echo x", "echo x", "ECONNREFUSED"]
    wait_until(lambda: daemon.reason("wrong_protocol") == 1)


def queues(network):
    return {line.split()[0] for line in network.in_host("cat", "/proc/net/netfilter/nfnetlink_queue").splitlines()}


def test_what_a_dead_worker_had_is_worth_nothing(host, network, echo):
    """Its sockets may live on in another process that it gave them to: the queue is another one."""
    before = queues(network)
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    ask = talking(f"result = talk({SERVER4!r}, {PORT}, timeout=0.5)")
    wait_until(lambda: agent.python(ask) == "echo x")
    first, = queues(network) - before
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: agent.python(ask) == "echo x")
    second, = queues(network) - before
    assert second != first


def test_two_daemons_judge_their_own_flows(host, network, echo):
    a, b = host.agent("a"), host.agent("b")
    one = host.start(a, egress="deny", resources=[PLACE])
    other = host.start(b, egress="deny", resources=[{**PLACE, "hosts": [f"{SERVER4}:{PORT + 1}"]}])
    assert a.python(talking(f"result = [talk({SERVER4!r}, {PORT}), talk({SERVER4!r}, {PORT + 1})]")) == ["echo x", "ECONNREFUSED"]
    assert b.python(talking(f"result = [talk({SERVER4!r}, {PORT}), talk({SERVER4!r}, {PORT + 1})]")) == ["ECONNREFUSED", "echo x"]
    with other.paused():
        assert a.python(talking(f"result = talk({SERVER6!r}, {PORT})")) == "echo x"
    assert one.reason("unknown_agent") == other.reason("unknown_agent") == 0


QUERY = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\2db\7example\0\0\1\0\1"


def test_queries_carry_no_mark(host, network, echo):
    """What leaves looks as if nobody had looked at it: marks decide about routes elsewhere."""
    _, agent = host.govern(egress="deny", resources=[PLACE])
    network.add_rules(network.host, """
        table inet marks {
            counter plain { }
            counter marked { }
            chain out {
                type filter hook output priority mangle + 5;
                udp dport 53 meta mark 0 counter name plain
                udp dport 53 meta mark != 0 counter name marked
            }
        }
    """)

    def packets(name):
        return int(re.search(r"packets (\d+)", network.in_host("nft", "list", "counter", "inet", "marks", name))[1])
    try:
        for resolver in resolvers():
            agent.python(talking(f"result = talk({resolver!r}, 53, {QUERY!r}, timeout=0)"))
        assert packets("plain") > 0 and packets("marked") == 0
    finally:
        network.in_host("nft", "delete", "table", "inet", "marks")


def test_where_the_queue_can_not_be_filled(host, network, echo):
    """Somebody has the table for its rule: the configuration is in force all the same, and UDP goes to the resolvers."""
    daemon, agent = host.govern(egress="deny")
    table = f"wayleave_{daemon.instance}_queue"
    owner = subprocess.Popen(network.enter(network.host, "nft", "-i"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             text=True)
    try:
        owner.stdin.write(f"delete table inet {table}; add table inet {table} {{ flags owner; }}\n")
        owner.stdin.flush()
        wait_until(lambda: "owner" in network.in_host("nft", "list", "table", "inet", table, check=False))
        assert daemon.set_config(resources=[*daemon.config["resources"], PLACE]) is None
        ask = talking(f"result = talk({SERVER4!r}, {PORT}, timeout=0.5)")
        assert agent.python(ask) == "EPERM"
        assert "UDP can't be judged" in daemon.text()
    finally:
        owner.stdin.close()
        owner.wait()
    daemon.reload()
    wait_until(lambda: agent.python(ask) == "echo x")


def test_other_network_namespace(host, network, echo):
    """An agent in a network namespace of its own, with a way out of it that an admin made: the rules are not there, so
    nothing leaves; a socket from home that it took along is judged at home."""
    daemon, agent = host.govern(egress="deny", resources=[PLACE], loopback="direct")
    inner = f"wli{os.getpid()}"
    sh("ip", "netns", "add", inner)
    try:
        sh("ip", "link", "add", "wl1", "netns", inner, "type", "veth", "peer", "name", "wl1", "netns", network.world)
        for name, own, other in ((inner, "10.98.0.2", "10.98.0.1"), (network.world, "10.98.0.1", "10.98.0.2")):
            network.in_namespace(name, "ip", "addr", "add", f"{own}/24", "dev", "wl1")
            network.in_namespace(name, "ip", "addr", "add", f"fd98::{own[-1]}/64", "dev", "wl1", "nodad")
            network.in_namespace(name, "ip", "link", "set", "wl1", "up")
            network.in_namespace(name, "ip", "link", "set", "lo", "up")
        network.in_namespace(inner, "ip", "route", "add", "default", "via", "10.98.0.1")
        network.in_namespace(inner, "ip", "-6", "route", "add", "default", "via", "fd98::1")
        reach = talking(f"""
            result = [talk({SERVER4!r}, {PORT}), talk({SERVER6!r}, {PORT}), talk("::ffff:{SERVER4}", {PORT})]
            for family, to in ((socket.AF_INET, {SERVER4!r}), (socket.AF_INET6, {SERVER6!r}), (socket.AF_INET6, "::ffff:{SERVER4}")):
                s = socket.socket(family, socket.SOCK_DGRAM)
                s.settimeout(10)
                try:
                    s.sendto(b"x", (to, {PORT}))
                    result.append(s.recv(100).decode())
                except OSError as e:
                    result.append(errno.errorcode[e.errno])
            print(json.dumps(result))
        """)
        assert network.in_namespace(inner, PYTHON, "-c", "import errno, json, socket, time\n" + reach).strip() == \
            str(["echo x"] * 6).replace("'", '"')
        assert agent.python(reach, namespace=inner) == ["ENETUNREACH"] * 6
        assert daemon.counts(agent)["other_network"] == 6
        assert agent.python(talking(f"""
            home = socket.socket(type=socket.SOCK_DGRAM)
            assert ctypes.CDLL(None).setns(os.open("/run/netns/{inner}", os.O_RDONLY), 0x40000000) == 0  # CLONE_NEWNET
            there = socket.socket(type=socket.SOCK_DGRAM)
            there.bind(("127.0.0.1", 0))
            here = socket.socket(type=socket.SOCK_DGRAM)
            here.sendto(b"own", there.getsockname())
            result = [talk({SERVER4!r}, {PORT}, s=home), talk({SERVER4!r}, {PORT + 1}, s=home), there.recv(10).decode()]
        """)) == ["echo x", "ECONNREFUSED", "own"]
    finally:
        sh("ip", "netns", "del", inner)


RATE = 100_000  # bytes in a second


def limited(agent, **more):
    return {**agent, "limits": {"bandwidth": f"{RATE}"}, **more}


def assert_limited(blasted):
    left, most, came, most_came, _ = blasted
    assert 80 <= left <= most and 80 <= came <= most_came, blasted


@pytest.mark.parametrize("udp", ["policy", "allow"])
def test_bandwidth(host, network, echo, udp):
    """A second's worth at once, and no more in each; the agent's own, and nobody else's. On this host it holds for nothing."""
    a, b = host.agent("a"), host.agent("b")
    daemon = host.start(limited(host.config_of(a), udp=udp), host.config_of(b, udp=udp), egress="deny", resources=[PLACE], metrics=METRICS)
    daemon.write_rules(allow("place", "world"))
    daemon.reload()
    dropped = daemon.dropped("rules")
    code = BLAST + talking(f"""
        s, there = socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
        assert talk({SERVER4!r}, {PORT}, s=s) == "echo x"
        there.bind(("127.0.0.1", 0))
        here = socket.socket(type=socket.SOCK_DGRAM)
        here.connect(there.getsockname())
        assert [here.send(b"y" * 1000) for _ in range(400)] == [1000] * 400
        result = blast(s, {RATE})
    """)
    blasted = a.python(code)
    assert_limited(blasted)
    assert daemon.dropped("rules") >= dropped + 400 - blasted[0] + 300 - blasted[2]
    assert b.python(code)[0:3:2] == [400, 300]
    assert daemon.status()["datagram_limits"] is True
    if udp == "policy":
        # A reload takes the limit away.
        assert daemon.set_config(agents=[host.config_of(a), host.config_of(b)]) is None
        assert a.python(code)[0:3:2] == [400, 300]


def test_first_packets_are_quick(host, network, echo):
    """What judging adds to the first packet of a flow that is allowed, against one that nobody judges."""
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    code = """
        import time
        def rounds(count):
            times = []
            for i in range(count):
                s = socket.socket(type=socket.SOCK_DGRAM)
                s.settimeout(10)
                s.connect((%r, %d))
                begin = time.perf_counter_ns()
                s.send(b"x")
                s.recv(100)
                times.append(time.perf_counter_ns() - begin)
                s.close()
            return sorted(times)[count // 2] / 1000
        rounds(50)
        result = rounds(500)
    """ % (SERVER4, PORT)
    judged = agent.python(code)
    plain = float(network.in_host(PYTHON, "-c", "import socket\n" + textwrap.dedent(code) + "print(result)"))
    print(f"first packets: {judged:.0f} us, not judged {plain:.0f} us, added {judged - plain:.0f} us")
    # Far above what it is, for machines that are busy; tests/bench measures.
    assert judged - plain < 20000
