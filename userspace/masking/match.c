/* SPDX-License-Identifier: Apache-2.0 */
#include "masking/match.h"

/* An escape's letter is no part of what follows: the "n" of "\n", as JSON and COPY write a line's
 * end, the "003d" of "\u003d", the "3D" of "%3D". */
static bool ends_escape(struct slice text, size_t at)
{
	if (at >= 2 && text.data[at - 2] == '\\' && strchr("nrtbfv", text.data[at - 1]))
		return true;
	if (at >= 3 && text.data[at - 3] == '%')
		return character_run_before(text, at, CHARACTER_HEX, 2) == 2;
	if (at >= 6 && text.data[at - 6] == '\\' && text.data[at - 5] == 'u')
		return character_run_before(text, at, CHARACTER_HEX, 4) == 4;
	return false;
}

bool match_begins_word(struct slice text, size_t at)
{
	return at == 0 || !character_is(text.data[at - 1], CHARACTER_ALNUM) ||
		ends_escape(text, at);
}

bool match_begins_part(struct slice text, size_t at)
{
	return match_begins_word(text, at) ||
		(character_is(text.data[at], CHARACTER_UPPER) &&
			!character_is(text.data[at - 1], CHARACTER_UPPER));
}

bool match_ends_word(struct slice text, size_t at)
{
	return !character_at(text, at, CHARACTER_ALNUM);
}

const struct shape_matcher shape_matchers[SHAPE_COUNT] = {
	[SHAPE_AT] = {DETECTOR_EMAIL, match_email},
	[SHAPE_DIGITS] = {DETECTOR_CREDIT_CARD, match_card_digits},
	[SHAPE_CARD] = {DETECTOR_CREDIT_CARD, match_card_groups},
	[SHAPE_THOUSANDS] = {DETECTOR_CREDIT_CARD, match_card_thousands},
	[SHAPE_EXPONENT] = {DETECTOR_CREDIT_CARD, match_card_exponent},
	[SHAPE_SSN] = {DETECTOR_US_SSN, match_ssn},
	[SHAPE_IBAN] = {DETECTOR_IBAN, match_iban},
	[SHAPE_PHONE_US] = {DETECTOR_PHONE, match_phone_us},
	[SHAPE_PHONE_AREA] = {DETECTOR_PHONE, match_phone_area},
	[SHAPE_PHONE_PLUS] = {DETECTOR_PHONE, match_phone_plus},
	[SHAPE_PHONE_ZERO] = {DETECTOR_PHONE, match_phone_zero},
	[SHAPE_IPV4] = {DETECTOR_IP_ADDRESS, match_ipv4},
	[SHAPE_IPV6] = {DETECTOR_IP_ADDRESS, match_ipv6},
};
