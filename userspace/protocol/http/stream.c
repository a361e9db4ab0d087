/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/stream.h"

#include <errno.h>

#include "base/limits.h"

void http_stream_init(struct http_stream *s, const struct http_stream_kind *kind,
	const struct http_request *request, struct event_queue *events)
{
	memset(s, 0, sizeof(*s));
	s->kind = kind;
	s->host = request->host;
	s->events = events;
	s->request = request;
	/* A mask may be longer than what it hides. */
	buffer_init(&s->out, 4 * LIMIT_HTTP_BODY_MASKED + 64);
}

void http_stream_done(struct http_stream *s)
{
	buffer_wipe(&s->out);
}

int http_stream_refuse(struct http_stream *s, enum reason reason, const char *problem)
{
	s->reason = reason;
	s->problem = problem;
	return reason == REASON_PROTOCOL_VIOLATION ? -EBADMSG : -EPERM;
}

enum reason http_stream_reason(const struct http_stream *s, enum side from)
{
	return s->reason == REASON_PROTOCOL_VIOLATION && from == SIDE_SERVER
		? REASON_UPSTREAM_PROTOCOL
		: s->reason;
}

int http_stream_refuse_mask(struct http_stream *s, int error)
{
	switch (error) {
	case -EBADMSG:
		return http_stream_refuse(s, REASON_MASK_IMPOSSIBLE,
			"denied: a message looks like JSON, is none, and can't be masked");
	case -EPERM:
		return http_stream_refuse(s, REASON_MASK_IMPOSSIBLE,
			"denied: a message is binary, which the rule refuses");
	case -E2BIG:
		return http_stream_refuse(
			s, REASON_LIMIT, "denied: a message is too large to be masked");
	default:
		return error;
	}
}

void http_stream_record(struct http_stream *s, enum protocol_data_kind kind, struct slice bytes)
{
	if (bytes.length == 0)
		return;
	event_queue_add(s->events, EVENT_DATA)->data =
		(struct protocol_data){.action = s->request->number, .kind = kind, .bytes = bytes};
}

int http_stream_send(struct http_stream *s, enum side to, size_t content)
{
	struct slice bytes = buffer_slice(&s->out);

	s->carried[to] += content;
	return http_stream_write(s, to, bytes);
}

int http_stream_write(struct http_stream *s, enum side to, struct slice bytes)
{
	if (bytes.length == 0)
		return 0;
	return s->output ? s->output->write(s->output, to, bytes)
			 : s->host->write(s->host, to, bytes);
}

int http_stream_pass(struct http_stream *s, enum side to, struct slice part_of_input)
{
	s->carried[to] += part_of_input.length;
	if (s->output)
		return http_stream_write(s, to, part_of_input);
	return part_of_input.length ? s->host->pass(s->host, to, part_of_input) : 0;
}
