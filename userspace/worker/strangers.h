/* SPDX-License-Identifier: Apache-2.0
 *
 * strangers: connections that a worker refuses before they are anybody's session. Each counts in
 * the statistics, but whoever can connect must not be able to fill the disk: each kind is recorded
 * at most once a second, with how many there were.
 */
#ifndef WAYLEAVE_WORKER_STRANGERS_H
#define WAYLEAVE_WORKER_STRANGERS_H

#include <stdint.h>

enum stranger {
	STRANGER_NO_ORIGIN, /* no governed agent's: the listener is no open relay */
	STRANGER_NO_ROOM, /* the worker takes no more sessions */
	STRANGER_COUNT
};

struct strangers {
	uint64_t unrecorded[STRANGER_COUNT];
	uint64_t recorded_at[STRANGER_COUNT]; /* clock_monotonic(); 0: never */
};

struct worker;

/* Resets the connection and closes the descriptor. */
void strangers_refuse(struct worker *w, int fd, enum stranger kind);
/* Records those that came too soon after the last record; now and then, with clock_monotonic(). */
void strangers_tick(struct worker *w, uint64_t now);
/* The same at the end, whenever the last record was. */
void strangers_end(struct worker *w);

#endif
