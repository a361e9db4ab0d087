# SPDX-License-Identifier: Apache-2.0
"""What a review says of what a statement would do: the planner's answer and the sizes of what it names, without a trace in
the session that waits."""
import contextlib
import json
import re
import subprocess
import threading
import time

import psycopg2
import pytest
from conftest import make_config
from harness.reviews import REVIEWERS, RULES, add, count, decide, lookups_blocked, pending, session, start, wait_for_pending  # noqa: F401
from harness.waiting import wait_for

DDL = [
    {"name": "schema changes need a person", "operations": ["drop", "truncate", "alter"], "review": {"by": "dba"}},
    {"name": "merges need a person", "operations": ["merge"], "objects": ["public.orders"], "review": {"by": "dba"}},
    {"name": "what has code needs a person", "operations": ["insert", "select"], "objects": ["public.code_*"], "review": {"by": "dba"}},
    {"name": "code needs a person", "operations": ["function"], "objects": ["public.bound()", "public.code()"], "review": {"by": "dba"}},
    {"name": "what is defined by others", "operations": ["create", "grant", "revoke", "comment", "select"], "objects": ["public.asked_*"], "review": {"by": "dba"}},
    {"name": "own tables", "operations": ["create"], "objects": ["public.*"], "allow": {}},
]


@pytest.fixture(scope="module")
def daemon(server, tmp_path_factory):
    from harness import daemon as daemons
    d = daemons.Daemon(tmp_path_factory.mktemp("previews"), make_config(server.port, reviewers=REVIEWERS, workers=1), RULES + DDL)
    yield d
    d.close()


@pytest.fixture
def asked(daemon):
    """Sends a statement and gives what its review says of it, and the review."""
    def ask(s, statement, *arguments):
        s.send(statement, *arguments)
        (review,) = wait_for_pending(daemon)
        return daemon.json("reviews", "show", review["id"])["preview"], review
    return ask


@pytest.fixture
def preview(daemon, asked):
    """What the review says; then it is denied."""
    def ask(s, statement, *arguments):
        text, review = asked(s, statement, *arguments)
        decide(daemon, "deny", review, "--reason", "only looking")
        assert s.answer()["state"] == "42501"
        return text
    return ask


@contextlib.contextmanager
def locked(server, table):
    with contextlib.closing(psycopg2.connect(host=server.data, port=server.port, user="postgres", dbname="shop")) as blocker:
        blocker.cursor().execute(f"lock table {table} in access exclusive mode")
        yield blocker


def activity(server, s, what):
    return server.sql(f"select {what} from pg_stat_activity where pid = {s.pid}", database="shop").strip()


def locks(server, s):
    return server.sql(f"select count(*) from pg_locks where pid = {s.pid} and relation = 'orders'::regclass", database="shop").strip()


def test_the_plan_of_a_write(daemon, server, session, preview):  # noqa: F811
    s = session()
    text = preview(s, "delete from orders where id = 21")
    assert all(part in text for part in ("Delete on orders", "Index Scan using orders_pkey", "Index Cond: (id = 21)")), text
    assert "\npublic.orders: table, " in text and " kB, " in text and " rows" in text, text
    assert "Update on orders" in preview(s, "update orders set amount = 2 where id = 1 and item = 'x'")
    assert s("delete from orders where id = add_one(1)")["state"] == "42501"  # the function is not allowed, so nobody is asked


def test_the_plan_of_a_read_and_of_an_insert(daemon, server, session, preview):  # noqa: F811
    """With the rows that the planner thinks of."""
    server.sql("analyze customers", database="shop")
    s = session()
    text = preview(s, "select id, ssn from customers")
    assert re.search(r"^Seq Scan on customers  \(cost=\S+ rows=20 width=\d+\)$", text, re.M) and "\nthere is no WHERE\n" in text, text
    assert "no WHERE" not in preview(s, "select id, ssn from customers where id in (select id from customers)")
    text = preview(s, "insert into orders (customer, item) select 1, 'x' from generate_series(1, 17)")
    assert re.search(r"^Insert on orders  \(.* rows=0 width=0\)$", text, re.M) and re.search(r"->  .*generate_series.* rows=17 ", text), text


