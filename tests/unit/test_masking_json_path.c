/* SPDX-License-Identifier: Apache-2.0
 *
 * Masks by path: which values they name, what takes their place, and what is no JSON.
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "masking/json_path.h"
#include "masking/json_reader.h"
#include "masking/source.h"

static struct masker masker;
static struct mask_json list[4];
static struct mask_rules rules;
static struct buffer out;

static void set_up(void)
{
	static const uint8_t key[MASK_KEY_BYTES] = {1};

	masker = (struct masker){.hasher = mask_hasher_new(key)};
	rules = (struct mask_rules){.json = list};
	buffer_init(&out, 1u << 20);
}

static void tear_down(void)
{
	mask_hasher_free(masker.hasher);
	buffer_done(&out);
}

TestSuite(json_path, .init = set_up, .fini = tear_down);

static void add(const char *path, enum mask_strategy strategy)
{
	list[rules.json_count++] =
		(struct mask_json){.path = slice_from_string(path), .strategy = strategy};
}

static int mask(const char *json)
{
	bool too_many;
	struct json_paths *p = json_paths_new(&rules, &too_many);
	int r;

	cr_assert_not_null(p);
	buffer_clear(&out);
	r = json_paths_mask(p, &masker, slice_from_string(json), &out);
	json_paths_free(p);
	return r;
}

static void expect(const char *json, const char *expected)
{
	int r = mask(json);

	if (strcmp(json, expected) == 0) {
		cr_expect_eq(r, MASK_UNCHANGED, "%s", json);
		return;
	}
	cr_expect_eq(r, MASK_REPLACED, "%s", json);
	cr_expect(slice_equal_string(buffer_slice(&out), expected), "%s → %.*s", json,
		SLICE_PRINT(buffer_slice(&out)));
}

Test(json_path, names_values)
{
	add("$.customers[*].ssn", MASK_REDACT);
	expect("{\"customers\": [{\"ssn\": \"1\", \"n\": 1}, {\"a\": {\"ssn\": 2}, \"ssn\": 3}]}",
		"{\"customers\": [{\"ssn\": \"[masked]\", \"n\": 1}, {\"a\": {\"ssn\": 2}, "
		"\"ssn\": "
		"\"[masked]\"}]}");
	expect("{\"customers\": {\"x\": {\"ssn\": 1}}}", "{\"customers\": {\"x\": {\"ssn\": 1}}}");
	expect("[{\"customers\": [{\"ssn\": 1}]}]", "[{\"customers\": [{\"ssn\": 1}]}]");
	expect("{\"customers\":[]}", "{\"customers\":[]}");
	expect("\"ssn\"", "\"ssn\"");
}

Test(json_path, every_kind_of_value)
{
	add("$.a", MASK_REDACT);
	expect("{\"a\":true,\"b\":[1,{\"a\":1}]}", "{\"a\":\"[masked]\",\"b\":[1,{\"a\":1}]}");
	expect("{\"a\":-1.5e+3}", "{\"a\":\"[masked]\"}");
	expect("{\"a\":null}", "{\"a\":null}");
	expect("{\"a\":{\"b\":[\"}\"]} ,\"c\":1}", "{\"a\":\"[masked]\" ,\"c\":1}");
	expect("{\"a\":[[],{}]}", "{\"a\":\"[masked]\"}");
}

Test(json_path, strategies)
{
	add("$.p", MASK_PARTIAL);
	add("$.n", MASK_NULL);
	add("$.*", MASK_PARTIAL);
	expect("{\"p\":\"123-45-6789\",\"n\":\"x\",\"q\":[12345678]}",
		"{\"p\":\"*******6789\",\"n\":null,\"q\":\"[masked]\"}");
	add("$.p", MASK_REDACT);
	expect("{\"p\":\"123-45-6789\"}", "{\"p\":\"[masked]\"}");
}

Test(json_path, places)
{
	add("$[1]", MASK_REDACT);
	add("$[*].x[0].*", MASK_REDACT);
	expect("[1,2,3]", "[1,\"[masked]\",3]");
	expect("[{\"x\":[[1],[2]]},5]", "[{\"x\":[[1],[2]]},\"[masked]\"]");
	expect("[{\"x\":[{\"y\":1},{\"y\":2}]}]", "[{\"x\":[{\"y\":\"[masked]\"},{\"y\":2}]}]");
}

Test(json_path, names_in_disguise)
{
	add("$.ssn", MASK_REDACT);
	expect("{\"s\\u0073n\":1}", "{\"s\\u0073n\":\"[masked]\"}");
	expect("{\"ssn\":1,\"ssn\":2}", "{\"ssn\":\"[masked]\",\"ssn\":\"[masked]\"}");
	expect("{\"SSN\":1}", "{\"SSN\":1}");
	expect("\xef\xbb\xbf{\"ssn\":1}", "\xef\xbb\xbf{\"ssn\":\"[masked]\"}");
	expect("{\"ssn\":1}\n{\"ssn\":2}", "{\"ssn\":\"[masked]\"}\n{\"ssn\":\"[masked]\"}");
}

Test(json_path, what_is_no_json)
{
	static const char *const texts[] = {"{\"ssn\":1", "{\"ssn\":1,}", "{ssn:1}", "{'ssn':1}",
		"[1,]", "[,1]", "{\"a\" 1}", "{\"a\":}", "[01]", "[1.]", "[.5]", "[+1]", "[NaN]",
		"[\"\\x\"]", "[\"\\ud800\"]", "[\"\\udc00\"]", "[\"\\ud800\\u0041\"]", "[\"\t\"]",
		"[\"\xff\"]", "[\"\xed\xa0\x80\"]", "/**/[]", "[]//", "{\"a\":1]", "[1}", "]",
		"[tru]", "[1e]", "[-]", "[1 2]", "{\"a\":1 \"b\":2}", "{\"a\",\"b\"}", "[\"a\":1]",
		"nul"};

	add("$.ssn", MASK_REDACT);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_expect_eq(mask(texts[i]), -EBADMSG, "%s", texts[i]);
}

