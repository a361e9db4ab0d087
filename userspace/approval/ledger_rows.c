/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger's rows: how they are written, found and forgotten.
 */
#include <errno.h>

#include "approval/ledger_internal.h"
#include "base/limits.h"

#define FORGOTTEN_AT_ONCE 50

/* --- writing --- */

int ledger_add_review(struct ledger *l, const struct ledger_review *v, struct slice question)
{
	int r = ledger_run(l, STATEMENT_ADD_REVIEW, "ittbtnnnn", &v->id, v->agent, v->groups,
		v->kind, v->shown, v->created, v->deadline, v->grant_limit,
		(uint64_t)question.length);

	return r < 0 ? r : ledger_run(l, STATEMENT_ADD_QUESTION, "ib", &v->id, question);
}

int ledger_change_review(
	struct ledger *l, const struct identifier *id, struct slice groups, uint64_t grant_limit)
{
	return ledger_run(l, STATEMENT_CHANGE_REVIEW, "itn", id, groups, grant_limit);
}

int ledger_end_review(struct ledger *l, const struct ledger_review *v)
{
	return ledger_run(l, STATEMENT_END_REVIEW, "inittnn", &v->id, (uint64_t)v->state, &v->grant,
		v->decided_by, v->reason, v->ended, (uint64_t)LEDGER_WAITER_BYTES);
}

int ledger_add_waiter(struct ledger *l, const struct identifier *review,
	const struct ledger_waiter *waiter, uint64_t *ret_number)
{
	int r = ledger_run(
		l, STATEMENT_ADD_WAITER, "itnn", review, waiter->session, waiter->pid, waiter->uid);

	if (r == 0)
		*ret_number = (uint64_t)sqlite3_last_insert_rowid(l->database);
	return r;
}

int ledger_set_waiter(struct ledger *l, uint64_t number, enum ledger_waiter_state state)
{
	return ledger_run(l, STATEMENT_SET_WAITER, "nn", number, (uint64_t)state);
}

int ledger_release_waiters(struct ledger *l, const struct identifier *review)
{
	return ledger_run(l, STATEMENT_RELEASE_WAITERS, "i", review);
}

int ledger_lose_released(struct ledger *l,
	void (*each)(void *context, const struct identifier *review), void *context)
{
	sqlite3_stmt *s = ledger_bind(l, STATEMENT_EACH_RELEASED, "");
	int r;

	while ((r = ledger_step(s)) == 1) {
		const struct identifier review = ledger_identifier(s, 0);

		each(context, &review);
	}
	return r < 0 ? r : ledger_run(l, STATEMENT_LOSE_RELEASED, "");
}

int ledger_add_vote(struct ledger *l, const struct identifier *review, const struct ledger_vote *v)
{
	return ledger_run(l, STATEMENT_ADD_VOTE, "inttnnnt", review, (uint64_t)v->via, v->name,
		v->by, (uint64_t)v->approve, v->grant, v->time, v->reason);
}

int ledger_add_grant(struct ledger *l, const struct ledger_grant *g)
{
	return ledger_run(l, STATEMENT_ADD_GRANT, "iibttnn", &g->id, &g->review, g->scope,
		g->groups, g->by, g->created, g->end);
}

int ledger_end_grant(struct ledger *l, const struct identifier *id, struct slice by, uint64_t time)
{
	return ledger_run(l, STATEMENT_END_GRANT, "itn", id, by, time);
}

/* SQLite's numbers have a sign, and ours go in with the same bits. */
int ledger_move(struct ledger *l, int64_t by)
{
	int r = ledger_run(l, STATEMENT_MOVE_GRANTS, "n", (uint64_t)by);

	return r < 0 ? r : ledger_run(l, STATEMENT_MOVE_PENDING, "n", (uint64_t)by);
}

int ledger_begin_grants(struct ledger *l, uint64_t now, uint64_t *ret_count)
{
	int r = ledger_run(l, STATEMENT_BEGIN_GRANTS, "n", now);

	if (r == 0)
		*ret_count = (uint64_t)sqlite3_changes64(l->database);
	return r;
}

int ledger_end_old_grants(struct ledger *l, const char *by, uint64_t now, uint64_t *ret_count)
{
	int r = ledger_run(l, STATEMENT_END_OLD_GRANTS, "tn", slice_from_string(by), now);

	if (r == 0)
		*ret_count = (uint64_t)sqlite3_changes64(l->database);
	return r;
}

