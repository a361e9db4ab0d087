/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/cgroup_pattern.h"
#include "base/memory.h"

Test(cgroup_pattern, matches)
{
	static const struct {
		const char *pattern, *path;
		bool matches;
	} rows[] = {
		{"a", "a", true},
		{"a", "ab", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"*", "a", true},
		{"*", "a/b", false},
		{"a*", "a", true},
		{"a*c", "abc", true},
		{"a*c", "abcd", false},
		{"a*c", "acbc", true},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXcYc", false},
		{"*/*", "a/b", true},
		{"*/*", "a", false},
		{"a*/b", "a1/b", true},
		{"a*/b", "a1/2/b", false},
		{"a**", "abc", true},
		{"x.slice/job-*.service", "x.slice/job-1.service", true},
		{"x.slice/job-*.service", "x.slice/job-1.servicex", false},
		{"?", "a", false},
		{"[a]", "[a]", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		cr_expect(cgroup_pattern_matches(rows[i].pattern, rows[i].path) == rows[i].matches,
			"%s %s", rows[i].pattern, rows[i].path);
}

Test(cgroup_pattern, finds_the_cgroup_above)
{
	cr_expect(cgroup_pattern_find("a/job-*", "a/job-1/inner/more") == 7);
	cr_expect(cgroup_pattern_find("a/job-*", "a/job-1") == 7);
	cr_expect(cgroup_pattern_find("a/job-*", "a") == 0);
	cr_expect(cgroup_pattern_find("a/job-*", "a/other/job-1") == 0);
}

Test(cgroup_pattern, may_nest)
{
	static const struct {
		const char *a, *b;
		bool may;
	} rows[] = {
		{"a", "a", true},
		{"a", "a/b", true},
		{"a", "ab", false},
		{"a/b", "a/c", false},
		{"a/*", "a/c/d", true},
		{"a/x*", "a/y*", false},
		{"a/*x", "a/*y", false},
		{"a/x*y", "a/xz*y", true},
		{"a/x*", "a/*y", true},
		{"*", "b", true},
		{"*/b", "a/*", true},
		{"job-*", "job-1", true},
		{"job-*", "work-1", false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cr_expect(cgroup_pattern_may_nest(rows[i].a, rows[i].b) == rows[i].may, "%s %s",
			rows[i].a, rows[i].b);
		cr_expect(cgroup_pattern_may_nest(rows[i].b, rows[i].a) == rows[i].may, "%s %s",
			rows[i].b, rows[i].a);
	}
}
