/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "bpf/shared.h"
#include "capture/cgroup.h"
#include "capture/namespace.h"
#include "capture/spread.h"

/* Where a free port is looked for, downwards; below stand the ports of well-known services. */
#define PORT_HIGHEST 1023
#define PORT_LOWEST 600
#define JOIN_TRIES 100
#define JOIN_PAUSE 5000 /* microseconds */
#define BACKLOG 65535 /* the kernel takes net.core.somaxconn where that is less */

/* A datagram from the child: a pair of sockets beside it, or why there is none. */
struct made {
	int error; /* negative errno, 0 for sockets */
	uint16_t port;
	bool has_v6;
};

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* What the child is to make. */
struct order {
	int cgroup_fd;
	const struct listener_place *place; /* NULL: this network namespace */
	unsigned count;
	uint16_t port;
	bool wide; /* on all addresses, not on loopback */
};

static socklen_t set_address(union address *ret, int family, const struct order *o, uint16_t port)
{
	*ret = (union address){0};
	if (family == AF_INET) {
		ret->v4 = (struct sockaddr_in){.sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(o->wide ? INADDR_ANY : INADDR_LOOPBACK)};
		return sizeof(ret->v4);
	}
	ret->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = o->wide ? in6addr_any : in6addr_loopback};
	return sizeof(ret->v6);
}

/* A bound socket, or a negative errno. `shared`: one of several on the port,
 * which others of our user could join. */
static int open_bound(const struct order *o, int family, uint16_t port, bool shared)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	int on = 1, share = shared, r = 0;
	union address address;
	socklen_t length = set_address(&address, family, o, port);

	if (fd < 0)
		return -errno;
	/* IPv4 has a socket of its own. */
	if (family == AF_INET6)
		r = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	/* SO_REUSEADDR: connections of a daemon that ended may still wait there. */
	if (r < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &share, sizeof(share)) < 0 ||
		bind(fd, &address.any, length) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* A host without ::1 has no IPv6 to redirect. */
static bool is_absent_family(int error)
{
	return error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL;
}

