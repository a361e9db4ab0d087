/* SPDX-License-Identifier: Apache-2.0 */
#include "approval/book.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "approval/book_internal.h"
#include "base/clock.h"
#include "base/memory.h"

#define RESTARTED "Wayleave restarted"
#define KEPT_TIME (30 * 24 * 3600 * NANOSECONDS_PER_SECOND)
#define ABANDON_TIME (5 * NANOSECONDS_PER_SECOND)
#define PRUNE_EVERY (600 * NANOSECONDS_PER_SECOND)
#define PRUNE_SOON NANOSECONDS_PER_SECOND

/* --- changes: all or nothing, and noted --- */

static void remember_problem(struct book *b, const char *text)
{
	free(b->problem);
	b->problem = text ? memory_copy_string(text) : NULL;
}

static int fail(struct book *b, int r, struct error *e)
{
	remember_problem(b, ledger_problem(b->ledger, r));
	return error_set(e, r, "it could not be kept: %s", b->problem);
}

int book_begin(struct book *b, bool durable, struct error *e)
{
	int r = ledger_begin(b->ledger, durable);

	return r < 0 ? fail(b, r, e) : 0;
}

void book_note(
	struct book *b, enum host_event event, const struct identifier *subject, const char *detail)
{
	assert(b->note_count < NOTES_MOST);
	b->notes[b->note_count++] = (struct note){event, *subject, memory_copy_string(detail)};
}

static void forget_notes(struct book *b)
{
	while (b->note_count)
		free(b->notes[--b->note_count].detail);
}

static int write_notes(struct book *b, size_t *ret_written)
{
	int r = 0;

	for (*ret_written = 0; r == 0 && *ret_written < b->note_count;) {
		const struct note *n = &b->notes[*ret_written];

		r = b->events->note(b->context, n->event, slice_from_string(n->subject.text),
			slice_from_string(n->detail));
		*ret_written += r == 0;
	}
	return r;
}

/* What is in the audit log stays there. */
static void take_back(struct book *b, size_t written)
{
	for (size_t i = 0; i < written; i++)
		b->events->note(b->context, HOST_WARNING,
			slice_from_string(b->notes[i].subject.text),
			slice_from_string("what stands before of it could not be kept: it did not "
					  "happen"));
}

/* Notes come before the commit: what can't be in the audit log must not happen. */
static int note_and_commit(struct book *b, struct error *e)
{
	size_t written;
	int r = write_notes(b, &written);

	if (r < 0) {
		remember_problem(b, "the audit log can't be written");
		error_set_errno(e, r, "it could not be recorded");
	} else {
		r = ledger_commit(b->ledger);
		if (r < 0)
			fail(b, r, e);
	}
	if (r < 0)
		take_back(b, written);
	return r;
}

int book_end(struct book *b, int r, struct error *e)
{
	r = r < 0 ? fail(b, r, e) : note_and_commit(b, e);
	forget_notes(b);
	if (r < 0) {
		ledger_rollback(b->ledger);
		return r;
	}
	remember_problem(b, NULL);
	return 0;
}

static void remember_ended(struct book *b, const struct identifier *review)
{
	struct ended *e = &b->ended[b->ended_count++ % ENDED_MOST];

	if (e->changed > b->known_since)
		b->known_since = e->changed;
	*e = (struct ended){*review, b->generation};
}

void book_changed(struct book *b, const struct identifier *review, enum book_change change)
{
	struct pending *p = book_find(b, slice_from_string(review->text));

	b->generation++;
	if (p)
		p->changed = b->generation;
	else
		remember_ended(b, review);
	b->events->changed(b->context, review, change);
}

/* --- finding --- */

