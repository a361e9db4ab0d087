/* SPDX-License-Identifier: Apache-2.0
 *
 * Code in what is kept: defaults, checks, generated columns, conditions of policies and triggers,
 * rules. Its result goes where no mask follows it, and its errors come with statements that don't
 * name it.
 */
#include "protocol/sql/trace.h"

/* "x.name" may be name(x); the empty slice: it is no such reference. */
static struct slice attribute_of(const struct tree *t, tree_index n)
{
	tree_index fields = tree_get(t, n, FIELD_fields);

	if (tree_count(t, fields) < 2)
		return SLICE_EMPTY;
	return tree_string(t, tree_last(t, fields));
}

static bool has_own_attribute(const struct trace *t, tree_index indirection)
{
	tree_for_each(part, t->tree, tree_get(t->tree, indirection, FIELD_indirection))
	{
		struct slice name = tree_string(t->tree, part);

		if (name.length && trace_is_own_attribute(t, name))
			return true;
	}
	return false;
}

/* What walk.c takes for calls. */
static bool is_code(const struct trace *t, tree_index n)
{
	const struct tree *tree = t->tree;
	struct slice name;

	switch (tree_type(tree, n)) {
	case TYPE_A_Expr:
		return trace_runs_own_operator(t, n);
	case TYPE_A_Indirection:
		return has_own_attribute(t, n);
	case TYPE_CaseExpr:
		return tree_get(tree, n, FIELD_arg) && trace_is_own_operator(t, 0);
	case TYPE_ColumnRef:
		name = attribute_of(tree, n);
		return name.length && trace_is_own_attribute(t, name);
	case TYPE_FuncCall:
		return trace_is_own_function(t, n);
	case TYPE_JoinExpr:
		return (tree_get(tree, n, FIELD_usingClause) ||
			       tree_get_flag(tree, n, FIELD_isNatural)) &&
			trace_is_own_operator(t, 0);
	case TYPE_SortBy:
		return tree_get(tree, n, FIELD_useOp) &&
			trace_is_own_operator(t, tree_get(tree, n, FIELD_useOp));
	case TYPE_SubLink:
		return tree_get(tree, n, FIELD_testexpr) &&
			trace_is_own_operator(t, tree_get(tree, n, FIELD_operName));
	case TYPE_TypeCast:
		return trace_is_own_cast(
			t, tree_get(tree, tree_get(tree, n, FIELD_typeName), FIELD_names));
	default:
		return false;
	}
}

void trace_refuse_code(struct trace *t, tree_index n, const char *place)
{
	struct value v;

	if (!trace_enter(t))
		return;
	if (is_code(t, n)) {
		v = trace_unknown_code(t,
			tree_type(t->tree, n) == TYPE_FuncCall
				? tree_string(t->tree,
					  tree_last(t->tree, tree_get(t->tree, n, FIELD_funcname)))
				: slice_from_string("an operator, cast or attribute"));
		trace_refuse(t, &v, place, SLICE_EMPTY);
	}
	tree_for_each(child, t->tree, n) trace_refuse_code(t, child, place);
	trace_leave(t);
}
