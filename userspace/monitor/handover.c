/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

#define PASSED_MOST 1024
#define PATIENCE 5000 /* milliseconds, for the manager to do as it is told */
#define NAME_V4 "listener-v4"
#define NAME_V6 "listener-v6"
#define NAME_UNIX "listener-unix"

/* --- to the manager --- */

/* `fd` -1: none. False: there is no manager. */
static bool send_state(const char *state, int fd)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	struct iovec part = {(void *)state, strlen(state)};
	struct msghdr message = {.msg_name = &address, .msg_iov = &part, .msg_iovlen = 1};
	size_t length = path ? strlen(path) : 0;
	int channel;

	if (length == 0 || length >= sizeof(address.sun_path))
		return false;
	memcpy(address.sun_path, path, length);
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	message.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (fd >= 0) {
		struct cmsghdr *header = &control.align;

		message.msg_control = control.space;
		message.msg_controllen = sizeof(control.space);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(int));
	}
	channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (channel < 0 || sendmsg(channel, &message, MSG_NOSIGNAL) < 0)
		log_warning("NOTIFY_SOCKET: %s", strerror(errno));
	if (channel >= 0)
		close(channel);
	return true;
}

void handover_notify(const char *state)
{
	send_state(state, -1);
}

static bool remove_kept(void)
{
	static const char *const old[] = {NAME_V4, NAME_V6, NAME_UNIX};

	for (size_t i = 0; i < ARRAY_SIZE(old); i++) {
		char text[64];

		snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", old[i]);
		if (!send_state(text, -1))
			return false;
	}
	return true;
}

/* The manager closes the descriptor when it has done all that it was told before
 * (sd_notify_barrier(3)). */
static void wait_for_manager(void)
{
	struct pollfd closed = {.events = POLLIN};
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return;
	send_state("BARRIER=1", ends[1]);
	close(ends[1]);
	closed.fd = ends[0];
	if (poll(&closed, 1, PATIENCE) == 0)
		log_warning("NOTIFY_SOCKET: nobody answers");
	close(ends[0]);
}

bool handover_forget(void)
{
	if (!remove_kept())
		return false;
	wait_for_manager();
	return true;
}

bool handover_keep(const struct listener_set *listeners, int unix_fd)
{
	if (!remove_kept())
		return false;
	for (unsigned i = 0; i < listeners->count; i++) {
		send_state("FDSTORE=1\nFDNAME=" NAME_V4, listeners->pairs[i].v4);
		if (listeners->pairs[i].v6 != LISTENER_NO_SOCKET)
			send_state("FDSTORE=1\nFDNAME=" NAME_V6, listeners->pairs[i].v6);
	}
	if (unix_fd >= 0)
		send_state("FDSTORE=1\nFDNAME=" NAME_UNIX, unix_fd);
	return true;
}

/* --- from the manager --- */

static unsigned read_number(const char *name, uint64_t most)
{
	const char *text = getenv(name);
	uint64_t number;

	return text && text_to_number(slice_from_string(text), most, &number) == 0
		? (unsigned)number
		: 0;
}

static void take_one(struct handover *h, int fd, const char *name)
{
	struct listener_inherited *l = &h->listeners;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	if (strcmp(name, NAME_V4) == 0 && l->v4_count < STEER_WORKERS_MOST)
		l->v4[l->v4_count++] = fd;
	else if (strcmp(name, NAME_V6) == 0 && l->v6_count < STEER_WORKERS_MOST)
		l->v6[l->v6_count++] = fd;
	else if (strcmp(name, NAME_UNIX) == 0 && h->unix_fd < 0)
		h->unix_fd = fd;
	else
		close(fd);
}

void handover_take(int first, struct handover *ret)
{
	const char *given = getenv("LISTEN_FDNAMES");
	char *names = memory_copy_string(given ? given : ""), *rest = names;
	unsigned count = read_number("LISTEN_FDS", PASSED_MOST);

	memset(ret, 0, sizeof(*ret));
	ret->unix_fd = -1;
	/* They may be meant for a process that this one is a child of. */
	if (read_number("LISTEN_PID", INT32_MAX) != (unsigned)getpid())
		count = 0;
	for (unsigned i = 0; i < count; i++) {
		const char *name = strsep(&rest, ":");

		take_one(ret, first + (int)i, name ? name : "");
	}
	free(names);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}
