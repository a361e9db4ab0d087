/* SPDX-License-Identifier: Apache-2.0
 *
 * What is done with each type of node, and the walk over a whole text.
 */
#include "protocol/sql/walk.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"
#include "protocol/sql/cache.h"

enum node_role {
	NODE_INSIDE, /* occurs within statements only */
	NODE_STATEMENT,
	/* A statement whose facts depend on no literal but those that the walk notes. */
	NODE_SHAPED,
};

/* Every statement that PostgreSQL's grammar can produce is here or in walk_define.c's table of
 * simple ones; one that is not is refused. */
static const struct node_row {
	walk_handler *handler;
	enum node_role role;
} node_rows[TYPE_COUNT] = {
	[TYPE_AlterDatabaseSetStmt] = {walk_alter_database_set, NODE_STATEMENT},
	[TYPE_AlterDefaultPrivilegesStmt] = {walk_children, NODE_STATEMENT},
	[TYPE_AlterFunctionStmt] = {walk_alter_function, NODE_STATEMENT},
	[TYPE_AlterObjectDependsStmt] = {walk_alter_other, NODE_STATEMENT},
	[TYPE_AlterObjectSchemaStmt] = {walk_set_schema, NODE_STATEMENT},
	[TYPE_AlterOwnerStmt] = {walk_alter_other, NODE_STATEMENT},
	[TYPE_AlterRoleSetStmt] = {walk_alter_role_set, NODE_STATEMENT},
	[TYPE_AlterRoleStmt] = {walk_alter_role, NODE_STATEMENT},
	[TYPE_AlterSystemStmt] = {walk_alter_system, NODE_STATEMENT},
	[TYPE_AlterTableStmt] = {walk_alter_table, NODE_STATEMENT},
	[TYPE_CallStmt] = {walk_call, NODE_STATEMENT},
	[TYPE_CheckPointStmt] = {walk_checkpoint, NODE_STATEMENT},
	[TYPE_ClosePortalStmt] = {walk_close, NODE_STATEMENT},
	[TYPE_ClusterStmt] = {walk_cluster, NODE_STATEMENT},
	[TYPE_CommentStmt] = {walk_comment, NODE_STATEMENT},
	[TYPE_ConstraintsSetStmt] = {walk_set_constraints, NODE_STATEMENT},
	[TYPE_CopyStmt] = {walk_copy, NODE_STATEMENT},
	[TYPE_CreateEventTrigStmt] = {walk_create_event_trigger, NODE_STATEMENT},
	[TYPE_CreateExtensionStmt] = {walk_create_extension, NODE_STATEMENT},
	[TYPE_CreateForeignTableStmt] = {walk_children, NODE_STATEMENT},
	[TYPE_CreateFunctionStmt] = {walk_create_function, NODE_STATEMENT},
	[TYPE_CreateRoleStmt] = {walk_create_role, NODE_STATEMENT},
	[TYPE_CreateSchemaStmt] = {walk_create_schema, NODE_STATEMENT},
	[TYPE_CreateStatsStmt] = {walk_create_statistics, NODE_STATEMENT},
	[TYPE_CreateStmt] = {walk_create_table, NODE_STATEMENT},
	[TYPE_CreateTableAsStmt] = {walk_create_table_as, NODE_STATEMENT},
	[TYPE_CreateTrigStmt] = {walk_create_trigger, NODE_STATEMENT},
	[TYPE_DeallocateStmt] = {walk_deallocate, NODE_STATEMENT},
	[TYPE_DeclareCursorStmt] = {walk_declare, NODE_STATEMENT},
	[TYPE_DefineStmt] = {walk_define, NODE_STATEMENT},
	[TYPE_DeleteStmt] = {walk_delete, NODE_SHAPED},
	[TYPE_DiscardStmt] = {walk_discard, NODE_STATEMENT},
	[TYPE_DoStmt] = {walk_do, NODE_STATEMENT},
	[TYPE_DropRoleStmt] = {walk_drop_role, NODE_STATEMENT},
	[TYPE_DropStmt] = {walk_drop, NODE_STATEMENT},
	[TYPE_ExecuteStmt] = {walk_execute, NODE_SHAPED},
	[TYPE_ExplainStmt] = {walk_explain, NODE_STATEMENT},
	[TYPE_FetchStmt] = {walk_fetch, NODE_STATEMENT},
	[TYPE_GrantRoleStmt] = {walk_grant_role, NODE_STATEMENT},
	[TYPE_GrantStmt] = {walk_grant, NODE_STATEMENT},
	[TYPE_InsertStmt] = {walk_insert, NODE_SHAPED},
	[TYPE_ListenStmt] = {walk_listen, NODE_STATEMENT},
	[TYPE_LoadStmt] = {walk_load, NODE_STATEMENT},
	[TYPE_LockStmt] = {walk_lock, NODE_STATEMENT},
	[TYPE_MergeStmt] = {walk_merge, NODE_SHAPED},
	[TYPE_NotifyStmt] = {walk_notify, NODE_STATEMENT},
	[TYPE_PrepareStmt] = {walk_prepare, NODE_STATEMENT},
	[TYPE_ReindexStmt] = {walk_reindex, NODE_STATEMENT},
	[TYPE_RenameStmt] = {walk_rename, NODE_STATEMENT},
	[TYPE_SecLabelStmt] = {walk_security_label, NODE_STATEMENT},
	[TYPE_SelectStmt] = {walk_select, NODE_SHAPED},
	[TYPE_TransactionStmt] = {walk_transaction, NODE_STATEMENT},
	[TYPE_TruncateStmt] = {walk_truncate, NODE_STATEMENT},
	[TYPE_UnlistenStmt] = {walk_unlisten, NODE_STATEMENT},
	[TYPE_UpdateStmt] = {walk_update, NODE_SHAPED},
	[TYPE_VacuumStmt] = {walk_vacuum, NODE_STATEMENT},
	[TYPE_VariableSetStmt] = {walk_set, NODE_STATEMENT},
	[TYPE_VariableShowStmt] = {walk_show, NODE_STATEMENT},

	[TYPE_A_Expr] = {walk_a_expr, NODE_INSIDE},
	[TYPE_A_Indirection] = {walk_a_indirection, NODE_INSIDE},
	[TYPE_AlterTableCmd] = {walk_alter_table_command, NODE_INSIDE},
	[TYPE_CaseExpr] = {walk_case_expr, NODE_INSIDE},
	[TYPE_ColumnRef] = {walk_column_ref, NODE_INSIDE},
	[TYPE_FuncCall] = {walk_func_call, NODE_INSIDE},
	[TYPE_JoinExpr] = {walk_join_expr, NODE_INSIDE},
	[TYPE_RangeFunction] = {walk_range_function, NODE_INSIDE},
	[TYPE_RangeSubselect] = {walk_range_subselect, NODE_INSIDE},
	[TYPE_RangeTableSample] = {walk_range_table_sample, NODE_INSIDE},
	[TYPE_RangeVar] = {walk_range_var, NODE_INSIDE},
	[TYPE_SortBy] = {walk_sort_by, NODE_INSIDE},
	[TYPE_SubLink] = {walk_sub_link, NODE_INSIDE},
	[TYPE_TypeCast] = {walk_type_cast, NODE_INSIDE},
};

