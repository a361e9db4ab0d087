/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "worker/signs.h"

#define SECOND NANOSECONDS_PER_SECOND
#define POINT (SECOND / 2)
#define START (1234 * SECOND + 567890)

Test(signs, are_as_often_as_a_library_needs)
{
	const struct {
		size_t waiting;
		uint64_t most;
	} cases[] = {{1, SECOND}, {250, SECOND}, {375, SECOND + POINT}, {100000, 2 * SECOND}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t now = START;

		for (unsigned j = 0; j < 100; j++) {
			uint64_t then = signs_next_beat(now, cases[i].waiting, 0);

			cr_assert_gt(then, now);
			cr_assert_leq(then - now, cases[i].most);
			/* Nor much more often, once they stand at a point. */
			cr_assert(j == 0 || then - now > cases[i].most / 2);
			now = then + j * 50000; /* looked at a little later */
		}
	}
}

/* Each point in time is one hold-up for whoever works, however many speak then. */
Test(signs, come_together)
{
	unsigned at[4] = {0};

	for (uint64_t wait = 1; wait <= 1000; wait++) {
		uint64_t now = START + wait * 1000;
		uint64_t first = signs_next_beat(now, 500, wait);
		uint64_t then = signs_next_beat(first, 500, 0);

		cr_assert_gt(first, now);
		cr_assert_eq(then % POINT, 0);
		at[then / POINT % 4]++;
	}
	for (unsigned i = 0; i < 4; i++)
		cr_assert(at[i] > 180 && at[i] < 320, "%u of 1000 at point %u", at[i], i);
}

Test(signs, are_seen_by_people_every_15_seconds)
{
	uint64_t then = signs_next_notice(START, 0);

	cr_assert(then - START <= 15 * SECOND && then - START > 14 * SECOND);
	cr_assert_eq(signs_next_notice(then, 0) - then, 15 * SECOND);
	then = signs_next_notice(START, 77);
	cr_assert(then > START && then - START <= 15 * SECOND);
}
