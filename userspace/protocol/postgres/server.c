/* SPDX-License-Identifier: Apache-2.0
 *
 * server: what the server sends. Each reply belongs to the oldest request in flight; notices,
 * notifications and parameter statuses come at any time.
 */
#include <errno.h>

#include "base/limits.h"
#include "base/text.h"
#include "protocol/postgres/copy.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/preview.h"

typedef int server_handler(struct pg_engine *e, const struct pg_frame *m);

/* --- requests that end --- */

static int forward(struct pg_engine *e, const struct pg_frame *m)
{
	int r = pg_pass(e, SIDE_AGENT, m->whole);

	if (r == 0 && !m->complete) {
		e->from_server.mode = PG_STREAM_PASS;
		e->from_server.left = m->length - (uint32_t)m->body.length;
	}
	return r;
}

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
	if (q->flags & PG_REQUEST_EFFECTS) {
		const struct pg_plan *plan = request_plan(q);

		e->effects_in_flight--;
		/* Even a failed text may have run in part. */
		pg_naming_on_effects(e, plan ? plan->resolution.effects : SQL_EFFECT_UNKNOWN);
	}
	pg_requests_remove(&e->requests, index);
}

static void finish_head(struct pg_engine *e, bool succeeded)
{
	pg_columns_free(e->columns);
	e->columns = NULL;
	copy_stream_free(e->copy);
	e->copy = NULL;
	e->copying_in = false;
	e->copying_out = false;
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

static void report(struct pg_engine *e, const struct pg_request *q, struct slice tag,
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

/* --- errors --- */

/* After an error in the extended protocol the server skips to the next Sync. */
static void skip_to_sync(struct pg_engine *e)
{
	while (e->requests.count) {
		struct pg_request *q = pg_requests_head(&e->requests);

		if (q->kind == PG_REQUEST_SYNC)
			return;
		finish_head(e, false);
	}
	e->skipping = true;
}

/* The error of a message that was sent in order to fail, in the words of the refusal. */
static int reword(struct pg_engine *e, const struct pg_request *q)
{
	int r;

	buffer_clear(&e->scratch);
	r = pg_error_put(&e->scratch, false, q->state, slice_from_string(q->refusal));
	return r < 0 ? r : pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
}

static bool is_poisons_error(const struct pg_request *q, struct slice code)
{
	const char *expected = q->kind == PG_REQUEST_BIND ? PG_STATE_NO_STATEMENT
		: q->kind == PG_REQUEST_EXECUTE           ? PG_STATE_NO_PORTAL
							  : PG_STATE_SYNTAX_ERROR;

	return (q->flags & PG_REQUEST_POISONED) && slice_equal_string(code, expected);
}

/* Our own Parse was refused in a way in which the agent's Query would not have been. */
static bool is_probes_own_error(struct slice body)
{
	return slice_equal_string(pg_error_field(body, 'C'), PG_STATE_SYNTAX_ERROR) &&
		slice_equal_string(pg_error_field(body, 'R'), "exec_parse_message");
}

/* A text of more than a MiB is not held. */
static int pass_text(struct pg_engine *e, const struct pg_frame *m, struct pg_request *q)
{
	if (m->complete)
		return pg_scrub(e, m->whole, m->type, m->body, q);
	if (!pg_scrub_needed(e, q))
		return forward(e, m);
	e->from_server.mode = PG_STREAM_SKIP;
	e->from_server.left = m->length - (uint32_t)m->body.length;
	return pg_scrub_oversized(e, m->type);
}

/* For the record: as the agent got it, where something was taken out. */
static struct slice error_text(
	struct pg_engine *e, const struct pg_frame *m, const struct pg_request *q)
{
	struct slice sent = slice_from(buffer_slice(&e->scratch), PG_HEADER_SIZE);

	return pg_error_field(pg_scrub_needed(e, q) ? sent : m->body, 'M');
}

/* The error stands for the whole probed Query, whose ReadyForQuery a Sync of ours will give. */
static int on_probe_error(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	bool accepted = is_probes_own_error(m->body);
	int r = 0;

	if (!accepted) {
		r = pass_text(e, m, q);
		report(e, q, SLICE_EMPTY, pg_error_field(m->body, 'C'), error_text(e, m, q));
	}
	finish_head(e, false);
	e->skipping = false;
	if (accepted) {
		/* The server now waits for a Sync before it reads a Query. */
		static const uint8_t sync[] = {'S', 0, 0, 0, 4};
		struct pg_request *own = pg_requests_push(&e->requests, PG_REQUEST_SYNC);

		if (own) {
			own->flags = PG_REQUEST_PRIVATE;
			r = pg_write(e, SIDE_SERVER, slice_of(sync, sizeof(sync)));
		}
	}
	pg_agent_probed(e, accepted);
	return r;
}

static int on_error(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	struct slice code = pg_error_field(m->body, 'C');
	bool extended;
	int r;

	if (e->phase == PG_PHASE_AUTHENTICATION && m->complete && pg_inject_on_error(e, m->body))
		return 0;
	if (e->phase != PG_PHASE_QUERY || !q)
		return pass_text(e, m, NULL);
	if (q->flags & PG_REQUEST_PROBE)
		return on_probe_error(e, m);
	q->flags |= PG_REQUEST_REPLIED | PG_REQUEST_FAILED;
	if (is_poisons_error(q, code)) {
		r = reword(e, q);
	} else {
		r = pass_text(e, m, q);
		report(e, q, SLICE_EMPTY, code, error_text(e, m, q));
	}
	extended = q->kind != PG_REQUEST_QUERY && q->kind != PG_REQUEST_FUNCTION;
	e->copying_in = false;
	e->copying_out = false;
	if (extended)
		skip_to_sync(e);
	return r;
}

static int drop(struct pg_engine *e, const struct pg_frame *m)
{
	if (!m->complete) {
		e->from_server.mode = PG_STREAM_SKIP;
		e->from_server.left = m->length - (uint32_t)m->body.length;
	}
	return 0;
}

/* A notice or a notification. */
static int on_notice(struct pg_engine *e, const struct pg_frame *m)
{
	/* A channel that was listened to before. */
	if (m->type == 'A' && e->base.host->suspended)
		return drop(e, m);
	return pass_text(e, m, pg_requests_head(&e->requests));
}

/* --- statements and portals --- */

/* The simple completions: which request each one ends. */
static int on_complete(struct pg_engine *e, const struct pg_frame *m)
{
	static const struct {
		uint8_t type, kind;
	} ends[] = {
		{'1', PG_REQUEST_PARSE},
		{'2', PG_REQUEST_BIND},
		{'3', PG_REQUEST_CLOSE_STATEMENT},
		{'3', PG_REQUEST_CLOSE_PORTAL},
		{'s', PG_REQUEST_EXECUTE},
	};
	struct pg_request *q = pg_requests_head(&e->requests);
	bool fits = false, probe;

	for (size_t i = 0; q && i < ARRAY_SIZE(ends); i++)
		fits |= ends[i].type == m->type && ends[i].kind == q->kind;
	if (!fits || (q->flags & PG_REQUEST_POISONED))
		return -EBADMSG;
	probe = q->flags & PG_REQUEST_PROBE;
	if (m->type == 's')
		report(e, q, slice_from_string("(more)"), SLICE_EMPTY, SLICE_EMPTY);
	finish_head(e, true);
	if (probe) {
		pg_agent_probed(e, true);
		return 0;
	}
	return forward(e, m);
}

static int on_parameters(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q || q->kind != PG_REQUEST_DESCRIBE_STATEMENT)
		return -EBADMSG;
	return forward(e, m);
}

/* RowDescription or NoData that answers a Describe. */
static int on_description(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	struct pg_portal *portal = q->portal;
	bool private = q->flags & PG_REQUEST_PRIVATE;
	int r = 0;

	if (portal && (portal->masks || portal->record_rows)) {
		pg_columns_free(portal->columns);
		portal->columns = NULL;
		if (m->type == 'n')
			portal->columns = pg_columns_none();
		else
			r = pg_columns_new(e, m->body, portal->masks, portal->command,
				portal->record_rows, &portal->columns);
	}
	if (r < 0)
		return r;
	finish_head(e, true);
	return private ? 0 : forward(e, m);
}

static int on_row_description(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	int r;

	if (!q)
		return -EBADMSG;
	if (q->kind == PG_REQUEST_DESCRIBE_STATEMENT || q->kind == PG_REQUEST_DESCRIBE_PORTAL)
		return on_description(e, m);
	if (q->kind != PG_REQUEST_QUERY || (q->flags & PG_REQUEST_POISONED))
		return -EBADMSG;
	q->flags |= PG_REQUEST_REPLIED;
	if (q->masks || (q->flags & PG_REQUEST_RECORDS_ROWS)) {
		pg_columns_free(e->columns);
		e->columns = NULL;
		r = pg_columns_new(e, m->body, q->masks, q->command,
			q->flags & PG_REQUEST_RECORDS_ROWS, &e->columns);
		if (r < 0)
			return r;
	}
	return forward(e, m);
}

static int on_no_data(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q ||
		(q->kind != PG_REQUEST_DESCRIBE_STATEMENT && q->kind != PG_REQUEST_DESCRIBE_PORTAL))
		return -EBADMSG;
	return on_description(e, m);
}

