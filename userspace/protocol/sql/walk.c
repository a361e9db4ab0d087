/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/walk.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/sql/setting.h"

/* Fewer mentions of one command are compared one by one; more go through a table. */
#define MENTIONS_COMPARED 16

struct seen_mention {
	struct table_node node;
	uint32_t index;
};

struct cte_name {
	struct table_node node;
	struct slice name;
};

struct cte_scope {
	struct cte_name *names;
	size_t count;
};

void walk_children(struct walk *w, tree_index n)
{
	tree_for_each(child, w->tree, n) walk_visit(w, child);
}

void walk_children_but(struct walk *w, tree_index n, enum tree_field skipped)
{
	tree_for_each(child, w->tree, n)
	{
		if (w->tree->nodes[child].field != skipped)
			walk_visit(w, child);
	}
}

void walk_field(struct walk *w, tree_index n, enum tree_field field)
{
	tree_index child = tree_get(w->tree, n, field);

	if (child)
		walk_visit(w, child);
}

struct sql_command *walk_command(struct walk *w)
{
	return &w->facts->commands[w->command];
}

struct command_facts *walk_command_facts(struct walk *w)
{
	return &w->facts->command_facts[w->command];
}

/* What is only planned or prepared changes nothing now. */
void walk_effects(struct walk *w, unsigned effects)
{
	if (!(w->flags & (MENTION_EXPLAINED | MENTION_LATER)))
		walk_command(w)->effects |= effects;
}

static bool mention_equal(const struct mention *a, const struct mention *b)
{
	return a->kind == b->kind && a->flags == b->flags && a->operation == b->operation &&
		slice_equal(a->name, b->name) && slice_equal(a->schema, b->schema);
}

static uint64_t mention_hash(const struct mention *m)
{
	uint64_t hash = table_hash_slice(m->name) ^ table_hash_slice(m->schema) * 31;

	return hash + (uint64_t)(m->kind << 16 | m->operation << 8 | m->flags) * 0x9e3779b97f4a7c15;
}

static void seen_add(struct walk *w, uint32_t index)
{
	struct seen_mention *seen = arena_new(&w->facts->arena, sizeof(*seen));

	if (!seen) {
		w->error = -E2BIG;
		return;
	}
	seen->index = index;
	table_insert(&w->seen, &seen->node, mention_hash(&w->facts->mentions[index]));
}

static uint32_t seen_find(struct walk *w, const struct mention *m)
{
	struct facts *f = w->facts;
	size_t first = walk_command_facts(w)->first;

	if (f->mention_count - first <= MENTIONS_COMPARED) {
		for (size_t i = first; i < f->mention_count; i++) {
			if (mention_equal(&f->mentions[i], m))
				return (uint32_t)i;
		}
		return MENTION_NONE;
	}
	for (struct table_node *node = table_find(&w->seen, mention_hash(m)); node;
		node = table_find_next(&w->seen, node)) {
		uint32_t index = container_of(node, struct seen_mention, node)->index;

		if (mention_equal(&f->mentions[index], m))
			return index;
	}
	return MENTION_NONE;
}

static int grow(void **array, size_t *capacity, size_t size)
{
	size_t wanted = *capacity ? *capacity * 2 : 8;
	void *grown = realloc(*array, wanted * size);

	if (!grown)
		return -ENOMEM;
	*array = grown;
	*capacity = wanted;
	return 0;
}

static uint32_t mention_add(struct walk *w, const struct mention *m)
{
	struct facts *f = w->facts;
	size_t first = walk_command_facts(w)->first;

	if (f->mention_count == w->mention_capacity &&
		grow((void **)&f->mentions, &w->mention_capacity, sizeof(*m)) < 0) {
		w->error = -ENOMEM;
		return MENTION_NONE;
	}
	f->mentions[f->mention_count++] = *m;
	if (f->mention_count - first == MENTIONS_COMPARED + 1) {
		for (size_t i = first; i < f->mention_count; i++)
			seen_add(w, (uint32_t)i);
	} else if (f->mention_count - first > MENTIONS_COMPARED) {
		seen_add(w, (uint32_t)(f->mention_count - 1));
	}
	return (uint32_t)(f->mention_count - 1);
}

