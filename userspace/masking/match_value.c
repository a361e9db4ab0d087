/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/match_value.h"

#include "base/memory.h"
#include "base/text.h"

/* Longer names are no names; keeps their judging short. */
#define NAME_MOST 256
/* No shorter row of digits alone is a token: it counts something ("max_token=4096"). */
#define TOKEN_DIGITS 12
/* A word of this length behind a colon is no prose ("token: identifier"). */
#define PROSE_MOST 20

bool match_text_has(struct slice text, size_t at, const char *word)
{
	size_t n = strlen(word);

	return at <= text.length && text.length - at >= n &&
		text_equal_ignore_case(slice_of(text.data + at, n), slice_from_string(word));
}

size_t match_value_suffix(struct slice text, size_t at)
{
	static const char *const suffixes[] = {
		"confirmation", "confirm", "plaintext", "plain", "value", "hash", "text"};

	if (at < text.length && memchr("_-", text.data[at], 2)) {
		for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
			if (match_text_has(text, at + 1, suffixes[i]))
				return at + 1 + strlen(suffixes[i]);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (match_text_has(text, at, suffixes[i]))
			return at + strlen(suffixes[i]);
	}
	return at + character_run(text, at, CHARACTER_DIGIT, 3);
}

bool match_value_word(const struct literal *l, struct slice text, size_t at)
{
	/* "db_pass", "smtpPass", not "bypass" */
	return l->rule != RULE_PASS || match_begins_part(text, at);
}

/* Values that say that there is none, or that it was taken out before. */
static bool is_placeholder(struct slice value)
{
	static const char *const words[] = {"null", "none", "nil", "true", "false", "undefined",
		"required", "optional", "[masked]"};
	size_t stars = 0;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (text_equal_ignore_case(value, slice_from_string(words[i])))
			return true;
	}
	while (stars < value.length && value.data[stars] == '*')
		stars++;
	return stars == value.length;
}

static bool token_is_plausible(const struct literal *l, struct slice value, enum value_form form)
{
	size_t digits = character_run(value, 0, CHARACTER_DIGIT, SIZE_MAX), i = 0;

	if (value.length < l->least || (digits == value.length && digits < TOKEN_DIGITS))
		return false;
	if (form != VALUE_LABELLED || value.length >= PROSE_MOST)
		return true;
	while (i < value.length && !character_is(value.data[i], CHARACTER_DIGIT))
		i++;
	return i < value.length;
}

bool match_value_is_plausible(const struct literal *l, struct slice value, enum value_form form)
{
	if (is_placeholder(value))
		return false;
	switch (l->rule) {
	case RULE_PASSWORD:
		return true;
	case RULE_PASS: /* "pass: 10" counts tests */
		return form != VALUE_LABELLED;
	case RULE_PWD: /* the working directory of a process */
		return !memchr("/~", value.data[0], 2);
	case RULE_TOKEN:
		return token_is_plausible(l, value, form);
	case RULE_AUTHORIZATION:
		return value.length >= l->least;
	default:
		return false;
	}
}

/* Whether the name, but for a suffix, ends in the literal's word. */
static bool name_ends_in(struct slice name, const struct literal *l)
{
	size_t n = strlen(l->text);

	for (size_t at = 0; at + n <= name.length; at++) {
		if (text_lower(name.data[at]) == (uint8_t)l->text[0] &&
			match_text_has(name, at, l->text) &&
			match_value_suffix(name, at + n) == name.length &&
			match_value_word(l, name, at))
			return true;
	}
	return false;
}

/* Whether the name has the literal's word in it, for bare digits. */
static bool name_holds(struct slice name, const struct literal *l)
{
	for (size_t at = 0; at < name.length; at++) {
		if (match_text_has(name, at, l->text))
			return true;
	}
	return false;
}

bool match_read_name(struct slice name, struct detector_name *ret)
{
	bool any = false;

	*ret = (struct detector_name){{0}};
	if (name.length > NAME_MOST)
		return false;
	for (size_t i = 0; i < literal_count; i++) {
		const struct literal *l = &literals[i];

		if (l->rule == RULE_NONE ||
			!(l->rule == RULE_DIGITS ? name_holds(name, l) : name_ends_in(name, l)))
			continue;
		ret->literals[i / 64] |= 1ULL << i % 64;
		any = true;
	}
	return any;
}

/* "ssn": 123456789: as if name and value were one text. */
static bool digits_are_plausible(const struct literal *l, struct slice value)
{
	char text[64];
	size_t n = strlen(l->text);
	struct match found;

	if (n + 1 + value.length > sizeof(text))
		return false;
	memcpy(text, l->text, n);
	text[n] = '=';
	memcpy(text + n + 1, value.data, value.length);
	return l->match(l, slice_of(text, n + 1 + value.length), 0, &found);
}

unsigned match_named_value(const struct detector_name *name, struct slice value)
{
	unsigned found = 0;

	if (value.length == 0)
		return 0;
	for (size_t w = 0; w < ARRAY_SIZE(name->literals); w++) {
		for (uint64_t rest = name->literals[w]; rest; rest &= rest - 1) {
			const struct literal *l =
				&literals[w * 64 + (unsigned)__builtin_ctzll(rest)];

			if (l->rule == RULE_DIGITS
					? digits_are_plausible(l, value)
					: match_value_is_plausible(l, value, VALUE_QUOTED))
				found |= 1u << l->detector;
		}
	}
	return found;
}
