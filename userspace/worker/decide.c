/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/decide.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "policy/scope.h"
#include "worker/draft.h"
#include "worker/hold.h"
#include "worker/values.h"

/* A verdict that is kept beside an analysed text. Good for one scope, whose serial the engine keeps
 * it under. */
struct judgement {
	struct protocol_judgement base;
	struct policy_scope *scope; /* reference: it owns the outcome */
	struct verdict verdict;
	/* VERDICT_REVIEW: the grant that covers it for this database and user, among the grants of
	 * that version. Sessions of others may have the text and the scope in common. */
	const struct grant *grant;
	uint64_t grants_version;
	char database[SESSION_NAME_SIZE], user[SESSION_NAME_SIZE];
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
	if (s->engine->protocol->looks_up)
		lookups_judge_stream(s, ret);
	if (!event->judgement)
		return NULL;
	kept = memory_new(sizeof(*kept));
	kept->base.free = judgement_free;
	kept->base.review = ret->kind == VERDICT_REVIEW && verdict_is_enforced(ret);
	kept->scope = policy_scope_hold(s->scope);
	kept->verdict = *ret;
	*event->judgement = &kept->base;
	return kept;
}

void decide_judge(struct session *s, const struct protocol_action_event *event, struct verdict *ret)
{
	judge(s, event, ret);
}

static const struct grant *look_for_grant(
	struct session *s, const struct verdict *verdict, const struct action *action)
{
	struct scope_of_action scope; /* large: only what it has is written */

	if (draft_scope(s, verdict, action, &scope) < 0)
		return NULL;
	return grants_find(&s->worker->grants, &scope, action->unknown | verdict->unknown);
}

/* One that is over may have hidden another. */
static bool knows_grant(const struct judgement *kept, const struct session *s)
{
	const struct grants *grants = &s->worker->grants;

	return kept->grants_version == grants->version && strcmp(kept->user, s->user) == 0 &&
		strcmp(kept->database, s->database) == 0 &&
		(!kept->grant || grant_is_in_force(kept->grant, grants->table, clock_wall()));
}

static void keep_grant(struct judgement *kept, const struct session *s, const struct grant *grant)
{
	kept->grant = grant;
	kept->grants_version = s->worker->grants.version;
	memcpy(kept->user, s->user, sizeof(kept->user));
	memcpy(kept->database, s->database, sizeof(kept->database));
}

/* The grant in force that covers what a review rule fits; NULL: there is none. */
static const struct grant *find_grant(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, struct judgement *kept)
{
	const struct grant *grant;

	if (s->worker->grants.count == 0)
		return NULL;
	if (kept && knows_grant(kept, s))
		return kept->grant;
	grant = look_for_grant(s, verdict, event->action);
	if (kept)
		keep_grant(kept, s, grant);
	return grant;
}

/* --- record --- */

static struct slice masks_summary(const struct policy_outcome *outcome, char *room, size_t size)
{
	const struct mask_rules *masks = outcome->masks;
	size_t n = 0;

	if (!mask_rules_any(masks))
		return SLICE_EMPTY;
	n = (size_t)snprintf(room, size, "%zu column patterns", masks->column_count);
	if (masks->json_count && n < size)
		n += (size_t)snprintf(room + n, size - n, ", %zu paths", masks->json_count);
	for (unsigned i = 0; i < DETECTOR_COUNT && n < size; i++) {
		if (masks->detectors[i] != MASK_NONE)
			n += (size_t)snprintf(
				room + n, size - n, ", %s", detector_name((enum detector)i));
	}
	if (masks->binary != MASK_BINARY_SEARCH && n < size)
		n += (size_t)snprintf(
			room + n, size - n, ", binary: %s", mask_binary_name(masks->binary));
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
		.as = verdict->as,
		.message = refusal->text,
		.parameters = values,
	};

	for (size_t i = 0; i < outcome->rule_count && i < RECORDED_RULES_MOST; i++)
		rules[record.rule_count++] = outcome->rules[i]->name;
	record.parameter_count =
		values_to_record(event->values, event->value_count, values, RECORDED_VALUES_MOST);
	s->worker->statistics.actions++;
	if (refusal->reason != REASON_NONE)
		record.verdict = RECORD_VERDICT_DENY;
	if (refusal->reason != REASON_NONE && !record.observed) {
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
	if (event->phase == ACTION_PROBED ||
		(event->runs_nothing && verdict->kind == VERDICT_REVIEW))
		return true;
	return event->phase == ACTION_PREPARED &&
		(verdict->kind == VERDICT_REVIEW || event->action->unknown);
}

