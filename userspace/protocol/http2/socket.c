/* SPDX-License-Identifier: Apache-2.0
 *
 * socket: a WebSocket on a stream (RFC 8441). It was judged as one over HTTP/1.1 is; once the
 * server has agreed, what both sides say is read by a stream of protocol/http/ (http/stream.h),
 * piece by piece, and what may pass leaves as the content of the two streams.
 *
 * One frame of HTTP/2 may hold thousands of the WebSocket's, and each is recorded before the next
 * is read: what was not read yet waits here, and nothing more is taken from either side meanwhile.
 */
#include <errno.h>
#include <stdio.h>

#include "protocol/http/dialect.h"
#include "protocol/http2/http2.h"

struct http2_socket {
	struct http_stream_output output;
	struct list link; /* http2.reading, while there is something to read */
	struct http2_stream *s;
	struct http_stream *stream; /* NULL: the server has not agreed, or nobody reads it */
	struct buffer came[2]; /* by the side that sent it */
	size_t taken[2]; /* of that; an event may refer to it until the next one is asked for */
	bool ended[2], told[2]; /* by side: it sends no more, and the other one was told */
	bool open; /* the server agreed */
	bool unread; /* what comes is relayed as it is */
	bool over; /* nothing more is read */
};

static int write_to_flow(struct http_stream_output *o, enum side to, struct slice bytes)
{
	return http2_stream_append(container_of(o, struct http2_socket, output)->s, to, bytes);
}

void http2_socket_new(struct http2_stream *s)
{
	struct http2_socket *k = s->socket = memory_new(sizeof(*k));

	k->s = s;
	k->output.write = write_to_flow;
	list_init(&k->link);
	for (int from = SIDE_AGENT; from <= SIDE_SERVER; from++)
		buffer_init(&k->came[from], 2 * LIMIT_HTTP2_STREAM_WINDOW);
}

static size_t waiting(const struct http2_socket *k, enum side from)
{
	return buffer_length(&k->came[from]) - k->taken[from];
}

void http2_socket_stop(struct http2_stream *s)
{
	struct http2_socket *k = s->socket;

	if (!k)
		return;
	k->over = true;
	list_remove(&k->link);
	for (enum side from = SIDE_AGENT; from <= SIDE_SERVER; from++) {
		s->h->passing -= waiting(k, from);
		/* An event may be about what was taken; before it was open, nothing was. */
		if (k->open)
			k->taken[from] = buffer_length(&k->came[from]);
		else
			buffer_wipe(&k->came[from]);
		http2_stream_settle(s, side_other(from));
	}
	http2_settle(s->h);
}

void http2_socket_free(struct http2_stream *s)
{
	struct http2_socket *k = s->socket;

	if (!k)
		return;
	if (k->stream)
		k->stream->kind->free(k->stream);
	for (int from = SIDE_AGENT; from <= SIDE_SERVER; from++)
		buffer_wipe(&k->came[from]);
	free(k);
	s->socket = NULL;
}

bool http2_socket_is_open(const struct http2_stream *s)
{
	return s->socket && s->socket->open;
}

/* Of those that end with the server alone there are no more than of others. */
bool http2_socket_outlives(const struct http2_stream *s)
{
	return http2_socket_is_open(s) && !s->socket->over && s->socket->ended[SIDE_AGENT] &&
		s->server_id && s->h->stream_count <= LIMIT_HTTP2_STREAMS;
}

/* nghttp2 says that a stream is closed before its last frame is read here. */
bool http2_socket_has_last_words(const struct http2_stream *s)
{
	return http2_socket_is_open(s) && !s->socket->over && s->socket->ended[SIDE_SERVER] &&
		!s->socket->told[SIDE_SERVER];
}

/* --- what comes --- */

static void read_later(struct http2_socket *k)
{
	if (k->open && !k->over && list_is_empty(&k->link))
		list_append(&k->s->h->reading, &k->link);
}

int http2_socket_take(struct http2_stream *s, enum side from, struct slice data)
{
	struct http2_socket *k = s->socket;
	int r;

	s->flows[side_other(from)].owed += data.length;
	if (k->over) {
		http2_stream_settle(s, side_other(from));
		return 0;
	}
	r = buffer_append_slice(&k->came[from], data);
	if (r == 0)
		s->h->passing += data.length;
	read_later(k);
	return r;
}

void http2_socket_end(struct http2_stream *s, enum side from)
{
	s->socket->ended[from] = true;
	read_later(s->socket);
}

/* --- the end --- */

void http2_socket_report(struct http2_stream *s)
{
	struct http2_socket *k = s->socket;
	struct http2_report *report;

	if (!k || !k->open || s->reported)
		return;
	s->reported = true;
	report = memory_new(sizeof(*report));
	report->action = s->request.number;
	report->bytes = k->stream ? k->stream->carried[SIDE_AGENT] : s->content;
	snprintf(report->tag, sizeof(report->tag), "%s",
		k->stream && k->stream->tag[0] ? k->stream->tag : s->request.tag);
	list_append(&s->h->reports, &report->link);
}

bool http2_socket_leave(struct http2_stream *s, enum reason reason, struct slice text)
{
	struct http2_socket *k = s->socket;

	if (!http2_socket_is_open(s) || k->over || !k->stream || k->unread)
		return false;
	http2_socket_stop(s);
	k->stream->kind->leave(k->stream, reason, text);
	s->server_ended = true;
	s->state = HTTP2_ANSWERED;
	for (int to = SIDE_AGENT; to <= SIDE_SERVER; to++) {
		s->flows[to].ended = true;
		http2_stream_wake(s, (enum side)to);
	}
	http2_socket_report(s);
	return true;
}

