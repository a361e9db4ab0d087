# SPDX-License-Identifier: Apache-2.0
#
# Agents in network namespaces of their own that have a way out: as a container on a bridge has one, and one without
# root. Those without stay as they are (test_closed.py).
import contextlib
import os
import signal
import subprocess

import pytest

from conftest import HOST4, METRICS, PYTHON, SERVER4, SERVER6, WORLD4, sh, wait_until
from harness import manager as managers

ALL = [SERVER4, SERVER6, f"::ffff:{SERVER4}"]
GATE4, INNER4, GATE6, INNER6 = "10.97.0.1", "10.97.0.2", "fd97::1", "fd97::2"


@pytest.fixture
def container(network):
    """A network namespace on a bridge of the host's."""
    name = f"wlc{os.getpid()}"
    with contextlib.ExitStack() as undo:
        sh("ip", "netns", "add", name)
        undo.callback(sh, "ip", "netns", "del", name, check=False)
        network.in_host("ip", "link", "add", "wlbr", "type", "bridge")
        undo.callback(network.in_host, "ip", "link", "del", "wlbr", check=False)
        network.in_host("ip", "link", "add", "wlc0", "type", "veth", "peer", "name", "eth0", "netns", name)
        undo.callback(network.in_host, "ip", "link", "del", "wlc0", check=False)
        network.in_host("ip", "link", "set", "wlc0", "master", "wlbr", "up")
        network.in_host("ip", "link", "set", "wlbr", "up")
        for inside, device, v4, v6 in ((network.host, "wlbr", GATE4, GATE6), (name, "eth0", INNER4, INNER6)):
            network.in_namespace(inside, "ip", "addr", "add", f"{v4}/24", "dev", device)
            network.in_namespace(inside, "ip", "addr", "add", f"{v6}/64", "dev", device, "nodad")
        network.in_namespace(name, "ip", "link", "set", "eth0", "up")
        network.in_namespace(name, "ip", "link", "set", "lo", "up")
        network.in_namespace(name, "ip", "route", "add", "default", "via", GATE4)
        network.in_namespace(name, "ip", "-6", "route", "add", "default", "via", GATE6)
        yield name


def dial(agent, namespace, addresses):
    return agent.python(f"result = [attempt(a) for a in {addresses!r}]", namespace=namespace)


def attempts(agent, namespace, addresses):
    return [a.get("error", a.get("data")) for a in dial(agent, namespace, addresses)]


def is_gone(network):
    return "wlc0" not in network.in_host("ip", "-br", "link")


def test_container(host, network, container):
    """What leaves is what a worker has judged; each connection is told by what was dialled, and by whom."""
    daemon, agent = host.govern()
    answers = dial(agent, container, ALL)
    assert [a.get("data") for a in answers] == ["ping"] * 3
    assert [a["peer"] for a in answers] == [[SERVER4, 5432], [SERVER6, 5432], [f"::ffff:{SERVER4}", 5432]]
    for address in (SERVER4, SERVER6, f"{SERVER4}"):
        assert daemon.session(address)["agent"] == agent.name
    # The listener is no relay: neither for the agent, nor for others who are there.
    ports = {int(line.split()[3].rsplit(":", 1)[1]) for line in
             network.in_namespace(container, "ss", "-Hltn").splitlines()}
    port, = ports
    assert agent.python(f"result = attempt('127.0.0.1', port={port})", namespace=container) == {"error": "ECONNREFUSED"}
    assert network.in_namespace(container, PYTHON, "-c", f"""if True:
        import socket
        s = socket.create_connection(("127.0.0.1", {port}))
        s.settimeout(30)
        try:
            print(s.recv(10))
        except ConnectionResetError:
            print(b"")
    """) == "b''\n"
    assert daemon.no_session()
    # Without a daemon nothing leaves; the next one has a listener there again.
    daemon.kill()
    assert agent.python(f"result = attempt({SERVER4!r})", namespace=container) == {"error": "ECONNREFUSED"}
    daemon.start()
    assert dial(agent, container, [SERVER4])[0].get("data") == "ping"
    # Its namespace ends with its processes, though workers have listened there.
    sh("ip", "netns", "del", container)
    wait_until(lambda: is_gone(network))


