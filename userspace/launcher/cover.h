/* SPDX-License-Identifier: Apache-2.0
 *
 * cover: mounts over paths, so that a command sees something else there. Every new mount is made
 * complete, read-only included, before it is put in its place.
 */
#ifndef WAYLEAVE_LAUNCHER_COVER_H
#define WAYLEAVE_LAUNCHER_COVER_H

#include <stdbool.h>
#include <sys/stat.h>

#include "monitor/run_plan.h"

/* One of the plan's shown paths: a mount of its source that waits for its place. */
struct shown {
	int tree; /* descriptor; -1 = there is no such source */
	bool is_folder;
};

/* A folder looks empty but for what is shown inside it (`shown` has an entry for each of the
 * plan's), a file is /dev/null. A path that is missing is no error. */
int cover_hide(const char *path, const struct run_plan *plan, const struct shown *shown);
/* The path and all that is mounted below it can't be written. A missing one is no error. */
int cover_read_only(const char *path);
/* A descriptor of an empty filesystem, mounted nowhere yet, whose root has the owner and mode of
 * `like` and that takes `size` ("64k") of memory at most; or a negative errno. */
int cover_new_filesystem(const struct stat *like, const char *size);
/* Puts a detached mount onto what a path descriptor leads to. */
int cover_put(int mount_fd, int place_fd);
/* Whether an error of opening a path means that nothing is there. */
bool cover_is_missing(int error);

#endif
