# SPDX-License-Identifier: Apache-2.0
"""Pipelines: what of one needs the same people is decided at once, and runs as it was decided."""
import json
import subprocess
import time

import psycopg2
import pytest
from conftest import make_config
from harness import waiting
from harness.reviews import add, count, decide, nothing_left, pending, start, state_of, wait_for_pending  # noqa: F401

pytestmark = pytest.mark.usefixtures("nothing_left")

REVIEWERS = {"dba": {"local_users": ["root"]}, "security": {"local_users": ["root"]}}
RULES = [
    {"name": "read", "operations": ["read"], "objects": ["public.orders"], "allow": {}},
    {"name": "deletes need a person", "operations": ["delete"], "objects": ["public.orders"], "review": {"by": "dba", "grant": "30m"}},
    {"name": "updates too", "operations": ["update"], "objects": ["public.orders"], "review": {"by": "dba", "within": "5m", "grant": "10m"}},
    {"name": "secrets are others' business", "operations": ["delete", "select"], "objects": ["public.secrets"], "review": {"by": "security"}},
    {"name": "other deletes", "operations": ["delete", "select"], "objects": ["public.other"], "review": {"by": "dba"}},
    {"name": "schema changes", "operations": ["create", "alter", "drop", "write", "select"], "objects": ["public.made", "public.made_*"], "review": {"by": "dba"}},
    {"name": "temporary tables", "operations": ["create"], "objects": ["pg_temp.*"], "allow": {}},
    {"name": "roles", "operations": ["set_role"], "allow": {}},
]


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    from harness import daemon as daemons
    server.sql("create table public.other (item text); grant all on other to app", database="shop")
    d = daemons.Daemon(tmp_path_factory.mktemp("pipelines"), make_config(server.port, reviewers=REVIEWERS), RULES)
    yield d
    d.close()
    server.sql("drop table other", database="shop")


def query(text, *values):
    return [("P", "", text), ("B", "", "", list(values)), ("D", "P", ""), ("E", "")]


def pipeline(daemon, server, *queries):
    """Sends them in one piece, up to a Sync, and then a simple query."""
    batch = [message for q in queries for message in q]
    return start(daemon, server, ("batch", [*batch, ("S",)]), ("wait", "Z"), ("Q", "select 42"), ("wait", "Z"), ("close",))


def finish(p):
    """Tags and errors that came, but those of the login."""
    out, err = p.communicate(timeout=15)
    assert p.returncode == 0, err
    kinds = []
    for message in json.loads(out):
        if message[0] == "C":
            kinds.append(message[1])
        elif message[0] == "E":
            kinds.append(message[1]["C"])
    return kinds


def show(daemon, review):
    return daemon.json("reviews", "show", review["id"])


def test_one_review_for_all_of_it(daemon, server):
    # Other tests of this server leave rows of these names.
    server.sql("delete from orders where item in ('p1', 'p2', 'p3')", database="shop")
    add(server, "p1")
    add(server, "p2")
    p = pipeline(daemon, server, query("select count(*) from orders"), query("delete from orders where item = $1", "p1"),
                 query("select 1"), query("update orders set amount = $1 where item = $2", "17", "p2"),
                 query("delete from orders where item = $1", "p3"))
    (review,) = wait_for_pending(daemon)
    shown = show(daemon, review)
    assert [(s["text"], [v["text"] for v in s["parameters"]]) for s in shown["statements"]] == [
        ("delete from orders where item = $1", ["p1"]), ("update orders set amount = $1 where item = $2", ["17", "p2"]),
        ("delete from orders where item = $1", ["p3"])]
    assert shown["text"] == "\n;\n".join(s["text"] for s in shown["statements"]) and shown["parameters_total"] == 4
    assert [(v["statement"], v["number"], v["text"]) for v in shown["parameters"]] == [(1, 1, "p1"), (2, 1, "17"), (2, 2, "p2"), (3, 1, "p3")]
    assert shown["rules"] == ["deletes need a person", "updates too"] and set(shown["operations"]) >= {"delete", "update"}
    assert shown["grant_limit"] == 600 and shown["preview"] == "no preview: it is part of a batch"
    text = daemon.wayleave("reviews", "show", review["id"]).stdout
    assert "statement 2 of 3 (45 bytes)\n    | update orders set amount = $1 where item = $2\n  parameters of statement 2\n    $1 = '17'" in text, text
    decide(daemon, "approve", review)
    assert finish(p) == ["SELECT 1", "DELETE 1", "SELECT 1", "UPDATE 1", "DELETE 0", "SELECT 1"]
    assert count(server, "item = 'p1'") == 0 and count(server, "item = 'p2' and amount = 17") == 1
    wait_for_pending(daemon, 0)


