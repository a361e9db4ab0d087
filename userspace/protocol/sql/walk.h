/* SPDX-License-Identifier: Apache-2.0
 *
 * walk: the walk over a tree that gathers its facts. walk.c has the machinery and expressions,
 * walk_query.c SELECT and the commands that change rows, walk_object.c the objects of DDL,
 * walk_command.c everything else, walk_table.c the table of all node types. Internal to
 * protocol/sql/.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_WALK_H
#define WAYLEAVE_PROTOCOL_SQL_WALK_H

#include "base/table.h"
#include "protocol/sql/facts.h"

struct walk {
	const struct tree *tree;
	struct facts *facts;
	size_t mention_capacity, attribute_capacity, alias_capacity;
	struct table seen; /* mentions of the present command, once they are many */
	struct table ctes; /* names that hide relations here */
	uint32_t command;
	uint8_t flags; /* of every mention */
	struct slice new_schema; /* inside CREATE SCHEMA */
	bool saw_column; /* set by every column reference */
	bool in_from; /* inside the FROM of a SELECT */
	bool reads_all; /* there: neither that nor one around it has a WHERE that names a column */
	tree_index settings; /* pg_settings, of which this SELECT reads the row `setting` alone */
	struct slice setting;
	int error;
};

/* Visits a node as its type demands. */
void walk_visit(struct walk *w, tree_index n);
void walk_children(struct walk *w, tree_index n);
/* All fields but `skipped`. */
void walk_children_but(struct walk *w, tree_index n, enum tree_field skipped);
/* Visits what stands in the field, if anything. */
void walk_field(struct walk *w, tree_index n, enum tree_field field);

struct sql_command *walk_command(struct walk *w);
struct command_facts *walk_command_facts(struct walk *w);
void walk_effects(struct walk *w, unsigned effects);

/* What is written as [database.][schema.]name: a list of parts, RangeVar, TypeName, ObjectWithArgs,
 * or what has one name alone. */
struct name_parts {
	struct slice schema, name;
};
struct name_parts walk_name(struct walk *w, tree_index n);

/* Notes a mention. Returns its index, MENTION_NONE where memory is full. */
uint32_t walk_mention(struct walk *w, enum mention_kind kind, enum operation operation,
	struct slice schema, struct slice name, unsigned flags);
uint32_t walk_named(struct walk *w, enum mention_kind kind, enum operation operation,
	struct name_parts name, unsigned flags);
/* An object that is its own name; the empty slice: no object. */
void walk_plain(struct walk *w, enum operation operation, struct slice object);
/* A RangeVar as an object of `operation`; returns as walk_mention(). */
uint32_t walk_relation(
	struct walk *w, enum operation operation, tree_index range_var, unsigned flags);
/* Whether the SELECT reads one row of pg_settings, that of a given name; sets w->settings. */
bool walk_settings_row(struct walk *w, tree_index select);
/* A RangeVar that comes to be. */
void walk_created(struct walk *w, tree_index range_var);
void walk_function(struct walk *w, tree_index name_list);
void walk_operator(struct walk *w, tree_index name_list);
void walk_operator_named(struct walk *w, const char *name);
void walk_alias(struct walk *w, struct slice name, uint32_t relation);

/* A set-up for names of WITH; walk_ctes_leave() takes them back. */
struct cte_scope;
struct cte_scope *walk_ctes_enter(struct walk *w, tree_index with_clause);
void walk_ctes_leave(struct walk *w, struct cte_scope *scope);
bool walk_is_cte(struct walk *w, struct slice name);

/* The setting and its value (empty: not known) as an object. Returns what the change does to the
 * meaning of later text: enum sql_effect. */
unsigned walk_setting(struct walk *w, struct slice name, struct slice value);
/* The setting that a VariableSetStmt names. Returns as walk_setting(). */
unsigned walk_setting_of(struct walk *w, tree_index set_statement);
/* Effects on how names are looked up, for this session and for what follows in this text. */
void walk_disturb_naming(struct walk *w, unsigned effects);
/* The text of a literal whose value decides something. */
bool walk_literal(struct walk *w, tree_index n, struct slice *ret);

/* The object of COMMENT, DROP, ALTER …, by the enumeration's name. `flags`: enum mention_flag. */
void walk_object(struct walk *w, enum operation operation, struct slice object_type,
	tree_index object, unsigned flags);

typedef void walk_handler(struct walk *w, tree_index n);

/* Handlers: walk.c */
walk_handler walk_func_call, walk_a_expr, walk_type_cast, walk_column_ref, walk_a_indirection,
	walk_sub_link, walk_case_expr, walk_sort_by;
/* walk_query.c */
walk_handler walk_range_var, walk_range_subselect, walk_range_function, walk_range_table_sample,
	walk_join_expr, walk_select, walk_insert, walk_update, walk_delete, walk_merge;
/* walk_define.c */
walk_handler walk_simple, walk_drop, walk_truncate, walk_rename, walk_set_schema, walk_alter_other,
	walk_create_table, walk_create_table_as, walk_alter_table, walk_alter_table_command,
	walk_create_trigger, walk_create_event_trigger, walk_create_statistics,
	walk_create_function, walk_alter_function, walk_define, walk_create_schema,
	walk_create_extension, walk_create_role, walk_alter_role, walk_alter_role_set,
	walk_alter_database_set, walk_alter_system, walk_drop_role, walk_grant, walk_grant_role,
	walk_comment, walk_security_label;
bool walk_is_simple(enum tree_type type);
/* walk_command.c */
walk_handler walk_transaction, walk_set_constraints, walk_set, walk_show, walk_discard,
	walk_prepare, walk_execute, walk_deallocate, walk_declare, walk_fetch, walk_close,
	walk_explain, walk_copy, walk_do, walk_call, walk_lock, walk_vacuum, walk_cluster,
	walk_reindex, walk_checkpoint, walk_load, walk_listen, walk_unlisten, walk_notify;

#endif
