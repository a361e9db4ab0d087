# SPDX-License-Identifier: Apache-2.0
"""Servers that listen on a Unix socket and know their clients by their user: reached at a place that a resource
names, and by the socket's own path."""
import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import postgres
from harness.waiting import wait_for

PLACE = "127.0.0.1:5999"  # nobody listens there: the resource leads to the socket
RULES = [{"name": "all", "operations": ["*"], "allow": {}},
         {"name": "no schema changes", "operations": ["ddl"], "deny": {"message": "use migrations"}}]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unix")
    postgres.open_way(folder)
    sockets = folder / "sockets"
    sockets.mkdir()
    os.chmod(sockets, 0o777)
    s = postgres.Server(folder / "server", hba=["local all all peer map=agents"],
                        settings=[f"unix_socket_directories = '{folder}/server/data,{sockets}'"])
    (s.data / "pg_ident.conf").write_text("agents nobody alice\nagents games bob\n")
    s.sql("select pg_reload_conf()")
    s.sql("create role alice login; create role bob login")
    yield s, sockets / f".s.PGSQL.{s.port}"
    s.stop()


@pytest.fixture(scope="module")
def daemon(local, tmp_path_factory):
    config = make_config(1)
    config["resources"] = [{"name": "local", "protocol": "postgres", "hosts": [PLACE], "upstream": {"unix": str(local[1])}}]
    d = daemons.Daemon(tmp_path_factory.mktemp("unixd"), config, RULES)
    yield d
    d.close()


def ask(daemon, user, role, statement="select current_user"):
    done = daemon.run("psql", "-X", "-A", "-t", "-q", f"host=127.0.0.1 port=5999 user={role} dbname=postgres", "-c", statement, user=user)
    return done.stdout.strip(), done.stderr


def test_the_server_sees_the_agents_own_user(daemon):
    assert ask(daemon, "nobody", "alice") == ("alice", "")
    assert ask(daemon, "games", "bob") == ("bob", "")


def test_another_users_role_is_refused_by_the_server(daemon):
    for user, role in [("nobody", "bob"), ("games", "alice"), (None, "alice")]:
        out, errors = ask(daemon, user, role)
        assert out == "" and f'Peer authentication failed for user "{role}"' in errors, errors


def test_recordings_name_the_socket(daemon, local):
    assert ask(daemon, "nobody", "alice") == ("alice", "")
    session = daemon.json("sessions", "list")[0]
    assert session["upstream"] == f"unix:{local[1]}" and session["address"] == PLACE


def test_a_socket_that_is_gone_is_named(local, make_daemon):
    config = make_config(1)
    config["resources"] = [{"name": "local", "protocol": "postgres", "hosts": [PLACE], "upstream": {"unix": str(local[1]) + ".gone"}}]
    d = make_daemon(config, RULES)
    out, errors = ask(d, "nobody", "alice")
    assert "wayleave: cannot reach unix:" in errors and "No such file or directory" in errors


def test_cancel_requests_take_the_same_way(daemon, local):
    server = local[0]
    script = """
import psycopg2, threading, time, sys
c = psycopg2.connect(host="127.0.0.1", port=5999, user="alice", dbname="postgres")
threading.Timer(1, c.cancel).start()
started = time.time()
try:
    c.cursor().execute("select pg_sleep(20)")
except psycopg2.Error as e:
    print(e.pgcode, time.time() - started < 10)
"""
    done = daemon.run("/usr/bin/python3", "-c", script, user="nobody")
    assert done.stdout.strip() == "57014 True", done.stderr


def dial(daemon, local, user="nobody", role="alice", statement="select current_user"):
    """By the socket's own path, as clients on the server's host do."""
    server, path = local
    done = daemon.run("psql", "-X", "-A", "-t", "-q", f"host={path.parent} port={server.port} user={role} dbname=postgres",
                      "-c", statement, user=user)
    return done.stdout.strip(), done.stderr


@pytest.fixture
def turned(daemon):
    if not daemon.status()["unix_sockets"]:
        pytest.skip("this kernel can't turn Unix sockets (6.7)")


def test_a_socket_that_is_dialled_by_its_path_is_the_resources(turned, daemon, local):
    assert dial(daemon, local) == ("alice", "")
    assert dial(daemon, local, user="games", role="bob") == ("bob", "")
    out, errors = dial(daemon, local, role="bob")
    assert out == "" and 'Peer authentication failed for user "bob"' in errors
    session = daemon.json("sessions", "list")[0]
    assert session["resource"] == "local" and session["address"] == f"unix:{local[1]}"


