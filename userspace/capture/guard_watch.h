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

/* Of the table "inet wayleave_NAME". */
int guard_watch_open(struct guard_watch *ret, const char *name, struct error *e);
/* Also of one that was never opened, if it is zeroed. */
void guard_watch_close(struct guard_watch *w);
/* To poll for reading. */
int guard_watch_descriptor(const struct guard_watch *w);
enum guard_news { GUARD_NO_NEWS, GUARD_CHANGED, GUARD_GONE };

/* After poll. GUARD_GONE where the table is gone, or events were lost, so that it may be: load it
 * again. GUARD_CHANGED where something in it, or all of it, is another: also after it was loaded,
 * so look whether it is what was. Doesn't block. */
enum guard_news guard_watch_read(struct guard_watch *w);
/* The same for who does not ask what is in it. True where the table is gone, or events were lost,
 * so that it may be: load it again. Loading it is an event too, after which this is false. Doesn't
 * block. */
bool guard_watch_is_gone(struct guard_watch *w);

#endif
