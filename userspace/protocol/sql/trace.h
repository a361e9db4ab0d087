/* SPDX-License-Identifier: Apache-2.0
 *
 * trace: follows the values of masked columns through a parse tree, scope by scope, as the server's
 * own analysis would resolve each name. trace_scope.c finds columns, trace_from.c makes scopes,
 * trace_expression.c, trace_operator.c and trace_function.c say what becomes of values,
 * trace_query.c, trace_with.c and trace_change.c follow statements, trace_name.c names their
 * columns, trace_command.c whole texts. Internal to protocol/sql/.
 *
 * In doubt a value is taken to be masked. A statement in which a masked value could decide
 * something that the agent sees (rows, order, branches, errors) is refused.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_TRACE_H
#define WAYLEAVE_PROTOCOL_SQL_TRACE_H

#include "protocol/sql/facts.h"
#include "protocol/sql/lookup.h"

/* What is known of a value. */
struct value {
	enum sql_output_state state;
	enum mask_strategy strategy;
	bool filter_allowed; /* every masked column in it may be used in filters */
	struct slice what; /* not CLEAN: "column public.customers.ssn is masked" */
	struct sql_type type; /* of a plain column, masked or not; oid 0 for others */
	/* Whether it is NULL tells something of what is masked in it: nothing may hang on that. */
	bool telling;
	bool no_text; /* something masked in it may be of another type than a text */
};

/* A column of a FROM item or of a result. */
struct trace_column {
	struct slice name;
	struct value value;
	bool generated; /* of a table: COPY of the whole table leaves it out */
	bool unstarred; /* "*" may leave it out: whether it does is not known */
};

struct trace_columns {
	struct trace_column *items;
	size_t count, room;
	/* There may be others, of unknown names and in unknown places; `rest` is what they may be.
	 */
	bool open;
	struct value rest;
};

struct trace_item {
	struct slice alias; /* empty: its columns can't be qualified */
	/* A relation without alias may be qualified by its schema. */
	struct slice schema;
	bool columns_visible; /* without qualification */
	bool name_visible;
	/* An open relation whose columns are masked by name. */
	struct slice rule_schema, rule_table;
	struct trace_columns columns;
};

/* One query's namespace; `outer` is where names go on that it does not have. */
struct trace_level {
	const struct trace_level *outer;
	struct trace_item *items;
	size_t count, room;
	size_t first; /* items in front of it can't be seen: in ON */
};

/* The column's name of a query that is one value. */
struct trace_sub_name {
	const struct trace_sub_name *next;
	tree_index sub_link;
	struct slice name;
};

/* Where a query stands. */
struct trace_place {
	const struct trace_level *outer;
	struct trace_cte *ctes;
};

struct trace_cte {
	struct trace_cte *next; /* in front of it, then further out */
	struct trace_cte *behind; /* in its own clause */
	struct slice name;
	struct trace_columns columns;
	tree_index node;
	struct trace_place place; /* of its query */
	bool recursive; /* of WITH RECURSIVE */
	bool followed; /* its columns are known, or, of its own query, so far as they are */
};

struct trace {
	const struct tree *tree;
	const struct lookup *lookup;
	const struct mask_rules *rules;
	struct arena *arena;
	const char *clause; /* in which the present expression stands, NULL: a target list */
	const char *refusal;
	const struct trace_sub_name *sub_names; /* of those that were followed so far */
	struct value computed; /* all that was made of masked columns so far; CLEAN: nothing was */
	bool unknown_code; /* some result of code that is not known to be harmless was met */
	bool touches_masked;
	bool types_only; /* nothing is masked: only the columns' types are asked for */
	unsigned depth;
	uint64_t work;
	int error;
};

extern const struct value value_clean;

/* Whether to go on: nothing failed, nothing is refused. */
bool trace_goes_on(const struct trace *t);
/* Counts work, so that no text can stall; past the bound it refuses. */
void trace_work(struct trace *t, size_t amount);
/* One level of recursion; false: too deep (refused), and trace_leave() must not be called. */
bool trace_enter(struct trace *t);
void trace_leave(struct trace *t);
/* "WHAT and can't be used in PLACE". The first refusal stands. */
void trace_refuse(struct trace *t, const struct value *v, const char *place, struct slice name);

