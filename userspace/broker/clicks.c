/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/clicks.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "broker/answer.h"
#include "broker/callback.h"
#include "broker/card.h"
#include "broker/signature.h"

/* Signatures are good for SIGNATURE_AGE_MOST to either side of our clock. */
#define REPLAY_TIME (2 * SIGNATURE_AGE_MOST + 60) /* seconds */
#define LOG_GAP (60 * NANOSECONDS_PER_SECOND)

/* A decision that the monitor has not answered yet. */
struct asked {
	struct list link;
	uint64_t id;
	uint64_t until; /* monotonic */
	char response_url[CALLBACK_URL_SIZE];
};

/* --- telling whoever clicked --- */

static void on_told(void *context, const struct client_answer *client_answer)
{
	struct answer answer;

	(void)context;
	answer_parse(client_answer, false, &answer);
	if (answer.kind != ANSWER_GOOD)
		log_warning("slack: who clicked can't be told: %s", answer.why);
}

/* What only the person who clicked needs to know. It is tried once: they can click again. */
static void tell_person(struct service *s, const char *response_url, const char *sentence)
{
	cJSON *message;
	char *json;

	if (!*response_url)
		return;
	message = card_build_private(sentence);
	json = cJSON_PrintUnformatted(message);
	client_post(s->client, response_url, NULL, json, on_told, NULL);
	free(json);
	cJSON_Delete(message);
}

/* --- decisions --- */

static void ask_monitor(struct service *s, const struct callback *c)
{
	struct broker_decide decide = {
		.id = ++s->last_id,
		.review = c->review,
		.verdict = c->verdict,
		.grant = c->grant,
		.reason_length = (uint32_t)strlen(c->reason),
	};
	struct asked *asked;

	memcpy(decide.user, c->user, sizeof(decide.user));
	if (s->asked_count >= SERVICE_ASKED_MOST ||
		service_tell(s, BROKER_DECIDE, &decide, sizeof(decide), c->reason) < 0) {
		tell_person(
			s, c->response_url, "Wayleave is busy, and this did not count. Try again.");
		return;
	}
	asked = memory_new(sizeof(*asked));
	asked->id = decide.id;
	asked->until = clock_monotonic() + SERVICE_ASKED_TIME * NANOSECONDS_PER_SECOND;
	memcpy(asked->response_url, c->response_url, sizeof(asked->response_url));
	list_append(&s->asked, &asked->link);
	s->asked_count++;
}

static void forget_asked(struct service *s, struct asked *asked)
{
	list_remove(&asked->link);
	s->asked_count--;
	free(asked);
}

/* An answer that does not come may not take the place of other decisions for ever. */
void clicks_expire(struct service *s)
{
	uint64_t now = clock_monotonic();

	list_for_each_safe (position, &s->asked) {
		struct asked *asked = list_entry(position, struct asked, link);

		if (asked->until > now)
			return;
		tell_person(s, asked->response_url,
			"Wayleave did not answer. The review shows whether this counted.");
		forget_asked(s, asked);
	}
}

void clicks_on_decided(struct service *s, struct slice payload)
{
	struct broker_decided head;
	char *sentence;

	if (payload.length < sizeof(head))
		return;
	memcpy(&head, payload.data, sizeof(head));
	payload = slice_from(payload, sizeof(head));
	if (payload.length != head.sentence_length)
		return;
	list_for_each_safe (position, &s->asked) {
		struct asked *asked = list_entry(position, struct asked, link);

		if (asked->id != head.id)
			continue;
		if (head.status < 0) {
			sentence = memory_copy_text(payload.data, payload.length);
			tell_person(s, asked->response_url, sentence);
			free(sentence);
		}
		forget_asked(s, asked);
	}
}

/* --- the dialog that asks for a reason --- */

struct dialog {
	struct service *service;
	char response_url[CALLBACK_URL_SIZE];
};

static void on_dialog(void *context, const struct client_answer *client_answer)
{
	struct dialog *d = context;
	struct answer answer;
	char text[400];

	answer_parse(client_answer, true, &answer);
	if (answer.kind != ANSWER_GOOD) {
		snprintf(text, sizeof(text), "The dialog could not be opened (%s). Try again.",
			answer.why);
		log_warning("slack: %s", text);
		tell_person(d->service, d->response_url, text);
	}
	free(d);
}

