/* SPDX-License-Identifier: Apache-2.0
 *
 * server: requests as the server gets them, and what it answers.
 */
#include <errno.h>
#include <stdio.h>

#include "base/text.h"
#include "protocol/http2/http2.h"

static struct http2_stream *stream_of(struct http2 *h, int32_t id)
{
	return nghttp2_session_get_stream_user_data(h->sessions[SIDE_SERVER], id);
}

/* --- requests --- */

/* Whether it can't be sent now: the server is to say first that it takes WebSockets. */
static bool waits_for_offer(struct http2_stream *s)
{
	const struct protocol_refusal refusal = {.reason = REASON_NOT_BUILT,
		.text = slice_from_string("denied: the server takes no WebSockets over HTTP/2")};

	if (!s->socket || http2_server_offers(s->h))
		return false;
	if (s->h->settled)
		http2_answer(s, 501, &refusal);
	else
		s->state = HTTP2_OFFER;
	return true;
}

int http2_server_send(struct http2_stream *s)
{
	nghttp2_session *session = s->h->sessions[SIDE_SERVER];
	struct http2_flow *f = &s->flows[SIDE_SERVER];
	struct http2_list list;
	struct buffer room;
	int32_t id;
	int r;

	if (waits_for_offer(s))
		return 0;
	if (http_has_secret(s->h->e) && s->h->e->secret.length == 0)
		return http2_secret_ask(s);
	buffer_init(&room, 2 * LIMIT_HTTP_HEAD + 3 * LIMIT_SECRET_BYTES);
	r = http2_list_of_request(&list, s, &room);
	if (r < 0) {
		buffer_wipe(&room);
		return r;
	}
	if (s->request.collected)
		http2_stream_append(s, SIDE_SERVER, buffer_slice(&s->request.content));
	buffer_wipe(&s->request.content);
	buffer_wipe(&s->request.decoded);
	http2_stream_hold(s, SIDE_SERVER, http_request_held(&s->request));
	id = nghttp2_submit_request(session, NULL, list.items, list.count,
		s->request.has_body || s->socket || s->tunnel ? &http2_content : NULL, s);
	buffer_wipe(&room);
	if (id < 0)
		return -ENOMEM;
	s->server_id = id;
	s->state = HTTP2_OPEN;
	protocol_begun(s->h->e->base.host, s->request.number, true);
	f->waits = false;
	return 0;
}

void http2_server_forget(struct http2_stream *s, uint32_t code)
{
	nghttp2_session *session = s->h->sessions[SIDE_SERVER];
	int32_t id = s->server_id;

	s->server_id = 0;
	if (!id || !session)
		return;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, code);
}

/* --- responses --- */

static void refuse_response(struct http2_stream *s, const char *problem)
{
	char text[256];

	snprintf(text, sizeof(text), reason_get(REASON_UPSTREAM_PROTOCOL)->agent, problem);
	http2_stream_fail(s, REASON_UPSTREAM_PROTOCOL, text);
}

static int submit_head(struct http2_stream *s, bool final, bool content)
{
	nghttp2_session *session = s->h->sessions[SIDE_AGENT];
	struct http2_list list;
	struct buffer room;
	char status[HTTP_STATUS_DIGITS];
	int r;

	http_status_put(s->request.status, status);
	buffer_init(&room, 2 * LIMIT_HTTP_HEAD);
	r = http2_list_of_response(&list, s, slice_of(status, sizeof(status)), &room);
	if (r == 0 && !final) {
		r = nghttp2_submit_headers(
			session, NGHTTP2_FLAG_NONE, s->id, NULL, list.items, list.count, NULL);
	} else if (r == 0) {
		s->answering = true;
		s->head_held = false;
		r = nghttp2_submit_response(
			session, s->id, list.items, list.count, content ? &http2_content : NULL);
	}
	buffer_wipe(&room);
	return r;
}

void http2_say_continue(struct http2_stream *s)
{
	struct http2_list list = {.count = 0};

	http2_list_add(&list, slice_from_string(":status"), slice_from_string("100"));
	nghttp2_submit_headers(s->h->sessions[SIDE_AGENT], NGHTTP2_FLAG_NONE, s->id, NULL,
		list.items, list.count, NULL);
}

/* RFC 9110, 15.2: the final response is still to come. */
static void interim(struct http2_stream *s)
{
	struct http_request *r = &s->request;

	if (++r->interims > LIMIT_HTTP_INTERIM) {
		refuse_response(s, "interim responses without end");
		return;
	}
	if (r->status == 100 && (!r->expects || r->continued))
		return;
	r->continued |= r->status == 100;
	submit_head(s, false, false);
}

