/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/preview.h"

#include <errno.h>
#include <stdio.h>

#include "protocol/postgres/error.h"
#include "protocol/postgres/lookup.h"
#include "protocol/postgres/preview_query.h"

#define SHOWN_MOST 8192
#define STATE_LOCK_NOT_AVAILABLE "55P03"

static const char too_slow[] = "the server took too long";

/* What is asked, one after the other: each when the one before is answered. */
enum preview_stage {
	PREVIEW_ISOLATION, /* inside a transaction; SHOW takes no snapshot */
	PREVIEW_SAVEPOINT, /* likewise */
	PREVIEW_OBJECTS,
	PREVIEW_PLAN,
	PREVIEW_UNDO, /* back to the savepoint, and nothing left of an error */
	PREVIEW_KEEP, /* no question: what will be looked up when it goes on */
};

struct pg_preview {
	enum preview_stage stage;
	char name[40]; /* private: of statement, portal and savepoint */
	bool failed, slow; /* this stage */
	bool given_up; /* nobody waits for it any more; it still ends as it has to */
	bool passed; /* the action may be judged although it has not ended */
	bool left; /* an error may have left the statement behind */
	bool savepoint;
	bool takes_all; /* as in struct sql_command */
	bool plannable; /* some of it is a read or write, of which a plan would say something */
	unsigned queries, completed; /* of this stage */
	size_t objects, more; /* that the statement names */
	size_t found, tables; /* that the server knows; that are tables to be planned */
	bool runs_code; /* planning some table may run code of users */
	bool compares; /* the version of names is asked for with the objects */
	char version[sizeof(((struct protocol_catalog *)0)->version)];
	struct preview_batch objects_batch, plan_batch; /* of those stages, if they are wanted */
	const char *problem; /* why there is nothing to show */
	const char *no_plan; /* why there is no plan, where one was wanted */
	struct buffer sizes, plan, shown;
};

void pg_preview_free(struct pg_preview *p)
{
	if (!p)
		return;
	preview_batch_done(&p->objects_batch);
	preview_batch_done(&p->plan_batch);
	buffer_done(&p->sizes);
	buffer_done(&p->plan);
	buffer_done(&p->shown);
	free(p);
}

static struct pg_preview *preview_new(const struct pg_engine *e)
{
	struct pg_preview *p = memory_new(sizeof(*p));
	const uint8_t *n = e->base.host->nonce + 8;

	snprintf(p->name, sizeof(p->name), "wayleave_preview_%02x%02x%02x%02x%02x%02x", n[0], n[1],
		n[2], n[3], n[4], n[5]);
	preview_batch_init(&p->objects_batch, p->name);
	preview_batch_init(&p->plan_batch, p->name);
	buffer_init(&p->sizes, SHOWN_MOST);
	buffer_init(&p->plan, SHOWN_MOST);
	buffer_init(&p->shown, 3 * SHOWN_MOST);
	return p;
}

/* --- whether --- */

static bool is_read_or_write(enum operation operation)
{
	return operation == OPERATION_SELECT || operation == OPERATION_INSERT ||
		operation == OPERATION_UPDATE || operation == OPERATION_DELETE ||
		operation == OPERATION_MERGE;
}

static bool reads_or_writes(const struct action *action)
{
	for (size_t i = 0; i < action->pair_count; i++) {
		if (is_read_or_write(action->pairs[i].operation))
			return true;
	}
	return false;
}

/* Why it is not planned; NULL: it may be, if the server says that all its objects are tables. */
static const char *plan_problem(const struct pg_pending *pending)
{
	const struct action *action = &pending->facts;

	if (sql_text_command_count(pending->plan->text) != 1 || action->unknown ||
		action->text.length > PREVIEW_TEXT_MOST ||
		action->pair_count > PREVIEW_OBJECTS_MOST)
		return "it is not a plain read or write";
	for (size_t i = 0; i < action->pair_count; i++) {
		if (!is_read_or_write(action->pairs[i].operation))
			return "it is not a plain read or write";
	}
	return NULL;
}

static const char *nothing_problem(const struct pg_preview *p)
{
	return p->plannable ? p->no_plan : "it names nothing that has a size";
}

