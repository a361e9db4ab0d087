/* SPDX-License-Identifier: Apache-2.0
 *
 * `filter` of a mask: in which uses of a masked column its value decides what can be seen. Each is
 * refused by name, unless all masks on the column say `filter: allow`; then it passes, and what is
 * shown of the column stays masked.
 */
#include "base/limits.h"
#include "sql_test.h"

/* {what uses it, a text that shows customers.ssn first}. */
static const char *const uses[][2] = {
	{"WHERE", "select ssn from customers where ssn = '1'"},
	{"WHERE", "select ssn from customers where ssn like '1%'"},
	{"WHERE", "select ssn from customers where ssn in ('1', '2')"},
	{"WHERE", "select ssn from customers where ssn in (select a from t)"},
	{"WHERE", "select ssn from customers where exists (select 1 from t where a = ssn)"},
	{"WHERE", "select ssn from customers where ssn is null"},
	{"WHERE", "select ssn from (select ssn from customers) s where ssn > '5'"},
	{"WHERE",
		"with s as (select ssn as x from customers) select x from s where x between '1' "
		"and '2'"},
	{"JOIN", "select c.ssn from customers c join t on t.a = c.ssn"},
	{"JOIN", "select c.ssn from customers c left join t on t.a = c.ssn and t.id = 1"},
	{"JOIN", "select c.ssn from customers c join orders o using (ssn)"},
	{"GROUP BY", "select ssn from customers group by ssn"},
	{"GROUP BY", "select ssn, count(*) from customers group by 1"},
	{"GROUP BY", "select ssn from customers group by rollup (ssn, id)"},
	{"GROUP BY", "select ssn from customers group by grouping sets ((ssn), ())"},
	{"HAVING", "select max(ssn) from customers group by id having max(ssn) > '5'"},
	{"GROUP BY", "select ssn, id from customers group by (1, 2)"},
	{"GROUP BY", "select ssn, id from customers group by rollup ((2, 1))"},
	{"ORDER BY", "select ssn from customers order by ssn"},
	{"ORDER BY", "select ssn from customers order by name, ssn"},
	{"ORDER BY", "select ssn from customers order by id + 1 desc nulls last, left(ssn, 1)"},
	{"ORDER BY", "select ssn, id from customers order by 2, 1"},
	{"ORDER BY", "select max(ssn), array_agg(id order by name, ssn) from customers"},
	{"DISTINCT", "select distinct on (id, ssn) ssn from customers"},
	{"a window", "select ssn, rank() over (order by name, ssn) from customers"},
	{"a window", "select ssn, rank() over (partition by name, ssn) from customers"},
	{"ORDER BY", "select ssn from customers order by 1 desc"},
	{"ORDER BY", "select ssn as x from customers order by x limit 1"},
	{"ORDER BY", "select ssn from customers order by upper(ssn)"},
	{"DISTINCT", "select distinct ssn from customers"},
	{"DISTINCT", "select distinct on (ssn) ssn, id from customers"},
	{"a window", "select ssn, row_number() over (order by ssn) from customers"},
	{"a window", "select ssn, rank() over w from customers window w as (partition by ssn)"},
	/* Whether a part of it is there. */
	{"COALESCE", "select coalesce(substring(ssn from '^1'), name) from customers"},
	{"function json_build_object",
		"select json_build_object(substring(ssn from '^1'), 1) from customers"},
	/* What is in a document comes out as columns. */
	/* One of those that are ordered is the result. */
	{"ORDER BY", "select mode() within group (order by ssn) from customers"},
	{"ORDER BY", "select percentile_disc(0.5) within group (order by ssn) from customers"},
	{"XMLTABLE",
		"select x.a from customers c, xmltable('/r' passing c.ssn columns a text path '.') "
		"as x"},
	{"XMLTABLE",
		"select x.a from customers c, xmltable('/r' passing '<r/>' columns b int path '.', "
		"a text path '.' default c.ssn) as x"},
	{"XMLTABLE",
		"select (select upper(xmltable.a) from xmltable('/r' passing c.ssn columns a text "
		"path '.')) from customers c, (select 'x' as a) as xmltable"},
	{"FILTER", "select max(ssn), count(*) filter (where ssn = '1') from customers"},
	/* Names that something in FROM seems to have. */
	{"WHERE",
		"select ssn from customers where (select ssn from jsonb_array_elements('[1]') ssn) "
		"> '5'"},
	{"TABLESAMPLE",
		"select ssn, (select count(*) from (select 50 as ssn) z, orders tablesample "
		"system (ssn)) from customers"},
	{"ORDER BY",
		"select ssn, (select x from (values (ssn, 'a') order by column1 || '') v (y, x)) "
		"from customers, (select 'a' as column1) o"},
	/* Names of the result that only the server knows. */
	{"ORDER BY",
		"select x.i from (select (s.w).*, s.i from (select c as w, c.ssn as i, 'a' as k "
		"from customers c) s order by k) x"},
	{"DISTINCT",
		"select x.i from (select distinct on (k) (s.w).*, s.i from (select c as w, "
		"c.ssn as i, 'a' as k from customers c) s) x"},
};

