/* SPDX-License-Identifier: Apache-2.0
 *
 * What a worker records, and what happens when it can't be.
 */
#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include "recording/pair.h"
#include "recording/reader.h"
#include "tests/tools/recording_state.h"

/* Recorders on files in memory. */
struct fixture {
	struct recorder *recorder;
	int fds[STREAM_WORKER_COUNT];
	uint32_t segment;
};

static void give(struct fixture *f, enum stream_kind kind, uint32_t number, int fd)
{
	f->fds[kind] = fd;
	/* The recorder owns what it gets. */
	recorder_give_segment(f->recorder, kind, dup(fd), number);
}

static int memory_file(void)
{
	int fd = memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_geq(fd, 0);
	return fd;
}

static struct fixture start(void)
{
	struct recorder_options options = {
		.incarnation = {"w-0123456789ABCDEF"}, .clock = state_clock};
	struct fixture f = {0};

	cr_assert_eq(recorder_new(&f.recorder, &options), 0);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		give(&f, (enum stream_kind)kind, 1, memory_file());
	return f;
}

static void stop(struct fixture *f)
{
	struct stream_head heads[RECORDER_HEADS_MOST];

	recorder_stop(f->recorder, heads);
	recorder_free(f->recorder);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		close(f->fds[kind]);
}

/* The n-th record of that type in a file; false: there is none. */
static bool find_record(
	struct reader *reader, int fd, enum record_type type, unsigned n, struct entry *ret)
{
	enum reader_status status = reader_open(reader, fd, false, false);

	while (status == READER_RECORD) {
		status = reader_next(reader, ret);
		if (status == READER_RECORD && ret->type == type && n-- == 0)
			return true;
	}
	return false;
}

static bool file_contains(int fd, struct slice bytes)
{
	off_t size = lseek(fd, 0, SEEK_END);
	void *map = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
	bool found = memmem(map, (size_t)size, bytes.data, bytes.length);

	munmap(map, (size_t)size);
	return found;
}

static struct record_action allow(const struct action *action)
{
	return (struct record_action){.action = action,
		.verdict = RECORD_VERDICT_ALLOW,
		.rules = state_rules,
		.rule_count = 1};
}

Test(recorder, an_action_in_both_streams)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct action action = state_action(S("select * from orders"), false);
	struct record_action record = allow(&action);
	struct recorded_pair pair;
	struct reader reader;
	struct entry entry;
	uint8_t digest[HASH_SIZE];

	recorder_session_start(f.recorder, &s, &facts);
	cr_assert_eq(recorder_action(f.recorder, &s, &record), 1);
	cr_assert_eq(recorder_action(f.recorder, &s, &record), 2);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	for (unsigned n = 0; n < 2; n++) {
		EVP_Digest(action.text.data, action.text.length, digest, NULL, EVP_sha256(), NULL);
		cr_assert(find_record(&reader, f.fds[STREAM_AUDIT], RECORD_ACTION, n, &entry));
		cr_assert_eq(entry_number(&entry, FIELD_NUMBER), n + 1);
		cr_assert_eq(entry_number(&entry, FIELD_VERDICT), RECORD_VERDICT_ALLOW);
		cr_assert(slice_equal(entry_bytes(&entry, FIELD_RULE), state_rules[0]));
		cr_assert(slice_equal(
			entry_bytes(&entry, FIELD_DIGEST), slice_of(digest, HASH_SIZE)));
		cr_assert(!entry_has(&entry, FIELD_TEXT));
		cr_assert_eq(pair_decode(entry_bytes(&entry, FIELD_PAIR), &pair), 0);
		cr_assert(slice_equal(pair.object, S("public.orders")));
		reader_close(&reader);
		cr_assert(find_record(&reader, f.fds[STREAM_RECORDING], RECORD_ACTION, n, &entry));
		cr_assert(slice_equal(entry_bytes(&entry, FIELD_TEXT), action.text));
		reader_close(&reader);
	}
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 1, 2);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		cr_assert(find_record(&reader, f.fds[kind], RECORD_SESSION_END, 0, &entry));
		cr_assert_eq(entry_number(&entry, FIELD_ACTIONS), 2);
		cr_assert_eq(entry_number(&entry, FIELD_BYTES_TO_SERVER), 2);
		reader_close(&reader);
	}
	stop(&f);
}