def test_what_is_said_there_is_judged(turned, daemon, local):
    out, errors = dial(daemon, local, statement="create table t (i int)")
    assert 'wayleave: denied by rule "no schema changes": use migrations' in errors
    assert local[0].sql("select count(*) from pg_class where relname = 't'").strip() == "0"


# A server of an agent's own making, at the path of a resource's that is not up; with "left", whoever listened is gone.
POSER = """
import os, select, socket, sys
path, how = sys.argv[1:]
s = socket.socket(socket.AF_UNIX)
if how == "left" and os.fork():
    os.wait()
else:
    s.bind(path)
    os.chmod(path, 0o777)
    s.listen()
    if how == "left":
        os._exit(0)
print("ready", flush=True)
ready = select.select([s, sys.stdin], [], [])[0]
if s in ready:
    c = s.accept()[0]
    c.settimeout(3)
    try:
        print("got", c.recv(99))
    except OSError:
        print("got a connection")
os.unlink(path)
"""


@pytest.mark.parametrize("how", ["there", "left"])
def test_an_agents_own_process_is_no_server(local, make_daemon, how):
    """It would get what a resource logs in with, and answer in its place."""
    path = local[1].parent / f"posed-{how}"
    config = make_config(1)
    config["resources"] = [{"name": "local", "protocol": "postgres", "hosts": [PLACE], "upstream": {"unix": str(path)}}]
    d = make_daemon(config, RULES)
    with d.popen("/usr/bin/python3", "-c", POSER, path, how, user="nobody", stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                 stderr=subprocess.PIPE, text=True) as poser:
        assert poser.stdout.readline() == "ready\n", poser.stderr.read()
        out, errors = ask(d, "nobody", "alice")
        assert out == "" and "wayleave: cannot reach unix:" in errors and "Permission denied" in errors, (out, errors)
        told, _ = poser.communicate("\n", timeout=20)
        assert told.strip() in ("", "got b''"), told
    assert "is no server, but process" in d.text()


PEER = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(s.getpeername())
"""


def test_the_client_does_not_see_it(turned, daemon, local):
    done = daemon.run("/usr/bin/python3", "-c", PEER, local[1], user="nobody")
    assert done.stdout.strip() == str(local[1]), done.stderr


# Sockets that change their peer while others ask for its name.
DATAGRAMS = """
import os, socket, sys, threading
place, end = sys.argv[1], threading.Event()
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

def ask():
    while not end.is_set():
        try:
            s.getsockname(), s.getpeername()
        except OSError:
            pass

asking = [threading.Thread(target=ask) for _ in range(2)]
for t in asking:
    t.start()
for i in range(500):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(f"{place}/{i}")
        s.connect(f"{place}/{i}")
        assert s.getpeername() == f"{place}/{i}"
    os.unlink(f"{place}/{i}")
end.set()
for t in asking:
    t.join()
print("done")
"""


def test_datagrams_are_left_alone(turned, daemon, tmp_path):
    os.chmod(tmp_path, 0o777)
    done = daemon.run("/usr/bin/python3", "-c", DATAGRAMS, tmp_path, user="nobody")
    assert done.stdout == "done\n", done.stderr


# What the server, or the worker, says to a request for TLS; else why there is no connection.
FORMS = """
import errno, json, os, socket, sys
path = sys.argv[1]
folder, name = os.path.split(path)
link = os.path.join(os.environ["SCRATCH"], "link-" + str(os.getpid()))
os.symlink(path, link)
os.symlink(folder, link + "-folder")
os.chdir("/")
said = {}
def dial(form, target, folder=None):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    try:
        if folder:
            os.chdir(folder)
        s.connect(target)
        s.sendall(bytes.fromhex("0000000804d2162f"))
        said[form] = s.recv(1).decode()
    except OSError as e:
        said[form] = errno.errorcode.get(e.errno, str(e))
    finally:
        os.chdir("/")
