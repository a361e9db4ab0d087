/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine of SSH sessions: what the session's process says, and is told.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/memory.h"
#include "masking/detector.h"
#include "protocol/ssh/bridge.h"
#include "protocol/ssh/ssh.h"

static struct buffer told, said;
static struct protocol_host host;
static struct protocol_engine *e;

static int write_it(struct protocol_host *h, enum side to, struct slice bytes)
{
	(void)h;
	cr_assert_eq(to, SIDE_SERVER);
	return buffer_append_slice(&told, bytes);
}

static void setup(void)
{
	buffer_init(&told, 4u << 20);
	buffer_init(&said, 4u << 20);
	host = (struct protocol_host){.write = write_it};
	e = protocol_ssh.open(&host);
}

static void teardown(void)
{
	protocol_ssh.close(e);
	buffer_done(&told);
	buffer_done(&said);
}

TestSuite(ssh_engine, .init = setup, .fini = teardown);

/* Offers what was said; what input() returned. */
static int offer(void)
{
	size_t taken = 0;
	int r = protocol_ssh.input(e, SIDE_SERVER, buffer_slice(&said), &taken);

	buffer_consume(&said, taken);
	return r;
}

static struct protocol_event next(enum protocol_event_type type)
{
	struct protocol_event event = {.type = EVENT_JOB};

	cr_assert(protocol_ssh.next_event(e, &event));
	cr_assert_eq(event.type, type, "%d", event.type);
	return event;
}

static void nothing_happens(void)
{
	struct protocol_event event;

	cr_expect_not(protocol_ssh.next_event(e, &event));
}

static void request(uint32_t lane, enum bridge_kind kind, bool terminal, const char *text)
{
	const struct bridge_request r = {.kind = kind,
		.terminal = terminal,
		.columns = 80,
		.rows = 24,
		.text = slice_from_string(text)};

	bridge_append_request(&said, lane, &r);
	cr_assert_eq(offer(), 0);
}

static void expect_told(enum bridge_type type, uint32_t lane, struct slice body)
{
	struct bridge_frame frame;
	size_t length;

	cr_assert_eq(bridge_take(buffer_slice(&told), &frame, &length), 0);
	cr_expect_eq(frame.type, type, "%d", frame.type);
	cr_expect_eq(frame.lane, lane);
	cr_expect(slice_equal(frame.body, body), "%.*s", SLICE_PRINT(frame.body));
	buffer_consume(&told, length);
}

static const struct protocol_refusal denied = {
	REASON_NOT_COVERED, {(const uint8_t *)"denied: it", 10}};

Test(ssh_engine, a_request_is_an_action)
{
	const uint8_t nothing = 0;
	struct protocol_event event;

	request(1, BRIDGE_EXEC, false, "ls");
	event = next(EVENT_ACTION);
	cr_expect(slice_equal_string(event.action.action->text, "ls"));
	nothing_happens();
	protocol_ssh.mask(e, 1, NULL, false, NULL);
	protocol_ssh.release(e, 1, 7);
	expect_told(BRIDGE_ALLOW, 1, slice_of(&nothing, 1));
	bridge_append_result(
		&said, 1, &(struct bridge_result){.to_agent = 5, .to_server = 6, .status = 3});
	cr_assert_eq(offer(), 0);
	event = next(EVENT_RESULT);
	cr_expect_eq(event.result.action, 7);
	cr_expect(slice_equal_string(event.result.tag, "exit 3"));
	cr_expect(host.carried[SIDE_AGENT] == 5 && host.carried[SIDE_SERVER] == 6);
}

Test(ssh_engine, a_refusal_is_told)
{
	request(1, BRIDGE_EXEC, false, "rm");
	next(EVENT_ACTION);
	protocol_ssh.refuse(e, 1, 1, &denied);
	expect_told(BRIDGE_DENY, 1, denied.text);
	request(1, BRIDGE_EXEC, false, "ls");
	next(EVENT_ACTION);
}

static int offer_deeds(uint32_t lane, struct slice body)
{
	bridge_append_request(
		&said, lane, &(struct bridge_request){.kind = BRIDGE_DEEDS, .text = body});
	return offer();
}

Test(ssh_engine, deeds_are_pairs)
{
	const struct bridge_deed deeds[] = {
		{BRIDGE_DEED_READ, true, slice_from_string("/a")},
		{BRIDGE_DEED_SETATTR, false, slice_from_string("../b")},
	};
	const uint8_t nothing = 0;
	const struct action *action;
	struct protocol_event event;
	struct buffer body;

	buffer_init(&body, 1000);
	bridge_append_deeds(&body, deeds, 2, slice_from_string("open /a"));
	cr_assert_eq(offer_deeds(5, buffer_slice(&body)), 0);
	action = next(EVENT_ACTION).action.action;
	cr_expect(slice_equal_string(action->text, "open /a"));
	cr_assert_eq(action->pair_count, 2);
	cr_expect_eq(action->pairs[0].operation, OPERATION_SFTP_READ);
	cr_expect_eq(action->pairs[0].state, OBJECT_KNOWN);
	cr_expect_eq(action->pairs[1].operation, OPERATION_SFTP_SETATTR);
	cr_expect_eq(action->pairs[1].state, OBJECT_UNKNOWN);
	protocol_ssh.release(e, 5, 7);
	expect_told(BRIDGE_ALLOW, 5, slice_of(&nothing, 1));
	bridge_append_result(&said, 5,
		&(struct bridge_result){.to_agent = 5, .signal = slice_from_string("read 5")});
	cr_assert_eq(offer(), 0);
	event = next(EVENT_RESULT);
	cr_expect(slice_equal_string(event.result.tag, "read 5"));
	cr_expect_eq(host.carried[SIDE_AGENT], 0);
	buffer_done(&body);
}

Test(ssh_engine, a_deed_without_object_is_none)
{
	static const uint8_t none[] = {0, 1, BRIDGE_DEED_READ, 1, 0, 0, 0, 0};

	cr_assert_eq(offer_deeds(5, slice_of(none, sizeof(none))), -EBADMSG);
}

Test(ssh_engine, deeds_are_counted)
{
	static const uint8_t no[] = {0, 0, 'x'},
			     short_one[] = {0, 2, BRIDGE_DEED_READ, 1, 0, 0, 0, 1, '/'};

	cr_assert_eq(offer_deeds(5, slice_of(no, sizeof(no))), -EBADMSG);
	buffer_clear(&said);
	cr_assert_eq(offer_deeds(6, slice_of(short_one, sizeof(short_one))), -EBADMSG);
}

