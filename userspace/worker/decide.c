/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/decide.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "worker/hold.h"
#include "worker/values.h"

/* A verdict that is kept beside an analysed text. Good for one scope, whose serial the engine keeps
 * it under. */
struct judgement {
	struct protocol_judgement base;
	struct policy_scope *scope; /* reference: it owns the outcome */
	struct verdict verdict;
	/* VERDICT_REVIEW: the grant that covers it, among the grants of that version. */
	const struct grant *grant;
	uint64_t grants_version;
};

static void judgement_free(struct protocol_judgement *base)
{
	struct judgement *j = container_of(base, struct judgement, base);

	policy_scope_put(j->scope);
	free(j);
}

/* --- judge --- */

/* The verdict on the event's action: the one kept beside its text, or a new one. Returns where it
 * is kept; NULL: nowhere. */
static struct judgement *judge(
	struct session *s, const struct protocol_action_event *event, struct verdict *ret)
{
	struct judgement *kept;

	if (event->judgement && *event->judgement) {
		kept = container_of(*event->judgement, struct judgement, base);
		*ret = kept->verdict;
		return kept;
	}
	policy_judge(s->scope, event->action, ret);
	if (!event->judgement)
		return NULL;
	kept = memory_new(sizeof(*kept));
	kept->base.free = judgement_free;
	kept->scope = policy_scope_hold(s->scope);
	kept->verdict = *ret;
	*event->judgement = &kept->base;
	return kept;
}

static const struct grant *look_for_grant(
	struct session *s, const struct verdict *verdict, const struct action *action)
{
	struct scope_of_action *scope = memory_new(sizeof(*scope));
	const struct grant *found = NULL;

	if (hold_scope(s, verdict, action, scope) == 0)
		found = grants_find(&s->worker->grants, scope, action->unknown);
	free(scope);
	return found;
}

/* The grant in force that covers what a review rule fits; NULL: there is none. */
static const struct grant *find_grant(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, struct judgement *kept)
{
	const struct grants *grants = &s->worker->grants;
	const struct grant *grant;

	if (grants->count == 0)
		return NULL;
	if (kept && kept->grants_version == grants->version) {
		grant = kept->grant;
	} else {
		grant = look_for_grant(s, verdict, event->action);
		if (kept) {
			kept->grant = grant;
			kept->grants_version = grants->version;
		}
	}
	return grant && grant_is_in_force(grant, grants->table, clock_wall()) ? grant : NULL;
}

/* --- record --- */

static struct slice masks_summary(const struct policy_outcome *outcome, char *room, size_t size)
{
	const struct mask_rules *masks = outcome->masks;
	size_t n = 0;

	if (!masks->column_count && !masks->detects)
		return SLICE_EMPTY;
	n = (size_t)snprintf(room, size, "%zu column patterns", masks->column_count);
	for (unsigned i = 0; i < DETECTOR_COUNT && n < size; i++) {
		if (masks->detectors[i] != MASK_NONE)
			n += (size_t)snprintf(
				room + n, size - n, ", %s", detector_name((enum detector)i));
	}
	return slice_of(room, n < size ? n : size - 1);
}

static enum record_verdict recorded_verdict(enum verdict_kind kind)
{
	switch (kind) {
	case VERDICT_ALLOW:
		return RECORD_VERDICT_ALLOW;
	case VERDICT_REVIEW:
		return RECORD_VERDICT_REVIEW;
	default:
		return RECORD_VERDICT_DENY;
	}
}

#define RECORDED_RULES_MOST 16
#define RECORDED_VALUES_MOST 64

