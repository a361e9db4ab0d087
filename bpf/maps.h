/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * maps: what the programs remember. All of them are pinned, so that every object and every restart
 * of the daemon use the same ones; userspace/capture/programs.c does that.
 *
 * What an agent can fill is preallocated (pending, events) or belongs to its socket and counts
 * against it (steered, listeners, accepted). Nothing is evicted: a full map refuses (bypass B15).
 */
#ifndef WAYLEAVE_BPF_MAPS_H
#define WAYLEAVE_BPF_MAPS_H

#include <stdbool.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "shared.h"

/* What became of an agent's socket. */
enum steered_state {
	STEERED_NOT, /* not redirected (any more) */
	STEERED_RESERVED, /* redirected, and counted as pending, by connect(2) */
	STEERED_PUBLISHED, /* its origin stands, or stood, in `pending` */
};

struct steered {
	struct origin origin;
	struct pending_key key; /* where STEERED_PUBLISHED put it */
	__u8 source[16]; /* what getsockname() shows instead of loopback; zeroes = the truth */
	__u32 state; /* enum steered_state */
	__u32 thread; /* that dialled, outside any pid namespace; of the process in `origin` */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct steer_settings);
} settings SEC(".maps");

/* One per agent: of the cgroup that a program is attached to, whichever cgroup below it a socket
 * was made in. It is the socket's cgroup that counts, never the calling task's. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_STORAGE);
	__type(key, __u64);
	__type(value, struct steer_attachment);
} attachments SEC(".maps");

/* Agent 0 is the host. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_AGENTS_MOST);
	__type(key, __u32);
	__type(value, struct steer_agent);
} agents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_PENDING_MOST);
	__type(key, struct pending_key);
	__type(value, struct origin);
} pending SEC(".maps");

/* Of an agent's socket, from its first redirected connect(2) on. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct steered);
} steered SEC(".maps");

/* Of a listening socket: the agent it belongs to; 0 = it is the worker's; STEER_LISTENER_FORBIDDEN
 * = no agent may dial it, as the monitor says. What comes of it has a copy, so that who dials sees
 * whose that is. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, __u32);
} listeners SEC(".maps");

/* Of a listening socket that rules lead to (capture/forwarded.h): the monitor's alone to write.
 * What it accepts has a copy from the moment on at which the handshake ends. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct steer_forwarded);
} forwarded SEC(".maps");

/* Of a socket that a worker accepted. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct origin);
} accepted SEC(".maps");

/* Addresses of this host: the host's routes of type local, IPv4 and IPv6. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_LOCAL_MOST);
	__type(key, struct prefix_key);
	__type(value, __u32);
} local_addresses SEC(".maps");

/* What resources name on this host: port and prefix. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_LOCAL_MOST);
	__type(key, struct prefix_key);
	__type(value, __u32);
} local_destinations SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, STEER_ROUTES_MOST);
	__type(key, struct prefix_key);
	__type(value, struct steer_route);
} routes SEC(".maps");

/* Network namespaces of agents: the monitor's alone to write. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_NETWORKS_MOST);
	__type(key, __u64);
	__type(value, struct steer_network);
} networks SEC(".maps");

/* As agents, without the host. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, STEER_AGENTS_MOST);
	__type(key, __u32);
	__type(value, struct network_asked);
} asked SEC(".maps");

/* Cgroups that belong to an agent and have no hooks yet: sockets are refused there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ENROL_AWAITED_MOST);
	__type(key, __u64);
	__type(value, __u32);
} awaited SEC(".maps");

/* Those for which there is no room in it: what this holds is never forgotten, and may be taken for
 * what it does not hold, so that what fails is a socket too many. It counts while enrol_state.lost
 * is not 0. */
struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, ENROL_LOST_MOST);
	__uint(map_extra, 5); /* hashes */
	__type(value, __u64);
} lost SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STEER_AGENTS_MOST);
	__type(key, __u32);
	__type(value, struct enrol_pattern);
} patterns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct enrol_state);
} enrolment SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} events SEC(".maps");

static __always_inline struct steer_agent *agent_get(__u32 agent)
{
	return bpf_map_lookup_elem(&agents, &agent);
}

/* Counts one more connection as prepared. False, and nothing counted, beyond either quota. */
static __always_inline bool pending_reserve(
	struct steer_agent *host, __u32 host_quota, struct steer_agent *own, __u32 own_quota)
{
	if (__sync_fetch_and_add(&own->pending, 1) >= own_quota)
		goto full;
	if (__sync_fetch_and_add(&host->pending, 1) < host_quota)
		return true;
	__sync_fetch_and_add(&host->pending, -1);
full:
	__sync_fetch_and_add(&own->pending, -1);
	return false;
}

/* Takes back what pending_reserve() counted. */
static __always_inline void pending_release(__u32 agent)
{
	struct steer_agent *host = agent_get(0), *own = agent_get(agent);

	if (host)
		__sync_fetch_and_add(&host->pending, -1);
	if (own)
		__sync_fetch_and_add(&own->pending, -1);
}

/* Whoever deletes the entry releases it: that happens once. */
static __always_inline void pending_delete(const struct pending_key *key, __u32 agent)
{
	if (bpf_map_delete_elem(&pending, key) == 0)
		pending_release(agent);
}

#endif
