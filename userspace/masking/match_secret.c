/* SPDX-License-Identifier: Apache-2.0
 *
 * match_secret: values that are secret because of the word before them: password=…, "api_key": "…",
 * Authorization: Bearer …, scheme://user:…@host. The value is the finding, not the word.
 */
#include "base/memory.h"
#include "masking/match_value.h"

/* A keyword in a run of so many bytes without a blank or quote is no name any more. Keeps the
 * search linear. */
#define NAME_MOST 256
#define BLANKS_MOST 16
#define ELEMENT_MOST 1024 /* bytes between the tags of an XML element */
#define ENTITIES_MOST 64 /* in one unquoted value */

/* "=", ":", "=>", ":=", "==", also %3D and %3A; 0 where there is none. */
static size_t separator_length(struct slice text, size_t at, enum value_form *ret_form)
{
	static const struct {
		const char *text;
		enum value_form form;
	} separators[] = {
		{"=>", VALUE_ASSIGNED},
		{":=", VALUE_ASSIGNED},
		{"==", VALUE_ASSIGNED},
		{"=", VALUE_ASSIGNED},
		{":", VALUE_LABELLED},
		{"%3D", VALUE_ASSIGNED},
		{"%3A", VALUE_LABELLED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(separators); i++) {
		if (match_text_has(text, at, separators[i].text)) {
			*ret_form = separators[i].form;
			return strlen(separators[i].text);
		}
	}
	return 0;
}

/* Whether the keyword at `at` is an option: "--db-password x". */
static bool is_option(struct slice text, size_t at)
{
	size_t n = character_run_before(text, at, CHARACTER_BASE64_URL, 40);

	return n >= 2 && memcmp(text.data + at - n, "--", 2) == 0;
}

/* The end of the value in <password>…</password>, which begins at `at`; 0 where it is none. */
static size_t element_end(struct slice text, size_t at)
{
	struct slice rest = slice_head(slice_from(text, at), ELEMENT_MOST);
	const uint8_t *end = rest.length ? memchr(rest.data, '<', rest.length) : NULL;

	return end && match_text_has(text, (size_t)(end - text.data), "</")
		? (size_t)(end - text.data)
		: 0;
}

/* From behind the keyword to where the value begins, quotes not yet skipped. */
static size_t find_value(struct slice text, size_t keyword, size_t from, enum value_form *ret_form)
{
	size_t at = match_value_suffix(text, from), closers = 0, blanks, separator;

	/* "password": … params['password'] = … \"password\": … */
	while (closers < 4 && at < text.length && memchr("\\\"'`])", text.data[at], 6)) {
		at++;
		closers++;
	}
	blanks = character_run(text, at, CHARACTER_BLANK, BLANKS_MOST);
	separator = separator_length(text, at + blanks, ret_form);
	if (separator) {
		at += blanks + separator;
		if (closers)
			*ret_form = VALUE_ASSIGNED;
		return at + character_run(text, at, CHARACTER_BLANK, BLANKS_MOST);
	}
	*ret_form = VALUE_ASSIGNED;
	if (!closers && blanks == 0 && at < text.length && text.data[at] == '>') {
		*ret_form = VALUE_ELEMENT;
		return at + 1;
	}
	if (blanks && at + blanks < text.length && text.data[at + blanks] == '\'')
		return at + blanks; /* ALTER ROLE … PASSWORD '…' */
	if (!closers && blanks && is_option(text, keyword))
		return at + blanks;
	*ret_form = VALUE_NONE;
	return at;
}

/* The end of a quoted value that begins at `at`; `quote` is how it was opened: a quote, or one with
 * a backslash before it. The rest of the text where it is not closed. */
static size_t quoted_end(struct slice text, size_t at, struct slice quote)
{
	uint8_t mark = quote.data[quote.length - 1];

	while (at < text.length) {
		if (text.data[at] == '\\' && quote.length == 1) {
			at += 2;
		} else if (slice_starts_with(slice_from(text, at), quote)) {
			/* SQL writes a quote in a string twice. */
			if (quote.length == 2 || at + 1 >= text.length || text.data[at + 1] != mark)
				return at;
			at += 2;
		} else {
			at++;
		}
	}
	return text.length;
}

/* The end of an unquoted value. "&" ends it, as in URLs, but "&amp;" is a character of it. What
 * closes a sentence or bracket does not belong to it. */
static size_t unquoted_end(struct slice text, size_t start)
{
	static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#"};
	size_t at = start;

	for (unsigned count = 0; count < ENTITIES_MOST; count++) {
		size_t i = 0;

		at += character_run(text, at, CHARACTER_VALUE, SIZE_MAX);
		while (i < ARRAY_SIZE(entities) && !match_text_has(text, at, entities[i]))
			i++;
		if (i == ARRAY_SIZE(entities))
			break;
		at += strlen(entities[i]);
	}
	while (at > start && memchr(",.:)]}'`\\", text.data[at - 1], 9))
		at--;
	return at;
}

/* Reads the value that begins at `at`. False where there is none, or it can't be a secret. */
static bool read_value(
	struct slice text, size_t keyword, size_t at, enum value_form *form, struct match *ret)
{
	size_t quote = at;

	if (*form == VALUE_ELEMENT) {
		*ret = (struct match){at, element_end(text, at)};
		return ret->start < ret->end;
	}
	/* Python's b"…", u'…' */
	if (quote + 1 < text.length && memchr("bBuUrRfF", text.data[quote], 8) &&
		memchr("\"'", text.data[quote + 1], 2))
		quote++;
	if (quote + 1 < text.length && text.data[quote] == '\\' &&
		memchr("\"'`", text.data[quote + 1], 3)) {
		*form = VALUE_QUOTED;
		*ret = (struct match){
			quote + 2, quoted_end(text, quote + 2, slice_of(text.data + quote, 2))};
	} else if (quote < text.length && memchr("\"'`", text.data[quote], 3)) {
		*form = VALUE_QUOTED;
		*ret = (struct match){
			quote + 1, quoted_end(text, quote + 1, slice_of(text.data + quote, 1))};
	} else {
		if (at >= text.length || memchr("{[(<,", text.data[at], 5) ||
			match_text_has(text, at, "${") || match_text_has(text, at, "$(") ||
			character_run_before(text, keyword, CHARACTER_VALUE, NAME_MOST) ==
				NAME_MOST)
			return false;
		*ret = (struct match){at, unquoted_end(text, at)};
	}
	ret->end = ret->end < text.length ? ret->end : text.length;
	return ret->start < ret->end;
}

/* Authorization: Bearer …: the scheme is no secret (RFC 9110, section 11.4). */
static void skip_scheme(struct slice text, struct match *found)
{
	static const char *const schemes[] = {"bearer ", "basic ", "token ", "digest "};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (!match_text_has(text, found->start, schemes[i]))
			continue;
		found->start += strlen(schemes[i]);
		/* Without quotes the value was taken to end behind the scheme. */
		if (found->end <= found->start)
			found->end = unquoted_end(text, found->start);
		return;
	}
}

