/* SPDX-License-Identifier: Apache-2.0
 *
 * The command's mount namespace: what could undo the capture is hidden or read-only (bypasses B8,
 * B9, B14 in docs/threat-matrix.md). The namespace is private: what the host mounts later doesn't
 * come in. A user namespace of the command's own gets these mounts locked together
 * (mount_namespaces(7)).
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hidden_places.h"
#include "base/memory.h"
#include "base/mountinfo.h"
#include "base/host_path.h"
#include "launcher/cover.h"
#include "launcher/launcher.h"
#include "launcher/snapshot.h"

/* Filesystems whose mounts are hidden wherever they are. */
static const char *const hidden_types[] = {"cgroup", "cgroup2", "bpf"};

/* The kernel's own settings, which can't be written wherever they are mounted, as for somebody's
 * chroot: where they are of all hosts read_only_paths says. A procfs that could be written would
 * also let a user namespace mount another one. */
static const char *const setting_types[] = {"proc", "sysfs", "debugfs", "tracefs", "securityfs",
	"configfs", "efivarfs", "binfmt_misc", "fusectl", "nfsd"};
static const char *const setting_places[] = {"/proc", "/sys", "/proc/sys/", "/sys/"};

/* Devices by which a program sends what no socket does: adapters that it speaks with past the
 * kernel (RDMA, Onload, Omni-Path, Slingshot), often open to everybody, modems and lines of PPP;
 * the other end of vsock, as which it would be a guest of this host's; what leads to the host of a
 * virtual machine (VMware, VirtualBox); and keyboards that it makes, which type as a person does.
 */
static const char *const hidden_devices[] = {"/dev/infiniband", "/dev/onload*", "/dev/sfc_*",
	"/dev/hfi1*", "/dev/cxi*", "/dev/cdc-wdm*", "/dev/wwan*", "/dev/ppp", "/dev/vhost-vsock",
	"/dev/vhost-vdpa*", "/dev/vmci", "/dev/vboxguest", "/dev/vboxuser", "/dev/uinput",
	"/dev/uhid"};

/* Besides the plan's. What only root's own files matter for is left alone for others. */
static const struct {
	const char *path;
	bool root_only;
} read_only_paths[] = {
	{"/sys", false},
	{"/proc/sys", false},
	{"/proc/sysrq-trigger", true},
	{"/proc/irq", true},
	{"/proc/bus", true},
	{"/etc", true},
};

static bool is_one_of(const char *text, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(text, list[i]) == 0)
			return true;
	}
	return false;
}

static bool is_hidden(const struct mountinfo *mount)
{
	if (is_one_of(mount->type, hidden_types, ARRAY_SIZE(hidden_types)))
		return true;
	/* The automounter looks any name up that is read there, and asks that host
	 * (auto.master(5)).
	 */
	return strcmp(mount->type, "autofs") == 0 && strcmp(mount->source, "-hosts") == 0;
}

/* Of the kernel's settings, elsewhere than usual. */
static bool is_read_only(const struct mountinfo *mount)
{
	for (size_t i = 0; i < ARRAY_SIZE(setting_places); i++) {
		const char *place = setting_places[i];
		size_t length = strlen(place);

		if (place[length - 1] == '/' ? strncmp(mount->point, place, length) == 0
					     : strcmp(mount->point, place) == 0)
			return false;
	}
	return is_one_of(mount->type, setting_types, ARRAY_SIZE(setting_types));
}

/* A mount point, and what is to be done there. */
struct found {
	char *path;
	bool hide;
};

/* The list is read whole first: covering changes it. It is for free(), also after a failure. */
static int find_by_type(struct found **ret, size_t *ret_count)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	struct mountinfo mount;
	size_t capacity = 0;
	int r;

	if (!mounts)
		return -errno;
	while (getline(&line, &capacity, mounts) >= 0) {
		bool hide;

		if (!mountinfo_parse(line, &mount))
			continue;
		hide = is_hidden(&mount);
		if (!hide && !is_read_only(&mount))
			continue;
		*ret = memory_resize_array(*ret, *ret_count + 1, sizeof(**ret));
		(*ret)[(*ret_count)++] = (struct found){memory_copy_string(mount.point), hide};
	}
	r = feof(mounts) ? 0 : -EIO;
	fclose(mounts);
	free(line);
	return r;
}

static int cover_by_type(const struct run_plan *plan, const struct shown *shown)
{
	struct found *found = NULL;
	size_t count = 0;
	int r = find_by_type(&found, &count);

	for (size_t i = 0; i < count; i++) {
		if (r == 0)
			r = found[i].hide ? cover_hide(found[i].path, plan, shown)
					  : cover_read_only(found[i].path);
		free(found[i].path);
	}
	free(found);
	return r;
}

/* A mount of what is there now. -ELOOP: by a link that others than root can change, who are not to
 * say what root shows. */
