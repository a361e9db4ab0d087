/* SPDX-License-Identifier: Apache-2.0
 *
 * masking_test: an engine, and texts in which "{{" and "}}" stand around what must be found.
 */
#ifndef TESTS_UNIT_MASKING_TEST_H
#define TESTS_UNIT_MASKING_TEST_H

#include <criterion/criterion.h>

#include "base/memory.h"
#include "masking/strategy.h"

#define ALL_DETECTORS ((1u << DETECTOR_COUNT) - 1)

static inline struct detector_engine *test_engine(void)
{
	static struct detector_engine *engine;
	struct error e;

	if (!engine)
		engine = detector_engine_new(&e);
	cr_assert_not_null(engine, "%s", e.text);
	return engine;
}

static inline struct masker test_masker(unsigned detectors, enum mask_strategy strategy)
{
	static const uint8_t key[MASK_KEY_BYTES] = {7};
	static struct mask_hasher *hasher;
	struct mask_rules rules = {0};
	struct masker m;

	if (!hasher)
		hasher = mask_hasher_new(key);
	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = detectors >> i & 1 ? strategy : MASK_NONE;
	masker_init(&m, test_engine(), hasher, &rules);
	return m;
}

/* The text with its findings between "{{" and "}}". To be freed. */
static inline char *test_marked(unsigned set, struct slice text)
{
	struct detector_findings findings;
	struct buffer out;
	size_t done = 0;
	char *marked;

	buffer_init(&out, SIZE_MAX / 2);
	cr_assert_eq(detector_scan(test_engine(), set, text, &findings), 0);
	for (size_t i = 0; i < findings.count; i++) {
		const struct detector_finding *f = &findings.items[i];

		cr_assert(f->start >= done && f->start < f->end && f->end <= text.length,
			"finding %zu is [%zu, %zu)", i, f->start, f->end);
		cr_assert(f->detectors && !(f->detectors & ~set));
		buffer_append(&out, text.data + done, f->start - done);
		buffer_append_string(&out, "{{");
		buffer_append(&out, text.data + f->start, f->end - f->start);
		buffer_append_string(&out, "}}");
		done = f->end;
	}
	buffer_append_slice(&out, slice_from(text, done));
	marked = memory_copy_text(buffer_slice(&out).data, buffer_length(&out));
	buffer_done(&out);
	return marked;
}

/* Takes the marks off. To be freed. */
static inline char *test_unmarked(const char *marked)
{
	char *text = memory_copy_string(marked), *to = text;

	for (const char *from = marked; *from; from++) {
		if ((from[0] == '{' && from[1] == '{') || (from[0] == '}' && from[1] == '}'))
			from++;
		else
			*to++ = *from;
	}
	*to = '\0';
	return text;
}

#endif
