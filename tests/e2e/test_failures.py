# SPDX-License-Identifier: Apache-2.0
"""What happens when something breaks: nothing passes unjudged or unrecorded, the agent is told, and it works again afterwards."""
import json
import os
import pathlib
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest
from conftest import RULES, Psql, make_config
from harness.records import assert_verified, audit, recorded_texts
from harness.shell import Shell
from harness.waiting import wait_for


def url(server, database="shop", host="127.0.0.1", user="app"):
    return f"host={host} port={server.port} dbname={database} user={user}"


@pytest.fixture
def daemon(server, make_daemon):
    return make_daemon(make_config(server.port, workers=2), RULES)


@pytest.fixture
def shells(daemon, server):
    """Starts psql sessions that stay."""
    made = []

    def start(**options):
        made.append(Shell(daemon, url(server), **options))
        return made[-1]

    yield start
    for shell in made:
        shell.close()


def worker_of(daemon, shell_count):
    """Pids of workers that have sessions, by how many."""
    return {w["pid"]: w["sessions"] for w in daemon.status()["workers"]}


def spread(daemon, shells):
    """Two shells at different workers, each with its worker's pid."""
    found = {}
    for _ in range(20):
        before = {w["pid"]: w["sessions"] for w in daemon.status()["workers"]}
        shell = shells()
        assert shell.ask("select 1") == "1"
        mine = wait_for(lambda: [w["pid"] for w in daemon.status()["workers"] if w["sessions"] > before[w["pid"]]], what="a session")
        found.setdefault(mine[0], shell)
        if len(found) == 2:
            return found
    raise AssertionError("all sessions came to one worker")


