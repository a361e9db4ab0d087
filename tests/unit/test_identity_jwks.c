/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "identity/base64url.h"
#include "identity/jwks.h"
#include "tests/harness/tokens.h"

#define S(text) slice_from_string(text)

/* A document of one good key and those; its parse must succeed with the good one alone. Frees it.
 */
static void is_passed_over(char *jwk, const char *why)
{
	EVP_PKEY *key = tokens_make_ec("P-256");
	char *good = tokens_jwk(key, "good", "");
	char *document = memory_format("{\"keys\":[%s,%s]}", jwk, good);
	struct jwks *keys;
	struct error e;

	cr_assert_eq(jwks_parse(S(document), &keys, &e), 0, "%s: %s", jwk, e.text);
	cr_expect_eq(keys->count, 1, "%s", jwk);
	cr_expect_str_eq(keys->keys[0].id, "good");
	cr_expect_eq(keys->skipped, 1);
	cr_expect(strstr(keys->why, why), "\"%s\" is not about: %s", keys->why, why);
	jwks_free(keys);
	free(document);
	free(good);
	free(jwk);
	EVP_PKEY_free(key);
}

static void is_refused(const char *document, const char *why)
{
	struct jwks *keys;
	struct error e = {""};

	cr_expect_eq(jwks_parse(S(document), &keys, &e), -EBADMSG, "%.40s", document);
	cr_expect(strstr(e.text, why), "\"%s\" is not about: %s", e.text, why);
}

Test(jwks, keys_that_are_none_are_passed_over)
{
	static const char *const texts[] = {"7", "null", "\"x\"", "[]", "{}", "{\"kty\":7}",
		"{\"kty\":\"RSA\"}", "{\"kty\":\"EC\"}", "{\"kty\":\"RSA\",\"n\":\"AQAB\"}",
		"{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}",
		"{\"kty\":\"RSA\",\"n\":\"!!!!\",\"e\":\"AQAB\"}",
		"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}",
		"{\"kty\":\"RSA\",\"kid\":7,\"n\":\"AQAB\",\"e\":\"AQAB\"}"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		is_passed_over(memory_copy_string(texts[i]), "");
}

/* A secret that is published is everybody's. */
Test(jwks, symmetric_keys_are_passed_over)
{
	is_passed_over(
		memory_copy_string(
			"{\"kty\":\"oct\",\"kid\":\"a\",\"alg\":\"HS256\",\"k\":\"c2VjcmV0\"}"),
		"of type \"oct\"");
	is_passed_over(memory_copy_string("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}"),
		"of type \"OKP\"");
}

static void with(EVP_PKEY *key, const char *more, const char *why)
{
	is_passed_over(tokens_jwk(key, "k", more), why);
}

Test(jwks, keys_for_something_else_are_passed_over)
{
	EVP_PKEY *rsa = tokens_make_rsa(2048), *ec = tokens_make_ec("P-384");

	with(rsa, ",\"use\":\"enc\"", "\"use\"");
	with(rsa, ",\"use\":[\"sig\"]", "\"use\"");
	with(rsa, ",\"key_ops\":[\"encrypt\"]", "\"key_ops\"");
	with(rsa, ",\"key_ops\":\"verify\"", "\"key_ops\"");
	with(rsa, ",\"alg\":\"HS256\"", "\"alg\"");
	with(rsa, ",\"alg\":\"none\"", "\"alg\"");
	with(rsa, ",\"alg\":\"RSA-OAEP\"", "\"alg\"");
	with(rsa, ",\"alg\":\"ES256\"", "\"alg\"");
	with(ec, ",\"alg\":\"ES256\"", "\"alg\"");
	with(rsa, ",\"d\":\"AQAB\"", "private part");
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
}

Test(jwks, keys_of_other_sizes_are_passed_over)
{
	EVP_PKEY *small = tokens_make_rsa(1024), *curve = tokens_make_ec("P-521");
	struct buffer modulus, text;

	with(small, "", "1024 bits");
	with(curve, "", "make no key");
	EVP_PKEY_free(small);
	EVP_PKEY_free(curve);
	/* Sixteen thousand bits would cost a lot of time each. */
	buffer_init(&modulus, 4096);
	buffer_init(&text, 8192);
	for (unsigned i = 0; i < 2048; i++)
		buffer_append_byte(&modulus, 0xff);
	base64url_encode(buffer_slice(&modulus), &text);
	is_passed_over(memory_format("{\"kty\":\"RSA\",\"n\":\"%.*s\",\"e\":\"AQAB\"}",
			       SLICE_PRINT(buffer_slice(&text))),
		"make no key");
	buffer_done(&modulus);
	buffer_done(&text);
}

Test(jwks, exponents_that_are_none_are_passed_over)
{
	static const char *const exponents[] = {"AQ", "AA", "AQAA", "AQAAAAAAAAAAAAAB"};
	EVP_PKEY *rsa = tokens_make_rsa(2048);
	char *jwk = tokens_jwk(rsa, "k", "");
	char *end = strstr(jwk, "\"e\":");

	cr_assert(end);
	*end = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(exponents); i++)
		is_passed_over(memory_format("%s\"e\":\"%s\"}", jwk, exponents[i]), "make no key");
	free(jwk);
	EVP_PKEY_free(rsa);
}

