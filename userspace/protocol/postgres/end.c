/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/engine.h"

#include <stdarg.h>
#include <stdio.h>

#include "protocol/postgres/error.h"

/* SQLSTATE of a refusal that ends the session. */
static const char *fatal_state(enum reason reason)
{
	switch (reason) {
	case REASON_UPSTREAM_UNREACHABLE:
		return PG_STATE_CANNOT_CONNECT;
	case REASON_UPSTREAM_TLS:
	case REASON_UPSTREAM_CLOSED:
	case REASON_TIMEOUT:
		return PG_STATE_CONNECTION_FAILURE;
	case REASON_PROTOCOL_VIOLATION:
		return PG_STATE_PROTOCOL_VIOLATION;
	case REASON_AUTHENTICATION:
		return PG_STATE_INVALID_AUTHORIZATION;
	case REASON_KILLED:
	case REASON_SHUTDOWN:
	case REASON_POLICY_CHANGED:
		return PG_STATE_ADMIN_SHUTDOWN;
	case REASON_INTERNAL:
		return PG_STATE_INTERNAL;
	case REASON_RECORDING_FAILED:
		return PG_STATE_IO_ERROR;
	case REASON_LIMIT:
	case REASON_TOO_LONG:
		return PG_STATE_PROGRAM_LIMIT;
	default:
		return PG_STATE_INSUFFICIENT_PRIVILEGE;
	}
}

/* After its StartupMessage (before that its libraries show no text), and not within a message of
 * the server's, of which it would be the rest. */
static bool agent_can_read_error(const struct pg_engine *e)
{
	bool within = e->from_server.left && e->from_server.mode == PG_STREAM_PASS;

	return !within && (e->agent == PG_AGENT_STARTED || e->agent == PG_AGENT_QUERY);
}

/* Tells the agent, once it can read an ErrorResponse. */
void pg_end_tell(struct pg_engine *e)
{
	struct protocol_event *event;

	if (agent_can_read_error(e)) {
		buffer_clear(&e->scratch);
		if (pg_error_put(&e->scratch, e->encoding, true, fatal_state(e->abort.reason),
			    e->abort.text) == 0)
			pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
	}
	e->agent = PG_AGENT_DONE;
	e->server = PG_SERVER_DONE;
	/* Room is kept: nothing else is taken from either side after this. */
	event = event_queue_add_last(&e->events, EVENT_CLOSE);
	event->note.reason = e->abort.reason;
	event->note.text = e->abort.text;
}

void pg_end_abort(struct protocol_engine *base, const struct protocol_refusal *refusal)
{
	struct pg_engine *e = pg_engine_of(base);

	/* Who breaks the protocol in its first packets can't be told anything, and gets no further.
	 */
	bool broken = e->agent == PG_AGENT_FIRST && refusal->reason == REASON_PROTOCOL_VIOLATION;

	if ((e->abort_text && !broken) || e->agent == PG_AGENT_DONE)
		return;
	free(e->abort_text);
	e->abort_text = memory_format("wayleave: %.*s", SLICE_PRINT(refusal->text));
	e->abort.reason = refusal->reason;
	e->abort.text = slice_from_string(e->abort_text);
	/* In the first packets the agent is answered as usual, and told after its StartupMessage.
	 */
	if (e->agent == PG_AGENT_ASKS_TLS)
		pg_login_advance(e);
	else if (e->agent == PG_AGENT_STARTED || e->agent == PG_AGENT_QUERY || broken)
		pg_end_tell(e);
}

int pg_fail(struct pg_engine *e, enum reason reason, const char *format, ...)
{
	struct protocol_refusal refusal = {.reason = reason};
	char detail[400];
	va_list arguments;
	char *text;

	va_start(arguments, format);
	vsnprintf(detail, sizeof(detail), format, arguments);
	va_end(arguments);
	text = memory_new(sizeof(detail) + 200);
	/* The table's texts hold at most one %s. */
	snprintf(text, sizeof(detail) + 200, reason_get(reason)->agent, detail);
	refusal.text = slice_from_string(text);
	pg_end_abort(&e->base, &refusal);
	free(text);
	return 0;
}

/* A client that insists on a way to prove itself goes without a word to us; its own error is the
 * agent's. This is for whoever looks at the session. */
static struct slice why_gone(const struct pg_engine *e)
{
	static const char insists[] =
		"the agent went when it was let in without being asked to prove "
		"itself, on which its client may insist (libpq: "
		"channel_binding, require_auth)";
	static const char hides[] = "the agent went when it was asked for its password inside TLS, "
				    "which its client may not send (libpq: channel_binding, "
				    "require_auth)";

	if (e->agent == PG_AGENT_STARTED && e->auth == PG_AUTH_ASKING)
		return slice_from_string(hides);
	if (e->injects && e->agent == PG_AGENT_QUERY && !e->spoke)
		return slice_from_string(insists);
	return SLICE_EMPTY;
}

void pg_end_on_side(struct protocol_engine *base, enum side side)
{
	struct pg_engine *e = pg_engine_of(base);
	struct protocol_event *event;

	if (e->agent == PG_AGENT_DONE)
		return;
	if (side == SIDE_SERVER && e->agent != PG_AGENT_QUERY) {
		pg_fail(e, REASON_UPSTREAM_CLOSED, "%s", "");
		return;
	}
	/* In the query phase a server that goes just closes, and so do we. */
	if (side == SIDE_AGENT)
		pg_hold_on_end(e);
	event = event_queue_add_last(&e->events, EVENT_CLOSE);
	if (side == SIDE_AGENT)
		event->note.text = why_gone(e);
	e->agent = PG_AGENT_DONE;
	e->server = PG_SERVER_DONE;
	event->note.reason =
		side == SIDE_SERVER && !e->terminated ? REASON_UPSTREAM_CLOSED : REASON_NONE;
}
