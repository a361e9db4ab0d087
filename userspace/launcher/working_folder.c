/* SPDX-License-Identifier: Apache-2.0
 *
 * working_folder: looked up again by its path, once the mounts are what the command is to see. Who
 * starts the launcher may put anything at that path meanwhile, by renaming what is there. A link
 * would lead where only root gets, and one of /proc (PID/root, PID/cwd) out of the mount namespace,
 * to the very same folder; so no links are followed. getcwd(2) names none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "launcher/launcher.h"

int working_folder_find(struct working_folder *ret)
{
	if (!getcwd(ret->path, sizeof(ret->path)))
		return -errno;
	/* Elsewhere than below the root, Linux names it "(unreachable)/…". */
	if (ret->path[0] != '/')
		return -ENOENT;
	return stat(".", &ret->s) < 0 ? -errno : 0;
}

static bool is_it(
	const struct working_folder *f, const struct stat *now, const dev_t *covers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (now->st_dev == covers[i])
			return true;
	}
	return now->st_dev == f->s.st_dev && now->st_ino == f->s.st_ino;
}

/* What is entered is what was looked at. */
static bool try_enter(const struct working_folder *f, const dev_t *covers, size_t count)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS, /* with those of /proc */
	};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, f->path, &how, sizeof(how));
	struct stat now;
	bool entered;

	if (fd < 0)
		return false;
	entered = fstat(fd, &now) == 0 && is_it(f, &now, covers, count) && fchdir(fd) == 0;
	close(fd);
	return entered;
}

/* As the caller, whom alone a filesystem may let in; as root, where the caller was put into a
 * folder that it could not enter by itself. */
int working_folder_enter(const struct working_folder *f, const dev_t *covers, size_t count,
	const struct caller *c, bool *ret_entered, struct error *e)
{
	int r = caller_become(c, e);
	bool entered;

	if (r < 0)
		return r;
	entered = try_enter(f, covers, count);
	r = caller_leave(e);
	if (r < 0)
		return r;
	*ret_entered = entered || try_enter(f, covers, count);
	return 0;
}
