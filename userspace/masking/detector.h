/* SPDX-License-Identifier: Apache-2.0
 *
 * detector: finds card numbers, addresses, keys and the like in text (docs/detectors.md has their
 * grammars). Two passes over bytes find where something could stand: shapes of numbers by SIMD
 * (shape.h), fixed texts by Vectorscan (literals.inc). What begins there is then judged exactly.
 *
 * An engine is for one thread: it holds what a scan works with. Making one takes milliseconds.
 */
#ifndef WAYLEAVE_MASKING_DETECTOR_H
#define WAYLEAVE_MASKING_DETECTOR_H

#include "base/error.h"
#include "base/slice.h"
#include "masking/mask.h"

struct detector_engine;
struct shape_hit;
struct literal_hit;

/* Bytes [start, end) of the text; bit 1 << DETECTOR_x of each detector that claims a part. */
struct detector_finding {
	size_t start, end;
	unsigned detectors;
};

/* In rising order, not overlapping: overlapping ones have been joined. Owned by the engine, valid
 * until its next scan. */
struct detector_findings {
	const struct detector_finding *items;
	size_t count;
};

/* NULL with `e` set where Vectorscan can't run on this processor. */
struct detector_engine *detector_engine_new(struct error *e);
void detector_engine_free(struct detector_engine *engine); /* takes NULL */
/* What the first pass runs with: "avx2", "sse2", "portable". */
const char *detector_engine_method(const struct detector_engine *engine);
/* For tests and benchmarks: enum shape_variant. -ENOTSUP where this processor does not have it. */
int detector_engine_set_method(struct detector_engine *engine, unsigned variant);

/* Everything that the detectors of `set` (bits) find in the text, which is taken to be whole:
 * nothing before or behind it belongs to it. Runs of hexadecimal digits and base64 are decoded and
 * searched as well; a finding there makes the whole run one. The text may hold any bytes. Time is
 * linear in the text. -ENOMEM. */
int detector_scan(struct detector_engine *engine, unsigned set, struct slice text,
	struct detector_findings *ret);

/* For structured values whose names and values are not one text ("password": "x"). */
struct detector_name {
	uint64_t literals[4]; /* what the name means, as bits of masking/literals.inc */
};
/* Reads a name once, for any number of values; false where it makes no value a finding. */
bool detector_read_name(struct slice name, struct detector_name *ret);
/* The detectors of `set` (bits) for which a value of that name is a finding as a whole. */
unsigned detector_judge_named(unsigned set, const struct detector_name *name, struct slice value);

/* Many small texts in one run of bytes, as the cells of rows, are searched together: first the run
 * is indexed, then each text judged. What stands between the texts may be anything, but: a text
 * must be followed by the run's end, or by fewer than 12 letters or digits before another byte.
 * (A cell of a DataRow is followed by the next cell's length, whose first byte is no letter or
 * digit, or by the next message's type and length.) */
#define DETECTOR_RUN_MOST (1u << 20) /* bytes */

struct detector_index {
	struct slice run; /* borrowed */
	unsigned set;
	struct shape_hit *shapes;
	size_t shape_count, shape_capacity, shape_next;
	struct literal_hit *literals;
	size_t literal_count, literal_capacity, literal_next;
};

void detector_index_init(struct detector_index *index);
void detector_index_done(struct detector_index *index);
/* Replaces what the index held. -E2BIG beyond DETECTOR_RUN_MOST, -ENOMEM. */
int detector_index_build(struct detector_engine *engine, unsigned set, struct slice run,
	struct detector_index *index);
/* The first place at or behind `from` where something could be found; SIZE_MAX where there is none.
 * What lies wholly before is clean, however it is cut into texts. */
size_t detector_index_next(struct detector_index *index, size_t from);
/* As detector_scan() for the text [start, end) of the run. Cheapest in rising order of start. */
int detector_scan_part(struct detector_engine *engine, struct detector_index *index, size_t start,
	size_t end, struct detector_findings *ret);

#endif
