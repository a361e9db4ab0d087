/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_copy: any bytes as COPY data of any format, and as a run of DataRows. Beyond memory errors
 * it checks that the same comes out however the bytes are split, and that data which no mask
 * changes passes as it is.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/postgres/copy_stream.h"
#include "protocol/postgres/value_rows.h"
#include "tests/fuzz/masking_tools.h"

struct collector {
	struct copy_sink sink;
	struct buffer rows;
};

static int collect(struct copy_sink *sink, struct slice body)
{
	struct collector *c = container_of(sink, struct collector, sink);

	return buffer_append_slice(&c->rows, body);
}

/* The error, or 0; what came out in c->rows. `masked`: how many values changed. */
static int run(const struct masker *m, const struct sql_copy *options,
	const struct value_column *columns, size_t count, struct slice data, size_t piece,
	struct collector *c, uint64_t *masked)
{
	struct copy_stream *s = copy_stream_new(m, options, columns, count);
	int r = 0;

	CHECK(s);
	buffer_clear(&c->rows);
	for (size_t at = 0; at < data.length && r == 0; at += piece)
		r = copy_stream_feed(s, slice_head(slice_from(data, at), piece), &c->sink);
	if (r == 0)
		r = copy_stream_finish(s);
	*masked = copy_stream_counts(s)->masked_values;
	copy_stream_free(s);
	return r;
}

static void check_copy(const struct masker *m, const struct sql_copy *options,
	const struct value_column *columns, size_t count, struct slice data, size_t piece)
{
	struct collector once = {.sink.row = collect}, split = {.sink.row = collect};
	uint64_t masked, again;
	int r;

	buffer_init(&once.rows, 1 << 24);
	buffer_init(&split.rows, 1 << 24);
	r = run(m, options, columns, count, data, data.length + 1, &once, &masked);
	CHECK(r == run(m, options, columns, count, data, piece, &split, &again));
	if (r == 0) {
		CHECK(slice_equal(buffer_slice(&once.rows), buffer_slice(&split.rows)));
		CHECK(masked == again);
		CHECK(masked > 0 || slice_equal(buffer_slice(&once.rows), data));
	}
	buffer_done(&once.rows);
	buffer_done(&split.rows);
}

static void check_rows(
	const struct masker *m, const struct value_column *columns, size_t count, struct slice data)
{
	struct value_rows_result result = {0};
	struct value_rows rows;
	struct buffer out;
	int r;

	buffer_init(&out, 1 << 24);
	value_rows_init(&rows, m, columns, count);
	r = value_rows_mask(&rows, data, &out, &result);
	CHECK(r <= 1);
	CHECK((r == 1) == (buffer_length(&out) > 0));
	if (r == 1) {
		/* What came out is a run of as many rows. */
		struct value_rows_result second = {0};
		struct value_rows plain;
		struct masker none = {0};
		struct slice masked = buffer_slice(&out);
		struct value_column *clear = calloc(count + 1, sizeof(*clear));

		CHECK(clear);
		value_rows_init(&plain, &none, clear, count);
		CHECK(value_rows_mask(&plain, masked, &out, &second) == 0);
		CHECK(second.rows == result.rows);
		value_rows_done(&plain);
		free(clear);
	}
	value_rows_done(&rows);
	buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t oids[] = {25, 0, 20, 3802, 17, 1009, 1700, 2249, 1043, 70000};
	struct value_column columns[4] = {0};
	struct mask_rules rules = {0};
	struct sql_copy options = {.to_client = true};
	struct masker m;
	size_t count;

	if (size < 8 || size > 1 << 16)
		return 0;
	masking_tools_set_up();
	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = data[0] & 1
			? (enum mask_strategy)(MASK_PARTIAL + (data[0] >> 1) % 4)
			: MASK_NONE;
	masker_init(&m, engine, hasher, &rules);
	options.format = (enum sql_copy_format)(data[1] % 3);
	options.header = data[1] & 4;
	options.delimiter = data[2] ? data[2] : '\t';
	options.quote = data[1] & 8 ? '\'' : '"';
	options.escape = data[1] & 16 ? '\\' : options.quote;
	options.null_text = data[1] & 32 ? slice_of("\\N", 2) : slice_of("", 0);
	/* What PostgreSQL itself refuses (COPY, "DELIMITER", "QUOTE"). */
	if (options.delimiter == '\n' || options.delimiter == '\r' ||
		options.delimiter == options.quote ||
		(options.format == SQL_COPY_TEXT &&
			strchr("\\.abcdefghijklmnopqrstuvwxyz0123456789", options.delimiter)))
		return 0;
	count = data[3] % 5;
	for (size_t i = 0; i < count; i++) {
		columns[i].type.oid = oids[data[4 + i] % 10];
		columns[i].type.modifier = data[4 + i] & 64 ? 9 : -1;
		columns[i].strategy = data[4 + i] & 128 ? MASK_PARTIAL : MASK_NONE;
	}
	check_copy(&m, &options, columns, count, slice_of(data + 8, size - 8), 1 + data[3] / 5);
	for (size_t i = 0; i < count; i++)
		columns[i].format = data[4 + i] >> 5 & 1;
	check_rows(&m, columns, count, slice_of(data + 8, size - 8));
	return 0;
}
