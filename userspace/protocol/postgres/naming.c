/* SPDX-License-Identifier: Apache-2.0
 *
 * naming: how names are looked up in this session: the effective search path, the database's
 * catalog, which the worker's sessions share, and the session's temporary relations. Read in-band
 * after the login and again when something may have changed it; until then nothing that depends on
 * names is judged.
 */
#include <errno.h>
#include <stdatomic.h>

#include "protocol/postgres/naming_internal.h"

#define NEVER UINT64_MAX /* no epoch */

/* What was only prepared, or people approved, may not be understood. */
static struct sql_named named(const struct pg_engine *e, struct sql_text *text, size_t command)
{
	if (!text || !sql_text_keeps_names(text, e->server_encoding))
		return (struct sql_named){0};
	return (struct sql_named){.text = text, .command = command};
}

static struct sql_named find_prepared(void *context, struct slice name)
{
	struct pg_engine *e = context;
	const struct pg_statement *statement;
	void *found = NULL;

	if (pg_names_find(&e->statements, name, e->batch, &found) != PG_NAME_FOUND)
		return (struct sql_named){0};
	statement = found;
	return named(e, statement->text, statement->command);
}

static struct sql_named find_cursor(void *context, struct slice name)
{
	struct pg_engine *e = context;
	const struct pg_portal *portal;
	void *found = NULL;

	if (pg_names_find(&e->portals, name, e->batch, &found) != PG_NAME_FOUND)
		return (struct sql_named){0};
	portal = found;
	return named(e, portal->plan ? portal->plan->text : NULL, portal->command);
}

void pg_naming_view(struct pg_engine *e, struct sql_view *ret)
{
	*ret = (struct sql_view){
		.catalog = e->names,
		.temporary = e->temporary,
		.path = e->path,
		.path_count = e->path_count,
		.find_prepared = find_prepared,
		.find_cursor = find_cursor,
		.context = e,
	};
}

const struct sql_relation *pg_naming_find(const struct pg_engine *e, struct slice object)
{
	const uint8_t *dot = object.length ? memchr(object.data, '.', object.length) : NULL;
	size_t length = dot ? (size_t)(dot - object.data) : 0;
	struct slice schema = slice_head(object, length);
	const struct sql_catalog *c =
		slice_equal_string(schema, "pg_temp") ? e->temporary : e->names;

	return c && dot ? sql_catalog_find(c, schema, slice_from(object, length + 1)) : NULL;
}

static bool shared_names_are_fresh(const struct pg_engine *e)
{
	const struct protocol_catalog *c = e->catalog;

	return c->names && c->names_epoch == atomic_load(c->epoch);
}

bool pg_naming_changed_names(const struct pg_engine *e)
{
	return e->transaction_effects & (SQL_EFFECT_CATALOG | SQL_EFFECT_UNKNOWN);
}

bool pg_naming_has_version(const struct pg_engine *e)
{
	const struct protocol_catalog *c = e->catalog;

	return e->base.host->needs_facts && c && c->version[0] && e->names == c->names &&
		!e->names_private && !pg_naming_changed_names(e);
}

unsigned pg_naming_plans_step(const struct pg_engine *e, unsigned steps)
{
	bool moves = steps & (PG_STEP(NAMES) | PG_STEP(TEMPORARY)) && e->statements.table.count > 0;

	return e->plans_stale || moves ? PG_STEP(PLANS) : 0;
}

/* What has to be read before the next text can be judged; 0: nothing. */
static unsigned steps_needed(struct pg_engine *e)
{
	unsigned steps = 0;

	if (e->naming_stale || !e->path)
		steps |= PG_STEP(SESSION);
	if (e->temporary_stale)
		steps |= PG_STEP(TEMPORARY);
	if (!e->names || e->names_epoch != atomic_load(e->catalog->epoch)) {
		if (!shared_names_are_fresh(e) || pg_naming_changed_names(e))
			steps |= PG_STEP(VERSION) | PG_STEP(NAMES);
	} else if (e->names_private) {
		if (e->names_check)
			steps |= PG_STEP(VERSION) | PG_STEP(NAMES);
	} else if (e->names_check || (e->catalog->check && !e->compared)) {
		steps |= PG_STEP(VERSION);
	}
	if (steps & PG_STEP(NAMES))
		steps |= PG_STEP(SESSION);
	steps |= pg_naming_plans_step(e, steps);
	/* What was kept for an action that did not go on would be the agent's to see. */
	if (e->kept == PG_KEPT_LEFT && e->transaction != 'E' && !e->skipping)
		steps |= PG_STEP(SESSION);
	return steps;
}

/* People are asked, or what they approved goes on, and its transaction may have begun reading. */
static bool hangs_on_isolation(const struct pg_engine *e)
{
	/* A failed one says nothing, and ends with what people are asked about. */
	bool failed = e->transaction == 'E' && !pg_requests_sent(e);

	return e->judged_again && e->pending.late && e->isolation == PG_SNAPSHOT_UNKNOWN && !failed;
}