/* Observing, what was taken and has not left goes before the rest, unread. */
static int relay_unread(struct http2_socket *k)
{
	struct buffer held;
	int r = 0;

	k->unread = true;
	buffer_init(&held, 4 * LIMIT_HTTP_BODY_MASKED);
	for (enum side from = SIDE_AGENT; r == 0 && from <= SIDE_SERVER; from++) {
		buffer_clear(&held);
		r = k->stream->kind->put_held(k->stream, from, &held);
		if (r == 0)
			r = http2_stream_append(k->s, side_other(from), buffer_slice(&held));
	}
	buffer_wipe(&held);
	return r;
}

static int on_refusal(struct http2_socket *k, enum side from, int error)
{
	struct http2_stream *s = k->s;
	enum reason reason = http_stream_reason(k->stream, from);
	const char *problem = k->stream->problem;

	if (error != -EBADMSG && error != -EPERM)
		return error;
	http2_note(s->h, reason, problem);
	if (s->request.host->observes)
		return relay_unread(k);
	http2_socket_leave(s, reason, slice_from_string(problem));
	return 0;
}

/* --- reading --- */

static int relay(struct http2_socket *k, enum side from, struct slice in, size_t *ret_taken)
{
	*ret_taken = in.length;
	if (from == SIDE_SERVER)
		k->s->content += in.length;
	return http2_stream_append(k->s, side_other(from), in);
}

static int read_piece(struct http2_socket *k, enum side from)
{
	size_t taken = 0;
	struct slice in;
	int r;

	if (k->unread && k->stream && !k->s->request.host->observes) {
		http2_stream_fail(k->s, REASON_POLICY_CHANGED, HTTP_STREAM_UNREAD);
		return 0;
	}
	buffer_consume(&k->came[from], k->taken[from]);
	k->taken[from] = 0;
	in = buffer_slice(&k->came[from]);
	r = k->unread ? relay(k, from, in, &taken)
		      : k->stream->kind->input(k->stream, from, in, &taken);
	k->taken[from] = taken;
	k->s->h->passing -= taken;
	return r < 0 ? on_refusal(k, from, r) : 0;
}

static int tell_end(struct http2_socket *k, enum side from)
{
	struct http2_stream *s = k->s;
	int r = k->unread ? 0 : k->stream->kind->end(k->stream, from);

	k->told[from] = true;
	if (r < 0)
		return on_refusal(k, from, r);
	if (k->stream)
		k->stream->ended[from] = true;
	http2_stream_end(s, side_other(from));
	s->server_ended |= from == SIDE_SERVER;
	if (k->told[SIDE_AGENT] && k->told[SIDE_SERVER]) {
		http2_socket_report(s);
		http2_forgive(s->h);
		if (!s->server_id)
			http2_stream_stop(s);
	}
	return 0;
}

/* What masks hold back counts as any stream's does. */
static int check_held(struct http2_socket *k)
{
	const struct http_request *r = &k->s->request;

	if (!r->masked || k->over ||
		http2_stream_hold(k->s, SIDE_AGENT, buffer_length(&r->mask->held)))
		return 0;
	http2_stream_fail(k->s, REASON_LIMIT, "denied: a message is too large to be masked");
	return 0;
}

/* False: there is nothing more to be read. */
static bool read_next(struct http2_socket *k, int *ret_error)
{
	for (enum side from = SIDE_AGENT; from <= SIDE_SERVER; from++) {
		enum side to = side_other(from);

		if (!waiting(k, from) && (!k->ended[from] || k->told[from]))
			continue;
		*ret_error = waiting(k, from) ? read_piece(k, from) : tell_end(k, from);
		if (*ret_error == 0)
			*ret_error = check_held(k);
		http2_stream_settle(k->s, to);
		http2_stream_wake(k->s, to);
		return !k->over;
	}
	return false;
}

int http2_sockets_read(struct http2 *h)
{
	int r = 0;

	while (r == 0 && !list_is_empty(&h->reading) && h->e->events.count == 0 &&
		h->e->agent != HTTP_AGENT_DONE) {
		struct http2_socket *k = list_entry(h->reading.next, struct http2_socket, link);

		if (!read_next(k, &r))
			list_remove(&k->link);
	}
	return r;
}

/* --- the server's answer --- */

/* It agreed. NULL, or why that is refused. */
static const char *open_stream(struct http2_socket *k)
{
	struct http2_stream *s = k->s;
	const char *problem = NULL;

	if (http_websocket_is_extended(&s->request))
		return "a WebSocket with an extension that nobody asked for";
	k->stream =
		s->request.origin->dialect->open_stream(&s->request, &s->h->e->events, &problem);
	if (problem)
		return problem;
	k->open = true;
	k->unread = !k->stream;
	if (k->stream)
		k->stream->output = &k->output;
	else
		http2_note(s->h, REASON_NONE, "relayed unread from here on");
	return NULL;
}

const char *http2_socket_answered(struct http2_stream *s, bool agreed)
{
	struct http2_socket *k = s->socket;
	const char *problem = NULL;

	if (agreed) {
		problem = open_stream(k);
		read_later(k);
	} else {
		/* An ordinary response: what the agent would have said to it is of no use. */
		http2_socket_stop(s);
		http2_stream_end(s, SIDE_SERVER);
	}
	return problem;
}
