/* SPDX-License-Identifier: Apache-2.0
 *
 * delegate: sessions whose protocol a process of their own speaks (struct protocol, delegated). The
 * monitor gives it the agent's connection; the connection to the server goes to it from here. What
 * is left here is the bridge between the two, in the place of the server's leg: nothing that the
 * process is told leaves before it is recorded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "monitor/control.h"
#include "protocol/protocols.h"
#include "protocol/ssh/bridge.h"
#include "worker/session.h"

static void ask(struct session *s);

/* Among the first things that it is told, so that there is room. */
static int tell_with(struct session *s, enum bridge_type type, const int *fds, size_t count)
{
	union {
		char space[CMSG_SPACE(2 * sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct buffer frame;
	struct iovec part;
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = CMSG_SPACE(count * sizeof(int))};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int r;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	buffer_init(&frame, 1024);
	r = bridge_append(&frame, type, 0, SLICE_EMPTY, slice_from_string(s->upstream_name));
	part = (struct iovec){frame.data, buffer_length(&frame)};
	if (r == 0 &&
		sendmsg(s->legs[SIDE_SERVER].fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) !=
			(ssize_t)part.iov_len)
		r = -EPIPE;
	buffer_done(&frame);
	return r;
}

/* What another session carries the monitor did not give it. The other one's connection, or this
 * one's, says whose further ones are, which it may carry. */
static int give_agent(struct session *s)
{
	if (s->inner.is)
		return tell_with(s, BRIDGE_AGENT, &s->legs[SIDE_AGENT].fd, 1);
	s->proof = fcntl(s->legs[SIDE_AGENT].fd, F_DUPFD_CLOEXEC, 0);
	return s->proof < 0 ? -errno : 0;
}

static void begin(struct session *s, int fd)
{
	const struct policy *p = policy_scope_policy(s->scope);
	struct protocol_refusal refusal = {s->refused, slice_from_string(s->detail)};

	leg_open(&s->legs[SIDE_SERVER], fd);
	if (give_agent(s) < 0) {
		session_reset(s, REASON_INTERNAL, "the session's process is gone");
		return;
	}
	leg_close(&s->legs[SIDE_AGENT], false);
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

	if (s->inner.is) {
		request.inner = 1;
		request.port = s->origin.port;
		memcpy(request.address, s->origin.address, sizeof(request.address));
		snprintf(request.name, sizeof(request.name), "%.*s", SLICE_PRINT(s->beyond));
	}
	s->asked_generation = request.generation;
	s->outstanding++;
	channel_ask(&s->worker->channel, MESSAGE_DELEGATE, &request, sizeof(request), SLICE_EMPTY,
		s->inner.is ? s->proof : s->legs[SIDE_AGENT].fd, on_process, s);
}

void delegate_begin(struct session *s, enum reason refused, struct slice text)
{
	s->state = SESSION_DELEGATING;
	s->refused = refused;
	snprintf(s->detail, sizeof(s->detail), "%.*s", SLICE_PRINT(text));
	ask(s);
}

int delegate_connected(struct session *s, int fd)
{
	int pair[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		r = -errno;
	} else {
		if (s->passing >= 0)
			close(s->passing);
		s->passing = pair[0];
		r = tell_with(s, BRIDGE_CONNECTED, (const int[]){fd, pair[1]}, 2);
		close(pair[1]);
	}
	/* What another session carries is counted, and held back, in that one. */
	if (r == 0 && !s->inner.is)
		allowance_begin(s, fd);
	else
		close(fd);
	return r;
}

/* A way of its own, as what is queued on the bridge may be in the middle of a frame. */
int delegate_pass(struct session *s, uint32_t lane, const int *fds, size_t count)
{
	const struct control_header header = {.type = BRIDGE_CARRY, .status = (int32_t)lane};

	return s->passing < 0 ? -ENOTCONN
			      : control_send(s->passing, &header, SLICE_EMPTY, fds, count);
}
