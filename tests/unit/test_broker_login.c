/* SPDX-License-Identifier: Apache-2.0
 *
 * What an issuer may answer to somebody who logs in.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "monitor/control.h"
#include "tests/harness/issuer_client.h"

#define S(text) slice_from_string(text)
#define URL ISSUER_URL
#define CODE                                                                                       \
	"{\"device_code\":\"d\",\"user_code\":\"WDJB-MJHT\",\"verification_uri\":\"" URL           \
	"/device\",\"verification_uri_complete\":\"" URL                                           \
	"/device?user_code=WDJB-MJHT\",\"expires_in\":600,\"interval\":5}"
#define DAY (24 * 3600)

/* What the monitor heard last. */
static struct broker_login_state heard;
static char texts[3][LIMIT_TOKEN_NAME + 1];

static void teardown(void)
{
	logins_end(&o, 1);
	cr_expect(
		list_is_empty(&o.logins) || issuer_asked.url, "a login that nobody wants is there");
	issuer_teardown();
}

TestSuite(login, .init = issuer_setup, .fini = teardown);

/* False: nothing was said. */
static bool hear(void)
{
	struct control_header header;
	struct buffer payload;
	struct slice rest;
	bool any = false;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	while (control_receive(monitor, &header, &payload, NULL, NULL) == 0) {
		if (header.type == BROKER_LOGIN_STATE) {
			any = true;
			memcpy(&heard, buffer_slice(&payload).data, sizeof(heard));
			rest = slice_from(buffer_slice(&payload), sizeof(heard));
			for (size_t i = 0; i < 3; i++) {
				snprintf(texts[i], sizeof(texts[i]), "%.*s", (int)heard.lengths[i],
					(const char *)rest.data);
				rest = slice_from(rest, heard.lengths[i]);
			}
		}
		buffer_clear(&payload);
	}
	buffer_done(&payload);
	return any;
}

static void tick(uint64_t seconds)
{
	logins_tick(&o, clock_monotonic() + seconds * NANOSECONDS_PER_SECOND);
}

static void answer(unsigned status, const char *body)
{
	cr_assert_not_null(issuer_asked.url, "nothing was asked, to be answered: %s", body);
	cr_expect(issuer_asked.https_alone);
	issuer_answer(&(struct client_answer){.status = status, .body = S(body)});
}

static void begin(void)
{
	logins_begin(&o, &(struct broker_login){.id = 1});
	tick(0);
}

static void begin_with_code(const char *code)
{
	begin();
	answer(200, code);
	cr_assert(hear());
	cr_assert_eq(heard.stage, BROKER_LOGIN_WAITING, "%s", texts[0]);
}

static void expect_failed(const char *why, const char *what)
{
	cr_expect(hear(), "%s: nothing was said", what);
	cr_expect_eq(heard.stage, BROKER_LOGIN_FAILED, "%s: %s", what, texts[0]);
	cr_expect(strstr(texts[0], why), "%s: \"%s\" is not about: %s", what, texts[0], why);
	cr_expect(list_is_empty(&o.logins));
	logins_end(&o, 1);
}

#define WITH(user, uri)                                                                            \
	"{\"device_code\":\"d\",\"user_code\":" user ",\"verification_uri\":" uri "}"

