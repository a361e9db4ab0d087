/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands of a text: which are concerned at all, and what each does with what it reads.
 */
#include <errno.h>

#include "base/limits.h"
#include "base/memory.h"
#include "protocol/sql/trace.h"

#define STORED_DEPTH_MOST 8

bool trace_is_masked(const struct trace *t, const struct mention *m)
{
	const struct sql_view *view = t->lookup->view;
	struct lookup_relation found;
	size_t position = 0;
	bool any = false;

	if (m->schema.length) {
		if (!lookup_qualified(t->lookup, m->schema, m->name, &found))
			return true;
		return found.relation
			? sql_catalog_column_mask(view->catalog, found.relation, 0, t->rules, NULL)
			: found.builtin == BUILTIN_RELATION_VALUES ||
				mask_rules_touch_relation(t->rules, found.schema, found.name);
	}
	if (t->lookup->names_moved)
		return true;
	while (lookup_next(t->lookup, m->name, &position, &found)) {
		struct mention qualified = {.schema = found.schema, .name = found.name};

		if (trace_is_masked(t, &qualified))
			return true;
		any = true;
	}
	found.schema = lookup_assumed_schema(t->lookup);
	if (any || found.schema.length == 0)
		return !any;
	return builtin_relation_find(slice_from_string("pg_catalog"), m->name) ||
		mask_rules_touch_relation(t->rules, found.schema, m->name);
}

/* Whether code that is not known to be harmless may run, and its result be seen. */
static bool runs_unknown_code(const struct trace *t, const struct mention *m)
{
	const struct lookup *l = t->lookup;
	const struct sql_catalog *c = l->view->catalog;

	switch (m->kind) {
	case MENTION_FUNCTION:
		if (m->builtin == BUILTIN_FUNCTION_READS || m->builtin == BUILTIN_FUNCTION_NONE ||
			l->names_moved)
			return true;
		if (m->schema.length && !slice_equal_string(m->schema, "pg_catalog"))
			return true;
		for (size_t i = 0; i < l->view->path_count; i++) {
			if (lookup_has_function(l, l->view->path[i], m->name,
				    m->builtin == BUILTIN_FUNCTION_EFFECT))
				return true;
		}
		return false;
	case MENTION_OPERATOR:
		return m->schema.length || l->code_made || (c && c->operators.table.count);
	case MENTION_CAST:
		return l->code_made || (c && c->casts.table.count);
	case MENTION_ATTRIBUTE:
		return l->code_made || l->made || (c && c->functions.count);
	default:
		return m->kind == MENTION_ROUTINE && m->operation == OPERATION_CALL;
	}
}

/* What views and rules call. */
static bool relation_runs_code(const struct trace *t, const struct mention *m)
{
	struct lookup_relation found;
	size_t position = 0;
	bool any = m->schema.length ? lookup_qualified(t->lookup, m->schema, m->name, &found)
				    : lookup_next(t->lookup, m->name, &position, &found);

	return any && found.relation && catalog_runs_code(found.relation);
}

static bool mention_concerns(const struct trace *t, const struct mention *m)
{
	if (m->kind == MENTION_RELATION)
		return trace_is_masked(t, m) || relation_runs_code(t, m);
	return m->kind == MENTION_EXECUTE || m->kind == MENTION_FETCH || runs_unknown_code(t, m);
}

static bool command_concerns(const struct trace *t, const struct facts *f, size_t command)
{
	const struct command_facts *c = &f->command_facts[command];

	switch (tree_type(t->tree, c->statement)) {
	case TYPE_DoStmt:
	/* Of schemas and extensions, which move what they hold. */
	case TYPE_RenameStmt:
	case TYPE_AlterObjectSchemaStmt:
		return true;
	default:
		if (trace_changes_type(t->tree, c->statement))
			return true;
		break;
	}
	for (size_t i = 0; i < c->count; i++) {
		if (mention_concerns(t, &f->mentions[c->first + i]))
			return true;
	}
	for (size_t i = 0; i < c->attribute_count; i++) {
		if (mention_concerns(t, &f->attributes[c->first_attribute + i]))
			return true;
	}
	return false;
}

