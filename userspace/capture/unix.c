/* SPDX-License-Identifier: Apache-2.0
 *
 * Unix sockets of servers on this host: which of them are turned to the worker, and where to
 * (bpf/unix.bpf.c).
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/memory.h"
#include "capture/state.h"

/* The file that a socket is bound to (linux/un.h, which has sys/un.h's names too). */
#define SIOCUNIXFILE (SIOCPROTOPRIVATE + 0)
#define BACKLOG 4096 /* the kernel takes net.core.somaxconn where that is less */

static bool is_named(const struct capture_setup *setup, const struct unix_path *path)
{
	for (size_t i = 0; i < setup->server_count; i++) {
		if (strcmp(setup->servers[i].path, path->text) == 0)
			return true;
	}
	return false;
}

/* Those that no resource names any more. */
static void remove_others(int map, const struct capture_setup *setup)
{
	struct unix_path *found = memory_new_array(UNIX_SERVERS_MOST, sizeof(*found)),
			 *before = NULL;
	size_t count = 0;

	while (count < UNIX_SERVERS_MOST && bpf_map_get_next_key(map, before, &found[count]) == 0)
		before = &found[count++];
	for (size_t i = 0; i < count; i++) {
		if (!is_named(setup, &found[i]))
			bpf_map_delete_elem(map, &found[i]);
	}
	free(found);
}

int capture_set_servers(struct capture *c, const struct capture_setup *setup, struct error *e)
{
	int map = c->programs.maps[PROGRAMS_UNIX_SERVERS];

	if (map < 0)
		return 0;
	remove_others(map, setup);
	/* From the last: of two of the same path the first stays. */
	for (size_t i = setup->server_count; i-- > 0;) {
		const struct capture_server *s = &setup->servers[i];
		struct unix_path path = {{0}};

		/* No socket can stand there. */
		if (strlen(s->path) > UNIX_PATH_MOST)
			continue;
		memcpy(path.text, s->path, strlen(s->path));
		if (bpf_map_update_elem(map, &path, &s->server, BPF_ANY) < 0)
			return error_set_errno(e, -errno, "the socket %s", s->path);
	}
	return 0;
}

/* A listening socket at the path, which anybody may connect to. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	memcpy(address.sun_path, path, strlen(path));
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
		listen(fd, BACKLOG) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int write_worker(struct capture *c, const char *path)
{
	struct unix_worker worker = {.length = (uint32_t)strlen(path) + 1};
	uint32_t zero = 0;

	memcpy(worker.path.text, path, worker.length);
	return bpf_map_update_elem(
		       c->programs.maps[PROGRAMS_UNIX_WORKERS], &zero, &worker, BPF_ANY) < 0
		? -errno
		: 0;
}

int capture_listen_unix(struct capture *c, const char *path, int *ret_fd, struct error *e)
{
	char *made;
	int fd, r;

	if (!programs_turn_unix(&c->programs))
		return error_set(
			e, -EOPNOTSUPP, "connections to Unix sockets can't be turned (kernel 6.7)");
	made = memory_format("%s.new", path);
	if (strlen(made) >= UNIX_PATH_MOST) {
		r = error_set(e, -ENAMETOOLONG, "%s is too long for a socket", path);
		free(made);
		return r;
	}
	fd = listen_at(made);
	r = fd < 0 ? fd : 0;
	/* An agent that runs dials the old one, and then this: never none. */
	if (r == 0 && rename(made, path) < 0)
		r = -errno;
	if (r == 0)
		r = write_worker(c, path);
	free(made);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return error_set_errno(e, r, "the socket %s", path);
	}
	*ret_fd = fd;
	return 0;
}

/* Whether the path leads to that very socket, and not to one that somebody put there since. */
static bool stands_at(int fd, const char *path)
{
	struct stat own, there;
	int file = ioctl(fd, SIOCUNIXFILE); /* needs CAP_NET_ADMIN; no file: not bound to one */
	bool ret;

	if (file < 0)
		return false;
	ret = fstat(file, &own) == 0 && lstat(path, &there) == 0 && own.st_dev == there.st_dev &&
		own.st_ino == there.st_ino;
	close(file);
	return ret;
}

int capture_adopt_unix(struct capture *c, const char *path, int fd)
{
	socklen_t size = sizeof(int);
	int listens = 0;

	if (!programs_turn_unix(&c->programs) ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens ||
		!stands_at(fd, path))
		return -ESTALE;
	return write_worker(c, path);
}
