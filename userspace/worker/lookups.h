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

struct action;
struct buffer;
struct dns_message;
struct session;
struct verdict;
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

/* Of those that are asked over TCP (protocol/dns_stream.h): whether the connection leads to a name
 * server of the host's, which may be asked whatever egress says, and the resource that names it. */
bool lookups_is_stream(const struct session *s);
uint32_t lookups_resource(const struct session *s);
/* Whether a query may be as far as rules don't say, which are asked next; -EPERM: not, and why. */
int lookups_check_stream(struct session *s, const struct action *action, struct buffer *text);
/* What rules say of one: a name server that no resource names may be asked whatever none denies. */
void lookups_judge_stream(const struct session *s, struct verdict *verdict);
/* EVENT_PIN */
void lookups_pin(struct session *s, const struct dns_message *m);

#endif
