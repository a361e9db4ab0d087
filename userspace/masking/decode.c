/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/decode.h"

#include "base/text.h"
#include "masking/characters.h"

#define LINE_LEAST 60 /* encoders break lines at 64 or 76 characters */

/* The value of a base64 digit plus 1; 0 for other bytes. */
static const uint8_t base64_values[256] = {
#define ROW(c, v) [c] = (v) + 1
#define ROW4(c, v) ROW(c, v), ROW((c) + 1, (v) + 1), ROW((c) + 2, (v) + 2), ROW((c) + 3, (v) + 3)
#define ROW24(c, v)                                                                                \
	ROW4(c, v), ROW4((c) + 4, (v) + 4), ROW4((c) + 8, (v) + 8), ROW4((c) + 12, (v) + 12),      \
		ROW4((c) + 16, (v) + 16), ROW4((c) + 20, (v) + 20)
	ROW24('A', 0),
	ROW('Y', 24),
	ROW('Z', 25),
	ROW24('a', 26),
	ROW('y', 50),
	ROW('z', 51),
	ROW4('0', 52),
	ROW4('4', 56),
	ROW('8', 60),
	ROW('9', 61),
	ROW('+', 62),
	ROW('-', 62),
	ROW('/', 63),
	ROW('_', 63),
#undef ROW24
#undef ROW4
#undef ROW
};

/* The bytes of one alphabet on both sides of `at`; `classes` says of which. */
static struct slice run_around(struct slice text, size_t at, size_t from, unsigned classes)
{
	size_t before = character_run_before(text, at, classes, at - from);
	size_t start = at - before, end = at + character_run(text, at, classes, SIZE_MAX),
	       line = start;

	/* A line's end within base64: as long as lines are long, the next belongs to it. */
	while (end - line >= LINE_LEAST && end < text.length) {
		size_t next = end + (text.data[end] == '\r'), n;

		if (next >= text.length || text.data[next] != '\n')
			break;
		n = character_run(text, next + 1, classes, SIZE_MAX);
		if (n == 0)
			break;
		line = next + 1;
		end = line + n;
	}
	return slice_of(text.data + start, end - start);
}

struct slice decode_find(struct slice text, size_t at, size_t from, enum decode_alphabet alphabet)
{
	static const unsigned classes[DECODE_ALPHABET_COUNT] = {
		[DECODE_STANDARD] = CHARACTER_BASE64,
		[DECODE_URL] = CHARACTER_BASE64_URL,
	};
	struct slice run = run_around(text, at, from, classes[alphabet]);
	struct slice rest;

	if (run.length < DECODE_LEAST)
		return SLICE_EMPTY;
	rest = slice_from(text, (size_t)(run.data + run.length - text.data));
	for (size_t padding = 0; padding < rest.length && padding < 2; padding++)
		run.length += rest.data[padding] == '=';
	return run;
}

size_t decode_base64(struct slice text, uint8_t *ret)
{
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0;

	for (size_t i = 0; i < text.length; i++) {
		uint8_t value = base64_values[text.data[i]];

		if (value == 0) {
			if (text.data[i] == '\n' || text.data[i] == '\r')
				continue;
			break;
		}
		bits = bits << 6 | (value - 1u);
		held += 6;
		if (held >= 8) {
			held -= 8;
			ret[n++] = (uint8_t)(bits >> held);
		}
	}
	return n;
}

/* How many bytes before hexadecimal digits only say that such follow. */
static size_t hex_prefix(struct slice run)
{
	if (run.data[0] == '0' && text_lower(run.data[1]) == 'x')
		return 2;
	return text_lower(run.data[0]) == 'x';
}

size_t decode_run(struct slice run, uint8_t *ret)
{
	struct slice digits = slice_from(run, hex_prefix(run));

	if (character_run(digits, 0, CHARACTER_HEX, SIZE_MAX) < digits.length)
		return decode_base64(run, ret);
	text_from_hex(slice_head(digits, digits.length / 2 * 2), ret, digits.length / 2);
	return digits.length / 2;
}
