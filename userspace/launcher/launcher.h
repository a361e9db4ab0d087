/* SPDX-License-Identifier: Apache-2.0
 *
 * launcher: the setuid part of `wayleave run`. It asks the monitor, as its caller, what the command
 * is to run as, enters the agent's cgroup, builds the mount namespace, gives up everything, and
 * becomes the command: the same process, so that terminal, job control and exit status stay.
 *
 * Nothing of the caller is trusted: not the socket's path (its peer must be root), not the
 * environment (it is only handed on), not the descriptors or the working folder (main.c says in
 * which order they are dealt with). What fails ends the launcher before the command runs.
 */
#ifndef WAYLEAVE_LAUNCHER_LAUNCHER_H
#define WAYLEAVE_LAUNCHER_LAUNCHER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "monitor/control.h"
#include "monitor/run_plan.h"

/* Who started the launcher: its real ids. */
struct caller {
	uid_t uid;
	gid_t gid;
};

/* The user that the command runs as. */
static inline uid_t run_user(const struct run_plan *plan, const struct caller *c)
{
	return plan->flags & RUN_PLAN_KEEP_USER ? c->uid : plan->uid;
}

/* To act as the caller and back, by effective ids; the saved ones stay root's. */
int caller_become(const struct caller *c, struct error *e);
int caller_leave(struct error *e);

/* ask.c: the monitor's answer to CONTROL_RUN or CONTROL_UNIT, in `memory`. */
int ask(const struct caller *c, const char *socket, enum control_request type,
	const struct run_request *request, struct arena *memory, struct run_plan *ret,
	struct error *e);

/* token.c: the token that a descriptor holds; closes it. `ret` is for free(), to be wiped first. */
int token_take(int fd, char **ret, struct error *e);
/* follow.c: starts a process of the caller's, outside of the agent, that tells the daemon at
 * `socket` what the token in the file is, whenever that changes, as long as the plan's cgroup is
 * there. `last`: as the daemon knows it. */
struct follow {
	const struct caller *caller;
	const char *socket; /* NULL: as control_open() has it */
	const char *file; /* absolute */
	const char *last;
};
int follow_start(const struct follow *f, const struct run_plan *plan, struct error *e);

/* environment.c: the strings "NAME=VALUE" with a NUL each that a descriptor holds, as an environ
 * from malloc(); closes the descriptor. HOME, USER and LOGNAME become the plan's unless it keeps
 * the caller's user. */
int environment_take(int fd, char ***ret, struct error *e);
void environment_set_user(char ***environment, const struct run_plan *plan);
/* The variables that name CA files, where they don't name one of the caller's own. */
void environment_set_trust(char ***environment, const struct run_plan *plan);
/* NULL: there is none. */
const char *environment_get(char *const *environment, const char *name);
void environment_free(char **environment); /* takes NULL */

/* descriptors.c: closes what would reach round the hooks or the mount namespace: sockets other than
 * Unix ones, folders, what the kernel's control interfaces gave. Of 0 to 2, makes /dev/null. */
int descriptors_close(struct error *e);

/* enter.c: puts the process into the plan's cgroup. */
int enter_cgroup(const struct run_plan *plan, struct error *e);

/* working_folder.c: the folder in which the command begins. */
struct working_folder {
	char path[PATH_MAX];
	struct stat s;
};
/* The present one; -ENOENT: it has no path. */
int working_folder_find(struct working_folder *ret);
/* Enters by its path what stands there by now: the same folder, or one of the filesystems `covers`,
 * which were put over it. Where something else is there, or nothing that can be entered, the
 * process stays where it is, and that is no error. */
int working_folder_enter(const struct working_folder *f, const dev_t *covers, size_t count,
	const struct caller *c, bool *ret_entered, struct error *e);

/* mounts.c: a mount namespace of its own, and the same working folder in it. For user 0, who owns
 * files that others can't write anyway, more of it is read-only. `environment`: as the
 * command gets it. */
int mounts_make(const struct run_plan *plan, const struct caller *c, char *const *environment,
	struct error *e);

/* run_folders.c: in /run the sockets of those who act for others are not seen, but for what the
 * plan shows: first there is room for that inside of what is hidden, then, when it is in its place,
 * the folders become snapshots. `user`: the command's. */
struct shown;
int run_folders_make_room(const struct run_plan *plan, const struct shown *shown, uid_t user);
int run_folders_hide(const struct run_plan *plan, uid_t user, struct error *e);
/* Whether a path is inside of the user's folder in /run, of which only ordinary files are seen. */
bool run_folders_is_of_user(const char *path, uid_t user);

/* key_sockets.c: of ssh-agents of the command's user, inside the mount namespace: hides them, but
 * for the one that SSH_AUTH_SOCK names, where the plan lets the command use that. */
int key_sockets_hide(const struct run_plan *plan, const struct shown *shown, uid_t user,
	char *const *environment, struct error *e);
/* Before that, where it is in the user's folder in /run: the plan shows it. The environment must
 * live as long as the plan. */
int key_sockets_show(struct run_plan *plan, uid_t user, char *const *environment,
	struct arena *memory, struct error *e);

/* kubeconfig.c: the command sees its kubeconfig, and the CA files that this and its pod name, with
 * the host's CA. `environment`: as the command gets it, but for its user. */
int kubeconfig_show(char *const *environment, const struct run_plan *plan, const struct caller *c,
	struct error *e);

/* user_known_hosts.c: where the plan says so, the command sees its user's known_hosts with the keys
 * of intercepted hosts. These are read before the mounts are made, which hide them; empty: there is
 * nothing to show. The buffer is for buffer_done(), also after a failure. */
int user_known_hosts_read(const struct run_plan *plan, struct buffer *ret, struct error *e);
/* Appends to `hosts` what stands in the user's file. */
int user_known_hosts_show(char *const *environment, const struct run_plan *plan,
	const struct caller *c, struct buffer *hosts, struct error *e);

/* confine.c, system_calls.c: users, groups, capabilities, new privileges, Landlock, seccomp. No way
 * back. */
int confine(const struct run_plan *plan, const struct caller *c, struct error *e);
/* Landlock alone, as far as `version` goes (base/landlock.h); below 2 nothing is done. */
int confine_landlock(int version, struct error *e);
/* The seccomp filter alone; needs no-new-privileges. */
int confine_system_calls(bool deny_io_uring, struct error *e);

#endif
