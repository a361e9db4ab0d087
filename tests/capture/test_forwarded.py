# SPDX-License-Identifier: Apache-2.0
#
# Agents that no cgroup of this host has, known by the interface behind which they are: network namespaces with processes
# that nobody here started, each on a veth of the host's, which forwards.
import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

from conftest import HOST4, HOST6, METRICS, PYTHON, SERVER4, SERVER6, WORLD4, program, sh, text_of, wait_until
from test_flows import BLAST, PLACE, PORT, RATE, allow, echo, limited, talking  # noqa: F401
from test_names import CONNECT, DATABASE, NAMED, ONLY_NAMED, RESOLVER4, RESOLVER6, names, resolv_conf, with_resolvers  # noqa: F401

REFUSED, SILENT = "ECONNREFUSED", "timeout"
QUERY = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\2db\7example\0\0\1\0\1"


class Machine:
    """What is behind one interface: as a virtual machine with its own kernel, or a container of another engine."""

    def __init__(self, network, number):
        self.network, self.number = network, number
        self.device = f"wlf{'ab'[number - 1] if number < 3 else 'n'}0"
        self.namespace = f"wlf{os.getpid()}_{number}"
        self.gate4, self.own4 = f"10.96.{number}.1", f"10.96.{number}.2"
        self.gate6, self.own6 = f"fd96:{number}::1", f"fd96:{number}::2"

    def build(self):
        sh("ip", "netns", "add", self.namespace)
        self.network.in_host("ip", "link", "add", self.device, "type", "veth", "peer", "name", "eth0",
                             "netns", self.namespace)
        for inside, device, v4, v6 in ((self.network.host, self.device, self.gate4, self.gate6),
                                       (self.namespace, "eth0", self.own4, self.own6)):
            self.network.in_namespace(inside, "ip", "addr", "add", f"{v4}/24", "dev", device)
            self.network.in_namespace(inside, "ip", "addr", "add", f"{v6}/64", "dev", device, "nodad")
            self.network.in_namespace(inside, "ip", "link", "set", device, "up")
        self.do("ip", "link", "set", "lo", "up")
        self.do("ip", "route", "add", "default", "via", self.gate4)
        self.do("ip", "-6", "route", "add", "default", "via", self.gate6)

    def remove(self):
        sh("ip", "netns", "del", self.namespace, check=False)
        self.network.in_host("ip", "link", "del", self.device, check=False)

    def do(self, *command, check=True):
        return self.network.in_namespace(self.namespace, *command, check=check)

    def start(self, code):
        return subprocess.Popen(self.network.enter(self.namespace, PYTHON, "-c", program(code)), text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def python(self, code):
        process = self.start(code)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return json.loads(out.splitlines()[-1])

    def dial(self, *addresses, port=5432, timeout=5):
        """The first bytes that came back from each, or the error."""
        answers = self.python(f"result = [attempt(a, port={port}, timeout={timeout}) for a in {addresses!r}]")
        return [a.get("data", a.get("error")) for a in answers]


@pytest.fixture(scope="module")
def machines(network):
    """Two for agents and one that is nobody's."""
    everyone = [Machine(network, i) for i in (1, 2, 3)]
    with contextlib.ExitStack() as undo:
        for machine in everyone:
            undo.callback(machine.remove)
            machine.build()
        for name in ("ipv4.ip_forward", "ipv6.conf.all.forwarding"):
            network.in_host("sysctl", "-qw", f"net.{name}=1")
            undo.callback(network.in_host, "sysctl", "-qw", f"net.{name}=0")
        network.reset_routes()
        undo.callback(network.reset_routes)
        for family, prefix, gate in (("-4", "10.96.0.0/16", HOST4), ("-6", "fd96::/16", HOST6)):
            network.in_namespace(network.world, "ip", family, "route", "add", prefix, "via", gate)
            undo.callback(network.in_namespace, network.world, "ip", family, "route", "del", prefix, check=False)
        yield everyone


def config_of(machine, name="a", **more):
    return {"name": name, "interfaces": [machine.device], **more}


@pytest.fixture
def vm(host, machines):
    """A daemon with one agent behind an interface; its name there begins with what the configuration says."""
    daemon = host.start({"name": "a", "interfaces": ["wlfa*"]}, metrics=METRICS)
    return daemon, machines[0]


def table(network, daemon):
    return network.in_host("nft", "list", "table", "inet", f"wayleave_{daemon.instance}_forward", check=False)


def refusals(network, daemon, chain="refuse_0"):
    """The counters of a chain."""
    rules = re.search(rf"chain {chain} {{(.*?)\n\t}}", table(network, daemon), re.S)[1]
    return sum(int(n) for n in re.findall(r"packets (\d+)", rules))


def ports(network, daemon):
    return [int(p) for p in re.findall(r"redirect to :(\d+)", table(network, daemon))]


@contextlib.contextmanager
def serving(network, port):
    """A server of the host's own, on all of its addresses."""
    code = f"""if True:
        import socket
        server = socket.create_server(("::", {port}), family=socket.AF_INET6, dualstack_ipv6=True)
        print("ready", flush=True)
        while True:
            s = server.accept()[0]
            s.sendall(s.recv(100))
            s.close()
    """
    process = subprocess.Popen(network.enter(network.host, PYTHON, "-c", code), stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    try:
        yield
    finally:
        process.kill()
        process.wait()


def test_each_is_its_interface(host, network, machines):
    """A worker has what is dialled there, and knows whose it is; what nobody names goes its way."""
    a, b, nobody = machines
    daemon = host.start(config_of(a), config_of(b, "b"))
    assert a.dial(SERVER4, SERVER6, f"::ffff:{SERVER4}") == ["ping"] * 3
    assert b.dial(SERVER4) == ["ping"]
    sessions = [daemon.session(agent="a") for _ in range(3)]
    assert {s["address"] for s in sessions} == {text_of(SERVER4, 5432), text_of(SERVER6, 5432)}
    assert {(s["resource"], s["pid"], s["uid"], s["exe"] or None) for s in sessions} == {("world", None, None, None)}
    assert daemon.session(agent="b")["address"] == text_of(SERVER4, 5432)
    assert [x["connections"]["accepted"] for x in daemon.status()["agents"]] == [3, 1]
    assert network.leaks() == 0
    assert nobody.dial(SERVER4, SERVER6) == ["ping"] * 2
    assert network.leaks() == 2 and daemon.no_session()


def test_rules(host, network, machines):
    """What it dials is judged as any agent's; of its processes nothing is known."""
    a, b, _ = machines
    daemon = host.start(config_of(a), config_of(b, "b"), egress="deny")
    daemon.write_rules([{"name": "python", "agents": ["a"], "exe": [PYTHON], "allow": {}},
                        {"name": "b", "agents": ["b"], "allow": {}}])
    daemon.reload()
    assert a.dial(SERVER4) != ["ping"] and b.dial(SERVER4) == ["ping"]
    wait_until(lambda: daemon.reason("not_covered") == 1)
    assert b.dial(WORLD4) != ["ping"]
    wait_until(lambda: daemon.reason("egress") == 1)
    daemon.write_rules([{"name": "all", "allow": {}}, {"name": "python", "exe": [PYTHON], "deny": {}}])
    daemon.reload()
    assert a.dial(SERVER4) != ["ping"]
    assert daemon.wayleave("agents", "suspend", "a").returncode == 0
    daemon.write_rules([{"name": "all", "allow": {}}])
    daemon.reload()
    assert a.dial(SERVER4) != ["ping"] and b.dial(SERVER4) == ["ping"]


def test_this_host(host, network, machines, vm):
    """Its addresses are places as others are, and are reached where a resource names them; by TCP alone."""
    daemon, a = vm
    with serving(network, 8098):
        refused = daemon.reason("loopback")
        assert a.dial(a.gate4, HOST4, a.gate6, HOST6, port=8098) == ["ECONNRESET"] * 4
        wait_until(lambda: daemon.reason("loopback") == refused + 4)
        assert daemon.set_config(loopback="direct") is None
        assert a.dial(a.gate4, port=8098) == ["ECONNRESET"]
        own = {"name": "own", "protocol": "tcp", "hosts": [f"{a.gate4}:8098", f"[{a.gate6}]:8098"]}
        assert daemon.set_config(resources=[*daemon.config["resources"], own]) is None
        assert a.dial(a.gate4, a.gate6, HOST4, port=8098) == ["ping", "ping", "ECONNRESET"]
        assert daemon.session(a.gate4, 8098, resource="own")["agent"] == "a"
        assert daemon.set_config(loopback="egress", egress="allow") is None
        assert a.dial(HOST4, port=8098) == ["ping"]


def test_people_decide(host, network, machines):
    """Of no local user's request: a person who is root here has not asked."""
    a = machines[0]
    daemon = host.start(config_of(a), reviewers={"ops": {"local_users": ["root"]}},
                        people=[{"name": "Rita", "slack": "U9", "local": "root"}])
    daemon.write_rules([{"name": "ask", "resources": ["world"], "operations": ["connect"], "review": {"by": "ops", "within": "10m"}}])
    daemon.reload()
    assert daemon.status().get("reload_problem") is None
    client = a.start(f"result = attempt({SERVER4!r}, timeout=30)")
    wait_until(lambda: daemon.json("reviews", "list"), patience=10)
    review, = daemon.json("reviews", "list")
    shown = daemon.json("reviews", "show", review["id"])
    asked, = shown["sessions"]
    assert [x[key] for x in (shown, asked) for key in ("pid", "uid")] == [None] * 4
    done = daemon.wayleave("reviews", "approve", review["id"])
    assert done.returncode == 0, done.stderr
    out, err = client.communicate(timeout=60)
    assert json.loads(out)["data"] == "ping", err


# What a kernel of its own may put on the wire: each of these, connected to, is this host.
NOWHERE = {"198.51.100.1": "0.0.0.0", "198.51.100.2": "127.0.0.1", "2001:db8::a1": "::", "2001:db8::a2": "::ffff:127.0.0.1",
           "2001:db8::a3": "::ffff:0.0.0.0", "2001:db8::a4": f"::ffff:{HOST4}"}


@contextlib.contextmanager
def leading_nowhere(network, machine):
    """Its packets to the keys of NOWHERE go to the values, and answers come back."""
    out, back = [], []
    for shown, sent in NOWHERE.items():
        ip = "ip6" if ":" in shown else "ip"
        out.append(f"{ip} daddr {shown} {ip} daddr set {sent}")
        back.append(f"{ip} saddr {sent} tcp sport 8098 {ip} saddr set {shown}")
    chains = [f"chain {hook} {{ type filter hook {hook} device eth0 priority 0;\n" + "\n".join(rules) + "\n}"
              for hook, rules in (("egress", out), ("ingress", back))]
    network.add_rules(machine.namespace, "table netdev nowhere {\n" + "\n".join(chains) + "\n}\n")
    try:
        yield
    finally:
        machine.do("nft", "delete", "table", "netdev", "nowhere")


def test_addresses_that_are_nowhere(host, network, machines, vm):
    """Nothing on this host is reached by an address that no wire carries, whatever rules say."""
    daemon, a = vm
    assert daemon.set_config(loopback="egress", egress="allow") is None
    with serving(network, 8098), leading_nowhere(network, a):
        assert a.dial(HOST4, port=8098) == ["ping"]
        # The rules' own counters begin anew with each address that the host gets.
        before = daemon.dropped("interface_rules")
        assert a.dial(*NOWHERE, port=8098, timeout=0.3) == [SILENT] * len(NOWHERE)
        assert daemon.dropped("interface_rules") >= before + len(NOWHERE)
        # Nor where the rules that drop it are gone.
        os.kill(daemon.process.pid, signal.SIGSTOP)
        try:
            network.in_host("nft", "flush", "chain", "inet", f"wayleave_{daemon.instance}_forward", "source_0")
            assert "ping" not in a.dial(*NOWHERE, port=8098, timeout=0.3)
        finally:
            os.kill(daemon.process.pid, signal.SIGCONT)
        wait_until(lambda: daemon.reason("no_origin") >= 1)


DATAGRAMS = """
def told(address, port, family=None, type=socket.SOCK_DGRAM, protocol=0, data=b"x", timeout=0.3):
    # What comes back of a datagram: an error, an answer, or nothing.
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, type, protocol)
    s.settimeout(timeout)
    try:
        s.connect((address, port))
        s.send(data)
        return s.recv(100).decode(errors="replace")
    except socket.timeout:
        return None
    except OSError as e:
        return errno.errorcode[e.errno]
"""


def test_everything_else_is_refused(host, network, machines, vm):
    daemon, a = vm
    assert daemon.set_config(egress="deny") is None
    before, dropped = refusals(network, daemon), daemon.dropped("interface_rules")
    assert a.python(DATAGRAMS + f"""
result = [told(to, port, timeout=5) for to in ({SERVER4!r}, {SERVER6!r}, {a.gate4!r}, {HOST4!r}, {a.gate6!r}) for port in (53, 7001)]
""") == [REFUSED] * 10
    # Echoes, IPv6 in IPv4, GRE, SCTP: an error, or nothing.
    assert set(a.python(DATAGRAMS + f"""
result = [told(to, 0, None, socket.SOCK_RAW, protocol, b"\\x08\\0\\xf7\\xff\\0\\0\\0\\0")
          for to in ({SERVER4!r}, {a.gate4!r}) for protocol in (1, 41, 47, 132)]
""")) <= {None, "EHOSTUNREACH", "ENOPROTOOPT", REFUSED}
    assert refusals(network, daemon) >= before + 15
    counted = daemon.dropped("interface_rules")
    assert counted >= dropped + 15
    # Rules that are loaded begin to count anew; what they counted until then is not forgotten.
    assert daemon.set_config(egress="allow") is None
    assert refusals(network, daemon) < 15 and daemon.dropped("interface_rules") >= counted
    # But for what is asked of name servers, and is no query.
    assert not [s for s in daemon.json("sessions", "list") if not s["address"].endswith(":53")]


def test_flows(host, network, machines, echo):
    """Datagrams and echoes are judged by their first packet, as other agents' are, and what was let pass goes on."""
    a, b, _ = machines
    pings = {"name": "pings", "protocol": "icmp", "hosts": [f"{SERVER4}:*"]}
    daemon = host.start(config_of(a), config_of(b, "b"), egress="deny", resources=[PLACE, pings])
    daemon.write_rules([{**allow("place", "pings")[0], "agents": ["a"]}])
    daemon.reload()
    process = a.start(talking(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        print(json.dumps([talk({SERVER4!r}, {PORT}, s=s), talk({SERVER6!r}, {PORT}), talk({SERVER4!r}, {PORT + 1}),
                          talk({a.gate4!r}, {PORT})]), flush=True)
        sys.stdin.readline()
        result = talk({SERVER4!r}, {PORT}, s=s)
    """))
    assert json.loads(process.stdout.readline()) == ["echo x", "echo x", REFUSED, REFUSED]
    assert b.python(talking(f"result = talk({SERVER4!r}, {PORT})")) == REFUSED
    echoes = DATAGRAMS + f"""
result = [told(to, 0, None, socket.SOCK_RAW, 1, b"\\x08\\0\\xf7\\xff\\0\\0\\0\\0", %f)
          for to in ({SERVER4!r}, {WORLD4!r}, {a.gate4!r})]
"""
    answered, *refused = a.python(echoes % 3)
    assert answered.startswith("E") and set(refused) <= {None, "EHOSTUNREACH"}
    assert set(b.python(echoes % 0.3)) <= {None, "EHOSTUNREACH"}
    flow = daemon.session(SERVER4, PORT, agent="a")
    assert (flow["protocol"], flow["resource"]) == ("udp", "place")
    assert daemon.session(SERVER4, PORT, agent="b")["denied"] == 1
    # Another policy judges what flows.
    daemon.write_rules([{"name": "no", "resources": ["place"], "deny": {}}])
    daemon.reload()
    assert daemon.status().get("reload_problem") is None
    assert process.communicate("\n", timeout=60)[0].splitlines()[-1] == json.dumps(REFUSED)
    # Of a worker that died nothing is left; another one answers.
    daemon.write_rules(allow("place"))
    daemon.reload()
    for pid in daemon.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: a.python(talking(f"result = talk({SERVER4!r}, {PORT})")) == "echo x")


def test_bandwidth(host, network, machines, echo):
    """Whoever is behind the interface is not told what was dropped: the answers are fewer."""
    a, b, _ = machines
    host.start(limited(config_of(a)), config_of(b, "b"), egress="deny", resources=[PLACE])
    code = BLAST + talking(f"""
        s = socket.socket(type=socket.SOCK_DGRAM)
        assert talk({SERVER4!r}, {PORT}, s=s) == "echo x"
        result = blast(s, {RATE})
    """)
    _, most, came, most_came, answers = a.python(code)
    assert 0 < answers <= most and 80 <= came <= most_came, (answers, most, came, most_came)
    assert b.python(code)[2::2] == [300, 400]


def test_names(host, network, machines, names):
    """What is asked the host's resolvers, and name servers on this host, is judged, and what they answer makes a place of
    a resource that is named."""
    a, _, nobody = machines
    with with_resolvers(names.file):
        daemon = host.start(config_of(a), egress="deny", resources=[NAMED])
        daemon.write_rules(ONLY_NAMED)
        daemon.reload()
        names.serve(f"--host-record=db.example,{DATABASE}")
        assert a.dial(DATABASE) != ["ping"]
        found, made = a.python(CONNECT % DATABASE)
        assert found == [DATABASE] and made["data"] == "ping"
        assert daemon.session(DATABASE, resource="named", denied=0)["agent"] == "a"
        wait_until(lambda: [s for s in daemon.json("sessions", "list") if s["address"] == text_of(RESOLVER4, 53) and s["actions"]])
        def is_answered(machine, *addresses):
            answers = machine.python(DATAGRAMS + f"""
result = [told(x, 53, data={QUERY!r}, timeout=5) for x in {addresses!r}]
""")
            return all(x and len(x) > len(QUERY) for x in answers)
        assert is_answered(a, RESOLVER4, RESOLVER6) and is_answered(nobody, RESOLVER4)
        assert a.python(talking(f"""
            result = [talk({SERVER4!r}, 53, {QUERY!r}), talk({RESOLVER4!r}, 53, b"x"), talk({RESOLVER4!r}, 54)]
        """)) == [REFUSED] * 3
        names.serve(f"--host-record=db.example,{DATABASE}", addresses=(a.gate4, HOST4), namespace=network.host)
        assert is_answered(a, a.gate4, HOST4)
        assert {s["agent"] for s in daemon.json("sessions", "list")} == {"a"}


def test_others_addresses(host, network, machines):
    """Nobody speaks as somebody else, whatever addresses it gives itself."""
    a, b, nobody = machines
    daemon = host.start(config_of(a, addresses=[a.own4, a.own6]), config_of(b, "b"))
    assert a.dial(SERVER4, SERVER6) == ["ping"] * 2 and b.dial(SERVER4) == ["ping"]
    # Of its own network, but not its address; somebody else's; an agent's.
    for machine, address, chain in ((a, "10.96.1.9", "strangers"), (a, nobody.own4, "strangers"),
                                    (b, a.own4, "source_1"), (b, nobody.own4, "source_1"), (b, "fd96:3::2", "source_1")):
        bits, any_port = (128, "::") if ":" in address else (32, "0.0.0.0")
        before = refusals(network, daemon, chain)
        machine.do("ip", "addr", "add", f"{address}/{bits}", "dev", "eth0", *(["nodad"] if bits == 128 else []))
        try:
            to = SERVER6 if bits == 128 else SERVER4
            assert machine.python(f"""
                result = attempt({to!r}, timeout=0.3, setup=lambda s: s.bind(({address!r}, 0)))
            """) == {"error": SILENT}
        finally:
            machine.do("ip", "addr", "del", f"{address}/{bits}", "dev", "eth0")
        assert refusals(network, daemon, chain) > before
    assert network.leaks() == 0


def test_listeners_are_their_agents(host, network, machines):
    """Whoever else dials them is refused, and so is the agent that does not go by the rules; without rules there is no
    origin."""
    a, b, nobody = machines
    daemon = host.start(config_of(a), config_of(b, "b"))
    own = ports(network, daemon)
    assert len(own) == 4 and all(p < 1024 for p in own)
    for port in own:
        assert nobody.dial(nobody.gate4, nobody.gate6, HOST4, port=port) == [REFUSED] * 3
        assert network.in_host(PYTHON, "-c", program(f"""
            result = [attempt(x, port={port})["error"] for x in ("127.0.0.1", "::1", {a.gate4!r}, {HOST6!r})]
        """)).strip() == json.dumps([REFUSED] * 4)
        assert a.dial(a.gate4, port=port) != ["ping"] and b.dial(a.gate4, port=port) != ["ping"]
    assert not [s for s in daemon.json("sessions", "list") if s["resource"] != "egress"]
    before = daemon.reason("no_origin")
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        network.in_host("nft", "delete", "table", "inet", f"wayleave_{daemon.instance}_forward")
        assert nobody.dial(nobody.gate4, nobody.gate6, port=own[0]) == ["ECONNRESET"] * 2
        assert a.dial(a.gate4, port=own[1]) == ["ECONNRESET"]
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    wait_until(lambda: daemon.reason("no_origin") >= before + 3)
    # And it puts them back.
    wait_until(lambda: ports(network, daemon) == own)
    assert a.dial(SERVER4) == ["ping"]
    assert network.leaks() == 0


def test_without_a_daemon(host, network, machines, vm):
    daemon, a = vm
    assert a.dial(SERVER4) == ["ping"]
    daemon.kill()
    assert a.dial(SERVER4, SERVER6, a.gate4) == [REFUSED] * 3
    assert a.python(DATAGRAMS + f"result = told({SERVER4!r}, 7001)") is None
    daemon.start()
    assert a.dial(SERVER4, SERVER6) == ["ping"] * 2
    assert network.leaks() == 0
    own = ports(network, daemon)
    daemon.stop()
    # Whoever has these ports next is not led to.
    with contextlib.ExitStack() as servers:
        for port in own:
            servers.enter_context(serving(network, port))
        assert a.dial(SERVER4, SERVER6, a.gate4) == [REFUSED] * 3
    daemon.teardown()
    assert "wayleave" not in network.in_host("nft", "list", "tables")
    assert a.dial(SERVER4) == ["ping"] and network.leaks() == 1


def test_who_comes_and_goes(host, network, machines):
    """Connections from before end; another configuration is in force at once, and leaves others alone."""
    a, b, _ = machines
    daemon = host.start(config_of(b, "b"))
    client = a.start(f"""
        s = socket.create_connection(({SERVER4!r}, 5432), timeout=5)
        def echo():
            try:
                s.sendall(b"x")
                return s.recv(1).decode()
            except OSError as e:
                return errno.errorcode[e.errno]
        before = echo()
        print(flush=True)
        sys.stdin.readline()
        result = [before, echo()]
    """)
    assert client.stdout.readline() == "\n"
    kept = b.start(f"""
        s = socket.create_connection(({SERVER4!r}, 5432), timeout=5)
        s.sendall(b"x")
        s.recv(1)
        print(flush=True)
        sys.stdin.readline()
        s.sendall(b"y")
        result = s.recv(1).decode()
    """)
    assert kept.stdout.readline() == "\n"
    assert network.leaks() == 1
    assert daemon.set_config(agents=[config_of(b, "b"), config_of(a)]) is None
    assert json.loads(client.communicate("\n", timeout=60)[0].splitlines()[-1]) == ["x", "ECONNRESET"]
    assert json.loads(kept.communicate("\n", timeout=60)[0].splitlines()[-1]) == "y"
    assert a.dial(SERVER4) == ["ping"]
    assert daemon.session(agent="a")
    assert network.leaks() == 0
    # One that can't be in force leaves the one before.
    assert daemon.set_config(agents=[config_of(a), config_of(a, "b")])
    assert b.dial(SERVER4) == ["ping"]
    assert network.leaks() == 0
    assert daemon.set_config(agents=[config_of(a)]) is None
    assert b.dial(SERVER4) == ["ping"]
    assert network.leaks() == 1
    assert len(ports(network, daemon)) == 2


def test_who_dials_it(host, network, machines, vm):
    """Its listening sockets answer nobody, unless they may."""
    daemon, a = vm
    server = a.start("""
        server = socket.create_server(("::", 8097), family=socket.AF_INET6, dualstack_ipv6=True)
        print(flush=True)
        while True:
            server.accept()[0].sendall(b"answer")
    """)
    def answers(namespace, timeout):
        ask = program(f"result = [attempt(x, port=8097, timeout={timeout}) for x in ({a.own4!r}, {a.own6!r})]")
        return [x.get("data", x.get("error")) for x in json.loads(network.in_namespace(namespace, PYTHON, "-c", ask))]
    try:
        assert server.stdout.readline() == "\n"
        assert "answer" not in answers(network.world, 0.5) + answers(network.host, 0.5)
        assert daemon.set_config(agents=[{"name": "a", "interfaces": ["wlfa*"], "listen": "allow"}]) is None
        assert answers(network.world, 20) == answers(network.host, 20) == ["answer"] * 2
        # That is no way out for what it dials itself.
        assert a.dial(SERVER4) == ["ping"] and daemon.session(SERVER4)["agent"] == "a"
    finally:
        server.kill()
        server.wait()


def test_who_asks_it_by_datagrams(host, network, machines, vm, echo):  # noqa: F811
    """Where its own may go anywhere, unjudged, they answer nobody either, unless they may."""
    daemon, a = vm
    server = a.start("""
        server = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        server.bind(("::", 8098))
        print(flush=True)
        while True:
            server.sendto(b"answer", server.recvfrom(100)[1])
    """)

    def answers(namespace, timeout):
        ask = program(talking(f"result = [talk(x, 8098, timeout={timeout}) for x in ({a.own4!r}, {a.own6!r})]"))
        return json.loads(network.in_namespace(namespace, PYTHON, "-c", ask))
    try:
        assert server.stdout.readline() == "\n"
        for udp in ("policy", "allow"):
            for listen in ("deny", "allow"):
                assert daemon.set_config(agents=[{"name": "a", "interfaces": ["wlfa*"], "udp": udp, "listen": listen}]) is None
                if listen == "deny":
                    assert "answer" not in answers(network.world, 0.2) + answers(network.host, 0.2), udp
                else:
                    assert answers(network.world, 10) == answers(network.host, 10) == ["answer"] * 2, udp
        assert a.python(talking(f"result = talk({SERVER4!r}, {PORT})")) == "echo x"
    finally:
        server.kill()
        server.wait()


def test_port_of_a_bridge(host, network, machines, vm):
    """What a bridge carries has the bridge's name: an interface that is named and is put there is cut off."""
    daemon, a = vm
    network.in_host("ip", "link", "add", "wlfbr", "type", "bridge")
    try:
        network.in_host("ip", "addr", "flush", "dev", a.device)
        network.in_host("ip", "link", "set", a.device, "master", "wlfbr")
        network.in_host("ip", "addr", "add", f"{a.gate4}/24", "dev", "wlfbr")
        network.in_host("ip", "link", "set", "wlfbr", "up")
        a.do("ip", "neigh", "flush", "all")
        assert a.dial(SERVER4, timeout=1) in ([SILENT], ["EHOSTUNREACH"])
        assert daemon.dropped("bridge_rules") > 0
        # The bridge is its interface then.
        assert daemon.set_config(agents=[{"name": "a", "interfaces": ["wlfbr"], "addresses": [a.own4]}]) is None
        a.do("ip", "neigh", "flush", "all")
        wait_until(lambda: a.dial(SERVER4) == ["ping"])
        assert daemon.session(SERVER4)["agent"] == "a"
    finally:
        network.in_host("ip", "link", "del", "wlfbr")
        network.in_host("ip", "addr", "add", f"{a.gate4}/24", "dev", a.device)
        network.in_host("ip", "addr", "add", f"{a.gate6}/64", "dev", a.device, "nodad", check=False)
    assert network.leaks() == 0


def test_rules_for_bridges_that_somebody_changes(network, vm):
    """They are told of and put back as the others are."""
    daemon, _ = vm
    table = f"wayleave_{daemon.instance}_forward"

    def look():
        checks = json.loads(daemon.wayleave("doctor", "--json").stdout)["checks"]
        return next(c for c in checks if c["name"] == "hooks and rules")
    assert look()["state"] == "ok"
    network.in_host("nft", "flush", "chain", "bridge", table, "ports")
    found = look()
    assert found["state"] == "failed" and "rules for interfaces" in found["text"]
    assert "drop" in network.in_host("nft", "list", "table", "bridge", table)
    assert look()["state"] == "ok"


def test_commands(vm):
    daemon, _ = vm
    agent, = daemon.status()["agents"]
    assert agent["interfaces"] == ["wlfa*"] and "cgroup" not in agent
    assert "agent a  (behind wlfa*)" in daemon.wayleave("status").stdout
    started = daemon.wayleave("run", "--agent", "a", "--", "true")
    assert started.returncode == 125 and "behind an interface" in started.stderr
