/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/hold.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "worker/decide.h"
#include "worker/draft.h"
#include "worker/unit.h"

/* People see a notice this often, libraries something every second: some give up on a connection
 * that is silent for a few. */
#define NOTICE_TIME (15 * NANOSECONDS_PER_SECOND)
#define BEAT_TIME NANOSECONDS_PER_SECOND
/* So long the server may take to say what the action would do; a lock may be in its way. */
#define PREVIEW_TIME (2 * NANOSECONDS_PER_SECOND)

/* So long a pipeline may take to arrive, and so much of it is kept, before people are asked about
 * what is there. */
#define GATHER_TIME (NANOSECONDS_PER_SECOND / 4)
#define GATHER_BYTES 32768
/* So long people are not asked because it is not known yet what the process is. */
#define PROCESS_TIME (2 * NANOSECONDS_PER_SECOND)

#define STOPPED 1 /* a deadline that has passed */

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
	uint32_t lane;
	uint64_t wait; /* the number under which the monitor knows it */
	uint64_t number; /* of the recorded action */
	uint8_t digest[QUESTION_DIGEST_SIZE]; /* while gathering, of the action alone */
	size_t count; /* of actions that are asked about together */
	uint64_t gather_deadline, process_deadline; /* monotonic */
	struct identifier review; /* empty while asking */
	struct identifier grant; /* that came of the approval */
	char reviewers[128], by[128];
	uint64_t grants_version; /* of the grants when people were asked */
	char *preview; /* for people */
	uint64_t preview_deadline; /* monotonic */
	uint64_t next_notice, next_beat; /* monotonic */
	uint64_t token_deadline; /* monotonic; 0: it waits for no token */
	uint64_t ticked; /* when hold_tick() looked at it last */
	enum reason reason; /* HOLD_OVER */
	char text[600]; /* HOLD_OVER: for the agent */
};

static struct hold *find(const struct session *s, uint32_t lane)
{
	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		if (h->lane == lane)
			return h;
	}
	return NULL;
}

static struct hold *find_in_state(const struct session *s, enum hold_state state)
{
	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		if (h->state == state)
			return h;
	}
	return NULL;
}

/* --- the end of a hold --- */

static void record_end(
	struct hold *h, enum record_outcome outcome, const char *by, const char *detail)
{
	struct session *s = h->session;
	const struct record_decision decision = {
		.outcome = outcome,
		.review = slice_from_string(h->review.text),
		.grant = slice_from_string(h->grant.text),
		.by = slice_from_string(by),
		.detail = slice_from_string(detail),
	};

	recorder_decision(s->worker->recorder, &s->record, h->number, &decision);
}

/* The session no longer waits. Memory goes when the monitor's answer is not awaited either. */
static void detach(struct hold *h)
{
	h->session = NULL;
	list_remove(&h->link);
	list_remove(&h->sibling);
	free(h->preview);
	h->preview = NULL;
	if (!h->asking)
		free(h);
}

/* Whether the monitor counts this session among those that wait. */
static bool is_counted(const struct hold *h)
{
	return h->state == HOLD_ASKING || h->state == HOLD_WAITING;
}

static void tell_monitor(const struct hold *h, bool stays)
{
	struct message_leave leave = {.id = h->wait, .stays = stays};

	if (is_counted(h))
		channel_tell(&h->session->worker->channel, MESSAGE_LEAVE,
			slice_of(&leave, sizeof(leave)));
}

/* HTTP's clients wait for so long, and then send the same once more. */
static bool asks_again(const struct session *s)
{
	return s->engine && s->engine->protocol->asks_again;
}

static void leave(struct hold *h, const char *why, bool stays)
{
	tell_monitor(h, stays);
	if (h->state != HOLD_OVER && h->state != HOLD_FOR_TOKEN)
		record_end(h, OUTCOME_CANCELLED, "", why);
	detach(h);
}

void hold_leave(struct session *s, uint32_t lane, const char *why)
{
	struct hold *h = find(s, lane);

	if (h)
		leave(h, why, false);
}

