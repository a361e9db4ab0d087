/* SPDX-License-Identifier: Apache-2.0
 *
 * One record of a session for people, as "sessions show" and "tail" print it.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/memory.h"
#include "cli/recordings.h"
#include "recording/pair.h"
#include "recording/value.h"

#define INDENT "    "

static void view_prefix(const struct entry *entry)
{
	cli_print_time(stdout, entry->time);
	if (entry_has(entry, FIELD_NUMBER))
		printf("  #%" PRIu64, entry_number(entry, FIELD_NUMBER));
	fputs("  ", stdout);
}

/* "  name: text" */
static void view_text(const struct entry *entry, enum field field, const char *name)
{
	struct slice text = entry_bytes(entry, field);

	if (text.length == 0)
		return;
	printf(INDENT "%s: ", name);
	cli_print_line(stdout, text);
	putchar('\n');
}

static void view_pair(struct slice bytes)
{
	struct recorded_pair pair;

	if (pair_decode(bytes, &pair) < 0)
		return;
	fputs(INDENT, stdout);
	cli_print_line(stdout, pair.operation);
	if (pair.state != OBJECT_NONE) {
		putchar(' ');
		cli_print_line(stdout, pair.object);
	}
	if (pair.state == OBJECT_UNKNOWN)
		fputs(" (not known for sure)", stdout);
	if (pair.everything)
		fputs(" (all rows)", stdout);
	putchar('\n');
}

static void view_hex(struct slice bytes)
{
	for (size_t i = 0; i < bytes.length; i++)
		printf("%02x", bytes.data[i]);
}

static void view_value(struct slice bytes)
{
	struct recorded_value v;

	if (value_decode(bytes, &v) < 0) {
		fputs("(damaged)", stdout);
		return;
	}
	if (v.form == VALUE_NULL) {
		fputs("NULL", stdout);
	} else if (v.form == VALUE_HIDDEN) {
		printf("[hidden] (%" PRIu64 " bytes)", v.length);
	} else if (v.form == VALUE_TEXT || v.form == VALUE_TEXT_CUT) {
		putchar('\'');
		cli_print_line(stdout, v.bytes);
		putchar('\'');
	} else {
		fputs("\\x", stdout);
		view_hex(v.bytes);
	}
	if (v.digest.length) {
		printf(" … (%" PRIu64 " bytes, SHA-256 ", v.length);
		view_hex(v.digest);
		putchar(')');
	}
}

static void view_verdict(const struct entry *entry)
{
	const char *verdict = record_verdict_name(entry_number(entry, FIELD_VERDICT));
	const char *separator = "  ";

	fputs(verdict ? verdict : "?", stdout);
	if (entry_has(entry, FIELD_OBSERVED))
		fputs(" (observed: not enforced)", stdout);
	for (size_t i = 0; i < entry->count; i++) {
		if (entry->items[i].field != FIELD_RULE)
			continue;
		fputs(separator, stdout);
		putchar('"');
		cli_print_line(stdout, entry->items[i].bytes);
		putchar('"');
		separator = ", ";
	}
	if (entry_has(entry, FIELD_RUN_OF))
		printf("  runs the statement of #%" PRIu64, entry_number(entry, FIELD_RUN_OF));
	putchar('\n');
}

static void view_action(struct cli_viewer *viewer, const struct entry *entry)
{
	size_t parameter = 0;

	if ((viewer->count & (viewer->count - 1)) == 0)
		viewer->actions = memory_resize_array(viewer->actions,
			viewer->count ? viewer->count * 2 : 1, sizeof(*viewer->actions));
	viewer->actions[viewer->count++] =
		(struct cli_shown_action){entry->sequence, entry_number(entry, FIELD_NUMBER)};
	view_prefix(entry);
	view_verdict(entry);
	for (size_t i = 0; i < entry->count; i++) {
		if (entry->items[i].field == FIELD_PAIR)
			view_pair(entry->items[i].bytes);
	}
	if (entry_has(entry, FIELD_PAIRS_MORE))
		printf(INDENT "and %" PRIu64 " more\n", entry_number(entry, FIELD_PAIRS_MORE));
	view_text(entry, FIELD_MASKS, "masks");
	view_text(entry, FIELD_AS, "runs as");
	view_text(entry, FIELD_REASON, "reason");
	view_text(entry, FIELD_PROBLEM, "not understood");
	view_text(entry, FIELD_MESSAGE, "told");
	view_text(entry, FIELD_REVIEW, "review");
	if (entry_has(entry, FIELD_TEXT))
		cli_print_block(stdout, entry_bytes(entry, FIELD_TEXT), INDENT "| ");
	if (entry_has(entry, FIELD_TEXT_LENGTH)) {
		printf(INDENT "(text of %" PRIu64 " bytes, SHA-256 ",
			entry_number(entry, FIELD_TEXT_LENGTH));
		view_hex(entry_bytes(entry, FIELD_DIGEST));
		puts(")");
	}
	for (size_t i = 0; i < entry->count; i++) {
		if (entry->items[i].field != FIELD_PARAMETER)
			continue;
		printf(INDENT "$%zu = ", ++parameter);
		view_value(entry->items[i].bytes);
		putchar('\n');
	}
}

static void view_decision(struct cli_viewer *viewer, const struct entry *entry)
{
	const char *outcome = record_outcome_name(entry_number(entry, FIELD_OUTCOME));

	(void)viewer;
	view_prefix(entry);
	printf("review %s\n", outcome ? outcome : "?");
	view_text(entry, FIELD_REVIEW, "review");
	view_text(entry, FIELD_BY, "by");
	view_text(entry, FIELD_DETAIL, "reason");
	view_text(entry, FIELD_GRANT, "grant");
}

