/* SPDX-License-Identifier: Apache-2.0
 *
 * match_number: card numbers, social security numbers, account numbers.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "masking/match.h"

#define CARD_MOST 19 /* digits (ISO/IEC 7812-1) */

/* Issuers, by the first six digits. `lengths` has bit n where numbers of n digits exist. */
struct card_range {
	uint32_t first, last;
	uint32_t lengths;
};
#define LENGTH(n) (1u << (n))
#define LENGTHS_16_19 (LENGTH(16) | LENGTH(17) | LENGTH(18) | LENGTH(19))
#define LENGTHS_13_19 (LENGTH(13) | LENGTH(14) | LENGTH(15) | LENGTHS_16_19)
static const struct card_range card_ranges[] = {
	{220000, 220499, LENGTHS_16_19}, /* Mir */
	{222100, 272099, LENGTH(16)}, /* Mastercard */
	{300000, 305999, LENGTH(14) | LENGTHS_16_19}, /* Diners Club */
	{309500, 309599, LENGTH(14) | LENGTHS_16_19}, /* Diners Club */
	{340000, 349999, LENGTH(15)}, /* American Express */
	{352800, 358999, LENGTHS_16_19}, /* JCB */
	{360000, 369999, LENGTH(14) | LENGTHS_16_19}, /* Diners Club */
	{370000, 379999, LENGTH(15)}, /* American Express */
	{380000, 399999, LENGTH(14) | LENGTHS_16_19}, /* Diners Club */
	{400000, 499999, LENGTH(13) | LENGTH(16) | LENGTH(19)}, /* Visa */
	{500000, 509999, LENGTHS_13_19}, /* Maestro, RuPay */
	{510000, 559999, LENGTH(16)}, /* Mastercard */
	{560000, 589999, LENGTHS_13_19}, /* Maestro */
	{601100, 601199, LENGTHS_16_19}, /* Discover */
	{620000, 629999, LENGTHS_16_19}, /* UnionPay */
	{630400, 630499, LENGTHS_13_19}, /* Maestro */
	{636000, 639999, LENGTHS_13_19}, /* Maestro, InstaPayment */
	{644000, 659999, LENGTHS_16_19}, /* Discover, RuPay */
	{670000, 679999, LENGTHS_13_19}, /* Maestro */
	{810000, 829999, LENGTHS_16_19}, /* UnionPay, RuPay */
	{979200, 979289, LENGTH(16)}, /* Troy */
};

static bool luhn_is_right(const uint8_t *digits, size_t count)
{
	unsigned sum = 0;

	for (size_t i = 0; i < count; i++) {
		unsigned d = digits[count - 1 - i] - '0';

		if (i % 2 == 1)
			d = d > 4 ? 2 * d - 9 : 2 * d;
		sum += d;
	}
	return sum % 10 == 0;
}

static bool card_is_right(const uint8_t *digits, size_t count)
{
	uint32_t issuer = 0;

	if (count < 13 || count > CARD_MOST)
		return false;
	for (size_t i = 0; i < 6; i++)
		issuer = issuer * 10 + (digits[i] - '0');
	for (size_t i = 0; i < ARRAY_SIZE(card_ranges); i++) {
		const struct card_range *r = &card_ranges[i];

		if (issuer >= r->first && issuer <= r->last)
			return r->lengths >> count & 1 && luhn_is_right(digits, count);
	}
	return false;
}

static unsigned read_number(const uint8_t *digits, size_t count)
{
	unsigned value = 0;

	for (size_t i = 0; i < count; i++)
		value = value * 10 + (digits[i] - '0');
	return value;
}

/* Whether a digit, or a digit and a dash, stands directly before: then the number is a part of a
 * longer one. */
static bool number_goes_on_before(struct slice text, size_t at)
{
	if (at > 0 && text.data[at - 1] == '-')
		at--;
	return at > 0 && character_is(text.data[at - 1], CHARACTER_DIGIT);
}

/* The letters a to f beside 13 digits make them part of a hash; the digits behind a decimal point
 * are a fraction. */
static bool card_may_begin(struct slice text, size_t at)
{
	if (at > 0 && character_is(text.data[at - 1], CHARACTER_HEX))
		return match_begins_word(text, at);
	return at < 2 || text.data[at - 1] != '.' ||
		!character_is(text.data[at - 2], CHARACTER_DIGIT);
}

bool match_card_digits(struct slice text, size_t at, struct match *ret)
{
	size_t before = character_run_before(text, at, CHARACTER_DIGIT, CARD_MOST);
	size_t start = at - before;
	size_t count = character_run(text, start, CHARACTER_DIGIT, CARD_MOST + 1);

	if (!card_is_right(text.data + start, count) || !card_may_begin(text, start) ||
		character_at(text, start + count, CHARACTER_HEX))
		return false;
	*ret = (struct match){start, start + count};
	return true;
}

/* Reads groups of the given sizes with `separator` between them. Stores the digits; 0 where the
 * text is not so, else where the last group ends. */
