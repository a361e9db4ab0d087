/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/value.h"

#include "base/memory.h"
#include "base/text.h"
#include "protocol/postgres/value_kind.h"

#define VARIABLE_HEADER 4 /* what PostgreSQL adds to n in the modifier of varchar(n) */
#define NAME_MOST 63

static size_t count_characters(struct slice text)
{
	size_t count = 0;

	while (text.length) {
		size_t n = text_utf8_sequence(text);

		text = slice_from(text, n ? n : 1);
		count++;
	}
	return count;
}

static struct slice without_trailing_spaces(struct slice text)
{
	while (text.length && text.data[text.length - 1] == ' ')
		text.length--;
	return text;
}

/* char(n) is always n characters long. */
static int fill_up(const struct value_job *job, size_t before, size_t length)
{
	struct slice text = slice_from(buffer_slice(job->out), before);
	size_t count;
	uint8_t *space;
	int r;

	text = without_trailing_spaces(text);
	buffer_truncate(job->out, before + text.length);
	count = count_characters(text);
	if (count > length)
		return MASK_TO_NULL;
	if (count == length)
		return MASK_REPLACED;
	r = buffer_reserve(job->out, length - count, &space);
	if (r < 0)
		return r;
	memset(space, ' ', length - count);
	buffer_commit(job->out, length - count);
	return MASK_REPLACED;
}

/* Whether the type can hold what was appended behind `before`. */
static int fit(const struct value_job *job, size_t before)
{
	struct slice text = slice_from(buffer_slice(job->out), before);
	int32_t modifier = job->column->type.modifier;

	if (job->type.kind == VALUE_KIND_NAME)
		return text.length <= NAME_MOST ? MASK_REPLACED : MASK_TO_NULL;
	if (modifier < VARIABLE_HEADER)
		return MASK_REPLACED;
	if (job->type.kind == VALUE_KIND_BPCHAR)
		return fill_up(job, before, (size_t)modifier - VARIABLE_HEADER);
	if (job->type.kind == VALUE_KIND_VARCHAR &&
		count_characters(text) > (size_t)modifier - VARIABLE_HEADER)
		return MASK_TO_NULL;
	return MASK_REPLACED;
}

static int value_whole_text(const struct value_job *job)
{
	size_t before = buffer_length(job->out);
	struct slice text = job->value->text;
	int r;

	if (job->type.kind == VALUE_KIND_BPCHAR)
		text = without_trailing_spaces(text);
	r = masker_append(job->m, job->column->strategy, text, job->out);
	return r < 0 ? r : fit(job, before);
}

/* A tag's end among the characters that MASK_PARTIAL keeps would be no legal XML. */
static int value_whole_xml(const struct value_job *job)
{
	size_t before = buffer_length(job->out);
	int r = masker_append(job->m, job->column->strategy, job->value->text, job->out);
	struct slice mask = slice_from(buffer_slice(job->out), before);

	if (r < 0)
		return r;
	for (size_t i = 0; i < mask.length; i++) {
		if (memchr("<>&", mask.data[i], 3))
			return MASK_TO_NULL;
	}
	return MASK_REPLACED;
}

int value_find(const struct value_job *job, struct detector_findings *ret)
{
	int r = mask_source_scan(job->m, job->value, ret);

	if (r < 0)
		return r;
	if (ret->count == 0)
		return MASK_UNCHANGED;
	return masker_findings_null(job->m, ret) ? MASK_TO_NULL : MASK_REPLACED;
}

int value_find_text(const struct value_job *job)
{
	struct detector_findings findings;
	size_t before = buffer_length(job->out);
	int r = value_find(job, &findings);

	if (r != MASK_REPLACED)
		return r;
	r = masker_append_findings(job->m, job->value->text, &findings, job->out);
	return r < 0 ? r : fit(job, before);
}

int value_find_opaque(const struct value_job *job)
{
	struct detector_findings findings;
	int r = value_find(job, &findings);

	return r == MASK_REPLACED ? MASK_TO_NULL : r;
}

int value_judge_text(const struct value_job *job, struct slice text)
{
	struct mask_source source = mask_source_of(text);
	struct value_job digits = *job;

	digits.value = &source;
	return value_find_opaque(&digits);
}

