/* SPDX-License-Identifier: Apache-2.0
 *
 * value_array: arrays, element by element. Text is as array_out() writes it, binary as
 * array_send().
 */
#include "base/text.h"
#include "masking/characters.h"
#include "protocol/postgres/value_rewrite.h"

#define DIMENSIONS_MOST 6 /* PostgreSQL's MAXDIM */

static const struct value_quoting array_quoting = {.null = "NULL", .quote_escape = '\\'};

/* The modifier of varchar(n)[] is that of its elements. */
static struct value_column element_column(const struct value_job *job, uint32_t type)
{
	return (struct value_column){
		.type = {.oid = type, .modifier = job->column->type.modifier},
		.format = job->column->format,
	};
}

/* [start, end) is what stands between the quotes. */
static int unescape(struct slice text, struct buffer *ret)
{
	int r = 0;

	buffer_clear(ret);
	for (size_t i = 0; i < text.length && r == 0; i++) {
		if (text.data[i] == '\\' && i + 1 < text.length)
			i++;
		r = buffer_append_byte(ret, text.data[i]);
	}
	return r;
}

/* One element that begins at `at`; stores where it ends. -EINVAL: no array literal. */
static int mask_element(
	struct value_rewrite *w, const struct value_column *column, size_t at, size_t *ret_end)
{
	struct slice text = w->job->value->text;
	bool quoted = text.data[at] == '"';
	size_t start = at + quoted, end = start, after;
	struct mask_source meaning;
	int r = 0;

	while (end < text.length &&
		(quoted ? text.data[end] != '"' : !memchr("{},\"", text.data[end], 4)))
		end += text.data[end] == '\\' ? 2 : 1;
	if (end >= text.length)
		return -EINVAL;
	after = end + quoted;
	*ret_end = after;
	meaning = mask_source_part(w->job->value, start, end);
	if (!quoted && text_equal_ignore_case(meaning.text, slice_from_string("NULL")))
		return 0;
	if (meaning.text.length && memchr(meaning.text.data, '\\', meaning.text.length)) {
		r = unescape(meaning.text, &w->meaning);
		meaning = mask_source_of(buffer_slice(&w->meaning));
	}
	return r < 0 ? r : value_rewrite_text(w, column, at, after, &meaning, &array_quoting);
}

/* [1:2]={…}: where the bounds, if any, end. */
static size_t skip_bounds(struct slice text)
{
	size_t at = 0;

	if (text.length == 0 || text.data[0] != '[')
		return 0;
	while (at < text.length &&
		(character_is(text.data[at], CHARACTER_DIGIT) || memchr("[]:+-", text.data[at], 5)))
		at++;
	return at < text.length && text.data[at] == '=' ? at + 1 : text.length;
}

static int mask_literal(struct value_rewrite *w)
{
	const struct value_column element = element_column(w->job, w->job->type.element);
	struct slice text = w->job->value->text;
	size_t at = skip_bounds(text);
	unsigned depth = 0;

	if (at >= text.length || text.data[at] != '{')
		return -EINVAL;
	do {
		uint8_t c = text.data[at];
		int r = 0;

		if (c == '{')
			depth++;
		else if (c == '}')
			depth--;
		if (memchr("{}, ", c, 4))
			at++;
		else
			r = mask_element(w, &element, at, &at);
		if (r < 0)
			return r;
	} while (depth > 0 && at < text.length);
	return depth == 0 && at == text.length ? 0 : -EINVAL;
}

int value_find_array_text(const struct value_job *job)
{
	struct value_rewrite w;
	int r;

	value_rewrite_init(&w, job);
	r = mask_literal(&w);
	if (r == 0)
		r = value_rewrite_finish(&w);
	else if (r == -EINVAL)
		r = value_find_opaque(job);
	value_rewrite_done(&w);
	return r;
}

/* Reads the header: stores the elements' type and number. */
static bool read_header(struct value_reader *reader, uint32_t *ret_type, size_t *ret_count)
{
	uint32_t dimensions, flags, size, lower;
	size_t count = 1;

	if (!value_read_u32(reader, &dimensions) || !value_read_u32(reader, &flags) ||
		!value_read_u32(reader, ret_type) || dimensions > DIMENSIONS_MOST || flags > 1)
		return false;
	for (uint32_t i = 0; i < dimensions; i++) {
		if (!value_read_u32(reader, &size) || !value_read_u32(reader, &lower) ||
			__builtin_mul_overflow(count, size, &count))
			return false;
	}
	*ret_count = dimensions ? count : 0;
	return *ret_count <= reader->rest.length / 4;
}

static int mask_elements(struct value_rewrite *w)
{
	struct slice value = w->job->value->text;
	struct value_reader reader = {value};
	struct value_column element;
	struct slice part;
	uint32_t type;
	size_t count;

	if (!read_header(&reader, &type, &count))
		return -EBADMSG;
	element = element_column(w->job, type);
	for (size_t i = 0; i < count; i++) {
		size_t at = value.length - reader.rest.length;
		int r = 0;

		if (!value_read_field(&reader, &part))
			return -EBADMSG;
		if (part.data)
			r = value_rewrite_binary(w, &element, at, part);
		if (r < 0)
			return r;
	}
	return reader.rest.length ? -EBADMSG : 0;
}

int value_find_array_binary(const struct value_job *job)
{
	size_t before = buffer_length(job->out);
	struct value_rewrite w;
	int r;

	value_rewrite_init(&w, job);
	r = mask_elements(&w);
	if (r == 0)
		r = value_rewrite_finish(&w);
	/* An element may have become NULL: the second word says whether there are any. */
	if (r == MASK_REPLACED)
		bytes_put_u32(job->out->data + job->out->start + before + 4, 1);
	value_rewrite_done(&w);
	return r;
}
