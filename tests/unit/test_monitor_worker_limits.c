/* SPDX-License-Identifier: Apache-2.0
 *
 * What is set of `worker_limits`, and what `wayleave status` is told of it, with folders that look
 * like cgroups.
 */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "monitor/worker_limits.h"

static char folder[64];
static struct worker_limits limits;

static void put(int where, const char *name, const char *text)
{
	int fd = openat(where, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static const char *get(const char *name)
{
	static char text[128];
	int fd = openat(limits.cgroup, name, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void make_folders(const char *controllers)
{
	strcpy(folder, "/tmp/worker-limits.XXXXXX");
	cr_assert(mkdtemp(folder));
	limits = (struct worker_limits){.outer = open(folder, O_RDONLY | O_DIRECTORY)};
	cr_assert_eq(mkdirat(limits.outer, "workers", 0700), 0);
	limits.cgroup = openat(limits.outer, "workers", O_RDONLY | O_DIRECTORY);
	put(limits.outer, "cgroup.controllers", controllers);
	put(limits.outer, "cgroup.subtree_control", "");
	put(limits.cgroup, "memory.max", "max\n");
	put(limits.cgroup, "pids.max", "max\n");
}

static void remove_folders(void)
{
	static const char *const names[] = {"workers/memory.max", "workers/pids.max",
		"cgroup.controllers", "cgroup.subtree_control"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlinkat(limits.outer, names[i], 0);
	unlinkat(limits.outer, "workers", AT_REMOVEDIR);
	rmdir(folder);
	worker_limits_close(&limits);
}

/* As JSON. */
static void expect_described(const char *expected)
{
	cJSON *object = cJSON_CreateObject();
	char *text;

	worker_limits_describe(&limits, object);
	text = cJSON_PrintUnformatted(object);
	cr_expect_str_eq(text, expected);
	free(text);
	cJSON_Delete(object);
}

static void apply(uint64_t memory, uint64_t tasks)
{
	struct config_worker_limits given = {
		.memory = {.value = memory}, .tasks = {.value = tasks}};
	struct config config = {.worker_limits = &given};

	worker_limits_apply(&limits, &config);
}

Test(worker_limits, are_written_as_configured)
{
	char half[32];

	make_folders("cpu memory pids\n");
	apply(3ULL << 30, 5000);
	cr_expect_str_eq(get("memory.max"), "3221225472");
	cr_expect_str_eq(get("pids.max"), "5000");
	expect_described("{\"worker_limits\":{\"memory\":3221225472,\"tasks\":5000}}");
	/* A reload that says nothing of memory: half of the host's. */
	apply(0, 2000);
	snprintf(half, sizeof(half), "%llu",
		(unsigned long long)sysconf(_SC_PHYS_PAGES) *
			(unsigned long long)sysconf(_SC_PAGESIZE) / 2);
	cr_expect_str_eq(get("memory.max"), half);
	cr_expect_str_eq(get("pids.max"), "2000");
	remove_folders();
}

Test(worker_limits, what_is_not_limited_is_told)
{
	static const struct {
		const char *controllers, *described;
	} rows[] = {
		{"memory\n", "{\"worker_limits\":{\"memory\":1073741824,\"missing\":\"pids\"}}"},
		{"pids\n", "{\"worker_limits\":{\"tasks\":3000,\"missing\":\"memory\"}}"},
		{"hugetlb\n", "{\"worker_limits\":{\"missing\":\"memory, pids\"}}"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make_folders(rows[i].controllers);
		apply(1 << 30, 3000);
		expect_described(rows[i].described);
		remove_folders();
	}
	limits = (struct worker_limits){.outer = -1, .cgroup = -1};
	apply(1 << 30, 3000);
	expect_described(
		"{\"worker_limits\":{\"problem\":\"the daemon's cgroup is not left to it to "
		"divide (Delegate= of a unit), so nothing is limited\"}}");
}

/* One that fails is none that holds, until it is set. */
Test(worker_limits, what_can_not_be_written_is_told)
{
	make_folders("memory pids\n");
	unlinkat(limits.cgroup, "pids.max", 0);
	apply(1 << 30, 3000);
	expect_described(
		"{\"worker_limits\":{\"problem\":\"not all could be set: pids.max: No such "
		"file or directory\"}}");
	put(limits.cgroup, "pids.max", "max\n");
	apply(1 << 30, 3000);
	expect_described("{\"worker_limits\":{\"memory\":1073741824,\"tasks\":3000}}");
	/* A value that the kernel refuses, as a full disk would. */
	unlinkat(limits.cgroup, "memory.max", 0);
	cr_assert_eq(symlinkat("/dev/full", limits.cgroup, "memory.max"), 0);
	apply(2 << 20, 3000);
	expect_described("{\"worker_limits\":{\"problem\":\"not all could be set: 2097152 to "
			 "memory.max: No space left on device\"}}");
	cr_expect_str_eq(get("pids.max"), "3000");
	remove_folders();
}
