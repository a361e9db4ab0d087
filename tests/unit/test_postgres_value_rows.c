/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of DataRows: the same comes out as when each value is masked alone.
 */
#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "masking_test.h"
#include "protocol/postgres/value_rows.h"

#define COLUMNS 5

static const struct value_column columns[COLUMNS] = {
	{.type = {.oid = 23, .modifier = -1}}, /* int4 */
	{.type = {.oid = 25, .modifier = -1}}, /* text */
	{.type = {.oid = 25, .modifier = -1}, .strategy = MASK_PARTIAL}, /* text, masked */
	{.type = {.oid = 20, .modifier = -1}, .format = VALUE_FORMAT_BINARY}, /* int8, binary */
	{.type = {.oid = 3802, .modifier = -1}}, /* jsonb */
};

/* NULL data: NULL. */
static void add_row(struct buffer *run, const struct slice *values, size_t count)
{
	size_t start = buffer_length(run);

	buffer_append(run, "D\0\0\0\0", 5);
	buffer_append_u16(run, (uint16_t)count);
	for (size_t i = 0; i < count; i++) {
		buffer_append_u32(run, values[i].data ? (uint32_t)values[i].length : UINT32_MAX);
		buffer_append_slice(run, values[i]);
	}
	bytes_put_u32(run->data + start + 1, (uint32_t)(buffer_length(run) - start - 1));
}

struct state {
	struct value_rows rows;
	struct buffer run, wanted, out;
	struct value_rows_result result;
};

static void begin(struct state *s, const struct masker *m)
{
	*s = (struct state){0};
	value_rows_init(&s->rows, m, columns, COLUMNS);
	buffer_init(&s->run, 256 << 20);
	buffer_init(&s->wanted, 256 << 20);
	buffer_init(&s->out, 256 << 20);
}

static void end(struct state *s)
{
	value_rows_done(&s->rows);
	buffer_done(&s->run);
	buffer_done(&s->wanted);
	buffer_done(&s->out);
}

/* Adds a row to the run, and, each value masked alone, to what is wanted. Returns how many changed.
 */
static unsigned add_both(struct state *s, const struct masker *m, const struct slice *values)
{
	struct slice masked[COLUMNS];
	struct buffer out[COLUMNS];
	unsigned changed = 0;

	for (size_t i = 0; i < COLUMNS; i++) {
		struct mask_source source = mask_source_of(values[i]);
		int r = MASK_UNCHANGED;

		buffer_init(&out[i], 64 << 20);
		if (values[i].data)
			r = value_mask(m, &columns[i], &source, &out[i]);
		cr_assert_geq(r, 0);
		changed += r != MASK_UNCHANGED;
		masked[i] = values[i];
		if (r == MASK_TO_NULL)
			masked[i] = SLICE_EMPTY;
		else if (r == MASK_REPLACED)
			masked[i] =
				buffer_length(&out[i]) ? buffer_slice(&out[i]) : slice_of("", 0);
	}
	add_row(&s->run, values, COLUMNS);
	add_row(&s->wanted, masked, COLUMNS);
	for (size_t i = 0; i < COLUMNS; i++)
		buffer_done(&out[i]);
	return changed;
}

static void check(struct state *s, unsigned rows, unsigned changed)
{
	/* What is in `out` already is left alone. */
	buffer_append_string(&s->out, "before");
	cr_assert_eq(
		value_rows_mask(&s->rows, buffer_slice(&s->run), &s->out, &s->result), changed > 0);
	cr_assert_eq(s->result.rows, rows);
	cr_assert_eq(s->result.masked_values, changed, "%lu values changed instead of %u",
		s->result.masked_values, changed);
	cr_assert(slice_starts_with(buffer_slice(&s->out), slice_from_string("before")));
	buffer_consume(&s->out, 6);
	if (changed)
		cr_assert(slice_equal(buffer_slice(&s->out), buffer_slice(&s->wanted)));
	else
		cr_assert_eq(buffer_length(&s->out), 0);
}

#define TEXT(s) slice_of(s, sizeof(s) - 1)
static const uint8_t card[8] = {0x00, 0x0e, 0x9b, 0x08, 0xa5, 0x68, 0xf1, 0xc7};
static const uint8_t one[8] = {0, 0, 0, 0, 0, 0, 0, 1};

Test(postgres_value_rows, nothing_to_hide_passes_as_it_is)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct slice values[COLUMNS] = {TEXT("12"), TEXT("some text"), SLICE_EMPTY,
		slice_of(one, 8), TEXT("{\"a\": \"b\\n\"}")};
	struct state s;

	begin(&s, &m);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_eq(add_both(&s, &m, values), 0);
	check(&s, 1000, 0);
	end(&s);
}

Test(postgres_value_rows, each_kind_of_change)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	const struct slice rows[][COLUMNS] = {
		{TEXT("1"), TEXT("a user@example.com b"), TEXT("123456"), slice_of(card, 8),
			TEXT("{\"a\":\"user@example.com\"}")},
		{TEXT("2"), TEXT("nothing"), SLICE_EMPTY, slice_of(one, 8), SLICE_EMPTY},
		{SLICE_EMPTY, SLICE_EMPTY, TEXT(""), SLICE_EMPTY,
			TEXT("\"user\\u0040example.com\"")},
		{TEXT("3"), TEXT(""), TEXT("abc"), slice_of(one, 8), TEXT("[1]")},
		/* The next value's length, and the next message, must not hide what stands before.
		 */
		{TEXT("4"), TEXT("123-45-6789"),
			TEXT("0123456789012345678901234567890123456789012345678"),
			slice_of(card, 8), TEXT("\"4111111111111111\"")},
		{TEXT("5"), TEXT("123-45-6789 0123456789 0123456789 0123456789 01234"), TEXT("x"),
			slice_of(one, 8), TEXT("4111111111111111")},
	};
	struct state s;
	unsigned changed = 0;

	begin(&s, &m);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		changed += add_both(&s, &m, rows[i]);
	cr_assert_eq(changed, 4 + 0 + 2 + 1 + 4 + 3);
	check(&s, ARRAY_SIZE(rows), changed);
	end(&s);
}

