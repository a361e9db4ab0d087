/* SPDX-License-Identifier: Apache-2.0
 *
 * lookups: what agents ask name servers, and what they are answered, each datagram by itself
 * (capture/guard_names.c). A query is judged as an action, resolve, of the name; it leaves once
 * that is recorded. An answer must be one to a query that left. What it says of a resource's name
 * is in force in all workers (policy/pinned.h) before the agent gets it.
 */
#ifndef WAYLEAVE_WORKER_LOOKUPS_H
#define WAYLEAVE_WORKER_LOOKUPS_H

#include "base/table.h"
#include "protocol/packet.h"
#include "worker/flow_queue.h"

struct worker;

struct lookups {
	struct table table; /* queries that wait for their answers */
	struct list all; /* the oldest first */
	struct list servers; /* that agents ask */
	struct list askers;
};

void lookups_init(struct lookups *l);
void lookups_tick(struct worker *w, uint64_t now);

/* Of a datagram to a name server, or, if `inbound`, from one. False: the verdict comes later, by
 * flow_queues_answer(). */
bool lookups_judge(
	struct worker *w, const struct flow_packet *packet, bool inbound, enum queue_answer *ret);

#endif
