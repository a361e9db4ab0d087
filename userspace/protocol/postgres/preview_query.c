/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/preview_query.h"

#include <ctype.h>

#include "base/limits.h"

/* Longer than a worker waits is of no use; the first is what a lock in the way may cost. Compiling
 * queries that take milliseconds would take seconds. */
#define LIMITS_QUERY                                                                               \
	"SELECT pg_catalog.set_config('lock_timeout', '1000', true),"                              \
	" pg_catalog.set_config('statement_timeout', '1500', true),"                               \
	" pg_catalog.set_config('jit', 'off', true)"

/* clang-format off */
#define NUMBER(value) "pg_catalog.to_char(" value ", 'FM999,999,999,999,999,990')"
#define EQUALS " OPERATOR(pg_catalog.=) "
#define IS_OF(kinds) "relkind" EQUALS "ANY (ARRAY[" kinds "]::pg_catalog.\"char\"[])"
/* The session's own temporary schema is pg_temp to policy. */
#define FULL_NAME                                                                                  \
	"pg_catalog.concat(CASE WHEN n.oid" EQUALS "pg_catalog.pg_my_temp_schema() THEN 'pg_temp'" \
	" ELSE n.nspname::pg_catalog.text END, '.', c.relname)"
#define CATALOG(name) "'pg_catalog." name "'::pg_catalog.regclass"
#define OF_USERS(oid) oid " OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid"
/* For each row of the one, by an index: OFFSET keeps the planner, which takes the first for many
 * rows, from reading the whole catalog instead. */
#define EACH(from, select) from ", LATERAL (SELECT " select " OFFSET 0) AS e"
#define WHOSE(class, from, key)                                                                    \
	" UNION ALL SELECT " CATALOG(class) ", e.oid FROM "                                        \
	EACH(from, "x.oid FROM pg_catalog." class " AS x WHERE x." key EQUALS from ".oid")
/* Functions that the planner may run or inline: it does neither with those that are volatile and
 * not of SQL (OID 14), as what makes a key by default often is. */
#define IS_FOLDED                                                                                  \
	"(SELECT NOT (f.provolatile" EQUALS "'v' AND f.prolang OPERATOR(pg_catalog.<>) "           \
	"14::pg_catalog.oid) FROM pg_catalog.pg_proc AS f WHERE f.oid" EQUALS "p.refobjid)"
/* Whether planning may run code of users for the relation c, whatever the statement is: functions
 * and operators in defaults, generated columns, CHECK constraints, partition keys, expressions and
 * predicates of indexes, extended statistics, and domains, of it and of all that is read with it,
 * and partition keys above it; or that of a foreign server, where some are foreign tables. Operator
 * classes and base types are made by superusers alone. */