def test_several_statements_of_one_simple_query_are_one(daemon, server):
    add(server, "q1")
    add(server, "q2")
    whole = "delete from orders where item = 'q1'; update orders set amount = 18 where item = 'q2'; select 7"
    wrong = "update orders set amount = 19 where item = 'q2'; delete from orders where item = 'q2' and 1 / (amount - amount) > 0"
    for text, tags, amount in ((whole, ["DELETE 1", "UPDATE 1", "SELECT 1"], 18), (wrong, ["UPDATE 1", "22012"], 18)):
        p = start(daemon, server, ("Q", text), ("wait", "Z"), ("close",))
        (review,) = wait_for_pending(daemon)
        assert show(daemon, review)["text"] == text and "statements" not in show(daemon, review)
        decide(daemon, "approve", review)
        assert finish(p) == tags and not pending(daemon)
        assert count(server, "item = 'q1'") == 0 and count(server, f"item = 'q2' and amount = {amount}") == 1


def test_what_runs_is_exactly_what_was_sent(daemon, server):
    """White space, comments and all, in either protocol."""
    for way, text in enumerate(("\t delete  from\torders\r\n /* a /* nested\r\n */ one */ where item = E'na\\u00efve'\n-- \u00fc\u2003 \n  ;\r\n ",
                                "\r\ndelete\u0020\u0020from\n\torders /**/ where--\n\titem = $1 and '$2'<>'  ' -- \u65e5 ")):
        p = start(daemon, server, ("Q", text), ("wait", "Z"), ("close",)) if way == 0 else start(
            daemon, server, ("batch", [*query(text, "x"), ("S",)]), ("wait", "Z"), ("close",))
        (review,) = wait_for_pending(daemon)
        assert show(daemon, review)["text"] == text
        before = server.log.stat().st_size
        decide(daemon, "approve", review)
        assert finish(p) == ["DELETE 0"]
        # The log begins each further line with a tab, which is not the statement's.
        logged, lines = server.log.read_bytes()[before:], text.encode().replace(b"\n", b"\n\t")
        assert (b"statement: ", b"execute <unnamed>: ")[way] + lines + b"\n" in logged, logged


def test_each_is_recorded_with_the_review(daemon, server):
    p = pipeline(daemon, server, query("delete from orders where item = $1", "r1"), query("delete from orders where item = $1", "r2"))
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    assert finish(p) == ["DELETE 0", "DELETE 0", "SELECT 1"]
    session_id = show(daemon, review)["sessions"][0]["session"]
    text = daemon.wayleave("sessions", "show", session_id).stdout
    assert text.count(review["id"]) == 2, text


def test_a_denial_fails_all_of_it(daemon, server):
    add(server, "d1")
    p = pipeline(daemon, server, query("select 1"), query("delete from orders where item = $1", "d1"),
                 query("select count(*) from orders"), query("delete from orders where item = $1", "d1"))
    (review,) = wait_for_pending(daemon)
    decide(daemon, "deny", review, "--reason", "no")
    assert finish(p) == ["SELECT 1", "42501", "SELECT 1"]
    assert count(server, "item = 'd1'") == 1 and not pending(daemon)


def test_the_first_of_a_batch_is_planned(daemon, server):
    p = pipeline(daemon, server, query("delete from orders where item = $1", "not there"), query("delete from orders where item = $1", "nor there"))
    (review,) = wait_for_pending(daemon)
    preview = show(daemon, review)["preview"]
    assert preview.startswith("of the first statement:\nDelete on orders") and "\nno preview of the statements behind it: " in preview, preview
    decide(daemon, "approve", review)
    assert finish(p) == ["DELETE 0", "DELETE 0", "SELECT 1"]


