/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * fence: what an agent's sockets send, packet by packet, in other network namespaces than the
 * daemon's: nothing but what goes to their own loopback, and datagrams where rules of ours have
 * judged them (capture/network_rules.h). So connections from before the agent was governed end
 * there, and its listening sockets answer other hosts only where they may.
 *
 * It also holds back the SYN of a connection that was turned to a listener which is still to come:
 * the kernel sends it again. And it looks once more where a SYN on loopback goes that was let
 * through because a listener of the same agent is there.
 */
#include "kernel.h"
#include "maps.h"
#include "networks.h"
#include "report.h"

#include <bpf/bpf_endian.h>
#include <linux/if_ether.h>
#include <linux/in.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define LOOPBACK_DEVICE 1 /* LOOPBACK_IFINDEX of the kernel: in every network namespace */

/* Without a word the sender takes it for lost on the way, unless it asks for errors (IP_RECVERR).
 */
enum { DROP = 0, PASS = 1, DROP_SILENTLY = 2 };

void *bpf_cast_to_kern_ctx(void *context) __ksym;

static __always_inline __u64 network_of(struct __sk_buff *skb)
{
	struct sk_buff *kernel = bpf_cast_to_kern_ctx(skb);
	struct sock *sk = kernel->sk;

	return sk ? sk->__sk_common.skc_net.net->net_cookie : 0;
}

/* Only a SYN waits, and only for our listener: whoever else listens on that port gets nothing. */
static __always_inline int hold(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL;
	const struct steer_network *known;
	__u64 network;

	if (!sk || sk->state != BPF_TCP_SYN_SENT)
		return PASS;
	network = network_of(skb);
	known = bpf_map_lookup_elem(&networks, &network);
	return known && known->port && bpf_htons(known->port) == sk->dst_port ? PASS : DROP;
}

/* Where the SYN goes, as the kernel will look it up. Bytes of the tuple. */
static __always_inline __u32 tuple_set(
	struct bpf_sock_tuple *tuple, const struct __sk_buff *skb, const struct bpf_sock *sk)
{
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		tuple->ipv4.saddr = sk->src_ip4;
		tuple->ipv4.daddr = sk->dst_ip4;
		tuple->ipv4.sport = bpf_htons(sk->src_port);
		tuple->ipv4.dport = sk->dst_port;
		return sizeof(tuple->ipv4);
	}
	for (int i = 0; i < 4; i++) {
		tuple->ipv6.saddr[i] = sk->src_ip6[i];
		tuple->ipv6.daddr[i] = sk->dst_ip6[i];
	}
	tuple->ipv6.sport = bpf_htons(sk->src_port);
	tuple->ipv6.dport = sk->dst_port;
	return sizeof(tuple->ipv6);
}

/* Nothing of the other end has come but its answer to the SYN, nor will, until that is answered. */
static __always_inline bool is_beginning(struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tcp = bpf_tcp_sock(sk);

	return tcp && tcp->bytes_received == 0 && tcp->bytes_acked <= 1;
}

/* Of several sockets that listen on one port (SO_REUSEPORT) the kernel chooses by both ends, of
 * which connect(2) didn't know its own yet: what it found may have been the agent's, and this is
 * somebody else's. Also when the SYN is sent it is not for sure: the agent may close its own at
 * that moment, and the kernel hands what comes to a connection that has ended (TIME_WAIT) to
 * whoever listens. Who took it is found when the handshake is about to be completed. */
static __always_inline int direct(struct __sk_buff *skb)
{
	const struct steer_attachment *attachment = bpf_get_local_storage(&attachments, 0);
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL, *listener;
	struct bpf_sock_tuple tuple = {};
	bool own = true;
	__u32 *owner;

	if (!sk || attachment->loopback != STEER_LOOPBACK_OWN || !is_beginning(sk))
		return PASS;
	listener =
		bpf_sk_lookup_tcp(skb, &tuple, tuple_set(&tuple, skb, sk), BPF_F_CURRENT_NETNS, 0);
	if (!listener)
		return PASS;
	if (listener->state == BPF_TCP_LISTEN) {
		owner = bpf_sk_storage_get(&listeners, listener, NULL, 0);
		own = owner && *owner == attachment->agent;
	}
	bpf_sk_release(listener);
	if (own)
		return PASS;
	count(agent_get(attachment->agent), STEER_LOOPBACK);
	return DROP;
}

static __always_inline int loopback(struct __sk_buff *skb)
{
	if (skb->mark == STEER_MARK_DIRECT)
		return direct(skb);
	return skb->mark == STEER_MARK_HELD ? hold(skb) : PASS;
}

/* A socket that answers is one that waits for others, or came of it: what connects sends a SYN
 * first. */
static __always_inline bool may_answer(struct __sk_buff *skb)
{
	const struct steer_attachment *attachment = bpf_get_local_storage(&attachments, 0);
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL;

	if (!attachment->listen)
		return false;
	/* No full socket: an answer to a SYN. */
	return !sk || (sk->protocol == IPPROTO_TCP && sk->state != BPF_TCP_SYN_SENT);
}

/* Rules stand before this hook: what comes here was judged. */
static __always_inline int datagram(struct __sk_buff *skb, __u64 network)
{
	const struct steer_attachment *attachment = bpf_get_local_storage(&attachments, 0);
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL;

	if (!sk || sk->type != SOCK_DGRAM)
		return DROP;
	if (network_judges(attachment->agent, network))
		return PASS;
	return network_may_judge(network) ? DROP_SILENTLY : DROP;
}

/* A SYN that is held back comes again, and counts as nothing. */
static __always_inline int counted(int verdict)
{
	const struct steer_attachment *attachment = bpf_get_local_storage(&attachments, 0);

	if (verdict != PASS)
		count(agent_get(attachment->agent), STEER_FENCED);
	return verdict;
}

SEC("cgroup_skb/egress")
int fence_egress(struct __sk_buff *skb)
{
	const struct steer_settings *known;
	__u64 network;
	__u32 zero = 0;

	if (skb->ifindex == LOOPBACK_DEVICE)
		return loopback(skb);
	known = bpf_map_lookup_elem(&settings, &zero);
	network = network_of(skb);
	if (known && network == known->network)
		return PASS;
	return counted(may_answer(skb) ? PASS : datagram(skb, network));
}
