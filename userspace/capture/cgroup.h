/* SPDX-License-Identifier: Apache-2.0
 *
 * cgroup: folders of the unified hierarchy (cgroup2), wherever it is mounted: at /sys/fs/cgroup, or
 * at /sys/fs/cgroup/unified beside version 1. A path is relative to its root, without a leading
 * slash ("wayleave.slice/claude-ci"), an id is the kernel's (64 bits, the folder's inode number).
 * Errors are negative errno with a sentence in `e`, which may be NULL.
 */
#ifndef WAYLEAVE_CAPTURE_CGROUP_H
#define WAYLEAVE_CAPTURE_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

#define CGROUP_PATH_SIZE 1024 /* bytes of a relative path, the NUL included */
#define CGROUP_DEPTH_MOST 32 /* folders of a relative path */

struct cgroup_root {
	int fd; /* the root folder */
	char path[PATH_MAX]; /* where it is mounted */
};

/* Finds the mount in /proc/self/mountinfo. -ENOENT where there is none. */
int cgroup_root_open(struct cgroup_root *ret, struct error *e);
void cgroup_root_close(struct cgroup_root *root);

/* Whether it is a clean relative path that nft can be given too: no empty part, "." or "..", no
 * quote, no control character. */
bool cgroup_path_is_valid(const char *path);
/* Number of folders. */
unsigned cgroup_path_depth(const char *path);
/* Whether `inner` is `outer` or below it. */
bool cgroup_path_is_within(const char *inner, const char *outer);

/* Opens the folder (the caller closes); all that is missing is created where `create`, and marked,
 * so that cgroup_remove() knows it. */
int cgroup_open(const struct cgroup_root *root, const char *path, bool create, int *ret_fd,
	struct error *e);
/* By id; -ESTALE where there is none (any more) below the root: after another error it may be
 * there. ret_path has CGROUP_PATH_SIZE bytes. -ENAMETOOLONG: it has as much of the path as is
 * known; whoever may make cgroups makes such. */
int cgroup_open_id(const struct cgroup_root *root, uint64_t id, int *ret_fd, char *ret_path);
int cgroup_get_id(int fd, uint64_t *ret_id);
/* Whether a process is in it or below it. */
int cgroup_is_populated(int fd, bool *ret);
/* Moves the calling process (all its threads) there. */
int cgroup_enter(int fd);
/* What is made for one command in an agent's cgroup begins so (runs.h). */
#define CGROUP_RUN_PREFIX "wayleave-run-"

/* Removes the folder, the empty ones of commands in it, and its parents, as far as cgroup_open()
 * made them and nothing is in them. What became of the folder itself: 0, -ENOENT, -EPERM where
 * somebody else made it, -EBUSY where something is in it. */
int cgroup_remove(const struct cgroup_root *root, const char *path);
/* A text that stays with a folder as long as it exists. */
int cgroup_write_note(const struct cgroup_root *root, const char *path, const char *note);
/* -ENODATA where it has none; at most size - 1 bytes, then a NUL. */
int cgroup_read_note(const struct cgroup_root *root, const char *path, char *ret, size_t size);
/* The path of a process's cgroup. -ENODATA where it is outside what is mounted. */
int cgroup_of_process(pid_t pid, char *ret_path, size_t size);

#endif
