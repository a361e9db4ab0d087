/* SPDX-License-Identifier: Apache-2.0
 *
 * Definitions over masked columns, and commands after which a column would be known by another name
 * than its mask has, or not as what it was made of.
 */
#include "base/memory.h"
#include "protocol/sql/trace.h"

/* CREATE TABLE: whether the mention is the table itself, which has no rows that a definition could
 * fail on. A relation that is there already may be meant by the same name in another schema. */
static bool is_being_created(struct tracer *tracer, struct trace *t, const struct mention *m)
{
	const struct command_facts *c = &tracer->facts->command_facts[tracer->command];
	tree_index own = tree_get(t->tree, c->statement, FIELD_relation);
	struct lookup_relation found;
	size_t position = 0;

	if (tree_type(t->tree, c->statement) != TYPE_CreateStmt || t->lookup->names_moved ||
		!slice_equal(tree_get_string(t->tree, own, FIELD_relname), m->name))
		return false;
	return m->schema.length == 0 && !lookup_next(t->lookup, m->name, &position, &found);
}

/* Whether some relation of the command has a masked column of that name, or is called so itself and
 * has any: then it is its whole row. */
static bool name_is_masked(struct tracer *tracer, struct trace *t, struct slice name)
{
	const struct command_facts *c = &tracer->facts->command_facts[tracer->command];

	for (size_t i = 0; i < c->count; i++) {
		const struct mention *m = &tracer->facts->mentions[c->first + i];
		struct trace_level level = {0};
		struct trace_item *item;
		struct value v;

		trace_work(t, 16);
		if (m->kind != MENTION_RELATION || !trace_goes_on(t) || !trace_is_masked(t, m) ||
			is_being_created(tracer, t, m))
			continue;
		if (slice_equal(m->name, name))
			return true;
		item = trace_add_item(t, &level);
		if (!item)
			return true;
		trace_set_mentioned(t, item, m->schema, m->name);
		if (trace_item_column(t, item, name, &v) && value_is_masked(&v))
			return true;
	}
	return false;
}

static void refuse_definition(struct trace *t, struct slice name)
{
	struct value masked =
		value_unknown(trace_format(t, "column %.*s is masked", SLICE_PRINT(name)));

	trace_refuse(t, &masked, "a definition", SLICE_EMPTY);
}

/* What a definition refers to: a column, or with x.* a whole row; the empty slice: neither. */
static struct slice definition_name(const struct tree *t, tree_index n)
{
	enum tree_type type = tree_type(t, n);
	struct slice name, before = SLICE_EMPTY;

	if (type == TYPE_ColumnRef) {
		tree_for_each(field, t, tree_get(t, n, FIELD_fields))
		{
			name = tree_string(t, field);
			if (name.length)
				before = name;
		}
		return before;
	}
	if (type == TYPE_IndexElem || type == TYPE_StatsElem ||
		(type == TYPE_AlterTableCmd &&
			(tree_is(t, n, FIELD_subtype, "AT_AlterColumnType") ||
				tree_is(t, n, FIELD_subtype, "AT_DropExpression"))))
		return tree_get_string(t, n, FIELD_name);
	return SLICE_EMPTY;
}

static void scan_keys(struct tracer *tracer, struct trace *t, tree_index n)
{
	static const enum tree_field lists[] = {FIELD_keys, FIELD_fk_attrs, FIELD_pk_attrs};
	tree_index other = tree_get(t->tree, n, FIELD_pktable);
	struct slice name = tree_get_string(t->tree, other, FIELD_relname);

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		tree_for_each(key, t->tree, tree_get(t->tree, n, lists[i]))
		{
			if (name_is_masked(tracer, t, tree_string(t->tree, key)))
				refuse_definition(t, tree_string(t->tree, key));
		}
	}
	/* REFERENCES without columns: which they are only the server knows. */
	if (other && !tree_get(t->tree, n, FIELD_pk_attrs) && name_is_masked(tracer, t, name)) {
		struct value masked = value_unknown(
			trace_format(t, "relation %.*s has masked columns", SLICE_PRINT(name)));

		trace_refuse(t, &masked, "REFERENCES without naming columns", SLICE_EMPTY);
	}
}

/* Definitions that the server checks against the rows there are, and fails with a value of them:
 * constraints, indexes, new types, generated columns. */
static void scan_definition(struct tracer *tracer, struct trace *t, tree_index n)
{
	struct slice name = definition_name(t->tree, n);

	if (!trace_enter(t))
		return;
	if (name.length && name_is_masked(tracer, t, name))
		refuse_definition(t, name);
	if (tree_type(t->tree, n) == TYPE_Constraint)
		scan_keys(tracer, t, n);
	tree_for_each(child, t->tree, n) scan_definition(tracer, t, child);
	trace_leave(t);
}

/* What leaves its parent leaves the masks that it has from there. */
static bool leaves_parent(const struct tree *t, tree_index statement)
{
	static const char *const types[] = {
		"AT_DetachPartition", "AT_DetachPartitionFinalize", "AT_DropInherit"};

	tree_for_each(command, t, tree_get(t, statement, FIELD_cmds))
	{
		for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
			if (tree_is(t, command, FIELD_subtype, types[i]))
				return true;
		}
	}
	return false;
}