def test_the_plan_of_a_merge(daemon, server, session, preview):  # noqa: F811
    text = preview(session(), "merge into orders o using (values (20, 'x'), (99, 'y')) as n (id, item) on o.id = n.id "
                   "when matched then update set item = n.item when not matched then insert (id, item) values (n.id, n.item)")
    assert "Merge on orders" in text and "\npublic.orders: table, " in text, text


def test_others_of_the_only_worker_go_on(daemon, server, session):  # noqa: F811
    """While the server is slow to say what a statement would do, while people are asked, and while it is slow to say what its names
    mean by then."""
    assert len(daemon.workers()) == 1
    add(server, "alone")
    s, other = session(), session()

    def answers(until):
        number = 0
        while not until():
            assert other("select 1")["rows"] == [["1"]]
            number += 1
        return number

    with locked(server, "orders"):
        s.send("delete from orders where item = 'alone'")
        assert answers(lambda: pending(daemon)) >= 5
    (review,) = pending(daemon)
    assert "alone" in review["text"] and s.waits()
    assert other("select count(*) from orders where item = 'alone'")["rows"] == [["1"]]
    with lookups_blocked(server):
        decide(daemon, "approve", review)
        end = time.monotonic() + 0.5
        assert answers(lambda: time.monotonic() > end) >= 5 and s.waits()
    assert s.answer()["count"] == 1
    assert other("select count(*) from orders where item = 'alone'")["rows"] == [["0"]]


@pytest.mark.parametrize("begin", [None, "begin"])
def test_names_that_changed_just_before_are_read_before_people_are_asked(daemon, server, session, asked, begin):  # noqa: F811
    """Names are compared every half second: without, most of these would need another review when they are approved."""
    s = session()
    try:
        for i in range(4):
            if begin:
                s(begin)
            assert s("select count(*) from orders where id = 999")["rows"] == [["0"]]
            server.sql(f"create table public.just_made_{i} ()", database="shop")
            text, review = asked(s, "delete from orders where id = 999")
            assert "Delete on orders" in text, text
            decide(daemon, "approve", review)
            assert s.answer()["count"] == 0
            if begin:
                s("rollback")
    finally:
        server.sql("drop table if exists " + ", ".join(f"just_made_{i}" for i in range(4)), database="shop")


def test_a_missing_where_is_said(daemon, server, session, asked):  # noqa: F811
    s = session()
    for statement, said in (
            ("delete from orders", True), ("update orders set item = 'x'", True), ("delete from orders where id = 20", False),
            ("merge into orders using (values (1)) as n (id) on true when matched then delete", True),
            ("merge into orders as o using (values (1)) as n (id) on o.id = n.id when matched then delete", False)):
        _, review = asked(s, statement)
        shown = daemon.wayleave("reviews", "show", review["id"]).stdout
        assert ("public.orders (no WHERE: all rows)" in shown) is said, shown
        decide(daemon, "deny", review, "--reason", "only looking")
        assert s.answer()["state"] == "42501"


