/* SPDX-License-Identifier: Apache-2.0
 *
 * privileges: what a process gives up before it reads the first byte of a peer.
 */
#ifndef WAYLEAVE_BASE_PRIVILEGES_H
#define WAYLEAVE_BASE_PRIVILEGES_H

#include <sys/types.h>

#include "base/error.h"

/* Another user, no capabilities, no new privileges, not dumpable, no core file. Before threads are
 * started. */
int privileges_drop(uid_t uid, gid_t gid, struct error *e);
/* The same with these further groups. */
int privileges_become(
	uid_t uid, gid_t gid, const gid_t *groups, size_t group_count, struct error *e);

/* Adds rules to a libseccomp filter; 0 or a negative errno. */
typedef int privileges_rules(void *filter);
/* Allows signals to this process (abort() sends one) and to no other: its user has more of them. */
int privileges_allow_own_signals(void *filter);
/* In sanitized builds alone: allows what the sanitizers' runtime does when it reports, but for
 * openat(2). */
int privileges_allow_sanitizers(void *filter);
/* From now on, in all threads: a system call that `add` does not name kills the process. */
int privileges_filter(privileges_rules *add, struct error *e);

#endif
