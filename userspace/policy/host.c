/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/host.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/text.h"

#define HOST_EXPECTED                                                                              \
	"expected NAME:PORT, *.NAME:PORT, ADDRESS:PORT, ADDRESS/LENGTH:PORT or [IPV6]:PORT"
#define MAPPED_BITS 96

static const uint8_t mapped_start[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_is_mapped(const struct address *a)
{
	return memcmp(a->bytes, mapped_start, sizeof(mapped_start)) == 0;
}

int address_parse(const char *text, struct address *ret)
{
	struct address a;

	if (inet_pton(AF_INET6, text, a.bytes) == 1) {
		*ret = a;
		return 0;
	}
	memcpy(a.bytes, mapped_start, sizeof(mapped_start));
	if (inet_pton(AF_INET, text, a.bytes + sizeof(mapped_start)) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

/* Clears what stands behind the prefix; false: something stood there. */
static bool address_cut(struct address *a, unsigned prefix)
{
	bool clean = true;

	for (unsigned i = 0; i < 16; i++) {
		unsigned kept = prefix > 8 * i ? prefix - 8 * i : 0;
		uint8_t mask = kept >= 8 ? 0xff : (uint8_t)(0xff00u >> kept);

		clean &= (a->bytes[i] & ~mask) == 0;
		a->bytes[i] &= mask;
	}
	return clean;
}

static bool is_name(struct slice name)
{
	size_t label = 0;

	if (name.length == 0 || name.length > HOST_NAME_MOST)
		return false;
	for (size_t i = 0; i < name.length; i++) {
		uint8_t c = name.data[i];

		if (c == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if ((isascii(c) && isalnum(c)) || c == '-' || c == '_') {
			if (++label > 63)
				return false;
		} else {
			return false;
		}
	}
	return label != 0;
}

/* "10.0.0" is a mistyped address, not a name: resolvers would read it as 10.0.0.0. */
static bool ends_in_number(struct slice name)
{
	size_t i = name.length;

	while (i && isdigit(name.data[i - 1]))
		i--;
	return i < name.length && (i == 0 || name.data[i - 1] == '.');
}

static int parse_name(struct slice text, struct host *ret, struct error *e)
{
	bool wildcard = text.length > 2 && text.data[0] == '*' && text.data[1] == '.';
	struct slice name = slice_from(text, wildcard ? 2 : 0);

	if (!is_name(name) || ends_in_number(name))
		return error_set(e, -EINVAL, "\"%.*s\" is neither a host name nor an address; %s",
			SLICE_PRINT(text), HOST_EXPECTED);
	ret->kind = wildcard ? HOST_WILDCARD : HOST_NAME;
	ret->name = slice_from(text, wildcard ? 1 : 0);
	return 0;
}

static int parse_prefix(char *text, char *slash, struct host *ret, struct error *e)
{
	uint64_t length;
	unsigned extra;

	*slash = '\0';
	if (address_parse(text, &ret->address) < 0)
		return error_set(e, -EINVAL, "\"%s\" is not an address", text);
	extra = strchr(text, ':') ? 0 : MAPPED_BITS;
	if (text_to_number(slice_from_string(slash + 1), 128 - extra, &length) < 0)
		return error_set(e, -EINVAL, "\"/%s\": expected a length from 0 to %u", slash + 1,
			128 - extra);
	ret->prefix = (unsigned)length + extra;
	ret->kind = ret->prefix == 128 ? HOST_ADDRESS : HOST_PREFIX;
	if (!address_cut(&ret->address, ret->prefix)) {
		char start[INET6_ADDRSTRLEN];

		inet_ntop(extra ? AF_INET : AF_INET6, ret->address.bytes + (extra ? 12 : 0), start,
			sizeof(start));
		return error_set(e, -EINVAL, "\"%s/%s\" has bits behind its length; expected %s/%s",
			text, slash + 1, start, slash + 1);
	}
	return 0;
}

static int parse_place(char *text, bool brackets, struct host *ret, struct error *e)
{
	char *slash = strchr(text, '/');

	if (brackets != (strchr(text, ':') != NULL))
		return error_set(e, -EINVAL,
			"an IPv6 address, and nothing else, stands in brackets; %s", HOST_EXPECTED);
	if (slash)
		return parse_prefix(text, slash, ret, e);
	if (address_parse(text, &ret->address) == 0) {
		ret->kind = HOST_ADDRESS;
		ret->prefix = 128;
		return 0;
	}
	if (brackets)
		return error_set(e, -EINVAL, "\"%s\" is not an IPv6 address", text);
	return parse_name(slice_from_string(text), ret, e);
}

static int parse_port(const char *text, uint16_t *ret, struct error *e)
{
	uint64_t port;

	if (strcmp(text, "*") == 0) {
		*ret = HOST_ANY_PORT;
		return 0;
	}
	if (text_to_number(slice_from_string(text), 65535, &port) < 0 || port == 0)
		return error_set(
			e, -EINVAL, "\":%s\": expected a port from 1 to 65535 or \"*\"", text);
	*ret = (uint16_t)port;
	return 0;
}

int host_parse(char *text, struct host *ret, struct error *e)
{
	bool brackets = text[0] == '[';
	char *end = brackets ? strstr(text, "]:") : strrchr(text, ':');
	struct host host = {0};
	int r;

	if (!end)
		return error_set(e, -EINVAL, "\"%s\" has no port; %s", text, HOST_EXPECTED);
	for (char *p = text; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	*end = '\0';
	r = parse_port(end + (brackets ? 2 : 1), &host.port, e);
	if (r == 0)
		r = parse_place(text + brackets, brackets, &host, e);
	if (r == 0)
		*ret = host;
	return r;
}

bool host_matches_port(const struct host *h, uint16_t port)
{
	return h->port == HOST_ANY_PORT || h->port == port;
}

bool host_matches_address(const struct host *h, const struct address *a)
{
	struct address cut = *a;

	if (h->kind != HOST_ADDRESS && h->kind != HOST_PREFIX)
		return false;
	if (h->prefix < MAPPED_BITS && address_is_mapped(a))
		return false;
	address_cut(&cut, h->prefix);
	return memcmp(cut.bytes, h->address.bytes, sizeof(cut.bytes)) == 0;
}

bool host_matches_name(const struct host *h, struct slice name)
{
	if (name.length && name.data[name.length - 1] == '.')
		name.length--;
	if (h->kind == HOST_NAME)
		return text_equal_ignore_case(h->name, name);
	return h->kind == HOST_WILDCARD && name.length > h->name.length &&
		text_equal_ignore_case(h->name, slice_from(name, name.length - h->name.length));
}

bool host_ties(const struct host *a, const struct host *b)
{
	if (a->kind != b->kind || a->prefix != b->prefix)
		return false;
	if (a->port != HOST_ANY_PORT && b->port != HOST_ANY_PORT && a->port != b->port)
		return false;
	return slice_equal(a->name, b->name) &&
		memcmp(a->address.bytes, b->address.bytes, sizeof(a->address.bytes)) == 0;
}
