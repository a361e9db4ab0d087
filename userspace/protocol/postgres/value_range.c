/* SPDX-License-Identifier: Apache-2.0
 *
 * value_range: ranges and multiranges in binary format (range_send(), multirange_send()). A bound
 * can't hold a mask, so that a finding makes the whole value NULL.
 */
#include "protocol/postgres/value_kind.h"

enum range_flag {
	RANGE_EMPTY = 0x01,
	RANGE_LOWER_INCLUSIVE = 0x02,
	RANGE_UPPER_INCLUSIVE = 0x04,
	RANGE_LOWER_INFINITE = 0x08,
	RANGE_UPPER_INFINITE = 0x10,
	RANGE_FLAGS = 0x1f,
};

static int judge_bound(const struct value_job *job, uint32_t type, struct value_reader *reader)
{
	const struct value_column column = {
		.type = {.oid = type, .modifier = -1}, .format = VALUE_FORMAT_BINARY};
	struct mask_source source;
	struct slice bound;

	if (!value_read_field(reader, &bound) || !bound.data)
		return -EBADMSG;
	source = mask_source_of(bound);
	return value_mask_part(job, &column, &source, job->out);
}

static int judge_range(const struct value_job *job, struct slice range, uint32_t type)
{
	struct value_reader reader = {slice_from(range, 1)};
	uint8_t flags;
	int r = MASK_UNCHANGED;

	if (range.length < 1 || (range.data[0] & ~RANGE_FLAGS))
		return -EBADMSG;
	flags = range.data[0];
	if (!(flags & (RANGE_EMPTY | RANGE_LOWER_INFINITE)))
		r = judge_bound(job, type, &reader);
	if (r == MASK_UNCHANGED && !(flags & (RANGE_EMPTY | RANGE_UPPER_INFINITE)))
		r = judge_bound(job, type, &reader);
	if (r != MASK_UNCHANGED)
		return r < 0 ? r : MASK_TO_NULL;
	return reader.rest.length ? -EBADMSG : MASK_UNCHANGED;
}

int value_find_range_binary(const struct value_job *job)
{
	return judge_range(job, job->value->text, job->type.element);
}

int value_find_multirange_binary(const struct value_job *job)
{
	struct value_reader reader = {job->value->text};
	struct slice range;
	uint32_t count;

	if (!value_read_u32(&reader, &count) || count > reader.rest.length / 4)
		return -EBADMSG;
	for (uint32_t i = 0; i < count; i++) {
		int r;

		if (!value_read_field(&reader, &range) || !range.data)
			return -EBADMSG;
		r = judge_range(job, range, job->type.element);
		if (r != MASK_UNCHANGED)
			return r;
	}
	return reader.rest.length ? -EBADMSG : MASK_UNCHANGED;
}
