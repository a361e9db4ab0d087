/* SPDX-License-Identifier: Apache-2.0
 *
 * recording_bench [FOLDER]: what recording costs, in CPU time: per action with its result, for
 * statements that repeat and that don't, and per megabyte of rows. Files are made in FOLDER
 * (default: none, written to /dev/null). write(2) is counted apart.
 */
#include <time.h>

#include "tests/tools/recording_state.h"

#define TURN 64 /* actions per loop turn */

static double cpu(void)
{
	return (double)clock_read(CLOCK_THREAD_CPUTIME_ID);
}

static int open_file(const char *folder, unsigned kind)
{
	char *path;
	int fd;

	if (!folder)
		return open("/dev/null", O_WRONLY | O_APPEND | O_CLOEXEC);
	path = memory_format("%s/%s", folder, stream_kind_name(kind));
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	free(path);
	return fd;
}

static void report(const char *what, double record, double flush, double count, const char *unit)
{
	printf("%-44s %8.0f ns per %s, and %.0f ns in flush\n", what, record / count, unit,
		flush / count);
}

static void statements(struct recorder *r, struct recorder_session *s, unsigned different)
{
	enum { COUNT = 500000 };
	struct record_value value = {VALUE_TEXT, S("4711")};
	struct record_result result = {.rows = 1, .bytes = 140, .tag = S("SELECT 1")};
	double recording = 0, flushing = 0, start;
	char texts[TURN][128], what[64];

	for (unsigned i = 0; i < COUNT; i += TURN) {
		for (unsigned n = 0; n < TURN; n++)
			snprintf(texts[n], sizeof(texts[n]),
				"select id, customer, total from orders where id = $1 /* %u */",
				(i + n) % different);
		start = cpu();
		for (unsigned n = 0; n < TURN; n++) {
			struct action action = state_action(slice_from_string(texts[n]), false);
			struct record_action record = {.action = &action,
				.verdict = RECORD_VERDICT_ALLOW,
				.rules = state_rules,
				.rule_count = 1,
				.parameters = &value,
				.parameter_count = 1};

			recorder_result(r, s, recorder_action(r, s, &record), &result);
		}
		recording += cpu() - start;
		start = cpu();
		if (recorder_flush(r) < 0)
			abort();
		flushing += cpu() - start;
	}
	snprintf(what, sizeof(what), "action + result, %u different texts", different);
	report(what, recording, flushing, COUNT, "pair");
}

static void rows(struct recorder *r, struct recorder_session *s)
{
	enum { COUNT = 1000000 };
	struct record_value cells[] = {{VALUE_TEXT, S("12345")},
		{VALUE_TEXT, S("a customer's name")}, {VALUE_NULL, {0}},
		{VALUE_TEXT, S("2026-01-31 12:00:00.123+00")},
		{VALUE_TEXT,
			S("a text of some length, as comments and descriptions are, with words")}};
	double recording = 0, flushing = 0, start, megabytes = COUNT * 115 / 1e6;

	for (unsigned i = 0; i < COUNT; i += 200) {
		start = cpu();
		recorder_rows_begin(r, s, 1);
		for (unsigned n = 0; n < 200; n++)
			recorder_rows_add(r, cells, ARRAY_SIZE(cells));
		recorder_rows_end(r);
		recording += cpu() - start;
		start = cpu();
		if (recorder_flush(r) < 0)
			abort();
		flushing += cpu() - start;
	}
	report("rows of 5 cells, 115 bytes", recording, flushing, COUNT, "row");
	printf("%-44s %8.0f MB/s\n", "", megabytes / ((recording + flushing) / 1e9));
}

int main(int argc, char **argv)
{
	struct recorder_options options = {.incarnation = {"w-0123456789ABCDEF"}};
	const char *folder = argc > 1 ? argv[1] : NULL;
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct recorder_session s = {0};
	struct recorder *r;

	if (recorder_new(&r, &options) < 0)
		return 1;
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		recorder_give_segment(r, (enum stream_kind)kind, open_file(folder, kind), 1);
	recorder_session_start(r, &s, &facts);
	statements(r, &s, 1);
	statements(r, &s, 1000);
	statements(r, &s, 1000000000);
	rows(r, &s);
	recorder_session_end(r, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	recorder_free(r);
	return 0;
}