/* --- results --- */

/* What SQL does to the names of statements and cursors, once the command ran. */
static int apply_names(struct pg_engine *e, const struct pg_request *q)
{
	const struct pg_plan *plan = request_plan(q);
	size_t index = q->kind == PG_REQUEST_QUERY ? q->command : 0;
	const struct sql_command *command;
	struct pg_statement *statement;
	struct pg_portal *portal;
	int r = 0;

	if (!plan || index >= sql_text_command_count(plan->text))
		return 0;
	command = sql_text_command(plan->text, index);
	switch (command->kind) {
	case SQL_COMMAND_PREPARE:
		statement = pg_statement_new(plan->text, command->part);
		statement->command = index;
		statement->by_sql = true;
		statement->action = q->action;
		r = pg_names_set(&e->statements, command->name, statement);
		pg_statement_put(statement);
		return r;
	case SQL_COMMAND_DECLARE:
		portal = pg_portal_new((struct pg_plan *)plan, index);
		portal->masks = pg_masks_get(q->portal ? q->portal->masks : q->masks);
		portal->action = q->action;
		portal->audience = e->base.host->audience;
		portal->hold = command->hold;
		r = pg_names_set(&e->portals, command->name, portal);
		pg_portal_put(portal);
		return r;
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

static int on_command_complete(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	struct slice rest = m->body, tag;
	int r;

	if (!q || pg_get_string(&rest, &tag) < 0 || (q->flags & PG_REQUEST_POISONED) ||
		(q->kind != PG_REQUEST_QUERY && q->kind != PG_REQUEST_EXECUTE))
		return -EBADMSG;
	r = apply_names(e, q);
	if (r < 0)
		return pg_fail(e, REASON_LIMIT, "too many names");
	q->flags |= PG_REQUEST_REPLIED;
	report(e, q, tag, SLICE_EMPTY, SLICE_EMPTY);
	if (q->kind == PG_REQUEST_EXECUTE) {
		finish_head(e, true);
		return forward(e, m);
	}
	q->command++;
	q->rows = 0;
	q->bytes = 0;
	pg_columns_free(e->columns);
	e->columns = NULL;
	copy_stream_free(e->copy);
	e->copy = NULL;
	e->copying_in = false;
	e->copying_out = false;
	return forward(e, m);
}

static int on_empty(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q || (q->kind != PG_REQUEST_QUERY && q->kind != PG_REQUEST_EXECUTE))
		return -EBADMSG;
	q->flags |= PG_REQUEST_REPLIED;
	report(e, q, slice_from_string("(empty)"), SLICE_EMPTY, SLICE_EMPTY);
	if (q->kind == PG_REQUEST_EXECUTE)
		finish_head(e, true);
	return forward(e, m);
}

/* --- COPY --- */

/* What the server reads while it waits for COPY data it ignores if it is Sync (and Flush); anything
 * else fails the COPY. So the Syncs that were sent right behind may have no reply. */
static void ignore_syncs_behind(struct pg_engine *e)
{
	while (e->requests.count > 1 && pg_requests_at(&e->requests, 1)->kind == PG_REQUEST_SYNC) {
		pg_requests_remove(&e->requests, 1);
		e->ignored_syncs++;
	}
}

static int on_copy_in(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q || (q->flags & PG_REQUEST_POISONED) ||
		(q->kind != PG_REQUEST_QUERY && q->kind != PG_REQUEST_EXECUTE))
		return -EBADMSG;
	q->flags |= PG_REQUEST_REPLIED;
	e->copying_in = true;
	ignore_syncs_behind(e);
	return forward(e, m);
}

