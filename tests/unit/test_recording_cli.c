/* SPDX-License-Identifier: Apache-2.0
 *
 * "wayleave sessions" and "wayleave audit" on a fabricated state folder, against
 * tests/golden/recording/. What differs from run to run (names of incarnations, hashes, signatures)
 * is replaced. GOLDEN_UPDATE=1 writes the files anew.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/file.h"
#include "cli/cli.h"
#include "monitor/control.h"
#include "tests/tools/recording_state.h"

#define GOLDEN "tests/golden/recording"

static char dir[64];
static int status;
static struct buffer last_output; /* what run() returned; until it runs again */

static void fabricate(void)
{
	strcpy(dir, "/tmp/test_cli.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	state_fabricate(dir);
}

static void remove_dir(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	cr_assert_eq(system(command), 0);
}

/* Incarnations become w-N or m-N in the order in which they come, runs of 32 or more hex digits
 * HEX. */
static void normalise(struct slice in, struct buffer *out)
{
	char known[16][17];
	size_t count = 0;

	while (in.length) {
		size_t hex = 0, n;

		while (hex < in.length && isxdigit(in.data[hex]))
			hex++;
		if (in.length > 18 && (in.data[0] == 'w' || in.data[0] == 'm') &&
			in.data[1] == '-' &&
			identifier_is_valid(slice_head(in, 18), (char)in.data[0])) {
			for (n = 0; n < count; n++) {
				if (memcmp(known[n], in.data + 2, 16) == 0)
					break;
			}
			if (n == count)
				memcpy(known[count++], in.data + 2, 16);
			buffer_append_format(out, "%c-%zu", in.data[0], n);
			in = slice_from(in, 18);
		} else if (hex >= 16) {
			buffer_append_string(out, "HEX");
			in = slice_from(in, hex);
		} else {
			buffer_append_byte(out, in.data[0]);
			in = slice_from(in, 1);
		}
	}
}

/* Runs a verb with standard output in a file; the status is kept. */
static struct slice run(bool json, int argc, const char *const *arguments)
{
	char *argv[16] = {0}, *words[16] = {0};
	struct cli cli = {.socket = "/nonexistent", .json = json};
	FILE *file = tmpfile();
	int out = fileno(file), saved = dup(STDOUT_FILENO);
	struct buffer raw, clean;

	for (int i = 0; i < argc; i++)
		argv[i] = words[i] =
			memory_copy_string(strcmp(arguments[i], "DIR") ? arguments[i] : dir);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	status = strcmp(argv[0], "audit") == 0 ? cli_audit(&cli, argc, argv)
					       : cli_sessions(&cli, argc, argv);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	buffer_init(&raw, 1 << 24);
	buffer_init(&clean, 1 << 24);
	lseek(out, 0, SEEK_SET);
	cr_assert_eq(file_read_descriptor(out, &raw), 0);
	normalise(buffer_slice(&raw), &clean);
	buffer_done(&raw);
	fclose(file);
	for (int i = 0; i < argc; i++)
		free(words[i]);
	free(last_output.data);
	last_output = clean;
	return buffer_slice(&clean);
}

#define RUN(json, ...)                                                                             \
	run(json, sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *),                    \
		(const char *[]){__VA_ARGS__})

static void compare(const char *name, struct slice got)
{
	char *path = memory_format("%s/%s", GOLDEN, name);
	struct buffer expected;
	struct error e;

	if (getenv("GOLDEN_UPDATE"))
		cr_assert_eq(file_write(path, got, 0644, &e), 0, "%s", e.text);
	buffer_init(&expected, 1 << 24);
	cr_assert_eq(file_read(path, &expected, &e), 0, "%s", e.text);
	cr_assert(slice_equal(got, buffer_slice(&expected)), "%s differs; got:\n%.*s", name,
		SLICE_PRINT(got));
	/* Nothing that others wrote drives the terminal. */
	for (size_t i = 0; i < got.length; i++)
		cr_assert(got.data[i] >= 0x20 || got.data[i] == '\n' || got.data[i] == '\t');
	buffer_done(&expected);
	free(path);
}

Test(cli, sessions_list, .init = fabricate, .fini = remove_dir)
{
	compare("list.txt", RUN(false, "sessions", "list", "--state-dir", "DIR"));
	compare("list.txt", RUN(false, "sessions", "--state-dir", "DIR"));
	compare("list.json", RUN(true, "sessions", "list", "--state-dir", "DIR"));
	compare("list-agent.txt",
		RUN(false, "sessions", "list", "--agent", "claude-ci", "--state-dir", "DIR"));
	compare("list-since.txt",
		RUN(false, "sessions", "list", "--since", "2026-01-31T12:00:08Z", "--state-dir",
			"DIR"));
	compare("list-none.txt", RUN(false, "sessions", "list", "--active", "--state-dir", "DIR"));
	cr_assert_eq(status, CLI_DONE);
}

