/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of PostgreSQL's types, in both formats. That a real server accepts what comes out is tried
 * in tests/e2e/test_masked_values.py.
 */
#include <errno.h>
#include <math.h>

#include "base/bytes.h"
#include "masking_test.h"
#include "protocol/postgres/value_kind.h"

enum {
	BOOL = 16,
	BYTEA = 17,
	CHAR = 18,
	NAME = 19,
	INT8 = 20,
	INT4 = 23,
	TEXT = 25,
	JSON = 114,
	XML = 142,
	JSON_ARRAY = 199,
	CIDR = 650,
	FLOAT8 = 701,
	MONEY = 790,
	INET = 869,
	BYTEA_ARRAY = 1001,
	INT4_ARRAY = 1007,
	TEXT_ARRAY = 1009,
	VARCHAR_ARRAY = 1015,
	INT8_ARRAY = 1016,
	BPCHAR = 1042,
	VARCHAR = 1043,
	TIMESTAMPTZ = 1184,
	NUMERIC = 1700,
	RECORD = 2249,
	RECORD_ARRAY = 2287,
	UUID = 2950,
	TSVECTOR = 3614,
	JSONB = 3802,
	NUMRANGE = 3906,
	INT8RANGE = 3926,
	INT4RANGE = 3904,
	INT8MULTIRANGE = 4536,
	USER_TYPE = 70000,
};

#define BYTES(text) slice_of(text, sizeof(text) - 1)
#define IS_NULL "\1NULL"
#define SAME "\1SAME"

static struct value_column column_of(uint32_t oid, unsigned format, enum mask_strategy strategy)
{
	return (struct value_column){
		.type = {.oid = oid, .modifier = -1},
		.format = (uint16_t)format,
		.strategy = strategy,
	};
}

/* What comes out, in `ret`; the outcome or error. Tried with and without an index, which must
 * agree. */
static int mask(const struct masker *m, const struct value_column *column, struct slice value,
	struct buffer *ret)
{
	struct mask_source plain = mask_source_of(value), indexed = plain;
	struct detector_index index;
	struct buffer other;
	int r, again;

	buffer_init(&other, 1 << 20);
	detector_index_init(&index);
	cr_assert_eq(detector_index_build(m->engine, m->detectors, value, &index), 0);
	indexed.index = &index;
	buffer_clear(ret);
	r = value_mask(m, column, &plain, ret);
	again = value_mask(m, column, &indexed, &other);
	cr_assert_eq(r, again);
	cr_assert(slice_equal(buffer_slice(ret), buffer_slice(&other)));
	cr_assert(r == MASK_REPLACED || buffer_length(ret) == 0);
	buffer_done(&other);
	detector_index_done(&index);
	return r;
}

static void expect_bytes(const struct masker *m, const struct value_column *column,
	struct slice value, struct slice wanted)
{
	struct buffer out;
	int r, outcome = MASK_REPLACED;

	if (slice_equal_string(wanted, IS_NULL))
		outcome = MASK_TO_NULL;
	else if (slice_equal_string(wanted, SAME))
		outcome = MASK_UNCHANGED;
	buffer_init(&out, 1 << 20);
	r = mask(m, column, value, &out);
	cr_expect_eq(r, outcome, "type %u, \"%.*s\": %d instead of %d, \"%.*s\"", column->type.oid,
		SLICE_PRINT(value), r, outcome, SLICE_PRINT(buffer_slice(&out)));
	if (r == MASK_REPLACED && outcome == MASK_REPLACED)
		cr_expect(slice_equal(buffer_slice(&out), wanted),
			"type %u, \"%.*s\": wanted \"%.*s\", got \"%.*s\"", column->type.oid,
			SLICE_PRINT(value), SLICE_PRINT(wanted), SLICE_PRINT(buffer_slice(&out)));
	buffer_done(&out);
}

/* In text format, and by detectors alone. */
static void expect_found(
	const struct masker *m, uint32_t oid, const char *value, const char *wanted)
{
	struct value_column column = column_of(oid, VALUE_FORMAT_TEXT, MASK_NONE);

	expect_bytes(m, &column, slice_from_string(value), slice_from_string(wanted));
}

static void expect_whole(uint32_t oid, int32_t modifier, enum mask_strategy strategy,
	const char *value, const char *wanted)
{
	struct masker m = test_masker(0, MASK_NONE);
	struct value_column column = column_of(oid, VALUE_FORMAT_TEXT, strategy);

	column.type.modifier = modifier;
	expect_bytes(&m, &column, slice_from_string(value), slice_from_string(wanted));
}

