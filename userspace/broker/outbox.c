/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/outbox.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker/answer.h"
#include "broker/outbox_internal.h"

#define SECOND NANOSECONDS_PER_SECOND

void outbox_init(struct outbox *o, const struct outbox_options *options)
{
	*o = (struct outbox){.options = *options};
	list_init(&o->messages);
	list_init(&o->senders);
}

void outbox_set_content(struct outbox_message *m, cJSON *card, cJSON *outcome)
{
	cJSON_Delete(m->card);
	cJSON_Delete(m->outcome);
	m->card = card;
	m->outcome = outcome;
}

void outbox_finish(struct outbox *o, struct outbox_message *m)
{
	o->options.shown(o->options.context, &m->place, BROKER_SHOWN_CLOSED);
	outbox_forget(o, m);
}

void outbox_done(struct outbox *o)
{
	list_for_each_safe (position, &o->messages)
		outbox_forget(o, list_entry(position, struct outbox_message, link));
}

void outbox_get_state(const struct outbox *o, struct outbox_state *ret)
{
	*ret = (struct outbox_state){.why = ""};
	list_for_each (position, &o->messages) {
		const struct outbox_message *m = list_entry(position, struct outbox_message, link);

		ret->waiting += m->waiting;
		if (!m->failing_since)
			continue;
		ret->failing++;
		if (ret->place && ret->since <= m->failing_since)
			continue;
		ret->place = &m->place;
		ret->since = m->failing_since;
		ret->why = m->why;
	}
}

static bool has_token(const struct outbox *o)
{
	return *o->options.bot_token;
}

/* --- what to show --- */

static struct outbox_message *find(struct outbox *o, const struct broker_place *place)
{
	list_for_each (position, &o->messages) {
		struct outbox_message *m = list_entry(position, struct outbox_message, link);

		if (strcmp(m->place.review.text, place->review.text) == 0 &&
			strcmp(m->place.channel, place->channel) == 0)
			return m;
	}
	return NULL;
}

static struct outbox_message *add(
	struct outbox *o, const struct broker_show *show, const char *agent)
{
	struct outbox_message *m = outbox_add(o, agent);

	if (!m)
		return NULL;
	m->place = show->place;
	m->posted = show->posted >= BROKER_POSTED;
	m->unsure = show->posted == BROKER_PERHAPS_POSTED;
	return m;
}

/* A webhook's messages can't be changed; only how it ended is worth a second one. */
static bool is_worth_sending(const struct outbox *o, const struct outbox_message *m)
{
	return has_token(o) || m->closed || !m->posted;
}

/* Decided before anybody saw it: there is nothing to tell. */
static bool is_needless(const struct outbox_message *m)
{
	return m->closed && !m->posted && !m->unsure && !m->in_flight;
}

int outbox_show(struct outbox *o, const struct broker_show *show, const char *agent, cJSON *card,
	cJSON *outcome, uint64_t now)
{
	struct outbox_message *m = find(o, &show->place);

	if (!m)
		m = add(o, show, agent);
	if (!m) {
		cJSON_Delete(card);
		cJSON_Delete(outcome);
		return -ENOSPC;
	}
	outbox_set_content(m, card, outcome);
	m->changed = true;
	if (show->closed && !m->closed) {
		m->closed = true;
		m->closed_at = now;
		if (m->failures == 0)
			m->due = now;
	}
	m->waiting = is_worth_sending(o, m);
	if (is_needless(m))
		outbox_finish(o, m);
	return 0;
}

void outbox_on_click(
	struct outbox *o, const struct identifier *review, const char *response_url, uint64_t now)
{
	list_for_each (position, &o->messages) {
		struct outbox_message *m = list_entry(position, struct outbox_message, link);

		if (strcmp(m->place.review.text, review->text) != 0)
			continue;
		snprintf(m->response_url, sizeof(m->response_url), "%s", response_url);
		m->url_until = now + OUTBOX_URL_TIME * SECOND;
	}
}

/* --- sending --- */

static void send(struct outbox *o, struct outbox_message *m, const char *url, const char *bearer,
	cJSON *body)
{
	char *json = cJSON_PrintUnformatted(body);

	m->in_flight = true;
	m->changed = false;
	outbox_take_turn(o, m);
	o->in_flight++;
	o->options.send(o->options.context, m, url, bearer, json);
	free(json);
	cJSON_Delete(body);
}

/* A new message; nothing that it mentions is to be fetched and shown. */
static cJSON *make_post(const cJSON *message)
{
	cJSON *body = cJSON_Duplicate(message, true);

	cJSON_AddFalseToObject(body, "unfurl_links");
	cJSON_AddFalseToObject(body, "unfurl_media");
	return body;
}

/* Of a message that is there. */
static cJSON *make_update(const cJSON *message, const char *name, cJSON *value)
{
	cJSON *body = cJSON_Duplicate(message, true);

	cJSON_AddItemToObject(body, name, value);
	return body;
}