/* The session goes on, so that nothing else tells why. */
static void refuse_content(struct http2_stream *s, enum reason reason, const char *why)
{
	http2_note(s->h, reason, why);
	http2_stream_fail(s, reason, why);
}

/* What is kept of its head goes with the masked content, or with the reason why there is none. */
static void begin_masking(struct http2_stream *s)
{
	const struct http_field *length =
		http_fields_find(&s->request.head.fields, "content-length", NULL);
	uint64_t bytes = 0;
	const char *why;

	/* nghttp2 has read it. */
	if (length && text_to_number(length->value, UINT64_MAX >> 1, &bytes) < 0)
		bytes = UINT64_MAX;
	s->masking = true;
	why = http_response_begin_masking(&s->request, bytes);
	if (why)
		refuse_content(s, REASON_MASK_IMPOSSIBLE, why);
	else if (http_response_waits(&s->request))
		s->head_held = true;
	else
		submit_head(s, true, true);
}

/* What the WebSocket says is masked message by message. */
static void on_agreed(struct http2_stream *s)
{
	const char *problem = http2_socket_answered(s, true);

	if (problem)
		refuse_response(s, problem);
	else
		submit_head(s, true, true);
}

static void report(struct http2_stream *s);

/* What follows is the connection's that the proxy has made. */
static void on_established(struct http2_stream *s)
{
	int r = http2_tunnel_opened(s);

	if (r < 0) {
		http2_stream_fail(s, REASON_LIMIT, "no more connections can be carried");
		return;
	}
	submit_head(s, true, true);
	report(s);
}

static void on_final(struct http2_stream *s, bool ends)
{
	struct http_request *r = &s->request;

	http_status_put(r->status, r->tag);
	r->tag[HTTP_STATUS_DIGITS] = '\0';
	if (s->tunnel && r->status < 300) {
		on_established(s);
		return;
	}
	if (s->tunnel)
		http2_tunnel_refused(s);
	if (s->socket && r->status < 300) {
		on_agreed(s);
		return;
	}
	if (s->socket)
		http2_socket_answered(s, false);
	/* What it says of its content is left out also where there is none, as for HEAD. */
	if (r->masked && !ends)
		begin_masking(s);
	else
		submit_head(s, true, !ends);
}

static void on_head(struct http2_stream *s, bool ends)
{
	uint64_t status = 0;

	/* nghttp2 has looked at it: three digits, not 101. */
	if (s->block.problem.status || text_to_number(s->block.status, 999, &status) < 0) {
		refuse_response(s, s->block.problem.status ? s->block.problem.text : "its status");
		return;
	}
	s->request.status = (unsigned)status;
	http_fields_copy(&s->request.head.fields, &s->block.fields);
	if (status < 200)
		interim(s);
	else
		on_final(s, ends);
}

/* --- the end of a response --- */

static void report(struct http2_stream *s)
{
	struct http2 *h = s->h;
	struct protocol_event *event = http_event(h->e, EVENT_RESULT);
	char *tag = h->tags[h->next_tag++ % ARRAY_SIZE(h->tags)];

	memcpy(tag, s->request.tag, HTTP_STATUS_DIGITS + 1);
	event->result.action = s->request.number;
	event->result.bytes = s->content;
	event->result.tag = slice_from_string(tag);
	if (s->request.status >= 400)
		event->result.error_code = event->result.tag;
	http2_forgive(h);
}

static void mask_data(struct http2_stream *s, struct slice data, bool last)
{
	struct http2_flow *f = &s->flows[SIDE_AGENT];
	size_t before = buffer_length(&f->data);
	int r = http_response_mask(&s->request, data, last, &f->data);
	enum reason reason;
	const char *why;

	s->h->passing += buffer_length(&f->data) - before;
	if (r == 0 && !http2_stream_hold(s, SIDE_AGENT, http_response_held(&s->request)))
		r = -E2BIG;
	if (r < 0) {
		why = http_response_mask_problem(r, &reason);
		refuse_content(s, why ? reason : REASON_LIMIT,
			why ? why : "denied: the response could not be masked");
		return;
	}
	why = http_response_note(&s->request);
	if (why)
		http2_note(s->h, REASON_NONE, why);
	if (s->head_held && (last || buffer_length(&f->data)))
		submit_head(s, true, true);
}

