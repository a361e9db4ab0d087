/* SPDX-License-Identifier: Apache-2.0
 *
 * listeners: what the host listens on for the agent (RFC 4254, 7.1). Each is an action, open as
 * long as the host listens; the connections that come of it are lanes (lane_open.c).
 *
 * Answers to such requests say nothing of what they answer but by their order, and the library
 * answers others, which keep a connection alive, by itself and at once. So the agent's connection
 * is not read while one is owed. What shows it that we are there are messages that mean nothing.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "ssh/readahead.h"
#include "ssh/relay.h"

#define STEPS_MOST 16384u /* of the host's bytes, until others have a turn */
#define TEXT_MOST 4096
#define ANSWER_SECONDS 30u /* that a host has to answer what it was asked for */

static struct listener *item(struct list *position)
{
	return list_entry(position, struct listener, link);
}

static void free_listener(struct listener *l)
{
	struct relay *r = l->relay;

	if (l->message)
		ssh_message_free(l->message);
	if (l->id && !r->alone)
		link_tell(&r->link, BRIDGE_GONE, l->id, SLICE_EMPTY, SLICE_EMPTY);
	list_remove(&l->link);
	r->listener_count--;
	free(l->address);
	free(l);
}

/* What was allowed is over, or could not be had. */
static void end_listener(struct listener *l)
{
	if (!l->relay->alone)
		link_result(&l->relay->link, l->id,
			&(struct bridge_result){.status = BRIDGE_NO_STATUS});
	free_listener(l);
}

/* The first that the agent is owed an answer to. */
static struct listener *first_owed(const struct relay *r)
{
	list_for_each (position, &r->listeners) {
		if (item(position)->message)
			return item(position);
	}
	return NULL;
}

bool listeners_owe(const struct relay *r)
{
	return first_owed(r) != NULL;
}

struct listener *listeners_find(struct relay *r, const char *address, int port)
{
	struct listener *found = NULL;

	list_for_each (position, &r->listeners) {
		struct listener *l = item(position);

		if (l->state != LISTENER_LISTENS || l->bound != port)
			continue;
		/* Hosts may name the address that they listen on instead. */
		if (!found || strcmp(l->address, address) == 0)
			found = l;
	}
	return found;
}

/* --- what is asked for --- */

/* The library has no place for it in an answer. `ssh -v` shows it. */
static void say(struct relay *r, struct slice text)
{
	char line[TEXT_MOST];

	if (!pressure_allows_writing(r, SIDE_AGENT))
		return;
	snprintf(line, sizeof(line), "%.*s", SLICE_PRINT(text));
	ssh_send_debug(r->agent, line, 1);
	pressure_wrote(r, SIDE_AGENT, strlen(line));
}

static void ask(struct listener *l)
{
	char place[LANE_PLACE_SIZE];

	if (!lane_place(l->address, l->port, place)) {
		l->state = LISTENER_REFUSED;
		return;
	}
	l->id = ++l->relay->last_lane;
	l->state = LISTENER_ASKING;
	link_request(&l->relay->link, l->id,
		&(struct bridge_request){
			.kind = BRIDGE_REMOTE_FORWARD, .text = slice_from_string(place)});
}

void listeners_take(struct relay *r, ssh_message message)
{
	const char *address = ssh_message_global_request_address(message);
	struct listener *l;

	if (r->listener_count >= LIMIT_SSH_LISTENERS_OWED) {
		ssh_message_reply_default(message);
		ssh_message_free(message);
		return;
	}
	l = memory_new(sizeof(*l));
	*l = (struct listener){
		.relay = r,
		.message = message,
		.address = memory_copy_text(address, strlen(address)),
		.port = ssh_message_global_request_port(message),
		.state = LISTENER_CANCELS,
	};
	list_append(&r->listeners, &l->link);
	r->listener_count++;
	/* Now: more of it may be on its way. */
	readahead_hold(ssh_get_fd(r->agent), true);
	if (r->refused || r->listener_count > LIMIT_SSH_LISTENERS)
		l->state = LISTENER_REFUSED;
	else if (ssh_message_subtype(message) == SSH_GLOBAL_REQUEST_TCPIP_FORWARD)
		ask(l);
}

/* --- what the worker says --- */

bool listeners_on_frame(struct relay *r, const struct bridge_frame *frame)
{
	char line[TEXT_MOST];

	list_for_each (position, &r->listeners) {
		struct listener *l = item(position);

		if (!l->id || l->id != frame->lane)
			continue;
		if (frame->type == BRIDGE_NOTICE)
			say(r, frame->body);
		if (l->state != LISTENER_ASKING)
			return true;
		if (frame->type == BRIDGE_ALLOW)
			l->state = LISTENER_ALLOWED;
		if (frame->type != BRIDGE_DENY)
			return true;
		l->state = LISTENER_REFUSED;
		snprintf(line, sizeof(line), "wayleave: %.*s", SLICE_PRINT(frame->body));
		say(r, slice_from_string(line));
		return true;
	}
	return false;
}

