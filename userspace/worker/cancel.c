/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cancel.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/session.h"
#include "worker/hold.h"

/* A request on its way to the server. */
struct cancel {
	struct worker *worker;
	struct session *gives_up; /* whose statement it is, where nobody asked; or NULL */
	struct list link; /* worker.cancels */
	uint64_t deadline; /* monotonic */
	struct message_cancelled answer;
	struct ring_operation connect, send, receive;
	struct sockaddr_storage address;
	struct msghdr message;
	struct iovec part;
	int fd; /* -1: none yet */
	size_t length;
	uint8_t bytes[512];
};

/* --- the session that brings it --- */

static uint64_t deadline_from_now(void)
{
	return clock_monotonic() + LIMIT_CONNECT_TIME * NANOSECONDS_PER_MILLISECOND;
}

void cancel_ask(struct session *s, struct slice key, struct slice message)
{
	struct message_cancel head = {
		.session = s->id,
		.agent = s->origin.agent,
		.key_length = (uint32_t)key.length,
		.message_length = (uint32_t)message.length,
	};
	struct buffer request;

	s->cancelling = true;
	s->deadline = deadline_from_now();
	buffer_init(&request, 4096);
	if (buffer_append(&request, &head, sizeof(head)) == 0 &&
		buffer_append_slice(&request, key) == 0 &&
		buffer_append_slice(&request, message) == 0)
		channel_tell(&s->worker->channel, MESSAGE_CANCEL, buffer_slice(&request));
	buffer_done(&request);
	session_record_note(s, REASON_NONE, "cancel request");
}

/* The monitor's count comes first, so none is left only when all have answered. */
void cancel_on_answer(struct worker *w, struct slice payload)
{
	struct message_cancelled answer;
	struct session *s;

	if (payload.length != sizeof(answer))
		return;
	memcpy(&answer, payload.data, sizeof(answer));
	answer.session.text[IDENTIFIER_SIZE - 1] = '\0';
	s = session_find(w, slice_from_string(answer.session.text));
	if (!s || !s->cancelling)
		return;
	s->cancel_answers += answer.more;
	if (s->cancel_answers <= 0)
		session_close(s, REASON_NONE, NULL);
}

/* --- the worker of the session that is meant --- */

static void tell_answer(struct worker *w, const struct message_cancelled *answer)
{
	channel_tell(&w->channel, MESSAGE_CANCELLED, slice_of(answer, sizeof(*answer)));
}

