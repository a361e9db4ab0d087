/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/hold.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "masking/strategy.h"
#include "recording/secret.h"
#include "worker/decide.h"

/* People see a notice this often, libraries something every second: some give up on a connection
 * that is silent for a few. */
#define NOTICE_TIME (15 * NANOSECONDS_PER_SECOND)
#define BEAT_TIME NANOSECONDS_PER_SECOND
/* So long the server may take to say what the action would do; a lock may be in its way. */
#define PREVIEW_TIME (2 * NANOSECONDS_PER_SECOND)

enum hold_state {
	HOLD_FOR_TOKEN, /* it is not known for whom it is; not recorded yet */
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
	enum hold_state state;
	bool asking; /* the monitor's answer is still to come */
	bool judging; /* the engine has the action again, and can't be answered before it comes */
	uint32_t lane;
	uint64_t wait; /* the number under which the monitor knows it */
	uint64_t number; /* of the recorded action */
	uint8_t digest[QUESTION_DIGEST_SIZE];
	struct identifier review; /* empty while asking */
	struct identifier grant; /* that came of the approval */
	char reviewers[128], by[128];
	char *preview; /* for people */
	uint64_t preview_deadline; /* monotonic */
	uint64_t next_notice, next_beat; /* monotonic */
	uint64_t token_deadline; /* monotonic; 0: it waits for no token */
	enum reason reason; /* HOLD_OVER */
	char text[600]; /* HOLD_OVER: for the agent */
};

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
	h->session->hold = NULL;
	h->session = NULL;
	list_remove(&h->link);
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

static void tell_monitor(const struct hold *h)
{
	struct message_leave leave = {.id = h->wait};

	if (is_counted(h))
		channel_tell(&h->session->worker->channel, MESSAGE_LEAVE,
			slice_of(&leave, sizeof(leave)));
}

