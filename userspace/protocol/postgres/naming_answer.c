/* SPDX-License-Identifier: Apache-2.0
 *
 * naming_answer: what was read, or could not be, becomes what this session, and others, go by.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/limits.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/naming_internal.h"

/* Whether what was read may be older than what others see. */
static bool may_be_old(const struct pg_engine *e, const struct pg_lookup *l)
{
	return l->late && e->isolation != PG_SNAPSHOT_EACH;
}

void pg_naming_adopt(struct pg_engine *e, struct sql_catalog *names, uint64_t epoch)
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

/* A catalog that was read: shared, unless this transaction alone sees what it changed. */
static void take_names(struct pg_engine *e, struct pg_lookup *l)
{
	struct protocol_catalog *c = e->catalog;

	pg_naming_adopt(e, l->names, l->epoch);
	e->names_check = false;
	if (pg_naming_changed_names(e) || may_be_old(e, l)) {
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
	r = pg_error_put(&e->scratch, e->encoding, false,
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

	if (l->wanted & PG_STEP(VERSION)) {
		not_released(e);
		e->catalog->check = true;
	}
	if (l->wanted & PG_STEP(NAME))
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
	if (wanted & PG_STEP(SESSION) && strcmp(l->encoding, e->encoding) != 0) {
		pg_naming_on_encoding(e, slice_from_string(l->encoding));
		return let_go(e);
	}
	if (wanted & PG_STEP(ISOLATION))
		pg_snapshot_on_isolation(e, slice_from_string(l->isolation));
	/* What others have to know is not answered by it. */
	if (wanted & PG_STEP(VERSION) && may_be_old(e, l))
		e->catalog->check = true;
	if (wanted & PG_STEP(VERSION) && l->inside)
		pg_snapshot_on_compared(e, l->late);
	if (wanted & PG_STEP(NAMES)) {
		take_names(e, l);
		not_released(e);
	}
	if (wanted & PG_STEP(SESSION))
		take_session(e, l);
	if (wanted & PG_STEP(TEMPORARY))
		take_temporary(e, l);
	if (wanted & PG_STEP(PLANS))
		e->plans_stale = false;
	if ((wanted & PG_STEP(VERSION)) && !(wanted & PG_STEP(NAMES))) {
		/* Somebody else changed it: read it as a whole, in a second round. */
		if (strcmp(l->version, e->catalog->version) != 0)
			return pg_lookup_start(e,
				PG_STEP(SESSION) | PG_STEP(VERSION) | PG_STEP(NAMES) |
					pg_naming_plans_step(e, PG_STEP(NAMES)));
		e->names_check = false;
	}
	return let_go(e);
}
