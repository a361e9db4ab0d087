/* SPDX-License-Identifier: Apache-2.0
 *
 * Every way to show a token that is not one's own, or none at all.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "identity/base64url.h"
#include "identity/token.h"
#include "tests/harness/tokens.h"

#define NOW 1800000000ULL
#define S(text) slice_from_string(text)
#define TIMES "\"iat\":1799999990,\"exp\":1800000600"
#define WHO "\"iss\":\"https://idp.example\",\"aud\":\"api://wayleave\",\"sub\":\"bot@acme.com\""
#define GOOD "{" WHO "," TIMES ",\"groups\":[\"ai-agents\",\"ops\"]}"

static EVP_PKEY *rsa, *other_rsa, *p256, *p384;
static struct jwks *keys;
static struct token_rules rules;

static void setup(void)
{
	char *jwk[3], *document;
	struct error e;

	rsa = tokens_make_rsa(2048);
	other_rsa = tokens_make_rsa(2048);
	p256 = tokens_make_ec("P-256");
	p384 = tokens_make_ec("P-384");
	jwk[0] = tokens_jwk(rsa, "rsa", ",\"use\":\"sig\",\"alg\":\"RS256\"");
	jwk[1] = tokens_jwk(p256, "p256", "");
	jwk[2] = tokens_jwk(p384, "p384", ",\"key_ops\":[\"verify\"]");
	document = memory_format("{\"keys\":[%s,%s,%s]}", jwk[0], jwk[1], jwk[2]);
	cr_assert_eq(jwks_parse(S(document), &keys, &e), 0, "%s", e.text);
	cr_assert_eq(keys->count, 3);
	for (size_t i = 0; i < 3; i++)
		free(jwk[i]);
	free(document);
	rules = (struct token_rules){
		.issuer = "https://idp.example",
		.audience = "api://wayleave",
		.groups_claim = "groups",
		.algorithms = ALGORITHMS_ALL,
	};
}

static void teardown(void)
{
	jwks_free(keys);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(other_rsa);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
}

TestSuite(token, .init = setup, .fini = teardown);

static int check(const char *text, struct token *ret, struct error *e)
{
	*e = (struct error){""};
	return token_check(S(text), keys, &rules, NOW, ret, e);
}

/* Frees the token; `why` is a part of the sentence. */
static void refused(char *text, int code, const char *why)
{
	struct token token;
	struct error e;
	int r = check(text, &token, &e);

	cr_expect_eq(r, code, "%s: %d, \"%s\"", why, r, e.text);
	cr_expect(strstr(e.text, why), "\"%s\" is not about: %s", e.text, why);
	if (r == 0)
		token_done(&token);
	free(text);
}

static char *sign(const char *header, const char *claims)
{
	return tokens_sign(ALGORITHM_RS256, rsa, S(header), S(claims));
}

static char *claim(const char *claims)
{
	return sign("{\"alg\":\"RS256\",\"kid\":\"rsa\"}", claims);
}

