/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands about the session, its statements and cursors, and maintenance.
 */
#include "protocol/sql/walk.h"

#include "base/memory.h"

#define CURSOR_WITH_HOLD 0x20 /* CURSOR_OPT_HOLD, nodes/parsenodes.h */

/* The command, to be marked as what the protocol engine must know it as; something to write to
 * where the statement is inside another one, which is then what the engine sees. */
static struct sql_command *mark(struct walk *w, tree_index n, enum sql_command_kind kind)
{
	static __thread struct sql_command ignored;
	struct sql_command *c = walk_command(w);

	if (walk_command_facts(w)->statement != n)
		c = &ignored;
	c->kind = kind;
	return c;
}

static const struct {
	const char *name;
	enum sql_command_kind kind;
	unsigned disturbs;
} transaction_kinds[] = {
	{"TRANS_STMT_BEGIN", SQL_COMMAND_BEGIN, 0},
	{"TRANS_STMT_START", SQL_COMMAND_BEGIN, 0},
	{"TRANS_STMT_COMMIT", SQL_COMMAND_COMMIT, DISTURBS_TRANSACTION},
	{"TRANS_STMT_PREPARE", SQL_COMMAND_COMMIT, DISTURBS_TRANSACTION},
	{"TRANS_STMT_ROLLBACK", SQL_COMMAND_ROLLBACK, DISTURBS_TRANSACTION},
	{"TRANS_STMT_SAVEPOINT", SQL_COMMAND_SAVEPOINT, 0},
	{"TRANS_STMT_RELEASE", SQL_COMMAND_SAVEPOINT, 0},
	/* Undoes settings and temporary relations, as the whole would. */
	{"TRANS_STMT_ROLLBACK_TO", SQL_COMMAND_ROLLBACK_TO, DISTURBS_TRANSACTION},
};

/* COMMIT PREPARED and ROLLBACK PREPARED end what any session did, which is not judged with them. */
static bool ends_prepared(struct slice kind)
{
	return slice_equal_string(kind, "TRANS_STMT_COMMIT_PREPARED") ||
		slice_equal_string(kind, "TRANS_STMT_ROLLBACK_PREPARED");
}

void walk_transaction(struct walk *w, tree_index n)
{
	struct slice kind = tree_get_string(w->tree, n, FIELD_kind);

	if (ends_prepared(kind)) {
		walk_plain(w, OPERATION_EXECUTE_UNKNOWN, SLICE_EMPTY);
		walk_disturb_naming(w, SQL_EFFECT_CATALOG | SQL_EFFECT_NAMING);
		return;
	}
	walk_plain(w, OPERATION_TRANSACTION, SLICE_EMPTY);
	for (size_t i = 0; i < ARRAY_SIZE(transaction_kinds); i++) {
		if (!slice_equal_string(kind, transaction_kinds[i].name))
			continue;
		mark(w, n, transaction_kinds[i].kind);
		walk_command_facts(w)->disturbs |= transaction_kinds[i].disturbs;
	}
}

void walk_set_constraints(struct walk *w, tree_index n)
{
	(void)n;
	walk_plain(w, OPERATION_TRANSACTION, SLICE_EMPTY);
}

/* The value as text, where there is exactly one. */
static struct slice setting_value(struct walk *w, tree_index n)
{
	tree_index list = tree_get(w->tree, n, FIELD_args), only = tree_first(w->tree, list);
	struct slice value = SLICE_EMPTY;

	if (only && !tree_next(w->tree, only) && !walk_literal(w, only, &value) &&
		tree_is_integer_literal(w->tree, only) &&
		tree_get_number(w->tree, tree_get(w->tree, only, FIELD_ival), FIELD_ival) == 1)
		value = slice_from_string("1");
	return value;
}

