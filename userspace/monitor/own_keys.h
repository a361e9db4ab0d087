/* SPDX-License-Identifier: Apache-2.0
 *
 * own_keys: an agent's own keys, for one login of SSH. A process of its own has them: it becomes
 * the user of the process that connected, opens what that names in its environment as that user,
 * below that process's root (so with its mounts), gives up everything but the descriptors that it
 * has by then, and is the ssh-agent of the session (keyring.h). The monitor reads none of it.
 *
 *   own_keys.c          that process
 *   own_keys_owner.c    whose keys they are, from /proc
 *   own_keys_process.c  the monitor's side
 */
#ifndef WAYLEAVE_MONITOR_OWN_KEYS_H
#define WAYLEAVE_MONITOR_OWN_KEYS_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/list.h"
#include "capture/cgroup.h"
#include "monitor/messages.h"

#define OWN_KEYS_USER_SIZE 256

/* What the process begins with, in a descriptor that it inherits. */
struct own_keys_start {
	int signer; /* its end of SSH_DESCRIPTOR_SIGNER (ssh/messages.h) */
	uid_t uid; /* real, as the kernel said when it connected */
	struct message_process process;
	char cgroup[CGROUP_PATH_SIZE]; /* the agent's, a pattern */
	char user[OWN_KEYS_USER_SIZE]; /* to log in as */
};

/* `fd`: of struct own_keys_start. Returns an exit status when the session has its login, or after
 * LIMIT_STARTUP_TIME not at all. */
int own_keys_main(int fd);

/* --- own_keys_owner.c --- */

#define OWNER_GROUPS_MOST 1024u
#define OWNER_ENVIRONMENT_MOST (2u << 20) /* as long as execve(2) allows by default */

struct owner {
	uid_t uid;
	gid_t gid;
	gid_t groups[OWNER_GROUPS_MOST];
	size_t group_count;
	char *socket; /* SSH_AUTH_SOCK; owned; NULL: it has none */
	char *home; /* owned; NULL: the same */
	int root; /* its root folder, O_PATH */
};

/* Of the process, with the privileges to read it. What it says of itself may let us wait. */
int owner_read(const struct own_keys_start *start, struct owner *ret, struct error *e);
void owner_done(struct owner *o);
/* A path as that process reads it, with the caller's own rights; flags of open(2). Negative errno:
 * also -EINVAL where it is not absolute. */
int owner_open(const struct owner *o, const char *path, int flags);

/* /proc/PID/status (proc(5)): real user, real group, groups. -EBADMSG: not all is there; -E2BIG. */
int owner_parse_status(struct slice text, struct owner *ret);
/* The first value of a variable; NULL: it is not there, or empty. For free(). */
char *owner_find_variable(struct slice environment, const char *name);

/* --- own_keys_process.c --- */

struct own_keys_processes {
	struct list list;
	size_t count;
};

void own_keys_open(struct own_keys_processes *p);
/* Starts one for a session of an agent; the session's end in *ret_fd. */
int own_keys_begin(struct own_keys_processes *p, uint32_t agent, const struct own_keys_start *start,
	int *ret_fd, struct error *e);
/* False: it was another process. */
bool own_keys_on_exit(struct own_keys_processes *p, pid_t pid, int status);
/* Ends those that should have ended themselves; `now` is monotonic. */
void own_keys_tick(const struct own_keys_processes *p, uint64_t now);
void own_keys_close(struct own_keys_processes *p);

#endif