Test(recorder, passwords_are_in_no_file)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct action clear = state_action(S("alter role x password 'hunter2'"), false);
	struct action bound = state_action(S("update u set name = $1, password = $2"), false);
	struct record_value values[] = {{VALUE_TEXT, S("visible")}, {VALUE_TEXT, S("hunter3")}};
	struct record_action one = allow(&clear), two = allow(&bound);
	struct record_result result = {
		.error_code = S("42601"), .error_text = S("at or near \"password 'hunter4'\"")};
	struct reader reader;
	struct entry entry;

	two.parameters = values;
	two.parameter_count = 2;
	recorder_session_start(f.recorder, &s, &facts);
	/* Twice: the second time the texts are known. */
	for (unsigned i = 0; i < 2; i++) {
		uint64_t number = recorder_action(f.recorder, &s, &one);

		recorder_result(f.recorder, &s, number, &result);
		recorder_action(f.recorder, &s, &two);
		recorder_note(f.recorder, &s, REASON_NOT_UNDERSTOOD, S("password 'hunter5'"));
	}
	recorder_session_end(f.recorder, &s, REASON_NOT_UNDERSTOOD, S("password 'hunter6'"), 0, 0);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		cr_assert(!file_contains(f.fds[kind], S("hunter")));
	cr_assert(file_contains(f.fds[STREAM_RECORDING], S("visible")));
	cr_assert(find_record(&reader, f.fds[STREAM_AUDIT], RECORD_ACTION, 0, &entry));
	cr_assert_eq(entry_number(&entry, FIELD_HIDDEN), 1);
	reader_close(&reader);
	stop(&f);
}

/* Each segment can be read by itself. */
Test(recorder, sessions_are_introduced_in_each_segment)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct action action = state_action(S("select * from orders"), false);
	struct record_action record = allow(&action);
	int old[STREAM_WORKER_COUNT];
	struct reader reader;
	struct entry entry;

	recorder_session_start(f.recorder, &s, &facts);
	recorder_action(f.recorder, &s, &record);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	memcpy(old, f.fds, sizeof(old));
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
		give(&f, (enum stream_kind)kind, 2, memory_file());
	recorder_action(f.recorder, &s, &record);
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		cr_assert(find_record(&reader, old[kind], RECORD_SEGMENT_END, 0, &entry));
		reader_close(&reader);
		cr_assert(find_record(&reader, f.fds[kind], RECORD_SESSION, 0, &entry));
		cr_assert_eq(entry_number(&entry, FIELD_OCCASION), SESSION_GOES_ON);
		cr_assert(slice_equal(entry_bytes(&entry, FIELD_ID), S("s-AAAAAAAA")));
		reader_close(&reader);
		close(old[kind]);
	}
	cr_assert(find_record(&reader, f.fds[STREAM_RECORDING], RECORD_ACTION, 0, &entry));
	cr_assert(slice_equal(entry_bytes(&entry, FIELD_TEXT), action.text));
	reader_close(&reader);
	stop(&f);
}

/* One stream that can't be written refuses what all of them hold. */
Test(recorder, one_full_stream_refuses_all)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct action action = state_action(S("select * from orders"), false);
	struct record_action record = allow(&action);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), kept = f.fds[STREAM_AUDIT];
	struct reader reader;
	struct entry entry;

	recorder_session_start(f.recorder, &s, &facts);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	cr_assert_null(recorder_problem(f.recorder));
	give(&f, STREAM_AUDIT, 2, full);
	recorder_action(f.recorder, &s, &record);
	cr_assert_eq(recorder_flush(f.recorder), -ENOSPC);
	cr_assert_not_null(recorder_problem(f.recorder));
	/* Still full, also with nothing new. */
	cr_assert_eq(recorder_flush(f.recorder), -ENOSPC);
	give(&f, STREAM_AUDIT, 3, memory_file());
	recorder_action(f.recorder, &s, &record);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	cr_assert_null(recorder_problem(f.recorder));
	/* In the recording the action stands, and that it was refused. */
	cr_assert(find_record(&reader, f.fds[STREAM_RECORDING], RECORD_GAP, 0, &entry));
	cr_assert_eq(entry_number(&entry, FIELD_FIRST), 2);
	cr_assert_eq(entry_number(&entry, FIELD_LAST), 2);
	cr_assert_eq(entry_number(&entry, FIELD_ERRNO), ENOSPC);
	reader_close(&reader);
	cr_assert(find_record(&reader, f.fds[STREAM_AUDIT], RECORD_GAP, 0, &entry));
	reader_close(&reader);
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	stop(&f);
	close(full);
	close(kept);
}