static int take_tree(const char *source)
{
	int place, tree, r = host_path_open(source, &place, NULL);

	if (r < 0)
		return r;
	tree = open_tree(place, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	r = tree < 0 ? -errno : tree;
	close(place);
	return r;
}

static bool is_not_shown(int error)
{
	return cover_is_missing(error) || error == -ELOOP;
}

/* Before anything is hidden. */
static int take_shown(const struct run_plan *plan, struct shown *ret)
{
	int r = 0;

	for (size_t i = 0; i < plan->shown_count; i++)
		ret[i].tree = -1;
	for (size_t i = 0; r == 0 && i < plan->shown_count; i++) {
		int tree = take_tree(plan->shown[i].source);
		struct stat s;

		if (tree < 0) {
			r = is_not_shown(tree) ? 0 : tree;
			continue;
		}
		ret[i].tree = tree;
		if (fstat(tree, &s) < 0)
			r = -errno;
		else
			ret[i].is_folder = S_ISDIR(s.st_mode);
	}
	return r;
}

static int put_shown(const struct run_plan *plan, const struct shown *shown)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->shown_count; i++) {
		int place;

		if (shown[i].tree < 0)
			continue;
		if (!shown[i].is_folder)
			r = snapshot_make_file(plan->shown[i].target);
		if (r < 0)
			return r;
		r = host_path_open(plan->shown[i].target, &place, NULL);
		if (r < 0 && is_not_shown(r)) {
			r = 0;
			continue; /* nor the folder that it would be in */
		}
		if (r < 0)
			return r;
		r = cover_put(shown[i].tree, place);
		close(place);
	}
	return r;
}

static int hide_all(const char *const *paths, size_t count, const struct run_plan *plan,
	const struct shown *shown, struct error *e)
{
	for (size_t i = 0; i < count; i++) {
		int r = cover_hide(paths[i], plan, shown);

		if (r < 0)
			return error_set_errno(e, r, "hiding %s", paths[i]);
	}
	return 0;
}

static int hide_devices(const struct run_plan *plan, const struct shown *shown, struct error *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(hidden_devices); i++) {
		glob_t found;
		int problem = glob(hidden_devices[i], GLOB_NOSORT, NULL, &found);

		if (problem == GLOB_NOMATCH)
			continue;
		if (problem)
			return error_set(e, -EIO, "looking for %s", hidden_devices[i]);
		r = hide_all((const char *const *)found.gl_pathv, found.gl_pathc, plan, shown, e);
		globfree(&found);
	}
	return r;
}

static int make_all_read_only(const struct run_plan *plan, bool is_root, struct error *e)
{
	const char *path = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(read_only_paths); i++) {
		path = read_only_paths[i].path;
		if (!read_only_paths[i].root_only || is_root)
			r = cover_read_only(path);
	}
	for (size_t i = 0; r == 0 && i < plan->read_only_count; i++) {
		path = plan->read_only[i];
		r = cover_read_only(path);
	}
	return r < 0 ? error_set_errno(e, r, "making %s read-only", path) : 0;
}

static int show(const struct run_plan *plan, const struct shown *shown, uid_t user, struct error *e)
{
	int r = run_folders_make_room(plan, shown, user);

	if (r == 0)
		r = put_shown(plan, shown);
	if (r < 0)
		return error_set_errno(e, r, "showing what is to be seen");
	return run_folders_hide(plan, user, e);
}

static int change(const struct run_plan *plan, const struct shown *shown, uid_t user,
	char *const *environment, struct error *e)
{
	const char *const *places;
	size_t place_count;
	int r = cover_by_type(plan, shown);

	if (r < 0)
		return error_set_errno(e, r, "covering the kernel's filesystems");
	places = hidden_places(&place_count);
	r = hide_all(places, place_count, plan, shown, e);
	if (r == 0)
		r = hide_all(plan->hidden, plan->hidden_count, plan, shown, e);
	if (r == 0)
		r = hide_devices(plan, shown, e);
	if (r == 0)
		r = key_sockets_hide(plan, shown, user, environment, e);
	if (r == 0)
		r = make_all_read_only(plan, user == 0, e);
	return r == 0 ? show(plan, shown, user, e) : r;
}

/* The working folder is held from before, so it could be inside something that is hidden now. */
static int return_to_folder(
	const struct working_folder *folder, const struct caller *c, struct error *e)
{
	bool entered = false;
	int r = working_folder_enter(folder, NULL, 0, c, &entered, e);

	if (r < 0 || entered)
		return r;
	return error_set(e, -ENOENT, "the working folder %s is hidden from agents", folder->path);
}

int mounts_make(const struct run_plan *plan, const struct caller *c, char *const *environment,
	struct error *e)
{
	struct shown *shown = memory_new_array(plan->shown_count + 1, sizeof(*shown));
	mode_t mask = umask(022); /* of the caller, for the command */
	struct working_folder folder;
	int r = 0;

	if (working_folder_find(&folder) < 0)
		r = error_set(e, -ENOENT, "the working folder has no path");
	else if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		r = error_set_errno(e, -errno, "a mount namespace");
	else if ((r = take_shown(plan, shown)) < 0)
		error_set_errno(e, r, "what is to be seen");
	else
		r = change(plan, shown, run_user(plan, c), environment, e);
	for (size_t i = 0; i < plan->shown_count; i++) {
		if (shown[i].tree >= 0)
			close(shown[i].tree);
	}
	free(shown);
	umask(mask);
	return r == 0 ? return_to_folder(&folder, c, e) : r;
}
