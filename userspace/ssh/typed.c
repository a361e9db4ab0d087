/* SPDX-License-Identifier: Apache-2.0
 *
 * typed: what the agent types into a shell's terminal. Keys pass as they come, as what they echo is
 * looked at; the one that has the shell run a line is held until the worker has judged the line.
 */
#include "ssh/relay.h"

#include <stdio.h>

#include "base/clock.h"
#include "protocol/ssh/typing.h"

#define HELD_MOST (2 * BRIDGE_DATA_MOST)

enum typed_step {
	TYPED_BETWEEN, /* lines: the shell has yet to say that it takes the next */
	TYPED_INSIDE, /* a line */
	TYPED_AWAITING, /* what was typed to be shown, with Enter held */
	TYPED_ASKING, /* the worker about it */
};

struct typed {
	struct typing typing;
	enum typed_step step;
	struct buffer held; /* what the host has yet to get; Enter first, where that is held */
	uint64_t ended, shown; /* when the last line was, and something was shown (clock.h) */
	uint64_t due;
	bool passes; /* what can't be known of the line was allowed */
};

void typed_begin(struct lane *lane)
{
	struct typed *t = memory_new(sizeof(*t));

	typing_init(&t->typing);
	buffer_init(&t->held, HELD_MOST);
	t->ended = t->shown = clock_monotonic();
	lane->typed = t;
}

static void close_question(struct lane *lane)
{
	struct relay *r = lane->relay;

	if (!lane->question)
		return;
	if (!r->alone)
		link_tell(&r->link, BRIDGE_GONE, lane->question, SLICE_EMPTY, SLICE_EMPTY);
	lane->question = 0;
	r->questions--;
}

void typed_end(struct lane *lane)
{
	if (!lane->typed)
		return;
	close_question(lane);
	typing_done(&lane->typed->typing);
	buffer_wipe(&lane->typed->held);
	free(lane->typed);
	lane->typed = NULL;
}

bool typed_is_dry(const struct lane *lane)
{
	return !lane->typed || buffer_length(&lane->typed->held) == 0;
}

uint64_t typed_due(const struct lane *lane)
{
	/* Nobody takes a turn for what nobody reads. */
	return lane->typed && !lane->ended ? lane->typed->due : 0;
}

void typed_take(struct lane *lane, struct slice keys)
{
	/* Only with nothing held: it fits. */
	lane->ended |= buffer_append_slice(&lane->typed->held, keys) < 0;
}

void typed_show(struct lane *lane, struct slice output)
{
	struct typed *t = lane->typed;

	typing_show(&t->typing, output);
	t->shown = clock_monotonic();
}

/* --- lines --- */

static void forward(struct lane *lane, struct slice keys)
{
	flow_to_worker(&lane->flows[BRIDGE_STDIN], lane, keys);
}

/* The key that stands first. */
static void forward_key(struct lane *lane)
{
	struct buffer *held = &lane->typed->held;

	forward(lane, slice_head(buffer_slice(held), 1));
	buffer_consume(held, 1);
}

static void end_line(struct typed *t)
{
	typing_end(&t->typing);
	t->step = TYPED_BETWEEN;
	t->ended = clock_monotonic();
	t->due = 0;
	t->passes = false;
}

/* What was typed behind it goes with it, as with any interrupt: it may be the rest of a key. */
static void refuse_line(struct lane *lane, struct slice text)
{
	char said[4096];

	snprintf(said, sizeof(said), "\r\nwayleave: %.*s", SLICE_PRINT(text));
	lane_say(lane, slice_from_string(said));
	buffer_clear(&lane->typed->held);
	forward(lane, slice_from_string(TYPING_TAKE_BACK));
	end_line(lane->typed);
}

/* A line that is not known is not told: it may be a password. */
static void ask(struct lane *lane, bool known)
{
	struct bridge_request request = {.kind = BRIDGE_LINE, .terminal = true};
	struct typed *t = lane->typed;
	struct relay *r = lane->relay;

	t->due = 0;
	if (r->alone || r->questions >= LIMIT_SSH_LANES - LIMIT_SSH_CHANNELS) {
		refuse_line(lane, slice_from_string("denied: nobody can be asked"));
		return;
	}
	if (known)
		request.text = typing_line(&t->typing);
	r->questions++;
	lane->question = ++r->last_lane;
	t->step = TYPED_ASKING;
	link_request(&r->link, lane->question, &request);
}

