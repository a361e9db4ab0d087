/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/resolve.h"

#include <errno.h>

#include "base/memory.h"
#include "protocol/sql/facts.h"
#include "protocol/sql/lookup.h"

/* Objects, statements and cursors of one text that later commands of it are looked up among; beyond
 * that names are unknown, so that no text can make the product of both. */
#define MADE_MOST 512
/* EXECUTE of an EXECUTE of … */
#define STORED_DEPTH_MOST 8

struct pair_list {
	struct action_pair *items;
	size_t count, room;
	uint32_t *slots; /* places of items by their hash, plus one; 0: free */
	size_t slot_count; /* a power of two */
};

/* A prepared statement or cursor that the text itself defines. */
struct own_name {
	struct own_name *next;
	struct slice name;
	size_t command;
	bool cursor, gone;
};

struct resolver {
	const struct sql_text *text;
	struct lookup lookup;
	struct arena *arena;
	struct pair_list pairs, later;
	struct own_name *own_names;
	size_t made_count, own_count;
	struct operation_set given; /* operations of the present command's pairs */
	unsigned stored_depth;
	unsigned disturbs; /* of the present command */
	const struct facts *facts; /* that the present mention is of */
	struct sql_resolution result;
	bool forgot_names; /* DEALLOCATE ALL and the like: nothing of the session's is left */
	int error;
};

static uint64_t pair_hash(const struct action_pair *p)
{
	return table_hash_slice(p->object) + (uint64_t)p->operation * 0x9e3779b97f4a7c15 + p->state;
}

static bool pair_equal(const struct action_pair *a, const struct action_pair *b)
{
	return a->operation == b->operation && a->state == b->state &&
		slice_equal(a->object, b->object);
}

/* The place of the pair's number, or of where it would go. */
static uint32_t *pair_slot(const struct pair_list *list, const struct action_pair *p)
{
	size_t slot = pair_hash(p) & (list->slot_count - 1);

	while (list->slots[slot] && !pair_equal(&list->items[list->slots[slot] - 1], p))
		slot = (slot + 1) & (list->slot_count - 1);
	return &list->slots[slot];
}

static int pair_list_grow(struct resolver *r, struct pair_list *list)
{
	size_t room = list->room ? list->room * 2 : 8;
	struct action_pair *items = arena_new_array(r->arena, room, sizeof(*items));
	uint32_t *slots = arena_new_array(r->arena, room * 2, sizeof(*slots));

	if (!items || !slots)
		return -E2BIG;
	if (list->count)
		memcpy(items, list->items, list->count * sizeof(*items));
	list->items = items;
	list->room = room;
	list->slots = slots;
	list->slot_count = room * 2;
	for (size_t i = 0; i < list->count; i++)
		*pair_slot(list, &items[i]) = (uint32_t)(i + 1);
	return 0;
}

static void add_pair(struct resolver *r, const struct action_pair *p, bool later)
{
	struct pair_list *list = later ? &r->later : &r->pairs;
	uint32_t *slot;

	if (list->count == list->room && pair_list_grow(r, list) < 0) {
		r->error = -E2BIG;
		return;
	}
	operation_set_add(&r->given, p->operation);
	if (p->state == OBJECT_UNKNOWN && !later)
		r->result.unknown |= ACTION_UNKNOWN_OBJECT;
	slot = pair_slot(list, p);
	if (*slot) {
		list->items[*slot - 1].everything |= p->everything;
		return;
	}
	list->items[list->count++] = *p;
	*slot = (uint32_t)list->count;
}

/* EXPLAIN without ANALYZE plans what its statement would do to relations, and does it to none.
 * Functions stay: planning calls those that claim to be immutable. */
