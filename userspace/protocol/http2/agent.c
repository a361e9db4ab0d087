/* SPDX-License-Identifier: Apache-2.0
 *
 * agent: what the agent sends: requests, which are judged; their content, which passes behind them
 * or is shown to people first; streams that it gives up.
 */
#include <assert.h>
#include <errno.h>

#include "protocol/http2/http2.h"

static struct http2_stream *stream_of(struct http2 *h, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h->sessions[SIDE_AGENT], id);
}

/* --- requests --- */

static void refuse_as_it_stands(struct http2_stream *s, const struct http_problem *problem)
{
	const struct protocol_refusal refusal = {
		.reason = http_problem_reason(problem),
		.text = slice_from_string(problem->text),
	};

	http2_note(s->h, refusal.reason, problem->text);
	http2_answer(s, problem->status, &refusal);
}

static bool read_request(struct http2_stream *s, struct http_problem *ret)
{
	if (!http2_block_read_request(&s->block, &s->request, ret))
		return false;
	s->grpc = http2_is_grpc(&s->request);
	if (!http_facts_read(&s->request, ret))
		return false;
	if (!s->agent_ended || !(s->request.websocket || s->request.tunnels))
		return true;
	*ret = (struct http_problem){400,
		s->request.websocket ? "a WebSocket that ends where it begins"
				     : "a CONNECT that ends where it begins"};
	return false;
}

static void on_request(struct http2_stream *s)
{
	struct http_engine *e = s->h->e;
	struct http_problem problem;

	s->state = HTTP2_VERDICT;
	if (!e->logged_in) {
		/* Nothing more is to come before requests are judged. */
		e->logged_in = true;
		http_event(e, EVENT_LOGIN);
	}
	if (e->abort_text && !http_abort_is_of_server(e)) {
		http2_fail(s->h, e->abort.reason, e->abort_text);
		return;
	}
	if (!read_request(s, &problem)) {
		refuse_as_it_stands(s, &problem);
		return;
	}
	s->request.has_body = !s->agent_ended && !s->request.websocket && !s->request.tunnels;
	if (s->request.websocket)
		http2_socket_new(s);
	if (s->request.tunnels)
		http2_tunnel_new(s);
	http2_ask(s);
}

/* All of the request has come. */
static void on_end(struct http2_stream *s)
{
	s->agent_ended = true;
	if (s->socket) {
		http2_socket_end(s, SIDE_AGENT);
		return;
	}
	if (s->tunnel) {
		http2_tunnel_end(s, SIDE_AGENT);
		return;
	}
	s->flows[SIDE_SERVER].ended = true;
	if (s->state == HTTP2_COLLECT) {
		http2_collected(s);
		return;
	}
	if (s->state >= HTTP2_READY)
		http2_stream_looked_at(s);
	http2_stream_wake(s, SIDE_SERVER);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct http2 *h = context;
	struct http2_stream *s;

	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		s = http2_stream_new(h, frame->hd.stream_id);
		nghttp2_session_set_stream_user_data(session, s->id, s);
		return 0;
	}
	s = stream_of(h, frame->hd.stream_id);
	if (s && !s->flows[SIDE_SERVER].trailers)
		s->flows[SIDE_SERVER].trailers = memory_new(sizeof(struct http2_block));
	return 0;
}

/* A stream that comes and goes costs a verdict, a record and two frames with the server, and the
 * agent nearly nothing. */
static void on_reset(struct http2 *h)
{
	if (++h->frames[SIDE_AGENT].resets > LIMIT_HTTP2_RESETS)
		h->flood = "too many streams that are given up";
}

/* In HPACK one byte may stand for thousands, each of which is looked at before it comes here. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
	nghttp2_rcbuf *value, uint8_t flags, void *context)
{
	struct http2_stream *s = stream_of(context, frame->hd.stream_id);

	(void)session;
	(void)flags;
	if (!s ||
		http2_block_add(s->state == HTTP2_HEAD ? &s->block : s->flows[SIDE_SERVER].trailers,
			name, value))
		return 0;
	on_reset(context);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* Where the agent has us reset a stream, that is no other (CVE-2025-8671). */
static int on_invalid_frame(
	nghttp2_session *session, const nghttp2_frame *frame, int error, void *context)
{
	(void)session;
	(void)frame;
	(void)error;
	on_reset(context);
	return 0;
}

/* By default it would be left out, and the rest judged without it. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
	nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *context)
{
	(void)session;
	(void)frame;
	(void)name;
	(void)value;
	(void)flags;
	on_reset(context);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

/* What is more than is kept of them would be left out in silence. */
static void on_trailers(struct http2_stream *s)
{
	const struct http2_block *b = s->flows[SIDE_SERVER].trailers;

	if (!b->problem.status && !s->tunnel) {
		on_end(s);
		return;
	}
	on_reset(s->h);
	/* Nothing but content is a connection's (RFC 9113, 8.5). */
	http2_note(s->h, REASON_PROTOCOL_VIOLATION,
		s->tunnel ? "trailers behind a CONNECT" : "the request's trailers are too large");
	nghttp2_submit_rst_stream(s->h->sessions[SIDE_AGENT], NGHTTP2_FLAG_NONE, s->id,
		s->tunnel ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_ENHANCE_YOUR_CALM);
}

