/* SPDX-License-Identifier: Apache-2.0
 *
 * frames: one direction of SPDY/3.1 (draft-mbelshe-httpbis-spdy-00 and its revision 3.1), as
 * somebody between its two ends sees it: whole control frames, and the content of DATA frames as it
 * comes. Only what Kubernetes uses of it is let through.
 */
#ifndef WAYLEAVE_PROTOCOL_SPDY_FRAMES_H
#define WAYLEAVE_PROTOCOL_SPDY_FRAMES_H

#include "base/buffer.h"

enum spdy_type {
	SPDY_DATA = 0, /* no control frame has that number */
	SPDY_SYN_STREAM = 1,
	SPDY_SYN_REPLY = 2,
	SPDY_RST_STREAM = 3,
	SPDY_SETTINGS = 4,
	SPDY_PING = 6,
	SPDY_GOAWAY = 7,
	SPDY_HEADERS = 8,
	SPDY_WINDOW_UPDATE = 9,
};

#define SPDY_FIN 1u /* flag: the sender says no more in this stream */
#define SPDY_CANCEL 5u /* status of a RST_STREAM */
#define SPDY_HEAD 8u
#define SPDY_ID 0x7fffffffu

enum spdy_taken {
	SPDY_TAKEN_MORE, /* all of the input was taken, and completes nothing yet */
	SPDY_TAKEN_DATA, /* the next content of a DATA frame, or its end */
	SPDY_TAKEN_CONTROL, /* a whole control frame */
	SPDY_TAKEN_BAD, /* reader->problem; nothing further is read */
};

struct spdy_piece {
	enum spdy_type type;
	uint32_t stream; /* 0: of the whole connection */
	bool ends; /* the frame, with this piece */
	bool finishes; /* it has FIN, and its sender says no more in the stream behind it */
	/* The frame's head, where it begins with this piece, and else empty; the reader's. */
	struct slice head;
	/* What stands behind the head: of a DATA frame, part of the input; of a control frame, the
	 * reader's. Valid until the next call. */
	struct slice body;
	struct slice headers; /* the compressed headers in it */
};

struct spdy_reader {
	uint8_t head[SPDY_HEAD];
	size_t head_length;
	bool in_body; /* the head was read */
	bool given; /* something of the frame was in a piece */
	enum spdy_type type;
	uint32_t left; /* of the frame in hand */
	struct buffer control; /* a control frame's body, as far as it came */
	const char *problem; /* static */
};

void spdy_reader_init(struct spdy_reader *r);
void spdy_reader_done(struct spdy_reader *r);
/* Takes input up to the end of the next piece. Negative errno: the buffer's. */
int spdy_next(struct spdy_reader *r, struct slice in, size_t *ret_taken, struct spdy_piece *ret);
/* Behind SPDY_TAKEN_BAD: appends what was taken and was in no piece. */
int spdy_append_held(struct buffer *out, const struct spdy_reader *r);

/* Appends one DATA frame of at most 2^24 - 1 bytes; errors are the buffer's. */
int spdy_append_data(struct buffer *out, uint32_t stream, bool finishes, struct slice content);
int spdy_append_reset(struct buffer *out, uint32_t stream, uint32_t status);

#endif