Test(token, good_ones_are_taken)
{
	const struct {
		enum algorithm a;
		EVP_PKEY *key;
		const char *header;
	} rows[] = {
		{ALGORITHM_RS256, rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"},
		{ALGORITHM_RS256, rsa, "{\"alg\":\"RS256\"}"},
		{ALGORITHM_RS256, rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"JWT\"}"},
		{ALGORITHM_RS256, rsa, "{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"at+jwt\"}"},
		{ALGORITHM_RS256, rsa, "{\"alg\":\"RS256\",\"typ\":\"application/AT+JWT\"}"},
		{ALGORITHM_ES256, p256, "{\"alg\":\"ES256\",\"kid\":\"p256\"}"},
		{ALGORITHM_ES384, p384, "{\"alg\":\"ES384\",\"kid\":\"p384\"}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *text = tokens_sign(rows[i].a, rows[i].key, S(rows[i].header), S(GOOD));
		struct token token;
		struct error e;

		cr_assert_eq(check(text, &token, &e), 0, "%s: %s", rows[i].header, e.text);
		cr_expect(slice_equal_string(token.subject, "bot@acme.com"));
		cr_expect_eq(token.group_count, 2);
		cr_expect(slice_equal_string(token.groups[1], "ops"));
		cr_expect_eq(token.expires, 1800000600);
		token_done(&token);
		free(text);
	}
}

Test(token, an_editor_may_have_added_a_line_break)
{
	char *text = claim(GOOD), *lines = memory_format("\n %s \r\n", text);
	struct token token;
	struct error e;

	cr_assert_eq(check(lines, &token, &e), 0, "%s", e.text);
	token_done(&token);
	free(text);
	free(lines);
}

/* --- the signature --- */

Test(token, none_is_no_algorithm)
{
	static const char *const names[] = {"none", "None", "NONE", "nOnE", ""};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *header = memory_format("{\"alg\":\"%s\",\"kid\":\"rsa\"}", names[i]);

		refused(tokens_join(S(header), S(GOOD), SLICE_EMPTY), -EACCES, "algorithm");
		free(header);
	}
	refused(tokens_join(S("{\"kid\":\"rsa\"}"), S(GOOD), SLICE_EMPTY), -EACCES, "algorithm");
	refused(tokens_join(S("{\"alg\":[\"RS256\"]}"), S(GOOD), SLICE_EMPTY), -EACCES,
		"algorithm");
}

/* The public key is known to everybody, also as a secret for HMAC. */
Test(token, a_public_key_is_no_secret)
{
	static const char *const names[] = {"HS256", "HS384", "HS512"};
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *pem;
	long length;

	PEM_write_bio_PUBKEY(bio, rsa);
	length = BIO_get_mem_data(bio, &data);
	pem = memory_copy_text(data, (size_t)length);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *header = memory_format("{\"alg\":\"%s\",\"kid\":\"rsa\"}", names[i]);

		refused(tokens_sign_with_secret(pem, header, GOOD), -EACCES, "algorithm");
		free(header);
	}
	/* The same bytes under a name that is taken. */
	refused(tokens_sign_with_secret(pem, "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", GOOD), -EACCES,
		"signature is wrong");
	free(pem);
	BIO_free(bio);
}

Test(token, other_algorithms_are_refused)
{
	rules.algorithms = 1u << ALGORITHM_ES256;
	refused(claim(GOOD), -EACCES, "algorithm");
	rules.algorithms = ALGORITHMS_ALL;
	refused(tokens_join(S("{\"alg\":\"PS256\",\"kid\":\"rsa\"}"), S(GOOD), S("x")), -EACCES,
		"algorithm");
	/* The key's own "alg" is RS256. */
	refused(tokens_sign(
			ALGORITHM_RS512, rsa, S("{\"alg\":\"RS512\",\"kid\":\"rsa\"}"), S(GOOD)),
		-ENOKEY, "does not publish");
	/* A key of another kind under the name. */
	refused(tokens_sign(
			ALGORITHM_RS256, rsa, S("{\"alg\":\"ES256\",\"kid\":\"p256\"}"), S(GOOD)),
		-EACCES, "signature is wrong");
}

Test(token, what_was_changed_is_refused)
{
	char *text = claim(GOOD), *other = claim("{" WHO "," TIMES ",\"groups\":[\"admins\"]}");
	char *first_dot = strchr(text, '.'), *last_dot = strrchr(text, '.');
	char *mixed = memory_format("%.*s%.*s%s", (int)(first_dot - text), text,
		(int)(strrchr(other, '.') - strchr(other, '.')), strchr(other, '.'), last_dot);

	refused(mixed, -EACCES, "signature is wrong");
	refused(memory_format("%.*s.", (int)(last_dot - text), text), -EACCES,
		"signature is wrong");
	for (size_t i = 0; i < strlen(text); i += 7) {
		struct token token;
		struct error e;
		char before = text[i];

		text[i] = before == 'A' ? 'B' : 'A';
		cr_expect_lt(check(text, &token, &e), 0, "at %zu", i);
		text[i] = before;
	}
	free(text);
	free(other);
}

/* Two numbers and nothing behind them: one signature has one spelling. */
Test(token, nothing_stands_behind_a_signature)
{
	char *text = tokens_sign(
		ALGORITHM_ES256, p256, S("{\"alg\":\"ES256\",\"kid\":\"p256\"}"), S(GOOD));
	char *signature = strrchr(text, '.') + 1;
	struct buffer bytes, longer;

	buffer_init(&bytes, 128);
	buffer_init(&longer, LIMIT_TOKEN_BYTES);
	cr_assert_eq(base64url_decode(S(signature), &bytes), 0);
	buffer_append_byte(&bytes, 0);
	buffer_append(&longer, text, (size_t)(signature - text));
	base64url_encode(buffer_slice(&bytes), &longer);
	refused(memory_copy_text(longer.data, buffer_length(&longer)), -EACCES,
		"signature is wrong");
	buffer_done(&bytes);
	buffer_done(&longer);
	free(text);
}

