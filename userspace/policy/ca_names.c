/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/ca_names.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

#define EXPECTED                                                                                   \
	"expected a name, which means all below it too (example.com), an address, or a network "   \
	"(10.0.0.0/8)"

int ca_name_parse(char *text, struct host *ret, struct error *e)
{
	size_t length = strlen(text);

	/* As in `hosts`, where a port follows, and IPv6 stands in brackets. */
	if (strchr(text, ':')) {
		memmove(text + 1, text, length);
		text[0] = '[';
		memcpy(text + length + 1, "]:*", 4);
	} else {
		memcpy(text + length, ":*", 3);
	}
	if (host_parse(text, ret, NULL) < 0 || ret->kind == HOST_WILDCARD)
		return error_set(e, -EINVAL, EXPECTED);
	return 0;
}

static bool is_within(const struct host *limit, struct slice name)
{
	struct slice base = limit->name;
	size_t before;

	if (limit->kind != HOST_NAME || name.length < base.length)
		return false;
	before = name.length - base.length;
	return (before == 0 || name.data[before - 1] == '.') &&
		strncasecmp((const char *)name.data + before, (const char *)base.data,
			base.length) == 0;
}

static bool cover_name(const struct host *names, size_t count, struct slice name)
{
	for (size_t i = 0; i < count; i++) {
		if (is_within(&names[i], name))
			return true;
	}
	return false;
}

static bool cover_address(const struct host *names, size_t count, const struct address *address)
{
	for (size_t i = 0; i < count; i++) {
		if (names[i].kind != HOST_NAME && host_matches_address(&names[i], address))
			return true;
	}
	return false;
}

bool ca_names_cover(const struct host *names, size_t count, struct slice wanted)
{
	char text[HOST_NAME_MOST + 1];
	struct address address;

	if (count == 0)
		return true;
	if (wanted.length >= sizeof(text))
		return false;
	snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(wanted));
	return address_parse(text, &address) == 0 ? cover_address(names, count, &address)
						  : cover_name(names, count, wanted);
}

bool ca_names_cover_host(const struct host *names, size_t count, const struct host *h)
{
	if (count == 0 || h->kind == HOST_PREFIX)
		return true;
	if (h->kind == HOST_ADDRESS)
		return cover_address(names, count, &h->address);
	/* Of a wildcard, which begins with its dot, what all that it means is below. */
	return cover_name(names, count, slice_from(h->name, h->kind == HOST_WILDCARD));
}
