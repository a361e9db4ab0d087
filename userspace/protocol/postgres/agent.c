/* SPDX-License-Identifier: Apache-2.0
 *
 * agent: what the agent sends. A handler either takes its message (PG_TAKEN), having written to the
 * server what stands for it, or leaves it where it is until something is known (PG_WAITING).
 */
#include <errno.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "protocol/postgres/bind.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"

typedef int agent_handler(struct pg_engine *e, const struct pg_frame *m);

/* --- sending on, and sending something that fails instead --- */

static struct pg_request *request(struct pg_engine *e, enum pg_request_kind kind)
{
	struct pg_request *q = pg_requests_push(&e->requests, kind);

	if (!q)
		pg_fail(e, REASON_LIMIT, "more than %u requests in flight", LIMIT_PIPELINE);
	return q;
}

/* Passes the message on; what did not arrive yet follows as it comes. */
static int forward(struct pg_engine *e, const struct pg_frame *m)
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

static int swallow(struct pg_engine *e, const struct pg_frame *m)
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
static int poison(struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind,
	uint8_t type, struct slice name, const char *state, struct slice text)
{
	struct pg_request *q = request(e, kind);
	int r;

	if (!q)
		return PG_TAKEN;
	q->flags = PG_REQUEST_POISONED;
	q->state = state;
	q->refusal = memory_copy_text(text.data, text.length);
	q->action = e->pending.action;
	pg_pending_clear(e);
	r = write_poison(e, type, name);
	if (kind != PG_REQUEST_QUERY) {
		e->unsynced = true;
		/* It fails for sure: what follows up to the Sync never runs, and is neither judged
		 * nor recorded as if it might. While COPY data is read, the server ignores Syncs,
		 * and says itself where it stops. */
		e->skipping |= !e->copying_in;
	}
	return r < 0 ? r : swallow(e, m);
}

static int poison_refused(struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind,
	uint8_t type, struct slice name)
{
	const struct protocol_refusal *refusal = &e->pending.refusal;

	return poison(e, m, kind, type, name, refusal_state(refusal->reason), refusal->text);
}

static void note_effects(struct pg_engine *e, struct pg_request *q, unsigned effects)
{
	if (!effects)
		return;
	q->flags |= PG_REQUEST_EFFECTS;
	e->effects_in_flight++;
}

/* --- Query --- */

/* A text beyond the limit is never seen whole: where facts are needed it is refused by name, else
 * judged as the unknown that it is and sent on as it comes. */
static int poison_too_long(
	struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind, struct slice name)
{
	char text[120];

	snprintf(text, sizeof(text), "wayleave: denied: a statement of %u bytes is longer than %u",
		m->length, LIMIT_STATEMENT_BYTES);
	return poison(e, m, kind, m->type, name, PG_STATE_PROGRAM_LIMIT, slice_from_string(text));
}

/* Shows the text to the server's parser, which runs nothing: what the server rejects as well
 * ends in its own error, as without us. */
static int query_probe(struct pg_engine *e, const struct pg_frame *m, struct slice text)
{
	static const uint8_t flush[] = {'H', 0, 0, 0, 4};
	struct pg_request *q = request(e, PG_REQUEST_PARSE);
	size_t mark;
	int r;

	if (!q)
		return PG_TAKEN;
	(void)m;
	q->flags = PG_REQUEST_PROBE;
	q->action = e->pending.action;
	buffer_clear(&e->scratch);
	r = pg_begin(&e->scratch, 'P', &mark);
	if (r == 0)
		r = pg_put_string(&e->scratch, SLICE_EMPTY);
	if (r == 0)
		r = pg_put_string(&e->scratch, text);
	if (r == 0)
		r = buffer_append_u16(&e->scratch, 0);
	if (r < 0)
		return r;
	pg_end(&e->scratch, mark);
	r = buffer_append(&e->scratch, flush, sizeof(flush));
	if (r == 0)
		r = pg_write(e, SIDE_SERVER, buffer_slice(&e->scratch));
	e->pending.decision = PG_UNDECIDED;
	e->wait = PG_WAIT_PROBE;
	return r < 0 ? r : PG_WAITING;
}

