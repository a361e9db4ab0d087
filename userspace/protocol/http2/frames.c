/* SPDX-License-Identifier: Apache-2.0
 *
 * frames: bytes to and from nghttp2. It is given one frame at a time, so that what comes of one is
 * dealt with before the next, and so that frames which cost more than they do can be counted.
 */
#include <errno.h>
#include <stdio.h>

#include "protocol/http2/http2.h"

void http2_frames_begin(struct http2_frames *f, bool preface)
{
	*f = (struct http2_frames){.left = preface ? NGHTTP2_CLIENT_MAGIC_LEN : 0};
}

/* --- floods --- */

static void moves_on(struct http2 *h)
{
	h->frames[SIDE_AGENT].idle = h->frames[SIDE_SERVER].idle = 0;
}

static void count(struct http2 *h, struct http2_frames *f)
{
	uint8_t type = f->header[3];

	if (type == NGHTTP2_HEADERS || (type == NGHTTP2_DATA && f->left)) {
		f->continuations = 0;
		moves_on(h);
	} else if (type == NGHTTP2_CONTINUATION) {
		if (++f->continuations > LIMIT_HTTP2_CONTINUATIONS)
			h->flood = "too many CONTINUATION frames";
	} else if (++f->idle > LIMIT_HTTP2_IDLE_FRAMES) {
		h->flood = "too many frames that do nothing";
	}
}

/* Bytes of `in` up to the end of a frame, or of its header. */
static size_t next_part(struct http2 *h, struct http2_frames *f, struct slice in)
{
	size_t n = f->left < in.length ? f->left : in.length;

	if (f->left) {
		f->left -= n;
		return n;
	}
	n = HTTP2_FRAME_HEADER - f->header_length;
	if (n > in.length)
		n = in.length;
	memcpy(f->header + f->header_length, in.data, n);
	f->header_length += n;
	if (f->header_length < HTTP2_FRAME_HEADER)
		return n;
	f->header_length = 0;
	f->left = (size_t)f->header[0] << 16 | (size_t)f->header[1] << 8 | f->header[2];
	count(h, f);
	return n;
}

/* --- in --- */

static bool has_events(const struct http2 *h)
{
	return h->e->events.count || h->dropped_count || !list_is_empty(&h->asking) ||
		!list_is_empty(&h->reports);
}

static void broke(struct http2 *h, enum side side, const char *text)
{
	char why[160];

	if (side == SIDE_AGENT) {
		http2_fail(h, REASON_PROTOCOL_VIOLATION, text);
		return;
	}
	snprintf(why, sizeof(why), reason_get(REASON_UPSTREAM_PROTOCOL)->agent, text);
	http2_fail(h, REASON_UPSTREAM_PROTOCOL, why);
}

static int take(struct http2 *h, enum side side, struct slice part)
{
	ssize_t n = nghttp2_session_mem_recv(h->sessions[side], part.data, part.length);

	if (n == NGHTTP2_ERR_NOMEM)
		return -ENOMEM;
	if (n == NGHTTP2_ERR_FLOODED)
		http2_fail(h, REASON_LIMIT, "denied: too many HTTP/2 frames that want an answer");
	else if (n < 0)
		broke(h, side, nghttp2_strerror((int)n));
	return 0;
}

/* Windows bound what comes, not what it is without its codings. */
bool http2_is_full(const struct http2 *h, enum side from)
{
	return from == SIDE_SERVER && h->passing > LIMIT_HTTP2_UNREAD;
}

int http2_input(struct http2 *h, enum side side, struct slice in, size_t *ret_taken)
{
	struct http2_frames *f = &h->frames[side];
	int r = 0;

	while (r == 0 && in.length && h->sessions[side] && !has_events(h) &&
		!http2_is_full(h, side) && h->e->agent != HTTP_AGENT_DONE) {
		size_t n = next_part(h, f, in);

		r = take(h, side, slice_head(in, n));
		*ret_taken += n;
		in = slice_from(in, n);
		if (r == 0)
			r = http2_sockets_read(h);
		if (h->flood)
			http2_fail(h, REASON_LIMIT, h->flood);
		else if (r == 0 && f->left == 0 && f->header_length == 0)
			r = http2_flush(h);
	}
	return r < 0 ? r : http2_flush(h);
}

void http2_came(struct http2 *h, enum side from, size_t bytes)
{
	h->owed[from] += bytes;
	http2_settle(h);
}

void http2_settle(struct http2 *h)
{
	if (h->passing > LIMIT_HTTP2_PASSING)
		return;
	for (int side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		if (h->sessions[side] && h->owed[side])
			nghttp2_session_consume_connection(h->sessions[side], h->owed[side]);
		h->owed[side] = 0;
	}
}

/* --- out --- */

int http2_write(struct http2 *h, enum side to, struct slice bytes)
{
	struct protocol_host *host = h->e->base.host;

	h->sent += bytes.length;
	if (to == SIDE_SERVER && http_has_secret(h->e))
		return bytes.length ? host->write_secret(host, to, bytes) : 0;
	return http_write(h->e, to, bytes);
}

/* Clients look for an offer in the first SETTINGS alone, which wait for the server's where these
 * are on their way. */
static bool greeting_waits(const struct http2 *h)
{
	return !h->greeted && h->sessions[SIDE_SERVER] && !h->settled &&
		h->e->agent != HTTP_AGENT_DONE;
}

/* Our SETTINGS, nghttp2's first frame, with what the server offers now. */
static int greet(struct http2 *h, struct slice frame)
{
	uint8_t offer = h->offers = http2_server_offers(h);
	int r = http2_write(h, SIDE_AGENT, slice_head(frame, HTTP2_OFFER_AT));

	h->greeted = true;
	if (r == 0)
		r = http2_write(h, SIDE_AGENT, slice_of(&offer, 1));
	return r < 0 ? r : http2_write(h, SIDE_AGENT, slice_from(frame, HTTP2_OFFER_AT + 1));
}

static int send_frame(struct http2 *h, enum side side, struct slice frame)
{
	return side == SIDE_AGENT && !h->greeted ? greet(h, frame) : http2_write(h, side, frame);
}

static int send_side(struct http2 *h, enum side side)
{
	const uint8_t *data;
	ssize_t n = 1;
	int r = 0;

	if (side == SIDE_AGENT && greeting_waits(h))
		return 0;
	while (r == 0 && n > 0 && h->sessions[side]) {
		n = nghttp2_session_mem_send(h->sessions[side], &data);
		if (n > 0)
			r = send_frame(h, side, slice_of(data, (size_t)n));
	}
	return n < 0 ? -ENOMEM : r;
}

static void check_end(struct http2 *h)
{
	for (int side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		if (h->broken[side] && h->e->agent != HTTP_AGENT_DONE)
			broke(h, (enum side)side, nghttp2_http2_strerror(h->broken[side]));
	}
	if (h->e->agent == HTTP_AGENT_DONE)
		return;
	http2_check_drained(h);
	if (h->ends && h->stream_count == 0)
		http_close(h->e, h->e->abort.reason, h->e->abort_text ? h->e->abort_text : "");
}

static int send_both(struct http2 *h)
{
	uint64_t before;
	int r;

	/* What one side is sent opens the windows of the other. */
	do {
		before = h->sent;
		r = send_side(h, SIDE_AGENT);
		if (r == 0)
			r = send_side(h, SIDE_SERVER);
	} while (r == 0 && h->sent != before);
	return r;
}

int http2_flush(struct http2 *h)
{
	int r = send_both(h);

	if (r == 0)
		check_end(h);
	return r < 0 ? r : send_both(h);
}
