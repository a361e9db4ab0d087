/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a channel, between a host and an agent whose library is played here.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/memory.h"
#include "ssh/relay.h"

static const char broke[] = "wayleave: the connection to the host broke\n";

static struct relay relay;
static struct lane *lane;
static char host, agent; /* ends of the channel, by their addresses */
static bool ended; /* the host's end of file was read */
static int status; /* that the agent was given; -1: none */
static char said[256];

/* --- the library --- */

int ssh_channel_is_closed(ssh_channel channel)
{
	return (void *)channel == &host;
}

int ssh_channel_is_open(ssh_channel channel)
{
	return !ssh_channel_is_closed(channel);
}

int ssh_channel_is_eof(ssh_channel channel)
{
	return (void *)channel == &host && ended;
}

int ssh_channel_read_nonblocking(ssh_channel channel, void *to, uint32_t most, int errors)
{
	(void)channel;
	(void)to;
	(void)most;
	(void)errors;
	return SSH_ERROR;
}

uint32_t ssh_channel_window_size(ssh_channel channel)
{
	(void)channel;
	return sizeof(said) - 1;
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

int ssh_channel_send_eof(ssh_channel channel)
{
	(void)channel;
	return SSH_OK;
}

int ssh_channel_close(ssh_channel channel)
{
	(void)channel;
	return SSH_OK;
}

void ssh_channel_free(ssh_channel channel)
{
	(void)channel;
}

/* --- */

static void setup(void)
{
	list_init(&relay.lanes);
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
	ended = true;
	turn_to_the_end();
	cr_expect_eq(status, 0);
	cr_expect_str_empty(said);
}

Test(ssh_lane, output_that_was_lost_has_no_status)
{
	ended = false;
	turn_to_the_end();
	cr_expect_eq(status, -1);
	cr_expect_str_eq(said, broke);
}
