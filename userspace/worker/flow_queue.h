/* SPDX-License-Identifier: Apache-2.0
 *
 * flow_queue: the kernel's queues of packets (capture/queue.h) that a worker reads: the one that it
 * was started with, and those in agents' network namespaces, which come and go
 * (capture/network_rules.h). What is judged of a packet flow.h and lookups.h say.
 */
#ifndef WAYLEAVE_WORKER_FLOW_QUEUE_H
#define WAYLEAVE_WORKER_FLOW_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "capture/queue.h"

struct worker;

#define FLOW_QUEUE_AT_HOME 0 /* the network of the one that it was started with */

/* A packet that waits for its verdict. */
struct flow_packet {
	uint64_t queue; /* no other queue ever has the same number in this worker */
	uint64_t network; /* cookie of its network namespace, or FLOW_QUEUE_AT_HOME */
	uint32_t id; /* the kernel's, in that queue */
	uint32_t agent;
	struct slice bytes; /* valid during the call */
};

/* Takes the descriptor. Packets of a network are read once it has verdicts too, and the worker
 * accepts. */
void flow_queues_add(struct worker *w, uint64_t network, int packets);
void flow_queues_add_verdicts(struct worker *w, uint64_t network, int verdicts);
/* Lets go of that network's. */
void flow_queues_remove(struct worker *w, uint64_t network);
/* Once there is a policy to judge by. */
void flow_queues_start(struct worker *w);
/* The verdict on one packet; nothing where its queue is gone. */
void flow_queues_answer(struct worker *w, uint64_t queue, uint32_t packet, uint32_t agent,
	enum queue_answer answer);
/* End of turn: what passes was recorded before, or does not pass. */
void flow_queues_finish_turn(struct worker *w);

#endif
