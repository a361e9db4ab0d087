/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "tests/harness/json_plain.h"
#include "tests/harness/json_plain_text.h"

struct search {
	const struct masker *m;
	struct slice s;
	size_t at, copied;
	bool replaced, null, broken;
	bool named;
	struct detector_name name;
	struct buffer *out;
};

static void replace(struct search *f, size_t start, size_t end, const char *around,
	unsigned detectors, struct slice text)
{
	enum mask_strategy strategy = masker_strictest(f->m, detectors);

	f->null |= strategy == MASK_NULL;
	f->replaced = true;
	if (f->null)
		return;
	plain_add(f->out, f->s.data + f->copied, start - f->copied);
	plain_add(f->out, around, strlen(around));
	plain_add_mask(f->m, strategy, text, f->out);
	plain_add(f->out, around, strlen(around));
	f->copied = end;
}

/* Searches what the token means; `places[i]` is where in the text what is behind i bytes of it
 * begins. */
static void judge(struct search *f, struct slice meaning, const size_t *places, bool is_name)
{
	unsigned by_name =
		f->named && !is_name ? detector_judge_named(f->m->detectors, &f->name, meaning) : 0;
	struct detector_findings found;

	if (detector_scan(f->m->engine, f->m->detectors, meaning, &found) < 0)
		abort();
	for (size_t i = 0; i < found.count && by_name; i++)
		by_name |= found.items[i].detectors;
	if (by_name) {
		replace(f, places[0], places[meaning.length], "", by_name, meaning);
		return;
	}
	for (size_t i = 0; i < found.count; i++) {
		const struct detector_finding *one = &found.items[i];

		replace(f, places[one->start], places[one->end], "", one->detectors,
			slice_of(meaning.data + one->start, one->end - one->start));
	}
}

static void search_string(struct search *f)
{
	size_t end = ++f->at, *places;
	struct buffer meaning;
	bool is_name;

	while (end < f->s.length && f->s.data[end] != '"')
		end += f->s.data[end] == '\\' ? 2 : 1;
	if (end >= f->s.length) {
		f->broken = true;
		return;
	}
	is_name = plain_byte_at(f->s, plain_blanks(f->s, end + 1)) == ':';
	buffer_init(&meaning, SIZE_MAX / 2);
	places = calloc(4 * (end - f->at) + 1, sizeof(*places));
	places[0] = f->at;
	while (f->at < end && !f->broken) {
		size_t before = buffer_length(&meaning);
		size_t n = plain_character(slice_head(f->s, end), f->at, false, &meaning);

		f->broken = n == 0;
		f->at += n;
		for (size_t i = before; i < buffer_length(&meaning); i++)
			places[i + 1] = f->at;
	}
	if (!f->broken)
		judge(f, buffer_slice(&meaning), places, is_name);
	if (is_name)
		f->named = detector_read_name(buffer_slice(&meaning), &f->name);
	f->at = end + 1;
	buffer_done(&meaning);
	free(places);
}

static bool is_scalar(int c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-';
}

static void search_scalar(struct search *f)
{
	size_t start = f->at;
	struct detector_findings found;
	struct slice text;
	unsigned detectors = 0;

	while (is_scalar(plain_byte_at(f->s, f->at)) ||
		plain_is_one_of(plain_byte_at(f->s, f->at), "+."))
		f->at++;
	text = slice_of(f->s.data + start, f->at - start);
	if (f->named)
		detectors = detector_judge_named(f->m->detectors, &f->name, text);
	if (detector_scan(f->m->engine, f->m->detectors, text, &found) < 0)
		abort();
	for (size_t i = 0; i < found.count; i++)
		detectors |= found.items[i].detectors;
	if (detectors)
		replace(f, start, f->at, "\"", detectors, text);
}

int json_plain_findings(const struct masker *m, struct slice json, struct buffer *out)
{
	struct search f = {.m = m, .s = json, .at = plain_byte_order_mark(json), .out = out};
	size_t before = buffer_length(out);
	struct detector_findings found;

	while (f.at < json.length && !f.broken && !f.null) {
		int c = plain_byte_at(json, f.at);

		if (c == '"') {
			search_string(&f);
			continue;
		}
		if (is_scalar(c)) {
			search_scalar(&f);
			continue;
		}
		f.named &= c != '{' && c != '}';
		f.broken = !plain_is_one_of(c, "{}[]:, \t\r\n");
		f.at++;
	}
	if (f.null || f.broken)
		buffer_truncate(out, before);
	if (f.null || (f.broken && f.replaced))
		return MASK_TO_NULL;
	if (f.broken) {
		if (detector_scan(m->engine, m->detectors, json, &found) < 0)
			abort();
		return found.count ? MASK_TO_NULL : MASK_UNCHANGED;
	}
	plain_add(out, json.data + f.copied, json.length - f.copied);
	return f.replaced ? MASK_REPLACED : MASK_UNCHANGED;
}
