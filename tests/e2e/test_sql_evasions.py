# SPDX-License-Identifier: Apache-2.0
"""An agent that may read three tables, and does all it can to do something else. It is a superuser to the server:
nothing but the policy stands in its way."""
import json
import os
import pathlib
import shutil
import tempfile

import psycopg2
import pytest

from harness import daemon as daemons
from harness import postgres

HERE = pathlib.Path(__file__).resolve().parent
SCHEMA = """
create table orders (id int primary key, item text);
create table customers (id int primary key, name text);
create table secrets (id int primary key, value text);
insert into orders select i, 'item' || i from generate_series(1, 5) i;
insert into customers select i, 'name' || i from generate_series(1, 5) i;
insert into secrets values (1, 'top secret');
create schema decoy;
create view decoy.orders as select * from secrets;
create view decoy.customers as select * from secrets;
create sequence numbers;
create function wipe() returns int language sql as 'delete from orders returning id';
create procedure sweep() language sql as 'delete from orders';
create function decoy.lower(text) returns text language plpgsql as $$ begin delete from orders; return $1; end $$;
create function public.net(orders) returns int language plpgsql as $$ begin delete from orders; return 1; end $$;
create function equal_wipe(text, int) returns bool language plpgsql as $$ begin delete from orders; return true; end $$;
create operator ~~~ (leftarg = text, rightarg = int, function = equal_wipe);
create function decoy.plunder(orders) returns int language plpgsql as $$ begin delete from orders; return 1; end $$;
create function decoy.both(int, int) returns bool language plpgsql as $$ begin delete from public.orders; return true; end $$;
create operator decoy.=== (leftarg = int, rightarg = int, function = decoy.both);
create type mood as (x int);
create function to_mood(int) returns mood language plpgsql as $$ begin delete from orders; return row(1)::mood; end $$;
create function keep_one(int, orders) returns int language plpgsql as $$ begin delete from orders; return 1; end $$;
create cast (int as mood) with function to_mood(int);
create cast (orders as int) with function net(orders);
create function orders_int(orders, int) returns bool language plpgsql as $$ begin delete from orders; return true; end $$;
create operator = (leftarg = orders, rightarg = int, function = orders_int);
create operator >= (leftarg = orders, rightarg = int, function = orders_int);
create operator ~~ (leftarg = orders, rightarg = int, function = orders_int);
create operator <> (leftarg = orders, rightarg = int, function = orders_int);
create operator !! (rightarg = orders, function = net);
create aggregate last_one(orders) (sfunc = keep_one, stype = int);
create function seven() returns int language sql as 'select 7';
create schema seen;
create view seen.plain as select id, lower(item) as item from orders;
create view seen.calls as select wipe() as x;
create view seen.nested as select o.id from orders o where exists (select from seen.calls);
create view seen.chosen as select id from orders where id = public.net(orders);
create view seen.operates as select 'x' operator(public.~~~) 1 as x;
create view seen.converts as select 1::mood as x;
create view seen.gathers as select last_one(o) from orders o;
create view seen.counts as select nextval('numbers') as x;
create view seen.sets as select set_config('search_path', 'decoy', false) as x;
create view seen.reads as select query_to_xml('select * from secrets', true, true, '') as x;
create view seen.reveals as select pg_read_file('PG_VERSION') as x;
create materialized view seen.stored as select seven() as x;
create view seen.over_stored as select x from seen.stored;
create table ruled (i int);
create rule calls as on insert to ruled do also select wipe();
create rule asks as on update to ruled where wipe() = 1 do instead nothing;
create rule comes as on delete to ruled do also select * from seen.nested;
create view seen.over_ruled as select i from ruled;
create table votes (i int);
"""
RULES = [{"name": "read", "operations": ["read"], "objects": ["public.orders", "public.customers", "pg_temp.*"], "allow": {}},
         {"name": "see", "operations": ["read"], "objects": ["seen.*"], "allow": {}},
         {"name": "write", "operations": ["write"], "objects": ["public.ruled", "seen.*"], "allow": {}},
         {"name": "cursors", "operations": ["cursor"], "allow": {}},
         {"name": "own tables", "operations": ["create"], "objects": ["pg_temp.mine", "pg_temp.secrets"], "allow": {}},
         {"name": "own code", "operations": ["create"], "objects": ["pg_temp.own()", "public.own()", "pg_temp.==="], "allow": {}}]
