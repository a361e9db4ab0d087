/* SPDX-License-Identifier: Apache-2.0
 *
 * buffer: a growing run of bytes with a hard limit, filled at the end and consumed at the front.
 *
 * Every function that adds bytes makes earlier slices of the buffer invalid; consuming does not.
 * Errors: -E2BIG where the limit would be passed, -ENOMEM where memory can't be had. On an error
 * the buffer is as before.
 */
#ifndef WAYLEAVE_BASE_BUFFER_H
#define WAYLEAVE_BASE_BUFFER_H

#include <stdarg.h>

#include "base/slice.h"

struct buffer {
	uint8_t *data;
	size_t start; /* first byte not yet consumed */
	size_t end; /* one past the last byte */
	size_t capacity; /* bytes allocated */
	size_t limit; /* most bytes that may be held at once */
};

/* No memory is allocated until bytes are added. */
void buffer_init(struct buffer *b, size_t limit);
/* Frees the memory; the buffer is empty and may be used again. */
void buffer_done(struct buffer *b);
/* Overwrites the content, then frees it: for what held a secret. */
void buffer_wipe(struct buffer *b);
/* Forgets the content and keeps the memory. */
void buffer_clear(struct buffer *b);

static inline size_t buffer_length(const struct buffer *b)
{
	return b->end - b->start;
}

/* What is held; owned by the buffer, valid until bytes are added or the buffer is cleared. */
static inline struct slice buffer_slice(const struct buffer *b)
{
	/* NULL + 0 is undefined before C23. */
	return slice_of(b->data ? b->data + b->start : NULL, b->end - b->start);
}

/* Room for `length` more bytes at *ret_space, which buffer_commit() then counts in. */
int buffer_reserve(struct buffer *b, size_t length, uint8_t **ret_space);
void buffer_commit(struct buffer *b, size_t length);

int buffer_append(struct buffer *b, const void *data, size_t length);
int buffer_append_slice(struct buffer *b, struct slice s);
int buffer_append_string(struct buffer *b, const char *string);
int buffer_append_byte(struct buffer *b, uint8_t value);
int buffer_append_u16(struct buffer *b, uint16_t value); /* big-endian, as all below */
int buffer_append_u32(struct buffer *b, uint32_t value);
int buffer_append_u64(struct buffer *b, uint64_t value);
int buffer_append_format(struct buffer *b, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int buffer_append_format_list(struct buffer *b, const char *format, va_list arguments);

/* Drops `length` bytes at the front; length <= buffer_length(). */
void buffer_consume(struct buffer *b, size_t length);
/* Drops what stands behind the first `length` bytes. */
void buffer_truncate(struct buffer *b, size_t length);

#endif
