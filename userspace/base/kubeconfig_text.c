/* SPDX-License-Identifier: Apache-2.0 */
#include "base/kubeconfig_text.h"

#include <errno.h>

#include "base/memory.h"

#define CA_MOST (1u << 20)
#define BEGIN "-----BEGIN CERTIFICATE-----"

static void skip_blanks(struct slice *s)
{
	while (s->length && (s->data[0] == ' ' || s->data[0] == '\t'))
		*s = slice_from(*s, 1);
}

static bool take_byte(struct slice *s, uint8_t byte)
{
	if (!s->length || s->data[0] != byte)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

/* Takes what stands up to the next value of that key, and the value. */
static bool take_value(struct slice *text, const char *key, struct slice *ret)
{
	size_t length = strlen(key), n = 0;
	const uint8_t *found;

	while (text->length && (found = memmem(text->data, text->length, key, length))) {
		struct slice rest = slice_from(*text, (size_t)(found - text->data) + length);
		bool quoted;
		uint8_t quote;

		*text = rest;
		if (!take_byte(&rest, '"'))
			take_byte(&rest, '\'');
		skip_blanks(&rest);
		if (!take_byte(&rest, ':'))
			continue;
		skip_blanks(&rest);
		quote = rest.length ? rest.data[0] : 0;
		quoted = quote == '"' || quote == '\'';
		rest = slice_from(rest, quoted);
		for (n = 0; n < rest.length && rest.data[n] != '\n'; n++) {
			if (quoted ? rest.data[n] == quote
				   : memchr("\r,}#", rest.data[n], 4) != NULL)
				break;
		}
		*ret = slice_head(rest, n);
		while (!quoted && ret->length && ret->data[ret->length - 1] == ' ')
			ret->length--;
		*text = slice_from(rest, ret->length);
		return true;
	}
	return false;
}

bool kubeconfig_next_ca_file(struct slice *text, struct slice *ret)
{
	return take_value(text, "certificate-authority", ret);
}

/* --- RFC 4648, section 4. The setuid program is linked with no library that has it. --- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* -EINVAL: it is not base64; the buffer's errors. */
static int decode(struct slice s, struct buffer *out)
{
	uint32_t bits = 0;
	size_t used = s.length;
	int r = 0;

	if (s.length == 0 || s.length % 4)
		return -EINVAL;
	while (used > s.length - 2 && s.data[used - 1] == '=')
		used--;
	for (size_t i = 0; r == 0 && i < used; i++) {
		const char *digit = s.data[i] ? strchr(digits, s.data[i]) : NULL;

		if (!digit)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)(digit - digits);
		/* Each digit but the first of four completes a byte. */
		if (i % 4)
			r = buffer_append_byte(out, (uint8_t)(bits >> (6 - 2 * (i % 4))));
	}
	return r;
}

static int encode(struct slice s, struct buffer *out)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s.length; i += 3) {
		size_t left = s.length - i;
		uint32_t bits = (uint32_t)s.data[i] << 16 |
			(left > 1 ? (uint32_t)s.data[i + 1] << 8 : 0) |
			(left > 2 ? s.data[i + 2] : 0u);
		const char quad[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
			left > 1 ? digits[bits >> 6 & 63] : '=',
			left > 2 ? digits[bits & 63] : '='};

		r = buffer_append(out, quad, sizeof(quad));
	}
	return r;
}

/* Appends what CAs in base64 become with another; false: they are none, and nothing is. */
static bool add(struct slice value, struct slice ca, struct buffer *out)
{
	size_t before = buffer_length(out);
	struct buffer pem;
	bool done;

	buffer_init(&pem, CA_MOST);
	done = decode(value, &pem) == 0 && buffer_length(&pem) &&
		memmem(buffer_slice(&pem).data, buffer_length(&pem), BEGIN, strlen(BEGIN)) &&
		buffer_append_byte(&pem, '\n') == 0 && buffer_append_slice(&pem, ca) == 0 &&
		encode(buffer_slice(&pem), out) == 0;
	if (!done)
		buffer_truncate(out, before);
	buffer_done(&pem);
	return done;
}

int kubeconfig_add_ca(struct slice text, struct slice ca, struct buffer *out)
{
	struct slice rest = text, value;
	const uint8_t *copied = text.data;
	int r = 0, changed = 0;

	while (r == 0 && take_value(&rest, "certificate-authority-data", &value)) {
		r = buffer_append(out, copied, (size_t)(value.data - copied));
		copied = value.data;
		if (r == 0 && add(value, ca, out)) {
			copied = value.data + value.length;
			changed = 1;
		}
	}
	if (r == 0 && text.length)
		r = buffer_append(out, copied, text.length - (size_t)(copied - text.data));
	return r < 0 ? r : changed;
}
