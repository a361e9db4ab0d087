/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/memory.h"
#include "broker/outbox.h"

#define S NANOSECONDS_PER_SECOND

/* The last request, and how many there were. */
static struct outbox_message *in_flight[OUTBOX_IN_FLIGHT_MOST + 1];
static unsigned requests, flying, shown, closed, offered_again;
static char last_url[200], last_json[1000];
static char sent_by[100]; /* the first letter of each request's agent */
static uint64_t now = 1000 * S;
static struct outbox box;

static void send(void *context, struct outbox_message *m, const char *url, const char *bearer,
	const char *json)
{
	(void)context;
	(void)bearer;
	cr_assert_lt(flying, ARRAY_SIZE(in_flight));
	in_flight[flying++] = m;
	if (strstr(json, "\"agent\":\"") && requests < sizeof(sent_by) - 1)
		sent_by[requests] = strstr(json, "\"agent\":\"")[strlen("\"agent\":\"")];
	requests++;
	snprintf(last_url, sizeof(last_url), "%s", url);
	snprintf(last_json, sizeof(last_json), "%s", json);
}

static void on_shown(void *context, const struct broker_place *place, enum broker_shown_state state)
{
	(void)context;
	(void)place;
	shown++;
	closed += state == BROKER_SHOWN_CLOSED;
	offered_again += state == BROKER_SHOWN_NOT;
}

static struct outbox_state state_of_box(void)
{
	struct outbox_state state;

	outbox_get_state(&box, &state);
	return state;
}

static void start(const char *token)
{
	const struct outbox_options options = {.api_url = "https://api",
		.webhook_url = "https://hook",
		.bot_token = token,
		.send = send,
		.shown = on_shown};

	outbox_init(&box, &options);
}

static int show_of(const char *agent, unsigned number, bool is_closed, enum broker_posted posted)
{
	struct broker_show s = {.closed = is_closed, .posted = posted};
	cJSON *card = cJSON_CreateObject(), *outcome = cJSON_CreateObject();

	snprintf(s.place.review.text, sizeof(s.place.review.text), "r-%04u", number);
	snprintf(s.place.channel, sizeof(s.place.channel), "C1");
	cJSON_AddStringToObject(card, "text", is_closed ? "closed card" : "card");
	cJSON_AddStringToObject(card, "agent", agent);
	cJSON_AddStringToObject(outcome, "text", "outcome");
	return outbox_show(&box, &s, agent, card, outcome, now);
}

static int show_posted(unsigned number, bool is_closed, enum broker_posted posted)
{
	return show_of("bot", number, is_closed, posted);
}

static int show(unsigned number, bool is_closed)
{
	return show_posted(number, is_closed, BROKER_NOT_POSTED);
}

/* The oldest request is answered so. */
static void answer(unsigned status, const char *body, uint64_t retry_after)
{
	const struct client_answer a = {.status = status,
		.body = slice_from_string(body),
		.problem = status ? NULL : "cut off",
		.retry_after = retry_after};
	struct outbox_message *m = in_flight[0];

	cr_assert_gt(flying, 0);
	memmove(in_flight, in_flight + 1, --flying * sizeof(in_flight[0]));
	outbox_on_answer(&box, m, &a, now);
}

static void turn(uint64_t seconds)
{
	now += seconds * S;
	outbox_turn(&box, now);
}

#define OK "{\"ok\":true,\"ts\":\"1.2\"}"

Test(broker_outbox, updates_are_gathered)
{
	start("token");
	show(1, false);
	turn(0);
	cr_assert_str_eq(last_url, "https://api/chat.postMessage");
	for (unsigned i = 0; i < 100; i++)
		show(1, false);
	turn(0);
	cr_assert_eq(requests, 1, "one at a time");
	answer(200, OK, 0);
	turn(0);
	cr_assert_eq(requests, 1, "not at once");
	turn(OUTBOX_UPDATE_GAP);
	cr_assert_eq(requests, 2);
	cr_assert_str_eq(last_url, "https://api/chat.update");
	cr_assert(strstr(last_json, "\"ts\":\"1.2\""));
	answer(200, OK, 0);
	turn(100);
	cr_assert_eq(requests, 2);
	cr_assert_eq(state_of_box().waiting, 0);
	/* How it ended waits for nothing. */
	show(1, true);
	turn(0);
	cr_assert_eq(requests, 3);
	answer(200, OK, 0);
	cr_assert_eq(closed, 1);
	cr_assert_eq(box.count, 0);
	outbox_done(&box);
}

Test(broker_outbox, retries_later_and_later)
{
	uint64_t expected[] = {1, 2, 4, 8, 16, 32, 60, 60};

	start("token");
	show(1, false);
	turn(0);
	for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
		answer(i % 2 ? 500 : 0, "", 0);
		cr_assert(state_of_box().since);
		now += expected[i] * S - 1;
		outbox_turn(&box, now);
		cr_assert_eq(flying, 0, "%zu", i);
		cr_assert_leq(outbox_wait(&box, now, 1000), 1);
		now += 1;
		outbox_turn(&box, now);
		cr_assert_eq(flying, 1, "%zu", i);
	}
	answer(200, OK, 0);
	cr_assert_eq(state_of_box().since, 0);
	outbox_done(&box);
}