Test(ssh_engine, sftp_is_asked_for_one_by_one)
{
	const uint8_t files = BRIDGE_INSPECT_SFTP, nothing = 0;

	request(1, BRIDGE_SUBSYSTEM, false, "sftp");
	next(EVENT_ACTION);
	protocol_ssh.release(e, 1, 7);
	expect_told(BRIDGE_ALLOW, 1, slice_of(&files, 1));
	request(2, BRIDGE_SUBSYSTEM, false, "netconf");
	next(EVENT_ACTION);
	protocol_ssh.release(e, 2, 8);
	expect_told(BRIDGE_ALLOW, 2, slice_of(&nothing, 1));
}

Test(ssh_engine, what_is_recorded_goes_back)
{
	const uint8_t both = BRIDGE_INSPECT_INPUT | BRIDGE_INSPECT_OUTPUT, data[] = {1, 'h', 'i'};
	struct protocol_event event;

	request(1, BRIDGE_SHELL, true, "");
	next(EVENT_ACTION);
	protocol_ssh.mask(e, 1, NULL, false, NULL);
	protocol_ssh.release(e, 1, 7);
	expect_told(BRIDGE_ALLOW, 1, slice_of(&both, 1));
	event = next(EVENT_DATA);
	cr_expect(event.data.kind == DATA_WINDOW && event.data.columns == 80);
	bridge_append(&said, BRIDGE_DATA, 1, SLICE_EMPTY, slice_of(data, sizeof(data)));
	cr_assert_eq(offer(), 0);
	event = next(EVENT_DATA);
	cr_expect(event.data.kind == DATA_OUTPUT && event.data.action == 7);
	cr_expect(slice_equal_string(event.data.bytes, "hi"));
	expect_told(BRIDGE_DATA, 1, slice_of(data, sizeof(data)));
}

Test(ssh_engine, data_that_nobody_asked_for_is_a_violation)
{
	const uint8_t data[] = {1, 'h', 'i'};

	request(1, BRIDGE_EXEC, false, "ls");
	next(EVENT_ACTION);
	protocol_ssh.release(e, 1, 7);
	bridge_append(&said, BRIDGE_DATA, 1, SLICE_EMPTY, slice_of(data, sizeof(data)));
	cr_expect_eq(offer(), -EBADMSG);
}

static const struct mask_column column = {.strategy = MASK_REDACT};
static const struct mask_rules columns = {.columns = &column, .column_count = 1};
static const struct mask_rules emails = {
	.detects = true, .detectors = {[DETECTOR_EMAIL] = MASK_REDACT}};

/* The verdict on what is asked of that kind, with those masks. */
static int mask(enum bridge_kind kind, const char *text, const struct mask_rules *rules)
{
	static uint32_t lane = 100;
	struct protocol_refusal refusal = {0}, would = {0};
	int r;

	request(++lane, kind, false, text);
	next(EVENT_ACTION);
	r = protocol_ssh.would_refuse(e, lane, rules, &would);
	cr_expect_eq(protocol_ssh.mask(e, lane, rules, false, &refusal), r);
	cr_expect_eq(refusal.reason, r ? REASON_MASK_IMPOSSIBLE : REASON_NONE);
	cr_expect_eq(would.reason, refusal.reason);
	return r;
}

Test(ssh_engine, masks_are_refused_rather_than_left_out)
{
	cr_expect_eq(mask(BRIDGE_EXEC, "ls", &columns), -EPERM);
	cr_expect_eq(mask(BRIDGE_SHELL, "", &columns), -EPERM);
	cr_expect_eq(mask(BRIDGE_SUBSYSTEM, "netconf", &emails), -EPERM);
	cr_expect_eq(mask(BRIDGE_FORWARD, "a:1", &emails), -EPERM);
	cr_expect_eq(mask(BRIDGE_REMOTE_FORWARD, "a:1", &emails), -EPERM);
	cr_expect_eq(mask(BRIDGE_FORWARDED, "a:1 from b:2", &emails), -EPERM);
	cr_expect_eq(mask(BRIDGE_EXEC, "ls", &emails), 0);
	/* Files are not text. */
	cr_expect_eq(mask(BRIDGE_SUBSYSTEM, "sftp", &emails), 0);
	cr_expect_eq(mask(BRIDGE_EXEC, "git-upload-pack '/x'", &emails), 0);
	cr_expect_eq(mask(BRIDGE_ENV, "A=b", &emails), 0);
}

Test(ssh_engine, telling_what_would_be_refused_binds_nothing)
{
	const uint8_t nothing = 0;
	struct protocol_refusal would = {0};

	request(1, BRIDGE_EXEC, false, "ls");
	next(EVENT_ACTION);
	cr_expect_eq(protocol_ssh.would_refuse(e, 1, &emails, &would), 0);
	protocol_ssh.release(e, 1, 7);
	expect_told(BRIDGE_ALLOW, 1, slice_of(&nothing, 1));
	request(2, BRIDGE_AGENT_FORWARD, false, "agent");
	next(EVENT_ACTION);
	cr_expect_eq(protocol_ssh.would_refuse(e, 2, NULL, &would), -EPERM);
	cr_expect_eq(would.reason, REASON_NOT_BUILT);
}

static void use_detectors(void)
{
	static struct detector_engine *engine;
	struct error error;

	if (!engine)
		engine = detector_engine_new(&error);
	host.detectors = engine;
}

static void run_masked_kind(
	uint32_t lane, enum bridge_kind kind, bool terminal, const char *text, bool record)
{
	struct bridge_frame frame;
	size_t length;

	use_detectors();
	request(lane, kind, terminal, text);
	next(EVENT_ACTION);
	cr_assert_eq(protocol_ssh.mask(e, lane, &emails, record, NULL), 0);
	cr_assert_eq(protocol_ssh.release(e, lane, 7), 0);
	cr_assert_eq(bridge_take(buffer_slice(&told), &frame, &length), 0);
	cr_assert(frame.type == BRIDGE_ALLOW && frame.body.data[0] & BRIDGE_INSPECT_MASK);
	buffer_consume(&told, length);
}

/* The command runs, its output masked. */
static void run_masked(uint32_t lane, bool terminal, const char *command, bool record)
{
	run_masked_kind(lane, BRIDGE_EXEC, terminal, command, record);
}

static void write_output(uint32_t lane, enum bridge_stream stream, const char *text)
{
	const uint8_t kind = (uint8_t)stream;

	bridge_append(&said, BRIDGE_DATA, lane, slice_of(&kind, 1), slice_from_string(text));
	cr_assert_eq(offer(), 0);
}

static void expect_masked(
	uint32_t lane, enum bridge_stream stream, size_t settled, const char *text)
{
	struct bridge_frame frame;
	struct bridge_masked m;
	size_t length;

	cr_assert_eq(bridge_take(buffer_slice(&told), &frame, &length), 0);
	cr_assert_eq(frame.type, BRIDGE_MASKED, "%d", frame.type);
	cr_assert_eq(bridge_decode_masked(frame.body, &m), 0);
	cr_expect(frame.lane == lane && m.stream == stream && m.last);
	cr_expect_eq(m.settled, settled, "%u", m.settled);
	cr_expect(slice_equal_string(m.bytes, text), "%.*s", SLICE_PRINT(m.bytes));
	buffer_consume(&told, length);
}

