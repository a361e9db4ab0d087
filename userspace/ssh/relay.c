/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/relay.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "ssh/readahead.h"
#include "ssh/watchdog.h"

#define ERRORS_MOST 8 /* of the library's loop, one after the other */

void relay_refuse(struct relay *r, struct slice text)
{
	if (!r->refused)
		r->refused = memory_format("wayleave: %.*s", SLICE_PRINT(text));
}

/* --- what the agent sends --- */

/* One message; it is answered here or belongs to a lane from now on. What was asked of a channel
 * that is gone meanwhile is not: the answer would be taken from the channel. */
static void take_message(struct relay *r, ssh_message m)
{
	int type = ssh_message_type(m);
	struct lane *lane;

	if (type == SSH_REQUEST_CHANNEL_OPEN) {
		lane_open(r, m);
		return;
	}
	if (type == SSH_REQUEST_CHANNEL) {
		lane = lane_of(r, ssh_message_channel_request_channel(m));
		if (lane)
			requests_add(lane, m);
		else
			ssh_message_free(m);
		return;
	}
	if (type == SSH_REQUEST_GLOBAL) {
		listeners_take(r, m);
		return;
	}
	ssh_message_reply_default(m);
	ssh_message_free(m);
}

/* But for connections to what it listens on, a host asks its client for nothing that we have. */
static void answer_host(struct relay *r, ssh_message m)
{
	if (ssh_message_type(m) == SSH_REQUEST_CHANNEL_OPEN &&
		ssh_message_subtype(m) == SSH_CHANNEL_FORWARDED_TCPIP) {
		lane_open_forwarded(r, m);
		return;
	}
	if (ssh_message_type(m) != SSH_REQUEST_CHANNEL ||
		lane_of(r, ssh_message_channel_request_channel(m)))
		ssh_message_reply_default(m);
	ssh_message_free(m);
}

bool relay_take_messages(struct relay *r)
{
	bool any = false;
	ssh_message m;

	while ((m = ssh_message_get(r->agent))) {
		take_message(r, m);
		any = true;
	}
	while (r->server && (m = ssh_message_get(r->server)))
		answer_host(r, m);
	return any;
}

/* --- what the worker says --- */

/* For a lane that is gone. */
static void drop_sockets(struct relay *r, uint32_t lane)
{
	int fds[2];

	if (!link_take_sockets(&r->link, lane, fds))
		return;
	close(fds[0]);
	close(fds[1]);
}

static void refuse_all(struct relay *r, struct slice text)
{
	relay_refuse(r, text);
	list_for_each (position, &r->lanes) {
		struct lane *lane = list_entry(position, struct lane, link);

		lane_refuse(lane, slice_from_string(r->refused));
	}
	listeners_refuse(r);
}

static bool take_frames(struct relay *r)
{
	struct bridge_frame frame;
	struct lane *lane;
	bool any = false;

	while (link_next(&r->link, &frame)) {
		any = true;
		if (frame.type == BRIDGE_REFUSED) {
			refuse_all(r, frame.body);
			continue;
		}
		if (frame.type == BRIDGE_ALLOWANCE) {
			r->link.closed |= !ration_on_frame(r, &frame);
			continue;
		}
		lane = lane_find(r, frame.lane);
		if (lane)
			lane_on_frame(lane, &frame);
		else if (!listeners_on_frame(r, &frame) && frame.type == BRIDGE_CARRY)
			drop_sockets(r, frame.lane);
	}
	return any;
}

/* Nothing passes without a worker. The agent may still read why. */
static void on_link_closed(struct relay *r)
{
	r->alone = true;
	ssh_event_remove_fd(r->event, r->link.fd);
	refuse_all(r, slice_from_string("the session was ended"));
	alarm(RELAY_ALONE_SECONDS);
}

/* What can't be deciphered leaves a session connected. */
static bool is_gone(ssh_session session)
{
	return !ssh_is_connected(session) ||
		ssh_get_status(session) & (SSH_CLOSED | SSH_CLOSED_ERROR);
}

bool relay_lost_host(const struct relay *r)
{
	return r->server && !r->host_gone && is_gone(r->server);
}

/* Without a host nothing is left to do but to tell the agent, which may take its time to read the
 * rest. What runs finds out by itself. */
