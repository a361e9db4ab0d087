/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/walk.h"

#include "base/memory.h"

/* The name by which a FROM item can be asked: its alias, else its own. */
static struct slice alias_of(struct walk *w, tree_index item)
{
	tree_index alias = tree_get(w->tree, item, FIELD_alias);

	return alias ? tree_get_string(w->tree, alias, FIELD_aliasname)
		     : tree_get_string(w->tree, item, FIELD_relname);
}

static bool is_cte_reference(struct walk *w, tree_index range_var)
{
	return tree_get_string(w->tree, range_var, FIELD_schemaname).length == 0 &&
		walk_is_cte(w, tree_get_string(w->tree, range_var, FIELD_relname));
}

/* Anywhere but as the target of a command: it is read. */
void walk_range_var(struct walk *w, tree_index n)
{
	uint32_t relation = MENTION_NONE;

	if (!is_cte_reference(w, n))
		relation = walk_relation(
			w, OPERATION_SELECT, n, w->reads_all ? MENTION_EVERYTHING : 0);
	walk_alias(w, alias_of(w, n), relation);
}

void walk_range_subselect(struct walk *w, tree_index n)
{
	walk_alias(w, alias_of(w, n), MENTION_NONE);
	walk_children(w, n);
}

void walk_range_function(struct walk *w, tree_index n)
{
	walk_alias(w, alias_of(w, n), MENTION_NONE);
	walk_children(w, n);
}

void walk_range_table_sample(struct walk *w, tree_index n)
{
	struct name_parts method = walk_name(w, tree_get(w->tree, n, FIELD_method));

	if (!slice_equal_string(method.name, "system") &&
		!slice_equal_string(method.name, "bernoulli"))
		walk_function(w, tree_get(w->tree, n, FIELD_method));
	walk_children_but(w, n, FIELD_method);
}

void walk_join_expr(struct walk *w, tree_index n)
{
	if (tree_get(w->tree, n, FIELD_usingClause) || tree_get_flag(w->tree, n, FIELD_isNatural))
		walk_operator_named(w, "=");
	if (tree_get(w->tree, n, FIELD_alias) || tree_get(w->tree, n, FIELD_join_using_alias))
		walk_alias(w, alias_of(w, n), MENTION_NONE);
	walk_children(w, n);
}

/* FOR UPDATE and the like: row locks, for which the server asks more than the right to read. */
static void walk_locked(struct walk *w, tree_index from, tree_index names);

static bool is_locked(struct walk *w, tree_index item, tree_index names)
{
	struct slice alias = alias_of(w, item);

	tree_for_each(name, w->tree, names)
	{
		if (slice_equal(tree_get_string(w->tree, name, FIELD_relname), alias))
			return true;
	}
	return names == 0;
}

static void walk_locked_item(struct walk *w, tree_index item, tree_index names)
{
	switch (tree_type(w->tree, item)) {
	case TYPE_RangeVar:
		if (is_locked(w, item, names) && !is_cte_reference(w, item))
			walk_relation(w, OPERATION_LOCK, item, 0);
		break;
	case TYPE_JoinExpr:
		walk_locked_item(w, tree_get(w->tree, item, FIELD_larg), names);
		walk_locked_item(w, tree_get(w->tree, item, FIELD_rarg), names);
		break;
	case TYPE_RangeTableSample:
		walk_locked_item(w, tree_get(w->tree, item, FIELD_relation), names);
		break;
	case TYPE_RangeSubselect:
		if (is_locked(w, item, names))
			walk_locked(w,
				tree_get(w->tree, tree_get(w->tree, item, FIELD_subquery),
					FIELD_fromClause),
				0);
		break;
	default:
		break;
	}
}

static void walk_locked(struct walk *w, tree_index from, tree_index names)
{
	tree_for_each(item, w->tree, from) walk_locked_item(w, item, names);
}

/* "order by 1": which column that is decides where a masked one goes. */
static void walk_positions(struct walk *w, tree_index list)
{
	tree_for_each(item, w->tree, list)
	{
		tree_index value = tree_type(w->tree, item) == TYPE_SortBy
			? tree_get(w->tree, item, FIELD_node)
			: item;

		if (tree_is_integer_literal(w->tree, value))
			w->facts->depends_on_literals = true;
		if (tree_type(w->tree, value) == TYPE_GroupingSet)
			walk_positions(w, tree_get(w->tree, value, FIELD_content));
		if (tree_type(w->tree, value) == TYPE_RowExpr)
			walk_positions(w, tree_get(w->tree, value, FIELD_args));
	}
}

