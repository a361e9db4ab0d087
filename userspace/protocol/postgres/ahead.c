/* SPDX-License-Identifier: Apache-2.0
 *
 * ahead: the actions that stand behind the one that waits, in the same batch and as far as they
 * have arrived, so that people can decide them together. Nothing is taken or remembered of them:
 * each comes again, and is judged, when its turn has come.
 *
 * Where one of them changes what names mean, those behind it are looked at as if they were one text
 * with it (resolve.h: struct sql_before). What is found so is expected, not known: each passes only
 * if it turns out to be just that (in_unit). Not looked at is what is named in the session, or runs
 * code that may change anything, and no text that the server's catalogs must be asked about.
 */
#include <errno.h>

#include "base/limits.h"
#include "protocol/postgres/engine.h"
#include "protocol/sql/cache.h"

#define AHEAD_MOST 64 /* statements and actions that are looked at */
#define AHEAD_BYTES 32768 /* that a message may lack, to be waited for */

struct named_statement {
	struct slice name; /* of the input */
	struct pg_statement *statement; /* reference */
};

struct pg_ahead {
	struct slice rest; /* of the input */
	bool over;
	struct named_statement statements[AHEAD_MOST];
	size_t statement_count;
	struct pg_plan *plans[AHEAD_MOST]; /* references: they have what was shown */
	size_t plan_count;
	struct pg_changes changes; /* by what stands before the present one */
	struct sql_before before;
	/* Of the present one. */
	struct action facts;
	struct protocol_value values[PG_VALUES_MOST];
};

void pg_ahead_free(struct pg_ahead *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->statement_count; i++)
		pg_statement_put(a->statements[i].statement);
	for (size_t i = 0; i < a->plan_count; i++)
		pg_plan_put(a->plans[i]);
	pg_changes_done(&a->changes);
	free(a);
}

/* Whether what the pending action means, and so what follows, can't change before that comes, but
 * by what is known. */
static bool may_look(const struct pg_engine *e)
{
	const struct pg_pending *p = &e->pending;

	return p->unit && p->phase == ACTION_RUN && p->plan && e->base.host->needs_facts &&
		!(p->plan->resolution.effects & SQL_EFFECT_UNKNOWN) && !p->plan->action.unknown &&
		!e->effects_in_flight && e->names && !e->naming_stale && !e->temporary_stale &&
		!e->unsafe_encoding && !e->unsafe_strings;
}

static struct sql_text *find_text(struct pg_engine *e, struct slice text)
{
	struct sql_text *parsed = sql_cache_find(e->base.host->texts, text);

	if (parsed || text.length > LIMIT_STATEMENT_INLINE)
		return parsed;
	parsed = sql_text_parse(text);
	sql_cache_add(e->base.host->texts, text, parsed);
	return parsed;
}

/* False: it can't be known what it makes. */
static bool take_parse(struct pg_engine *e, struct pg_ahead *a, struct slice body)
{
	struct named_statement *named = &a->statements[a->statement_count];
	struct slice text;
	struct sql_text *parsed;
	uint16_t types;

	if (a->statement_count == AHEAD_MOST || pg_get_string(&body, &named->name) < 0 ||
		pg_get_string(&body, &text) < 0 || pg_get_u16(&body, &types) < 0 ||
		body.length != 4 * (size_t)types)
		return false;
	parsed = find_text(e, text);
	if (!parsed)
		return false;
	named->statement = pg_statement_new(parsed, text);
	named->statement->types = slice_of(memory_copy_text(body.data, body.length), body.length);
	sql_text_put(parsed);
	a->statement_count++;
	return true;
}

static struct pg_statement *find_statement(
	struct pg_engine *e, const struct pg_ahead *a, struct slice name)
{
	void *found = NULL;

	for (size_t i = a->statement_count; i > 0; i--) {
		if (slice_equal(a->statements[i - 1].name, name))
			return a->statements[i - 1].statement;
	}
	if (pg_names_find(&e->statements, name, e->batch, &found) != PG_NAME_FOUND)
		return NULL;
	return ((struct pg_statement *)found)->by_sql ? NULL : found;
}

/* What it changes counts for those behind it. */
static void go_behind(struct pg_engine *e, struct pg_ahead *a, const struct pg_plan *plan,
	struct slice exact, const struct slice *bound, struct slice portal)
{
	a->over = plan->resolution.effects & SQL_EFFECT_UNKNOWN;
	a->before = plan->resolution.after;
	pg_hold_bound(e, &a->changes, plan, exact, bound, portal);
}

