/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/route_table.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "capture/prefix.h"

/* What connect(2) gives for a route of each type (net/ipv4/fib_semantics.c, fib_props;
 * net/ipv6/route.c, ip6_rt_type_to_error). */
static const struct route_type {
	bool matters;
	bool local;
	int error;
} types[RTN_MAX + 1] = {
	[RTN_UNICAST] = {true, false, 0},
	[RTN_LOCAL] = {true, true, 0},
	[RTN_ANYCAST] = {true, true, 0},
	[RTN_BROADCAST] = {true, false, -ENETUNREACH},
	[RTN_UNREACHABLE] = {true, false, -EHOSTUNREACH},
	[RTN_BLACKHOLE] = {true, false, -EINVAL},
	[RTN_PROHIBIT] = {true, false, -EACCES},
};

void route_table_init(struct route_table *t)
{
	*t = (struct route_table){0};
}

void route_table_done(struct route_table *t)
{
	free(t->entries);
	free(t->addresses);
	route_table_init(t);
}

void route_table_add(struct route_table *t, const struct route_entry *entry)
{
	if (entry->type > RTN_MAX || !types[entry->type].matters)
		return;
	if (t->count == t->capacity) {
		t->capacity = t->capacity ? t->capacity * 2 : 64;
		t->entries = memory_resize_array(t->entries, t->capacity, sizeof(*t->entries));
	}
	t->entries[t->count++] = *entry;
}

void route_table_add_address(struct route_table *t, const struct route_address *address)
{
	if (t->address_count == t->address_capacity) {
		t->address_capacity = t->address_capacity ? t->address_capacity * 2 : 16;
		t->addresses = memory_resize_array(
			t->addresses, t->address_capacity, sizeof(*t->addresses));
	}
	t->addresses[t->address_count++] = *address;
}

static unsigned common_bits(const uint8_t *a, const uint8_t *b)
{
	for (unsigned i = 0; i < 128; i++) {
		if ((a[i / 8] ^ b[i / 8]) & (0x80 >> i % 8))
			return i;
	}
	return 128;
}

static bool is_zero(const uint8_t *address)
{
	static const uint8_t zero[16];

	return memcmp(address, zero, sizeof(zero)) == 0;
}

/* How well an interface's address fits as ours on the way to `towards`, the gateway or the route's
 * prefix: 0 = not at all. The kernel takes the address in the gateway's network (fib_info_update_
 * nhc_saddr), in IPv6 the longest common prefix (RFC 6724, 5, rule 8) of the right scope (rule 2).
 */
static unsigned fitness(
	const struct route_address *a, const struct route_entry *route, const uint8_t *towards)
{
	bool link_local = a->scope >= RT_SCOPE_LINK;
	unsigned common = common_bits(a->address, towards);
	bool towards_link = towards[0] == 0xfe && (towards[1] & 0xc0) == 0x80;
	bool same_network = common >= a->bits;

	if (a->interface != route->interface || a->family != route->destination.family)
		return 0;
	if (a->family == AF_INET6 && link_local != (towards_link && is_zero(route->gateway)))
		return 0;
	if (link_local && a->family == AF_INET && !same_network)
		return 0;
	return 1 + (!a->secondary) + 2 * (same_network ? common + 1 : 0);
}

static void find_source(const struct route_table *t, const struct route_entry *route, uint8_t *ret)
{
	uint8_t destination[16];
	const uint8_t *towards = route->gateway;
	unsigned best = 0;

	if (!is_zero(route->source)) {
		memcpy(ret, route->source, 16);
		return;
	}
	if (is_zero(towards)) {
		prefix_map_address(
			route->destination.family, route->destination.address, destination);
		towards = destination;
	}
	for (size_t i = 0; i < t->address_count; i++) {
		unsigned fits = fitness(&t->addresses[i], route, towards);

		if (fits > best) {
			best = fits;
			memcpy(ret, t->addresses[i].address, 16);
		}
	}
}

/* By destination, then table, then metric. */
static int compare_entries(const void *a, const void *b)
{
	const struct route_entry *x = a, *y = b;
	int order = prefix_compare(&x->destination, &y->destination);

	if (order == 0)
		order = (x->table > y->table) - (x->table < y->table);
	if (order == 0)
		order = (x->metric > y->metric) - (x->metric < y->metric);
	return order;
}

/* Of the `count` entries for one destination, the one that counts: a way out of any table, else the
 * first. Only the first of a table is in force. */
static const struct route_entry *choose(const struct route_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if ((i == 0 || entries[i].table != entries[i - 1].table) &&
			entries[i].type == RTN_UNICAST)
			return &entries[i];
	}
	return entries;
}

static void reduce_one(const struct route_table *t, const struct route_entry *entries, size_t count,
	struct trie_item *ret)
{
	const struct route_entry *chosen = choose(entries, count);

	*ret = (struct trie_item){
		.key = chosen->destination, .value = {.error = types[chosen->type].error}};
	if (chosen->type == RTN_UNICAST)
		find_source(t, chosen, ret->value.source);
}

void route_table_reduce(struct route_table *t, struct trie_item **ret_routes,
	size_t *ret_route_count, struct trie_item **ret_local, size_t *ret_local_count)
{
	struct trie_item *routes = memory_new_array(t->count + 1, sizeof(*routes));
	struct trie_item *local = memory_new_array(t->count + 1, sizeof(*local));
	size_t route_count = 0, local_count = 0, kept = 0;

	for (size_t i = 0; i < t->count; i++) {
		if (types[t->entries[i].type].local)
			local[local_count++].key = t->entries[i].destination;
		else
			t->entries[kept++] = t->entries[i];
	}
	t->count = kept;
	if (kept)
		qsort(t->entries, kept, sizeof(*t->entries), compare_entries);
	for (size_t i = 0, next; i < kept; i = next) {
		for (next = i + 1; next < kept &&
			prefix_compare(&t->entries[i].destination, &t->entries[next].destination) ==
				0;)
			next++;
		reduce_one(t, &t->entries[i], next - i, &routes[route_count++]);
	}
	*ret_routes = routes;
	*ret_route_count = route_count;
	*ret_local = local;
	*ret_local_count = local_count;
}
