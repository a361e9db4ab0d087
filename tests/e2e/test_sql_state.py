# SPDX-License-Identifier: Apache-2.0
"""Prepared statements, portals, cursors and COPY, as the server has them and as Wayleave thinks that it has them: an agent
that does what it can to have a text judged as another one, or its rows masked as another one's. With Debian's server and
with version 18."""
import json
import os
import pathlib

import psycopg2
import pytest
from harness import daemon as daemons
from harness import postgres, postgres18
from harness.waiting import wait_for

WIRE = pathlib.Path(__file__).resolve().parents[1] / "harness" / "wire.py"
SCHEMA = """
create table orders (id int primary key, item text);
create table customers (id int primary key, name text, ssn text);
create table secrets (id int primary key, item text);
create table sink (id int);
insert into orders select i, 'item' || i from generate_series(1, 5) i;
insert into customers values (1, 'Ann', 'quokka-7731');
insert into secrets values (1, 'top secret');
create schema decoy;
create view decoy.orders as select * from secrets;
create function opens(refcursor) returns refcursor language plpgsql as
    $$ begin open $1 for select upper(ssn) from customers; return $1; end $$;
"""
RULES = [
    {"name": "read", "operations": ["read", "cursor"], "objects": ["public.orders", "public.customers", "pg_temp.*"],
     "allow": {"mask": [{"columns": ["public.customers.ssn"], "with": "redact"}]}},
    {"name": "own tables", "operations": ["create"], "objects": ["pg_temp.*"], "allow": {}},
    {"name": "data", "operations": ["copy_in"], "objects": ["public.sink"], "allow": {}},
    {"name": "settings at the start", "operations": ["set"], "objects": ["my.app"], "allow": {}},
    {"name": "cursors by a function", "operations": ["function"], "objects": ["public.opens()"], "allow": {}},
]


class Place:
    """A server, a daemon, and what is asked by hand inside the agent."""

    def __init__(self, folder, installation):
        self.server = postgres.Server(folder / "server", settings=("autovacuum = off",), installation=installation)
        self.server.sql(SCHEMA)
        self.daemon = daemons.Daemon(folder / "wayleave", {
            "agents": [{"name": "demo", "cgroup": f"wayleave-state-{os.getpid()}-{self.server.port}.slice/demo"}],
            "resources": [{"name": "db", "protocol": "postgres", "hosts": [f"127.0.0.1:{self.server.port}"]}]}, RULES)

    def ask(self, *script, parameters=()):
        done = self.daemon.run("/usr/bin/python3", WIRE, "127.0.0.1", self.server.port, "postgres", "postgres", repr(list(script)),
                               repr(list(parameters)))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def outside(self):
        connection = psycopg2.connect(host=str(self.server.data), port=self.server.port, user="postgres", dbname="postgres")
        connection.autocommit = True
        return connection

    def close(self):
        self.daemon.close()
        self.server.stop()