static void send_with_token(struct outbox *o, struct outbox_message *m)
{
	const char *time = m->place.time;
	cJSON *body =
		*time ? make_update(m->card, "ts", cJSON_CreateString(time)) : make_post(m->card);
	char *url =
		memory_format("%s/chat.%s", o->options.api_url, *time ? "update" : "postMessage");

	cJSON_AddStringToObject(body, "channel", m->place.channel);
	send(o, m, url, o->options.bot_token, body);
	free(url);
}

static void send_to_webhook(struct outbox *o, struct outbox_message *m, uint64_t now)
{
	m->used_url = m->posted && m->response_url[0] && now < m->url_until;
	if (m->used_url)
		send(o, m, m->response_url, "",
			make_update(m->card, "replace_original", cJSON_CreateTrue()));
	else
		send(o, m, o->options.webhook_url, "", make_post(m->posted ? m->outcome : m->card));
}

void outbox_turn(struct outbox *o, uint64_t now)
{
	struct outbox_message *m;

	while (o->hold_until <= now && o->in_flight < OUTBOX_IN_FLIGHT_MOST &&
		(m = outbox_find_next(o, now))) {
		if (m->closed && m->failures && now - m->closed_at > OUTBOX_CLOSED_TIME * SECOND)
			outbox_finish(o, m);
		else if (has_token(o))
			send_with_token(o, m);
		else
			send_to_webhook(o, m, now);
	}
}

int outbox_wait(const struct outbox *o, uint64_t now, int most)
{
	uint64_t wait = (uint64_t)most * NANOSECONDS_PER_MILLISECOND;

	if (o->in_flight >= OUTBOX_IN_FLIGHT_MOST)
		return most;
	list_for_each (position, &o->messages) {
		const struct outbox_message *m = list_entry(position, struct outbox_message, link);
		uint64_t due = m->due > o->hold_until ? m->due : o->hold_until;

		if (!m->waiting || m->in_flight)
			continue;
		if (due <= now)
			return 0;
		if (due - now < wait)
			wait = due - now;
	}
	/* Up, or the last fraction of a millisecond would be spun away. */
	return (int)((wait + NANOSECONDS_PER_MILLISECOND - 1) / NANOSECONDS_PER_MILLISECOND);
}

/* --- answers --- */

static void on_success(
	struct outbox *o, struct outbox_message *m, const struct answer *answer, uint64_t now)
{
	m->failing_since = 0;
	m->failures = 0;
	m->posted = true;
	if (answer->time[0])
		memcpy(m->place.time, answer->time, sizeof(m->place.time));
	m->due = m->closed ? now : now + OUTBOX_UPDATE_GAP * SECOND;
	m->waiting = m->changed && is_worth_sending(o, m);
	if (!m->waiting)
		outbox_set_content(m, NULL, NULL);
	if (m->closed && !m->waiting)
		outbox_finish(o, m);
	else
		o->options.shown(o->options.context, &m->place, BROKER_SHOWN_OPEN);
}

static uint64_t backoff(const struct outbox_message *m, enum answer_kind kind)
{
	uint64_t seconds = kind == ANSWER_REFUSED ? OUTBOX_REFUSED_RETRY : 1;

	for (unsigned i = 1; i < m->failures && seconds < OUTBOX_RETRY_MOST; i++)
		seconds *= 2;
	return (seconds < OUTBOX_RETRY_MOST ? seconds : OUTBOX_RETRY_MOST) * SECOND;
}

static void on_failure(
	struct outbox *o, struct outbox_message *m, const struct answer *answer, uint64_t now)
{
	uint64_t hold =
		answer->retry_after < OUTBOX_HOLD_MOST ? answer->retry_after : OUTBOX_HOLD_MOST;

	if (!m->failing_since)
		m->failing_since = clock_wall();
	snprintf(m->why, sizeof(m->why), "%s", answer->why);
	m->failures++;
	m->due = now + backoff(m, answer->kind);
	if (answer->kind == ANSWER_LIMITED) {
		o->hold_until = now + hold * SECOND;
		m->due = o->hold_until;
	}
	/* Without the URL, as if nobody had clicked. */
	if (m->used_url)
		m->url_until = 0;
	/* The message was deleted, or may not be changed any more: it is posted anew. */
	if (answer->kind == ANSWER_GONE && m->place.time[0]) {
		m->place.time[0] = '\0';
		m->due = now;
	}
	if (answer->kind == ANSWER_FAILED)
		m->unsure = true;
	if (is_needless(m))
		outbox_finish(o, m);
}

void outbox_on_answer(struct outbox *o, struct outbox_message *m,
	const struct client_answer *client_answer, uint64_t now)
{
	struct answer answer;

	m->in_flight = false;
	o->in_flight--;
	answer_parse(client_answer, has_token(o), &answer);
	if (answer.kind == ANSWER_GOOD)
		on_success(o, m, &answer, now);
	else
		on_failure(o, m, &answer, now);
}