static void on_headers(struct http2_stream *s, const nghttp2_frame *frame)
{
	bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	if (s->state == HTTP2_HEAD) {
		s->agent_ended = s->flows[SIDE_SERVER].ended = ends;
		on_request(s);
	} else if (ends && s->flows[SIDE_SERVER].trailers) {
		on_trailers(s);
	} else if (ends) {
		on_end(s);
	}
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct http2 *h = context;
	struct http2_stream *s = frame->hd.stream_id ? stream_of(h, frame->hd.stream_id) : NULL;

	(void)session;
	if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
		h->pinged = false;
	else if (frame->hd.type == NGHTTP2_RST_STREAM)
		on_reset(h);
	else if (s && frame->hd.type == NGHTTP2_HEADERS)
		on_headers(s, frame);
	else if (s && frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		on_end(s);
	return 0;
}

/* --- content --- */

/* What is too large to be held goes on whole, if it may. */
static int give_back(struct http2_stream *s, struct slice data)
{
	struct buffer *content = &s->request.content;
	int r;

	r = http2_stream_append(s, SIDE_SERVER, buffer_slice(content));
	if (r == 0)
		r = http2_stream_append(s, SIDE_SERVER, data);
	buffer_wipe(content);
	http2_too_large(s);
	return r < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int collect(struct http2_stream *s, struct slice data)
{
	struct buffer *content = &s->request.content;
	size_t length = buffer_length(content) + data.length;

	s->flows[SIDE_SERVER].owed += data.length;
	if (length > LIMIT_HTTP_BODY_HELD || !http2_stream_hold(s, SIDE_SERVER, length))
		return give_back(s, data);
	http2_stream_settle(s, SIDE_SERVER);
	return buffer_append_slice(content, data) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Nobody wants the rest of the request, but common clients read no response before they have sent
 * it: some of it is taken. */
static bool drains(struct http2_stream *s, size_t length)
{
	s->drained += length;
	if (s->drained <= LIMIT_HTTP_DRAIN)
		return true;
	http2_stream_cut(s);
	return false;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
	size_t length, void *context)
{
	struct http2 *h = context;
	struct http2_stream *s = stream_of(h, id);
	int r = 0;

	(void)flags;
	http2_came(h, SIDE_AGENT, length);
	if (!s || s->state == HTTP2_ANSWERED) {
		if (!s || drains(s, length))
			nghttp2_session_consume_stream(session, id, length);
		return 0;
	}
	if (s->socket)
		return http2_socket_take(s, SIDE_AGENT, slice_of(data, length)) < 0
			? NGHTTP2_ERR_CALLBACK_FAILURE
			: 0;
	if (s->tunnel)
		return http2_tunnel_take(s, SIDE_AGENT, slice_of(data, length)) < 0
			? NGHTTP2_ERR_CALLBACK_FAILURE
			: 0;
	if (s->state == HTTP2_COLLECT)
		return collect(s, slice_of(data, length));
	/* What came before the verdict is looked at behind it. */
	if (s->state >= HTTP2_READY && !http2_stream_passes(s, slice_of(data, length))) {
		nghttp2_session_consume_stream(session, id, length);
		return 0;
	}
	s->flows[SIDE_SERVER].owed += length;
	r = http2_stream_append(s, SIDE_SERVER, slice_of(data, length));
	http2_stream_wake(s, SIDE_SERVER);
	return r < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* --- the end of a stream --- */

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
	struct http2 *h = context;
	struct http2_stream *s = stream_of(h, id);

	if (!s)
		return 0;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	if (s->state == HTTP2_VERDICT || s->state == HTTP2_COLLECT) {
		/* No more streams than these are open, and none is taken until all are told. */
		assert(h->dropped_count < ARRAY_SIZE(h->dropped));
		h->dropped[h->dropped_count++] = (uint32_t)id;
	}
	if ((code == NGHTTP2_NO_ERROR && http2_socket_outlives(s)) ||
		http2_tunnel_outlives(s, code)) {
		s->id = 0;
		return 0;
	}
	http2_server_forget(s, code ? code : NGHTTP2_CANCEL);
	http2_stream_free(s);
	return 0;
}

int http2_agent_begin(struct http2 *h)
{
	static const struct http2_callbacks callbacks = {
		.begin_headers = on_begin_headers,
		.header = on_header,
		.invalid_header = on_invalid_header,
		.invalid_frame = on_invalid_frame,
		.frame = on_frame,
		.data = on_data,
		.stream_close = on_stream_close,
	};

	return http2_session_begin(h, SIDE_AGENT, &callbacks);
}