static void record_grant(struct session *s, uint64_t number, const struct grant *grant)
{
	const struct record_decision decision = {
		.outcome = OUTCOME_APPROVED, .grant = slice_from_string(grant->id.text)};

	recorder_decision(s->worker->recorder, &s->record, number, &decision);
}

void decision_refuse(struct decision *d, enum reason reason, const char *text)
{
	buffer_append_string(&d->text, text);
	d->refusal = (struct protocol_refusal){.reason = reason, .text = buffer_slice(&d->text)};
}

static void deny(struct decision *d, const struct action *action)
{
	const struct policy_rule *rule = d->verdict.rule;

	verdict_text(&d->verdict, action, &d->text);
	d->refusal = (struct protocol_refusal){.reason = d->verdict.reason,
		.text = buffer_slice(&d->text),
		.rule = rule ? rule->name : SLICE_EMPTY,
		.object = d->verdict.pair ? d->verdict.pair->object : SLICE_EMPTY};
}

/* The verdict is review: a grant covers it, or people decide. */
static enum hold_answer ask(struct session *s, const struct protocol_action_event *event,
	struct judgement *kept, struct decision *d)
{
	if (hold_was_approved_before(s, event, d))
		return HOLD_GOES_ON;
	if (!hold_is_approved(s, event->lane))
		d->grant = find_grant(s, event, &d->verdict, kept);
	if (!d->grant)
		return hold_action(s, event, d);
	if (hold_makes_sure(s, event->lane))
		return HOLD_WAITS;
	hold_leave(s, event->lane, "a grant covers it");
	return HOLD_GOES_ON;
}

/* For whom it is must be known, whatever it is. False: it waits for that, or is refused. */
static bool is_identified(struct session *s, const struct protocol_action_event *event,
	struct decision *d, enum hold_answer *ret)
{
	enum reason reason = REASON_NONE;
	enum who_answer answer = who_check(
		&s->worker->who, s->agent, s->origin.cgroup, s->host.observes, &reason, &d->text);

	if (answer == WHO_GOOD) {
		hold_got_token(s, event->lane);
		return true;
	}
	*ret = HOLD_GOES_ON;
	if (answer == WHO_AWAITED)
		*ret = hold_for_token(s, event);
	else
		hold_leave(s, event->lane, "it is not known for whom it is");
	d->verdict = (struct verdict){
		.kind = VERDICT_DENY,
		.reason = reason,
		.outcome = &scope_no_outcome,
		.enforced = true,
	};
	d->refusal = (struct protocol_refusal){reason, buffer_slice(&d->text)};
	return false;
}

/* Whether a query is for rules to judge. */
static bool may_look_up(
	struct session *s, const struct protocol_action_event *event, struct decision *d)
{
	if (lookups_check_stream(s, event->action, &d->text) == 0)
		return true;
	d->verdict = (struct verdict){
		.kind = VERDICT_DENY,
		.reason = REASON_LIMIT,
		.outcome = &scope_no_outcome,
		.enforced = !s->host.observes,
	};
	if (!s->host.observes)
		d->refusal = (struct protocol_refusal){REASON_LIMIT, buffer_slice(&d->text)};
	return false;
}

static enum hold_answer decide(
	struct session *s, const struct protocol_action_event *event, struct decision *d)
{
	struct judgement *kept;
	enum hold_answer answer;
	bool refused = event->phase == ACTION_RUN && hold_came_again(s, event->lane, d);

	if (!refused && !is_identified(s, event, d, &answer))
		return answer;
	if (s->engine->protocol->looks_up && !may_look_up(s, event, d))
		return HOLD_GOES_ON;
	kept = judge(s, event, &d->verdict);
	if (refused)
		return HOLD_GOES_ON;