/* Clauses and tables that are more than this are all taken to be locked, so that no text can make
 * the product of both. */
#define LOCKS_COMPARED 16

static void walk_locking(struct walk *w, tree_index n, tree_index clauses)
{
	tree_index from = tree_get(w->tree, n, FIELD_fromClause);

	if (tree_count(w->tree, clauses) > LOCKS_COMPARED) {
		walk_locked(w, from, 0);
		return;
	}
	tree_for_each(clause, w->tree, clauses)
	{
		tree_index names = tree_get(w->tree, clause, FIELD_lockedRels);

		walk_locked(w, from, tree_count(w->tree, names) > LOCKS_COMPARED ? 0 : names);
	}
}

static void note_condition(struct walk *w, tree_index n)
{
	if (walk_command_facts(w)->statement == n)
		walk_command(w)->takes_all = tree_get(w->tree, n, FIELD_fromClause) &&
			!tree_get(w->tree, n, FIELD_whereClause);
}

/* Not one of a SELECT inside, which is not about the rows of this one. */
static bool names_column(const struct tree *t, tree_index n)
{
	if (tree_type(t, n) == TYPE_ColumnRef)
		return true;
	if (tree_type(t, n) == TYPE_SelectStmt)
		return false;
	tree_for_each(child, t, n)
	{
		if (names_column(t, child))
			return true;
	}
	return false;
}

/* What stands in FROM is read as far as the conditions around it say; what stands elsewhere in the
 * SELECT is not what they are about. */
static void walk_from(struct walk *w, tree_index n, tree_index from)
{
	bool in_from = w->in_from, reads_all = w->reads_all;

	w->reads_all = (!in_from || reads_all) &&
		!names_column(w->tree, tree_get(w->tree, n, FIELD_whereClause));
	w->in_from = true;
	walk_visit(w, from);
	w->in_from = in_from;
	w->reads_all = reads_all;
}

static void walk_outside_from(struct walk *w, tree_index child)
{
	bool in_from = w->in_from, reads_all = w->reads_all;

	w->in_from = w->reads_all = false;
	walk_visit(w, child);
	w->in_from = in_from;
	w->reads_all = reads_all;
}

void walk_select(struct walk *w, tree_index n)
{
	struct cte_scope *ctes = walk_ctes_enter(w, tree_get(w->tree, n, FIELD_withClause));
	tree_index into = tree_get(w->tree, n, FIELD_intoClause);

	tree_index settings = w->settings;
	struct slice setting = w->setting;

	note_condition(w, n);
	if (into)
		walk_created(w, tree_get(w->tree, into, FIELD_rel));
	if (!walk_settings_row(w, n))
		w->settings = 0;
	tree_for_each(child, w->tree, n)
	{
		switch (w->tree->nodes[child].field) {
		case FIELD_withClause:
		case FIELD_intoClause:
			break;
		case FIELD_lockingClause:
			walk_locking(w, n, child);
			break;
		case FIELD_fromClause:
			walk_from(w, n, child);
			break;
		case FIELD_larg: /* of UNION and the like */
		case FIELD_rarg:
			walk_visit(w, child);
			break;
		case FIELD_sortClause:
		case FIELD_groupClause:
		case FIELD_distinctClause:
			walk_positions(w, child);
			walk_outside_from(w, child);
			break;
		default:
			walk_outside_from(w, child);
		}
	}
	w->settings = settings;
	w->setting = setting;
	walk_ctes_leave(w, ctes);
}

/* The row-changing commands share this: the target, what else they read, and whether they read
 * the target too. There the server asks for the right to SELECT as well: "UPDATE … requires the
 * SELECT privilege on any column whose value is read in the expressions or condition". */
struct change {
	tree_index target;
	struct cte_scope *ctes;
	bool saw_column; /* as it was outside */
};

static struct change change_enter(struct walk *w, tree_index n)
{
	struct change c = {.target = tree_get(w->tree, n, FIELD_relation)};

	c.ctes = walk_ctes_enter(w, tree_get(w->tree, n, FIELD_withClause));
	c.saw_column = w->saw_column;
	w->saw_column = false;
	return c;
}

static void change_leave(struct walk *w, struct change *c, bool reads_target)
{
	if (reads_target || w->saw_column)
		walk_relation(w, OPERATION_SELECT, c->target, 0);
	w->saw_column |= c->saw_column;
	walk_ctes_leave(w, c->ctes);
}

