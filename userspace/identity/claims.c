/* SPDX-License-Identifier: Apache-2.0
 *
 * What the signed part of a token says (RFC 7519 section 4.1).
 */
#include <errno.h>

#include "base/limits.h"
#include "base/memory.h"
#include "identity/token.h"

#define TIME_MOST 253402300799.0 /* the end of the year 9999 */

static int refuse(struct error *e, const char *text)
{
	return error_set(e, -EACCES, "%s", text);
}

/* --- time (NumericDate: seconds, perhaps with a fraction) --- */

/* 1: there, 0: not there, -EACCES: no time. */
static int get_time(const cJSON *claims, const char *name, uint64_t *ret, struct error *e)
{
	const cJSON *member = document_get(claims, name);

	if (!member)
		return 0;
	if (!cJSON_IsNumber(member) || !(member->valuedouble >= 0) ||
		member->valuedouble > TIME_MOST)
		return error_set(e, -EACCES, "\"%s\" is no time", name);
	*ret = (uint64_t)member->valuedouble;
	return 1;
}

static int check_times(const cJSON *claims, uint64_t now, struct error *e)
{
	uint64_t expires = 0, begins = 0, issued = 0;
	int r = get_time(claims, "exp", &expires, e);

	if (r == 0)
		return refuse(e, "it has no end (\"exp\")");
	if (r > 0)
		r = get_time(claims, "nbf", &begins, e);
	if (r >= 0)
		r = get_time(claims, "iat", &issued, e);
	if (r < 0)
		return r;
	if (now >= expires + TOKEN_LEEWAY)
		return error_set(e, -EKEYEXPIRED, "it has expired");
	if (begins > now + TOKEN_LEEWAY)
		return error_set(e, -EAGAIN, "it is not valid yet (\"nbf\")");
	if (issued > now + TOKEN_LEEWAY)
		return error_set(e, -EAGAIN, "it was issued in the future (\"iat\")");
	return 0;
}

/* --- whose and for whom --- */

/* They stand in lists and on lines of their own. */
static bool is_name(struct slice text)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < ' ' || text.data[i] == 0x7f)
			return false;
	}
	return text.length > 0 && text.length <= LIMIT_TOKEN_NAME;
}

/* The member is the text, or a list of texts with it. */
static bool names(const cJSON *member, const char *wanted)
{
	const cJSON *item;

	if (cJSON_IsString(member))
		return strcmp(member->valuestring, wanted) == 0;
	if (!cJSON_IsArray(member))
		return false;
	cJSON_ArrayForEach(item, member)
	{
		if (cJSON_IsString(item) && strcmp(item->valuestring, wanted) == 0)
			return true;
	}
	return false;
}

/* The client is named by "azp" (OpenID Connect), "client_id" (RFC 9068) or "cid" (Okta): by one of
 * them at least, and by none of them otherwise. */
static bool is_of_client(const cJSON *claims, const char *client)
{
	static const char *const members[] = {"azp", "client_id", "cid"};
	bool named = false;

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const cJSON *member = document_get(claims, members[i]);

		if (member && (!cJSON_IsString(member) || strcmp(member->valuestring, client) != 0))
			return false;
		named |= member != NULL;
	}
	return named;
}

/* Whatever says that it was made for another client, or for an answer to another question than
 * ours, which has no nonce: somebody got it elsewhere. */
static int check_id_token(const cJSON *claims, const char *client, struct error *e)
{
	const cJSON *party = document_get(claims, "azp");

	if (party && (!cJSON_IsString(party) || strcmp(party->valuestring, client) != 0))
		return refuse(e, "it was issued to another client (\"azp\")");
	if (!party && cJSON_GetArraySize(document_get(claims, "aud")) > 1)
		return refuse(e, "it is for several and does not say for whom first (\"azp\")");
	if (document_get(claims, "nonce"))
		return refuse(e, "it answers something that was not asked (\"nonce\")");
	return 0;
}