static const char *const others[] = {
	"select ssn from customers",
	"select ssn from customers where id = 1 order by id",
	"select ssn from customers c join orders o on o.customer_id = c.id",
	"select distinct on (id) ssn from customers order by id",
	"select substring(ssn from '^1') from customers",
	"select coalesce(ssn, name) from customers",
	"select coalesce(name, substring(ssn from '^1')) from customers",
	"select max(ssn) from customers group by id having count(*) > 1",
	"select ssn, row_number() over (partition by name order by id) from customers",
	/* Names that something in FROM seems to have, and what is further out has. */
	"select (select ssn from jsonb_array_elements('[1]') ssn) from customers",
	"select (select ssn from pg_input_error_info('a', 'int4') ssn) from customers",
	"select (select ssn from rows from (generate_series(1, 1), generate_series(1, 1)) ssn) "
	"from customers",
	"select (select o from jsonb_each('{}') with ordinality as t(k, v, q)) from (select ssn "
	"as o from customers) q",
	"select (select ordinality from jsonb_each('{}') with ordinality as t(k, v, o)) from "
	"(select ssn as ordinality from customers) q",
	"select (select j.ssn from (orders a join orders b using (ssn) as j) k) from customers j",
	"select xmax from (select ssn from customers) xmax",
	"with recursive r(n) as (select 1 union all select n from r) search depth first by n set "
	"ssn select (select ssn from (select * from r) x) from customers",
	"with recursive r(n) as (select 1 union all select n from r) cycle n set ssn using p "
	"select (select ssn from (select * from r a join r b using (ssn)) x) from customers",
};

/* Columns of functions in FROM by the names that they have. */
static const char *const clean[] = {
	"select e.value from customers c, jsonb_array_elements('[1]') e",
	"select e from customers c, generate_series(1, 2) e",
	"select generate_series from customers, rows from (generate_series(1, 2), upper('a')) e",
};

static const struct mask_column denied = {
	{(const uint8_t *)"public.customers.ssn", 20}, MASK_REDACT, false};
static const struct mask_column allowed = {
	{(const uint8_t *)"public.customers.ssn", 20}, MASK_PARTIAL, true};

/* Traces the text under the masks; the lineage is in the arena, which is the caller's to end. */
static struct sql_lineage trace(
	const char *text, const struct mask_column *columns, size_t count, struct arena *arena)
{
	static uint64_t serial;
	struct sql_catalog *c = sql_test_catalog();
	struct sql_view view = sql_test_view(c);
	struct mask_rules rules = {.serial = ++serial, .columns = columns, .column_count = count};
	struct sql_text *t = sql_text_parse(sql_test_slice(text));
	struct sql_lineage lineage;

	arena_init(arena, SQL_TEST_ARENA);
	cr_assert_eq(sql_text_status(t), SQL_PARSED, "%s: %s", text, sql_text_problem(t));
	cr_assert_eq(sql_trace(t, &view, &rules, arena, &lineage), 0, "%s", text);
	sql_text_put(t);
	sql_catalog_put(c);
	return lineage;
}

