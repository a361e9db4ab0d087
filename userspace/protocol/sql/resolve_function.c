/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve_function: which code a mention runs: functions by name, operators, casts, and attributes
 * that are functions.
 */
#include "protocol/sql/resolver.h"

/* --- functions and procedures --- */

/* Whatever code does, it may do to names too. */
static void note_call(struct resolver *r, const struct mention *m)
{
	if (m->flags & MENTION_LATER)
		return;
	r->result.effects |= SQL_EFFECT_UNKNOWN;
	r->disturbs |= DISTURBS_NAMES;
}

void resolve_emit_call(
	struct resolver *r, const struct mention *m, struct slice schema, struct slice name)
{
	resolve_emit_named(r, m, schema, name, "()");
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
		resolve_emit_call(r, m, view->path[i], m->name);
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
		resolve_emit_named(r, m, schema, m->name, "()");
	else
		resolve_emit_call(r, m, schema, m->name);
}

static void resolve_qualified_function(struct resolver *r, const struct mention *m)
{
	bool temporary = lookup_is_temporary(&r->lookup, m->schema);

	if (m->builtin && builtin_function_is_in(m->schema, m->name) &&
		!lookup_has_function(&r->lookup, m->schema, m->name,
			!builtin_function_is_harmless((enum builtin_function)m->builtin)))
		emit_builtin_function(r, m);
	else
		resolve_emit_call(
			r, m, temporary ? slice_from_string("pg_temp") : m->schema, m->name);
}

void resolve_emit_unknown_call(struct resolver *r, const struct mention *m)
{
	resolve_emit_unknown(r, m, "()");
	note_call(r, m);
}

void resolve_function(struct resolver *r, const struct mention *m)
{
	bool harmless = builtin_function_is_harmless((enum builtin_function)m->builtin);
	struct slice assumed = lookup_assumed_schema(&r->lookup);
	bool any;

	if (m->schema.length) {
		resolve_qualified_function(r, m);
		return;
	}
	if (r->lookup.names_moved || (!r->lookup.view->catalog && assumed.length == 0)) {
		resolve_emit_unknown_call(r, m);
		return;
	}
	any = emit_path_functions(r, m, !harmless);
	if (m->builtin) {
		emit_builtin_function(r, m);
	} else if (!any && assumed.length) {
		resolve_emit_call(r, m, assumed, m->name);
	} else if (!any) {
		r->result.unresolved = true;
		resolve_emit_unknown_call(r, m);
	}
}

/* The object of CALL, ALTER FUNCTION and the like. */
void resolve_routine(struct resolver *r, const struct mention *m)
{
	struct slice assumed = lookup_assumed_schema(&r->lookup);

	if (m->schema.length) {
		resolve_emit_named(r, m, m->schema, m->name, "()");
	} else if (r->lookup.names_moved) {
		resolve_emit_unknown(r, m, "()");
	} else if (!emit_path_functions(r, m, true)) {
		if (builtin_function_find(m->name))
			assumed = slice_from_string("pg_catalog");
		if (assumed.length) {
			resolve_emit_named(r, m, assumed, m->name, "()");
		} else {
			r->result.unresolved = true;
			resolve_emit_unknown(r, m, "()");
		}
	}
}

/* --- operators and casts --- */

/* Operators and casts that run code which is not known to be harmless. */
static void emit_codes(struct resolver *r, const struct mention *m,
	const struct catalog_codes *codes, struct slice schema)
{
	const struct catalog_code *code = NULL;

	while ((code = catalog_find_code(codes, schema, m->name, code))) {
		struct slice function_schema = code->function_schema;

		if (lookup_is_temporary(&r->lookup, function_schema))
			function_schema = slice_from_string("pg_temp");
		resolve_emit_call(r, m, function_schema, code->function_name);
	}
}

static void resolve_code(
	struct resolver *r, const struct mention *m, const struct catalog_codes *codes)
{
	const struct sql_view *view = r->lookup.view;

	if (m->schema.length) {
		emit_codes(r, m, codes, lookup_stored_schema(&r->lookup, m->schema));
		return;
	}
	for (size_t i = 0; i < view->path_count; i++)
		emit_codes(r, m, codes, view->path[i]);
}

/* Whether it may be code that only the server can find behind what stands before it in the text. */
static bool may_be_found_elsewhere(
	const struct resolver *r, const struct mention *m, const struct catalog_codes *codes)
{
	if (r->lookup.code_made)
		return true;
	return codes && r->lookup.names_moved && m->schema.length == 0 &&
		lookup_may_be_code(&r->lookup, codes, m->schema, m->name);
}

void resolve_operator(struct resolver *r, const struct mention *m)
{
	const struct sql_catalog *c = r->lookup.view->catalog;

	if (may_be_found_elsewhere(r, m, c ? &c->operators : NULL))
		resolve_emit_unknown_call(r, m);
	else if (c)
		resolve_code(r, m, &c->operators);
	else if (m->schema.length && !slice_equal_string(m->schema, "pg_catalog"))
		resolve_emit_unknown_call(r, m);
}

void resolve_cast(struct resolver *r, const struct mention *m)
{
	const struct sql_catalog *c = r->lookup.view->catalog;

	if (may_be_found_elsewhere(r, m, c ? &c->casts : NULL))
		resolve_emit_unknown_call(r, m);
	else if (c)
		resolve_code(r, m, &c->casts);
}

/* --- attributes --- */

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
	if (r->lookup.names_moved && m->schema.length == 0)
		return false;
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
void resolve_attribute(struct resolver *r, const struct mention *m)
{
	const struct sql_view *view = r->lookup.view;
	const struct catalog_function *f;
	struct mention call = *m;

	call.schema = SLICE_EMPTY; /* what stands before the dot */
	if (lookup_may_be_attribute(&r->lookup, m->name) && !is_column(r, m))
		resolve_emit_unknown_call(r, &call);
	for (size_t i = 0; view->catalog && i < view->path_count; i++) {
		f = catalog_find_function(view->catalog, view->path[i], m->name);
		if (f && f->attribute && !is_column(r, m))
			resolve_emit_call(r, m, view->path[i], m->name);
	}
}
