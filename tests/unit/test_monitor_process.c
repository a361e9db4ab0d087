/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose processes are read.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/cgroup.h"
#include "monitor/process.h"

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
