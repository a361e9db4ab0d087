/* SPDX-License-Identifier: Apache-2.0
 *
 * An issuer's keys over time, and agents' tokens with them.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "monitor/control.h"
#include "tests/harness/issuer_client.h"

#define S(text) slice_from_string(text)
#define SECONDS(count) ((count)*NANOSECONDS_PER_SECOND)
#define HOUR 3600
#define DOCUMENT                                                                                   \
	"{\"issuer\":\"" ISSUER_URL "\",\"jwks_uri\":\"" ISSUER_URL                                \
	"/keys\",\"token_endpoint\":\"" ISSUER_URL "/token\"}"

static struct subject s;
static struct token_lives lives;
/* What the monitor heard last of the agent. */
static struct buffer heard;
static struct principal_entry *entry;

static void setup(void)
{
	issuer_setup();
	buffer_init(&heard, CONTROL_PAYLOAD_MOST);
	s = (struct subject){.owner = &o,
		.agent = 7,
		.issuer = &issuer,
		.rules = issuer.rules,
		.lives = &lives,
		.ask_at = UINT64_MAX};
	buffer_init(&s.reported, CONTROL_PAYLOAD_MOST);
	o.subjects = &s;
	o.subject_count = 1;
}

static void teardown(void)
{
	free(s.token);
	buffer_done(&s.reported);
	buffer_done(&heard);
	free(entry);
	issuer_teardown();
}

TestSuite(issuer, .init = setup, .fini = teardown);

static size_t hear(uint32_t type)
{
	struct control_header header;
	struct buffer payload;
	size_t count = 0, entries;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	while (control_receive(monitor, &header, &payload, NULL, NULL) == 0) {
		count += header.type == type;
		if (header.type == type && type == BROKER_PRINCIPAL) {
			buffer_clear(&heard);
			buffer_append_slice(&heard, buffer_slice(&payload));
			free(entry);
			cr_assert_eq(principals_decode(buffer_slice(&heard), &entry, &entries), 0);
			cr_assert_eq(entries, 1);
		}
		buffer_clear(&payload);
	}
	buffer_done(&payload);
	return count;
}

static bool says(const char *part)
{
	return memmem(entry->problem.data, entry->problem.length, part, strlen(part));
}

static void expect_agent(enum principal_state state, const char *problem)
{
	cr_assert_eq(hear(BROKER_PRINCIPAL), 1, "nothing was said: %s", problem);
	cr_expect_eq(entry->state, state, "%s: %s", problem, principal_state_name(entry->state));
	cr_expect(says(problem), "\"%.*s\" is not about: %s", SLICE_PRINT(entry->problem), problem);
}

static void answer(unsigned status, const char *body)
{
	cr_assert_not_null(issuer_asked.url, "nothing was asked");
	cr_expect(issuer_asked.https_alone);
	issuer_answer(&(struct client_answer){.status = status, .body = S(body)});
}

/* Seconds from now on, in which nothing is fetched before, and then something is. */
static void expect_fetch_in(uint64_t before, uint64_t seconds)
{
	issuer_tick(&issuer, before + SECONDS(seconds) - 1);
	cr_expect_null(issuer_asked.url, "before %lu seconds", (unsigned long)seconds);
	issuer_tick(&issuer, clock_monotonic() + SECONDS(seconds));
	cr_expect_not_null(issuer_asked.url, "after %lu seconds", (unsigned long)seconds);
}

static void fetch_now(void)
{
	issuer.fetch_at = 0;
	issuer_tick(&issuer, clock_monotonic());
	cr_assert_str_eq(issuer_asked.url, ISSUER_URL "/.well-known/openid-configuration");
}

static char *make_token(const char *more)
{
	char *claims = memory_format("{\"iss\":\"" ISSUER_URL
				     "\",\"sub\":\"bot\",\"aud\":\"api://wayleave\"%s}",
		     more),
	     *token = issuer_sign(claims);

	free(claims);
	return token;
}

/* Good for so many seconds. */
static void take_token(int64_t seconds)
{
	char more[64], *token;

	snprintf(more, sizeof(more), ",\"exp\":%ld", (long)openid_now() + seconds);
	token = make_token(more);
	subject_take_token(&s, ++s.serial, S(token));
	free(token);
}

static const char *const unknown_key = "eyJhbGciOiJFUzI1NiIsImtpZCI6Im5vYm9keSJ9.e30.AAAA";

