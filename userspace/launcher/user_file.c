/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/user_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

int user_file_begin(const struct run_plan *plan, const struct caller *c, struct caller *ret_user,
	struct error *e)
{
	bool keeps = plan->flags & RUN_PLAN_KEEP_USER;

	*ret_user = keeps ? *c : (struct caller){plan->uid, plan->gid};
	if (!keeps && setgroups(plan->group_count, plan->groups) < 0)
		return error_set_errno(e, -errno, "the groups of %s", plan->user);
	return 0;
}

const char *user_file_home(char *const *environment, const struct run_plan *plan)
{
	return plan->flags & RUN_PLAN_KEEP_USER ? environment_get(environment, "HOME") : plan->home;
}

static bool read_all(int fd, struct buffer *ret)
{
	uint8_t *space;
	ssize_t n;

	do {
		if (buffer_reserve(ret, 4096, &space) < 0)
			return false;
		n = read(fd, space, 4096);
		if (n > 0)
			buffer_commit(ret, (size_t)n);
	} while (n > 0);
	return n == 0;
}

/* As the user. */
static bool look(const char *folder, const char *name, struct user_file *f)
{
	f->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	f->fd = f->folder < 0 ? -1 : openat(f->folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return f->fd >= 0 && fstat(f->fd, &f->s) == 0 && S_ISREG(f->s.st_mode) &&
		f->s.st_size <= USER_FILE_MOST && read_all(f->fd, &f->content);
}

int user_file_find(const struct caller *user, const char *path, struct user_file *ret,
	bool *ret_there, struct error *e)
{
	char *folder = memory_copy_string(path), *slash = strrchr(folder, '/');
	int r = caller_become(user, e);

	*ret = (struct user_file){.folder = -1, .fd = -1};
	buffer_init(&ret->content, USER_FILE_MOST + 4096);
	*ret_there = false;
	if (r == 0 && slash && slash[1]) {
		*slash = '\0';
		*ret_there = look(*folder ? folder : "/", slash + 1, ret);
	}
	free(folder);
	return r < 0 ? r : caller_leave(e);
}

void user_file_done(struct user_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->folder >= 0)
		close(f->folder);
	buffer_wipe(&f->content);
}

const char *user_file_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

/* "/home/x/.kube/config" */
bool user_file_is_in(const char *path, const char *own, const struct user_file *f)
{
	size_t length = (size_t)(user_file_name(path) - path), wanted = strlen(own);
	struct stat s;

	return length >= wanted && strncmp(path + length - wanted, own, wanted) == 0 &&
		fstatat(f->folder, user_file_name(path), &s, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(s.st_mode);
}

/* Of the folder itself, wherever links have led: what is below a link in `own` is anything. */
bool user_file_is_below(const char *path, const char *own, const struct user_file *f)
{
	char link[64], folder[PATH_MAX];
	struct stat s;
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->folder);
	length = readlink(link, folder, sizeof(folder) - 1);
	if (length <= 0 || length >= (ssize_t)sizeof(folder) - 1)
		return false;
	folder[length++] = '/';
	folder[length] = '\0';
	return strstr(folder, own) &&
		fstatat(f->folder, user_file_name(path), &s, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(s.st_mode);
}

bool user_file_can_cover(const struct user_file *f)
{
	struct stat s;

	return fstat(f->folder, &s) == 0 || (errno != EACCES && errno != EPERM);
}

bool user_file_can_list(const struct user_file *f)
{
	return faccessat(f->folder, ".", R_OK | X_OK, AT_EACCESS) == 0;
}