static bool is_only_planned(enum operation operation)
{
	switch (operation) {
	case OPERATION_SELECT:
	case OPERATION_INSERT:
	case OPERATION_UPDATE:
	case OPERATION_DELETE:
	case OPERATION_MERGE:
	case OPERATION_CREATE:
	case OPERATION_ALTER:
	case OPERATION_LOCK:
	case OPERATION_SET:
		return true;
	default:
		return false;
	}
}

static void emit(struct resolver *r, const struct mention *m, enum operation operation,
	enum object_state state, struct slice object)
{
	bool later = m->flags & MENTION_LATER;
	struct action_pair pair = {
		.operation = operation,
		.state = state,
		.everything = m->flags & MENTION_EVERYTHING,
		.object = object,
	};

	if ((m->flags & MENTION_EXPLAINED) && operation == OPERATION_CURSOR)
		return;
	if (!((m->flags & MENTION_EXPLAINED) && is_only_planned(operation))) {
		add_pair(r, &pair, later);
		if (!(m->flags & MENTION_EXPLAINED_TOO) || !is_only_planned(operation))
			return;
	}
	if (state == OBJECT_NONE)
		return;
	pair.operation = OPERATION_EXPLAIN;
	pair.everything = false;
	add_pair(r, &pair, later);
}

/* "schema.name" with `suffix`. */
static struct slice join_name(
	struct resolver *r, struct slice schema, struct slice name, const char *suffix)
{
	size_t dot = schema.length ? 1 : 0, more = strlen(suffix);
	uint8_t *text = arena_new(r->arena, schema.length + dot + name.length + more + 1);

	if (!text) {
		r->error = -E2BIG;
		return SLICE_EMPTY;
	}
	if (dot) {
		memcpy(text, schema.data, schema.length);
		text[schema.length] = '.';
	}
	if (name.length)
		memcpy(text + schema.length + dot, name.data, name.length);
	memcpy(text + schema.length + dot + name.length, suffix, more);
	return slice_of(text, schema.length + dot + name.length + more);
}

static void emit_unknown(struct resolver *r, const struct mention *m, const char *suffix)
{
	emit(r, m, (enum operation)m->operation, OBJECT_UNKNOWN,
		join_name(r, m->schema, m->name, suffix));
}

static void emit_named(struct resolver *r, const struct mention *m, struct slice schema,
	struct slice name, const char *suffix)
{
	emit(r, m, (enum operation)m->operation, OBJECT_KNOWN, join_name(r, schema, name, suffix));
}

static void emit_relation(
	struct resolver *r, const struct mention *m, const struct lookup_relation *found)
{
	enum operation operation = (enum operation)m->operation;

	if (m->kind == MENTION_SETTINGS || (m->flags & MENTION_SET)) {
		bool changed_by_update = m->flags & MENTION_SET;

		if (slice_equal_string(found->schema, "pg_catalog") == changed_by_update)
			emit(r, m, OPERATION_SET, OBJECT_UNKNOWN,
				slice_from_string("a row of pg_settings"));
		return;
	}
	if (operation == OPERATION_SELECT && found->builtin == BUILTIN_RELATION_CATALOG)
		operation = OPERATION_CATALOG;
	emit(r, m, operation, OBJECT_KNOWN, join_name(r, found->schema, found->name, ""));
}

static void resolve_qualified(struct resolver *r, const struct mention *m)
{
	struct lookup_relation found;

	if (!lookup_qualified(&r->lookup, m->schema, m->name, &found)) {
		emit_unknown(r, m, "");
		return;
	}
	if (!found.exists && !(m->flags & MENTION_IF_EXISTS))
		r->result.unresolved = true;
	emit_relation(r, m, &found);
}

/* Found nowhere: what is only dropped if it exists would be found where it would be made. */
static void resolve_missing(struct resolver *r, const struct mention *m)
{
	struct slice schema = lookup_assumed_schema(&r->lookup);
	struct lookup_relation found = {.name = m->name};

	if (schema.length && builtin_relation_find(slice_from_string("pg_catalog"), m->name))
		schema = slice_from_string("pg_catalog");
	if (schema.length == 0 && (m->flags & MENTION_IF_EXISTS))
		schema = lookup_creation_schema(&r->lookup);
	if (schema.length && lookup_qualified(&r->lookup, schema, m->name, &found)) {
		emit_relation(r, m, &found);
		return;
	}
	r->result.unresolved = true;
	emit_unknown(r, m, "");
}

