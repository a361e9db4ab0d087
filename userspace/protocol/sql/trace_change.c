/* SPDX-License-Identifier: Apache-2.0
 *
 * INSERT, UPDATE, DELETE, MERGE: masked values must not be written anywhere, where no mask would
 * follow them; what RETURNING gives back is a result like any other.
 */
#include "protocol/sql/trace.h"

bool trace_is_change(enum tree_type type)
{
	return type == TYPE_InsertStmt || type == TYPE_UpdateStmt || type == TYPE_DeleteStmt ||
		type == TYPE_MergeStmt;
}

void trace_copied(struct trace *t, const struct trace_columns *c, const char *place)
{
	struct value all = trace_columns_join(c);

	if (value_is_masked(&all))
		trace_refuse(t, &all, place, SLICE_EMPTY);
}

/* The values of SET and VALUES. */
static void trace_written(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index list, const char *clause)
{
	tree_for_each(item, t->tree, list)
	{
		bool target = tree_type(t->tree, item) == TYPE_ResTarget;
		tree_index value = target ? tree_get(t->tree, item, FIELD_val) : item;
		struct value v;

		tree_for_each(
			subscript, t->tree, target ? tree_get(t->tree, item, FIELD_indirection) : 0)
		{
			if (tree_type(t->tree, subscript) == TYPE_A_Indices)
				trace_filter(t, level, place, subscript, clause);
		}
		if (!value || !trace_goes_on(t))
			continue;
		v = trace_expression(t, level, place, value);
		if (value_is_masked(&v))
			trace_refuse(t, &v, clause, SLICE_EMPTY);
	}
}

static void add_target(struct trace *t, struct trace_level *level, tree_index n)
{
	struct trace_item *item = trace_add_item(t, level);

	if (item)
		trace_set_relation(t, item, tree_get(t->tree, n, FIELD_relation));
}

/* Rows that the statement itself brings: nothing in them is masked. */
static void add_excluded(struct trace *t, struct trace_level *level)
{
	struct trace_item *item = trace_add_item(t, level);

	if (!item)
		return;
	item->alias = slice_from_string("excluded");
	item->columns.open = true;
	item->columns_visible = false;
}

static void trace_conflict(
	struct trace *t, const struct trace_place *place, tree_index insert, tree_index conflict)
{
	struct trace_level level = {.outer = place->outer};
	tree_index infer = tree_get(t->tree, conflict, FIELD_infer);

	add_target(t, &level, insert);
	tree_for_each(element, t->tree, tree_get(t->tree, infer, FIELD_indexElems))
	{
		struct slice name = tree_get_string(t->tree, element, FIELD_name);
		struct value v;

		if (name.length && level.count && trace_item_column(t, &level.items[0], name, &v))
			trace_decide(t, &v, "ON CONFLICT", SLICE_EMPTY);
		trace_filter(
			t, &level, place, tree_get(t->tree, element, FIELD_expr), "ON CONFLICT");
	}
	trace_filter(t, &level, place, tree_get(t->tree, infer, FIELD_whereClause), "ON CONFLICT");
	add_excluded(t, &level);
	trace_written(t, &level, place, tree_get(t->tree, conflict, FIELD_targetList), "UPDATE");
	trace_filter(t, &level, place, tree_get(t->tree, conflict, FIELD_whereClause), "WHERE");
}

static void trace_insert(
	struct trace *t, const struct trace_place *place, tree_index n, struct trace_level *level)
{
	tree_index source = tree_get(t->tree, n, FIELD_selectStmt);
	tree_index conflict = tree_get(t->tree, n, FIELD_onConflictClause);
	struct trace_columns columns;

	if (source) {
		columns = trace_query(t, place, source);
		trace_copied(t, &columns, "INSERT");
	}
	if (conflict)
		trace_conflict(t, place, n, conflict);
	add_target(t, level, n);
}

static void trace_update(
	struct trace *t, const struct trace_place *place, tree_index n, struct trace_level *level)
{
	add_target(t, level, n);
	trace_from(t, level, place, tree_get(t->tree, n, FIELD_fromClause));
	trace_written(t, level, place, tree_get(t->tree, n, FIELD_targetList), "UPDATE");
	trace_filter(t, level, place, tree_get(t->tree, n, FIELD_whereClause), "WHERE");
}

static void trace_delete(
	struct trace *t, const struct trace_place *place, tree_index n, struct trace_level *level)
{
	add_target(t, level, n);
	trace_from(t, level, place, tree_get(t->tree, n, FIELD_usingClause));
	trace_filter(t, level, place, tree_get(t->tree, n, FIELD_whereClause), "WHERE");
}

/* MergeStmt has its source as a node, which trace_from() takes as a list of one would be. */
static void trace_merge(
	struct trace *t, const struct trace_place *place, tree_index n, struct trace_level *level)
{
	add_target(t, level, n);
	trace_from_one(t, level, place, tree_get(t->tree, n, FIELD_sourceRelation));
	trace_filter(t, level, place, tree_get(t->tree, n, FIELD_joinCondition), "MERGE");
	tree_for_each(clause, t->tree, tree_get(t->tree, n, FIELD_mergeWhenClauses))
	{
		trace_filter(t, level, place, tree_get(t->tree, clause, FIELD_condition), "MERGE");
		trace_written(
			t, level, place, tree_get(t->tree, clause, FIELD_targetList), "MERGE");
		trace_written(t, level, place, tree_get(t->tree, clause, FIELD_values), "MERGE");
	}
}

struct trace_columns trace_change(
	struct trace *t, const struct trace_place *place, tree_index statement)
{
	struct trace_place inner = *place;
	struct trace_level level = {.outer = place->outer};
	struct trace_columns result = {.rest = value_clean};

	if (!trace_enter(t))
		return result;
	inner.ctes = trace_with(t, place, tree_get(t->tree, statement, FIELD_withClause));
	switch (tree_type(t->tree, statement)) {
	case TYPE_InsertStmt:
		trace_insert(t, &inner, statement, &level);
		break;
	case TYPE_UpdateStmt:
		trace_update(t, &inner, statement, &level);
		break;
	case TYPE_DeleteStmt:
		trace_delete(t, &inner, statement, &level);
		break;
	default:
		trace_merge(t, &inner, statement, &level);
		break;
	}
	trace_targets(
		t, &level, &inner, tree_get(t->tree, statement, FIELD_returningList), &result);
	trace_leave(t);
	return result;
}
