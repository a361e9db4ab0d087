/* SPDX-License-Identifier: Apache-2.0
 *
 * book: the reviews and grants of the host. Who asks, joins and leaves; who decides; what follows.
 *
 * It has no descriptors and no clock: times are passed in (wall clock, nanoseconds), what follows
 * is told by callbacks. Whatever changes a review is first in the audit log (`note`) and on disk
 * (ledger.h); only then anybody is told and a grant is in force. Callbacks may read from the book;
 * they must not change it.
 */
#ifndef WAYLEAVE_APPROVAL_BOOK_H
#define WAYLEAVE_APPROVAL_BOOK_H

#include "approval/grant.h"
#include "approval/review.h"
#include "base/limits.h"
#include "recording/format.h"

#define BOOK_REASON_MOST LIMIT_REVIEW_REASON
/* As `grant` of a decision: as long as the rules allow. */
#define BOOK_GRANT_RULES UINT64_MAX

struct book;

/* Who waits, as a worker named it. */
struct book_wait {
	unsigned worker;
	uint64_t id;
};

struct book_outcome {
	enum record_outcome outcome;
	struct slice by, detail; /* who decided, and why; may be empty */
	struct identifier grant; /* that came of it; empty: none */
};

enum book_change {
	BOOK_ASKED, /* a new review */
	BOOK_WAITERS, /* more or fewer wait, or its groups changed */
	BOOK_VOTED, /* approved, but others must too */
	BOOK_ENDED, /* approved, denied, expired, cancelled */
	BOOK_GRANT_ENDED, /* what came of it: revoked, or its time is over */
	BOOK_RAN, /* all that it was approved for went on, or are known not to */
};

struct book_events {
	/* Into the audit log; negative errno: then it is not done. */
	int (*note)(
		void *context, enum host_event event, struct slice subject, struct slice detail);
	/* A wait is over. */
	void (*decided)(
		void *context, const struct book_wait *wait, const struct book_outcome *outcome);
	/* There is another list of grants (book_grants_encode()). */
	void (*granted)(void *context);
	/* All have been told who waited for the review that gave a grant: others may be covered. */
	void (*settled)(void *context);
	/* A review changed; book_review_json() says how. */
	void (*changed)(void *context, const struct identifier *review, enum book_change change);
};

struct book_options {
	const char *path; /* of the ledger */
	const struct config *config; /* until book_configure() */
	struct grant_table *table; /* all of it is the book's */
	const struct book_events *events;
	void *context; /* of the events */
	uint64_t now;
	int64_t moved; /* nanoseconds by which the clock was set while there was no book */
};

/* Grants that were in force still are; reviews that were pending are cancelled, as nobody waits any
 * more. */
int book_open(const struct book_options *options, struct book **ret, struct error *e);
void book_free(struct book *b); /* takes NULL */
/* Another configuration is in force. Reviews whose rules are gone can't be decided any more, and
 * are soon cancelled; others may need other groups from now on; grants that these rules would not
 * give are revoked. */
void book_configure(struct book *b, const struct config *config, uint64_t now);
/* What is due at `now`: expired reviews, grants whose time is over, old ones to forget.
 * `clock_set`: somebody set the clock lately, and what is old by it may not be: nothing is
 * forgotten for its age. */
void book_tick(struct book *b, uint64_t now, bool clock_set);
/* The wall clock was set, by so many nanoseconds: what is pending or in force ends after as much
 * time as before, by the new clock. */
void book_set_clock(struct book *b, int64_t by);
/* When the next of that is due. */
uint64_t book_next(const struct book *b);

struct book_held {
	struct identifier review;
	uint64_t deadline;
	char reviewers[256]; /* the groups, as people read them */
};

/* An action wants to be reviewed. `encoded` is `q` as bytes; `user` is the name of the local user
 * that the asking process runs as (NULL: none). Errors come with a sentence for the agent:
 * -EINVAL: not a question that this configuration asks, -EDQUOT: too many of this agent are
 * pending, or were left lately, -EIO and others: could not be kept. */
int book_ask(struct book *b, const struct book_wait *wait, const struct question *q,
	struct slice encoded, const char *user, uint64_t now, struct book_held *ret,
	struct error *e);
/* To be called once the asker knows what book_ask() said: where people have answered the question
 * already, tells it (decided). */