CODE = """
create function code(i int) returns int immutable language plpgsql as $$ begin raise log 'code ran'; return i; end $$;
create function inlined() returns int volatile language sql as 'select code(1)';
create function key() returns int volatile language plpgsql as 'begin return 1; end';
create operator === (leftarg = int, rightarg = int, function = int4eq);
create domain code_domain as int default code(1);
create domain code_checked as int check (value > code(1));
create domain harmless as int default 1 check (value > 0);
create server elsewhere foreign data wrapper postgres_fdw;
create table code_default (i int, j int default code(1));
create table code_inlined (i int, j int default inlined());
create table code_generated (i int, j int generated always as (code(1)) stored);
create table code_check (i int check (i > code(1)));
create table code_operator (i int check (i === 1));
create table code_index (i int); create index on code_index ((i + code(1)));
create table code_predicate (i int); create index on code_predicate (i) where i > code(1);
create table code_statistics (i int, j int); create statistics code_said on (i + code(1)), j from code_statistics;
create table code_type (i int, d code_domain);
create table code_array (i int, d code_checked[]);
create table code_partition (i int) partition by list (i);
create table code_partition_1 partition of code_partition (i default code(1)) for values in (1);
create table code_key (i int) partition by list ((i + code(1)));
create table code_key_1 partition of code_key for values in (1);
create table code_parent (i int); create table code_child (check (i > code(1))) inherits (code_parent);
create table code_foreign (i int) partition by list (i);
create foreign table code_foreign_1 partition of code_foreign for values in (1) server elsewhere;
create table code_none (i int primary key default key(), d harmless, a harmless[], t timestamptz default now(), check (i < 9), check (t > '2020-01-01'));
create index on code_none (abs(i)) where d > 1;
create table code_rule (i int); create rule r as on insert to code_rule do also select code(1);
"""


def test_planning_runs_no_code_of_users(server, session, preview):  # noqa: F811
    """Planning folds functions that are called immutable, wherever the tables have them."""
    ran = "LOG:  code ran"
    server.sql("create schema code_there; create extension postgres_fdw schema code_there;" + CODE, database="shop")
    tables = re.findall(r"create table (code_\w+)", CODE)
    try:
        server.sql(f"grant all on {', '.join(tables)} to app", database="shop")
        start = len(server.log.read_text())
        server.sql("explain insert into code_default (i) values (1)", database="shop")
        assert ran in server.log.read_text()[start:]
        start = len(server.log.read_text())
        s = session()
        for table in tables:
            for statement in (f"insert into {table} (i) values (1)", f"select i from {table} where i > 7"):
                text = preview(s, statement)
                if table == "code_none":
                    assert not text.startswith("no ") and "(cost=" in text, text
                else:
                    ruled = "it is not a plain read or write" if "insert" in statement else "it reads more than plain tables"
                    why = ruled if table == "code_rule" else "planning it might run code of users, by its tables"
                    assert text.startswith(f"no plan: {why}\npublic.{table}: "), text
        assert ran not in server.log.read_text()[start:]
    finally:
        server.sql(f"drop table {', '.join(reversed(tables))} cascade; drop server elsewhere; drop schema code_there cascade;"
                   "drop operator === (int, int); drop domain code_domain, code_checked, harmless; drop function code, inlined, key", database="shop")


BOUND = """
create sequence ran;
create function bound(i int) returns int immutable security definer language plpgsql as 'begin perform nextval(''ran''); return i; end';
create domain code_domain as int check (bound(value) > 0);
create table code_bound (d code_domain, a code_domain[]);
grant all on code_bound to app;
"""
BINDS = {
    "function": ("select bound($1)", "1"),
    "domain": ("insert into code_bound (d) values ($1)", "1"),
    "array of a domain": ("insert into code_bound (a) values ($1)", "{1,2}"),
    "cast": ("insert into code_bound (d) values (cast($1 as code_domain))", "1"),
}


@pytest.mark.parametrize("way", BINDS)
def test_what_binding_runs_waits_too(daemon, server, way):
    """Planning folds a function over a parameter, and reading a domain's value runs its CHECK: nothing is executed here but a Bind."""
    text, value = BINDS[way]
    server.sql(BOUND, database="shop")
    try:
        def ran():
            return server.sql("select is_called from ran", database="shop") == "t"
        p = start(daemon, server, ("batch", [("P", "", text), ("B", "", "", [value]), ("S",)]), ("wait", "Z"), ("close",))
        (review,) = wait_for_pending(daemon)
        assert review["text"] == text and not ran()
        decide(daemon, "approve", review)
        out, err = p.communicate(timeout=15)
        assert [m[0] for m in json.loads(out) if m[0] in "123EZ"] == ["1", "2", "Z"], (out, err)
        assert ran()
    finally:
        server.sql("drop table code_bound; drop domain code_domain; drop function bound; drop sequence ran", database="shop")


