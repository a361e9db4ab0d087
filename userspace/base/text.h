/* SPDX-License-Identifier: Apache-2.0
 *
 * text: small pure functions on text.
 */
#ifndef WAYLEAVE_BASE_TEXT_H
#define WAYLEAVE_BASE_TEXT_H

#include "base/buffer.h"

/* Whole-string match; in the pattern "*" stands for any run of bytes, also none. Linear in
 * pattern × text; no other character is special. */
bool text_glob(struct slice pattern, struct slice text);
/* As text_glob() part by part: "a.b" parts are separated by `separator`; "*" doesn't cross one.
 * The number of parts must be equal. */
bool text_glob_parts(struct slice pattern, struct slice text, char separator);
/* Bytes of the valid UTF-8 sequence at the start of s (Unicode 15, table 3-7), or 0. s is not
 * empty. */
size_t text_utf8_sequence(struct slice s);
/* Whether that sequence of n bytes would drive a terminal, or show the text behind it in another
 * order than it has. Newline and tab don't count. */
bool text_is_control(struct slice s, size_t n);
bool text_is_utf8(struct slice s);
/* The first `most` bytes of it, or up to three fewer: UTF-8 is cut between characters. */
struct slice text_head(struct slice s, size_t most);
bool text_is_ascii(struct slice s);
/* No control byte of ASCII in it, also no tab. */
bool text_is_one_line(struct slice s);
/* ASCII only, whatever the locale, as all that ignores case here. */
static inline uint8_t text_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

bool text_equal_ignore_case(struct slice a, struct slice b);
/* The value of a hexadecimal digit of either case, or -1. */
int text_hex_digit(uint8_t c);
/* Lower-case hexadecimal; `ret` has room for 2 * s.length + 1. */
void text_to_hex(struct slice s, char *ret);
/* Decodes exactly 2 * length digits; -EINVAL otherwise. */
int text_from_hex(struct slice digits, uint8_t *ret, size_t length);
/* A decimal number of digits alone, at most `most`; -EINVAL otherwise. */
int text_to_number(struct slice digits, uint64_t most, uint64_t *ret);
/* "15m", "90s", "24h", "2d", "500ms" → nanoseconds; -EINVAL otherwise. */
int text_to_duration(struct slice text, uint64_t *ret_nanoseconds);
/* "20G", "512M", "64K", "100" → bytes (powers of 1024); -EINVAL otherwise. */
int text_to_size(struct slice text, uint64_t *ret_bytes);
/* RFC 3339 in UTC with milliseconds: 2026-01-31T12:00:00.000Z. `ret` has room for 32. */
void text_from_time(uint64_t wall_nanoseconds, char *ret);
/* For people at a terminal: printable text as it is; control bytes, what reorders text or can't be
 * seen (unseen.h), and broken UTF-8 as \xNN. */
int text_append_visible(struct buffer *b, struct slice s);

#endif
