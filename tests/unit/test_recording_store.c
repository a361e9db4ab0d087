/* SPDX-License-Identifier: Apache-2.0
 *
 * The monitor's side: files, notes, heads, restarts, compression, retention.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/file.h"
#include "recording/reader.h"
#include "recording/segments.h"
#include "recording/session_list.h"
#include "recording/verify.h"
#include "tests/tools/recording_state.h"

static char dir[64];

static void make_dir(void)
{
	strcpy(dir, "/tmp/test_store.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

static void ignore_finding(void *argument, const struct verify_finding *finding)
{
	(void)argument;
	(void)finding;
}

static uint64_t broken(void)
{
	struct verify_options options = {.recordings = true, .on_finding = ignore_finding};
	struct verify_summary summary;
	struct signing_key key;
	struct buffer pem;
	struct error e;
	char path[128];

	snprintf(path, sizeof(path), "%s/audit/audit.pub", dir);
	buffer_init(&pem, 4096);
	cr_assert_eq(file_read(path, &pem, &e), 0);
	cr_assert_eq(signing_key_load_public(&key, buffer_slice(&pem), &e), 0);
	buffer_done(&pem);
	snprintf(path, sizeof(path), "%s/audit", dir);
	options.audit_folder = open(path, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "%s/recordings", dir);
	options.recordings_folder = open(path, O_RDONLY | O_DIRECTORY);
	options.key = &key;
	cr_assert_eq(verify_run(&options, &summary, &e), 0);
	close(options.audit_folder);
	close(options.recordings_folder);
	signing_key_done(&key);
	return summary.broken;
}

/* How many notes of that event stand in the monitors' streams. */
static unsigned count_notes(enum host_event event)
{
	struct segment_list files;
	struct error e;
	char path[128];
	unsigned count = 0;
	int folder;

	snprintf(path, sizeof(path), "%s/audit", dir);
	folder = open(path, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(segment_list_load(&files, folder, &e), 0);
	for (size_t i = 0; i < files.count; i++) {
		int fd = segment_open(folder, &files.files[i].name);
		struct reader reader;
		struct entry entry;

		cr_assert_neq(reader_open(&reader, fd, false, false), READER_BROKEN);
		while (reader_next(&reader, &entry) == READER_RECORD)
			count += entry.type == RECORD_HOST &&
				entry_number(&entry, FIELD_EVENT) == event;
		reader_close(&reader);
		close(fd);
	}
	segment_list_done(&files);
	close(folder);
	return count;
}

static unsigned mode_of(const char *name)
{
	char path[128];
	struct stat s;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	cr_assert_eq(stat(path, &s), 0, "%s", path);
	return s.st_mode & 07777;
}

static void limit_file_size(uint64_t bytes)
{
	struct rlimit limit = {bytes, RLIM_INFINITY};

	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(store, folders_and_keys, .init = make_dir, .fini = remove_dir)
{
	struct store *store = state_open(dir);
	struct buffer live;

	cr_assert_eq(mode_of("audit"), 0700);
	cr_assert_eq(mode_of("recordings"), 0700);
	cr_assert_eq(mode_of("keys"), 0700);
	cr_assert_eq(mode_of("keys/audit.key"), 0600);
	buffer_init(&live, 4096);
	cr_assert_eq(store_live(store, &live), 0);
	cr_assert_eq(live.data[0], 'm');
	buffer_done(&live);
	cr_assert_null(store_problem(store));
	store_close(store);
	cr_assert_eq(broken(), 0);
}

Test(store, descriptors_append_only, .init = make_dir, .fini = remove_dir)
{
	struct store *store = state_open(dir);
	struct identifier worker, stranger = {"w-0123456789ABCDEF"};
	uint32_t number;
	int fd;

	cr_assert_eq(store_add_worker(store, &worker), 0);
	fd = store_new_segment(store, &worker, STREAM_RECORDING, &number);
	cr_assert_geq(fd, 0);
	cr_assert_eq(number, 1);
	cr_assert_eq(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND), O_WRONLY | O_APPEND);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
	cr_assert_eq(store_new_segment(store, &stranger, STREAM_AUDIT, &number), -EINVAL);
	cr_assert_eq(store_new_segment(store, &worker, STREAM_CHECKPOINTS, &number), -EINVAL);
	store_worker_gone(store, &worker, "test");
	cr_assert_eq(store_new_segment(store, &worker, STREAM_AUDIT, &number), -EINVAL);
	store_close(store);
}

Test(store, heads_that_cannot_be_true, .init = make_dir, .fini = remove_dir)
{
	struct store *store = state_open(dir);
	struct state_worker w = state_worker_start(store);
	struct stream_head good = {
		.kind = STREAM_AUDIT, .segment = 1, .sequence = 0, .bytes = SEGMENT_HEADER_SIZE};
	struct stream_head bad[] = {
		{.kind = STREAM_CHECKPOINTS, .segment = 1, .bytes = 1},
		{.kind = 77, .segment = 1, .bytes = 1},
		{.kind = STREAM_AUDIT, .segment = 0, .bytes = 1},
		{.kind = STREAM_AUDIT, .segment = 2, .bytes = 1},
		{.kind = STREAM_AUDIT, .segment = 1, .bytes = 1 << 20},
		{.kind = STREAM_AUDIT, .segment = 1, .bytes = SEGMENT_HEADER_SIZE - 1},
	};

	state_sync(&w);
	cr_assert_eq(store_report_heads(store, &w.incarnation, &good, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_eq(store_report_heads(store, &w.incarnation, &bad[i], 1), -EINVAL,
			"head %zu", i);
	state_worker_end(&w, false);
	store_close(store);
}

/* kill -9 of everything: the next monitor says what it found, and verify is content. */
Test(store, dead_monitor, .init = make_dir, .fini = remove_dir)
{
	/* Static, so that leaving the memory as it is is no leak. */
	static struct store *dead;
	static struct state_worker w;
	static struct recorder_session s;
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct store *store;

	dead = state_open(dir);
	w = state_worker_start(dead);
	recorder_session_start(w.recorder, &s, &facts);
	state_query(w.recorder, &s, S("select 1"), 2);
	state_sync(&w);
	state_query(w.recorder, &s, S("select 2"), 2);
	cr_assert_eq(recorder_flush(w.recorder), 0);
	/* No end of anything. */
	store = state_open(dir);
	cr_assert_eq(count_notes(HOST_WORKER_GONE), 2);
	cr_assert_eq(count_notes(HOST_SEALED), 4);
	store_close(store);
	cr_assert_eq(broken(), 0);
	/* An orderly end leaves nobody to bury. */
	store = state_open(dir);
	store_close(store);
	cr_assert_eq(count_notes(HOST_WORKER_GONE), 2);
	cr_assert_eq(broken(), 0);
}

/* As a crash in the middle of a checkpoint leaves it: the record of the end is not there yet. */
static void tear_checkpoints(const char *path)
{
	int fd = open(path, O_RDWR | O_APPEND);
	struct reader reader;
	struct entry entry;
	uint64_t end = 0;

	cr_assert_geq(fd, 0, "%s", path);
	cr_assert_eq(reader_open(&reader, fd, false, false), READER_RECORD);
	while (reader_next(&reader, &entry) == READER_RECORD)
		end = entry.offset;
	cr_assert_eq(entry.type, RECORD_SEGMENT_END);
	reader_close(&reader);
	cr_assert_eq(ftruncate(fd, (off_t)end), 0);
	cr_assert_eq(write(fd, "\0\0\0\x60\x0d\0\0\0", 8), 8);
	close(fd);
}

Test(store, torn_checkpoints, .init = make_dir, .fini = remove_dir)
{
	for (unsigned i = 0; i < 6; i++) {
		char path[128];

		store_close(state_open(dir));
		snprintf(path, sizeof(path), "%s/audit/host.checkpoints.%06u", dir, i + 1);
		tear_checkpoints(path);
	}
	store_close(state_open(dir));
	cr_assert_eq(broken(), 0);
}

Test(store, stub_of_checkpoints_is_passed_over, .init = make_dir, .fini = remove_dir)
{
	char path[128];
	int fd;

	store_close(state_open(dir));
	for (unsigned i = 2; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/audit/host.checkpoints.%06u", dir, i);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		cr_assert_eq(write(fd, "WAYLEAVE", i == 2 ? 8 : 0), i == 2 ? 8 : 0);
		close(fd);
	}
	store_close(state_open(dir));
	cr_assert_eq(broken(), 0);
	snprintf(path, sizeof(path), "%s/audit/host.checkpoints.000004", dir);
	cr_assert_eq(access(path, F_OK), 0);
}

/* A monitor that dies, or finds the disk full, before its first checkpoint is no tampering; a
 * stream that somebody put there is. */
Test(store, monitor_that_never_signed, .init = make_dir, .fini = remove_dir)
{
	struct store_options options = {.state_dir = dir, .version = "x", .clock = state_clock};
	char command[300];
	struct store *store;
	struct error e;

	store_close(state_open(dir));
	/* Room for the stream, and none for the checkpoint. */
	for (uint64_t room = 100; room < 700; room += 50) {
		limit_file_size(room);
		if (store_open(&store, &options, &e) == 0)
			store_close(store);
		limit_file_size(RLIM_INFINITY);
	}
	store_close(state_open(dir));
	cr_assert_eq(broken(), 0);
	snprintf(command, sizeof(command),
		"cd %s/audit && cp $(ls m-*|head -1) m-ZZZZZZZZZZZZZZZZ.audit.000001", dir);
	cr_assert_eq(system(command), 0);
	cr_assert_gt(broken(), 0);
}

Test(store, compression, .init = make_dir, .fini = remove_dir)
{
	struct session_filter filter = {.id = S("s-BBBBBBBB")};
	struct session_list sessions;
	struct error e;
	char path[128];
	int folder;

	state_fabricate(dir);
	cr_assert_eq(count_notes(HOST_COMPRESSED), 3);
	snprintf(path, sizeof(path), "%s/recordings", dir);
	folder = open(path, O_RDONLY | O_DIRECTORY);
	cr_assert_eq(session_list_load(&sessions, folder, &filter, &e), 0);
	cr_assert_eq(sessions.count, 1);
	cr_assert_eq(sessions.sessions[0]->actions, 2);
	session_list_done(&sessions);
	close(folder);
	cr_assert_eq(broken(), 0);
}

/* What is being written is not compressed; what is refused is not asked for again. */
Test(store, compression_of_what, .init = make_dir, .fini = remove_dir)
{
	struct store *store = state_open(dir);
	struct state_worker w = state_worker_start(store);
	struct compress_job job;
	struct compress_result result = {0};

	cr_assert_eq(store_next_compression(store, &job), 0);
	state_sync(&w);
	state_rotate(&w, STREAM_RECORDING);
	/* Handed over, but the worker has not said that the old one is closed. */
	cr_assert_eq(store_next_compression(store, &job), 0);
	state_sync(&w);
	cr_assert_eq(store_next_compression(store, &job), 1);
	cr_assert_eq(job.name.segment, 1);
	/* A result that does not fit the file. */
	result.plain_bytes = 1;
	cr_assert_eq(store_finish_compression(store, &job, &result), -EBUSY);
	cr_assert_eq(store_next_compression(store, &job), 0);
	state_worker_end(&w, false);
	store_close(store);
	cr_assert_eq(broken(), 0);
	/* The next monitor tries again. */
	store = state_open(dir);
	state_compress_all(store);
	store_close(store);
	cr_assert_eq(count_notes(HOST_COMPRESSED), 2);
	cr_assert_eq(broken(), 0);
}

/* Nothing is known of the folder then, and nothing of what the stack holds is taken for it. */
Test(store, no_descriptor_for_the_folder, .init = make_dir, .fini = remove_dir)
{
	const struct retention_policy policy = {.days = 1};
	char warning[RETENTION_WARNING_SIZE];
	struct store *store = state_open(dir);
	struct compress_job job;
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, limit.rlim_max}), 0);
	cr_expect_eq(store_next_compression(store, &job), -EMFILE);
	cr_expect_eq(store_enforce_retention(store, &policy, warning), -EMFILE);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_expect_eq(store_next_compression(store, &job), 0);
	store_close(store);
}

