/* SPDX-License-Identifier: Apache-2.0
 *
 * measure: whether a text is small enough for a recursive parser, known before it runs. Internal to
 * protocol/sql/.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_MEASURE_H
#define WAYLEAVE_PROTOCOL_SQL_MEASURE_H

#include "base/slice.h"

/* Why the text may not be parsed, NULL where it may. Static. The text must have a NUL behind it. */
const char *measure_text(struct slice text);

/* Exposed for tests. At least as many tokens as the lexer would find in the text, whatever its
 * quotes and comments are. */
size_t measure_tokens(struct slice text);
/* What the lexer may have to do for runs of operator characters: each of them may be read again for
 * each token or comment that begins in the run. */
uint64_t measure_operators(struct slice text);

/* Tokens, each as often as the parse tree that is written out repeats it; 0 where it repeats none.
 * The text must have a NUL behind it. */
uint64_t measure_copies(struct slice text);

#endif
