/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/share.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/session.h"

#define WAIT (20 * NANOSECONDS_PER_MILLISECOND)
#define TRIES 4 /* where several workers want the last place at once */

static void on_timer(struct ring_operation *operation, int result)
{
	struct worker *w = container_of(operation, struct worker, shares.timer);
	struct list due;

	(void)result;
	/* Who has to wait again does so in the other list. */
	list_init(&due);
	list_insert_after(&w->shares.waiting, &due);
	list_remove(&w->shares.waiting);
	while (!list_is_empty(&due)) {
		struct session *s = list_entry(due.next, struct session, share.link);

		list_remove(&s->share.link);
		pipe_go_on(s);
		session_touch(s);
	}
}

void shares_init(struct worker *w, struct share_table *table)
{
	w->shares.table = table;
	w->shares.worker = w->start->index % SHARE_WORKERS;
	w->shares.timer.complete = on_timer;
	list_init(&w->shares.waiting);
	for (unsigned i = 0; i < SHARE_SLOTS; i++)
		atomic_store(&table->sessions[w->shares.worker][i], 0);
}

/* The agent's slot, the same for all workers; -1: there is none left. */
static int find_slot(struct share_table *t, uint32_t agent)
{
	for (uint32_t i = 0; i < SHARE_SLOTS; i++) {
		uint32_t at = (agent + i) % SHARE_SLOTS, found = 0;

		if (atomic_load(&t->slots[at].agent) == agent ||
			atomic_compare_exchange_strong(&t->slots[at].agent, &found, agent) ||
			found == agent)
			return (int)at;
	}
	return -1;
}

static uint64_t count_sessions(const struct share_table *t, int slot)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < SHARE_WORKERS; i++)
		count += atomic_load(&t->sessions[i][slot]);
	return count;
}

/* Takes `amount` of what comes back with `rate` a second; -EDQUOT: it would be more than a second's
 * worth ahead of that, and `strict` takes nothing then. */
static int take(_Atomic uint64_t *until, uint64_t amount, uint64_t rate, bool strict)
{
	uint64_t now = clock_monotonic(), before = atomic_load(until), after;
	bool over;

	do {
		after = (before > now ? before : now) + amount * NANOSECONDS_PER_SECOND / rate;
		over = after - now > NANOSECONDS_PER_SECOND;
	} while (!(strict && over) && !atomic_compare_exchange_weak(until, &before, after));
	return over ? -EDQUOT : 0;
}

static void set_over(struct session *s, const char *text, uint64_t most)
{
	s->share.over = text;
	s->share.most = most;
}

/* Each of them stays until it has been told, if it ever asks. */
static bool is_told(struct session *s)
{
	struct shares *shares = &s->worker->shares;

	if (s->share.slot < 0 || shares->refused[s->share.slot] >= LIMIT_REFUSED_AGENT)
		return false;
	shares->refused[s->share.slot]++;
	s->share.told = true;
	return true;
}

static bool is_refused(const struct session *s)
{
	return s->share.over && policy_scope_policy(s->scope)->mode != POLICY_OBSERVE;
}

static _Atomic uint32_t *own_count(struct session *s)
{
	struct shares *shares = &s->worker->shares;

	return &shares->table->sessions[shares->worker][s->share.slot];
}

static void count(struct session *s)
{
	atomic_fetch_add(own_count(s), 1);
	s->share.counted = true;
}

static void uncount(struct session *s)
{
	if (s->share.counted)
		atomic_fetch_sub(own_count(s), 1);
	s->share.counted = false;
}

/* False: there is no place left. Two workers that count at once for the last one both find that it
 * is one too many: they try again. */
static bool find_place(struct session *s, uint64_t most)
{
	const struct share_table *t = s->worker->shares.table;

	for (unsigned i = 0; i < TRIES; i++) {
		count(s);
		if (most == 0 || count_sessions(t, s->share.slot) <= most)
			return true;
		uncount(s);
		if (count_sessions(t, s->share.slot) >= most)
			break;
	}
	return false;
}

static void count_in(struct session *s)
{
	struct share_table *t = s->worker->shares.table;
	const struct policy_limits *limits = &s->agent->limits;
	int slot = find_slot(t, s->agent->id);

	s->share.slot = slot;
	if (slot < 0) {
		if (limits->sessions || limits->rate)
			set_over(s, "this agent's sessions can't be counted; most: %lu",
				limits->sessions);
		return;
	}
	if (!find_place(s, limits->sessions))
		set_over(s, "this agent may have no more than %lu sessions at a time",
			limits->sessions);
	else if (limits->rate && take(&t->slots[slot].begun, 1, limits->rate, true) < 0)
		set_over(s, "this agent may begin no more than %lu sessions in a second",
			limits->rate);
}

int share_take(struct session *s)
{
	count_in(s);
	if (!is_refused(s)) {
		if (s->share.slot >= 0 && !s->share.counted)
			count(s);
		return 0;
	}
	/* It takes no place from those that may begin, however long it waits to be told. */
	uncount(s);
	return is_told(s) ? 0 : -EDQUOT;
}

void share_give_back(struct session *s)
{
	struct shares *shares = &s->worker->shares;

	uncount(s);
	if (s->share.told)
		shares->refused[s->share.slot]--;
	s->share.told = false;
	s->share.slot = -1;
	list_remove(&s->share.link);
}

bool share_may_begin(const struct session *s, struct buffer *ret)
{
	char text[128];

	if (!is_refused(s))
		return true;
	snprintf(text, sizeof(text), s->share.over, (unsigned long)s->share.most);
	refusal_text(REASON_LIMIT, slice_from_string(text), ret);
	return false;
}

uint64_t share_room(const struct session *s)
{
	uint64_t most = s->agent->limits.sessions, count;

	if (most == 0)
		return UINT64_MAX;
	if (s->share.slot < 0)
		return 0;
	count = count_sessions(s->worker->shares.table, s->share.slot);
	return count < most ? most - count : 0;
}

uint64_t share_bandwidth(const struct session *s)
{
	return s->agent && s->share.slot >= 0 ? s->agent->limits.bandwidth : 0;
}

void share_moved(struct session *s, size_t bytes)
{
	uint64_t most = share_bandwidth(s);

	if (most)
		take(&s->worker->shares.table->slots[s->share.slot].moved, bytes, most, false);
}

bool share_waits(struct session *s)
{
	struct shares *shares = &s->worker->shares;

	if (!share_bandwidth(s) ||
		atomic_load(&shares->table->slots[s->share.slot].moved) <
			clock_monotonic() + NANOSECONDS_PER_SECOND)
		return false;
	if (list_is_empty(&s->share.link))
		list_append(&shares->waiting, &s->share.link);
	if (!shares->timer.in_flight)
		ring_timeout(&s->worker->ring, &shares->timer, WAIT);
	return true;
}
