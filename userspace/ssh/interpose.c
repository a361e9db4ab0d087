/* SPDX-License-Identifier: Apache-2.0
 *
 * What libssh finds under these names of the C library's, in wayleave-ssh alone (readahead.h). */
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ssh/readahead.h"

ssize_t recv(int fd, void *ret, size_t length, int flags)
{
	if (flags == 0)
		return readahead_receive(fd, ret, length);
	return syscall(SYS_recvfrom, fd, ret, length, flags, NULL, NULL);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return readahead_poll(fds, count, timeout);
}

int close(int fd)
{
	/* The worker has it, too, and its peer is to know at once. */
	if (readahead_forget(fd))
		shutdown(fd, SHUT_WR);
	return (int)syscall(SYS_close, fd);
}
