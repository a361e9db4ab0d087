/* SPDX-License-Identifier: Apache-2.0
 *
 * recording_state: a state folder with recordings and an audit log, made by the real code with a
 * clock that stands still between the lines of the script. For tests and for trying the command
 * line by hand (fabricate_state.c).
 */
#ifndef WAYLEAVE_TESTS_RECORDING_STATE_H
#define WAYLEAVE_TESTS_RECORDING_STATE_H

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/memory.h"
#include "recording/compress.h"
#include "recording/recorder.h"
#include "recording/store_internal.h"

#define STATE_UNUSED __attribute__((unused))
/* 2026-01-31T12:00:00Z */
#define STATE_EPOCH (1769860800ULL * NANOSECONDS_PER_SECOND)

static uint64_t state_now = STATE_EPOCH;

static uint64_t state_clock(void)
{
	return state_now;
}

static STATE_UNUSED void state_wait(uint64_t milliseconds)
{
	state_now += milliseconds * NANOSECONDS_PER_MILLISECOND;
}

#define S(text) slice_of(text, sizeof(text) - 1)

static STATE_UNUSED struct store *state_open(const char *dir)
{
	struct store_options options = {
		.state_dir = dir, .version = "1.0-test", .clock = state_clock};
	struct store *store;
	struct error e;

	if (store_open(&store, &options, &e) < 0) {
		fprintf(stderr, "store_open: %s\n", e.text);
		abort();
	}
	return store;
}

/* A worker: a recorder with one segment per stream. */
struct state_worker {
	struct store *store;
	struct identifier incarnation;
	struct recorder *recorder;
};

static STATE_UNUSED void state_rotate(struct state_worker *w, enum stream_kind kind)
{
	uint32_t number;
	int fd = store_new_segment(w->store, &w->incarnation, kind, &number);

	assert(fd >= 0);
	recorder_give_segment(w->recorder, kind, fd, number);
}

static STATE_UNUSED struct state_worker state_worker_start(struct store *store)
{
	struct state_worker w = {.store = store};
	struct recorder_options options = {.clock = state_clock};

	if (store_add_worker(store, &w.incarnation) < 0)
		abort();
	options.incarnation = w.incarnation;
	if (recorder_new(&w.recorder, &options) < 0)
		abort();
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		state_rotate(&w, (enum stream_kind)kind);
	return w;
}

/* Syncs, and reports the heads to the store. */
static STATE_UNUSED void state_sync(struct state_worker *w)
{
	struct stream_head heads[RECORDER_HEADS_MOST];
	uint64_t ticket;
	size_t count;

	if (recorder_flush(w->recorder) < 0)
		abort();
	ticket = recorder_sync(w->recorder);
	while (recorder_synced(w->recorder) < ticket) {
		if (recorder_on_event(w->recorder, heads, &count) < 0 ||
			store_report_heads(w->store, &w->incarnation, heads, count) < 0)
			abort();
		usleep(100);
	}
}

/* Waits for what the store's thread is doing. */
static STATE_UNUSED void state_settle(struct store *store)
{
	struct pollfd event = {.fd = store_event(store), .events = POLLIN};

	while (store->phase != PHASE_IDLE && poll(&event, 1, 10000) == 1)
		store_on_event(store);
}

/* Runs the store until it made a checkpoint. `now` is monotonic time that only this uses. */
static STATE_UNUSED void state_checkpoint(struct store *store)
{
	static uint64_t now = 3600 * NANOSECONDS_PER_SECOND;

	state_settle(store);
	store_want_checkpoint(store);
	now += NANOSECONDS_PER_SECOND;
	store_tick(store, now);
	state_settle(store);
}

/* An orderly end, or (`killed`) none at all. */
static STATE_UNUSED void state_worker_end(struct state_worker *w, bool killed)
{
	struct stream_head heads[RECORDER_HEADS_MOST];
	size_t count = 0;

	if (!killed)
		count = recorder_stop(w->recorder, heads);
	recorder_free(w->recorder);
	if (store_report_heads(w->store, &w->incarnation, heads, count) < 0)
		abort();
	store_worker_gone(w->store, &w->incarnation, killed ? "killed by signal 9" : "ended");
}

static STATE_UNUSED void state_compress_all(struct store *store)
{
	struct compress_result result;
	struct compress_job job;

	while (store_next_compression(store, &job) == 1) {
		int r = compress_segment(job.fd_in, job.fd_out, &result);

		if (store_finish_compression(store, &job, r == 0 ? &result : NULL) < 0)
			abort();
	}
}

/* ---- the script ---- */

static STATE_UNUSED struct session_facts state_facts(const char *id)
{
	return (struct session_facts){.id = slice_from_string(id),
		.agent = S("claude-ci"),
		.principal = S("bot@acme.com"),
		.resource = S("orders"),
		.protocol = PROTOCOL_POSTGRES,
		.address = S("db.internal:5432"),
		.upstream = S("10.0.3.4:5432"),
		.exe = S("/usr/bin/psql"),
		.database = S("shop"),
		.user = S("app_ro"),
		.pid = 4711,
		.uid = 1000,
		.cgroup = 77,
		.process_start = 5000000000};
}

static const struct slice state_rules[] = {{(const uint8_t *)"agents may read orders", 22}};
static const struct action_pair state_select[] = {
	{OPERATION_SELECT, OBJECT_KNOWN, false, {(const uint8_t *)"public.orders", 13}}};
static const struct action_pair state_update[] = {
	{OPERATION_UPDATE, OBJECT_KNOWN, true, {(const uint8_t *)"public.orders", 13}},
	{OPERATION_SELECT, OBJECT_UNKNOWN, false, {(const uint8_t *)"prices", 6}}};

