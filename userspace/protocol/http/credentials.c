/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/credentials.h"

#include <errno.h>
#include <openssl/evp.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"

#define BASE64_MOST (4u * ((LIMIT_SECRET_BYTES + 2u) / 3u) + 1u)

/* CGI and its heirs (PHP, WSGI, Rack) see no case, and a dash as an underscore. */
static uint8_t as_a_server_reads_it(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint8_t)(c + 32);
	return c == '_' ? '-' : c;
}

static bool is_same_field(struct slice a, struct slice b)
{
	for (size_t i = 0; i < a.length && a.length == b.length; i++) {
		if (as_a_server_reads_it(a.data[i]) != as_a_server_reads_it(b.data[i]))
			return false;
	}
	return a.length == b.length;
}

struct slice http_credentials_field(const struct protocol_credentials *c)
{
	switch (c->place) {
	case SECRET_IN_BEARER:
	case SECRET_IN_BASIC:
		return slice_from_string("Authorization");
	case SECRET_IN_HEADER:
		return c->name;
	default:
		return SLICE_EMPTY;
	}
}

bool http_credentials_replace(const struct protocol_credentials *c, struct slice name)
{
	struct slice field = http_credentials_field(c);
	struct slice prefix = slice_from_string("impersonate-");

	if (c->impersonates.length && is_same_field(slice_head(name, prefix.length), prefix))
		return true;
	return field.length && is_same_field(field, name);
}

static int put_base64(struct slice secret, struct buffer *out)
{
	uint8_t text[BASE64_MOST];
	int n, r;

	if (secret.length > LIMIT_SECRET_BYTES || !memchr(secret.data, ':', secret.length))
		return -EINVAL;
	n = EVP_EncodeBlock(text, secret.data, (int)secret.length);
	r = buffer_append(out, text, (size_t)n);
	memory_wipe(text, sizeof(text));
	return r;
}

int http_credentials_put_value(
	const struct protocol_credentials *c, struct slice secret, struct buffer *out)
{
	int r = 0;

	if (secret.length == 0 || !text_is_one_line(secret))
		return -EINVAL;
	if (c->place == SECRET_IN_BEARER)
		r = buffer_append_string(out, "Bearer ");
	else if (c->place == SECRET_IN_BASIC)
		r = buffer_append_string(out, "Basic ");
	if (r < 0)
		return r;
	return c->place == SECRET_IN_BASIC ? put_base64(secret, out)
					   : buffer_append_slice(out, secret);
}

/* --- the query --- */

/* Takes one character of a name as servers decode it. */
static uint8_t next_character(struct slice *text)
{
	uint8_t c = text->data[0];
	size_t n = 1;

	if (c == '%' && text->length >= 3 && text_hex_digit(text->data[1]) >= 0 &&
		text_hex_digit(text->data[2]) >= 0) {
		c = (uint8_t)(text_hex_digit(text->data[1]) << 4 | text_hex_digit(text->data[2]));
		n = 3;
	}
	*text = slice_from(*text, n);
	return c;
}

/* Whether this is the parameter of that name, however it is encoded: what stands up to "=". */
static bool is_parameter(struct slice part, struct slice name)
{
	const uint8_t *equals = part.length ? memchr(part.data, '=', part.length) : NULL;
	size_t i = 0;

	if (equals)
		part = slice_head(part, (size_t)(equals - part.data));
	while (part.length && i < name.length) {
		uint8_t c = next_character(&part);

		if (as_a_server_reads_it(c) != as_a_server_reads_it(name.data[i++]))
			return false;
	}
	return part.length == 0 && i == name.length;
}

static size_t part_length(struct slice query)
{
	size_t n = 0;

	while (n < query.length && query.data[n] != '&' && query.data[n] != ';')
		n++;
	return n;
}

/* The parameters but those of that name, each behind the separator that it had, the first behind
 * `separator`. */
static int put_others(struct slice query, struct slice name, uint8_t separator, struct buffer *out)
{
	int r = 0;

	while (r == 0 && query.length) {
		size_t n = part_length(query);
		struct slice part = slice_head(query, n);

		if (!is_parameter(part, name)) {
			r = buffer_append_byte(out, separator);
			if (r == 0)
				r = buffer_append_slice(out, part);
			separator = '&';
		}
		if (n < query.length && separator != '?')
			separator = query.data[n];
		query = slice_from(query, n + 1);
	}
	return r;
}

