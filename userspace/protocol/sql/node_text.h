/* SPDX-License-Identifier: Apache-2.0
 *
 * node_text: a reader for pg_node_tree text, PostgreSQL's stored form of parsed queries: nodes
 * "{NAME :field value …}", lists "(item …)", words (nodes/outfuncs.c). It finds what a view's
 * columns are made of and survives any other input. Internal to protocol/sql/.
 */
#ifndef WAYLEAVE_PROTOCOL_SQL_NODE_TEXT_H
#define WAYLEAVE_PROTOCOL_SQL_NODE_TEXT_H

#include "base/slice.h"

/* Something in the query's range table; numbered from 1 in order. */
struct node_range {
	uint32_t kind; /* rtekind; 0: a relation */
	uint32_t relation; /* its OID */
};

/* A variable in the expression of a target. */
struct node_variable {
	uint32_t range, column; /* column 0: the whole row */
};

/* One column of the query's result. */
struct node_target {
	uint32_t number; /* resno */
	uint32_t origin, origin_column; /* what it shows as it is; 0: it is an expression */
	bool hidden; /* resjunk: no column of the result */
	bool complicated; /* holds a subquery or a variable of an outer query */
	bool calls; /* a function, whoever made it */
	bool user_code; /* calls a function or operator that initdb did not make */
	uint32_t first_variable, variable_count;
};

struct node_query {
	struct node_range *ranges;
	struct node_target *targets;
	struct node_variable *variables;
	size_t range_count, target_count, variable_count;
};

/* Reads the one query of a rule's action. -EINVAL: it is none, or not understood; -ENOMEM. On
 * success node_query_done() must be called. */
int node_query_read(struct slice text, struct node_query *ret);
void node_query_done(struct node_query *q);

#endif
