/* SPDX-License-Identifier: Apache-2.0
 *
 * The rule that queues packets. nftables' own `queue` is an option of the kernel that not all have;
 * xtables' target NFQUEUE, by way of nft_compat, is what nft's language has no words for, so that
 * rule is a message of its own.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/x_tables.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <string.h>
#include <sys/socket.h>

#include "capture/guard_internal.h"
#include "capture/queue.h"

#define BATCH_ROOM 4096
#define TARGET "NFQUEUE"
#define TARGET_REVISION 3

bool queue_is_native(void)
{
	struct error e;

	/* Where that can't be told: the other one, which says itself whether it is there. */
	return guard_try("queue num 0", &e) > 0;
}

static struct nlmsghdr *put(void *room, uint16_t type, uint16_t flags, uint8_t family, uint16_t id)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(room);
	struct nfgenmsg *head;

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->nfgen_family = family;
	head->version = NFNETLINK_V0;
	head->res_id = htons(id);
	return message;
}

/* linux/netfilter/nf_tables.h: a rule is a list of expressions; of this one "target" is all. */
static void put_target(struct nlmsghdr *message, uint16_t number)
{
	union {
		struct xt_NFQ_info_v3 info;
		uint8_t padded[XT_ALIGN(sizeof(struct xt_NFQ_info_v3))];
	} target = {.padded = {0}};
	struct nlattr *list = mnl_attr_nest_start(message, NFTA_RULE_EXPRESSIONS), *element, *data;

	target.info = (struct xt_NFQ_info_v3){.queuenum = number, .queues_total = 1};
	element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	mnl_attr_put_strz(message, NFTA_EXPR_NAME, "target");
	data = mnl_attr_nest_start(message, NFTA_EXPR_DATA);
	mnl_attr_put_strz(message, NFTA_TARGET_NAME, TARGET);
	mnl_attr_put_u32(message, NFTA_TARGET_REV, htonl(TARGET_REVISION));
	mnl_attr_put(message, NFTA_TARGET_INFO, sizeof(target), &target);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, element);
	mnl_attr_nest_end(message, list);
}

/* A transaction of one rule. */
static size_t build(void *room, uint16_t number, const char *table, const char *chain)
{
	struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(room, BATCH_ROOM);
	struct nlmsghdr *message;
	size_t size;

	put(mnl_nlmsg_batch_current(batch), NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC,
		NFNL_SUBSYS_NFTABLES);
	mnl_nlmsg_batch_next(batch);
	/* Without NLM_F_APPEND: at the head. */
	message = put(mnl_nlmsg_batch_current(batch), NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE,
		NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, table);
	mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain);
	put_target(message, number);
	mnl_nlmsg_batch_next(batch);
	put(mnl_nlmsg_batch_current(batch), NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	mnl_nlmsg_batch_next(batch);
	size = mnl_nlmsg_batch_size(batch);
	mnl_nlmsg_batch_stop(batch);
	return size;
}

static int run(struct mnl_socket *socket, const void *batch, size_t size)
{
	uint8_t answer[BATCH_ROOM];
	ssize_t n;

	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
		mnl_socket_sendto(socket, batch, size) < 0)
		return -errno;
	n = mnl_socket_recvfrom(socket, answer, sizeof(answer));
	if (n < 0 ||
		mnl_cb_run(answer, (size_t)n, 0, mnl_socket_get_portid(socket), NULL, NULL) < 0)
		return -errno;
	return 0;
}

int queue_add_rule(uint16_t number, const char *table, const char *chain, struct error *e)
{
	uint8_t room[BATCH_ROOM * 2] = {0};
	size_t size = build(room, number, table, chain);
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int r;

	if (!socket)
		return error_set_errno(e, -errno, "nftables can't be reached");
	r = run(socket, room, size);
	mnl_socket_close(socket);
	return r < 0 ? error_set_errno(e, r, "nftables: the rule that queues packets") : 0;
}
