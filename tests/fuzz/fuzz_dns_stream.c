/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_dns_stream: an agent and a name server over TCP, in turns. What leaves for the server was
 * released, as it came; what the agent gets was held first, or is a refusal.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "protocol/dns_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct protocol_host host;
	struct protocol_engine *engine;
	bool may_write[2]; /* to that side, now */
	bool closed;
	unsigned actions;
};

static int on_write(struct protocol_host *host, enum side to, struct slice bytes)
{
	struct run *r = container_of(host, struct run, host);

	if (!r->may_write[to] || bytes.length < 2 ||
		bytes.length - 2 != ((size_t)bytes.data[0] << 8 | bytes.data[1]))
		abort();
	r->may_write[to] = false;
	return 0;
}

static void on_reset(struct protocol_host *host, const struct protocol_refusal *refusal)
{
	(void)refusal;
	container_of(host, struct run, host)->closed = true;
}

static void on_action(struct run *r, const struct protocol_action_event *event)
{
	const struct protocol_refusal refusal = {
		.reason = r->actions % 8 == 7 ? REASON_LIMIT : REASON_NOT_COVERED};
	const struct protocol *p = r->engine->protocol;

	if (event->action->pair_count != 1 || event->action->pairs[0].object.length == 0)
		abort();
	if (r->actions++ % 4 == 3) {
		r->may_write[SIDE_AGENT] = true;
		p->refuse(r->engine, event->lane, r->actions, &refusal);
	} else {
		r->may_write[SIDE_SERVER] = true;
		p->release(r->engine, event->lane, r->actions);
	}
	if (r->may_write[SIDE_AGENT] || r->may_write[SIDE_SERVER])
		abort();
}

static void handle(struct run *r)
{
	struct protocol_event event;

	for (;;) {
		/* An answer is given when it is told of, which is when it may be. */
		r->may_write[SIDE_AGENT] = true;
		if (!r->engine->protocol->next_event(r->engine, &event))
			break;
		if (event.type != EVENT_RESULT)
			r->may_write[SIDE_AGENT] = false;
		else if (r->may_write[SIDE_AGENT] || event.result.action == 0)
			abort();
		if (event.type == EVENT_ACTION)
			on_action(r, &event.action);
		else if (event.type == EVENT_PIN)
			r->engine->protocol->pinned(r->engine);
		else if (event.type == EVENT_CLOSE)
			r->closed = true;
	}
	r->may_write[SIDE_AGENT] = false;
}

/* A byte says whose the following bytes are, and how many. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = {.host = {.write = on_write, .reset = on_reset}};
	static uint8_t kept[2][1 << 16];
	size_t have[2] = {0, 0};

	r.engine = protocol_dns_stream.open(&r.host);
	r.engine->protocol->connected(r.engine);
	while (size && !r.closed) {
		enum side side = data[0] & 1 ? SIDE_SERVER : SIDE_AGENT;
		size_t length = data[0] >> 1, taken = 1;

		data++;
		size--;
		length = length < size ? length : size;
		if (have[side] + length > sizeof(kept[side]))
			break;
		memcpy(kept[side] + have[side], data, length);
		have[side] += length;
		data += length;
		size -= length;
		while (!r.closed && taken && have[side] &&
			r.engine->protocol->wants(r.engine, side)) {
			struct slice in = slice_of(kept[side], have[side]);

			dns_stream_detect(in, SLICE_EMPTY);
			if (r.engine->protocol->needs(r.engine, side, in) == 0)
				abort();
			if (r.engine->protocol->input(r.engine, side, in, &taken) < 0)
				r.closed = true;
			else
				memmove(kept[side], kept[side] + taken, have[side] -= taken);
			handle(&r);
		}
	}
	r.engine->protocol->end(r.engine, SIDE_AGENT);
	handle(&r);
	r.engine->protocol->close(r.engine);
	return 0;
}
