/* SPDX-License-Identifier: Apache-2.0
 *
 * blocks: pieces of Slack's Block Kit (https://docs.slack.dev/reference/block-kit), within its
 * limits. Text that is not ours goes into rich text alone: there it is literal, with no markup,
 * entity, mention or link in it.
 */
#ifndef WAYLEAVE_BROKER_BLOCKS_H
#define WAYLEAVE_BROKER_BLOCKS_H

#include <cjson/cJSON.h>

#include "broker/visible.h"

#define BLOCKS_HEADER_MOST 150 /* characters, as below: Slack's published limits */
#define BLOCKS_BUTTON_MOST 75
#define BLOCKS_TITLE_MOST 24
#define BLOCKS_REASON_MOST 500 /* our own, of what a reviewer may write */

/* A block of the type, appended to the list; the list's. */
cJSON *blocks_add(cJSON *list, const char *type);
/* { type: plain_text } with no emoji in it. The caller adds it to something. */
cJSON *blocks_plain_text(const char *text);
cJSON *blocks_add_header(cJSON *list, struct slice text);
cJSON *blocks_add_button(cJSON *elements, const char *action, const char *value, const char *text,
	const char *style);

/* Rich text: a block of it, paragraphs in it, text in those. */
cJSON *blocks_add_rich_text(cJSON *list);
cJSON *blocks_add_paragraph(cJSON *rich_text);
cJSON *blocks_add_preformatted(cJSON *rich_text, struct slice visible);
/* `visible`: as visible.h made it, or of ours. `style`: "bold", "code" or NULL. An empty text is
 * left out: Slack refuses it. */
void blocks_add_text(cJSON *paragraph, struct slice visible, const char *style);
void blocks_add_string(cJSON *paragraph, const char *text, const char *style);
/* In the reader's time zone; `seconds` since the epoch. */
void blocks_add_date(cJSON *paragraph, uint64_t seconds);

/* Adds a member whose value need not end with a NUL. */
void blocks_set_text(cJSON *object, const char *name, struct slice text);

#endif