Test(json_path, depth)
{
	char text[2 * JSON_DEPTH_MOST + 4] = "";

	add("$[0]", MASK_REDACT);
	memset(text, '[', JSON_DEPTH_MOST);
	memset(text + JSON_DEPTH_MOST, ']', JSON_DEPTH_MOST);
	expect(text, "[\"[masked]\"]");
	memset(text, '[', JSON_DEPTH_MOST + 1);
	memset(text + JSON_DEPTH_MOST + 1, ']', JSON_DEPTH_MOST + 1);
	cr_expect_eq(mask(text), -EBADMSG);
}

Test(json_path, that_are_none)
{
	static const char *const paths[] = {"", "$", "a", "$a", "$.", "$..a", "$.a.", "$[]", "$[x]",
		"$[-1]", "$[1", "$[**]", "$.a]", "$.a[0]b", "$[99999999999]"};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		cr_expect_not(json_path_is_valid(slice_from_string(paths[i])), "%s", paths[i]);
	cr_expect(json_path_is_valid(slice_from_string("$.a[0].*[*].b c")));
}

Test(json_path, names_with_dots)
{
	add("$.a['x.y/z'].b", MASK_REDACT);
	expect("{\"a\":{\"x.y/z\":{\"b\":1,\"c\":2}}}",
		"{\"a\":{\"x.y/z\":{\"b\":\"[masked]\",\"c\":2}}}");
	expect("{\"a\":{\"x\":{\"y/z\":{\"b\":1}}}}", "{\"a\":{\"x\":{\"y/z\":{\"b\":1}}}}");
	cr_expect_not(json_path_is_valid(slice_from_string("$['']")));
	cr_expect_not(json_path_is_valid(slice_from_string("$['a")));
	cr_expect_not(json_path_is_valid(slice_from_string("$['a'")));
	cr_expect_not(json_path_is_valid(slice_from_string("$['a'b']")));
	cr_expect(json_path_is_valid(slice_from_string("$['a']")));
}

Test(json_path, base64)
{
	add("$.data.*", MASK_BASE64);
	expect("{\"data\":{\"a\":\"eA==\",\"b\":null,\"c\":{\"d\":1}}}",
		"{\"data\":{\"a\":\"W21hc2tlZF0=\",\"b\":null,\"c\":\"W21hc2tlZF0=\"}}");
}
