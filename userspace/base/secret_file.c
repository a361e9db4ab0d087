/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int check(int fd, const char *path, struct error *e)
{
	struct stat s;

	if (fstat(fd, &s) < 0)
		return error_set_errno(e, -errno, "%s", path);
	if (!S_ISREG(s.st_mode))
		return error_set(e, -EINVAL, "%s: expected a regular file", path);
	if (s.st_mode & (S_IROTH | S_IWOTH))
		return error_set(e, -EACCES, "%s is open to every user (mode %04o); expected 0600",
			path, s.st_mode & 07777u);
	return 0;
}

int secret_file_open(const char *path, struct error *e)
{
	/* Without waiting for the other end of a pipe, or running a device. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int r;

	if (fd < 0)
		return error_set_errno(e, -errno, "%s", path);
	r = check(fd, path, e);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* Fills `ret` as far as the file goes; the number of bytes. */
static ssize_t read_all(int fd, uint8_t *ret, size_t room)
{
	size_t length = 0;

	while (length < room) {
		ssize_t n = read(fd, ret + length, room - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	return (ssize_t)length;
}

static bool is_at_end(int fd)
{
	struct stat s;

	return fstat(fd, &s) == 0 && lseek(fd, 0, SEEK_CUR) >= s.st_size;
}

static size_t without_newline(const uint8_t *text, size_t length)
{
	if (length && text[length - 1] == '\n')
		length--;
	if (length && text[length - 1] == '\r')
		length--;
	return length;
}

int secret_file_read(
	const char *path, uint8_t *ret, size_t room, size_t *ret_length, struct error *e)
{
	int fd = secret_file_open(path, e), r = 0;
	ssize_t n;
	size_t length;

	if (fd < 0)
		return fd;
	n = read_all(fd, ret, room);
	if (n == (ssize_t)room && !is_at_end(fd))
		r = error_set(e, -E2BIG, "%s is longer than %zu bytes", path, room);
	close(fd);
	if (n < 0)
		return error_set_errno(e, (int)n, "%s", path);
	if (r < 0)
		return r;
	length = without_newline(ret, (size_t)n);
	if (length == 0)
		return error_set(e, -EINVAL, "%s is empty", path);
	if (memchr(ret, 0, length))
		return error_set(e, -EINVAL, "%s has a NUL byte in it", path);
	*ret_length = length;
	return 0;
}
