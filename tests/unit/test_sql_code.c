/* SPDX-License-Identifier: Apache-2.0
 *
 * Code of somebody's own where a text does not call it: operators behind BETWEEN, USING, CASE and
 * the like; what definitions keep; parameters of EXECUTE. It would be given masked values, or its
 * answer, which may hold some, would go where no mask is. `filter: allow` changes nothing about it.
 */
#include "base/limits.h"
#include "sql_test.h"

/* The schema that comes first on the path has operators of its own, by code. */
static const struct sql_test_row more[] = {
	{8, {"own", "=", "public", "f"}},
	{8, {"own", "<", "public", "f"}},
	{8, {"own", ">=", "public", "f"}},
};

static const char *const refused[] = {
	/* given to it */
	"select id from customers where ssn between '1' and '2'",
	"select id from customers where ssn not between symmetric '1' and '2'",
	"select id from customers where ssn in (select a from t)",
	"select id from customers where ssn = any (select a from t)",
	"select c.id from customers c join orders o using (ssn)",
	"select count(*) from customers natural join orders",
	"select case ssn when '1' then 1 end from customers",
	"select id from customers order by ssn using operator(own.<)",
	"select id, ssn from customers order by 2 using operator(own.<)",
	"select array_agg(id order by ssn using operator(own.<)) from customers",
	"select id from customers where (id, ssn) = (1, '2')",
	"select nullif(ssn, '1') from customers",
	"select id from customers where ssn is distinct from '1'",
	/* its answer decides */
	"select id from t where a between '1' and '2'",
	"select id from t where a in (select b from u)",
	"select t.id from t join u using (a)",
	"select case a when '1' then 1 end from t",
	"select id from t order by a using operator(own.<)",
	/* its answer is kept */
	"create temp table x (a int, b text default f())",
	"create temp table x (a text check (a < f()))",
	"create temp table x (a text check (a between '1' and '2'))",
	"create temp table x (a text generated always as (f()) stored)",
	"create temp table x partition of t for values in (f())",
	"create temp table x (a text default '1'::mood)",
	"create unique index on t ((f()))",
	"create index on t (id) where f() > '1'",
	"create statistics s on (f()), id from t",
	"create domain d as text default f()",
	"create domain d as text check (value <> f())",
	"create policy p on t using (f() > '1')",
	"create policy p on t using (t.net = 1)",
	"alter policy p on t with check (f() > '1')",
	"create trigger g before update on t for each row when (f() > '1') execute function "
	"suppress_redundant_updates_trigger()",
	"create rule r as on insert to t do instead insert into u values (1, f())",
	"create schema s create table x (a text default f())",
	"alter table t add c text default f()",
	"alter table t alter a type text using f()",
	"alter table t alter a set default f()",
	"alter table t add check (a = any (select f()))",
	"copy t from stdin where f() > '1'",
	/* it is a parameter */
	"prepare p(text) as select $1; execute p(f())",
	"prepare p(text) as select id from t where a > $1; execute p(f())",
	"prepare p(text) as select $1; explain analyze execute p(f() || 'x')",
	"prepare p(text) as select $1; create table x as execute p(f())",
	/* values of a type, in whichever tables */
	"alter domain d add check (value::int > 0)",
	"alter domain d set not null",
	"alter domain d validate constraint c",
	"alter type y rename attribute ssn to other cascade",
	"alter type y alter attribute ssn type varchar(3) cascade",
	/* rows within bounds */
	"alter table t attach partition customers for values from ('1') to ('5')",
};

static const char *const passed[] = {
	"select id from customers where id > 1",
	"select id, name from customers order by name",
	"create temp table x (a int, b uuid default gen_random_uuid(), c timestamptz default "
	"now())",
	"create temp table x (a int default nextval('seq'))",
	"create temp table x (a text check (a like 'x%'), b int check (b > 0))",
	"create index on t (lower(a))",
	"create trigger g before update on t for each row execute function f()",
	"create function g(a text default f()) returns text language sql return f()",
	"alter table t alter a type varchar(7)",
	"alter domain d drop not null",
	"alter domain d set default 'x'",
	"alter type y add attribute more text cascade",
	"alter table t attach partition u for values from ('1') to ('5')",
	"copy t from stdin where a like 'x%'",
	"prepare p(text) as select $1; execute p('x' || 1)",
};

static const struct slice own_path[] = {{(const uint8_t *)"own", 3},
	{(const uint8_t *)"pg_catalog", 10}, {(const uint8_t *)"public", 6}};

static struct sql_catalog *catalog(void)
{
	struct sql_test_row rows[ARRAY_SIZE(sql_test_rows) + ARRAY_SIZE(more)];

	memcpy(rows, sql_test_rows, sizeof(sql_test_rows));
	memcpy(rows + ARRAY_SIZE(sql_test_rows), more, sizeof(more));
	return sql_test_fill(rows, ARRAY_SIZE(rows));
}

/* `own`: with the operators on the path. NULL: it passes; else the words, to be freed. */
static char *refusal_of(const char *text, bool own, bool filter_allowed)
{
	static uint64_t serial;
	const struct mask_column column = {
		{(const uint8_t *)"public.customers.ssn", 20}, MASK_REDACT, filter_allowed};
	struct mask_rules rules = {.serial = ++serial, .columns = &column, .column_count = 1};
	struct sql_catalog *c = catalog();
	struct sql_view view = sql_test_view(c);
	struct sql_text *t = sql_text_parse(sql_test_slice(text));
	struct sql_lineage lineage;
	struct arena arena;
	char *words = NULL;

	if (own) {
		view.path = own_path;
		view.path_count = ARRAY_SIZE(own_path);
	}
	arena_init(&arena, SQL_TEST_ARENA);
	cr_assert_eq(sql_text_status(t), SQL_PARSED, "%s: %s", text, sql_text_problem(t));
	cr_assert_eq(sql_trace(t, &view, &rules, &arena, &lineage), 0, "%s", text);
	if (lineage.refusal)
		words = memory_copy_text(lineage.refusal, strlen(lineage.refusal));
	arena_done(&arena);
	sql_text_put(t);
	sql_catalog_put(c);
	return words;
}

Test(sql_code, it_is_refused_where_no_mask_follows)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		for (int allowed = 0; allowed < 2; allowed++) {
			char *words = refusal_of(refused[i], true, allowed);

			cr_expect(words, "%s (%d)", refused[i], allowed);
			free(words);
		}
	}
}

Test(sql_code, what_is_the_servers_own_passes)
{
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++) {
		char *words = refusal_of(passed[i], false, true);

		cr_expect(!words, "%s: %s", passed[i], words);
		free(words);
	}
}

/* The first eighteen are about operators: without them on the path `filter: allow` lets them pass.
 */
Test(sql_code, it_is_the_operator_that_is_refused)
{
	for (size_t i = 0; i < 18; i++) {
		char *words;

		if (strstr(refused[i], "operator("))
			continue;
		words = refusal_of(refused[i], false, true);
		cr_expect(!words, "%s: %s", refused[i], words);
		free(words);
	}
}
