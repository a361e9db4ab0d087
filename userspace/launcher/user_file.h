/* SPDX-License-Identifier: Apache-2.0
 *
 * user_file: a file of the command's user that the command is to see changed. It is opened as the
 * user, and what is on disk stays as it is. A folder that is the file's own ("~/.kube") becomes a
 * snapshot in which the file is an ordinary one, so that it can be written anew by rename;
 * elsewhere, what the command makes beside it is to be found there later, so a mount is put on the
 * file.
 */
#ifndef WAYLEAVE_LAUNCHER_USER_FILE_H
#define WAYLEAVE_LAUNCHER_USER_FILE_H

#include <sys/stat.h>

#include "base/buffer.h"
#include "launcher/launcher.h"
#include "launcher/snapshot.h"

#define USER_FILE_MOST (1u << 20)

struct user_file {
	int folder, fd; /* -1: there is none, or not for the user */
	struct stat s;
	struct buffer content;
};

/* Whose the files are: the plan's user, with the groups that the command gets, which the process
 * has from here on. */
int user_file_begin(const struct run_plan *plan, const struct caller *c, struct caller *ret_user,
	struct error *e);
/* The user's home, in `environment` or in the plan; NULL: there is none. */
const char *user_file_home(char *const *environment, const struct run_plan *plan);
/* Opens and reads an absolute path. True in `ret_there` where there is an ordinary file that is not
 * too large; user_file_done() is needed in any case. */
int user_file_find(const struct caller *user, const char *path, struct user_file *ret,
	bool *ret_there, struct error *e);
void user_file_done(struct user_file *f);

/* A filesystem may let its user in and not root (FUSE), or take root for anybody (NFS). What is in
 * such a folder stays as it is. */
bool user_file_can_cover(const struct user_file *f);
/* Where it doesn't let root list it, it can't become a snapshot. */
bool user_file_can_list(const struct user_file *f);
/* Whether it is an ordinary file in a folder of its own: `own`, as "/.kube/". */
bool user_file_is_in(const char *path, const char *own, const struct user_file *f);
/* Or in a folder below one of that name, by the path without links. */
bool user_file_is_below(const char *path, const char *own, const struct user_file *f);
/* What a copy of it is to be like. */
static inline struct snapshot_like user_file_like(const struct user_file *f)
{
	return (struct snapshot_like){f->s, f->fd};
}
const char *user_file_name(const char *path); /* behind the last slash */

#endif
