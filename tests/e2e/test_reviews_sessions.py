# SPDX-License-Identifier: Apache-2.0
"""Sessions that go on: what a grant let them prepare, how a batch of the extended protocol that waits ends, and what is read again before what
was approved runs."""
import time

import pytest
from conftest import make_config
from harness.reviews import (  # noqa: F401
    LINE,
    REVIEWERS,
    RULES,
    Script,
    Z,
    add,
    bound,
    count,
    decide,
    pending,
    session,
    wait_for_pending,
)
from harness.stalling import stalling  # noqa: F401
from harness.waiting import wait_for

MORE = [
    {"name": "cursors", "operations": ["cursor"], "allow": {}},
    {"name": "own tables", "operations": ["write", "select"], "objects": ["pg_temp.*"], "allow": {}},
    {"name": "own tables that need a person", "operations": ["delete", "select"], "objects": ["pg_temp.held"], "review": {"by": "dba"}},
    {"name": "code needs a person", "operations": ["function"], "objects": ["public.judged()"], "review": {"by": "dba"}},
    {"name": "what moves needs a person", "operations": ["delete", "select"], "objects": ["moving.a"], "review": {"by": "dba"}},
]
READ = "select id from customers order by id"


@pytest.fixture(scope="module")
def daemon(server, stalling, tmp_path_factory):
    from harness import daemon as daemons
    config = make_config(server.port, reviewers=REVIEWERS, resource={"hosts": [f"127.0.0.1:{port}" for port in (server.port, stalling.port)]})
    d = daemons.Daemon(tmp_path_factory.mktemp("sessions"), config, RULES + MORE)
    yield d
    d.close()


# What is there when the grants end, and what is asked for then.
OPEN = {
    "bound": ([("batch", [*bound("delete from orders where item = 'kept'", "p"), ("S",)]), Z], [("batch", [("E", "p"), ("S",)]), Z]),
    "begun": ([("batch", [*bound(READ, "p"), ("E", "p", 1), ("S",)]), Z], [("batch", [("E", "p", 1), ("S",)]), Z]),
    "in one batch": ([("batch", [*bound(READ, "p"), ("E", "p", 1), ("H",)]), ("wait", "s")], [("batch", [("E", "p", 1), ("S",)]), Z]),
    "declared": ([("Q", f"declare c cursor for {READ}"), Z, ("batch", [("E", "c", 1), ("S",)]), Z], [("batch", [("E", "c", 1), ("S",)]), Z]),
    "fetched": ([("Q", f"declare c cursor for {READ}"), Z, ("Q", "fetch 1 from c"), Z], [("Q", "fetch 1 from c"), Z]),
    "prepared": ([("batch", [*bound(READ, "", "s"), ("E",), ("S",)]), Z], [("batch", [("B", "", "s"), ("E",), ("S",)]), Z]),
    "prepared by SQL": ([("Q", f"prepare s as {READ}"), Z, ("Q", "execute s"), Z], [("Q", "execute s"), Z]),
}
ASKED = ("fetched", "prepared", "prepared by SQL")  # of the others nobody is asked: they have to be bound again


def grant(daemon, s, statement, time="5m"):
    s.send(statement)
    wait_for(lambda: not s.waits() or pending(daemon))
    for review in pending(daemon):  # none where a grant covers it
        decide(daemon, "approve", review, "--for", time)
    return s.answer()


