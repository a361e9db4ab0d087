/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/catalog_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"
#include "protocol/sql/builtin.h"

#define COLUMNS_MOST 1664 /* MaxTupleAttributeNumber, access/htup_details.h */

static uint64_t name_hash(struct slice schema, struct slice name)
{
	return table_hash_slice(schema) * 31 + table_hash_slice(name);
}

static uint64_t oid_hash(uint32_t oid)
{
	return table_hash(&oid, sizeof(oid));
}

struct sql_catalog *sql_catalog_new(size_t limit)
{
	struct sql_catalog *c = memory_new(sizeof(*c));

	c->references = 1;
	arena_init(&c->arena, limit);
	return c;
}

struct sql_catalog *sql_catalog_get(struct sql_catalog *c)
{
	c->references++;
	return c;
}

static void free_masks(struct sql_catalog *c)
{
	for (size_t i = 0; i < c->relations_by_oid.bucket_count; i++) {
		list_for_each (position, &c->relations_by_oid.buckets[i])
			free(list_entry(position, struct sql_relation, by_oid.link)->masks);
	}
}

void sql_catalog_put(struct sql_catalog *c)
{
	if (!c || --c->references > 0)
		return;
	free_masks(c);
	free(c->sorted);
	table_done(&c->relations_by_name);
	table_done(&c->relations_by_oid);
	table_done(&c->functions);
	table_done(&c->attributes);
	table_done(&c->operators.table);
	table_done(&c->operators.names);
	table_done(&c->casts.table);
	table_done(&c->casts.names);
	table_done(&c->types);
	arena_done(&c->arena);
	free(c);
}

struct sql_relation *catalog_find_by_oid(const struct sql_catalog *c, uint32_t oid)
{
	for (struct table_node *node = table_find(&c->relations_by_oid, oid_hash(oid)); node;
		node = table_find_next(&c->relations_by_oid, node)) {
		struct sql_relation *r = container_of(node, struct sql_relation, by_oid);

		if (r->oid == oid)
			return r;
	}
	return NULL;
}

const struct sql_relation *sql_catalog_find_oid(const struct sql_catalog *c, uint32_t oid)
{
	return catalog_find_by_oid(c, oid);
}

const struct sql_relation *sql_catalog_find(
	const struct sql_catalog *c, struct slice schema, struct slice name)
{
	for (struct table_node *node = table_find(&c->relations_by_name, name_hash(schema, name));
		node; node = table_find_next(&c->relations_by_name, node)) {
		struct sql_relation *r = container_of(node, struct sql_relation, by_name);

		if (slice_equal(r->name, name) && slice_equal(r->schema, schema))
			return r;
	}
	return NULL;
}

const struct catalog_function *catalog_find_function(
	const struct sql_catalog *c, struct slice schema, struct slice name)
{
	for (struct table_node *node = table_find(&c->functions, name_hash(schema, name)); node;
		node = table_find_next(&c->functions, node)) {
		struct catalog_function *f = container_of(node, struct catalog_function, node);

		if (slice_equal(f->name, name) && slice_equal(f->schema, schema))
			return f;
	}
	return NULL;
}

const struct catalog_code *catalog_find_code(const struct catalog_codes *codes, struct slice schema,
	struct slice name, const struct catalog_code *previous)
{
	const struct table *table = &codes->table;
	struct table_node *node = previous ? table_find_next(table, &previous->node)
					   : table_find(table, name_hash(schema, name));

	for (; node; node = table_find_next(table, node)) {
		struct catalog_code *code = container_of(node, struct catalog_code, node);

		if (slice_equal(code->name, name) && slice_equal(code->schema, schema))
			return code;
	}
	return NULL;
}

/* By the hash alone, which is keyed: in doubt there is one. */
bool catalog_names_code(const struct catalog_codes *codes, struct slice name)
{
	return table_find(&codes->names, table_hash_slice(name));
}

bool catalog_names_attribute(const struct sql_catalog *c, struct slice name)
{
	return table_find(&c->attributes, table_hash_slice(name));
}

struct sql_column *catalog_find_column(struct sql_relation *r, int number)
{
	for (size_t i = 0; i < r->column_count; i++) {
		if (r->columns[i].number == number)
			return &r->columns[i];
	}
	return NULL;
}

static int parse_column_number(struct slice value, int *ret)
{
	uint64_t number;
	int r = text_to_number(value, COLUMNS_MOST, &number);

	if (r == 0)
		*ret = (int)number;
	return r;
}