static int wait_for_sync(struct fixture *f, struct stream_head *heads, size_t *ret_count)
{
	struct pollfd event = {.fd = recorder_event(f->recorder), .events = POLLIN};

	cr_assert_eq(poll(&event, 1, 5000), 1);
	return recorder_on_event(f->recorder, heads, ret_count);
}

Test(recorder, syncing)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct stream_head heads[RECORDER_HEADS_MOST];
	uint64_t first, second;
	size_t count;

	recorder_session_start(f.recorder, &s, &facts);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	first = recorder_sync(f.recorder);
	cr_assert_lt(recorder_synced(f.recorder), first);
	/* What is asked for while a job runs is not what that job does. */
	second = recorder_sync(f.recorder);
	cr_assert_gt(second, first);
	cr_assert_eq(wait_for_sync(&f, heads, &count), 0);
	cr_assert_eq(count, 3);
	cr_assert_eq(heads[STREAM_AUDIT].sequence, 1);
	cr_assert_geq(recorder_synced(f.recorder), first);
	/* Nothing was new: the second is done as well. */
	cr_assert_geq(recorder_synced(f.recorder), second);
	cr_assert_leq(recorder_sync(f.recorder), recorder_synced(f.recorder));
	/* By the clock. */
	recorder_note(f.recorder, &s, REASON_LIMIT, SLICE_EMPTY);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	recorder_tick(f.recorder, NANOSECONDS_PER_SECOND);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	cr_assert_eq(wait_for_sync(&f, heads, &count), 0);
	cr_assert_eq(count, 2);
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	stop(&f);
}

/* A pipe can be written, and not synced. */
Test(recorder, failed_sync_needs_a_new_segment)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct stream_head heads[RECORDER_HEADS_MOST];
	int ends[2], old = f.fds[STREAM_AUDIT];
	uint64_t ticket;
	size_t count;

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	give(&f, STREAM_AUDIT, 2, ends[1]);
	recorder_session_start(f.recorder, &s, &facts);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	ticket = recorder_sync(f.recorder);
	cr_assert_lt(wait_for_sync(&f, heads, &count), 0);
	cr_assert_lt(recorder_synced(f.recorder), ticket);
	cr_assert_lt(recorder_flush(f.recorder), 0);
	cr_assert_eq(recorder_wants(f.recorder) & 1u << STREAM_AUDIT, 1u << STREAM_AUDIT);
	/* A later sync that succeeds does not heal it. */
	cr_assert_lt(recorder_flush(f.recorder), 0);
	give(&f, STREAM_AUDIT, 3, memory_file());
	cr_assert_eq(recorder_flush(f.recorder), 0);
	cr_assert_eq(recorder_wants(f.recorder), 0);
	ticket = recorder_sync(f.recorder);
	cr_assert_eq(wait_for_sync(&f, heads, &count), 0);
	/* The one that failed is not among what may be vouched for. */
	for (size_t i = 0; i < count; i++)
		cr_assert(heads[i].kind != STREAM_AUDIT || heads[i].segment == 3);
	cr_assert_geq(recorder_synced(f.recorder), ticket);
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	stop(&f);
	close(ends[0]);
	close(ends[1]);
	close(old);
}

