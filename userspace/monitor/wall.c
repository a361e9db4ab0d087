/* SPDX-License-Identifier: Apache-2.0
 *
 * wall: the wall clock, which somebody may set. What people were promised is a time from when they
 * were asked, so deadlines and grants move with the clock: one that is set back gives no grant a
 * longer life, and one that is set forward takes none away.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/monitor.h"

/* What is less is the clock being adjusted, which adds up until it counts. */
#define SET_LEAST ((int64_t)(2 * NANOSECONDS_PER_SECOND))
/* Age deletes nothing for so long after it: the clock may be set right again. */
#define SET_RECENTLY (24 * 3600 * NANOSECONDS_PER_SECOND)

static void on_set(struct monitor *m, int64_t by)
{
	int64_t second = (int64_t)NANOSECONDS_PER_SECOND;
	char *text = memory_format("the clock was set %s by %" PRId64 " s",
		by < 0 ? "back" : "forward", ((by < 0 ? -by : by) + second / 2) / second);

	log_warning("%s: reviews and grants end after as much time as before", text);
	if (store_note(m->store, HOST_WARNING, slice_from_string("clock"),
		    slice_from_string(text)) < 0)
		log_warning("the audit log does not say that %s", text);
	free(text);
	book_set_clock(m->book, by);
}

uint64_t wall_now(struct monitor *m)
{
	struct wall *w = &m->wall;
	uint64_t now = clock_wall(), boot = clock_boot();
	int64_t by = (int64_t)(now - (w->now + (boot - w->boot)));

	if (w->boot && by > -SET_LEAST && by < SET_LEAST)
		return now;
	if (w->boot) {
		w->set_at = boot;
		on_set(m, by);
	}
	w->now = now;
	w->boot = boot;
	return now;
}

bool wall_was_set(const struct monitor *m)
{
	return m->wall.set_at && clock_boot() - m->wall.set_at < SET_RECENTLY;
}