void hold_leave(struct session *s, const char *why)
{
	struct hold *h = s->hold;

	if (!h)
		return;
	tell_monitor(h);
	if (h->state != HOLD_OVER && h->state != HOLD_FOR_TOKEN)
		record_end(h, OUTCOME_CANCELLED, "", why);
	detach(h);
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

/* The action is judged once more: refused, if nothing has changed. */
static void stop_waiting(struct hold *h)
{
	struct session *s = h->session;

	h->token_deadline = 1;
	if (h->judging)
		return;
	judge_again(h, false);
	if (h->judging)
		pipe_go_on(s);
	else
		session_abort(s, REASON_IDENTITY, "%s", "it can't be judged again at this point");
	session_touch(s);
}

bool hold_cancel(struct session *s, const char *why)
{
	struct hold *h = s->hold;

	if (!h)
		return false;
	if (h->state == HOLD_OVER)
		return true;
	if (h->state == HOLD_FOR_TOKEN) {
		stop_waiting(h);
		return true;
	}
	tell_monitor(h);
	record_end(h, OUTCOME_CANCELLED, "", why);
	refuse(h, REASON_REVIEW_CANCELLED, why);
	return true;
}

/* --- the question --- */

static const char too_large[] = "it is too large to be reviewed";

int hold_scope(struct session *s, const struct verdict *verdict, const struct action *action,
	struct scope_of_action *ret)
{
	const struct policy_subject *subject = policy_scope_subject(s->scope);
	const struct policy *p = policy_scope_policy(s->scope);

	ret->agent = s->agent->name;
	ret->principal = subject->principal->name;
	ret->resource = s->resource == POLICY_EGRESS ? slice_from_string("egress")
						     : p->resources[s->resource].name;
	if (verdict->outcome->rule_count > QUESTION_RULES_MOST)
		return -E2BIG;
	for (size_t i = 0; i < verdict->outcome->rule_count; i++)
		ret->rules[i] = verdict->outcome->rules[i]->name;
	ret->rule_count = verdict->outcome->rule_count;
	return scope_of_action_set(ret, action->pairs, action->pair_count);
}

/* Parameters as reviewers see them: what looks like a secret or a person's data is masked, as it
 * would be in results. `room` holds what is changed, and has room for all of it: a character is
 * never replaced by a longer one. */
static void fill_values(struct session *s, const struct protocol_action_event *event,
	struct buffer *room, struct question *ret)
{
	struct mask_rules rules = {.detects = true};
	struct masker masker;

	for (unsigned i = 0; i < DETECTOR_COUNT; i++)
		rules.detectors[i] = MASK_PARTIAL;
	masker_init(&masker, s->worker->detectors, s->worker->hasher, &rules);
	ret->values_total = event->value_count;
	for (size_t i = 0; i < event->value_count && i < QUESTION_VALUES_MOST; i++) {
		const struct protocol_value *value = &event->values[i];
		struct question_value *shown = &ret->values[ret->value_count++];
		size_t before = buffer_length(room);
		bool replaced = false;

		*shown = (struct question_value){
			.null = !value->data.data,
			.binary = value->binary,
			.data = slice_head(value->data, LIMIT_RECORD_VALUE),
			.length = value->length,
		};
		if (shown->null || value->binary)
			continue;
		/* A value that can't be searched is not shown. */
		if (masker_append_text(&masker, shown->data, room, &replaced) < 0)
			shown->data = SLICE_EMPTY;
		else if (replaced)
			shown->data = slice_from(buffer_slice(room), before);
	}
}

static int reserve_values(const struct protocol_action_event *event, struct buffer *room)
{
	size_t length = 0;
	uint8_t *space;

	for (size_t i = 0; i < event->value_count && i < QUESTION_VALUES_MOST; i++)
		length += slice_head(event->values[i].data, LIMIT_RECORD_VALUE).length;
	return buffer_reserve(room, length, &space);
}

static void fill_origin(struct session *s, struct question *ret)
{
	ret->protocol = slice_from_string(protocol_name(s->engine->protocol->id));
	ret->database = slice_from_string(s->database);
	ret->user = slice_from_string(s->user);
	ret->session = slice_from_string(s->id.text);
	ret->address = slice_from_string(s->address);
	ret->program = slice_from_string(s->exe);
	ret->pid = s->origin.pid;
	ret->uid = s->origin.uid;
}

/* Why it can't be asked about; NULL: `ret` is sealed, or the engine will bring the action again. */
static const char *make_question(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, struct question *ret, bool *ret_comes_again)
{
	struct protocol_binding binding;
	struct buffer bound;
	int r = -ENOTSUP;

	if (s->engine->protocol->bind)
		r = s->engine->protocol->bind(s->engine, event->lane, &binding);
	*ret_comes_again = r == -EAGAIN;
	if (r == -EAGAIN)
		return NULL;
	if (r == -ENOTSUP)
		return "nobody can be asked at this point";
	if (r < 0 || hold_scope(s, verdict, event->action, &ret->scope) < 0)
		return too_large;
	fill_origin(s, ret);
	ret->unknown = event->action->unknown;
	ret->text = event->action->text;
	ret->settings = binding.context;
	ret->runs = binding.runs;
	/* Each behind its length, so that no part's end is the next one's beginning. */
	buffer_init(&bound, QUESTION_BYTES_MOST);
	r = 0;
	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(binding.bound); i++) {
		r = buffer_append_u64(&bound, binding.bound[i].length);
		if (r == 0)
			r = buffer_append_slice(&bound, binding.bound[i]);
	}
	if (r == 0)
		r = question_seal(ret, buffer_slice(&bound));
	buffer_done(&bound);
	return r < 0 ? too_large : NULL;
}

/* The text as it may be shown: itself, or in `room` without its passwords. */
static int hide_secrets(struct slice *text, struct buffer *room)
{
	struct secret_found found;
	int r = secret_hide(*text, room, &found);

	if (r == 0 && found.hidden)
		*text = buffer_slice(room);
	return r;
}

