/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/copy.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/preview.h"
#include "protocol/postgres/role.h"
#include "protocol/postgres/value_show.h"

#include <assert.h>
#include <errno.h>

#include "base/bytes.h"
#include "base/limits.h"

/* Rows and messages that we rewrite are built here; larger ones are refused before. */
#define SCRATCH_LIMIT (64u << 20)

struct protocol_event *pg_event(struct pg_engine *e, enum protocol_event_type type)
{
	return event_queue_add(&e->events, type);
}

/* A handler adds at most two events, and its caller one. */
bool pg_event_has_room(const struct pg_engine *e)
{
	return event_queue_has_room(&e->events, 3);
}

static bool engine_next_event(struct protocol_engine *base, struct protocol_event *ret)
{
	return event_queue_take(&pg_engine_of(base)->events, ret);
}

static int send_deferred(struct pg_engine *e, enum side to)
{
	const struct pg_request *q;
	int r = 0;

	if (to == SIDE_SERVER && buffer_length(&e->deferred)) {
		/* Nothing is in flight before it. */
		q = pg_requests_head(&e->requests);
		pg_snapshot_on_sent(e, q && q->statement ? q->statement->text : NULL);
		r = e->base.host->write(e->base.host, to, buffer_slice(&e->deferred));
		buffer_done(&e->deferred);
	}
	return r;
}

int pg_write(struct pg_engine *e, enum side to, struct slice bytes)
{
	int r = send_deferred(e, to);

	if (r < 0)
		return r;
	return e->base.host->write(e->base.host, to, bytes);
}

int pg_pass(struct pg_engine *e, enum side to, struct slice part_of_input)
{
	int r = send_deferred(e, to);

	if (r < 0)
		return r;
	return e->base.host->pass(e->base.host, to, part_of_input);
}

static struct protocol_engine *engine_open(struct protocol_host *host)
{
	struct pg_engine *e = memory_new(sizeof(*e));

	e->base.protocol = &protocol_postgres;
	e->base.host = host;
	e->phase = PG_PHASE_AUTHENTICATION;
	e->transaction = 'I';
	e->naming_stale = true;
	arena_init(&e->login_arena, 64 * LIMIT_STARTUP_BYTES);
	arena_init(&e->naming_arena, LIMIT_SESSION_ARENA);
	buffer_init(&e->startup_packet, LIMIT_STARTUP_BYTES);
	buffer_init(&e->cancel_key, 4 + 256);
	buffer_init(&e->end_point, 64);
	buffer_init(&e->scratch, SCRATCH_LIMIT);
	buffer_init(&e->row, SCRATCH_LIMIT);
	buffer_init(&e->context, LIMIT_STATEMENT_BYTES);
	buffer_init(&e->identity, LIMIT_STATEMENT_BYTES);
	buffer_init(&e->runs, LIMIT_STATEMENT_BYTES);
	buffer_init(&e->in_unit, LIMIT_STATEMENT_BYTES);
	pg_changes_init(&e->changes);
	buffer_init(&e->deferred, PG_DEFERRED_MOST);
	pg_requests_init(&e->requests);
	pg_names_init_statements(&e->statements);
	pg_names_init_portals(&e->portals);
	return &e->base;
}

void pg_pending_clear(struct pg_engine *e)
{
	struct pg_pending *p = &e->pending;

	pg_ahead_free(e->ahead);
	e->ahead = NULL;
	sql_text_put(p->text);
	pg_plan_put(p->plan);
	pg_masks_put(p->masks);
	pg_statement_put(p->statement);
	free(p->refusal_text);
	free(p->interrupted);
	free(p->as);
	/* Nothing is read of values that are not counted, and there is room for many. */
	memset(p, 0, offsetof(struct pg_pending, values));
}

void pg_parse_job_free(struct protocol_job *base)
{
	struct pg_parse_job *job = container_of(base, struct pg_parse_job, job);

	buffer_done(&job->copy);
	sql_text_put(job->text);
	free(job);
}

