/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/http/target.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/memory.h"
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
	/* Who takes off all dots, and who takes off one, would not mean the same. */
	return ret->host.length > 0 && ret->host.data[ret->host.length - 1] != '.';
}

/* An address as it is written most shortly; IPv4 in IPv6 as IPv4. False: it is none, or that of no
 * place: 0.0.0.0 means whatever host it is said to. */
static bool put_address(const char *text, char *ret, size_t size)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint8_t bytes[16] = {0};
	bool is_4 = inet_pton(AF_INET, text, bytes + 12) == 1;

	if (!is_4 && inet_pton(AF_INET6, text, bytes) != 1)
		return false;
	is_4 |= memcmp(bytes, mapped, sizeof(mapped)) == 0;
	if (is_4 && bytes[12] == 0)
		return false;
	if (!is_4 && memcmp(bytes, (uint8_t[16]){0}, sizeof(bytes)) == 0)
		return false;
	return inet_ntop(is_4 ? AF_INET : AF_INET6, bytes + (is_4 ? 12 : 0), ret, (socklen_t)size);
}

/* What resolvers take for an address, however it is written: "127.1", "2130706433", "0x7f.1". */
static bool ends_in_number(const char *name)
{
	const char *dot = strrchr(name, '.'), *label = dot ? dot + 1 : name;

	return strspn(label, "0123456789") == strlen(label) ||
		(label[0] == '0' && label[1] == 'x' &&
			strspn(label + 2, "0123456789abcdef") == strlen(label + 2));
}

bool http_beyond_read(struct slice authority, struct http_beyond *ret)
{
	struct http_authority named;
	char name[HTTP_BEYOND_MOST];

	memset(ret, 0, sizeof(*ret));
	if (!http_authority_read(authority, &named) || named.port == 0)
		return false;
	for (size_t i = 0; i < named.host.length; i++) {
		uint8_t c = named.host.data[i];

		name[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	name[named.host.length] = '\0';
	if (strchr(name, ':') || ends_in_number(name)) {
		/* "10.0.0.1." may be looked up as a name. */
		if (named.host.data[named.host.length] == '.' ||
			!put_address(name, ret->name, sizeof(ret->name)))
			return false;
	} else {
		memcpy(ret->name, name, named.host.length + 1);
	}
	ret->port = named.port;
	return true;
}
