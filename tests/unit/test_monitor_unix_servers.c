/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "capture/state.h"
#include "monitor/unix_servers.h"
#include "policy/unix_server.h"

/* The servers of a configuration whose resources have these sockets; `first` NULL: that one has
 * none. */
static struct capture_server *servers_of_two(
	const char *first, const char *second, size_t *ret_count)
{
	char *texts[2] = {memory_copy_string(first ? first : ""), memory_copy_string(second)};
	struct config_upstream upstreams[2] = {
		{.unix_path = {.text = texts[0]}}, {.unix_path = {.text = texts[1]}}};
	struct config_resource resources[2] = {
		{.upstream = first ? &upstreams[0] : NULL}, {.upstream = &upstreams[1]}};
	const struct config c = {.resources = resources, .resource_count = 2};
	struct capture_server *list = unix_servers_list(&c, ret_count);

	free(texts[0]);
	free(texts[1]);
	return list;
}

static struct capture_server *servers_of(const char *path, size_t *ret_count)
{
	return servers_of_two(NULL, path, ret_count);
}

/* Whose that path is: its first entry counts. */
static bool belongs_to(
	const struct capture_server *list, size_t count, const char *path, const char *named)
{
	const struct unix_server wanted = unix_server_of(slice_from_string(named));

	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].path, path) == 0)
			return memcmp(list[i].server.digest, wanted.digest,
				       sizeof(wanted.digest)) == 0;
	}
	return false;
}

static bool has(const struct capture_server *list, size_t count, const char *path)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].path, path) == 0)
			return true;
	}
	return false;
}

Test(unix_servers, both_names_of_run_are_known)
{
	const struct unix_server wanted =
		unix_server_of(slice_from_string("/var/run/wl-none/.s.PGSQL.5432"));
	size_t count;
	struct capture_server *list = servers_of("/var/run/wl-none/.s.PGSQL.5432", &count);

	cr_assert(has(list, count, "/var/run/wl-none/.s.PGSQL.5432"));
	cr_assert(has(list, count, "/run/wl-none/.s.PGSQL.5432"));
	for (size_t i = 0; i < count; i++)
		cr_assert_arr_eq(list[i].server.digest, wanted.digest, sizeof(wanted.digest));
	unix_servers_free(list, count);
	list = servers_of("/run/wl-none/socket", &count);
	cr_assert(has(list, count, "/var/run/wl-none/socket"));
	unix_servers_free(list, count);
}

Test(unix_servers, a_folder_behind_a_link_is_known_by_its_own_name)
{
	char folder[] = "/tmp/unix-servers-XXXXXX", *real, *link, *dialled, *found;
	struct capture_server *list;
	struct arena memory;
	size_t count;

	cr_assert(mkdtemp(folder));
	real = memory_format("%s/real", folder);
	link = memory_format("%s/link", folder);
	dialled = memory_format("%s/socket", link);
	found = memory_format("%s/socket", real);
	cr_assert_eq(mkdir(real, 0755), 0);
	cr_assert_eq(symlink("real", link), 0);
	list = servers_of(dialled, &count);
	cr_assert_eq(count, 2u);
	cr_assert(has(list, count, dialled) && has(list, count, found));
	unix_servers_free(list, count);
	/* The socket alone is covered: what else is in the folder is the agent's business. */
	arena_init(&memory, 4096);
	cr_assert_str_eq(unix_servers_cover(dialled, &memory), found);
	arena_done(&memory);
	unlink(link);
	rmdir(real);
	rmdir(folder);
	free(real);
	free(link);
	free(dialled);
	free(found);
}

/* What stands at the path is known by all its names, also before its server has made it. */
static void check_link(const char *target, const char *found, const char *cover)
{
	char folder[] = "/tmp/unix-servers-XXXXXX", *link, *named;
	struct capture_server *list;
	struct arena memory;
	size_t count;

	cr_assert(mkdtemp(folder));
	link = memory_format("%s/link", folder);
	named = *found == '/' ? memory_copy_string(found) : memory_format("%s/%s", folder, found);
	cr_assert_eq(symlink(target, link), 0);
	list = servers_of(link, &count);
	cr_assert(has(list, count, link) && has(list, count, named), "%s", target);
	for (size_t i = 0; i < count; i++)
		cr_assert_arr_eq(list[i].server.digest,
			unix_server_of(slice_from_string(link)).digest,
			sizeof(list[i].server.digest));
	unix_servers_free(list, count);
	arena_init(&memory, 4096);
	cr_assert_str_eq(unix_servers_cover(link, &memory), cover ? cover : named);
	arena_done(&memory);
	unlink(link);
	rmdir(folder);
	free(link);
	free(named);
}

Test(unix_servers, a_link_is_known_by_what_it_leads_to)
{
	check_link("/dev/null", "/dev/null", NULL);
	check_link("socket", "socket", NULL);
	check_link("./socket", "socket", NULL);
	check_link("/run/wl-none/socket", "/run/wl-none/socket", "/run/wl-none");
	check_link("/run/wl-none/socket", "/var/run/wl-none/socket", "/run/wl-none");
	/* It leads nowhere, for ever. */
	check_link("link", "link", NULL);
}

