/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/messages.h"

#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/memory.h"

#define CLOSE_CODE 2u /* bytes of a Close's content before its reason (RFC 6455, 5.5.1) */

/* --- frames --- */

int http_messages_pass(struct http_messages *m, enum side from, const struct websocket_piece *piece)
{
	enum side to = side_other(from);
	int r = http_stream_write(&m->base, to, piece->head);

	m->within[to] = websocket_is_within(&m->frames[from]);
	return r < 0 ? r : http_stream_pass(&m->base, to, piece->raw);
}

int http_messages_tell(
	struct http_messages *m, enum websocket_opcode opcode, bool final, struct slice content)
{
	int r;

	buffer_clear(&m->base.out);
	r = websocket_append(&m->base.out, opcode, final, NULL, content);
	return r < 0 ? r : http_stream_send(&m->base, SIDE_AGENT, content.length);
}

/* A Close of the server's as it may leave: people are shown its reason. No message comes behind it.
 */
static int put_masked_close(struct http_messages *m, struct slice content)
{
	struct http_mask *mask = m->base.request->mask;
	struct buffer reason;
	int r;

	buffer_init(&reason, 4 * LIMIT_HTTP_BODY_MASKED);
	http_mask_begin_message(mask, false);
	r = http_mask_pass(mask, slice_from(content, CLOSE_CODE), true, &reason);
	/* What looks like JSON and is none says nothing then, nor what is no text. */
	if (r == -EBADMSG || r == -EPERM) {
		buffer_clear(&reason);
		r = 0;
	}
	if (r == 0)
		r = websocket_append_close(
			&m->base.out, NULL, bytes_get_u16(content.data), buffer_slice(&reason));
	buffer_wipe(&reason);
	return r;
}

static int put_control(struct http_messages *m, enum side from, const struct websocket_piece *piece)
{
	bool masked = from == SIDE_SERVER && m->base.request->masked;
	int r;

	buffer_clear(&m->base.out);
	if (masked && piece->opcode == WEBSOCKET_CLOSE && piece->plain.length > CLOSE_CODE)
		return put_masked_close(m, piece->plain);
	r = buffer_append_slice(&m->base.out, piece->head);
	return r < 0 ? r : buffer_append_slice(&m->base.out, piece->raw);
}

/* It may stand between the frames of a message, and so is not held back with one. */
static int pass_control(
	struct http_messages *m, enum side from, const struct websocket_piece *piece)
{
	enum side to = side_other(from);
	int r = 0;

	if (piece->opcode == WEBSOCKET_CLOSE) {
		r = m->reader->end(m, from);
		m->told[to] = true;
	}
	if (r == 0)
		r = put_control(m, from, piece);
	return r < 0 ? r : http_stream_send(&m->base, to, 0);
}

static int messages_input(struct http_stream *s, enum side from, struct slice in, size_t *ret_taken)
{
	struct http_messages *m = http_messages_of(s);
	struct websocket_piece piece = {.head = SLICE_EMPTY};
	int r = 0;

	switch (websocket_next(&m->frames[from], in, ret_taken, &piece)) {
	case WEBSOCKET_DATA:
		r = m->reader->data(m, from, &piece);
		break;
	case WEBSOCKET_CONTROL:
		r = pass_control(m, from, &piece);
		break;
	case WEBSOCKET_BAD:
		return http_stream_refuse(s, REASON_PROTOCOL_VIOLATION, m->frames[from].problem);
	default:
		break;
	}
	if (r < 0) {
		m->refused = piece;
		m->refused_from = from;
	}
	return r;
}

static int messages_end(struct http_stream *s, enum side from)
{
	struct http_messages *m = http_messages_of(s);

	/* With a Close, it said so before. */
	return m->told[side_other(from)] ? 0 : m->reader->end(m, from);
}

/* --- the end --- */

/* RFC 6455, 7.4.1: who broke it is told so; the agent also what else ends its session. */
static uint16_t code_of(enum reason reason, enum side to)
{
	switch (reason) {
	case REASON_PROTOCOL_VIOLATION:
		return to == SIDE_AGENT ? 1002 : 1001;
	case REASON_UPSTREAM_PROTOCOL:
		return to == SIDE_AGENT ? 1011 : 1002;
	case REASON_LIMIT:
		return to == SIDE_AGENT ? 1009 : 1001;
	case REASON_MASK_IMPOSSIBLE:
	case REASON_KILLED:
	case REASON_POLICY_CHANGED:
		return to == SIDE_AGENT ? 1008 : 1001;
	default:
		return 1001;
	}
}

