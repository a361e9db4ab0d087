/* SPDX-License-Identifier: Apache-2.0
 *
 * lookup: our own queries on the agent's session, between its messages and only when nothing is in
 * flight: how names are looked up, and the catalog. By the extended protocol under private names,
 * so that the agent's unnamed statement and portal stay as they are; everything in them is
 * schema-qualified, since the search_path is the agent's to choose.
 *
 * A lookup is a list of queries that are sent together, and ends with a Sync of its own, or, inside
 * a batch of the agent (a Sync would commit its implicit transaction), with a Flush.
 *
 * While an action is held the server may prepare what it is asked when the action is to go on, so
 * that it goes on sooner: planning our queries takes it longer than running them. They are dropped
 * by the lookup that uses them, or by the next one. Nothing of the agent's runs while they are
 * there.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_LOOKUP_H
#define WAYLEAVE_PROTOCOL_POSTGRES_LOOKUP_H

#include "protocol/postgres/engine.h"

enum pg_lookup_step {
	/* In this order: what changes after the version was read is found when it is compared. */
	PG_LOOKUP_VERSION, /* what the catalogs sum up to */
	PG_LOOKUP_NAMES, /* the catalog */
	PG_LOOKUP_SESSION, /* role, search path and the settings that say how text is read */
	PG_LOOKUP_TEMPORARY, /* the session's temporary relations */
	/* These read nothing of the catalog. */
	PG_LOOKUP_NAME, /* the session's name is set (inject.c) */
	PG_LOOKUP_PLANS, /* the server is to look up again what prepared statements name */
	PG_LOOKUP_ISOLATION, /* how the agent's transaction is isolated; takes no snapshot */
	PG_LOOKUP_RELEASE, /* of the guard */
	PG_LOOKUP_UNDO, /* back to the guard, in a round of its own */
	/* Before all others: where we only observe, in a transaction, what fails is undone. */
	PG_LOOKUP_GUARD,
};

struct pg_lookup {
	unsigned wanted; /* 1 << enum pg_lookup_step, or-ed: this round */
	enum pg_lookup_step step; /* whose rows come now */
	size_t query; /* which query of the step */
	size_t closes; /* CloseCompletes that are still to come */
	bool synced; /* ends with a ReadyForQuery */
	bool inside; /* a transaction of the agent's */
	bool late; /* and that may have had a snapshot before */
	bool failed;
	char *interrupted; /* owned; the server was told to stop: its words. NULL: it was not */
	/* By an error inside the agent's batch, whose rest the server skips; else it was undone, or
	 * what the server said could not be kept. */
	bool ended_batch;
	/* What was read. */
	struct arena arena; /* becomes the session's naming_arena */
	struct slice *path;
	size_t path_count;
	char encoding[SQL_ENCODING_MOST]; /* of the client, clean */
	bool unsafe_strings;
	char *role; /* owned */
	struct pg_meanings meanings;
	bool has_meanings;
	char version[64], isolation[32];
	struct sql_catalog *names, *temporary; /* being filled */
	uint64_t epoch; /* when reading the names began */
};

/* Sends the queries of the steps in `wanted`, which are not those of guards. The caller has made
 * sure that nothing is in flight; and, where we only observe, that it is not inside a batch. */
int pg_lookup_start(struct pg_engine *e, unsigned wanted);
/* Whether the server may prepare them now: outside of transactions, as planning takes a snapshot.
 */
bool pg_lookup_can_keep(const struct pg_engine *e);
/* Has them prepared, up to a Sync; the caller takes the answer, and sets e->kept. */
int pg_lookup_keep(struct pg_engine *e);
/* Its answer is one row: what struct protocol_catalog has as `version`. */
const char *pg_lookup_version_query(void);
void pg_lookup_free(struct pg_lookup *l); /* takes NULL */
/* naming_answer.c: a round is over; takes what was read. */
int pg_naming_on_lookup(struct pg_engine *e, struct pg_lookup *l);
/* naming.c: whether that version is the one of the names that the last text was judged by. */
bool pg_naming_has_version(const struct pg_engine *e);

#endif
