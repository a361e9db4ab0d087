/* SPDX-License-Identifier: Apache-2.0
 *
 * visible: text of an agent's as a reviewer may see it in Slack: nothing in it is unseen, changes
 * the order of what is seen, or pretends to be something else, and what is left out is told.
 */
#ifndef WAYLEAVE_BROKER_VISIBLE_H
#define WAYLEAVE_BROKER_VISIBLE_H

#include "base/buffer.h"

/* How much may be shown: bytes of the result, and lines. */
struct visible_room {
	size_t bytes;
	unsigned lines;
};

/* Appends the beginning of `s`, as far as there is room; the number of bytes of `s` that it
 * covers. Newlines and tabs stay; control characters, what has no width, what looks like a space,
 * and broken UTF-8 become \x00 or \u{200b}. */
size_t visible_head(struct buffer *b, struct slice s, struct visible_room room);
/* The same for the end of `s`. */
size_t visible_tail(struct buffer *b, struct slice s, struct visible_room room);
/* Without newlines, and cut with "…"; the number of bytes of `s` that it covers. */
size_t visible_line(struct buffer *b, struct slice s, size_t bytes);
/* As visible_line(), for texts in which Slack looks for links and mentions
 * (https://docs.slack.dev/messaging/formatting-message-text): with &, < and > as entities, which
 * are not counted. */
void visible_escaped(struct buffer *b, struct slice s, size_t bytes);

#endif
