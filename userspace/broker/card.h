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

struct card_options {
	const char *host; /* the name of this one: a channel may serve several */
	bool interactive; /* clicks reach us */
	uint64_t grant; /* as struct broker_show has it */
	bool closed;
};

/* The members "text" and "blocks" of a message, in a new object of the caller's. `review` is the
 * monitor's JSON of a review (docs/cli.md); what it has not is left out. */
cJSON *card_build(const cJSON *review, const struct card_options *o);
/* The same in one sentence, for where only a second message can tell how a review ended. */
cJSON *card_build_outcome(const cJSON *review, const struct card_options *o);
/* The view that asks why something is denied. `context`: given back with the answer. */
cJSON *card_build_dialog(const struct identifier *review, const char *context);
/* A message that only the person who clicked sees. */
cJSON *card_build_private(const char *sentence);

#endif
