/* SPDX-License-Identifier: Apache-2.0
 *
 * coding: which codings a content says that it is in.
 */
#include "protocol/http/coding.h"

#include <errno.h>

#include "base/memory.h"
#include "base/text.h"

static const struct {
	const char *name;
	enum http_coding coding;
} names[] = {
	{"gzip", HTTP_CODING_GZIP},
	{"x-gzip", HTTP_CODING_GZIP},
	{"deflate", HTTP_CODING_DEFLATE},
	{"br", HTTP_CODING_BROTLI},
	{"zstd", HTTP_CODING_ZSTD},
};

static int add(struct http_codings *codings, struct slice name)
{
	if (name.length == 0 || text_equal_ignore_case(name, slice_from_string("identity")))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!text_equal_ignore_case(name, slice_from_string(names[i].name)))
			continue;
		if (codings->count == ARRAY_SIZE(codings->items))
			return -E2BIG;
		codings->items[codings->count++] = names[i].coding;
		return 0;
	}
	return -EBADMSG;
}

int http_codings_read(const struct http_fields *fields, struct http_codings *ret)
{
	struct http_codings codings = {.count = 0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < fields->count; i++) {
		struct slice rest = fields->items[i].value;

		while (http_field_is(&fields->items[i], "content-encoding") && rest.length &&
			r == 0)
			r = add(&codings, http_trim(slice_take_until(&rest, ',')));
	}
	if (r == 0)
		*ret = codings;
	return r;
}
