/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/sha256.h"

static void assert_digest(const struct sha256 *h, const char *expected)
{
	uint8_t digest[SHA256_SIZE];
	char text[2 * SHA256_SIZE + 1];

	sha256_get(h, digest);
	for (size_t i = 0; i < SHA256_SIZE; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	cr_assert_str_eq(text, expected);
}

/* The examples of FIPS 180-2, appendix B. */
Test(sha256, digests_are_those_of_the_standard)
{
	struct sha256 h;

	sha256_begin(&h);
	sha256_add(&h, slice_from_string("abc"));
	assert_digest(&h, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_begin(&h);
	sha256_add(&h, slice_from_string("abcdbcdecdefdefgefghfghighij"));
	sha256_add(&h, slice_from_string("hijkijkljklmklmnlmnomnopnopq"));
	assert_digest(&h, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

Test(sha256, a_digest_can_be_had_on_the_way)
{
	struct sha256 h;

	sha256_begin(&h);
	sha256_add(&h, SLICE_EMPTY);
	assert_digest(&h, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_add(&h, slice_from_string("ab"));
	assert_digest(&h, "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603");
	sha256_add(&h, slice_from_string("c"));
	assert_digest(&h, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
