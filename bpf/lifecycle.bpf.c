/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * lifecycle: an agent's sockets from birth to death. Which may exist, which of them listen, and the
 * time in which a connection's origin waits to be taken over by the worker's end (origin.bpf.c).
 *
 * The invariant: an entry of `pending` exists only while the agent's socket holds the same
 * addresses and ports, so that no other connection can be taken for it (bypass B17).
 */
#include "kernel.h"
#include "maps.h"
#include "networks.h"
#include "pending.h"
#include "report.h"

#include <asm/errno.h>
#include <linux/in.h>
#include <linux/tcp.h>

#define HELD_TIMEOUT 25 /* ticks: 25 ms to a quarter of a second */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* As early as can be, so that the listener is there before the first connect(2), and rules before
 * the first datagram. */
static __always_inline void announce_network(struct bpf_sock *ctx)
{
	const struct steer_attachment *attachment = bpf_get_local_storage(&attachments, 0);
	__u64 network = bpf_get_netns_cookie(ctx);
	__u32 zero = 0;
	const struct steer_settings *known = bpf_map_lookup_elem(&settings, &zero);

	if (!known || !attachment->agent || network == known->network ||
		network_is_settled(attachment->agent, network))
		return;
	network_ask(attachment->agent, network);
}

/* What a ping socket sends no hook sees, but nftables' rules do, where they stand. */
static __always_inline bool may_ask_for_echoes(
	struct bpf_sock *ctx, const struct steer_attachment *attachment)
{
	__u64 network = bpf_get_netns_cookie(ctx);
	__u32 zero = 0;
	const struct steer_settings *known = bpf_map_lookup_elem(&settings, &zero);

	if (ctx->type != SOCK_DGRAM ||
		(ctx->protocol != IPPROTO_ICMP && ctx->protocol != PROTOCOL_ICMPV6))
		return false;
	if (!attachment->agent || !attachment->echo || !known)
		return false;
	return network == known->network || network_judges_mine(attachment->agent, network);
}

/* MPTCP, SCTP, raw and whatever comes later would not be seen by the other hooks. */
SEC("cgroup/sock_create")
int lifecycle_create(struct bpf_sock *ctx)
{
	const struct steer_attachment *attachment;

	if ((ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP) ||
		(ctx->type == SOCK_DGRAM && ctx->protocol == IPPROTO_UDP)) {
		announce_network(ctx);
		return 1;
	}
	attachment = bpf_get_local_storage(&attachments, 0);
	if (may_ask_for_echoes(ctx, attachment))
		return 1;
	count(agent_get(attachment->agent), STEER_PROTOCOL);
	bpf_set_retval(-EPROTONOSUPPORT);
	return 0;
}

/* The end of a socket that was redirected and never got as far as a SYN. */
SEC("cgroup/sock_release")
int lifecycle_release(struct bpf_sock *ctx)
{
	struct steered *s = bpf_sk_storage_get(&steered, ctx, NULL, 0);

	if (s && s->state == STEERED_RESERVED) {
		s->state = STEERED_NOT;
		pending_release(s->origin.agent);
	}
	return 1;
}

/* The connection has no origin: the guard refuses its SYN, so that connect(2) fails; where there is
 * no guard, in another network namespace, the worker ends it. */
static __always_inline void lose(struct bpf_sock_ops *ctx, const struct steered *s)
{
	__u32 mark = STEER_MARK_LOST;

	bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	count(agent_get(s->origin.agent), STEER_ORIGIN_LOST);
}

/* The SYN is about to be sent: local address and port are known now. */
static __always_inline void on_connect(struct bpf_sock_ops *ctx)
{
	int flags = ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG;
	struct bpf_sock *sk = ctx->sk;
	struct origin *stale;
	struct steered *s;

	if (!sk)
		return;
	s = bpf_sk_storage_get(&steered, sk, NULL, 0);
	if (!s || s->state != STEERED_RESERVED)
		return;
	pending_key_set(&s->key, ctx, PENDING_AGENT);
	stale = bpf_map_lookup_elem(&pending, &s->key);
	if (stale)
		pending_delete(&s->key, stale->agent);
	if (sk->mark == STEER_MARK_HELD)
		flags |= BPF_SOCK_OPS_RTO_CB_FLAG;
	if (bpf_sock_ops_cb_flags_set(ctx, flags) ||
		bpf_map_update_elem(&pending, &s->key, &s->origin, BPF_NOEXIST)) {
		lose(ctx, s);
		return;
	}
	s->state = STEERED_PUBLISHED;
}

/* Called before the kernel gives the port back, so that nobody else can have it yet. */
static __always_inline void on_close(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct steered *s;

	if (!sk)
		return;
	s = bpf_sk_storage_get(&steered, sk, NULL, 0);
	if (!s || s->state != STEERED_PUBLISHED)
		return;
	s->state = STEERED_NOT;
	pending_delete(&s->key, s->origin.agent);
}

/* How long it takes until a SYN that was held back is sent again: until the kernel gives up, for
 * some seconds, that becomes longer. */
static __always_inline void set_first_timeout(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	if (sk && sk->mark == STEER_MARK_HELD)
		ctx->reply = HELD_TIMEOUT;
}

/* A SYN that was held back is about to be sent again. Where the monitor has no listener to give,
 * the kernel tries a few times more, for half a second or so, and connect(2) fails. Where it has
 * said nothing it is told once more: the one that was told may have ended. */
static __always_inline void on_retransmission(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct steered *s;
	int once = 1;

	if (!sk || sk->state != BPF_TCP_SYN_SENT || sk->mark != STEER_MARK_HELD)
		return;
	s = bpf_sk_storage_get(&steered, sk, NULL, 0);
	if (!s || s->state != STEERED_PUBLISHED)
		return;
	switch (network_state(s->origin.agent, s->origin.network, s->key.worker_port)) {
	case NETWORK_LISTENS:
		break;
	case NETWORK_REFUSED:
		bpf_sock_ops_cb_flags_set(
			ctx, ctx->bpf_sock_ops_cb_flags & ~BPF_SOCK_OPS_RTO_CB_FLAG);
		bpf_setsockopt(ctx, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof(once));
		count(agent_get(s->origin.agent), STEER_OTHER_NETWORK);
		break;
	case NETWORK_UNKNOWN:
		network_tell(s->origin.agent, s->origin.network,
			(__u64)s->origin.pid << 32 | s->thread, NETWORK_RULED_UNKNOWN);
		break;
	}
}

/* What is left of a connection that the socket had before would be taken for one by what comes of
 * it now (fence.bpf.c). */
static __always_inline void on_listen(struct bpf_sock_ops *ctx)
{
	const struct steer_attachment *attachment = bpf_get_local_storage(&attachments, 0);
	struct bpf_sock *sk = ctx->sk;
	__u32 agent = attachment->agent, none = 0;

	if (!sk || !agent)
		return;
	if (sk->mark == STEER_MARK_DIRECT)
		bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &none, sizeof(none));
	bpf_sk_storage_get(&listeners, sk, &agent, BPF_SK_STORAGE_GET_F_CREATE);
}

SEC("sockops")
int lifecycle_sockops(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		on_connect(ctx);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] == BPF_TCP_CLOSE)
			on_close(ctx);
		break;
	case BPF_SOCK_OPS_TIMEOUT_INIT:
		set_first_timeout(ctx);
		break;
	case BPF_SOCK_OPS_RTO_CB:
		on_retransmission(ctx);
		break;
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		on_listen(ctx);
		break;
	}
	return 1;
}
