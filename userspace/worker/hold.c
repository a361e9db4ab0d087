/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/hold.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "approval/fields.h"
#include "base/limits.h"
#include "base/memory.h"
#include "worker/decide.h"
#include "worker/hold_internal.h"
#include "worker/unit.h"

/* Each looks at those that are due alone: a thousand in one go would keep other sessions waiting.
 */
#define TICK (50 * NANOSECONDS_PER_MILLISECOND)

static const char too_large[] = "it is too large to be reviewed";

struct hold *hold_find(const struct session *s, uint32_t lane)
{
	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		if (h->lane == lane)
			return h;
	}
	return NULL;
}

struct hold *hold_find_in_state(const struct session *s, enum hold_state state)
{
	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		if (h->state == state)
			return h;
	}
	return NULL;
}

/* Those that were asked about together with it are still to come. */
static void keep_unit(const struct hold *h, const struct draft *d, uint64_t number)
{
	struct session *s = h->session;

	unit_free(s->unit);
	s->unit = unit_new(d, number);
	if (!s->unit)
		return;
	s->unit->review = h->review;
	s->unit->grant = h->grant;
	s->unit->by = memory_copy_string(h->by);
}

/* The action that waits came again as it was. */
static enum hold_answer go_on(struct hold *h, const struct protocol_action_event *event,
	struct draft *draft, struct decision *d, const char **ret_problem)
{
	if (h->state == HOLD_GATHERING && !hold_start(h, draft))
		*ret_problem = too_large;
	else if (h->state == HOLD_PREVIEWED && !hold_ask(h, draft))
		*ret_problem = too_large;
	if (h->state != HOLD_DECIDED)
		return HOLD_WAITS;
	d->number = h->number;
	h->session->approved_action = h->number;
	h->session->approved_wait = h->wait;
	hold_record_end(h, OUTCOME_APPROVED, slice_from_string(h->by), SLICE_EMPTY);
	keep_unit(h, draft, event->unit);
	hold_let_go_on(h);
	hold_detach(h);
	return HOLD_GOES_ON;
}

/* What was approved together with an action that has gone on passes, if it is still the same. */
static bool is_of_unit(
	struct session *s, const struct protocol_action_event *event, const struct verdict *verdict)
{
	uint8_t digest[QUESTION_DIGEST_SIZE];

	if (!s->unit || hold_find(s, event->lane) || s->unit->number != event->unit)
		return false;
	return draft_digest_in_unit(s, event, verdict, digest) &&
		unit_take(s->unit, event->unit, digest);
}

bool hold_was_approved_before(
	struct session *s, const struct protocol_action_event *event, struct decision *d)
{
	const struct protocol_refusal none = {.reason = REASON_NONE};
	struct record_decision decision = {.outcome = OUTCOME_APPROVED};

	if (!is_of_unit(s, event, &d->verdict))
		return false;
	d->number = decide_record(s, event, &d->verdict, &none);
	decision.review = slice_from_string(s->unit->review.text);
	decision.grant = slice_from_string(s->unit->grant.text);
	decision.by = slice_from_string(s->unit->by);
	recorder_decision(s->worker->recorder, &s->record, d->number, &decision);
	return true;
}

/* It comes again after people were asked about it, and so many behind it: more may have arrived
 * meanwhile. */
static size_t most_of(const struct hold *h)
{
	return h && h->state != HOLD_GATHERING ? h->count : QUESTION_PARTS_MOST;
}

static bool is_same(const struct hold *h, const struct draft *d)
{
	const uint8_t *digest = h->state == HOLD_GATHERING ? d->digests[0] : d->question.digest;

	return memcmp(h->digest, digest, sizeof(h->digest)) == 0;
}

/* Something new, or what waited became something else, and then more may belong to it. */
static const char *hold_anew(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, struct draft **draft)
{
	const char *problem = NULL;

	struct hold *h = hold_find(s, event->lane);

	if (h) {
		hold_leave_one(h, "what it would do changed while it waited", false);
		draft_free(*draft);
		*draft = draft_make(s, event, verdict, QUESTION_PARTS_MOST, &problem);
	}
	if (*draft && !hold_start(hold_begin(s, event, verdict, *draft), *draft))
		problem = too_large;
	return problem;
}

