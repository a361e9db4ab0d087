/* SPDX-License-Identifier: Apache-2.0
 *
 * resolver: one text on its way to its pairs. Internal to resolve*.c.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_RESOLVER_H
#define WAYLEAVE_PROTOCOL_SQL_RESOLVER_H

#include "protocol/sql/facts.h"
#include "protocol/sql/lookup.h"

/* Objects, statements and cursors of one text that later commands of it are looked up among; beyond
 * that names are unknown, so that no text can make the product of both. */
#define MADE_MOST 512

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

/* All that it points to is borrowed, or the arena's. */
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
	int error; /* -E2BIG: the arena is full */
};

/* resolve_pair.c: each adds to the resolver's pairs, or sets its error. */
void resolve_add_pair(struct resolver *r, const struct action_pair *p, bool later);
void resolve_emit(struct resolver *r, const struct mention *m, enum operation operation,
	enum object_state state, struct slice object);
/* The mention's own operation; `suffix`: "()" for functions, else "". */
void resolve_emit_unknown(struct resolver *r, const struct mention *m, const char *suffix);
void resolve_emit_named(struct resolver *r, const struct mention *m, struct slice schema,
	struct slice name, const char *suffix);
/* "schema.name" with `suffix`, in the arena. */
struct slice resolve_join_name(
	struct resolver *r, struct slice schema, struct slice name, const char *suffix);

/* resolve_relation.c */
void resolve_relation(struct resolver *r, const struct mention *m);
void resolve_created(struct resolver *r, const struct mention *m);
void resolve_object(struct resolver *r, const struct mention *m);
void resolve_schema(struct resolver *r, const struct mention *m);

/* resolve_rule.c: the code that comes with a relation to which `operation` is done. */
void resolve_rules(struct resolver *r, const struct mention *m, enum operation operation,
	const struct sql_relation *relation);

/* resolve_function.c */
/* A call of code that is not known to be harmless; and one of a function that is not known. */
void resolve_emit_call(
	struct resolver *r, const struct mention *m, struct slice schema, struct slice name);
void resolve_emit_unknown_call(struct resolver *r, const struct mention *m);
void resolve_function(struct resolver *r, const struct mention *m);
void resolve_routine(struct resolver *r, const struct mention *m);
void resolve_operator(struct resolver *r, const struct mention *m);
void resolve_cast(struct resolver *r, const struct mention *m);
void resolve_attribute(struct resolver *r, const struct mention *m);

#endif
