/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netfilter.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "worker/session_internal.h"

#define PACKETS_PER_TURN QUEUE_VERDICTS_MOST
#define MESSAGE_BYTES (QUEUE_PACKET_BYTES + 1024u)
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

static enum queue_answer judge(struct worker *w, uint32_t agent, struct slice bytes)
{
	struct flow_key key = {.agent = agent};
	struct packet packet;
	struct flow *flow;

	/* Nothing that a program sends through a socket of UDP, or for echoes, looks otherwise. */
	if (packet_parse(bytes, &packet) < 0 || (packet.transport != IPPROTO_UDP && !packet.echo))
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
	if (!flow && is_full(w, agent)) {
		w->statistics.reasons[REASON_LIMIT]++;
		return QUEUE_REFUSE;
	}
	if (!flow)
		flow = ask(w, &key, &packet);
	return answer_of(w, flow);
}

/* --- the queue --- */

/* What the kernel says of a packet: linux/netfilter/nfnetlink_queue.h. */
struct queued {
	uint32_t id;
	uint32_t mark;
	uint32_t agent; /* the packet's priority */
	bool inbound;
	bool segmented; /* it becomes several datagrams later, whatever its header says */
	struct slice bytes;
};

static int read_attribute(const struct nlattr *attribute, void *context)
{
	struct queued *q = context;
	size_t length = mnl_attr_get_payload_len(attribute);
	const void *data = mnl_attr_get_payload(attribute);

	switch (mnl_attr_get_type(attribute)) {
	case NFQA_PACKET_HDR:
		if (length < sizeof(struct nfqnl_msg_packet_hdr))
			break;
		q->id = ntohl(((const struct nfqnl_msg_packet_hdr *)data)->packet_id);
		q->inbound = ((const struct nfqnl_msg_packet_hdr *)data)->hook == NF_INET_LOCAL_IN;
		break;
	case NFQA_MARK:
		if (length == sizeof(uint32_t))
			q->mark = ntohl(mnl_attr_get_u32(attribute)) & QUEUE_MARK_MASK;
		break;
	case NFQA_PRIORITY:
		if (length == sizeof(uint32_t))
			q->agent = ntohl(mnl_attr_get_u32(attribute));
		break;
	case NFQA_SKB_INFO:
		if (length == sizeof(uint32_t))
			q->segmented = ntohl(mnl_attr_get_u32(attribute)) & NFQA_SKB_GSO;
		break;
	case NFQA_PAYLOAD:
		q->bytes = slice_of(data, length);
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

void flows_answer(struct worker *w, const struct queue_verdict *verdict)
{
	struct flows *f = &w->flows;

	if (f->answer_count == ARRAY_SIZE(f->answers))
		flows_finish_turn(w);
	f->answers[f->answer_count++] = *verdict;
}

static void on_packet(struct worker *w, const struct nlmsghdr *message)
{
	struct queued queued = {0};
	struct queue_verdict verdict = {.generation = (uint16_t)w->policy->generation};
	enum queue_answer answer;

	/* Errors: a verdict came too late. */
	if (message->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
		return;
	mnl_attr_parse(message, sizeof(struct nfgenmsg), read_attribute, &queued);
	verdict.packet = queued.id;
	verdict.agent = queued.agent;
	queued.inbound |= queued.mark == QUEUE_MARK_ANSWERS;
	if (queued.mark != QUEUE_MARK_NAMES && queued.mark != QUEUE_MARK_ANSWERS)
		answer = judge(w, queued.agent, queued.bytes);
	else if (queued.segmented)
		answer = queued.inbound ? QUEUE_DROP : QUEUE_REFUSE;
	else if (!lookups_judge(w, queued.agent, queued.id, queued.inbound, queued.bytes, &answer))
		return;
	verdict.answer = (uint16_t)answer;
	flows_answer(w, &verdict);
}

static void on_readable(struct ring_operation *operation, int result)
{
	struct worker *w = container_of(operation, struct worker, flows.readable);
	uint8_t message[MESSAGE_BYTES] __attribute__((aligned(8)));

	(void)result;
	while (w->flows.answer_count < PACKETS_PER_TURN) {
		ssize_t n = recv(w->flows.packets, message, sizeof(message), MSG_DONTWAIT);
		int left = (int)n;

		if (n < 0)
			break;
		if (mnl_nlmsg_ok((const struct nlmsghdr *)message, left))
			on_packet(w, (const struct nlmsghdr *)message);
	}
	ring_poll(&w->ring, operation, w->flows.packets, POLLIN);
}

void flows_init(struct worker *w, int packets, int verdicts)
{
	w->flows.packets = packets;
	w->flows.verdicts = verdicts;
	w->flows.readable.complete = on_readable;
	table_init(&w->flows.table);
	list_init(&w->flows.all);
}

void flows_start(struct worker *w)
{
	if (w->flows.packets >= 0 && !w->flows.readable.in_flight)
		ring_poll(&w->ring, &w->flows.readable, w->flows.packets, POLLIN);
}

void flows_finish_turn(struct worker *w)
{
	struct flows *f = &w->flows;
	int recorded;

	if (f->answer_count == 0)
		return;
	recorded = recorder_must_flush(w->recorder) ? recorder_flush(w->recorder) : 0;
	for (size_t i = 0; recorded < 0 && i < f->answer_count; i++) {
		if (f->answers[i].answer == QUEUE_PASS)
			f->answers[i].answer = QUEUE_REFUSE;
		else if (f->answers[i].answer == QUEUE_PASS_ALONE)
			f->answers[i].answer = QUEUE_DROP;
	}
	if (recorded < 0)
		flows_forget(w);
	/* Without an answer they are dropped, sooner or later. */
	if (write(f->verdicts, f->answers, f->answer_count * sizeof(*f->answers)) < 0)
		log_error("verdicts on packets: %s", strerror(errno));
	f->answer_count = 0;
}
