/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "ssh/relay.h"

/* --- what is wanted --- */

/* Names and addresses; what else a host would make of a text only it knows. */
static bool is_host(const char *host)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
	size_t length = strlen(host);

	return length && length <= LIMIT_SSH_HOST && strspn(host, plain) == length;
}

static void put_place(const char *host, int port, char ret[LANE_PLACE_SIZE])
{
	snprintf(ret, LANE_PLACE_SIZE, strchr(host, ':') ? "[%.250s]:%d" : "%.250s:%d", host, port);
	for (char *c = ret; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
}

bool lane_place(const char *host, int port, char ret[LANE_PLACE_SIZE])
{
	if (!host[0])
		host = "*";
	put_place(host, port, ret);
	return strcmp(host, "*") == 0 || (is_host(host) && !strchr(host, '%'));
}

static void ask(struct lane *lane, enum bridge_kind kind, const char *text)
{
	lane->kind = kind;
	lane->step = LANE_ASKING;
	lane->told = true;
	link_request(&lane->relay->link, lane->id,
		&(struct bridge_request){.kind = kind, .text = slice_from_string(text)});
}

/* The host could connect to anything through these, so they are asked for like commands. */
static void ask_for_forward(struct lane *lane)
{
	const char *host = ssh_message_channel_request_open_destination(lane->open);
	char place[LANE_PLACE_SIZE];

	lane->kind = BRIDGE_FORWARD;
	put_place(host, ssh_message_channel_request_open_destination_port(lane->open), place);
	if (is_host(host) && !strchr(host, '%'))
		ask(lane, BRIDGE_FORWARD, place);
	else
		lane->ended = true;
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

static bool make(struct lane *lane, enum side side)
{
	ssh_channel *channel = side == SIDE_AGENT ? &lane->agent : &lane->server;

	*channel = ssh_channel_new(side == SIDE_AGENT ? lane->relay->agent : lane->relay->server);
	if (*channel)
		callbacks_listen(lane, side);
	return *channel;
}

bool lane_make_other(struct lane *lane)
{
	return make(lane, lane->kind == BRIDGE_FORWARDED ? SIDE_AGENT : SIDE_SERVER);
}

void lane_open(struct relay *r, ssh_message message)
{
	int type = ssh_message_subtype(message);
	struct lane *lane = new_lane(r, message);

	if (!lane)
		return;
	if (type == SSH_CHANNEL_SESSION && !r->refused)
		make(lane, SIDE_SERVER);
	else if (type == SSH_CHANNEL_DIRECT_TCPIP && !r->refused)
		ask_for_forward(lane);
	else if (type != SSH_CHANNEL_SESSION)
		lane->ended = true;
}

static unsigned count_forwarded(const struct relay *r)
{
	unsigned count = 0;

	list_for_each (position, &r->lanes)
		count += list_entry(position, const struct lane, link)->kind == BRIDGE_FORWARDED;
	return count;
}

/* Who connected the host says, and nobody else knows. */
static void ask_for_forwarded(struct lane *lane)
{
	const char *from = ssh_message_channel_request_open_originator(lane->open);
	char to[LANE_PLACE_SIZE], origin[LANE_PLACE_SIZE], text[2 * LANE_PLACE_SIZE + 8];

	put_place(from, ssh_message_channel_request_open_originator_port(lane->open), origin);
	if (!lane_place(lane->listener.address, lane->listener.port, to) || !is_host(from)) {
		lane->ended = true;
		return;
	}
	snprintf(text, sizeof(text), "%s from %s", to, origin);
	ask(lane, BRIDGE_FORWARDED, text);
}

void lane_open_forwarded(struct relay *r, ssh_message message)
{
	const struct listener *l;
	struct lane *lane;

	/* That it listens the host may have said just before. */
	listeners_turn(r);
	l = listeners_find(r, ssh_message_channel_request_open_destination(message),
		ssh_message_channel_request_open_destination_port(message));
	if (!l || r->refused || count_forwarded(r) >= LIMIT_SSH_FORWARDED) {
		ssh_message_reply_default(message);
		ssh_message_free(message);
		return;
	}
	lane = new_lane(r, message);
	if (!lane)
		return;
	lane->kind = BRIDGE_FORWARDED;
	lane->listener.address = memory_copy_text(l->address, strlen(l->address));
	lane->listener.port = l->bound;
	ask_for_forwarded(lane);
}

/* --- opening it --- */

static ssh_channel accept_open(struct lane *lane)
{
	ssh_channel channel = ssh_message_channel_request_open_reply_accept(lane->open);

	ssh_message_free(lane->open);
	lane->open = NULL;
	return channel;
}

/* Its flows go to nobody where there is none. */
static void accept_channel(struct lane *lane)
{
	bool by_host = lane->kind == BRIDGE_FORWARDED;
	ssh_channel channel = accept_open(lane);

	if (channel) {
		*(by_host ? &lane->server : &lane->agent) = channel;
		callbacks_listen(lane, by_host ? SIDE_SERVER : SIDE_AGENT);
	}
	lane->ended = !channel;
	flow_init(&lane->flows[BRIDGE_STDIN], lane->agent, lane->server, BRIDGE_STDIN);
	flow_init(&lane->flows[BRIDGE_STDOUT], lane->server, lane->agent, BRIDGE_STDOUT);
	flow_init(&lane->flows[BRIDGE_STDERR], lane->server, lane->agent, BRIDGE_STDERR);
	lane->step = LANE_IDLE;
	lane->started = channel && lane_is_tunnel(lane);
}

/* SSH_AGAIN: it has not answered yet; the call is made again with the same values. */
static int open_other(struct lane *lane)
{
	if (lane->kind == BRIDGE_FORWARDED)
		return ssh_channel_open_reverse_forward(lane->agent, lane->listener.address,
			lane->listener.port,
			ssh_message_channel_request_open_originator(lane->open),
			ssh_message_channel_request_open_originator_port(lane->open));
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
	int rc = open_other(lane);

	if (rc == SSH_AGAIN || (rc == SSH_ERROR && relay_lost_host(lane->relay)))
		return false;
	if (rc == SSH_OK) {
		accept_channel(lane);
		return true;
	}
	if (lane_is_tunnel(lane) && !lane->relay->alone)
		link_result(&lane->relay->link, lane->id,
			&(struct bridge_result){.status = BRIDGE_NO_STATUS});
	lane->ended = true; /* it was refused, and so do we */
	return true;
}
