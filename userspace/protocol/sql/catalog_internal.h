/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files catalog*.c share, and what resolve and trace ask of a catalog. Internal to
 * protocol/sql/.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_CATALOG_INTERNAL_H
#define WAYLEAVE_PROTOCOL_SQL_CATALOG_INTERNAL_H

#include "base/arena.h"
#include "base/table.h"
#include "protocol/sql/catalog.h"

/* Indexes of sql_catalog_queries; later ones refer to what earlier ones brought. */
enum catalog_query {
	CATALOG_RELATIONS,
	CATALOG_COLUMNS,
	CATALOG_INHERITS,
	CATALOG_RULE_RELATIONS,
	CATALOG_RULE_CALLS,
	CATALOG_VIEWS,
	CATALOG_GENERATED,
	CATALOG_FUNCTIONS,
	CATALOG_OPERATORS,
	CATALOG_CASTS,
	CATALOG_TYPES,
	CATALOG_TEXT_NAMES,
};

/* A column from which another one takes values. */
struct column_source {
	struct column_source *next;
	struct sql_relation *relation;
	int number; /* 0: any of its columns */
	bool derived; /* by an expression: it is not shown as it is */
};

struct sql_column {
	struct slice name;
	struct column_source *sources;
	uint32_t type; /* pg_type.oid */
	int32_t modifier;
	int16_t number;
	bool opaque; /* made by code that may show anything */
	bool traced; /* of a view: `sources` and `opaque` are known */
};

struct relation_link {
	struct relation_link *next;
	struct sql_relation *relation;
};

/* What sets off a rule (pg_rewrite.ev_type, '1' to '4'; a view is a rule on SELECT). */
enum rule_event {
	RULE_ON_SELECT = 1 << 0,
	RULE_ON_UPDATE = 1 << 1,
	RULE_ON_INSERT = 1 << 2,
	RULE_ON_DELETE = 1 << 3,
};

/* A relation that rules name. */
struct rule_relation {
	struct rule_relation *next;
	struct sql_relation *relation;
	uint8_t events; /* enum rule_event, or-ed: of those rules */
};

/* A function that rules call, and that is not known to be harmless. */
struct rule_call {
	struct rule_call *next;
	struct slice schema, name;
	uint8_t events;
};

/* What is known of a relation's rules. */
enum rule_fact {
	RULES_SHOW_CODE = 1 << 0, /* a view that calls code of users', which may show anything */
	RULES_SHOW_READS = 1 << 1, /* the same of the server's own: BUILTIN_FUNCTION_READS */
	RULES_CALL_UNKNOWN = 1 << 2, /* not all that they call is known */
};

struct column_mask {
	uint8_t strategy;
	bool filter_allowed;
};

struct sql_relation {
	struct table_node by_name, by_oid;
	uint32_t oid;
	char kind; /* pg_class.relkind */
	bool open;
	uint8_t rules; /* enum rule_fact, or-ed */
	bool visited; /* while relatives are gathered */
	bool busy; /* while its masks are found */
	uint16_t column_count, column_room;
	struct slice schema, name;
	struct sql_column *columns;
	struct relation_link *parents, *children;
	struct rule_relation *named; /* by its rules */
	struct sql_relation *next_ruled; /* of those with `named` */
	struct rule_call *calls; /* of its rules and, once finished, of what these name */
	/* The masks of its columns, and in front of them those of the whole row, under the rules
	 * with that serial. */
	uint64_t masks_serial;
	struct column_mask *masks;
};

static inline bool catalog_is_view(const struct sql_relation *r)
{
	return r->kind == 'v' || r->kind == 'm';
}

/* Whether reading or changing it runs code that is not known to be harmless. */
static inline bool catalog_runs_code(const struct sql_relation *r)
{
	return r->kind != 'm' && (r->calls || r->rules);
}

struct catalog_function {
	struct table_node node;
	struct table_node by_name; /* with `attribute` */
	struct slice schema, name;
	bool attribute; /* name(x) may be written x.name */
	bool trusted; /* an extension's, and changes nothing */
};