static void on_end(struct http2_stream *s)
{
	const struct http2_block *trailers = s->flows[SIDE_AGENT].trailers;

	if (http2_socket_is_open(s)) {
		http2_socket_end(s, SIDE_SERVER);
		return;
	}
	if (http2_tunnel_is_open(s)) {
		http2_tunnel_end(s, SIDE_SERVER);
		return;
	}
	if (!s->masking && trailers && trailers->problem.status) {
		refuse_response(s, "its trailers");
		return;
	}
	if (s->masking) {
		/* They would pass unmasked. */
		http2_flow_drop_trailers(&s->flows[SIDE_AGENT]);
		mask_data(s, SLICE_EMPTY, true);
	}
	if (s->state != HTTP2_OPEN)
		return;
	s->server_ended = s->flows[SIDE_AGENT].ended = true;
	report(s);
	http2_stream_wake(s, SIDE_AGENT);
}

/* --- what comes --- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct http2_stream *s = stream_of(context, frame->hd.stream_id);

	(void)session;
	if (!s)
		return 0;
	if (!s->request.tag[0])
		http2_block_clear(&s->block);
	else if (!s->flows[SIDE_AGENT].trailers)
		s->flows[SIDE_AGENT].trailers = memory_new(sizeof(struct http2_block));
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
	nghttp2_rcbuf *value, uint8_t flags, void *context)
{
	struct http2_stream *s = stream_of(context, frame->hd.stream_id);

	(void)session;
	(void)flags;
	if (!s ||
		http2_block_add(
			s->request.tag[0] ? s->flows[SIDE_AGENT].trailers : &s->block, name, value))
		return 0;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
	nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *context)
{
	struct http2_stream *s = stream_of(context, frame->hd.stream_id);

	(void)session;
	(void)name;
	(void)value;
	(void)flags;
	if (s)
		refuse_response(s, "a header");
	return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct http2 *h = context;
	struct http2_stream *s = frame->hd.stream_id ? stream_of(h, frame->hd.stream_id) : NULL;
	bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	(void)session;
	if (frame->hd.type == NGHTTP2_GOAWAY)
		http2_on_goaway(h);
	if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
		return http2_on_settings(h) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
	if (!s || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && !s->request.tag[0])
		on_head(s, ends);
	if (ends && s->state == HTTP2_OPEN)
		on_end(s);
	return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
	size_t length, void *context)
{
	struct http2 *h = context;
	struct http2_stream *s = stream_of(h, id);
	int r = 0;

	(void)flags;
	http2_came(h, SIDE_SERVER, length);
	if (!s || s->state != HTTP2_OPEN) {
		nghttp2_session_consume_stream(session, id, length);
		return 0;
	}
	if (http2_socket_is_open(s))
		return http2_socket_take(s, SIDE_SERVER, slice_of(data, length)) < 0
			? NGHTTP2_ERR_CALLBACK_FAILURE
			: 0;
	if (http2_tunnel_is_open(s))
		return http2_tunnel_take(s, SIDE_SERVER, slice_of(data, length)) < 0
			? NGHTTP2_ERR_CALLBACK_FAILURE
			: 0;
	s->content += length;
	s->flows[SIDE_AGENT].owed += length;
	if (s->masking)
		mask_data(s, slice_of(data, length), false);
	else
		r = http2_stream_append(s, SIDE_AGENT, slice_of(data, length));
	http2_stream_settle(s, SIDE_AGENT);
	http2_stream_wake(s, SIDE_AGENT);
	return r < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Of a stream that nobody let go of: both ends came, or the server gave it up. */
static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *context)
{
	struct http2 *h = context;
	struct http2_stream *s = stream_of(h, id);

	if (!s)
		return 0;
	nghttp2_session_set_stream_user_data(session, id, NULL);
	s->server_id = 0;
	if (http2_tunnel_is_open(s))
		http2_tunnel_closed(s, code);
	if (!s->id) {
		http2_stream_free(s);
		return 0;
	}
	if (http2_socket_has_last_words(s) || http2_tunnel_is_open(s))
		return 0;
	http2_socket_report(s);
	http2_stream_stop(s);
	if (!s->server_ended)
		nghttp2_submit_rst_stream(h->sessions[SIDE_AGENT], NGHTTP2_FLAG_NONE, s->id,
			code ? code : NGHTTP2_INTERNAL_ERROR);
	return 0;
}

int http2_server_begin(struct http2 *h)
{
	static const struct http2_callbacks callbacks = {
		.begin_headers = on_begin_headers,
		.header = on_header,
		.invalid_header = on_invalid_header,
		.frame = on_frame,
		.data = on_data,
		.stream_close = on_stream_close,
	};

	return http2_session_begin(h, SIDE_SERVER, &callbacks);
}
