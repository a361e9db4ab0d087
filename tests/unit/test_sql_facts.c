/* SPDX-License-Identifier: Apache-2.0
 *
 * What each command is: pairs of operation and object.
 */
#include "sql_test.h"

struct fact {
	const char *text, *pairs;
};

static void expect_all(const struct fact *facts, size_t count)
{
	struct sql_catalog *c = sql_test_catalog();
	struct sql_view view = sql_test_view(c);

	for (size_t i = 0; i < count; i++)
		sql_test_expect(facts[i].text, &view, facts[i].pairs);
	sql_catalog_put(c);
}

#define EXPECT(facts) expect_all(facts, ARRAY_SIZE(facts))

Test(sql_facts, queries)
{
	static const struct fact facts[] = {
		{"select 1", "select"},
		{"select", "select"},
		{"values (1), (2)", "select"},
		{"table t", "select public.t"},
		{"select * from t", "select public.t"},
		{"select * from only t", "select public.t"},
		{"select * from t tablesample system (5)", "select public.t"},
		{"select * from t, u", "select public.t, select public.u"},
		{"select * from t join u using (id)", "select public.t, select public.u"},
		{"select (select max(id) from t) from u", "select public.t, select public.u"},
		{"select 1 where exists (select 1 from t where a in (select b from u))",
			"select public.t, select public.u"},
		{"select * from (select * from t) x, lateral (select x.a from u) y",
			"select public.t, select public.u"},
		{"select * from t union select * from u except select * from app.orders",
			"select public.t, select public.u, select app.orders"},
		{"select 1 order by (select id from t)", "select public.t"},
		{"select 1 limit (select id from t) offset (select 1 from u)",
			"select public.u, select public.t"},
		{"select sum(a) over (order by (select 1 from u)) from t",
			"select public.u, select public.t"},
		{"select sum(a) filter (where exists (select 1 from u)) from t",
			"select public.u, select public.t"},
		{"select array(select id from t), array[(select 1 from u)]",
			"select public.t, select public.u"},
		{"select case when (select true from t) then (select 1 from u) end",
			"select public.t, select public.u"},
		{"select * from t for update", "select public.t, lock public.t"},
		{"select * from t, u x for no key update of x",
			"select public.t, select public.u, lock public.u"},
		{"select * from (select * from t) x for share", "select public.t, lock public.t"},
		{"with x as (select * from t) select * from x for update", "select public.t"},
		{"select * from xmltable('/r' passing (select a from t) columns b int)",
			"select public.t"},
		{"select * from t where current_user = 'x'", "select public.t"},
		{"select id from customers -- from secret.salaries", "select public.customers"},
		{"select /* from secret.salaries */ 'from u' from t", "select public.t"},
		{"select $$ from u $$ from t", "select public.t"},
		{"", ""},
		{";;  -- nothing\n/* at all */", ""},
	};

	EXPECT(facts);
}

/* What a grant goes by. */
Test(sql_facts, what_is_read_without_a_condition)
{
	static const struct {
		const char *text;
		bool unfiltered;
	} cases[] = {
		{"select 1", false},
		{"select * from t", true},
		{"select * from t limit 1", true},
		{"select * from t where true", true},
		{"select * from t where 1 = (select 1 from (values (1)) as v (x) where x = 1)",
			true},
		{"select * from t where id = 1", false},
		{"select * from t join u on t.id = u.id", true},
		{"select * from t join u on t.id = u.id where u.id = 1", false},
		{"select * from (select * from t) x", true},
		{"select * from (select * from t) x where x.id = 1", false},
		{"select * from (select * from t where id = 1) x", false},
		{"select * from (select * from t union select * from u) x where x.id = 1", false},
		{"select * from t where id = 1 union select * from t", true},
		{"select (select max(id) from t) from u where u.id = 1", true},
		{"select * from u where id in (select id from t)", true},
		{"with x as (select * from t) select * from x where id = 1", true},
		{"insert into u select * from t", true},
		{"delete from u using t where t.id = u.id", false},
		{"copy (select * from t) to stdout", true},
		{"select * from t, pg_class c where c.oid = t.id", false},
		{"explain select * from t", false},
	};
	struct sql_catalog *c = sql_test_catalog();
	struct sql_view view = sql_test_view(c);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sql_text *t = sql_text_parse(sql_test_slice(cases[i].text));
		struct sql_resolution resolution;
		struct arena arena;
		bool unfiltered = false;

		arena_init(&arena, SQL_TEST_ARENA);
		cr_assert_eq(sql_resolve(t, &view, &arena, &resolution), 0, "%s", cases[i].text);
		for (size_t j = 0; j < resolution.pair_count; j++)
			unfiltered |= resolution.pairs[j].unfiltered;
		cr_expect_eq(unfiltered, cases[i].unfiltered, "%s", cases[i].text);
		arena_done(&arena);
		sql_text_put(t);
	}
	sql_catalog_put(c);
}

