/* SPDX-License-Identifier: Apache-2.0
 *
 * ferry: a connection that a proxy made for the agent within a session, where the session goes on
 * besides (a stream of HTTP/2) or where it stands in TLS of its own: an inner session (inner.h),
 * whose ends are sockets that this worker copies to and from what the session's engine takes for it
 * (struct protocol_tunnel).
 *
 * It is copied because a session's ends are descriptors: TLS, limits, holds and the ring then are
 * what they are for any other.
 */
#ifndef WAYLEAVE_WORKER_FERRY_H
#define WAYLEAVE_WORKER_FERRY_H

#include "protocol/host.h"

struct session;
struct worker;
struct ferry;

/* As struct protocol_host's functions of these names. */
int ferry_begin(struct session *outer, struct protocol_tunnel *t, struct slice name, uint16_t port);
int ferry_write(struct protocol_tunnel *t, enum side from, struct slice bytes);
void ferry_end(struct protocol_tunnel *t, enum side from, bool reset);
void ferry_drop(struct protocol_tunnel *t);

/* Of all that the session carries: receives what its engine takes. */
void ferries_receive(struct session *outer);
/* End of turn: sends what was written. */
void ferries_finish_turn(struct session *outer);
/* It ends, and so do they. */
void ferries_leave(struct session *outer);

/* The inner session ends with a reset of the agent's side; or is about to be freed. */
void ferry_on_reset(struct ferry *c);
void ferry_on_freed(struct ferry *c);

/* Frees those that are over and have nothing in flight. */
void ferries_reap(struct worker *w);

#endif
