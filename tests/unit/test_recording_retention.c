/* SPDX-License-Identifier: Apache-2.0
 *
 * What retention deletes, and what it says early; with made-up files and clocks.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "recording/retention.h"

#define DAY (86400 * NANOSECONDS_PER_SECOND)
#define NOW (1000 * DAY)
#define G (1ULL << 30)

static struct retention_report plan(
	const struct retention_policy *policy, struct retention_file *files, size_t count)
{
	struct retention_file *order[16];
	struct retention_report report;

	for (size_t i = 0; i < count; i++)
		order[i] = &files[i];
	retention_plan(policy, order, count, NOW, &report);
	return report;
}

Test(retention, by_age)
{
	struct retention_policy policy = {.days = 90};
	struct retention_file files[] = {
		{.size = 10, .modified = NOW - 89 * DAY}, {.size = 10, .modified = NOW - 90 * DAY},
		{.size = 10, .modified = NOW - 500 * DAY, .in_use = true},
		{.size = 10, .modified = NOW - 91 * DAY, .by_age_alone = true},
		{.size = 10, .modified = NOW + DAY}, /* the clock went back */
	};
	struct retention_report report = plan(&policy, files, ARRAY_SIZE(files));

	cr_assert(!files[0].is_deleted);
	cr_assert(files[1].is_deleted);
	cr_assert(!files[2].is_deleted);
	cr_assert(files[3].is_deleted);
	cr_assert(!files[4].is_deleted);
	cr_assert_eq(report.used, 50);
	cr_assert_eq(report.kept, 30);
	cr_assert(!report.short_of_days);
}

Test(retention, by_size_the_oldest_first)
{
	struct retention_policy policy = {.days = 90, .max_bytes = 25};
	struct retention_file files[] = {
		{.size = 10, .modified = NOW - 1 * DAY},
		{.size = 10, .modified = NOW - 3 * DAY},
		{.size = 10, .modified = NOW - 2 * DAY},
		{.size = 5, .modified = NOW - 4 * DAY, .by_age_alone = true},
		{.size = 5, .modified = NOW - 5 * DAY, .in_use = true},
	};
	struct retention_report report = plan(&policy, files, ARRAY_SIZE(files));

	cr_assert(!files[0].is_deleted);
	cr_assert(files[1].is_deleted);
	cr_assert(files[2].is_deleted);
	cr_assert(!files[3].is_deleted);
	cr_assert(!files[4].is_deleted);
	cr_assert_eq(report.kept, 20);
	cr_assert(report.short_of_days);
	cr_assert_eq(report.oldest, NOW - 1 * DAY);
}

Test(retention, no_limits)
{
	struct retention_policy policy = {0};
	struct retention_file files[] = {{.size = 1000 * G, .modified = 1}};

	plan(&policy, files, 1);
	cr_assert(!files[0].is_deleted);
	cr_assert_eq(plan(&policy, NULL, 0).used, 0);
}

static const char *warn(const struct retention_policy *policy, struct retention_report report)
{
	static char text[RETENTION_WARNING_SIZE];

	if (report.free_bytes == 0)
		report.free_bytes = UINT64_MAX;
	retention_warn(policy, &report, NOW, text);
	return text;
}

Test(retention, warnings)
{
	struct retention_policy policy = {.days = 90, .max_bytes = 20 * G, .warn_percent = 80};
	struct retention_policy unlimited = {.days = 90};

	cr_assert_str_eq(warn(&policy, (struct retention_report){.kept = 15 * G}), "");
	/* 16 of 20 in 32 days: half a day's rate is 0.25 G, 4 G are left for 8 days. */
	cr_assert_str_eq(
		warn(&policy, (struct retention_report){.kept = 16 * G, .oldest = NOW - 32 * DAY}),
		"recordings use 16.0G of 20.0G; when the limit is reached, in about 8 days at the "
		"present rate, the oldest are deleted");
	/* Nothing can be said about the rate of the last minute. */
	cr_assert_str_eq(warn(&policy,
				 (struct retention_report){.kept = 19 * G,
					 .oldest = NOW - 60 * NANOSECONDS_PER_SECOND}),
		"recordings use 19.0G of 20.0G; when the limit is reached, the oldest are deleted");
	cr_assert_not_null(strstr(
		warn(&policy, (struct retention_report){.kept = 19 * G, .short_of_days = true}),
		"before their 90 days are over"));
	/* The disk is full before the limit is reached. */
	cr_assert_not_null(
		strstr(warn(&policy, (struct retention_report){.kept = G, .free_bytes = 18 * G}),
			"only 18.0G left"));
	cr_assert_str_eq(
		warn(&policy, (struct retention_report){.kept = G, .free_bytes = 19 * G}), "");
	cr_assert_not_null(
		strstr(warn(&unlimited,
			       (struct retention_report){
				       .kept = G, .oldest = NOW - 4 * DAY, .free_bytes = G / 2}),
			"in about 2 days"));
	cr_assert_str_eq(
		warn(&unlimited, (struct retention_report){.kept = G, .free_bytes = 2 * G}), "");
}

/* What is being written stays little beside what may be kept. */
Test(retention, size_of_segments)
{
	const struct {
		uint64_t most;
		unsigned workers;
		uint64_t bytes;
	} cases[] = {
		{0, 4, 64 << 20},
		{20ULL << 30, 4, 64 << 20},
		{1 << 30, 1, 64 << 20},
		{1 << 30, 4, 16 << 20},
		{16 << 20, 1, 1 << 20},
		{1 << 20, 1, 64 << 10},
		{1, 1, 64 << 10},
		{1 << 30, 0, 64 << 20},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct retention_policy policy = {.max_bytes = cases[i].most};

		cr_assert_eq(retention_segment_bytes(&policy, cases[i].workers), cases[i].bytes,
			"case %zu", i);
	}
}
