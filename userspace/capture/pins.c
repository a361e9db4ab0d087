/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/pins.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "bpf/shared.h"

#define PINS_HOME PINS_ROOT "/wayleave"
#define LOCK_PATIENCE NANOSECONDS_PER_SECOND
#define LOCK_EVERY 20000 /* microseconds */

bool pins_instance_is_valid(const char *instance)
{
	size_t length = strlen(instance);

	return length > 0 && length <= PINS_INSTANCE_MOST && instance[0] >= 'a' &&
		instance[0] <= 'z' &&
		strspn(instance, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

bool pins_exist(const char *instance)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), PINS_HOME "/%s", instance);
	return access(path, F_OK) == 0;
}

static int mount_filesystem(struct error *e)
{
	struct statfs system;

	if (statfs(PINS_ROOT, &system) < 0)
		return error_set_errno(e, -errno, PINS_ROOT);
	if (system.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", PINS_ROOT, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return error_set_errno(e, -errno, "mounting the BPF filesystem at " PINS_ROOT);
	return 0;
}

int pins_make_folder(const char *path, struct error *e)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set_errno(e, -errno, "%s", path);
	return 0;
}

static int make_folders(struct pins *p, struct error *e)
{
	static const char *const kinds[] = {NULL, "maps", "links"};
	char path[PATH_MAX];
	int r = pins_make_folder(PINS_HOME, e);

	if (r == 0)
		r = pins_make_folder(p->folder, e);
	for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		pins_path(p, kinds[i], NULL, NULL, path);
		r = pins_make_folder(path, e);
	}
	return r;
}

/* The daemon before may have been killed; its children die a moment later. */
static int take_lock(int fd)
{
	uint64_t deadline = clock_monotonic() + LOCK_PATIENCE;
	int r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;

	while (r == -EWOULDBLOCK && clock_monotonic() < deadline) {
		usleep(LOCK_EVERY);
		r = flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
	}
	return r == -EWOULDBLOCK ? -EBUSY : r;
}

int pins_open(struct pins *ret, const char *instance, struct error *e)
{
	struct pins p = {.lock = -1};
	int r;

	if (!pins_instance_is_valid(instance))
		return error_set(e, -EINVAL, "\"%s\": not a name for an instance", instance);
	strcpy(p.instance, instance);
	snprintf(p.folder, sizeof(p.folder), PINS_HOME "/%s", instance);
	r = mount_filesystem(e);
	if (r == 0)
		r = make_folders(&p, e);
	if (r < 0)
		return r;
	p.lock = open(p.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.lock < 0)
		return error_set_errno(e, -errno, "%s", p.folder);
	r = take_lock(p.lock);
	if (r < 0) {
		close(p.lock);
		return error_set_errno(e, r, "another daemon has the instance \"%s\"", instance);
	}
	*ret = p;
	return 0;
}

void pins_close(struct pins *p)
{
	if (p->lock >= 0)
		close(p->lock);
	p->lock = -1;
}

void pins_path(
	const struct pins *p, const char *kind, const char *name, const char *leaf, char *ret)
{
	snprintf(ret, PATH_MAX, "%s/%s%s%s%s%s%s%s", p->folder, CAPTURE_LAYOUT, kind ? "/" : "",
		kind ? kind : "", name ? "/" : "", name ? name : "", leaf ? "/" : "",
		leaf ? leaf : "");
}

void pins_remove_tree(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		char inner[PATH_MAX];

		if (entry->d_name[0] == '.' ||
			(size_t)snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name) >=
				sizeof(inner))
			continue;
		if (entry->d_type == DT_DIR)
			pins_remove_tree(inner);
		else
			unlink(inner);
	}
	if (folder)
		closedir(folder);
	rmdir(path);
}

int pins_each_layout(
	const struct pins *p, int (*call)(void *context, const char *layout), void *context)
{
	DIR *folder = opendir(p->folder);
	struct dirent *entry;
	int r = folder ? 0 : -errno;

	while (r == 0 && (entry = readdir(folder))) {
		char path[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", p->folder, entry->d_name);
		r = call(context, path);
	}
	if (folder)
		closedir(folder);
	return r;
}

static int remove_other(void *context, const char *layout)
{
	char own[PATH_MAX];

	pins_path(context, NULL, NULL, NULL, own);
	if (strcmp(layout, own) != 0)
		pins_remove_tree(layout);
	return 0;
}

void pins_remove_other_layouts(const struct pins *p)
{
	(void)pins_each_layout(p, remove_other, (void *)p);
}

void pins_remove(struct pins *p)
{
	pins_remove_tree(p->folder);
	rmdir(PINS_HOME);
	pins_close(p);
}