/* Runs longer than what is searched at once, and rows longer than that. */
Test(postgres_value_rows, long_runs_and_rows)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct slice values[COLUMNS] = {
		TEXT("12"), SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY};
	size_t lengths[] = {100, 200000, 700000, 1048576, 3000000, 10, 400000, 400000, 400000};
	char *text = memory_new(3000000);
	unsigned changed = 0;
	struct state s;

	begin(&s, &m);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(text, 'x', lengths[i]);
		if (i % 2 == 0)
			memcpy(text + lengths[i] - 17, " user@example.com", 17);
		values[1] = slice_of(text, lengths[i]);
		changed += add_both(&s, &m, values);
	}
	cr_assert_eq(changed, 5);
	check(&s, ARRAY_SIZE(lengths), changed);
	end(&s);
	free(text);
}

Test(postgres_value_rows, values_too_long_to_be_judged_become_null)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	char *text = memory_new(LIMIT_CELL_JUDGED + 1);
	struct slice values[COLUMNS] = {SLICE_EMPTY, slice_of(text, LIMIT_CELL_JUDGED + 1),
		SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY};
	struct state s;

	begin(&s, &m);
	add_row(&s.run, values, COLUMNS);
	values[1] = SLICE_EMPTY;
	add_row(&s.wanted, values, COLUMNS);
	check(&s, 1, 1);
	/* int4 can carry nothing: it is not looked at, however long a hostile server makes it. */
	buffer_clear(&s.run);
	values[0] = slice_of(text, LIMIT_CELL_JUDGED + 1);
	add_row(&s.run, values, COLUMNS);
	cr_assert_eq(value_rows_mask(&s.rows, buffer_slice(&s.run), &s.out, &s.result), 0);
	end(&s);
	free(text);
}

Test(postgres_value_rows, what_is_no_row_is_refused)
{
	static const struct {
		const char *bytes;
		size_t length;
	} broken[] = {
		{"D", 1},
		{"D\0\0\0\5\0", 6},
		{"D\0\0\0\6\0\4", 7},
		{"D\0\0\0\6\0\5", 7},
		{"D\0\0\0\x1a\0\5\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0"
		 "\0\0\1",
			27},
		{"D\0\0\0\x1b\0\5\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
		 "\xff\xff\xff\xff"
		 "x",
			28},
		{"D\0\0\0\x1a\0\5\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
		 "\x7f\xff\xff\xff",
			27},
		{"E\0\0\0\x1a\0\5\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
		 "\xff\xff\xff\xff",
			27},
		{"D\xff\xff\xff\xff\0\5", 7},
	};
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct slice good[COLUMNS] = {
		TEXT("1"), TEXT("a@b.de"), TEXT("x"), SLICE_EMPTY, SLICE_EMPTY};

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		struct state s;

		begin(&s, &m);
		add_row(&s.run, good, COLUMNS);
		buffer_append(&s.run, broken[i].bytes, broken[i].length);
		cr_expect_eq(value_rows_mask(&s.rows, buffer_slice(&s.run), &s.out, &s.result),
			-EBADMSG, "case %zu", i);
		cr_expect_eq(buffer_length(&s.out), 0);
		end(&s);
	}
}

Test(postgres_value_rows, errors_leave_the_buffer)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct slice bad[COLUMNS] = {
		TEXT("1"), TEXT("a@b.de"), TEXT("x"), TEXT("short"), SLICE_EMPTY};
	struct slice good[COLUMNS] = {
		TEXT("1"), TEXT("a@b.de"), TEXT("x"), SLICE_EMPTY, SLICE_EMPTY};
	struct state s;

	begin(&s, &m);
	add_row(&s.run, bad, COLUMNS);
	cr_assert_eq(value_rows_mask(&s.rows, buffer_slice(&s.run), &s.out, &s.result), -EBADMSG);
	cr_assert_eq(buffer_length(&s.out), 0);
	cr_assert_eq(s.result.rows, 0);
	buffer_clear(&s.run);
	add_row(&s.run, good, COLUMNS);
	buffer_done(&s.out);
	buffer_init(&s.out, 20);
	cr_assert_eq(value_rows_mask(&s.rows, buffer_slice(&s.run), &s.out, &s.result), -E2BIG);
	cr_assert_eq(buffer_length(&s.out), 0);
	cr_assert_eq(value_rows_mask(&s.rows, SLICE_EMPTY, &s.out, &s.result), 0);
	end(&s);
}

/* Without detectors nothing is searched; columns are masked all the same. */
Test(postgres_value_rows, column_masks_alone)
{
	struct masker m = test_masker(0, MASK_NONE);
	struct slice values[COLUMNS] = {
		TEXT("1"), TEXT("a@b.de"), TEXT("abcdef"), slice_of(card, 8), TEXT("\"a@b.de\"")};
	struct state s;

	begin(&s, &m);
	cr_assert_not(s.rows.searches);
	cr_assert_eq(add_both(&s, &m, values), 1);
	check(&s, 1, 1);
	end(&s);
}