Test(token, a_key_that_it_brings_along_is_not_used)
{
	char *jwk = tokens_jwk(other_rsa, "rsa", "");
	char *headers[] = {
		memory_format("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"jwk\":%s}", jwk),
		memory_format("{\"alg\":\"RS256\",\"jwk\":%s}", jwk),
		memory_format(
			"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"jku\":\"https://evil.example/k\"}"),
		memory_format(
			"{\"alg\":\"RS256\",\"kid\":\"rsa\",\"x5u\":\"https://evil.example/c\"}"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		char *text = tokens_sign(ALGORITHM_RS256, other_rsa, S(headers[i]), S(GOOD));
		struct token token;
		struct error e;

		cr_expect_lt(check(text, &token, &e), 0, "%s", headers[i]);
		free(text);
		free(headers[i]);
	}
	free(jwk);
}

/* A name is compared, and opens no file and no row of a table. */
Test(token, names_of_keys_are_names_alone)
{
	static const char *const names[] = {"../../../../dev/null", "/etc/passwd", "rsa/../rsa",
		"x' or '1'='1", "rsa\\n", "RSA", "", "http://evil.example/"};
	char longer[LIMIT_KEY_ID + 2] = "", *header;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		header = memory_format("{\"alg\":\"RS256\",\"kid\":\"%s\"}", names[i]);

		refused(sign(header, GOOD), -ENOKEY, "does not publish");
		free(header);
	}
	memset(longer, 'k', sizeof(longer) - 1);
	refused(sign("{\"alg\":\"RS256\",\"kid\":7}", GOOD), -EACCES, "name of its key");
	refused(sign("{\"alg\":\"RS256\",\"kid\":null}", GOOD), -EACCES, "name of its key");
	refused(sign("{\"alg\":\"RS256\",\"kid\":\"rsa\\u0000\"}", GOOD), -EACCES, "header");
	header = memory_format("{\"alg\":\"RS256\",\"kid\":\"%s\"}", longer);
	refused(sign(header, GOOD), -EACCES, "name of its key");
	free(header);
}

/* One of the keys' documents, in which `jwk` (freed) stands so many times. */
static struct jwks *keys_of(char *jwk, unsigned count)
{
	struct buffer document;
	struct jwks *ret;

	buffer_init(&document, 65536);
	for (unsigned i = 0; i < count; i++)
		buffer_append_format(&document, "%s%s", i ? "," : "{\"keys\":[", jwk);
	buffer_append_string(&document, "]}");
	cr_assert_eq(jwks_parse(buffer_slice(&document), &ret, NULL), 0);
	buffer_done(&document);
	free(jwk);
	return ret;
}

static int check_with(struct jwks *others, const char *header)
{
	char *text = sign(header, GOOD);
	struct jwks *mine = keys;
	struct token token;
	struct error e;
	int r;

	keys = others;
	r = check(text, &token, &e);
	keys = mine;
	if (r == 0)
		token_done(&token);
	free(text);
	jwks_free(others);
	return r;
}

/* The name that the token asks for is not that of a key without one. */
Test(token, a_key_without_a_name_is_nobodys)
{
	char *named = tokens_jwk(rsa, "rsa", ""), *id = strstr(named, "\"kid\":\"rsa\",");

	cr_assert(id);
	memmove(id, id + 12, strlen(id + 12) + 1);
	cr_expect_eq(check_with(keys_of(memory_copy_string(named), 1),
			     "{\"alg\":\"RS256\",\"kid\":\"rsa\"}"),
		-ENOKEY);
	cr_expect_eq(check_with(keys_of(named, 1), "{\"alg\":\"RS256\"}"), 0);
}

/* Else one token would cost as many signature checks as an issuer likes to publish keys. */
Test(token, few_keys_of_one_name_are_tried)
{
	static const char header[] = "{\"alg\":\"RS256\",\"kid\":\"k\"}";

	for (unsigned others = 3; others <= 4; others++) {
		char *wrong = tokens_jwk(other_rsa, "k", ""), *right = tokens_jwk(rsa, "k", "");
		char *all = others == 3
			? memory_format("%s,%s,%s,%s", wrong, wrong, wrong, right)
			: memory_format("%s,%s,%s,%s,%s", wrong, wrong, wrong, wrong, right);

		cr_expect_eq(check_with(keys_of(all, 1), header), others == 3 ? 0 : -EACCES);
		free(wrong);
		free(right);
	}
}

