/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/value_rewrite.h"

#include "base/limits.h"

void value_rewrite_init(struct value_rewrite *w, const struct value_job *job)
{
	*w = (struct value_rewrite){.job = job};
	buffer_init(&w->meaning, LIMIT_CELL_JUDGED);
	buffer_init(&w->mask, job->out->limit);
}

void value_rewrite_done(struct value_rewrite *w)
{
	buffer_done(&w->meaning);
	buffer_done(&w->mask);
}

int value_rewrite_skip(struct value_rewrite *w, size_t start, size_t end)
{
	int r = buffer_append(w->job->out, w->job->value->text.data + w->copied, start - w->copied);

	w->copied = end;
	w->changed = true;
	return r;
}

int value_rewrite_finish(struct value_rewrite *w)
{
	int r;

	if (!w->changed)
		return MASK_UNCHANGED;
	r = buffer_append_slice(w->job->out, slice_from(w->job->value->text, w->copied));
	return r < 0 ? r : MASK_REPLACED;
}

static int append_quoted(const struct value_rewrite *w, char escape)
{
	struct slice mask = buffer_slice(&w->mask);
	struct buffer *out = w->job->out;
	int r = buffer_append_byte(out, '"');

	for (size_t i = 0; i < mask.length && r == 0; i++) {
		uint8_t c = mask.data[i];

		if (c == '"' || c == '\\')
			r = buffer_append_byte(out, c == '"' ? (uint8_t)escape : '\\');
		if (r == 0)
			r = buffer_append_byte(out, c);
	}
	return r < 0 ? r : buffer_append_byte(out, '"');
}

int value_rewrite_text(struct value_rewrite *w, const struct value_column *column, size_t start,
	size_t end, const struct mask_source *meaning, const struct value_quoting *quoting)
{
	int outcome, r;

	buffer_clear(&w->mask);
	outcome = value_mask_part(w->job, column, meaning, &w->mask);
	if (outcome <= MASK_UNCHANGED)
		return outcome;
	r = value_rewrite_skip(w, start, end);
	if (r < 0)
		return r;
	return outcome == MASK_REPLACED ? append_quoted(w, quoting->quote_escape)
					: buffer_append_string(w->job->out, quoting->null);
}

int value_rewrite_binary(
	struct value_rewrite *w, const struct value_column *column, size_t start, struct slice part)
{
	struct mask_source source;
	int outcome, r;

	source = mask_source_part(w->job->value, start + 4, start + 4 + part.length);
	buffer_clear(&w->mask);
	outcome = value_mask_part(w->job, column, &source, &w->mask);
	if (outcome <= MASK_UNCHANGED)
		return outcome;
	r = value_rewrite_skip(w, start, start + 4 + part.length);
	if (r < 0)
		return r;
	if (outcome == MASK_TO_NULL)
		return buffer_append_u32(w->job->out, UINT32_MAX);
	r = buffer_append_u32(w->job->out, (uint32_t)buffer_length(&w->mask));
	return r < 0 ? r : buffer_append_slice(w->job->out, buffer_slice(&w->mask));
}
