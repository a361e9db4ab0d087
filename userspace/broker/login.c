/* SPDX-License-Identifier: Apache-2.0
 *
 * People who log in: the device authorization grant (RFC 8628), and the refreshing of what came of
 * it (RFC 6749 section 6). The person's token is checked as an agent's is; what the monitor is told
 * of it is the name. What the issuer answers is hostile bytes (device.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "broker/device.h"
#include "broker/form.h"
#include "broker/openid.h"

#define SLOWER 5 /* more seconds at each slow_down (section 3.5) */
/* Also those that nobody needs any more, and whose answers are to come. */
#define LOGINS_MOST (2 * LIMIT_LOGINS)
#define KEYS_TIME 30 /* seconds for the issuer's keys to come */

enum stage {
	STAGE_BEGINS, /* no code yet */
	STAGE_ASKS, /* the person has a code */
	STAGE_CHECKS, /* there is a token */
	STAGE_STANDS, /* it is good */
};

struct login {
	struct openid *owner;
	struct list link;
	uint64_t id; /* the monitor's */
	struct issuer *issuer;
	enum stage stage;
	bool asking; /* an answer is to come */
	bool dropped; /* and then it is to be freed */
	char *device_code, *refresh_token, *token;
	bool is_id_token;
	bool asked_for_keys;
	uint64_t interval; /* seconds */
	uint64_t at; /* monotonic, nanoseconds: when to go on */
	uint64_t give_up; /* the same; of the stage */
	unsigned failures;
	char *subject; /* NULL: not known yet */
	uint64_t until; /* wall clock, seconds */
};

static uint64_t in_seconds(uint64_t seconds)
{
	return clock_monotonic() + seconds * NANOSECONDS_PER_SECOND;
}

/* --- the end --- */

static void login_free(struct login *l)
{
	list_remove(&l->link);
	form_forget(l->device_code);
	form_forget(l->refresh_token);
	form_forget(l->token);
	free(l->subject);
	free(l);
}

static void drop(struct login *l)
{
	l->dropped = true;
	if (!l->asking)
		login_free(l);
}

static int report(struct login *l, enum broker_login_stage stage, const char *const texts[3])
{
	struct broker_login_state head = {.id = l->id, .stage = stage};
	struct buffer all;
	int r;

	head.until = l->until * NANOSECONDS_PER_SECOND;
	buffer_init(&all, 4 * LIMIT_TOKEN_NAME);
	for (size_t i = 0; i < 3; i++) {
		head.lengths[i] = texts[i] ? (uint32_t)strlen(texts[i]) : 0;
		buffer_append_slice(&all, slice_from_string(texts[i]));
	}
	r = openid_tell(l->owner, BROKER_LOGIN_STATE, &head, sizeof(head), buffer_slice(&all));
	buffer_done(&all);
	return r;
}

static void fail(struct login *l, const char *why)
{
	char text[BROKER_SENTENCE_MOST];

	snprintf(text, sizeof(text), "issuer %s: %.300s", l->issuer->name, why);
	report(l, BROKER_LOGIN_FAILED, (const char *const[3]){text});
	drop(l);
}

/* --- asking --- */

static void send_form(struct login *l, struct buffer *form, const char *url, client_done *done)
{
	const struct issuer *i = l->issuer;
	char *body, *authorization = NULL;

	/* Without a secret the name is all that says who asks (RFC 6749 section 3.2.1). */
	if (i->login_secret)
		authorization = form_authorization(i->login_client, i->login_secret);
	else
		form_put(form, "client_id", i->login_client);
	body = form_take(form);
	client_send(l->owner->client,
		&(struct client_request){
			.url = url,
			.body = body,
			.content_type = FORM_TYPE,
			.authorization = authorization,
			.ca = i->ca,
			.https_alone = true,
			.answer_most = LIMIT_DOCUMENT_BYTES,
		},
		done, l);
	l->asking = true;
	form_forget(body);
	form_forget(authorization);
}

/* What the issuer answered. */
struct said {
	cJSON *json; /* NULL: an error */
	char code[64]; /* of it; may be empty */
	char why[160];
};

/* False: nobody waits for it, and the login is gone. Else the caller frees the JSON. */
static bool hear(struct login *l, const struct client_answer *answer, struct said *ret)
{
	l->asking = false;
	if (l->dropped) {
		login_free(l);
		return false;
	}
	ret->json = form_read_answer(answer, ret->code, ret->why, sizeof(ret->why));
	return true;
}

