/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands that define, change and drop objects, and rights to them.
 */
#include "protocol/sql/walk.h"

#include "base/memory.h"

/* Commands with one object, named in one field. The rest of the command is walked as usual:
 * defaults and conditions call functions, and run for whoever uses the object. */
static const struct simple_command {
	enum operation operation;
	enum mention_kind kind;
	enum tree_field field; /* FIELD_NONE: the object has no name */
	unsigned effects;
	bool is_here;
	unsigned disturbs; /* enum disturbance */
} simple_commands[TYPE_COUNT] = {
#define CATALOG SQL_EFFECT_CATALOG
#define BOTH (SQL_EFFECT_CATALOG | SQL_EFFECT_TEMPORARY)
	[TYPE_AlterCollationStmt] = {OPERATION_ALTER, MENTION_OBJECT, FIELD_collname, CATALOG,
		true},
	[TYPE_AlterDatabaseRefreshCollStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_dbname, 0,
		true},
	[TYPE_AlterDatabaseStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_dbname, 0, true},
	[TYPE_AlterDomainStmt] = {OPERATION_ALTER, MENTION_OBJECT, FIELD_typeName, CATALOG, true},
	[TYPE_AlterEnumStmt] = {OPERATION_ALTER, MENTION_OBJECT, FIELD_typeName, CATALOG, true},
	[TYPE_AlterEventTrigStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_trigname, CATALOG, true},
	[TYPE_AlterExtensionContentsStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_extname, CATALOG,
		true},
	[TYPE_AlterExtensionStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_extname, CATALOG, true},
	[TYPE_AlterFdwStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_fdwname, CATALOG, true},
	[TYPE_AlterForeignServerStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_servername, CATALOG,
		true},
	[TYPE_AlterOpFamilyStmt] = {OPERATION_ALTER, MENTION_OBJECT, FIELD_opfamilyname, CATALOG,
		true},
	[TYPE_AlterOperatorStmt] = {OPERATION_ALTER, MENTION_OBJECT, FIELD_opername, CATALOG, true},
	[TYPE_AlterPolicyStmt] = {OPERATION_ALTER, MENTION_RELATION, FIELD_table, CATALOG, true},
	[TYPE_AlterPublicationStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_pubname, 0, true},
	[TYPE_AlterSeqStmt] = {OPERATION_ALTER, MENTION_RELATION, FIELD_sequence, BOTH, true},
	[TYPE_AlterStatsStmt] = {OPERATION_ALTER, MENTION_OBJECT, FIELD_defnames, 0, true},
	[TYPE_AlterSubscriptionStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_subname, 0, true},
	[TYPE_AlterTSConfigurationStmt] = {OPERATION_ALTER, MENTION_OBJECT, FIELD_cfgname, CATALOG,
		true},
	[TYPE_AlterTSDictionaryStmt] = {OPERATION_ALTER, MENTION_OBJECT, FIELD_dictname, CATALOG,
		true},
	[TYPE_AlterTableMoveAllStmt] = {OPERATION_ALTER, MENTION_UNKNOWN, FIELD_NONE, 0, true},
	[TYPE_AlterTableSpaceOptionsStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_tablespacename,
		0, true},
	[TYPE_AlterTypeStmt] = {OPERATION_ALTER, MENTION_OBJECT, FIELD_typeName, CATALOG, true},
	[TYPE_AlterUserMappingStmt] = {OPERATION_ALTER, MENTION_PLAIN, FIELD_servername, 0, true},
	[TYPE_CompositeTypeStmt] = {OPERATION_CREATE, MENTION_CREATED, FIELD_typevar, CATALOG,
		true},
	[TYPE_CreateAmStmt] = {OPERATION_CREATE, MENTION_PLAIN, FIELD_amname, CATALOG, true},
	[TYPE_CreateCastStmt] = {OPERATION_CREATE, MENTION_UNKNOWN, FIELD_NONE, CATALOG, true,
		DISTURBS_CODE},
	[TYPE_CreateConversionStmt] = {OPERATION_CREATE, MENTION_CREATED_OBJECT,
		FIELD_conversion_name, CATALOG, true},
	[TYPE_CreateDomainStmt] = {OPERATION_CREATE, MENTION_CREATED_OBJECT, FIELD_domainname,
		CATALOG, true},
	[TYPE_CreateEnumStmt] = {OPERATION_CREATE, MENTION_CREATED_OBJECT, FIELD_typeName, CATALOG,
		true},
	[TYPE_CreateFdwStmt] = {OPERATION_CREATE, MENTION_PLAIN, FIELD_fdwname, CATALOG, true},
	[TYPE_CreateForeignServerStmt] = {OPERATION_CREATE, MENTION_PLAIN, FIELD_servername,
		CATALOG, true},
	[TYPE_CreateOpClassStmt] = {OPERATION_CREATE, MENTION_CREATED_OBJECT, FIELD_opclassname,
		CATALOG, true},
	[TYPE_CreateOpFamilyStmt] = {OPERATION_CREATE, MENTION_CREATED_OBJECT, FIELD_opfamilyname,
		CATALOG, true},
	[TYPE_CreatePLangStmt] = {OPERATION_CREATE, MENTION_PLAIN, FIELD_plname, CATALOG, true},
	[TYPE_CreatePolicyStmt] = {OPERATION_CREATE, MENTION_RELATION, FIELD_table, CATALOG, true},
	[TYPE_CreatePublicationStmt] = {OPERATION_CREATE, MENTION_PLAIN, FIELD_pubname, 0, true},
	[TYPE_CreateRangeStmt] = {OPERATION_CREATE, MENTION_CREATED_OBJECT, FIELD_typeName, CATALOG,
		true},
	[TYPE_CreateSeqStmt] = {OPERATION_CREATE, MENTION_CREATED, FIELD_sequence, 0, true},
	[TYPE_CreateSubscriptionStmt] = {OPERATION_CREATE, MENTION_PLAIN, FIELD_subname, 0, true},
	[TYPE_CreateTableSpaceStmt] = {OPERATION_CREATE, MENTION_PLAIN, FIELD_tablespacename, 0,
		true},
	[TYPE_CreateTransformStmt] = {OPERATION_CREATE, MENTION_UNKNOWN, FIELD_NONE, CATALOG, true},
	[TYPE_CreateUserMappingStmt] = {OPERATION_CREATE, MENTION_PLAIN, FIELD_servername, 0, true},
	[TYPE_CreatedbStmt] = {OPERATION_CREATE, MENTION_PLAIN, FIELD_dbname, 0, true},
	[TYPE_DropOwnedStmt] = {OPERATION_DROP, MENTION_UNKNOWN, FIELD_NONE, BOTH, true},
	[TYPE_DropSubscriptionStmt] = {OPERATION_DROP, MENTION_PLAIN, FIELD_subname, 0, true},
	[TYPE_DropTableSpaceStmt] = {OPERATION_DROP, MENTION_PLAIN, FIELD_tablespacename, 0, true},
	[TYPE_DropUserMappingStmt] = {OPERATION_DROP, MENTION_PLAIN, FIELD_servername, 0, true},
	[TYPE_DropdbStmt] = {OPERATION_DROP, MENTION_PLAIN, FIELD_dbname, 0, true},
	[TYPE_ImportForeignSchemaStmt] = {OPERATION_CREATE, MENTION_UNKNOWN, FIELD_local_schema,
		CATALOG, true},
	[TYPE_IndexStmt] = {OPERATION_CREATE, MENTION_RELATION, FIELD_relation, BOTH, true},
	[TYPE_ReassignOwnedStmt] = {OPERATION_ALTER, MENTION_UNKNOWN, FIELD_NONE, 0, true},
	[TYPE_RefreshMatViewStmt] = {OPERATION_ALTER, MENTION_RELATION, FIELD_relation, 0, true},
	[TYPE_RuleStmt] = {OPERATION_CREATE, MENTION_RELATION, FIELD_relation, BOTH, true},
	[TYPE_ViewStmt] = {OPERATION_CREATE, MENTION_CREATED, FIELD_view, 0, true},
#undef CATALOG
#undef BOTH
};

