/* SPDX-License-Identifier: Apache-2.0 */
#include "capture/namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"

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

struct seen {
	ino_t *items;
	size_t count;
};

static bool is_seen(const struct seen *s, ino_t namespace)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->items[i] == namespace)
			return true;
	}
	return false;
}

static void add(struct seen *s, ino_t namespace)
{
	s->items = memory_resize_array(s->items, s->count + 1, sizeof(*s->items));
	s->items[s->count++] = namespace;
}

/* Most threads are where others are: nothing is opened for those. One that ends, or goes elsewhere,
 * meanwhile doesn't make its namespace a seen one: others may be there. */
static void call_in(struct seen *s, const char *path, void (*here)(void *context), void *context)
{
	struct stat namespace;
	int fd, home;

	if (stat(path, &namespace) < 0 || is_seen(s, namespace.st_ino))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (fstat(fd, &namespace) == 0 && !is_seen(s, namespace.st_ino)) {
		add(s, namespace.st_ino);
		if (namespace_enter(fd, 0, &home) == 0) {
			here(context);
			namespace_leave(home);
		}
	}
	close(fd);
}

void namespace_each(void (*here)(void *context), void *context)
{
	struct seen s = {.items = NULL};
	glob_t found;

	if (glob("/proc/[0-9]*/task/[0-9]*/ns/net", GLOB_NOSORT, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			call_in(&s, found.gl_pathv[i], here, context);
		globfree(&found);
	}
	free(s.items);
}
