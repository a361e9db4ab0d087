/* SPDX-License-Identifier: Apache-2.0
 *
 * What views and rules call is judged as if the text called it.
 */
#include <errno.h>

#include "sql_test.h"

/* "SELECT function(…) AS x FROM customers", as a view's rule is stored. */
#define CALL_OF(function)                                                                          \
	"({QUERY :commandType 1 :rtable ({RTE :rtekind 0 :relid 16384 :eref {ALIAS}}) "            \
	":targetList "                                                                             \
	"({TARGETENTRY :expr {FUNCEXPR :funcid " function                                          \
	" :args ({CONST})} :resno 1 :resname x :resorigtbl 0 :resorigcol 0 :resjunk false})})"

static const struct sql_test_row rows[] = {
	{0, {"16384", "public", "customers", "r", "1"}},
	{0, {"20000", "public", "t", "r", "1"}},
	{0, {"20001", "public", "plain", "v", "1"}},
	{0, {"20002", "public", "calls", "v", "1"}},
	{0, {"20003", "public", "nested", "v", "1"}},
	{0, {"20004", "public", "stored", "m", "1"}},
	{0, {"20005", "public", "over_stored", "v", "1"}},
	{0, {"20006", "public", "numbers", "v", "1"}},
	{0, {"20007", "public", "reads", "v", "1"}},
	{0, {"20008", "public", "round", "v", "1"}},
	{0, {"20009", "public", "trip", "v", "1"}},
	{0, {"20010", "public", "ruled", "r", "1"}},
	{0, {"20011", "public", "over_ruled", "v", "1"}},
	{0, {"20012", "public", "over_over", "v", "1"}},
	{0, {"20013", "public", "lowers", "v", "1"}},
	{0, {"20014", "public", "stored_calls", "m", "1"}},
	{0, {"20015", "public", "over_lowers", "v", "1"}},
	{1, {"16384", "1", "ssn", "25", "-1"}},
	{1, {"20000", "1", "a", "25", "-1"}},
	{1, {"20006", "1", "x", "25", "-1"}},
	{1, {"20007", "1", "x", "25", "-1"}},
	{1, {"20010", "1", "a", "25", "-1"}},
	{1, {"20013", "1", "x", "25", "-1"}},
	{1, {"20014", "1", "x", "25", "-1"}},
	{3, {"20001", "1", "20000"}},
	{3, {"20003", "1", "20002"}},
	{3, {"20004", "1", "20002"}},
	{3, {"20005", "1", "20004"}},
	{3, {"20008", "1", "20009"}},
	{3, {"20009", "1", "20008"}},
	{3, {"20010", "2", "20000"}},
	{3, {"20010", "2", "20003"}},
	{3, {"20011", "1", "20010"}},
	{3, {"20012", "1", "20011"}},
	{3, {"20013", "1", "16384"}},
	{3, {"20015", "1", "20013"}},
	{4, {"20002", "1", "public", "f", "t"}},
	{4, {"20006", "1", "pg_catalog", "nextval", "f"}},
	{4, {"20006", "1", "pg_catalog", "lower", "f"}},
	{4, {"20007", "1", "pg_catalog", "query_to_xml", "f"}},
	{4, {"20008", "1", "public", "f", "t"}},
	{4, {"20009", "1", "app", "g", "t"}},
	{4, {"20010", "3", "public", "noted", "t"}},
	{4, {"20013", "1", "pg_catalog", "lower", "f"}},
	{4, {"20014", "1", "public", "f", "t"}},
	{5, {"20006", CALL_OF("1574")}},
	{5, {"20007", CALL_OF("2923")}},
	{5, {"20013", CALL_OF("870")}},
	{5, {"20014", CALL_OF("20500")}},
};

static struct sql_catalog *catalog(void)
{
	return sql_test_fill(rows, ARRAY_SIZE(rows));
}