void walk_simple(struct walk *w, tree_index n)
{
	const struct simple_command *c = &simple_commands[tree_type(w->tree, n)];
	tree_index object = c->field == FIELD_NONE ? 0 : tree_get(w->tree, n, c->field);

	if (c->kind == MENTION_CREATED)
		walk_created(w, object);
	else if (object)
		walk_named(w, c->kind, c->operation, walk_name(w, object), 0);
	else
		walk_mention(w, MENTION_UNKNOWN, c->operation, SLICE_EMPTY,
			slice_from_string("an object without a name"), 0);
	walk_effects(w, c->effects);
	walk_command_facts(w)->disturbs |= c->disturbs;
	if (object)
		walk_children_but(w, n, c->field);
	else
		walk_children(w, n);
}

bool walk_is_simple(enum tree_type type)
{
	return simple_commands[type].is_here;
}

static unsigned if_exists(struct walk *w, tree_index n)
{
	return tree_get_flag(w->tree, n, FIELD_missing_ok) ? MENTION_IF_EXISTS : 0;
}

static void disturb(struct walk *w, unsigned disturbances)
{
	walk_command_facts(w)->disturbs |= disturbances;
}

/* What falls with it is known to the server alone. */
static void walk_cascade(struct walk *w, tree_index n, enum operation operation)
{
	if (tree_is(w->tree, n, FIELD_behavior, "DROP_CASCADE"))
		walk_mention(w, MENTION_UNKNOWN, operation, SLICE_EMPTY,
			slice_from_string("what CASCADE takes along"), 0);
}

