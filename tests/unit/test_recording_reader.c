/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading segments that are torn, damaged, or made to do harm; and ones that grow.
 */
#include <zstd.h>

#include "base/bytes.h"
#include "tests/unit/recording_journal.h"

/* ---- damage ---- */

/* A small segment, whole, in memory. */
static struct slice small_segment(enum stream_kind kind, size_t *ends, size_t count)
{
	int fd = new_file();
	struct journal *j = journal_start(kind, fd);
	struct buffer b;

	for (size_t i = 0; i < count; i++) {
		put(j, i % 2 ? "a text that repeats" : "another");
		ends[i] = buffer_length(&j->pending);
	}
	cr_assert_eq(flush(j), 0);
	buffer_init(&b, 1 << 20);
	lseek(fd, 0, SEEK_SET);
	cr_assert_eq(file_read_descriptor(fd, &b), 0);
	journal_drop_all(j);
	close(fd);
	return buffer_slice(&b);
}

/* Reads bytes as a segment: the number of good records, and how it ended. */
static size_t read_all(struct slice bytes, bool compressed, enum reader_status *ret)
{
	int fd = new_file();
	struct reader reader;
	struct entry entry;
	enum reader_status status;
	size_t count;

	cr_assert_eq(file_write_all(fd, bytes), 0);
	status = reader_open(&reader, fd, compressed, true);
	while (status == READER_RECORD)
		status = reader_next(&reader, &entry);
	count = reader.count;
	reader_close(&reader);
	close(fd);
	*ret = status;
	return count;
}

Test(reader, torn_anywhere)
{
	static const enum stream_kind kinds[] = {STREAM_AUDIT, STREAM_RECORDING};

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		size_t ends[5];
		struct slice whole = small_segment(kinds[k], ends, 5);

		for (size_t n = 0; n <= whole.length; n++) {
			size_t expected = 0;
			bool on_end = n == 0 || n == SEGMENT_HEADER_SIZE;
			enum reader_status status;

			for (size_t i = 0; i < 5; i++) {
				expected += ends[i] <= n;
				on_end |= ends[i] == n;
			}
			cr_assert_eq(read_all(slice_head(whole, n), false, &status), expected);
			cr_assert_eq(status, on_end ? READER_END : READER_TORN, "at %zu", n);
		}
		free((void *)whole.data);
	}
}

/* After a loss of power the length may be there and the bytes not. */
Test(reader, zeros_at_the_end_are_torn_and_within_are_broken)
{
	size_t ends[5];
	struct slice whole = small_segment(STREAM_AUDIT, ends, 5);
	uint8_t *bytes = calloc(1, 200000);
	enum reader_status status;

	memcpy(bytes, whole.data, ends[2]);
	for (size_t more = 1; more < 150000; more += more < 40 ? 1 : 9973) {
		cr_assert_eq(read_all(slice_of(bytes, ends[2] + more), false, &status), 3);
		cr_assert_eq(status, READER_TORN, "%zu zeros", more);
	}
	memcpy(bytes + ends[3], whole.data + ends[3], ends[4] - ends[3]);
	cr_assert_eq(read_all(slice_of(bytes, ends[4]), false, &status), 3);
	cr_assert_eq(status, READER_BROKEN);
	bytes[150000] = 1;
	memset(bytes + ends[2], 0, 1000);
	cr_assert_eq(read_all(slice_of(bytes, 150001), false, &status), 3);
	cr_assert_eq(status, READER_BROKEN);
	free(bytes);
	free((void *)whole.data);
}

Test(reader, any_byte_changed)
{
	static const enum stream_kind kinds[] = {STREAM_AUDIT, STREAM_RECORDING};

	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		size_t ends[5];
		struct slice whole = small_segment(kinds[k], ends, 5);
		uint8_t *bytes = (uint8_t *)whole.data;

		for (size_t n = 0; n < whole.length; n++) {
			size_t good = 0, count;
			enum reader_status status;

			for (size_t i = 0; i < 5; i++)
				good += ends[i] <= n;
			bytes[n] ^= 0x01;
			count = read_all(whole, false, &status);
			bytes[n] ^= 0x01;
			cr_assert_eq(count, good, "byte %zu", n);
			/* A length that grew may reach beyond the end. */
			cr_assert(status == READER_BROKEN || status == READER_TORN, "byte %zu", n);
		}
		free(bytes);
	}
}

Test(reader, records_dropped_doubled_or_swapped)
{
	size_t ends[5], first;
	struct slice whole = small_segment(STREAM_AUDIT, ends, 5);
	struct slice one, two;
	struct buffer b;
	enum reader_status status;

	first = ends[1] - ends[0];
	one = slice_of(whole.data + ends[0], first);
	two = slice_of(whole.data + ends[1], ends[2] - ends[1]);
	buffer_init(&b, 1 << 20);
	/* dropped */
	buffer_append(&b, whole.data, ends[0]);
	buffer_append_slice(&b, two);
	cr_assert_eq(read_all(buffer_slice(&b), false, &status), 1);
	cr_assert_eq(status, READER_BROKEN);
	/* doubled */
	buffer_clear(&b);
	buffer_append(&b, whole.data, ends[1]);
	buffer_append_slice(&b, one);
	cr_assert_eq(read_all(buffer_slice(&b), false, &status), 2);
	cr_assert_eq(status, READER_BROKEN);
	/* swapped */
	buffer_clear(&b);
	buffer_append(&b, whole.data, ends[0]);
	buffer_append_slice(&b, two);
	buffer_append_slice(&b, one);
	cr_assert_eq(read_all(buffer_slice(&b), false, &status), 1);
	cr_assert_eq(status, READER_BROKEN);
	buffer_done(&b);
	free((void *)whole.data);
}