void listeners_refuse(struct relay *r)
{
	list_for_each (position, &r->listeners) {
		struct listener *l = item(position);

		if (l->message)
			l->state = LISTENER_REFUSED;
	}
}

/* --- what the host does --- */

/* The port is that of the packet which the library took last: readahead.h. SSH_AGAIN, here and
 * below: the host has not answered yet; the call is made again with the same values. */
static int ask_for_any_port(struct listener *l)
{
	int fd = ssh_get_fd(l->relay->server), rc;
	size_t before, after;
	unsigned left = STEPS_MOST;

	readahead_step(fd, true);
	do {
		before = readahead_give_steps(fd, true);
		rc = ssh_channel_listen_forward(l->relay->server, l->address, 0, &l->bound);
		after = readahead_give_steps(fd, false);
	} while (rc == SSH_AGAIN && after != before && --left);
	if (rc == SSH_AGAIN)
		return rc;
	readahead_step(fd, false);
	return rc == SSH_OK && l->bound > 0 && l->bound <= UINT16_MAX ? SSH_OK : SSH_ERROR;
}

static int ask_host(struct listener *l)
{
	if (l->port == 0)
		return ask_for_any_port(l);
	l->bound = l->port;
	return ssh_channel_listen_forward(l->relay->server, l->address, l->port, NULL);
}

static void answer(struct listener *l, bool success)
{
	if (success)
		ssh_message_global_request_reply_success(l->message, (uint16_t)l->bound);
	else
		ssh_message_reply_default(l->message);
	ssh_message_free(l->message);
	l->message = NULL;
	l->relay->owed_since = 0;
}

static bool turn_allowed(struct listener *l)
{
	int rc = ask_host(l);

	if (rc == SSH_AGAIN || (rc == SSH_ERROR && relay_lost_host(l->relay)))
		return false;
	answer(l, rc == SSH_OK);
	l->state = LISTENER_LISTENS;
	if (rc != SSH_OK)
		end_listener(l);
	return true;
}

/* Nothing comes of it any more, whatever the host says. */
static bool turn_cancel(struct listener *l)
{
	struct listener *other = listeners_find(l->relay, l->address, l->port);
	int rc = SSH_ERROR;

	if (other && strcmp(other->address, l->address) == 0) {
		rc = ssh_channel_cancel_forward(l->relay->server, l->address, l->port);
		if (rc == SSH_AGAIN || (rc == SSH_ERROR && relay_lost_host(l->relay)))
			return false;
		end_listener(other);
	}
	answer(l, rc == SSH_OK);
	free_listener(l);
	return true;
}

/* An agent may want to know from time to time that we are there. */
static void show_life(struct relay *r)
{
	uint64_t due = listeners_due(r);

	if (!due || clock_monotonic() < due)
		return;
	r->owed_since = clock_monotonic();
	if (!pressure_allows_writing(r, SIDE_AGENT))
		return;
	ssh_send_ignore(r->agent, "");
	pressure_wrote(r, SIDE_AGENT, RELAY_REQUEST_SIZE);
}

uint64_t listeners_due(const struct relay *r)
{
	return r->owed_since ? r->owed_since + NANOSECONDS_PER_SECOND : 0;
}

/* The library can't be asked for anything else of that kind while an answer is missing, and nothing
 * of the agent is read: without an end of that, neither would ever learn of the other's. */
static void limit_wait(struct listener *l)
{
	struct relay *r = l->relay;
	uint64_t now = clock_monotonic();

	if (!l->until)
		l->until = now + ANSWER_SECONDS * NANOSECONDS_PER_SECOND;
	if (now < l->until)
		return;
	relay_refuse(r, slice_from_string("the host does not answer whether it listens"));
	if (r->server)
		shutdown(ssh_get_fd(r->server), SHUT_RDWR);
}

bool listeners_turn(struct relay *r)
{
	struct listener *l = first_owed(r);

	if (!l)
		return false;
	if (!r->owed_since)
		r->owed_since = clock_monotonic();
	show_life(r);
	if (l->state == LISTENER_REFUSED) {
		answer(l, false);
		free_listener(l);
		return true;
	}
	if (l->state == LISTENER_ASKING)
		return false;
	limit_wait(l);
	if (!pressure_allows_writing(r, SIDE_SERVER))
		return false;
	return l->state == LISTENER_CANCELS ? turn_cancel(l) : turn_allowed(l);
}

void listeners_free(struct relay *r)
{
	list_for_each_safe (position, &r->listeners) {
		struct listener *l = item(position);

		if (l->state == LISTENER_LISTENS)
			end_listener(l);
		else
			free_listener(l);
	}
}
