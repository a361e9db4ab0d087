/* SPDX-License-Identifier: Apache-2.0
 *
 * preview: what a held statement would do, before people are asked: as the server's planner sees
 * it (EXPLAIN, never ANALYZE) by the extended protocol under private names, with the same
 * parameters; and what the objects are that it names, with their sizes.
 *
 * Only where that disturbs nothing: nothing in flight, and no transaction, or one at READ COMMITTED
 * (the server says so), where a savepoint takes back the locks and settings. Elsewhere the first
 * query would fix the transaction's snapshot. And planned is only what runs no code of users: plain
 * reads and writes of tables by name, whose functions are all known to be harmless; the server is
 * asked first whether all are tables without row security and rules, and none has code of users in
 * its defaults, constraints, indexes and the like, which the planner would run.
 *
 * With the objects the server is asked whether others changed what names mean since the statement
 * was judged, which is compared only now and then. Then there is no preview: the action comes
 * again, judged by what they mean now, before people are asked. Else it would change when they have
 * approved it, and be asked about anew. Whoever changes names all the time delays it only once.
 *
 * Nothing of the agent's is sent on while a preview is under way. Where the server does not answer
 * in time it is given up: the action is judged by what is known already, so that people can be
 * asked, and all else waits until the preview has ended.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_PREVIEW_H
#define WAYLEAVE_PROTOCOL_POSTGRES_PREVIEW_H

#include "protocol/postgres/engine.h"

/* For struct protocol. */
const char *pg_preview_start(struct protocol_engine *base, uint32_t lane);
/* Whether the agent's message may be judged while the one under way has not ended, by names as they
 * were judged before: only so that people can be asked. Once it may, nobody waits for the preview,
 * and no EVENT_PREVIEW comes of it. */
void pg_preview_pass(struct pg_engine *e, bool passes);
/* Whether the agent's message waits for the end of one. */
bool pg_preview_bars(const struct pg_engine *e);
/* Replies to our own queries. -EBADMSG. */
int pg_preview_reply(struct pg_engine *e, uint8_t type, struct slice body);
void pg_preview_free(struct pg_preview *p); /* takes NULL */

#endif