void walk_visit(struct walk *w, tree_index n)
{
	enum tree_type type = tree_type(w->tree, n);

	if (node_rows[type].handler)
		node_rows[type].handler(w, n);
	else if (walk_is_simple(type))
		walk_simple(w, n);
	else
		walk_children(w, n);
}

/* "col 5" and "col 6" are two names, but one shape. Unquoted names hold no number of their own. */
static bool names_hold_numbers(const struct tree *t, struct slice text)
{
	if (!memchr(text.data, '"', text.length))
		return false;
	for (tree_index n = 1; n < t->node_count; n++) {
		const struct tree_node *node = &t->nodes[n];

		if (node->kind == TREE_STRING && !tree_is_constant(t, n) &&
			sql_cache_has_number(slice_of(t->strings + node->offset, node->length)))
			return true;
	}
	return false;
}

/* Statements after one another: its own part of the text, and all that it mentions. */
static void walk_statement(struct walk *w, tree_index raw, struct slice text)
{
	tree_index statement = tree_get(w->tree, raw, FIELD_stmt);
	enum tree_type type = tree_type(w->tree, statement);
	struct command_facts *c = walk_command_facts(w);
	size_t start = (size_t)tree_get_number(w->tree, raw, FIELD_stmt_location);
	size_t length = (size_t)tree_get_number(w->tree, raw, FIELD_stmt_len);
	enum node_role role = node_rows[type].role;

	*c = (struct command_facts){
		.statement = statement,
		.first = (uint32_t)w->facts->mention_count,
		.first_attribute = (uint32_t)w->facts->attribute_count,
		.first_alias = (uint32_t)w->facts->alias_count,
	};
	walk_command(w)->part = slice_from(text, start);
	if (length)
		walk_command(w)->part = slice_head(walk_command(w)->part, length);
	if (role != NODE_SHAPED)
		w->facts->depends_on_literals = true;
	if (role == NODE_INSIDE && !walk_is_simple(type))
		w->facts->problem = "a kind of statement that is not known";
	if (type == TYPE_SelectStmt)
		operation_set_add(&c->fallbacks, OPERATION_SELECT);
	walk_visit(w, statement);
	c->count = (uint32_t)w->facts->mention_count - c->first;
	c->attribute_count = (uint32_t)w->facts->attribute_count - c->first_attribute;
	c->alias_count = (uint32_t)w->facts->alias_count - c->first_alias;
	table_done(&w->seen);
}

