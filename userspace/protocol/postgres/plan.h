/* SPDX-License-Identifier: Apache-2.0
 *
 * plan: what an analysed text means under one way of looking up names, with the verdict and the
 * masks that were found for it. Plans hang on their sql_text and are shared by all sessions of the
 * worker that look names up alike, so that a repeated statement is judged by comparing pointers.
 */
#ifndef WAYLEAVE_PROTOCOL_POSTGRES_PLAN_H
#define WAYLEAVE_PROTOCOL_POSTGRES_PLAN_H

#include "protocol/protocol.h"
#include "protocol/sql/resolve.h"

/* The masks of one verdict, traced through one text. Immutable, reference-counted: requests in
 * flight and portals hold it until their results are through, whatever is reloaded meanwhile. */
struct pg_masks {
	unsigned references;
	struct mask_rules rules; /* a copy of its own */
	struct sql_lineage lineage;
	struct arena arena;
};

/* A reference for the caller, of what has no text to trace them through: a copy of `rules` alone.
 * NULL where it is too large. */
struct pg_masks *pg_masks_new(const struct mask_rules *rules);
struct pg_masks *pg_masks_get(struct pg_masks *m); /* takes NULL */
void pg_masks_put(struct pg_masks *m); /* takes NULL */

struct pg_plan {
	unsigned references;
	struct sql_text *text;
	/* What it was made under. */
	uint64_t audience;
	struct sql_catalog *catalog; /* reference; NULL: none */
	bool assume;
	struct slice *path;
	size_t path_count;

	struct arena arena;
	struct sql_resolution resolution;
	struct action action; /* its text is the place's where it is used */
	struct protocol_judgement *judgement;
	struct pg_masks *masks; /* the last that were traced; NULL: none yet */
};

/* A reference holds the text as well. */
struct pg_plan *pg_plan_get(struct pg_plan *p);
void pg_plan_put(struct pg_plan *p); /* takes NULL */

/* The plan of a parsed text under `view` for `audience` (protocol.h); a reference for the caller,
 * NULL where memory is full. `session_only`: the text names statements or cursors of the session,
 * or the view is not one that other sessions share; then nothing is cached. */
struct pg_plan *pg_plan_make(
	struct sql_text *text, const struct sql_view *view, uint64_t audience, bool session_only);
/* A plan for a text whose meaning is not known: `problem` is static or lives with the text. */
struct pg_plan *pg_plan_unknown(struct sql_text *text, const char *problem);
/* Traces `rules` through the text, once per set of rules. Returns a reference for the caller, whose
 * lineage.refusal may stand; NULL where memory is full. `view` as in pg_plan_make(). */
struct pg_masks *pg_plan_trace(
	struct pg_plan *p, const struct sql_view *view, const struct mask_rules *rules);

#endif
