/* SPDX-License-Identifier: Apache-2.0
 *
 * The pieces of the format: headers, names, fields, values, pairs, heads, entries.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/memory.h"
#include "recording/entry.h"
#include "recording/pair.h"
#include "recording/value.h"

#define S(text) slice_of(text, sizeof(text) - 1)

static struct segment_header sample_header(void)
{
	struct segment_header h = {.kind = STREAM_AUDIT,
		.segment = 7,
		.incarnation = {"w-0123456789ABCDEF"},
		.first_sequence = 1234,
		.time = 1769860800000000000ULL,
		.previous = {.segment = 6, .sequence = 1233, .bytes = 99}};

	memset(h.previous.hash, 0xa5, HASH_SIZE);
	return h;
}

Test(format, header_round_trip)
{
	struct segment_header h = sample_header(), again;
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct error e;

	segment_header_encode(&h, bytes);
	cr_assert_eq(segment_header_decode(bytes, &again, &e), 0);
	cr_assert_str_eq(again.incarnation.text, h.incarnation.text);
	cr_assert_eq(again.segment, 7);
	cr_assert_eq(again.first_sequence, 1234);
	cr_assert_eq(again.previous.segment, 6);
	cr_assert_eq(again.previous.bytes, 99);
	cr_assert_eq(memcmp(again.previous.hash, h.previous.hash, HASH_SIZE), 0);
}

Test(format, header_with_any_bit_changed_is_refused)
{
	struct segment_header h = sample_header(), again;
	uint8_t bytes[SEGMENT_HEADER_SIZE];
	struct error e;

	segment_header_encode(&h, bytes);
	for (size_t i = 0; i < 8 * sizeof(bytes); i++) {
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
		cr_assert_eq(segment_header_decode(bytes, &again, &e), -EBADMSG, "bit %zu", i);
		bytes[i / 8] ^= (uint8_t)(1 << i % 8);
	}
}

Test(format, names)
{
	static const char *const good[] = {"w-0123456789ABCDEF.audit.000001", "m-7Q2K.audit.999999",
		"w-7Q2K.recording.1000000.zst", "host.checkpoints.000012", "w-7Q2K.index.000003"};
	static const char *const bad[] = {"", ".", "w-7Q2K", "w-7Q2K.audit", "w-7Q2K.audit.",
		"w-7Q2K.audit.1", "w-7Q2K.audit.0000001", "w-7Q2K.audit.000000",
		"w-7Q2K.audit.000001.gz", "w-7Q2K.audit.000001.zst.new", "w-7Q2K.audit.00000x",
		"w-7Q2K.audit.99999999999", "w-.audit.000001", "w-il.audit.000001",
		"s-7Q2K.audit.000001", "../x.audit.000001", "w-7Q2K.other.000001",
		"w-0123456789ABCDEF0123456789.audit.000001"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct segment_name name;
		char text[SEGMENT_NAME_SIZE];

		cr_assert_eq(segment_name_parse(good[i], &name), 0, "%s", good[i]);
		segment_name_format(&name, text);
		cr_assert_str_eq(text, good[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct segment_name name;

		cr_assert_eq(segment_name_parse(bad[i], &name), -EINVAL, "%s", bad[i]);
	}
}

Test(format, heads)
{
	struct identifier incarnation = {"w-7Q2K"}, again;
	struct stream_head head = {.kind = STREAM_INDEX,
				   .segment = 3,
				   .sequence = UINT64_MAX - 1,
				   .bytes = 1},
			   other;
	uint8_t bytes[STREAM_HEAD_SIZE];

	stream_head_encode(&incarnation, &head, bytes);
	cr_assert_eq(stream_head_decode(slice_of(bytes, sizeof(bytes)), &again, &other), 0);
	cr_assert_eq(memcmp(&head, &other, sizeof(head)), 0);
	cr_assert_str_eq(again.text, "w-7Q2K");
	cr_assert_eq(
		stream_head_decode(slice_of(bytes, sizeof(bytes) - 1), &again, &other), -EBADMSG);
	bytes[0] = 'x';
	cr_assert_eq(stream_head_decode(slice_of(bytes, sizeof(bytes)), &again, &other), -EBADMSG);
}

Test(format, numbers)
{
	static const uint64_t numbers[] = {0, 1, 255, 256, 65535, 1ULL << 32, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct slice rest, bytes;
		struct buffer b;
		uint64_t again;
		uint8_t field;

		buffer_init(&b, 100);
		cr_assert_eq(field_append_number(&b, FIELD_ROWS, numbers[i]), 0);
		rest = buffer_slice(&b);
		cr_assert_eq(field_take(&rest, &field, &bytes), 0);
		cr_assert_eq(field, FIELD_ROWS);
		cr_assert_eq(rest.length, 0);
		cr_assert_eq(field_to_number(bytes, &again), 0);
		cr_assert_eq(again, numbers[i]);
		buffer_done(&b);
	}
}

Test(format, damaged_fields_are_refused)
{
	static const struct slice damaged[] = {
		{(const uint8_t *)"\x01", 1}, /* no length */
		{(const uint8_t *)"\x01\x05"
				  "abc",
			5}, /* too short */
		{(const uint8_t *)"\x01\x80", 2}, /* half a length */
		{(const uint8_t *)"\x01\xff\xff\xff\xff\x01", 6}, /* a length of five bytes */
		{(const uint8_t *)"\x01\xff\xff\xff\x7f", 5}, /* 256 MiB that aren't there */
		{(const uint8_t *)"\x01\x00", 2}, /* a number of no bytes */
		{(const uint8_t *)"\x01\x09"
				  "123456789",
			11}, /* a number of nine bytes */
		{(const uint8_t *)"\x02\x00", 2}, /* a string without a form */
		{(const uint8_t *)"\x02\x01\x03", 3}, /* of an unknown form */
		{(const uint8_t *)"\x02\x03\x01\x00\x05", 5}, /* of an empty slot */
		{(const uint8_t *)"\x02\x03\x01\x10\x00", 5}, /* of a slot that doesn't exist */
		{(const uint8_t *)"\x02\x06\x02\x00\x05"
				  "abc",
			8}, /* a definition too short for one */
		{(const uint8_t *)"\x1a\x05\x00\x1a\x03\x00\x1b", 7}, /* a group in a group */
	};

	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		struct entry_parser parser;
		struct entry entry;
		struct error e;

		entry_parser_init(&parser);
		cr_assert_eq(entry_parse(&parser, damaged[i], &entry, &e), -EBADMSG, "row %zu", i);
		entry_parser_done(&parser);
	}
}