static int on_copy_out(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	int r;

	if (!q || (q->flags & PG_REQUEST_POISONED) ||
		(q->kind != PG_REQUEST_QUERY && q->kind != PG_REQUEST_EXECUTE))
		return -EBADMSG;
	q->flags |= PG_REQUEST_REPLIED;
	r = pg_copy_begin(e, q, m->body);
	if (r < 0)
		return r;
	e->copying_out = true;
	return forward(e, m);
}

static int on_copy_both(struct pg_engine *e, const struct pg_frame *m)
{
	/* Only replication has it, and only where policy named it. */
	if (!e->startup.replication)
		return -EBADMSG;
	e->copying_both = true;
	return forward(e, m);
}

static int on_copy_data(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	int r;

	if (!e->copying_out && !e->copying_both)
		return -EBADMSG;
	if (!e->copy) {
		if (q)
			q->bytes += PG_HEADER_SIZE + (uint64_t)m->length;
		return forward(e, m);
	}
	r = pg_copy_data(e, q, m->body);
	e->from_server.mode = PG_STREAM_COPY;
	e->from_server.left = m->length - (uint32_t)m->body.length;
	return r;
}

static int on_copy_done(struct pg_engine *e, const struct pg_frame *m)
{
	int r = 0;

	if (!e->copying_out && !e->copying_both)
		return -EBADMSG;
	if (e->copy)
		r = pg_copy_end(e);
	e->copying_out = false;
	return r < 0 ? r : forward(e, m);
}