/* ---- hostile files ---- */

Test(reader, impossible_lengths_take_no_memory)
{
	size_t ends[1];
	struct slice whole = small_segment(STREAM_RECORDING, ends, 1);
	uint8_t *bytes = (uint8_t *)whole.data;
	int fd = new_file();
	enum reader_status status;
	struct reader reader;
	struct entry entry;

	bytes_put_u32(bytes + SEGMENT_HEADER_SIZE, LIMIT_RECORD_PAYLOAD + 1);
	cr_assert_eq(read_all(whole, false, &status), 0);
	cr_assert_eq(status, READER_BROKEN);
	/* Possible, but not there. */
	bytes_put_u32(bytes + SEGMENT_HEADER_SIZE, LIMIT_RECORD_PAYLOAD);
	cr_assert_eq(file_write_all(fd, whole), 0);
	cr_assert_eq(reader_open(&reader, fd, false, false), READER_RECORD);
	cr_assert_eq(reader_next(&reader, &entry), READER_TORN);
	cr_assert_lt(reader.window.capacity, 1 << 20);
	reader_close(&reader);
	close(fd);
	free(bytes);
}

/* A few kilobytes that inflate to gigabytes are given up at the limit of a segment. */
Test(reader, compressed_bomb)
{
	size_t ends[1];
	struct slice head = small_segment(STREAM_RECORDING, ends, 1);
	size_t chunk = 1 << 20, space = ZSTD_compressBound(chunk);
	uint8_t *zeros = calloc(1, chunk), *out = malloc(space);
	ZSTD_CCtx *context = ZSTD_createCCtx();
	struct buffer bomb;
	enum reader_status status;

	buffer_init(&bomb, 64 << 20);
	for (unsigned i = 0; i < 1200; i++) {
		ZSTD_inBuffer input = {i ? zeros : head.data, i ? chunk : head.length, 0};
		ZSTD_outBuffer output = {out, space, 0};

		ZSTD_compressStream2(
			context, &output, &input, i == 1199 ? ZSTD_e_end : ZSTD_e_flush);
		buffer_append(&bomb, out, output.pos);
	}
	cr_assert_lt(buffer_length(&bomb), 1 << 20);
	cr_assert_eq(read_all(buffer_slice(&bomb), true, &status), 1);
	cr_assert_eq(status, READER_BROKEN);
	ZSTD_freeCCtx(context);
	buffer_done(&bomb);
	free(out);
	free(zeros);
	free((void *)head.data);
}

Test(reader, compressed_window_beyond_the_limit_is_refused)
{
	size_t ends[3], space;
	struct slice whole = small_segment(STREAM_RECORDING, ends, 3);
	ZSTD_CCtx *context = ZSTD_createCCtx();
	ZSTD_inBuffer input = {whole.data, whole.length, 0};
	ZSTD_outBuffer output;
	enum reader_status status;

	space = ZSTD_compressBound(whole.length) + 100;
	output = (ZSTD_outBuffer){malloc(space), space, 0};
	/* Without the content's size in the frame, the decompressor must believe the window. */
	ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
	ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
	ZSTD_compressStream2(context, &output, &input, ZSTD_e_flush);
	ZSTD_compressStream2(context, &output, &input, ZSTD_e_end);
	cr_assert_eq(read_all(slice_of(output.dst, output.pos), true, &status), 0);
	cr_assert_eq(status, READER_BROKEN);
	ZSTD_freeCCtx(context);
	free(output.dst);
	free((void *)whole.data);
}
/* A growing file can be followed. */
Test(reader, follow)
{
	int fd = new_file();
	struct journal *j = journal_start(STREAM_RECORDING, fd);
	struct reader reader;
	struct entry entry;

	put(j, "one");
	cr_assert_eq(flush(j), 0);
	cr_assert_eq(reader_open(&reader, fd, false, true), READER_RECORD);
	cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
	for (unsigned i = 0; i < 100; i++) {
		struct slice rest;

		cr_assert_eq(reader_next(&reader, &entry), READER_END);
		put(j, "two");
		rest = buffer_slice(&j->pending);
		/* In two writes, as a reader may see it. */
		cr_assert_eq(file_write_all(fd, slice_head(rest, i % rest.length)), 0);
		if (i % rest.length)
			cr_assert_eq(reader_next(&reader, &entry), READER_TORN);
		j->written = i % rest.length;
		cr_assert_eq(flush(j), 0);
		cr_assert_eq(reader_next(&reader, &entry), READER_RECORD);
	}
	reader_close(&reader);
	journal_drop_all(j);
	close(fd);
}
