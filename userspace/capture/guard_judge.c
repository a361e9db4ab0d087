/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules for flows that policy judges. Behind connection tracking, three hooks in a row:
 *
 *   judged    an agent's packet of a flow that was not let pass under the policy in force gets
 *             whose it is as its priority, and its flow as asked for
 *   queue     what is asked for goes to the queue: a table of its own, that stays when the others
 *             are replaced, since one kind of rule can't be in the same transaction (queue_rule.c)
 *   answered  what comes back with an answer; what was not queued is dropped
 *
 * Connection tracking is paid for by the whole host: only where some agent's flows are judged, or
 * may go anywhere but as answers.
 */
#include <stdio.h>

#include "capture/guard_internal.h"
#include "capture/queue.h"

#define TEXT_MOST 4096u
#define TABLE_SIZE 64

const char guard_judged_head[] = "\tchain judged {\n"
				 "\t\ttype filter hook output priority mangle; policy accept;\n"
				 "\t\tmeta l4proto tcp accept\n";

/* What answers somebody else's flow is the agent's listening, wherever its own may go. A flood of
 * first packets is dropped before anybody reads them.
 *
 * A flow that a helper of connection tracking expects (`ct helper`: TFTP, SIP) has from its
 * beginning the mark of the one that it was expected of, which says nothing of it. */
static const char judge_agent[] =
	"\tchain judge_%zu {\n"
	"\t\tct mark %#x ct direction original ct state != related accept\n"
	"\t\toif \"lo\" accept\n"
	"\t\tjump resolvers\n"
	"%s"
	"\t\tlimit rate over 2000/second burst 1000 packets counter drop\n"
	"\t\tmeta mark set 0\n"
	"\t\tmeta priority set %x:%x\n"
	"\t\tgoto judge\n"
	"\t}\n";
static const char judge_listening[] = "\t\tct direction reply accept\n";
static const char judge_answering[] = "\t\tct direction reply goto refuse_udp\n";
/* A packet without a flow has no direction. */
static const char unjudged_chain[] = "\tchain unjudged {\n"
				     "\t\toif \"lo\" accept\n"
				     "\t\tct direction original accept\n"
				     "\t\tgoto refuse_udp\n"
				     "\t}\n";
/* A packet without a flow could not be told from one that is not asked for. Errors that answer what
 * is asked for belong to the same flow, and are no agent's. */
static const char judge_tail[] = "\t}\n"
				 "\tchain asked {\n"
				 "\t\tct state invalid,untracked goto refuse_udp\n"
				 "\t\tct mark set %#x\n"
				 "\t}\n"
				 "\tchain judge {\n"
				 "\t\tmeta l4proto udp goto asked\n"
				 "\t\ticmp type echo-request goto asked\n"
				 "\t\ticmpv6 type echo-request goto asked\n"
				 "\t\tgoto refuse_udp\n"
				 "\t}\n";
/* What an older policy let pass is let pass once. */
static const char answered_chain[] =
	"\tchain answered {\n"
	"\t\ttype filter hook output priority mangle + 2; policy accept;\n"
	"\t\tmeta mark %#x goto refuse_udp\n"
	"\t\tmeta mark & %#x == %#x ct mark set meta mark meta mark set 0 accept\n"
	"\t\tmeta l4proto udp ct mark %#x counter drop\n"
	"\t\ticmp type echo-request ct mark %#x counter drop\n"
	"\t\ticmpv6 type echo-request ct mark %#x counter drop\n"
	"\t}\n";
static const char queue_forget[] = "add table inet %s\n"
				   "delete table inet %s\n";
static const char queue_table[] = "table inet %s {\n"
				  "\tchain ask {\n"
				  "%s"
				  "\t}\n"
				  "\tchain take_queries {\n"
				  "\t\ttype filter hook output priority raw + 1; policy accept;\n"
				  "\t\tmeta mark { %#x, %#x } goto ask\n"
				  "\t}\n"
				  "\tchain take_answers {\n"
				  "\t\ttype filter hook input priority raw + 1; policy accept;\n"
				  "\t\tmeta mark %#x goto ask\n"
				  "\t}\n";
static const char queue_flows[] =
	"\tchain take {\n"
	"\t\ttype filter hook output priority mangle + 1; policy accept;\n"
	"\t\tmeta l4proto udp ct mark %#x goto ask\n"
	"\t\ticmp type echo-request ct mark %#x goto ask\n"
	"\t\ticmpv6 type echo-request ct mark %#x goto ask\n"
	"\t}\n";

/* What comes in by an agent's interface, and what goes out there. Others' flows that are asked for
 * at the same time are answered in the other direction here. */
