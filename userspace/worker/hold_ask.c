/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes before people are asked, the question, and the signs of life while they are.
 */
#include <stdio.h>
#include <unistd.h>

#include "approval/fields.h"
#include "base/limits.h"
#include "base/text.h"
#include "worker/decide.h"
#include "worker/hold_internal.h"
#include "worker/signs.h"

/* So long the server may take to say what the action would do; a lock may be in its way. */
#define PREVIEW_TIME (2 * NANOSECONDS_PER_SECOND)

/* So long a pipeline may take to arrive, and so much of it is kept, before people are asked about
 * what is there. */
#define GATHER_TIME (NANOSECONDS_PER_SECOND / 4)
#define GATHER_BYTES 32768
/* So long people are not asked because it is not known yet what the process is. */
#define PROCESS_TIME (2 * NANOSECONDS_PER_SECOND)

bool hold_was_asked_about(const struct hold *h)
{
	return h->state == HOLD_WAITING || h->state == HOLD_DECIDED;
}

static void say_what_it_waits_for(const struct hold *h, char *ret, size_t size)
{
	if (h->state == HOLD_DECIDED)
		snprintf(ret, size, "wayleave: approved, and waiting for the server (review %s)",
			h->review.text);
	else
		snprintf(ret, size, "wayleave: waiting for approval by %s (review %s)",
			h->reviewers, h->review.text);
}

void hold_reassure(struct hold *h, bool aloud)
{
	struct session *s = h->session;
	char text[256] = "";

	if (aloud)
		say_what_it_waits_for(h, text, sizeof(text));
	if (!s->engine->protocol->reassure(s->engine, h->lane, slice_from_string(text)))
		return;
	h->next_beat = signs_next_beat(clock_monotonic(), s->worker->hold_count, 0);
	if (aloud)
		h->next_notice = signs_next_notice(clock_monotonic(), 0);
	session_touch(s);
}

static void first_sign(struct hold *h)
{
	uint64_t now = clock_monotonic();

	hold_reassure(h, true);
	if (h->next_notice == 0)
		return; /* it could not be said; the next tick tries again */
	h->next_beat = signs_next_beat(now, h->session->worker->hold_count, h->wait);
	h->next_notice = signs_next_notice(now, h->wait);
}

static void on_not_asked(struct hold *h, struct slice why)
{
	char detail[300], text[400];

	snprintf(detail, sizeof(detail), "%.*s", SLICE_PRINT(why));
	snprintf(text, sizeof(text), reason_get(REASON_REVIEW_IMPOSSIBLE)->agent, detail);
	hold_record_end(h, OUTCOME_CANCELLED, SLICE_EMPTY, slice_from_string(detail));
	hold_refuse(h, REASON_REVIEW_IMPOSSIBLE, text);
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
	payload = text_head(payload, sizeof(h->reviewers) - 1);
	snprintf(h->reviewers, sizeof(h->reviewers), "%.*s", SLICE_PRINT(payload));
	h->state = HOLD_WAITING;
	first_sign(h);
	/* One that came while the monitor was asked may cover it. */
	if (h->grants_version != h->session->worker->grants.version)
		hold_judge_anew(h);
}

static void keep_scope(struct hold *h, const struct question *q)
{
	buffer_clear(&h->scope);
	if (q->unknown || fields_put_scope(&h->scope, &q->scope) < 0)
		buffer_clear(&h->scope);
}

bool hold_ask(struct hold *h, struct draft *d)
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
	keep_scope(h, &d->question);
	channel_ask(&s->worker->channel, MESSAGE_REVIEW, &request, sizeof(request), SLICE_EMPTY, fd,
		on_asked, h);
	h->wait = request.id;
	close(fd);
	return true;
}

struct hold *hold_new(struct session *s, uint32_t lane)
{
	struct hold *h = memory_new(sizeof(*h));

	h->session = s;
	h->lane = lane;
	buffer_init(&h->scope, QUESTION_BYTES_MOST);
	list_append(&s->worker->holds, &h->link);
	s->worker->hold_count++;
	h->next_beat = signs_next_beat(clock_monotonic(), s->worker->hold_count, 0);
	list_append(&s->holds, &h->sibling);
	hold_begin_ticks(s->worker);
	return h;
}

struct hold *hold_begin(struct session *s, const struct protocol_action_event *event,
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

static const char behind[] =
	"no preview of the statements behind it: what they would do depends on "
	"what those before them did\n";

static void set_preview(struct hold *h, struct slice text, const char *problem)
{
	free(h->preview);
	if (problem)
		h->preview = memory_format("no preview: %s", problem);
	else
		h->preview =
			memory_format("%s%.*s%s", h->count > 1 ? "of the first statement:\n" : "",
				SLICE_PRINT(text), h->count > 1 ? behind : "");
}

static bool is_gathered(const struct hold *h, const struct draft *d)
{
	uint64_t now = clock_monotonic();

	if (!h->session->process.answered && now < h->process_deadline)
		return false;
	return !d->grows || now >= h->gather_deadline ||
		buffer_length(&h->session->partial[SIDE_AGENT]) >= GATHER_BYTES;
}

bool hold_start(struct hold *h, struct draft *d)
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
	return hold_ask(h, d);
}

bool hold_gathers(const struct session *s)
{
	bool looks = s->engine->protocol->leaves && !list_is_empty(&s->holds);

	return (looks || hold_find_in_state(s, HOLD_GATHERING)) &&
		buffer_length(&s->partial[SIDE_AGENT]) < GATHER_BYTES;
}

void hold_on_bytes(struct session *s)
{
	struct hold *h = hold_find_in_state(s, HOLD_GATHERING);

	if (h)
		hold_judge(h, false);
}

void hold_on_process(struct session *s)
{
	list_for_each (position, &s->holds) {
		struct hold *h = list_entry(position, struct hold, sibling);

		if (h->state == HOLD_GATHERING)
			hold_judge(h, false);
	}
	pipe_go_on(s);
	session_touch(s);
}

void hold_on_preview(struct session *s, struct slice text, const char *problem)
{
	struct hold *h = hold_find_in_state(s, HOLD_PREVIEWING);

	if (!h)
		return;
	set_preview(h, text, problem);
	h->state = HOLD_PREVIEWED;
	hold_judge(h, false);
	session_touch(s);
}
