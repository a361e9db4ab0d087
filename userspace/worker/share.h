/* SPDX-License-Identifier: Apache-2.0
 *
 * share: what each agent may have of all workers together (`limits` of an agent): sessions at a
 * time, sessions begun, and bytes moved in a second. The counts stand in memory that the workers
 * share; how many sessions there are, each worker writes for itself, so that one that dies leaves
 * nothing behind once it is started again.
 */
#ifndef WAYLEAVE_WORKER_SHARE_H
#define WAYLEAVE_WORKER_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/list.h"
#include "ring/ring.h"
#include "worker/worker.h"

struct session;
struct worker;

struct shares {
	struct share_table *table;
	unsigned worker;
	uint32_t refused[SHARE_SLOTS]; /* sessions of this worker that are to be told so */
	struct ring_operation timer;
	struct list waiting; /* sessions of agents that have moved enough for now */
};

/* A session's place in it. */
struct share {
	struct list link; /* in shares.waiting */
	int slot; /* -1: none */
	bool counted; /* among the sessions that there are; what is refused is not */
	const char *over; /* which limit it is beyond; NULL: none */
	uint64_t most; /* of that limit */
	bool told; /* counted in shares.refused */
};

/* Of a worker that begins: it has no sessions. */
void shares_init(struct worker *w, struct share_table *table);
/* Counts a session of s->agent that was accepted, unless it is refused. -EDQUOT: it is beyond a
 * limit, as are so many that wait to be told so that this one is to end untold. */
int share_take(struct session *s);
/* It is dead. */
void share_give_back(struct session *s);
/* Whether it may begin; else why not, for the agent, is appended to `ret`. */
bool share_may_begin(const struct session *s, struct buffer *ret);
/* How many connections its agent may have besides its sessions. */
uint64_t share_room(const struct session *s);
/* Bytes in a second that its agent may move; 0: any number. */
uint64_t share_bandwidth(const struct session *s);
/* It has received so many bytes. */
void share_moved(struct session *s, size_t bytes);
/* Whether it receives no more for now; then it goes on by itself when there is room again. What its
 * process may take, if it has one, allowance.h says. */
bool share_waits(struct session *s);

#endif
