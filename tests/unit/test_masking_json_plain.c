/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as it is masked against a walk that reads byte by byte and searches each token by itself:
 * random texts, of pieces that matter to detectors and paths, written in every way.
 */
#include <errno.h>
#include <stdio.h>

#include "masking_test.h"
#include "protocol/http/mask.h"
#include "tests/harness/json_check.h"
#include "tests/harness/json_plain.h"

static uint64_t random_state = 88172645463325252ULL;

static unsigned random_below(unsigned limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 20) % limit;
}

/* What strings are made of: what is found, what almost is, and what is around it. */
static const char *const pieces[] = {"4111111111111111", "4111-1111-1111-1111", "123-45-6789",
	"user@example.com", "a@b.co", "+1 212 555 0123", "212-555-0123", "10.0.0.1", "fe80::1",
	"2001:db8::1:2:3", "DE89370400440532013000", "AKIAIOSFODNN7EXAMPLE",
	"eyJhbGciOiJub25lIn0.e30.c2ln", "password=hunter22", "token: ", "http://u:secret99@h/",
	"?sig=abcdefghijklmnopqrstuvwx", "MTIzLTQ1LTY3ODk=", "3132332d34352d36373839",
	"-----BEGIN PRIVATE KEY-----", "word", "words of a sentence", "grüße", "日本語", "😀", " ",
	"\n", "\t", "\"", "\\", "/", "<", ">", "&", "'", "\x7f", "0", "7", "x", "", "", ""};

static const char *const names[] = {"ssn", "a", "b", "password", "db_password", "id", "phone",
	"customers", "mail", "x.y", "", "api_key", "user@example.com", "passwörd"};

static const char *const scalars[] = {"0", "-1", "12.5", "1e3", "4111111111111111", "true", "false",
	"null", "123456789", "2125550123", "1234567890123", "4.111111111111111e+15", "-0.0E-10"};

static void add_blanks(struct buffer *out)
{
	static const char *const some[] = {
		"", "", "", "", " ", "\n", "\n        ", "\t", "\r\n  ", "                 "};

	buffer_append_string(out, some[random_below(ARRAY_SIZE(some))]);
}

/* One character of UTF-8, perhaps with an escape. */
static size_t add_character(struct buffer *out, const char *text, unsigned escaped)
{
	uint8_t c = (uint8_t)text[0];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (c == 0xf0 && random_below(100) < escaped)
		buffer_append_string(out, "\\ud83d\\uDE00");
	else if (c >= 0x80)
		buffer_append(out, text, n);
	else if (c == '\n' && random_below(2))
		buffer_append_string(out, "\\n");
	else if (c == '\t' && random_below(2))
		buffer_append_string(out, "\\t");
	else if ((c == '"' || c == '\\' || c == '/') && random_below(2))
		buffer_append_format(out, "\\%c", c);
	else if (c < 0x20 || c == '"' || c == '\\' || random_below(100) < escaped)
		buffer_append_format(out, random_below(2) ? "\\u%04x" : "\\u%04X", c);
	else
		buffer_append_byte(out, c);
	return n;
}

static void add_text(struct buffer *out, const char *text, unsigned escaped)
{
	while (*text)
		text += add_character(out, text, escaped);
}

static void add_string(struct buffer *out)
{
	unsigned escaped = random_below(4) ? 0 : random_below(3) ? 10 : 90;

	buffer_append_byte(out, '"');
	for (unsigned n = random_below(5); n; n--)
		add_text(out, pieces[random_below(ARRAY_SIZE(pieces))], escaped);
	buffer_append_byte(out, '"');
}

static void add_name(struct buffer *out)
{
	buffer_append_byte(out, '"');
	add_text(out, names[random_below(ARRAY_SIZE(names))], random_below(4) ? 0 : 20);
	buffer_append_byte(out, '"');
	add_blanks(out);
	buffer_append_byte(out, ':');
	add_blanks(out);
}

static void add_value(struct buffer *out, unsigned depth)
{
	unsigned kind = random_below(depth ? 4 : 2), count = random_below(5);

	if (kind == 0)
		buffer_append_string(out, scalars[random_below(ARRAY_SIZE(scalars))]);
	if (kind == 1)
		add_string(out);
	if (kind < 2)
		return;
	buffer_append_byte(out, kind == 2 ? '[' : '{');
	add_blanks(out);
	for (unsigned i = 0; i < count; i++) {
		if (i) {
			buffer_append_byte(out, ',');
			add_blanks(out);
		}
		if (kind == 3)
			add_name(out);
		add_value(out, depth - 1);
		add_blanks(out);
	}
	buffer_append_byte(out, kind == 2 ? ']' : '}');
}

static const char *const paths[] = {"$.a", "$.*", "$[*].ssn", "$.customers[*].ssn", "$[0].*.a",
	"$.*[1]", "$['x.y'].b", "$.password", "$[*][*]", "$.a.a.a", "$.*.*.*", "$[2]",
	"$.customers.*", "$['passwörd']"};

#define PATHS 4u

static void random_rules(struct mask_rules *rules, struct mask_json *json, struct masker *m)
{
	unsigned set = random_below(3) ? ALL_DETECTORS : random_below(ALL_DETECTORS);
	unsigned one = random_below(3) ? 0 : 1 + random_below(4);

	*m = test_masker(set, MASK_REDACT);
	for (unsigned i = 0; i < DETECTOR_COUNT; i++) {
		if (set >> i & 1)
			m->strategies[i] = (enum mask_strategy)(
				MASK_PARTIAL + (one ? one - 1 : random_below(3)));
	}
	*rules = (struct mask_rules){.json = json, .json_count = 1 + random_below(PATHS)};
	for (size_t i = 0; i < rules->json_count; i++)
		json[i] = (struct mask_json){
			slice_from_string(paths[random_below(ARRAY_SIZE(paths))]),
			(enum mask_strategy)(MASK_PARTIAL + random_below(5))};
}