/* Why nothing can be asked now; NULL: it can. */
static const char *moment_problem(const struct pg_engine *e)
{
	if (!e->pending.plan)
		return "it is not a plain read or write";
	if (e->transaction == 'E')
		return "the transaction has failed";
	if (e->preview)
		return too_slow; /* of what it was before others changed what it means */
	if (e->startup.replication)
		return "the connection is one of replication";
	if (pg_requests_sent(e) || e->lookup || pg_batch_has_begun(e))
		return "it is part of a batch";
	return NULL;
}

/* --- what is asked --- */

/* Past what is deferred, which belongs behind it. */
static int send_batch(struct pg_engine *e, struct preview_batch *b)
{
	int r = preview_put_end(b);

	e->preview->queries = b->queries;
	return r < 0 ? r
		     : e->base.host->write(e->base.host, SIDE_SERVER, buffer_slice(&b->messages));
}

static int send_texts(struct pg_engine *e, const char *first, const char *second)
{
	struct preview_batch b;
	int r = 0;

	preview_batch_init(&b, e->preview->name);
	if (first)
		r = preview_put_query(&b, first);
	if (r == 0 && second)
		r = preview_put_query(&b, second);
	if (r == 0)
		r = send_batch(e, &b);
	preview_batch_done(&b);
	return r;
}

static int send_undo(struct pg_engine *e)
{
	char back[80], release[80];

	if (!e->preview->savepoint)
		return send_texts(e, NULL, NULL);
	snprintf(back, sizeof(back), "ROLLBACK TO SAVEPOINT %s", e->preview->name);
	snprintf(release, sizeof(release), "RELEASE SAVEPOINT %s", e->preview->name);
	return send_texts(e, back, release);
}

static int begin_stage(struct pg_engine *e, enum preview_stage stage)
{
	struct pg_preview *p = e->preview;
	char savepoint[80];

	p->stage = stage;
	p->failed = false;
	p->slow = false;
	p->completed = 0;
	switch (stage) {
	case PREVIEW_ISOLATION:
		e->isolation = PG_SNAPSHOT_UNKNOWN;
		return send_texts(e, "SHOW transaction_isolation", NULL);
	case PREVIEW_SAVEPOINT:
		e->snapshot = true;
		snprintf(savepoint, sizeof(savepoint), "SAVEPOINT %s", p->name);
		return send_texts(e, savepoint, NULL);
	case PREVIEW_OBJECTS:
		return send_batch(e, &p->objects_batch);
	case PREVIEW_PLAN:
		return send_batch(e, &p->plan_batch);
	case PREVIEW_UNDO:
		return send_undo(e);
	default:
		return pg_lookup_keep(e);
	}
}

static enum preview_stage first_query(const struct pg_preview *p)
{
	return p->objects_batch.queries ? PREVIEW_OBJECTS : PREVIEW_PLAN;
}

/* The messages of the stages that need the statement, which may be gone by then. -ENOENT: there is
 * nothing to ask. */
static int prepare(struct pg_engine *e, struct pg_preview *p)
{
	int r;

	p->no_plan = plan_problem(&e->pending);
	p->takes_all = !p->no_plan && sql_text_command(e->pending.plan->text, 0)->takes_all;
	p->plannable = reads_or_writes(&e->pending.facts);
	p->compares = !e->names_moved && pg_naming_has_version(e);
	e->names_moved = false;
	r = preview_put_limits(&p->objects_batch);
	if (r == 0 && p->compares)
		r = preview_put_query(&p->objects_batch, pg_lookup_version_query());
	if (r == 0)
		r = preview_put_objects(&p->objects_batch, &e->pending, &p->objects, &p->more);
	if (r == 0 && p->objects == 0)
		p->objects_batch.queries = 0;
	if (r < 0 || p->no_plan)
		return r < 0 ? r : p->objects ? 0 : -ENOENT;
	r = preview_put_limits(&p->plan_batch);
	return r < 0 ? r : preview_put_plan(&p->plan_batch, &e->pending);
}

const char *pg_preview_start(struct protocol_engine *base, uint32_t lane)
{
	struct pg_engine *e = pg_engine_of(base);
	const char *problem = moment_problem(e);
	struct pg_preview *p;
	int r;

	(void)lane;
	if (problem)
		return problem;
	p = preview_new(e);
	r = prepare(e, p);
	if (r < 0) {
		problem = r == -ENOENT ? nothing_problem(p) : "it is too large to be planned";
		pg_preview_free(p);
		return problem;
	}
	e->preview = p;
	if (begin_stage(e, e->transaction == 'T' ? PREVIEW_ISOLATION : first_query(p)) == 0)
		return NULL;
	e->preview = NULL;
	pg_preview_free(p);
	return "it is too large to be planned";
}

