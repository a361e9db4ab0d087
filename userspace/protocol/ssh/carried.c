/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/engine_internal.h"

#include <errno.h>
#include <stdio.h>

static int give_back(struct ssh_engine *e, struct ssh_lane *lane)
{
	const uint8_t input = BRIDGE_STDIN, output = BRIDGE_STDOUT;
	int r = ssh_tell(&e->base, BRIDGE_DATA, lane->id, slice_of(&input, 1),
		tunnel_kept(lane->tunnel, SIDE_AGENT));

	if (r == 0)
		r = ssh_tell(&e->base, BRIDGE_DATA, lane->id, slice_of(&output, 1),
			tunnel_kept(lane->tunnel, SIDE_SERVER));
	tunnel_free(lane->tunnel);
	lane->tunnel = NULL;
	return r;
}

static int pass_tunnel(struct ssh_engine *e, struct ssh_lane *lane)
{
	const uint8_t unread = 0;
	int r = give_back(e, lane);

	return r < 0
		? r
		: ssh_tell(&e->base, BRIDGE_ALLOW, lane->id, slice_of(&unread, 1), SLICE_EMPTY);
}

/* By who connects, where the host opened it: that asks, and the agent is asked. */
static int pass_forwarded(struct ssh_engine *e, struct ssh_lane *lane)
{
	const char *name = tunnel_asked_by_server(lane->tunnel);

	if (name) {
		struct protocol_event *event = ssh_set_event(e, EVENT_NOTE);

		snprintf(e->tag, sizeof(e->tag), "in a remote forward: %s", name);
		event->note.reason = REASON_NONE;
		event->note.text = slice_from_string(e->tag);
	}
	return pass_tunnel(e, lane);
}

/* What is known is judged as what it is, at its place. What the agent asks for where it was to be
 * asked has none: nobody knows who is there. */
static int carry_tunnel(struct ssh_engine *e, struct ssh_lane *lane)
{
	struct protocol_host *host = e->base.host;
	int r = -ENOENT;

	if (host->carry && lane->kind == BRIDGE_FORWARD)
		r = host->carry(host, lane->id, tunnel_place(lane->tunnel));
	if (r == 0)
		r = ssh_tell(&e->base, BRIDGE_CARRY, lane->id, SLICE_EMPTY, SLICE_EMPTY);
	return r < 0 ? r : give_back(e, lane);
}

/* Nothing would judge it. */
static int refuse_tunnel(struct ssh_engine *e, struct ssh_lane *lane, const char *name)
{
	struct protocol_event *event = ssh_set_event(e, EVENT_NOTE);

	snprintf(e->tag, sizeof(e->tag),
		lane->kind == BRIDGE_FORWARD ? "in a forward: %s" : "in a remote forward: %s",
		name);
	event->note.reason = REASON_WRONG_PROTOCOL;
	event->note.text = slice_from_string(e->tag);
	if (e->base.host->observes)
		return pass_tunnel(e, lane);
	tunnel_free(lane->tunnel);
	lane->tunnel = NULL;
	lane->cut = true;
	return ssh_tell_text(&e->base, BRIDGE_DENY, lane->id, event->note.text);
}

/* Empty: that side has ended. What few bytes there are then can't do anything alone. */
static int on_tunnel_data(struct ssh_engine *e, struct ssh_lane *lane, struct slice body)
{
	enum side from = body.data[0] == BRIDGE_STDIN ? SIDE_AGENT : SIDE_SERVER;
	const char *name;
	int r;

	/* The process sent it before it read the refusal. */
	if (lane->cut)
		return 0;
	if (!lane->tunnel)
		return ssh_tell(&e->base, BRIDGE_DATA, lane->id, SLICE_EMPTY, body);
	if (body.length == 1)
		return pass_tunnel(e, lane);
	switch (tunnel_take(lane->tunnel, from, slice_from(body, 1), &name)) {
	case DETECTION_YES:
		r = carry_tunnel(e, lane);
		return r < 0 && lane->tunnel ? refuse_tunnel(e, lane, name) : r;
	case DETECTION_NO:
		return lane->kind == BRIDGE_FORWARD ? pass_tunnel(e, lane)
						    : pass_forwarded(e, lane);
	default:
		return 0;
	}
}

static const enum protocol_data_kind data_kinds[] = {
	[BRIDGE_STDIN] = DATA_INPUT,
	[BRIDGE_STDOUT] = DATA_OUTPUT,
	[BRIDGE_STDERR] = DATA_ERROR,
};

static void record_data(struct ssh_engine *e, const struct ssh_lane *lane,
	enum bridge_stream stream, struct slice bytes)
{
	if (lane->record && bytes.length)
		ssh_set_event(e, EVENT_DATA)->data = (struct protocol_data){
			.action = lane->number,
			.kind = data_kinds[stream],
			.bytes = bytes,
		};
}

/* In as many frames as it takes. */
static int tell_masked(struct ssh_engine *e, const struct ssh_lane *lane, struct bridge_masked *m,
	struct slice shown)
{
	struct buffer frames;
	int r = 0;

	buffer_init(&frames, shown.length + 64 * BRIDGE_DATA_MOST);
	do {
		size_t n = shown.length < BRIDGE_DATA_MOST ? shown.length : BRIDGE_DATA_MOST;
		struct bridge_masked one = {.stream = m->stream, .bytes = slice_head(shown, n)};

		shown = slice_from(shown, n);
		one.last = shown.length == 0;
		one.settled = one.last ? m->settled : 0;
		r = bridge_append_masked(&frames, lane->id, &one);
	} while (r == 0 && shown.length);
	if (r == 0)
		r = e->base.host->write(e->base.host, SIDE_SERVER, buffer_slice(&frames));
	buffer_done(&frames);
	return r;
}

static int on_output(
	struct ssh_engine *e, struct ssh_lane *lane, enum bridge_stream stream, struct slice bytes)
{
	struct bridge_masked m = {.stream = stream};
	struct slice shown = SLICE_EMPTY;
	size_t settled = 0;
	int r = ssh_output_take(lane->output, stream, bytes, &shown, &settled);

	if (r < 0)
		return r;
	m.settled = (uint32_t)settled;
	record_data(e, lane, stream, shown);
	return tell_masked(e, lane, &m, shown);
}

/* Back it goes: what leaves at the end of the turn is recorded by then. */
int ssh_take_data(struct ssh_engine *e, const struct bridge_frame *frame)
{
	struct ssh_lane *lane = ssh_lane_find(e, frame->lane);
	enum bridge_stream stream;
	struct slice bytes;

	if (!lane || !lane->number || frame->body.length < 1 ||
		frame->body.length > 1 + BRIDGE_DATA_MOST ||
		frame->body.data[0] >= BRIDGE_STREAM_COUNT)
		return -EBADMSG;
	if (ssh_lane_is_tunnel(lane))
		return on_tunnel_data(e, lane, frame->body);
	stream = (enum bridge_stream)frame->body.data[0];
	bytes = slice_from(frame->body, 1);
	if (lane->output && stream != BRIDGE_STDIN)
		return on_output(e, lane, stream, bytes);
	if (!lane->record || bytes.length == 0)
		return -EBADMSG;
	if (lane->output)
		ssh_output_typed(lane->output, bytes);
	record_data(e, lane, stream, bytes);
	return ssh_tell(&e->base, BRIDGE_DATA, frame->lane, SLICE_EMPTY, frame->body);
}
