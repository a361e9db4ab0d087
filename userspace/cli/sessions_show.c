/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave sessions show, tail: one session for people.
 */
#include <errno.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/recordings.h"

#define TAIL_POLL (200 * NANOSECONDS_PER_MILLISECOND)
/* So often, in polls, the daemon is asked whether the session's worker still lives. */
#define TAIL_ASK_EVERY 10
/* Of what was before, tail shows so many actions. */
#define TAIL_BEFORE 10

/* ---- who and where ---- */

static void print_fact(const char *name, struct slice text)
{
	if (text.length == 0)
		return;
	printf("%-12s", name);
	cli_print_line(stdout, text);
	putchar('\n');
}

static void print_number_fact(const char *name, uint64_t number)
{
	if (number != UINT64_MAX)
		printf("%-12s%" PRIu64 "\n", name, number);
}

static void print_time_fact(const char *name, uint64_t time)
{
	char text[32];

	text_from_time(time, text);
	print_fact(name, time ? slice_from_string(text) : SLICE_EMPTY);
}

static void print_groups(struct slice lines)
{
	while (lines.length) {
		const uint8_t *end = memchr(lines.data, '\n', lines.length);
		size_t length = end ? (size_t)(end - lines.data) : lines.length;

		print_fact("group", slice_head(lines, length));
		lines = slice_from(lines, length + 1);
	}
}

static void print_head(const struct session_summary *s)
{
	print_fact("session", s->id);
	print_fact("agent", s->agent);
	print_fact("principal", s->principal);
	print_fact("on behalf of", s->on_behalf_of);
	print_groups(s->groups);
	print_fact("resource", s->resource);
	print_fact("protocol", s->protocol);
	print_fact("address", s->address);
	print_fact("upstream", s->upstream);
	print_fact("database", s->database);
	print_fact("user", s->user);
	print_number_fact("pid", s->pid);
	print_number_fact("uid", s->uid);
	print_number_fact("cgroup", s->cgroup);
	print_fact("exe", s->exe);
	print_fact("sha256", s->exe_hash);
	print_fact("arguments", s->arguments);
	print_fact("parents", s->parents);
	print_time_fact("started", s->started);
	print_time_fact(s->state == SESSION_LOST ? "last seen" : "ended", s->ended);
	print_fact("state", slice_from_string(cli_session_state(s)));
	if (s->state == SESSION_ENDED)
		print_fact("reason", cli_session_reason(s->reason));
	print_fact("detail", s->detail);
	if (s->observed)
		printf("mode        observe: nothing was refused, held or masked\n");
	/* Of others the index knows less than the recording that follows. */
	if (s->state == SESSION_ENDED) {
		print_number_fact("actions", s->actions);
		print_number_fact("denied", s->denied);
		print_number_fact("rows", s->rows);
	}
}

/* ---- show ---- */

/* With the number by which a GAP record names what was refused. */
static cJSON *json_record(const struct entry *entry)
{
	cJSON *json = cli_json_entry(entry);

	cJSON_AddNumberToObject(json, "sequence", (double)entry->sequence);
	return json;
}

static int show_json(const struct cli_session *s)
{
	cJSON *json = cJSON_CreateObject(), *records;
	enum playback_status status;
	struct playback playback;
	struct entry entry;

	cJSON_AddItemToObject(json, "session", cli_json_session(s->session));
	records = cJSON_AddArrayToObject(json, "records");
	playback_init(&playback, s->recordings->recordings_folder, s->session);
	while ((status = playback_next(&playback, &entry)) != PLAYBACK_END) {
		cJSON *record;

		if (status == PLAYBACK_RECORD) {
			record = json_record(&entry);
		} else {
			record = cJSON_CreateObject();
			cJSON_AddStringToObject(record, "missing", playback.problem.text);
		}
		cJSON_AddItemToArray(records, record);
	}
	playback_done(&playback);
	cli_json_print(json);
	return CLI_DONE;
}

/* Everything that is there now. */
static void view_available(
	const struct cli_session *s, struct playback *playback, struct cli_viewer *viewer)
{
	enum playback_status status;
	struct entry entry;

	while ((status = playback_next(playback, &entry)) != PLAYBACK_END) {
		if (status == PLAYBACK_RECORD && s->cli->json)
			cli_json_print_line(json_record(&entry));
		else if (status == PLAYBACK_RECORD)
			cli_view_entry(viewer, &entry);
		else if (!s->cli->json)
			printf("(%s)\n", playback->problem.text);
	}
	fflush(stdout);
}

int cli_session_show(const struct cli_session *s)
{
	struct cli_viewer viewer = {0};
	struct playback playback;

	if (s->cli->json)
		return show_json(s);
	print_head(s->session);
	putchar('\n');
	playback_init(&playback, s->recordings->recordings_folder, s->session);
	view_available(s, &playback, &viewer);
	playback_done(&playback);
	free(viewer.actions);
	return CLI_DONE;
}

/* ---- tail ---- */

static bool is_live(const struct cli_session *s)
{
	for (size_t i = 0; i < s->recordings->live_count; i++) {
		if (strcmp(s->recordings->live[i].text, s->session->incarnation.text) == 0)
			return true;
	}
	return false;
}

/* Passes over all that is there but the last few actions; the playback then stands in front of
 * those. */
static void skip_old(const struct cli_session *s, struct playback *playback)
{
	uint64_t actions = 0;
	enum playback_status status;
	struct entry entry;

	playback_init(playback, s->recordings->recordings_folder, s->session);
	while ((status = playback_next(playback, &entry)) != PLAYBACK_END)
		actions += status == PLAYBACK_RECORD && entry.type == RECORD_ACTION;
	playback_done(playback);
	playback_init(playback, s->recordings->recordings_folder, s->session);
	while (actions > TAIL_BEFORE && (status = playback_next(playback, &entry)) != PLAYBACK_END)
		actions -= status == PLAYBACK_RECORD && entry.type == RECORD_ACTION;
}

int cli_session_tail(const struct cli_session *s)
{
	const struct timespec pause = {.tv_nsec = (long)TAIL_POLL};
	struct cli_viewer viewer = {0};
	struct playback playback;
	unsigned polls = 0;
	bool live;

	skip_old(s, &playback);
	do {
		/* First who lives, then what is there: a worker's last words are not missed. */
		live = is_live(s);
		view_available(s, &playback, &viewer);
		if (playback.ended || !live)
			break;
		nanosleep(&pause, NULL);
		if (++polls % TAIL_ASK_EVERY == 0)
			cli_recordings_refresh(s->cli, s->state_dir, s->recordings);
	} while (true);
	if (!playback.ended && !s->cli->json)
		puts("(the session's worker is gone)");
	playback_done(&playback);
	free(viewer.actions);
	return CLI_DONE;
}
