/* SPDX-License-Identifier: Apache-2.0
 *
 * upstream: the connection to the server, from the first released stream to its end, and on to the
 * next one.
 */
#include <errno.h>

#include "protocol/http2/http2.h"

static bool has_state(const struct http2 *h, enum http2_state state)
{
	list_for_each (position, &h->streams) {
		if (list_entry(position, struct http2_stream, link)->state == state)
			return true;
	}
	return false;
}

static void connect_to_server(struct http_engine *e)
{
	e->server = HTTP_SERVER_CONNECTING;
	http_event(e, EVENT_CONNECT);
}

int http2_go_on(struct http2_stream *s)
{
	struct http2 *h = s->h;

	if (h->e->server == HTTP_SERVER_NONE)
		connect_to_server(h->e);
	else if (h->e->server == HTTP_SERVER_IDLE && !h->draining)
		return http2_server_send(s);
	return 0;
}

bool http2_server_offers(const struct http2 *h)
{
	return h->settled &&
		nghttp2_session_get_remote_settings(
			h->sessions[SIDE_SERVER], NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

int http2_on_settings(struct http2 *h)
{
	const nghttp2_settings_entry offer = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
	int r = 0;

	h->settled = true;
	/* It is never taken back (RFC 8441, 3): another server of the place may not have it. */
	if (h->greeted && !h->offers && http2_server_offers(h)) {
		h->offers = true;
		nghttp2_submit_settings(h->sessions[SIDE_AGENT], NGHTTP2_FLAG_NONE, &offer, 1);
	}
	list_for_each_safe (position, &h->streams) {
		struct http2_stream *s = list_entry(position, struct http2_stream, link);

		if (r == 0 && s->state == HTTP2_OFFER)
			r = http2_server_send(s);
	}
	return r;
}

static void server_is_ready(struct http2 *h)
{
	int r = http2_server_begin(h);

	h->e->server = HTTP_SERVER_IDLE;
	h->draining = false;
	/* It may take its time from here on. */
	http_event(h->e, EVENT_LOGIN);
	list_for_each_safe (position, &h->streams) {
		struct http2_stream *s = list_entry(position, struct http2_stream, link);

		if (r == 0 && s->state == HTTP2_READY)
			r = http2_server_send(s);
	}
	if (r == 0)
		r = http2_flush(h);
	if (r < 0)
		http2_fail(h, REASON_INTERNAL, "out of memory");
}

void http2_connected(struct protocol_engine *base)
{
	struct http_engine *e = http_engine_of(base);

	if (e->server != HTTP_SERVER_CONNECTING)
		return;
	e->server = HTTP_SERVER_TLS;
	e->verified = false;
	if (http_wants_server_tls(e))
		http_start_tls(e, SIDE_SERVER, "h2");
	else
		server_is_ready(e->h2);
}

void http2_tls_done(
	struct protocol_engine *base, enum side side, const struct protocol_tls_result *result)
{
	struct http_engine *e = http_engine_of(base);

	if (side != SIDE_SERVER || e->server != HTTP_SERVER_TLS)
		return;
	e->verified = result->verified;
	if (result->error == 0 && slice_equal_string(result->alpn, "h2")) {
		server_is_ready(e->h2);
		return;
	}
	http2_fail(e->h2, REASON_UPSTREAM_TLS,
		result->error < 0 ? result->text : "the server does not speak HTTP/2");
	http2_flush(e->h2);
}

/* --- the end --- */

void http2_say_goodbye(struct http2 *h)
{
	nghttp2_session *agent = h->sessions[SIDE_AGENT];

	if (h->ends)
		return;
	h->ends = true;
	nghttp2_submit_goaway(agent, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(agent), NGHTTP2_NO_ERROR, NULL, 0);
}

void http2_on_goaway(struct http2 *h)
{
	if (h->draining)
		return;
	h->draining = true;
	http2_say_goodbye(h);
}

static void forget_server(struct http2 *h)
{
	nghttp2_session_del(h->sessions[SIDE_SERVER]);
	h->sessions[SIDE_SERVER] = NULL;
	h->broken[SIDE_SERVER] = NGHTTP2_NO_ERROR;
	h->settled = false;
	h->e->server = HTTP_SERVER_NONE;
	list_for_each_safe (position, &h->streams) {
		struct http2_stream *s = list_entry(position, struct http2_stream, link);

		s->server_id = 0;
		if (!s->id)
			http2_stream_free(s);
	}
}

/* A server that takes no more has answered all that it took: what was released since goes to its
 * next connection. */
void http2_check_drained(struct http2 *h)
{
	if (!h->draining || h->e->server != HTTP_SERVER_IDLE || has_state(h, HTTP2_OPEN) ||
		!has_state(h, HTTP2_READY))
		return;
	forget_server(h);
	connect_to_server(h->e);
}

void http2_server_gone(struct http2 *h)
{
	/* Whoever noticed first has said so, and the next request is told why. */
	if (h->e->server == HTTP_SERVER_NONE && h->e->abort_text)
		return;
	if (h->e->server != HTTP_SERVER_IDLE) {
		http2_fail(h, REASON_UPSTREAM_CLOSED, "the server closed the connection");
		http2_flush(h);
		return;
	}
	forget_server(h);
	list_for_each_safe (position, &h->streams) {
		struct http2_stream *s = list_entry(position, struct http2_stream, link);

		if (http2_tunnel_is_open(s))
			http2_tunnel_closed(s, NGHTTP2_CONNECT_ERROR);
		else if (s->state == HTTP2_OFFER || (s->state == HTTP2_OPEN && !s->server_ended))
			http2_stream_fail(
				s, REASON_UPSTREAM_CLOSED, "the server closed the connection");
		else if (s->state == HTTP2_OPEN)
			http2_stream_stop(s);
	}
	http2_say_goodbye(h);
	if (has_state(h, HTTP2_READY))
		connect_to_server(h->e);
	http2_flush(h);
}

/* The error with which HTTP/2 ends a connection for a reason of ours. */
static uint32_t error_of(enum reason reason)
{
	switch (reason) {
	case REASON_PROTOCOL_VIOLATION:
		return NGHTTP2_PROTOCOL_ERROR;
	case REASON_LIMIT:
		return NGHTTP2_ENHANCE_YOUR_CALM;
	default:
		return NGHTTP2_NO_ERROR;
	}
}

void http2_fail(struct http2 *h, enum reason reason, const char *text)
{
	nghttp2_session *agent = h->sessions[SIDE_AGENT];

	if (h->e->agent == HTTP_AGENT_DONE)
		return;
	list_for_each_safe (position, &h->streams) {
		struct http2_stream *s = list_entry(position, struct http2_stream, link);

		if (s->state != HTTP2_HEAD && s->state != HTTP2_ANSWERED)
			http2_stream_fail(s, reason, text);
	}
	nghttp2_submit_goaway(agent, NGHTTP2_FLAG_NONE,
		nghttp2_session_get_last_proc_stream_id(agent), error_of(reason), NULL, 0);
	http_close(h->e, reason, text);
}
