/* SPDX-License-Identifier: Apache-2.0
 *
 * copy_stream: masks what COPY … TO STDOUT sends, in text, CSV and binary (PostgreSQL manual, COPY,
 * "File Formats"). Bytes go in as CopyData brings them, in any split; rows come out one by one, as
 * the server sends one per CopyData and some drivers rely on it.
 *
 * The data is UTF-8 or of an encoding with one byte per character; others must be refused before.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_COPY_STREAM_H
#define WAYLEAVE_PROTOCOL_POSTGRES_COPY_STREAM_H

#include "protocol/postgres/value.h"
#include "protocol/sql/statement.h"

struct copy_stream;

/* Takes the rows: the body of one CopyData each, valid during the call. 0 or negative errno. */
struct copy_sink {
	int (*row)(struct copy_sink *sink, struct slice body);
};

struct copy_counts {
	uint64_t rows; /* without the header */
	uint64_t masked_values; /* replaced or made NULL */
};

/* `count` is that of CopyOutResponse; types and fields may be unknown (value.h). The columns'
 * formats don't matter. Options and columns are copied, but what `masker` and `columns[].fields`
 * point to is borrowed. */
struct copy_stream *copy_stream_new(const struct masker *masker, const struct sql_copy *options,
	const struct value_column *columns, size_t count);
void copy_stream_free(struct copy_stream *s); /* takes NULL */

/* Takes all bytes; gives each row that is complete to the sink. Many rows at once are searched
 * together, which is several times faster than row by row. At most one row is held; a field beyond
 * LIMIT_CELL_JUDGED, or the field with which a row grows beyond four times that, becomes NULL.
 * -EBADMSG: not what the options and columns say, as another number of fields in a row; errors of
 * value_mask() and of the sink. */
int copy_stream_feed(struct copy_stream *s, struct slice bytes, struct copy_sink *sink);
/* At CopyDone: -EBADMSG where the data ended within a row, or binary data without its trailer. */
int copy_stream_finish(struct copy_stream *s);
const struct copy_counts *copy_stream_counts(const struct copy_stream *s);

#endif
