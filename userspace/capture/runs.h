/* SPDX-License-Identifier: Apache-2.0
 *
 * runs: cgroups of single commands, inside their agent's, so that the kernel tells the sockets of
 * one command from those of another: struct origin has the id. Hooks and rules of the agent's
 * cgroup hold for what is below it. The kernel refuses folders inside a run's.
 *
 * What is known of a run stands on its folder in extended attributes that root alone sees: it is
 * there as long as the run is, also for a daemon that starts anew.
 */
#ifndef WAYLEAVE_CAPTURE_RUNS_H
#define WAYLEAVE_CAPTURE_RUNS_H

#include <sys/types.h>

#include "capture/capture.h"

#define CAPTURE_RUN_TEXT_MOST 1025 /* bytes, the NUL included */

struct capture_run {
	uint32_t agent;
	uint64_t cgroup; /* id */
	uid_t starter;
	bool own_token; /* it came with one */
	char on_behalf_of[CAPTURE_RUN_TEXT_MOST]; /* empty: of nobody that is known */
};

/* A cgroup for one command of the agent; fills in run->cgroup. Errors as capture_prepare(). */
int capture_run_make(
	struct capture *c, struct capture_run *run, struct capture_place *ret, struct error *e);
/* All there are, those that have ended too; `ret` is for free(). */
size_t capture_run_list(struct capture *c, struct capture_run **ret);
/* Whether a process is in it. -ENOENT: it is gone. */
int capture_run_is_populated(struct capture *c, uint64_t cgroup, bool *ret);
/* Removes it, unless a process is in it. */
void capture_run_remove(struct capture *c, uint64_t cgroup);

#endif
