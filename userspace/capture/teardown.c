/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes an instance away, whatever state it is in.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "capture/capture.h"
#include "capture/guard.h"
#include "capture/pins.h"
#include "capture/programs.h"

struct paths {
	char **items;
	size_t count;
};

static void paths_add(struct paths *p, const char *path)
{
	p->items = memory_resize_array(p->items, p->count + 1, sizeof(*p->items));
	p->items[p->count++] = memory_copy_string(path);
}

/* The cgroups that the links are attached to: with the links gone, nothing would name them. */
static void find_cgroups(const struct pins *pins, const struct cgroup_root *root, struct paths *ret)
{
	char folder[PATH_MAX], path[CGROUP_PATH_SIZE];
	struct dirent *entry;
	uint64_t id;
	DIR *links;
	int fd;

	pins_path(pins, "links", NULL, NULL, folder);
	links = opendir(folder);
	while (links && (entry = readdir(links))) {
		if (entry->d_name[0] == '.' ||
			programs_agent_cgroup(pins, entry->d_name, &id) < 0 || id == 0 ||
			cgroup_open_id(root, id, &fd, path) < 0)
			continue;
		close(fd);
		paths_add(ret, path);
	}
	if (links)
		closedir(links);
}

static void add_own(const char *instance, struct paths *ret)
{
	static const char *const names[] = {"selftest", "workers"};
	char path[CGROUP_PATH_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "wayleave_%s/%s", instance, names[i]);
		paths_add(ret, path);
	}
}

/* Hooks and pins; `ret` gets the cgroups that had them. */
static int remove_pins(
	const char *instance, const struct cgroup_root *root, struct paths *ret, struct error *e)
{
	struct pins pins;
	int r;

	if (!pins_exist(instance))
		return 0;
	r = pins_open(&pins, instance, e);
	if (r < 0)
		return r;
	find_cgroups(&pins, root, ret);
	pins_remove(&pins);
	return 0;
}

int capture_teardown(const char *instance, struct error *e)
{
	struct paths cgroups = {0};
	struct cgroup_root root;
	int r;

	if (!pins_instance_is_valid(instance))
		return error_set(e, -EINVAL, "\"%s\": not a name for an instance", instance);
	r = cgroup_root_open(&root, e);
	if (r < 0)
		return r;
	r = remove_pins(instance, &root, &cgroups, e);
	if (r == 0)
		r = guard_remove(instance, e);
	if (r == 0)
		add_own(instance, &cgroups);
	for (size_t i = 0; i < cgroups.count; i++) {
		cgroup_remove(&root, cgroups.items[i]);
		free(cgroups.items[i]);
	}
	free(cgroups.items);
	cgroup_root_close(&root);
	return r;
}
