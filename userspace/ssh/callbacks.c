/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "ssh/relay.h"

static void on_signal(ssh_session session, ssh_channel channel, const char *name, void *context)
{
	struct lane *lane = context;

	(void)session;
	(void)channel;
	if (lane->signal_count < RELAY_SIGNALS_MOST)
		snprintf(lane->signals[lane->signal_count++], RELAY_SIGNAL_SIZE, "%s", name);
}

static void on_exit_status(ssh_session session, ssh_channel channel, int status, void *context)
{
	struct lane *lane = context;

	(void)session;
	(void)channel;
	if (!streams_have_status(lane))
		lane->status = (uint32_t)status;
}

static void on_exit_signal(ssh_session session, ssh_channel channel, const char *name, int core,
	const char *message, const char *language, void *context)
{
	struct lane *lane = context;

	(void)session;
	(void)channel;
	(void)language;
	if (streams_have_status(lane))
		return;
	snprintf(lane->exit_signal, sizeof(lane->exit_signal), "%s", name);
	lane->exit_core = core;
	if (strlen(message) < sizeof(lane->exit_message))
		snprintf(lane->exit_message, sizeof(lane->exit_message), "%s", message);
}

/* Not as a message: the library keeps that, and whether an answer is wanted, to itself. */
static void on_agent_request(ssh_session session, ssh_channel channel, void *context)
{
	struct lane *lane = context;

	(void)session;
	(void)channel;
	if (lane->agent_forward == AGENT_NOT_WANTED)
		lane->agent_forward = AGENT_WANTED;
}

static void on_close(ssh_session session, ssh_channel channel, void *context)
{
	struct lane *lane = context;

	(void)session;
	if (channel == lane->agent)
		lane->agent_closed = true;
	else
		lane->server_closed = true;
}

/* How much is there now; it is read between two rounds. What nobody reads any more is dropped. */
static int on_data(ssh_session session, ssh_channel channel, void *data, uint32_t length,
	int errors, void *context)
{
	struct lane *lane = context;
	enum side from = channel == lane->agent ? SIDE_AGENT : SIDE_SERVER;
	enum bridge_stream stream = errors ? BRIDGE_STDERR : BRIDGE_STDOUT;

	(void)session;
	(void)data;
	if (from == SIDE_AGENT)
		stream = BRIDGE_STDIN;
	if (lane_is_open(lane) && (!lane->flows[stream].from || (from == SIDE_AGENT && errors)))
		return (int)length;
	pressure_on_unread(lane->relay, from, length);
	return 0;
}

void callbacks_listen(struct lane *lane, enum side side)
{
	static const struct ssh_channel_callbacks_struct functions[] = {
		[SIDE_AGENT] =
			{
				.channel_data_function = on_data,
				.channel_close_function = on_close,
				.channel_signal_function = on_signal,
				.channel_auth_agent_req_function = on_agent_request,
			},
		[SIDE_SERVER] =
			{
				.channel_data_function = on_data,
				.channel_close_function = on_close,
				.channel_exit_status_function = on_exit_status,
				.channel_exit_signal_function = on_exit_signal,
			},
	};
	struct ssh_channel_callbacks_struct *callbacks =
		side == SIDE_AGENT ? &lane->agent_callbacks : &lane->server_callbacks;

	*callbacks = functions[side];
	callbacks->userdata = lane;
	ssh_callbacks_init(callbacks);
	ssh_set_channel_callbacks(side == SIDE_AGENT ? lane->agent : lane->server, callbacks);
}
