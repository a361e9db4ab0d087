/* SPDX-License-Identifier: Apache-2.0
 *
 * characters: classes of bytes that the detectors' grammars are made of. ASCII alone, whatever the
 * locale; bytes from 0x80 on belong to a class only where it says so.
 */
#ifndef WAYLEAVE_MASKING_CHARACTERS_H
#define WAYLEAVE_MASKING_CHARACTERS_H

#include "base/slice.h"

enum character_class {
	CHARACTER_DIGIT = 1 << 0,
	CHARACTER_LETTER = 1 << 1,
	CHARACTER_UPPER = 1 << 2,
	CHARACTER_HEX = 1 << 3,
	CHARACTER_BASE64 = 1 << 4, /* alphabet of RFC 4648, section 4, without "=" */
	CHARACTER_BASE64_URL = 1 << 5, /* section 5 */
	CHARACTER_EMAIL = 1 << 6, /* of a local part; UTF-8 too (RFC 6531) */
	CHARACTER_DOMAIN = 1 << 7, /* of a host name, dots included; UTF-8 too */
	CHARACTER_BLANK = 1 << 8, /* space and tab */
	CHARACTER_TOKEN = 1 << 9, /* of a vendor's key: letters, digits, "_", "-", ".", "=" */
	CHARACTER_IDENTIFIER = 1 << 10, /* letters, digits, "_" */
	CHARACTER_PRINTABLE = 1 << 11, /* not a control byte; UTF-8 too */
	CHARACTER_VALUE = 1 << 12, /* of an unquoted value behind "password=" */
};
#define CHARACTER_ALNUM (CHARACTER_DIGIT | CHARACTER_LETTER)

extern const uint16_t character_classes[256];

static inline bool character_is(uint8_t c, unsigned classes)
{
	return character_classes[c] & classes;
}

/* Whether there is a byte at `at` and it is of one of the classes. */
static inline bool character_at(struct slice text, size_t at, unsigned classes)
{
	return at < text.length && character_is(text.data[at], classes);
}

/* How many bytes from `at` on are of the classes, at most `most`. */
static inline size_t character_run(struct slice text, size_t at, unsigned classes, size_t most)
{
	size_t n = 0;

	while (n < most && character_at(text, at + n, classes))
		n++;
	return n;
}

/* How many bytes directly before `at` are of the classes, at most `most`. */
static inline size_t character_run_before(
	struct slice text, size_t at, unsigned classes, size_t most)
{
	size_t n = 0;

	while (n < most && n < at && character_is(text.data[at - n - 1], classes))
		n++;
	return n;
}

#endif
