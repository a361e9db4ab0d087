/* SPDX-License-Identifier: Apache-2.0
 *
 * clock: nanoseconds. Wall time is for records, monotonic time for everything that waits; what
 * others said in wall time is also measured in the time since boot, which nobody sets.
 */
#ifndef WAYLEAVE_BASE_CLOCK_H
#define WAYLEAVE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NANOSECONDS_PER_SECOND 1000000000ULL
#define NANOSECONDS_PER_MILLISECOND 1000000ULL

static inline uint64_t clock_read(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * NANOSECONDS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_wall(void)
{
	return clock_read(CLOCK_REALTIME);
}

/* Also while the machine sleeps. The same in all processes. */
static inline uint64_t clock_boot(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

static inline uint64_t clock_monotonic(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

#endif