def test_what_a_grant_let_open_sessions_have_ends_with_it(daemon, server, session):  # noqa: F811
    """Portals, cursors and prepared statements of before need a grant of the moment, or a person."""
    server.sql("delete from orders where item = 'kept'", database="shop")
    add(server, "kept")
    s = session()
    for statement in ("delete from orders where item = 'seed'", "begin", f"declare seed cursor for {READ}", "fetch 1 from seed", "rollback", READ):
        assert "error" not in grant(daemon, s, statement), statement
    ended = Script(daemon, server, ("Q", "begin"), Z, LINE, ("batch", [*bound("update orders set amount = 2 where item = 'kept'", "p"), ("S",)]), Z,
                   LINE, ("batch", [("E", "p"), ("S",)]), Z)
    ended.stopped()
    grant(daemon, s, "update orders set amount = 1 where item = 'seed'", "4s")
    ended.go_on()
    (brief,) = [g for g in daemon.json("grants", "list") if "update" in g["operations"]]
    scripts = {name: Script(daemon, server, ("Q", "begin"), Z, *there, LINE, *then) for name, (there, then) in OPEN.items()}
    for script in (ended, *scripts.values()):
        script.stopped()
    assert not pending(daemon)
    for each in daemon.json("grants", "list"):
        if each["id"] != brief["id"]:
            assert daemon.wayleave("grants", "revoke", each["id"]).returncode == 0
    for script in scripts.values():
        script.go_on()
    for review in wait_for_pending(daemon, len(ASKED)):
        decide(daemon, "deny", review, "--reason", "its grant has ended")
    for name, script in scripts.items():
        assert script.end()[-2:] == ["42501", "E"], name
    wait_for(lambda: not daemon.json("grants", "list"))
    ended.go_on()
    assert ended.end() == ["BEGIN", "T", "T", "42501", "E"]
    assert count(server, "item = 'kept' and amount = 1") == 1 and not pending(daemon)


DELETE = bound("delete from orders where item = $1", values=["cancelled"])


def test_a_cancel_of_a_batch_leaves_the_state_that_the_server_has(daemon, server, session):  # noqa: F811
    """One error and one ReadyForQuery, with what the server then says of the transaction; and what stood before it in the batch is undone."""
    server.sql("delete from orders where item = 'cancelled'", database="shop")
    add(server, "cancelled")
    held = [*DELETE, ("E",), *DELETE, ("E",), ("S",)]
    stop = [("wait", "N"), ("cancel",), Z]
    after = [("Q", "select 42"), Z]
    behind = [*bound("insert into mine values (1)"), ("E",), *held]
    scripts = {
        "alone": (Script(daemon, server, ("batch", held), *stop, *after), ["57014", "I", "SELECT 1", "I"]),
        "in a transaction": (Script(daemon, server, ("Q", "begin"), Z, ("batch", held), *stop, *after, ("Q", "rollback"), Z),
                             ["BEGIN", "T", "57014", "E", "25P02", "E", "ROLLBACK", "I"]),
        "behind others": (Script(daemon, server, ("Q", "create temporary table mine (i int)"), Z, ("batch", behind), *stop,
                                 ("Q", "select * from mine"), Z), ["CREATE TABLE", "I", "INSERT 0 1", "57014", "I", "SELECT 0", "I"]),
        "of two batches": (Script(daemon, server, ("batch", [*held, *bound("select 1"), ("E",), ("S",)]), *stop, Z, *after),
                           ["57014", "I", "SELECT 1", "I", "SELECT 1", "I"]),
        "by a Query": (Script(daemon, server, ("Q", "begin"), Z, ("Q", "delete from orders where item = 'cancelled'"), *stop, ("Q", "rollback"), Z),
                       ["BEGIN", "T", "57014", "E", "ROLLBACK", "I"]),
    }
    for name, (script, expected) in scripts.items():
        assert script.end() == expected, name
    wait_for(lambda: not pending(daemon))
    assert count(server, "item = 'cancelled'") == 1


def test_the_deadline_of_a_batch_leaves_the_state_that_the_server_has(daemon, server):
    late = [*bound("insert into orders (customer, item) values (1, $1)", values=["too late"]), ("E",), ("S",)]
    inside = Script(daemon, server, ("Q", "begin"), Z, ("batch", late), Z, ("Q", "select 1"), Z, ("Q", "commit"), Z)
    outside = Script(daemon, server, ("batch", late), Z, ("Q", "select 1"), Z)
    assert inside.end() == ["BEGIN", "T", "42501", "E", "25P02", "E", "ROLLBACK", "I"]
    assert outside.end() == ["42501", "I", "SELECT 1", "I"]
    assert count(server, "item = 'too late'") == 0


def test_a_server_that_says_nothing_for_long(daemon, server, stalling):
    """Its library hears something before people are asked and behind their approval, too; and they are asked, without a preview."""
    add(server, "stalled")
    stalling.stall(b"wayleave_preview_")
    try:
        script = Script(daemon, stalling, ("Q", "delete from orders where item = 'stalled'"), ("wait", "S"), LINE, ("wait", "N"), LINE,
                        *[("wait", "S")] * 3, LINE, Z)
        script.stopped()
        script.go_on()
        (review,) = wait_for_pending(daemon)
        assert daemon.json("reviews", "show", review["id"])["preview"] == "no preview: the server took too long"
        script.stopped()
        decide(daemon, "approve", review)
        script.go_on()
        script.stopped()
        assert count(server, "item = 'stalled'") == 1
    finally:
        stalling.go_on()
    script.go_on()
    assert script.end() == ["DELETE 1", "I"]