/* --- ready, status --- */

static bool portal_outlives(const void *target)
{
	return ((const struct pg_portal *)target)->hold;
}

static void set_transaction(struct pg_engine *e, char status)
{
	e->transaction = status;
	if (status == 'I')
		pg_names_forget(&e->portals, portal_outlives);
	pg_naming_on_ready(e);
}

/* The first ReadyForQuery: the login is complete. What names mean is read before the agent knows.
 */
static int on_first_ready(struct pg_engine *e, const struct pg_frame *m)
{
	struct protocol_event *event = pg_event(e, EVENT_LOGIN);
	int r;

	event->login.user = e->startup.user;
	event->login.database = e->startup.database;
	event->login.application = e->startup.application;
	event->login.cancel_key = buffer_slice(&e->cancel_key);
	e->phase = PG_PHASE_QUERY;
	e->agent = PG_AGENT_QUERY;
	e->held_ready = (char)m->body.data[0];
	r = pg_naming_refresh(e);
	if (r == PG_WAITING)
		return 0;
	e->held_ready = 0;
	return r < 0 && r != -EPERM ? r : forward(e, m);
}

static int on_ready(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	bool private = false;
	int r;

	if (m->body.length != 1)
		return -EBADMSG;
	if (e->phase == PG_PHASE_STARTUP)
		return on_first_ready(e, m);
	if (q && (q->kind == PG_REQUEST_SYNC || (q->flags & PG_REQUEST_REPLIED)) &&
		(q->kind == PG_REQUEST_SYNC || q->kind == PG_REQUEST_QUERY ||
			q->kind == PG_REQUEST_FUNCTION)) {
		private = q->flags & PG_REQUEST_PRIVATE;
		finish_head(e, !(q->flags & PG_REQUEST_FAILED));
	} else if (e->ignored_syncs > 0) {
		e->ignored_syncs--;
	} else {
		return -EBADMSG;
	}
	/* Behind the request's own effects: now they are committed, or undone. */
	set_transaction(e, (char)m->body.data[0]);
	if (private)
		return 0;
	r = pg_inject_rename(e);
	if (r == PG_WAITING) {
		e->held_ready = e->transaction;
		return 0;
	}
	return r < 0 ? r : forward(e, m);
}

