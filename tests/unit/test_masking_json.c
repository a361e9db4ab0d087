/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON stays JSON: each result is parsed by cJSON, and, but for what was masked, says the same.
 */
#include <cjson/cJSON.h>
#include <errno.h>

#include "masking/json_text.h"
#include "masking_test.h"

/* The masked text, with its own index where `indexed`; "NULL" for MASK_TO_NULL. To be freed. */
static char *mask_json(const struct masker *m, const char *json, bool indexed)
{
	struct mask_source source = mask_source_of(slice_from_string(json));
	struct detector_index index;
	struct buffer out;
	char *copy;
	int r;

	detector_index_init(&index);
	if (indexed) {
		cr_assert_eq(detector_index_build(m->engine, m->detectors, source.text, &index), 0);
		source.index = &index;
	}
	buffer_init(&out, 1 << 20);
	r = json_mask_findings(m, &source, &out);
	cr_assert_geq(r, 0);
	cr_assert_eq(r == MASK_REPLACED, buffer_length(&out) > 0, "%s", json);
	if (r == MASK_TO_NULL)
		copy = memory_copy_string("NULL");
	else if (r == MASK_UNCHANGED)
		copy = memory_copy_string(json);
	else
		copy = memory_copy_text(out.data, buffer_length(&out));
	buffer_done(&out);
	detector_index_done(&index);
	return copy;
}

static bool is_json(const char *text)
{
	cJSON *parsed = cJSON_Parse(text);

	cJSON_Delete(parsed);
	return parsed;
}

static void expect(const struct masker *m, const char *json, const char *wanted)
{
	for (unsigned indexed = 0; indexed < 2; indexed++) {
		char *got = mask_json(m, json, indexed);

		cr_expect_str_eq(got, wanted, "%s: wanted %s, got %s", json, wanted, got);
		/* cJSON takes no half of a surrogate pair, PostgreSQL's json does. */
		if (strcmp(wanted, "NULL") != 0 && is_json(json))
			cr_expect(is_json(got), "no JSON: %s", got);
		free(got);
	}
}

Test(masking_json, findings_stay_in_their_strings)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	expect(&m, "{\"a\": \"user@example.com\", \"b\": [1, 2.5, true, null]}",
		"{\"a\": \"[masked]\", \"b\": [1, 2.5, true, null]}");
	expect(&m, "\"mail user@example.com now\"", "\"mail [masked] now\"");
	expect(&m, "[\"123-45-6789\",\"x\",\"a@b.de c@d.de\"]",
		"[\"[masked]\",\"x\",\"[masked] [masked]\"]");
	expect(&m, " { \"user@example.com\" : 1 } ", " { \"[masked]\" : 1 } ");
	expect(&m, "{\"a\":\"nothing\"}", "{\"a\":\"nothing\"}");
	expect(&m, "{}", "{}");
	expect(&m, "[[[[\"a@b.de\"]]]]", "[[[[\"[masked]\"]]]]");
}

Test(masking_json, numbers_become_strings)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_PARTIAL);

	expect(&m, "{\"n\":4111111111111111,\"m\":-12}", "{\"n\":\"************1111\",\"m\":-12}");
	expect(&m, "[4.111111111111111e+15]", "[\"*****************e+15\"]");
	expect(&m, "4111111111111111", "\"************1111\"");
	expect(&m, "[4111111111111112]", "[4111111111111112]");
}

Test(masking_json, escapes)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	expect(&m, "{\"a\":\"x\\nuser@example.com\\ty\"}", "{\"a\":\"x\\n[masked]\\ty\"}");
	expect(&m, "\"user\\u0040example.com\"", "\"[masked]\"");
	expect(&m, "\"\\u0075ser@example.com\\u0020\\u00e9\"", "\"[masked]\\u0020\\u00e9\"");
	expect(&m, "\"\\ud83d\\ude00 user@example.com \\ud83d\"",
		"\"\\ud83d\\ude00 [masked] \\ud83d\"");
	expect(&m, "\"http:\\/\\/u:pass\\\"word@h\\/\"", "\"http:\\/\\/u:pass\\\"word@h\\/\"");
	expect(&m, "\"http:\\/\\/u:password@h\\/\"", "\"http:\\/\\/u:[masked]@h\\/\"");
	expect(&m, "\"\\u0031\\u0032\\u0033-45-6789\"", "\"[masked]\"");
	expect(&m, "{\"a\\u0062\\n\":\"nothing\"}", "{\"a\\u0062\\n\":\"nothing\"}");
	m = test_masker(ALL_DETECTORS, MASK_PARTIAL);
	/* A pair of escapes is one character. */
	expect(&m, "{\"password\":\"\\ud83d\\ude00abcdef\"}", "{\"password\":\"***cdef\"}");
	/* What is kept is escaped again. */
	expect(&m, "{\"password\":\"abcdef\\\"\\\\\\u0001\\n\"}",
		"{\"password\":\"******\\\"\\\\\\u0001\\u000a\"}");
}

/* Some servers send one, and most readers pass over it: it hides no escapes. */
Test(masking_json, byte_order_mark)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	expect(&m, "\xef\xbb\xbf[\"user\\u0040example.com\"]", "\xef\xbb\xbf[\"[masked]\"]");
	expect(&m, "\xef\xbb\xbf{\"password\":12345}", "\xef\xbb\xbf{\"password\":\"[masked]\"}");
}

