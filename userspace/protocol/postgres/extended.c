/* SPDX-License-Identifier: Apache-2.0
 *
 * extended: the extended protocol's Parse, Bind, Execute, Describe and Close.
 */
#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/text.h"
#include "protocol/postgres/agent.h"
#include "protocol/postgres/bind.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/role.h"

/* --- Parse --- */

/* What the statement runs may need people, and the batch begins with it: once the server has it,
 * an error of a question of ours would end the batch, and a Sync of ours would commit it. Or what
 * stands before it has read nothing (it may begin the transaction, say), and the server would take
 * the transaction's snapshot to understand it: people would be asked about what can't go on. */
static bool may_be_deferred(const struct pg_engine *e, const struct pg_frame *m)
{
	const struct pg_plan *plan = e->pending.plan;
	bool begins = e->requests.count == 0 && !e->unsynced;
	bool reads_first = !e->snapshot && buffer_length(&e->deferred) == 0;

	return plan && plan->judgement && plan->judgement->review && (begins || reads_first) &&
		m->complete && m->whole.length <= PG_DEFERRED_MOST;
}

static int parse_send(struct pg_engine *e, const struct pg_frame *m, struct slice name,
	struct slice text, struct slice types)
{
	bool deferred = may_be_deferred(e, m);
	struct pg_statement *statement;
	struct pg_request *q;
	int r = deferred ? pg_judge_drain(e) : PG_TAKEN;

	if (r != PG_TAKEN)
		return r;
	r = -EPERM;
	q = pg_send_request(e, PG_REQUEST_PARSE);
	statement = pg_statement_new(e->pending.text, text);
	statement->action = e->pending.action;
	statement->types = slice_of(memory_copy_text(types.data, types.length), types.length);
	if (q) {
		q->action = e->pending.action;
		q->statement = pg_statement_get(statement);
		q->name = memory_copy_text(name.data, name.length);
		q->name_length = name.length;
		e->deferred_begins = !e->unsynced;
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
	if (q)
		pg_snapshot_on_sent(e, q->statement->text);
	return r < 0 ? PG_TAKEN : pg_send_on(e, m);
}

#define NAMES_ARE_ASCII "denied: names of prepared statements and portals must be ASCII"

/* In what bytes the server keeps other names hangs on encodings: two may be one there. */
static bool refuses_name(struct pg_engine *e, struct slice name)
{
	if (!e->base.host->needs_facts || text_is_ascii(name))
		return false;
	e->pending.barred = (struct protocol_refusal){
		REASON_NOT_UNDERSTOOD, slice_from_string(NAMES_ARE_ASCII)};
	return !e->base.host->observes;
}

static int refuse_name(struct pg_engine *e, const struct pg_frame *m, enum pg_request_kind kind)
{
	return pg_send_poison(e, m, kind, m->type, SLICE_EMPTY, PG_STATE_INSUFFICIENT_PRIVILEGE,
		slice_from_string("wayleave: " NAMES_ARE_ASCII));
}

int pg_extended_on_parse(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name, text, types = SLICE_EMPTY;
	uint16_t parameters;
	int r;

	if (pg_get_string(&rest, &name) < 0)
		return -EBADMSG;
	if (refuses_name(e, name))
		return refuse_name(e, m, PG_REQUEST_PARSE);
	if (!m->complete && pg_send_refuses_too_long(e))
		return pg_send_too_long(e, m, PG_REQUEST_PARSE, name);
	text = m->complete ? rest : pg_judge_too_long(e, rest);
	if (m->complete &&
		(pg_get_string(&rest, &text) < 0 || pg_get_u16(&rest, &parameters) < 0 ||
			rest.length != 4 * (size_t)parameters))
		return -EBADMSG;
	if (m->complete)
		types = rest;
	if (e->pending.decision == PG_REFUSED)
		return pg_send_refused(e, m, PG_REQUEST_PARSE, 'P', name);
	if (e->pending.decision == PG_RELEASED)
		return parse_send(e, m, name, text, types);
	r = pg_judge_text(e, text);
	if (r == PG_TAKEN)
		r = pg_judge_plan(e, e->pending.text);
	if (r != PG_TAKEN)
		return r;
	return pg_judge_ask(e, text, ACTION_PREPARED, 0, NULL);
}

/* --- Bind --- */

/* The command that runs by name what the message does. */
static struct sql_text *text_by_name(const char *command, struct slice name)
{
	struct sql_text *text;
	struct buffer b;

