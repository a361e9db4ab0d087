/* SPDX-License-Identifier: Apache-2.0
 *
 * flow: what an agent sends to one place by datagrams, or echoes that it asks of one address. The
 * kernel queues the first packet of each (capture/queue.h); whether it may leave is judged as a
 * connection is, in a session that carries nothing and ends with the answer. While people are
 * asked, packets are dropped: what is sent again after the approval passes. What follows the first
 * packet goes on in the kernel.
 *
 * One worker has all flows. Answers are remembered for a while, by agent and place, so that many
 * flows to one place are one action in the recording.
 */
#ifndef WAYLEAVE_WORKER_FLOW_H
#define WAYLEAVE_WORKER_FLOW_H

#include "base/table.h"
#include "protocol/operation.h"
#include "protocol/packet.h"
#include "ring/ring.h"
#include "worker/flow_queue.h"

struct flow;
struct protocol;
struct session;
struct worker;

struct flows {
	struct list queues; /* flow_queue.h; one worker alone has any */
	uint64_t queue_count; /* that there ever were */
	struct table table;
	struct list all;
	struct flow_share *shares; /* of each agent that has flows */
	size_t share_count;
};

/* With the queue of the daemon's network namespace; -1: none. */
void flows_init(struct worker *w, int packets, int verdicts);
/* A packet of a flow that was not let pass yet. */
enum queue_answer flow_judge(struct worker *w, const struct flow_packet *packet);
void flows_tick(struct worker *w, uint64_t now);
/* Policy, or whom agents act for, changed: what was answered is judged anew. */
void flows_forget(struct worker *w);

enum transport flow_transport(const struct flow *flow);
const struct protocol *flow_protocol(const struct flow *flow);

/* The session of a flow was judged. */
void flow_on_passes(struct session *s);
/* People have approved it: one flow. */
void flow_on_approved(struct session *s);
/* It has ended; without either of the above it was refused. */
void flow_on_end(struct session *s);

#endif
