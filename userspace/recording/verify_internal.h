/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_internal: what verify.c (the order of things, facts) and verify_stream.c (one stream)
 * share.
 */
#ifndef WAYLEAVE_RECORDING_VERIFY_INTERNAL_H
#define WAYLEAVE_RECORDING_VERIFY_INTERNAL_H

#include "base/table.h"
#include "recording/reader.h"
#include "recording/verify.h"

/* What others say about a segment. */
struct verify_fact {
	struct table_node node;
	struct segment_name name;
	struct stream_head head; /* the last signed; 0 bytes = none */
	uint64_t checkpoint; /* that signed it */
	bool is_announced, is_deleted, is_present;
	uint64_t sealed_bytes;
};

/* How a stream ended that could be read to its end. */
struct verify_end {
	struct segment_name name; /* of the last segment */
	uint64_t first, sequence; /* of its first and its last record */
	uint64_t offset; /* behind that */
	bool stopped; /* in order */
	bool is_signed; /* a checkpoint vouches for all of it */
};

struct verify {
	const struct verify_options *options;
	struct verify_summary summary;
	struct segment_list audit, recordings;
	struct table facts; /* struct verify_fact.node */
	bool anchor_met;
	bool monitors_broken; /* what they announced is not all known */
	struct verify_end end; /* of the last stream that was read */
	struct verify_end checkpoints_end, *monitor_ends; /* of those that can be read */
	size_t monitor_count;
	/* Findings that wait until the monitors' streams are read: those show whether the last
	 * checkpoints, whose finding is the first, were cut off. */
	bool holding;
	struct verify_finding *held;
	size_t held_count;
};

/* The fact about a segment, made where there is none. */
struct verify_fact *verify_fact_get(struct verify *v, const struct segment_name *name);
const struct verify_fact *verify_fact_find(const struct verify *v, const struct segment_name *name);
bool verify_is_live(const struct verify *v, const struct identifier *incarnation);
/* Counts the finding and reports it, or holds it. */
void verify_report(struct verify *v, const struct verify_finding *finding);

/* A file that is broken as a whole. */
void verify_report_file(struct verify *v, const struct segment_name *name, const char *why);

/* Sees each record of a stream, just read; `previous` is the chain value before it. False: the
 * record is broken, with the reason in `e`. */
typedef bool verify_visit(struct verify *v, const struct reader *reader,
	const uint8_t previous[HASH_SIZE], const struct entry *entry, struct error *e);

/* Reads the stream that begins with `first` and reports what it found. False: broken. */
bool verify_stream(struct verify *v, const struct segment_list *files,
	const struct segment_file *first, verify_visit *visit);
/* The checkpoints, whose heads become facts. */
void verify_checkpoints(struct verify *v);
/* All signed heads of a segment, in order, from the checkpoints; the caller frees *ret. */
size_t verify_heads_of(struct verify *v, const struct segment_name *name, struct stream_head **ret);

#endif