def test_an_approval_is_for_that_pipeline_alone(daemon, server):
    """An error before its end takes the rest of the approval with it."""
    wrong = query("update orders set amount = 1 / (amount - amount) where item = $1", "e1")
    gone = query("delete from orders where item = $1", "e1")
    add(server, "e1")
    batch = [*query("update orders set amount = amount where item = $1", "e1"), *wrong, *gone, ("S",), *gone, ("S",)]
    p = start(daemon, server, ("batch", batch), ("wait", "Z"), ("wait", "Z"), ("close",))
    (review,) = wait_for_pending(daemon)
    assert len(show(daemon, review)["statements"]) == 3
    decide(daemon, "approve", review)
    (again,) = wait_for_pending(daemon)
    assert again["id"] != review["id"] and again["text"] == gone[0][2] and "statements" not in show(daemon, again)
    decide(daemon, "deny", again, "--reason", "no")
    assert finish(p) == ["UPDATE 1", "22012", "42501"]
    assert count(server, "item = 'e1'") == 1


def test_other_values_are_another_pipeline(daemon, server):
    digests = set()
    for values in (("a", "b"), ("a", "c"), ("ab", "")):
        p = pipeline(daemon, server, *(query("delete from orders where item = $1", value) for value in values))
        (review,) = wait_for_pending(daemon)
        digests.add(review["digest"])
        decide(daemon, "deny", review, "--reason", "no")
        assert finish(p) == ["42501", "SELECT 1"]
    assert len(digests) == 3


BEGIN, SET = "begin isolation level {}", "set default_transaction_isolation = '{}'"
PAIR = ("delete from orders where item = 'snapshot'", "update orders set amount = 3 where item = 'seen'")
# What is sent before the batch, and the batch, which the agent has in a transaction of its own at that level.
SNAPSHOTS = {
    "unnamed": ([("Q", BEGIN), ("wait", "Z")], [*query(PAIR[0]), *query(PAIR[1])]),
    "prepared": ([("batch", [("P", "a", PAIR[0]), ("P", "b", PAIR[1]), ("S",)]), ("wait", "Z"), ("Q", BEGIN), ("wait", "Z")],
                 [("B", "", "a"), ("E",), ("B", "", "b"), ("E",)]),
    "among others": ([("Q", BEGIN), ("wait", "Z")], [*query(PAIR[0]), *query("select count(*) from orders where item = 'snapshot'"), *query(PAIR[1])]),
    "behind what it makes": ([("Q", BEGIN), ("wait", "Z")], [*query("create table made_snapshot (item text)"), *query(PAIR[0]), *query(PAIR[1]),
                                                             *query("insert into made_snapshot values ('x')")]),
    "with its beginning": ([], [*query(BEGIN), *query(PAIR[0]), *query(PAIR[1])]),
    "with what reads nothing": ([], [*query("begin"), *query("set transaction isolation level {}"), *query("savepoint a"), *query(PAIR[0]), *query(PAIR[1])]),
    "by the session's setting": ([("Q", SET), ("wait", "Z")], [*query(PAIR[0]), *query(PAIR[1])]),
}


def at_level(steps, level):
    return [tuple(part.format(level) if isinstance(part, str) and "{}" in part else part for part in step) if step[0] != "batch" else ("batch", at_level(step[1], level))
            for step in steps]


def run_at(daemon, server, way, level):
    server.sql("drop table if exists made_snapshot; delete from orders where item in ('snapshot', 'seen')", database="shop")
    add(server, "snapshot")
    add(server, "seen")
    before, batch = (at_level(steps, level) for steps in SNAPSHOTS[way])
    p = start(daemon, server, *before, ("batch", [*batch, ("S",)]), ("wait", "Z"), ("Q", "commit"), ("wait", "Z"), ("close",))
    (review,) = wait_for_pending(daemon)
    assert len(show(daemon, review)["statements"]) >= 2
    decide(daemon, "approve", review)
    return finish(p)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
