/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/diagnostics.h"
#include "base/identifier.h"
#include "base/table.h"
#include "base/text.h"

static struct slice s(const char *text)
{
	return slice_from_string(text);
}

Test(buffer, holds_what_is_appended_and_gives_it_back_in_order)
{
	struct buffer b;

	buffer_init(&b, 100000);
	for (unsigned i = 0; i < 10000; i++)
		cr_assert_eq(buffer_append_u32(&b, i), 0);
	for (unsigned i = 0; i < 5000; i++)
		buffer_consume(&b, 4);
	for (unsigned i = 10000; i < 15000; i++)
		cr_assert_eq(buffer_append_u32(&b, i), 0);
	for (unsigned i = 5000; i < 15000; i++) {
		const uint8_t *p = buffer_slice(&b).data;

		cr_assert_eq((unsigned)(p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]), i);
		buffer_consume(&b, 4);
	}
	cr_assert_eq(buffer_length(&b), 0);
	buffer_done(&b);
}

Test(buffer, refuses_what_passes_its_limit_and_stays_as_it_was)
{
	struct buffer b;

	buffer_init(&b, 10);
	cr_assert_eq(buffer_append(&b, "12345678", 8), 0);
	cr_assert_eq(buffer_append(&b, "abc", 3), -E2BIG);
	cr_assert_eq(buffer_append_format(&b, "%s", "xyz"), -E2BIG);
	cr_assert(slice_equal_string(buffer_slice(&b), "12345678"));
	cr_assert_eq(buffer_append(&b, "ab", 2), 0);
	buffer_done(&b);
}

Test(arena, gives_zeroed_memory_up_to_its_limit)
{
	struct arena a;
	size_t got = 0;

	arena_init(&a, 100000);
	for (;;) {
		uint8_t *p = arena_new(&a, 1000);

		if (!p)
			break;
		for (int i = 0; i < 1000; i++)
			cr_assert_eq(p[i], 0);
		memset(p, 0xff, 1000);
		got += 1000;
	}
	cr_assert(got >= 90000 && got <= 100000, "%zu", got);
	cr_assert_null(arena_new_array(&a, SIZE_MAX / 2, 4));
	arena_done(&a);
	cr_assert_not_null(arena_new(&a, 1000));
	arena_done(&a);
}

struct member {
	struct table_node node;
	uint64_t key;
};

Test(table, finds_every_member_among_equal_hashes)
{
	static struct member members[1000];
	struct table t;

	table_init(&t);
	for (uint64_t i = 0; i < 1000; i++) {
		members[i].key = i;
		table_insert(&t, &members[i].node, i % 10);
	}
	for (uint64_t hash = 0; hash < 10; hash++) {
		struct table_node *node = table_find(&t, hash);
		unsigned found = 0;

		for (; node; node = table_find_next(&t, node)) {
			cr_assert_eq(container_of(node, struct member, node)->key % 10, hash);
			found++;
		}
		cr_assert_eq(found, 100);
	}
	for (uint64_t i = 0; i < 1000; i += 2)
		table_remove(&t, &members[i].node);
	cr_assert_null(table_find(&t, 2));
	cr_assert_not_null(table_find(&t, 3));
	table_done(&t);
}

