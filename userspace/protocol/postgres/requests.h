/* SPDX-License-Identifier: Apache-2.0
 *
 * requests: what was sent to the server and is not answered yet, in order. The head is what the
 * server's next reply belongs to (PostgreSQL 15 documentation, 55.2.4: one ReadyForQuery per Sync;
 * after an error everything up to the next Sync is skipped).
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_REQUESTS_H
#define WAYLEAVE_PROTOCOL_POSTGRES_REQUESTS_H

#include "protocol/postgres/names.h"
#include "protocol/protocol.h"

enum pg_request_kind {
	PG_REQUEST_QUERY,
	PG_REQUEST_PARSE,
	PG_REQUEST_BIND,
	PG_REQUEST_DESCRIBE_STATEMENT,
	PG_REQUEST_DESCRIBE_PORTAL,
	PG_REQUEST_EXECUTE,
	PG_REQUEST_CLOSE_STATEMENT,
	PG_REQUEST_CLOSE_PORTAL,
	PG_REQUEST_SYNC,
	PG_REQUEST_FUNCTION,
	PG_REQUEST_ROLE, /* messages of role.c */
};

enum pg_request_flag {
	PG_REQUEST_PRIVATE = 1 << 0, /* ours: the agent sees none of its replies */
	PG_REQUEST_POISONED = 1 << 1, /* sent so that it fails; the error is reworded */
	PG_REQUEST_REPLIED = 1 << 2, /* some reply has come */
	PG_REQUEST_PROBE = 1 << 3, /* a Parse that asks whether a text means anything */
	PG_REQUEST_FAILED = 1 << 4, /* an ErrorResponse came for it */
	PG_REQUEST_EFFECTS = 1 << 5, /* counted in engine.effects_in_flight */
	PG_REQUEST_RECORDS_ROWS = 1 << 6,
	PG_REQUEST_READS_DATA = 1 << 7, /* counted in engine.readers_in_flight */
};

struct pg_request {
	uint8_t kind, flags;
	uint64_t action; /* of the recording; 0: none */
	struct pg_plan *plan; /* reference; for QUERY */
	struct pg_masks *masks; /* reference; for QUERY; NULL: nothing is masked */
	struct protocol_grant grant; /* for QUERY: by which it was let pass */
	size_t command; /* QUERY: which command of the text replies next; ROLE: which reply */
	struct pg_statement *statement; /* reference; PARSE: the new one; DESCRIBE_STATEMENT */
	struct pg_portal *portal; /* reference; BIND: the new one; EXECUTE, DESCRIBE_PORTAL */
	char *name; /* owned; PARSE, BIND, CLOSE_…: whose meaning changes */
	size_t name_length;
	uint64_t rows, bytes; /* results so far */
	bool let_through; /* with POISONED: what it stands for is recorded as allowed */
	/* With POISONED, or where names are looked at for ROLE: */
	char *refusal; /* owned text for the agent */
	const char *state; /* the SQLSTATE it shall have */
};

struct pg_requests {
	struct pg_request *items; /* a ring */
	size_t first, count, capacity;
};

void pg_requests_init(struct pg_requests *q);
void pg_requests_done(struct pg_requests *q);
/* A zeroed place at the end, valid until the next push or pop; NULL beyond LIMIT_PIPELINE. */
struct pg_request *pg_requests_push(struct pg_requests *q, enum pg_request_kind kind);
/* NULL where nothing is in flight. */
struct pg_request *pg_requests_head(struct pg_requests *q);
struct pg_request *pg_requests_at(struct pg_requests *q, size_t index);
/* Drops the head and what it owns. */
void pg_requests_pop(struct pg_requests *q);
/* Drops the one at `index`. */
void pg_requests_remove(struct pg_requests *q, size_t index);

#endif