Test(ssh_engine, output_is_masked_and_recorded_so)
{
	struct protocol_event event;

	run_masked(1, false, "cat x", true);
	write_output(1, BRIDGE_STDOUT, "to x.y@exa");
	event = next(EVENT_DATA);
	cr_expect(slice_equal_string(event.data.bytes, "to "));
	expect_masked(1, BRIDGE_STDOUT, 3, "to ");
	write_output(1, BRIDGE_STDERR, "z@example.com\n");
	event = next(EVENT_DATA);
	cr_expect_eq(event.data.kind, DATA_ERROR);
	expect_masked(1, BRIDGE_STDERR, 14, "[masked]\n");
	write_output(1, BRIDGE_STDOUT, "mple.com");
	nothing_happens();
	expect_masked(1, BRIDGE_STDOUT, 0, "");
	write_output(1, BRIDGE_STDOUT, "");
	event = next(EVENT_DATA);
	cr_expect(slice_equal_string(event.data.bytes, "[masked]"));
	expect_masked(1, BRIDGE_STDOUT, 15, "[masked]");
}

/* How many bytes of the output are settled by the answer to what was written last. */
static size_t take_settled(void)
{
	struct bridge_frame frame;
	struct bridge_masked m;
	size_t length;

	cr_assert_eq(bridge_take(buffer_slice(&told), &frame, &length), 0);
	cr_assert(frame.type == BRIDGE_MASKED && bridge_decode_masked(frame.body, &m) == 0);
	buffer_consume(&told, length);
	return m.settled;
}

/* Colours that colour nothing are searched again with each piece behind them. */
Test(ssh_engine, tiny_pieces_do_not_keep_a_worker)
{
	enum { PIECES = 2000 };
	char colours[3 * 8192 + 1] = "";
	size_t settled, searched = 0, all;

	for (size_t i = 0; i < sizeof(colours) - 1; i += 3)
		memcpy(colours + i, "\033[m", 3);
	run_masked(1, false, "cat x", false);
	write_output(1, BRIDGE_STDOUT, "first words of what is kept ");
	write_output(1, BRIDGE_STDOUT, colours);
	all = take_settled();
	all += take_settled();
	for (size_t i = 0; i < PIECES; i++) {
		write_output(1, BRIDGE_STDOUT, "\033[m");
		settled = take_settled();
		searched += settled > 0;
		all += settled;
	}
	write_output(1, BRIDGE_STDOUT, "");
	all += take_settled();
	cr_expect_eq(all, 28 + sizeof(colours) - 1 + 3 * PIECES);
	cr_expect(searched >= 10 && searched < PIECES / 8, "%zu", searched);
}

Test(ssh_engine, what_is_only_masked_is_not_recorded)
{
	run_masked(1, false, "cat x", false);
	write_output(1, BRIDGE_STDOUT, "z@example.com\n");
	nothing_happens();
	expect_masked(1, BRIDGE_STDOUT, 14, "[masked]\n");
}

Test(ssh_engine, files_are_not_masked)
{
	run_masked(1, false, "scp -f /x", false);
	write_output(1, BRIDGE_STDOUT, "z@example.com\n");
	expect_masked(1, BRIDGE_STDOUT, 14, "z@example.com\n");
	write_output(1, BRIDGE_STDERR, "z@example.com\n");
	expect_masked(1, BRIDGE_STDERR, 14, "[masked]\n");
	run_masked(2, false, "scp -f /x; cat y", false);
	write_output(2, BRIDGE_STDOUT, "z@example.com\n");
	expect_masked(2, BRIDGE_STDOUT, 14, "[masked]\n");
}

/* What git's programs and sftp's server say beside the files they carry. */
Test(ssh_engine, what_is_said_beside_files_is_masked)
{
	static const struct {
		enum bridge_kind kind;
		const char *text;
	} rows[] = {{BRIDGE_EXEC, "git-upload-pack '/x'"}, {BRIDGE_EXEC, "git-receive-pack '/x'"},
		{BRIDGE_SUBSYSTEM, "sftp"}};

	for (uint32_t i = 0; i < ARRAY_SIZE(rows); i++) {
		run_masked_kind(i + 1, rows[i].kind, false, rows[i].text, false);
		write_output(i + 1, BRIDGE_STDOUT, "z@example.com\n");
		expect_masked(i + 1, BRIDGE_STDOUT, 14, "z@example.com\n");
		write_output(i + 1, BRIDGE_STDERR, "z@example.com\n");
		expect_masked(i + 1, BRIDGE_STDERR, 14, "[masked]\n");
	}
}

/* A keystroke's echo does not wait until it is clear that it is no address. */
Test(ssh_engine, what_was_typed_is_echoed_at_once)
{
	const uint8_t typed[] = {BRIDGE_STDIN, 'a', 'b'};

	run_masked(1, true, "cat", false);
	next(EVENT_DATA); /* the window */
	bridge_append(&said, BRIDGE_DATA, 1, SLICE_EMPTY, slice_of(typed, sizeof(typed)));
	cr_assert_eq(offer(), 0);
	next(EVENT_DATA);
	expect_told(BRIDGE_DATA, 1, slice_of(typed, sizeof(typed)));
	write_output(1, BRIDGE_STDOUT, "a");
	next(EVENT_DATA);
	expect_masked(1, BRIDGE_STDOUT, 1, "a");
	write_output(1, BRIDGE_STDOUT, "b");
	next(EVENT_DATA);
	expect_masked(1, BRIDGE_STDOUT, 1, "b");
	write_output(1, BRIDGE_STDOUT, "c");
	nothing_happens();
	expect_masked(1, BRIDGE_STDOUT, 0, "");
}

/* --- scripts --- */

static int offer_script(uint32_t lane, bool whole, const char *text)
{
	struct buffer body;
	int r;

	buffer_init(&body, 4096);
	buffer_append_byte(&body, whole);
	buffer_append_string(&body, text);
	bridge_append_request(&said, lane,
		&(struct bridge_request){.kind = BRIDGE_SCRIPT, .text = buffer_slice(&body)});
	r = offer();
	buffer_done(&body);
	return r;
}

static void let_through(uint32_t lane, enum bridge_kind kind, const char *text)
{
	request(lane, kind, false, text);
	next(EVENT_ACTION);
	cr_assert_eq(protocol_ssh.release(e, lane, 1), 0);
	buffer_clear(&told);
}

static struct protocol_binding bound(uint32_t lane, enum bridge_kind kind, const char *text)
{
	struct protocol_binding binding;

