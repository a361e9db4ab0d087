/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/mountinfo.h"

/* On folders that we made: an admin's, or systemd's, are not ours to remove. */
#define CGROUP_MARK "user.wayleave"
#define CGROUP_NOTE "user.wayleave.note"

/* A bind mount of a part of the hierarchy is not the root. */
static bool line_is_root(char *line, char *ret_path, size_t size)
{
	struct mountinfo mount;

	return mountinfo_parse(line, &mount) && strcmp(mount.type, "cgroup2") == 0 &&
		strcmp(mount.root, "/") == 0 &&
		(size_t)snprintf(ret_path, size, "%s", mount.point) < size;
}

int cgroup_root_open(struct cgroup_root *ret, struct error *e)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	struct statfs system;
	char *line = NULL, path[PATH_MAX];
	size_t capacity = 0;
	bool found = false;
	int fd;

	if (!mounts)
		return error_set_errno(e, -errno, "/proc/self/mountinfo");
	while (!found && getline(&line, &capacity, mounts) >= 0)
		found = line_is_root(line, path, sizeof(path));
	free(line);
	fclose(mounts);
	if (!found)
		return error_set(e, -ENOENT, "no cgroup2 is mounted");
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set_errno(e, -errno, "%s", path);
	if (fstatfs(fd, &system) < 0 || system.f_type != CGROUP2_SUPER_MAGIC) {
		close(fd);
		return error_set(e, -ENOENT, "%s: something is mounted over cgroup2", path);
	}
	ret->fd = fd;
	strcpy(ret->path, path);
	return 0;
}

void cgroup_root_close(struct cgroup_root *root)
{
	close(root->fd);
	root->fd = -1;
}

static bool part_is_valid(const char *part, size_t length)
{
	if (length == 0 || length > NAME_MAX || (length == 1 && part[0] == '.') ||
		(length == 2 && part[0] == '.' && part[1] == '.'))
		return false;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)part[i] < ' ' || part[i] == 0x7f || part[i] == '"' ||
			part[i] == '\\')
			return false;
	}
	return true;
}

bool cgroup_path_is_valid(const char *path)
{
	if (strlen(path) >= CGROUP_PATH_SIZE || cgroup_path_depth(path) > CGROUP_DEPTH_MOST)
		return false;
	for (;;) {
		size_t length = strcspn(path, "/");

		if (!part_is_valid(path, length))
			return false;
		if (path[length] == '\0')
			return true;
		path += length + 1;
	}
}

unsigned cgroup_path_depth(const char *path)
{
	unsigned depth = 1;

	for (; *path; path++)
		depth += *path == '/';
	return depth;
}

bool cgroup_path_is_within(const char *inner, const char *outer)
{
	size_t length = strlen(outer);

	return strncmp(inner, outer, length) == 0 &&
		(inner[length] == '\0' || inner[length] == '/');
}

/* One part of a path, below `parent`. */
static int open_part(int parent, const char *name, bool create)
{
	bool made = create && mkdirat(parent, name, 0755) == 0;
	int fd;

	if (create && !made && errno != EEXIST)
		return -errno;
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Without the mark it only stays behind at teardown. */
	if (made)
		(void)fsetxattr(fd, CGROUP_MARK, "1", 1, 0);
	return fd;
}

