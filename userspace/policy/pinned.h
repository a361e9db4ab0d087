/* SPDX-License-Identifier: Apache-2.0
 *
 * pinned: which addresses the host's resolvers told an agent that a resource's name has. The
 * monitor writes the table, all workers read it, in shared memory; so an answer can be held back
 * until what it says holds wherever the agent connects.
 */
#ifndef WAYLEAVE_POLICY_PINNED_H
#define WAYLEAVE_POLICY_PINNED_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/limits.h"
#include "policy/host.h"

#define PINNED_NAME_SIZE (HOST_NAME_MOST + 1)
#define PINNED_FOUND_MOST 8 /* names of one address */
#define PINNED_RESOLVERS_MOST 16

struct pinned_table {
	_Atomic uint64_t version; /* odd while it is written */
	uint32_t count; /* entries that were ever used; the rest is zeroes */
	uint32_t agents[LIMIT_PINNED]; /* 0: free */
	struct address addresses[LIMIT_PINNED];
	uint64_t until[LIMIT_PINNED]; /* monotonic, nanoseconds */
	char names[LIMIT_PINNED][PINNED_NAME_SIZE];
	/* Whose answers are believed: the host's own name servers. */
	uint32_t resolver_count;
	struct address resolvers[PINNED_RESOLVERS_MOST];
};

/* For the only writer. Keeps an entry that is there until the later of both times. An agent that
 * has its share loses what would end first. -ENOSPC: others have the rest. `name` is in lower case.
 * `ret`: which entry it is. */
int pinned_put(struct pinned_table *table, uint32_t agent, const char *name,
	const struct address *address, uint64_t now, uint64_t until, uint32_t *ret);

/* Another one, where the table has changed since. */
static inline uint64_t pinned_version(const struct pinned_table *table)
{
	return atomic_load(&table->version);
}

/* For the only writer; at most PINNED_RESOLVERS_MOST. */
void pinned_set_resolvers(
	struct pinned_table *table, const struct address *resolvers, size_t count);
/* Whether the address is one of the host's name servers'. False, where the writer never comes to an
 * end. */
bool pinned_is_resolver(const struct pinned_table *table, const struct address *address);

struct pinned_names {
	char texts[PINNED_FOUND_MOST][PINNED_NAME_SIZE];
	size_t count;
};

/* Which names count before others, of which an agent may have looked up more than are given. */
struct pinned_first {
	bool (*is_first)(const void *context, const char *name);
	const void *context;
};

/* The names of an agent's address. */
void pinned_find(const struct pinned_table *table, uint32_t agent, const struct address *address,
	uint64_t now, const struct pinned_first *first, struct pinned_names *ret);

#endif
