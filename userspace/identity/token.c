/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/token.h"

#include <errno.h>
#include <strings.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "identity/algorithm.h"
#include "identity/base64url.h"

#define TEXTS_MOST (LIMIT_TOKEN_BYTES * 8) /* slices and texts of one token */
#define KEYS_TRIED 4 /* that have the same name: each costs a signature check */

/* A token in its three parts (RFC 7515 section 3.1). */
struct parts {
	struct slice head, claims, signature; /* in base64url */
	struct slice signed_text;
};

static int refuse(struct error *e, const char *text)
{
	return error_set(e, -EACCES, "%s", text);
}

struct slice token_trim(struct slice text)
{
	while (text.length && strchr(" \t\r\n", text.data[text.length - 1]))
		text.length--;
	while (text.length && strchr(" \t\r\n", text.data[0]))
		text = slice_from(text, 1);
	return text;
}

static bool take_part(struct slice *rest, struct slice *ret)
{
	const uint8_t *dot = rest->length ? memchr(rest->data, '.', rest->length) : NULL;

	if (!dot)
		return false;
	*ret = slice_head(*rest, (size_t)(dot - rest->data));
	*rest = slice_from(*rest, ret->length + 1);
	return true;
}

static bool split(struct slice text, struct parts *ret)
{
	struct slice rest = text;

	if (!take_part(&rest, &ret->head) || !take_part(&rest, &ret->claims))
		return false;
	ret->signature = rest;
	ret->signed_text = slice_head(text, ret->head.length + 1 + ret->claims.length);
	return true;
}

/* An object of one part. */
static int open_part(struct slice part, const char *what, cJSON **ret, struct error *e)
{
	struct error problem;
	struct buffer json;
	int r;

	buffer_init(&json, LIMIT_TOKEN_BYTES);
	r = base64url_decode(part, &json);
	if (r < 0)
		r = error_set(e, -EACCES, "its %s is not base64url", what);
	else if (document_parse(buffer_slice(&json), ret, &problem) < 0)
		r = error_set(e, -EACCES, "its %s: %s", what, problem.text);
	buffer_done(&json);
	return r;
}

/* --- the header --- */

static bool has_type(const char *type, const char *wanted)
{
	/* RFC 7515 section 4.1.9: a media type whose "application/" may be left out. */
	if (strncasecmp(type, "application/", 12) == 0)
		type += 12;
	return strcasecmp(type, wanted) == 0;
}

static int check_type(const cJSON *head, const struct token_rules *rules, struct error *e)
{
	const cJSON *member = document_get(head, "typ");
	bool good = !rules->type;

	if (cJSON_IsString(member) && rules->type)
		good = has_type(member->valuestring, rules->type);
	else if (cJSON_IsString(member))
		good = has_type(member->valuestring, "JWT") ||
			has_type(member->valuestring, "at+jwt");
	else if (member)
		good = false;
	return good ? 0
		    : error_set(e, -EACCES, "its type is not %s",
			      rules->type ? rules->type : "that of an access token");
}

static int check_head(const cJSON *head, const struct token_rules *rules,
	enum algorithm *ret_algorithm, struct error *e)
{
	const char *name = document_get_text(head, "alg");
	enum algorithm a = name ? algorithm_find(name) : ALGORITHM_COUNT;

	if (a == ALGORITHM_COUNT || !(rules->algorithms >> a & 1))
		return refuse(e, "its algorithm is none of the issuer's");
	/* RFC 7515 section 4.1.11: extensions that must be understood; RFC 7797 among them. */
	if (document_get(head, "crit"))
		return refuse(e, "it uses extensions (\"crit\")");
	*ret_algorithm = a;
	return check_type(head, rules, e);
}

/* --- the signature --- */

static bool is_named(const struct jwk *key, const char *id)
{
	return !id || (key->id && strcmp(key->id, id) == 0);
}

static int check_signature(const struct parts *parts, const char *id, enum algorithm a,
	const struct jwks *keys, struct error *e)
{
	unsigned tried = 0;
	struct buffer signature;
	bool good = false;

	buffer_init(&signature, LIMIT_TOKEN_BYTES);
	if (base64url_decode(parts->signature, &signature) < 0) {
		buffer_done(&signature);
		return refuse(e, "its signature is not base64url");
	}
	for (size_t i = 0; i < keys->count && !good && tried < KEYS_TRIED; i++) {
		const struct jwk *key = &keys->keys[i];

		if (!(key->algorithms >> a & 1) || !is_named(key, id))
			continue;
		tried++;
		good = algorithm_verify(a, key->key, parts->signed_text, buffer_slice(&signature));
	}
	buffer_done(&signature);
	if (good)
		return 0;
	if (tried == 0 || !id)
		return error_set(e, -ENOKEY,
			"it is signed with a key that the issuer does not "
			"publish");
	return refuse(e, "its signature is wrong");
}

static int check_key_name(const cJSON *head, const char **ret, struct error *e)
{
	const cJSON *member = document_get(head, "kid");

	if (member && (!cJSON_IsString(member) || strlen(member->valuestring) > LIMIT_KEY_ID))
		return refuse(e, "the name of its key is none (\"kid\")");
	*ret = member ? member->valuestring : NULL;
	return 0;
}

static int check_parts(const struct parts *parts, const struct jwks *keys,
	const struct token_rules *rules, struct error *e)
{
	enum algorithm a = ALGORITHM_COUNT;
	const char *id = NULL;
	cJSON *head;
	int r = open_part(parts->head, "header", &head, e);

	if (r < 0)
		return r;
	r = check_head(head, rules, &a, e);
	if (r == 0)
		r = check_key_name(head, &id, e);
	if (r == 0)
		r = check_signature(parts, id, a, keys, e);
	cJSON_Delete(head);
	return r;
}

/* --- the whole --- */

static int take_claims(struct slice part, const struct token_rules *rules, uint64_t now,
	struct token *ret, struct error *e)
{
	cJSON *claims;
	int r = open_part(part, "claims", &claims, e);

	if (r < 0)
		return r;
	r = claims_check(claims, rules, now, e);
	if (r == 0)
		r = claims_read(claims, rules->groups_claim, ret, e);
	cJSON_Delete(claims);
	return r;
}

int token_check(struct slice text, const struct jwks *keys, const struct token_rules *rules,
	uint64_t now, struct token *ret, struct error *e)
{
	struct token token = {.group_count = 0};
	struct parts parts;
	int r;

	text = token_trim(text);
	if (text.length == 0)
		return refuse(e, "there is none");
	if (text.length > LIMIT_TOKEN_BYTES)
		return error_set(e, -EACCES, "it is longer than %u bytes", LIMIT_TOKEN_BYTES);
	if (!split(text, &parts))
		return refuse(e, "it is no signed JSON Web Token");
	r = check_parts(&parts, keys, rules, e);
	if (r < 0)
		return r;
	arena_init(&token.texts, TEXTS_MOST);
	r = take_claims(parts.claims, rules, now, &token, e);
	if (r < 0)
		arena_done(&token.texts);
	else
		*ret = token;
	return r;
}

void token_done(struct token *t)
{
	arena_done(&t->texts);
	*t = (struct token){.group_count = 0};
}
