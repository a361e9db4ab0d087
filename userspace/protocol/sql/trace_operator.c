/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators over masked values, and which operators and casts are somebody's own code.
 */
#include "base/memory.h"
#include "protocol/sql/trace.h"

/* Operators that only compare: their result tells no more than a filter would. */
static const char *const comparing[] = {"=", "<>", "!=", "<", ">", "<=", ">=", "~~", "!~~", "~~*",
	"!~~*", "~", "!~", "~*", "!~*", "^@", "@>", "<@", "&&", "?", "?|", "?&", "BETWEEN",
	"NOT BETWEEN", "BETWEEN SYMMETRIC", "NOT BETWEEN SYMMETRIC"};
/* Operators that can neither fail nor branch on what they get; on the left alone, or on both sides.
 */
static const char *const total_left[] = {"->", "->>", "#>", "#>>"};
static const char *const total[] = {"||"};

bool trace_is_one_of(struct slice name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (slice_equal_string(name, list[i]))
			return true;
	}
	return false;
}

#define IS_ONE_OF(name, list) trace_is_one_of(name, list, ARRAY_SIZE(list))

static struct slice schema_of(const struct tree *t, tree_index name_list)
{
	return tree_count(t, name_list) > 1 ? tree_string(t, tree_first(t, name_list))
					    : SLICE_EMPTY;
}

static bool is_own_operator(const struct trace *t, struct slice schema, struct slice name)
{
	const struct sql_catalog *catalog = t->lookup->view->catalog;

	if (!catalog)
		return t->lookup->code_made ||
			(schema.length && !slice_equal_string(schema, "pg_catalog"));
	return lookup_may_be_code(t->lookup, &catalog->operators, schema, name);
}

bool trace_is_own_operator(const struct trace *t, tree_index name_list)
{
	if (!name_list)
		return is_own_operator(t, SLICE_EMPTY, slice_from_string("="));
	return is_own_operator(t, schema_of(t->tree, name_list),
		tree_string(t->tree, tree_last(t->tree, name_list)));
}

/* Of an A_Expr: the one that it names, or those that it stands for. */
bool trace_runs_own_operator(const struct trace *t, tree_index n)
{
	const char *const *hidden = tree_between_operators(t->tree, n);

	if (!hidden)
		return trace_is_own_operator(t, tree_get(t->tree, n, FIELD_name));
	return is_own_operator(t, SLICE_EMPTY, slice_from_string(hidden[0])) ||
		is_own_operator(t, SLICE_EMPTY, slice_from_string(hidden[1]));
}

void trace_comparison(struct trace *t, tree_index name_list, const char *place)
{
	struct value v;

	if (!trace_is_own_operator(t, name_list))
		return;
	v = trace_unknown_code(t, slice_from_string("an operator"));
	trace_decide(t, &v, place, SLICE_EMPTY);
}

bool trace_is_own_cast(const struct trace *t, tree_index name_list)
{
	const struct sql_catalog *catalog = t->lookup->view->catalog;

	if (!catalog)
		return t->lookup->code_made;
	return lookup_may_be_code(t->lookup, &catalog->casts, schema_of(t->tree, name_list),
		tree_string(t->tree, tree_last(t->tree, name_list)));
}

/* An operand: an expression, or the list behind IN and BETWEEN. */
static struct value trace_operand(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	if (tree_kind(t->tree, n) == TREE_LIST)
		return trace_list(t, level, place, n);
	return n ? trace_expression(t, level, place, n) : value_clean;
}

static struct value operator_result(
	struct trace *t, struct slice name, const struct value *left, const struct value *right)
{
	struct value both = value_derive(value_join(*left, *right));

	if (IS_ONE_OF(name, total))
		return both;
	/* NULL where there is no such key: jsonb_build_object(x, 1)->>'guess' */
	if (IS_ONE_OF(name, total_left) && !value_is_masked(right))
		return value_hide(both);
	trace_decide(t, &both, "operator ", name);
	return IS_ONE_OF(name, comparing) ? value_clean : both;
}

struct value trace_operator(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	tree_index names = tree_get(t->tree, n, FIELD_name);
	struct slice name = tree_string(t->tree, tree_last(t->tree, names));
	struct value left = trace_operand(t, level, place, tree_get(t->tree, n, FIELD_lexpr));
	struct value right = trace_operand(t, level, place, tree_get(t->tree, n, FIELD_rexpr));
	bool masked = value_is_masked(&left) || value_is_masked(&right);
	struct value both = value_derive(value_join(left, right));

	if (trace_runs_own_operator(t, n)) {
		if (masked)
			trace_refuse(t, &both, "operator ", name);
		return trace_unknown_code(t, name);
	}
	if (!masked)
		return value_clean;
	/* NULLIF gives the value back, or shows that it is the other one. */
	if (tree_is(t->tree, n, FIELD_kind, "AEXPR_NULLIF")) {
		trace_decide(t, &both, "NULLIF", SLICE_EMPTY);
		return both;
	}
	return operator_result(t, name, &left, &right);
}
