/* SPDX-License-Identifier: Apache-2.0
 *
 * Inherited descriptors. Hooks follow the cgroup that a socket was made in (bypass B10), and what
 * was opened before belongs to the mount namespace outside: a folder would lead to everything that
 * is hidden inside.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/memory.h"
#include "launcher/launcher.h"

#define MISC_MAJOR 10 /* Documentation/admin-guide/devices.txt */

/* Minor numbers of the devices that carry packets: tun, vhost-net, vhost-vsock. */
static const unsigned network_minors[] = {200, 238, 241};

/* What is nothing but a number or an event. Everything else without a file (io_uring, BPF, pidfd,
 * perf, seccomp's notifier, a mount) gives a hold on something. */
static const char *const harmless[] = {"anon_inode:[eventfd]", "anon_inode:[eventpoll]",
	"anon_inode:[timerfd]", "anon_inode:[signalfd]", "anon_inode:inotify"};

/* Files of the kernel's interfaces: never (`always`), or only for reading. */
static const struct {
	long magic;
	bool always;
} interfaces[] = {
	{CGROUP_SUPER_MAGIC, true}, {CGROUP2_SUPER_MAGIC, true}, {BPF_FS_MAGIC, true},
	{NSFS_MAGIC, true}, {0x50494446, true}, /* PID_FS_MAGIC, kernel 6.9: pidfds */
	{PROC_SUPER_MAGIC, false}, {SYSFS_MAGIC, false}, {DEBUGFS_MAGIC, false},
	{TRACEFS_MAGIC, false}, {SECURITYFS_MAGIC, false}, {0x62656570, false}, /* CONFIGFS_MAGIC */
};

static bool is_unix_socket(int fd)
{
	int domain;
	socklen_t size = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

static bool is_network_device(dev_t device)
{
	for (size_t i = 0; i < ARRAY_SIZE(network_minors); i++) {
		if (makedev(MISC_MAJOR, network_minors[i]) == device)
			return true;
	}
	return false;
}

static bool is_interface(int fd, bool writable)
{
	struct statfs system;

	if (fstatfs(fd, &system) < 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(interfaces); i++) {
		if (interfaces[i].magic == system.f_type)
			return interfaces[i].always || writable;
	}
	return false;
}

/* Without a file: anonymous inodes, which have no type of their own. */
static bool is_harmless_anonymous(int fd)
{
	char path[64], target[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	length = readlink(path, target, sizeof(target) - 1);
	target[length < 0 ? 0 : length] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
		if (strcmp(target, harmless[i]) == 0)
			return true;
	}
	return false;
}

static bool may_keep(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat s;

	if (flags < 0 || flags & O_PATH || fstat(fd, &s) < 0)
		return false;
	if (S_ISSOCK(s.st_mode))
		return is_unix_socket(fd);
	if (S_ISDIR(s.st_mode) || is_interface(fd, (flags & O_ACCMODE) != O_RDONLY))
		return false;
	if (S_ISCHR(s.st_mode))
		return !is_network_device(s.st_rdev);
	if (S_ISREG(s.st_mode) || S_ISFIFO(s.st_mode) || S_ISBLK(s.st_mode))
		return true;
	return is_harmless_anonymous(fd);
}

/* A program that is started without a standard descriptor would take its first file for one. */
static int replace(int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r;

	if (null < 0)
		return -errno;
	r = dup2(null, fd) < 0 ? -errno : 0;
	close(null);
	return r;
}

/* -ELOOP where /proc is something else than it should be. */
static int open_listing(DIR **ret)
{
	int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs system;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &system) < 0 || system.f_type != PROC_SUPER_MAGIC) {
		close(fd);
		return -ELOOP;
	}
	*ret = fdopendir(fd);
	return *ret ? 0 : -ENOMEM;
}

/* All that are open, without the listing's own. */
static int list(int **ret, size_t *ret_count)
{
	struct dirent *entry;
	size_t count = 0;
	int *fds = NULL;
	DIR *listing = NULL;
	int r = open_listing(&listing);

	if (r < 0)
		return r;
	while ((entry = readdir(listing))) {
		int fd = (int)strtol(entry->d_name, NULL, 10);

		if (entry->d_name[0] == '.' || fd == dirfd(listing))
			continue;
		fds = memory_resize_array(fds, count + 1, sizeof(*fds));
		fds[count++] = fd;
	}
	closedir(listing);
	*ret = fds;
	*ret_count = count;
	return 0;
}

int descriptors_close(struct error *e)
{
	int *fds = NULL;
	size_t count;
	int r = list(&fds, &count);

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (may_keep(fds[i]))
			continue;
		if (fds[i] <= STDERR_FILENO)
			r = replace(fds[i]);
		else
			close(fds[i]);
	}
	free(fds);
	return r < 0 ? error_set_errno(e, r, "closing what was inherited") : 0;
}
