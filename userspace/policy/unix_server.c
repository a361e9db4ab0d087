/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/unix_server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/sha256.h"

#define LINKS_MOST 40 /* as many as the kernel follows */

struct unix_server unix_server_of(struct slice path)
{
	uint8_t digest[SHA256_SIZE];
	struct unix_server ret;
	struct sha256 hash;

	sha256_begin(&hash);
	sha256_add(&hash, path);
	sha256_get(&hash, digest);
	memcpy(ret.digest, digest, sizeof(ret.digest));
	return ret;
}

char *unix_server_place(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = memory_format("%.*s", (int)(slash - path), path), *real, *ret;

	real = realpath(*folder ? folder : "/", NULL);
	ret = real ? memory_format("%s%s", strcmp(real, "/") == 0 ? "" : real, slash) : NULL;
	free(folder);
	free(real);
	return ret;
}

/* What a link says, as an absolute path; NULL: it is none. */
static char *read_link(const char *path)
{
	const char *slash = strrchr(path, '/');
	char text[PATH_MAX];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	if (n <= 0)
		return NULL;
	text[n] = '\0';
	return *text == '/' ? memory_copy_string(text)
			    : memory_format("%.*s%s", (int)(slash + 1 - path), path, text);
}

char *unix_server_target(const char *path)
{
	char *real = realpath(path, NULL), *next;

	if (real)
		return real;
	/* The server that makes it may start later. */
	real = unix_server_place(path);
	if (!real)
		return memory_copy_string(path);
	for (unsigned i = 0; i < LINKS_MOST && (next = read_link(real)); i++) {
		free(real);
		real = unix_server_place(next);
		if (!real)
			return next;
		free(next);
	}
	return real;
}

/* --- following links --- */

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

int unix_server_open(const char *path, int *ret_fd, char **ret_link)
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

char *unix_server_other_name(const char *path)
{
	static const char old[] = "/var/run/", new[] = "/run/";

	if (strncmp(path, old, strlen(old)) == 0)
		return memory_format("%s%s", new, path + strlen(old));
	if (strncmp(path, new, strlen(new)) == 0)
		return memory_format("%s%s", old, path + strlen(new));
	return NULL;
}
