/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/origin.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

/* MAJOR() and MINOR() of the kernel's own dev_t (include/linux/kdev_t.h). */
#define KERNEL_MINOR_BITS 20

int origin_get(int accepted_fd, struct origin *ret)
{
	struct origin o;
	socklen_t size = sizeof(o);

	if (getsockopt(accepted_fd, ORIGIN_LEVEL, ORIGIN_OPTION, &o, &size) < 0)
		return errno == EBADF || errno == ENOTSOCK ? -errno : -ENODATA;
	if (size != sizeof(o) || o.version != ORIGIN_VERSION || o.agent == 0)
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
