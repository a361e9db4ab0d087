# SPDX-License-Identifier: Apache-2.0
"""Another daemon takes over: what agents connect meanwhile waits for it, and what was connected is finished."""
import hashlib
import json
import os
import signal
import socket
import subprocess
import time

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import manager as managers
from harness import postgres
from harness.waiting import wait_for

RULES = [{"name": "all", "operations": ["*"], "allow": {}}]

# One connection after the other, until the end of input.
STREAM = """
import json, psycopg2, select, sys
port, done, failed = sys.argv[1], 0, []
print("begun", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        c = psycopg2.connect(host="127.0.0.1", port=port, user="app", dbname="postgres", connect_timeout=60)
        cursor = c.cursor()
        cursor.execute("select 1")
        assert cursor.fetchone() == (1,)
        c.close()
        done += 1
    except Exception as e:
        failed.append(str(e))
print(json.dumps([done, failed[:3]]), flush=True)
"""

# Says when it has begun, and what came of it.
LONG = """
import psycopg2, sys
c = psycopg2.connect(host="127.0.0.1", port=sys.argv[1], user="app", dbname="postgres")
print("begun", flush=True)
cursor = c.cursor()
try:
    cursor.execute("select 'finished' from pg_sleep(%s)" % sys.argv[2])
    print(cursor.fetchone()[0], flush=True)
except psycopg2.Error as e:
    print("ended:", e, flush=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = postgres.Server(tmp_path_factory.mktemp("handover"))
    s.sql("create role app login")
    yield s
    s.stop()


@pytest.fixture
def managed(server, tmp_path, monkeypatch):
    """A daemon under a manager."""
    os.chmod(tmp_path, 0o755)
    manager = managers.Manager(tmp_path)
    for name, value in manager.environment.items():
        monkeypatch.setenv(name, value)
    config = make_config(server.port, workers=2)
    config["resources"].append({"name": "local", "protocol": "postgres", "hosts": ["127.0.0.1:1"],
                                "upstream": {"unix": str(server.data / f".s.PGSQL.{server.port}")}})
    d = daemons.Daemon(tmp_path / "daemon", config, RULES, check=False, wrapper=manager.wrapper)
    d.start()
    yield d, manager
    d.close()
    manager.close()


def begin(d, script, *arguments):
    process = d.popen("/usr/bin/python3", "-c", script, *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process




def test_no_connection_is_lost(managed, server):
    d, manager = managed
    streams = [begin(d, STREAM, server.port) for _ in range(4)]
    first = d.process.pid
    for _ in range(2):
        d.stop()
        assert {name for name, _ in manager.kept} >= {"listener-v4", "listener-v6"}
        d.start()
    assert d.process.pid != first
    before = d.status()["sessions_total"]
    wait_for(lambda: d.status()["sessions_total"] >= before + 20, 30, "sessions with the new one")
    results = [json.loads(s.communicate("end\n", timeout=60)[0]) for s in streams]
    assert [failed for _, failed in results] == [[]] * len(streams)
    assert all(done > 5 for done, _ in results)
    assert {state.get("READY") for state in manager.states} >= {"1"} and {"STOPPING": "1"} in manager.states


def test_what_was_connected_is_finished(managed, server):
    d, _ = managed
    process = begin(d, LONG, server.port, 2)
    d.stop()
    assert process.communicate(timeout=30)[0] == "finished\n"
    d.start()
    sessions = d.json("sessions", "list")
    assert sessions[0]["end"] and sessions[0]["denied"] == 0
    assert d.wayleave("audit", "verify").returncode == 0


def test_what_waits_for_people_can_be_decided_until_the_end(managed, server):
    """What nobody decides by then is cancelled, which the agent is told, and who looks at it later."""
    d, manager = managed
    server.sql("create table kept (id int); insert into kept values (1), (2); grant all on kept to app")
    d.config["reviewers"] = {"root": {"local_users": ["root"]}}
    d.write_config()
    d.write_rules([{"name": "reads", "operations": ["read", "select"], "allow": {}},
                   {"name": "deletes", "operations": ["delete"], "review": {"by": "root"}}])
    d.reload()
    processes = [d.popen("psql", "-X", "-v", "VERBOSITY=verbose", f"host=127.0.0.1 port={server.port} user=app dbname=postgres",
                         "-c", f"delete from kept where id = {i}", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in (1, 2)]
    reviews = wait_for(lambda: len(found := d.json("reviews", "list")) == 2 and found)
    first, second = sorted(reviews, key=lambda r: r["text"])
    d.process.send_signal(signal.SIGTERM)
    wait_for(lambda: {"STOPPING": "1"} in manager.states)
    assert d.wayleave("reviews", "approve", first["id"]).returncode == 0
    assert processes[0].communicate(timeout=15)[0] == "DELETE 1\n"
    d.stop()  # the second signal
    out, said = processes[1].communicate(timeout=15)
    assert out == "" and "FATAL:  57P01: wayleave: wayleave is stopping\n" in said, said
    d.start()
    states = {r["id"]: (r["state"], r["reason"]) for r in d.json("reviews", "list")}
    assert states == {first["id"]: ("approved", None), second["id"]: ("cancelled", "Wayleave stopped")}
    assert server.sql("select id from kept") == "2"


def test_but_not_for_ever(managed, server):
    d, _ = managed
    process = begin(d, LONG, server.port, 600)
    d.stop()
    assert "ended:" in process.communicate(timeout=30)[0]
    d.start()


def begin_alone(d, server, host="127.0.0.1"):
    """Without `wayleave run`, which needs a daemon."""
    procs = daemons.cgroup_root() / d.config["agents"][0]["cgroup"] / "cgroup.procs"
    script = LONG.replace('print("begun", flush=True)', "").replace("127.0.0.1", str(host))
    return subprocess.Popen(["/usr/bin/python3", "-c", script, str(server.port), "0"], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, text=True, preexec_fn=lambda: procs.write_text("0"))


def waiting(port):
    """Connections to the port that nobody has accepted: they have no process."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}").readlines()[1:]]
    return [line for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01" and line[9] == "0"]


def test_who_connects_to_a_killed_daemon_waits(managed, server):
    """What it had in its hands is lost with it, but nobody is turned away."""
    d, _ = managed
    port = d.status()["port"]
    d.kill()
    process = begin_alone(d, server)
    deadline = time.monotonic() + 30
    while not waiting(port):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    d.start()
    assert process.communicate(timeout=60)[0] == "finished\n"


def test_who_dials_a_servers_own_socket_waits_too(managed, server):
    d, _ = managed
    if not d.status()["unix_sockets"]:
        pytest.skip("this kernel can't turn Unix sockets (6.7)")
    worker = str(d.runtime / "servers" / "worker.sock")

    def sockets():
        return [line for line in open("/proc/net/unix") if worker in line]
    d.kill()
    assert len(sockets()) == 1  # the manager's
    process = begin_alone(d, server, server.data)
    deadline = time.monotonic() + 30
    while len(sockets()) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    d.start()
    assert process.communicate(timeout=60)[0] == "finished\n"
    assert d.json("sessions", "list")[0]["resource"] == "local"


def test_another_socket_in_the_place_of_the_workers(managed, server):
    """What the manager has is nobody's any more: the daemon makes a new one."""
    d, _ = managed
    if not d.status()["unix_sockets"]:
        pytest.skip("this kernel can't turn Unix sockets (6.7)")
    d.kill()
    place = d.runtime / "servers" / "worker.sock"
    place.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place))
        other.listen()
        d.start()
        process = begin_alone(d, server, server.data)
        assert process.communicate(timeout=60)[0] == "finished\n"


