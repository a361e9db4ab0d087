# SPDX-License-Identifier: Apache-2.0
"""Drivers and a pool with time limits of their own, while people decide for longer than those: who listens to the connection, or to
the server, waits; who only looks at its clock gives up, and what it gave up never runs."""
import pathlib
import subprocess
import time

import pytest
from conftest import make_config
from harness import daemon as daemons
from harness import golang
from harness.postgres import open_way
from harness.reviews import REVIEWERS, RULES, wait_for_pending
from harness.waiting import wait_for
from test_drivers import JARS

CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"
LIMIT = 1.5  # seconds, of each
PSYCOPG = "import psycopg2, sys; c = psycopg2.connect(sys.argv[1]).cursor(); c.execute('delete from orders where item = %s', (sys.argv[2],)); " \
    "c.connection.commit(); print('psycopg2', c.rowcount)"
WAITS = ["jdbc", "pool", "statement_timeout", "psycopg2", "asyncpg", "pgx", "pgx-watched", "pq", "pq-watched", "dbd", "dbd-limits"]
# Of four connections, which ask the same.
POOLS = ["asyncpg-pool", "pgx-pool", "pq-pool", "dbd-pool"]
# Clocks of their own.
GIVE_UP = {"query_timeout": "Query read timeout", "asyncpg-limit": "gave up 42", "pgx-deadline": "gave up", "pq-deadline": "gave up",
           "dbd-alarm": "gave up", "jdbc-limit": "57014"}


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("held"), make_config(server.port, reviewers=REVIEWERS), RULES)
    yield d
    d.close()


def start(daemon, server, classes, item):
    port = server.port
    where = f"host=127.0.0.1 port={port} user=app dbname=shop tcp_user_timeout={int(LIMIT * 1000)} keepalives_idle=1 options='-c " \
        f"statement_timeout={int(LIMIT * 1000)}'"
    url = f"jdbc:postgresql://127.0.0.1:{port}/shop?user=app&socketTimeout=2"
    commands = [
        ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{classes}:{JARS}", "Held", url, item],
        ["node", CLIENTS / "held.js", port, item],
        ["/usr/bin/python3", "-c", PSYCOPG, where, f"{item} psycopg2"],
        ["/usr/bin/python3", CLIENTS / "held_asyncpg.py", port, item, LIMIT],
        ["perl", CLIENTS / "held_dbd.pl", port, item, LIMIT],
        [golang.build(CLIENTS / "held.go"), port, item, LIMIT]]
    return [daemon.popen(*words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for words in commands]


def test_time_limits_of_drivers_while_people_decide(daemon, server, tmp_path):
    subprocess.run(["javac", "-nowarn", "-cp", JARS, "-d", tmp_path, CLIENTS / "Held.java"], check=True, timeout=120)
    open_way(tmp_path)
    item, names = "held", [*WAITS, *POOLS, *GIVE_UP]
    golang.build(CLIENTS / "held.go")
    server.sql(f"insert into orders (item) select 'held ' || n from unnest(array{names}) n", "shop")
    clients = start(daemon, server, tmp_path, item)
    # All have asked; those that give up are gone again, and their reviews with them.
    wait_for(lambda: len(daemon.json("reviews", "list")) == len(names), 60, "a review of each")
    wait_for_pending(daemon, len(WAITS) + len(POOLS), 30)
    time.sleep(2 * LIMIT)
    reviews = wait_for_pending(daemon, len(WAITS) + len(POOLS))
    assert sorted(review["waiters"] for review in reviews) == [1] * len(WAITS) + [4] * len(POOLS)
    # asyncpg sends text in binary format, and psycopg2 no parameters.
    shown = [value for review in reviews for value in daemon.json("reviews", "show", review["id"])["parameters"]]
    assert {value.get("text") for value in shown} == {f"{item} {name}" for name in (*WAITS, *POOLS) if name != "psycopg2"}
    for review in reviews:
        assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 0
    lines = [line for client in clients for line in client.communicate(timeout=60)[0].splitlines()]
    told = dict(line.split(" ", 1) for line in lines)
    assert {name: told.get(name) for name in (*WAITS, *POOLS)} == {name: "1" for name in (*WAITS, *POOLS)}, lines
    assert {name: told.get(name) for name in GIVE_UP} == GIVE_UP, lines
    assert told["other"] == "had to wait too long" and told["again"] == "true", lines
    left = server.sql("select item from orders where item like 'held %'", "shop").split("\n")
    assert sorted(left) == sorted(f"held {name}" for name in GIVE_UP)
    server.sql("delete from orders where item like 'held %'", "shop")
