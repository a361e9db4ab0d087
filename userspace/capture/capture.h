/* SPDX-License-Identifier: Apache-2.0
 *
 * capture: turns the outbound connections of agents to the worker, by BPF programs on their cgroups
 * (bpf/), and rejects what was not turned (guard.h). For the monitor alone: one thread, privileged.
 *
 * What it sets up is pinned and outlives the daemon. While no daemon runs, agents' connections
 * fail, because nobody listens who carries the worker's mark; or they wait, with all that is sent
 * on them, where a service manager keeps the sockets that do. A daemon that starts again takes over
 * without a gap. Only capture_teardown() takes it away.
 *
 * Order of use: capture_open(), capture_listen(), capture_apply() at start and at each reload, the
 * self-test (selftest.h), then capture_process() whenever capture_descriptor() is readable.
 */
#ifndef WAYLEAVE_CAPTURE_CAPTURE_H
#define WAYLEAVE_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "bpf/shared.h"
#include "capture/cgroup.h"
#include "capture/dropped.h"
#include "capture/forward_rules.h"
#include "capture/listener.h"
#include "capture/networks.h"
#include "policy/mode.h"

struct capture;

struct capture_options {
	/* Names the pins, the nftables table and our own cgroups: pins_instance_is_valid(). Daemons
	 * of different instances don't disturb each other. */
	const char *instance;
	/* The file that says so, absolute: kept beside the hooks, so that they can be taken away
	 * when it can't be read any more. NULL: none. */
	const char *configuration;
	/* Most connections of one agent that are prepared and not accepted yet; 0 = the default. */
	uint32_t quota;
	/* Hears of listeners in other network namespaces; NULL: none are made. */
	networks_tell *on_network;
	networks_tell_queue *on_queue; /* and of queues there; NULL: datagrams are refused */
	void *context;
};

#define CAPTURE_DEFAULT_QUOTA 4096

struct capture_agent {
	uint32_t id; /* not 0, not CAPTURE_SELFTEST_AGENT */
	const char *name; /* for messages */
	/* Relative to the cgroup2 root; made where it is missing. With a `*`, which stands for any
	 * run of characters within one folder's name: all cgroups that match, once they are there.
	 */
	const char *cgroup;
	enum steer_loopback loopback;
	bool listen; /* its listening sockets may answer other hosts */
	enum udp_mode udp;
	uint64_t bandwidth; /* bytes in a second of its datagrams; 0: any number */
};

/* An agent that is known by the interfaces of this host behind which it is (forwarded.h). */
struct capture_forwarded {
	uint32_t id; /* as above; no other agent's */
	const char *name; /* for messages */
	/* Their names, which nft can be given as they are; a `*` may end one. */
	const char *const *interfaces;
	size_t interface_count;
	/* Its addresses; none: all that the interfaces may have. Of agents with an interface in
	 * common no addresses may be both's. */
	const struct forward_source *sources;
	size_t source_count;
	enum steer_loopback loopback; /* STEER_LOOPBACK_EGRESS, or what resources name alone */
	bool listen; /* its listening sockets may answer */
	enum udp_mode udp; /* UDP_ALLOW, or none */
	uint64_t bandwidth; /* as above */
};

/* The agent of the self-test's connections; no name's id (identity of names: config). */
#define CAPTURE_SELFTEST_AGENT 0xffffffffu

/* A destination that a resource names. Only those that may be on this host matter; others do no
 * harm. */
struct capture_destination {
	uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits; /* of address that count, of 128; below 96 it means IPv6 alone */
	uint16_t port; /* 0 = any */
};

/* The socket of a server on this host that a resource names. */
struct capture_server {
	const char *path; /* as agents may dial it; absolute */
	struct unix_server server;
};

struct capture_setup {
	const struct capture_agent *agents;
	size_t agent_count;
	const struct capture_destination *destinations;
	size_t destination_count;
	/* Of each path the first counts; more than UNIX_SERVERS_MOST are an error. */
	const struct capture_server *servers;
	size_t server_count;
	const struct capture_forwarded *forwarded;
	size_t forwarded_count;
	uint64_t generation; /* of the policy: flows that an older one let pass are judged anew */
};

/* Loads the programs or takes over what an earlier daemon left, and mirrors the host's routes.
 * -EBUSY: another daemon has the instance. The error's sentence is for the admin. */
int capture_open(const struct capture_options *options, struct capture **ret, struct error *e);
/* Frees what the process holds. All that is pinned stays: agents' connections fail from now on, or
 * wait where others hold the listening sockets. A child that was forked calls it too, or its copies
 * keep the instance locked when the parent dies. NULL is allowed. */
void capture_close(struct capture *c);

/* A sentence, or a name, that is valid during the call. */
typedef void capture_tell(void *context, const char *text);

/* Removes an instance, running or not: hooks, pins, rules, and the cgroups that we made and that
 * are empty; tells each thing that it did. -EBUSY while a daemon has it. What is gone already is no
 * error. After another error the rest is removed all the same. */
