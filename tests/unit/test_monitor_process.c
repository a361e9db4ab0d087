/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose processes are read.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "capture/cgroup.h"
#include "monitor/process.h"
#include "monitor/program_hash.h"

/* Field 22 of /proc/self/stat, in the nanoseconds that the kernel says at connect. */
static uint64_t own_start(void)
{
	unsigned long long ticks = 0;
	char text[1024] = "";
	FILE *f = fopen("/proc/self/stat", "r");
	const char *at;

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
	struct message_process self = {.pid = (uint32_t)getpid(), .start_time = own_start()};
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
