# SPDX-License-Identifier: Apache-2.0
"""What a review rule fits is held until people decide at the command line, and what runs then is what they approved."""
import concurrent.futures
import contextlib
import json
import pathlib
import re
import signal
import subprocess
import time

import psycopg2
import pytest
from conftest import make_config
from harness.daemon import BUILD
from harness.records import audit, records_of
from harness.reviews import (  # noqa: F401
    REVIEWERS,
    RULES,
    add,
    count,
    decide,
    lookups_blocked,
    pending,
    session,
    start,
    state_of,
    wait_for_pending,
)
from harness.waiting import wait_for


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    from harness import daemon as daemons
    d = daemons.Daemon(tmp_path_factory.mktemp("reviews"), make_config(server.port, reviewers=REVIEWERS), RULES)
    yield d
    d.close()


def test_what_is_approved_runs_once_in_the_same_session(daemon, server, session):
    add(server, "one")
    s = session()
    s.send("delete from orders where item = 'one'")
    (review,) = wait_for_pending(daemon)
    assert s.waits() and count(server, "item = 'one'") == 1
    assert review["agent"] == "demo" and review["resource"] == "shop" and review["rule"] == "deletes need a person"
    assert "delete" in review["operations"] and review["objects"] == ["public.orders"]
    assert review["text"] == "delete from orders where item = 'one'" and review["waiters"] == 1
    assert re.fullmatch("[0-9a-f]{64}", review["digest"])
    decide(daemon, "approve", review)
    got = s.answer()
    assert got["count"] == 1 and "error" not in got
    assert got["notices"] == [f"NOTICE:  wayleave: waiting for approval by dba (review {review['id']})\n"]
    assert count(server, "item = 'one'") == 0
    shown = daemon.json("reviews", "show", review["id"])
    assert shown["state"] == "approved" and "root" in str(shown["decided_by"]) and "ran" not in shown["sessions"][0]
    # Once: the same text again is another review.
    s.send("delete from orders where item = 'one'")
    (again,) = wait_for_pending(daemon)
    assert again["id"] != review["id"] and s.waits()
    decide(daemon, "deny", again, "--reason", "done already")
    assert s.answer()["state"] == "42501"


def test_a_second_daemon_leaves_everything_alone(daemon, server, session):
    """It finds out that it is one before it opens the logs and the reviews."""
    def segments():
        return {p.name.split(".")[0] for p in (daemon.state / "audit").iterdir()}
    add(server, "second")
    s = session()
    s.send("delete from orders where item = 'second'")
    (review,) = wait_for_pending(daemon)
    before = segments()
    second = subprocess.run(daemon.daemon_command(), capture_output=True, text=True, timeout=30)
    assert second.returncode == 1 and "another daemon has the instance" in second.stderr
    assert segments() == before and state_of(daemon, review) == "pending"
    decide(daemon, "approve", review)
    assert s.answer()["count"] == 1
    assert daemon.wayleave("audit", "verify").returncode == 0


def test_what_is_denied_is_an_error_that_names_who_and_why(daemon, server, session):
    s = session()
    s.send("delete from orders where id = 3")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "deny", review, "--reason", "ask the owner first")
    got = s.answer()
    assert got["state"] == "42501" and "denied by root" in got["error"] and "ask the owner first" in got["error"]
    assert review["id"] in got["error"] and count(server, "id = 3") == 1
    assert s("select count(*) from orders where id = 3")["rows"] == [["1"]]


def test_nobody_decides_in_time(daemon, server, session):
    s = session()
    s.send("insert into orders (customer, item) values (1, 'late')")
    (review,) = wait_for_pending(daemon)
    got = s.answer()
    assert got["state"] == "42501" and "nobody decided in time" in got["error"] and 1.5 < got["seconds"] < 6
    assert state_of(daemon, review) == "expired" and count(server, "item = 'late'") == 0
    done = daemon.wayleave("reviews", "approve", review["id"])
    assert done.returncode == 1 and "expired" in done.stderr