Test(format, definitions_and_references)
{
	struct entry_parser parser;
	struct entry entry;
	struct buffer b;
	struct error e;

	buffer_init(&b, 1000);
	entry_parser_init(&parser);
	/* A slot that is taken over within one record: what referred to it before stays right. */
	field_append_definition(&b, FIELD_AGENT, 5, S("first text"));
	field_append_reference(&b, FIELD_PRINCIPAL, 5);
	field_append_definition(&b, FIELD_RESOURCE, 5, S("second text"));
	field_append_inline(&b, FIELD_USER, S("me"));
	field_append_bytes(&b, (enum field)200, S("of a later version"));
	cr_assert_eq(entry_parse(&parser, buffer_slice(&b), &entry, &e), 0);
	cr_assert(slice_equal(entry_bytes(&entry, FIELD_AGENT), S("first text")));
	cr_assert(slice_equal(entry_bytes(&entry, FIELD_PRINCIPAL), S("first text")));
	cr_assert(slice_equal(entry_bytes(&entry, FIELD_RESOURCE), S("second text")));
	cr_assert(slice_equal(entry_bytes(&entry, FIELD_USER), S("me")));
	cr_assert_eq(entry.count, 4);
	buffer_clear(&b);
	field_append_reference(&b, FIELD_AGENT, 5);
	cr_assert_eq(entry_parse(&parser, buffer_slice(&b), &entry, &e), 0);
	cr_assert(slice_equal(entry_bytes(&entry, FIELD_AGENT), S("second text")));
	entry_parser_done(&parser);
	buffer_done(&b);
}

Test(format, too_many_fields_are_refused)
{
	struct entry_parser parser;
	struct entry entry;
	struct buffer b;
	struct error e;

	buffer_init(&b, 4 * LIMIT_RECORD_FIELDS);
	entry_parser_init(&parser);
	for (unsigned i = 0; i < LIMIT_RECORD_FIELDS; i++)
		field_append_number(&b, FIELD_ROWS, 1);
	cr_assert_eq(entry_parse(&parser, buffer_slice(&b), &entry, &e), 0);
	field_append_number(&b, FIELD_ROWS, 1);
	cr_assert_eq(entry_parse(&parser, buffer_slice(&b), &entry, &e), -EBADMSG);
	entry_parser_done(&parser);
	buffer_done(&b);
}

static struct recorded_value through(
	const struct record_value *v, size_t kept, bool hidden, struct buffer *b)
{
	struct recorded_value ret = {0};

	buffer_clear(b);
	cr_assert_eq(value_append(b, v, kept, hidden), 0);
	cr_assert_eq(value_decode(buffer_slice(b), &ret), 0);
	return ret;
}