def listeners(port):
    """Inodes of the listening sockets of that port."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            if int(words[1].rsplit(":", 1)[1], 16) == port and words[3] == "0A":
                inodes.add(words[9])
    return inodes


# --- processes that are killed

def test_a_killed_worker_is_started_again_and_the_others_go_on(daemon, server, shells):
    found = spread(daemon, shells)
    victim, survivor = found
    sockets = listeners(daemon.status()["port"])
    assert sockets
    os.kill(victim, signal.SIGKILL)
    broken = found[victim].ask("select 2")
    assert "server closed the connection unexpectedly" in broken or "Connection reset" in broken, broken
    assert found[survivor].ask("select 3") == "3"
    workers = wait_for(lambda: [w for w in daemon.status()["workers"] if w["pid"] and w["ready"]] if
                       len([w for w in daemon.status()["workers"] if w["ready"]]) == 2 else None, what="a new worker")
    assert victim not in [w["pid"] for w in workers] and survivor in [w["pid"] for w in workers]
    assert listeners(daemon.status()["port"]) == sockets, "the listening sockets are the same, nobody could take their place"
    for _ in range(8):
        assert Psql(daemon, server).rows("select 4") == ["4"]
    assert found[survivor].ask("select 5") == "5"
    deaths = [r for r in audit(daemon) if r.get("event") == "worker_died" or "signal 9" in str(r.get("detail"))]
    assert deaths, [r for r in audit(daemon) if r["record"] == "host"]
    assert "killed by signal 9" in daemon.text()
    assert_verified(daemon)


def test_the_sessions_of_a_killed_worker_are_shown_as_such(daemon, server, shells):
    shell = shells()
    assert shell.ask("select 'before'") == "before"
    victim = wait_for(lambda: [w["pid"] for w in daemon.status()["workers"] if w["sessions"]], what="a session")[0]
    os.kill(victim, signal.SIGKILL)
    wait_for(lambda: victim not in daemon.workers(), what="the death")
    session = wait_for(lambda: [s for s in daemon.json("sessions", "list") if s["state"] == "abnormal"], what="an abnormal session")[0]
    texts = [r.get("text") for r in daemon.json("sessions", "show", session["id"])["records"] if r["record"] == "action"]
    assert "select 'before';" in texts
    assert "abnormal" in daemon.wayleave("sessions", "list").stdout


def test_no_statement_reaches_the_server_unrecorded_when_workers_are_killed(daemon, server):
    """Statements are sent at full speed while workers die; whatever the server saw is in the recordings."""
    stop, killed, before = threading.Event(), set(), len(server.executed())

    def work(name):
        i = 0
        while not stop.is_set():
            lines = "".join(f"select 'k-{name}-{i + k}';\n" for k in range(200))
            i += 200
            daemon.run("psql", "-X", "-A", "-t", "-q", url(server), input=lines)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    try:
        for _ in range(4):
            time.sleep(0.7)
            for pid in [w["pid"] for w in daemon.status()["workers"] if w["pid"]][:1]:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert len(killed) > 1
    wait_for(lambda: all(w["ready"] for w in daemon.status()["workers"]), timeout=40, what="all workers")
    seen = {line.split("'")[1] for line in server.executed()[before:].splitlines() if "select 'k-" in line}
    assert len(seen) > 200
    recorded = {t.split("'")[1] for t in recorded_texts(daemon) if t.startswith("select 'k-")}
    assert seen <= recorded, sorted(seen - recorded)[:5]
    assert_verified(daemon)


def test_without_the_monitor_the_agent_reaches_nothing_until_a_new_one_is_there(daemon, server, shells):
    shell = shells()
    assert shell.ask("select 'early'") == "early"
    workers = daemon.workers()
    daemon.kill()
    wait_for(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in workers), what="the workers' end")
    assert "closed the connection" in shell.ask("select 1") or "reset" in shell.text
    # The launcher needs the daemon; an agent's process that is there already tries for itself.
    done = daemon.run("psql", "-X", url(server), "-c", "select 1")
    assert done.returncode == 125 and "no daemon at" in done.stderr, done.stderr
    daemon.start()
    assert Psql(daemon, server).rows("select 6") == ["6"]
    session = [s for s in daemon.json("sessions", "list") if s["state"] == "abnormal"]
    assert len(session) == 1
    assert_verified(daemon)


DIAL = """
import socket, sys, time
for line in sys.stdin:
    try:
        s = socket.create_connection(("127.0.0.1", %d), timeout=5)
        s.sendall(bytes.fromhex("0000000804d2162f"))
        print("got", s.recv(1), flush=True)
    except OSError as e:
        print("failed", type(e).__name__, e, flush=True)