void trace_refuse_masked(struct tracer *tracer, struct trace *t, bool any, const char *place)
{
	const struct command_facts *c = &tracer->facts->command_facts[tracer->command];

	for (size_t i = 0; i < c->count && trace_goes_on(t); i++) {
		const struct mention *m = &tracer->facts->mentions[c->first + i];
		struct value v;

		if (m->kind != MENTION_RELATION || !trace_is_masked(t, m) ||
			!(any || m->operation == OPERATION_SELECT))
			continue;
		v = value_unknown(trace_format(t,
			"relation %.*s has masked columns or is not known", SLICE_PRINT(m->name)));
		trace_refuse(t, &v, place, SLICE_EMPTY);
	}
}

/* Whether the command of ALTER TYPE or DOMAIN has the server check or convert values that are
 * there, or name a column anew: in tables that it does not name. */
static bool is_type_change(const struct tree *t, tree_index n)
{
	/* ADD a constraint, SET NOT NULL, VALIDATE (AlterDomainStmt, nodes/parsenodes.h) */
	static const char *const subtypes[] = {"C", "O", "V"};

	if (tree_type(t, n) == TYPE_AlterTableCmd)
		return tree_is(t, n, FIELD_subtype, "AT_AlterColumnType") &&
			tree_is(t, n, FIELD_behavior, "DROP_CASCADE");
	if (tree_type(t, n) == TYPE_RenameStmt)
		return tree_is(t, n, FIELD_renameType, "OBJECT_ATTRIBUTE") &&
			tree_is(t, n, FIELD_behavior, "DROP_CASCADE");
	for (size_t i = 0; i < ARRAY_SIZE(subtypes); i++) {
		if (tree_type(t, n) == TYPE_AlterDomainStmt &&
			tree_is(t, n, FIELD_subtype, subtypes[i]))
			return true;
	}
	return false;
}

bool trace_changes_type(const struct tree *t, tree_index statement)
{
	if (tree_type(t, statement) != TYPE_AlterTableStmt)
		return is_type_change(t, statement);
	tree_for_each(command, t, tree_get(t, statement, FIELD_cmds))
	{
		if (tree_is(t, statement, FIELD_objtype, "OBJECT_TYPE") &&
			is_type_change(t, command))
			return true;
	}
	return false;
}

/* Which columns have the type, or are of tables made of it, only the server knows. */
static void refuse_type_change(struct trace *t, tree_index n)
{
	static const struct slice what = {(const uint8_t *)"columns are masked", 18};
	struct value v = value_unknown(what);

	if (trace_changes_type(t->tree, n))
		trace_refuse(t, &v, "a type that changes with what has it", SLICE_EMPTY);
}

/* ATTACH PARTITION fails for rows that are not within its bounds, which may be any. */
static void refuse_attached(struct trace *t, tree_index statement)
{
	tree_for_each(command, t->tree, tree_get(t->tree, statement, FIELD_cmds))
	{
		tree_index partition = tree_get(t->tree, command, FIELD_def);
		struct trace_level level = {0};
		struct trace_item *item;
		struct value v;

		if (!tree_is(t->tree, command, FIELD_subtype, "AT_AttachPartition"))
			continue;
		item = trace_add_item(t, &level);
		if (!item)
			return;
		trace_set_relation(t, item, tree_get(t->tree, partition, FIELD_name));
		v = trace_whole_row(item);
		if (value_is_masked(&v))
			trace_refuse(t, &v, "bounds of a partition", SLICE_EMPTY);
	}
}

void trace_define(struct tracer *tracer, struct trace *t, tree_index n)
{
	scan_definition(tracer, t, n);
	trace_refuse_code(t, n, "a definition");
	refuse_type_change(t, n);
	refuse_attached(t, n);
	if (leaves_parent(t->tree, n))
		trace_refuse_masked(tracer, t, true, "a command that takes it from its parent");
}

struct moving {
	struct trace *trace;
	bool masked;
};

static void note_masked(void *context, const struct sql_relation *relation)
{
	struct moving *m = context;

	trace_work(m->trace, 1);
	m->masked |= sql_catalog_column_mask(m->trace->lookup->view->catalog, relation, 0,
			     m->trace->rules, NULL) != MASK_NONE;
}

/* A schema's new name would be that of all it holds; an extension moves what is its own, which only
 * the server knows. */
static bool moves_masked(struct trace *t, tree_index n)
{
	const struct sql_catalog *catalog = t->lookup->view->catalog;
	bool schema = tree_is(t->tree, n, FIELD_renameType, "OBJECT_SCHEMA");
	struct moving moving = {t, !catalog || t->lookup->names_moved};

	if (!schema)
		return tree_is(t->tree, n, FIELD_objectType, "OBJECT_EXTENSION");
	if (!moving.masked)
		catalog_visit_schema(
			catalog, tree_get_string(t->tree, n, FIELD_subname), note_masked, &moving);
	return moving.masked;
}

void trace_move(struct tracer *tracer, struct trace *t, tree_index n)
{
	static const struct slice what = {(const uint8_t *)"what it holds has masked columns", 32};
	struct value v = value_unknown(what);

	trace_refuse_masked(tracer, t, true, "a renaming");
	refuse_type_change(t, n);
	if (trace_goes_on(t) && moves_masked(t, n))
		trace_refuse(t, &v, "a renaming", SLICE_EMPTY);
}
