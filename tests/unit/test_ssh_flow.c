/* SPDX-License-Identifier: Apache-2.0
 *
 * One direction of a channel, between a host and an agent whose library is played here.
 */
#include <criterion/criterion.h>
#include <unistd.h>

#include "base/clock.h"
#include "protocol/ssh/typing.h"
#include "ssh/relay.h"

#define KEPT 10u /* bytes that the worker keeps, as they may be a part of a value */

/* One end of a channel. */
static struct end {
	size_t readable, at_once;
	bool ended;
	uint32_t window;
	size_t packets; /* that were written, by who takes them of 32 KiB */
} host, agent;

static struct relay relay;
static struct lane lane;
static struct flow flow;

/* --- the library --- */

static struct end *end_of(ssh_channel channel)
{
	return (struct end *)(void *)channel;
}

int ssh_channel_read_nonblocking(ssh_channel channel, void *to, uint32_t most, int errors)
{
	struct end *end = end_of(channel);
	size_t n = end->readable < end->at_once ? end->readable : end->at_once;

	(void)errors;
	n = n < most ? n : most;
	memset(to, 'x', n);
	end->readable -= n;
	return (int)n;
}

int ssh_channel_poll(ssh_channel channel, int errors)
{
	(void)errors;
	return (int)end_of(channel)->readable;
}

int ssh_channel_write(ssh_channel channel, const void *bytes, uint32_t length)
{
	(void)bytes;
	cr_assert_leq(length, end_of(channel)->window);
	end_of(channel)->window -= length;
	end_of(channel)->packets += (length + FLOW_PACKET - 1) / FLOW_PACKET;
	return (int)length;
}

uint32_t ssh_channel_window_size(ssh_channel channel)
{
	return end_of(channel)->window;
}

int ssh_channel_is_open(ssh_channel channel)
{
	(void)channel;
	return 1;
}

int ssh_channel_is_closed(ssh_channel channel)
{
	(void)channel;
	return 0;
}

int ssh_channel_is_eof(ssh_channel channel)
{
	return end_of(channel)->ended && end_of(channel)->readable == 0;
}

/* --- the worker --- */

static void answer(size_t settled)
{
	static const uint8_t masked[FLOW_PENDING_HIGH];
	const struct bridge_masked m = {.stream = BRIDGE_STDOUT,
		.last = true,
		.settled = (uint32_t)settled,
		.bytes = slice_of(masked, settled)};

	cr_assert_eq(flow_on_masked(&flow, &lane, &m), 0);
}

static bool turn(void)
{
	bool moved = flow_turn(&flow, &lane, true);

	flow_ask_for_kept(&flow, &lane);
	return moved;
}

/* Until nothing moves any more, with all but KEPT bytes coming back. */
static void run(void)
{
	while (turn()) {
		while (flow.unanswered)
			answer(flow.unanswered == 1 ? flow.at_worker - KEPT : 0);
		buffer_clear(&relay.link.out);
	}
}

/* Long enough for what is kept. */
static void let_time_pass(void)
{
	cr_assert_neq(flow.due, 0);
	flow.due = 1;
}

static void expect_asked(bool asked)
{
	cr_expect_eq(flow.unanswered, asked);
	cr_expect_eq(buffer_length(&relay.link.out), asked ? BRIDGE_HEAD + 1 : 0);
	cr_expect_eq(flow.due, asked ? 0 : flow.due);
	cr_expect(asked || flow.due > clock_monotonic());
}

static void setup(void)
{
	link_init(&relay.link, -1);
	lane.relay = &relay;
	lane.kind = BRIDGE_EXEC;
	host = agent = (struct end){.at_once = BRIDGE_DATA_MOST};
	flow_init(&flow, (ssh_channel)(void *)&host, (ssh_channel)(void *)&agent, BRIDGE_STDOUT);
	flow.masked = true;
}

static void teardown(void)
{
	flow_done(&flow);
	buffer_done(&relay.link.out);
}

TestSuite(ssh_flow, .init = setup, .fini = teardown);

/* --- lines that are typed --- */

/* The next frame for the worker, if there is one; false: none. */
static bool next_frame(struct bridge_frame *ret)
{
	size_t length;

	if (bridge_take(buffer_slice(&relay.link.out), ret, &length) < 0)
		return false;
	buffer_consume(&relay.link.out, length);
	return true;
}

