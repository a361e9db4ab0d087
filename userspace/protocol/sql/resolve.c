/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve: goes through the commands of a text, and through what they run by name.
 */
#include "protocol/sql/resolve.h"

#include <errno.h>

#include "protocol/sql/resolver.h"

/* EXECUTE of an EXECUTE of … */
#define STORED_DEPTH_MOST 8

static void resolve_plain(struct resolver *r, const struct mention *m)
{
	resolve_emit(r, m, (enum operation)m->operation,
		m->name.length ? OBJECT_KNOWN : OBJECT_NONE, m->name);
}

static void resolve_unknown(struct resolver *r, const struct mention *m)
{
	resolve_emit_unknown(r, m, "");
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

/* --- what runs by name --- */

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
	resolve_emit(r, m, OPERATION_EXECUTE_UNKNOWN, OBJECT_NONE, SLICE_EMPTY);
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

/* --- commands --- */

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
		resolve_add_pair(r, &pair, later);
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
	if (r->disturbs & DISTURBS_CODE)
		r->lookup.code_made = true;
	r->disturbs = 0;
}

/* --- texts --- */

static int resolve_unparsed(const struct sql_text *t, struct sql_resolution *ret)
{
	*ret = (struct sql_resolution){
		.unknown = ACTION_UNKNOWN_TEXT,
		.effects = SQL_EFFECT_UNKNOWN,
		.problem = sql_text_problem(t),
	};
	return 0;
}

static void take_before(struct resolver *r, const struct sql_before *before)
{
	if (!before)
		return;
	r->lookup.made = before->made;
	r->lookup.names_moved = before->names_moved;
	r->lookup.relations_gone = before->relations_gone;
	r->lookup.code_made = before->code_made;
	r->made_count = before->made_count;
}

int resolve_text(const struct sql_text *t, const struct sql_view *view, struct arena *arena,
	struct sql_resolution *ret, struct lookup *ret_lookups)
{
	const struct facts *f = sql_text_facts(t);
	struct resolver r = {.text = t, .lookup = {.view = view}, .arena = arena};

	if (!f)
		return resolve_unparsed(t, ret);
	take_before(&r, view->before);
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
	r.result.after = (struct sql_before){r.lookup.made, r.made_count, r.lookup.names_moved,
		r.lookup.relations_gone, r.lookup.code_made};
	*ret = r.result;
	return 0;
}

int sql_resolve(const struct sql_text *t, const struct sql_view *view, struct arena *arena,
	struct sql_resolution *ret)
{
	return resolve_text(t, view, arena, ret, NULL);
}
