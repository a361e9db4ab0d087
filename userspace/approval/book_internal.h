/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the book share: pending reviews and grants in memory.
 */
#ifndef WAYLEAVE_APPROVAL_BOOK_INTERNAL_H
#define WAYLEAVE_APPROVAL_BOOK_INTERNAL_H

#include "approval/book.h"
#include "approval/ledger.h"
#include "base/table.h"

#define KIND_SIZE QUESTION_DIGEST_SIZE
#define GUESSES 16 /* at an id that is free */
#define BY_SIZE 256 /* bytes of who decided, as people read it */

/* One lane that waits. */
struct waiter {
	struct list link; /* in its review */
	struct table_node by_wait;
	struct pending *review;
	struct book_wait wait;
	uint64_t number; /* in the ledger */
};

/* Who asked: also those that have left, so that nobody gets around it by leaving. */
struct requester {
	struct reviewer user;
	char *name; /* NULL: a user without a name */
};

struct vote {
	struct reviewer who; /* name: owned by the vote */
	uint64_t grant; /* nanoseconds; 0: this action alone */
};

/* A review that is not decided. Its question is in the ledger alone: there may be many. */
struct pending {
	struct list link; /* in the book, oldest first */
	struct table_node by_digest, by_id;
	struct identifier id;
	uint64_t changed; /* the generation of its last change that lists would show */
	uint8_t digest[QUESTION_DIGEST_SIZE];
	uint8_t content[QUESTION_DIGEST_SIZE]; /* of what reviewers read */
	char *agent, *principal, *on_behalf_of,
		*groups; /* groups: their names, separated by newlines */
	struct slice *rules; /* into rule_text */
	size_t rule_count;
	char *rule_text;
	struct requirement requirement;
	uint64_t created, deadline;
	/* Its rules are gone: nobody can decide it, and then it is over. */
	uint64_t cancel_at; /* 0: they are there */
	char *cancel_reason;
	struct list waiters;
	size_t waiter_count;
	size_t joined; /* all that ever waited */
	bool unknown; /* with facts that are not known: no grant */
	bool stays; /* one that left may ask again */
	bool retried; /* clients try the action over another transport by themselves */
	struct requester *requesters;
	size_t requester_count;
	struct vote *votes; /* all of them approve; each of another person */
	size_t vote_count;
};

struct grant_details {
	struct identifier review;
	uint8_t *scope_bytes; /* what the grant's slices point into */
	size_t scope_length;
	char *groups, *by;
	uint64_t created, end;
};

/* What the audit log gets of a change that is being made. */
struct note {
	enum host_event event;
	struct identifier subject;
	char *detail;
};
#define NOTES_MOST 2 /* of one change: an approval, and its grant */

/* A review that ended, for those who follow the list. */
struct ended {
	struct identifier id;
	uint64_t changed;
};
#define ENDED_MOST 512

struct book {
	struct ledger *ledger;
	const struct config *config;
	struct grant_table *table;
	const struct book_events *events;
	void *context;
	struct list pending;
	size_t pending_count;
	struct table by_digest, by_wait, by_id;
	struct grant *grants; /* beside their details: in one piece, as they are encoded */
	struct grant_details *details;
	size_t grant_count, grant_bytes;
	uint64_t next_serial, next_prune, generation;
	uint64_t next; /* when something is due: nothing is before */
	struct ended ended[ENDED_MOST]; /* the last ones; a ring */
	size_t ended_count; /* all that ended */
	uint64_t known_since; /* of what changed from this generation on, all is known here */
	size_t kept_since; /* bytes of questions since the last look at what may be forgotten */
	char *problem;
	struct list answers; /* book_answers.c */
	size_t answer_count;
	struct list paces; /* book_pace.c */
	struct answer *taken; /* by an asker that is not told yet; in `answers` */
	struct book_wait taken_by;
	uint64_t taken_number; /* of that asker, in the ledger */
	struct list released; /* book_released.c */
	struct identifier *lost; /* since the last daemon; nobody was told yet */
	size_t lost_count;
	struct note notes[NOTES_MOST];
	size_t note_count;
	bool opening; /* nobody is told of changes yet */
	bool stopping; /* sessions end because Wayleave does */
};

/* A time by the clock as it is set now. */
static inline uint64_t book_moved(uint64_t time, int64_t by)
{
	return by < 0 && time < (uint64_t)-by ? 0 : time + (uint64_t)by;
}

/* --- book.c --- */

/* Begins a change; says what the audit log is to have of it (nothing of waits, which their
 * sessions' recordings show); and ends it, where `r` is how it went so far: notes it, then commits.
 * On an error nothing has changed, and `e` says why. */
int book_begin(struct book *b, bool durable, struct error *e);
void book_note(struct book *b, enum host_event event, const struct identifier *subject,
	const char *detail);