Test(sql_facts, changes)
{
	static const struct fact facts[] = {
		{"insert into t values (1)", "insert public.t"},
		{"insert into t (id) select id from u", "insert public.t, select public.u"},
		{"insert into t default values returning id", "insert public.t, select public.t"},
		{"insert into t values (1) on conflict do nothing", "insert public.t"},
		{"insert into t values (1) on conflict (id) do nothing",
			"insert public.t, select public.t"},
		{"insert into t values (1) on conflict (id) do update set a = excluded.a",
			"insert public.t, update public.t, select public.t"},
		{"update t set a = 1", "update! public.t"},
		{"update t set a = b", "update! public.t, select public.t"},
		{"update t set a = 1 where true", "update! public.t"},
		{"update t set a = 1 where 1 = 1 or random() < 2", "update! public.t"},
		{"update t set a = 1 where id = 1", "update public.t, select public.t"},
		{"update t set a = 1 where current of c", "update public.t"},
		{"update t set a = (select a from u)",
			"update! public.t, select public.u, select public.t"},
		{"update t x set (a, b) = (select 1, 2 from u) where x.id = 1",
			"update public.t, select public.u, select public.t"},
		{"update t set a = 1 from u where t.id = u.id",
			"update public.t, select public.u, select public.t"},
		{"delete from t", "delete! public.t"},
		{"delete from t returning 1", "delete! public.t, select public.t"},
		{"delete from t where id = 1", "delete public.t, select public.t"},
		{"delete from t using u where t.id = u.id",
			"delete public.t, select public.u, select public.t"},
		{"merge into t using u on t.id = u.id when matched then delete",
			"merge public.t, delete public.t, select public.u, select public.t"},
		{"merge into t using u on t.id = u.id when matched and u.a = 1 then update set a = "
		 "1 "
		 "when not matched then insert values (1)",
			"merge public.t, update public.t, insert public.t, select public.u, "
			"select public.t"},
		{"merge into t using (select * from u) x on true when matched then do nothing",
			"merge! public.t, select public.u, select public.t"},
		{"truncate t", "truncate! public.t"},
		{"truncate t, u restart identity cascade",
			"truncate! public.t, truncate! public.u, truncate ?what CASCADE takes "
			"along"},
	};

	EXPECT(facts);
}

Test(sql_facts, common_table_expressions)
{
	static const struct fact facts[] = {
		{"with x as (select * from t) select * from x", "select public.t"},
		{"with t as (select * from t) select * from t", "select public.t"},
		{"with recursive t as (select 1 union select * from t) select * from t", "select"},
		{"with x as (select 1) select * from public.x", "select public.x"},
		{"with customers as (select 1) select * from public.customers",
			"select public.customers"},
		{"with a as (select * from b), b as (select 1) select * from a, b", "select ?b"},
		{"with recursive a as (select * from b), b as (select 1) select * from a, b",
			"select"},
		{"with t as (select 1) select * from (with u as (select * from t) select * from u) "
		 "y, u",
			"select public.u"},
		{"with t as (select 1) insert into t select * from t", "insert public.t"},
		{"with t as (select 1) update t set a = 1 where id in (select * from t)",
			"update public.t, select public.t"},
		{"with t as (select 1) delete from t", "delete! public.t"},
		{"with x as (delete from t returning *) select * from x",
			"delete! public.t, select public.t"},
		{"with x as (insert into t select * from u) select 1",
			"insert public.t, select public.u"},
		{"select * from (with x as (update t set a = 1 returning *) select * from x) y",
			"update! public.t, select public.t"},
		{"insert into u with x as (delete from t returning *) select * from x",
			"insert public.u, delete! public.t, select public.t"},
		{"with x as (select 1), x2 as (with x as (select * from t) select * from x) "
		 "select * from x, x2",
			"select public.t"},
		{"(with x as (select 1) select * from x) union all select * from u",
			"select public.u"},
		{"with x as (select 1) (select * from x union all select * from t)",
			"select public.t"},
	};

	EXPECT(facts);
}

