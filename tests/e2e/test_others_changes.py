# SPDX-License-Identifier: Apache-2.0
"""What others do to the database while an agent's session lives: names move from one table to another, and what was
looked up a moment ago is no longer true. The server tells nobody; a second later it must be known all the same."""
import itertools
import json
import pathlib
import time

import pytest

from conftest import make_config
from harness import daemon as daemons
from harness import wire

RUNNER = pathlib.Path(__file__).resolve().parent / "sql" / "runner.py"
SECRET = "quokka"
WAIT = 2  # seconds; a second is promised, and this machine may be busy
RULES = [
    {"name": "read", "operations": ["read", "write"], "objects": ["changes*.*"],
     "allow": {"mask": [{"columns": ["changes*.people.ssn"], "with": "redact"}]}},
    {"name": "functions", "operations": ["function"], "objects": ["changes*.*"], "allow": {}},
    {"name": "own tables", "operations": ["create", "drop"], "objects": ["pg_temp.*"], "allow": {}},
]
SCHEMA = f"""
create schema changes;
create table changes.people (id int, ssn text, note text);
insert into changes.people values (1, '{SECRET}-1', 'plain');
create table changes.fresh (id int, ssn text, note text);
insert into changes.fresh values (1, '{SECRET}-2', 'plain');
create view changes.seen as select id, note as shown from changes.people;
create function changes.rename() returns void language sql security definer as
    'alter table changes.people rename ssn to other; alter table changes.people rename note to ssn';
grant usage on schema changes to app;
grant all on all tables in schema changes to app;
alter role app in database shop set search_path = '$user', %changes;
"""


class Changes:
    """A schema of its own for each test: names that the test before has left would be known for a second."""
    numbers = itertools.count()

    def __init__(self, server):
        self.server, self.port = server, server.port
        self.name = f"changes{next(self.numbers)}"

    def named(self, text):
        return text.replace("changes.", self.name + ".").replace("schema changes", "schema " + self.name).replace("%changes", self.name)

    def sql(self, text):
        return self.server.sql(self.named(text), database="shop")


@pytest.fixture
def database(server):
    changes = Changes(server)
    changes.sql(SCHEMA)
    yield changes
    changes.sql("drop schema changes cascade; drop schema if exists app cascade; alter role app in database shop reset all")


@pytest.fixture(scope="module")
def changing(server, tmp_path_factory):
    d = daemons.Daemon(tmp_path_factory.mktemp("changes"), make_config(server.port), RULES)
    yield d
    d.close()


class Session:
    """One session of the agent that lives until the test ends."""

    def __init__(self, daemon, server):
        self.process = daemon.popen("/usr/bin/python3", RUNNER, "127.0.0.1", server.port, "app", "shop", "session",
                                    stdin=-1, stdout=-1, text=True)

    def ask(self, *steps):
        self.process.stdin.write(json.dumps(steps) + "\n")
        self.process.stdin.flush()
        seen = json.loads(self.process.stdout.readline())
        assert seen[-1][0] == "Z", seen
        return [wire.decode(kind, bytes.fromhex(body)) for kind, body in seen]

    def query(self, text):
        return self.ask(["Q", text])

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture
def sessions(changing, database):
    """Several, so that each worker has some."""
    made = [Session(changing, database) for _ in range(4)]
    yield made
    for session in made:
        session.close()


def rows(seen):
    return [m[1] for m in seen if m[0] == "D"]


