/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/clock.h"
#include "monitor/start_pace.h"

static unsigned take_all(struct start_pace *p, uint32_t agent, uint64_t now)
{
	unsigned count = 0;

	while (count < 10 * START_PACE_BURST && start_pace_take(p, agent, now))
		count++;
	return count;
}

Test(monitor_start_pace, so_many_at_once_and_so_many_for_long)
{
	struct start_pace p = {.count = 0};
	uint64_t now = 5 * NANOSECONDS_PER_SECOND;

	cr_expect_eq(take_all(&p, 1, now), START_PACE_BURST);
	cr_expect_not(start_pace_take(&p, 1, now));
	/* Another agent has its own. */
	cr_expect_eq(take_all(&p, 2, now), START_PACE_BURST);
	/* To ask in vain costs nothing. */
	now += NANOSECONDS_PER_SECOND / START_PACE_PER_SECOND + 1;
	cr_expect_eq(take_all(&p, 1, now), 1);
	now += 3 * NANOSECONDS_PER_SECOND / START_PACE_PER_SECOND + 1;
	cr_expect_eq(take_all(&p, 1, now), 3);
	/* No more is saved up. */
	now += 1000000 * NANOSECONDS_PER_SECOND;
	cr_expect_eq(take_all(&p, 1, now), START_PACE_BURST);
	start_pace_done(&p);
}

Test(monitor_start_pace, nobody_is_kept_for_ever)
{
	struct start_pace p = {.count = 0};
	uint64_t now = 0;

	for (uint32_t agent = 1; agent <= 1000; agent++) {
		now += 2 * NANOSECONDS_PER_SECOND / START_PACE_PER_SECOND;
		cr_assert(start_pace_take(&p, agent, now));
		cr_assert_leq(p.count, 2);
	}
	start_pace_done(&p);
}
