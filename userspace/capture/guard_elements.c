/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/guard_elements.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define REQUEST_ROOM 512
#define ANSWER_ROOM 32768
#define TRIES 20 /* others' changes of rules interrupt it */

struct guard_element {
	uint64_t cgroup;
	char chain[GUARD_CHAIN_SIZE];
};

static const struct nlattr *find(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest)
	{
		if (mnl_attr_get_type(attribute) == type)
			return attribute;
	}
	return NULL;
}

static bool take_cgroup(const struct nlattr *element, uint64_t *ret)
{
	const struct nlattr *key = find(element, NFTA_SET_ELEM_KEY);
	const struct nlattr *value = key ? find(key, NFTA_DATA_VALUE) : NULL;

	if (!value || mnl_attr_get_payload_len(value) != sizeof(*ret))
		return false;
	memcpy(ret, mnl_attr_get_payload(value), sizeof(*ret));
	return true;
}

static bool take_chain(const struct nlattr *element, char ret[GUARD_CHAIN_SIZE])
{
	const struct nlattr *data = find(element, NFTA_SET_ELEM_DATA);
	const struct nlattr *verdict = data ? find(data, NFTA_DATA_VERDICT) : NULL;
	const struct nlattr *code = verdict ? find(verdict, NFTA_VERDICT_CODE) : NULL;
	const struct nlattr *chain = verdict ? find(verdict, NFTA_VERDICT_CHAIN) : NULL;

	if (!code || !chain || mnl_attr_validate(code, MNL_TYPE_U32) < 0 ||
		mnl_attr_validate(chain, MNL_TYPE_NUL_STRING) < 0 ||
		ntohl(mnl_attr_get_u32(code)) != (uint32_t)NFT_GOTO)
		return false;
	return snprintf(ret, GUARD_CHAIN_SIZE, "%s", mnl_attr_get_str(chain)) < GUARD_CHAIN_SIZE;
}

/* What leads nowhere is left out. */
static void add(struct guard_elements *e, const struct nlattr *element)
{
	struct guard_element new;

	if (!take_cgroup(element, &new.cgroup) || !take_chain(element, new.chain))
		return;
	e->items = memory_resize_array(e->items, e->count + 1, sizeof(*e->items));
	e->items[e->count++] = new;
}

static int on_elements(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *attribute, *element;

	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attribute) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(element, attribute) add(context, element);
	}
	return MNL_CB_OK;
}

static int ask(
	struct mnl_socket *netlink, const char *table, const char *map, struct guard_elements *ret)
{
	uint8_t request[REQUEST_ROOM] = {0}, answer[ANSWER_ROOM];
	struct nlmsghdr *message = mnl_nlmsg_put_header(request);
	struct nfgenmsg *head;
	int r = MNL_CB_OK;

	message->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETSETELEM;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->nfgen_family = NFPROTO_INET;
	head->version = NFNETLINK_V0;
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, map);
	if (mnl_socket_sendto(netlink, message, message->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(netlink, answer, sizeof(answer));

		if (n < 0)
			return -errno;
		r = mnl_cb_run(
			answer, (size_t)n, 0, mnl_socket_get_portid(netlink), on_elements, ret);
	}
	return r < 0 ? -errno : 0;
}

static int read_once(const char *table, const char *map, struct guard_elements *ret)
{
	struct mnl_socket *netlink = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int r;

	if (!netlink)
		return -errno;
	r = mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno
								: ask(netlink, table, map, ret);
	mnl_socket_close(netlink);
	if (r < 0)
		guard_elements_done(ret);
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct guard_element *one = a, *other = b;

	return (one->cgroup > other->cgroup) - (one->cgroup < other->cgroup);
}

int guard_elements_read(const char *instance, const char *map, struct guard_elements *ret)
{
	struct guard_elements found = {0};
	char table[64];
	int r = -EINTR;

	snprintf(table, sizeof(table), "wayleave_%s", instance);
	for (int i = 0; r == -EINTR && i < TRIES; i++)
		r = read_once(table, map, &found);
	if (r < 0)
		return r;
	if (found.count)
		qsort(found.items, found.count, sizeof(*found.items), compare);
	*ret = found;
	return 0;
}

const char *guard_elements_find(const struct guard_elements *e, uint64_t cgroup)
{
	const struct guard_element wanted = {.cgroup = cgroup};
	const struct guard_element *found =
		e->count ? bsearch(&wanted, e->items, e->count, sizeof(*e->items), compare) : NULL;

	return found ? found->chain : NULL;
}

void guard_elements_done(struct guard_elements *e)
{
	free(e->items);
	*e = (struct guard_elements){0};
}
