/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/memory.h"

#define BUFFER_FIRST_CAPACITY 256

void buffer_init(struct buffer *b, size_t limit)
{
	*b = (struct buffer){.limit = limit};
}

void buffer_done(struct buffer *b)
{
	free(b->data);
	buffer_init(b, b->limit);
}

void buffer_wipe(struct buffer *b)
{
	memory_wipe(b->data, b->capacity);
	buffer_done(b);
}

void buffer_clear(struct buffer *b)
{
	b->start = 0;
	b->end = 0;
}

static int buffer_grow(struct buffer *b, size_t wanted)
{
	size_t capacity = b->capacity ? b->capacity : BUFFER_FIRST_CAPACITY;
	uint8_t *data;

	while (capacity < wanted)
		capacity *= 2;
	data = realloc(b->data, capacity);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->capacity = capacity;
	return 0;
}

int buffer_reserve(struct buffer *b, size_t length, uint8_t **ret_space)
{
	size_t held = buffer_length(b);

	if (length > b->limit || held > b->limit - length)
		return -E2BIG;
	if (b->capacity - b->end < length) {
		/* Move to the front when that frees at least half, else grow. */
		if (b->start > 0 && held + length <= b->capacity && held <= b->capacity / 2) {
			memmove(b->data, b->data + b->start, held);
			b->start = 0;
			b->end = held;
		} else {
			int r = buffer_grow(b, b->end + length);

			if (r < 0)
				return r;
		}
	}
	*ret_space = b->data + b->end;
	return 0;
}

void buffer_commit(struct buffer *b, size_t length)
{
	assert(length <= b->capacity - b->end);
	b->end += length;
}

int buffer_append(struct buffer *b, const void *data, size_t length)
{
	uint8_t *space;
	int r;

	if (length == 0)
		return 0;
	r = buffer_reserve(b, length, &space);
	if (r < 0)
		return r;
	memcpy(space, data, length);
	b->end += length;
	return 0;
}

int buffer_append_slice(struct buffer *b, struct slice s)
{
	return buffer_append(b, s.data, s.length);
}

int buffer_append_string(struct buffer *b, const char *string)
{
	return buffer_append(b, string, strlen(string));
}

int buffer_append_byte(struct buffer *b, uint8_t value)
{
	return buffer_append(b, &value, 1);
}

int buffer_append_u16(struct buffer *b, uint16_t value)
{
	uint8_t bytes[2];

	bytes_put_u16(bytes, value);
	return buffer_append(b, bytes, sizeof(bytes));
}

int buffer_append_u32(struct buffer *b, uint32_t value)
{
	uint8_t bytes[4];

	bytes_put_u32(bytes, value);
	return buffer_append(b, bytes, sizeof(bytes));
}

int buffer_append_u64(struct buffer *b, uint64_t value)
{
	uint8_t bytes[8];

	bytes_put_u64(bytes, value);
	return buffer_append(b, bytes, sizeof(bytes));
}

int buffer_append_format_list(struct buffer *b, const char *format, va_list arguments)
{
	size_t room = b->capacity - b->end;
	va_list again;
	uint8_t *space;
	int n, r;

	/* Nearly always there is room, and it is written once. */
	va_copy(again, arguments);
	n = vsnprintf(room ? (char *)b->data + b->end : NULL, room, format, again);
	va_end(again);
	if (n < 0)
		return -EINVAL;
	r = buffer_reserve(b, (size_t)n + 1, &space);
	if (r < 0)
		return r;
	if ((size_t)n >= room)
		vsnprintf((char *)space, (size_t)n + 1, format, arguments);
	b->end += (size_t)n;
	return 0;
}

int buffer_append_format(struct buffer *b, const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = buffer_append_format_list(b, format, arguments);
	va_end(arguments);
	return r;
}

void buffer_consume(struct buffer *b, size_t length)
{
	assert(length <= buffer_length(b));
	b->start += length;
	if (b->start == b->end)
		buffer_clear(b);
}

void buffer_truncate(struct buffer *b, size_t length)
{
	if (length < buffer_length(b))
		b->end = b->start + length;
}
