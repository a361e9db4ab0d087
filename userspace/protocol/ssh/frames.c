/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/ssh/engine_internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"

static int on_login(struct ssh_engine *e, const struct bridge_frame *frame)
{
	if (frame->lane != 0 || frame->body.length >= sizeof(e->user) || e->user[0])
		return -EBADMSG;
	snprintf(e->user, sizeof(e->user), "%.*s", SLICE_PRINT(frame->body));
	ssh_set_event(e, EVENT_LOGIN)->login.user = slice_from_string(e->user);
	return 0;
}

/* The process tells the agent by itself. */
static int on_failed(struct ssh_engine *e, const struct bridge_frame *frame)
{
	ssh_close_for(e, REASON_UPSTREAM_LOGIN, frame->body);
	return 0;
}

static int on_host_gone(struct ssh_engine *e, const struct bridge_frame *frame)
{
	if (frame->lane != 0 || frame->body.length != 0)
		return -EBADMSG;
	ssh_close_for(e, REASON_UPSTREAM_CLOSED, SLICE_EMPTY);
	return 0;
}

/* What it took the host counts itself. */
static int on_allowance(struct ssh_engine *e, const struct bridge_frame *frame)
{
	if (frame->lane != 0 || frame->body.length != sizeof(uint64_t))
		return -EBADMSG;
	e->base.host->taken = bytes_get_u64(frame->body.data);
	e->base.host->wants_more = true;
	return 0;
}

/* One is enough to ask who the host is; more would be for something else. */
static int on_connect(struct ssh_engine *e, const struct bridge_frame *frame)
{
	if (frame->lane != 0 || frame->body.length != 0 || e->user[0] || e->connects_again)
		return -EBADMSG;
	e->connects_again = true;
	ssh_set_event(e, EVENT_CONNECT);
	return 0;
}

static uint8_t understood(const struct bridge_request *request, const struct action *action)
{
	if (request->kind == BRIDGE_SUBSYSTEM && slice_equal_string(request->text, "sftp"))
		return BRIDGE_INSPECT_SFTP;
	if (request->kind == BRIDGE_EXEC && action->pairs[0].operation == OPERATION_GIT_PUSH)
		return BRIDGE_INSPECT_PUSH;
	return 0;
}

static int read_request(struct ssh_lane *lane, const struct bridge_request *request)
{
	int r;

	ssh_facts_done(&lane->facts);
	lane->state = LANE_WAITING;
	r = ssh_facts_init(&lane->facts, request);
	if (r < 0)
		return r;
	lane->inside = understood(request, &lane->facts.action);
	lane->lines = request->terminal && lane->facts.reader != READER_NONE;
	/* Nobody can be asked about what is not known. */
	lane->partial = request->kind == BRIDGE_LINE && request->text.length == 0;
	return 0;
}

/* What a shell reads from its input is judged like a command line, unless no rule cares. */
static bool wants_script(const struct ssh_engine *e, const struct ssh_lane *lane)
{
	return (lane->kind == BRIDGE_EXEC || lane->kind == BRIDGE_SHELL) && !lane->terminal &&
		lane->facts.reader != READER_NONE && e->base.host->needs_facts;
}

static int collect(struct ssh_engine *e, struct ssh_lane *lane)
{
	lane->state = LANE_COLLECTING;
	return ssh_tell(&e->base, BRIDGE_COLLECT, lane->id, SLICE_EMPTY, SLICE_EMPTY);
}

static int on_script(struct ssh_lane *lane, struct slice text)
{
	struct ssh_facts facts;
	int r;

	if (text.length == 0 || text.data[0] > 1)
		return -EBADMSG;
	lane->partial = !text.data[0];
	r = ssh_facts_init_script(&facts, &lane->facts, slice_from(text, 1), !lane->partial);
	ssh_facts_done(&lane->facts);
	lane->facts = facts;
	lane->state = LANE_WAITING;
	return r;
}

