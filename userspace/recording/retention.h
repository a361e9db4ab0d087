/* SPDX-License-Identifier: Apache-2.0
 *
 * retention: which recordings are deleted when, and what to tell the admin early. Pure: no files,
 * no clock.
 */
#ifndef WAYLEAVE_RECORDING_RETENTION_H
#define WAYLEAVE_RECORDING_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct retention_policy {
	uint64_t days; /* 0: no limit */
	uint64_t max_bytes; /* 0: no limit */
	unsigned warn_percent; /* of max_bytes; 0: no warning */
};

struct retention_file {
	uint64_t size;
	uint64_t modified; /* wall clock, nanoseconds */
	bool in_use; /* being written: it counts and is never deleted */
	bool by_age_alone; /* an index: it goes when its days are over, never for its size */
	bool is_deleted; /* the plan */
};

struct retention_report {
	uint64_t used; /* bytes before, … */
	uint64_t kept; /* … and after the plan was carried out */
	uint64_t oldest; /* of the kept recordings; 0 = none */
	uint64_t free_bytes; /* of the file system; UINT64_MAX = unknown; set by the caller */
	bool short_of_days; /* something younger than `days` is deleted for its size */
};

#define RETENTION_WARNING_SIZE 512
#define RETENTION_SEGMENT_LEAST (64ULL << 10)
#define RETENTION_SEGMENT_MOST (64ULL << 20)

/* Marks what is to be deleted. `files` come in any order and are sorted, oldest first. */
void retention_plan(const struct retention_policy *policy, struct retention_file **files,
	size_t count, uint64_t now, struct retention_report *ret);
/* At which size a recording goes on in another segment, with so many workers: what is being written
 * can't be deleted, so that it must be little beside max_bytes. */
uint64_t retention_segment_bytes(const struct retention_policy *policy, unsigned workers);
/* The warning, or an empty text: recordings near max_bytes, recordings deleted before their days
 * are over, or a file system that will be full before max_bytes is reached. */
void retention_warn(const struct retention_policy *policy, const struct retention_report *report,
	uint64_t now, char ret[RETENTION_WARNING_SIZE]);

#endif
