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
#include "monitor/messages.h"
#include "monitor/salted.h"

#define CONTEXT "TLS 1.3, client CertificateVerify"

static uint8_t room[PROOF_SIGNED_MOST + 4096];

/* What RFC 8446, 4.4.3 says, with a transcript's digest of so many bytes. */
static struct proof_signature good(size_t digest)
{
	memset(room, ' ', 64);
	memcpy(room + 64, CONTEXT, sizeof(CONTEXT));
	memset(room + 64 + sizeof(CONTEXT), 0xab, digest);
	return (struct proof_signature){.digest = PROOF_SHA256,
		.padding = PROOF_PSS,
		.text = slice_of(room, 64 + sizeof(CONTEXT) + digest)};
}

#define BROKEN(begin, change)                                                                      \
	do {                                                                                       \
		wanted = begin;                                                                    \
		change;                                                                            \
		cr_expect_not(client_proof_is_sound(&wanted), #change);                            \
	} while (0)

Test(client_proof, nothing_else_is_signed)
{
	struct proof_signature wanted;

	wanted = good(32);
	cr_expect(client_proof_is_sound(&wanted));
	wanted = good(48);
	cr_expect(client_proof_is_sound(&wanted));
	BROKEN(good(32), wanted.digest = PROOF_DIGEST_COUNT);
	BROKEN(good(32), wanted.padding = PROOF_PADDING_COUNT);
	BROKEN(good(32), wanted.text.length = 0);
	BROKEN(good(32), wanted.text.length--);
	BROKEN(good(32), wanted.text.length++);
	BROKEN(good(32), wanted.text.length = sizeof(room));
	BROKEN(good(32), room[0] = 0);
	BROKEN(good(32), room[63] = 'x');
	BROKEN(good(32), memcpy(room + 64, "TLS 1.3, server CertificateVerify", 33));
	BROKEN(good(32), room[64 + 33] = 1);
	wanted = good(40);
	cr_expect_not(client_proof_is_sound(&wanted));
}

/* Messages of these types, with versions where they have one (RFC 5246, 7.4). */
static struct proof_signature transcript(const char *types)
{
	size_t length = 0;

	for (; *types; types++) {
		bool hello = *types == 1 || *types == 2;
		uint8_t size = hello ? 40 : *types == 14 ? 0 : 7;

		memcpy(room + length, (uint8_t[]){(uint8_t)*types, 0, 0, size}, 4);
		memset(room + length + 4, hello ? 3 : 0xab, size);
		length += 4 + size;
	}
	return (struct proof_signature){
		.digest = PROOF_SHA384, .padding = PROOF_PKCS1, .text = slice_of(room, length)};
}

#define SHAKEN "\1\2\13\14\15\16\13\20"

Test(client_proof, a_handshake_is_signed_whole)
{
	static const char *const whole[] = {
		SHAKEN, "\1\2\13\26\14\15\16\13\20", "\1\2\13\15\16\13\20"};
	/* A server's side of it, one more, one that lacks, another order, SSL's first. */
	static const char *const others[] = {"\1", "\1\2\13\14", "\1\2\13\14\15\16\13",
		SHAKEN "\17", "\1\2\13\14\16\13\20", "\2\1\13\14\15\16\13\20",
		"\1\2\13\14\26\15\16\13\20", "\1\2\13\14\14\15\16\13\20", "\1" SHAKEN};
	struct proof_signature wanted;

	for (size_t i = 0; i < ARRAY_SIZE(whole); i++) {
		wanted = transcript(whole[i]);
		cr_expect(client_proof_is_sound(&wanted), "%zu", i);
		for (size_t n = wanted.text.length; n-- > 0;) {
			wanted.text.length = n;
			cr_expect_not(client_proof_is_sound(&wanted), "%zu, %zu bytes", i, n);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		wanted = transcript(others[i]);
		cr_expect_not(client_proof_is_sound(&wanted), "%zu", i);
	}
	BROKEN(transcript(SHAKEN), wanted.text.length++);
	BROKEN(transcript(SHAKEN), room[4] = 4);
	BROKEN(transcript(SHAKEN), room[5] = 1); /* TLS 1.0, which signs by other digests */
	BROKEN(transcript(SHAKEN), room[44 + 5] = 4);
	BROKEN(transcript(SHAKEN), room[1] = 0xff);
	/* The last message is what it takes to be too much. */
	wanted = transcript(SHAKEN);
	memset(room + wanted.text.length, 0, sizeof(room) - wanted.text.length);
	room[wanted.text.length - 7 - 2] =
		(PROOF_SIGNED_MOST - (wanted.text.length - 7)) >> 8 & 0xff;
	room[wanted.text.length - 7 - 1] = (PROOF_SIGNED_MOST - (wanted.text.length - 7)) & 0xff;
	wanted.text.length = PROOF_SIGNED_MOST;
	cr_expect(client_proof_is_sound(&wanted));
}

Test(client_proof, a_challenge)
{
	const struct proof_signature wanted = transcript(SHAKEN);
	struct message_signature head = {PROOF_SHA384, PROOF_PKCS1};
	struct proof_signature taken = {.digest = 0};
	struct buffer challenge;

	buffer_init(&challenge, 4096);
	buffer_append(&challenge, &head, sizeof(head));
	buffer_append_slice(&challenge, wanted.text);
	cr_assert_eq(client_proof_take(buffer_slice(&challenge), &taken), 0);
	buffer_wipe(&challenge);
	cr_expect_eq(taken.digest, PROOF_SHA384);
	cr_expect(slice_equal(taken.text, wanted.text));
	client_proof_done(&taken);
	for (size_t n = 0; n <= sizeof(head); n++)
		cr_expect_eq(client_proof_take(slice_of(&head, n), &taken), -EINVAL);
	cr_expect_eq(taken.text.length, 0);
	client_proof_done(&taken);
	buffer_done(&challenge);
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
	if (EVP_PKEY_is_a(key, "RSA") && signed_text->padding == PROOF_PSS) {
		EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST);
	}
	good_one = EVP_DigestVerify(context, signature, length, signed_text->text.data,
			   signed_text->text.length) == 1;
	EVP_MD_CTX_free(context);
	return good_one;
}

Test(client_proof, signatures)
{
	struct proof_signature wanted;
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
		for (unsigned way = 0; way < 3; way++) {
			wanted = way ? transcript(SHAKEN) : good(32);
			wanted.digest = PROOF_SHA256;
			wanted.padding = way == 1 ? PROOF_PKCS1 : PROOF_PSS;
			cr_assert_eq(client_proof_make(&wanted, path, signature, &length, &e), 0,
				"%s", e.text);
			cr_expect(verifies(keys[i], &wanted, signature, length), "%zu, %u", i, way);
		}
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