Test(cli, sessions_show, .init = fabricate, .fini = remove_dir)
{
	compare("show.txt", RUN(false, "sessions", "show", "s-AAAAAAAA", "--state-dir", "DIR"));
	compare("show.json", RUN(true, "sessions", "show", "s-AAAAAAAA", "--state-dir", "DIR"));
	/* Over two segments, and of a worker that was killed. */
	compare("show-rotated.txt",
		RUN(false, "sessions", "show", "s-BBBBBBBB", "--state-dir", "DIR"));
	compare("show-lost.txt",
		RUN(false, "sessions", "show", "s-CCCCCCCC", "--state-dir", "DIR"));
	cr_assert_eq(status, CLI_DONE);
}

Test(cli, sessions_replay, .init = fabricate, .fini = remove_dir)
{
	uint64_t start;

	compare("replay.txt",
		RUN(false, "sessions", "replay", "s-AAAAAAAA", "--speed", "0", "--state-dir",
			"DIR"));
	start = clock_monotonic();
	/* Eight seconds, forty times as fast. */
	compare("replay.txt",
		RUN(false, "sessions", "replay", "s-AAAAAAAA", "--speed", "40", "--state-dir",
			"DIR"));
	start = clock_monotonic() - start;
	cr_assert(start > 150 * NANOSECONDS_PER_MILLISECOND && start < 2 * NANOSECONDS_PER_SECOND);
}

Test(cli, sessions_tail_of_the_dead, .init = fabricate, .fini = remove_dir)
{
	compare("tail.txt", RUN(false, "sessions", "tail", "s-AAAAAAAA", "--state-dir", "DIR"));
	compare("tail-lost.txt",
		RUN(false, "sessions", "tail", "s-CCCCCCCC", "--state-dir", "DIR"));
}

Test(cli, audit_verify, .init = fabricate, .fini = remove_dir)
{
	char command[200];
	struct slice got;

	/* The order of streams is that of their random names. */
	RUN(false, "audit", "verify", "--state-dir", "DIR");
	cr_assert_eq(status, CLI_DONE);
	RUN(true, "audit", "verify", "--recordings", "--state-dir", "DIR");
	cr_assert_eq(status, CLI_DONE);
	snprintf(command, sizeof(command),
		"for f in %s/audit/w-*.audit.000002; do printf x >>$f; done", dir);
	cr_assert_eq(system(command), 0);
	got = RUN(false, "audit", "verify", "--state-dir", "DIR");
	cr_assert_eq(status, CLI_REFUSED);
	cr_assert_not_null(memmem(got.data, got.length, "added behind the segment's end", 30));
	snprintf(command, sizeof(command), "rm %s/audit/w-*.audit.000002", dir);
	cr_assert_eq(system(command), 0);
	got = RUN(false, "audit", "verify", "--state-dir", "DIR");
	cr_assert_eq(status, CLI_REFUSED);
	cr_assert_not_null(
		memmem(got.data, got.length, ".audit.000002: the file is missing\n", 35));
}

/* JSON, one object per line, with the session's facts in each of its records. */
Test(cli, audit_export, .init = fabricate, .fini = remove_dir)
{
	struct slice rest = RUN(false, "audit", "export", "--state-dir", "DIR");
	unsigned lines = 0, actions = 0;

	cr_assert_eq(status, CLI_DONE);
	while (rest.length) {
		const uint8_t *end = memchr(rest.data, '\n', rest.length);
		size_t length = (size_t)(end - rest.data);
		bool action = memmem(rest.data, length, "\"record\":\"action\"", 17);

		cr_assert_eq(rest.data[0], '{');
		cr_assert_eq(rest.data[length - 1], '}');
		lines++;
		actions += action;
		if (action) {
			cr_assert_not_null(memmem(rest.data, length, "\"session\":\"s-", 13));
			cr_assert_not_null(memmem(rest.data, length, "\"agent\":\"", 9));
			cr_assert_not_null(memmem(rest.data, length, "\"operation\":\"", 13));
		}
		rest = slice_from(rest, length + 1);
	}
	cr_assert_eq(actions, 9);
	cr_assert_gt(lines, 45);
}