static void set_outputs(
	struct trace *t, const struct trace_columns *c, struct sql_lineage_command *ret)
{
	struct value all = value_derive(trace_columns_join(c));
	struct sql_output *outputs;

	ret->rest = (struct sql_output){SQL_OUTPUT_CLEAN, MASK_NONE};
	if (c->open) {
		if (t->types_only)
			return;
		/* Where no one knows which column is which, the server says which are plain. */
		if (value_is_masked(&all))
			ret->rest = (struct sql_output){SQL_OUTPUT_ORIGIN, all.strategy};
		return;
	}
	outputs = arena_new_array(t->arena, c->count, sizeof(*outputs));
	if (!outputs) {
		t->error = -E2BIG;
		return;
	}
	for (size_t i = 0; i < c->count; i++) {
		const struct value *v = &c->items[i].value;

		outputs[i] = t->types_only
			? (struct sql_output){SQL_OUTPUT_CLEAN, MASK_NONE, v->type}
			: (struct sql_output){v->state, v->strategy, v->type};
	}
	ret->has_outputs = true;
	ret->outputs = outputs;
	ret->output_count = c->count;
}

static void trace_statement(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret);

static void statement_select(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	struct trace_place place = {0};
	struct trace_columns columns = trace_query(t, &place, n);

	(void)tracer;
	if (tree_get(t->tree, n, FIELD_intoClause))
		trace_copied(t, &columns, "SELECT INTO");
	set_outputs(t, &columns, ret);
}

static bool is_rowless(const struct tree *tree, tree_index statement)
{
	switch (tree_type(tree, statement)) {
	case TYPE_InsertStmt:
	case TYPE_UpdateStmt:
	case TYPE_DeleteStmt:
		return !tree_get(tree, statement, FIELD_returningList);
	default:
		return false;
	}
}

static void statement_change(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	struct trace_place place = {0};
	struct trace_columns columns = trace_change(t, &place, n);

	(void)tracer;
	set_outputs(t, &columns, ret);
	ret->rowless = is_rowless(t->tree, n);
}

/* What another statement makes is copied to where masks don't follow. */
static void copy_outputs(struct trace *t, const struct sql_lineage_command *made, const char *place)
{
	static const struct value masked = {SQL_OUTPUT_DERIVED, MASK_REDACT, false,
		{(const uint8_t *)"a column of the result is masked", 32}};
	bool any = made->rest.state != SQL_OUTPUT_CLEAN;

	for (size_t i = 0; i < made->output_count; i++)
		any |= made->outputs[i].state != SQL_OUTPUT_CLEAN;
	if (any)
		trace_refuse(t, &masked, place, SLICE_EMPTY);
}

static void statement_create_as(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	bool view = tree_type(t->tree, n) == TYPE_ViewStmt;
	struct sql_lineage_command made = {0};

	(void)ret;
	trace_statement(tracer, t, tree_get(t->tree, n, FIELD_query), &made);
	copy_outputs(t, &made, view ? "CREATE VIEW" : "CREATE TABLE AS");
}

static void copy_columns(struct trace *t, tree_index n, struct trace_columns *columns)
{
	struct trace_level level = {0};
	struct trace_item *item = trace_add_item(t, &level);
	tree_index names = tree_get(t->tree, n, FIELD_attlist);
	struct value v;

	if (!item)
		return;
	trace_set_relation(t, item, tree_get(t->tree, n, FIELD_relation));
	for (size_t i = 0; !names && i < item->columns.count; i++) {
		const struct trace_column *column = &item->columns.items[i];

		if (!column->generated)
			trace_add_column(t, columns, column->name, column->value);
	}
	if (!names && item->columns.open) {
		columns->open = true;
		columns->rest = item->columns.rest;
	}
	tree_for_each(name, t->tree, names)
	{
		if (!trace_item_column(t, item, tree_string(t->tree, name), &v))
			v = trace_whole_row(item);
		trace_add_column(t, columns, tree_string(t->tree, name), v);
	}
}