unsigned walk_setting_of(struct walk *w, tree_index n)
{
	if (!tree_is(w->tree, n, FIELD_kind, "VAR_RESET_ALL"))
		return walk_setting(
			w, tree_get_string(w->tree, n, FIELD_name), setting_value(w, n));
	walk_plain(w, OPERATION_SESSION, SLICE_EMPTY);
	return SQL_EFFECT_NAMING;
}

void walk_set(struct walk *w, tree_index n)
{
	/* SET TRANSACTION, SET SESSION CHARACTERISTICS, SET TRANSACTION SNAPSHOT */
	if (tree_is(w->tree, n, FIELD_kind, "VAR_SET_MULTI"))
		walk_plain(w, OPERATION_TRANSACTION, SLICE_EMPTY);
	else
		walk_disturb_naming(w, walk_setting_of(w, n));
}

void walk_show(struct walk *w, tree_index n)
{
	(void)n;
	walk_plain(w, OPERATION_SHOW, SLICE_EMPTY);
}

void walk_discard(struct walk *w, tree_index n)
{
	bool all = tree_is(w->tree, n, FIELD_target, "DISCARD_ALL");

	walk_plain(w, OPERATION_SESSION, SLICE_EMPTY);
	mark(w, n, SQL_COMMAND_DISCARD)->all = all;
	walk_command(w)->session_names = true;
	if (all)
		walk_disturb_naming(w, SQL_EFFECT_NAMING | SQL_EFFECT_TEMPORARY);
	if (tree_is(w->tree, n, FIELD_target, "DISCARD_TEMP")) {
		walk_effects(w, SQL_EFFECT_TEMPORARY);
		walk_command_facts(w)->disturbs |= DISTURBS_RELATIONS;
	}
}

static void name_command(
	struct walk *w, enum sql_command_kind kind, tree_index n, enum tree_field field)
{
	struct sql_command *c = mark(w, n, kind);

	c->name = tree_get_string(w->tree, n, field);
	c->all = c->name.length == 0;
	walk_command(w)->session_names = true;
	/* Its part of the text is kept, to be shown when it runs. */
	if (kind == SQL_COMMAND_PREPARE)
		w->facts->depends_on_literals = true;
}

static void add_fallback(struct walk *w, enum operation operation)
{
	struct command_facts *c = walk_command_facts(w);

	if (w->flags & MENTION_LATER)
		operation_set_add(&c->later_fallbacks, operation);
	else if (!(w->flags & MENTION_EXPLAINED))
		operation_set_add(&c->fallbacks, operation);
}

/* A statement inside another one, with more flags for what it mentions. */
static void walk_inner(struct walk *w, tree_index statement, unsigned flags)
{
	uint8_t before = w->flags;

	w->flags |= (uint8_t)flags;
	if (tree_type(w->tree, statement) == TYPE_SelectStmt)
		add_fallback(w, OPERATION_SELECT);
	walk_visit(w, statement);
	w->flags = before;
}

void walk_prepare(struct walk *w, tree_index n)
{
	name_command(w, SQL_COMMAND_PREPARE, n, FIELD_name);
	walk_plain(w, OPERATION_SESSION, SLICE_EMPTY);
	walk_inner(w, tree_get(w->tree, n, FIELD_query), MENTION_LATER);
}

void walk_execute(struct walk *w, tree_index n)
{
	name_command(w, SQL_COMMAND_EXECUTE, n, FIELD_name);
	walk_mention(w, MENTION_EXECUTE, OPERATION_EXECUTE_UNKNOWN, SLICE_EMPTY,
		tree_get_string(w->tree, n, FIELD_name), 0);
	walk_field(w, n, FIELD_params);
}

void walk_deallocate(struct walk *w, tree_index n)
{
	name_command(w, SQL_COMMAND_DEALLOCATE, n, FIELD_name);
	walk_plain(w, OPERATION_SESSION, SLICE_EMPTY);
}

