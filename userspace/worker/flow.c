/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/flow.h"

#include <errno.h>
#include <netinet/in.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/session_internal.h"

#define PORT_DNS 53
#define PORT_QUIC 443

struct flow_key {
	uint8_t address[16];
	uint32_t agent;
	uint16_t port; /* TRANSPORT_ICMP: 0 */
	uint16_t transport; /* enum transport */
};

enum flow_state { FLOW_ASKED, FLOW_PASSES, FLOW_PASSES_ONCE, FLOW_REFUSED };

struct flow {
	struct table_node node;
	struct list link; /* in flows.all */
	struct flow_key key;
	enum flow_state state;
	bool unnamed; /* no resource names the place: known protocols don't pass */
	struct session *session; /* while it is asked */
	uint64_t until; /* monotonic, once it is answered */
};

/* --- the answers that are remembered --- */

static struct flow *find(struct flows *f, const struct flow_key *key)
{
	struct table_node *node = table_find(&f->table, table_hash(key, sizeof(*key)));

	for (; node; node = table_find_next(&f->table, node)) {
		struct flow *flow = container_of(node, struct flow, node);

		if (memcmp(&flow->key, key, sizeof(*key)) == 0)
			return flow;
	}
	return NULL;
}

/* How many flows an agent has: none may have them all. */
struct flow_share {
	uint32_t agent;
	uint32_t count;
};

static struct flow_share *find_share(struct flows *f, uint32_t agent)
{
	for (size_t i = 0; i < f->share_count; i++) {
		if (f->shares[i].agent == agent)
			return &f->shares[i];
	}
	return NULL;
}

static void count_in(struct flows *f, uint32_t agent)
{
	struct flow_share *share = find_share(f, agent);

	if (!share) {
		f->shares = memory_resize_array(f->shares, f->share_count + 1, sizeof(*f->shares));
		share = &f->shares[f->share_count++];
		*share = (struct flow_share){.agent = agent};
	}
	share->count++;
}

static void count_out(struct flows *f, uint32_t agent)
{
	struct flow_share *share = find_share(f, agent);

	if (--share->count == 0)
		*share = f->shares[--f->share_count];
}

static void forget(struct flows *f, struct flow *flow)
{
	count_out(f, flow->key.agent);
	table_remove(&f->table, &flow->node);
	list_remove(&flow->link);
	free(flow);
}

static void answer_flow(struct flow *flow, enum flow_state state, uint64_t milliseconds)
{
	flow->state = state;
	flow->session = NULL;
	flow->until = clock_monotonic() + milliseconds * NANOSECONDS_PER_MILLISECOND;
}

void flows_forget(struct worker *w)
{
	list_for_each_safe (position, &w->flows.all) {
		struct flow *flow = list_entry(position, struct flow, link);

		if (flow->state != FLOW_ASKED)
			forget(&w->flows, flow);
	}
}

void flows_tick(struct worker *w, uint64_t now)
{
	list_for_each_safe (position, &w->flows.all) {
		struct flow *flow = list_entry(position, struct flow, link);

		if (flow->state != FLOW_ASKED && now >= flow->until)
			forget(&w->flows, flow);
	}
}

enum transport flow_transport(const struct flow *flow)
{
	return (enum transport)flow->key.transport;
}

const struct protocol *flow_protocol(const struct flow *flow)
{
	return flow_transport(flow) == TRANSPORT_ICMP ? &protocol_echoes : &protocol_datagrams;
}

/* --- judging --- */

/* The session ends here, and with it what is recorded of the flow. */
static void end_passed(struct session *s, enum flow_state state, uint64_t milliseconds)
{
	struct flow *flow = s->flow;

	s->flow = NULL;
	answer_flow(flow, state, milliseconds);
	session_reset(s, REASON_NONE, NULL);
}

void flow_on_passes(struct session *s)
{
	end_passed(s, FLOW_PASSES, LIMIT_FLOW_KEPT);
}

void flow_on_approved(struct session *s)
{
	end_passed(s, FLOW_PASSES_ONCE, LIMIT_FLOW_KEPT);
}

void flow_on_end(struct session *s)
{
	if (s->flow)
		answer_flow(s->flow, FLOW_REFUSED, LIMIT_FLOW_REFUSED);
	s->flow = NULL;
}

/* What of known protocols a place may have only if a resource names it; NULL: nothing. */
static const char *known_protocol(const struct packet *packet)
{
	if (packet->transport != IPPROTO_UDP)
		return NULL;
	if (packet->destination_port == PORT_DNS)
		return "DNS goes to the resolvers of this host";
	if (packet->destination_port == PORT_QUIC || packet_is_quic(packet->payload))
		return "QUIC at a place that no resource names; use TCP";
	return NULL;
}

