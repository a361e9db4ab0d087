/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a channel, between a host and an agent whose library is played here.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "ssh/relay.h"

static const char broke[] = "wayleave: the connection to the host broke\n";

static struct relay relay;
static struct lane *lane;
/* Ends of channels. */
static struct end {
	bool closed, ended; /* by who sends: the channel, or its input */
	size_t unread;
	ssh_channel_callbacks callbacks;
	bool freed, freed_with_lane; /* the second: it would still be called back */
} host, agent, gone;
static char sessions[2], message;
static int message_kind; /* of the message */
static int outcome; /* of what the host was asked for last */
static bool connected; /* the host's session */
static bool host_told_end;
static size_t written; /* to the host */
static uint32_t window;
static int status; /* that the agent was given; -1: none */
static char signalled[64]; /* the same, of a signal */
static char said[256];
/* What was asked, once: in whose session, of which channel. */
static ssh_session asking;
static ssh_channel asked;
static size_t answers, successes, messages_freed;

/* --- the library --- */

static struct end *end_of(ssh_channel channel)
{
	return (struct end *)(void *)channel;
}

/* It keeps a channel that was freed until its other end is closed. */
int ssh_set_channel_callbacks(ssh_channel channel, ssh_channel_callbacks callbacks)
{
	end_of(channel)->callbacks = callbacks;
	return SSH_OK;
}

int ssh_remove_channel_callbacks(ssh_channel channel, ssh_channel_callbacks callbacks)
{
	if (end_of(channel)->callbacks == callbacks)
		end_of(channel)->callbacks = NULL;
	return SSH_OK;
}

int ssh_is_connected(ssh_session session)
{
	return (void *)session != &sessions[1] || connected;
}

int ssh_get_status(ssh_session session)
{
	(void)session;
	return 0;
}

int ssh_channel_open_session(ssh_channel channel)
{
	(void)channel;
	return outcome;
}

int ssh_channel_request_exec(ssh_channel channel, const char *command)
{
	(void)channel;
	(void)command;
	return outcome;
}

const char *ssh_message_channel_request_command(ssh_message m)
{
	(void)m;
	return "true";
}

int ssh_message_channel_request_reply_success(ssh_message m)
{
	(void)m;
	successes++;
	return SSH_OK;
}

ssh_channel ssh_message_channel_request_open_reply_accept(ssh_message m)
{
	(void)m;
	return (ssh_channel)(void *)&agent;
}

ssh_message ssh_message_get(ssh_session session)
{
	if (session != asking)
		return NULL;
	asking = NULL;
	return (ssh_message)(void *)&message;
}

int ssh_message_type(ssh_message m)
{
	(void)m;
	return SSH_REQUEST_CHANNEL;
}

int ssh_message_subtype(ssh_message m)
{
	(void)m;
	return message_kind;
}

ssh_channel ssh_message_channel_request_channel(ssh_message m)
{
	(void)m;
	return asked;
}

int ssh_message_reply_default(ssh_message m)
{
	(void)m;
	answers++;
	return SSH_OK;
}

void ssh_message_free(ssh_message m)
{
	(void)m;
	messages_freed++;
}

int ssh_channel_is_closed(ssh_channel channel)
{
	return end_of(channel)->closed && end_of(channel)->unread == 0;
}

int ssh_channel_is_open(ssh_channel channel)
{
	return !ssh_channel_is_closed(channel);
}

int ssh_channel_is_eof(ssh_channel channel)
{
	return end_of(channel)->ended;
}

int ssh_channel_poll(ssh_channel channel, int errors)
{
	return errors ? 0 : (int)end_of(channel)->unread;
}

int ssh_channel_read_nonblocking(ssh_channel channel, void *to, uint32_t most, int errors)
{
	struct end *end = end_of(channel);
	size_t n = errors ? 0 : end->unread;

	n = n < most ? n : most;
	memset(to, 'x', n);
	end->unread -= n;
	return n ? (int)n : SSH_ERROR;
}

uint32_t ssh_channel_window_size(ssh_channel channel)
{
	(void)channel;
	return window;
}

int ssh_channel_write(ssh_channel channel, const void *bytes, uint32_t length)
{
	(void)bytes;
	written += end_of(channel) == &host ? length : 0;
	return (int)length;
}

int ssh_channel_write_stderr(ssh_channel channel, const void *bytes, uint32_t length)
{
	(void)channel;
	memcpy(said, bytes, length);
	return (int)length;
}

int ssh_channel_request_send_exit_status(ssh_channel channel, int of)
{
	(void)channel;
	status = of;
	return SSH_OK;
}

