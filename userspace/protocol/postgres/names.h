/* SPDX-License-Identifier: Apache-2.0
 *
 * names: what the names of prepared statements and portals stand for, although the agent may
 * send many messages before the server answers the first.
 *
 * A name has a confirmed meaning and, while messages that change it are in flight, the meaning it
 * will have if they succeed. Within one batch (up to a Sync) the latest meaning is the right one:
 * if the message that made it fails, the server skips the rest of the batch. Across batches it is
 * not known before the server has answered; the engine then waits.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_NAMES_H
#define WAYLEAVE_PROTOCOL_POSTGRES_NAMES_H

#include "base/table.h"
#include "protocol/postgres/plan.h"

/* A prepared statement, by Parse or PREPARE. Reference-counted. */
struct pg_statement {
	unsigned references;
	struct sql_text *text;
	size_t command; /* which of the text's commands it runs (PREPARE inside a longer text) */
	bool by_sql; /* made by PREPARE: its text holds more than what it runs */
	uint64_t action; /* the recording's number of the action with this text */
	struct slice exact; /* the text as sent; owned */
	struct slice types; /* of its parameters, as Parse has them; owned; empty: made by SQL */
	struct slice described; /* of the first ones, as the server says; owned; empty: not asked */
	bool looked_up; /* names were not found once, and the catalog was refreshed for it */
};

struct pg_statement *pg_statement_new(struct sql_text *text, struct slice exact);
struct pg_statement *pg_statement_get(struct pg_statement *s);
void pg_statement_put(struct pg_statement *s); /* takes NULL */

struct pg_columns;

/* A portal, by Bind or DECLARE. Reference-counted. */
struct pg_portal {
	unsigned references;
	struct pg_statement *statement; /* NULL for a cursor made by SQL */
	struct pg_plan *plan; /* as judged when it was made */
	struct pg_masks *masks; /* reference; NULL: nothing is masked */
	size_t command; /* of the plan's text */
	size_t traced; /* of the text that the masks were traced through */
	uint64_t action;
	uint64_t audience; /* for which it was judged */
	uint64_t meanings; /* of the engine, when it was judged */
	struct protocol_grant grant; /* by which it was let pass */
	char *as; /* the server's role that it runs as; owned; NULL: the session's */
	bool record_rows;
	bool decided; /* by people, under the settings that held when it was judged */
	bool begun; /* it was executed */
	bool hold; /* outlives its transaction */
	/* The server may have dropped it, and code may have given the name to another cursor. */
	bool doubtful;
	/* What it returns, once described; owned. */
	struct pg_columns *columns;
	bool describing; /* a Describe of ours or the agent's is in flight */
};

struct pg_portal *pg_portal_new(struct pg_plan *plan, size_t command);
struct pg_portal *pg_portal_get(struct pg_portal *p);
void pg_portal_put(struct pg_portal *p); /* takes NULL */

/* One table serves both kinds; a target is a pg_statement or a pg_portal. */
struct pg_names {
	struct table table;
	size_t most; /* names at once */
	void (*put)(void *target);
	void *(*get)(void *target);
};

enum pg_lookup_result {
	PG_NAME_FOUND,
	PG_NAME_MISSING,
	PG_NAME_UNCERTAIN, /* ask again when nothing is in flight */
};

void pg_names_init_statements(struct pg_names *n);
void pg_names_init_portals(struct pg_names *n);
void pg_names_done(struct pg_names *n);

/* A message in flight gives `name` a new meaning (NULL: none). `batch` counts Syncs sent. Takes a
 * reference of its own. -E2BIG: too many names. */
int pg_names_begin(struct pg_names *n, struct slice name, void *target, uint64_t batch);
/* That message, the oldest still open for this name, succeeded or did not run. */
void pg_names_end(struct pg_names *n, struct slice name, void *target, bool succeeded);
/* What `name` means for a message of batch `batch`; borrowed. */
enum pg_lookup_result pg_names_find(
	const struct pg_names *n, struct slice name, uint64_t batch, void **ret);
/* A meaning that took effect at once: SQL's PREPARE, DECLARE, DEALLOCATE, CLOSE. NULL: none. */
int pg_names_set(struct pg_names *n, struct slice name, void *target);
/* A transaction, or what came behind a savepoint, is over: which portals are, is not known. */
void pg_names_doubt_portals(struct pg_names *portals);
/* Forgets every confirmed name for which `keep` says no (NULL: every one). */
void pg_names_forget(struct pg_names *n, bool (*keep)(const void *target));

#endif
