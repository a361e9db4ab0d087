/* SPDX-License-Identifier: Apache-2.0
 *
 * trie: a pinned prefix trie that is kept equal to a list, by its differences alone. What an
 * earlier daemon left in it is part of the differences.
 */
#ifndef WAYLEAVE_CAPTURE_TRIE_H
#define WAYLEAVE_CAPTURE_TRIE_H

#include <stdbool.h>
#include <stddef.h>

#include "bpf/shared.h"

/* Values are of one size for all tries here; one whose value is shorter uses its first bytes. */
struct trie_item {
	struct prefix_key key;
	struct steer_route value;
};

struct trie {
	int fd; /* the map's, its owner's */
	struct trie_item *items; /* sorted, without duplicates */
	size_t count;
};

/* Reads what is there. */
int trie_open(struct trie *ret, int fd);
void trie_done(struct trie *t);
/* Takes `items`, which came from malloc() and need no order; of equal keys one stays.
 * Adds before it removes. -ENOSPC where they don't fit: then a part of them is there. */
int trie_set(struct trie *t, struct trie_item *items, size_t count);

#endif