static void resolve_relation(struct resolver *r, const struct mention *m)
{
	struct lookup_relation found;
	size_t position = 0;
	bool any = false;

	if (m->schema.length) {
		resolve_qualified(r, m);
		return;
	}
	if (r->lookup.names_moved || (m->flags & MENTION_IN_NEW_SCHEMA)) {
		emit_unknown(r, m, "");
		return;
	}
	while (lookup_next(&r->lookup, m->name, &position, &found)) {
		emit_relation(r, m, &found);
		any = true;
		if (!r->lookup.relations_gone && !found.disputed)
			break;
	}
	if (!any)
		resolve_missing(r, m);
}

static void make(struct resolver *r, struct slice schema, struct slice name, bool function)
{
	struct lookup_made *made = arena_new(r->arena, sizeof(*made));

	if (!made) {
		r->error = -E2BIG;
		return;
	}
	*made = (struct lookup_made){r->lookup.made, schema, name, function};
	r->lookup.made = made;
	if (++r->made_count > MADE_MOST)
		r->disturbs |= DISTURBS_NAMES;
}

/* The schema of a new object; the empty slice: not known. */
static struct slice new_schema(struct resolver *r, const struct mention *m)
{
	if ((m->flags & MENTION_TEMPORARY) ||
		(m->schema.length && lookup_is_temporary(&r->lookup, m->schema)))
		return slice_from_string("pg_temp");
	if (m->schema.length || r->lookup.names_moved)
		return m->schema;
	return lookup_creation_schema(&r->lookup);
}

static void resolve_new(struct resolver *r, const struct mention *m, const char *suffix)
{
	struct slice schema = new_schema(r, m);

	if (schema.length == 0) {
		emit_unknown(r, m, suffix);
		r->disturbs |= DISTURBS_NAMES;
		return;
	}
	emit_named(r, m, schema, m->name, suffix);
	if (m->kind != MENTION_CREATED_OBJECT)
		make(r, schema, m->name, m->kind == MENTION_CREATED_ROUTINE);
}

static void resolve_created(struct resolver *r, const struct mention *m)
{
	resolve_new(r, m, m->kind == MENTION_CREATED_ROUTINE ? "()" : "");
}

/* Types, collations and the like: the catalog does not list them. */
static void resolve_object(struct resolver *r, const struct mention *m)
{
	struct slice schema = m->schema.length ? m->schema : lookup_assumed_schema(&r->lookup);

	if (schema.length)
		emit_named(r, m, schema, m->name, "");
	else
		emit_unknown(r, m, "");
}

struct schema_drop {
	struct resolver *resolver;
	const struct mention *mention;
};

static void drop_member(void *context, const struct sql_relation *relation)
{
	struct schema_drop *d = context;

	emit_named(d->resolver, d->mention, relation->schema, relation->name, "");
}

static void resolve_schema(struct resolver *r, const struct mention *m)
{
	struct schema_drop drop = {r, m};

	emit_named(r, m, SLICE_EMPTY, m->name, "");
	if (r->lookup.view->catalog)
		catalog_visit_schema(r->lookup.view->catalog, m->name, drop_member, &drop);
}

/* Whatever code does, it may do to names too. */
static void note_call(struct resolver *r, const struct mention *m)
{
	if (m->flags & MENTION_LATER)
		return;
	r->result.effects |= SQL_EFFECT_UNKNOWN;
	r->disturbs |= DISTURBS_NAMES;
}