static int query_send(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_pending *p = &e->pending;
	struct pg_request *q = request(e, PG_REQUEST_QUERY);

	if (!q)
		return PG_TAKEN;
	q->action = p->action;
	q->plan = p->plan;
	q->masks = p->masks;
	p->plan = NULL;
	p->masks = NULL;
	if (p->record_rows)
		q->flags |= PG_REQUEST_RECORDS_ROWS;
	if (q->plan && e->base.host->needs_facts)
		note_effects(e, q, q->plan->resolution.effects);
	pg_pending_clear(e);
	return forward(e, m);
}

/* What our grammar rejects, or what names things that nobody knows, is worth asking the server
 * about. */
static bool query_is_worth_a_probe(const struct pg_engine *e)
{
	const struct pg_plan *plan = e->pending.plan;

	if (e->pending.probed || !e->base.host->needs_facts || !plan || e->startup.replication)
		return false;
	return (plan->action.unknown & ACTION_UNKNOWN_TEXT) || plan->resolution.unresolved;
}

static int query_decided(struct pg_engine *e, const struct pg_frame *m, struct slice text)
{
	if (e->pending.decision == PG_REFUSED)
		return poison_refused(e, m, PG_REQUEST_QUERY, 'Q', SLICE_EMPTY);
	if (e->pending.phase == ACTION_PROBED)
		return query_probe(e, m, text);
	return query_send(e, m);
}

static int on_query(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, text = m->body;
	int r;

	if (!m->complete && e->base.host->needs_facts)
		return poison_too_long(e, m, PG_REQUEST_QUERY, SLICE_EMPTY);
	if (m->complete && (pg_get_string(&rest, &text) < 0 || rest.length))
		return poison(e, m, PG_REQUEST_QUERY, 'Q', SLICE_EMPTY, PG_STATE_PROTOCOL_VIOLATION,
			slice_from_string("invalid message format"));
	if (e->pending.decision != PG_UNDECIDED)
		return query_decided(e, m, text);
	r = pg_judge_text(e, text);
	if (r == PG_TAKEN)
		r = pg_judge_plan(e, e->pending.text);
	if (r != PG_TAKEN)
		return r;
	if (query_is_worth_a_probe(e)) {
		r = pg_judge_drain(e);
		if (r != PG_TAKEN)
			return r;
		return pg_judge_ask(e, text, ACTION_PROBED, 0, 0);
	}
	e->pending.may_wait = true;
	e->pending.bound_whole = m->complete;
	return pg_judge_ask(e, text, ACTION_RUN, e->pending.probed ? e->pending.action : 0, 0);
}

void pg_agent_probed(struct pg_engine *e, bool accepted)
{
	static const uint8_t sync[] = {'S', 0, 0, 0, 4};

	e->wait = PG_WAIT_NONE;
	if (accepted) {
		/* Judged as what it is: something that only the server understands. */
		e->pending.probed = true;
		return;
	}
	/* The agent has the server's error; it needs the ReadyForQuery that a Query would end with.
	 */
	e->pending.probed = true;
	e->probe_failed = true;
	if (request(e, PG_REQUEST_SYNC))
		pg_write(e, SIDE_SERVER, slice_of(sync, sizeof(sync)));
}

/* --- Parse --- */

/* What the statement runs may need people, and the batch begins with it: once the server has it,
 * an error of a question of ours would end the batch, and a Sync of ours would commit it. */
static bool may_be_deferred(const struct pg_engine *e, const struct pg_frame *m)
{
	const struct pg_plan *plan = e->pending.plan;

	return plan && plan->judgement && plan->judgement->review && e->requests.count == 0 &&
		!e->unsynced && m->complete && m->whole.length <= PG_DEFERRED_MOST;
}