/* The key that was held: Enter, or the first that may do anything. */
static void pass_key(struct lane *lane)
{
	struct typed *t = lane->typed;
	bool ends = typing_key_of(&t->typing, buffer_slice(&t->held).data[0]) == TYPING_KEY_ENTER;

	forward_key(lane);
	if (ends) {
		end_line(t);
		return;
	}
	t->passes = true;
	t->step = TYPED_INSIDE;
}

void typed_on_frame(struct lane *lane, const struct bridge_frame *frame)
{
	if (frame->type == BRIDGE_NOTICE) {
		lane_say(lane, frame->body);
		return;
	}
	if (frame->type != BRIDGE_ALLOW && frame->type != BRIDGE_DENY)
		return;
	close_question(lane);
	if (frame->type == BRIDGE_DENY) {
		refuse_line(lane, frame->body);
		return;
	}
	pass_key(lane);
}

/* --- turns --- */

static bool wait_until(struct typed *t, uint64_t time, uint64_t now)
{
	t->due = now < time ? time : 0;
	return now >= time;
}

/* What is typed before the shell has said that it takes the next line would be shown twice, or
 * somewhere else. Programs that take lines have no prompt, and behind a line that was not known
 * none is waited for. */
static bool turn_between(struct typed *t, uint64_t now)
{
	uint64_t last = t->ended + LIMIT_SSH_ECHO_TIME * NANOSECONDS_PER_MILLISECOND,
		 quiet = t->shown + LIMIT_SSH_PROMPT_TIME * NANOSECONDS_PER_MILLISECOND;

	if (t->shown < t->ended || quiet > last || typing_wants_prompt(&t->typing))
		quiet = last;
	if (!wait_until(t, quiet, now))
		return false;
	typing_begin(&t->typing);
	t->step = TYPED_INSIDE;
	return true;
}

/* How many of the keys may pass before somebody is asked. */
static size_t count_passing(struct typed *t, struct slice keys)
{
	size_t n = 0;

	for (; n < keys.length; n++) {
		enum typing_key kind = typing_key_of(&t->typing, keys.data[n]);

		if (kind == TYPING_KEY_ENTER || kind == TYPING_KEY_INTERRUPT)
			break;
		if (!t->passes && !typing_type(&t->typing, keys.data[n]))
			break;
	}
	return n;
}

static void turn_key(struct lane *lane, uint64_t now)
{
	struct typed *t = lane->typed;
	enum typing_key kind = typing_key_of(&t->typing, buffer_slice(&t->held).data[0]);

	if (kind == TYPING_KEY_INTERRUPT || (kind == TYPING_KEY_ENTER && t->passes)) {
		forward_key(lane);
		end_line(t);
	} else if (kind == TYPING_KEY_ENTER) {
		t->step = TYPED_AWAITING;
		t->ended = now;
	} else {
		ask(lane, false);
	}
}

static bool turn_inside(struct lane *lane, uint64_t now)
{
	struct slice held = buffer_slice(&lane->typed->held);
	size_t n = count_passing(lane->typed, held);

	if (n) {
		forward(lane, slice_head(held, n));
		buffer_consume(&lane->typed->held, n);
	} else {
		turn_key(lane, now);
	}
	return true;
}

static bool turn_awaiting(struct lane *lane, uint64_t now)
{
	struct typed *t = lane->typed;
	enum typing_state state = typing_state(&t->typing);

	if (state == TYPING_AWAITED &&
		!wait_until(t, t->ended + LIMIT_SSH_ECHO_TIME * NANOSECONDS_PER_MILLISECOND, now))
		return false;
	if (state == TYPING_EMPTY)
		pass_key(lane);
	else
		ask(lane, state == TYPING_KNOWN);
	return true;
}

bool typed_turn(struct lane *lane)
{
	uint64_t now = clock_monotonic();
	struct typed *t = lane->typed;

	if (!t || !lane->flows[BRIDGE_STDIN].from || typed_is_dry(lane))
		return false;
	switch (t->step) {
	case TYPED_BETWEEN:
		return turn_between(t, now);
	case TYPED_INSIDE:
		return turn_inside(lane, now);
	case TYPED_AWAITING:
		return turn_awaiting(lane, now);
	default:
		return false;
	}
}
