/* SPDX-License-Identifier: Apache-2.0
 *
 * How columns are to be masked under a set of rules: found for a relation as a whole and kept until
 * rules with another serial ask. A catalog belongs to one thread.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "protocol/sql/builtin.h"
#include "protocol/sql/catalog_internal.h"

/* Views upon views: a chain that is longer is taken to show anything. */
#define VIEW_DEPTH_MOST 64

static void mask_join(struct column_mask *m, enum mask_strategy strategy, bool filter_allowed)
{
	if (strategy == MASK_NONE)
		return;
	if (m->strategy < strategy)
		m->strategy = (uint8_t)strategy;
	m->filter_allowed &= filter_allowed;
}

/* What is made from masked values is hidden as a whole: a part of them, or a hash of a part, would
 * tell more than the mask of the column does. */
static void mask_join_derived(struct column_mask *m, const struct column_mask *source)
{
	if (source->strategy == MASK_NONE)
		return;
	mask_join(m, source->strategy > MASK_REDACT ? source->strategy : MASK_REDACT,
		source->filter_allowed);
}

/* The rules for the columns of `of`, for the columns of the same name of `r`. */
static void join_rules(
	struct sql_relation *r, const struct sql_relation *of, const struct mask_rules *rules)
{
	if (!mask_rules_touch_relation(rules, of->schema, of->name))
		return;
	for (size_t i = 0; i < r->column_count; i++) {
		bool filter_allowed = true;
		enum mask_strategy strategy = mask_rules_find_column(
			rules, of->schema, of->name, r->columns[i].name, &filter_allowed);

		mask_join(&r->masks[i + 1], strategy, filter_allowed);
	}
}

/* Relatives in one direction. Inheritance may be deep, so this does not recurse. */
static void join_relatives(struct sql_relation *r, const struct mask_rules *rules, bool parents)
{
	struct relatives all = {0};

	catalog_relatives_add(&all, r);
	for (size_t i = 0; i < all.count; i++) {
		struct relation_link *link =
			parents ? all.items[i]->parents : all.items[i]->children;

		for (; link; link = link->next)
			catalog_relatives_add(&all, link->relation);
		if (i > 0)
			join_rules(r, all.items[i], rules);
	}
	catalog_relatives_done(&all);
}

static const struct column_mask hidden = {MASK_REDACT, false};

static const struct column_mask *column_mask(
	struct sql_relation *r, int number, const struct mask_rules *rules, unsigned depth);

/* A generated column is made of others of its own row, whose masks are there already. They can't be
 * generated themselves. */
static const struct column_mask *neighbours_mask(const struct sql_relation *r, int number)
{
	for (size_t i = 0; i < r->column_count; i++) {
		if (r->columns[i].number == number && !r->columns[i].sources)
			return &r->masks[i + 1];
	}
	return &hidden;
}

static void join_source(struct sql_relation *r, struct column_mask *m,
	const struct column_source *source, const struct mask_rules *rules, unsigned depth)
{
	const struct column_mask *found = source->relation == r && !catalog_is_view(r)
		? neighbours_mask(r, source->number)
		: column_mask(source->relation, source->number, rules, depth + 1);

	if (source->derived)
		mask_join_derived(m, found);
	else
		mask_join(m, found->strategy, found->filter_allowed);
}

static void join_sources(
	struct sql_relation *r, size_t index, const struct mask_rules *rules, unsigned depth)
{
	const struct sql_column *column = &r->columns[index];
	struct column_mask *m = &r->masks[index + 1];

	if (column->opaque || (catalog_is_view(r) && !column->traced))
		mask_join(m, hidden.strategy, hidden.filter_allowed);
	for (const struct column_source *s = column->sources; s; s = s->next)
		join_source(r, m, s, rules, depth);
}

/* Where columns are not known, all of them could be those that a rule names. */
static struct column_mask open_mask(const struct sql_relation *r, const struct mask_rules *rules)
{
	enum builtin_relation builtin = builtin_relation_find(r->schema, r->name);

	if (builtin == BUILTIN_RELATION_VALUES)
		return hidden;
	if (builtin == BUILTIN_RELATION_CATALOG ||
		!mask_rules_touch_relation(rules, r->schema, r->name))
		return (struct column_mask){MASK_NONE, true};
	return hidden;
}

static void find_masks(struct sql_relation *r, const struct mask_rules *rules, unsigned depth)
{
	for (size_t i = 0; i <= r->column_count; i++)
		r->masks[i] = (struct column_mask){MASK_NONE, true};
	join_rules(r, r, rules);
	join_relatives(r, rules, true);
	join_relatives(r, rules, false);
	for (size_t i = 0; i < r->column_count; i++) {
		join_sources(r, i, rules, depth);
		mask_join(&r->masks[0], r->masks[i + 1].strategy, r->masks[i + 1].filter_allowed);
	}
	if (r->open)
		r->masks[0] = open_mask(r, rules);
}

/* Finds the masks of the whole row and of each column, unless they are there. */
static void prepare_masks(struct sql_relation *r, const struct mask_rules *rules, unsigned depth)
{
	if (r->masks && r->masks_serial == rules->serial && rules->serial)
		return;
	if (!r->masks)
		r->masks = memory_new_array(r->column_count + 1u, sizeof(*r->masks));
	r->masks_serial = rules->serial;
	r->busy = true;
	find_masks(r, rules, depth);
	r->busy = false;
}

/* A view that shows itself shows anything, as do those at the end of a long chain. */
static const struct column_mask *column_mask(
	struct sql_relation *r, int number, const struct mask_rules *rules, unsigned depth)
{
	if (r->busy || depth > VIEW_DEPTH_MOST)
		return &hidden;
	prepare_masks(r, rules, depth);
	if (number == 0 || r->open)
		return &r->masks[0];
	for (size_t i = 0; i < r->column_count; i++) {
		if (r->columns[i].number == number)
			return &r->masks[i + 1];
	}
	return &hidden;
}

enum mask_strategy sql_catalog_column_mask(const struct sql_catalog *c,
	const struct sql_relation *r, int number, const struct mask_rules *rules,
	bool *ret_filter_allowed)
{
	static const struct column_mask none = {MASK_NONE, true};
	const struct column_mask *found = &hidden;

	(void)c;
	if (rules->column_count == 0 || number < 0)
		found = &none;
	else if (r)
		found = column_mask((struct sql_relation *)r, number, rules, 0);
	if (ret_filter_allowed)
		*ret_filter_allowed = found->filter_allowed;
	return (enum mask_strategy)found->strategy;
}

bool sql_catalog_masked_behind(const struct sql_relation *r, const struct mask_rules *rules)
{
	struct relatives all = {0};
	bool masked = false;

	for (struct rule_relation *n = r->named; n; n = n->next)
		catalog_relatives_add(&all, n->relation);
	for (size_t i = 0; i < all.count; i++) {
		for (struct rule_relation *n = all.items[i]->named; n; n = n->next)
			catalog_relatives_add(&all, n->relation);
	}
	/* Finding masks goes through relatives itself. */
	for (size_t i = 0; i < all.count; i++)
		all.items[i]->visited = false;
	for (size_t i = 0; i < all.count && !masked; i++)
		masked = column_mask(all.items[i], 0, rules, 0)->strategy != MASK_NONE;
	catalog_relatives_done(&all);
	return masked;
}