static int parse_send(struct pg_engine *e, const struct pg_frame *m, struct slice name,
	struct slice text, struct slice types)
{
	struct pg_statement *statement = pg_statement_new(e->pending.text, text);
	bool deferred = may_be_deferred(e, m);
	struct pg_request *q = request(e, PG_REQUEST_PARSE);
	int r = -EPERM;

	statement->action = e->pending.action;
	statement->types = slice_of(memory_copy_text(types.data, types.length), types.length);
	if (q) {
		q->action = e->pending.action;
		q->statement = pg_statement_get(statement);
		q->name = memory_copy_text(name.data, name.length);
		q->name_length = name.length;
		e->unsynced = true;
		r = pg_names_begin(&e->statements, name, statement, e->batch);
	}
	pg_statement_put(statement);
	pg_pending_clear(e);
	if (r == -E2BIG)
		return pg_fail(e, REASON_LIMIT, "more than %u prepared statements",
			LIMIT_PREPARED_STATEMENTS);
	if (r == 0 && deferred) {
		r = buffer_append_slice(&e->deferred, m->whole);
		return r < 0 ? r : PG_TAKEN;
	}
	return r < 0 ? PG_TAKEN : forward(e, m);
}

static int on_parse(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name, text, types = SLICE_EMPTY;
	uint16_t parameters;
	int r;

	if (pg_get_string(&rest, &name) < 0)
		return -EBADMSG;
	if (!m->complete && e->base.host->needs_facts)
		return poison_too_long(e, m, PG_REQUEST_PARSE, name);
	text = rest;
	if (m->complete &&
		(pg_get_string(&rest, &text) < 0 || pg_get_u16(&rest, &parameters) < 0 ||
			rest.length != 4 * (size_t)parameters))
		return -EBADMSG;
	if (m->complete)
		types = rest;
	if (e->pending.decision == PG_REFUSED)
		return poison_refused(e, m, PG_REQUEST_PARSE, 'P', name);
	if (e->pending.decision == PG_RELEASED)
		return parse_send(e, m, name, text, types);
	r = pg_judge_text(e, text);
	if (r == PG_TAKEN)
		r = pg_judge_plan(e, e->pending.text);
	if (r != PG_TAKEN)
		return r;
	return pg_judge_ask(e, text, ACTION_PREPARED, 0, 0);
}

/* --- Bind --- */

/* A statement that SQL's PREPARE made is judged as the EXECUTE that would run it. */
static struct sql_text *bind_text(const struct pg_statement *statement, struct slice name)
{
	struct sql_text *text;
	struct buffer execute;

	if (!statement->by_sql)
		return sql_text_get(statement->text);
	buffer_init(&execute, 64 + 2 * name.length);
	buffer_append_string(&execute, "execute \"");
	for (size_t i = 0; i < name.length; i++) {
		if (name.data[i] == '"')
			buffer_append_byte(&execute, '"');
		buffer_append_byte(&execute, name.data[i]);
	}
	buffer_append_byte(&execute, '"');
	text = sql_text_parse(buffer_slice(&execute));
	buffer_done(&execute);
	return text;
}

static int bind_send(struct pg_engine *e, const struct pg_frame *m, const struct pg_bind *parts,
	struct pg_statement *statement)
{
	struct pg_pending *p = &e->pending;
	struct pg_portal *portal =
		pg_portal_new(p->plan, statement->by_sql ? 0 : statement->command);
	struct pg_request *q = request(e, PG_REQUEST_BIND);
	int r = -EPERM;

