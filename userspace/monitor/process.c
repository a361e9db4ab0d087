/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"

/* Field 22 of /proc/PID/stat: the start time in clock ticks since boot. The command's name in
 * parentheses may hold anything, so counting begins behind the last one. */
static int read_start_ticks(int folder, uint64_t *ret)
{
	char text[1024], *field;
	int fd = openat(folder, "stat", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	field = strrchr(text, ')');
	for (int i = 2; field && i < 22; i++)
		field = strchr(field + 1, ' ');
	if (!field)
		return -EBADMSG;
	*ret = strtoull(field + 1, NULL, 10);
	return 0;
}

static int check_start(int folder, uint64_t start_time)
{
	uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK), ticks = 0;
	int r = read_start_ticks(folder, &ticks);

	if (r < 0)
		return r;
	return ticks == start_time / (NANOSECONDS_PER_SECOND / per_second) ? 0 : -ESRCH;
}

static int check_program(int folder, const struct message_process *process, struct stat *ret)
{
	if (fstatat(folder, "exe", ret, 0) < 0)
		return -errno;
	/* The kernel's device number, (major << 20) | minor, against that of stat(2). Overlays
	 * report a device of their own to stat(2), so there the inode has to do. */
	if (ret->st_ino != process->exe_inode)
		return -ESRCH;
	return 0;
}

/* A process with mounts of its own can have any path shown for its program. */
static bool stands_at(const char *path, const struct stat *program)
{
	struct stat s;

	return stat(path, &s) == 0 && s.st_ino == program->st_ino && s.st_dev == program->st_dev;
}

int process_program(const struct message_process *process, char *ret, size_t size)
{
	struct stat program;
	char path[64];
	ssize_t n = -1;
	int folder, r;

	snprintf(path, sizeof(path), "/proc/%u", process->pid);
	folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return -ESRCH;
	r = check_program(folder, process, &program);
	if (r == 0)
		n = readlinkat(folder, "exe", ret, size - 1);
	/* Last, so that all of it was read of the same process. */
	if (r == 0)
		r = check_start(folder, process->start_time);
	close(folder);
	if (r < 0)
		return r;
	if (n < 0)
		return -ESRCH;
	ret[n] = '\0';
	return stands_at(ret, &program) ? 0 : 1;
}
