/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/sql/trace.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/limits.h"
#include "base/memory.h"

#define COLUMNS_MOST 65536 /* the server allows 1664 in a result */

const struct value value_clean = {.filter_allowed = true};

bool trace_goes_on(const struct trace *t)
{
	return t->error == 0 && !t->refusal;
}

void trace_work(struct trace *t, size_t amount)
{
	t->work += amount;
	if (t->work > LIMIT_TRACE_WORK && !t->refusal)
		t->refusal = "columns are masked, and the text is too complicated to follow them";
}

bool trace_enter(struct trace *t)
{
	trace_work(t, 1);
	if (!trace_goes_on(t))
		return false;
	if (t->depth == LIMIT_TRACE_DEPTH) {
		t->refusal = "columns are masked, and the text is nested too deep to follow them";
		return false;
	}
	t->depth++;
	return true;
}

void trace_leave(struct trace *t)
{
	t->depth--;
}

struct slice trace_format(struct trace *t, const char *format, ...)
{
	va_list arguments;
	char text[512];
	struct slice copy;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (length >= (int)sizeof(text))
		length = sizeof(text) - 1;
	copy = arena_copy(t->arena, slice_of(text, length > 0 ? (size_t)length : 0));
	if (!copy.data)
		t->error = -E2BIG;
	return copy;
}

void trace_refuse(struct trace *t, const struct value *v, const char *place, struct slice name)
{
	struct slice text;

	if (!trace_goes_on(t))
		return;
	text = trace_format(t, "%.*s and can't be used in %s%.*s", SLICE_PRINT(v->what), place,
		SLICE_PRINT(name));
	t->refusal = (const char *)text.data;
}

struct value value_unknown(struct slice what)
{
	return (struct value){.state = SQL_OUTPUT_DERIVED,
		.strategy = MASK_REDACT,
		.what = what,
		.no_text = true};
}

/* A refusal names one of the two: one that is in the way. */
struct value value_join(struct value a, struct value b)
{
	bool names_b = !value_is_masked(&a) ||
		(value_is_masked(&b) && a.filter_allowed && !b.filter_allowed);
	struct value joined = names_b ? b : a;
	const struct value *other = names_b ? &a : &b;

	if (joined.state < other->state)
		joined.state = other->state;
	if (joined.strategy < other->strategy)
		joined.strategy = other->strategy;
	joined.filter_allowed = a.filter_allowed && b.filter_allowed;
	joined.telling = a.telling || b.telling;
	joined.no_text = a.no_text || b.no_text;
	joined.type = (struct sql_type){0};
	return joined;
}

/* A part of a value, or several together, would tell more through the mask of the column than the
 * column does: what is left of it by "partial" may be all of it. */
struct value value_derive(struct value v)
{
	v.type = (struct sql_type){0};
	if (!value_is_masked(&v))
		return v;
	v.state = SQL_OUTPUT_DERIVED;
	if (v.strategy < MASK_REDACT)
		v.strategy = MASK_REDACT;
	return v;
}

struct value value_hide(struct value v)
{
	v = value_derive(v);
	if (value_is_masked(&v)) {
		v.strategy = MASK_NULL;
		v.telling = true;
	}
	return v;
}

void trace_add_column(
	struct trace *t, struct trace_columns *c, struct slice name, struct value value)
{
	struct trace_column *grown;
	size_t room = c->room ? c->room * 2 : 8;

	trace_work(t, 1);
	if (c->count == c->room) {
		grown = c->count < COLUMNS_MOST ? arena_new_array(t->arena, room, sizeof(*grown))
						: NULL;
		if (!grown) {
			t->error = -E2BIG;
			return;
		}
		if (c->count)
			memcpy(grown, c->items, c->count * sizeof(*grown));
		c->items = grown;
		c->room = room;
	}
	c->items[c->count++] = (struct trace_column){.name = name, .value = value};
}

void trace_copy_column(struct trace *t, struct trace_columns *c, struct slice name,
	const struct trace_column *column)
{
	trace_add_column(t, c, name, column->value);
	if (t->error == 0)
		c->items[c->count - 1].unstarred = column->unstarred;
}