void walk_drop(struct walk *w, tree_index n)
{
	struct slice type = tree_get_string(w->tree, n, FIELD_removeType);
	bool schema = slice_equal_string(type, "OBJECT_SCHEMA");
	bool cascade = tree_is(w->tree, n, FIELD_behavior, "DROP_CASCADE");

	tree_for_each(object, w->tree, tree_get(w->tree, n, FIELD_objects))
	{
		if (schema && cascade)
			walk_mention(w, MENTION_SCHEMA, OPERATION_DROP, SLICE_EMPTY,
				tree_string(w->tree, object), 0);
		else
			walk_object(w, OPERATION_DROP, type, object, if_exists(w, n));
	}
	walk_cascade(w, n, OPERATION_DROP);
	walk_effects(w, SQL_EFFECT_CATALOG | SQL_EFFECT_TEMPORARY);
	if (schema)
		walk_effects(w, SQL_EFFECT_NAMING);
	disturb(w, schema ? DISTURBS_NAMES : DISTURBS_RELATIONS);
}

void walk_truncate(struct walk *w, tree_index n)
{
	tree_for_each(relation, w->tree, tree_get(w->tree, n, FIELD_relations))
		walk_relation(w, OPERATION_TRUNCATE, relation, MENTION_EVERYTHING);
	walk_cascade(w, n, OPERATION_TRUNCATE);
}

/* Code that is not where the catalog has it, or has another name, which it may be called by. */
static void disturb_code(struct walk *w, tree_index n)
{
	disturb(w,
		tree_get(w->tree, n, FIELD_relation) ? DISTURBS_NAMES
						     : DISTURBS_NAMES | DISTURBS_CODE);
}

