/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/json_findings.h"

#include "base/limits.h"
#include "masking/json_written.h"

void json_findings_init(struct json_findings *f, const struct masker *m,
	const struct mask_source *json, struct json_copy *copy)
{
	*f = (struct json_findings){.m = m, .copy = copy};
	json_run_init(&f->run, m, json);
}

void json_findings_done(struct json_findings *f)
{
	json_run_done(&f->run);
}

/* A string at hand, in a text that is copied. */
struct string {
	struct json_copy *copy;
	size_t start, end; /* of its inside */
	bool escaped, is_name;
	bool clean; /* by itself; its name may say more of it */
	struct mask_source source; /* what it means */
};

/* Which detectors the name of the member at hand makes the value a finding of. */
static unsigned judge_by_name(const struct json_findings *f, struct slice value)
{
	return f->name ? detector_judge_named(f->m->detectors, f->name, value) : 0;
}

static struct slice inside_of(const struct string *s)
{
	return slice_of(s->copy->text.data + s->start, s->end - s->start);
}

/* Of names with escapes nothing is kept: what they mean is gone with the run. */
static const struct detector_name *read_name(struct json_findings *f, const struct string *s)
{
	if (!s->escaped)
		return json_names_read(&f->names, inside_of(s));
	return detector_read_name(s->source.text, &f->escaped) ? &f->escaped : NULL;
}

/* A value that is a finding by its name is one as a whole, `room`, with all that was found in it.
 */
static void judge_whole(const struct json_findings *f, struct slice value,
	struct detector_finding *room, struct detector_findings *findings)
{
	unsigned detectors = judge_by_name(f, value);

	if (!detectors)
		return;
	for (size_t i = 0; i < findings->count; i++)
		detectors |= findings->items[i].detectors;
	*room = (struct detector_finding){0, value.length, detectors};
	*findings = (struct detector_findings){room, 1};
}

/* Replaces findings. They are places in the string's meaning. */
static int replace(const struct json_findings *f, const struct string *s,
	const struct detector_findings *findings)
{
	struct slice inside = inside_of(s), meaning = s->source.text;
	size_t at = 0, decoded = 0;
	int r = 0;

	for (size_t i = 0; i < findings->count && r == 0; i++) {
		const struct detector_finding *found = &findings->items[i];
		size_t from;

		json_written_skip(inside, found->start, &at, &decoded);
		from = at;
		json_written_skip(inside, found->end, &at, &decoded);
		r = json_copy_replace(s->copy, s->start + from, s->start + at);
		if (r == 0)
			r = json_copy_mask(f->m, masker_strictest(f->m, found->detectors),
				slice_of(meaning.data + found->start, found->end - found->start),
				s->copy->out);
	}
	return r;
}

static int judge(struct json_findings *f, const struct string *s)
{
	struct detector_findings findings = {0};
	struct detector_finding whole;
	int r = s->clean ? 0 : mask_source_scan(f->m, &s->source, &findings);

	if (r < 0)
		return r;
	if (s->is_name)
		f->name = read_name(f, s);
	else
		judge_whole(f, s->source.text, &whole, &findings);
	if (findings.count == 0)
		return 0;
	if (masker_findings_null(f->m, &findings)) {
		f->null = true;
		return 0;
	}
	return replace(f, s, &findings);
}

int json_findings_judge_string(
	struct json_findings *f, size_t start, size_t end, bool escaped, bool is_name)
{
	struct string s = {.copy = f->copy,
		.start = start,
		.end = end,
		.escaped = escaped,
		.is_name = is_name};
	int r = json_run_part(&f->run, start, end, &s.source, &s.clean);

	if (r < 0)
		return r;
	if (s.clean && is_name)
		f->name = NULL;
	return s.clean && !f->name ? 0 : judge(f, &s);
}

int json_findings_judge_scalar(struct json_findings *f, size_t start, size_t end)
{
	struct detector_findings findings = {0};
	struct mask_source source;
	enum mask_strategy strategy;
	unsigned detectors;
	bool clean;
	int r = json_run_part(&f->run, start, end, &source, &clean);

	if (r == 0 && !clean)
		r = mask_source_scan(f->m, &source, &findings);
	if (r < 0)
		return r;
	detectors = judge_by_name(f, source.text);
	for (size_t i = 0; i < findings.count; i++)
		detectors |= findings.items[i].detectors;
	if (!detectors)
		return 0;
	strategy = masker_strictest(f->m, detectors);
	if (strategy == MASK_NULL) {
		f->null = true;
		return 0;
	}
	r = json_copy_replace(f->copy, start, end);
	if (r == 0)
		r = buffer_append_byte(f->copy->out, '"');
	if (r == 0)
		r = json_copy_mask(f->m, strategy, source.text, f->copy->out);
	return r == 0 ? buffer_append_byte(f->copy->out, '"') : r;
}

int json_findings_append(
	struct json_findings *f, struct slice string, bool clean, struct buffer *out)
{
	struct json_copy copy = {.text = string, .out = out};
	struct string s = {.copy = &copy, .start = 1, .end = string.length - 1, .clean = clean};
	struct buffer decoded;
	int r;

	buffer_init(&decoded, LIMIT_CELL_JUDGED);
	r = json_written_decode(inside_of(&s), &decoded);
	s.source = mask_source_of(buffer_slice(&decoded));
	if (r == 0)
		r = judge(f, &s);
	if (r == 0 && !f->null)
		r = copy.replaced ? json_copy_finish(&copy) : buffer_append_slice(out, string);
	buffer_done(&decoded);
	return r;
}
