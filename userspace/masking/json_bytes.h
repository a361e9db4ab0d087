/* SPDX-License-Identifier: Apache-2.0
 *
 * json_bytes: runs of bytes in JSON, eight at a time, inside masking/ only.
 */
#ifndef WAYLEAVE_MASKING_JSON_BYTES_H
#define WAYLEAVE_MASKING_JSON_BYTES_H

#include <endian.h>

#include "base/slice.h"

#define JSON_EACH_BYTE(c) ((c)*0x0101010101010101ull)

/* Whether the byte means itself in a string, whatever stands around it: ASCII but quotes,
 * backslashes and control bytes. */
static inline bool json_is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* How many such bytes stand from `at` on. A subtraction that borrows marks bytes behind the first
 * that is none alone, so that the lowest mark is right. */
static inline size_t json_plain_run(struct slice s, size_t at)
{
	size_t n = 0;

	while (s.length - at - n >= 8) {
		uint64_t w, quotes, slashes, odd;

		memcpy(&w, s.data + at + n, sizeof(w));
		w = le64toh(w);
		quotes = w ^ JSON_EACH_BYTE('"');
		slashes = w ^ JSON_EACH_BYTE('\\');
		odd = (w | (w - JSON_EACH_BYTE(0x20)) | (quotes - JSON_EACH_BYTE(1)) |
			      (slashes - JSON_EACH_BYTE(1))) &
			JSON_EACH_BYTE(0x80);
		if (odd)
			return n + (size_t)__builtin_ctzll(odd) / 8;
		n += 8;
	}
	while (at + n < s.length && json_is_plain(s.data[at + n]))
		n++;
	return n;
}

static inline bool json_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

#endif
