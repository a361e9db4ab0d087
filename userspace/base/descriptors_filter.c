/* SPDX-License-Identifier: Apache-2.0 */
#include "base/descriptors_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/memory.h"
#include "base/privileges.h"

static const int allowed_calls[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(shutdown),
	SCMP_SYS(close),

	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(setitimer),
	SCMP_SYS(alarm),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(sched_yield),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(lseek),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
#ifdef __SANITIZE_ADDRESS__
	/* Reports name the places in the program's own file. */
	SCMP_SYS(openat),
#endif
};

#ifndef __SANITIZE_ADDRESS__
/* What the library tries in passing and can do without: names of users, files of keys. */
static const int refused_calls[] = {
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(stat),
	SCMP_SYS(access),
	SCMP_SYS(socket),
	SCMP_SYS(connect),
	SCMP_SYS(ioctl),
	SCMP_SYS(readlink),
	SCMP_SYS(sched_getaffinity),
};
#endif

static int add_rules(void *filter)
{
	static const int commands[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD};
	static const int mapping_calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(allowed_calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
#ifndef __SANITIZE_ADDRESS__
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(refused_calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused_calls[i], 0);
#endif
	if (r == 0)
		r = privileges_allow_own_signals(filter);
	if (r == 0)
		r = privileges_allow_sanitizers(filter);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(commands); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
			SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i]));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(mapping_calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, mapping_calls[i], 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return r;
}

int descriptors_filter(struct error *e)
{
	return privileges_filter(add_rules, e);
}