/* Whether the text is refused under these masks; else that its first column is masked. The words of
 * a refusal name the column and, where it is not NULL, the use. */
static bool is_refused(
	const char *text, const struct mask_column *columns, size_t count, const char *use)
{
	struct arena arena;
	struct sql_lineage lineage = trace(text, columns, count, &arena);
	bool refused = lineage.refusal;

	if (refused) {
		cr_expect(strstr(lineage.refusal, "ssn"), "%s: %s", text, lineage.refusal);
		cr_expect(!use || strstr(lineage.refusal, use), "%s: %s", text, lineage.refusal);
	} else {
		cr_expect(lineage.commands[0].has_outputs, "%s", text);
		cr_expect_neq(lineage.commands[0].outputs[0].state, SQL_OUTPUT_CLEAN, "%s", text);
		cr_expect_geq(lineage.commands[0].outputs[0].strategy,
			columns[0].filter_allowed ? MASK_PARTIAL : MASK_REDACT, "%s", text);
	}
	arena_done(&arena);
	return refused;
}

/* Whether the text passes, and its first column as it is. */
static bool is_clean(const char *text)
{
	struct arena arena;
	struct sql_lineage lineage = trace(text, &denied, 1, &arena);
	bool passes = !lineage.refusal && lineage.commands[0].has_outputs &&
		lineage.commands[0].outputs[0].state == SQL_OUTPUT_CLEAN;

	arena_done(&arena);
	return passes;
}

Test(sql_filter, what_it_decides_is_refused_without)
{
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++)
		cr_expect(is_refused(uses[i][1], &denied, 1, uses[i][0]), "%s", uses[i][1]);
}

Test(sql_filter, and_allowed_with_it)
{
	for (size_t i = 0; i < ARRAY_SIZE(uses); i++)
		cr_expect_not(is_refused(uses[i][1], &allowed, 1, NULL), "%s", uses[i][1]);
}

/* Each rule's mask stands on its own. */
Test(sql_filter, all_masks_have_to_say_so)
{
	const struct mask_column both[] = {allowed, denied}, twice[] = {allowed, allowed};

	for (size_t i = 0; i < ARRAY_SIZE(uses); i++) {
		cr_expect(is_refused(uses[i][1], both, 2, uses[i][0]), "%s", uses[i][1]);
		cr_expect_not(is_refused(uses[i][1], twice, 2, NULL), "%s", uses[i][1]);
	}
}

/* That of another column is none of this one's. */
Test(sql_filter, it_is_of_its_column)
{
	const struct mask_column columns[] = {denied,
		{{(const uint8_t *)"public.t.a", 10}, MASK_REDACT, true},
		{{(const uint8_t *)"public.orders.ssn", 17}, MASK_REDACT, true}};

	for (size_t i = 0; i < ARRAY_SIZE(uses); i++)
		cr_expect(is_refused(uses[i][1], columns, 3, NULL), "%s", uses[i][1]);
}

Test(sql_filter, what_it_does_not_decide_needs_none)
{
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		cr_expect_not(is_refused(others[i], &denied, 1, NULL), "%s", others[i]);
}

Test(sql_filter, what_has_nothing_of_it_is_shown)
{
	for (size_t i = 0; i < ARRAY_SIZE(clean); i++)
		cr_expect(is_clean(clean[i]), "%s", clean[i]);
}

/* It says how much memory the rows took. */
Test(sql_filter, what_is_computed_of_it_is_not_analyzed)
{
	static const char *const texts[] = {
		"explain analyze select upper(ssn) from customers",
		"explain (analyze true) select id from (select id, ssn || '' as x from customers) "
		"s",
		"explain (analyze) with c as materialized (select ltrim(ssn, 'q') from customers) "
		"select 1 from c",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		cr_expect(is_refused(texts[i], &denied, 1, "EXPLAIN ANALYZE"), "%s", texts[i]);
	cr_expect(is_clean("explain analyze select ssn, upper(name) from customers"));
	cr_expect(is_clean("explain (analyze off) select upper(ssn) from customers"));
	cr_expect(is_clean("explain select upper(ssn) from customers"));
}
