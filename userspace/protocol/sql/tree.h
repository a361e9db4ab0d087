/* SPDX-License-Identifier: Apache-2.0
 *
 * tree: a parse tree of libpg_query as an array of small nodes. Read from its JSON once; the names
 * of node types and fields are PostgreSQL's own (src/include/nodes/parsenodes.h) and become numbers
 * on the way, so that walking compares no strings.
 *
 * Nodes are known by their index; 0 is no node. A tree is immutable once it was read.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_TREE_H
#define WAYLEAVE_PROTOCOL_SQL_TREE_H

#include "base/slice.h"

/* TYPE_NONE: a list, a value, or a node whose type nothing here asks for by name. */
enum tree_type {
	TYPE_NONE,
#define NODE(name) TYPE_##name,
#define FIELD(name)
#include "protocol/sql/names.inc"
#undef NODE
#undef FIELD
	TYPE_COUNT
};

/* FIELD_NONE: a list's item, or a field that nothing here asks for by name. */
enum tree_field {
	FIELD_NONE,
#define NODE(name)
#define FIELD(name) FIELD_##name,
#include "protocol/sql/names.inc"
#undef NODE
#undef FIELD
	FIELD_COUNT
};

enum tree_kind {
	TREE_EMPTY, /* a NULL in a list */
	TREE_NODE,
	TREE_LIST,
	TREE_STRING, /* also enumerations, by the name of their value */
	TREE_NUMBER,
	TREE_TRUE, /* libpg_query leaves false out */
};

typedef uint32_t tree_index;

struct tree_node {
	tree_index next; /* sibling */
	uint16_t field;
	uint8_t kind, type;
	union {
		tree_index child; /* the first */
		uint32_t offset; /* into the tree's strings */
		int32_t number;
	};
	uint32_t length; /* of the string */
};

struct tree {
	struct tree_node *nodes; /* [1] is the root: the list of RawStmt */
	uint32_t node_count;
	uint8_t *strings;
	uint32_t string_bytes;
	uint32_t depth; /* most nodes above any node */
};

/* Reads `json`, which must be what pg_query_parse() gave; at most `depth_most` levels deep. -E2BIG:
 * deeper; -ENOMEM; -EINVAL: it is not such JSON. On success tree_done() must be called. */
int tree_read(struct slice json, uint32_t depth_most, struct tree *ret);
void tree_done(struct tree *t);

static inline enum tree_type tree_type(const struct tree *t, tree_index n)
{
	return (enum tree_type)t->nodes[n].type;
}

static inline enum tree_kind tree_kind(const struct tree *t, tree_index n)
{
	return (enum tree_kind)t->nodes[n].kind;
}

/* The first child of a node or list, and the next sibling; 0 at the end. Node 0 has neither. */
static inline tree_index tree_first(const struct tree *t, tree_index n)
{
	enum tree_kind kind = tree_kind(t, n);

	return kind == TREE_NODE || kind == TREE_LIST ? t->nodes[n].child : 0;
}

static inline tree_index tree_next(const struct tree *t, tree_index n)
{
	return t->nodes[n].next;
}

#define tree_for_each(item, t, parent)                                                             \
	for (tree_index item = tree_first(t, parent); item != 0; item = tree_next(t, item))

/* The value of a field, 0 where it is not there. */
tree_index tree_get(const struct tree *t, tree_index n, enum tree_field field);
/* Items of a list; 0 for what is none. */
size_t tree_count(const struct tree *t, tree_index list);
tree_index tree_last(const struct tree *t, tree_index list);
/* The string itself, or that of a String node; the empty slice otherwise. Owned by the tree. */
struct slice tree_string(const struct tree *t, tree_index n);
struct slice tree_get_string(const struct tree *t, tree_index n, enum tree_field field);
/* Whether the field is there with this value: for enumerations. */
bool tree_is(const struct tree *t, tree_index n, enum tree_field field, const char *value);
bool tree_get_flag(const struct tree *t, tree_index n, enum tree_field field);
/* 0 where it is not there: libpg_query leaves zeros out. */
int32_t tree_get_number(const struct tree *t, tree_index n, enum tree_field field);

/* The two operators that a BETWEEN stands for without naming them (gram.y, parse_expr.c); NULL: the
 * expression is none, and names its own. */
const char *const *tree_between_operators(const struct tree *t, tree_index a_expr);

/* A constant: its text, where it is a string literal. */
bool tree_is_string_literal(const struct tree *t, tree_index n, struct slice *ret);
/* A constant: an integer literal of any value. */
bool tree_is_integer_literal(const struct tree *t, tree_index n);
/* Whether the string is one of a constant, not a name. */
bool tree_is_constant(const struct tree *t, tree_index n);
/* Whether the statement's options have this one, and on; given twice, once is enough. */
bool tree_has_option(const struct tree *t, tree_index n, const char *name);

#endif
