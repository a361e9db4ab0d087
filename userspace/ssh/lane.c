/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "ssh/relay.h"

#define EXIT_DENIED 126 /* sh(1): found, and can't be executed */

/* --- life --- */

struct lane *lane_find(struct relay *r, uint32_t id)
{
	list_for_each (position, &r->lanes) {
		struct lane *lane = list_entry(position, struct lane, link);

		if (lane->id == id || (lane->question && lane->question == id))
			return lane;
	}
	return NULL;
}

struct lane *lane_of(struct relay *r, ssh_channel channel)
{
	list_for_each (position, &r->lanes) {
		struct lane *lane = list_entry(position, struct lane, link);

		if (channel && (lane->agent == channel || lane->server == channel))
			return lane;
	}
	return NULL;
}

static void free_agent(struct lane *lane)
{
	closing_begin(lane->relay, lane->agent, &lane->agent_callbacks, &lane->agent_closed);
	lane->agent = NULL;
}

static void free_server(struct lane *lane)
{
	closing_begin(lane->relay, lane->server, &lane->server_callbacks, &lane->server_closed);
	lane->server = NULL;
}

void lane_free(struct lane *lane)
{
	struct relay *r = lane->relay;

	inside_end(lane);
	copied_end(lane);
	typed_end(lane);
	carry_end(lane);
	if (lane->open) {
		ssh_message_reply_default(lane->open);
		ssh_message_free(lane->open);
	}
	requests_drop(lane);
	free_agent(lane);
	free_server(lane);
	for (size_t i = 0; i < BRIDGE_STREAM_COUNT; i++)
		flow_done(&lane->flows[i]);
	if (lane->told && !r->alone)
		link_tell(&r->link, BRIDGE_GONE, lane->id, SLICE_EMPTY, SLICE_EMPTY);
	list_remove(&lane->link);
	r->lane_count--;
	free(lane->listener.address);
	free(lane);
}

/* --- what the agent reads --- */

/* A terminal in raw mode wants the carriage return. */
void lane_say(struct lane *lane, struct slice text)
{
	struct buffer *to = &lane->flows[BRIDGE_STDERR].pending;

	if (buffer_append_slice(to, text) == 0)
		buffer_append_string(to, lane->terminal ? "\r\n" : "\n");
}

/* What the worker has yet to give back never comes, and nothing more is read. */
static void cut(struct lane *lane)
{
	for (size_t i = 0; i < BRIDGE_STREAM_COUNT; i++) {
		lane->flows[i].at_worker = 0;
		lane->flows[i].due = 0;
		flow_cut(&lane->flows[i]);
	}
	lane->ended = true;
}

void lane_fail(struct lane *lane, struct slice text)
{
	if (!lane_is_tunnel(lane))
		lane_say(lane, text);
	cut(lane);
	lane->status = EXIT_DENIED;
	lane->exit_signal[0] = '\0';
}

/* --- refusing --- */

/* What is asked of a channel without a host is refused with the reason, for which an opening that
 * fails has no place. */
void lane_refuse(struct lane *lane, struct slice text)
{
	if (!lane_is_open(lane) && !lane->kind)
		free_server(lane);
	else if (!lane_is_open(lane))
		lane->ended = true;
	else if (lane->started)
		lane_fail(lane, text);
	else if (lane->step != LANE_IDLE && requests_run(lane))
		requests_refuse(lane, text);
	else if (lane->step != LANE_IDLE)
		requests_decline(lane);
}

/* --- what the worker says --- */

static void on_allow(struct lane *lane, struct slice body)
{
	if (!lane_is_open(lane)) {
		lane->ended = !lane_make_other(lane);
		lane->inspect = body.length ? body.data[0] : 0;
		lane->step = LANE_OPENING;
		return;
	}
	/* Nothing here could carry them. */
	if (lane->kind == BRIDGE_AGENT_FORWARD || lane->kind == BRIDGE_X11) {
		requests_decline(lane);
		return;
	}
	if (lane->kind != BRIDGE_ENV)
		lane->inspect = body.length ? body.data[0] : 0;
	lane->step = LANE_REQUESTING;
}

