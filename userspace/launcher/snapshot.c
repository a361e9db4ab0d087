/* SPDX-License-Identifier: Apache-2.0 */
#include "launcher/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "launcher/cover.h"

#define LIST "system.posix_acl_access"
#define ACCESS_LIST_MOST 65536 /* XATTR_SIZE_MAX */
#define SIZE "16m" /* of what is made in it; what it shows is elsewhere */

static int copy_link(int folder, int copy, const char *name)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(folder, name, target, sizeof(target) - 1);

	if (length < 0)
		return -errno;
	target[length] = '\0';
	return symlinkat(target, copy, name) < 0 ? -errno : 0;
}

static int make_place(int copy, const char *name, bool is_folder)
{
	int fd;

	if (is_folder)
		return mkdirat(copy, name, 0755) < 0 ? -errno : 0;
	fd = openat(copy, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* With what is mounted on it, and below. */
static int copy_mount(int folder, int copy, const char *name, bool is_folder)
{
	int tree = open_tree(folder, name,
		AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | OPEN_TREE_CLONE |
			OPEN_TREE_CLOEXEC);
	int r;

	if (tree < 0)
		return -errno;
	r = make_place(copy, name, is_folder);
	if (r == 0 && move_mount(tree, "", copy, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = -errno;
	close(tree);
	return r;
}

static bool is_named(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

bool snapshot_has(const struct snapshot_choice *choice, const char *name, mode_t mode)
{
	const char *prefix = choice->without_prefix;

	if (is_named(name, choice->with, choice->with_count))
		return true;
	if (is_named(name, choice->without, choice->without_count) ||
		(prefix && strncmp(name, prefix, strlen(prefix)) == 0))
		return false;
	return !choice->files_alone || S_ISREG(mode) || S_ISLNK(mode);
}

static int copy_entry(int folder, int copy, const char *name, const struct snapshot_choice *choice)
{
	struct stat s;

	if (fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
		return -errno;
	if (!snapshot_has(choice, name, s.st_mode))
		return 0;
	return S_ISLNK(s.st_mode) ? copy_link(folder, copy, name)
				  : copy_mount(folder, copy, name, S_ISDIR(s.st_mode));
}

/* An entry that can't be shown (it went away meanwhile, or its filesystem lets only its user in)
 * stays away: that is the safe side. */
static int copy_entries(int folder, int copy, const struct snapshot_choice *choice)
{
	int listed = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = listed < 0 ? NULL : fdopendir(listed);
	struct dirent *entry;

	if (!listing)
		return -errno;
	while ((entry = readdir(listing))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)copy_entry(folder, copy, entry->d_name, choice);
	}
	closedir(listing);
	return 0;
}

/* Descriptors of a path alone will do. A mode says for a group what the list says at most for
 * anybody in it; so without its list a copy would let in others. */
static int copy_access_list(int from, int to)
{
	char source[64], target[64], list[ACCESS_LIST_MOST];
	ssize_t length;

	snprintf(source, sizeof(source), "/proc/self/fd/%d", from);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", to);
	length = getxattr(source, LIST, list, sizeof(list));
	if (length < 0)
		return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
	return setxattr(target, LIST, list, (size_t)length, 0) < 0 ? -errno : 0;
}

/* A new filesystem over the folder; a descriptor of it, or negative errno. */
static int put_empty(int folder)
{
	struct stat like;
	int copy, r;

	if (fstat(folder, &like) < 0)
		return -errno;
	copy = cover_new_filesystem(&like, SIZE);
	if (copy < 0)
		return copy;
	r = cover_put(copy, folder);
	if (r == 0)
		return copy;
	close(copy);
	return r;
}

/* Mounts can only be put into what has its place already, so the new filesystem goes over the
 * folder first, and is filled from the descriptor that still leads to what it covers. */
int snapshot_put_at(int folder, const struct snapshot_choice *choice)
{
	int copy = put_empty(folder), r;

	if (copy < 0)
		return copy;
	r = copy_entries(folder, copy, choice);
	if (r == 0)
		r = copy_access_list(folder, copy);
	close(copy);
	return r;
}

static int write_file(
	int folder, const char *name, const struct snapshot_like *like, struct slice content)
{
	int fd = openat(folder, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600), r = 0;

	if (fd < 0)
		return -errno;
	while (r == 0 && content.length) {
		ssize_t n = write(fd, content.data, content.length);

		if (n < 0)
			r = -errno;
		else
			content = slice_from(content, (size_t)n);
	}
	if (r == 0 &&
		(fchown(fd, like->s.st_uid, like->s.st_gid) < 0 ||
			fchmod(fd, like->s.st_mode & 07777u) < 0))
		r = -errno;
	if (r == 0 && like->list >= 0)
		r = copy_access_list(like->list, fd);
	close(fd);
	return r;
}

int snapshot_put_with(int folder, const char *name, const struct snapshot_like *like,
	struct slice content, dev_t *ret_device)
{
	const struct snapshot_choice others = {.without = &name, .without_count = 1};
	int copy = put_empty(folder), r;
	struct stat made;

	if (copy < 0)
		return copy;
	r = copy_entries(folder, copy, &others);
	if (r == 0)
		r = write_file(copy, name, like, content);
	/* At last, as it need not let root in. */
	if (r == 0)
		r = copy_access_list(folder, copy);
	if (r == 0 && fstat(copy, &made) < 0)
		r = -errno;
	if (r == 0)
		*ret_device = made.st_dev;
	close(copy);
	return r;
}

/* Over a mount nothing can be renamed. It is none where the file was made so before. */
int snapshot_put_in(
	int folder, const char *name, const struct snapshot_like *like, struct slice content)
{
	char path[64 + NAME_MAX];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", folder, name);
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL)
		return -errno;
	if (unlinkat(folder, name, 0) < 0)
		return -errno;
	return write_file(folder, name, like, content);
}

/* Only what is mounted somewhere can be mounted elsewhere: for a moment it covers the folder. */
int snapshot_put_on(int folder, int file, const struct snapshot_like *like, struct slice content)
{
	static const char name[] = "file";
	int copy = put_empty(folder), tree = -1, r;
	char path[64];

	if (copy < 0)
		return copy;
	r = write_file(copy, name, like, content);
	if (r == 0) {
		tree = open_tree(copy, name, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
		r = tree < 0 ? -errno : 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
	if (umount2(path, MNT_DETACH) < 0 && r == 0)
		r = -errno;
	close(copy);
	if (r == 0)
		r = cover_put(tree, file);
	if (tree >= 0)
		close(tree);
	return r;
}

int snapshot_put(const char *path, const struct snapshot_choice *choice)
{
	int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (folder < 0)
		return cover_is_missing(-errno) ? 0 : -errno;
	r = snapshot_put_at(folder, choice);
	close(folder);
	return r;
}

int snapshot_make_file(const char *path)
{
	static const struct snapshot_choice all = {.without_count = 0};
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	int fd, r;

	if (access(path, F_OK) == 0 || !slash || slash == path ||
		(size_t)(slash - path) >= sizeof(folder))
		return 0;
	memcpy(folder, path, (size_t)(slash - path));
	folder[slash - path] = '\0';
	r = snapshot_put(folder, &all);
	if (r < 0)
		return r;
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return cover_is_missing(-errno) ? 0 : -errno;
	r = make_place(fd, slash + 1, false);
	close(fd);
	return r;
}
