/* SPDX-License-Identifier: Apache-2.0
 *
 * session_internal: what session.c, session_scope.c and session_begin.c share.
 */
#ifndef WAYLEAVE_WORKER_SESSION_INTERNAL_H
#define WAYLEAVE_WORKER_SESSION_INTERNAL_H

#include "worker/session.h"

/* In the worker's list, with nothing known of it but its origin; takes the descriptor. -1: it is a
 * flow's. */
struct session *session_new(struct worker *w, int fd, const struct origin *origin);
/* Begins it, with what is known by now. */
void session_start(struct session *s);
/* Judges the connection, by what is known now, and goes on accordingly. */
void session_begin(struct session *s);
/* The same, unless something that it is judged by is to come in a moment. */
void session_begin_when_known(struct session *s);
/* Whether the connection may be, as it would be judged now. -EPERM: no, which is recorded; appends
 * why, for the agent. */
int session_check_connection(struct session *s, enum reason *ret_reason, struct buffer *why);
/* The connection is recorded as an action that was refused. */
void session_record_refusal(struct session *s, enum reason reason, struct slice text);
/* The hash of its program is known, or will not be. */
void session_on_hash(struct session *s);

/* Agent, resource and scope by the worker's policy; a scope before is still the caller's to put.
 * Where the place may be several resources it is the one that is called `kept`, else the first.
 * -ENOENT: there is no such agent, and nothing has changed but that. */
int session_take_scope(struct session *s, struct slice kept);
/* The scope again, by what is known of its ends now. */
void session_renew_scope(struct session *s);
/* The next resource that the place may mean, which is not recorded; false: there is none. */
bool session_try_next_candidate(struct session *s);

/* Whether a process of this host is known to have made the connection: of what comes in by an
 * agent's interface, and of datagrams, none is. */
static inline bool session_has_process(const struct session *s)
{
	return s->origin.way == ORIGIN_DIALLED && !s->flow;
}

#endif
