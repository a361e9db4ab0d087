/* SPDX-License-Identifier: Apache-2.0
 *
 * forward_rules: the nftables rules for agents that are known by an interface of this host behind
 * which they are, as a virtual machine or a container of others' making: no cgroup of this host has
 * their sockets. What comes in there is led to listeners of that agent alone (forwarded.h), or
 * refused, whether it was for another host or for this one. In the order in which a packet meets
 * them:
 *
 *   sources   the source must be an address of the agent's, and one to which the host's routes lead
 *             through the same interface, the destination one that a wire may carry; else it is
 *             dropped
 *   turn      the first packet of a TCP connection is redirected, one to this host to another port
 *             than one to elsewhere; what else has the flow connection tracking knows
 *   input     what comes to this host passes only if it was redirected, to a port of that agent's
 *   forward   what goes on to other hosts does not pass
 *
 * Of datagrams passes what a worker has judged (queue.h): queries to the host's resolvers, and to
 * any name server on this host, each by itself, as in guard_names.c, before connection tracking;
 * flows by their first packet, as in guard_judge.c, behind it.
 *
 * How much an agent's datagrams may carry in a second holds for what comes in there, and what goes
 * out there from other hosts, together (guard_pace.c).
 *
 * A port of a worker's listener is refused to everybody else, whatever the interface. What comes in
 * by a port of a bridge has the bridge's name at these hooks, or does not meet them: a table of the
 * family bridge drops the frames of ports that are named.
 *
 * Tables of their own, "inet wayleave_INSTANCE_forward" and "bridge wayleave_INSTANCE_forward": a
 * daemon that starts loads those of guard.h before it knows of these agents, who are held meanwhile
 * by what the one before left.
 */
#ifndef WAYLEAVE_CAPTURE_FORWARD_RULES_H
#define WAYLEAVE_CAPTURE_FORWARD_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "capture/resolvers.h"
#include "policy/mode.h"

/* Addresses of an agent's. */
struct forward_source {
	uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits; /* of address that count, of 128 */
};

struct forward_agent {
	uint32_t id;
	const char *const *interfaces; /* their names; a `*` may end one: any that begin so */
	size_t interface_count;
	const struct forward_source *sources; /* none: all that the interface may have */
	size_t source_count;
	uint16_t port; /* of the listener for other hosts' addresses; 0: none, refuse */
	uint16_t port_here; /* the same for this host's */
	bool listen; /* may answer who dials it */
	enum udp_mode udp; /* without a queue only UDP_ALLOW lets any pass */
	uint64_t bandwidth; /* as in struct guard_agent; 0 also where the kernel can't limit it */
};

struct forward_rules {
	const char *instance;
	uint16_t queue; /* as in struct guard, and the next two */
	uint16_t generation;
	struct resolvers resolvers;
	const struct forward_agent *agents;
	size_t count;
};

/* The transaction as nft's text (nft(8)), a NUL behind it. */
int forward_rules_text(const struct forward_rules *f, struct buffer *ret);
/* Loads it; without agents, removes the tables. */
int forward_rules_apply(const struct forward_rules *f, struct error *e);
/* Removes the tables; none is no error. */
int forward_rules_remove(const char *instance, struct error *e);
/* A number for the rules of both tables as they are. */
int forward_rules_shape(const char *instance, uint64_t *ret, struct error *e);
/* For guard_watch_open(): what stands for the instance in the name of the table.
 */
#define FORWARD_RULES_NAME_SIZE 32
void forward_rules_name(const char *instance, char ret[FORWARD_RULES_NAME_SIZE]);

#endif
