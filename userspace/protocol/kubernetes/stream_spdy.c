/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_spdy: channels as streams of SPDY/3.1: the client opens one for each, whose header
 * "streamtype" names it (k8s.io/apimachinery/pkg/util/httpstream/spdy, moby/spdystream). Frames
 * pass as they came, but for outputs in which something is masked.
 */
#include <errno.h>

#include "base/limits.h"
#include "base/memory.h"
#include "protocol/kubernetes/channels.h"
#include "protocol/kubernetes/kubernetes.h"
#include "protocol/spdy/frames.h"
#include "protocol/spdy/headers.h"

struct lane {
	uint32_t stream; /* its number; 0: none was opened */
	bool finished[2]; /* by side: it says no more */
};

struct spdy {
	struct http_stream base;
	struct kubernetes_channels channels;
	struct spdy_reader frames[2]; /* by side that sends them */
	struct spdy_headers headers[2];
	struct lane lanes[KUBERNETES_CHANNELS];
	uint32_t last; /* number that a stream was opened with */
	bool within[2]; /* by receiver: a frame has begun to leave */
	struct spdy_piece refused; /* that did not leave; valid while its input is */
	enum side refused_from; /* who sent that */
};

static struct spdy *spdy_of(struct http_stream *s)
{
	return container_of(s, struct spdy, base);
}

static int refuse(struct spdy *s, const char *problem)
{
	return http_stream_refuse(&s->base, REASON_PROTOCOL_VIOLATION, problem);
}

/* KUBERNETES_CHANNELS: none is. */
static enum kubernetes_channel channel_of(const struct spdy *s, uint32_t stream)
{
	unsigned channel = 0;

	/* 0 is the connection, and no lane's that was opened. */
	while (channel < KUBERNETES_CHANNELS && (!stream || s->lanes[channel].stream != stream))
		channel++;
	return channel;
}

/* --- what leaves --- */

static int pass(struct spdy *s, enum side from, const struct spdy_piece *piece)
{
	enum side to = side_other(from);
	int r = http_stream_write(&s->base, to, piece->head);

	s->within[to] = !piece->ends;
	return r < 0 ? r : http_stream_pass(&s->base, to, piece->body);
}

static int pass_control(struct spdy *s, enum side from, const struct spdy_piece *piece)
{
	int r;

	buffer_clear(&s->base.out);
	r = buffer_append_slice(&s->base.out, piece->head);
	if (r == 0)
		r = buffer_append_slice(&s->base.out, piece->body);
	return r < 0 ? r : http_stream_send(&s->base, side_other(from), 0);
}

static int tell(struct spdy *s, enum kubernetes_channel channel, struct slice bytes, bool finishes)
{
	int r;

	if (bytes.length == 0 && !finishes)
		return 0;
	buffer_clear(&s->base.out);
	r = spdy_append_data(&s->base.out, s->lanes[channel].stream, finishes, bytes);
	return r < 0 ? r : http_stream_send(&s->base, SIDE_AGENT, bytes.length);
}

static int tell_output(struct spdy *s, enum kubernetes_channel channel, struct slice bytes,
	enum kubernetes_more more, bool fin)
{
	int r = kubernetes_channels_mask(&s->channels, channel, bytes, more);

	return r < 0 ? r
		     : tell(s, channel,
			       buffer_slice(&s->channels.leaves[channel - KUBERNETES_STDOUT]), fin);
}

/* What is kept back of an output that is still open. */
static int tell_rest(struct spdy *s, enum kubernetes_channel channel)
{
	const struct lane *lane = &s->lanes[channel];

	if (!s->channels.masked || !lane->stream || lane->finished[SIDE_SERVER])
		return 0;
	return tell_output(s, channel, SLICE_EMPTY, KUBERNETES_LAST, false);
}

/* The Status is complete. */
static int end_status(struct spdy *s, bool fin)
{
	int r;

	if (s->lanes[KUBERNETES_ERROR].finished[SIDE_SERVER])
		return 0;
	r = kubernetes_channels_note(&s->channels, KUBERNETES_ERROR, SLICE_EMPTY, true);
	if (r < 0 || !s->channels.masked)
		return r;
	r = tell_rest(s, KUBERNETES_STDOUT);
	if (r == 0)
		r = tell_rest(s, KUBERNETES_STDERR);
	if (r == 0)
		r = kubernetes_channels_mask_status(&s->channels);
	return r < 0 ? r : tell(s, KUBERNETES_ERROR, buffer_slice(&s->channels.ending), fin);
}