/* A file in memory that holds the question as people are to see it. */
static int write_question(
	struct session *s, const struct protocol_action_event *event, struct question *q)
{
	struct buffer values, text, runs, groups, bytes;
	int r, fd = -1;

	buffer_init(&values, QUESTION_VALUES_MOST * LIMIT_RECORD_VALUE);
	buffer_init(&text, 2 * LIMIT_STATEMENT_BYTES);
	buffer_init(&runs, 2 * LIMIT_STATEMENT_BYTES);
	buffer_init(&groups, LIMIT_TOKEN_BYTES);
	buffer_init(&bytes, QUESTION_BYTES_MOST);
	session_join_groups(s, &groups);
	q->groups = slice_head(buffer_slice(&groups), LIMIT_RECORD_NAME);
	r = reserve_values(event, &values);
	if (r == 0)
		fill_values(s, event, &values, q);
	if (r == 0)
		r = hide_secrets(&q->text, &text);
	if (r == 0)
		r = hide_secrets(&q->runs, &runs);
	if (r == 0)
		r = question_encode(q, &bytes);
	if (r == 0)
		fd = memfd_create("question", MFD_CLOEXEC);
	if (r == 0 && fd < 0)
		r = -errno;
	if (r == 0)
		r = file_write_all(fd, buffer_slice(&bytes));
	buffer_done(&values);
	buffer_done(&text);
	buffer_done(&runs);
	buffer_done(&groups);
	buffer_done(&bytes);
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* --- asking --- */

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
}

/* The monitor is asked; false: it is too large. */
static bool ask(struct hold *h, const struct protocol_action_event *event, struct question *q)
{
	struct message_review request = {0};
	struct session *s = h->session;
	int fd;

	q->preview = slice_from_string(h->preview);
	fd = write_question(s, event, q);
	if (fd < 0)
		return false;
	h->asking = true;
	h->state = HOLD_ASKING;
	channel_ask(&s->worker->channel, MESSAGE_REVIEW, &request, sizeof(request), SLICE_EMPTY, fd,
		on_asked, h);
	h->wait = request.id;
	close(fd);
	return true;
}

static struct hold *begin(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, const struct question *q)
{
	const struct protocol_refusal none = {.reason = REASON_NONE};
	struct hold *h = s->hold = memory_new(sizeof(*h));

	h->session = s;
	h->lane = event->lane;
	memcpy(h->digest, q->digest, sizeof(h->digest));
	h->number = decide_record(s, event, verdict, &none);
	list_append(&s->worker->holds, &h->link);
	session_touch(s);
	return h;
}

static void set_preview(struct hold *h, struct slice text, const char *problem)
{
	free(h->preview);
	h->preview = problem ? memory_format("no preview: %s", problem)
			     : memory_copy_text(text.data, text.length);
}

/* Something new: first the server is asked what it would do, where it can be. */
static bool hold_new(struct session *s, const struct protocol_action_event *event,
	const struct verdict *verdict, struct question *q)
{
	struct hold *h = begin(s, event, verdict, q);
	const char *problem = "this protocol has none";

	if (s->engine->protocol->preview)
		problem = s->engine->protocol->preview(s->engine, event->lane);
	if (!problem) {
		h->state = HOLD_PREVIEWING;
		h->preview_deadline = clock_monotonic() + PREVIEW_TIME;
		return true;
	}
	set_preview(h, SLICE_EMPTY, problem);
	return ask(h, event, q);
}

void hold_on_preview(struct session *s, struct slice text, const char *problem)
{
	struct hold *h = s->hold;

	if (!h || h->state != HOLD_PREVIEWING)
		return;
	set_preview(h, text, problem);
	h->state = HOLD_PREVIEWED;
	judge_again(h, false);
	session_touch(s);
}

/* The action that waits came again as it was. */
static enum hold_answer go_on(struct hold *h, const struct protocol_action_event *event,
	struct question *q, struct decision *d, const char **ret_problem)
{
	if (h->state == HOLD_PREVIEWED && !ask(h, event, q))
		*ret_problem = too_large;
	if (h->state != HOLD_DECIDED)
		return HOLD_WAITS;
	d->number = h->number;
	record_end(h, OUTCOME_APPROVED, h->by, "");
	detach(h);
	return HOLD_GOES_ON;
}