bool match_named(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	enum value_form form;
	size_t from;
	struct match found;

	if (!match_value_word(l, text, at))
		return false;
	from = find_value(text, at, at + strlen(l->text), &form);
	if (form == VALUE_NONE || !read_value(text, at, from, &form, &found))
		return false;
	if (l->rule == RULE_AUTHORIZATION)
		skip_scheme(text, &found);
	if (!match_value_is_plausible(
		    l, slice_of(text.data + found.start, found.end - found.start), form))
		return false;
	*ret = found;
	return true;
}

/* "Bearer " and at least 16 characters of a token (RFC 6750). */
bool match_bearer(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t from = at + strlen(l->text);
	size_t n = character_run(text, from, CHARACTER_TOKEN | CHARACTER_BASE64, SIZE_MAX);

	if (!match_begins_word(text, at) || n < l->least)
		return false;
	*ret = (struct match){from, from + n};
	return true;
}

static size_t authority_end(struct slice text, size_t at)
{
	while (at < text.length && character_is(text.data[at], CHARACTER_VALUE) &&
		!memchr("/?#\\'`", text.data[at], 6))
		at++;
	return at;
}

/* scheme://user:password@host (RFC 3986, section 3.2.1), and scheme://token@host. */
bool match_url_password(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t from = at + strlen(l->text), end = authority_end(text, from);
	const uint8_t *sign = end > from ? memrchr(text.data + from, '@', end - from) : NULL;
	const uint8_t *colon;

	if (!sign)
		return false;
	end = (size_t)(sign - text.data);
	colon = memchr(text.data + from, ':', end - from);
	if (colon)
		from = (size_t)(colon - text.data) + 1;
	if (end - from < (colon ? 1 : l->least))
		return false;
	*ret = (struct match){from, end};
	return true;
}

/* ?sig=… of a shared access signature. */
bool match_url_signature(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t from = at + strlen(l->text), n = 0;

	while (character_at(text, from + n, CHARACTER_BASE64 | CHARACTER_TOKEN) ||
		(from + n < text.length && text.data[from + n] == '%'))
		n++;
	if (n < l->least)
		return false;
	*ret = (struct match){from, from + n};
	return true;
}
