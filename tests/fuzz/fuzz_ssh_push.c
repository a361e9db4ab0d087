/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ssh_push: what an agent may say to git-receive-pack, in pieces of a length that the first
 * byte gives; the worker allows or denies by its lowest bit. Nothing reaches the host before an
 * allow, and then all of it.
 */
#include <stdlib.h>

#include "protocol/ssh/deeds.h"

static uint32_t asked, over;

static void check(bool good)
{
	if (!good)
		abort();
}

static uint32_t ask(
	struct deeds_host *h, const struct bridge_deed *deeds, size_t count, struct slice text)
{
	check(count > 0 && count <= BRIDGE_DEEDS_MOST && text.length);
	check(buffer_length(h->to[SIDE_SERVER]) == 0);
	for (size_t i = 0; i < count; i++)
		check(deeds[i].object.length && deeds[i].kind == BRIDGE_DEED_GIT_PUSH);
	return ++asked;
}

static void done(struct deeds_host *h, uint32_t question, const struct bridge_result *result)
{
	(void)h;
	(void)result;
	check(question == asked);
	over++;
}

static void say(struct deeds_host *h, struct slice text)
{
	(void)h;
	(void)text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer to_agent, to_host;
	const bool observes = size && data[0] & 0x80;
	struct deeds_host host = {.ask = ask,
		.done = done,
		.say = say,
		.to = {&to_agent, &to_host},
		.about = slice_from_string("git-receive-pack r"),
		.repository = slice_from_string("r"),
		.observes = observes};
	struct deeds *push = deeds_push.open(&host);
	struct slice in = slice_of(data, size), rest = slice_from(in, 1);
	bool allow = size && data[0] & 1, answered = false;
	size_t piece = size ? data[0] / 2 + 1u : 1;
	int r = 0;

	asked = over = 0;
	buffer_init(&to_agent, 4u << 20);
	buffer_init(&to_host, 4u << 20);
	while (r == 0 && rest.length) {
		struct slice part = slice_head(rest, piece);

		r = deeds_push.take(push, SIDE_AGENT, part);
		rest = slice_from(rest, part.length);
		if (r == 0 && asked && !answered) {
			answered = true;
			r = deeds_push.answer(push, allow, slice_from_string("no"), SLICE_EMPTY);
		}
	}
	check(asked <= 1 && (r == 0 || !observes));
	if (asked && !allow)
		check(buffer_length(&to_host) <= 4);
	if (r == 0 && asked && allow)
		check(slice_equal(buffer_slice(&to_host), slice_from(in, 1)));
	deeds_push.end(push);
	deeds_push.close(push);
	check(asked == over);
	buffer_done(&to_agent);
	buffer_done(&to_host);
	return 0;
}
