/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/trace.h"

#include "base/memory.h"

/* Types that take any value as text. */
static const char *const text_types[] = {"text", "varchar", "bpchar", "char", "name"};

struct value trace_decide(
	struct trace *t, const struct value *v, const char *place, struct slice name)
{
	if (!value_is_masked(v) || v->filter_allowed)
		return value_clean;
	if (t->clause)
		trace_refuse(t, v, t->clause, SLICE_EMPTY);
	else
		trace_refuse(t, v, place, name);
	return value_clean;
}

struct value trace_filter(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n, const char *clause)
{
	const char *before = t->clause;
	struct value v;

	if (!n)
		return value_clean;
	t->clause = clause;
	v = trace_expression(t, level, place, n);
	trace_decide(t, &v, clause, SLICE_EMPTY);
	t->clause = before;
	return value_derive(v);
}

void trace_sorted(struct trace *t, tree_index item, const char *clause)
{
	tree_index names = tree_get(t->tree, item, FIELD_useOp);

	if (names)
		trace_comparison(t, names, clause);
}

struct value trace_filter_list(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index list, const char *clause)
{
	struct value joined = value_clean;

	tree_for_each(item, t->tree, list)
	{
		bool sort = tree_type(t->tree, item) == TYPE_SortBy;
		tree_index n = sort ? tree_get(t->tree, item, FIELD_node) : item;

		joined = value_join(joined, trace_filter(t, level, place, n, clause));
		trace_sorted(t, item, clause);
	}
	return joined;
}

void trace_window(struct trace *t, const struct trace_level *level, const struct trace_place *place,
	tree_index window)
{
	static const enum tree_field lists[] = {FIELD_partitionClause, FIELD_orderClause};
	static const enum tree_field bounds[] = {FIELD_startOffset, FIELD_endOffset};

	for (size_t i = 0; i < 2; i++) {
		trace_filter_list(t, level, place, tree_get(t->tree, window, lists[i]), "a window");
		trace_filter(t, level, place, tree_get(t->tree, window, bounds[i]), "a window");
	}
}

struct value trace_list(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index list)
{
	struct value joined = value_clean;

	tree_for_each(item, t->tree, list) joined =
		value_join(joined, trace_expression(t, level, place, item));
	return joined;
}

/* Whether the type's name stands for the server's own, and no code of users' makes the text. */
static bool is_servers_text(const struct trace *t, tree_index names, const struct value *v)
{
	bool qualified = tree_count(t->tree, names) > 1;

	if (!qualified &&
		lookup_may_be_own_type(t->lookup, tree_string(t->tree, tree_first(t->tree, names))))
		return false;
	return !v->no_text || !trace_is_own_cast(t, names);
}

/* A cast fails for values that don't fit, and says which: only text takes all. */
static struct value trace_cast(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	tree_index type = tree_get(t->tree, n, FIELD_typeName);
	tree_index names = tree_get(t->tree, type, FIELD_names);
	struct slice name = tree_string(t->tree, tree_last(t->tree, names));
	struct value v = trace_expression(t, level, place, tree_get(t->tree, n, FIELD_arg));
	bool own = tree_count(t->tree, names) > 1 &&
		!slice_equal_string(tree_string(t->tree, tree_first(t->tree, names)), "pg_catalog");

	if (value_is_masked(&v)) {
		/* A number that is no character is out of range. */
		if (own || tree_get(t->tree, type, FIELD_arrayBounds) ||
			!trace_is_one_of(name, text_types, ARRAY_SIZE(text_types)) ||
			!is_servers_text(t, names, &v) ||
			(v.no_text && slice_equal_string(name, "char")))
			trace_refuse(t, &v, "a cast to ", name);
		v = value_derive(v);
		v.no_text = false;
		return v;
	}
	return trace_is_own_cast(t, names) ? trace_unknown_code(t, name) : value_clean;
}

