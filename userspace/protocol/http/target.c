/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/target.h"

#include "base/text.h"

#define NAME_MOST 253 /* RFC 1035, 2.3.4 */

struct slice http_target_path(struct slice target)
{
	const uint8_t *query = target.length ? memchr(target.data, '?', target.length) : NULL;

	return query ? slice_head(target, (size_t)(query - target.data)) : target;
}

struct slice http_target_query(struct slice target)
{
	return slice_from(target, http_target_path(target).length + 1);
}

/* "http://host/path" */
static bool read_absolute(struct slice target, struct http_target *ret)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (unsigned i = 0; i < 2; i++) {
		size_t length = strlen(schemes[i]), end;
		struct slice rest = slice_from(target, length);

		if (!text_equal_ignore_case(
			    slice_head(target, length), slice_from_string(schemes[i])))
			continue;
		for (end = 0; end < rest.length && rest.data[end] != '/' && rest.data[end] != '?';)
			end++;
		ret->authority = slice_head(rest, end);
		ret->path = http_target_path(slice_from(rest, end));
		/* RFC 9112, 3.2.1: an empty path is "/". */
		if (ret->path.length == 0)
			ret->path = slice_from_string("/");
		return ret->authority.length > 0;
	}
	return false;
}

bool http_target_read(struct slice method, struct slice target, struct http_target *ret)
{
	*ret = (struct http_target){.form = HTTP_TARGET_PATH};
	if (slice_equal_string(method, "CONNECT")) {
		ret->form = HTTP_TARGET_AUTHORITY;
		ret->authority = target;
		return true;
	}
	if (slice_equal_string(target, "*")) {
		ret->form = HTTP_TARGET_ASTERISK;
		return slice_equal_string(method, "OPTIONS");
	}
	if (target.data[0] != '/')
		return read_absolute(target, ret);
	ret->path = http_target_path(target);
	return true;
}

static bool is_name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '-' || c == '.' || c == '_';
}

static bool is_address_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') ||
		c == ':' || c == '.';
}

static bool all_are(struct slice s, bool (*is)(uint8_t c))
{
	for (size_t i = 0; i < s.length; i++) {
		if (!is(s.data[i]))
			return false;
	}
	return s.length > 0 && s.length <= NAME_MOST;
}

static bool read_port(struct slice text, struct http_authority *ret)
{
	uint64_t port;

	if (text.length == 0)
		return true;
	if (text.data[0] != ':' || text_to_number(slice_from(text, 1), 65535, &port) < 0 ||
		port == 0)
		return false;
	ret->port = (uint16_t)port;
	return true;
}

bool http_authority_read(struct slice text, struct http_authority *ret)
{
	const uint8_t *end;

	*ret = (struct http_authority){0};
	if (text.length && text.data[0] == '[') {
		end = memchr(text.data, ']', text.length);
		if (!end)
			return false;
		ret->host = slice_of(text.data + 1, (size_t)(end - text.data) - 1);
		return all_are(ret->host, is_address_byte) &&
			read_port(slice_from(text, ret->host.length + 2), ret);
	}
	end = text.length ? memchr(text.data, ':', text.length) : NULL;
	ret->host = end ? slice_head(text, (size_t)(end - text.data)) : text;
	if (!all_are(ret->host, is_name_byte) ||
		!read_port(slice_from(text, ret->host.length), ret))
		return false;
	if (ret->host.data[ret->host.length - 1] == '.')
		ret->host.length--;
	return ret->host.length > 0;
}