Test(token, headers_that_want_more_are_refused)
{
	refused(sign("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[\"b64\"],\"b64\":false}", GOOD),
		-EACCES, "crit");
	refused(sign("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"crit\":[]}", GOOD), -EACCES, "crit");
	refused(sign("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"secevent+jwt\"}", GOOD), -EACCES,
		"type");
	refused(sign("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":1}", GOOD), -EACCES, "type");
	rules.type = "at+jwt";
	refused(claim(GOOD), -EACCES, "type is not at+jwt");
	refused(sign("{\"alg\":\"RS256\",\"kid\":\"rsa\",\"typ\":\"JWT\"}", GOOD), -EACCES,
		"type is not at+jwt");
}

/* Two readers would see two different tokens. */
Test(token, names_that_stand_twice_are_refused)
{
	refused(sign("{\"alg\":\"RS256\",\"alg\":\"none\",\"kid\":\"rsa\"}", GOOD), -EACCES,
		"twice");
	refused(claim("{" WHO "," TIMES ",\"sub\":\"root\"}"), -EACCES, "twice");
	refused(claim("{" WHO "," TIMES ",\"s\\u0075b\":\"root\"}"), -EACCES, "twice");
	refused(claim("{" WHO "," TIMES ",\"a\":{\"b\":1,\"b\":2}}"), -EACCES, "twice");
}

Test(token, loose_json_is_refused)
{
	static const char *const texts[] = {"{" WHO "," TIMES "}x", "{" WHO "," TIMES ",}",
		"{" WHO "," TIMES ",\"a\":01}", "{" WHO "," TIMES ",\"a\":\"\n\"}",
		"{" WHO "," TIMES ",\"a\":\"\\ud800\"}", "{" WHO "," TIMES ",\"a\":\"\\u0000\"}",
		"{" WHO "," TIMES ",'a':1}", "{" WHO "," TIMES ",\"a\":NaN}", "[]", "", "\"x\"",
		"{" WHO "," TIMES ",\"a\":\"\xff\"}", "\xef\xbb\xbf{" WHO "," TIMES "}"};
	char deep[64] = "", *nested;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		refused(claim(texts[i]), -EACCES, "its claims: ");
	memset(deep, '[', LIMIT_DOCUMENT_DEPTH + 1);
	nested = memory_format("{\"a\":%s", deep);
	refused(claim(nested), -EACCES, "nested too deeply");
	free(nested);
}

Test(token, what_is_no_token_is_refused)
{
	static const char *const texts[] = {".", "..", "...", "a.b", "a.b.c.d",
		"eyJhbGciOiJSUzI1NiJ9", "Bearer a.b.c", "{\"alg\":\"RS256\"}", "e30=.e30=.e30="};
	char *huge = memory_new(LIMIT_TOKEN_BYTES + 2);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct token token;
		struct error e;

		cr_expect_eq(check(texts[i], &token, &e), -EACCES, "%s", texts[i]);
	}
	refused(memory_copy_string(""), -EACCES, "there is none");
	memset(huge, 'a', LIMIT_TOKEN_BYTES + 1);
	refused(huge, -EACCES, "longer than");
}

/* --- the claims --- */

