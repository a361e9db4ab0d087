/* SPDX-License-Identifier: Apache-2.0
 *
 * settle: what a request leaves behind when the server has answered it: names take or lose their
 * meaning, what its text may have changed is looked up anew, and its result is told.
 */
#include <errno.h>

#include "base/text.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/role.h"
#include "protocol/postgres/server.h"

/* EXECUTE of an EXECUTE of …: deeper ones are not judged as known (resolve.c), and the server's own
 * stack ends them. */
#define EXECUTES_MOST 8

static struct slice request_name(const struct pg_request *q)
{
	return slice_of(q->name, q->name_length);
}

/* Its name takes or loses its new meaning. */
static void settle_name(struct pg_engine *e, struct pg_request *q, bool succeeded)
{
	switch (q->kind) {
	case PG_REQUEST_PARSE:
		if (!(q->flags & (PG_REQUEST_POISONED | PG_REQUEST_PROBE)))
			pg_names_end(&e->statements, request_name(q), q->statement, succeeded);
		break;
	case PG_REQUEST_BIND:
		if (!(q->flags & PG_REQUEST_POISONED))
			pg_names_end(&e->portals, request_name(q), q->portal, succeeded);
		break;
	case PG_REQUEST_CLOSE_STATEMENT:
		pg_names_end(&e->statements, request_name(q), NULL, succeeded);
		break;
	case PG_REQUEST_CLOSE_PORTAL:
		pg_names_end(&e->portals, request_name(q), NULL, succeeded);
		break;
	case PG_REQUEST_DESCRIBE_PORTAL:
		if (q->portal)
			q->portal->describing = false;
		break;
	default:
		break;
	}
}

static const struct pg_plan *request_plan(const struct pg_request *q)
{
	return q->plan ? q->plan : q->portal ? q->portal->plan : NULL;
}

/* Drops the request at `index`; what its text may have changed is looked up anew. */
static void finish(struct pg_engine *e, size_t index, bool succeeded)
{
	struct pg_request *q = pg_requests_at(&e->requests, index);

	settle_name(e, q, succeeded);
	/* Nothing else is in flight where there is any: it is over before it was sent. */
	if (buffer_length(&e->deferred))
		buffer_done(&e->deferred);
	if (q->flags & PG_REQUEST_EFFECTS) {
		const struct pg_plan *plan = request_plan(q);
		unsigned effects = plan ? pg_judge_effects(e, plan) : SQL_EFFECT_UNKNOWN;

		e->effects_in_flight--;
		/* Even a failed text may have run in part. */
		pg_role_on_effects(e, plan, effects);
		pg_naming_on_effects(e, effects);
	}
	if (q->flags & PG_REQUEST_READS_DATA && --e->readers_in_flight == 0)
		e->data_ends = 0;
	pg_requests_remove(&e->requests, index);
}

void pg_settle_rows(struct pg_engine *e)
{
	pg_columns_free(e->columns);
	e->columns = NULL;
	copy_stream_free(e->copy);
	e->copy = NULL;
	e->copying_in = false;
	e->copying_out = false;
}

void pg_settle_head(struct pg_engine *e, bool succeeded)
{
	pg_settle_rows(e);
	e->copying_both = false;
	finish(e, 0, succeeded);
}

/* Rows that a tag like "INSERT 0 5" or "SELECT 3" counts; 0 where it has no number. */
static uint64_t tag_rows(struct slice tag)
{
	size_t start = tag.length;
	uint64_t rows;

	while (start > 0 && tag.data[start - 1] >= '0' && tag.data[start - 1] <= '9')
		start--;
	if (text_to_number(slice_from(tag, start), UINT64_MAX, &rows) < 0)
		return 0;
	return rows;
}

void pg_settle_report(struct pg_engine *e, const struct pg_request *q, struct slice tag,
	struct slice code, struct slice text)
{
	uint64_t told = tag_rows(tag);
	struct protocol_event *event;

