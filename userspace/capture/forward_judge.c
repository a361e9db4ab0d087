/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagrams of agents behind interfaces. They meet the same hooks as those of other agents
 * (guard_names.c, guard_judge.c), but come in by prerouting in place of output; what name servers
 * answer goes on to them by forward, or leaves by output where the server is on this host.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "capture/forward_internal.h"
#include "capture/guard_internal.h"
#include "capture/queue.h"

/* A flood is dropped before anybody reads it. */
#define FLOOD "\t\tlimit rate over 2000/second burst 1000 packets counter drop\n"

static const char names_chains[] = "\tchain names_%zu {\n" FLOOD "\t\tmeta priority set %x:%x\n"
				   "\t\tmeta mark set %#x accept\n"
				   "\t}\n"
				   "\tchain heard_%zu {\n" FLOOD "\t\tmeta priority set %x:%x\n"
				   "\t\tmeta mark set %#x accept\n"
				   "\t}\n";
/* This host's own places are judged by nobody, but name servers, one datagram at a time. */
static const char judge_head[] = "\tchain judge_%zu {\n"
				 "\t\tmeta l4proto tcp accept\n"
				 "\t\tjump neighbours\n"
				 "%s"
				 "\t\tfib daddr type local udp dport 53 accept\n"
				 "\t\tfib daddr type local goto refuse_%zu\n";
/* As in guard_judge.c, a flow that is expected has another's mark. */
static const char judge_tail[] =
	"\t\tct direction reply goto refuse_%zu\n"
	"\t\tct mark %#x ct state != related accept\n" FLOOD "\t\tmeta mark set 0\n"
	"\t\tmeta priority set %x:%x\n"
	"\t\tmeta l4proto udp goto asked\n"
	"\t\ticmp type echo-request goto asked\n"
	"\t\ticmpv6 type echo-request goto asked\n"
	"\t\tgoto refuse_%zu\n"
	"\t}\n";
static const char answers[] = "\t\tct direction reply accept\n";
/* Chains of hooks: what was refused, what was let pass, and what was not queued. Before connection
 * tracking, and behind it, where an older policy's flows are let pass once. */
static const char settling[] =
	"\tchain asked_names {\n"
	"\t\ttype filter hook prerouting priority raw + 2; policy accept;\n"
	"\t\tmeta mark %#x goto refuse\n"
	"\t\tmeta mark %#x counter drop\n"
	"\t}\n"
	"\tchain told_names {\n"
	"\t\ttype filter hook forward priority raw + 2; policy accept;\n"
	"\t\tmeta mark %#x counter drop\n"
	"\t}\n"
	"\tchain told_names_here {\n"
	"\t\ttype filter hook output priority raw + 2; policy accept;\n"
	"\t\tmeta mark %#x counter drop\n"
	"\t}\n"
	"\tchain answered {\n"
	"\t\ttype filter hook prerouting priority mangle + 2; policy accept;\n"
	"\t\tmeta mark %#x goto refuse\n"
	"\t\tmeta mark & %#x == %#x ct mark set meta mark meta mark set 0 accept\n"
	"\t\tct direction reply accept\n"
	"\t\tmeta l4proto udp ct mark %#x counter drop\n"
	"\t\ticmp type echo-request ct mark %#x counter drop\n"
	"\t\ticmpv6 type echo-request ct mark %#x counter drop\n"
	"\t}\n";
static const char asked_chain[] = "\tchain asked {\n"
				  "\t\tct state invalid,untracked goto refuse\n"
				  "\t\tct mark set %#x\n"
				  "\t}\n";

bool forward_is_watched(const struct forward_rules *f, const struct forward_agent *a)
{
	return f->queue && (a->udp == UDP_POLICY || a->udp == UDP_DNS);
}

bool forward_is_judged(const struct forward_rules *f, const struct forward_agent *a)
{
	return f->queue && a->udp == UDP_POLICY;
}

static bool any_is_watched(const struct forward_rules *f)
{
	for (size_t i = 0; i < f->count; i++) {
		if (forward_is_watched(f, &f->agents[i]))
			return true;
	}
	return false;
}

/* One rule for each of the host's resolvers; `format` has its family and its address in it. */
static int append_resolvers(struct buffer *b, const struct forward_rules *f, const char *format)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->resolvers.count; i++)
		r = buffer_append_format(b, format,
			f->resolvers.items[i].family == AF_INET ? "ip" : "ip6",
			f->resolvers.items[i].text);
	return r;
}

/* Before others' redirections could make of a datagram what the rules behind let pass. */
static int append_judge(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i)
{
	int r = buffer_append_format(b, judge_head, i, a->listen ? answers : "", i);

	if (r == 0)
		r = append_resolvers(b, f, "\t\t%s daddr %s udp dport 53 accept\n");
	if (r == 0 && !forward_is_judged(f, a))
		r = buffer_append_format(b, "\t\tgoto refuse_%zu\n\t}\n", i);
	else if (r == 0)
		r = buffer_append_format(b, judge_tail, i, queue_pass_mark(a->id, f->generation),
			a->id >> 16, a->id & 0xffff, i);
	return r;
}

static int append_told(struct buffer *b, const struct forward_rules *f, size_t i)
{
	char rule[64];
	int r = buffer_append_format(b, "\tchain told_%zu {\n", i);

	snprintf(rule, sizeof(rule), "\t\t%%s saddr %%s goto heard_%zu\n", i);
	if (r == 0)
		r = append_resolvers(b, f, rule);
	return r == 0 ? buffer_append_string(b, "\t}\n") : r;
}

