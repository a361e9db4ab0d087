/* SPDX-License-Identifier: Apache-2.0
 *
 * identities: who each agent acts for, as the monitor keeps it: it hands tokens unread to the
 * broker (openid.c), whether they come in files (token_files.c) or with commands (runs.c), keeps
 * what the broker found out, and gives that to the workers.
 */
#ifndef WAYLEAVE_MONITOR_IDENTITIES_H
#define WAYLEAVE_MONITOR_IDENTITIES_H

#include <cjson/cJSON.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/error.h"
#include "identity/principals.h"
#include "monitor/suspensions.h"
#include "monitor/token_files.h"

struct monitor;

/* An agent's, or that of one of its runs. */
struct identity {
	uint32_t agent; /* config_agent_id() */
	uint64_t run; /* id of its cgroup; 0: all of the agent that is in no run */
	char *name;
	char *issuer; /* NULL: the agent has no identity */
	char *token_file; /* NULL: its tokens come otherwise */
	bool without_source; /* there is no way in which one could come */
	bool suspended;
	uint32_t serial; /* of the token that the broker has */
	struct buffer token; /* that one */
	bool readable; /* the file could be read last time */
	bool open_to_all; /* its mode lets everybody read it */
	struct buffer entry; /* as principals_encode() has it; empty: nothing is known yet */
	char *noted; /* what the audit log says of it */
	/* Of a run */
	uid_t starter;
	bool own_token; /* else it is whom the agent is */
	bool was_populated; /* a process was in it */
	char *on_behalf_of; /* NULL: of nobody that is known */
	uint64_t known_since, told_at; /* monotonic; told_at 0: no newer token came */
};

struct identities {
	struct identity *items;
	size_t count;
	struct identity *runs;
	size_t run_count;
	struct suspensions suspensions;
	uint32_t last_serial; /* that any token had: what the broker says is about that one */
	struct token_files files;
	uint64_t next_run_check; /* monotonic */
	uint64_t told; /* a number for what flows of datagrams are judged by */
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

/* --- for runs.c, token_files.c and suspensions.c --- */

/* Tells all workers. */
void identities_tell(struct monitor *m);
/* The agent's own; NULL: there is no such agent. */
struct identity *identities_find_agent(struct identities *all, uint32_t agent);
void identity_take_token(struct monitor *m, struct identity *item, struct slice token);
/* There is no token that is taken, and why. */
void identity_set_problem(struct monitor *m, struct identity *item, const char *problem);
cJSON *identity_describe(const struct identities *all, const struct identity *item);
void identity_done(struct identity *item);

/* --- runs.c --- */

/* Those that an earlier daemon made. */
void runs_load(struct monitor *m);
/* Whom a command acts for, where that is not the agent's. */
struct run_who {
	const char *token; /* as the starter gave it; NULL: none */
	const char *on_behalf_of; /* NULL: of nobody that is known */
};
/* A cgroup for one command of the agent. */
struct config_agent;
struct capture_place;
int runs_begin(struct monitor *m, const struct config_agent *agent, uid_t starter,
	const struct run_who *who, struct capture_place *ret, struct error *e);
/* The configuration may be another one. */
void runs_configure(struct monitor *m);
/* What is due. */
void runs_turn(struct monitor *m, uint64_t now);
/* Appends to the entries of the agents' list. */
void runs_describe(const struct identities *all, uint32_t agent, cJSON *ret_list);

#endif
