/* SPDX-License-Identifier: Apache-2.0
 *
 * What verify says of whole logs, of files that are removed, swapped or added, of recordings, keys,
 * crashes and restarts.
 */
#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/recording_verify.h"

Test(verify, untouched)
{
	struct fixture f = fixture_open();
	struct result r = run(&f, true);
	unsigned states[4] = {0};

	cr_assert_eq(r.summary.broken, 0);
	for (size_t i = 0; i < r.count; i++)
		states[r.findings[i].state]++;
	cr_assert_eq(states[VERIFY_CRASHED], 3);
	cr_assert_eq(states[VERIFY_GOOD], 5);
	cr_assert_eq(r.summary.checkpoints, 4);
	fixture_close(&f);
}

Test(verify, checkpoints_cut)
{
	struct fixture f = fixture_open();
	const struct segment_name *name = &f.audit_files.files[0].name;
	struct verify_summary before = run(&f, false).summary;
	struct slice content;
	struct result r;
	size_t offsets[64];
	struct verify_options anchored = {.anchor_number = before.checkpoint_number};

	cr_assert_eq(name->kind, STREAM_CHECKPOINTS);
	memcpy(anchored.anchor_hash, before.checkpoint_hash, HASH_SIZE);
	cr_assert_eq(run_with(&f, anchored).summary.broken, 0);
	content = read_file(f.audit, name);
	record_offsets(f.audit, name, offsets);
	/* Without the last one, which somebody kept. */
	write_file(f.audit, name, slice_head(content, offsets[before.checkpoint_number - 1]));
	r = run_with(&f, anchored);
	cr_assert_gt(r.summary.broken, 0);
	anchored.anchor_hash[0] ^= 1;
	write_file(f.audit, name, content);
	cr_assert_gt(run_with(&f, anchored).summary.broken, 0);
	free((void *)content.data);
	fixture_close(&f);
}

/* A monitor that was killed left no word of how many checkpoints there were: then a cut between
 * them looks like an earlier crash. The next monitor's note tells that its end was none in order.
 */
Test(verify, checkpoints_of_the_killed)
{
	struct fixture f = fixture_open();
	const struct segment_name *checkpoints = &f.audit_files.files[0].name;
	struct identifier monitor = {{0}};
	struct verify_options unburied = {.unburied = &monitor, .unburied_count = 1};
	size_t offsets[64], count = record_offsets(f.audit, checkpoints, offsets);
	struct slice content = read_file(f.audit, checkpoints);
	struct result r;

	for (size_t i = 0; i < f.audit_files.count; i++) {
		if (f.audit_files.files[i].name.incarnation.text[0] == 'm')
			monitor = f.audit_files.files[i].name.incarnation;
	}
	/* Without the record of the checkpoints' end; then with a torn last checkpoint. */
	for (size_t cut = 1; cut < 3; cut++) {
		write_file(f.audit, checkpoints, slice_head(content, offsets[count - cut] - 10));
		r = run(&f, false);
		cr_assert_eq(r.summary.broken, 1);
		cr_assert_eq(first_broken(&r)->name.kind, STREAM_CHECKPOINTS);
		cr_assert_eq(first_broken(&r)->record, count - cut);
		cr_assert_eq(first_broken(&r)->offset, offsets[count - cut - 1]);
		cr_assert_not_null(strstr(first_broken(&r)->text, "cut off"));
		r = run_with(&f, unburied);
		cr_assert_eq(r.summary.broken, 0);
		cr_assert_eq(r.findings[0].state, VERIFY_CRASHED);
		cr_assert_not_null(strstr(r.findings[0].text, "torn"));
	}
	free((void *)content.data);
	fixture_close(&f);
}

static void assert_missing(struct fixture *f, int folder, const struct segment_name *name)
{
	struct slice content = read_file(folder, name);
	const struct verify_finding *finding;
	struct result r;
	bool seen = false;

	remove_file(folder, name);
	r = run(f, true);
	for (size_t i = 0; i < r.count; i++) {
		finding = &r.findings[i];
		seen |= finding->state == VERIFY_BROKEN && strstr(finding->text, "missing") &&
			segment_is_same_stream(&finding->name, name) &&
			finding->name.segment == name->segment;
	}
	cr_assert(seen, "%s.%s.%u", name->incarnation.text, stream_kind_name(name->kind),
		name->segment);
	write_file(folder, name, content);
	free((void *)content.data);
}

