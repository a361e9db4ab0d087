/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/origin.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

/* MAJOR() and MINOR() of the kernel's own dev_t (include/linux/kdev_t.h). */
#define KERNEL_MINOR_BITS 20

static bool ask(int fd, struct origin *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, ORIGIN_LEVEL, ORIGIN_OPTION, ret, &size) == 0 && size == sizeof(*ret);
}

/* A Unix socket's name, where it is one: that this is asked for makes the answer of the first time
 * (bpf/unix.bpf.c). */
static bool is_unix(int fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNSPEC};
	socklen_t length = sizeof(name);

	return getsockname(fd, (struct sockaddr *)&name, &length) == 0 &&
		name.sun_family == AF_UNIX;
}

int origin_get(int accepted_fd, struct origin *ret)
{
	struct origin o;

	if (!ask(accepted_fd, &o) && !(is_unix(accepted_fd) && ask(accepted_fd, &o)))
		return errno == EBADF || errno == ENOTSOCK ? -errno : -ENODATA;
	if (o.version != ORIGIN_VERSION || o.agent == 0)
		return -ENODATA;
	*ret = o;
	return 0;
}

bool origin_is_program(const struct origin *o, const struct stat *file)
{
	unsigned major = o->exe_device >> KERNEL_MINOR_BITS;
	unsigned minor = o->exe_device & ((1u << KERNEL_MINOR_BITS) - 1);

	return o->exe_inode != 0 && o->exe_inode == file->st_ino &&
		makedev(major, minor) == file->st_dev;
}
