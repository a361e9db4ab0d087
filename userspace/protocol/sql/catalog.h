/* SPDX-License-Identifier: Apache-2.0
 *
 * catalog: the names of one database as its server has them: relations with their columns,
 * inheritance, what views show, user-defined functions, operators and casts.
 *
 * Filled from the rows of the queries in sql_catalog_queries, which the protocol engine runs
 * in-band; then immutable and reference-counted, shared by all sessions of one worker on that
 * database. The rows come from a server that may be hostile: they are checked, bounded, and
 * believed.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_CATALOG_H
#define WAYLEAVE_PROTOCOL_SQL_CATALOG_H

#include "base/buffer.h"
#include "masking/mask.h"

/* One query to run. Everything in it is schema-qualified, operators too: the session's search_path
 * is the agent's to choose. Results are read in text format; an absent value is a slice with NULL
 * data. */
struct sql_catalog_query {
	const char *text;
	unsigned columns;
};
extern const struct sql_catalog_query sql_catalog_queries[];
extern const size_t sql_catalog_query_count;
/* The same for the session's temporary relations alone, for a catalog of their own. */
extern const struct sql_catalog_query sql_temporary_queries[];
extern const size_t sql_temporary_query_count;

struct sql_catalog;

/* An empty catalog to fill; the caller holds one reference. `limit` bounds its memory, in bytes;
 * beyond it columns are no longer kept and relations are "open" (any column may exist). */
struct sql_catalog *sql_catalog_new(size_t limit);
/* One row of the query with that index; queries come in their order. -EINVAL: not what the query
 * returns; -E2BIG: not even the names fit. */
int sql_catalog_add_row(
	struct sql_catalog *c, size_t query, const struct slice *values, size_t count);
/* After the last row; from then on it is immutable. */
int sql_catalog_finish(struct sql_catalog *c);
/* How many rows it was made of. */
size_t sql_catalog_size(const struct sql_catalog *c);
/* Whether all names are the same bytes in every encoding. */
bool sql_catalog_is_ascii(const struct sql_catalog *c);
struct sql_catalog *sql_catalog_get(struct sql_catalog *c);
void sql_catalog_put(struct sql_catalog *c); /* takes NULL */

struct sql_relation;

/* NULL: there is none. Temporary relations are in schema "pg_temp". */
const struct sql_relation *sql_catalog_find(
	const struct sql_catalog *c, struct slice schema, struct slice name);
const struct sql_relation *sql_catalog_find_oid(const struct sql_catalog *c, uint32_t oid);
/* Appends what makes it this relation and no other: OID, kind, and its columns' names and numbers.
 * False: that is not all that a statement's meaning depends on (a view's definition), or not known.
 */
bool sql_relation_identify(const struct sql_relation *r, struct buffer *ret);
/* Whether the columns are known: not those of catalog relations, nor beyond the memory limit. */
bool sql_relation_is_open(const struct sql_relation *r);
/* Live columns in order of their numbers. */
size_t sql_relation_column_count(const struct sql_relation *r);
int sql_relation_column_number(const struct sql_relation *r, size_t index); /* attnum */

/* A type as RowDescription gives it. */
struct sql_type {
	uint32_t oid; /* 0: not known */
	int32_t modifier; /* atttypmod; -1: none */
	/* Of no built-in type: its text may be anything (typcategory S). */
	bool text_like;
};

/* The type of a column as results have it: a domain's is what the domain is over. `c` (may be NULL)
 * is the catalog that lists types, which that of the temporary relations does not. */
struct sql_type sql_relation_column_type(
	const struct sql_catalog *c, const struct sql_relation *r, size_t index);
/* The same for any type of that OID and modifier. */
struct sql_type sql_catalog_type(const struct sql_catalog *c, uint32_t oid, int32_t modifier);

/* How column `number` of the relation is to be masked: its own rule, those of the columns that it
 * shows (views, through any depth; generated columns), and those of its parents and children. A
 * view column that is an expression over a masked column is masked whole: MASK_REDACT at least.
 * MASK_REDACT also where the column or relation (NULL) is not known and the rules mask any column
 * at all. `number` 0 (the whole row) gives the strictest of its columns; system columns (below 0)
 * are never masked, nor are the relations of pg_catalog and information_schema that are operation
 * `catalog`. *ret_filter_allowed (may be NULL) is true where every mask that applies says so. */
enum mask_strategy sql_catalog_column_mask(const struct sql_catalog *c,
	const struct sql_relation *r, int number, const struct mask_rules *rules,
	bool *ret_filter_allowed);
/* Whether some relation has masked columns that the server reads or writes for a statement on this
 * one, by its views and rules at any depth: what it fails with there may quote them, although none
 * is shown. */
bool sql_catalog_masked_behind(const struct sql_relation *r, const struct mask_rules *rules);

#endif
