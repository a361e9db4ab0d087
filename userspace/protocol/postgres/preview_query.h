/* SPDX-License-Identifier: Apache-2.0
 *
 * preview_query: the messages with which preview.c asks. Internal to it.
 *
 * All names are private, and nothing in the texts is found by the search_path, which is the
 * agent's to choose: functions, types and operators are those of pg_catalog, none of which runs
 * code of users.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_PREVIEW_QUERY_H
#define WAYLEAVE_PROTOCOL_POSTGRES_PREVIEW_QUERY_H

#include "protocol/postgres/engine.h"

#define PREVIEW_TEXT_MOST 65536 /* of a statement that is planned */
#define PREVIEW_OBJECTS_MOST 32
#define PREVIEW_COLUMNS 5 /* of the answer to preview_put_objects() */

/* Queries that are sent together, up to a Sync. */
struct preview_batch {
	struct buffer messages;
	const char *name; /* of the statement and portal that they use, one after the other */
	unsigned queries;
};

void preview_batch_init(struct preview_batch *b, const char *name);
void preview_batch_done(struct preview_batch *b);
/* A query without parameters, other than those of the functions below. */
int preview_put_query(struct preview_batch *b, const char *text);
/* Neither locks nor the planner keep the server for long, until its transaction or subtransaction
 * ends. Returns one row. */
int preview_put_limits(struct preview_batch *b);
/* EXPLAIN of the pending statement with its parameters. */
int preview_put_plan(struct preview_batch *b, const struct pg_pending *pending);
/* What the objects are that the pending statement names, and their sizes: name, kind (as
 * pg_class.relkind has it, or "schema"), whether it is a table without row security and rules
 * ("t"), one for which planning may run code of users ("c"), or neither ("f"), rows, size. Sets how
 * many were asked about, and how many more there are. */
int preview_put_objects(struct preview_batch *b, const struct pg_pending *pending,
	size_t *ret_objects, size_t *ret_more);
/* Drops the statement and the portal; then a Sync. */
int preview_put_end(struct preview_batch *b);

#endif