static void check(struct slice text)
{
	struct mask_json json[PATHS];
	struct mask_rules rules;
	struct masker m;

	random_rules(&rules, json, &m);
	if (json_check(&rules, &m, text))
		return;
	for (size_t i = 0; i < rules.json_count; i++)
		printf("path %.*s: %u\n", SLICE_PRINT(json[i].path), json[i].strategy);
	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		printf("detector %u: %u\n", i, m.strategies[i]);
	cr_assert(false, "%.*s", SLICE_PRINT(text));
}

Test(masking_json_plain, texts)
{
	struct buffer text;

	buffer_init(&text, SIZE_MAX / 2);
	for (unsigned i = 0; i < 10000; i++) {
		buffer_clear(&text);
		add_value(&text, 5);
		check(buffer_slice(&text));
	}
	buffer_done(&text);
}

/* What is no JSON, or that of somebody else. */
Test(masking_json_plain, spoiled_texts)
{
	static const char bytes[] = "\"\\{}[]:,-+.eu0a \x01\x80\xc3\xed\xff";
	struct buffer text;

	buffer_init(&text, SIZE_MAX / 2);
	for (unsigned i = 0; i < 10000; i++) {
		buffer_clear(&text);
		if (random_below(20) == 0)
			buffer_append_string(&text, "\xef\xbb\xbf");
		add_value(&text, 4);
		if (random_below(4) == 0)
			add_value(&text, 3);
		for (unsigned n = random_below(3); n; n--)
			text.data[random_below((unsigned)buffer_length(&text))] =
				(uint8_t)bytes[random_below(sizeof(bytes) - 1)];
		if (random_below(8) == 0)
			buffer_truncate(&text, random_below((unsigned)buffer_length(&text)) + 1);
		check(buffer_slice(&text));
	}
	buffer_done(&text);
}

/* Longer than what is indexed at a time. */
Test(masking_json_plain, long_texts)
{
	struct buffer text;

	buffer_init(&text, SIZE_MAX / 2);
	for (unsigned i = 0; i < 20; i++) {
		buffer_clear(&text);
		buffer_append_string(&text, "{\"customers\":[");
		while (buffer_length(&text) < 200000) {
			add_value(&text, 5);
			buffer_append_byte(&text, ',');
			if (random_below(500) == 0) {
				buffer_append_byte(&text, '"');
				for (unsigned n = random_below(90000); n; n -= n < 10 ? n : 10)
					buffer_append_string(&text, "long text ");
				buffer_append_string(&text, "user@example.com\",");
			}
		}
		buffer_append_string(&text, "1]}");
		check(buffer_slice(&text));
	}
	buffer_done(&text);
}

static void pass_in_pieces(struct http_mask *m, struct slice text, struct buffer *out)
{
	http_mask_begin(m, slice_from_string("application/json"));
	while (text.length) {
		size_t n = 1 + random_below(random_below(4) ? 20 : 2000);
		struct slice piece = slice_head(text, n);

		text = slice_from(text, n);
		cr_assert_eq(http_mask_pass(m, piece, text.length == 0, out), 0);
	}
}

/* The content of a response, wherever it is cut. */
static void check_in_pieces(struct slice text)
{
	struct mask_json json[PATHS];
	struct buffer got, between, wanted;
	struct mask_rules rules;
	struct http_mask m;
	struct masker masker;
	bool replaced;

	random_rules(&rules, json, &masker);
	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = masker.strategies[i];
	http_mask_init(&m);
	cr_assert_eq(http_mask_bind(&m, masker.engine, masker.hasher, &rules), 0);
	buffer_init(&got, SIZE_MAX / 2);
	buffer_init(&between, SIZE_MAX / 2);
	buffer_init(&wanted, SIZE_MAX / 2);
	pass_in_pieces(&m, text, &got);
	/* In which no mask is NULL: that of a text can't be. */
	cr_assert_eq(json_plain_paths(&rules, &m.masker, text, &between, &replaced), 0);
	json_plain_findings(&m.masker, buffer_slice(&between), &wanted);
	cr_assert(slice_equal(buffer_slice(&got), buffer_slice(&wanted)), "%.*s: %.*s, not %.*s",
		SLICE_PRINT(text), SLICE_PRINT(buffer_slice(&got)),
		SLICE_PRINT(buffer_slice(&wanted)));
	buffer_done(&got);
	buffer_done(&between);
	buffer_done(&wanted);
	http_mask_done(&m);
}

Test(masking_json_plain, in_pieces)
{
	struct buffer text;

	buffer_init(&text, SIZE_MAX / 2);
	for (unsigned i = 0; i < 2000; i++) {
		buffer_clear(&text);
		buffer_append_string(&text, "{\"customers\":");
		add_value(&text, 5);
		buffer_append_byte(&text, '}');
		check_in_pieces(buffer_slice(&text));
	}
	buffer_done(&text);
}

/* As masks of paths are not searched, but by their name. */
Test(masking_json_plain, nothing_is_found_in_a_mask)
{
	static const enum mask_strategy same[] = {MASK_REDACT, MASK_BASE64};
	struct masker m = test_masker(ALL_DETECTORS, MASK_REDACT);
	struct detector_findings found;
	struct buffer mask;

	buffer_init(&mask, 64);
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		buffer_clear(&mask);
		cr_assert_eq(masker_append(&m, same[i], SLICE_EMPTY, &mask), 0);
		cr_assert_eq(detector_scan(m.engine, m.detectors, buffer_slice(&mask), &found), 0);
		cr_expect_eq(found.count, 0);
	}
	buffer_done(&mask);
}
