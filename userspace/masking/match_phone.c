/* SPDX-License-Identifier: Apache-2.0
 *
 * match_phone: telephone numbers: international ones (E.164), North American ones, and those that
 * begin with the trunk prefix 0.
 */
#include "masking/match.h"

#define PHONE_LEAST 8 /* digits behind "+" */
#define PHONE_MOST 15 /* E.164 */
#define AREA_MOST 6 /* digits before the bracket of an area code closes */

/* Country codes: one digit (1, 7), two digits, or three that begin with one of these pairs. */
static size_t country_code_length(const uint8_t *digits)
{
	static const char two[] =
		"20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 "
		"55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98";
	static const char three[] =
		"21 22 23 24 25 26 29 35 37 38 42 50 59 67 68 69 80 85 87 88 96 97 99";
	const char pair[3] = {(char)digits[0], (char)digits[1]};

	if (digits[0] == '1' || digits[0] == '7')
		return 1;
	if (strstr(two, pair))
		return 2;
	return strstr(three, pair) ? 3 : 0;
}

/* An area code of the North American plan begins with 2 to 9. */
static bool international_is_right(const uint8_t *digits, size_t count)
{
	if (digits[0] == '1')
		return count == 11 && digits[1] >= '2';
	return count >= PHONE_LEAST && country_code_length(digits) > 0;
}

/* Reads digits with at most two of " -./()" between them. After each group that could end a number
 * it is judged; the last that is right wins. */
static size_t read_international(struct slice text, size_t at)
{
	uint8_t digits[PHONE_MOST];
	size_t count = 0, end = 0;

	while (count < PHONE_MOST && character_at(text, at, CHARACTER_DIGIT)) {
		size_t gap = 0;

		digits[count++] = text.data[at++];
		if (character_at(text, at, CHARACTER_DIGIT))
			continue;
		if (count >= PHONE_LEAST && international_is_right(digits, count))
			end = at;
		/* "+49 (0)30 …": this 0 is not dialled from abroad. */
		if (text.length - at >= 4 && memcmp(text.data + at, " (0)", 4) == 0)
			at += 4;
		while (gap < 2 && at < text.length &&
			memchr(" -./()", text.data[at], count <= AREA_MOST ? 6 : 4)) {
			at++;
			gap++;
		}
	}
	return end && !character_at(text, end, CHARACTER_ALNUM) ? end : 0;
}

bool match_phone_plus(struct slice text, size_t at, struct match *ret)
{
	size_t end;

	if (!match_begins_word(text, at))
		return false;
	end = read_international(text, at + 1);
	if (!end)
		return false;
	*ret = (struct match){at, end};
	return true;
}

/* Whether directly before `at` stands a digit and one separator of that kind: then this is the
 * middle of a longer number. */
static bool group_before(struct slice text, size_t at, uint8_t separator)
{
	return at >= 2 && text.data[at - 1] == separator &&
		character_is(text.data[at - 2], CHARACTER_DIGIT);
}

static bool group_after(struct slice text, size_t at, uint8_t separator)
{
	return at < text.length && text.data[at] == separator &&
		character_at(text, at + 1, CHARACTER_DIGIT);
}

/* 212-555-0123, with "-", "." or a space; "1-" before it belongs to it. */
bool match_phone_us(struct slice text, size_t at, struct match *ret)
{
	uint8_t separator;
	size_t start = at, end = at + 12;

	if (text.length - at < 12 || text.data[at] < '2')
		return false;
	separator = text.data[at + 3];
	if (!memchr("-. ", separator, 3) || text.data[at + 7] != separator ||
		character_run(text, at, CHARACTER_DIGIT, 4) != 3 ||
		character_run(text, at + 4, CHARACTER_DIGIT, 4) != 3 ||
		character_run(text, at + 8, CHARACTER_DIGIT, 5) != 4)
		return false;
	if (group_before(text, at, separator) && text.data[at - 2] == '1')
		start = at - 2;
	if (group_before(text, start, separator) || group_after(text, end, separator) ||
		!match_begins_word(text, start) || !match_ends_word(text, end))
		return false;
	*ret = (struct match){start, end};
	return true;
}