/* Whether the condition leaves every row in: there is none, or it names no column ("where true").
 */
static bool walk_condition(struct walk *w, tree_index condition)
{
	bool before = w->saw_column, spares;

	w->saw_column = false;
	if (condition)
		walk_visit(w, condition);
	spares = w->saw_column || tree_type(w->tree, condition) == TYPE_CurrentOfExpr;
	w->saw_column |= before;
	return !spares;
}

static void walk_target(
	struct walk *w, const struct change *c, enum operation operation, bool everything)
{
	uint32_t mention =
		walk_relation(w, operation, c->target, everything ? MENTION_EVERYTHING : 0);

	walk_alias(w, alias_of(w, c->target), mention);
}

static void walk_fields(struct walk *w, tree_index n, const enum tree_field *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		walk_field(w, n, fields[i]);
}

void walk_insert(struct walk *w, tree_index n)
{
	struct change c = change_enter(w, n);
	tree_index conflict = tree_get(w->tree, n, FIELD_onConflictClause);
	tree_index infer = tree_get(w->tree, conflict, FIELD_infer);
	bool updates = tree_is(w->tree, conflict, FIELD_action, "ONCONFLICT_UPDATE");

	walk_target(w, &c, OPERATION_INSERT, false);
	walk_field(w, n, FIELD_cols);
	walk_field(w, n, FIELD_selectStmt);
	/* Columns of the source are no columns of the target. */
	w->saw_column = false;
	if (updates)
		walk_target(w, &c, OPERATION_UPDATE, false);
	walk_field(w, n, FIELD_onConflictClause);
	walk_field(w, n, FIELD_returningList);
	change_leave(w, &c,
		updates || tree_get(w->tree, infer, FIELD_indexElems) ||
			tree_get(w->tree, n, FIELD_returningList));
}

/* pg_settings has a rule that makes UPDATE a set_config(). */
static bool is_settings_view(struct walk *w, tree_index range_var)
{
	return slice_equal_string(
		tree_get_string(w->tree, range_var, FIELD_relname), "pg_settings");
}

void walk_update(struct walk *w, tree_index n)
{
	static const enum tree_field fields[] = {
		FIELD_targetList, FIELD_fromClause, FIELD_returningList};
	struct change c = change_enter(w, n);

	walk_target(w, &c, OPERATION_UPDATE,
		walk_condition(w, tree_get(w->tree, n, FIELD_whereClause)));
	if (is_settings_view(w, c.target)) {
		walk_relation(w, OPERATION_SET, c.target, MENTION_SET);
		walk_disturb_naming(w, SQL_EFFECT_NAMING);
	}
	walk_fields(w, n, fields, ARRAY_SIZE(fields));
	change_leave(w, &c, tree_get(w->tree, n, FIELD_returningList));
}

void walk_delete(struct walk *w, tree_index n)
{
	static const enum tree_field fields[] = {FIELD_usingClause, FIELD_returningList};
	struct change c = change_enter(w, n);

	walk_target(w, &c, OPERATION_DELETE,
		walk_condition(w, tree_get(w->tree, n, FIELD_whereClause)));
	walk_fields(w, n, fields, ARRAY_SIZE(fields));
	change_leave(w, &c, tree_get(w->tree, n, FIELD_returningList));
}

static const struct {
	const char *command;
	enum operation operation;
} merge_actions[] = {
	{"CMD_INSERT", OPERATION_INSERT},
	{"CMD_UPDATE", OPERATION_UPDATE},
	{"CMD_DELETE", OPERATION_DELETE},
};

/* MERGE needs the rights of each of its actions, so it is each of them too. */
void walk_merge(struct walk *w, tree_index n)
{
	static const enum tree_field fields[] = {FIELD_sourceRelation, FIELD_mergeWhenClauses};
	struct change c = change_enter(w, n);
	bool everything = walk_condition(w, tree_get(w->tree, n, FIELD_joinCondition));

	walk_target(w, &c, OPERATION_MERGE, everything);
	tree_for_each(clause, w->tree, tree_get(w->tree, n, FIELD_mergeWhenClauses))
	{
		for (size_t i = 0; i < ARRAY_SIZE(merge_actions); i++) {
			if (tree_is(w->tree, clause, FIELD_commandType, merge_actions[i].command))
				walk_relation(w, merge_actions[i].operation, c.target,
					everything && i > 0 ? MENTION_EVERYTHING : 0);
		}
	}
	walk_fields(w, n, fields, ARRAY_SIZE(fields));
	change_leave(w, &c, true);
}