@pytest.mark.parametrize("way", SNAPSHOTS)
def test_a_transaction_that_sees_the_same_throughout(daemon, server, way, level):
    """All of it was compared with what people approved, in the snapshot that it has from then on. What has to wait for an outcome comes too late
    for that where it takes long, which it does not every time."""
    for _ in range(5 if "makes" in way else 1):
        kinds = run_at(daemon, server, way, level)
        if "42501" not in kinds:
            break
    assert kinds[-1] == "COMMIT" and not {"42501"} & set(kinds) and kinds.count("DELETE 1") == kinds.count("UPDATE 1") == 1, kinds
    assert count(server, "item = 'snapshot'") == 0 and count(server, "item = 'seen' and amount = 3") == 1 and not pending(daemon)
    server.sql("drop table if exists made_snapshot", database="shop")


def test_what_others_change_behind_its_snapshot_is_not_hidden(daemon, server):
    """While it waited: nothing of it runs. And what people are not asked about together with its beginning they are not asked about at all."""
    server.sql("create table public.made_first (i int); grant all on made_first to app", database="shop")
    try:
        batch = [*query("delete from orders where item = $1", "moved"), *query("delete from made_first")]
        p = start(daemon, server, ("Q", BEGIN.format("repeatable read")), ("wait", "Z"), ("batch", [*batch, ("S",)]), ("wait", "Z"), ("close",))
        (review,) = wait_for_pending(daemon)
        server.sql("alter table made_first rename to made_last; create table made_first (i int); grant all on made_first to app", database="shop")
        decide(daemon, "approve", review)
        assert finish(p) == ["BEGIN", "42501"] and not pending(daemon)
        late = [*query("select 1 from orders"), ("S",)], [*query("delete from orders where item = $1", "late"), ("S",)]
        p = start(daemon, server, ("Q", BEGIN.format("repeatable read")), ("wait", "Z"), ("batch", late[0]), ("wait", "Z"),
                  ("Q", "delete from orders where item = 'late'"), ("wait", "Z"), ("close",))
        assert finish(p)[-1] == "42501" and not pending(daemon)
    finally:
        server.sql("drop table if exists made_first, made_last", database="shop")


def reads_first(level):
    """What needs a person behind what read, all sent at once."""
    begin, read, wanted = BEGIN.format(level), "select 1 from orders", "delete from orders where item = 'late'"
    return {
        "one batch": [("batch", [*query(begin), *query(read), *query(wanted), ("S",)]), ("wait", "Z"), ("Q", "rollback"), ("wait", "Z")],
        "implicit": [("Q", SET.format(level)), ("wait", "Z"), ("batch", [*query(read), *query(wanted), ("S",)]), ("wait", "Z")],
        "queries": [("batch", [("Q", begin), ("Q", read), ("Q", wanted), ("Q", "rollback")]), *[("wait", "Z")] * 4],
        "prepared before": [("batch", [("P", "late", wanted), ("S",)]), ("wait", "Z"),
                            ("batch", [*query(begin), *query(read), ("B", "", "late"), ("E",), ("S",)]), ("wait", "Z"), ("Q", "rollback"), ("wait", "Z")],
    }


@pytest.mark.parametrize("level", ["repeatable read", "serializable", "read committed"])
def test_nobody_is_asked_about_what_would_be_refused(daemon, server, level):
    """What others change can't be seen behind what a transaction has read, where it sees the same throughout: that is found out before people are
    asked, however it was begun."""
    asked = 0
    for steps in reads_first(level).values():
        p = start(daemon, server, *steps, ("close",))
        if level == "read committed":
            wait_for_pending(daemon)
            asked += 1
        while level == "read committed" and p.poll() is None:
            for review in pending(daemon):  # once more, where a worker has not heard yet of what another test changed
                daemon.wayleave("reviews", "approve", review["id"])
        kinds = finish(p)
        assert ("42501" in kinds, "DELETE 0" in kinds) == (level != "read committed", level == "read committed"), kinds
    assert not pending(daemon) and asked in (0, 4)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_text_that_begins_its_transaction(daemon, server, level):
    """All of it waits, and so it reads nothing before it is approved."""
    for read in ("", "select count(*) from orders where item = 'text'; "):
        add(server, "text")
        text = f"{BEGIN.format(level)}; {read}delete from orders where item = 'text'; commit"
        p = start(daemon, server, ("Q", text), ("wait", "Z"), ("close",))
        (review,) = wait_for_pending(daemon)
        add(server, "text")
        decide(daemon, "approve", review)
        assert [k for k in finish(p) if k != "SELECT 1"] == ["BEGIN", "DELETE 2", "COMMIT"] and not pending(daemon)


