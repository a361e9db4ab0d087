/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * fence: what an agent's sockets send, packet by packet, in other network namespaces than the
 * daemon's: nothing but what goes to their own loopback, and datagrams where rules of ours have
 * judged them (capture/network_rules.h). So connections from before the agent was governed end
 * there, and its listening sockets answer other hosts only where they may.
 *
 * It also holds back the SYN of a connection that was turned to a listener which is still to come:
 * the kernel sends it again. And it looks once more where a connection on loopback goes that was
 * let through because a listener of the same agent is there.
 */
#include "kernel.h"
#include "maps.h"
#include "networks.h"
#include "report.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ipv6.h>

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

/* Whether bytes of the agent's may be in the SYN (TCP fast open): its server gets them before the
 * handshake is completed. Behind options of IPv6 nobody looks. */
static __always_inline bool opens_with_data(struct __sk_buff *skb, const struct bpf_sock *sk)
{
	__u32 head = sizeof(struct ipv6hdr);
	__u8 byte = 0;

	if (sk->state != BPF_TCP_SYN_SENT)
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, 0, &byte, sizeof(byte)))
			return true;
		head = (byte & 0xf) * 4;
	} else if (bpf_skb_load_bytes(
			   skb, offsetof(struct ipv6hdr, nexthdr), &byte, sizeof(byte)) ||
		byte != IPPROTO_TCP) {
		return true;
	}
	/* RFC 9293, 3.1: the header's length is in the upper half of byte 12, in words. */
	if (bpf_skb_load_bytes(skb, head + 12, &byte, sizeof(byte)))
		return true;
	return skb->len > head + (byte >> 4) * 4;
}

/* Whether the port may be others' as well. */
static __always_inline bool is_shared(struct bpf_sock *listener)
{
	struct sock *kernel = (struct sock *)bpf_skc_to_tcp_sock(listener);

	return !kernel || BPF_CORE_READ_BITFIELD(&kernel->__sk_common, skc_reuseport);
}

/* Who connects to itself is what it finds at the other end. */
static __always_inline bool is_itself(const struct bpf_sock_tuple *tuple, __u32 size)
{
	if (size == sizeof(tuple->ipv4))
		return tuple->ipv4.sport == tuple->ipv4.dport &&
			tuple->ipv4.saddr == tuple->ipv4.daddr;
	return tuple->ipv6.sport == tuple->ipv6.dport &&
		tuple->ipv6.saddr[0] == tuple->ipv6.daddr[0] &&
		tuple->ipv6.saddr[1] == tuple->ipv6.daddr[1] &&
		tuple->ipv6.saddr[2] == tuple->ipv6.daddr[2] &&
		tuple->ipv6.saddr[3] == tuple->ipv6.daddr[3];
}

/* Of several sockets that listen on one port (SO_REUSEPORT) the kernel chooses by both ends, of
 * which connect(2) didn't know its own yet: what it found may have been the agent's, and this is
 * somebody else's. Also when the SYN is sent it is not for sure: the agent may close its own at
 * that moment, and the kernel hands what comes to a connection that has ended (TIME_WAIT) to
 * whoever listens. Who took it is found when the handshake is about to be completed, and once more
 * by the end that came of it, when the first bytes are: who listens with SYN cookies is chosen only
 * by the last packet of the handshake. So a SYN carries bytes only where there is no choice. */
static __always_inline int direct(struct __sk_buff *skb)
{
	const struct steer_attachment *attachment = bpf_get_local_storage(&attachments, 0);
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : NULL, *other;
	struct bpf_sock_tuple tuple = {};
	__u32 *owner, size;
	bool early, own;

	if (!sk || attachment->loopback != STEER_LOOPBACK_OWN || !is_beginning(sk))
		return PASS;
	size = tuple_set(&tuple, skb, sk);
	if (is_itself(&tuple, size))
		return PASS;
	early = opens_with_data(skb, sk);
	other = bpf_sk_lookup_tcp(skb, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	/* Sent again, it carries none. */
	if (!other)
		return early ? DROP : PASS;
	owner = bpf_sk_storage_get(&listeners, other, NULL, 0);
	own = owner && *owner == attachment->agent;
	early = early && is_shared(other);
	bpf_sk_release(other);
	if (own)
		return early ? DROP : PASS;
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
