/* SPDX-License-Identifier: Apache-2.0
 *
 * inner: a connection that an agent makes through another one: what a forward of SSH carries, where
 * it goes to a place that a resource names, or any under `egress: allow`; what a proxy connects to
 * in a stream of HTTP/2 (ferry.h). It is a session like others, of the same process of the agent,
 * whose ends are sockets that the other session's process, or this one, copies from and to. What
 * the place means the host behind it decides, as a proxy does (tunnel.h).
 */
#ifndef WAYLEAVE_WORKER_INNER_H
#define WAYLEAVE_WORKER_INNER_H

#include "base/slice.h"

struct ferry;
struct session;

struct inner {
	bool is; /* the session is one */
	struct ferry *ferry; /* that copies for it; NULL: another process does */
	int server; /* the way to the server, owned; -1: it has been taken, and there is no other */
};

/* The two ends of its sockets, by enum side: its own, and those to copy from and to. */
struct inner_ends {
	int ours[2], theirs[2];
};

/* -EBUSY: there can't be another session. The caller's to close. */
int inner_make_ends(const struct session *outer, struct inner_ends *ret);
/* Takes its own ends. What it is at is still to be set (tunnel_set_place()), and it is still to be
 * started. */
struct session *inner_new(struct session *outer, const int *ends);

/* In either session's recording: the other one's id, in the place of %s. */
void inner_note(struct session *s, const char *format, const char *id);

/* Begins one at "HOST:PORT", and gives `outer`'s process the other ends of its sockets for a lane.
 * -ENOENT: nothing would judge it there; -ENOTCONN: that process is gone; others. */
int inner_begin(struct session *outer, uint32_t lane, struct slice place);

#endif