def test_in_a_failed_transaction_nothing_is_previewed(daemon, server):
    """But people are asked about what would run behind its end."""
    script = Script(daemon, server, ("Q", "begin"), Z, ("Q", "select no_such_column from orders"), Z,
                    ("Q", "rollback; delete from orders where id = 999"), Z)
    (review,) = wait_for_pending(daemon)
    assert daemon.json("reviews", "show", review["id"])["preview"] == "no preview: the transaction has failed"
    decide(daemon, "deny", review, "--reason", "only looking")
    assert script.end() == ["BEGIN", "T", "42703", "E", "42501", "E"]


CHANGES = {
    "DateStyle": ("datestyle = 'ISO, DMY'", "DateStyle: ISO, DMY"),
    "array_nulls": ("array_nulls = off", "array_nulls: off"),
    # It is not the same text any more, by which nothing can be judged.
    "standard_conforming_strings": ("standard_conforming_strings = off", "standard_conforming_strings: off"),
}


@pytest.mark.parametrize("setting", CHANGES)
def test_a_setting_of_the_whole_server_changes_while_it_waits(daemon, server, session, setting):  # noqa: F811
    """An open session that has none of its own gets it at once, without a word to us where it is not one that the server reports."""
    change, shown = CHANGES[setting]
    text = "delete from orders where item = '' || date '01/02/2026' and id = any ('{null}')"
    s = session()
    s.send(text)
    (review,) = wait_for_pending(daemon)
    assert shown not in daemon.json("reviews", "show", review["id"])["settings"].split("\n")
    try:
        server.sql(f"alter system set {change}")
        server.sql("select pg_reload_conf()")
        wait_for(lambda: server.sql(f"show {setting}") == shown.partition(": ")[2])
        before = server.log.stat().st_size
        decide(daemon, "approve", review)
        if setting != "standard_conforming_strings":
            (again,) = wait_for_pending(daemon)
            assert again["text"] == text and again["digest"] != review["digest"] and s.waits()
            assert shown in daemon.json("reviews", "show", again["id"])["settings"].split("\n")
            decide(daemon, "deny", again, "--reason", "not that")
        got = s.answer()
        assert got["state"] == "42501" and ("standard_conforming_strings is off" in got["error"]) is (setting == "standard_conforming_strings"), got
        assert f"statement: {text}" not in server.log.read_bytes()[before:].decode()
    finally:
        server.sql(f"alter system reset {setting}")
        server.sql("select pg_reload_conf()")


def test_null_and_the_empty_text_are_two_questions(daemon, server):
    scripts = [Script(daemon, server, ("batch", [*bound("update orders set item = $1 where id = -1", values=[value]), ("E",), ("S",)]), Z)
               for value in (None, "", None)]
    reviews = wait_for_pending(daemon, 2)
    wait_for(lambda: sorted(r["waiters"] for r in pending(daemon)) == [1, 2])
    shown = [daemon.wayleave("reviews", "show", r["id"]).stdout for r in reviews]
    assert sorted("$1 = ''" in text for text in shown) == [False, True]
    for review in reviews:
        decide(daemon, "deny", review, "--reason", "no")
    assert [script.end() for script in scripts] == [["42501", "I"]] * 3


def test_a_function_does_something_else_by_then(daemon, server, session):  # noqa: F811
    """Approve A, run B: the text is the same, and so is the function's name."""
    body = "create or replace function judged(i int) returns int language plpgsql as 'begin return {}; end'"
    server.sql(body.format("i"), database="shop")
    try:
        s = session()
        s.send("select judged(1)")
        (review,) = wait_for_pending(daemon)
        server.sql(body.format("i + 1"), database="shop")
        decide(daemon, "approve", review)
        (again,) = wait_for_pending(daemon)
        assert again["digest"] != review["digest"] and s.waits()
        decide(daemon, "approve", again)
        assert s.answer()["rows"] == [["2"]]
    finally:
        server.sql("drop function judged", database="shop")


