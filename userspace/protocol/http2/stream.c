/* SPDX-License-Identifier: Apache-2.0
 *
 * stream: a stream's content on the way from one side to the other, and responses of our own.
 */
#include <errno.h>
#include <stdio.h>

#include "protocol/http/dialect.h"
#include "protocol/http2/http2.h"

struct http2_stream *http2_stream_new(struct http2 *h, int32_t id)
{
	struct http2_stream *s = memory_new(sizeof(*s));

	s->h = h;
	s->id = id;
	list_init(&s->asking);
	list_append(&h->streams, &s->link);
	h->stream_count++;
	http_request_init(&s->request, h->e->base.host, &h->e->origin);
	/* What was collected goes on at once, and a mask may be longer than what it hides. */
	buffer_init(
		&s->flows[SIDE_SERVER].data, LIMIT_HTTP_BODY_HELD + 2 * LIMIT_HTTP2_STREAM_WINDOW);
	buffer_init(&s->flows[SIDE_AGENT].data, 4 * LIMIT_HTTP_BODY_MASKED);
	buffer_init(&s->grpc_message, 3 * LIMIT_HTTP_ANSWER);
	return s;
}

void http2_flow_drop_trailers(struct http2_flow *f)
{
	if (f->trailers)
		http2_block_clear(f->trailers);
	free(f->trailers);
	f->trailers = NULL;
}

void http2_note(struct http2 *h, enum reason reason, const char *text)
{
	http_note(h->e, reason, text);
}

/* So much content has left, or leaves no more. What a tunnel carries is bounded by itself. */
static void has_left(struct http2_stream *s, size_t bytes)
{
	if (!http2_tunnel_is_open(s))
		s->h->passing -= bytes;
}

void http2_stream_free(struct http2_stream *s)
{
	struct http2 *h = s->h;

	http2_socket_report(s);
	http2_socket_stop(s);
	protocol_begun(h->e->base.host, s->request.number, false);
	for (int to = SIDE_AGENT; to <= SIDE_SERVER; to++) {
		struct http2_flow *f = &s->flows[to];

		http2_stream_hold(s, (enum side)to, 0);
		has_left(s, buffer_length(&f->data));
		buffer_wipe(&f->data);
		http2_flow_drop_trailers(f);
	}
	http2_tunnel_free(s);
	list_remove(&s->asking);
	list_remove(&s->link);
	list_append(&h->closed, &s->link);
	h->stream_count--;
	http2_settle(h);
}

void http2_streams_free_closed(struct http2 *h)
{
	list_for_each_safe (position, &h->closed) {
		struct http2_stream *s = list_entry(position, struct http2_stream, link);

		http2_socket_free(s);
		http2_block_clear(&s->block);
		http_request_done(&s->request);
		buffer_done(&s->grpc_message);
		list_remove(&s->link);
		free(s);
	}
}

static int32_t id_with(const struct http2_stream *s, enum side side)
{
	return side == SIDE_AGENT ? s->id : s->server_id;
}

/* --- windows --- */

void http2_stream_settle(struct http2_stream *s, enum side to)
{
	struct http2_flow *f = &s->flows[to];
	enum side from = side_other(to);

	if (!f->owed || buffer_length(&f->data) > LIMIT_HTTP2_STREAM_WINDOW / 4)
		return;
	if (s->h->sessions[from] && id_with(s, from))
		nghttp2_session_consume_stream(s->h->sessions[from], id_with(s, from), f->owed);
	f->owed = 0;
}

void http2_stream_wake(struct http2_stream *s, enum side to)
{
	struct http2_flow *f = &s->flows[to];

	if (!f->waits || !s->h->sessions[to] || !id_with(s, to))
		return;
	f->waits = false;
	nghttp2_session_resume_data(s->h->sessions[to], id_with(s, to));
}

void http2_stream_end(struct http2_stream *s, enum side to)
{
	http2_flow_drop_trailers(&s->flows[to]);
	s->flows[to].ended = true;
	http2_stream_wake(s, to);
}

int http2_stream_append(struct http2_stream *s, enum side to, struct slice data)
{
	int r = buffer_append_slice(&s->flows[to].data, data);

	if (r == 0)
		s->h->passing += data.length;
	return r;
}

