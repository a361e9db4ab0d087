# SPDX-License-Identifier: Apache-2.0
"""Cgroups of agents that appear while the daemon runs, or while it doesn't: governed before anybody in them can connect."""
import os
import resource
import shutil
import signal
import time

import pytest
from conftest import BUILD, CGROUPS, LAYOUT, SERVER4, SERVER_PORT, Agent, sh, wait_until
from test_closed import socket_in

EVENTS = 256 * 1024 // 16  # of a new cgroup, in the ring (bpf/maps.h), each with the kernel's own 8 bytes

ATTEMPT = f"""
s = None
for i in range(1000):
    # What a unit's first process would do, again and again from the first moment on.
    try:
        s = socket.socket()
        break
    except OSError as e:
        refused = e.errno
        time.sleep(0.01)
if s is None:
    result = [0, errno.errorcode[refused]]
else:
    s.settimeout(5)
    s.connect(("{SERVER4}", {SERVER_PORT}))
    s.send(b"ping")
    result = [i, s.recv(100).decode()]
"""
ONCE = """
try:
    socket.socket()
    result = "made"
except OSError as e:
    result = errno.errorcode[e.errno]
"""
DATAGRAM = f"""
try:
    socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ({SERVER4!r}, 123))
    result = "left"
except OSError as e:
    result = errno.errorcode[e.errno]
"""


def made(host, path, name="a"):
    """A cgroup that somebody else makes, as systemd does for a unit."""
    agent = Agent(host.network, name, path)
    agent.path.mkdir(parents=True)
    return agent


def wild(host, pattern, name="a"):
    return {"name": name, "cgroup": f"{host.name}/{pattern}"}


def test_removed_and_made_again(host):
    """As a unit's cgroup when it is restarted. Whatever reaches the world without us fails the test (conftest)."""
    daemon, agent = host.govern()
    for _ in range(5):
        agent.path.rmdir()
        made(host, agent.cgroup)
        tries, answer = agent.python(ATTEMPT)
        assert answer == "ping"
        assert daemon.session(SERVER4)["agent"] == "a"
    # The rules know the newest one too.
    daemon.pin(agent, "steer_connect4").unlink()
    assert agent.python("result = attempt('%s')" % SERVER4) == {"error": "ECONNREFUSED"}


def test_the_first_process_finds_it_governed(host):
    """A process that is born into it at once, while the daemon is kept from doing anything."""
    daemon, agent = host.govern()
    agent.path.rmdir()
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        made(host, agent.cgroup)
        assert agent.python(ONCE) == "ENETDOWN"
        inner = made(host, agent.cgroup + "/inner")
        assert inner.python(ONCE) == "ENETDOWN"
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    wait_until(lambda: agent.python(ONCE) == "made")
    assert inner.python(ATTEMPT)[1] == "ping"
    assert daemon.session(SERVER4)["agent"] == "a"


def test_while_events_find_no_room(host):
    """As many cgroups appear, while the daemon is kept from reading, as its ring of events has room for, and more: what nobody hears of is closed,
    is refused and counted as before, and is governed as soon as the daemon goes on."""
    inner, other = host.agent("inner"), host.agent("other")
    daemon = host.start(inner, other)
    inner.path.rmdir()
    foreign = socket_in(host, "127.0.0.1", 7000)
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        for _ in range(EVENTS + 100):
            inner.path.mkdir()
            inner.path.rmdir()
        inner.path.mkdir()
        assert inner.python(ONCE) == "ENETDOWN"
        assert other.python("result = [attempt('127.0.0.1', port=7000) for _ in range(3)]") == [{"error": "ECONNREFUSED"}] * 3
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
        foreign.kill()
        foreign.wait()
    wait_until(lambda: inner.python(ONCE) == "made")
    assert inner.python(ATTEMPT)[1] == "ping"
    assert daemon.session(SERVER4)["agent"] == "inner"
    counts = daemon.counts(other)
    assert (counts["loopback"], counts["event_lost"]) == (3, 3)


def test_while_no_daemon_runs(host):
    daemon, agent = host.govern()
    agent.path.rmdir()
    daemon.kill()
    made(host, agent.cgroup)
    assert agent.python(ONCE) == "ENETDOWN"
    daemon.start()
    assert agent.python(ATTEMPT) == [0, "ping"]
    assert daemon.session(SERVER4)["agent"] == "a"


