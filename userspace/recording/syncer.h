/* SPDX-License-Identifier: Apache-2.0
 *
 * syncer: a thread that does nothing but fdatasync(2), so that a slow disk never stops a loop. One
 * job at a time. The thread uses futex, fdatasync, close and write alone, for the sandbox's list.
 */
#ifndef WAYLEAVE_RECORDING_SYNCER_H
#define WAYLEAVE_RECORDING_SYNCER_H

#include "recording/format.h"

#define SYNCER_ITEMS_MOST 8

struct sync_item {
	int fd;
	bool close; /* the descriptor is the thread's to close */
	struct stream_head head; /* what is true once the file is synced */
	int error; /* negative errno of fdatasync() */
};

struct syncer;

/* Starts the thread. *ret is the caller's. */
int syncer_new(struct syncer **ret);
/* Waits for the job that runs, ends the thread. Takes NULL. */
void syncer_free(struct syncer *s);
/* Readable (an eventfd) when a job was done; reset by syncer_finish(). Owned by the syncer. */
int syncer_event(const struct syncer *s);
bool syncer_is_busy(const struct syncer *s);
/* Begins a job of 1 to SYNCER_ITEMS_MOST items, which are copied. The syncer must not be busy. */
void syncer_start(struct syncer *s, const struct sync_item *items, size_t count);
/* Returns when no job runs, without a system call that a worker's sandbox has not (poll). */
void syncer_wait(struct syncer *s);
/* The items of a job that was done, in `ret` (room for SYNCER_ITEMS_MOST); returns their number, 0
 * while there is none. */
size_t syncer_finish(struct syncer *s, struct sync_item *ret);

#endif