/* Plain and compressed side by side, as a crash leaves them: the plain one goes, once. */
Test(store, crash_between_rename_and_unlink, .init = make_dir, .fini = remove_dir)
{
	struct store *store = state_open(dir);
	struct state_worker w = state_worker_start(store);
	char command[300];

	state_sync(&w);
	state_worker_end(&w, false);
	snprintf(command, sizeof(command), "cd %s/recordings && cp -p %s.recording.000001 x", dir,
		w.incarnation.text);
	cr_assert_eq(system(command), 0);
	state_compress_all(store);
	snprintf(command, sizeof(command), "cd %s/recordings && mv x %s.recording.000001", dir,
		w.incarnation.text);
	cr_assert_eq(system(command), 0);
	cr_assert_eq(broken(), 0);
	state_compress_all(store);
	snprintf(command, sizeof(command), "cd %s/recordings && test ! -e %s.recording.000001", dir,
		w.incarnation.text);
	cr_assert_eq(system(command), 0);
	store_close(store);
	cr_assert_eq(broken(), 0);
}

/* ---- what a reader sees while files are compressed ---- */

#define RACED_SEGMENTS 12

static void write_session(struct state_worker *w, unsigned number)
{
	struct recorder_session session = {0};
	struct session_facts facts;
	char id[16];

	snprintf(id, sizeof(id), "s-%08u", number);
	facts = state_facts(id);
	recorder_session_start(w->recorder, &session, &facts);
	state_query(w->recorder, &session, S("select 1"), 1);
	recorder_session_end(w->recorder, &session, REASON_KILLED, SLICE_EMPTY, 10, 20);
}

