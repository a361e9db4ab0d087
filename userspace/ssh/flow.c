/* SPDX-License-Identifier: Apache-2.0 */
#include "ssh/relay.h"

#include "base/clock.h"

void flow_init(struct flow *f, ssh_channel from, ssh_channel to, enum bridge_stream stream)
{
	f->from = from;
	f->to = to;
	f->stream = stream;
	buffer_init(&f->fetched, FLOW_FETCHED_MOST);
	/* A mask may be longer than what it hides. */
	buffer_init(&f->pending, 8 * (FLOW_PENDING_HIGH + FLOW_FETCHED_MOST));
}

void flow_done(struct flow *f)
{
	buffer_done(&f->fetched);
	buffer_done(&f->pending);
}

void flow_cut(struct flow *f)
{
	f->from = NULL;
	buffer_done(&f->fetched);
}

bool flow_is_over(const struct flow *f, ssh_channel source)
{
	return buffer_length(&f->fetched) == 0 && ssh_channel_is_eof(source);
}

/* Nothing more comes of the connection as long as there is something to be read. */
static void fetch_all(struct flow *f)
{
	bool errors = f->stream == BRIDGE_STDERR;
	int left = ssh_channel_poll(f->from, errors), n = 1;
	uint8_t *space;

	if (left <= 0)
		buffer_done(&f->fetched);
	for (; left > 0 && n > 0; left -= n) {
		size_t room = FLOW_FETCHED_MOST - buffer_length(&f->fetched),
		       most = (size_t)left < room ? (size_t)left : room;

		if (most == 0 || buffer_reserve(&f->fetched, most, &space) < 0)
			return;
		n = ssh_channel_read_nonblocking(f->from, space, (uint32_t)most, errors);
		buffer_commit(&f->fetched, n > 0 ? (size_t)n : 0);
	}
}

struct slice flow_fetch(struct flow *f)
{
	struct slice some;

	if (buffer_length(&f->fetched) == 0)
		fetch_all(f);
	some = slice_head(buffer_slice(&f->fetched), BRIDGE_DATA_MOST);
	/* Consuming leaves the bytes where they are. */
	buffer_consume(&f->fetched, some.length);
	return some;
}

bool flow_has_enough(const struct flow *f)
{
	return buffer_length(&f->pending) + f->at_worker >= FLOW_PENDING_HIGH;
}

/* The agent, or the worker, has yet to take what came before: what a masked flow hands on piece by
 * piece is joined meanwhile, so that tiny ones cost no more than the worker has time for. */
static bool is_full(const struct flow *f, const struct link *l)
{
	return flow_has_enough(f) || buffer_length(&l->out) >= LINK_QUEUE_HIGH ||
		f->unanswered >= FLOW_UNANSWERED_MOST;
}

void flow_to_worker(struct flow *f, struct lane *lane, struct slice bytes)
{
	f->at_worker += bytes.length;
	f->unanswered += f->masked;
	link_data(&lane->relay->link, lane->id, f->stream, bytes);
}

/* What is not read stays in the library's window, and so with the sender. */
static bool flow_read(struct flow *f, struct lane *lane, bool inspected)
{
	struct link *l = &lane->relay->link;
	struct slice some;

	if (lane->deeds && f->stream != BRIDGE_STDERR)
		return inside_read(f, lane);
	/* What comes back from the worker goes first. */
	if (!inspected && f->at_worker)
		return false;
	if (!f->from || is_full(f, l) || (f->stream == BRIDGE_STDIN && !typed_is_dry(lane)))
		return false;
	some = flow_fetch(f);
	if (some.length == 0)
		return false;
	f->bytes += some.length;
	copied_take(lane, f->stream, some);
	if (!inspected)
		return buffer_append_slice(&f->pending, some) == 0;
	if (lane->typed && f->stream == BRIDGE_STDIN) {
		typed_take(lane, some);
		return true;
	}
	if (lane->typed)
		typed_show(lane, some);
	flow_to_worker(f, lane, some);
	return true;
}

