/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/canary_ways.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpf/shared.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

const struct canary_way_text *canary_way_text(enum canary_way way)
{
	static const struct canary_way_text texts[CANARY_WAY_COUNT] = {
#define ROW(symbol, name, text) [CANARY_##symbol] = {name, text},
		CANARY_WAYS(ROW)
#undef ROW
	};

	return &texts[way];
}

/* Whatever happens next, the socket stays open: the catcher is looked at when all is tried. */
static int dial(int protocol, const struct canary_catcher *to)
{
	int fd = socket(to->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, protocol);

	return fd < 0 || connect(fd, &to->address.any, to->length) < 0 ? errno : 0;
}

static int dial_fast(const struct canary_catcher *to)
{
	int fd = socket(to->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

	return fd < 0 || sendto(fd, "x", 1, MSG_FASTOPEN, &to->address.any, to->length) < 0 ? errno
											    : 0;
}

static int dial_by_ring(const struct canary_catcher *to)
{
	struct io_uring ring;
	struct io_uring_cqe *done;
	int fd = socket(to->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	int r = io_uring_queue_init(4, &ring, 0);

	if (fd < 0 || r < 0)
		return fd < 0 ? errno : -r;
	io_uring_prep_connect(io_uring_get_sqe(&ring), fd, &to->address.any, to->length);
	io_uring_submit(&ring);
	r = io_uring_wait_cqe(&ring, &done);
	return r < 0 ? -r : -done->res;
}

/* To addresses that are nobody's (RFC 5737, RFC 3849), port 443 as QUIC. What was not refused is on
 * its way. */
static int send_datagram(int family)
{
	const struct sockaddr_in v4 = {.sin_family = AF_INET,
		.sin_port = htons(443),
		.sin_addr.s_addr = htonl(0xc0000201)};
	const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
		.sin6_port = htons(443),
		.sin6_addr.s6_addr = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ssize_t n;

	if (fd < 0)
		return errno;
	n = family == AF_INET ? sendto(fd, "x", 1, 0, (const struct sockaddr *)&v4, sizeof(v4))
			      : sendto(fd, "x", 1, 0, (const struct sockaddr *)&v6, sizeof(v6));
	return n < 0 ? errno : 0;
}

static int make_socket(int family, int type, int protocol)
{
	return socket(family, type | SOCK_CLOEXEC, protocol) < 0 ? errno : 0;
}

static int set_mark(void)
{
	int mark = STEER_MARK_DIRECT, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ? errno : 0;
}

static int call_bpf(void)
{
	union bpf_attr attributes;

	memset(&attributes, 0, sizeof(attributes));
	return syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &attributes, sizeof(attributes)) < 0 ? errno
											   : 0;
}

static int leave_cgroup(const char *root)
{
	char path[4096];
	int fd, r;

	snprintf(path, sizeof(path), "%s/cgroup.procs", root);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	r = write(fd, "0", 1) < 0 ? errno : 0;
	close(fd);
	return r;
}

int canary_try(enum canary_way way, const struct canary_catcher *catcher, const char *cgroup_root)
{
	switch (way) {
	case CANARY_MPTCP:
		return dial(IPPROTO_MPTCP, catcher);
	case CANARY_FAST_OPEN:
		return dial_fast(catcher);
	case CANARY_IO_URING:
		return dial_by_ring(catcher);
	case CANARY_UDP4:
		return send_datagram(AF_INET);
	case CANARY_UDP6:
		return send_datagram(AF_INET6);
	case CANARY_PING:
		return make_socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	case CANARY_SCTP:
		return make_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
	case CANARY_RAW:
		return make_socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	case CANARY_PACKET:
		return make_socket(AF_PACKET, SOCK_DGRAM, 0);
	case CANARY_VSOCK:
		return make_socket(AF_VSOCK, SOCK_STREAM, 0);
	case CANARY_ALG:
		return make_socket(AF_ALG, SOCK_SEQPACKET, 0);
	case CANARY_MARK:
		return set_mark();
	case CANARY_BPF:
		return call_bpf();
	case CANARY_CGROUP:
		return leave_cgroup(cgroup_root);
	default:
		return dial(0, catcher);
	}
}
