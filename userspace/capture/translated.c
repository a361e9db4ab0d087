/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/translated.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

#include "base/memory.h"

#define BUFFER_SIZE 8192

static void put_address(struct nlmsghdr *message, uint16_t v4, uint16_t v6, const union place *p)
{
	if (p->any.sa_family == AF_INET)
		mnl_attr_put_u32(message, v4, p->v4.sin_addr.s_addr);
	else
		mnl_attr_put(message, v6, sizeof(p->v6.sin6_addr), &p->v6.sin6_addr);
}

static uint16_t port_of(const union place *p)
{
	return p->any.sa_family == AF_INET ? p->v4.sin_port : p->v6.sin6_port;
}

static void put_tuple(struct nlmsghdr *message, const struct ends *ends)
{
	struct nlattr *tuple = mnl_attr_nest_start(message, CTA_TUPLE_ORIG), *part;

	part = mnl_attr_nest_start(message, CTA_TUPLE_IP);
	put_address(message, CTA_IP_V4_SRC, CTA_IP_V6_SRC, &ends->own);
	put_address(message, CTA_IP_V4_DST, CTA_IP_V6_DST, &ends->peer);
	mnl_attr_nest_end(message, part);
	part = mnl_attr_nest_start(message, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(message, CTA_PROTO_NUM, IPPROTO_TCP);
	mnl_attr_put_u16(message, CTA_PROTO_SRC_PORT, port_of(&ends->own));
	mnl_attr_put_u16(message, CTA_PROTO_DST_PORT, port_of(&ends->peer));
	mnl_attr_nest_end(message, part);
	mnl_attr_nest_end(message, tuple);
}

/* One that has at least `size` bytes; NULL: there is none. */
static const void *find(const struct nlattr *nest, uint16_t type, size_t size)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest)
	{
		if (mnl_attr_get_type(attribute) == type &&
			mnl_attr_get_payload_len(attribute) >= size)
			return size ? mnl_attr_get_payload(attribute) : attribute;
	}
	return NULL;
}

static bool take_place(const struct nlattr *addresses, const struct nlattr *ports, uint16_t v4,
	uint16_t v6, uint16_t port, sa_family_t family, union place *ret)
{
	bool four = family == AF_INET;
	size_t size = four ? sizeof(ret->v4.sin_addr) : sizeof(ret->v6.sin6_addr);
	const void *address = find(addresses, four ? v4 : v6, size);
	const void *number = find(ports, port, sizeof(uint16_t));

	if (!address || !number)
		return false;
	memset(ret, 0, sizeof(*ret));
	ret->any.sa_family = family;
	memcpy(four ? (void *)&ret->v4.sin_addr : (void *)&ret->v6.sin6_addr, address, size);
	memcpy(four ? &ret->v4.sin_port : &ret->v6.sin6_port, number, sizeof(uint16_t));
	return true;
}

struct answer {
	sa_family_t family;
	struct ends *ends;
	bool known;
};

/* What comes back says who is there: it is sent from there. */
static bool take_reply(const struct nlattr *tuple, const struct answer *a)
{
	const struct nlattr *addresses = find(tuple, CTA_TUPLE_IP, 0);
	const struct nlattr *ports = find(tuple, CTA_TUPLE_PROTO, 0);

	return addresses && ports &&
		take_place(addresses, ports, CTA_IP_V4_SRC, CTA_IP_V6_SRC, CTA_PROTO_SRC_PORT,
			a->family, &a->ends->peer) &&
		take_place(addresses, ports, CTA_IP_V4_DST, CTA_IP_V6_DST, CTA_PROTO_DST_PORT,
			a->family, &a->ends->own);
}

static int on_entry(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *attribute;
	struct answer *a = context;

	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attribute) == CTA_TUPLE_REPLY)
			a->known = take_reply(attribute, a);
	}
	return MNL_CB_STOP;
}

static int ask(struct mnl_socket *netlink, const struct ends *dialled, struct answer *a)
{
	uint8_t buffer[BUFFER_SIZE] = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *head;
	ssize_t n;

	message->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
	message->nlmsg_flags = NLM_F_REQUEST;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->nfgen_family = (uint8_t)a->family;
	head->version = NFNETLINK_V0;
	put_tuple(message, dialled);
	if (mnl_socket_sendto(netlink, message, message->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(netlink, buffer, sizeof(buffer));
	if (n < 0)
		return -errno;
	n = mnl_cb_run(buffer, (size_t)n, 0, mnl_socket_get_portid(netlink), on_entry, a);
	return n < 0 ? -errno : 0;
}

int translated_find(const struct ends *dialled, struct ends *ret)
{
	struct mnl_socket *netlink = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct ends found;
	struct answer a = {dialled->own.any.sa_family, &found, false};
	int r;

	if (!netlink)
		return -errno;
	r = mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno
								: ask(netlink, dialled, &a);
	mnl_socket_close(netlink);
	if (r < 0 || !a.known)
		return r < 0 ? r : -ENODATA;
	*ret = found;
	return 0;
}
