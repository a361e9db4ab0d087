/* SPDX-License-Identifier: Apache-2.0
 *
 * rows: result columns, from RowDescription, with what is to be masked in each, and the DataRows
 * that follow.
 *
 * A plain column is known by its origin (table OID and attribute number), whatever it is called in
 * the result. A column without origin is an expression: what it is made of was traced through the
 * text (sql_trace).
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_ROWS_H
#define WAYLEAVE_PROTOCOL_POSTGRES_ROWS_H

#include "protocol/postgres/plan.h"
#include "protocol/postgres/value_rows.h"

struct pg_engine;
struct pg_request;

struct pg_columns {
	struct value_column *items;
	struct slice *names; /* in `description` */
	struct value_field **fields; /* of whole rows; NULL for other columns */
	size_t count;
	uint8_t *description; /* the message's body; owned */
	struct pg_masks *masks; /* reference; NULL: nothing is masked */
	struct value_rows rows; /* where there are masks */
	bool record; /* rows are recorded */
	bool announced; /* EVENT_COLUMNS was given */
};

/* Parses the body and binds the masks of command `command` (masks NULL: none). -EBADMSG. */
int pg_columns_new(struct pg_engine *e, struct slice body, struct pg_masks *masks, size_t command,
	bool record, struct pg_columns **ret);
/* The columns of a command that returns none (NoData). */
struct pg_columns *pg_columns_none(void);
void pg_columns_free(struct pg_columns *c); /* takes NULL */

/* Passes DataRow messages at the start of `in` on to the agent, masked; complete ones alone. Stores
 * how many bytes they had. -EBADMSG: rows that aren't what their description says; -EPERM: what
 * can't be masked, with e->trouble. */
int pg_rows_pass(struct pg_engine *e, struct pg_request *q, struct pg_columns *columns,
	struct slice in, size_t *ret_taken);

struct value_type pg_value_type(const struct sql_type *type);

/* What the rules of a verdict, or of the session, ask of detectors. */
void pg_masker(struct pg_engine *e, const struct mask_rules *rules, struct masker *ret);

#endif
