/* SPDX-License-Identifier: Apache-2.0
 *
 * identities: who each agent acts for, as the monitor keeps it: it reads the files that tokens come
 * in, hands their bytes unread to the broker (openid.c), keeps what the broker found out, and gives
 * that to the workers. Who is suspended is kept across restarts.
 */
#ifndef WAYLEAVE_MONITOR_IDENTITIES_H
#define WAYLEAVE_MONITOR_IDENTITIES_H

#include "base/buffer.h"
#include "base/error.h"
#include "identity/principals.h"
#include "monitor/loop.h"

struct monitor;

struct identity {
	uint32_t agent; /* config_agent_id() */
	char *name;
	char *issuer; /* NULL: the agent has no identity */
	char *token_file; /* NULL: its tokens come otherwise */
	bool suspended;
	uint32_t serial; /* of the token that the broker has */
	struct buffer token; /* that one */
	bool readable; /* the file could be read last time */
	bool open_to_all; /* its mode lets everybody read it */
	struct buffer entry; /* as principals_encode() has it; empty: nothing is known yet */
	char *noted; /* what the audit log says of it */
};

struct identities {
	struct identity *items;
	size_t count;
	char **suspended; /* names, also of agents that are not configured now */
	size_t suspended_count;
	uint32_t last_serial; /* that any token had: what the broker says is about that one */
	struct loop_source watch;
	uint64_t read_at, next_poll; /* monotonic; read_at 0: nothing has changed */
	bool changed; /* the workers don't know it yet */
};

int identities_open(struct monitor *m, struct error *e);
void identities_close(struct monitor *m);
/* The configuration may be another one. */
void identities_configure(struct monitor *m);
/* What is due. `now` is monotonic. */
void identities_turn(struct monitor *m, uint64_t now);
/* Nothing that was found out holds any more: it is found out anew. */
void identities_forget(struct monitor *m);
/* What the broker found out, as it encoded it. -EBADMSG: it is no such thing. */
int identities_take(struct monitor *m, struct slice encoded);
/* Tells a worker that begins. */
struct monitor_worker;
void identities_send(struct monitor *m, struct monitor_worker *w);

#endif
