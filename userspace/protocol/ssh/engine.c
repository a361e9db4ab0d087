/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/memory.h"
#include "base/text.h"
#include "protocol/ssh/facts.h"
#include "protocol/ssh/output.h"
#include "protocol/ssh/ssh.h"
#include "protocol/ssh/tunnel.h"

enum lane_state {
	LANE_IDLE, /* nothing is asked */
	LANE_WAITING, /* for its turn to be judged */
	LANE_ASKED, /* the pipe has its action */
	LANE_FINDING, /* the process finds once more what it is about, and asks again */
	LANE_COLLECTING, /* it takes in what a shell is to read */
};

struct lane {
	struct list link; /* engine.lanes */
	uint32_t id;
	enum lane_state state;
	bool asked; /* the pipe has its action, or had it before judging it again */
	enum bridge_kind kind; /* of what is asked, or was allowed last */
	bool terminal, record;
	bool lines; /* a shell reads what is typed */
	uint8_t inside; /* BRIDGE_INSPECT_SFTP or _PUSH: its bytes are understood */
	uint16_t columns, rows;
	uint64_t number; /* of the action that runs; 0: none */
	struct tunnel *tunnel; /* what it carries is not known yet */
	struct ssh_output *output; /* that is masked; NULL: it passes as it is */
	bool cut; /* what it carried was refused, and nothing of it passes any more */
	bool partial; /* what is asked is not all that would be run */
	/* The variables that were let through for what is to run, each with a NUL behind it. */
	struct buffer environment;
	bool has_more; /* than `environment` has room for */
	struct ssh_facts facts; /* of what is asked */
};

struct engine {
	struct protocol_engine base;
	struct list lanes;
	size_t count;
	char user[64];
	bool has_event;
	struct protocol_event event;
	char tag[256]; /* of the event */
	struct buffer context; /* what the last bind() gave */
	bool closed;
};

static struct engine *engine_of(struct protocol_engine *e)
{
	return container_of(e, struct engine, base);
}

/* --- lanes --- */

static struct lane *find(struct engine *e, uint32_t id)
{
	list_for_each (position, &e->lanes) {
		struct lane *lane = list_entry(position, struct lane, link);

		if (lane->id == id)
			return lane;
	}
	return NULL;
}

static struct lane *find_or_make(struct engine *e, uint32_t id)
{
	struct lane *lane = find(e, id);

	if (lane || id == 0 || e->count >= LIMIT_SSH_LANES)
		return lane;
	lane = memory_new(sizeof(*lane));
	lane->id = id;
	buffer_init(&lane->environment, LIMIT_SSH_ENVIRONMENT);
	list_append(&e->lanes, &lane->link);
	e->count++;
	return lane;
}

static void free_lane(struct engine *e, struct lane *lane)
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

static int tell(struct protocol_engine *base, enum bridge_type type, uint32_t lane,
	struct slice head, struct slice body)
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

static int tell_text(
	struct protocol_engine *base, enum bridge_type type, uint32_t lane, struct slice text)
{
	return tell(base, type, lane, SLICE_EMPTY, slice_head(text, BRIDGE_BODY_MOST));
}

/* --- what the process says --- */

static struct protocol_event *set_event(struct engine *e, enum protocol_event_type type)
{
	e->event = (struct protocol_event){.type = type};
	e->has_event = true;
	return &e->event;
}

static int on_login(struct engine *e, const struct bridge_frame *frame)
{
	if (frame->lane != 0 || frame->body.length >= sizeof(e->user) || e->user[0])
		return -EBADMSG;
	snprintf(e->user, sizeof(e->user), "%.*s", SLICE_PRINT(frame->body));
	set_event(e, EVENT_LOGIN)->login.user = slice_from_string(e->user);
	return 0;
}

static void close_for(struct engine *e, enum reason reason, struct slice text)
{
	struct protocol_event *event = set_event(e, EVENT_CLOSE);

	e->closed = true;
	event->note.reason = reason;
	event->note.text = text;
}

