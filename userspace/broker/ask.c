/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens that we ask for ourselves: the client credentials grant (RFC 6749 section 4.4), with a
 * secret or with an assertion signed with the client's key (RFC 7523).
 */
#include <openssl/rand.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "broker/openid.h"
#include "identity/algorithm.h"
#include "identity/base64url.h"

#define FORM_MOST (64u << 10) /* bytes */
#define ASSERTION_TIME 60 /* seconds for which an assertion is good */

/* As application/x-www-form-urlencoded has it. */
static void put_escaped(struct buffer *b, const char *text)
{
	for (; *text; text++) {
		uint8_t c = (uint8_t)*text;

		if ((c | 32) >= 'a' && (c | 32) <= 'z')
			buffer_append_byte(b, c);
		else if ((c >= '0' && c <= '9') || strchr("-._~", c))
			buffer_append_byte(b, c);
		else
			buffer_append_format(b, "%%%02X", c);
	}
}

static void put_field(struct buffer *b, const char *name, const char *value)
{
	buffer_append_format(b, "%s%s=", buffer_length(b) ? "&" : "", name);
	put_escaped(b, value);
}

/* For free(). */
static char *take_text(struct buffer *b)
{
	char *text = memory_copy_text(buffer_slice(b).data, buffer_length(b));

	buffer_wipe(b);
	return text;
}

/* RFC 6749 section 2.3.1. For free(). */
static char *basic_authorization(const struct subject *s)
{
	struct buffer pair;
	uint8_t *encoded;
	char *text;

	buffer_init(&pair, FORM_MOST);
	put_escaped(&pair, s->client_id);
	buffer_append_byte(&pair, ':');
	put_escaped(&pair, s->secret);
	encoded = memory_new(buffer_length(&pair) * 2 + 8);
	EVP_EncodeBlock(encoded, buffer_slice(&pair).data, (int)buffer_length(&pair));
	text = memory_format("Basic %s", (char *)encoded);
	memory_wipe(encoded, strlen((char *)encoded));
	free(encoded);
	buffer_wipe(&pair);
	return text;
}

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

	RAND_bytes(id, sizeof(id));
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
	return take_text(&text);
}

/* For free(). */
static char *make_form(const struct subject *s)
{
	char *assertion = s->key ? make_assertion(s) : NULL;
	struct buffer form;

	buffer_init(&form, FORM_MOST);
	put_field(&form, "grant_type", "client_credentials");
	if (s->scope)
		put_field(&form, "scope", s->scope);
	if (assertion) {
		put_field(&form, "client_assertion_type",
			"urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
		put_field(&form, "client_assertion", assertion);
		memory_wipe(assertion, strlen(assertion));
		free(assertion);
	}
	return take_text(&form);
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

/* The code of an error (RFC 6749 section 5.2), made of a few characters. */
static void describe(const struct client_answer *answer, const cJSON *json, char *ret, size_t size)
{
	const char *code = json ? document_get_text(json, "error") : NULL;
	size_t length = code ? strspn(code, "abcdefghijklmnopqrstuvwxyz_") : 0;

	snprintf(ret, size, "HTTP status %u%s%.*s", answer->status, length ? ", " : "",
		length < 60 ? (int)length : 60, code ? code : "");
}

static void on_answer(void *context, const struct client_answer *answer)
{
	const char *token = NULL, *why = answer->problem;
	struct subject *s = context;
	cJSON *json = NULL;
	struct error e;
	char room[120];

	s->asking = false;
	if (!why && document_parse(answer->body, &json, &e) < 0 && answer->status == 200)
		why = e.text;
	if (!why && answer->status == 200)
		token = document_get_text(json, "access_token");
	if (!why && !token) {
		describe(answer, json, room, sizeof(room));
		why = room;
	}
	if (token) {
		s->ask_failures = 0;
		/* Until the token says when it ends: it may be one that is refused. */
		s->ask_at = clock_monotonic() + OPENID_RETRY_MOST * NANOSECONDS_PER_SECOND;
		subject_take_token(s, s->serial, slice_from_string(token));
	} else {
		fail(s, why);
	}
	cJSON_Delete(json);
}

static void ask(struct subject *s)
{
	char *form = make_form(s), *authorization = s->secret ? basic_authorization(s) : NULL;
	const struct client_request request = {
		.url = s->issuer->token_endpoint,
		.body = form,
		.content_type = "application/x-www-form-urlencoded",
		.authorization = authorization,
		.ca = s->issuer->ca,
		.https_alone = true,
		.answer_most = LIMIT_DOCUMENT_BYTES,
	};

	s->asking = true;
	client_send(s->owner->client, &request, on_answer, s);
	memory_wipe(form, strlen(form));
	free(form);
	if (authorization)
		memory_wipe(authorization, strlen(authorization));
	free(authorization);
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

	/* A third of its time before its end, for an issuer that does not answer at once. */
	if (s->client_id)
		s->ask_at = clock_monotonic() + left * 2 / 3 * NANOSECONDS_PER_SECOND +
			NANOSECONDS_PER_SECOND;
}