#define RUNS_CODE                                                                                  \
	"(WITH RECURSIVE t(oid) AS (SELECT c.oid UNION SELECT e.inhrelid FROM "                    \
	EACH("t", "i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent" EQUALS "t.oid"   \
		" AND (SELECT k.relhassubclass FROM pg_catalog.pg_class AS k WHERE k.oid" EQUALS   \
		"t.oid)")                                                                          \
	"), u(oid) AS (SELECT c.oid UNION SELECT e.inhparent FROM "                                \
	EACH("u", "i.inhparent FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid" EQUALS "u.oid")  \
	"), y(oid) AS (SELECT e.atttypid FROM "                                                    \
	EACH("t", "a.atttypid FROM pg_catalog.pg_attribute AS a WHERE a.attrelid" EQUALS "t.oid"   \
		" AND " OF_USERS("a.atttypid"))                                                    \
	" UNION SELECT b.oid FROM "                                                                \
	EACH("y", "k.typbasetype, k.typelem FROM pg_catalog.pg_type AS k WHERE k.oid" EQUALS       \
		"y.oid")                                                                           \
	", pg_catalog.unnest(ARRAY[e.typbasetype, e.typelem]) AS b(oid) WHERE " OF_USERS("b.oid")  \
	"), d(class, oid) AS (SELECT " CATALOG("pg_class") ", t.oid FROM t"                        \
	" UNION ALL SELECT " CATALOG("pg_class") ", u.oid FROM u"                                  \
	" UNION ALL SELECT " CATALOG("pg_class") ", e.indexrelid FROM "                            \
	EACH("t", "x.indexrelid FROM pg_catalog.pg_index AS x WHERE x.indrelid" EQUALS "t.oid")    \
	WHOSE("pg_attrdef", "t", "adrelid")                                                        \
	WHOSE("pg_statistic_ext", "t", "stxrelid")                                                 \
	WHOSE("pg_constraint", "t", "contype" EQUALS "'c' AND x.conrelid")                         \
	WHOSE("pg_constraint", "y", "contypid")                                                    \
	WHOSE("pg_type", "y", "typtype" EQUALS "'d' AND x.oid")                                    \
	") SELECT EXISTS (SELECT FROM "                                                            \
	EACH("d", "FROM pg_catalog.pg_depend AS p WHERE p.classid" EQUALS "d.class AND p.objid"    \
		EQUALS "d.oid AND " OF_USERS("p.refobjid") " AND (p.refclassid" EQUALS             \
		CATALOG("pg_operator") " OR p.refclassid" EQUALS CATALOG("pg_proc")                \
		" AND " IS_FOLDED ")")                                                             \
	") OR EXISTS (SELECT FROM "                                                                \
	EACH("t", "FROM pg_catalog.pg_class AS k WHERE k.oid" EQUALS "t.oid AND k.relkind" EQUALS  \
		"'f'")                                                                             \
	") OR EXISTS (SELECT FROM "                                                                \
	EACH("y", "FROM pg_catalog.pg_type AS k WHERE k.oid" EQUALS "y.oid AND k.typtype" EQUALS   \
		"ANY (ARRAY['c', 'r', 'm']::pg_catalog.\"char\"[])") "))"
/* OIDs would not do as parameters: they are those of another moment. */
#define OBJECTS_QUERY                                                                              \
	"SELECT " FULL_NAME ", c.relkind::pg_catalog.text,"                                        \
	" CASE WHEN NOT c." IS_OF("'r', 'p'") " OR c.relrowsecurity OR c.relhasrules THEN 'f'"     \
	" WHEN " RUNS_CODE " THEN 'c' ELSE 't' END,"                                               \
	" " NUMBER("c.reltuples::pg_catalog.int8") ","                                             \
	" pg_catalog.pg_size_pretty(COALESCE("                                                     \
	"(SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(t.relid))"                       \
	" FROM pg_catalog.pg_partition_tree(c.oid) AS t),"                                         \
	" pg_catalog.pg_total_relation_size(c.oid)))"                                              \
	" FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n"                         \
	" ON n.oid" EQUALS "c.relnamespace"                                                        \
	" WHERE " FULL_NAME EQUALS "ANY ($1::pg_catalog.text[])"                                   \
	" UNION ALL SELECT n.nspname::pg_catalog.text, 'schema', 'f', pg_catalog.concat("          \
	NUMBER("(SELECT pg_catalog.count(*) FROM pg_catalog.pg_class AS k"                         \
		" WHERE k.relnamespace" EQUALS "n.oid"                                             \
		" AND k." IS_OF("'r', 'p', 'v', 'm', 'S', 'f'") ")") ", ' relations, ', "          \
	NUMBER("(SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc AS f"                          \
		" WHERE f.pronamespace" EQUALS "n.oid)") ", ' functions'),"                        \
	" pg_catalog.pg_size_pretty((SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(k.oid))" \
	" FROM pg_catalog.pg_class AS k WHERE k.relnamespace" EQUALS "n.oid"                       \
	" AND k." IS_OF("'r', 'm', 'S'") "))"                                                      \
	" FROM pg_catalog.pg_namespace AS n"                                                       \
	" WHERE n.nspname::pg_catalog.text" EQUALS "ANY ($2::pg_catalog.text[])"
/* clang-format on */

