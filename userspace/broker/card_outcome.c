/* SPDX-License-Identifier: Apache-2.0
 *
 * card_outcome: what came of a review.
 */
#include "broker/card_internal.h"

/* "Denied by ann at …: not today" */
static void add_words(const struct card *c, cJSON *paragraph)
{
	const cJSON *review = c->review;
	struct slice by = card_get_text(review, "decided_by"),
		     reason = card_get_text(review, "reason");
	uint64_t when = card_get_seconds(review, "decided");

	card_add_value(c, paragraph, card_get_text(review, "state"), "bold");
	if (by.length) {
		blocks_add_string(paragraph, " by ", NULL);
		card_add_value(c, paragraph, by, NULL);
	}
	if (when) {
		blocks_add_string(paragraph, ", ", NULL);
		blocks_add_date(paragraph, when);
	}
	if (reason.length) {
		blocks_add_string(paragraph, ": ", NULL);
		card_add_value(c, paragraph, reason, NULL);
	}
}

void card_add_outcome(const struct card *c)
{
	add_words(c, blocks_add_paragraph(blocks_add_rich_text(c->blocks)));
}

cJSON *card_build_outcome(const cJSON *review, const struct card_options *o)
{
	cJSON *message = cJSON_CreateObject(), *paragraph;
	const struct card card = {.review = review, .options = o, .percent = 100}, *c = &card;

	card_add_fallback(message, review, o);
	paragraph = blocks_add_paragraph(
		blocks_add_rich_text(cJSON_AddArrayToObject(message, "blocks")));
	blocks_add_string(paragraph, "Review ", NULL);
	card_add_value(c, paragraph, card_get_text(review, "id"), "code");
	blocks_add_string(paragraph, " of ", NULL);
	card_add_value(c, paragraph, card_get_text(review, "agent"), "code");
	blocks_add_string(paragraph, " on ", NULL);
	card_add_value(c, paragraph, card_get_text(review, "resource"), "code");
	blocks_add_string(paragraph, ": ", NULL);
	add_words(c, paragraph);
	return message;
}
