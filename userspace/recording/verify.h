/* SPDX-License-Identifier: Apache-2.0
 *
 * verify: whether the audit log, and on request the recordings, are as they were written.
 *
 * What is checked, in this order: the checkpoints' chain and signatures; the streams of the
 * monitors, which say what files were made, sealed and deleted; every other stream: names, links
 * between segments, sequence numbers, chain values or running hashes, and that they agree with the
 * last checkpoint that names them and reach as far; that no file is missing and none was added.
 */
#ifndef WAYLEAVE_RECORDING_VERIFY_H
#define WAYLEAVE_RECORDING_VERIFY_H

#include "recording/segments.h"
#include "recording/signing.h"

enum verify_state {
	VERIFY_GOOD, /* whole, with an orderly end */
	VERIFY_LIVE, /* whole as far as it was written yet */
	VERIFY_CRASHED, /* whole, but its writer died: no orderly end, perhaps a torn record at the
			   end */
	VERIFY_BROKEN,
};

/* What was found out about one stream, or with VERIFY_BROKEN about one place in it. */
struct verify_finding {
	struct segment_name name; /* of the stream; `segment` is the broken one */
	enum verify_state state;
	uint64_t segments, records;
	uint64_t signed_records; /* of `records`: those that a checkpoint vouches for */
	uint64_t record,
		offset; /* the first broken record's number and place; 0 = the file as a whole */
	char text[400]; /* for people: why */
};

struct verify_options {
	int audit_folder, recordings_folder;
	const struct signing_key *key;
	bool recordings; /* read the recordings and indexes too, instead of only looking for them */
	const struct identifier
		*live; /* incarnations that are alive; what they write may be torn */
	size_t live_count;
	/* Incarnations of whose end no later monitor has taken note yet (STORE_LIVE_FILE). */
	const struct identifier *unburied;
	size_t unburied_count;
	/* A checkpoint that somebody kept elsewhere: its number (0: none) and chain value. */
	uint64_t anchor_number;
	uint8_t anchor_hash[HASH_SIZE];
	void (*on_finding)(void *argument, const struct verify_finding *finding);
	void *argument;
};

struct verify_summary {
	uint64_t streams, records, broken;
	uint64_t checkpoints; /* with good signatures */
	uint64_t checkpoint_number; /* of the last; to be kept elsewhere, with … */
	uint8_t checkpoint_hash[HASH_SIZE];
	uint64_t checkpoint_time;
};

/* 0 = done (broken streams are counted in the summary), or negative errno with its sentence: the
 * check could not be made. */
int verify_run(const struct verify_options *options, struct verify_summary *ret, struct error *e);

#endif
