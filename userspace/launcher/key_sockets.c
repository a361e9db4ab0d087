/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets of ssh-agent(1) and its like. Whoever reaches one logs in elsewhere with a person's keys,
 * and where that happens nobody asks. Other users' are out of reach by their folders' modes; those
 * of the command's own user are hidden, but for the one that its environment names where a resource
 * logs in by the agent's own keys.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hidden_places.h"
#include "base/host_path.h"
#include "base/memory.h"
#include "launcher/cover.h"
#include "launcher/launcher.h"
#include "launcher/snapshot.h"
#include "launcher/user_file.h"

/* As ssh-agent and sshd name them (OpenSSH before 10.1): /tmp/ssh-XXXXXXXXXX/agent.PID. */
#define KEY_FOLDER "ssh-"
#define KEY_SOCKET "agent."
/* From OpenSSH 10.1 on: in the user's home. */
#define KEY_HOME_FOLDER ".ssh/agent"
#define SOCKETS_MOST 1024 /* each is a mount */

struct search {
	const struct run_plan *plan;
	const struct shown *shown;
	uid_t user;
	struct stat own; /* zero: all are hidden */
	unsigned count;
	struct error *e;
};

/* Links are not followed: what they lead to is nobody's that is meant here. */
static bool find_socket(const char *path, uid_t user, struct stat *ret)
{
	return lstat(path, ret) == 0 && S_ISSOCK(ret->st_mode) && ret->st_uid == user;
}

static bool may_use_own(const struct run_plan *plan, uid_t user)
{
	return plan->flags & RUN_PLAN_OWN_KEYS && user != 0;
}

static int hide(struct search *s, const char *path)
{
	struct stat found;
	int r;

	if (!find_socket(path, s->user, &found) ||
		(found.st_dev == s->own.st_dev && found.st_ino == s->own.st_ino))
		return 0;
	if (s->count++ >= SOCKETS_MOST)
		return error_set(s->e, -E2BIG, "more than %u sockets of ssh-agents below %s",
			SOCKETS_MOST, HIDDEN_KEYS_FOLDER);
	r = cover_hide(path, s->plan, s->shown);
	return r < 0 ? error_set_errno(s->e, r, "hiding %s", path) : 0;
}

/* What in `folder` begins so; one that can't be listed has nothing. */
static int each(struct search *s, const char *folder, const char *prefix,
	int (*call)(struct search *s, const char *path))
{
	DIR *listing = opendir(folder);
	struct dirent *entry;
	int r = 0;

	while (r == 0 && listing && (entry = readdir(listing))) {
		char *path;

		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		path = memory_format("%s/%s", folder, entry->d_name);
		r = call(s, path);
		free(path);
	}
	if (listing)
		closedir(listing);
	return r;
}

/* Others' folders are not even looked into: they could hold anything. */
static int hide_in(struct search *s, const char *folder)
{
	struct stat found;

	if (lstat(folder, &found) < 0 || !S_ISDIR(found.st_mode) || found.st_uid != s->user)
		return 0;
	return each(s, folder, KEY_SOCKET, hide);
}

/* In that folder there is nothing else, and what others open there later is not seen. `own` is
 * there all the same, where it is not hidden. */
static int hide_at_home(const struct search *s, const char *home, const char *own)
{
	char *path = memory_format("%s/" KEY_HOME_FOLDER "/", home);
	const char *name = own && s->own.st_ino && strncmp(own, path, strlen(path)) == 0
		? own + strlen(path)
		: NULL;
	const struct snapshot_choice choice = {
		.files_alone = true, .with = &name, .with_count = name ? 1 : 0};
	struct stat found;
	int folder, r = host_path_open(path, &folder, NULL);

	if (r == 0) {
		if (fstat(folder, &found) == 0 && S_ISDIR(found.st_mode) && found.st_uid == s->user)
			r = snapshot_put_at(folder, &choice);
		close(folder);
	} else {
		r = 0; /* not there, or for nobody but its user: nothing can be mounted there */
	}
	if (r < 0)
		error_set_errno(s->e, r, "hiding what is in %s", path);
	free(path);
	return r;
}

int key_sockets_hide(const struct run_plan *plan, const struct shown *shown, uid_t user,
	char *const *environment, struct error *e)
{
	struct search s = {.plan = plan, .shown = shown, .user = user, .e = e};
	const char *own = environment_get(environment, "SSH_AUTH_SOCK");
	const char *home = user_file_home(environment, plan);
	int r = 0;

	if (own && may_use_own(plan, user))
		(void)find_socket(own, user, &s.own);
	else if (own)
		r = hide(&s, own);
	if (r == 0)
		r = each(&s, HIDDEN_KEYS_FOLDER, KEY_FOLDER, hide_in);
	return r == 0 && home && *home == '/' ? hide_at_home(&s, home, own) : r;
}

int key_sockets_show(struct run_plan *plan, uid_t user, char *const *environment,
	struct arena *memory, struct error *e)
{
	const char *own = environment_get(environment, "SSH_AUTH_SOCK");
	size_t count = plan->shown_count;
	struct run_path *shown;
	struct stat s;

	if (!own || !may_use_own(plan, user) || !run_folders_is_of_user(own, user) ||
		!host_path_is_plain(own) || !find_socket(own, user, &s))
		return 0;
	shown = arena_new_array(memory, count + 1, sizeof(*shown));
	if (!shown)
		return error_set(e, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		shown[i] = plan->shown[i];
	shown[count] = (struct run_path){own, own};
	plan->shown = shown;
	plan->shown_count = count + 1;
	return 0;
}
