/* SPDX-License-Identifier: Apache-2.0
 *
 * handover: the listening sockets outlive the daemon in the hands of the service manager
 * (sd_notify(3), FDSTORE=1), and the next daemon has them from its start (sd_listen_fds(3)). What
 * agents connect meanwhile waits there, instead of failing.
 */
#ifndef WAYLEAVE_MONITOR_HANDOVER_H
#define WAYLEAVE_MONITOR_HANDOVER_H

#include <stdbool.h>

#include "capture/listener.h"

struct handover {
	struct listener_inherited listeners;
	int unix_fd; /* -1: none */
};

#define HANDOVER_FIRST 3 /* SD_LISTEN_FDS_START */

/* What the manager passed to this process, in descriptors from `first` on; those that nobody here
 * knows are closed. */
void handover_take(int first, struct handover *ret);
/* Gives the manager these, in place of all that it has. False: there is no manager. */
bool handover_keep(const struct listener_set *listeners, int unix_fd);
/* Makes the manager close all that it has, which keeps a port taken, and waits for seconds until it
 * has. False: there is none. */
bool handover_forget(void);
/* Tells the manager a state, as "READY=1"; without one nothing. */
void handover_notify(const char *state);

#endif