static void statement_copy(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	struct trace_columns columns = {.rest = value_clean};
	tree_index query = tree_get(t->tree, n, FIELD_query);

	if (tree_get_flag(t->tree, n, FIELD_is_from)) {
		trace_refuse_code(t, tree_get(t->tree, n, FIELD_whereClause), "WHERE");
		return;
	}
	if (query) {
		trace_statement(tracer, t, query, ret);
	} else {
		copy_columns(t, n, &columns);
		set_outputs(t, &columns, ret);
	}
	if (tree_get(t->tree, n, FIELD_filename) || tree_get_flag(t->tree, n, FIELD_is_program))
		copy_outputs(t, ret, "COPY to a file or program");
}

/* One column of text. What planning computed with unknown code may stand in it. ANALYZE tells how
 * much memory the rows took, and with that what was made of a value, such as all but one of its
 * letters. */
static void statement_explain(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	struct trace_columns plan = {.rest = value_clean};
	struct sql_lineage_command explained = {0};
	struct value v = value_clean;

	trace_statement(tracer, t, tree_get(t->tree, n, FIELD_query), &explained);
	if (tree_has_option(t->tree, n, "analyze"))
		trace_decide(t, &t->computed, "EXPLAIN ANALYZE", SLICE_EMPTY);
	if (t->unknown_code)
		v = trace_unknown_code(t, slice_from_string("EXPLAIN"));
	trace_add_column(t, &plan, slice_from_string("QUERY PLAN"), v);
	set_outputs(t, &plan, ret);
}

/* PREPARE and DECLARE: what EXECUTE and FETCH will give. */
static void statement_inner(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	trace_statement(tracer, t, tree_get(t->tree, n, FIELD_query), ret);
}

/* The command of this text that made the statement or cursor, among those in front of the present
 * one; false: none, or it was dropped since. *ret_gone: one of the session is hidden or gone too.
 */
static bool find_own(const struct tracer *tracer, struct trace *t, enum sql_command_kind maker,
	enum sql_command_kind dropper, struct slice name, size_t *ret, bool *ret_gone)
{
	*ret_gone = false;
	trace_work(t, tracer->command);
	for (size_t i = tracer->command; i > 0 && trace_goes_on(t); i--) {
		const struct sql_command *c = &tracer->facts->commands[i - 1];
		bool drops = c->kind == dropper || (c->kind == SQL_COMMAND_DISCARD && c->all);

		if (c->kind == maker && slice_equal(c->name, name)) {
			*ret = i - 1;
			return true;
		}
		if (drops && (c->all || slice_equal(c->name, name))) {
			*ret_gone = true;
			return false;
		}
	}
	return false;
}

static void set_not_known(struct sql_lineage_command *ret)
{
	*ret = (struct sql_lineage_command){.rest = {SQL_OUTPUT_ORIGIN, MASK_REDACT},
		.touches_masked = true,
		.runs_code = true};
}

static void trace_stored(struct tracer *tracer, struct trace *t, const struct sql_text *text,
	size_t command, struct sql_lineage_command *ret)
{
	const struct facts *f = text ? sql_text_facts(text) : NULL;
	const struct tree *before = t->tree;
	const struct trace_sub_name *names_before = t->sub_names;

	if (!f || command >= f->command_count || tracer->stored_depth == STORED_DEPTH_MOST) {
		set_not_known(ret);
		return;
	}
	tracer->stored_depth++;
	t->tree = &f->tree;
	t->sub_names = NULL; /* they are of places in the other tree */
	trace_statement(tracer, t, f->command_facts[command].statement, ret);
	t->tree = before;
	t->sub_names = names_before;
	tracer->stored_depth--;
}

