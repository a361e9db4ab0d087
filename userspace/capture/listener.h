/* SPDX-License-Identifier: Apache-2.0
 *
 * listener: the listening sockets that agents' connections are turned to: 127.0.0.1 and ::1 on one
 * port, a pair per worker. They are made by a short-lived child inside the worker's cgroup, because
 * the programs that hand over the origin follow the cgroup in which a listener was created.
 */
#ifndef WAYLEAVE_CAPTURE_LISTENER_H
#define WAYLEAVE_CAPTURE_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "bpf/shared.h"

#define LISTENER_NO_SOCKET (-1)

struct listener_pair {
	int v4;
	int v6; /* LISTENER_NO_SOCKET where the host has no IPv6 */
};

struct listener_set {
	struct listener_pair *pairs; /* from malloc() */
	unsigned count;
	uint16_t port;
	bool spread; /* connections go round; false: the kernel chooses by hash */
};

/* Where other listening sockets than this network namespace's are made. */
struct listener_place {
	int namespace_fd; /* as of /proc/PID/ns/net; the caller's */
	uint64_t cookie; /* that it must have (SO_NETNS_COOKIE) */
};

/* `cgroup_fd`: where they belong. `port` 0: one below 1024 that is free, so that no agent can have
 * it; another one must be privileged too (net.ipv4.ip_unprivileged_port_start), else -EINVAL.
 * The descriptors are non-blocking and close-on-exec; whoever wants to accept on them must inherit
 * them or get them by SCM_RIGHTS, never make others. */
int listener_open(
	int cgroup_fd, unsigned count, uint16_t port, struct listener_set *ret, struct error *e);

/* One pair in another network namespace; on `port`, or on a port of its own where that is taken
 * there. -ESTALE: the namespace is another one, and nothing was made in it. The buffers are ours to
 * choose: LIMIT_NETWORK_SOCKET_BUFFER. */
int listener_open_in(int cgroup_fd, const struct listener_place *place, uint16_t port,
	struct listener_set *ret, struct error *e);

/* One pair on all addresses of this network namespace, on a port below 1024 that is free: for what
 * rules lead there (forwarded.h), and refused from whoever else comes. */
int listener_open_wide(int cgroup_fd, struct listener_set *ret, struct error *e);

/* Sockets that another process had listening, and handed over; -1: none. */
struct listener_inherited {
	int v4[STEER_WORKERS_MOST], v6[STEER_WORKERS_MOST];
	unsigned v4_count, v6_count;
};

/* Goes on with them, what waits there included. -ENOENT: there are none. -ESTALE: they are not what
 * listener_open() would make (`port` 0: any that it might choose), don't carry the mark of the
 * worker's listeners in `marks`, a map (bpf/maps.h), or were made in another cgroup, as one that
 * was there before. On success the set has the descriptors, else they stay the caller's. */
int listener_adopt(const struct listener_inherited *from, int marks, int cgroup_fd, unsigned count,
	uint16_t port, struct listener_set *ret);
/* Closes them. */
void listener_discard(struct listener_inherited *from);
void listener_close(struct listener_set *s);

#endif
