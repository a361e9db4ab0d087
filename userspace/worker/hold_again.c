/* SPDX-License-Identifier: Apache-2.0
 *
 * What waits is judged again because the rules changed, or what somebody may do by them: by many
 * sessions at once. So it takes turns with all else that the worker does, and asks the servers
 * little at a time.
 *
 * First each is judged by what is known of its names: what is refused now ends at once, and most is
 * still the same question. Then, more slowly, each is judged by what its names mean by now, which
 * its server is asked. Nothing goes on before that, nor are people asked something else. The rules
 * are the new ones from the beginning, also for what is approved meanwhile.
 */
#include "worker/hold_internal.h"

/* So long a turn of others may take at least between two of ours. */
#define PAUSE (NANOSECONDS_PER_MILLISECOND)
/* Sessions in one turn: a few times ten microseconds each. */
#define KNOWN_AT_ONCE 8
/* A server that is asked what its names mean is busy for some milliseconds. */
#define ASKED_AT_ONCE 4
#define ASKED_PAUSE (20 * NANOSECONDS_PER_MILLISECOND)

static struct session *take(struct list *from)
{
	struct session *s;

	if (list_is_empty(from))
		return NULL;
	s = list_entry(from->next, struct session, again);
	list_remove(&s->again);
	return s;
}

/* By what is known; where it is not people whom it waits for, it is being judged anyway, or is
 * about to be: by what its names mean. */
static void judge_known(struct session *s)
{
	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		if (h->state != HOLD_WAITING || h->judging)
			continue;
		h->unsure = true;
		hold_judge(h, false);
	}
	pipe_go_on(s);
	session_touch(s);
}

static void judge_anew(struct session *s)
{
	bool more = false;

	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		/* It waits for its server, and would go on by what that says. */
		more |= h->judging && h->unsure;
		hold_judge(h, true);
	}
	if (more)
		list_append(&s->worker->holds_asked, &s->again);
	pipe_go_on(s);
	session_touch(s);
}

static bool has_holds(const struct session *s)
{
	return s->state == SESSION_OPEN && !list_is_empty(&s->holds);
}

static void go_on(struct worker *w);

static void on_turn(struct ring_operation *operation, int result)
{
	struct worker *w = container_of(operation, struct worker, holds_again);
	uint64_t now = clock_monotonic();
	struct session *s;

	(void)result;
	for (int i = 0; i < KNOWN_AT_ONCE && (s = take(&w->holds_known)); i++) {
		if (!has_holds(s))
			continue;
		list_append(&w->holds_asked, &s->again);
		judge_known(s);
	}
	if (list_is_empty(&w->holds_known) && now >= w->holds_ask) {
		w->holds_ask = now + ASKED_PAUSE;
		for (int i = 0; i < ASKED_AT_ONCE && (s = take(&w->holds_asked)); i++) {
			if (has_holds(s))
				judge_anew(s);
		}
	}
	go_on(w);
}

static void go_on(struct worker *w)
{
	uint64_t now = clock_monotonic();
	bool known = !list_is_empty(&w->holds_known);

	if (w->holds_again.in_flight || (!known && list_is_empty(&w->holds_asked)))
		return;
	w->holds_again.complete = on_turn;
	ring_timeout(&w->ring, &w->holds_again,
		known || w->holds_ask <= now + PAUSE ? PAUSE : w->holds_ask - now);
}

void hold_judge_again(struct session *s)
{
	if (!has_holds(s))
		return;
	list_remove(&s->again);
	list_append(&s->worker->holds_known, &s->again);
	go_on(s->worker);
}

bool hold_makes_sure(struct session *s, uint32_t lane)
{
	struct hold *h = hold_find(s, lane);

	if (!h || !h->unsure)
		return false;
	/* What people approved does not wait for its turn. */
	if (h->state == HOLD_DECIDED)
		hold_judge(h, true);
	return true;
}