Test(token, somebody_elses_are_refused)
{
	static const struct {
		const char *claims, *why;
	} rows[] = {
		{"{\"iss\":\"https://evil.example\",\"aud\":\"api://wayleave\",\"sub\":\"b\"," TIMES
		 "}",
			"iss"},
		{"{\"iss\":\"https://idp.example/\",\"aud\":\"api://wayleave\",\"sub\":\"b\"," TIMES
		 "}",
			"iss"},
		{"{\"aud\":\"api://wayleave\",\"sub\":\"b\"," TIMES "}", "iss"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"other\",\"sub\":\"b\"," TIMES "}",
			"aud"},
		{"{\"iss\":\"https://idp.example\",\"aud\":[\"other\"],\"sub\":\"b\"," TIMES "}",
			"aud"},
		{"{\"iss\":\"https://idp.example\",\"aud\":{\"api://"
		 "wayleave\":1},\"sub\":\"b\"," TIMES "}",
			"aud"},
		{"{\"iss\":\"https://idp.example\",\"aud\":{\"x\":\"api://wayleave\"},"
		 "\"sub\":\"b\"," TIMES "}",
			"aud"},
		{"{\"iss\":\"https://idp.example\",\"aud\":[7,null,{}],\"sub\":\"b\"," TIMES "}",
			"aud"},
		{"{\"iss\":\"https://idp.example\",\"sub\":\"b\"," TIMES "}", "aud"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"api://wayleave\"," TIMES "}", "sub"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"api://wayleave\",\"sub\":\"\"," TIMES
		 "}",
			"sub"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"api://wayleave\",\"sub\":7," TIMES "}",
			"sub"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"api://wayleave\","
		 "\"sub\":\"b\\u007f\"," TIMES "}",
			"sub"},
		{"{\"iss\":\"https://idp.example\",\"aud\":\"api://wayleave\","
		 "\"sub\":\"a\\nb\"," TIMES "}",
			"sub"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refused(claim(rows[i].claims), -EACCES, rows[i].why);
	rules.subject = "someone@acme.com";
	refused(claim(GOOD), -EACCES, "sub");
}

/* A good one, which is freed. */
static void taken(char *text, const char *what)
{
	struct token token;
	struct error e;
	int r = check(text, &token, &e);

	cr_expect_eq(r, 0, "%s: %s", what, e.text);
	if (r == 0)
		token_done(&token);
	free(text);
}

Test(token, the_one_that_it_is_to_be_about_is_taken)
{
	rules.subject = "bot@acme.com";
	taken(claim(GOOD), "its subject");
}

Test(token, names_are_not_endless)
{
	char name[LIMIT_TOKEN_NAME + 2], *claims;

	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	claims = memory_format("{\"iss\":\"https://idp.example\",\"aud\":\"api://wayleave\","
			       "\"sub\":\"%s\"," TIMES "}",
		name);
	refused(claim(claims), -EACCES, "sub");
	free(claims);
	claims = memory_format("{" WHO "," TIMES ",\"groups\":\"%s ops\"}", name);
	refused(claim(claims), -EACCES, "the name of a group");
	free(claims);
	taken(claim("{" WHO "," TIMES ",\"groups\":[\"a\"],\"_claim_names\":{\"groups\":\"s\"}}"),
		"groups that are there and elsewhere");
}

Test(token, one_without_a_name_of_its_key_may_be_of_a_newer_one)
{
	refused(tokens_sign(ALGORITHM_RS256, other_rsa, S("{\"alg\":\"RS256\"}"), S(GOOD)), -ENOKEY,
		"does not publish");
}

Test(token, one_audience_of_several_is_enough)
{
	char *text = claim("{\"iss\":\"https://idp.example\",\"aud\":[\"x\",\"api://wayleave\"],"
			   "\"sub\":\"b\"," TIMES "}");
	struct token token;
	struct error e;

	cr_assert_eq(check(text, &token, &e), 0, "%s", e.text);
	cr_expect_eq(token.group_count, 0);
	token_done(&token);
	free(text);
}

Test(token, another_clients_are_refused)
{
	static const char *const members[] = {"azp", "cid", "client_id"};

	rules.client = "claude-ci";
	refused(claim(GOOD), -EACCES, "another client");
	refused(claim("{" WHO "," TIMES ",\"azp\":[\"claude-ci\"]}"), -EACCES, "another client");
	refused(claim("{" WHO "," TIMES ",\"azp\":\"claude-ci\",\"cid\":\"other\"}"), -EACCES,
		"another client");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		char *claims =
			memory_format("{" WHO "," TIMES ",\"%s\":\"claude-ci\"}", members[i]);
		char *text = claim(claims);
		struct token token;
		struct error e;

		cr_assert_eq(check(text, &token, &e), 0, "%s: %s", members[i], e.text);
		token_done(&token);
		free(text);
		free(claims);
		claims = memory_format("{" WHO "," TIMES ",\"%s\":\"other\"}", members[i]);
		refused(claim(claims), -EACCES, "another client");
		free(claims);
	}
}

Test(token, time_has_a_minute_of_leeway)
{
	static const struct {
		const char *times;
		int code;
		const char *why;
	} rows[] = {
		{"\"exp\":1799999941", 0, ""},
		{"\"exp\":1799999940", -EKEYEXPIRED, "expired"},
		{"\"exp\":1799999941.5", 0, ""},
		{"\"exp\":0", -EKEYEXPIRED, "expired"},
		{"\"exp\":-1", -EACCES, "exp"},
		{"\"exp\":1e300", -EACCES, "exp"},
		{"\"exp\":\"1800000600\"", -EACCES, "exp"},
		{"\"exp\":null", -EACCES, "exp"},
		{"\"iat\":1", -EACCES, "no end"},
		{"\"exp\":1800000600,\"nbf\":1800000060", 0, ""},
		{"\"exp\":1800000600,\"nbf\":1800000061", -EAGAIN, "not valid yet"},
		{"\"exp\":1800000600,\"nbf\":true", -EACCES, "nbf"},
		{"\"exp\":1800000600,\"iat\":1800000060", 0, ""},
		{"\"exp\":1800000600,\"iat\":1800000061", -EAGAIN, "future"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *claims = memory_format("{" WHO ",%s}", rows[i].times);
		struct token token;
		struct error e;
		char *text = claim(claims);
		int r = check(text, &token, &e);

		cr_expect_eq(r, rows[i].code, "%s: %d \"%s\"", rows[i].times, r, e.text);
		cr_expect(strstr(e.text, rows[i].why), "%s: \"%s\"", rows[i].times, e.text);
		if (r == 0)
			token_done(&token);
		free(text);
		free(claims);
	}
}

/* --- groups --- */

static void has_groups(const char *groups_claim, const char *member, const char *wanted)
{
	char *claims = memory_format("{" WHO "," TIMES ",%s}", member), *text = claim(claims);
	char joined[256] = "";
	struct token token;
	struct error e;
	int r;

	rules.groups_claim = groups_claim;
	r = check(text, &token, &e);
	cr_assert_eq(r, 0, "%s: %s", member, e.text);
	for (size_t i = 0; i < token.group_count; i++)
		snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%s%.*s",
			i ? "," : "", SLICE_PRINT(token.groups[i]));
	cr_expect_str_eq(joined, wanted, "%s: %s", member, joined);
	token_done(&token);
	free(text);
	free(claims);
}

Test(token, groups_stand_where_the_issuer_puts_them)
{
	has_groups("groups", "\"groups\":[\"a\",\"b c\"]", "a,b c");
	has_groups("groups", "\"groups\":[]", "");
	has_groups("groups", "\"other\":[\"a\"]", "");
	has_groups("scp", "\"scp\":\"a  b c\"", "a,b,c");
	has_groups("realm_access.roles", "\"realm_access\":{\"roles\":[\"a\"]}", "a");
	has_groups("a.b.c", "\"a\":{\"b\":{\"c\":\"x y\"}}", "x,y");
	has_groups("https://acme.com/groups", "\"https://acme.com/groups\":[\"a\"]", "a");
	has_groups("realm_access.roles",
		"\"realm_access.roles\":[\"whole\"],\"realm_access\":{\"roles\":[\"nested\"]}",
		"whole");
	has_groups("realm_access.roles", "\"realm_access\":\"roles\"", "");
}

/* Groups that can't be read might be those that a rule denies. */
Test(token, groups_that_are_none_refuse_it)
{
	static const struct {
		const char *member, *why;
	} rows[] = {
		{"\"groups\":7", "neither a list"},
		{"\"groups\":null", "neither a list"},
		{"\"groups\":{\"a\":true}", "neither a list"},
		{"\"groups\":[\"a\",7]", "no text"},
		{"\"groups\":[[\"a\"]]", "no text"},
		{"\"groups\":[\"\"]", "empty"},
		{"\"groups\":[\"a\\nb\"]", "no line"},
		{"\"_claim_names\":{\"groups\":\"src1\"}", "too many for a token"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *claims = memory_format("{" WHO "," TIMES ",%s}", rows[i].member);

		refused(claim(claims), -EACCES, rows[i].why);
		free(claims);
	}
}

Test(token, no_group_is_left_out)
{
	char *claims = memory_copy_string("{" WHO "," TIMES ",\"groups\":[\"a\""), *text;

	for (unsigned i = 0; i < LIMIT_TOKEN_GROUPS; i++) {
		text = memory_format("%s,\"a\"", claims);
		free(claims);
		claims = text;
	}
	text = memory_format("%s]}", claims);
	refused(claim(text), -EACCES, "more than");
	free(text);
	free(claims);
}