dial("path", path)
dial("link", link)
dial("linked folder", link + "-folder/" + name)
dial("relative", path[1:])
dial("name", name, folder)
dial("slashes", folder + "//" + name)
dial("dots", folder + "/./" + name)
dial("proc", f"/proc/self/root{path}")
os.unlink(link)
os.unlink(link + "-folder")
print(json.dumps(said))
"""


def outside_of_the_launcher(daemon, *command, **options):
    """In the agent's cgroup and nothing else: as a unit of systemd without the drop-in."""
    procs = daemons.cgroup_root() / daemon.config["agents"][0]["cgroup"] / "cgroup.procs"
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=30,
                          preexec_fn=lambda: procs.write_text("0"), **options)


def forms(run, local, tmp_path):
    done = run("/usr/bin/python3", "-c", FORMS, local[1], env={**os.environ, "SCRATCH": str(tmp_path)})
    said = json.loads(done.stdout or "{}")
    assert said.pop("path", done.stderr) in ("N", "S")
    return said


def test_other_ways_to_write_the_path_lead_nowhere(turned, daemon, local, tmp_path):
    assert set(forms(daemon.run, local, tmp_path).values()) == {"ECONNREFUSED"}


def test_the_workers_own_socket_is_no_relay(turned, daemon, local):
    """Without an origin nothing is said, to agents that were not turned there and to others."""
    worker = daemon.runtime / "servers" / "worker.sock"
    script = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(bytes.fromhex("0000000804d2162f"))
    print(s.recv(1))
except ConnectionError as e:
    print(b"")
"""
    for done in (daemon.run("/usr/bin/python3", "-c", script, worker, user="nobody"),
                 subprocess.run([sys.executable, "-c", script, worker], capture_output=True, text=True)):
        assert done.stdout.strip() == "b''", done.stderr
    # A socket that was turned somewhere once has no origin any more.
    again = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(10)
try:
    s.connect(sys.argv[1] + "x" * 80)
except OSError:
    pass
s.connect(sys.argv[2])
try:
    s.sendall(bytes.fromhex("0000000804d2162f"))
    print(s.recv(1))
except ConnectionError:
    print(b"")
"""
    done = daemon.run("/usr/bin/python3", "-c", again, local[1], worker, user="nobody")
    assert done.stdout.strip() == "b''", done.stderr


def test_strangers_do_not_fill_the_audit_log(turned, daemon):
    """Each is counted, and recorded at most once a second by each worker."""
    def told():
        exported = [json.loads(line) for line in daemon.wayleave("--json", "audit", "export").stdout.splitlines()]
        return [r.get("detail") for r in exported if r["record"] == "note" and r["reason"] == "no_origin"]

    def counted():
        return daemon.status()["reasons"].get("no_origin", 0)

    def all_are_told():
        return sum(int(detail.split()[0]) if detail else 1 for detail in told()) == counted()
    wait_for(all_are_told)
    before, records = counted(), len(told())
    for _ in range(500):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(daemon.runtime / "servers" / "worker.sock"))
    wait_for(lambda: counted() == before + 500 and all_are_told())
    assert len(told()) - records < 100


def test_without_a_daemon_nobody_is_reached(turned, daemon, local):
    def connect():
        done = outside_of_the_launcher(daemon, "/usr/bin/python3", "-c", PEER, local[1])
        return done.stdout.strip() or done.stderr.strip().rsplit("\n", 1)[-1]
    # An agent that runs sees the next daemon's socket, too.
    waits = daemon.popen("/usr/bin/python3", "-c", "input()\n" + PEER, local[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert connect() == str(local[1])
    daemon.stop()
    refused = connect()
    daemon.start()
    assert "FileNotFoundError" in refused or "ConnectionRefusedError" in refused, refused
    assert connect() == str(local[1])
    assert waits.communicate("\n", timeout=30)[0].strip() == str(local[1])


def test_sockets_that_no_resource_names_are_the_agents(turned, daemon, tmp_path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(tmp_path / "own"))
        s.listen()
        os.chmod(tmp_path / "own", 0o777)
        done = outside_of_the_launcher(daemon, "/usr/bin/python3", "-c", PEER, tmp_path / "own")
        assert done.stdout.strip() == str(tmp_path / "own"), done.stderr


def test_new_policies_do_not_get_in_the_way(daemon):
    """A generation that changes between the request and its answer is no error for the agent, nor do new ones keep it waiting for ever."""
    stop = threading.Event()

    def reload():
        while not stop.is_set():
            daemon.process.send_signal(1)
            time.sleep(0.005)

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        for _ in range(15):
            assert ask(daemon, "nobody", "alice") == ("alice", "")
    finally:
        stop.set()
        thread.join()
