/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/ferry.h"

#include <errno.h>

#include "base/memory.h"
#include "worker/session_internal.h"
#include "worker/tunnel.h"

struct ferry {
	struct list link; /* session.ferries; worker.ferries once it is over */
	struct session *outer; /* NULL: it is over */
	struct session *inner; /* NULL: it is freed */
	struct protocol_tunnel *tunnel; /* of the outer one's engine; NULL: it is over */
	struct leg legs[2]; /* by whose words they carry to the inner one */
	uint64_t told[2]; /* bytes sent of which the engine knows */
	bool dirty[2]; /* something is to be sent, or the end */
	bool reset[2]; /* the side takes no more either; what it said before is still sent */
	bool resets; /* the inner one reset the agent's side, which a socket here can't say */
};

static enum side side_of(const struct ferry *c, const struct leg *leg)
{
	return leg == &c->legs[SIDE_AGENT] ? SIDE_AGENT : SIDE_SERVER;
}

static void go_on(struct session *s)
{
	session_touch(s);
	if (s->state == SESSION_OPEN)
		pipe_go_on(s);
	session_touch(s);
}

static void mark(struct ferry *c, enum side side)
{
	c->dirty[side] = true;
	session_touch(c->outer);
}

/* --- its legs --- */

static void on_received(struct leg *leg, struct slice bytes)
{
	struct ferry *c = leg->owner;
	enum side side = side_of(c, leg);
	struct session *s = c->outer;
	int r;

	if (!c->tunnel || c->reset[side])
		return;
	r = c->tunnel->events->data(c->tunnel, side, bytes);
	if (r < 0)
		session_abort(s, REASON_INTERNAL, "%s", strerror(-r));
	go_on(s);
}

static void on_ended(struct leg *leg, int error)
{
	struct ferry *c = leg->owner;
	enum side side = side_of(c, leg);
	struct session *s = c->outer;

	if (!c->tunnel)
		return;
	if (c->reset[side])
		mark(c, side);
	else
		c->tunnel->events->end(
			c->tunnel, side, error < 0 || (side == SIDE_AGENT && c->resets));
	go_on(s);
}

static void on_leaves(struct leg *leg)
{
	(void)leg; /* nothing is watched */
}

/* What is sent is no more on the way here. */
static void report(struct ferry *c, enum side from)
{
	uint64_t sent = c->legs[from].sent_bytes, more = sent - c->told[from];

	c->told[from] = sent;
	if (more && c->tunnel)
		c->tunnel->events->taken(c->tunnel, from, (size_t)more);
}

static void on_sent(struct leg *leg)
{
	struct ferry *c = leg->owner;
	enum side side = side_of(c, leg);
	struct session *s = c->outer;

	if (!c->tunnel)
		return;
	c->dirty[side] = true;
	report(c, side);
	go_on(s);
}

static void on_closed(struct leg *leg)
{
	(void)leg; /* ferries_reap() looks at all that are over */
}

static const struct leg_events leg_events = {
	.received = on_received,
	.ended = on_ended,
	.leaves = on_leaves,
	.sent = on_sent,
	.closed = on_closed,
};

/* --- begin and end --- */

static struct ferry *ferry_new(struct session *outer, struct protocol_tunnel *t, const int *ends)
{
	struct ferry *c = memory_new(sizeof(*c));

	c->outer = outer;
	c->tunnel = t;
	t->carrier = c;
	for (enum side side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
		leg_init(&c->legs[side], &outer->worker->ring, &leg_events, c);
		leg_open(&c->legs[side], ends[side]);
	}
	list_append(&outer->ferries, &c->link);
	return c;
}

int ferry_begin(struct session *outer, struct protocol_tunnel *t, struct slice name, uint16_t port)
{
	struct inner_ends ends;
	struct session *s;
	struct ferry *c;
	int r = inner_make_ends(outer, &ends);

	if (r < 0)
		return r;
	c = ferry_new(outer, t, ends.theirs);
	s = c->inner = inner_new(outer, ends.ours);
	s->inner.ferry = c;
	tunnel_set_place(s, name, port);
	tunnel_set_name(s, outer->upstream_name);
	session_start(s);
	inner_note(outer, "what the proxy connects to is session %s", s->id.text);
	if (s->state < SESSION_CLOSING)
		inner_note(s, "through the proxy of session %s", outer->id.text);
	session_touch(outer);
	return 0;
}

