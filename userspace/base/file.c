/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/memory.h"

/* From where the descriptor stands (`at` negative), or from there, without moving it. */
static int read_all(int fd, off_t at, struct buffer *ret)
{
	for (;;) {
		uint8_t chunk[4096];
		ssize_t n = at < 0 ? read(fd, chunk, sizeof(chunk))
				   : pread(fd, chunk, sizeof(chunk), at);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		r = buffer_append(ret, chunk, (size_t)n);
		if (r < 0)
			return r;
		if (at >= 0)
			at += n;
	}
}

int file_read_descriptor(int fd, struct buffer *ret)
{
	return read_all(fd, -1, ret);
}

int file_read_shared(int fd, struct buffer *ret)
{
	return read_all(fd, 0, ret);
}

int file_read(const char *path, struct buffer *ret, struct error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r;

	if (fd < 0)
		return error_set_errno(e, -errno, "%s", path);
	r = file_read_descriptor(fd, ret);
	close(fd);
	if (r < 0)
		return error_set_errno(e, r, "%s", path);
	return 0;
}

int file_write_all(int fd, struct slice content)
{
	while (content.length) {
		ssize_t n = write(fd, content.data, content.length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		content = slice_from(content, (size_t)n);
	}
	return 0;
}

static int file_write_new(const char *path, struct slice content, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
	int r;

	if (fd < 0)
		return -errno;
	r = fchmod(fd, mode) < 0 ? -errno : 0;
	if (r == 0)
		r = file_write_all(fd, content);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	close(fd);
	return r;
}

int file_write(const char *path, struct slice content, mode_t mode, struct error *e)
{
	char *temporary = memory_format("%s.new", path);
	int r = file_write_new(temporary, content, mode);

	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(temporary);
		error_set_errno(e, r, "%s", path);
	}
	free(temporary);
	return r;
}

int file_make_folders(const char *path, mode_t mode, struct error *e)
{
	char *copy = memory_copy_string(path);
	int r = 0;

	for (char *p = copy + 1; r == 0; p++) {
		char end = *p;

		if (end != '/' && end != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			r = error_set_errno(e, -errno, "%s", copy);
		*p = end;
		if (end == '\0')
			break;
	}
	free(copy);
	return r;
}

int file_make_sealed(const char *name, struct slice content)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (file_write_all(fd, content) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
			0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

bool file_is_served_by_process(int fd)
{
	struct statfs s;

	return fstatfs(fd, &s) < 0 || s.f_type == FUSE_SUPER_MAGIC;
}

int file_identify(int folder, const char *name, struct stat *ret)
{
	struct statx s;

	if (statx(folder, name, AT_STATX_DONT_SYNC | AT_EMPTY_PATH, STATX_INO, &s) < 0)
		return -errno;
	*ret = (struct stat){
		.st_dev = makedev(s.stx_dev_major, s.stx_dev_minor), .st_ino = s.stx_ino};
	return 0;
}

char *file_find_program(const char *name)
{
	static const char *const folders[] = {"", "../libexec/wayleave/"};
	char own[PATH_MAX], *slash;
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (length < 0)
		return NULL;
	own[length] = '\0';
	slash = strrchr(own, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		char *path = memory_format("%s/%s%s", own, folders[i], name);

		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}
