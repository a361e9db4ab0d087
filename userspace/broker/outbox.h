/* SPDX-License-Identifier: Apache-2.0
 *
 * outbox: what Slack shows against what it should show. For every place of a review (a message in a
 * channel) it keeps the newest content alone and at most one request under way, so that neither a
 * slow Slack nor an agent that asks a lot makes a queue grow. What fails is tried again, later and
 * later. Agents take turns: what one of them asks for waits for its own messages before it, and for
 * one of each other agent.
 *
 * It has no clock and no sockets: time comes with each call, requests go through `send`.
 */
#ifndef WAYLEAVE_BROKER_OUTBOX_H
#define WAYLEAVE_BROKER_OUTBOX_H

#include <cjson/cJSON.h>

#include "base/list.h"
#include "broker/client.h"
#include "broker/messages.h"

#define OUTBOX_MOST 1024 /* messages that wait */
#define OUTBOX_IN_FLIGHT_MOST 8
#define OUTBOX_UPDATE_GAP 5 /* seconds between updates of an open review */
#define OUTBOX_RETRY_MOST 60 /* seconds */
#define OUTBOX_REFUSED_RETRY 30 /* seconds before what Slack refused is tried again */
#define OUTBOX_HOLD_MOST 600 /* seconds: the longest Retry-After that is believed */
#define OUTBOX_CLOSED_TIME (24 * 3600) /* seconds for which an outcome is tried */
#define OUTBOX_URL_TIME (29 * 60) /* seconds for which Slack takes a response_url */

struct outbox_message;

struct outbox_options {
	const char *api_url, *webhook_url, *bot_token; /* the last two may be empty */
	/* Sends and later calls outbox_on_answer(); `bearer` may be empty. */
	void (*send)(void *context, struct outbox_message *m, const char *url, const char *bearer,
		const char *json);
	void (*shown)(
		void *context, const struct broker_place *place, enum broker_shown_state state);
	void *context;
};

struct outbox {
	struct outbox_options options;
	struct list messages;
	struct list senders; /* agents of messages */
	unsigned count, in_flight;
	uint64_t turns; /* grows with each request */
	uint64_t hold_until; /* monotonic: Slack wants no requests before */
};

/* Of messages: a channel that is gone says nothing about the others. */
struct outbox_state {
	unsigned waiting; /* Slack does not show them as they should be */
	unsigned failing; /* and has refused to, or not answered */
	/* Of that which has failed for the longest time. */
	const struct broker_place *place; /* NULL: nothing fails */
	uint64_t since; /* wall clock */
	const char *why;
};

/* What Slack is to show, of a review of `agent`: takes `card` and `outcome` (card.h; the latter is
 * for closed reviews). Where there is no room, what Slack shows as it should be is forgotten: if it
 * changes, that comes with its place; or one gives way that waits, of the agent with the most.
 * -ENOSPC: all the others still wait, and no agent has more than this one. */
int outbox_show(struct outbox *o, const struct broker_show *show, const char *agent, cJSON *card,
	cJSON *outcome, uint64_t now);
/* A click on the review came with this URL, by which its message can be replaced for a while. */
void outbox_on_click(
	struct outbox *o, const struct identifier *review, const char *response_url, uint64_t now);
void outbox_on_answer(struct outbox *o, struct outbox_message *m,
	const struct client_answer *answer, uint64_t now);
/* Sends what is due at `now` (monotonic). */
void outbox_turn(struct outbox *o, uint64_t now);
/* Milliseconds until the next thing is due, at most `most`. */
int outbox_wait(const struct outbox *o, uint64_t now, int most);

void outbox_init(struct outbox *o, const struct outbox_options *options);
void outbox_done(struct outbox *o);
/* Valid until the next call of any of these. */
void outbox_get_state(const struct outbox *o, struct outbox_state *ret);

#endif
