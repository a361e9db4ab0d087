/* SPDX-License-Identifier: Apache-2.0
 *
 * role: statements that a rule has run as another role of the server's. The session stays logged in
 * as who it is; SET ROLE stands right before such a statement, and behind it another one that names
 * the role that the session had, whatever the statement's own code made of it. Nothing else of the
 * agent's reaches the server in between.
 *
 * By the extended protocol both stand in the agent's pipeline: one before the Bind, as that is when
 * a query's permissions are looked at, the other behind the Execute. An error between them takes
 * the transaction back, and with it the role (PostgreSQL 15 documentation, SET: an aborted
 * transaction's are undone). The simple protocol has one message that ends its own transaction: the
 * role is put back when that is answered, before the agent hears of it.
 *
 * Names must mean the same to that role: the server is asked whether its search path is the one by
 * which the statement was judged, and fails it else.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_ROLE_H
#define WAYLEAVE_PROTOCOL_POSTGRES_ROLE_H

#include "protocol/postgres/engine.h"
#include "protocol/postgres/server.h"

/* For mask(): whether what is pending can run as the role that its verdict names, and keeps that.
 * -EPERM with the reason. */
int pg_role_check(struct pg_engine *e, struct protocol_refusal *ret);

/* Before what runs `as` (NULL: as the session does, and nothing is done) under `plan` is sent.
 * PG_TAKEN: it may be sent, or e->pending was refused meanwhile; PG_WAITING; negative errno. */
int pg_role_take(struct pg_engine *e, const char *as, const struct pg_plan *plan, uint64_t action);
/* Before what was planned when it was bound is executed under a new verdict: as whom it may read
 * was settled then, so that e->pending is refused where it would run as another by now. */
void pg_role_check_portal(struct pg_engine *e, const struct pg_portal *portal);
/* What ran (`plan` NULL: nobody knows what) may have set a role, for the session or until its
 * transaction ends. `effects`: enum sql_effect. */
void pg_role_on_effects(struct pg_engine *e, const struct pg_plan *plan, unsigned effects);
/* The transaction is over, and what was set for it. */
void pg_role_on_end(struct pg_engine *e);
/* The Bind of the portal was sent, for which the role was taken. */
void pg_role_bound(struct pg_engine *e, struct pg_portal *portal, struct slice name);
/* The Query was sent, for which the role was taken. */
void pg_role_queried(struct pg_engine *e);
/* Puts the session's own role back behind what was sent. */
int pg_role_give_back(struct pg_engine *e);

/* Before a message of the agent's is handled: puts the role back, unless the message goes on with
 * what has it. PG_WAITING: the message has to wait until that is done. */
int pg_role_before(struct pg_engine *e, const struct pg_frame *m);

/* Whether what the server sends now answers the messages of this file. */
bool pg_role_is_asked(const struct pg_engine *e);
/* Such a reply. -EBADMSG. */
int pg_role_on_reply(struct pg_engine *e, uint8_t type);
/* Whether the error of the request is that names would mean something else to the role. */
bool pg_role_is_elsewhere(const struct pg_request *q, struct slice code);
/* Whether the error is one of putting the role back, of which the agent is told nothing yet. */
bool pg_role_hides_error(const struct pg_engine *e, const struct pg_request *q);
/* The server skips to the next Sync, and has taken its transaction back. */
int pg_role_on_skip(struct pg_engine *e);
/* A ReadyForQuery that ends a request (NULL: none): PG_TAKEN: the agent may have it; PG_WAITING:
 * it gets a later one. */
int pg_role_on_ready(struct pg_engine *e, bool query, bool private);

void pg_role_done(struct pg_engine *e);

#endif