void preview_batch_init(struct preview_batch *b, const char *name)
{
	*b = (struct preview_batch){.name = name};
	buffer_init(&b->messages, 8 * PREVIEW_TEXT_MOST);
}

void preview_batch_done(struct preview_batch *b)
{
	buffer_done(&b->messages);
}

/* --- messages --- */

static int put_close(struct preview_batch *b, char kind)
{
	size_t mark;
	int r = pg_begin(&b->messages, 'C', &mark);

	if (r == 0)
		r = buffer_append_byte(&b->messages, (uint8_t)kind);
	if (r == 0)
		r = pg_put_string(&b->messages, slice_from_string(b->name));
	if (r == 0)
		pg_end(&b->messages, mark);
	return r;
}

static int put_closes(struct preview_batch *b)
{
	int r = put_close(b, 'P');

	return r < 0 ? r : put_close(b, 'S');
}

static int put_parse(
	struct preview_batch *b, const char *before, struct slice text, struct slice types)
{
	struct buffer *m = &b->messages;
	size_t mark;
	int r = pg_begin(m, 'P', &mark);

	if (r == 0)
		r = pg_put_string(m, slice_from_string(b->name));
	if (r == 0)
		r = buffer_append_string(m, before);
	if (r == 0)
		r = pg_put_string(m, text);
	if (r == 0)
		r = buffer_append_u16(m, (uint16_t)(types.length / 4));
	if (r == 0)
		r = buffer_append_slice(m, types);
	if (r == 0)
		pg_end(m, mark);
	return r;
}

/* `values`: formats and values, as Bind has them. */
static int put_bind(struct preview_batch *b, struct slice values)
{
	struct buffer *m = &b->messages;
	size_t mark;
	int r = pg_begin(m, 'B', &mark);

	if (r == 0)
		r = pg_put_string(m, slice_from_string(b->name));
	if (r == 0)
		r = pg_put_string(m, slice_from_string(b->name));
	if (r == 0)
		r = buffer_append_slice(m, values);
	if (r == 0)
		r = buffer_append_u16(m, 0); /* results as text */
	if (r == 0)
		pg_end(m, mark);
	return r;
}

static int put_execute(struct preview_batch *b)
{
	struct buffer *m = &b->messages;
	size_t mark;
	int r = pg_begin(m, 'E', &mark);

	if (r == 0)
		r = pg_put_string(m, slice_from_string(b->name));
	if (r == 0)
		r = buffer_append_u32(m, 0);
	if (r == 0)
		pg_end(m, mark);
	return r;
}

/* What an error before may have left goes first. */
static int put_query(struct preview_batch *b, const char *before, struct slice text,
	struct slice types, struct slice values)
{
	int r = put_closes(b);

	b->queries++;
	if (r == 0)
		r = put_parse(b, before, text, types);
	if (r == 0)
		r = put_bind(b, values);
	return r < 0 ? r : put_execute(b);
}

static const uint8_t no_values[4]; /* no formats, no values */

int preview_put_query(struct preview_batch *b, const char *text)
{
	return put_query(b, "", slice_from_string(text), SLICE_EMPTY,
		slice_of(no_values, sizeof(no_values)));
}

int preview_put_limits(struct preview_batch *b)
{
	return preview_put_query(b, LIMITS_QUERY);
}

int preview_put_end(struct preview_batch *b)
{
	int r = put_closes(b);

	return r < 0 ? r : pg_put_message(&b->messages, 'S', SLICE_EMPTY);
}

/* The list of options ends before the statement begins. */
int preview_put_plan(struct preview_batch *b, const struct pg_pending *pending)
{
	struct slice values = slice_head(pending->bound[0], pending->values_length);

	if (values.length == 0)
		values = slice_of(no_values, sizeof(no_values));
	return put_query(b, "EXPLAIN (COSTS) ", pending->facts.text, pending->bound[1], values);
}

/* --- objects --- */

static bool named_before(const struct action *action, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (action->pairs[i].state == OBJECT_KNOWN &&
			slice_equal(action->pairs[i].object, action->pairs[index].object))
			return true;
	}
	return false;
}