/* The object of ALTER … RENAME, SET SCHEMA, OWNER TO, DEPENDS ON. */
static void walk_altered(struct walk *w, tree_index n, enum tree_field type_field)
{
	tree_index relation = tree_get(w->tree, n, FIELD_relation);
	tree_index object = tree_get(w->tree, n, FIELD_object);
	struct slice type = tree_get_string(w->tree, n, type_field);

	if (relation)
		walk_relation(w, OPERATION_ALTER, relation, if_exists(w, n));
	else if (object)
		walk_object(w, OPERATION_ALTER, type, object, if_exists(w, n));
	else
		walk_plain(w, OPERATION_ALTER, tree_get_string(w->tree, n, FIELD_subname));
	walk_effects(w, SQL_EFFECT_CATALOG | SQL_EFFECT_TEMPORARY);
}

void walk_rename(struct walk *w, tree_index n)
{
	walk_altered(w, n, FIELD_renameType);
	walk_effects(w, SQL_EFFECT_NAMING);
	disturb_code(w, n);
}

/* To put an object into a schema is to create it there. */
void walk_set_schema(struct walk *w, tree_index n)
{
	tree_index object = tree_get(w->tree, n, FIELD_relation);
	struct name_parts moved;

	walk_altered(w, n, FIELD_objectType);
	if (!object)
		object = tree_get(w->tree, n, FIELD_object);
	moved = walk_name(w, object);
	moved.schema = tree_get_string(w->tree, n, FIELD_newschema);
	walk_named(w, MENTION_CREATED_OBJECT, OPERATION_CREATE, moved, 0);
	disturb_code(w, n);
}

void walk_alter_other(struct walk *w, tree_index n)
{
	walk_altered(w, n, FIELD_objectType);
}

void walk_create_table(struct walk *w, tree_index n)
{
	walk_created(w, tree_get(w->tree, n, FIELD_relation));
	/* Parents get rows of it. */
	tree_for_each(parent, w->tree, tree_get(w->tree, n, FIELD_inhRelations))
		walk_relation(w, OPERATION_ALTER, parent, 0);
	tree_for_each(child, w->tree, n)
	{
		enum tree_field field = (enum tree_field)w->tree->nodes[child].field;

		if (field != FIELD_relation && field != FIELD_inhRelations)
			walk_visit(w, child);
	}
}

void walk_create_table_as(struct walk *w, tree_index n)
{
	tree_index into = tree_get(w->tree, n, FIELD_into);

	walk_created(w, tree_get(w->tree, into, FIELD_rel));
	walk_field(w, n, FIELD_query);
}

void walk_alter_table(struct walk *w, tree_index n)
{
	walk_relation(w, OPERATION_ALTER, tree_get(w->tree, n, FIELD_relation), if_exists(w, n));
	walk_effects(w, SQL_EFFECT_CATALOG | SQL_EFFECT_TEMPORARY);
	walk_field(w, n, FIELD_cmds);
}

/* INHERIT, ATTACH PARTITION and the like change the other relation too. */
void walk_alter_table_command(struct walk *w, tree_index n)
{
	tree_index other = tree_get(w->tree, n, FIELD_def);

	if (tree_type(w->tree, other) == TYPE_PartitionCmd) {
		walk_relation(w, OPERATION_ALTER, tree_get(w->tree, other, FIELD_name), 0);
		walk_field(w, other, FIELD_bound);
	} else if (tree_type(w->tree, other) == TYPE_RangeVar) {
		walk_relation(w, OPERATION_ALTER, other, 0);
	} else {
		walk_children(w, n);
	}
}

void walk_create_trigger(struct walk *w, tree_index n)
{
	walk_relation(w, OPERATION_CREATE, tree_get(w->tree, n, FIELD_relation), 0);
	walk_function(w, tree_get(w->tree, n, FIELD_funcname));
	walk_effects(w, SQL_EFFECT_CATALOG);
	walk_field(w, n, FIELD_constrrel);
	walk_field(w, n, FIELD_whenClause);
}

