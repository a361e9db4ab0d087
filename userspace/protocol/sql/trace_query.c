/* SPDX-License-Identifier: Apache-2.0
 *
 * SELECT: the columns of its result.
 */
#include <errno.h>

#include "base/memory.h"
#include "protocol/sql/trace.h"

/* The name that the server gives a column without alias (FigureColname, parse_target.c). */
static const struct {
	enum tree_type type;
	const char *name;
} fixed_names[] = {
	{TYPE_A_ArrayExpr, "array"},
	{TYPE_CoalesceExpr, "coalesce"},
	{TYPE_GroupingFunc, "grouping"},
	{TYPE_RowExpr, "row"},
};

#define NAME_DEPTH_MOST 64

static struct slice figure_name(const struct tree *t, tree_index n, unsigned depth);

static struct slice sub_link_name(const struct tree *t, tree_index n, unsigned depth)
{
	tree_index select = tree_get(t, n, FIELD_subselect);
	tree_index target = tree_first(t, tree_get(t, select, FIELD_targetList));
	struct slice alias = tree_get_string(t, target, FIELD_name);

	if (tree_is(t, n, FIELD_subLinkType, "EXISTS_SUBLINK"))
		return slice_from_string("exists");
	if (tree_is(t, n, FIELD_subLinkType, "ARRAY_SUBLINK"))
		return slice_from_string("array");
	if (!tree_is(t, n, FIELD_subLinkType, "EXPR_SUBLINK"))
		return SLICE_EMPTY;
	return alias.length ? alias : figure_name(t, tree_get(t, target, FIELD_val), depth + 1);
}

/* The last field name behind the value, or the value's own name. */
static struct slice indirection_name(const struct tree *t, tree_index n, unsigned depth)
{
	struct slice name = SLICE_EMPTY;

	tree_for_each(item, t, tree_get(t, n, FIELD_indirection))
	{
		if (tree_string(t, item).length)
			name = tree_string(t, item);
	}
	return name.length ? name : figure_name(t, tree_get(t, n, FIELD_arg), depth + 1);
}

static struct slice last_name(const struct tree *t, tree_index n, enum tree_field field)
{
	return tree_string(t, tree_last(t, tree_get(t, n, field)));
}

/* The name of the expression in `field`, or else `otherwise`. */
static struct slice inner_name(const struct tree *t, tree_index n, enum tree_field field,
	struct slice otherwise, unsigned depth)
{
	struct slice name = figure_name(t, tree_get(t, n, field), depth + 1);

	return name.length ? name : otherwise;
}

/* The empty slice where the server would say "?column?". */
static struct slice figure_name(const struct tree *t, tree_index n, unsigned depth)
{
	if (depth == NAME_DEPTH_MOST)
		return SLICE_EMPTY;
	for (size_t i = 0; i < ARRAY_SIZE(fixed_names); i++) {
		if (tree_type(t, n) == fixed_names[i].type)
			return slice_from_string(fixed_names[i].name);
	}
	switch (tree_type(t, n)) {
	case TYPE_ColumnRef:
		return last_name(t, n, FIELD_fields);
	case TYPE_FuncCall:
		return last_name(t, n, FIELD_funcname);
	case TYPE_A_Indirection:
		return indirection_name(t, n, depth);
	case TYPE_TypeCast:
		return inner_name(t, n, FIELD_arg,
			last_name(t, tree_get(t, n, FIELD_typeName), FIELD_names), depth);
	case TYPE_CollateClause:
		return inner_name(t, n, FIELD_arg, SLICE_EMPTY, depth);
	case TYPE_CaseExpr:
		return inner_name(t, n, FIELD_defresult, slice_from_string("case"), depth);
	case TYPE_SubLink:
		return sub_link_name(t, n, depth);
	case TYPE_A_Expr:
		return tree_is(t, n, FIELD_kind, "AEXPR_NULLIF") ? slice_from_string("nullif")
								 : SLICE_EMPTY;
	case TYPE_MinMaxExpr:
		return slice_from_string(
			tree_is(t, n, FIELD_op, "IS_GREATEST") ? "greatest" : "least");
	default:
		return SLICE_EMPTY;
	}
}

struct slice trace_column_name(const struct tree *t, tree_index n)
{
	return figure_name(t, n, 0);
}

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

void trace_targets(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index targets, struct trace_columns *c)
{
	tree_for_each(target, t->tree, targets)
	{
		tree_index value = tree_get(t->tree, target, FIELD_val);
		struct slice name = tree_get_string(t->tree, target, FIELD_name);

		if (!trace_goes_on(t))
			return;
		if (trace_star(t, level, place, value, c))
			continue;
		trace_add_column(t, c, name.length ? name : trace_column_name(t->tree, value),
			trace_expression(t, level, place, value));
	}
}

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

/* SEARCH and CYCLE add columns that are made of others. */
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
	}
}

static void trace_cte_query(struct trace *t, const struct trace_place *place, tree_index n,
	bool recursive, struct trace_cte *cte)
{
	tree_index query = tree_get(t->tree, n, FIELD_ctequery);
	struct trace_columns columns;

	if (trace_is_change(tree_type(t->tree, query)))
		columns = trace_change(t, place, query);
	else if (recursive && tree_get(t->tree, query, FIELD_larg))
		columns = trace_recursive(
			t, place, query, tree_get(t->tree, n, FIELD_aliascolnames), cte);
	else
		columns = trace_query(t, place, query);
	trace_rename(t, &columns, tree_get(t->tree, n, FIELD_aliascolnames));
	add_search_columns(t, n, &columns);
	cte->columns = columns;
}

const struct trace_cte *trace_with(
	struct trace *t, const struct trace_place *place, tree_index with_clause)
{
	bool recursive = tree_get_flag(t->tree, with_clause, FIELD_recursive);
	const struct trace_cte *ctes = place->ctes;

	tree_for_each(n, t->tree, tree_get(t->tree, with_clause, FIELD_ctes))
	{
		struct trace_cte *cte = arena_new(t->arena, sizeof(*cte));
		struct trace_place inner = {place->outer, ctes};

		if (!cte) {
			t->error = -E2BIG;
			break;
		}
		cte->name = tree_get_string(t->tree, n, FIELD_ctename);
		cte->next = ctes;
		cte->columns.rest = value_clean;
		if (recursive)
			inner.ctes = cte;
		trace_cte_query(t, &inner, n, recursive, cte);
		ctes = cte;
	}
	return ctes;
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
	name = trace_column_name(t->tree, n);
	if (tree_type(t->tree, n) == TYPE_ColumnRef &&
		tree_count(t->tree, tree_get(t->tree, n, FIELD_fields)) == 1) {
		bool named = false;

		for (size_t i = 0; i < result->count; i++) {
			if (!slice_equal(result->items[i].name, name))
				continue;
			trace_decide(t, &result->items[i].value, clause, SLICE_EMPTY);
			named = true;
		}
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