uint64_t decide_record(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, const struct protocol_refusal *refusal)
{
	const struct policy_outcome *outcome = verdict->outcome;
	struct record_value values[RECORDED_VALUES_MOST];
	struct slice rules[RECORDED_RULES_MOST];
	char masks[256];
	struct record_action record = {
		.action = event->action,
		.verdict = recorded_verdict(verdict->kind),
		.observed = !verdict_is_enforced(verdict),
		.run_of = event->text_action,
		.reason = refusal->reason,
		.rules = rules,
		.masks = masks_summary(outcome, masks, sizeof(masks)),
		.message = refusal->text,
		.parameters = values,
	};

	for (size_t i = 0; i < outcome->rule_count && i < RECORDED_RULES_MOST; i++)
		rules[record.rule_count++] = outcome->rules[i]->name;
	record.parameter_count =
		values_to_record(event->values, event->value_count, values, RECORDED_VALUES_MOST);
	s->worker->statistics.actions++;
	if (refusal->reason != REASON_NONE) {
		record.verdict = RECORD_VERDICT_DENY;
		s->worker->statistics.denied++;
		s->worker->statistics.reasons[refusal->reason]++;
	}
	return recorder_action(s->worker->recorder, &s->record, &record);
}

/* --- an action, from its facts to the engine's answer --- */

/* Whether this phase of the action may go on under the verdict. */
static bool may_go_on(const struct protocol_action_event *event, const struct verdict *verdict)
{
	if (!verdict_is_enforced(verdict) || verdict->kind == VERDICT_ALLOW)
		return true;
	/* It runs nothing: what is unknown or needs a person is decided when it runs. */
	if (event->phase == ACTION_PROBED)
		return true;
	if (event->phase == ACTION_PREPARED)
		return verdict->kind == VERDICT_REVIEW || event->action->unknown;
	return verdict->kind == VERDICT_REVIEW; /* by people or a grant */
}

static void record_grant(struct session *s, uint64_t number, const struct grant *grant)
{
	const struct record_decision decision = {
		.outcome = OUTCOME_APPROVED, .grant = slice_from_string(grant->id.text)};

	recorder_decision(s->worker->recorder, &s->record, number, &decision);
}

/* Binds the verdict's masks, records, and answers. `number`: of an action that was held; 0: it is
 * recorded now. */
static void finish(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, const struct grant *grant, uint64_t number,
	struct protocol_refusal *refusal)
{
	const struct protocol *protocol = s->engine->protocol;
	const struct mask_rules *masks = NULL;

	if (refusal->reason == REASON_NONE && event->phase == ACTION_RUN &&
		verdict_is_enforced(verdict)) {
		if (verdict->outcome->masks->column_count || verdict->outcome->masks->detects)
			masks = verdict->outcome->masks;
		protocol->mask(
			s->engine, event->lane, masks, verdict->outcome->record_rows, refusal);
	}
	if (number == 0 || refusal->reason != REASON_NONE)
		number = decide_record(s, event, verdict, refusal);
	if (refusal->reason != REASON_NONE) {
		protocol->refuse(s->engine, event->lane, number, refusal);
		return;
	}
	if (grant)
		record_grant(s, number, grant);
	protocol->release(s->engine, event->lane, number);
}

void decide_action(struct session *s, const struct protocol_action_event *event)
{
	struct protocol_refusal refusal = {.reason = REASON_NONE};
	const struct grant *grant = NULL;
	enum hold_answer answer = HOLD_APPROVED;
	struct verdict verdict;
	struct judgement *kept = judge(s, event, &verdict);
	bool asks = verdict.kind == VERDICT_REVIEW && verdict_is_enforced(&verdict) &&
		event->phase == ACTION_RUN;
	struct buffer text;
	uint64_t number = 0;

	if (asks && !hold_is_approved(s))
		grant = find_grant(s, event, &verdict, kept);
	if (asks && !grant)
		answer = hold_action(s, event, &verdict, &number, &refusal);
	else if (s->hold && event->phase == ACTION_RUN)
		hold_leave(s, "it no longer needs approval");
	if (answer == HOLD_WAITS)
		return;
	buffer_init(&text, 4096);
	if (!may_go_on(event, &verdict)) {
		verdict_text(&verdict, event->action, &text);
		refusal.reason = verdict.reason;
		refusal.text = buffer_slice(&text);
	}
	finish(s, event, &verdict, grant, number, &refusal);
	buffer_done(&text);
	session_touch(s);
}
