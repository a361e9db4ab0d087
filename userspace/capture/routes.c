/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/routes.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/prefix.h"
#include "capture/route_table.h"

#define REFRESH_INTERVAL (100 * NANOSECONDS_PER_MILLISECOND)
#define DUMP_BUFFER 32768
#define DUMP_ATTEMPTS 3
/* Beyond it the trie can't hold them anyway. */
#define ROUTES_READ_MOST (4 * STEER_ROUTES_MOST)

static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_NEXTHOP};

static void read_address(uint16_t family, const struct nlattr *attribute, uint8_t ret[16])
{
	if (mnl_attr_get_payload_len(attribute) == (family == AF_INET ? 4 : 16))
		prefix_map_address(family, mnl_attr_get_payload(attribute), ret);
}

/* The first way of several. */
static void read_multipath(const struct nlattr *attribute, struct route_entry *ret)
{
	const struct rtnexthop *way = mnl_attr_get_payload(attribute);

	if (mnl_attr_get_payload_len(attribute) >= sizeof(*way))
		ret->interface = (uint32_t)way->rtnh_ifindex;
}

static int read_route(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	struct route_table *table = context;
	struct route_entry entry = {.table = route->rtm_table, .type = route->rtm_type};
	uint8_t destination[16] = {0};
	const struct nlattr *attribute;

	if (message->nlmsg_type != RTM_NEWROUTE ||
		route->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD) || table->count >= ROUTES_READ_MOST)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*route))
	{
		uint16_t size = mnl_attr_get_payload_len(attribute);

		switch (mnl_attr_get_type(attribute)) {
		case RTA_DST:
			memcpy(destination, mnl_attr_get_payload(attribute), size < 16 ? size : 16);
			break;
		case RTA_TABLE:
			entry.table = mnl_attr_get_u32(attribute);
			break;
		case RTA_PRIORITY:
			entry.metric = mnl_attr_get_u32(attribute);
			break;
		case RTA_OIF:
			entry.interface = mnl_attr_get_u32(attribute);
			break;
		case RTA_GATEWAY:
			read_address(route->rtm_family, attribute, entry.gateway);
			break;
		case RTA_PREFSRC:
			read_address(route->rtm_family, attribute, entry.source);
			break;
		case RTA_MULTIPATH:
			read_multipath(attribute, &entry);
			break;
		}
	}
	if (prefix_from_address(
		    route->rtm_family, destination, route->rtm_dst_len, 0, &entry.destination) == 0)
		route_table_add(table, &entry);
	return MNL_CB_OK;
}

static int read_interface_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *header = mnl_nlmsg_get_payload(message);
	struct route_address address = {.interface = header->ifa_index,
		.family = header->ifa_family,
		.scope = header->ifa_scope,
		.bits = header->ifa_prefixlen + (header->ifa_family == AF_INET ? 96 : 0)};
	uint32_t flags = header->ifa_flags;
	const struct nlattr *attribute;
	bool has_local = false;

	if (message->nlmsg_type != RTM_NEWADDR)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*header))
	{
		uint16_t type = mnl_attr_get_type(attribute);

		/* On a link with a peer IFA_ADDRESS is the peer's. */
		has_local |= type == IFA_LOCAL;
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !has_local))
			read_address(header->ifa_family, attribute, address.address);
		if (type == IFA_FLAGS)
			flags = mnl_attr_get_u32(attribute);
	}
	/* IFA_F_TEMPORARY, of IPv6, is the same bit as IFA_F_SECONDARY, of IPv4. */
	address.secondary = flags & (IFA_F_SECONDARY | IFA_F_DEPRECATED | IFA_F_TENTATIVE);
	route_table_add_address(context, &address);
	return MNL_CB_OK;
}

static int receive_dump(struct mnl_socket *s, unsigned sequence, mnl_cb_t call, void *context)
{
	uint8_t buffer[DUMP_BUFFER];
	int r;

	do {
		ssize_t n = mnl_socket_recvfrom(s, buffer, sizeof(buffer));

		if (n < 0)
			return -errno;
		r = mnl_cb_run(
			buffer, (size_t)n, sequence, mnl_socket_get_portid(s), call, context);
	} while (r > MNL_CB_STOP);
	return r < 0 ? -errno : 0;
}

