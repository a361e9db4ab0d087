/* SPDX-License-Identifier: Apache-2.0
 *
 * json_written: the inside of a JSON string as it is written, and what it means; inside masking/
 * only. Half of a surrogate pair alone is U+FFFD, as PostgreSQL's json holds some.
 */
#ifndef WAYLEAVE_MASKING_JSON_WRITTEN_H
#define WAYLEAVE_MASKING_JSON_WRITTEN_H

#include "base/buffer.h"

/* Half of a surrogate pair. */
static inline bool json_is_half(uint32_t c)
{
	return c >= 0xd800 && c < 0xe000;
}

/* The escape whose backslash is at `at`: stores the character, which may be half of a pair where
 * the other half is missing; returns how many bytes it was written with. 0: it is none. */
size_t json_written_escape(struct slice s, size_t at, uint32_t *ret);
/* One character of a string's inside, as it was written at `at`: stores what it means, which is not
 * longer; returns how many bytes it was written with. 0: it is no legal escape, then the byte
 * itself is stored. */
size_t json_written_character(struct slice s, size_t at, uint8_t ret[4], size_t *ret_length);
/* How many bytes from `at` on mean themselves, of `most`. */
size_t json_written_plain(struct slice s, size_t at, size_t most);
/* What the inside means, in place of what `out` held. -EINVAL: no legal escape; the buffer's. */
int json_written_decode(struct slice inside, struct buffer *out);
/* Moves on in the written string, which was decoded before, until `wanted` bytes of its meaning are
 * passed. */
void json_written_skip(struct slice inside, size_t wanted, size_t *at, size_t *decoded);

#endif