int ssh_channel_request_send_exit_signal(
	ssh_channel channel, const char *name, int core, const char *why, const char *language)
{
	(void)channel;
	(void)language;
	snprintf(signalled, sizeof(signalled), "%s %d %s", name, core, why);
	return SSH_OK;
}

int ssh_channel_send_eof(ssh_channel channel)
{
	host_told_end |= end_of(channel) == &host;
	return SSH_OK;
}

void ssh_channel_free(ssh_channel channel)
{
	struct end *end = end_of(channel);

	end->freed = true;
	end->freed_with_lane = end->callbacks &&
		(end->callbacks == &lane->agent_callbacks ||
			end->callbacks == &lane->server_callbacks);
}

/* --- */

static void setup(void)
{
	list_init(&relay.lanes);
	list_init(&relay.closing);
	list_init(&relay.listeners);
	host = (struct end){.closed = true};
	agent = (struct end){0};
	connected = true;
	host_told_end = false;
	written = 0;
	window = sizeof(said) - 1;
	message_kind = SSH_CHANNEL_REQUEST_WINDOW_CHANGE;
	outcome = SSH_OK;
	link_init(&relay.link, -1);
	relay.lane_count = 1;
	lane = memory_new(sizeof(*lane));
	*lane = (struct lane){.relay = &relay,
		.agent = (ssh_channel)(void *)&agent,
		.server = (ssh_channel)(void *)&host,
		.step = LANE_IDLE,
		.kind = BRIDGE_EXEC,
		.started = true};
	list_append(&relay.lanes, &lane->link);
	flow_init(&lane->flows[BRIDGE_STDIN], lane->agent, lane->server, BRIDGE_STDIN);
	flow_init(&lane->flows[BRIDGE_STDOUT], lane->server, lane->agent, BRIDGE_STDOUT);
	flow_init(&lane->flows[BRIDGE_STDERR], lane->server, lane->agent, BRIDGE_STDERR);
	status = -1;
	signalled[0] = '\0';
	answers = successes = messages_freed = 0;
}

static void teardown(void)
{
	buffer_done(&relay.link.out);
}

TestSuite(ssh_lane, .init = setup, .fini = teardown);

static void turn_to_the_end(void)
{
	while (relay.lane_count > 0)
		cr_assert(lane_turn(lane));
}

Test(ssh_lane, a_status_follows_all_that_was_said)
{
	host.ended = true;
	turn_to_the_end();
	cr_expect_eq(status, 0);
	cr_expect_str_empty(said);
}

Test(ssh_lane, output_that_was_lost_has_no_status)
{
	host.ended = false;
	turn_to_the_end();
	cr_expect_eq(status, -1);
	cr_expect_str_eq(said, broke);
}

static void tell_status(int of)
{
	const struct ssh_channel_callbacks_struct *c = &lane->server_callbacks;

	c->channel_exit_status_function(NULL, lane->server, of, c->userdata);
}

static void tell_signal(const char *name, const char *why)
{
	const struct ssh_channel_callbacks_struct *c = &lane->server_callbacks;

	c->channel_exit_signal_function(NULL, lane->server, name, 1, why, "en", c->userdata);
}

/* As it was when the library calls back. */
static void begin_with_callbacks(void)
{
	callbacks_listen(lane, SIDE_AGENT);
	callbacks_listen(lane, SIDE_SERVER);
	lane->status = BRIDGE_NO_STATUS;
	host.ended = true;
}

Test(ssh_lane, what_a_signal_ended_is_told_in_full)
{
	begin_with_callbacks();
	tell_signal("SEGV", "it fell over");
	turn_to_the_end();
	cr_expect_str_eq(signalled, "SEGV 1 it fell over");
	cr_expect_eq(status, -1);
}

Test(ssh_lane, a_text_that_nobody_masked_is_not_told)
{
	begin_with_callbacks();
	lane->inspect = BRIDGE_INSPECT_MASK;
	tell_signal("SEGV", "password=swordfish");
	turn_to_the_end();
	cr_expect_str_eq(signalled, "SEGV 1 ");
}

Test(ssh_lane, a_text_that_is_long_is_not_told)
{
	char text[2 * RELAY_MESSAGE_SIZE];

	begin_with_callbacks();
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tell_signal("SEGV", text);
	turn_to_the_end();
	cr_expect_str_eq(signalled, "SEGV 1 ");
}

