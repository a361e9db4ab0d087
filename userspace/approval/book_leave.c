/* SPDX-License-Identifier: Apache-2.0
 *
 * Who leaves a review, and what becomes of one that nobody waits for.
 */
#include "approval/book_internal.h"

#define LEFT "the agent no longer waits"
#define LOST "the worker that had its session ended"
#define STOPPED "Wayleave stopped"

static void leave(struct book *b, struct waiter *w, bool stays, const char *why, uint64_t now)
{
	struct pending *p = w->review;
	uint64_t number = w->number;
	struct error e;

	waiter_free(b, w);
	if (book_begin(b, false, &e) == 0)
		book_end(b, ledger_set_waiter(b->ledger, number, WAITER_LEFT), &e);
	/* One who may ask the same again finds the answer, whoever leaves behind it; nobody could
	 * where all stops. */
	p->stays = (p->stays || stays) && !b->stopping;
	if (p->waiter_count == 0 && !p->stays)
		pending_give_up(b, p, REVIEW_CANCELLED, b->stopping ? STOPPED : why, now);
	else
		book_changed(b, &p->id, BOOK_WAITERS);
}

void book_leave(struct book *b, const struct book_wait *wait, bool stays, uint64_t now)
{
	struct waiter *w = book_find_waiter(b, wait);

	if (w)
		leave(b, w, stays, LEFT, now);
	else if (!stays || !book_give_back(b, wait, now))
		book_released_left(b, wait);
}

void book_worker_gone(struct book *b, unsigned worker, uint64_t now)
{
	list_for_each_safe (position, &b->pending) {
		struct pending *p = list_entry(position, struct pending, link);

		list_for_each_safe (inner, &p->waiters) {
			struct waiter *w = list_entry(inner, struct waiter, link);
			bool last = p->waiter_count == 1;

			if (w->wait.worker != worker)
				continue;
			leave(b, w, false, LOST, now);
			if (last)
				break; /* the review went with it */
		}
	}
	book_answers_lost(b, worker);
	book_released_lost(b, worker);
}

void book_stop(struct book *b, uint64_t now)
{
	b->stopping = true;
	list_for_each_safe (position, &b->pending) {
		struct pending *p = list_entry(position, struct pending, link);

		if (p->waiter_count == 0)
			pending_give_up(b, p, REVIEW_CANCELLED, STOPPED, now);
	}
}
