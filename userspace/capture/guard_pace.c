/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules for what an agent's datagrams may carry in a second (`bandwidth` of its limits): what
 * is beyond is dropped, before anything else looks at it. What leaves and, of UDP, what comes for
 * one of the agent's sockets count together, whatever becomes of it; what stays on this host does
 * not, as connections that are not relayed don't.
 *
 * Other hosts' datagrams are looked up only where some agent has such a limit.
 */
#include <assert.h>
#include <inttypes.h>

#include "capture/guard_internal.h"

/* The kernel multiplies it by the nanoseconds of a second (nft_limit.c); nothing is as fast. */
#define RATE_MOST UINT64_C(16000000000)
/* So that the largest datagram passes, however slowly. */
#define LARGEST 65536u

static_assert(RATE_MOST <= UINT64_MAX / 1000000000u, "in 64 bits");

static const char pace_chain[] =
	"\tchain pace_%x {\n"
	"\t\tlimit rate over %" PRIu64 " bytes/second burst %u bytes counter drop\n"
	"\t}\n";
static const char leave_head[] = "\tchain leave_%zu {\n"
				 "\t\toif != \"lo\" jump pace_%x\n";
static const char leave_to[] = "\t\tgoto %s\n";

const char guard_arriving_head[] = "\tchain arriving {\n"
				   "\t\ttype filter hook input priority raw; policy accept;\n"
				   "\t\tmeta l4proto != udp accept\n"
				   "\t\tiif \"lo\" accept\n";

bool guard_is_paced(const struct guard *g, const struct guard_agent *a)
{
	return a->bandwidth && !g->limits_not;
}

bool guard_paces(const struct guard *g)
{
	for (size_t i = 0; i < g->count; i++) {
		if (guard_is_paced(g, &g->agents[i]))
			return true;
	}
	return false;
}

int guard_append_pace(struct buffer *b, uint32_t agent, uint64_t bandwidth)
{
	return buffer_append_format(b, pace_chain, agent,
		bandwidth < RATE_MOST ? bandwidth : RATE_MOST, bandwidth < LARGEST ? LARGEST : 0u);
}

/* Of several cgroups of one agent. */
static bool is_first(const struct guard *g, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (g->agents[i].id == g->agents[index].id)
			return false;
	}
	return true;
}

int guard_append_paces(struct buffer *b, const struct guard *g)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->count; i++) {
		const struct guard_agent *a = &g->agents[i];
		char next[GUARD_CHAIN_SIZE];

		if (!guard_is_paced(g, a))
			continue;
		guard_other_chain(g, a, next);
		if (is_first(g, i))
			r = guard_append_pace(b, a->id, a->bandwidth);
		if (r == 0)
			r = buffer_append_format(b, leave_head, i, a->id);
		if (r == 0 && *next)
			r = buffer_append_format(b, leave_to, next);
		if (r == 0)
			r = buffer_append_string(b, "\t}\n");
	}
	return r;
}