static void engine_close(struct protocol_engine *base)
{
	struct pg_engine *e = pg_engine_of(base);

	pg_pending_clear(e);
	if (e->own && !protocol_job_abandon(&e->own->job))
		pg_own_login_free(e->own);
	if (e->parse_job && !protocol_job_abandon(&e->parse_job->job))
		pg_parse_job_free(&e->parse_job->job);
	pg_requests_done(&e->requests);
	pg_names_done(&e->statements);
	pg_names_done(&e->portals);
	pg_naming_done(e);
	pg_preview_free(e->preview);
	free(e->named);
	free(e->row_values);
	pg_role_done(e);
	pg_columns_free(e->columns);
	copy_stream_free(e->copy);
	buffer_done(&e->startup_packet);
	buffer_wipe(&e->cancel_key);
	buffer_done(&e->end_point);
	buffer_done(&e->scratch);
	buffer_done(&e->row);
	buffer_done(&e->context);
	buffer_done(&e->identity);
	buffer_done(&e->runs);
	buffer_done(&e->in_unit);
	pg_changes_done(&e->changes);
	buffer_done(&e->deferred);
	arena_done(&e->login_arena);
	free(e->abort_text);
	free(e);
}

/* What breaks the protocol is relayed unread where we only observe: not before the server's leg is
 * as it is to be. */
static bool waits_to_relay(const struct pg_engine *e)
{
	bool unconnected = e->server == PG_SERVER_NONE;

	return e->base.host->observes && !e->abort_text &&
		((unconnected && e->base.host->upstream_tls == UPSTREAM_TLS_ON) ||
			e->server == PG_SERVER_ASKED_TLS || e->server == PG_SERVER_TLS);
}

static int engine_input(
	struct protocol_engine *base, enum side side, struct slice in, size_t *ret_taken)
{
	struct pg_engine *e = pg_engine_of(base);
	int r;

	*ret_taken = 0;
	if (side == SIDE_SERVER) {
		if (e->server == PG_SERVER_DONE) {
			*ret_taken = in.length;
			return 0;
		}
		if (e->server == PG_SERVER_ASKED_TLS)
			return pg_login_server_byte(e, in, ret_taken);
		return pg_server_input(e, in, ret_taken);
	}
	if (e->agent == PG_AGENT_DONE) {
		*ret_taken = in.length;
		return 0;
	}
	if (e->agent == PG_AGENT_FIRST) {
		r = pg_login_agent(e, in, ret_taken);
		if (r == -EBADMSG && waits_to_relay(e))
			return 0;
		if (r == 0 && e->agent == PG_AGENT_STARTED && e->abort_text)
			pg_end_tell(e);
		return r;
	}
	e->spoke |= e->agent == PG_AGENT_QUERY;
	return pg_agent_input(e, in, ret_taken);
}

/* A message that breaks the rules, or streams, makes progress with what is there; `rest`: not
 * before all of it is. */
static size_t message_needs(const struct pg_message *table, struct slice in, bool rest)
{
	const struct pg_message *message;
	struct pg_header header;
	size_t wanted;

	if (!pg_header_get(in, &header))
		return PG_HEADER_SIZE - in.length;
	message = &table[header.type];
	if (!message->name || header.length > message->most)
		return 1;
	rest |= header.length <= message->whole;
	wanted = PG_HEADER_SIZE + (size_t)(rest ? header.length : message->whole);
	return in.length >= wanted ? 1 : wanted - in.length;
}

static size_t first_packet_needs(struct slice in)
{
	size_t length;

	if (in.length < 4)
		return 4 - in.length;
	length = bytes_get_u32(in.data);
	if (length > LIMIT_STARTUP_BYTES || length <= in.length)
		return 1;
	return length - in.length;
}

static size_t engine_needs(struct protocol_engine *base, enum side side, struct slice in)
{
	struct pg_engine *e = pg_engine_of(base);

	if (side == SIDE_SERVER) {
		if (e->server != PG_SERVER_MESSAGES || e->from_server.left)
			return 1;
		return pg_server_needs(e, in);
	}
	if (e->agent == PG_AGENT_FIRST)
		return first_packet_needs(in);
	return e->from_agent.left ? 1 : message_needs(pg_agent_messages, in, e->rest_wanted);
}

