/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "ssh/relay.h"

/* The only way to a request's terminal are functions that the library calls outdated. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#define EXIT_DENIED 126 /* sh(1): found, and can't be executed */

/* --- the library calls back --- */

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
	lane->status = (uint32_t)status;
}

static void on_exit_signal(ssh_session session, ssh_channel channel, const char *name, int core,
	const char *message, const char *language, void *context)
{
	struct lane *lane = context;

	(void)session;
	(void)channel;
	(void)core;
	(void)message;
	(void)language;
	snprintf(lane->exit_signal, sizeof(lane->exit_signal), "%s", name);
}

static void listen_to(struct lane *lane)
{
	lane->agent_callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = lane, .channel_signal_function = on_signal};
	ssh_callbacks_init(&lane->agent_callbacks);
	lane->server_callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = lane,
		.channel_exit_status_function = on_exit_status,
		.channel_exit_signal_function = on_exit_signal,
	};
	ssh_callbacks_init(&lane->server_callbacks);
	if (lane->agent)
		ssh_set_channel_callbacks(lane->agent, &lane->agent_callbacks);
	if (lane->server)
		ssh_set_channel_callbacks(lane->server, &lane->server_callbacks);
}

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

struct lane *lane_of(struct relay *r, ssh_channel agent)
{
	list_for_each (position, &r->lanes) {
		struct lane *lane = list_entry(position, struct lane, link);

		if (lane->agent && lane->agent == agent)
			return lane;
	}
	return NULL;
}

/* Names and addresses; what else a host would make of a text only it knows. */
static bool is_host(const char *host)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
	size_t length = strlen(host);

	return length && length <= LIMIT_SSH_HOST && strspn(host, plain) == length;
}

/* The host could connect to anything through these, or anything to the agent, so they are asked for
 * like commands. */
static void ask_for_place(struct lane *lane, enum bridge_kind kind, const char *host, int port)
{
	char place[LIMIT_SSH_HOST + 16];

	lane->kind = kind;
	if (kind == BRIDGE_FORWARD && !is_host(host)) {
		lane->ended = true;
		return;
	}
	snprintf(place, sizeof(place), strchr(host, ':') ? "[%.250s]:%d" : "%.250s:%d", host, port);
	for (char *c = place; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
	lane->step = LANE_ASKING;
	lane->told = true;
	link_request(&lane->relay->link, lane->id,
		&(struct bridge_request){.kind = kind, .text = slice_from_string(place)});
}

/* NULL: there are too many; the message is answered. */
static struct lane *new_lane(struct relay *r, ssh_message message)
{
	struct lane *lane;

	if (r->lane_count >= LIMIT_SSH_CHANNELS) {
		ssh_message_reply_default(message);
		ssh_message_free(message);
		return NULL;
	}
	lane = memory_new(sizeof(*lane));
	lane->relay = r;
	lane->id = ++r->last_lane;
	lane->open = message;
	lane->status = BRIDGE_NO_STATUS;
	list_append(&r->lanes, &lane->link);
	r->lane_count++;
	return lane;
}

/* Nothing here could carry it, so that it is refused whatever the answer is; but what was wanted is
 * recorded, and that takes an answer. */
void lane_open_listener(struct relay *r, ssh_message message)
{
	struct lane *lane = new_lane(r, message);

	if (lane)
		ask_for_place(lane, BRIDGE_REMOTE_FORWARD,
			ssh_message_global_request_address(message),
			ssh_message_global_request_port(message));
}

void lane_open(struct relay *r, ssh_message message)
{
	int type = ssh_message_subtype(message);
	struct lane *lane = new_lane(r, message);

	if (!lane)
		return;
	if (type == SSH_CHANNEL_SESSION && !r->refused)
		lane->server = ssh_channel_new(r->server);
	else if (type == SSH_CHANNEL_DIRECT_TCPIP && !r->refused)
		ask_for_place(lane, BRIDGE_FORWARD,
			ssh_message_channel_request_open_destination(message),
			ssh_message_channel_request_open_destination_port(message));
	else if (type != SSH_CHANNEL_SESSION)
		lane->ended = true;
}

static void drop_requests(struct lane *lane)
{
	for (size_t i = 0; i < lane->request_count; i++)
		ssh_message_free(lane->requests[i]);
	lane->request_count = 0;
}

void lane_free(struct lane *lane)
{
	struct relay *r = lane->relay;

	inside_end(lane);
	typed_end(lane);
	carry_end(lane);
	if (lane->open) {
		ssh_message_reply_default(lane->open);
		ssh_message_free(lane->open);
	}
	drop_requests(lane);
	if (lane->agent)
		ssh_channel_free(lane->agent);
	if (lane->server)
		ssh_channel_free(lane->server);
	for (size_t i = 0; i < BRIDGE_STREAM_COUNT; i++)
		flow_done(&lane->flows[i]);
	if (lane->told && !r->alone)
		link_tell(&r->link, BRIDGE_GONE, lane->id, SLICE_EMPTY, SLICE_EMPTY);
	list_remove(&lane->link);
	r->lane_count--;
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
		lane->flows[i].from = NULL;
	}
	lane->ended = true;
}

