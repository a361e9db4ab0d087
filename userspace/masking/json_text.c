/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_text.h"

#include <errno.h>

#include "base/limits.h"
#include "masking/json_bytes.h"
#include "masking/json_findings.h"
#include "masking/json_written.h"

/* What a byte outside strings is. */
enum kind {
	KIND_NONE, /* of JSON */
	KIND_BETWEEN,
	KIND_BRACE,
	KIND_QUOTE,
	KIND_SCALAR, /* it begins one */
};

static const uint8_t kinds[256] = {
	['{'] = KIND_BRACE,
	['}'] = KIND_BRACE,
	['['] = KIND_BETWEEN,
	[']'] = KIND_BETWEEN,
	[':'] = KIND_BETWEEN,
	[','] = KIND_BETWEEN,
	[' '] = KIND_BETWEEN,
	['\t'] = KIND_BETWEEN,
	['\r'] = KIND_BETWEEN,
	['\n'] = KIND_BETWEEN,
	['"'] = KIND_QUOTE,
	['-'] = KIND_SCALAR,
	['0' ... '9'] = KIND_SCALAR,
	['A' ... 'Z'] = KIND_SCALAR,
	['a' ... 'z'] = KIND_SCALAR,
};

/* A string's inside. */
struct inside {
	size_t end; /* its closing quote; the text's end where there is none */
	bool escaped, illegal; /* some escape is none */
};

static struct inside find_end(struct slice s, size_t at)
{
	struct inside inside = {0};
	uint8_t character[4];
	size_t n, length;

	while (at < s.length) {
		at += json_inside_run(s, at);
		if (at == s.length || s.data[at] == '"')
			break;
		n = json_written_character(s, at, character, &length);
		inside.escaped = true;
		inside.illegal |= n == 0;
		at += n ? n : 2;
	}
	inside.end = at < s.length ? at : s.length;
	return inside;
}

/* Hands on the string whose quote is at `at`; what stands behind it tells whether it is a name. */
static int walk_string(struct json_findings *f, struct slice s, size_t at, size_t *ret_next)
{
	struct inside inside = find_end(s, at + 1);
	size_t next;

	if (inside.end == s.length || inside.illegal)
		return -EINVAL;
	next = json_skip_blanks(s, inside.end + 1);
	*ret_next = next;
	return next < s.length && s.data[next] == ':'
		? json_findings_name(f, at + 1, inside.end, inside.escaped)
		: json_findings_string(f, at + 1, inside.end, inside.escaped);
}

/* The tokens, in whatever order they stand: no stack is needed. */
static int walk(struct json_findings *f, struct slice s)
{
	int r = 0;

	for (size_t at = json_begin(s); at < s.length && r == 0 && !f->null;) {
		size_t end;

		switch ((enum kind)kinds[s.data[at]]) {
		case KIND_BETWEEN:
			at = json_skip_blanks(s, at + 1);
			break;
		case KIND_BRACE:
			json_findings_brace(f);
			at++;
			break;
		case KIND_QUOTE:
			r = walk_string(f, s, at, &at);
			break;
		case KIND_SCALAR:
			end = json_scalar_end(s, at);
			r = json_findings_scalar(f, at, end);
			at = end;
			break;
		default:
			return -EINVAL;
		}
	}
	return r;
}

/* What is no JSON can't be mended: found something, it is NULL. */
static int judge_broken(const struct masker *m, const struct mask_source *json)
{
	struct detector_findings findings;
	int r = mask_source_scan(m, json, &findings);

	if (r < 0)
		return r;
	return findings.count ? MASK_TO_NULL : MASK_UNCHANGED;
}

int json_mask_findings(const struct masker *m, const struct mask_source *json, struct buffer *out)
{
	struct json_copy copy = {.text = json->text, .out = out};
	size_t before = buffer_length(out);
	struct json_findings f;
	bool null;
	int r;

	json_findings_init(&f, m, json, &copy);
	r = walk(&f, json->text);
	null = f.null;
	json_findings_done(&f);
	if (r == 0 && !null)
		r = json_copy_finish(&copy);
	if (r < 0 || null)
		buffer_truncate(out, before);
	if (r == -EINVAL)
		return copy.replaced ? MASK_TO_NULL : judge_broken(m, json);
	if (r < 0)
		return r;
	return null ? MASK_TO_NULL : copy.replaced ? MASK_REPLACED : MASK_UNCHANGED;
}

int json_mask_whole(
	const struct masker *m, enum mask_strategy strategy, struct slice json, struct buffer *out)
{
	size_t start = json_skip_blanks(json, 0), end, before = buffer_length(out);
	struct slice text = json;
	struct buffer decoded;
	int r;

	buffer_init(&decoded, LIMIT_CELL_JUDGED);
	if (start < json.length && json.data[start] == '"') {
		end = find_end(json, start + 1).end;
		if (end < json.length && json_skip_blanks(json, end + 1) == json.length &&
			json_written_decode(
				slice_of(json.data + start + 1, end - start - 1), &decoded) == 0)
			text = buffer_slice(&decoded);
	}
	r = buffer_append_byte(out, '"');
	if (r == 0)
		r = json_copy_mask(m, strategy, text, out);
	if (r == 0)
		r = buffer_append_byte(out, '"');
	buffer_done(&decoded);
	if (r < 0)
		buffer_truncate(out, before);
	return r;
}
