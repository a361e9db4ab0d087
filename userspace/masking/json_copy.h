/* SPDX-License-Identifier: Apache-2.0
 *
 * json_copy: a JSON text as it is appended to a buffer, with parts of it replaced; inside masking/
 * only.
 */
#ifndef WAYLEAVE_MASKING_JSON_COPY_H
#define WAYLEAVE_MASKING_JSON_COPY_H

#include "masking/strategy.h"

struct json_copy {
	struct slice text; /* borrowed, as the buffer is */
	struct buffer *out;
	size_t copied; /* all before has been appended or replaced */
	bool replaced;
};

/* Appends all up to `start` and goes on behind `end`: what the caller appends next stands for what
 * is between. Places never go back. Errors here and below are the buffer's. */
int json_copy_replace(struct json_copy *c, size_t start, size_t end);
/* Appends the rest, where anything was replaced. */
int json_copy_finish(struct json_copy *c);
/* Appends the text as the inside of a string. */
int json_copy_escaped(struct slice text, struct buffer *out);
/* The same with the mask of the text. The strategy is not MASK_NONE or MASK_NULL. */
int json_copy_mask(
	const struct masker *m, enum mask_strategy strategy, struct slice text, struct buffer *out);

#endif
