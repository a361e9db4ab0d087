/* SPDX-License-Identifier: Apache-2.0
 *
 * changes: what statements of a batch have done, or will do, to the meaning of those behind them.
 * Where people decide several statements at once, a later one can't be bound to what its names
 * stand for when they are asked: an earlier one may make or change that. It is bound to the texts
 * of those that do instead, and to what all other names stand for.
 *
 * What was bound changes nothing before it is executed. So that the texts are what happened, in
 * this order, each that changes names must have been executed before the next one is bound.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_CHANGES_H
#define WAYLEAVE_PROTOCOL_POSTGRES_CHANGES_H

#include "base/buffer.h"
#include "protocol/postgres/plan.h"

struct pg_changes {
	uint64_t batch; /* that it is about */
	unsigned effects; /* enum sql_effect of all of them; 0: nothing is changed */
	bool uncertain; /* what is here is not all that happens, or not in this order */
	bool bound, waits; /* any; the last one, and it has effects: it was not executed yet */
	struct buffer portal; /* of the last one */
	struct buffer texts; /* with their values */
	struct buffer objects; /* names of what they make, change or drop */
};

void pg_changes_init(struct pg_changes *c);
void pg_changes_done(struct pg_changes *c);
/* Begins a batch, unless it is of that one already. */
void pg_changes_begin(struct pg_changes *c, uint64_t batch);
/* `to` becomes what `from` is. */
void pg_changes_copy(struct pg_changes *to, const struct pg_changes *from);
/* A statement was bound to `portal`; `bound` as struct protocol_binding has them. */
void pg_changes_add(struct pg_changes *c, const struct pg_plan *plan, struct slice exact,
	const struct slice bound[2], struct slice portal);
/* A portal is executed; false: it is not the one that was bound last. */
bool pg_changes_ran(struct pg_changes *c, struct slice portal);
bool pg_changes_has_object(const struct pg_changes *c, struct slice object);

#endif
