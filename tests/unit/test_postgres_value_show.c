/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters in binary format as people see them who decide about a statement.
 */
#include <errno.h>

#include "masking_test.h"
#include "protocol/postgres/bind.h"
#include "protocol/postgres/value_show.h"

#define BYTES(text) slice_of(text, sizeof(text) - 1)

enum {
	BYTEA = 17,
	NAME = 19,
	INT8 = 20,
	INT2 = 21,
	INT4 = 23,
	TEXT = 25,
	OID = 26,
	JSON = 114,
	XML = 142,
	FLOAT4 = 700,
	FLOAT8 = 701,
	UNKNOWN = 705,
	INT8_ARRAY = 1016,
	BPCHAR = 1042,
	VARCHAR = 1043,
	TIMESTAMPTZ = 1184,
	NUMERIC = 1700,
	JSONB = 3802,
	USER_TYPE = 70000,
};

/* 4111111111111111, which is a card's number. */
#define CARD_INT8 "\x00\x0e\x9b\x08\xa5\x68\xf1\xc7"
#define CARD_NUMERIC "\x00\x04\x00\x03\x00\x00\x00\x00\x10\x0f\x04\x57\x04\x57\x04\x57"

static struct buffer out;

static void set_up(void)
{
	buffer_init(&out, 65536);
}

static void tear_down(void)
{
	buffer_done(&out);
}

TestSuite(value_show, .init = set_up, .fini = tear_down);

