/* SPDX-License-Identifier: Apache-2.0
 *
 * query: the simple protocol's Query, and the server's opinion of one that we do not understand.
 */
#include <string.h>

#include "protocol/postgres/agent.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/role.h"

/* Shows the text to the server's parser, which runs nothing: what the server rejects as well
 * ends in its own error, as without us. */
static int query_probe(struct pg_engine *e, const struct pg_frame *m, struct slice text)
{
	static const uint8_t flush[] = {'H', 0, 0, 0, 4};
	struct pg_request *q = pg_send_request(e, PG_REQUEST_PARSE);
	size_t mark;
	int r;

	if (!q)
		return PG_TAKEN;
	(void)m;
	pg_snapshot_on_sent(e, NULL);
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
	bool acts = p->as;
	struct pg_request *q = pg_send_request(e, PG_REQUEST_QUERY);

	if (!q)
		return PG_TAKEN;
	q->action = p->action;
	q->grant = p->grant;
	q->plan = p->plan;
	q->masks = p->masks;
	p->plan = NULL;
	p->masks = NULL;
	if (p->record_rows)
		q->flags |= PG_REQUEST_RECORDS_ROWS;
	pg_snapshot_on_sent(e, q->plan ? q->plan->text : NULL);
	pg_send_reader(e, q, q->plan);
	if (q->plan && e->base.host->needs_facts)
		pg_send_effects(e, q, q->plan);
	pg_pending_clear(e);
	if (acts)
		pg_role_queried(e);
	return pg_send_on(e, m);
}

/* What our grammar rejects, or what names things that nobody knows, is worth asking the server
 * about. Where we only observe, it would say its warnings twice. */
static bool query_is_worth_a_probe(const struct pg_engine *e)
{
	const struct pg_plan *plan = e->pending.plan;

	if (e->base.host->observes)
		return false;
	if (e->pending.probed || !e->base.host->needs_facts || !plan || e->startup.replication)
		return false;
	/* A Parse has no place for several, and its error would end the agent's transaction. */
	if (sql_text_command_count(plan->text) > 1)
		return false;
	return (plan->action.unknown & ACTION_UNKNOWN_TEXT) || plan->resolution.unresolved;
}

/* Nothing else is in flight while it runs as another role. */
static int query_take_role(struct pg_engine *e)
{
	int r = e->pending.as ? pg_judge_drain(e) : PG_TAKEN;

	return r != PG_TAKEN ? r
			     : pg_role_take(e, e->pending.as, e->pending.plan, e->pending.action);
}

static int query_decided(struct pg_engine *e, const struct pg_frame *m, struct slice text)
{
	int r = e->pending.decision == PG_RELEASED ? query_take_role(e) : PG_TAKEN;

	if (r != PG_TAKEN)
		return r;
	if (e->pending.decision == PG_REFUSED)
		return pg_send_refused(e, m, PG_REQUEST_QUERY, 'Q', SLICE_EMPTY);
	if (e->pending.phase == ACTION_PROBED)
		return query_probe(e, m, text);
	return query_send(e, m);
}

/* What a walsender's own grammar begins with, in capitals (repl_scanner.l); all else is SQL to it.
 */
static bool is_replication_command(struct slice text)
{
	static const char *const commands[] = {"IDENTIFY_SYSTEM", "READ_REPLICATION_SLOT",
		"BASE_BACKUP", "START_REPLICATION", "CREATE_REPLICATION_SLOT",
		"DROP_REPLICATION_SLOT", "ALTER_REPLICATION_SLOT", "TIMELINE_HISTORY",
		"UPLOAD_MANIFEST", "SHOW"};
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	size_t length = 0;

	while (length < text.length && text.data[length] && strchr(letters, text.data[length]))
		length++;
	if (length < text.length && !strchr(" \t\r\n;", text.data[length]))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (slice_equal_string(slice_head(text, length), commands[i]))
			return true;
	}
	return false;
}

static int ask_for_replication(struct pg_engine *e, const struct pg_frame *m, struct slice text)
{
	e->pending.pair = (struct action_pair){.operation = OPERATION_REPLICATION};
	pg_hold_may(e, m);
	return pg_judge_ask(e, text, ACTION_RUN, 0, NULL);
}

int pg_query_on_query(struct pg_engine *e, const struct pg_frame *m)
{
	struct slice rest = m->body, text = m->body;
	int r;

	if (!m->complete && pg_send_refuses_too_long(e))
		return pg_send_too_long(e, m, PG_REQUEST_QUERY, SLICE_EMPTY);
	if (!m->complete)
		text = pg_judge_too_long(e, text);
	if (m->complete && (pg_get_string(&rest, &text) < 0 || rest.length))
		return pg_send_poison(e, m, PG_REQUEST_QUERY, 'Q', SLICE_EMPTY,
			PG_STATE_PROTOCOL_VIOLATION, slice_from_string("invalid message format"));
	if (e->pending.decision != PG_UNDECIDED)
		return query_decided(e, m, text);
	if (e->startup.replication && is_replication_command(text))
		return ask_for_replication(e, m, text);
	r = pg_judge_text(e, text);
	if (r == PG_TAKEN)
		r = pg_judge_plan(e, e->pending.text);
	if (r != PG_TAKEN)
		return r;
	if (query_is_worth_a_probe(e)) {
		r = pg_judge_drain(e);
		if (r != PG_TAKEN)
			return r;
		return pg_judge_ask(e, text, ACTION_PROBED, 0, NULL);
	}
	pg_hold_may(e, m);
	return pg_judge_ask(e, text, ACTION_RUN, e->pending.probed ? e->pending.action : 0, NULL);
}

void pg_query_probed(struct pg_engine *e, bool accepted)
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
	if (pg_send_request(e, PG_REQUEST_SYNC))
		pg_write(e, SIDE_SERVER, slice_of(sync, sizeof(sync)));
}
