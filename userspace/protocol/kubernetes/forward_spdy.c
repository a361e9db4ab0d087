/* SPDX-License-Identifier: Apache-2.0
 *
 * forward_spdy: port-forward over SPDY/3.1. Frames pass byte by byte as they came: none means
 * anything to its receiver before its last byte, which leaves when the whole was looked at.
 */
#include <errno.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/kubernetes/forward.h"

void kubernetes_forward_spdy_init(struct kubernetes_forward_spdy *f, struct event_queue *events)
{
	kubernetes_forwards_init(&f->forwards, events);
	for (enum side side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		spdy_reader_init(&f->frames[side]);
		spdy_headers_init(&f->headers[side]);
	}
	f->last = 0;
}

void kubernetes_forward_spdy_done(struct kubernetes_forward_spdy *f)
{
	kubernetes_forwards_done(&f->forwards);
	for (enum side side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		spdy_reader_done(&f->frames[side]);
		spdy_headers_done(&f->headers[side]);
	}
}

static int bad(const char **ret_problem, const char *problem)
{
	*ret_problem = problem;
	return -EBADMSG;
}

/* A stream for errors counts as none: servers alone say something in it. */
static int open_stream(struct kubernetes_forward_spdy *f, enum side from,
	const struct spdy_piece *piece, const char **ret_problem)
{
	struct slice type = spdy_headers_find(&f->headers[from], "streamtype");
	struct kubernetes_forward *one;
	uint64_t port;

	/* 2.3.2: a client's have odd numbers, which only rise. */
	if (from != SIDE_AGENT || piece->stream % 2 == 0 || piece->stream <= f->last)
		return bad(ret_problem, "a SPDY stream that this side can't open");
	if (text_to_number(spdy_headers_find(&f->headers[from], "port"), UINT16_MAX, &port) < 0 ||
		port == 0)
		return bad(ret_problem, "a SPDY stream to no port");
	f->last = piece->stream;
	if (slice_equal_string(type, "error"))
		return 0;
	if (!slice_equal_string(type, "data"))
		return bad(ret_problem, "a SPDY stream that is none of a port-forward");
	one = kubernetes_forwards_open(&f->forwards, piece->stream, (uint16_t)port);
	one->finished[from] = piece->finishes;
	return 0;
}

static int on_control(struct kubernetes_forward_spdy *f, enum side from,
	const struct spdy_piece *piece, const char **ret_problem)
{
	bool has_headers = piece->headers.length || piece->type == SPDY_SYN_STREAM;
	struct kubernetes_forward *one;
	int r = 0;

	if (has_headers && piece->type != SPDY_SETTINGS)
		r = spdy_headers_read(&f->headers[from], piece->headers);
	if (r == -EBADMSG)
		return bad(ret_problem, "SPDY headers that can't be read");
	if (r < 0)
		return r;
	if (piece->type == SPDY_SYN_STREAM)
		return open_stream(f, from, piece, ret_problem);
	one = kubernetes_forwards_find(&f->forwards, piece->stream);
	if (one && piece->type == SPDY_RST_STREAM)
		kubernetes_forwards_end(&f->forwards, one);
	else if (one && piece->finishes)
		kubernetes_forwards_finish(&f->forwards, one, from);
	return 0;
}

/* One that is over may have content on its way still, which nobody reads. */
static int on_data(struct kubernetes_forward_spdy *f, enum side from,
	const struct spdy_piece *piece, const char **ret_problem)
{
	struct kubernetes_forward *one = kubernetes_forwards_find(&f->forwards, piece->stream);

	if (piece->stream % 2 == 0 || piece->stream > f->last)
		return bad(ret_problem, "SPDY data of a stream that nobody opened");
	if (!one)
		return 0;
	if (one->finished[from])
		return bad(ret_problem, "SPDY data behind the end of a stream");
	one->bytes[from] += piece->body.length;
	if (piece->finishes)
		kubernetes_forwards_finish(&f->forwards, one, from);
	return 0;
}

int kubernetes_forward_spdy_take(struct kubernetes_forward_spdy *f, enum side from, struct slice in,
	size_t *ret_taken, const char **ret_problem)
{
	struct spdy_piece piece;
	int r = spdy_next(&f->frames[from], in, ret_taken, &piece);

	switch (r) {
	case SPDY_TAKEN_DATA:
		return on_data(f, from, &piece, ret_problem);
	case SPDY_TAKEN_CONTROL:
		return on_control(f, from, &piece, ret_problem);
	case SPDY_TAKEN_BAD:
		return bad(ret_problem, f->frames[from].problem);
	default:
		return r < 0 ? r : 0;
	}
}

/* --- on the connection itself --- */

struct direct {
	struct http_stream base;
	struct kubernetes_forward_spdy spdy;
	struct slice held; /* part of the input that was taken and may not pass */
	enum side held_from; /* who sent that */
};

static struct direct *direct_of(struct http_stream *s)
{
	return container_of(s, struct direct, base);
}

static int direct_input(
	struct http_stream *base, enum side from, struct slice in, size_t *ret_taken)
{
	struct direct *d = direct_of(base);
	const char *problem = NULL;
	int r;

	kubernetes_forwards_begin(&d->spdy.forwards);
	r = kubernetes_forward_spdy_take(&d->spdy, from, in, ret_taken, &problem);
	kubernetes_forwards_tell(&d->spdy.forwards);
	d->held = slice_head(in, *ret_taken);
	d->held_from = from;
	if (r == -EBADMSG)
		return http_stream_refuse(base, REASON_PROTOCOL_VIOLATION, problem);
	return r < 0 ? r : http_stream_pass(base, side_other(from), d->held);
}

static int direct_end(struct http_stream *base, enum side from)
{
	struct kubernetes_forwards *f = &direct_of(base)->spdy.forwards;

	kubernetes_forwards_begin(f);
	if (base->ended[side_other(from)])
		kubernetes_forwards_end_all(f);
	kubernetes_forwards_tell(f);
	return 0;
}

/* A frame may be under way to either side, and kubectl asks for no reason. */
static void direct_leave(struct http_stream *base, enum reason reason, struct slice text)
{
	(void)base;
	(void)reason;
	(void)text;
}

static int direct_put_held(const struct http_stream *base, enum side from, struct buffer *out)
{
	const struct direct *d = container_of(base, const struct direct, base);

	/* What the other side was told before has left. */
	return d->held_from == from ? buffer_append_slice(out, d->held) : 0;
}

static void direct_free(struct http_stream *base)
{
	struct direct *d = direct_of(base);

	kubernetes_forward_spdy_done(&d->spdy);
	http_stream_done(base);
	free(d);
}

static const struct http_stream_kind kind = {.input = direct_input,
	.end = direct_end,
	.leave = direct_leave,
	.put_held = direct_put_held,
	.free = direct_free};

struct http_stream *kubernetes_forward_spdy_new(
	const struct http_request *r, struct event_queue *events)
{
	struct direct *d = memory_new(sizeof(*d));

	http_stream_init(&d->base, &kind, r, events);
	kubernetes_forward_spdy_init(&d->spdy, events);
	return &d->base;
}
