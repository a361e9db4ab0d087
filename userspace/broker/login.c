/* SPDX-License-Identifier: Apache-2.0
 *
 * People who log in: the device authorization grant (RFC 8628), and the refreshing of what came of
 * it (RFC 6749 section 6). The person's token is checked as an agent's is; what the monitor is told
 * of it is the name. What the issuer answers is hostile bytes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "broker/form.h"
#include "broker/openid.h"

#define CODE_TIME_MOST 1800 /* seconds that a code is good for */
#define INTERVAL 5 /* seconds between questions where the issuer says nothing (section 3.2) */
#define INTERVAL_MOST 60
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

/* Whether the login is still wanted; else it is gone. */
static bool take_answer(struct login *l)
{
	l->asking = false;
	if (!l->dropped)
		return true;
	login_free(l);
	return false;
}

/* --- the code --- */

static bool is_shown(const char *text, size_t most)
{
	size_t length = text ? strlen(text) : 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] <= ' ' || text[i] == 0x7f)
			return false;
	}
	return length > 0 && length <= most;
}

static bool is_address(const char *text)
{
	return is_shown(text, LIMIT_TOKEN_NAME) &&
		(strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0);
}

static uint64_t read_seconds(const cJSON *json, const char *name, uint64_t otherwise, uint64_t most)
{
	const cJSON *item = document_get(json, name);
	double value = cJSON_IsNumber(item) ? item->valuedouble : (double)otherwise;

	return value >= 1 && value <= (double)most ? (uint64_t)value : most;
}

static const char *take_code(struct login *l, const cJSON *json)
{
	const char *code = document_get_text(json, "device_code"),
		   *user_code = document_get_text(json, "user_code"),
		   *address = document_get_text(json, "verification_uri"),
		   *whole = document_get_text(json, "verification_uri_complete");

	if (!code || !is_shown(user_code, 64) || !is_address(address))
		return "its answer has no code, or no address to use it at";
	l->device_code = memory_copy_string(code);
	l->interval = read_seconds(json, "interval", INTERVAL, INTERVAL_MOST);
	l->give_up = in_seconds(read_seconds(json, "expires_in", CODE_TIME_MOST, CODE_TIME_MOST));
	l->at = in_seconds(l->interval);
	l->stage = STAGE_ASKS;
	report(l, BROKER_LOGIN_WAITING,
		(const char *const[3]){user_code, address, is_address(whole) ? whole : NULL});
	return NULL;
}

static void on_code(void *context, const struct client_answer *answer)
{
	struct login *l = context;
	char code[64], why[160];
	const char *problem = why;
	cJSON *json;

	if (!take_answer(l))
		return;
	json = form_read_answer(answer, code, why, sizeof(why));
	if (json)
		problem = take_code(l, json);
	if (problem)
		fail(l, problem);
	cJSON_Delete(json);
}

static void ask_for_code(struct login *l)
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
		else if (clock_monotonic() > l->give_up)
			fail(l, "it does not answer");
		return;
	}
	buffer_init(&form, FORM_MOST);
	form_put(&form, "scope", i->login_scope ? i->login_scope : "openid");
	send_form(l, &form, i->device_endpoint, on_code);
}

/* --- the token --- */

/* An access token that is signed; else the one that is for us to read in any case. */
static const char *take_token(struct login *l, const cJSON *json)
{
	const char *access = document_get_text(json, "access_token"),
		   *id = document_get_text(json, "id_token"),
		   *refresh = document_get_text(json, "refresh_token");
	bool is_signed = access && strchr(access, '.');

	if (!is_signed && !id)
		return "its answer has no signed token";
	form_forget(l->token);
	l->token = memory_copy_string(is_signed ? access : id);
	l->is_id_token = !is_signed;
	/* Where none comes, the old one stays good (RFC 6749 section 6). */
	if (refresh) {
		form_forget(l->refresh_token);
		l->refresh_token = memory_copy_string(refresh);
	}
	l->stage = STAGE_CHECKS;
	l->asked_for_keys = false;
	l->give_up = in_seconds(KEYS_TIME);
	l->at = 0;
	return NULL;
}

