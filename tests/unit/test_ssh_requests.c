/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent asks of a channel, with both libraries' ends played here.
 */
#include <criterion/criterion.h>

#include "ssh/relay.h"

static struct relay relay;
static struct lane *lane;
static char host, agent; /* ends of the channel, by their addresses */
static int terminals; /* that the host has to give */

/* --- the library --- */

/* Messages are their subtypes. */
static const int a_terminal = SSH_CHANNEL_REQUEST_PTY, a_command = SSH_CHANNEL_REQUEST_EXEC;

int ssh_message_subtype(ssh_message message)
{
	return *(const int *)(const void *)message;
}

int ssh_message_channel_request_pty_width(ssh_message message)
{
	(void)message;
	return 80;
}

int ssh_message_channel_request_pty_height(ssh_message message)
{
	(void)message;
	return 24;
}

const char *ssh_message_channel_request_pty_term(ssh_message message)
{
	(void)message;
	return "xterm";
}

const char *ssh_message_channel_request_command(ssh_message message)
{
	(void)message;
	return "sh";
}

int ssh_channel_request_pty_size(ssh_channel channel, const char *kind, int columns, int rows)
{
	(void)channel;
	(void)kind;
	(void)columns;
	(void)rows;
	return terminals-- > 0 ? SSH_OK : SSH_ERROR;
}

int ssh_message_channel_request_reply_success(ssh_message message)
{
	(void)message;
	return SSH_OK;
}

int ssh_message_reply_default(ssh_message message)
{
	(void)message;
	return SSH_OK;
}

void ssh_message_free(ssh_message message)
{
	(void)message;
}

/* --- */

static void setup(void)
{
	link_init(&relay.link, -1);
	lane = memory_new(sizeof(*lane));
	*lane = (struct lane){.relay = &relay,
		.agent = (ssh_channel)(void *)&agent,
		.server = (ssh_channel)(void *)&host,
		.step = LANE_IDLE};
}

static void teardown(void)
{
	requests_drop(lane);
	free(lane);
	buffer_done(&relay.link.out);
}

TestSuite(ssh_requests, .init = setup, .fini = teardown);

static void request(const int *what)
{
	requests_add(lane, (ssh_message)(uintptr_t)what);
	while (requests_turn(lane))
		;
}

/* The agent asks for a terminal, or more, and for a command. */
static void expect_asked_with_terminal(unsigned requests, bool expected)
{
	struct bridge_request asked;
	struct bridge_frame frame;
	size_t length;

	for (unsigned i = 0; i < requests; i++)
		request(&a_terminal);
	request(&a_command);
	cr_assert_eq(bridge_take(buffer_slice(&relay.link.out), &frame, &length), 0);
	cr_assert_eq(frame.type, BRIDGE_REQUEST);
	cr_assert_eq(bridge_decode_request(frame.body, &asked), 0);
	cr_expect_eq(asked.terminal, expected);
	cr_expect_eq(lane->terminal, expected);
}

Test(ssh_requests, a_terminal_is_one_where_the_host_gives_it)
{
	terminals = 1;
	expect_asked_with_terminal(1, true);
}

/* What it runs then reads a script, and what is typed is not shown. */
Test(ssh_requests, a_terminal_that_the_host_refuses_is_none)
{
	terminals = 0;
	expect_asked_with_terminal(1, false);
}

Test(ssh_requests, a_second_terminal_that_is_refused_leaves_the_first)
{
	terminals = 1;
	expect_asked_with_terminal(2, true);
}

Test(ssh_requests, what_waits_is_counted_for_the_session)
{
	terminals = 1;
	lane->step = LANE_ASKING;
	for (size_t i = 0; i < LIMIT_SSH_REQUESTS + 3; i++)
		request(&a_terminal);
	cr_expect_eq(relay.request_count, LIMIT_SSH_REQUESTS);
	lane->step = LANE_IDLE;
	request(&a_command);
	cr_expect_eq(relay.request_count, 0);
	request(&a_command);
	cr_expect_eq(relay.request_count, 1);
	requests_drop(lane);
	cr_expect_eq(relay.request_count, 0);
}
