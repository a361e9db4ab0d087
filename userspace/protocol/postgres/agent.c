/* SPDX-License-Identifier: Apache-2.0
 *
 * agent: what the agent sends. A handler either takes its message (PG_TAKEN), having written to the
 * server what stands for it, or leaves it where it is until something is known (PG_WAITING).
 */
#include "protocol/postgres/agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/preview.h"
#include "protocol/postgres/role.h"

typedef int agent_handler(struct pg_engine *e, const struct pg_frame *m);

/* --- Flush, Sync, Terminate --- */

static int on_flush(struct pg_engine *e, const struct pg_frame *m)
{
	return pg_send_on(e, m);
}

static int on_sync(struct pg_engine *e, const struct pg_frame *m)
{
	/* While the server reads COPY data it ignores Sync, unless its COPY has failed already. */
	if (e->copying_in) {
		e->ignored_syncs++;
		return pg_send_on(e, m);
	}
	if (!pg_send_request(e, PG_REQUEST_SYNC))
		return PG_TAKEN;
	e->batch++;
	e->unsynced = false;
	e->skipping = false;
	return pg_send_on(e, m);
}

static int on_terminate(struct pg_engine *e, const struct pg_frame *m)
{
	int r = pg_send_on(e, m);

	/* What is in flight is still answered; then the server closes. */
	if (e->requests.count > 0) {
		e->terminated = true;
		return r;
	}
	pg_event(e, EVENT_CLOSE)->note.reason = REASON_NONE;
	e->agent = PG_AGENT_DONE;
	return r;
}

/* --- COPY data, function calls, passwords --- */

static int on_copy_data(struct pg_engine *e, const struct pg_frame *m)
{
	/* Outside a COPY the server ignores it, and so may we: it has no reply. */
	return pg_send_on(e, m);
}

static int on_copy_end(struct pg_engine *e, const struct pg_frame *m)
{
	if (!e->copying_in && e->readers_in_flight)
		e->data_ends++;
	e->copying_in = false;
	return pg_send_on(e, m);
}

/* The function is named by its OID alone. */
static int on_function_call(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q;
	char text[40];

	if (m->body.length < 4)
		return -EBADMSG;
	if (e->pending.decision == PG_REFUSED)
		return pg_send_refused(e, m, PG_REQUEST_QUERY, 'Q', SLICE_EMPTY);
	if (e->pending.decision == PG_RELEASED) {
		q = pg_send_request(e, PG_REQUEST_FUNCTION);
		if (!q)
			return PG_TAKEN;
		q->action = e->pending.action;
		q->masks = e->pending.masks;
		e->pending.masks = NULL;
		pg_snapshot_on_sent(e, NULL);
		pg_send_effects(e, q, NULL);
		pg_pending_clear(e);
		return pg_send_on(e, m);
	}
	snprintf(text, sizeof(text), "(function %u)", bytes_get_u32(m->body.data));
	snprintf(e->pending.note, sizeof(e->pending.note), "%s", text);
	e->pending.pair = (struct action_pair){
		OPERATION_FUNCTION_CALL, OBJECT_UNKNOWN, false, slice_from_string(e->pending.note)};
	pg_hold_may(e, m);
	e->pending.bound[0] = m->body;
	return pg_judge_ask(e, e->pending.pair.object, ACTION_RUN, 0, NULL);
}

static int on_password(struct pg_engine *e, const struct pg_frame *m)
{
	int r = pg_authentication_agent(e, m->whole, m->body);

	return r < 0 ? r : PG_TAKEN;
}

static agent_handler *const handlers[256] = {
	['p'] = on_password,
	['Q'] = pg_query_on_query,
	['P'] = pg_extended_on_parse,
	['B'] = pg_extended_on_bind,
	['D'] = pg_extended_on_describe,
	['E'] = pg_extended_on_execute,
	['C'] = pg_extended_on_close,
	['H'] = on_flush,
	['S'] = on_sync,
	['F'] = on_function_call,
	['X'] = on_terminate,
	['d'] = on_copy_data,
	['c'] = on_copy_end,
	['f'] = on_copy_end,
};

/* --- framing --- */

static int stream_on(struct pg_engine *e, struct slice in, size_t *taken)
{
	struct slice part = slice_head(slice_from(in, *taken), e->from_agent.left);
	int r = e->from_agent.mode == PG_STREAM_PASS ? pg_pass(e, SIDE_SERVER, part) : 0;

	e->from_agent.left -= (uint32_t)part.length;
	*taken += part.length;
	return r;
}

/* Whether the server would answer it, outside of COPY data. Within, it throws it away and fails the
 * COPY: as no answer would come, the next request's would be taken for it. */
static bool is_answered(uint8_t type)
{
	return handlers[type] && !strchr("HSXdcfp", type);
}

static int handle(struct pg_engine *e, const struct pg_frame *m)
{
	int r;

	/* The server ignores everything up to the next Sync; so that nothing can be wrong about
	 * that, it doesn't even see it. */
	if (e->skipping && m->type != 'S' && m->type != 'X') {
		/* What was found out about it is not the next message's. */
		pg_pending_clear(e);
		return pg_send_nothing(e, m);
	}
	if (is_answered(m->type) && e->copying_in)
		return -EBADMSG;
	if (is_answered(m->type) && e->readers_in_flight)
		return pg_judge_drain(e);
	r = pg_role_before(e, m);
	if (r != PG_TAKEN)
		return r;
	if (e->pending.interrupted)
		return pg_send_interrupted(e, m);
	/* The rest of a Query whose probe the server has answered with an error. */
	if (e->probe_failed) {
		e->probe_failed = false;
		pg_pending_clear(e);
		return pg_send_nothing(e, m);
	}
	return handlers[m->type](e, m);
}

int pg_agent_input(struct pg_engine *e, struct slice in, size_t *ret_taken)
{
	size_t taken = 0;
	int r = 0;

	if (e->wait == PG_WAIT_DRAIN)
		e->wait = PG_WAIT_NONE;
	if (e->rest_wanted)
		pg_hold_on_rest(e, in);
	while (r >= 0 && taken < in.length && e->wait == PG_WAIT_NONE && !pg_preview_bars(e) &&
		pg_event_has_room(e) && e->agent != PG_AGENT_DONE && !e->terminated) {
		struct pg_frame m;

		if (e->from_agent.left) {
			r = stream_on(e, in, &taken);
			continue;
		}
		r = pg_frame_next(pg_agent_messages, e->phase, slice_from(in, taken), &m);
		if (r <= 0)
			break;
		e->behind = slice_from(in, taken + m.whole.length);
		r = handle(e, &m);
		if (r != PG_TAKEN)
			continue;
		taken += m.whole.length;
		if (e->judged_again) {
			e->judged_again = false;
			pg_event(e, EVENT_DROPPED)->dropped.why = "the server answered it";
		}
	}
	*ret_taken = taken;
	return r < 0 ? r : 0;
}
