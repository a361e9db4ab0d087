/* SPDX-License-Identifier: Apache-2.0
 *
 * delta_text: one text that events carry in pieces, and what leaves in place of each piece; inside
 * masking/ only, used by deltas.c.
 */
#ifndef WAYLEAVE_MASKING_DELTA_TEXT_H
#define WAYLEAVE_MASKING_DELTA_TEXT_H

#include "masking/stream.h"

/* Places in a text count its bytes from its first piece on. */
struct delta_text {
	uint64_t key;
	uint64_t last; /* the event that had a piece of it */
	uint64_t came, passed;
	struct delta_piece *first, **end; /* of those that wait, in their order */
	struct mask_stream stream;
};

/* Zeroed is one that has no text. It is the caller's and stays where it is while it waits. */
struct delta_piece {
	struct delta_text *text; /* NULL: all of it has passed */
	struct delta_piece *next; /* of the same text */
	uint64_t from, to; /* of the text */
	struct slice meant; /* while it waits; of the event's bytes, or `own` */
	uint8_t *own;
	struct buffer leaves; /* in place of all that it means, where that is `changed` */
	bool changed;
};

/* The masker is copied; engine and hasher are borrowed. Never NULL. No piece of it may wait when it
 * is freed, but where they are freed too. */
struct delta_text *delta_text_new(const struct masker *m, uint64_t key);
void delta_text_free(struct delta_text *t);
/* Bytes of memory. */
size_t delta_text_held(const struct delta_text *t);

/* Takes the next piece, `inside` a string that outlives it and is no longer than `most` bytes, and
 * lets pass what may. `held`, here and below, counts the pieces' memory, beyond themselves. Errors
 * of buffer.h and detector_scan(). */
int delta_text_take(struct delta_text *t, struct delta_piece *p, struct slice inside, size_t most,
	size_t *held);
/* Lets pass all that waits, as what it is taken to be by now or, if `hidden`, as "[masked]"; what
 * follows, and belongs to a finding that began before, is still replaced. */
int delta_text_settle(struct delta_text *t, bool hidden, size_t *held);

/* Bytes of memory beyond itself. */
static inline size_t delta_piece_held(const struct delta_piece *p)
{
	return (p->own ? p->meant.length : 0) + p->leaves.capacity;
}
void delta_piece_done(struct delta_piece *p);

#endif
