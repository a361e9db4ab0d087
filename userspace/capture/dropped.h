/* SPDX-License-Identifier: Apache-2.0
 *
 * dropped: how many packets what this folder sets up has dropped or rejected, from the counters of
 * the kernel. Those begin anew whenever rules are loaded or a queue is opened, so what they said
 * until then is kept here.
 */
#ifndef WAYLEAVE_CAPTURE_DROPPED_H
#define WAYLEAVE_CAPTURE_DROPPED_H

#include <stdint.h>

struct capture;

/* Symbol, name in metrics. */
#define DROPPED_BY(row)                                                                            \
	row(RULES, "rules") /* guard.h */                                                          \
		row(INTERFACE_RULES, "interface_rules") /* forward_rules.h: family inet */         \
		row(BRIDGE_RULES, "bridge_rules") /* the same: family bridge */                    \
		row(QUEUE_FULL, "queue_full") /* queue.h: QUEUE_PACKETS_MOST wait already */       \
		row(QUEUE_UNREAD, "queue_unread") /* whoever reads it leaves no room */            \
		row(FENCE, "fence") /* bpf/fence.bpf.c */

enum dropped_by {
#define DROPPED_SYMBOL(symbol, metric) DROPPED_##symbol,
	DROPPED_BY(DROPPED_SYMBOL)
#undef DROPPED_SYMBOL
		DROPPED_BY_COUNT
};

struct dropped {
	struct {
		uint64_t total;
		uint64_t last; /* what the kernel said last: a part of total */
	} by[DROPPED_BY_COUNT];
};

/* Packets that rules of a table with a `counter` dropped or rejected themselves, in the network
 * namespace of the calling thread; of a table that is not there, 0. `family`: NFPROTO_…. 0 or
 * negative errno. */
int dropped_read_table(uint8_t family, const char *table, uint64_t *ret);

/* Reads the kernel's counters. What can't be read stays as it was. Before rules or the queue are
 * replaced, and when somebody asks. */
void dropped_note(struct capture *c);
/* The kernel's counter begins at 0 again. */
void dropped_begin_anew(struct capture *c, enum dropped_by by);

#endif