static void statement_execute(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	const struct sql_view *view = t->lookup->view;
	struct slice name = tree_get_string(t->tree, n, FIELD_name);
	struct sql_named named = {0};
	struct trace_place place = {0};
	size_t own;
	bool gone;

	/* What stands for them in the statement is followed as what the agent brings. */
	tree_for_each(parameter, t->tree, tree_get(t->tree, n, FIELD_params))
	{
		struct value v = trace_expression(t, NULL, &place, parameter);

		if (value_is_masked(&v))
			trace_refuse(t, &v, "a parameter", SLICE_EMPTY);
	}
	if (find_own(tracer, t, SQL_COMMAND_PREPARE, SQL_COMMAND_DEALLOCATE, name, &own, &gone))
		named = (struct sql_named){.text = (struct sql_text *)tracer->text, .command = own};
	else if (!gone && view->find_prepared)
		named = view->find_prepared(view->context, name);
	trace_stored(tracer, t, named.text, named.command, ret);
}

/* A cursor's plan was made when it was declared; tracing it anew would use names as they are now.
 */
static void statement_fetch(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	const struct sql_view *view = t->lookup->view;
	struct slice name = tree_get_string(t->tree, n, FIELD_portalname);
	struct sql_named named = {0};
	size_t own;
	bool gone;

	if (find_own(tracer, t, SQL_COMMAND_DECLARE, SQL_COMMAND_CLOSE, name, &own, &gone)) {
		*ret = tracer->commands[own];
		return;
	}
	if (!gone && view->find_cursor)
		named = view->find_cursor(view->context, name);
	if (named.lineage)
		*ret = *named.lineage;
	else
		set_not_known(ret);
}

/* INOUT parameters come back as a row. */
static void statement_call(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	struct trace_place place = {0};
	struct value v = trace_expression(t, NULL, &place, tree_get(t->tree, n, FIELD_funccall));

	(void)tracer;
	(void)v;
	ret->rest = (struct sql_output){SQL_OUTPUT_DERIVED, MASK_REDACT};
}

static void statement_define(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	(void)ret;
	trace_define(tracer, t, n);
}

static void statement_move(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	(void)ret;
	trace_move(tracer, t, n);
}

/* A block of code has no result, but it can raise what it read. */
static void statement_do(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	(void)tracer;
	(void)n;
	(void)ret;
	t->unknown_code = true;
}

/* Everything else: what has masked columns may not be read, or put into code. */
static void statement_other(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	enum tree_type type = tree_type(t->tree, n);
	bool code = type == TYPE_RuleStmt || type == TYPE_CreateFunctionStmt ||
		type == TYPE_CreatePolicyStmt || type == TYPE_AlterPolicyStmt ||
		type == TYPE_CreateTrigStmt;

	(void)ret;
	trace_refuse_masked(tracer, t, code, "this command");
	/* What a function runs, it runs when it is called. */
	if (type != TYPE_CreateFunctionStmt)
		trace_refuse_code(t, n, "a definition");
}

typedef void statement_handler(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret);

static statement_handler *const statement_handlers[TYPE_COUNT] = {
	[TYPE_AlterDomainStmt] = statement_define,
	[TYPE_AlterObjectSchemaStmt] = statement_move,
	[TYPE_AlterTableStmt] = statement_define,
	[TYPE_CallStmt] = statement_call,
	[TYPE_CopyStmt] = statement_copy,
	[TYPE_CreateStatsStmt] = statement_define,
	[TYPE_CreateStmt] = statement_define,
	[TYPE_CreateTableAsStmt] = statement_create_as,
	[TYPE_DeclareCursorStmt] = statement_inner,
	[TYPE_DeleteStmt] = statement_change,
	[TYPE_DoStmt] = statement_do,
	[TYPE_ExecuteStmt] = statement_execute,
	[TYPE_ExplainStmt] = statement_explain,
	[TYPE_FetchStmt] = statement_fetch,
	[TYPE_IndexStmt] = statement_define,
	[TYPE_InsertStmt] = statement_change,
	[TYPE_MergeStmt] = statement_change,
	[TYPE_PrepareStmt] = statement_inner,
	[TYPE_RenameStmt] = statement_move,
	[TYPE_SelectStmt] = statement_select,
	[TYPE_UpdateStmt] = statement_change,
	[TYPE_ViewStmt] = statement_create_as,
};

