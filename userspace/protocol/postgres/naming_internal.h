/* SPDX-License-Identifier: Apache-2.0
 *
 * naming_internal: what naming.c, which says what has to be read, and naming_answer.c share.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_NAMING_INTERNAL_H
#define WAYLEAVE_PROTOCOL_POSTGRES_NAMING_INTERNAL_H

#include "protocol/postgres/lookup.h"

#define PG_STEP(name) (1u << PG_LOOKUP_##name)

/* naming.c */
/* Whether this transaction may see names that others don't see yet. */
bool pg_naming_changed_names(const struct pg_engine *e);
/* Prepared statements are judged by what their names mean now, so the server must mean that, too:
 * PG_STEP(PLANS) where `steps`, or what was read before, asks for it; else 0. */
unsigned pg_naming_plans_step(const struct pg_engine *e, unsigned steps);

/* naming_answer.c */
/* From now on texts are judged by `names`, of which it takes a reference, read in that epoch. */
void pg_naming_adopt(struct pg_engine *e, struct sql_catalog *names, uint64_t epoch);

#endif
