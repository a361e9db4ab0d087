/* SPDX-License-Identifier: Apache-2.0
 *
 * lookup: which relation or function a name stands for, as the server would find it. Internal to
 * protocol/sql/.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_LOOKUP_H
#define WAYLEAVE_PROTOCOL_SQL_LOOKUP_H

#include "protocol/sql/builtin.h"
#include "protocol/sql/catalog_internal.h"
#include "protocol/sql/resolve.h"

/* One reading of a relation's name. */
struct lookup_relation {
	struct slice schema, name; /* "pg_temp" for any temporary one */
	enum builtin_relation builtin;
	const struct sql_relation *relation; /* NULL: its columns are not known */
	bool exists; /* as far as is known */
	bool disputed; /* the path does not say whether another reading comes first */
};

/* An object that the same text made earlier. */
enum lookup_kind {
	LOOKUP_RELATION,
	LOOKUP_FUNCTION,
	LOOKUP_OTHER, /* types and the like */
};
struct lookup_made {
	const struct lookup_made *next;
	struct slice schema, name;
	enum lookup_kind kind;
};

struct lookup {
	const struct sql_view *view;
	const struct lookup_made *made;
	/* Names on the path may have moved since the view was taken: unqualified ones are unknown.
	 */
	bool names_moved;
	/* Relations may be gone: every relation of that name on the path is a reading. */
	bool relations_gone;
	/* Operators, casts and functions may stand where the catalog has none. */
	bool code_made;
};

/* As sql_resolve(). `ret_lookups`, if any, gets for each command how names are looked up where it
 * stands; they live in the arena. (resolve.c) */
int resolve_text(const struct sql_text *t, const struct sql_view *view, struct arena *arena,
	struct sql_resolution *ret, struct lookup *ret_lookups);

bool lookup_is_temporary(const struct lookup *l, struct slice schema);
/* The schema as the server's catalogs name it: the session's own has a number there. */
struct slice lookup_stored_schema(const struct lookup *l, struct slice schema);
/* A name with its schema: exactly one reading. False: no name that can be judged (another session's
 * temporary relation, a TOAST table). */
bool lookup_qualified(const struct lookup *l, struct slice schema, struct slice name,
	struct lookup_relation *ret);
/* The first reading of an unqualified name at or after place *position of the path, which starts at
 * 0 and is moved on. False: no further one. */
bool lookup_next(
	const struct lookup *l, struct slice name, size_t *position, struct lookup_relation *ret);
/* The schema in which an unqualified new object is made; the empty slice: not known. */
struct slice lookup_creation_schema(const struct lookup *l);
/* Where an unqualified name is taken to be without a catalog; the empty slice: nowhere. */
struct slice lookup_assumed_schema(const struct lookup *l);
/* Whether a user-defined function of that name is in the schema. `trusted_too`: also one that is
 * known to be harmless. */
bool lookup_has_function(
	const struct lookup *l, struct slice schema, struct slice name, bool trusted_too);
/* Whether the name of an operator or cast may stand for code that is not known to be harmless;
 * `schema` empty: unqualified. `codes` are of the view's catalog. */
bool lookup_may_be_code(const struct lookup *l, const struct catalog_codes *codes,
	struct slice schema, struct slice name);
/* Whether a type's name without a schema may be one of somebody's own, which comes before
 * pg_catalog's. */
bool lookup_may_be_own_type(const struct lookup *l, struct slice name);
/* Whether x.name may be a call of something that is not to be found on the path as it was read. */
bool lookup_may_be_attribute(const struct lookup *l, struct slice name);

#endif
