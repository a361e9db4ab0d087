/* SPDX-License-Identifier: Apache-2.0
 *
 * COPY TO STDOUT in its three formats, in any split.
 */
#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "masking_test.h"
#include "protocol/postgres/copy_stream.h"

/* The rows as they came out, each with "|" behind it. */
struct collector {
	struct copy_sink sink;
	struct buffer rows;
	bool separate;
};

static int collect(struct copy_sink *sink, struct slice body)
{
	struct collector *c = container_of(sink, struct collector, sink);
	int r = buffer_append_slice(&c->rows, body);

	return r == 0 && c->separate ? buffer_append_string(&c->rows, "|") : r;
}

static const struct sql_copy text_options = {.to_client = true,
	.format = SQL_COPY_TEXT,
	.delimiter = '\t',
	.null_text = {(const uint8_t *)"\\N", 2}};
static const struct sql_copy csv_options = {
	.to_client = true, .format = SQL_COPY_CSV, .delimiter = ',', .quote = '"', .escape = '"'};
static const struct sql_copy binary_options = {.to_client = true, .format = SQL_COPY_BINARY};

/* int4, text, text masked, bytea */
static const struct value_column columns[] = {
	{.type = {.oid = 23, .modifier = -1}},
	{.type = {.oid = 25, .modifier = -1}},
	{.type = {.oid = 25, .modifier = -1}, .strategy = MASK_PARTIAL},
	{.type = {.oid = 17, .modifier = -1}},
};

/* Feeds `data` in pieces of `piece` bytes; the error, or 0 with what came out in c->rows. */
static int run(const struct sql_copy *options, const struct value_column *of, size_t count,
	struct slice data, size_t piece, struct collector *c)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct copy_stream *s = copy_stream_new(&m, options, of, count);
	int r = 0;

	buffer_clear(&c->rows);
	for (size_t at = 0; at < data.length && r == 0; at += piece)
		r = copy_stream_feed(s, slice_head(slice_from(data, at), piece), &c->sink);
	if (r == 0)
		r = copy_stream_finish(s);
	copy_stream_free(s);
	return r;
}

static void expect_of(const struct sql_copy *options, const struct value_column *of, size_t count,
	struct slice data, int error, struct slice wanted)
{
	struct collector c = {.sink.row = collect, .separate = true};

	buffer_init(&c.rows, 64 << 20);
	for (size_t piece = 1; piece <= data.length; piece += piece < 40 ? 1 : 31) {
		int r = run(options, of, count, data, piece, &c);

		cr_expect_eq(
			r, error, "\"%.*s\" in pieces of %zu: %d", SLICE_PRINT(data), piece, r);
		if (r == 0)
			cr_expect(slice_equal(buffer_slice(&c.rows), wanted),
				"\"%.*s\" in pieces of %zu: wanted \"%.*s\", got \"%.*s\"",
				SLICE_PRINT(data), piece, SLICE_PRINT(wanted),
				SLICE_PRINT(buffer_slice(&c.rows)));
	}
	buffer_done(&c.rows);
}

static void expect(const struct sql_copy *options, const char *data, const char *wanted)
{
	expect_of(options, columns, ARRAY_SIZE(columns), slice_from_string(data), 0,
		slice_from_string(wanted));
}

static void expect_error(const struct sql_copy *options, const char *data)
{
	expect_of(options, columns, ARRAY_SIZE(columns), slice_from_string(data), -EBADMSG,
		SLICE_EMPTY);
}

Test(postgres_copy, text)
{
	expect(&text_options, "1\tnothing\t\\N\t\\N\n", "1\tnothing\t\\N\t\\N\n|");
	expect(&text_options, "1\ta@b.de\t123456\t\\N\n2\tx\ty\t\\N\n",
		"1\t[masked]\t**3456\t\\N\n|2\tx\t*\t\\N\n|");
	/* Escapes are read, and written again. */
	expect(&text_options, "1\tx\\ta@b.de\\n\\\\\t\\b\\x41\\1012345\t\\\\x6140622e6465\n",
		"1\tx\\t[masked]\\n\\\\\t***2345\t\\\\x5b6d61736b65645d\n|");
	expect(&text_options, "1\ta\\100b.de\ta\\\tb\\\nc\t\\N\n",
		"1\t[masked]\t*\\tb\\nc\t\\N\n|");
	/* Windows' line ends. */
	expect(&text_options, "1\ta@b.de\t\\N\t\\N\r\n", "1\t[masked]\t\\N\t\\N\r\n|");
	/* The end marker of old servers, and a value that looks like it. */
	expect(&text_options, "1\tx\t\\N\t\\N\n\\.\n", "1\tx\t\\N\t\\N\n|\\.\n|");
	expect(&text_options, "", "");
}