	portal->statement = pg_statement_get(statement);
	portal->masks = pg_masks_get(p->masks);
	portal->action = p->action;
	portal->audience = e->base.host->audience;
	portal->record_rows = p->record_rows;
	if (q) {
		q->action = p->action;
		q->portal = pg_portal_get(portal);
		q->name = memory_copy_text(parts->portal.data, parts->portal.length);
		q->name_length = parts->portal.length;
		e->unsynced = true;
		r = pg_names_begin(&e->portals, parts->portal, portal, e->batch);
	}
	pg_portal_put(portal);
	pg_pending_clear(e);
	if (r == -E2BIG)
		return pg_fail(e, REASON_LIMIT, "more than %u portals", LIMIT_PREPARED_STATEMENTS);
	return r < 0 ? PG_TAKEN : forward(e, m);
}

/* A name that the session does not have: the server's own error, but certainly an error. */
static int missing(struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind,
	uint8_t type, const char *what, const char *state, struct slice name)
{
	char text[256];

	if (kind == PG_REQUEST_BIND && name.length == 0)
		snprintf(text, sizeof(text), "unnamed prepared statement does not exist");
	else
		snprintf(text, sizeof(text), "%s \"%.*s\" does not exist", what,
			(int)(name.length > 128 ? 128 : name.length), name.data);
	return poison(e, m, kind, type, SLICE_EMPTY, state, slice_from_string(text));
}

/* The names of a statement that the server accepted were not found: look once more, when its
 * ParseComplete is here. */
static int bind_look_again(struct pg_engine *e, struct pg_statement *statement)
{
	int r = pg_judge_drain(e);

	if (r == PG_TAKEN)
		statement->looked_up = true;
	return r;
}

static int on_bind(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_bind parts;
	void *found = NULL;
	struct pg_statement *statement;
	int r = pg_bind_parse(m->body, m->complete, e->pending.values, &parts);

	if (r < 0)
		return r;
	switch (pg_names_find(&e->statements, parts.statement, e->batch, &found)) {
	case PG_NAME_UNCERTAIN:
		return pg_judge_drain(e);
	case PG_NAME_MISSING:
		return missing(e, m, PG_REQUEST_BIND, 'B', "prepared statement",
			PG_STATE_NO_STATEMENT, parts.statement);
	default:
		statement = found;
	}
	if (e->pending.decision == PG_REFUSED)
		return poison_refused(e, m, PG_REQUEST_BIND, 'B', SLICE_EMPTY);
	if (e->pending.decision == PG_RELEASED)
		return bind_send(e, m, &parts, statement);
	if (!e->pending.text)
		e->pending.text = bind_text(statement, parts.statement);
	r = pg_judge_plan(e, e->pending.text);
	if (r != PG_TAKEN)
		return r;
	if (e->pending.plan->resolution.unresolved && !statement->looked_up &&
		e->base.host->needs_facts) {
		r = bind_look_again(e, statement);
		if (r != PG_TAKEN)
			return r;
	}
	e->pending.may_wait = true;
	e->pending.bound_whole = m->complete;
	e->pending.bound[0] = parts.bound;
	e->pending.values_length = parts.values_length;
	e->pending.bound[1] = statement->types;
	e->pending.unit = e->batch + 1;
	e->pending.behind = e->behind;
	return pg_judge_ask(e, statement->exact, ACTION_RUN, statement->action, parts.value_count);
}

/* --- Execute --- */

/* Describes the portal for ourselves, where the agent did not: masks need origins and types. */
static int describe_privately(struct pg_engine *e, struct pg_portal *portal, struct slice name)
{
	struct pg_request *q = request(e, PG_REQUEST_DESCRIBE_PORTAL);
	size_t mark;
	int r;

	if (!q)
		return -EPERM;
	q->flags = PG_REQUEST_PRIVATE;
	q->portal = pg_portal_get(portal);
	portal->describing = true;
	buffer_clear(&e->scratch);
	r = pg_begin(&e->scratch, 'D', &mark);
	if (r == 0)
		r = buffer_append_byte(&e->scratch, 'P');
	if (r == 0)
		r = pg_put_string(&e->scratch, name);
	if (r < 0)
		return r;
	pg_end(&e->scratch, mark);
	return pg_write(e, SIDE_SERVER, buffer_slice(&e->scratch));
}