/* Of two names that a server should not send twice, the first holds. */
static int add_relation(struct sql_catalog *c, const struct slice *v)
{
	struct sql_relation *r;
	uint32_t oid = 0;
	uint64_t attributes = 0;

	if (catalog_parse_oid(v[0], &oid) < 0 || v[1].length == 0 || v[2].length == 0 ||
		v[3].length != 1 || text_to_number(v[4], INT16_MAX, &attributes) < 0)
		return -EINVAL;
	if (sql_catalog_find(c, v[1], v[2]) || catalog_find_by_oid(c, oid))
		return 0;
	r = arena_new(&c->arena, sizeof(*r));
	if (!r)
		return -E2BIG;
	*r = (struct sql_relation){
		.oid = oid,
		.kind = (char)v[3].data[0],
		.schema = arena_copy(&c->arena, v[1]),
		.name = arena_copy(&c->arena, v[2]),
		.column_room = (uint16_t)attributes,
	};
	if (!r->schema.data || !r->name.data)
		return -E2BIG;
	/* Of catalog relations, sequences and the like no columns are asked for. */
	r->open = builtin_schema(r->schema) || !strchr("rvmfp", r->kind);
	table_insert(&c->relations_by_name, &r->by_name, name_hash(r->schema, r->name));
	table_insert(&c->relations_by_oid, &r->by_oid, oid_hash(oid));
	return 0;
}

/* Columns are what fills the memory: they leave room for the rest, and where they don't fit the
 * relation stays without. */
static bool column_room(struct sql_catalog *c, struct sql_relation *r)
{
	if (c->arena.used > c->arena.limit / 4 * 3)
		c->full = true;
	if (!c->full && !r->columns)
		r->columns = arena_new_array(&c->arena, r->column_room, sizeof(*r->columns));
	return !c->full && r->columns && r->column_count < r->column_room;
}

static void open_relation(struct sql_relation *r)
{
	r->open = true;
	r->column_count = 0;
}

static int add_column(struct sql_catalog *c, const struct slice *v)
{
	struct sql_relation *r;
	struct sql_column *column;
	uint32_t oid = 0, type = 0;
	int32_t modifier = -1;
	int number = 0;

	if (catalog_parse_oid(v[0], &oid) < 0 || parse_column_number(v[1], &number) < 0 ||
		number == 0 || v[2].length == 0 || catalog_parse_oid(v[3], &type) < 0 ||
		catalog_parse_modifier(v[4], &modifier) < 0)
		return -EINVAL;
	r = catalog_find_by_oid(c, oid);
	if (!r || r->open)
		return 0;
	if (r->column_count && number <= r->columns[r->column_count - 1].number)
		return -EINVAL;
	if (!column_room(c, r)) {
		open_relation(r);
		return 0;
	}
	column = &r->columns[r->column_count];
	column->name = arena_copy(&c->arena, v[2]);
	column->number = (int16_t)number;
	column->type = type;
	column->modifier = modifier;
	if (column->name.data)
		r->column_count++;
	else
		open_relation(r);
	return 0;
}

static int add_link(struct sql_catalog *c, struct relation_link **list, struct sql_relation *r)
{
	struct relation_link *link = arena_new(&c->arena, sizeof(*link));

	if (!link)
		return -E2BIG;
	*link = (struct relation_link){*list, r};
	*list = link;
	return 0;
}

static int add_inherits(struct sql_catalog *c, const struct slice *v)
{
	struct sql_relation *child, *parent;
	uint32_t oids[2] = {0};
	int r;

	if (catalog_parse_oid(v[0], &oids[0]) < 0 || catalog_parse_oid(v[1], &oids[1]) < 0)
		return -EINVAL;
	child = catalog_find_by_oid(c, oids[0]);
	parent = catalog_find_by_oid(c, oids[1]);
	if (!child || !parent)
		return 0;
	r = add_link(c, &child->parents, parent);
	return r < 0 ? r : add_link(c, &parent->children, child);
}

static int add_view(struct sql_catalog *c, const struct slice *v)
{
	struct sql_relation *view;
	uint32_t oid = 0;

	if (catalog_parse_oid(v[0], &oid) < 0)
		return -EINVAL;
	view = catalog_find_by_oid(c, oid);
	return view && !view->open ? catalog_trace_view(c, view, v[1]) : 0;
}

int catalog_add_source(struct sql_catalog *c, struct sql_column *column,
	struct sql_relation *relation, int number, bool derived)
{
	struct column_source *source = arena_new(&c->arena, sizeof(*source));

	if (!source)
		return -E2BIG;
	*source = (struct column_source){column->sources, relation, number, derived};
	column->sources = source;
	return 0;
}