/* Of streams of four segments, each is missed, the middle ones too, and all of a stream at once. */
Test(verify, segment_removed_from_the_middle)
{
	char dir[64] = "/tmp/test_verify.XXXXXX";
	struct session_facts facts = state_facts("s-DDDDDDDD");
	struct recorder_session s = {0};
	struct state_worker w;
	struct store *store;
	struct fixture f;
	struct segment_name name;
	struct result r;

	cr_assert_not_null(mkdtemp(dir));
	store = state_open(dir);
	w = state_worker_start(store);
	recorder_session_start(w.recorder, &s, &facts);
	for (unsigned i = 0; i < 3; i++) {
		state_query(w.recorder, &s, S("select 1"), 3);
		state_sync(&w);
		for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++)
			state_rotate(&w, (enum stream_kind)kind);
	}
	recorder_session_end(w.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
	state_worker_end(&w, false);
	store_close(store);
	f = fixture_of(dir);
	cr_assert_eq(run(&f, true).summary.broken, 0);
	for (unsigned kind = 0; kind < STREAM_WORKER_COUNT; kind++) {
		name = (struct segment_name){
			.incarnation = w.incarnation, .kind = (enum stream_kind)kind};
		for (name.segment = 1; name.segment <= 4; name.segment++)
			assert_missing(
				&f, stream_is_chained(name.kind) ? f.audit : f.recordings, &name);
	}
	name.kind = STREAM_AUDIT;
	for (name.segment = 1; name.segment <= 4; name.segment++)
		remove_file(f.audit, &name);
	r = run(&f, true);
	cr_assert_eq(r.summary.broken, 4);
	cr_assert_eq(first_broken(&r)->name.segment, 1);
	fixture_close(&f);
}

/* Another host's checkpoints, with its key and without, and those of this host in another order. */
Test(verify, checkpoints_of_another_host)
{
	struct fixture f = fixture_open(), other = fixture_open();
	const struct segment_name *name = &f.audit_files.files[0].name;
	struct slice theirs = read_file(other.audit, name);
	struct result r;

	write_file(f.audit, name, theirs);
	r = run(&f, true);
	cr_assert_eq(first_broken(&r)->name.kind, STREAM_CHECKPOINTS);
	cr_assert_eq(first_broken(&r)->record, 1);
	cr_assert_not_null(strstr(first_broken(&r)->text, "another key"));
	r = run_with(&f, (struct verify_options){.key = &other.key, .recordings = true});
	cr_assert_gt(r.summary.broken, 0);
	cr_assert_not_null(strstr(first_broken(&r)->text, "no checkpoint knows of this monitor"));
	free((void *)theirs.data);
	fixture_close(&other);
	fixture_close(&f);
}

Test(verify, files_removed_swapped_added)
{
	struct fixture f = fixture_open();
	struct segment_name strange = {
		.incarnation = {"w-ZZZZZZZZZZZZZZZZ"}, .kind = STREAM_AUDIT, .segment = 1};

	for (size_t i = 0; i < f.audit_files.count; i++) {
		const struct segment_name *name = &f.audit_files.files[i].name;
		const struct segment_name *other =
			&f.audit_files.files[(i + 1) % f.audit_files.count].name;
		struct slice content = read_file(f.audit, name);
		struct slice others = read_file(f.audit, other);

		remove_file(f.audit, name);
		cr_assert_gt(run(&f, false).summary.broken, 0);
		write_file(f.audit, name, SLICE_EMPTY);
		cr_assert_gt(run(&f, false).summary.broken, 0);
		write_file(f.audit, name, others);
		write_file(f.audit, other, content);
		cr_assert_gt(run(&f, false).summary.broken, 0);
		write_file(f.audit, name, content);
		write_file(f.audit, other, others);
		write_file(f.audit, &strange, content);
		cr_assert_gt(run(&f, false).summary.broken, 0);
		remove_file(f.audit, &strange);
		cr_assert_eq(run(&f, false).summary.broken, 0);
		free((void *)content.data);
		free((void *)others.data);
	}
	fixture_close(&f);
}

