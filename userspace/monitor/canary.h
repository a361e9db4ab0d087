/* SPDX-License-Identifier: Apache-2.0
 *
 * canary: a process in the scratch agent, without privileges and confined as `wayleave run`
 * confines a command, less its mount namespace. It tries every way out on schedule, and when
 * somebody asks; each must be stopped. With it goes a look at the hooks and rules of all agents.
 */
#ifndef WAYLEAVE_MONITOR_CANARY_H
#define WAYLEAVE_MONITOR_CANARY_H

#include "base/buffer.h"
#include "capture/capture.h"
#include "monitor/canary_ways.h"
#include "monitor/loop.h"

struct cJSON;

struct canary {
	struct capture *capture;
	struct loop *loop;
	const char *cgroup_root; /* where cgroup2 is mounted; the capture's */
	pid_t child; /* 0: not running */
	bool reaped; /* the child has ended and been waited for */
	struct loop_source source; /* the pipe from the child */
	struct canary_catcher catchers[CANARY_CAUGHT];
	struct canary_result results[CANARY_WAY_COUNT];
	bool tried[CANARY_WAY_COUNT];
	uint64_t deadline; /* monotonic */

	/* Of the last run that ended. */
	uint64_t runs, at; /* how many; wall clock */
	uint64_t passed; /* of `runs` */
	bool open[CANARY_WAY_COUNT];
	int errors[CANARY_WAY_COUNT]; /* what stopped each */
	char problem[512]; /* what kept it from being a proof; "" */
	uint64_t next; /* monotonic */
};

void canary_init(struct canary *c, struct capture *capture, struct loop *loop);
/* Starts a run, unless one is under way. */
void canary_start(struct canary *c);
/* Once a second: starts and ends what is due. `period` in nanoseconds. */
void canary_tick(struct canary *c, uint64_t now, uint64_t period);
/* A child of the monitor's was waited for; whether it was the canary. */
bool canary_on_exit(struct canary *c, pid_t pid);
void canary_done(struct canary *c);
bool canary_is_good(const struct canary *c);
/* JSON object: state, runs, at, problem, ways: [{name, text, stopped, by}]. */
void canary_describe(const struct canary *c, struct cJSON *ret);

#endif
