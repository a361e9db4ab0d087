/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/unix_server.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
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

char *unix_server_other_name(const char *path)
{
	static const char old[] = "/var/run/", new[] = "/run/";

	if (strncmp(path, old, strlen(old)) == 0)
		return memory_format("%s%s", new, path + strlen(old));
	if (strncmp(path, new, strlen(new)) == 0)
		return memory_format("%s%s", old, path + strlen(new));
	return NULL;
}
