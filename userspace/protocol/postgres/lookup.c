/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/lookup.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/limits.h"
#include "protocol/postgres/error.h"
#include "protocol/postgres/private.h"
#include "protocol/postgres/server.h"

#define PATH_MOST 256
#define ROW_VALUES_MOST 16

/* 'p': a schema of the effective search path, in order; 's' and 'e': settings; 'u': on whose behalf
 * it runs; 'm': settings that decide what values mean. */
static const struct sql_catalog_query session_queries[] = {
	{"SELECT k, v FROM ("
	 "SELECT 1 AS a, o, 'p' AS k, n::pg_catalog.text AS v FROM"
	 " pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS u(n, o)"
	 " UNION ALL SELECT 2, 1, 's', pg_catalog.current_setting('standard_conforming_strings')"
	 " UNION ALL SELECT 2, 2, 'e', pg_catalog.current_setting('client_encoding')"
	 " UNION ALL SELECT 2, 3, 'u', pg_catalog.concat(pg_catalog.quote_ident(current_user),"
	 " ' (', pg_catalog.quote_ident(session_user), ')')"
	 " UNION ALL SELECT 2, 4, 'm', pg_catalog.concat("
#define MEANING(name, usual) "pg_catalog.current_setting('" name "', true), '\n', "
#include "protocol/postgres/meanings.inc"
#undef MEANING
	 "'')"
	 ") AS q ORDER BY a, o",
		2},
};

/* One number for all that names depend on: row versions (xmin, ctid) of user objects, and of
 * memberships, which open schemas to the search path; and roles that see all rows. Objects made by
 * initdb have OIDs below 16384. Each condition fits an index (catalog_query.c). */
#define ROW_VERSION "pg_catalog.hashtextextended(xmin::pg_catalog.text || ctid::pg_catalog.text, 0)"
#define SUM_OF(table, condition)                                                                   \
	"SELECT pg_catalog.count(*) AS c, pg_catalog.sum(" ROW_VERSION ") AS s FROM "              \
	"pg_catalog." table " WHERE " condition
#define OWN " OPERATOR(pg_catalog.>=) 16384"
#define PERMANENT "relpersistence OPERATOR(pg_catalog.<>) 't'"
#define AND " UNION ALL "
/* Roles that row security does not hold back. pg_authid is not for everybody to read, and its row
 * versions are not those of the view. All of them, whoever asks: the number is one for all roles.
 */
#define FREE_ROLES                                                                                 \
	"SELECT pg_catalog.count(*), pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog."       \
	"concat(oid, rolsuper, rolbypassrls), 0)) FROM pg_catalog.pg_roles WHERE oid "             \
	"OPERATOR(pg_catalog.>=) 0 AND (rolsuper OR rolbypassrls)"
/* clang-format off */
static const struct sql_catalog_query version_queries[] = {
	{"SELECT pg_catalog.concat(pg_catalog.sum(c), ':', pg_catalog.sum(s)) FROM ("
	 SUM_OF("pg_class", "oid" OWN " AND " PERMANENT) AND
	 /* NOT … ANY: hashed, whatever the agent set about joins. */
	 SUM_OF("pg_attribute", "attnum OPERATOR(pg_catalog.>) 0 AND attrelid OPERATOR(pg_catalog.>=) 16384"
		" AND NOT attrelid OPERATOR(pg_catalog.=) ANY (SELECT k.oid FROM pg_catalog.pg_class AS k"
		" WHERE k.oid" OWN " AND k.relpersistence OPERATOR(pg_catalog.=) 't')") AND
	 SUM_OF("pg_rewrite", "oid" OWN) AND
	 SUM_OF("pg_trigger", "oid" OWN) AND
	 SUM_OF("pg_policy", "oid" OWN) AND
	 SUM_OF("pg_inherits", "inhrelid" OWN) AND
	 SUM_OF("pg_namespace", "oid" OWN) AND
	 SUM_OF("pg_proc", "oid" OWN) AND
	 SUM_OF("pg_operator", "oid" OWN) AND
	 SUM_OF("pg_cast", "oid" OWN) AND
	 /* Domains: their defaults and CHECKs. Those of tables change their pg_class, too. */
	 SUM_OF("pg_type", "oid" OWN " AND typtype OPERATOR(pg_catalog.=) 'd'") AND
	 SUM_OF("pg_constraint", "contypid" OWN) AND
	 SUM_OF("pg_enum", "oid" OWN) AND
	 SUM_OF("pg_foreign_data_wrapper", "oid" OWN) AND
	 SUM_OF("pg_foreign_server", "oid" OWN) AND
	 SUM_OF("pg_foreign_table", "ftrelid" OWN) AND
	 SUM_OF("pg_event_trigger", "oid" OWN) AND
	 SUM_OF("pg_auth_members", "roleid OPERATOR(pg_catalog.>=) 0") AND
	 FREE_ROLES ") AS q",
		1},
};
/* clang-format on */