/* The recording has what the agent was told. */
Test(ssh_lane, the_first_status_counts)
{
	begin_with_callbacks();
	tell_status(3);
	tell_status(0);
	tell_signal("TERM", "");
	cr_expect_eq(lane->status, 3);
	turn_to_the_end();
	cr_expect_eq(status, 3);
	cr_expect_str_empty(signalled);
}

Test(ssh_lane, what_was_refused_has_no_other_status)
{
	begin_with_callbacks();
	lane_fail(lane, slice_from_string("no"));
	tell_status(0);
	turn_to_the_end();
	cr_expect_eq(status, 126);
}

static void close_agent(void)
{
	const struct ssh_channel_callbacks_struct *c = agent.callbacks;

	agent.ended = agent.closed = true;
	c->channel_close_function(NULL, lane->agent, c->userdata);
}

/* A program may end its output, and read on (cat >/dev/null); the agent ends what it sends, and
 * closes the channel. */
Test(ssh_lane, an_agent_that_has_all_of_the_output_is_told_what_came_of_it)
{
	begin_with_callbacks();
	host.closed = false;
	while (lane_turn(lane))
		;
	cr_assert(lane->output_ended && !lane->input_ended);
	agent.unread = 100;
	close_agent();
	while (lane_turn(lane))
		;
	cr_assert_eq(relay.lane_count, 1);
	cr_expect_eq(written, 100);
	cr_expect(host_told_end);
	cr_expect_not(agent.freed);
	cr_expect_eq(status, -1);
	tell_status(9);
	host.closed = true;
	turn_to_the_end();
	cr_expect_eq(status, 9);
}

Test(ssh_lane, an_agent_that_closes_before_is_gone)
{
	begin_with_callbacks();
	host.closed = host.ended = false;
	close_agent();
	turn_to_the_end();
	cr_expect(host.freed);
	cr_expect_eq(status, -1);
}

Test(ssh_lane, what_an_agent_sent_before_it_closed_is_passed_on)
{
	const size_t most = FLOW_PENDING_HIGH + 3 * BRIDGE_DATA_MOST + 1;

	begin_with_callbacks();
	host.closed = host.ended = false;
	agent.unread = most;
	close_agent();
	window = 0;
	while (lane_turn(lane))
		;
	cr_assert_eq(relay.lane_count, 1);
	cr_assert_eq(agent.unread, 0);
	window = sizeof(said) - 1;
	turn_to_the_end();
	cr_expect_eq(written, most);
	cr_expect(host.freed);
}

static void expect_all_of_a_connection(enum bridge_kind kind)
{
	begin_with_callbacks();
	lane->kind = kind;
	host.closed = host.ended = false;
	agent.unread = 1000;
	close_agent();
	window = 0;
	while (lane_turn(lane))
		;
	cr_assert_eq(relay.lane_count, 1);
	/* What the host sends meanwhile would hold up all of its channels. */
	cr_expect_eq(host.callbacks->channel_data_function(
			     NULL, lane->server, NULL, 10, 0, host.callbacks->userdata),
		10);
	window = sizeof(said) - 1;
	turn_to_the_end();
	cr_expect_eq(written, 1000);
	cr_expect(host_told_end);
	cr_expect(host.freed);
}

Test(ssh_lane, of_a_forward_all_that_an_agent_sent_is_passed_on)
{
	expect_all_of_a_connection(BRIDGE_FORWARD);
}

/* A server of the agent's answers, and closes the connection. */
Test(ssh_lane, of_a_remote_forward_all_that_an_agent_sent_is_passed_on)
{
	expect_all_of_a_connection(BRIDGE_FORWARDED);
}

/* Where nobody takes it any more it is not. */
Test(ssh_lane, what_an_agent_sent_is_not_waited_for_when_the_host_has_closed)
{
	begin_with_callbacks();
	host.closed = host.ended = false;
	agent.unread = FLOW_PENDING_HIGH + 3 * BRIDGE_DATA_MOST;
	close_agent();
	window = 0;
	while (lane_turn(lane))
		;
	host.closed = host.ended = true;
	turn_to_the_end();
}

/* --- a host that is gone --- */

static void lose_host(void)
{
	relay.server = (ssh_session)(void *)&sessions[1];
	connected = false;
	outcome = SSH_ERROR;
	lane->started = false;
}

Test(ssh_lane, a_command_that_the_host_was_asked_for_is_refused_with_the_reason)
{
	message_kind = SSH_CHANNEL_REQUEST_EXEC;
	requests_add(lane, (ssh_message)(void *)&message);
	lane->step = LANE_REQUESTING;
	lose_host();
	cr_assert_not(lane_turn(lane));
	cr_assert_eq(answers, 0);
	lane_refuse(lane, slice_from_string(RELAY_HOST_GONE));
	turn_to_the_end();
	cr_expect_eq(successes, 1);
	cr_expect_eq(status, 126);
	cr_expect_str_eq(said, broke);
}

