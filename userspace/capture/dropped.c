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

#include "capture/nft_dump.h"
#include "capture/state.h"

#define TABLE_SIZE 96

static const char queues_path[] = "/proc/thread-self/net/netfilter/nfnetlink_queue";

/* --- rules (linux/netfilter/nf_tables.h) --- */

static uint64_t packets_of(const struct nlattr *counter)
{
	const struct nlattr *packets = nft_dump_find(counter, NFTA_COUNTER_PACKETS);

	return packets && mnl_attr_validate(packets, MNL_TYPE_U64) >= 0
		? be64toh(mnl_attr_get_u64(packets))
		: 0;
}

static bool is_drop(const struct nlattr *immediate)
{
	const struct nlattr *data = nft_dump_find(immediate, NFTA_IMMEDIATE_DATA);
	const struct nlattr *verdict = data ? nft_dump_find(data, NFTA_DATA_VERDICT) : NULL;
	const struct nlattr *code = verdict ? nft_dump_find(verdict, NFTA_VERDICT_CODE) : NULL;

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
		const struct nlattr *name = nft_dump_find(element, NFTA_EXPR_NAME);
		const struct nlattr *data = nft_dump_find(element, NFTA_EXPR_DATA);

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

static void begin(void *context)
{
	*(uint64_t *)context = 0;
}

int dropped_read_table(uint8_t family, const char *table, uint64_t *ret)
{
	const struct nft_dump_name name = {NFTA_RULE_TABLE, table};
	uint64_t sum;
	const struct nft_dump rules = {.message = NFT_MSG_GETRULE,
		.family = family,
		.names = &name,
		.name_count = 1,
		.begin = begin,
		.answer = on_rule,
		.context = &sum};
	int r = nft_dump_run(&rules);

	if (r == -ENOENT) {
		sum = 0;
		r = 0;
	}
	if (r == 0)
		*ret = sum;
	return r;
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