/* The server keeps what a prepared statement's names stood for, also where new ones now come before
 * them on the search path (plancache.c). */
static const struct sql_catalog_query plans_query = {"DISCARD PLANS", 0};

static const struct sql_catalog_query isolation_query = {"SHOW transaction_isolation", 1};

/* As an agent's own of this name would be, it is there no more when the agent goes on. */
static const struct sql_catalog_query guard_query = {"SAVEPOINT wayleave_lookup", 0},
				      release_query = {"RELEASE SAVEPOINT wayleave_lookup", 0};
static const struct sql_catalog_query undo_queries[] = {
	{"ROLLBACK TO SAVEPOINT wayleave_lookup", 0},
	{"RELEASE SAVEPOINT wayleave_lookup", 0},
};

/* Its text is the session's. */
static const struct sql_catalog_query name_query = {NULL, 0};

struct step_queries {
	const struct sql_catalog_query *items;
	size_t count;
};

static struct step_queries step_queries(enum pg_lookup_step step)
{
	switch (step) {
	case PG_LOOKUP_SESSION:
		return (struct step_queries){session_queries, ARRAY_SIZE(session_queries)};
	case PG_LOOKUP_VERSION:
		return (struct step_queries){version_queries, ARRAY_SIZE(version_queries)};
	case PG_LOOKUP_NAMES:
		return (struct step_queries){sql_catalog_queries, sql_catalog_query_count};
	case PG_LOOKUP_PLANS:
		return (struct step_queries){&plans_query, 1};
	case PG_LOOKUP_ISOLATION:
		return (struct step_queries){&isolation_query, 1};
	case PG_LOOKUP_NAME:
		return (struct step_queries){&name_query, 1};
	case PG_LOOKUP_GUARD:
		return (struct step_queries){&guard_query, 1};
	case PG_LOOKUP_RELEASE:
		return (struct step_queries){&release_query, 1};
	case PG_LOOKUP_UNDO:
		return (struct step_queries){undo_queries, ARRAY_SIZE(undo_queries)};
	default:
		return (struct step_queries){sql_temporary_queries, sql_temporary_query_count};
	}
}

const char *pg_lookup_version_query(void)
{
	return version_queries[0].text;
}

void pg_lookup_free(struct pg_lookup *l)
{
	if (!l)
		return;
	arena_done(&l->arena);
	free(l->role);
	pg_meanings_done(&l->meanings);
	free(l->interrupted);
	sql_catalog_put(l->names);
	sql_catalog_put(l->temporary);
	free(l);
}

/* --- names --- */

static bool is_of_kept(enum pg_lookup_step step)
{
	return step == PG_LOOKUP_VERSION || step == PG_LOOKUP_SESSION;
}

/* Each of these steps is one query. */
static void name_kept(const struct pg_engine *e, enum pg_lookup_step step, char *ret)
{
	pg_private_name(e->base.host->nonce, "kept", (unsigned)step, ret);
}

/* --- queries that are kept --- */

bool pg_lookup_can_keep(const struct pg_engine *e)
{
	return e->base.host->needs_facts && e->transaction == 'I' && e->kept == PG_KEPT_NONE;
}

