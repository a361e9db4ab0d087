/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/catalogs.h"

#include "base/clock.h"
#include "protocol/sql/catalog.h"
#include "worker/worker.h"

#define CHECK_LEAST (NANOSECONDS_PER_SECOND / 2)
#define CHECK_PER_ROW (NANOSECONDS_PER_MILLISECOND / 10)

#define XXH_INLINE_ALL
#include <xxhash.h>

struct entry {
	struct table_node node;
	struct slice key; /* owned */
	uint64_t checked; /* when it was last to be compared; monotonic */
	struct protocol_catalog catalog;
};

void catalogs_init(struct catalogs *c, _Atomic uint64_t *epochs)
{
	table_init(&c->table);
	c->epochs = epochs;
}

struct protocol_catalog *catalogs_find(
	struct catalogs *c, struct slice server, struct slice database, struct slice encoding)
{
	size_t shared = server.length + 1 + database.length;
	size_t length = shared + 1 + encoding.length;
	char *key = memory_new(length);
	struct table_node *node;
	struct entry *entry;
	uint64_t hash;

	memcpy(key, server.data, server.length);
	memcpy(key + server.length + 1, database.data, database.length);
	memcpy(key + shared + 1, encoding.data, encoding.length);
	hash = table_hash(key, length);
	for (node = table_find(&c->table, hash); node; node = table_find_next(&c->table, node)) {
		entry = container_of(node, struct entry, node);
		if (slice_equal(entry->key, slice_of(key, length))) {
			free(key);
			return &entry->catalog;
		}
	}
	entry = memory_new(sizeof(*entry));
	entry->key = slice_of(key, length);
	/* Not table_hash(): every worker must find the same counter, whatever the encoding.
	 * Databases that share one only read their names more often. */
	entry->catalog.epoch = &c->epochs[XXH3_64bits(key, shared) % WORKER_EPOCHS];
	table_insert(&c->table, &entry->node, hash);
	return &entry->catalog;
}

/* Others rename and replace what is masked, and the server tells nobody. The comparison costs it
 * about a microsecond for each row: a hundredth of its time at most. */
static uint64_t check_interval(const struct entry *entry)
{
	return CHECK_LEAST + CHECK_PER_ROW * sql_catalog_size(entry->catalog.names);
}

void catalogs_check(struct catalogs *c, uint64_t now)
{
	for (size_t i = 0; i < c->table.bucket_count; i++) {
		list_for_each (position, &c->table.buckets[i]) {
			struct entry *entry = container_of(position, struct entry, node.link);

			if (!entry->catalog.names || now - entry->checked < check_interval(entry))
				continue;
			entry->checked = now;
			entry->catalog.check = true;
			entry->catalog.checks++;
		}
	}
}
