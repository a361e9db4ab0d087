/* SPDX-License-Identifier: Apache-2.0
 *
 * files: what protocol/ssh/sftp.h needs of a channel. Each question is a lane of its own for the
 * worker, open until what was allowed is over.
 */
#include "ssh/relay.h"

#include <stdio.h>

#define SAID_MOST 16384u /* a client may read nothing of what stands beside the protocol */

static struct lane *lane_of_host(struct sftp_host *h)
{
	return container_of(h, struct lane, sftp_host);
}

static uint32_t ask(
	struct sftp_host *h, const struct bridge_deed *deeds, size_t count, struct slice text)
{
	struct bridge_request request = {.kind = BRIDGE_DEEDS};
	struct lane *lane = lane_of_host(h);
	struct relay *r = lane->relay;
	struct buffer body;

	if (r->alone || r->questions >= LIMIT_SSH_LANES - LIMIT_SSH_CHANNELS)
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

static void done(struct sftp_host *h, uint32_t question, const struct bridge_result *result)
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

static void say(struct sftp_host *h, struct slice text)
{
	struct lane *lane = lane_of_host(h);

	if (lane->said + text.length > SAID_MOST)
		return;
	lane->said += text.length;
	lane_say(lane, text);
}

void files_begin(struct lane *lane)
{
	lane->sftp_host = (struct sftp_host){
		.ask = ask,
		.done = done,
		.say = say,
		.to = {&lane->flows[BRIDGE_STDOUT].pending, &lane->flows[BRIDGE_STDIN].pending},
	};
	lane->sftp = sftp_new(&lane->sftp_host);
}

void files_end(struct lane *lane)
{
	sftp_free(lane->sftp);
	lane->sftp = NULL;
}

static void on_taken(struct lane *lane, int r, const char *who)
{
	char text[80];

	if (r == 0)
		return;
	snprintf(text, sizeof(text), "wayleave: %s broke the file transfer protocol", who);
	lane_refuse(lane, slice_from_string(text));
}

bool files_read(struct flow *f, struct lane *lane)
{
	enum side from = f->stream == BRIDGE_STDIN ? SIDE_AGENT : SIDE_SERVER;
	const char *who = from == SIDE_AGENT ? "the agent" : "the host";
	size_t before = buffer_length(&f->pending);
	uint8_t bytes[BRIDGE_DATA_MOST];
	int n;

	if (!f->from || buffer_length(&lane->relay->link.out) >= LINK_QUEUE_HIGH)
		return false;
	on_taken(lane, sftp_take(lane->sftp, from, SLICE_EMPTY), who);
	if (buffer_length(&f->pending) >= FLOW_PENDING_HIGH || !sftp_wants(lane->sftp, from))
		return buffer_length(&f->pending) > before;
	n = ssh_channel_read_nonblocking(f->from, bytes, sizeof(bytes), false);
	if (n <= 0)
		return buffer_length(&f->pending) > before;
	f->bytes += (size_t)n;
	on_taken(lane, sftp_take(lane->sftp, from, slice_of(bytes, (size_t)n)), who);
	return true;
}

void files_on_frame(struct lane *lane, const struct bridge_frame *frame)
{
	if (frame->type == BRIDGE_NOTICE) {
		say(&lane->sftp_host, frame->body);
		return;
	}
	if (frame->type != BRIDGE_ALLOW && frame->type != BRIDGE_DENY)
		return;
	lane->question = 0;
	on_taken(lane,
		sftp_answer(lane->sftp, frame->type == BRIDGE_ALLOW,
			frame->type == BRIDGE_DENY ? frame->body : SLICE_EMPTY),
		"the agent");
}

bool files_are_dry(const struct lane *lane, enum bridge_stream stream)
{
	return !lane->sftp || !lane->flows[stream].from ||
		sftp_is_dry(lane->sftp, stream == BRIDGE_STDIN ? SIDE_AGENT : SIDE_SERVER);
}
