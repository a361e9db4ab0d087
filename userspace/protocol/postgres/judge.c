/* SPDX-License-Identifier: Apache-2.0
 *
 * judge: from a text to the action that policy judges. Each step may have to wait (for a parser
 * thread, for the server); then the agent's message stays untaken and is offered again, and what
 * was found so far stands in e->pending.
 */
#include <errno.h>

#include "base/limits.h"
#include "protocol/postgres/engine.h"
#include "protocol/sql/cache.h"

static void parse_run(struct protocol_job *base)
{
	struct pg_parse_job *job = container_of(base, struct pg_parse_job, job);

	job->text = sql_text_parse(buffer_slice(&job->copy));
}

/* Long texts are parsed on another thread, which needs bytes that don't move. */
static int parse_elsewhere(struct pg_engine *e, struct slice text)
{
	struct pg_parse_job *job = memory_new(sizeof(*job));
	int r;

	job->job.run = parse_run;
	job->job.free = pg_parse_job_free;
	buffer_init(&job->copy, LIMIT_STATEMENT_BYTES);
	r = buffer_append_slice(&job->copy, text);
	if (r < 0) {
		free(job);
		return r;
	}
	e->parse_job = job;
	e->wait = PG_WAIT_JOB;
	pg_event(e, EVENT_JOB)->job = &job->job;
	return PG_WAITING;
}

int pg_judge_text(struct pg_engine *e, struct slice text)
{
	struct sql_cache *cache = e->base.host->texts;

	if (e->pending.text)
		return PG_TAKEN;
	e->pending.text = sql_cache_find(cache, text);
	if (e->pending.text)
		return PG_TAKEN;
	if (text.length > LIMIT_STATEMENT_INLINE)
		return parse_elsewhere(e, text);
	e->pending.text = sql_text_parse(text);
	sql_cache_add(cache, text, e->pending.text);
	return PG_TAKEN;
}

struct slice pg_judge_too_long(struct pg_engine *e, struct slice text)
{
	if (!e->pending.text)
		e->pending.text = sql_text_too_long();
	return slice_head(text, LIMIT_STATEMENT_BYTES);
}

int pg_judge_drain(struct pg_engine *e)
{
	static const uint8_t flush[] = {'H', 0, 0, 0, 4};

	if (e->requests.count == 0 && !e->preview)
		return PG_TAKEN;
	e->wait = PG_WAIT_DRAIN;
	/* Without it the server may keep its replies until a Sync that can't come. A preview has a
	 * Sync of its own, and nothing may stand between its questions. */
	if (!e->unsynced || e->preview)
		return PG_WAITING;
	return pg_write(e, SIDE_SERVER, slice_of(flush, sizeof(flush)));
}

/* Whether the text means nothing but the end of a transaction, which a failed one still accepts. */
static bool only_ends_transaction(const struct sql_text *text)
{
	for (size_t i = 0; i < sql_text_command_count(text); i++) {
		switch (sql_text_command(text, i)->kind) {
		case SQL_COMMAND_COMMIT:
		case SQL_COMMAND_ROLLBACK:
		case SQL_COMMAND_SAVEPOINT:
		case SQL_COMMAND_ROLLBACK_TO:
		case SQL_COMMAND_EMPTY:
			break;
		default:
			return false;
		}
	}
	return true;
}

bool pg_judge_undoes(const struct sql_text *text)
{
	for (size_t i = 0; i < sql_text_command_count(text); i++) {
		switch (sql_text_command(text, i)->kind) {
		case SQL_COMMAND_COMMIT:
		case SQL_COMMAND_ROLLBACK:
		case SQL_COMMAND_ROLLBACK_TO:
			return true;
		default:
			break;
		}
	}
	return false;
}

/* ReadyForQuery says nothing of what was undone where a transaction goes on: behind ROLLBACK TO and
 * AND CHAIN, or inside a pipeline. */
unsigned pg_judge_effects(const struct pg_engine *e, const struct pg_plan *plan)
{
	unsigned effects = plan->resolution.effects;

	return pg_judge_undoes(plan->text) ? effects | e->transaction_effects : effects;
}

