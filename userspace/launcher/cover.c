/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/cover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

bool cover_is_missing(int error)
{
	return error == -ENOENT || error == -ENOTDIR;
}

int cover_put(int mount_fd, int place_fd)
{
	return move_mount(mount_fd, "", place_fd, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
		? -errno
		: 0;
}

static int set_read_only(int mount_fd, unsigned flags)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};

	return mount_setattr(mount_fd, "", AT_EMPTY_PATH | flags, &attributes, sizeof(attributes)) <
			0
		? -errno
		: 0;
}

static int set_option(int context, const char *name, const char *format, unsigned value)
{
	char text[16];

	snprintf(text, sizeof(text), format, value);
	return fsconfig(context, FSCONFIG_SET_STRING, name, text, 0) < 0 ? -errno : 0;
}

int cover_new_filesystem(const struct stat *like, const char *size)
{
	int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd, r;

	if (context < 0)
		return -errno;
	r = set_option(context, "mode", "%o", like->st_mode & 07777u);
	if (r == 0)
		r = set_option(context, "uid", "%u", like->st_uid);
	if (r == 0)
		r = set_option(context, "gid", "%u", like->st_gid);
	if (r == 0 &&
		(fsconfig(context, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
			fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0))
		r = -errno;
	if (r < 0) {
		close(context);
		return r;
	}
	fd = fsmount(
		context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	r = fd < 0 ? -errno : fd;
	close(context);
	return r;
}

/* The path behind `folder`, or NULL where it is not inside. */
static const char *path_inside(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	while (length > 1 && folder[length - 1] == '/')
		length--;
	return strncmp(path, folder, length) == 0 && path[length] == '/' && path[length + 1]
		? path + length + 1
		: NULL;
}

/* The file or folder that a shown path is put on, with the folders on the way. */
static int make_place(int root, const char *path, bool is_folder)
{
	char part[PATH_MAX];
	int fd;

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdirat(root, part, 0755) < 0 && errno != EEXIST)
			return -errno;
	}
	if (is_folder)
		return mkdirat(root, path, 0755) < 0 && errno != EEXIST ? -errno : 0;
	fd = openat(root, path, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int make_places(
	int root, const char *folder, const struct run_plan *plan, const struct shown *shown)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->shown_count; i++) {
		const char *inside = path_inside(plan->shown[i].target, folder);

		if (inside && shown[i].tree >= 0)
			r = make_place(root, inside, shown[i].is_folder);
	}
	return r;
}

static int hide_folder(
	int place, const char *path, const struct run_plan *plan, const struct shown *shown)
{
	static const struct stat like = {.st_mode = 0755};
	int fd = cover_new_filesystem(&like, "64k");
	int r;

	if (fd < 0)
		return fd;
	r = make_places(fd, path, plan, shown);
	if (r == 0)
		r = set_read_only(fd, 0);
	if (r == 0)
		r = cover_put(fd, place);
	close(fd);
	return r;
}

static int hide_file(int place)
{
	int fd = open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int r = fd < 0 ? -errno : cover_put(fd, place);

	if (fd >= 0)
		close(fd);
	return r;
}

int cover_hide(const char *path, const struct run_plan *plan, const struct shown *shown)
{
	int place = open(path, O_PATH | O_CLOEXEC);
	struct stat s;
	int r;

	if (place < 0)
		return cover_is_missing(-errno) ? 0 : -errno;
	if (fstat(place, &s) < 0)
		r = -errno;
	else if (S_ISDIR(s.st_mode))
		r = hide_folder(place, path, plan, shown);
	else
		r = hide_file(place);
	close(place);
	return r;
}

int cover_read_only(const char *path)
{
	int place = open(path, O_PATH | O_CLOEXEC);
	int tree, r;

	if (place < 0)
		return cover_is_missing(-errno) ? 0 : -errno;
	tree = open_tree(
		place, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	r = tree < 0 ? -errno : set_read_only(tree, AT_RECURSIVE);
	if (r == 0)
		r = cover_put(tree, place);
	if (tree >= 0)
		close(tree);
	close(place);
	return r;
}
