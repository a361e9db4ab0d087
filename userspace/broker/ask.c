/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens that we ask for ourselves: the client credentials grant (RFC 6749 section 4.4), with a
 * secret or with an assertion signed with the client's key (RFC 7523).
 */
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/text.h"
#include "broker/form.h"
#include "broker/openid.h"
#include "identity/algorithm.h"
#include "identity/base64url.h"

#define ASSERTION_TIME 60 /* seconds for which an assertion is good */

static int put_part(struct buffer *b, cJSON *object)
{
	char *json = cJSON_PrintUnformatted(object);
	int r = base64url_encode(slice_from_string(json), b);

	free(json);
	cJSON_Delete(object);
	return r;
}

static cJSON *assertion_claims(const struct subject *s)
{
	cJSON *claims = cJSON_CreateObject();
	uint8_t id[16];
	char hex[33];

	random_fill(id, sizeof(id));
	text_to_hex(slice_of(id, sizeof(id)), hex);
	cJSON_AddStringToObject(claims, "iss", s->client_id);
	cJSON_AddStringToObject(claims, "sub", s->client_id);
	cJSON_AddStringToObject(claims, "aud", s->issuer->token_endpoint);
	cJSON_AddStringToObject(claims, "jti", hex);
	cJSON_AddNumberToObject(claims, "iat", (double)openid_now());
	cJSON_AddNumberToObject(claims, "exp", (double)(openid_now() + ASSERTION_TIME));
	return claims;
}

/* RFC 7523 section 2.2. For free(); NULL: the key can't sign. */
static char *make_assertion(const struct subject *s)
{
	unsigned algorithms = algorithms_of(s->key, NULL);
	enum algorithm a = (enum algorithm)__builtin_ctz(algorithms);
	cJSON *head = cJSON_CreateObject();
	struct buffer text, signature;
	int r;

	buffer_init(&text, FORM_MOST);
	buffer_init(&signature, FORM_MOST);
	cJSON_AddStringToObject(head, "alg", algorithm_name(a));
	cJSON_AddStringToObject(head, "typ", "JWT");
	r = put_part(&text, head);
	if (r == 0)
		r = buffer_append_byte(&text, '.');
	if (r == 0)
		r = put_part(&text, assertion_claims(s));
	if (r == 0)
		r = algorithm_sign(a, s->key, buffer_slice(&text), &signature);
	if (r == 0)
		r = buffer_append_byte(&text, '.');
	if (r == 0)
		r = base64url_encode(buffer_slice(&signature), &text);
	buffer_done(&signature);
	if (r < 0) {
		buffer_wipe(&text);
		return NULL;
	}
	return form_take(&text);
}

/* For free(). */
static char *make_form(const struct subject *s)
{
	char *assertion = s->key ? make_assertion(s) : NULL;
	struct buffer form;

	buffer_init(&form, FORM_MOST);
	form_put(&form, "grant_type", "client_credentials");
	if (s->scope)
		form_put(&form, "scope", s->scope);
	if (assertion) {
		form_put(&form, "client_assertion_type",
			"urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
		form_put(&form, "client_assertion", assertion);
		form_forget(assertion);
	}
	return form_take(&form);
}

/* --- asking --- */

static void fail(struct subject *s, const char *why)
{
	s->ask_failures++;
	s->ask_at = clock_monotonic() + openid_backoff(s->ask_failures);
	snprintf(s->ask_problem, sizeof(s->ask_problem),
		"issuer %s gives this agent no token: %.150s", s->issuer->name, why);
	if (s->ask_failures == 1)
		log_warning("%s", s->ask_problem);
	subject_check(s);
}

static void on_answer(void *context, const struct client_answer *answer)
{
	struct subject *s = context;
	char code[64], why[160];
	cJSON *json = form_read_answer(answer, code, why, sizeof(why));
	const char *token = json ? document_get_text(json, "access_token") : NULL;

	s->asking = false;
	if (token) {
		s->ask_failures = 0;
		/* Until the token says when it ends: it may be one that is refused. */
		s->ask_at = clock_monotonic() + OPENID_RETRY_MOST * NANOSECONDS_PER_SECOND;
		subject_take_token(s, s->serial, slice_from_string(token));
	} else {
		fail(s, json ? "its answer has none" : why);
	}
	cJSON_Delete(json);
}

static void ask(struct subject *s)
{
	char *form = make_form(s),
	     *authorization = s->secret ? form_authorization(s->client_id, s->secret) : NULL;
	const struct client_request request = {
		.url = s->issuer->token_endpoint,
		.body = form,
		.content_type = FORM_TYPE,
		.authorization = authorization,
		.ca = s->issuer->ca,
		.https_alone = true,
		.answer_most = LIMIT_DOCUMENT_BYTES,
	};

	s->asking = true;
	client_send(s->owner->client, &request, on_answer, s);
	form_forget(form);
	form_forget(authorization);
}

void ask_tick(struct subject *s, uint64_t now)
{
	const struct issuer *i = s->issuer;

	if (!s->client_id || s->asking || now < s->ask_at)
		return;
	if (i->token_endpoint)
		ask(s);
	else if (i->failures || i->discovered)
		fail(s, i->failures ? i->why : "it names no \"token_endpoint\"");
}

void ask_before(struct subject *s, uint64_t expires)
{
	uint64_t now = openid_now(), left = expires > now ? expires - now : 0;

	if (left > OPENID_TOKEN_TIME_MOST)
		left = OPENID_TOKEN_TIME_MOST;
	/* A third of its time before its end, for an issuer that does not answer at once. */
	if (s->client_id)
		s->ask_at = clock_monotonic() + left * 2 / 3 * NANOSECONDS_PER_SECOND +
			NANOSECONDS_PER_SECOND;
}
