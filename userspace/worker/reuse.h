/* SPDX-License-Identifier: Apache-2.0
 *
 * reuse: how a session leaves its server's connection to the next one of its agent, and goes on
 * with what another has left (kept.h). Left is what the engine says may be (leaves_server) and of
 * which nothing is on its way, once nothing of it is in flight; taken where the engine says that
 * it will do (struct protocol_connect), before a socket is made.
 */
#ifndef WAYLEAVE_WORKER_REUSE_H
#define WAYLEAVE_WORKER_REUSE_H

#include "worker/kept.h"
#include "worker/session.h"

/* What a session's connection to the server is known by, from when it is made. */
struct reuse {
	struct kept_key key;
	uint64_t made; /* monotonic */
	struct identifier session; /* in which */
};

/* Tells the engine whether there is any of that here, by the scope that applies now. */
void reuse_prepare(struct session *s);
/* A connection to the server is to be made: one that was kept, if there is one that will do, is the
 * server's leg's from here on. False: there is none. One that would do, where a new one is asked
 * for, is closed first: a server that serves one after the other would wait for it. */
bool reuse_take(struct session *s);
/* A new one stands; TLS with it begins, with that name. */
void reuse_on_connected(struct session *s);
void reuse_on_tls(struct session *s, const char *alpn, const char *name);
/* Before a new one is made: closes kept ones of the agent where there would be more connections
 * than it may have sessions. */
void reuse_make_room(struct session *s);
/* While the session closes: true, the server's leg is being left, or was. False: it is to be closed
 * as ever. */
bool reuse_leave(struct session *s);
/* The session is freed. */
void reuse_done(struct session *s);

#endif