Test(value_show, numbers_are_written_as_the_server_would)
{
	const struct {
		uint32_t type;
		struct slice bytes;
		const char *text;
	} cases[] = {
		{INT2, BYTES("\x80\x00"), "-32768"},
		{INT4, BYTES("\x00\x00\x12\x67"), "4711"},
		{INT4, BYTES("\xff\xff\xff\xff"), "-1"},
		{OID, BYTES("\xff\xff\xff\xff"), "4294967295"},
		{INT8, BYTES(CARD_INT8), "4111111111111111"},
		{INT8, BYTES("\x80\0\0\0\0\0\0\0"), "-9223372036854775808"},
		{FLOAT4, BYTES("\x3d\xcc\xcc\xcd"), "0.1"},
		{FLOAT4, BYTES("\x7f\xc0\x00\x00"), "NaN"},
		{FLOAT8, BYTES("\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1"},
		{FLOAT8, BYTES("\x3f\xd3\x33\x33\x33\x33\x33\x34"), "0.30000000000000004"},
		{FLOAT8, BYTES("\xff\xf0\0\0\0\0\0\0"), "-Infinity"},
		{NUMERIC, BYTES("\0\0\0\0\0\0\0\0"), "0"},
		{NUMERIC, BYTES("\0\0\0\0\0\0\0\2"), "0.00"},
		{NUMERIC, BYTES("\0\1\0\0\x40\0\0\0\0\7"), "-7"},
		{NUMERIC, BYTES("\0\2\0\0\0\0\0\2\x12\x67\x13\x88"), "4711.50"},
		{NUMERIC, BYTES("\0\1\0\1\0\0\0\0\0\x0c"), "120000"},
		{NUMERIC, BYTES("\0\1\xff\xff\0\0\0\4\0\x0c"), "0.0012"},
		{NUMERIC, BYTES("\0\1\xff\xfe\0\0\0\6\x04\xb0"), "0.000012"},
		/* What is not normal: zeroes in front, more digits than the scale says. */
		{NUMERIC, BYTES("\0\2\0\1\0\0\0\0\0\0\0\5"), "5"},
		{NUMERIC, BYTES("\0\2\0\0\0\0\0\1\0\5\x04\xd2"), "5.1"},
		{NUMERIC, BYTES("\0\0\0\0\xc0\0\0\0"), "NaN"},
		{NUMERIC, BYTES("\0\0\0\0\xd0\0\0\x20"), "Infinity"},
		{NUMERIC, BYTES("\0\0\0\0\xf0\0\0\x20"), "-Infinity"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		buffer_clear(&out);
		cr_expect_eq(pg_number_put(cases[i].type, cases[i].bytes, &out), 0);
		cr_expect(slice_equal_string(buffer_slice(&out), cases[i].text), "%.*s, not %s",
			SLICE_PRINT(buffer_slice(&out)), cases[i].text);
	}
}

Test(value_show, what_is_no_number_is_not_written)
{
	const struct {
		uint32_t type;
		struct slice bytes;
		int error;
	} cases[] = {
		{TEXT, BYTES("4711"), -ENOTSUP},
		{0, BYTES("\0\0\x12\x67"), -ENOTSUP},
		{USER_TYPE, BYTES("\0\0\x12\x67"), -ENOTSUP},
		{INT4, BYTES("\0\0\0"), -EBADMSG},
		{INT8, BYTES("\0\0\x12\x67"), -EBADMSG},
		{FLOAT8, BYTES(""), -EBADMSG},
		{NUMERIC, BYTES(""), -EBADMSG},
		{NUMERIC, BYTES("\0\2\0\0\0\0\0\0\0\1"), -EBADMSG},
		{NUMERIC, BYTES("\0\1\0\0\0\0\0\0\x27\x10"), -EBADMSG},
		{NUMERIC, BYTES("\0\0\0\0\x80\0\0\0"), -EBADMSG},
		{NUMERIC, BYTES("\0\0\0\0\0\0\x40\0"), -EBADMSG},
		{NUMERIC, BYTES("\0\1\x7f\xff\0\0\0\0\0\1"), -E2BIG},
		{NUMERIC, BYTES("\0\1\x80\0\0\0\x3f\xff\0\1"), -E2BIG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cr_expect_eq(pg_number_put(cases[i].type, cases[i].bytes, &out), cases[i].error,
			"case %zu", i);
		cr_expect_eq(buffer_length(&out), 0, "case %zu", i);
	}
}

/* `shown`: what was appended. */
static void check_bytes(uint32_t type, struct slice bytes, int how, struct slice shown)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_PARTIAL);
	const struct protocol_value value = {
		.data = bytes, .binary = true, .type = type, .length = bytes.length};

	buffer_clear(&out);
	cr_expect_eq(pg_value_show(&m, &value, &out), how, "%u: %.*s", type, SLICE_PRINT(shown));
	cr_expect(slice_equal(buffer_slice(&out), shown), "%u: %.*s, not %.*s", type,
		SLICE_PRINT(buffer_slice(&out)), SLICE_PRINT(shown));
}

static void check(uint32_t type, struct slice bytes, int how, const char *text)
{
	check_bytes(type, bytes, how, slice_from_string(text));
}

#define ARRAY(has_null, elements)                                                                  \
	BYTES("\0\0\0\1\0\0\0" has_null "\0\0\0\x14\0\0\0\1\0\0\0\1" elements)
#define INT8_4711 "\0\0\0\0\0\0\x12\x67"

Test(value_show, detectors_find_numbers)
{
	check(INT4, BYTES("\0\0\x12\x67"), PROTOCOL_SHOWN_AS_TEXT, "4711");
	check(INT8, BYTES("\0\0\0\0\0\0\x12\x67"), PROTOCOL_SHOWN_AS_TEXT, "4711");
	check(INT8, BYTES(CARD_INT8), PROTOCOL_SHOWN_AS_TEXT, "************1111");
	check(INT8, BYTES("\xff\xf1\x64\xf7\x5a\x97\x0e\x39"), PROTOCOL_SHOWN_AS_TEXT,
		"-************1111");
	check(NUMERIC, BYTES(CARD_NUMERIC), PROTOCOL_SHOWN_AS_TEXT, "************1111");
	check(NUMERIC,
		BYTES("\x00\x05\x00\x03\x00\x00\x00\x02\x10\x0f\x04\x57\x04\x57\x04\x57\x13\x88"),
		PROTOCOL_SHOWN_AS_TEXT, "************1111.50");
	check(FLOAT8, BYTES("\x43\x2d\x36\x11\x4a\xd1\xe3\x8e"), PROTOCOL_SHOWN_AS_TEXT,
		"************1111");
}

Test(value_show, what_could_not_be_without_its_finding_is_not_shown)
{
	check_bytes(INT8_ARRAY, ARRAY("\0", "\0\0\0\x08" CARD_INT8), PROTOCOL_SHOWN_REPLACED,
		ARRAY("\1", "\xff\xff\xff\xff"));
	check(INT8_ARRAY, ARRAY("\0", "\0\0\0\x08" INT8_4711), PROTOCOL_SHOWN_AS_IT_IS, "");
	/* Nobody said of what type it is, or of one that is not built in. */
	check(0, BYTES(CARD_INT8), PROTOCOL_SHOWN_NOT, "");
	check(USER_TYPE, BYTES(CARD_INT8), PROTOCOL_SHOWN_NOT, "");
	check(0, BYTES("\0\0\x12\x67"), PROTOCOL_SHOWN_AS_IT_IS, "");
}

Test(value_show, others)
{
	check(TEXT, BYTES("card 4111111111111111"), PROTOCOL_SHOWN_REPLACED,
		"card ************1111");
	check(JSONB, BYTES("\1{\"card\": \"4111111111111111\"}"), PROTOCOL_SHOWN_REPLACED,
		"\1{\"card\": \"************1111\"}");
	check(TIMESTAMPTZ, BYTES("\0\2\x0a\xb5\x6b\x0c\x4d\x40"), PROTOCOL_SHOWN_AS_IT_IS, "");
	/* Which the server refuses. */
	check(INT8, BYTES("\0\0\x12\x67"), PROTOCOL_SHOWN_AS_IT_IS, "");
}

Test(value_show, text_is_text)
{
	static const uint32_t types[] = {TEXT, NAME, JSON, XML, UNKNOWN, BPCHAR, VARCHAR};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		check(types[i], BYTES("na\xc3\xafve"), PROTOCOL_SHOWN_AS_TEXT, "na\xc3\xafve");
	check(TEXT, BYTES(""), PROTOCOL_SHOWN_AS_TEXT, "");
	/* In another encoding, or none that the server takes. */
	check(TEXT, BYTES("na\xefve"), PROTOCOL_SHOWN_AS_IT_IS, "");
	check(TEXT, BYTES("a\0b"), PROTOCOL_SHOWN_AS_IT_IS, "");
	check(BYTEA, BYTES("a text"), PROTOCOL_SHOWN_AS_IT_IS, "");
	check(0, BYTES("a text"), PROTOCOL_SHOWN_AS_IT_IS, "");
}

Test(value_show, types_are_those_that_were_declared_or_described)
{
	struct protocol_value values[4] = {0};

	pg_bind_types(
		BYTES("\0\0\0\x19\0\0\0\0\0\0\0\0"), BYTES("\0\0\0\x14\0\0\0\x17"), values, 4);
	cr_expect_eq(values[0].type, TEXT);
	cr_expect_eq(values[1].type, INT4);
	cr_expect_eq(values[2].type, 0);
	cr_expect_eq(values[3].type, 0);
	pg_bind_types(SLICE_EMPTY, SLICE_EMPTY, values, 4);
	cr_expect_eq(values[0].type, 0);
}
