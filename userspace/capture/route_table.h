/* SPDX-License-Identifier: Apache-2.0
 *
 * route_table: what the kernel's routes say about reaching an address, reduced to what connect(2)
 * needs: is it this host, is there a way, what would the error be, which address would be ours.
 * Pure; routes.c fills it from netlink.
 *
 * Rules (ip rule) are not followed: an address counts as reachable where any table has a way to it.
 * Within a table the route of the lowest metric counts, as in the kernel.
 */
#ifndef WAYLEAVE_CAPTURE_ROUTE_TABLE_H
#define WAYLEAVE_CAPTURE_ROUTE_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "capture/trie.h"

/* One route as rtnetlink(7) has it. */
struct route_entry {
	struct prefix_key destination;
	uint32_t table;
	uint32_t metric;
	uint32_t interface; /* index of the first way out; 0 = none */
	uint8_t type; /* RTN_UNICAST, … */
	uint8_t gateway[16]; /* zeroes = none; IPv4 mapped, as all addresses here */
	uint8_t source[16]; /* preferred, zeroes = none */
};

/* One address of an interface. */
struct route_address {
	uint32_t interface;
	uint16_t family;
	uint8_t scope; /* RT_SCOPE_… */
	bool secondary; /* secondary, deprecated, temporary or tentative: the kernel prefers others
			 */
	unsigned bits; /* of its network, of 128 */
	uint8_t address[16];
};

struct route_table {
	struct route_entry *entries;
	size_t count, capacity;
	struct route_address *addresses;
	size_t address_count, address_capacity;
};

void route_table_init(struct route_table *t);
void route_table_done(struct route_table *t);
/* Copies. Routes that say nothing here (throw, multicast …) are left out. */
void route_table_add(struct route_table *t, const struct route_entry *entry);
void route_table_add_address(struct route_table *t, const struct route_address *address);
/* The result as lists for trie_set(), from malloc(): the caller's. Sorts the entries. */
void route_table_reduce(struct route_table *t, struct trie_item **ret_routes,
	size_t *ret_route_count, struct trie_item **ret_local, size_t *ret_local_count);

#endif
