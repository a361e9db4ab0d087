/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/operation.h"

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

enum operation operation_from_name(struct slice name)
{
	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (slice_equal_string(name, operations[i].name))
			return (enum operation)i;
	}
	return OPERATION_COUNT;
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
	unsigned protocols = protocol == PROTOCOL_COUNT ? PROTOCOLS_ANY : 1u << protocol;
	unsigned added = 0;

	for (unsigned i = 0; i < OPERATION_COUNT; i++) {
		if (!(operations[i].protocols & protocols) ||
			!operation_means(&operations[i], name))
			continue;
		operation_set_add(set, (enum operation)i);
		added++;
	}
	return added;
}
