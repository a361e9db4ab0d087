/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose process is at the other end of a connection that stays on this host: the kernel says of the
 * socket there in which cgroup it was made.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/diag.h"
#include "capture/prefix.h"
#include "capture/state.h"
#include "capture/translated.h"

static const void *address_of(const union place *p)
{
	return p->any.sa_family == AF_INET6 ? (const void *)&p->v6.sin6_addr
					    : (const void *)&p->v4.sin_addr;
}

static size_t address_size(const union place *p)
{
	return p->any.sa_family == AF_INET6 ? sizeof(p->v6.sin6_addr) : sizeof(p->v4.sin_addr);
}

static bool is_of_host(const struct capture *c, const union place *p)
{
	uint8_t address[16];
	struct prefix_key key;
	uint32_t value;

	prefix_map_address(p->any.sa_family, address_of(p), address);
	return prefix_from_address(AF_INET6, address, 128, 0, &key) == 0 &&
		bpf_map_lookup_elem(c->programs.maps[PROGRAMS_LOCAL_ADDRESSES], &key, &value) == 0;
}

/* Connected to one's own address the source is the same: that of a host whose addresses are not all
 * known. */
static bool is_here(const struct capture *c, const struct ends *ends)
{
	return memcmp(address_of(&ends->own), address_of(&ends->peer), address_size(&ends->own)) ==
		0 ||
		is_of_host(c, &ends->peer);
}

struct answer {
	bool known;
	uint64_t cgroup;
};

static int on_socket(const struct nlmsghdr *message, void *context)
{
	struct answer *a = context;

	a->known = diag_cgroup(message, &a->cgroup);
	return MNL_CB_STOP;
}

/* The other end's own socket, by what is the other way round for it. */
static int ask_cgroup(const struct ends *ends, uint64_t *ret)
{
	const union place *own = &ends->own, *peer = &ends->peer;
	bool six = own->any.sa_family == AF_INET6;
	struct inet_diag_req_v2 request = {
		.sdiag_family = (uint8_t)own->any.sa_family,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = ~0u,
		.id = {.idiag_sport = six ? peer->v6.sin6_port : peer->v4.sin_port,
			.idiag_dport = six ? own->v6.sin6_port : own->v4.sin_port,
			.idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
	};
	struct answer a = {false, 0};
	struct mnl_socket *netlink = diag_open();
	int r;

	if (!netlink)
		return -errno;
	memcpy(request.id.idiag_src, address_of(peer), address_size(peer));
	memcpy(request.id.idiag_dst, address_of(own), address_size(own));
	r = diag_ask(netlink, SOCK_DIAG_BY_FAMILY, 0, &request, on_socket, &a);
	mnl_socket_close(netlink);
	if (r == 0)
		*ret = a.cgroup;
	return r == 0 && !a.known ? -ENODATA : r;
}

/* In the root, which has no path, is no agent. Whose a cgroup was that is gone nobody knows: its
 * processes may have handed on the socket. */
static int find_agent(struct capture *c, uint64_t cgroup, uint32_t *ret)
{
	char path[CGROUP_PATH_SIZE];
	uint32_t agent = 0;
	uint64_t root;
	int fd, r = cgroup_get_id(c->root.fd, &root);

	if (r == 0 && cgroup == root) {
		*ret = 0;
		return 0;
	}
	if (r == 0)
		r = cgroup_open_id(&c->root, cgroup, &fd, path);
	if (r < 0)
		return r;
	close(fd);
	for (size_t i = 0; i < c->count; i++) {
		if (cgroup_path_is_within(path, c->governed[i].cgroup))
			agent = c->governed[i].id;
	}
	*ret = agent;
	return 0;
}

/* Where nobody has the other end rules of this host's may have led it elsewhere. */
static int find_there(struct capture *c, const struct ends *dialled, uint32_t *ret_agent)
{
	struct ends real;
	uint64_t cgroup = 0;
	int r = ask_cgroup(dialled, &cgroup);

	if (r == -ENOENT) {
		r = translated_find(dialled, &real);
		if (r == 0 && !is_here(c, &real)) {
			*ret_agent = 0;
			return 0;
		}
		if (r == 0)
			r = ask_cgroup(&real, &cgroup);
	}
	return r < 0 ? r : find_agent(c, cgroup, ret_agent);
}

int capture_find_peer(struct capture *c, int fd, uint32_t *ret_agent)
{
	struct ends ends;
	socklen_t own_size = sizeof(ends.own), peer_size = sizeof(ends.peer);
	sa_family_t family;

	memset(&ends, 0, sizeof(ends));
	if (getsockname(fd, &ends.own.any, &own_size) < 0 ||
		getpeername(fd, &ends.peer.any, &peer_size) < 0)
		return -errno;
	family = ends.peer.any.sa_family;
	if ((family != AF_INET && family != AF_INET6) || ends.own.any.sa_family != family ||
		!is_here(c, &ends)) {
		*ret_agent = 0;
		return 0;
	}
	return find_there(c, &ends, ret_agent);
}
