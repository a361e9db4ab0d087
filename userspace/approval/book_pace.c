/* SPDX-License-Identifier: Apache-2.0
 *
 * How many reviews an agent may ask for: so many pending at once, and so many in a minute that
 * nobody decides. The latter is a token bucket: each new review takes one, a person's decision
 * gives it back, and a minute gives as many as its rate. So an agent that asks and leaves in a loop
 * fills neither the disk nor reviewers' channels, and one that people answer is never slowed.
 *
 * What is refused is counted, and noted in the audit log once a minute.
 */
#include <errno.h>

#include "approval/book_internal.h"
#include "base/clock.h"
#include "base/memory.h"

#define MINUTE (60 * NANOSECONDS_PER_SECOND)
#define NOTE_GAP MINUTE

/* Of an agent that has asked. The bucket holds time: a review costs what brings back one. */
struct pace {
	struct list link;
	char *agent;
	uint64_t held, filled; /* nanoseconds in it; when that was so, by the wall clock */
	uint64_t cost, most; /* of one review; that it has room for */
	uint64_t refused[BOOK_LIMIT_COUNT];
	uint64_t unnoted; /* refused, and the audit log does not have it yet */
	uint64_t note_again; /* wall clock */
};

/* As many at once as may be pending, too: who may hold more than a minute brings can ask for all of
 * it. Full at first, and under each new configuration, which may make all that is held another
 * review. */
static void set_rate(struct pace *p, const struct config_agent *a, uint64_t now)
{
	uint64_t rate = a->reviews_per_minute.value, at_once = a->pending_reviews.value;

	p->cost = rate ? MINUTE / rate : 0;
	p->most = p->cost * (at_once > rate ? at_once : rate);
	p->held = p->most;
	p->filled = now;
}

static struct pace *find(const struct book *b, const char *agent)
{
	list_for_each (position, &b->paces) {
		struct pace *p = list_entry(position, struct pace, link);

		if (strcmp(p->agent, agent) == 0)
			return p;
	}
	return NULL;
}

static struct pace *find_or_add(struct book *b, const struct config_agent *a, uint64_t now)
{
	struct pace *p = find(b, a->name.text);

	if (p)
		return p;
	p = memory_new(sizeof(*p));
	p->agent = memory_copy_string(a->name.text);
	set_rate(p, a, now);
	list_append(&b->paces, &p->link);
	return p;
}

static void fill(struct pace *p, uint64_t now)
{
	uint64_t passed = now > p->filled ? now - p->filled : 0;

	p->held = passed < p->most - p->held ? p->held + passed : p->most;
	p->filled = now;
}

static uint64_t count_pending(const struct book *b, const char *agent)
{
	uint64_t count = 0;

	list_for_each (position, &b->pending)
		count += strcmp(list_entry(position, struct pending, link)->agent, agent) == 0;
	return count;
}

/* Where it can't be noted, it is with the next one. */
static void count_refused(
	struct book *b, struct pace *p, enum book_limit limit, const char *why, uint64_t now)
{
	char *detail;

	p->refused[limit]++;
	p->unnoted++;
	if (now < p->note_again)
		return;
	detail = memory_format("refused to ask for %lu review%s; the last time: %s",
		(unsigned long)p->unnoted, p->unnoted == 1 ? "" : "s", why);
	if (b->events->note(b->context, HOST_WARNING, slice_from_string(p->agent),
		    slice_from_string(detail)) == 0) {
		p->unnoted = 0;
		p->note_again = now + NOTE_GAP;
	}
	free(detail);
}

int book_pace_check(struct book *b, const struct config_agent *a, uint64_t now, struct error *e)
{
	struct pace *p = find_or_add(b, a, now);
	enum book_limit limit = BOOK_LIMIT_COUNT;

	fill(p, now);
	if (count_pending(b, p->agent) >= a->pending_reviews.value) {
		limit = BOOK_LIMIT_PENDING;
		error_set(e, -EDQUOT, "too many reviews of this agent are pending (at most %lu)",
			(unsigned long)a->pending_reviews.value);
	} else if (p->held < p->cost) {
		limit = BOOK_LIMIT_RATE;
		error_set(e, -EDQUOT,
			"too many reviews of this agent were asked for that nobody decided (at "
			"most %lu in a minute)",
			(unsigned long)a->reviews_per_minute.value);
	}
	if (limit == BOOK_LIMIT_COUNT)
		return 0;
	count_refused(b, p, limit, e->text, now);
	return -EDQUOT;
}

void book_pace_take(struct book *b, const char *agent)
{
	struct pace *p = find(b, agent);

	if (p)
		p->held -= p->held < p->cost ? p->held : p->cost;
}

void book_pace_give_back(struct book *b, const char *agent)
{
	struct pace *p = find(b, agent);

	if (p)
		p->held = p->cost < p->most - p->held ? p->held + p->cost : p->most;
}

static void pace_free(struct pace *p)
{
	list_remove(&p->link);
	free(p->agent);
	free(p);
}

void book_pace_configure(struct book *b, uint64_t now)
{
	list_for_each_safe (position, &b->paces) {
		struct pace *p = list_entry(position, struct pace, link);
		const struct config_agent *a = config_find_agent(b->config, p->agent);

		if (a)
			set_rate(p, a, now);
		else
			pace_free(p);
	}
}

void book_pace_move(struct book *b, int64_t by)
{
	list_for_each (position, &b->paces) {
		struct pace *p = list_entry(position, struct pace, link);

		p->filled = book_moved(p->filled, by);
		p->note_again = book_moved(p->note_again, by);
	}
}

void book_pace_free(struct book *b)
{
	list_for_each_safe (position, &b->paces)
		pace_free(list_entry(position, struct pace, link));
}

uint64_t book_count_refused(const struct book *b, const char *agent, enum book_limit limit)
{
	const struct pace *p = find(b, agent);

	return p ? p->refused[limit] : 0;
}