void walk_create_event_trigger(struct walk *w, tree_index n)
{
	walk_plain(w, OPERATION_CREATE, tree_get_string(w->tree, n, FIELD_trigname));
	walk_function(w, tree_get(w->tree, n, FIELD_funcname));
	walk_effects(w, SQL_EFFECT_CATALOG);
}

void walk_create_statistics(struct walk *w, tree_index n)
{
	tree_for_each(relation, w->tree, tree_get(w->tree, n, FIELD_relations))
		walk_relation(w, OPERATION_CREATE, relation, 0);
	walk_field(w, n, FIELD_exprs);
}

/* Its options are constants and settings that hold while it runs. */
void walk_create_function(struct walk *w, tree_index n)
{
	walk_named(w, MENTION_CREATED_ROUTINE, OPERATION_CREATE,
		walk_name(w, tree_get(w->tree, n, FIELD_funcname)), 0);
	walk_effects(w, SQL_EFFECT_CATALOG);
	walk_field(w, n, FIELD_parameters);
	walk_field(w, n, FIELD_sql_body);
}

void walk_alter_function(struct walk *w, tree_index n)
{
	walk_named(w, MENTION_ROUTINE, OPERATION_ALTER,
		walk_name(w, tree_get(w->tree, n, FIELD_func)), 0);
	walk_effects(w, SQL_EFFECT_CATALOG);
}

/* CREATE AGGREGATE, OPERATOR, TYPE, TEXT SEARCH …, COLLATION. */
void walk_define(struct walk *w, tree_index n)
{
	bool routine = tree_is(w->tree, n, FIELD_kind, "OBJECT_AGGREGATE");

	walk_named(w, routine ? MENTION_CREATED_ROUTINE : MENTION_CREATED_OBJECT, OPERATION_CREATE,
		walk_name(w, tree_get(w->tree, n, FIELD_defnames)), 0);
	walk_effects(w, SQL_EFFECT_CATALOG);
	if (tree_is(w->tree, n, FIELD_kind, "OBJECT_OPERATOR"))
		disturb(w, DISTURBS_CODE);
}

void walk_create_schema(struct walk *w, tree_index n)
{
	struct slice name = tree_get_string(w->tree, n, FIELD_schemaname);

	if (name.length == 0)
		name = walk_name(w, tree_get(w->tree, n, FIELD_authrole)).name;
	walk_plain(w, OPERATION_CREATE, name);
	w->new_schema = name;
	/* What it holds is looked up in it first, before anything that is known. */
	if (tree_get(w->tree, n, FIELD_schemaElts))
		w->flags |= MENTION_IN_NEW_SCHEMA;
	walk_field(w, n, FIELD_schemaElts);
	w->flags &= (uint8_t)~MENTION_IN_NEW_SCHEMA;
	w->new_schema = SLICE_EMPTY;
	walk_effects(w, SQL_EFFECT_CATALOG | SQL_EFFECT_NAMING);
	disturb(w, DISTURBS_NAMES);
}

/* Its script runs whatever it likes. */
void walk_create_extension(struct walk *w, tree_index n)
{
	walk_plain(w, OPERATION_CREATE, tree_get_string(w->tree, n, FIELD_extname));
	walk_effects(w, SQL_EFFECT_CATALOG | SQL_EFFECT_UNKNOWN);
	disturb(w, DISTURBS_NAMES | DISTURBS_CODE);
}

/* Options that make members: CREATE ROLE … IN ROLE, ALTER GROUP … ADD USER. */
static void walk_members(struct walk *w, tree_index n, struct slice role)
{
	tree_for_each(option, w->tree, tree_get(w->tree, n, FIELD_options))
	{
		bool into = tree_is(w->tree, option, FIELD_defname, "addroleto");

		if (into) {
			tree_for_each(other, w->tree, tree_get(w->tree, option, FIELD_arg))
				walk_plain(w, OPERATION_GRANT, walk_name(w, other).name);
		} else if (tree_is(w->tree, option, FIELD_defname, "rolemembers") ||
			tree_is(w->tree, option, FIELD_defname, "adminmembers")) {
			walk_plain(w, OPERATION_GRANT, role);
		}
	}
}

