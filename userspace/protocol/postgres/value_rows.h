/* SPDX-License-Identifier: Apache-2.0
 *
 * value_rows: masks runs of DataRow messages. Most rows are passed as they are: the run is searched
 * as a whole, and only values in which something could stand, or whose column is masked, are
 * looked at.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_VALUE_ROWS_H
#define WAYLEAVE_PROTOCOL_POSTGRES_VALUE_ROWS_H

#include "protocol/postgres/value.h"

/* How the rows of one result are masked. */
struct value_rows {
	struct masker masker;
	const struct value_column *columns; /* borrowed */
	size_t count;
	uint8_t *looks; /* enum value_look, per column */
	bool searches; /* some column asks for the index */
	struct detector_index index;
	struct buffer value; /* the one being masked */
};

struct value_rows_result {
	uint64_t rows;
	uint64_t masked_values; /* replaced or made NULL */
};

/* The masker is copied; `columns`, and what the masker borrows, must outlive the plan. */
void value_rows_init(struct value_rows *r, const struct masker *masker,
	const struct value_column *columns, size_t count);
void value_rows_done(struct value_rows *r);

/* Masks a run of complete DataRow messages (type, length, body each), of any length. Returns 0
 * where all of them may be passed on as they are (nothing was appended), 1 where what was appended
 * to `out` is to be passed on in the run's place. -EBADMSG: not a run of such messages, or not of
 * these columns; other errors of value_mask(). Values longer than LIMIT_CELL_JUDGED that must be
 * looked at become NULL. `out` must have room for what the run grows to. The result is counted up.
 */
int value_rows_mask(struct value_rows *r, struct slice run, struct buffer *out,
	struct value_rows_result *result);

#endif