Test(postgres_copy, text_options)
{
	struct sql_copy options = text_options;

	options.delimiter = '|';
	options.null_text = slice_from_string("");
	expect(&options, "1|a@b.de|12\\|456|\n||x\\|y|\n", "1|[masked]|**\\|456|\n|||***|\n|");
	/* A mask must not be read as NULL. */
	options = text_options;
	options.null_text = slice_from_string("[masked]");
	expect(&options, "1\ta@b.de\t[masked]\t[masked]\n",
		"1\t\\x5bmasked]\t[masked]\t[masked]\n|");
	options.header = true;
	options.null_text = slice_from_string("\\N");
	expect(&options, "id\ta@b.de\tssn\tdata\n1\ta@b.de\t\\N\t\\N\n",
		"id\ta@b.de\tssn\tdata\n|1\t[masked]\t\\N\t\\N\n|");
}

Test(postgres_copy, text_errors)
{
	struct sql_copy options = text_options;

	expect_error(&text_options, "1\t2\t3\n");
	expect_error(&text_options, "1\t2\t3\t\\N\t5\n");
	expect_error(&text_options, "1\t2\t3\t\\N");
	expect_error(&text_options, "1\t2\t3\t\\N\\\n");
	expect_error(&text_options, "\\.\n1\t2\t3\t\\N\n");
	expect_error(&text_options, "1\t2\t3\t\\\\xabc\n");
	options.header = true;
	expect_error(&options, "1\t2\t3\n");
}

Test(postgres_copy, csv)
{
	expect(&csv_options, "1,nothing,,\n", "1,nothing,,\n|");
	expect(&csv_options, "1,a@b.de,123456,\n2,x,,\"\"\n", "1,[masked],**3456,\n|2,x,,\"\"\n|");
	expect(&csv_options, "1,\"a@b.de, \"\"x\"\"\",\"12,\"\"56\",\n",
		"1,\"[masked], \"\"x\"\"\",\"**,\"\"56\",\n|");
	expect(&csv_options, "1,\"line\na@b.de\r\nline\",\"\",\\x6140622e6465\r\n",
		"1,\"line\n[masked]\r\nline\",\"\",\\x5b6d61736b65645d\r\n|");
	/* Quoted where it need not be: FORCE_QUOTE. */
	expect(&csv_options, "\"1\",\"a@b.de\",\"x\",\n", "\"1\",\"[masked]\",\"*\",\n|");
	/* A quote within an unquoted field. */
	expect(&csv_options, "1,a\"b, x\"@b.de,x,\n", "1,\"ab, [masked]\",*,\n|");
	expect(&csv_options, "1,\"x \"a@b.de,\"y\"\"\",\n", "1,\"x [masked]\",\"**\",\n|");
	expect(&csv_options, "\\.\n", "\\.\n|");
}

Test(postgres_copy, csv_options)
{
	struct sql_copy options = csv_options;

	options.delimiter = ';';
	options.quote = '\'';
	options.escape = '\\';
	options.null_text = slice_from_string("NIL");
	options.header = true;
	expect(&options, "id;'a;b';c;d\n1;'a@b.de\\' \\\\;';NIL;NIL\n'NIL';NIL;'NIL';NIL\n",
		"id;'a;b';c;d\n|1;'[masked]\\' \\\\;';NIL;NIL\n|'NIL';NIL;'***';NIL\n|");
	/* A delimiter that digits run into. */
	options = csv_options;
	options.delimiter = '1';
	expect(&options,
		"5"
		"1"
		"4222222222222"
		"1"
		"22"
		"1"
		"\n",
		"5"
		"1"
		"[masked]"
		"1"
		"**"
		"1"
		"\n|");
	options.delimiter = '+';
	expect(&options, "5+bWFpbCB1c2VyQGV4YW1wbGUuY29t+aaaaaaaaaaaaaaaa+\n",
		"5+[masked]+************aaaa+\n|");
	options = csv_options;
	options.null_text = slice_from_string("[masked]");
	expect(&options, "1,a@b.de,[masked],[masked]\n", "1,\"[masked]\",[masked],[masked]\n|");
}

Test(postgres_copy, csv_errors)
{
	expect_error(&csv_options, "1,2,3\n");
	expect_error(&csv_options, "1,2,3,,5\n");
	expect_error(&csv_options, "1,\"2,3,\n");
	expect_error(&csv_options, "1,2,3,\n\\.\nx\n");
}

#define SIGNATURE "PGCOPY\n\377\r\n\0"
#define HEADER SIGNATURE "\0\0\0\0\0\0\0\0"
#define NOTHING "\xff\xff\xff\xff"
#define BYTES(text)                                                                                \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}
#define BINARY(text) ((struct slice)BYTES(text))

static void expect_binary(struct slice data, int error, struct slice wanted)
{
	expect_of(&binary_options, columns, ARRAY_SIZE(columns), data, error, wanted);
}

