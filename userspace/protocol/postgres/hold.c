/* SPDX-License-Identifier: Apache-2.0
 *
 * hold: what an action that waits for people is bound to, signs of life for the agent meanwhile,
 * and judging it anew before it goes on. Nothing else of the agent is taken while it waits, so that
 * its settings, prepared statements and cursors stay as they are; what others can change (names,
 * rights) is read again by judge_again().
 */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "protocol/postgres/engine.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/preview.h"

static int put_setting(struct buffer *b, const char *name, struct slice value)
{
	int r = buffer_length(b) ? buffer_append_byte(b, '\n') : 0;

	if (r == 0)
		r = buffer_append_format(b, "%s: ", name);
	return r < 0 ? r : buffer_append_slice(b, value);
}

/* Quoted, so that no schema's name looks like two. */
static int put_path(struct buffer *b, const struct pg_engine *e)
{
	int r = put_setting(b, "search_path", SLICE_EMPTY);

	for (size_t i = 0; r == 0 && i < e->path_count; i++) {
		r = buffer_append_string(b, i ? ", \"" : "\"");
		for (size_t j = 0; r == 0 && j < e->path[i].length; j++) {
			if (e->path[i].data[j] == '"')
				r = buffer_append_byte(b, '"');
			if (r == 0)
				r = buffer_append_byte(b, e->path[i].data[j]);
		}
		if (r == 0)
			r = buffer_append_byte(b, '"');
	}
	return r;
}

/* --- what EXECUTE and FETCH run, which their own text does not say --- */

/* Commands of the text itself that change what names mean; beyond that nobody can follow it. */
#define CHANGES_MOST 32
/* EXECUTE of an EXECUTE of …, as far as resolve.c knows what it does. */
#define RUNS_DEPTH_MOST 8

struct runs {
	struct pg_engine *engine;
	const struct sql_text *text;
	const struct sql_command *changes[CHANGES_MOST];
	size_t change_count;
	unsigned depth;
};

static bool changes_names(const struct sql_command *command)
{
	switch (command->kind) {
	case SQL_COMMAND_PREPARE:
	case SQL_COMMAND_DEALLOCATE:
	case SQL_COMMAND_DECLARE:
	case SQL_COMMAND_CLOSE:
	case SQL_COMMAND_DISCARD:
		return true;
	default:
		return false;
	}
}

static bool is_of_cursors(const struct sql_command *command)
{
	return command->kind == SQL_COMMAND_DECLARE || command->kind == SQL_COMMAND_CLOSE ||
		command->kind == SQL_COMMAND_FETCH;
}

/* Whether what stands before it in the text gave or took its name: then the text says it. */
static bool is_changed(const struct runs *runs, const struct sql_command *command)
{
	for (size_t i = 0; i < runs->change_count; i++) {
		const struct sql_command *change = runs->changes[i];

		if (change->kind == SQL_COMMAND_DISCARD && change->all)
			return true;
		if (is_of_cursors(change) == is_of_cursors(command) &&
			(change->all || slice_equal(change->name, command->name)))
			return true;
	}
	return false;
}

/* One behind the other, as SQL would have them; how long each is goes into the digest. */
static int put_run(struct pg_engine *e, struct slice text)
{
	int r = buffer_append_format(&e->identity, "%zu,", text.length);

	if (r == 0 && buffer_length(&e->runs))
		r = buffer_append_string(&e->runs, "\n;\n");
	return r < 0 ? r : buffer_append_slice(&e->runs, text);
}

static int put_runs(struct runs *runs);

static int put_statement(struct runs *runs, const struct sql_command *command)
{
	struct pg_engine *e = runs->engine;
	const struct pg_statement *statement;
	struct runs inner = {.engine = e, .depth = runs->depth + 1};
	void *found = NULL;
	int r;

	if (pg_names_find(&e->statements, command->name, e->batch, &found) != PG_NAME_FOUND)
		return 0;
	statement = found;
	r = put_run(e, statement->exact);
	/* What PREPARE takes is never an EXECUTE. */
	if (r < 0 || statement->by_sql || !statement->text || inner.depth > RUNS_DEPTH_MOST)
		return r;
	inner.text = statement->text;
	return put_runs(&inner);
}

