/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/memory.h"
#include "cli/known_hosts.h"

#define OURS "box ssh-ed25519 AAAA added-by-wayleave\n"

Test(cli_known_hosts, exactly_our_lines_go)
{
	static const struct {
		const char *text, *left;
	} rows[] = {
		{"", ""},
		{OURS, ""},
		{OURS OURS "a ssh-rsa AAAA\n", "a ssh-rsa AAAA\n"},
		{"a ssh-rsa AAAA\n" OURS "b ssh-rsa AAAA", "a ssh-rsa AAAA\nb ssh-rsa AAAA"},
		{OURS "\n\n# x\r\n", "\n\n# x\r\n"},
		{"a ssh-rsa AAAA\nbox ssh-ed25519 AAAA added-by-wayleave", "a ssh-rsa AAAA\n"},
		/* What only looks like one. */
		{"a ssh-rsa AAAA added-by-wayleave and me\n",
			"a ssh-rsa AAAA added-by-wayleave and me\n"},
		{"a ssh-rsa AAAA not-added-by-wayleave\n",
			"a ssh-rsa AAAA not-added-by-wayleave\n"},
		{"added-by-wayleave\n", "added-by-wayleave\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct buffer left;

		buffer_init(&left, 4096);
		cr_assert_eq(known_hosts_append_others(slice_from_string(rows[i].text), &left), 0);
		cr_expect(slice_equal_string(buffer_slice(&left), rows[i].left), "row %zu: %.*s", i,
			SLICE_PRINT(buffer_slice(&left)));
		buffer_done(&left);
	}
}