void walk_declare(struct walk *w, tree_index n)
{
	name_command(w, SQL_COMMAND_DECLARE, n, FIELD_portalname);
	mark(w, n, SQL_COMMAND_DECLARE)->hold =
		tree_get_number(w->tree, n, FIELD_options) & CURSOR_WITH_HOLD;
	walk_plain(w, OPERATION_CURSOR, SLICE_EMPTY);
	walk_inner(w, tree_get(w->tree, n, FIELD_query), 0);
}

void walk_fetch(struct walk *w, tree_index n)
{
	name_command(w, SQL_COMMAND_FETCH, n, FIELD_portalname);
	walk_plain(w, OPERATION_CURSOR, SLICE_EMPTY);
	walk_mention(w, MENTION_FETCH, OPERATION_EXECUTE_UNKNOWN, SLICE_EMPTY,
		tree_get_string(w->tree, n, FIELD_portalname), 0);
}

void walk_close(struct walk *w, tree_index n)
{
	bool all = tree_get_string(w->tree, n, FIELD_portalname).length == 0;

	name_command(w, SQL_COMMAND_CLOSE, n, FIELD_portalname);
	/* CLOSE ALL is part of DISCARD ALL, and what pools of connections do between two users. */
	walk_plain(w, all ? OPERATION_SESSION : OPERATION_CURSOR, SLICE_EMPTY);
}

/* EXPLAIN plans: it needs the same names, runs none of it, but may call functions. */
void walk_explain(struct walk *w, tree_index n)
{
	bool runs = tree_has_option(w->tree, n, "analyze");

	walk_inner(w, tree_get(w->tree, n, FIELD_query),
		runs ? MENTION_EXPLAINED_TOO : MENTION_EXPLAINED);
	add_fallback(w, OPERATION_EXPLAIN);
}

static uint8_t first_byte(struct slice s, uint8_t otherwise)
{
	return s.length ? s.data[0] : otherwise;
}

/* What the options of COPY say of the data's form; what they don't is PostgreSQL's default. */
static struct slice copy_option(struct walk *w, tree_index n, const char *name, bool *ret_given)
{
	tree_for_each(option, w->tree, tree_get(w->tree, n, FIELD_options))
	{
		if (!tree_is(w->tree, option, FIELD_defname, name))
			continue;
		*ret_given = true;
		return tree_string(w->tree, tree_get(w->tree, option, FIELD_arg));
	}
	*ret_given = false;
	return SLICE_EMPTY;
}

static void copy_form(struct walk *w, tree_index n, struct sql_copy *copy)
{
	bool given, null_given;
	struct slice format = copy_option(w, n, "format", &given);
	bool csv = slice_equal_string(format, "csv");

	copy->format = csv                             ? SQL_COPY_CSV
		: slice_equal_string(format, "binary") ? SQL_COPY_BINARY
						       : SQL_COPY_TEXT;
	copy->delimiter = first_byte(copy_option(w, n, "delimiter", &given), csv ? ',' : '\t');
	copy->quote = first_byte(copy_option(w, n, "quote", &given), '"');
	copy->escape = first_byte(copy_option(w, n, "escape", &given), copy->quote);
	copy->null_text = copy_option(w, n, "null", &null_given);
	if (!null_given)
		copy->null_text = slice_from_string(csv ? "" : "\\N");
	copy->header = tree_has_option(w->tree, n, "header");
	copy_option(w, n, "encoding", &copy->encoding_given);
}

void walk_copy(struct walk *w, tree_index n)
{
	tree_index relation = tree_get(w->tree, n, FIELD_relation);
	bool in = tree_get_flag(w->tree, n, FIELD_is_from);
	bool program = tree_get_flag(w->tree, n, FIELD_is_program);
	bool file = program || tree_get(w->tree, n, FIELD_filename);
	enum operation places[] = {in ? OPERATION_COPY_IN : OPERATION_COPY_OUT,
		program ? OPERATION_COPY_PROGRAM : OPERATION_COPY_FILE};
	struct sql_command *c = mark(w, n, SQL_COMMAND_COPY);

	c->copy.to_client = !in && !file;
	c->copy.from_client = in && !file;
	copy_form(w, n, &c->copy);
	for (size_t i = 0; i < (file ? 2 : 1); i++) {
		if (relation)
			walk_relation(w, places[i], relation, 0);
		else
			walk_plain(w, places[i], SLICE_EMPTY);
	}
	walk_field(w, n, FIELD_query);
	walk_field(w, n, FIELD_whereClause);
}