struct value trace_columns_join(const struct trace_columns *c)
{
	struct value joined = c->open ? c->rest : value_clean;

	for (size_t i = 0; i < c->count; i++)
		joined = value_join(joined, c->items[i].value);
	return joined;
}

struct trace_item *trace_add_item(struct trace *t, struct trace_level *level)
{
	struct trace_item *grown;
	size_t room = level->room ? level->room * 2 : 4;

	if (level->count == level->room) {
		grown = arena_new_array(t->arena, room, sizeof(*grown));
		if (!grown) {
			t->error = -E2BIG;
			return NULL;
		}
		if (level->count)
			memcpy(grown, level->items, level->count * sizeof(*grown));
		level->items = grown;
		level->room = room;
	}
	level->items[level->count] = (struct trace_item){
		.columns_visible = true, .name_visible = true, .columns = {.rest = value_clean}};
	return &level->items[level->count++];
}

struct value trace_whole_row(const struct trace_item *item)
{
	return value_derive(trace_columns_join(&item->columns));
}

/* ctid, xmin and the like; their names are reserved. */
static bool is_system_column(struct slice name)
{
	static const char *const names[] = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (slice_equal_string(name, names[i]))
			return true;
	}
	return false;
}

static struct value masked_column(struct trace *t, struct slice schema, struct slice table,
	struct slice column, enum mask_strategy strategy, bool filter_allowed)
{
	if (strategy == MASK_NONE)
		return value_clean;
	return (struct value){.state = SQL_OUTPUT_ORIGIN,
		.strategy = strategy,
		.filter_allowed = filter_allowed,
		.what = trace_format(t, "column %.*s.%.*s.%.*s is masked", SLICE_PRINT(schema),
			SLICE_PRINT(table), SLICE_PRINT(column)),
		.no_text = true};
}

/* A column that is not listed, of an item that may have others. */
static struct value open_column(struct trace *t, const struct trace_item *item, struct slice name)
{
	enum mask_strategy strategy;
	bool filter_allowed = true;

	if (item->rule_table.length == 0)
		return item->columns.rest;
	strategy = mask_rules_find_column(
		t->rules, item->rule_schema, item->rule_table, name, &filter_allowed);
	return masked_column(
		t, item->rule_schema, item->rule_table, name, strategy, filter_allowed);
}

/* Two columns of one name are an error of the server's, or hidden by a join: both count. */
bool trace_item_column(
	struct trace *t, const struct trace_item *item, struct slice name, struct value *ret)
{
	const struct trace_columns *c = &item->columns;
	struct value found = value_clean;
	bool any = false;

	trace_work(t, c->count / 8 + 1);
	for (size_t i = 0; i < c->count; i++) {
		if (!slice_equal(c->items[i].name, name))
			continue;
		found = any ? value_join(found, c->items[i].value) : c->items[i].value;
		any = true;
	}
	if (!any && c->open) {
		found = open_column(t, item, name);
		any = true;
	}
	if (any)
		*ret = found;
	return any;
}

const struct trace_item *trace_find_item(
	const struct trace_level *level, struct slice schema, struct slice name)
{
	for (; level; level = level->outer) {
		for (size_t i = level->first; i < level->count; i++) {
			const struct trace_item *item = &level->items[i];

			if (item->name_visible && slice_equal(item->alias, name) &&
				(schema.length == 0 || slice_equal(item->schema, schema)))
				return item;
		}
	}
	return NULL;
}

bool trace_may_be_column(const struct trace_level *level, struct slice name)
{
	for (; level; level = level->outer) {
		for (size_t i = level->first; i < level->count; i++) {
			const struct trace_columns *c = &level->items[i].columns;

			if (!level->items[i].columns_visible)
				continue;
			if (c->open)
				return true;
			for (size_t j = 0; j < c->count; j++) {
				if (slice_equal(c->items[j].name, name))
					return true;
			}
		}
	}
	return false;
}

/* Not found: newer servers may know the name, or the table may have changed. */
static struct value missing_column(struct trace *t, struct slice name)
{
	return value_unknown(trace_format(t, "column %.*s is not known", SLICE_PRINT(name)));
}

