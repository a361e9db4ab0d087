/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_text.h"

#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "masking/characters.h"
#include "masking/json_bytes.h"
#include "masking/json_names.h"
#include "masking/json_run.h"
#include "masking/json_written.h"

/* A walk over the tokens of one JSON text. No stack is needed: only the next token's kind is. */
struct walk {
	const struct masker *m;
	const struct mask_source *json;
	struct json_run run;
	struct buffer *out;
	struct buffer decoded; /* of the string at hand, where it has escapes */
	size_t copied; /* all before has been appended or replaced */
	bool replaced;
	bool null; /* a finding asks for NULL */

	struct json_names names;
	struct detector_name escaped; /* a name's that is written with escapes */
	/* Of the member whose value comes next; NULL: it says nothing of it. */
	const struct detector_name *name;
};

static int append_escaped(struct slice text, struct buffer *out)
{
	int r = 0;

	for (size_t i = 0; i < text.length && r == 0; i++) {
		size_t plain = json_plain_run(text, i);
		uint8_t c = text.data[i];

		if (plain) {
			r = buffer_append(out, text.data + i, plain);
			i += plain - 1;
		} else if (c == '"' || c == '\\')
			r = buffer_append_format(out, "\\%c", c);
		else if (c < 0x20)
			r = buffer_append_format(out, "\\u%04x", c);
		else
			r = buffer_append_byte(out, c);
	}
	return r;
}

/* The mask of `text`, escaped for the inside of a string. */
static int append_mask(
	const struct masker *m, enum mask_strategy strategy, struct slice text, struct buffer *out)
{
	struct buffer mask;
	int r;

	buffer_init(&mask, out->limit);
	r = masker_append(m, strategy, text, &mask);
	if (r == 0)
		r = append_escaped(buffer_slice(&mask), out);
	buffer_done(&mask);
	return r;
}

/* Appends all up to `start` and goes on behind `end`. */
static int replace_begin(struct walk *w, size_t start, size_t end)
{
	int r = buffer_append(w->out, w->json->text.data + w->copied, start - w->copied);

	w->copied = end;
	w->replaced = true;
	return r;
}

/* Replaces findings in the string whose inside is [start, end). They are places in its meaning. */
static int replace_in_string(struct walk *w, size_t start, size_t end, struct slice meaning,
	const struct detector_findings *findings)
{
	struct slice inside = slice_of(w->json->text.data + start, end - start);
	size_t at = 0, decoded = 0;
	int r = 0;

	for (size_t i = 0; i < findings->count && r == 0; i++) {
		const struct detector_finding *f = &findings->items[i];
		size_t from;

		json_written_skip(inside, f->start, &at, &decoded);
		from = at;
		json_written_skip(inside, f->end, &at, &decoded);
		r = replace_begin(w, start + from, start + at);
		if (r == 0)
			r = append_mask(w->m, masker_strictest(w->m, f->detectors),
				slice_of(meaning.data + f->start, f->end - f->start), w->out);
	}
	return r;
}

/* Which detectors the name of the member at hand makes the value a finding of. */
static unsigned judge_name(const struct walk *w, struct slice value)
{
	return w->name ? detector_judge_named(w->m->detectors, w->name, value) : 0;
}

static const struct detector_name *read_name(struct walk *w, struct slice name, bool escaped)
{
	if (!escaped)
		return json_names_read(&w->names, name);
	return detector_read_name(name, &w->escaped) ? &w->escaped : NULL;
}

/* A value that is a finding by its name is one as a whole, `room`, with all that was found in it.
 */
static void judge_whole(const struct walk *w, struct slice value, struct detector_finding *room,
	struct detector_findings *findings)
{
	unsigned detectors = judge_name(w, value);

	if (!detectors)
		return;
	for (size_t i = 0; i < findings->count; i++)
		detectors |= findings->items[i].detectors;
	*room = (struct detector_finding){0, value.length, detectors};
	*findings = (struct detector_findings){room, 1};
}

/* `source` is the string's inside. Names are kept for the value that follows. */
static int walk_string(struct walk *w, size_t start, size_t end, bool escaped, bool is_name)
{
	struct mask_source source;
	struct detector_finding whole;
	struct detector_findings findings = {0};
	bool clean;
	int r = json_run_part(&w->run, start, end, &source, &clean);

	if (r == 0 && clean && !escaped && (is_name || !w->name)) {
		/* A name that matters has a keyword in it, so that the index knows it. */
		w->name = is_name ? NULL : w->name;
		return 0;
	}
	clean &= !escaped;
	if (r == 0 && escaped) {
		r = json_written_decode(source.text, &w->decoded);
		source = mask_source_of(buffer_slice(&w->decoded));
	}
	if (r == 0 && !clean)
		r = mask_source_scan(w->m, &source, &findings);
	if (r < 0)
		return r;
	if (!is_name)
		judge_whole(w, source.text, &whole, &findings);
	if (is_name)
		w->name = read_name(w, source.text, escaped);
	if (findings.count == 0)
		return 0;
	if (masker_findings_null(w->m, &findings)) {
		w->null = true;
		return 0;
	}
	return replace_in_string(w, start, end, source.text, &findings);
}

