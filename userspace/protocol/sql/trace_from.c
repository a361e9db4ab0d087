/* SPDX-License-Identifier: Apache-2.0
 *
 * FROM: what each item brings into the namespace, and what joins make of it (parse_clause.c).
 */
#include "base/memory.h"
#include "protocol/sql/trace.h"

/* What an item of FROM is to the join around it: items of the level from `first` on, and its
 * columns. */
struct operand {
	size_t first;
	struct trace_columns columns;
};

void trace_rename(struct trace *t, struct trace_columns *c, tree_index names)
{
	struct value any = trace_columns_join(c);
	struct trace_columns renamed = {.open = c->open, .rest = c->rest};
	size_t i = 0;

	if (!names)
		return;
	/* Which columns the names are for can't be told where some are not known; nor which are
	 * left with the names that they had. */
	if (c->open && c->count)
		renamed.rest = value_derive(any);
	tree_for_each(name, t->tree, names)
	{
		bool known = !c->open && i < c->count;

		if (known)
			trace_copy_column(t, &renamed, tree_string(t->tree, name), &c->items[i]);
		else
			trace_add_column(
				t, &renamed, tree_string(t->tree, name), value_derive(any));
		i++;
	}
	for (; !c->open && i < c->count && trace_goes_on(t); i++)
		trace_copy_column(t, &renamed, c->items[i].name, &c->items[i]);
	*c = renamed;
}

static void rename_item(struct trace *t, struct trace_item *item, tree_index n)
{
	tree_index alias = tree_get(t->tree, n, FIELD_alias);

	item->alias = tree_get_string(t->tree, alias, FIELD_aliasname);
	trace_rename(t, &item->columns, tree_get(t->tree, alias, FIELD_colnames));
}

static struct trace_cte *find_cte(
	struct trace *t, const struct trace_place *place, tree_index range_var)
{
	struct slice name = tree_get_string(t->tree, range_var, FIELD_relname);

	if (tree_get(t->tree, range_var, FIELD_schemaname))
		return NULL;
	for (struct trace_cte *cte = place->ctes; cte; cte = cte->next) {
		trace_work(t, 1);
		if (slice_equal(cte->name, name))
			return cte;
	}
	return NULL;
}

static void from_range_var(
	struct trace *t, struct trace_level *level, const struct trace_place *place, tree_index n)
{
	struct trace_cte *cte = find_cte(t, place, n);
	struct trace_item *item;

	if (cte && !cte->followed)
		trace_cte_follow(t, cte);
	item = trace_add_item(t, level);
	if (!item)
		return;
	if (!cte) {
		trace_set_relation(t, item, n);
		return;
	}
	item->columns = cte->columns;
	item->columns.room = item->columns.count; /* the CTE's own: not to be added to */
	rename_item(t, item, n);
	if (item->alias.length == 0)
		item->alias = cte->name;
}

/* Without LATERAL a subquery does not see the items beside it. */
static struct trace_place beside(const struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n)
{
	bool lateral = tree_get_flag(t->tree, n, FIELD_lateral);

	return (struct trace_place){lateral ? level : level->outer, place->ctes};
}

static void from_subselect(
	struct trace *t, struct trace_level *level, const struct trace_place *place, tree_index n)
{
	struct trace_place inner = beside(t, level, place, n);
	struct trace_columns columns = trace_query(t, &inner, tree_get(t->tree, n, FIELD_subquery));
	struct trace_item *item = trace_add_item(t, level);

	if (!item)
		return;
	item->columns = columns;
	rename_item(t, item, n);
}

/* Column definitions of a function that returns records. */
static bool add_definitions(
	struct trace *t, struct trace_columns *c, tree_index definitions, struct value value)
{
	tree_for_each(definition, t->tree, definitions)
		trace_add_column(t, c, tree_get_string(t->tree, definition, FIELD_colname), value);
	return definitions != 0;
}

/* The name by which an item of FROM without an alias is asked. */
static struct slice own_name(struct trace *t, tree_index call)
{
	struct slice name = SLICE_EMPTY;

	if (!trace_column_name(t, call, &name))
		t->refusal = "columns are masked, and a part of FROM is not understood";
	return name;
}

/* Each of "functions" is a pair: the call, and its column definitions. The columns of one that
 * gives several have names that are not known here, so any may be asked for. The column of one that
 * gives one value is called as its parameter is, else after the alias where it is the only
 * function, else after itself (chooseScalarFunctionAlias, parse_relation.c). */
static void from_function(
	struct trace *t, struct trace_level *level, const struct trace_place *place, tree_index n)
{
	tree_index alias = tree_get(t->tree, n, FIELD_alias);
	struct slice name = tree_get_string(t->tree, alias, FIELD_aliasname);
	tree_index functions = tree_get(t->tree, n, FIELD_functions);
	bool only = tree_count(t->tree, functions) == 1;
	struct trace_columns columns = {.rest = value_clean};
	struct trace_item *item;

