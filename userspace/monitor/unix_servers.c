/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/unix_servers.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/host_path.h"
#include "policy/unix_server.h"

#define SOCKET_NAME "worker.sock"

#ifndef SO_PEERPIDFD /* of kernel 6.5 */
#define SO_PEERPIDFD 77
#endif

int unix_servers_listen(struct capture *c, const char *runtime_dir, int *fd, struct error *e)
{
	char *folder = memory_format("%s/" UNIX_SERVERS_FOLDER, runtime_dir);
	char *path = memory_format("%s/" SOCKET_NAME, folder);
	int r = 0;

	if (*fd >= 0 && capture_adopt_unix(c, path, *fd) < 0) {
		close(*fd);
		*fd = -1;
	}
	/* Whoever is outside of `wayleave run` finds it too: the kernel looks it up as the agent.
	 */
	if ((mkdir(folder, 0755) < 0 && errno != EEXIST) || chmod(folder, 0755) < 0)
		r = error_set_errno(e, -errno, "%s", folder);
	else if (*fd < 0)
		r = capture_listen_unix(c, path, fd, e);
	free(folder);
	free(path);
	if (r == -ENAMETOOLONG || r == -EOPNOTSUPP) {
		log_warning("%s; agents can't reach servers by Unix sockets", e->text);
		r = 0;
	}
	return r;
}

void unix_servers_remove(const char *runtime_dir)
{
	char *path = memory_format("%s/" UNIX_SERVERS_FOLDER "/" SOCKET_NAME, runtime_dir);

	unlink(path);
	free(path);
}

struct list_of_servers {
	struct capture_server *items;
	size_t count;
};

/* The path, which it takes, and its other name; `path` NULL: none. */
static void add(struct list_of_servers *l, char *path, struct unix_server server)
{
	char *const names[] = {path, path ? unix_server_other_name(path) : NULL};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!names[i])
			continue;
		l->items = memory_resize_array(l->items, l->count + 1, sizeof(*l->items));
		l->items[l->count++] = (struct capture_server){names[i], server};
	}
}

/* The last is the path itself where it is no link. */
static char *(*const forms[])(const char *path) = {
	memory_copy_string, unix_server_place, unix_server_target};

/* The path in that form, for free(); NULL: there is none, or an earlier form is the same. */
static char *in_form(const char *path, size_t form)
{
	char *ret = forms[form](path);

	for (size_t i = 0; ret && i < form; i++) {
		char *earlier = forms[i](path);
		bool same = earlier && strcmp(earlier, ret) == 0;

		free(earlier);
		if (same) {
			free(ret);
			ret = NULL;
		}
	}
	return ret;
}

/* Of two with the same path the first one counts, so those that resources name come before those
 * that links lead to: whoever can write a link must not choose by whose rules another resource's
 * own socket is judged. */
struct capture_server *unix_servers_list(const struct config *c, size_t *ret_count)
{
	struct list_of_servers l = {0};

	for (size_t form = 0; form < ARRAY_SIZE(forms); form++) {
		for (size_t i = 0; i < c->resource_count; i++) {
			const struct config_upstream *upstream = c->resources[i].upstream;
			const char *path = upstream ? upstream->unix_path.text : NULL;

			if (path && *path == '/')
				add(&l, in_form(path, form),
					unix_server_of(slice_from_string(path)));
		}
	}
	*ret_count = l.count;
	return l.items;
}

void unix_servers_free(struct capture_server *servers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((char *)servers[i].path);
	free(servers);
}

/* Numbers of processes are given again. -ENOPROTOOPT: the kernel doesn't say (6.5). -ESRCH: it has
 * ended, and nothing more is known of it, of which some kernels say that it is not valid. */
static int open_peer(int fd)
{
	socklen_t size = sizeof(int);
	int process;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &process, &size) < 0)
		return errno == EINVAL ? -ESRCH : -errno;
	return process;
}

static bool has_ended(int process)
{
	struct pollfd wanted = {.fd = process, .events = POLLIN};

	return process == -ESRCH || (process >= 0 && poll(&wanted, 1, 0) > 0);
}

int unix_servers_check(struct capture *c, int fd, uid_t user)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	uint32_t agent = 0;
	int process, r;
	bool ended;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	process = open_peer(fd);
	if (process < 0 && process != -ENOPROTOOPT && process != -ESRCH)
		return process;
	r = capture_find_agent(c, peer.pid, &agent);
	ended = r == -ENOENT || r == -ESRCH || has_ended(process);
	if (process >= 0)
		close(process);
	if (r < 0 && !ended)
		return r;
	if (ended ? peer.uid != user : !agent)
		return 0;
	log_warning("who listens at a server's socket is no server, but process %d of an agent's",
		peer.pid);
	return -EACCES;
}

/* The folder as it stands, by no link that others than root can change. NULL: by one. */
static char *real_folder(const char *folder)
{
	char proc[64], text[PATH_MAX];
	int fd, r = host_path_open(folder, &fd, NULL);
	ssize_t n;

	if (r < 0)
		return r == -ELOOP ? NULL : memory_copy_string(folder);
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, text, sizeof(text));
	close(fd);
	return n <= 0 ? memory_copy_string(folder) : memory_copy_text(text, (size_t)n);
}

int unix_servers_real(const char *path, struct arena *memory, const char **ret)
{
	const char *slash = strrchr(path, '/');
	char *folder = memory_copy_text(path, slash == path ? 1 : (size_t)(slash - path)), *real,
	     *whole;
	const char *copy;

	real = real_folder(folder);
	free(folder);
	if (!real)
		return -ELOOP;
	whole = memory_format("%s%s", strcmp(real, "/") == 0 ? "" : real, slash);
	free(real);
	copy = (const char *)arena_copy(memory, slice_from_string(whole)).data;
	free(whole);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

const char *unix_servers_cover(const char *path, struct arena *memory)
{
	char *target = unix_server_target(path);
	size_t length = strlen(target);
	const char *ret;

	if (strncmp(target, "/run/", 5) == 0 && strchr(target + 5, '/'))
		length = (size_t)(strrchr(target, '/') - target);
	ret = (const char *)arena_copy(memory, slice_of(target, length)).data;
	free(target);
	return ret;
}
