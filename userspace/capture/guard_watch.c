/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/guard_watch.h"

#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_BUFFER 16384

/* Of whatever is in a table: chains, rules, sets and their elements (linux/netfilter/nf_tables.h).
 */
#define TABLE_OF_ANY ((int)NFTA_TABLE_NAME)

static_assert((int)NFTA_CHAIN_TABLE == TABLE_OF_ANY && (int)NFTA_RULE_TABLE == TABLE_OF_ANY &&
		(int)NFTA_SET_TABLE == TABLE_OF_ANY &&
		(int)NFTA_SET_ELEM_LIST_TABLE == TABLE_OF_ANY,
	"one number");

int guard_watch_open(struct guard_watch *ret, const char *name, struct error *e)
{
	struct guard_watch w;
	int group = NFNLGRP_NFTABLES, r = 0;

	snprintf(w.table, sizeof(w.table), "wayleave_%s", name);
	w.events = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!w.events)
		return error_set_errno(e, -errno, "watching nftables");
	if (mnl_socket_bind(w.events, 0, MNL_SOCKET_AUTOPID) < 0 ||
		mnl_socket_setsockopt(w.events, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) <
			0) {
		r = error_set_errno(e, -errno, "watching nftables");
		mnl_socket_close(w.events);
		return r;
	}
	*ret = w;
	return 0;
}

void guard_watch_close(struct guard_watch *w)
{
	if (w->events)
		mnl_socket_close(w->events);
	w->events = NULL;
}

int guard_watch_descriptor(const struct guard_watch *w)
{
	return mnl_socket_get_fd(w->events);
}

/* The table that fills the queue belongs to the rules. */
static bool is_ours(const struct guard_watch *w, const char *table)
{
	size_t length = strlen(w->table);

	return strncmp(table, w->table, length) == 0 &&
		(table[length] == '\0' || strcmp(table + length, "_queue") == 0);
}

/* Whether the message is about our tables. */
static bool concerns(const struct guard_watch *w, const struct nlmsghdr *message)
{
	const struct nlattr *attribute;

	if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES)
		return false;
	switch (NFNL_MSG_TYPE(message->nlmsg_type)) {
	case NFT_MSG_NEWTABLE:
	case NFT_MSG_DELTABLE:
	case NFT_MSG_NEWCHAIN:
	case NFT_MSG_DELCHAIN:
	case NFT_MSG_NEWRULE:
	case NFT_MSG_DELRULE:
	case NFT_MSG_NEWSET:
	case NFT_MSG_DELSET:
	case NFT_MSG_NEWSETELEM:
	case NFT_MSG_DELSETELEM:
		break;
	default:
		return false;
	}
	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attribute) == TABLE_OF_ANY &&
			mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
			return is_ours(w, mnl_attr_get_str(attribute));
	}
	return false;
}

bool guard_watch_read(struct guard_watch *w)
{
	uint8_t buffer[EVENTS_BUFFER];
	bool news = false;

	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(w->events), buffer, sizeof(buffer), 0);
		const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
		int left = (int)n;

		if (n < 0 && errno == ENOBUFS) {
			news = true;
			continue;
		}
		if (n <= 0)
			return news;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			news |= concerns(w, message);
	}
}
