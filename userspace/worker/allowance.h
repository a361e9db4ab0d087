/* SPDX-License-Identifier: Apache-2.0
 *
 * allowance: how much a session's process (delegate.c) may take of its two connections, where the
 * agent's bandwidth is limited (share.h). The process asks for more when it has used half of what
 * it was given; what it took, and the agent is charged for, the kernel says, not the process. One
 * that takes more than it may loses its connections.
 *
 * A session that is over leaves its process time to tell the agent why; then that loses the
 * connection to the server, limited or not, if it still has it.
 */
#ifndef WAYLEAVE_WORKER_ALLOWANCE_H
#define WAYLEAVE_WORKER_ALLOWANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct session;

struct allowance {
	int server; /* the connection to the server as the kernel knows it; -1: none */
	uint64_t earlier; /* bytes that were taken of those before it */
	bool limited; /* the process was told how much it may take */
	uint64_t taken; /* bytes, of both connections, that the agent was charged for */
	uint64_t most; /* up to which the process may take, by the same count */
	unsigned excused; /* checks that it passes until it has heard of a limit; 0: it has */
	bool gone; /* the process has left, or says so */
};

/* The connections to servers of sessions that are over. */
struct partings {
	struct list all;
	unsigned count;
};

/* The process has both connections. Takes the descriptor of the one to the server, which must be
 * TCP, as must be s->proof. One that it had before is ended. */
void allowance_begin(struct session *s, int server);
/* Gives the process more, if it has asked for it and there is room, or the session waits for that
 * as share_waits() says; and has it obey the limit that the agent has now. */
void allowance_turn(struct session *s);
/* Charges the agent. False: the process has taken more than it may, and lost both connections. */
bool allowance_check(struct session *s);
/* The session is dead, and still has its share. */
void allowance_end(struct session *s);
void partings_init(struct partings *p);
/* Takes away what is still there and should not be; called now and then. */
void partings_tick(struct partings *p, uint64_t now);

#endif
