/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/service.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "broker/answer.h"
#include "broker/callback.h"
#include "broker/card.h"
#include "broker/signature.h"
#include "monitor/control.h"

#define TURN_MOST 1000 /* milliseconds */
/* Signatures are good for SIGNATURE_AGE_MOST to either side of our clock. */
#define REPLAY_TIME (2 * SIGNATURE_AGE_MOST + 60) /* seconds */

/* A decision that the monitor has not answered yet. */
struct asked {
	struct list link;
	uint64_t id;
	uint64_t until; /* monotonic */
	char response_url[CALLBACK_URL_SIZE];
};

static uint64_t wall_seconds(void)
{
	return clock_wall() / NANOSECONDS_PER_SECOND;
}

/* --- telling the monitor --- */

static int tell(struct service *s, enum broker_message type, const void *head, size_t length,
	const char *text)
{
	struct control_header header = {.type = type};
	struct buffer payload;
	int r;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = buffer_append(&payload, head, length);
	if (r == 0)
		r = buffer_append_string(&payload, text);
	if (r == 0)
		r = control_send(s->channel, &header, buffer_slice(&payload), NULL, 0);
	buffer_done(&payload);
	return r;
}

/* The monitor would never know of a message that is there; so it is waited for, which never waits
 * for us. */
static void on_shown(void *context, const struct broker_place *place, enum broker_shown_state state)
{
	const struct broker_shown shown = {.place = *place, .state = state};
	struct service *s = context;
	struct pollfd room = {.fd = s->channel, .events = POLLOUT};

	while (tell(s, BROKER_SHOWN, &shown, sizeof(shown), "") == -EAGAIN &&
		poll(&room, 1, -1) > 0)
		;
}

/* "review r-7Q2K in C012AB3CD: Slack says: not_in_channel" */
static void describe_failure(const struct outbox_state *state, char *ret, size_t size)
{
	const struct broker_place *place = state->place;

	*ret = '\0';
	if (place)
		snprintf(ret, size, "review %s%s%s: %s", place->review.text,
			*place->channel ? " in " : "", place->channel, state->why);
}

static void report_state(struct service *s)
{
	char why[sizeof(s->reported_why)];
	struct outbox_state outbox;
	struct broker_state state;

	outbox_get_state(&s->outbox, &outbox);
	describe_failure(&outbox, why, sizeof(why));
	state = (struct broker_state){
		.failing_since = outbox.since,
		.waiting = outbox.waiting,
		.failing = outbox.failing,
		.why_length = (uint32_t)strlen(why),
	};
	if (memcmp(&state, &s->reported, sizeof(state)) == 0 && strcmp(why, s->reported_why) == 0)
		return;
	if (tell(s, BROKER_STATE, &state, sizeof(state), why) < 0)
		return;
	s->reported = state;
	memcpy(s->reported_why, why, sizeof(why));
}

/* --- to Slack --- */

struct delivery {
	struct service *service;
	struct outbox_message *message;
};

static void on_delivered(void *context, const struct client_answer *answer)
{
	struct delivery *d = context;

	outbox_on_answer(&d->service->outbox, d->message, answer, clock_monotonic());
	free(d);
}

static void deliver(void *context, struct outbox_message *m, const char *url, const char *bearer,
	const char *json)
{
	struct service *s = context;
	struct delivery *d = memory_new(sizeof(*d));

	d->service = s;
	d->message = m;
	client_post(s->client, url, bearer, json, on_delivered, d);
}

