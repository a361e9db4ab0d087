/* SPDX-License-Identifier: Apache-2.0
 *
 * guard_watch: notices that somebody removed the guard's table, as "nft flush ruleset" in another
 * service's start script does, or changed what is in it.
 */
#ifndef WAYLEAVE_CAPTURE_GUARD_WATCH_H
#define WAYLEAVE_CAPTURE_GUARD_WATCH_H

#include <stdbool.h>

#include "base/error.h"

struct mnl_socket;

struct guard_watch {
	struct mnl_socket *events;
	char table[64];
};

/* Of the table "inet wayleave_NAME", and the one that fills its queue. */
int guard_watch_open(struct guard_watch *ret, const char *name, struct error *e);
/* Also of one that was never opened, if it is zeroed. */
void guard_watch_close(struct guard_watch *w);
/* To poll for reading. */
int guard_watch_descriptor(const struct guard_watch *w);

/* After poll. Whether anything in it, or all of it, may be another than at the last call, or is
 * gone: look whether it is what was. Also where that was our own doing (guard_take_shape()).
 * Doesn't block. */
bool guard_watch_read(struct guard_watch *w);

#endif
