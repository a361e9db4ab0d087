/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define ARENA_BLOCK_SIZE 2048 /* the first block; each further one doubles, to 64 KiB */
#define ARENA_BLOCK_MOST 65536

struct arena_block {
	struct arena_block *next;
	size_t used;
	size_t size;
	alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){.limit = limit};
}

void arena_done(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *block = a->blocks;

		a->blocks = block->next;
		free(block);
	}
	a->used = 0;
}

static struct arena_block *arena_add_block(struct arena *a, size_t size)
{
	size_t wanted = a->blocks ? a->blocks->size * 2 : ARENA_BLOCK_SIZE;
	struct arena_block *block;

	if (wanted > ARENA_BLOCK_MOST)
		wanted = ARENA_BLOCK_MOST;
	if (wanted < size)
		wanted = size;
	if (wanted > a->limit || a->used > a->limit - wanted)
		wanted = size;
	if (wanted > a->limit || a->used > a->limit - wanted)
		return NULL;
	block = calloc(1, sizeof(*block) + wanted);
	if (!block)
		return NULL;
	block->size = wanted;
	block->next = a->blocks;
	a->blocks = block;
	a->used += wanted;
	return block;
}

void *arena_new(struct arena *a, size_t size)
{
	struct arena_block *block = a->blocks;
	size_t aligned;
	void *p;

	if (size > SIZE_MAX - alignof(max_align_t))
		return NULL;
	aligned = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!block || block->size - block->used < aligned) {
		block = arena_add_block(a, aligned);
		if (!block)
			return NULL;
	}
	p = block->data + block->used;
	block->used += aligned;
	return p;
}

void *arena_new_array(struct arena *a, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return arena_new(a, bytes);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	uint8_t *copy;

	if (s.length == SIZE_MAX)
		return SLICE_EMPTY;
	copy = arena_new(a, s.length + 1);
	if (!copy)
		return SLICE_EMPTY;
	if (s.length)
		memcpy(copy, s.data, s.length);
	return slice_of(copy, s.length);
}
