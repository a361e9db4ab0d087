/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/nft_dump.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#define REQUEST_ROOM 512
#define ANSWER_ROOM 32768
#define TRIES 20

const struct nlattr *nft_dump_find(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, nest)
	{
		if (mnl_attr_get_type(attribute) == type)
			return attribute;
	}
	return NULL;
}

static int send_request(struct mnl_socket *netlink, const struct nft_dump *d)
{
	uint8_t request[REQUEST_ROOM] = {0};
	struct nlmsghdr *message = mnl_nlmsg_put_header(request);
	struct nfgenmsg *head;

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | d->message);
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->nfgen_family = d->family;
	head->version = NFNETLINK_V0;
	for (size_t i = 0; i < d->name_count; i++) {
		if (!mnl_attr_put_strz_check(
			    message, sizeof(request), d->names[i].type, d->names[i].text))
			return -ENAMETOOLONG;
	}
	return mnl_socket_sendto(netlink, message, message->nlmsg_len) < 0 ? -errno : 0;
}

static int read_answers(struct mnl_socket *netlink, const struct nft_dump *d)
{
	uint8_t answer[ANSWER_ROOM];
	int r = MNL_CB_OK;

	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(netlink, answer, sizeof(answer));

		if (n < 0)
			return -errno;
		r = mnl_cb_run(answer, (size_t)n, 0, mnl_socket_get_portid(netlink), d->answer,
			d->context);
	}
	return r < 0 ? -errno : 0;
}

static int run_once(const struct nft_dump *d)
{
	struct mnl_socket *netlink = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int r;

	if (!netlink)
		return -errno;
	r = mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : send_request(netlink, d);
	if (r == 0)
		r = read_answers(netlink, d);
	mnl_socket_close(netlink);
	return r;
}

int nft_dump_run(const struct nft_dump *d)
{
	int r = -EINTR;

	for (int i = 0; r == -EINTR && i < TRIES; i++) {
		d->begin(d->context);
		r = run_once(d);
	}
	return r;
}
