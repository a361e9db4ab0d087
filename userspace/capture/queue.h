/* SPDX-License-Identifier: Apache-2.0
 *
 * queue: the kernel's queue of packets (NFQUEUE) whose flows a worker judges. The monitor opens it;
 * the worker that has its socket receives packets, and reads them without any privilege. Verdicts
 * need CAP_NET_ADMIN in whoever sends them, so the worker writes them, as fixed structs, to a
 * socket that a thread of the monitor passes on to the kernel.
 *
 * Nobody who reads, a full queue, or no verdict: the packet is dropped.
 */
#ifndef WAYLEAVE_CAPTURE_QUEUE_H
#define WAYLEAVE_CAPTURE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct mnl_socket;

/* So much of a packet is shown: headers, and what a flow begins with. */
#define QUEUE_PACKET_BYTES 4096u
#define QUEUE_PACKETS_MOST 1024u /* that wait in the kernel */
#define QUEUE_PACKETS_ELSEWHERE 128u /* the same in another network namespace, of one agent */
#define QUEUE_VERDICTS_MOST 64u /* of one write */

enum queue_answer {
	QUEUE_DROP,
	QUEUE_REFUSE, /* the agent gets a port-unreachable */
	QUEUE_PASS, /* and what follows of the flow, by that policy */
	QUEUE_PASS_ALONE, /* this packet, as it was */
};

/* What the worker writes, up to QUEUE_VERDICTS_MOST at once. */
struct queue_verdict {
	uint32_t packet; /* the kernel's id */
	uint32_t agent; /* whose it is: what it lets pass is that agent's alone */
	uint16_t answer; /* enum queue_answer */
	uint16_t generation; /* of the policy that judged, the lower bits */
};

/* Marks of packets on their way back from the worker, and of their flows in connection tracking.
 * Those with a queue's number are that daemon's alone: several may run on a host. */
#define QUEUE_MARK_PASS 0x5a000000u /* | what stands for agent and generation */
#define QUEUE_MARK_ASKED 0x5d000000u /* | the queue's number */
#define QUEUE_MARK_REFUSE 0x5c000000u /* the same */
#define QUEUE_MARK_NAMES 0x5e000000u /* the same: to or from name servers, each by itself */
#define QUEUE_MARK_ANSWERS 0x5f000000u /* the same: from name servers, to behind an interface */
#define QUEUE_MARK_MASK 0xff000000u

/* The mark of what a policy let an agent send. A flow outlives its socket in connection tracking:
 * whoever has the same port next is another agent, whose mark is another. */
static inline uint32_t queue_pass_mark(uint32_t agent, uint16_t generation)
{
	uint64_t both = (uint64_t)agent << 16 | generation;

	return QUEUE_MARK_PASS | (uint32_t)(both * 0x9e3779b97f4a7c15u >> 40);
}

struct queue {
	struct mnl_socket *socket;
	uint16_t number;
	int verdicts; /* the worker's end */
	int source; /* the thread's */
	unsigned tried; /* numbers; a new queue of the same name begins with the next one */
	pthread_t thread;
	bool running;
};

/* On a queue that nobody has, one of those that begin with what `name` says. A sentence where the
 * kernel has none. */
int queue_open(struct queue *ret, const char *name, struct error *e);
/* The same in another network namespace (capture/namespace.h). */
int queue_open_in(
	struct queue *ret, const char *name, int namespace_fd, uint64_t cookie, struct error *e);
/* Packets are dropped from then on. Also of one that was never opened, if it is zeroed. */
void queue_close(struct queue *q);
/* Closes it and opens another one, with another number: whoever still has the old one's sockets
 * gets nothing more, and nobody listens to it. */
int queue_renew(struct queue *q, const char *name, struct error *e);
/* To receive packets from: struct nlmsghdr, linux/netfilter/nfnetlink_queue.h. -1: not open. */
int queue_descriptor(const struct queue *q);

/* Whether nftables has its own `queue` statement; else the rule is one of xtables' targets. */
bool queue_is_native(void);
/* Puts a rule that queues everything to the head of a chain of `table` (family inet), where
 * nftables has no words for it. */
int queue_add_rule(uint16_t number, const char *table, const char *chain, struct error *e);

#endif