Test(masking_json, names_make_secrets)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	expect(&m, "{\"password\": \"hunter2\", \"user\": \"bob\"}",
		"{\"password\": \"[masked]\", \"user\": \"bob\"}");
	expect(&m, "{\"db_password\":12345}", "{\"db_password\":\"[masked]\"}");
	expect(&m, "{\"password\":[\"a b\",\"c\"],\"x\":\"y\"}",
		"{\"password\":[\"[masked]\",\"[masked]\"],\"x\":\"y\"}");
	expect(&m, "{\"password\":{\"x\":\"y\"},\"z\":\"w\"}",
		"{\"password\":{\"x\":\"y\"},\"z\":\"w\"}");
	expect(&m, "{\"password\":null,\"passwd\":true,\"pass\":\"x\"}",
		"{\"password\":null,\"passwd\":true,\"pass\":\"[masked]\"}");
	expect(&m, "{\"\\u0070assword\":\"x y\"}", "{\"\\u0070assword\":\"[masked]\"}");
	expect(&m, "{\"api_key\":\"abcdefgh\",\"max_tokens\":4096,\"token\":12}",
		"{\"api_key\":\"[masked]\",\"max_tokens\":4096,\"token\":12}");
	expect(&m, "{\"ssn\":123456789,\"id\":123456789}",
		"{\"ssn\":\"[masked]\",\"id\":123456789}");
	expect(&m, "{\"phone\":\"2125550123\",\"n\":\"2125550123\"}",
		"{\"phone\":\"[masked]\",\"n\":\"2125550123\"}");
	expect(&m, "{\"private_key\":\"-----BEGIN PRIVATE KEY-----\\nMII\\n\"}",
		"{\"private_key\":\"[masked]\"}");
	expect(&m, "[\"password\", \"x\"]", "[\"password\", \"x\"]");
}

Test(masking_json, null_and_broken)
{
	struct masker redact = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct masker null = test_masker(ALL_DETECTORS, MASK_NULL);
	static const char *const broken[] = {"{\"a\": \"user@example.com", "user@example.com",
		"{\"a\": 'user@example.com'}", "\"\\q user@example.com\"",
		"[\"user@example.com\", \x01]", "\"user@example.com\\", "{\"user@example.com\" ; }",
		"\"\\u00zz user@example.com\""};

	expect(&null, "{\"a\":\"user@example.com\"}", "NULL");
	expect(&null, "[4111111111111111]", "NULL");
	expect(&null, "{\"a\":\"b\"}", "{\"a\":\"b\"}");
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++)
		expect(&redact, broken[i], "NULL");
}

static void expect_whole(
	const struct masker *m, enum mask_strategy strategy, const char *json, const char *wanted)
{
	struct buffer out;

	buffer_init(&out, 4096);
	cr_assert_eq(json_mask_whole(m, strategy, slice_from_string(json), &out), 0);
	cr_expect(slice_equal_string(buffer_slice(&out), wanted), "%s: wanted %s, got %.*s", json,
		wanted, SLICE_PRINT(buffer_slice(&out)));
	buffer_done(&out);
}

Test(masking_json, whole_values)
{
	struct masker m = test_masker(0, MASK_NONE);

	expect_whole(&m, MASK_REDACT, "{\"a\":1}", "\"[masked]\"");
	expect_whole(&m, MASK_PARTIAL, " \"123-45-6789\" ", "\"*******6789\"");
	expect_whole(&m, MASK_PARTIAL, "\"12\\u0033-45-6789\"", "\"*******6789\"");
	expect_whole(&m, MASK_PARTIAL, "{\"abc\":\"d\"}", "\"*******\\\"d\\\"}\"");
	expect_whole(&m, MASK_PARTIAL, "[\"a\\\\\"]", "\"***\\\\\\\\\\\"]\"");
	expect_whole(&m, MASK_PARTIAL, "\"a\" \"b\"", "\"*** \\\"b\\\"\"");
	expect_whole(&m, MASK_PARTIAL, "12345", "\"*2345\"");
	expect_whole(&m, MASK_REDACT, "", "\"[masked]\"");
}

Test(masking_json, limits)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct mask_source source = mask_source_of(slice_from_string("[\"user@example.com\"]"));
	struct buffer out;

	buffer_init(&out, 6);
	cr_assert_eq(json_mask_findings(&m, &source, &out), -E2BIG);
	cr_assert_eq(buffer_length(&out), 0);
	cr_assert_eq(json_mask_whole(&m, MASK_REDACT, source.text, &out), -E2BIG);
	cr_assert_eq(buffer_length(&out), 0);
	buffer_done(&out);
}

/* The text is indexed in runs of 64 KiB. */
#define RUN 65536

static void expect_behind(const struct masker *m, size_t before)
{
	static const char values[] = "\",\"user@example.com\",4111111111111111,\"card 4111 1111 "
				     "1111 1111.\",{\"password\":\"hunter22\",\"n\":17}]";
	static const char masked[] = "\",\"[masked]\",\"[masked]\",\"card "
				     "[masked].\",{\"password\":\"[masked]\",\"n\":17}]";
	char *json = memory_new(before + 2 + sizeof(values)), *got;

	memcpy(json, "[\"", 2);
	memset(json + 2, '.', before);
	memcpy(json + 2 + before, values, sizeof(values));
	got = mask_json(m, json, false);
	cr_expect_str_eq(got + 2 + before, masked, "behind %zu: %s", before, got + 2 + before);
	free(got);
	free(json);
}

Test(masking_json, wherever_a_run_ends)
{
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);

	for (size_t before = RUN - 150; before < RUN + 10; before++)
		expect_behind(&m, before);
	expect_behind(&m, 5 * RUN + 7);
}
