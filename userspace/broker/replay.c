/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/replay.h"

#include <errno.h>

#include "base/clock.h"
#include "base/sha256.h"

bool replay_is_since(uint64_t started, uint64_t sent, uint64_t wall, uint64_t monotonic)
{
	return sent >= (wall - (monotonic - started)) / NANOSECONDS_PER_SECOND;
}

int replay_add(struct replay *r, struct slice what, uint64_t now, uint64_t keep)
{
	struct replay_entry *oldest = &r->entries[r->next];
	uint8_t key[REPLAY_KEY_SIZE];

	sha256_of(what, key);
	for (unsigned i = 0; i < REPLAY_ENTRIES; i++) {
		if (r->entries[i].until > now && memcmp(r->entries[i].key, key, sizeof(key)) == 0)
			return -EALREADY;
	}
	if (oldest->until > now)
		return -ENOSPC;
	memcpy(oldest->key, key, sizeof(key));
	oldest->until = now + keep;
	r->next = (r->next + 1) % REPLAY_ENTRIES;
	return 0;
}
