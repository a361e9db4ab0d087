/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/value_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/memory.h"

#define HEADER 5 /* type and length */
#define ROW_HEADER 7 /* and the number of values */
#define NULL_LENGTH 0xffffffffu
#define VALUE_MOST (4 * (size_t)LIMIT_CELL_JUDGED) /* bytes of a masked value */

void value_rows_init(struct value_rows *r, const struct masker *masker,
	const struct value_column *columns, size_t count)
{
	*r = (struct value_rows){.masker = *masker, .columns = columns, .count = count};
	r->looks = memory_new_array(count, sizeof(*r->looks));
	for (size_t i = 0; i < count; i++) {
		r->looks[i] = (uint8_t)value_look(masker, &columns[i]);
		r->searches |= masker->detectors && r->looks[i] != VALUE_LOOK_NEVER;
	}
	detector_index_init(&r->index);
	buffer_init(&r->value, VALUE_MOST);
}

void value_rows_done(struct value_rows *r)
{
	free(r->looks);
	detector_index_done(&r->index);
	buffer_done(&r->value);
}

/* A pass over a run. An index covers a piece of it. */
struct pass {
	struct value_rows *rows;
	struct slice run;
	struct detector_index *index; /* NULL: there is none */
	size_t indexed_from; /* where the index's piece begins in the run */
	size_t hit; /* first place at or behind the value at hand where something may be */
	struct buffer *out;
	size_t copied; /* of the run: what stands before has been appended or replaced */
	size_t row_out; /* where the row at hand begins in `out`; SIZE_MAX: it is not changed yet */
	uint64_t count; /* rows */
	uint64_t masked;
};

static size_t next_hit(const struct pass *p, size_t from)
{
	size_t hit = detector_index_next(p->index, from - p->indexed_from);

	return hit == SIZE_MAX ? hit : hit + p->indexed_from;
}

/* Whether the value at [start, end) of the run must be judged. */
static bool must_judge(struct pass *p, enum value_look look, size_t start, size_t end)
{
	if (look == VALUE_LOOK_ALWAYS || !p->index)
		return true;
	if (p->hit < start)
		p->hit = next_hit(p, start);
	if (p->hit < end)
		return true;
	return look == VALUE_LOOK_ESCAPED && end > start &&
		memchr(p->run.data + start, '\\', end - start);
}

/* Puts `value` (NULL data: NULL) in the place of the length and bytes at [start, end). */
static int replace(struct pass *p, size_t row, size_t start, size_t end, struct slice value)
{
	int r = buffer_append(p->out, p->run.data + p->copied, start - p->copied);

	if (p->row_out == SIZE_MAX)
		p->row_out = buffer_length(p->out) - (start - row);
	if (r == 0)
		r = buffer_append_u32(p->out, value.data ? (uint32_t)value.length : NULL_LENGTH);
	if (r == 0)
		r = buffer_append_slice(p->out, value);
	p->copied = end;
	p->masked++;
	return r;
}

static int mask_value(struct pass *p, size_t row, size_t column, size_t start, size_t end)
{
	struct mask_source source = {
		.text = slice_of(p->run.data + start, end - start),
		.index = p->index,
		.start = start - p->indexed_from,
	};
	struct buffer *value = &p->rows->value;
	int outcome = MASK_TO_NULL;

	buffer_clear(value);
	if (source.text.length <= LIMIT_CELL_JUDGED)
		outcome = value_mask(&p->rows->masker, &p->rows->columns[column], &source, value);
	if (outcome <= MASK_UNCHANGED)
		return outcome;
	/* A mask of no bytes is an empty value, not NULL. */
	return replace(p, row, start - 4, end,
		outcome == MASK_TO_NULL
			? SLICE_EMPTY
			: slice_of(value->data ? value->data : p->run.data, buffer_length(value)));
}

/* The rest of a row that was changed, and its new length. */
static int finish_row(struct pass *p, size_t end)
{
	size_t length;
	int r;

	if (p->row_out == SIZE_MAX)
		return 0;
	r = buffer_append(p->out, p->run.data + p->copied, end - p->copied);
	if (r < 0)
		return r;
	length = buffer_length(p->out) - p->row_out - 1;
	if (length > INT32_MAX)
		return -E2BIG;
	bytes_put_u32(p->out->data + p->out->start + p->row_out + 1, (uint32_t)length);
	p->copied = end;
	p->row_out = SIZE_MAX;
	return 0;
}

/* One message of the run, [row, end). */
static int mask_row(struct pass *p, size_t row, size_t end)
{
	const uint8_t *data = p->run.data;
	size_t at = row + ROW_HEADER;

	if (end < at || bytes_get_u16(data + row + HEADER) != p->rows->count)
		return -EBADMSG;
	for (size_t i = 0; i < p->rows->count; i++) {
		enum value_look look = p->rows->looks[i];
		uint32_t length;
		int r;

		if (end - at < 4)
			return -EBADMSG;
		length = bytes_get_u32(data + at);
		at += 4;
		if (length == NULL_LENGTH)
			continue;
		if (length > end - at)
			return -EBADMSG;
		if (look != VALUE_LOOK_NEVER && must_judge(p, look, at, at + length)) {
			r = mask_value(p, row, i, at, at + length);
			if (r < 0)
				return r;
		}
		at += length;
	}
	return at == end ? finish_row(p, end) : -EBADMSG;
}

/* The end of the message that begins at `at`; 0 where it is not a complete DataRow. */
static size_t message_end(struct slice run, size_t at)
{
	size_t length;

	if (run.length - at < ROW_HEADER || run.data[at] != 'D')
		return 0;
	length = bytes_get_u32(run.data + at + 1);
	return length < ROW_HEADER - 1 || length > run.length - at - 1 ? 0 : at + 1 + length;
}

/* As many whole messages from `from` on as one index can cover, one at least; where they end. */
static size_t piece_end(struct slice run, size_t from)
{
	size_t end = from;

	while (end < run.length) {
		size_t next = message_end(run, end);

		if (next == 0 || (next - from > DETECTOR_RUN_MOST && end > from))
			break;
		end = next;
	}
	return end;
}

static int mask_piece(struct pass *p, size_t from, size_t end)
{
	struct value_rows *rows = p->rows;

	p->index = NULL;
	p->hit = 0;
	if (rows->searches && end - from <= DETECTOR_RUN_MOST) {
		int r = detector_index_build(rows->masker.engine, rows->masker.detectors,
			slice_of(p->run.data + from, end - from), &rows->index);

		if (r < 0)
			return r;
		p->index = &rows->index;
		p->indexed_from = from;
	}
	for (size_t at = from; at < end;) {
		size_t next = message_end(p->run, at);
		int r = mask_row(p, at, next);

		if (r < 0)
			return r;
		p->count++;
		at = next;
	}
	return 0;
}

int value_rows_mask(struct value_rows *r, struct slice run, struct buffer *out,
	struct value_rows_result *result)
{
	struct pass p = {.rows = r, .run = run, .out = out, .row_out = SIZE_MAX};
	size_t before = buffer_length(out);
	int error = 0;

	for (size_t at = 0; at < run.length && error == 0;) {
		size_t end = piece_end(run, at);

		error = end > at ? mask_piece(&p, at, end) : -EBADMSG;
		at = end;
	}
	if (error == 0 && p.masked)
		error = buffer_append_slice(out, slice_from(run, p.copied));
	if (error < 0) {
		buffer_truncate(out, before);
		return error;
	}
	result->rows += p.count;
	result->masked_values += p.masked;
	return p.masked > 0;
}