static void view_result(struct cli_viewer *viewer, const struct entry *entry)
{
	(void)viewer;
	view_prefix(entry);
	if (entry_has(entry, FIELD_ERROR_TEXT) || entry_has(entry, FIELD_ERROR_CODE)) {
		fputs("error ", stdout);
		cli_print_line(stdout, entry_bytes(entry, FIELD_ERROR_CODE));
		fputs(": ", stdout);
		cli_print_line(stdout, entry_bytes(entry, FIELD_ERROR_TEXT));
	} else {
		fputs("done ", stdout);
		cli_print_line(stdout, entry_bytes(entry, FIELD_TAG));
	}
	fputs("  ", stdout);
	cli_print_count(stdout, entry_number(entry, FIELD_ROWS), "row");
	fputs(", ", stdout);
	cli_print_count(stdout, entry_number(entry, FIELD_BYTES), "byte");
	putchar('\n');
}

static void view_rows(struct cli_viewer *viewer, const struct entry *entry)
{
	size_t rows = 0;

	(void)viewer;
	for (size_t i = 0; i < entry->count; i++)
		rows += entry->items[i].field == FIELD_ROW;
	view_prefix(entry);
	cli_print_count(stdout, rows, "row");
	puts(" recorded (\"replay\" shows them)");
}

static void view_data(struct cli_viewer *viewer, const struct entry *entry)
{
	static const char *const kinds[] = {
		[RECORD_DATA_INPUT] = "input",
		[RECORD_DATA_OUTPUT] = "output",
		[RECORD_DATA_ERROR] = "error output",
	};
	uint64_t kind = entry_number(entry, FIELD_DATA_KIND);

	(void)viewer;
	view_prefix(entry);
	if (kind == RECORD_DATA_WINDOW) {
		printf("terminal of %" PRIu64 " by %" PRIu64 "\n", entry_number(entry, FIELD_WIDTH),
			entry_number(entry, FIELD_HEIGHT));
		return;
	}
	cli_print_count(stdout, entry_bytes(entry, FIELD_DATA).length, "byte");
	printf(" of %s recorded (\"replay\" shows them)\n",
		kind < ARRAY_SIZE(kinds) && kinds[kind] ? kinds[kind] : "?");
}

static void view_note(struct cli_viewer *viewer, const struct entry *entry)
{
	(void)viewer;
	view_prefix(entry);
	cli_print_line(stdout, entry_bytes(entry, FIELD_REASON));
	putchar('\n');
	view_text(entry, FIELD_DETAIL, "detail");
}

static void view_gap(struct cli_viewer *viewer, const struct entry *entry)
{
	uint64_t first = entry_number(entry, FIELD_FIRST), last = entry_number(entry, FIELD_LAST);
	const char *why = strerrordesc_np((int)entry_number(entry, FIELD_ERRNO));

	view_prefix(entry);
	printf("recording had failed: %s\n", why ? why : "?");
	for (size_t i = viewer->count; i > 0 && viewer->actions[i - 1].sequence >= first; i--) {
		if (viewer->actions[i - 1].sequence <= last)
			printf(INDENT "#%" PRIu64 " was refused, not forwarded\n",
				viewer->actions[i - 1].number);
	}
	if (entry_has(entry, FIELD_DROPPED) && entry_number(entry, FIELD_DROPPED))
		printf(INDENT "records of the worker that are lost: %" PRIu64 "\n",
			entry_number(entry, FIELD_DROPPED));
}

static void view_end(struct cli_viewer *viewer, const struct entry *entry)
{
	(void)viewer;
	view_prefix(entry);
	fputs("end: ", stdout);
	cli_print_line(stdout, cli_session_reason(entry_bytes(entry, FIELD_REASON)));
	printf("  %" PRIu64 " bytes to the agent, %" PRIu64 " to the server\n",
		entry_number(entry, FIELD_BYTES_TO_AGENT),
		entry_number(entry, FIELD_BYTES_TO_SERVER));
	view_text(entry, FIELD_DETAIL, "detail");
}

static void view_session(struct cli_viewer *viewer, const struct entry *entry)
{
	struct slice user = entry_bytes(entry, FIELD_USER);
	struct slice database = entry_bytes(entry, FIELD_DATABASE);

	/* Each change repeats all facts, which the head of the list shows; only the login is an
	 * event of its own. */
	if (viewer->logged_in || user.length == 0)
		return;
	viewer->logged_in = true;
	view_prefix(entry);
	fputs("login: user ", stdout);
	cli_print_line(stdout, user);
	if (database.length) {
		fputs(", database ", stdout);
		cli_print_line(stdout, database);
	}
	putchar('\n');
}

static void (*const views[])(struct cli_viewer *viewer, const struct entry *entry) = {
	[RECORD_SESSION] = view_session,
	[RECORD_SESSION_END] = view_end,
	[RECORD_ACTION] = view_action,
	[RECORD_DECISION] = view_decision,
	[RECORD_RESULT] = view_result,
	[RECORD_ROWS] = view_rows,
	[RECORD_DATA] = view_data,
	[RECORD_NOTE] = view_note,
	[RECORD_GAP] = view_gap,
};

void cli_view_entry(struct cli_viewer *viewer, const struct entry *entry)
{
	if (entry->type < ARRAY_SIZE(views) && views[entry->type])
		views[entry->type](viewer, entry);
}