static void move_over(const char *from, const char *name)
{
	char source[400], temporary[400], target[400];

	snprintf(source, sizeof(source), "%s/%s/%s", dir, from, name);
	snprintf(temporary, sizeof(temporary), "%s/temporary", dir);
	snprintf(target, sizeof(target), "%s/recordings/%s", dir, name);
	cr_assert_eq(link(source, temporary), 0);
	cr_assert_eq(rename(temporary, target), 0);
}

static void each_recording(const char *from, void (*do_to)(const char *from, const char *name))
{
	char path[128];
	struct dirent *item;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, from);
	d = opendir(path);
	while ((item = readdir(d))) {
		if (strstr(item->d_name, ".recording."))
			do_to(from, item->d_name);
	}
	closedir(d);
}

static void remove_plain_of(const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/recordings/%s", dir, name);
	path[strlen(path) - strlen(".zst")] = '\0';
	unlink(path);
}

static void compress_again(const char *from, const char *name)
{
	move_over(from, name);
	remove_plain_of(name);
}

static void *compress_all_again(void *argument)
{
	each_recording("packed", compress_again);
	return argument;
}

Test(store, verified_while_it_is_compressed, .init = make_dir, .fini = remove_dir)
{
	struct store *store = state_open(dir);
	struct state_worker w = state_worker_start(store);
	char command[300];

	for (unsigned i = 0; i < RACED_SEGMENTS; i++) {
		state_sync(&w);
		state_rotate(&w, STREAM_RECORDING);
		write_session(&w, i);
	}
	state_sync(&w);
	state_worker_end(&w, false);
	snprintf(command, sizeof(command), "cd %s && cp -a recordings plain", dir);
	cr_assert_eq(system(command), 0);
	state_compress_all(store);
	store_close(store);
	snprintf(command, sizeof(command), "cd %s && mkdir packed && ln recordings/*.zst packed",
		dir);
	cr_assert_eq(system(command), 0);
	for (unsigned round = 0; round < 100; round++) {
		pthread_t thread;

		snprintf(command, sizeof(command), "cd %s && rm -f recordings/*.zst", dir);
		each_recording("plain", move_over);
		cr_assert_eq(system(command), 0);
		cr_assert_eq(pthread_create(&thread, NULL, compress_all_again, NULL), 0);
		cr_assert_eq(broken(), 0, "round %u", round);
		pthread_join(thread, NULL);
	}
}