static void begin(struct session *s, const struct packet *packet)
{
	const char *known = known_protocol(packet);

	if (session_take_scope(s, SLICE_EMPTY) < 0) {
		session_record_facts(s, true);
		session_reset(s, REASON_UNKNOWN_AGENT, NULL);
		return;
	}
	session_record_facts(s, true);
	s->flow->unnamed = s->resource == POLICY_EGRESS &&
		policy_scope_policy(s->scope)->mode != POLICY_OBSERVE;
	if (s->flow->unnamed && known) {
		session_reset(s, REASON_WRONG_PROTOCOL, known);
		return;
	}
	/* Which program sends it the kernel does not say, nor which of several runs. */
	if (who_has_other_principals(&s->worker->who, s->agent)) {
		session_reset(
			s, REASON_IDENTITY, "runs with tokens of their own send no datagrams");
		return;
	}
	s->exe_answered = true;
	s->process.answered = true;
	session_begin_when_known(s);
}

static struct flow *flow_new(struct worker *w, const struct flow_key *key)
{
	struct flow *flow = memory_new(sizeof(*flow));

	flow->key = *key;
	count_in(&w->flows, key->agent);
	list_append(&w->flows.all, &flow->link);
	table_insert(&w->flows.table, &flow->node, table_hash(key, sizeof(*key)));
	return flow;
}

/* A session for it; it may be answered when this returns. */
static struct flow *ask(struct worker *w, const struct flow_key *key, const struct packet *packet)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct origin origin = {
		.version = ORIGIN_VERSION,
		.agent = key->agent,
		.port = key->port,
		.family = memcmp(key->address, mapped, sizeof(mapped)) == 0 ? AF_INET : AF_INET6,
	};
	struct session *s;

	memcpy(origin.address, key->address, sizeof(origin.address));
	s = session_new(w, -1, &origin);
	s->flow = flow_new(w, key);
	/* An echo is asked of an address. */
	if (key->transport == TRANSPORT_ICMP)
		place_text_of_address(key->address, s->address, sizeof(s->address));
	s->flow->session = s;
	begin(s, packet);
	return find(&w->flows, key);
}

static bool is_full(struct worker *w, uint32_t agent)
{
	const struct flow_share *share = find_share(&w->flows, agent);

	return (share && share->count >= LIMIT_FLOWS_AGENT) ||
		w->flows.table.count >= LIMIT_FLOWS || w->stopping ||
		w->statistics.sessions >= LIMIT_SESSIONS_PER_WORKER;
}

static enum queue_answer answer_of(struct worker *w, struct flow *flow)
{
	switch (flow->state) {
	case FLOW_ASKED:
		return QUEUE_DROP;
	case FLOW_PASSES:
		return QUEUE_PASS;
	case FLOW_PASSES_ONCE:
		forget(&w->flows, flow);
		return QUEUE_PASS;
	default:
		return QUEUE_REFUSE;
	}
}

enum queue_answer flow_judge(struct worker *w, const struct flow_packet *queued)
{
	struct flow_key key = {.agent = queued->agent};
	struct packet packet;
	struct flow *flow;

	/* Nothing that a program sends through a socket of UDP, or for echoes, looks otherwise. */
	if (packet_parse(queued->bytes, &packet) < 0 ||
		(packet.transport != IPPROTO_UDP && !packet.echo))
		return QUEUE_REFUSE;
	key.transport = packet.echo ? TRANSPORT_ICMP : TRANSPORT_UDP;
	memcpy(key.address, packet.destination, sizeof(key.address));
	key.port = packet.destination_port;
	flow = find(&w->flows, &key);
	/* What a place may have depends on what is sent there: it is asked for again. */
	if (flow && flow->state != FLOW_ASKED && flow->state != FLOW_REFUSED && flow->unnamed &&
		known_protocol(&packet)) {
		forget(&w->flows, flow);
		flow = NULL;
	}
	if (!flow && is_full(w, queued->agent)) {
		w->statistics.reasons[REASON_LIMIT]++;
		return QUEUE_REFUSE;
	}
	if (!flow)
		flow = ask(w, &key, &packet);
	return answer_of(w, flow);
}

void flows_init(struct worker *w, int packets, int verdicts)
{
	table_init(&w->flows.table);
	list_init(&w->flows.all);
	list_init(&w->flows.queues);
	if (packets < 0)
		return;
	flow_queues_add(w, FLOW_QUEUE_AT_HOME, packets);
	flow_queues_add_verdicts(w, FLOW_QUEUE_AT_HOME, verdicts);
}