Test(postgres_value, whole_values_of_types_that_hold_text)
{
	expect_whole(TEXT, -1, MASK_REDACT, "x", "[masked]");
	expect_whole(TEXT, -1, MASK_PARTIAL, "123-45-6789", "*******6789");
	expect_whole(TEXT, -1, MASK_NULL, "x", IS_NULL);
	expect_whole(VARCHAR, -1, MASK_REDACT, "x", "[masked]");
	expect_whole(VARCHAR, 8 + 4, MASK_REDACT, "x", "[masked]");
	expect_whole(VARCHAR, 7 + 4, MASK_REDACT, "x", IS_NULL);
	expect_whole(VARCHAR, 7 + 4, MASK_PARTIAL, "äöüäöü", "**üäöü");
	expect_whole(BPCHAR, 11 + 4, MASK_REDACT, "x          ", "[masked]   ");
	expect_whole(BPCHAR, 7 + 4, MASK_REDACT, "x      ", IS_NULL);
	expect_whole(BPCHAR, 8 + 4, MASK_PARTIAL, "123456  ", "**3456  ");
	expect_whole(BPCHAR, -1, MASK_REDACT, "x", "[masked]");
	expect_whole(NAME, -1, MASK_REDACT, "x", "[masked]");
	expect_whole(XML, -1, MASK_REDACT, "<a>x</a>", "[masked]");
	expect_whole(XML, -1, MASK_PARTIAL, "<a>x</a>", IS_NULL);
	expect_whole(XML, -1, MASK_PARTIAL, "abcdefgh", "****efgh");
	expect_whole(JSON, -1, MASK_REDACT, "{\"a\":1}", "\"[masked]\"");
	expect_whole(JSONB, -1, MASK_PARTIAL, "\"abcdef\"", "\"**cdef\"");
	expect_whole(BYTEA, -1, MASK_REDACT, "\\x00ff", "\\x5b6d61736b65645d");
	expect_whole(BYTEA, -1, MASK_PARTIAL, "\\x313233343536", "\\x2a2a33343536");
	expect_whole(BYTEA, -1, MASK_PARTIAL, "12\\063\\\\56", "\\x2a2a335c3536");
}

Test(postgres_value, whole_values_of_types_that_do_not)
{
	static const uint32_t types[] = {BOOL, CHAR, INT4, INT8, FLOAT8, NUMERIC, MONEY, INET, CIDR,
		TIMESTAMPTZ, UUID, TEXT_ARRAY, RECORD, TSVECTOR, INT8RANGE, USER_TYPE, 0,
		UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		expect_whole(types[i], -1, MASK_REDACT, "x", IS_NULL);
}

Test(postgres_value, whole_values_in_binary)
{
	struct masker m = test_masker(0, MASK_NONE);
	struct value_column column = column_of(TEXT, VALUE_FORMAT_BINARY, MASK_PARTIAL);

	expect_bytes(&m, &column, BYTES("abcdef"), BYTES("**cdef"));
	column = column_of(BYTEA, VALUE_FORMAT_BINARY, MASK_PARTIAL);
	expect_bytes(&m, &column, BYTES("\0\1abcd"), BYTES("**abcd"));
	column = column_of(JSONB, VALUE_FORMAT_BINARY, MASK_REDACT);
	expect_bytes(&m, &column, BYTES("\1{\"a\":1}"), BYTES("\1\"[masked]\""));
	column = column_of(JSON, VALUE_FORMAT_BINARY, MASK_REDACT);
	expect_bytes(&m, &column, BYTES("{}"), BYTES("\"[masked]\""));
	column = column_of(INT8, VALUE_FORMAT_BINARY, MASK_HASH);
	expect_bytes(&m, &column, BYTES("\0\0\0\0\0\0\0\1"), BYTES(IS_NULL));
	/* A type that the catalog calls text. */
	column = column_of(USER_TYPE, VALUE_FORMAT_BINARY, MASK_REDACT);
	column.type.text_like = true;
	expect_bytes(&m, &column, BYTES("x"), BYTES("[masked]"));
}

Test(postgres_value, findings_in_text)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(VARCHAR, VALUE_FORMAT_TEXT, MASK_NONE);

	expect_found(&m, TEXT, "a user@example.com b", "a [masked] b");
	expect_found(&m, TEXT, "nothing", SAME);
	expect_found(&m, TEXT, "", SAME);
	expect_found(&m, NAME, "user@example.com", "[masked]");
	expect_found(&m, NAME, "a@b.co aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"[masked] aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	expect_found(&m, NAME, "a@b.co aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		IS_NULL);
	column.type.modifier = 8 + 4;
	expect_bytes(&m, &column, BYTES("a@b.co"), BYTES("[masked]"));
	expect_bytes(&m, &column, BYTES("a@b.co x"), BYTES(IS_NULL));
	column = column_of(BPCHAR, VALUE_FORMAT_TEXT, MASK_NONE);
	column.type.modifier = 12 + 4;
	expect_bytes(&m, &column, BYTES("a@b.co x    "), BYTES("[masked] x  "));
	column.type.modifier = 9 + 4;
	expect_bytes(&m, &column, BYTES("a@b.co x "), BYTES(IS_NULL));
	m = test_masker(ALL_DETECTORS, MASK_NULL);
	expect_found(&m, TEXT, "a user@example.com b", IS_NULL);
}

Test(postgres_value, types_that_carry_nothing_are_left_alone)
{
	static const uint32_t plain[] = {
		BOOL, CHAR, INT4, TIMESTAMPTZ, UUID, INT4_ARRAY, INT4RANGE};
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
		struct value_column column = column_of(plain[i], VALUE_FORMAT_TEXT, MASK_NONE);

		expect_found(&m, plain[i], "user@example.com", SAME);
		cr_assert_eq(value_look(&m, &column), VALUE_LOOK_NEVER);
		column.format = VALUE_FORMAT_BINARY;
		cr_assert_eq(value_look(&m, &column), VALUE_LOOK_NEVER);
	}
}

Test(postgres_value, numbers_in_text)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	expect_found(&m, INT8, "4111111111111111", IS_NULL);
	expect_found(&m, INT8, "-4111111111111111", IS_NULL);
	expect_found(&m, INT8, "4111111111111112", SAME);
	expect_found(&m, NUMERIC, "4111111111111111.00", IS_NULL);
	expect_found(&m, NUMERIC, "0.4111111111111111", SAME);
	expect_found(&m, FLOAT8, "4.111111111111111e+15", IS_NULL);
	expect_found(&m, FLOAT8, "4.111111111111112e+15", SAME);
	expect_found(&m, MONEY, "$4,111,111,111,111,111.00", IS_NULL);
	expect_found(&m, MONEY, "$41,111,111,111,111.11", IS_NULL);
	expect_found(&m, MONEY, "4.111.111.111.111.111,00 EUR", IS_NULL);
	expect_found(&m, MONEY, "$12.50", SAME);
	expect_found(&m, INET, "10.0.0.1", IS_NULL);
	expect_found(&m, CIDR, "dead:beef::/32", IS_NULL);
	m = test_masker(1u << DETECTOR_EMAIL, MASK_REDACT);
	expect_found(&m, INET, "10.0.0.1", SAME);
}