static void messages_leave(struct http_stream *s, enum reason reason, struct slice text)
{
	struct http_messages *m = http_messages_of(s);
	struct buffer why;

	buffer_init(&why, 1024);
	if (buffer_append_string(&why, "wayleave: ") < 0 || buffer_append_slice(&why, text) < 0)
		buffer_clear(&why);
	for (enum side to = SIDE_AGENT; to <= SIDE_SERVER; to++) {
		bool agent = to == SIDE_AGENT;

		if (m->within[to] || m->told[to])
			continue;
		m->told[to] = true;
		buffer_clear(&s->out);
		/* The server's has nothing in it that somebody could choose, so that any key does.
		 */
		if (websocket_append_close(&s->out, agent ? NULL : s->host->nonce,
			    code_of(reason, to), agent ? buffer_slice(&why) : SLICE_EMPTY) == 0)
			http_stream_send(s, to, 0);
	}
	buffer_done(&why);
}

static int messages_put_held(const struct http_stream *s, enum side from, struct buffer *out)
{
	const struct http_messages *m = container_of(s, const struct http_messages, base);
	int r = 0;

	if (m->refused_from == from)
		r = buffer_append_slice(out, m->refused.head);
	if (r == 0 && m->refused_from == from)
		r = buffer_append_slice(out, m->refused.raw);
	return r < 0 ? r : websocket_append_held(out, &m->frames[from]);
}

static void messages_free(struct http_stream *s)
{
	struct http_messages *m = http_messages_of(s);

	m->reader->free(m);
}

static const struct http_stream_kind kind = {.input = messages_input,
	.end = messages_end,
	.leave = messages_leave,
	.put_held = messages_put_held,
	.free = messages_free};

void http_messages_init(struct http_messages *m, const struct http_messages_reader *reader,
	const struct http_request *request, struct event_queue *events)
{
	http_stream_init(&m->base, &kind, request, events);
	m->reader = reader;
	websocket_reader_init(&m->frames[SIDE_AGENT], true);
	websocket_reader_init(&m->frames[SIDE_SERVER], false);
	m->within[SIDE_AGENT] = m->within[SIDE_SERVER] = false;
	m->told[SIDE_AGENT] = m->told[SIDE_SERVER] = false;
	m->refused = (struct websocket_piece){.head = SLICE_EMPTY};
	m->refused_from = SIDE_AGENT;
}

void http_messages_done(struct http_messages *m)
{
	http_stream_done(&m->base);
	/* What a client masked lay here in clear. */
	memory_wipe(m->frames, sizeof(m->frames));
}

/* --- messages that are nobody's in particular --- */

struct plain {
	struct http_messages messages;
	bool begun; /* the begin of the message in hand has left */
	struct buffer masked;
};

static struct plain *plain_of(struct http_messages *m)
{
	return container_of(m, struct plain, messages);
}

static void record(struct http_messages *m, enum side from, struct slice bytes)
{
	if (m->base.request->records)
		http_stream_record(&m->base, from == SIDE_AGENT ? DATA_INPUT : DATA_OUTPUT, bytes);
}

/* In fragments, as much as is settled: what straddles the server's is found. */
static int mask_data(struct http_messages *m, const struct websocket_piece *piece)
{
	struct plain *p = plain_of(m);
	struct http_mask *mask = m->base.request->mask;
	enum websocket_opcode opcode;
	int r;

	if (piece->begins) {
		http_mask_begin_message(mask, piece->opcode == WEBSOCKET_BINARY);
		p->begun = false;
	}
	buffer_clear(&p->masked);
	r = http_mask_pass(mask, piece->plain, piece->ends, &p->masked);
	if (r < 0)
		return http_stream_refuse_mask(&m->base, r);
	if (buffer_length(&p->masked) == 0 && !piece->ends)
		return 0;
	opcode = p->begun ? WEBSOCKET_CONTINUATION : piece->opcode;
	p->begun = true;
	record(m, SIDE_SERVER, buffer_slice(&p->masked));
	return http_messages_tell(m, opcode, piece->ends, buffer_slice(&p->masked));
}

static int plain_data(struct http_messages *m, enum side from, const struct websocket_piece *piece)
{
	if (from == SIDE_SERVER && m->base.request->masked)
		return mask_data(m, piece);
	record(m, from, piece->plain);
	return http_messages_pass(m, from, piece);
}

/* A message that does not end is none. */
static int plain_end(struct http_messages *m, enum side from)
{
	(void)m;
	(void)from;
	return 0;
}

static void plain_free(struct http_messages *m)
{
	struct plain *p = plain_of(m);

	buffer_wipe(&p->masked);
	http_messages_done(m);
	free(p);
}

static const struct http_messages_reader plain = {
	.data = plain_data, .end = plain_end, .free = plain_free};

struct http_stream *http_messages_new(
	const struct http_request *request, struct event_queue *events)
{
	struct plain *p = memory_new(sizeof(*p));

	http_messages_init(&p->messages, &plain, request, events);
	buffer_init(&p->masked, 4 * LIMIT_HTTP_BODY_MASKED);
	return &p->messages.base;
}