/* Where it decides what the names that are read are good for. */
static unsigned isolation_step(const struct pg_engine *e, unsigned steps)
{
	if (!pg_snapshot_is_inside(e) || e->isolation != PG_SNAPSHOT_UNKNOWN)
		return 0;
	return steps & PG_STEP(VERSION) || hangs_on_isolation(e) ? PG_STEP(ISOLATION) : 0;
}

/* Where we only observe, a question must not end the agent's batch, as one would that the server
 * fails, whatever the reason; nor could that be undone. */
bool pg_naming_may_ask(const struct pg_engine *e)
{
	return !e->base.host->observes || !e->unsynced;
}

/* What may not be asked is unknown; but for what others may have changed meanwhile, if they have.
 */
static int do_without_asking(unsigned steps)
{
	return steps & ~(PG_STEP(VERSION) | PG_STEP(ISOLATION)) ? -EPERM : PG_TAKEN;
}

/* Comparing names now and then would fix the snapshot of a transaction that may have to wait for
 * people first, and what others change meanwhile could not be seen behind that. */
static bool compares_later(const struct pg_engine *e, unsigned steps)
{
	return steps == PG_STEP(VERSION) && !e->names_check && !e->snapshot && !e->lookup_failed &&
		e->transaction != 'E' && pg_snapshot_is_inside(e) && pg_naming_may_ask(e);
}

int pg_naming_compare(struct pg_engine *e)
{
	e->pending.unchecked = false;
	e->catalog->check = false;
	return pg_lookup_start(e, PG_STEP(VERSION));
}

int pg_naming_refresh(struct pg_engine *e)
{
	struct protocol_host *host = e->base.host;
	unsigned steps;
	int r;

	/* A walsender answers no questions like ours: what is not qualified stays unknown. */
	if (!host->needs_facts || e->startup.replication)
		return PG_TAKEN;
	/* Past a preview: it is judged anew before it runs (engine_release). */
	if (e->preview)
		return PG_TAKEN;
	if (!e->catalog)
		e->catalog =
			host->catalog(host, e->startup.database, slice_from_string(e->encoding));
	if (!e->names_private && shared_names_are_fresh(e) && e->names != e->catalog->names)
		pg_naming_adopt(e, e->catalog->names, e->catalog->names_epoch);
	/* What is in flight may begin a transaction, or end it. */
	if (hangs_on_isolation(e) && pg_requests_sent(e))
		return pg_judge_drain(e);
	steps = steps_needed(e);
	e->pending.unchecked = compares_later(e, steps) && e->isolation == PG_SNAPSHOT_ONE;
	if (e->pending.unchecked)
		return PG_TAKEN;
	if (compares_later(e, steps) && e->isolation == PG_SNAPSHOT_UNKNOWN)
		steps = PG_STEP(ISOLATION);
	steps |= isolation_step(e, steps);
	e->pending.looked = steps == 0;
	if (steps == 0)
		return PG_TAKEN;
	if (e->lookup_failed) {
		/* Tried for this very text; the next one tries again. */
		e->lookup_failed = false;
		return -EPERM;
	}
	/* What is in flight may be its end. */
	r = e->transaction == 'E' && pg_requests_sent(e) ? pg_judge_drain(e) : PG_TAKEN;
	if (r != PG_TAKEN)
		return r;
	if (e->transaction == 'E' || e->skipping)
		return -EPERM;
	if (!pg_naming_may_ask(e))
		return do_without_asking(steps);
	/* What is deferred stays so: it is asked past that. */
	r = pg_requests_sent(e) ? pg_judge_drain(e) : PG_TAKEN;
	if (r != PG_TAKEN)
		return r;
	/* One session asks for all: the others needn't wait for what they'd hear in a moment. */
	if (steps & PG_STEP(VERSION))
		e->catalog->check = false;
	r = pg_lookup_start(e, steps);
	return r < 0 ? r : PG_WAITING;
}

void pg_naming_on_effects(struct pg_engine *e, unsigned effects)
{
	if (!e->base.host->needs_facts || !effects)
		return;
	e->transaction_effects |= effects;
	e->meanings++;
	/* The first temporary relation puts a schema in front of the path. */
	e->naming_stale = true;
	if (effects & (SQL_EFFECT_TEMPORARY | SQL_EFFECT_UNKNOWN))
		e->temporary_stale = true;
	if (effects & (SQL_EFFECT_CATALOG | SQL_EFFECT_UNKNOWN) && e->catalog) {
		if (effects & SQL_EFFECT_CATALOG)
			atomic_fetch_add(e->catalog->epoch, 1);
		else
			e->names_check = true;
	}
}

/* What a transaction changed takes effect for others when it commits, and is undone when it does
 * not. */
void pg_naming_on_ready(struct pg_engine *e)
{
	unsigned effects = e->transaction_effects;

	pg_snapshot_on_ready(e);
	if (e->transaction != 'I')
		return;
	if (e->names_private)
		e->names_epoch = NEVER; /* they may have been undone */
	e->names_private = false;
	pg_naming_on_effects(e, effects);
	e->transaction_effects = 0;
}

void pg_naming_done(struct pg_engine *e)
{
	pg_lookup_free(e->lookup);
	sql_catalog_put(e->names);
	sql_catalog_put(e->temporary);
	free(e->role);
	pg_meanings_done(&e->values_mean);
	arena_done(&e->naming_arena);
}
