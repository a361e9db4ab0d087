/* SPDX-License-Identifier: Apache-2.0
 *
 * inside: what protocol/ssh/deeds.h needs of a channel. Each question is a lane of its own for the
 * worker, open until what was allowed is over.
 */
#include "ssh/relay.h"

#include <errno.h>
#include <stdio.h>

#include "protocol/ssh/facts.h"

#define SAID_MOST 16384u /* a client may read nothing of what stands beside the protocol */

static struct lane *lane_of_host(struct deeds_host *h)
{
	return container_of(h, struct lane, deeds_host);
}

static uint32_t ask(
	struct deeds_host *h, const struct bridge_deed *deeds, size_t count, struct slice text)
{
	struct bridge_request request = {.kind = BRIDGE_DEEDS};
	struct lane *lane = lane_of_host(h);
	struct relay *r = lane->relay;
	struct buffer body;

	if (r->alone || r->questions >= LIMIT_SSH_LANES - LIMIT_SSH_CHANNELS - LIMIT_SSH_LISTENERS)
		return 0;
	buffer_init(&body, BRIDGE_BODY_MOST / 2);
	if (bridge_append_deeds(&body, deeds, count, text) == 0) {
		r->questions++;
		lane->question = ++r->last_lane;
		request.text = buffer_slice(&body);
		link_request(&r->link, lane->question, &request);
	}
	buffer_done(&body);
	return lane->question;
}

static void repeat(struct deeds_host *h, uint32_t question, const struct bridge_deed *deeds,
	size_t count, struct slice text)
{
	struct bridge_request request = {.kind = BRIDGE_DEEDS};
	struct link *l = &lane_of_host(h)->relay->link;
	struct buffer body;

	buffer_init(&body, BRIDGE_BODY_MOST / 2);
	l->closed |= bridge_append_deeds(&body, deeds, count, text) < 0;
	request.text = buffer_slice(&body);
	link_request(l, question, &request);
	buffer_done(&body);
}

static void done(struct deeds_host *h, uint32_t question, const struct bridge_result *result)
{
	struct lane *lane = lane_of_host(h);
	struct relay *r = lane->relay;

	r->questions--;
	if (lane->question == question)
		lane->question = 0;
	if (r->alone)
		return;
	if (result)
		link_result(&r->link, question, result);
	link_tell(&r->link, BRIDGE_GONE, question, SLICE_EMPTY, SLICE_EMPTY);
}

static void say(struct deeds_host *h, struct slice text)
{
	struct lane *lane = lane_of_host(h);

	if (lane->said + text.length > SAID_MOST)
		return;
	lane->said += text.length;
	lane_say(lane, text);
}

/* What is pushed to which repository is one question. */
static void set_command(struct lane *lane, struct slice command)
{
	struct deeds_host *h = &lane->deeds_host;

	buffer_init(&lane->command, BRIDGE_BODY_MOST);
	buffer_init(&lane->repository, BRIDGE_BODY_MOST);
	if (buffer_append_slice(&lane->command, command) < 0)
		return;
	h->about = buffer_slice(&lane->command);
	if (ssh_facts_repository(h->about, &lane->repository, &h->repository_known) == 0)
		h->repository = buffer_slice(&lane->repository);
}

void inside_begin(struct lane *lane, struct slice command)
{
	const struct deeds_protocol *protocol = NULL;

	if (lane->inspect & BRIDGE_INSPECT_SFTP)
		protocol = &deeds_sftp;
	else if (lane->inspect & BRIDGE_INSPECT_PUSH)
		protocol = &deeds_push;
	if (!protocol)
		return;
	lane->deeds_host = (struct deeds_host){
		.ask = ask,
		.done = done,
		.say = say,
		.to = {&lane->flows[BRIDGE_STDOUT].pending, &lane->flows[BRIDGE_STDIN].pending},
		.repeat = repeat,
		.observes = lane->inspect & BRIDGE_INSPECT_OBSERVE,
	};
	if (command.length)
		set_command(lane, command);
	lane->deeds = protocol->open(&lane->deeds_host);
}

void inside_end(struct lane *lane)
{
	if (lane->deeds)
		lane->deeds->protocol->close(lane->deeds);
	lane->deeds = NULL;
	buffer_done(&lane->command);
	buffer_done(&lane->repository);
}

static void on_taken(struct lane *lane, int r, const char *who)
{
	char text[80];

	if (r == 0)
		return;
	if (r == -E2BIG)
		snprintf(text, sizeof(text), "wayleave: %s sent too much at once", who);
	else
		snprintf(text, sizeof(text), "wayleave: what %s sent is not understood", who);
	lane_refuse(lane, slice_from_string(text));
}

static int take(struct lane *lane, enum side from, struct slice in)
{
	return lane->deeds->protocol->take(lane->deeds, from, in);
}

static bool wants(const struct lane *lane, enum side from)
{
	return lane->deeds->protocol->wants(lane->deeds, from);
}

bool inside_read(struct flow *f, struct lane *lane)
{
	enum side from = f->stream == BRIDGE_STDIN ? SIDE_AGENT : SIDE_SERVER;
	const char *who = from == SIDE_AGENT ? "the agent" : "the host";
	size_t before = buffer_length(&f->pending);
	struct slice some;

	if (!f->from || buffer_length(&lane->relay->link.out) >= LINK_QUEUE_HIGH)
		return false;
	on_taken(lane, take(lane, from, SLICE_EMPTY), who);
	if (flow_has_enough(f) || !wants(lane, from))
		return buffer_length(&f->pending) > before;
	some = flow_fetch(f);
	if (some.length == 0)
		return buffer_length(&f->pending) > before;
	f->bytes += some.length;
	on_taken(lane, take(lane, from, some), who);
	return true;
}

void inside_on_input_end(struct lane *lane)
{
	if (lane->deeds && lane->deeds->protocol->end)
		lane->deeds->protocol->end(lane->deeds);
}

/* The text, and behind a NUL what was refused. */
static int deny(struct lane *lane, struct slice body)
{
	const uint8_t *nul = body.length ? memchr(body.data, '\0', body.length) : NULL;
	size_t length = nul ? (size_t)(nul - body.data) : body.length;

	return lane->deeds->protocol->answer(
		lane->deeds, false, slice_head(body, length), slice_from(body, length + 1));
}

void inside_on_frame(struct lane *lane, const struct bridge_frame *frame)
{
	int r;

	if (frame->type == BRIDGE_NOTICE) {
		say(&lane->deeds_host, frame->body);
		return;
	}
	if (frame->type == BRIDGE_AGAIN && lane->deeds->protocol->again)
		on_taken(lane, lane->deeds->protocol->again(lane->deeds), "the agent");
	if (frame->type != BRIDGE_ALLOW && frame->type != BRIDGE_DENY)
		return;
	lane->question = 0;
	r = frame->type == BRIDGE_DENY
		? deny(lane, frame->body)
		: lane->deeds->protocol->answer(lane->deeds, true, SLICE_EMPTY, SLICE_EMPTY);
	on_taken(lane, r, "the agent");
}

bool inside_is_dry(const struct lane *lane, enum bridge_stream stream)
{
	return !lane->deeds || !lane->flows[stream].from ||
		lane->deeds->protocol->is_dry(
			lane->deeds, stream == BRIDGE_STDIN ? SIDE_AGENT : SIDE_SERVER);
}
