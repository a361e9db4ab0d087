/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers that nobody waited for: a client of HTTP gives up, people decide, and it asks again. The
 * first identical request of the same agent gets the answer, once, until the review's deadline.
 * They are in memory alone: after a restart, or under another configuration, people are asked anew.
 *
 * A client of Kubernetes' exec that was refused tries it once more over its other transport,
 * without anybody's asking. That is the same action: a denial holds for that attempt too, and an
 * approval that the server did not let begin is given back by its worker, for that attempt.
 */
#include <errno.h>

#include "approval/book_internal.h"
#include "base/clock.h"
#include "base/memory.h"

#define ANSWERS_MOST 1024u
#define RETRIED_WITHIN (60 * NANOSECONDS_PER_SECOND)

struct answer {
	struct list link; /* in the book, oldest first */
	uint8_t digest[QUESTION_DIGEST_SIZE];
	uint8_t content[QUESTION_DIGEST_SIZE];
	char *agent, *principal, *on_behalf_of, *by, *reason;
	struct identifier review;
	enum record_outcome outcome;
	uint64_t deadline;
	bool retried; /* the action is one that clients try twice by themselves */
	bool lent; /* somebody has it, and may give it back */
	struct book_wait lent_to;
	uint64_t lent_number; /* of that wait, in the ledger */
	struct vote *votes; /* of those who approved */
	size_t vote_count;
};

static void answer_free(struct book *b, struct answer *a)
{
	list_remove(&a->link);
	b->answer_count--;
	votes_free(a->votes, a->vote_count);
	free(a->agent);
	free(a->principal);
	free(a->on_behalf_of);
	free(a->by);
	free(a->reason);
	free(a);
}

void book_forget_answers(struct book *b, uint64_t now)
{
	list_for_each_safe (position, &b->answers) {
		struct answer *a = list_entry(position, struct answer, link);

		if (now >= a->deadline)
			answer_free(b, a);
	}
}

void book_move_answers(struct book *b, int64_t by)
{
	list_for_each (position, &b->answers) {
		struct answer *a = list_entry(position, struct answer, link);

		a->deadline = book_moved(a->deadline, by);
	}
}

static struct vote *copy_votes(const struct vote *votes, size_t count)
{
	struct vote *copies = memory_new_array(count + 1, sizeof(*copies));

	for (size_t i = 0; i < count; i++) {
		copies[i] = votes[i];
		if (votes[i].who.name)
			copies[i].who.name = memory_copy_string(votes[i].who.name);
	}
	return copies;
}

/* `lent_to` NULL: it waits for who asks again. */
static void keep(struct book *b, const struct pending *p, const struct ending *ending,
	uint64_t deadline, const struct waiter *lent_to)
{
	struct answer *a = memory_new(sizeof(*a));

	if (b->answer_count == ANSWERS_MOST)
		answer_free(b, list_entry(b->answers.next, struct answer, link));
	memcpy(a->digest, p->digest, sizeof(a->digest));
	memcpy(a->content, p->content, sizeof(a->content));
	a->agent = memory_copy_string(p->agent);
	a->principal = memory_copy_string(p->principal);
	a->on_behalf_of = memory_copy_string(p->on_behalf_of);
	a->by = memory_copy_text(ending->by.data, ending->by.length);
	a->reason = memory_copy_text(ending->reason.data, ending->reason.length);
	a->review = p->id;
	a->outcome = ending->state == REVIEW_APPROVED ? OUTCOME_APPROVED : OUTCOME_DENIED;
	a->deadline = deadline;
	a->retried = p->retried;
	a->lent = lent_to != NULL;
	if (lent_to) {
		a->lent_to = lent_to->wait;
		a->lent_number = lent_to->number;
	}
	a->votes = copy_votes(p->votes, p->vote_count);
	a->vote_count = p->vote_count;
	list_append(&b->answers, &a->link);
	b->answer_count++;
}

void book_keep_answer(struct book *b, struct pending *p, const struct ending *ending, uint64_t now)
{
	/* What a grant covers needs no answer; only people answer. */
	if (ending->grant || !ending->vote)
		return;
	book_forget_answers(b, now);
	if (p->waiter_count == 0 && p->stays)
		keep(b, p, ending, p->deadline, NULL);
	else if (p->retried && ending->state != REVIEW_APPROVED)
		keep(b, p, ending, now + RETRIED_WITHIN, NULL);
	else if (p->retried)
		list_for_each (position, &p->waiters)
			keep(b, p, ending, now + RETRIED_WITHIN,
				list_entry(position, struct waiter, link));
}