/* The server says no more in any stream. */
static int end_all(struct spdy *s)
{
	int r = tell_rest(s, KUBERNETES_STDOUT);

	if (r == 0)
		r = tell_rest(s, KUBERNETES_STDERR);
	return r == 0 && s->lanes[KUBERNETES_ERROR].stream ? end_status(s, false) : r;
}

/* --- data --- */

/* Sizes stand on lines of their own; of several, the last holds. */
static int note_sizes(struct spdy *s, struct slice bytes)
{
	const uint8_t *end = bytes.length ? memrchr(bytes.data, '\n', bytes.length) : NULL;
	struct slice lines = slice_head(bytes, end ? (size_t)(end - bytes.data) : 0);
	const uint8_t *before = lines.length ? memrchr(lines.data, '\n', lines.length) : NULL;
	int r = 0;

	if (end) {
		if (before) {
			buffer_clear(&s->channels.size);
			lines = slice_from(lines, (size_t)(before - lines.data) + 1);
		}
		r = kubernetes_channels_note(&s->channels, KUBERNETES_RESIZE, lines, true);
		bytes = slice_from(bytes, (size_t)(end - bytes.data) + 1);
	}
	return r < 0 ? r : kubernetes_channels_note(&s->channels, KUBERNETES_RESIZE, bytes, false);
}

static int note(struct spdy *s, enum kubernetes_channel channel, struct slice bytes)
{
	return channel == KUBERNETES_RESIZE
		? note_sizes(s, bytes)
		: kubernetes_channels_note(&s->channels, channel, bytes, false);
}

/* Status and outputs, where something is masked. */
static int mask_data(
	struct spdy *s, enum kubernetes_channel channel, const struct spdy_piece *piece)
{
	int r;

	if (channel != KUBERNETES_ERROR)
		return tell_output(s, channel, piece->body,
			piece->finishes       ? KUBERNETES_LAST
				: piece->ends ? KUBERNETES_AWAITS
					      : KUBERNETES_WITHIN,
			piece->finishes);
	r = note(s, channel, piece->body);
	return r == 0 && piece->finishes ? end_status(s, true) : r;
}

static int on_data(struct spdy *s, enum side from, const struct spdy_piece *piece)
{
	enum kubernetes_channel channel = channel_of(s, piece->stream);
	struct lane *lane = &s->lanes[channel];
	int r;

	if (channel == KUBERNETES_CHANNELS)
		return refuse(s, "SPDY data of a stream that nobody opened");
	/* Who was reset may not know yet; nobody reads it. */
	if (lane->finished[SIDE_AGENT] && lane->finished[SIDE_SERVER])
		return 0;
	if (lane->finished[from])
		return refuse(s, "SPDY data behind the end of a stream");
	if (piece->body.length && kubernetes_channel_writer(channel) != from)
		return refuse(s, "a Kubernetes channel that is not this side's");
	if (s->channels.masked && from == SIDE_SERVER &&
		kubernetes_channel_writer(channel) == from) {
		r = mask_data(s, channel, piece);
	} else {
		r = note(s, channel, piece->body);
		if (r == 0 && piece->finishes && from == SIDE_SERVER && channel == KUBERNETES_ERROR)
			r = end_status(s, false);
		if (r == 0)
			r = pass(s, from, piece);
	}
	lane->finished[from] = piece->finishes;
	return r;
}

/* --- control frames --- */

static enum kubernetes_channel channel_of_type(struct slice type)
{
	static const char *const types[] = {[KUBERNETES_STDIN] = "stdin",
		[KUBERNETES_STDOUT] = "stdout",
		[KUBERNETES_STDERR] = "stderr",
		[KUBERNETES_ERROR] = "error",
		[KUBERNETES_RESIZE] = "resize"};
	unsigned channel = 0;

	while (channel < KUBERNETES_CHANNELS && !slice_equal_string(type, types[channel]))
		channel++;
	return channel;
}

/* 2.3.2: a client's streams have odd numbers, which only rise. */
static int open_lane(struct spdy *s, enum side from, const struct spdy_piece *piece)
{
	enum kubernetes_channel channel;

	if (from != SIDE_AGENT || piece->stream % 2 == 0 || piece->stream <= s->last)
		return refuse(s, "a SPDY stream that this side can't open");
	channel = channel_of_type(spdy_headers_find(&s->headers[from], "streamtype"));
	if (channel == KUBERNETES_CHANNELS || s->lanes[channel].stream)
		return refuse(s, "a SPDY stream that is no channel of Kubernetes, or one twice");
	s->last = piece->stream;
	s->lanes[channel] = (struct lane){
		.stream = piece->stream, .finished = {[SIDE_AGENT] = piece->finishes}};
	return 0;
}

