# SPDX-License-Identifier: Apache-2.0
"""Echoes (ping): the first of each flow is judged by its address, as a connection is; what is refused reaches nobody."""
import os
import re
import textwrap

import pytest
from conftest import SERVER4, SERVER6, sh, wait_until
from test_flows import queues

OTHER4 = "203.0.113.77"
PLACE = {"name": "place", "protocol": "icmp", "hosts": [f"{SERVER4}:*", f"[{SERVER6}]:*"]}
REVIEW = [{"name": "ask", "resources": ["place"], "operations": ["connect"], "review": {"by": "ops", "within": "10m"}}]

PING = """
    def ping_socket(address):
        six = ":" in address
        s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM, 58 if six else 1)
        s.setsockopt(41 if six else 0, 25 if six else 11, 1)  # IPV6_RECVERR, IP_RECVERR
        return s

    def ping(address, s=None, tries=1, timeout=10):
        # "echo", the name of the error, or None where nothing comes.
        try:
            s = s or ping_socket(address)
            for i in range(tries):
                s.settimeout(timeout)
                s.sendto(bytes([128 if ":" in address else 8]) + bytes(7) + b"data", (address, 0))
                try:
                    return "echo" if s.recv(100)[8:] == b"data" else "?"
                except socket.timeout:
                    pass
        except OSError as e:
            return errno.errorcode[e.errno]
"""


def pinging(code):
    return textwrap.dedent(PING) + textwrap.dedent(code)


@pytest.fixture
def seen(network):
    """Requests for echoes that reached the world since the last call."""
    network.add_rules(network.world, """
        table inet echoes {
            counter seen { }
            chain in {
                type filter hook prerouting priority raw - 1;
                icmp type echo-request counter name seen
                icmpv6 type echo-request counter name seen
            }
        }
    """)

    def count():
        reset = network.in_namespace(network.world, "nft", "reset", "counter", "inet", "echoes", "seen")
        return int(re.search(r"packets (\d+)", reset)[1])
    count()
    yield count
    network.in_namespace(network.world, "nft", "delete", "table", "inet", "echoes")


def test_a_resource_and_nothing_else(host, seen):
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    assert agent.python(pinging(f"""
        s = ping_socket({SERVER4!r})
        result = [ping({SERVER4!r}, s), ping({SERVER4!r}, s), ping({SERVER6!r})]
    """)) == ["echo"] * 3
    assert seen() == 3
    session = next(s for s in daemon.json("sessions", "list") if s["address"] == SERVER4)
    assert session["protocol"] == "icmp" and session["resource"] == "place" and session["denied"] == 0
    # "Packet filtered", at once.
    assert agent.python(pinging(f"result = ping({OTHER4!r})")) == "EHOSTUNREACH"
    denied = next(s for s in daemon.json("sessions", "list") if s["address"] == OTHER4)
    assert denied["protocol"] == "icmp" and denied["denied"] == 1
    assert seen() == 0
    wait_until(lambda: daemon.reason("egress") == 1)


def test_egress_and_another_policy(host, seen):
    daemon, agent = host.govern(egress="allow")
    process = agent.start(pinging(f"""
        s = ping_socket({SERVER4!r})
        print(ping({SERVER4!r}, s), ping({OTHER4!r}), flush=True)
        sys.stdin.readline()
        while ping({SERVER4!r}, s, timeout=1) != "EHOSTUNREACH":
            pass
        result = ping({SERVER6!r})
    """))
    assert process.stdout.readline() == "echo echo\n"
    # What flowed is judged by the policy in force.
    elsewhere = {**PLACE, "hosts": [f"{OTHER4}:*"]}
    assert daemon.set_config(egress="deny", resources=[*daemon.config["resources"], elsewhere]) is None
    out, err = process.communicate("\n", timeout=60)
    # IPv6 has another name for it.
    assert out.splitlines()[-1] == '"EACCES"', err


def test_people_decide(host, seen):
    daemon, agent = host.govern(egress="deny", resources=[PLACE], reviewers={"ops": {"local_users": ["root"]}})
    daemon.write_rules(REVIEW)
    daemon.reload()
    process = agent.start(pinging(f"result = ping({SERVER4!r}, tries=200, timeout=0.2)"))
    wait_until(lambda: daemon.json("reviews", "list"))
    review, = daemon.json("reviews", "list")
    assert review["text"] == SERVER4 and review["state"] == "pending"
    assert seen() == 0
    assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1] == '"echo"', err


def test_without_anybody_who_judges(host, network, seen):
    """Nobody reads, or the daemon is gone: nothing leaves."""
    daemon, agent = host.govern(egress="deny", resources=[PLACE])
    assert agent.python(pinging(f"result = ping({SERVER4!r})")) == "echo"
    seen()
    with daemon.paused():
        assert agent.python(pinging(f"result = ping({SERVER4!r}, timeout=0.5)")) is None
        assert seen() == 0
    # What waited is judged now.
    wait_until(lambda: agent.python(pinging(f"result = ping({SERVER4!r}, timeout=0.5)")) == "echo")
    daemon.kill()
    assert not queues(network)
    seen()
    assert agent.python(pinging(f"result = ping({SERVER4!r}, timeout=0.5)")) is None
    assert seen() == 0
    daemon.start()
    wait_until(lambda: agent.python(pinging(f"result = ping({SERVER4!r}, timeout=0.5)")) == "echo")


def test_where_nothing_judges_there_are_no_sockets(host, seen):
    """Other settings of `udp`, and a network namespace without the rules."""
    daemon, agent = host.govern(egress="allow")
    inner = f"wle{os.getpid()}"
    sh("ip", "netns", "add", inner)
    try:
        sh("nsenter", f"--net=/run/netns/{inner}", "sysctl", "-qw", "net.ipv4.ping_group_range=0 100000")
        assert agent.python(pinging(f"result = ping({SERVER4!r})"), namespace=inner) == "EPROTONOSUPPORT"
        assert agent.python(pinging(f"result = ping({SERVER4!r})")) == "echo"
    finally:
        sh("ip", "netns", "del", inner)
    for mode in ("dns", "deny", "allow"):
        assert daemon.set_config(agents=[{**daemon.config["agents"][0], "udp": mode}]) is None
        assert agent.python(pinging(f"result = ping({SERVER4!r})")) == "EPROTONOSUPPORT"
    assert daemon.counts(agent)["protocol"] == 4
