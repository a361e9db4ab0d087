/* SPDX-License-Identifier: Apache-2.0
 *
 * pair: an operation with its object, as recordings keep it: by names, because the numbers of
 * operation.h are no promise across versions.
 *
 *   state 1 (enum object_state, or-ed with PAIR_EVERYTHING) · operation's length 1 · operation ·
 * object
 */
#ifndef WAYLEAVE_RECORDING_PAIR_H
#define WAYLEAVE_RECORDING_PAIR_H

#include "protocol/action.h"
#include "recording/field.h"

#define PAIR_EVERYTHING 0x80

struct recorded_pair {
	enum object_state state;
	bool everything;
	struct slice operation, object; /* point into what was read */
};

/* Appends a PAIR field; objects are cut at LIMIT_RECORD_NAME. buffer_append()'s errors. */
int pair_append(struct buffer *b, const struct action_pair *pair);
/* -EBADMSG. */
int pair_decode(struct slice bytes, struct recorded_pair *ret);

#endif