Test(postgres_copy, binary)
{
	/* The header comes with the first row, as the server sends it; the trailer alone. */
	expect_binary(BINARY(HEADER "\0\4\0\0\0\4\0\0\0\1\0\0\0\6a@b.de\0\0\0\6"
				    "123456" NOTHING "\0\4\0\0\0\4\0\0\0\2\0\0\0\0" NOTHING
				    "\0\0\0\7xa@b.de\xff\xff"),
		0,
		BINARY(HEADER "\0\4\0\0\0\4\0\0\0\1\0\0\0\x8[masked]\0\0\0\6**3456" NOTHING
			      "|\0\4\0\0\0\4\0\0\0\2\0\0\0\0" NOTHING
			      "\0\0\0\x8[masked]|\xff\xff|"));
	expect_binary(BINARY(HEADER "\xff\xff"), 0, BINARY(HEADER "\xff\xff|"));
	expect_binary(BINARY(SIGNATURE "\0\0\0\0\0\0\0\2xx\xff\xff"), 0,
		BINARY(SIGNATURE "\0\0\0\0\0\0\0\2xx\xff\xff|"));
}

Test(postgres_copy, binary_errors)
{
	static const struct slice broken[] = {
		BYTES("PGCOPX"),
		BYTES("PGCOPY\n\377\r\n\1"),
		BYTES(HEADER),
		BYTES(HEADER "\0"),
		BYTES(SIGNATURE "\0\1\0\0\0\0\0\0\xff\xff"),
		BYTES(SIGNATURE "\0\0\0\0\x7f\0\0\0\xff\xff"),
		BYTES(HEADER "\0\3" NOTHING NOTHING NOTHING),
		BYTES(HEADER "\0\4\0\0\0\1"),
		BYTES(HEADER "\0\4\x80\0\0\0"),
		BYTES(HEADER "\xff\xff\0"),
		BYTES(HEADER "\0\4" NOTHING NOTHING NOTHING NOTHING),
		BYTES(HEADER "\0\5" NOTHING NOTHING NOTHING NOTHING "\xff\xff"),
		BYTES(HEADER "\0\3" NOTHING NOTHING NOTHING NOTHING "\xff\xff"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		expect_binary(broken[i], -EBADMSG, SLICE_EMPTY);
}

/* Types that nobody told: by the look of each value. */
Test(postgres_copy, unknown_types)
{
	static const struct value_column unknown[] = {{{0, -1, false}}, {{0, -1, false}}};

	expect_of(&text_options, unknown, 2,
		slice_from_string("4111111111111111\tcard 4111111111111111\n"), 0,
		slice_from_string("\\N\tcard [masked]\n|"));
	expect_of(&csv_options, unknown, 2,
		slice_from_string("\"{\"\"a\"\": \"\"user@example.com\"\"}\",\"{a,b@c.de}\"\n"), 0,
		slice_from_string("\"{\"\"a\"\": \"\"[masked]\"\"}\",\n|"));
}

Test(postgres_copy, no_columns)
{
	expect_of(&text_options, NULL, 0, slice_from_string(""), 0, slice_from_string(""));
	expect_of(&binary_options, NULL, 0, BINARY(HEADER "\0\0\0\0\xff\xff"), 0,
		BINARY(HEADER "\0\0|\0\0|\xff\xff|"));
}

/* Many rows at once, so that an index is used and several pieces are needed. */
Test(postgres_copy, many_rows)
{
	struct collector c = {.sink.row = collect};
	struct buffer data, wanted;

	buffer_init(&data, 64 << 20);
	buffer_init(&wanted, 64 << 20);
	buffer_init(&c.rows, 64 << 20);
	for (unsigned i = 0; i < 50000; i++) {
		buffer_append_format(&data, "%u\tsome text %u\t\\N\t\\N\n", i, i * i);
		buffer_append_format(&wanted, "%u\tsome text %u\t\\N\t\\N\n", i, i * i);
		if (i % 100 == 0) {
			buffer_append_format(&data, "%u\tuser%u@example.com\t12345\t\\N\n", i, i);
			buffer_append_format(&wanted, "%u\t[masked]\t*2345\t\\N\n", i);
		}
	}
	for (size_t piece = 1000; piece < 4000000; piece = piece * 3 + 7) {
		cr_assert_eq(run(&text_options, columns, ARRAY_SIZE(columns), buffer_slice(&data),
				     piece, &c),
			0);
		cr_assert(slice_equal(buffer_slice(&c.rows), buffer_slice(&wanted)));
	}
	buffer_done(&data);
	buffer_done(&wanted);
	buffer_done(&c.rows);
}

static void add_repeated(struct buffer *b, char c, size_t count)
{
	uint8_t *space;

	cr_assert_eq(buffer_reserve(b, count, &space), 0);
	memset(space, c, count);
	buffer_commit(b, count);
}

/* A field beyond the limit is dropped as it comes: NULL, and the rest of the row stays. */
Test(postgres_copy, long_fields_become_null)
{
	struct collector c = {.sink.row = collect};
	struct buffer data;

	buffer_init(&data, 128 << 20);
	buffer_init(&c.rows, 128 << 20);
	buffer_append_string(&data, "1\t");
	add_repeated(&data, 'x', LIMIT_CELL_JUDGED);
	buffer_append_string(&data, "\\\t\\\n");
	add_repeated(&data, 'x', LIMIT_CELL_JUDGED);
	buffer_append_string(&data, "\tabcdef\t\\N\n2\ta@b.de\t\\N\t\\N\n");
	cr_assert_eq(run(&text_options, columns, 4, buffer_slice(&data), 100000, &c), 0);
	cr_assert(slice_equal_string(
		buffer_slice(&c.rows), "1\t\\N\t**cdef\t\\N\n2\t[masked]\t\\N\t\\N\n"));
	buffer_clear(&data);
	buffer_append_string(&data, "1,\"");
	add_repeated(&data, ',', LIMIT_CELL_JUDGED);
	buffer_append_string(&data, "\"\"\n,");
	add_repeated(&data, '\n', LIMIT_CELL_JUDGED);
	buffer_append_string(&data, "\",abcdef,\n");
	cr_assert_eq(run(&csv_options, columns, 4, buffer_slice(&data), 77777, &c), 0);
	cr_assert(slice_equal_string(buffer_slice(&c.rows), "1,,**cdef,\n"));
	buffer_clear(&data);
	buffer_append(&data, HEADER "\0\4\0\0\0\4\0\0\0\1", sizeof(HEADER) + 9);
	buffer_append_u32(&data, 2 * LIMIT_CELL_JUDGED);
	add_repeated(&data, 'x', 2 * LIMIT_CELL_JUDGED);
	buffer_append(&data, "\0\0\0\6abcdef" NOTHING "\xff\xff", 16);
	cr_assert_eq(run(&binary_options, columns, 4, buffer_slice(&data), 99999, &c), 0);
	cr_assert(slice_equal(buffer_slice(&c.rows),
		BINARY(HEADER "\0\4\0\0\0\4\0\0\0\1" NOTHING "\0\0\0\6**cdef" NOTHING "\xff\xff")));
	buffer_done(&data);
	buffer_done(&c.rows);
}

/* Many long fields make a row that is too long, though no field is. */
Test(postgres_copy, long_rows_lose_fields)
{
	static struct value_column texts[8];
	struct collector c = {.sink.row = collect};
	struct buffer data;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		texts[i] = columns[1];
	buffer_init(&data, 256 << 20);
	buffer_init(&c.rows, 256 << 20);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		add_repeated(&data, (char)('a' + i), LIMIT_CELL_JUDGED - 1000);
		buffer_append_byte(&data, i + 1 < ARRAY_SIZE(texts) ? '\t' : '\n');
	}
	cr_assert_eq(
		run(&text_options, texts, ARRAY_SIZE(texts), buffer_slice(&data), 65536, &c), 0);
	cr_assert_lt(buffer_length(&c.rows), 5 * (size_t)LIMIT_CELL_JUDGED);
	cr_assert_not_null(memmem(c.rows.data, buffer_length(&c.rows), "d\t\\N\t", 5));
	buffer_done(&data);
	buffer_done(&c.rows);
}

static int refuse(struct copy_sink *sink, struct slice body)
{
	(void)sink;
	(void)body;
	return -EPIPE;
}

Test(postgres_copy, the_sinks_error_ends_it)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct copy_stream *s = copy_stream_new(&m, &text_options, columns, 4);
	struct copy_sink sink = {refuse};

	cr_assert_eq(copy_stream_feed(s, slice_from_string("1\t2\t3"), &sink), 0);
	cr_assert_eq(copy_stream_feed(s, slice_from_string("\t\\N\n"), &sink), -EPIPE);
	copy_stream_free(s);
	copy_stream_free(NULL);
}

Test(postgres_copy, counts)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct collector c = {.sink.row = collect};
	struct sql_copy options = csv_options;
	struct copy_stream *s;

	options.header = true;
	buffer_init(&c.rows, 4096);
	s = copy_stream_new(&m, &options, columns, 4);
	cr_assert_eq(
		copy_stream_feed(s, slice_from_string("a,b,c,d\n1,a@b.de,xyz,\n2,,,\n"), &c.sink),
		0);
	cr_assert_eq(copy_stream_counts(s)->rows, 2);
	cr_assert_eq(copy_stream_counts(s)->masked_values, 2);
	cr_assert_eq(copy_stream_finish(s), 0);
	copy_stream_free(s);
	buffer_done(&c.rows);
}
