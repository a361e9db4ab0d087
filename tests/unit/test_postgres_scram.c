/* SPDX-License-Identifier: Apache-2.0
 *
 * SCRAM's client half, against RFC 7677's formulas worked out here from the bytes of the messages.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/limits.h"
#include "base/memory.h"
#include "protocol/postgres/md5.h"
#include "protocol/postgres/scram.h"

#define NONCE "616c77617973207468652073616d65212121" /* of the random bytes below */
#define TEXT(string) slice_of(string, sizeof(string) - 1)

static const uint8_t random_bytes[] = "always the same!!!";

static void begin(struct scram_exchange *x, enum scram_binding binding)
{
	scram_begin(
		x, random_bytes, binding, binding == SCRAM_BINDS ? TEXT("end point") : SLICE_EMPTY);
}

static void expect_text(struct buffer *b, const char *expected)
{
	cr_expect(slice_equal_string(buffer_slice(b), expected), "%.*s",
		SLICE_PRINT(buffer_slice(b)));
	buffer_done(b);
}

Test(scram, the_first_message_says_what_is_known_of_the_channel)
{
	static const struct {
		enum scram_binding binding;
		const char *expected;
	} cases[] = {
		{SCRAM_BINDS_NOT, "n,,n=,r=" NONCE},
		{SCRAM_COULD_BIND, "y,,n=,r=" NONCE},
		{SCRAM_BINDS, "p=tls-server-end-point,,n=,r=" NONCE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scram_exchange x;
		struct buffer first;

		buffer_init(&first, SCRAM_MESSAGE_MOST);
		begin(&x, cases[i].binding);
		cr_assert_eq(scram_put_first(&x, &first), 0);
		expect_text(&first, cases[i].expected);
	}
}

Test(scram, challenges_that_are_taken_or_not)
{
	static const struct {
		const char *text;
		int expected;
	} cases[] = {
		{"r=" NONCE "more,s=c2FsdA==,i=4096", 0},
		{"r=" NONCE "m,s=c2FsdA==,i=1", 0},
		{"r=" NONCE "m,s=c2FsdA==,i=1000000", 0},
		{"r=" NONCE "m,s=c2FsdA==,i=1000001", -E2BIG},
		{"r=" NONCE "m,s=c2FsdA==,i=10000000", -E2BIG},
		{"r=" NONCE "m,s=c2FsdA==,i=99999999999999999999", -EBADMSG},
		{"r=" NONCE "m,s=c2FsdA==,i=0", -EBADMSG},
		{"r=" NONCE "m,s=c2FsdA==,i=-1", -EBADMSG},
		{"r=" NONCE "m,s=c2FsdA==,i=", -EBADMSG},
		{"r=" NONCE "m,s=c2FsdA==,i=04096", -EBADMSG}, /* signed as it is written */
		{"r=" NONCE "m,s=c2FsdA==,i=4096,x=y", -EBADMSG},
		{"r=" NONCE "m,s=c2FsdA==,i=4096,", -EBADMSG},
		{"r=" NONCE ",s=c2FsdA==,i=4096", -EBADMSG}, /* nothing of the server's */
		{"r=1" NONCE "m,s=c2FsdA==,i=4096", -EBADMSG},
		{"r=m,s=c2FsdA==,i=4096", -EBADMSG},
		{"r=" NONCE "\x7f,s=c2FsdA==,i=4096", -EBADMSG},
		{"r=" NONCE "m m,s=c2FsdA==,i=4096", -EBADMSG},
		{"r=" NONCE "m,s=,i=4096", -EBADMSG},
		{"r=" NONCE "m,s=c2FsdA,i=4096", -EBADMSG},
		{"r=" NONCE "m,s=c2FsdB==,i=4096", -EBADMSG}, /* bits behind the end */
		{"r=" NONCE "m,s=c2F=dA==,i=4096", -EBADMSG},
		{"m=x,r=" NONCE "m,s=c2FsdA==,i=4096", -EBADMSG},
		{"s=c2FsdA==,r=" NONCE "m,i=4096", -EBADMSG},
		{"", -EBADMSG},
		{"r=", -EBADMSG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scram_exchange x;

		begin(&x, SCRAM_BINDS_NOT);
		cr_expect_eq(scram_take_challenge(&x, slice_from_string(cases[i].text)),
			cases[i].expected, "%s", cases[i].text);
	}
}

Test(scram, long_challenges)
{
	struct scram_exchange x;
	struct buffer text;

	for (size_t n = 1; n < 2000; n += 37) {
		begin(&x, SCRAM_BINDS_NOT);
		buffer_init(&text, 8192);
		buffer_append_string(&text, "r=" NONCE);
		for (size_t i = 0; i < n; i++)
			buffer_append_byte(&text, 'x');
		buffer_append_string(&text, ",s=");
		for (size_t i = 0; i < n; i++)
			buffer_append_string(&text, "AAAA");
		buffer_append_string(&text, ",i=7");
		cr_expect_eq(scram_take_challenge(&x, buffer_slice(&text)),
			n <= SCRAM_SERVER_NONCE_MOST && 3 * n <= SCRAM_SALT_MOST ? 0 : -EBADMSG,
			"%zu", n);
		buffer_done(&text);
	}
}

/* What a worker that was taken over could ask a proof for. */
Test(scram, exchanges_that_no_proof_is_made_for)
{
	struct scram_exchange good, x;

	begin(&good, SCRAM_BINDS);
	cr_assert_eq(scram_take_challenge(&good, TEXT("r=" NONCE "more,s=c2FsdA==,i=4096")), 0);
	cr_assert(scram_exchange_is_sound(&good));
#define BROKEN(change)                                                                             \
	do {                                                                                       \
		x = good;                                                                          \
		change;                                                                            \
		cr_expect_not(scram_exchange_is_sound(&x), #change);                               \
	} while (0)
	BROKEN(x.binding = 3);
	BROKEN(x.binding = SCRAM_BINDS_NOT);
	BROKEN(x.end_point_length = 0);
	BROKEN(x.end_point_length = SCRAM_BINDING_MOST + 1);
	BROKEN(x.nonce[0] = ',');
	BROKEN(x.nonce[35] = 0);
	BROKEN(x.server_nonce_length = 0);
	BROKEN(x.server_nonce_length = SCRAM_SERVER_NONCE_MOST + 1);
	BROKEN(x.server_nonce[1] = ',');
	BROKEN(x.server_nonce[1] = 0x80);
	BROKEN(x.salt_length = 0);
	BROKEN(x.salt_length = SCRAM_SALT_MOST + 1);
	BROKEN(x.iterations = 0);
	BROKEN(x.iterations = LIMIT_SCRAM_ITERATIONS + 1);
}

/* --- the server's side, from the messages themselves --- */

static void mac(const uint8_t *key, const char *text, uint8_t *ret)
{
	unsigned length;

	cr_assert(HMAC(EVP_sha256(), key, 32, (const uint8_t *)text, strlen(text), ret, &length));
}

struct server_says {
	uint8_t client_key[32], signature[32];
};

/* RFC 5802, 3. */
static void work_out(const char *password, const char *auth_message, const uint8_t *proof,
	struct server_says *ret)
{
	uint8_t salted[32], client_key[32], stored[32], server_key[32], signature[32];

	cr_assert_eq(PKCS5_PBKDF2_HMAC(password, (int)strlen(password), (const uint8_t *)"salt", 4,
			     4096, EVP_sha256(), 32, salted),
		1);
	mac(salted, "Client Key", client_key);
	mac(salted, "Server Key", server_key);
	EVP_Digest(client_key, 32, stored, NULL, EVP_sha256(), NULL);
	mac(stored, auth_message, signature);
	for (int i = 0; i < 32; i++)
		ret->client_key[i] = proof[i] ^ signature[i];
	cr_expect_arr_eq(ret->client_key, client_key, 32);
	mac(server_key, auth_message, ret->signature);
}

static void check_final(const struct scram_proof *proof, const uint8_t *signature)
{
	char text[64] = "v=";

	EVP_EncodeBlock((uint8_t *)text + 2, signature, 32);
	cr_expect_eq(scram_check(proof, slice_from_string(text)), 0);
	strcat(text, ",x=y");
	cr_expect_eq(scram_check(proof, slice_from_string(text)), -EACCES);
	text[5] ^= 1;
	cr_expect_eq(scram_check(proof, slice_head(slice_from_string(text), 46)), -EACCES);
	cr_expect_eq(scram_check(proof, TEXT("e=other-error")), -EACCES);
	cr_expect_eq(scram_check(proof, SLICE_EMPTY), -EACCES);
	/* What the worker is told to check with must not pass as the signature. */
	EVP_EncodeBlock((uint8_t *)text + 2, proof->server, 32);
	cr_expect_eq(scram_check(proof, slice_head(slice_from_string(text), 46)), -EACCES);
}

static void whole_exchange(
	enum scram_binding binding, const char *channel, const char *given, const char *normal)
{
	char *message = memory_format(
		"n=,r=" NONCE ",r=" NONCE "more,s=c2FsdA==,i=4096,c=%s,r=" NONCE "more", channel);
	struct scram_exchange x;
	struct scram_keys keys;
	struct scram_proof proof;
	struct server_says server;
	struct buffer final;
	char expected[256] = "";

	begin(&x, binding);
	cr_assert_eq(scram_take_challenge(&x, TEXT("r=" NONCE "more,s=c2FsdA==,i=4096")), 0);
	cr_assert_eq(scram_derive(&x, slice_from_string(given), &keys), 0);
	cr_assert_eq(scram_prove(&x, &keys, &proof), 0);
	work_out(normal, message, proof.client, &server);
	buffer_init(&final, SCRAM_MESSAGE_MOST);
	cr_assert_eq(scram_put_final(&x, &proof, &final), 0);
	snprintf(expected, sizeof(expected), "c=%s,r=" NONCE "more,p=", channel);
	EVP_EncodeBlock((uint8_t *)expected + strlen(expected), proof.client, 32);
	expect_text(&final, expected);
	check_final(&proof, server.signature);
	free(message);
}

Test(scram, whole_exchanges)
{
	whole_exchange(SCRAM_BINDS_NOT, "biws", "pencil", "pencil");
	whole_exchange(SCRAM_COULD_BIND, "eSws", "pencil", "pencil");
	whole_exchange(
		SCRAM_BINDS, "cD10bHMtc2VydmVyLWVuZC1wb2ludCwsZW5kIHBvaW50", "pencil", "pencil");
	/* SASLprep: a soft hyphen goes, the Roman numeral nine becomes letters; control characters
	 * and broken UTF-8 are taken as they are. */
	whole_exchange(SCRAM_BINDS_NOT, "biws", "a\u00ad\u2168", "aIX");
	whole_exchange(SCRAM_BINDS_NOT, "biws", "a\tb", "a\tb");
	whole_exchange(SCRAM_BINDS_NOT, "biws", "a\xff", "a\xff");
}

Test(md5, as_the_server_works_it_out)
{
	static const uint8_t salt[PG_MD5_SALT] = {1, 2, 3, 4};
	char answer[PG_MD5_ANSWER + 1];

	/* "md5" + md5(md5("five pass" + "u_md5") + 01020304) */
	cr_assert_eq(pg_md5_answer(TEXT("five pass"), TEXT("u_md5"), salt, answer), 0);
	cr_expect_str_eq(answer, "md5cac4b886c6fa6e76f7f8a9ae8676c7cb");
	cr_expect_eq(strlen(answer), PG_MD5_ANSWER);
}