	tree_for_each(pair, t->tree, functions)
	{
		tree_index call = tree_first(t->tree, pair);
		tree_index definitions = tree_next(t->tree, call);
		struct slice parameter = SLICE_EMPTY;
		struct value value;
		bool single = trace_from_function(t, level, place, call, &value, &parameter);

		columns.rest = value_join(columns.rest, value);
		if (tree_kind(t->tree, definitions) == TREE_LIST &&
			add_definitions(t, &columns, definitions, value))
			continue;
		if (add_definitions(t, &columns, tree_get(t->tree, n, FIELD_coldeflist), value))
			continue;
		if (single && parameter.length)
			trace_add_column(t, &columns, parameter, value);
		else if (single && only && name.length)
			trace_add_column(t, &columns, name, value);
		else if (single)
			trace_add_column(t, &columns, own_name(t, call), value);
		else
			columns.open = true;
	}
	if (tree_get_flag(t->tree, n, FIELD_ordinality))
		trace_add_column(t, &columns, slice_from_string("ordinality"), value_clean);
	item = trace_add_item(t, level);
	if (!item)
		return;
	item->columns = columns;
	rename_item(t, item, n);
	if (item->alias.length == 0)
		item->alias = own_name(t, tree_first(t->tree, tree_first(t->tree, functions)));
}

/* XMLTABLE: any column may show what is in the document, or in a default. */
static void from_table_function(
	struct trace *t, struct trace_level *level, const struct trace_place *place, tree_index n)
{
	static const enum tree_field parts[] = {FIELD_docexpr, FIELD_rowexpr},
				     column_parts[] = {FIELD_colexpr, FIELD_coldefexpr};
	tree_index list = tree_get(t->tree, n, FIELD_columns);
	struct trace_columns columns = {.rest = value_clean};
	struct value any = trace_filter_list(
		t, level, place, tree_get(t->tree, n, FIELD_namespaces), "XMLTABLE");
	struct trace_item *item;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		any = value_join(any,
			trace_filter(t, level, place, tree_get(t->tree, n, parts[i]), "XMLTABLE"));
	tree_for_each(column, t->tree, list)
	{
		for (size_t i = 0; i < ARRAY_SIZE(column_parts); i++)
			any = value_join(any,
				trace_filter(t, level, place,
					tree_get(t->tree, column, column_parts[i]), "XMLTABLE"));
	}
	tree_for_each(column, t->tree, list)
		trace_add_column(t, &columns, tree_get_string(t->tree, column, FIELD_colname), any);
	item = trace_add_item(t, level);
	if (!item)
		return;
	item->columns = columns;
	rename_item(t, item, n);
	if (item->alias.length == 0)
		item->alias = slice_from_string("xmltable");
}

/* Its arguments see neither the table nor the items beside it (transformRangeTableSample,
 * parse_clause.c). */
static void from_sample(
	struct trace *t, struct trace_level *level, const struct trace_place *place, tree_index n)
{
	from_range_var(t, level, place, tree_get(t->tree, n, FIELD_relation));
	trace_filter_list(t, level->outer, place, tree_get(t->tree, n, FIELD_args), "TABLESAMPLE");
	trace_filter(t, level->outer, place, tree_get(t->tree, n, FIELD_repeatable), "TABLESAMPLE");
}

static const struct trace_column *find_column(
	struct trace *t, const struct trace_columns *c, struct slice name)
{
	trace_work(t, c->count / 8 + 1);
	for (size_t i = 0; i < c->count; i++) {
		if (slice_equal(c->items[i].name, name))
			return &c->items[i];
	}
	return NULL;
}

/* The column of one side that is compared with the other's; what may be there where it is not
 * known. */
static struct value side_value(const struct trace_columns *side, const struct trace_column *found)
{
	return found ? found->value : side->open ? side->rest : value_clean;
}

/* Adds `name` as one column that both sides share; comparing it decides which rows there are. */
static void merge_column(struct trace *t, struct trace_columns *merged,
	const struct trace_columns *left, const struct trace_columns *right, struct slice name)
{
	const struct trace_column *sides[] = {
		find_column(t, left, name), find_column(t, right, name)};
	struct trace_column column = {
		.value = value_join(side_value(left, sides[0]), side_value(right, sides[1])),
		.unstarred =
			(sides[0] && sides[0]->unstarred) || (sides[1] && sides[1]->unstarred)};

	trace_decide(t, &column.value, "JOIN", SLICE_EMPTY);
	trace_comparison(t, 0, "JOIN");
	column.value = value_derive(column.value);
	trace_copy_column(t, merged, name, &column);
}

