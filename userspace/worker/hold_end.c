/* SPDX-License-Identifier: Apache-2.0
 *
 * How a hold ends: left, refused, cancelled, or judged again.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "worker/hold_internal.h"

void hold_record_end(
	struct hold *h, enum record_outcome outcome, struct slice by, struct slice detail)
{
	struct session *s = h->session;
	const struct record_decision decision = {
		.outcome = outcome,
		.review = slice_from_string(h->review.text),
		.grant = slice_from_string(h->grant.text),
		.by = by,
		.detail = detail,
	};

	recorder_decision(s->worker->recorder, &s->record, h->number, &decision);
}

void hold_detach(struct hold *h)
{
	h->session->worker->hold_count--;
	h->session = NULL;
	list_remove(&h->link);
	list_remove(&h->sibling);
	free(h->preview);
	h->preview = NULL;
	free(h->by);
	free(h->text);
	h->by = h->text = NULL;
	buffer_done(&h->scope);
	if (!h->asking)
		free(h);
}

bool hold_is_counted(const struct hold *h)
{
	return h->state == HOLD_ASKING || h->state == HOLD_WAITING;
}

static void tell_monitor(const struct hold *h, bool stays)
{
	/* Of what was approved and does not go on, that is all there is to say. */
	bool decided = h->state == HOLD_DECIDED;
	struct message_leave leave = {.id = h->wait, .stays = stays && !decided};

	if (hold_is_counted(h) || decided)
		channel_tell(&h->session->worker->channel, MESSAGE_LEAVE,
			slice_of(&leave, sizeof(leave)));
}

/* Approved, and let go on; its server may still have to be connected to. */
struct approved {
	struct list link; /* in the session */
	uint64_t number; /* of the recorded action */
	uint64_t wait; /* as the monitor knows it */
};

void hold_let_go_on(const struct hold *h)
{
	struct approved *a = memory_new(sizeof(*a));

	a->number = h->number;
	a->wait = h->wait;
	list_append(&h->session->approved, &a->link);
}

static void tell_begun(struct session *s, struct approved *a, bool begun)
{
	const struct message_leave leave = {.id = a->wait, .ran = begun};

	channel_tell(&s->worker->channel, MESSAGE_LEAVE, slice_of(&leave, sizeof(leave)));
	list_remove(&a->link);
	free(a);
}

void hold_begun(struct session *s, uint64_t number, bool begun)
{
	list_for_each_safe (position, &s->approved) {
		struct approved *a = list_entry(position, struct approved, link);

		if (a->number == number)
			tell_begun(s, a, begun);
	}
}

void hold_give_back(struct session *s, uint64_t number)
{
	const struct message_leave leave = {.id = s->approved_wait, .stays = true};

	if (!number || s->approved_action != number)
		return;
	s->approved_action = 0;
	channel_tell(&s->worker->channel, MESSAGE_LEAVE, slice_of(&leave, sizeof(leave)));
}

/* HTTP's clients wait for so long, and then send the same once more. */
static bool asks_again(const struct session *s)
{
	return s->engine && s->engine->protocol->asks_again;
}

void hold_leave_one(struct hold *h, const char *why, bool stays)
{
	tell_monitor(h, stays);
	if (h->state != HOLD_OVER && h->state != HOLD_FOR_TOKEN)
		hold_record_end(h, OUTCOME_CANCELLED, SLICE_EMPTY, slice_from_string(why));
	hold_detach(h);
}

void hold_leave(struct session *s, uint32_t lane, const char *why)
{
	struct hold *h = hold_find(s, lane);

	if (h)
		hold_leave_one(h, why, false);
}

void hold_drop(struct session *s, uint32_t lane, const char *why)
{
	struct hold *h = hold_find(s, lane);

	if (h)
		hold_leave_one(h, why, asks_again(s));
}

void hold_leave_all(struct session *s, const char *why, bool gave_up)
{
	list_for_each_safe (position, &s->holds)
		hold_leave_one(
			list_entry(position, struct hold, sibling), why, gave_up && asks_again(s));
	list_for_each_safe (position, &s->approved)
		tell_begun(s, list_entry(position, struct approved, link), false);
}

/* Where the protocol has no words the session ends of it, so the hold is over before. */
static void answer(struct hold *h)
{
	char *text = h->text;
	struct identifier review = h->review;
	struct protocol_refusal refusal = {.reason = h->reason,
		.text = slice_from_string(text),
		.review = slice_from_string(review.text)};
	struct session *s = h->session;
	uint64_t number = h->number;
	uint32_t lane = h->lane;

	h->text = NULL;
	hold_detach(h);
	s->engine->protocol->refuse(s->engine, lane, number, &refusal);
	free(text);
	pipe_go_on(s);
	session_touch(s);
}

void hold_refuse(struct hold *h, enum reason reason, const char *text)
{
	struct session *s = h->session;

	s->worker->statistics.denied++;
	s->worker->statistics.reasons[reason]++;
	h->state = HOLD_OVER;
	h->reason = reason;
	free(h->text);
	h->text = memory_copy_string(text);
	if (!h->judging)
		answer(h);
}

void hold_judge(struct hold *h, bool anew)
{
	struct session *s = h->session;

	if (!s->engine->protocol->judge_again(s->engine, h->lane, anew))
		return;
	h->judging = true;
	h->unsure = h->unsure && !anew;
}

void hold_judge_anew(struct hold *h)
{
	struct session *s = h->session;

	hold_judge(h, true);
	pipe_go_on(s);
	session_touch(s);
}

void hold_stop_waiting(struct hold *h)
{
	struct session *s = h->session;

	h->token_deadline = HOLD_STOPPED;
	if (h->judging)
		return;
	hold_judge(h, false);
	if (h->judging)
		pipe_go_on(s);
	else
		session_abort(s, REASON_IDENTITY, "%s", "it can't be judged again at this point");
	session_touch(s);
}

static void cancel(struct hold *h, const char *why, bool stays)
{
	if (h->state == HOLD_FOR_TOKEN) {
		hold_stop_waiting(h);
		return;
	}
	tell_monitor(h, stays);
	hold_record_end(h, OUTCOME_CANCELLED, SLICE_EMPTY, slice_from_string(why));
	hold_refuse(h, REASON_REVIEW_CANCELLED, why);
}

/* One that is not ending already. */
static struct hold *find_waiting(const struct session *s)
{
	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		if (h->state != HOLD_OVER && h->token_deadline != HOLD_STOPPED)
			return h;
	}
	return NULL;
}

static bool cancel_all(struct session *s, const char *why, bool stays)
{
	bool any = !list_is_empty(&s->holds);
	struct hold *h;

	/* The answer to one may end them all. */
	while ((h = find_waiting(s)))
		cancel(h, why, stays);
	return any;
}

bool hold_cancel(struct session *s, const char *why)
{
	return cancel_all(s, why, false);
}

void hold_give_up(struct session *s)
{
	cancel_all(s, "the agent closed its connection", asks_again(s));
}

bool hold_agent_leaves(struct hold *h)
{
	const struct protocol *protocol = h->session->engine->protocol;
	struct slice untaken = buffer_slice(&h->session->partial[SIDE_AGENT]);

	if (!protocol->leaves || untaken.length == h->seen)
		return false;
	h->seen = untaken.length;
	return protocol->leaves(h->session->engine, untaken);
}
