/* SPDX-License-Identifier: Apache-2.0
 *
 * The path is walked by hand: whose a link is, and what serves a folder, has to be known before
 * either is followed.
 */
#include "monitor/trust_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"

#define LINKS_MOST 16
#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END "-----END CERTIFICATE-----"

/* --- the way there --- */

struct walk {
	int folder;
	char *rest; /* of the path */
	unsigned links;
};

static int open_root(void)
{
	int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Into a folder; takes the descriptor. */
static int enter(struct walk *w, int fd)
{
	if (fd < 0)
		return fd;
	close(w->folder);
	w->folder = fd;
	return file_is_served_by_process(fd) ? -EPERM : 0;
}

/* Both the link and the place where it stands: nobody else could have put it there. */
static bool is_of_root(const struct stat *link, int folder)
{
	struct stat s;

	return link->st_uid == 0 && fstat(folder, &s) == 0 && s.st_uid == 0 &&
		!(s.st_mode & (S_IWGRP | S_IWOTH));
}

static int follow(struct walk *w, int fd, const struct stat *link)
{
	char target[PATH_MAX], *rest;
	ssize_t n;

	if (!is_of_root(link, w->folder) || ++w->links > LINKS_MOST)
		return -ELOOP;
	n = readlinkat(fd, "", target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	rest = memory_format("%s/%s", target, w->rest);
	free(w->rest);
	w->rest = rest;
	return target[0] == '/' ? enter(w, open_root()) : 0;
}

/* What stands under the name may be another thing by now, but nothing that is waited for. */
static int open_last(const struct walk *w, const char *name)
{
	int fd = openat(w->folder, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
	struct stat s;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && !file_is_served_by_process(fd))
		return fd;
	close(fd);
	return -EPERM;
}

/* The next part of the path; 0, or what it leads to. */
static int step(struct walk *w)
{
	char *slash = strchr(w->rest, '/');
	size_t length = slash ? (size_t)(slash - w->rest) : strlen(w->rest);
	char *name = memory_copy_text(w->rest, length);
	struct stat s;
	int fd, r;

	memmove(w->rest, w->rest + length + (slash != NULL),
		strlen(w->rest + length + (slash != NULL)) + 1);
	fd = openat(w->folder, length ? name : ".", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 || fstat(fd, &s) < 0 ? -errno : 0;
	if (r == 0 && S_ISDIR(s.st_mode)) {
		r = enter(w, fd);
		fd = -1;
	} else if (r == 0 && S_ISLNK(s.st_mode)) {
		r = follow(w, fd, &s);
	} else if (r == 0) {
		r = !S_ISREG(s.st_mode) ? -EPERM : *w->rest ? -ENOTDIR : open_last(w, name);
	}
	if (fd >= 0)
		close(fd);
	free(name);
	return r;
}

int trust_file_open(const char *path)
{
	struct walk w = {.folder = open_root(), .rest = memory_copy_string(path)};
	int r = w.folder < 0 ? w.folder : 0;

	while (r == 0)
		r = *w.rest ? step(&w) : -EISDIR;
	if (w.folder >= 0)
		close(w.folder);
	free(w.rest);
	return r;
}

/* --- what is in it --- */

static const uint8_t *find(struct slice text, const char *words)
{
	return text.length ? memmem(text.data, text.length, words, strlen(words)) : NULL;
}

/* Base64 in lines: what stands between two lines that belong to no certificate isn't. */
static bool is_base64(struct slice s)
{
	for (size_t i = 0; i < s.length; i++) {
		if (!s.data[i] ||
			!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				"0123456789+/=\r\n\t ",
				s.data[i]))
			return false;
	}
	return true;
}

int trust_file_take_certificates(struct slice text, struct buffer *ret)
{
	const uint8_t *begin, *end;
	int r = -ENOMSG;

	while ((begin = find(text, BEGIN))) {
		text = slice_from(text, (size_t)(begin - text.data) + strlen(BEGIN));
		end = find(text, END);
		if (!end)
			break;
		if (!is_base64(slice_head(text, (size_t)(end - text.data))))
			continue;
		r = buffer_append(ret, begin, (size_t)(end - begin) + strlen(END));
		if (r == 0)
			r = buffer_append_byte(ret, '\n');
		if (r < 0)
			break;
		text = slice_from(text, (size_t)(end - text.data) + strlen(END));
	}
	return r;
}