Test(broker_outbox, limits_hold_all)
{
	start("token");
	show(1, false);
	show(2, false);
	turn(0);
	cr_assert_eq(flying, 2);
	answer(429, "", 17);
	answer(200, OK, 0);
	show(3, false);
	turn(16);
	cr_assert_eq(flying, 0);
	turn(1);
	cr_assert_eq(flying, 2);
	answer(200, "{\"ok\":false,\"error\":\"ratelimited\"}", 1 << 30);
	turn(OUTBOX_HOLD_MOST);
	cr_assert_eq(flying, 2, "not for ever");
	outbox_done(&box);
}

Test(broker_outbox, never_shown_and_over)
{
	start("token");
	show(1, false);
	show(1, true);
	cr_assert_eq(closed, 1);
	turn(0);
	cr_assert_eq(requests, 0);
	/* Refused for certain. */
	show(2, false);
	turn(0);
	show(2, true);
	answer(429, "", 1);
	cr_assert_eq(closed, 2);
	/* Nobody knows whether it was. */
	show(3, false);
	turn(1);
	answer(0, "", 0);
	show(3, true);
	turn(1);
	cr_assert(strstr(last_json, "closed card"));
	cr_assert_str_eq(last_url, "https://api/chat.postMessage");
	answer(200, OK, 0);
	cr_assert_eq(closed, 3);
	cr_assert_eq(box.count, 0);
	outbox_done(&box);
}

Test(broker_outbox, webhook)
{
	start("");
	show(1, false);
	turn(0);
	answer(503, "", 0);
	turn(1);
	cr_assert(strstr(last_json, "\"card\""), "the first is still to be shown");
	answer(200, "ok", 0);
	show(1, false);
	turn(100);
	cr_assert_eq(requests, 2, "it can't be changed");
	show(1, true);
	turn(0);
	cr_assert(strstr(last_json, "outcome"));
	cr_assert_str_eq(last_url, "https://hook");
	answer(200, "ok", 0);
	cr_assert_eq(closed, 1);
	outbox_done(&box);
}

Test(broker_outbox, response_url)
{
	struct identifier review = {"r-0001"};

	start("");
	show(1, false);
	turn(0);
	answer(200, "ok", 0);
	outbox_on_click(&box, &review, "https://hooks.slack.com/1", now);
	show(1, true);
	turn(0);
	cr_assert_str_eq(last_url, "https://hooks.slack.com/1");
	cr_assert(
		strstr(last_json, "\"replace_original\":true") && strstr(last_json, "closed card"));
	/* Used up: as if nobody had clicked. */
	answer(404, "used_url", 0);
	turn(OUTBOX_REFUSED_RETRY);
	cr_assert_str_eq(last_url, "https://hook");
	cr_assert(strstr(last_json, "outcome"));
	answer(200, "ok", 0);
	cr_assert_eq(closed, 1);
	outbox_done(&box);
}

/* Half an hour after the click Slack takes it no more. */
Test(broker_outbox, response_url_in_time)
{
	struct identifier review = {"r-0001"};

	start("");
	show(1, false);
	turn(0);
	answer(200, "ok", 0);
	outbox_on_click(&box, &review, "https://hooks.slack.com/1", now);
	turn(OUTBOX_URL_TIME);
	show(1, true);
	turn(0);
	cr_assert_str_eq(last_url, "https://hook");
	cr_assert(strstr(last_json, "outcome"));
	answer(200, "ok", 0);
	cr_assert_eq(closed, 1);
	outbox_done(&box);
}

/* What became of its grant is told behind the outcome, by a broker that may be another one. */
Test(broker_outbox, an_outcome_changes)
{
	start("");
	show_posted(1, true, BROKER_POSTED_OUTCOME);
	turn(0);
	cr_assert_eq(requests, 1);
	cr_assert_str_eq(last_url, "https://hook");
	cr_assert(strstr(last_json, "outcome"));
	answer(200, "ok", 0);
	cr_assert_eq(closed, 1);
	cr_assert_eq(box.count, 0);
	outbox_done(&box);
}

Test(broker_outbox, room)
{
	start("token");
	for (unsigned i = 0; i < OUTBOX_MOST; i++)
		cr_assert_eq(show(i, false), 0);
	cr_assert_eq(show(OUTBOX_MOST, false), -ENOSPC);
	turn(0);
	cr_assert_eq(flying, OUTBOX_IN_FLIGHT_MOST);
	/* An outcome that can't be told gives way. */
	answer(0, "", 0);
	show(0, true);
	cr_assert_eq(show(OUTBOX_MOST, false), 0);
	cr_assert_eq(closed, 1);
	outbox_done(&box);
}

