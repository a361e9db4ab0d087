/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/start_pace.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

void start_pace_done(struct start_pace *p)
{
	free(p->agents);
	*p = (struct start_pace){.count = 0};
}

static void fill(struct start_allowance *a, uint64_t now)
{
	a->left += (double)(now - a->filled) / NANOSECONDS_PER_SECOND * START_PACE_PER_SECOND;
	a->filled = now;
}

/* Who has all of it again is as if never seen, so that agents that are no longer configured don't
 * stay. */
static void forget_full(struct start_pace *p, uint64_t now)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++) {
		fill(&p->agents[i], now);
		if (p->agents[i].left < START_PACE_BURST)
			p->agents[kept++] = p->agents[i];
	}
	p->count = kept;
}

static struct start_allowance *get(struct start_pace *p, uint32_t agent, uint64_t now)
{
	for (size_t i = 0; i < p->count; i++) {
		if (p->agents[i].agent == agent)
			return &p->agents[i];
	}
	p->agents = memory_resize_array(p->agents, p->count + 1, sizeof(*p->agents));
	p->agents[p->count] = (struct start_allowance){agent, START_PACE_BURST, now};
	return &p->agents[p->count++];
}

bool start_pace_take(struct start_pace *p, uint32_t agent, uint64_t now)
{
	struct start_allowance *a;

	forget_full(p, now);
	a = get(p, agent, now);
	if (a->left < 1)
		return false;
	a->left -= 1;
	return true;
}