uint32_t walk_mention(struct walk *w, enum mention_kind kind, enum operation operation,
	struct slice schema, struct slice name, unsigned flags)
{
	struct mention m = {
		.kind = (uint8_t)kind,
		.flags = (uint8_t)(flags | w->flags),
		.operation = (uint8_t)operation,
		.command = w->command,
		.schema = schema,
		.name = name,
	};
	uint32_t found;

	if (kind == MENTION_FUNCTION)
		m.builtin = (uint8_t)builtin_function_find(name);
	found = seen_find(w, &m);
	return found != MENTION_NONE ? found : mention_add(w, &m);
}

uint32_t walk_named(struct walk *w, enum mention_kind kind, enum operation operation,
	struct name_parts name, unsigned flags)
{
	return walk_mention(w, kind, operation, name.schema, name.name, flags);
}

void walk_plain(struct walk *w, enum operation operation, struct slice object)
{
	walk_mention(w, MENTION_PLAIN, operation, SLICE_EMPTY, object, 0);
}

/* A database in front can only be the session's own, or the server refuses the text. */
static struct name_parts name_of_list(struct walk *w, tree_index list)
{
	struct name_parts parts = {0};

	tree_for_each(item, w->tree, list)
	{
		parts.schema = parts.name;
		parts.name = tree_string(w->tree, item);
	}
	return parts;
}

struct name_parts walk_name(struct walk *w, tree_index n)
{
	const struct tree *t = w->tree;

	if (tree_kind(t, n) == TREE_LIST)
		return name_of_list(w, n);
	switch (tree_type(t, n)) {
	case TYPE_RangeVar:
		return (struct name_parts){tree_get_string(t, n, FIELD_schemaname),
			tree_get_string(t, n, FIELD_relname)};
	case TYPE_TypeName:
		return name_of_list(w, tree_get(t, n, FIELD_names));
	case TYPE_ObjectWithArgs:
		return name_of_list(w, tree_get(t, n, FIELD_objname));
	case TYPE_RoleSpec:
		return (struct name_parts){.name = tree_get_string(t, n, FIELD_rolename)};
	case TYPE_AccessPriv:
		return (struct name_parts){.name = tree_get_string(t, n, FIELD_priv_name)};
	default:
		return (struct name_parts){.name = tree_string(t, n)};
	}
}

uint32_t walk_relation(
	struct walk *w, enum operation operation, tree_index range_var, unsigned flags)
{
	return walk_named(w, MENTION_RELATION, operation, walk_name(w, range_var), flags);
}

/* A relation that comes to be. Names for temporary ones go first on the path. */
void walk_created(struct walk *w, tree_index range_var)
{
	struct slice schema = tree_get_string(w->tree, range_var, FIELD_schemaname);
	bool temporary = tree_is(w->tree, range_var, FIELD_relpersistence, "t") ||
		slice_equal_string(schema, "pg_temp");

	if (schema.length == 0)
		schema = w->new_schema;
	walk_mention(w, MENTION_CREATED, OPERATION_CREATE, schema,
		tree_get_string(w->tree, range_var, FIELD_relname),
		temporary ? MENTION_TEMPORARY : 0);
	walk_effects(w, temporary ? SQL_EFFECT_TEMPORARY : SQL_EFFECT_CATALOG);
}

void walk_function(struct walk *w, tree_index name_list)
{
	walk_named(w, MENTION_FUNCTION, OPERATION_FUNCTION, walk_name(w, name_list), 0);
}

void walk_operator(struct walk *w, tree_index name_list)
{
	walk_named(w, MENTION_OPERATOR, OPERATION_FUNCTION, walk_name(w, name_list), 0);
}

