# SPDX-License-Identifier: Apache-2.0
"""A daemon of another version: what is pinned has another layout (CAPTURE_LAYOUT). What was governed stays governed, without a gap."""
import json

from conftest import LAYOUT, SERVER4

# What became of datagrams that were sent all the time: EPERM is the rules'.
SENDING = """
    found = {}
    print("begun", flush=True)
    while not select.select([sys.stdin], [], [], 0.002)[0]:
        s = socket.socket(type=socket.SOCK_DGRAM)
        try:
            s.sendto(b"x", (%r, 443))
            what = "left"
        except OSError as e:
            what = errno.errorcode[e.errno]
        found[what] = found.get(what, 0) + 1
        s.close()
    result = found
"""


def test_an_older_layout(host):
    """An agent that is configured, and one that is left out while it runs. Names are waited for at the start, so that
    there is time in which only what was there before can hold them."""
    staying, left_out = host.agent("a"), host.agent("b")
    both = [host.config_of(agent, udp="deny") for agent in (staying, left_out)]
    daemon = host.start(*both, resources=[{"name": "slow", "protocol": "postgres", "hosts": ["nowhere.invalid:5432"]}])
    sending = [agent.start("import select\n" + SENDING.replace("\n    ", "\n") % SERVER4) for agent in (staying, left_out)]
    for process in sending:
        assert process.stdout.readline() == "begun\n"
    daemon.stop()
    (daemon.pins / LAYOUT).rename(daemon.pins / "v0")
    daemon.config["agents"] = both[:1]
    daemon.write_config()
    daemon.start()
    assert [entry.name for entry in daemon.pins.iterdir()] == [LAYOUT]
    refused = left_out.python(f"result = attempt({SERVER4!r})")
    assert refused.get("error"), refused
    assert staying.python(f"result = attempt({SERVER4!r})")["data"] == "ping"
    assert daemon.session(SERVER4)["agent"] == "a" and daemon.no_session()
    found = [json.loads(process.communicate("\n", timeout=20)[0]) for process in sending]
    assert all(set(counts) == {"EPERM"} and counts["EPERM"] > 100 for counts in found), found


def test_teardown_of_an_older_layout(host):
    daemon, agent = host.govern()
    daemon.stop()
    (daemon.pins / LAYOUT).rename(daemon.pins / "v0")
    daemon.teardown()
    assert not agent.path.exists()
