/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/field.h"

#include <errno.h>

#include "base/bytes.h"

#define LENGTH_BYTES_MOST 4

/* LEB128: seven bits per byte, the lowest first. */
static size_t length_encode(size_t length, uint8_t ret[LENGTH_BYTES_MOST])
{
	size_t n = 0;

	while (length >= 0x80 && n < LENGTH_BYTES_MOST - 1) {
		ret[n++] = (uint8_t)(length | 0x80);
		length >>= 7;
	}
	ret[n++] = (uint8_t)length;
	return n;
}

int field_append_length(struct buffer *b, size_t length)
{
	uint8_t bytes[LENGTH_BYTES_MOST];

	if (length >> 28)
		return -E2BIG;
	return buffer_append(b, bytes, length_encode(length, bytes));
}

/* buffer_reserve() without a call where there is room already, as there is nearly always: a record
 * has a dozen fields. */
static inline int field_room(struct buffer *b, size_t length, uint8_t **ret_space)
{
	if (b->capacity - b->end < length || length > b->limit - buffer_length(b))
		return buffer_reserve(b, length, ret_space);
	*ret_space = b->data + b->end;
	return 0;
}

/* A field whose bytes are a short prefix and what follows it. */
static int field_append_parts(struct buffer *b, enum field field, const uint8_t *prefix,
	size_t prefix_length, struct slice bytes)
{
	uint8_t *space;
	size_t n;
	int r;

	if ((prefix_length + bytes.length) >> 28)
		return -E2BIG;
	r = field_room(b, 1 + LENGTH_BYTES_MOST + prefix_length + bytes.length, &space);
	if (r < 0)
		return r;
	space[0] = (uint8_t)field;
	n = 1 + length_encode(prefix_length + bytes.length, space + 1);
	memcpy(space + n, prefix, prefix_length);
	n += prefix_length;
	if (bytes.length)
		memcpy(space + n, bytes.data, bytes.length);
	buffer_commit(b, n + bytes.length);
	return 0;
}

int field_append_number(struct buffer *b, enum field field, uint64_t value)
{
	uint8_t bytes[8];
	size_t skip = value ? (size_t)__builtin_clzll(value) / 8 : 7;

	bytes_put_u64(bytes, value);
	return field_append_parts(b, field, bytes + skip, sizeof(bytes) - skip, SLICE_EMPTY);
}

int field_append_bytes(struct buffer *b, enum field field, struct slice bytes)
{
	return field_append_parts(b, field, (const uint8_t *)"", 0, bytes);
}

int field_append_inline(struct buffer *b, enum field field, struct slice text)
{
	const uint8_t prefix[] = {STRING_INLINE};

	if (text.length == 0)
		return 0;
	return field_append_parts(b, field, prefix, sizeof(prefix), text);
}

int field_append_reference(struct buffer *b, enum field field, unsigned slot)
{
	const uint8_t prefix[] = {STRING_REFERENCE, (uint8_t)(slot >> 8), (uint8_t)slot};

	return field_append_parts(b, field, prefix, sizeof(prefix), SLICE_EMPTY);
}

int field_append_definition(struct buffer *b, enum field field, unsigned slot, struct slice text)
{
	const uint8_t prefix[] = {STRING_DEFINITION, (uint8_t)(slot >> 8), (uint8_t)slot};

	return field_append_parts(b, field, prefix, sizeof(prefix), text);
}

int field_take_bytes(struct slice *rest, struct slice *ret)
{
	size_t length = 0, n = 0;
	uint8_t byte;

	do {
		if (n == LENGTH_BYTES_MOST || n == rest->length)
			return -EBADMSG;
		byte = rest->data[n];
		length |= (size_t)(byte & 0x7f) << (7 * n);
		n++;
	} while (byte & 0x80);
	if (length > rest->length - n)
		return -EBADMSG;
	*ret = slice_of(rest->data + n, length);
	*rest = slice_from(*rest, n + length);
	return 0;
}

int field_take(struct slice *rest, uint8_t *ret_field, struct slice *ret_bytes)
{
	struct slice after;
	uint8_t field;
	int r;

	if (rest->length == 0)
		return -EBADMSG;
	field = rest->data[0];
	after = slice_from(*rest, 1);
	r = field_take_bytes(&after, ret_bytes);
	if (r < 0)
		return r;
	*ret_field = field;
	*rest = after;
	return 0;
}

int field_to_number(struct slice bytes, uint64_t *ret)
{
	uint64_t value = 0;

	if (bytes.length == 0 || bytes.length > 8)
		return -EBADMSG;
	for (size_t i = 0; i < bytes.length; i++)
		value = value << 8 | bytes.data[i];
	*ret = value;
	return 0;
}