"""


def test_an_agent_that_outlives_the_monitor_is_cut_off_and_then_served_again(daemon, server):
    agent = daemon.popen("/usr/bin/python3", "-c", DIAL % server.port, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def dial():
        agent.stdin.write("\n")
        return agent.stdout.readline()

    assert dial() == "got b'N'\n"
    daemon.kill()
    assert dial().startswith("failed")
    executed = server.executed().count("connection")
    assert dial().startswith("failed")
    assert server.executed().count("connection") == executed
    daemon.start()
    assert dial() == "got b'N'\n"
    agent.stdin.close()
    agent.wait(10)


def test_a_clean_end_tells_the_agents_and_closes_the_records(daemon, server, shells):
    shell = shells()
    assert shell.ask("select 1") == "1"
    started = time.monotonic()
    process = daemon.process
    daemon.stop()
    assert process.returncode == 0 and time.monotonic() - started < 8
    assert "wayleave is stopping" in shell.ask("select 1")
    sessions = daemon.json("sessions", "list", "--state-dir", daemon.state)
    assert [s["state"] for s in sessions] == ["ended"] and sessions[0]["reason"] == "shutdown"
    done = daemon.wayleave("audit", "verify", "--recordings", "--state-dir", daemon.state)
    assert done.returncode == 0 and "without an orderly end" not in done.stdout + done.stderr, done.stdout + done.stderr


# --- reloading

def test_a_new_policy_is_in_force_for_the_next_statement_of_a_session(daemon, server, shells):
    shell = shells()
    assert shell.ask("select ssn from customers where id = 1") == "[masked]"
    rules = json.loads(json.dumps(RULES))
    rules[0]["allow"] = {}
    daemon.write_rules(rules)
    daemon.reload()
    assert shell.ask("select ssn from customers where id = 1") == "101-45-6789"
    daemon.write_rules([r for r in rules if r["name"] != "read"])
    daemon.wait_for("is in force", count=2)
    assert "no rule allows select on public.customers" in shell.ask("select ssn from customers where id = 1")
    assert shell.ask("begin; rollback; select 1").endswith("no rule allows select")


def test_a_broken_policy_keeps_the_old_one_and_says_so(daemon, server, shells):
    shell = shells()
    assert shell.ask("select 1") == "1"
    good = daemon.policy_file.read_text()
    daemon.policy_file.write_text("rules:\n- name: x\n  operatons: [read]\n  allow: {}\n")
    daemon.wait_for("the configuration in force stays")
    assert "policy.yaml:3: " in daemon.text() and "operatons" in daemon.text()
    assert "errors in" in daemon.status()["reload_problem"]
    assert "PROBLEM: the newest configuration is not in force" in daemon.wayleave("status").stdout
    assert shell.ask("select ssn from customers where id = 1") == "[masked]"
    assert any(r["record"] == "host" and "errors in" in str(r.get("detail")) for r in audit(daemon))
    daemon.policy_file.write_text(good)
    daemon.wait_for("is in force")
    assert "reload_problem" not in daemon.status()


def test_files_are_in_force_together_or_not_at_all(daemon, shells):
    """A good policy beside a broken configuration: neither holds, until both are good."""
    shell = shells()
    assert shell.ask("select ssn from customers where id = 1") == "[masked]"
    good = daemon.config_file.read_text()
    daemon.config_file.write_text(good + "\nworkres: 1\n")
    daemon.wait_for("the configuration in force stays")
    daemon.write_rules([r for r in RULES if r["name"] != "read"])
    daemon.wait_for("the configuration in force stays", count=2)
    assert shell.ask("select ssn from customers where id = 1") == "[masked]"
    daemon.config_file.write_text(good)
    daemon.wait_for("is in force")
    assert "no rule allows select on public.customers" in shell.ask("select ssn from customers where id = 1")


def test_a_resource_that_goes_ends_its_sessions(daemon, server, shells):
    shell = shells()
    assert shell.ask("select 1") == "1"
    daemon.config["resources"][0]["hosts"] = ["127.0.0.1:1"]
    daemon.write_config()
    daemon.wait_for("is in force")
    assert "wayleave: the resource is no longer configured" in shell.ask("select 1")


# --- descriptors

MANY = """
import socket, struct, sys
body = struct.pack("!HH", 3, 0) + b"user\\0app\\0database\\0shop\\0\\0"
kept, answered = [], 0
for _ in range(%d):
    s = socket.create_connection(("127.0.0.1", %d), timeout=1.5)
    kept.append(s)
    try:
        s.sendall(struct.pack("!I", len(body) + 4) + body)
        answered += b"Z" in s.recv(4096)
    except OSError:
        break
print(answered, flush=True)
sys.stdin.readline()
"""


def test_a_worker_without_memory_dies_alone(daemon, server, shells):
    """What it can't keep it does not judge; who is at another worker goes on, and its end is in the audit log."""
    found = spread(daemon, shells)
    victim, survivor = found
    # Without CAP_SYS_RESOURCE nobody but its own user may do that.
    ids = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{victim}/status").read_text().splitlines())
    subprocess.run(["setpriv", "--reuid", ids["Uid"].split()[0], "--regid", ids["Gid"].split()[0], "--clear-groups",
                    "prlimit", "--pid", str(victim), "--as=1:"], check=True)
    text = f"select length('{'x' * (3 << 20)}')"
    broken = found[victim].ask(text)
    assert "server closed the connection unexpectedly" in broken or "Connection reset" in broken, broken[-500:]
    assert found[survivor].ask("select 3") == "3"
    wait_for(lambda: len([w for w in daemon.status()["workers"] if w["ready"] and w["pid"] != victim]) == 2, what="a new worker")
    # The limit was that process's.
    assert Psql(daemon, server).rows("select 4") == ["4"]
    assert "out of memory" in daemon.text()
    assert [r for r in audit(daemon) if r["record"] == "host" and "signal 6" in str(r.get("detail"))]
    assert_verified(daemon)