static int put_cursor(struct runs *runs, const struct sql_command *command)
{
	struct pg_engine *e = runs->engine;
	const struct pg_portal *portal;
	void *found = NULL;

	if (pg_names_find(&e->portals, command->name, e->batch, &found) != PG_NAME_FOUND)
		return 0;
	portal = found;
	if (portal->statement)
		return put_run(e, portal->statement->exact);
	if (!portal->plan || portal->command >= sql_text_command_count(portal->plan->text))
		return 0;
	return put_run(e, sql_text_command(portal->plan->text, portal->command)->part);
}

static int put_runs(struct runs *runs)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sql_text_command_count(runs->text); i++) {
		const struct sql_command *command = sql_text_command(runs->text, i);

		if (changes_names(command)) {
			if (runs->change_count == CHANGES_MOST)
				return -E2BIG;
			runs->changes[runs->change_count++] = command;
		} else if (command->kind == SQL_COMMAND_EXECUTE && !is_changed(runs, command)) {
			r = put_statement(runs, command);
		} else if (command->kind == SQL_COMMAND_FETCH && !is_changed(runs, command)) {
			r = put_cursor(runs, command);
		}
	}
	return r;
}

/* Texts that name what the session has by name mean something else in every other session. */
static int put_session(struct buffer *b, const struct pg_engine *e, const struct sql_text *text)
{
	const uint8_t *n = e->base.host->nonce + 16;

	for (size_t i = 0; i < sql_text_command_count(text); i++) {
		if (sql_text_command(text, i)->session_names)
			return buffer_append_format(
				b, "\nonly in session: %02x%02x%02x%02x", n[0], n[1], n[2], n[3]);
	}
	return 0;
}

/* What the names of an action stand for: what they are, and one number for all that the database's
 * catalogs say of names, as that has what runs behind them, too: views, rules, functions. */
static int identify(const struct pg_engine *e, const struct action *action, struct buffer *b)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < action->pair_count; i++) {
		const struct sql_relation *relation;

		if (action->pairs[i].state == OBJECT_NONE)
			continue;
		relation = pg_naming_find(e, action->pairs[i].object);
		if (relation)
			sql_relation_identify(relation, b);
		r = buffer_append_byte(b, ';');
		any = true;
	}
	if (r == 0 && any && e->catalog)
		r = buffer_append_string(
			b, e->names_private ? e->names_version : e->catalog->version);
	return r;
}

/* Settings that give the text its meaning, but those that `effects` change. */
static int put_settings(
	struct buffer *b, const struct pg_engine *e, const struct sql_text *text, unsigned effects)
{
	/* The first temporary relation puts a schema in front of the path. */
	bool path = !(effects & (SQL_EFFECT_NAMING | SQL_EFFECT_TEMPORARY));
	int r = 0;

	if (e->role && !(effects & SQL_EFFECT_NAMING))
		r = put_setting(b, "role", slice_from_string(e->role));
	if (r == 0)
		r = put_setting(b, "client_encoding", slice_from_string(e->encoding));
	if (r == 0)
		r = put_setting(b, "standard_conforming_strings",
			slice_from_string(e->unsafe_strings ? "off" : "on"));
	if (r == 0 && !(effects & (SQL_EFFECT_NAMING | SQL_EFFECT_VALUES)))
		r = pg_meanings_put(&e->values_mean, b);
	/* Behind what is short, which its length would push out of sight. */
	if (r == 0 && e->path && path)
		r = put_path(b, e);
	return r == 0 && text ? put_session(b, e, text) : r;
}

/* --- behind others of its batch --- */