static int facts_reserve(struct facts *f, size_t count)
{
	/* A text of nothing but comments is a command too: the server answers it. */
	f->command_count = count ? count : 1;
	f->commands = calloc(f->command_count, sizeof(*f->commands));
	f->command_facts = calloc(f->command_count, sizeof(*f->command_facts));
	if (!f->commands || !f->command_facts)
		return -ENOMEM;
	if (count == 0)
		f->commands[0].kind = SQL_COMMAND_EMPTY;
	return 0;
}

int facts_gather(struct tree *tree, struct slice text, struct facts *ret)
{
	struct facts f = {.tree = *tree};
	struct walk w = {.tree = &f.tree, .facts = &f};
	tree_index list = 1;

	arena_init(&f.arena, LIMIT_FACTS);
	w.error = facts_reserve(&f, tree_count(&f.tree, list));
	tree_for_each(raw, &f.tree, list)
	{
		if (w.error < 0)
			break;
		walk_statement(&w, raw, text);
		w.command++;
	}
	table_done(&w.seen);
	table_done(&w.ctes);
	if (w.error < 0) {
		f.tree = (struct tree){0};
		facts_done(&f);
		return w.error;
	}
	/* Several statements have places in the text, which differ where its numbers do. */
	if (f.command_count > 1 || names_hold_numbers(&f.tree, text))
		f.depends_on_literals = true;
	*tree = (struct tree){0};
	*ret = f;
	return 0;
}

void facts_done(struct facts *f)
{
	tree_done(&f->tree);
	free(f->commands);
	free(f->command_facts);
	free(f->mentions);
	free(f->attributes);
	free(f->aliases);
	arena_done(&f->arena);
}

size_t facts_size(const struct facts *f)
{
	return f->tree.node_count * sizeof(*f->tree.nodes) + f->tree.string_bytes +
		f->command_count * (sizeof(*f->commands) + sizeof(*f->command_facts)) +
		(f->mention_count + f->attribute_count) * sizeof(*f->mentions) +
		f->alias_count * sizeof(*f->aliases) + f->arena.used;
}