static void on_host_gone(struct relay *r)
{
	const struct slice text = slice_from_string(RELAY_HOST_GONE);

	r->host_gone = true;
	/* Its channels are closed when its socket is. */
	if (ssh_is_connected(r->server))
		shutdown(ssh_get_fd(r->server), SHUT_RDWR);
	if (!r->refused)
		r->refused = memory_copy_text(text.data, text.length);
	list_for_each (position, &r->lanes) {
		struct lane *lane = list_entry(position, struct lane, link);

		if (!lane->started)
			lane_refuse(lane, text);
	}
	listeners_refuse(r);
	r->leave_at = clock_monotonic();
	if (r->lane_count)
		r->leave_at += RELAY_ALONE_SECONDS * NANOSECONDS_PER_SECOND;
}

/* An agent that has been told most often ends the connection. If we did, what it has sent and
 * nobody read would take what it has yet to read with it (RFC 1122, 4.2.2.13). */
static void leave_soon(struct relay *r)
{
	uint64_t soon = clock_monotonic() + RELAY_LEAVE_SECONDS * NANOSECONDS_PER_SECOND;

	if (r->leave_at > soon)
		r->leave_at = soon;
}

/* There is nothing that it could still be told in its channels: what it sends is not read. */
static void on_window_ignored(struct relay *r)
{
	refuse_all(r, slice_from_string("the agent sent more than there was room for"));
	r->leave_at = clock_monotonic();
}

/* --- the loop --- */

/* It is received between two rounds: the library polls in many places. */
static int on_link(socket_t fd, int events, void *context)
{
	struct relay *r = context;

	(void)fd;
	r->link_waits |= (events & ~POLLOUT) != 0;
	return 0;
}

static void poll_link(struct relay *r)
{
	short wanted = buffer_length(&r->link.out) ? POLLIN | POLLOUT : POLLIN;

	if (r->alone || wanted == r->polled)
		return;
	if (r->polled)
		ssh_event_remove_fd(r->event, r->link.fd);
	ssh_event_add_fd(r->event, r->link.fd, wanted, on_link, r);
	r->polled = wanted;
}

static void poll_sockets(struct relay *r)
{
	poll_link(r);
	list_for_each (position, &r->lanes)
		carry_poll(list_entry(position, struct lane, link));
}

static bool turn_lanes(struct relay *r)
{
	bool moved = false;

	list_for_each_safe (position, &r->lanes)
		moved |= lane_turn(list_entry(position, struct lane, link));
	return moved;
}

/* How long nothing may happen, in ms; -1: for ever. */
static int time_to_wait(const struct relay *r)
{
	uint64_t first = r->leave_at, shown = listeners_due(r), now;

	first = shown && (!first || shown < first) ? shown : first;
	list_for_each (position, &r->lanes) {
		uint64_t due = streams_due(list_entry(position, const struct lane, link));

		first = due && (!first || due < first) ? due : first;
	}
	if (!first)
		return -1;
	now = clock_monotonic();
	return first <= now ? 0 : (int)((first - now) / NANOSECONDS_PER_MILLISECOND) + 1;
}

static bool is_over(const struct relay *r)
{
	/* Where it was refused, the agent ends it when it has read why. */
	return is_gone(r->agent) || (r->leave_at && clock_monotonic() >= r->leave_at);
}

static uint64_t bytes_received(const struct relay *r)
{
	return r->counters[0].in_bytes + r->counters[1].in_bytes;
}

/* The library may read from its sockets in the middle of other things, and what it read then may be
 * about something that was looked at before. */
static void turn(struct relay *r)
{
	uint64_t before;
	bool moved;

	do {
		watchdog_turn();
		before = bytes_received(r);
		if (!r->alone && r->link_waits)
			link_receive(&r->link);
		r->link_waits = false;
		moved = take_frames(r);
		moved |= relay_take_messages(r);
		moved |= listeners_turn(r);
		moved |= turn_lanes(r);
		closing_turn(r);
		ration_turn(r);
		if (!r->alone)
			link_flush(&r->link);
		if (r->link.closed && !r->alone) {
			on_link_closed(r);
			moved = true;
		}
		if (relay_lost_host(r)) {
			on_host_gone(r);
			moved = true;
		}
	} while (moved || bytes_received(r) != before);
	if (r->host_gone && r->lane_count == 0)
		leave_soon(r);
	if (!pressure_turn(r) && !r->leave_at)
		on_window_ignored(r);
}

