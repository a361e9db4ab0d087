# SPDX-License-Identifier: Apache-2.0
"""`wayleave doctor` and the canary: every way out of an agent is tried and stopped, and what somebody opens turns both red."""
import json
import os
import re
import struct
import subprocess
import time

import pytest
from conftest import BUILD, CGROUPS, LAYOUT, METRICS, SERVER4, wait_until
from harness.control import Control
from test_closed import Bpf

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
    assert {ways[n]["by"] for n in ("bpf", "mark", "raw", "abstract")} == {"EPERM"}
    assert ways["cgroup"]["by"] == "EACCES"
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


@pytest.mark.parametrize("flushed", ["chain inet wayleave_{} output", "chain inet wayleave_{} other", "table inet wayleave_{}_queue"])
def test_changed_rules_are_put_back_at_once(host, network, flushed):
    """The canary is minutes away, and tells of it then."""
    daemon, agent = host.govern(egress="deny")
    datagram = f"""
        try:
            socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ({SERVER4!r}, 123))
            result = "left"
        except OSError as e:
            result = errno.errorcode[e.errno]
    """
    assert agent.python(datagram) == "EPERM"
    chain = flushed.format(daemon.instance).split()
    before = network.in_host("nft", "list", *chain)
    network.in_host("nft", "flush", *chain)
    wait_until(lambda: network.in_host("nft", "list", *chain) == before, patience=3)
    assert agent.python(datagram) == "EPERM"
    assert "somebody has changed the rules; they are put back" in daemon.text()
    network.leaks()  # what passed meanwhile was nobody's


def lead_elsewhere(daemon, agent, network):
    """The agent is still named where its packets are looked up."""
    where = f"inet wayleave_{daemon.instance} outbound_2"
    path = re.search(r'"[^"]+"', network.in_host("nft", "list", "map", *where.split()))[0]
    network.in_host("nft", f"delete element {where} {{ {path} }}; add element {where} {{ {path} : accept }}")


