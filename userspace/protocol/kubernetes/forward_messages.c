/* SPDX-License-Identifier: Apache-2.0
 *
 * forward_messages: port-forward over a WebSocket, in the two forms that it has there: the bytes of
 * SPDY/3.1, cut into messages anywhere (KEP-4006); and messages whose first byte is a channel, of
 * which each port has two, for data and for errors (k8s.io/kubelet's "portforward"). There the
 * server says the port in the first two bytes of each, the low one first.
 */
#include <errno.h>

#include "base/memory.h"
#include "protocol/http/messages.h"
#include "protocol/kubernetes/forward.h"

#define PORT_BYTES 2u

struct forwarding {
	struct http_messages messages;
	struct kubernetes_forward_spdy spdy; /* of channels, its connections alone */
	struct {
		bool known; /* the message's channel, as its first byte came */
		uint8_t channel;
	} at[2]; /* by side that says it */
	uint8_t said[UINT8_MAX + 1]; /* bytes of its port, by channel */
	uint16_t ports[UINT8_MAX + 1];
	bool ended[2];
};

static struct forwarding *forwarding_of(struct http_messages *m)
{
	return container_of(m, struct forwarding, messages);
}

static int refuse(struct forwarding *f, const char *problem)
{
	return http_stream_refuse(&f->messages.base, REASON_PROTOCOL_VIOLATION, problem);
}

/* --- SPDY in messages --- */

static int tunnel_take(struct http_messages *m, enum side from, const struct websocket_piece *piece)
{
	struct forwarding *f = forwarding_of(m);
	const char *problem = NULL;
	size_t taken;
	int r = 0;

	for (struct slice rest = piece->plain; r == 0 && rest.length;
		rest = slice_from(rest, taken))
		r = kubernetes_forward_spdy_take(&f->spdy, from, rest, &taken, &problem);
	return r == -EBADMSG ? refuse(f, problem) : r;
}

/* --- channels --- */

static struct slice take_port(
	struct forwarding *f, struct kubernetes_forward *one, uint8_t channel, struct slice bytes)
{
	while (f->said[channel] < PORT_BYTES && bytes.length) {
		f->ports[channel] |= (uint16_t)(bytes.data[0] << (8 * f->said[channel]++));
		bytes = slice_from(bytes, 1);
		if (f->said[channel] == PORT_BYTES && one)
			kubernetes_forwards_name(&f->spdy.forwards, one, f->ports[channel]);
	}
	return bytes;
}

static void count(struct forwarding *f, enum side from, uint8_t channel, struct slice bytes)
{
	struct kubernetes_forwards *forwards = &f->spdy.forwards;
	bool errors = channel % 2;
	struct kubernetes_forward *one =
		errors ? NULL : kubernetes_forwards_find(forwards, channel);

	if (!errors && !one)
		one = kubernetes_forwards_open(forwards, channel, 0);
	if (from == SIDE_SERVER)
		bytes = take_port(f, one, channel, bytes);
	if (one)
		one->bytes[from] += bytes.length;
}

static int channels_take(
	struct http_messages *m, enum side from, const struct websocket_piece *piece)
{
	struct forwarding *f = forwarding_of(m);
	struct slice bytes = piece->plain;

	if (piece->begins)
		f->at[from].known = false;
	if (bytes.length == 0)
		return 0;
	if (!f->at[from].known) {
		f->at[from].known = true;
		f->at[from].channel = bytes.data[0];
		bytes = slice_from(bytes, 1);
		if (from == SIDE_AGENT && f->at[from].channel % 2)
			return refuse(f, "a Kubernetes channel that is not this side's");
	}
	count(f, from, f->at[from].channel, bytes);
	return 0;
}

/* --- the stream --- */

static int pass(struct http_messages *m, enum side from, const struct websocket_piece *piece,
	int (*take)(struct http_messages *m, enum side from, const struct websocket_piece *piece))
{
	struct kubernetes_forwards *forwards = &forwarding_of(m)->spdy.forwards;
	int r;

	kubernetes_forwards_begin(forwards);
	r = take(m, from, piece);
	kubernetes_forwards_tell(forwards);
	return r < 0 ? r : http_messages_pass(m, from, piece);
}

static int tunnel_data(struct http_messages *m, enum side from, const struct websocket_piece *piece)
{
	return pass(m, from, piece, tunnel_take);
}

static int channels_data(
	struct http_messages *m, enum side from, const struct websocket_piece *piece)
{
	return pass(m, from, piece, channels_take);
}

static int forwarding_end(struct http_messages *m, enum side from)
{
	struct forwarding *f = forwarding_of(m);

	kubernetes_forwards_begin(&f->spdy.forwards);
	f->ended[from] = true;
	if (f->ended[side_other(from)])
		kubernetes_forwards_end_all(&f->spdy.forwards);
	kubernetes_forwards_tell(&f->spdy.forwards);
	return 0;
}

static void forwarding_free(struct http_messages *m)
{
	struct forwarding *f = forwarding_of(m);

	kubernetes_forward_spdy_done(&f->spdy);
	http_messages_done(m);
	free(f);
}

static const struct http_messages_reader tunnel = {
	.data = tunnel_data, .end = forwarding_end, .free = forwarding_free};
static const struct http_messages_reader channels = {
	.data = channels_data, .end = forwarding_end, .free = forwarding_free};

static const struct http_messages_reader *reader_of(struct slice protocol)
{
	static const struct {
		const char *protocol;
		const struct http_messages_reader *reader;
	} forms[] = {
		{"SPDY/3.1+portforward.k8s.io", &tunnel},
		{"v4.channel.k8s.io", &channels},
		{"", &channels},
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (slice_equal_string(protocol, forms[i].protocol))
			return forms[i].reader;
	}
	return NULL;
}

struct http_stream *kubernetes_forward_messages_new(
	const struct http_request *r, struct event_queue *events)
{
	size_t count;
	const struct http_field *field =
		http_fields_find(&r->head.fields, "sec-websocket-protocol", &count);
	const struct http_messages_reader *reader =
		count > 1 ? NULL : reader_of(field ? field->value : SLICE_EMPTY);
	struct forwarding *f;

	if (!reader)
		return NULL;
	f = memory_new(sizeof(*f));
	http_messages_init(&f->messages, reader, r, events);
	kubernetes_forward_spdy_init(&f->spdy, events);
	return &f->messages.base;
}