def test_inside_a_transaction(daemon, server, session):
    add(server, "in a transaction")
    s = session()
    s("begin")
    s.send("delete from orders where item = 'in a transaction'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    got = s.answer()
    assert got["count"] == 1 and got["status"] == 2
    assert s("select count(*) from orders where item = 'in a transaction'")["rows"] == [["0"]]
    assert s("rollback")["status"] == 0 and count(server, "item = 'in a transaction'") == 1
    s("begin")
    s.send("delete from orders where item = 'in a transaction'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "deny", review, "--reason", "no")
    got = s.answer()
    assert got["state"] == "42501" and got["status"] == 3
    assert s("select 1")["state"] == "25P02"
    assert s("rollback")["status"] == 0


def test_a_cancel_kills_what_is_held_for_good(daemon, server, session):
    add(server, "cancelled")
    add(server, "cancelled too")
    s = session("application_name=cancels")
    s.send("delete from orders where item = 'cancelled'")
    (review,) = wait_for_pending(daemon)
    # SIGINT: psycopg2's own cancel would need a second thread.
    code = "import psycopg2, threading, time, sys\n" \
           "c = psycopg2.connect(sys.argv[1]); c.autocommit = True\n" \
           "threading.Timer(1, c.cancel).start()\n" \
           "try: c.cursor().execute(\"delete from orders where item = 'cancelled too'\")\n" \
           "except psycopg2.Error as e: print(e.pgcode, e)\n" \
           "cursor = c.cursor(); cursor.execute('select count(*) from orders where id = 2'); print(cursor.fetchone())\n" \
           "c.autocommit = False; cursor.execute('select 1'); threading.Timer(1, c.cancel).start()\n" \
           "for text in (\"delete from orders where item = 'cancelled too'\", 'select 1'):\n" \
           "    try: cursor.execute(text)\n" \
           "    except psycopg2.Error as e: print(e.pgcode)\n" \
           "c.rollback(); cursor.execute('select 1'); print(cursor.fetchone())"
    done = daemon.run("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app")
    assert done.stdout.startswith("57014 ") and "canceling statement due to user request" in done.stdout, done
    # Inside a transaction it aborts that, as any error does.
    assert done.stdout.endswith("\n(1,)\n57014\n25P02\n(1,)\n"), done
    assert count(server, "item = 'cancelled too'") == 1
    others = [r for r in daemon.json("reviews", "list") if r["text"].endswith("'cancelled too'")]
    assert [r["state"] for r in others] == ["cancelled"] * 2
    assert state_of(daemon, review) == "pending"
    decide(daemon, "deny", review, "--reason", "no")
    s.answer()


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_who_closes_its_connection_waits_no_more(daemon, server, session, how):
    s = session()
    s.send("delete from orders where id = 4")
    (review,) = wait_for_pending(daemon)
    s.process.send_signal(signal.SIGKILL if how == "kill" else signal.SIGTERM)
    wait_for_pending(daemon, 0)
    assert state_of(daemon, review) == "cancelled"
    assert daemon.wayleave("reviews", "approve", review["id"]).returncode == 1
    assert count(server, "id = 4") == 1


def test_psql_that_is_interrupted(daemon, server):
    p = daemon.popen("psql", "-X", f"host=127.0.0.1 port={server.port} dbname=shop user=app", "-c", "delete from orders where id = 5",
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_pending(daemon)
    # psql's handler sends a cancel request.
    children = pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split() or [str(p.pid)]
    subprocess.run(["kill", "-INT", *children])
    out, err = p.communicate(timeout=15)
    assert "canceling statement due to user request" in err and "waiting for approval by dba" in err, (out, err)
    wait_for_pending(daemon, 0)


def test_identical_actions_share_one_review(daemon, server, session):
    add(server, "shared")
    sessions = [session() for _ in range(3)]
    for s in sessions:
        s.send("delete from orders where item = 'shared'")
    deadline = time.monotonic() + 10
    while (found := pending(daemon)) and found[0]["waiters"] != 3 or not found:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    assert len(found) == 1
    decide(daemon, "approve", found[0])
    assert sorted(s.answer()["count"] for s in sessions) == [0, 0, 1]
    # Who comes later needs a decision of its own.
    late = session()
    late.send("delete from orders where item = 'shared'")
    (again,) = wait_for_pending(daemon)
    assert again["id"] != found[0]["id"]
    decide(daemon, "deny", again, "--reason", "no")
    assert late.answer()["state"] == "42501"


def test_a_temporary_table_in_front_is_another_action(daemon, server, session):
    """The words and the settings are the same, and the table is the session's own."""
    add(server, "shadowed")
    s, other = session(), session()
    assert "error" not in other("create temporary table orders (item text)")
    for each in (s, other):
        each.send("delete from orders where item = 'shadowed'")
    got = other.answer()
    assert got["state"] == "42501" and "no rule allows delete on pg_temp.orders" in got["error"], got
    (review,) = wait_for_pending(daemon)
    assert review["waiters"] == 1 and review["objects"] == ["public.orders"]
    decide(daemon, "approve", review)
    assert s.answer()["count"] == 1


def test_parameters_are_part_of_what_is_approved(daemon, server, session):
    """asyncpg-like extended protocol: psycopg2 binds on the client, so JDBC-style binding comes from psycopg 3."""
    code = "import psycopg, sys\n" \
           "c = psycopg.connect(sys.argv[1], autocommit=True)\n" \
           "c.add_notice_handler(lambda d: print(d.message_primary, flush=True))\n" \
           "for key in sys.argv[2:]:\n" \
           "    print(c.execute('delete from orders where id = %s', (int(key),), prepare=True).rowcount, flush=True)"
    p = daemon.popen("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app", "11", "12",
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    (first,) = wait_for_pending(daemon)
    assert first["text"] == "delete from orders where id = $1"
    assert "11" in daemon.wayleave("reviews", "show", first["id"]).stdout
    decide(daemon, "approve", first)
    assert "waiting for approval" in p.stdout.readline()
    assert p.stdout.readline() == "1\n"
    (second,) = wait_for_pending(daemon)
    assert second["digest"] != first["digest"] and count(server, "id in (11, 12)") == 1
    decide(daemon, "deny", second, "--reason", "one is enough")
    out, err = p.communicate(timeout=10)
    assert "one is enough" in err and count(server, "id = 12") == 1


def test_what_values_mean_is_part_of_what_is_approved(daemon, server, session):
    """'01/02/2026' is two days, by DateStyle, and {null} two arrays: the server reports the one setting, and must be asked for the other."""
    text = "delete from orders where item = '' || date '01/02/2026' and id = any ('{null}')"
    months, days, nulls = session(), session(), session()
    days("set datestyle = dmy")
    nulls("set array_nulls = off")
    for s in (months, days, nulls):
        s.send(text)
    reviews = wait_for_pending(daemon, 3)
    assert len({r["digest"] for r in reviews}) == 3 and {r["text"] for r in reviews} == {text}
    shown = [daemon.json("reviews", "show", r["id"])["settings"].split("\n") for r in reviews]
    assert sum("DateStyle: ISO, DMY" in lines for lines in shown) == 1 and sum("DateStyle: ISO, MDY" in lines for lines in shown) == 2
    assert sum("array_nulls: off" in lines for lines in shown) == 1
    assert all({"IntervalStyle: postgres", "standard_conforming_strings: on"} < set(lines) for lines in shown)
    assert all(sum(line.startswith("TimeZone: ") for line in lines) == 1 for lines in shown)
    for review in reviews:
        decide(daemon, "deny", review, "--reason", "no")
    assert all(s.answer()["state"] == "42501" for s in (months, days, nulls))


@pytest.mark.parametrize("bound", [40, 70])
def test_all_parameters_are_shown_or_counted(daemon, server, session, bound):  # noqa: ARG001
    code = "import psycopg, sys\n" \
           "c = psycopg.connect(sys.argv[1], autocommit=True)\n" \
           "many = list(range(7001, 7001 + int(sys.argv[2])))\n" \
           "c.execute('delete from orders where id in (' + ', '.join(['%s'] * len(many)) + ')', many)"
    p = daemon.popen("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app", str(bound),
                     stderr=subprocess.PIPE, text=True)
    (review,) = wait_for_pending(daemon)
    shown = daemon.wayleave("reviews", "show", review["id"]).stdout
    assert daemon.json("reviews", "show", review["id"])["parameters_total"] == bound
    assert f"${min(bound, 64)} = " in shown and f"${min(bound, 64) + 1} = " not in shown
    assert (f"and {bound - 64} more\n" in shown) == (bound > 64)
    decide(daemon, "deny", review, "--reason", "only looking")
    assert "only looking" in p.communicate(timeout=10)[1]


def test_a_grant_lets_like_actions_pass_until_it_is_revoked(daemon, server, session):
    for item in ("g1", "g2", "g3"):
        add(server, item)
    s = session()
    s.send("delete from orders where item = 'g1'")
    (review,) = wait_for_pending(daemon)
    assert daemon.wayleave("reviews", "approve", review["id"], "--for", "31m").returncode == 1
    decide(daemon, "approve", review, "--for", "5m")
    assert s.answer()["count"] == 1
    (grant,) = daemon.json("grants", "list")
    assert s("delete from orders where item = 'g2'")["count"] == 1
    other = session()
    assert other("delete from orders where item = 'nothing'")["count"] == 0
    # Each is recorded with it.
    decisions = [(x["id"], r["action"], r.get("review"), r["outcome"]) for x in daemon.json("sessions", "list")
                 for r in records_of(daemon, x, "decision") if r.get("grant") == grant["id"]]
    assert len(set(decisions)) == 3 and {d[2:] for d in decisions} == {(review["id"], "approved"), (None, "approved")}, decisions
    assert len([r for r in audit(daemon) if r["record"] == "decision" and r.get("grant") == grant["id"]]) == 3
    # Never without the WHERE that the approved one had, nor another operation.
    s.send("delete from orders")
    (wider,) = wait_for_pending(daemon)
    decide(daemon, "deny", wider, "--reason", "too much")
    assert s.answer()["state"] == "42501"
    s.send("update orders set amount = 0 where id = 1")
    (update,) = wait_for_pending(daemon)
    decide(daemon, "deny", update, "--reason", "no")
    s.answer()
    assert daemon.wayleave("grants", "revoke", grant["id"]).returncode == 0
    s.send("delete from orders where item = 'g3'")
    (again,) = wait_for_pending(daemon)
    decide(daemon, "deny", again, "--reason", "revoked")
    assert s.answer()["state"] == "42501" and count(server, "item = 'g3'") == 1


def test_nobody_is_asked_in_a_failed_transaction(daemon, server, session):
    """There the server runs nothing, whatever people say."""
    s = session()
    for statement, state in (("begin", None), ("select 1/0", "22012"), ("delete from orders where item = 'f1'", "25P02")):
        assert s(statement).get("state") == state, statement
    wait_for_pending(daemon, 0)
    s("rollback; begin")
    add(server, "f1")
    s.send("delete from orders where item = 'f1'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    assert s.answer()["count"] == 1
    s("rollback")
    assert count(server, "item = 'f1'") == 1


def test_a_grant_is_for_one_database_and_user(daemon, server, session):
    for statement in ("create database prod template shop", "do $$ begin create role owner login in role app; exception when duplicate_object then end $$"):
        server.sql(statement)
    s = session()
    s.send("delete from orders where item = 'nothing'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "5m")
    assert s.answer()["count"] == 0
    (grant,) = daemon.json("grants", "list")
    assert (grant["database"], grant["user"]) == ("shop", "app")
    assert " in shop as app by rule " in daemon.wayleave("grants", "list").stdout
    for elsewhere in ("dbname=prod", "user=owner"):
        other = session(elsewhere)
        other.send("delete from orders where item = 'nothing'")
        (review,) = wait_for_pending(daemon)
        assert {"dbname": review["database"], "user": review["user"]}.items() >= {tuple(elsewhere.split("="))}
        decide(daemon, "deny", review, "--reason", "not that one")
        assert other.answer()["state"] == "42501"
        other.close()
    assert s("delete from orders where item = 'nothing'")["count"] == 0
    server.sql("drop database prod with (force)")


def test_a_grant_ends_by_itself(daemon, server, session):
    s = session()
    s.send("delete from orders where item = 'brief'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "3s")
    assert s.answer()["count"] == 0
    wait_for(lambda: not daemon.json("grants", "list"))
    s.send("delete from orders where item = 'brief'")
    (again,) = wait_for_pending(daemon)
    assert again["id"] != review["id"]
    decide(daemon, "deny", again, "--reason", "its time is over")
    assert s.answer()["state"] == "42501"


def test_a_grant_of_some_rows_is_none_of_all_and_hides_none_when_it_is_over(daemon, server, session):  # noqa: ARG001
    s = session()
    some, ends = "select id, ssn from customers where id = 1", []
    for statement, length in ((some, "4s"), ("select id, ssn from customers", "5m")):
        s.send(statement)
        (review,) = wait_for_pending(daemon)
        decide(daemon, "approve", review, "--for", length)
        ends.append(time.monotonic() + 4)
        assert s.answer()["rows"][0] == ["1", "[masked]"]
        assert s(some)["rows"] == [["1", "[masked]"]]
    # Before the monitor has looked at the time.
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(max(0, ends[0] - time.monotonic()))
        assert s(some)["rows"] == [["1", "[masked]"]]
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def test_a_grant_releases_what_waits_already(daemon, server, session):
    first, second, other = session(), session(), session()
    first.send("delete from orders where item = 'w1'")
    wait_for_pending(daemon)
    second.send("delete from orders where item = 'w2'")
    other.send("update orders set amount = 1 where item = 'w3'")
    reviews = wait_for_pending(daemon, 3)
    mine = next(r for r in reviews if "'w1'" in r["text"])
    asked = f"select state_change from pg_stat_activity where pid = {other.pid}"
    before = server.sql(asked)
    decide(daemon, "approve", mine, "--for", "1m")
    assert first.answer()["count"] == 0 and second.answer()["count"] == 0
    (left,) = wait_for_pending(daemon, 1)
    assert server.sql(asked) == before, "what it does not cover is not looked at again"
    decide(daemon, "deny", left, "--reason", "only looking")
    assert other.answer()["state"] == "42501"


def test_masks_of_a_review_rule_hold_for_what_it_lets_through(daemon, server, session):
    s = session()
    s.send("select id, ssn from customers where id = 1")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "5m")
    assert s.answer()["rows"] == [["1", "[masked]"]]
    # And for what its grant does.
    assert s("select id, ssn from customers where id = 2")["rows"] == [["2", "[masked]"]]
    assert session()("select ssn from customers where id in (3, 4)")["rows"] == [["[masked]"]] * 2


def test_the_rules_change_while_it_waits(daemon, server, session):
    add(server, "reload")
    s = session()
    s.send("delete from orders where item = 'reload'")
    wait_for_pending(daemon)
    allowed = [{**r} for r in RULES]
    allowed[1] = {"name": "deletes are fine", "operations": ["delete"], "objects": ["public.orders"], "allow": {}}
    try:
        daemon.write_rules(allowed)
        daemon.reload()
        assert s.answer()["count"] == 1
        wait_for_pending(daemon, 0)
    finally:
        daemon.write_rules(RULES)
        daemon.reload()


@pytest.mark.parametrize("change", [
    # A view of that name passes it on to another table.
    "drop table swapped.a; create view swapped.a as select * from swapped.b; grant all on swapped.a to app",
    # Another table takes the name.
    "alter table swapped.a rename to old; alter table swapped.b rename to a",
    # Two columns change places.
    "alter table swapped.a rename id to x; alter table swapped.a rename other to id",
    # Something else runs with it.
    "insert into swapped.a values (1, 1); create or replace trigger t before delete on swapped.a for each row execute function swapped.g()",
    "insert into swapped.a values (1, 1); create policy p on swapped.a",
    # What runs with it does something else.
    "insert into swapped.a values (1, 1); create or replace function swapped.f() returns trigger language plpgsql as 'begin return null; end'",
], ids=["view", "table", "columns", "trigger", "policy", "body"])
def test_what_a_name_means_changes_while_it_waits(daemon, server, session, change):
    """Approve A, run B: what was approved is not what the words mean by then, so it is asked about anew."""
    server.sql("create schema swapped; grant usage on schema swapped to app; create table swapped.a (id int, other int);"
               "create table swapped.b (id int, other int); insert into swapped.b values (1, 1); insert into swapped.a values (2, 1);"
               "create function swapped.f() returns trigger language plpgsql as 'begin return old; end';"
               "create function swapped.g() returns trigger language plpgsql as 'begin return null; end';"
               "create trigger t before delete on swapped.a for each row execute function swapped.f();"
               "grant all on swapped.a, swapped.b to app", database="shop")
    rules = [*RULES, {"name": "swap", "operations": ["delete", "select"], "objects": ["swapped.a"], "review": {"by": "dba"}}]
    try:
        daemon.write_rules(rules)
        daemon.reload()
        s = session()
        s.send("delete from swapped.a where id = 1")
        (review,) = wait_for_pending(daemon)
        server.sql(change, database="shop")
        decide(daemon, "approve", review)
        (again,) = wait_for_pending(daemon)
        assert again["text"] == review["text"] and again["digest"] != review["digest"] and s.waits()
        (waited,) = daemon.json("reviews", "show", review["id"])["sessions"]
        assert waited["ran"] is False  # what was approved did not run by it
        noted = [r["detail"] for r in audit(daemon) if r.get("subject") == review["id"]]
        assert noted[-1].startswith("approved, but it no longer waited"), noted
        decide(daemon, "deny", again, "--reason", "not that")
        assert s.answer()["state"] == "42501"
        assert server.sql("select count(*) from swapped.a where id = 1", database="shop").strip() == "1"
    finally:
        server.sql("drop schema swapped cascade", database="shop")
        daemon.write_rules(RULES)
        daemon.reload()


@pytest.mark.parametrize("change", ["path", "role"])
def test_what_it_is_read_by_changes_while_it_waits(daemon, server, session, change):
    """A search_path of the whole server reaches open sessions too; so does what becomes of the role that one has set."""
    server.sql("create schema swapped; create table swapped.orders (like orders); insert into swapped.orders (id, item) values (1, 'moved');"
               "grant usage on schema swapped to public; grant all on swapped.orders to public; create role lent; grant lent to app;"
               "grant all on orders to lent", database="shop")
    add(server, "moved")
    rules = [*RULES, {"name": "swap", "operations": ["delete", "select"], "objects": ["swapped.orders"], "review": {"by": "dba"}},
             {"name": "roles", "operations": ["set_role"], "allow": {}}]
    try:
        daemon.write_rules(rules)
        daemon.reload()
        s = session()
        if change == "role":
            assert "error" not in s("set role lent")
        s.send("delete from orders where item = 'moved'")
        (review,) = wait_for_pending(daemon)
        if change == "path":
            server.sql("alter system set search_path = swapped, public")
            server.sql("select pg_reload_conf()")
        else:
            server.sql("revoke lent from app; alter role lent rename to taken", database="shop")
        decide(daemon, "approve", review)
        (again,) = wait_for_pending(daemon)
        assert again["text"] == review["text"] and again["digest"] != review["digest"] and s.waits()
        assert again["objects"] == ["swapped.orders" if change == "path" else "public.orders"]
        before, after = (daemon.json("reviews", "show", r["id"])["settings"].split("\n") for r in (review, again))
        was, becomes = ('search_path: "pg_catalog", "public"', 'search_path: "pg_catalog", "swapped", "public"') if change == "path" else (
            "role: lent (app)", "role: taken (app)")
        assert was in before and becomes in after and becomes not in before, (before, after)
        decide(daemon, "deny", again, "--reason", "not that")
        assert s.answer()["state"] == "42501"
        assert count(server, "item = 'moved'") > 0 and server.sql("select count(*) from swapped.orders", database="shop") == "1"
    finally:
        server.sql("alter system reset search_path")
        server.sql("select pg_reload_conf()")
        wait_for(lambda: server.sql("show search_path", database="shop") == '"$user", public')
        server.sql("drop schema swapped cascade; do $$ begin drop owned by lent; exception when others then drop owned by taken; end $$;"
                   "drop role if exists lent, taken; delete from orders where item = 'moved'", database="shop")
        daemon.write_rules(RULES)
        daemon.reload()


def test_it_is_denied_while_it_is_judged_again(daemon, server, session):
    add(server, "judged again")
    s, workers = session(), daemon.workers()
    s.send("delete from orders where item = 'judged again'")
    (review,) = wait_for_pending(daemon)
    with lookups_blocked(server):
        daemon.reload()
        time.sleep(0.5)
        decide(daemon, "deny", review, "--reason", "not now")
        assert s.waits()
    assert "not now" in s.answer()["error"]
    assert s("select count(*) from orders where item = 'judged again'")["rows"] == [["1"]]
    assert daemon.workers() == workers


def test_a_cancel_behind_the_approval_kills_it_as_long_as_it_does_not_run(daemon, server):
    add(server, "late cancel")
    workers = daemon.workers()
    code = "import psycopg2, sys, threading\n" \
           "c = psycopg2.connect(sys.argv[1]); c.autocommit = True\n" \
           "threading.Thread(target=lambda: (sys.stdin.readline(), c.cancel()), daemon=True).start()\n" \
           "try: c.cursor().execute(\"delete from orders where item = 'late cancel'\")\n" \
           "except psycopg2.Error as e: print(e.pgcode, flush=True)\n" \
           "cursor = c.cursor(); cursor.execute('select 1'); print(cursor.fetchone())"
    p = daemon.popen("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app",
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    (review,) = wait_for_pending(daemon)
    with lookups_blocked(server):
        decide(daemon, "approve", review)
        time.sleep(0.5)
        p.stdin.write("now\n")
        p.stdin.flush()
        time.sleep(0.5)
    assert p.communicate(timeout=15)[0] == "57014\n(1,)\n"
    assert count(server, "item = 'late cancel'") == 1 and daemon.workers() == workers


@pytest.mark.parametrize("approved", [True, False])
def test_what_it_names_is_gone_by_then(daemon, server, session, approved):
    """The server's own error; and nothing waits any more, to be approved for another statement of these words."""
    server.sql("create table going (id int); grant all on going to app", database="shop")
    rules = [*RULES, {"name": "going", "operations": ["delete", "select"], "objects": ["public.going"], "review": {"by": "dba"}}]
    try:
        daemon.write_rules(rules)
        daemon.reload()
        s, workers = session(), daemon.workers()
        s.send("delete from going")
        (review,) = wait_for_pending(daemon)
        server.sql("drop table going", database="shop")
        if approved:
            decide(daemon, "approve", review)
        else:
            daemon.reload()
        assert s.answer()["state"] == "42P01"
        wait_for_pending(daemon, 0)
        assert daemon.wayleave("reviews", "deny", review["id"], "--reason", "late").returncode == 1
        server.sql("create table going (id int); grant all on going to app", database="shop")
        time.sleep(1.5)
        s.send("delete from going")
        (again,) = wait_for_pending(daemon)
        decide(daemon, "deny", again, "--reason", "no")
        assert s.answer()["state"] == "42501" and daemon.workers() == workers
    finally:
        server.sql("drop table if exists going", database="shop")
        daemon.write_rules(RULES)
        daemon.reload()


def test_a_prepared_statement_is_shown_by_what_it_runs(daemon, server, session):
    add(server, "p1")
    s = session()
    s("prepare gone as delete from orders where item = 'p1'")
    s.send("execute gone")
    (review,) = wait_for_pending(daemon)
    shown = daemon.json("reviews", "show", review["id"])
    assert shown["text"] == "execute gone" and shown["runs"] == "prepare gone as delete from orders where item = 'p1'"
    assert "runs" not in shown["settings"]
    assert "    | prepare gone as delete from orders where item = 'p1'\n" in daemon.wayleave("reviews", "show", review["id"]).stdout
    # The same words in another session may run something else, so they are another review.
    other = session()
    other("prepare gone as delete from orders where item = 'p2'")
    other.send("execute gone")
    reviews = wait_for_pending(daemon, 2)
    assert len({r["digest"] for r in reviews}) == 2
    for r in reviews:
        decide(daemon, "deny", r, "--reason", "no")
    assert s.answer()["state"] == "42501" and other.answer()["state"] == "42501"
    # What the text itself changes of the session's names is its own to say; several stand in their order.
    s.send("execute gone; deallocate gone; prepare gone as delete from orders where item = 'p3'; execute gone")
    (review,) = wait_for_pending(daemon)
    assert daemon.json("reviews", "show", review["id"])["runs"] == "prepare gone as delete from orders where item = 'p1'"
    decide(daemon, "deny", review, "--reason", "no")
    assert s.answer()["state"] == "42501"
    s("prepare gone_too as update orders set amount = 1 where item = 'p1'")
    s.send("execute gone; execute gone_too")
    (review,) = wait_for_pending(daemon)
    assert daemon.json("reviews", "show", review["id"])["runs"] == \
        "prepare gone as delete from orders where item = 'p1'\n;\nprepare gone_too as update orders set amount = 1 where item = 'p1'"
    decide(daemon, "deny", review, "--reason", "no")
    assert s.answer()["state"] == "42501"
    # What runs nothing by name says nothing of it.
    s.send("delete from orders where item = 'p1'")
    (review,) = wait_for_pending(daemon)
    assert "runs" not in daemon.json("reviews", "show", review["id"])
    decide(daemon, "deny", review, "--reason", "no")
    assert s.answer()["state"] == "42501"


def test_nothing_else_of_the_session_runs_before_it(daemon, server):
    """A pipeline: what stands behind the held statement waits with it, and what it refused takes with it is the server's
    choice."""
    code = "import psycopg, sys\n" \
           "c = psycopg.connect(sys.argv[1], autocommit=True)\n" \
           "with c.pipeline() as p:\n" \
           "    a = c.execute('select 1')\n" \
           "    b = c.execute(\"delete from orders where item = 'pipe'\")\n" \
           "    d = c.execute(\"select count(*) from orders where item = 'pipe'\")\n" \
           "    p.sync()\n" \
           "    print(a.fetchone()[0], b.rowcount, d.fetchone()[0])"
    add(server, "pipe")
    p = daemon.popen("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app",
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    out, err = p.communicate(timeout=15)
    assert out == "1 1 0\n", err


def test_signs_of_life(daemon, server):
    """A driver that gives up on a silent connection does not: something comes every second, a notice every fifteen."""
    from harness import wire
    assert wire  # the script below speaks the protocol by itself, inside the agent
    code = "import socket, struct, sys, time\n" \
           "s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); s.settimeout(3)\n" \
           "body = struct.pack('!I', 196608) + b'user\\0app\\0database\\0shop\\0\\0'\n" \
           "s.sendall(struct.pack('!I', len(body) + 4) + body)\n" \
           "def message():\n" \
           "    head = b''\n" \
           "    while len(head) < 5: head += s.recv(5 - len(head))\n" \
           "    length = struct.unpack('!I', head[1:])[0] - 4; body = b''\n" \
           "    while len(body) < length: body += s.recv(length - len(body))\n" \
           "    return head[:1], body\n" \
           "while message()[0] != b'Z': pass\n" \
           "q = b'delete from orders where id = 7\\0'\n" \
           "s.sendall(b'Q' + struct.pack('!I', len(q) + 4) + q)\n" \
           "start = time.time(); kinds = {b'S': [], b'N': []}\n" \
           "while time.time() - start < 17:\n" \
           "    kind, body = message(); kinds[kind].append(body)\n" \
           "print(len(kinds[b'S']), *[text.partition(b'\\0M')[2].partition(b'\\0')[0].decode() for text in kinds[b'N']], sep='\\n')"
    done = daemon.run("/usr/bin/python3", "-c", code, str(server.port), timeout=60)
    statuses, *notices = done.stdout.splitlines() or ["0"]
    assert 10 <= int(statuses) <= 25, done
    (review,) = [r for r in daemon.json("reviews", "list") if r["text"] == "delete from orders where id = 7"]
    assert notices == [f"wayleave: waiting for approval by dba (review {review['id']})"] * 2, done
    wait_for_pending(daemon, 0)


def test_who_waits_hears_what_the_server_says_meanwhile(daemon, server):
    """The client leaves when it has: nobody has decided by then."""
    p = start(daemon, server, ("Q", "listen news"), ("wait", "Z"), ("Q", "delete from orders where item = 'heard'"), ("wait", "A"), ("close",))
    (review,) = wait_for_pending(daemon)
    server.sql("notify news, 'from outside'", database="shop")
    out, err = p.communicate(timeout=15)
    assert p.returncode == 0 and json.loads(out)[-1][0] == "A" and "from outside" in json.loads(out)[-1][1], (out, err)
    wait_for_pending(daemon, 0)
    assert state_of(daemon, review) == "cancelled"


def test_a_worker_that_dies_leaves_no_review_behind(daemon, server, session):
    s = session()
    s.send("delete from orders where id = 8")
    (review,) = wait_for_pending(daemon)
    for pid in daemon.workers():
        subprocess.run(["kill", "-KILL", str(pid)])
    wait_for_pending(daemon, 0)
    assert state_of(daemon, review) == "cancelled" and count(server, "id = 8") == 1
    deadline = time.monotonic() + 15
    while not all(daemon.workers()) or len(daemon.workers()) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_worker_that_dies_between_the_approval_and_the_run(daemon, server, session):
    """What it had not sent never runs, nor for who sends it again; and what it had sent runs once. The record says which."""
    for item in ("unsent", "sent"):
        add(server, item)
    unsent, sent = session(), session()
    unsent.send("delete from orders where item = 'unsent'")
    (first,) = wait_for_pending(daemon)
    with contextlib.closing(psycopg2.connect(host=server.data, port=server.port, user="postgres", dbname="shop")) as blocker:
        blocker.cursor().execute("select from orders where item = 'sent' for update")
        sent.send("delete from orders where item = 'sent'")
        (second,) = [r for r in wait_for_pending(daemon, 2) if r["id"] != first["id"]]
        decide(daemon, "approve", second)
        wait_for(lambda: server.sql(f"select wait_event_type from pg_stat_activity where pid = {sent.pid}") == "Lock", what="its running")
        with lookups_blocked(server):
            decide(daemon, "approve", first)
            time.sleep(0.3)
            for pid in daemon.workers():
                subprocess.run(["kill", "-KILL", str(pid)])
            assert all("error" in s.answer() for s in (unsent, sent))
        blocker.rollback()
    wait_for(lambda: count(server, "item = 'sent'") == 0, what="the end of what ran")
    assert count(server, "item = 'unsent'") == 1 and [state_of(daemon, r) for r in (first, second)] == ["approved"] * 2
    wait_for(lambda: all(daemon.workers()))
    again = session()
    again.send("delete from orders where item = 'unsent'")
    (third,) = wait_for_pending(daemon)
    assert third["id"] != first["id"] and again.waits() and count(server, "item = 'unsent'") == 1
    decide(daemon, "deny", third, "--reason", "no")
    assert again.answer()["state"] == "42501"
    for review, ran in ((first, False), (second, True)):
        (asked,) = daemon.json("reviews", "show", review["id"])["sessions"]
        recorded = daemon.wayleave("sessions", "show", asked["session"]).stdout
        assert ("review approved" in recorded) == ran, recorded


def test_after_a_crash_nothing_approved_is_lost(daemon, server, session):
    s = session()
    s.send("delete from orders where item = 'crash'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "10m")
    s.answer()
    s.send("update orders set amount = 1 where id = 1")
    (waiting,) = wait_for_pending(daemon)
    daemon.kill()
    daemon.start()
    assert state_of(daemon, review) == "approved" and state_of(daemon, waiting) == "cancelled"
    (grant,) = daemon.json("grants", "list")
    again = session()
    assert again("delete from orders where item = 'crash'")["count"] == 0
    assert daemon.wayleave("grants", "revoke", grant["id"]).returncode == 0


@pytest.mark.parametrize("delay", [0, 0.01, 0.03, 0.1])
def test_killed_around_a_decision(daemon, server, session, delay):
    """Whenever that is: what a reviewer was told is so afterwards, and nothing runs that nobody approved."""
    item = f"killed {delay}"
    add(server, item)
    s = session()
    s.send(f"delete from orders where item = '{item}'")
    (review,) = wait_for_pending(daemon)
    deciding = subprocess.Popen([BUILD / "wayleave", "reviews", "approve", review["id"]], env=daemon.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay)
    daemon.kill()
    acknowledged = deciding.wait() == 0
    daemon.start()
    state = state_of(daemon, review)
    assert state == "approved" if acknowledged else state in ("approved", "cancelled")
    # Its session ended with the daemon; the server may be told later.
    wait_for(lambda: server.sql(f"select count(*) from pg_stat_activity where pid = {s.pid}", database="shop").strip() == "0")
    assert state == "approved" or count(server, f"item = '{item}'") == 1
    assert not pending(daemon)


@pytest.mark.parametrize("grant", [None, "5m"])
def test_a_grant_that_the_rules_end_while_nothing_runs(daemon, server, session, grant):
    """Its rule is gone, or gives less, at the next start: that starts, and the grant is revoked."""
    s = session()
    s.send("delete from orders where item = 'stale'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "10m")
    s.answer()
    (before,) = daemon.json("grants", "list")
    daemon.stop()
    changed = [{**rule, "review": {"by": "dba", "grant": grant}} if grant else {**rule, "name": "another rule"}
               for rule in RULES[1:2]]
    try:
        daemon.write_rules([*RULES[:1], *changed, *RULES[2:]])
        daemon.start()
        assert daemon.json("grants", "list") == []
        again = session()
        again.send("delete from orders where item = 'stale'")
        (review,) = wait_for_pending(daemon)
        decide(daemon, "deny", review, "--reason", "no")
        assert again.answer()["state"] == "42501"
        assert re.search(rf"revoked.*{before['id']}", daemon.wayleave("audit", "export").stdout)
    finally:
        if not daemon.process:
            daemon.start()
        daemon.write_rules(RULES)
        daemon.reload()


def test_decisions_are_in_the_audit_log_and_the_recording(daemon, server, session):
    s = session()
    s.send("delete from orders where item = 'audited'")
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--reason", "ticket 4711")
    s.answer()
    (entry,) = [r for r in audit(daemon) if r.get("event") == "approved" and r["subject"] == review["id"]]
    assert entry["detail"] == "by root at the command line: ticket 4711 (agent demo, 1 waiting, digest " + review["digest"] + ")"
    assert daemon.wayleave("audit", "verify").returncode == 0
    newest = max(daemon.json("sessions", "list"), key=lambda x: x["start"])
    shown = daemon.wayleave("sessions", "show", newest["id"]).stdout
    assert "review approved" in shown and review["id"] in shown and "by: root" in shown, shown


def test_a_long_reason_arrives_whole(daemon, server, session):
    """As the agent reads text: what its encoding does not have, or we do not know of it, is a question mark."""
    reason = "nö " + 980 * "ü"
    for encoding, expected in (("utf8", reason), ("latin1", reason), ("win1252", re.sub("[^ -~]", "?", reason))):
        s = session(f"client_encoding={encoding}")
        s.send(f"delete from orders where item = '{encoding}'")
        (review,) = wait_for_pending(daemon)
        decide(daemon, "deny", review, "--reason", reason)
        assert s.answer()["error"] == f"wayleave: denied by root (review {review['id']}): {expected}"
        assert reason in [r.get("detail") for r in audit(daemon) if r.get("review") == review["id"]]
        s.close()


def test_many_are_held_at_once(daemon, server):
    """More than there are connections of one pool, and the others go on meanwhile."""
    code = "import psycopg2, sys, threading\n" \
           "def run(i):\n" \
           "    c = psycopg2.connect(sys.argv[1]); c.autocommit = True\n" \
           "    c.cursor().execute(f'delete from orders where id = {100000 + i}')\n" \
           "all = [threading.Thread(target=run, args=(i,)) for i in range(40)]\n" \
           "[t.start() for t in all]; [t.join() for t in all]; print('done')"
    p = daemon.popen("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app",
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    reviews = wait_for_pending(daemon, 40, timeout=20)
    done = daemon.run("psql", "-X", "-A", "-t", f"host=127.0.0.1 port={server.port} dbname=shop user=app", "-c", "select 1 from orders limit 1")
    assert done.stdout == "1\n"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda r: decide(daemon, "approve", r), reviews))
    assert p.communicate(timeout=20)[0] == "done\n"