static void trace_statement(
	struct tracer *tracer, struct trace *t, tree_index n, struct sql_lineage_command *ret)
{
	statement_handler *handler = statement_handlers[tree_type(t->tree, n)];

	if (!trace_enter(t))
		return;
	if (handler)
		handler(tracer, t, n, ret);
	else
		statement_other(tracer, t, n, ret);
	trace_leave(t);
}

/* COPY data does not say what types its columns have, and detectors must know. */
static bool needs_types(const struct sql_text *t, size_t command, const struct mask_rules *rules)
{
	const struct sql_command *c = sql_text_command(t, command);

	return rules->detects && c->kind == SQL_COMMAND_COPY && c->copy.to_client;
}

static bool needs_tracing(const struct sql_text *t, const struct mask_rules *rules)
{
	for (size_t i = 0; i < sql_text_command_count(t); i++) {
		if (rules->column_count || needs_types(t, i, rules))
			return true;
	}
	return false;
}

/* All that the command names is part of what the server may quote in an error. */
static void note_mentioned(struct trace *t, const struct facts *f, size_t command)
{
	const struct command_facts *c = &f->command_facts[command];

	for (size_t i = 0; i < c->count; i++) {
		const struct mention *m = &f->mentions[c->first + i];

		if (m->kind != MENTION_RELATION)
			continue;
		t->touches_masked |= trace_is_masked(t, m);
		t->unknown_code |= relation_runs_code(t, m);
	}
}

static int trace_one(struct tracer *tracer, const struct mask_rules *rules, struct arena *arena,
	struct sql_lineage *lineage)
{
	const struct facts *f = tracer->facts;
	struct sql_lineage_command *command = &tracer->commands[tracer->command];
	tree_index statement = f->command_facts[tracer->command].statement;
	struct trace t = {
		.tree = &f->tree,
		.lookup = &tracer->lookups[tracer->command],
		.rules = rules,
		.arena = arena,
		.work = tracer->work,
	};

	command->rowless = is_rowless(&f->tree, statement);
	t.types_only = !rules->column_count || !command_concerns(&t, f, tracer->command);
	if (t.types_only && !needs_types(tracer->text, tracer->command, rules))
		return 0;
	trace_statement(tracer, &t, statement, command);
	if (t.types_only)
		return t.error;
	note_mentioned(&t, f, tracer->command);
	command->runs_code |= t.unknown_code;
	command->touches_masked |= t.touches_masked || t.unknown_code;
	lineage->runs_code |= command->runs_code;
	lineage->touches_masked |= command->touches_masked;
	lineage->refusal = t.refusal;
	tracer->work = t.work;
	return t.error;
}

int sql_trace(const struct sql_text *t, const struct sql_view *view, const struct mask_rules *rules,
	struct arena *arena, struct sql_lineage *ret)
{
	struct tracer tracer = {.text = t, .facts = sql_text_facts(t)};
	struct sql_lineage lineage = {0};
	struct sql_resolution resolution;
	int r;

	if (!tracer.facts)
		return -EINVAL;
	lineage.command_count = tracer.facts->command_count;
	tracer.commands = arena_new_array(arena, lineage.command_count, sizeof(*tracer.commands));
	tracer.lookups = arena_new_array(arena, lineage.command_count, sizeof(*tracer.lookups));
	if (!tracer.commands || !tracer.lookups)
		return -E2BIG;
	lineage.commands = tracer.commands;
	*ret = lineage;
	if (!needs_tracing(t, rules))
		return 0;
	r = resolve_text(t, view, arena, &resolution, tracer.lookups);
	for (size_t i = 0; r == 0 && !lineage.refusal && i < lineage.command_count; i++) {
		tracer.command = i;
		r = trace_one(&tracer, rules, arena, &lineage);
	}
	if (r < 0)
		return r;
	*ret = lineage;
	return 0;
}
