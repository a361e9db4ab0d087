/* SPDX-License-Identifier: Apache-2.0
 *
 * json_reader: the tokens of JSON (RFC 8259), strictly: what another reader could take for
 * something else (comments, commas at the end, NaN, single quotes, half a surrogate pair, broken
 * UTF-8) is none. Several values may stand behind each other, as in streams.
 */
#ifndef WAYLEAVE_MASKING_JSON_READER_H
#define WAYLEAVE_MASKING_JSON_READER_H

#include "base/buffer.h"

#define JSON_DEPTH_MOST 128u

enum json_token {
	JSON_END, /* of the text, behind whole values */
	JSON_BAD, /* it is no JSON, or deeper than JSON_DEPTH_MOST */
	JSON_OBJECT,
	JSON_ARRAY,
	JSON_CLOSE, /* of the last object or array that is open */
	JSON_NAME, /* [start, end) is its inside; its value comes next */
	JSON_STRING, /* [start, end) is its inside */
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
};

struct json_reader {
	struct slice text;
	size_t at; /* behind the last token */
	size_t start, end; /* of the last token: places in the text */
	unsigned depth; /* objects and arrays that are open */
	bool escaped; /* the last name or string has escapes */
	uint8_t expects; /* what may come next; internal */
	bool objects[JSON_DEPTH_MOST]; /* which of the open are objects */
};

/* A byte order mark in front is passed over. The text is borrowed. */
void json_reader_init(struct json_reader *r, struct slice text);
enum json_token json_next(struct json_reader *r);
/* The rest of the value whose first token was just read. False: it is no JSON. */
bool json_skip(struct json_reader *r, enum json_token first);
/* What a string's inside means, into `room` where it has escapes; it was read as JSON_STRING or
 * JSON_NAME. Errors are the buffer's. */
int json_meaning(struct slice inside, struct buffer *room, struct slice *ret);

#endif