int ledger_cancel_pending(struct ledger *l, const char *reason, uint64_t now, uint64_t *ret_count)
{
	int r = ledger_run(l, STATEMENT_CANCEL_PENDING, "tnn", slice_from_string(reason), now,
		(uint64_t)LEDGER_WAITER_BYTES);

	if (r == 0)
		*ret_count = (uint64_t)sqlite3_changes64(l->database);
	return r;
}

/* --- reading --- */

static struct ledger_review read_review(sqlite3_stmt *s)
{
	return (struct ledger_review){
		.id = ledger_identifier(s, 0),
		.state = (enum review_state)ledger_number(s, 1),
		.agent = ledger_text(s, 2),
		.groups = ledger_text(s, 3),
		.kind = ledger_text(s, 4),
		.shown = ledger_text(s, 5),
		.decided_by = ledger_text(s, 6),
		.reason = ledger_text(s, 7),
		.grant = ledger_identifier(s, 8),
		.created = ledger_number(s, 9),
		.deadline = ledger_number(s, 10),
		.ended = ledger_number(s, 11),
		.grant_limit = ledger_number(s, 12),
		.waiters = ledger_number(s, 13),
	};
}
#define QUESTION_COLUMN 14

static int each_review(sqlite3_stmt *s,
	void (*function)(void *context, const struct ledger_review *review), void *context)
{
	int r;

	while ((r = ledger_step(s)) == 1) {
		struct ledger_review review = read_review(s);

		function(context, &review);
	}
	return r;
}

int ledger_each_review(struct ledger *l, uint64_t most,
	void (*function)(void *context, const struct ledger_review *review), void *context)
{
	int r = each_review(ledger_bind(l, STATEMENT_EACH_PENDING, ""), function, context);

	if (r < 0)
		return r;
	return each_review(ledger_bind(l, STATEMENT_EACH_ENDED, "n", most), function, context);
}

int ledger_read_review(struct ledger *l, const struct identifier *id,
	void (*function)(void *context, const struct ledger_review *review), void *context)
{
	return each_review(ledger_bind(l, STATEMENT_ONE_REVIEW, "i", id), function, context);
}

int ledger_find_review(struct ledger *l, const struct identifier *id,
	void (*function)(void *context, const struct ledger_review *review, struct slice question),
	void *context)
{
	sqlite3_stmt *s = ledger_bind(l, STATEMENT_FIND_REVIEW, "i", id);
	struct ledger_review review;
	int r = ledger_step(s);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	review = read_review(s);
	function(context, &review, ledger_text(s, QUESTION_COLUMN));
	ledger_stop(s);
	return 0;
}

int ledger_each_waiter(struct ledger *l, const struct identifier *review,
	void (*function)(void *context, const struct ledger_waiter *waiter), void *context)
{
	sqlite3_stmt *s = ledger_bind(l, STATEMENT_EACH_WAITER, "i", review);
	int r;

	while ((r = ledger_step(s)) == 1) {
		struct ledger_waiter waiter = {
			.session = ledger_text(s, 0),
			.pid = ledger_number(s, 1),
			.uid = ledger_number(s, 2),
			.number = ledger_number(s, 4),
			.state = (enum ledger_waiter_state)ledger_number(s, 3),
		};

		function(context, &waiter);
	}
	return r;
}

int ledger_each_vote(struct ledger *l, const struct identifier *review,
	void (*function)(void *context, const struct ledger_vote *vote), void *context)
{
	sqlite3_stmt *s = ledger_bind(l, STATEMENT_EACH_VOTE, "i", review);
	int r;

	while ((r = ledger_step(s)) == 1) {
		struct ledger_vote vote = {
			.via = (enum reviewer_via)ledger_number(s, 0),
			.name = ledger_text(s, 1),
			.by = ledger_text(s, 2),
			.approve = ledger_number(s, 3) != 0,
			.grant = ledger_number(s, 4),
			.time = ledger_number(s, 5),
			.reason = ledger_text(s, 6),
		};

		function(context, &vote);
	}
	return r;
}

static int each_grant(sqlite3_stmt *s,
	void (*function)(void *context, const struct ledger_grant *grant), void *context)
{
	int r;

	while ((r = ledger_step(s)) == 1) {
		struct ledger_grant grant = {
			.id = ledger_identifier(s, 0),
			.review = ledger_identifier(s, 1),
			.scope = ledger_text(s, 2),
			.groups = ledger_text(s, 3),
			.by = ledger_text(s, 4),
			.created = ledger_number(s, 5),
			.end = ledger_number(s, 6),
			.ended = ledger_number(s, 7),
			.revoked_by = ledger_text(s, 8),
		};

		function(context, &grant);
	}
	return r;
}

