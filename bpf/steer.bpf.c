/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * steer: an agent's connect(2). Decides between the worker, the destination itself (on this host
 * alone) and an errno; attached to each agent's cgroup by userspace/capture/programs.c.
 *
 * The invariant: a connect that is allowed to go on without a redirect leads to this host, and was
 * let through on purpose. Whatever fails on the way refuses.
 */
#include "address.h"
#include "kernel.h"
#include "maps.h"
#include "networks.h"
#include "report.h"

#include <asm/errno.h>
#include <linux/in.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What the decision is made from. */
struct attempt {
	struct bpf_sock_addr *context;
	struct bpf_sock *socket;
	const struct steer_settings *settings;
	const struct steer_attachment *attachment;
	struct steer_agent *agent;
	struct address destination;
	__u16 port;
	bool local; /* the destination is this host */
	bool at_home; /* in the network namespace of the daemon */
	__u32 worker_port; /* of the listener in this network namespace; 0 = none */
	__u8 source[16]; /* see struct steered */
	struct address to; /* where the socket is to connect instead: on PROCEED */
	__u16 to_port;
};

/* What a hook returns. */
enum { REFUSE = 0, PROCEED = 1 };

static __always_inline int refuse(const struct attempt *a, enum steer_count what, int error)
{
	count(a->agent, what);
	bpf_set_retval(-error);
	return REFUSE;
}

/* As refuse(), and a person should hear of it. */
static __always_inline int refuse_and_tell(
	const struct attempt *a, enum steer_count what, int error)
{
	struct steer_event *event = event_reserve(a->agent, what);

	if (event) {
		origin_fill(&event->origin, a->context, a->socket, a->attachment->agent,
			&a->destination, a->port, a->local);
		bpf_ringbuf_submit(event, 0);
	}
	return refuse(a, what, error);
}

enum listener { LISTENER_NONE, LISTENER_FOREIGN, LISTENER_OURS };

/* Who listens there, in the network namespace of the agent's socket: nobody, the owner (an agent,
 * or 0 for the worker), or somebody else. What an address's last listener was means nothing: the
 * mark is in the socket that listens now, so a squatter on the port has none. */