/* Bound once: a statement without parameters is planned then, and its plan is kept. */
int pg_lookup_keep(struct pg_engine *e)
{
	struct buffer *b = &e->scratch;
	char name[PG_PRIVATE_NAME_SIZE];
	int r = 0;

	buffer_clear(b);
	for (unsigned i = 0; r == 0 && i <= PG_LOOKUP_TEMPORARY; i++) {
		if (!is_of_kept((enum pg_lookup_step)i))
			continue;
		name_kept(e, (enum pg_lookup_step)i, name);
		r = pg_private_put_parse(
			b, name, step_queries((enum pg_lookup_step)i).items[0].text);
		if (r == 0)
			r = pg_private_put_bind(b, name);
		if (r == 0)
			r = pg_private_put_close(b, 'P', name);
	}
	if (r == 0)
		r = pg_put_message(b, 'S', SLICE_EMPTY);
	return r < 0 ? r : e->base.host->write(e->base.host, SIDE_SERVER, buffer_slice(b));
}

static int put_drop_kept(struct pg_engine *e, struct pg_lookup *l)
{
	char name[PG_PRIVATE_NAME_SIZE];
	int r = 0;

	for (unsigned i = 0; r == 0 && i <= PG_LOOKUP_TEMPORARY; i++) {
		if (!is_of_kept((enum pg_lookup_step)i))
			continue;
		name_kept(e, (enum pg_lookup_step)i, name);
		r = pg_private_put_close(&e->scratch, 'S', name);
		l->closes++;
	}
	return r;
}

/* The first step of the round from `from` on; false: there is none. */
static bool next_step(struct pg_lookup *l, unsigned from)
{
	for (unsigned i = from; i < PG_LOOKUP_GUARD; i++) {
		if (!(l->wanted & 1u << i))
			continue;
		l->step = (enum pg_lookup_step)i;
		l->query = 0;
		return true;
	}
	return false;
}

static bool first_step(struct pg_lookup *l)
{
	if (!(l->wanted & 1u << PG_LOOKUP_GUARD))
		return next_step(l, 0);
	l->step = PG_LOOKUP_GUARD;
	l->query = 0;
	return true;
}

static bool step_behind(struct pg_lookup *l)
{
	return next_step(l, l->step == PG_LOOKUP_GUARD ? 0 : l->step + 1);
}

/* The agent would keep who it is out of the server's logs, if anything of its had this name. */
static int put_rename(struct pg_engine *e, struct pg_lookup *l)
{
	struct buffer *b = &e->scratch;
	char name[PG_PRIVATE_NAME_SIZE];
	int r;

	pg_private_name(e->base.host->nonce, "name", PG_LOOKUP_NAME, name);
	r = pg_private_put_close(b, 'P', name);
	if (r == 0)
		r = pg_private_put_close(b, 'S', name);
	if (r == 0)
		r = pg_private_put_query(b, name, e->named->text);
	l->closes += 4;
	return r;
}

static int put_step(struct pg_engine *e, struct pg_lookup *l)
{
	struct step_queries queries = step_queries(l->step);
	char name[PG_PRIVATE_NAME_SIZE];
	int r = 0;

	if (e->kept == PG_KEPT_READY && is_of_kept(l->step)) {
		name_kept(e, l->step, name);
		l->closes++;
		return pg_private_put_run(&e->scratch, name);
	}
	if (l->step == PG_LOOKUP_NAME)
		return put_rename(e, l);
	for (size_t i = 0; r == 0 && i < queries.count; i++) {
		snprintf(name, sizeof(name), "wayleave_%u_%zu", (unsigned)l->step, i);
		if (e->leftovers)
			r = pg_private_put_close(&e->scratch, 'S', name);
		if (r == 0)
			r = pg_private_put_query(&e->scratch, name, queries.items[i].text);
		l->closes += e->leftovers ? 3 : 2;
	}
	return r;
}

