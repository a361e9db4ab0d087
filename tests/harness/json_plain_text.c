/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/harness/json_plain_text.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

/* What is appended here always fits: a test that runs out of memory says nothing. */
void plain_add(struct buffer *b, const void *data, size_t length)
{
	if (buffer_append(b, data, length) < 0)
		abort();
}

int plain_byte_at(struct slice s, size_t at)
{
	return at < s.length ? s.data[at] : -1;
}

bool plain_is_one_of(int c, const char *bytes)
{
	return c > 0 && strchr(bytes, c);
}

size_t plain_blanks(struct slice s, size_t at)
{
	while (plain_is_one_of(plain_byte_at(s, at), " \t\r\n"))
		at++;
	return at;
}

static int hex4(struct slice s, size_t at)
{
	int value = 0;

	for (size_t i = at; i < at + 4; i++) {
		int c = plain_byte_at(s, i);

		if (c >= '0' && c <= '9')
			value = value * 16 + c - '0';
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			value = value * 16 + (c | 32) - 'a' + 10;
		else
			return -1;
	}
	return value;
}

static void add_utf8(struct buffer *b, unsigned c)
{
	const uint8_t bytes[4][4] = {{(uint8_t)c},
		{(uint8_t)(0xc0 | c >> 6), (uint8_t)(0x80 | (c & 63))},
		{(uint8_t)(0xe0 | c >> 12), (uint8_t)(0x80 | (c >> 6 & 63)),
			(uint8_t)(0x80 | (c & 63))},
		{(uint8_t)(0xf0 | c >> 18), (uint8_t)(0x80 | (c >> 12 & 63)),
			(uint8_t)(0x80 | (c >> 6 & 63)), (uint8_t)(0x80 | (c & 63))}};
	unsigned n = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;

	plain_add(b, bytes[n], n + 1);
}

/* Bytes of the escape, 0 where it is none; a half of a pair is one only where not strict. */
static size_t escape(struct slice s, size_t at, bool strict, struct buffer *meaning)
{
	static const char written[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	int c = plain_byte_at(s, at + 1), high = hex4(s, at + 2), low;

	if (plain_is_one_of(c, written)) {
		plain_add(meaning, &meant[strchr(written, c) - written], 1);
		return 2;
	}
	if (c != 'u' || high < 0)
		return 0;
	low = plain_byte_at(s, at + 6) == '\\' && plain_byte_at(s, at + 7) == 'u' ? hex4(s, at + 8)
										  : -1;
	if (high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
		add_utf8(meaning, (unsigned)(0x10000 + (high - 0xd800) * 0x400 + low - 0xdc00));
		return 12;
	}
	if (high >= 0xd800 && high < 0xe000) {
		add_utf8(meaning, 0xfffd);
		return strict ? 0 : 6;
	}
	add_utf8(meaning, (unsigned)high);
	return 6;
}

/* One character of a string that is no quote. */
size_t plain_character(struct slice s, size_t at, bool strict, struct buffer *meaning)
{
	size_t n = 1;

	if (plain_byte_at(s, at) == '\\')
		return escape(s, at, strict, meaning);
	if (strict)
		n = plain_byte_at(s, at) < 0x20 ? 0 : text_utf8_sequence(slice_from(s, at));
	plain_add(meaning, s.data + at, n);
	return n;
}

void plain_add_mask(
	const struct masker *m, enum mask_strategy strategy, struct slice text, struct buffer *out)
{
	struct buffer mask;
	char escaped[8];

	buffer_init(&mask, SIZE_MAX / 2);
	if (masker_append(m, strategy, text, &mask) < 0)
		abort();
	for (size_t i = 0; i < buffer_length(&mask); i++) {
		uint8_t c = mask.data[i];

		if (c == '"' || c == '\\')
			plain_add(out, "\\", 1);
		if (c < 0x20) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
			plain_add(out, escaped, 6);
		} else {
			plain_add(out, &c, 1);
		}
	}
	buffer_done(&mask);
}

size_t plain_byte_order_mark(struct slice s)
{
	return slice_starts_with(s, slice_from_string("\xef\xbb\xbf")) ? 3 : 0;
}
