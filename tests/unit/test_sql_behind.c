/* SPDX-License-Identifier: Apache-2.0
 *
 * What a text is expected to do behind another one that has not run: the same as behind it in one
 * text.
 */
#include "protocol/postgres/changes.h"
#include "sql_test.h"

static const struct {
	const char *first, *second, *pairs;
	bool unresolved;
} cases[] = {
	{"select 1", "delete from t", "delete! public.t"},
	{"create table fresh (id int)", "insert into fresh values (1)", "insert public.fresh"},
	{"create temp table fresh (id int)", "insert into fresh values (1)",
		"insert pg_temp.fresh"},
	/* Whether a temporary relation comes first is not known. */
	{"create temp table t (id int)", "delete from t", "delete! pg_temp.t, delete! public.t"},
	{"alter table t add column more int", "update t set more = 1", "update! public.t"},
	{"drop table t", "delete from t", "delete! public.t"},
	{"set search_path = app", "delete from t", "delete! ?t"},
	{"set search_path = app", "delete from public.t", "delete! public.t"},
	{"alter table t rename to old", "delete from t", "delete! ?t"},
	{"select 1", "delete from fresh", "delete! ?fresh", true},
};

static struct sql_resolution resolve(
	struct sql_text *t, const struct sql_view *view, struct arena *arena)
{
	struct sql_resolution found;

	cr_assert_eq(sql_resolve(t, view, arena, &found), 0);
	return found;
}

static char *words(const struct sql_resolution *r)
{
	struct buffer b;
	char *text;

	buffer_init(&b, SQL_TEST_ARENA);
	sql_test_print_pairs(&b, r->pairs, r->pair_count);
	text = memory_copy_text(buffer_slice(&b).data, buffer_length(&b));
	buffer_done(&b);
	return text;
}

static void check(const struct sql_view *view, size_t i)
{
	struct sql_text *first = sql_text_parse(sql_test_slice(cases[i].first));
	struct sql_text *second = sql_text_parse(sql_test_slice(cases[i].second));
	struct sql_view now = *view;
	struct slice *path = memory_new_array(view->path_count, sizeof(*path));
	struct arena arena;
	struct sql_resolution before, found;
	char *text;

	arena_init(&arena, SQL_TEST_ARENA);
	for (size_t j = 0; j < view->path_count; j++)
		path[j] = slice_of(memory_copy_text(view->path[j].data, view->path[j].length),
			view->path[j].length);
	now.path = path;
	before = resolve(first, &now, &arena);
	/* It is read anew before the second one is looked at. */
	for (size_t j = 0; j < view->path_count; j++)
		free((void *)path[j].data);
	free(path);
	now.path = view->path;
	now.before = &before.after;
	found = resolve(second, &now, &arena);
	text = words(&found);
	cr_expect_str_eq(text, cases[i].pairs, "%s; %s: %s", cases[i].first, cases[i].second, text);
	cr_expect_eq(found.unresolved, cases[i].unresolved);
	free(text);
	arena_done(&arena);
	sql_text_put(first);
	sql_text_put(second);
}

Test(sql_behind, as_in_one_text)
{
	struct sql_catalog *c = sql_test_catalog();
	struct sql_view view = sql_test_view(c);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(&view, i);
	sql_catalog_put(c);
}

static struct pg_plan *plan_of(const char *text, const struct sql_view *view)
{
	struct sql_text *t = sql_text_parse(sql_test_slice(text));
	struct pg_plan *plan = pg_plan_make(t, view, 1, true);

	cr_assert(plan);
	sql_text_put(t);
	return plan;
}

static void bind(
	struct pg_changes *c, const char *text, const char *portal, const struct sql_view *view)
{
	const struct slice bound[2] = {SLICE_EMPTY, SLICE_EMPTY};
	struct pg_plan *plan = plan_of(text, view);

	pg_changes_add(c, plan, sql_test_slice(text), bound, sql_test_slice(portal));
	pg_plan_put(plan);
}

static void add(struct pg_changes *c, const char *text, const struct sql_view *view)
{
	bind(c, text, "", view);
	cr_expect(pg_changes_ran(c, SLICE_EMPTY));
}

Test(sql_behind, what_a_batch_changes)
{
	struct sql_catalog *catalog = sql_test_catalog();
	struct sql_view view = sql_test_view(catalog);
	struct pg_changes c, copy;

	pg_changes_init(&c);
	pg_changes_init(&copy);
	pg_changes_begin(&c, 1);
	add(&c, "delete from t", &view);
	cr_expect(!c.effects && buffer_length(&c.texts) == 0);
	add(&c, "create table fresh as select * from u", &view);
	add(&c, "alter table orders add column more int", &view);
	pg_changes_copy(&copy, &c);
	cr_expect(copy.effects == c.effects && c.effects && !copy.uncertain);
	cr_expect(slice_equal(buffer_slice(&copy.texts), buffer_slice(&c.texts)));
	cr_expect(pg_changes_has_object(&copy, sql_test_slice("public.fresh")));
	cr_expect(pg_changes_has_object(&copy, sql_test_slice("public.orders")));
	cr_expect_not(pg_changes_has_object(&copy, sql_test_slice("public.u")));
	cr_expect_not(pg_changes_has_object(&copy, sql_test_slice("public.t")));
	cr_expect_not(pg_changes_has_object(&copy, sql_test_slice("public.order")));
	pg_changes_begin(&c, 1);
	cr_expect(c.effects);
	pg_changes_begin(&c, 2);
	cr_expect(!c.effects && !pg_changes_has_object(&c, sql_test_slice("public.fresh")));
	pg_changes_done(&c);
	pg_changes_done(&copy);
	sql_catalog_put(catalog);
}

/* What was bound and not executed before the next one did nothing that this would stand behind. */
Test(sql_behind, what_is_bound_has_to_run)
{
	struct sql_catalog *catalog = sql_test_catalog();
	struct sql_view view = sql_test_view(catalog);
	struct pg_changes c, copy;

	pg_changes_init(&c);
	pg_changes_init(&copy);
	pg_changes_begin(&c, 1);
	cr_expect_not(pg_changes_ran(&c, SLICE_EMPTY));
	bind(&c, "delete from t", "", &view);
	cr_expect(!c.waits && !c.uncertain);
	bind(&c, "set role reader", "p", &view);
	cr_expect(c.waits && !c.uncertain);
	cr_expect_not(pg_changes_ran(&c, SLICE_EMPTY));
	pg_changes_copy(&copy, &c);
	cr_expect(pg_changes_ran(&c, sql_test_slice("p")));
	bind(&c, "delete from t", "", &view);
	cr_expect(!c.waits && !c.uncertain);
	cr_expect(copy.waits && copy.bound);
	bind(&copy, "delete from t", "", &view);
	cr_expect(copy.uncertain);
	pg_changes_begin(&copy, 2);
	cr_expect(!copy.uncertain && !copy.bound);
	pg_changes_done(&c);
	pg_changes_done(&copy);
	sql_catalog_put(catalog);
}

Test(sql_behind, there_is_an_end_to_what_a_batch_changes)
{
	struct sql_catalog *catalog = sql_test_catalog();
	struct sql_view view = sql_test_view(catalog);
	struct pg_changes c;

	pg_changes_init(&c);
	for (unsigned i = 0; i < 2000; i++)
		add(&c, "alter table orders add column more_and_more_and_more_and_more int", &view);
	cr_expect(c.uncertain);
	pg_changes_done(&c);
	sql_catalog_put(catalog);
}
