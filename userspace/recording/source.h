/* SPDX-License-Identifier: Apache-2.0
 *
 * source: the bytes of a segment, from a plain file or a zstd-compressed one, at most
 * LIMIT_SEGMENT_BYTES of them and with a bounded window, whatever the file claims.
 */
#ifndef WAYLEAVE_RECORDING_SOURCE_H
#define WAYLEAVE_RECORDING_SOURCE_H

#include <sys/types.h>

#include "base/slice.h"

struct source_inflater;

struct source {
	int fd; /* the caller's; read with pread(2) */
	uint64_t position; /* in the file */
	uint64_t produced; /* bytes handed out */
	struct source_inflater *inflater; /* NULL: plain */
};

void source_init(struct source *s, int fd, bool compressed);
void source_done(struct source *s);
/* Bytes stored in `ret`, 0 at the end (a plain file that grew may then give more), or negative
 * errno: -EBADMSG = no valid zstd, -EFBIG = too long. */
ssize_t source_read(struct source *s, void *ret, size_t size);

#endif