Test(format, values)
{
	struct record_value null = {VALUE_NULL, SLICE_EMPTY}, empty = {VALUE_TEXT, SLICE_EMPTY};
	struct record_value text = {VALUE_TEXT, S("0123456789")};
	struct record_value binary = {VALUE_BINARY, S("0123456789")};
	struct recorded_value v;
	struct buffer b;

	buffer_init(&b, 1000);
	cr_assert_eq(through(&null, 10, false, &b).form, VALUE_NULL);
	cr_assert_eq(through(&null, 10, true, &b).form, VALUE_NULL);
	cr_assert_eq(through(&empty, 10, false, &b).form, VALUE_TEXT);
	v = through(&text, 10, false, &b);
	cr_assert_eq(v.form, VALUE_TEXT);
	cr_assert(slice_equal(v.bytes, S("0123456789")));
	v = through(&binary, 4, false, &b);
	cr_assert_eq(v.form, VALUE_BINARY_CUT);
	cr_assert(slice_equal(v.bytes, S("0123")));
	cr_assert_eq(v.length, 10);
	/* SHA-256 of "0123456789" */
	cr_assert_eq(memcmp(v.digest.data, "\x84\xd8\x98\x77\xf0\xd4\x04\x1e", 8), 0);
	v = through(&text, 10, true, &b);
	cr_assert_eq(v.form, VALUE_HIDDEN);
	cr_assert_eq(v.length, 10);
	cr_assert_eq(v.bytes.length, 0);
	/* Nothing of a hidden value is in the bytes at all. */
	cr_assert_null(memmem(b.data, buffer_length(&b), "0123", 4));
	buffer_done(&b);
}

Test(format, damaged_values_are_refused)
{
	static const struct slice damaged[] = {
		{(const uint8_t *)"", 0},
		{(const uint8_t *)"\x06", 1},
		{(const uint8_t *)"\x00"
				  "x",
			2},
		{(const uint8_t *)"\x05"
				  "1234567",
			8},
		{(const uint8_t *)"\x05"
				  "12345678x",
			10},
		{(const uint8_t *)"\x03\0\0\0\0\0\0\0\x09", 9},
		/* Keeps more than there was. */
		{(const uint8_t *)"\x03\0\0\0\0\0\0\0\x01"
				  "01234567890123456789012345678901"
				  "ab",
			43},
	};

	for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
		struct recorded_value v;

		cr_assert_eq(value_decode(damaged[i], &v), -EBADMSG, "row %zu", i);
	}
}

Test(format, rows)
{
	struct record_value values[] = {{VALUE_TEXT, S("a")}, {VALUE_NULL, SLICE_EMPTY},
		{VALUE_TEXT, S("a long text that is cut")}};
	struct recorded_value v;
	struct buffer b;
	struct slice row;

	buffer_init(&b, 1000);
	cr_assert_eq(row_append(&b, values, ARRAY_SIZE(values), 6), 0);
	row = buffer_slice(&b);
	cr_assert_eq(row_take(&row, &v), 0);
	cr_assert(slice_equal(v.bytes, S("a")));
	cr_assert_eq(row_take(&row, &v), 0);
	cr_assert_eq(v.form, VALUE_NULL);
	cr_assert_eq(row_take(&row, &v), 0);
	cr_assert_eq(v.form, VALUE_TEXT_CUT);
	cr_assert(slice_equal(v.bytes, S("a long")));
	cr_assert_eq(row.length, 0);
	cr_assert_eq(row_take(&row, &v), -EBADMSG);
	buffer_done(&b);
}

Test(format, pairs)
{
	struct action_pair pair = {OPERATION_UPDATE, OBJECT_UNKNOWN, true, S("public.orders")};
	struct recorded_pair again;
	struct slice rest, bytes;
	struct buffer b;
	uint8_t field;

	buffer_init(&b, 10000);
	cr_assert_eq(pair_append(&b, &pair), 0);
	rest = buffer_slice(&b);
	cr_assert_eq(field_take(&rest, &field, &bytes), 0);
	cr_assert_eq(field, FIELD_PAIR);
	cr_assert_eq(pair_decode(bytes, &again), 0);
	cr_assert(again.everything);
	cr_assert_eq(again.state, OBJECT_UNKNOWN);
	cr_assert(slice_equal(again.operation, S("update")));
	cr_assert(slice_equal(again.object, S("public.orders")));
	cr_assert_eq(pair_decode(slice_head(bytes, 3), &again), -EBADMSG);
	cr_assert_eq(pair_decode(S("\x7f\x00"), &again), -EBADMSG);
	buffer_done(&b);
}