int flow_on_masked(struct flow *f, const struct lane *lane, const struct bridge_masked *m)
{
	bool terminal = lane->terminal || lane->kind == BRIDGE_SHELL;

	f->at_worker -= m->settled < f->at_worker ? m->settled : f->at_worker;
	f->unanswered -= m->last && f->unanswered;
	/* No value has begun that the host would need time for. */
	if (f->at_worker == 0)
		f->held_up = false;
	if (f->at_worker == 0 || f->unanswered)
		f->due = 0;
	else if (f->due == 0 || m->settled)
		f->due = clock_monotonic() +
			NANOSECONDS_PER_MILLISECOND *
				(terminal ? LIMIT_SSH_KEPT_TIME_TERMINAL : LIMIT_SSH_KEPT_TIME);
	return buffer_append_slice(&f->pending, m->bytes);
}

/* An agent that takes nothing lets no time pass that the host has for the rest of a value: else it
 * would be told the begin of any, by not reading for a while. */
static void put_off(struct flow *f)
{
	if (!f->held_up || f->due == 0)
		return;
	f->held_up = false;
	f->due = clock_monotonic() + NANOSECONDS_PER_MILLISECOND * LIMIT_SSH_KEPT_TIME;
}

void flow_ask_for_kept(struct flow *f, struct lane *lane)
{
	bool over = !f->from || ssh_channel_is_closed(f->from) || ssh_channel_is_eof(f->from);

	if (!f->masked || f->at_worker == 0 || f->end_told || lane->relay->alone)
		return;
	over = over && buffer_length(&f->fetched) == 0 &&
		(!f->from || ssh_channel_poll(f->from, f->stream == BRIDGE_STDERR) <= 0);
	put_off(f);
	if (!over && (f->due == 0 || clock_monotonic() < f->due))
		return;
	f->end_told = over;
	f->due = 0;
	f->unanswered++;
	link_data(&lane->relay->link, lane->id, f->stream, SLICE_EMPTY);
}

/* How much of it is written at once: what fills packets, or less than one. Of what is cut elsewhere
 * the library would make another, tiny packet each time, which costs as much as a full one. */
static size_t piece_of(size_t length)
{
	if (length > FLOW_WRITTEN_MOST)
		return FLOW_WRITTEN_MOST;
	return length < FLOW_PACKET ? length : length - length % FLOW_PACKET;
}

/* Never more than the window takes: the library would wait for it. */
static bool flow_write(struct flow *f, const struct lane *lane)
{
	enum side to = f->to == lane->agent ? SIDE_AGENT : SIDE_SERVER;
	struct slice rest = buffer_slice(&f->pending);
	uint32_t window;
	int n;

	if (rest.length == 0 || !f->to || !ssh_channel_is_open(f->to) ||
		!pressure_allows_writing(lane->relay, to))
		return false;
	window = ssh_channel_window_size(f->to);
	if (window == 0)
		return false;
	rest = slice_head(rest, window);
	rest = slice_head(rest, piece_of(rest.length));
	n = f->stream == BRIDGE_STDERR
		? ssh_channel_write_stderr(f->to, rest.data, (uint32_t)rest.length)
		: ssh_channel_write(f->to, rest.data, (uint32_t)rest.length);
	if (n <= 0)
		return false;
	pressure_wrote(lane->relay, to, (size_t)n);
	buffer_consume(&f->pending, (size_t)n);
	return true;
}

bool flow_turn(struct flow *f, struct lane *lane, bool inspected)
{
	const struct link *l = &lane->relay->link;
	bool moved = false, some;

	/* As it was since the last turn. */
	f->held_up |= is_full(f, l);
	/* As much as there is room for is read before it is written: that fills packets. */
	do {
		for (some = false; flow_read(f, lane, inspected); some = true)
			;
		some |= flow_write(f, lane);
		moved |= some;
	} while (some);
	f->held_up |= is_full(f, l);
	return moved;
}

bool flow_is_dry(const struct flow *f)
{
	return buffer_length(&f->fetched) == 0 && buffer_length(&f->pending) == 0 &&
		f->at_worker == 0;
}