Test(cli, mistakes, .init = fabricate, .fini = remove_dir)
{
	static const struct {
		int expected;
		const char *words[6];
	} rows[] = {
		{CLI_USAGE, {"sessions", "show"}},
		{CLI_USAGE, {"sessions", "show", "../etc"}},
		{CLI_USAGE, {"sessions", "frob", "s-AAAAAAAA"}},
		{CLI_USAGE, {"sessions", "list", "--since", "yesterday", "--state-dir", "DIR"}},
		{CLI_USAGE, {"sessions", "list", "--agent"}},
		{CLI_USAGE, {"sessions", "list", "--frob"}},
		{CLI_USAGE, {"audit"}},
		{CLI_USAGE, {"audit", "frob"}},
		{CLI_USAGE, {"audit", "verify", "--checkpoint", "4", "--state-dir", "DIR"}},
		{CLI_REFUSED, {"sessions", "show", "s-ZZZZZZZZ", "--state-dir", "DIR"}},
		{CLI_REFUSED, {"sessions", "list", "--state-dir", "/nonexistent"}},
		/* No daemon answers. */
		{CLI_REFUSED, {"sessions", "list"}},
		{CLI_REFUSED, {"sessions", "kill", "s-AAAAAAAA"}},
		{CLI_REFUSED, {"audit", "verify"}},
		{CLI_DONE, {"sessions", "--help"}},
		{CLI_DONE, {"audit", "--help"}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int argc = 0;

		while (argc < 6 && rows[i].words[argc])
			argc++;
		run(false, argc, rows[i].words);
		cr_expect_eq(status, rows[i].expected, "row %zu: %d", i, status);
	}
}

/* ---- with a daemon ---- */

/* Answers as the monitor does, in a process of its own, until it is killed. */
static pid_t serve(const char *path, struct store *store, const char *killed)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int folders[] = {store_recordings_folder(store), store_audit_folder(store)};
	struct buffer live, payload;
	pid_t child;

	strcpy(address.sun_path, path);
	cr_assert_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(listener, 5), 0);
	child = fork();
	if (child) {
		close(listener);
		return child;
	}
	buffer_init(&live, 4096);
	store_live(store, &live);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		struct control_header header;
		struct slice text = SLICE_EMPTY;

		buffer_init(&payload, CONTROL_PAYLOAD_MOST);
		if (control_receive(fd, &header, &payload, NULL, NULL) < 0)
			_exit(1);
		header.status = 0;
		if (header.type == CONTROL_KILL) {
			header.status =
				slice_equal_string(buffer_slice(&payload), killed) ? 0 : -ENOENT;
			if (header.status)
				text = S("there is no such session");
			control_send(fd, &header, text, NULL, 0);
		} else {
			control_send(fd, &header, buffer_slice(&live), folders, 2);
		}
		buffer_done(&payload);
		close(fd);
	}
}

Test(cli, with_a_daemon)
{
	struct session_facts facts = state_facts("s-AAAAAAAA");
	struct recorder_session s = {0};
	struct state_worker w;
	struct store *store;
	char path[128], out[128];
	struct cli cli = {.socket = path};
	char *list[] = {"sessions", "--active", NULL},
	     *tail[] = {"sessions", "tail", "s-AAAAAAAA", NULL};
	char *kill_it[] = {"sessions", "kill", "s-AAAAAAAA", NULL};
	char *kill_other[] = {"sessions", "kill", "s-ZZZZZZZZ", NULL};
	struct buffer seen;
	pid_t server, tailer;
	struct error e;
	int wait_status;

	strcpy(dir, "/tmp/test_cli.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/control.sock", dir);
	snprintf(out, sizeof(out), "%s/out", dir);
	store = state_open(dir);
	w = state_worker_start(store);
	recorder_session_start(w.recorder, &s, &facts);
	state_query(w.recorder, &s, S("select 'before'"), 1);
	cr_assert_eq(recorder_flush(w.recorder), 0);
	server = serve(path, store, "s-AAAAAAAA");
	cr_assert_eq(cli_sessions(&cli, 2, list), CLI_DONE);
	cr_assert_eq(cli_sessions(&cli, 3, kill_it), CLI_DONE);
	cr_assert_eq(cli_sessions(&cli, 3, kill_other), CLI_REFUSED);
	/* tail follows, also into another segment, until the session ends. */
	fflush(stdout);
	tailer = fork();
	if (tailer == 0) {
		cr_assert_not_null(freopen(out, "w", stdout));
		_exit(cli_sessions(&cli, 3, tail) || fflush(stdout));
	}
	for (unsigned i = 0; i < 3; i++) {
		usleep(150000);
		state_query(w.recorder, &s, i == 1 ? S("select 'during'") : S("select 'more'"), 1);
		cr_assert_eq(recorder_flush(w.recorder), 0);
		state_rotate(&w, STREAM_RECORDING);
	}
	recorder_session_end(w.recorder, &s, REASON_KILLED, SLICE_EMPTY, 0, 0);
	cr_assert_eq(recorder_flush(w.recorder), 0);
	cr_assert_eq(waitpid(tailer, &wait_status, 0), tailer);
	cr_assert_eq(wait_status, 0);
	buffer_init(&seen, 1 << 20);
	cr_assert_eq(file_read(out, &seen, &e), 0);
	cr_assert_not_null(memmem(seen.data, seen.end, "'before'", 8));
	cr_assert_not_null(memmem(seen.data, seen.end, "'during'", 8));
	cr_assert_not_null(memmem(seen.data, seen.end, "end: killed", 11));
	buffer_done(&seen);
	kill(server, SIGKILL);
	waitpid(server, &wait_status, 0);
	state_worker_end(&w, false);
	store_close(store);
	remove_dir();
}
