/* SPDX-License-Identifier: Apache-2.0
 *
 * delegate: sessions whose protocol a process of their own speaks (struct protocol, delegated). The
 * monitor gives it the agent's connection; the connection to the server goes to it from here. What
 * is left here is the bridge between the two, in the place of the server's leg: nothing that the
 * process is told leaves before it is recorded.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "protocol/protocols.h"
#include "protocol/ssh/bridge.h"
#include "worker/session.h"

static void ask(struct session *s);

static void begin(struct session *s, int fd)
{
	const struct policy *p = policy_scope_policy(s->scope);
	struct protocol_refusal refusal = {s->refused, slice_from_string(s->detail)};

	leg_close(&s->legs[SIDE_AGENT], false);
	leg_open(&s->legs[SIDE_SERVER], fd);
	pipe_open(s, protocols_get(p->resources[s->resource].protocol));
	if (s->refused == REASON_NONE)
		upstream_connect(s);
	else
		s->engine->protocol->abort(s->engine, &refusal);
	pipe_go_on(s);
	session_touch(s);
}

static void on_process(void *context, int status, struct slice payload, int fd)
{
	struct session *s = context;
	char why[SESSION_DETAIL_MOST];

	s->outstanding--;
	if (s->state != SESSION_DELEGATING) {
		if (fd >= 0)
			close(fd);
		return;
	}
	/* The policy was replaced meanwhile; the new one came before this answer. */
	if (status == -ESTALE && policy_scope_policy(s->scope)->generation != s->asked_generation) {
		ask(s);
	} else if (status < 0 || fd < 0) {
		snprintf(why, sizeof(why), "%.*s", SLICE_PRINT(payload));
		session_reset(s, REASON_INTERNAL, why);
	} else {
		begin(s, fd);
	}
}

static void ask(struct session *s)
{
	struct message_delegate request = {
		.resource = s->resource,
		.generation = policy_scope_policy(s->scope)->generation,
		.session = s->id,
	};

	s->asked_generation = request.generation;
	s->outstanding++;
	channel_ask(&s->worker->channel, MESSAGE_DELEGATE, &request, sizeof(request), SLICE_EMPTY,
		s->legs[SIDE_AGENT].fd, on_process, s);
}

void delegate_begin(struct session *s, enum reason refused, struct slice text)
{
	s->state = SESSION_DELEGATING;
	s->refused = refused;
	snprintf(s->detail, sizeof(s->detail), "%.*s", SLICE_PRINT(text));
	ask(s);
}

/* The first thing that it is told, so that there is room. */
int delegate_connected(struct session *s, int fd)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct buffer frame;
	struct iovec part;
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int r;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	buffer_init(&frame, 1024);
	r = bridge_append(
		&frame, BRIDGE_CONNECTED, 0, SLICE_EMPTY, slice_from_string(s->upstream_name));
	part = (struct iovec){frame.data, buffer_length(&frame)};
	if (r == 0 &&
		sendmsg(s->legs[SIDE_SERVER].fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) !=
			(ssize_t)part.iov_len)
		r = -EPIPE;
	buffer_done(&frame);
	close(fd);
	return r;
}
