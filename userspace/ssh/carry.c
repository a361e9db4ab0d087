/* SPDX-License-Identifier: Apache-2.0
 *
 * carry: the two channels of a forward, each with a socket of the worker's: what is between the
 * sockets is a session like others, which reads and judges what passes.
 */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ssh/relay.h"

/* A channel and its socket. */
struct carry_end {
	int fd;
	short polled; /* of the socket */
	struct flow *in; /* the lane's: from the channel; what is pending is for the socket */
	struct flow back; /* from the socket; what is pending is for the channel */
	bool shut; /* the channel's end was passed on */
	bool over; /* nothing more comes of the socket */
	bool ended; /* that was passed on */
};

struct carry {
	struct carry_end ends[2]; /* by enum side */
};

/* The worker is seen by the loop's turning alone. */
static int on_socket(socket_t fd, int events, void *context)
{
	(void)fd;
	(void)events;
	(void)context;
	return 0;
}

static void begin_end(struct carry_end *end, int fd, struct flow *in, ssh_channel channel)
{
	end->fd = fd;
	end->in = in;
	in->to = NULL;
	flow_init(&end->back, NULL, channel, BRIDGE_STDOUT);
}

void carry_begin(struct lane *lane, const int fds[2])
{
	struct carry *c = memory_new(sizeof(*c));

	begin_end(&c->ends[SIDE_AGENT], fds[SIDE_AGENT], &lane->flows[BRIDGE_STDIN], lane->agent);
	begin_end(
		&c->ends[SIDE_SERVER], fds[SIDE_SERVER], &lane->flows[BRIDGE_STDOUT], lane->server);
	lane->carry = c;
	lane->inspect = 0;
}

static void watch(struct lane *lane, struct carry_end *end, short wanted)
{
	if (wanted == end->polled)
		return;
	if (end->polled)
		ssh_event_remove_fd(lane->relay->event, end->fd);
	if (wanted)
		ssh_event_add_fd(lane->relay->event, end->fd, wanted, on_socket, NULL);
	end->polled = wanted;
}

void carry_end(struct lane *lane)
{
	for (size_t i = 0; lane->carry && i < ARRAY_SIZE(lane->carry->ends); i++) {
		struct carry_end *end = &lane->carry->ends[i];

		watch(lane, end, 0);
		close(end->fd);
		flow_done(&end->back);
	}
	free(lane->carry);
	lane->carry = NULL;
}

/* The session that the socket belonged to is over. */
static void give_up(struct carry_end *end)
{
	end->over = end->shut = true;
	flow_cut(end->in);
	buffer_clear(&end->in->pending);
}

static bool send_some(struct carry_end *end)
{
	struct slice rest = buffer_slice(&end->in->pending);
	ssize_t n;

	if (rest.length == 0)
		return false;
	n = send(end->fd, rest.data, rest.length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		give_up(end);
	if (n <= 0)
		return false;
	buffer_consume(&end->in->pending, (size_t)n);
	return true;
}

static bool receive_some(struct carry_end *end)
{
	uint8_t bytes[BRIDGE_DATA_MOST];
	ssize_t n;

	if (end->over || buffer_length(&end->back.pending) >= FLOW_PENDING_HIGH)
		return false;
	n = recv(end->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0) {
		end->over = true;
		return true;
	}
	end->back.bytes += (size_t)n;
	return buffer_append(&end->back.pending, bytes, (size_t)n) == 0;
}

/* What a channel sends no more, its socket is told, and the other way round. */
static void pass_ends(struct carry_end *end)
{
	ssh_channel channel = end->back.to;

	if (!end->shut && (ssh_channel_is_eof(channel) || ssh_channel_is_closed(channel)) &&
		flow_is_dry(end->in)) {
		end->shut = true;
		flow_cut(end->in);
		shutdown(end->fd, SHUT_WR);
	}
	if (!end->ended && end->over && flow_is_dry(&end->back)) {
		end->ended = true;
		ssh_channel_send_eof(channel);
	}
}

static bool turn_end(struct lane *lane, struct carry_end *end)
{
	bool moved = false, some;

	do {
		some = flow_turn(end->in, lane, false);
		some |= send_some(end);
		some |= receive_some(end);
		some |= flow_turn(&end->back, lane, false);
		moved |= some;
	} while (some);
	/* Who reads no more makes what is for them pointless. */
	if (!end->over && ssh_channel_is_closed(end->back.to) &&
		buffer_length(&end->in->fetched) == 0) {
		give_up(end);
		buffer_clear(&end->back.pending);
		shutdown(end->fd, SHUT_RDWR);
	}
	pass_ends(end);
	return moved;
}

bool carry_turn(struct lane *lane)
{
	struct carry_end *ends = lane->carry->ends;
	bool moved = turn_end(lane, &ends[SIDE_AGENT]);

	moved |= turn_end(lane, &ends[SIDE_SERVER]);
	/* A session ends on both its sides. */
	if (lane->ended || (ends[SIDE_AGENT].ended && ends[SIDE_SERVER].ended))
		lane->ended = lane->output_ended = true;
	return moved;
}

void carry_poll(struct lane *lane)
{
	for (size_t i = 0; lane->carry && i < ARRAY_SIZE(lane->carry->ends); i++) {
		struct carry_end *end = &lane->carry->ends[i];
		short wanted = buffer_length(&end->in->pending) ? POLLOUT : 0;

		if (!end->over && buffer_length(&end->back.pending) < FLOW_PENDING_HIGH)
			wanted |= POLLIN;
		watch(lane, end, wanted);
	}
}

uint64_t carry_bytes(const struct lane *lane, enum side to)
{
	return lane->carry->ends[to].back.bytes;
}