def test_sockets_that_are_not_the_daemons_are_not_taken(managed, server):
    """Another number of workers, and a socket that was not made for them."""
    d, manager = managed
    d.stop()
    d.config["workers"] = 1
    d.write_config()
    d.start()
    assert "the sockets of the daemon before are others" in d.text()
    wait_for(lambda: [name for name, _ in manager.kept].count("listener-v4") == 1)
    assert d.run("psql", "-XAtq", f"host=127.0.0.1 port={server.port} user=app dbname=postgres", "-c", "select 1").stdout == "1\n"


def test_sockets_of_a_cgroup_that_is_gone(managed, server):
    """No program would tell whose connections come there; nor when another daemon made the cgroup again, and ended early."""
    d, manager = managed
    d.stop()
    instance = "i" + hashlib.sha256(str(d.state).encode()).hexdigest()[:8]
    workers = daemons.cgroup_root() / f"wayleave_{instance}" / "workers"
    workers.rmdir()
    in_the_way = d.runtime / "control.sock"
    in_the_way.mkdir(parents=True)
    d.start(wait=False)
    assert d.process.wait(30) != 0 and "control.sock" in d.text()
    assert workers.is_dir() and "listener-v4" in {name for name, _ in manager.kept}
    in_the_way.rmdir()
    d.start()
    assert d.run("psql", "-XAtq", f"host=127.0.0.1 port={server.port} user=app dbname=postgres", "-c", "select 1").stdout == "1\n"


def test_sockets_that_are_not_taken_do_not_keep_the_port(managed, server):
    d, manager = managed
    port = d.status()["port"]
    d.stop()
    d.config.update(workers=1, listen_port=port)
    d.write_config()
    d.start()
    assert d.status()["port"] == port and {"BARRIER": "1"} in manager.states
    wait_for(lambda: [name for name, _ in manager.kept].count("listener-v4") == 1)
    assert d.run("psql", "-XAtq", f"host=127.0.0.1 port={server.port} user=app dbname=postgres", "-c", "select 1").stdout == "1\n"