/* A name that stands for nothing in the catalog, or that the text alone gives its meaning. */
static bool says_all(const struct action_pair *pair)
{
	return pair->state == OBJECT_NONE || pair->operation == OPERATION_SET ||
		pair->operation == OPERATION_SET_ROLE;
}

static int identify_unchanged(
	struct pg_engine *e, const struct pg_changes *changes, const struct action_pair *pair)
{
	const struct sql_relation *relation = pg_naming_find(e, pair->object);

	if (says_all(pair) || pg_changes_has_object(changes, pair->object))
		return 0;
	if (!relation && pair->operation == OPERATION_CREATE)
		return buffer_append_string(&e->in_unit, "new;");
	if (!relation || !sql_relation_identify(relation, &e->in_unit))
		return -ENOENT;
	return buffer_append_byte(&e->in_unit, ';');
}

int pg_hold_in_unit(struct pg_engine *e, const struct pg_changes *changes,
	const struct action *action, const struct sql_text *text)
{
	struct buffer *b = &e->in_unit;
	int r;

	if (changes->uncertain || changes->waits)
		return -ENOENT;
	buffer_clear(b);
	r = buffer_append_u64(b, buffer_length(&changes->texts));
	if (r == 0)
		r = buffer_append_slice(b, buffer_slice(&changes->texts));
	if (r == 0)
		r = put_settings(b, e, text, changes->effects);
	if (r == 0 && !changes->effects)
		return identify(e, action, b);
	for (size_t i = 0; r == 0 && i < action->pair_count; i++)
		r = identify_unchanged(e, changes, &action->pairs[i]);
	return r;
}

/* What it takes back was shown to people, or is what they were told of the rest. */
static bool takes_back(
	const struct pg_engine *e, const struct pg_changes *changes, const struct pg_plan *plan)
{
	return (changes->effects | e->transaction_effects) && pg_judge_undoes(plan->text);
}

void pg_hold_bound(struct pg_engine *e, struct pg_changes *changes, const struct pg_plan *plan,
	struct slice exact, const struct slice bound[2], struct slice portal)
{
	changes->uncertain |= takes_back(e, changes, plan);
	pg_changes_add(changes, plan, exact, bound, portal);
}

void pg_hold_ran(struct pg_engine *e, struct pg_changes *changes, struct slice name,
	const struct pg_portal *portal)
{
	const struct pg_plan *plan = portal ? portal->plan : NULL;

	if (!pg_changes_ran(changes, name))
		changes->uncertain |=
			!plan || plan->resolution.effects || takes_back(e, changes, plan);
}

static int in_unit(struct pg_engine *e, const struct sql_text *text)
{
	if (!e->pending.unit || !text)
		return -ENOENT;
	pg_changes_begin(&e->changes, e->pending.unit);
	return pg_hold_in_unit(e, &e->changes, &e->pending.facts, text);
}

void pg_hold_may(struct pg_engine *e, const struct pg_frame *m)
{
	e->pending.may_wait = true;
	e->pending.bound_whole = m->complete;
	e->pending.length = m->length;
}

/* Of what is bound only the beginning is kept where nobody decides about it, so that it costs no
 * memory. Here it is as with a text. */
static int wait_for_rest(struct pg_engine *e)
{
	if (e->pending.length > LIMIT_STATEMENT_BYTES)
		return -EMSGSIZE;
	e->rest_wanted = true;
	return -EAGAIN;
}

/* Names may have changed while it arrived. */
void pg_hold_on_rest(struct pg_engine *e, struct slice in)
{
	struct pg_frame m;

	if (pg_frame_next(pg_agent_messages, e->phase, in, &m) != 1 || !m.complete)
		return;
	pg_pending_clear(e);
	e->rest_wanted = false;
	e->wait = PG_WAIT_NONE;
}

