/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets of the daemon before: which of them can be gone on with.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
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

static bool is_usable(int fd, int family, uint16_t port, int marks)
{
	return get_option(fd, SO_ACCEPTCONN) == 1 && get_option(fd, SO_TYPE) == SOCK_STREAM &&
		port_of(fd, family) == port && is_of_network(fd) && is_marked(fd, marks);
}

static bool are_usable(const int *fds, unsigned count, int family, uint16_t port, int marks)
{
	for (unsigned i = 0; i < count; i++) {
		if (!is_usable(fds[i], family, port, marks))
			return false;
	}
	return true;
}

int listener_adopt(const struct listener_inherited *from, int marks, unsigned count, uint16_t port,
	struct listener_set *ret)
{
	uint16_t found;

	if (from->v4_count == 0)
		return -ENOENT;
	found = port_of(from->v4[0], AF_INET);
	if (from->v4_count != count || (from->v6_count && from->v6_count != count) ||
		(port ? found != port : found == 0 || found >= PORT_UNPRIVILEGED) ||
		!are_usable(from->v4, from->v4_count, AF_INET, found, marks) ||
		!are_usable(from->v6, from->v6_count, AF_INET6, found, marks))
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