int book_end(struct book *b, int r, struct error *e);
struct pending *book_find(const struct book *b, struct slice id);
struct waiter *book_find_waiter(const struct book *b, const struct book_wait *wait);
uint64_t book_hash_wait(const struct book_wait *wait);
/* Reads what a person typed: "R-7q2k". False: no such name is possible. */
bool book_read_id(struct slice text, char prefix, struct identifier *ret);
/* Lists show it from now on. */
void book_changed(struct book *b, const struct identifier *review, enum book_change change);
/* Something is due then, perhaps before what is due next. */
void book_due(struct book *b, uint64_t time);
/* The id is known; the review can be found by it. */
void pending_name(struct book *b, struct pending *p, const struct identifier *id);
/* Out of the lists, and freed. */
void pending_free(struct book *b, struct pending *p);
void waiter_free(struct book *b, struct waiter *w);

/* --- book_pace.c --- */

/* Whether the agent may ask for one more review; -EDQUOT, which is counted, with a sentence. */
int book_pace_check(struct book *b, const struct config_agent *a, uint64_t now, struct error *e);
/* It has; and people decided one of its. */
void book_pace_take(struct book *b, const char *agent);
void book_pace_give_back(struct book *b, const char *agent);
/* Another configuration is in force; the clock was set; all is over. */
void book_pace_configure(struct book *b, uint64_t now);
void book_pace_move(struct book *b, int64_t by);
void book_pace_free(struct book *b);

/* --- book_decide.c --- */

struct ending {
	enum review_state state;
	struct slice by, reason;
	uint64_t grant; /* nanoseconds; 0: none */
	const struct ledger_vote *vote; /* that decided; NULL: none */
};

/* Ends it, on disk and for all that wait; `p` is freed. On an error nothing has changed. */
int pending_end(struct book *b, struct pending *p, const struct ending *ending, uint64_t now,
	struct error *e);
/* The same, for endings that let nothing run: they happen even where they can't be kept. */
void pending_give_up(struct book *b, struct pending *p, enum review_state state, const char *reason,
	uint64_t now);

void votes_free(struct vote *votes, size_t count);
size_t pending_count_votes(
	const struct book *b, const struct pending *p, const struct config_reviewer *group);

/* --- book_answers.c --- */

/* The review ends so. */
void book_keep_answer(struct book *b, struct pending *p, const struct ending *ending, uint64_t now);
/* 1: there is one, which book_answer() tells; 0: there is none. */
int book_take_answer(struct book *b, const struct book_wait *wait, const struct question *q,
	const uint8_t content[QUESTION_DIGEST_SIZE], const char *name, uint64_t now,
	struct book_held *ret, struct error *e);
/* Who was told an approval has let nothing run by it. True: who asks again gets it. */
bool book_give_back(struct book *b, const struct book_wait *wait, uint64_t now);
/* Those who had them are gone with their worker, and others will have their numbers. */
void book_answers_lost(struct book *b, unsigned worker);
/* The clock was set. */
void book_move_answers(struct book *b, int64_t by);
/* Those whose time is over; UINT64_MAX: all. */
void book_forget_answers(struct book *b, uint64_t now);

/* --- book_released.c --- */

/* Who waits so is told that it was approved. */
void book_release(struct book *b, const struct book_wait *wait, const struct identifier *review,
	uint64_t number);
/* Whether this one, in the ledger, was told and has neither gone on nor left. */
bool book_is_released(const struct book *b, uint64_t number);
/* One that was told left; all that a worker had are lost. */
void book_released_left(struct book *b, const struct book_wait *wait);
/* One that was told let nothing run, also where it was said to go on: the next attempt may. */
void book_released_back(struct book *b, const struct book_wait *wait,
	const struct identifier *review, uint64_t number);
void book_released_lost(struct book *b, unsigned worker);
/* Those that the last daemon left so. */
int book_released_open(struct book *b, struct error *e);
void book_released_free(struct book *b);

/* --- book_grants.c --- */

/* Those that the ledger has, into force. */
int book_grants_load(struct book *b, uint64_t now, struct error *e);
/* A grant that shall follow from the review: in memory, as the last one, not in force yet. */
int book_grant_prepare(struct book *b, const struct pending *p, uint64_t length, struct slice by,
	uint64_t now, struct error *e);
/* Writes it, in the running transaction, and the audit log. */
int book_grant_write(struct book *b, struct identifier *ret);
/* It is committed: in force from now on. */
void book_grant_start(struct book *b);
/* Or not. */
void book_grant_drop(struct book *b);
/* The clock was set: they are in force for as long as before. */
void book_move_grants(struct book *b, int64_t by);
/* Ends those that the rules in force would not give, and those whose time is over. True: there were
 * some, and the caller tells of it. */
bool book_grants_configure(struct book *b, uint64_t now);
bool book_grants_tick(struct book *b, uint64_t now);
void book_grants_free(struct book *b);

#endif