static int execute_send(
	struct pg_engine *e, const struct pg_frame *m, struct pg_portal *portal, struct slice name)
{
	struct pg_request *q;
	int r;

	if ((portal->masks || portal->record_rows) && !portal->columns && !portal->describing) {
		r = describe_privately(e, portal, name);
		if (r < 0)
			return r == -EPERM ? PG_TAKEN : r;
	}
	q = request(e, PG_REQUEST_EXECUTE);
	if (!q)
		return PG_TAKEN;
	q->action = portal->action;
	q->portal = pg_portal_get(portal);
	e->unsynced = true;
	if (portal->plan && e->base.host->needs_facts)
		note_effects(e, q, portal->plan->resolution.effects);
	pg_pending_clear(e);
	return forward(e, m);
}

/* The rules changed since the Bind: what was judged then is judged again. */
static int execute_judge_again(struct pg_engine *e, struct pg_portal *portal)
{
	struct slice text = portal->statement ? portal->statement->exact : SLICE_EMPTY;
	int r = pg_judge_plan(e, portal->plan->text);

	if (r != PG_TAKEN)
		return r;
	return pg_judge_ask(e, text, ACTION_RUN, portal->action, 0);
}

static int on_execute(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name;
	void *found = NULL;
	struct pg_portal *portal;
	uint32_t most;

	if (pg_get_string(&rest, &name) < 0 || pg_get_u32(&rest, &most) < 0 || rest.length)
		return -EBADMSG;
	switch (pg_names_find(&e->portals, name, e->batch, &found)) {
	case PG_NAME_UNCERTAIN:
		return pg_judge_drain(e);
	case PG_NAME_MISSING:
		return missing(e, m, PG_REQUEST_EXECUTE, 'E', "portal", PG_STATE_NO_PORTAL, name);
	default:
		portal = found;
	}
	if (e->pending.decision == PG_REFUSED)
		return poison_refused(e, m, PG_REQUEST_EXECUTE, 'E', SLICE_EMPTY);
	if (e->pending.decision == PG_UNDECIDED && portal->audience != e->base.host->audience &&
		portal->plan)
		return execute_judge_again(e, portal);
	if (e->pending.decision == PG_RELEASED) {
		pg_masks_put(portal->masks);
		portal->masks = pg_masks_get(e->pending.masks);
		portal->audience = e->base.host->audience;
		portal->action = e->pending.action;
		pg_columns_free(portal->columns);
		portal->columns = NULL;
	}
	return execute_send(e, m, portal, name);
}

/* --- Describe, Close, Flush, Sync, Terminate --- */

static int on_describe(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name;
	struct pg_request *q;
	void *found = NULL;
	uint8_t kind;

	if (pg_get_u8(&rest, &kind) < 0 || (kind != 'S' && kind != 'P') ||
		pg_get_string(&rest, &name) < 0 || rest.length)
		return -EBADMSG;
	q = request(e, kind == 'S' ? PG_REQUEST_DESCRIBE_STATEMENT : PG_REQUEST_DESCRIBE_PORTAL);
	if (!q)
		return PG_TAKEN;
	e->unsynced = true;
	if (kind == 'P' && pg_names_find(&e->portals, name, e->batch, &found) == PG_NAME_FOUND) {
		q->portal = pg_portal_get(found);
		q->portal->describing = true;
	}
	return forward(e, m);
}

static int on_close(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name;
	struct pg_request *q;
	uint8_t kind;

	if (pg_get_u8(&rest, &kind) < 0 || (kind != 'S' && kind != 'P') ||
		pg_get_string(&rest, &name) < 0 || rest.length)
		return -EBADMSG;
	q = request(e, kind == 'S' ? PG_REQUEST_CLOSE_STATEMENT : PG_REQUEST_CLOSE_PORTAL);
	if (!q)
		return PG_TAKEN;
	q->name = memory_copy_text(name.data, name.length);
	q->name_length = name.length;
	e->unsynced = true;
	if (pg_names_begin(kind == 'S' ? &e->statements : &e->portals, name, NULL, e->batch) < 0)
		return pg_fail(e, REASON_LIMIT, "too many names");
	return forward(e, m);
}