static struct pg_ahead *ahead_new(struct pg_engine *e)
{
	const struct pg_pending *p = &e->pending;
	struct pg_ahead *a = memory_new(sizeof(*a));

	a->rest = p->behind;
	pg_changes_init(&a->changes);
	if (e->changes.batch == p->unit)
		pg_changes_copy(&a->changes, &e->changes);
	go_behind(e, a, p->plan, p->facts.text, p->bound, p->portal);
	return a;
}

static int take_bind(struct pg_engine *e, struct pg_ahead *a, struct slice body,
	struct protocol_action_event *ret, struct protocol_binding *ret_binding)
{
	struct pg_statement *statement;
	struct pg_plan *plan;
	struct pg_bind parts;
	int r;

	if (a->plan_count == AHEAD_MOST || pg_bind_parse(body, true, a->values, &parts) < 0)
		return -ENOENT;
	statement = find_statement(e, a, parts.statement);
	plan = statement && statement->text ? pg_judge_ahead(e, statement->text, &a->before) : NULL;
	if (!plan)
		return -ENOENT;
	a->plans[a->plan_count++] = plan;
	pg_bind_types(statement->types, statement->described, a->values, parts.value_count);
	a->facts = plan->action;
	a->facts.text = statement->exact;
	r = pg_hold_in_unit(e, &a->changes, &a->facts, plan->text);
	if (r < 0)
		return r;
	*ret = (struct protocol_action_event){
		.phase = ACTION_RUN,
		.action = &a->facts,
		.values = a->values,
		.value_count = parts.value_count,
		.value_total = parts.value_total,
		.judgement = &plan->judgement,
		.unit = e->pending.unit,
	};
	*ret_binding = (struct protocol_binding){
		.bound = {parts.bound, statement->types},
		.in_unit = buffer_slice(&e->in_unit),
		.changes = plan->resolution.effects,
	};
	go_behind(e, a, plan, statement->exact, ret_binding->bound, parts.portal);
	return 0;
}

/* What was bound before all that is looked at is not shown. */
static bool take_execute(struct pg_engine *e, struct pg_ahead *a, struct slice body)
{
	struct slice name;
	void *found = NULL;

	if (pg_get_string(&body, &name) < 0)
		return false;
	if (pg_names_find(&e->portals, name, e->batch, &found) != PG_NAME_MISSING)
		pg_hold_ran(e, &a->changes, name, found);
	else
		pg_changes_ran(&a->changes, name);
	return true;
}

static int look(struct pg_engine *e, struct pg_ahead *a, struct protocol_action_event *ret,
	struct protocol_binding *ret_binding)
{
	while (!a->over) {
		struct pg_frame m;
		int r = pg_frame_next(pg_agent_messages, e->phase, a->rest, &m);

		if (r < 0 || (r > 0 && !m.complete && m.length > m.body.length + AHEAD_BYTES))
			return -ENOENT;
		if (r == 0 || !m.complete)
			return -EAGAIN;
		a->rest = slice_from(a->rest, m.whole.length);
		switch (m.type) {
		case 'P':
			if (!take_parse(e, a, m.body))
				return -ENOENT;
			break;
		case 'B':
			return take_bind(e, a, m.body, ret, ret_binding);
		case 'D':
			break;
		case 'E':
			if (!take_execute(e, a, m.body))
				return -ENOENT;
			break;
		default: /* the end of the batch, or what this does not look behind */
			return -ENOENT;
		}
	}
	return -ENOENT;
}

int pg_ahead_next(struct protocol_engine *base, uint32_t lane, bool first,
	struct protocol_action_event *ret, struct protocol_binding *ret_binding)
{
	struct pg_engine *e = pg_engine_of(base);
	int r = -ENOENT;

	(void)lane;
	if (first && ret && may_look(e)) {
		pg_ahead_free(e->ahead);
		e->ahead = ahead_new(e);
	}
	if (e->ahead && ret)
		r = look(e, e->ahead, ret, ret_binding);
	if (e->ahead && r < 0)
		e->ahead->over = true;
	if (!ret) {
		pg_ahead_free(e->ahead);
		e->ahead = NULL;
	}
	return r;
}
