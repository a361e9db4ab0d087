/* SPDX-License-Identifier: Apache-2.0 */
#include "base/boot_id.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

int boot_id_read(char ret[BOOT_ID_SIZE], struct error *e)
{
	int fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return error_set_errno(e, -errno, BOOT_ID);
	memset(ret, 0, BOOT_ID_SIZE);
	n = read(fd, ret, BOOT_ID_SIZE - 1);
	close(fd);
	return n > 0 ? 0 : error_set_errno(e, -EIO, BOOT_ID);
}
