/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/preview.h"

#include <errno.h>

#include "base/limits.h"

#define TEXT_MOST 65536 /* of a statement that is planned */
#define PREVIEW_MOST 8192 /* of what is shown */
#define OBJECTS_MOST 32
#define NAME "wayleave_preview"

enum preview_stage { PREVIEW_TABLES, PREVIEW_PLAN };

struct pg_preview {
	enum preview_stage stage;
	bool failed;
	size_t objects, tables; /* that the statement names; that the server says are tables */
	struct buffer plan_query; /* the messages of the second stage */
	struct buffer sizes, text; /* what is shown */
};

/* Kind, row security, and how much there is. OIDs would not do: they are those of another moment.
 */
#define TABLES_QUERY                                                                               \
	"SELECT pg_catalog.concat(n.nspname, '.', c.relname),"                                     \
	" c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog.\"char\"[])"           \
	" AND NOT c.relrowsecurity, c.reltuples::pg_catalog.int8,"                                 \
	" pg_catalog.pg_size_pretty(pg_catalog.pg_table_size(c.oid))"                              \
	" FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n"                         \
	" ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"                                          \
	" WHERE pg_catalog.concat(n.nspname, '.', c.relname) OPERATOR(pg_catalog.=)"               \
	" ANY ($1::pg_catalog.text[])"

void pg_preview_free(struct pg_preview *p)
{
	if (!p)
		return;
	buffer_done(&p->plan_query);
	buffer_done(&p->sizes);
	buffer_done(&p->text);
	free(p);
}

/* --- what is asked --- */

static int put_parse(struct buffer *b, const char *before, struct slice text, struct slice types)
{
	size_t mark;
	int r = pg_begin(b, 'P', &mark);

	if (r == 0)
		r = pg_put_string(b, slice_from_string(NAME));
	if (r == 0)
		r = buffer_append_string(b, before);
	if (r == 0)
		r = pg_put_string(b, text);
	if (r == 0)
		r = buffer_append_u16(b, (uint16_t)(types.length / 4));
	if (r == 0)
		r = buffer_append_slice(b, types);
	if (r == 0)
		pg_end(b, mark);
	return r;
}

/* `values`: formats and values, as Bind has them. */
static int put_bind(struct buffer *b, struct slice values)
{
	size_t mark;
	int r = pg_begin(b, 'B', &mark);

	if (r == 0)
		r = pg_put_string(b, slice_from_string(NAME));
	if (r == 0)
		r = pg_put_string(b, slice_from_string(NAME));
	if (r == 0)
		r = buffer_append_slice(b, values);
	if (r == 0)
		r = buffer_append_u16(b, 0); /* results as text */
	if (r == 0)
		pg_end(b, mark);
	return r;
}

static int put_rest(struct buffer *b)
{
	static const char execute[] = NAME "\0\0\0\0", close_portal[] = "P" NAME,
			  close_statement[] = "S" NAME;
	int r = pg_put_message(b, 'E', slice_of(execute, sizeof(execute)));

	if (r == 0)
		r = pg_put_message(b, 'C', slice_of(close_portal, sizeof(close_portal)));
	if (r == 0)
		r = pg_put_message(b, 'C', slice_of(close_statement, sizeof(close_statement)));
	return r < 0 ? r : pg_put_message(b, 'S', SLICE_EMPTY);
}

/* One element of an array's text. */
static int put_element(struct buffer *b, struct slice name, bool first)
{
	int r = buffer_append_string(b, first ? "\"" : ",\"");

	for (size_t i = 0; r == 0 && i < name.length; i++) {
		if (name.data[i] == '"' || name.data[i] == '\\')
			r = buffer_append_byte(b, '\\');
		if (r == 0)
			r = buffer_append_byte(b, name.data[i]);
	}
	return r < 0 ? r : buffer_append_byte(b, '"');
}

static bool named_before(const struct action *action, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (slice_equal(action->pairs[i].object, action->pairs[index].object))
			return true;
	}
	return false;
}

static int put_tables_bind(struct buffer *b, const struct action *action, size_t *ret_objects)
{
	struct buffer values, names;
	int r;

	buffer_init(&values, TEXT_MOST);
	buffer_init(&names, TEXT_MOST);
	r = buffer_append_byte(&names, '{');
	for (size_t i = 0; r == 0 && i < action->pair_count; i++) {
		if (action->pairs[i].state != OBJECT_KNOWN || named_before(action, i))
			continue;
		r = put_element(&names, action->pairs[i].object, (*ret_objects)++ == 0);
	}
	if (r == 0)
		r = buffer_append_byte(&names, '}');
	if (r == 0)
		r = buffer_append_u16(&values, 0);
	if (r == 0)
		r = buffer_append_u16(&values, 1);
	if (r == 0)
		r = buffer_append_u32(&values, (uint32_t)buffer_length(&names));
	if (r == 0)
		r = buffer_append_slice(&values, buffer_slice(&names));
	if (r == 0)
		r = put_bind(b, buffer_slice(&values));
	buffer_done(&values);
	buffer_done(&names);
	return r;
}