/* A call of code that is not known to be harmless. */
static void emit_call(
	struct resolver *r, const struct mention *m, struct slice schema, struct slice name)
{
	emit_named(r, m, schema, name, "()");
	note_call(r, m);
}

/* The server chooses among all functions of the name on the path by their arguments; so every
 * schema that has one is a reading. Returns whether there is any. */
static bool emit_path_functions(struct resolver *r, const struct mention *m, bool trusted_too)
{
	const struct sql_view *view = r->lookup.view;
	bool any = false;

	for (size_t i = 0; i < view->path_count; i++) {
		if (lookup_is_temporary(&r->lookup, view->path[i]) ||
			!lookup_has_function(&r->lookup, view->path[i], m->name, trusted_too))
			continue;
		emit_call(r, m, view->path[i], m->name);
		any = true;
	}
	return any;
}

static void emit_builtin_function(struct resolver *r, const struct mention *m)
{
	struct slice schema = slice_from_string("pg_catalog");

	if (builtin_function_is_harmless((enum builtin_function)m->builtin))
		return;
	if (m->builtin == BUILTIN_FUNCTION_EFFECT)
		emit_named(r, m, schema, m->name, "()");
	else
		emit_call(r, m, schema, m->name);
}

static void resolve_qualified_function(struct resolver *r, const struct mention *m)
{
	bool temporary = lookup_is_temporary(&r->lookup, m->schema);

	if (m->builtin && builtin_function_is_in(m->schema, m->name) &&
		!lookup_has_function(&r->lookup, m->schema, m->name,
			!builtin_function_is_harmless((enum builtin_function)m->builtin)))
		emit_builtin_function(r, m);
	else
		emit_call(r, m, temporary ? slice_from_string("pg_temp") : m->schema, m->name);
}

static void emit_unknown_call(struct resolver *r, const struct mention *m)
{
	emit_unknown(r, m, "()");
	note_call(r, m);
}

static void resolve_function(struct resolver *r, const struct mention *m)
{
	bool harmless = builtin_function_is_harmless((enum builtin_function)m->builtin);
	struct slice assumed = lookup_assumed_schema(&r->lookup);
	bool any;

	if (m->schema.length) {
		resolve_qualified_function(r, m);
		return;
	}
	if (r->lookup.names_moved || (!r->lookup.view->catalog && assumed.length == 0)) {
		emit_unknown_call(r, m);
		return;
	}
	any = emit_path_functions(r, m, !harmless);
	if (m->builtin) {
		emit_builtin_function(r, m);
	} else if (!any && assumed.length) {
		emit_call(r, m, assumed, m->name);
	} else if (!any) {
		r->result.unresolved = true;
		emit_unknown_call(r, m);
	}
}

/* The object of CALL, ALTER FUNCTION and the like. */
static void resolve_routine(struct resolver *r, const struct mention *m)
{
	struct slice assumed = lookup_assumed_schema(&r->lookup);

	if (m->schema.length) {
		emit_named(r, m, m->schema, m->name, "()");
	} else if (r->lookup.names_moved) {
		emit_unknown(r, m, "()");
	} else if (!emit_path_functions(r, m, true)) {
		if (builtin_function_find(m->name))
			assumed = slice_from_string("pg_catalog");
		if (assumed.length) {
			emit_named(r, m, assumed, m->name, "()");
		} else {
			r->result.unresolved = true;
			emit_unknown(r, m, "()");
		}
	}
}

/* Operators and casts that run code which is not known to be harmless. */
static bool emit_codes(
	struct resolver *r, const struct mention *m, const struct table *codes, struct slice schema)
{
	const struct catalog_code *code = NULL;
	bool any = false;

	while ((code = catalog_find_code(codes, schema, m->name, code))) {
		emit_call(r, m, code->function_schema, code->function_name);
		any = true;
	}
	return any;
}

