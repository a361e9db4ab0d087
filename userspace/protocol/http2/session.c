/* SPDX-License-Identifier: Apache-2.0
 *
 * session: nghttp2's session with one side.
 */
#include <errno.h>

#include "protocol/http2/http2.h"

/* What it refuses of itself ends with a GOAWAY that says why. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct http2 *h = context;
	enum side side = session == h->sessions[SIDE_AGENT] ? SIDE_AGENT : SIDE_SERVER;
	struct http2_stream *s;

	if (frame->hd.type == NGHTTP2_GOAWAY)
		h->broken[side] = frame->goaway.error_code;
	if (side == SIDE_SERVER || frame->hd.stream_id == 0 ||
		!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (s) {
		s->answered = true;
		http2_stream_cut(s);
	}
	return 0;
}

static int submit_settings(nghttp2_session *session, enum side side)
{
	const nghttp2_settings_entry settings[] = {
		/* Whether it is so is filled in as the frame leaves (HTTP2_OFFER_AT). */
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_HTTP2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HTTP_HEAD},
		/* Streams that the peer may open: a server's are pushes. */
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
			side == SIDE_AGENT ? LIMIT_HTTP2_STREAMS : 0},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	};

	/* The first is a server's to say, the last (RFC 9113, 6.5.2) a client's. */
	return nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings + (side == SIDE_SERVER),
		ARRAY_SIZE(settings) - 1);
}

static void set_callbacks(nghttp2_session_callbacks *to, const struct http2_callbacks *from)
{
	nghttp2_session_callbacks_set_on_begin_headers_callback(to, from->begin_headers);
	nghttp2_session_callbacks_set_on_header_callback2(to, from->header);
	nghttp2_session_callbacks_set_on_invalid_header_callback2(to, from->invalid_header);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(to, from->invalid_frame);
	nghttp2_session_callbacks_set_on_frame_recv_callback(to, from->frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, from->data);
	nghttp2_session_callbacks_set_on_stream_close_callback(to, from->stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(to, on_frame_sent);
	nghttp2_session_callbacks_set_send_data_callback(to, http2_send_data);
}

static int session_new(struct http2 *h, enum side side, const struct http2_callbacks *callbacks,
	nghttp2_session **ret)
{
	nghttp2_session_callbacks *c = NULL;
	nghttp2_option *option = NULL;
	int r = nghttp2_session_callbacks_new(&c);

	if (r == 0)
		r = nghttp2_option_new(&option);
	if (r == 0) {
		set_callbacks(c, callbacks);
		nghttp2_option_set_no_auto_window_update(option, 1);
		r = side == SIDE_AGENT
			? nghttp2_session_server_new2(ret, c, h, option)
			: nghttp2_session_client_new3(ret, c, h, option,
				  http_has_secret(h->e) ? &http2_wiping_memory : NULL);
	}
	nghttp2_option_del(option);
	nghttp2_session_callbacks_del(c);
	return r;
}

int http2_session_begin(struct http2 *h, enum side side, const struct http2_callbacks *callbacks)
{
	nghttp2_session *session = NULL;
	int r = session_new(h, side, callbacks, &session);

	if (r == 0)
		r = submit_settings(session, side);
	if (r == 0)
		r = nghttp2_session_set_local_window_size(
			session, NGHTTP2_FLAG_NONE, 0, LIMIT_HTTP2_WINDOW);
	if (r < 0) {
		nghttp2_session_del(session);
		return -ENOMEM;
	}
	h->sessions[side] = session;
	h->broken[side] = NGHTTP2_NO_ERROR;
	h->owed[side] = 0;
	http2_frames_begin(&h->frames[side], side == SIDE_AGENT);
	return 0;
}
