/* SPDX-License-Identifier: Apache-2.0
 *
 * SELECT: the columns of its result.
 */
#include "base/memory.h"
#include "protocol/sql/trace.h"

/* "*", "x.*", "(x).*"; false: the target is one value. */
static bool trace_star(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index value, struct trace_columns *c)
{
	bool row = tree_type(t->tree, value) == TYPE_A_Indirection;
	tree_index list = tree_get(t->tree, value, row ? FIELD_indirection : FIELD_fields);
	tree_index last = tree_last(t->tree, list);
	const struct trace_item *item;
	struct slice parts[2] = {SLICE_EMPTY, SLICE_EMPTY};
	struct value v;

	if ((!row && tree_type(t->tree, value) != TYPE_ColumnRef) ||
		tree_type(t->tree, last) != TYPE_A_Star)
		return false;
	if (row) {
		/* The fields of a composite value: how many is not known. */
		v = value_derive(
			trace_expression(t, level, place, tree_get(t->tree, value, FIELD_arg)));
		c->rest = c->open ? value_join(c->rest, v) : v;
		c->open = true;
		return true;
	}
	tree_for_each(part, t->tree, list)
	{
		if (part == last)
			break;
		parts[0] = parts[1];
		parts[1] = tree_string(t->tree, part);
	}
	if (parts[1].length == 0) {
		trace_expand_all(t, level, c);
		return true;
	}
	item = trace_find_item(level, parts[0], parts[1]);
	if (item) {
		trace_expand_item(t, item, c);
	} else {
		c->open = true;
		c->rest = value_unknown(
			trace_format(t, "relation %.*s is not known", SLICE_PRINT(parts[1])));
	}
	return true;
}

/* A column whose name is not known may be meant by any. */
static void trace_target(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index value, struct slice name,
	struct trace_columns *c)
{
	struct value v = trace_expression(t, level, place, value);

	if (!name.length && !trace_column_name(t, value, &name)) {
		c->rest = c->open ? value_join(c->rest, value_derive(v)) : value_derive(v);
		c->open = true;
	}
	trace_add_column(t, c, name, v);
}

void trace_targets(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index targets, struct trace_columns *c)
{
	tree_for_each(target, t->tree, targets)
	{
		tree_index value = tree_get(t->tree, target, FIELD_val);
		struct slice name = tree_get_string(t->tree, target, FIELD_name);

		if (!trace_goes_on(t))
			return;
		if (!trace_star(t, level, place, value, c))
			trace_target(t, level, place, value, name, c);
	}
}

/* "rollup (1, 2)"; and "group by (1, 2)", which is "group by 1, 2" (flatten_grouping_sets,
 * parse_clause.c). Elsewhere a row is only compared. */
static tree_index by_several(const struct tree *t, tree_index n)
{
	switch (tree_type(t, n)) {
	case TYPE_GroupingSet:
		return tree_get(t, n, FIELD_content);
	case TYPE_RowExpr:
		return tree_get(t, n, FIELD_args);
	default:
		return 0;
	}
}

/* ORDER BY and GROUP BY: a position, a name of the result, or an expression over the input; where
 * it may be more than one of these, all count. */
static void trace_by(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, const struct trace_columns *result, tree_index n,
	const char *clause)
{
	int32_t position;
	struct slice name;
	tree_index several = by_several(t->tree, n);

	if (several) {
		tree_for_each(item, t->tree, several)
			trace_by(t, level, place, result, item, clause);
		return;
	}
	if (tree_is_integer_literal(t->tree, n)) {
		struct value v = trace_columns_join(result);

		position = tree_get_number(t->tree, tree_get(t->tree, n, FIELD_ival), FIELD_ival);
		if (!result->open && position > 0 && (size_t)position <= result->count)
			v = result->items[position - 1].value;
		trace_decide(t, &v, clause, SLICE_EMPTY);
		return;
	}
	if (tree_type(t->tree, n) == TYPE_ColumnRef &&
		tree_count(t->tree, tree_get(t->tree, n, FIELD_fields)) == 1) {
		bool named = false;

		name = tree_string(t->tree, tree_last(t->tree, tree_get(t->tree, n, FIELD_fields)));
		for (size_t i = 0; i < result->count; i++) {
			if (!slice_equal(result->items[i].name, name))
				continue;
			trace_decide(t, &result->items[i].value, clause, SLICE_EMPTY);
			named = true;
		}
		/* Columns whose names are not known here may have this one. */
		if (result->open)
			trace_decide(t, &result->rest, clause, SLICE_EMPTY);
		/* A name that only the result has. */
		if (named && !trace_may_be_column(level, name))
			return;
	}
	trace_filter(t, level, place, n, clause);
}

static void trace_by_list(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, const struct trace_columns *result, tree_index list,
	const char *clause)
{
	tree_for_each(item, t->tree, list)
	{
		bool sort = tree_type(t->tree, item) == TYPE_SortBy;
		tree_index by = sort ? tree_get(t->tree, item, FIELD_node) : item;

		if (by && tree_kind(t->tree, by) != TREE_EMPTY)
			trace_by(t, level, place, result, by, clause);
		trace_sorted(t, item, clause);
	}
}