def test_who_waits_for_a_held_transaction_goes_on_when_its_review_ends(daemon, server, session, asked):  # noqa: F811
    s = session()
    s("begin")
    _, review = asked(s, "update orders set item = item where id = 20")
    decide(daemon, "approve", review)
    assert s.answer()["count"] == 1
    with contextlib.closing(psycopg2.connect(host=server.data, port=server.port, user="postgres", dbname="shop")) as other:
        waiter = threading.Thread(target=lambda: other.cursor().execute("update orders set item = item where id = 20"))
        waiter.start()
        blocked = f"select count(*) from pg_stat_activity where pid = {other.info.backend_pid} and wait_event_type = 'Lock'"
        wait_for(lambda: server.sql(blocked) == "1", 30, "the other's wait")
        s.send("insert into orders (item) values ('late')")  # its review ends after two seconds
        wait_for_pending(daemon)
        assert server.sql(blocked) == "1"
        assert s.answer(30)["state"] == "42501"
        waiter.join(30)
        assert not waiter.is_alive()
        other.rollback()
    s("rollback")


def test_in_a_transaction_at_read_committed(daemon, server, session, preview, asked):  # noqa: F811
    s = session()
    for begin in ("begin", "begin isolation level read uncommitted"):
        s(begin)
        s("savepoint mine")
        text, review = asked(s, "delete from orders where id = 20")
        assert "Delete on orders" in text and "public.orders: table" in text, text
        # Nothing is left of it: no lock, no setting, no savepoint, no transaction id.
        assert activity(server, s, "state, backend_xid is null") == "idle in transaction|t" and locks(server, s) == "0"
        decide(daemon, "approve", review)
        got = s.answer()
        assert got["count"] == 1 and len(got["notices"]) == 1, got
        assert s("show lock_timeout")["rows"] == [["0"]] and s("show statement_timeout")["rows"] == [["0"]]
        s("rollback to mine")
        s("commit")
        assert count(server, "id = 20") == 1
    # Denied, it leaves the transaction as any error would.
    s("begin")
    assert "Delete on orders" in preview(s, "delete from orders where id = 20")
    assert s("select 1")["state"] == "25P02"
    s("rollback")


@pytest.mark.parametrize("begin", [("begin isolation level repeatable read",), ("begin", "set transaction isolation level serializable")])
def test_a_snapshot_is_not_fixed_for_it(daemon, server, session, asked, begin):  # noqa: F811
    s = session()
    time.sleep(0.7)  # names are compared every now and then; not here
    for statement in begin:
        s(statement)
    text, review = asked(s, "delete from orders where id = 20")
    assert text == "no preview: the transaction is not READ COMMITTED, and planning would fix its snapshot"
    assert activity(server, s, "state, backend_xmin is null") == "idle in transaction|t"
    decide(daemon, "deny", review, "--reason", "only looking")
    assert s.answer()["state"] == "42501"
    s("rollback")


def test_an_error_of_the_plan_leaves_no_trace(daemon, server, session, asked):  # noqa: F811
    s = session()
    for begin, state in ((None, "idle"), ("begin", "idle in transaction")):
        if begin:
            s(begin)
        for _ in range(2):  # nor for the next one
            text, review = asked(s, "delete from orders where id = 'no number'")
            assert text.startswith("no plan: the server does not plan it\npublic.orders: table, "), text
            assert activity(server, s, "state") == state
            if begin:
                decide(daemon, "approve", review)
                assert s.answer()["state"] == "22P02"  # the statement's own
                s("rollback")
                s(begin)
            else:
                decide(daemon, "deny", review, "--reason", "only looking")
                assert s.answer()["state"] == "42501"
        text, review = asked(s, "delete from orders where id = 999")
        assert "Delete on orders" in text, text
        decide(daemon, "approve", review)
        assert s.answer()["count"] == 0


