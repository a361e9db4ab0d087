/* SPDX-License-Identifier: Apache-2.0
 *
 * server: what the server sends. Each reply belongs to the oldest request in flight; notices,
 * notifications and parameter statuses come at any time.
 */
#include "protocol/postgres/server.h"

#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "protocol/postgres/copy.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/preview.h"
#include "protocol/postgres/role.h"

typedef int server_handler(struct pg_engine *e, const struct pg_frame *m);

/* --- passing on --- */

int pg_server_forward(struct pg_engine *e, const struct pg_frame *m)
{
	int r = pg_pass(e, SIDE_AGENT, m->whole);

	if (r == 0 && !m->complete) {
		e->from_server.mode = PG_STREAM_PASS;
		e->from_server.left = m->length - (uint32_t)m->body.length;
	}
	return r;
}

int pg_server_drop(struct pg_engine *e, const struct pg_frame *m)
{
	if (!m->complete) {
		e->from_server.mode = PG_STREAM_SKIP;
		e->from_server.left = m->length - (uint32_t)m->body.length;
	}
	return 0;
}

/* --- ready, status --- */

static bool portal_outlives(const void *target)
{
	return ((const struct pg_portal *)target)->hold;
}

static void set_transaction(struct pg_engine *e, char status)
{
	e->transaction = status;
	if (status == 'I') {
		pg_names_forget(&e->portals, portal_outlives);
		pg_role_on_end(e);
	}
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
	/* The verdict on what the StartupMessage asked for is not that of the first statement. */
	pg_pending_clear(e);
	e->phase = PG_PHASE_QUERY;
	e->agent = PG_AGENT_QUERY;
	e->held_ready = (char)m->body.data[0];
	r = pg_naming_refresh(e);
	if (r == PG_WAITING)
		return 0;
	e->held_ready = 0;
	return r < 0 && r != -EPERM ? r : pg_server_forward(e, m);
}

static int on_ready(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	bool private = false, query = false;
	int r;

	if (m->body.length != 1)
		return -EBADMSG;
	if (e->phase == PG_PHASE_STARTUP)
		return on_first_ready(e, m);
	if (q && (q->kind == PG_REQUEST_SYNC || (q->flags & PG_REQUEST_REPLIED)) &&
		(q->kind == PG_REQUEST_SYNC || q->kind == PG_REQUEST_QUERY ||
			q->kind == PG_REQUEST_FUNCTION)) {
		private = q->flags & PG_REQUEST_PRIVATE;
		query = q->kind == PG_REQUEST_QUERY;
		pg_settle_head(e, !(q->flags & PG_REQUEST_FAILED));
	} else if (e->ignored_syncs > 0) {
		/* Its COPY had failed before: it was none of the data's, and ended the skipping. */
		e->ignored_syncs--;
		e->skipping = false;
	} else {
		return -EBADMSG;
	}
	/* Behind the request's own effects: now they are committed, or undone. */
	set_transaction(e, (char)m->body.data[0]);
	r = pg_role_on_ready(e, query, private);
	if (r != PG_TAKEN)
		return r;
	r = pg_inject_rename(e);
	if (r == PG_WAITING) {
		e->held_ready = e->transaction;
		return 0;
	}
	return r < 0 ? r : pg_server_forward(e, m);
}

static void on_server_encoding(struct pg_engine *e, struct slice name)
{
	if (sql_encoding_clean(name, e->server_encoding) < 0)
		e->server_encoding[0] = '\0';
}

static int on_parameter_status(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, name, value;
	int r = 0;

	if (pg_get_string(&rest, &name) < 0 || pg_get_string(&rest, &value) < 0 || rest.length)
		return -EBADMSG;
	if (slice_equal_string(name, "client_encoding"))
		pg_naming_on_encoding(e, value);
	else if (slice_equal_string(name, "server_encoding"))
		on_server_encoding(e, value);
	else if (slice_equal_string(name, "standard_conforming_strings"))
		e->unsafe_strings = !slice_equal_string(value, "on");
	else if (slice_equal_string(name, "application_name"))
		r = pg_inject_on_name(e, value);
	else
		pg_meanings_on_status(&e->values_mean, name, value);
	if (r != 0)
		return r < 0 ? r : 0;
	return pg_scrub(e, m->whole, 'S', m->body, pg_requests_head(&e->requests));
}

static int on_key(struct pg_engine *e, const struct pg_frame *m)
{
	buffer_clear(&e->cancel_key);
	if (m->body.length < 8 || buffer_append_slice(&e->cancel_key, m->body) < 0)
		return -EBADMSG;
	return pg_server_forward(e, m);
}

static int on_authentication(struct pg_engine *e, const struct pg_frame *m)
{
	return pg_authentication_server(e, m->whole, m->body);
}

static server_handler *const handlers[256] = {
	['R'] = on_authentication,
	['v'] = pg_server_forward,
	['K'] = on_key,
	['S'] = on_parameter_status,
	['Z'] = on_ready,
	['E'] = pg_failure_on_error,
	['N'] = pg_failure_on_notice,
	['A'] = pg_failure_on_notice,
	['T'] = pg_result_on_row_description,
	['t'] = pg_result_on_parameters,
	['n'] = pg_result_on_no_data,
	['C'] = pg_result_on_command_complete,
	['I'] = pg_result_on_empty,
	['1'] = pg_result_on_complete,
	['2'] = pg_result_on_complete,
	['3'] = pg_result_on_complete,
	['s'] = pg_result_on_complete,
	['G'] = pg_result_on_copy_in,
	['H'] = pg_result_on_copy_out,
	['W'] = pg_result_on_copy_both,
	['d'] = pg_result_on_copy_data,
	['c'] = pg_result_on_copy_done,
	['V'] = pg_result_on_function,
};

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
	if (header.type == 'D' && (e->lookup || e->preview || pg_role_is_asked(e)))
		whole = header.length;
	else if (header.type == 'D' && pg_result_columns(e, &q, &columns) == 0 && columns)
		whole = header.length <= LIMIT_ROW_MASKED ? header.length : 0;
	whole += PG_HEADER_SIZE;
	return in.length >= whole ? 1 : whole - in.length;
}

/* Replies to our own queries go there; what comes unasked goes the usual way. A preview is asked
 * for when nothing is in flight, so its replies come first. An error of a role's ends what the
 * agent asked for. */
static bool is_our_own(const struct pg_engine *e, uint8_t type)
{
	if (e->lookup || e->preview)
		return type != 'N' && type != 'A' && type != 'S';
	return pg_role_is_asked(e) && strchr("123CD", type);
}

/* What the server says of our queries, if the agent asked for DEBUG or LOG: their texts, too. That
 * another process crashed comes as a WARNING at any time. */
static bool is_notice_for_us(const struct pg_engine *e, const struct pg_frame *m)
{
	return (e->lookup || e->preview || pg_role_is_asked(e)) && m->type == 'N' &&
		!slice_equal_string(pg_error_field(m->body, 'V'), "WARNING");
}

static int reply_to_us(struct pg_engine *e, const struct pg_frame *m)
{
	if (e->preview)
		return pg_preview_reply(e, m->type, m->body);
	if (!e->lookup)
		return pg_role_on_reply(e, m->type);
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

		r = pg_result_on_rows(e, in, taken);
		return r < 0 ? r : *taken > before;
	}
	r = is_notice_for_us(e, &m) ? pg_server_drop(e, &m) : handlers[m.type](e, &m);
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