void hold_drop(struct session *s, uint32_t lane, const char *why)
{
	struct hold *h = find(s, lane);

	if (h)
		leave(h, why, asks_again(s));
}

void hold_leave_all(struct session *s, const char *why, bool gave_up)
{
	list_for_each_safe (position, &s->holds)
		leave(list_entry(position, struct hold, sibling), why, gave_up && asks_again(s));
}

/* Where the protocol has no words the session ends of it, so the hold is over before. */
static void answer(struct hold *h)
{
	char text[sizeof(h->text)];
	struct identifier review = h->review;
	struct protocol_refusal refusal = {
		.reason = h->reason, .review = slice_from_string(review.text)};
	struct session *s = h->session;
	uint64_t number = h->number;
	uint32_t lane = h->lane;

	memcpy(text, h->text, sizeof(text));
	refusal.text = slice_from_string(text);
	detach(h);
	s->engine->protocol->refuse(s->engine, lane, number, &refusal);
	pipe_go_on(s);
	session_touch(s);
}

/* Ends the wait, as it is recorded, with an error for the agent: now, or when the action comes
 * again. */
static void refuse(struct hold *h, enum reason reason, const char *text)
{
	struct session *s = h->session;

	s->worker->statistics.denied++;
	s->worker->statistics.reasons[reason]++;
	h->state = HOLD_OVER;
	h->reason = reason;
	snprintf(h->text, sizeof(h->text), "%s", text);
	if (!h->judging)
		answer(h);
}

static void judge_again(struct hold *h, bool anew)
{
	struct session *s = h->session;

	if (s->engine->protocol->judge_again(s->engine, h->lane, anew))
		h->judging = true;
}

static void judge_anew(struct hold *h)
{
	struct session *s = h->session;

	judge_again(h, true);
	pipe_go_on(s);
	session_touch(s);
}

/* The action is judged once more: refused, if nothing has changed. */
static void stop_waiting(struct hold *h)
{
	struct session *s = h->session;

	h->token_deadline = STOPPED;
	if (h->judging)
		return;
	judge_again(h, false);
	if (h->judging)
		pipe_go_on(s);
	else
		session_abort(s, REASON_IDENTITY, "%s", "it can't be judged again at this point");
	session_touch(s);
}

static void cancel(struct hold *h, const char *why, bool stays)
{
	if (h->state == HOLD_FOR_TOKEN) {
		stop_waiting(h);
		return;
	}
	tell_monitor(h, stays);
	record_end(h, OUTCOME_CANCELLED, "", why);
	refuse(h, REASON_REVIEW_CANCELLED, why);
}

