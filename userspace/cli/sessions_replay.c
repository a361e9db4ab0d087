/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave sessions replay: statements and rows as a person at a terminal would have seen them, at
 * the pace at which they came.
 */
#include <inttypes.h>
#include <time.h>

#include "base/clock.h"
#include "base/memory.h"
#include "cli/recordings.h"
#include "cli/terminal.h"
#include "recording/value.h"

#define COLUMNS_MOST 1664 /* PostgreSQL's own limit; further ones are not shown */
#define CELL_WIDTH_MOST 60

struct replayer {
	double speed;
	uint64_t time; /* of the last record; 0 = none */
	struct slice prompt;
	/* The columns of the result that is being shown, and whether they stand above its rows yet.
	 */
	struct slice names[COLUMNS_MOST];
	size_t count;
	uint64_t number;
	bool headed;
	size_t widths[COLUMNS_MOST];
	struct buffer cell;
	struct terminal terminal;
};

static void replay_wait(struct replayer *r, uint64_t time)
{
	uint64_t pause;
	struct timespec t;

	if (r->time && time > r->time && r->speed > 0) {
		pause = (uint64_t)((double)(time - r->time) / r->speed);
		t.tv_sec = (time_t)(pause / NANOSECONDS_PER_SECOND);
		t.tv_nsec = (long)(pause % NANOSECONDS_PER_SECOND);
		fflush(stdout);
		nanosleep(&t, NULL);
	}
	r->time = time;
}

/* ---- rows ---- */

static void forget_columns(struct replayer *r)
{
	for (size_t i = 0; i < r->count; i++)
		free((void *)r->names[i].data);
	r->count = 0;
	r->headed = false;
}

static void replay_columns(struct replayer *r, const struct entry *entry)
{
	forget_columns(r);
	r->number = entry_number(entry, FIELD_NUMBER);
	for (size_t i = 0; i < entry->count && r->count < COLUMNS_MOST; i++) {
		struct slice name = entry->items[i].bytes;

		if (entry->items[i].field == FIELD_COLUMN)
			r->names[r->count++] =
				slice_of(memory_copy_text(name.data, name.length), name.length);
	}
}

/* The text of a cell, valid until the next. */
static struct slice cell_text(struct replayer *r, const struct recorded_value *v)
{
	bool cut = v->digest.length > 0;

	buffer_clear(&r->cell);
	if (v->form == VALUE_TEXT || v->form == VALUE_TEXT_CUT) {
		buffer_append_slice(&r->cell, v->bytes);
	} else if (v->form != VALUE_NULL) {
		buffer_append_string(&r->cell, "\\x");
		for (size_t i = 0; i < v->bytes.length; i++)
			buffer_append_format(&r->cell, "%02x", v->bytes.data[i]);
	}
	if (cut)
		buffer_append_format(&r->cell, "… (%" PRIu64 " bytes)", v->length);
	return buffer_slice(&r->cell);
}

static void widen(struct replayer *r, size_t column, struct slice text)
{
	size_t width = cli_line_width(text);

	if (width > CELL_WIDTH_MOST)
		width = CELL_WIDTH_MOST;
	if (width > r->widths[column])
		r->widths[column] = width;
}

static void measure(struct replayer *r, const struct entry *entry)
{
	for (size_t i = 0; i < COLUMNS_MOST; i++)
		r->widths[i] = 0;
	for (size_t i = 0; i < r->count; i++)
		widen(r, i, r->names[i]);
	for (size_t i = 0; i < entry->count; i++) {
		struct slice row = entry->items[i].bytes;
		struct recorded_value v;

		if (entry->items[i].field != FIELD_ROW)
			continue;
		for (size_t c = 0; c < COLUMNS_MOST && row.length && row_take(&row, &v) == 0; c++)
			widen(r, c, cell_text(r, &v));
	}
}

static void print_cell(struct replayer *r, size_t column, struct slice text, bool last)
{
	size_t width = cli_line_width(text);

	fputs(column ? "| " : " ", stdout);
	cli_print_line(stdout, text);
	if (!last)
		printf("%*s ", width < r->widths[column] ? (int)(r->widths[column] - width) : 0,
			"");
}

static void print_heading(struct replayer *r)
{
	for (size_t i = 0; i < r->count; i++)
		print_cell(r, i, r->names[i], i + 1 == r->count);
	putchar('\n');
	for (size_t i = 0; i < r->count; i++) {
		if (i)
			putchar('+');
		for (size_t n = 0; n < r->widths[i] + 2; n++)
			putchar('-');
	}
	putchar('\n');
	r->headed = true;
}

static void replay_rows(struct replayer *r, const struct entry *entry)
{
	if (entry_number(entry, FIELD_NUMBER) != r->number)
		forget_columns(r);
	measure(r, entry);
	if (!r->headed && r->count)
		print_heading(r);
	for (size_t i = 0; i < entry->count; i++) {
		struct slice row = entry->items[i].bytes;
		struct recorded_value v;
		size_t column = 0;

		if (entry->items[i].field != FIELD_ROW)
			continue;
		while (column < COLUMNS_MOST && row.length && row_take(&row, &v) == 0)
			print_cell(r, column++, cell_text(r, &v), row.length == 0);
		putchar('\n');
	}
}