HELD_TABLE = ("create temporary table held (a int, b int)", "delete from held where a = 1")
HELD_VIEW = ("create temporary view held as select 1 as x", "select x from held")


@pytest.mark.parametrize("made, held, change", [
    (*HELD_TABLE, "alter table {0}.held rename a to c; alter table {0}.held rename b to a"),
    (*HELD_TABLE, "drop table {0}.held"),
    (*HELD_VIEW, 'create or replace rule "_RETURN" as on select to {0}.held do instead select 2 as x'),
], ids=["columns", "dropped", "view"])
def test_what_is_the_sessions_own_is_something_else_by_then(daemon, server, session, made, held, change):  # noqa: F811
    """Approve A, run B: who may change what this session made for itself does so while it waits."""
    server.sql("create table public.held (a int); insert into held values (1); grant all on held to app", database="shop")
    try:
        s = session()
        assert "error" not in s(made)
        s.send(held)
        (review,) = wait_for_pending(daemon)
        schema = server.sql("select relnamespace::regnamespace from pg_class where relname = 'held' and relnamespace <> 'public'::regnamespace",
                            database="shop")
        server.sql(change.format(schema), database="shop")
        decide(daemon, "approve", review)
        if change.startswith("drop"):
            got = s.answer()
            assert "no rule allows delete on public.held" in got["error"], got
        else:
            (again,) = wait_for_pending(daemon)
            assert again["digest"] != review["digest"] and s.waits()
            decide(daemon, "deny", again, "--reason", "no")
            assert s.answer()["state"] == "42501"
    finally:
        server.sql("drop table public.held", database="shop")


SWAP = "alter table moving.a rename to old; alter table moving.b rename to a"
TO_MOVE = "delete from moving.a where id = 1"


@pytest.fixture
def moving(server, session):  # noqa: F811
    server.sql("create schema moving; grant usage on schema moving to app; create table moving.a (id int); create table moving.b (id int);"
               "insert into moving.b values (1); insert into moving.a values (1), (2); grant all on moving.a, moving.b to app;"
               "create function judged(i int) returns int language plpgsql as 'begin return i; end'", database="shop")
    assert session()("update moving.a set id = 1")["state"] == "42501"  # no rule allows it, but the names are known from then on
    yield
    server.sql("drop schema moving cascade; drop function judged", database="shop")


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_transaction_that_sees_old_names_is_not_asked_about(daemon, server, session, moving, level):  # noqa: F811
    """Approve A, run B: its own look at the catalog is as old as its snapshot, while the server goes by the names of the moment."""
    s = session()
    for statement in (TO_MOVE, "select judged(1)"):
        s(f"begin isolation level {level}")
        s("select 1 from orders")
        got = s(statement)
        assert got["state"] == "42501" and "begin a new one, with this statement first" in got["error"] and not pending(daemon), (statement, got)
        s("rollback")
    s("begin")
    s("select 1 from orders")
    s.send(TO_MOVE)
    (review,) = wait_for_pending(daemon)
    decide(daemon, "approve", review)
    assert s.answer()["count"] == 1
    s("rollback")


@pytest.mark.parametrize("others", [None, SWAP, "create or replace function judged(i int) returns int language plpgsql as 'begin return 7; end'"],
                         ids=["nothing", "table", "body"])
def test_a_transaction_that_begins_with_what_waits(daemon, server, session, moving, others):  # noqa: F811
    """Its snapshot is taken when it is approved, so what others changed is seen."""
    s = session()
    statement, done = (TO_MOVE, {"count": 1}) if others in (None, SWAP) else ("select judged(1)", {"rows": [["1"]]})
    time.sleep(0.7)  # names are to be compared again
    s("begin isolation level repeatable read")
    s.send(statement)
    (review,) = wait_for_pending(daemon)
    assert server.sql(f"select state, backend_xmin is null from pg_stat_activity where pid = {s.pid}", database="shop").strip() == "idle in transaction|t"
    if others:
        server.sql(others, database="shop")
    decide(daemon, "approve", review)
    got = s.answer()
    if others:
        assert got["state"] == "42501" and "begin a new one" in got["error"] and not pending(daemon), got
    else:
        assert done.items() <= got.items(), got
    s("rollback")
    # It was judged by an old snapshot's names, perhaps; others are not.
    assert "error" not in session()("select 1 from orders limit 1")
