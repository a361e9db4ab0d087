/* SPDX-License-Identifier: Apache-2.0
 *
 * canary_ways: the ways out of an agent that the canary tries.
 */
#ifndef WAYLEAVE_MONITOR_CANARY_WAYS_H
#define WAYLEAVE_MONITOR_CANARY_WAYS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* WAY(symbol, name, what it is) */
#define CANARY_WAYS(row)                                                                           \
	row(TCP4, "tcp4", "TCP over IPv4") row(TCP6, "tcp6", "TCP over IPv6") row(                 \
		MAPPED, "mapped", "TCP over IPv4 by an IPv6 socket") row(FAST_OPEN, "fast_open",   \
		"TCP fast open") row(MPTCP, "mptcp", "multipath TCP") row(IO_URING, "io_uring",    \
		"TCP by io_uring") row(ABSTRACT, "abstract",                                       \
		"abstract Unix sockets of others (kernel 6.12)") row(UDP4, "udp4",                 \
		"UDP over IPv4") row(UDP6, "udp6", "UDP over IPv6") row(PING, "ping", "ICMP")      \
		row(SCTP, "sctp", "SCTP") row(RAW, "raw", "raw IP") row(PACKET, "packet",          \
			"packet sockets") row(VSOCK, "vsock", "sockets to the hypervisor")         \
			row(ALG, "alg", "sockets of the kernel's cryptography")                    \
				row(MARK, "mark", "marking packets as let through")                \
					row(BPF, "bpf", "bpf(2)")                                  \
						row(CGROUP, "cgroup", "leaving the cgroup")

enum canary_way {
#define CANARY_SYMBOL(symbol, name, text) CANARY_##symbol,
	CANARY_WAYS(CANARY_SYMBOL)
#undef CANARY_SYMBOL
		CANARY_WAY_COUNT
};

/* Those in front of this one end at a catcher: a listener outside of all agents, which only the
 * monitor looks at. For the others an error is what stops them. */
#define CANARY_CAUGHT CANARY_UDP4

struct canary_way_text {
	const char *name, *text;
};
const struct canary_way_text *canary_way_text(enum canary_way way);

struct canary_catcher {
	int fd; /* -1: the host hasn't that */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	} address; /* as it is dialled */
	socklen_t length;
};

/* What the canary writes, once per way. */
struct canary_result {
	int way;
	int error; /* what stopped it; 0 = nothing that it could see */
};

/* Tries one; the result's error. */
int canary_try(enum canary_way way, const struct canary_catcher *catcher, const char *cgroup_root);

#endif
