/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

int namespace_cookie(uint64_t *ret)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	int r;

	if (fd < 0)
		return -errno;
	r = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0 ? -errno : 0;
	close(fd);
	if (r == 0)
		*ret = cookie;
	return r;
}

void namespace_leave(int home)
{
	if (setns(home, CLONE_NEWNET) < 0) {
		log_error("the way back from another network namespace: %s", strerror(errno));
		abort();
	}
	close(home);
}

int namespace_enter(int fd, uint64_t cookie, int *ret_home)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), r;
	uint64_t found = 0;

	if (home < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET) < 0) {
		r = -errno;
		close(home);
		return r;
	}
	r = namespace_cookie(&found);
	if (r == 0 && cookie && found != cookie)
		r = -ESTALE;
	if (r < 0) {
		namespace_leave(home);
		return r;
	}
	*ret_home = home;
	return 0;
}