WRITES = """
delete from orders
DELETE/**/FROM orders
/* x */ delete from orders -- y
with x as (delete from orders returning id) select * from x
with x as (select 1) delete from orders
with x as (with y as (update orders set item = '' returning id) select * from y) select * from x
with recursive x as (insert into orders values (9, '') returning id) select id from x
select 1; delete from orders
select 1; ; delete from orders; select 2
explain analyze delete from orders
explain (analyze true, format json) with x as (delete from orders returning 1) select 1
explain (analyze) execute p
select * into public.leak from orders
select * into temp leak from secrets
create table leak as select 1
create temp table leak as select * from secrets
insert into orders values (9, '')
insert into orders default values
insert into orders select * from orders on conflict (id) do update set item = 'x'
update orders set item = ''
update only orders set item = '' where id = 1
merge into orders o using customers c on o.id = c.id when matched then delete
truncate orders
truncate customers, orders cascade
copy orders from stdin
copy orders from program 'echo 9'
copy (select 1) to program 'touch /tmp/wayleave-evasion'
copy (select 1) to '/tmp/wayleave-evasion'
copy (delete from orders returning id) to stdout
copy (with x as (delete from orders returning id) select * from x) to stdout
do $$ begin delete from orders; end $$
do language plpgsql 'begin execute ''delete from orders''; end'
call sweep()
select wipe()
select * from wipe()
select public.wipe()
select (select wipe())
select id from orders order by wipe()
select id from orders where wipe() = 1
select id from orders limit wipe()
select coalesce(wipe(), 1)
select case when wipe() = 1 then 1 end
select array[wipe()]
select row(wipe())
values (wipe())
select id from orders group by id having wipe() = 1
select sum(id) over (order by wipe()) from orders
select count(*) filter (where wipe() = 1) from orders
select * from orders o join customers c on wipe() = 1
select * from orders, lateral wipe()
select * from rows from (wipe(), generate_series(1, 2)) as x
select net(orders) from orders
select o.net from orders o
select (o).net from orders o
select ((o.*)).net from orders o
select 'x' ~~~ 1
select 'x' operator(public.~~~) 1
select * from orders where item ~~~ 1
select 1::mood
select * from orders o where o = 1
select * from orders o where o in (1, 2)
select * from orders o where o not in (1)
select * from orders o where o between 1 and 2
select * from orders o where o = any (array[1])
select * from orders o where o <> all (array[1])
select * from orders o where o in (select 1)
select * from orders o where o = some (select 1)
select * from orders o where (o, 1) = (1, 1)
select * from orders o where row(o) >= row(1)
select case o when 1 then 2 end from orders o
select nullif(o, 1) from orders o
select o is distinct from 1 from orders o
select o like 1 from orders o
select !! o from orders o
select last_one(o) from orders o
select last_one(o) over () from orders o
select last_one(o) filter (where true) from orders o
explain select * from orders o where o = 1
select o::int from orders o
select cast(o as integer) from orders o
select o::int4, orders::pg_catalog.int4 from orders, orders o
select cast(1 as mood)
select decoy.lower('x')
select nextval('numbers')
select setval('numbers', 7)
select lo_from_bytea(0, 'x')
select lo_import('/etc/passwd')
select lo_create(0)
select pg_notify('x', 'y')
select pg_advisory_lock(1)
select pg_terminate_backend(pg_backend_pid())
select pg_reload_conf()
select pg_switch_wal()
select pg_read_file('PG_VERSION')
select pg_ls_dir('.')
select pg_sleep(0)
select set_config('role', 'postgres', false)
select set_config('session_replication_role', 'replica', false)
select set_config(name, setting, false) from pg_settings limit 1
update pg_settings set setting = 'off' where name = 'row_security'
select query_to_xml('select * from secrets', true, true, '')
select table_to_xml('secrets', true, true, '')
select schema_to_xml('public', true, true, '')
select ts_rewrite('a'::tsquery, 'select ''a''::tsquery, ''b''::tsquery from secrets')
select * from ts_stat('select to_tsvector(value) from secrets')
select * from secrets
select * from public.secrets
select * from postgres.public.secrets
select * from "secrets"
select * from U&"secr\\0065ts"
select * from U&"secr!0065ts" uescape '!'
table secrets
select (select value from secrets)
select * from orders union select * from secrets
select * from orders where id in (select id from secrets)
with orders as (select * from secrets) select * from orders
with secrets as (select 1) select * from public.secrets
select * from orders where exists (with x as (table secrets) select * from x)
select * from decoy.orders
set search_path = decoy, public; select * from orders
select set_config('search_path', 'decoy', false); select * from orders
begin; set local search_path = decoy; select * from customers
create temp view orders as select * from secrets; select * from orders
create temp table orders as select 1; delete from orders
prepare p as delete from orders; execute p
declare c cursor with hold for select * from secrets; fetch all from c
set role postgres; delete from orders
set session authorization postgres
reset role; delete from orders
set session_replication_role = replica
set default_transaction_read_only = off; delete from orders
begin read write; delete from orders; commit
set standard_conforming_strings = off; select '\\'' ; delete from orders; --'
set client_encoding = 'SJIS'; select 1
set client_encoding = 'GBK'; select 1
set backslash_quote = on
select E'\\'' ; delete from orders; --'
select $$;$$; delete from orders; select $a$ $$ $a$
lock orders
lock table orders in access share mode nowait
select * from orders for update
vacuum orders
analyze orders
cluster
reindex table orders
checkpoint
load 'plpgsql'
listen x
notify x
grant all on orders to public
revoke all on orders from postgres
create role evil superuser
alter role postgres password 'x'
alter role postgres set search_path = decoy
alter database postgres set search_path = decoy
alter system set work_mem = '1MB'
alter table orders add x int
alter table orders disable trigger all
drop table orders
drop schema public cascade
drop owned by postgres
reassign owned by postgres to postgres
comment on table orders is 'x'
security label on table orders is 'x'
create function evil() returns int language sql as 'select 1'
create rule r as on select to orders do instead select 1
create trigger t after insert on orders for each row execute function wipe()
create extension if not exists plpgsql
create publication p for all tables
create event trigger e on ddl_command_start execute function wipe()
import foreign schema x from server y into public
refresh materialized view x
create statistics s on id, item from orders
create index on orders (id)
create domain d as int
create table public.x (a int default wipe())
execute nothing
fetch all from nothing
move all in nothing
select * from seen.calls
select x from seen.calls limit 0
table seen.nested
select * from orders where id in (select id from seen.nested)
with x as (select * from seen.calls) select 1 from x
explain select * from seen.calls
explain analyze select * from seen.nested
copy (select * from seen.calls) to stdout
declare c cursor with hold for select * from seen.calls; fetch all from c
select * from seen.chosen
select * from seen.operates
select * from seen.converts
select * from seen.gathers
select * from seen.counts
select * from seen.sets; select * from orders
select * from seen.reads
select * from seen.reveals
delete from seen.chosen where id = 1
update seen.nested set id = 1
insert into ruled values (1)
insert into ruled select id from orders
with x as (insert into ruled values (1)) select 1
update ruled set i = 1
delete from ruled
insert into seen.over_ruled values (1)
delete from seen.over_ruled
prepare p as select * from seen.calls; execute p
"""
STEPS = [[["Q", text]] for text in WRITES.strip().split("\n")] + [
    [["Q", "select 1"], [["P", "", "delete from orders"], ["B", "", ""], ["E", ""], ["S"]]],
    [[["P", "a", "select 1"], ["P", "b", "delete from orders"], ["B", "", "b"], ["E", ""], ["S"]]],
    [[["P", "s", "delete from orders"], ["S"]], ["Q", "execute s"]],
    [["Q", "prepare s as delete from orders"], ["Q", "execute s"], [["B", "", "s"], ["E", ""], ["S"]]],
    [["Q", "prepare s as delete from orders"], ["Q", "explain analyze execute s"]],
    [["Q", "begin"], ["Q", "declare c cursor for select * from orders"], ["Q", "fetch c"],
     ["Q", "delete from orders where current of c"], ["Q", "commit"]],
    [["Q", "begin"], ["Q", "declare c cursor with hold for select * from secrets"], ["Q", "commit"], ["Q", "fetch c"]],
    [[["P", "", "declare c cursor with hold for select * from secrets"], ["B", "", ""], ["E", ""], ["S"]], [["E", "c"], ["S"]]],
    [["F", 1574], ["Q", "select 1"]],
    [[["P", "", "select $1::regclass", [25]], ["B", "", "", ["secrets"]], ["E", ""], ["S"]], ["Q", "table secrets"]],
    [["Q", "set search_path to decoy"], ["Q", "select * from orders"]],
    [["Q", "set search_path to decoy, public"], ["Q", "select lower('x')"], ["Q", "select upper(lower('X')) from public.orders"]],
    [["Q", "set search_path to decoy, pg_catalog"], ["Q", "select lower('x'::text)"]],
    [["Q", "begin"], ["Q", "set local search_path to decoy"], ["Q", "select * from customers"], ["Q", "rollback"],
     ["Q", "begin"], ["Q", "savepoint a"], ["Q", "set search_path to decoy"], ["Q", "rollback to a"], ["Q", "select 1 from orders"],
     ["Q", "set search_path to decoy"], ["Q", "commit"], ["Q", "select * from orders"]],
    # Code by operators and attributes that the path did not lead to before, or that were not there.
    [["Q", "set search_path to decoy, pg_catalog; select 1 === 2"]],
    [["Q", "set search_path to decoy, public; select o.plunder from public.orders o"]],
    [["Q", "begin"], ["Q", "create function pg_temp.own(int, int) returns int language sql as 'delete from orders returning id'"],
     ["Q", "create operator pg_temp.=== (leftarg = int, rightarg = int, function = pg_temp.own)"],
     ["Q", "select 1 operator(pg_temp.===) 2"], ["Q", "commit"]],
    [["Q", "begin"], ["Q", "create function pg_temp.own(int, int) returns int language sql as 'delete from orders returning id'"],
     ["Q", "create operator pg_temp.=== (leftarg = int, rightarg = int, function = pg_temp.own); select 1 operator(pg_temp.===) 2"],
     ["Q", "commit"]],
    [["Q", "create function public.own(orders) returns int language sql as 'delete from orders returning id';"
      " select o.own from orders o"]],
    [["Q", "create function public.own(orders) returns int language sql as 'delete from orders returning id';"
      " select (o).own from orders o"]],
    # What was looked up before its undoing, while the transaction goes on.
    [["Q", "set search_path to decoy"], ["Q", "begin"], ["Q", "savepoint a"], ["Q", "set search_path to public"], ["Q", "select 1 from orders"],
     ["Q", "rollback to a"], ["Q", "select * from orders"]],
    [["Q", "set search_path to decoy"], ["Q", "begin"], ["Q", "set local search_path to public"], ["Q", "select 1 from orders"],
     ["Q", "rollback and chain"], ["Q", "select * from orders"]],
    [["Q", "set search_path to decoy"], ["Q", "begin"], ["Q", "set local search_path to public"], ["Q", "select 1 from orders"],
     ["Q", "commit and chain"], ["Q", "select * from orders"]],
    [["Q", "set search_path to decoy"], ["Q", "begin"], ["Q", "savepoint a"], ["Q", "set search_path to public"], ["Q", "select 1 from orders"],
     [["P", "", "rollback to a"], ["B", "", ""], ["E", ""], ["P", "", "select * from orders"], ["B", "", ""], ["E", ""], ["S"]]],
    [["Q", "set search_path to decoy"], ["Q", "begin"], ["Q", "savepoint a"],
     [["P", "", "set search_path to public"], ["B", "", ""], ["P", "", "rollback to a"], ["B", "back", ""], ["E", ""], ["E", "back"],
      ["P", "", "select * from orders"], ["B", "", ""], ["E", ""], ["S"]]],
    [["Q", "set search_path to public"], ["Q", "begin"], ["Q", "savepoint a"], ["Q", "create temp table secrets (id int)"],
     ["Q", "select * from pg_temp.secrets"], ["Q", "select * from secrets"], ["Q", "rollback to a"], ["Q", "select * from secrets"]],
    [["Q", "begin"], ["Q", "create temp table secrets (id int)"], ["Q", "select * from secrets"], ["Q", "rollback and chain"],
     ["Q", "select * from secrets"]],
    [[["P", "", "set search_path to decoy"], ["B", "", ""], ["E", ""], ["P", "", "select * from orders"], ["B", "", ""], ["E", ""], ["S"]]],
    [[["P", "q", "select * from orders"], ["S"]], ["Q", "set search_path to decoy"], [["B", "", "q"], ["E", ""], ["S"]]],
    [["Q", "prepare q as select * from orders"], ["Q", "set search_path to decoy"], ["Q", "execute q"]],
    [["Q", "select 1 from orders; set search_path to decoy; select * from orders"]],
    # What is the same name to the server.
    [[["P", "x" * 63 + "a", "select 1 from public.orders"], ["S"]],
     [["C", "S", "x" * 63 + "b"], ["P", "x" * 63 + "c", "select * from orders"], ["S"]],
     ["Q", "set search_path to decoy"], [["B", "", "x" * 63 + "a"], ["E", ""], ["S"]]],
    [[["P", "caf\u00e9", "select 1 from orders"], ["S"]]],
    [[["P", "", "select 1 from orders"], ["B", "caf\u00e9", ""], ["E", "caf\u00e9"], ["S"]]],
    [["Q", "discard all"], ["Q", "reset all"], ["Q", "table secrets"]],
    [["Q", "commit prepared 'of another session'"]],
    [["Q", "rollback prepared 'of another session'"]],
]


