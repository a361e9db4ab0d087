/* SPDX-License-Identifier: Apache-2.0
 *
 * query: parameters, as Go's net/url decodes them.
 */
#include "base/text.h"
#include "protocol/kubernetes/kubernetes.h"

/* Takes one byte as it is meant; -1: broken. */
static int take_byte(struct slice *text)
{
	uint8_t c = text->data[0], byte;

	if (c != '%') {
		*text = slice_from(*text, 1);
		return c == '+' ? ' ' : c;
	}
	if (text->length < 3 || text_from_hex(slice_of(text->data + 1, 2), &byte, 1) < 0)
		return -1;
	*text = slice_from(*text, 3);
	return byte;
}

static bool decode(struct slice text, struct buffer *room, struct slice *ret)
{
	uint8_t *space;
	size_t n = 0;

	if (buffer_reserve(room, text.length + 1, &space) < 0)
		return false;
	while (text.length) {
		int c = take_byte(&text);

		if (c < 0)
			return false;
		space[n++] = (uint8_t)c;
	}
	buffer_commit(room, n);
	*ret = slice_of(space, n);
	return true;
}

bool kubernetes_query_next(struct slice *query, struct buffer *room, struct slice *ret_name,
	struct slice *ret_value, bool *ret_bad)
{
	struct slice part, name;

	*ret_name = *ret_value = SLICE_EMPTY;
	*ret_bad = false;
	if (query->length == 0)
		return false;
	part = slice_take_until(query, '&');
	if (part.length == 0)
		return true;
	/* Go drops a parameter that has one; others take it for "&". */
	*ret_bad = memchr(part.data, ';', part.length) != NULL;
	name = slice_take_until(&part, '=');
	if (*ret_bad || !decode(name, room, ret_name) || !decode(part, room, ret_value))
		*ret_bad = true;
	return true;
}

/* The API takes whatever is not false for true, also nothing. */
static bool is_true(struct slice value)
{
	return !slice_equal_string(value, "0") &&
		!text_equal_ignore_case(value, slice_from_string("false"));
}

bool kubernetes_query_asks(struct slice query, const char *name)
{
	struct slice found, value;
	struct buffer room;
	uint8_t *space;
	bool asks, bad;

	buffer_init(&room, query.length + 1);
	asks = buffer_reserve(&room, query.length + 1, &space) < 0;
	while (!asks && kubernetes_query_next(&query, &room, &found, &value, &bad))
		asks = bad || (slice_equal_string(found, name) && is_true(value));
	buffer_done(&room);
	return asks;
}

/* The name that a field selector asks for, where it asks for just one. */
static struct slice selected_name(struct slice selector)
{
	static const char field[] = "metadata.name=";
	struct slice name = SLICE_EMPTY;
	unsigned found = 0;

	/* A backslash could hide a comma. */
	if (selector.length && memchr(selector.data, '\\', selector.length))
		return SLICE_EMPTY;
	while (selector.length) {
		struct slice term = slice_take_until(&selector, ',');

		if (!slice_starts_with(term, slice_from_string(field)))
			continue;
		name = slice_from(term, sizeof(field) - 1);
		if (name.length && name.data[0] == '=')
			name = slice_from(name, 1);
		found++;
	}
	/* What can't be a name leaves the list as it is. */
	if (found != 1 || name.length == 0 || memchr(name.data, '/', name.length) ||
		memchr(name.data, '%', name.length) || memchr(name.data, '=', name.length) ||
		memchr(name.data, '!', name.length))
		return SLICE_EMPTY;
	return name;
}

void kubernetes_list_read(struct slice query, struct buffer *room, struct kubernetes_list *ret)
{
	struct slice name, value, selector = SLICE_EMPTY;
	unsigned watches = 0, selectors = 0;
	bool bad, unclear = false;

	*ret = (struct kubernetes_list){.watch = false};
	while (kubernetes_query_next(&query, room, &name, &value, &bad)) {
		unclear |= bad;
		if (slice_equal_string(name, "watch")) {
			watches++;
			ret->watch = is_true(value);
		} else if (slice_equal_string(name, "fieldSelector")) {
			selectors++;
			selector = value;
		}
	}
	ret->maybe_watch = unclear || watches > 1;
	if (!unclear && selectors == 1)
		ret->name = selected_name(selector);
}
