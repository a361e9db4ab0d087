/* SPDX-License-Identifier: Apache-2.0
 *
 * guard: the nftables rules that reject whatever of an agent's TCP was not redirected: what left
 * before the hooks were there, what a detached hook lets through, and replies of its own listening
 * sockets to other hosts; and its UDP, as far as the configuration says: where policy is to say it,
 * the first packet of each flow is queued for a worker (queue.h). And how much its datagrams may
 * carry in a second (guard_pace.c). One table, "inet wayleave_INSTANCE", replaced in one
 * transaction.
 *
 * Rules name a cgroup by its id, which nft takes from the path when they are loaded: after a cgroup
 * was made anew they must be loaded again.
 */
#ifndef WAYLEAVE_CAPTURE_GUARD_H
#define WAYLEAVE_CAPTURE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "capture/guard_watch.h"
#include "capture/resolvers.h"
#include "policy/mode.h"

struct guard_agent {
	const char *cgroup; /* relative to the cgroup2 root */
	bool listen; /* may answer other hosts from its listening sockets */
	enum udp_mode udp;
	uint32_t id;
	/* Bytes in a second of its datagrams to and from other hosts; 0: any number. */
	uint64_t bandwidth;
};

struct guard {
	const char *instance;
	const char *cgroup_root; /* where cgroup2 is mounted */
	uint16_t port; /* of the worker's listener; 0 = none */
	uint16_t queue; /* where flows of UDP_POLICY wait; 0 = none, they are UDP_DNS */
	bool queue_is_native; /* queue_is_native() */
	bool limits_not; /* the kernel's nftables can't: guard_can_limit() */
	bool queue_is_taken; /* its table can't be had, so it is left as it is */
	uint16_t generation; /* of the policy that flows have to be judged by */
	/* Of agents behind interfaces (forward_rules.h), whose rules fill the same queue: */
	bool forwards_names; /* some are watched */
	bool forwards_flows; /* some are judged */
	/* In another network namespace than the daemon's: datagrams alone (network_rules.h). */
	bool elsewhere;
	struct resolvers resolvers;
	const struct guard_agent *agents;
	size_t count;
};

/* The transaction as nft's text (nft(8)), a NUL behind it. */
int guard_text(const struct guard *g, struct buffer *ret);
/* 1: the kernel's nftables has `limit`; 0: it has none, and no agent's datagrams are limited. An
 * error where that can't be told. */
int guard_can_limit(struct error *e);
/* Whether some agent's flows are queued. */
bool guard_judges(const struct guard *g);
/* Whether what some agent asks name servers is: never less than the above. */
bool guard_watches(const struct guard *g);
/* Whether anything is, also of agents behind interfaces. */
bool guard_queues(const struct guard *g);
/* Loads the rule that fills the queue; before the table. */
int guard_make_queue(const struct guard *g, struct error *e);
/* Loads the table. */
int guard_apply(const struct guard *g, struct error *e);
/* A number for the rules as they are, with those that fill the queue. What was told of before, as
 * that they were loaded, is in it, and no news to the watch any more. */
int guard_take_shape(
	const struct guard *g, struct guard_watch *watch, uint64_t *ret, struct error *e);
/* Whether the rules are those that were loaded, and name every agent. `shape`: what
 * guard_take_shape() said then. */
int guard_check(const struct guard *g, uint64_t shape, struct error *e);
/* A number for the rules of one table as they are, without the agents that they name. */
int guard_shape(const char *instance, uint64_t *ret, struct error *e);
/* The same of the table of that name of another family than inet. */
int guard_shape_of(const char *family, const char *instance, uint64_t *ret, struct error *e);
/* Removes the table; none is no error. */
int guard_remove(const char *instance, struct error *e);

#endif