static void resolve_code(struct resolver *r, const struct mention *m, const struct table *codes)
{
	const struct sql_view *view = r->lookup.view;

	if (m->schema.length) {
		emit_codes(r, m, codes, m->schema);
		return;
	}
	for (size_t i = 0; i < view->path_count; i++)
		emit_codes(r, m, codes, view->path[i]);
}

static void resolve_operator(struct resolver *r, const struct mention *m)
{
	const struct sql_catalog *c = r->lookup.view->catalog;

	if (c)
		resolve_code(r, m, &c->operators);
	else if (m->schema.length && !slice_equal_string(m->schema, "pg_catalog"))
		emit_unknown_call(r, m);
}

static void resolve_cast(struct resolver *r, const struct mention *m)
{
	const struct sql_catalog *c = r->lookup.view->catalog;

	if (c)
		resolve_code(r, m, &c->casts);
}

static void resolve_plain(struct resolver *r, const struct mention *m)
{
	emit(r, m, (enum operation)m->operation, m->name.length ? OBJECT_KNOWN : OBJECT_NONE,
		m->name);
}

static void resolve_unknown(struct resolver *r, const struct mention *m)
{
	emit_unknown(r, m, "");
}

static void resolve_stored(struct resolver *r, const struct mention *m);

static void (*const resolve_kinds[])(struct resolver *r, const struct mention *m) = {
	[MENTION_PLAIN] = resolve_plain,
	[MENTION_UNKNOWN] = resolve_unknown,
	[MENTION_RELATION] = resolve_relation,
	[MENTION_SETTINGS] = resolve_relation,
	[MENTION_SCHEMA] = resolve_schema,
	[MENTION_CREATED] = resolve_created,
	[MENTION_FUNCTION] = resolve_function,
	[MENTION_ROUTINE] = resolve_routine,
	[MENTION_CREATED_ROUTINE] = resolve_created,
	[MENTION_OPERATOR] = resolve_operator,
	[MENTION_CAST] = resolve_cast,
	[MENTION_OBJECT] = resolve_object,
	[MENTION_CREATED_OBJECT] = resolve_created,
	[MENTION_EXECUTE] = resolve_stored,
	[MENTION_FETCH] = resolve_stored,
};

/* Whether the FROM item has a column of that name, for sure. */
static bool alias_has_column(
	struct resolver *r, const struct mention_alias *alias, struct slice name)
{
	const struct mention *m;
	struct lookup_relation found;
	size_t position = 0;

	if (alias->relation == MENTION_NONE)
		return false;
	m = &r->facts->mentions[alias->relation];
	if (m->schema.length ? !lookup_qualified(&r->lookup, m->schema, m->name, &found)
			     : !lookup_next(&r->lookup, m->name, &position, &found))
		return false;
	for (size_t i = 0; found.relation && i < found.relation->column_count; i++) {
		if (slice_equal(found.relation->columns[i].name, name))
			return true;
	}
	return false;
}

/* Texts with more names for their relations don't get the benefit of the doubt. */
#define ALIASES_COMPARED 64

static bool is_column(struct resolver *r, const struct mention *m)
{
	const struct command_facts *c = &r->facts->command_facts[m->command];
	bool any = false;

	if (m->schema.length == 0 || c->alias_count > ALIASES_COMPARED)
		return false;
	for (size_t i = 0; i < c->alias_count; i++) {
		const struct mention_alias *alias = &r->facts->aliases[c->first_alias + i];

		if (!slice_equal(alias->name, m->schema))
			continue;
		if (!alias_has_column(r, alias, m->name))
			return false;
		any = true;
	}
	return any;
}

/* "x.f" calls f(x) where x has no column f. Of PostgreSQL's own functions that may be called so,
 * none has an effect. */
static void resolve_attribute(struct resolver *r, const struct mention *m)
{
	const struct sql_view *view = r->lookup.view;
	const struct catalog_function *f;

	for (size_t i = 0; view->catalog && i < view->path_count; i++) {
		f = catalog_find_function(view->catalog, view->path[i], m->name);
		if (f && f->attribute && !is_column(r, m))
			emit_call(r, m, view->path[i], m->name);
	}
}

