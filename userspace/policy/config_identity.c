/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of issuers, and of what says which token is an agent's.
 */
#include "base/limits.h"
#include "policy/config_check.h"

#include "base/memory.h"

#define AGE_LEAST                                                                                  \
	(60 * 1000000000ULL) /* nanoseconds: below, one slow answer refuses everything             \
			      */

/* The issuer's name must be spelt as its tokens spell it, so nothing is made of it here. */
static void check_url(struct loader *l, const struct config_text *url)
{
	const char *host = url->text ? url->text + strlen("https://") : NULL;

	if (!url->text)
		return;
	if (strncmp(url->text, "https://", 8) != 0 || !*host || *host == '/' ||
		strpbrk(url->text, " \t\r\n#?@\\"))
		loader_error(l, url->place, "\"url\": expected https://…, not \"%s\"", url->text);
}

static void check_algorithms(struct loader *l, const struct config_texts *list)
{
	static const char *const known[] = {"RS256", "RS384", "RS512", "ES256", "ES384"};

	if (list->place.file && list->count == 0)
		loader_error(l, list->place, "\"algorithms\": expected at least one");
	for (size_t i = 0; i < list->count; i++) {
		bool found = false;

		for (size_t j = 0; j < ARRAY_SIZE(known); j++)
			found |= strcmp(list->items[i].text, known[j]) == 0;
		if (!found)
			loader_error(l, list->items[i].place,
				"\"algorithms\": expected RS256, RS384, RS512, ES256 or ES384, not "
				"\"%s\"",
				list->items[i].text);
	}
}

static void check_issuer(struct loader *l, const struct config_issuer *issuer)
{
	config_check_name(l, &issuer->name, "an issuer");
	check_url(l, &issuer->url);
	check_algorithms(l, &issuer->algorithms);
	if (issuer->keys_max_age.value < AGE_LEAST)
		loader_error(l, issuer->keys_max_age.place,
			"\"keys_max_age\": expected at least a minute");
}

/* The daemon asks for tokens itself, as a client of the issuer's. */
static void check_client(struct loader *l, const struct config_identity *identity)
{
	bool secret = identity->client_secret_file.text, key = identity->private_key_file.text;
	struct place place = identity->client_id.place;

	if (!identity->client_id.text) {
		if (secret || key || identity->scope.text)
			loader_error(l, identity->place,
				"\"client_secret_file\", \"private_key_file\" and \"scope\" go "
				"with \"client_id\"");
		return;
	}
	if (secret == key)
		loader_error(l, place,
			"\"client_id\" needs one of \"client_secret_file\" and "
			"\"private_key_file\"");
	if (identity->token_file.text)
		loader_error(l, place, "expected \"token_file\" or \"client_id\", not both");
}

static void check_identity(
	struct loader *l, const struct config_agent *agent, const struct config_array *issuers)
{
	const struct config_identity *identity = agent->identity;

	if (!identity)
		return;
	config_check_reference(l, "issuer", &identity->issuer, issuers, NULL);
	check_client(l, identity);
	if (!identity->token_file.text && !identity->client_id.text)
		loader_warning(l, identity->place,
			"without \"token_file\" or \"client_id\" the agent is refused everything, "
			"but "
			"for commands that `wayleave run --token-file` starts");
}

void config_check_identity(struct config *c, struct loader *l)
{
	struct config_array issuers = CONFIG_ARRAY(c->issuers, c->issuer_count, "issuer");

	if (c->issuer_count > LIMIT_CONFIG_ISSUERS) {
		loader_error(l, c->place, "more than %u issuers", LIMIT_CONFIG_ISSUERS);
		return;
	}
	for (size_t i = 0; i < c->issuer_count; i++)
		check_issuer(l, &c->issuers[i]);
	for (size_t i = 0; i < c->agent_count; i++)
		check_identity(l, &c->agents[i], &issuers);
}