/* --- keys --- */

Test(issuer, keys_are_fetched_by_the_hour_or_four_times_in_their_life)
{
	static const uint64_t rows[][2] = {{24 * HOUR, HOUR}, {400, 100}, {4 * HOUR, HOUR}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = clock_monotonic();

		issuer.keys_max_age = rows[i][0];
		fetch_now();
		answer(200, DOCUMENT);
		cr_assert_str_eq(issuer_asked.url, ISSUER_URL "/keys");
		answer(200, issuer_keys);
		cr_expect_eq(hear(BROKER_KEYS), 1, "they are to be kept");
		expect_fetch_in(before, rows[i][1]);
		answer(500, "");
	}
}

Test(issuer, one_that_fails_is_asked_less_and_less)
{
	uint64_t wait = 1;

	fetch_now();
	for (unsigned i = 0; i < 12; i++) {
		uint64_t before = clock_monotonic();

		answer(i % 2 ? 500 : 200, "{}");
		cr_expect_eq(hear(BROKER_ISSUER), 1);
		cr_expect_neq(issuer.failing_since, 0);
		expect_fetch_in(before, wait);
		wait = wait * 2 < 300 ? wait * 2 : 300;
	}
	answer(200, DOCUMENT);
	answer(200, issuer_keys);
	cr_expect_eq(issuer.failing_since, 0);
	cr_expect_eq(issuer.failures, 0);
}