static void expect_keys(const char *keys)
{
	struct bridge_frame frame;

	cr_assert(next_frame(&frame), "%s", keys);
	cr_expect_eq(frame.type, BRIDGE_DATA);
	cr_expect(slice_equal_string(slice_from(frame.body, 1), keys), "%.*s",
		SLICE_PRINT(frame.body));
}

static void expect_line(const char *line)
{
	struct bridge_request request;
	struct bridge_frame frame;

	cr_assert(next_frame(&frame), "%s", line);
	cr_assert_eq(frame.type, BRIDGE_REQUEST);
	cr_assert_eq(bridge_decode_request(frame.body, &request), 0);
	cr_expect(frame.lane == lane.question && request.kind == BRIDGE_LINE);
	cr_expect(slice_equal_string(request.text, line), "%.*s", SLICE_PRINT(request.text));
}

static void expect_nothing(void)
{
	cr_expect_eq(buffer_length(&relay.link.out), 0);
}

static void turn_typed(void)
{
	while (typed_turn(&lane))
		;
}

/* A shell that takes a line as soon as its prompt stands. */
static void open_shell(void)
{
	lane.flows[BRIDGE_STDIN].from = (ssh_channel)(void *)&agent;
	buffer_init(&lane.flows[BRIDGE_STDERR].pending, 4096);
	typed_begin(&lane);
	typed_show(&lane, slice_from_string("# "));
}

static void type(const char *keys)
{
	typed_take(&lane, slice_from_string(keys));
	do
		turn_typed();
	while (buffer_length(&relay.link.out) == 0 && usleep(1000) == 0);
}

static void decide(enum bridge_type type, const char *text)
{
	struct bridge_frame frame = {
		.type = type, .lane = lane.question, .body = slice_from_string(text)};

	typed_on_frame(&lane, &frame);
	cr_assert(next_frame(&frame) && frame.type == BRIDGE_GONE);
	cr_expect_eq(relay.questions, 0);
	turn_typed();
}

Test(ssh_flow, a_line_is_asked_for_before_enter_passes)
{
	open_shell();
	type("ls -l\r");
	expect_keys("ls -l");
	expect_nothing();
	typed_show(&lane, slice_from_string("ls -"));
	turn_typed();
	expect_nothing();
	cr_expect_neq(typed_due(&lane), 0);
	typed_show(&lane, slice_from_string("l"));
	turn_typed();
	expect_line("ls -l");
	expect_nothing();
	decide(BRIDGE_ALLOW, "");
	expect_keys("\r");
	cr_expect(typed_is_dry(&lane));
	typed_show(&lane, slice_from_string("\r\nsome\r\n# "));
	type("\r");
	expect_keys("\r");
	expect_nothing();
	typed_end(&lane);
}

/* What runs is shown as it ends; until then it may be the one that reads. */
Test(ssh_flow, the_next_line_waits_for_a_prompt)
{
	open_shell();
	type("sleep 1\r");
	expect_keys("sleep 1");
	typed_show(&lane, slice_from_string("sleep 1"));
	turn_typed();
	expect_line("sleep 1");
	decide(BRIDGE_ALLOW, "");
	expect_keys("\r");
	typed_show(&lane, slice_from_string("\r\n"));
	typed_take(&lane, slice_from_string("ls\r"));
	usleep(2000 * LIMIT_SSH_PROMPT_TIME);
	turn_typed();
	expect_nothing();
	typed_show(&lane, slice_from_string("# "));
	type("");
	expect_keys("ls");
	typed_show(&lane, slice_from_string("ls"));
	turn_typed();
	expect_line("ls");
	decide(BRIDGE_ALLOW, "");
	expect_keys("\r");
	/* None comes: whatever reads, it is not known to be a shell. */
	typed_show(&lane, slice_from_string("\r\n"));
	type("ls\r");
	expect_line("");
	expect_nothing();
	decide(BRIDGE_ALLOW, "");
	expect_keys("l");
	expect_keys("s");
	expect_keys("\r");
	/* And from then on it is not waited for. */
	typed_show(&lane, slice_from_string("\r\n"));
	typed_take(&lane, slice_from_string("x"));
	usleep(2000 * LIMIT_SSH_PROMPT_TIME);
	turn_typed();
	expect_line("");
	typed_end(&lane);
}

