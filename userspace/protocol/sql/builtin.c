/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/builtin.h"

#include <stdlib.h>

#include "base/memory.h"

struct builtin_row {
	const char *schema; /* NULL for functions: builtin_function_is_in() */
	const char *name;
	int kind;
};

static const struct builtin_row functions[] = {
#define FUNCTION(name, kind) {NULL, name, BUILTIN_FUNCTION_##kind},
#include "protocol/sql/functions.inc"
#undef FUNCTION
};

static const struct builtin_row relations[] = {
#define RELATION(schema, name, kind) {schema, name, BUILTIN_RELATION_##kind},
#include "protocol/sql/relations.inc"
#undef RELATION
};

struct builtin_key {
	struct slice schema, name;
};

static int compare_text(struct slice key, const char *text)
{
	size_t length = strlen(text);
	int r = memcmp(key.data, text, key.length < length ? key.length : length);

	return r ? r : (key.length > length) - (key.length < length);
}

static int compare_row(const void *key, const void *row)
{
	const struct builtin_key *k = key;
	const struct builtin_row *b = row;
	int r = b->schema ? compare_text(k->schema, b->schema) : 0;

	return r ? r : compare_text(k->name, b->name);
}

static int find(const struct builtin_row *rows, size_t count, struct builtin_key key)
{
	const struct builtin_row *row;

	if (key.name.length == 0)
		return 0;
	row = bsearch(&key, rows, count, sizeof(*rows), compare_row);
	return row ? row->kind : 0;
}

enum builtin_function builtin_function_find(struct slice name)
{
	struct builtin_key key = {SLICE_EMPTY, name};

	return (enum builtin_function)find(functions, ARRAY_SIZE(functions), key);
}

bool builtin_function_is_in(struct slice schema, struct slice name)
{
	bool information = slice_starts_with(name, slice_from_string("_pg_"));

	return slice_equal_string(schema, information ? "information_schema" : "pg_catalog");
}

enum builtin_relation builtin_relation_find(struct slice schema, struct slice name)
{
	if (!builtin_schema(schema))
		return BUILTIN_RELATION_NONE;
	return (enum builtin_relation)find(
		relations, ARRAY_SIZE(relations), (struct builtin_key){schema, name});
}

bool builtin_schema(struct slice schema)
{
	return slice_equal_string(schema, "pg_catalog") ||
		slice_equal_string(schema, "information_schema");
}
