/* SPDX-License-Identifier: Apache-2.0
 *
 * match: the grammars of the detectors, one function each, inside masking/ only.
 *
 * A matcher is told where something began to look like its thing (a shape or a literal) and answers
 * where the thing stands, or that there is none. It looks at no more bytes than it then claims,
 * give or take a constant: so a scan takes time linear in the text, whatever the text is.
 * docs/detectors.md describes each grammar.
 */
#ifndef WAYLEAVE_MASKING_MATCH_H
#define WAYLEAVE_MASKING_MATCH_H

#include "masking/characters.h"
#include "masking/detector.h"
#include "masking/shape.h"

/* Bytes [start, end) of the text. */
struct match {
	size_t start, end;
};

/* What the value behind a word must be like (match_value.c). */
enum value_rule {
	RULE_NONE, /* the literal is no word before a value */
	RULE_PASSWORD,
	RULE_PASS,
	RULE_PWD,
	RULE_TOKEN,
	RULE_AUTHORIZATION,
	RULE_DIGITS,
};

/* A fixed text that Vectorscan looks for (literals.inc). */
struct literal {
	const char *text;
	bool ignore_case;
	enum detector detector;
	bool (*match)(const struct literal *l, struct slice text, size_t at, struct match *ret);
	unsigned classes; /* of the characters behind it, for tokens */
	unsigned least, most; /* how many of them; most = 0: any number */
	enum value_rule rule;
	bool covers; /* what begins inside a match of it is a part of that match */
};
extern const struct literal literals[];
extern const size_t literal_count;

/* What each shape may be the begin of. SHAPE_ENCODED has no matcher: it needs the whole engine
 * (scan.c). */
struct shape_matcher {
	enum detector detector;
	bool (*match)(struct slice text, size_t at, struct match *ret); /* NULL: none */
};
extern const struct shape_matcher shape_matchers[SHAPE_COUNT];

/* Whether what begins at `at` is not just the rest of a longer word. An escape that ends there (\n,
 * \u003d, %3D) is no part of the word. */
bool match_begins_word(struct slice text, size_t at);
/* Whether a part of a name begins at `at`: a word, or a capital behind a small letter. */
bool match_begins_part(struct slice text, size_t at);
/* Whether a word that ends at `at` is not followed by a letter or digit. */
bool match_ends_word(struct slice text, size_t at);

/* Numbers (match_number.c): `at` is where the shape begins. */
bool match_card_digits(struct slice text, size_t at, struct match *ret);
bool match_card_groups(struct slice text, size_t at, struct match *ret);
bool match_card_thousands(struct slice text, size_t at, struct match *ret);
bool match_card_exponent(struct slice text, size_t at, struct match *ret);
bool match_ssn(struct slice text, size_t at, struct match *ret);
bool match_iban(struct slice text, size_t at, struct match *ret);
/* Nine bare digits soon after "ssn" and the like. */
bool match_ssn_word(const struct literal *l, struct slice text, size_t at, struct match *ret);

/* Telephone numbers (match_phone.c). */
bool match_phone_us(struct slice text, size_t at, struct match *ret);
bool match_phone_area(struct slice text, size_t at, struct match *ret);
bool match_phone_plus(struct slice text, size_t at, struct match *ret);
bool match_phone_zero(struct slice text, size_t at, struct match *ret);
bool match_phone_word(const struct literal *l, struct slice text, size_t at, struct match *ret);

/* Addresses (match_address.c). */
bool match_email(struct slice text, size_t at, struct match *ret);
bool match_email_escaped(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_ipv4(struct slice text, size_t at, struct match *ret);
bool match_ipv6(struct slice text, size_t at, struct match *ret);

/* Keys that show what they are (match_key.c). */
bool match_jwt(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_pem(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_putty_key(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_token(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_telegram(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_slack_hook(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_password_hash(const struct literal *l, struct slice text, size_t at, struct match *ret);

/* Values behind a word that says what they are (match_secret.c). */
bool match_named(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_bearer(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_url_password(const struct literal *l, struct slice text, size_t at, struct match *ret);
bool match_url_signature(const struct literal *l, struct slice text, size_t at, struct match *ret);

/* Names apart from their values (match_value.c): which literals the name ends in; false where in
 * none. */
bool match_read_name(struct slice name, struct detector_name *ret);
/* The detectors (bits) for which the value is a finding as a whole. */
unsigned match_named_value(const struct detector_name *name, struct slice value);

#endif