/* What a crash leaves at the very end is called that. */
Test(verify, torn_tail_of_the_dead)
{
	struct fixture f = fixture_open();

	for (size_t i = 0; i < f.audit_files.count; i++) {
		const struct segment_name *name = &f.audit_files.files[i].name;
		struct slice content;
		struct buffer longer;
		struct result r;
		bool seen = false;

		if (!is_killed(&f, name))
			continue;
		content = read_file(f.audit, name);
		buffer_init(&longer, 1 << 20);
		buffer_append_slice(&longer, content);
		buffer_append(&longer, "\0\0\0\x50\x04\0\0\0\0\0\0\0\x04 half a record", 28);
		write_file(f.audit, name, buffer_slice(&longer));
		r = run(&f, false);
		cr_assert_eq(r.summary.broken, 0);
		for (size_t n = 0; n < r.count; n++) {
			if (strcmp(r.findings[n].name.incarnation.text, name->incarnation.text) ==
				0) {
				cr_assert_eq(r.findings[n].state, VERIFY_CRASHED);
				cr_assert_not_null(strstr(r.findings[n].text, "torn"));
				seen = true;
			}
		}
		cr_assert(seen);
		write_file(f.audit, name, content);
		buffer_done(&longer);
		free((void *)content.data);
	}
	fixture_close(&f);
}

Test(verify, recordings, .timeout = 600)
{
	struct fixture f = fixture_open();

	for (size_t i = 0; i < f.recording_files.count; i++) {
		const struct segment_name *name = &f.recording_files.files[i].name;
		struct slice content = read_file(f.recordings, name);
		uint8_t *bytes = (uint8_t *)content.data;

		for (size_t n = 0; n < content.length; n += 7) {
			bytes[n] ^= 4;
			write_file(f.recordings, name, content);
			bytes[n] ^= 4;
			/* Looking for it alone does not see that. */
			cr_assert_eq(run(&f, false).summary.broken, 0);
			/* A change of the compressed form that changes nothing of the content is
			 * none. */
			if (!name->compressed)
				cr_assert_gt(run(&f, true).summary.broken, 0, "byte %zu", n);
		}
		remove_file(f.recordings, name);
		cr_assert_gt(run(&f, false).summary.broken, 0);
		write_file(f.recordings, name, content);
		free(bytes);
	}
	cr_assert_eq(run(&f, true).summary.broken, 0);
	fixture_close(&f);
}

/* Recordings written anew with right checksums are seen by the signed running hash. */
Test(verify, recording_written_anew)
{
	struct fixture f = fixture_open();
	size_t seen = 0;

	for (size_t i = 0; i < f.recording_files.count; i++) {
		const struct segment_name *name = &f.recording_files.files[i].name;
		size_t offsets[64];
		struct slice content;
		uint8_t *record;
		struct result r;

		if (name->kind != STREAM_INDEX)
			continue;
		content = read_file(f.recordings, name);
		record_offsets(f.recordings, name, offsets);
		record = (uint8_t *)content.data + offsets[0];
		record[20] ^= 1;
		bytes_put_u64((uint8_t *)content.data + offsets[1] - RECORD_CHECKSUM_SIZE,
			record_checksum(
				slice_of(record, offsets[1] - offsets[0] - RECORD_CHECKSUM_SIZE)));
		write_file(f.recordings, name, content);
		r = run(&f, true);
		cr_assert_gt(r.summary.broken, 0);
		record[20] ^= 1;
		bytes_put_u64((uint8_t *)content.data + offsets[1] - RECORD_CHECKSUM_SIZE,
			record_checksum(
				slice_of(record, offsets[1] - offsets[0] - RECORD_CHECKSUM_SIZE)));
		write_file(f.recordings, name, content);
		free((void *)content.data);
		seen++;
	}
	cr_assert_eq(seen, 2);
	cr_assert_eq(run(&f, true).summary.broken, 0);
	fixture_close(&f);
}

