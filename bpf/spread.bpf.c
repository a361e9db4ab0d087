/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * spread: which worker's listening socket gets the next connection: each in turn. The kernel's own
 * choice, by hash, would leave some workers idle where an agent holds a few long connections.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "shared.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A socket that is closed leaves its place by itself. One map per family. */
struct {
	__uint(type, BPF_MAP_TYPE_REUSEPORT_SOCKARRAY);
	__uint(max_entries, STEER_WORKERS_MOST);
	__type(key, __u32);
	__type(value, __u64);
} sockets SEC(".maps");

const volatile __u32 socket_count = 1;
__u32 turn;

SEC("sk_reuseport")
int spread_select(struct sk_reuseport_md *ctx)
{
	__u32 index = __sync_fetch_and_add(&turn, 1) % (socket_count ? socket_count : 1);

	/* An empty place: the kernel chooses by hash among those that are left. */
	bpf_sk_select_reuseport(ctx, &sockets, &index, 0);
	return SK_PASS;
}