static void on_deny(struct lane *lane, struct slice text)
{
	char line[4096];

	if (!lane_is_open(lane)) {
		lane->ended = true;
	} else if (lane->kind == BRIDGE_ENV || lane->kind == BRIDGE_AGENT_FORWARD ||
		lane->kind == BRIDGE_X11) {
		requests_decline(lane);
	} else {
		snprintf(line, sizeof(line), "wayleave: %.*s", SLICE_PRINT(text));
		requests_refuse(lane, slice_from_string(line));
	}
}

/* What a forward carries was looked at. */
static void on_tunnel(struct lane *lane, const struct bridge_frame *frame)
{
	int fds[2];

	if (frame->type == BRIDGE_ALLOW)
		lane->inspect = 0;
	else if (frame->type == BRIDGE_CARRY && !lane->carry && lane->server &&
		link_take_sockets(&lane->relay->link, lane->id, fds))
		carry_begin(lane, fds);
	else
		cut(lane);
}

static void on_data(struct lane *lane, struct slice body)
{
	struct flow *f;

	if (body.length < 2 || body.data[0] >= BRIDGE_STREAM_COUNT)
		return;
	f = &lane->flows[body.data[0]];
	body = slice_from(body, 1);
	/* What was cut off gets nothing back. */
	if (lane_is_tunnel(lane) && body.length > f->at_worker)
		return;
	f->at_worker -= body.length < f->at_worker ? body.length : f->at_worker;
	if (buffer_append_slice(&f->pending, body) < 0)
		lane->ended = true;
}

static void on_masked(struct lane *lane, struct slice body)
{
	struct bridge_masked m;

	if (bridge_decode_masked(body, &m) < 0 ||
		flow_on_masked(&lane->flows[m.stream], lane, &m) < 0)
		lane->ended = true;
}

void lane_on_frame(struct lane *lane, const struct bridge_frame *frame)
{
	if (lane->question && frame->lane == lane->question)
		(lane->typed ? typed_on_frame : inside_on_frame)(lane, frame);
	else if (frame->type == BRIDGE_DATA)
		on_data(lane, frame->body);
	else if (frame->type == BRIDGE_MASKED)
		on_masked(lane, frame->body);
	else if (frame->type == BRIDGE_NOTICE && lane_is_open(lane))
		lane_say(lane, frame->body);
	else if (frame->type == BRIDGE_ALLOW && lane->step == LANE_ASKING)
		on_allow(lane, frame->body);
	else if (frame->type == BRIDGE_COLLECT && lane->step == LANE_ASKING && lane_is_open(lane))
		requests_begin_script(lane);
	else if (frame->type == BRIDGE_DENY && lane->step == LANE_ASKING)
		on_deny(lane, frame->body);
	else if (lane_is_tunnel(lane) && lane->started)
		on_tunnel(lane, frame);
}

/* What it sent before is passed on, and what came of it told where it waits for that. A connection
 * that is nobody else's has all of it, and nothing more of what comes to an agent that has closed
 * it. */
static bool agent_is_gone(struct lane *lane)
{
	const struct flow *input = &lane->flows[BRIDGE_STDIN];
	bool all = lane_is_tunnel(lane) && !lane->carry;
	bool passing = lane->started && !lane->ended && ssh_channel_is_open(lane->server) &&
		(all ? !flow_is_dry(input) : buffer_length(&input->fetched) != 0);

	if (!ssh_channel_is_closed(lane->agent) || streams_owe_status(lane))
		return false;
	for (size_t i = BRIDGE_STDOUT; all && i < BRIDGE_STREAM_COUNT; i++)
		flow_cut(&lane->flows[i]);
	return !passing;
}

bool lane_turn(struct lane *lane)
{
	bool moved = false;

	if (lane->step == LANE_OPENING && !lane->ended)
		moved = lane_turn_opening(lane);
	if (!lane_is_open(lane)) {
		if (!lane->ended)
			return false;
		lane_free(lane);
		return true;
	}
	if (agent_is_gone(lane)) {
		streams_report(lane);
		lane_free(lane);
		return true;
	}
	if (!lane->ended)
		moved |= requests_turn(lane);
	if (lane->carry) {
		moved |= carry_turn(lane);
	} else {
		if (lane->started)
			moved |= streams_turn_input(lane);
		moved |= streams_turn_output(lane);
	}
	if (lane->ended && lane->output_ended) {
		streams_finish(lane);
		return true;
	}
	return moved;
}
