/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * disguise: what an agent's socket says about itself. getpeername(2) gives the address that was
 * dialled, getsockname(2) the host's address towards it where that is known.
 */
#include "address.h"
#include "maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* NULL where the socket is not redirected. */
static __always_inline struct steered *steered_get(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct steered *s;

	if (!sk)
		return NULL;
	s = bpf_sk_storage_get(&steered, sk, NULL, 0);
	return s && s->state != STEERED_NOT ? s : NULL;
}

/* IPV6_ADDRFORM turns a connected, mapped IPv6 socket into an IPv4 one: `family` at connect says
 * nothing here. */
static __always_inline void show4(struct bpf_sock_addr *ctx, const __u8 *bytes)
{
	struct address shown;

	__builtin_memcpy(&shown, bytes, sizeof(shown));
	ctx->user_ip4 = shown.word[3];
}

static __always_inline void show6(struct bpf_sock_addr *ctx, const __u8 *bytes)
{
	struct address shown;

	__builtin_memcpy(&shown, bytes, sizeof(shown));
	ctx->user_ip6[0] = shown.word[0];
	ctx->user_ip6[1] = shown.word[1];
	ctx->user_ip6[2] = shown.word[2];
	ctx->user_ip6[3] = shown.word[3];
}

/* Only a loopback address betrays us: one that the agent bound itself stays. */
static __always_inline bool hides_source(const struct steered *s, const struct address *own)
{
	struct address source;

	__builtin_memcpy(&source, s->source, sizeof(source));
	return address_is_loopback(own) && !address_is_zero6(&source);
}

SEC("cgroup/getpeername4")
int disguise_getpeername4(struct bpf_sock_addr *ctx)
{
	struct steered *s = steered_get(ctx);

	if (s) {
		show4(ctx, s->origin.address);
		ctx->user_port = bpf_htons(s->origin.port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int disguise_getpeername6(struct bpf_sock_addr *ctx)
{
	struct steered *s = steered_get(ctx);

	if (s) {
		show6(ctx, s->origin.address);
		ctx->user_port = bpf_htons(s->origin.port);
	}
	return 1;
}

SEC("cgroup/getsockname4")
int disguise_getsockname4(struct bpf_sock_addr *ctx)
{
	struct steered *s = steered_get(ctx);
	struct address own;

	address_set_v4(&own, ctx->user_ip4);
	if (s && hides_source(s, &own))
		show4(ctx, s->source);
	return 1;
}

SEC("cgroup/getsockname6")
int disguise_getsockname6(struct bpf_sock_addr *ctx)
{
	struct steered *s = steered_get(ctx);
	struct address own = {
		{ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};

	if (s && hides_source(s, &own))
		show6(ctx, s->source);
	return 1;
}