/* One that is not ending already. */
static struct hold *find_waiting(const struct session *s)
{
	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		if (h->state != HOLD_OVER && h->token_deadline != STOPPED)
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

/* --- asking --- */

static const char too_large[] = "it is too large to be reviewed";

static void reassure(struct hold *h, bool aloud)
{
	struct session *s = h->session;
	char text[256] = "";

	if (aloud)
		snprintf(text, sizeof(text), "wayleave: waiting for approval by %s (review %s)",
			h->reviewers, h->review.text);
	if (!s->engine->protocol->reassure(s->engine, h->lane, slice_from_string(text)))
		return;
	h->next_beat = clock_monotonic() + BEAT_TIME;
	if (aloud)
		h->next_notice = clock_monotonic() + NOTICE_TIME;
	session_touch(s);
}

static void on_not_asked(struct hold *h, struct slice why)
{
	char detail[300], text[400];

	snprintf(detail, sizeof(detail), "%.*s", SLICE_PRINT(why));
	snprintf(text, sizeof(text), reason_get(REASON_REVIEW_IMPOSSIBLE)->agent, detail);
	record_end(h, OUTCOME_CANCELLED, "", detail);
	refuse(h, REASON_REVIEW_IMPOSSIBLE, text);
}

static void on_asked(void *context, int status, struct slice payload, int fd)
{
	struct message_review_held held;
	struct hold *h = context;

	h->asking = false;
	if (fd >= 0)
		close(fd);
	if (!h->session) {
		free(h);
		return;
	}
	if (h->state != HOLD_ASKING)
		return;
	if (status < 0 || payload.length < sizeof(held)) {
		on_not_asked(h, status < 0 ? payload : slice_from_string("nobody answered"));
		return;
	}
	memcpy(&held, payload.data, sizeof(held));
	payload = slice_from(payload, sizeof(held));
	h->review = held.review;
	h->review.text[sizeof(h->review.text) - 1] = '\0';
	snprintf(h->reviewers, sizeof(h->reviewers), "%.*s", SLICE_PRINT(payload));
	h->state = HOLD_WAITING;
	reassure(h, true);
	/* One that came while the monitor was asked may cover it. */
	if (h->grants_version != h->session->worker->grants.version)
		judge_anew(h);
}

/* The monitor is asked; false: it is too large. */
static bool ask(struct hold *h, struct draft *d)
{
	struct message_review request = {0};
	struct session *s = h->session;
	int fd;

	d->question.preview = slice_from_string(h->preview);
	fd = draft_write(s, d);
	if (fd < 0)
		return false;
	h->asking = true;
	h->state = HOLD_ASKING;
	h->grants_version = s->worker->grants.version;
	channel_ask(&s->worker->channel, MESSAGE_REVIEW, &request, sizeof(request), SLICE_EMPTY, fd,
		on_asked, h);
	h->wait = request.id;
	close(fd);
	return true;
}

static struct hold *hold_new(struct session *s, uint32_t lane)
{
	struct hold *h = memory_new(sizeof(*h));

	h->session = s;
	h->lane = lane;
	list_append(&s->worker->holds, &h->link);
	list_append(&s->holds, &h->sibling);
	return h;
}

static struct hold *begin(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, const struct draft *d)
{
	const struct protocol_refusal none = {.reason = REASON_NONE};
	struct hold *h = hold_new(s, event->lane);

	memcpy(h->digest, d->digests[0], sizeof(h->digest));
	h->gather_deadline = clock_monotonic() + GATHER_TIME;
	h->process_deadline = clock_monotonic() + PROCESS_TIME;
	h->number = decide_record(s, event, verdict, &none);
	session_touch(s);
	return h;
}

static void set_preview(struct hold *h, struct slice text, const char *problem)
{
	free(h->preview);
	if (problem)
		h->preview = memory_format("no preview: %s", problem);
	else
		h->preview = memory_format("%s%.*s",
			h->count > 1 ? "of the first statement:\n" : "", SLICE_PRINT(text));
}

static bool is_gathered(const struct hold *h, const struct draft *d)
{
	uint64_t now = clock_monotonic();

	if (!h->session->process.answered && now < h->process_deadline)
		return false;
	return !d->grows || now >= h->gather_deadline ||
		buffer_length(&h->session->partial[SIDE_AGENT]) >= GATHER_BYTES;
}

/* All of it is known: first the server is asked what it would do, where it can be. */
static bool start(struct hold *h, struct draft *d)
{
	const char *problem = "this protocol has none";
	struct session *s = h->session;

	if (!is_gathered(h, d)) {
		h->state = HOLD_GATHERING;
		return true;
	}
	memcpy(h->digest, d->question.digest, sizeof(h->digest));
	h->count = d->count;
	if (s->engine->protocol->preview)
		problem = s->engine->protocol->preview(s->engine, h->lane);
	if (!problem) {
		h->state = HOLD_PREVIEWING;
		h->preview_deadline = clock_monotonic() + PREVIEW_TIME;
		return true;
	}
	set_preview(h, SLICE_EMPTY, problem);
	return ask(h, d);
}

bool hold_gathers(const struct session *s)
{
	return find_in_state(s, HOLD_GATHERING) &&
		buffer_length(&s->partial[SIDE_AGENT]) < GATHER_BYTES;
}

void hold_on_bytes(struct session *s)
{
	struct hold *h = find_in_state(s, HOLD_GATHERING);

	if (h)
		judge_again(h, false);
}

void hold_on_process(struct session *s)
{
	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		if (h->state == HOLD_GATHERING)
			judge_again(h, false);
	}
	pipe_go_on(s);
	session_touch(s);
}

