/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that the server gives to columns without an alias (FigureColname, parse_target.c), to
 * the letter: a name that is another one here is looked for in another place than the server's, and
 * found to be another column.
 */
#include <errno.h>

#include "base/memory.h"
#include "protocol/sql/trace.h"

#define NAME_DEPTH_MOST 64
/* What a column is called that has no name. */
#define NO_NAME "?column?"

/* A weak name gives way to that of a cast or of CASE around it. */
enum name_strength { NAME_NONE, NAME_WEAK, NAME_STRONG };

struct figured {
	struct slice name;
	enum name_strength strength;
	bool unknown;
};

static const struct figured unknown_name = {.unknown = true};

static struct figured strong(const char *name)
{
	return (struct figured){slice_from_string(name), NAME_STRONG, false};
}

static const struct {
	enum tree_type type;
	const char *name;
} fixed_names[] = {
	{TYPE_A_ArrayExpr, "array"},
	{TYPE_CoalesceExpr, "coalesce"},
	{TYPE_GroupingFunc, "grouping"},
	{TYPE_RowExpr, "row"},
	{TYPE_XmlSerialize, "xmlserialize"},
};

/* Of nodes that have one name for each value of `op`. */
static const struct {
	enum tree_type type;
	const char *op, *name;
} named_by_op[] = {
	{TYPE_MinMaxExpr, "IS_GREATEST", "greatest"},
	{TYPE_MinMaxExpr, "IS_LEAST", "least"},
	{TYPE_SQLValueFunction, "SVFOP_CURRENT_DATE", "current_date"},
	{TYPE_SQLValueFunction, "SVFOP_CURRENT_TIME", "current_time"},
	{TYPE_SQLValueFunction, "SVFOP_CURRENT_TIME_N", "current_time"},
	{TYPE_SQLValueFunction, "SVFOP_CURRENT_TIMESTAMP", "current_timestamp"},
	{TYPE_SQLValueFunction, "SVFOP_CURRENT_TIMESTAMP_N", "current_timestamp"},
	{TYPE_SQLValueFunction, "SVFOP_LOCALTIME", "localtime"},
	{TYPE_SQLValueFunction, "SVFOP_LOCALTIME_N", "localtime"},
	{TYPE_SQLValueFunction, "SVFOP_LOCALTIMESTAMP", "localtimestamp"},
	{TYPE_SQLValueFunction, "SVFOP_LOCALTIMESTAMP_N", "localtimestamp"},
	{TYPE_SQLValueFunction, "SVFOP_CURRENT_ROLE", "current_role"},
	{TYPE_SQLValueFunction, "SVFOP_CURRENT_USER", "current_user"},
	{TYPE_SQLValueFunction, "SVFOP_USER", "user"},
	{TYPE_SQLValueFunction, "SVFOP_SESSION_USER", "session_user"},
	{TYPE_SQLValueFunction, "SVFOP_CURRENT_CATALOG", "current_catalog"},
	{TYPE_SQLValueFunction, "SVFOP_CURRENT_SCHEMA", "current_schema"},
	{TYPE_XmlExpr, "IS_XMLCONCAT", "xmlconcat"},
	{TYPE_XmlExpr, "IS_XMLELEMENT", "xmlelement"},
	{TYPE_XmlExpr, "IS_XMLFOREST", "xmlforest"},
	{TYPE_XmlExpr, "IS_XMLPARSE", "xmlparse"},
	{TYPE_XmlExpr, "IS_XMLPI", "xmlpi"},
	{TYPE_XmlExpr, "IS_XMLROOT", "xmlroot"},
	{TYPE_XmlExpr, "IS_XMLSERIALIZE", "xmlserialize"},
};

static struct figured figure(struct trace *t, tree_index n, unsigned depth);

/* The last name in the list, which may end in "*" or subscripts. */
static struct figured last_name(const struct tree *t, tree_index list)
{
	struct figured found = {.strength = NAME_NONE};

	tree_for_each(item, t, list)
	{
		if (tree_string(t, item).length)
			found = (struct figured){tree_string(t, item), NAME_STRONG, false};
	}
	return found;
}

