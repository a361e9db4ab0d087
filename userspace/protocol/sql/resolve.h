/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve: what a parsed text means in one session: the action's pairs of operation and object
 * (docs/policy.md), and, where columns are masked, where their values would go.
 * docs/sql-facts.md says in words what each command becomes.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_RESOLVE_H
#define WAYLEAVE_PROTOCOL_SQL_RESOLVE_H

#include "base/arena.h"
#include "protocol/action.h"
#include "protocol/sql/catalog.h"
#include "protocol/sql/setting.h"
#include "protocol/sql/statement.h"

struct sql_lineage_command;
struct lookup_made;

/* What the texts before one do to the meaning of its names, as if they were one text with it. */
struct sql_before {
	const struct lookup_made *made; /* in their arenas; NULL: nothing */
	size_t made_count;
	bool names_moved, relations_gone, code_made;
};

/* What a name that runs later stands for; `text` NULL: not known. */
struct sql_named {
	struct sql_text *text;
	size_t command;
	/* Of a cursor: what sql_trace() said when it was declared. Without it (NULL) the cursor's
	 * columns are known by their origin alone, as the search_path may have changed since. */
	const struct sql_lineage_command *lineage;
};

/* How names are looked up, as the session stands now. Borrowed for the duration of a call. */
struct sql_view {
	/* NULL: no catalog at hand. Then, with `assume`, an unqualified name is taken to be in
	 * pg_catalog where PostgreSQL has one of that name there, else in the last schema of the
	 * path
	 * ("public" where that is empty), and relations are open; without, unqualified names are
	 * unknown. */
	const struct sql_catalog *catalog;
	const struct sql_catalog *temporary; /* the session's temporary relations; NULL: none */
	bool assume;
	/* The path may change at the end of the open transaction: it was set in it, or with SET
	 * LOCAL. */
	bool path_ends_with_transaction;
	/* As current_schemas(true) gives it: implicit, existing and usable schemas alone. */
	const struct slice *path;
	size_t path_count;
	/* Prepared statements and cursors of the session, for EXECUTE, FETCH and MOVE. Names that
	 * the same text defines earlier are looked up by resolve itself. May be NULL: there are
	 * none. */
	struct sql_named (*find_prepared)(void *context, struct slice name);
	struct sql_named (*find_cursor)(void *context, struct slice name);
	void *context;
	const struct sql_before *before; /* NULL: nothing stands before that has not run */
};

struct sql_resolution {
	const struct action_pair *pairs;
	size_t pair_count;
	/* What the text only prepares (PREPARE): judged when it is executed, but whoever wants to
	 * refuse early can see it here. */
	const struct action_pair *later_pairs;
	size_t later_count;
	unsigned unknown; /* enum action_unknown */
	unsigned effects; /* enum sql_effect of all commands, functions now resolved */
	bool unresolved; /* a relation or function name was found nowhere: ask the server */
	const char *problem; /* with ACTION_UNKNOWN_TEXT */
	struct sql_before after; /* for texts behind it; as the view's, with what this one does */
};

/* The pairs of all commands of the text. Memory comes from `arena`; -E2BIG where that is full. A
 * text that was not parsed has no pairs, and is unknown. Recursion is bounded and shallow. */
int sql_resolve(const struct sql_text *t, const struct sql_view *view, struct arena *arena,
	struct sql_resolution *ret);

/* What masks mean for one column of a command's result. */
enum sql_output_state {
	SQL_OUTPUT_CLEAN, /* carries nothing of a masked column */
	SQL_OUTPUT_ORIGIN, /* a plain column: RowDescription's origin names it; `strategy` is its
			      mask */
	SQL_OUTPUT_DERIVED, /* an expression over masked columns: masked whole with `strategy` */
};
struct sql_output {
	enum sql_output_state state;
	enum mask_strategy strategy; /* MASK_NONE for CLEAN */
	struct sql_type type; /* of a plain column; oid 0 for others */
};
struct sql_lineage_command {
	/* One per column of the result. With has_outputs false their number is not known, and
	 * `rest` holds for each: CLEAN: for none anything beyond its origin; ORIGIN: what has an
	 * origin is masked by it, what has none is masked with `strategy`; DERIVED: all are. */
	bool has_outputs;
	const struct sql_output *outputs;
	size_t output_count;
	struct sql_output rest;
	bool touches_masked; /* some relation with masked columns is involved */
	bool runs_code; /* that is not known to be harmless, and may say anything */
	bool rowless; /* it returns no rows of its own: those that come are of a rule on its table
		       */
};
struct sql_lineage {
	/* NULL, or why the text is refused: "column public.customers.ssn is masked and can't be
	 * used in WHERE". Owned by the arena. */
	const char *refusal;
	const struct sql_lineage_command *commands; /* one per command of the text */
	size_t command_count;
	bool touches_masked, runs_code; /* of any of them */
};

/* Where the values of the columns that `rules` masks would go; for COPY with detectors, the types
 * of its columns, whether some are masked or not. Only for a text that resolved. Memory comes from
 * `arena`; -E2BIG where that is full. Needs up to LIMIT_TRACE_STACK bytes of stack. */
int sql_trace(const struct sql_text *t, const struct sql_view *view, const struct mask_rules *rules,
	struct arena *arena, struct sql_lineage *ret);

#endif
