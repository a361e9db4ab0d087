/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_written.h"

#include <errno.h>

#include "masking/characters.h"

static size_t encode_utf8(uint32_t c, uint8_t ret[4])
{
	if (c < 0x80) {
		ret[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		ret[0] = (uint8_t)(0xc0 | c >> 6);
		ret[1] = (uint8_t)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		ret[0] = (uint8_t)(0xe0 | c >> 12);
		ret[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
		ret[2] = (uint8_t)(0x80 | (c & 0x3f));
		return 3;
	}
	ret[0] = (uint8_t)(0xf0 | c >> 18);
	ret[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
	ret[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
	ret[3] = (uint8_t)(0x80 | (c & 0x3f));
	return 4;
}

/* By the letter behind the backslash. */
static const uint8_t meant[256] = {
	['"'] = '"',
	['\\'] = '\\',
	['/'] = '/',
	['b'] = '\b',
	['f'] = '\f',
	['n'] = '\n',
	['r'] = '\r',
	['t'] = '\t',
};

/* The four digits behind "\u" at `at`; -1: it is none. */
static int32_t unit_at(struct slice s, size_t at)
{
	const uint8_t *c = s.data + at;
	int32_t value = 0;

	if (s.length - at < 6 || c[0] != '\\' || c[1] != 'u')
		return -1;
	for (unsigned i = 2; i < 6; i++) {
		if (!character_is(c[i], CHARACTER_HEX))
			return -1;
		/* The low bits of letters count from 1. */
		value = value << 4 | ((c[i] & 15) + (c[i] >> 6) * 9);
	}
	return value;
}

size_t json_written_escape(struct slice s, size_t at, uint32_t *ret)
{
	int32_t high, low;

	if (s.length - at < 2)
		return 0;
	*ret = meant[s.data[at + 1]];
	if (*ret)
		return 2;
	high = unit_at(s, at);
	if (high < 0)
		return 0;
	*ret = (uint32_t)high;
	if (high < 0xd800 || high >= 0xdc00)
		return 6;
	low = unit_at(s, at + 6);
	if (low < 0xdc00 || low >= 0xe000)
		return 6;
	*ret = 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
	return 12;
}

size_t json_written_character(struct slice s, size_t at, uint8_t ret[4], size_t *ret_length)
{
	uint32_t c = s.data[at];
	size_t n;

	*ret_length = 1;
	ret[0] = (uint8_t)c;
	if (c != '\\')
		return 1;
	n = json_written_escape(s, at, &c);
	if (n)
		*ret_length = encode_utf8(json_is_half(c) ? 0xfffd : c, ret);
	return n;
}

size_t json_written_plain(struct slice s, size_t at, size_t most)
{
	size_t n = s.length - at < most ? s.length - at : most;
	const uint8_t *found = n ? memchr(s.data + at, '\\', n) : NULL;

	return found ? (size_t)(found - s.data) - at : n;
}

int json_written_decode(struct slice inside, struct buffer *out)
{
	uint8_t character[4];
	size_t length;

	buffer_clear(out);
	for (size_t at = 0; at < inside.length;) {
		size_t n = json_written_plain(inside, at, SIZE_MAX);
		int r = buffer_append(out, inside.data + at, n);

		at += n;
		if (r < 0 || at == inside.length)
			return r;
		n = json_written_character(inside, at, character, &length);
		if (n == 0)
			return -EINVAL;
		r = buffer_append(out, character, length);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

void json_written_skip(struct slice inside, size_t wanted, size_t *at, size_t *decoded)
{
	uint8_t character[4];
	size_t length;

	while (*decoded < wanted && *at < inside.length) {
		size_t n = json_written_plain(inside, *at, wanted - *decoded);

		*at += n;
		*decoded += n;
		if (*decoded >= wanted || *at == inside.length)
			break;
		*at += json_written_character(inside, *at, character, &length);
		*decoded += length;
	}
}
