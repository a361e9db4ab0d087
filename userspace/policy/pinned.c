/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/pinned.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define READS_MOST 1000 /* while somebody writes */

static bool is_of(const struct pinned_table *t, size_t i, uint32_t agent, const struct address *a)
{
	return t->agents[i] == agent &&
		memcmp(t->addresses[i].bytes, a->bytes, sizeof(a->bytes)) == 0;
}

/* Where it belongs: its own entry, a free one, one of the agent's; LIMIT_PINNED: nowhere. */
static size_t find_room(const struct pinned_table *t, uint32_t agent, const char *name,
	const struct address *address, uint64_t now)
{
	size_t free = LIMIT_PINNED, first = LIMIT_PINNED, share = 0;

	for (size_t i = 0; i < t->count; i++) {
		if (is_of(t, i, agent, address) && strcmp(t->names[i], name) == 0)
			return i;
		if (t->until[i] <= now) {
			if (free == LIMIT_PINNED)
				free = i;
		} else if (t->agents[i] == agent) {
			share++;
			if (first == LIMIT_PINNED || t->until[i] < t->until[first])
				first = i;
		}
	}
	if (share >= LIMIT_PINNED_AGENT)
		return first;
	return free != LIMIT_PINNED ? free : t->count;
}

int pinned_put(struct pinned_table *t, uint32_t agent, const char *name,
	const struct address *address, uint64_t now, uint64_t until, uint32_t *ret)
{
	size_t at = find_room(t, agent, name, address, now);

	if (at == LIMIT_PINNED)
		return -ENOSPC;
	*ret = (uint32_t)at;
	if (is_of(t, at, agent, address) && strcmp(t->names[at], name) == 0 && t->until[at] > until)
		return 0;
	atomic_fetch_add(&t->version, 1);
	t->agents[at] = agent;
	t->addresses[at] = *address;
	t->until[at] = until;
	snprintf(t->names[at], sizeof(t->names[at]), "%s", name);
	if (at == t->count)
		t->count++;
	atomic_fetch_add(&t->version, 1);
	return 0;
}

void pinned_set_resolvers(struct pinned_table *t, const struct address *resolvers, size_t count)
{
	atomic_fetch_add(&t->version, 1);
	t->resolver_count = (uint32_t)count;
	memcpy(t->resolvers, resolvers, count * sizeof(*resolvers));
	atomic_fetch_add(&t->version, 1);
}

static bool find_resolver(const struct pinned_table *t, const struct address *address)
{
	for (uint32_t i = 0; i < t->resolver_count && i < PINNED_RESOLVERS_MOST; i++) {
		if (memcmp(&t->resolvers[i], address, sizeof(*address)) == 0)
			return true;
	}
	return false;
}

bool pinned_is_resolver(const struct pinned_table *t, const struct address *address)
{
	for (unsigned i = 0; i < READS_MOST; i++) {
		uint64_t before = atomic_load(&t->version);
		bool found = find_resolver(t, address);

		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 && atomic_load(&t->version) == before)
			return found;
	}
	return false;
}

/* Where the next name goes: those that are wanted first, in front of the others and, where there is
 * no more room, in place of the last of them. NULL: nowhere. */
static char *make_place(struct pinned_names *names, size_t *wanted, bool is_wanted)
{
	char *place;

	if (names->count < PINNED_FOUND_MOST)
		names->count++;
	else if (!is_wanted || *wanted == names->count)
		return NULL;
	place = names->texts[names->count - 1];
	if (is_wanted) {
		memmove(place, names->texts[*wanted], PINNED_NAME_SIZE);
		place = names->texts[(*wanted)++];
	}
	return place;
}

/* The memory is another process's, which may write meanwhile. */
static void read_names(const struct pinned_table *t, uint32_t agent, const struct address *address,
	uint64_t now, const struct pinned_first *first, struct pinned_names *ret)
{
	uint32_t count = t->count < LIMIT_PINNED ? t->count : LIMIT_PINNED;
	size_t wanted = 0;

	ret->count = 0;
	for (size_t i = 0; i < count; i++) {
		char text[PINNED_NAME_SIZE], *place;

		if (!is_of(t, i, agent, address) || t->until[i] <= now)
			continue;
		memcpy(text, t->names[i], PINNED_NAME_SIZE);
		text[PINNED_NAME_SIZE - 1] = '\0';
		place = make_place(ret, &wanted, first->is_first(first->context, text));
		if (place)
			memcpy(place, text, PINNED_NAME_SIZE);
	}
}

void pinned_find(const struct pinned_table *t, uint32_t agent, const struct address *address,
	uint64_t now, const struct pinned_first *first, struct pinned_names *ret)
{
	for (unsigned i = 0; i < READS_MOST; i++) {
		uint64_t before = atomic_load(&t->version);

		read_names(t, agent, address, now, first, ret);
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 && atomic_load(&t->version) == before)
			return;
	}
	/* Who can't be read says nothing. */
	ret->count = 0;
}
