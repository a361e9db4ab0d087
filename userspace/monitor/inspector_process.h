/* SPDX-License-Identifier: Apache-2.0
 *
 * inspector_process: the monitor's side of inspector.h. One that ends is started again; what it was
 * asked meanwhile stays unknown.
 */
#ifndef WAYLEAVE_MONITOR_INSPECTOR_PROCESS_H
#define WAYLEAVE_MONITOR_INSPECTOR_PROCESS_H

#include "base/error.h"
#include "monitor/inspector.h"
#include "monitor/loop.h"

struct monitor_worker;

struct inspector_process {
	struct loop *loop; /* NULL: not opened */
	struct monitor_worker *workers; /* who is told */
	unsigned worker_count;
	pid_t pid; /* 0: not running */
	int channel; /* -1: none */
	struct loop_source source;
	uint64_t started; /* monotonic */
};

int inspector_process_open(struct inspector_process *p, struct loop *loop,
	struct monitor_worker *workers, unsigned worker_count, struct error *e);
void inspector_process_close(struct inspector_process *p);
/* The worker is told, or never hears of it. */
void inspector_process_ask(struct inspector_process *p, const struct inspector_request *request);
void inspector_process_tick(struct inspector_process *p, uint64_t now);
/* False: it was another process. */
bool inspector_process_on_exit(struct inspector_process *p, pid_t pid, int status);

#endif
