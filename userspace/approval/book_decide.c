/* SPDX-License-Identifier: Apache-2.0
 *
 * Who decides, and how a review ends.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "approval/book_internal.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/text.h"

#define DETAIL_MOST (LIMIT_RECORD_NAME - 1)

/* --- how it ends --- */

static const struct end_row {
	enum record_outcome outcome;
	enum host_event event;
	bool durable; /* a person's word is; what ends by itself would end again */
} end_rows[REVIEW_STATE_COUNT] = {
	[REVIEW_APPROVED] = {OUTCOME_APPROVED, HOST_APPROVED, true},
	[REVIEW_DENIED] = {OUTCOME_DENIED, HOST_DENIED, true},
	[REVIEW_EXPIRED] = {OUTCOME_EXPIRED, HOST_EXPIRED, false},
	[REVIEW_CANCELLED] = {OUTCOME_CANCELLED, HOST_CANCELLED, false},
};

static void tell_waiters(struct book *b, const struct pending *p, const struct ending *ending,
	const struct identifier *grant)
{
	const struct book_outcome outcome = {
		.outcome = end_rows[ending->state].outcome,
		.by = ending->by,
		.detail = ending->reason,
		.grant = *grant,
	};

	list_for_each (position, &p->waiters) {
		const struct waiter *w = list_entry(position, struct waiter, link);

		if (ending->state == REVIEW_APPROVED)
			book_release(b, &w->wait, &p->id, w->number);
		b->events->decided(b->context, &w->wait, &outcome);
	}
}

/* For the audit log: who, how, why, and what. */
static char *describe(const struct pending *p, const struct ending *ending)
{
	const char *how = ending->vote ? reviewer_via_text(ending->vote->via) : "";
	char digest[2 * QUESTION_DIGEST_SIZE + 1];

	text_to_hex(slice_of(p->digest, sizeof(p->digest)), digest);
	return memory_format("%s%.*s%s%s%s%.*s (agent %.64s, %zu waiting, digest %s)",
		ending->by.length ? "by " : "", SLICE_PRINT(ending->by), *how ? " " : "", how,
		ending->reason.length ? ": " : "", SLICE_PRINT(ending->reason), p->agent,
		p->waiter_count, digest);
}

static int write_ending(struct book *b, struct pending *p, const struct ending *ending,
	uint64_t now, struct identifier *ret_grant)
{
	struct ledger_review row = {
		.id = p->id,
		.state = ending->state,
		.decided_by = ending->by,
		.reason = ending->reason,
		.ended = now,
	};
	int r = 0;

	if (ending->vote)
		r = ledger_add_vote(b->ledger, &p->id, ending->vote);
	if (r == 0 && ending->grant)
		r = book_grant_write(b, &row.grant);
	if (r == 0)
		r = ledger_end_review(b->ledger, &row);
	if (r == 0 && ending->state == REVIEW_APPROVED)
		r = ledger_release_waiters(b->ledger, &p->id);
	*ret_grant = row.grant;
	return r;
}

static int keep_ending(struct book *b, struct pending *p, const struct ending *ending, uint64_t now,
	struct identifier *ret_grant, struct error *e)
{
	const struct end_row *row = &end_rows[ending->state];
	char *detail;
	int r = book_begin(b, row->durable, e);

	if (r < 0)
		return r;
	detail = describe(p, ending);
	r = write_ending(b, p, ending, now, ret_grant);
	book_note(b, row->event, &p->id, detail);
	free(detail);
	return book_end(b, r, e);
}

int pending_end(struct book *b, struct pending *p, const struct ending *ending, uint64_t now,
	struct error *e)
{
	struct identifier grant = {{0}};
	const struct identifier id = p->id;
	int r = 0;

	if (ending->grant)
		r = book_grant_prepare(b, p, ending->grant, ending->by, now, e);
	if (r < 0)
		return r;
	r = keep_ending(b, p, ending, now, &grant, e);
	if (ending->grant && r < 0)
		book_grant_drop(b);
	if (r < 0)
		return r;
	/* A lane that goes on finds the grant in force. */
	if (ending->grant)
		book_grant_start(b);
	tell_waiters(b, p, ending, &grant);
	if (ending->grant)
		b->events->settled(b->context);
	book_keep_answer(b, p, ending, now);
	if (ending->vote)
		book_pace_give_back(b, p->agent);
	pending_free(b, p);
	book_changed(b, &id, BOOK_ENDED);
	return 0;
}

void pending_give_up(struct book *b, struct pending *p, enum review_state state, const char *reason,
	uint64_t now)
{
	const struct ending ending = {.state = state, .reason = slice_from_string(reason)};
	const struct identifier id = p->id, none = {{0}};
	struct error e;

	assert(state != REVIEW_APPROVED);
	if (pending_end(b, p, &ending, now, &e) == 0)
		return;
	/* The problem is remembered. On disk it goes on as pending, until the next start; here it
	 * is over, as nobody may wait longer. */
	tell_waiters(b, p, &ending, &none);
	pending_free(b, p);
	book_changed(b, &id, BOOK_ENDED);
}