int cgroup_open(
	const struct cgroup_root *root, const char *path, bool create, int *ret_fd, struct error *e)
{
	char copy[CGROUP_PATH_SIZE], *save;
	int fd = fcntl(root->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return error_set_errno(e, -errno, "cgroup");
	if (!cgroup_path_is_valid(path)) {
		close(fd);
		return error_set(e, -EINVAL, "cgroup \"%s\": not a path below the root", path);
	}
	strcpy(copy, path);
	for (char *name = strtok_r(copy, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		int next = open_part(fd, name, create);

		close(fd);
		if (next < 0)
			return error_set_errno(e, next, "cgroup %s/%s", root->path, path);
		fd = next;
	}
	*ret_fd = fd;
	return 0;
}

static int find_path(const struct cgroup_root *root, int fd, char *ret)
{
	char link[64], target[PATH_MAX];
	size_t skip = strlen(root->path);
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ret[0] = '\0';
	length = readlink(link, target, sizeof(target) - 1);
	if (length < 0)
		return -errno;
	target[length] = '\0';
	/* One that is being removed reads "… (deleted)" and can't be entered any more. */
	if (access(link, F_OK) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (strncmp(target, root->path, skip) != 0 || target[skip] != '/')
		return -ESTALE;
	return snprintf(ret, CGROUP_PATH_SIZE, "%s", target + skip + 1) < CGROUP_PATH_SIZE
		? 0
		: -ENAMETOOLONG;
}

int cgroup_open_id(const struct cgroup_root *root, uint64_t id, int *ret_fd, char *ret_path)
{
	/* FILEID_KERNFS: cgroup2 takes the id itself as a file handle (kernel 5.5). */
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + sizeof(id)];
	} name = {.handle = {.handle_bytes = sizeof(id), .handle_type = 0xfe}};
	int fd, r;

	memcpy(name.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(root->fd, &name.handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = find_path(root, fd, ret_path);
	if (r < 0)
		close(fd);
	else
		*ret_fd = fd;
	return r;
}

int cgroup_get_id(int fd, uint64_t *ret_id)
{
	struct stat s;

	if (fstat(fd, &s) < 0)
		return -errno;
	*ret_id = s.st_ino;
	return 0;
}

/* A small file of the folder. */
static int read_file(int folder, const char *name, char *ret, size_t size)
{
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	n = read(fd, ret, size - 1);
	r = n < 0 ? -errno : 0;
	close(fd);
	ret[n < 0 ? 0 : n] = '\0';
	return r;
}

int cgroup_is_populated(int fd, bool *ret)
{
	char text[256];
	int r = read_file(fd, "cgroup.events", text, sizeof(text));

	if (r == 0)
		*ret = strstr(text, "populated 0") == NULL;
	return r;
}

int cgroup_enter(int fd)
{
	int procs = openat(fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	int r;

	if (procs < 0)
		return -errno;
	r = write(procs, "0", 1) < 0 ? -errno : 0;
	close(procs);
	return r;
}

/* Those of commands that have ended. */
static void remove_runs(int folder)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	while (listing && (entry = readdir(listing))) {
		if (strncmp(entry->d_name, CGROUP_RUN_PREFIX, strlen(CGROUP_RUN_PREFIX)) == 0)
			(void)unlinkat(folder, entry->d_name, AT_REMOVEDIR);
	}
	if (listing)
		closedir(listing);
	else if (copy >= 0)
		close(copy);
}

/* -ENOENT, -EPERM where it is not ours, -EBUSY where somebody is in it. */
static int remove_one(const struct cgroup_root *root, const char *path)
{
	char mark;
	int fd, r = cgroup_open(root, path, false, &fd, NULL);

	if (r < 0)
		return r;
	if (fgetxattr(fd, CGROUP_MARK, &mark, 1) != 1)
		r = -EPERM;
	remove_runs(fd);
	close(fd);
	if (r == 0 && unlinkat(root->fd, path, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}

int cgroup_remove(const struct cgroup_root *root, const char *path)
{
	char copy[CGROUP_PATH_SIZE];
	int r;

	snprintf(copy, sizeof(copy), "%s", path);
	r = remove_one(root, copy);
	for (int outer = r; outer == 0; outer = remove_one(root, copy)) {
		char *end = strrchr(copy, '/');

		if (!end)
			break;
		*end = '\0';
	}
	return r;
}

int cgroup_write_note(const struct cgroup_root *root, const char *path, const char *note)
{
	int fd, r = cgroup_open(root, path, false, &fd, NULL);

	if (r < 0)
		return r;
	if (fsetxattr(fd, CGROUP_NOTE, note, strlen(note), 0) < 0)
		r = -errno;
	close(fd);
	return r;
}

int cgroup_read_note(const struct cgroup_root *root, const char *path, char *ret, size_t size)
{
	int fd, r = cgroup_open(root, path, false, &fd, NULL);
	ssize_t length;

	if (r < 0)
		return r;
	length = fgetxattr(fd, CGROUP_NOTE, ret, size - 1);
	if (length < 0)
		r = -errno;
	else
		ret[length] = '\0';
	close(fd);
	return r;
}

/* The line "0::/PATH" of /proc/PID/cgroup. */
static int find_unified(char *text, char *ret_path, size_t size)
{
	char *save;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, "0::/", 4) != 0)
			continue;
		if (strncmp(line, "0::/..", 6) == 0)
			return -ENODATA;
		return (size_t)snprintf(ret_path, size, "%s", line + 4) < size ? 0 : -ENAMETOOLONG;
	}
	return -ENODATA;
}

int cgroup_of_process(pid_t pid, char *ret_path, size_t size)
{
	struct buffer text;
	char file[64];
	int r;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	buffer_init(&text, 65536);
	r = file_read(file, &text, NULL);
	if (r == 0)
		r = buffer_append_byte(&text, 0);
	if (r == 0)
		r = find_unified((char *)text.data + text.start, ret_path, size);
	buffer_done(&text);
	return r;
}