int capture_teardown(const char *instance, capture_tell *tell, void *context, struct error *e);
/* Tells the names of the instances that were set up by this configuration. */
int capture_find_instances(
	const char *configuration, capture_tell *tell, void *context, struct error *e);

/* Makes the listening sockets and has connections turned to them: listener.h. The set is the
 * caller's. Once per capture, unless it failed. Those of `inherited` (NULL: none) that can't be
 * used are closed, and of none is anything left in it. */
int capture_listen(struct capture *c, unsigned count, uint16_t port,
	struct listener_inherited *inherited, struct listener_set *ret, struct error *e);

/* Makes the Unix socket at `path`, in a folder that is there, and has agents' connections to the
 * servers of the setup turned to it. The descriptor is the caller's; what stood at the path is
 * replaced at once. -EOPNOTSUPP: the kernel can't turn them (6.7). */
int capture_listen_unix(struct capture *c, const char *path, int *ret_fd, struct error *e);
/* The same with one that was handed over and stands at that path; -ESTALE: it does not. */
int capture_adopt_unix(struct capture *c, const char *path, int fd);

/* For the worker that judges flows: where packets come from, and where verdicts go (queue.h); the
 * capture's. Both -1 where the kernel has no queue: then UDP_POLICY is UDP_DNS. */
void capture_queue(const struct capture *c, int *ret_packets, int *ret_verdicts);
/* Whether capture_agent.bandwidth holds: the kernel's nftables can limit. */
bool capture_limits_datagrams(const struct capture *c);
/* The worker that had them is gone: what it may have given away is worth nothing from here on. */
void capture_renew_queue(struct capture *c);

/* Makes the setup what is governed; everything in it is copied. -EINVAL and a sentence, and nothing
 * changed, for cgroups that are nested, ours, or hold this process. An agent that is left out stays
 * governed, and can reach nothing that its id isn't known for, until its cgroup is empty. After
 * another error some of it may be in force; what is not fails closed. */
int capture_apply(struct capture *c, const struct capture_setup *setup, struct error *e);

/* Where a command of an agent belongs. */
struct capture_place {
	char path[PATH_MAX]; /* of the cgroup's folder */
	uint64_t cgroup; /* its id */
};

/* Before a command is started there: makes sure that the cgroup is the one with the hooks, and
 * makes both anew where it was removed meanwhile. -ENOENT: no such agent. */
int capture_prepare(struct capture *c, uint32_t agent, struct capture_place *ret, struct error *e);
/* Whether a process is in, or below, the cgroup of any agent, and of which (0 = none). */
int capture_find_agent(struct capture *c, pid_t pid, uint32_t *ret_agent);

/* Whose process a connection over TCP leads to: the agent's id, or 0 where it leaves this host or
 * is nobody's that is governed. Negative errno: it is on this host, and can't be found out. */
int capture_find_peer(struct capture *c, int fd, uint32_t *ret_agent);

/* No agent connects to that listening socket in the daemon's network namespace, whatever `loopback`
 * and resources say. Negative errno. */
int capture_forbid(const struct capture *c, int fd);

/* Counters and pending connections of an agent, or of the host (agent 0). -ENOENT. */
int capture_get_counts(const struct capture *c, uint32_t agent, struct steer_agent *ret);

struct capture_count_text {
	const char *metric; /* name in metrics */
	const char *text; /* for operators */
};

/* Static, never NULL. `count` < STEER_COUNT_COUNT. */
const struct capture_count_text *capture_count_text(enum steer_count count);

/* Packets that were dropped or rejected since the daemon started and, of what it took over, before;
 * those of rules and queues in the daemon's network namespace alone. */
void capture_get_dropped(struct capture *c, uint64_t ret[DROPPED_BY_COUNT]);
/* Name in metrics; static. */
const char *capture_dropped_text(enum dropped_by by);

/* Called for what a person should hear of; `event` is valid during the call. */
typedef void capture_on_event(void *context, const struct steer_event *event);

/* Where cgroup2 is mounted; the capture's. */
const char *capture_cgroup_root(const struct capture *c);
/* Whether hooks and rules of all agents are what was put there, and were since the last call; where
 * they are not, puts them back. Says in `e` what was wrong. */
int capture_verify(struct capture *c, struct error *e);

/* Tells `on_network` of all those that are there (again), and of the listeners for agents that are
 * known by interface. */
void capture_each_network(const struct capture *c, networks_tell *on_network, void *context);
/* Likewise of the queues in other network namespaces. */
void capture_each_queue(const struct capture *c, networks_tell_queue *on_queue, void *context);
/* Lets go of them, and makes no others. */
void capture_leave_networks(struct capture *c);

/* One descriptor to poll for reading. */
int capture_descriptor(const struct capture *c);
/* After poll, and once a second: governs cgroups of agents that came, follows the host's routes,
 * puts back the guard's rules where somebody flushed them, delivers events. An error says what
 * could not be put right: log it, and call again a second later, readable or not. */
int capture_process(struct capture *c, capture_on_event *on_event, void *context, struct error *e);

#endif
