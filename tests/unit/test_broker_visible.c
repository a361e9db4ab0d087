/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/memory.h"
#include "broker/visible.h"

static const struct visible_room roomy = {1000, 100};

/* Static until the next call. */
static const char *end(struct buffer *b)
{
	static char text[4096];

	snprintf(text, sizeof(text), "%.*s", SLICE_PRINT(buffer_slice(b)));
	buffer_done(b);
	return text;
}

static const char *head(struct slice s, struct visible_room room, size_t *ret_used)
{
	struct buffer b;

	buffer_init(&b, 4000);
	*ret_used = visible_head(&b, s, room);
	return end(&b);
}

static const char *tail(struct slice s, struct visible_room room, size_t *ret_used)
{
	struct buffer b;

	buffer_init(&b, 4000);
	*ret_used = visible_tail(&b, s, room);
	return end(&b);
}

static const char *line(const char *text, size_t bytes)
{
	struct buffer b;

	buffer_init(&b, 4000);
	visible_line(&b, slice_from_string(text), bytes);
	return end(&b);
}

static const char *escaped(const char *text)
{
	struct buffer b;

	buffer_init(&b, 4000);
	visible_escaped(&b, slice_from_string(text), 1000);
	return end(&b);
}

Test(broker_visible, what_is_seen_and_what_is_not)
{
	static const struct {
		const char *text, *shown;
	} rows[] = {
		{"select 1;\n\t-- x", "select 1;\n\t-- x"},
		{"ü€𝄞 <@U1> & `*_~", "ü€𝄞 <@U1> & `*_~"},
		{"\x01\r\x1b[m\x7f", "\\x01\\x0d\\x1b[m\\x7f"},
		{"\xc2\x9b\xc2\xa0\xc2\xad", "\\u{009b}\\u{00a0}\\u{00ad}"},
		{"\xe2\x80\xae\xe2\x80\x8b\xe2\x81\xa0", "\\u{202e}\\u{200b}\\u{2060}"},
		{"\xe2\x81\xa6\xe2\x81\xa9\xef\xbb\xbf", "\\u{2066}\\u{2069}\\u{feff}"},
		{"\xf3\xa0\x81\x81\xe3\x85\xa4", "\\u{e0041}\\u{3164}"},
		{"a\xcc\xb6", "a\\u{0336}"},
		{"\xff\xc3(\xed\xa0\x80\xc0\x80", "\\xff\\xc3(\\xed\\xa0\\x80\\xc0\\x80"},
	};
	size_t used;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct slice s = slice_from_string(rows[i].text);

		cr_expect_str_eq(head(s, roomy, &used), rows[i].shown);
		cr_expect_eq(used, s.length);
		cr_expect_str_eq(tail(s, roomy, &used), rows[i].shown);
		cr_expect_eq(used, s.length);
	}
	cr_expect_str_eq(head(slice_of("a\0b", 3), roomy, &used), "a\\x00b");
}

/* Whatever the room, whole characters are shown, and what is said to be shown is. */
Test(broker_visible, cuts_between_characters)
{
	const char *text = "aü€𝄞\x1b\xff\n𝄞€ü\xe2\x82";
	struct slice s = slice_from_string(text);
	size_t first, last, again;

	for (size_t bytes = 0; bytes < 40; bytes++) {
		const struct visible_room room = {bytes, 100};
		char shown[4096];

		snprintf(shown, sizeof(shown), "%s", head(s, room, &first));
		cr_expect_leq(strlen(shown), bytes);
		cr_expect_str_eq(head(slice_head(s, first), roomy, &again), shown);
		snprintf(shown, sizeof(shown), "%s", tail(s, room, &last));
		cr_expect_leq(strlen(shown), bytes);
		cr_expect_str_eq(head(slice_from(s, s.length - last), roomy, &again), shown);
	}
	cr_expect_eq(first, s.length);
	cr_expect_eq(last, s.length);
}

Test(broker_visible, lines_are_counted)
{
	struct slice s = slice_from_string("1\n2\n3\n4\n5");
	size_t used;

	cr_expect_str_eq(head(s, (struct visible_room){100, 2}, &used), "1\n2");
	cr_expect_eq(used, 3);
	cr_expect_str_eq(tail(s, (struct visible_room){100, 2}, &used), "4\n5");
	cr_expect_eq(used, 3);
}

Test(broker_visible, one_line)
{
	cr_expect_str_eq(line("a\nb\n", 100), "a\\nb\\n");
	cr_expect_str_eq(line("\n\n\n", 100), "\\n\\n\\n");
	cr_expect_str_eq(line("abcdef", 6), "abcdef");
	cr_expect_str_eq(line("abcdefg", 6), "abcdef…");
	cr_expect_str_eq(line("abcde\ng", 6), "abcde…");
	cr_expect_str_eq(line("", 6), "");
	cr_expect_str_eq(line("abc", 0), "…");
}

Test(broker_visible, entities)
{
	cr_expect_str_eq(
		escaped("<!here> & &lt; <@U1>"), "&lt;!here&gt; &amp; &amp;lt; &lt;@U1&gt;");
	cr_expect_str_eq(escaped("a\n<b"), "a\\n&lt;b");
}
