/* SPDX-License-Identifier: Apache-2.0
 *
 * snapshot: a folder with what it has now. Sockets of those who would start processes outside the
 * agent can't just be covered: a socket that its owner makes anew, or that was not there yet, would
 * be seen, since a mount goes with the file that it was put on.
 */
#ifndef WAYLEAVE_LAUNCHER_SNAPSHOT_H
#define WAYLEAVE_LAUNCHER_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/slice.h"

/* The owner and mode that a file gets, and of what it gets the access list (acl(5)): a descriptor,
 * or -1 for none. */
struct snapshot_like {
	struct stat s;
	int list;
};

/* Which entries of a folder are left out. */
struct snapshot_choice {
	const char *const *without; /* by their names */
	size_t without_count;
	const char *without_prefix; /* all whose names begin so; NULL = none */
	bool files_alone; /* all but ordinary files and links */
	/* These stay, whatever the others say. */
	const char *const *with;
	size_t with_count;
};

/* Whether an entry of that name and st_mode is there. */
bool snapshot_has(const struct snapshot_choice *choice, const char *name, mode_t mode);

/* Puts a new filesystem over the folder, with its owner, mode and access list, in which its
 * entries are mounted, but for those that `choice` leaves out. Folders among them stay what they
 * are outside; what comes into this one later, on either side, is not seen on the other. A path
 * that is no folder is no error. */
int snapshot_put(const char *path, const struct snapshot_choice *choice);
/* The same for the folder that a path descriptor leads to. */
int snapshot_put_at(int folder, const struct snapshot_choice *choice);

/* The same for what a path descriptor leads to, but for one entry, which is an ordinary file there:
 * with this content, and what `like` says. *ret_device is the new filesystem's. */
int snapshot_put_with(int folder, const char *name, const struct snapshot_like *like,
	struct slice content, dev_t *ret_device);
/* One more such entry, where the descriptor leads to a snapshot that was made so. */
int snapshot_put_in(
	int folder, const char *name, const struct snapshot_like *like, struct slice content);
/* Such a file on the one that a descriptor leads to, which is in `folder`. */
int snapshot_put_on(int folder, int file, const struct snapshot_like *like, struct slice content);

/* An empty file at that path, for a mount to be put on, where nothing is there: its folder becomes
 * a snapshot that has it, and what is on disk stays as it is. Nothing is done where the folder is
 * missing too. */
int snapshot_make_file(const char *path);

#endif
