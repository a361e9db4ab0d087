# SPDX-License-Identifier: Apache-2.0
"""UDP of agents: to the host's own resolvers and on loopback, or as `udp` says; QUIC clients learn at once to use TCP."""
import pytest
from conftest import SERVER4, SERVER6

# What becomes of a datagram: EPERM where it does not leave; else None, or ECONNREFUSED from the world, where nobody listens.
SENT = """
def datagram(address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.3)
    try:
        s.connect((address, port))
        s.send(b"x" * 1200)
        s.recv(10)
    except socket.timeout:
        return None
    except OSError as e:
        return errno.errorcode[e.errno]
result = [datagram(*to) for to in %r]
"""
QUIC4, QUIC6, OWN_DNS = (SERVER4, 443), (SERVER6, 443), (SERVER4, 53)


def resolvers():
    words = [line.split() for line in open("/etc/resolv.conf")]
    return [w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and ":" not in w[1]]


def test_only_to_the_hosts_resolvers(host):
    _, agent = host.govern(egress="deny")
    assert agent.python(SENT % [QUIC4, QUIC6, OWN_DNS, (SERVER4, 123)]) == ["EPERM"] * 4
    assert "EPERM" not in agent.python(SENT % [(r, 53) for r in resolvers()])
    assert agent.python(SENT % [(r, 54) for r in resolvers() if not r.startswith("127.")]) == [
        "EPERM" for r in resolvers() if not r.startswith("127.")]


@pytest.mark.parametrize("udp, to_the_world, on_loopback", [("dns", "EPERM", None), ("deny", "EPERM", "EPERM"),
                                                            ("allow", "ECONNREFUSED", None)])
def test_as_configured(host, udp, to_the_world, on_loopback):
    agent = host.agent()
    host.start(host.config_of(agent, udp=udp))
    assert agent.python("""
        there = socket.socket(type=socket.SOCK_DGRAM)
        there.bind(("127.0.0.1", 0))
    """ + SENT.replace("\n", "\n        ") % [QUIC4] + """
        result += [datagram("127.0.0.1", there.getsockname()[1])]
    """) == [to_the_world, on_loopback]


def test_unconnected_and_in_a_child_cgroup(host):
    _, agent = host.govern(egress="deny")
    (agent.path / "inner").mkdir()
    assert agent.python("""
        inner = %r
        open(inner + "/cgroup.procs", "w").write("0")
        s = socket.socket(type=socket.SOCK_DGRAM)
        s.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
        s.settimeout(2)
        try:
            s.sendto(b"x", ("%s", 443))
            s.recv(10)
        except OSError as e:
            result = errno.errorcode[e.errno]
    """ % (str(agent.path / "inner"), SERVER4)) == "EPERM"


def test_large_datagrams_are_refused_whole(host, network):
    """A fragment behind the first has no port that a rule could look at."""
    _, agent = host.govern(egress="deny")
    assert agent.python("""
        s = socket.socket(type=socket.SOCK_DGRAM)
        s.settimeout(2)
        s.connect(("%s", 53))
        try:
            s.send(b"x" * 60000)
            s.recv(10)
        except OSError as e:
            result = errno.errorcode[e.errno]
    """ % SERVER4) == "EPERM"


def test_others_are_left_alone(host, network):
    host.govern()
    done = network.in_host("/usr/bin/python3", "-c", "import errno, socket\n" + SENT % [QUIC4, OWN_DNS] + "print(result)")
    assert done == "['ECONNREFUSED', 'ECONNREFUSED']\n"