static void put_u64(uint64_t value, uint8_t *ret)
{
	bytes_put_u64(ret, value);
}

static void expect_number(uint32_t type, struct slice value, int wanted)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(type, VALUE_FORMAT_BINARY, MASK_NONE);
	struct buffer out;
	int r;

	buffer_init(&out, 4096);
	r = mask(&m, &column, value, &out);
	cr_expect_eq(r, wanted, "type %u: %d instead of %d", type, r, wanted);
	buffer_done(&out);
}

Test(postgres_value, numbers_in_binary)
{
	static const int64_t integers[] = {
		4111111111111111, -4111111111111111, 378282246310005, 4222222222222};
	static const int64_t others[] = {
		0, 1, -1, 4111111111111112, INT64_MAX, INT64_MIN, 999999999999};
	uint8_t bytes[8];
	double d;

	for (size_t i = 0; i < ARRAY_SIZE(integers); i++) {
		put_u64((uint64_t)integers[i], bytes);
		expect_number(INT8, slice_of(bytes, 8), MASK_TO_NULL);
		expect_number(MONEY, slice_of(bytes, 8), MASK_TO_NULL);
		put_u64((uint64_t)integers[i] * 100, bytes);
		expect_number(MONEY, slice_of(bytes, 8), MASK_TO_NULL);
		d = (double)integers[i];
		memcpy(bytes, &d, 8);
		put_u64(*(uint64_t *)(void *)bytes, bytes);
		expect_number(FLOAT8, slice_of(bytes, 8), MASK_TO_NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		put_u64((uint64_t)others[i], bytes);
		expect_number(INT8, slice_of(bytes, 8), MASK_UNCHANGED);
	}
	static const double doubles[] = {
		0.5, -1.25, NAN, INFINITY, -INFINITY, 1e300, 1e19, 4111111111111112.0};
	for (size_t i = 0; i < ARRAY_SIZE(doubles); i++) {
		memcpy(bytes, &doubles[i], 8);
		put_u64(*(uint64_t *)(void *)bytes, bytes);
		expect_number(FLOAT8, slice_of(bytes, 8), MASK_UNCHANGED);
	}
	/* numeric: digits, weight, sign, scale, groups of four */
	expect_number(NUMERIC, BYTES("\0\4\0\3\0\0\0\0\x10\x0f\4\x57\4\x57\4\x57"), MASK_TO_NULL);
	expect_number(NUMERIC, BYTES("\0\4\0\3\x40\0\0\2\x10\x0f\4\x57\4\x57\4\x57"), MASK_TO_NULL);
	expect_number(NUMERIC, BYTES("\0\4\0\3\0\0\0\0\x10\x0f\4\x57\4\x57\4\x58"), MASK_UNCHANGED);
	/* 4111111111111111128, and one more group */
	expect_number(
		NUMERIC, BYTES("\0\5\0\4\0\0\0\0\1\x9b\4\x57\4\x57\4\x57\4\x68"), MASK_TO_NULL);
	expect_number(
		NUMERIC, BYTES("\0\5\0\5\0\0\0\0\1\x9b\4\x57\4\x57\4\x57\4\x68"), MASK_UNCHANGED);
	expect_number(NUMERIC, BYTES("\0\0\0\0\0\0\0\0"), MASK_UNCHANGED);
	expect_number(NUMERIC, BYTES("\0\0\0\0\xc0\0\0\0"), MASK_UNCHANGED);
	expect_number(NUMERIC, BYTES("\0\1\xff\xff\0\0\0\4\x10\x0f"), MASK_UNCHANGED);
	expect_number(NUMERIC, BYTES("\0\1\0\x7f\0\0\0\0\0\1"), MASK_UNCHANGED);
	/* inet: 10.0.0.1, ::1 */
	expect_number(INET, BYTES("\2\x20\0\4\x0a\0\0\1"), MASK_TO_NULL);
	expect_number(INET, BYTES("\3\x80\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"), MASK_TO_NULL);
}

Test(postgres_value, broken_binary_is_refused)
{
	static const struct {
		uint32_t type;
		struct slice value;
	} broken[] = {
		{INT8, {(const uint8_t *)"1234567", 7}},
		{FLOAT8, {(const uint8_t *)"", 0}},
		{MONEY, {(const uint8_t *)"123456789", 9}},
		{NUMERIC, {(const uint8_t *)"\0\1\0\0\0\0\0", 7}},
		{NUMERIC, {(const uint8_t *)"\0\2\0\0\0\0\0\0\0\1", 10}},
		{NUMERIC, {(const uint8_t *)"\0\1\0\0\x80\0\0\0\0\1", 10}},
		{NUMERIC, {(const uint8_t *)"\0\1\0\0\0\0\0\0\x27\x10", 10}},
		{INET, {(const uint8_t *)"\2\x20\0\4\x0a\0\0", 7}},
		{INET, {(const uint8_t *)"\4\x20\0\4\x0a\0\0\1", 8}},
		{JSONB, {(const uint8_t *)"\2{}", 3}},
		{JSONB, {(const uint8_t *)"", 0}},
		{TEXT_ARRAY, {(const uint8_t *)"\0\0\0\7\0\0\0\0\0\0\0\x19", 12}},
		{TEXT_ARRAY,
			{(const uint8_t *)"\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\5x",
				25}},
		{TEXT_ARRAY,
			{(const uint8_t *)"\0\0\0\1\0\0\0\0\0\0\0\x19\x7f\xff\xff\xff\0\0\0\1",
				20}},
		{TEXT_ARRAY,
			{(const uint8_t *)"\0\0\0\2\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\0\0\0\1"
					  "\xff\xff\xff\xff\0\0\0\1",
				28}},
		{TEXT_ARRAY, {(const uint8_t *)"\0\0\0\0\0\0\0\0\0\0\0\x19x", 13}},
		{RECORD, {(const uint8_t *)"\0\0\0\1\0\0\0\x19\0\0\0\2x", 13}},
		{RECORD, {(const uint8_t *)"\xff\xff\xff\xff", 4}},
		{RECORD, {(const uint8_t *)"\0\0\0\0x", 5}},
		{INT8RANGE, {(const uint8_t *)"", 0}},
		{INT8RANGE, {(const uint8_t *)"\x20", 1}},
		{INT8RANGE, {(const uint8_t *)"\1x", 2}},
		{INT8RANGE, {(const uint8_t *)"\x10\0\0\0\4abcd", 9}},
		{INT8RANGE, {(const uint8_t *)"\x10\xff\xff\xff\xff", 5}},
		{INT8MULTIRANGE, {(const uint8_t *)"\0\0\0\2\0\0\0\1\1", 9}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		expect_number(broken[i].type, broken[i].value, -EBADMSG);
	/* In text format the same holds for bytea. */
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(BYTEA, VALUE_FORMAT_TEXT, MASK_NONE);
	struct buffer out;

	buffer_init(&out, 4096);
	cr_expect_eq(mask(&m, &column, BYTES("\\xabc"), &out), -EBADMSG);
	cr_expect_eq(mask(&m, &column, BYTES("\\xzz"), &out), -EBADMSG);
	buffer_done(&out);
}

Test(postgres_value, documents)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(JSONB, VALUE_FORMAT_BINARY, MASK_NONE);

	expect_found(&m, JSON, "{\"a\": \"user@example.com\"}", "{\"a\": \"[masked]\"}");
	expect_found(&m, JSONB, "[4111111111111111]", "[\"[masked]\"]");
	expect_found(&m, JSON, "\"user\\u0040example.com\"", "\"[masked]\"");
	expect_bytes(&m, &column, BYTES("\1{\"a\": \"a@b.de\"}"), BYTES("\1{\"a\": \"[masked]\"}"));
	expect_bytes(&m, &column, BYTES("\1{\"a\": 1}"), BYTES(SAME));
	expect_found(&m, XML, "<a>user@example.com</a>", "<a>[masked]</a>");
	expect_found(&m, XML, "<a>x &lt; a@b.de; <b/> c@d.de</a>",
		"<a>x &lt; [masked]; <b/> [masked]</a>");
	expect_found(&m, XML, "<a b=\"user@example.com\"/>", IS_NULL);
	expect_found(&m, XML, "<user@example.com/>", IS_NULL);
	expect_found(&m, XML, "<a>a@b.de]</a>", IS_NULL);
	expect_found(&m, XML, "<a>password=a&amp;b</a>", IS_NULL);
	expect_found(&m, XML, "<password>secret1</password>", "<password>[masked]</password>");
	expect_found(&m, XML, "<a>nothing</a>", SAME);
	expect_found(&m, BYTEA, "\\x75736572406578616d706c652e636f6d", "\\x5b6d61736b65645d");
	expect_found(&m, BYTEA, "\\x61406225", SAME);
	/* Too short for the encoded runs of text, but not for bytea. */
	expect_found(&m, BYTEA, "\\x6140622e6465", "\\x5b6d61736b65645d");
	expect_found(&m, BYTEA, "\\000user@example.com", "\\x005b6d61736b65645d");
	expect_found(&m, BYTEA, "user\\100example.com", "\\x5b6d61736b65645d");
	column = column_of(BYTEA, VALUE_FORMAT_BINARY, MASK_NONE);
	expect_bytes(&m, &column, BYTES("\0a@b.de\0\xff"), BYTES("\0[masked]\0\xff"));
}

Test(postgres_value, opaque_types)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(USER_TYPE, VALUE_FORMAT_BINARY, MASK_NONE);

	expect_found(&m, TSVECTOR, "'user@example.com':1", IS_NULL);
	expect_found(&m, TSVECTOR, "'a':1", SAME);
	expect_found(&m, USER_TYPE, "user@example.com", IS_NULL);
	expect_found(&m, USER_TYPE, "\"a\"=>\"b\"", SAME);
	expect_bytes(&m, &column, BYTES("\0\0\1a@b.de"), BYTES(IS_NULL));
	column = column_of(USER_TYPE, VALUE_FORMAT_TEXT, MASK_NONE);
	column.type.text_like = true;
	expect_bytes(&m, &column, BYTES("user@example.com"), BYTES("[masked]"));
	expect_found(&m, INT8RANGE, "[4111111111111111,)", IS_NULL);
	expect_found(&m, INT8RANGE, "[1,2)", SAME);
}

Test(postgres_value, arrays_in_text)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	expect_found(&m, TEXT_ARRAY, "{a,user@example.com,NULL}", "{a,\"[masked]\",NULL}");
	expect_found(&m, TEXT_ARRAY, "{\"mail user@example.com\",\"x,y\"}",
		"{\"mail [masked]\",\"x,y\"}");
	expect_found(
		&m, TEXT_ARRAY, "{{a@b.de,b},{c,d@e.fr}}", "{{\"[masked]\",b},{c,\"[masked]\"}}");
	expect_found(&m, TEXT_ARRAY, "[0:1]={a@b.de,b}", "[0:1]={\"[masked]\",b}");
	expect_found(&m, TEXT_ARRAY, "{\"http://u:p\\\\\\\"w@h/ x\"}", SAME);
	expect_found(&m, TEXT_ARRAY, "{\"\\\\ a@b.de \\\"\"}", "{\"\\\\ [masked] \\\"\"}");
	expect_found(&m, TEXT_ARRAY, "{a,b}", SAME);
	expect_found(&m, TEXT_ARRAY, "{}", SAME);
	expect_found(&m, INT8_ARRAY, "{1,4111111111111111}", "{1,NULL}");
	expect_found(&m, JSON_ARRAY, "{\"{\\\"a\\\": \\\"user@example.com\\\"}\",1}",
		"{\"{\\\"a\\\": \\\"[masked]\\\"}\",1}");
	expect_found(&m, BYTEA_ARRAY, "{\"\\\\x6140622e6465\"}", "{\"\\\\x5b6d61736b65645d\"}");
	expect_found(&m, RECORD_ARRAY, "{\"(1,a@b.de)\"}", "{\"(1,)\"}");
	/* What is no array can't be mended. */
	expect_found(&m, TEXT_ARRAY, "{a@b.de", IS_NULL);
	expect_found(&m, TEXT_ARRAY, "{a@b.de}}", IS_NULL);
	expect_found(&m, TEXT_ARRAY, "a@b.de", IS_NULL);
	expect_found(&m, TEXT_ARRAY, "{\"a@b.de", IS_NULL);
	expect_found(&m, TEXT_ARRAY, "[0:1]", SAME);
	m = test_masker(ALL_DETECTORS, MASK_NULL);
	expect_found(&m, TEXT_ARRAY, "{a,user@example.com}", "{a,NULL}");
}

