/* SPDX-License-Identifier: Apache-2.0
 *
 * replay: what has been acted on, so that nothing is acted on twice. Only what Slack has signed
 * comes here, so nobody else can fill it.
 */
#ifndef WAYLEAVE_BROKER_REPLAY_H
#define WAYLEAVE_BROKER_REPLAY_H

#include <stdbool.h>

#include "base/slice.h"

#define REPLAY_ENTRIES 8192
#define REPLAY_KEY_SIZE 32

struct replay {
	struct replay_entry {
		uint8_t key[REPLAY_KEY_SIZE];
		uint64_t until; /* 0: free */
	} entries[REPLAY_ENTRIES];
	unsigned next; /* the oldest: all are kept equally long */
};

/* Whether something signed at `sent` (wall clock, seconds) was signed since this process began, at
 * `started` of the monotonic clock; what came before, another one may have acted on. `wall` and
 * `monotonic` are the time now, nanoseconds: the wall clock may have been set meanwhile. */
bool replay_is_since(uint64_t started, uint64_t sent, uint64_t wall, uint64_t monotonic);
/* Remembers `what` (its SHA-256) until `now` + `keep`, seconds. -EALREADY: it was there; -ENOSPC:
 * more came in this time than can be remembered, and so it may not be acted on. */
int replay_add(struct replay *r, struct slice what, uint64_t now, uint64_t keep);

#endif