@pytest.mark.parametrize("begin", [None, "begin"])
def test_a_lock_in_the_way_of_it(daemon, server, session, asked, begin):  # noqa: F811
    s = session()
    if begin:
        s(begin)
    with locked(server, "orders") as blocker:
        text, review = asked(s, "delete from orders where id = 999")
        assert text == "no preview: the server took too long"
        assert activity(server, s, "state") == ("idle in transaction" if begin else "idle")
        blocker.rollback()
    decide(daemon, "approve", review)
    assert s.answer()["count"] == 0
    assert s("show lock_timeout")["rows"] == [["0"]]


@pytest.mark.parametrize("autocommit", [True, False])
def test_a_cancel_while_the_server_is_asked(daemon, server, autocommit):
    code = "import psycopg2, sys, threading\n" \
           "c = psycopg2.connect(sys.argv[1]); c.autocommit = sys.argv[2] == 'True'\n" \
           "threading.Timer(0.3, c.cancel).start()\n" \
           "def run(text):\n" \
           "    try: cursor = c.cursor(); cursor.execute(text); print(cursor.fetchall())\n" \
           "    except psycopg2.Error as e: print(e.pgcode)\n" \
           "run('delete from orders where id = 999'); run('select 1'); c.rollback(); run('select 1')"
    with locked(server, "orders"):
        done = daemon.run("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app", str(autocommit))
    assert done.stdout.split("\n") == ["57014", "[(1,)]" if autocommit else "25P02", "[(1,)]", ""], done
    wait_for_pending(daemon, 0)


def test_the_agent_sees_nothing_of_it(daemon, server, session, asked):  # noqa: F811
    """Neither what the server logs of our queries where a client asks to be told."""
    s = session("options='-c client_min_messages=debug5'")
    s("begin")
    text, review = asked(s, "delete from orders where id = 999")
    assert "Delete on orders" in text
    decide(daemon, "approve", review)
    got = s.answer()
    assert got["count"] == 0 and any("LOG:  statement: delete" in notice for notice in got["notices"]), got
    assert not any("wayleave_preview" in notice or "pg_" in notice for notice in got["notices"]), got["notices"]


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_the_agent_sees_nothing_of_what_is_prepared_for_its_release(daemon, server, session, asked, verb):  # noqa: F811
    s = session()
    for end in ("deallocate all", "discard all"):
        _, review = asked(s, "delete from orders where id = 999")
        # The session's state, or what names depend on where that is due: one of them is asked last.
        wait_for(lambda: any(last in activity(server, s, "query") for last in ("current_schemas", "hashtextextended")), what="the preparation")
        decide(daemon, verb, review, "--reason", "because")
        assert s.answer().get("count", -1) == (0 if verb == "approve" else -1)
        assert s("select count(*) from pg_prepared_statements")["rows"] == [["0"]]
        s(end)


