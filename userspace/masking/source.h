/* SPDX-License-Identifier: Apache-2.0
 *
 * source: a text to be masked and, where it is a part of an indexed run, its place there. What is
 * made of parts (arrays, JSON) passes its parts on, so that each is searched once.
 */
#ifndef WAYLEAVE_MASKING_SOURCE_H
#define WAYLEAVE_MASKING_SOURCE_H

#include "masking/strategy.h"

struct mask_source {
	struct slice text;
	struct detector_index *index; /* NULL: not indexed */
	size_t start; /* of the text in the index's run */
};

/* What becomes of a value. */
enum mask_outcome {
	MASK_UNCHANGED, /* nothing to hide; nothing was appended */
	MASK_REPLACED, /* what was appended stands in its place */
	MASK_TO_NULL, /* NULL stands in its place; nothing was appended */
};

static inline struct mask_source mask_source_of(struct slice text)
{
	return (struct mask_source){.text = text};
}

/* [start, end) of the source's text. */
static inline struct mask_source mask_source_part(
	const struct mask_source *s, size_t start, size_t end)
{
	return (struct mask_source){
		.text = slice_of(s->text.data + start, end - start),
		.index = s->index,
		.start = s->start + start,
	};
}

/* Whether the index says that nothing can be found in the text as it stands, without judging. */
static inline bool mask_source_is_clean(const struct mask_source *s)
{
	return s->index && detector_index_next(s->index, s->start) >= s->start + s->text.length;
}

/* As detector_scan(). */
static inline int mask_source_scan(
	const struct masker *m, const struct mask_source *s, struct detector_findings *ret)
{
	if (s->index)
		return detector_scan_part(
			m->engine, s->index, s->start, s->start + s->text.length, ret);
	return detector_scan(m->engine, m->detectors, s->text, ret);
}

#endif
