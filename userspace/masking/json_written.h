/* SPDX-License-Identifier: Apache-2.0
 *
 * json_written: the inside of a JSON string as it is written, and what it means; inside masking/
 * only. Half of a surrogate pair alone is U+FFFD, as PostgreSQL's json holds some.
 */
#ifndef WAYLEAVE_MASKING_JSON_WRITTEN_H
#define WAYLEAVE_MASKING_JSON_WRITTEN_H

#include "base/buffer.h"

/* What the inside means, in place of what `out` held. -EINVAL: no legal escape; the buffer's. */
int json_written_decode(struct slice inside, struct buffer *out);
/* Moves on in the written string, which was decoded before, until `wanted` bytes of its meaning are
 * passed. */
void json_written_skip(struct slice inside, size_t wanted, size_t *at, size_t *decoded);

#endif