static const struct own_name *find_own(
	const struct resolver *r, struct slice name, bool cursor, bool *ret_gone)
{
	for (const struct own_name *own = r->own_names; own; own = own->next) {
		if (own->cursor != cursor || !slice_equal(own->name, name))
			continue;
		*ret_gone = own->gone;
		return own->gone ? NULL : own;
	}
	*ret_gone = r->forgot_names;
	return NULL;
}

static struct sql_named find_stored(struct resolver *r, struct slice name, bool cursor)
{
	const struct sql_view *view = r->lookup.view;
	struct sql_named (*find)(void *context, struct slice name) =
		cursor ? view->find_cursor : view->find_prepared;
	bool gone;
	const struct own_name *own = find_own(r, name, cursor, &gone);

	if (own)
		return (struct sql_named){(struct sql_text *)r->text, own->command, NULL};
	return find && !gone ? find(view->context, name) : (struct sql_named){0};
}

static void resolve_mentions(
	struct resolver *r, const struct facts *f, size_t command, bool prepared, unsigned flags);

static void emit_execute_unknown(struct resolver *r, const struct mention *m)
{
	if (!(m->flags & MENTION_LATER))
		r->result.unknown |= ACTION_UNKNOWN_EFFECT;
	r->result.effects |= SQL_EFFECT_UNKNOWN;
	r->disturbs |= DISTURBS_NAMES;
	emit(r, m, OPERATION_EXECUTE_UNKNOWN, OBJECT_NONE, SLICE_EMPTY);
}

/* EXECUTE and FETCH are what they run. */
static void resolve_stored(struct resolver *r, const struct mention *m)
{
	struct sql_named named = find_stored(r, m->name, m->kind == MENTION_FETCH);
	const struct facts *f = named.text ? sql_text_facts(named.text) : NULL;
	const struct facts *outer = r->facts;

	if (!f || named.command >= f->command_count || f->problem ||
		r->stored_depth == STORED_DEPTH_MOST) {
		emit_execute_unknown(r, m);
		return;
	}
	r->stored_depth++;
	resolve_mentions(r, f, named.command,
		f->commands[named.command].kind == SQL_COMMAND_PREPARE, m->flags);
	r->stored_depth--;
	r->facts = outer;
}

static void emit_fallbacks(struct resolver *r, const struct operation_set *set, bool later)
{
	static const enum operation operations[] = {OPERATION_SELECT, OPERATION_EXPLAIN};

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++) {
		struct action_pair pair = {.operation = operations[i]};

		if (!operation_set_has(set, operations[i]) ||
			operation_set_has(&r->given, operations[i]) ||
			(operations[i] == OPERATION_SELECT &&
				operation_set_has(&r->given, OPERATION_CATALOG)))
			continue;
		add_pair(r, &pair, later);
	}
}

static void resolve_mention(
	struct resolver *r, const struct mention *m, bool prepared, unsigned flags)
{
	struct mention changed = *m;

	if (prepared && !(m->flags & MENTION_LATER))
		return;
	if (prepared)
		changed.flags &= (uint8_t)~MENTION_LATER;
	changed.flags |= (uint8_t)flags;
	if (m->kind == MENTION_ATTRIBUTE)
		resolve_attribute(r, &changed);
	else
		resolve_kinds[m->kind](r, &changed);
}

/* All that a command mentions; with `prepared` what it prepares, as if it ran. */
static void resolve_mentions(
	struct resolver *r, const struct facts *f, size_t command, bool prepared, unsigned flags)
{
	const struct command_facts *c = &f->command_facts[command];

