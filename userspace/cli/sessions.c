/* SPDX-License-Identifier: Apache-2.0
 *
 * wayleave sessions: list, and the verbs on one session.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/reason.h"
#include "cli/recordings.h"
#include "monitor/control.h"

#define VERB "sessions"

struct options {
	const char *state_dir, *agent, *since, *speed;
	bool active, asciicast, help;
};

static void usage(FILE *out)
{
	fprintf(out,
		"usage: wayleave sessions [list] [--agent NAME] [--since TIME] [--active]\n"
		"       wayleave sessions show ID\n"
		"       wayleave sessions replay ID [--speed N | --asciicast]\n"
		"       wayleave sessions tail ID\n"
		"       wayleave sessions kill ID\n\n"
		"  --agent NAME    only sessions of that agent\n"
		"  --since TIME    started since then: 2026-01-31T12:00:00Z, 2026-01-31, or 90m, "
		"2d ago\n"
		"  --active        only sessions that go on, or whose agent has yet to read the "
		"rest\n"
		"  --speed N       1 = as it was, 10 = ten times as fast, 0 = without waiting\n"
		"  --asciicast     for asciinema's players: a terminal, or a command's output\n"
		"  --state-dir DIR read there, without the daemon\n"
		"  --json          for programs\n");
}

/* ---- list ---- */

const char *cli_session_state(const struct session_summary *session)
{
	static const char *const names[] = {[SESSION_ACTIVE] = "active",
		[SESSION_ENDED] = "ended",
		[SESSION_LOST] = "abnormal"};

	return session->unread ? "unread" : names[session->state];
}

struct slice cli_session_reason(struct slice reason)
{
	return slice_equal_string(reason, reason_get(REASON_NONE)->metric)
		? slice_from_string("ended")
		: reason;
}

static void add_number(cJSON *json, const char *name, uint64_t number)
{
	if (number == UINT64_MAX)
		cJSON_AddNullToObject(json, name);
	else
		cJSON_AddNumberToObject(json, name, (double)number);
}

cJSON *cli_json_session(const struct session_summary *s)
{
	cJSON *json = cJSON_CreateObject();

	json_add_text(json, "id", s->id);
	json_add_text(json, "agent", s->agent);
	json_add_text(json, "principal", s->principal);
	if (s->on_behalf_of.length)
		json_add_text(json, "on_behalf_of", s->on_behalf_of);
	if (s->groups.length)
		cJSON_AddItemToObject(json, "groups", json_lines(s->groups));
	json_add_text(json, "resource", s->resource);
	json_add_text(json, "protocol", s->protocol);
	add_number(json, "pid", s->pid);
	json_add_text(json, "exe", s->exe);
	json_add_text(json, "exe_sha256", s->exe_hash);
	json_add_text(json, "arguments", s->arguments);
	json_add_text(json, "parents", s->parents);
	json_add_time(json, "start", s->started);
	json_add_time(json, "end", s->ended);
	add_number(json, "actions", s->actions);
	add_number(json, "denied", s->denied);
	cJSON_AddStringToObject(json, "state", cli_session_state(s));
	add_number(json, "uid", s->uid);
	add_number(json, "cgroup", s->cgroup);
	add_number(json, "process_start", s->process_start);
	json_add_text(json, "address", s->address);
	json_add_text(json, "upstream", s->upstream);
	json_add_text(json, "database", s->database);
	json_add_text(json, "user", s->user);
	cJSON_AddBoolToObject(json, "observed", s->observed);
	add_number(json, "rows", s->rows);
	add_number(json, "bytes_to_agent", s->bytes_to_agent);
	add_number(json, "bytes_to_server", s->bytes_to_server);
	json_add_text(json, "reason", s->reason);
	json_add_text(json, "detail", s->detail);
	return json;
}