/* One that fails for ever hides neither that others are taken, nor that they fail too. */
Test(broker_outbox, each_fails_for_itself)
{
	struct outbox_state state;

	start("token");
	show(1, false);
	show(2, false);
	turn(0);
	answer(200, "{\"ok\":false,\"error\":\"msg_blocks_too_long\"}", 0);
	answer(200, OK, 0);
	state = state_of_box();
	cr_assert(state.failing == 1 && state.waiting == 1 && state.since);
	cr_assert_str_eq(state.place->review.text, "r-0001");
	cr_assert(strstr(state.why, "msg_blocks_too_long"));
	show(3, false);
	show(4, false);
	turn(0);
	answer(500, "", 0);
	state = state_of_box();
	cr_assert(state.failing == 2 && state.waiting == 3);
	cr_assert_str_eq(state.place->review.text, "r-0001", "the first is still it");
	answer(200, OK, 0);
	turn(OUTBOX_REFUSED_RETRY);
	answer(200, OK, 0);
	state = state_of_box();
	cr_assert(state.failing == 1 && strstr(state.why, "500"));
	cr_assert_str_eq(state.place->review.text, "r-0003");
	answer(200, OK, 0);
	cr_assert_eq(state_of_box().place, NULL);
	outbox_done(&box);
}

/* What Slack shows as it should be takes no room of what waits. */
Test(broker_outbox, room_for_what_waits)
{
	start("token");
	show(OUTBOX_MOST, false);
	turn(0);
	answer(200, OK, 0);
	for (unsigned i = 0; i < OUTBOX_MOST; i++)
		cr_assert_eq(show(i, false), 0);
	cr_assert_eq(state_of_box().waiting, OUTBOX_MOST);
	cr_assert_eq(closed, 0, "it is not over");
	cr_assert_eq(show(OUTBOX_MOST + 1, false), -ENOSPC);
	outbox_done(&box);
}

Test(broker_outbox, outcomes_are_not_tried_for_ever)
{
	start("token");
	show(1, false);
	turn(0);
	answer(200, OK, 0);
	show(1, true);
	turn(0);
	answer(200, "{\"ok\":false,\"error\":\"channel_not_found\"}", 0);
	cr_assert(strstr(state_of_box().why, "channel_not_found"));
	turn(OUTBOX_REFUSED_RETRY);
	answer(500, "", 0);
	turn(OUTBOX_CLOSED_TIME);
	cr_assert_eq(closed, 1);
	cr_assert_eq(flying, 0);
	outbox_done(&box);
}

/* Slack lets few pass: who asks for little comes behind one of each other agent, not behind all. */
Test(broker_outbox, agents_take_turns)
{
	start("token");
	box.hold_until = now + 30 * S;
	for (unsigned i = 0; i < 20; i++)
		show_of("flood", i, false, BROKER_NOT_POSTED);
	show_of("calm", 100, false, BROKER_NOT_POSTED);
	show_of("calm", 101, false, BROKER_NOT_POSTED);
	show_of("third", 102, false, BROKER_NOT_POSTED);
	turn(30);
	cr_assert_eq(flying, OUTBOX_IN_FLIGHT_MOST);
	cr_assert_str_eq(sent_by, "fctfcfff");
	/* One that comes later does not wait for the rest of them, either. */
	show_of("late", 103, false, BROKER_NOT_POSTED);
	answer(200, OK, 0);
	turn(0);
	cr_assert_str_eq(sent_by, "fctfcfffl");
	outbox_done(&box);
}

/* Nor does one agent take all the room, whatever it asks for. */
Test(broker_outbox, agents_have_equal_room)
{
	start("token");
	for (unsigned i = 0; i < OUTBOX_MOST; i++)
		cr_assert_eq(show_of("flood", i, false, BROKER_NOT_POSTED), 0);
	turn(0);
	cr_assert_eq(show_of("flood", 5000, false, BROKER_NOT_POSTED), -ENOSPC);
	cr_assert_eq(offered_again, 0);
	for (unsigned i = 0; i < OUTBOX_MOST / 2; i++)
		cr_assert_eq(show_of("calm", 6000 + i, false, BROKER_NOT_POSTED), 0, "%u", i);
	cr_assert_eq(offered_again, OUTBOX_MOST / 2);
	cr_assert_eq(box.count, OUTBOX_MOST);
	/* Else the two would put each other out for ever. */
	cr_assert_eq(show_of("calm", 7000, false, BROKER_NOT_POSTED), -ENOSPC);
	cr_assert_eq(show_of("flood", 7001, false, BROKER_NOT_POSTED), -ENOSPC);
	/* Outcomes that can't be told give way first, of who has the most. */
	show_of("calm", 6000, true, BROKER_PERHAPS_POSTED);
	cr_assert_eq(closed, 1, "nobody has seen it");
	cr_assert_eq(show_of("third", 8000, false, BROKER_NOT_POSTED), 0);
	cr_assert_eq(show_of("third", 8001, false, BROKER_NOT_POSTED), 0);
	cr_assert_eq(offered_again, OUTBOX_MOST / 2 + 1);
	cr_assert_eq(closed, 1);
	outbox_done(&box);
}