static int send_round(struct pg_engine *e, struct pg_lookup *l)
{
	static const uint8_t sync[] = {'S', 0, 0, 0, 4}, flush[] = {'H', 0, 0, 0, 4};
	int r = buffer_append(&e->scratch, l->synced ? sync : flush, 5);

	e->wait = PG_WAIT_LOOKUP;
	return r < 0 ? r
		     : e->base.host->write(e->base.host, SIDE_SERVER, buffer_slice(&e->scratch));
}

/* Where nothing is to be denied, a question that the server fails must not end the transaction. */
static unsigned guards(const struct pg_engine *e)
{
	bool needed = e->base.host->observes && e->transaction == 'T';

	return needed ? 1u << PG_LOOKUP_GUARD | 1u << PG_LOOKUP_RELEASE : 0;
}

int pg_lookup_start(struct pg_engine *e, unsigned wanted)
{
	struct pg_lookup *l = e->lookup;
	int r = 0;

	if (!l) {
		l = e->lookup = memory_new(sizeof(*l));
		arena_init(&l->arena, LIMIT_SESSION_ARENA);
		l->inside = pg_snapshot_is_inside(e);
		l->late = l->inside && e->snapshot;
	}
	l->wanted = wanted | guards(e);
	l->closes = 0;
	l->synced = !pg_batch_has_begun(e);
	e->snapshot |= l->inside && wanted & ~(1u << PG_LOOKUP_ISOLATION | 1u << PG_LOOKUP_NAME);
	if (wanted & 1u << PG_LOOKUP_NAMES) {
		l->names = sql_catalog_new(LIMIT_CATALOG_BYTES);
		l->epoch = atomic_load(e->catalog->epoch);
	}
	if (wanted & 1u << PG_LOOKUP_TEMPORARY)
		l->temporary = sql_catalog_new(LIMIT_CATALOG_BYTES);
	buffer_clear(&e->scratch);
	for (bool more = first_step(l); r == 0 && more; more = step_behind(l))
		r = put_step(e, l);
	first_step(l);
	if (r == 0 && e->kept != PG_KEPT_NONE)
		r = put_drop_kept(e, l);
	return r < 0 ? r : send_round(e, l);
}

static int undo(struct pg_engine *e, struct pg_lookup *l)
{
	int r;

	l->wanted |= 1u << PG_LOOKUP_UNDO;
	l->closes = 0;
	next_step(l, PG_LOOKUP_UNDO);
	buffer_clear(&e->scratch);
	r = put_step(e, l);
	return r < 0 ? r : send_round(e, l);
}

static bool is_to_be_undone(const struct pg_engine *e, const struct pg_lookup *l)
{
	return l->failed && e->transaction == 'E' && (l->wanted & 1u << PG_LOOKUP_GUARD) &&
		!(l->wanted & 1u << PG_LOOKUP_UNDO);
}

static int take_session_row(struct pg_lookup *l, const struct slice *values)
{
	if (!values[0].data || !values[1].data)
		return -EBADMSG;
	if (slice_equal_string(values[0], "s")) {
		l->unsafe_strings = !slice_equal_string(values[1], "on");
		return 0;
	}
	if (slice_equal_string(values[0], "e"))
		return sql_encoding_clean(values[1], l->encoding);
	if (slice_equal_string(values[0], "u")) {
		free(l->role);
		l->role = memory_copy_text(values[1].data, values[1].length);
		return 0;
	}
	if (slice_equal_string(values[0], "m")) {
		l->has_meanings = true;
		return pg_meanings_take(&l->meanings, values[1]);
	}
	if (!l->path)
		l->path = arena_new_array(&l->arena, PATH_MOST, sizeof(*l->path));
	if (!l->path || l->path_count == PATH_MOST)
		return -E2BIG;
	l->path[l->path_count] = arena_copy(&l->arena, values[1]);
	return l->path[l->path_count++].data ? 0 : -E2BIG;
}

