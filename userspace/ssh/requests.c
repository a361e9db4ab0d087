/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"
#include "base/clock.h"
#include "ssh/relay.h"

/* The only way to a request's terminal are functions that the library calls outdated. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

void requests_add(struct lane *lane, ssh_message message)
{
	if (lane->request_count < LIMIT_SSH_REQUESTS) {
		lane->requests[lane->request_count++] = message;
		lane->relay->request_count++;
		return;
	}
	ssh_message_reply_default(message);
	ssh_message_free(message);
}

void requests_drop(struct lane *lane)
{
	for (size_t i = 0; i < lane->request_count; i++)
		ssh_message_free(lane->requests[i]);
	lane->relay->request_count -= lane->request_count;
	lane->request_count = 0;
}

void requests_finish(struct lane *lane, bool success)
{
	ssh_message message = lane->requests[0];

	lane->request_count--;
	lane->relay->request_count--;
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
void requests_begin_script(struct lane *lane)
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
		flow_cut(&lane->flows[BRIDGE_STDIN]);
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
	struct slice some = flow_fetch(f);

	if (some.length) {
		f->bytes += some.length;
		wait_for_script(f);
		if (buffer_append_slice(&f->pending, some) < 0)
			lane->ended = true;
	}
	if (buffer_length(&f->pending) > LIMIT_SSH_SCRIPT)
		ask_for_script(lane, false);
	else if (!some.length && flow_is_over(f, f->from))
		ask_for_script(lane, true);
	else if (!some.length && clock_monotonic() >= f->due)
		ask_for_script(lane, false);
	else
		return some.length;
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
	if (lane->server) {
		ssh_channel_change_pty_size(lane->server, lane->columns, lane->rows);
		pressure_wrote(lane->relay, SIDE_SERVER, RELAY_REQUEST_SIZE);
	}
	bytes_put_u16(size, lane->columns);
	bytes_put_u16(size + 2, lane->rows);
	if (lane->started && !lane->relay->alone)
		link_tell(&lane->relay->link, BRIDGE_WINDOW, lane->id, slice_of(size, sizeof(size)),
			SLICE_EMPTY);
	requests_finish(lane, true);
}

/* The agent is answered as if it ran, and reads why it does not. */
void requests_refuse(struct lane *lane, struct slice text)
{
	requests_finish(lane, true);
	lane_fail(lane, text);
}

void requests_decline(struct lane *lane)
{
	if (lane->kind == BRIDGE_AGENT_FORWARD && lane->step == LANE_ASKING)
		lane->step = LANE_IDLE;
	else
		requests_finish(lane, false);
}

bool requests_run(const struct lane *lane)
{
	int type;

	if (lane->request_count == 0)
		return false;
	type = ssh_message_subtype(lane->requests[0]);

	return type == SSH_CHANNEL_REQUEST_EXEC || type == SSH_CHANNEL_REQUEST_SHELL ||
		type == SSH_CHANNEL_REQUEST_SUBSYSTEM;
}

static void begin_to_run(struct lane *lane, enum bridge_kind kind, const char *text)
{
	struct relay *r = lane->relay;

	if (r->refused)
		requests_refuse(lane, slice_from_string(r->refused));
	else if (lane->started)
		requests_finish(lane, false); /* RFC 4254, 6.5: one per channel */
	else
		ask(lane, kind, slice_from_string(text));
}

static void begin_request(struct lane *lane)
{
	ssh_message m = lane->requests[0];

	switch (ssh_message_subtype(m)) {
	case SSH_CHANNEL_REQUEST_PTY:
		if (lane->started) {
			requests_finish(lane, false);
			break;
		}
		take_window(lane, m);
		lane->step = LANE_REQUESTING;
		break;
	case SSH_CHANNEL_REQUEST_WINDOW_CHANGE:
		change_window(lane, m);
		break;
	case SSH_CHANNEL_REQUEST_ENV:
		if (lane->relay->refused || lane->started)
			requests_finish(lane, false);
		else
			ask_variable(lane, m);
		break;
	case SSH_CHANNEL_REQUEST_X11:
		if (lane->relay->refused || lane->started)
			requests_finish(lane, false);
		else
			ask(lane, BRIDGE_X11, slice_from_string("x11"));
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
		requests_finish(lane, false);
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

static void begin_inside(struct lane *lane)
{
	struct slice command = SLICE_EMPTY;

	if (lane->kind == BRIDGE_EXEC)
		command = slice_from_string(ssh_message_channel_request_command(lane->requests[0]));
	inside_begin(lane, command);
	if (command.length)
		copied_begin(lane, command);
}

static bool turn_requesting(struct lane *lane)
{
	int rc = send_request(lane);
	bool runs;

	if (rc == SSH_AGAIN || (rc == SSH_ERROR && relay_lost_host(lane->relay)))
		return false;
	/* Where the host has none to give, what runs may go on without. */
	lane->terminal |=
		rc == SSH_OK && ssh_message_subtype(lane->requests[0]) == SSH_CHANNEL_REQUEST_PTY;
	runs = requests_run(lane);
	if (runs && rc == SSH_OK) {
		lane->started = true;
		begin_inside(lane);
		if (lane->inspect & BRIDGE_INSPECT_LINES)
			typed_begin(lane);
	}
	if (runs && rc != SSH_OK && !lane->relay->alone)
		link_result(&lane->relay->link, lane->id,
			&(struct bridge_result){.status = BRIDGE_NO_STATUS});
	if (lane->answered && rc != SSH_OK)
		requests_refuse(lane, slice_from_string("wayleave: the host does not run it"));
	else
		requests_finish(lane, rc == SSH_OK);
	return true;
}

bool requests_turn(struct lane *lane)
{
	if (lane->step == LANE_REQUESTING)
		return turn_requesting(lane);
	if (lane->step == LANE_COLLECTING)
		return turn_collecting(lane);
	if (lane->step != LANE_IDLE)
		return false;
	if (lane->agent_forward == AGENT_WANTED && !lane->started && !lane->relay->refused) {
		lane->agent_forward = AGENT_ASKED;
		ask(lane, BRIDGE_AGENT_FORWARD, slice_from_string("agent"));
		return true;
	}
	if (lane->request_count == 0 || !pressure_allows_writing(lane->relay, SIDE_SERVER))
		return false;
	begin_request(lane);
	return true;
}
