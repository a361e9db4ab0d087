/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules for name servers: what an agent asks the host's resolvers, or any on this host, and
 * what they answer, is queued, each datagram for itself, with a mark of this daemon's and the agent
 * as its priority. Before connection tracking, so that nobody pays for that; three hooks in a row,
 * as for flows (guard_judge.c), of which the second is in the queue's table:
 *
 *   raw       marks. Answers are an agent's by the socket that they are for
 *   raw + 1   queues
 *   raw + 2   refuses what was refused, and drops what was not queued
 */
#include <stdio.h>
#include <sys/socket.h>

#include "capture/guard_internal.h"
#include "capture/queue.h"

/* A flood is dropped before anybody reads it. */
static const char names_chain[] =
	"\tchain names_%zu {\n"
	"\t\tlimit rate over 2000/second burst 1000 packets counter drop\n"
	"\t\tmeta priority set %x:%x\n"
	"\t\tmeta mark set %#x accept\n"
	"\t}\n";
static const char watch_head[] = "\tchain watch_%zu {\n";
/* What answers as a resolver must be none of the agent's programs: answers are believed. */
static const char watch_resolver[] = "\t\t%s saddr %s udp sport 53 goto refuse_udp\n"
				     "\t\t%s daddr %s udp dport 53 goto names_%zu\n";
static const char watch_tail[] = "\t\toif \"lo\" udp dport 53 goto names_%zu\n"
				 "%s"
				 "\t}\n";
static const char answers_head[] = "\tchain answers {\n"
				   "\t\ttype filter hook input priority raw; policy accept;\n"
				   "\t\tmeta l4proto != udp accept\n"
				   "\t\tudp sport != 53 accept\n";
/* In another network namespace the host's resolvers are elsewhere: what comes from within is
 * somebody's who passes for one. */
static const char answer_from_within[] = "\t\tiif \"lo\" %s saddr %s counter drop\n";
static const char answers_here[] = "\t\tiif \"lo\" goto whose\n";
static const char settled_chains[] =
	"\t}\n"
	"\tchain asked_names {\n"
	"\t\ttype filter hook output priority raw + 2; policy accept;\n"
	"\t\tmeta mark %#x goto refuse_udp\n"
	"\t\tmeta mark %#x counter drop\n"
	"\t}\n"
	"\tchain told_names {\n"
	"\t\ttype filter hook input priority raw + 2; policy accept;\n"
	"\t\tmeta mark %#x counter drop\n"
	"\t}\n";

const char guard_whose_head[] = "\tchain whose {\n";

bool guard_is_watched(const struct guard *g, const struct guard_agent *a)
{
	return g->queue && (a->udp == UDP_POLICY || a->udp == UDP_DNS);
}

bool guard_watches(const struct guard *g)
{
	for (size_t i = 0; i < g->count; i++) {
		if (guard_is_watched(g, &g->agents[i]))
			return true;
	}
	return false;
}

static const char *family(const struct resolver *r)
{
	return r->family == AF_INET ? "ip" : "ip6";
}

static int append_watch(struct buffer *b, const struct guard *g, size_t index)
{
	const struct guard_agent *a = &g->agents[index];
	int r = buffer_append_format(
		b, names_chain, index, a->id >> 16, a->id & 0xffff, QUEUE_MARK_NAMES | g->queue);

	if (r == 0)
		r = buffer_append_format(b, watch_head, index);
	for (size_t i = 0; r == 0 && i < g->resolvers.count; i++) {
		const struct resolver *item = &g->resolvers.items[i];

		r = buffer_append_format(b, watch_resolver, family(item), item->text, family(item),
			item->text, index);
	}
	return r == 0 ? buffer_append_format(b, watch_tail, index,
				guard_is_judged(g, a) ? "" : "\t\tgoto udp_dns\n")
		      : r;
}

int guard_append_watches(struct buffer *b, const struct guard *g)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < g->count; i++) {
		if (guard_is_watched(g, &g->agents[i]))
			r = append_watch(b, g, i);
	}
	return r;
}

int guard_append_answers(struct buffer *b, const struct guard *g)
{
	uint32_t names = QUEUE_MARK_NAMES | g->queue, refused = QUEUE_MARK_REFUSE | g->queue;
	int r = buffer_append_string(b, answers_head);

	for (size_t i = 0; r == 0 && g->elsewhere && i < g->resolvers.count; i++)
		r = buffer_append_format(b, answer_from_within, family(&g->resolvers.items[i]),
			g->resolvers.items[i].text);
	if (r == 0)
		r = buffer_append_string(b, answers_here);
	for (size_t i = 0; r == 0 && i < g->resolvers.count; i++)
		r = buffer_append_format(b, "\t\t%s saddr %s goto whose\n",
			family(&g->resolvers.items[i]), g->resolvers.items[i].text);
	return r == 0 ? buffer_append_format(b, settled_chains, refused, names, names) : r;
}