void walk_operator_named(struct walk *w, const char *name)
{
	walk_mention(
		w, MENTION_OPERATOR, OPERATION_FUNCTION, SLICE_EMPTY, slice_from_string(name), 0);
}

void walk_alias(struct walk *w, struct slice name, uint32_t relation)
{
	struct facts *f = w->facts;

	if (f->alias_count == w->alias_capacity &&
		grow((void **)&f->aliases, &w->alias_capacity, sizeof(*f->aliases)) < 0) {
		w->error = -ENOMEM;
		return;
	}
	f->aliases[f->alias_count++] = (struct mention_alias){w->command, relation, name};
}

/* x.name, where x may be anything: the server takes it for name(x) where x has no such column. */
static void walk_attribute(struct walk *w, struct slice qualifier, struct slice name)
{
	struct facts *f = w->facts;
	const struct mention *last =
		f->attribute_count ? &f->attributes[f->attribute_count - 1] : NULL;
	struct mention m = {
		.kind = MENTION_ATTRIBUTE,
		.flags = w->flags,
		.operation = OPERATION_FUNCTION,
		.command = w->command,
		.schema = qualifier,
		.name = name,
	};

	if (last && last->command == m.command && mention_equal(last, &m))
		return;
	if (f->attribute_count == w->attribute_capacity &&
		grow((void **)&f->attributes, &w->attribute_capacity, sizeof(m)) < 0) {
		w->error = -ENOMEM;
		return;
	}
	f->attributes[f->attribute_count++] = m;
}

static void cte_show(struct walk *w, struct cte_scope *scope, tree_index cte)
{
	struct cte_name *name = &scope->names[scope->count++];

	name->name = tree_get_string(w->tree, cte, FIELD_ctename);
	table_insert(&w->ctes, &name->node, table_hash_slice(name->name));
}

/* Each name hides relations in the queries behind its own; with RECURSIVE in all of the clause. */
struct cte_scope *walk_ctes_enter(struct walk *w, tree_index with_clause)
{
	tree_index list = tree_get(w->tree, with_clause, FIELD_ctes);
	bool recursive = tree_get_flag(w->tree, with_clause, FIELD_recursive);
	struct cte_scope *scope;

	if (!with_clause)
		return NULL;
	scope = arena_new(&w->facts->arena, sizeof(*scope));
	if (scope)
		scope->names = arena_new_array(
			&w->facts->arena, tree_count(w->tree, list), sizeof(*scope->names));
	if (!scope || !scope->names) {
		w->error = -E2BIG;
		return NULL;
	}
	tree_for_each(cte, w->tree, recursive ? list : 0) cte_show(w, scope, cte);
	tree_for_each(cte, w->tree, list)
	{
		walk_children(w, cte);
		if (!recursive)
			cte_show(w, scope, cte);
	}
	return scope;
}

void walk_ctes_leave(struct walk *w, struct cte_scope *scope)
{
	for (size_t i = 0; scope && i < scope->count; i++)
		table_remove(&w->ctes, &scope->names[i].node);
}

bool walk_is_cte(struct walk *w, struct slice name)
{
	if (w->ctes.count == 0)
		return false;
	for (struct table_node *node = table_find(&w->ctes, table_hash_slice(name)); node;
		node = table_find_next(&w->ctes, node)) {
		if (slice_equal(container_of(node, struct cte_name, node)->name, name))
			return true;
	}
	return false;
}

bool walk_literal(struct walk *w, tree_index n, struct slice *ret)
{
	w->facts->depends_on_literals = true;
	return tree_is_string_literal(w->tree, n, ret);
}

