/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes an instance away, whatever state it is in.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "capture/capture.h"
#include "capture/forward_rules.h"
#include "capture/guard.h"
#include "capture/network_rules.h"
#include "capture/pins.h"
#include "capture/programs.h"

/* Our own cgroups: and the instance's name. */
#define OWN_PREFIX "wayleave_"

struct paths {
	char **items;
	size_t count;
};

static void paths_add(struct paths *p, const char *path)
{
	p->items = memory_resize_array(p->items, p->count + 1, sizeof(*p->items));
	p->items[p->count++] = memory_copy_string(path);
}

static void paths_add_once(struct paths *p, const char *path)
{
	for (size_t i = 0; i < p->count; i++) {
		if (strcmp(p->items[i], path) == 0)
			return;
	}
	paths_add(p, path);
}

struct search {
	const struct cgroup_root *root;
	struct paths *ret;
};

static int find_in_layout(void *context, const char *layout)
{
	const struct search *s = context;
	char folder[PATH_MAX], owner[PATH_MAX], path[CGROUP_PATH_SIZE];
	struct dirent *entry;
	uint64_t id = 0;
	DIR *links;
	int fd;

	if ((size_t)snprintf(folder, sizeof(folder), "%s/links", layout) >= sizeof(folder))
		return 0;
	links = opendir(folder);
	while (links && (entry = readdir(links))) {
		if (entry->d_name[0] == '.' ||
			(size_t)snprintf(owner, sizeof(owner), "%s/%s", folder, entry->d_name) >=
				sizeof(owner) ||
			programs_find_cgroup(owner, &id) < 0 || id == 0 ||
			cgroup_open_id(s->root, id, &fd, path) < 0)
			continue;
		close(fd);
		paths_add_once(s->ret, path);
	}
	if (links)
		closedir(links);
	return 0;
}

/* The cgroups that the links are attached to: with the links gone, nothing would name them. */
static void find_cgroups(const struct pins *pins, const struct cgroup_root *root, struct paths *ret)
{
	struct search s = {root, ret};

	(void)pins_each_layout(pins, find_in_layout, &s);
}

static void add_own(const char *instance, struct paths *ret)
{
	static const char *const names[] = {"selftest", "workers"};
	char path[CGROUP_PATH_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), OWN_PREFIX "%s/%s", instance, names[i]);
		paths_add(ret, path);
	}
}

struct teardown {
	const char *instance;
	struct cgroup_root root;
	struct paths cgroups; /* that had hooks, and our own */
	capture_tell *tell;
	void *context;
};

static void tell(const struct teardown *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void tell(const struct teardown *t, const char *format, ...)
{
	char text[PATH_MAX + 128];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	t->tell(t->context, text);
}

/* Hooks and pins. */
static int remove_pins(struct teardown *t, struct error *e)
{
	struct pins pins;
	int r;

	if (!pins_exist(t->instance)) {
		tell(t, "no hooks");
		return 0;
	}
	r = pins_open(&pins, t->instance, e);
	if (r < 0)
		return r;
	find_cgroups(&pins, &t->root, &t->cgroups);
	tell(t, "removing hooks and pins below %s", pins.folder);
	pins_remove(&pins);
	for (size_t i = 0; i < t->cgroups.count; i++)
		tell(t, "cgroup %s is governed no more", t->cgroups.items[i]);
	return 0;
}

static int remove_rules(struct teardown *t, struct error *e)
{
	uint64_t shape;
	bool there = guard_shape(t->instance, &shape, NULL) == 0;
	unsigned elsewhere;
	int r = guard_remove(t->instance, e);

	if (r == 0)
		r = forward_rules_remove(t->instance, e);
	if (r == 0)
		tell(t,
			there ? "removed the rules, table inet wayleave_%s"
			      : "no rules, table inet wayleave_%s",
			t->instance);
	/* Behind those of the own one, which are told of by themselves. */
	elsewhere = r == 0 ? network_rules_remove(t->instance) : 0;
	if (elsewhere)
		tell(t, "removed the rules in %u other network namespaces", elsewhere);
	return r;
}

static void remove_cgroups(struct teardown *t)
{
	add_own(t->instance, &t->cgroups);
	for (size_t i = 0; i < t->cgroups.count; i++) {
		const char *path = t->cgroups.items[i];
		int r = cgroup_remove(&t->root, path);

		if (r == 0)
			tell(t, "removed cgroup %s", path);
		else if (r == -EPERM)
			tell(t, "cgroup %s stays: it was not made here", path);
		else if (r != -ENOENT)
			tell(t, "cgroup %s stays: %s", path, strerror(-r));
	}
}

int capture_teardown(const char *instance, capture_tell *to, void *context, struct error *e)
{
	struct teardown t = {.instance = instance, .tell = to, .context = context};
	struct error second;
	int r, rules;

	if (!pins_instance_is_valid(instance))
		return error_set(e, -EINVAL, "\"%s\": not a name for an instance", instance);
	r = cgroup_root_open(&t.root, e);
	if (r < 0)
		return r;
	r = remove_pins(&t, e);
	if (r != -EBUSY) {
		rules = remove_rules(&t, r < 0 ? &second : e);
		remove_cgroups(&t);
		r = r < 0 ? r : rules;
	}
	for (size_t i = 0; i < t.cgroups.count; i++)
		free(t.cgroups.items[i]);
	free(t.cgroups.items);
	cgroup_root_close(&t.root);
	return r;
}

int capture_find_instances(
	const char *configuration, capture_tell *to, void *context, struct error *e)
{
	struct cgroup_root root;
	struct dirent *entry;
	char note[PATH_MAX];
	DIR *folder;
	int r = cgroup_root_open(&root, e);

	if (r < 0)
		return r;
	folder = opendir(root.path);
	while (folder && (entry = readdir(folder))) {
		if (strncmp(entry->d_name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0 &&
			cgroup_read_note(&root, entry->d_name, note, sizeof(note)) == 0 &&
			strcmp(note, configuration) == 0)
			to(context, entry->d_name + strlen(OWN_PREFIX));
	}
	if (folder)
		closedir(folder);
	else
		r = error_set_errno(e, -errno, "%s", root.path);
	cgroup_root_close(&root);
	return r;
}