void hold_on_preview(struct session *s, struct slice text, const char *problem)
{
	struct hold *h = find_in_state(s, HOLD_PREVIEWING);

	if (!h)
		return;
	set_preview(h, text, problem);
	h->state = HOLD_PREVIEWED;
	judge_again(h, false);
	session_touch(s);
}

/* Those that were asked about together with it are still to come. */
static void keep_unit(const struct hold *h, const struct draft *d, uint64_t number)
{
	struct session *s = h->session;

	free(s->unit);
	s->unit = unit_new(d, number);
	if (!s->unit)
		return;
	s->unit->review = h->review;
	s->unit->grant = h->grant;
	snprintf(s->unit->by, sizeof(s->unit->by), "%s", h->by);
}

/* The action that waits came again as it was. */
static enum hold_answer go_on(struct hold *h, const struct protocol_action_event *event,
	struct draft *draft, struct decision *d, const char **ret_problem)
{
	if (h->state == HOLD_GATHERING && !start(h, draft))
		*ret_problem = too_large;
	else if (h->state == HOLD_PREVIEWED && !ask(h, draft))
		*ret_problem = too_large;
	if (h->state != HOLD_DECIDED)
		return HOLD_WAITS;
	d->number = h->number;
	record_end(h, OUTCOME_APPROVED, h->by, "");
	keep_unit(h, draft, event->unit);
	detach(h);
	return HOLD_GOES_ON;
}

/* What was approved together with an action that has gone on passes, if it is still the same. */
static bool is_of_unit(
	struct session *s, const struct protocol_action_event *event, const struct verdict *verdict)
{
	const char *problem = NULL;
	struct draft *draft;
	bool taken = false;

	if (!s->unit || find(s, event->lane) || s->unit->number != event->unit)
		return false;
	draft = draft_make(s, event, verdict, 1, &problem);
	if (draft)
		taken = unit_take(s->unit, event->unit, draft->digests[0]);
	draft_free(draft);
	return taken;
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

	struct hold *h = find(s, event->lane);

	if (h) {
		leave(h, "what it would do changed while it waited", false);
		draft_free(*draft);
		*draft = draft_make(s, event, verdict, QUESTION_PARTS_MOST, &problem);
	}
	if (*draft && !start(begin(s, event, verdict, *draft), *draft))
		problem = too_large;
	return problem;
}

enum hold_answer hold_action(
	struct session *s, const struct protocol_action_event *event, struct decision *d)
{
	const char *problem = NULL;
	struct hold *h = find(s, event->lane);
	struct draft *draft = draft_make(s, event, &d->verdict, most_of(h), &problem);
	enum hold_answer answer = HOLD_WAITS;
	char text[200];

	/* The engine brings it again. */
	if (!draft && !problem)
		return HOLD_WAITS;
	if (draft && h && is_same(h, draft))
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
	struct hold *h = find(s, event->lane);

	/* Until the login is done an engine can't judge again. */
	if (s->deadline)
		return HOLD_GOES_ON;
	if (!h) {
		h = hold_new(s, event->lane);
		h->state = HOLD_FOR_TOKEN;
	}
	h->judging = false;
	/* People may go on reading: there is time until they have decided. */
	if (h->state == HOLD_PREVIEWING || is_counted(h))
		return HOLD_WAITS;
	if (!h->token_deadline)
		h->token_deadline = now + LIMIT_TOKEN_TIME * NANOSECONDS_PER_MILLISECOND;
	if (now < h->token_deadline)
		return HOLD_WAITS;
	leave(h, "it is not known for whom it is", false);
	return HOLD_GOES_ON;
}