Test(store, retention, .init = make_dir, .fini = remove_dir)
{
	struct retention_policy policy = {.days = 90, .max_bytes = 20ULL << 30, .warn_percent = 80};
	char warning[RETENTION_WARNING_SIZE];
	struct state_worker w;
	struct store *store;

	state_fabricate(dir);
	store = state_open(dir);
	w = state_worker_start(store);
	/* File times are the real clock's. */
	state_now = clock_wall();
	cr_assert_eq(store_enforce_retention(store, &policy, warning), 0);
	cr_assert_eq(count_notes(HOST_DELETED), 0);
	state_now += 91 * 86400 * NANOSECONDS_PER_SECOND;
	cr_assert_eq(store_enforce_retention(store, &policy, warning), 0);
	/* Three recordings and two indexes; those of the live worker stay. */
	cr_assert_eq(count_notes(HOST_DELETED), 5);
	state_worker_end(&w, false);
	store_close(store);
	cr_assert_eq(broken(), 0);
	state_now = STATE_EPOCH;
}

/* What can't be recorded is not done; later all is well again. */
Test(store, full_disk, .init = make_dir, .fini = remove_dir)
{
	struct store *store = state_open(dir);
	struct state_worker w = state_worker_start(store);
	struct identifier other;
	uint32_t number;

	limit_file_size(200);
	cr_assert_lt(store_note(store, HOST_ADMIN, S("root"), S("test")), 0);
	cr_assert_not_null(store_problem(store));
	cr_assert_lt(store_add_worker(store, &other), 0);
	cr_assert_lt(store_new_segment(store, &w.incarnation, STREAM_RECORDING, &number), 0);
	limit_file_size(RLIM_INFINITY);
	cr_assert_eq(store_note(store, HOST_ADMIN, S("root"), S("test")), 0);
	cr_assert_null(store_problem(store));
	state_rotate(&w, STREAM_RECORDING);
	state_sync(&w);
	state_checkpoint(store);
	state_worker_end(&w, false);
	store_close(store);
	cr_assert_eq(broken(), 0);
}

