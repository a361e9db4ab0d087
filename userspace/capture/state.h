/* SPDX-License-Identifier: Apache-2.0
 *
 * state: what a capture holds. For the files of this folder alone.
 */
#ifndef WAYLEAVE_CAPTURE_STATE_H
#define WAYLEAVE_CAPTURE_STATE_H

#include "capture/capture.h"
#include "capture/forwarded.h"
#include "capture/guard.h"
#include "capture/guard_watch.h"
#include "capture/networks.h"
#include "capture/pins.h"
#include "capture/programs.h"
#include "capture/queue.h"
#include "capture/routes.h"
#include "capture/trie.h"

/* An agent whose cgroup has the hooks. */
struct governed {
	uint32_t id;
	char *cgroup; /* relative path; own memory */
	uint64_t cgroup_id;
	enum steer_loopback loopback;
	bool listen;
	enum udp_mode udp;
	uint64_t bandwidth;
	bool wild; /* one of several that a path with wildcards stands for */
	bool fresh; /* it may have connections from before the hooks */
	bool configured; /* false: left out of the last setup, but not empty yet */
};

/* Bits. */
enum queue_use { QUEUE_UNUSED, QUEUE_FOR_NAMES, QUEUE_FOR_FLOWS, QUEUE_FOR_FORWARDED = 4 };

struct capture {
	struct pins pins;
	struct cgroup_root root;
	struct programs programs;
	struct routes routes;
	struct trie destinations;
	struct guard_watch watch;
	struct ring_buffer *ring;
	int epoll;
	bool guard_gone; /* the rules must be loaded again */
	struct error tampered; /* what of the rules was not as it was put there; empty: nothing */
	uint64_t guard_shape; /* of the rules as they were loaded */
	uint64_t resolvers_version; /* of those that the rules name */
	struct queue queue; /* of flows to judge; not open where the kernel has none */
	bool queue_is_native;
	bool limits_not; /* guard.h */
	unsigned queue_use; /* the rules that fill it: enum queue_use */
	bool queue_is_taken; /* that rule can't be made: somebody else has its table */
	uint16_t generation; /* of the policy in force */
	int worker_fd; /* the cgroup of the listening sockets */
	struct networks networks;
	struct forwarded forwarded;
	struct guard_watch forward_watch; /* of its rules */
	char folder[CGROUP_PATH_SIZE / 2]; /* of our own cgroups, relative */
	struct steer_settings settings;
	uint32_t quota; /* per agent */
	struct dropped dropped;
	struct governed *governed;
	size_t count;
	struct capture_agent *agents; /* as configured; own memory (enrolment.c) */
	size_t agent_count;
	struct enrol_state *enrolment; /* mapped */
	/* Only inside capture_process(). */
	capture_on_event *on_event;
	void *context;
};

#define CAPTURE_WORKER_OWNER "worker" /* of the pinned links of PROGRAMS_WORKER */

/* Attaches the hooks of the workers, or renews them. */
int capture_attach_workers(struct capture *c, struct error *e);
/* settings into the map. */
int capture_write_settings(struct capture *c, struct error *e);

/* The setup's servers into the map (unix.c); nothing to do where there is none. */
int capture_set_servers(struct capture *c, const struct capture_setup *setup, struct error *e);

/* The list of governed agents (governed.c). */

/* Takes over what is pinned: with new programs, not configured. What an older layout's programs are
 * on has these as well, until it is configured. */
int governed_adopt(struct capture *c, struct error *e);
/* One more, in no cgroup yet. */
struct governed *governed_new(struct capture *c, uint32_t id, const char *cgroup);
void governed_done(struct capture *c);
/* That of an agent without wildcards. */
struct governed *governed_find(struct capture *c, uint32_t id);
/* That of one with wildcards. */
struct governed *governed_find_wild(struct capture *c, uint32_t id, uint64_t cgroup_id);
/* Whether the agents can be governed together; nothing changes. */
int governed_check(
	struct capture *c, const struct capture_agent *agents, size_t count, struct error *e);
/* Attaches the hooks, or renews them, and fills in the agent's settings. */
int governed_set(struct capture *c, const struct capture_agent *agent, struct error *e);
/* The same for one cgroup of an agent, with wildcards or without. */
int governed_put(
	struct capture *c, const struct capture_agent *agent, const char *path, struct error *e);
/* After cgroups came: lets go of those that are gone, loads the guard, ends older connections. */
int governed_refresh(struct capture *c, struct error *e);
/* Lets go of those that are not configured and whose cgroup is empty or gone. */
void governed_release_empty(struct capture *c);
/* An agent's counters: there before anybody counts; what an earlier daemon counted stays. */
int governed_ensure_counters(struct capture *c, uint32_t id);
/* Lets go of them, unless the agent has a cgroup. */
void governed_forget_counters(struct capture *c, uint32_t id);
/* Loads the guard for what is governed now. */
int governed_guard(struct capture *c, struct error *e);
/* What the guard is made of: of one agent, or of all (agent 0). `ret->agents` is from malloc(). */
void governed_fill_guard(struct capture *c, uint32_t agent, struct guard *ret);
/* Whether the rules are what was loaded. */
int governed_check_guard(struct capture *c, struct error *e);
/* The same of hooks and rules. */
int governed_verify(struct capture *c, struct error *e);
/* Puts them back. */
int governed_renew(struct capture *c, struct error *e);
/* Ends the connections that agents have from before they were governed. Behind governed_guard(). */
int governed_abort_older(struct capture *c, struct error *e);

#endif
