/* SPDX-License-Identifier: Apache-2.0
 *
 * inner: a connection that an agent makes through another one: what a forward of SSH carries, where
 * it goes to a place that a resource names, or any under `egress: allow`. It is a session like
 * others, of the same process of the agent, whose ends are sockets that the other session's process
 * copies from and to. What the place means the host behind it decides, as a proxy does (tunnel.h).
 */
#ifndef WAYLEAVE_WORKER_INNER_H
#define WAYLEAVE_WORKER_INNER_H

#include "base/slice.h"

struct session;

struct inner {
	bool is; /* the session is one */
	int server; /* the way to the server, owned; -1: it has been taken, and there is no other */
};

/* Begins one at "HOST:PORT", and gives `outer`'s process the other ends of its sockets for a lane.
 * -ENOENT: nothing would judge it there; -ENOTCONN: that process is gone; others. */
int inner_begin(struct session *outer, uint32_t lane, struct slice place);

#endif
