/* SPDX-License-Identifier: Apache-2.0
 *
 * wall: the wall clock, which somebody may set. What people were promised is a time from when they
 * were asked, so deadlines and grants move with the clock: one that is set back gives no grant a
 * longer life, and one that is set forward takes none away.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/boot_id.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "monitor/monitor.h"

/* What is less is the clock being adjusted, which adds up until it counts. */
#define SET_LEAST ((int64_t)(2 * NANOSECONDS_PER_SECOND))
/* Age deletes nothing for so long after it: the clock may be set right again. */
#define SET_RECENTLY (24 * 3600 * NANOSECONDS_PER_SECOND)
#define WALL_FILE "clock"

struct wall_file {
	char boot[BOOT_ID_SIZE];
	struct wall wall;
};

static char *path_of(const struct monitor *m)
{
	return memory_format("%s/" WALL_FILE, m->config->state_dir.text);
}

/* What an earlier boot left says nothing: there is no time that nobody sets between two. */
static void take_file(struct monitor *m)
{
	struct wall_file f;
	struct buffer bytes;
	char boot[BOOT_ID_SIZE], *path = path_of(m);
	struct error e;

	buffer_init(&bytes, sizeof(f));
	if (boot_id_read(boot, &e) == 0 && access(path, F_OK) == 0 &&
		file_read(path, &bytes, &e) == 0 && buffer_length(&bytes) == sizeof(f)) {
		memcpy(&f, buffer_slice(&bytes).data, sizeof(f));
		if (memcmp(f.boot, boot, sizeof(boot)) == 0)
			m->wall = f.wall;
	}
	buffer_done(&bytes);
	free(path);
}

/* Before anything is moved by it: what is moved on disk and then not known to be would be moved
 * again by the next daemon, and last longer. */
static void write_file(const struct monitor *m)
{
	struct wall_file f = {.wall = m->wall};
	char *path = path_of(m);
	struct error e;

	if (boot_id_read(f.boot, &e) < 0 ||
		file_write(path, slice_of(&f, sizeof(f)), 0600, &e) < 0) {
		unlink(path);
		log_warning("how the clock is set can't be kept for the next start: %s", e.text);
	}
	free(path);
}

static void tell(struct monitor *m, int64_t by)
{
	int64_t second = (int64_t)NANOSECONDS_PER_SECOND;
	char *text = memory_format("the clock was set %s by %" PRId64 " s",
		by < 0 ? "back" : "forward", ((by < 0 ? -by : by) + second / 2) / second);

	log_warning("%s: reviews and grants end after as much time as before", text);
	if (store_note(m->store, HOST_WARNING, slice_from_string("clock"),
		    slice_from_string(text)) < 0)
		log_warning("the audit log does not say that %s", text);
	free(text);
}

/* By how much the clock was set since the last call. */
static int64_t look(struct monitor *m, uint64_t *ret_now)
{
	struct wall *w = &m->wall;
	uint64_t now = clock_wall(), boot = clock_boot();
	int64_t by = w->boot ? (int64_t)(now - (w->now + (boot - w->boot))) : 0;

	*ret_now = now;
	if (w->boot && by > -SET_LEAST && by < SET_LEAST)
		return 0;
	if (w->boot) {
		w->set_at = boot;
		tell(m, by);
	}
	w->now = now;
	w->boot = boot;
	write_file(m);
	return by;
}

int64_t wall_open(struct monitor *m)
{
	uint64_t now;

	take_file(m);
	return look(m, &now);
}

uint64_t wall_now(struct monitor *m)
{
	uint64_t now;
	int64_t by = look(m, &now);

	if (by)
		book_set_clock(m->book, by);
	return now;
}

bool wall_was_set(const struct monitor *m)
{
	return m->wall.set_at && clock_boot() - m->wall.set_at < SET_RECENTLY;
}
