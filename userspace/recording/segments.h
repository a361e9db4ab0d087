/* SPDX-License-Identifier: Apache-2.0
 *
 * segments: which segments stand in a folder.
 */
#ifndef WAYLEAVE_RECORDING_SEGMENTS_H
#define WAYLEAVE_RECORDING_SEGMENTS_H

#include "recording/format.h"

struct segment_file {
	struct segment_name name;
	uint64_t size; /* of the file */
	uint64_t modified; /* wall clock, nanoseconds */
	bool duplicate; /* compressed, and its plain file (which stands in front of it) is still
			   there */
};

struct segment_list {
	struct segment_file *files; /* by incarnation, kind, number */
	size_t count;
};

/* Other files are passed over. Negative errno with its sentence. */
int segment_list_load(struct segment_list *ret, int folder, struct error *e);
void segment_list_done(struct segment_list *l);
/* The first file of the stream, or with at least this number; NULL where there is none. */
const struct segment_file *segment_list_find(const struct segment_list *l,
	const struct identifier *incarnation, enum stream_kind kind, uint32_t number);
/* The next one of the same stream, without duplicates; NULL at the end. */
const struct segment_file *segment_list_next(
	const struct segment_list *l, const struct segment_file *file);
bool segment_is_same_stream(const struct segment_name *a, const struct segment_name *b);
/* Opens it for reading; a descriptor, the caller's, or negative errno. */
int segment_open(int folder, const struct segment_name *name);
/* The same, also where it has been compressed since its name was read: what it is now. */
int segment_open_now(int folder, const struct segment_name *name, bool *ret_compressed);

#endif