/* CURRENT_USER and the like have no name in the text. */
static void walk_role(struct walk *w, enum operation operation, tree_index role)
{
	struct slice name = walk_name(w, role).name;

	walk_mention(w, name.length ? MENTION_PLAIN : MENTION_UNKNOWN, operation, SLICE_EMPTY,
		name.length ? name : slice_from_string("the current role"), 0);
}

void walk_create_role(struct walk *w, tree_index n)
{
	struct slice role = tree_get_string(w->tree, n, FIELD_role);

	walk_plain(w, OPERATION_CREATE, role);
	walk_members(w, n, role);
}

void walk_alter_role(struct walk *w, tree_index n)
{
	tree_index role = tree_get(w->tree, n, FIELD_role);

	walk_role(w, OPERATION_ALTER, role);
	walk_members(w, n, walk_name(w, role).name);
}

void walk_alter_role_set(struct walk *w, tree_index n)
{
	walk_role(w, OPERATION_ALTER, tree_get(w->tree, n, FIELD_role));
	walk_setting_of(w, tree_get(w->tree, n, FIELD_setstmt));
}

void walk_alter_database_set(struct walk *w, tree_index n)
{
	walk_plain(w, OPERATION_ALTER, tree_get_string(w->tree, n, FIELD_dbname));
	walk_setting_of(w, tree_get(w->tree, n, FIELD_setstmt));
}

void walk_alter_system(struct walk *w, tree_index n)
{
	walk_mention(w, MENTION_UNKNOWN, OPERATION_ALTER, SLICE_EMPTY,
		slice_from_string("the system"), 0);
	walk_setting_of(w, tree_get(w->tree, n, FIELD_setstmt));
}

void walk_drop_role(struct walk *w, tree_index n)
{
	tree_for_each(role, w->tree, tree_get(w->tree, n, FIELD_roles))
		walk_role(w, OPERATION_DROP, role);
}

void walk_grant(struct walk *w, tree_index n)
{
	bool grants = tree_get_flag(w->tree, n, FIELD_is_grant);
	enum operation operation = grants ? OPERATION_GRANT : OPERATION_REVOKE;
	struct slice type = tree_get_string(w->tree, n, FIELD_objtype);

	/* Rights to a schema decide whether it is on the path. */
	walk_effects(w, SQL_EFFECT_NAMING);
	if (!tree_is(w->tree, n, FIELD_targtype, "ACL_TARGET_OBJECT")) {
		walk_mention(w, MENTION_UNKNOWN, operation, SLICE_EMPTY,
			slice_from_string("all objects of a schema"), 0);
		return;
	}
	tree_for_each(object, w->tree, tree_get(w->tree, n, FIELD_objects))
		walk_object(w, operation, type, object, 0);
}

void walk_grant_role(struct walk *w, tree_index n)
{
	bool grants = tree_get_flag(w->tree, n, FIELD_is_grant);

	tree_for_each(role, w->tree, tree_get(w->tree, n, FIELD_granted_roles))
		walk_plain(w, grants ? OPERATION_GRANT : OPERATION_REVOKE, walk_name(w, role).name);
	walk_effects(w, SQL_EFFECT_NAMING);
}

void walk_comment(struct walk *w, tree_index n)
{
	walk_object(w, OPERATION_COMMENT, tree_get_string(w->tree, n, FIELD_objtype),
		tree_get(w->tree, n, FIELD_object), 0);
}

/* Labels decide rights (SELinux) or hide columns (anonymising extensions). */
void walk_security_label(struct walk *w, tree_index n)
{
	walk_object(w, OPERATION_ALTER, tree_get_string(w->tree, n, FIELD_objtype),
		tree_get(w->tree, n, FIELD_object), 0);
}