/* --- the code --- */

static const char *take_code(struct login *l, const cJSON *json)
{
	struct device_code code;
	const char *problem = device_read_code(json, &code);

	if (problem)
		return problem;
	l->device_code = memory_copy_string(code.code);
	l->interval = code.interval;
	l->give_up = in_seconds(code.good_for);
	l->at = in_seconds(l->interval);
	l->stage = STAGE_ASKS;
	report(l, BROKER_LOGIN_WAITING,
		(const char *const[3]){code.user_code, code.address, code.whole});
	return NULL;
}

static void on_code(void *context, const struct client_answer *answer)
{
	struct login *l = context;
	const char *problem;
	struct said said;

	if (!hear(l, answer, &said))
		return;
	problem = said.json ? take_code(l, said.json) : said.why;
	if (problem)
		fail(l, problem);
	cJSON_Delete(said.json);
}

static void ask_for_code(struct login *l, uint64_t now)
{
	const struct issuer *i = l->issuer;
	struct buffer form;

	if (!i->device_endpoint) {
		if (i->discovered)
			fail(l,
				"it offers no logins on devices "
				"(\"device_authorization_endpoint\")");
		else if (i->failures)
			fail(l, i->why);
		else if (now > l->give_up)
			fail(l, "it does not answer");
		return;
	}
	buffer_init(&form, FORM_MOST);
	form_put(&form, "scope", i->login_scope ? i->login_scope : "openid");
	send_form(l, &form, i->device_endpoint, on_code);
}

/* --- the token --- */

static const char *take_token(struct login *l, const cJSON *json)
{
	struct device_token token;
	const char *problem = device_read_token(json, &token);

	if (problem)
		return problem;
	form_forget(l->token);
	l->token = memory_copy_string(token.token);
	l->is_id_token = token.is_id_token;
	/* Where none comes, the old one stays good (RFC 6749 section 6). */
	if (token.refresh_token) {
		form_forget(l->refresh_token);
		l->refresh_token = memory_copy_string(token.refresh_token);
	}
	l->stage = STAGE_CHECKS;
	l->asked_for_keys = false;
	l->give_up = in_seconds(KEYS_TIME);
	l->at = 0;
	return NULL;
}

static void ask_again_after(struct login *l, uint64_t interval)
{
	l->interval = interval < DEVICE_INTERVAL_MOST ? interval : DEVICE_INTERVAL_MOST;
	l->at = in_seconds(l->interval);
}

/* RFC 8628 section 3.5. Why the login failed; NULL: it goes on. */
static const char *take_error(
	struct login *l, const struct said *said, const struct client_answer *answer)
{
	if (strcmp(said->code, "access_denied") == 0)
		return "the login was denied there";
	if (strcmp(said->code, "expired_token") == 0)
		return "the code was not used in time";
	if (strcmp(said->code, "slow_down") == 0)
		ask_again_after(l, l->interval + SLOWER);
	else if (strcmp(said->code, "authorization_pending") == 0)
		ask_again_after(l, l->interval);
	else if (answer->problem) /* it could not be reached just now */
		ask_again_after(l, l->interval * 2);
	else
		return said->why;
	return NULL;
}

static void on_token(void *context, const struct client_answer *answer)
{
	struct login *l = context;
	const char *problem;
	struct said said;

	if (!hear(l, answer, &said))
		return;
	problem = said.json ? take_token(l, said.json) : take_error(l, &said, answer);
	if (problem)
		fail(l, problem);
	cJSON_Delete(said.json);
}

static void ask_for_token(struct login *l, uint64_t now)
{
	struct buffer form;

	if (now > l->give_up) {
		fail(l, "the code was not used in time");
		return;
	}
	buffer_init(&form, FORM_MOST);
	form_put(&form, "grant_type", "urn:ietf:params:oauth:grant-type:device_code");
	form_put(&form, "device_code", l->device_code);
	send_form(l, &form, l->issuer->token_endpoint, on_token);
}

/* --- checking --- */

/* An ID token is for the client that asked. */
static struct token_rules rules_of(const struct login *l)
{
	struct token_rules rules = l->issuer->rules;

