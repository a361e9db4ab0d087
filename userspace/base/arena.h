/* SPDX-License-Identifier: Apache-2.0
 *
 * arena: many small allocations that are freed together. Memory is zeroed.
 *
 * An arena has a limit, so that what a peer makes us remember is bounded; allocation beyond it
 * returns NULL, which the caller turns into a named refusal.
 */
#ifndef WAYLEAVE_BASE_ARENA_H
#define WAYLEAVE_BASE_ARENA_H

#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	size_t used; /* bytes in all blocks */
	size_t limit; /* most bytes in all blocks */
};

void arena_init(struct arena *a, size_t limit);
/* Frees all; the arena is empty and may be used again. */
void arena_done(struct arena *a);
/* Zeroed memory aligned for any type, owned by the arena; NULL beyond the limit. */
void *arena_new(struct arena *a, size_t size);
void *arena_new_array(struct arena *a, size_t count, size_t size);
/* A copy owned by the arena (with a NUL behind it, not counted). On failure data is NULL. */
struct slice arena_copy(struct arena *a, struct slice s);

#endif