Test(text, globs)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} cases[] = {
		{"*", "", true},
		{"a*c", "abc", true},
		{"a*c", "ac", true},
		{"a*c", "acb", false},
		{"*.example.com", "db.example.com", true},
		{"*.example.com", "example.com", false},
		{"a**b", "ab", true},
		{"", "", true},
		{"", "a", false},
		{"*a*a*a*", "aa", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		cr_assert_eq(text_glob(s(cases[i].pattern), s(cases[i].text)), cases[i].match,
			"%s against %s", cases[i].pattern, cases[i].text);
	cr_assert(text_glob_parts(s("public.*"), s("public.orders"), '.'));
	cr_assert_not(text_glob_parts(s("public.*"), s("public.orders.x"), '.'));
	cr_assert_not(text_glob_parts(s("*"), s("public.orders"), '.'));
}

Test(text, a_hostile_glob_takes_no_exponential_time)
{
	char pattern[200], text[10000];
	uint64_t start = clock_monotonic();

	for (int i = 0; i < 198; i += 2)
		memcpy(pattern + i, "*a", 3);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = 'b';
	cr_assert_not(text_glob(s(pattern), slice_of(text, sizeof(text))));
	cr_assert(clock_monotonic() - start < NANOSECONDS_PER_SECOND);
}

Test(text, utf8)
{
	cr_assert(text_is_utf8(s("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80")));
	cr_assert_not(text_is_utf8(s("\xc0\xaf")), "overlong");
	cr_assert_not(text_is_utf8(s("\xed\xa0\x80")), "surrogate");
	cr_assert_not(text_is_utf8(s("\xf4\x90\x80\x80")), "beyond U+10FFFF");
	cr_assert_not(text_is_utf8(s("\xe2\x82")), "cut");
}

Test(text, cut_between_characters)
{
	static const char umlauts[] = "x\xc3\xbc\xc3\xbc", smile[] = "\xf0\x9f\x98\x80!";

	cr_expect_eq(text_head(s(umlauts), 5).length, 5);
	cr_expect_eq(text_head(s(umlauts), 4).length, 3);
	cr_expect_eq(text_head(s(umlauts), 3).length, 3);
	cr_expect_eq(text_head(s(smile), 4).length, 4);
	cr_expect_eq(text_head(s(smile), 3).length, 0);
	cr_expect_eq(text_head(s("plain"), 3).length, 3);
	cr_expect_eq(text_head(s("\x80\x80\x80\x80\x80\x80"), 5).length, 2, "no UTF-8");
}

Test(slice, is_taken_apart)
{
	struct slice rest = slice_from_string("a,,b"), part = slice_take_until(&rest, ',');

	cr_assert(slice_equal_string(part, "a") && slice_equal_string(rest, ",b"));
	part = slice_take_until(&rest, ',');
	cr_assert(part.length == 0 && slice_equal_string(rest, "b"));
	part = slice_take_until(&rest, ',');
	cr_assert(slice_equal_string(part, "b") && rest.length == 0);
	part = slice_take_until(&rest, ',');
	cr_assert(part.length == 0 && rest.length == 0);
	rest = SLICE_EMPTY;
	cr_assert_eq(slice_take_until(&rest, ',').length, 0);
}

Test(text, hexadecimal_digits)
{
	static const char digits[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	int found = 0;

	for (int i = 0; i < 16; i++) {
		cr_assert_eq(text_hex_digit((uint8_t)digits[i]), i);
		cr_assert_eq(text_hex_digit((uint8_t)upper[i]), i);
	}
	for (int c = 0; c < 256; c++)
		found += text_hex_digit((uint8_t)c) >= 0;
	cr_assert_eq(found, 22);
}

Test(text, numbers_durations_sizes)
{
	uint64_t v = 7;

	cr_assert_eq(text_to_number(s("18446744073709551615"), UINT64_MAX, &v), 0);
	cr_assert_eq(v, UINT64_MAX);
	cr_assert_eq(text_to_number(s("18446744073709551616"), UINT64_MAX, &v), -EINVAL);
	cr_assert_eq(text_to_number(s("-1"), UINT64_MAX, &v), -EINVAL);
	cr_assert_eq(text_to_number(s(""), UINT64_MAX, &v), -EINVAL);
	cr_assert_eq(text_to_duration(s("15m"), &v), 0);
	cr_assert_eq(v, 900 * NANOSECONDS_PER_SECOND);
	cr_assert_eq(text_to_duration(s("15"), &v), -EINVAL);
	cr_assert_eq(text_to_duration(s("99999999999d"), &v), -EINVAL);
	cr_assert_eq(text_to_size(s("20G"), &v), 0);
	cr_assert_eq(v, 20ULL << 30);
}

Test(text, shows_what_drives_terminals)
{
	struct buffer b;

	buffer_init(&b, 1000);
	cr_assert_eq(text_append_visible(&b, slice_of("a\x1b[2J\xc2\x9b\xff\n", 9)), 0);
	cr_assert(slice_equal_string(buffer_slice(&b), "a\\x1b[2J\\xc2\\x9b\\xff\n"), "%.*s",
		SLICE_PRINT(buffer_slice(&b)));
	/* Nor is a name another one because of what is not seen in it. */
	buffer_clear(&b);
	cr_assert_eq(text_append_visible(&b,
			     s("or\xe2\x80\x8b"
			       "ders\xf3\xa0\x81\x81 \xc3\xab")),
		0);
	cr_assert(slice_equal_string(buffer_slice(&b),
			  "or\\xe2\\x80\\x8b"
			  "ders\\xf3\\xa0\\x81\\x81 \xc3\xab"),
		"%.*s", SLICE_PRINT(buffer_slice(&b)));
	buffer_done(&b);
}

Test(identifier, is_random_and_valid)
{
	struct identifier a = identifier_new('s', 8), b = identifier_new('s', 8);

	cr_assert(identifier_is_valid(s(a.text), 's'));
	cr_assert_not(identifier_is_valid(s(a.text), 'r'));
	cr_assert_str_neq(a.text, b.text);
	cr_assert_not(identifier_is_valid(s("s-ILOU"), 's'));
}