#define TEXT_OID "\0\0\0\x19"
#define VARCHAR_OID "\0\0\4\x13"
#define ONE_DIMENSION "\0\0\0\1"

Test(postgres_value, arrays_in_binary)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(TEXT_ARRAY, VALUE_FORMAT_BINARY, MASK_NONE);

	expect_bytes(&m, &column,
		BYTES(ONE_DIMENSION "\0\0\0\0" TEXT_OID "\0\0\0\2\0\0\0\1"
				    "\0\0\0\1a\0\0\0\6a@b.de"),
		BYTES(ONE_DIMENSION "\0\0\0\1" TEXT_OID "\0\0\0\2\0\0\0\1"
				    "\0\0\0\1a\0\0\0\x8[masked]"));
	expect_bytes(&m, &column,
		BYTES(ONE_DIMENSION "\0\0\0\1" TEXT_OID "\0\0\0\2\0\0\0\1"
				    "\xff\xff\xff\xff\0\0\0\1b"),
		BYTES(SAME));
	expect_bytes(&m, &column, BYTES("\0\0\0\0\0\0\0\0" TEXT_OID), BYTES(SAME));
	column = column_of(INT8_ARRAY, VALUE_FORMAT_BINARY, MASK_NONE);
	expect_bytes(&m, &column,
		BYTES(ONE_DIMENSION "\0\0\0\0\0\0\0\x14\0\0\0\1\0\0\0\1"
				    "\0\0\0\x8\0\x0e\x9b\x08\xa5\x68\xf1\xc7"),
		BYTES(ONE_DIMENSION "\0\0\0\1\0\0\0\x14\0\0\0\1\0\0\0\1"
				    "\xff\xff\xff\xff"));
}

