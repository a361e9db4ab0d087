/* SPDX-License-Identifier: Apache-2.0
 *
 * failure: the server's errors and notices. An error ends the request it belongs to, and in the
 * extended protocol all up to the next Sync; that of a message of ours is reworded.
 */
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/role.h"
#include "protocol/postgres/server.h"

/* After an error in the extended protocol the server skips to the next Sync. */
static void skip_to_sync(struct pg_engine *e)
{
	while (e->requests.count) {
		struct pg_request *q = pg_requests_head(&e->requests);

		if (q->kind == PG_REQUEST_SYNC)
			return;
		pg_settle_head(e, false);
	}
	e->skipping = true;
}

/* The error of a message that was sent in order to fail, in the words of the refusal. */
static int reword(struct pg_engine *e, const struct pg_request *q)
{
	size_t length;
	int r;

	buffer_clear(&e->scratch);
	r = pg_error_put(&e->scratch, e->encoding, false, q->state, slice_from_string(q->refusal));
	length = buffer_length(&e->scratch);
	/* Behind the message, as it is in UTF-8: the event is read when the request is gone. */
	if (r == 0)
		r = buffer_append_string(&e->scratch, q->refusal);
	if (r < 0)
		return r;
	/* Such were let through, and are recorded so. */
	if (q->kind == PG_REQUEST_ROLE || q->let_through)
		pg_settle_report(e, q, SLICE_EMPTY, slice_from_string(q->state),
			slice_from(buffer_slice(&e->scratch), length));
	return pg_write(e, SIDE_AGENT, slice_head(buffer_slice(&e->scratch), length));
}

static bool is_poisons_error(const struct pg_request *q, struct slice code)
{
	const char *expected = q->kind == PG_REQUEST_BIND ? PG_STATE_NO_STATEMENT
		: q->kind == PG_REQUEST_EXECUTE           ? PG_STATE_NO_PORTAL
							  : PG_STATE_SYNTAX_ERROR;

	return (q->flags & PG_REQUEST_POISONED) && slice_equal_string(code, expected);
}

static bool is_reworded(const struct pg_request *q, struct slice code)
{
	return q->kind == PG_REQUEST_ROLE ? pg_role_is_elsewhere(q, code)
					  : is_poisons_error(q, code);
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
	if (!pg_scrub_needed(e))
		return pg_server_forward(e, m);
	e->from_server.mode = PG_STREAM_SKIP;
	e->from_server.left = m->length - (uint32_t)m->body.length;
	return pg_scrub_oversized(e, m->type);
}

/* For the record: as the agent got it, where something was taken out. */
static struct slice error_text(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice sent = slice_from(buffer_slice(&e->scratch), PG_HEADER_SIZE);

	return pg_error_field(pg_scrub_needed(e) ? sent : m->body, 'M');
}

/* The error stands for the whole probed Query, whose ReadyForQuery a Sync of ours will give. */
static int on_probe_error(struct pg_engine *e, const struct pg_frame *m)
{
	struct pg_request *q = pg_requests_head(&e->requests);
	bool accepted = is_probes_own_error(m->body);
	int r = 0;

	if (!accepted) {
		r = pass_text(e, m, q);
		pg_settle_report(e, q, SLICE_EMPTY, pg_error_field(m->body, 'C'), error_text(e, m));
	}
	pg_settle_head(e, false);
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
	pg_query_probed(e, accepted);
	return r;
}

int pg_failure_on_error(struct pg_engine *e, const struct pg_frame *m)
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
	if (is_reworded(q, code)) {
		r = reword(e, q);
	} else if (pg_role_hides_error(e, q)) {
		r = pg_server_drop(e, m);
	} else {
		r = pass_text(e, m, q);
		pg_settle_report(e, q, SLICE_EMPTY, code, error_text(e, m));
	}
	extended = q->kind != PG_REQUEST_QUERY && q->kind != PG_REQUEST_FUNCTION;
	e->copying_in = false;
	e->copying_out = false;
	if (!extended)
		return r;
	skip_to_sync(e);
	return r < 0 ? r : pg_role_on_skip(e);
}

/* A notice or a notification. */
int pg_failure_on_notice(struct pg_engine *e, const struct pg_frame *m)
{
	/* A channel that was listened to before. */
	if (m->type == 'A' && e->base.host->suspended)
		return pg_server_drop(e, m);
	return pass_text(e, m, pg_requests_head(&e->requests));
}