/* One element of an array's text. */
static int put_element(struct buffer *b, struct slice name)
{
	int r = buffer_append_string(b, buffer_length(b) > 1 ? ",\"" : "\"");

	for (size_t i = 0; r == 0 && i < name.length; i++) {
		if (name.data[i] == '"' || name.data[i] == '\\')
			r = buffer_append_byte(b, '\\');
		if (r == 0)
			r = buffer_append_byte(b, name.data[i]);
	}
	return r < 0 ? r : buffer_append_byte(b, '"');
}

static bool takes_word(struct slice *text, const char *word)
{
	size_t length = strlen(word);

	while (text->length && isspace(text->data[0]))
		*text = slice_from(*text, 1);
	if (text->length <= length || strncasecmp((const char *)text->data, word, length) != 0 ||
		!isspace(text->data[length]))
		return false;
	*text = slice_from(*text, length);
	return true;
}

/* Whether a name without a schema is that of one: roles, databases and extensions have such names
 * too. */
static bool is_about_schemas(const struct pg_pending *pending)
{
	struct slice text = pending->facts.text, again = text;

	if (sql_text_command_count(pending->plan->text) != 1)
		return false;
	if (takes_word(&text, "drop"))
		return takes_word(&text, "schema");
	return takes_word(&again, "alter") && takes_word(&again, "schema");
}

struct name_lists {
	struct buffer relations, schemas; /* arrays as text */
	size_t count, more;
};

static int list_names(const struct pg_pending *pending, struct name_lists *l)
{
	const struct action *action = &pending->facts;
	bool schemas = is_about_schemas(pending);
	int r = buffer_append_byte(&l->relations, '{');

	if (r == 0)
		r = buffer_append_byte(&l->schemas, '{');
	for (size_t i = 0; r == 0 && i < action->pair_count; i++) {
		struct slice name = action->pairs[i].object;
		bool qualified = name.length && memchr(name.data, '.', name.length);

		if (action->pairs[i].state != OBJECT_KNOWN || named_before(action, i))
			continue;
		if (!qualified && !schemas)
			continue;
		if (l->count == PREVIEW_OBJECTS_MOST) {
			l->more++;
			continue;
		}
		l->count++;
		r = put_element(qualified ? &l->relations : &l->schemas, name);
	}
	if (r == 0)
		r = buffer_append_byte(&l->relations, '}');
	return r < 0 ? r : buffer_append_byte(&l->schemas, '}');
}

static int put_value(struct buffer *b, struct slice value)
{
	int r = buffer_append_u32(b, (uint32_t)value.length);

	return r < 0 ? r : buffer_append_slice(b, value);
}

static int put_objects_query(struct preview_batch *b, const struct name_lists *l)
{
	struct buffer values;
	int r;

	buffer_init(&values, 3 * PREVIEW_TEXT_MOST);
	r = buffer_append_u16(&values, 0);
	if (r == 0)
		r = buffer_append_u16(&values, 2);
	if (r == 0)
		r = put_value(&values, buffer_slice(&l->relations));
	if (r == 0)
		r = put_value(&values, buffer_slice(&l->schemas));
	if (r == 0)
		r = put_query(b, "", slice_from_string(OBJECTS_QUERY), SLICE_EMPTY,
			buffer_slice(&values));
	buffer_done(&values);
	return r;
}

int preview_put_objects(struct preview_batch *b, const struct pg_pending *pending,
	size_t *ret_objects, size_t *ret_more)
{
	struct name_lists lists = {.count = 0};
	int r;

	buffer_init(&lists.relations, PREVIEW_TEXT_MOST);
	buffer_init(&lists.schemas, PREVIEW_TEXT_MOST);
	r = list_names(pending, &lists);
	if (r == 0)
		r = put_objects_query(b, &lists);
	buffer_done(&lists.relations);
	buffer_done(&lists.schemas);
	*ret_objects = lists.count;
	*ret_more = lists.more;
	return r;
}
