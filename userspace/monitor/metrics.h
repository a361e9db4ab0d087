/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics: counters for Prometheus, and whether all is well, each at a loopback address of its own
 * over HTTP. What a client sends is thrown away unread, since the monitor parses nothing of
 * anybody's: one address has one answer.
 */
#ifndef WAYLEAVE_MONITOR_METRICS_H
#define WAYLEAVE_MONITOR_METRICS_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/list.h"
#include "monitor/loop.h"

struct monitor;

struct metrics_listener {
	struct monitor *monitor;
	struct loop_source source; /* fd -1: none */
	int (*answer)(struct monitor *m, struct buffer *ret);
	struct list connections;
	size_t count;
	char *address; /* as configured; NULL: none */
};

struct metrics {
	struct metrics_listener metrics, health;
};

void metrics_init(struct monitor *m);
/* Listens where the configuration says now. What can't be had is the error; the others stand. */
int metrics_configure(struct monitor *m, struct error *e);
/* Once a second. */
void metrics_tick(struct monitor *m, uint64_t now);
void metrics_close(struct monitor *m);

#endif
