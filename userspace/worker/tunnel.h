/* SPDX-License-Identifier: Apache-2.0
 *
 * tunnel: a session whose agent asked a proxy for a connection elsewhere (HTTP's CONNECT), and got
 * it: from there on it is a session with that place, judged from its connection on, whose
 * connection to the server is the one that the proxy passes on. Only the proxy knows what the name
 * stands for.
 */
#ifndef WAYLEAVE_WORKER_TUNNEL_H
#define WAYLEAVE_WORKER_TUNNEL_H

#include "worker/session.h"

/* Whether a connection there may be, as one that the agent makes itself; `name` in lower case, or
 * an address. -EPERM: no, which is recorded; appends why, for the agent, to `why`. */
int tunnel_check(struct session *s, struct slice name, uint16_t port, enum reason *ret_reason,
	struct buffer *why);
/* From now on the session's place is that one, which somebody else looks up: an address goes where
 * the kernel's was, of a name there is none. */
void tunnel_set_place(struct session *s, struct slice name, uint16_t port);
/* The proxy has made it. The engine that asked is gone when this returns, and what either side sent
 * behind its words is kept; tunnel_begin() follows. */
void tunnel_enter(struct session *s, struct slice name, uint16_t port);
/* What the session is connected to, as text, with the proxy's place behind it. */
void tunnel_set_name(struct session *s, const char *proxy);
/* Before the connection is judged as one that a proxy has made: false, it is not, as it ends, or as
 * it is relayed unread where we only observe. */
bool tunnel_may_begin(struct session *s);
/* Judges the connection anew, and goes on with what it carries. */
void tunnel_begin(struct session *s);

#endif
