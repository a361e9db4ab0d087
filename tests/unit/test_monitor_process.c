/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose processes are read.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/cgroup.h"
#include "monitor/process.h"
#include "monitor/program_hash.h"

/* Field 22 of /proc/PID/stat, in the nanoseconds that the kernel says at connect. */
static uint64_t start_of(pid_t pid)
{
	unsigned long long ticks = 0;
	char text[1024] = "", path[64];
	const char *at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	cr_assert_not_null(f);
	cr_assert_gt(fread(text, 1, sizeof(text) - 1, f), 0);
	fclose(f);
	at = strrchr(text, ')');
	for (int i = 2; at && i < 22; i++)
		at = strchr(at + 1, ' ');
	cr_assert(at && sscanf(at, "%llu", &ticks) == 1);
	return (uint64_t)ticks * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

static int read_self(const char *cgroup)
{
	static struct program_hashes hashes;
	struct message_process self = {.pid = (uint32_t)getpid(), .start_time = start_of(getpid())};
	struct message_facts facts = {.known = 0};
	struct buffer texts;
	struct stat program;
	int r;

	cr_assert_eq(stat("/proc/self/exe", &program), 0);
	self.exe_inode = program.st_ino;
	program_hashes_init(&hashes);
	buffer_init(&texts, 1 << 20);
	r = process_read(&self, cgroup, &hashes, &facts, &texts);
	if (r < 0)
		cr_expect_eq(buffer_length(&texts), 0);
	buffer_done(&texts);
	return r;
}

Test(monitor_process, only_those_of_the_agent)
{
	char own[CGROUP_PATH_SIZE];

	cr_expect_eq(read_self("another.slice/agent"), -ESRCH);
	if (cgroup_of_process(getpid(), own, sizeof(own)) == 0 && own[0])
		cr_expect_eq(read_self(own), 0);
}

#define PROGRAM_BYTES (64 << 20)

static void *rename_it(void *file)
{
	char other[96];

	snprintf(other, sizeof(other), "%s.new", (const char *)file);
	usleep(5000);
	cr_assert_eq(rename(file, other), 0);
	return NULL;
}

Test(monitor_process, the_hash_of_a_program_whose_name_changes_meanwhile)
{
	static struct program_hashes hashes;
	char folder[] = "/tmp/test_program.XXXXXX", file[64], link[64], command[96];
	struct message_process process = {0};
	uint8_t hash[MESSAGE_HASH_SIZE];
	pthread_t thread;
	struct stat s;
	int fd;

	cr_assert_not_null(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/program", folder);
	snprintf(link, sizeof(link), "%s/exe", folder);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_eq(ftruncate(fd, PROGRAM_BYTES), 0);
	cr_assert_eq(fstat(fd, &s), 0);
	snprintf(command, sizeof(command), "/proc/self/fd/%d", fd);
	cr_assert_eq(symlink(command, link), 0);
	process.exe_inode = s.st_ino;
	process.exe_device = major(s.st_dev) << 20 | minor(s.st_dev);
	program_hashes_init(&hashes);
	cr_assert_eq(pthread_create(&thread, NULL, rename_it, file), 0);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cr_expect_eq(program_hash(&hashes, fd, &process, hash), 0);
	pthread_join(thread, NULL);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	cr_assert_eq(system(command), 0);
}

/* The program of a process that waits until it is killed, as the kernel says at connect. */
static struct message_process start_program(const char *program, const char *covered)
{
	struct message_process ret = {0};
	char path[64], command[300];
	struct stat s;
	int ready[2];
	pid_t pid;

	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		/* In mounts of its own, where it is another's folder. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
			_exit(1);
		if (covered &&
			(unshare(CLONE_NEWNS) < 0 || mount("none", covered, "tmpfs", 0, NULL) < 0))
			_exit(1);
		snprintf(command, sizeof(command),
			"mkdir -p $(dirname %s); [ -e %s ] || cp /bin/cat %s", program, program,
			program);
		if (system(command) != 0 || dup2(ready[1], STDOUT_FILENO) < 0)
			_exit(1);
		execl(program, "cat", "/proc/self/comm", "/dev/zero", (char *)NULL);
		_exit(1);
	}
	cr_assert_eq(read(ready[0], path, 1), 1);
	close(ready[0]);
	ret.pid = (uint32_t)pid;
	ret.start_time = start_of(pid);
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	cr_assert_eq(stat(path, &s), 0);
	ret.exe_inode = s.st_ino;
	return ret;
}

static void end_program(const struct message_process *process)
{
	kill((pid_t)process->pid, SIGKILL);
	waitpid((pid_t)process->pid, NULL, 0);
}

Test(monitor_process, a_path_that_a_process_makes_up_is_not_followed)
{
	char folder[] = "/tmp/test_program.XXXXXX", net[64], program[128], options[128], asked[8],
	     found[256];
	struct message_process process;
	int ask[2];

	if (geteuid() != 0)
		cr_skip_test("it takes root to mount");
	cr_assert_eq(unshare(CLONE_NEWNS), 0);
	cr_assert_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	cr_assert_not_null(mkdtemp(folder));
	snprintf(net, sizeof(net), "%s/net", folder);
	cr_assert_eq(mkdir(net, 0755), 0);
	snprintf(program, sizeof(program), "%s/here/program", folder);
	process = start_program(program, NULL);
	cr_expect_eq(process_program(&process, found, sizeof(found)), 0);
	cr_expect_str_eq(found, program);
	end_program(&process);
	/* Where it says that its program is, an automounter would look a name up. */
	cr_assert_eq(pipe2(ask, O_NONBLOCK), 0);
	snprintf(options, sizeof(options), "fd=%d,pgrp=1,minproto=5,maxproto=5,indirect", ask[1]);
	if (mount("-hosts", net, "autofs", 0, options) < 0)
		cr_skip_test("the kernel has no autofs");
	snprintf(program, sizeof(program), "%s/secret.example.com/program", net);
	process = start_program(program, net);
	alarm(10);
	cr_expect_eq(process_program(&process, found, sizeof(found)), 1);
	alarm(0);
	cr_expect_str_eq(found, program);
	cr_expect_eq(read(ask[0], asked, sizeof(asked)), -1);
	end_program(&process);
	cr_assert_eq(umount2(net, MNT_DETACH), 0);
	snprintf(options, sizeof(options), "rm -r %s", folder);
	cr_assert_eq(system(options), 0);
}