static int put_encoded(struct slice secret, struct buffer *out)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < secret.length; i++) {
		uint8_t c = secret.data[i];
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z') || memchr("-._~", c, 4);

		r = plain ? buffer_append_byte(out, c) : buffer_append_format(out, "%%%02X", c);
	}
	return r;
}

int http_credentials_put_target(const struct protocol_credentials *c, struct slice target,
	struct slice secret, struct buffer *out)
{
	const uint8_t *mark = memchr(target.data, '?', target.length);
	struct slice path = mark ? slice_head(target, (size_t)(mark - target.data)) : target;
	int r;

	if (secret.length == 0)
		return -EINVAL;
	if (slice_equal_string(target, "*"))
		return buffer_append_slice(out, target);
	r = buffer_append_format(out, "%.*s?%.*s=", SLICE_PRINT(path), SLICE_PRINT(c->name));
	if (r == 0)
		r = put_encoded(secret, out);
	return r < 0 ? r : put_others(slice_from(target, path.length + 1), c->name, '&', out);
}

static bool is_link(struct slice name)
{
	return text_equal_ignore_case(name, slice_from_string("link"));
}

bool http_credentials_may_be_in(const struct protocol_credentials *c, struct slice name)
{
	return c->place == SECRET_IN_QUERY &&
		(text_equal_ignore_case(name, slice_from_string("location")) ||
			text_equal_ignore_case(name, slice_from_string("content-location")) ||
			text_equal_ignore_case(name, slice_from_string("refresh")) ||
			is_link(name));
}

/* One character, however often it was encoded: "%252F" is one. */
static uint8_t next_nested(struct slice *text)
{
	size_t n = 1;

	if (text->data[0] != '%')
		return next_character(text);
	while (text->length >= n + 4 && memcmp(text->data + n, "25", 2) == 0 &&
		text_hex_digit(text->data[n + 2]) >= 0 && text_hex_digit(text->data[n + 3]) >= 0)
		n += 2;
	/* What stands in front of the innermost is the "%" that it begins with. */
	if (n > 1) {
		uint8_t inner[3] = {'%', text->data[n], text->data[n + 1]};
		struct slice rest = slice_of(inner, sizeof(inner));

		*text = slice_from(*text, n + 2);
		return next_character(&rest);
	}
	return next_character(text);
}

static bool begins_with_parameter(struct slice text, struct slice name)
{
	for (size_t i = 0; i < name.length; i++) {
		if (text.length == 0 ||
			as_a_server_reads_it(next_nested(&text)) !=
				as_a_server_reads_it(name.data[i]))
			return false;
	}
	return text.length && (text.data[0] == '=' || text.data[0] == '%');
}

static bool is_of_a_name(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		c == '_' || c == '-';
}

bool http_credentials_are_named(const struct protocol_credentials *c, struct slice value)
{
	uint8_t before = 0;

	while (value.length) {
		if (!is_of_a_name(before) && begins_with_parameter(value, c->name))
			return true;
		before = next_nested(&value);
	}
	return false;
}

static int put_url(const struct protocol_credentials *c, struct slice link, struct buffer *out)
{
	const uint8_t *hash = link.length ? memchr(link.data, '#', link.length) : NULL;
	struct slice url = hash ? slice_head(link, (size_t)(hash - link.data)) : link;
	const uint8_t *mark = url.length ? memchr(url.data, '?', url.length) : NULL;
	struct slice path = mark ? slice_head(url, (size_t)(mark - url.data)) : url;
	int r = buffer_append_slice(out, path);

	if (r == 0 && mark)
		r = put_others(slice_from(url, path.length + 1), c->name, '?', out);
	return r < 0 ? r : buffer_append_slice(out, slice_from(link, url.length));
}

/* RFC 8288: each stands in angle brackets. */
static int put_urls(const struct protocol_credentials *c, struct slice value, struct buffer *out)
{
	int r = 0;

	while (r == 0 && value.length) {
		const uint8_t *begin = memchr(value.data, '<', value.length), *end;
		size_t before = begin ? (size_t)(begin - value.data) + 1 : value.length;

		r = buffer_append_slice(out, slice_head(value, before));
		value = slice_from(value, before);
		end = value.length ? memchr(value.data, '>', value.length) : NULL;
		if (r == 0 && begin && end)
			r = put_url(c, slice_head(value, (size_t)(end - value.data)), out);
		if (end)
			value = slice_from(value, (size_t)(end - value.data));
	}
	return r;
}

int http_credentials_put_link(const struct protocol_credentials *c, struct slice name,
	struct slice value, struct buffer *out)
{
	return is_link(name) ? put_urls(c, value, out) : put_url(c, value, out);
}
