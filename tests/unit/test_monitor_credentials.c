/* SPDX-License-Identifier: Apache-2.0
 *
 * What the monitor makes of secrets: salted passwords that it remembers, and signatures, which it
 * makes over nothing but what a TLS client signs.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "monitor/client_proof.h"
#include "monitor/salted.h"

#define CONTEXT "TLS 1.3, client CertificateVerify"

/* What RFC 8446, 4.4.3 says, with a transcript's digest of so many bytes. */
static struct proof_signature good(size_t digest)
{
	struct proof_signature wanted = {
		.digest = PROOF_SHA256, .length = (uint32_t)(64 + sizeof(CONTEXT) + digest)};

	memset(wanted.text, ' ', 64);
	memcpy(wanted.text + 64, CONTEXT, sizeof(CONTEXT));
	memset(wanted.text + 64 + sizeof(CONTEXT), 0xab, digest);
	return wanted;
}

Test(client_proof, nothing_else_is_signed)
{
	struct proof_signature wanted;

	wanted = good(32);
	cr_expect(client_proof_is_sound(&wanted));
	wanted = good(48);
	cr_expect(client_proof_is_sound(&wanted));
#define BROKEN(change)                                                                             \
	do {                                                                                       \
		wanted = good(32);                                                                 \
		change;                                                                            \
		cr_expect_not(client_proof_is_sound(&wanted), #change);                            \
	} while (0)
	BROKEN(wanted.digest = PROOF_DIGEST_COUNT);
	BROKEN(wanted.length = 0);
	BROKEN(wanted.length--);
	BROKEN(wanted.length++);
	BROKEN(wanted.length = UINT32_MAX);
	BROKEN(wanted.text[0] = 0);
	BROKEN(wanted.text[63] = 'x');
	BROKEN(memcpy(wanted.text + 64, "TLS 1.3, server CertificateVerify", 33));
	BROKEN(wanted.text[64 + 33] = 1);
	wanted = good(40);
	cr_expect_not(client_proof_is_sound(&wanted));
}

static void write_key(const char *path, EVP_PKEY *key)
{
	FILE *file = fopen(path, "we");

	cr_assert_not_null(file);
	cr_assert_eq(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(file);
	chmod(path, 0600);
}

static bool verifies(EVP_PKEY *key, const struct proof_signature *signed_text,
	const uint8_t *signature, size_t length)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_PKEY_CTX *parameters;
	bool good_one;

	cr_assert_eq(EVP_DigestVerifyInit(context, &parameters, EVP_sha256(), NULL, key), 1);
	if (EVP_PKEY_is_a(key, "RSA")) {
		EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
	}
	good_one = EVP_DigestVerify(
			   context, signature, length, signed_text->text, signed_text->length) == 1;
	EVP_MD_CTX_free(context);
	return good_one;
}

Test(client_proof, signatures)
{
	const struct proof_signature wanted = good(32);
	char path[] = "/tmp/wayleave-key-XXXXXX";
	int fd = mkstemp(path);
	EVP_PKEY *keys[] = {EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048),
		EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")};
	uint8_t signature[CLIENT_PROOF_MOST];
	size_t length;
	struct error e;

	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		write_key(path, keys[i]);
		cr_assert_eq(
			client_proof_make(&wanted, path, signature, &length, &e), 0, "%s", e.text);
		cr_expect(verifies(keys[i], &wanted, signature, length));
	}
	chmod(path, 0604);
	cr_expect_eq(client_proof_make(&wanted, path, signature, &length, &e), -EACCES);
	cr_expect(strstr(e.text, "expected 0600"));
	unlink(path);
	cr_expect_eq(client_proof_make(&wanted, path, signature, &length, &e), -ENOENT);
	EVP_PKEY_free(keys[0]);
	EVP_PKEY_free(keys[1]);
}

static struct scram_exchange exchange(uint32_t number)
{
	struct scram_exchange x = {.iterations = 2, .salt_length = sizeof(number)};

	memcpy(x.salt, &number, sizeof(number));
	return x;
}

/* Far more of them than are remembered, in any order: each is the one of its password. */
Test(salted, keys_are_those_of_their_password)
{
	struct salted *s = salted_new();
	static const char *const passwords[] = {"one", "two", ""};

	for (uint32_t i = 0; i < 4 * LIMIT_PROOF_KEYS; i++) {
		struct scram_exchange x = exchange(i * 7919 % (2 * LIMIT_PROOF_KEYS) / 3);
		struct slice password = slice_from_string(passwords[i % 3]);
		struct scram_keys expected, keys;

		x.iterations += i % 2;
		cr_assert_eq(scram_derive(&x, password, &expected), 0);
		cr_assert_eq(salted_keys(s, &x, password, &keys), 0);
		cr_expect_arr_eq(&keys, &expected, sizeof(keys));
	}
	salted_free(s);
}

Test(salted, a_second_time_is_cheap)
{
	struct salted *s = salted_new();
	struct scram_exchange x = exchange(1);
	struct scram_keys keys;
	clock_t first, second, begin = clock();

	x.iterations = 200000;
	cr_assert_eq(salted_keys(s, &x, slice_from_string("pass"), &keys), 0);
	first = clock() - begin;
	begin = clock();
	cr_assert_eq(salted_keys(s, &x, slice_from_string("pass"), &keys), 0);
	second = clock() - begin;
	cr_expect_lt(second * 10, first);
	salted_free(s);
}
