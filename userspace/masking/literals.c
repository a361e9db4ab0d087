/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "masking/match.h"

const struct literal literals[] = {
#define TOKEN(kind, prefix, following, fewest, highest)                                            \
	{.text = prefix,                                                                           \
		.detector = DETECTOR_##kind,                                                       \
		.match = match_token,                                                              \
		.classes = following,                                                              \
		.least = fewest,                                                                   \
		.most = highest},
#define NAMED(kind, word, kind_of_value, fewest)                                                   \
	{.text = word,                                                                             \
		.ignore_case = true,                                                               \
		.detector = DETECTOR_##kind,                                                       \
		.match = match_named,                                                              \
		.rule = RULE_##kind_of_value,                                                      \
		.least = fewest},
#define DIGITS(kind, word, matcher)                                                                \
	{.text = word,                                                                             \
		.ignore_case = true,                                                               \
		.detector = DETECTOR_##kind,                                                       \
		.match = matcher,                                                                  \
		.rule = RULE_DIGITS},
#define OTHER(kind, literal_text, any_case, matcher, fewest, highest, covering)                    \
	{.text = literal_text,                                                                     \
		.ignore_case = any_case,                                                           \
		.detector = DETECTOR_##kind,                                                       \
		.match = matcher,                                                                  \
		.least = fewest,                                                                   \
		.most = highest,                                                                   \
		.covers = covering},
#include "masking/literals.inc"
#undef TOKEN
#undef NAMED
#undef DIGITS
#undef OTHER
};
const size_t literal_count = ARRAY_SIZE(literals);

_Static_assert(ARRAY_SIZE(literals) <= 64 * ARRAY_SIZE(((struct detector_name *)0)->literals),
	"a bit for each literal");
