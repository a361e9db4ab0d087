/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * shared: what the programs in the kernel and userspace/capture/ both know. The only header that
 * both sides include. Layouts are fixed: a restarted daemon reads maps that an older one pinned,
 * so a changed layout needs another CAPTURE_LAYOUT, which is part of the path of the pins.
 */
#ifndef WAYLEAVE_BPF_SHARED_H
#define WAYLEAVE_BPF_SHARED_H

#include <linux/types.h>

#ifdef __bpf__
#define SHARED_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#else
#include <assert.h>
#define SHARED_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#endif

/* Changes with every layout below and with every key, value type or size of maps.h. */
#define CAPTURE_LAYOUT "v3"

/* getsockopt(fd, ORIGIN_LEVEL, ORIGIN_OPTION, struct origin *): no protocol of the kernel has this
 * level, so without our program it is an error. */
#define ORIGIN_LEVEL 0x57790000
#define ORIGIN_OPTION 1

#define ORIGIN_VERSION 1

/* How a connection came to the worker. */
enum origin_way {
	ORIGIN_DIALLED, /* an agent's connect(2) was turned */
	/* Rules turned what came in by an agent's interface: of the process nothing is known, and
	 * where it was to go its socket says (capture/origin.h). */
	ORIGIN_FORWARDED,
	ORIGIN_FORWARDED_NAMED, /* the same, to places that resources name alone */
};

/* Where a connection comes from: written when an agent calls connect(2), read by the worker that
 * accepts it. Integers are in the host's byte order. */
struct origin {
	__u32 version; /* ORIGIN_VERSION */
	__u32 agent; /* its id, never 0 */
	__u8 address[16]; /* the destination that was dialled; IPv4 as ::ffff:a.b.c.d; of a Unix
			     socket, the digest in struct unix_server */
	__u16 port;
	__u8 family; /* of the agent's socket: AF_INET, or AF_INET6 also for a mapped address, or
			AF_UNIX */
	__u8 local; /* 1: the destination is this host */
	__u32 interface; /* index of the device that the socket was bound to; 0 = none */
	__u32 pid; /* thread group id, outside any pid namespace */
	__u32 uid; /* real, outside any user namespace */
	__u64 cgroup; /* id of the socket's cgroup: the agent's, or one below it */
	__u64 start_time; /* of the process: nanoseconds of CLOCK_BOOTTIME */
	__u64 exe_inode; /* i_ino of the program's file; 0 = unknown */
	__u32 exe_device; /* s_dev in the kernel's form, (major << 20) | minor */
	__u32 way; /* enum origin_way */
	__u64 socket; /* cookie of the agent's socket */
	__u64 network; /* cookie of its network namespace */
	__u64 connect_time; /* nanoseconds of CLOCK_MONOTONIC */
	char command[16]; /* the process's name (comm); the agent chooses it */
};
SHARED_SIZE(struct origin, 112);

/* One connection between tcp_connect() and its acceptance by the worker. Addresses as in struct
 * origin, ports in the host's order; "agent" is the dialling end. */
struct pending_key {
	__u64 network;
	__u8 agent_address[16];
	__u8 worker_address[16];
	__u16 agent_port;
	__u16 worker_port;
	__u32 unused;
};
SHARED_SIZE(struct pending_key, 48);

/* Of a listening socket that rules lead an agent's interface to, and of what it accepts. */
struct steer_forwarded {
	__u32 agent; /* its id, never 0 */
	__u16 way; /* enum origin_way */
	__u16 local; /* 1: the destinations are this host */
};
SHARED_SIZE(struct steer_forwarded, 8);

enum steer_loopback { STEER_LOOPBACK_OWN, STEER_LOOPBACK_DIRECT, STEER_LOOPBACK_EGRESS };

#define STEER_LISTENER_FORBIDDEN 0xfffffffeu /* no agent's id: of a listening socket, nobody's */

/* Of one attachment: the storage of the agent's cgroup. Zeroes, as before it is filled in, refuse
 * everything. */
struct steer_attachment {
	__u32 agent;
	__u32 loopback; /* enum steer_loopback */
	__u32 quota; /* most connections prepared but not accepted */
	__u16 echo; /* 1: may have sockets that ask for echoes (ping), which the rules judge */
	__u16 listen; /* 1: its listening sockets may answer other hosts */
};
SHARED_SIZE(struct steer_attachment, 16);

