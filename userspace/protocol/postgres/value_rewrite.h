/* SPDX-License-Identifier: Apache-2.0
 *
 * value_rewrite: a value made of parts, of which some are replaced, inside
 * protocol/postgres/value*.c only.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_VALUE_REWRITE_H
#define WAYLEAVE_PROTOCOL_POSTGRES_VALUE_REWRITE_H

#include "protocol/postgres/value_kind.h"

struct value_rewrite {
	const struct value_job *job;
	size_t copied; /* what stands before in the value has been appended or replaced */
	bool changed;
	struct buffer meaning; /* of the part at hand, where it is escaped */
	struct buffer mask; /* of the part at hand */
};

void value_rewrite_init(struct value_rewrite *w, const struct value_job *job);
void value_rewrite_done(struct value_rewrite *w);
/* Appends what stands before `start`, and goes on at `end`. */
int value_rewrite_skip(struct value_rewrite *w, size_t start, size_t end);
/* Appends the rest; the outcome for the whole value. */
int value_rewrite_finish(struct value_rewrite *w);

/* How a form of text writes a part that is replaced. */
struct value_quoting {
	const char *null; /* what stands for NULL */
	char quote_escape; /* what stands before a quote within quotes */
};
/* Masks the part whose text is [start, end), quotes included, and which means `meaning`. */
int value_rewrite_text(struct value_rewrite *w, const struct value_column *column, size_t start,
	size_t end, const struct mask_source *meaning, const struct value_quoting *quoting);
/* Masks a part in binary format: a length at `start` and as many bytes. */
int value_rewrite_binary(struct value_rewrite *w, const struct value_column *column, size_t start,
	struct slice part);

#endif
