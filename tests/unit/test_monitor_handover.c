/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/handover.h"

#define FIRST 200 /* below are the test runner's */

/* Pipes where a manager would put sockets. */
static void pass(const char *names, int count, pid_t pid)
{
	char text[16];

	for (int i = 0; i < count; i++) {
		int ends[2];

		cr_assert_eq(pipe(ends), 0);
		cr_assert(dup2(ends[0], FIRST + i) >= 0);
	}
	snprintf(text, sizeof(text), "%d", count);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	snprintf(text, sizeof(text), "%d", (int)pid);
	setenv("LISTEN_PID", text, 1);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

Test(handover, descriptors_are_known_by_their_names)
{
	struct handover h;

	pass("listener-v6:listener-v4:other:listener-unix:listener-v4", 5, getpid());
	handover_take(FIRST, &h);
	cr_assert_eq(h.listeners.v4_count, 2u);
	cr_assert_eq(h.listeners.v6_count, 1u);
	cr_assert_eq(h.listeners.v6[0], FIRST);
	cr_assert_eq(h.listeners.v4[1], FIRST + 4);
	cr_assert_eq(h.unix_fd, FIRST + 3);
	cr_assert_not(is_open(FIRST + 2));
	for (int i = 0; i < 5; i++)
		cr_assert(i == 2 || fcntl(FIRST + i, F_GETFD) == FD_CLOEXEC);
	cr_assert_null(getenv("LISTEN_FDS"));
}

Test(handover, those_of_another_process_are_left_alone)
{
	struct handover h;

	pass("listener-v4", 1, getppid());
	handover_take(FIRST, &h);
	cr_assert_eq(h.listeners.v4_count, 0u);
	cr_assert_eq(h.unix_fd, -1);
	cr_assert(is_open(FIRST));
}

Test(handover, without_names_nothing_is_taken)
{
	struct handover h;

	pass("", 2, getpid());
	handover_take(FIRST, &h);
	cr_assert_eq(h.listeners.v4_count, 0u);
	cr_assert_not(is_open(FIRST) && is_open(FIRST + 1) && h.unix_fd >= 0);
}

Test(handover, a_pipe_is_no_listening_socket)
{
	struct listener_inherited from = {.v4_count = 1};
	struct listener_set set;
	int ends[2];

	cr_assert_eq(pipe(ends), 0);
	from.v4[0] = ends[0];
	cr_assert_eq(listener_adopt(&from, -1, -1, 1, 0, &set), -ESTALE);
	cr_assert_eq(
		listener_adopt(&(struct listener_inherited){.v4_count = 0}, -1, -1, 1, 0, &set),
		-ENOENT);
	listener_discard(&from);
	cr_assert_eq(from.v4_count, 0u);
	cr_assert_not(is_open(ends[0]));
}

Test(handover, without_a_manager_nothing_is_kept)
{
	struct listener_pair pair = {-1, -1};
	const struct listener_set set = {.pairs = &pair, .count = 1};

	unsetenv("NOTIFY_SOCKET");
	cr_assert_not(handover_keep(&set, -1));
}

/* A manager's socket, in a folder that is made for it. */
static int listen_as_manager(char *folder, struct sockaddr_un *ret)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	cr_assert(mkdtemp(folder));
	snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/notify", folder);
	cr_assert_eq(bind(fd, (struct sockaddr *)ret, sizeof(*ret)), 0);
	setenv("NOTIFY_SOCKET", ret->sun_path, 1);
	return fd;
}

/* A descriptor that came with it, else -1. */
static int hear(int fd, char *ret, size_t size)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {ret, size - 1};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	int with = -1;

	cr_assert(n > 0);
	ret[n] = '\0';
	if (CMSG_FIRSTHDR(&message))
		memcpy(&with, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(with));
	return with;
}

Test(handover, a_manager_forgets_what_it_has, .timeout = 60)
{
	static const char *const told[] = {"FDSTOREREMOVE=1\nFDNAME=listener-v4",
		"FDSTOREREMOVE=1\nFDNAME=listener-v6", "FDSTOREREMOVE=1\nFDNAME=listener-unix",
		"BARRIER=1"};
	char folder[] = "/tmp/handover-XXXXXX", got[64];
	struct sockaddr_un address;
	int fd = listen_as_manager(folder, &address), barrier = -1, status = -1;
	pid_t child = fork();

	if (child == 0)
		_exit(handover_forget() ? 0 : 1);
	for (size_t i = 0; i < 4; i++) {
		cr_assert_eq(barrier, -1);
		barrier = hear(fd, got, sizeof(got));
		cr_assert_str_eq(got, told[i]);
	}
	/* It waits until all of that is done. */
	cr_assert_geq(barrier, 0);
	usleep(50000);
	cr_assert_eq(waitpid(child, &status, WNOHANG), 0);
	close(barrier);
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	close(fd);
	unlink(address.sun_path);
	rmdir(folder);
}

Test(handover, without_a_manager_nothing_is_forgotten)
{
	unsetenv("NOTIFY_SOCKET");
	cr_assert_not(handover_forget());
}