unsigned walk_setting(struct walk *w, struct slice name, struct slice value)
{
	struct slice folded = arena_copy(&w->facts->arena, name);
	uint8_t *letters = (uint8_t *)folded.data;
	struct action_pair pair;

	if (!letters) {
		w->error = -E2BIG;
		return 0;
	}
	for (size_t i = 0; i < folded.length; i++) {
		if (letters[i] >= 'A' && letters[i] <= 'Z')
			letters[i] = (uint8_t)(letters[i] + 32);
	}
	pair = sql_setting_pair(folded, value);
	walk_plain(w, pair.operation, pair.object);
	return sql_setting_effects(folded);
}

void walk_disturb_naming(struct walk *w, unsigned effects)
{
	walk_effects(w, effects);
	if (effects & SQL_EFFECT_NAMING)
		walk_command_facts(w)->disturbs |= DISTURBS_NAMES;
}

static bool is_column_name(const struct tree *t, tree_index n)
{
	tree_index fields = tree_get(t, n, FIELD_fields);

	return tree_type(t, n) == TYPE_ColumnRef && tree_count(t, fields) == 1 &&
		slice_equal_string(tree_string(t, tree_first(t, fields)), "name");
}

bool walk_settings_row(struct walk *w, tree_index select)
{
	tree_index from = tree_get(w->tree, select, FIELD_fromClause);
	tree_index where = tree_get(w->tree, select, FIELD_whereClause);
	tree_index sign = tree_get(w->tree, where, FIELD_name);
	tree_index relation = tree_first(w->tree, from);

	if (tree_count(w->tree, from) != 1 || tree_type(w->tree, relation) != TYPE_RangeVar ||
		!slice_equal_string(
			tree_get_string(w->tree, relation, FIELD_relname), "pg_settings") ||
		tree_get(w->tree, relation, FIELD_alias) ||
		walk_is_cte(w, slice_from_string("pg_settings")))
		return false;
	if (tree_type(w->tree, where) != TYPE_A_Expr ||
		!tree_is(w->tree, where, FIELD_kind, "AEXPR_OP") ||
		tree_count(w->tree, sign) != 1 ||
		!slice_equal_string(tree_string(w->tree, tree_first(w->tree, sign)), "=") ||
		!is_column_name(w->tree, tree_get(w->tree, where, FIELD_lexpr)) ||
		!walk_literal(w, tree_get(w->tree, where, FIELD_rexpr), &w->setting))
		return false;
	w->settings = relation;
	return true;
}

/* set_config(name, …) FROM pg_settings WHERE name = '…', as pg_dump sets what older servers don't
 * have. The operator, if it isn't the server's, is a call that is judged by itself. */
static bool names_settings_row(struct walk *w, tree_index first, struct slice *ret)
{
	if (!w->settings || !is_column_name(w->tree, first))
		return false;
	walk_named(w, MENTION_SETTINGS, OPERATION_SET, walk_name(w, w->settings), 0);
	*ret = w->setting;
	return true;
}

/* set_config('name', …): what SET would be. Any other first argument names no setting. */
static void walk_set_config(struct walk *w, tree_index arguments)
{
	tree_index first = tree_first(w->tree, arguments);
	tree_index second = tree_next(w->tree, first);
	struct slice name, value = SLICE_EMPTY;

	if (!first || !(walk_literal(w, first, &name) || names_settings_row(w, first, &name))) {
		walk_mention(w, MENTION_UNKNOWN, OPERATION_SET, SLICE_EMPTY,
			slice_from_string("set_config()"), 0);
		walk_disturb_naming(w, SQL_EFFECT_NAMING);
		return;
	}
	if (second)
		walk_literal(w, second, &value);
	walk_disturb_naming(w, walk_setting(w, name, value));
}

static void walk_pg_notify(struct walk *w, tree_index arguments)
{
	tree_index first = tree_first(w->tree, arguments);
	struct slice channel;

	if (first && walk_literal(w, first, &channel))
		walk_plain(w, OPERATION_NOTIFY, channel);
	else
		walk_mention(w, MENTION_UNKNOWN, OPERATION_NOTIFY, SLICE_EMPTY,
			slice_from_string("pg_notify()"), 0);
}