	buffer_init(&b, 64 + 2 * name.length);
	buffer_append_format(&b, "%s \"", command);
	for (size_t i = 0; i < name.length; i++) {
		if (name.data[i] == '"')
			buffer_append_byte(&b, '"');
		buffer_append_byte(&b, name.data[i]);
	}
	buffer_append_byte(&b, '"');
	text = sql_text_parse(buffer_slice(&b));
	buffer_done(&b);
	return text;
}

/* A statement that SQL's PREPARE made is judged as the EXECUTE that would run it. */
static struct sql_text *bind_text(const struct pg_statement *statement, struct slice name)
{
	return statement->by_sql ? text_by_name("execute", name) : sql_text_get(statement->text);
}

static int bind_send(struct pg_engine *e, const struct pg_frame *m, const struct pg_bind *parts,
	struct pg_statement *statement)
{
	struct pg_pending *p = &e->pending;
	const struct slice bound[] = {parts->bound, statement->types};
	struct pg_portal *portal =
		pg_portal_new(p->plan, statement->by_sql ? 0 : statement->command);
	struct pg_request *q = pg_send_request(e, PG_REQUEST_BIND);
	int r = -EPERM;

	portal->statement = pg_statement_get(statement);
	portal->masks = pg_masks_get(p->masks);
	portal->action = p->action;
	portal->audience = e->base.host->audience;
	portal->meanings = e->meanings;
	portal->grant = p->grant;
	portal->record_rows = p->record_rows;
	portal->decided = p->decided;
	portal->as = p->as;
	p->as = NULL;
	if (portal->as)
		pg_role_bound(e, portal, parts->portal);
	if (q) {
		q->action = p->action;
		q->portal = pg_portal_get(portal);
		q->name = memory_copy_text(parts->portal.data, parts->portal.length);
		q->name_length = parts->portal.length;
		e->unsynced = true;
		pg_snapshot_on_sent(e, p->plan ? p->plan->text : NULL);
		pg_changes_begin(&e->changes, e->batch + 1);
		pg_hold_bound(e, &e->changes, p->plan, statement->exact, bound, parts->portal);
		r = pg_names_begin(&e->portals, parts->portal, portal, e->batch);
	}
	pg_portal_put(portal);
	pg_pending_clear(e);
	if (r == -E2BIG)
		return pg_fail(e, REASON_LIMIT, "more than %u portals", LIMIT_PREPARED_STATEMENTS);
	return r < 0 ? PG_TAKEN : pg_send_on(e, m);
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
	return pg_send_poison(e, m, kind, type, SLICE_EMPTY, state, slice_from_string(text));
}

/* Where we only observe, the server decides whether it has such a name: code that it runs may have
 * made it, unseen. */
static struct pg_statement *unseen_statement(struct pg_engine *e)
{
	struct pg_pending *p = &e->pending;