/* An operator or cast, and the function that it runs. */
struct catalog_code {
	struct table_node node, by_name;
	struct slice schema, name;
	struct slice function_schema, function_name;
};

struct catalog_codes {
	struct table table; /* by schema and name */
	struct table names;
};

/* A type that results show as another one, or that takes any text. */
struct catalog_type {
	struct table_node node;
	uint32_t oid;
	uint32_t base; /* of a domain; 0: it is none */
	int32_t modifier; /* that the domain gives its base */
	bool text_like;
};

/* A type of somebody's own that has the name of one of the server's that take any text. */
struct catalog_text_name {
	struct catalog_text_name *next;
	struct slice schema, name;
};

struct sql_catalog {
	unsigned references;
	struct arena arena;
	struct table relations_by_name, relations_by_oid;
	struct table functions, attributes, types;
	struct catalog_codes operators, casts;
	struct catalog_text_name *text_names;
	struct sql_relation *ruled;
	struct sql_relation **sorted; /* owned; by schema and name, once finished */
	size_t rows; /* that were added */
	bool full; /* columns no longer fit */
	bool finished;
	bool beyond_ascii;
};

struct sql_relation *catalog_find_by_oid(const struct sql_catalog *c, uint32_t oid);
int catalog_parse_oid(struct slice value, uint32_t *ret);
/* atttypmod and the like: -1, or a number from 0. */
int catalog_parse_modifier(struct slice value, int32_t *ret);
/* A row of CATALOG_TYPES. (catalog_type.c) */
int catalog_add_type(struct sql_catalog *c, const struct slice *v);
/* NULL: the schema has none of that name. */
const struct catalog_function *catalog_find_function(
	const struct sql_catalog *c, struct slice schema, struct slice name);
/* The first operator or cast of that name in the schema that runs code which is not known to be
 * harmless, or the next one after `previous`; NULL at the end. */
const struct catalog_code *catalog_find_code(const struct catalog_codes *codes, struct slice schema,
	struct slice name, const struct catalog_code *previous);
/* Whether some schema has one of that name. */
bool catalog_names_code(const struct catalog_codes *codes, struct slice name);
/* Whether some schema has a function name(x) that may be written x.name. */
bool catalog_names_attribute(const struct sql_catalog *c, struct slice name);
/* A row of CATALOG_TEXT_NAMES. (catalog_type.c) */
int catalog_add_text_name(struct sql_catalog *c, const struct slice *v);
/* Whether the schema has such a type of that name. */
bool catalog_has_text_name(const struct sql_catalog *c, struct slice schema, struct slice name);
struct sql_column *catalog_find_column(struct sql_relation *r, int number);
/* After the last row: puts relations in order. (catalog_schema.c) */
void catalog_sort(struct sql_catalog *c);
/* Calls `visit` for each relation of the schema, in the order of their names: what comes of it
 * stands in reviews, which are one where all is the same and in the same order. */
void catalog_visit_schema(const struct sql_catalog *c, struct slice schema,
	void (*visit)(void *context, const struct sql_relation *r), void *context);

/* Relations, each once: `visited` marks them until they are done with. */
struct relatives {
	struct sql_relation **items;
	size_t count, room;
};
void catalog_relatives_add(struct relatives *all, struct sql_relation *r);
void catalog_relatives_done(struct relatives *all);

/* Rows of CATALOG_RULE_RELATIONS and CATALOG_RULE_CALLS. (catalog_rule.c) */
int catalog_add_rule_relation(struct sql_catalog *c, const struct slice *v);
int catalog_add_rule_call(struct sql_catalog *c, const struct slice *v);
/* After the last row: what rules name has rules itself. */
void catalog_follow_rules(struct sql_catalog *c);

/* Traces a view's columns to those that it shows, from its rule as stored (pg_rewrite.ev_action);
 * NULL data: not known. -E2BIG. (catalog_view.c) */
int catalog_trace_view(struct sql_catalog *c, struct sql_relation *view, struct slice rule);
int catalog_add_source(struct sql_catalog *c, struct sql_column *column,
	struct sql_relation *relation, int number, bool derived);

#endif
