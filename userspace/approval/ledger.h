/* SPDX-License-Identifier: Apache-2.0
 *
 * ledger: reviews, votes, waits and grants on disk, in SQLite (STATE_DIR/approval.db, 0600). It
 * keeps and finds; what they mean is the book's (book.h).
 *
 * Every change stands in a transaction; nothing of one that was not committed is ever seen again.
 * Functions that change or read return 0 or negative errno, with the cause in ledger_problem().
 */
#ifndef WAYLEAVE_APPROVAL_LEDGER_H
#define WAYLEAVE_APPROVAL_LEDGER_H

#include "approval/review.h"
#include "base/identifier.h"

#define LEDGER_FILE "approval.db"
/* What one that waited takes beside its review, at most. */
#define LEDGER_WAITER_BYTES 128

struct ledger;

/* Slices that a function hands out are valid until its callback returns. */
struct ledger_review {
	struct identifier id, grant; /* grant: that came of it; empty: none */
	enum review_state state;
	struct slice agent;
	struct slice groups; /* names, separated by newlines */
	struct slice kind; /* what makes it like others */
	struct slice shown; /* JSON: what lists show of the question */
	struct slice decided_by, reason;
	uint64_t created, deadline, ended; /* wall clock, nanoseconds */
	uint64_t grant_limit; /* nanoseconds */
	uint64_t waiters; /* who waits, or waited when it was decided */
};

struct ledger_vote {
	enum reviewer_via via;
	struct slice name, by; /* the identity; the same as people read it */
	bool approve;
	uint64_t grant; /* nanoseconds; 0: this action alone */
	uint64_t time;
	struct slice reason;
};

struct ledger_grant {
	struct identifier id, review;
	struct slice scope; /* as fields_put_scope() writes it */
	struct slice groups, by;
	uint64_t created, end;
	/* Of one that has ended: when, and who revoked it (empty: its time was over). */
	uint64_t ended;
	struct slice revoked_by;
};

/* On disk: explicit numbers. */
enum ledger_waiter_state {
	WAITER_HERE = 0, /* waits, or did when it was decided; what was approved was let go on */
	WAITER_LEFT = 1, /* did not wait any more when the review was decided */
	WAITER_RELEASED = 2, /* approved; whether it went on is not known yet */
	WAITER_UNUSED = 3, /* approved, and the approval let nothing run */
	WAITER_LOST = 4, /* approved; whether it went on will never be known */
};

struct ledger_waiter {
	uint64_t number; /* when it is read */
	struct slice session;
	uint64_t pid, uid;
	enum ledger_waiter_state state;
};

/* What is there and can't be read is an error that says so: nothing is made anew over it. */
int ledger_open(const char *path, struct ledger **ret, struct error *e);
void ledger_close(struct ledger *l); /* takes NULL */
/* Why the last function failed, with `r`, for people. Owned by the ledger. */
const char *ledger_problem(struct ledger *l, int r);

/* `durable`: what is committed survives a power failure; else it survives the end of the process,
 * and the disk gets it soon. One at a time. */
int ledger_begin(struct ledger *l, bool durable);
/* An error has rolled it back. */
int ledger_commit(struct ledger *l);
void ledger_rollback(struct ledger *l);

/* -EEXIST: the id is taken. */
int ledger_add_review(struct ledger *l, const struct ledger_review *review, struct slice question);
int ledger_change_review(
	struct ledger *l, const struct identifier *id, struct slice groups, uint64_t grant_limit);
/* state, grant, decided_by, reason and ended of `review` count. */
int ledger_end_review(struct ledger *l, const struct ledger_review *review);
int ledger_add_waiter(struct ledger *l, const struct identifier *review,
	const struct ledger_waiter *waiter, uint64_t *ret_number);
int ledger_set_waiter(struct ledger *l, uint64_t number, enum ledger_waiter_state state);
/* All that wait for the review. */
int ledger_release_waiters(struct ledger *l, const struct identifier *review);
/* All of which it is not known yet are lost; `each` gets the review of each, before. */
int ledger_lose_released(struct ledger *l,
	void (*each)(void *context, const struct identifier *review), void *context);
/* In the place of one that this identity gave before. */
int ledger_add_vote(
	struct ledger *l, const struct identifier *review, const struct ledger_vote *vote);
/* -EEXIST: the id is taken. */
int ledger_add_grant(struct ledger *l, const struct ledger_grant *grant);
/* `by` empty: its time was over. */
int ledger_end_grant(struct ledger *l, const struct identifier *id, struct slice by, uint64_t time);

/* The times of what is pending and of grants that have not ended, by so many nanoseconds. */
int ledger_move(struct ledger *l, int64_t by);
/* Grants that have not ended and, by their times, begin after `now`, begin then, and are as long as
 * before. */
int ledger_begin_grants(struct ledger *l, uint64_t now, uint64_t *ret_count);

/* Those whose scope is written in an older form, which has no database and no user. */
int ledger_end_old_grants(struct ledger *l, const char *by, uint64_t now, uint64_t *ret_count);

/* Those that are pending, and the newest `most` of the others, newest first. */
int ledger_each_review(struct ledger *l, uint64_t most,
	void (*function)(void *context, const struct ledger_review *review), void *context);
/* One of them, as lists have it. None: nothing is called. */
int ledger_read_review(struct ledger *l, const struct identifier *id,
	void (*function)(void *context, const struct ledger_review *review), void *context);
/* -ENOENT. `question` is empty where it is not kept any more. */
int ledger_find_review(struct ledger *l, const struct identifier *id,
	void (*function)(void *context, const struct ledger_review *review, struct slice question),
	void *context);
int ledger_each_waiter(struct ledger *l, const struct identifier *review,
	void (*function)(void *context, const struct ledger_waiter *waiter), void *context);
int ledger_each_vote(struct ledger *l, const struct identifier *review,
	void (*function)(void *context, const struct ledger_vote *vote), void *context);
/* Those that have neither ended nor been revoked. */
int ledger_each_grant(struct ledger *l,
	void (*function)(void *context, const struct ledger_grant *grant), void *context);
/* That which came of the review, in force or not. None: nothing is called. */
int ledger_find_grant(struct ledger *l, const struct identifier *review,
	void (*function)(void *context, const struct ledger_grant *grant), void *context);
/* How many of this kind were approved since then. */
int ledger_count_approved(struct ledger *l, struct slice kind, uint64_t since, uint64_t *ret);

/* Ends what is pending, as that of a process that is gone. */
int ledger_cancel_pending(struct ledger *l, const char *reason, uint64_t now, uint64_t *ret_count);
/* Forgets decided reviews that are older than `before`, or too many or too large; a few at a time.
 * What nobody decided goes first where it has more than half of the room.
 * Grants that are over go with their reviews. A transaction of its own. */
int ledger_prune(struct ledger *l, uint64_t before, bool *ret_more);

#endif
