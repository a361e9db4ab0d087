/* SPDX-License-Identifier: Apache-2.0
 *
 * cancel: an agent's request, on a connection of its own, to cancel what another of its sessions
 * is doing. That session may be any worker's, so all are asked, by way of the monitor; the worker
 * whose it is passes the request on to the server, and answers when the server has closed. Only
 * then is the agent's connection closed: clients take that for "a cancel can't hit what I send
 * next".
 */
#ifndef WAYLEAVE_WORKER_CANCEL_H
#define WAYLEAVE_WORKER_CANCEL_H

#include "base/slice.h"

struct session;
struct worker;

/* Session `s` brought a request for the session of this agent that `key` names; `message` is what
 * the server is to be sent. Ends `s` when all have answered. */
void cancel_ask(struct session *s, struct slice key, struct slice message);
/* For a session that ends before what it asked of the server is done: tells the server that nobody
 * wants it any more, which would notice that at its end alone. The session's connection must stay
 * until then: `s->gives_up` says that it is under way, and the session is touched at its end. */
void cancel_statement(struct session *s);
/* MESSAGE_CANCEL and MESSAGE_CANCELLED came. */
void cancel_on_request(struct worker *w, struct slice payload);
void cancel_on_answer(struct worker *w, struct slice payload);
/* Gives up on servers that don't answer. */
void cancel_tick(struct worker *w, uint64_t now);

#endif
