/* SPDX-License-Identifier: Apache-2.0
 *
 * json_plain_text: bytes and characters of JSON, one at a time, for json_plain alone.
 */
#ifndef WAYLEAVE_TESTS_JSON_PLAIN_TEXT_H
#define WAYLEAVE_TESTS_JSON_PLAIN_TEXT_H

#include "masking/strategy.h"

/* A test that runs out of memory says nothing: it ends. */
void plain_add(struct buffer *b, const void *data, size_t length);
/* -1: the text ends before. */
int plain_byte_at(struct slice s, size_t at);
bool plain_is_one_of(int c, const char *bytes);
/* Behind the blanks at `at`; bytes of a byte order mark in front. */
size_t plain_blanks(struct slice s, size_t at);
size_t plain_byte_order_mark(struct slice s);
/* One character of a string that is no quote: appends what it means, returns how many bytes it is
 * written with; 0: it may not stand there. Only where not strict half of a pair is a character, and
 * any byte itself. */
size_t plain_character(struct slice s, size_t at, bool strict, struct buffer *meaning);
/* The mask of the text as the inside of a string. */
void plain_add_mask(
	const struct masker *m, enum mask_strategy strategy, struct slice text, struct buffer *out);

#endif