#define NO_MEMORY                                                                                  \
	"denied: there is no more memory to decode its content, which might write a masked value " \
	"back"

/* What decodes content that is looked at takes memory, which may be too much. */
static bool may_be_looked_at(struct http2_stream *s)
{
	return !s->request.writes.decoder ||
		http2_stream_hold(s, SIDE_SERVER, http_request_held(&s->request));
}

bool http2_stream_passes(struct http2_stream *s, struct slice content)
{
	const char *why = http_request_content_problem(&s->request, content);

	if (!why && may_be_looked_at(s))
		return true;
	if (!why)
		why = NO_MEMORY;
	http_request_stop_looking(&s->request);
	http2_stream_hold(s, SIDE_SERVER, http_request_held(&s->request));
	if (http_event_has_room(s->h->e))
		http2_note(s->h, REASON_MASK_WRITTEN_BACK, why);
	if (!s->request.host->observes)
		http2_stream_fail(s, REASON_MASK_WRITTEN_BACK, why);
	return s->request.host->observes;
}

void http2_stream_looked_at(struct http2_stream *s)
{
	http_request_forget_writing(&s->request);
	http2_stream_hold(s, SIDE_SERVER, http_request_held(&s->request));
}

bool http2_stream_hold(struct http2_stream *s, enum side to, size_t bytes)
{
	s->h->held += bytes - s->flows[to].held;
	s->flows[to].held = bytes;
	return s->h->held <= LIMIT_HTTP2_HELD;
}

void http2_stream_stop(struct http2_stream *s)
{
	struct http2_flow *f = &s->flows[SIDE_SERVER];

	s->state = HTTP2_ANSWERED;
	has_left(s, buffer_length(&f->data));
	buffer_clear(&f->data);
	http2_stream_looked_at(s);
	http2_stream_settle(s, SIDE_SERVER);
	http2_settle(s->h);
}

/* --- content as it leaves --- */

static enum side side_of(const struct http2 *h, const nghttp2_session *session)
{
	return session == h->sessions[SIDE_AGENT] ? SIDE_AGENT : SIDE_SERVER;
}

/* Whether there are any. */
static bool submit_trailers(nghttp2_session *session, int32_t id, const struct http2_stream *s,
	const struct http2_flow *f)
{
	struct http2_list list = {.count = 0};

	if (s->grpc_status && f == &s->flows[SIDE_AGENT])
		http2_grpc_list_end(&list, s);
	else if (f->trailers)
		http2_list_of_trailers(&list, &s->request, f->trailers);
	else
		return false;
	return nghttp2_submit_trailer(session, id, list.items, list.count) == 0;
}

static ssize_t read_data(nghttp2_session *session, int32_t id, uint8_t *room, size_t length,
	uint32_t *flags, nghttp2_data_source *source, void *context)
{
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	struct http2_flow *f;
	size_t n;

	(void)room;
	(void)source;
	/* Whoever let go of the stream has reset it. */
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	f = &s->flows[side_of(context, session)];
	n = buffer_length(&f->data);
	if (n == 0 && !f->ended) {
		f->waits = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n > length)
		return (ssize_t)length;
	if (!f->ended)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (submit_trailers(session, id, s, f))
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	return (ssize_t)n;
}

const nghttp2_data_provider http2_content = {.read_callback = read_data};

int http2_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *header,
	size_t length, nghttp2_data_source *source, void *context)
{
	struct http2 *h = context;
	enum side to = side_of(h, session);
	struct http2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct http2_flow *f;

	(void)source;
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	f = &s->flows[to];
	if (http2_write(h, to, slice_of(header, HTTP2_FRAME_HEADER)) < 0 ||
		http2_write(h, to, slice_head(buffer_slice(&f->data), length)) < 0)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	buffer_consume(&f->data, length);
	has_left(s, length);
	if (http2_tunnel_is_open(s))
		http2_tunnel_sent(s, to);
	http2_stream_settle(s, to);
	http2_settle(h);
	return 0;
}

/* --- responses of our own --- */