static bool engine_wants(const struct protocol_engine *base, enum side side)
{
	const struct pg_engine *e = container_of(base, const struct pg_engine, base);

	if (!pg_event_has_room(e))
		return false;
	if (side == SIDE_SERVER)
		return e->server != PG_SERVER_TLS;
	switch (e->agent) {
	case PG_AGENT_ASKS_TLS:
	case PG_AGENT_TLS:
		return false;
	case PG_AGENT_STARTED:
		/* Only while the server has asked for something. */
		return e->auth == PG_AUTH_ASKING || (e->auth == PG_AUTH_RELAYED && e->auth_asked);
	case PG_AGENT_QUERY:
		if (e->terminated || pg_preview_bars(e))
			return false;
		if (e->wait == PG_WAIT_DRAIN)
			return e->requests.count == 0 && !e->lookup && !e->preview;
		return e->wait == PG_WAIT_NONE || e->rest_wanted;
	default:
		return true;
	}
}

/* Whether the request runs something for the agent. */
static bool is_at_work(const struct pg_request *q)
{
	return (q->kind == PG_REQUEST_QUERY || q->kind == PG_REQUEST_EXECUTE ||
		       q->kind == PG_REQUEST_FUNCTION) &&
		!(q->flags & (PG_REQUEST_PRIVATE | PG_REQUEST_POISONED));
}

static bool engine_is_busy(const struct protocol_engine *base)
{
	const struct pg_engine *e = container_of(base, const struct pg_engine, base);

	for (size_t i = 0; i < pg_requests_sent(e); i++) {
		if (is_at_work(pg_requests_at((struct pg_requests *)&e->requests, i)))
			return true;
	}
	return e->copying_both || e->from_server.left || e->from_agent.left;
}

/* Whether a message waits for something of ours, and nothing runs that a cancel may be meant for.
 */
static bool is_finding_out(const struct pg_engine *e)
{
	switch (e->wait) {
	case PG_WAIT_LOOKUP:
		return !e->held_ready;
	case PG_WAIT_PROBE:
	case PG_WAIT_JOB:
		return true;
	case PG_WAIT_DRAIN:
		return !engine_is_busy(&e->base);
	default:
		return false;
	}
}

static void engine_interrupt(struct protocol_engine *base)
{
	struct pg_engine *e = pg_engine_of(base);

	if (e->agent == PG_AGENT_QUERY && !e->pending.interrupted && is_finding_out(e))
		e->pending.interrupted = memory_format("canceling statement due to user request");
}

static void engine_connected(struct protocol_engine *base)
{
	struct pg_engine *e = pg_engine_of(base);

	e->server = PG_SERVER_IDLE;
	pg_login_advance(e);
}

static void engine_tls_done(
	struct protocol_engine *base, enum side side, const struct protocol_tls_result *result)
{
	pg_login_tls_done(pg_engine_of(base), side, result);
}

static void engine_job_done(struct protocol_engine *base, struct protocol_job *job)
{
	struct pg_engine *e = pg_engine_of(base);

	if (e->own && job == &e->own->job) {
		pg_authentication_job_done(e);
		return;
	}
	/* The parsed text is taken when the message is offered again. */
	assert(e->parse_job && job == &e->parse_job->job);
	e->pending.text = e->parse_job->text;
	e->parse_job->text = NULL;
	pg_parse_job_free(job);
	e->parse_job = NULL;
	e->wait = PG_WAIT_NONE;
}

static void engine_proven(struct protocol_engine *base, int error, struct slice answer)
{
	pg_inject_proven(pg_engine_of(base), error, answer);
}

const struct protocol protocol_postgres = {
	.id = PROTOCOL_POSTGRES,
	.detect = pg_detect,
	.open = engine_open,
	.close = engine_close,
	.input = engine_input,
	.needs = engine_needs,
	.wants = engine_wants,
	.is_busy = engine_is_busy,
	.end = pg_end_on_side,
	.next_event = engine_next_event,
	.mask = pg_verdict_mask,
	.would_refuse = pg_verdict_would_refuse,
	.release = pg_verdict_release,
	.refuse = pg_verdict_refuse,
	.bind = pg_hold_bind,
	.ahead = pg_ahead_next,
	.show = pg_value_show,
	.preview = pg_preview_start,
	.reassure = pg_hold_reassure,
	.judge_again = pg_hold_judge_again,
	.leaves = pg_hold_leaves,
	.give_up = pg_login_give_up,
	.interrupt = engine_interrupt,
	.abort = pg_end_abort,
	.connected = engine_connected,
	.tls_done = engine_tls_done,
	.job_done = engine_job_done,
	.proven = engine_proven,
};
