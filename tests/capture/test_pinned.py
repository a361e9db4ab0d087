# SPDX-License-Identifier: Apache-2.0
"""Whose places the answers of name servers make, and for how long: of the agent that asked, also while no name server answers."""
from conftest import wait_until
from test_names import CONNECT, DATABASE, RESOLVER4, names, resolv_conf, with_resolvers  # noqa: F401

OWN, LISTED = "203.0.113.71", "203.0.113.72"  # what the daemon itself was told, and what its hosts file says
RESOURCES = [{"name": name, "protocol": "tcp", "hosts": [f"{name}.example:5432"]} for name in ("db", "own", "listed")]
RULES = [{"name": "named", "resources": ["db", "own", "listed"], "operations": ["*"], "allow": {}}]


def test_places_are_the_askers_and_stay(names, host, tmp_path):  # noqa: F811
    names.file = tmp_path / "etc-resolv.conf"
    names.file.write_text(f"nameserver {RESOLVER4}\noptions timeout:1 attempts:1\n")
    hosts = tmp_path / "etc-hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{LISTED} listed.example\n")
    agent, other = host.agent("a"), host.agent("b")
    names.serve(f"--host-record=own.example,{OWN}")
    with with_resolvers(names.file):
        daemon = host.start(agent, other, egress="deny", resources=RESOURCES, wrapper=[
            "unshare", "-m", "--propagation", "slave", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(hosts)])
    daemon.write_rules(RULES)
    daemon.reload()
    names.serve(f"--host-record=own.example,{OWN}", f"--host-record=db.example,{DATABASE}")
    wait_until(lambda: other.python(f"result = attempt({OWN!r})").get("data") == "ping")

    assert names.python(agent, CONNECT % DATABASE)[1]["data"] == "ping"
    assert daemon.session(DATABASE, agent=agent.name)["resource"] == "db"
    # To the other one nobody said so.
    assert "error" in other.python(f"result = attempt({DATABASE!r})")
    denied = daemon.session(DATABASE, agent=other.name)
    assert (denied["denied"], denied["resource"]) == (1, "world")

    names.stop()
    daemon.reload()
    daemon.wait_for("own.example can't be resolved: ")
    assert agent.python(f"result = attempt({DATABASE!r})")["data"] == "ping"
    for address in (OWN, LISTED):
        assert [a.python(f"result = attempt({address!r})").get("data") for a in (agent, other)] == ["ping"] * 2
    assert "error" in other.python(f"result = attempt({DATABASE!r})")
    assert "listed.example can't" not in daemon.text()