def test_more_than_are_remembered(host, tmp_path):
    """While no daemon runs cgroups appear until there is no room for them: those behind are closed all the same."""
    daemon, agent = host.govern()
    agent.path.rmdir()
    daemon.kill()
    pinned = daemon.pins / LAYOUT / "maps/awaited"
    batch = tmp_path / "batch"
    # Of cgroups that are long gone.
    batch.write_text("".join(f"map update pinned {pinned} key hex {i & 255:02x} {i >> 8:02x} ff ff ff 7f 00 00 value hex 01 00 00 00\n"
                             for i in range(16384)))
    sh(shutil.which("bpftool") or "/usr/sbin/bpftool", "batch", "file", str(batch))
    made(host, agent.cgroup)
    assert agent.python(ONCE) == "ENETDOWN"
    # Others of the host have nothing of it.
    other = made(host, f"{host.name}/other.service")
    assert other.python(ONCE) == "made"
    daemon.start()
    assert agent.python(ATTEMPT)[1] == "ping"
    assert daemon.session(SERVER4)["agent"] == "a"


def test_wildcards(host):
    early = made(host, f"{host.name}/job-1.service")
    daemon = host.start(wild(host, "job-*.service"))
    later = made(host, f"{host.name}/job-two.service")
    below = made(host, f"{host.name}/job-1.service/worker")
    for agent in (early, later, below):
        assert agent.python(ATTEMPT)[1] == "ping"
        assert daemon.session(SERVER4)["agent"] == "a"
    other = made(host, f"{host.name}/other.service")
    assert other.python(ONCE) == "made"
    assert other.python("result = attempt('127.0.0.1', port=1)") == {"error": "ECONNREFUSED"}
    assert daemon.counts(early)["redirected"] == 3
    # Nothing of a removed one stays.
    links = daemon.pins / LAYOUT / "links"
    assert len(list(links.glob("*-*"))) == 2
    later.path.rmdir()
    third = made(host, f"{host.name}/job-3.service")
    assert third.python(ATTEMPT)[1] == "ping"
    assert len(list(links.glob("*-*"))) == 2


def test_what_can_not_be_looked_at_is_not_taken_for_gone(host):
    """A daemon without a descriptor left lets nobody go, neither whom it governs nor whom it is to."""
    daemon = host.start({**wild(host, "job-*"), "udp": "deny"})
    running = made(host, f"{host.name}/job-1")
    wait_until(lambda: running.python(ONCE) == "made")
    limits = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    # What it keeps for clients are its lowest numbers.
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (7, limits[1]))
    try:
        new = made(host, f"{host.name}/job-2")
        wait_until(lambda: "a cgroup that is new" in daemon.text())
        assert new.python(ONCE) == "ENETDOWN"
    finally:
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, limits)
    wait_until(lambda: new.python(ONCE) == "made")
    for agent in (running, new):
        assert agent.python(DATAGRAM) == "EPERM"
        assert agent.python(ATTEMPT)[1] == "ping"
        assert daemon.session(SERVER4)["agent"] == "a"


def test_a_path_that_is_too_long_keeps_nobody_out(host):
    """Whoever may make cgroups of their own makes them as deep as they like, and connections in them."""
    deep = Agent(host.network, "deep", "/".join([host.name, "others", *5 * ["d" * 250]]))
    deep.path.mkdir(parents=True)
    wait_until(lambda: deep.python(ONCE) == "made")  # other daemons of this host look at it, too
    talking = deep.start("""
        listener = socket.create_server(("127.0.0.1", 0))
        pair = socket.create_connection(listener.getsockname()), listener.accept()[0]
        print("ready", flush=True)
        sys.stdin.readline()
        pair[0].send(b"still there")
        result = pair[1].recv(100).decode()
    """)
    assert talking.stdout.readline() == "ready\n"
    before = made(host, f"{host.name}/job-1")
    daemon = host.start(wild(host, "job-*"))
    for agent in (before, made(host, f"{host.name}/job-2")):
        assert agent.python(ATTEMPT)[1] == "ping"
        assert daemon.session(SERVER4)["agent"] == "a"
    assert '"still there"' in talking.communicate("\n", timeout=20)[0]


