/* SPDX-License-Identifier: Apache-2.0 */
#include "base/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

int privileges_drop(uid_t uid, gid_t gid, struct error *e)
{
	return privileges_become(uid, gid, NULL, 0, e);
}

int privileges_become(
	uid_t uid, gid_t gid, const gid_t *groups, size_t group_count, struct error *e)
{
	const struct rlimit no_core = {0, 0};

	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		return error_set_errno(e, -errno, "setrlimit");
	/* The bounding set needs a capability to be emptied. */
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
		return error_set(e, -EPERM, "can't drop capabilities");
	if (setgroups(group_count, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
		setresuid(uid, uid, uid) < 0)
		return error_set_errno(e, -errno, "can't become user %u", (unsigned)uid);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return error_set(e, -EPERM, "can't drop capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return error_set_errno(e, -errno, "prctl");
	return 0;
}

int privileges_allow_own_signals(void *filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)getpid()));
}

#ifdef __SANITIZE_ADDRESS__
int privileges_allow_sanitizers(void *filter)
{
	static const int calls[] = {
		SCMP_SYS(sigaltstack),
		SCMP_SYS(readlink),
		SCMP_SYS(open),
		SCMP_SYS(sched_getaffinity),
		SCMP_SYS(prctl),
		SCMP_SYS(clone),
		SCMP_SYS(clone3),
		SCMP_SYS(ptrace),
		SCMP_SYS(wait4),
		SCMP_SYS(getppid),
		SCMP_SYS(getdents64),
		SCMP_SYS(dup2),
		SCMP_SYS(prlimit64),
		SCMP_SYS(pipe2),
		SCMP_SYS(ioctl),
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return r;
}
#else
int privileges_allow_sanitizers(void *filter)
{
	(void)filter;
	return 0;
}
#endif

int privileges_filter(privileges_rules *add, struct error *e)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!filter)
		return error_set(e, -ENOMEM, "seccomp_init");
	/* The time zone is read from a file, at the first use: OpenSSL's, for a certificate. */
	tzset();
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = add(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? error_set_errno(e, r, "seccomp") : 0;
}
