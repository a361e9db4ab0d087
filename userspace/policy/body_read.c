/* SPDX-License-Identifier: Apache-2.0
 *
 * body_read: the values of a body.
 */
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "masking/json_reader.h"
#include "policy/body.h"

#define VALUES_FIRST 64u

/* NULL: there are too many. */
static struct body_value *add(struct body_values *v, uint8_t kind, struct slice name)
{
	if (v->count == LIMIT_BODY_VALUES)
		return NULL;
	if (v->count == v->room) {
		v->room = v->room ? 2 * v->room : VALUES_FIRST;
		v->items = memory_resize_array(v->items, v->room, sizeof(*v->items));
	}
	v->items[v->count] = (struct body_value){.name = name, .kind = kind};
	v->items[v->count].next = (uint32_t)v->count + 1;
	return &v->items[v->count++];
}

/* --- JSON --- */

struct json_reading {
	struct json_reader reader;
	struct slice name; /* of the member whose value comes next */
	uint32_t open[JSON_DEPTH_MOST];
	size_t depth;
};

static struct slice token_text(const struct json_reader *r)
{
	return slice_head(slice_from(r->text, r->start), r->end - r->start);
}

static bool take_json(struct body_values *v, struct json_reading *j, enum json_token token)
{
	struct body_value *value;

	switch (token) {
	case JSON_NAME:
		j->name = token_text(&j->reader);
		return true;
	case JSON_CLOSE:
		v->items[j->open[--j->depth]].next = (uint32_t)v->count;
		return true;
	default:
		break;
	}
	/* Several values behind each other: which of them counts, nobody can tell. */
	if (j->depth == 0 && v->count)
		return false;
	value = add(v, (uint8_t)token, j->name);
	if (!value)
		return false;
	j->name = SLICE_EMPTY;
	if (token == JSON_OBJECT || token == JSON_ARRAY)
		j->open[j->depth++] = (uint32_t)v->count - 1;
	else
		value->text = token_text(&j->reader);
	return true;
}

bool body_values_of_json(struct body_values *v, struct slice text)
{
	struct json_reading j = {.depth = 0};
	enum json_token token;

	/* Some readers pass over a byte order mark, others refuse it, or see it in the text. */
	if (slice_starts_with(text, slice_from_string("\xef\xbb\xbf")))
		return false;
	json_reader_init(&j.reader, text);
	while ((token = json_next(&j.reader)) != JSON_END) {
		if (token == JSON_BAD || !take_json(v, &j, token))
			return false;
	}
	return v->count != 0;
}

/* --- forms --- */

/* Decodes into `*room`, which moves on. */
static bool decode(struct slice coded, uint8_t **room, struct slice *ret)
{
	uint8_t *at = *room;

	for (size_t i = 0; i < coded.length; i++) {
		uint8_t c = coded.data[i];

		if (c == '%') {
			int high = i + 2 < coded.length ? text_hex_digit(coded.data[i + 1]) : -1;
			int low = high >= 0 ? text_hex_digit(coded.data[i + 2]) : -1;

			if (low < 0)
				return false;
			c = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		*at++ = c;
	}
	*ret = slice_of(*room, (size_t)(at - *room));
	*room = at;
	return text_is_utf8(*ret);
}

static bool take_field(struct body_values *v, struct slice part, uint8_t **room)
{
	struct slice name = slice_take_until(&part, '='), value;
	struct body_value *added;

	if (!decode(name, room, &name) || !decode(part, room, &value))
		return false;
	/* A reader that believes the bytes more than their type would take it for JSON. */
	if (v->count == 1 && name.length && (name.data[0] == '{' || name.data[0] == '['))
		return false;
	added = add(v, JSON_STRING, name);
	if (added)
		added->text = value;
	return added;
}

bool body_values_of_form(struct body_values *v, struct slice text)
{
	uint8_t *room = v->decoded = memory_new(text.length + 1);

	/* Older readers end a field there too. */
	if (text.length && memchr(text.data, ';', text.length))
		return false;
	add(v, JSON_OBJECT, SLICE_EMPTY);
	while (text.length) {
		struct slice part = slice_take_until(&text, '&');

		if (part.length && !take_field(v, part, &room))
			return false;
	}
	v->items[0].next = (uint32_t)v->count;
	return true;
}
