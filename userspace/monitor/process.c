/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cgroup_pattern.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/mountinfo.h"
#include "capture/cgroup.h"

/* Fields of /proc/PID/stat that are looked at (proc(5)). */
struct process_stat {
	pid_t parent;
	uint64_t start_ticks; /* clock ticks since boot */
};

static const char *stat_field(const char *from, int number)
{
	/* The third is the first behind the command. */
	for (int i = 2; from && i < number; i++)
		from = strchr(from + 1, ' ');
	return from;
}

/* The command's name in parentheses may hold anything, so counting begins behind the last one. */
static int read_stat(int folder, struct process_stat *ret)
{
	const char *behind, *parent, *start;
	char text[1024];
	int fd = openat(folder, "stat", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	behind = strrchr(text, ')');
	parent = stat_field(behind, 4);
	start = stat_field(behind, 22);
	if (!parent || !start)
		return -EBADMSG;
	ret->parent = (pid_t)strtol(parent + 1, NULL, 10);
	ret->start_ticks = strtoull(start + 1, NULL, 10);
	return 0;
}

static int check_start(int folder, uint64_t start_time)
{
	uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);
	struct process_stat stat;
	int r = read_stat(folder, &stat);

	if (r < 0)
		return r;
	return stat.start_ticks == start_time / (NANOSECONDS_PER_SECOND / per_second) ? 0 : -ESRCH;
}

static int check_program(int folder, const struct message_process *process, struct stat *ret)
{
	int r = file_identify(folder, "exe", ret);

	if (r < 0)
		return r;
	/* The kernel's device number, (major << 20) | minor, against that of stat(2). Overlays
	 * report a device of their own to stat(2), so there the inode has to do. */
	if (ret->st_ino != process->exe_inode)
		return -ESRCH;
	return 0;
}

#define TRIES 16 /* for what the kernel is changing in the same moment */

static int open_by(const char *path, uint64_t resolve)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | resolve};
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static bool is_below(const char *path, const char *point)
{
	size_t length = strlen(point);

	return strncmp(path, point, length) == 0 && (path[length] == '/' || !path[length]);
}

/* Whether the way there is by the host's root and the program's own filesystem alone, and no
 * process serves that. */
static bool is_own_way(const char *path, const struct stat *program)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	struct mountinfo mount;
	char *line = NULL, own[32];
	size_t capacity = 0;
	bool ret = mounts != NULL;

	snprintf(own, sizeof(own), "%u:%u", major(program->st_dev), minor(program->st_dev));
	while (ret && getline(&line, &capacity, mounts) >= 0) {
		if (mountinfo_parse(line, &mount) && strcmp(mount.point, "/") != 0 &&
			is_below(path, mount.point))
			ret = strcmp(mount.device, own) == 0 && strncmp(mount.type, "fuse", 4) != 0;
	}
	ret = ret && feof(mounts);
	if (mounts)
		fclose(mounts);
	free(line);
	return ret;
}

/* A process with mounts of its own can have any path shown for its program: one whose lookup would
 * mount something, ask for any name, or wait for a server that does not answer. What runs is known
 * to the kernel with its whole path, so that there is nothing to be looked up; but filesystems of
 * servers are asked all the same, where the program is on one. */
static int open_standing(const char *path, const struct stat *program)
{
	int fd = -EAGAIN;

	for (int i = 0; fd == -EAGAIN && i < TRIES; i++)
		fd = open_by(path, RESOLVE_CACHED);
	return fd == -EAGAIN && is_own_way(path, program) ? open_by(path, 0) : fd;
}

static bool stands_at(const char *path, const struct stat *program)
{
	int fd = open_standing(path, program);
	struct stat s;
	bool ret;

	if (fd < 0)
		return false;
	ret = file_identify(fd, "", &s) == 0 && s.st_ino == program->st_ino &&
		s.st_dev == program->st_dev;
	close(fd);
	return ret;
}

/* The folder stays that of this process: when it has gone, its files are not found any more, even
 * where another one has its number. */
static int open_folder(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -ESRCH : fd;
}

