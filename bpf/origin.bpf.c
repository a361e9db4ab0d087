/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * origin: the worker's end. Attached to the cgroup in which the listening sockets are made; a
 * socket that is accepted inherits its listener's cgroup, whoever accepts it.
 *
 * The invariant: an accepted socket has an origin only if an agent's connect(2) was turned to it,
 * or it came to a listener that the monitor keeps for one agent's interface.
 */
#include "maps.h"
#include "pending.h"
#include "report.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The mark that connect(2) asks for before it sends anybody here. */
static __always_inline void on_listen(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 worker = 0;

	if (sk)
		bpf_sk_storage_get(&listeners, sk, &worker, BPF_SK_STORAGE_GET_F_CREATE);
}

/* Whose it is its listener said; whether rules led it there, and from where, the worker asks. */
static __always_inline void take_forwarded(
	struct bpf_sock_ops *ctx, struct bpf_sock *sk, const struct steer_forwarded *from)
{
	struct origin o = {.version = ORIGIN_VERSION, .agent = from->agent, .way = from->way};
	struct origin *own;

	o.local = from->local;
	o.family = ctx->family;
	o.socket = bpf_get_socket_cookie(ctx);
	o.network = bpf_get_netns_cookie(ctx);
	o.connect_time = bpf_ktime_get_ns();
	own = bpf_sk_storage_get(&accepted, sk, &o, BPF_SK_STORAGE_GET_F_CREATE);
	count(agent_get(o.agent), own ? STEER_ACCEPTED : STEER_ORIGIN_LOST);
}

/* Runs under the new socket's lock, before accept(2) can return it. */
static __always_inline void on_established(struct bpf_sock_ops *ctx)
{
	struct pending_key key;
	struct bpf_sock *sk = ctx->sk;
	const struct steer_forwarded *led;
	struct origin *waiting, *own;
	__u32 agent;

	if (!sk)
		return;
	led = bpf_sk_storage_get(&forwarded, sk, NULL, 0);
	if (led) {
		take_forwarded(ctx, sk, led);
		return;
	}
	pending_key_set(&key, ctx, PENDING_WORKER);
	waiting = bpf_map_lookup_elem(&pending, &key);
	if (!waiting)
		return;
	agent = waiting->agent;
	own = bpf_sk_storage_get(&accepted, sk, waiting, BPF_SK_STORAGE_GET_F_CREATE);
	pending_delete(&key, agent);
	count(agent_get(agent), own ? STEER_ACCEPTED : STEER_ORIGIN_LOST);
}

SEC("sockops")
int origin_sockops(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		on_listen(ctx);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		on_established(ctx);
		break;
	}
	return 1;
}

/* getsockopt(ORIGIN_LEVEL, ORIGIN_OPTION) on an accepted socket: the kernel has refused it, since
 * it knows no such level; where there is an origin the refusal is turned into an answer. */
SEC("cgroup/getsockopt")
int origin_getsockopt(struct bpf_sockopt *ctx)
{
	struct origin *answer = ctx->optval;
	struct bpf_sock *sk = ctx->sk;
	struct origin *own;

	if (ctx->level != ORIGIN_LEVEL || ctx->optname != ORIGIN_OPTION)
		return 1;
	if (!sk || (void *)(answer + 1) > ctx->optval_end)
		return 1;
	own = bpf_sk_storage_get(&accepted, sk, NULL, 0);
	if (!own)
		return 1;
	__builtin_memcpy(answer, own, sizeof(*answer));
	ctx->optlen = sizeof(*answer);
	/* Two stores: one of 64 bits over both fields is what the verifier refuses. */
	barrier();
	ctx->retval = 0;
	return 1;
}