static int on_flush(struct pg_engine *e, const struct pg_frame *m)
{
	return forward(e, m);
}

static int on_sync(struct pg_engine *e, const struct pg_frame *m)
{
	/* While the server reads COPY data it ignores Sync, unless its COPY has failed already. */
	if (e->copying_in) {
		e->ignored_syncs++;
		return forward(e, m);
	}
	if (!request(e, PG_REQUEST_SYNC))
		return PG_TAKEN;
	e->batch++;
	e->unsynced = false;
	e->skipping = false;
	return forward(e, m);
}

static int on_terminate(struct pg_engine *e, const struct pg_frame *m)
{
	int r = forward(e, m);

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
	return forward(e, m);
}

static int on_copy_end(struct pg_engine *e, const struct pg_frame *m)
{
	e->copying_in = false;
	return forward(e, m);
}

/* The function is named by its OID alone. */
static int on_function_call(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q;
	char text[40];

	if (m->body.length < 4)
		return -EBADMSG;
	if (e->pending.decision == PG_REFUSED)
		return poison_refused(e, m, PG_REQUEST_QUERY, 'Q', SLICE_EMPTY);
	if (e->pending.decision == PG_RELEASED) {
		q = request(e, PG_REQUEST_FUNCTION);
		if (!q)
			return PG_TAKEN;
		q->action = e->pending.action;
		q->masks = e->pending.masks;
		e->pending.masks = NULL;
		note_effects(e, q, SQL_EFFECT_UNKNOWN);
		pg_pending_clear(e);
		return forward(e, m);
	}
	snprintf(text, sizeof(text), "(function %u)", bytes_get_u32(m->body.data));
	snprintf(e->pending.note, sizeof(e->pending.note), "%s", text);
	e->pending.pair = (struct action_pair){
		OPERATION_FUNCTION_CALL, OBJECT_UNKNOWN, false, slice_from_string(e->pending.note)};
	e->pending.may_wait = true;
	e->pending.bound_whole = m->complete;
	e->pending.bound[0] = m->body;
	return pg_judge_ask(e, e->pending.pair.object, ACTION_RUN, 0, 0);
}

static int on_password(struct pg_engine *e, const struct pg_frame *m)
{
	int r = pg_authentication_agent(e, m->whole, m->body);

	return r < 0 ? r : PG_TAKEN;
}

static agent_handler *const handlers[256] = {
	['p'] = on_password,
	['Q'] = on_query,
	['P'] = on_parse,
	['B'] = on_bind,
	['D'] = on_describe,
	['E'] = on_execute,
	['C'] = on_close,
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

static int handle(struct pg_engine *e, const struct pg_frame *m)
{
	/* The server ignores everything up to the next Sync; so that nothing can be wrong about
	 * that, it doesn't even see it. */
	if (e->skipping && m->type != 'S' && m->type != 'X')
		return swallow(e, m);
	/* The rest of a Query whose probe the server has answered with an error. */
	if (e->probe_failed) {
		e->probe_failed = false;
		pg_pending_clear(e);
		return swallow(e, m);
	}
	return handlers[m->type](e, m);
}

int pg_agent_input(struct pg_engine *e, struct slice in, size_t *ret_taken)
{
	size_t taken = 0;
	int r = 0;

	if (e->wait == PG_WAIT_DRAIN)
		e->wait = PG_WAIT_NONE;
	while (r >= 0 && taken < in.length && e->wait == PG_WAIT_NONE && !e->preview &&
		pg_event_has_room(e) && e->agent != PG_AGENT_DONE) {
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