/* RFC 8628 section 3.5. */
static bool is_to_wait(struct login *l, const char *code, const struct client_answer *answer)
{
	if (strcmp(code, "slow_down") == 0 && l->interval < INTERVAL_MOST)
		l->interval += SLOWER;
	/* It could not be reached just now. */
	if (!*code && answer->problem && l->interval < INTERVAL_MOST)
		l->interval *= 2;
	return strcmp(code, "slow_down") == 0 || strcmp(code, "authorization_pending") == 0 ||
		(!*code && answer->problem);
}

static void on_token(void *context, const struct client_answer *answer)
{
	struct login *l = context;
	char code[64], why[160];
	const char *problem = why;
	cJSON *json;

	if (!take_answer(l))
		return;
	json = form_read_answer(answer, code, why, sizeof(why));
	if (json)
		problem = take_token(l, json);
	else if (is_to_wait(l, code, answer))
		problem = NULL;
	else if (strcmp(code, "access_denied") == 0)
		problem = "the login was denied there";
	else if (strcmp(code, "expired_token") == 0)
		problem = "the code was not used in time";
	if (problem)
		fail(l, problem);
	else if (l->stage == STAGE_ASKS)
		l->at = in_seconds(l->interval);
	cJSON_Delete(json);
}

static void ask_for_token(struct login *l)
{
	struct buffer form;

	if (clock_monotonic() > l->give_up) {
		fail(l, "the code was not used in time");
		return;
	}
	buffer_init(&form, FORM_MOST);
	form_put(&form, "grant_type", "urn:ietf:params:oauth:grant-type:device_code");
	form_put(&form, "device_code", l->device_code);
	send_form(l, &form, l->issuer->token_endpoint, on_token);
}

/* --- checking --- */

/* An ID token is for the client that asked (OpenID Connect Core section 3.1.3.7). */
static struct token_rules rules_of(const struct login *l)
{
	struct token_rules rules = l->issuer->rules;

	rules.client = l->is_id_token ? NULL : l->issuer->login_client;
	if (l->is_id_token) {
		rules.audience = l->issuer->login_client;
		rules.type = NULL;
	}
	return rules;
}

static void stand(struct login *l, const struct token *token)
{
	char *subject = memory_copy_text(token->subject.data, token->subject.length);
	uint64_t now = openid_now(), left = token->expires > now ? token->expires - now : 0;

	if (l->subject && strcmp(l->subject, subject) != 0) {
		free(subject);
		fail(l, "the newer token is another person's");
		return;
	}
	free(l->subject);
	l->subject = subject;
	l->until = token->expires + TOKEN_LEEWAY;
	l->stage = STAGE_STANDS;
	l->failures = 0;
	l->at = in_seconds(left * 2 / 3 + 1);
	/* It is said again where the monitor could not be told. */
	if (report(l, BROKER_LOGIN_KNOWN, (const char *const[3]){l->subject}) < 0) {
		l->stage = STAGE_CHECKS;
		l->at = in_seconds(1);
	}
}

static void check(struct login *l)
{
	const struct issuer *i = l->issuer;
	struct token_rules rules = rules_of(l);
	uint64_t now = openid_now();
	struct token token;
	struct error e = {"its keys have not come"};
	int r = -ENOKEY;

	if (issuer_has_keys(i, now))
		r = token_check(slice_from_string(l->token), i->keys, &rules, now, &token, &e);
	if (r == 0) {
		stand(l, &token);
		token_done(&token);
	} else if ((r == -ENOKEY || r == -EAGAIN) && clock_monotonic() < l->give_up) {
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
	char code[64], why[160];
	cJSON *json;

	if (!take_answer(l))
		return;
	json = form_read_answer(answer, code, why, sizeof(why));
	/* What there is stays good until its end. */
	if (!json || take_token(l, json))
		l->at = clock_monotonic() + openid_backoff(++l->failures);
	cJSON_Delete(json);
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

static void go_on(struct login *l)
{
	switch (l->stage) {
	case STAGE_BEGINS:
		ask_for_code(l);
		break;
	case STAGE_ASKS:
		ask_for_token(l);
		break;
	case STAGE_CHECKS:
		check(l);
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
			go_on(l);
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
