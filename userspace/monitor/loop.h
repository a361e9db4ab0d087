/* SPDX-License-Identifier: Apache-2.0
 *
 * loop: the monitor's poll loop (epoll). Rates are low there; what counts is that it is simple.
 */
#ifndef WAYLEAVE_MONITOR_LOOP_H
#define WAYLEAVE_MONITOR_LOOP_H

#include <stdint.h>

#include "base/list.h"

/* Embedded in its owner, which removes it before it goes. */
struct loop_source {
	int fd;
	void (*ready)(struct loop_source *source);
	void *context;
};

struct loop {
	int fd;
};

int loop_init(struct loop *l);
/* Calls `ready` whenever the descriptor can be read, or its peer is gone. */
int loop_add(struct loop *l, struct loop_source *source, int fd,
	void (*ready)(struct loop_source *source), void *context);
/* For a time nothing is heard of it; what is ready then is told when it goes on. */
void loop_pause(struct loop *l, struct loop_source *source);
void loop_go_on(struct loop *l, struct loop_source *source);
/* Before the descriptor is closed. */
void loop_remove(struct loop *l, struct loop_source *source);
/* One round, of at most `milliseconds`. A source that another one's `ready` removed is not called.
 */
int loop_turn(struct loop *l, int milliseconds);

#endif
