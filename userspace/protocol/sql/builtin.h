/* SPDX-License-Identifier: Apache-2.0
 *
 * builtin: what is known by name of PostgreSQL's own functions and catalog relations
 * (functions.inc, relations.inc; how they were made: docs/sql-facts.md).
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_BUILTIN_H
#define WAYLEAVE_PROTOCOL_SQL_BUILTIN_H

#include "base/slice.h"

/* Of all functions of pg_catalog that have the name, the strictest. */
enum builtin_function {
	BUILTIN_FUNCTION_NONE, /* pg_catalog has none that SQL can call, as far as we know */
	BUILTIN_FUNCTION_HARMLESS, /* needs no rule */
	BUILTIN_FUNCTION_HARMLESS_ROWS, /* the same; in FROM it may have several columns */
	BUILTIN_FUNCTION_EFFECT, /* does something, but its result tells nothing of tables */
	BUILTIN_FUNCTION_READS, /* anything may be in its result */
};

enum builtin_relation {
	BUILTIN_RELATION_NONE,
	BUILTIN_RELATION_CATALOG, /* drivers and tools read it: operation `catalog` */
	BUILTIN_RELATION_HELD, /* shows data, secrets or other sessions: operation `select` */
	BUILTIN_RELATION_VALUES, /* the same: it shows values of columns */
};

enum builtin_function builtin_function_find(struct slice name);
/* Whether the schema is where the server has the function of this name. */
bool builtin_function_is_in(struct slice schema, struct slice name);
enum builtin_relation builtin_relation_find(struct slice schema, struct slice name);
/* Whether the schema is PostgreSQL's own: pg_catalog, information_schema. */
bool builtin_schema(struct slice schema);

static inline bool builtin_function_is_harmless(enum builtin_function f)
{
	return f == BUILTIN_FUNCTION_HARMLESS || f == BUILTIN_FUNCTION_HARMLESS_ROWS;
}

#endif
