/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/preview_query.h"

#include <ctype.h>

#include "base/limits.h"

/* Longer than a worker waits is of no use; the first is what a lock in the way may cost. */
#define LIMITS_QUERY                                                                               \
	"SELECT pg_catalog.set_config('lock_timeout', '1000', true),"                              \
	" pg_catalog.set_config('statement_timeout', '1500', true)"

/* clang-format off */
#define NUMBER(value) "pg_catalog.to_char(" value ", 'FM999,999,999,999,999,990')"
#define EQUALS " OPERATOR(pg_catalog.=) "
#define IS_OF(kinds) "relkind" EQUALS "ANY (ARRAY[" kinds "]::pg_catalog.\"char\"[])"
/* The session's own temporary schema is pg_temp to policy. */
#define FULL_NAME                                                                                  \
	"pg_catalog.concat(CASE WHEN n.oid" EQUALS "pg_catalog.pg_my_temp_schema() THEN 'pg_temp'" \
	" ELSE n.nspname::pg_catalog.text END, '.', c.relname)"
/* OIDs would not do as parameters: they are those of another moment. */
#define OBJECTS_QUERY                                                                              \
	"SELECT " FULL_NAME ", c.relkind::pg_catalog.text,"                                        \
	" c." IS_OF("'r', 'p'") " AND NOT c.relrowsecurity,"                                       \
	" " NUMBER("c.reltuples::pg_catalog.int8") ","                                             \
	" pg_catalog.pg_size_pretty(COALESCE("                                                     \
	"(SELECT pg_catalog.sum(pg_catalog.pg_total_relation_size(t.relid))"                       \
	" FROM pg_catalog.pg_partition_tree(c.oid) AS t),"                                         \
	" pg_catalog.pg_total_relation_size(c.oid)))"                                              \
	" FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n"                         \
	" ON n.oid" EQUALS "c.relnamespace"                                                        \
	" WHERE " FULL_NAME EQUALS "ANY ($1::pg_catalog.text[])"                                   \
	" UNION ALL SELECT n.nspname::pg_catalog.text, 'schema', false, pg_catalog.concat("        \
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
