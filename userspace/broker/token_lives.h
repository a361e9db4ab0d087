/* SPDX-License-Identifier: Apache-2.0
 *
 * token_lives: when tokens end that were good once, by a clock that nobody can set. One that is
 * shown again (in another file, with another line break, or signed once more) lives no longer.
 */
#ifndef WAYLEAVE_BROKER_TOKEN_LIVES_H
#define WAYLEAVE_BROKER_TOKEN_LIVES_H

#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/sha256.h"

struct token_lives {
	struct token_life {
		uint8_t digest[SHA256_SIZE]; /* of what is signed: of that there is one text */
		uint64_t ends;
	} items[LIMIT_TOKENS_KNOWN];
	size_t count; /* all that came: the oldest goes */
};

/* When a token ends (clock_boot(), nanoseconds): what was said of it first; `ends` where it is new.
 * `token` is what token_trim() leaves, and was found good. */
uint64_t token_lives_keep(struct token_lives *l, struct slice token, uint64_t ends);

#endif