bool pg_judge_uses_names(const struct sql_text *text)
{
	for (size_t i = 0; i < sql_text_command_count(text); i++) {
		if (sql_text_command(text, i)->session_names)
			return true;
	}
	return false;
}

static int plan_as_unknown(struct pg_engine *e, struct sql_text *text, const char *problem)
{
	e->pending.plan = pg_plan_unknown(text, problem);
	return PG_TAKEN;
}

/* Names that nothing has may be new: read them again once, if the server's catalogs moved on. */
static int plan_again(struct pg_engine *e)
{
	pg_plan_put(e->pending.plan);
	e->pending.plan = NULL;
	e->pending.refreshed = true;
	e->naming_stale = true;
	e->names_check = true;
	return pg_judge_drain(e);
}

/* Policy's names are UTF-8. In another encoding of the client's, their bytes would be other names.
 */
static bool names_may_be_others(const struct pg_engine *e, const struct sql_text *text)
{
	if (strcmp(e->encoding, "utf8") == 0)
		return false;
	return !sql_text_is_ascii(text) || (e->names && !sql_catalog_is_ascii(e->names)) ||
		(e->temporary && !sql_catalog_is_ascii(e->temporary));
}

/* A query of ours in a transaction that just began takes its snapshot, and SET TRANSACTION then
 * fails.
 */
static bool can_do_without_lookup(const struct pg_engine *e, const struct sql_text *text)
{
	return !sql_text_has_names(text) && (!e->naming_stale || sql_text_is_plain(text));
}

/* What is to be read anyway is read before it. */
static int look_before_transaction(struct pg_engine *e, const struct sql_text *text)
{
	bool outside = e->transaction == 'I' && !e->unsynced && e->requests.count == 0;
	int r;

	if (!outside || sql_text_command_count(text) == 0 ||
		sql_text_command(text, 0)->kind != SQL_COMMAND_BEGIN)
		return PG_TAKEN;
	r = pg_naming_refresh(e);
	return r == -EPERM ? PG_TAKEN : r;
}

/* What is in flight of an extended batch that does not run anything, so that a failed transaction
 * is still a failed one behind it. */
static bool is_still_failed(const struct pg_engine *e)
{
	for (size_t i = 0; e->transaction == 'E' && i < e->requests.count; i++) {
		switch (pg_requests_at((struct pg_requests *)&e->requests, i)->kind) {
		case PG_REQUEST_PARSE:
		case PG_REQUEST_BIND:
		case PG_REQUEST_DESCRIBE_STATEMENT:
		case PG_REQUEST_DESCRIBE_PORTAL:
			break;
		default:
			return false;
		}
	}
	return e->transaction == 'E';
}

/* In a failed transaction the server fails the first command of a text unless that ends it, and
 * then runs none of the others (exec_simple_query()). */
static bool runs_nothing(const struct pg_engine *e, const struct sql_text *text)
{
	if (!is_still_failed(e) || sql_text_command_count(text) == 0)
		return false;
	switch (sql_text_command(text, 0)->kind) {
	case SQL_COMMAND_COMMIT: /* and PREPARE TRANSACTION */
	case SQL_COMMAND_ROLLBACK:
	case SQL_COMMAND_ROLLBACK_TO:
	case SQL_COMMAND_EMPTY:
		return false;
	default:
		return true;
	}
}

/* There what its names mean now can't be read, and makes no difference. */
static bool can_do_with_old_names(const struct pg_engine *e, const struct sql_text *text)
{
	return e->names && e->path && runs_nothing(e, text);
}

