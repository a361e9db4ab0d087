/* SPDX-License-Identifier: Apache-2.0
 *
 * copy_binary: COPY's binary format: a header, tuples of counted fields, and -1.
 */
#include "base/bytes.h"
#include "base/limits.h"
#include "protocol/postgres/copy_format.h"

static const uint8_t signature[11] = "PGCOPY\n\377\r\n";
#define HEADER (sizeof(signature) + 8) /* flags, length of the extension */
#define EXTENSION_MOST 65536 /* bytes; no version defines any */
#define NULL_LENGTH 0xffffffffu
#define TRAILER 0xffffu

/* Reads the header where all of it is there: the first row goes out with it, as the server sends
 * it. Stores whether it was complete. */
static int split_header(struct copy_stream *s, struct slice held, bool *ret_complete)
{
	uint32_t extension;

	*ret_complete = false;
	if (memcmp(held.data, signature,
		    held.length < sizeof(signature) ? held.length : sizeof(signature)) != 0)
		return -EBADMSG;
	if (held.length < HEADER)
		return 0;
	/* Flags change how tuples look: the only one there ever was put OIDs before the fields. */
	extension = bytes_get_u32(held.data + sizeof(signature) + 4);
	if (bytes_get_u32(held.data + sizeof(signature)) != 0 || extension > EXTENSION_MOST)
		return -EBADMSG;
	if (held.length - HEADER < extension)
		return 0;
	s->next.at = HEADER + extension;
	s->next.header_due = false;
	*ret_complete = true;
	return 0;
}

/* The number of fields, or the trailer. */
static int begin_row(struct copy_stream *s, uint16_t count)
{
	s->next.at += 2;
	if (count == TRAILER) {
		s->next.ended = true;
		return copy_stream_add_row(s, s->next.at, true);
	}
	if (count != s->count)
		return -EBADMSG;
	s->next.in_row = true;
	return 0;
}

static int drop_field(struct copy_stream *s)
{
	struct slice held = copy_stream_held(s);
	size_t there = held.length - s->next.at;
	uint32_t length;

	if (!s->next.in_row || there < 4)
		return 0; /* no field is coming: it is the next that will be dropped */
	there -= 4;
	length = bytes_get_u32(held.data + s->next.at);
	bytes_put_u32(s->held.data + s->held.start + s->next.at, NULL_LENGTH);
	s->next.at += 4;
	s->next.field_start = s->next.at;
	s->next.drop = length - (uint32_t)there;
	s->next.dropping = true;
	s->counts.masked_values++;
	buffer_truncate(&s->held, s->next.at);
	return copy_stream_add_field(s, s->next.at, COPY_FIELD_NULL);
}

/* One field, where all of it is there. Stores whether it was. */
static int split_field(struct copy_stream *s, struct slice held, bool *ret_complete)
{
	size_t left = held.length - s->next.at;
	uint32_t length;

	*ret_complete = false;
	s->next.field_start = s->next.at;
	if (left < 4)
		return 0;
	length = bytes_get_u32(held.data + s->next.at);
	if (length != NULL_LENGTH && length > INT32_MAX)
		return -EBADMSG;
	if (length == NULL_LENGTH) {
		s->next.at += 4;
		s->next.field_start = s->next.at;
		*ret_complete = true;
		return copy_stream_add_field(s, s->next.at, COPY_FIELD_NULL);
	}
	s->next.field_start = s->next.at + 4;
	if (left - 4 < length)
		return 0;
	s->next.at += 4 + (size_t)length;
	*ret_complete = true;
	return copy_stream_add_field(s, s->next.at, 0);
}

static int split_binary(struct copy_stream *s)
{
	struct slice held = copy_stream_held(s);
	bool complete = true;
	int r = 0;

	while (r == 0 && complete) {
		size_t left = held.length - s->next.at;

		if (s->next.ended) {
			return left ? -EBADMSG : 0;
		} else if (s->next.header_due) {
			r = split_header(s, held, &complete);
		} else if (!s->next.in_row) {
			complete = left >= 2;
			if (complete)
				r = begin_row(s, bytes_get_u16(held.data + s->next.at));
		} else if (s->field_count - s->next.row_first_field < s->count) {
			r = split_field(s, held, &complete);
		} else {
			s->next.in_row = false;
			r = copy_stream_add_row(s, s->next.at, false);
		}
	}
	return r;
}

static size_t drop_binary(struct copy_stream *s, struct slice bytes)
{
	size_t n = bytes.length < s->next.drop ? bytes.length : s->next.drop;

	s->next.drop -= (uint32_t)n;
	s->next.dropping = s->next.drop > 0;
	return n;
}

/* Fields are counted: they mean what they are. */
static int decode_binary(const struct copy_stream *s, struct slice raw, struct buffer *ret)
{
	(void)s;
	return buffer_append_slice(ret, raw);
}

static int encode_binary(
	const struct copy_stream *s, struct slice value, uint32_t flags, struct buffer *out)
{
	int r;

	(void)s;
	(void)flags;
	r = buffer_append_u32(out, value.data ? (uint32_t)value.length : NULL_LENGTH);
	return r < 0 ? r : buffer_append_slice(out, value);
}

const struct copy_format copy_format_binary = {
	.split = split_binary,
	.begin_drop = drop_field,
	.drop = drop_binary,
	.decode = decode_binary,
	.encode = encode_binary,
	.prefix = 4,
	.value_format = VALUE_FORMAT_BINARY,
};