static int take_row(struct pg_lookup *l, const struct slice *values, size_t count)
{
	struct step_queries queries = step_queries(l->step);

	if (l->query >= queries.count || count != queries.items[l->query].columns)
		return -EBADMSG;
	switch (l->step) {
	case PG_LOOKUP_SESSION:
		return take_session_row(l, values);
	case PG_LOOKUP_VERSION:
		snprintf(l->version, sizeof(l->version), "%.*s", SLICE_PRINT(values[0]));
		return 0;
	case PG_LOOKUP_NAMES:
		return sql_catalog_add_row(l->names, l->query, values, count);
	case PG_LOOKUP_ISOLATION:
		snprintf(l->isolation, sizeof(l->isolation), "%.*s", SLICE_PRINT(values[0]));
		return 0;
	case PG_LOOKUP_TEMPORARY:
		return sql_catalog_add_row(l->temporary, l->query, values, count);
	default:
		return -EBADMSG; /* they return none */
	}
}

static int on_row(struct pg_lookup *l, struct slice body)
{
	struct slice values[ROW_VALUES_MOST];
	uint16_t count;

	if (pg_get_u16(&body, &count) < 0 || count > ROW_VALUES_MOST)
		return -EBADMSG;
	for (uint16_t i = 0; i < count; i++) {
		uint32_t length;

		if (pg_get_u32(&body, &length) < 0)
			return -EBADMSG;
		values[i] = SLICE_EMPTY;
		if (length != UINT32_MAX && pg_get_bytes(&body, length, &values[i]) < 0)
			return -EBADMSG;
	}
	return take_row(l, values, count);
}

/* The round is over: what was read goes to naming_answer.c, which may start another. */
static int finish(struct pg_engine *e)
{
	struct pg_lookup *l = e->lookup;

	e->leftovers = l->failed;
	e->kept = e->kept != PG_KEPT_NONE && l->failed ? PG_KEPT_LEFT : PG_KEPT_NONE;
	if (is_to_be_undone(e, l))
		return undo(e, l);
	if (!l->failed && l->names && (l->wanted & 1u << PG_LOOKUP_NAMES))
		l->failed = sql_catalog_finish(l->names) < 0;
	if (!l->failed && l->temporary && (l->wanted & 1u << PG_LOOKUP_TEMPORARY))
		l->failed = sql_catalog_finish(l->temporary) < 0;
	return pg_naming_on_lookup(e, l);
}

static void on_command_complete(struct pg_lookup *l)
{
	if (++l->query >= step_queries(l->step).count)
		step_behind(l);
}

/* A cancel, or the agent's own statement_timeout, that met our question was meant for what the
 * agent waits for. */
static void on_error(struct pg_lookup *l, struct slice body)
{
	struct slice text = pg_error_field(body, 'M');

	l->failed = true;
	if (slice_equal_string(pg_error_field(body, 'C'), PG_STATE_QUERY_CANCELED) &&
		!l->interrupted)
		l->interrupted = memory_copy_text(text.data, text.length);
}

int pg_lookup_reply(struct pg_engine *e, uint8_t type, struct slice body)
{
	struct pg_lookup *l = e->lookup;

	switch (type) {
	case '1':
	case '2':
		return 0;
	case 'D':
		/* A row that can't be kept makes the names unknown; it must not end the session. */
		if (!l->failed && on_row(l, body) < 0)
			l->failed = true;
		return 0;
	case 'C':
		on_command_complete(l);
		return 0;
	case '3':
		l->closes -= l->closes > 0;
		if (!l->synced && l->closes == 0)
			return finish(e);
		return 0;
	case 'E':
		on_error(l, body);
		if (l->synced)
			return 0;
		/* Inside the agent's batch the server now skips to the agent's Sync. */
		e->skipping = true;
		if (e->requests.count)
			pg_settle_head(e, false); /* what is deferred is skipped with it */
		l->ended_batch = true;
		return finish(e);
	case 'Z':
		if (!l->synced || body.length != 1)
			return -EBADMSG;
		e->transaction = (char)body.data[0];
		return finish(e);
	default:
		return -EBADMSG;
	}
}