Test(ssh_flow, a_refused_line_is_taken_back)
{
	open_shell();
	type("rm x\r\r");
	expect_keys("rm x");
	typed_show(&lane, slice_from_string("rm x"));
	turn_typed();
	expect_line("rm x");
	decide(BRIDGE_DENY, "denied: no");
	expect_keys(TYPING_TAKE_BACK);
	cr_expect(slice_equal_string(
		buffer_slice(&lane.flows[BRIDGE_STDERR].pending), "\r\nwayleave: denied: no\n"));
	/* What came behind went with it; and where the shell does not say that it took it back, it
	 * may still stand there. */
	cr_expect(typed_is_dry(&lane));
	type("l");
	expect_line("");
	buffer_done(&lane.flows[BRIDGE_STDERR].pending);
	typed_end(&lane);
	cr_expect_eq(relay.questions, 0);
}

Test(ssh_flow, what_is_not_shown_is_not_told)
{
	open_shell();
	type("hunter22\r");
	expect_keys("hunter22");
	type("");
	expect_line("");
	decide(BRIDGE_ALLOW, "");
	expect_keys("\r");
	typed_end(&lane);
}

/* They may have the shell run what nobody typed, by themselves. */
Test(ssh_flow, other_keys_are_asked_for_before_they_pass)
{
	open_shell();
	type("l\033[A\rx");
	expect_keys("l");
	turn_typed();
	expect_line("");
	expect_nothing();
	decide(BRIDGE_ALLOW, "");
	expect_keys("\033");
	expect_keys("[A");
	expect_keys("\r");
	expect_nothing();
	typed_show(&lane, slice_from_string("\r\n# "));
	type("");
	expect_keys("x");
	type("\033[B");
	expect_line("");
	decide(BRIDGE_DENY, "denied: no");
	expect_keys(TYPING_TAKE_BACK);
	cr_expect(typed_is_dry(&lane));
	buffer_done(&lane.flows[BRIDGE_STDERR].pending);
	typed_end(&lane);
}

/* A shell keeps the line at Ctrl-D, so that the next one would run joined to it. */
Test(ssh_flow, an_end_of_file_ends_no_line)
{
	open_shell();
	type("ls\004");
	expect_keys("ls");
	typed_show(&lane, slice_from_string("ls"));
	turn_typed();
	expect_line("");
	expect_nothing();
	decide(BRIDGE_ALLOW, "");
	expect_keys("\004");
	/* The same line, at whatever ends it, whatever is shown. */
	typed_show(&lane, slice_from_string("\r\n# "));
	type("x\004\r");
	expect_keys("x\004");
	expect_keys("\r");
	expect_nothing();
	typed_show(&lane, slice_from_string("\r\n# "));
	type("\004");
	expect_keys("\004");
	expect_nothing();
	/* What history writes is no empty line. */
	typed_show(&lane, slice_from_string("\r\n# "));
	type("\020\004");
	expect_line("");
	decide(BRIDGE_ALLOW, "");
	expect_keys("\020");
	expect_keys("\004");
	type("x\r");
	expect_keys("x");
	expect_keys("\r");
	expect_nothing();
	typed_end(&lane);
}

/* It would only stop what is asked for. */
Test(ssh_flow, an_interrupt_passes)
{
	open_shell();
	type("sleep 9\003");
	expect_keys("sleep 9");
	expect_keys("\003");
	typed_end(&lane);
}

/* Each read lets the host send more, whatever the library still has; also where the rest of it is
 * looked at later. */
Test(ssh_flow, all_that_there_is_is_fetched_at_once)
{
	host.readable = 8 * FLOW_PENDING_HIGH;
	cr_assert(flow_turn(&flow, &lane, true));
	cr_expect_eq(flow.unanswered, FLOW_UNANSWERED_MOST);
	cr_expect_eq(host.readable, 0);
	host.readable = 1;
	answer(flow.at_worker);
	flow_turn(&flow, &lane, true);
	cr_expect_eq(host.readable, 1);
}

Test(ssh_flow, what_was_fetched_comes_before_the_end)
{
	struct slice some;
	size_t got = 0;

	flow.masked = false;
	host.readable = 3 * BRIDGE_DATA_MOST + 1;
	host.ended = true;
	for (; (some = flow_fetch(&flow)).length; got += some.length) {
		cr_expect_eq(flow_is_over(&flow, flow.from),
			got + some.length == 3 * BRIDGE_DATA_MOST + 1);
		cr_expect_not(got == 0 && flow_is_dry(&flow));
	}
	cr_expect_eq(got, 3 * BRIDGE_DATA_MOST + 1);
	cr_expect(flow_is_dry(&flow));
}

