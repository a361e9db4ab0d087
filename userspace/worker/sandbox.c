/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/landlock.h"
#include "base/memory.h"
#include "base/privileges.h"

/* Threads, memory and time; the ring; files that are open; the monitor's channel and sockets. */
static const int allowed_calls[] = {
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),

	SCMP_SYS(close),
	SCMP_SYS(fdatasync),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(getsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(futex),
	/* Threads that are just beginning. */
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),

	SCMP_SYS(munmap),
	SCMP_SYS(memfd_create), /* questions for people */
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),

	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(getrandom),
	/* glibc's qsort asks how much memory there is, OpenSSL whether it runs setuid. */
	SCMP_SYS(sysinfo),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sched_yield),
	SCMP_SYS(restart_syscall),
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

/* What libraries try in passing and can do without: glibc's free() reads how memory is
 * overcommitted, its malloc() counts processors. Refused rather than deadly, since an agent can
 * bring it about. */
static const int refused_calls[] = {
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(sched_getaffinity),
};

/* But for how much of a socket is unread (worker/allowance.h). */
static int add_device_calls(void *filter)
{
	int r = 0;

#ifndef __SANITIZE_ADDRESS__
	r = seccomp_rule_add(
		filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, FIONREAD));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_NE, FIONREAD));
#else
	(void)filter;
#endif
	return r;
}

static int add_sockets(void *filter)
{
	static const int families[] = {AF_INET, AF_INET6};
	int r = 0;

	/* Sockets towards servers are TCP; the ring connects them. */
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]),
			SCMP_A1(SCMP_CMP_MASKED_EQ,
				UINT32_MAX & ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK),
				SOCK_STREAM));
	/* Pairs are the ends of what it keeps between its sessions and their processes. */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
			SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	return r;
}

static int add_arguments(void *filter)
{
	int r = add_sockets(filter);

	return r == 0 ? add_device_calls(filter) : r;
}

int sandbox_shut(struct error *e)
{
	return landlock_shut(landlock_version(), true, e);
}

int sandbox_filter(struct error *e)
{
	/* Not F_SETFL: it would take O_APPEND off the recordings' descriptors, and what is written
	 * could be changed. */
	static const int commands[] = {F_GETFL, F_GETFD, F_DUPFD_CLOEXEC, F_GET_SEALS};
	const struct privileges_calls calls = {
		.allowed = allowed_calls,
		.allowed_count = ARRAY_SIZE(allowed_calls),
		.refused = refused_calls,
		.refused_count = ARRAY_SIZE(refused_calls),
		.refusal = EACCES,
		.commands = commands,
		.command_count = ARRAY_SIZE(commands),
		.add = add_arguments,
	};

	return privileges_filter(&calls, e);
}