int forward_append_queueing(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i)
{
	unsigned high = a->id >> 16, low = a->id & 0xffff;
	int r;

	/* Everybody has the chains that dispatching leads to. */
	if (!forward_is_watched(f, a))
		return buffer_append_format(b,
			"\tchain heard_%zu {\n\t}\n\tchain told_%zu {\n\t}\n"
			"\tchain judge_%zu {\n\t}\n",
			i, i, i);
	r = buffer_append_format(b, names_chains, i, high, low, QUEUE_MARK_NAMES | f->queue, i,
		high, low, QUEUE_MARK_ANSWERS | f->queue);
	if (r == 0)
		r = append_told(b, f, i);
	return r == 0 ? append_judge(b, f, a, i) : r;
}

int forward_append_queries(struct buffer *b, const struct forward_rules *f, size_t i)
{
	char rule[64];
	int r;

	snprintf(rule, sizeof(rule), "\t\t%%s daddr %%s udp dport 53 goto names_%zu\n", i);
	r = append_resolvers(b, f, rule);
	if (r == 0)
		r = buffer_append_format(
			b, "\t\tfib daddr type local udp dport 53 goto names_%zu\n", i);
	return r;
}

int forward_append_refused(struct buffer *b, const struct forward_rules *f, size_t i)
{
	return buffer_append_format(b, "\t\tmeta mark { %#x, %#x } goto refuse_%zu\n",
		QUEUE_MARK_REFUSE | f->queue, QUEUE_MARK_NAMES | f->queue, i);
}

int forward_append_passes(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i)
{
	int r = forward_append_refused(b, f, i);

	if (r == 0)
		r = append_resolvers(b, f, "\t\t%s daddr %s udp dport 53 accept\n");
	if (r == 0 && forward_is_judged(f, a))
		r = buffer_append_format(b, "\t\tmeta l4proto != tcp ct mark %#x accept\n",
			queue_pass_mark(a->id, f->generation));
	return r;
}

static bool any_is_paced(const struct forward_rules *f)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->agents[i].bandwidth)
			return true;
	}
	return false;
}

int forward_append_pace(
	struct buffer *b, const struct forward_rules *f, const struct forward_agent *a, size_t i)
{
	int r;

	if (!any_is_paced(f))
		return 0;
	r = a->bandwidth ? guard_append_pace(b, a->id, a->bandwidth) : 0;
	if (r == 0)
		r = buffer_append_format(b, "\tchain arrive_%zu {\n", i);
	if (r == 0 && a->bandwidth)
		r = buffer_append_format(b, "\t\tgoto pace_%x\n", a->id);
	return r == 0 ? buffer_append_string(b, "\t}\n") : r;
}

int forward_append_arriving(struct buffer *b, const struct forward_rules *f)
{
	int r;

	if (!any_is_paced(f))
		return 0;
	r = buffer_append_string(b,
		"\tchain arriving {\n"
		"\t\ttype filter hook forward priority raw; policy accept;\n"
		"\t\tmeta l4proto tcp accept\n");
	if (r == 0)
		r = forward_append_dispatch(b, f, FORWARD_OUT, "arrive");
	return r == 0 ? buffer_append_string(b, "\t}\n") : r;
}

/* The chains of hooks that lead to those of agents. */
static int append_hooks(struct buffer *b, const struct forward_rules *f)
{
	int r = buffer_append_string(b,
		"\tchain judged {\n"
		"\t\ttype filter hook prerouting priority mangle; policy accept;\n");

	if (r == 0)
		r = forward_append_dispatch(b, f, FORWARD_IN, "judge");
	if (r == 0)
		r = buffer_append_string(b,
			"\t}\n"
			"\tchain tell {\n"
			"\t\ttype filter hook forward priority raw; policy accept;\n"
			"\t\tmeta l4proto != udp accept\n"
			"\t\tudp sport != 53 accept\n");
	if (r == 0)
		r = forward_append_dispatch(b, f, FORWARD_OUT, "told");
	if (r == 0)
		r = buffer_append_string(b,
			"\t}\n"
			"\tchain tell_from_here {\n"
			"\t\ttype filter hook output priority raw; policy accept;\n"
			"\t\tmeta l4proto != udp accept\n"
			"\t\tudp sport != 53 accept\n");
	if (r == 0)
		r = forward_append_dispatch(b, f, FORWARD_OUT, "heard");
	return r == 0 ? buffer_append_string(b, "\t}\n") : r;
}

int forward_append_settling(struct buffer *b, const struct forward_rules *f)
{
	uint32_t asked = QUEUE_MARK_ASKED | f->queue, names = QUEUE_MARK_NAMES | f->queue;
	uint32_t refused = QUEUE_MARK_REFUSE | f->queue, told = QUEUE_MARK_ANSWERS | f->queue;
	int r;

	if (!any_is_watched(f))
		return 0;
	r = buffer_append_format(b, asked_chain, asked);
	if (r == 0)
		r = append_hooks(b, f);
	return r == 0 ? buffer_append_format(b, settling, refused, names, told, told, refused,
				QUEUE_MARK_MASK, QUEUE_MARK_PASS, asked, asked, asked)
		      : r;
}
