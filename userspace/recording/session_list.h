/* SPDX-License-Identifier: Apache-2.0
 *
 * session_list: the sessions that the indexes in a recordings folder know.
 */
#ifndef WAYLEAVE_RECORDING_SESSION_LIST_H
#define WAYLEAVE_RECORDING_SESSION_LIST_H

#include "base/arena.h"
#include "base/table.h"
#include "recording/segments.h"

enum session_state {
	SESSION_ACTIVE,
	SESSION_ENDED,
	SESSION_LOST, /* its worker died before it could say how the session ended */
};

/* Strings belong to the list; empty where unknown. Numbers that are unknown are UINT64_MAX (pid,
 * uid) or 0. */
struct session_summary {
	struct slice id, agent, principal, on_behalf_of, resource, protocol;
	struct slice groups; /* each on a line */
	struct slice address, upstream, exe, database, user;
	struct slice exe_hash, arguments, parents;
	uint64_t pid, uid, cgroup, process_start;
	bool observed;
	enum session_state state;
	bool unread; /* ended; its connection is there until its agent has read the rest */
	uint64_t started,
		ended; /* wall clock; ended: 0 while active; the last sign of life where lost */
	struct slice reason, detail; /* of the end */
	uint64_t actions, denied, rows; /* of an active session: as of at most a minute ago */
	uint64_t bytes_to_agent, bytes_to_server;
	struct identifier incarnation;
	uint64_t handle;
	uint32_t segment; /* of the recording, in which it starts */
};

struct session_filter {
	struct slice id, agent; /* empty: any */
	uint64_t since; /* started at or after */
	bool active; /* only those with a connection: active ones and unread ones */
	const struct identifier *live; /* incarnations that are alive */
	size_t live_count;
};

struct session_list {
	struct session_summary **sessions; /* newest first */
	size_t count;
	size_t damaged; /* index segments that could be read in part only */
	struct arena arena;
};

/* Negative errno with its sentence; -ENOMEM where the indexes are larger than anything sensible. */
int session_list_load(struct session_list *ret, int recordings_folder,
	const struct session_filter *filter, struct error *e);
void session_list_done(struct session_list *l);

#endif
