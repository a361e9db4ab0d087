/* SPDX-License-Identifier: Apache-2.0
 *
 * mask: what is to be hidden in results, and how. Plain data: policy fills it, protocols obey it.
 */
#ifndef WAYLEAVE_MASKING_MASK_H
#define WAYLEAVE_MASKING_MASK_H

#include "base/slice.h"

/* In rising strictness: where several apply to one value, the highest wins. */
enum mask_strategy {
	MASK_NONE, /* shown as it is */
	MASK_PARTIAL, /* the last four characters kept, each other one "*" */
	MASK_HASH, /* "[hash:" + 16 hex digits of HMAC-SHA-256 under the host's key + "]" */
	MASK_REDACT, /* "[masked]" */
	MASK_NULL,
	MASK_BASE64, /* "[masked]" in base64, for what is read as that; not for policy files */
	MASK_STRATEGY_COUNT
};

/* DETECTOR(symbol, name in policy files) */
#define DETECTORS(DETECTOR)                                                                        \
	DETECTOR(CREDIT_CARD, "credit_card")                                                       \
	DETECTOR(EMAIL, "email")                                                                   \
	DETECTOR(US_SSN, "us_ssn")                                                                 \
	DETECTOR(IBAN, "iban")                                                                     \
	DETECTOR(PHONE, "phone")                                                                   \
	DETECTOR(JWT, "jwt")                                                                       \
	DETECTOR(PRIVATE_KEY, "private_key")                                                       \
	DETECTOR(CLOUD_KEY, "cloud_key")                                                           \
	DETECTOR(SECRET, "secret")                                                                 \
	DETECTOR(IP_ADDRESS, "ip_address")

enum detector {
#define DETECTOR(symbol, name) DETECTOR_##symbol,
	DETECTORS(DETECTOR)
#undef DETECTOR
		DETECTOR_COUNT
};

/* A column mask of one rule. The pattern has exactly three parts, each a glob. */
struct mask_column {
	struct slice pattern; /* "schema.table.column" */
	enum mask_strategy strategy;
	bool filter_allowed; /* may be used in WHERE, JOIN, ORDER BY, GROUP BY */
};

/* What becomes of content that is no text, where something in it would be masked. */
enum mask_binary {
	MASK_BINARY_SEARCH, /* it is searched as text is */
	MASK_BINARY_PASS, /* it passes as it is */
	MASK_BINARY_REFUSE,
	MASK_BINARY_COUNT
};

/* A mask of values in JSON. */
struct mask_json {
	struct slice path; /* "$.customers[*].ssn": masking/json_path.h */
	enum mask_strategy strategy;
};

/* All masks that a verdict carries. Owned by whoever made it; immutable. */
struct mask_rules {
	/* Unique in the process (mask_rules_serial()): what was derived from the rules is kept
	 * under it, as an address may come back. */
	uint64_t serial;
	const struct mask_column *columns;
	size_t column_count;
	const struct mask_json *json;
	size_t json_count;
	enum mask_strategy detectors[DETECTOR_COUNT];
	bool detects; /* at least one detector is on */
	enum mask_binary binary; /* in content of HTTP */
};

/* Whether they mask anything at all. */
static inline bool mask_rules_any(const struct mask_rules *rules)
{
	return rules->column_count || rules->json_count || rules->detects;
}

/* Whether they mask anything in contents of HTTP. */
static inline bool mask_rules_any_content(const struct mask_rules *rules)
{
	return rules->json_count || rules->detects;
}

/* A serial that no other set of rules of this process had; from 1. One thread at a time. */
uint64_t mask_rules_serial(void);

const char *mask_strategy_name(enum mask_strategy strategy);
/* MASK_STRATEGY_COUNT where there is none of that name. */
enum mask_strategy mask_strategy_from_name(struct slice name);
const char *detector_name(enum detector detector);
/* DETECTOR_COUNT where there is none of that name. */
enum detector detector_from_name(struct slice name);

const char *mask_binary_name(enum mask_binary binary);
/* Of what two masks say, the stricter one. */
enum mask_binary mask_binary_stricter(enum mask_binary a, enum mask_binary b);

/* How the column is to be masked: the strictest strategy of all patterns that match it, MASK_NONE
 * where none does. *ret_filter_allowed (may be NULL) is true where every matching pattern says so.
 */
enum mask_strategy mask_rules_find_column(const struct mask_rules *rules, struct slice schema,
	struct slice table, struct slice column, bool *ret_filter_allowed);
/* Whether any pattern could match a column of that relation. */
bool mask_rules_touch_relation(
	const struct mask_rules *rules, struct slice schema, struct slice table);

#endif