/* Unqualified. In an open item a column may be or not be: then names go on further out too. */
static struct value bare_column(struct trace *t, const struct trace_level *level, struct slice name)
{
	const struct trace_item *row = trace_find_item(level, SLICE_EMPTY, name);
	struct value found = value_clean, one;
	bool any = false, sure = false;

	for (; level && !sure; level = level->outer) {
		for (size_t i = level->first; i < level->count; i++) {
			const struct trace_item *item = &level->items[i];
			size_t listed = item->columns.count;

			if (!item->columns_visible || !trace_item_column(t, item, name, &one))
				continue;
			found = any ? value_join(found, one) : one;
			any = true;
			for (size_t j = 0; j < listed && !sure; j++)
				sure = slice_equal(item->columns.items[j].name, name);
		}
	}
	/* Tables alone have them: a row may be called so too. */
	if (!any && !row && is_system_column(name))
		return value_clean;
	if (row && !sure)
		found = any ? value_join(found, trace_whole_row(row)) : trace_whole_row(row);
	return any || row ? found : missing_column(t, name);
}

/* x.name: a column of x, or the function name(x). */
static struct value qualified_column(struct trace *t, const struct trace_level *level,
	struct slice schema, struct slice qualifier, struct slice name)
{
	const struct trace_item *item = trace_find_item(level, schema, qualifier);
	struct value found, row;

	if (!item)
		return missing_column(t, name);
	if (trace_item_column(t, item, name, &found))
		return found;
	if (is_system_column(name))
		return value_clean;
	row = trace_whole_row(item);
	return value_is_masked(&row) ? trace_row_attribute(t, &row, name)
				     : trace_unknown_code(t, name);
}

struct value trace_column_ref(struct trace *t, const struct trace_level *level, tree_index n)
{
	struct slice parts[3] = {SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY};
	const struct trace_item *item;
	struct value found;

	/* The last three: a database in front does not matter. */
	tree_for_each(field, t->tree, tree_get(t->tree, n, FIELD_fields))
	{
		parts[0] = parts[1];
		parts[1] = parts[2];
		parts[2] = tree_string(t->tree, field);
	}
	trace_work(t, level ? level->count : 0);
	if (parts[2].length == 0) {
		/* x.* as one value: its whole row. */
		item = trace_find_item(level, parts[0], parts[1]);
		return item ? trace_whole_row(item) : missing_column(t, parts[1]);
	}
	if (parts[1].length == 0)
		found = bare_column(t, level, parts[2]);
	else
		found = qualified_column(t, level, parts[0], parts[1], parts[2]);
	return found;
}

/* text, varchar, bpchar, name and "char" (catalog/pg_type.dat). */
static bool is_text(uint32_t type)
{
	return type == 25 || type == 1043 || type == 1042 || type == 19 || type == 18;
}

static void set_known(struct trace *t, struct trace_item *item, const struct sql_relation *relation)
{
	const struct sql_catalog *catalog = t->lookup->view->catalog;

	for (size_t i = 0; i < relation->column_count && trace_goes_on(t); i++) {
		const struct sql_column *column = &relation->columns[i];
		bool filter_allowed;
		enum mask_strategy strategy = sql_catalog_column_mask(
			catalog, relation, column->number, t->rules, &filter_allowed);
		struct value v = masked_column(t, relation->schema, relation->name, column->name,
			strategy, filter_allowed);

		v.type = sql_relation_column_type(catalog, relation, i);
		v.no_text = value_is_masked(&v) && !is_text(v.type.oid);
		trace_add_column(t, &item->columns, column->name, v);
		if (trace_goes_on(t))
			item->columns.items[i].generated =
				column->sources && !catalog_is_view(relation);
	}
}

static void set_unknown(struct trace *t, struct trace_item *item, struct slice name)
{
	item->columns.open = true;
	item->columns.rest =
		value_unknown(trace_format(t, "relation %.*s is not known", SLICE_PRINT(name)));
}