/* The first stage's messages into `b`, the second's are kept. */
static int make_queries(struct pg_engine *e, struct pg_preview *p, struct buffer *b)
{
	static const uint8_t nothing[4]; /* no formats, no values */
	const struct pg_pending *pending = &e->pending;
	struct slice values = slice_head(pending->bound[0], pending->values_length);
	int r;

	if (values.length == 0)
		values = slice_of(nothing, sizeof(nothing));
	/* The list of options ends before the statement begins. */
	r = put_parse(&p->plan_query, "EXPLAIN (COSTS) ", pending->facts.text, pending->bound[1]);
	if (r == 0)
		r = put_bind(&p->plan_query, values);
	if (r == 0)
		r = put_rest(&p->plan_query);
	if (r == 0)
		r = put_parse(b, "", slice_from_string(TABLES_QUERY), SLICE_EMPTY);
	if (r == 0)
		r = put_tables_bind(b, &pending->facts, &p->objects);
	return r < 0 ? r : put_rest(b);
}

/* --- whether --- */

/* Why there is none; NULL: it may be asked for. */
static const char *problem_of(const struct pg_engine *e)
{
	const struct action *action = &e->pending.facts;

	if (!e->pending.plan || sql_text_command_count(e->pending.plan->text) != 1 ||
		action->unknown || action->text.length > TEXT_MOST ||
		action->pair_count > OBJECTS_MOST)
		return "it is not a plain read or write";
	for (size_t i = 0; i < action->pair_count; i++) {
		switch (action->pairs[i].operation) {
		case OPERATION_SELECT:
		case OPERATION_INSERT:
		case OPERATION_UPDATE:
		case OPERATION_DELETE:
		case OPERATION_MERGE:
			break;
		default:
			return "it is not a plain read or write";
		}
	}
	if (e->transaction != 'I')
		return "a transaction is open";
	if (e->requests.count || e->unsynced || e->lookup || e->preview)
		return "it is part of a batch";
	return NULL;
}

const char *pg_preview_start(struct protocol_engine *base, uint32_t lane)
{
	struct pg_engine *e = pg_engine_of(base);
	const char *problem = problem_of(e);
	struct pg_preview *p;

	(void)lane;
	if (problem)
		return problem;
	p = memory_new(sizeof(*p));
	buffer_init(&p->plan_query, 4 * TEXT_MOST);
	buffer_init(&p->sizes, PREVIEW_MOST);
	buffer_init(&p->text, PREVIEW_MOST);
	buffer_clear(&e->scratch);
	if (make_queries(e, p, &e->scratch) < 0 ||
		pg_write(e, SIDE_SERVER, buffer_slice(&e->scratch)) < 0) {
		pg_preview_free(p);
		return "it is too large to be planned";
	}
	e->preview = p;
	return NULL;
}

/* --- what comes back --- */

static void take_table(struct pg_preview *p, struct slice *values, size_t count)
{
	if (count != 4 || !slice_equal_string(values[1], "t"))
		return;
	p->tables++;
	/* -1: the server has never counted. */
	if (values[2].length && values[2].data[0] == '-')
		values[2] = slice_from_string("an unknown number of");
	buffer_append_format(&p->sizes, "%.*s: %.*s rows, %.*s\n", SLICE_PRINT(values[0]),
		SLICE_PRINT(values[2]), SLICE_PRINT(values[3]));
}

/* What has no room is left out: the first lines say the most. */
static void take_row(struct pg_preview *p, struct slice body)
{
	struct slice values[4] = {{0}};
	uint16_t count;

	if (pg_get_u16(&body, &count) < 0 || count > ARRAY_SIZE(values))
		return;
	for (uint16_t i = 0; i < count; i++) {
		uint32_t length;

		values[i] = slice_from_string("");
		if (pg_get_u32(&body, &length) < 0 ||
			(length != UINT32_MAX && pg_get_bytes(&body, length, &values[i]) < 0))
			return;
	}
	if (p->stage == PREVIEW_TABLES)
		take_table(p, values, count);
	else if (count == 1)
		buffer_append_format(&p->text, "%.*s\n", SLICE_PRINT(values[0]));
}

static void tell(struct pg_engine *e, const char *problem)
{
	struct pg_preview *p = e->preview;
	struct protocol_event *event = pg_event(e, EVENT_PREVIEW);

	event->preview.problem = problem;
	buffer_append_slice(&p->text, buffer_slice(&p->sizes));
	buffer_clear(&e->context);
	buffer_append_slice(&e->context, buffer_slice(&p->text));
	event->preview.text = buffer_slice(&e->context);
	pg_preview_free(p);
	e->preview = NULL;
}

static void end_of_stage(struct pg_engine *e)
{
	struct pg_preview *p = e->preview;

	if (p->failed) {
		tell(e, "the server does not plan it");
	} else if (p->stage == PREVIEW_PLAN) {
		tell(e, NULL);
	} else if (p->tables != p->objects) {
		tell(e, "it reads more than plain tables");
	} else if (e->wait != PG_WAIT_VERDICT || e->requests.count || e->lookup) {
		tell(e, "it went on meanwhile");
	} else {
		p->stage = PREVIEW_PLAN;
		if (pg_write(e, SIDE_SERVER, buffer_slice(&p->plan_query)) < 0)
			tell(e, "it is too large to be planned");
	}
}

int pg_preview_reply(struct pg_engine *e, uint8_t type, struct slice body)
{
	switch (type) {
	case '1':
	case '2':
	case '3':
	case 'C':
		return 0;
	case 'D':
		take_row(e->preview, body);
		return 0;
	case 'E':
		e->preview->failed = true;
		return 0;
	case 'Z':
		if (body.length != 1)
			return -EBADMSG;
		e->transaction = (char)body.data[0];
		end_of_stage(e);
		return 0;
	default:
		return -EBADMSG;
	}
}