static int open_listening(const struct order *o, int family, uint16_t port, bool shared)
{
	int fd = open_bound(o, family, port, shared), r;

	if (fd >= 0 && listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* Both sockets of a pair; fds[1] negative: there is no IPv6. */
static int open_pair(const struct order *o, uint16_t port, bool shared, int fds[2])
{
	fds[0] = open_listening(o, AF_INET, port, shared);
	if (fds[0] < 0)
		return fds[0];
	fds[1] = open_listening(o, AF_INET6, port, shared);
	if (fds[1] >= 0 || is_absent_family(fds[1]))
		return 0;
	close(fds[0]);
	return fds[1];
}

/* Lets others of our own user listen there too, from now on. */
static int share_pair(const int fds[2])
{
	int on = 1;

	for (unsigned i = 0; i < 2; i++) {
		if (fds[i] >= 0 &&
			setsockopt(fds[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
			return -errno;
	}
	return 0;
}

/* The first pair listens alone, which only one can where several try: with SO_REUSEPORT a daemon
 * that starts in the same moment would be in one group with us. Returns the port, or a negative
 * errno. */
static int claim_port(const struct order *o, uint16_t wanted, int fds[2])
{
	int r = -EADDRINUSE;

	if (wanted) {
		r = open_pair(o, wanted, false, fds);
		return r < 0 ? r : wanted;
	}
	for (int port = PORT_HIGHEST; port >= PORT_LOWEST; port--) {
		r = open_pair(o, (uint16_t)port, false, fds);
		if (r == 0)
			return port;
		if (r != -EADDRINUSE)
			break;
	}
	return r;
}

/* A socket of somebody who tries the port in this moment counts as listening there until the kernel
 * has refused it. */
static int join_port(const struct order *o, uint16_t port, int fds[2])
{
	int r = open_pair(o, port, true, fds);

	for (unsigned i = 0; r == -EADDRINUSE && i < JOIN_TRIES; i++) {
		usleep(JOIN_PAUSE);
		r = open_pair(o, port, true, fds);
	}
	return r;
}

static int send_made(int channel, const struct made *made, const int *fds, size_t count)
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec part = {(void *)made, sizeof(*made)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (count) {
		struct cmsghdr *header;

		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(header), fds, count * sizeof(int));
	}
	return sendmsg(channel, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Gives them away. */
static int send_pair(int channel, uint16_t port, const int fds[2])
{
	const struct made made = {.port = port, .has_v6 = fds[1] >= 0};
	int r = send_made(channel, &made, fds, made.has_v6 ? 2 : 1);

	close(fds[0]);
	if (made.has_v6)
		close(fds[1]);
	return r;
}

/* Looked at before anything listens: a process that was named by its number may be another one by
 * now, in our own network namespace, whose connections would come there. */
static int enter_place(const struct listener_place *place)
{
	uint64_t cookie = 0;
	int r;

	if (!place)
		return 0;
	if (setns(place->namespace_fd, CLONE_NEWNET) < 0)
		return -errno;
	r = namespace_cookie(&cookie);
	return r == 0 && cookie != place->cookie ? -ESTALE : r;
}

/* The child's life. */
static void make_all(int channel, const struct order *order)
{
	struct made failed = {.error = 0};
	int r = cgroup_enter(order->cgroup_fd), port = 0, fds[2];

	if (r == 0)
		r = enter_place(order->place);
	if (r == 0)
		port = claim_port(order, order->port, fds);
	if (port == -EADDRINUSE && order->place)
		port = claim_port(order, 0, fds);
	if (port < 0)
		r = port;
	if (r == 0 && order->count > 1)
		r = share_pair(fds);
	if (r == 0)
		r = send_pair(channel, (uint16_t)port, fds);
	for (unsigned i = 1; r == 0 && i < order->count; i++) {
		r = join_port(order, (uint16_t)port, fds);
		if (r == 0)
			r = send_pair(channel, (uint16_t)port, fds);
	}
	if (r < 0) {
		failed.error = r;
		send_made(channel, &failed, NULL, 0);
	}
	_exit(r < 0);
}

static int receive_pair(int channel, struct listener_pair *ret, uint16_t *ret_port)
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct made made;
	struct iovec part = {&made, sizeof(made)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t n = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
	const struct cmsghdr *header;
	int fds[2] = {-1, -1};

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (n != sizeof(made))
		return -EPIPE;
	if (made.error < 0)
		return made.error;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_len != CMSG_LEN((made.has_v6 ? 2 : 1) * sizeof(int)))
		return -EPROTO;
	memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
	*ret = (struct listener_pair){fds[0], fds[1]};
	*ret_port = made.port;
	return 0;
}

/* What stands behind ip_unprivileged_port_start an agent could bind itself. */
static int check_port(uint16_t port, struct error *e)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
	unsigned long start = 1024;
	char line[32];

	if (file && fgets(line, sizeof(line), file))
		start = strtoul(line, NULL, 10);
	if (file)
		fclose(file);
	if ((port ? port : PORT_HIGHEST) >= start)
		return error_set(e, -EINVAL,
			"port %u is not below net.ipv4.ip_unprivileged_port_start (%lu)",
			port ? port : PORT_HIGHEST, start);
	return 0;
}

/* Round robin where there is a choice; without it the kernel's hash is as right, only less even. */
static bool spread(const struct listener_set *s)
{
	int v4[STEER_WORKERS_MOST], v6[STEER_WORKERS_MOST];

	for (unsigned i = 0; i < s->count; i++) {
		v4[i] = s->pairs[i].v4;
		v6[i] = s->pairs[i].v6;
	}
	return s->count > 1 && spread_attach(v4, s->count) == 0 &&
		(v6[0] == LISTENER_NO_SOCKET || spread_attach(v6, s->count) == 0);
}

static int receive_all(int channel, unsigned count, struct listener_set *ret)
{
	struct listener_set s = {.pairs = memory_new_array(count, sizeof(*s.pairs))};
	int r = 0;

	while (r == 0 && s.count < count) {
		r = receive_pair(channel, &s.pairs[s.count], &s.port);
		s.count += r == 0;
	}
	if (r < 0) {
		listener_close(&s);
		return r;
	}
	s.spread = spread(&s);
	*ret = s;
	return 0;
}

static int carry_out(const struct order *order, struct listener_set *ret, struct error *e)
{
	struct timeval patience = {.tv_sec = 5};
	int channel[2], r;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0)
		return error_set_errno(e, -errno, "the listener");
	child = fork();
	if (child == 0)
		make_all(channel[1], order);
	r = child < 0 ? -errno : 0;
	close(channel[1]);
	if (r == 0 &&
		setsockopt(channel[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		r = -errno;
	if (r == 0)
		r = receive_all(channel[0], order->count, ret);
	close(channel[0]);
	if (child > 0 && r < 0)
		kill(child, SIGKILL);
	if (child > 0)
		waitpid(child, NULL, 0);
	return r < 0 ? error_set_errno(e, r, "the listener on port %u", order->port) : 0;
}

int listener_open(
	int cgroup_fd, unsigned count, uint16_t port, struct listener_set *ret, struct error *e)
{
	const struct order order = {.cgroup_fd = cgroup_fd, .count = count, .port = port};
	int r;

	if (count == 0 || count > STEER_WORKERS_MOST)
		return error_set(e, -EINVAL, "%u listeners", count);
	r = check_port(port, e);
	return r < 0 ? r : carry_out(&order, ret, e);
}

/* The namespace's own sizes (net.ipv4.tcp_rmem, tcp_wmem) may be the agent's to choose. Accepted
 * sockets have their listener's. */
static int set_buffers(int fd)
{
	int half = LIMIT_NETWORK_SOCKET_BUFFER / 2; /* socket(7): the kernel doubles it */

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &half, sizeof(half)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof(half)) < 0)
		return -errno;
	return 0;
}

/* Who may bind privileged ports there is no matter: connect(2) asks for the mark, and who waits for
 * the listener is let go on (fence.bpf.c) once it has the port. */
int listener_open_in(int cgroup_fd, const struct listener_place *place, uint16_t port,
	struct listener_set *ret, struct error *e)
{
	const struct order order = {
		.cgroup_fd = cgroup_fd, .place = place, .count = 1, .port = port};
	struct listener_set set;
	int r = carry_out(&order, &set, e);

	if (r < 0)
		return r;
	r = set_buffers(set.pairs[0].v4);
	if (r == 0 && set.pairs[0].v6 != LISTENER_NO_SOCKET)
		r = set_buffers(set.pairs[0].v6);
	if (r < 0) {
		listener_close(&set);
		return error_set_errno(e, r, "the listener's buffers");
	}
	*ret = set;
	return 0;
}

int listener_open_wide(int cgroup_fd, struct listener_set *ret, struct error *e)
{
	const struct order order = {.cgroup_fd = cgroup_fd, .count = 1, .wide = true};
	int r = check_port(0, e);

	return r < 0 ? r : carry_out(&order, ret, e);
}

void listener_close(struct listener_set *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		close(s->pairs[i].v4);
		if (s->pairs[i].v6 != LISTENER_NO_SOCKET)
			close(s->pairs[i].v6);
	}
	free(s->pairs);
	*s = (struct listener_set){0};
}
