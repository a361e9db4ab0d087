/* SPDX-License-Identifier: Apache-2.0
 *
 * mountinfo: the lines of /proc/PID/mountinfo (proc(5)).
 */
#ifndef WAYLEAVE_BASE_MOUNTINFO_H
#define WAYLEAVE_BASE_MOUNTINFO_H

#include <stdbool.h>

struct mountinfo {
	const char *device; /* "8:1", of its files */
	const char *root; /* what of the filesystem is mounted: "/" = all of it */
	const char *point; /* where */
	const char *type; /* filesystem */
	const char *source; /* as mount(8) was told: a device, a server, a map of autofs */
};

/* Takes a line apart in place; the texts point into it. False for anything else. */
bool mountinfo_parse(char *line, struct mountinfo *ret);

#endif
