/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * unix: an agent's connect(2) to the socket of a server on this host that a resource names
 * (kernel 6.7). Its path becomes that of the worker's own socket, and the worker learns of the
 * kernel, as for TCP, who dialled what.
 *
 * A path is compared as the agent writes it, before any lookup: a link, a relative path or another
 * mount namespace's is none of ours here. Those lead nowhere because the launcher hides the socket.
 */
#include "report.h"
#include "unix.h"

#include <asm/errno.h>
#include <stddef.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PATH_AT sizeof(__u16) /* of sun_path in struct sockaddr_un */

enum { REFUSE = 0, PROCEED = 1 };

void *bpf_cast_to_kern_ctx(void *context) __ksym;
int bpf_sock_addr_set_sun_path(
	struct bpf_sock_addr_kern *context, const __u8 *path, __u32 path__sz) __ksym;

/* Bytes with the NUL; 0: it has no path in the filesystem. */
static __always_inline __u32 read_path(struct bpf_sock_addr_kern *from, struct unix_path *ret)
{
	__u32 length = from->uaddrlen;
	long n;

	if (length <= PATH_AT || length > PATH_AT + UNIX_PATH_MOST)
		return 0;
	/* What the agent passed may end without a NUL. */
	n = bpf_probe_read_kernel_str(
		ret->text, length - PATH_AT + 1, (const void *)from->uaddr + PATH_AT);
	return n > 1 && n <= UNIX_PATH_MOST + 1 ? n : 0;
}

static __always_inline int refuse(struct steer_agent *agent, enum steer_count what, int error)
{
	count(agent, what);
	bpf_set_retval(-error);
	return REFUSE;
}

static __always_inline void fill(struct origin *o, struct bpf_sock_addr *ctx, struct bpf_sock *sk,
	__u32 agent, const struct unix_server *server)
{
	struct sock *full = (struct sock *)bpf_skc_to_unix_sock(sk);

	o->version = ORIGIN_VERSION;
	o->agent = agent;
	__builtin_memcpy(o->address, server->digest, sizeof(o->address));
	o->port = 0;
	o->family = AF_UNIX;
	o->local = 1;
	o->interface = 0;
	o->way = ORIGIN_DIALLED;
	o->cgroup = full ? full->sk_cgrp_data.cgroup->kn->id : 0;
	o->socket = bpf_get_socket_cookie(ctx);
	o->network = bpf_get_netns_cookie(ctx);
	o->connect_time = bpf_ktime_get_ns();
	origin_set_process(o);
}

/* A connect that fails may be followed by one to somewhere else. */
static __always_inline void forget(struct bpf_sock *sk)
{
	struct unix_dial *dial = bpf_sk_storage_get(&unix_dials, sk, NULL, 0);

	if (dial)
		dial->length = 0;
}

static __always_inline int turn(struct bpf_sock_addr *ctx, struct bpf_sock *sk,
	const struct unix_path *path, __u32 length, const struct unix_server *server)
{
	const struct steer_attachment *attachment = bpf_get_local_storage(&attachments, 0);
	struct steer_agent *agent = agent_get(attachment->agent);
	__u32 zero = 0, size;
	const struct unix_worker *worker = bpf_map_lookup_elem(&unix_workers, &zero);
	struct unix_dial *dial;

	if (!agent || attachment->agent == 0 || !worker)
		return refuse(agent, STEER_NO_LISTENER, ECONNREFUSED);
	size = worker->length;
	if (size == 0 || size > UNIX_PATH_MOST)
		return refuse(agent, STEER_NO_LISTENER, ECONNREFUSED);
	dial = bpf_sk_storage_get(&unix_dials, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!dial)
		return refuse(agent, STEER_RESOURCES, ENOBUFS);
	fill(&dial->origin, ctx, sk, attachment->agent, server);
	__builtin_memcpy(&dial->path, path, sizeof(dial->path));
	if (bpf_sock_addr_set_sun_path(
		    bpf_cast_to_kern_ctx(ctx), (const __u8 *)worker->path.text, size))
		return refuse(agent, STEER_RESOURCES, ENOBUFS);
	dial->length = length;
	count(agent, STEER_REDIRECTED);
	return PROCEED;
}

/* The library knows no section of this name: capture/programs.c says what it is. */
SEC("unix/connect")
int unix_connect(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct unix_path path = {};
	const struct unix_server *server;
	__u32 length;

	/* A server's socket of another type refuses it. */
	if (!sk || ctx->type != SOCK_STREAM)
		return PROCEED;
	forget(sk);
	length = read_path(bpf_cast_to_kern_ctx(ctx), &path);
	if (!length)
		return PROCEED;
	server = bpf_map_lookup_elem(&unix_servers, &path);
	return server ? turn(ctx, sk, &path, length, server) : PROCEED;
}

/* What the socket at the other end was turned from. The other end was made by the process that
 * connects, and so in its cgroup. A stream keeps its peer as long as it lives; that of a datagram
 * socket may be replaced, and freed, at any time. */
static __always_inline struct unix_dial *dial_of_peer(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct unix_sock *own = sk && ctx->type == SOCK_STREAM ? bpf_skc_to_unix_sock(sk) : NULL;
	struct sock *peer = own ? own->peer : NULL;
	struct unix_dial *dial = peer ? bpf_sk_storage_get(&unix_dials, peer, NULL, 0) : NULL;

	return dial && dial->length ? dial : NULL;
}

/* getpeername(2) gives what was dialled. The kernel shows the hook the socket whose name it is: the
 * worker's end. */
SEC("unix/getpeername")
int unix_getpeername(struct bpf_sock_addr *ctx)
{
	struct unix_dial *dial = dial_of_peer(ctx);
	__u32 length;

	if (!dial)
		return 1;
	length = dial->length;
	if (length == 0 || length > UNIX_PATH_MOST)
		return 1;
	bpf_sock_addr_set_sun_path(
		bpf_cast_to_kern_ctx(ctx), (const __u8 *)dial->path.text, length);
	return 1;
}

/* The worker asks a connection that it has accepted for its own name, to have its origin put where
 * getsockopt(2) finds it: at that hook the other end could not be looked at. What is there already
 * stays. */
SEC("unix/getsockname")
int unix_getsockname(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct unix_dial *dial = dial_of_peer(ctx);

	if (!dial || !sk || bpf_sk_storage_get(&accepted, sk, NULL, 0))
		return 1;
	if (bpf_sk_storage_get(&accepted, sk, &dial->origin, BPF_SK_STORAGE_GET_F_CREATE))
		count(agent_get(dial->origin.agent), STEER_ACCEPTED);
	else
		count(agent_get(dial->origin.agent), STEER_ORIGIN_LOST);
	return 1;
}
