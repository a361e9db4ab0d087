# SPDX-License-Identifier: Apache-2.0
"""Held actions among others: their locks, and agents that ask for more than people can read."""
import contextlib
import json
import subprocess

import psycopg2
import pytest
from conftest import make_config
from harness.reviews import REVIEWERS, RULES, add, count, decide, pending, session, wait_for_pending  # noqa: F401
from harness.waiting import wait_for
from test_reviews import daemon  # noqa: F401

FLOOD = """
import concurrent.futures, json, psycopg2, sys
def ask(number):
    try:
        connection = psycopg2.connect(sys.argv[1])
        connection.cursor().execute("delete from orders where id = %d" % number)
        return None
    except psycopg2.Error as e:
        return [e.pgcode, str(e)]
with concurrent.futures.ThreadPoolExecutor(12) as pool:
    for answer in concurrent.futures.as_completed([pool.submit(ask, -i) for i in range(1, 13)]):
        print(json.dumps(answer.result()), flush=True)
"""


# Each waits with a statement of its own; cancelled when it is told to, each by a connection of its own.
CANCELS = """
import concurrent.futures, json, psycopg2, sys
connections = [psycopg2.connect(sys.argv[1]) for _ in range(16)]
def ask(number):
    try:
        connections[number].cursor().execute("delete from orders where item = 'cancelled %d'" % number)
    except psycopg2.Error as e:
        return e.pgcode
with concurrent.futures.ThreadPoolExecutor(16) as pool:
    asked = pool.map(ask, range(16))
    print("asked", flush=True)
    sys.stdin.readline()
    for connection in connections[::-1]: connection.cancel()
    print(json.dumps(list(asked)), flush=True)
"""


@pytest.fixture
def outsider(server):
    with contextlib.closing(psycopg2.connect(host=server.data, port=server.port, user="postgres", dbname="shop")) as connection:
        yield connection


def is_locked(outsider, item):
    try:
        outsider.cursor().execute("select 1 from orders where item = %s for update nowait", (item,))
        return False
    except psycopg2.errors.LockNotAvailable:
        return True
    finally:
        outsider.rollback()


def test_a_transaction_keeps_its_locks_while_it_waits(daemon, server, session, outsider):  # noqa: F811
    add(server, "kept locked")
    s = session()
    s("begin")
    s.send("update orders set amount = 7 where item = 'kept locked'")
    (review,) = wait_for_pending(daemon)
    assert not is_locked(outsider, "kept locked"), "it did not run, and its preview left no lock"
    decide(daemon, "approve", review)
    assert s.answer()["count"] == 1
    s.send("delete from orders where item = 'kept locked'")
    (review,) = wait_for_pending(daemon)
    assert is_locked(outsider, "kept locked")
    decide(daemon, "deny", review, "--reason", "no")
    assert s.answer()["state"] == "42501"
    assert s("rollback")["status"] == 0
    assert not is_locked(outsider, "kept locked") and count(server, "item = 'kept locked' and amount = 1") == 1


def test_what_is_approved_waits_for_locks_of_others(daemon, server, session, outsider):  # noqa: F811
    add(server, "locked by others")
    outsider.cursor().execute("select 1 from orders where item = 'locked by others' for update")
    s = session()
    s.send("delete from orders where item = 'locked by others'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    wait_for(lambda: server.sql(f"select wait_event_type from pg_stat_activity where pid = {s.pid}") == "Lock", what="the lock")
    assert s.waits() and not pending(daemon)
    outsider.rollback()
    assert s.answer()["count"] == 1


def test_cancels_reach_what_waits_in_whichever_worker(server, make_daemon):
    """A cancel comes by a connection of its own, which any worker may get."""
    for i in range(16):
        add(server, f"cancelled {i}")
    d = make_daemon(make_config(server.port, reviewers=REVIEWERS, workers=4), RULES)
    with d.popen("/usr/bin/python3", "-c", CANCELS, f"host=127.0.0.1 port={server.port} dbname=shop user=app", stdin=subprocess.PIPE,
                 stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout.readline() == "asked\n"
        wait_for_pending(d, 16)
        wait_for(lambda: len([w for w in d.status()["workers"] if w["sessions"]]) > 1, what="sessions in several workers")
        agent.stdin.write("\n")
        agent.stdin.flush()
        assert json.loads(agent.stdout.readline()) == ["57014"] * 16
    assert {r["state"] for r in d.json("reviews", "list")} == {"cancelled"} and count(server, "item like 'cancelled %'") == 16


def test_a_flood_of_requests_ends_at_the_agents_limit(server, make_daemon):
    config = make_config(server.port, reviewers=REVIEWERS)
    config["agents"][0]["pending_reviews"] = 3
    d = make_daemon(config, RULES)
    agent = d.popen("/usr/bin/python3", "-c", FLOOD, f"host=127.0.0.1 port={server.port} dbname=shop user=app", stdout=subprocess.PIPE, text=True)
    for _ in range(9):
        state, text = json.loads(agent.stdout.readline())
        assert state == "42501" and "too many reviews of this agent are pending (at most 3)" in text, text
    for review in wait_for_pending(d, 3):
        decide(d, "approve", review)
    assert agent.communicate(timeout=30)[0] == "null\n" * 3
    assert len(d.json("reviews", "list")) == 3
