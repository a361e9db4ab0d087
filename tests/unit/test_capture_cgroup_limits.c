/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written to a cgroup's files, in folders that look like cgroups.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "capture/cgroup_limits.h"

static char outer_path[64];
static int outer, inner;

static void put(int folder, const char *name, const char *text)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static const char *get(int folder, const char *name)
{
	static char text[128];
	int fd = openat(folder, name, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void make_folders(const char *controllers)
{
	strcpy(outer_path, "/tmp/cgroup-limits.XXXXXX");
	cr_assert(mkdtemp(outer_path));
	outer = open(outer_path, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(mkdirat(outer, "inner", 0700), 0);
	inner = openat(outer, "inner", O_RDONLY | O_DIRECTORY);
	put(outer, "cgroup.controllers", controllers);
	put(outer, "cgroup.subtree_control", "");
	put(inner, "memory.max", "9223372036854771712\n");
	put(inner, "pids.max", "max\n");
}

static void remove_folders(void)
{
	static const char *const names[] = {"inner/memory.max", "inner/pids.max",
		"cgroup.controllers", "cgroup.subtree_control"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlinkat(outer, names[i], 0);
	unlinkat(outer, "inner", AT_REMOVEDIR);
	rmdir(outer_path);
	close(inner);
	close(outer);
}

static const struct cgroup_limits limits = {.memory = 1 << 30, .tasks = 5000};

Test(cgroup_limits, both_are_set)
{
	unsigned missing = 99;
	struct error e = {""};

	make_folders("cpuset cpu io memory hugetlb pids\n");
	cr_assert_eq(cgroup_limits_set(outer, inner, &limits, &missing, &e), 0, "%s", e.text);
	cr_expect_eq(missing, 0);
	cr_expect_str_eq(get(inner, "memory.max"), "1073741824");
	cr_expect_str_eq(get(inner, "pids.max"), "5000");
	cr_expect_str_eq(get(outer, "cgroup.subtree_control"), "+pids");
	remove_folders();
}

/* A name that merely begins or ends like it is another one. */
Test(cgroup_limits, what_is_not_there_is_told_and_left_alone)
{
	static const struct {
		const char *controllers;
		unsigned missing;
	} rows[] = {
		{"hugetlb\n", CGROUP_MEMORY | CGROUP_PIDS},
		{"", CGROUP_MEMORY | CGROUP_PIDS},
		{"\n", CGROUP_MEMORY | CGROUP_PIDS},
		{"memory", CGROUP_PIDS},
		{"pids memory2 xmemory\n", CGROUP_MEMORY},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		unsigned missing = 99;
		struct error e = {""};

		make_folders(rows[i].controllers);
		cr_assert_eq(cgroup_limits_set(outer, inner, &limits, &missing, &e), 0);
		cr_expect_eq(missing, rows[i].missing, "%s", rows[i].controllers);
		cr_expect_str_eq(get(inner, "memory.max"),
			missing & CGROUP_MEMORY ? "9223372036854771712\n" : "1073741824");
		cr_expect_str_eq(get(inner, "pids.max"), missing & CGROUP_PIDS ? "max\n" : "5000");
		remove_folders();
	}
}

Test(cgroup_limits, what_can_not_be_written_is_named)
{
	unsigned missing = 99;
	struct error e = {""};

	make_folders("memory pids\n");
	unlinkat(inner, "pids.max", 0);
	cr_expect_eq(cgroup_limits_set(outer, inner, &limits, &missing, &e), -ENOENT);
	cr_expect(strstr(e.text, "pids.max"), "%s", e.text);
	cr_expect_eq(missing, 99);
	unlinkat(outer, "cgroup.controllers", 0);
	cr_expect_eq(cgroup_limits_set(outer, inner, &limits, &missing, &e), -ENOENT);
	cr_expect(strstr(e.text, "cgroup.controllers"), "%s", e.text);
	remove_folders();
}
