/* SPDX-License-Identifier: Apache-2.0 */
#include "protocol/postgres/plan.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/memory.h"

#define PLANS_PER_TEXT 8 /* views that differ, of sessions that use one text at a time */

struct plan_list {
	struct pg_plan *plans[PLANS_PER_TEXT];
	unsigned count, next; /* the oldest is replaced */
};

struct pg_plan *pg_plan_get(struct pg_plan *p)
{
	p->references++;
	sql_text_get(p->text);
	return p;
}

static void plan_drop(struct pg_plan *p)
{
	if (--p->references > 0)
		return;
	if (p->judgement)
		p->judgement->free(p->judgement);
	pg_masks_put(p->masks);
	sql_catalog_put(p->catalog);
	arena_done(&p->arena);
	free(p);
}

void pg_plan_put(struct pg_plan *p)
{
	struct sql_text *text;

	if (!p)
		return;
	text = p->text;
	plan_drop(p);
	sql_text_put(text);
}

/* The text goes: nobody holds a reference to a plan of it any more, since those hold the text. */
static void plan_list_free(void *pointer)
{
	struct plan_list *list = pointer;

	if (!list)
		return;
	for (unsigned i = 0; i < list->count; i++)
		plan_drop(list->plans[i]);
	free(list);
}

static bool plan_fits(const struct pg_plan *p, const struct sql_view *view, uint64_t audience)
{
	if (p->audience != audience || p->catalog != view->catalog || p->assume != view->assume ||
		p->path_count != view->path_count)
		return false;
	for (size_t i = 0; i < p->path_count; i++) {
		if (!slice_equal(p->path[i], view->path[i]))
			return false;
	}
	return true;
}

static struct pg_plan *plan_new(struct sql_text *text)
{
	struct pg_plan *p = memory_new(sizeof(*p));

	p->references = 1;
	p->text = sql_text_get(text);
	arena_init(&p->arena, LIMIT_SESSION_ARENA);
	p->action.protocol = PROTOCOL_POSTGRES;
	return p;
}

/* Remembers what the plan was made under. */
static int plan_take_view(struct pg_plan *p, const struct sql_view *view)
{
	p->catalog = view->catalog ? sql_catalog_get((struct sql_catalog *)view->catalog) : NULL;
	p->assume = view->assume;
	p->path = arena_new_array(&p->arena, view->path_count, sizeof(*p->path));
	if (!p->path)
		return -E2BIG;
	for (size_t i = 0; i < view->path_count; i++) {
		p->path[i] = arena_copy(&p->arena, view->path[i]);
		if (!p->path[i].data)
			return -E2BIG;
	}
	p->path_count = view->path_count;
	return 0;
}

static void plan_keep(struct plan_list **list, struct pg_plan *p)
{
	struct plan_list *l = *list;

	if (!l)
		l = *list = memory_new(sizeof(*l));
	if (l->count == PLANS_PER_TEXT)
		plan_drop(l->plans[l->next]);
	else
		l->count++;
	/* The list's reference does not hold the text, or neither would ever go. */
	p->references++;
	l->plans[l->next] = p;
	l->next = (l->next + 1) % PLANS_PER_TEXT;
}

struct pg_plan *pg_plan_make(
	struct sql_text *text, const struct sql_view *view, uint64_t audience, bool session_only)
{
	struct plan_list **list = (struct plan_list **)sql_text_attachment(text, plan_list_free);
	struct pg_plan *p;

	for (unsigned i = 0; !session_only && *list && i < (*list)->count; i++) {
		if (plan_fits((*list)->plans[i], view, audience))
			return pg_plan_get((*list)->plans[i]);
	}
	p = plan_new(text);
	p->audience = audience;
	if (plan_take_view(p, view) < 0 || sql_resolve(text, view, &p->arena, &p->resolution) < 0) {
		pg_plan_put(p);
		return NULL;
	}
	p->action.pairs = p->resolution.pairs;
	p->action.pair_count = p->resolution.pair_count;
	p->action.unknown = p->resolution.unknown;
	p->action.alone = sql_text_is_alone(text);
	p->action.problem = p->resolution.problem;
	if (!session_only)
		plan_keep(list, p);
	return p;
}

struct pg_plan *pg_plan_unknown(struct sql_text *text, const char *problem)
{
	struct pg_plan *p = plan_new(text);

	p->action.unknown = ACTION_UNKNOWN_TEXT;
	p->action.problem = problem;
	p->resolution.effects = SQL_EFFECT_UNKNOWN; /* if it is let through all the same */
	return p;
}

static int masks_copy_rules(struct pg_masks *m, const struct mask_rules *rules)
{
	struct mask_column *columns =
		arena_new_array(&m->arena, rules->column_count, sizeof(*columns));

	if (!columns)
		return -E2BIG;
	m->rules = *rules;
	m->rules.columns = columns;
	for (size_t i = 0; i < rules->column_count; i++) {
		columns[i] = rules->columns[i];
		columns[i].pattern = arena_copy(&m->arena, rules->columns[i].pattern);
		if (!columns[i].pattern.data)
			return -E2BIG;
	}
	return 0;
}

struct pg_masks *pg_masks_get(struct pg_masks *m)
{
	if (m)
		m->references++;
	return m;
}

void pg_masks_put(struct pg_masks *m)
{
	if (!m || --m->references > 0)
		return;
	arena_done(&m->arena);
	free(m);
}

struct pg_masks *pg_masks_new(const struct mask_rules *rules)
{
	struct pg_masks *m = memory_new(sizeof(*m));

	m->references = 1;
	arena_init(&m->arena, LIMIT_SESSION_ARENA);
	if (masks_copy_rules(m, rules) == 0)
		return m;
	pg_masks_put(m);
	return NULL;
}

struct pg_masks *pg_plan_trace(
	struct pg_plan *p, const struct sql_view *view, const struct mask_rules *rules)
{
	struct pg_masks *m = p->masks;

	if (m && m->rules.serial == rules->serial)
		return pg_masks_get(m);
	m = pg_masks_new(rules);
	if (!m)
		return NULL;
	if ((rules->column_count > 0 || rules->detects) &&
		sql_trace(p->text, view, &m->rules, &m->arena, &m->lineage) < 0) {
		pg_masks_put(m);
		return NULL;
	}
	pg_masks_put(p->masks);
	p->masks = pg_masks_get(m);
	return m;
}