Test(ssh_flow, what_is_cut_off_has_nothing_left)
{
	host.readable = 2 * BRIDGE_DATA_MOST;
	cr_assert_eq(flow_fetch(&flow).length, BRIDGE_DATA_MOST);
	cr_assert_not(flow_is_dry(&flow));
	flow_cut(&flow);
	cr_expect(flow_is_dry(&flow));
	cr_expect_not(flow_turn(&flow, &lane, true));
}

/* Each read lets the host send more, whatever else is still to be read. */
Test(ssh_flow, what_was_begun_is_read_to_its_end)
{
	flow.masked = false;
	host.readable = 8 * FLOW_PENDING_HIGH + 1;
	flow_turn(&flow, &lane, false);
	cr_expect_eq(host.readable, 0);
	host.readable = BRIDGE_DATA_MOST;
	agent.window = 7 * FLOW_PENDING_HIGH;
	flow_turn(&flow, &lane, false);
	cr_expect_eq(host.readable, BRIDGE_DATA_MOST);
	agent.window = 2 * BRIDGE_DATA_MOST;
	flow_turn(&flow, &lane, false);
	cr_expect_eq(host.readable, 0);
}

Test(ssh_flow, what_has_no_end_is_not)
{
	flow.masked = false;
	host.readable = 100 * FLOW_PENDING_HIGH;
	flow_turn(&flow, &lane, false);
	cr_expect_eq(buffer_length(&flow.pending), FLOW_PENDING_HIGH);
	cr_expect_eq(
		buffer_length(&flow.pending) + buffer_length(&flow.fetched), FLOW_FETCHED_MOST);
}

/* The library makes a packet of its own of the ten bytes for which there is no room in one. */
Test(ssh_flow, packets_are_filled)
{
	flow.masked = false;
	host.readable = 16 * BRIDGE_DATA_MOST;
	agent.window = 64 * BRIDGE_DATA_MOST;
	while (flow_turn(&flow, &lane, false))
		;
	cr_expect_eq(agent.window, 48 * BRIDGE_DATA_MOST);
	cr_expect_leq(agent.packets, 16 + 1);
	/* And what is less than one does not wait. */
	host.readable = 1;
	cr_expect(flow_turn(&flow, &lane, false));
	cr_expect_eq(agent.window, 48 * BRIDGE_DATA_MOST - 1);
	/* Nor where the window has no room for one. */
	host.readable = BRIDGE_DATA_MOST;
	agent.window = 100;
	flow_turn(&flow, &lane, false);
	cr_expect_eq(agent.window, 0);
}

Test(ssh_flow, what_has_waited_is_asked_for)
{
	host.readable = 100;
	agent.window = 1000;
	run();
	cr_expect_eq(agent.window, 1000 - 100 + KEPT);
	let_time_pass();
	turn();
	expect_asked(true);
}

/* Else an agent could choose where a value is cut: it is the one that keeps the rest from coming.
 */
Test(ssh_flow, an_agent_that_does_not_read_is_not_told_what_is_kept)
{
	host.readable = FLOW_FETCHED_MOST + 2 * FLOW_PENDING_HIGH;
	run();
	cr_assert_gt(host.readable, 0);
	for (int i = 0; i < 3; i++) {
		let_time_pass();
		turn();
		expect_asked(false);
	}
	/* It reads again, and the host has yet to go on. */
	host.readable = 0;
	buffer_clear(&flow.fetched);
	agent.window = 2 * FLOW_PENDING_HIGH;
	let_time_pass();
	turn();
	cr_expect_eq(buffer_length(&flow.pending), 0);
	expect_asked(false);
	let_time_pass();
	turn();
	expect_asked(true);
}

Test(ssh_flow, tiny_pieces_are_joined_while_the_worker_is_busy)
{
	agent.window = 1000;
	for (size_t i = 0; i < 1000; i++) {
		host.readable++;
		turn();
	}
	cr_expect_eq(flow.unanswered, FLOW_UNANSWERED_MOST);
	cr_expect_eq(flow.at_worker, FLOW_UNANSWERED_MOST);
	answer(1);
	turn();
	cr_expect_eq(flow.unanswered, FLOW_UNANSWERED_MOST);
	cr_expect_eq(flow.at_worker, 1000 - 1);
	cr_expect_eq(agent.window, 1000 - 1);
}