@pytest.fixture(scope="module", params=["debian", "18"])
def place(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    p = Place(folder, postgres18.Installation(folder) if request.param == "18" else None)
    yield p
    p.close()


def query(text):
    return ("Q", text), ("wait", "Z")


def batch(*messages):
    return ("batch", [*messages, ("S",)]), ("wait", "Z")


def run(text, portal="", statement=""):
    """Messages that run the text, but for the Sync."""
    return ("P", statement, text), ("B", portal, statement), ("E", portal)


def bound(text, portal):
    return ("P", portal, text), ("B", portal, portal)


END = ("X",), ("eof",)
SECRETS = "prepare x as select * from secrets"
ATTACKS = {
    "what waited when its batch failed": [
        *query("create temp table mine (a int)"),
        *batch(*run("create temp table mine (a int)"), *run("select id from orders")),
        *query("delete from orders")],
    "what waited when its batch failed, bound": [
        *query("create temp table mine (a int)"), *batch(("P", "s", "select id from orders")),
        *batch(*run("create temp table mine (a int)"), ("B", "", "s"), ("E", "")),
        *query("delete from orders")],
    "explained by name": [
        *query("prepare x as select id from orders"), *query("explain analyze execute x"), *query("deallocate x"),
        *query("prepare x as delete from orders"), *query("explain analyze execute x")],
    "a name that is given away while it is used": [
        *batch(("P", "x", "select * from orders")),
        *batch(*bound("deallocate x", "a"), *bound(SECRETS, "b"), ("E", "a"), ("E", "b"), ("B", "", "x"), ("E", ""))],
    "a portal of a name that is given away": [
        *query("begin"), *query("prepare x as select * from orders"),
        *batch(*bound("deallocate x", "a"), *bound(SECRETS, "b"), *bound("execute x", "c"), ("E", "a"), ("E", "b"), ("E", "c"))],
    "a portal and a search_path": [
        *query("begin"), *batch(*bound("copy (select * from orders) to stdout", "c"), *run("set search_path to decoy"), ("E", "c"))],
    "a portal and a table in front": [
        *query("begin"), *batch(*bound("copy secrets to stdout", "c")),
        *batch(*run("create temp table secrets (id int)"), ("E", "c"))],
    "a table in front of what was prepared": [
        *query("create temp table mine (a int)"), *query("prepare x as select * from secrets"),
        *query("create temp table secrets (id int, item text)"), *query("execute x"), *batch(("B", "", "x"), ("E", ""))],
    "a view's column in front of what was prepared": [
        *query("create temp table mine (a int)"), *query("prepare x as select upper(ssn) from customers"),
        *query("create temp table customers (ssn text)"), *query("execute x"), *batch(("B", "", "x"), ("E", ""))],
    "a name that a prepared PREPARE gives away": [
        *batch(("P", "a", "deallocate x"), ("P", "b", "prepare x as select upper(ssn) from customers")),
        *query("prepare x as select upper(name) from customers"), *query("execute a"), *query("execute b"), *query("execute x")],
    "a statement in the middle of COPY": [
        ("Q", "copy sink from stdin"), ("wait", "G"), ("Q", "select name from customers"),
        ("Q", "select upper(ssn) from customers"), *END],
    "a statement right behind COPY": [
        ("batch", [("Q", "copy sink from stdin"), ("Q", "select name from customers"), ("Q", "select upper(ssn) from customers")]), *END],
    "a batch right behind COPY": [
        ("batch", [*run("copy sink from stdin"), *run("select name from customers"), ("S",), *run("select upper(ssn) from customers"),
                   ("S",)]), *END],
    "a cursor that took a portal's place": [
        *query("begin"), *query("savepoint a"), *batch(*bound("select upper(name) from customers", "c")), *query("rollback to a"),
        *query("select opens('c')"), *batch(("E", "c"))],
    "a cursor that took a cursor's place": [
        *query("begin"), *query("savepoint a"), *query("declare c cursor for select upper(name) from customers"),
        *query("rollback to a"), *query("select opens('c')"), *batch(("E", "c")), *query("fetch all from c")],
}


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_taken_for_another(place, name):
    seen = str(place.ask(*ATTACKS[name]))
    assert "top secret" not in seen and "QUOKKA" not in seen, seen
    assert place.server.sql("select count(*) from orders") == "5"


FIRST = {"simple": query("delete from orders"), "extended": batch(*run("delete from orders")), "bound": batch(("B", "", ""), ("E", ""))}


@pytest.mark.parametrize("how", FIRST)
def test_what_was_allowed_at_the_start_is_not_the_first_statement(place, how):
    seen = place.ask(*FIRST[how], *query("select 'alive'"), parameters=[("my.app", "x")])
    assert [m[1]["C"] for m in seen if m[0] == "E"] == ["26000" if how == "bound" else "42501"] and ["D", ["alive"]] in seen, seen
    assert place.server.sql("select count(*) from orders") == "5"


def test_what_is_prepared_follows_the_names(place):
    """The server means what was judged: also where a table now comes before another of its name."""
    seen = place.ask(*query("create temp table mine (a int)"), *batch(("P", "s", "select id from orders where id < 3")),
                     *query("prepare p as select id from orders where id < 3"), *batch(("B", "", "s"), ("E", "")), *query("execute p"),
                     *query("create temp table orders (id int)"), *batch(("B", "", "s"), ("E", "")), *query("execute p"))
    assert [m[1] for m in seen if m[0] == "C"] == ["CREATE TABLE", "SELECT 2", "SELECT 2", "CREATE TABLE", "SELECT 0", "SELECT 0"] or \
        [m[1] for m in seen if m[0] == "C"] == ["CREATE TABLE", "PREPARE", "SELECT 2", "SELECT 2", "CREATE TABLE", "SELECT 0", "SELECT 0"], seen


def test_names_that_change_in_a_batch_go_on_to_work(place):
    """What the server does in order is judged in order."""
    seen = place.ask(*batch(*run("prepare x as select id from orders where id = 1"), ("B", "", "x"), ("E", ""), *run("deallocate x"),
                            *run("prepare x as select id from orders where id = 2"), ("B", "", "x"), ("E", "")))
    assert [m[1] for m in seen if m[0] == "D"] == [["1"], ["2"]], seen


def test_copy_goes_on_behind_what_is_said_at_once(place):
    """All of a COPY without waiting for the server, and what follows it; one that fails, and a Sync that ends what it skips."""
    data = [("d", "7\n"), ("d", "8\n"), ("c",)]
    seen = place.ask(("batch", [("Q", "copy sink from stdin"), *data, ("Q", "select count(*) from orders")]), ("wait", "Z"), ("wait", "Z"),
                     ("batch", [*run("copy sink from stdin"), *data, ("S",), *run("select count(*) from customers"), ("S",)]),
                     ("wait", "Z"), ("wait", "Z"),
                     ("batch", [*run("copy sink from stdin")]), ("H",), ("wait", "G"), ("batch", [("d", "x\n"), ("S",)]), ("wait", "Z"),
                     *query("select 'alive'"))
    assert [m[1] for m in seen if m[0] == "D"] == [["5"], ["1"], ["alive"]], seen
    assert [m[1]["C"] for m in seen if m[0] == "E"] == ["22P02"], seen


def test_what_follows_the_end_of_a_failed_transaction_in_its_batch(place):
    """Names mean again what they did before it, which no ReadyForQuery says."""
    seen = place.ask(*query("begin"), *query("create temp table customers (ssn text)"), *query("select ssn from customers"),
                     *query("select 1 / 0"), ("batch", [*run("rollback"), ("H",)]), ("wait", "C"),
                     ("P", "", "select upper(ssn) from customers"), ("H",), ("wait", "1"), ("B", "", ""), ("H",), ("wait", "2"),
                     ("batch", [("E", ""), ("S",)]), ("wait", "Z"))
    assert [m[1]["C"] for m in seen if m[0] == "E"] == ["22012"], seen
    assert [m[1] for m in seen if m[0] == "D"] == [["[masked]"]], seen


# --- while names are looked up ---


@pytest.fixture
def locked(place):
    """The server's catalogs can't be read before release() is called."""
    with place.outside() as connection:
        cursor = connection.cursor()

        class Lock:
            def waiting(self):
                cursor.execute("select pid from pg_locks where not granted and relation = 'pg_rewrite'::regclass")
                return [row[0] for row in cursor.fetchall()]

            def release(self):
                cursor.execute("rollback")

        cursor.execute("begin; lock table pg_rewrite in access exclusive mode")
        lock = Lock()
        yield lock
        lock.release()
    connection.close()


# Code that may have changed any name: the catalogs are looked at before the next statement is judged.
UNKNOWN = "select opens('x')"
SESSION = """
import json, socket, sys
UNKNOWN = "select opens('x')"
sys.path.insert(0, %r)
from harness import wire
c = wire.Connection("127.0.0.1", int(sys.argv[1]), "postgres", "postgres")
def answers(count=1):
    del c.seen[:]
    for _ in range(count):
        c.wait("Z")
    print(json.dumps(c.seen), flush=True)
c.send(("Q", UNKNOWN))
answers()
for line in sys.stdin:
    order = json.loads(line)
    if order == "cancel":
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as other:
            other.sendall((12 + len(c.key) - 4).to_bytes(4, "big") + (80877102).to_bytes(4, "big") + c.key)
            while other.recv(100):
                pass
        print('"cancelled"', flush=True)
    elif order[0] == "answers":
        answers(order[1])
    else:
        c.send(*map(tuple, order))
"""


class Session:
    """One session of the agent, which can be cancelled by another connection of the agent."""

    def __init__(self, place):
        self.process = place.daemon.popen("/usr/bin/python3", "-c", SESSION % str(WIRE.parents[1]), place.server.port,
                                          stdin=-1, stdout=-1, text=True)
        self.read()

    def send(self, *order):
        self.process.stdin.write(json.dumps(order if isinstance(order[0], (list, tuple)) or order[0] == "answers" else order[0]) + "\n")
        self.process.stdin.flush()

    def read(self):
        return json.loads(self.process.stdout.readline())

    def answers(self, count=1):
        self.send("answers", count)
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def session(place):
    s = Session(place)
    yield s
    s.close()


@pytest.mark.parametrize("messages", [[("Q", "select id from orders")], [*run("select id from orders"), ("S",)],
                                      [*run(UNKNOWN), *run("select id from orders"), ("S",)]],
                         ids=["simple", "extended", "behind others"])
def test_a_cancel_kills_what_is_being_judged(place, session, locked, messages):
    session.send(*messages)
    wait_for(locked.waiting, 30, "our lookup")
    session.send("cancel")
    assert session.read() == "cancelled"
    seen = session.answers()
    locked.release()
    assert [(m[1]["C"], m[1]["M"]) for m in seen if m[0] == "E"] == [("57014", "canceling statement due to user request")], seen
    assert ["D", ["1"]] not in seen
    session.send(("Q", "select 'alive'"))
    assert ["D", ["alive"]] in session.answers()
    # Nothing of what waited then is left to be taken for what comes now.
    session.send(("Q", "delete from orders"))
    assert "wayleave" in str(session.answers())
    assert place.server.sql("select count(*) from orders") == "5"


def test_the_agents_own_time_limit_is_what_it_reads_of(place, session, locked):
    """Our question was part of its statement."""
    session.send(("Q", "set statement_timeout = 300"))
    session.answers()
    session.send(("Q", "select id from orders"))
    seen = session.answers()
    locked.release()
    assert [(m[1]["C"], m[1]["M"]) for m in seen if m[0] == "E"] == [("57014", "canceling statement due to statement timeout")], seen