static void add_others(struct trace *t, struct trace_columns *to, const struct trace_columns *side,
	const struct trace_columns *merged)
{
	for (size_t i = 0; i < side->count && trace_goes_on(t); i++) {
		if (merged->count && find_column(t, merged, side->items[i].name))
			continue;
		trace_copy_column(t, to, side->items[i].name, &side->items[i]);
	}
	if (side->open) {
		to->rest = to->open ? value_join(to->rest, side->rest) : side->rest;
		to->open = true;
	}
}

/* Which columns a NATURAL JOIN compares is known only where all are. */
static void merge_natural(struct trace *t, struct trace_columns *merged,
	const struct trace_columns *left, const struct trace_columns *right)
{
	if (left->open || right->open) {
		struct value any = value_join(trace_columns_join(left), trace_columns_join(right));

		trace_decide(t, &any, "NATURAL JOIN", SLICE_EMPTY);
		trace_comparison(t, 0, "NATURAL JOIN");
	}
	for (size_t i = 0; i < left->count && trace_goes_on(t); i++) {
		if (find_column(t, right, left->items[i].name))
			merge_column(t, merged, left, right, left->items[i].name);
	}
}

static struct operand from_item(
	struct trace *t, struct trace_level *level, const struct trace_place *place, tree_index n);

static void hide_items(struct trace_level *level, size_t first, bool names_too)
{
	for (size_t i = first; i < level->count; i++) {
		level->items[i].columns_visible = false;
		if (names_too)
			level->items[i].name_visible = false;
	}
}

static void add_using_alias(struct trace *t, struct trace_level *level, tree_index n,
	const struct trace_columns *merged)
{
	tree_index alias = tree_get(t->tree, n, FIELD_join_using_alias);
	struct trace_item *item = alias ? trace_add_item(t, level) : NULL;

	if (!item)
		return;
	item->alias = tree_get_string(t->tree, alias, FIELD_aliasname);
	item->columns = *merged;
	item->columns_visible = false;
}

static void from_join(struct trace *t, struct trace_level *level, const struct trace_place *place,
	tree_index n, size_t first)
{
	struct operand left = from_item(t, level, place, tree_get(t->tree, n, FIELD_larg));
	struct operand right = from_item(t, level, place, tree_get(t->tree, n, FIELD_rarg));
	struct trace_columns merged = {.rest = value_clean}, all;
	tree_index alias = tree_get(t->tree, n, FIELD_alias);
	struct trace_item *item;
	size_t outer_first = level->first;

	if (tree_get_flag(t->tree, n, FIELD_isNatural))
		merge_natural(t, &merged, &left.columns, &right.columns);
	tree_for_each(name, t->tree, tree_get(t->tree, n, FIELD_usingClause))
		merge_column(t, &merged, &left.columns, &right.columns, tree_string(t->tree, name));
	/* ON sees the two sides, and what is further out. */
	level->first = first;
	trace_filter(t, level, place, tree_get(t->tree, n, FIELD_quals), "JOIN");
	level->first = outer_first;
	all = merged;
	add_others(t, &all, &left.columns, &merged);
	add_others(t, &all, &right.columns, &merged);
	/* An alias of the join hides that of its merged columns too. */
	hide_items(level, first, alias != 0);
	if (!alias)
		add_using_alias(t, level, n, &merged);
	item = trace_add_item(t, level);
	if (!item)
		return;
	item->columns = all;
	item->name_visible = alias != 0;
	if (alias)
		rename_item(t, item, n);
}

static struct operand from_item(
	struct trace *t, struct trace_level *level, const struct trace_place *place, tree_index n)
{
	struct operand operand = {.first = level->count, .columns = {.rest = value_clean}};

	if (!trace_enter(t))
		return operand;
	switch (tree_type(t->tree, n)) {
	case TYPE_RangeVar:
		from_range_var(t, level, place, n);
		break;
	case TYPE_RangeSubselect:
		from_subselect(t, level, place, n);
		break;
	case TYPE_RangeFunction:
		from_function(t, level, place, n);
		break;
	case TYPE_RangeTableFunc:
		from_table_function(t, level, place, n);
		break;
	case TYPE_RangeTableSample:
		from_sample(t, level, place, n);
		break;
	case TYPE_JoinExpr:
		from_join(t, level, place, n, operand.first);
		break;
	default:
		t->refusal = "columns are masked, and a part of FROM is not understood";
		break;
	}
	trace_leave(t);
	/* The last item is the whole: a join adds itself behind its sides. */
	if (level->count > operand.first)
		operand.columns = level->items[level->count - 1].columns;
	return operand;
}

void trace_from_one(struct trace *t, struct trace_level *level, const struct trace_place *place,
	tree_index item)
{
	from_item(t, level, place, item);
}

void trace_from(struct trace *t, struct trace_level *level, const struct trace_place *place,
	tree_index from)
{
	tree_for_each(item, t->tree, from)
	{
		if (trace_goes_on(t))
			from_item(t, level, place, item);
	}
}