static size_t read_groups(
	struct slice text, size_t at, const char *sizes, uint8_t separator, uint8_t *ret_digits)
{
	size_t count = 0;

	for (const char *size = sizes; *size; size++) {
		size_t n = (size_t)(*size - '0');

		if (size != sizes && (at >= text.length || text.data[at++] != separator))
			return 0;
		if (character_run(text, at, CHARACTER_DIGIT, n) != n)
			return 0;
		memcpy(ret_digits + count, text.data + at, n);
		count += n;
		at += n;
	}
	return character_at(text, at, CHARACTER_DIGIT) ? 0 : at;
}

bool match_card_groups(struct slice text, size_t at, struct match *ret)
{
	/* As printed on cards; the longer first where one is the other's begin. */
	static const char *const layouts[] = {"44443", "4444", "465", "464", "4333", "445"};
	uint8_t digits[CARD_MOST];

	if (at > 0 && character_is(text.data[at - 1], CHARACTER_DIGIT))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		size_t count = 0, end;

		if (at + 4 >= text.length)
			return false;
		end = read_groups(text, at, layouts[i], text.data[at + 4], digits);
		for (const char *size = layouts[i]; *size; size++)
			count += (size_t)(*size - '0');
		/* 4111-1111-1111-1111abcdef01 is the end of a UUID. */
		if (end && text.data[at + 4] == '-' && character_at(text, end, CHARACTER_HEX))
			continue;
		if (end && card_is_right(digits, count)) {
			*ret = (struct match){at, end};
			return true;
		}
	}
	return false;
}

/* 4,111,111,111,111,111, as the type money and people write large numbers. */
bool match_card_thousands(struct slice text, size_t at, struct match *ret)
{
	size_t start = at - character_run_before(text, at, CHARACTER_DIGIT, 2), end = at + 1;
	uint8_t digits[CARD_MOST + 3];
	size_t count = end - start;

	if (start > 0 && character_is(text.data[start - 1], CHARACTER_DIGIT))
		return false;
	memcpy(digits, text.data + start, count);
	while (count <= CARD_MOST && end < text.length && text.data[end] == ',' &&
		character_run(text, end + 1, CHARACTER_DIGIT, 4) == 3) {
		memcpy(digits + count, text.data + end + 1, 3);
		count += 3;
		end += 4;
	}
	if (!card_is_right(digits, count))
		return false;
	*ret = (struct match){start, end};
	return true;
}

/* 4.111111111111111e+15, as PostgreSQL writes a double that is a whole number. `at` is the digit
 * before the "e". */
bool match_card_exponent(struct slice text, size_t at, struct match *ret)
{
	size_t fraction = character_run_before(text, at + 1, CHARACTER_DIGIT, CARD_MOST);
	size_t start = at + 1 - fraction, whole = fraction, exponent;
	uint8_t digits[CARD_MOST];

	if (text.length - at < 5 || text_lower(text.data[at + 1]) != 'e' ||
		text.data[at + 2] != '+' || character_run(text, at + 3, CHARACTER_DIGIT, 3) != 2)
		return false;
	if (start >= 2 && text.data[start - 1] == '.') {
		start -= 2;
		whole = 1;
	} else {
		fraction = 0;
	}
	exponent = read_number(text.data + at + 3, 2);
	if (whole != 1 || number_goes_on_before(text, start) ||
		!character_is(text.data[start], CHARACTER_DIGIT) || exponent < fraction ||
		exponent >= CARD_MOST)
		return false;
	memset(digits, '0', sizeof(digits));
	digits[0] = text.data[start];
	memcpy(digits + 1, text.data + at + 1 - fraction, fraction);
	if (!card_is_right(digits, exponent + 1))
		return false;
	*ret = (struct match){start, at + 5};
	return true;
}

/* Area, group and serial as the Social Security Administration gives them out; areas from 900 on
 * only with the groups of Individual Taxpayer Identification Numbers. */
static bool ssn_is_right(unsigned area, unsigned group, unsigned serial)
{
	if (area == 0 || area == 666 || group == 0 || serial == 0)
		return false;
	if (area < 900)
		return true;
	return (group >= 50 && group <= 65) || (group >= 70 && group <= 88) ||
		(group >= 90 && group <= 92) || group >= 94;
}

static bool ssn_digits_are_right(const uint8_t *digits)
{
	return ssn_is_right(
		read_number(digits, 3), read_number(digits + 3, 2), read_number(digits + 5, 4));
}

/* The same behind it. */
static bool number_goes_on_after(struct slice text, size_t at)
{
	if (at < text.length && text.data[at] == '-')
		at++;
	return character_at(text, at, CHARACTER_DIGIT);
}

bool match_ssn(struct slice text, size_t at, struct match *ret)
{
	uint8_t digits[9];
	size_t end;

	if (at + 3 >= text.length || number_goes_on_before(text, at))
		return false;
	end = read_groups(text, at, "324", text.data[at + 3], digits);
	if (!end || number_goes_on_after(text, end) || !ssn_digits_are_right(digits))
		return false;
	*ret = (struct match){at, end};
	return true;
}