	request(lane, kind, false, text);
	next(EVENT_ACTION);
	cr_assert_eq(protocol_ssh.bind(e, lane, &binding), 0);
	return binding;
}

/* What runs reads it. */
Test(ssh_engine, variables_are_part_of_what_people_decide)
{
	struct protocol_binding b;

	bridge_append(&said, BRIDGE_LOGIN, 0, SLICE_EMPTY, slice_from_string("deploy"));
	cr_assert_eq(offer(), 0);
	next(EVENT_LOGIN);
	b = bound(1, BRIDGE_EXEC, "make");
	cr_expect(slice_equal_string(b.context, "deploy"));
	cr_expect_eq(b.bound[2].length, 0);
	let_through(2, BRIDGE_ENV, "A=1\nenv: B=2\t\\");
	request(2, BRIDGE_ENV, false, "DENIED=1");
	next(EVENT_ACTION);
	protocol_ssh.refuse(e, 2, 1, &denied);
	let_through(2, BRIDGE_ENV, "C=");
	b = bound(2, BRIDGE_EXEC, "make");
	cr_expect(slice_equal_string(b.context, "deploy\nenv: A=1\\x0aenv: B=2\t\\\nenv: C="),
		"%.*s", SLICE_PRINT(b.context));
	cr_expect(slice_equal(b.bound[2], slice_of("A=1\nenv: B=2\t\\\0C=\0", 18)));
	/* Of the one channel alone. */
	b = bound(3, BRIDGE_SHELL, "");
	cr_expect(slice_equal_string(b.context, "deploy"));
}

Test(ssh_engine, more_variables_than_can_be_shown_are_not_decided_about)
{
	char value[LIMIT_SSH_ENVIRONMENT / 2 + 2] = "A=";
	struct protocol_binding b;

	memset(value + 2, '\1', sizeof(value) - 3);
	let_through(1, BRIDGE_ENV, value);
	b = bound(1, BRIDGE_EXEC, "make");
	cr_expect_eq(b.context.length, strlen("\nenv: A=") + 4 * (sizeof(value) - 3));
	let_through(2, BRIDGE_ENV, value);
	let_through(2, BRIDGE_ENV, value);
	let_through(2, BRIDGE_ENV, "B=1");
	request(2, BRIDGE_EXEC, false, "make");
	next(EVENT_ACTION);
	cr_expect_eq(protocol_ssh.bind(e, 2, &b), -E2BIG);
}

/* The same words mean what the shell was told before. */
Test(ssh_engine, a_line_is_decided_about_for_its_session_alone)
{
	struct protocol_binding b;

	memcpy(host.nonce + 16, "\x01\x23\xab\xcd", 4);
	b = bound(1, BRIDGE_LINE, "make");
	cr_expect(slice_equal_string(b.context, "\nonly in session: 0123abcd"));
	b = bound(2, BRIDGE_EXEC, "make");
	cr_expect(slice_equal_string(b.context, ""));
}

Test(ssh_engine, a_script_is_judged_before_it_runs)
{
	struct protocol_binding binding;
	struct protocol_event event;

	host.needs_facts = true;
	request(1, BRIDGE_EXEC, false, "bash -s");
	nothing_happens();
	expect_told(BRIDGE_COLLECT, 1, SLICE_EMPTY);
	cr_assert_eq(offer_script(1, true, "rm -rf /x\n"), 0);
	event = next(EVENT_ACTION);
	cr_expect(slice_equal_string(event.action.action->text, "bash -s\nrm -rf /x\n"));
	cr_expect_eq(event.action.action->pair_count, 2);
	cr_expect_eq(protocol_ssh.bind(e, 1, &binding), 0);
	protocol_ssh.refuse(e, 1, 1, &denied);
	expect_told(BRIDGE_DENY, 1, denied.text);
}

Test(ssh_engine, nobody_decides_about_a_part_of_a_script)
{
	struct protocol_binding binding;

	host.needs_facts = true;
	request(1, BRIDGE_SHELL, false, "");
	expect_told(BRIDGE_COLLECT, 1, SLICE_EMPTY);
	cr_assert_eq(offer_script(1, false, "ls\n"), 0);
	next(EVENT_ACTION);
	cr_expect_eq(protocol_ssh.bind(e, 1, &binding), -E2BIG);
}

Test(ssh_engine, a_script_is_asked_for_where_it_matters)
{
	host.needs_facts = true;
	request(1, BRIDGE_EXEC, false, "sh -c ls");
	next(EVENT_ACTION);
	request(2, BRIDGE_SHELL, true, "");
	next(EVENT_ACTION);
	host.needs_facts = false;
	request(3, BRIDGE_EXEC, false, "sh");
	next(EVENT_ACTION);
}

/* Its end may be beyond what is kept of it; the session goes on. */
Test(ssh_engine, a_line_with_too_many_commands_is_judged_with_its_script)
{
	char line[2 * 300 + 1];
	struct protocol_event event;

	for (size_t i = 0; i < 300; i++)
		memcpy(line + 2 * i, "a;", 3);
	host.needs_facts = true;
	request(1, BRIDGE_EXEC, false, line);
	nothing_happens();
	expect_told(BRIDGE_COLLECT, 1, SLICE_EMPTY);
	cr_assert_eq(offer_script(1, true, "ls\n"), 0);
	event = next(EVENT_ACTION);
	cr_expect(event.action.action->unknown & ACTION_UNKNOWN_TEXT);
	protocol_ssh.refuse(e, 1, 1, &denied);
	expect_told(BRIDGE_DENY, 1, denied.text);
}

Test(ssh_engine, a_script_that_nobody_asked_for_is_a_violation)
{
	cr_expect_eq(offer_script(1, true, "ls\n"), -EBADMSG);
	buffer_clear(&said);
	host.needs_facts = true;
	request(2, BRIDGE_EXEC, false, "sh");
	bridge_append_request(&said, 2, &(struct bridge_request){.kind = BRIDGE_SCRIPT});
	cr_expect_eq(offer(), -EBADMSG);
}

/* What a shell or command on a terminal is told to look at. */
static uint8_t inspected(uint32_t lane, enum bridge_kind kind, const char *text)
{
	struct bridge_frame frame;
	size_t length;
	uint8_t inspect;

	request(lane, kind, true, text);
	next(EVENT_ACTION);
	cr_assert_eq(protocol_ssh.mask(e, lane, NULL, false, NULL), 0);
	cr_assert_eq(protocol_ssh.release(e, lane, 7), 0);
	cr_assert_eq(bridge_take(buffer_slice(&told), &frame, &length), 0);
	cr_assert(frame.type == BRIDGE_ALLOW && frame.body.length == 1);
	inspect = frame.body.data[0];
	buffer_consume(&told, length);
	next(EVENT_DATA);
	return inspect;
}

