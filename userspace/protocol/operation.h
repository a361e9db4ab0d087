/* SPDX-License-Identifier: Apache-2.0
 *
 * operation: the verbs that policy can name (operations.inc), their groups and protocols.
 */
#ifndef WAYLEAVE_PROTOCOL_OPERATION_H
#define WAYLEAVE_PROTOCOL_OPERATION_H

#include "base/slice.h"

enum protocol_id {
	PROTOCOL_TCP, /* unread: relayed or refused as a whole */
	PROTOCOL_POSTGRES,
	PROTOCOL_MYSQL,
	PROTOCOL_SSH,
	PROTOCOL_HTTP,
	PROTOCOL_KUBERNETES,
	PROTOCOL_UDP, /* flows of datagrams: allowed or refused as a whole, by their first */
	PROTOCOL_ICMP, /* echoes, the same */
	PROTOCOL_COUNT
};

/* Places of different transports are different places, whatever their addresses and ports. */
enum transport { TRANSPORT_TCP, TRANSPORT_UDP, TRANSPORT_ICMP };

static inline enum transport protocol_transport(enum protocol_id protocol)
{
	return protocol == PROTOCOL_UDP     ? TRANSPORT_UDP
		: protocol == PROTOCOL_ICMP ? TRANSPORT_ICMP
					    : TRANSPORT_TCP;
}

enum operation {
#define OPERATION(symbol, name, group, protocols) OPERATION_##symbol,
#include "protocol/operations.inc"
#undef OPERATION
	OPERATION_COUNT
};

enum operation_group {
	OPERATION_GROUP_NONE,
	OPERATION_GROUP_READ,
	OPERATION_GROUP_WRITE,
	OPERATION_GROUP_DDL,
	OPERATION_GROUP_ADMIN,
	OPERATION_GROUP_FREE, /* needs no rule; refused only by a deny that names it */
	/* Of files. Says again what the action's other pairs say: rules that
	 * cover all of either, with nothing unknown in these, cover the action. */
	OPERATION_GROUP_RESTATED,
	OPERATION_GROUP_COUNT
};

/* A set of operations, one bit each. */
struct operation_set {
	uint64_t bits[(OPERATION_COUNT + 63) / 64];
};

static inline void operation_set_add(struct operation_set *set, enum operation operation)
{
	set->bits[operation / 64] |= 1ULL << operation % 64;
}

static inline bool operation_set_has(const struct operation_set *set, enum operation operation)
{
	return set->bits[operation / 64] >> operation % 64 & 1;
}

/* All three are static text or values; the operation or protocol must be in range. */
const char *operation_name(enum operation operation);
enum operation_group operation_get_group(enum operation operation);
bool operation_is_of(enum operation operation, enum protocol_id protocol);
/* The protocol's operation of that name; OPERATION_COUNT where it has none; groups are none. Of
 * PROTOCOL_COUNT the first of any protocol's. */
enum operation operation_from_name(struct slice name, enum protocol_id protocol);

/* What only this operation is called, for those who don't know the protocol: its name, or, where an
 * operation of another protocol has that, "exec of ssh". For the caller to free. */
char *operation_key(enum operation operation);
/* OPERATION_COUNT where operation_key() says this of none. */
enum operation operation_from_key(struct slice key);

/* Relayed, or refused, as a whole: the connection is its only action. */
static inline bool protocol_is_unread(enum protocol_id protocol)
{
	return protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP || protocol == PROTOCOL_ICMP;
}

const char *protocol_name(enum protocol_id protocol);
/* PROTOCOL_COUNT where there is none of that name. */
enum protocol_id protocol_from_name(struct slice name);

/* Adds the operations of `protocol` that `name` means in a policy file: an operation ("select"), a
 * group ("read", "write", "ddl", "admin") or "*" (every operation of the protocol). PROTOCOL_COUNT
 * as protocol takes the name's meaning in all protocols. Returns how many were added: 0 where the
 * name means nothing there. */
unsigned operation_set_add_name(
	struct operation_set *set, struct slice name, enum protocol_id protocol);

#endif