static void fail(struct lane *lane, struct slice text)
{
	if (lane->kind != BRIDGE_FORWARD)
		lane_say(lane, text);
	cut(lane);
	lane->status = EXIT_DENIED;
	lane->exit_signal[0] = '\0';
}

/* --- opening --- */

static void accept_channel(struct lane *lane)
{
	lane->agent = ssh_message_channel_request_open_reply_accept(lane->open);
	ssh_message_free(lane->open);
	lane->open = NULL;
	if (!lane->agent) {
		lane->ended = true;
		return;
	}
	listen_to(lane);
	flow_init(&lane->flows[BRIDGE_STDIN], lane->agent, lane->server, BRIDGE_STDIN);
	flow_init(&lane->flows[BRIDGE_STDOUT], lane->server, lane->agent, BRIDGE_STDOUT);
	flow_init(&lane->flows[BRIDGE_STDERR], lane->server, lane->agent, BRIDGE_STDERR);
	lane->step = LANE_IDLE;
}

/* SSH_AGAIN: the host has not answered yet; the call is made again with the same values. */
static int open_server(struct lane *lane)
{
	if (!lane->server)
		return SSH_OK;
	if (lane->kind != BRIDGE_FORWARD)
		return ssh_channel_open_session(lane->server);
	return ssh_channel_open_forward(lane->server,
		ssh_message_channel_request_open_destination(lane->open),
		ssh_message_channel_request_open_destination_port(lane->open), "127.0.0.1", 0);
}

static bool turn_opening(struct lane *lane)
{
	int rc = open_server(lane);

	if (rc == SSH_AGAIN)
		return false;
	if (rc == SSH_OK) {
		accept_channel(lane);
		lane->started = lane->kind == BRIDGE_FORWARD && lane->agent;
		return true;
	}
	if (lane->kind == BRIDGE_FORWARD && !lane->relay->alone)
		link_result(&lane->relay->link, lane->id,
			&(struct bridge_result){.status = BRIDGE_NO_STATUS});
	lane->ended = true; /* the host refused it, and so do we */
	return true;
}

/* --- requests --- */

void lane_request(struct lane *lane, ssh_message message)
{
	if (lane->request_count < LIMIT_SSH_REQUESTS) {
		lane->requests[lane->request_count++] = message;
		return;
	}
	ssh_message_reply_default(message);
	ssh_message_free(message);
}

static void finish_request(struct lane *lane, bool success)
{
	ssh_message message = lane->requests[0];

	lane->request_count--;
	memmove(lane->requests, lane->requests + 1, lane->request_count * sizeof(*lane->requests));
	lane->step = LANE_IDLE;
	if (lane->answered)
		lane->answered = false;
	else if (success)
		ssh_message_channel_request_reply_success(message);
	else
		ssh_message_reply_default(message);
	ssh_message_free(message);
}

static void ask(struct lane *lane, enum bridge_kind kind, struct slice text)
{
	const struct bridge_request request = {
		.kind = kind,
		.terminal = lane->terminal,
		.columns = lane->columns,
		.rows = lane->rows,
		.text = text,
	};

	lane->kind = kind;
	lane->step = LANE_ASKING;
	lane->told = true;
	link_request(&lane->relay->link, lane->id, &request);
}

/* --- what a shell is to read --- */

static void wait_for_script(struct flow *f)
{
	f->due = clock_monotonic() + LIMIT_SSH_SCRIPT_TIME * NANOSECONDS_PER_MILLISECOND;
}

/* Some send nothing before they know that it runs. */
static void begin_script(struct lane *lane)
{
	ssh_message_channel_request_reply_success(lane->requests[0]);
	lane->answered = true;
	lane->step = LANE_COLLECTING;
	wait_for_script(&lane->flows[BRIDGE_STDIN]);
}

