/* SPDX-License-Identifier: Apache-2.0
 *
 * run_plan: what CONTROL_RUN and CONTROL_UNIT carry. The launcher asks which agent and user a
 * command is to run as; the monitor, who knows the asker by SO_PEERCRED, answers with all that the
 * launcher has to do.
 *
 * Request: AGENT NUL USER NUL, either of them empty where the command line didn't name one; then,
 * where the command is to have a token of its own, TOKEN NUL.
 *
 * Reply, integers big-endian, a text as a 32-bit length and its bytes:
 *
 *	u32 RUN_PLAN_VERSION, u32 flags, u32 agent, u64 cgroup, u32 uid, u32 gid,
 *	text cgroup path, text user, text home,
 *	u32 number of groups, u32 each,
 *	u32 number of hidden paths, text each,
 *	u32 number of read-only paths, text each,
 *	u32 number of shown paths, text source and text target each,
 *	text trust file.
 */
#ifndef WAYLEAVE_MONITOR_RUN_PLAN_H
#define WAYLEAVE_MONITOR_RUN_PLAN_H

#include "base/arena.h"
#include "base/buffer.h"

#define RUN_PLAN_VERSION 2
#define RUN_PLAN_PATHS_MOST 1024 /* of each kind */
#define RUN_PLAN_GROUPS_MOST 65536 /* NGROUPS_MAX */
/* Where OpenSSH's clients look for hosts' keys, besides their users' files (ssh(1)). */
#define RUN_PLAN_KNOWN_HOSTS "/etc/ssh/ssh_known_hosts"
#define RUN_PLAN_MEMORY (1u << 20) /* a decoded plan fits into an arena of this size */

struct run_request {
	const char *agent; /* "" = the only one that the caller may start */
	const char *user; /* "" = the caller */
	const char *token; /* NULL = none of its own */
};

enum run_plan_flags {
	/* io_uring is refused to the command: IORING_OP_SOCKET passes by the seccomp filter that
	 * keeps socket families out. */
	RUN_PLAN_DENY_IO_URING = 1 << 0,
	/* The command can't trace processes outside the agent, nor signal them or connect to
	 * their abstract Unix sockets (kernel 6.12). On
	 * older kernels with Landlock this costs it mount(2), also in user namespaces of its own.
	 */
	RUN_PLAN_LANDLOCK = 1 << 1,
	/* The user and groups are the caller's own, as they are: uid, gid, groups, user and home
	 * say nothing. Must be set unless the caller is root. */
	RUN_PLAN_KEEP_USER = 1 << 2,
	/* The user's own known_hosts is shown with what is shown as RUN_PLAN_KNOWN_HOSTS. */
	RUN_PLAN_USER_KNOWN_HOSTS = 1 << 3,
	/* The ssh-agent that the caller's SSH_AUTH_SOCK names is not hidden, as others are. */
	RUN_PLAN_OWN_KEYS = 1 << 4,
	RUN_PLAN_FLAGS = RUN_PLAN_DENY_IO_URING | RUN_PLAN_LANDLOCK | RUN_PLAN_KEEP_USER |
		RUN_PLAN_USER_KNOWN_HOSTS | RUN_PLAN_OWN_KEYS,
};

struct run_path {
	const char *source;
	const char *target;
};

/* Paths are absolute. What is missing on the host is skipped; but a file
 * that is shown needs only the folder of its target. */
struct run_plan {
	uint32_t flags;
	uint32_t agent;
	/* Of CONTROL_UNIT, which asks from inside, they say nothing. */
	uint64_t cgroup; /* id; what stands at the path must have it */
	const char *cgroup_path; /* of its folder */
	uint32_t uid, gid;
	const char *user; /* for USER and LOGNAME */
	const char *home; /* for HOME */
	const uint32_t *groups; /* supplementary */
	size_t group_count;
	const char *const *hidden; /* folders look empty, files too; what is not there is skipped */
	size_t hidden_count;
	const char *const *read_only; /* with what is mounted below */
	size_t read_only_count;
	/* `source` as it is outside appears at `target`, also inside what is hidden. */
	const struct run_path *shown;
	size_t shown_count;
	/* The CAs that the command is to trust, as it sees them: for the variables that runtimes
	 * listen to. "" = none. */
	const char *trust_file;
};

int run_request_encode(const struct run_request *request, struct buffer *ret);
/* The texts point into the payload. -EBADMSG for anything but two or three terminated texts. */
int run_request_decode(struct slice payload, struct run_request *ret);
/* -EINVAL for a plan that would not decode. */
int run_plan_encode(const struct run_plan *plan, struct buffer *ret);
/* Everything in the plan is the arena's. -EBADMSG for what is malformed, -ENOMEM beyond the arena.
 */
int run_plan_decode(struct slice payload, struct arena *memory, struct run_plan *ret);

#endif