/* An attacker's choice of curve by a point of another one. */
Test(jwks, a_point_beside_the_curve_is_no_key)
{
	EVP_PKEY *ec = tokens_make_ec("P-256");
	char *jwk = tokens_jwk(ec, "k", ""), *y = strstr(jwk, "\"y\":\"");

	cr_assert(y);
	y[5] = y[5] == 'A' ? 'B' : 'A';
	is_passed_over(jwk, "make no key");
	EVP_PKEY_free(ec);
}

/* A product of primes is odd. */
Test(jwks, an_even_modulus_is_no_key)
{
	struct buffer modulus, text;

	buffer_init(&modulus, 256);
	buffer_init(&text, 512);
	for (unsigned i = 0; i < 256; i++)
		buffer_append_byte(&modulus, i == 255 ? 0xfe : 0xff);
	base64url_encode(buffer_slice(&modulus), &text);
	is_passed_over(memory_format("{\"kty\":\"RSA\",\"n\":\"%.*s\",\"e\":\"AQAB\"}",
			       SLICE_PRINT(buffer_slice(&text))),
		"make no key");
	buffer_done(&modulus);
	buffer_done(&text);
}

/* Both together are as long as they should be. */
Test(jwks, coordinates_have_their_length)
{
	EVP_PKEY *ec = tokens_make_ec("P-256");
	char *jwk = tokens_jwk(ec, "k", ""), x[64] = "", y[64] = "";
	struct buffer point, one, other;

	cr_assert_eq(sscanf(strstr(jwk, "\"x\":"), "\"x\":\"%63[^\"]\"", x), 1);
	cr_assert_eq(sscanf(strstr(jwk, "\"y\":"), "\"y\":\"%63[^\"]\"", y), 1);
	buffer_init(&point, 64);
	buffer_init(&one, 64);
	buffer_init(&other, 64);
	cr_assert_eq(base64url_decode(S(x), &point), 0);
	cr_assert_eq(base64url_decode(S(y), &point), 0);
	base64url_encode(slice_head(buffer_slice(&point), 30), &one);
	base64url_encode(slice_from(buffer_slice(&point), 30), &other);
	is_passed_over(memory_format("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%.*s\","
				     "\"y\":\"%.*s\"}",
			       SLICE_PRINT(buffer_slice(&one)), SLICE_PRINT(buffer_slice(&other))),
		"make no key");
	buffer_done(&point);
	buffer_done(&one);
	buffer_done(&other);
	free(jwk);
	EVP_PKEY_free(ec);
}

Test(jwks, names_of_keys_are_not_endless)
{
	EVP_PKEY *ec = tokens_make_ec("P-256");
	char id[LIMIT_KEY_ID + 2] = "";

	memset(id, 'k', LIMIT_KEY_ID + 1);
	is_passed_over(tokens_jwk(ec, id, ""), "no key");
	EVP_PKEY_free(ec);
}

Test(jwks, documents_that_are_none_are_refused)
{
	struct buffer many;

	is_refused("", "no JSON object");
	is_refused("<html>", "no JSON object");
	is_refused("[]", "no JSON object");
	is_refused("{}", "\"keys\"");
	is_refused("{\"keys\":{}}", "\"keys\"");
	is_refused("{\"keys\":[]}", "no key");
	is_refused("{\"keys\":[{}]}", "no key in it can be used: ");
	is_refused("{\"keys\":[],\"keys\":[]}", "twice");
	is_refused("{\"keys\":[]} ]", "behind its end");
	is_refused("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}", "oct");
	buffer_init(&many, LIMIT_DOCUMENT_BYTES + 4096);
	buffer_append_string(&many, "{\"keys\":[{}");
	for (unsigned i = 1; i < 1000; i++)
		buffer_append_string(&many, ",{}");
	buffer_append_string(&many, "]}");
	buffer_append_byte(&many, '\0');
	is_refused((const char *)buffer_slice(&many).data, "at most 100");
	buffer_clear(&many);
	for (unsigned i = 0; i < LIMIT_DOCUMENT_BYTES + 1; i++)
		buffer_append_byte(&many, ' ');
	buffer_append_byte(&many, '\0');
	is_refused((const char *)buffer_slice(&many).data, "longer than");
	buffer_done(&many);
}

Test(jwks, base64url_has_one_spelling)
{
	static const char *const bad[] = {"A", "AAAAA", "AA==", "AA=", "A+AA", "A/AA", "AA A", "AB",
		"AAB", "\xc3\xa4", "A\n"};
	struct buffer bytes, text;

	buffer_init(&bytes, 64);
	buffer_init(&text, 64);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_expect_eq(base64url_decode(S(bad[i]), &bytes), -EBADMSG, "%s", bad[i]);
	for (size_t length = 0; length < 20; length++) {
		uint8_t in[20];

		memset(in, 0xfb, sizeof(in));
		buffer_clear(&bytes);
		buffer_clear(&text);
		cr_assert_eq(base64url_encode(slice_of(in, length), &text), 0);
		cr_assert_eq(base64url_decode(buffer_slice(&text), &bytes), 0);
		cr_expect(slice_equal(buffer_slice(&bytes), slice_of(in, length)));
	}
	buffer_done(&bytes);
	buffer_done(&text);
}
