/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/runs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "capture/state.h"

/* "trusted": whoever lacks CAP_SYS_ADMIN can neither read nor change it. */
#define ATTRIBUTE "trusted.wayleave_run"

struct attribute {
	uint32_t starter;
	uint32_t own_token;
	char on_behalf_of[CAPTURE_RUN_TEXT_MOST];
};

/* Folders inside it would have ids of their own. */
static int forbid_folders(int fd)
{
	int file = openat(fd, "cgroup.max.descendants", O_WRONLY | O_CLOEXEC);
	int r;

	if (file < 0)
		return -errno;
	r = write(file, "0", 1) < 0 ? -errno : 0;
	close(file);
	return r;
}

static int mark(int fd, const struct capture_run *run)
{
	struct attribute attribute = {.starter = run->starter, .own_token = run->own_token};
	size_t length = strlen(run->on_behalf_of);

	memcpy(attribute.on_behalf_of, run->on_behalf_of, length);
	if (fsetxattr(fd, ATTRIBUTE, &attribute,
		    offsetof(struct attribute, on_behalf_of) + length + 1, XATTR_CREATE) < 0)
		return -errno;
	return forbid_folders(fd);
}

static int make_folder(int parent, char *ret_name, size_t size)
{
	uint64_t number;
	int fd;

	random_fill(&number, sizeof(number));
	snprintf(ret_name, size, CGROUP_RUN_PREFIX "%016llx", (unsigned long long)number);
	if (mkdirat(parent, ret_name, 0755) < 0)
		return -errno;
	fd = openat(parent, ret_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int make_in(int parent, struct capture_run *run, char *ret_name, size_t size)
{
	int fd = make_folder(parent, ret_name, size), r;

	if (fd < 0)
		return fd;
	r = mark(fd, run);
	if (r == 0)
		r = cgroup_get_id(fd, &run->cgroup);
	close(fd);
	if (r < 0)
		(void)unlinkat(parent, ret_name, AT_REMOVEDIR);
	return r;
}

int capture_run_make(
	struct capture *c, struct capture_run *run, struct capture_place *ret, struct error *e)
{
	char name[64];
	int parent, r = capture_prepare(c, run->agent, ret, e);
	size_t length;

	if (r < 0)
		return r;
	length = strlen(ret->path);
	parent = open(ret->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = parent < 0 ? -errno : make_in(parent, run, name, sizeof(name));
	if (parent >= 0)
		close(parent);
	if (r == 0 &&
		(size_t)snprintf(ret->path + length, sizeof(ret->path) - length, "/%s", name) >=
			sizeof(ret->path) - length)
		r = -ENAMETOOLONG;
	ret->cgroup = run->cgroup;
	return r < 0 ? error_set_errno(e, r, "a cgroup for the command") : 0;
}

static int read_run(int parent, const char *name, struct capture_run *ret)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct attribute attribute = {.starter = 0};
	ssize_t length;
	int r;

	if (fd < 0)
		return -errno;
	length = fgetxattr(fd, ATTRIBUTE, &attribute, sizeof(attribute) - 1);
	/* Without it nothing of ours runs there: it could not be marked, and was not used. */
	r = length < (ssize_t)offsetof(struct attribute, on_behalf_of)
		? -ENODATA
		: cgroup_get_id(fd, &ret->cgroup);
	close(fd);
	ret->starter = attribute.starter;
	ret->own_token = attribute.own_token;
	memcpy(ret->on_behalf_of, attribute.on_behalf_of, sizeof(ret->on_behalf_of));
	return r;
}

static void list_in(const struct governed *g, int fd, struct capture_run **ret, size_t *count)
{
	struct capture_run run = {.agent = g->id};
	DIR *listing = fdopendir(fd);
	struct dirent *entry;

	while (listing && (entry = readdir(listing))) {
		if (strncmp(entry->d_name, CGROUP_RUN_PREFIX, strlen(CGROUP_RUN_PREFIX)) != 0 ||
			read_run(fd, entry->d_name, &run) < 0)
			continue;
		*ret = memory_resize_array(*ret, *count + 1, sizeof(**ret));
		(*ret)[(*count)++] = run;
	}
	if (listing)
		closedir(listing);
	else
		close(fd);
}

size_t capture_run_list(struct capture *c, struct capture_run **ret)
{
	size_t count = 0;
	int fd;

	*ret = NULL;
	for (size_t i = 0; i < c->count; i++) {
		if (cgroup_open(&c->root, c->governed[i].cgroup, false, &fd, NULL) == 0)
			list_in(&c->governed[i], fd, ret, &count);
	}
	return count;
}

int capture_run_is_populated(struct capture *c, uint64_t cgroup, bool *ret)
{
	char path[CGROUP_PATH_SIZE];
	int fd, r = cgroup_open_id(&c->root, cgroup, &fd, path);

	if (r < 0)
		return r == -ESTALE ? -ENOENT : r;
	r = cgroup_is_populated(fd, ret);
	close(fd);
	return r;
}

void capture_run_remove(struct capture *c, uint64_t cgroup)
{
	char path[CGROUP_PATH_SIZE];
	int fd;

	if (cgroup_open_id(&c->root, cgroup, &fd, path) < 0)
		return;
	close(fd);
	(void)unlinkat(c->root.fd, path, AT_REMOVEDIR);
}
