/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * pending: the name under which the two ends of a loopback connection know each other.
 */
#ifndef WAYLEAVE_BPF_PENDING_H
#define WAYLEAVE_BPF_PENDING_H

#include "address.h"
#include "maps.h"

enum pending_end { PENDING_AGENT, PENDING_WORKER };

/* `end` says whose socket the context is. A mapped IPv6 socket speaks IPv4, and the worker's end is
 * an IPv4 socket then. */
static __always_inline void pending_key_set(
	struct pending_key *key, struct bpf_sock_ops *ctx, enum pending_end end)
{
	struct address local, remote;
	__u16 local_port = ctx->local_port, remote_port = bpf_ntohl(ctx->remote_port);
	bool agent = end == PENDING_AGENT;

	if (ctx->family == AF_INET6) {
		local.word[0] = ctx->local_ip6[0];
		local.word[1] = ctx->local_ip6[1];
		local.word[2] = ctx->local_ip6[2];
		local.word[3] = ctx->local_ip6[3];
		remote.word[0] = ctx->remote_ip6[0];
		remote.word[1] = ctx->remote_ip6[1];
		remote.word[2] = ctx->remote_ip6[2];
		remote.word[3] = ctx->remote_ip6[3];
	}
	if (ctx->family == AF_INET || address_is_v4(&remote)) {
		address_set_v4(&local, ctx->local_ip4);
		address_set_v4(&remote, ctx->remote_ip4);
	}
	key->network = bpf_get_netns_cookie(ctx);
	address_to_bytes(agent ? &local : &remote, key->agent_address);
	address_to_bytes(agent ? &remote : &local, key->worker_address);
	key->agent_port = agent ? local_port : remote_port;
	key->worker_port = agent ? remote_port : local_port;
	key->unused = 0;
}

#endif