void pg_preview_pass(struct pg_engine *e, bool passes)
{
	e->preview->given_up |= passes;
	e->preview->passed = passes;
}

bool pg_preview_bars(const struct pg_engine *e)
{
	return e->preview &&
		(!e->preview->passed || e->pending.decision != PG_UNDECIDED ||
			e->pending.interrupted);
}

/* --- what comes back --- */

static const char *kind_name(struct slice kind)
{
	static const struct {
		char letter;
		const char *name;
	} kinds[] = {{'r', "table"}, {'p', "partitioned table"}, {'v', "view"},
		{'m', "materialized view"}, {'i', "index"}, {'I', "partitioned index"},
		{'S', "sequence"}, {'f', "foreign table"}, {'c', "type"}, {'t', "TOAST table"}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kind.length == 1 && kind.data[0] == (uint8_t)kinds[i].letter)
			return kinds[i].name;
	}
	return slice_equal_string(kind, "schema") ? "schema" : "object";
}

static bool is_one_of(struct slice kind, const char *letters)
{
	return kind.length == 1 && strchr(letters, kind.data[0]);
}

/* "public.orders: table, 1208 MB, about 3,000,000 rows". What has no room is left out: the first
 * lines say the most. */
static void take_object(struct pg_preview *p, const struct slice *values)
{
	struct slice kind = values[1], rows = values[3], size = values[4];
	struct buffer *b = &p->sizes;

	p->found++;
	p->tables += slice_equal_string(values[2], "t");
	p->runs_code |= slice_equal_string(values[2], "c");
	buffer_append_format(b, "%.*s: %s", SLICE_PRINT(values[0]), kind_name(kind));
	if (slice_equal_string(kind, "schema"))
		buffer_append_format(b, ", %.*s", SLICE_PRINT(rows));
	if (size.length && !is_one_of(kind, "vcf"))
		buffer_append_format(b, ", %.*s", SLICE_PRINT(size));
	if (!is_one_of(kind, "rpmt"))
		buffer_append_byte(b, '\n');
	else if (rows.length && rows.data[0] == '-')
		buffer_append_string(b, ", rows were never counted\n");
	else
		buffer_append_format(b, ", about %.*s rows\n", SLICE_PRINT(rows));
}

static void take_row(struct pg_engine *e, struct pg_preview *p, struct slice body)
{
	struct slice values[PREVIEW_COLUMNS] = {{0}};
	/* Behind the limits; the one that is asked about is the last. */
	bool version = p->stage == PREVIEW_OBJECTS && p->compares && p->completed == 1;
	uint16_t count;

	if ((!version && p->completed + 1 != p->queries) || pg_get_u16(&body, &count) < 0 ||
		count > ARRAY_SIZE(values))
		return;
	for (uint16_t i = 0; i < count; i++) {
		uint32_t length;

		values[i] = slice_from_string("");
		if (pg_get_u32(&body, &length) < 0 ||
			(length != UINT32_MAX && pg_get_bytes(&body, length, &values[i]) < 0))
			return;
	}
	if (version && count == 1)
		snprintf(p->version, sizeof(p->version), "%.*s", SLICE_PRINT(values[0]));
	else if (p->stage == PREVIEW_OBJECTS && count == PREVIEW_COLUMNS)
		take_object(p, values);
	else if (p->stage == PREVIEW_PLAN && count == 1)
		buffer_append_format(&p->plan, "%.*s\n", SLICE_PRINT(values[0]));
	else if (p->stage == PREVIEW_ISOLATION && count == 1)
		pg_snapshot_on_isolation(e, values[0]);
}

static void show(struct pg_preview *p)
{
	if (buffer_length(&p->plan))
		buffer_append_format(&p->shown, "%.*s%s", SLICE_PRINT(buffer_slice(&p->plan)),
			p->takes_all ? "there is no WHERE\n" : "");
	else if (buffer_length(&p->sizes) && p->plannable)
		buffer_append_format(&p->shown, "no plan: %s\n", p->no_plan);
	buffer_append_slice(&p->shown, buffer_slice(&p->sizes));
	if (p->more)
		buffer_append_format(&p->shown, "and %zu more\n", p->more);
	if (buffer_length(&p->plan) == 0 && buffer_length(&p->sizes) == 0 && !p->problem)
		p->problem = nothing_problem(p);
}

