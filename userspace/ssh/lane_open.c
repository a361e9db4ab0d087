/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "ssh/relay.h"

/* --- what is wanted --- */

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

	if (r->lane_count >= LIMIT_SSH_CHANNELS || r->closing_count >= LIMIT_SSH_CLOSING) {
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

void lane_make_server(struct lane *lane)
{
	lane->server = ssh_channel_new(lane->relay->server);
	if (lane->server)
		callbacks_listen(lane, SIDE_SERVER);
}

void lane_open(struct relay *r, ssh_message message)
{
	int type = ssh_message_subtype(message);
	struct lane *lane = new_lane(r, message);

	if (!lane)
		return;
	if (type == SSH_CHANNEL_SESSION && !r->refused)
		lane_make_server(lane);
	else if (type == SSH_CHANNEL_DIRECT_TCPIP && !r->refused)
		ask_for_place(lane, BRIDGE_FORWARD,
			ssh_message_channel_request_open_destination(message),
			ssh_message_channel_request_open_destination_port(message));
	else if (type != SSH_CHANNEL_SESSION)
		lane->ended = true;
}

/* --- opening it --- */

static void accept_channel(struct lane *lane)
{
	lane->agent = ssh_message_channel_request_open_reply_accept(lane->open);
	ssh_message_free(lane->open);
	lane->open = NULL;
	if (!lane->agent) {
		lane->ended = true;
		return;
	}
	callbacks_listen(lane, SIDE_AGENT);
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

bool lane_turn_opening(struct lane *lane)
{
	int rc = open_server(lane);

	if (rc == SSH_AGAIN || (rc == SSH_ERROR && relay_lost_host(lane->relay)))
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