/* It says no more in a stream, with a frame that is not DATA. */
static int end_lane(struct spdy *s, enum side from, const struct spdy_piece *piece)
{
	enum kubernetes_channel channel = channel_of(s, piece->stream);
	struct lane *lane = &s->lanes[channel];
	bool resets = piece->type == SPDY_RST_STREAM;
	int r = 0;

	if (channel == KUBERNETES_CHANNELS)
		return 0;
	if (from == SIDE_SERVER && (piece->finishes || resets))
		r = channel == KUBERNETES_ERROR                             ? end_status(s, false)
			: kubernetes_channel_writer(channel) == SIDE_SERVER ? tell_rest(s, channel)
									    : 0;
	lane->finished[from] |= piece->finishes;
	if (resets)
		lane->finished[SIDE_AGENT] = lane->finished[SIDE_SERVER] = true;
	return r;
}

static int on_control(struct spdy *s, enum side from, const struct spdy_piece *piece)
{
	bool has_headers = piece->headers.length || piece->type == SPDY_SYN_STREAM;
	int r = 0;

	if (has_headers && piece->type != SPDY_SETTINGS)
		r = spdy_headers_read(&s->headers[from], piece->headers);
	if (r == -EBADMSG)
		return refuse(s, "SPDY headers that can't be read");
	if (r == 0 && piece->type == SPDY_SYN_STREAM)
		r = open_lane(s, from, piece);
	else if (r == 0 && piece->type == SPDY_GOAWAY && from == SIDE_SERVER)
		r = end_all(s);
	else if (r == 0)
		r = end_lane(s, from, piece);
	return r < 0 ? r : pass_control(s, from, piece);
}

/* --- the stream --- */

static int spdy_input(struct http_stream *base, enum side from, struct slice in, size_t *ret_taken)
{
	struct spdy *s = spdy_of(base);
	struct spdy_piece piece = {.head = SLICE_EMPTY};
	int r = spdy_next(&s->frames[from], in, ret_taken, &piece);

	switch (r) {
	case SPDY_TAKEN_DATA:
		r = on_data(s, from, &piece);
		break;
	case SPDY_TAKEN_CONTROL:
		r = on_control(s, from, &piece);
		break;
	case SPDY_TAKEN_BAD:
		return refuse(s, s->frames[from].problem);
	default:
		return r < 0 ? r : 0;
	}
	if (r < 0) {
		s->refused = piece;
		s->refused_from = from;
	}
	return r;
}

static int spdy_end(struct http_stream *base, enum side from)
{
	return from == SIDE_SERVER ? end_all(spdy_of(base)) : 0;
}

/* As the API server says what became of a program. */
static void spdy_leave(struct http_stream *base, enum reason reason, struct slice text)
{
	const struct protocol_refusal refusal = {.reason = reason, .text = text};
	struct spdy *s = spdy_of(base);
	const struct lane *lane = &s->lanes[KUBERNETES_ERROR];
	struct buffer status;

	if (s->within[SIDE_AGENT] || !lane->stream || lane->finished[SIDE_SERVER])
		return;
	buffer_init(&status, LIMIT_HTTP_ANSWER);
	if (kubernetes_status_write(&status, http_status_of(reason), &refusal) == 0)
		tell(s, KUBERNETES_ERROR, buffer_slice(&status), true);
	buffer_done(&status);
}

static int spdy_put_held(const struct http_stream *base, enum side from, struct buffer *out)
{
	const struct spdy *s = container_of(base, const struct spdy, base);
	int r = 0;

	if (s->refused_from == from)
		r = buffer_append_slice(out, s->refused.head);
	if (r == 0 && s->refused_from == from)
		r = buffer_append_slice(out, s->refused.body);
	return r < 0 ? r : spdy_append_held(out, &s->frames[from]);
}

static void spdy_free(struct http_stream *base)
{
	struct spdy *s = spdy_of(base);

	for (enum side side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		spdy_reader_done(&s->frames[side]);
		spdy_headers_done(&s->headers[side]);
	}
	kubernetes_channels_done(&s->channels);
	http_stream_done(base);
	free(s);
}

static const struct http_stream_kind kind = {.input = spdy_input,
	.end = spdy_end,
	.leave = spdy_leave,
	.put_held = spdy_put_held,
	.free = spdy_free};

struct http_stream *kubernetes_spdy_new(
	const struct http_request *r, struct event_queue *events, const char **ret_problem)
{
	struct spdy *s = memory_new(sizeof(*s));

	(void)ret_problem;
	http_stream_init(&s->base, &kind, r, events);
	kubernetes_channels_init(&s->channels, &s->base);
	for (enum side side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		spdy_reader_init(&s->frames[side]);
		spdy_headers_init(&s->headers[side]);
	}
	return &s->base;
}
