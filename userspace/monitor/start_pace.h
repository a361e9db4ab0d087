/* SPDX-License-Identifier: Apache-2.0
 *
 * start_pace: how often root inside of an agent may ask for the plan of a unit's command. Each
 * answer is a record of the audit log, and who asks need not start anything with it.
 */
#ifndef WAYLEAVE_MONITOR_START_PACE_H
#define WAYLEAVE_MONITOR_START_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define START_PACE_BURST 32 /* plans of one agent at once: a slice has several units, … */
#define START_PACE_PER_SECOND 1 /* … and for long; systemd gives up earlier, too */

struct start_allowance {
	uint32_t agent;
	double left; /* plans that it may have, at: */
	uint64_t filled; /* monotonic nanoseconds */
};

/* Begins as zeros. */
struct start_pace {
	struct start_allowance *agents; /* of those that have not got all of it */
	size_t count;
};

void start_pace_done(struct start_pace *p);
/* Whether the agent may have one more, which is then counted: START_PACE_BURST at once, and
 * START_PACE_PER_SECOND for long. `now`: clock_monotonic(). */
bool start_pace_take(struct start_pace *p, uint32_t agent, uint64_t now);

#endif