Test(sql_rules, calls_are_pairs)
{
	static const char *const facts[][2] = {
		{"select * from plain", "select public.plain"},
		{"select * from calls", "select public.calls, function public.f()"},
		{"select * from public.calls where true",
			"select public.calls, function public.f()"},
		{"select 1 where exists (select from t, calls)",
			"select public.t, select public.calls, function public.f()"},
		{"select * from nested", "select public.nested, function public.f()"},
		{"select * from stored", "select public.stored"},
		{"select * from over_stored", "select public.over_stored"},
		{"select * from stored_calls", "select public.stored_calls"},
		{"select * from lowers", "select public.lowers"},
		{"select * from numbers", "select public.numbers, function pg_catalog.nextval()"},
		{"select * from reads", "select public.reads, function pg_catalog.query_to_xml()"},
		{"select * from round",
			"select public.round, function app.g(), function public.f()"},
		{"select * from trip", "select public.trip, function public.f(), function app.g()"},
		{"select * from calls, nested",
			"select public.calls, function public.f(), select public.nested"},
		{"insert into calls values (1)", "insert public.calls, function public.f()"},
		{"delete from nested", "delete! public.nested, function public.f()"},
		{"explain select * from calls", "explain public.calls, function public.f()"},
		{"prepare p as select * from calls",
			"session | select public.calls, function public.f()"},
		{"drop view calls", "drop public.calls"},
		{"comment on view calls is ''", "comment public.calls"},
		/* Rules, by what sets them off. */
		{"insert into ruled values (1)", "insert public.ruled, function public.noted()"},
		{"update ruled set a = 1", "update! public.ruled, function public.f()"},
		{"delete from ruled", "delete! public.ruled"},
		{"select * from ruled", "select public.ruled"},
		{"select * from over_ruled", "select public.over_ruled"},
		{"select * from over_over", "select public.over_over"},
		{"delete from over_over",
			"delete! public.over_over, function public.f(), function public.noted()"},
		{"copy ruled from stdin", "copy_in public.ruled"},
	};
	struct sql_catalog *c = catalog();
	struct sql_view view = sql_test_view(c);

	for (size_t i = 0; i < ARRAY_SIZE(facts); i++)
		sql_test_expect(facts[i][0], &view, facts[i][1]);
	sql_catalog_put(c);
}

/* Code may have set another path, or made a relation that hides one. */
Test(sql_rules, names_are_not_known_behind_calls)
{
	struct sql_catalog *c = catalog();
	struct sql_view view = sql_test_view(c);
	struct sql_resolution resolution;

	sql_test_expect("select * from plain; select * from t", &view,
		"select public.plain, select public.t");
	sql_test_expect("select * from nested; select * from t", &view,
		"select public.nested, function public.f(), select ?t");
	free(sql_test_pairs("select * from plain", &view, &resolution));
	cr_expect_not(resolution.effects & SQL_EFFECT_UNKNOWN);
	free(sql_test_pairs("select * from nested", &view, &resolution));
	cr_expect(resolution.effects & SQL_EFFECT_UNKNOWN);
	sql_catalog_put(c);
}

/* What a view shows of code that reads what it likes is masked as a whole. */
Test(sql_rules, what_reads_anything_is_masked)
{
	static const struct mask_column masked = {
		{(const uint8_t *)"public.customers.ssn", 20}, MASK_PARTIAL, true};
	struct mask_rules rules = {
		.serial = mask_rules_serial(), .columns = &masked, .column_count = 1};
	struct sql_catalog *c = catalog();
	static const struct {
		const char *view;
		enum mask_strategy strategy;
	} shown[] = {{"reads", MASK_REDACT}, {"numbers", MASK_NONE}, {"lowers", MASK_NONE},
		{"stored_calls", MASK_REDACT}};

	for (size_t i = 0; i < ARRAY_SIZE(shown); i++) {
		const struct sql_relation *r = sql_catalog_find(
			c, sql_test_slice("public"), sql_test_slice(shown[i].view));

		cr_expect_eq(sql_catalog_column_mask(c, r, 1, &rules, NULL), shown[i].strategy,
			"%s", shown[i].view);
	}
	sql_catalog_put(c);
}

