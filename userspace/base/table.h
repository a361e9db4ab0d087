/* SPDX-License-Identifier: Apache-2.0
 *
 * table: an intrusive hash table. The caller compares keys; the table keeps the hash. Hashes come
 * from table_hash(), which is keyed per process, so that a peer can't choose colliding keys.
 */
#ifndef WAYLEAVE_BASE_TABLE_H
#define WAYLEAVE_BASE_TABLE_H

#include "base/list.h"
#include "base/slice.h"

struct table_node {
	struct list link; /* in a bucket */
	uint64_t hash;
};

struct table {
	struct list *buckets;
	size_t bucket_count; /* a power of two, or 0 before the first insertion */
	size_t count;
};

uint64_t table_hash(const void *data, size_t length);

static inline uint64_t table_hash_slice(struct slice s)
{
	return table_hash(s.data, s.length);
}

void table_init(struct table *t);
/* Frees the buckets; the members stay their owner's. */
void table_done(struct table *t);
/* The caller has made sure that no equal member is there. */
void table_insert(struct table *t, struct table_node *node, uint64_t hash);
void table_remove(struct table *t, struct table_node *node);
/* The first member with this hash, or the next one after `previous`; NULL at the end. */
struct table_node *table_find(const struct table *t, uint64_t hash);
struct table_node *table_find_next(const struct table *t, const struct table_node *previous);

#endif