enum hold_answer hold_action(
	struct session *s, const struct protocol_action_event *event, struct decision *d)
{
	struct question *q = memory_new(sizeof(*q));
	bool comes_again;
	const char *problem = make_question(s, event, &d->verdict, q, &comes_again);
	struct hold *h = s->hold;
	enum hold_answer answer = HOLD_WAITS;
	char text[200];

	if (comes_again) {
		free(q);
		return HOLD_WAITS;
	}
	if (!problem && h && memcmp(h->digest, q->digest, sizeof(h->digest)) == 0) {
		answer = go_on(h, event, q, d, &problem);
	} else {
		hold_leave(s, "what it would do changed while it waited");
		if (!problem && !hold_new(s, event, &d->verdict, q))
			problem = too_large;
	}
	free(q);
	if (!problem)
		return answer;
	hold_leave(s, problem);
	snprintf(text, sizeof(text), reason_get(REASON_REVIEW_IMPOSSIBLE)->agent, problem);
	decision_refuse(d, REASON_REVIEW_IMPOSSIBLE, text);
	return HOLD_GOES_ON;
}

enum hold_answer hold_for_token(struct session *s, const struct protocol_action_event *event)
{
	uint64_t now = clock_monotonic();
	struct hold *h = s->hold;

	/* Until the login is done an engine can't judge again. */
	if (s->deadline)
		return HOLD_GOES_ON;
	if (!h) {
		h = s->hold = memory_new(sizeof(*h));
		h->session = s;
		h->state = HOLD_FOR_TOKEN;
		h->lane = event->lane;
		list_append(&s->worker->holds, &h->link);
	}
	h->judging = false;
	/* People may go on reading: there is time until they have decided. */
	if (h->state == HOLD_PREVIEWING || is_counted(h))
		return HOLD_WAITS;
	if (!h->token_deadline)
		h->token_deadline = now + LIMIT_TOKEN_TIME * NANOSECONDS_PER_MILLISECOND;
	if (now < h->token_deadline)
		return HOLD_WAITS;
	hold_leave(s, "it is not known for whom it is");
	return HOLD_GOES_ON;
}

void hold_got_token(struct session *s)
{
	if (s->hold && s->hold->state == HOLD_FOR_TOKEN)
		detach(s->hold);
	else if (s->hold)
		s->hold->token_deadline = 0;
}

bool hold_waits_for_token(const struct session *s)
{
	return s->hold && s->hold->token_deadline;
}

bool hold_came_again(struct session *s, struct decision *d)
{
	struct hold *h = s->hold;

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

bool hold_is_approved(const struct session *s)
{
	return s->hold && s->hold->state == HOLD_DECIDED;
}

void hold_judge_again(struct session *s)
{
	if (!s->hold || s->state != SESSION_OPEN)
		return;
	judge_again(s->hold, true);
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
	hold_judge_again(h->session);
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
	list_for_each_safe (position, &w->holds) {
		struct hold *h = list_entry(position, struct hold, link);

		if (h->state == HOLD_WAITING)
			hold_judge_again(h->session);
	}
}

void hold_tick(struct worker *w, uint64_t now)
{
	list_for_each_safe (position, &w->holds) {
		struct hold *h = list_entry(position, struct hold, link);

		if (h->token_deadline && now >= h->token_deadline) {
			stop_waiting(h);
			continue;
		}
		if (h->state == HOLD_PREVIEWING && now >= h->preview_deadline) {
			hold_on_preview(h->session, SLICE_EMPTY, "the server took too long");
			pipe_go_on(h->session);
			continue;
		}
		if (h->state != HOLD_WAITING)
			continue;
		if (now >= h->next_notice)
			reassure(h, true);
		else if (now >= h->next_beat)
			reassure(h, false);
	}
}