Test(ssh_engine, lines_are_asked_for_where_a_rule_names_them)
{
	cr_expect_not(inspected(1, BRIDGE_SHELL, "") & BRIDGE_INSPECT_LINES);
	host.judges_lines = true;
	cr_expect(inspected(2, BRIDGE_SHELL, "") & BRIDGE_INSPECT_LINES);
	cr_expect(inspected(3, BRIDGE_EXEC, "bash -i") & BRIDGE_INSPECT_LINES);
	cr_expect_not(inspected(4, BRIDGE_EXEC, "top") & BRIDGE_INSPECT_LINES);
	host.judges_lines = false;
}

/* The operation and object of each, known or with "?". */
static void expect_line(uint32_t lane, const char *text, const char *const *wanted)
{
	struct protocol_event event;
	const struct action *a;
	size_t i = 0;

	request(lane, BRIDGE_LINE, true, text);
	event = next(EVENT_ACTION);
	a = event.action.action;
	for (; i < a->pair_count && wanted[i]; i++) {
		bool known = wanted[i][0] != '?';

		cr_expect_eq(a->pairs[i].operation, OPERATION_SSH_LINE);
		cr_expect_eq(a->pairs[i].state, known ? OBJECT_KNOWN : OBJECT_UNKNOWN);
		cr_expect(slice_equal_string(a->pairs[i].object, wanted[i] + !known), "%s: %.*s",
			text, SLICE_PRINT(a->pairs[i].object));
	}
	cr_expect(i == a->pair_count && !wanted[i], "%s", text);
}

Test(ssh_engine, a_line_is_what_its_commands_are)
{
	struct protocol_binding binding;

	expect_line(1, "ls -l", (const char *const[]){"ls -l", NULL});
	expect_line(2, "ls; rm 'x'", (const char *const[]){"ls; rm 'x'", "ls", "rm x", NULL});
	expect_line(3, "echo $x", (const char *const[]){"echo $x", "?echo $x", NULL});
	expect_line(4, "!rm", (const char *const[]){"?!rm", NULL});
	expect_line(5, "^ls^rm", (const char *const[]){"?^ls^rm", NULL});
	expect_line(6, "", (const char *const[]){"?a line that can't be known", NULL});
	/* It goes on in the next. */
	expect_line(7, "ls \\", (const char *const[]){"ls \\", "?ls \\", NULL});
	expect_line(8, "echo \"a", (const char *const[]){"echo \"a", "?echo \"a", NULL});
	cr_expect_eq(protocol_ssh.bind(e, 1, &binding), 0);
	cr_expect_eq(protocol_ssh.bind(e, 6, &binding), -ENOTSUP);
	cr_assert_eq(protocol_ssh.mask(e, 1, &emails, false, NULL), 0);
	cr_assert_eq(protocol_ssh.release(e, 1, 8), 0);
	expect_told(BRIDGE_ALLOW, 1, slice_of((const uint8_t[]){0}, 1));
	cr_assert_eq(protocol_ssh.refuse(e, 6, 9, &denied), 0);
	expect_told(BRIDGE_DENY, 6, denied.text);
}

Test(ssh_engine, what_opens_the_agents_side_is_refused_whatever_a_rule_says)
{
	static const enum bridge_kind kinds[] = {BRIDGE_AGENT_FORWARD, BRIDGE_X11};
	struct protocol_refusal refusal;

	for (uint32_t i = 0; i < 2; i++) {
		request(i + 1, kinds[i], false, "db:5432");
		next(EVENT_ACTION);
		cr_expect_eq(protocol_ssh.mask(e, i + 1, NULL, false, &refusal), -EPERM);
		cr_expect_eq(refusal.reason, REASON_NOT_BUILT);
	}
}

static void open_forward(void)
{
	const uint8_t both = BRIDGE_INSPECT_INPUT | BRIDGE_INSPECT_OUTPUT;

	request(1, BRIDGE_FORWARD, false, "db:5432");
	next(EVENT_ACTION);
	cr_expect_eq(protocol_ssh.mask(e, 1, NULL, false, NULL), 0);
	protocol_ssh.release(e, 1, 9);
	expect_told(BRIDGE_ALLOW, 1, slice_of(&both, 1));
}

static void carry(enum bridge_stream stream, const char *bytes)
{
	uint8_t kind = (uint8_t)stream;

	bridge_append(&said, BRIDGE_DATA, 1, slice_of(&kind, 1), slice_from_string(bytes));
	cr_assert_eq(offer(), 0);
}

static void expect_carried(const char *input, const char *output)
{
	char body[200];
	uint8_t unread = 0;

	snprintf(body, sizeof(body), "%c%s", BRIDGE_STDIN, input);
	expect_told(BRIDGE_DATA, 1, slice_of(body, 1 + strlen(input)));
	snprintf(body, sizeof(body), "%c%s", BRIDGE_STDOUT, output);
	expect_told(BRIDGE_DATA, 1, slice_of(body, 1 + strlen(output)));
	expect_told(BRIDGE_ALLOW, 1, slice_of(&unread, 1));
}

Test(ssh_engine, a_forward_passes_when_it_is_nothing_known)
{
	open_forward();
	carry(BRIDGE_STDIN, "P");
	cr_expect_eq(buffer_length(&told), 0, "it may be anything yet");
	carry(BRIDGE_STDIN, "ING\r\n\r\n");
	expect_carried("PING\r\n\r\n", "");
	carry(BRIDGE_STDOUT, "PONG");
	expect_told(BRIDGE_DATA, 1, slice_from_string("\1PONG"));
	nothing_happens();
}

Test(ssh_engine, a_forward_that_ends_before_it_is_known_passes)
{
	open_forward();
	carry(BRIDGE_STDIN, "GE");
	carry(BRIDGE_STDIN, "");
	expect_carried("GE", "");
}

static const struct {
	enum bridge_stream stream;
	const char *bytes, *name;
} spoken[] = {
	{BRIDGE_STDIN, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "in a forward: http"},
	{BRIDGE_STDIN, "SSH-2.0-x\r\n", "in a forward: ssh"},
	{BRIDGE_STDOUT, "SSH-2.0-x\r\n", "in a forward: ssh"},
	/* What servers take for it. */
	{BRIDGE_STDIN, "\r\n\nGET / HTTP/1.1\r\n", "in a forward: http"},
	{BRIDGE_STDIN, " \tGET\t/ HTTP/1.1\r\n", "in a forward: http"},
	{BRIDGE_STDIN, "PURGE /x HTTP/1.0\r\n", "in a forward: http"},
	{BRIDGE_STDIN, "any  http://a/b http/1.1\n", "in a forward: http"},
	{BRIDGE_STDIN, "\026\003\001\002", "in a forward: tls"},
};