Test(recorder, progress)
{
	struct fixture f = start();
	struct recorder_session s = {0}, idle = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct action action = state_action(S("select * from orders"), false);
	struct record_action record = allow(&action);
	uint64_t now = 1000 * NANOSECONDS_PER_SECOND, written = 0;
	struct reader reader;
	struct entry entry;

	recorder_session_start(f.recorder, &s, &facts);
	recorder_session_start(f.recorder, &idle, &facts);
	/* An hour of an action every ten seconds, with a tick after each. */
	for (unsigned i = 0; i < 360; i++) {
		recorder_action(f.recorder, &s, &record);
		recorder_tick(f.recorder, now);
		cr_assert_eq(recorder_flush(f.recorder), 0);
		now += 10 * NANOSECONDS_PER_SECOND;
	}
	while (find_record(
		&reader, f.fds[STREAM_INDEX], RECORD_PROGRESS, (unsigned)written, &entry)) {
		cr_assert_eq(entry_number(&entry, FIELD_SESSION), s.handle);
		written++;
		reader_close(&reader);
	}
	reader_close(&reader);
	cr_assert_gt(written, 50);
	cr_assert_lt(written, 75);
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	recorder_session_end(f.recorder, &idle, REASON_NONE, SLICE_EMPTY, 0, 0);
	stop(&f);
}

/* The most that a session may do at once is recorded, cut where it must be. */
Test(recorder, largest_action)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	size_t count = 65535, length = LIMIT_STATEMENT_BYTES + 1000;
	struct record_value *values = memory_new_array(count, sizeof(*values));
	struct action_pair *pairs = memory_new_array(100000, sizeof(*pairs));
	char *text = memory_new(length);
	struct action action = {
		.pairs = pairs, .pair_count = 100000, .text = slice_of(text, length)};
	struct record_action record = allow(&action);
	struct reader reader;
	struct entry entry;

	memset(text, 'x', length);
	for (size_t i = 0; i < count; i++)
		values[i] = (struct record_value){VALUE_TEXT, slice_of(text, 1000)};
	for (size_t i = 0; i < 100000; i++)
		pairs[i] =
			(struct action_pair){OPERATION_SELECT, OBJECT_KNOWN, false, S("public.x")};
	record.parameters = values;
	record.parameter_count = count;
	recorder_session_start(f.recorder, &s, &facts);
	recorder_action(f.recorder, &s, &record);
	/* A statement that runs again does not carry its long text again. */
	record.run_of = 1;
	record.parameter_count = 0;
	recorder_action(f.recorder, &s, &record);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	cr_assert(find_record(&reader, f.fds[STREAM_RECORDING], RECORD_ACTION, 0, &entry));
	cr_assert_eq(entry_bytes(&entry, FIELD_TEXT).length, LIMIT_STATEMENT_BYTES);
	cr_assert_eq(entry_number(&entry, FIELD_TEXT_LENGTH), length);
	cr_assert_gt(entry_number(&entry, FIELD_PAIRS_MORE), 80000);
	reader_close(&reader);
	cr_assert(find_record(&reader, f.fds[STREAM_RECORDING], RECORD_ACTION, 1, &entry));
	cr_assert(!entry_has(&entry, FIELD_TEXT));
	cr_assert_eq(entry_number(&entry, FIELD_TEXT_LENGTH), length);
	reader_close(&reader);
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	stop(&f);
	free(values);
	free(pairs);
	free(text);
}

Test(recorder, rows_are_split_over_records)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	char cell[1000];
	struct record_value value = {VALUE_TEXT, slice_of(cell, sizeof(cell))};
	struct reader reader;
	struct entry entry;
	size_t rows = 0, records = 0;

	memset(cell, 'c', sizeof(cell));
	recorder_session_start(f.recorder, &s, &facts);
	recorder_rows_begin(f.recorder, &s, 7);
	for (unsigned i = 0; i < 10000; i++)
		recorder_rows_add(f.recorder, &value, 1);
	recorder_rows_end(f.recorder);
	/* No rows make no record. */
	recorder_rows_begin(f.recorder, &s, 8);
	recorder_rows_end(f.recorder);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	cr_assert_eq(reader_open(&reader, f.fds[STREAM_RECORDING], false, false), READER_RECORD);
	while (reader_next(&reader, &entry) == READER_RECORD) {
		if (entry.type != RECORD_ROWS)
			continue;
		cr_assert_eq(entry_number(&entry, FIELD_NUMBER), 7);
		records++;
		for (size_t i = 0; i < entry.count; i++)
			rows += entry.items[i].field == FIELD_ROW;
	}
	cr_assert_eq(rows, 10000);
	cr_assert_gt(records, 30);
	reader_close(&reader);
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	stop(&f);
}