static int on_parameter_status(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name, value;
	int r = 0;

	if (pg_get_string(&rest, &name) < 0 || pg_get_string(&rest, &value) < 0 || rest.length)
		return -EBADMSG;
	if (slice_equal_string(name, "client_encoding"))
		pg_naming_on_encoding(e, value);
	else if (slice_equal_string(name, "standard_conforming_strings"))
		e->unsafe_strings = !slice_equal_string(value, "on");
	else if (slice_equal_string(name, "application_name"))
		r = pg_inject_on_name(e, value);
	if (r != 0)
		return r < 0 ? r : 0;
	return pg_scrub(e, m->whole, 'S', m->body, pg_requests_head(&e->requests));
}

static int on_key(struct pg_engine *e, const struct pg_frame *m)
{
	buffer_clear(&e->cancel_key);
	if (m->body.length < 8 || buffer_append_slice(&e->cancel_key, m->body) < 0)
		return -EBADMSG;
	return forward(e, m);
}

static int on_authentication(struct pg_engine *e, const struct pg_frame *m)
{
	return pg_authentication_server(e, m->whole, m->body);
}

static int on_function_result(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q || q->kind != PG_REQUEST_FUNCTION)
		return -EBADMSG;
	q->flags |= PG_REQUEST_REPLIED;
	report(e, q, slice_from_string("(function)"), SLICE_EMPTY, SLICE_EMPTY);
	/* A bare value without a type: what can't be judged is not shown where anything is masked.
	 */
	if (q->masks) {
		static const uint8_t null_result[] = {'V', 0, 0, 0, 8, 0xff, 0xff, 0xff, 0xff};

		if (!m->complete) {
			e->from_server.mode = PG_STREAM_SKIP;
			e->from_server.left = m->length - (uint32_t)m->body.length;
		}
		return pg_write(e, SIDE_AGENT, slice_of(null_result, sizeof(null_result)));
	}
	return forward(e, m);
}

static server_handler *const handlers[256] = {
	['R'] = on_authentication,
	['v'] = forward,
	['K'] = on_key,
	['S'] = on_parameter_status,
	['Z'] = on_ready,
	['E'] = on_error,
	['N'] = on_notice,
	['A'] = on_notice,
	['T'] = on_row_description,
	['t'] = on_parameters,
	['n'] = on_no_data,
	['C'] = on_command_complete,
	['I'] = on_empty,
	['1'] = on_complete,
	['2'] = on_complete,
	['3'] = on_complete,
	['s'] = on_complete,
	['G'] = on_copy_in,
	['H'] = on_copy_out,
	['W'] = on_copy_both,
	['d'] = on_copy_data,
	['c'] = on_copy_done,
	['V'] = on_function_result,
};

/* --- DataRow --- */

/* The columns of the rows that come now; NULL: nothing is masked or recorded in them. -EBADMSG: no
 * rows belong here. */
static int row_columns(
	struct pg_engine *e, struct pg_request **ret_request, struct pg_columns **ret_columns)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q || (q->flags & PG_REQUEST_POISONED))
		return -EBADMSG;
	*ret_request = q;
	if (q->kind == PG_REQUEST_QUERY) {
		*ret_columns = e->columns;
		return (q->masks && !e->columns) ? -EBADMSG : 0;
	}
	if (q->kind != PG_REQUEST_EXECUTE)
		return -EBADMSG;
	*ret_columns = q->portal->columns;
	return (q->portal->masks && !q->portal->columns) ? -EBADMSG : 0;
}

/* Rows that nothing is done to: whole runs, and the last one in pieces. */
static int rows_through(struct pg_engine *e, struct pg_request *q, struct slice in, size_t *taken)
{
	size_t n = 0;
	struct pg_header header;
	int r;

	while (pg_header_get(slice_from(in, n), &header) && header.type == 'D') {
		size_t size = PG_HEADER_SIZE + (size_t)header.length;

		q->rows++;
		q->bytes += size;
		if (size > in.length - n) {
			e->from_server.mode = PG_STREAM_PASS;
			e->from_server.left = (uint32_t)(size - (in.length - n));
			n = in.length;
			break;
		}
		n += size;
	}
	r = pg_pass(e, SIDE_AGENT, slice_head(in, n));
	*taken += n;
	return r;
}

static int on_rows(struct pg_engine *e, struct slice in, size_t *taken)
{
	struct pg_columns *columns;
	struct pg_request *q;
	size_t n = 0;
	int r = row_columns(e, &q, &columns);

	if (r < 0)
		return r;
	q->flags |= PG_REQUEST_REPLIED;
	if (!columns)
		return rows_through(e, q, in, taken);
	r = pg_rows_pass(e, q, columns, in, &n);
	*taken += n;
	return r;
}