/* Slack opens it only within three seconds of the click, so this is not for the outbox. */
static void open_dialog(struct service *s, const struct callback *c)
{
	struct dialog *d = memory_new(sizeof(*d));
	cJSON *body = cJSON_CreateObject();
	char *url = memory_format("%s/views.open", s->texts[BROKER_API_URL]), *json;
	char *state = callback_context(&c->review, c->response_url);

	d->service = s;
	memcpy(d->response_url, c->response_url, sizeof(d->response_url));
	cJSON_AddStringToObject(body, "trigger_id", c->trigger);
	cJSON_AddItemToObject(body, "view", card_build_dialog(&c->review, state));
	json = cJSON_PrintUnformatted(body);
	client_post(s->client, url, s->texts[BROKER_BOT_TOKEN], json, on_dialog, d);
	free(json);
	free(state);
	free(url);
	cJSON_Delete(body);
}

/* --- callbacks --- */

/* Whether the URL begins with the scheme, host and port of `base`, up to the slash. */
static bool same_origin(const char *url, const char *base)
{
	const char *host = strstr(base, "://"), *end = host ? strchr(host + 3, '/') : NULL;
	size_t length = end ? (size_t)(end - base) : strlen(base);

	return host && strncmp(url, base, length) == 0 && url[length] == '/';
}

/* Slack's own places alone: a signed callback is no reason to write to any other. */
static bool is_slack_url(const struct service *s, const char *url)
{
	static const char *const hooks[] = {
		"https://hooks.slack.com/", "https://hooks.slack-gov.com/"};

	for (size_t i = 0; i < ARRAY_SIZE(hooks); i++) {
		if (same_origin(url, hooks[i]))
			return true;
	}
	return same_origin(url, s->texts[BROKER_API_URL]) ||
		same_origin(url, s->texts[BROKER_WEBHOOK_URL]);
}

static void act(struct service *s, struct callback *c)
{
	if (!is_slack_url(s, c->response_url))
		c->response_url[0] = '\0';
	if (c->kind == CALLBACK_CLICK && c->response_url[0])
		outbox_on_click(&s->outbox, &c->review, c->response_url, clock_monotonic());
	if (c->kind == CALLBACK_CLICK && c->verdict == BROKER_DENY && *s->texts[BROKER_BOT_TOKEN])
		open_dialog(s, c);
	else
		ask_monitor(s, c);
}

/* Anybody may send them, so not each is worth a line; an admin whose signing secret or clock is
 * wrong must see why. */
static void log_refused(struct service *s, const char *why)
{
	uint64_t now = clock_monotonic();

	s->refused++;
	if (now < s->refused_log_again)
		return;
	log_warning("slack: callbacks refused: %u; the last: %s", s->refused, why);
	s->refused = 0;
	s->refused_log_again = now + LOG_GAP;
}

static const char *why_refused(int r)
{
	switch (r) {
	case 0:
		return "signed before this broker began; to be clicked again";
	case -ETIME:
		return "signed more than five minutes from now: is the clock right?";
	case -EACCES:
		return "not signed with the signing secret";
	default:
		return strerror(-r);
	}
}

unsigned clicks_on_request(void *context, const struct receiver_request *request)
{
	struct service *s = context;
	struct callback callback;
	uint64_t now = clock_wall() / NANOSECONDS_PER_SECOND, sent;
	int r = signature_check(slice_from_string(s->texts[BROKER_SIGNING_SECRET]),
		request->timestamp, request->signature, request->body, now, &sent);

	if (r < 0 || !replay_is_since(s->started, sent, clock_wall(), clock_monotonic())) {
		log_refused(s, why_refused(r));
		return 401;
	}
	r = replay_add(&s->replay, request->signature, now, REPLAY_TIME);
	if (r < 0)
		return r == -EALREADY ? 409 : 503;
	if (callback_parse(request->body, &callback) < 0)
		return 400;
	if (callback.kind == CALLBACK_OTHER)
		return 200;
	/* The same click again under another signature is Slack's own doing. */
	r = replay_add(&s->replay, slice_from_string(callback.action), now, REPLAY_TIME);
	if (r == 0)
		act(s, &callback);
	return r < 0 && r != -EALREADY ? 503 : 200;
}