Test(postgres_value, records)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(RECORD, VALUE_FORMAT_BINARY, MASK_NONE);

	/* Types of fields are not told in text format. */
	expect_found(&m, RECORD, "(1,Ann,a@b.de)", "(1,Ann,)");
	expect_found(&m, RECORD, "(1,\"a \"\"b\"\" \\\\ a@b.de\",x)", "(1,,x)");
	expect_found(&m, RECORD, "(1,2)", SAME);
	expect_found(&m, RECORD, "()", SAME);
	expect_found(&m, RECORD, "(a@b.de", IS_NULL);
	expect_found(&m, RECORD, "(a@b.de)x", IS_NULL);
	expect_bytes(&m, &column,
		BYTES("\0\0\0\2" TEXT_OID "\0\0\0\6a@b.de\0\0\0\x17\0\0\0\4\0\0\0\1"),
		BYTES("\0\0\0\2" TEXT_OID "\0\0\0\x8[masked]\0\0\0\x17\0\0\0\4\0\0\0\1"));
	expect_bytes(&m, &column,
		BYTES("\0\0\0\2" TEXT_OID "\xff\xff\xff\xff\0\1\x11\x70\0\0\0\6a@b.de"),
		BYTES("\0\0\0\2" TEXT_OID "\xff\xff\xff\xff\0\1\x11\x70\xff\xff\xff\xff"));
}

