/* SPDX-License-Identifier: Apache-2.0
 *
 * card_internal: what the files that make cards share.
 */
#ifndef WAYLEAVE_BROKER_CARD_INTERNAL_H
#define WAYLEAVE_BROKER_CARD_INTERNAL_H

#include "broker/blocks.h"
#include "broker/card.h"

#define CARD_VALUE_MOST 300 /* bytes of one value */
#define CARD_VALUE_LEAST 64 /* a digest is never cut */
#define CARD_TEXT_MOST 8192 /* bytes of anything that is put together */

/* One that is being made. */
struct card {
	const cJSON *review;
	const struct card_options *options;
	cJSON *blocks;
	unsigned percent; /* of the room that texts have in a card that is not full */
};

/* Members of a review; what is absent is NULL, empty or 0. Slices belong to the object. */
const cJSON *card_get(const cJSON *object, const char *name);
struct slice card_get_text(const cJSON *object, const char *name);
uint64_t card_get_number(const cJSON *object, const char *name);
/* Of an RFC 3339 time in UTC. */
uint64_t card_get_seconds(const cJSON *object, const char *name);

size_t card_scale(const struct card *c, size_t bytes);
/* A value of anybody's, on one line; `style` as blocks.h has it. */
void card_add_value(const struct card *c, cJSON *paragraph, struct slice value, const char *style);
/* `format` has one %lu. */
void card_add_number(cJSON *paragraph, const char *format, uint64_t number);

/* The member "text" of a message: for notifications and where blocks aren't shown. */
void card_add_fallback(cJSON *message, const cJSON *review, const struct card_options *o);

/* card_outcome.c: a block that says how it ended. */
void card_add_outcome(const struct card *c);

/* card_statement.c: blocks with the text, the parameters, the impact and the settings. */
void card_add_statement(const struct card *c);
void card_add_parameters(const struct card *c);
void card_add_impact(const struct card *c);

#endif