	if (!p->statement) {
		p->statement = pg_statement_new(
			NULL, slice_from_string("(a prepared statement that was not seen)"));
		p->statement->by_sql = true;
	}
	return p->statement;
}

/* What runs may be a PREPARE or CLOSE that gives the name to another one. */
static enum pg_lookup_result find_name(
	const struct pg_engine *e, const struct pg_names *names, struct slice name, void **ret)
{
	if (e->effects_in_flight)
		return PG_NAME_UNCERTAIN;
	return pg_names_find(names, name, e->batch, ret);
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

int pg_extended_on_bind(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_bind parts;
	void *found = NULL;
	struct pg_statement *statement;
	int r = pg_bind_parse(m->body, m->complete, e->pending.values, &parts);

	if (r < 0)
		return r;
	if (refuses_name(e, parts.portal))
		return refuse_name(e, m, PG_REQUEST_BIND);
	switch (find_name(e, &e->statements, parts.statement, &found)) {
	case PG_NAME_UNCERTAIN:
		return pg_judge_drain(e);
	case PG_NAME_MISSING:
		if (!e->base.host->observes)
			return missing(e, m, PG_REQUEST_BIND, 'B', "prepared statement",
				PG_STATE_NO_STATEMENT, parts.statement);
		statement = unseen_statement(e);
		break;
	default:
		statement = found;
	}
	if (e->pending.decision == PG_RELEASED) {
		r = pg_role_take(e, e->pending.as, e->pending.plan, e->pending.action);
		if (r != PG_TAKEN)
			return r;
	}
	if (e->pending.decision == PG_REFUSED)
		return pg_send_refused(e, m, PG_REQUEST_BIND, 'B', SLICE_EMPTY);
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
	pg_hold_may(e, m);
	e->pending.by_portal = true;
	e->pending.bound[0] = parts.bound;
	e->pending.values_length = parts.values_length;
	e->pending.bound[1] = statement->types;
	pg_bind_types(statement->types, statement->described, e->pending.values, parts.value_count);
	e->pending.unit = e->batch + 1;
	e->pending.portal = parts.portal;
	e->pending.behind = e->behind;
	return pg_judge_ask(e, statement->exact, ACTION_RUN, statement->action, &parts);
}

/* --- Execute --- */

/* Describes the portal for ourselves, where the agent did not: masks need origins and types. */
static int describe_privately(struct pg_engine *e, struct pg_portal *portal, struct slice name)
{
	struct pg_request *q = pg_send_request(e, PG_REQUEST_DESCRIBE_PORTAL);
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
	q = pg_send_request(e, PG_REQUEST_EXECUTE);
	if (!q)
		return PG_TAKEN;
	q->action = portal->action;
	q->portal = pg_portal_get(portal);
	portal->begun = true;
	e->unsynced = true;
	pg_snapshot_on_sent(e, portal->plan ? portal->plan->text : NULL);
	pg_send_reader(e, q, portal->plan);
	if (portal->plan && e->base.host->needs_facts)
		pg_send_effects(e, q, portal->plan);
	pg_changes_begin(&e->changes, e->batch + 1);
	pg_hold_ran(e, &e->changes, name, portal);
	pg_pending_clear(e);
	r = pg_send_on(e, m);
	return r == PG_TAKEN && portal->as ? pg_role_give_back(e) : r;
}

/* Unless its Bind stands right before it. */
static int execute_take_role(struct pg_engine *e, struct pg_portal *portal)
{
	if (e->acting.portal == portal)
		return PG_TAKEN;
	return pg_role_take(e, portal->as, portal->plan, portal->action);
}

/* Whether the server planned it when it was bound. All else (COPY, EXECUTE, EXPLAIN, definitions)
 * it takes up by name when the portal is executed. */
static bool is_planned_by_bind(const struct pg_plan *plan)
{
	for (size_t i = 0; i < plan->action.pair_count; i++) {
		switch (plan->action.pairs[i].operation) {
		case OPERATION_SELECT:
		case OPERATION_INSERT:
		case OPERATION_UPDATE:
		case OPERATION_DELETE:
		case OPERATION_MERGE:
		case OPERATION_CATALOG:
		case OPERATION_FUNCTION:
			break;
		default:
			return false;
		}
	}
	return plan->action.pair_count > 0 && !pg_judge_uses_names(plan->text);
}

static bool calls_functions(const struct pg_plan *plan)
{
	for (size_t i = 0; i < plan->action.pair_count; i++) {
		if (plan->action.pairs[i].operation == OPERATION_FUNCTION)
			return true;
	}
	return false;
}

/* What people approved runs as the role, with the search path and the DateStyle that it has when it
 * is executed, and so do triggers and functions behind it. */
static bool hangs_on_settings(const struct pg_portal *portal)
{
	return portal->decided && (!portal->begun || calls_functions(portal->plan));
}

bool pg_extended_is_granted(const struct pg_engine *e, const struct pg_portal *portal)
{
	struct protocol_host *host = e->base.host;

	return portal->grant.serial == 0 || !host->grants || host->grants(host, &portal->grant);
}

/* Whether what was judged by the Bind may not be what holds now: other rules, no grant any more, or
 * other names. */
static bool must_judge_again(const struct pg_engine *e, const struct pg_portal *portal)
{
	if (!portal->plan)
		return false;
	return portal->audience != e->base.host->audience || !pg_extended_is_granted(e, portal) ||
		(portal->meanings != e->meanings && portal->statement &&
			(!is_planned_by_bind(portal->plan) || hangs_on_settings(portal)));
}

static int execute_judge_again(struct pg_engine *e, struct pg_portal *portal)
{
	struct slice text = portal->statement ? portal->statement->exact : SLICE_EMPTY;
	int r = pg_judge_plan(e, portal->plan->text);

	if (r != PG_TAKEN)
		return r;
	e->pending.by_portal = true;
	return pg_judge_ask(e, text, ACTION_RUN, portal->action, NULL);
}

/* Its rows may be those of another cursor by now. They are masked as those of SQL's FETCH: by what
 * the server says of them alone. */
static int distrust(struct pg_engine *e, struct pg_portal *portal, struct slice name)
{
	struct sql_text *text = text_by_name("fetch all from", name);
	struct pg_masks *masks = NULL;
	struct pg_plan *plan;
	struct sql_view view;

	pg_naming_view(e, &view);
	plan = pg_plan_make(text, &view, portal->audience, true);
	if (plan)
		masks = pg_plan_trace(plan, &view, &portal->masks->rules);
	pg_plan_put(plan);
	sql_text_put(text);
	if (!masks)
		return -E2BIG;
	pg_masks_put(portal->masks);
	portal->masks = masks;
	portal->traced = 0;
	portal->doubtful = false;
	pg_columns_free(portal->columns);
	portal->columns = NULL;
	return 0;
}

/* It goes on under the new verdict. */
static void take_verdict(struct pg_engine *e, struct pg_portal *portal)
{
	struct pg_pending *p = &e->pending;

	pg_masks_put(portal->masks);
	portal->masks = pg_masks_get(p->masks);
	free(portal->as);
	portal->as = p->as;
	p->as = NULL;
	portal->audience = e->base.host->audience;
	portal->meanings = e->meanings;
	portal->grant = p->grant;
	portal->action = p->action;
	portal->traced = portal->command;
	pg_plan_put(portal->plan);
	portal->plan = pg_plan_get(p->plan);
	pg_columns_free(portal->columns);
	portal->columns = NULL;
	p->decision = PG_UNDECIDED;
}

/* As unseen_statement(), for a portal. */
static int execute_unseen(struct pg_engine *e, const struct pg_frame *m, struct slice name)
{
	struct pg_pending *p = &e->pending;
	struct pg_portal *portal;
	int r;

	if (p->decision == PG_REFUSED)
		return pg_send_refused(e, m, PG_REQUEST_EXECUTE, 'E', SLICE_EMPTY);
	if (p->decision == PG_RELEASED) {
		portal = pg_portal_new(p->plan, 0);
		portal->action = p->action;
		r = execute_send(e, m, portal, name);
		pg_portal_put(portal);
		return r;
	}
	if (!p->text)
		p->text = text_by_name("fetch all from", name);
	r = pg_judge_plan(e, p->text);
	if (r != PG_TAKEN)
		return r;
	return pg_judge_ask(
		e, slice_from_string("(a portal that was not seen)"), ACTION_RUN, 0, NULL);
}

int pg_extended_on_execute(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name;
	void *found = NULL;
	struct pg_portal *portal;
	uint32_t most;
	int r;

	if (pg_get_string(&rest, &name) < 0 || pg_get_u32(&rest, &most) < 0 || rest.length)
		return -EBADMSG;
	switch (find_name(e, &e->portals, name, &found)) {
	case PG_NAME_UNCERTAIN:
		return pg_judge_drain(e);
	case PG_NAME_MISSING:
		if (e->base.host->observes)
			return execute_unseen(e, m, name);
		return missing(e, m, PG_REQUEST_EXECUTE, 'E', "portal", PG_STATE_NO_PORTAL, name);
	default:
		portal = found;
	}
	if (e->pending.decision == PG_RELEASED && is_planned_by_bind(portal->plan))
		pg_role_check_portal(e, portal);
	if (e->pending.decision == PG_REFUSED)
		return pg_send_refused(e, m, PG_REQUEST_EXECUTE, 'E', SLICE_EMPTY);
	if (e->pending.decision == PG_UNDECIDED && must_judge_again(e, portal))
		return execute_judge_again(e, portal);
	if (e->pending.decision == PG_RELEASED)
		take_verdict(e, portal);
	r = portal->doubtful && portal->masks ? distrust(e, portal, name) : 0;
	if (r < 0)
		return r;
	r = execute_take_role(e, portal);
	if (r != PG_TAKEN)
		return r;
	if (e->pending.decision == PG_REFUSED)
		return pg_send_refused(e, m, PG_REQUEST_EXECUTE, 'E', SLICE_EMPTY);
	return execute_send(e, m, portal, name);
}

/* --- Describe, Close --- */

int pg_extended_on_describe(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name;
	struct pg_request *q;
	void *found = NULL;
	uint8_t kind;

	if (pg_get_u8(&rest, &kind) < 0 || (kind != 'S' && kind != 'P') ||
		pg_get_string(&rest, &name) < 0 || rest.length)
		return -EBADMSG;
	q = pg_send_request(
		e, kind == 'S' ? PG_REQUEST_DESCRIBE_STATEMENT : PG_REQUEST_DESCRIBE_PORTAL);
	if (!q)
		return PG_TAKEN;
	e->unsynced = true;
	if (kind == 'P' && pg_names_find(&e->portals, name, e->batch, &found) == PG_NAME_FOUND) {
		q->portal = pg_portal_get(found);
		q->portal->describing = true;
	}
	if (kind == 'S' && pg_names_find(&e->statements, name, e->batch, &found) == PG_NAME_FOUND)
		q->statement = pg_statement_get(found);
	if (kind == 'S')
		pg_snapshot_on_sent(e, q->statement ? q->statement->text : NULL);
	return pg_send_on(e, m);
}

int pg_extended_on_close(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name;
	struct pg_request *q;
	uint8_t kind;

	if (pg_get_u8(&rest, &kind) < 0 || (kind != 'S' && kind != 'P') ||
		pg_get_string(&rest, &name) < 0 || rest.length)
		return -EBADMSG;
	q = pg_send_request(e, kind == 'S' ? PG_REQUEST_CLOSE_STATEMENT : PG_REQUEST_CLOSE_PORTAL);
	if (!q)
		return PG_TAKEN;
	q->name = memory_copy_text(name.data, name.length);
	q->name_length = name.length;
	e->unsynced = true;
	if (pg_names_begin(kind == 'S' ? &e->statements : &e->portals, name, NULL, e->batch) < 0)
		return pg_fail(e, REASON_LIMIT, "too many names");
	return pg_send_on(e, m);
}