/* "select t from t" where t is (id int8, name text, ssn text, card numeric). */
Test(postgres_value, whole_rows)
{
	static const struct value_field fields[] = {{{INT8, -1, false}, MASK_NONE},
		{{TEXT, -1, false}, MASK_NONE}, {{TEXT, -1, false}, MASK_PARTIAL},
		{{NUMERIC, -1, false}, MASK_REDACT}};
	struct masker detecting = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct masker plain = test_masker(0, MASK_NONE);
	struct value_column column = column_of(USER_TYPE, VALUE_FORMAT_TEXT, MASK_NONE);

	column.fields = fields;
	column.field_count = ARRAY_SIZE(fields);
	expect_bytes(&plain, &column, BYTES("(7,Ann,123-45-6789,1.5)"),
		BYTES("(7,Ann,\"*******6789\",)"));
	expect_bytes(&plain, &column, BYTES("(7,Ann,,)"), BYTES(SAME));
	expect_bytes(&plain, &column, BYTES("(7,a@b.de,\"a, \"\"b\"\"\",)"),
		BYTES("(7,a@b.de,\"** \"\"b\"\"\",)"));
	expect_bytes(&detecting, &column, BYTES("(4111111111111111,a@b.de,,)"),
		BYTES("(,\"[masked]\",,)"));
	/* Another number of fields than we know of: nothing may be shown. */
	expect_bytes(&plain, &column, BYTES("(7,Ann,123-45-6789)"), BYTES(IS_NULL));
	expect_bytes(&plain, &column, BYTES("(7,Ann,123-45-6789,1,2)"), BYTES(IS_NULL));
	expect_bytes(&plain, &column, BYTES("7,Ann,123-45-6789,1"), BYTES(IS_NULL));
	column.format = VALUE_FORMAT_BINARY;
	expect_bytes(&plain, &column,
		BYTES("\0\0\0\4\0\0\0\x14\xff\xff\xff\xff" TEXT_OID "\0\0\0\1b" TEXT_OID
		      "\0\0\0\6abcdef\0\0\6\xa4\0\0\0\x8\0\0\0\0\0\0\0\0"),
		BYTES("\0\0\0\4\0\0\0\x14\xff\xff\xff\xff" TEXT_OID "\0\0\0\1b" TEXT_OID
		      "\0\0\0\6**cdef\0\0\6\xa4\xff\xff\xff\xff"));
	expect_bytes(&plain, &column, BYTES("\0\0\0\1" TEXT_OID "\0\0\0\1b"), BYTES(IS_NULL));
}

