/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * networks: network namespaces of agents other than the daemon's. A listener must stand in each, as
 * no connection can be turned from one into another; the monitor makes it when it is told of a
 * namespace that an agent makes a socket in, or says that there is none. One without a way out
 * stays without: turned from there, a connection would leave what its maker had shut off.
 *
 * Datagrams can't be turned. Rules stand there for them, as in the daemon's own namespace, where no
 * agent can change them; elsewhere nothing of that kind leaves.
 */
#ifndef WAYLEAVE_BPF_NETWORKS_H
#define WAYLEAVE_BPF_NETWORKS_H

#include "address.h"
#include "maps.h"

#include <bpf/bpf_core_read.h>

#define DEVICES_MOST 32 /* that are looked at: containers have two */

/* The port of the workers' listener there; 0: none. */
static __always_inline __u32 network_port(const struct steer_settings *settings, __u64 network)
{
	const struct steer_network *known;

	if (network == settings->network)
		return settings->port;
	known = bpf_map_lookup_elem(&networks, &network);
	return known ? known->port : 0;
}

/* Whether there is a device besides loopback, and it is up. The list may change meanwhile: what is
 * read is worth no more than that a listener is made or not. */
static __always_inline bool network_has_way_out(struct net *net)
{
	__u64 head = (__u64)&net->dev_base_head, at = (__u64)net->dev_base_head.next;
	__u64 offset = bpf_core_field_offset(struct net_device, dev_list);

	for (int i = 0; i < DEVICES_MOST && at && at != head; i++) {
		struct net_device *device = (void *)(at - offset);
		struct list_head *here = (void *)at;
		unsigned int flags = 0;

		bpf_core_read(&flags, sizeof(flags), &device->flags);
		if ((flags & IFF_UP) && !(flags & IFF_LOOPBACK))
			return true;
		if (bpf_core_read(&at, sizeof(at), &here->next))
			return false;
	}
	return false;
}

#define RIGHTS_OVER_NETWORK (1u << CAP_NET_ADMIN | 1u << CAP_NET_RAW)

/* A thread can't change them where the namespace is the host's user namespace's, as none is that an
 * agent makes for itself, and the thread has no right over that. Packet sockets, which CAP_NET_RAW
 * is enough for, lead past the rules in both directions, and past these hooks. */
static __always_inline enum network_ruled network_ruled(struct net *net)
{
	const struct cred *cred = bpf_get_current_task_btf()->cred;
	__u32 permitted = 0;

	if (net->user_ns->level != 0)
		return NETWORK_NOT_RULED;
	if (cred->user_ns->level != 0)
		return NETWORK_RULED;
	if (bpf_core_read(&permitted, sizeof(permitted), &cred->cap_permitted))
		return NETWORK_RULED_UNKNOWN;
	return permitted & RIGHTS_OVER_NETWORK ? NETWORK_NOT_RULED : NETWORK_RULED;
}

/* Tells the monitor that the agent's `thread` (struct network_ask) is in a namespace without a
 * listener, unless it has just been told. What another thread has said does not count as long as
 * the agent may say more: that one may be gone before it was looked at. Whether it has been told.
 */
static __always_inline bool network_tell(
	__u32 agent, __u64 network, __u64 thread, enum network_ruled ruled)
{
	struct network_asked *own = bpf_map_lookup_elem(&asked, &agent);
	__u64 now = bpf_ktime_get_ns();
	struct network_event *event;
	bool told = false;
	__u32 place;

	if (!own || now < own->refused_until)
		return false;
	if (now - own->since >= NETWORK_ASK_INTERVAL) {
		own->since = now;
		own->count = 0;
	}
	for (__u32 i = 0; i < NETWORK_ASKS_MOST && i < own->count; i++) {
		if (own->asks[i].network != network)
			continue;
		if (own->asks[i].thread == thread)
			return true;
		told = true;
	}
	if (own->count >= NETWORK_ASKS_MOST)
		return told;
	/* Processors that meet here forget an ask, or one interval has a few more. */
	place = __sync_fetch_and_add(&own->count, 1);
	if (place >= NETWORK_ASKS_MOST)
		return told;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	own->asks[place].network = event ? network : 0;
	own->asks[place].thread = thread;
	if (!event)
		return told;
	event->network = network;
	event->agent = agent;
	event->pid = thread >> 32;
	event->thread = (__u32)thread;
	event->ruled = ruled;
	bpf_ringbuf_submit(event, 0);
	return true;
}

/* Asks for a listener in the namespace of the calling thread, where that is `network`. Whether the
 * monitor has been told. A global function: the verifier goes through its loops once, and not again
 * for each way on which a program comes here, while a daemon that starts waits for it. */
__noinline bool network_ask(__u32 agent, __u64 network)
{
	struct net *net = bpf_get_current_task_btf()->nsproxy->net_ns;

	return net->net_cookie == network && network_has_way_out(net) &&
		network_tell(agent, network, bpf_get_current_pid_tgid(), network_ruled(net));
}

enum network_state { NETWORK_UNKNOWN, NETWORK_LISTENS, NETWORK_REFUSED };

/* What the monitor has said of a namespace, for those who wait for a listener on that port. */
static __always_inline enum network_state network_state(__u32 agent, __u64 network, __u32 port)
{
	const struct steer_network *known = bpf_map_lookup_elem(&networks, &network);
	const struct network_asked *own;

	if (known)
		return known->port && known->port == port ? NETWORK_LISTENS : NETWORK_REFUSED;
	own = bpf_map_lookup_elem(&asked, &agent);
	return own && bpf_ktime_get_ns() < own->refused_until ? NETWORK_REFUSED : NETWORK_UNKNOWN;
}

/* Whether rules judge the agent's datagrams in a network namespace other than the daemon's. */
static __always_inline bool network_judges(__u32 agent, __u64 network)
{
	const struct steer_network *known = bpf_map_lookup_elem(&networks, &network);

	return agent && known && known->judged == agent;
}

/* The same for a socket of the calling thread's: with a right over the namespace, which the one
 * that was told of it had not, it could take them away. */
static __always_inline bool network_judges_mine(__u32 agent, __u64 network)
{
	struct net *net = bpf_get_current_task_btf()->nsproxy->net_ns;

	return network_judges(agent, network) && net->net_cookie == network &&
		network_ruled(net) == NETWORK_RULED;
}

/* Whether rules may come that judge the agent's datagrams there. */
static __always_inline bool network_may_judge(__u64 network)
{
	const struct steer_network *known = bpf_map_lookup_elem(&networks, &network);

	return !known || !known->judged;
}

/* Whether the monitor has nothing more to do about the namespace, for the calling thread's sockets.
 */
static __always_inline bool network_is_settled(__u32 agent, __u64 network)
{
	struct net *net = bpf_get_current_task_btf()->nsproxy->net_ns;
	const struct steer_network *known = bpf_map_lookup_elem(&networks, &network);
	enum network_ruled ruled;

	if (!known || !known->port)
		return false;
	if (known->judged == NETWORK_JUDGED_NEVER || net->net_cookie != network)
		return true;
	/* Who could change the rules ends them, whosever they are, and before they are there. */
	ruled = network_ruled(net);
	return ruled == NETWORK_RULED ? known->judged == agent : ruled != NETWORK_NOT_RULED;
}

#endif
