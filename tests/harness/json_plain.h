/* SPDX-License-Identifier: Apache-2.0
 *
 * json_plain: what masking JSON means, read byte by byte, with each token decoded and searched by
 * itself: slow, and so plain that what is fast can be held against it.
 */
#ifndef WAYLEAVE_TESTS_JSON_PLAIN_H
#define WAYLEAVE_TESTS_JSON_PLAIN_H

#include "masking/source.h"

#define JSON_PLAIN_PATHS 8u /* that rules may have here */

/* Appends the text with what the rules' paths name replaced; *ret_replaced: there was something.
 * -EBADMSG: it is no JSON. */
int json_plain_paths(const struct mask_rules *rules, const struct masker *m, struct slice json,
	struct buffer *out, bool *ret_replaced);
/* Appends the text with what the masker's detectors find replaced. Returns enum mask_outcome. */
int json_plain_findings(const struct masker *m, struct slice json, struct buffer *out);

#endif