static __always_inline enum listener find_listener(
	const struct attempt *a, const struct address *where, __u16 port, __u32 owner)
{
	struct bpf_sock_tuple tuple = {};
	enum listener found = LISTENER_NONE;
	struct bpf_sock *sk;
	__u32 *mark, size;

	if (address_is_v4(where)) {
		tuple.ipv4.daddr = where->word[3];
		tuple.ipv4.dport = bpf_htons(port);
		size = sizeof(tuple.ipv4);
	} else {
		__builtin_memcpy(tuple.ipv6.daddr, where, sizeof(*where));
		tuple.ipv6.dport = bpf_htons(port);
		size = sizeof(tuple.ipv6);
	}
	sk = bpf_sk_lookup_tcp(a->context, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return LISTENER_NONE;
	if (sk->state == BPF_TCP_LISTEN) {
		mark = bpf_sk_storage_get(&listeners, sk, NULL, 0);
		found = mark && *mark == owner ? LISTENER_OURS : LISTENER_FOREIGN;
	}
	bpf_sk_release(sk);
	return found;
}

/* The guard asks for the mark where a loopback connection was not redirected. */
static __always_inline int set_mark(const struct attempt *a, __u32 mark)
{
	__u32 own = a->socket->mark;

	if (own == mark ||
		(!mark && own != STEER_MARK_DIRECT && own != STEER_MARK_HELD &&
			own != STEER_MARK_LOST))
		return 0;
	return bpf_setsockopt(a->context, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
}

/* A device that the agent chose would keep the connection from reaching loopback. */
static __always_inline int unbind_device(const struct attempt *a)
{
	char none[1] = "";

	if (!a->socket->bound_dev_if)
		return 0;
	return bpf_setsockopt(a->context, SOL_SOCKET, SO_BINDTODEVICE, none, sizeof(none));
}

/* Whether the agent chose its own address: then getsockname(2) shows it as it is. */
static __always_inline bool is_bound(const struct bpf_sock *sk)
{
	return sk->src_ip4 || sk->src_ip6[0] || sk->src_ip6[1] || sk->src_ip6[2] || sk->src_ip6[3];
}

/* To this host, as dialled. A socket that was redirected before must not keep the old origin. */
static __always_inline int leave(struct attempt *a)
{
	struct steered *s = bpf_sk_storage_get(&steered, a->socket, NULL, 0);

	if (s) {
		if (s->state == STEERED_RESERVED)
			pending_release(s->origin.agent);
		s->state = STEERED_NOT;
	}
	if (set_mark(a, STEER_MARK_DIRECT) < 0)
		return refuse(a, STEER_RESOURCES, ENOBUFS);
	a->to = a->destination;
	a->to_port = a->port;
	count(a->agent, STEER_DIRECT);
	return PROCEED;
}

/* In a network namespace that has no listener: for one that is made now, if the monitor goes on. It
 * is asked also where it has none to give: it may have one next time. */
static __always_inline bool can_wait(const struct attempt *a)
{
	__u64 network = bpf_get_netns_cookie(a->context);
	__u32 agent = a->attachment->agent, port = a->settings->port;

	return network_ask(agent, network) && a->settings->holds && port &&
		network_state(agent, network, port) != NETWORK_REFUSED;
}

/* To the worker. */
static __always_inline int redirect(struct attempt *a)
{
	struct steered *s;
	__u32 mark = 0;

	if (address_is_v4(&a->destination))
		address_set_v4(&a->to, ADDRESS_LOOPBACK4);
	else
		address_set_loopback6(&a->to);
	if (!a->worker_port && !a->at_home && can_wait(a)) {
		a->worker_port = a->settings->port;
		mark = STEER_MARK_HELD;
	} else if (!a->worker_port && !a->at_home) {
		return refuse_and_tell(a, STEER_OTHER_NETWORK, ENETUNREACH);
	} else if (find_listener(a, &a->to, a->worker_port, 0) != LISTENER_OURS)
		return refuse(a, STEER_NO_LISTENER, ECONNREFUSED);
	s = bpf_sk_storage_get(&steered, a->socket, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s)
		return refuse_and_tell(a, STEER_RESOURCES, ENOBUFS);
	/* A reservation that an earlier, failed attempt of this socket made is used again. */
	if (s->state != STEERED_RESERVED) {
		struct steer_agent *host = agent_get(0);

		if (!host ||
			!pending_reserve(host, a->settings->quota, a->agent, a->attachment->quota))
			return refuse_and_tell(a, STEER_QUOTA, ENOBUFS);
	}
	s->state = STEERED_RESERVED;
	origin_fill(&s->origin, a->context, a->socket, a->attachment->agent, &a->destination,
		a->port, a->local);
	s->thread = (__u32)bpf_get_current_pid_tgid();
	/* A device of another network namespace is another one here, or none. */
	if (!a->at_home)
		s->origin.interface = 0;
	if (is_bound(a->socket))
		__builtin_memset(s->source, 0, sizeof(s->source));
	else
		__builtin_memcpy(s->source, a->source, sizeof(s->source));
	if (set_mark(a, mark) < 0 || unbind_device(a) < 0)
		return refuse_and_tell(a, STEER_RESOURCES, ENOBUFS);
	a->to_port = a->worker_port;
	count(a->agent, STEER_REDIRECTED);
	return PROCEED;
}

/* What connecting there would fail with, without us; 0 where it can be tried. */
static __always_inline int route_error(struct attempt *a)
{
	struct prefix_key key;
	struct steer_route *route;

	if (address_is_multicast(&a->destination))
		return ENETUNREACH;
	address_to_prefix(&a->destination, 0, &key);
	route = bpf_map_lookup_elem(&routes, &key);
	if (route && !route->error)
		__builtin_memcpy(a->source, route->source, sizeof(a->source));
	if (!a->settings->routes_known)
		return 0;
	return route ? -route->error : ENETUNREACH;
}

/* The daemon's host, whose address it is there. */
static __always_inline bool is_of_host(const struct attempt *a)
{
	struct prefix_key key;

	address_to_prefix(&a->destination, 0, &key);
	return bpf_map_lookup_elem(&local_addresses, &key);
}

/* A destination on this host that a resource names is judged by the worker as any other. */
static __always_inline bool is_named(const struct attempt *a)
{
	struct prefix_key key;

	address_to_prefix(&a->destination, a->port, &key);
	if (bpf_map_lookup_elem(&local_destinations, &key))
		return true;
	key.port = 0;
	return bpf_map_lookup_elem(&local_destinations, &key);
}

/* The worker reaches the daemon's host where the agent may have meant another one that has the same
 * address there: only where it was said that it should. */
static __always_inline bool may_dial_host(const struct attempt *a)
{
	return is_named(a) || a->attachment->loopback == STEER_LOOPBACK_EGRESS;
}

static __always_inline int steer_local(struct attempt *a)
{
	enum listener found;

	__builtin_memcpy(a->source, &a->destination, sizeof(a->source));
	/* Dialling the worker itself would make it dial itself. */
	if (a->port == a->worker_port && address_is_loopback(&a->destination))
		return refuse(a, STEER_LOOPBACK, ECONNREFUSED);
	/* Whatever is named or let through: where people decide no agent takes part. */
	if (find_listener(a, &a->destination, a->port, STEER_LISTENER_FORBIDDEN) == LISTENER_OURS)
		return refuse_and_tell(a, STEER_LOOPBACK, ECONNREFUSED);
	if (a->at_home && is_named(a))
		return redirect(a);
	switch (a->attachment->loopback) {
	case STEER_LOOPBACK_DIRECT:
		return leave(a);
	case STEER_LOOPBACK_EGRESS:
		/* The worker has another loopback. */
		return a->at_home ? redirect(a)
				  : refuse_and_tell(a, STEER_OTHER_NETWORK, ENETUNREACH);
	default:
		found = find_listener(a, &a->destination, a->port, a->attachment->agent);
		if (found == LISTENER_OURS)
			return leave(a);
		/* Where nobody listens there is nothing to tell. */
		if (found == LISTENER_NONE)
			return refuse(a, STEER_LOOPBACK, ECONNREFUSED);
		return refuse_and_tell(a, STEER_LOOPBACK, ECONNREFUSED);
	}
}

static __always_inline int steer(struct attempt *a)
{
	__u32 zero = 0;
	__u64 network;
	int error;

	a->settings = bpf_map_lookup_elem(&settings, &zero);
	a->attachment = bpf_get_local_storage(&attachments, 0);
	a->agent = agent_get(a->attachment->agent);
	/* Attached but not filled in yet, or no longer an agent. */
	if (!a->settings || !a->agent || a->attachment->agent == 0)
		return refuse(a, STEER_NO_LISTENER, ECONNREFUSED);
	network = bpf_get_netns_cookie(a->context);
	a->at_home = network == a->settings->network;
	a->worker_port = network_port(a->settings, network);
	a->local = address_is_loopback(&a->destination) || is_of_host(a);
	if (a->local && (a->at_home || address_is_loopback(&a->destination)))
		return steer_local(a);
	if (a->local && !may_dial_host(a))
		return refuse_and_tell(a, STEER_OTHER_NETWORK, ENETUNREACH);
	error = route_error(a);
	if (error)
		return refuse(a, STEER_NO_ROUTE, error);
	return redirect(a);
}

static __always_inline void tell_datagram(
	struct bpf_sock_addr *ctx, struct steer_agent *agent, __u32 id, const struct address *to)
{
	struct steer_event *event = event_reserve(agent, STEER_OTHER_NETWORK);

	if (!event)
		return;
	__builtin_memset(&event->origin, 0, sizeof(event->origin));
	event->transport = ctx->protocol;
	event->origin.version = ORIGIN_VERSION;
	event->origin.agent = id;
	address_to_bytes(to, event->origin.address);
	event->origin.port = bpf_ntohs(ctx->user_port);
	event->origin.family = ctx->family;
	event->origin.network = bpf_get_netns_cookie(ctx);
	event->origin.connect_time = bpf_ktime_get_ns();
	origin_set_process(&event->origin);
	bpf_ringbuf_submit(event, 0);
}

/* Whether the monitor makes rules for the calling thread's datagrams: meanwhile fence.bpf.c drops
 * them, as a busy network does. */
static __always_inline bool waits_for_rules(
	const struct steer_settings *known, __u32 agent, __u64 network)
{
	struct net *net = bpf_get_current_task_btf()->nsproxy->net_ns;

	return known && known->holds && known->port && agent && network_may_judge(network) &&
		network_ruled(net) == NETWORK_RULED && network_ask(agent, network);
}

/* Where datagrams may go the rules of nftables say, in the network namespace of the daemon and
 * where the monitor has made them. Elsewhere nothing leaves. */
static __always_inline int datagram(struct bpf_sock_addr *ctx, const struct address *to)
{
	__u32 zero = 0;
	const struct steer_settings *known = bpf_map_lookup_elem(&settings, &zero);
	const struct steer_attachment *attachment = bpf_get_local_storage(&attachments, 0);
	struct steer_agent *agent = agent_get(attachment->agent);
	__u64 network = bpf_get_netns_cookie(ctx);

	if (known && network == known->network)
		return PROCEED;
	if (address_is_loopback(to) || network_judges_mine(attachment->agent, network) ||
		waits_for_rules(known, attachment->agent, network))
		return PROCEED;
	if (agent)
		tell_datagram(ctx, agent, attachment->agent, to);
	count(agent, STEER_OTHER_NETWORK);
	bpf_set_retval(-ENETUNREACH);
	return REFUSE;
}

/* Anything that is neither TCP nor UDP, nor asks for echoes, was refused at socket(2) already,
 * unless it is older than the attachment. */
static __always_inline int other_protocol(struct bpf_sock_addr *ctx, const struct address *to)
{
	if (ctx->type == SOCK_DGRAM &&
		(ctx->protocol == IPPROTO_UDP || ctx->protocol == IPPROTO_ICMP ||
			ctx->protocol == PROTOCOL_ICMPV6))
		return datagram(ctx, to);
	bpf_set_retval(-EPROTONOSUPPORT);
	return REFUSE;
}

static __always_inline bool is_tcp(const struct bpf_sock_addr *ctx)
{
	return ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP;
}

static __always_inline void set_v6(struct address *to, const struct bpf_sock_addr *ctx)
{
	to->word[0] = ctx->user_ip6[0];
	to->word[1] = ctx->user_ip6[1];
	to->word[2] = ctx->user_ip6[2];
	to->word[3] = ctx->user_ip6[3];
}

SEC("cgroup/sendmsg4")
int steer_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct address to;

	address_set_v4(&to, ctx->user_ip4);
	return datagram(ctx, &to);
}

SEC("cgroup/sendmsg6")
int steer_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct address to;

	set_v6(&to, ctx);
	return datagram(ctx, &to);
}