@pytest.mark.parametrize("take_away, problem", [
    (lambda daemon, agent, network: daemon.pin(agent, "steer_connect4").unlink(), "a hook of cgroup"),
    (lambda daemon, agent, network: network.in_host("nft", "flush", "chain", "inet", f"wayleave_{daemon.instance}", "output"),
     "somebody has changed the rules"),
    (lambda daemon, agent, network: network.in_host("nft", "flush", "map", "inet", f"wayleave_{daemon.instance}", "outbound_2"),
     "nftables"),
    (lead_elsewhere, "nftables: the rules for cgroup"),
    (lambda daemon, agent, network: network.in_host("nft", "delete", "table", "inet", f"wayleave_{daemon.instance}"), "nftables"),
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


def run_canary(daemon, control):
    """A run from now on: what it found."""
    runs = daemon.status()["canary"]["runs"]
    control.start_canary()
    wait_until(lambda: daemon.status()["canary"]["runs"] > runs)
    return daemon.status()["canary"]


def test_every_hook(host):
    """Of agents, of the workers, of new cgroups: each is missed and put back, whether its pin is removed, or it is detached; meanwhile
    nothing gets out (conftest.host)."""
    daemon, agent = host.govern(metrics=METRICS)
    links = daemon.pins / LAYOUT / "links"
    control = Control(daemon)
    names = {pin.name: pin for owner in (f"{agent.id:08x}", "worker", "host") for pin in sorted((links / owner).iterdir())}
    assert {"steer_connect4", "fence_egress", "origin_sockops", "enrol_gate", "enrol_mkdir"} <= set(names) and len(names) > 15
    for number, (name, pin) in enumerate(names.items()):
        # Links of a tracepoint can't be detached; the name stands for two in the case of origin_getsockopt: the workers' is tried.
        if number % 2 and not name.startswith(("enrol_mkdir", "enrol_rmdir")):
            subprocess.run(["bpftool", "link", "detach", "pinned", pin], check=True)
        else:
            pin.unlink()
        agent.python(f"result = attempt({SERVER4!r}, timeout=2)")
        found = run_canary(daemon, control)
        assert found["state"] == "failed" and name in found["problem"], (name, found)
        assert f"canary: {found['problem']}" in daemon.text()
        if number == 0:
            assert daemon.metric("healthy") == 0 and daemon.metric("canary_failed_runs_total") == 1
    found = run_canary(daemon, control)
    assert found["state"] == "ok", found
    assert daemon.metric("healthy") == 1 and daemon.metric("canary_failed_runs_total") == len(names)
    daemon.seen = {s["id"] for s in daemon.json("sessions", "list")}
    assert agent.python(f"result = attempt({SERVER4!r})")["data"] == "ping"
    assert daemon.session(SERVER4)
    # Those that see new cgroups are back, too: this one is refused sockets until it is governed, and governed then.
    agent.path.rmdir()
    agent.path.mkdir()
    wait_until(lambda: agent.python(f"""
        try:
            result = attempt({SERVER4!r}).get("data")
        except OSError as e:
            assert e.errno == errno.ENETDOWN
    """) == "ping")
    control.close()


def test_another_program_in_the_place_of_a_hook(host):
    """The link is there and attached, and does something else."""
    daemon, agent = host.govern()
    pin = daemon.pin(agent, "disguise_getsockname4")
    other = daemon.pins / "other"
    source = daemon.folder / "other.c"
    source.write_text('__attribute__((section("cgroup/getsockname4"), used)) int f(void *c) { return 1; } char L[] __attribute__((section("license"), used)) = "GPL";')
    subprocess.run(["clang", "-O2", "-target", "bpf", "-c", source, "-o", source.with_suffix(".o")], check=True)
    subprocess.run(["bpftool", "prog", "load", source.with_suffix(".o"), other], check=True)
    try:
        program, link = (Bpf(path) for path in (other, pin))
        link.call(29, struct.pack("III", link.map, program.map, 0))  # BPF_LINK_UPDATE
        found = run_canary(daemon, Control(daemon))
        assert "disguise_getsockname4" in found["problem"]
        assert run_canary(daemon, Control(daemon))["state"] == "ok"
    finally:
        other.unlink()


def test_every_rule(host, network):
    daemon, _ = host.govern()
    control = Control(daemon)
    for words in ("flush chain inet T output", "flush chain inet T other", "flush chain inet T refuse", "flush chain inet T input",
                  "flush chain inet T_queue take_queries", "insert rule inet T refuse_udp accept", "delete table inet T_queue"):
        network.in_host("nft", *words.replace("T", f"wayleave_{daemon.instance}").split())
        found = run_canary(daemon, control)
        assert found["state"] == "failed" and "nftables" in found["problem"], (words, found)
    assert run_canary(daemon, control)["state"] == "ok"
    control.close()


def test_ways_that_are_open(host):
    """Not only compared: a confinement that does not take, and a cgroup that anybody may enter, are found by trying."""
    daemon, _ = host.govern(metrics=METRICS, wrapper=["env", f"LD_PRELOAD={BUILD / 'tests/unconfined.so'}", "UNCONFINED=65534"])
    control = Control(daemon)
    procs = CGROUPS / "cgroup.procs"
    before = procs.stat().st_mode
    try:
        procs.chmod(0o666)
        done, text = doctor(daemon)
    finally:
        procs.chmod(before & 0o7777)
    found = daemon.status()["canary"]
    ways = {w["name"] for w in found["ways"] if not w["stopped"]}
    # What of it the kernel has: without the filter another family's socket is there.
    assert "cgroup" in ways and ways & {"vsock", "alg", "abstract"}, ways
    assert found["state"] == "failed" and done.returncode == 1
    status = daemon.wayleave("status").stdout
    for way in ways:
        name = next(w["text"] for w in found["ways"] if w["name"] == way)
        assert re.search(rf"^OPEN +{way} +{re.escape(name)}$", text, re.M), text
        assert f"PROBLEM: canary: an agent has a way out: {name}" in status
        assert f"canary: an agent has a way out: {name}" in daemon.text()
        assert daemon.metric(f'canary_open{{way="{way}"}}') == 1
    assert daemon.metric('canary_open{way="tcp4"}') == 0 and daemon.metric("healthy") == 0
    # The cgroup is closed again.
    found = run_canary(daemon, control)
    assert {w["name"] for w in found["ways"] if not w["stopped"]} == ways - {"cgroup"}
    assert daemon.metric('canary_open{way="cgroup"}') == 0
    daemon.stop()
    daemon.wrapper = daemon.wrapper[:-3]
    daemon.start()
    assert run_canary(daemon, Control(daemon))["state"] == "ok"
    assert daemon.metric("healthy") == 1
    control.close()


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
