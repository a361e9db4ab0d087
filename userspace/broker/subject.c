/* SPDX-License-Identifier: Apache-2.0
 *
 * An agent's token, and what the monitor is told of it.
 */
#include "broker/openid.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "monitor/control.h"

#define ENTRY_MOST (64u << 10) /* bytes: a token's limits are far below */
#define TELL_TIME 1 /* seconds until the monitor is told again, which could not be told */
#define MEASURED_MOST (100 * 365 * 24 * 3600ULL) /* seconds: who has more is not measured */
#define RECHECK_TIME 2 /* seconds until a token that is not valid yet is looked at again */

static void report(struct subject *s, const struct principal_entry *entry)
{
	struct buffer encoded;

	buffer_init(&encoded, ENTRY_MOST);
	if (principals_encode(entry, &encoded) == 0 &&
		!slice_equal(buffer_slice(&encoded), buffer_slice(&s->reported))) {
		buffer_clear(&s->reported);
		if (openid_tell(s->owner, BROKER_PRINCIPAL, NULL, 0, buffer_slice(&encoded)) == 0)
			buffer_append_slice(&s->reported, buffer_slice(&encoded));
		else
			s->check_at = openid_now() + TELL_TIME;
	}
	buffer_done(&encoded);
}

static void report_none(struct subject *s, enum principal_state state, const char *problem)
{
	const struct principal_entry entry = {
		.agent = s->agent,
		.run = s->run,
		.serial = s->serial,
		.state = state,
		.issuer = slice_from_string(s->issuer->name),
		.problem = slice_head(slice_from_string(problem), PRINCIPALS_PROBLEM_MOST),
	};

	report(s, &entry);
}

static void report_known(struct subject *s, const struct token *token)
{
	const struct issuer *i = s->issuer;
	uint64_t until = token->expires + TOKEN_LEEWAY, keys = i->fetched + i->keys_max_age;
	struct principal_entry entry = {
		.agent = s->agent,
		.run = s->run,
		.serial = s->serial,
		.state = PRINCIPAL_KNOWN,
		.principal = {.known = true,
			.name = token->subject,
			.groups = token->groups,
			.group_count = token->group_count},
		.issuer = slice_from_string(i->name),
	};

	/* What was checked with keys is no better than they are. */
	s->check_at = until < keys ? until : keys;
	entry.until = s->check_at * NANOSECONDS_PER_SECOND;
	report(s, &entry);
}

static void on_bad(struct subject *s, int why, const char *sentence, uint64_t now)
{
	char text[400];

	snprintf(text, sizeof(text), "the token of this agent was refused: %.300s", sentence);
	switch (why) {
	case -ENOKEY:
		/* Once for each token: its maker can't have us ask again and again. */
		if (!s->asked_for_keys) {
			s->asked_for_keys = true;
			report_none(s, PRINCIPAL_AWAITED, text);
			issuer_want_keys(s->issuer);
			return;
		}
		break;
	case -EKEYEXPIRED:
		report_none(s, PRINCIPAL_ENDED, "the token of this agent has expired");
		return;
	case -EAGAIN:
		s->check_at = now + RECHECK_TIME;
		break;
	default:
		break;
	}
	report_none(s, PRINCIPAL_REFUSED, text);
}

/* Nobody's token lives longer because somebody set the clock back. What we asked for ourselves is
 * good by the word of its issuer, who may have given it out before. */
static void measure(struct subject *s, const struct token *token, uint64_t now)
{
	uint64_t left = token->expires + TOKEN_LEEWAY - now;

	if (s->ends)
		return;
	s->ends = clock_boot() +
		(left < MEASURED_MOST ? left : MEASURED_MOST) * NANOSECONDS_PER_SECOND;
	if (!s->client_id)
		s->ends = token_lives_keep(s->lives, slice_from_string(s->token), s->ends);
	s->ended = clock_boot() >= s->ends;
}

static void check_token(struct subject *s, uint64_t now)
{
	struct token token;
	struct error e;
	int r = token_check(
		slice_from_string(s->token), s->issuer->keys, &s->rules, now, &token, &e);

	if (r < 0) {
		on_bad(s, r, e.text, now);
		return;
	}
	measure(s, &token, now);
	if (s->ended) {
		on_bad(s, -EKEYEXPIRED, "", now);
	} else {
		report_known(s, &token);
		ask_before(s, token.expires);
	}
	token_done(&token);
}

void subject_check(struct subject *s)
{
	struct issuer *i = s->issuer;
	uint64_t now = openid_now();
	char text[500];

	s->check_at = 0;
	s->checked = now;
	if (!s->token) {
		if (s->client_id && s->ask_failures)
			report_none(s, PRINCIPAL_REFUSED, s->ask_problem);
		return;
	}
	/* Whatever its issuer's keys are now. */
	if (s->ended) {
		on_bad(s, -EKEYEXPIRED, "", now);
		return;
	}
	if (issuer_has_keys(i, now)) {
		check_token(s, now);
		return;
	}
	issuer_problem(i, now, text, sizeof(text));
	report_none(s, i->failures ? PRINCIPAL_REFUSED : PRINCIPAL_AWAITED, text);
}

static void drop_token(struct subject *s)
{
	if (s->token)
		memory_wipe(s->token, strlen(s->token));
	free(s->token);
	s->token = NULL;
}

void subject_take_token(struct subject *s, uint32_t serial, struct slice token)
{
	drop_token(s);
	token = token_trim(token);
	/* What holds a NUL is no token, and would be taken for the part before it. */
	s->token = token.length && memchr(token.data, 0, token.length)
		? memory_copy_string("-")
		: memory_copy_text(token.data ? token.data : (const uint8_t *)"", token.length);
	s->serial = serial;
	s->asked_for_keys = false;
	s->ends = 0;
	s->ended = false;
	subject_check(s);
}

void subject_tick(struct subject *s, uint64_t now)
{
	uint64_t wall = openid_now();

	ask_tick(s, now);
	if (s->ends && !s->ended && clock_boot() >= s->ends) {
		s->ended = true;
		subject_check(s);
	}
	/* Where the clock was put back, what had ended may be good, and what was good not yet. */
	if ((s->check_at && wall >= s->check_at) || wall < s->checked)
		subject_check(s);
}

/* The same rules, and no way to ask for a token: a run's comes from whoever started it. */
struct subject *subject_new_run(const struct subject *agent, uint64_t run)
{
	struct subject *s = memory_new(sizeof(*s));

	s->owner = agent->owner;
	s->agent = agent->agent;
	s->run = run;
	s->issuer = agent->issuer;
	s->rules = agent->rules;
	s->lives = agent->lives;
	buffer_init(&s->reported, CONTROL_PAYLOAD_MOST);
	list_append(&s->owner->runs, &s->link);
	return s;
}

void subject_free_run(struct subject *s)
{
	list_remove(&s->link);
	drop_token(s);
	buffer_done(&s->reported);
	free(s);
}