static struct value trace_case(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	tree_index argument = tree_get(t->tree, n, FIELD_arg);
	tree_index otherwise = tree_get(t->tree, n, FIELD_defresult);
	struct value result = value_clean, condition;

	if (argument) {
		condition = trace_expression(t, level, place, argument);
		trace_decide(t, &condition, "CASE", SLICE_EMPTY);
		trace_comparison(t, 0, "CASE");
	}
	tree_for_each(when, t->tree, tree_get(t->tree, n, FIELD_args))
	{
		condition = trace_expression(t, level, place, tree_get(t->tree, when, FIELD_expr));
		trace_decide(t, &condition, "CASE", SLICE_EMPTY);
		result = value_join(result,
			trace_expression(t, level, place, tree_get(t->tree, when, FIELD_result)));
	}
	if (otherwise)
		result = value_join(result, trace_expression(t, level, place, otherwise));
	return value_derive(result);
}

static struct value trace_sub_link(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	struct trace_place inner = {level, place->ctes};
	const char *before = t->clause;
	struct trace_columns columns;
	struct value result, test = value_clean;

	t->clause = NULL;
	columns = trace_query(t, &inner, tree_get(t->tree, n, FIELD_subselect));
	t->clause = before;
	trace_note_sub_link(t, n, &columns);
	if (tree_is(t->tree, n, FIELD_subLinkType, "EXISTS_SUBLINK"))
		return value_clean;
	result = value_derive(trace_columns_join(&columns));
	if (!tree_get(t->tree, n, FIELD_testexpr))
		return result;
	/* x IN (SELECT …), x = ANY (SELECT …) */
	test = trace_expression(t, level, place, tree_get(t->tree, n, FIELD_testexpr));
	test = value_join(test, result);
	trace_comparison(t, tree_get(t->tree, n, FIELD_operName), "a comparison with a subquery");
	return trace_decide(t, &test, "a comparison with a subquery", SLICE_EMPTY);
}

/* (x).field, (x)[1]: a part of the value, chosen by what stands in the brackets. */
static struct value trace_indirection(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	tree_index argument = tree_get(t->tree, n, FIELD_arg);
	tree_index fields = tree_get(t->tree, argument, FIELD_fields);
	tree_index first = tree_first(t->tree, tree_get(t->tree, n, FIELD_indirection));
	struct slice name = tree_string(t->tree, tree_last(t->tree, fields));
	struct slice part = tree_string(t->tree, first);
	const struct trace_item *row = NULL;
	bool subscript = false;
	struct value v, one;

	if (tree_type(t->tree, argument) == TYPE_ColumnRef && tree_count(t->tree, fields) == 1)
		row = trace_find_item(level, SLICE_EMPTY, name);
	tree_for_each(index, t->tree, tree_get(t->tree, n, FIELD_indirection))
	{
		if (tree_type(t->tree, index) != TYPE_A_Indices)
			continue;
		subscript = true;
		v = trace_list(t, level, place, index);
		trace_decide(t, &v, "a subscript", SLICE_EMPTY);
	}
	v = trace_expression(t, level, place, argument);
	/* One column of a whole row, unless the name may be a column too. */
	if (row && part.length && !trace_may_be_column(level, name) &&
		trace_item_column(t, row, part, &one))
		return value_derive(one);
	v = subscript ? value_hide(v) : value_derive(v);
	if (part.length == 0)
		return v;
	return value_is_masked(&v) ? trace_row_attribute(t, &v, part)
				   : trace_unknown_attribute(t, part);
}

/* What stands behind a value is only computed, and may fail, where that is NULL. */
static struct value trace_coalesce(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	struct value joined = value_clean;

	tree_for_each(item, t->tree, tree_get(t->tree, n, FIELD_args))
	{
		if (joined.telling)
			trace_decide(t, &joined, "COALESCE", SLICE_EMPTY);
		joined = value_join(joined, trace_expression(t, level, place, item));
	}
	return value_derive(joined);
}