int pg_hold_bind(struct protocol_engine *base, uint32_t lane, struct protocol_binding *ret)
{
	struct pg_engine *e = pg_engine_of(base);
	const struct sql_text *text = e->pending.plan ? e->pending.plan->text : NULL;
	struct buffer *b = &e->context;
	struct runs runs = {.engine = e, .text = text};
	bool late;
	int unit, r;

	(void)lane;
	if (!e->pending.may_wait)
		return -ENOTSUP;
	if (!e->pending.bound_whole)
		return wait_for_rest(e);
	/* When it is approved, what it names could not be compared with what people were asked. */
	late = pg_snapshot_hides_others(e);
	if (late && !pg_snapshot_is_new(e))
		return -ESTALE;
	buffer_clear(b);
	r = put_settings(b, e, text, 0);
	buffer_clear(&e->identity);
	buffer_clear(&e->runs);
	if (r == 0 && text)
		r = put_runs(&runs);
	if (r == 0)
		r = identify(e, &e->pending.facts, &e->identity);
	if (r < 0)
		return r;
	e->pending.decided = true;
	unit = in_unit(e, text);
	*ret = (struct protocol_binding){
		.bound = {e->pending.bound[0], e->pending.bound[1], buffer_slice(&e->identity)},
		.context = buffer_slice(b),
		.runs = buffer_slice(&e->runs),
		.in_unit = unit == 0 ? buffer_slice(&e->in_unit) : SLICE_EMPTY,
		.late = late,
		.maybe_late = pg_snapshot_may_hide_others(e)};
	return 0;
}

/* Nothing is sent into the middle of a message of the server's; between two of them it may be,
 * whatever is under way. A status that says again what is always so is read by every library, and
 * shown by none. */
bool pg_hold_reassure(struct protocol_engine *base, uint32_t lane, struct slice text)
{
	struct pg_engine *e = pg_engine_of(base);
	int r;

	(void)lane;
	if (e->from_server.left || e->agent != PG_AGENT_QUERY)
		return false;
	buffer_clear(&e->scratch);
	r = text.length ? pg_notice_put(&e->scratch, e->encoding, text)
			: pg_status_put(&e->scratch, "integer_datetimes", "on");
	return r == 0 && pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch)) == 0;
}

bool pg_hold_judge_again(struct protocol_engine *base, uint32_t lane, bool anew)
{
	struct pg_engine *e = pg_engine_of(base);

	(void)lane;
	if (e->preview)
		pg_preview_pass(e, !anew);
	if (e->wait != PG_WAIT_VERDICT || e->agent != PG_AGENT_QUERY)
		return false;
	pg_pending_clear(e);
	e->rest_wanted = false;
	e->wait = PG_WAIT_NONE;
	e->judged_again = true;
	if (anew) {
		e->naming_stale = true;
		e->names_check = true;
		/* Others may change and drop what is this session's, too. */
		e->temporary_stale |= e->temporary != NULL;
		if (e->catalog)
			e->catalog->check = true;
	}
	return true;
}

/* A Terminate, however far behind the message that is held. */
bool pg_hold_leaves(const struct protocol_engine *base, struct slice untaken)
{
	const struct pg_engine *e = container_of(base, const struct pg_engine, base);
	struct pg_frame m;

	if (e->agent != PG_AGENT_QUERY || e->from_agent.left)
		return false;
	while (pg_frame_next(pg_agent_messages, e->phase, untaken, &m) == 1 && m.complete) {
		if (m.type == 'X')
			return true;
		untaken = slice_from(untaken, m.whole.length);
	}
	return false;
}

void pg_hold_on_end(struct pg_engine *e)
{
	static const char cancelled[] = "wayleave: the agent closed its connection";

	if (e->agent != PG_AGENT_QUERY || e->wait != PG_WAIT_VERDICT || e->from_server.left)
		return;
	buffer_clear(&e->scratch);
	if (pg_error_put(&e->scratch, e->encoding, false, PG_STATE_QUERY_CANCELED,
		    slice_from_string(cancelled)) == 0)
		pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
}
