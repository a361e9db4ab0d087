/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/base64url.h"

#include <errno.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* -1: no digit. */
static int value_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int base64url_decode(struct slice text, struct buffer *ret)
{
	uint32_t bits = 0;
	unsigned held = 0; /* bits that make no byte yet */

	if (text.length % 4 == 1)
		return -EBADMSG;
	for (size_t i = 0; i < text.length; i++) {
		int value = value_of(text.data[i]);
		int r = 0;

		if (value < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			r = buffer_append_byte(ret, (uint8_t)(bits >> held));
			bits &= (1u << held) - 1;
		}
		if (r < 0)
			return r;
	}
	return bits ? -EBADMSG : 0;
}

int base64url_encode(struct slice bytes, struct buffer *ret)
{
	uint32_t bits = 0;
	unsigned held = 0;
	int r = 0;

	for (size_t i = 0; i < bytes.length; i++) {
		bits = bits << 8 | bytes.data[i];
		for (held += 8; r == 0 && held >= 6; held -= 6)
			r = buffer_append_byte(ret, (uint8_t)digits[bits >> (held - 6) & 63]);
		bits &= (1u << held) - 1;
	}
	if (r == 0 && held)
		r = buffer_append_byte(ret, (uint8_t)digits[bits << (6 - held) & 63]);
	return r;
}