Test(sql_facts, explain)
{
	static const struct fact facts[] = {
		{"explain select 1", "explain"},
		{"explain select * from t", "explain public.t"},
		{"explain delete from t", "explain public.t"},
		{"explain verbose insert into t select * from u",
			"explain public.t, explain public.u"},
		{"explain (analyze false) delete from t", "explain public.t"},
		{"explain (analyze 0, costs off) delete from t", "explain public.t"},
		{"explain analyze delete from t", "delete! public.t, explain public.t"},
		{"explain (analyze on) delete from t", "delete! public.t, explain public.t"},
		{"explain (analyze 1) select 1", "select, explain"},
		{"explain (analyze off, analyze) delete from t",
			"delete! public.t, explain public.t"},
		{"explain (analyze, analyze off) delete from t",
			"delete! public.t, explain public.t"},
		{"explain (analyze 'no idea') delete from t", "delete! public.t, explain public.t"},
		{"explain select f(1) from t", "function public.f(), explain public.t"},
		{"explain create table x as select * from t", "explain public.x, explain public.t"},
		{"explain analyze create table x as select * from t",
			"create public.x, explain public.x, select public.t, explain public.t"},
		{"explain execute nothing", "execute_unknown, explain"},
		{"explain declare c cursor for select * from t", "explain public.t"},
		{"explain select relname from pg_class", "catalog pg_catalog.pg_class, explain"},
	};

	EXPECT(facts);
}

Test(sql_facts, stored)
{
	static const struct fact facts[] = {
		{"prepare p as delete from t", "session | delete! public.t"},
		{"prepare p as select f(1)", "session | function public.f(), select"},
		{"prepare p as delete from t; execute p",
			"session, delete! public.t | delete! public.t"},
		{"prepare p as select 1; execute p", "session, select | select"},
		{"prepare p as delete from t; deallocate p; execute p",
			"session, execute_unknown | delete! public.t"},
		{"prepare p as delete from t; deallocate all; execute p",
			"session, execute_unknown | delete! public.t"},
		{"prepare p as delete from t; discard all; execute p",
			"session, execute_unknown | delete! public.t"},
		{"prepare p as select 1; deallocate p; prepare p as delete from u; execute p",
			"session, delete! public.u | select, delete! public.u"},
		{"execute p", "execute_unknown"},
		{"execute p(f(1))", "execute_unknown, function public.f()"},
		{"create table x as execute p", "create public.x, execute_unknown"},
		{"prepare p as select * from u; create table x as execute p",
			"session, create public.x, select public.u | select public.u"},
		{"prepare p as delete from t; explain analyze execute p",
			"session, delete! public.t, explain public.t | delete! public.t"},
		{"prepare p as delete from t; explain execute p",
			"session, explain public.t | delete! public.t"},
		{"declare c cursor for select * from t", "cursor, select public.t"},
		{"declare c cursor for select 1", "cursor, select"},
		{"declare c cursor for select * from t; fetch all from c; move c; close c",
			"cursor, select public.t"},
		{"fetch next from c", "cursor, execute_unknown"},
		{"move 5 in c", "cursor, execute_unknown"},
		{"declare c cursor for select 1; close c; fetch c",
			"cursor, select, execute_unknown"},
		{"close all", "session"},
		{"select pg_advisory_unlock_all(); close all; unlisten *; reset all",
			"select, session"},
		{"deallocate all", "session"},
	};

	EXPECT(facts);
}