static void ask_for_script(struct lane *lane, bool whole)
{
	struct slice script = buffer_slice(&lane->flows[BRIDGE_STDIN].pending);
	struct bridge_request request = {.kind = BRIDGE_SCRIPT};
	struct buffer text;

	lane->flows[BRIDGE_STDIN].due = 0;
	lane->whole = whole;
	if (whole)
		lane->flows[BRIDGE_STDIN].from = NULL;
	buffer_init(&text, BRIDGE_BODY_MOST / 2 + BRIDGE_DATA_MOST);
	if (buffer_append_byte(&text, whole) == 0 &&
		buffer_append_slice(&text, slice_head(script, LIMIT_SSH_SCRIPT)) == 0) {
		request.text = buffer_slice(&text);
		lane->step = LANE_ASKING;
		link_request(&lane->relay->link, lane->id, &request);
	}
	buffer_done(&text);
}

/* It is kept for the host, and shown to the worker: all of it, or as much as there is when too much
 * came, or nothing more for a while. */
static bool turn_collecting(struct lane *lane)
{
	struct flow *f = &lane->flows[BRIDGE_STDIN];
	uint8_t bytes[BRIDGE_DATA_MOST];
	int n = ssh_channel_read_nonblocking(f->from, bytes, sizeof(bytes), false);

	if (n > 0) {
		f->bytes += (size_t)n;
		wait_for_script(f);
		if (buffer_append(&f->pending, bytes, (size_t)n) < 0)
			lane->ended = true;
	}
	if (buffer_length(&f->pending) > LIMIT_SSH_SCRIPT)
		ask_for_script(lane, false);
	else if (n <= 0 && ssh_channel_is_eof(f->from))
		ask_for_script(lane, true);
	else if (n <= 0 && clock_monotonic() >= f->due)
		ask_for_script(lane, false);
	else
		return n > 0;
	return true;
}

static void ask_variable(struct lane *lane, ssh_message m)
{
	char *text = memory_format("%s=%s", ssh_message_channel_request_env_name(m),
		ssh_message_channel_request_env_value(m));

	ask(lane, BRIDGE_ENV, slice_from_string(text));
	free(text);
}

static uint16_t size_of(int characters)
{
	return characters < 0 || characters > UINT16_MAX ? 0 : (uint16_t)characters;
}

static void take_window(struct lane *lane, ssh_message m)
{
	lane->columns = size_of(ssh_message_channel_request_pty_width(m));
	lane->rows = size_of(ssh_message_channel_request_pty_height(m));
}

static void change_window(struct lane *lane, ssh_message m)
{
	uint8_t size[4];

	take_window(lane, m);
	if (lane->server)
		ssh_channel_change_pty_size(lane->server, lane->columns, lane->rows);
	bytes_put_u16(size, lane->columns);
	bytes_put_u16(size + 2, lane->rows);
	if (lane->started && !lane->relay->alone)
		link_tell(&lane->relay->link, BRIDGE_WINDOW, lane->id, slice_of(size, sizeof(size)),
			SLICE_EMPTY);
	finish_request(lane, true);
}

/* The agent is answered as if it ran, and reads why it does not. */
static void refuse_to_run(struct lane *lane, struct slice text)
{
	finish_request(lane, true);
	fail(lane, text);
}

static bool is_to_run(const struct lane *lane)
{
	int type = ssh_message_subtype(lane->requests[0]);

	return type == SSH_CHANNEL_REQUEST_EXEC || type == SSH_CHANNEL_REQUEST_SHELL ||
		type == SSH_CHANNEL_REQUEST_SUBSYSTEM;
}

void lane_refuse(struct lane *lane, struct slice text)
{
	if (!lane->agent)
		lane->ended = true;
	else if (lane->started)
		fail(lane, text);
	else if (lane->step != LANE_IDLE && is_to_run(lane))
		refuse_to_run(lane, text);
	else if (lane->step != LANE_IDLE)
		finish_request(lane, false);
}

static void begin_to_run(struct lane *lane, enum bridge_kind kind, const char *text)
{
	struct relay *r = lane->relay;

	if (r->refused)
		refuse_to_run(lane, slice_from_string(r->refused));
	else if (lane->started)
		finish_request(lane, false); /* RFC 4254, 6.5: one per channel */
	else
		ask(lane, kind, slice_from_string(text));
}

