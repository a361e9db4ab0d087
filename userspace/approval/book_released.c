/* SPDX-License-Identifier: Apache-2.0
 *
 * Who was told of an approval, until its worker says that the action goes on. What is lost before,
 * as its session or its worker ends, was approved and let nothing run, or is not known to have.
 */
#include <stdio.h>
#include <stdlib.h>

#include "approval/book_internal.h"
#include "base/memory.h"

#define UNUSED                                                                                     \
	"approved, but it no longer waited, or its server was not reached: the approval let "      \
	"nothing run"
#define BACK "approved, but it did not begin: the approval is for who tries it again"
#define LOST "approved; the worker that had its session ended, so it is not known to have run"
#define ENDED "approved; Wayleave ended before it said so, so not all is known to have run"

struct released {
	struct list link; /* in the book, oldest first */
	struct book_wait wait;
	struct identifier review;
	uint64_t number; /* in the ledger */
};

static void released_free(struct released *r)
{
	list_remove(&r->link);
	free(r);
}

/* Most go on in the order in which they were told. */
static struct released *find(const struct book *b, const struct book_wait *wait)
{
	list_for_each (position, &b->released) {
		struct released *r = list_entry(position, struct released, link);

		if (r->wait.worker == wait->worker && r->wait.id == wait->id)
			return r;
	}
	return NULL;
}

void book_release(struct book *b, const struct book_wait *wait, const struct identifier *review,
	uint64_t number)
{
	struct released *r = memory_new(sizeof(*r));

	r->wait = *wait;
	r->review = *review;
	r->number = number;
	list_append(&b->released, &r->link);
}

bool book_is_going_on(const struct book *b, const struct identifier *review)
{
	list_for_each (position, &b->released) {
		const struct released *r = list_entry(position, struct released, link);

		if (strcmp(r->review.text, review->text) == 0)
			return true;
	}
	return false;
}

bool book_is_released(const struct book *b, uint64_t number)
{
	list_for_each (position, &b->released) {
		if (list_entry(position, struct released, link)->number == number)
			return true;
	}
	return false;
}

/* `note` NULL: nobody needs to be told. What can't be written is not known later, as is said. */
static void settle(
	struct book *b, const struct released *r, enum ledger_waiter_state state, const char *note)
{
	struct error e;

	if (book_begin(b, false, &e) < 0)
		return;
	if (note)
		book_note(b, HOST_REVIEW, &r->review, note);
	book_end(b, ledger_set_waiter(b->ledger, r->number, state), &e);
}

static void lose(
	struct book *b, struct released *r, enum ledger_waiter_state state, const char *note)
{
	const struct identifier review = r->review;

	settle(b, r, state, note);
	released_free(r);
	book_changed(b, &review, BOOK_WAITERS);
}

void book_ran(struct book *b, const struct book_wait *wait)
{
	struct released *r = find(b, wait);

	struct identifier review;

	if (!r)
		return;
	review = r->review;
	settle(b, r, WAITER_HERE, NULL);
	released_free(r);
	/* Lists show nothing of it. */
	if (!book_is_going_on(b, &review))
		b->events->changed(b->context, &review, BOOK_RAN);
}

void book_released_left(struct book *b, const struct book_wait *wait)
{
	struct released *r = find(b, wait);

	if (r)
		lose(b, r, WAITER_UNUSED, UNUSED);
}

void book_released_back(struct book *b, const struct book_wait *wait,
	const struct identifier *review, uint64_t number)
{
	struct released *r = find(b, wait);

	if (!r) {
		book_release(b, wait, review, number);
		r = find(b, wait);
	}
	lose(b, r, WAITER_UNUSED, BACK);
}

void book_released_lost(struct book *b, unsigned worker)
{
	list_for_each_safe (position, &b->released) {
		struct released *r = list_entry(position, struct released, link);

		if (r->wait.worker == worker)
			lose(b, r, WAITER_LOST, LOST);
	}
}

static void remember_lost(void *context, const struct identifier *review)
{
	struct book *b = context;

	b->lost = memory_resize_array(b->lost, b->lost_count + 1, sizeof(*b->lost));
	b->lost[b->lost_count++] = *review;
}

int book_released_open(struct book *b, struct error *e)
{
	int r = book_begin(b, false, e);

	if (r < 0)
		return r;
	r = ledger_lose_released(b->ledger, remember_lost, b);
	if (r == 0 && b->lost_count == 0) {
		ledger_rollback(b->ledger);
		return 0;
	}
	for (size_t i = 0; r == 0 && i < b->lost_count; i++)
		r = b->events->note(b->context, HOST_REVIEW, slice_from_string(b->lost[i].text),
			slice_from_string(ENDED));
	return book_end(b, r, e);
}

void book_each_lost(
	struct book *b, void (*each)(void *context, const struct identifier *review), void *context)
{
	for (size_t i = 0; i < b->lost_count; i++)
		each(context, &b->lost[i]);
	free(b->lost);
	b->lost = NULL;
	b->lost_count = 0;
}

void book_released_free(struct book *b)
{
	free(b->lost);
	list_for_each_safe (position, &b->released)
		released_free(list_entry(position, struct released, link));
}
