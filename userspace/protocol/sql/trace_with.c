/* SPDX-License-Identifier: Apache-2.0
 *
 * WITH: the columns of its queries, each followed once, before or where it is first asked for.
 */
#include <errno.h>

#include "base/memory.h"
#include "protocol/sql/trace.h"

/* Takes what another round found into the columns; whether it was anything new. */
static bool join_round(struct trace_columns *c, const struct trace_columns *round)
{
	bool grown = false;

	for (size_t i = 0; i < c->count && i < round->count; i++) {
		struct value *v = &c->items[i].value;
		struct value joined = value_derive(value_join(*v, round->items[i].value));

		grown |= joined.state != v->state || joined.strategy != v->strategy ||
			joined.filter_allowed != v->filter_allowed ||
			joined.telling != v->telling || joined.no_text != v->no_text;
		*v = joined;
	}
	return grown;
}

/* Where the columns are not known, once something masked is in one of them all may get it. */
static struct trace_columns trace_recursive_open(struct trace *t, const struct trace_place *place,
	tree_index query, struct trace_cte *cte, struct trace_columns columns)
{
	struct value any = value_derive(trace_columns_join(&columns));

	if (!value_is_masked(&any))
		return columns;
	for (size_t i = 0; i < columns.count; i++)
		columns.items[i].value = any;
	columns.rest = any;
	cte->columns = (struct trace_columns){.open = true, .rest = any};
	trace_query(t, place, query);
	return columns;
}

/* WITH RECURSIVE: the query sees its own result, and is followed until no further round brings
 * anything masked into any column. Each round adds at least one, and all are counted (trace_work).
 */
static struct trace_columns trace_recursive(struct trace *t, const struct trace_place *place,
	tree_index query, tree_index names, struct trace_cte *cte)
{
	struct trace_columns columns, round;

	cte->columns = (struct trace_columns){.open = true, .rest = value_clean};
	columns = trace_query(t, place, query);
	if (columns.open)
		return trace_recursive_open(t, place, query, cte, columns);
	do {
		cte->columns = columns;
		trace_rename(t, &cte->columns, names);
		round = trace_query(t, place, query);
	} while (trace_goes_on(t) && join_round(&columns, &round));
	return columns;
}

/* SEARCH and CYCLE add columns that are made of others. "*" does not stand for them in queries
 * inside of the one that has the WITH (addRangeTableEntryForCTE, parse_relation.c). */
static void add_search_columns(struct trace *t, tree_index cte, struct trace_columns *c)
{
	static const struct {
		enum tree_field clause, column;
	} columns[] = {
		{FIELD_search_clause, FIELD_search_seq_column},
		{FIELD_cycle_clause, FIELD_cycle_mark_column},
		{FIELD_cycle_clause, FIELD_cycle_path_column},
	};
	struct value any = value_derive(trace_columns_join(c));

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		tree_index clause = tree_get(t->tree, cte, columns[i].clause);

		if (!clause)
			continue;
		trace_decide(t, &any, "SEARCH or CYCLE", SLICE_EMPTY);
		trace_add_column(t, c, tree_get_string(t->tree, clause, columns[i].column), any);
		if (t->error == 0)
			c->items[c->count - 1].unstarred = true;
	}
}

/* In its place among others, or where the first that needs it stands in front of it. */
void trace_cte_follow(struct trace *t, struct trace_cte *cte)
{
	tree_index query = tree_get(t->tree, cte->node, FIELD_ctequery);
	tree_index names = tree_get(t->tree, cte->node, FIELD_aliascolnames);
	struct trace_columns columns;

	cte->followed = true;
	if (trace_is_change(tree_type(t->tree, query)))
		columns = trace_change(t, &cte->place, query);
	else if (cte->recursive && tree_get(t->tree, query, FIELD_larg))
		columns = trace_recursive(t, &cte->place, query, names, cte);
	else
		columns = trace_query(t, &cte->place, query);
	trace_rename(t, &columns, names);
	add_search_columns(t, cte->node, &columns);
	cte->columns = columns;
}

static struct trace_cte *add_cte(
	struct trace *t, const struct trace_place *place, tree_index n, struct trace_cte *before)
{
	struct trace_cte *cte = arena_new(t->arena, sizeof(*cte));

	if (!cte) {
		t->error = -E2BIG;
		return NULL;
	}
	*cte = (struct trace_cte){.next = before,
		.name = tree_get_string(t->tree, n, FIELD_ctename),
		.node = n,
		.place = {place->outer, before},
		.columns = {.rest = value_clean}};
	return cte;
}

/* With RECURSIVE each sees all of the clause, those behind it too. */
static void follow_all(struct trace *t, struct trace_cte *first, struct trace_cte *last)
{
	for (struct trace_cte *cte = first; cte; cte = cte->behind) {
		cte->recursive = true;
		cte->place.ctes = last;
	}
	for (struct trace_cte *cte = first; cte && trace_goes_on(t); cte = cte->behind) {
		if (!cte->followed)
			trace_cte_follow(t, cte);
	}
}

struct trace_cte *trace_with(
	struct trace *t, const struct trace_place *place, tree_index with_clause)
{
	bool recursive = tree_get_flag(t->tree, with_clause, FIELD_recursive);
	struct trace_cte *ctes = place->ctes, *first = NULL;

	tree_for_each(n, t->tree, tree_get(t->tree, with_clause, FIELD_ctes))
	{
		struct trace_cte *cte = add_cte(t, place, n, ctes);

		if (!cte)
			return ctes;
		if (first)
			ctes->behind = cte;
		else
			first = cte;
		if (!recursive)
			trace_cte_follow(t, cte);
		ctes = cte;
	}
	if (recursive)
		follow_all(t, first, ctes);
	return ctes;
}
