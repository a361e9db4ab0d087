/* SPDX-License-Identifier: Apache-2.0
 *
 * stream_messages: channels in a WebSocket: the first byte of a message names the channel, and what
 * follows is its content (v4.channel.k8s.io); a client says with channel 255 that it writes no more
 * to the one that follows (v5.channel.k8s.io).
 */
#include "base/memory.h"
#include "protocol/http/messages.h"
#include "protocol/kubernetes/channels.h"

#define CHANNEL_CLOSE 255u

struct channelled {
	struct http_messages messages;
	struct kubernetes_channels channels;
	bool closes; /* v5 */
	struct {
		bool known; /* the message's channel, as its first byte came */
		bool any; /* and something behind it */
		uint8_t channel;
	} at[2]; /* by side that says it */
	struct buffer content; /* of a message that is written anew */
};

static struct channelled *channelled_of(struct http_messages *m)
{
	return container_of(m, struct channelled, messages);
}

/* --- from the server, where something is masked --- */

static int tell(struct channelled *c, uint8_t channel, struct slice bytes)
{
	int r;

	buffer_clear(&c->content);
	r = buffer_append_byte(&c->content, channel);
	if (r == 0)
		r = buffer_append_slice(&c->content, bytes);
	return r < 0 ? r
		     : http_messages_tell(
			       &c->messages, WEBSOCKET_BINARY, true, buffer_slice(&c->content));
}

static int tell_output(
	struct channelled *c, uint8_t channel, struct slice bytes, enum kubernetes_more more)
{
	struct slice leaves;
	int r = kubernetes_channels_mask(&c->channels, channel, bytes, more);

	if (r < 0)
		return r;
	leaves = buffer_slice(&c->channels.leaves[channel - KUBERNETES_STDOUT]);
	return leaves.length ? tell(c, channel, leaves) : 0;
}

static int tell_rest(struct channelled *c)
{
	int r = tell_output(c, KUBERNETES_STDOUT, SLICE_EMPTY, KUBERNETES_LAST);

	return r < 0 ? r : tell_output(c, KUBERNETES_STDERR, SLICE_EMPTY, KUBERNETES_LAST);
}

static int tell_status(struct channelled *c)
{
	int r = tell_rest(c);

	if (r == 0)
		r = kubernetes_channels_mask_status(&c->channels);
	return r < 0 ? r : tell(c, KUBERNETES_ERROR, buffer_slice(&c->channels.ending));
}

/* A message without content says that the stream stands. */
static int tell_empty(struct channelled *c)
{
	if (c->at[SIDE_SERVER].known)
		return tell(c, c->at[SIDE_SERVER].channel, SLICE_EMPTY);
	return http_messages_tell(&c->messages, WEBSOCKET_BINARY, true, SLICE_EMPTY);
}

static int mask_data(struct channelled *c, struct slice bytes, bool ends)
{
	uint8_t channel = c->at[SIDE_SERVER].channel;
	int r;

	if (!c->at[SIDE_SERVER].any)
		return ends ? tell_empty(c) : 0;
	if (channel != KUBERNETES_ERROR)
		return tell_output(c, channel, bytes, ends ? KUBERNETES_AWAITS : KUBERNETES_WITHIN);
	r = kubernetes_channels_note(&c->channels, KUBERNETES_ERROR, bytes, ends);
	return r == 0 && ends ? tell_status(c) : r;
}

/* --- messages --- */

static int refuse(struct channelled *c, const char *problem)
{
	return http_stream_refuse(&c->messages.base, REASON_PROTOCOL_VIOLATION, problem);
}

/* Of a message that closes a channel, one byte names it. More would pass as what nobody records. */
static bool is_behind_close(const struct channelled *c, enum side from, struct slice bytes)
{
	return c->at[from].known && c->at[from].channel == CHANNEL_CLOSE &&
		bytes.length > (c->at[from].any ? 0 : 1);
}

static int take_channel(struct channelled *c, enum side from, uint8_t channel)
{
	bool closes = channel == CHANNEL_CLOSE && c->closes && from == SIDE_AGENT;

	c->at[from].known = true;
	c->at[from].channel = channel;
	if (closes || (channel < KUBERNETES_CHANNELS && kubernetes_channel_writer(channel) == from))
		return 0;
	return refuse(c, "a Kubernetes channel that is not this side's");
}

static int channelled_data(
	struct http_messages *m, enum side from, const struct websocket_piece *piece)
{
	struct channelled *c = channelled_of(m);
	struct slice bytes = piece->plain;
	int r = 0;

	if (piece->begins)
		c->at[from].known = c->at[from].any = false;
	if (!c->at[from].known && bytes.length) {
		r = take_channel(c, from, bytes.data[0]);
		bytes = slice_from(bytes, 1);
	}
	if (r == 0 && is_behind_close(c, from, bytes))
		r = refuse(c, "words behind the Kubernetes channel that is closed");
	c->at[from].any |= bytes.length > 0;
	if (r < 0)
		return r;
	if (from == SIDE_SERVER && c->channels.masked)
		return mask_data(c, bytes, piece->ends);
	if (c->at[from].known && c->at[from].channel != CHANNEL_CLOSE)
		r = kubernetes_channels_note(&c->channels, c->at[from].channel, bytes, piece->ends);
	return r < 0 ? r : http_messages_pass(m, from, piece);
}

static int channelled_end(struct http_messages *m, enum side from)
{
	struct channelled *c = channelled_of(m);

	return from == SIDE_SERVER && c->channels.masked ? tell_rest(c) : 0;
}

static void channelled_free(struct http_messages *m)
{
	struct channelled *c = channelled_of(m);

	kubernetes_channels_done(&c->channels);
	buffer_wipe(&c->content);
	http_messages_done(m);
	free(c);
}

static const struct http_messages_reader reader = {
	.data = channelled_data, .end = channelled_end, .free = channelled_free};

/* --- which form --- */

/* "channel.k8s.io", and nothing at all, are the oldest: the same without a Status at the end. */
static bool is_read(struct slice protocol)
{
	static const char *const forms[] = {"v5.channel.k8s.io", "v4.channel.k8s.io",
		"v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io", ""};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (slice_equal_string(protocol, forms[i]))
			return true;
	}
	return false;
}

struct http_stream *kubernetes_messages_new(
	const struct http_request *r, struct event_queue *events, const char **ret_problem)
{
	size_t count;
	const struct http_field *field =
		http_fields_find(&r->head.fields, "sec-websocket-protocol", &count);
	struct slice protocol = field ? field->value : SLICE_EMPTY;
	struct channelled *c;

	if (count > 1 || !is_read(protocol)) {
		*ret_problem = "101 with a form of Kubernetes channels that nobody reads";
		return NULL;
	}
	c = memory_new(sizeof(*c));
	c->closes = slice_equal_string(protocol, "v5.channel.k8s.io");
	http_messages_init(&c->messages, &reader, r, events);
	kubernetes_channels_init(&c->channels, &c->messages.base);
	buffer_init(&c->content, 4 * LIMIT_HTTP_BODY_MASKED + 1);
	return &c->messages.base;
}