/* Of the whole instance. */
struct steer_settings {
	__u64 network; /* cookie of the network namespace that has the listener */
	__u32 port; /* of the listener on 127.0.0.1 and ::1; 0 = none, refuse */
	__u32 routes_known; /* 0: reachable_routes is not complete, treat all as reachable */
	__u32 quota; /* most connections prepared but not accepted, of all agents */
	__u32 holds; /* connections may wait for a listener: fence.bpf.c is there */
};
SHARED_SIZE(struct steer_settings, 24);

/* Key of the prefix tries. IPv4 and IPv6 are told apart by `family`, so that ::/0 does not match
 * an IPv4 address; IPv4 stands in the first four bytes of `address`. */
struct prefix_key {
	__u32 length; /* bits that count, from `family` on */
	__u16 family;
	__u16 port; /* of destinations_local: host's order, 0 = any port. Otherwise 0 */
	__u8 address[16];
};
SHARED_SIZE(struct prefix_key, 24);
#define PREFIX_KEY_HEAD_BITS 32

/* Value of routes: what connect(2) to that prefix gives. */
struct steer_route {
	__s32 error; /* 0 = reachable, else a negative errno */
	__u32 unused;
	__u8 source[16]; /* the host's address towards it, as in struct origin; zeroes = unknown */
};
SHARED_SIZE(struct steer_route, 24);

/* What is counted, per agent and (under agent 0) for the host. docs: the name in metrics, and what
 * an operator reads. */
#define STEER_COUNTS(row)                                                                          \
	row(REDIRECTED, "redirected", "connections turned to a worker") row(DIRECT, "direct",      \
		"connections to this host that were left as they are") row(ACCEPTED, "accepted",   \
		"connections whose origin reached the worker") row(NO_ROUTE, "no_route",           \
		"refused: the host has no route") row(LOOPBACK, "loopback",                        \
		"refused: a destination on this host of somebody else") row(NO_LISTENER,           \
		"no_listener", "refused: the worker does not listen") row(OTHER_NETWORK,           \
		"other_network", "refused: another network namespace") row(QUOTA, "quota",         \
		"refused: too many connections prepared but not accepted") row(RESOURCES,          \
		"resources", "refused: no memory or no room in a map") row(PROTOCOL, "protocol",   \
		"refused: sockets other than TCP and UDP") row(ORIGIN_LOST, "origin_lost",         \
		"connections whose origin could not be handed over") row(EVENT_LOST, "event_lost", \
		"events that came too fast to be told") row(NOT_ENROLLED, "not_enrolled",          \
		"refused: sockets in a cgroup that was not governed yet")                          \
		row(FENCED, "fenced", "packets that did not leave another network namespace")

enum steer_count {
#define STEER_COUNT_SYMBOL(symbol, metric, text) STEER_##symbol,
	STEER_COUNTS(STEER_COUNT_SYMBOL)
#undef STEER_COUNT_SYMBOL
		STEER_COUNT_COUNT
};

/* Value of agents. */
struct steer_agent {
	__s64 pending; /* connections prepared but not accepted */
	__u64 last_event; /* when the last event was sent: nanoseconds of CLOCK_MONOTONIC */
	__u64 counts[16]; /* by enum steer_count */
};
SHARED_SIZE(struct steer_agent, 144);

/* An entry of the ring buffer: what a person should hear of. At most one per agent in
 * STEER_EVENT_INTERVAL, so that an agent can't keep the monitor busy. */
#define STEER_EVENT_INTERVAL 10000000ULL /* nanoseconds */
struct steer_event {
	__u32 count; /* enum steer_count: STEER_LOOPBACK, STEER_QUOTA, STEER_RESOURCES or
			STEER_OTHER_NETWORK */
	__u32 transport; /* IPPROTO_… of what was refused; 0: TCP */
	struct origin origin;
};
SHARED_SIZE(struct steer_event, 120);

/* SO_MARK of sockets that the hook let through to this host; the guard asks for it. An agent
 * without CAP_NET_ADMIN and CAP_NET_RAW can't set one. */
#define STEER_MARK_DIRECT 0x57790001
/* Of sockets whose SYN fence.bpf.c holds back until there is a listener in their network namespace:
 * who changes it gains that nobody waits. */
#define STEER_MARK_HELD 0x57790002
/* Of sockets whose origin had no room in `pending` when their SYN was due: the guard refuses it, as
 * the worker would refuse the connection. */
#define STEER_MARK_LOST 0x57790003