def snapshot(cursor):
    """Everything that is stored, and every object that there is."""
    cursor.execute("""
        select md5(string_agg(query_to_xml('table ' || oid::regclass::text, true, true, '')::text, '' order by oid))
          from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S') union all
        select md5(string_agg(t::text, ',' order by t::text)) from (
          select 'c', oid, xmin::text from pg_class where oid >= 16384 or relisshared union all
          select 'p', oid, xmin::text from pg_proc union all select 't', oid, xmin::text from pg_type union all
          select 'n', oid, xmin::text from pg_namespace union all select 'r', oid, xmin::text from pg_authid union all
          select 'd', oid, xmin::text from pg_database union all select 'l', oid, xmin::text from pg_largeobject_metadata union all
          select 's', setdatabase, xmin::text from pg_db_role_setting union all select 'x', oid, xmin::text from pg_rewrite union all
          select 'a', transaction::text::bigint, gid from pg_prepared_xacts union all
          select 'g', oid, xmin::text from pg_trigger union all select 'f', d.objoid, d.xmin::text from pg_description d
            where d.objoid >= 16384 union all select 'e', oid, xmin::text from pg_event_trigger) t""")
    return cursor.fetchall()


@pytest.fixture(scope="module")
def ask():
    # Not pytest's: another run at the same time would take the server's rights to it away.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wayleave-evasions-"))
    folder.chmod(0o755)
    server = postgres.Server(folder / "server", settings=("autovacuum = off", "max_prepared_transactions = 2"))
    server.sql(SCHEMA)
    server.sql("begin; insert into votes values (1); prepare transaction 'of another session'")
    connection = psycopg2.connect(host=str(server.data), port=server.port, user="postgres", dbname="postgres")
    connection.autocommit = True
    daemon = daemons.Daemon(folder / "wayleave", {
        "agents": [{"name": "demo", "cgroup": f"wayleave-evasions-{os.getpid()}.slice/demo"}],
        "resources": [{"name": "db", "protocol": "postgres", "hosts": [f"127.0.0.1:{server.port}"]}]}, RULES)
    runner = daemon.popen("/usr/bin/python3", HERE / "sql" / "runner.py", "127.0.0.1", server.port, "postgres", "postgres", "plain",
                          stdin=-1, stdout=-1, text=True)
    outside = connection.cursor()
    before = []

    def run(steps):
        runner.stdin.write(json.dumps(steps) + "\n")
        runner.stdin.flush()
        line = runner.stdout.readline()
        assert line, daemon.text()[-2000:]
        assert snapshot(outside) == before, "something was changed"
        return [(kind, bytes.fromhex(body) if kind != "closed" else body.encode()) for kind, body in json.loads(line)]

    try:
        before = snapshot(outside)
        yield run
    finally:
        connection.close()
        runner.stdin.close()
        runner.wait(10)
        daemon.close()
        server.stop()
        shutil.rmtree(folder)


@pytest.mark.parametrize("steps", STEPS, ids=lambda steps: str(steps[-1][-1])[:70])
def test_nothing_but_reading_is_done(ask, steps):
    seen = ask(steps)
    assert not any(b"top secret" in body for _, body in seen), seen
    assert any((kind == "E" and b"wayleave" in body) or kind == "closed" for kind, body in seen), seen


def test_what_is_allowed_goes_through(ask):
    seen = ask([["Q", "select o.item, c.name from orders o join customers c on o.id > c.id where c.id < 2 order by lower(item)"]])
    assert [kind for kind, _ in seen] == ["T"] + ["D"] * 4 + ["C", "Z"]


@pytest.mark.parametrize("text", ["select * from seen.plain limit 1", "select * from seen.stored", "select x from seen.over_stored"])
def test_views_that_call_nothing_are_shown(ask, text):
    """Nothing that is not known to be harmless; where a view's rows are stored, nothing at all."""
    assert [kind for kind, _ in ask([["Q", text]])] == ["T", "D", "C", "Z"]