/* DISTINCT alone is a list of one empty item. */
static void trace_distinct(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, const struct trace_columns *result, tree_index list)
{
	struct value all = trace_columns_join(result);

	if (!list)
		return;
	if (tree_kind(t->tree, tree_first(t->tree, list)) == TREE_EMPTY)
		trace_decide(t, &all, "DISTINCT", SLICE_EMPTY);
	else
		trace_by_list(t, level, place, result, list, "DISTINCT ON");
}

static void trace_tail(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, const struct trace_columns *result, tree_index n)
{
	trace_by_list(t, level, place, result, tree_get(t->tree, n, FIELD_sortClause), "ORDER BY");
	trace_filter(t, level, place, tree_get(t->tree, n, FIELD_limitCount), "LIMIT");
	trace_filter(t, level, place, tree_get(t->tree, n, FIELD_limitOffset), "OFFSET");
}

static struct trace_columns trace_select(
	struct trace *t, const struct trace_place *place, tree_index n)
{
	struct trace_level level = {.outer = place->outer};
	struct trace_columns result = {.rest = value_clean};

	trace_from(t, &level, place, tree_get(t->tree, n, FIELD_fromClause));
	trace_filter(t, &level, place, tree_get(t->tree, n, FIELD_whereClause), "WHERE");
	trace_targets(t, &level, place, tree_get(t->tree, n, FIELD_targetList), &result);
	trace_by_list(
		t, &level, place, &result, tree_get(t->tree, n, FIELD_groupClause), "GROUP BY");
	trace_filter(t, &level, place, tree_get(t->tree, n, FIELD_havingClause), "HAVING");
	tree_for_each(window, t->tree, tree_get(t->tree, n, FIELD_windowClause))
		trace_window(t, &level, place, window);
	trace_distinct(t, &level, place, &result, tree_get(t->tree, n, FIELD_distinctClause));
	trace_tail(t, &level, place, &result, n);
	return result;
}

/* ORDER BY sees the rows as an item of FROM (transformValuesClause, analyze.c). */
static void add_values(
	struct trace *t, struct trace_level *level, const struct trace_columns *columns)
{
	struct trace_item *item = trace_add_item(t, level);

	if (!item)
		return;
	item->alias = slice_from_string("*VALUES*");
	item->columns = *columns;
}

/* VALUES: a column is any of its rows'. */
static struct trace_columns trace_values(
	struct trace *t, const struct trace_place *place, tree_index n)
{
	struct trace_level level = {.outer = place->outer};
	struct trace_columns result = {.rest = value_clean};

	tree_for_each(row, t->tree, tree_get(t->tree, n, FIELD_valuesLists))
	{
		size_t i = 0;

		tree_for_each(item, t->tree, row)
		{
			struct value v = value_derive(trace_expression(t, &level, place, item));

			if (i < result.count)
				result.items[i].value = value_join(result.items[i].value, v);
			else
				trace_add_column(
					t, &result, trace_format(t, "column%zu", i + 1), v);
			i++;
		}
	}
	add_values(t, &level, &result);
	trace_tail(t, &level, place, &result, n);
	return result;
}

/* UNION and the like lose the origin; all but UNION ALL compare rows. */
static struct trace_columns trace_set_operation(
	struct trace *t, const struct trace_place *place, tree_index n)
{
	struct trace_level none = {.outer = place->outer};
	struct trace_columns left = trace_query(t, place, tree_get(t->tree, n, FIELD_larg));
	struct trace_columns right = trace_query(t, place, tree_get(t->tree, n, FIELD_rarg));
	struct trace_columns result = {.rest = value_clean};
	struct value all = value_join(trace_columns_join(&left), trace_columns_join(&right));
	bool simple = tree_is(t->tree, n, FIELD_op, "SETOP_UNION") &&
		tree_get_flag(t->tree, n, FIELD_all);

	if (!simple)
		trace_decide(t, &all, "UNION, INTERSECT or EXCEPT", SLICE_EMPTY);
	for (size_t i = 0; i < left.count && trace_goes_on(t); i++) {
		struct value v = left.items[i].value;

		if (left.open || right.open || i >= right.count)
			v = value_join(v, all);
		else
			v = value_join(v, right.items[i].value);
		trace_add_column(t, &result, left.items[i].name, value_derive(v));
	}
	/* How many columns there are, the left side says. */
	result.open = left.open;
	result.rest = value_derive(all);
	trace_tail(t, &none, place, &result, n);
	return result;
}

struct trace_columns trace_query(
	struct trace *t, const struct trace_place *place, tree_index select)
{
	struct trace_place inner = *place;
	struct trace_columns result = {.rest = value_clean};
	const char *clause = t->clause;

	if (!trace_enter(t))
		return result;
	t->clause = NULL;
	inner.ctes = trace_with(t, place, tree_get(t->tree, select, FIELD_withClause));
	if (tree_get(t->tree, select, FIELD_larg))
		result = trace_set_operation(t, &inner, select);
	else if (tree_get(t->tree, select, FIELD_valuesLists))
		result = trace_values(t, &inner, select);
	else
		result = trace_select(t, &inner, select);
	t->clause = clause;
	trace_leave(t);
	return result;
}
