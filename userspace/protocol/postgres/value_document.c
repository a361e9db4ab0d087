/* SPDX-License-Identifier: Apache-2.0
 *
 * value_document: json, jsonb, xml, bytea.
 */
#include "base/limits.h"
#include "base/text.h"
#include "masking/json_text.h"
#include "protocol/postgres/value_kind.h"

#define JSONB_VERSION 1

int value_find_json(const struct value_job *job)
{
	return json_mask_findings(job->m, job->value, job->out);
}

/* jsonb_send(): a version byte and the text. */
int value_find_jsonb_binary(const struct value_job *job)
{
	struct slice value = job->value->text;
	struct mask_source text;
	int r;

	if (value.length < 1 || value.data[0] != JSONB_VERSION)
		return -EBADMSG;
	text = mask_source_part(job->value, 1, value.length);
	r = buffer_append_byte(job->out, JSONB_VERSION);
	return r < 0 ? r : json_mask_findings(job->m, &text, job->out);
}

int value_whole_json(const struct value_job *job)
{
	struct slice text = job->value->text;
	int r = 0;

	if (job->type.kind == VALUE_KIND_JSONB && job->column->format == VALUE_FORMAT_BINARY) {
		r = buffer_append_byte(job->out, JSONB_VERSION);
		text = slice_from(text, 1);
	}
	if (r == 0)
		r = json_mask_whole(job->m, job->column->strategy, text, job->out);
	return r < 0 ? r : MASK_REPLACED;
}

/* Whether all findings stand in character data, and their masks leave the document well-formed. */
static bool xml_can_hold(struct slice text, const struct detector_findings *findings)
{
	uint8_t last = '>'; /* the last of these: < > & ; */
	size_t at = 0;

	for (size_t i = 0; i < findings->count; i++) {
		const struct detector_finding *f = &findings->items[i];

		for (; at < f->end; at++) {
			uint8_t c = text.data[at];

			if (memchr("<>&", c, 3) || (c == ';' && last == '&'))
				last = c;
			if (at >= f->start && memchr("<>&", c, 3))
				return false;
		}
		/* "]]>" must not come about behind "[masked]". */
		if (last == '<' || last == '&' || (at < text.length && text.data[at] == ']'))
			return false;
	}
	return true;
}

int value_find_xml(const struct value_job *job)
{
	struct detector_findings findings;
	int r = value_find(job, &findings);

	if (r != MASK_REPLACED)
		return r;
	if (!xml_can_hold(job->value->text, &findings))
		return MASK_TO_NULL;
	r = masker_append_findings(job->m, job->value->text, &findings, job->out);
	return r < 0 ? r : MASK_REPLACED;
}

/* bytea_output = escape: "\\" and "\ooo". */
static size_t decode_escaped(struct slice text, uint8_t *ret)
{
	size_t n = 0;

	for (size_t at = 0; at < text.length;) {
		const uint8_t *c = text.data + at;
		size_t left = text.length - at;

		if (left >= 4 && c[0] == '\\' && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' &&
			c[2] <= '7' && c[3] >= '0' && c[3] <= '7') {
			ret[n++] = (uint8_t)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0'));
			at += 4;
		} else {
			at += left >= 2 && c[0] == '\\' ? 2 : 1;
			ret[n++] = text.data[at - 1];
		}
	}
	return n;
}

static int decode_bytea(struct slice text, struct buffer *ret)
{
	uint8_t *space;
	int r = buffer_reserve(ret, text.length, &space);

	if (r < 0)
		return r;
	if (text.length >= 2 && text.data[0] == '\\' && text.data[1] == 'x') {
		struct slice digits = slice_from(text, 2);

		if (digits.length % 2 || text_from_hex(digits, space, digits.length / 2) < 0)
			return -EBADMSG;
		buffer_commit(ret, digits.length / 2);
	} else {
		buffer_commit(ret, decode_escaped(text, space));
	}
	return 0;
}

/* Hexadecimal is legal whatever bytea_output is. */
static int append_bytea(struct slice content, struct buffer *out)
{
	uint8_t *space;
	int r = buffer_append_string(out, "\\x");

	if (r == 0)
		r = buffer_reserve(out, 2 * content.length + 1, &space);
	if (r < 0)
		return r;
	text_to_hex(content, (char *)space);
	buffer_commit(out, 2 * content.length);
	return MASK_REPLACED;
}

static int find_in_content(const struct value_job *job, struct slice content, struct buffer *mask)
{
	struct mask_source source = mask_source_of(content);
	struct value_job inner = *job;
	int r;

	inner.value = &source;
	inner.out = mask;
	r = value_find_text(&inner);
	return r == MASK_REPLACED ? append_bytea(buffer_slice(mask), job->out) : r;
}

int value_find_bytea_text(const struct value_job *job)
{
	struct buffer content, mask;
	int r;

	buffer_init(&content, LIMIT_CELL_JUDGED);
	buffer_init(&mask, job->out->limit);
	r = decode_bytea(job->value->text, &content);
	if (r == 0)
		r = find_in_content(job, buffer_slice(&content), &mask);
	buffer_done(&content);
	buffer_done(&mask);
	return r;
}

int value_whole_bytea(const struct value_job *job)
{
	struct buffer content, mask;
	int r;

	if (job->column->format == VALUE_FORMAT_BINARY) {
		r = masker_append(job->m, job->column->strategy, job->value->text, job->out);
		return r < 0 ? r : MASK_REPLACED;
	}
	buffer_init(&content, LIMIT_CELL_JUDGED);
	buffer_init(&mask, job->out->limit);
	r = decode_bytea(job->value->text, &content);
	if (r == 0)
		r = masker_append(job->m, job->column->strategy, buffer_slice(&content), &mask);
	if (r == 0)
		r = append_bytea(buffer_slice(&mask), job->out);
	buffer_done(&content);
	buffer_done(&mask);
	return r;
}