static void cancel_done(struct cancel *c)
{
	if (c->gives_up) {
		c->gives_up->gives_up = false;
		c->gives_up->outstanding--;
		session_touch(c->gives_up);
	} else {
		tell_answer(c->worker, &c->answer);
	}
	list_remove(&c->link);
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

static void on_end(struct ring_operation *operation, int result)
{
	struct cancel *c = container_of(operation, struct cancel, receive);

	if (result > 0)
		ring_block_put(&c->worker->ring, ring_take_block(&c->worker->ring, operation));
	cancel_done(c);
}

/* The server acts on it and closes; nothing is said. */
static void on_sent(struct ring_operation *operation, int result)
{
	struct cancel *c = container_of(operation, struct cancel, send);

	if (result < 0) {
		cancel_done(c);
		return;
	}
	c->receive.complete = on_end;
	ring_receive(&c->worker->ring, &c->receive, c->fd);
}

static void on_connected(struct ring_operation *operation, int result)
{
	struct cancel *c = container_of(operation, struct cancel, connect);

	if (result < 0) {
		cancel_done(c);
		return;
	}
	c->part = (struct iovec){c->bytes, c->length};
	c->message = (struct msghdr){.msg_iov = &c->part, .msg_iovlen = 1};
	c->send.complete = on_sent;
	ring_send_message(&c->worker->ring, &c->send, c->fd, &c->message, 0);
}

static void on_unix_socket(void *context, int status, struct slice payload, int fd)
{
	struct cancel *c = context;

	(void)payload;
	c->fd = fd;
	on_connected(&c->connect, status < 0 ? status : fd);
}

/* A reload may have given the session another resource: its key is nobody's but its server's. */
static bool is_still_there(const struct session *s)
{
	char now[sizeof(s->upstream_name)];

	upstream_put_name(s, now, sizeof(now));
	return strcmp(now, s->upstream_name) == 0;
}

static void send_to_server(struct session *s, struct cancel *c)
{
	const struct policy_resource *resource = upstream_resource(s);
	socklen_t length;

	if (!is_still_there(s)) {
		cancel_done(c);
		return;
	}
	if (resource && resource->unix_path.length) {
		upstream_ask_for_unix_socket(s, on_unix_socket, c);
		return;
	}
	c->fd = upstream_new_socket(s, &length);
	if (c->fd < 0) {
		cancel_done(c);
		return;
	}
	c->address = s->upstream_address;
	c->connect.complete = on_connected;
	ring_connect(&c->worker->ring, &c->connect, c->fd, (struct sockaddr *)&c->address, length);
}

static struct cancel *cancel_new(struct worker *w, struct slice message)
{
	struct cancel *c = memory_new(sizeof(*c));

	c->worker = w;
	c->deadline = deadline_from_now();
	c->fd = -1;
	c->length = message.length;
	memcpy(c->bytes, message.data, message.length);
	list_append(&w->cancels, &c->link);
	return c;
}

void cancel_statement(struct session *s)
{
	struct slice message = SLICE_EMPTY;
	struct cancel *c;

	if (s->engine && s->engine->protocol->give_up && s->legs[SIDE_SERVER].state == LEG_OPEN)
		message = s->engine->protocol->give_up(s->engine);
	if (message.length == 0 || message.length > sizeof(c->bytes))
		return;
	c = cancel_new(s->worker, message);
	c->gives_up = s;
	s->gives_up = true;
	s->outstanding++;
	send_to_server(s, c);
}

static struct session *find_by_key(struct worker *w, struct slice key, uint32_t agent)
{
	struct table_node *node = table_find(&w->keys, table_hash_slice(key));

	for (; node; node = table_find_next(&w->keys, node)) {
		struct session *s = container_of(node, struct session, key_node);

		if (s->origin.agent == agent && slice_equal(buffer_slice(&s->cancel_key), key))
			return s;
	}
	return NULL;
}

void cancel_on_request(struct worker *w, struct slice payload)
{
	struct message_cancelled answer = {};
	struct message_cancel head;
	struct slice message;
	struct session *s;
	struct cancel *c;

	if (payload.length < sizeof(head))
		return;
	memcpy(&head, payload.data, sizeof(head));
	payload = slice_from(payload, sizeof(head));
	if ((uint64_t)head.key_length + head.message_length != payload.length ||
		head.message_length > sizeof(c->bytes))
		return;
	message = slice_from(payload, head.key_length);
	answer.session = head.session;
	answer.worker = head.worker;
	s = find_by_key(w, slice_head(payload, head.key_length), head.agent);
	/* What waits for people has not reached the server, which could not cancel it. */
	if (!s || hold_cancel(s, "canceling statement due to user request")) {
		tell_answer(w, &answer);
		return;
	}
	/* Nor has what is being judged. */
	if (s->engine && s->engine->protocol->interrupt)
		s->engine->protocol->interrupt(s->engine);
	c = cancel_new(w, message);
	c->answer = answer;
	send_to_server(s, c);
}

void cancel_tick(struct worker *w, uint64_t now)
{
	list_for_each_safe (position, &w->cancels) {
		struct cancel *c = list_entry(position, struct cancel, link);

		if (now < c->deadline)
			continue;
		/* Whichever is in flight completes, and ends it. */
		ring_cancel(&w->ring, &c->connect);
		ring_cancel(&w->ring, &c->send);
		ring_cancel(&w->ring, &c->receive);
	}
}