Test(sql_facts, session)
{
	static const struct fact facts[] = {
		{"begin", "transaction"},
		{"start transaction isolation level serializable read only", "transaction"},
		{"commit and chain", "transaction"},
		{"rollback", "transaction"},
		{"savepoint x; release x; rollback to x", "transaction"},
		{"prepare transaction 'x'", "transaction"},
		/* Of any session, which is not judged with it. */
		{"commit prepared 'x'", "execute_unknown"},
		{"rollback prepared 'x'", "execute_unknown"},
		{"set transaction read write", "transaction"},
		{"set session characteristics as transaction read only", "transaction"},
		{"set transaction_read_only = off", "transaction"},
		{"set constraints all deferred", "transaction"},
		{"set work_mem = '1GB'", "session"},
		{"set local \"Work_Mem\" to default", "session"},
		{"set search_path = secret", "session"},
		{"set schema 'secret'", "session"},
		{"set time zone 'UTC'", "session"},
		{"set application_name = 'x'", "session"},
		{"reset all", "session"},
		{"discard all", "session"},
		{"discard temp", "session"},
		{"set role admin", "set_role admin"},
		{"set local role 'admin'", "set_role admin"},
		{"set \"ROLE\" = admin", "set_role admin"},
		{"set role none", "set_role"},
		{"reset role", "set_role"},
		{"set session authorization admin", "set_role admin"},
		{"set session authorization default", "set_role"},
		{"set row_security = off", "set row_security"},
		{"set \"Row_Security\" = off", "set row_security"},
		{"reset row_security", "set row_security"},
		{"set session_replication_role = replica", "set session_replication_role"},
		{"set app.tenant = '7'", "set app.tenant"},
		{"set App.Tenant = '7'", "set app.tenant"},
		{"set names 'utf8'", "session"},
		{"set client_encoding = 'UTF-8'", "session"},
		{"set names 'gbk'", "set client_encoding"},
		{"set names default", "set client_encoding"},
		{"set standard_conforming_strings = on", "session"},
		{"set standard_conforming_strings = off", "set standard_conforming_strings"},
		{"set backslash_quote = on", "set backslash_quote"},
		{"show all", "show"},
		{"show search_path", "show"},
		{"listen x", "listen x"},
		{"unlisten *", "session"},
		{"notify x, 'text'", "notify x"},
		{"lock t, u in exclusive mode", "lock public.t, lock public.u"},
		{"do $$ begin end $$", "do"},
		{"call f(1)", "call public.f()"},
		{"call app.anything((select 1))", "call app.anything()"},
		{"load 'lib'", "load lib"},
		{"checkpoint", "checkpoint"},
	};

	EXPECT(facts);
}

Test(sql_facts, copy)
{
	static const struct fact facts[] = {
		{"copy t to stdout", "copy_out public.t"},
		{"copy t (id) to stdout csv header", "copy_out public.t"},
		{"copy t from stdin", "copy_in public.t"},
		{"copy t from stdin where f(id) = 1", "copy_in public.t, function public.f()"},
		{"copy (select * from t) to stdout", "copy_out, select public.t"},
		{"copy (delete from t returning *) to stdout",
			"copy_out, delete! public.t, select public.t"},
		{"copy t to '/tmp/x'", "copy_out public.t, copy_file public.t"},
		{"copy t from '/tmp/x'", "copy_in public.t, copy_file public.t"},
		{"copy t to program 'cat'", "copy_out public.t, copy_program public.t"},
		{"copy (select 1) to program 'cat'", "copy_out, copy_program"},
		{"copy t from program 'curl x'", "copy_in public.t, copy_program public.t"},
	};

	EXPECT(facts);
}

