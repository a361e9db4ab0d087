/* SPDX-License-Identifier: Apache-2.0
 *
 * compress: zstd of a finished segment. Pure on its two descriptors, so that it can run in a
 * process that has nothing else.
 */
#ifndef WAYLEAVE_RECORDING_COMPRESS_H
#define WAYLEAVE_RECORDING_COMPRESS_H

#include "recording/format.h"

struct compress_result {
	uint64_t plain_bytes, compressed_bytes;
	uint8_t digest[HASH_SIZE]; /* SHA-256 of the plain bytes */
};

/* Compresses the file `fd_in` into the empty file `fd_out` (open for reading too), then reads that
 * back and compares. 0, or negative errno: -EBADMSG = what came back is not what went in. Both
 * descriptors stay the caller's. */
int compress_segment(int fd_in, int fd_out, struct compress_result *ret);

#endif
