/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sys/resource.h>

#include "monitor/user_name.h"

#define NOBODY_HAS 4123456789u

Test(user_name, is_found_or_there_is_none)
{
	const char *name = "unchanged";

	cr_assert_eq(user_name(0, &name), 0);
	cr_assert_str_eq(name, "root");
	cr_assert_eq(user_name(NOBODY_HAS, &name), 0);
	cr_assert_null(name);
}

/* What can't be read is not taken for "no name". */
Test(user_name, is_not_known_where_it_can_not_be_read)
{
	const char *name = "unchanged";
	struct rlimit before, none;
	int r;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &none);
	r = user_name(0, &name);
	setrlimit(RLIMIT_NOFILE, &before);
	cr_assert_eq(r, -EMFILE);
	cr_assert_str_eq(name, "unchanged");
}
