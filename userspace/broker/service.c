/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/service.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "broker/card.h"
#include "broker/clicks.h"
#include "broker/tell.h"
#include "monitor/control.h"

#define TURN_MOST 1000 /* milliseconds */

/* --- telling the monitor --- */

int service_tell(struct service *s, enum broker_message type, const void *head, size_t length,
	const char *text)
{
	return tell_monitor(s->channel, type, head, length, slice_from_string(text));
}

/* The monitor would never know of a message that is there; so it is waited for, which never waits
 * for us. */
static void on_shown(void *context, const struct broker_place *place, enum broker_shown_state state)
{
	const struct broker_shown shown = {.place = *place, .state = state};
	struct service *s = context;
	struct pollfd room = {.fd = s->channel, .events = POLLOUT};

	while (service_tell(s, BROKER_SHOWN, &shown, sizeof(shown), "") == -EAGAIN &&
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
	if (service_tell(s, BROKER_STATE, &state, sizeof(state), why) < 0)
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
	const char *agent;
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
	agent = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(review, "agent"));
	if (outbox_show(&s->outbox, &show, agent ? agent : "", card_build(review, &options),
		    card_build_outcome(review, &options), clock_monotonic()) < 0)
		on_shown(s, &show.place, BROKER_SHOWN_NOT);
	cJSON_Delete(review);
}

static void on_message(struct service *s, uint32_t type, struct slice payload, int fd)
{
	if (type == BROKER_SHOW)
		on_show(s, payload, fd);
	else if (type == BROKER_DECIDED)
		clicks_on_decided(s, payload);
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
	s->started = clock_monotonic();
	list_init(&s->asked);
	outbox_init(&s->outbox, &options);
	if (gethostname(s->host, sizeof(s->host) - 1) < 0)
		return error_set_errno(e, -errno, "gethostname");
	r = client_new(&s->client, e);
	if (r == 0 && start->listener >= 0)
		r = receiver_new(start->listener, texts[BROKER_CERTIFICATE], texts[BROKER_KEY],
			clicks_on_request, s, &s->receiver, e);
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
	clicks_expire(s);
	outbox_turn(&s->outbox, clock_monotonic());
	report_state(s);
	return r == -EAGAIN ? 0 : r;
}