Test(store, checkpoints_by_the_clock, .init = make_dir, .fini = remove_dir)
{
	struct store *store = state_open(dir);
	struct state_worker w = state_worker_start(store);
	uint64_t now = 100 * NANOSECONDS_PER_SECOND;
	char path[128];
	struct stat before, after;

	snprintf(path, sizeof(path), "%s/audit/host.checkpoints.000001", dir);
	state_sync(&w);
	for (unsigned i = 0; i < 30; i++) {
		store_tick(store, now);
		state_settle(store);
		now += NANOSECONDS_PER_SECOND;
		if (i == 1)
			cr_assert_eq(stat(path, &before), 0);
	}
	/* One for what changed, then none, for nothing did. */
	cr_assert_eq(stat(path, &after), 0);
	cr_assert_eq(before.st_size, after.st_size);
	now += 60 * NANOSECONDS_PER_SECOND;
	store_note(store, HOST_ADMIN, S("root"), S("x"));
	store_tick(store, now);
	state_settle(store);
	cr_assert_eq(stat(path, &after), 0);
	cr_assert_gt(after.st_size, before.st_size);
	state_settle(store);
	state_worker_end(&w, false);
	store_close(store);
	cr_assert_eq(broken(), 0);
}

Test(store, key_that_is_none, .init = make_dir, .fini = remove_dir)
{
	struct store_options options = {.state_dir = dir, .version = "x"};
	struct store *store;
	char command[200];
	struct error e;

	snprintf(command, sizeof(command), "mkdir %s/keys; echo x >%s/keys/audit.key", dir, dir);
	cr_assert_eq(system(command), 0);
	cr_assert_lt(store_open(&store, &options, &e), 0);
	cr_assert_not_null(strstr(e.text, "not a private key"));
}
