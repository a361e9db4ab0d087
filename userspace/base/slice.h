/* SPDX-License-Identifier: Apache-2.0
 *
 * slice: a pointer and a length into bytes that somebody else owns. Never owns, never frees,
 * not NUL-terminated. Valid only as long as the owner says; every function that returns a slice
 * says who that is.
 */
#ifndef WAYLEAVE_BASE_SLICE_H
#define WAYLEAVE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *data;
	size_t length; /* bytes */
};

#define SLICE_EMPTY ((struct slice){NULL, 0})
/* For printf's "%.*s". */
#define SLICE_PRINT(s) (int)(s).length, (const char *)(s).data

static inline struct slice slice_of(const void *data, size_t length)
{
	return (struct slice){data, length};
}

/* The bytes of a C string without its NUL; NULL gives the empty slice. */
static inline struct slice slice_from_string(const char *string)
{
	return (struct slice){(const uint8_t *)string, string ? strlen(string) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool slice_equal_string(struct slice a, const char *string)
{
	return slice_equal(a, slice_from_string(string));
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
	return s.length >= prefix.length &&
		(prefix.length == 0 || memcmp(s.data, prefix.data, prefix.length) == 0);
}

/* The part from `offset` on; the empty slice where offset is beyond the end. */
static inline struct slice slice_from(struct slice s, size_t offset)
{
	if (offset > s.length)
		offset = s.length;
	/* NULL + 0 is undefined before C23. */
	return (struct slice){s.data ? s.data + offset : NULL, s.length - offset};
}

/* At most the first `length` bytes. */
static inline struct slice slice_head(struct slice s, size_t length)
{
	return (struct slice){s.data, s.length < length ? s.length : length};
}

/* Takes what stands before the first such byte, and that byte; all where there is none. */
static inline struct slice slice_take_until(struct slice *rest, uint8_t byte)
{
	const uint8_t *found = rest->length ? memchr(rest->data, byte, rest->length) : NULL;
	struct slice part = found ? slice_head(*rest, (size_t)(found - rest->data)) : *rest;

	*rest = slice_from(*rest, part.length + 1);
	return part;
}

#endif
