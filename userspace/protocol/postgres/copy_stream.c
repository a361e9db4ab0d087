/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/copy_stream.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "protocol/postgres/copy_format.h"

#define PIECE 65536 /* bytes taken in at a time */
#define ROW_MOST (4 * (size_t)LIMIT_CELL_JUDGED)
/* A row with a masked value that has grown: bytea in hexadecimal doubles. */
#define OUT_MOST (4 * ROW_MOST)

static const struct copy_format *format_of(const struct sql_copy *options)
{
	switch (options->format) {
	case SQL_COPY_CSV:
		return &copy_format_csv;
	case SQL_COPY_BINARY:
		return &copy_format_binary;
	default:
		return &copy_format_text;
	}
}

/* Rows can be searched together where a delimiter can't join the digits or letters of two fields
 * (detector_scan_part()). */
static bool delimiter_separates(const struct sql_copy *options)
{
	uint8_t c = options->delimiter;

	return options->format == SQL_COPY_BINARY ||
		!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			c == '+' || c == '/');
}

static void copy_columns(struct copy_stream *s, const struct value_column *columns, size_t count)
{
	s->count = count;
	s->columns = memory_new_array(count, sizeof(*s->columns));
	s->looks = memory_new_array(count, sizeof(*s->looks));
	for (size_t i = 0; i < count; i++) {
		s->columns[i] = columns[i];
		s->columns[i].format = s->format->value_format;
		s->looks[i] = (uint8_t)value_look(&s->masker, &s->columns[i]);
		s->indexes |= s->masker.detectors && s->looks[i] != VALUE_LOOK_NEVER;
	}
	s->indexes &= delimiter_separates(&s->options);
}

struct copy_stream *copy_stream_new(const struct masker *masker, const struct sql_copy *options,
	const struct value_column *columns, size_t count)
{
	struct copy_stream *s = memory_new(sizeof(*s));

	s->masker = *masker;
	s->options = *options;
	s->format = format_of(options);
	buffer_init(&s->null_text, LIMIT_STATEMENT_BYTES);
	if (buffer_append_slice(&s->null_text, options->null_text) < 0) {
		copy_stream_free(s);
		return NULL;
	}
	s->options.null_text = buffer_slice(&s->null_text);
	s->next.header_due = options->header || options->format == SQL_COPY_BINARY;
	s->special[0] = '\n';
	s->special[1] = options->delimiter;
	s->special[2] = options->format == SQL_COPY_CSV ? options->quote : '\\';
	s->special[3] = options->format == SQL_COPY_CSV ? options->escape : '\\';
	copy_columns(s, columns, count);
	detector_index_init(&s->index);
	buffer_init(&s->held, ROW_MOST + LIMIT_CELL_JUDGED + 2 * PIECE);
	buffer_init(&s->meaning, LIMIT_CELL_JUDGED);
	buffer_init(&s->mask, OUT_MOST);
	buffer_init(&s->out, OUT_MOST);
	return s;
}

void copy_stream_free(struct copy_stream *s)
{
	if (!s)
		return;
	detector_index_done(&s->index);
	buffer_done(&s->null_text);
	buffer_done(&s->held);
	buffer_done(&s->meaning);
	buffer_done(&s->mask);
	buffer_done(&s->out);
	free(s->columns);
	free(s->looks);
	free(s->rows);
	free(s->fields);
	free(s);
}

const struct copy_counts *copy_stream_counts(const struct copy_stream *s)
{
	return &s->counts;
}

int copy_stream_add_field(struct copy_stream *s, size_t end, uint32_t flags)
{
	int r;

	if (s->field_count - s->next.row_first_field >= s->count)
		return -EBADMSG;
	r = memory_grow(
		(void **)&s->fields, s->field_count, &s->field_capacity, sizeof(*s->fields));
	if (r < 0)
		return r;
	s->fields[s->field_count++] =
		(struct copy_field){(uint32_t)s->next.field_start, (uint32_t)end, flags};
	return 0;
}

int copy_stream_add_row(struct copy_stream *s, size_t end, bool plain)
{
	int r;

	if (!plain && s->field_count - s->next.row_first_field != s->count)
		return -EBADMSG;
	r = memory_grow((void **)&s->rows, s->row_count, &s->row_capacity, sizeof(*s->rows));
	if (r < 0)
		return r;
	s->rows[s->row_count++] = (struct copy_row){
		.start = (uint32_t)s->next.row_start,
		.end = (uint32_t)end,
		.first_field = (uint32_t)s->next.row_first_field,
		.plain = plain,
	};
	s->next.row_start = end;
	s->next.field_start = end;
	s->next.row_first_field = s->field_count;
	return 0;
}

/* Whether the field must be judged; `source` is what stands there. */
static bool must_judge(const struct copy_stream *s, size_t column, const struct copy_field *f,
	const struct mask_source *source)
{
	enum value_look look = (enum value_look)s->looks[column];

	if (look == VALUE_LOOK_NEVER || (f->flags & COPY_FIELD_NULL))
		return false;
	if (look == VALUE_LOOK_ALWAYS || (f->flags & COPY_FIELD_ESCAPED) ||
		!mask_source_is_clean(source))
		return true;
	return look == VALUE_LOOK_ESCAPED && source->text.length &&
		memchr(source->text.data, '\\', source->text.length);
}

