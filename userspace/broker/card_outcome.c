/* SPDX-License-Identifier: Apache-2.0
 *
 * card_outcome: what came of a review.
 */
#include <stdio.h>

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

/* "Grant g-81TA until …", "Grant g-81TA revoked by ann, …" */
static void add_grant(const struct card *c, cJSON *rich_text)
{
	struct slice grant = card_get_text(c->review, "grant"),
		     by = card_get_text(c->review, "grant_revoked_by");
	uint64_t end = card_get_seconds(c->review, "grant_end");
	cJSON *paragraph;

	if (grant.length == 0)
		return;
	paragraph = blocks_add_paragraph(rich_text);
	blocks_add_string(paragraph, "Grant ", NULL);
	card_add_value(c, paragraph, grant, "code");
	if (by.length) {
		blocks_add_string(paragraph, " revoked by ", NULL);
		card_add_value(c, paragraph, by, NULL);
	}
	if (end) {
		blocks_add_string(paragraph, by.length ? ", " : " until ", NULL);
		blocks_add_date(paragraph, end);
	}
}

/* Whoever approved takes all others for done. */
static void add_lost(const struct card *c, cJSON *rich_text)
{
	unsigned unused = 0, unknown = 0;
	const cJSON *item;
	char text[160];

	cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(c->review, "sessions"))
	{
		const cJSON *ran = cJSON_GetObjectItemCaseSensitive(item, "ran");

		unused += cJSON_IsFalse(ran) != 0;
		unknown += cJSON_IsNull(ran) != 0;
	}
	snprintf(text, sizeof(text), "The approval was not used by %u of the sessions.", unused);
	if (unused)
		blocks_add_string(blocks_add_paragraph(rich_text), text, NULL);
	snprintf(text, sizeof(text), "It is not known whether it ran in %u of the sessions.",
		unknown);
	if (unknown)
		blocks_add_string(blocks_add_paragraph(rich_text), text, NULL);
}

void card_add_outcome(const struct card *c)
{
	cJSON *rich_text = blocks_add_rich_text(c->blocks);

	add_words(c, blocks_add_paragraph(rich_text));
	add_grant(c, rich_text);
	add_lost(c, rich_text);
}

cJSON *card_build_outcome(const cJSON *review, const struct card_options *o)
{
	cJSON *message = cJSON_CreateObject(), *rich_text, *paragraph;
	const struct card card = {.review = review, .options = o, .percent = 100}, *c = &card;

	card_add_fallback(message, review, o);
	rich_text = blocks_add_rich_text(cJSON_AddArrayToObject(message, "blocks"));
	paragraph = blocks_add_paragraph(rich_text);
	blocks_add_string(paragraph, "Review ", NULL);
	card_add_value(c, paragraph, card_get_text(review, "id"), "code");
	blocks_add_string(paragraph, " of ", NULL);
	card_add_value(c, paragraph, card_get_text(review, "agent"), "code");
	blocks_add_string(paragraph, " on ", NULL);
	card_add_value(c, paragraph, card_get_text(review, "resource"), "code");
	blocks_add_string(paragraph, ": ", NULL);
	add_words(c, paragraph);
	add_grant(c, rich_text);
	add_lost(c, rich_text);
	return message;
}
