/* SPDX-License-Identifier: Apache-2.0 */
#include "base/host_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"

#define LINKS_MOST 40 /* as many as the kernel follows */

bool host_path_is_plain(const char *path)
{
	if (*path != '/')
		return false;
	while (*path) {
		size_t length = strcspn(++path, "/");

		if (length == 0 || (length <= 2 && strncmp(path, "..", length) == 0))
			return false;
		path += length;
	}
	return true;
}

/* A way that is gone: the folder where it is, and what is left of it. */
struct way {
	int folder;
	char *left;
	unsigned links;
};

static int enter(struct way *w, int fd)
{
	if (fd < 0)
		return -errno;
	if (w->folder >= 0)
		close(w->folder);
	w->folder = fd;
	return 0;
}

static bool is_roots_alone(int folder, const struct stat *link)
{
	struct stat s;

	return link->st_uid == 0 && fstat(folder, &s) == 0 && s.st_uid == 0 &&
		(!(s.st_mode & (S_IWGRP | S_IWOTH)) || (s.st_mode & S_ISVTX));
}

/* What it says comes before what is left. */
static int follow(struct way *w, int link, const struct stat *s)
{
	char text[PATH_MAX], *left;
	ssize_t n;

	if (!is_roots_alone(w->folder, s) || ++w->links > LINKS_MOST)
		return -ELOOP;
	n = readlinkat(link, "", text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	left = memory_format("%.*s/%s", (int)n, text, w->left);
	free(w->left);
	w->left = left;
	return *text == '/' ? enter(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)) : 0;
}

/* One part of the way. 1: that was the last. */
static int step(struct way *w, char **ret_link)
{
	const char *begin = w->left + strspn(w->left, "/");
	size_t length = strcspn(begin, "/");
	char *name = memory_format("%.*s", (int)length, begin);
	struct stat s;
	int fd = -1, r = length == 0;

	if (r == 0) {
		memmove(w->left, begin + length, strlen(begin + length) + 1);
		fd = openat(w->folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 || fstat(fd, &s) < 0 ? -errno : 0;
	}
	if (r == 0 && S_ISLNK(s.st_mode)) {
		r = follow(w, fd, &s);
		if (r == -ELOOP && ret_link) {
			*ret_link = name;
			name = NULL;
		}
		close(fd);
	} else if (r == 0) {
		r = enter(w, fd);
	} else if (fd >= 0) {
		close(fd);
	}
	free(name);
	return r;
}

int host_path_open(const char *path, int *ret_fd, char **ret_link)
{
	struct way w = {.folder = -1, .left = memory_copy_string(path)};
	int r = enter(&w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));

	while (r == 0)
		r = step(&w, ret_link);
	free(w.left);
	if (r < 0) {
		if (w.folder >= 0)
			close(w.folder);
		return r;
	}
	*ret_fd = w.folder;
	return 0;
}
