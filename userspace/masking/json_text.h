/* SPDX-License-Identifier: Apache-2.0
 *
 * json_text: masks JSON (RFC 8259) as text, so that it stays valid: findings in strings stay inside
 * them, a number with a finding becomes a string. Names count: the value of "password" is a secret.
 */
#ifndef WAYLEAVE_MASKING_JSON_TEXT_H
#define WAYLEAVE_MASKING_JSON_TEXT_H

#include "masking/source.h"

/* Searches strings (escapes decoded), names and numbers by the masker's detectors. Returns enum
 * mask_outcome: MASK_TO_NULL where a detector's strategy is null, or where something was found in
 * what is no JSON. Errors of buffer.h and detector.h; then nothing was appended. */
int json_mask_findings(const struct masker *m, const struct mask_source *json, struct buffer *out);

/* Appends one JSON string with the mask of the whole value: of the string's content where the value
 * is one string, else of its text. The strategy is not MASK_NONE or MASK_NULL. */
int json_mask_whole(
	const struct masker *m, enum mask_strategy strategy, struct slice json, struct buffer *out);

#endif
