/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/opaque.h"

#include <errno.h>

#include "base/memory.h"

#define LANE 0 /* the only one */

enum opaque_state {
	OPAQUE_RELAYS,
	OPAQUE_ASKS, /* the connection is still to be judged */
	OPAQUE_WAITS, /* it is being judged */
	OPAQUE_RELEASED, /* the upstream connection is still to be asked for */
};

struct opaque {
	struct protocol_engine base;
	enum opaque_state state;
	struct action_pair pair;
	struct action action; /* the connection */
	bool connected;
	bool ended[2]; /* by side; when both are, the session is over */
	bool closing;
};

static struct opaque *opaque_of(struct protocol_engine *e)
{
	return container_of(e, struct opaque, base);
}

static struct protocol_engine *open_as(const struct protocol *protocol, struct protocol_host *host)
{
	struct opaque *o = memory_new(sizeof(*o));

	o->base = (struct protocol_engine){.protocol = protocol, .host = host};
	return &o->base;
}

static struct protocol_engine *opaque_open(struct protocol_host *host)
{
	return open_as(&protocol_opaque, host);
}

static struct protocol_engine *datagrams_open(struct protocol_host *host)
{
	return open_as(&protocol_datagrams, host);
}

static struct protocol_engine *echoes_open(struct protocol_host *host)
{
	return open_as(&protocol_echoes, host);
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
	return o->connected && o->state == OPAQUE_RELAYS;
}

/* There is nothing else in it. */
static bool opaque_is_busy(const struct protocol_engine *e)
{
	const struct opaque *o = container_of(e, const struct opaque, base);

	return o->state == OPAQUE_RELAYS || o->state == OPAQUE_RELEASED;
}

/* Half-closed connections go on in the other direction. */
static void opaque_end(struct protocol_engine *e, enum side side)
{
	struct opaque *o = opaque_of(e);

	o->ended[side] = true;
	/* Nobody waits any more, and nothing has left. */
	if (o->state != OPAQUE_RELAYS) {
		o->closing = true;
		return;
	}
	protocol_pass_end(e->host, side);
	o->closing = (o->ended[SIDE_AGENT] && o->ended[SIDE_SERVER]) ||
		protocol_ends_both(e->host, side);
}

static void tell_action(struct opaque *o, struct protocol_event *ret)
{
	ret->type = EVENT_ACTION;
	ret->action = (struct protocol_action_event){
		.lane = LANE, .phase = ACTION_RUN, .action = &o->action};
}

static bool opaque_next_event(struct protocol_engine *e, struct protocol_event *ret)
{
	struct opaque *o = opaque_of(e);

	memset(ret, 0, sizeof(*ret));
	if (o->closing) {
		o->closing = false;
		ret->type = EVENT_CLOSE;
		ret->note.reason = REASON_NONE;
	} else if (o->state == OPAQUE_ASKS) {
		o->state = OPAQUE_WAITS;
		tell_action(o, ret);
	} else if (o->state == OPAQUE_RELEASED) {
		o->state = OPAQUE_RELAYS;
		ret->type = EVENT_CONNECT;
	} else {
		return false;
	}
	return true;
}

/* --- the connection, judged --- */

void opaque_judge(struct protocol_engine *e, struct slice address)
{
	struct opaque *o = opaque_of(e);

	/* The place is the object: a grant for one is none for another. */
	o->pair = (struct action_pair){
		.operation = OPERATION_CONNECT, .state = OBJECT_KNOWN, .object = address};
	o->action = (struct action){
		.protocol = e->protocol->id, .pairs = &o->pair, .pair_count = 1, .text = address};
	o->state = OPAQUE_ASKS;
}

/* What is not read can't be masked. */
static int opaque_mask(struct protocol_engine *e, uint32_t lane, const struct mask_rules *rules,
	bool record_rows, struct protocol_refusal *ret)
{
	(void)e;
	(void)lane;
	(void)record_rows;
	if (!rules)
		return 0;
	*ret = (struct protocol_refusal){REASON_MASK_IMPOSSIBLE,
		slice_from_string("denied: what is relayed unread can't be masked")};
	return -EPERM;
}

static int opaque_release(struct protocol_engine *e, uint32_t lane, uint64_t number)
{
	(void)lane;
	(void)number;
	opaque_of(e)->state = OPAQUE_RELEASED;
	return 0;
}

static int opaque_refuse(struct protocol_engine *e, uint32_t lane, uint64_t number,
	const struct protocol_refusal *refusal)
{
	(void)lane;
	(void)number;
	e->host->reset(e->host, refusal);
	return 0;
}

/* Who goes where is all there is. */
static int opaque_bind(struct protocol_engine *e, uint32_t lane, struct protocol_binding *ret)
{
	(void)e;
	(void)lane;
	*ret = (struct protocol_binding){0};
	return 0;
}

static bool opaque_reassure(struct protocol_engine *e, uint32_t lane, struct slice text)
{
	/* There are no words; an agent that waits for bytes waits. */
	(void)e;
	(void)lane;
	(void)text;
	return true;
}

static bool opaque_judge_again(struct protocol_engine *e, uint32_t lane, bool anew)
{
	struct opaque *o = opaque_of(e);

	(void)lane;
	(void)anew;
	if (o->state != OPAQUE_WAITS)
		return false;
	o->state = OPAQUE_ASKS;
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

/* What nobody reads is not answered. */
static bool opaque_passes_on(const struct protocol_engine *e)
{
	return container_of(e, const struct opaque, base)->connected;
}

#define OPAQUE(symbol, opener)                                                                     \
	.id = PROTOCOL_##symbol, .open = opener, .close = opaque_close, .input = opaque_input,     \
	.needs = opaque_needs, .wants = opaque_wants, .is_busy = opaque_is_busy,                   \
	.end = opaque_end, .next_event = opaque_next_event, .mask = opaque_mask,                   \
	.release = opaque_release, .refuse = opaque_refuse, .bind = opaque_bind,                   \
	.reassure = opaque_reassure, .judge_again = opaque_judge_again, .abort = opaque_abort,     \
	.connected = opaque_connected, .passes_on = opaque_passes_on

const struct protocol protocol_opaque = {OPAQUE(TCP, opaque_open)};
const struct protocol protocol_datagrams = {OPAQUE(UDP, datagrams_open)};
const struct protocol protocol_echoes = {OPAQUE(ICMP, echoes_open)};