/* Nobody is asked about what is known to be refused when they have approved it. */
static void find_out_first(struct session *s, struct hold *h, uint32_t lane)
{
	if (h)
		hold_judge(h, false);
	else
		s->engine->protocol->judge_again(s->engine, lane, false);
	session_touch(s);
}

enum hold_answer hold_action(
	struct session *s, const struct protocol_action_event *event, struct decision *d)
{
	const char *problem = NULL;
	struct hold *h = hold_find(s, event->lane);
	struct draft *draft = draft_make(s, event, &d->verdict, most_of(h), &problem);
	enum hold_answer answer = HOLD_WAITS;
	char text[300];

	/* The engine brings it again. */
	if (!draft && !problem)
		return HOLD_WAITS;
	if (draft && draft->maybe_late)
		find_out_first(s, h, event->lane);
	else if (draft && h && (!is_same(h, draft) || h->state == HOLD_DECIDED) &&
		hold_makes_sure(s, event->lane))
		answer = HOLD_WAITS;
	else if (draft && h && is_same(h, draft))
		answer = go_on(h, event, draft, d, &problem);
	else if (!problem)
		problem = hold_anew(s, event, &d->verdict, &draft);
	draft_free(draft);
	if (!problem)
		return answer;
	hold_leave(s, event->lane, problem);
	snprintf(text, sizeof(text), reason_get(REASON_REVIEW_IMPOSSIBLE)->agent, problem);
	decision_refuse(d, REASON_REVIEW_IMPOSSIBLE, text);
	return HOLD_GOES_ON;
}

enum hold_answer hold_for_token(struct session *s, const struct protocol_action_event *event)
{
	uint64_t now = clock_monotonic();
	struct hold *h = hold_find(s, event->lane);

	/* Until the login is done an engine can't judge again. */
	if (s->deadline)
		return HOLD_GOES_ON;
	if (!h) {
		h = hold_new(s, event->lane);
		h->state = HOLD_FOR_TOKEN;
	}
	h->judging = false;
	/* People may go on reading: there is time until they have decided. */
	if (h->state == HOLD_PREVIEWING || hold_is_counted(h))
		return HOLD_WAITS;
	if (!h->token_deadline)
		h->token_deadline = now + LIMIT_TOKEN_TIME * NANOSECONDS_PER_MILLISECOND;
	if (now < h->token_deadline)
		return HOLD_WAITS;
	hold_leave_one(h, "it is not known for whom it is", false);
	return HOLD_GOES_ON;
}

void hold_got_token(struct session *s, uint32_t lane)
{
	struct hold *h = hold_find(s, lane);

	if (h && h->state == HOLD_FOR_TOKEN)
		hold_detach(h);
	else if (h)
		h->token_deadline = 0;
}

bool hold_waits_for_token(const struct session *s)
{
	list_for_each (position, &s->holds) {
		if (list_entry(position, struct hold, sibling)->token_deadline)
			return true;
	}
	return false;
}

bool hold_came_again(struct session *s, uint32_t lane, struct decision *d)
{
	struct hold *h = hold_find(s, lane);

	if (!h)
		return false;
	h->judging = false;
	if (h->state != HOLD_OVER)
		return false;
	d->number = h->number;
	decision_refuse(d, h->reason, h->text);
	hold_detach(h);
	return true;
}

bool hold_is_approved(const struct session *s, uint32_t lane)
{
	const struct hold *h = hold_find(s, lane);

	return h && h->state == HOLD_DECIDED;
}

/* --- the answer --- */

static struct hold *find_hold(struct worker *w, uint64_t wait)
{
	list_for_each (position, &w->holds) {
		struct hold *h = list_entry(position, struct hold, link);

		if (h->wait == wait)
			return h;
	}
	return NULL;
}

static void approve(struct hold *h, const struct message_decision *decision, struct slice by)
{
	h->state = HOLD_DECIDED;
	h->grant = decision->grant;
	h->grant.text[sizeof(h->grant.text) - 1] = '\0';
	free(h->by);
	h->by = memory_copy_text(by.data, by.length);
	hold_judge_anew(h);
}

/* What the agent reads, behind "wayleave: "; the caller's to free. */
static char *refused_text(
	const struct hold *h, enum record_outcome outcome, struct slice by, struct slice detail)
{
	const char *colon = detail.length ? ": " : "";

	if (outcome == OUTCOME_DENIED)
		return memory_format("denied by %.*s (review %s)%s%.*s", SLICE_PRINT(by),
			h->review.text, colon, SLICE_PRINT(detail));
	if (outcome == OUTCOME_EXPIRED)
		return memory_format("denied: nobody decided in time (review %s)", h->review.text);
	return memory_format("denied: the review was cancelled (review %s)%s%.*s", h->review.text,
		colon, SLICE_PRINT(detail));
}