	for (size_t i = 0; i < c->count && r->error == 0; i++) {
		r->facts = f;
		resolve_mention(r, &f->mentions[c->first + i], prepared, flags);
	}
	r->facts = f;
	for (size_t i = 0; i < c->attribute_count && r->error == 0; i++)
		resolve_mention(r, &f->attributes[c->first_attribute + i], prepared, flags);
	if (!(flags & MENTION_EXPLAINED))
		emit_fallbacks(r, prepared ? &c->later_fallbacks : &c->fallbacks, false);
	if (!prepared)
		emit_fallbacks(r, &c->later_fallbacks, true);
	r->result.effects |= f->commands[command].effects;
	r->disturbs |= c->disturbs;
}

static void add_own(
	struct resolver *r, const struct sql_command *c, size_t command, bool cursor, bool gone)
{
	struct own_name *own;

	if ((gone && c->all) || ++r->own_count > MADE_MOST) {
		r->own_names = NULL;
		r->forgot_names = true;
		return;
	}
	own = arena_new(r->arena, sizeof(*own));
	if (!own) {
		r->error = -E2BIG;
		return;
	}
	*own = (struct own_name){r->own_names, c->name, command, cursor, gone};
	r->own_names = own;
}

/* Statements and cursors that the text makes or drops, for its later commands. */
static void note_names(struct resolver *r, const struct sql_command *c, size_t command)
{
	switch (c->kind) {
	case SQL_COMMAND_PREPARE:
		add_own(r, c, command, false, false);
		break;
	case SQL_COMMAND_DECLARE:
		add_own(r, c, command, true, false);
		break;
	case SQL_COMMAND_DEALLOCATE:
		add_own(r, c, command, false, true);
		break;
	case SQL_COMMAND_CLOSE:
		add_own(r, c, command, true, true);
		break;
	case SQL_COMMAND_DISCARD:
		if (c->all)
			add_own(r, c, command, false, true);
		break;
	default:
		break;
	}
}

/* What the command does to names holds for those behind it. */
static void note_disturbances(struct resolver *r)
{
	if (r->disturbs & (DISTURBS_RELATIONS | DISTURBS_TRANSACTION))
		r->lookup.relations_gone = true;
	if ((r->disturbs & DISTURBS_NAMES) ||
		((r->disturbs & DISTURBS_TRANSACTION) &&
			r->lookup.view->path_ends_with_transaction))
		r->lookup.names_moved = true;
	r->disturbs = 0;
}

static int resolve_unparsed(const struct sql_text *t, struct sql_resolution *ret)
{
	*ret = (struct sql_resolution){
		.unknown = ACTION_UNKNOWN_TEXT,
		.effects = SQL_EFFECT_UNKNOWN,
		.problem = sql_text_problem(t),
	};
	return 0;
}

int resolve_text(const struct sql_text *t, const struct sql_view *view, struct arena *arena,
	struct sql_resolution *ret, struct lookup *ret_lookups)
{
	const struct facts *f = sql_text_facts(t);
	struct resolver r = {.text = t, .lookup = {.view = view}, .arena = arena};

	if (!f)
		return resolve_unparsed(t, ret);
	for (size_t i = 0; i < f->command_count && r.error == 0; i++) {
		if (ret_lookups)
			ret_lookups[i] = r.lookup;
		r.given = (struct operation_set){0};
		resolve_mentions(&r, f, i, false, 0);
		note_names(&r, &f->commands[i], i);
		note_disturbances(&r);
	}
	if (r.error < 0)
		return r.error;
	if (f->problem) {
		r.result.unknown |= ACTION_UNKNOWN_TEXT;
		r.result.problem = f->problem;
	}
	r.result.pairs = r.pairs.items;
	r.result.pair_count = r.pairs.count;
	r.result.later_pairs = r.later.items;
	r.result.later_count = r.later.count;
	*ret = r.result;
	return 0;
}

int sql_resolve(const struct sql_text *t, const struct sql_view *view, struct arena *arena,
	struct sql_resolution *ret)
{
	return resolve_text(t, view, arena, ret, NULL);
}