def test_definitions_are_shown_with_sizes(daemon, server, session, preview):  # noqa: F811
    server.sql("create table public.big as select i, repeat('x', 100) as t from generate_series(1, 12000) i; create index big_i on big (i);"
               "create view public.over_big as select * from big; create schema app; create table app.one (); create table app.two ();"
               "create function app.f() returns int language sql as 'select 1'; create table parts (i int) partition by list (i);"
               "create table part_1 partition of parts for values in (1); insert into parts select 1 from generate_series(1, 500);"
               "alter table big owner to app; alter view over_big owner to app; alter schema app owner to app; alter table parts owner to app;"
               "create role bob; analyze big, parts", database="shop")
    try:
        s = session()
        assert preview(s, "drop table big").endswith("public.big: table, 1944 kB, about 12,000 rows\n")
        assert preview(s, "alter table big add column z int, drop column t").endswith("public.big: table, 1944 kB, about 12,000 rows\n")
        assert preview(s, "drop index big_i") == "public.big_i: index, 280 kB\n"
        assert preview(s, "drop view over_big") == "public.over_big: view\n"
        text = preview(s, "truncate big, parts")
        assert "public.big: table, " in text and "public.parts: partitioned table, 48 kB, about 500 rows\n" in text, text
        assert preview(s, "drop schema app") == "app: schema, 2 relations, 1 functions, 0 bytes\n"
        # Who else bears such a name is no schema.
        server.sql("create schema bob", database="shop")
        assert preview(s, "drop role bob") == "no preview: it names nothing that has a size"
        assert preview(s, "drop table if exists nowhere") == "no preview: it names nothing that has a size"
        assert "public.big: table, " in preview(s, "drop table big; delete from orders")
        s("begin")
        assert preview(s, "drop table big").endswith("about 12,000 rows\n")
        s("rollback")
        with locked(server, "big"):
            assert preview(s, "drop table big") == "no preview: the server took too long"
    finally:
        server.sql("drop view over_big; drop table big, parts; drop schema app cascade; drop schema if exists bob; drop role bob", database="shop")


# Of what is there by then, with its size; what is to be made has none.
BIG, NOTHING = r"public\.asked_big: table, 1\d{3} kB, about 12,000 rows\n", "no preview: it names nothing that has a size"
DEFINITIONS = {
    "create index asked_i on asked_big (i)": BIG,
    "create unique index concurrently asked_u on asked_big (i, t)": BIG,
    "create table asked_copy as select * from asked_big": r"no plan: it is not a plain read or write\n" + BIG,
    "select i into asked_copy from asked_big where i < 10": r"no plan: it is not a plain read or write\n" + BIG,
    "create table asked_new (i int)": NOTHING,
    "create materialized view asked_kept as select i from asked_big": r"no plan: it is not a plain read or write\n" + BIG,
    "refresh materialized view asked_m": r"public\.asked_m: materialized view, 8192 bytes, about 9 rows\n",
    "alter materialized view asked_m rename to asked_n": r"public\.asked_m: materialized view, 8192 bytes, about 9 rows\n",
    "drop materialized view asked_m": r"public\.asked_m: materialized view, 8192 bytes, about 9 rows\n",
    "create sequence asked_new": NOTHING,
    "alter sequence asked_s restart": r"public\.asked_s: sequence, 8192 bytes\n",
    "drop sequence asked_s": r"public\.asked_s: sequence, 8192 bytes\n",
    "grant select, update on asked_big to joan": BIG,
    "revoke all on asked_big, asked_m from joan": r"(?s)(?=.*" + BIG + r").*public\.asked_m: materialized view, .*",
    "drop table asked_big cascade": BIG,
    "drop table asked_big, asked_m, nowhere cascade": r"(?s)(?=.*" + BIG + r").*public\.asked_m: materialized view, .*",
    "drop schema asked cascade": r"(?s)asked\.t: table, 8192 bytes, .*\nasked: schema, 1 relations, 0 functions, 8192 bytes\n",
    "truncate asked_big cascade": BIG,
    "comment on table asked_big is 'x'": BIG,
}


def test_every_kind_of_definition_shows_what_there_is(daemon, server, session, preview):  # noqa: F811
    server.sql("create table public.asked_big as select i, repeat('x', 100) as t from generate_series(1, 12000) i; create sequence asked_s;"
               "create materialized view asked_m as select i from asked_big where i < 10; create role joan; create schema asked; create table asked.t (t text);"
               "alter table asked_big owner to app; alter sequence asked_s owner to app; alter materialized view asked_m owner to app; alter schema asked owner to app;"
               "analyze asked_big, asked_m", database="shop")
    try:
        s = session()
        wrong = {statement: text for statement, expected in DEFINITIONS.items() if not re.fullmatch(expected, text := preview(s, statement))}
        assert not wrong
    finally:
        server.sql("drop table asked_big cascade; drop sequence asked_s; drop schema asked cascade; drop role joan", database="shop")