/* --- who may --- */

static bool is_member(const struct pending *p, const struct reviewer *who)
{
	for (size_t i = 0; i < p->requirement.group_count; i++) {
		if (reviewer_is_member(p->requirement.groups[i], who))
			return true;
	}
	return false;
}

static bool is_requester(const struct book *b, const struct pending *p, const struct reviewer *who)
{
	const struct requester_names names = {
		slice_from_string(p->principal), slice_from_string(p->on_behalf_of)};

	for (size_t i = 0; i < p->requester_count; i++) {
		if (reviewer_is_requester(b->config, who, &p->requesters[i].user, &names))
			return true;
	}
	return false;
}

static int check_who(const struct book *b, const struct pending *p, const struct book_decision *d,
	struct error *e)
{
	char by[BY_SIZE], *groups;

	if (p->cancel_at)
		return error_set(e, -EPERM, "refused: %s", p->cancel_reason);
	reviewer_describe(b->config, &d->who, by, sizeof(by));
	if (!is_member(p, &d->who)) {
		groups = requirement_groups(&p->requirement, " or ");
		error_set(e, -EPERM, "refused: %s is no reviewer of %s", by, groups);
		free(groups);
		return -EPERM;
	}
	/* To deny is nobody's privilege. */
	if (d->approve && is_requester(b, p, &d->who))
		return error_set(e, -EPERM,
			"refused: it was asked for in the name of %s, and nobody approves their "
			"own request",
			by);
	return 0;
}

static int check_grant(
	const struct pending *p, const struct book_decision *d, uint64_t *ret, struct error *e)
{
	uint64_t limit = p->requirement.grant;

	*ret = d->grant == BOOK_GRANT_RULES ? limit : d->grant;
	if (d->grant == 0)
		return 0;
	if (limit == 0)
		return error_set(e, -EINVAL,
			"refused: %s can be approved for this action alone, not for a time",
			p->id.text);
	if (*ret > limit)
		return error_set(e, -EINVAL, "refused: longer than the rule's grant (%lu s)",
			(unsigned long)(limit / NANOSECONDS_PER_SECOND));
	return 0;
}

/* --- who has --- */

static bool counts(const struct book *b, const struct pending *p,
	const struct config_reviewer *group, const struct vote *vote)
{
	return reviewer_is_member(group, &vote->who) && !is_requester(b, p, &vote->who);
}

/* By configuration two who voted may be one person since, who counts once in the group. */
static bool counted_before(const struct book *b, const struct pending *p,
	const struct config_reviewer *group, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (counts(b, p, group, &p->votes[i]) &&
			reviewer_is_same(b->config, &p->votes[i].who, &p->votes[index].who))
			return true;
	}
	return false;
}

size_t pending_count_votes(
	const struct book *b, const struct pending *p, const struct config_reviewer *group)
{
	size_t count = 0;

	for (size_t i = 0; i < p->vote_count; i++)
		count += counts(b, p, group, &p->votes[i]) && !counted_before(b, p, group, i);
	return count;
}

static bool counts_somewhere(const struct book *b, const struct pending *p, const struct vote *vote)
{
	for (size_t i = 0; i < p->requirement.group_count; i++) {
		if (counts(b, p, p->requirement.groups[i], vote))
			return true;
	}
	return false;
}

static bool is_enough(const struct book *b, const struct pending *p)
{
	for (size_t i = 0; i < p->requirement.group_count; i++) {
		const struct config_reviewer *group = p->requirement.groups[i];

		if (pending_count_votes(b, p, group) < group->approvals.value)
			return false;
	}
	return true;
}

/* For a time only where all of them want it, and as long as all of them want. */
static uint64_t agreed_grant(const struct book *b, const struct pending *p)
{
	uint64_t grant = p->requirement.grant;

	for (size_t i = 0; i < p->vote_count; i++) {
		if (counts_somewhere(b, p, &p->votes[i]) && p->votes[i].grant < grant)
			grant = p->votes[i].grant;
	}
	return grant;
}

/* Everybody whose vote counts: "ann, bob". */
static char *name_voters(const struct book *b, const struct pending *p)
{
	char *text = memory_copy_string(""), by[BY_SIZE];

	for (size_t i = 0; i < p->vote_count; i++) {
		char *longer;

		if (!counts_somewhere(b, p, &p->votes[i]))
			continue;
		reviewer_describe(b->config, &p->votes[i].who, by, sizeof(by));
		longer = memory_format("%s%s%s", text, *text ? ", " : "", by);
		free(text);
		text = longer;
	}
	return text;
}

/* Puts the vote in the place of one by the same person. The old list is the caller's, to be put
 * back or freed. */