bool book_give_back(struct book *b, const struct book_wait *wait, uint64_t now)
{
	list_for_each (position, &b->answers) {
		struct answer *a = list_entry(position, struct answer, link);

		if (!a->lent || a->lent_to.worker != wait->worker || a->lent_to.id != wait->id)
			continue;
		a->lent = false;
		a->deadline = now + RETRIED_WITHIN;
		book_released_back(b, wait, &a->review, a->lent_number);
		return true;
	}
	return false;
}

void book_answers_lost(struct book *b, unsigned worker)
{
	list_for_each_safe (position, &b->answers) {
		struct answer *a = list_entry(position, struct answer, link);

		if (a->lent && a->lent_to.worker == worker)
			answer_free(b, a);
	}
}

/* Nobody approves their own request: also not by approving what another user asked before. */
static bool is_own(const struct book *b, const struct answer *a, const struct reviewer *user)
{
	const struct requester_names names = {
		slice_from_string(a->principal), slice_from_string(a->on_behalf_of)};

	for (size_t i = 0; a->outcome == OUTCOME_APPROVED && i < a->vote_count; i++) {
		if (reviewer_is_requester(b->config, &a->votes[i].who, user, &names))
			return true;
	}
	return false;
}

static struct answer *find_answer(const struct book *b, const struct question *q,
	const uint8_t content[QUESTION_DIGEST_SIZE], const char *name)
{
	const struct reviewer user = {REVIEWER_LOCAL, (uid_t)q->uid, name};

	list_for_each (position, &b->answers) {
		struct answer *a = list_entry(position, struct answer, link);

		if (!a->lent && memcmp(a->digest, q->digest, sizeof(a->digest)) == 0 &&
			memcmp(a->content, content, sizeof(a->content)) == 0 &&
			slice_equal_string(q->scope.agent, a->agent) && !is_own(b, a, &user))
			return a;
	}
	return NULL;
}

static int note_use(struct book *b, const struct answer *a, const struct question *q,
	uint64_t *ret_number, struct error *e)
{
	const struct ledger_waiter row = {.session = q->session, .pid = q->pid, .uid = q->uid};
	int r = book_begin(b, true, e);

	if (r < 0)
		return r;
	book_note(b, HOST_REVIEW, &a->review, "its answer is given to who asked again");
	r = ledger_add_waiter(b->ledger, &a->review, &row, ret_number);
	if (r == 0 && a->outcome == OUTCOME_APPROVED)
		r = ledger_set_waiter(b->ledger, *ret_number, WAITER_RELEASED);
	return book_end(b, r, e);
}

int book_take_answer(struct book *b, const struct book_wait *wait, const struct question *q,
	const uint8_t content[QUESTION_DIGEST_SIZE], const char *name, uint64_t now,
	struct book_held *ret, struct error *e)
{
	struct answer *a;
	int r;

	book_forget_answers(b, now);
	a = find_answer(b, q, content, name);
	if (!a)
		return 0;
	r = note_use(b, a, q, &b->taken_number, e);
	if (r < 0)
		return r;
	b->taken = a;
	b->taken_by = *wait;
	*ret = (struct book_held){.review = a->review, .deadline = a->deadline};
	return 1;
}

void book_answer(struct book *b, const struct book_wait *wait)
{
	struct answer *a = b->taken;

	if (!a || b->taken_by.worker != wait->worker || b->taken_by.id != wait->id)
		return;
	b->taken = NULL;
	if (a->outcome == OUTCOME_APPROVED)
		book_release(b, wait, &a->review, b->taken_number);
	b->events->decided(b->context, wait,
		&(struct book_outcome){.outcome = a->outcome,
			.by = slice_from_string(a->by),
			.detail = slice_from_string(a->reason)});
	if (!a->retried) {
		answer_free(b, a);
	} else if (a->outcome == OUTCOME_APPROVED) {
		a->lent = true;
		a->lent_to = *wait;
		a->lent_number = b->taken_number;
	}
}
