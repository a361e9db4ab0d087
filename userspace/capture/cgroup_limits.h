/* SPDX-License-Identifier: Apache-2.0
 *
 * cgroup_limits: how much memory and how many tasks the processes of a cgroup may have together, by
 * the controllers of cgroup2 (Documentation/admin-guide/cgroup-v2.rst), as far as it has them:
 * where they belong to version 1, or whoever manages the hierarchy keeps them, it does not.
 */
#ifndef WAYLEAVE_CAPTURE_CGROUP_LIMITS_H
#define WAYLEAVE_CAPTURE_CGROUP_LIMITS_H

#include <stdint.h>

#include "base/error.h"

struct cgroup_limits {
	uint64_t memory; /* bytes, what is cached of files included */
	uint64_t tasks; /* processes and threads */
};

/* Bits. */
enum cgroup_controller { CGROUP_MEMORY = 1, CGROUP_PIDS = 2 };

/* Sets them for the cgroup `inner`, directly below `outer`, in which no process is: descriptors of
 * their folders. Which controllers are not there is no error, and stands in `ret_missing`. After
 * one some may be set. */
int cgroup_limits_set(int outer, int inner, const struct cgroup_limits *limits,
	unsigned *ret_missing, struct error *e);

#endif