def test_equal_pipelines_share_a_review(daemon, server):
    queries = [query("delete from orders where item = $1", value) for value in ("s1", "s2")]
    ps = [pipeline(daemon, server, *queries) for _ in range(2)]
    (review,) = wait_for_pending(daemon)
    while show(daemon, review)["waiters"] < 2:
        assert len(pending(daemon)) == 1
    decide(daemon, "approve", review)
    assert [finish(p) for p in ps] == [["DELETE 0", "DELETE 0", "SELECT 1"]] * 2


def test_what_needs_others_is_asked_by_itself(daemon, server):
    p = pipeline(daemon, server, query("delete from orders where item = $1", "o1"), query("delete from secrets where id = $1", "99"),
                 query("delete from orders where item = $1", "o2"))
    for rule, text in (("deletes need a person", "orders"), ("secrets are others' business", "secrets"), ("deletes need a person", "orders")):
        (review,) = wait_for_pending(daemon)
        assert review["rule"] == rule and text in review["text"] and "statements" not in show(daemon, review)
        decide(daemon, "approve", review)
        while state_of(daemon, review) == "pending":
            pass
    assert finish(p) == ["DELETE 0", "DELETE 0", "DELETE 0", "SELECT 1"]


def test_what_means_something_else_by_then_is_asked_by_itself(daemon, server):
    """Behind what makes or changes names nothing is known of what follows."""
    p = pipeline(daemon, server, query("delete from orders where item = $1", "m1"), query("create temporary table orders (item text)"),
                 query("delete from orders where item = $1", "m2"))
    (review,) = wait_for_pending(daemon)
    assert "statements" not in show(daemon, review)
    decide(daemon, "approve", review)
    # The second one is of pg_temp.orders, which no rule covers.
    assert finish(p) == ["DELETE 0", "CREATE TABLE", "42501", "SELECT 1"]


def test_what_an_earlier_statement_makes_is_decided_with_it(daemon, server):
    """Behind a change of names each passes only if it is what was shown: that is known when its turn comes."""
    for _ in range(2):
        p = pipeline(daemon, server, query("create table made (item text)"), query("insert into made values ($1)", "one"),
                     query("alter table made add column more int"), query("create index made_items on made (item)"),
                     query("update made set more = $1 where item = 'one'", "7"), query("delete from orders where item = $1", "m3"))
        (review,) = wait_for_pending(daemon)
        shown = show(daemon, review)
        assert len(shown["statements"]) == 6 and not shown.get("unknown"), shown
        assert {"public.made", "public.made_items", "public.orders"} >= set(shown["objects"]) >= {"public.made", "public.orders"}
        decide(daemon, "approve", review)
        assert finish(p) == ["CREATE TABLE", "INSERT 0 1", "ALTER TABLE", "CREATE INDEX", "UPDATE 1", "DELETE 0", "SELECT 1"]
        assert server.sql("select item, more from made", database="shop").strip() == "one|7" and not pending(daemon)
        p = pipeline(daemon, server, query("drop table made"), query("delete from orders where item = $1", "m4"))
        (review,) = wait_for_pending(daemon)
        decide(daemon, "approve", review)
        assert finish(p) == ["DROP TABLE", "DELETE 0", "SELECT 1"] and not pending(daemon)


def test_what_an_earlier_statement_moves_is_decided_with_it(daemon, server):
    """No rule asks about a search_path. It is shown where the meaning of what stands behind hangs on it."""
    add(server, "v1")
    delete = query("delete from public.orders where item = $1", "v1")
    p = pipeline(daemon, server, query("delete from orders where item = $1", "v0"), query("set search_path = pg_catalog"), delete)
    (review,) = wait_for_pending(daemon)
    shown = show(daemon, review)
    assert [s["text"] for s in shown["statements"]][1:] == ["set search_path = pg_catalog", delete[0][2]] and shown["objects"] == ["public.orders"]
    decide(daemon, "approve", review)
    assert finish(p) == ["DELETE 0", "SET", "DELETE 1", "SELECT 1"] and not pending(daemon)
    # Without its schema it is not known which table that will be: it is asked about when it is.
    delete = query("delete from orders where item = $1", "v1")
    p = pipeline(daemon, server, delete, query("set search_path = pg_catalog, public"), delete)
    for _ in range(2):
        (review,) = wait_for_pending(daemon)
        assert delete[0][2] in review["text"] and review["objects"] == ["public.orders"]
        decide(daemon, "approve", review)
        while state_of(daemon, review) == "pending":
            pass
    assert finish(p) == ["DELETE 0", "SET", "DELETE 0", "SELECT 1"]


