/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/value_show.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/postgres/value_kind.h"

enum { INT8 = 20, INT2 = 21, INT4 = 23, OID = 26, FLOAT4 = 700, FLOAT8 = 701, NUMERIC = 1700 };

/* --- numbers --- */

static int put_int2(struct slice value, struct buffer *ret)
{
	return buffer_append_format(ret, "%d", (int16_t)bytes_get_u16(value.data));
}

static int put_int4(struct slice value, struct buffer *ret)
{
	return buffer_append_format(ret, "%" PRId32, (int32_t)bytes_get_u32(value.data));
}

static int put_oid(struct slice value, struct buffer *ret)
{
	return buffer_append_format(ret, "%" PRIu32, bytes_get_u32(value.data));
}

static int put_int8(struct slice value, struct buffer *ret)
{
	return buffer_append_format(ret, "%" PRId64, (int64_t)bytes_get_u64(value.data));
}

/* As many digits as tell it from all other numbers of its type, at most `most`. */
static int put_double(double number, bool is_short, int most, struct buffer *ret)
{
	char text[40];

	if (isnan(number))
		return buffer_append_string(ret, "NaN");
	if (isinf(number))
		return buffer_append_string(ret, number < 0 ? "-Infinity" : "Infinity");
	for (int digits = is_short ? 6 : 15; digits <= most; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, number);
		if (is_short ? strtof(text, NULL) == (float)number : strtod(text, NULL) == number)
			break;
	}
	return buffer_append_string(ret, text);
}

static int put_float4(struct slice value, struct buffer *ret)
{
	uint32_t bits = bytes_get_u32(value.data);
	float number;

	memcpy(&number, &bits, sizeof(number));
	return put_double(number, true, 9, ret);
}

static int put_float8(struct slice value, struct buffer *ret)
{
	uint64_t bits = bytes_get_u64(value.data);
	double number;

	memcpy(&number, &bits, sizeof(number));
	return put_double(number, false, 17, ret);
}

#define NUMERIC_GROUP 4 /* digits of a group */
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_NAN 0xc000
#define NUMERIC_INFINITE 0xd000
#define NUMERIC_MINUS_INFINITE 0xf000
#define NUMERIC_SCALE 0x3fff

struct numeric {
	uint16_t count, sign, scale;
	int weight; /* of the first group, in groups before the point, less one */
	struct slice groups;
};

static int read_numeric(struct slice value, struct numeric *ret)
{
	struct value_reader reader = {value};
	uint16_t weight;

	if (!value_read_u16(&reader, &ret->count) || !value_read_u16(&reader, &weight) ||
		!value_read_u16(&reader, &ret->sign) || !value_read_u16(&reader, &ret->scale) ||
		reader.rest.length != 2 * (size_t)ret->count || ret->scale > NUMERIC_SCALE)
		return -EBADMSG;
	ret->weight = (int16_t)weight;
	ret->groups = reader.rest;
	for (unsigned i = 0; i < ret->count; i++) {
		if (bytes_get_u16(ret->groups.data + 2 * i) > 9999)
			return -EBADMSG;
	}
	return 0;
}

/* The digit at 10^`place`. */
static char digit_at(const struct numeric *n, int place)
{
	int up = place >= 0 ? place / NUMERIC_GROUP
			    : -((-place + NUMERIC_GROUP - 1) / NUMERIC_GROUP);
	int group = n->weight - up, below = place - up * NUMERIC_GROUP;
	unsigned digits;

	if (group < 0 || group >= n->count)
		return '0';
	digits = bytes_get_u16(n->groups.data + 2 * group);
	while (below-- > 0)
		digits /= 10;
	return (char)('0' + digits % 10);
}

/* numeric_out(): all digits before the point, `scale` behind it. */
static int put_numeric(struct slice value, struct buffer *ret)
{
	struct numeric n;
	int r = read_numeric(value, &n), first;

	if (r < 0)
		return r;
	if (n.sign == NUMERIC_NAN)
		return buffer_append_string(ret, "NaN");
	if (n.sign == NUMERIC_INFINITE || n.sign == NUMERIC_MINUS_INFINITE)
		return buffer_append_string(
			ret, n.sign == NUMERIC_INFINITE ? "Infinity" : "-Infinity");
	if (n.sign != 0 && n.sign != NUMERIC_NEGATIVE)
		return -EBADMSG;
	first = n.weight < 0 ? 0 : n.weight * NUMERIC_GROUP + NUMERIC_GROUP - 1;
	if (first + n.scale > PG_NUMBER_MOST - 3)
		return -E2BIG;
	while (first > 0 && digit_at(&n, first) == '0')
		first--;
	if (n.sign)
		r = buffer_append_byte(ret, '-');
	for (int place = first; r == 0 && place >= -(int)n.scale; place--) {
		if (place == -1)
			r = buffer_append_byte(ret, '.');
		if (r == 0)
			r = buffer_append_byte(ret, (uint8_t)digit_at(&n, place));
	}
	return r;
}

