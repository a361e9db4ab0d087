/* SPDX-License-Identifier: Apache-2.0
 *
 * json_check: JSON as it is masked, against json_plain.
 */
#ifndef WAYLEAVE_TESTS_JSON_CHECK_H
#define WAYLEAVE_TESTS_JSON_CHECK_H

#include "masking/source.h"

/* Whether paths, detectors (with and without an index of the text), and both in one walk make the
 * same of the text as they do byte by byte. There is a path at least. */
bool json_check(const struct mask_rules *rules, const struct masker *m, struct slice text);

#endif