FIRST, SECOND = query("delete from orders where item = $1", "w0"), query("delete from public.orders where item = $1", "w1")
MOVE = [("P", "move", "set search_path = pg_catalog"), ("B", "moved", "move")]
UNSHOWN = {
    "bound and not run": ([], [*FIRST, *MOVE, *SECOND], ["DELETE 0", "DELETE 0"]),
    "run too late": ([], [*FIRST, *MOVE, *SECOND, ("E", "moved")], ["DELETE 0", "DELETE 0", "SET"]),
    "bound long ago": ([("Q", "begin"), ("wait", "Z"), ("batch", [*MOVE, ("S",)]), ("wait", "Z")],
                       [*FIRST, *query("set search_path = public"), ("E", "moved"), *SECOND], ["BEGIN", "DELETE 0", "SET", "SET", "DELETE 0"]),
    "taken back": ([], [*query("begin"), *FIRST, *query("set search_path = pg_catalog"), *query("rollback"), *SECOND],
                   ["BEGIN", "DELETE 0", "SET", "ROLLBACK", "DELETE 0"]),
}


@pytest.mark.parametrize("way", UNSHOWN)
def test_what_is_shown_is_what_happens(daemon, server, way):
    """What changes names is shown, and counts, only where it runs there, and nothing unshown takes it back."""
    before, batch, tags = UNSHOWN[way]
    p = start(daemon, server, *before, ("batch", [*batch, ("S",)]), ("wait", "Z"), ("close",))
    for asked in (FIRST, SECOND):
        (review,) = wait_for_pending(daemon)
        assert review["text"] == asked[0][2] and "statements" not in show(daemon, review)
        decide(daemon, "approve", review)
        while state_of(daemon, review) == "pending":
            pass
    assert finish(p) == tags


@pytest.fixture
def lent(server):
    server.sql("create role lent; grant lent to app; grant all on orders, other to lent; insert into other values ('a'), ('b'), ('c')", database="shop")
    yield
    server.sql("delete from other; drop owned by lent; drop role lent", database="shop")


LATE = {"role": ("set role lent", "42501"), "path": ("set search_path = pg_catalog", "42501"), "values": ("set datestyle = dmy", "42501"),
        "nothing": ("select 1", "DELETE 0")}


@pytest.mark.parametrize("change", LATE)
def test_what_was_bound_runs_under_the_settings_it_was_decided_by(daemon, server, lent, change):
    """Who runs it, and what triggers and functions behind it see, is settled when it is executed, not when it is bound."""
    text, came = LATE[change]
    p = start(daemon, server, ("Q", "begin"), ("wait", "Z"), ("batch", [("P", "", "delete from orders where item = $1"), ("B", "late", "", ["l1"]), ("S",)]),
              ("wait", "Z"), ("Q", text), ("wait", "Z"), ("batch", [("E", "late"), ("S",)]), ("wait", "Z"), ("close",))
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    assert finish(p)[2:] == [came] and not pending(daemon)


def test_rows_that_are_fetched_in_parts_come_whatever_is_set_meanwhile(daemon, server, lent):
    p = start(daemon, server, ("Q", "begin"), ("wait", "Z"),
              ("batch", [("P", "", "select item from other"), ("B", "parts", ""), ("E", "parts", 2), ("S",)]), ("wait", "Z"),
              ("Q", "set role lent"), ("wait", "Z"), ("batch", [("E", "parts", 2), ("S",)]), ("wait", "Z"), ("close",))
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    assert finish(p) == ["BEGIN", "SET", "SELECT 1"]


