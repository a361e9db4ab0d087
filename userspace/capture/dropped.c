/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/dropped.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "capture/state.h"

#define REQUEST_ROOM 256
#define ANSWER_ROOM 32768
#define TABLE_SIZE 96
/* Rules that change meanwhile make the list worth nothing (NLM_F_DUMP_INTR). */
#define TRIES 3

static const char queues_path[] = "/proc/thread-self/net/netfilter/nfnetlink_queue";

/* --- rules (linux/netfilter/nf_tables.h) --- */

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

static uint64_t packets_of(const struct nlattr *counter)
{
	const struct nlattr *packets = find(counter, NFTA_COUNTER_PACKETS);

	return packets && mnl_attr_validate(packets, MNL_TYPE_U64) >= 0
		? be64toh(mnl_attr_get_u64(packets))
		: 0;
}

static bool is_drop(const struct nlattr *immediate)
{
	const struct nlattr *data = find(immediate, NFTA_IMMEDIATE_DATA);
	const struct nlattr *verdict = data ? find(data, NFTA_DATA_VERDICT) : NULL;
	const struct nlattr *code = verdict ? find(verdict, NFTA_VERDICT_CODE) : NULL;

	return code && mnl_attr_validate(code, MNL_TYPE_U32) >= 0 &&
		ntohl(mnl_attr_get_u32(code)) == NF_DROP;
}

/* A rule that leads to another chain counts what is counted again there. */
static uint64_t packets_ended_by(const struct nlattr *expressions)
{
	const struct nlattr *element;
	uint64_t packets = 0;
	bool ends = false;

	mnl_attr_for_each_nested(element, expressions)
	{
		const struct nlattr *name = find(element, NFTA_EXPR_NAME);
		const struct nlattr *data = find(element, NFTA_EXPR_DATA);

		if (!name || !data || mnl_attr_validate(name, MNL_TYPE_NUL_STRING) < 0)
			continue;
		if (strcmp(mnl_attr_get_str(name), "counter") == 0)
			packets = packets_of(data);
		else if (strcmp(mnl_attr_get_str(name), "reject") == 0)
			ends = true;
		else if (strcmp(mnl_attr_get_str(name), "immediate") == 0)
			ends |= is_drop(data);
	}
	return ends ? packets : 0;
}

static int on_rule(const struct nlmsghdr *message, void *context)
{
	const struct nlattr *attribute;
	uint64_t *sum = context;

	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attribute) == NFTA_RULE_EXPRESSIONS)
			*sum += packets_ended_by(attribute);
	}
	return MNL_CB_OK;
}

static int list_rules(
	struct mnl_socket *netlink, uint8_t family, const char *table, uint64_t *ret_sum)
{
	uint8_t request[REQUEST_ROOM] = {0}, answer[ANSWER_ROOM];
	struct nlmsghdr *message = mnl_nlmsg_put_header(request);
	struct nfgenmsg *head;
	int r = MNL_CB_OK;

	message->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	head = mnl_nlmsg_put_extra_header(message, sizeof(*head));
	head->nfgen_family = family;
	head->version = NFNETLINK_V0;
	mnl_attr_put_strz(message, NFTA_RULE_TABLE, table);
	if (mnl_socket_sendto(netlink, message, message->nlmsg_len) < 0)
		return -errno;
	*ret_sum = 0;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(netlink, answer, sizeof(answer));

		if (n < 0)
			return -errno;
		r = mnl_cb_run(
			answer, (size_t)n, 0, mnl_socket_get_portid(netlink), on_rule, ret_sum);
	}
	return r < 0 ? -errno : 0;
}

static int read_once(uint8_t family, const char *table, uint64_t *ret)
{
	struct mnl_socket *netlink = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	uint64_t sum = 0;
	int r;

	if (!netlink)
		return -errno;
	r = mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0
		? -errno
		: list_rules(netlink, family, table, &sum);
	mnl_socket_close(netlink);
	if (r == 0)
		*ret = sum;
	return r;
}

int dropped_read_table(uint8_t family, const char *table, uint64_t *ret)
{
	int r = -EINTR;

	for (int i = 0; r == -EINTR && i < TRIES; i++)
		r = read_once(family, table, ret);
	return r == -ENOENT ? (*ret = 0, 0) : r;
}

/* --- */

static void add(struct capture *c, enum dropped_by by, uint64_t now)
{
	uint64_t last = c->dropped.by[by].last;

	/* Fewer: somebody else loaded the rules. */
	c->dropped.by[by].total += now >= last ? now - last : now;
	c->dropped.by[by].last = now;
}

static void note_table(struct capture *c, enum dropped_by by, uint8_t family, const char *format)
{
	char table[TABLE_SIZE];
	uint64_t now;

	snprintf(table, sizeof(table), format, c->pins.instance);
	if (dropped_read_table(family, table, &now) == 0)
		add(c, by, now);
}

enum queue_column { QUEUE_NUMBER, QUEUE_FULL = 5, QUEUE_UNREAD, QUEUE_COLUMNS };

/* A line for each queue of the network namespace: number, reader, packets that wait, two settings,
 * those that found no room in the queue, those that found none at the reader
 * (net/netfilter/nfnetlink_queue.c, seq_show()). */
static bool read_queue(const char *line, unsigned long ret[QUEUE_COLUMNS])
{
	for (unsigned i = 0; i < QUEUE_COLUMNS; i++) {
		char *end;

		ret[i] = strtoul(line, &end, 10);
		if (end == line)
			return false;
		line = end;
	}
	return true;
}

static void note_queue(struct capture *c)
{
	unsigned long columns[QUEUE_COLUMNS];
	FILE *file;
	char line[160];

	if (!c->queue.socket)
		return;
	file = fopen(queues_path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (!read_queue(line, columns) || columns[QUEUE_NUMBER] != c->queue.number)
			continue;
		add(c, DROPPED_QUEUE_FULL, columns[QUEUE_FULL]);
		add(c, DROPPED_QUEUE_UNREAD, columns[QUEUE_UNREAD]);
	}
	if (file)
		fclose(file);
}

void dropped_note(struct capture *c)
{
	struct steer_agent host;

	note_table(c, DROPPED_RULES, NFPROTO_INET, "wayleave_%s");
	note_table(c, DROPPED_INTERFACE_RULES, NFPROTO_INET, "wayleave_%s_forward");
	note_table(c, DROPPED_BRIDGE_RULES, NFPROTO_BRIDGE, "wayleave_%s_forward");
	note_queue(c);
	if (capture_get_counts(c, 0, &host) == 0)
		add(c, DROPPED_FENCE, host.counts[STEER_FENCED]);
}

void dropped_begin_anew(struct capture *c, enum dropped_by by)
{
	c->dropped.by[by].last = 0;
}

const char *capture_dropped_text(enum dropped_by by)
{
	static const char *const texts[DROPPED_BY_COUNT] = {
#define ROW(symbol, metric) [DROPPED_##symbol] = metric,
		DROPPED_BY(ROW)
#undef ROW
	};

	return texts[by];
}

void capture_get_dropped(struct capture *c, uint64_t ret[DROPPED_BY_COUNT])
{
	dropped_note(c);
	for (int i = 0; i < DROPPED_BY_COUNT; i++)
		ret[i] = c->dropped.by[i].total;
}