Test(postgres_value, ranges_in_binary)
{
	/* 4111111111111111 as int8 */
	static const char found[] =
		"\2\0\0\0\x8\0\x0e\x9b\x08\xa5\x68\xf1\xc7\0\0\0\x8\0\0\0\0\0\0\0\2";
	static const char clean[] = "\2\0\0\0\x8\0\0\0\0\0\0\0\1\0\0\0\x8\0\0\0\0\0\0\0\2";

	expect_number(INT8RANGE, BYTES(found), MASK_TO_NULL);
	expect_number(INT8RANGE, BYTES(clean), MASK_UNCHANGED);
	expect_number(INT8RANGE, BYTES("\1"), MASK_UNCHANGED);
	expect_number(INT8RANGE, BYTES("\x18"), MASK_UNCHANGED);
	expect_number(INT8RANGE, BYTES("\x10\0\0\0\x8\0\0\0\0\0\0\0\1"), MASK_UNCHANGED);
	expect_number(INT8MULTIRANGE, BYTES("\0\0\0\1\0\0\0\1\1"), MASK_UNCHANGED);
	expect_number(INT8MULTIRANGE, BYTES("\0\0\0\0"), MASK_UNCHANGED);
	expect_number(NUMRANGE, BYTES("\x12\0\0\0\x10\0\4\0\3\0\0\0\0\x10\x0f\4\x57\4\x57\4\x57"),
		MASK_TO_NULL);
}

/* COPY of a query: nobody says what the types are. */
Test(postgres_value, unknown_types_by_their_form)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(0, VALUE_FORMAT_BINARY, MASK_NONE);

	expect_found(&m, 0, "a user@example.com", "a [masked]");
	expect_found(&m, 0, "{\"a\":\"user@example.com\"}", "{\"a\":\"[masked]\"}");
	expect_found(&m, 0, "[{\"password\":\"x\"}]", "[{\"password\":\"[masked]\"}]");
	expect_found(&m, 0, "\"x\\nuser@example.com\"", "\"x\\n[masked]\"");
	expect_found(&m, 0, "{a,user@example.com}", IS_NULL);
	expect_found(&m, 0, "{\"a\",\"{\\\"password\\\": \\\"x\\\"}\"}", IS_NULL);
	expect_found(&m, 0, "{a,b}", SAME);
	expect_found(&m, 0, "{4111111111111111,1}", IS_NULL);
	expect_found(&m, 0, "{[1,2),[4111111111111111,)}", IS_NULL);
	expect_found(&m, 0, "[4111111111111111,5]", IS_NULL);
	expect_found(&m, 0, "[\"x\",4111111111111111]", "[\"x\",\"[masked]\"]");
	expect_found(&m, 0, "{user@example.com is in braces", "{[masked] is in braces");
	expect_found(&m, 0, "(1,user@example.com)", IS_NULL);
	expect_found(&m, 0, "(a,user@example.com]", IS_NULL);
	expect_found(&m, 0, "(212) 555-0123 or a@b.de", "[masked] or [masked]");
	expect_found(&m, 0, "<a>user@example.com</a>", "<a>[masked]</a>");
	expect_found(&m, 0, "\\x75736572406578616d706c652e636f6d", "\\x5b6d61736b65645d");
	expect_found(&m, 0, "4111111111111111", IS_NULL);
	expect_found(&m, 0, "-4111111111111111.50", IS_NULL);
	expect_found(&m, 0, "4.111111111111111e+15", IS_NULL);
	expect_found(&m, 0, "10.0.0.1", IS_NULL);
	expect_found(&m, 0, "123-45-6789", "[masked]");
	expect_found(&m, 0, "", SAME);
	expect_bytes(&m, &column, BYTES("mail a@b.de"), BYTES("mail [masked]"));
	expect_bytes(&m, &column, BYTES("\0a@b.de"), BYTES(IS_NULL));
	expect_bytes(&m, &column, BYTES("\0\x0e\x9b\x08\xa5\x68\xf1\xc7"), BYTES(IS_NULL));
	expect_bytes(
		&m, &column, BYTES("\0\4\0\3\0\0\0\0\x10\x0f\4\x57\4\x57\4\x57"), BYTES(IS_NULL));
	expect_bytes(&m, &column, BYTES("\0\0\0\1"), BYTES(SAME));
	expect_bytes(&m, &column, BYTES(""), BYTES(SAME));
}