static const char *const unknown[] = {"hello world", "quit\r\n", "\r\nquit\r\n",
	"003egit-upload-pack /a\tb\001host=x", "*1\r\n$4\r\nPING\r\n", "NICK a\r\n", "\0260",
	"GETS /a\n", "<?xml version='1.0'?>"};

Test(ssh_engine, what_only_looks_a_little_like_it_passes)
{
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		open_forward();
		for (const char *c = unknown[i]; *c && buffer_length(&told) == 0; c++)
			carry(BRIDGE_STDIN, (char[]){*c, '\0'});
		cr_expect_neq(buffer_length(&told), 0, "%s", unknown[i]);
		buffer_clear(&told);
		bridge_append_result(&said, 1, &(struct bridge_result){.status = BRIDGE_NO_STATUS});
		bridge_append(&said, BRIDGE_GONE, 1, SLICE_EMPTY, SLICE_EMPTY);
		cr_assert_eq(offer(), 0);
		next(EVENT_RESULT);
		cr_assert_eq(offer(), 0);
	}
}

Test(ssh_engine, an_old_startup_of_postgres_is_one)
{
	static const uint8_t body[] = {BRIDGE_STDIN, 0, 0, 1, 0x28, 0, 2, 0, 0};

	open_forward();
	bridge_append(&said, BRIDGE_DATA, 1, SLICE_EMPTY, slice_of(body, sizeof(body)));
	cr_assert_eq(offer(), 0);
	next(EVENT_NOTE);
	expect_told(BRIDGE_DENY, 1, slice_from_string("in a forward: postgres"));
}

Test(ssh_engine, what_is_spoken_elsewhere_is_no_tunnel)
{
	for (size_t i = 0; i < ARRAY_SIZE(spoken); i++) {
		struct protocol_event event;

		open_forward();
		carry(spoken[i].stream, spoken[i].bytes);
		event = next(EVENT_NOTE);
		cr_expect_eq(event.note.reason, REASON_WRONG_PROTOCOL);
		cr_expect(slice_equal_string(event.note.text, spoken[i].name), "%.*s",
			SLICE_PRINT(event.note.text));
		expect_told(BRIDGE_DENY, 1, slice_from_string(spoken[i].name));
		/* Of the same turn: sent before the process read the refusal. */
		carry(BRIDGE_STDIN, "x");
		carry(BRIDGE_STDOUT, "y");
		carry(BRIDGE_STDIN, "");
		cr_expect_eq(buffer_length(&told), 0, "%s", spoken[i].name);
		bridge_append_result(&said, 1, &(struct bridge_result){.status = BRIDGE_NO_STATUS});
		bridge_append(&said, BRIDGE_GONE, 1, SLICE_EMPTY, SLICE_EMPTY);
		cr_assert_eq(offer(), 0);
		next(EVENT_RESULT);
		cr_assert_eq(offer(), 0);
	}
}

Test(ssh_engine, what_a_host_listens_on_is_open_until_it_does_not)
{
	const uint8_t nothing = 0;
	struct protocol_event event;

	request(1, BRIDGE_REMOTE_FORWARD, false, "*:8080");
	event = next(EVENT_ACTION);
	cr_assert_eq(event.action.action->pair_count, 1);
	cr_expect_eq(event.action.action->pairs[0].operation, OPERATION_SSH_REMOTE_FORWARD);
	cr_expect(slice_equal_string(event.action.action->pairs[0].object, "*:8080"));
	cr_expect_eq(protocol_ssh.mask(e, 1, NULL, true, NULL), 0);
	protocol_ssh.release(e, 1, 7);
	expect_told(BRIDGE_ALLOW, 1, slice_of(&nothing, 1));
	cr_expect(protocol_ssh.is_busy(e));
	/* It carries nothing itself. */
	bridge_append(&said, BRIDGE_DATA, 1, slice_of(&nothing, 1), slice_from_string("x"));
	cr_expect_eq(offer(), -EBADMSG);
	buffer_clear(&said);
	bridge_append_result(&said, 1, &(struct bridge_result){.status = BRIDGE_NO_STATUS});
	cr_assert_eq(offer(), 0);
	event = next(EVENT_RESULT);
	cr_expect_eq(event.result.action, 7);
	cr_expect(slice_equal_string(event.result.tag, "closed"));
}

static void open_forwarded(void)
{
	const uint8_t both = BRIDGE_INSPECT_INPUT | BRIDGE_INSPECT_OUTPUT;

	request(1, BRIDGE_FORWARDED, false, "localhost:80 from [::1]:4242");
	next(EVENT_ACTION);
	cr_expect_eq(protocol_ssh.mask(e, 1, NULL, false, NULL), 0);
	protocol_ssh.release(e, 1, 9);
	expect_told(BRIDGE_ALLOW, 1, slice_of(&both, 1));
}

static void close_forwarded(void)
{
	bridge_append_result(&said, 1, &(struct bridge_result){.status = BRIDGE_NO_STATUS});
	bridge_append(&said, BRIDGE_GONE, 1, SLICE_EMPTY, SLICE_EMPTY);
	cr_assert_eq(offer(), 0);
	next(EVENT_RESULT);
	cr_assert_eq(offer(), 0);
}

Test(ssh_engine, a_connection_that_comes_is_known_by_where_and_by_whom)
{
	static const char *const none[] = {"localhost:80", "localhost:80 from ",
		"localhost:80 from 1", " from a:1", "localhost:80 from :1",
		"localhost:80 from []:1"};
	const struct action *a;
	struct protocol_event event;

	request(1, BRIDGE_FORWARDED, false, "localhost:80 from [fd00::1]:4242");
	event = next(EVENT_ACTION);
	a = event.action.action;
	cr_assert_eq(a->pair_count, 2);
	for (size_t i = 0; i < 2; i++) {
		cr_expect_eq(a->pairs[i].operation, OPERATION_SSH_REMOTE_CONNECTION);
		cr_expect_eq(a->pairs[i].state, OBJECT_KNOWN);
	}
	cr_expect(slice_equal_string(a->pairs[0].object, "localhost:80"));
	cr_expect(slice_equal_string(a->pairs[1].object, "fd00::1"));
	for (uint32_t i = 0; i < ARRAY_SIZE(none); i++) {
		const struct bridge_request r = {
			.kind = BRIDGE_FORWARDED, .text = slice_from_string(none[i])};

		bridge_append_request(&said, 2 + i, &r);
		cr_expect_eq(offer(), -EBADMSG, "%s", none[i]);
		buffer_clear(&said);
	}
}

static const struct {
	const char *bytes, *note; /* NULL: nothing is known of it */
} asked_of_the_agent[] = {
	{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "in a remote forward: http"},
	{"\026\003\001\002", "in a remote forward: tls"},
	{"hello world", NULL},
	{"P", NULL},
};

