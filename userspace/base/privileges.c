/* SPDX-License-Identifier: Apache-2.0 */
#include "base/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

int privileges_end_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

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

static int add_calls(scmp_filter_ctx filter, uint32_t answer, const int *calls, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = seccomp_rule_add(filter, answer, calls[i], 0);
	return r;
}

/* To this process and to no other. */
static int allow_own_signals(scmp_filter_ctx filter)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)getpid()));
}

#ifdef __SANITIZE_ADDRESS__
static int allow_sanitizers(scmp_filter_ctx filter)
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

	return add_calls(filter, SCMP_ACT_ALLOW, calls, ARRAY_SIZE(calls));
}
#else
static int allow_sanitizers(scmp_filter_ctx filter)
{
	(void)filter;
	return 0;
}
#endif

static int add_commands(scmp_filter_ctx filter, const int *commands, size_t count)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
	return r;
}

/* Memory that is or becomes code is for who took the process over. */
static int add_mappings(scmp_filter_ctx filter, int code_refusal)
{
	static const int calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(calls); i++) {
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
		if (r == 0 && code_refusal)
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO((uint32_t)code_refusal),
				calls[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	}
	return r;
}

static int add_all(scmp_filter_ctx filter, const struct privileges_calls *calls)
{
	int r = add_calls(filter, SCMP_ACT_ALLOW, calls->allowed, calls->allowed_count);

#ifndef __SANITIZE_ADDRESS__
	if (r == 0)
		r = add_calls(filter, SCMP_ACT_ERRNO((uint32_t)calls->refusal), calls->refused,
			calls->refused_count);
#endif
	if (r == 0)
		r = allow_own_signals(filter);
	if (r == 0)
		r = allow_sanitizers(filter);
	if (r == 0)
		r = add_commands(filter, calls->commands, calls->command_count);
	if (r == 0)
		r = add_mappings(filter, calls->code_refusal);
	if (r == 0 && calls->add)
		r = calls->add(filter);
	return r;
}

int privileges_filter(const struct privileges_calls *calls, struct error *e)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!filter)
		return error_set(e, -ENOMEM, "seccomp_init");
	/* The time zone is read from a file, at the first use: OpenSSL's, for a certificate. */
	tzset();
	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = add_all(filter, calls);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? error_set_errno(e, r, "seccomp") : 0;
}
