/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets of the daemon before: which of them can be gone on with.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "capture/cgroup.h"
#include "capture/diag.h"
#include "capture/listener.h"

#define PORT_UNPRIVILEGED 1024

static int get_option(int fd, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &size) < 0 ? -1 : value;
}

static bool is_of_network(int fd)
{
	__u64 own = 0, its = 1;
	socklen_t size = sizeof(own);
	int mine = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ret = mine >= 0 && getsockopt(mine, SOL_SOCKET, SO_NETNS_COOKIE, &own, &size) == 0 &&
		getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &its, &size) == 0 && own == its;

	if (mine >= 0)
		close(mine);
	return ret;
}

/* The loopback address's port; 0: another address. */
static uint16_t port_of(int fd, int family)
{
	static const struct in6_addr loopback6 = IN6ADDR_LOOPBACK_INIT;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} address;
	socklen_t length = sizeof(address);

	memset(&address, 0, sizeof(address));
	if (getsockname(fd, &address.any, &length) < 0 || address.any.sa_family != family)
		return 0;
	if (family == AF_INET)
		return address.v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK)
			? ntohs(address.v4.sin_port)
			: 0;
	return memcmp(&address.v6.sin6_addr, &loopback6, sizeof(loopback6)) == 0
		? ntohs(address.v6.sin6_port)
		: 0;
}

/* The mark, which only a socket has that began to listen in the workers' cgroup, is what connect(2)
 * asks for. */
static bool is_marked(int fd, int marks)
{
	__u32 agent = 1;

	return bpf_map_lookup_elem(marks, &fd, &agent) == 0 && agent == 0;
}

struct search {
	uint64_t cookie; /* of the socket; never 0 */
	uint64_t cgroup; /* 0: not found */
};

static int on_socket(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(message);
	struct search *s = context;

	if ((socket->id.idiag_cookie[0] | (uint64_t)socket->id.idiag_cookie[1] << 32) == s->cookie)
		(void)diag_cgroup(message, &s->cgroup);
	return MNL_CB_OK;
}

/* The cgroup in which it was made, also one that is gone; 0: not known. Several may have its
 * address (SO_REUSEPORT), so that one alone can't be asked for. */
static uint64_t cgroup_of(struct mnl_socket *netlink, int fd, int family, uint16_t port)
{
	const struct inet_diag_req_v2 listening = {
		.sdiag_family = (uint8_t)family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = 1u << TCP_LISTEN,
		.id = {.idiag_sport = htons(port)},
	};
	struct search s = {0};
	socklen_t size = sizeof(s.cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &s.cookie, &size) < 0 ||
		diag_ask(netlink, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &listening, on_socket, &s) < 0)
		return 0;
	return s.cgroup;
}

struct wanted {
	struct mnl_socket *netlink;
	int marks;
	uint64_t cgroup;
	uint16_t port;
};

static bool is_usable(const struct wanted *w, int fd, int family)
{
	return get_option(fd, SO_ACCEPTCONN) == 1 && get_option(fd, SO_TYPE) == SOCK_STREAM &&
		port_of(fd, family) == w->port && is_of_network(fd) && is_marked(fd, w->marks) &&
		cgroup_of(w->netlink, fd, family, w->port) == w->cgroup;
}

static bool are_usable(const struct wanted *w, const int *fds, unsigned count, int family)
{
	for (unsigned i = 0; i < count; i++) {
		if (!is_usable(w, fds[i], family))
			return false;
	}
	return true;
}

/* The mark alone does not tell: it stays with sockets whose cgroup was removed and made again, and
 * no program follows these any more. */
static bool all_are_usable(
	const struct listener_inherited *from, int marks, int cgroup_fd, uint16_t port)
{
	struct wanted w = {.netlink = diag_open(), .marks = marks, .port = port};
	bool ret = w.netlink && cgroup_get_id(cgroup_fd, &w.cgroup) == 0 &&
		are_usable(&w, from->v4, from->v4_count, AF_INET) &&
		are_usable(&w, from->v6, from->v6_count, AF_INET6);

	if (w.netlink)
		mnl_socket_close(w.netlink);
	return ret;
}

int listener_adopt(const struct listener_inherited *from, int marks, int cgroup_fd, unsigned count,
	uint16_t port, struct listener_set *ret)
{
	uint16_t found;

	if (from->v4_count == 0)
		return -ENOENT;
	found = port_of(from->v4[0], AF_INET);
	if (from->v4_count != count || (from->v6_count && from->v6_count != count) ||
		(port ? found != port : found == 0 || found >= PORT_UNPRIVILEGED) ||
		!all_are_usable(from, marks, cgroup_fd, found))
		return -ESTALE;
	*ret = (struct listener_set){.pairs = memory_new_array(count, sizeof(*ret->pairs)),
		.count = count,
		.port = found,
		/* The program that chooses belongs to the sockets, and stayed with them. */
		.spread = count > 1};
	for (unsigned i = 0; i < count; i++)
		ret->pairs[i] = (struct listener_pair){
			from->v4[i], from->v6_count ? from->v6[i] : LISTENER_NO_SOCKET};
	return 0;
}

void listener_discard(struct listener_inherited *from)
{
	for (unsigned i = 0; i < from->v4_count; i++)
		close(from->v4[i]);
	for (unsigned i = 0; i < from->v6_count; i++)
		close(from->v6[i]);
	from->v4_count = from->v6_count = 0;
}
