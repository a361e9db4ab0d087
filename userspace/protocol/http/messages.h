/* SPDX-License-Identifier: Apache-2.0
 *
 * messages: a WebSocket on a connection that was HTTP. Every frame is checked in both directions;
 * what the server says is masked where the request's verdict asks for it, and then framed anew.
 * Whoever knows more of what the messages say (protocol/kubernetes/) takes their content.
 */
#ifndef WAYLEAVE_PROTOCOL_HTTP_MESSAGES_H
#define WAYLEAVE_PROTOCOL_HTTP_MESSAGES_H

#include "base/memory.h"
#include "protocol/http/stream.h"
#include "protocol/websocket/frames.h"

struct http_messages;

struct http_messages_reader {
	/* A piece of a message, to be recorded and to leave. As http_stream_kind.input(). */
	int (*data)(struct http_messages *m, enum side from, const struct websocket_piece *piece);
	/* The side says no more: what was kept back of it leaves, before it is told so. */
	int (*end)(struct http_messages *m, enum side from);
	void (*free)(struct http_messages *m);
};

struct http_messages {
	struct http_stream base;
	const struct http_messages_reader *reader;
	struct websocket_reader frames[2]; /* by side that sends them */
	bool within[2]; /* by receiver: a frame has begun to leave */
	bool told[2]; /* by receiver: a Close left */
	struct websocket_piece refused; /* that did not leave; valid while its input is */
	enum side refused_from; /* who sent that */
};

void http_messages_init(struct http_messages *m, const struct http_messages_reader *reader,
	const struct http_request *request, struct event_queue *events);
void http_messages_done(struct http_messages *m);
/* The piece leaves as it came. */
int http_messages_pass(
	struct http_messages *m, enum side from, const struct websocket_piece *piece);
/* The agent gets one frame of the server's. */
int http_messages_tell(
	struct http_messages *m, enum websocket_opcode opcode, bool final, struct slice content);

static inline struct http_messages *http_messages_of(struct http_stream *s)
{
	return container_of(s, struct http_messages, base);
}

#endif