static int add_generated(struct sql_catalog *c, const struct slice *v)
{
	struct sql_relation *r;
	struct sql_column *column;
	uint32_t oid = 0;
	int number = 0, source = 0;

	if (catalog_parse_oid(v[0], &oid) < 0 || parse_column_number(v[1], &number) < 0 ||
		parse_column_number(v[2], &source) < 0)
		return -EINVAL;
	r = catalog_find_by_oid(c, oid);
	column = r ? catalog_find_column(r, number) : NULL;
	return column ? catalog_add_source(c, column, r, source, true) : 0;
}

static int add_function(struct sql_catalog *c, const struct slice *v)
{
	struct catalog_function *f;

	if (v[0].length == 0 || v[1].length == 0)
		return -EINVAL;
	f = arena_new(&c->arena, sizeof(*f));
	if (!f)
		return -E2BIG;
	f->schema = arena_copy(&c->arena, v[0]);
	f->name = arena_copy(&c->arena, v[1]);
	f->attribute = !slice_equal_string(v[2], "f");
	f->trusted = slice_equal_string(v[3], "t");
	if (!f->schema.data || !f->name.data)
		return -E2BIG;
	table_insert(&c->functions, &f->node, name_hash(f->schema, f->name));
	if (f->attribute)
		table_insert(&c->attributes, &f->by_name, table_hash_slice(f->name));
	return 0;
}

static int add_code(struct sql_catalog *c, struct catalog_codes *codes, const struct slice *v)
{
	struct catalog_code *code;
	struct slice copies[4];

	for (int i = 0; i < 4; i++) {
		if (v[i].length == 0)
			return -EINVAL;
		copies[i] = arena_copy(&c->arena, v[i]);
		if (!copies[i].data)
			return -E2BIG;
	}
	code = arena_new(&c->arena, sizeof(*code));
	if (!code)
		return -E2BIG;
	*code = (struct catalog_code){.schema = copies[0],
		.name = copies[1],
		.function_schema = copies[2],
		.function_name = copies[3]};
	table_insert(&codes->table, &code->node, name_hash(code->schema, code->name));
	table_insert(&codes->names, &code->by_name, table_hash_slice(code->name));
	return 0;
}

static int add_operator(struct sql_catalog *c, const struct slice *v)
{
	return add_code(c, &c->operators, v);
}

static int add_cast(struct sql_catalog *c, const struct slice *v)
{
	return add_code(c, &c->casts, v);
}

int sql_catalog_add_row(
	struct sql_catalog *c, size_t query, const struct slice *values, size_t count)
{
	static int (*const adders[])(struct sql_catalog * c, const struct slice *v) = {
		[CATALOG_RELATIONS] = add_relation,
		[CATALOG_COLUMNS] = add_column,
		[CATALOG_INHERITS] = add_inherits,
		[CATALOG_RULE_RELATIONS] = catalog_add_rule_relation,
		[CATALOG_RULE_CALLS] = catalog_add_rule_call,
		[CATALOG_VIEWS] = add_view,
		[CATALOG_GENERATED] = add_generated,
		[CATALOG_FUNCTIONS] = add_function,
		[CATALOG_OPERATORS] = add_operator,
		[CATALOG_CASTS] = add_cast,
		[CATALOG_TYPES] = catalog_add_type,
		[CATALOG_TEXT_NAMES] = catalog_add_text_name,
	};

	if (c->finished || query >= sql_catalog_query_count ||
		count != sql_catalog_queries[query].columns)
		return -EINVAL;
	for (size_t i = 0; i < count && !c->beyond_ascii; i++)
		c->beyond_ascii = !text_is_ascii(values[i]);
	c->rows++;
	return adders[query](c, values);
}

size_t sql_catalog_size(const struct sql_catalog *c)
{
	return c->rows;
}

bool sql_catalog_is_ascii(const struct sql_catalog *c)
{
	return !c->beyond_ascii;
}

int sql_catalog_finish(struct sql_catalog *c)
{
	catalog_sort(c);
	catalog_follow_rules(c);
	c->finished = true;
	return 0;
}

bool sql_relation_identify(const struct sql_relation *r, struct buffer *ret)
{
	int error = buffer_append_format(ret, "%u%c", r->oid, r->kind);

	for (size_t i = 0; error == 0 && i < r->column_count; i++) {
		const struct sql_column *c = &r->columns[i];

		error = buffer_append_format(ret, ",%d:%zu:", c->number, c->name.length);
		if (error == 0)
			error = buffer_append_slice(ret, c->name);
	}
	return error == 0 && !r->open && (r->kind == 'r' || r->kind == 'p');
}

bool sql_relation_is_open(const struct sql_relation *r)
{
	return r->open;
}

size_t sql_relation_column_count(const struct sql_relation *r)
{
	return r->column_count;
}

int sql_relation_column_number(const struct sql_relation *r, size_t index)
{
	return r->columns[index].number;
}