/* --- framing --- */

static int stream_on(struct pg_engine *e, struct slice in, size_t *taken)
{
	struct slice part = slice_head(slice_from(in, *taken), e->from_server.left);
	int r = 0;

	if (e->from_server.mode == PG_STREAM_PASS)
		r = pg_pass(e, SIDE_AGENT, part);
	else if (e->from_server.mode == PG_STREAM_COPY)
		r = pg_copy_data(e, pg_requests_head(&e->requests), part);
	e->from_server.left -= (uint32_t)part.length;
	*taken += part.length;
	return r;
}

/* A DataRow must be complete to be masked, all others as their table says. */
size_t pg_server_needs(struct pg_engine *e, struct slice in)
{
	const struct pg_message *message;
	struct pg_columns *columns = NULL;
	struct pg_request *q;
	struct pg_header header;
	size_t whole;

	if (!pg_header_get(in, &header))
		return PG_HEADER_SIZE - in.length;
	message = &pg_server_messages[header.type];
	if (!message->name || header.length > message->most)
		return 1;
	whole = header.length <= message->whole ? header.length : message->whole;
	if (header.type == 'D' && (e->lookup || e->preview))
		whole = header.length;
	else if (header.type == 'D' && row_columns(e, &q, &columns) == 0 && columns)
		whole = header.length <= LIMIT_ROW_MASKED ? header.length : 0;
	whole += PG_HEADER_SIZE;
	return in.length >= whole ? 1 : whole - in.length;
}

/* Replies to our own queries go there; what comes unasked goes the usual way. A preview is asked
 * for when nothing is in flight, so its replies come first. */
static bool is_our_own(const struct pg_engine *e, uint8_t type)
{
	return (e->lookup || e->preview) && type != 'N' && type != 'A' && type != 'S';
}

/* What the server says of our queries, if the agent asked for DEBUG or LOG: their texts, too. That
 * another process crashed comes as a WARNING at any time. */
static bool is_notice_for_us(const struct pg_engine *e, const struct pg_frame *m)
{
	return (e->lookup || e->preview) && m->type == 'N' &&
		!slice_equal_string(pg_error_field(m->body, 'V'), "WARNING");
}

static int reply_to_us(struct pg_engine *e, const struct pg_frame *m)
{
	if (e->preview)
		return pg_preview_reply(e, m->type, m->body);
	return pg_lookup_reply(e, m->type, m->body);
}

static int handle(struct pg_engine *e, struct slice in, size_t *taken)
{
	struct pg_frame m;
	int r = pg_frame_next(pg_server_messages, e->phase, in, &m);

	if (r <= 0)
		return r;
	if (is_our_own(e, m.type)) {
		if (m.type == 'D' && !m.complete)
			return in.length >= PG_HEADER_SIZE + (size_t)m.length ? -EBADMSG : 0;
		*taken += m.whole.length;
		return reply_to_us(e, &m) < 0 ? -EBADMSG : 1;
	}
	if (m.type == 'D') {
		size_t before = *taken;

		r = on_rows(e, in, taken);
		return r < 0 ? r : *taken > before;
	}
	r = is_notice_for_us(e, &m) ? drop(e, &m) : handlers[m.type](e, &m);
	*taken += m.whole.length;
	return r < 0 ? r : 1;
}

int pg_server_input(struct pg_engine *e, struct slice in, size_t *ret_taken)
{
	size_t taken = 0;
	int r = 1;

	/* An event refers to what the next message may change or free, so it is told first. */
	while (r > 0 && taken < in.length && e->events.count == 0 &&
		e->server == PG_SERVER_MESSAGES) {
		if (e->from_server.left) {
			r = stream_on(e, in, &taken);
			r = r < 0 ? r : 1;
			continue;
		}
		r = handle(e, slice_from(in, taken), &taken);
	}
	*ret_taken = taken;
	if (r == -EPERM) {
		*ret_taken = in.length;
		return pg_fail(
			e, REASON_MASK_IMPOSSIBLE, "%s", e->trouble ? e->trouble : "a result");
	}
	return r < 0 ? r : 0;
}