Test(sql_facts, definitions)
{
	static const struct fact facts[] = {
		{"create table x (id int)", "create public.x"},
		{"create table app.x (id int)", "create app.x"},
		{"create temp table x (id int)", "create pg_temp.x"},
		{"create table pg_temp.x (id int)", "create pg_temp.x"},
		{"create table x as select * from t", "create public.x, select public.t"},
		{"select * into x from t", "create public.x, select public.t"},
		{"select * into temp x from t", "create pg_temp.x, select public.t"},
		{"create table x (like t including all)", "create public.x, select public.t"},
		{"create table x (a int references u)", "create public.x, select public.u"},
		{"create table x () inherits (t)", "create public.x, alter public.t"},
		{"create table x partition of t default", "create public.x, alter public.t"},
		{"create table x (a int default f(1))", "create public.x, function public.f()"},
		{"create table x (a int generated always as (f(1)) stored)",
			"create public.x, function public.f()"},
		{"create foreign table x (a int) server s", "create public.x"},
		{"create view w as select * from t", "create public.w, select public.t"},
		{"create or replace temp view w as select * from t",
			"create pg_temp.w, select public.t"},
		{"create recursive view w (n) as select 1 union select n from w",
			"create public.w"},
		{"create materialized view w as select * from t",
			"create public.w, select public.t"},
		{"refresh materialized view v", "alter public.v"},
		{"create index i on t (a)", "create public.t"},
		{"create index i on t (f(a))", "create public.t, function public.f()"},
		{"create sequence s", "create public.s"},
		{"alter sequence seq restart", "alter public.seq"},
		{"create type mood as enum ('a')", "create public.mood"},
		{"create type app.mood as (a int)", "create app.mood"},
		{"create domain d as int check (f(value))", "create public.d, function public.f()"},
		{"alter type app.mood add value 'b'", "alter app.mood"},
		{"alter type mood add value 'b'", "alter ?mood"},
		{"create function g() returns int language sql as 'drop table t'",
			"create public.g()"},
		{"create function g() returns int begin atomic select id from t; end",
			"create public.g(), select public.t"},
		{"create function g() returns int language sql set search_path = x as ''",
			"create public.g()"},
		{"create procedure app.p() language sql as ''", "create app.p()"},
		{"create aggregate a (int) (sfunc = f, stype = int)", "create public.a()"},
		{"create operator + (leftarg = t, function = f)", "create public.+"},
		{"create trigger g before insert on t execute function f()",
			"create public.t, function public.f()"},
		{"create rule r as on insert to t do also delete from u",
			"create public.t, delete! public.u"},
		{"create policy p on t using (exists (select 1 from u))",
			"create public.t, select public.u"},
		{"create statistics s on a, b from t", "create public.t"},
		{"create event trigger e on ddl_command_end execute function f()",
			"create e, function public.f()"},
		{"create schema s", "create s"},
		{"create schema authorization joe", "create joe"},
		{"create schema s create table x (id int) grant select on x to joe",
			"create s, create s.x, grant ?x"},
		{"create extension hstore", "create hstore"},
		{"create role r in role admin, ops", "create r, grant admin, grant ops"},
		{"create user r", "create r"},
		{"create database d", "create d"},
		{"create tablespace x location '/x'", "create x"},
		{"create server s foreign data wrapper w", "create s"},
		{"create user mapping for joe server s", "create s"},
		{"create cast (int as text) without function", "create ?an object without a name"},
		{"create publication p for table t", "create p, select public.t"},
		{"create subscription s connection 'x' publication p", "create s"},
		{"create language l", "create l"},
		{"create collation c (locale = 'x')", "create public.c"},
		{"create text search configuration c (parser = x)", "create public.c"},
		{"create conversion c for 'utf8' to 'latin1' from f", "create public.c"},
		{"create operator class c for type int using btree as storage int",
			"create public.c"},
		{"create transform for int language l (from sql with function f(internal))",
			"create ?an object without a name"},
		{"create access method m type index handler f", "create m"},
		{"import foreign schema s from server x into app", "create ?app"},
	};

	EXPECT(facts);
}

