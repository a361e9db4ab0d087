/* SPDX-License-Identifier: Apache-2.0
 *
 * frames: one direction of a WebSocket (RFC 6455, section 5), as somebody between its two ends sees
 * it: cut into pieces of messages and whole control frames, with everything refused that an end
 * would have to refuse. No extension is ever agreed on, so no reserved bit means anything. Keeps no
 * more than a frame's head and a control frame, and copies only what has to be unmasked.
 */
#ifndef WAYLEAVE_PROTOCOL_WEBSOCKET_FRAMES_H
#define WAYLEAVE_PROTOCOL_WEBSOCKET_FRAMES_H

#include "base/buffer.h"

enum websocket_opcode {
	WEBSOCKET_CONTINUATION = 0,
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10,
};

enum websocket_taken {
	WEBSOCKET_MORE, /* all of the input was taken, and completes nothing yet */
	WEBSOCKET_DATA, /* the next part of a message, which may be empty */
	WEBSOCKET_CONTROL, /* a whole control frame */
	WEBSOCKET_BAD, /* reader->problem; nothing further is read */
};

#define WEBSOCKET_HEAD_MOST 14u
#define WEBSOCKET_CONTROL_MOST 125u /* RFC 6455, 5.5 */
#define WEBSOCKET_PLAIN_MOST 16384u /* of masked content in one piece */

struct websocket_piece {
	enum websocket_opcode opcode; /* of the message: text or binary; or of the control frame */
	bool begins, ends; /* the message, with this piece */
	/* The head of the frame that begins here, as it came; empty: none does. The reader's. */
	struct slice head;
	/* The content as it came: of a message, part of the input; of a control frame, the
	 * reader's. Valid until the next call, as the next two. */
	struct slice raw;
	struct slice plain; /* and unmasked */
};

struct websocket_reader {
	bool masked; /* the frames must be: they are a client's (5.1) */
	bool in_payload;
	bool given; /* something of the frame in hand was in a piece */
	bool in_message; /* of which more frames come */
	bool closed; /* a Close came: nothing comes behind it (5.5.1) */
	bool begins; /* no piece of the message was given yet */
	bool final; /* of the frame in hand, as the next ones */
	enum websocket_opcode opcode;
	enum websocket_opcode message; /* what it began as */
	uint64_t left;
	uint8_t key[4];
	unsigned key_at;
	uint8_t head[WEBSOCKET_HEAD_MOST];
	size_t head_length;
	struct {
		uint8_t left, low, high; /* what must come next */
	} utf8;
	uint8_t control[WEBSOCKET_CONTROL_MOST];
	size_t control_length;
	uint8_t plain[WEBSOCKET_PLAIN_MOST];
	const char *problem; /* static */
};

void websocket_reader_init(struct websocket_reader *r, bool masked);
/* Takes input up to the end of the next piece. */
enum websocket_taken websocket_next(struct websocket_reader *r, struct slice in, size_t *ret_taken,
	struct websocket_piece *ret);
/* Behind WEBSOCKET_BAD: appends what was taken and was in no piece, for who relays it unread. */
int websocket_append_held(struct buffer *out, const struct websocket_reader *r);
/* Whether the frame whose head was given still has content to come. */
static inline bool websocket_is_within(const struct websocket_reader *r)
{
	return r->in_payload;
}

/* Appends one frame. `key` NULL: unmasked, as servers send them. Errors are the buffer's. */
int websocket_append(struct buffer *out, enum websocket_opcode opcode, bool final,
	const uint8_t key[4], struct slice content);

/* Appends a Close frame; of `reason`, UTF-8, what of whole characters fits. */
int websocket_append_close(
	struct buffer *out, const uint8_t key[4], uint16_t code, struct slice reason);

#endif