def cpu_ticks(pid):
    words = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(words[11]) + int(words[12])


def test_a_worker_without_descriptors_recovers(server, make_daemon):
    """Accepting stops while there are none; nothing spins, nothing dies, who is connected goes on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    d = make_daemon(make_config(server.port, workers=1), RULES, check=False)
    resource.setrlimit(resource.RLIMIT_NOFILE, (220, hard))
    try:
        d.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    before = d.workers()
    first = Shell(d, url(server))
    assert first.ask("select 1") == "1"
    many = d.popen("/usr/bin/python3", "-c", MANY % (200, server.port), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    answered = int(many.stdout.readline())
    assert 20 < answered < 120
    assert first.ask("select 2") == "2"
    ticks = cpu_ticks(before[0])
    time.sleep(1)
    assert cpu_ticks(before[0]) - ticks < 30, "the worker spins"
    many.communicate("\n", timeout=10)
    wait_for(lambda: Psql(d, server)("select 1").stdout == "1\n", what="recovery")
    assert d.workers() == before
    first.close()


def test_a_monitor_without_descriptors_says_so_and_recovers(server, make_daemon):
    """Workers go on with their sessions, clients are answered one after the other, nothing spins; a review that can't be opened is an
    error that says why."""
    config = make_config(server.port, workers=1)
    config["reviewers"] = {"dba": {"local_users": ["root"]}}
    d = make_daemon(config, [*RULES, {"name": "ask", "operations": ["delete"], "review": {"by": "dba", "within": "1m"}}])
    shell = Shell(d, url(server))
    assert shell.ask("select 1") == "1"
    monitor, workers = d.process.pid, d.workers()
    limits = resource.prlimit(monitor, resource.RLIMIT_NOFILE)
    # What it keeps for clients are its lowest numbers; whatever else it would open fails.
    resource.prlimit(monitor, resource.RLIMIT_NOFILE, (7, limits[1]))
    idle = []
    try:
        refused = shell.ask("delete from orders where false")
        assert "the daemon has no room for the question: Too many open files" in refused, refused
        assert d.workers() == workers
        for _ in range(20):
            idle.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            idle[-1].connect(str(d.socket))
        time.sleep(0.2)
        ticks = cpu_ticks(monitor)
        time.sleep(1)
        assert cpu_ticks(monitor) - ticks < 30, "the monitor spins"
        assert "who connects to the control socket has to wait: Too many open files" in d.text()
        assert shell.ask("select 2") == "2"
    finally:
        for one in idle:
            one.close()
        resource.prlimit(monitor, resource.RLIMIT_NOFILE, limits)
    assert wait_for(lambda: d.workers() == workers, what="an answer")
    answered = []
    asking = threading.Thread(target=lambda: answered.append(shell.ask("delete from orders where false")))
    asking.start()
    review = wait_for(lambda: d.json("reviews", "list"), what="a review")[0]
    assert d.wayleave("reviews", "approve", review["id"]).returncode == 0
    asking.join(20)
    assert answered and "ERROR" not in answered[0], answered
    shell.close()


# --- the server

def connection_error(daemon, port, host="127.0.0.1", sslmode="disable", **options):
    started = time.monotonic()
    done = daemon.run("psql", "-X", f"host={host} port={port} dbname=shop user=app sslmode={sslmode}", "-c", "select 1", **options)
    assert done.returncode == 2, done.stdout
    return done.stderr, time.monotonic() - started


def test_a_server_that_refuses(make_daemon):
    d = make_daemon(make_config(1), RULES)
    for sslmode in ("disable", "require"):
        text, _ = connection_error(d, 1, sslmode=sslmode)
        assert "FATAL:  wayleave: cannot reach 127.0.0.1:1: Connection refused" in text, sslmode


def test_a_server_that_accepts_and_says_nothing(make_daemon):
    """The server's silence is the server's: the agent can give up whenever it likes, and nothing of it is left behind."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        d = make_daemon(make_config(port), RULES)
        done = d.run("psql", "-X", f"host=127.0.0.1 port={port} dbname=shop user=app connect_timeout=2", "-c", "select 1")
        assert done.returncode == 2 and "timeout expired" in done.stderr
        wait_for(lambda: d.status()["sessions"] == 0, what="the session's end")