Test(sql_facts, alterations)
{
	static const struct fact facts[] = {
		{"alter table t add column c int", "alter public.t"},
		{"alter table t add column c int default f(1)",
			"alter public.t, function public.f()"},
		{"alter table t add foreign key (a) references u",
			"alter public.t, select public.u"},
		{"alter table t attach partition u default", "alter public.t, alter public.u"},
		{"alter table t inherit u", "alter public.t, alter public.u"},
		{"alter table if exists nothing drop column c", "alter public.nothing"},
		{"alter index t_idx rename to x", "alter public.t_idx"},
		{"alter table t rename to x", "alter public.t"},
		{"alter table t rename column a to b", "alter public.t"},
		{"alter table t set schema app", "alter public.t, create app.t"},
		{"alter function f(int) rename to g", "alter public.f()"},
		{"alter function f(int) set role x", "alter public.f()"},
		{"alter table t owner to joe", "alter public.t"},
		{"alter view v rename column a to b", "alter public.v"},
		{"alter policy p on t using (true)", "alter public.t"},
		{"alter role joe superuser", "alter joe"},
		{"alter role current_user superuser", "alter ?the current role"},
		{"alter role joe set row_security = off", "alter joe, set row_security"},
		{"alter role joe set search_path = x", "alter joe, session"},
		{"alter group g add user joe", "alter g, grant g"},
		{"alter database d set role = x", "alter d, set_role x"},
		{"alter system set work_mem = 1", "alter ?the system, session"},
		{"alter default privileges grant select on tables to joe",
			"grant ?all objects of a schema"},
		{"drop table t", "drop public.t"},
		{"drop table if exists t, nothing", "drop public.t, drop public.nothing"},
		{"drop table t cascade", "drop public.t, drop ?what CASCADE takes along"},
		{"drop view v", "drop public.v"},
		{"drop index t_idx", "drop public.t_idx"},
		{"drop function f(int)", "drop public.f()"},
		{"drop type app.mood", "drop app.mood"},
		{"drop trigger x on t", "drop public.t"},
		{"drop policy x on app.orders", "drop app.orders"},
		{"drop schema app", "drop app"},
		{"drop schema secret cascade",
			"drop secret, drop secret.salaries, drop ?what CASCADE takes along"},
		{"drop role joe", "drop joe"},
		{"drop database d", "drop d"},
		{"drop extension hstore", "drop hstore"},
		{"drop owned by joe", "drop ?an object without a name"},
		{"reassign owned by joe to ann", "alter ?an object without a name"},
		{"drop cast (int as text)", "drop ?OBJECT_CAST"},
		{"drop operator app.+ (int, int)", "drop app.+"},
		{"drop operator class app.c using btree", "drop app.c"},
		{"drop operator class c using btree", "drop ?c"},
		{"comment on table t is 'x'", "comment public.t"},
		{"comment on column t.a is 'x'", "comment public.t"},
		{"comment on column app.orders.id is 'x'", "comment app.orders"},
		{"comment on function f(int) is 'x'", "comment public.f()"},
		{"comment on database d is 'x'", "comment d"},
		{"security label on table t is 'x'", "alter public.t"},
		{"grant select on t, app.orders to joe", "grant public.t, grant app.orders"},
		{"grant all on all tables in schema app to joe", "grant ?all objects of a schema"},
		{"grant execute on function f(int) to joe", "grant public.f()"},
		{"grant usage on schema app to joe", "grant app"},
		{"grant admin to joe", "grant admin"},
		{"revoke admin from joe", "revoke admin"},
		{"revoke select on t from joe", "revoke public.t"},
		{"grant set on parameter work_mem to joe", "grant work_mem"},
		{"vacuum", "vacuum! ?every relation"},
		{"vacuum full t", "vacuum public.t"},
		{"vacuum (analyze) t, u",
			"vacuum public.t, vacuum public.u, analyze public.t, analyze public.u"},
		{"vacuum (analyze off) t", "vacuum public.t"},
		{"analyze t (a)", "analyze public.t"},
		{"analyze", "analyze! ?every relation"},
		{"cluster t using t_idx", "vacuum public.t"},
		{"reindex table t", "vacuum public.t"},
		{"reindex database d", "vacuum! ?every relation"},
	};

	EXPECT(facts);
}