static void begin_request(struct lane *lane)
{
	ssh_message m = lane->requests[0];

	switch (ssh_message_subtype(m)) {
	case SSH_CHANNEL_REQUEST_PTY:
		if (lane->started) {
			finish_request(lane, false);
			break;
		}
		take_window(lane, m);
		lane->terminal = true;
		lane->step = LANE_REQUESTING;
		break;
	case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
		change_window(lane, m);
		break;
	case SSH_CHANNEL_REQUEST_ENV:
		if (lane->relay->refused || lane->started)
			finish_request(lane, false);
		else
			ask_variable(lane, m);
		break;
	case SSH_CHANNEL_REQUEST_EXEC:
		begin_to_run(lane, BRIDGE_EXEC, ssh_message_channel_request_command(m));
		break;
	case SSH_CHANNEL_REQUEST_SHELL:
		begin_to_run(lane, BRIDGE_SHELL, "");
		break;
	case SSH_CHANNEL_REQUEST_SUBSYSTEM:
		begin_to_run(lane, BRIDGE_SUBSYSTEM, ssh_message_channel_request_subsystem(m));
		break;
	default:
		finish_request(lane, false);
	}
}

/* SSH_AGAIN: the host has not answered yet; the call is made again with the same values. */
static int send_request(struct lane *lane)
{
	ssh_message m = lane->requests[0];

	if (!lane->server)
		return SSH_OK;
	switch (ssh_message_subtype(m)) {
	case SSH_CHANNEL_REQUEST_PTY:
		return ssh_channel_request_pty_size(lane->server,
			ssh_message_channel_request_pty_term(m), lane->columns, lane->rows);
	case SSH_CHANNEL_REQUEST_ENV:
		return ssh_channel_request_env(lane->server,
			ssh_message_channel_request_env_name(m),
			ssh_message_channel_request_env_value(m));
	case SSH_CHANNEL_REQUEST_EXEC:
		return ssh_channel_request_exec(
			lane->server, ssh_message_channel_request_command(m));
	case SSH_CHANNEL_REQUEST_SHELL:
		return ssh_channel_request_shell(lane->server);
	default:
		return ssh_channel_request_subsystem(
			lane->server, ssh_message_channel_request_subsystem(m));
	}
}

static bool turn_requesting(struct lane *lane)
{
	int rc = send_request(lane);
	bool runs;

	if (rc == SSH_AGAIN)
		return false;
	runs = is_to_run(lane);
	if (runs && rc == SSH_OK) {
		lane->started = true;
		inside_begin(lane,
			lane->kind == BRIDGE_EXEC
				? slice_from_string(
					  ssh_message_channel_request_command(lane->requests[0]))
				: SLICE_EMPTY);
		if (lane->inspect & BRIDGE_INSPECT_LINES)
			typed_begin(lane);
	}
	if (runs && rc != SSH_OK && !lane->relay->alone)
		link_result(&lane->relay->link, lane->id,
			&(struct bridge_result){.status = BRIDGE_NO_STATUS});
	if (lane->answered && rc != SSH_OK)
		refuse_to_run(lane, slice_from_string("wayleave: the host does not run it"));
	else
		finish_request(lane, rc == SSH_OK);
	return true;
}

/* --- what the worker says --- */

static void on_allow(struct lane *lane, struct slice body)
{
	if (!lane->agent) {
		if (lane->kind == BRIDGE_FORWARD)
			lane->server = ssh_channel_new(lane->relay->server);
		lane->ended = !lane->server; /* nothing here could carry it */
		lane->inspect = body.length ? body.data[0] : 0;
		lane->step = LANE_OPENING;
		return;
	}
	if (lane->kind != BRIDGE_ENV)
		lane->inspect = body.length ? body.data[0] : 0;
	lane->step = LANE_REQUESTING;
}

