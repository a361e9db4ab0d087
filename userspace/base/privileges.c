/* SPDX-License-Identifier: Apache-2.0 */
#include "base/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int privileges_drop(uid_t uid, gid_t gid, struct error *e)
{
	const struct rlimit no_core = {0, 0};

	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		return error_set_errno(e, -errno, "setrlimit");
	/* The bounding set needs a capability to be emptied. */
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		return error_set(e, -EPERM, "can't drop capabilities");
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return error_set_errno(e, -errno, "can't become user %u", (unsigned)uid);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return error_set(e, -EPERM, "can't drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_set_errno(e, -errno, "prctl");
	return 0;
}
