/* SPDX-License-Identifier: Apache-2.0
 *
 * worker_limits: the cgroup of the processes that read what agents and servers send, and what they
 * may have together (`worker_limits` of the configuration).
 */
#ifndef WAYLEAVE_MONITOR_WORKER_LIMITS_H
#define WAYLEAVE_MONITOR_WORKER_LIMITS_H

#include <stdbool.h>

#include "capture/cgroup_limits.h"
#include "policy/config.h"

struct cJSON;

struct worker_limits {
	int outer, cgroup; /* folders; -1: the daemon's cgroup is not its own to divide */
	struct cgroup_limits limits;
	unsigned missing; /* enum cgroup_controller */
	bool set;
	struct error failure; /* of the last try to set them */
};

/* Divides the daemon's cgroup, where that is its own. What can't be done is logged, and nothing is
 * limited then. */
void worker_limits_open(struct worker_limits *l);
/* The cgroup stays: the manager removes it, or the next daemon goes on with it. */
void worker_limits_close(struct worker_limits *l);
/* As the configuration has them; the same. */
void worker_limits_apply(struct worker_limits *l, const struct config *c);
/* In a child that is about to become such a process; `who` is for the log. */
void worker_limits_enter(const struct worker_limits *l, const char *who);
/* Adds "worker_limits" to the object. */
void worker_limits_describe(const struct worker_limits *l, struct cJSON *object);

#endif