int claims_check(
	const cJSON *claims, const struct token_rules *rules, uint64_t now, struct error *e)
{
	const char *issuer = document_get_text(claims, "iss");
	const char *subject = document_get_text(claims, "sub");
	int r;

	if (!issuer || strcmp(issuer, rules->issuer) != 0)
		return refuse(e, "it is another issuer's (\"iss\")");
	if (!names(document_get(claims, "aud"), rules->audience))
		return refuse(e, "it is for another audience (\"aud\")");
	if (!subject || !is_name(slice_from_string(subject)))
		return refuse(e, "it does not say whom it is about (\"sub\")");
	if (rules->subject && strcmp(subject, rules->subject) != 0)
		return refuse(e, "it is about somebody else (\"sub\")");
	if (rules->client && !is_of_client(claims, rules->client))
		return refuse(
			e, "it was issued to another client (\"azp\", \"client_id\", \"cid\")");
	r = rules->is_id_token ? check_id_token(claims, rules->audience, e) : 0;
	return r < 0 ? r : check_times(claims, now, e);
}

/* --- groups --- */

/* A member of that whole name, as "https://acme.com/groups", or the way through nested objects that
 * its dots show. */
static const cJSON *find_claim(const cJSON *claims, const char *name)
{
	const cJSON *found = document_get(claims, name);
	const char *dot = strchr(name, '.');
	const cJSON *outer;
	char *first;

	if (found || !dot)
		return found;
	first = memory_copy_text(name, (size_t)(dot - name));
	outer = document_get(claims, first);
	free(first);
	return cJSON_IsObject(outer) ? find_claim(outer, dot + 1) : NULL;
}

static int add_group(struct token *t, struct slice name, struct error *e)
{
	if (t->group_count >= LIMIT_TOKEN_GROUPS)
		return error_set(e, -EACCES, "it names more than %u groups", LIMIT_TOKEN_GROUPS);
	if (!is_name(name))
		return refuse(e, "the name of a group is empty, too long or no line of text");
	t->groups[t->group_count] = arena_copy(&t->texts, name);
	if (!t->groups[t->group_count].data)
		return refuse(e, "it names too many groups");
	t->group_count++;
	return 0;
}

/* As "scope" has it (RFC 6749 section 3.3). */
static int read_words(const char *text, struct token *t, struct error *e)
{
	int r = 0;

	while (r == 0 && *text) {
		size_t length = strcspn(text, " ");

		if (length)
			r = add_group(t, slice_of(text, length), e);
		text += length + (text[length] == ' ');
	}
	return r;
}

static int read_list(const cJSON *list, struct token *t, struct error *e)
{
	const cJSON *item;
	int r = 0;

	cJSON_ArrayForEach(item, list)
	{
		if (r == 0 && !cJSON_IsString(item))
			r = refuse(e, "a group is no text");
		if (r == 0)
			r = add_group(t, slice_from_string(item->valuestring), e);
	}
	return r;
}

static int read_groups(const cJSON *claims, const char *name, struct token *t, struct error *e)
{
	const cJSON *claim = find_claim(claims, name);

	/* OpenID Connect Core section 5.6.2: there are groups, and they are elsewhere. A deny for
	 * one of them would be missed. */
	if (!claim && document_get(document_get(claims, "_claim_names"), name))
		return refuse(e, "its groups are too many for a token (\"_claim_names\")");
	if (!claim)
		return 0;
	if (cJSON_IsString(claim))
		return read_words(claim->valuestring, t, e);
	if (cJSON_IsArray(claim))
		return read_list(claim, t, e);
	return error_set(e, -EACCES, "\"%.64s\" is neither a list of texts nor a text", name);
}

int claims_read(const cJSON *claims, const char *groups_claim, struct token *ret, struct error *e)
{
	ret->groups = arena_new_array(&ret->texts, LIMIT_TOKEN_GROUPS, sizeof(*ret->groups));
	ret->subject = arena_copy(&ret->texts, slice_from_string(document_get_text(claims, "sub")));
	if (!ret->groups || !ret->subject.data)
		return refuse(e, "it is too long");
	ret->expires = (uint64_t)document_get(claims, "exp")->valuedouble;
	return read_groups(claims, groups_claim, ret, e);
}
