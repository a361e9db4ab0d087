/* SPDX-License-Identifier: Apache-2.0
 *
 * recordings: what the verbs "sessions" and "audit" share: the folders, options, times, text for
 * terminals, records as JSON.
 */
#ifndef WAYLEAVE_CLI_RECORDINGS_H
#define WAYLEAVE_CLI_RECORDINGS_H

#include <stdio.h>

#include "base/json.h"
#include "cli/cli.h"
#include "recording/entry.h"
#include "recording/playback.h"
#include "recording/session_list.h"

/* The folders, and who is alive: from the daemon, or, with --state-dir, from the disk. */
struct cli_recordings {
	int recordings_folder, audit_folder;
	struct identifier *live;
	size_t live_count;
	struct identifier *unburied; /* with --state-dir; see verify.h */
	size_t unburied_count;
};

/* `state_dir` NULL: ask the daemon. Prints what is wrong; an exit status, CLI_DONE = open. */
int cli_recordings_open(
	const struct cli *cli, const char *verb, const char *state_dir, struct cli_recordings *ret);
void cli_recordings_close(struct cli_recordings *r);
/* Asks again who is alive; without a daemon nothing changes. */
void cli_recordings_refresh(const struct cli *cli, const char *state_dir, struct cli_recordings *r);

/* One option of a verb: "--name VALUE" where `value` is set, else "--name". */
struct cli_option {
	const char *name;
	const char **value;
	bool *flag;
};
/* Takes options out of argv (from 1 on) until "--"; what is left are the positional words, whose
 * number is returned. -1: an unknown option, or one without its value. */
int cli_take_options(int argc, char **argv, const struct cli_option *options, size_t count);
/* RFC 3339 ("2026-01-31", "2026-01-31T12:00:00Z"), or a duration back from now ("90m");
 * nanoseconds. -EINVAL. */
int cli_parse_time(const char *text, uint64_t *ret);

/* Text of others: never raw to the terminal. As one line, or as a block whose lines begin with
 * `indent`. */
void cli_append_line(struct buffer *b, struct slice text);
void cli_append_block(struct buffer *b, struct slice text, const char *indent);
void cli_print_line(FILE *out, struct slice text);
void cli_print_block(FILE *out, struct slice text, const char *indent);
/* "1 row", "2 rows" */
void cli_print_count(FILE *out, uint64_t count, const char *noun);
/* How many columns cli_print_line() takes. */
size_t cli_line_width(struct slice text);
/* A cell of a table on stdout: filled up with spaces, and two behind it. */
void cli_print_cell(struct slice text, size_t width);
/* A list of texts on stdout, with commas between them. */
void cli_print_names(const cJSON *names);
/* RFC 3339, UTC. */
void cli_print_time(FILE *out, uint64_t time);

/* A record: its type as "record", "time", and its fields by their names. */
cJSON *cli_json_entry(const struct entry *entry);
/* Prints on one line, and frees. */
void cli_json_print_line(cJSON *json);
/* The same over several lines. */
void cli_json_print(cJSON *json);

/* sessions_view.c: records for people. A viewer remembers the actions it printed, to tell which of
 * them a GAP record takes back; zeroed at first, its owner frees `actions`. */
struct cli_shown_action {
	uint64_t sequence, number;
};
struct cli_viewer {
	struct cli_shown_action *actions;
	size_t count;
	bool logged_in; /* the login was shown */
};
void cli_view_entry(struct cli_viewer *viewer, const struct entry *entry);

/* sessions_show.c, sessions_replay.c: verbs of "sessions" on one session. Exit statuses. */
struct cli_session {
	const struct cli *cli;
	const char *state_dir;
	struct cli_recordings *recordings;
	const struct session_summary *session;
};
int cli_session_show(const struct cli_session *s);
int cli_session_tail(const struct cli_session *s);
/* `speed` 0: at once; 1: as it was; 2: twice as fast … */
int cli_session_replay(const struct cli_session *s, double speed);
/* sessions_asciicast.c */
int cli_session_asciicast(const struct cli_session *s);

/* audit_export.c: records of `since` (nanoseconds) and later. An exit status. */
int cli_audit_export(const struct cli_recordings *recordings, uint64_t since);

const char *cli_session_state(const struct session_summary *session);
/* Why it ended, in one word; "ended" where that needs no reason. */
struct slice cli_session_reason(struct slice reason);
cJSON *cli_json_session(const struct session_summary *session);

#endif
