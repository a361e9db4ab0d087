/* SPDX-License-Identifier: Apache-2.0
 *
 * scan: one text being searched, inside masking/ only: judges what the first passes found and
 * collects the findings.
 */
#ifndef WAYLEAVE_MASKING_SCAN_H
#define WAYLEAVE_MASKING_SCAN_H

#include <hs/hs.h>

#include "base/buffer.h"
#include "masking/detector.h"
#include "masking/shape.h"

/* Text, what is encoded in it, and what is encoded in that. */
#define SCAN_DEPTH 3

/* A literal begins at `start` of what was searched. */
struct literal_hit {
	uint32_t start;
	uint32_t literal; /* index of literals[] */
};

/* Findings and decoded bytes of one depth. */
struct level {
	struct detector_finding *findings;
	size_t count, capacity;
	struct buffer decoded;
};

struct detector_engine {
	hs_database_t *database;
	hs_scratch_t *scratch;
	const struct shape_method *method;
	unsigned literal_detectors; /* those that some literal belongs to */
	struct level levels[SCAN_DEPTH];
};

struct scan {
	struct detector_engine *engine;
	unsigned set;
	struct slice text;
	unsigned depth;
	size_t decoded_until; /* encoded runs before have been looked into */
	size_t covered_until; /* by a literal that covers what begins inside */
	int error; /* negative errno; the search ends */
};

/* Forgets the findings of the scan's depth: to be called first. */
void scan_begin(struct scan *s);
/* Both passes over the whole text. */
void scan_search(struct scan *s);
/* Judges what stands at a place of s->text, and collects; in rising order of start. */
void scan_judge_shapes(struct scan *s, size_t start, uint32_t shapes);
void scan_judge_literal(struct scan *s, size_t start, unsigned literal);
/* Sorts the findings and joins those that overlap; s->error, or 0 with the findings stored. */
int scan_finish(struct scan *s, struct detector_findings *ret);

/* The shapes (bits) that some detector of the set asks for. */
uint32_t scan_wanted_shapes(unsigned set);

#endif