void hold_got_token(struct session *s, uint32_t lane)
{
	struct hold *h = find(s, lane);

	if (h && h->state == HOLD_FOR_TOKEN)
		detach(h);
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
	struct hold *h = find(s, lane);

	if (!h)
		return false;
	h->judging = false;
	if (h->state != HOLD_OVER)
		return false;
	d->number = h->number;
	decision_refuse(d, h->reason, h->text);
	detach(h);
	return true;
}

bool hold_is_approved(const struct session *s, uint32_t lane)
{
	const struct hold *h = find(s, lane);

	return h && h->state == HOLD_DECIDED;
}

void hold_judge_again(struct session *s)
{
	if (list_is_empty(&s->holds) || s->state != SESSION_OPEN)
		return;
	list_for_each (position, &s->holds)
		judge_again(list_entry(position, struct hold, sibling), true);
	pipe_go_on(s);
	session_touch(s);
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
	snprintf(h->by, sizeof(h->by), "%.*s", SLICE_PRINT(by));
	judge_anew(h);
}

/* What the agent reads, behind "wayleave: ". */
static void say_refused(const struct hold *h, enum record_outcome outcome, struct slice by,
	struct slice detail, char *ret, size_t size)
{
	const char *colon = detail.length ? ": " : "";

	if (outcome == OUTCOME_DENIED)
		snprintf(ret, size, "denied by %.*s (review %s)%s%.*s", SLICE_PRINT(by),
			h->review.text, colon, SLICE_PRINT(detail));
	else if (outcome == OUTCOME_EXPIRED)
		snprintf(ret, size, "denied: nobody decided in time (review %s)", h->review.text);
	else
		snprintf(ret, size, "denied: the review was cancelled (review %s)%s%.*s",
			h->review.text, colon, SLICE_PRINT(detail));
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
	char text[600], who[128], why[400];

	if (payload.length < sizeof(decision))
		return;
	memcpy(&decision, payload.data, sizeof(decision));
	payload = slice_from(payload, sizeof(decision));
	by = slice_head(payload, decision.by_length);
	detail = slice_head(slice_from(payload, by.length), decision.detail_length);
	h = find_hold(w, decision.id);
	if (!h || !is_counted(h))
		return;
	if (decision.outcome == OUTCOME_APPROVED) {
		approve(h, &decision, by);
		return;
	}
	say_refused(h, (enum record_outcome)decision.outcome, by, detail, text, sizeof(text));
	snprintf(who, sizeof(who), "%.*s", SLICE_PRINT(by));
	snprintf(why, sizeof(why), "%.*s", SLICE_PRINT(detail));
	record_end(h, (enum record_outcome)decision.outcome, who, why);
	refuse(h, reason_of((enum record_outcome)decision.outcome), text);
}

void hold_on_grants(struct worker *w)
{
	list_for_each_safe (position, &w->sessions) {
		struct session *s = list_entry(position, struct session, link);

		if (find_in_state(s, HOLD_WAITING))
			hold_judge_again(s);
	}
}

static void tick(struct hold *h, uint64_t now)
{
	struct session *s = h->session;

	h->ticked = now;
	if (h->token_deadline && now >= h->token_deadline) {
		stop_waiting(h);
	} else if (h->state == HOLD_GATHERING && now >= h->gather_deadline) {
		judge_again(h, false);
		pipe_go_on(s);
		session_touch(s);
	} else if (h->state == HOLD_PREVIEWING && now >= h->preview_deadline) {
		hold_on_preview(s, SLICE_EMPTY, "the server took too long");
		pipe_go_on(s);
	} else if (h->state == HOLD_WAITING && now >= h->next_notice) {
		reassure(h, true);
	} else if (h->state == HOLD_WAITING && now >= h->next_beat) {
		reassure(h, false);
	}
}

/* One that is looked at may end others of its session, so each goes behind those that are still to
 * be. */
void hold_tick(struct worker *w, uint64_t now)
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
