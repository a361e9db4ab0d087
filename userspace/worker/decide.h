/* SPDX-License-Identifier: Apache-2.0
 *
 * decide: the steps "judge" and "record" of one action: the policy's verdict, a grant or people
 * where it wants them (hold.h), the masks, the record, and the engine's answer.
 */
#ifndef WAYLEAVE_WORKER_DECIDE_H
#define WAYLEAVE_WORKER_DECIDE_H

#include "worker/session.h"

/* What comes of judging an action. */
struct decision {
	struct verdict verdict;
	const struct grant *grant; /* by which it may go on; NULL: none was needed */
	uint64_t number; /* of an action that was held, and so is recorded; 0: it is not yet */
	struct protocol_refusal refusal; /* reason REASON_NONE: it goes on */
	struct buffer text; /* of the refusal */
};

/* Refuses it; `text` is behind "wayleave: ". */
void decision_refuse(struct decision *d, enum reason reason, const char *text);

/* The verdict of the rules; grants and people are another matter. */
void decide_judge(
	struct session *s, const struct protocol_action_event *event, struct verdict *ret);
/* Answers the engine with release() or refuse(), or holds the action. */
void decide_action(struct session *s, const struct protocol_action_event *event);

/* Records an action that was judged; returns its number. `reason` and `message`: of a refusal, or
 * REASON_NONE. */
uint64_t decide_record(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, const struct protocol_refusal *refusal);

#endif
