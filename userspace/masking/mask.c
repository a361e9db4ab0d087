/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/mask.h"

#include "base/text.h"

static const char *const strategy_names[MASK_STRATEGY_COUNT] = {
	[MASK_NONE] = "none",
	[MASK_PARTIAL] = "partial",
	[MASK_HASH] = "hash",
	[MASK_REDACT] = "redact",
	[MASK_NULL] = "null",
	[MASK_BASE64] = "base64",
};

static const char *const detector_names[DETECTOR_COUNT] = {
#define DETECTOR(symbol, name) [DETECTOR_##symbol] = name,
	DETECTORS(DETECTOR)
#undef DETECTOR
};

uint64_t mask_rules_serial(void)
{
	static uint64_t last;

	return ++last;
}

const char *mask_strategy_name(enum mask_strategy strategy)
{
	return strategy_names[strategy];
}

enum mask_strategy mask_strategy_from_name(struct slice name)
{
	for (unsigned i = MASK_NONE + 1; i < MASK_STRATEGY_COUNT; i++) {
		if (slice_equal_string(name, strategy_names[i]))
			return (enum mask_strategy)i;
	}
	return MASK_STRATEGY_COUNT;
}

const char *detector_name(enum detector detector)
{
	return detector_names[detector];
}

enum detector detector_from_name(struct slice name)
{
	for (unsigned i = 0; i < DETECTOR_COUNT; i++) {
		if (slice_equal_string(name, detector_names[i]))
			return (enum detector)i;
	}
	return DETECTOR_COUNT;
}

const char *mask_binary_name(enum mask_binary binary)
{
	static const char *const names[MASK_BINARY_COUNT] = {
		[MASK_BINARY_SEARCH] = "search",
		[MASK_BINARY_PASS] = "pass",
		[MASK_BINARY_REFUSE] = "refuse",
	};

	return names[binary];
}

enum mask_binary mask_binary_stricter(enum mask_binary a, enum mask_binary b)
{
	static const unsigned strictness[MASK_BINARY_COUNT] = {
		[MASK_BINARY_PASS] = 0,
		[MASK_BINARY_SEARCH] = 1,
		[MASK_BINARY_REFUSE] = 2,
	};

	return strictness[a] > strictness[b] ? a : b;
}

/* Splits "schema.table.column"; policy has checked that there are exactly two dots. */
static void split_pattern(struct slice pattern, struct slice parts[3])
{
	for (int i = 0; i < 2; i++) {
		const uint8_t *dot = memchr(pattern.data, '.', pattern.length);

		parts[i] = slice_head(pattern, dot ? (size_t)(dot - pattern.data) : pattern.length);
		pattern = slice_from(pattern, parts[i].length + 1);
	}
	parts[2] = pattern;
}

/* Names may hold dots themselves (quoted identifiers), so parts are matched one by one. */
static bool pattern_matches_relation(struct slice parts[3], struct slice schema, struct slice table)
{
	return text_glob(parts[0], schema) && text_glob(parts[1], table);
}

enum mask_strategy mask_rules_find_column(const struct mask_rules *rules, struct slice schema,
	struct slice table, struct slice column, bool *ret_filter_allowed)
{
	enum mask_strategy strictest = MASK_NONE;
	bool filter_allowed = true;

	for (size_t i = 0; i < rules->column_count; i++) {
		const struct mask_column *rule = &rules->columns[i];
		struct slice parts[3];

		split_pattern(rule->pattern, parts);
		if (!pattern_matches_relation(parts, schema, table) || !text_glob(parts[2], column))
			continue;
		if (rule->strategy > strictest)
			strictest = rule->strategy;
		filter_allowed &= rule->filter_allowed;
	}
	if (ret_filter_allowed)
		*ret_filter_allowed = filter_allowed;
	return strictest;
}

bool mask_rules_touch_relation(
	const struct mask_rules *rules, struct slice schema, struct slice table)
{
	for (size_t i = 0; i < rules->column_count; i++) {
		struct slice parts[3];

		split_pattern(rules->columns[i].pattern, parts);
		if (pattern_matches_relation(parts, schema, table))
			return true;
	}
	return false;
}