/* Waits until something happens, and takes all that came together; false: the library failed. */
static bool poll_once(struct relay *r)
{
	int rc;

	poll_sockets(r);
	readahead_enter(READAHEAD_LOOP);
	rc = ssh_event_dopoll(r->event, time_to_wait(r));
	readahead_enter(READAHEAD_TAKE);
	for (uint64_t before = 0; rc != SSH_ERROR && bytes_received(r) != before;) {
		before = bytes_received(r);
		rc = ssh_event_dopoll(r->event, 0);
	}
	readahead_enter(READAHEAD_TURN);
	return rc != SSH_ERROR;
}

static void relay_loop(struct relay *r)
{
	unsigned errors = 0;

	ssh_set_blocking(r->agent, 0);
	ssh_set_counters(r->agent, &r->counters[0], NULL);
	r->event = ssh_event_new();
	if (!r->event || ssh_event_add_session(r->event, r->agent) != SSH_OK)
		return;
	if (r->server) {
		ssh_set_blocking(r->server, 0);
		ssh_set_counters(r->server, &r->counters[1], NULL);
		if (ssh_event_add_session(r->event, r->server) != SSH_OK)
			return;
	}
	readahead_add(ssh_get_fd(r->agent));
	if (r->server)
		readahead_add(ssh_get_fd(r->server));
	readahead_enter(READAHEAD_TURN);
	watchdog_begin();
	turn(r);
	while (!is_over(r) && errors < ERRORS_MOST) {
		/* Also where a socket was closed, of which both sides have yet to learn. */
		errors = poll_once(r) ? 0 : errors + 1;
		turn(r);
	}
	readahead_enter(READAHEAD_BESIDE);
}

/* The worker sees the end of the link itself; by whom it was it can't. */
static void tell_end(struct relay *r)
{
	if (r->host_gone && !r->alone)
		link_tell(&r->link, BRIDGE_HOST_GONE, 0, SLICE_EMPTY, SLICE_EMPTY);
}

/* What was said is still sent. */
static void say_goodbye(struct relay *r)
{
	if (r->refused)
		ssh_session_set_disconnect_message(r->agent, r->refused);
	list_for_each_safe (position, &r->lanes)
		lane_free(list_entry(position, struct lane, link));
	listeners_free(r);
	ssh_set_blocking(r->agent, 1);
	if (ssh_is_connected(r->agent)) {
		ssh_blocking_flush(r->agent, 1000);
		ssh_disconnect(r->agent);
	}
	if (r->server && ssh_is_connected(r->server))
		ssh_disconnect(r->server);
	tell_end(r);
	link_flush(&r->link);
}

/* --- a worker or an agent that goes away while we wait for somebody else --- */

static int watched_link, watched_agent;

static void on_alarm(int signal)
{
	struct pollfd sources[] = {{.fd = watched_link, .events = POLLRDHUP},
		{.fd = watched_agent, .events = POLLRDHUP}};

	(void)signal;
	if (poll(sources, ARRAY_SIZE(sources), 0) > 0 &&
		(sources[0].revents | sources[1].revents) & (POLLRDHUP | POLLHUP | POLLERR))
		_exit(EXIT_FAILURE);
}

static void watch(const struct relay *r, bool on)
{
	const struct itimerval second = {{1, 0}, {1, 0}}, never = {{0, 0}, {0, 0}};

	watched_link = r->link.fd;
	watched_agent = -1;
	if (on)
		signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, on ? &second : &never, NULL);
	/* Not before: one more would end the process. */
	if (!on)
		signal(SIGALRM, SIG_DFL);
}

void relay_run(ssh_bind keys, struct opening *o)
{
	struct relay *r = memory_new(sizeof(*r));
	int rc;

	list_init(&r->lanes);
	list_init(&r->closing);
	list_init(&r->listeners);
	r->asks_at = UINT64_MAX;
	link_init(&r->link, o->fds[SSH_DESCRIPTOR_WORKER]);
	watch(r, true);
	rc = login_agent(r, keys, o->fds[SSH_DESCRIPTOR_AGENT]);
	if (rc == 0) {
		watched_agent = ssh_get_fd(r->agent);
		rc = login_server(r, o);
	}
	watch(r, false);
	if (rc < 0)
		return;
	relay_loop(r);
	say_goodbye(r);
}
