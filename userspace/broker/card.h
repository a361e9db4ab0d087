/* SPDX-License-Identifier: Apache-2.0
 *
 * card: a review as the message that Slack shows. What an agent wrote stands in it as literal
 * text, made visible and in blocks of its own, so that it can neither pass for a part of the
 * message nor push the rest out of it.
 */
#ifndef WAYLEAVE_BROKER_CARD_H
#define WAYLEAVE_BROKER_CARD_H

#include <cjson/cJSON.h>

#include "broker/messages.h"

/* Bytes of the JSON of a message's blocks. Slack refuses a message (msg_blocks_too_long) whose
 * blocks have more than some 13,000 characters, and counts more than their text without saying what
 * (https://github.com/slackapi/bolt-js/issues/2509). */
#define CARD_BLOCKS_MOST 13000

struct card_options {
	const char *host; /* the name of this one: a channel may serve several */
	bool interactive; /* clicks reach us */
	uint64_t grant; /* as struct broker_show has it */
	bool closed;
};

/* The members "text" and "blocks" of a message, in a new object of the caller's. `review` is the
 * monitor's JSON of a review (docs/reviews.md); what it has not is left out, and what is long is
 * cut, so that the blocks stay within CARD_BLOCKS_MOST. */
cJSON *card_build(const cJSON *review, const struct card_options *o);
/* The same in one sentence, for where only a second message can tell how a review ended. */
cJSON *card_build_outcome(const cJSON *review, const struct card_options *o);
/* The view that asks why something is denied. `context`: given back with the answer. */
cJSON *card_build_dialog(const struct identifier *review, const char *context);
/* A message that only the person who clicked sees. */
cJSON *card_build_private(const char *sentence);

#endif
