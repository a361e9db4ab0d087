/* SPDX-License-Identifier: Apache-2.0
 *
 * identifier: the short names of sessions, reviews and grants: "s-7Q2KM4XT". Letters are
 * Crockford's base 32 (no I, L, O, U), random, so that nobody can guess or choose one.
 */
#ifndef WAYLEAVE_BASE_IDENTIFIER_H
#define WAYLEAVE_BASE_IDENTIFIER_H

#include "base/slice.h"

#define IDENTIFIER_SIZE 24 /* bytes, the NUL included */

struct identifier {
	char text[IDENTIFIER_SIZE];
};

/* `prefix` is one letter; `digits` of 5 bits each, at most 20. */
struct identifier identifier_new(char prefix, unsigned digits);
bool identifier_is_valid(struct slice text, char prefix);

#endif
