/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/scan.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "masking/decode.h"
#include "masking/match.h"

/* More findings in one text are joined to one that covers all. */
#define FINDINGS_MOST 65536
/* Shapes that are judged at a time. */
#define SHAPES_AT_ONCE 512
/* Random bytes look like a short address by chance: in decoded runs they must be this long. */
#define DECODED_FINDING_LEAST 8
#define ADDRESSES (1u << DETECTOR_EMAIL | 1u << DETECTOR_IP_ADDRESS)
/* Decoded runs shorter than this must be text for the most part. */
#define DECODED_TEXT_BELOW 64

static void add_finding(struct scan *s, size_t start, size_t end, unsigned detectors)
{
	struct level *level = &s->engine->levels[s->depth];

	if (level->count == FINDINGS_MOST) {
		level->findings[0].detectors |= detectors;
		level->findings[0].start = 0;
		level->findings[0].end = s->text.length;
		return;
	}
	if (memory_grow((void **)&level->findings, level->count, &level->capacity,
		    sizeof(*level->findings)) < 0) {
		s->error = -ENOMEM;
		return;
	}
	level->findings[level->count++] = (struct detector_finding){start, end, detectors};
}

static int compare_findings(const void *a, const void *b)
{
	const struct detector_finding *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Sorts, and joins those that overlap. */
static void join_findings(struct level *level)
{
	size_t n = 0;

	if (level->count < 2)
		return;
	qsort(level->findings, level->count, sizeof(*level->findings), compare_findings);
	for (size_t i = 1; i < level->count; i++) {
		struct detector_finding *last = &level->findings[n], *next = &level->findings[i];

		if (next->start >= last->end) {
			level->findings[++n] = *next;
			continue;
		}
		last->detectors |= next->detectors;
		if (next->end > last->end)
			last->end = next->end;
	}
	level->count = n + 1;
}

/* Short runs of letters and digits are mostly names and numbers, whose decoding is noise: three of
 * four bytes must be ASCII text. */
static bool decoded_is_plausible(struct slice decoded)
{
	size_t shown = 0;

	if (decoded.length < DECODED_FINDING_LEAST)
		return false;
	if (decoded.length >= DECODED_TEXT_BELOW)
		return true;
	for (size_t i = 0; i < decoded.length; i++)
		shown += decoded.data[i] < 0x80 &&
			character_is(decoded.data[i], CHARACTER_PRINTABLE);
	return shown * 4 >= decoded.length * 3;
}

static void look_into_run(struct scan *s, struct slice run)
{
	struct scan inner = {.engine = s->engine, .set = s->set, .depth = s->depth + 1};
	struct level *level = &s->engine->levels[inner.depth];
	struct detector_findings found;
	unsigned detectors = 0;
	uint8_t *space;
	size_t start = (size_t)(run.data - s->text.data);
	int r;

	buffer_clear(&level->decoded);
	r = buffer_reserve(&level->decoded, run.length * 3 / 4 + 3, &space);
	if (r < 0) {
		s->error = r;
		return;
	}
	inner.text = slice_of(space, decode_run(run, space));
	if (!decoded_is_plausible(inner.text))
		return;
	scan_begin(&inner);
	scan_search(&inner);
	s->error = scan_finish(&inner, &found);
	for (size_t i = 0; !s->error && i < found.count; i++) {
		const struct detector_finding *f = &found.items[i];

		if (f->end - f->start >= DECODED_FINDING_LEAST)
			detectors |= f->detectors;
		else
			detectors |= f->detectors & ~ADDRESSES;
	}
	if (detectors)
		add_finding(s, start, start + run.length, detectors);
}

static void judge_encoded(struct scan *s, size_t at)
{
	struct slice done = SLICE_EMPTY;
	size_t until = s->decoded_until;

	if (at < s->decoded_until || s->depth + 1 >= SCAN_DEPTH)
		return;
	for (unsigned alphabet = 0; alphabet < DECODE_ALPHABET_COUNT; alphabet++) {
		struct slice run =
			decode_find(s->text, at, s->decoded_until, (enum decode_alphabet)alphabet);
		size_t end = run.length ? (size_t)(run.data - s->text.data) + run.length : 0;

		if (run.length && (run.data != done.data || run.length != done.length))
			look_into_run(s, run);
		done = run;
		until = end > until ? end : until;
	}
	s->decoded_until = until;
}

void scan_judge_shapes(struct scan *s, size_t start, uint32_t shapes)
{
	if (shapes >> SHAPE_ENCODED & 1)
		judge_encoded(s, start);
	for (shapes &= ~(1u << SHAPE_ENCODED); shapes; shapes &= shapes - 1) {
		const struct shape_matcher *m = &shape_matchers[__builtin_ctz(shapes)];
		struct match found;

		if ((s->set >> m->detector & 1) && m->match(s->text, start, &found))
			add_finding(s, found.start, found.end, 1u << m->detector);
	}
}

void scan_judge_literal(struct scan *s, size_t start, unsigned literal)
{
	const struct literal *l = &literals[literal];
	struct match found;

	if (!(s->set >> l->detector & 1) || (l->covers && start < s->covered_until) ||
		!l->match(l, s->text, start, &found))
		return;
	add_finding(s, found.start, found.end, 1u << l->detector);
	if (l->covers)
		s->covered_until = found.end;
}

static int on_literal(
	unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *context)
{
	struct scan *s = context;

	(void)from;
	(void)flags;
	scan_judge_literal(s, (size_t)to - strlen(literals[id].text), id);
	return s->error;
}

uint32_t scan_wanted_shapes(unsigned set)
{
	uint32_t wanted = 1u << SHAPE_ENCODED;

	for (unsigned i = 0; i < SHAPE_COUNT; i++) {
		if (shape_matchers[i].match && (set >> shape_matchers[i].detector & 1))
			wanted |= 1u << i;
	}
	return wanted;
}

void scan_begin(struct scan *s)
{
	s->engine->levels[s->depth].count = 0;
}

void scan_search(struct scan *s)
{
	struct shape_scan shapes = {.text = s->text, .wanted = scan_wanted_shapes(s->set)};
	struct shape_hit hits[SHAPES_AT_ONCE];
	hs_error_t r;

	while (shapes.next < s->text.length && !s->error) {
		size_t n = s->engine->method->scan(&shapes, hits, SHAPES_AT_ONCE);

		for (size_t i = 0; i < n && !s->error; i++)
			scan_judge_shapes(s, hits[i].start, hits[i].shapes);
	}
	if (s->error || s->text.length == 0 || !(s->set & s->engine->literal_detectors))
		return;
	r = hs_scan(s->engine->database, (const char *)s->text.data, (unsigned)s->text.length, 0,
		s->engine->scratch, on_literal, s);
	if (r != HS_SUCCESS && !s->error)
		s->error = -EINVAL;
}

int scan_finish(struct scan *s, struct detector_findings *ret)
{
	struct level *level = &s->engine->levels[s->depth];

	if (s->error)
		return s->error;
	join_findings(level);
	*ret = (struct detector_findings){level->findings, level->count};
	return 0;
}
