/* SPDX-License-Identifier: Apache-2.0
 *
 * suspensions: agents whose every action root has stopped. Kept across restarts, also of agents
 * that are not configured now.
 */
#ifndef WAYLEAVE_MONITOR_SUSPENSIONS_H
#define WAYLEAVE_MONITOR_SUSPENSIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct monitor;

struct suspensions {
	char **names;
	size_t count;
};

int suspensions_load(struct monitor *m, struct error *e);
void suspensions_done(struct suspensions *all);
bool suspensions_has(const struct suspensions *all, const char *name);

#endif
