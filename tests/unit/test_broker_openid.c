/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "broker/openid.h"
#include "monitor/control.h"
#include "tests/harness/tokens.h"

static struct openid o;
static struct issuer issuer = {.owner = &o, .name = "idp", .login_client = "wayleave"};
static int monitor;

static void setup(void)
{
	int pair[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	o = (struct openid){.channel = pair[0], .issuers = &issuer, .issuer_count = 1};
	monitor = pair[1];
	list_init(&o.logins);
	list_init(&o.runs);
}

/* How many messages of that type there are. */
static size_t hear(uint32_t type)
{
	struct control_header header;
	struct buffer payload;
	size_t count = 0;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	while (control_receive(monitor, &header, &payload, NULL, NULL) == 0) {
		count += header.type == type;
		buffer_clear(&payload);
	}
	buffer_done(&payload);
	return count;
}

TestSuite(openid, .init = setup);

Test(openid, what_the_monitor_could_not_be_told_is_said_again)
{
	struct subject s = {.owner = &o,
		.issuer = &issuer,
		.client_id = "client",
		.ask_failures = 1,
		.ask_at = UINT64_MAX,
		.ask_problem = "it does not answer"};

	buffer_init(&s.reported, CONTROL_PAYLOAD_MOST);
	while (openid_tell(&o, BROKER_ISSUER, "x", 1, SLICE_EMPTY) == 0)
		;
	subject_check(&s);
	cr_expect_eq(hear(BROKER_PRINCIPAL), 0);
	cr_assert_neq(s.check_at, 0);
	sleep(2);
	subject_tick(&s, 0);
	cr_expect_eq(hear(BROKER_PRINCIPAL), 1);
	cr_expect_eq(s.check_at, 0);
	subject_check(&s);
	cr_expect_eq(hear(BROKER_PRINCIPAL), 0, "it is said once");
	buffer_done(&s.reported);
}

Test(openid, logins_are_bounded)
{
	size_t count = 0;

	for (uint64_t id = 1; id <= 2 * LIMIT_LOGINS + 3; id++)
		logins_begin(&o, &(struct broker_login){.id = id});
	list_for_each (position, &o.logins)
		count++;
	cr_expect_eq(count, 2 * LIMIT_LOGINS);
	cr_expect_eq(hear(BROKER_LOGIN_STATE), 3);
	logins_end(&o, 1);
	logins_begin(&o, &(struct broker_login){.id = 1000});
	cr_expect_eq(hear(BROKER_LOGIN_STATE), 0);
}

/* --- a token's life, by no clock that can be set --- */

static struct token_lives lives;
static struct subject agent;
static EVP_PKEY *key;

static void begin_agent(void)
{
	char *jwk, *document;
	struct error e;

	setup();
	key = tokens_make_ec("P-256");
	jwk = tokens_jwk(key, "k", "");
	document = memory_format("{\"keys\":[%s]}", jwk);
	cr_assert_eq(jwks_parse(slice_from_string(document), &issuer.keys, &e), 0, "%s", e.text);
	free(jwk);
	free(document);
	issuer.fetched = openid_now();
	issuer.keys_max_age = 3600;
	agent = (struct subject){.owner = &o,
		.issuer = &issuer,
		.lives = &lives,
		.rules = {.issuer = "idp",
			.audience = "wayleave",
			.groups_claim = "groups",
			.algorithms = ALGORITHMS_ALL}};
	buffer_init(&agent.reported, CONTROL_PAYLOAD_MOST);
}

static void end_agent(void)
{
	buffer_done(&agent.reported);
	jwks_free(issuer.keys);
	EVP_PKEY_free(key);
}

TestSuite(token_lives, .init = begin_agent, .fini = end_agent);

/* Good for ten minutes; each time with another signature. */
static char *make_token(unsigned number)
{
	char *claims = memory_format("{\"iss\":\"idp\",\"aud\":\"wayleave\",\"sub\":\"bot\","
				     "\"iat\":%lu,\"exp\":%lu,\"jti\":\"%u\"}",
		     (unsigned long)issuer.fetched, (unsigned long)issuer.fetched + 600, number),
	     *token = tokens_sign(ALGORITHM_ES256, key, slice_from_string("{\"alg\":\"ES256\"}"),
		     slice_from_string(claims));

	free(claims);
	return token;
}

/* What the monitor is told of the subject when it has that token. */
static enum principal_state state_with(struct subject *s, const char *token)
{
	struct principal_entry *entry;
	enum principal_state state;
	size_t count;

	subject_take_token(s, s->serial + 1, slice_from_string(token));
	hear(0);
	cr_assert_eq(principals_decode(buffer_slice(&s->reported), &entry, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq(entry->serial, s->serial);
	state = entry->state;
	free(entry);
	return state;
}

/* All that was measured so far is over. */
static void let_time_pass(void)
{
	for (size_t i = 0; i < LIMIT_TOKENS_KNOWN; i++)
		lives.items[i].ends = 1;
	if (agent.ends)
		agent.ends = 1;
	subject_tick(&agent, 0);
}

Test(token_lives, one_that_ended_has_no_other)
{
	char *token = make_token(1), *lines = memory_format(" \n%s\r\n", token),
	     *again = make_token(1), *other = make_token(2);
	struct subject *run;

	cr_assert_eq(state_with(&agent, token), PRINCIPAL_KNOWN);
	let_time_pass();
	cr_assert(agent.ended);
	cr_expect_eq(state_with(&agent, lines), PRINCIPAL_ENDED);
	cr_assert_str_neq(token, again);
	cr_expect_eq(state_with(&agent, again), PRINCIPAL_ENDED, "with another signature");
	cr_expect_eq(state_with(&agent, other), PRINCIPAL_KNOWN);
	cr_expect_eq(state_with(&agent, token), PRINCIPAL_ENDED, "behind another one");
	run = subject_new_run(&agent, 7);
	cr_expect_eq(state_with(run, token), PRINCIPAL_ENDED, "for a run");
	cr_expect_eq(state_with(run, other), PRINCIPAL_KNOWN);
	subject_free_run(run);
	free(token);
	free(lines);
	free(again);
	free(other);
}

/* The issuer itself says that it is good. */
Test(token_lives, what_was_asked_for_is_as_good_as_its_issuer_says)
{
	char *token = make_token(1);

	agent.client_id = "client";
	cr_assert_eq(state_with(&agent, token), PRINCIPAL_KNOWN);
	let_time_pass();
	cr_expect_eq(state_with(&agent, token), PRINCIPAL_KNOWN);
	free(token);
}

Test(token_lives, are_bounded)
{
	uint64_t ends = clock_boot();
	char text[32];

	for (unsigned i = 0; i <= LIMIT_TOKENS_KNOWN; i++) {
		snprintf(text, sizeof(text), "a.%u.c", i);
		cr_assert_eq(token_lives_keep(&lives, slice_from_string(text), ends + i), ends + i);
	}
	cr_expect_eq(
		token_lives_keep(&lives, slice_from_string(text), 1), ends + LIMIT_TOKENS_KNOWN);
	cr_expect_eq(token_lives_keep(&lives, slice_from_string("a.1.other"), 1), ends + 1);
	cr_expect_eq(token_lives_keep(&lives, slice_from_string("a.0.c"), 1), 1, "forgotten");
	cr_expect_eq(token_lives_keep(&lives, SLICE_EMPTY, 5), 5);
}