/* What a view reads and does not show its errors may. */
Test(sql_rules, what_is_behind_a_view)
{
	static const struct mask_column masked = {
		{(const uint8_t *)"public.customers.ssn", 20}, MASK_PARTIAL, true};
	struct mask_rules rules = {
		.serial = mask_rules_serial(), .columns = &masked, .column_count = 1};
	static const struct {
		const char *name;
		bool masked;
	} cases[] = {{"customers", false}, {"lowers", true}, {"over_lowers", true},
		{"nested", false}, {"round", false}, {"ruled", false}};
	struct sql_catalog *c = catalog();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct sql_relation *r = sql_catalog_find(
			c, sql_test_slice("public"), sql_test_slice(cases[i].name));

		cr_expect_eq(
			sql_catalog_masked_behind(r, &rules), cases[i].masked, "%s", cases[i].name);
	}
	sql_catalog_put(c);
}

static int add(struct sql_catalog *c, size_t query, const char *const *texts)
{
	struct slice values[5];

	for (size_t i = 0; i < sql_catalog_queries[query].columns; i++)
		values[i] = sql_test_slice(texts[i]);
	return sql_catalog_add_row(c, query, values, sql_catalog_queries[query].columns);
}

/* A view that calls so many functions, and one over it. NULL: the limit is too low for that. */
static struct sql_catalog *many_calls(size_t functions, size_t limit)
{
	static const char *const fixed[][5] = {{"20000", "public", "many", "v", "1"},
		{"20001", "public", "over", "v", "1"}, {"20002", "public", "t", "r", "1"}};
	struct sql_catalog *c = sql_catalog_new(limit);
	char name[32];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(fixed); i++)
		r = add(c, 0, fixed[i]);
	if (r == 0)
		r = add(c, 3, (const char *const[]){"20001", "1", "20000"});
	for (size_t i = 0; r == 0 && i < functions; i++) {
		snprintf(name, sizeof(name), "f%zu", i);
		r = add(c, 4, (const char *const[]){"20000", "1", "public", name, "t"});
	}
	if (r == 0)
		return c;
	cr_assert_eq(r, -E2BIG);
	sql_catalog_put(c);
	return NULL;
}

static void expect_unknown(struct sql_catalog *c)
{
	struct sql_view view = sql_test_view(c);
	struct sql_resolution resolution;
	char *pairs;

	cr_assert_eq(sql_catalog_finish(c), 0);
	pairs = sql_test_pairs("select * from over", &view, &resolution);
	cr_expect(strstr(pairs, ", function ?()"), "%.200s", pairs);
	cr_expect(resolution.unknown & ACTION_UNKNOWN_OBJECT);
	free(pairs);
	sql_test_expect("select * from t", &view, "select public.t");
	sql_catalog_put(c);
}

Test(sql_rules, what_takes_too_long_to_follow_is_unknown)
{
	expect_unknown(many_calls(4000, SQL_TEST_ARENA));
}

Test(sql_rules, what_has_no_room_is_unknown)
{
	struct sql_catalog *c = NULL;

	for (size_t limit = 1 << 10; !c; limit += 1 << 10)
		c = many_calls(1000, limit);
	expect_unknown(c);
}

Test(sql_rules, rows_that_no_server_sends)
{
	static const struct sql_test_row wrong[] = {
		{3, {"x", "1", "20000"}},
		{3, {"20001", "0", "20000"}},
		{3, {"20001", "5", "20000"}},
		{3, {"20001", "11", "20000"}},
		{3, {"20001", "", "20000"}},
		{3, {"20001", "1", "-1"}},
		{4, {"x", "1", "public", "f", "t"}},
		{4, {"20001", "s", "public", "f", "t"}},
		{4, {"20001", "1", "", "f", "t"}},
		{4, {"20001", "1", "public", "", "t"}},
	};
	struct sql_catalog *c = sql_catalog_new(SQL_TEST_ARENA);
	struct slice values[5];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		size_t query = (size_t)wrong[i].query, count = sql_catalog_queries[query].columns;

		for (size_t j = 0; j < count; j++)
			values[j] = sql_test_slice(wrong[i].values[j]);
		cr_expect_eq(sql_catalog_add_row(c, query, values, count), -EINVAL, "%zu", i);
	}
	/* Of relations that are not listed, nothing is kept. */
	cr_expect_eq(add(c, 3, (const char *const[]){"7", "1", "8"}), 0);
	cr_expect_eq(add(c, 4, (const char *const[]){"7", "1", "public", "f", "t"}), 0);
	cr_expect_eq(sql_catalog_finish(c), 0);
	sql_catalog_put(c);
}
