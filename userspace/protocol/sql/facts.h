/* SPDX-License-Identifier: Apache-2.0
 *
 * facts: what one parsed text mentions: the relations it reads and writes, the functions it calls,
 * the objects that it defines. Gathered once per text by walking every node of its tree; what the
 * names stand for depends on the session and is found by resolve.c.
 *
 * CTE names are already told from relations here, since the text alone decides that. Internal to
 * protocol/sql/.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_FACTS_H
#define WAYLEAVE_PROTOCOL_SQL_FACTS_H

#include "base/arena.h"
#include "protocol/action.h"
#include "protocol/sql/builtin.h"
#include "protocol/sql/statement.h"
#include "protocol/sql/tree.h"

enum mention_kind {
	MENTION_PLAIN, /* `name` is the object as it is; without one: none */
	MENTION_UNKNOWN, /* there is an object, but the text does not say which; `name` describes it
			  */
	MENTION_RELATION,
	MENTION_SETTINGS, /* pg_settings; another relation of that name says nothing of what is set
			   */
	MENTION_SCHEMA, /* DROP SCHEMA … CASCADE: the schema and all that is in it */
	MENTION_CREATED, /* a relation that comes to be */
	MENTION_FUNCTION, /* a call, harmless where the name is */
	MENTION_ROUTINE, /* a function that is the object of a command, or that CALL runs */
	MENTION_CREATED_ROUTINE,
	MENTION_OPERATOR,
	MENTION_CAST, /* to the type `name` */
	MENTION_ATTRIBUTE, /* x.name or (x).name: a column, or the call name(x) */
	MENTION_OBJECT, /* of a schema, of a kind that the catalog does not list */
	MENTION_CREATED_OBJECT,
	MENTION_EXECUTE, /* the prepared statement `name` */
	MENTION_FETCH, /* the cursor `name` */
};

enum mention_flag {
	MENTION_EVERYTHING = 1 << 0,
	MENTION_EXPLAINED = 1 << 1, /* under EXPLAIN without ANALYZE: planned, not run */
	MENTION_EXPLAINED_TOO = 1 << 2, /* under EXPLAIN ANALYZE */
	MENTION_LATER = 1 << 3, /* inside PREPARE: runs when it is executed */
	MENTION_TEMPORARY = 1 << 4, /* MENTION_CREATED: in the session's own schema */
	MENTION_IF_EXISTS = 1 << 5,
	MENTION_SET = 1 << 6, /* UPDATE of pg_settings changes settings */
	MENTION_IN_NEW_SCHEMA = 1 << 7, /* inside CREATE SCHEMA */
};

struct mention {
	uint8_t kind; /* enum mention_kind */
	uint8_t flags;
	uint8_t builtin; /* enum builtin_function, for MENTION_FUNCTION */
	uint8_t operation;
	uint32_t command;
	struct slice schema; /* empty: unqualified */
	struct slice name;
};

/* One name by which columns of a FROM item can be asked for. */
struct mention_alias {
	uint32_t command;
	uint32_t relation; /* index of the mention, or MENTION_NONE for what is no relation */
	struct slice name;
};
#define MENTION_NONE UINT32_MAX

/* What a command does to the meaning of names in the commands behind it in the same text. */
enum disturbance {
	/* A relation may be gone: a name may now mean the next one of that name on the path. */
	DISTURBS_RELATIONS = 1 << 0,
	/* The path, or which object has which name, is not known any more. */
	DISTURBS_NAMES = 1 << 1,
	DISTURBS_TRANSACTION = 1 << 2, /* ends it */
	/* There may be operators, casts or functions that the catalog does not have there. */
	DISTURBS_CODE = 1 << 3,
};

struct command_facts {
	tree_index statement;
	uint32_t first, count; /* its mentions */
	uint32_t first_attribute, attribute_count, first_alias, alias_count;
	unsigned disturbs;
	/* Pairs without object where nothing of the command gave a pair of that operation. */
	struct operation_set fallbacks, later_fallbacks;
};

struct facts {
	struct tree tree;
	struct sql_command *commands;
	struct command_facts *command_facts;
	size_t command_count;
	struct mention *mentions;
	size_t mention_count;
	struct mention
		*attributes; /* MENTION_ATTRIBUTE alone; schema = what stands before the dot */
	size_t attribute_count;
	struct mention_alias *aliases;
	size_t alias_count;
	bool depends_on_literals;
	const char *problem; /* a statement of a kind that is not known; static */
	struct arena arena;
};

/* Walks the tree, which it takes over. -ENOMEM, -E2BIG: too much to remember. On an error nothing
 * is left to free but the tree, which stays the caller's. */
int facts_gather(struct tree *tree, struct slice text, struct facts *ret);
void facts_done(struct facts *f);
size_t facts_size(const struct facts *f);

/* The facts of a parsed text; NULL for others. (statement.c) */
const struct facts *sql_text_facts(const struct sql_text *t);

#endif