def test_without_the_right_to_enter(host, container):
    """As with the shipped unit: nobody waits for a listener that can't be made, and people are told."""
    daemon, agent = host.govern(wrapper=["setpriv", "--bounding-set=-sys_admin"])
    assert agent.python(f"""
        begin = time.monotonic()
        result = [attempt({SERVER4!r}), attempt({SERVER4!r}), time.monotonic() - begin < 1]
    """, namespace=container) == [{"error": "ENETUNREACH"}, {"error": "ENETUNREACH"}, True]
    assert daemon.counts(agent)["other_network"] == 2
    wait_until(lambda: "CAP_SYS_ADMIN is needed" in daemon.text())
    assert daemon.refusals()


# Processes in network namespaces of their own, each with a way out, that all call `dial` at once, and stay.
TOGETHER = """
    def live(ready, answer, released, dial):
        assert ctypes.CDLL(None, use_errno=True).unshare(0x40000000) == 0  # CLONE_NEWNET
        assert os.system("ip link set lo up; ip link add d0 type veth peer name d1; ip link set d0 up") == 0
        os.write(ready, b"r")
        os.read(released, 1)
        os.write(answer, json.dumps(dial()).encode())
        time.sleep(60)

    def together(count, dial):
        (ready, told), (released, release), answers = os.pipe(), os.pipe(), []
        for _ in range(count):
            answers.append(os.pipe())
            pid = os.fork()
            if pid == 0:
                live(told, answers[-1][1], released, dial)
            kept.append(pid)
        for _ in range(count):
            os.read(ready, 1)
        os.write(release, b"r" * count)
        return [json.loads(os.read(a, 1000)) for a, _ in answers]
"""


def test_many_at_once(host):
    """Containers of one agent that connect for the first time at the same time, and one that is more than may be."""
    daemon, agent = host.govern()
    results = agent.python(TOGETHER + f"""
    def dial():
        return attempt({SERVER4!r}, timeout=30).get("data")
    def dial_twice():
        begin = time.monotonic()
        errors = [attempt({SERVER4!r}, timeout=30).get("error") for _ in range(2)]
        return [*errors, time.monotonic() - begin < 4]
    result = [together(16, dial), together(1, dial_twice)]
    for pid in kept:
        os.kill(pid, 9)
    """)
    assert results[0] == ["ping"] * 16
    (first, second, soon), = results[1]
    # The first one may have to wait for the answer: ETIMEDOUT then.
    assert first in ("timeout", "ENETUNREACH") and second == "ENETUNREACH" and soon
    assert daemon.counts(agent)["other_network"] >= 2


def test_who_asked_has_ended(host, container):
    """And another one's connection, that came meanwhile, is none the worse for it."""
    daemon, agent = host.govern()
    daemon.process.send_signal(signal.SIGSTOP)
    dialling = agent.start(f"""
        if os.fork() == 0:
            socket.socket()
            os._exit(0)
        os.wait()
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(({SERVER4!r}, 5432))
        print(flush=True)
        s.settimeout(5)
        select.select([], [s], [], 5)
        s.send(b"ping")
        result = s.recv(100).decode()
    """, namespace=container)
    assert dialling.stdout.readline() == "\n"
    daemon.process.send_signal(signal.SIGCONT)
    out, err = dialling.communicate(timeout=60)
    assert out.strip() == '"ping"', err


@pytest.fixture
def manager(tmp_path, monkeypatch):
    m = managers.Manager(tmp_path)
    for name, value in m.environment.items():
        monkeypatch.setenv(name, value)
    yield m
    m.close()


def test_one_daemon_after_the_other(manager, host, container):
    """Who connects while a daemon finishes what it has is told to the next one."""
    daemon, agent = host.govern(wrapper=manager.wrapper)
    last = agent.start(f"""
        s = socket.create_connection(({SERVER4!r}, 5432))
        print(flush=True)
        sys.stdin.readline()
    """)
    assert last.stdout.readline() == "\n"
    daemon.process.send_signal(signal.SIGTERM)
    wait_until(lambda: {"STOPPING": "1"} in manager.states)
    between = agent.start(f"result = attempt({SERVER4!r}, timeout=30).get('data')", namespace=container)
    wait_until(lambda: "SYN-SENT" in host.network.in_namespace(container, "ss", "-Htan"))
    last.kill()
    last.wait()
    daemon.process.wait()
    daemon.start()
    out, err = between.communicate(timeout=60)
    assert out.strip() == '"ping"', err


