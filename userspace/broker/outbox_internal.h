/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the outbox share: its messages, and the agents whose reviews they show.
 */
#ifndef WAYLEAVE_BROKER_OUTBOX_INTERNAL_H
#define WAYLEAVE_BROKER_OUTBOX_INTERNAL_H

#include "broker/callback.h"
#include "broker/outbox.h"

struct sender;

struct outbox_message {
	struct list link;
	struct sender *sender;
	struct broker_place place;
	cJSON *card, *outcome;
	bool closed;
	bool posted; /* Slack shows it */
	bool unsure; /* or may show it: a request went unanswered */
	bool waiting; /* what Slack shows is not the newest */
	bool in_flight, changed; /* since the request that is under way was made */
	unsigned failures; /* in a row */
	uint64_t failing_since; /* wall clock; 0: they are none */
	char why[256];
	uint64_t due; /* monotonic */
	uint64_t closed_at, url_until;
	char response_url[CALLBACK_URL_SIZE];
	bool used_url; /* by the request that is under way */
};

/* Takes both. */
void outbox_set_content(struct outbox_message *m, cJSON *card, cJSON *outcome);
/* Nothing is left to be done about it, which the monitor is told; `m` is freed. */
void outbox_finish(struct outbox *o, struct outbox_message *m);

/* --- outbox_room.c: agents have equal parts, of the room and of the turns --- */

/* A message of that agent, at the end of the list; NULL: there is no room. */
struct outbox_message *outbox_add(struct outbox *o, const char *agent);
/* Out of the list, and freed. */
void outbox_forget(struct outbox *o, struct outbox_message *m);
/* What is to be sent next; NULL: nothing is due. */
struct outbox_message *outbox_find_next(struct outbox *o, uint64_t now);
/* It is being sent. */
void outbox_take_turn(struct outbox *o, struct outbox_message *m);

#endif
