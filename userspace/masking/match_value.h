/* SPDX-License-Identifier: Apache-2.0
 *
 * match_value: what the words of literals.inc say of the values behind them, inside masking/ only.
 * For text (match_secret.c) and for names that come apart from their values, as in JSON.
 */
#ifndef WAYLEAVE_MASKING_MATCH_VALUE_H
#define WAYLEAVE_MASKING_MATCH_VALUE_H

#include "masking/match.h"

/* How a value was written. */
enum value_form { VALUE_NONE, VALUE_QUOTED, VALUE_ASSIGNED, VALUE_LABELLED, VALUE_ELEMENT };

/* ASCII letters in any case. */
bool match_text_has(struct slice text, size_t at, const char *word);
/* Whether the literal's word at `at` may be, or end, a name. */
bool match_value_word(const struct literal *l, struct slice text, size_t at);
/* Where a suffix that changes nothing ends: "password_hash", "password2". */
size_t match_value_suffix(struct slice text, size_t at);
/* Whether the value, of at least one byte, may be what the literal's rule is about. */
bool match_value_is_plausible(const struct literal *l, struct slice value, enum value_form form);

#endif
