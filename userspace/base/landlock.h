/* SPDX-License-Identifier: Apache-2.0
 *
 * landlock: what a thread gives up beside its privileges, by Landlock (landlock(7)): it holds
 * whatever system calls are let through, and for requests of a ring, which no filter sees. For the
 * calling thread and all that it starts from then on; there is no way back. It takes
 * no-new-privileges.
 */
#ifndef WAYLEAVE_BASE_LANDLOCK_H
#define WAYLEAVE_BASE_LANDLOCK_H

#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* struct landlock_ruleset_attr of linux/landlock.h, kernel 6.12; Debian 12's ends at the first
 * field. */
struct landlock_rules {
	uint64_t files; /* LANDLOCK_ACCESS_FS_… that are refused where no rule allows them */
	uint64_t network; /* LANDLOCK_ACCESS_NET_…, the same; version 4, kernel 6.7 */
	uint64_t scopes; /* LANDLOCK_SCOPE_… that end at the domain; version 6, kernel 6.12 */
};

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14) /* version 3 */
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15) /* version 5 */
#endif
#ifndef LANDLOCK_ACCESS_NET_BIND_TCP
#define LANDLOCK_ACCESS_NET_BIND_TCP (1ULL << 0)
#define LANDLOCK_ACCESS_NET_CONNECT_TCP (1ULL << 1)
#endif
#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define LANDLOCK_SCOPE_SIGNAL (1ULL << 1)
#endif

#define LANDLOCK_VERSION_REFER 2
#define LANDLOCK_VERSION_TRUNCATE 3
#define LANDLOCK_VERSION_NETWORK 4
#define LANDLOCK_VERSION_IOCTL 5
#define LANDLOCK_VERSION_SCOPES 6

/* What this kernel has; 0: nothing, or it is switched off. */
int landlock_version(void);

/* Enters a domain with these rules. `everywhere`: those of `files` that are allowed below "/" all
 * the same. A negative errno where the kernel's version does not know one of them. */
int landlock_enter(const struct landlock_rules *rules, uint64_t everywhere, struct error *e);

/* For who has all descriptors that it needs: no file by its path, no TCP port of its own, no TCP
 * connection unless it `dials`, no signal to anybody outside of the domain and no abstract socket
 * of theirs; as far as `version` goes. 0 does nothing. What is open stays as it is. */
int landlock_shut(int version, bool dials, struct error *e);

#endif
