/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/memory.h"
#include "identity/principals.h"

#define S(text) slice_from_string(text)

static const struct slice groups[] = {{(const uint8_t *)"a", 1}, {(const uint8_t *)"b c", 3}};

static void put_examples(struct buffer *b)
{
	const struct principal_entry entries[] = {
		{.agent = 7,
			.serial = 3,
			.state = PRINCIPAL_KNOWN,
			.until = 99,
			.principal = {true, S("bot@acme.com"), groups, ARRAY_SIZE(groups),
				S("ann@acme.com")},
			.issuer = S("okta")},
		{.agent = UINT32_MAX,
			.run = UINT64_MAX,
			.state = PRINCIPAL_REFUSED,
			.suspended = true,
			.problem = S("there is none")},
	};

	buffer_init(b, 4096);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
		cr_assert_eq(principals_encode(&entries[i], b), 0);
}

Test(principals, come_back_as_they_were_written)
{
	struct principal_entry *back;
	struct buffer bytes;
	size_t count;

	put_examples(&bytes);
	cr_assert_eq(principals_decode(buffer_slice(&bytes), &back, &count), 0);
	cr_assert_eq(count, 2);
	cr_expect_eq(back[0].agent, 7);
	cr_expect_eq(back[0].serial, 3);
	cr_expect_eq(back[0].until, 99);
	cr_expect(back[0].principal.known);
	cr_expect(slice_equal_string(back[0].principal.name, "bot@acme.com"));
	cr_expect(slice_equal_string(back[0].principal.on_behalf_of, "ann@acme.com"));
	cr_expect_eq(back[0].run, 0);
	cr_expect_eq(back[1].run, UINT64_MAX);
	cr_assert_eq(back[0].principal.group_count, 2);
	cr_expect(slice_equal(back[0].principal.groups[1], groups[1]));
	cr_expect(slice_equal_string(back[0].issuer, "okta"));
	cr_expect(back[1].suspended && !back[1].principal.known);
	cr_expect(slice_equal_string(back[1].problem, "there is none"));
	free(back);
	buffer_done(&bytes);
}

/* The broker may be in an attacker's hands: cut anywhere, or with any byte changed, its bytes are
 * refused or decoded, never read beyond. */
Test(principals, hostile_bytes_are_refused)
{
	struct principal_entry *back;
	struct buffer bytes;
	size_t count;

	put_examples(&bytes);
	for (size_t length = 1; length < buffer_length(&bytes); length++) {
		uint8_t *copy = memory_new(length);

		memcpy(copy, bytes.data, length);
		if (principals_decode(slice_of(copy, length), &back, &count) == 0) {
			cr_expect_eq(count, 1, "at %zu", length);
			free(back);
		}
		free(copy);
	}
	for (size_t i = 0; i < buffer_length(&bytes); i++) {
		bytes.data[i] ^= 0xff;
		if (principals_decode(buffer_slice(&bytes), &back, &count) == 0)
			free(back);
		bytes.data[i] ^= 0xff;
	}
	buffer_done(&bytes);
}

/* States are looked up in tables. */
Test(principals, values_out_of_range_are_refused)
{
	static const struct {
		size_t at; /* in the first entry: behind agent, run and serial */
		uint8_t value;
	} rows[] = {{16, PRINCIPAL_STATE_COUNT}, {16, 0xff}, {17, 2}};
	struct principal_entry *back;
	struct buffer bytes;
	size_t count;

	put_examples(&bytes);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t good = bytes.data[rows[i].at];

		bytes.data[rows[i].at] = rows[i].value;
		cr_expect_eq(principals_decode(buffer_slice(&bytes), &back, &count), -EBADMSG,
			"row %zu", i);
		bytes.data[rows[i].at] = good;
	}
	cr_expect_eq(principals_decode(buffer_slice(&bytes), &back, &count), 0);
	free(back);
	buffer_done(&bytes);
}

/* Whose lists differ in anything that a rule may ask for acts for somebody else. */
Test(principals, others_are_others)
{
	const struct slice own[] = {slice_from_string("a"), slice_from_string("b")},
			   more[] = {slice_from_string("a"), slice_from_string("c")};
	const struct principal_entry one = {.state = PRINCIPAL_KNOWN,
		.principal = {.name = slice_from_string("bot"), .groups = own, .group_count = 2}};
	struct principal_entry other = one;

	cr_expect(principals_are_same(&one, &other));
	other.state = PRINCIPAL_ENDED;
	cr_expect_not(principals_are_same(&one, &other), "its state");
	other = one;
	other.principal.name = slice_from_string("bob");
	cr_expect_not(principals_are_same(&one, &other), "its name");
	other = one;
	other.principal.groups = more;
	cr_expect_not(principals_are_same(&one, &other), "a group");
	other.principal.group_count = 1;
	cr_expect_not(principals_are_same(&one, &other), "how many groups");
}

Test(principals, there_are_only_so_many)
{
	const struct principal_entry entry = {.state = PRINCIPAL_AWAITED};
	struct principal_entry *back;
	struct buffer bytes;
	size_t count;

	buffer_init(&bytes, 1 << 20);
	for (unsigned i = 0; i < LIMIT_CONFIG_AGENTS + LIMIT_RUNS; i++)
		cr_assert_eq(principals_encode(&entry, &bytes), 0);
	cr_assert_eq(principals_decode(buffer_slice(&bytes), &back, &count), 0);
	cr_expect_eq(count, LIMIT_CONFIG_AGENTS + LIMIT_RUNS);
	free(back);
	cr_assert_eq(principals_encode(&entry, &bytes), 0);
	cr_expect_eq(principals_decode(buffer_slice(&bytes), &back, &count), -EBADMSG);
	buffer_done(&bytes);
}
