/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct table_node node;
	uint64_t id;
	channel_reply *reply;
	void *context; /* NULL: forgotten */
};

struct outgoing {
	struct list link;
	struct control_header header;
	int fd; /* ours; -1: none */
	size_t length;
	uint8_t payload[];
};

static struct request *find_request(struct channel *c, uint64_t id)
{
	struct table_node *node = table_find(&c->requests, id);

	return node ? container_of(node, struct request, node) : NULL;
}

static void deliver_reply(struct channel *c, struct slice payload, int status, int fd)
{
	struct request *request = NULL;
	uint64_t id;

	if (payload.length >= sizeof(id)) {
		memcpy(&id, payload.data, sizeof(id));
		request = find_request(c, id);
	}
	if (!request) {
		if (fd >= 0)
			close(fd);
		return;
	}
	table_remove(&c->requests, &request->node);
	if (request->context)
		request->reply(request->context, status, slice_from(payload, sizeof(id)), fd);
	else if (fd >= 0)
		close(fd);
	memory_wipe(c->payload, payload.length); /* keys of certificates, passwords */
	free(request);
}

/* At most one descriptor comes with a message. */
static int take_descriptor(struct msghdr *message)
{
	int taken = -1;

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part;
		part = CMSG_NXTHDR(message, part)) {
		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		if (taken >= 0)
			close(taken);
		memcpy(&taken, CMSG_DATA(part), sizeof(taken));
	}
	return taken;
}

static void receive_next(struct channel *c)
{
	c->parts[0] = (struct iovec){&c->header, sizeof(c->header)};
	c->parts[1] = (struct iovec){c->payload, CONTROL_PAYLOAD_MOST};
	c->message = (struct msghdr){.msg_iov = c->parts,
		.msg_iovlen = 2,
		.msg_control = c->control,
		.msg_controllen = sizeof(c->control)};
	ring_receive_message(c->ring, &c->receive, c->fd, &c->message);
}

static void on_receive(struct ring_operation *operation, int result)
{
	struct channel *c = container_of(operation, struct channel, receive);
	struct slice payload;
	int fd;

	if (result < (int)sizeof(c->header)) {
		c->on_closed(c->context);
		return;
	}
	payload = slice_of(c->payload, (size_t)result - sizeof(c->header));
	fd = take_descriptor(&c->message);
	if (c->header.type & MESSAGE_REPLY_BIT)
		deliver_reply(c, payload, c->header.status, fd);
	else
		c->on_message(c->context, (enum message_type)c->header.type, payload, fd);
	receive_next(c);
}

static void send_waiting(struct channel *c)
{
	while (!list_is_empty(&c->outgoing)) {
		struct outgoing *o = list_entry(c->outgoing.next, struct outgoing, link);
		int r = control_send(
			c->fd, &o->header, slice_of(o->payload, o->length), &o->fd, o->fd >= 0);

		if (r == -EAGAIN) {
			if (!c->writable.in_flight)
				ring_poll(c->ring, &c->writable, c->fd, POLLOUT);
			return;
		}
		list_remove(&o->link);
		if (o->fd >= 0)
			close(o->fd);
		free(o);
	}
}

static void on_writable(struct ring_operation *operation, int result)
{
	(void)result;
	send_waiting(container_of(operation, struct channel, writable));
}

static void queue(
	struct channel *c, enum message_type type, struct slice head, struct slice tail, int fd)
{
	struct outgoing *o = memory_new(sizeof(*o) + head.length + tail.length);

	o->header.type = type;
	/* A copy: the message may have to wait, and the caller may close its own. */
	o->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	o->length = head.length + tail.length;
	if (head.length)
		memcpy(o->payload, head.data, head.length);
	if (tail.length)
		memcpy(o->payload + head.length, tail.data, tail.length);
	list_append(&c->outgoing, &o->link);
	send_waiting(c);
}

void channel_tell(struct channel *c, enum message_type type, struct slice payload)
{
	queue(c, type, payload, SLICE_EMPTY, -1);
}

void channel_ask(struct channel *c, enum message_type type, void *request, size_t length,
	struct slice text, int fd, channel_reply *reply, void *context)
{
	struct request *r = memory_new(sizeof(*r));

	r->id = ++c->last_id;
	r->reply = reply;
	r->context = context;
	table_insert(&c->requests, &r->node, r->id);
	memcpy(request, &r->id, sizeof(r->id));
	queue(c, type, slice_of(request, length), text, fd);
}

void channel_init(struct channel *c, struct ring *ring, int fd, channel_message *on_message,
	void (*on_closed)(void *context), void *context)
{
	*c = (struct channel){.ring = ring,
		.fd = fd,
		.on_message = on_message,
		.on_closed = on_closed,
		.context = context};
	c->receive.complete = on_receive;
	c->writable.complete = on_writable;
	c->payload = memory_new(CONTROL_PAYLOAD_MOST);
	table_init(&c->requests);
	list_init(&c->outgoing);
	receive_next(c);
}