	rules.client = l->is_id_token ? NULL : l->issuer->login_client;
	rules.is_id_token = l->is_id_token;
	if (l->is_id_token) {
		rules.audience = l->issuer->login_client;
		rules.type = NULL;
	}
	return rules;
}

static void stand(struct login *l, const struct token *token)
{
	char *subject = memory_copy_text(token->subject.data, token->subject.length);
	uint64_t now = openid_now(), last = now + OPENID_TOKEN_TIME_MOST,
		 ends = token->expires < last ? token->expires : last;

	if (l->subject && strcmp(l->subject, subject) != 0) {
		free(subject);
		fail(l, "the newer token is another person's");
		return;
	}
	free(l->subject);
	l->subject = subject;
	l->until = ends + TOKEN_LEEWAY;
	l->stage = STAGE_STANDS;
	l->failures = 0;
	l->at = in_seconds((ends > now ? ends - now : 0) * 2 / 3 + 1);
	/* It is said again where the monitor could not be told. */
	if (report(l, BROKER_LOGIN_KNOWN, (const char *const[3]){l->subject}) < 0) {
		l->stage = STAGE_CHECKS;
		l->at = in_seconds(1);
	}
}

static void check(struct login *l, uint64_t now)
{
	const struct issuer *i = l->issuer;
	struct token_rules rules = rules_of(l);
	uint64_t wall = openid_now();
	struct token token;
	struct error e = {"its keys have not come"};
	int r = -ENOKEY;

	if (issuer_has_keys(i, wall))
		r = token_check(slice_from_string(l->token), i->keys, &rules, wall, &token, &e);
	if (r == 0) {
		stand(l, &token);
		token_done(&token);
	} else if ((r == -ENOKEY || r == -EAGAIN) && now < l->give_up) {
		if (!l->asked_for_keys)
			issuer_want_keys(l->issuer);
		l->asked_for_keys = true;
		l->at = in_seconds(1);
	} else {
		fail(l, e.text);
	}
}

/* --- afterwards --- */

static void on_refreshed(void *context, const struct client_answer *answer)
{
	struct login *l = context;
	struct said said;

	if (!hear(l, answer, &said))
		return;
	/* What there is stays good until its end. */
	if (!said.json || take_token(l, said.json))
		l->at = clock_monotonic() + openid_backoff(++l->failures);
	cJSON_Delete(said.json);
}

static void refresh(struct login *l)
{
	struct buffer form;

	if (openid_now() >= l->until) {
		drop(l);
		return;
	}
	if (!l->refresh_token || !l->issuer->token_endpoint) {
		l->at = in_seconds(1);
		return;
	}
	buffer_init(&form, FORM_MOST);
	form_put(&form, "grant_type", "refresh_token");
	form_put(&form, "refresh_token", l->refresh_token);
	send_form(l, &form, l->issuer->token_endpoint, on_refreshed);
}

static void go_on(struct login *l, uint64_t now)
{
	switch (l->stage) {
	case STAGE_BEGINS:
		ask_for_code(l, now);
		break;
	case STAGE_ASKS:
		ask_for_token(l, now);
		break;
	case STAGE_CHECKS:
		check(l, now);
		break;
	case STAGE_STANDS:
		refresh(l);
		break;
	}
}

void logins_tick(struct openid *o, uint64_t now)
{
	list_for_each_safe (position, &o->logins) {
		struct login *l = list_entry(position, struct login, link);

		if (!l->asking && now >= l->at)
			go_on(l, now);
	}
}

static size_t count_logins(const struct openid *o)
{
	size_t count = 0;

	list_for_each (position, &o->logins)
		count++;
	return count;
}

void logins_begin(struct openid *o, const struct broker_login *request)
{
	bool full = count_logins(o) >= LOGINS_MOST;
	struct login *l;

	if (request->issuer >= o->issuer_count || !o->issuers[request->issuer].login_client)
		return;
	l = memory_new(sizeof(*l));
	l->owner = o;
	l->id = request->id;
	l->issuer = &o->issuers[request->issuer];
	l->give_up = in_seconds(KEYS_TIME);
	list_append(&o->logins, &l->link);
	if (full)
		fail(l, "too many people log in");
}

void logins_end(struct openid *o, uint64_t id)
{
	list_for_each_safe (position, &o->logins) {
		struct login *l = list_entry(position, struct login, link);

		if (l->id == id && !l->dropped)
			drop(l);
	}
}