static void on_deny(struct lane *lane, struct slice text)
{
	char line[4096];

	if (!lane->agent) {
		lane->ended = true;
	} else if (lane->kind == BRIDGE_ENV) {
		finish_request(lane, false);
	} else {
		snprintf(line, sizeof(line), "wayleave: %.*s", SLICE_PRINT(text));
		refuse_to_run(lane, slice_from_string(line));
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
	if (lane->kind == BRIDGE_FORWARD && body.length > f->at_worker)
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
	else if (frame->type == BRIDGE_NOTICE && lane->agent)
		lane_say(lane, frame->body);
	else if (frame->type == BRIDGE_ALLOW && lane->step == LANE_ASKING)
		on_allow(lane, frame->body);
	else if (frame->type == BRIDGE_COLLECT && lane->step == LANE_ASKING && lane->agent)
		begin_script(lane);
	else if (frame->type == BRIDGE_DENY && lane->step == LANE_ASKING)
		on_deny(lane, frame->body);
	else if (lane->kind == BRIDGE_FORWARD && lane->started)
		on_tunnel(lane, frame);
}

/* --- data --- */

/* The worker keeps what it can't tell yet; when nothing follows, it never could. So what some send
 * behind their end all the same, which nobody would have looked at, is not read (RFC 4254, 5.3). */
static void tell_end(struct lane *lane, enum bridge_stream stream, ssh_channel from)
{
	if (lane->kind != BRIDGE_FORWARD || !ssh_channel_is_eof(from))
		return;
	lane->flows[stream].from = NULL;
	if (lane->told_end || lane->relay->alone || !lane->flows[stream].at_worker)
		return;
	lane->told_end = true;
	link_data(&lane->relay->link, lane->id, stream, SLICE_EMPTY);
}

static bool turn_input(struct lane *lane)
{
	struct flow *f = &lane->flows[BRIDGE_STDIN];
	bool moved;

	/* What was refused inside is read to its end all the same. */
	if (!lane->server || (!ssh_channel_is_open(lane->server) && !lane->deeds))
		return false;
	moved = flow_turn(f, lane, lane->inspect & BRIDGE_INSPECT_INPUT);
	moved |= typed_turn(lane);
	if (ssh_channel_is_eof(lane->agent))
		inside_on_input_end(lane);
	tell_end(lane, BRIDGE_STDIN, lane->agent);
	for (size_t i = 0; i < lane->signal_count; i++)
		ssh_channel_request_send_signal(lane->server, lane->signals[i]);
	lane->signal_count = 0;
	if (!lane->input_ended && (lane->whole || ssh_channel_is_eof(lane->agent)) &&
		flow_is_dry(f) && inside_is_dry(lane, BRIDGE_STDIN) && typed_is_dry(lane)) {
		lane->input_ended = true;
		ssh_channel_send_eof(lane->server);
	}
	return moved;
}

/* What came of it, before the channel is closed. */
static void send_status(struct lane *lane)
{
	if (lane->status_sent || lane->kind == BRIDGE_FORWARD)
		return;
	lane->status_sent = true;
	if (lane->exit_signal[0])
		ssh_channel_request_send_exit_signal(lane->agent, lane->exit_signal, 0, "", "");
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

uint64_t lane_due(const struct lane *lane)
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
	if (lane->kind != BRIDGE_FORWARD)
		lane_say(lane, slice_from_string("wayleave: the connection to the host broke"));
	lane->status = BRIDGE_NO_STATUS;
	lane->exit_signal[0] = '\0';
}

static bool turn_output(struct lane *lane)
{
	bool moved = turn_streams(lane);

	if (lane->started && lane->server)
		tell_end(lane, BRIDGE_STDOUT, lane->server);
	if (!lane->ended && lane->started && ssh_channel_is_closed(lane->server)) {
		lane->ended = moved = true;
		if (!ssh_channel_is_eof(lane->server))
			lose_output(lane);
	}
	if (!lane->output_ended && flow_is_dry(&lane->flows[BRIDGE_STDOUT]) &&
		inside_is_dry(lane, BRIDGE_STDOUT) && flow_is_dry(&lane->flows[BRIDGE_STDERR]) &&
		(lane->ended || (lane->server && ssh_channel_is_eof(lane->server)))) {
		lane->output_ended = true;
		/* Some clients close the channel when the output ends, and read no more. */
		if (lane->status != BRIDGE_NO_STATUS || lane->exit_signal[0])
			send_status(lane);
		ssh_channel_send_eof(lane->agent);
	}
	return moved;
}

static void report(struct lane *lane)
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
	if (lane->started && !lane->relay->alone)
		link_result(&lane->relay->link, lane->id, &result);
	lane->started = false;
}

static void finish(struct lane *lane)
{
	send_status(lane);
	report(lane);
	ssh_channel_close(lane->agent);
	lane_free(lane);
}

static bool turn_request(struct lane *lane)
{
	if (lane->step == LANE_REQUESTING)
		return turn_requesting(lane);
	if (lane->step == LANE_COLLECTING)
		return turn_collecting(lane);
	if (lane->step != LANE_IDLE || lane->request_count == 0)
		return false;
	begin_request(lane);
	return true;
}

bool lane_turn(struct lane *lane)
{
	bool moved = false;

	if (lane->step == LANE_OPENING && !lane->ended)
		moved = turn_opening(lane);
	if (!lane->agent) {
		if (lane->ended)
			lane_free(lane);
		return lane->ended;
	}
	if (ssh_channel_is_closed(lane->agent)) {
		report(lane);
		lane_free(lane);
		return true;
	}
	if (!lane->ended)
		moved |= turn_request(lane);
	if (lane->carry) {
		moved |= carry_turn(lane);
	} else {
		if (lane->started)
			moved |= turn_input(lane);
		moved |= turn_output(lane);
	}
	if (lane->ended && lane->output_ended) {
		finish(lane);
		return true;
	}
	return moved;
}
