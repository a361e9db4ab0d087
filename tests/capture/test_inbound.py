# SPDX-License-Identifier: Apache-2.0
"""An agent that listens, and is dialled from outside (bypass B27): connect(2) never runs."""
import subprocess

import pytest
from conftest import HOST4, HOST6, PYTHON, SERVER4, WORLD4, WORLD6, program
from test_closed import errors, socket_in
from test_network_rules import CONTAINED, inside  # noqa: F401
from test_networks import GATE4, GATE6, INNER4, INNER6, container  # noqa: F401


def dial_in(network, address):
    """From the world."""
    return network.in_namespace(network.world, PYTHON, "-c", f"""
import socket
try:
    s = socket.create_connection(({address!r}, 9999), 20)
    s.settimeout(20)
    print(s.recv(10).decode())
except OSError as e:
    print(type(e).__name__)
""").strip()


@pytest.mark.parametrize("listen, answer", [("deny", "ConnectionRefusedError"), ("allow", "own")])
def test_inbound(host, network, listen, answer):
    _, agent = host.govern("own", listen)
    server = socket_in(host, "::", 9999, agent)
    assert [dial_in(network, address) for address in (HOST4, HOST6)] == [answer] * 2
    server.kill()
    server.wait()


# Answers each datagram, of either family; says of each, behind that, of which.
ANSWERING = """
    sockets = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
    sockets[1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    for s, address in zip(sockets, ("0.0.0.0", "::")):
        s.bind((address, 9998))
    print("ready", flush=True)
    while True:
        for s in select.select(sockets, [], [])[0]:
            data, peer = s.recvfrom(100)
            try:
                s.sendto(b"own", peer)
            except OSError:
                pass
            print(len(peer), flush=True)
"""


def datagrams_in(namespace, network, server, addresses, answered):
    """What strangers' datagrams are answered, each once the server has tried to."""
    asking = subprocess.Popen(network.enter(namespace, PYTHON, "-c", f"""if True:
        import socket
        asking = [socket.socket(socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_DGRAM) for a in {addresses!r}]
        for s, address in zip(asking, {addresses!r}):
            s.connect((address, 9998))
            s.send(b"x")
        input()
        for s in asking:
            try:
                s.settimeout({20 if answered else 0.3})
                print(s.recv(10).decode())
            except OSError as e:
                print(type(e).__name__)
    """), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert sorted(server.stdout.readline() for _ in addresses) == ["2\n", "4\n"]
    return asking.communicate("\n")[0].split()


@pytest.mark.parametrize("listen, answering", [("deny", []), ("allow", ["policy", "allow"])])
def test_inbound_datagrams(host, network, listen, answering):
    """Answers are no datagrams of its own, wherever those may go."""
    strangers = {"name": "strangers", "protocol": "udp", "hosts": [f"{WORLD4}:*", f"[{WORLD6}]:*"]}
    daemon, agent = host.govern("own", listen, resources=[strangers])
    server = agent.start(ANSWERING)
    assert server.stdout.readline() == "ready\n"
    for mode in ("policy", "dns", "deny", "allow"):
        assert daemon.set_config(agents=[host.config_of(agent, listen, udp=mode)]) is None
        answers = datagrams_in(network.world, network, server, [HOST4, HOST6], mode in answering)
        assert answers == (["own"] if mode in answering else ["TimeoutError"]) * 2, mode
    server.kill()
    server.wait()


@pytest.mark.parametrize("listen, answering", [("deny", []), ("allow", ["policy", "allow"])])
def test_inbound_datagrams_there(host, network, inside, listen, answering):
    """The same in a network namespace of its own: from this host, and from others."""
    strangers = {"name": "strangers", "protocol": "udp", "hosts": [f"{WORLD4}:*", f"[{WORLD6}]:*", f"{GATE4}:*", f"[{GATE6}]:*"]}
    daemon, agent = host.govern("own", listen, resources=[strangers])
    server = agent.popen(*CONTAINED, PYTHON, "-c", program(ANSWERING), namespace=inside)
    assert server.stdout.readline() == "ready\n"
    for mode in ("policy", "dns", "deny", "allow"):
        assert daemon.set_config(agents=[host.config_of(agent, listen, udp=mode)]) is None
        for stranger in (network.world, network.host):
            answers = datagrams_in(stranger, network, server, [INNER4, INNER6], mode in answering)
            assert answers == (["own"] if mode in answering else ["TimeoutError"]) * 2, (mode, stranger)
    server.kill()
    server.wait()


def test_inbound_listener_cannot_dial_out(host):
    """`listen: allow` lets answers pass, not new connections, hook or not."""
    daemon, agent = host.govern("own", "allow")
    daemon.pin(agent, "steer_connect4").unlink()
    assert errors(agent, [SERVER4]) == ["ECONNREFUSED"]