Test(ssh_lane, a_channel_that_the_host_was_asked_for_is_opened_to_tell_the_reason)
{
	lane->agent = NULL;
	lane->kind = 0;
	lane->step = LANE_OPENING;
	lane->open = (ssh_message)(void *)&message;
	host.closed = false;
	lose_host();
	cr_assert_not(lane_turn(lane));
	lane_refuse(lane, slice_from_string(RELAY_HOST_GONE));
	cr_expect(host.freed);
	cr_assert(lane_turn(lane));
	cr_expect_eq(end_of(lane->agent), &agent);
	cr_expect_eq(lane->step, LANE_IDLE);
	lane_free(lane);
}

/* --- what is closed --- */

Test(ssh_lane, nobody_is_called_back_for_what_is_gone)
{
	begin_with_callbacks();
	lane_free(lane);
	cr_expect(host.freed && !host.freed_with_lane);
	cr_expect(agent.freed && !agent.freed_with_lane);
}

Test(ssh_lane, a_channel_is_closed_when_its_other_end_has_closed_it)
{
	static uint8_t bytes[100];
	const struct ssh_channel_callbacks_struct *c;

	begin_with_callbacks();
	agent.unread = 3 * BRIDGE_DATA_MOST + 1;
	lane_free(lane);
	cr_expect_eq(agent.unread, 0);
	/* The host has closed its end before. */
	cr_assert_eq(relay.closing_count, 1);
	c = agent.callbacks;
	cr_expect_eq(c->channel_data_function(NULL, NULL, bytes, 100, 0, c->userdata), 100);
	cr_expect_eq(c->channel_data_function(NULL, NULL, bytes, 90, 1, c->userdata), 90);
	closing_turn(&relay);
	cr_expect_eq(relay.closing_count, 1);
	c->channel_close_function(NULL, NULL, c->userdata);
	/* What comes behind that finds it still there. */
	cr_expect_eq(c->channel_data_function(NULL, NULL, bytes, 100, 0, c->userdata), 100);
	closing_turn(&relay);
	cr_expect_eq(relay.closing_count, 0);
	cr_expect(list_is_empty(&relay.closing));
}

Test(ssh_lane, what_is_left_unread_by_who_closed_is_not_waited_for)
{
	begin_with_callbacks();
	agent.callbacks->channel_close_function(NULL, lane->agent, lane);
	agent.unread = 1;
	lane_free(lane);
	cr_expect_eq(relay.closing_count, 0);
}

Test(ssh_lane, a_session_whose_channels_are_not_closed_opens_no_more)
{
	relay.closing_count = LIMIT_SSH_CLOSING;
	message_kind = SSH_CHANNEL_SESSION;
	lane_open(&relay, (ssh_message)(void *)&message);
	cr_expect_eq(relay.lane_count, 1);
	cr_expect_eq(answers, 1);
	lane_free(lane);
}

/* Whose channel could not be opened at the host. */
Test(ssh_lane, what_ended_before_it_began_is_gone)
{
	lane->agent = lane->server = NULL;
	lane->ended = true;
	lane->started = false;
	cr_expect(lane_turn(lane));
	cr_expect_eq(relay.lane_count, 0);
}

/* An answer is taken from the channel, which the library has freed with its lane. */
Test(ssh_lane, what_is_asked_of_a_channel_that_is_gone_is_not_answered)
{
	static const struct {
		size_t session;
		struct end *channel;
		size_t answers, freed, requests;
	} rows[] = {
		{0, &gone, 0, 1, 0},
		{1, &gone, 0, 1, 0},
		{1, &host, 1, 1, 0},
		{0, &agent, 0, 0, 1},
	};

	relay.agent = (ssh_session)(void *)&sessions[0];
	relay.server = (ssh_session)(void *)&sessions[1];
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		answers = messages_freed = 0;
		asking = (ssh_session)(void *)&sessions[rows[i].session];
		asked = (ssh_channel)(void *)rows[i].channel;
		cr_expect_eq(relay_take_messages(&relay), rows[i].session == 0);
		cr_expect_eq(answers, rows[i].answers, "%zu", i);
		cr_expect_eq(messages_freed, rows[i].freed, "%zu", i);
		cr_expect_eq(lane->request_count, rows[i].requests, "%zu", i);
	}
	lane_free(lane);
	cr_expect_eq(messages_freed, 1);
}