/* Expressions whose arguments can only be passed on. */
static struct value trace_passed_on(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	enum tree_field field =
		tree_type(t->tree, n) == TYPE_A_ArrayExpr ? FIELD_elements : FIELD_args;

	return value_derive(trace_list(t, level, place, tree_get(t->tree, n, field)));
}

/* IS NULL, IS TRUE, AND, OR, NOT, GREATEST: the value decides. */
static struct value trace_deciding(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	tree_index arguments = tree_get(t->tree, n, FIELD_args);
	struct value v = arguments
		? trace_list(t, level, place, arguments)
		: trace_expression(t, level, place, tree_get(t->tree, n, FIELD_arg));

	trace_decide(t, &v, "a condition", SLICE_EMPTY);
	return tree_type(t->tree, n) == TYPE_MinMaxExpr ? value_derive(v) : value_clean;
}

/* What is neither known to fail nor not to: nothing masked may be in it. */
static struct value trace_other(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	tree_for_each(child, t->tree, n)
	{
		struct value v;

		if (tree_kind(t->tree, child) == TREE_STRING)
			continue;
		v = trace_expression(t, level, place, child);
		if (value_is_masked(&v))
			trace_refuse(t, &v, "this expression", SLICE_EMPTY);
	}
	return value_clean;
}

static struct value trace_column(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	(void)place;
	return trace_column_ref(t, level, n);
}

static struct value trace_constant(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	(void)t;
	(void)level;
	(void)place;
	(void)n;
	return value_clean;
}

static struct value trace_named_argument(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	return trace_expression(t, level, place, tree_get(t->tree, n, FIELD_arg));
}

static struct value trace_collate(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	return value_derive(trace_expression(t, level, place, tree_get(t->tree, n, FIELD_arg)));
}

static struct value trace_multi_assign(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	return value_derive(trace_expression(t, level, place, tree_get(t->tree, n, FIELD_source)));
}

typedef struct value trace_handler(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n);

static trace_handler *const handlers[TYPE_COUNT] = {
	[TYPE_A_ArrayExpr] = trace_passed_on,
	[TYPE_A_Const] = trace_constant,
	[TYPE_A_Expr] = trace_operator,
	[TYPE_A_Indirection] = trace_indirection,
	[TYPE_BoolExpr] = trace_deciding,
	[TYPE_BooleanTest] = trace_deciding,
	[TYPE_CaseExpr] = trace_case,
	[TYPE_CoalesceExpr] = trace_coalesce,
	[TYPE_CollateClause] = trace_collate,
	[TYPE_ColumnRef] = trace_column,
	[TYPE_CurrentOfExpr] = trace_constant,
	[TYPE_FuncCall] = trace_function_call,
	[TYPE_GroupingFunc] = trace_constant,
	[TYPE_MinMaxExpr] = trace_deciding,
	[TYPE_MultiAssignRef] = trace_multi_assign,
	[TYPE_NamedArgExpr] = trace_named_argument,
	[TYPE_NullTest] = trace_deciding,
	[TYPE_ParamRef] = trace_constant,
	[TYPE_RowExpr] = trace_passed_on,
	[TYPE_SetToDefault] = trace_constant,
	[TYPE_SQLValueFunction] = trace_constant,
	[TYPE_SubLink] = trace_sub_link,
	[TYPE_TypeCast] = trace_cast,
};

struct value trace_expression(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	trace_handler *handler = handlers[tree_type(t->tree, n)];
	struct value v;

	if (!trace_enter(t))
		return value_clean;
	v = handler ? handler(t, level, place, n) : trace_other(t, level, place, n);
	if (value_is_masked(&v) && handler != trace_column)
		t->computed = value_is_masked(&t->computed) ? value_join(t->computed, v) : v;
	trace_leave(t);
	return v;
}
