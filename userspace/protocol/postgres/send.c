/* SPDX-License-Identifier: Apache-2.0
 *
 * send: what becomes of a message of the agent's: it is passed on, swallowed, or replaced by one
 * that the server must fail (engine.h says why).
 */
#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "protocol/postgres/agent.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"

struct pg_request *pg_send_request(struct pg_engine *e, enum pg_request_kind kind)
{
	struct pg_request *q = pg_requests_push(&e->requests, kind);

	if (!q)
		pg_fail(e, REASON_LIMIT, "more than %u requests in flight", LIMIT_PIPELINE);
	return q;
}

/* Passes the message on; what did not arrive yet follows as it comes. */
int pg_send_on(struct pg_engine *e, const struct pg_frame *m)
{
	int r = pg_pass(e, SIDE_SERVER, m->whole);

	if (r < 0)
		return r;
	if (!m->complete) {
		e->from_agent.mode = PG_STREAM_PASS;
		e->from_agent.left = m->length - (uint32_t)m->body.length;
	}
	return PG_TAKEN;
}

int pg_send_nothing(struct pg_engine *e, const struct pg_frame *m)
{
	if (!m->complete) {
		e->from_agent.mode = PG_STREAM_SKIP;
		e->from_agent.left = m->length - (uint32_t)m->body.length;
	}
	return PG_TAKEN;
}

/* A word that no server knows, and that no agent can guess. */
static struct slice poison_word(struct pg_engine *e, char *room, size_t size)
{
	const uint8_t *n = e->base.host->nonce + 24;

	snprintf(room, size, "wayleave_denied_%02x%02x%02x%02x%02x%02x%02x%02x", n[0], n[1], n[2],
		n[3], n[4], n[5], n[6], n[7]);
	return slice_from_string(room);
}

/* What stands for a refused message: of the same kind, so that the server's state machine does as
 * it would with an error in the message itself. `name` is the name that a Parse was to define. */
static int write_poison(struct pg_engine *e, uint8_t type, struct slice name)
{
	char room[40];
	struct slice word = poison_word(e, room, sizeof(room));
	size_t mark;
	int r;

	buffer_clear(&e->scratch);
	r = pg_begin(&e->scratch, type, &mark);
	if (r == 0 && (type == 'D' || type == 'C'))
		r = buffer_append_byte(&e->scratch, 'S');
	if (r == 0 && type == 'P')
		r = pg_put_string(&e->scratch, name);
	if (r == 0 && type == 'B')
		r = pg_put_string(&e->scratch, SLICE_EMPTY);
	if (r == 0)
		r = pg_put_string(&e->scratch, word);
	if (r == 0 && type == 'P')
		r = buffer_append_u16(&e->scratch, 0);
	if (r == 0 && type == 'E')
		r = buffer_append_u32(&e->scratch, 0);
	if (r == 0 && type == 'B') /* no formats, no values, no formats */
		r = buffer_append(&e->scratch, "\0\0\0\0\0\0", 6);
	if (r < 0)
		return r;
	pg_end(&e->scratch, mark);
	return pg_write(e, SIDE_SERVER, buffer_slice(&e->scratch));
}

static const char *refusal_state(enum reason reason)
{
	switch (reason) {
	case REASON_TOO_LONG:
	case REASON_LIMIT:
		return PG_STATE_PROGRAM_LIMIT;
	case REASON_RECORDING_FAILED:
		return PG_STATE_IO_ERROR;
	case REASON_REVIEW_CANCELLED:
		return PG_STATE_QUERY_CANCELED;
	default:
		return PG_STATE_INSUFFICIENT_PRIVILEGE;
	}
}

/* Answers the message with `state` and `text` through an error of the server. */
int pg_send_poison(struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind,
	uint8_t type, struct slice name, const char *state, struct slice text)
{
	struct pg_request *q = pg_send_request(e, kind);
	int r;

	if (!q)
		return PG_TAKEN;
	q->flags = PG_REQUEST_POISONED;
	q->state = state;
	q->refusal = memory_copy_text(text.data, text.length);
	q->action = e->pending.action;
	q->let_through = e->pending.let_through || e->pending.decision == PG_RELEASED;
	pg_snapshot_on_sent(e, NULL); /* what was asked for it may have taken one */
	pg_pending_clear(e);
	r = write_poison(e, type, name);
	if (kind != PG_REQUEST_QUERY) {
		e->unsynced = true;
		/* It fails for sure: what follows up to the Sync never runs, and is neither judged
		 * nor recorded as if it might. While COPY data is read, the server ignores Syncs,
		 * and says itself where it stops. */
		e->skipping |= !e->copying_in;
	}
	return r < 0 ? r : pg_send_nothing(e, m);
}

int pg_send_refused(struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind,
	uint8_t type, struct slice name)
{
	const struct protocol_refusal *refusal = &e->pending.refusal;

	return pg_send_poison(
		e, m, kind, type, name, refusal_state(refusal->reason), refusal->text);
}

int pg_send_interrupted(struct pg_engine *e, const struct pg_frame *m)
{
	static const uint8_t kinds[256] = {
		['P'] = PG_REQUEST_PARSE,
		['B'] = PG_REQUEST_BIND,
		['E'] = PG_REQUEST_EXECUTE,
	};
	enum pg_request_kind kind = kinds[m->type] ? kinds[m->type] : PG_REQUEST_QUERY;
	struct slice rest = m->body, name = SLICE_EMPTY;

	if (kind == PG_REQUEST_PARSE && pg_get_string(&rest, &name) < 0)
		return -EBADMSG;
	return pg_send_poison(e, m, kind, kinds[m->type] ? m->type : 'Q', name,
		PG_STATE_QUERY_CANCELED, slice_from_string(e->pending.interrupted));
}

bool pg_send_refuses_too_long(struct pg_engine *e)
{
	if (!e->base.host->needs_facts)
		return false;
	e->pending.barred = (struct protocol_refusal){
		REASON_TOO_LONG, slice_from_string("denied: a statement that is too long")};
	return !e->base.host->observes;
}

int pg_send_too_long(
	struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind, struct slice name)
{
	char text[120];

	snprintf(text, sizeof(text), "wayleave: denied: a statement of %u bytes is longer than %u",
		m->length, LIMIT_STATEMENT_BYTES);
	return pg_send_poison(
		e, m, kind, m->type, name, PG_STATE_PROGRAM_LIMIT, slice_from_string(text));
}

void pg_send_effects(struct pg_engine *e, struct pg_request *q, const struct pg_plan *plan)
{
	bool undoes = plan && e->effects_in_flight && pg_judge_undoes(plan->text);

	if (plan && !undoes && !pg_judge_effects(e, plan) && !pg_judge_uses_names(plan->text))
		return;
	q->flags |= PG_REQUEST_EFFECTS;
	e->effects_in_flight++;
	e->meanings++;
}

static bool may_read_data(const struct pg_plan *plan)
{
	if (!plan || (plan->action.unknown & ACTION_UNKNOWN_TEXT))
		return true;
	for (size_t i = 0; i < sql_text_command_count(plan->text); i++) {
		const struct sql_command *command = sql_text_command(plan->text, i);

		if (command->kind == SQL_COMMAND_EXECUTE ||
			(command->kind == SQL_COMMAND_COPY && command->copy.from_client))
			return true;
	}
	return false;
}

void pg_send_reader(struct pg_engine *e, struct pg_request *q, const struct pg_plan *plan)
{
	if (!may_read_data(plan))
		return;
	q->flags |= PG_REQUEST_READS_DATA;
	e->readers_in_flight++;
}
