/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * networks: network namespaces of agents other than the daemon's. A listener must stand in each, as
 * no connection can be turned from one into another; the monitor makes it when it is told of a
 * namespace that an agent makes a TCP socket in. One without a way out stays without: turned from
 * there, a connection would leave what its maker had shut off.
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

/* Asks for a listener in the namespace of the calling thread, where that is `network`. Whether the
 * monitor has been told. */
static __always_inline bool network_ask(__u32 agent, __u64 network)
{
	struct net *net = bpf_get_current_task_btf()->nsproxy->net_ns;
	struct network_asked *last, now = {.time = bpf_ktime_get_ns()};
	struct network_event *event;

	if (net->net_cookie != network || !network_has_way_out(net))
		return false;
	last = bpf_map_lookup_elem(&asked, &agent);
	if (last && now.time - last->time < NETWORK_ASK_INTERVAL)
		return last->network == network;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (event) {
		now.network = network;
		event->network = network;
		event->agent = agent;
		event->pid = bpf_get_current_pid_tgid() >> 32;
		event->thread = (__u32)bpf_get_current_pid_tgid();
		event->unused = 0;
		bpf_ringbuf_submit(event, 0);
	}
	bpf_map_update_elem(&asked, &agent, &now, BPF_ANY);
	return event;
}

#endif