WAYS = {
    "simple": lambda s, text: s.query(text),
    "extended": lambda s, text: s.ask([["P", "", text], ["B", "", ""], ["E", ""], ["S"]]),
    "copy": lambda s, text: s.query(f"copy ({text}) to stdout"),
    "expression": lambda s, text: s.query(f"select (t.*)::text from ({text}) t"),
}
CHANGES = {
    "tables swapped": ("alter table changes.people rename to gone; alter table changes.fresh rename to people",
                       "select * from people"),
    "columns swapped": ("alter table changes.people rename ssn to old; alter table changes.people rename note to ssn;"
                        f"update changes.people set ssn = '{SECRET}-3', old = 'plain'", "select ssn from people"),
    "table made anew": ("drop view changes.seen; drop table changes.people; create table changes.people (note text, id int, ssn text);"
                        f"insert into changes.people values ('plain', 1, '{SECRET}-4'); grant all on changes.people to app",
                        "select * from people"),
    "column made anew": ("alter table changes.people drop ssn; alter table changes.people add ssn text;"
                         f"update changes.people set ssn = '{SECRET}-5'", "select ssn from people"),
    "view replaced": ("create or replace view changes.seen as select id, ssn as shown from changes.people",
                      "select shown from seen"),
    "schema moved": ("create schema aside; alter table changes.people set schema aside; alter table changes.fresh rename to people;"
                     "drop schema aside cascade; create view changes.seen as select 1", "select * from people"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_mask_follows_the_name(sessions, database, change):
    before, text = CHANGES[change]
    for session in sessions:
        for way in WAYS.values():
            assert SECRET not in str(way(session, text))
        session.ask([["P", "old", text], ["S"]])
    database.sql(before)
    time.sleep(WAIT)
    for session in sessions:
        # Made before the change; the server plans it anew, or refuses it.
        assert SECRET not in str(session.ask([["B", "", "old"], ["E", ""], ["S"]]))
        for name, way in WAYS.items():
            seen = way(session, text)
            assert SECRET not in str(seen), (name, seen)
            assert not [m for m in seen if m[0] == "E"], (name, seen)


def test_a_schema_in_front_of_the_path(sessions, database):
    """A name that meant one table means another from now on, which no rule allows."""
    for session in sessions:
        assert rows(session.query("select id, note from people")) == [["1", "plain"]]
    database.sql(f"create schema app authorization app; create table app.people (id int, note text);"
                 f"insert into app.people values (2, '{SECRET}'); grant all on app.people to app")
    time.sleep(WAIT)
    for session in sessions:
        seen = session.query("select id, note from people")
        assert SECRET not in str(seen)
        assert "no rule allows select on app.people" in str(seen)


def test_what_one_transaction_alone_sees_is_not_believed_of_others(sessions, database):
    """A function renamed columns, in a transaction that is undone: the names that it read are nobody else's."""
    first, *others = sessions
    for session in sessions:
        assert rows(session.query("select id from people")) == [["1"]]
    first.query("begin")
    assert rows(first.query(database.named("select changes.rename()"))), "the function runs"
    assert rows(first.query("select ssn from people")) == [["[masked]"]]
    # In another session of either worker the names are as they were: the second column is masked.
    answers = []
    for session in others:
        session.process.stdin.write(json.dumps([["Q", "select * from people"]]) + "\n")
        session.process.stdin.flush()
    time.sleep(WAIT)  # they wait for the lock
    first.query("rollback")
    for session in others:
        answers.append(session.process.stdout.readline())
    for answer in answers:
        seen = [wire.decode(kind, bytes.fromhex(body)) for kind, body in json.loads(answer)]
        assert rows(seen) == [["1", "[masked]", "plain"]], seen
    assert rows(first.query("select * from people")) == [["1", "[masked]", "plain"]]


def test_a_transaction_begins_as_the_agent_says(sessions):
    """Whatever is to be looked up: a query of ours would take the snapshot before SET TRANSACTION."""
    session = sessions[0]
    for before in ["select 1", "set search_path = '$user', public", "create temp table mine (a int)", "drop table mine"]:
        session.query(before)
        assert session.query("begin")[-1] == ["Z", "T"]
        time.sleep(1.5)  # the comparison of names is due
        session.query("set local search_path = pg_catalog")
        seen = session.query("set transaction isolation level repeatable read, read only")
        assert seen[-1] == ["Z", "T"], (before, seen)
        assert rows(session.query("show transaction_isolation")) == [["repeatable read"]]
        session.query("rollback")


def test_a_failed_transaction_answers_alike_at_any_moment(sessions):
    """In it our own queries can't be asked, whether they are due or not; the agent must not see which."""
    session = sessions[0]
    session.query("select * from people")
    session.query("begin")
    session.query("select no_such_column from people")
    answers = set()
    for _ in range(40):
        answers.add(str([session.query(text) for text in ("fetch from nothing", "select * from people", "delete from secrets")]))
        time.sleep(0.05)
    assert len(answers) == 1, answers


NOTICED = """
create domain noticed.d as int default 1 check (value > 0)
create table noticed.t (i int, d noticed.d)
alter domain noticed.d set default 2
alter domain noticed.d add constraint small check (value < 9) not valid
alter domain noticed.d validate constraint small
alter domain noticed.d drop constraint small
create function noticed.f(i int) returns int language sql as 'select 1'
create or replace function noticed.f(i int) returns int language sql as 'select 2'
alter function noticed.f security definer
create function noticed.g() returns trigger language plpgsql as 'begin return new; end'
create trigger g before insert on noticed.t for each row execute function noticed.g()
alter table noticed.t disable trigger g
drop trigger g on noticed.t
alter table noticed.t add primary key (i)
create table noticed.u (i int references noticed.t on delete cascade)
alter table noticed.u drop constraint u_i_fkey
alter table noticed.t alter i set default 1
alter table noticed.t alter i set default 2
alter table noticed.t add check (i > 0)
alter table noticed.t add j int generated always as (i + 1) stored
alter table noticed.t enable row level security
create policy p on noticed.t using (i > 1)
alter policy p on noticed.t using (i > 2)
create rule r as on delete to noticed.t do instead nothing
create or replace rule r as on delete to noticed.t do instead select 1
create view noticed.v as select i from noticed.t
create or replace view noticed.v as select i + 1 as i from noticed.t
create operator noticed.=== (leftarg = int, rightarg = int, function = int4eq)
create cast (noticed.e as int) with function noticed.c(noticed.e)
create table noticed.w () inherits (noticed.u)
alter type noticed.e rename value 'a' to 'b'
create foreign data wrapper noticed_wrapper
alter foreign data wrapper noticed_wrapper options (add debug 'true')
create server noticed_server foreign data wrapper noticed_wrapper
alter server noticed_server options (add host 'elsewhere')
create foreign table noticed.f (i int) server noticed_server
alter foreign table noticed.f options (add table_name 'other')
create function noticed.e() returns event_trigger language plpgsql as 'begin end'
create event trigger noticed_event on ddl_command_end execute function noticed.e()
alter event trigger noticed_event disable
alter role app bypassrls
alter role app superuser
alter role app nosuperuser
alter role app nobypassrls
alter table noticed.u rename to x
alter table noticed.t set schema public
alter schema noticed rename to renamed
""".strip().splitlines()


def test_whatever_others_change_is_noticed(server, psql):
    """All that decides what a statement does behind its names makes the number another one by which that is noticed."""
    psql("select 1", user="app")
    asked = [line for line in server.executed().splitlines() if ": SELECT pg_catalog.concat(pg_catalog.sum(c)" in line]
    query = "SELECT " + asked[-1].partition(": SELECT ")[2]
    server.sql("create schema noticed; create type noticed.e as enum ('a'); create function noticed.c(noticed.e) returns int language sql as 'select 1'",
               database="shop")
    try:
        seen = [server.sql(query, database="shop")]
        for change in NOTICED:
            server.sql(change, database="shop")
            seen.append(server.sql(query, database="shop"))
            assert seen[-1] != seen[-2], change
        # What is a session's own changes nothing for others.
        server.sql("create temporary table t (i int)", database="shop")
        assert server.sql(query, database="shop") == seen[-1]
    finally:
        server.sql("drop schema if exists noticed, renamed cascade; drop table if exists public.t;"
                   "drop foreign data wrapper if exists noticed_wrapper cascade; alter role app nosuperuser nobypassrls", database="shop")


def test_lookups_are_cheap_without_sequential_scans(server, psql):
    """A plan that has to scan a table all the same counts as very expensive, and the server compiles it for seconds."""
    server.sql("create database scanned")
    server.sql("create role scanner login; grant all on database scanned to scanner;"
               "alter role scanner set enable_seqscan = off; alter role scanner set session_preload_libraries = auto_explain;"
               "alter role scanner set auto_explain.log_min_duration = 0; alter role scanner set auto_explain.log_analyze = on")
    psql("select 1", user="scanner", database="scanned")

    def plans(text):
        return [plan for plan in server.executed().split("duration: ") if text in plan.partition("\n")[2][:20000] and " plan:" in plan]

    lookups = [plan for part in ("pg_catalog.pg_auth_members", "pg_catalog.pg_type", "pg_catalog.pg_attribute", "pg_catalog.pg_rewrite") for plan in plans(part)]
    assert len(lookups) >= 3
    assert not [plan[:300] for plan in lookups if "JIT:" in plan]
    # That they would be: the server can.
    server.sql("set enable_seqscan = off; load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_analyze = on;"
               "select sum(amount) from orders where item <> 'scanned'", database="shop")
    assert [plan for plan in plans("item <> 'scanned'") if "JIT:" in plan]
