/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/bind.h"

#include <errno.h>

#include "base/bytes.h"
#include "protocol/postgres/wire.h"

/* The parameters, as far as they are here, for reviewers and the record. */
static int parse_values(struct slice *rest, struct slice formats, uint16_t count, bool complete,
	struct protocol_value *values)
{
	size_t format_count = formats.length / 2, filled = 0;

	for (uint16_t i = 0; i < count; i++) {
		struct protocol_value value = {0};
		uint32_t length;

		if (pg_get_u32(rest, &length) < 0)
			return complete ? -EBADMSG : (int)filled;
		if (format_count == 1)
			value.binary = bytes_get_u16(formats.data) == 1;
		else if (i < format_count)
			value.binary = bytes_get_u16(formats.data + 2 * (size_t)i) == 1;
		if (length != UINT32_MAX) {
			value.length = length;
			value.data = slice_head(*rest, length);
			if (value.data.length < length && complete)
				return -EBADMSG;
			*rest = slice_from(*rest, value.data.length);
		}
		if (filled < PG_VALUES_MOST)
			values[filled++] = value;
	}
	return (int)filled;
}

int pg_bind_parse(
	struct slice body, bool complete, struct protocol_value *values, struct pg_bind *ret)
{
	struct slice rest = body, formats;
	uint16_t count;
	int filled;

	if (pg_get_string(&rest, &ret->portal) < 0 || pg_get_string(&rest, &ret->statement) < 0)
		return -EBADMSG;
	ret->bound = rest;
	if (pg_get_u16(&rest, &count) < 0 || pg_get_bytes(&rest, 2 * (size_t)count, &formats) < 0 ||
		pg_get_u16(&rest, &count) < 0)
		return -EBADMSG;
	filled = parse_values(&rest, formats, count, complete, values);
	if (filled < 0)
		return filled;
	ret->value_count = (size_t)filled;
	ret->value_total = count;
	ret->values_length = 0;
	if (!complete)
		return 0;
	ret->values_length = ret->bound.length - rest.length;
	if (pg_get_u16(&rest, &count) < 0 || rest.length != 2 * (size_t)count)
		return -EBADMSG;
	return 0;
}

static uint32_t type_at(struct slice types, size_t index)
{
	return types.length / 4 > index ? bytes_get_u32(types.data + 4 * index) : 0;
}

void pg_bind_types(
	struct slice declared, struct slice described, struct protocol_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		values[i].type = type_at(declared, i);
		if (values[i].type == 0)
			values[i].type = type_at(described, i);
	}
}