static void print_duration(uint64_t nanoseconds)
{
	uint64_t seconds = nanoseconds / NANOSECONDS_PER_SECOND;
	uint64_t tenths = nanoseconds / (NANOSECONDS_PER_SECOND / 10) % 10;
	char text[32];

	if (seconds < 60)
		snprintf(text, sizeof(text), "%" PRIu64 ".%" PRIu64 "s", seconds, tenths);
	else if (seconds < 3600)
		snprintf(text, sizeof(text), "%" PRIu64 "m%02" PRIu64 "s", seconds / 60,
			seconds % 60);
	else
		snprintf(text, sizeof(text), "%" PRIu64 "h%02" PRIu64 "m", seconds / 3600,
			seconds / 60 % 60);
	printf("%9s", text);
}

#define COLUMN_MOST 32

static void widen(size_t *width, struct slice text)
{
	size_t used = cli_line_width(text);

	if (used > *width)
		*width = used < COLUMN_MOST ? used : COLUMN_MOST;
}

static void list_table(const struct session_list *list)
{
	size_t agent = 5, resource = 8;

	for (size_t i = 0; i < list->count; i++) {
		widen(&agent, list->sessions[i]->agent);
		widen(&resource, list->sessions[i]->resource);
	}
	printf("%-12s  %-24s  %9s  %-*s  %-*s  %-10s  %8s  %7s  END\n", "SESSION", "STARTED",
		"LASTED", (int)agent, "AGENT", (int)resource, "RESOURCE", "PROTOCOL", "ACTIONS",
		"DENIED");
	for (size_t i = 0; i < list->count; i++) {
		const struct session_summary *s = list->sessions[i];
		uint64_t end = s->ended ? s->ended : clock_wall();

		cli_print_cell(s->id, 12);
		cli_print_time(stdout, s->started);
		printf("  ");
		print_duration(end > s->started ? end - s->started : 0);
		printf("  ");
		cli_print_cell(s->agent, agent);
		cli_print_cell(s->resource, resource);
		cli_print_cell(s->protocol, 10);
		printf("%8" PRIu64 "  %7" PRIu64 "  ", s->actions, s->denied);
		cli_print_line(stdout,
			s->state == SESSION_ENDED && !s->unread
				? cli_session_reason(s->reason)
				: slice_from_string(cli_session_state(s)));
		putchar('\n');
	}
}

static void list_json(const struct session_list *list)
{
	/* One by one: a hundred thousand of them in one tree would take long. */
	puts("[");
	for (size_t i = 0; i < list->count; i++) {
		if (i)
			puts(",");
		cli_json_print_line(cli_json_session(list->sessions[i]));
	}
	puts("]");
}

static void warn_damaged(const struct session_list *list)
{
	if (list->damaged)
		fprintf(stderr,
			"wayleave sessions: %zu index files are damaged: sessions may be missing\n",
			list->damaged);
}

static int list_sessions(const struct cli *cli, const struct options *o)
{
	struct session_filter filter = {.agent = slice_from_string(o->agent), .active = o->active};
	struct cli_recordings recordings;
	struct session_list list;
	struct error e;
	int status;

	if (o->since && cli_parse_time(o->since, &filter.since) < 0)
		return cli_fail(
			VERB, CLI_USAGE, "--since %s: neither a time nor a duration", o->since);
	status = cli_recordings_open(cli, VERB, o->state_dir, &recordings);
	if (status != CLI_DONE)
		return status;
	filter.live = recordings.live;
	filter.live_count = recordings.live_count;
	if (session_list_load(&list, recordings.recordings_folder, &filter, &e) < 0) {
		status = cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	} else {
		warn_damaged(&list);
		if (cli->json)
			list_json(&list);
		else
			list_table(&list);
		session_list_done(&list);
	}
	cli_recordings_close(&recordings);
	return status;
}

/* ---- one session ---- */