static void put_event(struct pg_engine *e, struct pg_preview *p)
{
	struct protocol_event *event = pg_event(e, EVENT_PREVIEW);

	show(p);
	event->preview.problem = p->problem;
	buffer_clear(&e->context);
	buffer_append_slice(&e->context, buffer_slice(&p->shown));
	event->preview.text = buffer_slice(&e->context);
}

static int tell(struct pg_engine *e)
{
	if (!e->preview->given_up)
		put_event(e, e->preview);
	pg_preview_free(e->preview);
	e->preview = NULL;
	return 0;
}

/* Nothing is kept where names are looked up at once. */
static int end_clean(struct pg_engine *e)
{
	return pg_lookup_can_keep(e) && !e->names_moved ? begin_stage(e, PREVIEW_KEEP) : tell(e);
}

static int end(struct pg_engine *e)
{
	struct pg_preview *p = e->preview;

	return p->savepoint || p->left ? begin_stage(e, PREVIEW_UNDO) : end_clean(e);
}

static int end_without(struct pg_engine *e, const char *problem)
{
	e->preview->problem = e->preview->slow ? too_slow : problem;
	return end(e);
}

static int on_objects(struct pg_engine *e)
{
	struct pg_preview *p = e->preview;

	if (p->failed)
		return end_without(e, "the server does not say what it names");
	/* Where the server changed the client's encoding meanwhile, there is none. */
	if (p->compares && (!e->catalog || strcmp(p->version, e->catalog->version) != 0)) {
		e->names_moved = true;
		e->names_check = true;
		buffer_clear(&p->sizes);
		return end_without(e, "what names mean has just changed");
	}
	if (p->plan_batch.queries == 0)
		return end(e);
	if (p->found == p->objects && p->tables == p->objects && p->more == 0)
		return begin_stage(e, PREVIEW_PLAN);
	p->no_plan = p->runs_code ? "planning it might run code of users, by its tables"
				  : "it reads more than plain tables";
	return end(e);
}

static int on_plan(struct pg_engine *e)
{
	struct pg_preview *p = e->preview;

	if (p->failed) {
		p->no_plan = p->slow ? too_slow : "the server does not plan it";
		buffer_clear(&p->plan);
	}
	return end(e);
}

static int end_of_stage(struct pg_engine *e)
{
	struct pg_preview *p = e->preview;

	p->left |= p->failed;
	switch (p->stage) {
	case PREVIEW_ISOLATION:
		if (p->failed || e->isolation != PG_SNAPSHOT_EACH)
			return end_without(e,
				p->failed ? "the server does not say how the transaction is "
					    "isolated"
					  : "the transaction is not READ COMMITTED, and planning "
					    "would fix its snapshot");
		return begin_stage(e, PREVIEW_SAVEPOINT);
	case PREVIEW_SAVEPOINT:
		if (p->failed)
			return end_without(e, "there is no savepoint to be had");
		p->savepoint = true;
		return begin_stage(e, first_query(p));
	case PREVIEW_OBJECTS:
		return on_objects(e);
	case PREVIEW_PLAN:
		return on_plan(e);
	case PREVIEW_UNDO:
		/* The agent's statement must not run inside our savepoint. */
		if (p->savepoint && (p->failed || e->transaction != 'T'))
			return -EBADMSG;
		return end_clean(e);
	default:
		/* It may have been refused meanwhile. */
		e->kept = p->failed || e->pending.decision != PG_UNDECIDED ? PG_KEPT_LEFT
									   : PG_KEPT_READY;
		return tell(e);
	}
}

static void on_error(struct pg_preview *p, struct slice body)
{
	struct slice code = pg_error_field(body, 'C');

	p->failed = true;
	p->slow = slice_equal_string(code, STATE_LOCK_NOT_AVAILABLE) ||
		slice_equal_string(code, PG_STATE_QUERY_CANCELED);
}

int pg_preview_reply(struct pg_engine *e, uint8_t type, struct slice body)
{
	switch (type) {
	case '1':
	case '2':
	case '3':
		return 0;
	case 'C':
		e->preview->completed++;
		return 0;
	case 'D':
		take_row(e, e->preview, body);
		return 0;
	case 'E':
		on_error(e->preview, body);
		return 0;
	case 'Z':
		if (body.length != 1)
			return -EBADMSG;
		e->transaction = (char)body.data[0];
		return end_of_stage(e) < 0 ? -EBADMSG : 0;
	default:
		return -EBADMSG;
	}
}