def test_a_name_that_is_given_to_another_statement_is_another_review(daemon, server):
    """Of a statement, and of a portal: what was approved under it is not approved for what it means next."""
    first, second = "delete from orders where item = $1", "delete from orders where item < $1"
    p = start(daemon, server, ("Q", "begin"), ("wait", "Z"),
              ("batch", [("P", "s", first), ("B", "p", "s", ["n1"]), ("E", "p"), ("S",)]), ("wait", "Z"),
              ("batch", [("C", "S", "s"), ("C", "P", "p"), ("P", "s", second), ("B", "p", "s", ["n1"]), ("E", "p"), ("S",)]), ("wait", "Z"),
              ("batch", [("C", "P", "p"), ("B", "p", "s", ["n2"]), ("E", "p"), ("S",)]), ("wait", "Z"), ("Q", "rollback"), ("wait", "Z"), ("close",))
    seen = []
    for verb in ("approve", "approve", "deny"):
        (review,) = wait_for_pending(daemon)
        seen.append((review["text"], show(daemon, review)["parameters"][0]["text"]))
        decide(daemon, verb, review, "--reason", "so")
        while state_of(daemon, review) == "pending":
            pass
    assert seen == [(first, "n1"), (second, "n1"), (second, "n2")]
    tags = finish(p)
    assert tags[0] == "BEGIN" and tags[1] == "DELETE 0" and tags[2].startswith("DELETE ") and tags[3:] == ["42501", "ROLLBACK"]


def test_a_grant_that_is_revoked_covers_nothing_more_of_a_pipeline(daemon, server):
    """Not even the next statement before its Sync."""
    delete = query("delete from orders where item = $1", "v2")
    p = pipeline(daemon, server, delete)
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review, "--for", "5m")
    assert finish(p) == ["DELETE 0", "SELECT 1"]
    (grant,) = daemon.json("grants", "list")
    p = start(daemon, server, ("batch", [*delete, ("H",)]), ("wait", "C"), ("line", "covered"), ("batch", [*delete, ("S",)]), ("wait", "Z"), ("close",),
              stdin=subprocess.PIPE)
    assert p.stdout.readline() == "covered\n" and not pending(daemon)
    assert daemon.wayleave("grants", "revoke", grant["id"]).returncode == 0
    p.stdin.write("go on\n")
    p.stdin.flush()
    (review,) = wait_for_pending(daemon)
    decide(daemon, "deny", review, "--reason", "no more")
    assert finish(p) == ["DELETE 0", "42501"]


def test_what_turns_out_otherwise_is_asked_by_itself(daemon, server):
    """Between an approval and its turn another session may change what a name means."""
    server.sql("create table public.made (item text); grant all on made to app; alter table made owner to app",
               database="shop")
    blocker = psycopg2.connect(host=server.data, port=server.port, user="postgres", dbname="shop")
    try:
        p = pipeline(daemon, server, query("create table made_too (item text)"), query("alter table made add column more int"), query("delete from other where item = $1", "o"))
        (review,) = wait_for_pending(daemon)
        statements = len(show(daemon, review)["statements"])
        blocker.cursor().execute("lock table made in access exclusive mode")
        decide(daemon, "approve", review)
        waiting.wait_for(lambda: server.sql("select count(*) from pg_locks where not granted", database="shop").strip() == "1")
        server.sql("drop table other; create table public.other (item text, more int); grant all on other to app", database="shop")
        blocker.rollback()
        (again,) = wait_for_pending(daemon)
        assert statements == 3 and again["text"] == "delete from other where item = $1" and again["id"] != review["id"]
        decide(daemon, "deny", again, "--reason", "no")
        assert finish(p) == ["CREATE TABLE", "ALTER TABLE", "42501", "SELECT 1"]
    finally:
        blocker.close()
        server.sql("drop table made", database="shop")


def test_what_is_gone_by_then(daemon, server):
    """The names are read again at the approval: what stands behind is not what was approved any more."""
    p = pipeline(daemon, server, query("delete from orders where item = $1", "g1"), query("delete from other where item = $1", "g2"))
    (review,) = wait_for_pending(daemon)
    assert len(show(daemon, review)["statements"]) == 2
    server.sql("drop table other; create table public.other (item text, more int); grant all on other to app", database="shop")
    decide(daemon, "approve", review)
    (again,) = wait_for_pending(daemon)
    assert again["digest"] != review["digest"] and len(show(daemon, again)["statements"]) == 2
    decide(daemon, "deny", again, "--reason", "no")
    assert finish(p) == ["42501", "SELECT 1"]
    # What others changed is known within a second or so; until then the next test's actions would be asked about twice.
    time.sleep(2)