static int replay(const struct cli_session *s, const struct options *o)
{
	char *end = NULL;
	double speed = o->speed ? strtod(o->speed, &end) : 1;

	if (o->asciicast)
		return cli_session_asciicast(s);
	if ((end && (*end || end == o->speed)) || !(speed >= 0))
		return cli_fail(VERB, CLI_USAGE, "--speed %s: not a number from 0 on", o->speed);
	return cli_session_replay(s, speed);
}

static int show(const struct cli_session *s, const struct options *o)
{
	(void)o;
	return cli_session_show(s);
}

static int tail(const struct cli_session *s, const struct options *o)
{
	(void)o;
	return cli_session_tail(s);
}

static int kill_session(const struct cli_session *s, const struct options *o)
{
	struct control_client client;
	struct buffer payload;
	struct error e;
	int r;

	(void)o;
	if (s->session->state != SESSION_ACTIVE && !s->session->unread)
		return cli_fail(VERB, CLI_REFUSED, "the session has ended already");
	r = control_open(&client, s->cli->socket, &e);
	if (r < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	buffer_init(&payload, CONTROL_PAYLOAD_MOST);
	r = control_call(&client, CONTROL_KILL, s->session->id, &payload, NULL, NULL, &e);
	buffer_done(&payload);
	control_close(&client);
	if (r < 0)
		return cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	if (s->cli->json)
		cli_json_print_line(cJSON_CreateObject());
	return CLI_DONE;
}

/* Finds the session and hands it to `function`. */
static int on_session(const struct cli *cli, const struct options *o, const char *id,
	int (*function)(const struct cli_session *s, const struct options *o))
{
	struct session_filter filter = {.id = slice_from_string(id)};
	struct cli_recordings recordings;
	struct session_list list;
	struct error e;
	int status = cli_recordings_open(cli, VERB, o->state_dir, &recordings);

	if (status != CLI_DONE)
		return status;
	filter.live = recordings.live;
	filter.live_count = recordings.live_count;
	if (session_list_load(&list, recordings.recordings_folder, &filter, &e) < 0) {
		status = cli_fail(VERB, CLI_REFUSED, "%s", e.text);
	} else {
		struct cli_session s = {cli, o->state_dir, &recordings, NULL};

		warn_damaged(&list);
		if (list.count) {
			s.session = list.sessions[0];
			status = function(&s, o);
		} else {
			status = cli_fail(VERB, CLI_REFUSED, "there is no session %s", id);
		}
		session_list_done(&list);
	}
	cli_recordings_close(&recordings);
	return status;
}

static const struct subverb {
	const char *name;
	int (*function)(const struct cli_session *s, const struct options *o);
} subverbs[] = {{"show", show}, {"replay", replay}, {"tail", tail}, {"kill", kill_session}};

int cli_sessions(const struct cli *cli, int argc, char **argv)
{
	struct options o = {0};
	const struct cli_option options[] = {
		{"--state-dir", &o.state_dir, NULL},
		{"--agent", &o.agent, NULL},
		{"--since", &o.since, NULL},
		{"--speed", &o.speed, NULL},
		{"--active", NULL, &o.active},
		{"--asciicast", NULL, &o.asciicast},
		{"--help", NULL, &o.help},
	};
	int words = cli_take_options(argc, argv, options, ARRAY_SIZE(options));

	/* A reader that goes away ("| head") ends the command, silently. */
	signal(SIGPIPE, SIG_DFL);
	if (o.help) {
		usage(stdout);
		return CLI_DONE;
	}
	if (words == 0 || (words == 1 && strcmp(argv[1], "list") == 0))
		return list_sessions(cli, &o);
	for (size_t i = 0; words == 2 && i < ARRAY_SIZE(subverbs); i++) {
		if (strcmp(argv[1], subverbs[i].name) != 0)
			continue;
		if (!identifier_is_valid(slice_from_string(argv[2]), 's'))
			return cli_fail(VERB, CLI_USAGE, "\"%s\" is no session's ID", argv[2]);
		return on_session(cli, &o, argv[2], subverbs[i].function);
	}
	usage(stderr);
	return CLI_USAGE;
}