/* ---- the rest ---- */

/* Behind the first line each has a mark, so that no text looks like another action. */
static void print_statement(struct slice text)
{
	const uint8_t *end = memchr(text.data, '\n', text.length);
	size_t first = end ? (size_t)(end - text.data) : text.length;
	struct slice rest = slice_from(text, first + 1);

	cli_print_block(stdout, slice_head(text, first), "");
	if (rest.length)
		cli_print_block(stdout, rest, "| ");
}

static void replay_action(struct replayer *r, const struct entry *entry)
{
	uint64_t verdict = entry_number(entry, FIELD_VERDICT);
	struct slice text = entry_bytes(entry, FIELD_TEXT);

	putchar('\n');
	cli_print_line(stdout, r->prompt);
	printf("#%" PRIu64 "> ", entry_number(entry, FIELD_NUMBER));
	if (text.length)
		print_statement(text);
	else if (entry_has(entry, FIELD_RUN_OF))
		printf("(the statement of #%" PRIu64 ")\n", entry_number(entry, FIELD_RUN_OF));
	else
		puts("");
	if (verdict == RECORD_VERDICT_REVIEW) {
		fputs("NOTICE:  waiting for review ", stdout);
		cli_print_line(stdout, entry_bytes(entry, FIELD_REVIEW));
		putchar('\n');
	} else if (verdict == RECORD_VERDICT_DENY && !entry_has(entry, FIELD_OBSERVED)) {
		fputs("ERROR:  ", stdout);
		cli_print_line(stdout, entry_bytes(entry, FIELD_MESSAGE));
		putchar('\n');
	}
}

static void replay_decision(struct replayer *r, const struct entry *entry)
{
	const char *outcome = record_outcome_name(entry_number(entry, FIELD_OUTCOME));

	(void)r;
	printf("NOTICE:  review %s\n", outcome ? outcome : "?");
}

static void replay_result(struct replayer *r, const struct entry *entry)
{
	uint64_t rows = entry_number(entry, FIELD_ROWS);
	struct slice error = entry_bytes(entry, FIELD_ERROR_TEXT);

	if (entry_number(entry, FIELD_NUMBER) == r->number && r->count && !r->headed) {
		struct entry none = {0};

		measure(r, &none);
		print_heading(r);
	}
	if (error.length || entry_has(entry, FIELD_ERROR_CODE)) {
		fputs("ERROR:  ", stdout);
		cli_print_line(stdout, error);
	} else if (rows) {
		putchar('(');
		cli_print_count(stdout, rows, "row");
		putchar(')');
	} else {
		cli_print_line(stdout, entry_bytes(entry, FIELD_TAG));
	}
	putchar('\n');
	forget_columns(r);
}

static void replay_note(struct replayer *r, const struct entry *entry)
{
	(void)r;
	fputs("-- ", stdout);
	cli_print_line(stdout, cli_session_reason(entry_bytes(entry, FIELD_REASON)));
	if (entry_has(entry, FIELD_DETAIL)) {
		fputs(": ", stdout);
		cli_print_line(stdout, entry_bytes(entry, FIELD_DETAIL));
	}
	putchar('\n');
}

/* Input is seen where the other side echoed it. */
static void replay_data(struct replayer *r, const struct entry *entry)
{
	uint64_t kind = entry_number(entry, FIELD_DATA_KIND);

	if (kind == RECORD_DATA_OUTPUT || kind == RECORD_DATA_ERROR)
		terminal_print(&r->terminal, stdout, entry_bytes(entry, FIELD_DATA));
}

static void (*const replays[])(struct replayer *r, const struct entry *entry) = {
	[RECORD_ACTION] = replay_action,
	[RECORD_DECISION] = replay_decision,
	[RECORD_RESULT] = replay_result,
	[RECORD_COLUMNS] = replay_columns,
	[RECORD_ROWS] = replay_rows,
	[RECORD_DATA] = replay_data,
	[RECORD_NOTE] = replay_note,
	[RECORD_SESSION_END] = replay_note,
};

int cli_session_replay(const struct cli_session *s, double speed)
{
	struct replayer *r = memory_new(sizeof(*r));
	struct slice database = s->session->database;
	enum playback_status status;
	struct playback playback;
	struct entry entry;

	r->speed = speed;
	r->prompt = database.length ? database : s->session->resource;
	buffer_init(&r->cell, 4 * LIMIT_RECORD_VALUE);
	playback_init(&playback, s->recordings->recordings_folder, s->session);
	while ((status = playback_next(&playback, &entry)) != PLAYBACK_END) {
		if (status == PLAYBACK_MISSING) {
			printf("(%s)\n", playback.problem.text);
			continue;
		}
		replay_wait(r, entry.time);
		if (entry.type < ARRAY_SIZE(replays) && replays[entry.type])
			replays[entry.type](r, &entry);
	}
	playback_done(&playback);
	forget_columns(r);
	buffer_done(&r->cell);
	free(r);
	return CLI_DONE;
}