/* A number, true, false or null. */
static int walk_scalar(struct walk *w, size_t start, size_t end)
{
	struct detector_findings findings = {0};
	struct mask_source source;
	bool clean;
	int r = json_run_part(&w->run, start, end, &source, &clean);
	unsigned detectors = judge_name(w, source.text);

	if (r == 0 && !clean)
		r = mask_source_scan(w->m, &source, &findings);

	if (r < 0)
		return r;
	for (size_t i = 0; i < findings.count; i++)
		detectors |= findings.items[i].detectors;
	if (!detectors)
		return 0;
	if (masker_strictest(w->m, detectors) == MASK_NULL) {
		w->null = true;
		return 0;
	}
	r = replace_begin(w, start, end);
	if (r == 0)
		r = buffer_append_byte(w->out, '"');
	if (r == 0)
		r = append_mask(w->m, masker_strictest(w->m, detectors), source.text, w->out);
	return r == 0 ? buffer_append_byte(w->out, '"') : r;
}

/* Bytes of the byte order mark that may stand in front. */
static size_t byte_order_mark(struct slice s)
{
	return s.length >= 3 && memcmp(s.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static size_t skip_blanks(struct slice s, size_t at)
{
	while (at < s.length && json_is_blank(s.data[at]))
		at++;
	return at;
}

/* The closing quote of the string that begins behind its quote; s.length where there is none. */
static size_t string_end(struct slice s, size_t at, bool *ret_escaped)
{
	*ret_escaped = false;
	for (;;) {
		at += json_plain_run(s, at);
		if (at >= s.length || s.data[at] == '"')
			return at < s.length ? at : s.length;
		*ret_escaped |= s.data[at] == '\\';
		at += s.data[at] == '\\' ? 2 : 1;
		if (at >= s.length)
			return s.length;
	}
}

static int walk_token(struct walk *w, size_t at, size_t *ret_next)
{
	struct slice s = w->json->text;
	uint8_t c = s.data[at];

	if (c == '"') {
		bool escaped;
		size_t end = string_end(s, at + 1, &escaped), next;

		if (end == s.length)
			return -EINVAL;
		next = skip_blanks(s, end + 1);
		*ret_next = next;
		return walk_string(w, at + 1, end, escaped, next < s.length && s.data[next] == ':');
	}
	if (character_is(c, CHARACTER_ALNUM) || c == '-') {
		size_t end = at + 1;

		while (end < s.length &&
			(character_is(s.data[end], CHARACTER_ALNUM) ||
				memchr("+-.", s.data[end], 3)))
			end++;
		*ret_next = end;
		return walk_scalar(w, at, end);
	}
	*ret_next = at + 1;
	if (!memchr("{}[]:, \t\r\n", c, 10))
		return -EINVAL;
	/* A name is about the value behind it, or the scalars of an array there. */
	if (c == '{' || c == '}')
		w->name = NULL;
	return 0;
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
	struct walk w = {.m = m, .json = json, .out = out};
	size_t before = buffer_length(out);
	int r = 0;

	json_run_init(&w.run, m, json);
	buffer_init(&w.decoded, LIMIT_CELL_JUDGED);
	for (size_t at = byte_order_mark(json->text); at < json->text.length && r == 0 && !w.null;)
		r = walk_token(&w, at, &at);
	if (r == 0 && w.replaced && !w.null)
		r = buffer_append_slice(out, slice_from(json->text, w.copied));
	buffer_done(&w.decoded);
	json_run_done(&w.run);
	if (r < 0 || w.null)
		buffer_truncate(out, before);
	if (r == -EINVAL)
		return w.replaced ? MASK_TO_NULL : judge_broken(m, json);
	if (r < 0)
		return r;
	return w.null ? MASK_TO_NULL : w.replaced ? MASK_REPLACED : MASK_UNCHANGED;
}

int json_mask_whole(
	const struct masker *m, enum mask_strategy strategy, struct slice json, struct buffer *out)
{
	size_t start = skip_blanks(json, 0), end, before = buffer_length(out);
	struct slice text = json;
	struct buffer decoded;
	bool escaped;
	int r;

	buffer_init(&decoded, LIMIT_CELL_JUDGED);
	if (start < json.length && json.data[start] == '"') {
		end = string_end(json, start + 1, &escaped);
		if (end < json.length && skip_blanks(json, end + 1) == json.length &&
			json_written_decode(
				slice_of(json.data + start + 1, end - start - 1), &decoded) == 0)
			text = buffer_slice(&decoded);
	}
	r = buffer_append_byte(out, '"');
	if (r == 0)
		r = append_mask(m, strategy, text, out);
	if (r == 0)
		r = buffer_append_byte(out, '"');
	buffer_done(&decoded);
	if (r < 0)
		buffer_truncate(out, before);
	return r;
}