def test_a_grant_covers_all_of_it(daemon, server):
    queries = [query("delete from orders where item = $1", "t1"), query("update orders set amount = 1 where item = $1", "t2")]
    p = pipeline(daemon, server, *queries)
    (review,) = wait_for_pending(daemon)
    assert daemon.wayleave("reviews", "approve", review["id"], "--for", "20m").returncode == 1  # the shorter of the two rules
    decide(daemon, "approve", review, "--for", "5m")
    assert finish(p) == ["DELETE 0", "UPDATE 0", "SELECT 1"]
    try:
        assert finish(pipeline(daemon, server, *queries)) == ["DELETE 0", "UPDATE 0", "SELECT 1"]
    finally:
        for grant in daemon.json("grants", "list"):
            daemon.wayleave("grants", "revoke", grant["id"])


def test_a_long_pipeline_is_asked_about_in_pieces(daemon, server):
    p = pipeline(daemon, server, *(query("delete from orders where item = $1", f"l{i}") for i in range(20)))
    sizes = []
    while sum(sizes) < 20:
        (review,) = wait_for_pending(daemon)
        sizes.append(len(show(daemon, review)["statements"]))
        decide(daemon, "approve", review)
        while state_of(daemon, review) == "pending":
            pass
    assert sizes == [16, 4]
    assert finish(p) == ["DELETE 0"] * 20 + ["SELECT 1"]


def test_what_arrives_in_pieces(daemon, server):
    batch = [message for i in range(3) for message in query("delete from orders where item = $1", f"i{i}")]
    p = start(daemon, server, ("batch", batch[:4]), ("sleep", 0.05), ("batch", batch[4:6]), ("sleep", 0.05), ("batch", [*batch[6:], ("S",)]),
              ("wait", "Z"), ("close",))
    (review,) = wait_for_pending(daemon)
    assert len(show(daemon, review)["statements"]) == 3
    decide(daemon, "approve", review)
    assert finish(p) == ["DELETE 0"] * 3
    # Who flushes waits for an answer, and who lets others wait is not waited for.
    for middle in (("H",), None):
        p = start(daemon, server, ("batch", [*batch[:4], *([middle] if middle else [])]), ("sleep", 2), ("batch", [*batch[4:8], ("S",)]), ("wait", "Z"), ("close",))
        for _ in range(2):
            (review,) = wait_for_pending(daemon)
            assert "statements" not in show(daemon, review)
            decide(daemon, "approve", review)
            while state_of(daemon, review) == "pending":
                pass
        assert finish(p) == ["DELETE 0"] * 2


def test_the_server_closes_while_it_waits(daemon, server):
    """The agent gets the server's own words, and nobody is asked any more."""
    p = start(daemon, server, ("Q", "delete from orders where item = 'closed'"), ("wait", "E"), ("close",))
    (review,) = wait_for_pending(daemon)
    server.sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app'", database="shop")
    wait_for_pending(daemon, 0)
    assert finish(p) == ["57P01"] and state_of(daemon, review) == "cancelled"


def test_who_leaves_while_it_arrives(daemon, server):
    p = start(daemon, server, ("batch", query("delete from orders where item = $1", "gone")), ("close",))
    assert finish(p) == [] and not pending(daemon)


def test_a_driver(daemon, server):
    code = "import psycopg, sys\n" \
           "c = psycopg.connect(sys.argv[1], autocommit=True)\n" \
           "with c.pipeline():\n" \
           "    done = [c.execute('delete from orders where item = %s', (f'psycopg{i}',)) for i in range(3)]\n" \
           "print([d.rowcount for d in done])\n" \
           "with c.pipeline(), c.transaction(): c.execute('delete from orders where item = %s', ('x',)); c.execute('update orders set amount = 1 where id = %s', (999,))\n" \
           "print('done')"
    p = daemon.popen("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app",
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for statements in (3, 2):
        (review,) = wait_for_pending(daemon)
        assert len(show(daemon, review)["statements"]) == statements
        decide(daemon, "approve", review)
        while state_of(daemon, review) == "pending":
            pass
    out, err = p.communicate(timeout=15)
    assert out == "[0, 0, 0]\ndone\n", err
