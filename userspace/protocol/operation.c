/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/operation.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define PROTOCOLS_TCP (1u << PROTOCOL_TCP)
#define PROTOCOLS_SQL (1u << PROTOCOL_POSTGRES | 1u << PROTOCOL_MYSQL)
#define PROTOCOLS_HTTP (1u << PROTOCOL_HTTP)
#define PROTOCOLS_KUBERNETES (1u << PROTOCOL_KUBERNETES)
#define PROTOCOLS_SSH (1u << PROTOCOL_SSH)
#define PROTOCOLS_UDP (1u << PROTOCOL_UDP)
#define PROTOCOLS_ANY ((1u << PROTOCOL_COUNT) - 1)

static const struct operation_row {
	const char *name;
	enum operation_group group;
	unsigned protocols;
} operations[OPERATION_COUNT] = {
#define OPERATION(symbol, name, group, protocols)                                                  \
	[OPERATION_##symbol] = {name, OPERATION_GROUP_##group, PROTOCOLS_##protocols},
#include "protocol/operations.inc"
#undef OPERATION
};

static const char *const group_names[OPERATION_GROUP_COUNT] = {
	[OPERATION_GROUP_READ] = "read",
	[OPERATION_GROUP_WRITE] = "write",
	[OPERATION_GROUP_DDL] = "ddl",
	[OPERATION_GROUP_ADMIN] = "admin",
};

static const char *const protocol_names[PROTOCOL_COUNT] = {
	[PROTOCOL_TCP] = "tcp",
	[PROTOCOL_POSTGRES] = "postgres",
	[PROTOCOL_MYSQL] = "mysql",
	[PROTOCOL_SSH] = "ssh",
	[PROTOCOL_HTTP] = "http",
	[PROTOCOL_KUBERNETES] = "kubernetes",
	[PROTOCOL_UDP] = "udp",
	[PROTOCOL_ICMP] = "icmp",
};

const char *operation_name(enum operation operation)
{
	return operations[operation].name;
}

enum operation_group operation_get_group(enum operation operation)
{
	return operations[operation].group;
}

bool operation_is_of(enum operation operation, enum protocol_id protocol)
{
	return operations[operation].protocols >> protocol & 1;
}

static unsigned protocols_of(enum protocol_id protocol)
{
	return protocol == PROTOCOL_COUNT ? PROTOCOLS_ANY : 1u << protocol;
}

enum operation operation_from_name(struct slice name, enum protocol_id protocol)
{
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (operations[i].protocols & protocols_of(protocol) &&
			slice_equal_string(name, operations[i].name))
			return (enum operation)i;
	}
	return OPERATION_COUNT;
}

#define KEY_OF " of " /* no name has a space */

char *operation_key(enum operation operation)
{
	const struct operation_row *row = &operations[operation];
	unsigned protocol = (unsigned)__builtin_ctz(row->protocols);

	if (operation_from_name(slice_from_string(row->name), PROTOCOL_COUNT) == operation)
		return memory_copy_string(row->name);
	return memory_format("%s" KEY_OF "%s", row->name, protocol_names[protocol]);
}

enum operation operation_from_key(struct slice key)
{
	const uint8_t *space = key.length ? memchr(key.data, ' ', key.length) : NULL;
	struct slice name = slice_head(key, space ? (size_t)(space - key.data) : key.length);
	struct slice rest = slice_from(key, name.length);
	enum operation first = operation_from_name(name, PROTOCOL_COUNT), operation;

	if (!space)
		return first;
	if (!slice_starts_with(rest, slice_from_string(KEY_OF)))
		return OPERATION_COUNT;
	operation = operation_from_name(name, protocol_from_name(slice_from(rest, strlen(KEY_OF))));
	/* There is one way to write each. */
	return operation == first ? OPERATION_COUNT : operation;
}

enum protocol_id protocol_from_name(struct slice name)
{
	for (unsigned id = 0; id < PROTOCOL_COUNT; id++) {
		if (slice_equal_string(name, protocol_names[id]))
			return (enum protocol_id)id;
	}
	return PROTOCOL_COUNT;
}

const char *protocol_name(enum protocol_id protocol)
{
	return protocol_names[protocol];
}

static bool operation_means(const struct operation_row *row, struct slice name)
{
	const char *group = group_names[row->group];

	/* Asking a proxy for a connection is making one, for who writes rules. */
	if (row == &operations[OPERATION_HTTP_CONNECT] &&
		slice_equal_string(name, operations[OPERATION_CONNECT].name))
		return true;
	return slice_equal_string(name, "*") || slice_equal_string(name, row->name) ||
		(group && slice_equal_string(name, group));
}

unsigned operation_set_add_name(
	struct operation_set *set, struct slice name, enum protocol_id protocol)
{
	unsigned added = 0;

	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (!(operations[i].protocols & protocols_of(protocol)) ||
			!operation_means(&operations[i], name))
			continue;
		operation_set_add(set, (enum operation)i);
		added++;
	}
	return added;
}
