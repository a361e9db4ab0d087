/* SPDX-License-Identifier: Apache-2.0
 *
 * privileges: what a process gives up before it reads the first byte of a peer.
 */
#ifndef WAYLEAVE_BASE_PRIVILEGES_H
#define WAYLEAVE_BASE_PRIVILEGES_H

#include <sys/types.h>

#include "base/error.h"

/* For a child: SIGKILL once the thread that forked it has ended. -ESRCH: it has already. */
int privileges_end_with(pid_t parent);
/* Another user, no capabilities, no new privileges, not dumpable, no core file. Before threads are
 * started. */
int privileges_drop(uid_t uid, gid_t gid, struct error *e);
/* The same with these further groups. */
int privileges_become(
	uid_t uid, gid_t gid, const gid_t *groups, size_t group_count, struct error *e);

/* What a filter lets through, beside signals to this process (abort() sends one; its user has more
 * processes), mappings that are not code and, in sanitized builds, what the sanitizers' runtime
 * does when it reports. The arrays are the caller's, for the time of the call. */
struct privileges_calls {
	const int *allowed; /* whatever their arguments */
	size_t allowed_count;
	/* Answered with the errno `refusal` rather than deadly. Not in sanitized builds, which need
	 * some of them. */
	const int *refused;
	size_t refused_count;
	int refusal;
	const int *commands; /* of fcntl(2) */
	size_t command_count;
	int code_refusal; /* errno for mappings that are or become code; 0: deadly */
	/* Adds the rules that look at arguments to a libseccomp filter; 0 or a negative errno.
	 * NULL: none. */
	int (*add)(void *filter);
};

/* From now on, in all threads: a system call that `calls` does not name kills the process. */
int privileges_filter(const struct privileges_calls *calls, struct error *e);

#endif
