/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve_relation: which relations, schemas and types a mention means, and those that it makes.
 */
#include <errno.h>

#include "protocol/sql/resolver.h"

static void emit_relation(
	struct resolver *r, const struct mention *m, const struct lookup_relation *found)
{
	enum operation operation = (enum operation)m->operation;

	if (m->kind == MENTION_SETTINGS || (m->flags & MENTION_SET)) {
		bool changed_by_update = m->flags & MENTION_SET;

		if (slice_equal_string(found->schema, "pg_catalog") == changed_by_update)
			resolve_emit(r, m, OPERATION_SET, OBJECT_UNKNOWN,
				slice_from_string("a row of pg_settings"));
		return;
	}
	if (operation == OPERATION_SELECT && found->builtin == BUILTIN_RELATION_CATALOG)
		operation = OPERATION_CATALOG;
	resolve_emit(r, m, operation, OBJECT_KNOWN,
		resolve_join_name(r, found->schema, found->name, ""));
	if (found->relation)
		resolve_rules(r, m, operation, found->relation);
}

static void resolve_qualified(struct resolver *r, const struct mention *m)
{
	struct lookup_relation found;

	if (!lookup_qualified(&r->lookup, m->schema, m->name, &found)) {
		resolve_emit_unknown(r, m, "");
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
	resolve_emit_unknown(r, m, "");
}

void resolve_relation(struct resolver *r, const struct mention *m)
{
	struct lookup_relation found;
	size_t position = 0;
	bool any = false;

	if (m->schema.length) {
		resolve_qualified(r, m);
		return;
	}
	if (r->lookup.names_moved || (m->flags & MENTION_IN_NEW_SCHEMA)) {
		resolve_emit_unknown(r, m, "");
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

static void make(struct resolver *r, struct slice schema, struct slice name, enum lookup_kind kind)
{
	struct lookup_made *made = arena_new(r->arena, sizeof(*made));

	/* It may be the view's, which the plan outlives. */
	schema = arena_copy(r->arena, schema);
	if (!made || !schema.data) {
		r->error = -E2BIG;
		return;
	}
	*made = (struct lookup_made){r->lookup.made, schema, name, kind};
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
		resolve_emit_unknown(r, m, suffix);
		r->disturbs |= DISTURBS_NAMES;
		return;
	}
	resolve_emit_named(r, m, schema, m->name, suffix);
	make(r, schema, m->name,
		m->kind == MENTION_CREATED_ROUTINE          ? LOOKUP_FUNCTION
			: m->kind == MENTION_CREATED_OBJECT ? LOOKUP_OTHER
							    : LOOKUP_RELATION);
}

void resolve_created(struct resolver *r, const struct mention *m)
{
	resolve_new(r, m, m->kind == MENTION_CREATED_ROUTINE ? "()" : "");
}

/* Types, collations and the like: the catalog does not list them. */
void resolve_object(struct resolver *r, const struct mention *m)
{
	struct slice schema = m->schema.length ? m->schema : lookup_assumed_schema(&r->lookup);

	if (schema.length)
		resolve_emit_named(r, m, schema, m->name, "");
	else
		resolve_emit_unknown(r, m, "");
}

struct schema_drop {
	struct resolver *resolver;
	const struct mention *mention;
};

static void drop_member(void *context, const struct sql_relation *relation)
{
	struct schema_drop *d = context;

	resolve_emit_named(d->resolver, d->mention, relation->schema, relation->name, "");
}

void resolve_schema(struct resolver *r, const struct mention *m)
{
	struct schema_drop drop = {r, m};

	resolve_emit_named(r, m, SLICE_EMPTY, m->name, "");
	if (r->lookup.view->catalog)
		catalog_visit_schema(r->lookup.view->catalog, m->name, drop_member, &drop);
}
