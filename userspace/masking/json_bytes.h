/* SPDX-License-Identifier: Apache-2.0
 *
 * json_bytes: runs of bytes in JSON, many at a time, inside masking/ only.
 */
#ifndef WAYLEAVE_MASKING_JSON_BYTES_H
#define WAYLEAVE_MASKING_JSON_BYTES_H

#include <endian.h>

#include "masking/characters.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define JSON_EACH_BYTE(c) ((c)*0x0101010101010101ull)

/* Whether the byte means itself in a string, whatever stands around it: ASCII but quotes,
 * backslashes and control bytes. */
static inline bool json_is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Whether a string could end there, or something else be meant than is written. */
static inline bool json_is_end_or_escape(uint8_t c)
{
	return c == '"' || c == '\\';
}

static inline bool json_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline uint64_t json_load8(const uint8_t *bytes)
{
	uint64_t w;

	memcpy(&w, bytes, sizeof(w));
	return le64toh(w);
}

/* Which of JSON_BLOCK bytes are quotes or backslashes, and with `odd` which are no plain ones
 * either: json_first() of it tells the first. */
#if defined(__SSE2__)

#define JSON_BLOCK 16u

static inline uint64_t json_marks(const uint8_t *bytes, bool odd)
{
	__m128i v = _mm_loadu_si128((const __m128i *)bytes);
	__m128i marks = _mm_or_si128(
		_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));

	/* Bytes from 0x80 on are negative here, and so less than 0x20 too. */
	if (odd)
		marks = _mm_or_si128(marks, _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)));
	return (uint64_t)(unsigned)_mm_movemask_epi8(marks);
}

static inline uint64_t json_backslashes(const uint8_t *bytes)
{
	__m128i v = _mm_loadu_si128((const __m128i *)bytes);

	return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
}

static inline size_t json_first(uint64_t marks)
{
	return (size_t)__builtin_ctzll(marks);
}

static inline __m128i json_between(__m128i v, char low, char high)
{
	return _mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8((char)(low - 1))),
		_mm_cmplt_epi8(v, _mm_set1_epi8((char)(high + 1))));
}

/* Which are not of numbers and words: letters, digits, "+", "-" and ".". */
static inline uint64_t json_marks_of_others(const uint8_t *bytes)
{
	__m128i v = _mm_loadu_si128((const __m128i *)bytes);
	__m128i letters = json_between(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 'z');
	__m128i signs =
		_mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8(',')), json_between(v, '+', '.'));
	__m128i those = _mm_or_si128(_mm_or_si128(letters, signs), json_between(v, '0', '9'));

	return (uint64_t)(unsigned)_mm_movemask_epi8(those) ^ 0xffff;
}

#else

#define JSON_BLOCK 8u

/* A subtraction that borrows marks bytes behind the first that is to be marked alone, so that the
 * lowest mark is right. */
static inline uint64_t json_marks(const uint8_t *bytes, bool odd)
{
	uint64_t w = json_load8(bytes);
	uint64_t quotes = w ^ JSON_EACH_BYTE('"'), slashes = w ^ JSON_EACH_BYTE('\\');
	uint64_t marks = ((quotes - JSON_EACH_BYTE(1)) & ~quotes) |
		((slashes - JSON_EACH_BYTE(1)) & ~slashes);

	if (odd)
		marks |= w | (w - JSON_EACH_BYTE(0x20));
	return marks & JSON_EACH_BYTE(0x80);
}

static inline uint64_t json_backslashes(const uint8_t *bytes)
{
	uint64_t w = json_load8(bytes) ^ JSON_EACH_BYTE('\\');

	return (w - JSON_EACH_BYTE(1)) & ~w & JSON_EACH_BYTE(0x80);
}

static inline size_t json_first(uint64_t marks)
{
	return (size_t)__builtin_ctzll(marks) / 8;
}

#endif

/* How many plain bytes stand from `at` on, which is within the text or its end. */
static inline size_t json_plain_run(struct slice s, size_t at)
{
	size_t n = 0;

	for (; s.length - at - n >= JSON_BLOCK; n += JSON_BLOCK) {
		uint64_t marks = json_marks(s.data + at + n, true);

		if (marks)
			return n + json_first(marks);
	}
	while (at + n < s.length && json_is_plain(s.data[at + n]))
		n++;
	return n;
}

/* The same with bytes that are neither quotes nor backslashes. */
static inline size_t json_inside_run(struct slice s, size_t at)
{
	size_t n = 0;

	for (; s.length - at - n >= JSON_BLOCK; n += JSON_BLOCK) {
		uint64_t marks = json_marks(s.data + at + n, false);

		if (marks)
			return n + json_first(marks);
	}
	while (at + n < s.length && !json_is_end_or_escape(s.data[at + n]))
		n++;
	return n;
}

/* Behind the byte order mark that may stand in front. */
static inline size_t json_begin(struct slice text)
{
	return text.length >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* Behind the blanks at `at`: mostly none, or one, or a line's end and what it is indented by. */
static inline size_t json_skip_blanks(struct slice s, size_t at)
{
	while (at < s.length && s.data[at] <= ' ') {
		if (!json_is_blank(s.data[at]))
			break;
		at++;
		while (s.length - at >= 8) {
			uint64_t others = json_load8(s.data + at) ^ JSON_EACH_BYTE(' ');

			if (others) {
				at += (size_t)__builtin_ctzll(others) / 8;
				break;
			}
			at += 8;
		}
	}
	return at;
}

static inline size_t json_digits_end(struct slice s, size_t at)
{
	while (at < s.length && s.data[at] >= '0' && s.data[at] <= '9')
		at++;
	return at;
}

/* Behind what is made of the bytes of numbers and words, as no token is parted by others. */
static inline size_t json_scalar_end(struct slice s, size_t at)
{
#if defined(__SSE2__)
	for (; s.length - at >= JSON_BLOCK; at += JSON_BLOCK) {
		uint64_t others = json_marks_of_others(s.data + at);

		if (others)
			return at + json_first(others);
	}
#endif
	while (at < s.length &&
		(character_is(s.data[at], CHARACTER_ALNUM) || s.data[at] == '+' ||
			s.data[at] == '-' || s.data[at] == '.'))
		at++;
	return at;
}

#endif
