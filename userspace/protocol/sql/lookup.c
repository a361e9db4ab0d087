/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/lookup.h"

static const struct slice temporary_schema = {(const uint8_t *)"pg_temp", 7};

/* pg_temp and pg_temp_N both name the session's own schema; its number is on the path. */
bool lookup_is_temporary(const struct lookup *l, struct slice schema)
{
	if (slice_equal(schema, temporary_schema))
		return true;
	if (!slice_starts_with(schema, slice_from_string("pg_temp_")))
		return false;
	for (size_t i = 0; i < l->view->path_count; i++) {
		if (slice_equal(l->view->path[i], schema))
			return true;
	}
	return false;
}

struct slice lookup_stored_schema(const struct lookup *l, struct slice schema)
{
	if (!lookup_is_temporary(l, schema))
		return schema;
	for (size_t i = 0; i < l->view->path_count; i++) {
		if (lookup_is_temporary(l, l->view->path[i]))
			return l->view->path[i];
	}
	return schema;
}

static const struct lookup_made *find_made(
	const struct lookup *l, struct slice schema, struct slice name, enum lookup_kind kind)
{
	for (const struct lookup_made *m = l->made; m; m = m->next) {
		if (m->kind == kind && slice_equal(m->name, name) && slice_equal(m->schema, schema))
			return m;
	}
	return NULL;
}

/* What is known of schema.name; `schema` is "pg_temp" for the session's own. */
static struct lookup_relation read_name(
	const struct lookup *l, struct slice schema, struct slice name)
{
	bool temporary = slice_equal(schema, temporary_schema);
	const struct sql_catalog *c = temporary ? l->view->temporary : l->view->catalog;
	struct lookup_relation found = {.schema = schema, .name = name};

	if (!temporary)
		found.builtin = builtin_relation_find(schema, name);
	if (c)
		found.relation = sql_catalog_find(c, schema, name);
	/* The server's own catalog knows better than the list which of its relations there are. */
	found.exists = found.relation || (found.builtin && !l->view->catalog) ||
		find_made(l, schema, name, LOOKUP_RELATION);
	if (found.relation && builtin_schema(schema) && !found.builtin)
		found.builtin = BUILTIN_RELATION_HELD;
	return found;
}

bool lookup_qualified(
	const struct lookup *l, struct slice schema, struct slice name, struct lookup_relation *ret)
{
	if (lookup_is_temporary(l, schema))
		schema = temporary_schema;
	else if (slice_starts_with(schema, slice_from_string("pg_temp_")) ||
		slice_starts_with(schema, slice_from_string("pg_toast")))
		return false;
	*ret = read_name(l, schema, name);
	return true;
}

static bool path_has_temporary(const struct lookup *l)
{
	for (size_t i = 0; i < l->view->path_count; i++) {
		if (lookup_is_temporary(l, l->view->path[i]))
			return true;
	}
	return false;
}

bool lookup_next(
	const struct lookup *l, struct slice name, size_t *position, struct lookup_relation *ret)
{
	const struct sql_view *view = l->view;
	struct lookup_relation found;

	/* A temporary schema that was not there when the path was read comes first, unless the
	 * search_path names it further behind. */
	if ((*position)++ == 0 && !path_has_temporary(l)) {
		found = read_name(l, temporary_schema, name);
		found.disputed = true;
		if (found.exists) {
			*ret = found;
			return true;
		}
	}
	for (; *position <= view->path_count; ++*position) {
		struct slice schema = view->path[*position - 1];

		found = read_name(
			l, lookup_is_temporary(l, schema) ? temporary_schema : schema, name);
		if (found.exists) {
			*ret = found;
			return true;
		}
	}
	return false;
}

static bool is_system(const struct lookup *l, struct slice schema)
{
	return lookup_is_temporary(l, schema) || slice_equal_string(schema, "pg_catalog");
}

struct slice lookup_creation_schema(const struct lookup *l)
{
	for (size_t i = 0; i < l->view->path_count; i++) {
		if (!is_system(l, l->view->path[i]))
			return l->view->path[i];
	}
	return l->view->assume ? slice_from_string("public") : SLICE_EMPTY;
}

struct slice lookup_assumed_schema(const struct lookup *l)
{
	if (l->view->catalog || !l->view->assume)
		return SLICE_EMPTY;
	for (size_t i = l->view->path_count; i > 0; i--) {
		if (!is_system(l, l->view->path[i - 1]))
			return l->view->path[i - 1];
	}
	return slice_from_string("public");
}

bool lookup_has_function(
	const struct lookup *l, struct slice schema, struct slice name, bool trusted_too)
{
	const struct catalog_function *f;

	if (find_made(l, schema, name, LOOKUP_FUNCTION))
		return true;
	f = l->view->catalog ? catalog_find_function(l->view->catalog, schema, name) : NULL;
	return f && (trusted_too || !f->trusted);
}

bool lookup_may_be_code(const struct lookup *l, const struct catalog_codes *codes,
	struct slice schema, struct slice name)
{
	if (l->code_made)
		return true;
	if (schema.length)
		return catalog_find_code(codes, lookup_stored_schema(l, schema), name, NULL);
	if (l->names_moved)
		return catalog_names_code(codes, name);
	for (size_t i = 0; codes->table.count && i < l->view->path_count; i++) {
		if (catalog_find_code(codes, l->view->path[i], name, NULL))
			return true;
	}
	return false;
}

static bool schema_has_type(const struct lookup *l, struct slice schema, struct slice name)
{
	const struct sql_view *view = l->view;

	if (view->catalog &&
		(catalog_has_text_name(view->catalog, schema, name) ||
			sql_catalog_find(view->catalog, schema, name)))
		return true;
	return view->temporary && lookup_is_temporary(l, schema) &&
		sql_catalog_find(view->temporary, temporary_schema, name);
}

bool lookup_may_be_own_type(const struct lookup *l, struct slice name)
{
	if (l->names_moved)
		return true;
	for (const struct lookup_made *m = l->made; m; m = m->next) {
		if (slice_equal(m->name, name))
			return true;
	}
	for (size_t i = 0; i < l->view->path_count; i++) {
		if (slice_equal_string(l->view->path[i], "pg_catalog"))
			return false;
		if (schema_has_type(l, l->view->path[i], name))
			return true;
	}
	return false;
}

bool lookup_may_be_attribute(const struct lookup *l, struct slice name)
{
	if (l->code_made)
		return true;
	for (const struct lookup_made *m = l->made; m; m = m->next) {
		if (m->kind == LOOKUP_FUNCTION && slice_equal(m->name, name))
			return true;
	}
	return l->names_moved && l->view->catalog &&
		catalog_names_attribute(l->view->catalog, name);
}