/* Columns that are not known: by name those that a rule could mean. */
static void set_open(struct trace *t, struct trace_item *item, const struct lookup_relation *found)
{
	bool filter_allowed;
	enum mask_strategy strategy = MASK_NONE;

	item->columns.open = true;
	if (found->builtin == BUILTIN_RELATION_CATALOG)
		return;
	if (found->relation)
		strategy = sql_catalog_column_mask(
			t->lookup->view->catalog, found->relation, 0, t->rules, &filter_allowed);
	else if (found->builtin == BUILTIN_RELATION_VALUES ||
		mask_rules_touch_relation(t->rules, found->schema, found->name))
		strategy = MASK_REDACT;
	if (strategy == MASK_NONE)
		return;
	item->columns.rest = value_unknown(trace_format(t, "relation %.*s.%.*s has masked columns",
		SLICE_PRINT(found->schema), SLICE_PRINT(found->name)));
	item->columns.rest.state = SQL_OUTPUT_ORIGIN;
	item->columns.rest.strategy = strategy;
	if (found->builtin != BUILTIN_RELATION_VALUES) {
		item->rule_schema = found->schema;
		item->rule_table = found->name;
	}
}

/* The one reading of the name; false: there is none, or more than one. */
static bool find_relation(
	struct trace *t, struct slice schema, struct slice name, struct lookup_relation *ret)
{
	const struct lookup *l = t->lookup;
	struct lookup_relation other;
	size_t position = 0;

	if (schema.length)
		return lookup_qualified(l, schema, name, ret);
	if (l->names_moved)
		return false;
	if (!lookup_next(l, name, &position, ret)) {
		schema = lookup_assumed_schema(l);
		if (builtin_relation_find(slice_from_string("pg_catalog"), name))
			schema = slice_from_string("pg_catalog");
		return lookup_assumed_schema(l).length && lookup_qualified(l, schema, name, ret);
	}
	return !((l->relations_gone || ret->disputed) && lookup_next(l, name, &position, &other));
}

void trace_set_mentioned(
	struct trace *t, struct trace_item *item, struct slice schema, struct slice name)
{
	struct lookup_relation found;

	item->alias = name;
	if (!find_relation(t, schema, name, &found)) {
		set_unknown(t, item, name);
		return;
	}
	item->schema = found.schema;
	/* What views and rules call. */
	t->unknown_code |= found.relation && catalog_runs_code(found.relation);
	if (found.relation && !found.relation->open)
		set_known(t, item, found.relation);
	else
		set_open(t, item, &found);
}

void trace_set_relation(struct trace *t, struct trace_item *item, tree_index range_var)
{
	tree_index alias = tree_get(t->tree, range_var, FIELD_alias);
	struct value all;

	trace_set_mentioned(t, item, tree_get_string(t->tree, range_var, FIELD_schemaname),
		tree_get_string(t->tree, range_var, FIELD_relname));
	if (alias) {
		item->alias = tree_get_string(t->tree, alias, FIELD_aliasname);
		item->schema = SLICE_EMPTY;
		trace_rename(t, &item->columns, tree_get(t->tree, alias, FIELD_colnames));
	}
	all = trace_columns_join(&item->columns);
	t->touches_masked |= value_is_masked(&all);
}

static void add_rest(struct trace_columns *c, struct value rest)
{
	c->rest = c->open ? value_join(c->rest, rest) : rest;
	c->open = true;
}

void trace_expand_item(struct trace *t, const struct trace_item *item, struct trace_columns *c)
{
	for (size_t i = 0; i < item->columns.count && trace_goes_on(t); i++) {
		const struct trace_column *column = &item->columns.items[i];

		if (column->unstarred)
			add_rest(c, column->value);
		else
			trace_add_column(t, c, column->name, column->value);
	}
	if (item->columns.open)
		add_rest(c, item->columns.rest);
}

void trace_expand_all(struct trace *t, const struct trace_level *level, struct trace_columns *c)
{
	for (size_t i = level->first; i < level->count && trace_goes_on(t); i++) {
		if (level->items[i].columns_visible)
			trace_expand_item(t, &level->items[i], c);
	}
}