void book_answer(struct book *b, const struct book_wait *wait);
/* Nobody waits for that answer any more; no callback says so. Unknown waits are ignored, but with
 * `stays` what was approved for one was not begun: the answer is for who asks again. `stays`:
 * who asked may ask again, so the review goes on without it, and its answer is kept. */
void book_leave(struct book *b, const struct book_wait *wait, bool stays, uint64_t now);
/* What was approved for that wait goes on. Until then the record says that it is not known. */
void book_ran(struct book *b, const struct book_wait *wait);
/* Whether some that were told of the review's approval may still be lost before they go on. */
bool book_is_going_on(const struct book *b, const struct identifier *review);
/* Each review with some that were lost as the daemon before this one ended: told once. */
void book_each_lost(struct book *b, void (*each)(void *context, const struct identifier *review),
	void *context);
/* All of a worker's. */
void book_worker_gone(struct book *b, unsigned worker, uint64_t now);
/* Wayleave is about to end all sessions, which is why their reviews are cancelled from now on; what
 * nobody waits for at present, but might be asked again, is cancelled here. */
void book_stop(struct book *b, uint64_t now);

struct book_decision {
	struct reviewer who;
	bool approve;
	uint64_t grant; /* nanoseconds; 0: this action alone; or BOOK_GRANT_RULES */
	struct slice reason; /* may be empty */
};

/* `id` in any case. 0: decided; 1: counted, others must approve too. Errors, with a sentence for
 * the reviewer: -ENOENT, -EALREADY (decided before), -EPERM (not theirs to decide, or their own
 * request), -EINVAL (no grant of that length), others: not decided, as it can't be kept. */
int book_decide(struct book *b, struct slice id, const struct book_decision *decision, uint64_t now,
	struct error *e);
/* A reviewer of the grant's groups, or root. Errors as above. */
int book_revoke(
	struct book *b, struct slice id, const struct reviewer *who, uint64_t now, struct error *e);

/* Who must approve a pending review, and within which bounds; valid until the configuration
 * changes. -ENOENT: it is not pending. */
int book_requirement(
	const struct book *b, const struct identifier *review, struct requirement *ret);
/* Whose pending review it is, as long as it is pending; NULL: it is not. */
const char *book_agent(const struct book *b, const struct identifier *review);
/* The list for workers. Appends. */
int book_grants_encode(const struct book *b, struct buffer *ret);
size_t book_count_pending(const struct book *b);
/* Each that is pending, the oldest first; `each` must not change the book. */
void book_each_pending(const struct book *b,
	void (*each)(void *context, const struct identifier *review), void *context);
size_t book_count_grants(const struct book *b);

/* Of one agent: `pending_reviews`, and `reviews_per_minute`. */
enum book_limit { BOOK_LIMIT_PENDING, BOOK_LIMIT_RATE, BOOK_LIMIT_COUNT };

/* How many reviews that the agent of that name wanted were refused for it, since it was opened. */
uint64_t book_count_refused(const struct book *b, const char *agent, enum book_limit limit);

enum book_grant { BOOK_GRANT_NONE, BOOK_GRANT_IN_FORCE, BOOK_GRANT_REVOKED, BOOK_GRANT_OVER };

/* What has become of the grant that came of the review. */
enum book_grant book_grant_of(struct book *b, const struct identifier *review);
/* Grows with each change that lists of reviews would show. */
uint64_t book_generation(const struct book *b);
/* Why the last change could not be kept; NULL: it could. Owned by the book. */
const char *book_problem(const struct book *b);

/* JSON text, appended to `ret`. `viewer`: whose eyes it is for, who sees what is for their groups,
 * and root everything; NULL: everything. docs/reviews.md lists the members. */
/* One review, with all of its question. -ENOENT and -EPERM with a sentence. */
int book_review_json(struct book *b, struct slice id, const struct reviewer *viewer,
	struct buffer *ret, struct error *e);
/* An array: all that are pending, then those decided last, each with the beginning of its text;
 * without it where that would be too much (LIMIT_REVIEWS_LIST). `since`: a generation that the
 * viewer has seen the list of; 0: none. Where that can be told, only what has changed since then,
 * the last change first, and *ret_whole is false. `most`: of those decided; *ret_cut: there are as
 * many, and perhaps more, the viewer's or others'. */
int book_list_json(struct book *b, const struct reviewer *viewer, uint64_t since, uint64_t most,
	struct buffer *ret, bool *ret_whole, bool *ret_cut);
/* An array: the grants in force. */
int book_grants_json(struct book *b, const struct reviewer *viewer, struct buffer *ret);

#endif
