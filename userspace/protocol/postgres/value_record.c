/* SPDX-License-Identifier: Apache-2.0
 *
 * value_record: composites, field by field. Text is as record_out() writes it, binary as
 * record_send().
 */
#include "protocol/postgres/value_rewrite.h"

static const struct value_quoting record_quoting = {.null = "", .quote_escape = '"'};

/* What holds for field `index`; a type that is not known is `type`. */
static struct value_column field_column(const struct value_job *job, size_t index, uint32_t type)
{
	const struct value_column *column = job->column;
	struct value_column field = {
		.type = {.oid = type, .modifier = -1}, .format = column->format};

	if (column->fields && index < column->field_count) {
		field.strategy = column->fields[index].strategy;
		if (column->fields[index].type.oid)
			field.type = column->fields[index].type;
	}
	return field;
}

/* Where the field that begins at `at` ends: at a comma or the closing bracket outside of quotes. */
static size_t field_end(struct slice text, size_t at)
{
	bool quoted = false;

	while (at < text.length && (quoted || !memchr(",)", text.data[at], 2))) {
		if (text.data[at] == '\\')
			at++;
		else if (text.data[at] == '"')
			quoted = !quoted;
		at++;
	}
	return at;
}

/* Takes quotes and escapes off; a quote within quotes is written twice. */
static int unescape(struct slice text, struct buffer *ret)
{
	bool quoted = false;
	int r = 0;

	buffer_clear(ret);
	for (size_t i = 0; i < text.length && r == 0; i++) {
		if (text.data[i] == '"') {
			bool twice = quoted && i + 1 < text.length && text.data[i + 1] == '"';

			if (!twice) {
				quoted = !quoted;
				continue;
			}
			i++;
		} else if (text.data[i] == '\\' && i + 1 < text.length) {
			i++;
		}
		r = buffer_append_byte(ret, text.data[i]);
	}
	return r;
}

static int mask_field(struct value_rewrite *w, size_t index, size_t start, size_t end)
{
	/* A finding in a field whose type we don't know makes it NULL. */
	struct value_column column = field_column(w->job, index, UINT32_MAX);
	struct mask_source meaning = mask_source_part(w->job->value, start, end);
	struct slice text = meaning.text;
	int r = 0;

	if (text.length == 0)
		return 0; /* NULL */
	if (memchr(text.data, '"', text.length) || memchr(text.data, '\\', text.length)) {
		r = unescape(text, &w->meaning);
		meaning = mask_source_of(buffer_slice(&w->meaning));
	}
	return r < 0 ? r : value_rewrite_text(w, &column, start, end, &meaning, &record_quoting);
}

/* -EINVAL: no composite's text. Stores the number of fields. */
static int mask_literal(struct value_rewrite *w, size_t *ret_count)
{
	struct slice text = w->job->value->text;
	size_t at = 1, index = 0;

	if (text.length < 2 || text.data[0] != '(' || text.data[text.length - 1] != ')')
		return -EINVAL;
	for (;; index++) {
		size_t end = field_end(text, at);
		int r;

		if (end >= text.length)
			return -EINVAL;
		r = mask_field(w, index, at, end);
		if (r < 0)
			return r;
		at = end + 1;
		if (text.data[end] == ')')
			break;
	}
	*ret_count = index + 1;
	return at == text.length ? 0 : -EINVAL;
}

/* A composite whose fields we know otherwise than they came can't be masked field by field. */
static bool fields_agree(const struct value_job *job, size_t count)
{
	return !job->column->fields || job->column->field_count == count;
}

int value_find_record_text(const struct value_job *job)
{
	struct value_rewrite w;
	size_t count = 0;
	int r;

	value_rewrite_init(&w, job);
	r = mask_literal(&w, &count);
	if (r == -EINVAL && job->column->fields)
		r = MASK_TO_NULL;
	else if (r == -EINVAL)
		r = value_find_opaque(job);
	else if (r == 0)
		r = fields_agree(job, count) ? value_rewrite_finish(&w) : MASK_TO_NULL;
	value_rewrite_done(&w);
	return r;
}

static int mask_fields(struct value_rewrite *w)
{
	struct slice value = w->job->value->text, part;
	struct value_reader reader = {value};
	uint32_t count, type;

	if (!value_read_u32(&reader, &count) || count > reader.rest.length / 8)
		return -EBADMSG;
	if (!fields_agree(w->job, count))
		return MASK_TO_NULL;
	for (uint32_t i = 0; i < count; i++) {
		struct value_column column;
		size_t at;
		int r = 0;

		if (!value_read_u32(&reader, &type))
			return -EBADMSG;
		at = value.length - reader.rest.length;
		if (!value_read_field(&reader, &part))
			return -EBADMSG;
		column = field_column(w->job, i, type);
		if (part.data)
			r = value_rewrite_binary(w, &column, at, part);
		if (r < 0)
			return r;
	}
	return reader.rest.length ? -EBADMSG : 0;
}

int value_find_record_binary(const struct value_job *job)
{
	struct value_rewrite w;
	int r;

	value_rewrite_init(&w, job);
	r = mask_fields(&w);
	if (r == 0)
		r = value_rewrite_finish(&w);
	value_rewrite_done(&w);
	return r;
}