int ledger_each_grant(struct ledger *l,
	void (*function)(void *context, const struct ledger_grant *grant), void *context)
{
	return each_grant(ledger_bind(l, STATEMENT_EACH_GRANT, ""), function, context);
}

int ledger_find_grant(struct ledger *l, const struct identifier *review,
	void (*function)(void *context, const struct ledger_grant *grant), void *context)
{
	return each_grant(ledger_bind(l, STATEMENT_FIND_GRANT, "i", review), function, context);
}

int ledger_count_approved(struct ledger *l, struct slice kind, uint64_t since, uint64_t *ret)
{
	sqlite3_stmt *s = ledger_bind(l, STATEMENT_COUNT_APPROVED, "bn", kind, since);
	int r = ledger_step(s);

	if (r <= 0)
		return r;
	*ret = ledger_number(s, 0);
	ledger_stop(s);
	return 0;
}

/* --- forgetting --- */

static int forget(struct ledger *l, const struct identifier *id)
{
	static const enum statement parts[] = {STATEMENT_FORGET_QUESTION, STATEMENT_FORGET_WAITERS,
		STATEMENT_FORGET_VOTES, STATEMENT_FORGET_GRANTS, STATEMENT_FORGET_REVIEW};
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
		r = ledger_run(l, parts[i], "i", id);
	return r;
}

struct used {
	uint64_t reviews, bytes;
};

static int read_used(struct ledger *l, enum statement which, struct used *ret)
{
	sqlite3_stmt *s = ledger_bind(l, which, "");
	int r = ledger_step(s);

	if (r <= 0)
		return r < 0 ? r : -EIO;
	*ret = (struct used){ledger_number(s, 0), ledger_number(s, 1)};
	ledger_stop(s);
	return 0;
}

static bool is_beyond(const struct used *u, unsigned share)
{
	return u->reviews > LIMIT_REVIEWS_KEPT / share || u->bytes > LIMIT_REVIEWS_BYTES / share;
}

struct oldest {
	struct identifier id;
	uint64_t size, ended;
	bool undecided;
};

/* 1: there is one. */
static int read_oldest(sqlite3_stmt *s, bool undecided, struct oldest *ret)
{
	int r = ledger_step(s);

	if (r <= 0)
		return r;
	*ret = (struct oldest){
		ledger_identifier(s, 0), ledger_number(s, 1), ledger_number(s, 2), undecided};
	ledger_stop(s);
	return 1;
}

static int find_undecided(struct ledger *l, struct oldest *ret)
{
	int r = read_oldest(
		ledger_bind(l, STATEMENT_OLDEST_OF, "n", (uint64_t)REVIEW_CANCELLED), true, ret);

	return r ? r
		 : read_oldest(ledger_bind(l, STATEMENT_OLDEST_OF, "n", (uint64_t)REVIEW_EXPIRED),
			   true, ret);
}

/* What nobody decided has half of the room: an agent that asks and leaves in a loop makes its own
 * questions go, not what people decided about others'. */
static int find_oldest(
	struct ledger *l, const struct used *all, const struct used *undecided, struct oldest *ret)
{
	if (is_beyond(all, 1) && is_beyond(undecided, 2))
		return find_undecided(l, ret);
	return read_oldest(ledger_bind(l, STATEMENT_OLDEST, ""), false, ret);
}

/* 1: one was forgotten, 0: none need be. */
static int forget_oldest(
	struct ledger *l, uint64_t before, struct used *all, struct used *undecided)
{
	struct oldest oldest;
	int r = find_oldest(l, all, undecided, &oldest);

	if (r <= 0 || (oldest.ended >= before && !is_beyond(all, 1)))
		return r < 0 ? r : 0;
	r = forget(l, &oldest.id);
	if (r < 0)
		return r;
	all->reviews--;
	all->bytes -= oldest.size;
	if (oldest.undecided) {
		undecided->reviews--;
		undecided->bytes -= oldest.size;
	}
	return 1;
}

int ledger_prune(struct ledger *l, uint64_t before, bool *ret_more)
{
	struct used all, undecided;
	int r = ledger_begin(l, false), count = 0;

	if (r < 0)
		return r;
	r = read_used(l, STATEMENT_USED, &all);
	if (r == 0)
		r = read_used(l, STATEMENT_USED_BY_UNDECIDED, &undecided);
	if (r == 0) {
		do {
			r = forget_oldest(l, before, &all, &undecided);
		} while (r == 1 && ++count < FORGOTTEN_AT_ONCE);
	}
	if (r < 0) {
		ledger_rollback(l);
		return r;
	}
	*ret_more = r == 1;
	return ledger_commit(l);
}