	if (q->action == 0 || (q->flags & PG_REQUEST_PRIVATE))
		return;
	event = pg_event(e, EVENT_RESULT);
	event->result = (struct protocol_result){
		.action = q->action,
		.rows = told ? told : q->rows,
		.bytes = q->bytes,
		.tag = tag,
		.error_code = code,
		.error_text = text,
	};
}

static int prepared(struct pg_engine *e, const struct pg_request *q, struct sql_text *text,
	size_t index, const struct sql_command *command)
{
	struct pg_statement *statement = pg_statement_new(text, command->part);
	int r;

	statement->command = index;
	statement->by_sql = true;
	statement->action = q->action;
	r = pg_names_set(&e->statements, command->name, statement);
	pg_statement_put(statement);
	return r;
}

static int declared(struct pg_engine *e, const struct pg_request *q, size_t index,
	const struct sql_command *command)
{
	struct pg_portal *portal = pg_portal_new((struct pg_plan *)request_plan(q), index);
	int r;

	portal->masks = pg_masks_get(q->portal ? q->portal->masks : q->masks);
	portal->grant = q->portal ? q->portal->grant : q->grant;
	portal->action = q->action;
	portal->audience = e->base.host->audience;
	portal->hold = command->hold;
	r = pg_names_set(&e->portals, command->name, portal);
	pg_portal_put(portal);
	return r;
}

static int settle_command(struct pg_engine *e, const struct pg_request *q, struct sql_text *text,
	size_t index, unsigned depth);

/* What the protocol's Parse prepared may be a command that changes names itself. */
static int executed(struct pg_engine *e, const struct pg_request *q,
	const struct sql_command *command, unsigned depth)
{
	struct pg_statement *statement;
	void *found = NULL;

	if (pg_names_find(&e->statements, command->name, e->batch, &found) != PG_NAME_FOUND)
		return 0;
	statement = found;
	if (statement->by_sql || !statement->text)
		return 0;
	return settle_command(e, q, statement->text, 0, depth + 1);
}

static int settle_command(struct pg_engine *e, const struct pg_request *q, struct sql_text *text,
	size_t index, unsigned depth)
{
	const struct sql_command *command;
	int r = 0;

	if (index >= sql_text_command_count(text))
		return 0;
	command = sql_text_command(text, index);
	switch (command->kind) {
	case SQL_COMMAND_PREPARE:
		return prepared(e, q, text, index, command);
	case SQL_COMMAND_EXECUTE:
		return depth < EXECUTES_MOST ? executed(e, q, command, depth) : 0;
	case SQL_COMMAND_DECLARE:
		/* Of one that EXECUTE declared, it is not known what was judged. */
		return depth ? pg_names_set(&e->portals, command->name, NULL)
			     : declared(e, q, index, command);
	case SQL_COMMAND_DEALLOCATE:
		if (command->all)
			pg_names_forget(&e->statements, NULL);
		else
			r = pg_names_set(&e->statements, command->name, NULL);
		return r;
	case SQL_COMMAND_CLOSE:
		if (command->all)
			pg_names_forget(&e->portals, NULL);
		else
			r = pg_names_set(&e->portals, command->name, NULL);
		return r;
	case SQL_COMMAND_COMMIT:
	case SQL_COMMAND_ROLLBACK:
	case SQL_COMMAND_ROLLBACK_TO:
		pg_names_doubt_portals(&e->portals);
		return 0;
	case SQL_COMMAND_DISCARD:
		if (command->all) {
			pg_names_forget(&e->statements, NULL);
			pg_names_forget(&e->portals, NULL);
		}
		return 0;
	default:
		return 0;
	}
}

int pg_settle_names(struct pg_engine *e, const struct pg_request *q)
{
	const struct pg_plan *plan = request_plan(q);

	return plan
		? settle_command(e, q, plan->text, q->kind == PG_REQUEST_QUERY ? q->command : 0, 0)
		: 0;
}