/* Reads groups of at least two digits with separators of one kind between them (a slash may be
 * followed by spaces). Returns where they end; the number of digits and of groups is stored. */
static size_t read_national(struct slice text, size_t at, size_t *ret_digits, size_t *ret_groups)
{
	uint8_t separator = 0;

	*ret_digits = 0;
	*ret_groups = 0;
	for (;;) {
		size_t n = character_run(text, at, CHARACTER_DIGIT, PHONE_MOST);
		uint8_t next;

		if (n < 2)
			break;
		*ret_digits += n;
		*ret_groups += 1;
		at += n;
		if (*ret_digits > PHONE_MOST || at + 1 >= text.length ||
			!character_is(text.data[at + 1], CHARACTER_DIGIT))
			break;
		next = text.data[at];
		if (!memchr(" -./", next, 4) || (separator && next != separator))
			break;
		separator = next == '/' ? ' ' : next;
		at++;
	}
	return at;
}

/* 030 1234567, 0171/1234567, 06 12 34 56 78, and 0049 30 1234567: digits with at least one
 * separator, so that numbers filled up with zeros are none. */
bool match_phone_zero(struct slice text, size_t at, struct match *ret)
{
	size_t digits, groups, end;

	if (!match_begins_word(text, at) ||
		(at > 0 && memchr(" -./:,", text.data[at - 1], 6) && at > 1 &&
			character_is(text.data[at - 2], CHARACTER_DIGIT)))
		return false;
	if (text.length - at > PHONE_LEAST && memcmp(text.data + at, "00", 2) == 0) {
		end = read_international(text, at + 2 + (text.data[at + 2] == ' '));
		if (!end || !match_ends_word(text, end) ||
			character_run(text, at, CHARACTER_DIGIT, PHONE_MOST + 2) == end - at)
			return false;
	} else {
		end = read_national(text, at, &digits, &groups);
		if (digits < 10 || digits > 11 || groups < 2 || groups > 5 ||
			character_at(text, at + 1, CHARACTER_DIGIT) == 0 ||
			text.data[at + 1] == '0' || !match_ends_word(text, end))
			return false;
	}
	*ret = (struct match){at, end};
	return true;
}

/* (212) 555-0123, (030) 1234567 */
bool match_phone_area(struct slice text, size_t at, struct match *ret)
{
	size_t area = character_run(text, at + 1, CHARACTER_DIGIT, 6), digits, groups, end;
	bool right;

	end = at + 1 + area;
	if (area < 2 || area > 5 || end + 1 >= text.length || text.data[end] != ')')
		return false;
	end++;
	if (memchr(" -", text.data[end], 2))
		end++;
	end = read_national(text, end, &digits, &groups);
	digits += area;
	if (text.data[at + 1] == '0')
		right = text.data[at + 2] != '0' && digits >= 9 && digits <= 11;
	else
		right = area == 3 && text.data[at + 1] >= '2' && digits == 10;
	if (!right || !match_ends_word(text, end))
		return false;
	*ret = (struct match){at, end};
	return true;
}

bool match_phone_word(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t from = at + strlen(l->text), skipped = 0, count;

	/* "phone=2125550123", "\"mobile\": \"01711234567\"" */
	while (skipped < 16 && from < text.length && text.data[from] != '\n' &&
		!character_is(text.data[from], CHARACTER_DIGIT)) {
		from++;
		skipped++;
	}
	count = character_run(text, from, CHARACTER_DIGIT, PHONE_MOST + 1);
	if ((skipped == 0 && character_is(text.data[from - 1], CHARACTER_ALNUM)) || count < 10 ||
		count > 12 || !match_ends_word(text, from + count) ||
		(text.data[from] == '1' && count != 11))
		return false;
	*ret = (struct match){from, from + count};
	return true;
}