SEC("cgroup/connect4")
int steer_connect4(struct bpf_sock_addr *ctx)
{
	struct attempt a = {.context = ctx, .socket = ctx->sk};
	__u32 to;

	to = ctx->user_ip4;
	if (!is_tcp(ctx) || !a.socket) {
		address_set_v4(&a.destination, to);
		return other_protocol(ctx, &a.destination);
	}
	/* The kernel takes 0.0.0.0 for the socket's own address, else for loopback. */
	if (to == 0)
		to = a.socket->src_ip4 ? a.socket->src_ip4 : ADDRESS_LOOPBACK4;
	address_set_v4(&a.destination, to);
	a.port = bpf_ntohs(ctx->user_port);
	if (steer(&a) == REFUSE)
		return REFUSE;
	ctx->user_ip4 = a.to.word[3];
	ctx->user_port = bpf_htons(a.to_port);
	return PROCEED;
}

SEC("cgroup/connect6")
int steer_connect6(struct bpf_sock_addr *ctx)
{
	struct attempt a = {.context = ctx, .socket = ctx->sk};

	set_v6(&a.destination, ctx);
	if (!is_tcp(ctx) || !a.socket)
		return other_protocol(ctx, &a.destination);
	/* tcp_v6_connect() takes :: for ::1, or for 127.0.0.1 on a socket bound to IPv4; a mapped
	 * 0.0.0.0 is handled as in IPv4. */
	if (address_is_zero6(&a.destination)) {
		if (a.socket->src_ip6[2] == ADDRESS_MAPPED)
			address_set_v4(&a.destination, ADDRESS_LOOPBACK4);
		else
			address_set_loopback6(&a.destination);
	} else if (address_is_v4(&a.destination) && a.destination.word[3] == 0) {
		a.destination.word[3] = ADDRESS_LOOPBACK4;
	}
	a.port = bpf_ntohs(ctx->user_port);
	if (steer(&a) == REFUSE)
		return REFUSE;
	ctx->user_ip6[0] = a.to.word[0];
	ctx->user_ip6[1] = a.to.word[1];
	ctx->user_ip6[2] = a.to.word[2];
	ctx->user_ip6[3] = a.to.word[3];
	ctx->user_port = bpf_htons(a.to_port);
	return PROCEED;
}