/* Arrays of composites of arrays …: the depth is bounded, and what lies deeper is still searched.
 */
Test(postgres_value, nesting)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(RECORD, VALUE_FORMAT_BINARY, MASK_NONE);
	struct buffer value, out;

	buffer_init(&value, 1 << 20);
	buffer_init(&out, 1 << 20);
	for (unsigned depth = 1; depth < 2000; depth = depth * 2 + 1) {
		buffer_clear(&value);
		for (unsigned i = 0; i < depth; i++) {
			buffer_append(&value, "\0\0\0\1\0\0\x8\xc9", 8);
			buffer_append_u32(&value, 12 * (depth - 1 - i) + 18 - 4);
		}
		buffer_append(&value, "\0\0\0\1" TEXT_OID "\0\0\0\2hi", 14);
		cr_assert_eq(mask(&m, &column, buffer_slice(&value), &out), MASK_UNCHANGED);
		buffer_truncate(&value, buffer_length(&value) - 6);
		buffer_append(&value, "\0\0\0\6a@b.de", 10);
		for (unsigned i = 0; i < depth; i++)
			bytes_put_u32(value.data + 12 * i + 8, 12 * (depth - 1 - i) + 18);
		cr_assert_eq(mask(&m, &column, buffer_slice(&value), &out), MASK_REPLACED);
		cr_assert_null(memmem(out.data, buffer_length(&out), "a@b.de", 6));
	}
	buffer_done(&value);
	buffer_done(&out);
}

#define USER_OID "\0\1\x11\x70"
#define CARD "\0\0\0\x8\0\x0e\x9b\x08\xa5\x68\xf1\xc7" /* 4111111111111111, with its length */
#define NUMBER "\0\0\0\x8\0\0\0\0\0\0\0\1"

/* Of a type that is not built in nobody told the form: it may be that of any other. */
Test(postgres_value, foreign_types)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(USER_TYPE, VALUE_FORMAT_BINARY, MASK_NONE);

	expect_bytes(&m, &column, BYTES(ONE_DIMENSION "\0\0\0\0" USER_OID "\0\0\0\1\0\0\0\1" CARD),
		BYTES(IS_NULL));
	expect_bytes(&m, &column,
		BYTES(ONE_DIMENSION "\0\0\0\0" USER_OID "\0\0\0\1\0\0\0\1" NUMBER), BYTES(SAME));
	expect_bytes(&m, &column, BYTES("\0\0\0\2" USER_OID NUMBER USER_OID CARD), BYTES(IS_NULL));
	expect_bytes(&m, &column, BYTES("\0\0\0\2" USER_OID NUMBER USER_OID NUMBER), BYTES(SAME));
	expect_bytes(&m, &column, BYTES("\x10" CARD), BYTES(IS_NULL));
	expect_bytes(&m, &column, BYTES("\0\0\0\1\0\0\0\x0d\x10" CARD), BYTES(IS_NULL));
	/* A composite with an array of them. */
	expect_bytes(&m, &column,
		BYTES("\0\0\0\1" USER_OID "\0\0\0\x20" ONE_DIMENSION "\0\0\0\0" USER_OID
		      "\0\0\0\1\0\0\0\1" CARD),
		BYTES(IS_NULL));
	expect_found(&m, USER_TYPE, "(1,\"{\"\"password\"\": \"\"geheim\"\"}\")", IS_NULL);
	expect_found(&m, USER_TYPE, "{\"{\\\"a\\\": \\\"user\\\\u0040example.com\\\"}\"}", IS_NULL);
	expect_found(&m, USER_TYPE, "(1,\"{\"\"ok\"\": \"\"x\"\"}\")", SAME);
}

/* The modifier of varchar(5)[] is about its elements. */
Test(postgres_value, arrays_of_limited_length)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct value_column column = column_of(VARCHAR_ARRAY, VALUE_FORMAT_TEXT, MASK_NONE);

	column.type.modifier = 6 + 4;
	expect_bytes(&m, &column, BYTES("{a@b.de,b}"), BYTES("{NULL,b}"));
	column.type.modifier = 8 + 4;
	expect_bytes(&m, &column, BYTES("{a@b.de,b}"), BYTES("{\"[masked]\",b}"));
	column = column_of(VARCHAR_ARRAY, VALUE_FORMAT_BINARY, MASK_NONE);
	column.type.modifier = 6 + 4;
	expect_bytes(&m, &column,
		BYTES(ONE_DIMENSION "\0\0\0\0" VARCHAR_OID "\0\0\0\1\0\0\0\1"
				    "\0\0\0\6a@b.de"),
		BYTES(ONE_DIMENSION "\0\0\0\1" VARCHAR_OID "\0\0\0\1\0\0\0\1"
				    "\xff\xff\xff\xff"));
}