/* A cgroup path of the configuration, `*` for any run of characters but "/". A cgroup that is made
 * under such a path is `awaited` until the monitor has put the hooks on it. */
#define ENROL_TEXT_MOST 256
struct enrol_pattern {
	char text[ENROL_TEXT_MOST]; /* from the root, "/" in front, a NUL behind */
};
SHARED_SIZE(struct enrol_pattern, 256);

/* Mapped by the monitor, too. */
struct enrol_state {
	__u64 awaited; /* entries of the map `awaited` */
	__u32 patterns; /* entries of `patterns` that count */
	__u32 lost; /* cgroups for which `awaited` had no room */
};
SHARED_SIZE(struct enrol_state, 16);

/* An entry of the ring buffer, told from struct steer_event by its size: one is awaited. */
struct enrol_event {
	__u64 cgroup;
};
SHARED_SIZE(struct enrol_event, 8);

#define NETWORK_JUDGED_NEVER 0xffffffffu /* no agent's id: the self-test's is none there */

/* Value of networks, by the cookie of another network namespace than the daemon's: what stands
 * there. */
struct steer_network {
	__u32 port; /* of the workers' listener on its 127.0.0.1 and ::1; 0 = none could be made,
		       refuse */
	__u32 judged; /* the agent whose datagrams rules judge there (capture/network_rules.h); 0 =
			 nobody's, refuse; NETWORK_JUDGED_NEVER = nor will they be */
};
SHARED_SIZE(struct steer_network, 8);

/* Who asked for a listener. */
struct network_ask {
	__u64 network; /* cookie; 0 = nobody could be told */
	__u64 thread; /* its id, with that of the thread group in the upper half */
};
SHARED_SIZE(struct network_ask, 16);

/* Value of asked, per agent: what it has asked for of late. One agent, which may be many
 * containers, asks at most so often in an interval, so that it can't keep the monitor busy. */
#define NETWORK_ASK_INTERVAL 16000000ULL /* nanoseconds */
#define NETWORK_ASKS_MOST 16
struct network_asked {
	__u64 since; /* begin of the interval: nanoseconds of CLOCK_MONOTONIC */
	__u64 refused_until; /* the same clock: until then there is no room for more namespaces; the
				monitor's to write */
	__u32 count;
	__u32 unused;
	struct network_ask asks[NETWORK_ASKS_MOST]; /* the first `count` are of this interval */
};
SHARED_SIZE(struct network_asked, 280);

/* Whether rules that stand in a network namespace are the asking thread's to change. */
enum network_ruled { NETWORK_RULED_UNKNOWN, NETWORK_RULED, NETWORK_NOT_RULED };

/* An entry of the ring buffer, told from the others by its size: an agent has a socket in a network
 * namespace that has no listener, or no rules for it, and a way out of it; or it can change them.
 */
struct network_event {
	__u64 network; /* its cookie */
	__u32 agent;
	__u32 pid; /* thread group id, outside any pid namespace */
	__u32 thread;
	__u32 ruled; /* enum network_ruled */
};
SHARED_SIZE(struct network_event, 24);

/* sun_path of a sockaddr_un with a NUL behind, padded with NULs. */
#define UNIX_PATH_SIZE 112
#define UNIX_PATH_MOST 108 /* bytes of it that the kernel takes, a NUL included or not */

/* A path of a server's socket that resources name, as an agent may dial it. */
struct unix_path {
	char text[UNIX_PATH_SIZE];
};
SHARED_SIZE(struct unix_path, 112);

/* What stands at such a path: in the place of an address in struct origin. */
struct unix_server {
	__u8 digest[16]; /* of the path as the configuration has it (policy/unix_server.h) */
};
SHARED_SIZE(struct unix_server, 16);

/* The worker's own socket, where it is turned to. */
struct unix_worker {
	__u32 length; /* bytes of the path with its NUL; 0 = none, refuse */
	struct unix_path path;
};
SHARED_SIZE(struct unix_worker, 116);

#define ENROL_AWAITED_MOST 16384 /* made while no daemon runs */
#define ENROL_LOST_MOST 65536 /* that are told from others well; more are all the same */
#define STEER_PENDING_MOST 32768 /* of all agents */
#define STEER_AGENTS_MOST 2048
#define STEER_ROUTES_MOST 65536
#define STEER_LOCAL_MOST 8192
#define STEER_WORKERS_MOST 256
#define UNIX_SERVERS_MOST 4096
#define STEER_NETWORKS_MOST 256

#endif