/* rtmsg and ifaddrmsg begin with the family and are zero otherwise in a request for all. */
static int dump(struct mnl_socket *s, uint16_t type, uint8_t family, mnl_cb_t call, void *context)
{
	uint8_t buffer[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct rtmsg))];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	static unsigned sequence;

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = ++sequence;
	*(uint8_t *)mnl_nlmsg_put_extra_header(request,
		type == RTM_GETROUTE ? sizeof(struct rtmsg) : sizeof(struct ifaddrmsg)) = family;
	if (mnl_socket_sendto(s, request, request->nlmsg_len) < 0)
		return -errno;
	return receive_dump(s, sequence, call, context);
}

static int dump_all(struct mnl_socket *s, struct route_table *table)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(families); i++)
		r = dump(s, RTM_GETADDR, families[i], read_interface_address, table);
	for (size_t i = 0; r == 0 && i < sizeof(families); i++)
		r = dump(s, RTM_GETROUTE, families[i], read_route, table);
	return r;
}

/* -EINTR: what was dumped changed meanwhile. */
static int dump_once(struct route_table *table)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int r;

	if (!s)
		return -errno;
	r = mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : dump_all(s, table);
	mnl_socket_close(s);
	return r;
}

static int apply(struct routes *r, struct route_table *table)
{
	struct trie_item *reachable, *local;
	size_t reachable_count, local_count;
	int reachable_result, local_result;

	route_table_reduce(table, &reachable, &reachable_count, &local, &local_count);
	local_result = trie_set(&r->local, local, local_count);
	reachable_result = trie_set(&r->reachable, reachable, reachable_count);
	return local_result < 0 ? local_result : reachable_result;
}

static int refresh(struct routes *r)
{
	struct route_table table;
	int result = -EINTR;

	for (int i = 0; result == -EINTR && i < DUMP_ATTEMPTS; i++) {
		route_table_init(&table);
		result = dump_once(&table);
		if (result == 0 && table.count >= ROUTES_READ_MOST)
			result = -ENOSPC;
		if (result == 0)
			result = apply(r, &table);
		route_table_done(&table);
	}
	r->complete = result == 0;
	r->dirty = result == -EINTR;
	r->refreshed = clock_monotonic();
	return result;
}

static int open_events(struct routes *r)
{
	r->events = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!r->events || mnl_socket_bind(r->events, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		int group = groups[i];

		if (mnl_socket_setsockopt(
			    r->events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0)
			return -errno;
	}
	return 0;
}

int routes_open(struct routes *ret, int reachable_map, int local_map, struct error *e)
{
	struct routes r = {.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)};
	int result = r.timer < 0 ? -errno : open_events(&r);

	if (result == 0)
		result = trie_open(&r.reachable, reachable_map);
	if (result == 0)
		result = trie_open(&r.local, local_map);
	if (result < 0) {
		routes_close(&r);
		return error_set_errno(e, result, "watching the host's routes");
	}
	refresh(&r);
	*ret = r;
	return 0;
}

void routes_close(struct routes *r)
{
	if (r->events)
		mnl_socket_close(r->events);
	if (r->timer >= 0)
		close(r->timer);
	trie_done(&r->reachable);
	trie_done(&r->local);
	r->events = NULL;
	r->timer = -1;
}

void routes_descriptors(const struct routes *r, int ret[ROUTES_DESCRIPTORS])
{
	ret[0] = mnl_socket_get_fd(r->events);
	ret[1] = r->timer;
}

/* True where something changed. What changed is not read: a full queue (ENOBUFS) is a change. */
static bool drain(struct routes *r)
{
	uint8_t buffer[DUMP_BUFFER];
	bool changed = false;

	for (int i = 0; i < 1000; i++) {
		ssize_t n = recv(mnl_socket_get_fd(r->events), buffer, sizeof(buffer), 0);

		if (n < 0 && errno != ENOBUFS)
			break;
		changed = true;
	}
	return changed;
}

static void arm(struct routes *r, uint64_t after)
{
	struct itimerspec when = {.it_value = {.tv_nsec = (long)after}};

	timerfd_settime(r->timer, 0, &when, NULL);
}

void routes_process(struct routes *r)
{
	uint64_t expirations, since;

	if (drain(r))
		r->dirty = true;
	(void)!read(r->timer, &expirations, sizeof(expirations));
	if (!r->dirty)
		return;
	since = clock_monotonic() - r->refreshed;
	if (since >= REFRESH_INTERVAL)
		refresh(r);
	if (r->dirty)
		arm(r, since < REFRESH_INTERVAL ? REFRESH_INTERVAL - since : REFRESH_INTERVAL);
}