Test(sql_facts, functions)
{
	static const struct fact facts[] = {
		{"select lower('x'), now(), coalesce(null, 1), current_user", "select"},
		{"select pg_catalog.lower('x')", "select"},
		{"select (information_schema._pg_expandarray('{1}'::int[])).n", "select"},
		{"select public._pg_expandarray('{1}')",
			"function public._pg_expandarray(), select"},
		{"select pg_catalog._pg_expandarray('{1}')",
			"function pg_catalog._pg_expandarray(), select"},
		{"select information_schema.lower('x')",
			"function information_schema.lower(), select"},
		{"select extract(year from now()), trim(' x'), 'a' like 'b', a at time zone 'x' "
		 "from t",
			"select public.t"},
		{"select f(1)", "function public.f(), select"},
		{"select app.f(1)", "function app.f(), select"},
		{"select public.lower('x')", "function public.lower(), select"},
		{"select nothing(1)", "function ?nothing(), select"},
		{"select similarity('a', 'b')", "function public.similarity(), select"},
		{"select max(a) from t", "select public.t"},
		{"select * from f(1)", "function public.f(), select"},
		{"select * from rows from (f(1), generate_series(1, 2))",
			"function public.f(), select"},
		{"select nextval('seq')", "function pg_catalog.nextval(), select"},
		{"select pg_sleep(10)", "function pg_catalog.pg_sleep(), select"},
		{"select pg_read_file('/etc/passwd')",
			"function pg_catalog.pg_read_file(), select"},
		{"select lo_import('/etc/passwd')", "function pg_catalog.lo_import(), select"},
		{"select query_to_xml('delete from t', true, true, '')",
			"function pg_catalog.query_to_xml(), select"},
		{"select * from ts_stat('select a from t')",
			"function pg_catalog.ts_stat(), select"},
		{"select pg_terminate_backend(1)",
			"function pg_catalog.pg_terminate_backend(), select"},
		{"select set_config('role', 'admin', false)", "set_role admin, select"},
		{"select set_config('ROLE', 'admin', false)", "set_role admin, select"},
		{"select pg_catalog.set_config('work_mem', '1', true)", "session, select"},
		{"select set_config('ro' || 'le', 'admin', false)", "set ?set_config(), select"},
		{"select set_config(setting_name => 'role', new_value => 'x', is_local => false)",
			"set ?set_config(), select"},
		{"select set_config(a, 'x', false) from t", "set ?set_config(), select public.t"},
		{"select set_config(name, 'x', false) from pg_settings where name = 'work_mem'",
			"session, catalog pg_catalog.pg_settings"},
		{"select set_config(name, 'x', false) from pg_settings where name = 'role'",
			"set_role x, catalog pg_catalog.pg_settings"},
		{"select set_config(name, 'x', false) from pg_settings where name <> 'work_mem'",
			"set ?set_config(), catalog pg_catalog.pg_settings"},
		{"select set_config(name, 'x', false), (select 1 from pg_settings where name = "
		 "'work_mem') from pg_settings where name = 'role'",
			"set_role x, catalog pg_catalog.pg_settings"},
		{"select set_config(name, 'x', false) from (select 'role' as name) pg_settings "
		 "where name = 'work_mem'",
			"set ?set_config(), select"},
		{"with pg_settings as (select 'role' as name) select set_config(name, 'x', false) "
		 "from pg_settings where name = 'work_mem'",
			"set ?set_config(), select"},
		{"select set_config(name, 'x', false) from app.pg_settings where name = 'work_mem'",
			"set ?a row of pg_settings, session, select app.pg_settings"},
		{"select pg_notify('x', 'y')", "notify x, select"},
		{"select pg_notify(a, 'y') from t", "notify ?pg_notify(), select public.t"},
		{"update pg_settings set setting = 'x' where name = 'role'",
			"update pg_catalog.pg_settings, set ?a row of pg_settings, "
			"catalog pg_catalog.pg_settings"},
		{"select orders.net from orders", "select public.orders, function public.net()"},
		{"select (o).net from orders o", "select public.orders, function public.net()"},
		{"select o.state from orders o", "select public.orders"},
		{"select x.state from (select 1) x", "function public.state(), select"},
		{"select 1 ~~~ 2", "function public.equal_ssn(), select"},
		{"select 1 operator(public.~~~) 2", "function public.equal_ssn(), select"},
		{"select 1 operator(pg_catalog.=) 2", "select"},
		{"select 'x'::mood", "function public.to_mood(), select"},
		{"select cast('x' as public.mood[])", "function public.to_mood(), select"},
		{"select 'x'::text, 'y'::app.kind", "select"},
		{"select * from pg_class", "catalog pg_catalog.pg_class"},
		{"select * from information_schema.columns", "catalog information_schema.columns"},
		{"select * from pg_stats", "select pg_catalog.pg_stats"},
		{"select * from pg_catalog.pg_authid", "select pg_catalog.pg_authid"},
		{"select * from pg_newcomer", "select pg_catalog.pg_newcomer"},
		{"select * from pg_stat_activity", "select ?pg_stat_activity"},
		{"delete from pg_class", "delete! pg_catalog.pg_class"},
	};

	EXPECT(facts);
}

Test(sql_facts, everything_that_parses_is_known)
{
	struct sql_catalog *c = sql_test_catalog();
	struct sql_view view = sql_test_view(c);
	struct sql_resolution resolution;

	free(sql_test_pairs("select 1; drop table t", &view, &resolution));
	cr_assert_eq(resolution.unknown, 0);
	cr_assert_null(resolution.problem);
	sql_catalog_put(c);
}

