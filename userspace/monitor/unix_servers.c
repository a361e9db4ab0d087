/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/unix_servers.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "policy/unix_server.h"

#define SOCKET_NAME "worker.sock"

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

/* Takes the path. */
static void add(struct list_of_servers *l, char *path, struct unix_server server)
{
	l->items = memory_resize_array(l->items, l->count + 1, sizeof(*l->items));
	l->items[l->count++] = (struct capture_server){path, server};
}

/* With its folder as it is without links; NULL: it is not there. */
static char *real_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = memory_format("%.*s", (int)(slash - path), path), *real, *ret;

	real = realpath(*folder ? folder : "/", NULL);
	ret = real ? memory_format("%s%s", strcmp(real, "/") == 0 ? "" : real, slash) : NULL;
	free(folder);
	free(real);
	return ret;
}

/* /var/run is a link to /run, on every host that has both; programs are built with either. */
static char *other_name(const char *path)
{
	static const char old[] = "/var/run/", new[] = "/run/";

	if (strncmp(path, old, strlen(old)) == 0)
		return memory_format("%s%s", new, path + strlen(old));
	if (strncmp(path, new, strlen(new)) == 0)
		return memory_format("%s%s", old, path + strlen(new));
	return NULL;
}

struct capture_server *unix_servers_list(const struct config *c, size_t *ret_count)
{
	struct list_of_servers l = {0};

	for (size_t i = 0; i < c->resource_count; i++) {
		const struct config_upstream *upstream = c->resources[i].upstream;
		const char *path = upstream ? upstream->unix_path.text : NULL;
		struct unix_server server;
		char *real, *other;

		if (!path || *path != '/')
			continue;
		server = unix_server_of(slice_from_string(path));
		real = real_path(path);
		other = other_name(real ? real : path);
		add(&l, memory_copy_string(path), server);
		if (real)
			add(&l, real, server);
		if (other)
			add(&l, other, server);
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

const char *unix_servers_real(const char *path, struct arena *memory)
{
	char *real = real_path(path);
	const char *ret =
		(const char *)arena_copy(memory, slice_from_string(real ? real : path)).data;

	free(real);
	return ret;
}

const char *unix_servers_cover(const char *path, struct arena *memory)
{
	char *real = real_path(path);
	const char *shown = real ? real : path;
	size_t length = strlen(shown);

	if (strncmp(shown, "/run/", 5) == 0 && strchr(shown + 5, '/'))
		length = (size_t)(strrchr(shown, '/') - shown);
	shown = (const char *)arena_copy(memory, slice_of(shown, length)).data;
	free(real);
	return shown;
}
