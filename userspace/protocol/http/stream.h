/* SPDX-License-Identifier: Apache-2.0
 *
 * stream: what passes both ways on a connection that a 101 made something else than HTTP, or on a
 * stream of HTTP/2. Who reads
 * it writes what leaves, says what is to be recorded, and refuses what it does not understand.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_STREAM_H
#define WAYLEAVE_PROTOCOL_HTTP_STREAM_H

#include "protocol/event_queue.h"
#include "protocol/http/request.h"

struct http_stream;

/* Why one ends that was read no further, when its session is not only observed any more. */
#define HTTP_STREAM_UNREAD "denied: nobody reads this stream any more, and the rules hold now"

struct http_stream_kind {
	/* Takes bytes of a side up to the end of the next piece of a message, and adds at most two
	 * events. 0, or as http_stream_refuse(). */
	int (*input)(struct http_stream *s, enum side from, struct slice in, size_t *ret_taken);
	/* That side sends no more: what was kept back of it leaves. As input(). */
	int (*end)(struct http_stream *s, enum side from);
	/* The session ends for that reason: both sides are told, as far as the protocol has words
	 * and a message is not cut by them. */
	void (*leave)(struct http_stream *s, enum reason reason, struct slice text);
	/* Appends what was taken of the side and has not left: observing, it is relayed unread
	 * behind a violation. */
	int (*put_held)(const struct http_stream *s, enum side from, struct buffer *out);
	void (*free)(struct http_stream *s);
};

/* Where what leaves goes, as protocol_host.write(). */
struct http_stream_output {
	int (*write)(struct http_stream_output *o, enum side to, struct slice bytes);
};

struct http_stream {
	const struct http_stream_kind *kind;
	struct protocol_host *host;
	struct http_stream_output *output; /* NULL: to the host; outlives it */
	struct event_queue *events;
	const struct http_request *request; /* the one that asked for it */
	bool ended[2]; /* by side */
	uint64_t carried[2]; /* content that left for a side, in bytes */
	char tag[64]; /* what came of it, for the record; empty: nothing is known */
	struct buffer out; /* for building what leaves */
	enum reason reason; /* of a refusal */
	const char *problem; /* of a refusal; static */
};

/* stream.c: for those that read one. */
void http_stream_init(struct http_stream *s, const struct http_stream_kind *kind,
	const struct http_request *request, struct event_queue *events);
void http_stream_done(struct http_stream *s);
/* -EBADMSG with REASON_PROTOCOL_VIOLATION, else -EPERM. `problem`: static. */
int http_stream_refuse(struct http_stream *s, enum reason reason, const char *problem);
/* The same for an error of http_mask_pass(). */
int http_stream_refuse_mask(struct http_stream *s, int error);
/* Of a refusal of what `from` sent, as the record and the other sides are told. */
enum reason http_stream_reason(const struct http_stream *s, enum side from);
/* For the recording; the bytes live until the next call of input() or end(). */
void http_stream_record(struct http_stream *s, enum protocol_data_kind kind, struct slice bytes);
/* What is in s->out leaves for the side, of which so much is content. */
int http_stream_send(struct http_stream *s, enum side to, size_t content);
/* A head that leaves as it came, but is no part of the input. */
int http_stream_write(struct http_stream *s, enum side to, struct slice bytes);
/* A part of the input leaves as it came. */
int http_stream_pass(struct http_stream *s, enum side to, struct slice part_of_input);

/* A WebSocket whose messages are everybody's (messages.c). `records`: also what they say. */
struct http_stream *http_messages_new(
	const struct http_request *request, struct event_queue *events);

#endif