static const struct number {
	uint32_t type;
	size_t length; /* 0: any */
	int (*put)(struct slice value, struct buffer *ret);
} numbers[] = {
	{INT2, 2, put_int2},
	{INT4, 4, put_int4},
	{INT8, 8, put_int8},
	{OID, 4, put_oid},
	{FLOAT4, 4, put_float4},
	{FLOAT8, 8, put_float8},
	{NUMERIC, 0, put_numeric},
};

int pg_number_put(uint32_t type, struct slice value, struct buffer *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		size_t before = buffer_length(ret);
		int r;

		if (numbers[i].type != type)
			continue;
		if (numbers[i].length && numbers[i].length != value.length)
			return -EBADMSG;
		r = numbers[i].put(value, ret);
		if (r < 0)
			buffer_truncate(ret, before);
		return r;
	}
	return -ENOTSUP;
}

/* --- as people see them --- */

/* A card's number is no less one with a sign before it, or a fraction behind. */
static int mask_number(
	const struct masker *masker, struct slice number, struct buffer *ret, bool *ret_replaced)
{
	size_t sign = number.data[0] == '-', end = sign;
	struct slice whole;
	int r;

	while (end < number.length && number.data[end] >= '0' && number.data[end] <= '9')
		end++;
	whole = slice_from(slice_head(number, end), sign);
	r = buffer_append_slice(ret, slice_head(number, sign));
	if (r == 0)
		r = masker_append_text(masker, whole, ret, ret_replaced);
	if (r == 0 && !*ret_replaced)
		r = buffer_append_slice(ret, whole);
	return r < 0 ? r : buffer_append_slice(ret, slice_from(number, end));
}

/* `outcome`: what the results' masks would make of it. What they find and this does not is of a
 * form in which it can't be shown without. */
static int show_number(
	const struct masker *masker, struct slice number, int outcome, struct buffer *ret)
{
	size_t before = buffer_length(ret);
	bool replaced = false;
	int r = mask_number(masker, number, ret, &replaced);

	if (r == 0 && (outcome == MASK_UNCHANGED || replaced))
		return PROTOCOL_SHOWN_AS_TEXT;
	buffer_truncate(ret, before);
	return PROTOCOL_SHOWN_NOT;
}

/* What *_send() of its type writes as the text that it is. */
static bool is_shown_as_text(const struct value_type *type, struct slice value)
{
	switch (value_type_find(type).kind) {
	case VALUE_KIND_TEXT:
	case VALUE_KIND_VARCHAR:
	case VALUE_KIND_BPCHAR:
	case VALUE_KIND_NAME:
	case VALUE_KIND_JSON:
	case VALUE_KIND_XML:
		return text_is_utf8(value) &&
			!(value.length && memchr(value.data, 0, value.length));
	default:
		return false;
	}
}

static int show_text(struct slice text, struct buffer *ret)
{
	size_t before = buffer_length(ret);

	if (buffer_append_slice(ret, text) == 0)
		return PROTOCOL_SHOWN_AS_TEXT;
	buffer_truncate(ret, before);
	return PROTOCOL_SHOWN_NOT;
}

int pg_value_show(
	const struct masker *masker, const struct protocol_value *value, struct buffer *ret)
{
	const struct value_column column = {
		.type = {.oid = value->type, .modifier = -1},
		.format = VALUE_FORMAT_BINARY,
	};
	const struct mask_source source = mask_source_of(value->data);
	int outcome = value_mask(masker, &column, &source, ret), r;
	struct buffer number;

	/* The server takes no such value. */
	if (outcome == -EBADMSG)
		return PROTOCOL_SHOWN_AS_IT_IS;
	if (outcome < 0)
		return PROTOCOL_SHOWN_NOT;
	if (outcome == MASK_REPLACED)
		return PROTOCOL_SHOWN_REPLACED;
	buffer_init(&number, PG_NUMBER_MOST);
	if (pg_number_put(value->type, value->data, &number) == 0)
		r = show_number(masker, buffer_slice(&number), outcome, ret);
	else if (outcome == MASK_UNCHANGED && is_shown_as_text(&column.type, value->data))
		r = show_text(value->data, ret);
	else
		r = outcome == MASK_TO_NULL ? PROTOCOL_SHOWN_NOT : PROTOCOL_SHOWN_AS_IT_IS;
	buffer_done(&number);
	return r;
}
