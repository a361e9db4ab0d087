/* SPDX-License-Identifier: Apache-2.0
 *
 * origin: what the kernel knows about an accepted connection (bpf/shared.h). Needs no privilege;
 * for the worker, and for the monitor, which compares it with what /proc says.
 */
#ifndef WAYLEAVE_CAPTURE_ORIGIN_H
#define WAYLEAVE_CAPTURE_ORIGIN_H

#include <stdbool.h>
#include <sys/stat.h>

#include "bpf/shared.h"

/* Asks once accept(2) has returned the socket; it stays the same for the socket's life. -ENODATA:
 * there is none, no agent's connect(2) was turned to this connection, and no rule of ours led it
 * here from an agent's interface; refuse it. */
int origin_get(int accepted_fd, struct origin *ret);

/* Whether a file, as of stat(2) on /proc/PID/exe, is the program that made the connection. stat's
 * st_dev has other bits for the same device than the kernel's s_dev, and filesystems whose stat
 * gives a device of its own (btrfs subvolumes, some overlays) never match: false means unknown. */
bool origin_is_program(const struct origin *o, const struct stat *file);

#endif
