/* SPDX-License-Identifier: Apache-2.0
 *
 * What the launcher's Landlock domains keep in, and what they leave alone, in children: the forms
 * for older kernels too, which this kernel still knows.
 */
#include <stdio.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher/launcher.h"

static int landlock_abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
}

enum {
	CAN_TRACE_OUTSIDE = 1,
	CAN_SIGNAL_OUTSIDE = 2,
	CAN_MOUNT = 4,
	CAN_LINK_ACROSS = 8,
	CAN_MAKE_FILES = 16,
	CAN_TRACE_INSIDE = 32,
};

static bool can_trace(pid_t pid)
{
	if (ptrace(PTRACE_ATTACH, pid, 0, 0) < 0)
		return false;
	waitpid(pid, NULL, __WALL);
	ptrace(PTRACE_DETACH, pid, 0, 0);
	return true;
}

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid;
}

/* In a folder of its own with "a/file" and "b/" in it. */
static int what_can(pid_t outside)
{
	pid_t inside = sleeper();
	int can = 0, fd = open("a/new", O_CREAT | O_WRONLY, 0600);

	can |= can_trace(outside) ? CAN_TRACE_OUTSIDE : 0;
	can |= can_trace(inside) ? CAN_TRACE_INSIDE : 0;
	can |= kill(outside, 0) == 0 ? CAN_SIGNAL_OUTSIDE : 0;
	can |= link("a/file", "b/link") == 0 ? CAN_LINK_ACROSS : 0;
	can |= fd >= 0 ? CAN_MAKE_FILES : 0;
	can |= unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && mount("t", "b", "tmpfs", 0, NULL) == 0
		? CAN_MOUNT
		: 0;
	kill(inside, SIGKILL);
	return can;
}

/* What a process can that confined itself for that version of Landlock; -1 where it couldn't. */
static int confined(int abi)
{
	char folder[] = "/tmp/test_capture_confine.XXXXXX", remove[64];
	pid_t outside = sleeper(), child;
	int status;

	cr_assert_not_null(mkdtemp(folder));
	child = fork();
	if (child == 0) {
		struct error e;

		if (chdir(folder) < 0 || mkdir("a", 0700) < 0 || mkdir("b", 0700) < 0 ||
			close(open("a/file", O_CREAT | O_WRONLY, 0600)) < 0 ||
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_landlock(abi, &e) < 0)
			_exit(255);
		_exit(what_can(outside));
	}
	waitpid(child, &status, 0);
	kill(outside, SIGKILL);
	waitpid(outside, NULL, 0);
	snprintf(remove, sizeof(remove), "rm -r %s", folder);
	cr_assert_eq(system(remove), 0);
	return WIFEXITED(status) && WEXITSTATUS(status) != 255 ? WEXITSTATUS(status) : -1;
}

Test(landlock, of_today_keeps_tracing_and_signals_in)
{
	if (landlock_abi() < 6)
		cr_skip("Landlock's version is %d: 6 is needed", landlock_abi());
	cr_assert_eq(confined(landlock_abi()),
		CAN_MOUNT | CAN_LINK_ACROSS | CAN_MAKE_FILES | CAN_TRACE_INSIDE);
}

Test(landlock, of_debian_12_keeps_tracing_in)
{
	if (landlock_abi() < 2)
		cr_skip("Landlock's version is %d: 2 is needed", landlock_abi());
	cr_assert_eq(confined(2),
		CAN_SIGNAL_OUTSIDE | CAN_LINK_ACROSS | CAN_MAKE_FILES | CAN_TRACE_INSIDE);
}

Test(landlock, is_left_out_where_the_kernel_has_none)
{
	cr_assert_eq(confined(-1),
		CAN_TRACE_OUTSIDE | CAN_SIGNAL_OUTSIDE | CAN_MOUNT | CAN_LINK_ACROSS |
			CAN_MAKE_FILES | CAN_TRACE_INSIDE);
}
