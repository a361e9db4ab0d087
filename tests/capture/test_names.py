# SPDX-License-Identifier: Apache-2.0
"""Names: what agents ask name servers is judged, and what these answer makes places of resources that are named by name."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest
from conftest import CGROUPS, OWN_PORT, PYTHON, SERVER4, SERVER6, WORLD4, Agent, Network, sh, text_of, wait_until
from harness import certificates

RESOLVER4, RESOLVER6 = "203.0.113.53", "2001:db8::53"
DATABASE = "203.0.113.70"  # what the name has, as agents are told
HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def resolv_conf(network, tmp_path_factory):
    """The host's resolvers are in the world: another /etc/resolv.conf, for the daemons and agents here alone."""
    if subprocess.run(["mountpoint", "-q", "/sys/fs/bpf"]).returncode:
        sh("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    for address in (f"{RESOLVER4}/32", f"{RESOLVER6}/128"):
        network.in_namespace(network.world, "ip", "addr", "replace", address, "dev", "lo", check=False)
    file = tmp_path_factory.mktemp("etc") / "resolv.conf"
    file.write_text(f"nameserver {RESOLVER4}\nnameserver {RESOLVER6}\noptions timeout:2 attempts:5\n")
    file.chmod(0o644)
    file.parent.chmod(0o755)
    file.parent.parent.chmod(0o755)
    return file


@contextlib.contextmanager
def with_resolvers(file):
    """Commands are entered with that file in its place."""
    plain = Network.enter

    def enter(namespace, *command):
        return plain(namespace, "unshare", "-m", "--propagation", "slave", "sh", "-c",
                     'mount --bind "$0" /etc/resolv.conf && exec "$@"', str(file), *command)
    Network.enter = staticmethod(enter)
    try:
        yield
    finally:
        Network.enter = staticmethod(plain)


class Names:
    """A daemon and an agent whose resolver is dnsmasq in the world."""

    def __init__(self, host, network, file, folder):
        self.host, self.network, self.file = host, network, file
        self.hosts = folder / "hosts"
        self.hosts.write_text("")
        self.process = None
        self.options = ["--no-daemon", "--no-resolv", "--no-hosts", f"--addn-hosts={self.hosts}", "--pid-file=", "--user=root",
                        "--bind-interfaces", "--local-ttl=1", "--no-poll"]

    def serve(self, *options, addresses=(RESOLVER4, RESOLVER6), namespace=None, port=53):
        self.stop()
        command = [shutil.which("dnsmasq") or "/usr/sbin/dnsmasq", *self.options, f"--port={port}", *options,
                   *(f"--listen-address={a}" for a in addresses)]
        self.process = subprocess.Popen(Network.enter(namespace or self.network.world, *command), stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            if "started" in line:
                break
            said.append(line)
        assert "started" in line, said

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.communicate()
        self.process = None

    def govern(self, resources=(), rules=None, **config):
        with with_resolvers(self.file):
            agent = self.host.agent()
            daemon = self.host.start(agent, egress="deny", resources=list(resources), **config)
        if rules is not None:
            daemon.write_rules(rules)
            daemon.reload()
            assert daemon.status().get("reload_problem") is None
            assert daemon.status().get("reload_problem") is None
        return daemon, agent

    def popen(self, agent, *command):
        with with_resolvers(self.file):
            return agent.popen(*command)

    def run(self, agent, *command):
        process = self.popen(agent, *command)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def python(self, agent, code):
        with with_resolvers(self.file):
            return agent.python(code)


@pytest.fixture
def names(host, network, resolv_conf, tmp_path):
    n = Names(host, network, resolv_conf, tmp_path)
    yield n
    n.stop()


NAMED = {"name": "named", "protocol": "tcp", "hosts": ["db.example:5432"]}
ONLY_NAMED = [{"name": "all", "resources": ["named"], "operations": ["*"], "allow": {}}]
CONNECT = """
    try:
        found = sorted({a[4][0] for a in socket.getaddrinfo("db.example", 5432, type=socket.SOCK_STREAM)})
    except OSError as e:
        found = str(e)
    result = [found, attempt(%r)]
"""


def lookups(daemon, agent):
    """Sessions at name servers."""
    return [s for s in daemon.json("sessions", "list") if s["protocol"] == "udp" and s["agent"] == agent.name]


def test_an_answer_makes_a_place_of_the_resource(names):
    """The monitor can't resolve the name: the agent's answer alone says that the place is the resource's, before it is dialled."""
    daemon, agent = names.govern([NAMED], ONLY_NAMED)
    names.serve(f"--host-record=db.example,{DATABASE}")
    # Not looked up, the address is nobody's.
    assert names.python(agent, f"result = attempt({DATABASE!r})")["error"]
    found, made = names.python(agent, CONNECT % DATABASE)
    assert found == [DATABASE] and made["data"] == "ping"
    assert daemon.session(DATABASE, resource="named")["denied"] == 0
    # Others that it answered nothing for have nothing of it.
    assert names.python(agent, f"result = attempt({SERVER4!r})")["error"]
    wait_until(lambda: [s for s in lookups(daemon, agent) if s["actions"] and s["address"] == text_of(RESOLVER4, 53)])
    asked = lookups(daemon, agent)[0]
    assert DATABASE in daemon.wayleave("sessions", "show", asked["id"], "--json").stdout


def test_a_wildcard_and_another_daemon(names):
    """Where servers prove nothing, an answer for one of its names says what a wildcard means, as long as that boot lasts."""
    wild = {"name": "wild", "protocol": "tcp", "hosts": ["*.example:5432"]}
    daemon, agent = names.govern([wild], [{"name": "all", "resources": ["wild"], "operations": ["*"], "allow": {}}])
    names.serve(f"--host-record=db.example,{DATABASE}", f"--host-record=db.elsewhere,{SERVER4}")
    assert names.python(agent, f"result = attempt({DATABASE!r})")["error"]
    found, made = names.python(agent, CONNECT % DATABASE)
    assert found == [DATABASE] and made["data"] == "ping"
    daemon.session(DATABASE, resource="wild")
    names.run(agent, "getent", "ahostsv4", "db.elsewhere")
    assert names.python(agent, f"result = attempt({SERVER4!r})")["error"]
    # Killed: nothing was put away in time.
    daemon.kill()
    daemon.start()
    assert names.python(agent, f"result = attempt({DATABASE!r})")["data"] == "ping"
    assert names.python(agent, f"result = attempt({SERVER4!r})")["error"]


SQL_SERVER = """
import socket, ssl, struct, sys
# Asked for TLS it has that certificate; who logs in is told what it said.
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2] + ".pem", sys.argv[2] + ".key")
listener = socket.create_server((sys.argv[1], int(sys.argv[3])))
print("ready", flush=True)
while True:
    s, _ = listener.accept()
    try:
        s.recv(8)
        s.sendall(b"S")
        s = context.wrap_socket(s, server_side=True)
        said = s.recv(4096)
        user = said[8:].split(b"\\0")[1]
        body = b"SFATAL\\0C28000\\0Mlogged in as " + user + b"\\0\\0"
        s.sendall(b"E" + struct.pack("!I", len(body) + 4) + body)
    except OSError as e:
        pass
    s.close()
"""
LOG_IN = """
    socket.getaddrinfo("db.example", None, type=socket.SOCK_STREAM)
    s = socket.create_connection(%r, 10)
    body = struct.pack("!I", 196608) + b"user\\0agent\\0database\\0shop\\0\\0"
    s.sendall(struct.pack("!I", len(body) + 4) + body)
    s.settimeout(10)
    result = s.recv(4096).decode("latin-1")
"""


def test_a_wildcards_server_shows_a_certificate_for_the_name_that_was_looked_up(names, network, tmp_path):
    """What we log in with must not go to whoever has one for the address, where an answer alone made it the resource's."""
    authority = certificates.make_authority(tmp_path)
    certificates.make_leaf(tmp_path, "address", names=(), addresses=(DATABASE,))
    certificates.make_leaf(tmp_path, "name", names=("db.example",), addresses=())
    secret = tmp_path / "secret"
    secret.write_text("hunter22")
    secret.chmod(0o600)
    wild = {"name": "wild", "protocol": "postgres", "hosts": [f"*.example:{OWN_PORT}"], "tls": {"upstream": "verify-full", "ca_file": str(authority)},
            "credentials": {"user": "robot", "password_file": str(secret)}}
    daemon, agent = names.govern([wild], [{"name": "all", "resources": ["wild"], "operations": ["*"], "allow": {}}])
    names.serve(f"--host-record=db.example,{DATABASE}")
    for shown, expected in (("address", "certificate"), ("name", "logged in as robot")):
        server = subprocess.Popen(Network.enter(network.world, PYTHON, "-c", SQL_SERVER, DATABASE, str(tmp_path / shown),
                                                str(OWN_PORT)),
                                  stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout.readline() == "ready\n"
            answer = names.python(agent, LOG_IN % ((DATABASE, OWN_PORT),))
            assert expected in answer and ("robot" in answer) == (shown == "name"), answer
        finally:
            server.kill()
            server.communicate()


STAND_IN = """
import socket, struct, sys
# A name server that answers as its command line says, to the first that asks.
s = socket.socket(type=socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
address = socket.inet_aton(sys.argv[2])
print("ready", flush=True)
while True:
    query, peer = s.recvfrom(4096)
    at = query.index(b"\\0", 12) + 5
    question, kind = query[12:at], query[at - 3]
    def answer(id, name, kind):
        record = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c\\0\\4" + address if kind == 1 else b""
        return id + b"\\x81\\x80\\0\\1" + (b"\\0\\1" if record else b"\\0\\0") + b"\\0\\0\\0\\0" + name + record
    if "forge" in sys.argv:
        s.sendto(answer(bytes([query[0] ^ 1, query[1]]), question, kind), peer)
        s.sendto(answer(query[:2], b"\\5other" + question[question[0] + 1:], kind), peer)
        s.sendto(b"\\xff" * 40, peer)
        s.sendto(answer(query[:2], question[:-3] + b"\\x10" + question[-2:], kind), peer)
        continue
    s.sendto(answer(query[:2], question, kind), peer)
"""


@contextlib.contextmanager
def stand_in(network, address, gives, *how, namespace=None):
    server = subprocess.Popen(Network.enter(namespace or network.world, PYTHON, "-c", STAND_IN, address, gives, *how),
                              stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.kill()
        server.wait()


# Sent again every second, as programs do: rules that are replaced drop what waits in the queue.
QUERY = """
        def query(address, tries):
            s = socket.socket(type=socket.SOCK_DGRAM)
            s.settimeout(1)
            s.connect((address, 53))
            for i in range(tries):
                s.send(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\2db\\7example\\0\\0\\1\\0\\1")
                try:
                    return s.recv(4096).hex()
                except socket.timeout:
                    pass
"""


def test_what_is_no_answer_is_not_delivered(names, network):
    """Another id, another name, another type, something else: all from the server that was asked."""
    daemon, agent = names.govern([NAMED], ONLY_NAMED)
    raw = QUERY + """
        result = query(%r, 3)
    """ % RESOLVER4
    with stand_in(network, RESOLVER4, DATABASE, "forge"):
        assert names.python(agent, raw) is None
    with stand_in(network, RESOLVER4, DATABASE):
        assert names.python(agent, raw).startswith("1234")
    assert names.python(agent, f"result = attempt({DATABASE!r})")["data"] == "ping"


def test_who_answers_must_be_a_resolver_of_the_host(names, network):
    """A name server that the agent may ask, but the host does not, says nothing about places: also on this host."""
    other = {"name": "others", "protocol": "udp", "hosts": [f"{SERVER4}:53"]}
    daemon, agent = names.govern([NAMED, other], [*ONLY_NAMED, {"name": "ask", "resources": ["others"], "operations": ["*"], "allow": {}}])
    query = QUERY + """
        result = [query(%r, 30), attempt(%r)]
    """
    for address, namespace in ((SERVER4, network.world), ("127.0.0.1", network.host)):
        with stand_in(network, address, DATABASE, namespace=namespace):
            answer, made = names.python(agent, query % (address, DATABASE))
            assert answer.startswith("1234") and "error" in made


def test_the_local_stub_resolver(names, network):
    """127.0.0.53, as systemd-resolved has it."""
    names.file.write_text("nameserver 127.0.0.53\noptions timeout:2 attempts:5\n")
    try:
        daemon, agent = names.govern([NAMED], ONLY_NAMED)
        names.serve(f"--host-record=db.example,{DATABASE}", addresses=["127.0.0.53"], namespace=network.host)
        found, made = names.python(agent, CONNECT % DATABASE)
        assert found == [DATABASE] and made["data"] == "ping"
    finally:
        names.file.write_text(f"nameserver {RESOLVER4}\nnameserver {RESOLVER6}\noptions timeout:2 attempts:5\n")


NODE = "require('dns').resolve4('db.example', (e, a) => console.log(e ? e.code : a.join()))"


def test_real_clients(names):
    """glibc, c-ares, and dig with EDNS, with and without a connected socket, over either family."""
    daemon, agent = names.govern([NAMED], ONLY_NAMED)
    names.serve(f"--host-record=db.example,{DATABASE}", "--cname=www.example,db.example")
    for command in (["getent", "ahostsv4", "db.example"], ["node", "-e", NODE], ["dig", "+short", "db.example"],
                    ["dig", "+short", f"@{RESOLVER6}", "+bufsize=4096", "www.example"]):
        code, out, err = names.run(agent, *command)
        assert code == 0 and DATABASE in out, (command, out, err)
    code, out, _ = names.run(agent, "dig", "+short", "+tries=1", "nothing.example", "TXT")
    assert code == 0 and out == ""


def test_names_that_rules_say(names):
    """A resource that names the resolvers makes each name an action; without one, denies alone count."""
    servers = {"name": "servers", "protocol": "udp", "hosts": [f"{RESOLVER4}:53", f"[{RESOLVER6}]:53"]}
    daemon, agent = names.govern(rules=[{"name": "no tunnels", "operations": ["resolve"], "objects": ["*.tunnel.example"],
                                         "deny": {"message": "not here"}}])
    names.serve(f"--address=/example/{DATABASE}")
    ask = """
        result = []
        for name in %r:
            try:
                result.append(socket.getaddrinfo(name, 1, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
            except OSError as e:
                result.append("refused")
    """
    assert names.python(agent, ask % ["db.example", "data.tunnel.example"]) == [DATABASE, "refused"]
    daemon.write_rules([{"name": "what it needs", "resources": ["servers"], "operations": ["resolve"], "objects": ["db.example", "*.ok.example"],
                         "allow": {}}])
    assert daemon.set_config(resources=[*daemon.config["resources"], servers]) is None
    assert names.python(agent, ask % ["db.example", "a.ok.example", "other.example"]) == [DATABASE, DATABASE, "refused"]
    # Nothing but names: a flow to what the rule names is none of them.
    assert daemon.set_config(resources=[*daemon.config["resources"], {"name": "elsewhere", "protocol": "udp", "hosts": [f"{SERVER4}:5353"]}]) is None
    daemon.write_rules([{"name": "what it needs", "resources": ["servers", "elsewhere"], "operations": ["resolve"], "allow": {}}])
    daemon.reload()
    assert names.python(agent, ask % ["db.example"]) == [DATABASE]
    names.python(agent, """
        s = socket.socket(type=socket.SOCK_DGRAM)
        s.connect((%r, 5353))
        s.send(b"x")
    """ % SERVER4)
    assert daemon.session(SERVER4, 5353, resource="elsewhere")["denied"] == 1
    exported = daemon.wayleave("--json", "audit", "export").stdout
    assert "not here" in exported and "no rule allows resolve on other.example" in exported


def test_one_datagram_is_one_query(names, network):
    """Segments that the kernel makes of one send, and what stands behind a question, nobody would judge."""
    daemon, agent = names.govern()
    names.serve(f"--address=/example/{DATABASE}", "--log-queries", "--log-facility=-")
    said = []
    threading.Thread(target=lambda: said.extend(names.process.stderr), daemon=True).start()
    names.python(agent, """
        def query(name):
            return b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + bytes([len(name)]) + name + b"\\7example\\0\\0\\1\\0\\1"
        def send(data, segment=0):
            s = socket.socket(type=socket.SOCK_DGRAM)
            s.settimeout(1)
            s.connect((%r, 53))
            if segment:
                s.setsockopt(17, 103, segment)  # SOL_UDP, UDP_SEGMENT
            try:
                s.send(data)
                s.recv(4096)
            except OSError:
                pass
        send(query(b"one") + query(b"two"), len(query(b"one")))
        send(query(b"trail") + b"data")
    """ % RESOLVER4)
    wait_until(lambda: names.run(agent, "getent", "ahostsv4", "last.example")[0] == 0)
    wait_until(lambda: any("last.example" in line for line in said))
    assert not [line for line in said for name in ("one", "two", "trail") if f"{name}.example" in line]


def test_encoded_data_and_floods_are_refused_and_told(names):
    daemon, agent = names.govern()
    names.serve(f"--address=/example/{DATABASE}")
    data = "mzxw6ytboi4dqojrgi3tinbwhe2tqmrtga4tqnbv"
    assert names.run(agent, "getent", "ahostsv4", f"{data}.example")[0] != 0
    assert names.run(agent, "getent", "ahostsv4", "k8s-default-orders-1a2b3c4d5e-1234567890.example")[0] == 0
    wait_until(lambda: "looks like encoded data" in daemon.wayleave("--json", "audit", "export").stdout)
    names.python(agent, """
        s = socket.socket(type=socket.SOCK_DGRAM)
        for i in range(3000):
            try:
                s.sendto(struct.pack("!HHHHHH", i, 256, 1, 0, 0, 0) + b"\\5n%%04d\\7example\\0\\0\\1\\0\\1" %% i, (%r, 53))
            except OSError:
                pass
            if i %% 20 == 0:
                time.sleep(0.02)
    """ % RESOLVER4)
    wait_until(lambda: "too many queries" in daemon.wayleave("--json", "audit", "export").stdout)
    # It comes back with time.
    wait_until(lambda: names.run(agent, "getent", "ahostsv4", "later.example")[0] == 0)


def test_suspended_agents_look_nothing_up(names):
    daemon, agent = names.govern()
    names.serve(f"--address=/example/{DATABASE}")
    assert names.run(agent, "getent", "ahostsv4", "db.example")[0] == 0
    assert daemon.wayleave("agents", "suspend", agent.name).returncode == 0
    assert names.run(agent, "getent", "ahostsv4", "db.example")[0] != 0


def test_others_are_not_looked_at(names, network):
    """The host's own queries to the same resolvers go on while no worker reads the queue, and after the daemon has died."""
    daemon, agent = names.govern()
    names.serve(f"--address=/example/{DATABASE}")
    ask = Network.enter(network.host, "dig", "+short", "+tries=1", f"@{RESOLVER4}", "db.example")
    with daemon.paused():
        assert sh(*ask).strip() == DATABASE
        assert names.run(agent, "dig", "+short", "+tries=1", "+time=1", "db.example")[0] != 0
    daemon.kill()
    assert sh(*ask).strip() == DATABASE
    assert names.run(agent, "dig", "+short", "+tries=1", "+time=1", "db.example")[0] != 0


# A query for the IPv4 addresses of a name, over TCP: the code of the answer and the addresses in it, or an error.
OVER_TCP = """
def look_up(name, server=%r, s=None):
    query = struct.pack("!6H", 7, 0x100, 1, 0, 0, 0)
    query += b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\\0\\0\\1\\0\\1"
    try:
        s = s or socket.create_connection((server, 53), 10)
        s.sendall(struct.pack("!H", len(query)) + query)
        answer = b""
        while len(answer) < 2 or len(answer) - 2 < struct.unpack_from("!H", answer)[0]:
            part = s.recv(4096)
            if not part:
                return "end"
            answer += part
    except OSError as e:
        return errno.errorcode[e.errno] if e.errno else "timeout"
    count = struct.unpack_from("!H", answer, 8)[0]
    return [answer[5] & 15, [socket.inet_ntoa(answer[len(answer) - 4:])] if count else []]
""" % RESOLVER4


def test_over_tcp(names):
    """As in datagrams: judged one by one, several on a connection, and a place of the resource before the agent has the
    answer; whatever egress says."""
    daemon, agent = names.govern([NAMED], ONLY_NAMED)
    names.serve(f"--host-record=db.example,{DATABASE}", "--address=/gone.example/")
    assert names.python(agent, f"result = attempt({DATABASE!r})")["error"]
    found, made, other, encoded, after = names.python(agent, OVER_TCP + f"""
s = socket.create_connection(({RESOLVER4!r}, 53), 10)
result = [look_up("db.example", s=s), attempt({DATABASE!r}), look_up("gone.example", s=s)[0],
          look_up("k5xg64tjnzqw2zlomqqgc3temfzgcy3ume3tqnzv.example", s=s), look_up("db.example", s=s)]
    """)
    assert found == [0, [DATABASE]] and made["data"] == "ping" and other == 3
    assert encoded == [5, []] and after in ("end", "ECONNRESET", "EPIPE")
    assert daemon.session(DATABASE, resource="named")["denied"] == 0
    asked = daemon.session(RESOLVER4, 53)
    assert (asked["protocol"], asked["agent"], asked["denied"]) == ("udp", agent.name, 1)
    shown = daemon.wayleave("sessions", "show", asked["id"], "--json").stdout
    assert DATABASE in shown and "db.example A" in shown
    # As the C library does it; and nothing else is said there.
    assert DATABASE in names.run(agent, "env", "RES_OPTIONS=use-vc", "getent", "ahostsv4", "db.example")[1]
    assert names.python(agent, f"""
s = socket.create_connection(({RESOLVER4!r}, 53), 10)
s.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
try:
    result = s.recv(100).decode()
except ConnectionResetError:
    result = "reset"
    """) == "reset"
    # Nobody else is a name server whom everybody may ask; with `udp: deny` none is.
    assert names.python(agent, OVER_TCP + f"result = look_up('db.example', {WORLD4!r})") in ("end", "ECONNRESET")
    assert daemon.set_config(agents=[names.host.config_of(agent, udp="deny")]) is None
    # Once the worker has the new policy.
    wait_until(lambda: names.python(agent, OVER_TCP + "result = look_up('db.example')") in ("end", "ECONNRESET"))


def test_an_answer_waits_for_its_place(names):
    """It is delivered only after the place is known to be the resource's: not while the monitor, which says so, stands still. Over
    TCP, as there the workers need nothing else of it; verdicts on datagrams go through it."""
    daemon, agent = names.govern([NAMED], ONLY_NAMED)
    names.serve(f"--host-record=db.example,{DATABASE}", "--local=/example/")
    process = agent.start("""
        s = socket.create_connection((%r, 53), 20)
        def ask(name):
            query = b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + bytes([len(name)]) + name + b"\\7example\\0\\0\\1\\0\\1"
            s.send(struct.pack(">H", len(query)) + query)
        def answered(patience):
            s.settimeout(patience)
            try:
                return s.recv(4096)[9]  # how many records
            except socket.timeout:
                return None
        ask(b"none")
        print(answered(20), flush=True)
        sys.stdin.readline()
        ask(b"none")
        print(answered(20), flush=True)
        ask(b"db")
        print(answered(1.5), flush=True)
        sys.stdin.readline()
        result = [answered(20), attempt(%r)]
    """ % (RESOLVER4, DATABASE))

    def go_on():
        process.stdin.write("\n")
        process.stdin.flush()
    assert process.stdout.readline() == "0\n"
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        go_on()
        # What has no address makes no place, and needs no monitor.
        assert process.stdout.readline() == "0\n"
        assert process.stdout.readline() == "None\n"
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    out, err = process.communicate("\n", timeout=60)
    records, made = json.loads(out)
    assert (records, made.get("data")) == (1, "ping"), err


def test_over_tcp_as_rules_say(names):
    """A resource that names the resolvers has rules for what is asked over TCP too; other servers' answers, which egress
    lets through, say nothing about places."""
    resolvers = {"name": "resolvers", "protocol": "udp", "hosts": [f"{RESOLVER4}:53"]}
    rules = [{"name": "some", "resources": ["resolvers"], "operations": ["resolve"], "objects": ["*.example"], "allow": {}},
             {"name": "no", "operations": ["resolve"], "objects": ["secret.example"], "deny": {}},
             *ONLY_NAMED]
    daemon, agent = names.govern([NAMED, resolvers], rules)
    names.serve(f"--host-record=db.example,{DATABASE}", f"--host-record=secret.example,{DATABASE}",
                f"--host-record=db.elsewhere,{DATABASE}")
    assert names.python(agent, OVER_TCP + """
result = [look_up(n) for n in ("db.example", "secret.example", "db.elsewhere")]
    """) == [[0, [DATABASE]], [5, []], [5, []]]
    assert daemon.session(RESOLVER4, 53)["resource"] == "resolvers"
    names.serve(f"--host-record=db.example,{SERVER4}", addresses=[WORLD4])
    assert daemon.set_config(egress="allow") is None
    answers = names.python(agent, OVER_TCP + f"""
result = [look_up("db.example", {WORLD4!r}), look_up("secret.example", {WORLD4!r}), attempt({SERVER4!r})]
    """)
    asked = daemon.session(WORLD4, 53)
    assert answers[:2] == [[0, [SERVER4]], [5, []]] and answers[2]["error"]
    assert (asked["protocol"], asked["resource"]) == ("udp", "egress")


def test_over_tcp_on_this_host(host, network, resolv_conf, tmp_path):
    """A name server on the host's loopback, as systemd's: asked over TCP it is judged, though `loopback: own` keeps others'
    listeners away."""
    file = tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.53\n")
    local = Names(host, network, file, tmp_path)
    daemon, agent = local.govern([NAMED], ONLY_NAMED)
    try:
        local.serve(f"--host-record=db.example,{DATABASE}", addresses=["127.0.0.53"], namespace=network.host)
        found, made = local.python(agent, OVER_TCP + f"result = [look_up('db.example', '127.0.0.53'), attempt({DATABASE!r})]")
        assert found == [0, [DATABASE]] and made["data"] == "ping"
        assert daemon.session("127.0.0.53", 53)["actions"]
    finally:
        local.stop()