Test(ssh_engine, what_is_asked_of_the_agent_passes)
{
	for (size_t i = 0; i < ARRAY_SIZE(asked_of_the_agent); i++) {
		struct protocol_event event;

		open_forwarded();
		carry(BRIDGE_STDOUT, asked_of_the_agent[i].bytes);
		expect_carried("", asked_of_the_agent[i].bytes);
		if (asked_of_the_agent[i].note) {
			event = next(EVENT_NOTE);
			cr_expect_eq(event.note.reason, REASON_NONE);
			cr_expect(slice_equal_string(event.note.text, asked_of_the_agent[i].note));
		}
		nothing_happens();
		carry(BRIDGE_STDIN, "HTTP/1.1 200 OK\r\n");
		expect_told(BRIDGE_DATA, 1, slice_of("\0HTTP/1.1 200 OK\r\n", 18));
		close_forwarded();
	}
}

static char carried_to[64];
static int carry_result;

static int carry_it(struct protocol_host *h, uint32_t lane, struct slice place)
{
	(void)h;
	cr_expect_eq(lane, 1);
	snprintf(carried_to, sizeof(carried_to), "%.*s", SLICE_PRINT(place));
	return carry_result;
}

/* Nobody knows whom it asks; of SSH, nobody knows who asks. */
Test(ssh_engine, an_agent_asks_nothing_through_what_comes_to_it)
{
	carried_to[0] = '\0';
	host.carry = carry_it;
	for (size_t i = 0; i < ARRAY_SIZE(spoken); i++) {
		char text[64];
		struct protocol_event event;

		snprintf(text, sizeof(text), "in a remote %s", spoken[i].name + strlen("in a "));
		open_forwarded();
		carry(spoken[i].stream, spoken[i].bytes);
		event = next(EVENT_NOTE);
		cr_expect_eq(event.note.reason, REASON_WRONG_PROTOCOL);
		cr_expect(slice_equal_string(event.note.text, text), "%.*s",
			SLICE_PRINT(event.note.text));
		expect_told(BRIDGE_DENY, 1, slice_from_string(text));
		carry(BRIDGE_STDOUT, "y");
		cr_expect_eq(buffer_length(&told), 0);
		close_forwarded();
	}
	cr_expect_str_empty(carried_to);
}

/* The process is told before it gets back what the worker kept, so that none of it goes elsewhere.
 */
Test(ssh_engine, a_forward_can_become_a_connection_of_its_own)
{
	host.carry = carry_it;
	open_forward();
	carry(BRIDGE_STDIN, "SS");
	cr_expect_eq(buffer_length(&told), 0);
	carry(BRIDGE_STDIN, "H-2.0-x\r\n");
	cr_expect_str_eq(carried_to, "db:5432");
	expect_told(BRIDGE_CARRY, 1, SLICE_EMPTY);
	expect_told(BRIDGE_DATA, 1, slice_of("\0SSH-2.0-x\r\n", 12));
	expect_told(BRIDGE_DATA, 1, slice_of("\1", 1));
	/* Sent before the process knew it. */
	carry(BRIDGE_STDIN, "y");
	expect_told(BRIDGE_DATA, 1, slice_of("\0y", 2));
	nothing_happens();
}

Test(ssh_engine, where_nothing_would_judge_it_a_forward_is_cut)
{
	static const int results[] = {-ENOENT, -ENOTCONN, -EAGAIN};

	host.carry = carry_it;
	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		carry_result = results[i];
		open_forward();
		carry(BRIDGE_STDIN, "SSH-2.0-x\r\n");
		next(EVENT_NOTE);
		expect_told(BRIDGE_DENY, 1, slice_from_string("in a forward: ssh"));
		carry(BRIDGE_STDIN, "y");
		cr_expect_eq(buffer_length(&told), 0);
		bridge_append_result(&said, 1, &(struct bridge_result){.status = BRIDGE_NO_STATUS});
		bridge_append(&said, BRIDGE_GONE, 1, SLICE_EMPTY, SLICE_EMPTY);
		cr_assert_eq(offer(), 0);
		next(EVENT_RESULT);
		cr_assert_eq(offer(), 0);
	}
}

Test(ssh_engine, a_lane_that_waits_keeps_no_other)
{
	struct protocol_event event;

	request(1, BRIDGE_EXEC, false, "first");
	request(2, BRIDGE_EXEC, false, "second");
	event = next(EVENT_ACTION);
	cr_expect_eq(event.action.lane, 1);
	event = next(EVENT_ACTION);
	cr_expect_eq(event.action.lane, 2);
	nothing_happens();
	cr_expect(protocol_ssh.judge_again(e, 1, true));
	cr_expect_not(protocol_ssh.judge_again(e, 1, true));
	event = next(EVENT_ACTION);
	cr_expect_eq(event.action.lane, 1);
	protocol_ssh.refuse(e, 2, 1, &denied);
	protocol_ssh.refuse(e, 1, 2, &denied);
	nothing_happens();
}

static void offer_deed(uint32_t lane, enum bridge_deed_kind kind, const char *object)
{
	const struct bridge_deed deed = {kind, true, slice_from_string(object)};
	struct buffer body;

	buffer_init(&body, 1000);
	bridge_append_deeds(&body, &deed, 1, slice_from_string("text"));
	cr_assert_eq(offer_deeds(lane, buffer_slice(&body)), 0);
	buffer_done(&body);
}

Test(ssh_engine, what_a_path_means_is_found_again)
{
	struct protocol_event event;

	offer_deed(4, BRIDGE_DEED_REMOVE, "/a");
	next(EVENT_ACTION);
	cr_expect(protocol_ssh.judge_again(e, 4, true));
	expect_told(BRIDGE_AGAIN, 4, SLICE_EMPTY);
	nothing_happens();
	cr_expect_not(protocol_ssh.judge_again(e, 4, true), "it is on its way");
	offer_deed(4, BRIDGE_DEED_REMOVE, "/b");
	event = next(EVENT_ACTION);
	cr_expect(slice_equal_string(event.action.action->pairs[0].object, "/b"));
	cr_expect(protocol_ssh.judge_again(e, 4, false));
	cr_expect_eq(buffer_length(&told), 0, "only for who decided");
	next(EVENT_ACTION);
	protocol_ssh.release(e, 4, 1);
}

Test(ssh_engine, a_ref_means_what_it_says)
{
	offer_deed(4, BRIDGE_DEED_GIT_PUSH, "refs/heads/main");
	next(EVENT_ACTION);
	cr_expect(protocol_ssh.judge_again(e, 4, true));
	next(EVENT_ACTION);
	cr_expect_eq(buffer_length(&told), 0);
	protocol_ssh.refuse(e, 4, 1, &denied);
}