/* Stores the outcome; what stands in the field's place is in s->mask. */
static int mask_field(struct copy_stream *s, size_t column, const struct copy_field *f)
{
	size_t quotes = (f->flags & COPY_FIELD_QUOTED) && !(f->flags & COPY_FIELD_ESCAPED);
	struct mask_source source = {
		.text = slice_of(copy_stream_held(s).data + f->start + quotes,
			f->end - f->start - 2 * quotes),
		.index = s->indexes ? &s->index : NULL,
		.start = f->start + quotes,
	};
	int r;

	if (source.index && source.index->run.length == 0)
		source.index = NULL;
	if (!must_judge(s, column, f, &source))
		return MASK_UNCHANGED;
	if (source.text.length > LIMIT_CELL_JUDGED)
		return MASK_TO_NULL;
	if (f->flags & COPY_FIELD_ESCAPED) {
		buffer_clear(&s->meaning);
		r = s->format->decode(s, source.text, &s->meaning);
		if (r < 0)
			return r;
		source = mask_source_of(buffer_slice(&s->meaning));
	}
	buffer_clear(&s->mask);
	return value_mask(&s->masker, &s->columns[column], &source, &s->mask);
}

/* What was put in the field's place; not NULL, even if it has no bytes. */
static struct slice mask_of_field(const struct copy_stream *s)
{
	struct slice mask = buffer_slice(&s->mask);

	return mask.length ? mask : slice_of("", 0);
}

/* Gives one row to the sink, changed or as it came. */
static int pass_row(struct copy_stream *s, const struct copy_row *row, struct copy_sink *sink)
{
	const uint8_t *held = copy_stream_held(s).data;
	size_t copied = row->start;

	buffer_clear(&s->out);
	for (size_t i = 0; i < s->count && !row->plain; i++) {
		const struct copy_field *f = &s->fields[row->first_field + i];
		int outcome = mask_field(s, i, f), r;

		if (outcome < 0)
			return outcome;
		if (outcome == MASK_UNCHANGED)
			continue;
		r = buffer_append(&s->out, held + copied, f->start - s->format->prefix - copied);
		if (r == 0)
			r = s->format->encode(s,
				outcome == MASK_TO_NULL ? SLICE_EMPTY : mask_of_field(s), f->flags,
				&s->out);
		if (r < 0)
			return r;
		copied = f->end;
		s->counts.masked_values++;
	}
	s->counts.rows += !row->plain;
	if (copied > row->start) {
		int r = buffer_append(&s->out, held + copied, row->end - copied);

		return r < 0 ? r : sink->row(sink, buffer_slice(&s->out));
	}
	return sink->row(sink, slice_of(held + row->start, row->end - row->start));
}

/* Takes the rows that were passed out of what is held. */
static void forget_rows(struct copy_stream *s)
{
	size_t gone = s->next.row_start, fields = s->field_count - s->next.row_first_field;

	if (fields)
		memmove(s->fields, s->fields + s->next.row_first_field,
			fields * sizeof(*s->fields));
	for (size_t i = 0; i < fields; i++) {
		s->fields[i].start -= (uint32_t)gone;
		s->fields[i].end -= (uint32_t)gone;
	}
	s->field_count = fields;
	s->row_count = 0;
	s->next.row_first_field = 0;
	s->next.row_start = 0;
	s->next.at -= gone;
	s->next.field_start -= gone;
	buffer_consume(&s->held, gone);
}

static int pass_rows(struct copy_stream *s, struct copy_sink *sink)
{
	struct slice run = slice_head(copy_stream_held(s), s->next.row_start);
	int r = 0;

	if (s->row_count == 0)
		return 0;
	/* Places in the run are places in what is held. A row too long for an index is searched
	 * field by field. */
	s->index.run = SLICE_EMPTY;
	if (s->indexes && run.length <= DETECTOR_RUN_MOST)
		r = detector_index_build(s->masker.engine, s->masker.detectors, run, &s->index);
	for (size_t i = 0; i < s->row_count && r == 0; i++)
		r = pass_row(s, &s->rows[i], sink);
	if (r == 0)
		forget_rows(s);
	return r;
}

/* A field, or a row, that is longer than what we hold. */
static int limit_held(struct copy_stream *s)
{
	size_t held = buffer_length(&s->held);

	if (s->next.dropping || held == s->next.row_start ||
		(held - s->next.field_start <= LIMIT_CELL_JUDGED &&
			held - s->next.row_start <= ROW_MOST))
		return 0;
	return s->format->begin_drop(s);
}

int copy_stream_feed(struct copy_stream *s, struct slice bytes, struct copy_sink *sink)
{
	int r = 0;

	while (bytes.length && r == 0) {
		size_t taken;

		if (s->next.ended)
			return -EBADMSG;
		if (s->next.dropping) {
			taken = s->format->drop(s, bytes);
		} else {
			taken = bytes.length < PIECE ? bytes.length : PIECE;
			r = buffer_append(&s->held, bytes.data, taken);
			if (r == 0)
				r = s->format->split(s);
			if (r == 0)
				r = pass_rows(s, sink);
			if (r == 0)
				r = limit_held(s);
		}
		bytes = slice_from(bytes, taken);
	}
	return r;
}

int copy_stream_finish(struct copy_stream *s)
{
	if (buffer_length(&s->held) || s->next.dropping ||
		(s->options.format == SQL_COPY_BINARY && !s->next.ended))
		return -EBADMSG;
	return 0;
}