/* Functions of pg_catalog that are another way to write a command, and are judged as that command.
 */
static const struct {
	const char *name;
	void (*visit)(struct walk *w, tree_index arguments);
} command_functions[] = {
	{"set_config", walk_set_config},
	{"pg_notify", walk_pg_notify},
};

void walk_func_call(struct walk *w, tree_index n)
{
	struct name_parts parts = walk_name(w, tree_get(w->tree, n, FIELD_funcname));
	uint32_t mention = walk_named(w, MENTION_FUNCTION, OPERATION_FUNCTION, parts, 0);
	bool builtin = parts.schema.length == 0 || slice_equal_string(parts.schema, "pg_catalog");

	for (size_t i = 0; builtin && i < ARRAY_SIZE(command_functions); i++) {
		if (!slice_equal_string(parts.name, command_functions[i].name))
			continue;
		/* Somebody else's function of that name is still a call of its own. */
		if (mention != MENTION_NONE)
			w->facts->mentions[mention].builtin = BUILTIN_FUNCTION_HARMLESS;
		command_functions[i].visit(w, tree_get(w->tree, n, FIELD_args));
	}
	walk_children_but(w, n, FIELD_funcname);
}

void walk_a_expr(struct walk *w, tree_index n)
{
	const char *const *hidden = tree_between_operators(w->tree, n);

	for (size_t i = 0; hidden && i < 2; i++)
		walk_operator_named(w, hidden[i]);
	if (!hidden)
		walk_operator(w, tree_get(w->tree, n, FIELD_name));
	walk_children_but(w, n, FIELD_name);
}

/* "float(24)" and "float(25)" are two types: the grammar makes one of pg_catalog's two of the
 * number. */
static void walk_float(struct walk *w, struct slice type)
{
	if (slice_equal_string(type, "float4") || slice_equal_string(type, "float8"))
		w->facts->depends_on_literals = true;
}

void walk_type_cast(struct walk *w, tree_index n)
{
	struct name_parts type = walk_name(w, tree_get(w->tree, n, FIELD_typeName));

	if (slice_equal_string(type.schema, "pg_catalog"))
		walk_float(w, type.name);
	walk_named(w, MENTION_CAST, OPERATION_FUNCTION, type, 0);
	walk_children_but(w, n, FIELD_typeName);
}

void walk_column_ref(struct walk *w, tree_index n)
{
	struct slice before = SLICE_EMPTY, last = SLICE_EMPTY;
	size_t count = 0;

	w->saw_column = true;
	tree_for_each(item, w->tree, tree_get(w->tree, n, FIELD_fields))
	{
		before = last;
		last = tree_string(w->tree, item);
		count++;
	}
	if (count > 1 && last.length)
		walk_attribute(w, before, last);
}

void walk_a_indirection(struct walk *w, tree_index n)
{
	tree_for_each(item, w->tree, tree_get(w->tree, n, FIELD_indirection))
	{
		struct slice name = tree_string(w->tree, item);

		if (name.length)
			walk_attribute(w, SLICE_EMPTY, name);
	}
	walk_children(w, n);
}

void walk_sub_link(struct walk *w, tree_index n)
{
	tree_index name = tree_get(w->tree, n, FIELD_operName);

	if (name)
		walk_operator(w, name);
	else if (tree_get(w->tree, n, FIELD_testexpr))
		walk_operator_named(w, "=");
	walk_children_but(w, n, FIELD_operName);
}

void walk_case_expr(struct walk *w, tree_index n)
{
	if (tree_get(w->tree, n, FIELD_arg))
		walk_operator_named(w, "=");
	walk_children(w, n);
}

void walk_sort_by(struct walk *w, tree_index n)
{
	tree_index name = tree_get(w->tree, n, FIELD_useOp);

	if (name)
		walk_operator(w, name);
	walk_children_but(w, n, FIELD_useOp);
}
