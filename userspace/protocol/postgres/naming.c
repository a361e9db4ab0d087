/* SPDX-License-Identifier: Apache-2.0
 *
 * naming: how names are looked up in this session: the effective search path, the database's
 * catalog, which the worker's sessions share, and the session's temporary relations. Read in-band
 * after the login and again when something may have changed it; until then nothing that depends on
 * names is judged.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/limits.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/lookup.h"

#define STEP(name) (1u << PG_LOOKUP_##name)
#define NEVER UINT64_MAX /* no epoch */

static struct sql_named find_prepared(void *context, struct slice name)
{
	struct pg_engine *e = context;
	struct sql_named named = {0};
	void *found = NULL;

	if (pg_names_find(&e->statements, name, e->batch, &found) == PG_NAME_FOUND) {
		named.text = ((struct pg_statement *)found)->text;
		named.command = ((struct pg_statement *)found)->command;
	}
	return named;
}

static struct sql_named find_cursor(void *context, struct slice name)
{
	struct pg_engine *e = context;
	struct sql_named named = {0};
	void *found = NULL;

	if (pg_names_find(&e->portals, name, e->batch, &found) == PG_NAME_FOUND) {
		struct pg_portal *portal = found;

		named.text = portal->plan ? portal->plan->text : NULL;
		named.command = portal->command;
	}
	return named;
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

static bool shared_names_are_fresh(const struct pg_engine *e)
{
	const struct protocol_catalog *c = e->catalog;

	return c->names && c->names_epoch == atomic_load(c->epoch);
}

/* Whether this transaction may see names that others don't see yet. */
static bool names_may_be_private(const struct pg_engine *e)
{
	return e->transaction_effects & (SQL_EFFECT_CATALOG | SQL_EFFECT_UNKNOWN);
}

/* Whether what was read may be older than what others see. */
static bool may_be_old(const struct pg_engine *e, const struct pg_lookup *l)
{
	return l->late && e->isolation != PG_SNAPSHOT_EACH;
}

bool pg_naming_has_version(const struct pg_engine *e)
{
	const struct protocol_catalog *c = e->catalog;

	return e->base.host->needs_facts && c && c->version[0] && e->names == c->names &&
		!e->names_private && !names_may_be_private(e);
}

/* Prepared statements are judged by what their names mean now, so the server must mean that, too.
 */
static unsigned plans_step(const struct pg_engine *e, unsigned steps)
{
	bool moves = steps & (STEP(NAMES) | STEP(TEMPORARY)) && e->statements.table.count > 0;

	return e->plans_stale || moves ? STEP(PLANS) : 0;
}

/* What has to be read before the next text can be judged; 0: nothing. */
static unsigned steps_needed(struct pg_engine *e)
{
	unsigned steps = 0;

	if (e->naming_stale || !e->path)
		steps |= STEP(SESSION);
	if (e->temporary_stale)
		steps |= STEP(TEMPORARY);
	if (!e->names || e->names_epoch != atomic_load(e->catalog->epoch)) {
		if (!shared_names_are_fresh(e) || names_may_be_private(e))
			steps |= STEP(VERSION) | STEP(NAMES);
	} else if (e->names_private) {
		if (e->names_check)
			steps |= STEP(VERSION) | STEP(NAMES);
	} else if (e->names_check || (e->catalog->check && !e->compared)) {
		steps |= STEP(VERSION);
	}
	if (steps & STEP(NAMES))
		steps |= STEP(SESSION);
	steps |= plans_step(e, steps);
	/* What was kept for an action that did not go on would be the agent's to see. */
	if (e->kept == PG_KEPT_LEFT && e->transaction != 'E' && !e->skipping)
		steps |= STEP(SESSION);
	return steps;
}

/* Where it decides what the names that are read are good for. */
static unsigned isolation_step(const struct pg_engine *e, unsigned steps)
{
	bool goes_on = e->judged_again && e->pending.late;

	if (!pg_snapshot_is_inside(e) || e->isolation != PG_SNAPSHOT_UNKNOWN)
		return 0;
	return steps & STEP(VERSION) || goes_on ? STEP(ISOLATION) : 0;
}

static void adopt(struct pg_engine *e, struct sql_catalog *names, uint64_t epoch)
{
	sql_catalog_get(names);
	sql_catalog_put(e->names);
	e->names = names;
	e->names_epoch = epoch;
	e->names_private = false;
	e->plans_stale |= e->statements.table.count > 0;
	/* A schema that came or went changes what the path reaches. */
	e->naming_stale = true;
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
	return steps & ~(STEP(VERSION) | STEP(ISOLATION)) ? -EPERM : PG_TAKEN;
}

/* Comparing names now and then would fix the snapshot of a transaction that may have to wait for
 * people first, and what others change meanwhile could not be seen behind that. */
static bool compares_later(const struct pg_engine *e, unsigned steps)
{
	return steps == STEP(VERSION) && !e->names_check && !e->snapshot && !e->lookup_failed &&
		e->transaction == 'T' && pg_naming_may_ask(e);
}

int pg_naming_compare(struct pg_engine *e)
{
	e->pending.unchecked = false;
	e->catalog->check = false;
	return pg_lookup_start(e, STEP(VERSION));
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
		adopt(e, e->catalog->names, e->catalog->names_epoch);
	steps = steps_needed(e);
	e->pending.unchecked = compares_later(e, steps) && e->isolation == PG_SNAPSHOT_ONE;
	if (e->pending.unchecked)
		return PG_TAKEN;
	if (compares_later(e, steps) && e->isolation == PG_SNAPSHOT_UNKNOWN)
		steps = STEP(ISOLATION);
	steps |= isolation_step(e, steps);
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
	if (steps & STEP(VERSION))
		e->catalog->check = false;
	r = pg_lookup_start(e, steps);
	return r < 0 ? r : PG_WAITING;
}

/* A catalog that was read: shared, unless this transaction alone sees what it changed. */
static void take_names(struct pg_engine *e, struct pg_lookup *l)
{
	struct protocol_catalog *c = e->catalog;

	adopt(e, l->names, l->epoch);
	e->names_check = false;
	if (names_may_be_private(e) || may_be_old(e, l)) {
		e->names_private = true;
		snprintf(e->names_version, sizeof(e->names_version), "%s", l->version);
		return;
	}
	sql_catalog_put(c->names);
	c->names = sql_catalog_get(l->names);
	c->names_epoch = l->epoch;
	snprintf(c->version, sizeof(c->version), "%s", l->version);
}

static void take_session(struct pg_engine *e, struct pg_lookup *l)
{
	arena_done(&e->naming_arena);
	e->naming_arena = l->arena;
	arena_init(&l->arena, LIMIT_SESSION_ARENA);
	e->path = l->path;
	e->path_count = l->path_count;
	l->path = NULL;
	l->path_count = 0;
	e->unsafe_strings = l->unsafe_strings;
	free(e->role);
	e->role = l->role;
	l->role = NULL;
	if (l->has_meanings) {
		pg_meanings_done(&e->values_mean);
		e->values_mean = l->meanings;
		l->meanings = (struct pg_meanings){0};
		l->has_meanings = false;
	}
	e->naming_stale = false;
}

static void take_temporary(struct pg_engine *e, struct pg_lookup *l)
{
	sql_catalog_put(e->temporary);
	e->temporary = sql_catalog_get(l->temporary);
	e->plans_stale |= e->statements.table.count > 0;
	e->temporary_stale = false;
}

/* Lets the agent go on: its ReadyForQuery after the login, or the message that waited. */
static int let_go(struct pg_engine *e)
{
	uint8_t ready[] = {'Z', 0, 0, 0, 5, (uint8_t)e->transaction};

	pg_lookup_free(e->lookup);
	e->lookup = NULL;
	e->wait = PG_WAIT_NONE;
	if (!e->held_ready)
		return 0;
	e->held_ready = 0;
	return pg_write(e, SIDE_AGENT, slice_of(ready, sizeof(ready)));
}

/* Names in another encoding are other bytes: all that was read is for nothing. */
void pg_naming_on_encoding(struct pg_engine *e, struct slice name)
{
	char clean[SQL_ENCODING_MOST] = "";

	sql_encoding_clean(name, clean);
	e->unsafe_encoding = !sql_encoding_is_safe(name);
	if (strcmp(clean, e->encoding) == 0)
		return;
	memcpy(e->encoding, clean, sizeof(clean));
	e->catalog = NULL;
	sql_catalog_put(e->names);
	e->names = NULL;
	e->naming_stale = true;
	if (e->temporary)
		e->temporary_stale = true;
}

/* Inside a batch the message that waited is among what the server skips: this is its answer. */
static int tell_failure(struct pg_engine *e, const struct pg_lookup *l)
{
	static const char unknown[] = "wayleave: denied: its names could not be looked up";
	struct protocol_event *event = pg_event(e, EVENT_NOTE);
	int r;

	event->note.reason = REASON_NOT_UNDERSTOOD;
	event->note.text = slice_from_string(
		"the server failed the lookup of what names mean, and skips the rest of the batch");
	buffer_clear(&e->scratch);
	r = pg_error_put(&e->scratch, false,
		l->interrupted ? PG_STATE_QUERY_CANCELED : PG_STATE_INSUFFICIENT_PRIVILEGE,
		slice_from_string(l->interrupted ? l->interrupted : unknown));
	return r < 0 ? r : pg_write(e, SIDE_AGENT, buffer_slice(&e->scratch));
}

/* The text that needed it stays unknown. A cancel, or the agent's own time limit, is its answer;
 * where we only observe, a cancel alone that was meant for it (engine_interrupt). */
static void do_without(struct pg_engine *e, struct pg_lookup *l)
{
	if (e->held_ready || e->pending.interrupted)
		return;
	if (!e->base.host->observes) {
		e->pending.interrupted = l->interrupted;
		l->interrupted = NULL;
	}
	e->lookup_failed = !e->pending.interrupted;
}

/* It was, by what names meant before; a cancel that came meanwhile is its answer. */
static void not_released(struct pg_engine *e)
{
	char *interrupted = e->pending.interrupted;

	if (e->pending.decision != PG_RELEASED)
		return;
	e->pending.interrupted = NULL;
	pg_pending_clear(e);
	e->pending.interrupted = interrupted;
}

static int on_failed_lookup(struct pg_engine *e, struct pg_lookup *l)
{
	int r = 0;

	if (l->wanted & STEP(VERSION)) {
		not_released(e);
		e->catalog->check = true;
	}
	if (l->wanted & STEP(NAME))
		pg_inject_not_renamed(e);
	if (l->ended_batch)
		r = tell_failure(e, l);
	else
		do_without(e, l);
	return r < 0 ? r : let_go(e);
}

int pg_naming_on_lookup(struct pg_engine *e, struct pg_lookup *l)
{
	unsigned wanted = l->wanted;

	if (l->failed)
		return on_failed_lookup(e, l);
	/* Before a Sync the server does not say that it changed. */
	if (wanted & STEP(SESSION) && strcmp(l->encoding, e->encoding) != 0) {
		pg_naming_on_encoding(e, slice_from_string(l->encoding));
		return let_go(e);
	}
	if (wanted & STEP(ISOLATION))
		pg_snapshot_on_isolation(e, slice_from_string(l->isolation));
	/* What others have to know is not answered by it. */
	if (wanted & STEP(VERSION) && may_be_old(e, l))
		e->catalog->check = true;
	if (wanted & STEP(VERSION) && l->inside)
		pg_snapshot_on_compared(e, l->late);
	if (wanted & STEP(NAMES)) {
		take_names(e, l);
		not_released(e);
	}
	if (wanted & STEP(SESSION))
		take_session(e, l);
	if (wanted & STEP(TEMPORARY))
		take_temporary(e, l);
	if (wanted & STEP(PLANS))
		e->plans_stale = false;
	if ((wanted & STEP(VERSION)) && !(wanted & STEP(NAMES))) {
		/* Somebody else changed it: read it as a whole, in a second round. */
		if (strcmp(l->version, e->catalog->version) != 0)
			return pg_lookup_start(e,
				STEP(SESSION) | STEP(VERSION) | STEP(NAMES) |
					plans_step(e, STEP(NAMES)));
		e->names_check = false;
	}
	return let_go(e);
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
