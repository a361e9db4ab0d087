/* SPDX-License-Identifier: Apache-2.0
 *
 * agent: the handlers of what the agent sends, and what they share. Internal to agent.c, query.c,
 * extended.c and send.c.
 *
 * A handler gets a message that is legal in this phase. It returns PG_TAKEN, having written to the
 * server what stands for the message; PG_WAITING: it is offered again; or negative errno.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_AGENT_H
#define WAYLEAVE_PROTOCOL_POSTGRES_AGENT_H

#include "protocol/postgres/engine.h"

/* query.c */
int pg_query_on_query(struct pg_engine *e, const struct pg_frame *m);

/* extended.c */
int pg_extended_on_parse(struct pg_engine *e, const struct pg_frame *m);
int pg_extended_on_bind(struct pg_engine *e, const struct pg_frame *m);
int pg_extended_on_execute(struct pg_engine *e, const struct pg_frame *m);
int pg_extended_on_describe(struct pg_engine *e, const struct pg_frame *m);
int pg_extended_on_close(struct pg_engine *e, const struct pg_frame *m);
/* Whether the grant by which the portal was bound or declared is in force, if it needed one: each
 * Execute is an action of its own. */
bool pg_extended_is_granted(const struct pg_engine *e, const struct pg_portal *portal);

/* send.c */
/* A request whose reply the server will give behind those in flight; it is the engine's. NULL:
 * there are too many, and the session ends. */
struct pg_request *pg_send_request(struct pg_engine *e, enum pg_request_kind kind);
/* The request's text may change what later text means, or the session's names. NULL: it may do
 * anything. */
void pg_send_effects(struct pg_engine *e, struct pg_request *q, const struct pg_plan *plan);
/* The request may make the server read COPY data. NULL: it may do anything. */
void pg_send_reader(struct pg_engine *e, struct pg_request *q, const struct pg_plan *plan);
/* Passes the message on, or takes it away, with what of it has not arrived yet. */
int pg_send_on(struct pg_engine *e, const struct pg_frame *m);
int pg_send_nothing(struct pg_engine *e, const struct pg_frame *m);
/* Answers the message with `state` and `text` through an error of the server. `type` is that of the
 * message that is sent in order to fail; `name` the one that a Parse was to define. */
int pg_send_poison(struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind,
	uint8_t type, struct slice name, const char *state, struct slice text);
/* The same with the pending message's refusal. */
int pg_send_refused(struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind,
	uint8_t type, struct slice name);
/* The same where the agent asked for it to be given up, or its time was up, before the server had
 * it. */
int pg_send_interrupted(struct pg_engine *e, const struct pg_frame *m);
/* A text beyond the limit is never seen whole: where facts are needed it is refused by name, else,
 * or where we only observe, judged as the unknown that it is and sent on as it comes. */
bool pg_send_refuses_too_long(struct pg_engine *e);
int pg_send_too_long(struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind,
	struct slice name);

#endif