Test(sql_facts, what_does_not_parse_is_unknown)
{
	static const char *const texts[] = {"selec 1", "select 1_000", "select 'open",
		"select json_object('a' value 1 absent on null)", "start_replication slot x"};
	struct sql_view view = sql_test_view(NULL);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct sql_text *t = sql_text_parse(sql_test_slice(texts[i]));
		struct sql_resolution r;
		struct arena arena;

		arena_init(&arena, SQL_TEST_ARENA);
		cr_expect_eq(sql_text_status(t), SQL_REJECTED, "%s", texts[i]);
		cr_expect_not_null(sql_text_problem(t));
		cr_expect_eq(sql_text_command_count(t), 0);
		cr_expect_eq(sql_resolve(t, &view, &arena, &r), 0);
		cr_expect_eq(r.unknown, ACTION_UNKNOWN_TEXT);
		cr_expect_eq(r.pair_count, 0);
		cr_expect_str_eq(r.problem, sql_text_problem(t));
		arena_done(&arena);
		sql_text_put(t);
	}
}

/* Reviews are bound to the pairs in their order: it must not hang on how a process hashes names, or
 * on the order in which the server sent them. */
Test(sql_facts, what_falls_with_a_schema_has_an_order)
{
	static const char *const names[] = {"k", "b", "z", "a", "ab", "m", "e", "q", "t", "d", "x"};
	static const char expected[] =
		"drop s, drop s.a, drop s.ab, drop s.b, drop s.d, drop s.e, drop s.k, drop s.m, "
		"drop s.q, drop s.t, drop s.x, drop s.z, drop ?what CASCADE takes along";

	for (int round = 0; round < 2; round++) {
		struct sql_test_row rows[ARRAY_SIZE(names) + 2] = {
			{0, {"30000", "r", "before", "r", "1"}},
			{0, {"30001", "t", "behind", "r", "1"}},
		};
		char oids[ARRAY_SIZE(names)][8];
		struct sql_catalog *c;
		struct sql_view view;

		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			size_t from = round ? ARRAY_SIZE(names) - 1 - i : i;

			snprintf(oids[i], sizeof(oids[i]), "%zu", 20000 + from);
			rows[i + 2] =
				(struct sql_test_row){0, {oids[i], "s", names[from], "r", "1"}};
		}
		c = sql_test_fill(rows, ARRAY_SIZE(rows));
		view = sql_test_view(c);
		sql_test_expect("drop schema s cascade", &view, expected);
		sql_catalog_put(c);
	}
}

/* Operators, casts and attributes of which the catalog, or the path, does not say what they are
 * where the command stands. */
Test(sql_facts, code_that_came_to_be)
{
	static const struct fact facts[] = {
		{"create operator public.~~+~ (rightarg = int, function = f); select ~~+~ 1",
			"create public.~~+~, function ?~~+~(), select"},
		{"create cast (t as int) with function f(t); select 1::int8",
			"create ?an object without a name, function ?int8(), select"},
		{"create function g(u) returns int language sql as ''; select u.g from u",
			"create public.g(), select public.u, function ?g()"},
		{"create function g(u) returns int language sql as ''; select u.id from u",
			"create public.g(), select public.u"},
		{"alter function app.f() rename to h; select u.h from u",
			"alter app.f(), select ?u, function ?h()"},
		{"set search_path = app; select 1 ~~~ 2", "session, function ?~~~(), select"},
		{"set search_path = app; select 1 + 2", "session, select"},
		{"set search_path = app; select x.net from public.t x",
			"session, select public.t, function ?net(), function public.net()"},
		{"set search_path = app; select x.id from public.t x", "session, select public.t"},
	};

	EXPECT(facts);
}

/* pg_temp is a schema with a number in the server's catalogs. */
Test(sql_facts, code_of_the_session)
{
	static const struct sql_test_row rows[] = {
		{8, {"pg_temp_3", "===", "pg_temp_3", "spy"}},
		{9, {"pg_temp_3", "mood", "pg_temp_3", "to_mood"}},
	};
	static const struct slice path[] = {{(const uint8_t *)"pg_temp_3", 9},
		{(const uint8_t *)"pg_catalog", 10}, {(const uint8_t *)"public", 6}};
	struct sql_catalog *c = sql_test_fill(rows, ARRAY_SIZE(rows));
	struct sql_view view = {.catalog = c, .path = path, .path_count = 3};

	sql_test_expect(
		"select 1 operator(pg_temp.===) 2", &view, "function pg_temp.spy(), select");
	sql_test_expect(
		"select 1 operator(pg_temp_3.===) 2", &view, "function pg_temp.spy(), select");
	sql_test_expect("select 1::pg_temp.mood", &view, "function pg_temp.to_mood(), select");
	sql_test_expect("select 1::pg_temp_4.mood", &view, "select");
	sql_catalog_put(c);
}