/* trace_scope.c */
/* What may be of any masked column. */
struct value value_unknown(struct slice what);
struct value value_join(struct value a, struct value b);
/* The value within an expression: masked whole. */
struct value value_derive(struct value v);
/* The same where the masked value decides whether the result is NULL: then it always is. */
struct value value_hide(struct value v);
static inline bool value_is_masked(const struct value *v)
{
	return v->state != SQL_OUTPUT_CLEAN;
}
struct slice trace_format(struct trace *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void trace_add_column(
	struct trace *t, struct trace_columns *c, struct slice name, struct value value);
/* One of other columns, under the name. */
void trace_copy_column(struct trace *t, struct trace_columns *c, struct slice name,
	const struct trace_column *column);
/* All columns, their rest too. */
struct value trace_columns_join(const struct trace_columns *c);
struct trace_item *trace_add_item(struct trace *t, struct trace_level *level);
/* The item as a whole row. */
struct value trace_whole_row(const struct trace_item *item);
/* A column of the item; false: it has none of that name. */
bool trace_item_column(
	struct trace *t, const struct trace_item *item, struct slice name, struct value *ret);
/* Whether some visible item has a column of that name, or may have. */
bool trace_may_be_column(const struct trace_level *level, struct slice name);
/* What a ColumnRef refers to. */
struct value trace_column_ref(struct trace *t, const struct trace_level *level, tree_index n);
/* The item that a name stands for; NULL: none. */
const struct trace_item *trace_find_item(
	const struct trace_level *level, struct slice schema, struct slice name);
/* A relation as an item, under its own name. */
void trace_set_mentioned(
	struct trace *t, struct trace_item *item, struct slice schema, struct slice name);
/* The same for a RangeVar, under its alias. */
void trace_set_relation(struct trace *t, struct trace_item *item, tree_index range_var);
/* Adds the columns that "*" or "x.*" stands for. */
void trace_expand_all(struct trace *t, const struct trace_level *level, struct trace_columns *c);
void trace_expand_item(struct trace *t, const struct trace_item *item, struct trace_columns *c);

/* trace_from.c */
void trace_from(struct trace *t, struct trace_level *level, const struct trace_place *place,
	tree_index from);
void trace_from_one(struct trace *t, struct trace_level *level, const struct trace_place *place,
	tree_index item);
/* Renames columns as an Alias node says. */
void trace_rename(struct trace *t, struct trace_columns *c, tree_index names);

/* trace_expression.c */
struct value trace_expression(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n);
/* A condition, or anything else by whose value rows are chosen, ordered or told apart. */
struct value trace_filter(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n, const char *clause);
/* The value decides something that shows: refused, unless the masks allow it. Returns what the
 * outcome tells: nothing more. */
struct value trace_decide(
	struct trace *t, const struct value *v, const char *place, struct slice name);
/* The operator of ORDER BY … USING, if the item has one. */
void trace_sorted(struct trace *t, tree_index item, const char *clause);
/* SortBy and bare expressions of a list. */
struct value trace_filter_list(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index list, const char *clause);
void trace_window(struct trace *t, const struct trace_level *level, const struct trace_place *place,
	tree_index window);

/* The joined values of all expressions in the list. */
struct value trace_list(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index list);

/* trace_operator.c */
struct value trace_operator(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n);
/* Whether the name may stand for code of somebody's own; without one (0): "=". */
bool trace_is_own_operator(const struct trace *t, tree_index name_list);
bool trace_runs_own_operator(const struct trace *t, tree_index a_expr);
/* The operator, by which something is compared whatever it compares: somebody's own code would be
 * given the values, and its answer may hang on anything. */
void trace_comparison(struct trace *t, tree_index name_list, const char *place);
bool trace_is_own_cast(const struct trace *t, tree_index name_list);
bool trace_is_one_of(struct slice name, const char *const *list, size_t count);

/* trace_function.c */
struct value trace_function_call(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n);
/* Whether the function's result in FROM is one column; *ret: what is in it. *ret_name: the column's
 * own name, which no alias of the function changes; empty: it has none. */
bool trace_from_function(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index n, struct value *ret, struct slice *ret_name);
/* Whether it may call code of which it is not known what is in its result. */
bool trace_is_own_function(const struct trace *t, tree_index func_call);
/* Whether x.name may be the call name(x) of somebody's own. */
bool trace_is_own_attribute(const struct trace *t, struct slice name);
/* The result of code that is not known to be harmless. */
struct value trace_unknown_code(struct trace *t, struct slice name);
struct value trace_unknown_attribute(struct trace *t, struct slice name);
struct value trace_row_attribute(struct trace *t, const struct value *row, struct slice name);

/* trace_query.c */
struct trace_columns trace_query(
	struct trace *t, const struct trace_place *place, tree_index select);
/* A target list or RETURNING list. */
void trace_targets(struct trace *t, const struct trace_level *level,
	const struct trace_place *place, tree_index targets, struct trace_columns *c);

/* trace_with.c */
/* CTEs of a WITH clause in front of those of the place. */
struct trace_cte *trace_with(
	struct trace *t, const struct trace_place *place, tree_index with_clause);
/* The columns of one that was not followed yet. */
void trace_cte_follow(struct trace *t, struct trace_cte *cte);

/* trace_name.c */
/* The name of a column that the text gives none, as the server makes it. What is in the expression
 * was followed before. False: it is not known. */
bool trace_column_name(struct trace *t, tree_index n, struct slice *ret);
/* A query that is one value was followed, and has these columns. */
void trace_note_sub_link(struct trace *t, tree_index n, const struct trace_columns *columns);

/* trace_change.c: INSERT, UPDATE, DELETE, MERGE; the columns of RETURNING. */
struct trace_columns trace_change(
	struct trace *t, const struct trace_place *place, tree_index statement);
bool trace_is_change(enum tree_type type);
/* Refuses where any of the columns is masked: they would be copied. */
void trace_copied(struct trace *t, const struct trace_columns *c, const char *place);

/* trace_command.c */
/* One text being traced. */
struct tracer {
	const struct sql_text *text;
	const struct facts *facts;
	size_t command;
	struct lookup *lookups;
	struct sql_lineage_command *commands; /* those in front of the present one are done */
	unsigned stored_depth;
	uint64_t work; /* of all commands so far */
};
/* Whether any column of the relation that the mention may mean is masked. */
bool trace_is_masked(const struct trace *t, const struct mention *m);

/* trace_code.c: expressions that are kept, and run later or elsewhere: where some of it is code of
 * which it is not known what is in its result, that would be stored, or decide what is. */
void trace_refuse_code(struct trace *t, tree_index n, const char *place);

/* trace_define.c: CREATE and ALTER TABLE, indexes, statistics, domains. */
/* Whether it concerns values that are there by their type. */
bool trace_changes_type(const struct tree *t, tree_index statement);
void trace_define(struct tracer *tracer, struct trace *t, tree_index statement);
/* RENAME and SET SCHEMA. */
void trace_move(struct tracer *tracer, struct trace *t, tree_index statement);
/* Refuses where a relation that the command names has masked columns, and, unless `any`, is read.
 */
void trace_refuse_masked(struct tracer *tracer, struct trace *t, bool any, const char *place);

#endif
