/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/engine_internal.h"

#include <errno.h>
#include <stdlib.h>

/* --- lanes --- */

struct ssh_lane *ssh_lane_find(struct ssh_engine *e, uint32_t id)
{
	list_for_each (position, &e->lanes) {
		struct ssh_lane *lane = list_entry(position, struct ssh_lane, link);

		if (lane->id == id)
			return lane;
	}
	return NULL;
}

struct ssh_lane *ssh_lane_make(struct ssh_engine *e, uint32_t id)
{
	struct ssh_lane *lane = ssh_lane_find(e, id);

	if (lane || id == 0 || e->count >= LIMIT_SSH_LANES)
		return lane;
	lane = memory_new(sizeof(*lane));
	lane->id = id;
	buffer_init(&lane->environment, LIMIT_SSH_ENVIRONMENT);
	list_append(&e->lanes, &lane->link);
	e->count++;
	return lane;
}

void ssh_lane_free(struct ssh_engine *e, struct ssh_lane *lane)
{
	list_remove(&lane->link);
	tunnel_free(lane->tunnel);
	ssh_output_free(lane->output);
	ssh_facts_done(&lane->facts);
	buffer_done(&lane->environment);
	free(lane);
	e->count--;
}

/* --- telling the process --- */

int ssh_tell(struct protocol_engine *base, enum bridge_type type, uint32_t lane, struct slice head,
	struct slice body)
{
	struct buffer frame;
	int r;

	buffer_init(&frame, BRIDGE_HEAD + BRIDGE_BODY_MOST);
	r = bridge_append(&frame, type, lane, head, body);
	if (r == 0)
		r = base->host->write(base->host, SIDE_SERVER, buffer_slice(&frame));
	buffer_done(&frame);
	return r;
}

int ssh_tell_text(
	struct protocol_engine *base, enum bridge_type type, uint32_t lane, struct slice text)
{
	return ssh_tell(base, type, lane, SLICE_EMPTY, slice_head(text, BRIDGE_BODY_MOST));
}

/* --- events --- */

struct protocol_event *ssh_set_event(struct ssh_engine *e, enum protocol_event_type type)
{
	e->event = (struct protocol_event){.type = type};
	e->has_event = true;
	return &e->event;
}

void ssh_close_for(struct ssh_engine *e, enum reason reason, struct slice text)
{
	struct protocol_event *event = ssh_set_event(e, EVENT_CLOSE);

	e->closed = true;
	event->note.reason = reason;
	event->note.text = text;
}

/* --- the engine --- */

static enum detection ssh_detect(struct slice from_agent, struct slice from_server)
{
	static const struct slice begin = {(const uint8_t *)"SSH-", 4};
	enum detection found = DETECTION_NO;

	/* RFC 4253, 4.2; either side may be the first. */
	if (slice_starts_with(from_agent, begin) || slice_starts_with(from_server, begin))
		return DETECTION_YES;
	if (slice_starts_with(begin, from_agent) && from_agent.length)
		found = DETECTION_MORE;
	if (slice_starts_with(begin, from_server) && from_server.length)
		found = DETECTION_MORE;
	return found;
}

static struct protocol_engine *ssh_open(struct protocol_host *host)
{
	struct ssh_engine *e = memory_new(sizeof(*e));

	e->base = (struct protocol_engine){.protocol = &protocol_ssh, .host = host};
	list_init(&e->lanes);
	/* Each byte of it is shown as four at most. */
	buffer_init(&e->context, 8 * LIMIT_SSH_ENVIRONMENT);
	return &e->base;
}

static void ssh_close(struct protocol_engine *base)
{
	struct ssh_engine *e = ssh_engine_of(base);

	list_for_each_safe (position, &e->lanes)
		ssh_lane_free(e, list_entry(position, struct ssh_lane, link));
	buffer_done(&e->context);
	free(e);
}

