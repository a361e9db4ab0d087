/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_written.h"

#include <errno.h>

#include "base/text.h"

static int hex4(struct slice s, size_t at, uint32_t *ret)
{
	uint8_t bytes[2];

	if (s.length - at < 4 || text_from_hex(slice_of(s.data + at, 4), bytes, 2) < 0)
		return -EINVAL;
	*ret = (uint32_t)bytes[0] << 8 | bytes[1];
	return 0;
}

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

/* Decodes \uXXXX, and the second half of a pair behind it. Half a pair alone gives U+FFFD. */
static size_t decode_unicode(struct slice s, size_t at, uint8_t ret[4], size_t *ret_length)
{
	uint32_t c, low;
	size_t n = 6;

	if (hex4(s, at + 2, &c) < 0)
		return 0;
	if (c >= 0xd800 && c < 0xdc00 && s.length - at >= 12 && s.data[at + 6] == '\\' &&
		s.data[at + 7] == 'u' && hex4(s, at + 8, &low) == 0 && low >= 0xdc00 &&
		low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		n = 12;
	} else if (c >= 0xd800 && c < 0xe000) {
		c = 0xfffd;
	}
	*ret_length = encode_utf8(c, ret);
	return n;
}

/* One character of a string's inside, as it was written at `at`: stores what it means; returns how
 * many bytes it was written with, 0 where it is no legal escape. */
static size_t decode_character(struct slice s, size_t at, uint8_t ret[4], size_t *ret_length)
{
	static const char written[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *found;

	ret[0] = s.data[at];
	*ret_length = 1;
	if (s.data[at] != '\\')
		return 1;
	if (s.length - at < 2)
		return 0;
	if (s.data[at + 1] == 'u')
		return s.length - at < 6 ? 0 : decode_unicode(s, at, ret, ret_length);
	found = memchr(written, s.data[at + 1], sizeof(written) - 1);
	if (!found)
		return 0;
	ret[0] = (uint8_t)meant[found - written];
	return 2;
}

int json_written_decode(struct slice inside, struct buffer *out)
{
	uint8_t character[4];
	size_t length;

	buffer_clear(out);
	for (size_t at = 0; at < inside.length;) {
		size_t n = decode_character(inside, at, character, &length);
		int r;

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
		*at += decode_character(inside, *at, character, &length);
		*decoded += length;
	}
}