/* Without a session: a connection that nobody governed made. */
Test(recorder, note_outside_of_sessions)
{
	struct fixture f = start();
	struct reader reader;
	struct entry entry;

	recorder_note(f.recorder, NULL, REASON_NO_ORIGIN, S("127.0.0.1:4242"));
	cr_assert_eq(recorder_flush(f.recorder), 0);
	cr_assert(find_record(&reader, f.fds[STREAM_AUDIT], RECORD_NOTE, 0, &entry));
	cr_assert(slice_equal(entry_bytes(&entry, FIELD_REASON), S("no_origin")));
	reader_close(&reader);
	stop(&f);
}

Test(recorder, fails_without_files)
{
	struct recorder_options options = {.incarnation = {"w-0123456789ABCDEF"}};
	struct recorder *r;

	cr_assert_eq(recorder_new(&r, &options), 0);
	cr_assert_eq(recorder_wants(r), 7);
	recorder_note(r, NULL, REASON_NO_ORIGIN, SLICE_EMPTY);
	cr_assert_lt(recorder_flush(r), 0);
	recorder_free(r);
}

/* What may be sent before it is written: the results of what has run, and nothing else. */
Test(recorder, only_results_may_wait)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct action action = state_action(S("select * from orders"), false);
	struct record_action record = allow(&action);
	struct record_result result = {.rows = 1, .tag = S("SELECT 1")};
	struct reader reader;
	struct entry entry;
	unsigned count = 0;

	recorder_session_start(f.recorder, &s, &facts);
	cr_assert(recorder_must_flush(f.recorder));
	cr_assert_eq(recorder_flush(f.recorder), 0);
	cr_assert(!recorder_must_flush(f.recorder));
	recorder_action(f.recorder, &s, &record);
	cr_assert(recorder_must_flush(f.recorder));
	cr_assert_eq(recorder_flush(f.recorder), 0);

	recorder_result(f.recorder, &s, 1, &result);
	cr_assert(!recorder_must_flush(f.recorder));
	cr_assert(!find_record(&reader, f.fds[STREAM_RECORDING], RECORD_RESULT, 0, &entry));
	reader_close(&reader);
	/* An action behind it takes it along. */
	recorder_action(f.recorder, &s, &record);
	cr_assert(recorder_must_flush(f.recorder));
	cr_assert_eq(recorder_flush(f.recorder), 0);
	cr_assert(find_record(&reader, f.fds[STREAM_RECORDING], RECORD_RESULT, 0, &entry));
	reader_close(&reader);

	/* Nor do they pile up. */
	while (!recorder_must_flush(f.recorder)) {
		recorder_result(f.recorder, &s, 2, &result);
		cr_assert_lt(++count, 100000u);
	}
	cr_assert_gt(count, 100u);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	stop(&f);
}

/* What a segment could not take, and nobody has asked for yet, must be told before anything is
 * sent. */
Test(recorder, what_is_given_up_with_a_segment_is_told)
{
	struct fixture f = start();
	struct recorder_session s = {0};
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct action action = state_action(S("select * from orders"), false);
	struct record_action record = allow(&action);

	recorder_session_start(f.recorder, &s, &facts);
	cr_assert_eq(recorder_flush(f.recorder), 0);
	/* From here on the old file takes no more. */
	cr_assert_eq(fcntl(f.fds[STREAM_RECORDING], F_ADD_SEALS, F_SEAL_WRITE), 0);
	recorder_action(f.recorder, &s, &record);
	close(f.fds[STREAM_RECORDING]);
	give(&f, STREAM_RECORDING, 2, memory_file());
	cr_assert(recorder_must_flush(f.recorder));
	cr_assert_lt(recorder_flush(f.recorder), 0);
	recorder_session_end(f.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	stop(&f);
}