Test(ssh_engine, nobody_waits_for_what_is_found_when_its_channel_is_gone)
{
	offer_deed(4, BRIDGE_DEED_REMOVE, "/a");
	next(EVENT_ACTION);
	cr_expect(protocol_ssh.judge_again(e, 4, true));
	bridge_append(&said, BRIDGE_GONE, 4, SLICE_EMPTY, SLICE_EMPTY);
	cr_assert_eq(offer(), 0);
	next(EVENT_DROPPED);
}

Test(ssh_engine, only_deeds_are_asked_for_again)
{
	offer_deed(4, BRIDGE_DEED_REMOVE, "/a");
	next(EVENT_ACTION);
	cr_expect(protocol_ssh.judge_again(e, 4, true));
	bridge_append_request(&said, 4,
		&(struct bridge_request){.kind = BRIDGE_EXEC, .text = slice_from_string("rm")});
	cr_expect_eq(offer(), -EBADMSG);
}

Test(ssh_engine, who_is_gone_is_not_waited_for)
{
	request(1, BRIDGE_EXEC, false, "first");
	next(EVENT_ACTION);
	bridge_append(&said, BRIDGE_GONE, 1, SLICE_EMPTY, SLICE_EMPTY);
	cr_assert_eq(offer(), 0);
	next(EVENT_DROPPED);
	cr_expect_not(protocol_ssh.judge_again(e, 1, false));
	protocol_ssh.release(e, 1, 1);
	cr_expect_eq(buffer_length(&told), 0);
}

Test(ssh_engine, two_requests_of_a_lane_at_once_are_a_violation)
{
	request(1, BRIDGE_EXEC, false, "first");
	next(EVENT_ACTION);
	bridge_append_request(&said, 1,
		&(struct bridge_request){.kind = BRIDGE_EXEC, .text = slice_from_string("second")});
	cr_expect_eq(offer(), -EBADMSG);
}

Test(ssh_engine, lanes_are_bounded)
{
	for (uint32_t i = 1; i <= LIMIT_SSH_LANES; i++)
		request(i, BRIDGE_EXEC, false, "x");
	bridge_append_request(&said, LIMIT_SSH_LANES + 1,
		&(struct bridge_request){.kind = BRIDGE_EXEC, .text = slice_from_string("x")});
	cr_expect_eq(offer(), -EBADMSG);
}

Test(ssh_engine, frames_come_in_pieces)
{
	struct buffer all;
	size_t taken = 0;

	buffer_init(&all, 1024);
	bridge_append_request(&all, 1,
		&(struct bridge_request){.kind = BRIDGE_EXEC, .text = slice_from_string("ls")});
	for (size_t i = 0; i < buffer_length(&all); i++) {
		struct slice part = slice_head(buffer_slice(&all), i);

		cr_assert_eq(protocol_ssh.input(e, SIDE_SERVER, part, &taken), 0);
		cr_assert_eq(taken, 0);
		cr_expect_leq(protocol_ssh.needs(e, SIDE_SERVER, part), buffer_length(&all) - i);
	}
	cr_assert_eq(protocol_ssh.input(e, SIDE_SERVER, buffer_slice(&all), &taken), 0);
	cr_expect_eq(taken, buffer_length(&all));
	next(EVENT_ACTION);
	buffer_done(&all);
}

Test(ssh_engine, the_end_of_the_process_is_the_end)
{
	protocol_ssh.end(e, SIDE_SERVER);
	cr_expect_eq(next(EVENT_CLOSE).note.reason, REASON_NONE);
	cr_expect_not(protocol_ssh.wants(e, SIDE_SERVER));
}

Test(ssh_engine, an_abort_is_told)
{
	protocol_ssh.abort(e, &denied);
	expect_told(BRIDGE_REFUSED, 0, denied.text);
	cr_expect_eq(next(EVENT_CLOSE).note.reason, REASON_NOT_COVERED);
}

Test(ssh_engine, either_side_may_speak_first)
{
	struct slice hello = slice_from_string("SSH-2.0-x"), part = slice_head(hello, 2);

	cr_expect_eq(protocol_ssh.detect(hello, SLICE_EMPTY), DETECTION_YES);
	cr_expect_eq(protocol_ssh.detect(SLICE_EMPTY, hello), DETECTION_YES);
	cr_expect_eq(protocol_ssh.detect(part, SLICE_EMPTY), DETECTION_MORE);
	cr_expect_eq(protocol_ssh.detect(SLICE_EMPTY, part), DETECTION_MORE);
	cr_expect_eq(protocol_ssh.detect(slice_from_string("GET /"), SLICE_EMPTY), DETECTION_NO);
	cr_expect_eq(protocol_ssh.detect(SLICE_EMPTY, SLICE_EMPTY), DETECTION_NO);
}

Test(ssh_engine, a_host_that_is_gone_is_the_reason)
{
	bridge_append(&said, BRIDGE_HOST_GONE, 0, SLICE_EMPTY, SLICE_EMPTY);
	cr_assert_eq(offer(), 0);
	cr_expect_eq(next(EVENT_CLOSE).note.reason, REASON_UPSTREAM_CLOSED);
	cr_expect(!protocol_ssh.wants(e, SIDE_SERVER));
}

Test(ssh_engine, a_host_that_is_gone_is_no_lane_and_has_no_words)
{
	bridge_append(&said, BRIDGE_HOST_GONE, 1, SLICE_EMPTY, SLICE_EMPTY);
	cr_expect_eq(offer(), -EBADMSG);
	buffer_clear(&said);
	bridge_append(&said, BRIDGE_HOST_GONE, 0, SLICE_EMPTY, slice_from_string("x"));
	cr_expect_eq(offer(), -EBADMSG);
}

Test(ssh_engine, another_connection_is_had_once_and_before_the_login)
{
	bridge_append(&said, BRIDGE_CONNECT, 0, SLICE_EMPTY, SLICE_EMPTY);
	cr_assert_eq(offer(), 0);
	next(EVENT_CONNECT);
	nothing_happens();
	bridge_append(&said, BRIDGE_CONNECT, 0, SLICE_EMPTY, SLICE_EMPTY);
	cr_expect_eq(offer(), -EBADMSG);
}

Test(ssh_engine, another_connection_is_not_had_later)
{
	bridge_append(&said, BRIDGE_LOGIN, 0, SLICE_EMPTY, slice_from_string("root"));
	cr_assert_eq(offer(), 0);
	next(EVENT_LOGIN);
	bridge_append(&said, BRIDGE_CONNECT, 0, SLICE_EMPTY, SLICE_EMPTY);
	cr_expect_eq(offer(), -EBADMSG);
}

Test(ssh_engine, another_connection_is_the_session_s)
{
	bridge_append(&said, BRIDGE_CONNECT, 1, SLICE_EMPTY, SLICE_EMPTY);
	cr_expect_eq(offer(), -EBADMSG);
}
