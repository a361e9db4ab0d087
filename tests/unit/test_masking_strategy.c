/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands in a value's place.
 */
#include <errno.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "base/text.h"
#include "masking_test.h"

static void expect(
	const struct masker *m, enum mask_strategy strategy, const char *text, const char *wanted)
{
	struct buffer out;

	buffer_init(&out, 4096);
	cr_assert_eq(masker_append(m, strategy, slice_from_string(text), &out), 0);
	cr_expect(slice_equal_string(buffer_slice(&out), wanted),
		"%s of \"%s\": wanted %s, got %.*s", mask_strategy_name(strategy), text, wanted,
		SLICE_PRINT(buffer_slice(&out)));
	buffer_done(&out);
}

Test(masking_strategy, redact_and_partial)
{
	struct masker m = test_masker(0, MASK_NONE);

	expect(&m, MASK_REDACT, "anything", "[masked]");
	expect(&m, MASK_REDACT, "", "[masked]");
	expect(&m, MASK_NULL, "anything", "");
	expect(&m, MASK_PARTIAL, "123-45-6789", "*******6789");
	expect(&m, MASK_PARTIAL, "12345", "*2345");
	/* Four characters or fewer would be shown whole. */
	expect(&m, MASK_PARTIAL, "1234", "****");
	expect(&m, MASK_PARTIAL, "1", "*");
	expect(&m, MASK_PARTIAL, "", "");
	/* Characters, not bytes; broken bytes count one each. */
	expect(&m, MASK_PARTIAL, "äöüßé", "*öüßé");
	expect(&m, MASK_PARTIAL, "日本語テスト", "**語テスト");
	expect(&m, MASK_PARTIAL, "a😀b😀c😀", "**b😀c😀");
	expect(&m, MASK_PARTIAL, "ab\xff\xfe\xfd\xfc", "**\xff\xfe\xfd\xfc");
	expect(&m, MASK_PARTIAL, "abcd\xc3", "*bcd\xc3");
	/* Which of these bytes are one character, an encoding that is not UTF-8 would say. */
	expect(&m, MASK_PARTIAL, "\xe4\xf6\xfc\xdf\xe9", "*****");
	expect(&m, MASK_PARTIAL,
		"\xa4\xa2"
		"a12",
		"**a12");
	expect(&m, MASK_PARTIAL,
		"Stra\xdf"
		"e",
		"**ra\xdf"
		"e");
}

Test(masking_strategy, hash_is_hmac_sha256)
{
	struct masker m = test_masker(0, MASK_NONE);
	uint8_t key[MASK_KEY_BYTES] = {7}, mac[EVP_MAX_MD_SIZE];
	char text[600], hex[17], wanted[32];
	unsigned length;

	for (size_t n = 0; n < sizeof(text) - 1; n += 37) {
		memset(text, 'x', n);
		text[n] = '\0';
		cr_assert(HMAC(EVP_sha256(), key, sizeof(key), (uint8_t *)text, n, mac, &length));
		text_to_hex(slice_of(mac, 8), hex);
		snprintf(wanted, sizeof(wanted), "[hash:%s]", hex);
		expect(&m, MASK_HASH, text, wanted);
	}
	/* RFC 4231 has no key of 32 bytes; this is from OpenSSL's command line. */
	memset(key, 0, sizeof(key));
	m.hasher = mask_hasher_new(key);
	expect(&m, MASK_HASH, "", "[hash:b613679a0814d9ec]");
	mask_hasher_free(m.hasher);
}

static char *masked(const struct masker *m, const char *text)
{
	struct buffer out;
	bool replaced;
	char *copy;

	buffer_init(&out, 1 << 20);
	cr_assert_eq(masker_append_text(m, slice_from_string(text), &out, &replaced), 0);
	cr_assert_eq(replaced, buffer_length(&out) > 0);
	copy = replaced ? memory_copy_text(out.data, buffer_length(&out))
			: memory_copy_string(text);
	buffer_done(&out);
	return copy;
}

static void expect_text(const struct masker *m, const char *text, const char *wanted)
{
	char *got = masked(m, text);

	cr_expect_str_eq(got, wanted, "\"%s\": wanted %s, got %s", text, wanted, got);
	free(got);
}

Test(masking_strategy, findings_in_text)
{
	struct masker partial = test_masker(ALL_DETECTORS, MASK_PARTIAL);
	struct masker redact = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct masker nothing = test_masker(0, MASK_NONE);

	expect_text(&redact, "a user@example.com, b 123-45-6789.", "a [masked], b [masked].");
	expect_text(&partial, "a 123-45-6789 b", "a *******6789 b");
	expect_text(&partial, "nothing here", "nothing here");
	expect_text(&nothing, "123-45-6789", "123-45-6789");
	expect_text(&redact, "Key (ssn)=(123-45-6789) already exists.",
		"Key (ssn)=([masked]) already exists.");
	expect_text(&redact, "invalid input syntax for type integer: \"987-65-4321\"",
		"invalid input syntax for type integer: \"[masked]\"");
	/* NULL can't stand in a message. */
	redact.strategies[DETECTOR_EMAIL] = MASK_NULL;
	expect_text(&redact, "a user@example.com", "a [masked]");
}

/* What two detectors claim is hidden as the stricter one says, from the first to the last byte. */
Test(masking_strategy, overlapping_findings)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_PARTIAL);

	m.strategies[DETECTOR_SECRET] = MASK_REDACT;
	expect_text(&m, "postgres://bob:secretpw@db.example.com/x", "postgres://bob:[masked]/x");
	m.strategies[DETECTOR_SECRET] = MASK_PARTIAL;
	m.strategies[DETECTOR_EMAIL] = MASK_NONE;
	m.detectors &= ~(1u << DETECTOR_EMAIL);
	expect_text(&m, "postgres://bob:secretpw@db.example.com/x",
		"postgres://bob:****etpw@db.example.com/x");
	cr_assert_eq(
		masker_strictest(&m, 1u << DETECTOR_SECRET | 1u << DETECTOR_IBAN), MASK_PARTIAL);
}

/* Masking what is masked changes nothing more, so that a text may pass twice. */
Test(masking_strategy, masks_are_no_findings)
{
	static const char *const texts[] = {"password=hunter2!", "a user@example.com",
		"\"password\": \"hunter2!\"", "card 4111111111111111", "x://u:pw@h",
		"+12125550123"};
	static const enum mask_strategy strategies[] = {MASK_REDACT, MASK_HASH};

	for (size_t s = 0; s < ARRAY_SIZE(strategies); s++) {
		struct masker m =
			test_masker(ALL_DETECTORS & ~(1u << DETECTOR_SECRET), strategies[s]);

		for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
			char *once = masked(&m, texts[i]), *twice = masked(&m, once);

			cr_expect_str_eq(once, twice);
			free(once);
			free(twice);
		}
	}
}

Test(masking_strategy, errors_leave_the_buffer)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct buffer out;
	bool replaced = false;

	buffer_init(&out, 8);
	buffer_append_string(&out, "abc");
	cr_assert_eq(
		masker_append_text(&m, slice_from_string("a user@example.com"), &out, &replaced),
		-E2BIG);
	cr_assert(slice_equal_string(buffer_slice(&out), "abc"));
	cr_assert_eq(
		masker_append(&m, MASK_PARTIAL, slice_from_string("0123456789"), &out), -E2BIG);
	buffer_done(&out);
}