static struct vote *replace_vote(const struct book *b, struct pending *p,
	const struct reviewer *who, uint64_t grant, size_t *ret_old_count)
{
	struct vote *old = p->votes;
	size_t count = 0;

	*ret_old_count = p->vote_count;
	p->votes = memory_new_array(p->vote_count + 1, sizeof(*p->votes));
	for (size_t i = 0; i < p->vote_count; i++) {
		if (!reviewer_is_same(b->config, &old[i].who, who))
			p->votes[count++] = (struct vote){old[i].who, old[i].grant};
	}
	p->votes[count++] = (struct vote){*who, grant};
	for (size_t i = 0; i < count; i++)
		p->votes[i].who.name = memory_copy_string(p->votes[i].who.name);
	p->vote_count = count;
	return old;
}

void votes_free(struct vote *votes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free((char *)votes[i].who.name);
	free(votes);
}

/* --- deciding --- */

static int write_vote(
	struct book *b, const struct pending *p, const struct ledger_vote *vote, struct error *e)
{
	char detail[DETAIL_MOST], digest[2 * QUESTION_DIGEST_SIZE + 1];
	int r = book_begin(b, true, e);

	if (r < 0)
		return r;
	text_to_hex(slice_of(p->digest, sizeof(p->digest)), digest);
	snprintf(detail, sizeof(detail),
		"approved by %.*s %s; others must approve too%s%.*s (digest %s)",
		SLICE_PRINT(vote->by), reviewer_via_text(vote->via),
		vote->reason.length ? ": " : "", SLICE_PRINT(vote->reason), digest);
	r = ledger_add_vote(b->ledger, &p->id, vote);
	book_note(b, HOST_VOTE, &p->id, detail);
	return book_end(b, r, e);
}

static int approve(struct book *b, struct pending *p, const struct ledger_vote *vote,
	const struct reviewer *who, uint64_t now, struct error *e)
{
	struct ending ending = {.state = REVIEW_APPROVED, .vote = vote, .reason = vote->reason};
	const struct identifier id = p->id;
	size_t old_count;
	struct vote *old = replace_vote(b, p, who, vote->grant, &old_count);
	bool enough = is_enough(b, p);
	char *voters = name_voters(b, p);
	int r;

	ending.by = slice_from_string(voters);
	ending.grant = agreed_grant(b, p);
	r = enough ? pending_end(b, p, &ending, now, e) : write_vote(b, p, vote, e);
	free(voters);
	if (r < 0) {
		votes_free(p->votes, p->vote_count);
		p->votes = old;
		p->vote_count = old_count;
		return r;
	}
	votes_free(old, old_count);
	if (!enough)
		book_changed(b, &id, BOOK_VOTED);
	return enough ? 0 : 1;
}

static void describe_ended(void *context, const struct ledger_review *review, struct slice question)
{
	struct error *e = context;

	(void)question;
	error_set(e, -EALREADY, "%s is not pending any more: %s%s%.*s", review->id.text,
		review->state == REVIEW_PENDING ? "cancelled" : review_state_name(review->state),
		review->decided_by.length ? " by " : "",
		SLICE_PRINT(slice_head(review->decided_by, 200)));
}

/* There is none that is pending; -ENOENT or -EALREADY. */
static int not_pending(struct book *b, struct slice typed, struct error *e)
{
	struct identifier id;

	if (!book_read_id(typed, 'r', &id))
		return error_set(e, -ENOENT, "\"%.*s\" is no review's ID",
			SLICE_PRINT(slice_head(typed, IDENTIFIER_SIZE)));
	if (ledger_find_review(b->ledger, &id, describe_ended, e) == 0)
		return -EALREADY;
	return error_set(e, -ENOENT, "there is no review %s", id.text);
}

int book_decide(struct book *b, struct slice typed, const struct book_decision *d, uint64_t now,
	struct error *e)
{
	struct identifier id;
	struct pending *p =
		book_read_id(typed, 'r', &id) ? book_find(b, slice_from_string(id.text)) : NULL;
	struct ledger_vote vote = {.via = d->who.via,
		.name = slice_from_string(d->who.name),
		.approve = d->approve,
		.time = now,
		.reason = slice_head(d->reason, BOOK_REASON_MOST)};
	char by[BY_SIZE];
	int r;

	if (!p)
		return not_pending(b, typed, e);
	if (now >= p->deadline) {
		pending_give_up(b, p, REVIEW_EXPIRED, "nobody decided in time", now);
		return error_set(e, -EALREADY, "%s is not pending any more: expired", id.text);
	}
	r = check_who(b, p, d, e);
	if (r == 0 && d->approve)
		r = check_grant(p, d, &vote.grant, e);
	if (r < 0)
		return r;
	reviewer_describe(b->config, &d->who, by, sizeof(by));
	vote.by = slice_from_string(by);
	if (d->approve)
		return approve(b, p, &vote, &d->who, now, e);
	return pending_end(b, p,
		&(struct ending){.state = REVIEW_DENIED,
			.by = vote.by,
			.reason = vote.reason,
			.vote = &vote},
		now, e);
}
