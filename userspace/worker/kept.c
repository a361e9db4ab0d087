/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/kept.h"

#include <errno.h>
#include <sys/socket.h>

struct item {
	struct list link;
	struct kept_key key;
	struct kept_connection kept;
	uint64_t until;
};

static struct item *item_of(struct list *link)
{
	return list_entry(link, struct item, link);
}

void kept_init(struct kept *k)
{
	list_init(&k->items);
	k->count = 0;
}

static struct kept_connection take_out(struct kept *k, struct item *item)
{
	struct kept_connection c = item->kept;

	list_remove(&item->link);
	k->count--;
	free(item);
	return c;
}

static void drop(struct kept *k, struct item *item)
{
	struct kept_connection c = take_out(k, item);

	leg_connection_close(&c.connection);
}

/* Nobody asked for anything: whatever there is to read, also an end, is no good. */
static bool is_silent(const struct item *item)
{
	uint8_t byte;
	ssize_t n = recv(item->kept.connection.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

size_t kept_count(const struct kept *k, uint32_t agent)
{
	size_t count = 0;

	list_for_each (position, &k->items)
		count += item_of(position)->key.agent == agent;
	return count;
}

void kept_drop(struct kept *k, uint32_t agent)
{
	list_for_each (position, &k->items) {
		if (item_of(position)->key.agent == agent) {
			drop(k, item_of(position));
			return;
		}
	}
}

void kept_clear(struct kept *k)
{
	while (!list_is_empty(&k->items))
		drop(k, item_of(k->items.next));
}

void kept_put(
	struct kept *k, const struct kept_key *key, const struct kept_connection *c, uint64_t until)
{
	struct item *item = memory_new(sizeof(*item));

	if (kept_count(k, key->agent) >= KEPT_MOST_AGENT)
		kept_drop(k, key->agent);
	if (k->count >= KEPT_MOST)
		drop(k, item_of(k->items.next));
	item->key = *key;
	item->kept = *c;
	item->until = until;
	list_append(&k->items, &item->link);
	k->count++;
}

static bool has_key(const struct item *item, const struct kept_key *key)
{
	return item->key.scope == key->scope && memcmp(&item->key, key, sizeof(*key)) == 0;
}

bool kept_take(
	struct kept *k, const struct kept_key *key, uint64_t now, struct kept_connection *ret)
{
	struct list *position = k->items.previous;

	while (position != &k->items) {
		struct item *item = item_of(position);

		position = position->previous;
		if (!has_key(item, key))
			continue;
		if (now < item->until && is_silent(item)) {
			*ret = take_out(k, item);
			return true;
		}
		drop(k, item);
	}
	return false;
}

void kept_tick(struct kept *k, uint64_t now)
{
	list_for_each_safe (position, &k->items) {
		struct item *item = item_of(position);

		if (now >= item->until || !is_silent(item))
			drop(k, item);
	}
}
