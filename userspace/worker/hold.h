/* SPDX-License-Identifier: Apache-2.0
 *
 * hold: actions that wait for people, one in each lane at most. The lane stands still at its
 * message; the monitor keeps the review and says when it is decided. Then the message is judged
 * from the start: what is released is what was approved, digest for digest, under the policy and
 * the names of that moment.
 */
#ifndef WAYLEAVE_WORKER_HOLD_H
#define WAYLEAVE_WORKER_HOLD_H

#include "approval/question.h"
#include "worker/session.h"

struct decision;

enum hold_answer {
	HOLD_GOES_ON, /* the engine is answered now, by what the decision says */
	HOLD_WAITS, /* the engine is answered later */
};

/* An action comes: if it is one that waited, and was refused or cancelled while it was judged
 * again, true, and the decision says so. */
bool hold_came_again(struct session *s, uint32_t lane, struct decision *d);
/* A review rule fits the action and no grant covers it. Goes on where it was approved, or can't be
 * held, and so is refused. */
enum hold_answer hold_action(
	struct session *s, const struct protocol_action_event *event, struct decision *d);
/* Whether it was approved together with one that has gone on: then the decision says so. */
bool hold_was_approved_before(
	struct session *s, const struct protocol_action_event *event, struct decision *d);
/* Another verdict than review came of judging it again: the review is left. */
void hold_leave(struct session *s, uint32_t lane, const char *why);
/* An action that was let go on is on its way to the server (`begun`), or never will be: people are
 * told which. Of others nothing is. */
void hold_begun(struct session *s, uint64_t number, bool begun);
/* The server did not let the action begin: what people approved is for its next attempt. */
void hold_give_back(struct session *s, uint64_t number);
/* EVENT_DROPPED: nobody waits for it any more. */
void hold_drop(struct session *s, uint32_t lane, const char *why);
/* The session ends: all of its reviews are left, and what has not begun never will. `gave_up`: by
 * the agent, for no other reason. */
void hold_leave_all(struct session *s, const char *why, bool gave_up);
/* The agent gave up waiting: what waits ends with errors of its own. False: nothing does. */
bool hold_cancel(struct session *s, const char *why);
/* The agent closed its connection: the same, but it may ask again, and then finds the answer. */
void hold_give_up(struct session *s);
/* The policy changed, or a grant may cover it: what waits is judged by what holds now, in a moment,
 * and before it could go on. */
void hold_judge_again(struct session *s);
/* It was judged by what was known of its names, and the verdict would let it go on: it waits until
 * it has been by what they mean now. False: it has been. */
bool hold_makes_sure(struct session *s, uint32_t lane);

/* What stands behind the action is received although nothing of it is taken: people may be asked
 * about all of it, or it may say that the agent leaves. */
bool hold_gathers(const struct session *s);
/* More of it has arrived. */
void hold_on_bytes(struct session *s);
/* What is known of its process came, or that nothing is. */
void hold_on_process(struct session *s);
/* EVENT_PREVIEW: what it would do, or why that is not known. */
void hold_on_preview(struct session *s, struct slice text, const char *problem);
/* What the monitor says (monitor/messages.h). */
void hold_on_decision(struct worker *w, struct slice payload);
/* While anything waits: signs of life, and deadlines. Begins where it has not yet. */
void hold_begin_ticks(struct worker *w);

/* The grants changed: one may cover what waits. */
void hold_on_grants(struct worker *w);

/* It is not known whom the agent acts for, and may be in a moment: the action waits for that. Goes
 * on where it has waited long enough, or can't. */
enum hold_answer hold_for_token(struct session *s, const struct protocol_action_event *event);
/* It is known. */
void hold_got_token(struct session *s, uint32_t lane);
bool hold_waits_for_token(const struct session *s);
/* What waits was approved, and is being judged once more. */
bool hold_is_approved(const struct session *s, uint32_t lane);

#endif