/* RFC 9113, 8.1: the agent is told that the rest of its request is of no use. */
void http2_stream_cut(struct http2_stream *s)
{
	if (s->answered && !s->agent_ended &&
		(s->drained > LIMIT_HTTP_DRAIN || http2_tunnel_is_over(s)))
		nghttp2_submit_rst_stream(
			s->h->sessions[SIDE_AGENT], NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
}

/* The agent got some of the server's response: all that is left to say is that it ends. */
static void reset(struct http2_stream *s)
{
	http2_stream_stop(s);
	nghttp2_submit_rst_stream(
		s->h->sessions[SIDE_AGENT], NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
}

/* A response of the server's that was held back goes. */
static void drop_response(struct http2_stream *s)
{
	struct http2_flow *f = &s->flows[SIDE_AGENT];

	http_response_stop_masking(&s->request);
	http2_stream_hold(s, SIDE_AGENT, 0);
	s->h->passing -= buffer_length(&f->data);
	buffer_clear(&f->data);
	http2_flow_drop_trailers(f);
}

/* `list` with what is in the flow behind it. */
static void submit(struct http2_stream *s, const struct http2_list *list, bool content)
{
	s->flows[SIDE_AGENT].ended = s->answering = true;
	/* Common clients reset a stream that is answered before they have ended it. */
	http2_forgive(s->h);
	http2_stream_stop(s);
	nghttp2_submit_response(s->h->sessions[SIDE_AGENT], s->id, list->items, list->count,
		content ? &http2_content : NULL);
}

static void add(struct http2_list *list, const char *name, struct slice value)
{
	http2_list_add(list, slice_from_string(name), value);
}

static void answer_grpc(
	struct http2_stream *s, unsigned status, const struct protocol_refusal *refusal)
{
	struct http2_list list = {.count = 0};
	struct buffer message;

	buffer_init(&message, 3 * LIMIT_HTTP_ANSWER);
	if (http2_grpc_put_message(&message, refusal) < 0)
		buffer_clear(&message);
	add(&list, ":status", slice_from_string("200"));
	add(&list, "content-type", slice_from_string("application/grpc"));
	add(&list, "grpc-status", slice_from_string(http2_grpc_status(status)));
	add(&list, "grpc-message", buffer_slice(&message));
	submit(s, &list, false);
	buffer_done(&message);
}

static void answer_plain(
	struct http2_stream *s, unsigned status, const struct protocol_refusal *refusal)
{
	struct http2_list list = {.count = 0};
	char text[16], size[24];
	struct buffer body;

	buffer_init(&body, LIMIT_HTTP_ANSWER);
	/* What it could not say is left out. */
	if (http_request_refuse(&s->request, &body, status, refusal) < 0)
		buffer_clear(&body);
	snprintf(text, sizeof(text), "%u", status);
	snprintf(size, sizeof(size), "%zu", buffer_length(&body));
	add(&list, ":status", slice_from_string(text));
	add(&list, "content-type", slice_from_string("application/json"));
	add(&list, "content-length", slice_from_string(size));
	add(&list, "cache-control", slice_from_string("no-store"));
	if (!s->request.to_head)
		http2_stream_append(s, SIDE_AGENT, buffer_slice(&body));
	buffer_done(&body);
	submit(s, &list, !s->request.to_head);
}

void http2_answer(struct http2_stream *s, unsigned status, const struct protocol_refusal *refusal)
{
	http2_socket_stop(s);
	if (s->answering) {
		if (!http2_grpc_end(s, status, refusal))
			reset(s);
		return;
	}
	drop_response(s);
	if (s->grpc)
		answer_grpc(s, status, refusal);
	else
		answer_plain(s, status, refusal);
}

void http2_stream_fail(struct http2_stream *s, enum reason reason, const char *text)
{
	const struct protocol_refusal refusal = {.reason = reason, .text = slice_from_string(text)};

	if (http2_socket_leave(s, reason, refusal.text) || http2_tunnel_leave(s))
		return;
	http2_socket_report(s);
	http2_server_forget(s, NGHTTP2_CANCEL);
	http2_answer(s, http_status_of(reason), &refusal);
}