def test_a_server_that_hangs_up_during_the_login(make_daemon):
    with socket.create_server(("127.0.0.1", 0)) as s:
        def serve():
            while True:
                c, _ = s.accept()
                c.recv(1000)
                c.close()
        threading.Thread(target=serve, daemon=True).start()
        d = make_daemon(make_config(s.getsockname()[1]), RULES)
        text, _ = connection_error(d, s.getsockname()[1])
        assert "wayleave: the server closed the connection" in text


def test_a_server_that_does_not_answer_at_all(make_daemon):
    """A listener whose queue is full: SYNs are dropped."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(0)
        port = s.getsockname()[1]
        fill = []
        for _ in range(4):
            c = socket.socket()
            c.setblocking(False)
            c.connect_ex(("127.0.0.1", port))
            fill.append(c)
        d = make_daemon(make_config(port), RULES)
        text, took = connection_error(d, port)
        assert f"cannot reach 127.0.0.1:{port}: timed out" in text and 8 < took < 20, (text, took)
        for c in fill:
            c.close()


def test_a_name_that_is_not_resolved_is_nobodys_resource(server, make_daemon):
    config = make_config(server.port)
    config["resources"].append({"name": "elsewhere", "protocol": "postgres", "hosts": ["no-such-host.invalid:5432"]})
    d = make_daemon(config, RULES)
    assert Psql(d, server).rows("select 1") == ["1"]
    d.wait_for("no-such-host.invalid can't be resolved: ")
    started = time.monotonic()
    d.stop()
    assert time.monotonic() - started < 8


def test_a_server_that_ends_a_session_says_why(daemon, server, shells):
    shell = shells()
    pid = shell.ask("select pg_backend_pid()")
    server.sql(f"select pg_terminate_backend({pid})")
    text = shell.ask("select 1")
    assert "terminating connection due to administrator command" in text
    session = wait_for(lambda: [s for s in daemon.json("sessions", "list") if s["state"] == "ended"], what="the end")[0]
    assert session["reason"] in ("upstream_closed", "none")


def test_an_agent_that_vanishes_leaves_no_query_behind(server, make_daemon):
    """As without us, the server learns of it by the closed connection, where it was told to look for that."""
    rules = [{"name": "all", "operations": ["*"], "allow": {}}]
    d = make_daemon(make_config(server.port), rules)
    shell = Shell(d, url(server))
    pid = shell.ask("select pg_backend_pid()")
    assert shell.ask("set client_connection_check_interval = '200ms'") == ""
    shell.send("select count(*) from generate_series(1, 1000000000000);")
    wait_for(lambda: server.sql(f"select state from pg_stat_activity where pid = {pid}") == "active", what="the query")
    time.sleep(0.3)
    shell.process.kill()
    shell.close()
    wait_for(lambda: server.sql(f"select count(*) from pg_stat_activity where pid = {pid}") == "0", timeout=8, what="the query's end")
    wait_for(lambda: d.status()["sessions"] == 0, what="the session's end")
