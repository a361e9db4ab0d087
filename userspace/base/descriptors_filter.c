/* SPDX-License-Identifier: Apache-2.0 */
#include "base/descriptors_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/landlock.h"
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

int descriptors_filter(struct error *e)
{
	static const int commands[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD};
	const struct privileges_calls calls = {
		.allowed = allowed_calls,
		.allowed_count = ARRAY_SIZE(allowed_calls),
		.refused = refused_calls,
		.refused_count = ARRAY_SIZE(refused_calls),
		.refusal = EACCES,
		.commands = commands,
		.command_count = ARRAY_SIZE(commands),
	};

	int r = landlock_shut(landlock_version(), false, e);

	return r < 0 ? r : privileges_filter(&calls, e);
}