	if (event->phase == ACTION_RUN) {
		if (d->verdict.kind == VERDICT_REVIEW && verdict_is_enforced(&d->verdict) &&
			!event->runs_nothing)
			return ask(s, event, kept, d);
		if (may_go_on(event, &d->verdict) && hold_makes_sure(s, event->lane))
			return HOLD_WAITS;
		hold_leave(s, event->lane, "it no longer needs approval");
	}
	if (!may_go_on(event, &d->verdict))
		deny(d, event->action);
	return HOLD_GOES_ON;
}

/* Binds the verdict's masks; where that can't be, the action is refused. */
static void bind_masks(
	struct session *s, const struct protocol_action_event *event, struct decision *d)
{
	const struct policy_outcome *outcome = d->verdict.outcome;
	const struct mask_rules *masks = NULL;

	if (event->phase != ACTION_RUN || !verdict_is_enforced(&d->verdict))
		return;
	if (mask_rules_any(outcome->masks))
		masks = outcome->masks;
	s->host.shows_secrets = d->verdict.shows_secrets;
	s->host.passes_masked = d->verdict.passes_masked;
	s->host.as = d->verdict.as;
	/* What was held is recorded as approved by now; this is something new. */
	if (s->engine->protocol->mask(
		    s->engine, event->lane, masks, outcome->record_rows, &d->refusal) < 0)
		d->number = 0;
}

/* Why the engine would refuse it, if rules held. */
static struct protocol_refusal find_observed(
	struct session *s, const struct protocol_action_event *event, struct decision *d)
{
	const struct protocol *protocol = s->engine->protocol;
	const struct mask_rules *masks = d->verdict.outcome->masks;
	struct protocol_refusal would = {.reason = REASON_NONE};

	if (verdict_is_enforced(&d->verdict) || !protocol->would_refuse ||
		event->phase == ACTION_PROBED)
		return would;
	if (event->phase != ACTION_RUN || d->verdict.kind == VERDICT_DENY || !mask_rules_any(masks))
		masks = NULL;
	/* Nothing of what is denied would be there to be masked. */
	s->host.shows_secrets = d->verdict.shows_secrets || d->verdict.kind == VERDICT_DENY;
	s->host.passes_masked = d->verdict.passes_masked || d->verdict.kind == VERDICT_DENY;
	if (protocol->would_refuse(s->engine, event->lane, masks, &would) == 0)
		would = (struct protocol_refusal){.reason = REASON_NONE};
	return would;
}

static void answer(struct session *s, const struct protocol_action_event *event, struct decision *d)
{
	const struct protocol *protocol = s->engine->protocol;

	struct protocol_refusal would = {.reason = REASON_NONE};
	uint64_t approved = d->number; /* or of nothing that was */

	if (d->refusal.reason == REASON_NONE) {
		bind_masks(s, event, d);
		would = find_observed(s, event, d);
	}
	if (d->number == 0)
		d->number = decide_record(
			s, event, &d->verdict, would.reason != REASON_NONE ? &would : &d->refusal);
	if (d->refusal.reason != REASON_NONE) {
		hold_begun(s, approved, false);
		protocol->refuse(s->engine, event->lane, d->number, &d->refusal);
		return;
	}
	s->host.reviewed = d->verdict.kind == VERDICT_REVIEW;
	s->host.grant = (struct protocol_grant){0};
	if (d->grant) {
		record_grant(s, d->number, d->grant);
		s->host.grant = (struct protocol_grant){d->grant->serial, d->grant->slot};
	}
	/* Who connects late says itself when it has something of it to send. */
	if (!protocol->connects_late)
		hold_begun(s, d->number, true);
	protocol->release(s->engine, event->lane, d->number);
}

void decide_action(struct session *s, const struct protocol_action_event *event)
{
	struct decision d = {.refusal = {.reason = REASON_NONE}};

	buffer_init(&d.text, 4096);
	if (decide(s, event, &d) == HOLD_GOES_ON) {
		answer(s, event, &d);
		session_touch(s);
	}
	buffer_done(&d.text);
}
