/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/relay.h"

/* The worker keeps what it can't tell yet; when nothing follows, it never could. So what some send
 * behind their end all the same, which nobody would have looked at, is not read (RFC 4254, 5.3). */
static void tell_end(struct lane *lane, enum bridge_stream stream, ssh_channel from)
{
	if (!lane_is_tunnel(lane) || !flow_is_over(&lane->flows[stream], from))
		return;
	flow_cut(&lane->flows[stream]);
	if (lane->told_end || lane->relay->alone || !lane->flows[stream].at_worker)
		return;
	lane->told_end = true;
	link_data(&lane->relay->link, lane->id, stream, SLICE_EMPTY);
}

static void pass_signals(struct lane *lane)
{
	for (size_t i = 0; i < lane->signal_count; i++)
		ssh_channel_request_send_signal(lane->server, lane->signals[i]);
	pressure_wrote(lane->relay, SIDE_SERVER, lane->signal_count * RELAY_REQUEST_SIZE);
	lane->signal_count = 0;
}

bool streams_turn_input(struct lane *lane)
{
	struct flow *f = &lane->flows[BRIDGE_STDIN];
	bool moved;

	/* What was refused inside is read to its end all the same. */
	if (!lane->server || (!ssh_channel_is_open(lane->server) && !lane->deeds))
		return false;
	moved = flow_turn(f, lane, lane->inspect & BRIDGE_INSPECT_INPUT);
	moved |= typed_turn(lane);
	if (flow_is_over(f, lane->agent))
		inside_on_input_end(lane);
	tell_end(lane, BRIDGE_STDIN, lane->agent);
	if (pressure_allows_writing(lane->relay, SIDE_SERVER))
		pass_signals(lane);
	if (!lane->input_ended && (lane->whole || ssh_channel_is_eof(lane->agent)) &&
		flow_is_dry(f) && inside_is_dry(lane, BRIDGE_STDIN) && typed_is_dry(lane)) {
		lane->input_ended = true;
		ssh_channel_send_eof(lane->server);
	}
	return moved;
}

bool streams_have_status(const struct lane *lane)
{
	return lane->status != BRIDGE_NO_STATUS || lane->exit_signal[0];
}

/* What came of it, before the channel is closed. What the host says to it is its text like others,
 * and nobody masks it. */
static void send_status(struct lane *lane)
{
	const char *message = lane->inspect & BRIDGE_INSPECT_MASK ? "" : lane->exit_message;

	if (lane->status_sent || lane_is_tunnel(lane))
		return;
	lane->status_sent = true;
	if (lane->exit_signal[0])
		ssh_channel_request_send_exit_signal(
			lane->agent, lane->exit_signal, lane->exit_core, message, "");
	else if (lane->status != BRIDGE_NO_STATUS)
		ssh_channel_request_send_exit_status(lane->agent, (int)lane->status);
}

static bool turn_streams(struct lane *lane)
{
	struct flow *output = &lane->flows[BRIDGE_STDOUT], *errors = &lane->flows[BRIDGE_STDERR];
	bool inspected = lane->inspect & BRIDGE_INSPECT_OUTPUT, moved;

	output->masked = inspected && lane->inspect & BRIDGE_INSPECT_MASK;
	errors->masked = lane->inspect & BRIDGE_INSPECT_MASK;
	moved = flow_turn(output, lane, inspected);
	moved |= flow_turn(errors, lane, inspected || errors->masked);
	flow_ask_for_kept(output, lane);
	flow_ask_for_kept(errors, lane);
	return moved;
}

uint64_t streams_due(const struct lane *lane)
{
	uint64_t first = typed_due(lane);

	for (size_t i = 0; i < BRIDGE_STREAM_COUNT; i++) {
		uint64_t due = lane->flows[i].due;

		first = due && (!first || due < first) ? due : first;
	}
	return first;
}

/* Of a connection that broke the library gives nothing more, not even what came before: a status
 * would be of output that is not whole. */
static void lose_output(struct lane *lane)
{
	if (!lane_is_tunnel(lane))
		lane_say(lane, slice_from_string(RELAY_HOST_GONE));
	lane->status = BRIDGE_NO_STATUS;
	lane->exit_signal[0] = '\0';
}

/* An agent that has sent its last closes the channel when the output ends, too, and of one that is
 * closed nothing more is told. So the end waits for what came of it, which a host may tell later.
 */
static bool waits_for_status(const struct lane *lane)
{
	return !lane->ended && !lane_is_tunnel(lane) && lane->input_ended &&
		!streams_have_status(lane);
}

/* Such an agent reads what came of it still: it closed the channel because the output had ended. */
bool streams_owe_status(const struct lane *lane)
{
	return lane->output_ended && lane->started && !lane->status_sent && !lane->carry &&
		!lane_is_tunnel(lane);
}

bool streams_turn_output(struct lane *lane)
{
	bool moved = turn_streams(lane);

	if (lane->started && lane->server)
		tell_end(lane, BRIDGE_STDOUT, lane->server);
	if (!lane->ended && lane->started && ssh_channel_is_closed(lane->server)) {
		lane->ended = moved = true;
		if (!ssh_channel_is_eof(lane->server))
			lose_output(lane);
	}
	if (!lane->output_ended && !waits_for_status(lane) &&
		flow_is_dry(&lane->flows[BRIDGE_STDOUT]) && inside_is_dry(lane, BRIDGE_STDOUT) &&
		flow_is_dry(&lane->flows[BRIDGE_STDERR]) &&
		(lane->ended || (lane->server && ssh_channel_is_eof(lane->server)))) {
		lane->output_ended = true;
		/* Some clients close the channel when the output ends, and read no more. */
		if (streams_have_status(lane))
			send_status(lane);
		ssh_channel_send_eof(lane->agent);
	}
	return moved;
}

void streams_report(struct lane *lane)
{
	const struct bridge_result result = {
		.to_agent = lane->carry
			? carry_bytes(lane, SIDE_AGENT)
			: lane->flows[BRIDGE_STDOUT].bytes + lane->flows[BRIDGE_STDERR].bytes,
		.to_server = lane->carry ? carry_bytes(lane, SIDE_SERVER)
					 : lane->flows[BRIDGE_STDIN].bytes,
		.status = lane->status,
		.signal = slice_from_string(lane->exit_signal),
	};

	/* What was done in it is over before it. */
	inside_end(lane);
	copied_end(lane);
	if (lane->started && !lane->relay->alone)
		link_result(&lane->relay->link, lane->id, &result);
	lane->started = false;
}

void streams_finish(struct lane *lane)
{
	send_status(lane);
	streams_report(lane);
	lane_free(lane);
}