bool match_ssn_word(const struct literal *l, struct slice text, size_t at, struct match *ret)
{
	size_t from = at + strlen(l->text), skipped = 0;

	/* "ssn=123456789", "\"ssn\": 123456789", "Social Security No. 123456789"; not "classname"
	 */
	if (!match_begins_part(text, at))
		return false;
	while (skipped < 16 && from < text.length && text.data[from] != '\n' &&
		!character_is(text.data[from], CHARACTER_DIGIT)) {
		from++;
		skipped++;
	}
	if (character_run(text, from, CHARACTER_DIGIT, 10) != 9 ||
		!ssn_digits_are_right(text.data + from))
		return false;
	*ret = (struct match){from, from + 9};
	return true;
}

/* Countries of the IBAN registry (SWIFT, ISO 13616) and the length of their numbers. */
struct iban_country {
	char code[3];
	uint8_t length;
};
static const struct iban_country iban_countries[] = {
	{"AD", 24},
	{"AE", 23},
	{"AL", 28},
	{"AT", 20},
	{"AZ", 28},
	{"BA", 20},
	{"BE", 16},
	{"BG", 22},
	{"BH", 22},
	{"BI", 27},
	{"BR", 29},
	{"BY", 28},
	{"CH", 21},
	{"CR", 22},
	{"CY", 28},
	{"CZ", 24},
	{"DE", 22},
	{"DJ", 27},
	{"DK", 18},
	{"DO", 28},
	{"EE", 20},
	{"EG", 29},
	{"ES", 24},
	{"FI", 18},
	{"FK", 18},
	{"FO", 18},
	{"FR", 27},
	{"GB", 22},
	{"GE", 22},
	{"GI", 23},
	{"GL", 18},
	{"GR", 27},
	{"GT", 28},
	{"HN", 28},
	{"HR", 21},
	{"HU", 28},
	{"IE", 22},
	{"IL", 23},
	{"IQ", 23},
	{"IS", 26},
	{"IT", 27},
	{"JO", 30},
	{"KW", 30},
	{"KZ", 20},
	{"LB", 28},
	{"LC", 32},
	{"LI", 21},
	{"LT", 20},
	{"LU", 20},
	{"LV", 21},
	{"LY", 25},
	{"MC", 27},
	{"MD", 24},
	{"ME", 22},
	{"MK", 19},
	{"MN", 20},
	{"MR", 27},
	{"MT", 31},
	{"MU", 30},
	{"NI", 28},
	{"NL", 18},
	{"NO", 15},
	{"OM", 23},
	{"PK", 24},
	{"PL", 28},
	{"PS", 29},
	{"PT", 25},
	{"QA", 29},
	{"RO", 24},
	{"RS", 22},
	{"RU", 33},
	{"SA", 24},
	{"SC", 31},
	{"SD", 18},
	{"SE", 24},
	{"SI", 19},
	{"SK", 24},
	{"SM", 27},
	{"SO", 23},
	{"ST", 25},
	{"SV", 28},
	{"TL", 23},
	{"TN", 24},
	{"TR", 26},
	{"UA", 29},
	{"VA", 22},
	{"VG", 24},
	{"XK", 20},
	{"YE", 30},
};

static int compare_country(const void *code, const void *country)
{
	return memcmp(code, ((const struct iban_country *)country)->code, 2);
}

static size_t iban_length(const uint8_t *code)
{
	char upper[2] = {(char)(code[0] & 0xdf), (char)(code[1] & 0xdf)};
	const struct iban_country *country = bsearch(upper, iban_countries,
		ARRAY_SIZE(iban_countries), sizeof(*iban_countries), compare_country);

	return country ? country->length : 0;
}

/* ISO 7064 MOD 97-10 over the number with its first four characters moved to the end. */
static bool iban_is_right(const uint8_t *characters, size_t length)
{
	unsigned rest = 0;

	for (size_t i = 0; i < length; i++) {
		uint8_t c = characters[(i + 4) % length];

		if (character_is(c, CHARACTER_DIGIT))
			rest = (rest * 10 + (c - '0')) % 97;
		else
			rest = (rest * 100 + (text_lower(c) - 'a' + 10)) % 97;
	}
	return rest == 1;
}

bool match_iban(struct slice text, size_t at, struct match *ret)
{
	uint8_t characters[34];
	size_t length, n = 0, end = at;

	if (text.length - at < 15 || !match_begins_word(text, at))
		return false;
	length = iban_length(text.data + at);
	while (n < length && end < text.length) {
		/* Written without spaces, or with one before each group of four. */
		if (text.data[end] == ' ' && n > 0 && n % 4 == 0 && end + 1 < text.length)
			end++;
		if (!character_at(text, end, CHARACTER_ALNUM))
			break;
		characters[n++] = text.data[end++];
	}
	if (length == 0 || n < length || !match_ends_word(text, end) ||
		!iban_is_right(characters, length))
		return false;
	*ret = (struct match){at, end};
	return true;
}