static void ignore(void *context, const struct client_answer *answer)
{
	(void)context;
	(void)answer;
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
	client_post(s->client, response_url, NULL, json, ignore, NULL);
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
		tell(s, BROKER_DECIDE, &decide, sizeof(decide), c->reason) < 0) {
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
static void expire_asked(struct service *s)
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

static void on_decided(struct service *s, struct slice payload)
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

static unsigned on_request(void *context, const struct receiver_request *request)
{
	struct service *s = context;
	struct callback callback;
	uint64_t now = wall_seconds(), sent;
	int r = signature_check(slice_from_string(s->texts[BROKER_SIGNING_SECRET]),
		request->timestamp, request->signature, request->body, now, &sent);

	if (r < 0 || sent < s->started)
		return 401;
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

/* --- from the monitor --- */

static cJSON *read_review(int fd)
{
	struct buffer text;
	cJSON *review = NULL;

	buffer_init(&text, BROKER_REVIEW_MOST);
	if (file_read_descriptor(fd, &text) == 0 && buffer_length(&text))
		review = cJSON_ParseWithLength(
			(const char *)buffer_slice(&text).data, buffer_length(&text));
	buffer_done(&text);
	return review;
}

static void on_show(struct service *s, struct slice payload, int fd)
{
	struct broker_show show;
	struct card_options options = {.host = s->host, .interactive = s->receiver};
	cJSON *review;

	if (payload.length != sizeof(show) || fd < 0)
		return;
	memcpy(&show, payload.data, sizeof(show));
	review = read_review(fd);
	if (!review) {
		log_error("review %.23s can't be read", show.place.review.text);
		return;
	}
	options.grant = show.grant;
	options.closed = show.closed;
	if (outbox_show(&s->outbox, &show, card_build(review, &options),
		    card_build_outcome(review, &options), clock_monotonic()) < 0)
		on_shown(s, &show.place, BROKER_SHOWN_NOT);
	cJSON_Delete(review);
}

static void on_message(struct service *s, uint32_t type, struct slice payload, int fd)
{
	if (type == BROKER_SHOW)
		on_show(s, payload, fd);
	else if (type == BROKER_DECIDED)
		on_decided(s, payload);
}

/* -EAGAIN: there is none. */
static int receive(struct service *s)
{
	struct control_header header;
	struct buffer payload;
	int fds[CONTROL_DESCRIPTORS_MOST], r;
	size_t count = 0;

	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_receive(s->channel, &header, &payload, fds, &count);
	if (r == 0)
		on_message(s, header.type, buffer_slice(&payload), count ? fds[0] : -1);
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
	buffer_done(&payload);
	return r;
}

/* --- the whole --- */

int service_init(struct service *s, const struct broker_start *start,
	const char *const texts[BROKER_TEXT_COUNT], struct error *e)
{
	const struct outbox_options options = {
		.api_url = texts[BROKER_API_URL],
		.webhook_url = texts[BROKER_WEBHOOK_URL],
		.bot_token = texts[BROKER_BOT_TOKEN],
		.send = deliver,
		.shown = on_shown,
		.context = s,
	};
	int r;

	memset(s, 0, sizeof(*s));
	memcpy(s->texts, texts, sizeof(s->texts));
	s->channel = start->channel;
	s->started = wall_seconds();
	list_init(&s->asked);
	outbox_init(&s->outbox, &options);
	if (gethostname(s->host, sizeof(s->host) - 1) < 0)
		return error_set_errno(e, -errno, "gethostname");
	r = client_new(&s->client, e);
	if (r == 0 && start->listener >= 0)
		r = receiver_new(start->listener, texts[BROKER_CERTIFICATE], texts[BROKER_KEY],
			on_request, s, &s->receiver, e);
	return r;
}

int service_turn(struct service *s)
{
	struct pollfd polled[2] = {{.fd = s->channel}};
	int wait = outbox_wait(&s->outbox, clock_monotonic(), TURN_MOST), r = 0;
	unsigned count = 1;

	if (s->receiver) {
		polled[count++].fd = receiver_descriptor(s->receiver);
		wait = receiver_wait(s->receiver, wait);
	}
	client_turn(s->client, polled, count, wait);
	while (polled[0].revents && r == 0)
		r = receive(s);
	if (s->receiver)
		receiver_turn(s->receiver);
	expire_asked(s);
	outbox_turn(&s->outbox, clock_monotonic());
	report_state(s);
	return r == -EAGAIN ? 0 : r;
}