int process_program(const struct message_process *process, char *ret, size_t size)
{
	struct stat program;
	ssize_t n = -1;
	int folder = open_folder((pid_t)process->pid), r;

	if (folder < 0)
		return folder;
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

/* --- the rest of what is known --- */

static int read_arguments(int folder, struct buffer *texts, struct message_facts *ret)
{
	char room[LIMIT_PROCESS_ARGUMENTS + 1];
	int fd = openat(folder, "cmdline", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	while (length < sizeof(room) && (n = read(fd, room + length, sizeof(room) - length)) > 0)
		length += (size_t)n;
	close(fd);
	if (n < 0)
		return -ESRCH;
	ret->arguments_cut = length > LIMIT_PROCESS_ARGUMENTS;
	ret->arguments_length = (uint32_t)(length - ret->arguments_cut);
	return buffer_append(texts, room, ret->arguments_length);
}

static int append_parent(int folder, pid_t pid, struct buffer *texts)
{
	char path[256];
	ssize_t n = readlinkat(folder, "exe", path, sizeof(path));
	int r;

	if (n < 0)
		return -ESRCH;
	r = buffer_append_format(texts, "%d %.*s", (int)pid, (int)n, path);
	return r < 0 ? r : buffer_append_byte(texts, 0);
}

static bool is_of_agent(pid_t pid, const char *cgroup)
{
	char path[CGROUP_PATH_SIZE];

	return cgroup_of_process(pid, path, sizeof(path)) == 0 &&
		cgroup_pattern_find(cgroup, path) > 0;
}

/* The parent of the process in *folder, whose folder is then there instead. 0: there is none that
 * is the agent's. -ESRCH: who it is can't be known, as one of them has gone meanwhile. */
static int read_parent(int *folder, const char *cgroup, struct buffer *texts)
{
	struct process_stat child, parent, again;
	int above, r = read_stat(*folder, &child);

	if (r < 0)
		return -ESRCH;
	if (child.parent <= 1 || !is_of_agent(child.parent, cgroup))
		return 0;
	above = open_folder(child.parent);
	if (above < 0)
		return -ESRCH;
	r = append_parent(above, child.parent, texts);
	if (r == 0)
		r = read_stat(above, &parent);
	/* Still its parent, and so it was before: a number is not used again while it is. */
	if (r == 0)
		r = read_stat(*folder, &again);
	if (r == 0 && again.parent != child.parent)
		r = -ESRCH;
	close(*folder);
	*folder = above;
	return r < 0 ? r : 1;
}

static void read_parents(
	int folder, const char *cgroup, struct buffer *texts, struct message_facts *ret)
{
	int at = fcntl(folder, F_DUPFD_CLOEXEC, 0), r = at < 0 ? -errno : 1;
	size_t before = buffer_length(texts), kept = before;

	for (unsigned i = 0; r == 1 && i <= LIMIT_PROCESS_PARENTS; i++) {
		r = read_parent(&at, cgroup, texts);
		if (r == 1 && i < LIMIT_PROCESS_PARENTS)
			kept = buffer_length(texts);
	}
	if (at >= 0)
		close(at);
	ret->parents_cut = r != 0;
	buffer_truncate(texts, kept);
	ret->parents_length = (uint32_t)(kept - before);
}

int process_check(int folder, const struct message_process *process)
{
	struct stat program;
	int r = check_program(folder, process, &program);

	return r < 0 ? r : check_start(folder, process->start_time);
}

int process_open(const struct message_process *process, const char *cgroup)
{
	int folder = open_folder((pid_t)process->pid), r;

	if (folder < 0)
		return folder;
	/* Whoever asks may have been taken over: what is nobody's of the agent's is not told. */
	r = is_of_agent((pid_t)process->pid, cgroup) ? process_check(folder, process) : -ESRCH;
	if (r == 0)
		return folder;
	close(folder);
	return r;
}

int process_read(const struct message_process *process, const char *cgroup,
	struct program_hashes *hashes, struct message_facts *ret, struct buffer *texts)
{
	int folder = process_open(process, cgroup), r;

	if (folder < 0)
		return folder;
	r = read_arguments(folder, texts, ret);
	if (r == 0) {
		read_parents(folder, cgroup, texts, ret);
		ret->hashed = program_hash(hashes, folder, process, ret->hash) == 0;
		/* Last, so that all of it was read of the same program of the same process. */
		r = process_check(folder, process);
	}
	close(folder);
	return r;
}
