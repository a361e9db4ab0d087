/* SPDX-License-Identifier: Apache-2.0
 *
 * hold_internal: a hold's state, between its parts: hold.c (what comes to it), hold_ask.c (until
 * people are asked), hold_end.c (until it is over).
 */
#ifndef WAYLEAVE_WORKER_HOLD_INTERNAL_H
#define WAYLEAVE_WORKER_HOLD_INTERNAL_H

#include "base/clock.h"
#include "recording/recorder.h"
#include "worker/draft.h"
#include "worker/hold.h"

#define HOLD_STOPPED 1 /* a deadline that has passed */

enum hold_state {
	HOLD_FOR_TOKEN, /* it is not known for whom it is; not recorded yet */
	HOLD_GATHERING, /* what belongs to it is still arriving */
	HOLD_PREVIEWING, /* the server is asked what it would do; people are not asked yet */
	HOLD_PREVIEWED, /* the action is being judged again, to be asked about */
	HOLD_ASKING, /* the monitor has not answered yet */
	HOLD_WAITING,
	HOLD_DECIDED, /* approved; the action is being judged again */
	HOLD_OVER, /* ended while the action is being judged again: then it is refused */
};

struct hold {
	struct session *session; /* NULL: nobody waits any more, but the monitor's answer comes */
	struct list link; /* in worker.holds */
	struct list sibling; /* in session.holds */
	enum hold_state state;
	bool asking; /* the monitor's answer is still to come */
	bool judging; /* the engine has the action again, and can't be answered before it comes */
	bool unsure; /* it was judged by what is known: hold_again.c */
	uint32_t lane;
	uint64_t wait; /* the number under which the monitor knows it */
	uint64_t number; /* of the recorded action */
	uint8_t digest[QUESTION_DIGEST_SIZE]; /* while gathering, of the action alone */
	size_t count; /* of actions that are asked about together */
	uint64_t gather_deadline, process_deadline; /* monotonic */
	struct identifier review; /* empty while asking */
	struct identifier grant; /* that came of the approval */
	char reviewers[128];
	char *by; /* HOLD_DECIDED; owned */
	uint64_t grants_version; /* of the grants when people were asked */
	/* Encoded (approval/fields.h), of what people were asked about; empty: no grant covers it.
	 */
	struct buffer scope;
	char *preview; /* for people */
	uint64_t preview_deadline; /* monotonic */
	uint64_t next_notice, next_beat; /* monotonic */
	uint64_t token_deadline; /* monotonic; 0: it waits for no token */
	uint64_t ticked; /* when hold_tick() looked at it last */
	size_t seen; /* bytes of what is not taken of the agent, when that was looked at last */
	enum reason reason; /* HOLD_OVER */
	char *text; /* HOLD_OVER: for the agent; owned */
};

/* NULL: there is none. The session's. */
struct hold *hold_find(const struct session *s, uint32_t lane);
struct hold *hold_find_in_state(const struct session *s, enum hold_state state);

/* --- hold_ask.c --- */

/* A new one of the session, in its lane. */
struct hold *hold_new(struct session *s, uint32_t lane);
/* The same for an action that people are to decide, which is recorded. */
struct hold *hold_begin(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, const struct draft *d);
/* Where all of it is known the server is asked what it would do, or, where it can't be, people.
 * False: it is too large. */
bool hold_start(struct hold *h, struct draft *d);
/* The monitor is asked; false: it is too large. */
bool hold_ask(struct hold *h, struct draft *d);
/* A sign of life for the agent; `aloud`: one that people see, of a review that there is. */
void hold_reassure(struct hold *h, bool aloud);
/* Whether there is: nobody has decided yet, or what they approved is being judged again. */
bool hold_was_asked_about(const struct hold *h);

/* --- hold_end.c --- */

void hold_record_end(
	struct hold *h, enum record_outcome outcome, struct slice by, struct slice detail);
/* The session no longer waits. Memory goes when the monitor's answer is not awaited either. */
void hold_detach(struct hold *h);
/* Whether the monitor counts this session among those that wait. */
bool hold_is_counted(const struct hold *h);
/* What was approved goes on, and hold_begun() says what becomes of it. */
void hold_let_go_on(const struct hold *h);
/* Leaves the review, which `stays` for who asks the same again; frees. */
void hold_leave_one(struct hold *h, const char *why, bool stays);
/* Ends the wait, as it is recorded, with an error for the agent: now, or when the action comes
 * again. */
void hold_refuse(struct hold *h, enum reason reason, const char *text);
/* The engine brings the action once more; `anew`: by what its names mean now. */
void hold_judge(struct hold *h, bool anew);
void hold_judge_anew(struct hold *h);
/* Whether the agent says, behind what waits, that it leaves: once for all that came of it. */
bool hold_agent_leaves(struct hold *h);
/* The action is judged once more: refused, if nothing has changed. */
void hold_stop_waiting(struct hold *h);

#endif