bool book_read_id(struct slice text, char prefix, struct identifier *ret)
{
	struct identifier id = {{0}};

	if (text.length >= sizeof(id.text))
		return false;
	for (size_t i = 0; i < text.length; i++) {
		char c = (char)text.data[i];

		id.text[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
	}
	if (id.text[0] == prefix - 32)
		id.text[0] = prefix;
	if (!identifier_is_valid(slice_of(id.text, text.length), prefix))
		return false;
	*ret = id;
	return true;
}

struct pending *book_find(const struct book *b, struct slice id)
{
	struct table_node *node = table_find(&b->by_id, table_hash_slice(id));

	for (; node; node = table_find_next(&b->by_id, node)) {
		struct pending *p = container_of(node, struct pending, by_id);

		if (slice_equal_string(id, p->id.text))
			return p;
	}
	return NULL;
}

void pending_name(struct book *b, struct pending *p, const struct identifier *id)
{
	p->id = *id;
	table_insert(&b->by_id, &p->by_id, table_hash_slice(slice_from_string(p->id.text)));
}

uint64_t book_hash_wait(const struct book_wait *wait)
{
	const uint64_t words[2] = {wait->worker, wait->id};

	return table_hash(words, sizeof(words));
}

struct waiter *book_find_waiter(const struct book *b, const struct book_wait *wait)
{
	struct table_node *node = table_find(&b->by_wait, book_hash_wait(wait));

	for (; node; node = table_find_next(&b->by_wait, node)) {
		struct waiter *w = container_of(node, struct waiter, by_wait);

		if (w->wait.worker == wait->worker && w->wait.id == wait->id)
			return w;
	}
	return NULL;
}

/* --- life --- */

void waiter_free(struct book *b, struct waiter *w)
{
	table_remove(&b->by_wait, &w->by_wait);
	list_remove(&w->link);
	w->review->waiter_count--;
	free(w);
}

void pending_free(struct book *b, struct pending *p)
{
	list_for_each_safe (position, &p->waiters)
		waiter_free(b, list_entry(position, struct waiter, link));
	for (size_t i = 0; i < p->requester_count; i++)
		free(p->requesters[i].name);
	votes_free(p->votes, p->vote_count);
	table_remove(&b->by_digest, &p->by_digest);
	if (p->id.text[0])
		table_remove(&b->by_id, &p->by_id);
	list_remove(&p->link);
	b->pending_count--;
	free(p->requesters);
	free(p->agent);
	free(p->principal);
	free(p->on_behalf_of);
	free(p->groups);
	free(p->cancel_reason);
	free(p->rules);
	free(p->rule_text);
	free(p);
}

/* --- what is due --- */

void book_due(struct book *b, uint64_t time)
{
	if (time < b->next)
		b->next = time;
}

/* What ended meanwhile only makes `next` too early: then there is nothing to do but this. */
static void find_next(struct book *b)
{
	b->next = b->next_prune;
	list_for_each (position, &b->pending) {
		const struct pending *p = list_entry(position, struct pending, link);

		book_due(b, p->deadline);
		if (p->cancel_at)
			book_due(b, p->cancel_at);
	}
	for (size_t i = 0; i < b->grant_count; i++)
		book_due(b, b->details[i].end);
}

static int cancel_old(struct book *b, uint64_t now, struct error *e)
{
	uint64_t count = 0;
	char detail[128];
	int r = book_begin(b, true, e);

	if (r < 0)
		return r;
	r = ledger_cancel_pending(b->ledger, RESTARTED, now, &count);
	if (r == 0 && count == 0) {
		ledger_rollback(b->ledger);
		return 0;
	}
	snprintf(detail, sizeof(detail), "%lu that were pending: " RESTARTED, (unsigned long)count);
	book_note(b, HOST_CANCELLED, &(struct identifier){"reviews"}, detail);
	return book_end(b, r, e);
}

/* What can't be kept is in force all the same, and for the next start the times are as they were.
 */
static void move_kept(struct book *b, int64_t by)
{
	struct error e;

	if (book_begin(b, false, &e) == 0)
		book_end(b, ledger_move(b->ledger, by), &e);
}

int book_open(const struct book_options *o, struct book **ret, struct error *e)
{
	struct book *b = memory_new(sizeof(*b));
	int r;

	b->config = o->config;
	b->table = o->table;
	b->events = o->events;
	b->context = o->context;
	b->next_serial = 1;
	b->generation = b->known_since = 1;
	list_init(&b->pending);
	list_init(&b->answers);
	list_init(&b->released);
	list_init(&b->paces);
	table_init(&b->by_digest);
	table_init(&b->by_wait);
	table_init(&b->by_id);
	r = ledger_open(o->path, &b->ledger, e);
	if (r == 0 && o->moved)
		move_kept(b, o->moved);
	if (r == 0)
		r = cancel_old(b, o->now, e);
	if (r == 0)
		r = book_released_open(b, e);
	if (r == 0)
		r = book_grants_load(b, o->now, e);
	if (r < 0) {
		book_free(b);
		return r;
	}
	/* Nobody has the list yet. */
	b->opening = true;
	book_grants_tick(b, o->now);
	book_grants_configure(b, o->now);
	b->opening = false;
	find_next(b);
	*ret = b;
	return 0;
}

void book_free(struct book *b)
{
	if (!b)
		return;
	list_for_each_safe (position, &b->pending)
		pending_free(b, list_entry(position, struct pending, link));
	book_forget_answers(b, UINT64_MAX);
	book_pace_free(b);
	book_released_free(b);
	table_done(&b->by_digest);
	table_done(&b->by_wait);
	table_done(&b->by_id);
	book_grants_free(b);
	ledger_close(b->ledger);
	free(b->problem);
	free(b);
}

/* --- a configuration --- */

/* Votes stay: they count where their voters are members of the new groups. Nothing is approved by
 * this alone; the next vote looks at all of them. */
static void regroup(struct book *b, struct pending *p, const struct requirement *new)
{
	char *groups = requirement_groups(new, "\n"), *spoken;
	bool same = strcmp(groups, p->groups) == 0 && new->grant == p->requirement.grant;
	struct error e;

	p->requirement = *new;
	free(p->groups);
	p->groups = groups;
	if (same)
		return;
	spoken = requirement_groups(new, " and ");
	if (book_begin(b, false, &e) == 0) {
		int r = ledger_change_review(
			b->ledger, &p->id, slice_from_string(groups), new->grant);

		book_note(b, HOST_REVIEW, &p->id, spoken);
		book_end(b, r, &e);
	}
	free(spoken);
	book_changed(b, &p->id, BOOK_WAITERS);
}

/* Workers judge what they hold by the new rules themselves, and leave: perhaps it is allowed now.
 * Who has not left after a while is told that it is over. */
static void abandon(struct pending *p, const char *reason, uint64_t now)
{
	p->requirement.group_count = 0;
	p->cancel_reason = memory_copy_string(reason);
	p->cancel_at = now + ABANDON_TIME;
}

void book_configure(struct book *b, const struct config *config, uint64_t now)
{
	b->config = config;
	/* Other people may have to answer now. */
	book_forget_answers(b, UINT64_MAX);
	list_for_each_safe (position, &b->pending) {
		struct pending *p = list_entry(position, struct pending, link);
		struct requirement requirement;
		struct error e;

		free(p->cancel_reason);
		p->cancel_reason = NULL;
		p->cancel_at = 0;
		if (requirement_find(config, p->rules, p->rule_count, &requirement, &e) < 0) {
			abandon(p, e.text, now);
			book_changed(b, &p->id, BOOK_WAITERS);
			continue;
		}
		if (p->unknown)
			requirement.grant = 0; /* see book_ask.c */
		regroup(b, p, &requirement);
	}
	book_pace_configure(b, now);
	if (book_grants_configure(b, now))
		b->events->granted(b->context);
	find_next(b);
	/* Others may see other reviews. */
	b->known_since = ++b->generation;
}

/* --- time --- */

static void forget_old(struct book *b, uint64_t now, bool clock_set)
{
	uint64_t before = clock_set || now < KEPT_TIME ? 0 : now - KEPT_TIME;
	bool more = false;
	int r = ledger_prune(b->ledger, before, &more);

	if (r < 0)
		remember_problem(b, ledger_problem(b->ledger, r));
	b->next_prune = now + (more ? PRUNE_SOON : PRUNE_EVERY);
	b->kept_since = 0;
}

void book_tick(struct book *b, uint64_t now, bool clock_set)
{
	list_for_each_safe (position, &b->pending) {
		struct pending *p = list_entry(position, struct pending, link);

		if (p->cancel_at && now >= p->cancel_at)
			pending_give_up(b, p, REVIEW_CANCELLED, p->cancel_reason, now);
		else if (now >= p->deadline)
			pending_give_up(b, p, REVIEW_EXPIRED, "nobody decided in time", now);
	}
	if (book_grants_tick(b, now))
		b->events->granted(b->context);
	if (now >= b->next_prune)
		forget_old(b, now, clock_set);
	find_next(b);
}

void book_set_clock(struct book *b, int64_t by)
{
	list_for_each (position, &b->pending) {
		struct pending *p = list_entry(position, struct pending, link);

		p->created = book_moved(p->created, by);
		p->deadline = book_moved(p->deadline, by);
		p->cancel_at = p->cancel_at ? book_moved(p->cancel_at, by) : 0;
	}
	book_move_grants(b, by);
	book_move_answers(b, by);
	book_pace_move(b, by);
	b->next_prune = book_moved(b->next_prune, by);
	find_next(b);
	/* All that lists show has another time. */
	b->known_since = ++b->generation;
	move_kept(b, by);
}

uint64_t book_next(const struct book *b)
{
	return b->next;
}

void book_each_pending(const struct book *b,
	void (*each)(void *context, const struct identifier *review), void *context)
{
	list_for_each (position, &b->pending)
		each(context, &list_entry(position, struct pending, link)->id);
}

size_t book_count_pending(const struct book *b)
{
	return b->pending_count;
}

size_t book_count_grants(const struct book *b)
{
	return b->grant_count;
}

uint64_t book_generation(const struct book *b)
{
	return b->generation;
}

const char *book_problem(const struct book *b)
{
	return b->problem;
}
