/* SPDX-License-Identifier: Apache-2.0
 *
 * decide: the steps "judge" and "record" of one action: the policy's verdict, a grant or people
 * where it wants them (hold.h), the masks, the record, and the engine's answer.
 */
#ifndef WAYLEAVE_WORKER_DECIDE_H
#define WAYLEAVE_WORKER_DECIDE_H

#include "worker/session.h"

/* Answers the engine with release() or refuse(), or holds the action. */
void decide_action(struct session *s, const struct protocol_action_event *event);

/* Records an action that was judged; returns its number. `reason` and `message`: of a refusal, or
 * REASON_NONE. */
uint64_t decide_record(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, const struct protocol_refusal *refusal);

#endif