void walk_do(struct walk *w, tree_index n)
{
	(void)n;
	walk_plain(w, OPERATION_DO, SLICE_EMPTY);
	walk_disturb_naming(w, SQL_EFFECT_UNKNOWN | SQL_EFFECT_NAMING);
}

void walk_call(struct walk *w, tree_index n)
{
	tree_index call = tree_get(w->tree, n, FIELD_funccall);

	walk_named(w, MENTION_ROUTINE, OPERATION_CALL,
		walk_name(w, tree_get(w->tree, call, FIELD_funcname)), 0);
	walk_field(w, call, FIELD_args);
	walk_disturb_naming(w, SQL_EFFECT_UNKNOWN | SQL_EFFECT_NAMING);
}

void walk_lock(struct walk *w, tree_index n)
{
	tree_for_each(relation, w->tree, tree_get(w->tree, n, FIELD_relations))
		walk_relation(w, OPERATION_LOCK, relation, 0);
}

/* On one relation, or on all of them: an allow for some does not cover that. */
static void walk_maintained(struct walk *w, enum operation operation, tree_index relation)
{
	if (relation)
		walk_relation(w, operation, relation, 0);
	else
		walk_mention(w, MENTION_UNKNOWN, operation, SLICE_EMPTY,
			slice_from_string("every relation"), MENTION_EVERYTHING);
}

void walk_vacuum(struct walk *w, tree_index n)
{
	bool vacuum = tree_get_flag(w->tree, n, FIELD_is_vacuumcmd);
	enum operation operations[] = {OPERATION_VACUUM, OPERATION_ANALYZE};
	size_t first = vacuum ? 0 : 1;
	size_t end = !vacuum || tree_has_option(w->tree, n, "analyze") ? 2 : 1;
	tree_index relations = tree_get(w->tree, n, FIELD_rels);

	for (size_t i = first; i < end; i++) {
		if (!relations)
			walk_maintained(w, operations[i], 0);
		tree_for_each(item, w->tree, relations)
			walk_maintained(w, operations[i], tree_get(w->tree, item, FIELD_relation));
	}
}

void walk_cluster(struct walk *w, tree_index n)
{
	walk_maintained(w, OPERATION_VACUUM, tree_get(w->tree, n, FIELD_relation));
}

void walk_reindex(struct walk *w, tree_index n)
{
	walk_maintained(w, OPERATION_VACUUM, tree_get(w->tree, n, FIELD_relation));
}

void walk_checkpoint(struct walk *w, tree_index n)
{
	(void)n;
	walk_plain(w, OPERATION_CHECKPOINT, SLICE_EMPTY);
}

void walk_load(struct walk *w, tree_index n)
{
	walk_plain(w, OPERATION_LOAD, tree_get_string(w->tree, n, FIELD_filename));
	walk_disturb_naming(w, SQL_EFFECT_UNKNOWN | SQL_EFFECT_NAMING);
}

void walk_listen(struct walk *w, tree_index n)
{
	mark(w, n, SQL_COMMAND_LISTEN);
	walk_plain(w, OPERATION_LISTEN, tree_get_string(w->tree, n, FIELD_conditionname));
}

void walk_unlisten(struct walk *w, tree_index n)
{
	(void)n;
	walk_plain(w, OPERATION_SESSION, SLICE_EMPTY);
}

void walk_notify(struct walk *w, tree_index n)
{
	walk_plain(w, OPERATION_NOTIFY, tree_get_string(w->tree, n, FIELD_conditionname));
}
