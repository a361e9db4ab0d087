/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/unit.h"

#include <stdlib.h>

#include "base/memory.h"

struct unit *unit_new(const struct draft *d, uint64_t number)
{
	struct unit *u;

	if (d->count < 2)
		return NULL;
	u = memory_new(sizeof(*u));
	u->number = number;
	u->count = d->count - 1;
	memcpy(u->digests, d->digests + 1, u->count * sizeof(u->digests[0]));
	return u;
}

void unit_free(struct unit *u)
{
	if (u)
		free(u->by);
	free(u);
}

bool unit_take(struct unit *u, uint64_t number, const uint8_t digest[QUESTION_DIGEST_SIZE])
{
	if (u->number != number)
		return false;
	for (size_t i = u->next; i < u->count; i++) {
		if (memcmp(u->digests[i], digest, QUESTION_DIGEST_SIZE) != 0)
			continue;
		u->next = i + 1;
		return true;
	}
	return false;
}