Test(issuer, documents_that_are_not_its_own)
{
	static const char *const rows[][2] = {
		{"{\"issuer\":\"https://idp.example/\",\"jwks_uri\":\"https://idp.example/keys\"}",
			"another issuer"},
		{"{\"issuer\":7,\"jwks_uri\":\"https://idp.example/keys\"}", "another issuer"},
		{"{\"issuer\":\"https://idp.example\",\"jwks_uri\":\"http://idp.example/k\"}",
			"jwks_uri"},
		{"{\"issuer\":\"https://idp.example\",\"jwks_uri\":\"file:///etc/passwd\"}",
			"jwks_uri"},
		{"{\"issuer\":\"https://idp.example\"}", "jwks_uri"},
		{"{\"issuer\":\"https://idp.example\",\"issuer\":\"https://idp.example\"}",
			"twice"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fetch_now();
		answer(200, rows[i][0]);
		cr_expect_null(issuer_asked.url, "%s", rows[i][0]);
		cr_expect(strstr(issuer.why, rows[i][1]), "\"%s\" is not about: %s", issuer.why,
			rows[i][1]);
	}
}

Test(issuer, tokens_have_keys_fetched_every_ten_seconds_at_most)
{
	uint64_t before = clock_monotonic();

	fetch_now();
	answer(200, DOCUMENT);
	answer(200, issuer_keys);
	hear(0);
	for (unsigned i = 0; i < 1000; i++) {
		subject_take_token(&s, i + 1, S(unknown_key));
		issuer_tick(&issuer, before + SECONDS(10) - 1);
		cr_assert_null(issuer_asked.url);
		hear(0);
	}
	expect_fetch_in(before, 10);
	answer(200, DOCUMENT);
	answer(200, issuer_keys);
	/* The one token is refused then, and asks for no more. */
	cr_expect_geq(hear(BROKER_PRINCIPAL), 1);
	cr_expect_eq(entry->state, PRINCIPAL_REFUSED);
	issuer_tick(&issuer, before + SECONDS(60));
	cr_expect_null(issuer_asked.url);
}

Test(issuer, keys_that_were_kept)
{
	const uint64_t now = openid_now();
	struct jwks *keys = issuer.keys;

	issuer.fetched = now - HOUR;
	issuer_take_kept(&issuer, S(issuer_keys), now - 2 * HOUR);
	cr_expect_eq(issuer.keys, keys, "those that came meanwhile stay");
	issuer_take_kept(&issuer, S(issuer_keys), now + HOUR);
	cr_expect_eq(issuer.fetched, now - HOUR, "a clock that was wrong makes none good for ever");
	issuer_take_kept(&issuer, S("{\"keys\":[]}"), now - 1);
	cr_expect_eq(issuer.fetched, now - HOUR, "what holds no key replaces none");
	issuer_take_kept(&issuer, S(issuer_keys), now - 1);
	cr_expect_eq(issuer.fetched, now - 1);
}

Test(issuer, keys_serve_while_it_is_down_until_they_are_too_old)
{
	issuer.fetched = openid_now() - 23 * HOUR;
	fetch_now();
	issuer_answer(&(struct client_answer){.problem = "nobody answers"});
	take_token(HOUR * 10);
	expect_agent(PRINCIPAL_KNOWN, "");
	cr_expect_leq(entry->until, SECONDS(openid_now() + HOUR), "no better than the keys");
	/* An hour later. */
	issuer.fetched -= HOUR;
	subject_check(&s);
	expect_agent(PRINCIPAL_REFUSED, "issuer idp can't be reached since 20");
	cr_expect(says("(its discovery document: nobody answers)"));
	cr_expect(says("keys are 1440 minutes old"));
	fetch_now();
	answer(200, DOCUMENT);
	answer(200, issuer_keys);
	expect_agent(PRINCIPAL_KNOWN, "");
}

Test(issuer, before_any_keys_an_agent_is_waited_for_once)
{
	jwks_free(issuer.keys);
	issuer.keys = NULL;
	take_token(HOUR);
	expect_agent(PRINCIPAL_AWAITED, "have not come yet");
	fetch_now();
	answer(500, "");
	expect_agent(PRINCIPAL_REFUSED, "HTTP status 500");
}

/* --- a clock that is wrong for a while --- */

static int64_t clock_is_off; /* seconds */

/* Instead of the C library's. */
int clock_gettime(clockid_t id, struct timespec *ret)
{
	int r = (int)syscall(SYS_clock_gettime, id, ret);

	if (id == CLOCK_REALTIME)
		ret->tv_sec += clock_is_off;
	return r;
}

static void tick(void)
{
	subject_tick(&s, clock_monotonic());
}

Test(issuer, a_clock_that_is_put_forward_ends_tokens)
{
	take_token(HOUR);
	expect_agent(PRINCIPAL_KNOWN, "");
	clock_is_off = 2 * HOUR;
	tick();
	expect_agent(PRINCIPAL_ENDED, "has expired");
	/* What is good again needs no new token. */
	clock_is_off = 0;
	tick();
	expect_agent(PRINCIPAL_KNOWN, "");
	tick();
	cr_expect_eq(hear(BROKER_PRINCIPAL), 0, "nothing is new");
}

Test(issuer, a_clock_that_is_put_back_makes_tokens_wait)
{
	char more[96], *token;

	snprintf(more, sizeof(more), ",\"exp\":%ld,\"nbf\":%ld", (long)openid_now() + HOUR,
		(long)openid_now());
	token = make_token(more);
	subject_take_token(&s, ++s.serial, S(token));
	expect_agent(PRINCIPAL_KNOWN, "");
	issuer.fetched -= HOUR;
	clock_is_off = -600;
	tick();
	expect_agent(PRINCIPAL_REFUSED, "not valid yet");
	clock_is_off = 0;
	tick();
	expect_agent(PRINCIPAL_KNOWN, "");
	free(token);
}

Test(issuer, a_clock_that_was_ahead_makes_no_keys_good_for_longer)
{
	clock_is_off = 10 * HOUR;
	fetch_now();
	answer(200, DOCUMENT);
	answer(200, issuer_keys);
	clock_is_off = 0;
	take_token(HOUR);
	expect_agent(PRINCIPAL_AWAITED, "have not come yet");
	/* They are fetched anew, without waiting for the hour. */
	issuer_tick(&issuer, clock_monotonic() + SECONDS(OPENID_KEYS_GAP));
	answer(200, DOCUMENT);
	answer(200, issuer_keys);
	expect_agent(PRINCIPAL_KNOWN, "");
	cr_expect_leq(entry->until, SECONDS(openid_now() + HOUR + TOKEN_LEEWAY));
}

Test(issuer, who_waits_does_not_wait_by_the_wall_clock)
{
	fetch_now();
	answer(500, "");
	clock_is_off = 24 * HOUR;
	issuer_tick(&issuer, clock_monotonic());
	cr_expect_null(issuer_asked.url, "backing off takes its time");
}

/* --- tokens --- */

Test(issuer, a_token_ends_by_the_clock)
{
	take_token(-58);
	expect_agent(PRINCIPAL_KNOWN, "");
	cr_expect(slice_equal_string(entry->principal.name, "bot"));
	/* Two seconds later. */
	take_token(-61);
	expect_agent(PRINCIPAL_ENDED, "has expired");
}

Test(issuer, a_token_that_is_not_valid_yet_is_looked_at_again)
{
	char more[96], *token;

	snprintf(more, sizeof(more), ",\"exp\":%ld,\"nbf\":%ld", (long)openid_now() + HOUR,
		(long)openid_now() + 600);
	token = make_token(more);
	subject_take_token(&s, ++s.serial, S(token));
	expect_agent(PRINCIPAL_REFUSED, "not valid yet");
	cr_expect_neq(s.check_at, 0);
	cr_expect_leq(s.check_at, openid_now() + 2);
	free(token);
}

Test(issuer, a_key_that_comes_makes_the_token_good)
{
	struct jwks *keys = issuer.keys;

	cr_assert_eq(jwks_parse(S("{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"b\","
				  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
				  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"),
			     &issuer.keys, NULL),
		0);
	jwks_free(keys);
	take_token(HOUR);
	expect_agent(PRINCIPAL_AWAITED, "a key that the issuer does not publish");
	fetch_now();
	answer(200, DOCUMENT);
	answer(200, issuer_keys);
	expect_agent(PRINCIPAL_KNOWN, "");
}

Test(issuer, what_holds_a_nul_is_no_token)
{
	char more[64], *token, *with_more;

	snprintf(more, sizeof(more), ",\"exp\":%ld", (long)openid_now() + HOUR);
	token = make_token(more);
	with_more = memory_format("%s#x", token);
	with_more[strlen(token)] = '\0';
	subject_take_token(&s, ++s.serial, slice_of(with_more, strlen(token) + 2));
	expect_agent(PRINCIPAL_REFUSED, "no signed JSON Web Token");
	subject_take_token(&s, ++s.serial, SLICE_EMPTY);
	expect_agent(PRINCIPAL_REFUSED, "there is none");
	free(with_more);
	free(token);
}

/* --- tokens that are asked for --- */

static void ask(void)
{
	s.client_id = "client";
	s.secret = "se cret";
	s.ask_at = 0;
	subject_tick(&s, clock_monotonic());
	cr_assert_str_eq(issuer_asked.url, ISSUER_URL "/token");
	cr_expect(strstr(issuer_asked.body, "grant_type=client_credentials"));
	cr_expect_null(strstr(issuer_asked.body, "cret"), "the secret is in the header alone");
}

static void answer_token(int64_t seconds)
{
	char more[64], *token, *body;

	snprintf(more, sizeof(more), ",\"exp\":%ld", (long)openid_now() + seconds);
	token = make_token(more);
	body = memory_format("{\"access_token\":\"%s\"}", token);
	answer(200, body);
	free(body);
	free(token);
}

Test(issuer, the_next_token_is_asked_for_when_a_third_is_left)
{
	static const uint64_t rows[][2] = {
		{900, 600}, {HOUR, 2400}, {200000000000, 20 * 24 * HOUR}, {0, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before = clock_monotonic();

		ask();
		answer_token((int64_t)rows[i][0]);
		cr_expect_eq(hear(BROKER_PRINCIPAL), 1);
		cr_expect_eq(entry->state, PRINCIPAL_KNOWN);
		subject_tick(&s, before + SECONDS(rows[i][1]) - SECONDS(2));
		cr_expect_null(issuer_asked.url, "%lu: too soon", (unsigned long)rows[i][0]);
		subject_tick(&s, clock_monotonic() + SECONDS(rows[i][1] + 2));
		cr_expect_not_null(issuer_asked.url, "%lu: too late", (unsigned long)rows[i][0]);
		answer(500, "");
	}
}

Test(issuer, answers_that_have_no_token)
{
	static const char *const rows[][2] = {
		{"", "no JSON object"},
		{"{}", "its answer has none"},
		{"{\"access_token\":7}", "its answer has none"},
		{"{\"access_token\":[\"a.b.c\"]}", "its answer has none"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t before;

		s.ask_failures = 0;
		buffer_clear(&s.reported);
		ask();
		before = clock_monotonic();
		answer(200, rows[i][0]);
		expect_agent(PRINCIPAL_REFUSED, rows[i][1]);
		subject_tick(&s, before + SECONDS(1) - 1);
		cr_expect_null(issuer_asked.url, "at once again");
	}
}
