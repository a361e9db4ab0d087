/* SPDX-License-Identifier: Apache-2.0
 *
 * networks: listeners in other network namespaces than the daemon's, as in a container: one for
 * each in which an agent makes TCP sockets, and which has a way out (bpf/networks.h). Connections
 * go on from the daemon's namespace. Datagrams leave from there, where rules judge them
 * (network_rules.h).
 *
 * A listening socket keeps its namespace alive: it is closed when no process is there any more.
 */
#ifndef WAYLEAVE_CAPTURE_NETWORKS_H
#define WAYLEAVE_CAPTURE_NETWORKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/shared.h"
#include "capture/listener.h"

/* A listener is there, for workers to accept on; NULL: it is gone, and they must let go of it.
 * `network`: cookie of the namespace, never 0. The descriptors stay the caller's. */
typedef void networks_tell(void *context, uint64_t network, const struct listener_pair *listener);

/* Packets of a namespace wait for verdicts there; NULL: not any more. The queue stays the caller's.
 */
struct queue;
typedef void networks_tell_queue(void *context, uint64_t network, const struct queue *queue);

struct network_rules;

struct network {
	uint64_t cookie;
	uint64_t namespace_id; /* inode of /proc/PID/ns/net */
	uint64_t retry; /* CLOCK_MONOTONIC: none could be made, and may be tried again then; else 0
			 */
	uint32_t agent; /* that asked, and whose share it takes */
	uint32_t pid, thread; /* that was there when it was last looked at */
	struct listener_set listener;
	int namespace_fd; /* /proc/PID/ns/net; -1: it could not be entered */
	struct network_rules *rules; /* NULL: datagrams are refused there */
	bool never; /* and will be: a thread of some agent could change them */
	bool lived_in; /* networks_tick() */
};

struct capture;

struct networks {
	int map, asked; /* bpf/maps.h; the caller's */
	int cgroup_fd; /* of the workers; the caller's */
	networks_tell *tell; /* NULL: closed */
	networks_tell_queue *on_queue;
	void *context;
	struct capture *capture; /* whose agents the rules are for; NULL: none are made */
	uint16_t port; /* that connections wait for in other namespaces; 0: any */
	struct network *items;
	size_t count;
	uint64_t next_look; /* CLOCK_MONOTONIC */
	bool failing, unruled; /* and said so: agents must not fill the log */
};

/* Forgets what the map has of a daemon before, whose listeners are gone. */
void networks_open(struct networks *ret, int map, int asked, int cgroup_fd, networks_tell *tell,
	void *context);
/* Whether this process may enter other network namespaces at all (setns(2)). */
bool networks_can_be_entered(void);
/* An agent has a socket in a namespace. The process that it names is believed no more than that it
 * leads to the namespace: which one that is, is looked at there. Where it has ended nothing is
 * known, and others ask. Where no listener can be made, or the agent has its share, the maps say
 * so, and who connects is refused. */
void networks_on_event(struct networks *n, const struct network_event *event);
/* Now and then: lets go of namespaces without processes and threads, and puts rules back that
 * somebody removed or changed. */
void networks_tick(struct networks *n);
/* What hooks know of a namespace with a listener: whose datagrams are judged there (struct
 * steer_network). */
int networks_put(const struct networks *n, const struct network *w, uint32_t judged);
void networks_each(const struct networks *n, networks_tell *tell, void *context);
/* Lets go of all. */
void networks_close(struct networks *n);

#endif
