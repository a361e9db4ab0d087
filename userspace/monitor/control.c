/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/control.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int control_open(struct control_client *c, const char *path, struct error *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (!path)
		path = getenv("WAYLEAVE_SOCKET");
	if (!path || !*path)
		path = CONTROL_DEFAULT_SOCKET;
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set(e, -ENAMETOOLONG, "%s: too long for a socket's path", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(e, -errno, "socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int r = -errno;

		close(fd);
		return error_set_errno(e, r, "no daemon at %s", path);
	}
	c->fd = fd;
	return 0;
}

void control_close(struct control_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int control_send(int fd, const struct control_header *header, struct slice payload, const int *fds,
	size_t fd_count)
{
	struct iovec parts[] = {
		{(void *)header, sizeof(*header)},
		{(void *)payload.data, payload.length},
	};
	union {
		char space[CMSG_SPACE(sizeof(int) * CONTROL_DESCRIPTORS_MOST)];
		struct cmsghdr align;
	} control = {{0}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	ssize_t n;

	if (payload.length > CONTROL_PAYLOAD_MOST || fd_count > CONTROL_DESCRIPTORS_MOST)
		return -E2BIG;
	if (fd_count) {
		struct cmsghdr *part;

		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		part = CMSG_FIRSTHDR(&message);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(part), fds, sizeof(int) * fd_count);
	}
	do {
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Takes the descriptors out of the message; what has no room is closed. */
static void control_take_descriptors(struct msghdr *message, int *ret_fds, size_t *ret_fd_count)
{
	size_t taken = 0;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
		part = CMSG_NXTHDR(message, part)) {
		size_t count;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
			if (ret_fds && taken < CONTROL_DESCRIPTORS_MOST)
				ret_fds[taken++] = fd;
			else
				close(fd);
		}
	}
	if (ret_fd_count)
		*ret_fd_count = taken;
}

int control_receive(int fd, struct control_header *ret_header, struct buffer *ret_payload,
	int *ret_fds, size_t *ret_fd_count)
{
	struct control_header header;
	uint8_t *space;
	union {
		char space[CMSG_SPACE(sizeof(int) * CONTROL_DESCRIPTORS_MOST)];
		struct cmsghdr align;
	} control;
	struct iovec parts[2];
	struct msghdr message = {.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t n;
	bool lost;
	int r;

	r = buffer_reserve(ret_payload, CONTROL_PAYLOAD_MOST, &space);
	if (r < 0)
		return r;
	parts[0] = (struct iovec){&header, sizeof(header)};
	parts[1] = (struct iovec){space, CONTROL_PAYLOAD_MOST};
	do {
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n < (ssize_t)sizeof(header) || message.msg_flags & MSG_TRUNC) {
		control_take_descriptors(&message, NULL, NULL);
		return n == 0 ? -EPIPE : -EBADMSG;
	}
	/* Some did not arrive: which ones, nobody knows. */
	lost = message.msg_flags & MSG_CTRUNC;
	control_take_descriptors(&message, lost ? NULL : ret_fds, ret_fd_count);
	if (lost && ret_fd_count)
		*ret_fd_count = 0;
	buffer_commit(ret_payload, (size_t)n - sizeof(header));
	*ret_header = header;
	return lost ? -EMFILE : 0;
}

int control_call(struct control_client *c, enum control_request type, struct slice payload,
	struct buffer *ret_payload, int *ret_fds, size_t *ret_fd_count, struct error *e)
{
	struct control_header header = {.type = type};
	int r = control_send(c->fd, &header, payload, NULL, 0);

	if (r == 0)
		r = control_receive(c->fd, &header, ret_payload, ret_fds, ret_fd_count);
	if (r < 0)
		return error_set_errno(e, r, "the daemon did not answer");
	if (header.type != (uint32_t)type)
		return error_set(e, -EBADMSG, "the daemon answered something else");
	if (header.status < 0) {
		struct slice text = buffer_slice(ret_payload);

		return error_set(e, header.status, "%.*s", SLICE_PRINT(text));
	}
	return 0;
}
