/* SPDX-License-Identifier: Apache-2.0 */
#include "recording/retention.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define NANOSECONDS_PER_DAY (86400 * NANOSECONDS_PER_SECOND)
#define FREE_BYTES_LEAST (1ULL << 30) /* where recordings have no limit of their own */
#define WHEN_SIZE 64
#define SEGMENTS_LEAST 16 /* that max_bytes has room for, of each worker */

static int compare_ages(const void *left, const void *right)
{
	const struct retention_file *a = *(struct retention_file *const *)left;
	const struct retention_file *b = *(struct retention_file *const *)right;

	return a->modified < b->modified ? -1 : a->modified > b->modified;
}

static bool is_over(
	const struct retention_policy *policy, const struct retention_file *f, uint64_t now)
{
	return policy->days && now > f->modified &&
		(now - f->modified) / NANOSECONDS_PER_DAY >= policy->days;
}

void retention_plan(const struct retention_policy *policy, struct retention_file **files,
	size_t count, uint64_t now, struct retention_report *ret)
{
	struct retention_report report = {.free_bytes = UINT64_MAX};

	if (count)
		qsort(files, count, sizeof(*files), compare_ages);
	for (size_t i = 0; i < count; i++) {
		report.used += files[i]->size;
		files[i]->is_deleted = !files[i]->in_use && is_over(policy, files[i], now);
		if (!files[i]->is_deleted)
			report.kept += files[i]->size;
	}
	for (size_t i = 0; i < count; i++) {
		struct retention_file *f = files[i];

		if (f->in_use || f->by_age_alone || f->is_deleted)
			continue;
		if (policy->max_bytes && report.kept > policy->max_bytes) {
			f->is_deleted = true;
			report.kept -= f->size;
			report.short_of_days = true;
		} else if (report.oldest == 0) {
			report.oldest = f->modified;
		}
	}
	*ret = report;
}

uint64_t retention_segment_bytes(const struct retention_policy *policy, unsigned workers)
{
	uint64_t bytes = policy->max_bytes / SEGMENTS_LEAST / (workers ? workers : 1);

	if (policy->max_bytes == 0 || bytes > RETENTION_SEGMENT_MOST)
		return RETENTION_SEGMENT_MOST;
	return bytes > RETENTION_SEGMENT_LEAST ? bytes : RETENTION_SEGMENT_LEAST;
}

/* "16.4G" */
static void format_size(uint64_t bytes, char ret[16])
{
	static const char units[] = " KMGTPE";
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(ret, 16, "%" PRIu64, bytes);
	else
		snprintf(ret, 16, "%.1f%c", value, units[unit]);
}

/* When `room` bytes will be used up, at the rate of the recordings that are there; an empty text
 * where that can't be told. */
static void format_when(
	const struct retention_report *report, uint64_t room, uint64_t now, char ret[WHEN_SIZE])
{
	double days;

	*ret = '\0';
	if (report->oldest == 0 || now <= report->oldest || report->kept == 0)
		return;
	days = (double)(now - report->oldest) / (double)NANOSECONDS_PER_DAY;
	/* Less than an hour says nothing about days to come. */
	if (days < 1.0 / 24)
		return;
	days = (double)room * days / (double)report->kept;
	if (days < 36500)
		snprintf(ret, WHEN_SIZE, ", in about %.0f days at the present rate", days);
}

void retention_warn(const struct retention_policy *policy, const struct retention_report *report,
	uint64_t now, char ret[RETENTION_WARNING_SIZE])
{
	char kept[16], most[16], free_text[16], when[WHEN_SIZE];
	uint64_t room = policy->max_bytes > report->kept ? policy->max_bytes - report->kept : 0;
	uint64_t needed = policy->max_bytes ? room : FREE_BYTES_LEAST;

	*ret = '\0';
	format_size(report->kept, kept);
	format_size(policy->max_bytes, most);
	format_size(report->free_bytes, free_text);
	if (report->free_bytes < needed) {
		format_when(report, report->free_bytes, now, when);
		snprintf(ret, RETENTION_WARNING_SIZE,
			"the file system has only %s left, less than recordings may still take: "
			"when it is "
			"full%s, nothing can be recorded and agents are refused everything",
			free_text, when);
	} else if (report->short_of_days) {
		snprintf(ret, RETENTION_WARNING_SIZE,
			"recordings reached their limit of %s: the oldest are deleted before their "
			"%" PRIu64 " days are over",
			most, policy->days);
	} else if (policy->max_bytes && policy->warn_percent &&
		(double)report->kept >= (double)policy->max_bytes * policy->warn_percent / 100) {
		format_when(report, room, now, when);
		snprintf(ret, RETENTION_WARNING_SIZE,
			"recordings use %s of %s; when the limit is reached%s, the oldest are "
			"deleted",
			kept, most, when);
	}
}