Test(verify, another_key)
{
	struct fixture f = fixture_open();
	char path[128];
	struct signing_key other;
	struct error e;

	snprintf(path, sizeof(path), "%s/other.key", f.dir);
	cr_assert_eq(signing_key_load(&other, path, &e), 0);
	cr_assert_gt(run_with(&f, (struct verify_options){.key = &other}).summary.broken, 0);
	/* With the id of the right one: the signature itself. */
	memcpy(other.id, f.key.id, KEY_ID_SIZE);
	cr_assert_gt(run_with(&f, (struct verify_options){.key = &other}).summary.broken, 0);
	signing_key_done(&other);
	fixture_close(&f);
}

/* The daemon goes on in the same folder: old and new hold together. */
Test(verify, across_restarts)
{
	struct fixture f = fixture_open();
	struct result r;

	for (unsigned i = 0; i < 3; i++) {
		struct store *store = state_open(f.dir);
		struct state_worker w = state_worker_start(store);
		struct recorder_session s = {0};
		struct session_facts facts = state_facts("s-DDDDDDDD");

		recorder_session_start(w.recorder, &s, &facts);
		state_query(w.recorder, &s, S("select 2"), 3);
		recorder_session_end(w.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
		state_sync(&w);
		state_worker_end(&w, false);
		store_close(store);
		r = run(&f, true);
		cr_assert_eq(r.summary.broken, 0, "%s", first_broken(&r)->text);
	}
	/* A segment of the checkpoints in the middle. */
	for (size_t i = 0; i < f.audit_files.count; i++) {
		if (f.audit_files.files[i].name.kind == STREAM_CHECKPOINTS)
			remove_file(f.audit, &f.audit_files.files[i].name);
	}
	cr_assert_gt(run(&f, true).summary.broken, 0);
	fixture_close(&f);
}

static void limit_file_size(uint64_t bytes)
{
	struct rlimit limit = {bytes, RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Whatever point a full disk stops the streams at, and whether they go on in the same file or
 * another, the log holds together. */
Test(verify, after_a_full_disk, .timeout = 600)
{
	for (unsigned room = 0; room < 600; room += 13) {
		char dir[64] = "/tmp/test_verify.XXXXXX";
		struct session_facts facts = state_facts("s-DDDDDDDD");
		struct recorder_session s = {0};
		struct state_worker w;
		struct store *store;
		struct fixture f;
		struct result r;
		struct stat audit;
		char path[160];

		cr_assert_not_null(mkdtemp(dir));
		store = state_open(dir);
		w = state_worker_start(store);
		recorder_session_start(w.recorder, &s, &facts);
		for (unsigned i = 0; i < 100; i++)
			state_query(w.recorder, &s, S("select 1"), 3);
		state_sync(&w);
		snprintf(path, sizeof(path), "%s/audit/%s.audit.000001", dir, w.incarnation.text);
		cr_assert_eq(stat(path, &audit), 0);
		limit_file_size((uint64_t)audit.st_size + room);
		for (unsigned i = 0; i < 5; i++) {
			state_query(w.recorder, &s, S("select 2"), 1);
			recorder_flush(w.recorder);
		}
		if (room % 2)
			limit_file_size(RLIM_INFINITY);
		if (room % 3) {
			state_rotate(&w, STREAM_AUDIT);
			state_rotate(&w, STREAM_RECORDING);
			state_rotate(&w, STREAM_INDEX);
		}
		limit_file_size(RLIM_INFINITY);
		recorder_flush(w.recorder);
		state_query(w.recorder, &s, S("select 3"), 1);
		recorder_flush(w.recorder);
		state_sync(&w);
		state_checkpoint(store);
		recorder_session_end(w.recorder, &s, REASON_NONE, SLICE_EMPTY, 0, 0);
		state_worker_end(&w, false);
		store_close(store);
		f = fixture_of(dir);
		r = run(&f, true);
		cr_assert_eq(r.summary.broken, 0, "room %u: %s", room, first_broken(&r)->text);
		fixture_close(&f);
	}
}
