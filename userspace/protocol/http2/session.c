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
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_HTTP2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, LIMIT_HTTP_HEAD},
		/* Streams that the peer may open: a server's are pushes. */
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
			side == SIDE_AGENT ? LIMIT_HTTP2_STREAMS : 0},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	};

	/* RFC 9113, 6.5.2: the last is a client's to say. */
	return nghttp2_submit_settings(
		session, NGHTTP2_FLAG_NONE, settings, ARRAY_SIZE(settings) - (side == SIDE_AGENT));
}

static int session_new(struct http2 *h, enum side side, nghttp2_session_callbacks *callbacks,
	nghttp2_option *option, nghttp2_session **ret)
{
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
	nghttp2_session_callbacks_set_send_data_callback(callbacks, http2_send_data);
	return side == SIDE_AGENT ? nghttp2_session_server_new2(ret, callbacks, h, option)
				  : nghttp2_session_client_new2(ret, callbacks, h, option);
}

int http2_session_begin(struct http2 *h, enum side side, nghttp2_session_callbacks *callbacks)
{
	nghttp2_option *option;
	nghttp2_session *session = NULL;
	int r = nghttp2_option_new(&option);

	if (r < 0)
		return -ENOMEM;
	r = session_new(h, side, callbacks, option, &session);
	nghttp2_option_del(option);
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