PSYCOPG = """
import psycopg, sys
c = psycopg.connect(sys.argv[1], autocommit=sys.argv[2] == "auto")
print(c.info.backend_pid, flush=True)
try:
    print(c.execute(sys.argv[3], sys.argv[4:] or None, prepare=False).rowcount, flush=True)
    c.commit()
except psycopg.Error as e:
    print(e.sqlstate, flush=True)
"""


def psycopg(daemon, server, *words):
    return daemon.popen("/usr/bin/python3", "-c", PSYCOPG, f"host=127.0.0.1 port={server.port} dbname=shop user=app", *words,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("mode", ["auto", "transaction"])
def test_the_first_statement_of_a_batch(daemon, server, mode):
    """Parse, Bind, Describe, Execute, Sync, as drivers send them for what they have not prepared; where others have just changed
    what names mean, too."""
    server.sql("insert into orders (customer, item, amount) values (1, 'batch', 1)", database="shop")
    for verb, answer in (("deny", "42501"), ("approve", "1")):
        server.sql(f"create table public.before_{mode}_{verb} ()", database="shop")
        p = psycopg(daemon, server, mode, "delete from orders where item = %s", "batch")
        (review,) = wait_for_pending(daemon)
        text = daemon.json("reviews", "show", review["id"])["preview"]
        assert "Delete on orders" in text and "'batch'" in text, text
        decide(daemon, verb, review, "--reason", "looked at")
        assert p.communicate(timeout=10)[0].split()[1:] == [answer]
    assert count(server, "item = 'batch'") == 0
    server.sql(f"drop table before_{mode}_deny, before_{mode}_approve", database="shop")


def test_an_error_of_the_first_statement_is_the_servers_own(daemon, server):
    p = psycopg(daemon, server, "auto", "delete from orders where id = %s and nothing = 1", "1")
    (review,) = wait_for_pending(daemon)
    assert daemon.json("reviews", "show", review["id"])["preview"].startswith("no plan: the server does not plan it")
    decide(daemon, "approve", review)
    assert p.communicate(timeout=10)[0].split()[1:] == ["42703"]


def test_what_stands_behind_others_in_a_batch_is_not_planned(daemon, server):
    """An error would end the batch."""
    code = "import psycopg, sys\n" \
           "c = psycopg.connect(sys.argv[1], autocommit=True)\n" \
           "try:\n" \
           "    with c.pipeline(): c.execute('select 1'); c.execute('delete from orders where id = %s', (4711,))\n" \
           "except psycopg.Error as e: print(e.sqlstate, flush=True)"
    p = daemon.popen("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app", stdout=subprocess.PIPE, text=True)
    (review,) = wait_for_pending(daemon)
    assert daemon.json("reviews", "show", review["id"])["preview"] == "no preview: it is part of a batch"
    decide(daemon, "deny", review, "--reason", "only looking")
    assert p.communicate(timeout=10)[0] == "42501\n"


def test_prepared_statements_are_planned_with_their_values(daemon, server):
    """The session's own unnamed statement stays as it is."""
    code = "import psycopg, sys\n" \
           "c = psycopg.connect(sys.argv[1], autocommit=True)\n" \
           "c.execute('select 1')\n" \
           "for i in range(6):\n" \
           "    try: c.execute('delete from orders where id = %s', (4711,), prepare=True)\n" \
           "    except psycopg.Error as e: print(e.sqlstate, flush=True)"
    p = daemon.popen("/usr/bin/python3", "-c", code, f"host=127.0.0.1 port={server.port} dbname=shop user=app",
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(6):
        (review,) = wait_for_pending(daemon)
        text = daemon.json("reviews", "show", review["id"])["preview"]
        assert "Index Cond: (id = '4711'" in text, text
        decide(daemon, "deny", review, "--reason", "only looking")
        assert p.stdout.readline() == "42501\n"
    assert p.wait(10) == 0
