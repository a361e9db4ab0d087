/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/signs.h"

#include "base/clock.h"

#define NOTICE_TIME (15 * NANOSECONDS_PER_SECOND)
#define BEAT_TIME NANOSECONDS_PER_SECOND
#define BEATS_PER_SECOND 250 /* of a worker, before they become rarer */
#define BEAT_TIME_MAX (2 * NANOSECONDS_PER_SECOND)
/* The common points. Rarer ones are bunches so long that their sessions' neighbours notice. */
#define POINT_TIME (NANOSECONDS_PER_SECOND / 2)

static uint64_t next(uint64_t now, uint64_t period, uint64_t spread)
{
	uint64_t early = spread ? (spread * 0x9e3779b97f4a7c15 >> 16) % period : 0;
	uint64_t then = now + period - early;
	uint64_t point = then - then % POINT_TIME;

	return point > now ? point : then;
}

uint64_t signs_next_beat(uint64_t now, size_t waiting, uint64_t spread)
{
	uint64_t shared = waiting * (NANOSECONDS_PER_SECOND / BEATS_PER_SECOND);

	if (shared < BEAT_TIME)
		shared = BEAT_TIME;
	return next(now, shared < BEAT_TIME_MAX ? shared : BEAT_TIME_MAX, spread);
}

uint64_t signs_next_notice(uint64_t now, uint64_t spread)
{
	return next(now, NOTICE_TIME, spread);
}
