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

/* Those who act for whoever asks, outside of the agent (bypass B8), have their sockets in these
 * folders, besides others that a command may need: they start processes, log in (sshd, by way of
 * systemd), send keys to a terminal, dial, fetch or send what they are told to, or look names up.
 * So have databases, whose sockets are dialled by way of the daemon (bpf/unix.bpf.c) where a
 * resource names them. They are kept out of sight rather than refused at connect(2): a path can be
 * written in many ways. What the plan shows of them stays. */
static const char *const run_without[] = {"docker.sock", "docker", "containerd", "podman", "crio",
	"cri-dockerd.sock", "k3s", "buildkit", "libvirt", "incus", "lxd", "snapd.socket",
	"snapd-snap.socket", "dbus", "postgresql", "mysqld", "redis", "valkey", "fcgiwrap.socket",
	"php", "uwsgi", "supervisor.sock", "supervisor", "cups", "nscd", "avahi-daemon",
	"ssh-unix-local", "screen", "tmux", "initctl", "tor", "tailscale", "apt-cacher-ng",
	"smtpd.sock", "mpd", "pulse"};
/* Besides systemd's own: all of its services that are asked by Varlink. One gives a network
 * namespace a way out (io.systemd.NamespaceResource), one looks names up, where nobody sees for
 * whom (io.systemd.Resolve: programs ask by DNS instead, which is judged), and there are more with
 * every version. The configurations of DNS are there, too. */
static const char *const systemd_without[] = {"private", "machine"};
#define SYSTEMD_PREFIX "io.systemd."

#define FOLDERS_MOST 5

/* A folder, and what of it is hidden; `with` is what the plan shows of that. */
struct folder {
	const char *path;
	struct snapshot_choice choice;
};

/* The folder of the user in /run. Any program of the user's sessions may listen there, for whoever
 * is that user: editors, terminals and window managers start what they are told to. */
#define USER_FOLDER "/run/user/%u"

bool run_folders_is_of_user(const char *path, uid_t user)
{
	char *folder = memory_format(USER_FOLDER "/", user);
	bool ret = strncmp(path, folder, strlen(folder)) == 0;

	free(folder);
	return ret;
}

/* From the inside out: what is in /run is shown as it is then. `user_folder` is for free(). */
static void list_folders(uid_t user, struct folder ret[FOLDERS_MOST], char **ret_user_folder)
{
	*ret_user_folder = memory_format(USER_FOLDER, user);
	ret[0] = (struct folder){"/run/systemd/resolve", {.without_prefix = SYSTEMD_PREFIX}};
	ret[1] = (struct folder){"/run/systemd",
		{.without = systemd_without,
			.without_count = ARRAY_SIZE(systemd_without),
			.without_prefix = SYSTEMD_PREFIX}};
	ret[2] = (struct folder){*ret_user_folder, {.files_alone = true}};
	ret[3] = (struct folder){"/run/user", {.without_count = 0}};
	ret[4] = (struct folder){
		"/run", {.without = run_without, .without_count = ARRAY_SIZE(run_without)}};
}

/* What of a path is in the folder: "b" of /a/b/c in /a, for free(); NULL = the path is elsewhere.
 * Whether it is all of the path. */
static char *entry_of(const char *path, const char *folder, bool *ret_whole)
{
	size_t length = strlen(folder), own;

	if (strncmp(path, folder, length) != 0 || path[length] != '/')
		return NULL;
	path += length + 1;
	own = strcspn(path, "/");
	*ret_whole = !path[own];
	return own ? memory_copy_text((const uint8_t *)path, own) : NULL;
}

/* An entry of which something is shown, and nothing else: it is a folder. */
static int hide_around(
	const struct folder *folder, const struct run_plan *plan, const struct shown *shown)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < plan->shown_count; i++) {
		bool whole;
		char *name = entry_of(plan->shown[i].target, folder->path, &whole), *path;

		if (name && !whole && !snapshot_has(&folder->choice, name, S_IFDIR)) {
			path = memory_format("%s/%s", folder->path, name);
			r = cover_hide(path, plan, shown);
			free(path);
		}
		free(name);
	}
	return r;
}

static int take_snapshot(const struct folder *folder, const struct run_plan *plan)
{
	char **with = memory_new_array(plan->shown_count + 1, sizeof(*with));
	struct snapshot_choice choice = folder->choice;
	int r;

	for (size_t i = 0; i < plan->shown_count; i++) {
		bool whole;
		char *name = entry_of(plan->shown[i].target, folder->path, &whole);

		if (name)
			with[choice.with_count++] = name;
	}
	choice.with = (const char *const *)with;
	r = snapshot_put(folder->path, &choice);
	for (size_t i = 0; i < choice.with_count; i++)
		free(with[i]);
	free(with);
	return r;
}

int run_folders_make_room(const struct run_plan *plan, const struct shown *shown, uid_t user)
{
	struct folder folders[FOLDERS_MOST];
	char *user_folder;
	int r = 0;

	list_folders(user, folders, &user_folder);
	for (size_t i = 0; r == 0 && i < FOLDERS_MOST; i++)
		r = hide_around(&folders[i], plan, shown);
	free(user_folder);
	return r;
}

int run_folders_hide(const struct run_plan *plan, uid_t user, struct error *e)
{
	struct folder folders[FOLDERS_MOST];
	char *user_folder;
	int r = 0;

	list_folders(user, folders, &user_folder);
	for (size_t i = 0; r == 0 && i < FOLDERS_MOST; i++) {
		r = take_snapshot(&folders[i], plan);
		if (r < 0)
			error_set_errno(e, r, "hiding sockets in %s", folders[i].path);
	}
	free(user_folder);
	return r;
}
