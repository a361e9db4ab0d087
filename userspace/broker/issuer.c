/* SPDX-License-Identifier: Apache-2.0
 *
 * An issuer's keys: OpenID Connect Discovery 1.0, then the document of keys that it names. Both are
 * hostile bytes from whoever answers under the issuer's certificate.
 */
#include "broker/openid.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"

static void finish(struct issuer *i)
{
	struct broker_issuer state = {
		.issuer = i->index,
		.key_count = i->keys ? (uint32_t)i->keys->count : 0,
		.fetched = i->fetched,
		.failing_since = i->failing_since,
	};
	struct openid *o = i->owner;

	i->fetching = false;
	openid_tell(o, BROKER_ISSUER, &state, sizeof(state),
		slice_from_string(i->failing_since ? i->why : ""));
	for (size_t j = 0; j < o->subject_count; j++) {
		if (o->subjects[j].issuer == i)
			subject_check(&o->subjects[j]);
	}
	list_for_each (position, &o->runs) {
		struct subject *s = list_entry(position, struct subject, link);

		if (s->issuer == i)
			subject_check(s);
	}
}

static void fail(struct issuer *i, const char *what, const char *why)
{
	if (i->failures++ == 0)
		i->failing_since = openid_now();
	snprintf(i->why, sizeof(i->why), "%s: %.150s", what, why);
	i->fetch_at = clock_monotonic() + openid_backoff(i->failures);
	finish(i);
}

/* Why an answer is none; NULL: it is one. */
static const char *find_fault(const struct client_answer *answer, char *room, size_t size)
{
	if (answer->problem)
		return answer->problem;
	if (answer->status == 200)
		return NULL;
	snprintf(room, size, "HTTP status %u%s", answer->status,
		answer->status / 100 == 3 ? " (redirections are not followed)" : "");
	return room;
}

static void get(struct issuer *i, const char *url, client_done *done)
{
	const struct client_request request = {
		.url = url,
		.ca = i->ca,
		.https_alone = true,
		.answer_most = LIMIT_DOCUMENT_BYTES,
	};

	client_send(i->owner->client, &request, done, i);
}

/* --- keys --- */

static void take_keys(struct issuer *i, struct jwks *keys, uint64_t fetched)
{
	if (keys->skipped)
		log_info("issuer %s: %zu of its keys are not used; the first: %s", i->name,
			keys->skipped, keys->why);
	jwks_free(i->keys);
	i->keys = keys;
	i->fetched = fetched;
}

static void on_keys(void *context, const struct client_answer *answer)
{
	struct broker_keys head = {.fetched = openid_now()};
	struct issuer *i = context;
	struct jwks *keys;
	struct error e;
	char room[80];
	const char *fault = find_fault(answer, room, sizeof(room));

	if (!fault && jwks_parse(answer->body, &keys, &e) < 0)
		fault = e.text;
	if (fault) {
		fail(i, "its keys", fault);
		return;
	}
	take_keys(i, keys, head.fetched);
	i->failures = 0;
	i->failing_since = 0;
	i->fetch_at = clock_monotonic() +
		(i->keys_max_age / 4 < OPENID_KEYS_TIME ? i->keys_max_age / 4 : OPENID_KEYS_TIME) *
			NANOSECONDS_PER_SECOND;
	head.issuer = i->index;
	openid_tell(i->owner, BROKER_KEYS, &head, sizeof(head), answer->body);
	finish(i);
}

void issuer_take_kept(struct issuer *i, struct slice document, uint64_t fetched)
{
	struct jwks *keys;
	struct error e;

	/* A clock that was wrong must not make them good for ever. */
	if (fetched <= i->fetched || fetched > openid_now())
		return;
	if (jwks_parse(document, &keys, &e) < 0)
		log_warning(
			"issuer %s: the keys that were kept can't be read: %s", i->name, e.text);
	else
		take_keys(i, keys, fetched);
}

/* --- discovery --- */

static bool is_https(const char *url)
{
	return url && strncmp(url, "https://", 8) == 0 && strlen(url) < LIMIT_TOKEN_NAME;
}

static const char *find_document_fault(const struct issuer *i, const cJSON *document)
{
	const char *name = document_get_text(document, "issuer");

	/* OpenID Connect Discovery section 4.3: exactly; else one issuer speaks for another. */
	if (!name || strcmp(name, i->rules.issuer) != 0)
		return "the document is about another issuer than the configured url";
	if (!is_https(document_get_text(document, "jwks_uri")))
		return "it names no https:// address of keys (\"jwks_uri\")";
	return NULL;
}

static void take_endpoint(const cJSON *document, const char *name, char **ret)
{
	const char *endpoint = document_get_text(document, name);

	free(*ret);
	*ret = is_https(endpoint) ? memory_copy_string(endpoint) : NULL;
}

static void on_discovery(void *context, const struct client_answer *answer)
{
	struct issuer *i = context;
	cJSON *document = NULL;
	struct error e;
	char room[80];
	const char *fault = find_fault(answer, room, sizeof(room));

	if (!fault && document_parse(answer->body, &document, &e) < 0)
		fault = e.text;
	if (!fault)
		fault = find_document_fault(i, document);
	if (fault) {
		fail(i, "its discovery document", fault);
	} else {
		i->discovered = true;
		take_endpoint(document, "token_endpoint", &i->token_endpoint);
		take_endpoint(document, "device_authorization_endpoint", &i->device_endpoint);
		get(i, document_get_text(document, "jwks_uri"), on_keys);
	}
	cJSON_Delete(document);
}

static void fetch(struct issuer *i, uint64_t now)
{
	size_t length = strlen(i->rules.issuer);
	/* Section 4.1: a "/" at the end is left out. */
	char *url = memory_format("%.*s/.well-known/openid-configuration",
		(int)(length - (length && i->rules.issuer[length - 1] == '/')), i->rules.issuer);

	i->fetching = true;
	i->last_fetch = now;
	get(i, url, on_discovery);
	free(url);
}

/* They came while the clock was ahead: how old they are is not known. */
static bool are_of_the_future(const struct issuer *i, uint64_t now)
{
	return i->keys && i->fetched > now + TOKEN_LEEWAY;
}

void issuer_tick(struct issuer *i, uint64_t now)
{
	if (are_of_the_future(i, openid_now()) && !i->failures)
		issuer_want_keys(i);
	if (!i->fetching && now >= i->fetch_at)
		fetch(i, now);
}

void issuer_want_keys(struct issuer *i)
{
	uint64_t soonest = i->last_fetch + OPENID_KEYS_GAP * NANOSECONDS_PER_SECOND;

	if (i->fetch_at > soonest)
		i->fetch_at = soonest;
}

bool issuer_has_keys(const struct issuer *i, uint64_t now)
{
	return i->keys && now < i->fetched + i->keys_max_age && !are_of_the_future(i, now);
}

void issuer_problem(const struct issuer *i, uint64_t now, char *ret, size_t size)
{
	char since[32], age[64] = "";

	if (!i->failing_since) {
		snprintf(ret, size, "the keys of issuer %s have not come yet", i->name);
		return;
	}
	text_from_time(i->failing_since * NANOSECONDS_PER_SECOND, since);
	if (i->keys && now >= i->fetched + i->keys_max_age)
		snprintf(age, sizeof(age), ", and its keys are %lu minutes old",
			(unsigned long)((now - i->fetched) / 60));
	snprintf(ret, size, "issuer %s can't be reached since %s (%s)%s", i->name, since, i->why,
		age);
}
