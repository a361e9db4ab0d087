/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/flow_queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "worker/session_internal.h"

#define PACKETS_PER_TURN QUEUE_VERDICTS_MOST
#define MESSAGE_BYTES (QUEUE_PACKET_BYTES + 1024u)

struct flow_queue {
	struct list link; /* in flows.queues */
	struct ring_operation readable;
	uint64_t network;
	uint64_t number; /* struct flow_packet's */
	int packets, verdicts; /* own; -1: not there yet */
	bool leaving; /* freed when its operation ends */
	struct queue_verdict answers[QUEUE_VERDICTS_MOST]; /* of this turn */
	size_t answer_count;
};

static void finish_turn(struct worker *w, struct flow_queue *q);

static void free_queue(struct flow_queue *q)
{
	list_remove(&q->link);
	close(q->packets);
	if (q->verdicts >= 0)
		close(q->verdicts);
	free(q);
}

static struct flow_queue *find(const struct worker *w, uint64_t network)
{
	list_for_each (position, &w->flows.queues) {
		struct flow_queue *q = list_entry(position, struct flow_queue, link);

		if (q->network == network && !q->leaving)
			return q;
	}
	return NULL;
}

/* --- verdicts --- */

static void answer(struct worker *w, struct flow_queue *q, const struct queue_verdict *verdict)
{
	if (q->answer_count == ARRAY_SIZE(q->answers))
		finish_turn(w, q);
	q->answers[q->answer_count++] = *verdict;
}

void flow_queues_answer(
	struct worker *w, uint64_t queue, uint32_t packet, uint32_t agent, enum queue_answer what)
{
	const struct queue_verdict verdict = {.packet = packet,
		.agent = agent,
		.answer = (uint16_t)what,
		.generation = (uint16_t)w->policy->generation};

	list_for_each (position, &w->flows.queues) {
		struct flow_queue *q = list_entry(position, struct flow_queue, link);

		if (q->number == queue && !q->leaving) {
			answer(w, q, &verdict);
			return;
		}
	}
}

static void finish_turn(struct worker *w, struct flow_queue *q)
{
	int recorded;

	if (q->answer_count == 0)
		return;
	recorded = recorder_must_flush(w->recorder) ? recorder_flush(w->recorder) : 0;
	for (size_t i = 0; recorded < 0 && i < q->answer_count; i++) {
		if (q->answers[i].answer == QUEUE_PASS)
			q->answers[i].answer = QUEUE_REFUSE;
		else if (q->answers[i].answer == QUEUE_PASS_ALONE)
			q->answers[i].answer = QUEUE_DROP;
	}
	if (recorded < 0)
		flows_forget(w);
	/* Without an answer they are dropped, sooner or later; so are those of a queue that the
	 * monitor has closed. */
	if (write(q->verdicts, q->answers, q->answer_count * sizeof(*q->answers)) < 0 &&
		(errno != EPIPE || q->network == FLOW_QUEUE_AT_HOME))
		log_error("verdicts on packets: %s", strerror(errno));
	q->answer_count = 0;
}

void flow_queues_finish_turn(struct worker *w)
{
	list_for_each (position, &w->flows.queues)
		finish_turn(w, list_entry(position, struct flow_queue, link));
}

/* --- packets --- */

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

static void on_packet(struct worker *w, struct flow_queue *q, const struct nlmsghdr *message)
{
	struct queued queued = {0};
	struct flow_packet packet = {.queue = q->number, .network = q->network};
	enum queue_answer what;

	/* Errors: a verdict came too late. */
	if (message->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
		return;
	mnl_attr_parse(message, sizeof(struct nfgenmsg), read_attribute, &queued);
	packet.id = queued.id;
	packet.agent = queued.agent;
	packet.bytes = queued.bytes;
	queued.inbound |= queued.mark == QUEUE_MARK_ANSWERS;
	if (queued.mark != QUEUE_MARK_NAMES && queued.mark != QUEUE_MARK_ANSWERS)
		what = flow_judge(w, &packet);
	else if (queued.segmented)
		what = queued.inbound ? QUEUE_DROP : QUEUE_REFUSE;
	else if (!lookups_judge(w, &packet, queued.inbound, &what))
		return;
	flow_queues_answer(w, q->number, packet.id, packet.agent, what);
}

static void on_readable(struct ring_operation *operation, int result)
{
	struct flow_queue *q = container_of(operation, struct flow_queue, readable);
	struct worker *w = operation->owner;
	uint8_t message[MESSAGE_BYTES] __attribute__((aligned(8)));

	(void)result;
	if (q->leaving) {
		free_queue(q);
		return;
	}
	while (q->answer_count < PACKETS_PER_TURN) {
		ssize_t n = recv(q->packets, message, sizeof(message), MSG_DONTWAIT);
		int left = (int)n;

		if (n < 0)
			break;
		if (mnl_nlmsg_ok((const struct nlmsghdr *)message, left))
			on_packet(w, q, (const struct nlmsghdr *)message);
	}
	ring_poll(&w->ring, operation, q->packets, POLLIN);
}

/* --- which there are --- */

static void start(struct worker *w, struct flow_queue *q)
{
	if (w->accepting && q->verdicts >= 0 && !q->leaving && !q->readable.in_flight)
		ring_poll(&w->ring, &q->readable, q->packets, POLLIN);
}

void flow_queues_start(struct worker *w)
{
	list_for_each (position, &w->flows.queues)
		start(w, list_entry(position, struct flow_queue, link));
}

void flow_queues_add(struct worker *w, uint64_t network, int packets)
{
	struct flow_queue *q = memory_new(sizeof(*q));

	flow_queues_remove(w, network);
	*q = (struct flow_queue){.network = network,
		.number = ++w->flows.queue_count,
		.packets = packets,
		.verdicts = -1};
	q->readable.complete = on_readable;
	q->readable.owner = w;
	list_append(&w->flows.queues, &q->link);
}

void flow_queues_add_verdicts(struct worker *w, uint64_t network, int verdicts)
{
	struct flow_queue *q = find(w, network);

	if (!q || q->verdicts >= 0) {
		close(verdicts);
		return;
	}
	q->verdicts = verdicts;
	start(w, q);
}

void flow_queues_remove(struct worker *w, uint64_t network)
{
	struct flow_queue *q = find(w, network);

	if (!q)
		return;
	q->leaving = true;
	if (q->readable.in_flight)
		ring_cancel(&w->ring, &q->readable);
	else
		free_queue(q);
}