static int ssh_input(
	struct protocol_engine *base, enum side side, struct slice in, size_t *ret_taken)
{
	struct ssh_engine *e = ssh_engine_of(base);
	struct bridge_frame frame;
	size_t length;
	int r;

	if (side != SIDE_SERVER)
		return -EBADMSG;
	while (!e->has_event && !e->closed && in.length) {
		r = bridge_take(in, &frame, &length);
		if (r == -EAGAIN)
			return 0;
		if (r == 0)
			r = ssh_take_frame(e, &frame);
		if (r < 0)
			return r;
		*ret_taken += length;
		in = slice_from(in, length);
		/* It is judged before it can be taken back. */
		if (frame.type == BRIDGE_REQUEST)
			return 0;
	}
	return 0;
}

static size_t ssh_needs(struct protocol_engine *base, enum side side, struct slice in)
{
	struct bridge_frame frame;
	size_t length = 1;

	(void)base;
	(void)side;
	(void)bridge_take(in, &frame, &length);
	return length > in.length ? length - in.length : 1;
}

static bool ssh_wants(const struct protocol_engine *base, enum side side)
{
	const struct ssh_engine *e = container_of(base, const struct ssh_engine, base);

	return side == SIDE_SERVER && !e->closed;
}

static bool ssh_is_busy(const struct protocol_engine *base)
{
	const struct ssh_engine *e = container_of(base, const struct ssh_engine, base);

	list_for_each (position, &e->lanes) {
		if (list_entry(position, const struct ssh_lane, link)->number)
			return true;
	}
	return false;
}

/* The process is gone, and the agent's connection with it. */
static void ssh_end(struct protocol_engine *base, enum side side)
{
	(void)side;
	if (!ssh_engine_of(base)->closed)
		ssh_close_for(ssh_engine_of(base), REASON_NONE, SLICE_EMPTY);
}

/* In their order; one that waits for people keeps no other from being judged. */
static bool ask_next(struct ssh_engine *e, struct protocol_event *ret)
{
	list_for_each (position, &e->lanes) {
		struct ssh_lane *lane = list_entry(position, struct ssh_lane, link);

		if (lane->state != LANE_WAITING)
			continue;
		lane->state = LANE_ASKED;
		lane->asked = true;
		*ret = (struct protocol_event){.type = EVENT_ACTION};
		ret->action = (struct protocol_action_event){
			.lane = lane->id,
			.phase = ACTION_RUN,
			.action = &lane->facts.action,
		};
		return true;
	}
	return false;
}

static bool ssh_next_event(struct protocol_engine *base, struct protocol_event *ret)
{
	struct ssh_engine *e = ssh_engine_of(base);

	if (e->has_event) {
		*ret = e->event;
		e->has_event = false;
		return true;
	}
	return !e->closed && ask_next(e, ret);
}

static void ssh_abort(struct protocol_engine *base, const struct protocol_refusal *refusal)
{
	struct ssh_engine *e = ssh_engine_of(base);

	if (e->closed)
		return;
	ssh_tell_text(base, BRIDGE_REFUSED, 0, refusal->text);
	ssh_close_for(e, refusal->reason, SLICE_EMPTY);
}

/* Whoever connected gives the connection to the process. */
static void ssh_connected(struct protocol_engine *base)
{
	(void)base;
}

const struct protocol protocol_ssh = {
	.id = PROTOCOL_SSH,
	.delegated = true,
	.detect = ssh_detect,
	.open = ssh_open,
	.close = ssh_close,
	.input = ssh_input,
	.needs = ssh_needs,
	.wants = ssh_wants,
	.is_busy = ssh_is_busy,
	.end = ssh_end,
	.next_event = ssh_next_event,
	.mask = ssh_mask,
	.would_refuse = ssh_would_refuse,
	.release = ssh_release,
	.refuse = ssh_refuse,
	.bind = ssh_bind,
	.reassure = ssh_reassure,
	.judge_again = ssh_judge_again,
	.abort = ssh_abort,
	.connected = ssh_connected,
};