def test_wildcards_over_a_restart(host):
    daemon = host.start(wild(host, "*/job-*"))
    first = made(host, f"{host.name}/x/job-1")
    assert first.python(ATTEMPT)[1] == "ping"
    daemon.kill()
    second = made(host, f"{host.name}/y/job-2")
    assert first.python("result = attempt('%s')" % SERVER4) == {"error": "ECONNREFUSED"}
    assert second.python(ONCE) == "ENETDOWN"
    daemon.start()
    for agent in (first, second):
        assert agent.python(ATTEMPT)[1] == "ping"
        assert daemon.session(SERVER4)["agent"] == "a"


def test_what_is_not_an_agents_any_more(host):
    daemon = host.start(wild(host, "job-*"))
    agent = made(host, f"{host.name}/job-1")
    assert agent.python(ATTEMPT)[1] == "ping"
    assert daemon.set_config(agents=[]) is None
    assert agent.python(ONCE) == "made"
    assert made(host, f"{host.name}/job-2").python(ONCE) == "made"
    assert not list((daemon.pins / LAYOUT / "links").glob("*-*"))


@pytest.mark.parametrize("first, second", [("job-*", "job-1"), ("*/a", "x/a/b"), ("a*b", "*ab"), ("*", "x/y")])
def test_agents_that_may_lie_in_one_another(host, first, second):
    daemon = host.start(wild(host, "zzz"))
    problem = daemon.set_config(agents=[wild(host, first), wild(host, second, "b")])
    assert daemon.set_config(agents=[wild(host, "zzz")]) is None
    assert problem and "lie in one another" in daemon.text()


def test_wayleave_run_needs_one_place(host):
    daemon = host.start(wild(host, "job-*"))
    done = daemon.run("true", agent="a")
    assert done.returncode == 125 and "wildcards" in done.stderr


def test_a_process_that_is_not_enrolled_yet_is_an_agents_to_the_control_socket(host):
    """B29, also before its cgroup has the hooks."""
    daemon = host.start(wild(host, "job-*"))
    agent = made(host, f"{host.name}/job-1")
    words = [str(BUILD / "bin/wayleave"), "--socket", str(daemon.socket), "sessions", "list"]
    process = agent.popen(*words)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 1 and "inside an agent" in err


def test_the_rest_of_the_host_makes_sockets_meanwhile(host):
    daemon, agent = host.govern()
    agent.path.rmdir()
    daemon.kill()
    made(host, agent.cgroup)
    outside = Agent(host.network, "none", f"{host.name}/ungoverned")
    outside.path.mkdir()
    assert outside.python(ONCE) == "made"
    started = time.monotonic()
    assert outside.python("for i in range(1000):\n    socket.socket().close()\nresult = 1") == 1
    assert time.monotonic() - started < 10
    daemon.start()


def test_nothing_of_it_stays(host):
    daemon = host.start(wild(host, "job-*"))
    agent = made(host, f"{host.name}/job-1")
    assert agent.python(ATTEMPT)[1] == "ping"
    daemon.kill()
    daemon.teardown()
    assert not daemon.pins.exists()
    assert made(host, f"{host.name}/job-2").python(ONCE) == "made"
    assert (CGROUPS / host.name / "job-1").exists()


def test_the_kernel_compares_as_we_do(host):
    """Names beside the paths that are meant; the daemon can do nothing about them meanwhile."""
    names = {"a1b2c": True, "abc": True, "aXcYc": False, "abbc": True, "ab": False, "xabc": False, "abcx": False, "acb.c": True,
             "a" + "b" * 200 + "c": True, "a" + "bc" * 100 + "b": False, "abab" * 20 + "c": True}
    daemon = host.start(wild(host, "in-*/a*b*c"))
    for folder in ("in-1", "out-1"):
        made(host, f"{host.name}/{folder}")
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        for name, meant in names.items():
            assert made(host, f"{host.name}/in-1/{name}").python(ONCE) == ("ENETDOWN" if meant else "made"), name
        assert made(host, f"{host.name}/out-1/abc").python(ONCE) == "made"
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    for name in names:
        wait_until(lambda: Agent(host.network, "a", f"{host.name}/in-1/{name}").python(ONCE) == "made")