/* Per kind: how to mask it as a whole, how to search it in text and in binary, and when. */
static const struct value_kind kinds[VALUE_KIND_COUNT] = {
#define FOUND                                                                                      \
	{                                                                                          \
		VALUE_LOOK_FOUND, VALUE_LOOK_FOUND                                                 \
	}
	[VALUE_KIND_PLAIN] = {NULL, {NULL, NULL}, {VALUE_LOOK_NEVER, VALUE_LOOK_NEVER}},
	[VALUE_KIND_TEXT] = {value_whole_text, {value_find_text, value_find_text}, FOUND},
	[VALUE_KIND_VARCHAR] = {value_whole_text, {value_find_text, value_find_text}, FOUND},
	[VALUE_KIND_BPCHAR] = {value_whole_text, {value_find_text, value_find_text}, FOUND},
	[VALUE_KIND_NAME] = {value_whole_text, {value_find_text, value_find_text}, FOUND},
	[VALUE_KIND_JSON] = {value_whole_json, {value_find_json, value_find_json},
		{VALUE_LOOK_ESCAPED, VALUE_LOOK_ESCAPED}},
	[VALUE_KIND_JSONB] = {value_whole_json, {value_find_json, value_find_jsonb_binary},
		{VALUE_LOOK_ESCAPED, VALUE_LOOK_ESCAPED}},
	[VALUE_KIND_XML] = {value_whole_xml, {value_find_xml, value_find_xml}, FOUND},
	[VALUE_KIND_BYTEA] = {value_whole_bytea, {value_find_bytea_text, value_find_text},
		{VALUE_LOOK_ALWAYS, VALUE_LOOK_FOUND}},
	[VALUE_KIND_INT8] = {NULL, {value_find_opaque, value_find_int8_binary},
		{VALUE_LOOK_FOUND, VALUE_LOOK_ALWAYS}},
	[VALUE_KIND_FLOAT8] = {NULL, {value_find_opaque, value_find_float8_binary},
		{VALUE_LOOK_FOUND, VALUE_LOOK_ALWAYS}},
	[VALUE_KIND_NUMERIC] = {NULL, {value_find_opaque, value_find_numeric_binary},
		{VALUE_LOOK_FOUND, VALUE_LOOK_ALWAYS}},
	[VALUE_KIND_MONEY] = {NULL, {value_find_money_text, value_find_money_binary},
		{VALUE_LOOK_ALWAYS, VALUE_LOOK_ALWAYS}},
	[VALUE_KIND_INET] = {NULL, {value_find_inet, value_find_inet},
		{VALUE_LOOK_ALWAYS, VALUE_LOOK_ALWAYS}},
	/* As the elements ask for, at least this. */
	[VALUE_KIND_ARRAY] = {NULL, {value_find_array_text, value_find_array_binary},
		{VALUE_LOOK_ESCAPED, VALUE_LOOK_FOUND}},
	[VALUE_KIND_RECORD] = {NULL, {value_find_record_text, value_find_record_binary},
		{VALUE_LOOK_ESCAPED, VALUE_LOOK_ALWAYS}},
	[VALUE_KIND_RANGE] = {NULL, {value_find_opaque, value_find_range_binary},
		{VALUE_LOOK_FOUND, VALUE_LOOK_ALWAYS}},
	[VALUE_KIND_MULTIRANGE] = {NULL, {value_find_opaque, value_find_multirange_binary},
		{VALUE_LOOK_FOUND, VALUE_LOOK_ALWAYS}},
	[VALUE_KIND_OPAQUE] = {NULL, {value_find_opaque, value_find_opaque}, FOUND},
	[VALUE_KIND_GUESS] = {NULL, {value_find_guess_text, value_find_guess_binary},
		{VALUE_LOOK_ESCAPED, VALUE_LOOK_ALWAYS}},
	[VALUE_KIND_FOREIGN] = {NULL, {value_find_foreign_text, value_find_foreign_binary},
		{VALUE_LOOK_ESCAPED, VALUE_LOOK_ALWAYS}},
#undef FOUND
};

static unsigned format_index(const struct value_column *column)
{
	return column->format == VALUE_FORMAT_BINARY;
}

static enum value_look look_of(struct value_type_info info, unsigned format)
{
	enum value_look look = kinds[info.kind].look[format], element;

	if (!info.element)
		return look;
	element = look_of(value_type_find(&(struct value_type){.oid = info.element}), format);
	return element == VALUE_LOOK_NEVER || element > look ? element : look;
}

enum value_look value_look(const struct masker *m, const struct value_column *column)
{
	if (column->strategy != MASK_NONE || column->fields)
		return VALUE_LOOK_ALWAYS;
	if (!m->detectors)
		return VALUE_LOOK_NEVER;
	return look_of(value_type_find(&column->type), format_index(column));
}

static int dispatch(const struct value_job *job)
{
	const struct value_kind *kind = &kinds[job->type.kind];
	const struct value_column *column = job->column;

	if (column->strategy != MASK_NONE)
		return column->strategy == MASK_NULL || !kind->whole ? MASK_TO_NULL
								     : kind->whole(job);
	if (column->fields)
		kind = &kinds[VALUE_KIND_RECORD];
	else if (!job->m->detectors || look_of(job->type, format_index(column)) == VALUE_LOOK_NEVER)
		return MASK_UNCHANGED;
	return kind->find[format_index(column)](job);
}

static int mask_at_depth(const struct masker *m, const struct value_column *column,
	const struct mask_source *value, struct buffer *out, unsigned depth)
{
	struct value_job job = {
		.m = m,
		.column = column,
		.type = value_type_find(&column->type),
		.value = value,
		.out = out,
		.depth = depth,
	};
	size_t before = buffer_length(out);
	int r;

	if (depth >= VALUE_DEPTH_MOST)
		job.type.kind = VALUE_KIND_OPAQUE;
	r = dispatch(&job);
	if (r != MASK_REPLACED)
		buffer_truncate(out, before);
	return r;
}

int value_mask(const struct masker *m, const struct value_column *column,
	const struct mask_source *value, struct buffer *out)
{
	return mask_at_depth(m, column, value, out, 0);
}

int value_mask_part(const struct value_job *whole, const struct value_column *column,
	const struct mask_source *part, struct buffer *out)
{
	return mask_at_depth(whole->m, column, part, out, whole->depth + 1);
}