static enum reason reason_of(enum record_outcome outcome)
{
	return outcome == OUTCOME_EXPIRED ? REASON_REVIEW_EXPIRED : REASON_REVIEW_DENIED;
}

void hold_on_decision(struct worker *w, struct slice payload)
{
	struct message_decision decision;
	struct slice by, detail;
	struct hold *h;
	char *text;

	if (payload.length < sizeof(decision))
		return;
	memcpy(&decision, payload.data, sizeof(decision));
	payload = slice_from(payload, sizeof(decision));
	by = slice_head(payload, decision.by_length);
	detail = slice_head(slice_from(payload, by.length), decision.detail_length);
	h = find_hold(w, decision.id);
	if (!h || !hold_is_counted(h))
		return;
	if (decision.outcome == OUTCOME_APPROVED) {
		approve(h, &decision, by);
		return;
	}
	text = refused_text(h, (enum record_outcome)decision.outcome, by, detail);
	hold_record_end(h, (enum record_outcome)decision.outcome, by, detail);
	hold_refuse(h, reason_of((enum record_outcome)decision.outcome), text);
	free(text);
}

/* `room` is the caller's: it is large. */
static bool is_covered(const struct hold *h, struct scope_of_action *room)
{
	struct field_reader reader = {.rest = buffer_slice(&h->scope)};

	if (h->state != HOLD_WAITING || buffer_length(&h->scope) == 0)
		return false;
	memset(room, 0, sizeof(*room));
	fields_get_scope(&reader, room);
	return !reader.bad && grants_find(&h->session->worker->grants, room, 0);
}

static bool any_is_covered(const struct session *s, struct scope_of_action *room)
{
	list_for_each (position, &s->holds) {
		if (is_covered(list_entry(position, struct hold, sibling), room))
			return true;
	}
	return false;
}

/* Judging again asks the server, and a thousand may wait that the grant is nothing to. */
void hold_on_grants(struct worker *w)
{
	struct scope_of_action *room = memory_new(sizeof(*room));

	list_for_each_safe (position, &w->sessions) {
		struct session *s = list_entry(position, struct session, link);

		if (any_is_covered(s, room))
			hold_judge_again(s);
	}
	free(room);
}

/* Whatever it waits for, its library hears something: the server may take long to answer what it is
 * asked before people are, and behind the approval. */
static void tick(struct hold *h, uint64_t now)
{
	struct session *s = h->session;

	h->ticked = now;
	if (hold_agent_leaves(h)) {
		hold_give_up(s);
	} else if (h->token_deadline && now >= h->token_deadline) {
		hold_stop_waiting(h);
	} else if (h->state == HOLD_GATHERING && now >= h->gather_deadline) {
		hold_judge(h, false);
		pipe_go_on(s);
		session_touch(s);
	} else if (h->state == HOLD_PREVIEWING && now >= h->preview_deadline) {
		hold_on_preview(s, SLICE_EMPTY, "the server took too long");
		pipe_go_on(s);
	} else if (hold_was_asked_about(h) && now >= h->next_notice) {
		hold_reassure(h, true);
	} else if (now >= h->next_beat) {
		hold_reassure(h, false);
	}
}

/* One that is looked at may end others of its session, so each goes behind those that are still to
 * be. */
static void tick_all(struct worker *w, uint64_t now)
{
	while (!list_is_empty(&w->holds)) {
		struct hold *h = list_entry(w->holds.next, struct hold, link);

		if (h->ticked == now)
			return;
		list_remove(&h->link);
		list_append(&w->holds, &h->link);
		tick(h, now);
	}
}

static void on_tick(struct ring_operation *operation, int result)
{
	struct worker *w = container_of(operation, struct worker, holds_tick);

	(void)result;
	tick_all(w, clock_monotonic());
	if (!list_is_empty(&w->holds))
		hold_begin_ticks(w);
}

void hold_begin_ticks(struct worker *w)
{
	if (w->holds_tick.in_flight)
		return;
	w->holds_tick.complete = on_tick;
	ring_timeout(&w->ring, &w->holds_tick, TICK);
}
