# SPDX-License-Identifier: Apache-2.0
"""Servers that listen on a Unix socket and know their clients by their user."""
import os
import threading
import time

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import postgres

PLACE = "127.0.0.1:5999"  # nobody listens there: the resource leads to the socket
RULES = [{"name": "all", "operations": ["*"], "allow": {}}]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unix")
    for parent in [folder, *folder.parents[:2]]:
        os.chmod(parent, 0o755)
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
