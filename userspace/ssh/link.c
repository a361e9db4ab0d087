/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/link.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "monitor/control.h"

#define IN_MOST (2 * (BRIDGE_HEAD + BRIDGE_BODY_MOST))
#define OUT_MOST (8u << 20)
#define READ_SIZE 65536u

void link_init(struct link *l, int fd)
{
	*l = (struct link){.fd = fd, .received_fd = -1, .passing_fd = -1};
	buffer_init(&l->in, IN_MOST);
	buffer_init(&l->out, OUT_MOST);
}

static void replace(int *fd, int by)
{
	if (*fd >= 0)
		close(*fd);
	*fd = by;
}

static void take_descriptors(struct link *l, struct msghdr *message)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int fds[2];

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		(c->cmsg_len != CMSG_LEN(sizeof(int)) && c->cmsg_len != CMSG_LEN(sizeof(fds))))
		return;
	memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	replace(&l->received_fd, fds[0]);
	if (c->cmsg_len == CMSG_LEN(sizeof(fds)))
		replace(&l->passing_fd, fds[1]);
}

/* The next ones; negative: there are none. False: they are another lane's, and closed. */
static int take_sockets(struct link *l, uint32_t lane, int ret[2])
{
	int fds[CONTROL_DESCRIPTORS_MOST], r;
	struct control_header header;
	struct buffer payload;
	size_t count = 0;
	bool good;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_receive(l->passing_fd, &header, &payload, fds, &count);
	buffer_done(&payload);
	if (r < 0)
		return r;
	good = count == 2 && header.status == (int32_t)lane;
	for (size_t i = 0; i < count; i++) {
		if (good)
			ret[i] = fds[i];
		else
			close(fds[i]);
	}
	return good;
}

bool link_take_sockets(struct link *l, uint32_t lane, int ret[2])
{
	int r;

	do {
		r = take_sockets(l, lane, ret);
	} while (r == 0);
	return r > 0;
}

/* False: nothing more for now. */
static bool receive_some(struct link *l)
{
	char control[CMSG_SPACE(2 * sizeof(int))];
	uint8_t *space;
	struct iovec part = {.iov_len = READ_SIZE};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n;

	if (buffer_reserve(&l->in, READ_SIZE, &space) < 0)
		return false;
	part.iov_base = space;
	n = recvmsg(l->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n <= 0) {
		l->closed |= n == 0 || (errno != EAGAIN && errno != EINTR);
		return false;
	}
	take_descriptors(l, &message);
	buffer_commit(&l->in, (size_t)n);
	return (size_t)n == READ_SIZE;
}

void link_receive(struct link *l)
{
	while (!l->closed && buffer_length(&l->in) < IN_MOST / 2 && receive_some(l))
		;
}

bool link_next(struct link *l, struct bridge_frame *ret)
{
	size_t length = 0;
	int r = bridge_take(buffer_slice(&l->in), ret, &length);

	if (r < 0) {
		l->closed |= r != -EAGAIN;
		return false;
	}
	/* Consuming leaves the bytes where they are. */
	buffer_consume(&l->in, length);
	return true;
}

void link_flush(struct link *l)
{
	while (!l->closed && buffer_length(&l->out)) {
		struct slice out = buffer_slice(&l->out);
		ssize_t n = send(l->fd, out.data, out.length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0) {
			l->closed |= errno != EAGAIN && errno != EINTR;
			return;
		}
		buffer_consume(&l->out, (size_t)n);
	}
}

void link_tell(
	struct link *l, enum bridge_type type, uint32_t lane, struct slice head, struct slice body)
{
	l->closed |= bridge_append(&l->out, type, lane, head, body) < 0;
}

void link_request(struct link *l, uint32_t lane, const struct bridge_request *request)
{
	l->closed |= bridge_append_request(&l->out, lane, request) < 0;
}

void link_result(struct link *l, uint32_t lane, const struct bridge_result *result)
{
	l->closed |= bridge_append_result(&l->out, lane, result) < 0;
}

void link_data(struct link *l, uint32_t lane, enum bridge_stream stream, struct slice bytes)
{
	uint8_t kind = (uint8_t)stream;

	link_tell(l, BRIDGE_DATA, lane, slice_of(&kind, 1), bytes);
}