static int on_request(struct ssh_engine *e, const struct bridge_frame *frame)
{
	struct bridge_request request;
	struct ssh_lane *lane;
	int r;

	if (bridge_decode_request(frame->body, &request) < 0)
		return -EBADMSG;
	lane = ssh_lane_make(e, frame->lane);
	if (!lane || lane->number)
		return -EBADMSG;
	if (lane->state == LANE_FINDING && request.kind == BRIDGE_DEEDS)
		return read_request(lane, &request);
	if (lane->state == LANE_COLLECTING && request.kind == BRIDGE_SCRIPT)
		return on_script(lane, request.text);
	if (lane->state != LANE_IDLE || request.kind == BRIDGE_SCRIPT)
		return -EBADMSG;
	lane->kind = request.kind;
	lane->record = false;
	ssh_output_free(lane->output);
	lane->output = NULL;
	lane->terminal = request.terminal;
	lane->columns = request.columns;
	lane->rows = request.rows;
	r = read_request(lane, &request);
	return r == 0 && wants_script(e, lane) ? collect(e, lane) : r;
}

static int on_gone(struct ssh_engine *e, const struct bridge_frame *frame)
{
	struct ssh_lane *lane = ssh_lane_find(e, frame->lane);

	if (!lane)
		return -EBADMSG;
	if (lane->asked) {
		struct protocol_event *event = ssh_set_event(e, EVENT_DROPPED);

		event->dropped.lane = lane->id;
		event->dropped.why = "the agent gave it up";
	}
	ssh_lane_free(e, lane);
	return 0;
}

static int on_result(struct ssh_engine *e, const struct bridge_frame *frame)
{
	struct ssh_lane *lane = ssh_lane_find(e, frame->lane);
	struct bridge_result result;
	struct protocol_event *event;

	if (bridge_decode_result(frame->body, &result) < 0 || !lane || !lane->number)
		return -EBADMSG;
	if (lane->kind == BRIDGE_DEEDS)
		snprintf(e->tag, sizeof(e->tag), "%.*s", SLICE_PRINT(result.signal));
	else if (result.signal.length)
		snprintf(e->tag, sizeof(e->tag), "signal %.*s", SLICE_PRINT(result.signal));
	else if (result.status == BRIDGE_NO_STATUS)
		snprintf(e->tag, sizeof(e->tag), "closed");
	else
		snprintf(e->tag, sizeof(e->tag), "exit %u", result.status);
	event = ssh_set_event(e, EVENT_RESULT);
	event->result = (struct protocol_result){
		.action = lane->number,
		.bytes = result.to_agent,
		.tag = slice_from_string(e->tag),
	};
	/* What deeds carried is counted with their channel. */
	if (lane->kind != BRIDGE_DEEDS) {
		e->base.host->carried[SIDE_AGENT] += result.to_agent;
		e->base.host->carried[SIDE_SERVER] += result.to_server;
	}
	lane->number = 0;
	return 0;
}

static int on_carried(struct ssh_engine *e, const struct bridge_frame *frame)
{
	struct ssh_lane *lane = ssh_lane_find(e, frame->lane);
	struct protocol_event *event;

	if (!lane || !lane->number || lane->kind != BRIDGE_EXEC)
		return -EBADMSG;
	event = ssh_set_event(e, EVENT_NOTE);
	event->note.reason = REASON_NONE;
	event->note.text = frame->body;
	return 0;
}

static int on_window(struct ssh_engine *e, const struct bridge_frame *frame)
{
	struct ssh_lane *lane = ssh_lane_find(e, frame->lane);

	if (!lane || frame->body.length != 4)
		return -EBADMSG;
	lane->columns = bytes_get_u16(frame->body.data);
	lane->rows = bytes_get_u16(frame->body.data + 2);
	if (lane->number && lane->terminal)
		ssh_set_event(e, EVENT_DATA)->data = (struct protocol_data){
			.action = lane->number,
			.kind = DATA_WINDOW,
			.columns = lane->columns,
			.rows = lane->rows,
		};
	return 0;
}

static int (*const handlers[BRIDGE_TYPE_COUNT])(
	struct ssh_engine *e, const struct bridge_frame *frame) = {
	[BRIDGE_LOGIN] = on_login,
	[BRIDGE_FAILED] = on_failed,
	[BRIDGE_REQUEST] = on_request,
	[BRIDGE_GONE] = on_gone,
	[BRIDGE_RESULT] = on_result,
	[BRIDGE_WINDOW] = on_window,
	[BRIDGE_HOST_GONE] = on_host_gone,
	[BRIDGE_DATA] = ssh_take_data,
	[BRIDGE_CARRIED] = on_carried,
	[BRIDGE_ALLOWANCE] = on_allowance,
	[BRIDGE_CONNECT] = on_connect,
};

int ssh_take_frame(struct ssh_engine *e, const struct bridge_frame *frame)
{
	return handlers[frame->type] ? handlers[frame->type](e, frame) : -EBADMSG;
}
