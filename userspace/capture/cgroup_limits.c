/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/cgroup_limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define CONTROLLERS_MOST 4096 /* bytes of their names */

static const struct controller {
	enum cgroup_controller bit;
	const char *name;
	const char *file;
} controllers[] = {
	{CGROUP_MEMORY, "memory", "memory.max"},
	{CGROUP_PIDS, "pids", "pids.max"},
};

static int write_file(int folder, const char *name, const char *text, struct error *e)
{
	int fd = openat(folder, name, O_WRONLY | O_TRUNC | O_CLOEXEC), r;

	if (fd < 0)
		return error_set_errno(e, -errno, "%s", name);
	r = file_write_all(fd, slice_from_string(text));
	close(fd);
	return r < 0 ? error_set_errno(e, r, "%s to %s", text, name) : 0;
}

/* The names of those that there are, and may be handed on, with a space in front of each. */
static int read_controllers(int folder, char *ret, size_t size, struct error *e)
{
	int fd = openat(folder, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret + 1, size - 2);
	int r = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	if (r < 0)
		return error_set_errno(e, r, "cgroup.controllers");
	ret[0] = ' ';
	ret[n + 1] = '\0';
	return 0;
}

static bool has_word(const char *text, const char *word)
{
	size_t length = strlen(word);

	for (const char *found = strstr(text, word); found; found = strstr(found + 1, word)) {
		if (found[-1] == ' ' && strchr(" \n", found[length]))
			return true;
	}
	return false;
}

static int set_one(
	int outer, int inner, const struct controller *c, uint64_t limit, struct error *e)
{
	char text[32];
	int r;

	snprintf(text, sizeof(text), "+%s", c->name);
	r = write_file(outer, "cgroup.subtree_control", text, e);
	if (r < 0)
		return r;
	snprintf(text, sizeof(text), "%" PRIu64, limit);
	return write_file(inner, c->file, text, e);
}

int cgroup_limits_set(int outer, int inner, const struct cgroup_limits *limits,
	unsigned *ret_missing, struct error *e)
{
	char there[CONTROLLERS_MOST];
	unsigned missing = 0;
	int r = read_controllers(outer, there, sizeof(there), e);

	for (size_t i = 0; r == 0 && i < sizeof(controllers) / sizeof(controllers[0]); i++) {
		const struct controller *c = &controllers[i];

		if (has_word(there, c->name))
			r = set_one(outer, inner, c,
				c->bit == CGROUP_MEMORY ? limits->memory : limits->tasks, e);
		else
			missing |= c->bit;
	}
	if (r == 0)
		*ret_missing = missing;
	return r;
}