/* Whoever can write the link, or the folder's, chooses nothing by it. */
static void check_own_path(const char *link, const char *through, const char *own)
{
	size_t count;
	struct capture_server *list = servers_of_two(through, own, &count);

	cr_assert(belongs_to(list, count, own, own), "%s, of which %s is a link", own, link);
	cr_assert(belongs_to(list, count, through, through));
	unix_servers_free(list, count);
	list = servers_of_two(own, through, &count);
	cr_assert(belongs_to(list, count, own, own));
	cr_assert(belongs_to(list, count, through, through));
	unix_servers_free(list, count);
}

Test(unix_servers, what_a_resource_names_is_its_own_wherever_links_of_others_lead)
{
	char folder[] = "/tmp/unix-servers-XXXXXX", *link, *through;

	cr_assert(mkdtemp(folder));
	link = memory_format("%s/link", folder);
	through = memory_format("%s/.s.PGSQL.5432", link);
	cr_assert_eq(symlink("/run/wl-none/.s.PGSQL.5432", link), 0);
	check_own_path(link, link, "/run/wl-none/.s.PGSQL.5432");
	check_own_path(link, link, "/var/run/wl-none/.s.PGSQL.5432");
	unlink(link);
	cr_assert_eq(symlink("/run", link), 0);
	check_own_path(link, through, "/run/.s.PGSQL.5432");
	unlink(link);
	rmdir(folder);
	free(link);
	free(through);
}

/* A folder's link of one, which says where its socket is, and a socket's of another. */
Test(unix_servers, a_folder_that_is_a_link_comes_before_a_socket_that_is_one)
{
	char folder[] = "/tmp/unix-servers-XXXXXX", *real, *link, *socket, *found, *dialled;
	struct capture_server *list;
	size_t count;

	cr_assert(mkdtemp(folder));
	real = memory_format("%s/real", folder);
	link = memory_format("%s/link", folder);
	socket = memory_format("%s/socket", folder);
	found = memory_format("%s/s", real);
	dialled = memory_format("%s/s", link);
	cr_assert_eq(mkdir(real, 0755), 0);
	cr_assert_eq(symlink("real", link), 0);
	cr_assert_eq(symlink("real/s", socket), 0);
	list = servers_of_two(socket, dialled, &count);
	cr_assert(belongs_to(list, count, found, dialled));
	cr_assert(belongs_to(list, count, socket, socket));
	unix_servers_free(list, count);
	unlink(socket);
	unlink(link);
	rmdir(real);
	rmdir(folder);
	free(real);
	free(link);
	free(socket);
	free(found);
	free(dialled);
}

Test(unix_servers, a_folder_of_run_is_covered_whole)
{
	struct arena memory;

	arena_init(&memory, 4096);
	cr_assert_str_eq(unix_servers_cover("/run/wl-none/.s.PGSQL.5432", &memory), "/run/wl-none");
	cr_assert_str_eq(unix_servers_cover("/run/wl-none.sock", &memory), "/run/wl-none.sock");
	arena_done(&memory);
}

Test(unix_servers, digests_differ)
{
	struct unix_server a = unix_server_of(slice_from_string("/run/a"));
	struct unix_server b = unix_server_of(slice_from_string("/run/b"));

	cr_assert_neq(memcmp(a.digest, b.digest, sizeof(a.digest)), 0);
}

/* --- who listens there */

#define PEERPIDFD 77 /* SO_PEERPIDFD */

/* Of an errno that the kernel gives for the peer's process; 0: as it is. */
static int peer_error;

int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length)
{
	int (*real)(int, int, int, void *, socklen_t *);

	if (level == SOL_SOCKET && name == PEERPIDFD && peer_error) {
		errno = peer_error;
		return -1;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getsockopt");
	return real(fd, level, name, value, length);
}

/* Of a server that is this process, in no agent's cgroup, dialled by a process of `user`. */
static int check_peer(int error, uid_t user)
{
	struct capture none = {.agent_count = 0};
	int pair[2], r;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	peer_error = error;
	r = unix_servers_check(&none, pair[0], user);
	peer_error = 0;
	close(pair[0]);
	close(pair[1]);
	return r;
}

Test(unix_servers, whoever_has_the_number_of_a_process_that_ended_is_not_taken_for_it)
{
	uid_t own = geteuid(), other = own + 1;

	cr_expect_eq(check_peer(0, own), 0);
	/* Kernels that know no more than the number, */
	cr_expect_eq(check_peer(ENOPROTOOPT, own), 0);
	/* that it has ended, in two ways, */
	cr_expect_eq(check_peer(ESRCH, own), -EACCES);
	cr_expect_eq(check_peer(EINVAL, own), -EACCES);
	cr_expect_eq(check_peer(ESRCH, other), 0);
	/* and that nobody can say. */
	cr_expect_eq(check_peer(EMFILE, other), -EMFILE);
}