Test(login, codes_that_are_none)
{
	static const struct {
		unsigned status;
		const char *body, *why;
	} rows[] = {
		{200, "", "no JSON object"},
		{200, "<html>\xff", "UTF-8"},
		{200, "[]", "object"},
		{200, "{\"device_code\":\"d\",\"device_code\":\"e\"}", "twice"},
		{200, "{}", "device_code"},
		{200, "{\"device_code\":\"\",\"user_code\":\"A\"}", "device_code"},
		{200, "{\"device_code\":7,\"user_code\":\"A\",\"verification_uri\":\"" URL "\"}",
			"device_code"},
		{200, WITH("null", "\"" URL "\""), "user_code"},
		{200, WITH("[\"A\"]", "\"" URL "\""), "user_code"},
		{200, WITH("\"\"", "\"" URL "\""), "user_code"},
		{200, WITH("\"A\\u001b[2J\"", "\"" URL "\""), "user_code"},
		{200, WITH("\"A\\nB\"", "\"" URL "\""), "user_code"},
		{200, WITH("\"A B\"", "\"" URL "\""), "user_code"},
		{200, WITH("\"A\\u202eB\"", "\"" URL "\""), "user_code"},
		{200, WITH("\"A\\u0085\"", "\"" URL "\""), "user_code"},
		{200, WITH("\"A\\u007f\"", "\"" URL "\""), "user_code"},
		{200,
			WITH("\"12345678901234567890123456789012345678901234567890123456789012345"
			     "\"",
				"\"" URL "\""),
			"user_code"},
		{200, WITH("\"A\"", "17"), "verification_uri"},
		{200, WITH("\"A\"", "\"http://idp.example/device\""), "verification_uri"},
		{200, WITH("\"A\"", "\"javascript:alert(1)\""), "verification_uri"},
		{200, WITH("\"A\"", "\"https://\""), "verification_uri"},
		{200, WITH("\"A\"", "\"https:///device\""), "verification_uri"},
		{200, WITH("\"A\"", "\"https://idp.example@evil.example/\""), "verification_uri"},
		{200, WITH("\"A\"", "\"https://evil.example\\\\@idp.example/\""),
			"verification_uri"},
		{200, WITH("\"A\"", "\"https://idp.example/\\r\\nhttps://evil.example\""),
			"verification_uri"},
		{200, WITH("\"A\"", "\"https://idp.example/\\u001b]8;;\""), "verification_uri"},
		{200, WITH("\"A\"", "\"https://\\u0456dp.example/\""), "verification_uri"},
		{302, CODE, "HTTP status 302"},
		{500, "", "HTTP status 500"},
		{400, "{\"error\":\"invalid_client\\u001b[2J\"}", "400, invalid_client"},
		{400, "{\"error\":\"Invalid\"}", "HTTP status 400"},
		{400, "{\"error\":{}}", "HTTP status 400"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin();
		cr_expect_str_eq(issuer_asked.url, URL "/device");
		answer(rows[i].status, rows[i].body);
		expect_failed(rows[i].why, rows[i].body);
		for (const char *c = texts[0]; *c; c++)
			cr_expect(*c >= ' ' && *c < 0x7f, "%s: shown as it came", rows[i].body);
	}
}

Test(login, an_answer_that_fits_into_no_form)
{
	char *code = memory_new(LIMIT_TOKEN_BYTES + 2), *body;

	memset(code, '%', LIMIT_TOKEN_BYTES + 1);
	body = memory_format("{\"device_code\":\"%s\",\"user_code\":\"A\"}", code);
	begin();
	answer(200, body);
	expect_failed("device_code", "a long one");
	free(body);
	code[LIMIT_TOKEN_BYTES] = '\0';
	body = memory_format("{\"device_code\":\"%s\",\"user_code\":\"A\",\"verification_uri\":"
			     "\"" URL "\"}",
		code);
	begin_with_code(body);
	tick(6);
	/* Whole: the last of it is at the end. */
	cr_assert_not_null(issuer_asked.body);
	cr_expect(strstr(issuer_asked.body, "%25&client_id=wayleave"));
	free(body);
	free(code);
}

Test(login, what_is_too_long)
{
	char *letters = memory_new(LIMIT_TOKEN_BYTES + 1), *body;

	memset(letters, 'a', LIMIT_TOKEN_BYTES);
	body = memory_format("{\"device_code\":\"d\",\"user_code\":\"A\",\"verification_uri\":"
			     "\"" URL "/%.*s\"}",
		(int)LIMIT_TOKEN_NAME, letters);
	begin();
	answer(200, body);
	expect_failed("verification_uri", "a long address");
	free(body);
	begin_with_code(CODE);
	tick(6);
	body = memory_format("{\"access_token\":\"%s.b.c\"}", letters);
	answer(200, body);
	expect_failed("its token is too long", "a long token");
	free(body);
	free(letters);
}

Test(login, addresses_with_the_code_are_the_same_place)
{
	static const struct {
		const char *whole;
		bool shown;
	} rows[] = {
		{"\"https://idp.example/device?user_code=A\"", true},
		{"\"https://idp.example/other/device?user_code=A\"", true},
		{"\"https://evil.example/device?user_code=A\"", false},
		{"\"https://idp.example.evil.example/?user_code=A\"", false},
		{"\"https://idp.example@evil.example/?user_code=A\"", false},
		{"\"https://idp.example:444/?user_code=A\"", false},
		{"\"https://idp.exam/?user_code=A\"", false},
		{"\"https://evi.example/?user_code=A\"", false},
		{"\"http://idp.example/device?user_code=A\"", false},
		{"\"https://idp.example/?a=\\u001b\"", false},
		{"7", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *body = memory_format("{\"device_code\":\"d\",\"user_code\":\"A\","
					   "\"verification_uri\":\"" URL
					   "/device\",\"verification_uri_complete\":%s}",
			rows[i].whole);

		begin_with_code(body);
		cr_expect_str_eq(texts[0], "A");
		cr_expect_str_eq(texts[1], URL "/device");
		cr_expect_eq(texts[2][0] != '\0', rows[i].shown, "%s", rows[i].whole);
		logins_end(&o, 1);
		free(body);
	}
}

Test(login, seconds_are_what_they_can_be)
{
	static const struct {
		const char *interval;
		unsigned seconds;
	} rows[] = {
		{"5", 5},
		{"17.9", 17},
		{"0", 5},
		{"-3", 5},
		{"0.001", 5},
		{"\"9\"", 5},
		{"null", 5},
		{"[1]", 5},
		{"61", 60},
		{"1e300", 60},
		{"1e999", 60},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = clock_monotonic();
		char *body = memory_format("{\"device_code\":\"d\",\"user_code\":\"A\","
					   "\"verification_uri\":\"" URL "\",\"interval\":%s}",
			rows[i].interval);

		begin_with_code(body);
		logins_tick(&o, before + rows[i].seconds * NANOSECONDS_PER_SECOND - 1);
		cr_expect_null(issuer_asked.url, "%s: too soon", rows[i].interval);
		tick(rows[i].seconds);
		cr_expect_not_null(issuer_asked.url, "%s: too late", rows[i].interval);
		logins_end(&o, 1);
		answer(400, "{}");
		free(body);
	}
}

Test(login, a_code_is_good_for_half_an_hour_at_most)
{
	static const struct {
		const char *expires;
		unsigned seconds;
	} rows[] = {{"600", 600}, {"0", 1800}, {"-1", 1800}, {"1e300", 1800}, {"\"9\"", 1800}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *body = memory_format("{\"device_code\":\"d\",\"user_code\":\"A\","
					   "\"verification_uri\":\"" URL "\",\"expires_in\":%s}",
			rows[i].expires);

		begin_with_code(body);
		tick(rows[i].seconds - 30);
		answer(400, "{\"error\":\"authorization_pending\"}");
		cr_expect_not(hear(), "%s", rows[i].expires);
		tick(rows[i].seconds + 1);
		expect_failed("not used in time", rows[i].expires);
		free(body);
	}
}

Test(login, who_is_told_to_slow_down_does_and_ends)
{
	uint64_t before;
	unsigned asked = 0;

	begin_with_code(CODE);
	for (unsigned i = 0; i < 100; i++) {
		tick(64);
		answer(400, "{\"error\":\"slow_down\"}");
		cr_assert_not(hear());
	}
	before = clock_monotonic();
	tick(64);
	answer(400, "{\"error\":\"slow_down\"}");
	for (unsigned second = 0; second < 60; second++) {
		logins_tick(&o, before + second * NANOSECONDS_PER_SECOND);
		asked += issuer_asked.url != NULL;
	}
	cr_expect_eq(asked, 0, "it does not get slower than once a minute, nor faster");
	tick(61);
	cr_expect_not_null(issuer_asked.url);
	answer(400, "{\"error\":\"slow_down\"}");
	tick(601);
	expect_failed("not used in time", "slow_down for ever");
}

Test(login, an_issuer_that_can_not_be_reached_is_asked_again)
{
	begin_with_code(CODE);
	for (unsigned i = 0; i < 20; i++) {
		tick(61);
		cr_assert_not_null(issuer_asked.url);
		issuer_answer(&(struct client_answer){.problem = "it is slow"});
		cr_assert_not(hear());
	}
	tick(601);
	expect_failed("not used in time", "it does not answer");
}

static char *sign(const char *more)
{
	char *claims = memory_format("{\"iss\":\"" URL "\",\"sub\":\"ann\",\"exp\":%lu%s}",
		     (unsigned long)openid_now() + 600, more),
	     *token = issuer_sign(claims);

	free(claims);
	return token;
}

static void say_token(const char *name, const char *token)
{
	char *body = memory_format(
		"{\"%s\":\"%s\",\"refresh_token\":\"r\",\"token_type\":\"Bearer\"}", name, token);

	answer(200, body);
	free(body);
	tick(0);
}

static void log_in(void)
{
	char *token = sign(",\"aud\":\"api://wayleave\",\"azp\":\"wayleave\"");

	begin_with_code(CODE);
	tick(6);
	say_token("access_token", token);
	cr_assert(hear());
	cr_assert_eq(heard.stage, BROKER_LOGIN_KNOWN, "%s", texts[0]);
	cr_assert_str_eq(texts[0], "ann");
	free(token);
}

Test(login, answers_without_a_token)
{
	static const struct {
		unsigned status;
		const char *body, *why;
	} rows[] = {
		{200, "", "no JSON object"},
		{200, "{}", "no signed token"},
		{200, "{\"access_token\":7}", "no signed token"},
		{200, "{\"access_token\":\"opaque\"}", "no signed token"},
		{200, "{\"access_token\":\"with.dot\"}", "no signed token"},
		{200, "{\"access_token\":[\"a.b.c\"],\"id_token\":{}}", "no signed token"},
		{200, "{\"access_token\":\"a.b.c\"}", "header"},
		{200, "{\"access_token\":\"..\"}", "header"},
		{200, "{\"access_token\":\"o\",\"id_token\":\"a.b\"}", "no signed JSON Web Token"},
		{302, "{}", "302"},
		{503, "busy", "503"},
		{400, "{\"error\":\"access_denied\"}", "denied there"},
		{400, "{\"error\":\"expired_token\"}", "not used in time"},
		{400, "{\"error\":\"server_error\"}", "server_error"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		begin_with_code(CODE);
		tick(6);
		cr_expect_str_eq(issuer_asked.url, URL "/token");
		answer(rows[i].status, rows[i].body);
		tick(0);
		expect_failed(rows[i].why, rows[i].body);
	}
}

#define US ",\"aud\":\"wayleave\""

Test(login, tokens_of_others)
{
	static const struct {
		const char *name, *more, *why; /* why NULL: it is taken */
	} rows[] = {
		{"access_token", ",\"aud\":\"api://wayleave\",\"client_id\":\"wayleave\"", NULL},
		{"access_token", ",\"aud\":\"api://other\",\"azp\":\"wayleave\"", "audience"},
		{"access_token", ",\"aud\":\"wayleave\",\"azp\":\"wayleave\"", "audience"},
		{"access_token", ",\"aud\":\"api://wayleave\",\"azp\":\"other\"", "another client"},
		{"access_token", ",\"aud\":\"api://wayleave\"", "another client"},
		{"id_token", US, NULL},
		{"id_token", US ",\"azp\":\"wayleave\"", NULL},
		{"id_token", ",\"aud\":[\"wayleave\"]", NULL},
		{"id_token", ",\"aud\":[\"wayleave\",\"b\"],\"azp\":\"wayleave\"", NULL},
		{"id_token", ",\"aud\":\"other\"", "audience"},
		{"id_token", ",\"aud\":\"api://wayleave\"", "audience"},
		{"id_token", ",\"aud\":[\"wayleave\",\"other\"]", "azp"},
		{"id_token", US ",\"azp\":\"other\"", "azp"},
		{"id_token", US ",\"azp\":7", "azp"},
		{"id_token", US ",\"nonce\":\"n\"", "nonce"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char *token = sign(rows[i].more);

		begin_with_code(CODE);
		tick(6);
		say_token(rows[i].name, token);
		if (rows[i].why) {
			expect_failed(rows[i].why, rows[i].more);
		} else {
			cr_expect(hear());
			cr_expect_eq(
				heard.stage, BROKER_LOGIN_KNOWN, "%s: %s", rows[i].more, texts[0]);
			logins_end(&o, 1);
		}
		free(token);
	}
}

Test(login, a_token_without_end_is_looked_at_again)
{
	char *token = issuer_sign(
		"{\"iss\":\"" URL "\",\"sub\":\"ann\",\"exp\":253402300799,\"aud\":\"api://"
		"wayleave\",\"azp\":\"wayleave\"}");

	begin_with_code(CODE);
	tick(6);
	say_token("access_token", token);
	cr_assert(hear());
	cr_expect_eq(heard.stage, BROKER_LOGIN_KNOWN);
	cr_expect_gt(heard.until, (openid_now() + 29 * DAY) * NANOSECONDS_PER_SECOND);
	cr_expect_lt(heard.until, (openid_now() + 31 * DAY) * NANOSECONDS_PER_SECOND);
	tick(19 * DAY);
	cr_expect_null(issuer_asked.url, "it is not asked for before");
	tick(21 * DAY);
	cr_expect_not_null(issuer_asked.url);
	free(token);
}

Test(login, the_newer_token_is_the_same_persons)
{
	char *token = issuer_sign(
		"{\"iss\":\"" URL "\",\"sub\":\"bob\",\"exp\":253402300799,\"aud\":\"api://"
		"wayleave\",\"azp\":\"wayleave\"}");

	log_in();
	tick(500);
	cr_expect(strstr(issuer_asked.body, "grant_type=refresh_token"));
	say_token("access_token", token);
	expect_failed("another person's", "bob");
	free(token);
}

Test(login, what_there_is_stays_good_while_there_is_nothing_newer)
{
	static const char *const bodies[] = {"", "{}", "{\"access_token\":\"opaque\"}", "\xff"};
	char *token = sign(",\"aud\":\"api://wayleave\",\"azp\":\"wayleave\"");

	log_in();
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		uint64_t before = clock_monotonic();

		tick(500);
		cr_assert_not_null(issuer_asked.url);
		answer(i ? 200 : 500, bodies[i]);
		logins_tick(&o, before);
		cr_expect_null(issuer_asked.url, "at once again");
		cr_expect_not(hear());
	}
	tick(500);
	say_token("access_token", token);
	cr_expect(hear());
	cr_expect_eq(heard.stage, BROKER_LOGIN_KNOWN);
	free(token);
}

Test(login, who_is_not_waited_for_is_forgotten)
{
	begin();
	logins_end(&o, 1);
	cr_expect_not(list_is_empty(&o.logins), "an answer is to come");
	answer(200, CODE);
	cr_expect(list_is_empty(&o.logins));
	cr_expect_not(hear());
}

Test(login, places_without_tls_are_not_asked)
{
	static const char *const places[] = {"\"http://idp.example/device\"", "7", "\"\"",
		"\"file:///etc/passwd\"", "\"HTTPS\""};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *document = memory_format("{\"issuer\":\"" URL "\",\"jwks_uri\":\"" URL
					       "/keys\",\"device_authorization_endpoint\":%s}",
			places[i]);

		issuer.fetch_at = 0;
		issuer.discovered = issuer.fetching = false;
		issuer_tick(&issuer, clock_monotonic());
		answer(200, document);
		cr_expect_null(issuer.device_endpoint, "%s", places[i]);
		cr_expect_null(issuer.token_endpoint);
		issuer_asked_forget();
		begin();
		cr_expect_null(issuer_asked.url);
		expect_failed("no logins on devices", places[i]);
		free(document);
	}
}
