/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/older.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "capture/diag.h"
#include "capture/namespace.h"

struct search {
	const struct cgroup_root *root;
	const char *const *cgroups;
	size_t cgroup_count;
	struct inet_diag_req_v2 *found; /* on the heap */
	size_t count;
	/* Of the last socket: many are of one cgroup. */
	uint64_t last;
	bool last_is_inside;
	int unknown; /* why a socket's cgroup can't be told; 0: all can */
	int result; /* of the first that failed */
};

/* A cgroup that is gone has no path; its sockets are somebody's all the same, but not the agent's,
 * whose cgroup would have kept it from being looked for. */
static bool is_inside(struct search *s, uint64_t id)
{
	char path[CGROUP_PATH_SIZE];
	int fd, r;

	if (id == s->last)
		return s->last_is_inside;
	s->last = id;
	s->last_is_inside = false;
	r = cgroup_open_id(s->root, id, &fd, path);
	if (r < 0 && r != -ESTALE && r != -ENAMETOOLONG)
		s->unknown = r;
	if (r == 0)
		close(fd);
	/* The beginning of a path that is too long says it too. */
	if (r == 0 || r == -ENAMETOOLONG) {
		for (size_t i = 0; i < s->cgroup_count; i++)
			s->last_is_inside |= cgroup_path_is_within(path, s->cgroups[i]);
	}
	return s->last_is_inside;
}

static int on_socket(const struct nlmsghdr *message, void *context)
{
	const struct inet_diag_msg *socket = mnl_nlmsg_get_payload(message);
	struct search *s = context;
	uint64_t cgroup;

	if (!diag_cgroup(message, &cgroup) || !is_inside(s, cgroup))
		return MNL_CB_OK;
	s->found = memory_resize_array(s->found, s->count + 1, sizeof(*s->found));
	s->found[s->count++] = (struct inet_diag_req_v2){
		.sdiag_family = socket->idiag_family,
		.sdiag_protocol = IPPROTO_TCP,
		.id = socket->id,
	};
	return MNL_CB_OK;
}

static int find(struct mnl_socket *netlink, struct search *s)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++) {
		const struct inet_diag_req_v2 all = {
			.sdiag_family = families[i],
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = ~(1u << TCP_LISTEN | 1u << TCP_TIME_WAIT | 1u << TCP_CLOSE),
		};

		r = diag_ask(netlink, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &all, on_socket, s);
	}
	return r;
}

/* One that has ended meanwhile is no error. */
static int abort_found(struct mnl_socket *netlink, const struct search *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->count; i++) {
		r = diag_ask(netlink, SOCK_DESTROY, NLM_F_ACK, &s->found[i], NULL, NULL);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

/* In the calling thread's network namespace. */
static int abort_here(struct search *s)
{
	struct mnl_socket *netlink = diag_open();
	int r;

	if (!netlink)
		return -errno;
	s->count = 0;
	s->unknown = 0;
	r = find(netlink, s);
	if (r == 0)
		r = abort_found(netlink, s);
	if (r == 0)
		r = s->unknown;
	mnl_socket_close(netlink);
	return r;
}

static void abort_there(void *context)
{
	struct search *s = context;
	int r = abort_here(s);

	if (s->result == 0)
		s->result = r;
}

int older_abort(
	const struct cgroup_root *root, const char *const *cgroups, size_t count, struct error *e)
{
	struct search s = {.root = root, .cgroups = cgroups, .cgroup_count = count};

	/* By itself, since without CAP_SYS_ADMIN it is the only one. */
	s.result = abort_here(&s);
	if (s.result == 0)
		namespace_each(abort_there, &s);
	free(s.found);
	return s.result < 0
		? error_set_errno(e, s.result, "ending older connections of cgroup %s%s",
			  cgroups[0], count > 1 ? " and others" : "")
		: 0;
}
