/* SPDX-License-Identifier: Apache-2.0
 *
 * /run as the command sees it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "launcher/cover.h"
#include "launcher/launcher.h"
#include "launcher/snapshot.h"

/* Those who start processes for others, outside the agent (bypass B8), have their sockets in these
 * folders, besides others that a command may need; so have databases, whose sockets are dialled by
 * way of the daemon (bpf/unix.bpf.c) where a resource names them; and agents of keys
 * (key_sockets.c). They are kept out of sight rather
 * than refused at connect(2): a path can be written in many ways. What the plan shows of them
 * stays.
 */
static const char *const run_without[] = {"docker.sock", "docker", "containerd", "podman", "crio",
	"cri-dockerd.sock", "k3s", "buildkit", "libvirt", "incus", "lxd", "snapd.socket",
	"snapd-snap.socket", "dbus", "postgresql", "mysqld", "fcgiwrap.socket", "supervisor.sock",
	"supervisor", "cups", "nscd", "avahi-daemon"};
static const char *const systemd_without[] = {
	"private", "io.systemd.Manager", "io.systemd.Import", "machine"};
/* Who looks names up for others asks in their place, where nobody sees for whom: programs ask by
 * DNS instead, which is judged. The configurations of DNS are there, too. */
static const char *const resolve_without[] = {"io.systemd.Resolve", "io.systemd.Resolve.Monitor"};
static const char *const user_without[] = {"bus", "systemd", "docker.sock", "docker", "podman",
	"containerd", "containerd-rootless", "buildkit", "libvirt", "dbus-1", KEY_SOCKETS_OF_USER};

/* A folder in which some entries are hidden. */
struct partly {
	const char *path;
	const char *const *without;
	size_t count;
};

enum seen { SEEN_NOT, SEEN_INSIDE, SEEN_WHOLE };

/* What of a hidden entry the plan shows. */
static enum seen seen_of(const struct run_plan *plan, const char *path)
{
	size_t length = strlen(path);
	enum seen ret = SEEN_NOT;

	for (size_t i = 0; i < plan->shown_count; i++) {
		const char *target = plan->shown[i].target;

		if (strncmp(target, path, length) != 0)
			continue;
		if (target[length] == '\0')
			return SEEN_WHOLE;
		if (target[length] == '/')
			ret = SEEN_INSIDE;
	}
	return ret;
}

/* An entry of which something is shown, and nothing else. */
static int hide_around(
	const struct partly *folder, const struct run_plan *plan, const struct shown *shown)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < folder->count; i++) {
		char *path = memory_format("%s/%s", folder->path, folder->without[i]);

		if (seen_of(plan, path) == SEEN_INSIDE)
			r = cover_hide(path, plan, shown);
		free(path);
	}
	return r;
}

static int take_snapshot(const struct partly *folder, const struct run_plan *plan)
{
	const char **without = memory_new_array(folder->count + 1, sizeof(*without));
	size_t count = 0;
	int r;

	for (size_t i = 0; i < folder->count; i++) {
		char *path = memory_format("%s/%s", folder->path, folder->without[i]);

		if (seen_of(plan, path) == SEEN_NOT)
			without[count++] = folder->without[i];
		free(path);
	}
	r = snapshot_put(folder->path, without, count);
	free(without);
	return r;
}

#define PARTLY_MOST 5

/* From the inside out: what is in /run is shown as it is then. `user_folder` is for free(). */
static void list_partly(uid_t user, struct partly ret[PARTLY_MOST], char **ret_user_folder)
{
	*ret_user_folder = memory_format("/run/user/%u", user);
	ret[0] = (struct partly){
		"/run/systemd/resolve", resolve_without, ARRAY_SIZE(resolve_without)};
	ret[1] = (struct partly){"/run/systemd", systemd_without, ARRAY_SIZE(systemd_without)};
	ret[2] = (struct partly){*ret_user_folder, user_without, ARRAY_SIZE(user_without)};
	ret[3] = (struct partly){"/run/user", NULL, 0};
	ret[4] = (struct partly){"/run", run_without, ARRAY_SIZE(run_without)};
}

int run_folders_make_room(const struct run_plan *plan, const struct shown *shown, uid_t user)
{
	struct partly folders[PARTLY_MOST];
	char *user_folder;
	int r = 0;

	list_partly(user, folders, &user_folder);
	for (size_t i = 0; r == 0 && i < PARTLY_MOST; i++)
		r = hide_around(&folders[i], plan, shown);
	free(user_folder);
	return r;
}

int run_folders_hide(const struct run_plan *plan, uid_t user, struct error *e)
{
	struct partly folders[PARTLY_MOST];
	char *user_folder;
	int r = 0;

	list_partly(user, folders, &user_folder);
	for (size_t i = 0; r == 0 && i < PARTLY_MOST; i++) {
		r = take_snapshot(&folders[i], plan);
		if (r < 0)
			error_set_errno(e, r, "hiding sockets in %s", folders[i].path);
	}
	free(user_folder);
	return r;
}