static const char queue_forwarded[] =
	"\tchain take_forwarded_queries {\n"
	"\t\ttype filter hook prerouting priority raw + 1; policy accept;\n"
	"\t\tmeta mark %#x goto ask\n"
	"\t}\n"
	"\tchain take_forwarded_answers {\n"
	"\t\ttype filter hook forward priority raw + 1; policy accept;\n"
	"\t\tmeta mark %#x goto ask\n"
	"\t}\n"
	"\tchain take_forwarded {\n"
	"\t\ttype filter hook prerouting priority mangle + 1; policy accept;\n"
	"\t\tct direction reply accept\n"
	"\t\tmeta l4proto udp ct mark %#x goto ask\n"
	"\t\ticmp type echo-request ct mark %#x goto ask\n"
	"\t\ticmpv6 type echo-request ct mark %#x goto ask\n"
	"\t}\n";

bool guard_is_judged(const struct guard *g, const struct guard_agent *a)
{
	return a->udp == UDP_POLICY && g->queue;
}

bool guard_judges(const struct guard *g)
{
	for (size_t i = 0; i < g->count; i++) {
		if (guard_is_judged(g, &g->agents[i]))
			return true;
	}
	return false;
}

bool guard_is_unjudged(const struct guard_agent *a)
{
	return a->udp == UDP_ALLOW && !a->listen;
}

bool guard_tracks(const struct guard *g)
{
	for (size_t i = 0; i < g->count; i++) {
		if (guard_is_unjudged(&g->agents[i]))
			return true;
	}
	return guard_judges(g);
}

bool guard_queues(const struct guard *g)
{
	return guard_watches(g) || (g->queue && (g->forwards_names || g->forwards_flows));
}

static int append_judge(struct buffer *b, const struct guard *g)
{
	int r = buffer_append_string(b, "\tchain resolvers {\n");

	if (r == 0)
		r = guard_append_resolvers(b, g);
	return r == 0 ? buffer_append_format(b, judge_tail, QUEUE_MARK_ASKED | g->queue) : r;
}

int guard_append_judges(struct buffer *b, const struct guard *g)
{
	uint32_t asked = QUEUE_MARK_ASKED | g->queue;
	int r = guard_tracks(g) ? buffer_append_string(b, unjudged_chain) : 0;

	if (r < 0 || !guard_judges(g))
		return r;
	r = append_judge(b, g);
	for (size_t i = 0; r == 0 && i < g->count; i++) {
		if (guard_is_judged(g, &g->agents[i]))
			r = buffer_append_format(b, judge_agent, i,
				queue_pass_mark(g->agents[i].id, g->generation),
				g->agents[i].listen ? judge_listening : judge_answering,
				g->agents[i].id >> 16, g->agents[i].id & 0xffff);
	}
	return r == 0 ? buffer_append_format(b, answered_chain, QUEUE_MARK_REFUSE | g->queue,
				QUEUE_MARK_MASK, QUEUE_MARK_PASS, asked, asked, asked)
		      : r;
}

static void name_table(const struct guard *g, char ret[TABLE_SIZE])
{
	snprintf(ret, TABLE_SIZE, "wayleave_%s_queue", g->instance);
}

int guard_append_queue(struct buffer *b, const struct guard *g)
{
	char table[TABLE_SIZE];

	name_table(g, table);
	return guard_queues(g) || g->queue_is_taken
		? 0
		: buffer_append_format(b, queue_forget, table, table);
}

int guard_queue_shape(const struct guard *g, uint64_t *ret, struct error *e)
{
	char name[TABLE_SIZE];

	snprintf(name, sizeof(name), "%s_queue", g->instance);
	return guard_shape_of("inet", name, ret, e);
}

int guard_make_queue(const struct guard *g, struct error *e)
{
	char table[TABLE_SIZE], rule[64] = "";
	uint32_t asked = QUEUE_MARK_ASKED | g->queue;
	struct buffer text;
	int r;

	if (g->queue_is_native)
		snprintf(rule, sizeof(rule), "\t\tqueue num %u\n", g->queue);
	name_table(g, table);
	buffer_init(&text, TEXT_MOST);
	r = buffer_append_format(&text, queue_forget, table, table);
	if (r == 0)
		r = buffer_append_format(&text, queue_table, table, rule,
			QUEUE_MARK_NAMES | g->queue, QUEUE_MARK_ANSWERS | g->queue,
			QUEUE_MARK_NAMES | g->queue);
	if (r == 0 && (g->forwards_names || g->forwards_flows))
		r = buffer_append_format(&text, queue_forwarded, QUEUE_MARK_NAMES | g->queue,
			QUEUE_MARK_ANSWERS | g->queue, asked, asked, asked);
	if (r == 0 && guard_judges(g))
		r = buffer_append_format(&text, queue_flows, asked, asked, asked);
	if (r == 0)
		r = buffer_append_string(&text, "}\n");
	if (r == 0)
		r = buffer_append_byte(&text, 0);
	if (r < 0)
		error_set_errno(e, r, "the rules for nftables");
	else
		r = guard_run((const char *)buffer_slice(&text).data, NULL, e);
	buffer_done(&text);
	if (r == 0 && !g->queue_is_native)
		r = queue_add_rule(g->queue, table, "ask", e);
	return r;
}