def test_addresses_of_the_host(host, container):
    """What no resource names is not reached from there either, and its own loopback is its own."""
    daemon, agent = host.govern("egress", egress="deny")
    assert dial(agent, container, [SERVER4])[0].get("data") == "ping"
    assert attempts(agent, container, [WORLD4]) != ["ping"]
    assert agent.python("""
        own = socket.create_server(("127.0.0.1", 8099))
        result = attempt("127.0.0.1", port=8099)
    """, namespace=container) == {"error": "ENETUNREACH"}
    assert daemon.set_config(loopback="own") is None
    assert attempts(agent, container, [HOST4, GATE4, SERVER4]) == ["ENETUNREACH", "ENETUNREACH", "ping"]
    assert agent.python("""
        own = socket.create_server(("127.0.0.1", 8099))
        socket.create_connection(("127.0.0.1", 8099))
        result = "own"
    """, namespace=container) == "own"


def test_without_root(host):
    """A namespace that an unprivileged agent makes: only once it has a device of its own."""
    daemon, agent = host.govern()
    assert agent.python(f"""
        libc = ctypes.CDLL(None, use_errno=True)
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        assert libc.prctl(4, 1) == 0  # PR_SET_DUMPABLE: /proc/self is its own
        assert libc.unshare(0x10000000 | 0x40000000) == 0  # CLONE_NEWUSER, CLONE_NEWNET
        open("/proc/self/setgroups", "w").write("deny")
        open("/proc/self/uid_map", "w").write("0 65534 1")
        assert os.system("ip link set lo up") == 0
        before = [attempt({SERVER4!r}).get("error"), os.system("ss -Hltn | grep -q .") != 0]
        assert os.system("ip link add d0 type veth peer name d1; ip link set d0 up") == 0
        result = [*before, attempt({SERVER4!r}).get("data")]
    """) == ["ENETUNREACH", True, "ping"]
    assert daemon.session(SERVER4)["agent"] == agent.name


@contextlib.contextmanager
def serving(network):
    """A server of the host's, towards containers; yields its process."""
    code = f"""if True:
        import socket
        server = socket.create_server(({GATE4!r}, 8098))
        print("ready", flush=True)
        s = server.accept()[0]
        while True:
            s.sendall(s.recv(100))
    """
    process = subprocess.Popen(network.enter(network.host, PYTHON, "-c", code), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        yield
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def older_connection(network, agent, namespace):
    """One from before the agent is governed; what it says of it, once told to."""
    agent.path.mkdir(parents=True, exist_ok=True)
    with serving(network):
        older = agent.start(f"""
            def echo():
                try:
                    s.sendall(b"x")
                    return select.select([s], [], [], 1)[0] != [] and s.recv(1) == b"x"
                except OSError as e:
                    return errno.errorcode[e.errno]
            s = socket.create_connection(({GATE4!r}, 8098))
            before = echo()
            print(flush=True)
            sys.stdin.readline()
            result = [before, echo()]
        """, namespace=namespace)
        assert older.stdout.readline() == "\n"
        yield older


@pytest.mark.parametrize("listen", ["deny", "allow"])
def test_older_connections_there(host, network, container, listen):
    """They are ended where they are; with listening sockets that may answer nothing else would hold them."""
    agent = host.agent()
    with older_connection(network, agent, container) as older:
        host.start(host.config_of(agent, listen=listen))
        out, err = older.communicate("\n", timeout=60)
        assert out.strip() == '[true, "ECONNABORTED"]', err


def test_what_is_sent_there(host, network, container):
    """Where a connection from before the agent was governed can't be ended, what it sends goes nowhere; and the agent's
    listening sockets answer nobody, unless they may."""
    agent = host.agent()
    with older_connection(network, agent, container) as older:
        daemon = host.start(agent, wrapper=["setpriv", "--bounding-set=-sys_admin"], metrics=METRICS)
        assert daemon.dropped("fence") == 0
        out, err = older.communicate("\n", timeout=60)
        assert out.strip() == "[true, false]", err
        assert daemon.dropped("fence") > 0
    assert daemon.set_config(agents=[host.config_of(agent, listen="allow")]) is None
    server = agent.start("""
        server = socket.create_server(("0.0.0.0", 8097))
        print(flush=True)
        while True:
            server.accept()[0].sendall(b"answer")
    """, namespace=container)
    assert server.stdout.readline() == "\n"
    ask = f"""if True:
        import socket
        try:
            s = socket.create_connection(({INNER4!r}, 8097), timeout=1)
            print(s.recv(100))
        except OSError:
            print("nothing")
    """
    try:
        assert network.in_host(PYTHON, "-c", ask) == "b'answer'\n"
        assert daemon.set_config(agents=[host.config_of(agent)]) is None
        assert network.in_host(PYTHON, "-c", ask) == "nothing\n"
    finally:
        server.kill()
        server.wait()