static void finish(struct ferry *c)
{
	struct worker *w = c->outer->worker;

	c->tunnel->carrier = NULL;
	c->tunnel = NULL;
	c->outer = NULL;
	leg_close(&c->legs[SIDE_AGENT], false);
	leg_close(&c->legs[SIDE_SERVER], false);
	list_remove(&c->link);
	list_append(&w->ferries, &c->link);
}

void ferry_drop(struct protocol_tunnel *t)
{
	if (t->carrier)
		finish(t->carrier);
}

static void flush_leg(struct ferry *c, enum side side)
{
	struct leg *leg = &c->legs[side];

	leg_flush(leg);
	if (c->reset[side] && (leg->broken || leg_queued(leg) == 0))
		leg_close(leg, true);
}

static void flush(struct session *outer)
{
	list_for_each (position, &outer->ferries) {
		struct ferry *c = list_entry(position, struct ferry, link);

		for (enum side side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
			if (c->dirty[side])
				flush_leg(c, side);
			c->dirty[side] = false;
		}
	}
}

/* What was taken still reaches it. */
void ferries_leave(struct session *outer)
{
	flush(outer);
	list_for_each_safe (position, &outer->ferries)
		finish(list_entry(position, struct ferry, link));
}

void ferry_on_reset(struct ferry *c)
{
	c->resets = true;
}

void ferry_on_freed(struct ferry *c)
{
	c->inner = NULL;
}

void ferries_reap(struct worker *w)
{
	list_for_each_safe (position, &w->ferries) {
		struct ferry *c = list_entry(position, struct ferry, link);

		if (!leg_is_idle(&c->legs[SIDE_AGENT]) || !leg_is_idle(&c->legs[SIDE_SERVER]))
			continue;
		if (c->inner)
			c->inner->inner.ferry = NULL;
		leg_done(&c->legs[SIDE_AGENT]);
		leg_done(&c->legs[SIDE_SERVER]);
		list_remove(&c->link);
		free(c);
	}
}

/* --- what passes --- */

int ferry_write(struct protocol_tunnel *t, enum side from, struct slice bytes)
{
	struct ferry *c = t->carrier;

	mark(c, from);
	return leg_write(&c->legs[from], bytes);
}

void ferry_end(struct protocol_tunnel *t, enum side from, bool reset)
{
	struct ferry *c = t->carrier;

	c->reset[from] |= reset;
	/* A socket here can't say so. */
	if (reset && c->inner && c->inner->legs[from].state < LEG_ENDED)
		c->inner->legs[from].cut = true;
	leg_shut(&c->legs[from]);
	mark(c, from);
}

void ferries_receive(struct session *outer)
{
	list_for_each (position, &outer->ferries) {
		struct ferry *c = list_entry(position, struct ferry, link);

		for (enum side to = SIDE_AGENT; to <= SIDE_SERVER; to++) {
			if (!c->reset[to] && leg_queued(&outer->legs[to]) < LEG_QUEUE_HIGH &&
				c->tunnel->events->wants(c->tunnel, to))
				leg_receive(&c->legs[to]);
		}
	}
}

/* Of which the engine does not know yet what was sent; NULL: of none. */
static struct ferry *find_untold(struct session *outer, enum side *ret_from)
{
	list_for_each (position, &outer->ferries) {
		struct ferry *c = list_entry(position, struct ferry, link);

		for (enum side side = SIDE_AGENT; side <= SIDE_SERVER; side++) {
			*ret_from = side;
			if (c->legs[side].sent_bytes != c->told[side])
				return c;
		}
	}
	return NULL;
}

/* Any may be over by what the engine does when it is told of one. */
void ferries_finish_turn(struct session *outer)
{
	struct ferry *c;
	enum side from;
	bool any = false;

	flush(outer);
	while ((c = find_untold(outer, &from))) {
		report(c, from);
		any = true;
	}
	if (any)
		go_on(outer);
}
