/* SPDX-License-Identifier: Apache-2.0
 *
 * unit: the rest of several actions that were approved together. The first was held and goes on;
 * the others pass when they come, in their order, each once, while their unit (protocol.h) lasts.
 */
#ifndef WAYLEAVE_WORKER_UNIT_H
#define WAYLEAVE_WORKER_UNIT_H

#include "worker/draft.h"

struct unit {
	uint64_t number; /* as in struct protocol_action_event */
	struct identifier review, grant; /* grant: that came of the approval */
	char *by; /* owned */
	uint8_t digests[QUESTION_PARTS_MOST][QUESTION_DIGEST_SIZE]; /* of each action alone */
	size_t count, next;
};

/* The rest of what `d` asked about; NULL where there is none. */
struct unit *unit_new(const struct draft *d, uint64_t number);
void unit_free(struct unit *u); /* takes NULL */
/* Whether the action, which has this digest alone, is among what is left; then it, and what stood
 * before it, are no more. */
bool unit_take(struct unit *u, uint64_t number, const uint8_t digest[QUESTION_DIGEST_SIZE]);

#endif