void trace_note_sub_link(struct trace *t, tree_index n, const struct trace_columns *columns)
{
	struct trace_sub_name *noted;

	if (columns->open || columns->count == 0)
		return;
	noted = arena_new(t->arena, sizeof(*noted));
	if (!noted) {
		t->error = -E2BIG;
		return;
	}
	*noted = (struct trace_sub_name){t->sub_names, n, columns->items[0].name};
	t->sub_names = noted;
}

static struct figured noted_name(struct trace *t, tree_index n)
{
	for (const struct trace_sub_name *noted = t->sub_names; noted; noted = noted->next) {
		trace_work(t, 1);
		if (noted->sub_link == n)
			return (struct figured){noted->name, NAME_STRONG, false};
	}
	return unknown_name;
}

/* Of a query that is one value it is that of the query's column, as trace found it. */
static struct figured sub_link_name(struct trace *t, tree_index n)
{
	if (tree_is(t->tree, n, FIELD_subLinkType, "EXISTS_SUBLINK"))
		return strong("exists");
	if (tree_is(t->tree, n, FIELD_subLinkType, "ARRAY_SUBLINK"))
		return strong("array");
	if (tree_is(t->tree, n, FIELD_subLinkType, "EXPR_SUBLINK"))
		return noted_name(t, n);
	return (struct figured){.strength = NAME_NONE};
}

static struct figured weak_or(struct figured inner, struct slice otherwise)
{
	if (inner.unknown || inner.strength == NAME_STRONG)
		return inner;
	return (struct figured){otherwise, NAME_WEAK, false};
}

static struct figured figure_indirection(struct trace *t, tree_index n, unsigned depth)
{
	struct figured found = last_name(t->tree, tree_get(t->tree, n, FIELD_indirection));

	return found.strength ? found : figure(t, tree_get(t->tree, n, FIELD_arg), depth);
}

static struct figured figure_by_op(const struct tree *t, tree_index n)
{
	for (size_t i = 0; i < ARRAY_SIZE(named_by_op); i++) {
		if (tree_type(t, n) == named_by_op[i].type &&
			tree_is(t, n, FIELD_op, named_by_op[i].op))
			return strong(named_by_op[i].name);
	}
	return (struct figured){.strength = NAME_NONE};
}

static struct figured figure(struct trace *t, tree_index n, unsigned depth)
{
	const struct tree *tree = t->tree;

	if (depth++ == NAME_DEPTH_MOST)
		return unknown_name;
	for (size_t i = 0; i < ARRAY_SIZE(fixed_names); i++) {
		if (tree_type(tree, n) == fixed_names[i].type)
			return strong(fixed_names[i].name);
	}
	switch (tree_type(tree, n)) {
	case TYPE_ColumnRef:
		return last_name(tree, tree_get(tree, n, FIELD_fields));
	case TYPE_FuncCall:
		return last_name(tree, tree_get(tree, n, FIELD_funcname));
	case TYPE_A_Indirection:
		return figure_indirection(t, n, depth);
	case TYPE_TypeCast:
		return weak_or(figure(t, tree_get(tree, n, FIELD_arg), depth),
			tree_string(tree,
				tree_last(tree,
					tree_get(tree, tree_get(tree, n, FIELD_typeName),
						FIELD_names))));
	case TYPE_CollateClause:
		return figure(t, tree_get(tree, n, FIELD_arg), depth);
	case TYPE_CaseExpr:
		return weak_or(figure(t, tree_get(tree, n, FIELD_defresult), depth),
			slice_from_string("case"));
	case TYPE_SubLink:
		return sub_link_name(t, n);
	case TYPE_A_Expr:
		return tree_is(tree, n, FIELD_kind, "AEXPR_NULLIF")
			? strong("nullif")
			: (struct figured){.strength = NAME_NONE};
	default:
		return figure_by_op(tree, n);
	}
}

bool trace_column_name(struct trace *t, tree_index n, struct slice *ret)
{
	struct figured found = figure(t, n, 0);

	if (found.unknown)
		return false;
	*ret = found.strength ? found.name : slice_from_string(NO_NAME);
	return true;
}