static int plan_with_facts(struct pg_engine *e, struct sql_text *text)
{
	int r;

	if (e->unsafe_encoding)
		return plan_as_unknown(
			e, text, "the client encoding is not one that can be judged");
	if (e->unsafe_strings)
		return plan_as_unknown(e, text, "standard_conforming_strings is off");
	/* What is in flight may change what this text means. */
	if (e->effects_in_flight || pg_judge_uses_names(text)) {
		r = pg_judge_drain(e);
		if (r <= 0)
			return r;
	}
	if (only_ends_transaction(text))
		return PG_TAKEN;
	if (!sql_text_keeps_names(text, e->server_encoding))
		return plan_as_unknown(
			e, text, "in the server's encoding a name may be another one");
	if (can_do_without_lookup(e, text))
		return look_before_transaction(e, text);
	r = can_do_with_old_names(e, text) ? PG_TAKEN : pg_naming_refresh(e);
	if (r == -EPERM)
		return plan_as_unknown(e, text, "its names could not be looked up");
	if (r == PG_TAKEN && names_may_be_others(e, text))
		return plan_as_unknown(e, text,
			"the client encoding is not UTF8, and not all names and text are ASCII");
	return r;
}

int pg_judge_plan(struct pg_engine *e, struct sql_text *text)
{
	bool facts = e->base.host->needs_facts;
	struct sql_view view;
	int r;

	if (e->pending.plan)
		return PG_TAKEN;
	pg_snapshot_on_judging(e);
	if (sql_text_status(text) != SQL_PARSED)
		return plan_as_unknown(e, text, sql_text_problem(text));
	if (facts) {
		r = plan_with_facts(e, text);
		if (r != PG_TAKEN || e->pending.plan)
			return r;
	}
	pg_naming_view(e, &view);
	e->pending.plan = pg_plan_make(
		text, &view, e->base.host->audience, e->temporary || pg_judge_uses_names(text));
	if (!e->pending.plan)
		return plan_as_unknown(e, text, "too large to be judged");
	if (!facts || !e->pending.plan->resolution.unresolved || e->pending.refreshed ||
		e->transaction == 'E' || !pg_naming_may_ask(e))
		return PG_TAKEN;
	r = plan_again(e);
	if (r <= 0)
		return r;
	return pg_judge_plan(e, text);
}

struct pg_plan *pg_judge_ahead(
	struct pg_engine *e, struct sql_text *text, const struct sql_before *before)
{
	bool alone = !before->made && !before->names_moved && !before->relations_gone &&
		!before->code_made;
	struct sql_view view;
	struct pg_plan *plan;

	if (sql_text_status(text) != SQL_PARSED || pg_judge_uses_names(text) ||
		!sql_text_keeps_names(text, e->server_encoding) || names_may_be_others(e, text))
		return NULL;
	pg_naming_view(e, &view);
	view.before = before;
	plan = pg_plan_make(text, &view, e->base.host->audience, e->temporary || !alone);
	if (plan && !plan->resolution.unresolved && !plan->action.unknown)
		return plan;
	pg_plan_put(plan);
	return NULL;
}

int pg_judge_ask(struct pg_engine *e, struct slice exact, enum protocol_action_phase phase,
	uint64_t text_action, const struct pg_bind *bind)
{
	struct pg_pending *p = &e->pending;
	struct protocol_event *event = pg_event(e, EVENT_ACTION);

	if (p->plan) {
		p->facts = p->plan->action;
	} else {
		p->facts = (struct action){
			.protocol = PROTOCOL_POSTGRES, .pairs = &p->pair, .pair_count = 1};
	}
	if (phase == ACTION_RUN)
		e->judged_again = false;
	p->facts.text = exact;
	p->phase = phase;
	p->decision = PG_UNDECIDED;
	event->action = (struct protocol_action_event){
		.action = &p->facts,
		.phase = phase,
		.text_action = text_action,
		.values = p->values,
		.value_count = bind ? bind->value_count : 0,
		.value_total = bind ? bind->value_total : 0,
		.judgement = p->plan ? &p->plan->judgement : NULL,
		.unit = p->unit,
		.runs_nothing = p->plan
			? runs_nothing(e, p->plan->text)
			: p->pair.operation == OPERATION_FUNCTION_CALL && is_still_failed(e),
	};
	e->wait = PG_WAIT_VERDICT;
	return PG_WAITING;
}
