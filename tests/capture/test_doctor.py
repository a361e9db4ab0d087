# SPDX-License-Identifier: Apache-2.0
"""`wayleave doctor` and the canary: every way out of an agent is tried and stopped, and what somebody opens turns both red."""
import json
import os
import re
import time

import pytest
from conftest import SERVER4, wait_until

WAYS = {"tcp4", "tcp6", "mapped", "fast_open", "mptcp", "io_uring", "abstract", "udp4", "udp6", "ping", "sctp", "raw", "packet", "vsock",
        "alg", "mark", "bpf", "cgroup"}


def doctor(daemon, *words):
    done = daemon.wayleave(*words, "doctor", "--config", daemon.config_file)
    return done, json.loads(done.stdout) if "--json" in words else done.stdout


def test_all_is_well(host):
    daemon, _ = host.govern()
    done, report = doctor(daemon, "--json")
    ways = {w["name"]: w for w in report["ways"]}
    assert set(ways) == WAYS
    assert all(w["stopped"] for w in ways.values()), ways
    # Each by what is meant to stop it.
    for name in ("tcp4", "tcp6", "mapped", "fast_open", "io_uring"):
        assert ways[name]["by"] == "led to a worker", name
    assert ways["udp4"]["by"] == ways["udp6"]["by"] == "EPERM"
    assert {ways[n]["by"] for n in ("mptcp", "ping", "sctp")} == {"EPROTONOSUPPORT"}
    assert {ways[n]["by"] for n in ("packet", "vsock", "alg")} == {"EAFNOSUPPORT"}
    assert {ways[n]["by"] for n in ("bpf", "mark")} == {"EPERM"}
    states = {c["name"]: c["state"] for c in report["checks"]}
    assert states["kernel"] == states["btf"] == states["cgroups"] == states["daemon"] == states["hooks and rules"] == "ok"
    assert states["keys"] == "ok"
    assert report["ok"] is ("failed" not in states.values()) and done.returncode == (0 if report["ok"] else 1)


def test_for_people(host):
    daemon, _ = host.govern()
    done, text = doctor(daemon)
    assert re.search(r"^ok +kernel +\d", text, re.M)
    assert re.search(r"^stopped +udp4 +UDP over IPv4: EPERM$", text, re.M)
    assert "OPEN" not in text


@pytest.mark.parametrize("take_away, problem", [
    (lambda daemon, agent, network: daemon.pin(agent, "steer_connect4").unlink(), "a hook of cgroup"),
    (lambda daemon, agent, network: network.in_host("nft", "flush", "chain", "inet", f"wayleave_{daemon.instance}", "output"),
     "somebody has changed the rules"),
    (lambda daemon, agent, network: network.in_host("nft", "flush", "map", "inet", f"wayleave_{daemon.instance}", "outbound_2"),
     "nftables"),
])
def test_what_is_taken_away_is_told_and_put_back(host, network, take_away, problem):
    daemon, agent = host.govern()
    assert doctor(daemon, "--json")[1]["ways"]
    take_away(daemon, agent, network)
    done, report = doctor(daemon, "--json")
    assert done.returncode == 1
    assert problem in next(c for c in report["checks"] if c["name"] == "hooks and rules")["text"]
    status = daemon.wayleave("status").stdout
    assert "PROBLEM: canary: " in status and problem in status
    assert daemon.status()["canary"]["state"] == "failed"
    # The next one finds it closed again.
    checks = doctor(daemon, "--json")[1]["checks"]
    assert next(c for c in checks if c["name"] == "hooks and rules")["state"] == "ok"
    assert agent.python(f"result = attempt('{SERVER4}')")["data"] == "ping"
    assert daemon.session(SERVER4)
    assert daemon.status()["canary"]["state"] == "ok"


def test_on_schedule(host):
    daemon, _ = host.govern(canary="1s")
    wait_until(lambda: daemon.status()["canary"]["runs"] >= 2, 20)
    assert daemon.status()["canary"]["state"] == "ok"
    assert "every way out of an agent was stopped" in daemon.wayleave("status").stdout
    assert daemon.no_session()
    # No run leaves a descriptor behind.
    def count():
        seen = []
        for _ in range(30):  # also between two runs
            seen.append(len(os.listdir(f"/proc/{daemon.process.pid}/fd")))
            time.sleep(0.05)
        return min(seen)

    runs, most = daemon.status()["canary"]["runs"], count()
    wait_until(lambda: daemon.status()["canary"]["runs"] >= runs + 4, 30)
    assert count() <= most


def test_without_a_daemon(host):
    daemon, _ = host.govern()
    daemon.kill()
    done, report = doctor(daemon, "--json")
    assert done.returncode == 1
    assert next(c for c in report["checks"] if c["name"] == "daemon")["state"] == "failed"
    assert next(c for c in report["checks"] if c["name"] == "kernel")["state"] == "ok"


def test_an_agent_can_not_ask(host):
    daemon, _ = host.govern()
    done = daemon.run(daemon.daemon_command()[-3].replace("wayleaved", "wayleave"), "doctor", agent="a")
    assert done.returncode == 1 and "inside an agent" in done.stdout + done.stderr


def test_a_broken_configuration_is_named(host):
    daemon, _ = host.govern()
    broken = daemon.folder / "broken.yaml"
    broken.write_text("nonsense: 1\n")
    done = daemon.wayleave("doctor", "--config", broken)
    assert done.returncode == 1 and re.search(r"^failed +configuration +.*broken.yaml:1: .*nonsense", done.stdout, re.M)