static STATE_UNUSED struct action state_action(struct slice text, bool update)
{
	return (struct action){.protocol = PROTOCOL_POSTGRES,
		.pairs = update ? state_update : state_select,
		.pair_count = update ? ARRAY_SIZE(state_update) : ARRAY_SIZE(state_select),
		.unknown = update ? ACTION_UNKNOWN_OBJECT : 0,
		.text = text};
}

/* One statement, allowed, with rows. */
static STATE_UNUSED void state_query(
	struct recorder *r, struct recorder_session *s, struct slice text, unsigned rows)
{
	static const struct slice columns[] = {
		{(const uint8_t *)"id", 2}, {(const uint8_t *)"customer", 8}};
	struct action action = state_action(text, false);
	struct record_action record = {.action = &action,
		.verdict = RECORD_VERDICT_ALLOW,
		.rules = state_rules,
		.rule_count = 1,
		.masks = S("public.orders.card redact")};
	struct record_result result = {.rows = rows, .bytes = 20 + 30 * rows, .tag = S("SELECT")};
	uint64_t number = recorder_action(r, s, &record);

	state_wait(3);
	recorder_columns(r, s, number, columns, ARRAY_SIZE(columns));
	recorder_rows_begin(r, s, number);
	for (unsigned i = 0; i < rows; i++) {
		char id[16];
		struct record_value cells[2] = {
			{VALUE_TEXT, slice_of(id, (size_t)snprintf(id, sizeof(id), "%u", i + 1))},
			{i % 3 == 2 ? VALUE_NULL : VALUE_TEXT, S("Zo\xc3\xab [masked]")}};

		recorder_rows_add(r, cells, ARRAY_SIZE(cells));
	}
	recorder_rows_end(r);
	recorder_result(r, s, number, &result);
	state_wait(100);
}

static STATE_UNUSED void state_script_first(struct recorder *r, struct recorder_session *s)
{
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct action update = state_action(S("update orders set total = 0\n-- \x1b[31mred"), true);
	struct action role = state_action(S("alter role bob password 'hunter2'"), false);
	struct action run =
		state_action(S("select * from orders where id = $1 and note = $2"), false);
	struct record_value values[] = {
		{VALUE_TEXT, S("42")}, {VALUE_BINARY, S("\x00\xff")}, {VALUE_NULL, {0}}};
	struct record_action denied = {.action = &role,
		.verdict = RECORD_VERDICT_DENY,
		.reason = REASON_NOT_COVERED,
		.message = S("denied: no rule allows alter")};
	struct record_action held = {.action = &update,
		.verdict = RECORD_VERDICT_REVIEW,
		.rules = state_rules,
		.rule_count = 1,
		.review = S("r-7Q2K")};
	struct record_action allowed = {.action = &run,
		.verdict = RECORD_VERDICT_ALLOW,
		.rules = state_rules,
		.rule_count = 1,
		.parameters = values,
		.parameter_count = ARRAY_SIZE(values)};
	struct record_decision approved = {.outcome = OUTCOME_APPROVED,
		.review = S("r-7Q2K"),
		.by = S("ann"),
		.detail = S("looks fine")};
	struct record_result failed = {.bytes = 90,
		.error_code = S("23505"),
		.error_text = S("duplicate key value violates unique constraint")};
	uint64_t number;

	facts.resource = facts.database = facts.user = SLICE_EMPTY;
	recorder_session_start(r, s, &facts);
	state_wait(10);
	facts = state_facts("s-AAAAAAAA");
	recorder_session_change(r, s, &facts);
	state_query(r, s, S("select id, customer from orders"), 4);
	recorder_action(r, s, &denied);
	state_wait(50);
	number = recorder_action(r, s, &held);
	state_wait(8000);
	recorder_decision(r, s, number, &approved);
	recorder_result(r, s, number, &failed);
	allowed.run_of = 0;
	number = recorder_action(r, s, &allowed);
	allowed.run_of = number;
	recorder_action(r, s, &allowed);
	recorder_note(r, s, REASON_PROTOCOL_VIOLATION, S("message 'F' is not allowed here"));
	state_wait(20);
	recorder_session_end(r, s, REASON_NONE, S("the agent closed the connection"), 4000, 500);
}

/* Two workers, the second killed; a rotation, a compression, checkpoints. */
static STATE_UNUSED void state_fabricate(const char *dir)
{
	struct store *store = state_open(dir);
	struct state_worker one = state_worker_start(store), two = state_worker_start(store);
	struct recorder_session first = {0}, second = {0}, lost = {0};
	struct session_facts facts = state_facts("s-BBBBBBBB");

	state_script_first(one.recorder, &first);
	facts.agent = S("deploy\x1b[2J-bot");
	recorder_session_start(one.recorder, &second, &facts);
	state_query(one.recorder, &second, S("select 1"), 1);
	state_sync(&one);
	state_checkpoint(store);
	state_rotate(&one, STREAM_RECORDING);
	state_rotate(&one, STREAM_AUDIT);
	state_query(one.recorder, &second, S("select 1"), 2);
	state_sync(&one);
	facts = state_facts("s-CCCCCCCC");
	recorder_session_start(two.recorder, &lost, &facts);
	state_query(two.recorder, &lost, S("select pg_sleep(1)"), 0);
	state_sync(&two);
	state_checkpoint(store);
	recorder_session_end(one.recorder, &second, REASON_KILLED, SLICE_EMPTY, 10, 20);
	state_wait(1000);
	state_worker_end(&one, false);
	state_query(two.recorder, &lost, S("select now()"), 0);
	if (recorder_flush(two.recorder) < 0)
		abort();
	state_worker_end(&two, true);
	free((void *)lost.facts.data);
	state_compress_all(store);
	store_close(store);
}

#endif
