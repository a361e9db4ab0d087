/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <stdlib.h>

#include "base/random.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define TABLE_FIRST_BUCKETS 16

uint64_t table_hash(const void *data, size_t length)
{
	static uint64_t seed;

	/* Two threads that race here before the first insertion would only differ in the seed;
	 * workers hash before they start threads. */
	while (seed == 0)
		random_fill(&seed, sizeof(seed));
	return XXH3_64bits_withSeed(data, length, seed);
}

void table_init(struct table *t)
{
	*t = (struct table){0};
}

void table_done(struct table *t)
{
	free(t->buckets);
	table_init(t);
}

static struct list *table_bucket(const struct table *t, uint64_t hash)
{
	return &t->buckets[hash & (t->bucket_count - 1)];
}

static void table_resize(struct table *t, size_t bucket_count)
{
	struct table old = *t;

	t->buckets = memory_new_array(bucket_count, sizeof(*t->buckets));
	t->bucket_count = bucket_count;
	for (size_t i = 0; i < bucket_count; i++)
		list_init(&t->buckets[i]);
	for (size_t i = 0; i < old.bucket_count; i++) {
		list_for_each_safe (position, &old.buckets[i]) {
			struct table_node *node = list_entry(position, struct table_node, link);

			list_remove(position);
			list_append(table_bucket(t, node->hash), position);
		}
	}
	free(old.buckets);
}

void table_insert(struct table *t, struct table_node *node, uint64_t hash)
{
	if (t->count >= t->bucket_count)
		table_resize(t, t->bucket_count ? t->bucket_count * 2 : TABLE_FIRST_BUCKETS);
	node->hash = hash;
	list_append(table_bucket(t, hash), &node->link);
	t->count++;
}

void table_remove(struct table *t, struct table_node *node)
{
	list_remove(&node->link);
	t->count--;
}

static struct table_node *table_scan(struct list *head, struct list *from, uint64_t hash)
{
	for (struct list *position = from; position != head; position = position->next) {
		struct table_node *node = list_entry(position, struct table_node, link);

		if (node->hash == hash)
			return node;
	}
	return NULL;
}

struct table_node *table_find(const struct table *t, uint64_t hash)
{
	struct list *head;

	if (t->bucket_count == 0)
		return NULL;
	head = table_bucket(t, hash);
	return table_scan(head, head->next, hash);
}

struct table_node *table_find_next(const struct table *t, const struct table_node *previous)
{
	return table_scan(table_bucket(t, previous->hash), previous->link.next, previous->hash);
}