/* The process tells the agent by itself. */
static int on_failed(struct engine *e, const struct bridge_frame *frame)
{
	close_for(e, REASON_UPSTREAM_LOGIN, frame->body);
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

static int read_request(struct lane *lane, const struct bridge_request *request)
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
static bool wants_script(const struct engine *e, const struct lane *lane)
{
	return (lane->kind == BRIDGE_EXEC || lane->kind == BRIDGE_SHELL) && !lane->terminal &&
		lane->facts.reader != READER_NONE && e->base.host->needs_facts;
}

static int collect(struct engine *e, struct lane *lane)
{
	lane->state = LANE_COLLECTING;
	return tell(&e->base, BRIDGE_COLLECT, lane->id, SLICE_EMPTY, SLICE_EMPTY);
}

static int on_script(struct lane *lane, struct slice text)
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

static int on_request(struct engine *e, const struct bridge_frame *frame)
{
	struct bridge_request request;
	struct lane *lane;
	int r;

	if (bridge_decode_request(frame->body, &request) < 0)
		return -EBADMSG;
	lane = find_or_make(e, frame->lane);
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

static int on_gone(struct engine *e, const struct bridge_frame *frame)
{
	struct lane *lane = find(e, frame->lane);

	if (!lane)
		return -EBADMSG;
	if (lane->asked) {
		struct protocol_event *event = set_event(e, EVENT_DROPPED);

		event->dropped.lane = lane->id;
		event->dropped.why = "the agent gave it up";
	}
	free_lane(e, lane);
	return 0;
}

static int on_result(struct engine *e, const struct bridge_frame *frame)
{
	struct lane *lane = find(e, frame->lane);
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
	event = set_event(e, EVENT_RESULT);
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

static int on_window(struct engine *e, const struct bridge_frame *frame)
{
	struct lane *lane = find(e, frame->lane);

	if (!lane || frame->body.length != 4)
		return -EBADMSG;
	lane->columns = bytes_get_u16(frame->body.data);
	lane->rows = bytes_get_u16(frame->body.data + 2);
	if (lane->number && lane->terminal)
		set_event(e, EVENT_DATA)->data = (struct protocol_data){
			.action = lane->number,
			.kind = DATA_WINDOW,
			.columns = lane->columns,
			.rows = lane->rows,
		};
	return 0;
}

static int give_back(struct engine *e, struct lane *lane)
{
	const uint8_t input = BRIDGE_STDIN, output = BRIDGE_STDOUT;
	int r = tell(&e->base, BRIDGE_DATA, lane->id, slice_of(&input, 1),
		tunnel_kept(lane->tunnel, SIDE_AGENT));

	if (r == 0)
		r = tell(&e->base, BRIDGE_DATA, lane->id, slice_of(&output, 1),
			tunnel_kept(lane->tunnel, SIDE_SERVER));
	tunnel_free(lane->tunnel);
	lane->tunnel = NULL;
	return r;
}

static int pass_tunnel(struct engine *e, struct lane *lane)
{
	const uint8_t unread = 0;
	int r = give_back(e, lane);

	return r < 0 ? r
		     : tell(&e->base, BRIDGE_ALLOW, lane->id, slice_of(&unread, 1), SLICE_EMPTY);
}

/* What is known is judged as what it is, at its place. */
static int carry_tunnel(struct engine *e, struct lane *lane)
{
	struct protocol_host *host = e->base.host;
	int r = host->carry ? host->carry(host, lane->id, tunnel_place(lane->tunnel)) : -ENOENT;

	if (r == 0)
		r = tell(&e->base, BRIDGE_CARRY, lane->id, SLICE_EMPTY, SLICE_EMPTY);
	return r < 0 ? r : give_back(e, lane);
}

/* Nothing would judge it. */
static int refuse_tunnel(struct engine *e, struct lane *lane, const char *name)
{
	struct protocol_event *event = set_event(e, EVENT_NOTE);

	snprintf(e->tag, sizeof(e->tag), "in a forward: %s", name);
	event->note.reason = REASON_WRONG_PROTOCOL;
	event->note.text = slice_from_string(e->tag);
	if (e->base.host->observes)
		return pass_tunnel(e, lane);
	tunnel_free(lane->tunnel);
	lane->tunnel = NULL;
	lane->cut = true;
	return tell_text(&e->base, BRIDGE_DENY, lane->id, event->note.text);
}

/* Empty: that side has ended. What few bytes there are then can't do anything alone. */
static int on_tunnel_data(struct engine *e, struct lane *lane, struct slice body)
{
	enum side from = body.data[0] == BRIDGE_STDIN ? SIDE_AGENT : SIDE_SERVER;
	const char *name;
	int r;

	/* The process sent it before it read the refusal. */
	if (lane->cut)
		return 0;
	if (!lane->tunnel)
		return tell(&e->base, BRIDGE_DATA, lane->id, SLICE_EMPTY, body);
	if (body.length == 1)
		return pass_tunnel(e, lane);
	switch (tunnel_take(lane->tunnel, from, slice_from(body, 1), &name)) {
	case DETECTION_YES:
		r = carry_tunnel(e, lane);
		return r < 0 && lane->tunnel ? refuse_tunnel(e, lane, name) : r;
	case DETECTION_NO:
		return pass_tunnel(e, lane);
	default:
		return 0;
	}
}

static const enum protocol_data_kind data_kinds[] = {
	[BRIDGE_STDIN] = DATA_INPUT,
	[BRIDGE_STDOUT] = DATA_OUTPUT,
	[BRIDGE_STDERR] = DATA_ERROR,
};

static void record_data(
	struct engine *e, const struct lane *lane, enum bridge_stream stream, struct slice bytes)
{
	if (lane->record && bytes.length)
		set_event(e, EVENT_DATA)->data = (struct protocol_data){
			.action = lane->number,
			.kind = data_kinds[stream],
			.bytes = bytes,
		};
}

/* In as many frames as it takes. */
static int tell_masked(
	struct engine *e, const struct lane *lane, struct bridge_masked *m, struct slice shown)
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
	struct engine *e, struct lane *lane, enum bridge_stream stream, struct slice bytes)
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
static int on_data(struct engine *e, const struct bridge_frame *frame)
{
	struct lane *lane = find(e, frame->lane);
	enum bridge_stream stream;
	struct slice bytes;

	if (!lane || !lane->number || frame->body.length < 1 ||
		frame->body.length > 1 + BRIDGE_DATA_MOST ||
		frame->body.data[0] >= BRIDGE_STREAM_COUNT)
		return -EBADMSG;
	if (lane->kind == BRIDGE_FORWARD)
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
	return tell(&e->base, BRIDGE_DATA, frame->lane, SLICE_EMPTY, frame->body);
}

static int (*const handlers[BRIDGE_TYPE_COUNT])(
	struct engine *e, const struct bridge_frame *frame) = {
	[BRIDGE_LOGIN] = on_login,
	[BRIDGE_FAILED] = on_failed,
	[BRIDGE_REQUEST] = on_request,
	[BRIDGE_GONE] = on_gone,
	[BRIDGE_RESULT] = on_result,
	[BRIDGE_WINDOW] = on_window,
	[BRIDGE_DATA] = on_data,
};

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
	struct engine *e = memory_new(sizeof(*e));

	e->base = (struct protocol_engine){.protocol = &protocol_ssh, .host = host};
	list_init(&e->lanes);
	/* Each byte of it is shown as four at most. */
	buffer_init(&e->context, 8 * LIMIT_SSH_ENVIRONMENT);
	return &e->base;
}

static void ssh_close(struct protocol_engine *base)
{
	struct engine *e = engine_of(base);

	list_for_each_safe (position, &e->lanes)
		free_lane(e, list_entry(position, struct lane, link));
	buffer_done(&e->context);
	free(e);
}

static int ssh_input(
	struct protocol_engine *base, enum side side, struct slice in, size_t *ret_taken)
{
	struct engine *e = engine_of(base);
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
			r = handlers[frame.type] ? handlers[frame.type](e, &frame) : -EBADMSG;
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
	const struct engine *e = container_of(base, const struct engine, base);

	return side == SIDE_SERVER && !e->closed;
}

static bool ssh_is_busy(const struct protocol_engine *base)
{
	const struct engine *e = container_of(base, const struct engine, base);

	list_for_each (position, &e->lanes) {
		if (list_entry(position, const struct lane, link)->number)
			return true;
	}
	return false;
}

/* The process is gone, and the agent's connection with it. */
static void ssh_end(struct protocol_engine *base, enum side side)
{
	(void)side;
	if (!engine_of(base)->closed)
		close_for(engine_of(base), REASON_NONE, SLICE_EMPTY);
}

/* In their order; one that waits for people keeps no other from being judged. */
static bool ask_next(struct engine *e, struct protocol_event *ret)
{
	list_for_each (position, &e->lanes) {
		struct lane *lane = list_entry(position, struct lane, link);

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
	struct engine *e = engine_of(base);

	if (e->has_event) {
		*ret = e->event;
		e->has_event = false;
		return true;
	}
	return !e->closed && ask_next(e, ret);
}

/* --- answers --- */

static struct lane *asked_lane(struct protocol_engine *base, uint32_t id)
{
	struct lane *lane = find(engine_of(base), id);

	return lane && lane->asked ? lane : NULL;
}

/* What the host could open, or use, on the agent's side. */
static bool is_backward(const struct lane *lane)
{
	return lane->kind >= BRIDGE_REMOTE_FORWARD && lane->kind <= BRIDGE_X11;
}

static bool is_text(const struct lane *lane)
{
	return lane->kind == BRIDGE_SHELL ||
		(lane->kind == BRIDGE_EXEC &&
			lane->facts.action.pairs[0].operation == OPERATION_SSH_EXEC);
}

/* Files by SFTP and git are no text, of variables nothing comes back. */
static bool has_nothing_to_mask(const struct lane *lane)
{
	return lane->kind == BRIDGE_ENV || lane->kind == BRIDGE_DEEDS ||
		lane->kind == BRIDGE_LINE || lane->inside ||
		(lane->kind == BRIDGE_EXEC && !is_text(lane));
}

/* What passes on its standard output is files, of which nothing is masked; stderr is. */
static bool carries_files(const struct lane *lane)
{
	return lane->inside || (lane->kind == BRIDGE_EXEC && !is_text(lane)) ||
		(lane->kind == BRIDGE_EXEC && !lane->terminal &&
			ssh_output_carries_files(lane->facts.action.text));
}

/* Columns and JSON are nowhere in what a command writes: where a rule names them, it means
 * something that can't be found here. */
static bool can_mask(const struct lane *lane, const struct mask_rules *rules)
{
	return has_nothing_to_mask(lane) ||
		(is_text(lane) && !rules->column_count && !rules->json_count);
}

static int check_lane(
	const struct lane *lane, const struct mask_rules *rules, struct protocol_refusal *ret)
{
	if (is_backward(lane)) {
		*ret = (struct protocol_refusal){REASON_NOT_BUILT,
			slice_from_string("denied: nothing carries this kind of forwarding")};
		return -EPERM;
	}
	if (rules && !can_mask(lane, rules)) {
		*ret = (struct protocol_refusal){REASON_MASK_IMPOSSIBLE,
			slice_from_string("denied: what SSH carries here can't be masked so")};
		return -EPERM;
	}
	return 0;
}

static int ssh_mask(struct protocol_engine *base, uint32_t id, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret)
{
	struct lane *lane = asked_lane(base, id);
	int r;

	if (!lane)
		return 0;
	lane->record = record_rows;
	ssh_output_free(lane->output);
	lane->output = NULL;
	r = check_lane(lane, rules, ret);
	if (r == 0 && rules && (is_text(lane) || carries_files(lane)))
		lane->output = ssh_output_new(base->host, rules, carries_files(lane));
	return r;
}

static int ssh_would_refuse(struct protocol_engine *base, uint32_t id,
	const struct mask_rules *rules, struct protocol_refusal *ret)
{
	const struct lane *lane = asked_lane(base, id);

	return lane ? check_lane(lane, rules, ret) : 0;
}

static void leave_lane(struct lane *lane)
{
	lane->asked = false;
	lane->state = LANE_IDLE;
	ssh_facts_done(&lane->facts);
}

static bool runs(const struct lane *lane)
{
	return lane->kind == BRIDGE_EXEC || lane->kind == BRIDGE_SHELL ||
		lane->kind == BRIDGE_SUBSYSTEM || lane->kind == BRIDGE_DEEDS ||
		lane->kind == BRIDGE_FORWARD;
}

/* A terminal is always recorded, what a command writes where the rule says so. Subsystems and git
 * carry files. */
static uint8_t recorded(const struct lane *lane)
{
	if (lane->inside || lane->kind == BRIDGE_SUBSYSTEM || lane->kind == BRIDGE_DEEDS ||
		lane->kind == BRIDGE_FORWARD)
		return 0;
	if (lane->terminal || lane->kind == BRIDGE_SHELL)
		return BRIDGE_INSPECT_INPUT | BRIDGE_INSPECT_OUTPUT;
	return lane->record ? BRIDGE_INSPECT_OUTPUT : 0;
}

static uint8_t inspected(const struct lane *lane, const struct protocol_host *host)
{
	uint8_t inspect = recorded(lane);

	if (lane->lines && host->judges_lines)
		inspect |= BRIDGE_INSPECT_LINES;
	if (lane->output)
		inspect |= BRIDGE_INSPECT_MASK;
	if (lane->inside)
		return inspect | lane->inside | (host->observes ? BRIDGE_INSPECT_OBSERVE : 0);
	if (lane->kind == BRIDGE_FORWARD)
		return BRIDGE_INSPECT_INPUT | BRIDGE_INSPECT_OUTPUT;
	if (lane->output && !ssh_output_is_binary(lane->output))
		inspect |= BRIDGE_INSPECT_OUTPUT;
	return inspect;
}

static void keep_variable(struct lane *lane)
{
	struct slice text = lane->facts.action.text;

	if (lane->has_more ||
		buffer_length(&lane->environment) + text.length + 1 > LIMIT_SSH_ENVIRONMENT) {
		lane->has_more = true;
		return;
	}
	buffer_append_slice(&lane->environment, text);
	buffer_append_byte(&lane->environment, '\0');
}

static int ssh_release(struct protocol_engine *base, uint32_t id, uint64_t number)
{
	struct engine *e = engine_of(base);
	struct lane *lane = asked_lane(base, id);
	uint8_t inspect = 0;

	if (!lane)
		return 0;
	if (lane->kind == BRIDGE_ENV)
		keep_variable(lane);
	if (runs(lane)) {
		tunnel_free(lane->tunnel);
		lane->tunnel =
			lane->kind == BRIDGE_FORWARD ? tunnel_new(lane->facts.action.text) : NULL;
	}
	leave_lane(lane);
	if (runs(lane)) {
		inspect = inspected(lane, base->host);
		lane->number = number;
		lane->record = recorded(lane);
		lane->cut = false;
	}
	if (lane->record && lane->terminal)
		set_event(e, EVENT_DATA)->data = (struct protocol_data){
			.action = number,
			.kind = DATA_WINDOW,
			.columns = lane->columns,
			.rows = lane->rows,
		};
	return tell(base, BRIDGE_ALLOW, id, slice_of(&inspect, 1), SLICE_EMPTY);
}

static int refuse_deeds(
	struct protocol_engine *base, uint32_t id, const struct protocol_refusal *refusal)
{
	struct buffer body;
	int r;

	buffer_init(&body, BRIDGE_BODY_MOST);
	r = buffer_append_slice(&body, refusal->text);
	if (r == 0 && refusal->object.length)
		r = buffer_append_byte(&body, 0);
	if (r == 0)
		r = buffer_append_slice(&body, refusal->object);
	if (r == 0)
		r = tell(base, BRIDGE_DENY, id, SLICE_EMPTY, buffer_slice(&body));
	buffer_done(&body);
	return r;
}

static int ssh_refuse(struct protocol_engine *base, uint32_t id, uint64_t number,
	const struct protocol_refusal *refusal)
{
	struct lane *lane = asked_lane(base, id);
	int r;

	(void)number;
	if (!lane)
		return 0;
	/* The object may be the lane's. */
	r = lane->kind == BRIDGE_DEEDS ? refuse_deeds(base, id, refusal)
				       : tell_text(base, BRIDGE_DENY, id, refusal->text);
	leave_lane(lane);
	return r;
}

/* On one line, so that no value looks like a line of its own. */
static int put_line(struct buffer *b, const char *name, struct slice value)
{
	int r = buffer_append_format(b, "\n%s: ", name);

	while (r == 0 && value.length) {
		const uint8_t *end = memchr(value.data, '\n', value.length);
		size_t length = end ? (size_t)(end - value.data) : value.length;

		r = text_append_visible(b, slice_head(value, length));
		if (r == 0 && end)
			r = buffer_append_string(b, "\\x0a");
		value = slice_from(value, length + 1);
	}
	return r;
}

/* Commands read what is in the environment, and a line that is typed what the shell was told
 * before. */
static int put_context(struct engine *e, const struct lane *lane)
{
	const uint8_t *n = e->base.host->nonce + 16;
	struct slice rest = buffer_slice(&lane->environment);
	int r;

	buffer_clear(&e->context);
	r = buffer_append_string(&e->context, e->user);
	while (r == 0 && rest.length) {
		struct slice one = slice_from_string((const char *)rest.data);

		r = put_line(&e->context, "env", one);
		rest = slice_from(rest, one.length + 1);
	}
	if (r == 0 && lane->kind == BRIDGE_LINE)
		r = buffer_append_format(
			&e->context, "\nonly in session: %02x%02x%02x%02x", n[0], n[1], n[2], n[3]);
	return r;
}

static int ssh_bind(struct protocol_engine *base, uint32_t id, struct protocol_binding *ret)
{
	struct engine *e = engine_of(base);
	struct lane *lane = asked_lane(base, id);
	int r;

	if (!lane)
		return -ENOTSUP;
	if (lane->partial)
		return lane->kind == BRIDGE_LINE ? -ENOTSUP : -E2BIG;
	r = lane->has_more ? -E2BIG : put_context(e, lane);
	if (r < 0)
		return r;
	*ret = (struct protocol_binding){.context = buffer_slice(&e->context)};
	/* The same words as a command and as a variable are not the same question. */
	ret->bound[0] = slice_of(&lane->kind, sizeof(lane->kind));
	ret->bound[1] = slice_of(&lane->terminal, sizeof(lane->terminal));
	ret->bound[2] = buffer_slice(&lane->environment);
	return 0;
}

static bool ssh_reassure(struct protocol_engine *base, uint32_t id, struct slice text)
{
	/* The process keeps the connection alive by itself. */
	return asked_lane(base, id) &&
		(!text.length || tell_text(base, BRIDGE_NOTICE, id, text) == 0);
}

/* Names of files, which only the host can say what they mean. */
static bool has_paths(const struct lane *lane)
{
	return lane->kind == BRIDGE_DEEDS &&
		lane->facts.action.pairs[0].operation != OPERATION_GIT_PUSH;
}

static bool ssh_judge_again(struct protocol_engine *base, uint32_t id, bool anew)
{
	struct lane *lane = asked_lane(base, id);

	if (!lane || lane->state != LANE_ASKED)
		return false;
	lane->state = LANE_WAITING;
	if (anew && has_paths(lane) && tell(base, BRIDGE_AGAIN, id, SLICE_EMPTY, SLICE_EMPTY) == 0)
		lane->state = LANE_FINDING;
	return true;
}

static void ssh_abort(struct protocol_engine *base, const struct protocol_refusal *refusal)
{
	struct engine *e = engine_of(base);

	if (e->closed)
		return;
	tell_text(base, BRIDGE_REFUSED, 0, refusal->text);
	close_for(e, refusal->reason, SLICE_EMPTY);
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
