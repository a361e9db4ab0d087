/* SPDX-License-Identifier: Apache-2.0
 *
 * result: what the server answers to the request at the head where all is well: descriptions,
 * rows, completions, COPY.
 */
#include <errno.h>

#include "base/limits.h"
#include "protocol/postgres/copy.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/server.h"

/* --- statements and portals --- */

/* The simple completions: which request each one ends. */
int pg_result_on_complete(struct pg_engine *e, const struct pg_frame *m)
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
	if (!fits || (q->flags & PG_REQUEST_POISONED) || !pg_requests_sent(e))
		return -EBADMSG;
	probe = q->flags & PG_REQUEST_PROBE;
	if (m->type == 's')
		pg_settle_report(e, q, slice_from_string("(more)"), SLICE_EMPTY, SLICE_EMPTY);
	pg_settle_head(e, true);
	if (probe) {
		pg_query_probed(e, true);
		return 0;
	}
	return pg_server_forward(e, m);
}

/* So many as are shown. */
static void describe(struct pg_statement *statement, struct slice body)
{
	uint16_t count;

	if (statement->described.data || pg_get_u16(&body, &count) < 0)
		return;
	body = slice_head(body, 4 * (size_t)PG_VALUES_MOST);
	statement->described = slice_of(memory_copy_text(body.data, body.length), body.length);
}

int pg_result_on_parameters(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q || q->kind != PG_REQUEST_DESCRIBE_STATEMENT)
		return -EBADMSG;
	if (q->statement)
		describe(q->statement, m->body);
	return pg_server_forward(e, m);
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
			r = pg_columns_new(e, m->body, portal->masks, portal->traced,
				portal->record_rows, &portal->columns);
	}
	if (r < 0)
		return r;
	pg_settle_head(e, true);
	return private ? 0 : pg_server_forward(e, m);
}

int pg_result_on_row_description(struct pg_engine *e, const struct pg_frame *m)
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
	return pg_server_forward(e, m);
}

int pg_result_on_no_data(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q ||
		(q->kind != PG_REQUEST_DESCRIBE_STATEMENT && q->kind != PG_REQUEST_DESCRIBE_PORTAL))
		return -EBADMSG;
	return on_description(e, m);
}

/* --- results --- */

/* Of what a failed transaction is sent, only its end completes, or the way back to a savepoint.
 * Inside a batch no ReadyForQuery says so before what stands behind is judged. */
static void leave_failed(struct pg_engine *e)
{
	if (e->transaction == 'E')
		e->transaction = 'T';
}

int pg_result_on_command_complete(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	struct slice rest = m->body, tag;
	int r;

	if (!q || pg_get_string(&rest, &tag) < 0 || (q->flags & PG_REQUEST_POISONED) ||
		(q->kind != PG_REQUEST_QUERY && q->kind != PG_REQUEST_EXECUTE))
		return -EBADMSG;
	r = pg_settle_names(e, q);
	if (r < 0)
		return pg_fail(e, REASON_LIMIT, "too many names");
	q->flags |= PG_REQUEST_REPLIED;
	pg_settle_report(e, q, tag, SLICE_EMPTY, SLICE_EMPTY);
	if (q->kind == PG_REQUEST_EXECUTE) {
		leave_failed(e);
		pg_settle_head(e, true);
		return pg_server_forward(e, m);
	}
	q->command++;
	q->rows = 0;
	q->bytes = 0;
	pg_settle_rows(e);
	return pg_server_forward(e, m);
}

int pg_result_on_empty(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q || (q->kind != PG_REQUEST_QUERY && q->kind != PG_REQUEST_EXECUTE))
		return -EBADMSG;
	q->flags |= PG_REQUEST_REPLIED;
	pg_settle_report(e, q, slice_from_string("(empty)"), SLICE_EMPTY, SLICE_EMPTY);
	if (q->kind == PG_REQUEST_EXECUTE)
		pg_settle_head(e, true);
	return pg_server_forward(e, m);
}

int pg_result_on_function(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q || q->kind != PG_REQUEST_FUNCTION)
		return -EBADMSG;
	q->flags |= PG_REQUEST_REPLIED;
	pg_settle_report(e, q, slice_from_string("(function)"), SLICE_EMPTY, SLICE_EMPTY);
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
	return pg_server_forward(e, m);
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

int pg_result_on_copy_in(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);

	if (!q || (q->flags & PG_REQUEST_POISONED) ||
		(q->kind != PG_REQUEST_QUERY && q->kind != PG_REQUEST_EXECUTE))
		return -EBADMSG;
	q->flags |= PG_REQUEST_REPLIED;
	if (e->data_ends)
		e->data_ends--;
	else
		e->copying_in = true;
	/* What waits for the end of it is taken for one of the data's messages. */
	if (e->copying_in && e->wait == PG_WAIT_DRAIN)
		e->wait = PG_WAIT_NONE;
	ignore_syncs_behind(e);
	return pg_server_forward(e, m);
}

int pg_result_on_copy_out(struct pg_engine *e, const struct pg_frame *m)
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
	return pg_server_forward(e, m);
}

int pg_result_on_copy_both(struct pg_engine *e, const struct pg_frame *m)
{
	/* Only replication has it, and only where policy named it. */
	if (!e->startup.replication)
		return -EBADMSG;
	e->copying_both = true;
	return pg_server_forward(e, m);
}

int pg_result_on_copy_data(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	int r;

	if (!e->copying_out && !e->copying_both)
		return -EBADMSG;
	if (!e->copy) {
		if (q)
			q->bytes += PG_HEADER_SIZE + (uint64_t)m->length;
		return pg_server_forward(e, m);
	}
	r = pg_copy_data(e, q, m->body);
	e->from_server.mode = PG_STREAM_COPY;
	e->from_server.left = m->length - (uint32_t)m->body.length;
	return r;
}

int pg_result_on_copy_done(struct pg_engine *e, const struct pg_frame *m)
{
	int r = 0;

	if (!e->copying_out && !e->copying_both)
		return -EBADMSG;
	if (e->copy)
		r = pg_copy_end(e);
	e->copying_out = false;
	return r < 0 ? r : pg_server_forward(e, m);
}

/* --- DataRow --- */

/* The columns of the rows that come now; NULL: nothing is masked or recorded in them. -EBADMSG: no
 * rows belong here. */
int pg_result_columns(
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

	while (pg_header_get(slice_from(in, n), &header) && header.type == 'D' &&
		header.length <= pg_server_messages['D'].most) {
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

int pg_result_on_rows(struct pg_engine *e, struct slice in, size_t *taken)
{
	struct pg_columns *columns;
	struct pg_request *q;
	size_t n = 0;
	int r = pg_result_columns(e, &q, &columns);

	if (r < 0)
		return r;
	q->flags |= PG_REQUEST_REPLIED;
	if (!columns)
		return rows_through(e, q, in, taken);
	r = pg_rows_pass(e, q, columns, in, &n);
	*taken += n;
	return r;
}
