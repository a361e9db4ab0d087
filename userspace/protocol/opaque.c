/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/opaque.h"

#include "base/memory.h"

struct opaque {
	struct protocol_engine base;
	bool connected;
	bool ended[2]; /* by side; when both are, the session is over */
	bool closing;
};

static struct opaque *opaque_of(struct protocol_engine *e)
{
	return container_of(e, struct opaque, base);
}

static struct protocol_engine *opaque_open(struct protocol_host *host)
{
	struct opaque *o = memory_new(sizeof(*o));

	o->base = (struct protocol_engine){.protocol = &protocol_opaque, .host = host};
	return &o->base;
}

static void opaque_close(struct protocol_engine *e)
{
	free(opaque_of(e));
}

static int opaque_input(
	struct protocol_engine *e, enum side side, struct slice in, size_t *ret_taken)
{
	*ret_taken = in.length;
	return e->host->pass(e->host, side_other(side), in);
}

static size_t opaque_needs(struct protocol_engine *e, enum side side, struct slice in)
{
	(void)e;
	(void)side;
	(void)in;
	return 1;
}

static bool opaque_wants(const struct protocol_engine *e, enum side side)
{
	const struct opaque *o = container_of(e, const struct opaque, base);

	(void)side;
	return o->connected;
}

/* Half-closed connections go on in the other direction. */
static void opaque_end(struct protocol_engine *e, enum side side)
{
	struct opaque *o = opaque_of(e);

	o->ended[side] = true;
	e->host->shut(e->host, side_other(side));
	o->closing = o->ended[SIDE_AGENT] && o->ended[SIDE_SERVER];
}

static bool opaque_next_event(struct protocol_engine *e, struct protocol_event *ret)
{
	struct opaque *o = opaque_of(e);

	if (!o->closing)
		return false;
	o->closing = false;
	memset(ret, 0, sizeof(*ret));
	ret->type = EVENT_CLOSE;
	ret->note.reason = REASON_NONE;
	return true;
}

static void opaque_abort(struct protocol_engine *e, const struct protocol_refusal *refusal)
{
	/* There are no words to say it in: the host resets the connection. */
	e->host->reset(e->host, refusal);
}

static void opaque_connected(struct protocol_engine *e)
{
	opaque_of(e)->connected = true;
}

const struct protocol protocol_opaque = {
	.id = PROTOCOL_TCP,
	.open = opaque_open,
	.close = opaque_close,
	.input = opaque_input,
	.needs = opaque_needs,
	.wants = opaque_wants,
	.end = opaque_end,
	.next_event = opaque_next_event,
	.abort = opaque_abort,
	.connected = opaque_connected,
};
